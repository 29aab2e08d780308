"""Independent reference for gradient flow and the spectrum, from docs/theory.md's sections
4 to 7 alone.

It shares nothing with the package: the contour is an ellipse in log(z + c), the arithmetic is
80-bit (numpy's longdouble where the platform has one), the complex one-point solutions are
followed from the contour's real crossing node by node, and the two-point numbers are section
5's corner rule as printed, a 3x3 linear system for each pair of nodes.  Constants and the real
starting point come from `oracle`.

Every result is computed twice, on two contours of different shape and number of nodes:
`estimate` is the larger of their difference and of what the contour gives for two traces of U
that are known exactly.
"""

import cmath
import itertools
import math
from collections import namedtuple

import numpy as np
import oracle
from mpmath import mp, mpf

REAL, COMPLEX = np.longdouble, np.clongdouble
ERRORS = ("score_error", "test_loss", "train_loss", "memorization_loss", "bias2", "variance")

Setting = namedtuple("Setting", "psi_n psi_p ratio u a h b v2 s2 sigmas weights")
Setting.__doc__ = """The numbers of section 4, of one real type; sigmas and weights are tuples,
u = 1/m."""
Point = namedtuple("Point", "lam delta0 delta1 q i0 i1 Y D alpha G lin K kappa eta")
Point.__doc__ = """Section 4 at many arguments lam: arrays of the same shape, and Y, D, kappa
lists of them, one for each eigenvalue; eta of section 5."""
Source = namedtuple("Source", "M g e_x e_sigma e_i")
Source.__doc__ = "What section 5 adds to the corners: the constant part of M, g and e's."
Corner = namedtuple("Corner", "M I1 alpha G Dq")
Corner.__doc__ = "Corners of section 5 at pairs of points; Dq a list over the eigenvalues."
Flow = namedtuple("Flow", [*ERRORS, "estimate"])
Flow.__doc__ = "Arrays, one entry for each time; `estimate` bounds the error of all six."


def setting(psi_n, psi_p, m, t, eigenvalues, weights, activation="tanh"):
    """A `Setting` of mpf, Ornstein-Uhlenbeck at time t, from numbers taken as exact."""
    with mp.workdps(40):
        sigmas, weights = tuple(map(mpf, eigenvalues)), tuple(map(mpf, weights))
        a, h = oracle.ornstein_uhlenbeck(t)
        sigma_x2 = mp.fsum(w * s for w, s in zip(weights, sigmas, strict=True))
        c = oracle.constants(activation, a, h, sigma_x2)
        u = mpf(0) if mp.isinf(m) else 1 / mpf(m)
        psi_n, psi_p = mpf(psi_n), mpf(psi_p)
        return Setting(psi_n, psi_p, psi_p / psi_n, u, a, h, c.b, c.v2, c.s2, sigmas, weights)


def _convert(S, kind):
    """The same setting in floats or longdoubles."""

    def number(x):
        return REAL(mp.nstr(x, 30)) if kind is REAL else float(x)

    return Setting(*(tuple(map(number, x)) if isinstance(x, tuple) else number(x) for x in S))


def _integral(S, *factors):
    """∫ρ of the product of the factors, each a list over the eigenvalues."""
    total = 0
    for w, *terms in zip(S.weights, *factors, strict=True):
        for term in terms:
            w = w * term
        total = total + w
    return total


# ----------------------------------------------------------------------------------------------
# section 4 at complex arguments
# ----------------------------------------------------------------------------------------------


