"""Independent reference for any prediction target, from docs/theory.md's section 14 alone.

The target is c_x x + c_z z for any numbers; what the package calls a process or a target is
here a pair (a, h) and a pair (c_x, c_z), each written out by hand below.

Ridge: as `oracle`, numerical derivatives at high precision of the deformed one-point equations,
which need no corners; `explained` derives the target's part.  Gradient flow: as `flow_oracle`,
on its contour and from its corners, with section 14's K_C and K_mem as printed.  Infinitely
much data: the regression on the population, which knows nothing of sections 4 to 6.
"""

from collections import namedtuple

import flow_oracle
import numpy as np
import oracle
from mpmath import mp, mpf

Errors = namedtuple("Errors", oracle.Solution._fields[3:9])
Errors.__doc__ = "The six errors: losses in the target's units, the rest of the implied score."
Moments = namedtuple("Moments", "null best gain sigma_t star")
Moments.__doc__ = """What a target is before anything is learned: the losses of o = 0 and of
E[tau | y] (section 14), score_error = gain (test_loss - best), and sigma_t, tau* by
eigenvalue."""


# ----------------------------------------------------------------------------------------------
# processes and targets
# ----------------------------------------------------------------------------------------------


def process(kind, *numbers):
    """((a, h), (da/ds, d sqrt(h)/ds)): "ou" t, "vp" alpha_bar, "ve" sigma, "fm" t, "edm" sigma,
    sigma_data.

    Velocities in the time s that makes them simplest: the angle with tan s = sqrt(h)/a for the
    first two, sigma, t, and the angle with tan s = sigma/sigma_data: a = cos(s)/sigma_data,
    sqrt(h) = sin(s) there.
    """
    numbers = [mpf(x) for x in numbers]
    if kind in ("ou", "vp"):
        a, h = (
            oracle.ornstein_uhlenbeck(numbers[0], mp.dps)
            if kind == "ou"
            else (mp.sqrt(numbers[0]), 1 - numbers[0])
        )
        return (a, h), (-mp.sqrt(h), a)
    if kind == "ve":
        return (mpf(1), numbers[0] ** 2), (mpf(0), mpf(1))
    if kind == "fm":
        return (1 - numbers[0], numbers[0] ** 2), (mpf(-1), mpf(1))
    sigma, sigma_data = numbers
    c_in = 1 / mp.sqrt(sigma**2 + sigma_data**2)
    cos, sin = sigma_data * c_in, sigma * c_in
    return (cos / sigma_data, sin**2), (-sin / sigma_data, cos)


def target(kind, velocity):
    """(c_x, c_z): "score", "noise", "data", "velocity", "preconditioned", or a pair."""
    fixed = {"score": (0, -1), "noise": (0, 1), "data": (1, 0), "velocity": velocity}
    fixed["preconditioned"] = tuple(-c for c in velocity)
    return tuple(map(mpf, fixed.get(kind, kind)))


def moments(S, c_x, c_z):
    """`Moments`; S has a, h, sigmas, weights."""
    root = S.h ** (type(S.h)(1) / 2)
    sigma_t = [S.a**2 * s + S.h for s in S.sigmas]
    star = [S.a * c_x * s + root * c_z for s in S.sigmas]
    null = c_z**2 + c_x**2 * sum(w * s for w, s in zip(S.weights, S.sigmas, strict=True))
    known = sum(w * t**2 / s for w, t, s in zip(S.weights, star, sigma_t, strict=True))
    gain = S.a**2 / (S.h * (S.a * c_z - root * c_x) ** 2)
    return Moments(null, null - known, gain, sigma_t, star)


# ----------------------------------------------------------------------------------------------
# ridge
# ----------------------------------------------------------------------------------------------

Explained = namedtuple("Explained", "K lin lin_mem slopes")
Explained.__doc__ = "(1/d) tr V^T Q V, (1/d) tr V^T Q V_inf of both kinds, and k_sigma."