def _equations(S, lam, X):
    """Right-hand sides for X = (delta0, delta1/u, q), and d log F/d log X, elementwise."""
    d0, e1, q = X
    ba, bh, u = S.b**2 * S.a**2, S.b**2 * S.h, S.u
    d1 = u * e1
    i0, i1 = 1 / (1 + d0), 1 / (1 + d1)
    x = lam + (S.v2 + u * S.s2) * i0 + (1 - u) * S.s2 * i1
    Y = [ba * i0 * s + bh * (u * i0 + (1 - u) * i1) for s in S.sigmas]
    D = [1 / (1 + S.psi_p * q * y) for y in Y]
    B0 = ba * _integral(S, S.sigmas, D) + u * bh * _integral(S, D) + S.v2 + u * S.s2
    B1 = bh * _integral(S, D) + S.s2
    F = (S.ratio * q * B0, S.ratio * q * B1, 1 / (x + _integral(S, Y, D)))
    columns = []
    for di0, di1, dq in ((-d0 * i0 * i0, 0, 0), (0, -d1 * i1 * i1, 0), (0, 0, 1)):
        dx = (S.v2 + u * S.s2) * di0 + (1 - u) * S.s2 * di1
        dY = [ba * di0 * s + bh * (u * di0 + (1 - u) * di1) for s in S.sigmas]
        dD = [-S.psi_p * q * d * d * (dy + y * dq) for d, dy, y in zip(D, dY, Y, strict=True)]
        columns.append(
            (
                dq + (ba * _integral(S, S.sigmas, dD) + u * bh * _integral(S, dD)) / B0,
                dq + bh * _integral(S, dD) / B1,
                -(dx + _integral(S, dY, D) + _integral(S, Y, dD)) * F[2],
            )
        )
    return F, columns


def _solve3(A, y):
    """A z = y elementwise, by the adjugate with the rows scaled beforehand."""
    rows = []
    for row, rhs in zip(A, y, strict=True):
        scale = abs(row[0]) + abs(row[1]) + abs(row[2])
        rows.append([x / scale for x in (*row, rhs)])
    (a, b, c, r), (d, e, f, s), (g, h, i, t) = rows
    det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return (
        (r * (e * i - f * h) - b * (s * i - f * t) + c * (s * h - e * t)) / det,
        (a * (s * i - f * t) - r * (d * i - f * g) + c * (d * t - s * g)) / det,
        (a * (e * t - s * h) - b * (d * t - s * g) + r * (d * h - e * g)) / det,
    )


def _newton_step(S, lam, X):
    """The relative Newton step and the relative residual, both lists of three."""
    F, columns = _equations(S, lam, X)
    residual = [x / f - 1 for x, f in zip(X, F, strict=True)]
    A = [[(1 if i == j else 0) - columns[j][i] for j in range(3)] for i in range(3)]
    return _solve3(A, residual), residual


def _newton(S, lam, X, most=12):
    """Newton in double precision from a start nearby; None if it is not nearby."""
    for _ in range(most):
        step, _ = _newton_step(S, lam, X)
        size = max(map(abs, step))
        if not size < 0.4:
            return None
        X = tuple(x * (1 - s) for x, s in zip(X, step, strict=True))
        if size < 1e-8:
            return X
    return None


def _on_branch(lam, X):
    """Section 4: the arguments of delta0, delta1 and q have the sign opposite to that of lam
    and are no larger in size."""
    theta = cmath.phase(lam)
    side = -1 if theta > 0 else 1
    slack = 1e-9
    return all(-slack <= side * cmath.phase(x) <= abs(theta) + slack for x in X)


def _follow(S, path, here, there, X, depth=0):
    """The solution at path(there) from X at path(here); halved until Newton converges at once
    on the physical branch."""
    lam = path(there)
    new = _newton(S, lam, X)
    if new is not None and _on_branch(lam, new):
        return new
    if depth > 30:
        raise ArithmeticError("lost the branch")
    middle = (here + there) / 2
    X = _follow(S, path, here, middle, X, depth + 1)
    return _follow(S, path, middle, there, X, depth + 1)


def _polish(S, lam, X):
    """The same solutions in longdouble (arrays), with the residual checked."""
    X = tuple(np.asarray(x, COMPLEX) for x in X)
    for _ in range(3):
        step, _ = _newton_step(S, lam, X)
        X = tuple(x * (1 - s) for x, s in zip(X, step, strict=True))
    worst = max(np.max(abs(r)) for r in _newton_step(S, lam, X)[1])
    if not worst < 1e4 * np.finfo(REAL).eps:
        raise ArithmeticError(f"one-point residual {worst}")
    return X


def _real_start(S, lam):
    """(delta0, delta1/u, q) at a real lam > 0, by `oracle`."""
    with mp.workdps(30):
        arguments = (S.a, S.h, S.b, S.v2, S.s2, S.sigmas, S.weights)
        m = 1 / S.u if S.u else mp.inf
        P = oracle.parameters(S.psi_n, S.psi_p, m, float(lam), *arguments)
        Eg, Es, q = oracle.polish(oracle._float_start(P), P)
        return tuple(complex(x) for x in (P.ratio * (Eg + P.u * Es), P.ratio * Es, q))


def _points(S, lam, X):
    """Everything of section 4 that section 5 and 6 need, in longdouble."""
    d0, e1, q = X
    d1 = S.u * e1
    ba, bh = S.b**2 * S.a**2, S.b**2 * S.h
    i0, i1 = 1 / (1 + d0), 1 / (1 + d1)
    alpha = S.u * i0 + (1 - S.u) * i1
    Y = [ba * i0 * s + bh * alpha for s in S.sigmas]
    D = [1 / (1 + S.psi_p * q * y) for y in Y]
    G = bh * S.psi_p * q * _integral(S, D)
    lin = alpha * S.b**2 * S.psi_p * q * _integral(S, D)
    K = S.u * d0 * i0 + (1 - S.u) * d1 * i1 + alpha**2 * G
    kappa = [alpha * S.b**2 * S.psi_p * q * d for d in D]
    eta = S.ratio * q * (ba * _integral(S, S.sigmas, D) + S.v2)
    return Point(lam, d0, d1, q, i0, i1, Y, D, alpha, G, lin, K, kappa, eta)


def _take(point, index, conjugate=False):
    """The points at `index`, or their mirror images in the real axis."""

    def pick(x):
        return np.conj(x[index]) if conjugate else x[index]

    return Point(*([pick(y) for y in x] if isinstance(x, list) else pick(x) for x in point))


# ----------------------------------------------------------------------------------------------
# section 5
# ----------------------------------------------------------------------------------------------


def fresh(S, L, R):
    return Source(0, 0, S.v2 + S.s2, S.b**2 * S.a**2, S.b**2 * S.h)


def training(S, L, R):
    M = L.i0 * L.eta * R.eta * R.i0
    return Source(M, 1 - L.i0 * L.eta - R.eta * R.i0, S.s2, 0, S.b**2 * S.h)


def identity(S, L, R):
    return Source(0, 0, 1, 0, 0)


def _corner(S, L, R, d0, d1, q, source):
    """Section 5's corners from (delta0_o, delta1_o, q_o): their next values, and a `Corner`."""
    ba, bh, u = S.b**2 * S.a**2, S.b**2 * S.h, S.u
    I0, I1 = -L.i0 * d0 * R.i0, -L.i1 * d1 * R.i1
    M, g = I0 + source.M, source.g
    x_o = (S.v2 + u * S.s2) * M + S.v2 * g + (1 - u) * S.s2 * I1 + source.e_x
    common = bh * (u * M + (1 - u) * I1) + source.e_i
    Y_o = [(ba * (M + g) + source.e_sigma) * s + common for s in S.sigmas]
    D_o = [
        -S.psi_p * DL * (L.q * Yo + q * YR) * DR
        for DL, Yo, YR, DR in zip(L.D, Y_o, R.Y, R.D, strict=True)
    ]
    new_q = -L.q * (x_o + _integral(S, L.Y, D_o) + _integral(S, Y_o, R.D)) * R.q
    Dq = [DL * q + Do * R.q for DL, Do in zip(L.D, D_o, strict=True)]
    of_D, of_sD = _integral(S, Dq), _integral(S, S.sigmas, Dq)
    new_d0 = S.ratio * (ba * of_sD + u * bh * of_D + (S.v2 + u * S.s2) * q)
    new_d1 = u * S.ratio * (bh * of_D + S.s2 * q)
    corner = Corner(M, I1, u * M + (1 - u) * I1, bh * S.psi_p * of_D, Dq)
    return (new_d0, new_d1, new_q), corner