def explained(P, X, e, c_x, c_z):
    """K, lin, lin_mem and the learned slopes at the solution X of the deformed equations.

    In the notation of `oracle.deformed_sweep`, whose matrix is U + lam + e U_inf: point i is
    the matrix P_i = [F_i, sqrt e g_i] with F_i = g_i + sqrt u n_i its copies' mean, whose
    target is t_i = c_x x_i + c_z sqrt u z_i; the m - 1 contrasts have c_z z.  So

        V = 1/n sum_i P_i [t_i, 0]^T + contrasts,   E g x^T = T_x = b a W Sigma/sqrt d,
        E n z^T = T_z = b sqrt h W/sqrt d,          (1/d) E |t_i|^2 = X2 + u c_z^2.

    Taking a point out gives Q P_i = Q_(i) P_i R: equal points are (1 - R11) |t_i|^2/d, and

        Q V -> Q V~,   V~ = E P_i R [t_i, 0]^T + (1-u) i1 c_z T_z
                          = c_x (R11 + sqrt e R21) T_x + c_z (u R11 + (1-u) i1) T_z
        R11 + sqrt e R21 = (1 + e dg - e dg)/det = 1/det
        K = (X2 + u c_z^2) (1 - R11) + (1-u) c_z^2 (1 - i1) + (1/d) tr V~^T Q V~.

    Per direction sigma W^T Q W/d is psi_p q D, and V~ is b W tau/sqrt d, tau = a c_x sigma/det
    + sqrt h c_z alpha.  lin has E f tau^T = c_x T_x + c_z T_z beside V~ (no deformation).

    lin_mem has 1/n sum_i g_i c_x x_i^T + c_z T_z there: V's own point gives X2 F_i^T Q g_i/n =
    X2 i0 dg; the others V~^T Q c_x x_i's g_i - F_i i0 dg (Q g_i with the point taken out), that
    is (1 - i0 dg) c_x T_x.

    The mean output is V~^T Q b W y/sqrt d: slope b^2 psi_p q D tau.
    """
    Eg, Es, q = X
    dg, ds = P.ratio * Eg, P.u * P.ratio * Es
    det = 1 + dg + ds + e.memory * dg * (1 + ds)
    R11, i1 = (1 + e.memory * dg) / det, 1 / (1 + ds)
    alpha = P.u * R11 + (1 - P.u) * i1
    c_g = (1 + e.memory * (1 + ds)) / det
    root = mp.sqrt(P.h)
    K = P.u * c_z**2 * (1 - R11) + (1 - P.u) * c_z**2 * (1 - i1)
    lin = lin_mem = mpf(0)
    slopes = []
    for s, w in zip(P.sigmas, P.weights, strict=True):
        Y = (P.ba * c_g + e.e_sigma) * s + P.bh * (alpha + e.memory) + e.e_i
        size = P.b**2 * P.psi_p * q / (1 + P.psi_p * q * Y)
        data, noise = P.a * c_x * s, root * c_z
        tau = data / det + noise * alpha
        K += w * (c_x**2 * s * (1 - R11) + size * tau**2)
        lin += w * size * tau * (data + noise)
        own = c_x**2 * s * dg / det
        lin_mem += w * (own + size * tau * (data * (1 - dg / det) + noise))
        slopes.append(size * tau)
    return Explained(K, lin, lin_mem, slopes)


def _derivative(kind, P, X, matrix, digits, targets):
    """-dK/d epsilon of each target, as `oracle.two_point`."""
    unit, norm = oracle.unit_deformations(P)[kind]
    step = P.lam * mpf(10) ** -digits / (norm if norm else 1)
    K = []
    for e in (step, -step):
        deformation = oracle.Deformation(*(e * x for x in unit))
        there = oracle.polish(X, P, deformation, matrix)
        K.append([explained(P, there, deformation, *c).K for c in targets])
    return [-(plus - minus) / (2 * step) for plus, minus in zip(*K, strict=True)]


def _ridge(P, X, digits, targets):
    X = oracle.polish(X, P)
    matrix = oracle.newton_matrix(X, P)
    fresh, memory, minus_K_prime = (
        _derivative(kind, P, X, matrix, digits, targets)
        for kind in ("fresh", "memory", "identity")
    )
    out = []
    for i, c in enumerate(targets):
        at, known = explained(P, X, oracle.NONE, *c), moments(P, *c)
        test_loss = known.null - 2 * at.lin + fresh[i]
        score_error = known.gain * (test_loss - known.best)
        miss = [
            w * s * (t / s - k) ** 2
            for w, s, t, k in zip(P.weights, known.sigma_t, known.star, at.slopes, strict=True)
        ]
        bias2 = known.gain * mp.fsum(miss)
        out.append(
            Errors(
                score_error,
                test_loss,
                known.null - at.K - P.lam * minus_K_prime[i],
                known.null - 2 * at.lin_mem + memory[i],
                bias2,
                score_error - bias2,
            )
        )
    return out, X