def corners(S, L, R, kinds):
    """A `Corner` for each kind of source, at pairs of points (arrays)."""
    zero = np.zeros_like(L.q)
    scale = (L.delta0, np.where(L.delta1 == 0, 1, L.delta1), L.q)
    none = Source(0, 0, 0, 0, 0)
    columns = []
    for j in range(3):
        unit = [scale[k] if k == j else zero for k in range(3)]
        columns.append(_corner(S, L, R, *unit, none)[0])
    A = [[(1 if i == j else 0) - columns[j][i] / scale[i] for j in range(3)] for i in range(3)]
    out = []
    for kind in kinds:
        source = kind(S, L, R)
        constant = _corner(S, L, R, zero, zero, zero, source)[0]
        z = _solve3(A, [c / s for c, s in zip(constant, scale, strict=True)])
        unknowns = (x * s for x, s in zip(z, scale, strict=True))
        out.append(_corner(S, L, R, *unknowns, source)[1])
    return out


def two_point(S, L, R, kinds):
    """-(corner of K) for each kind of source, at pairs of points (arrays)."""
    return [
        -(
            -o.alpha
            + L.alpha * o.G * R.alpha
            + L.alpha * L.G * o.alpha
            + o.alpha * R.G * R.alpha
        )
        for o in corners(S, L, R, kinds)
    ]


# ----------------------------------------------------------------------------------------------
# the contour
# ----------------------------------------------------------------------------------------------


def largest_eigenvalue(S):
    """Section 6's bound on lambda_max."""
    S = _convert(S, float)
    a, h, v, s = S.a, math.sqrt(S.h), math.sqrt(S.v2), math.sqrt(S.s2)
    per_pair = S.u / S.psi_n
    linear = a * math.sqrt(max(S.sigmas)) * (1 + 1 / math.sqrt(S.psi_n))
    linear += h * (1 + math.sqrt(per_pair))
    bulk = v * (1 + math.sqrt(S.ratio)) + s * (1 + math.sqrt(S.psi_p * per_pair))
    return (S.b * (1 + math.sqrt(S.psi_p)) * linear + bulk) ** 2


Contour = namedtuple("Contour", "path start where z weights")
Contour.__doc__ = """The upper half of a counter-clockwise contour around [0, lambda_max].

path: parameter -> lam = -z, for floats; `start` is its left crossing of the real axis.
where, z, weights: parameters of the nodes from the left to the right, their z, and dz/(2 pi i).
"""


def ellipse(S, lam, longest, digits, height=0.8):
    """A contour on which the trapezoid rule converges geometrically.

    w = log(z + c) maps [0, lambda_max] to a segment of length 2H.  The contour is an ellipse
    with the ends of the segment for foci and `height` for its vertical half-axis.  Between the
    segment, up to which the resolvent is analytic, and the ellipse of height pi/2, up to which
    phi is tame (Re z > -c = -(lam + 5/(kappa tau)) there), nodes for `digits` digits.
    """
    L = 1.02 * largest_eigenvalue(S)
    c = lam + (min(5 / (2 * float(S.h / S.psi_p) * longest), L) if longest else L)
    H = math.log1p(L / c) / 2
    inner = math.asinh(height / H)
    width = min(inner, math.asinh(math.pi / 2 / H) - inner)
    half = math.ceil(digits * math.log(10) / width / 2) + 4
    A, B, c, middle = (REAL(x) for x in (H * math.cosh(inner), height, c, H))

    def relative_w(theta):  # w - log c
        return middle + A * np.cos(theta) + 1j * B * np.sin(theta)

    def path(theta):
        return -complex(c * np.expm1(COMPLEX(relative_w(REAL(theta)))))

    pi = 4 * np.arctan(REAL(1))
    theta = pi - (np.arange(half) + REAL(1) / 2) * pi / half
    w = relative_w(theta)
    # dz/dtheta = (z + c) dw/dtheta, theta growing counter-clockwise
    slope = c * np.exp(w) * (-A * np.sin(theta) + 1j * B * np.cos(theta))
    return Contour(path, math.pi, theta, c * np.expm1(w), slope * (pi / half) / (2j * pi))