def ridge(psi_n, psi_p, m, lam, noising, constants, eigenvalues, weights, targets, dps=30):
    """`Errors` of each target (c_x, c_z): mpf, to 1e-20 of the larger of the value and 1e-10.

    noising: (a, h).  constants: `oracle.Constants`.  Computed twice, at different precisions
    and derivative steps; ArithmeticError where they differ.
    """
    law = (constants.b, constants.v2, constants.s2, eigenvalues, weights)
    before = X = None
    for factor in (3, 4):
        digits = dps * factor // 6
        with mp.workdps(4 * digits):
            P = oracle.parameters(psi_n, psi_p, m, lam, *noising, *law)
            pairs = [tuple(map(mpf, c)) for c in targets]
            errors, X = _ridge(P, X or oracle._float_start(P), digits, pairs)
        if before is not None:
            for new, old in zip(sum(errors, ()), sum(before, ()), strict=True):
                if abs(new - old) > mpf(10) ** -20 * max(abs(new), mpf(10) ** -10):
                    raise ArithmeticError(f"{mp.nstr(new, 30)} and {mp.nstr(old, 30)}")
        before = errors
    return errors


# ----------------------------------------------------------------------------------------------
# gradient flow
# ----------------------------------------------------------------------------------------------


def setting(psi_n, psi_p, m, noising, constants, eigenvalues, weights):
    """A `flow_oracle.Setting` of mpf for any (a, h)."""
    u = mpf(0) if mp.isinf(m) else 1 / mpf(m)
    psi_n, psi_p = mpf(psi_n), mpf(psi_p)
    c, law = constants, (tuple(map(mpf, eigenvalues)), tuple(map(mpf, weights)))
    a, h = map(mpf, noising)
    return flow_oracle.Setting(psi_n, psi_p, psi_p / psi_n, u, a, h, c.b, c.v2, c.s2, *law)


def _taus(S, c_x, c_z, i0, alpha):
    return [S.a * c_x * s * i0 + np.sqrt(S.h) * c_z * alpha for s in S.sigmas]


def one_point(S, point, c_x, c_z):
    """`Explained` of section 14 as printed, at arrays of points."""
    known, X2 = moments(S, c_x, c_z), c_x**2 * flow_oracle._integral(S, S.sigmas)
    taus = _taus(S, c_x, c_z, point.i0, point.alpha)
    slopes = [S.b**2 * S.psi_p * point.q * D * t for D, t in zip(point.D, taus, strict=True)]
    others = _taus(S, c_x, c_z, 1 - point.i0 * point.eta, 1)
    K = (X2 + S.u * c_z**2) * (1 - point.i0) + (1 - S.u) * c_z**2 * (1 - point.i1)
    K = K + flow_oracle._integral(S, slopes, taus)
    lin = flow_oracle._integral(S, slopes, known.star)
    lin_mem = X2 * point.i0 * point.eta + flow_oracle._integral(S, slopes, others)
    return Explained(K, lin, lin_mem, slopes)


def two_point(S, L, R, corner, training, c_x, c_z):
    """K_C, or K_mem for training data, of section 14 as printed."""
    X2 = c_x**2 * flow_oracle._integral(S, S.sigmas)
    tau_L, tau_R = (_taus(S, c_x, c_z, o.i0, o.alpha) for o in (L, R))
    of_L, of_R = (
        _taus(S, c_x, c_z, corner.M - (o.i0 * o.eta if training else 0), corner.alpha)
        for o in (L, R)
    )
    total = (X2 + S.u * c_z**2) * corner.M + (1 - S.u) * c_z**2 * corner.I1
    for w, tL, tR, oL, oR, Dq, DL, DR in zip(
        S.weights, tau_L, tau_R, of_L, of_R, corner.Dq, L.D, R.D, strict=True
    ):
        bent = tL * Dq * tR + oL * DR * R.q * tR + tL * DL * L.q * oR
        total = total - S.b**2 * S.psi_p * w * bent
    return total