def rays(S, lam, longest, per_panel):
    """Section 6's contour: rays at 45 degrees from -1/(kappa tau), Gauss-Legendre panels whose
    lengths double, and a vertical closure beyond lambda_max."""
    first = float(S.psi_p / (2 * S.h)) / longest
    end = 1.02 * largest_eigenvalue(S) + first
    edges = [0.0, first]
    while edges[-1] < end:
        edges.append(2 * edges[-1])
    corner = REAL(end) * (1 + 1j)
    x, w = (
        np.array([REAL(mp.nstr(v, 25)) for v in column])
        for column in zip(*oracle._gauss_legendre(per_panel), strict=True)
    )

    def at(s):  # s in [0, end] on the ray, in [end, 2 end] down to the axis
        s = np.asarray(s, REAL)
        return np.where(s < end, s * (1 + 1j), corner - 1j * (s - end)) - REAL(first)

    edges = [*edges[:-1], *(end * np.linspace(1, 2, 5))]
    pi, where, weights = 4 * np.arctan(REAL(1)), [], []
    for left, right in itertools.pairwise(map(REAL, edges)):
        direction = 1 + 1j if right <= end else -1j
        s = (left + right) / 2 + (right - left) / 2 * x
        order = np.argsort(s)
        where.append(s[order])
        # from the left to the right is clockwise
        weights.append(-direction * w[order] * (right - left) / 2 / (2j * pi))
    where, weights = np.concatenate(where), np.concatenate(weights)
    return Contour(lambda s: -complex(at(s)), 0.0, where, at(where), weights)


def one_point(S, contour):
    """Section 4 at lam = -z: followed from the left crossing, then polished; a longdouble
    `Point`."""
    double, long = _convert(S, float), _convert(S, REAL)
    here = contour.start
    X = _real_start(S, contour.path(here).real)
    found = []
    for there in map(float, contour.where):
        X = _follow(double, contour.path, here, there, X)
        found.append(X)
        here = there
    lam = -contour.z
    X = _polish(long, lam, tuple(np.array(x) for x in zip(*found, strict=True)))
    return _points(long, lam, X)


# ----------------------------------------------------------------------------------------------
# section 6
# ----------------------------------------------------------------------------------------------


def _filter(S, lam, tau, z):
    """phi(z) = (1 - e^{-kappa tau (z + lam)})/(z + lam)."""
    shifted = z + REAL(lam)
    return -np.expm1(-2 * S.h / S.psi_p * REAL(tau) * shifted) / shifted