def _errors_on(contour, S, lam, spans, targets, chunk=20000):
    """The six errors, shape (targets, 6, spans), on one contour; S in longdouble."""
    z, weights, spans = contour.z, contour.weights, [flow_oracle.REAL(x) for x in spans]
    points = flow_oracle.one_point(S, contour)
    S = flow_oracle._convert(S, flow_oracle.REAL)

    def both(terms):
        return 2 * np.sum(terms).real

    shifted = z + flow_oracle.REAL(lam)
    phi = [-np.expm1(-span * shifted) / shifted for span in spans]
    c = np.array([-weights * f for f in phi])
    quadratic = np.zeros((len(targets), 2, len(spans)), flow_oracle.REAL)
    i, j = np.triu_indices(len(z))
    for start in range(0, len(i), chunk):
        left, right = i[start : start + chunk], j[start : start + chunk]
        # K is symmetric under exchange of the points
        twice = np.where(left == right, 1, 2)
        for conjugate in (False, True):
            L = flow_oracle._take(points, left)
            R = flow_oracle._take(points, right, conjugate)
            corners = flow_oracle.corners(S, L, R, (flow_oracle.fresh, flow_oracle.training))
            for k, pair in enumerate(targets):
                for training, corner in enumerate(corners):
                    K = two_point(S, L, R, corner, training, *pair)
                    for n, cn in enumerate(c):
                        other = np.conj(cn[right]) if conjugate else cn[right]
                        quadratic[k, training, n] += both(twice * cn[left] * other * K)
    out = []
    for k, pair in enumerate(targets):
        known, at = moments(S, *pair), one_point(S, points, *pair)
        for n, (f, cn) in enumerate(zip(phi, c, strict=True)):
            test_loss = known.null - 2 * both(cn * at.lin) + quadratic[k, 0, n]
            memorization = known.null - 2 * both(cn * at.lin_mem) + quadratic[k, 1, n]
            train_loss = known.null + both(-weights * (z * f**2 - 2 * f) * at.K)
            score_error = known.gain * (test_loss - known.best)
            miss = [
                (t / s - both(cn * slope)) ** 2
                for s, t, slope in zip(known.sigma_t, known.star, at.slopes, strict=True)
            ]
            bias2 = known.gain * flow_oracle._integral(S, known.sigma_t, miss)
            variance = score_error - bias2
            out.append((score_error, test_loss, train_loss, memorization, bias2, variance))
    return np.array(out).reshape(len(targets), len(spans), 6).transpose(0, 2, 1)


def flow(S, lam, spans, targets, digits=(10, 12)):
    """`Errors` of each target: arrays, one entry for each span kappa tau = 2 w^2 tau/psi_p.

    S: a `setting`.  lam: ridge >= 0.  On two contours, which must agree to 1e-9 of the larger
    of the value and 1, else ArithmeticError.
    """
    longest = max(spans) * float(S.psi_p / (2 * S.h))  # `ellipse` thinks of kappa = 2h/psi_p
    with mp.workdps(30):
        pairs = [tuple(flow_oracle.REAL(mp.nstr(mpf(x), 25)) for x in c) for c in targets]
    coarse, fine = (
        _errors_on(flow_oracle.ellipse(S, lam, longest, d, height), S, lam, spans, pairs)
        for d, height in zip(digits, (0.7, 0.8), strict=True)
    )
    if np.max(abs(fine - coarse) / np.maximum(abs(fine), 1)) > 1e-9:
        raise ArithmeticError("the contours disagree")
    return [Errors(*errors.astype(float)) for errors in fine]


# ----------------------------------------------------------------------------------------------
# infinitely much data
# ----------------------------------------------------------------------------------------------


def population_test_loss(psi_p, lam, noising, constants, eigenvalues, weights, c_x, c_z):
    """The test loss of ridge on the population itself, psi_n = infinity, mpf.

    There U = C = E f f^T = b^2 W Sigma_t W^T/d + v^2 + s^2 and V = T = E f tau^T = b W
    tau*(Sigma)/sqrt d; with one Wishart matrix r = (1/p) tr (C+lam)^-1 is Marchenko-Pastur's,

        1/r = lam + v^2 + s^2 + int rho b^2 sigma_t/(1 + psi_p r b^2 sigma_t),

    G(lam) = (1/d) tr T^T (C+lam)^-1 T = b^2 psi_p r int rho tau*^2/(1 + psi_p r b^2 sigma_t).
    Q C Q = Q - lam Q^2, hence test_loss = null - 2G + (G + lam G') = null - G + lam G'.
    """
    a, h = map(mpf, noising)
    b2, rest = constants.b**2, constants.v2 + constants.s2
    law = [(mpf(w), mpf(s)) for w, s in zip(weights, eigenvalues, strict=True)]
    total = mp.fsum(w for w, _ in law)
    terms = [(w / total, b2 * (a**2 * s + h), a * c_x * s + mp.sqrt(h) * c_z) for w, s in law]
    null = c_z**2 + c_x**2 * mp.fsum(w * s for w, s in law) / total

    def G(lam):
        def mismatch(log_r):  # increasing in log r
            r = mp.exp(log_r)
            return r * (lam + rest + sum(w * e / (1 + psi_p * r * e) for w, e, _ in terms)) - 1

        low, high = mp.log(mpf(10) ** -20), -mp.log(lam + rest)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if mismatch(middle) < 0 else (low, middle)
        r = mp.exp(mp.findroot(mismatch, (low, high), solver="secant", tol=mpf(10) ** -70))
        return b2 * psi_p * r * sum(w * t**2 / (1 + psi_p * r * e) for w, e, t in terms)

    with mp.workdps(40):
        lam, psi_p = mpf(lam), mpf(psi_p)
        return null - G(lam) + lam * mp.diff(G, lam)