def errors_on(contour, S, lam, taus, chunk=20000):
    """The six errors, shape (6, times), on one contour; and the defect of two known traces."""
    z, weights = contour.z, contour.weights
    points = one_point(S, contour)
    S = _convert(S, REAL)
    sigma_t = [S.a**2 * s + S.h for s in S.sigmas]
    gamma2 = S.a**2 * _integral(S, S.sigmas) + S.h

    def both(terms):
        return 2 * np.sum(terms).real

    # (1/p) tr 1 and (1/p) tr U
    defects = [
        abs(both(-weights * points.q) - 1),
        abs(both(-weights * z * points.q) / (S.b**2 * gamma2 + S.v2 + S.s2) - 1),
    ]
    phi = [_filter(S, lam, tau, z) for tau in taus]
    c = np.array([-weights * f for f in phi])
    quadratic = np.zeros((2, len(taus)), REAL)
    i, j = np.triu_indices(len(z))
    for start in range(0, len(i), chunk):
        left, right = i[start : start + chunk], j[start : start + chunk]
        twice = np.where(left == right, 1, 2)
        for conjugate in (False, True):
            L, R = _take(points, left), _take(points, right, conjugate)
            for row, K in zip(quadratic, two_point(S, L, R, (fresh, training)), strict=True):
                for n, cn in enumerate(c):
                    other = np.conj(cn[right]) if conjugate else cn[right]
                    row[n] += both(twice * cn[left] * other * K)
    inverse = _integral(S, [1 / s for s in sigma_t])
    out = []
    for n, (f, cn) in enumerate(zip(phi, c, strict=True)):
        lin = both(cn * points.lin)
        score_error = inverse - 2 * lin + quadratic[0, n] / S.h
        test_loss = 1 - S.h * inverse + S.h * score_error
        memorization_loss = 1 - 2 * S.h * lin + quadratic[1, n]
        train_loss = 1 + both(-weights * (z * f**2 - 2 * f) * points.K)
        slopes = [both(cn * k) for k in points.kappa]
        miss = [(1 / s - k) ** 2 for s, k in zip(sigma_t, slopes, strict=True)]
        bias2 = _integral(S, sigma_t, miss)
        out.append(
            (score_error, test_loss, train_loss, memorization_loss, bias2, score_error - bias2)
        )
    return np.array(out).T, max(defects)


def flow(S, lam, taus, digits=(12, 15)):
    """The six errors of gradient flow at the times `taus`, ridge lam >= 0: a `Flow`.

    `digits` are those that the trapezoid rule aims for on the two contours; the estimate is
    relative to max(value, 1), and is that of the coarser one.
    """
    (coarse, defect1), (fine, defect2) = (
        errors_on(ellipse(S, lam, max(taus), d, height), S, lam, taus)
        for d, height in zip(digits, (0.7, 0.8), strict=True)
    )
    difference = abs(fine - coarse) / np.maximum(abs(fine), 1)
    estimate = np.maximum(difference.max(axis=0), max(defect1, defect2))
    return Flow(*fine.astype(float), estimate.astype(float))


# ----------------------------------------------------------------------------------------------
# section 7
# ----------------------------------------------------------------------------------------------


def density(S, x):
    """(density of eigenvalues of U at x > 0, error estimate).

    Section 4 at lam = -x - iy is followed from y = 1000 (lambda_max + x) down to y = 1e-9 x and
    then solved at y = 0 itself.  The estimate is the distance to the extrapolation to y = 0
    from three larger y.  Raises ArithmeticError next to the edge of a bulk.
    """
    double, long = _convert(S, float), _convert(S, REAL)
    top = 1e3 * (largest_eigenvalue(S) + x)

    def path(log_y):
        return complex(-x, -math.exp(log_y))

    lam = path(math.log(top))
    X = (1 / lam, 1 / lam, 1 / lam)
    for _ in range(60):
        X = _equations(double, lam, X)[0]
    here = math.log(top)
    seen = {}
    heights = (4e-8, 2e-8, 1e-8, 1e-9)
    log_ys = [
        *np.arange(here - 0.5, math.log(1e-4 * x), -0.5),
        *np.log(np.multiply(heights, x)),
    ]
    for there in map(float, log_ys):
        X = _follow(double, path, here, there, X)
        here = there
        seen[there] = X
    samples = []
    for log_y, start in list(seen.items())[-4:-1]:
        lam = COMPLEX(path(log_y))
        samples.append(_polish(long, lam, start)[2].imag)
    f4, f2, f1 = samples
    extrapolated = f4 / 3 - 2 * f2 + 8 * f1 / 3
    at_zero = _newton(double, complex(-x, 0.0), X)
    if at_zero is None:
        raise ArithmeticError("at an edge")
    q = _polish(long, COMPLEX(-x), at_zero)[2]
    return float(q.imag / np.pi), float(abs(q.imag - extrapolated) / np.pi)
