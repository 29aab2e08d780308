"""High-precision reference for the theory of docs/theory.md, written from its equations alone.

Pure Python and mpmath.  It shares no code and no algebra with the package it is used to test:

* section 3 (constants) from closed forms, or from Hermite coefficients of tanh, or by
  quadrature for a user's function;
* section 4 (one-point equations) by Newton in other unknowns than the package's, checked
  against the printed equations;
* the three two-point numbers of the ridge errors (K_C, K_mem, -K') NOT by section 5's corner
  algebra but as numerical derivatives of the deformed one-point equations at high precision,
  see `deformed_sweep`;
* section 5's rule as printed, `section5_two_point`, only so that a test can hold it against the
  above.

Inputs are taken as exact numbers: a float 0.1 means the double nearest to 0.1.
"""

import bisect
import itertools
import math
from collections import namedtuple
from functools import cache, lru_cache
from operator import mul

from mpmath import mp, mpf

Constants = namedtuple("Constants", "mu0 b v2 s2")

Solution = namedtuple(
    "Solution",
    "delta0 delta1 q score_error test_loss train_loss memorization_loss bias2 variance "
    "agreement",
)
Solution.__doc__ = """What `solve` returns.  `agreement` is the largest relative difference,
over all the other fields, between two computations at different precisions and different
derivative steps."""


# ----------------------------------------------------------------------------------------------
# section 3: constants of the activation
# ----------------------------------------------------------------------------------------------


def ornstein_uhlenbeck(t, dps=100):
    """(a, h) = (e^-t, 1 - e^-2t) (section 1) to `dps` digits."""
    with mp.workdps(dps):
        t = mpf(t)
        return mp.exp(-t), -mp.expm1(-2 * t)


def constants(activation, a, h, sigma_x2, dps=40, kinks=()):
    """mu0, b, v2, s2 of section 3, v2 and s2 *relatively* accurate however small they are.

    activation: "tanh", "erf", "sin", "cos", "sigmoid", "silu", "gelu", "relu", ("leaky_relu",
    slope), ("polynomial", [coefficients from low to high]), an mpmath callable (its kinks or
    jumps, in its own argument, in `kinks`), or a tuple (callable, kinks).

    Accuracy: closed forms to about `dps` digits; tanh, sigmoid, silu and callables without
    kinks to 10^(8-dps) of E f^2 (so that s2, small at t = 1e-4, has some 6 digits fewer; more
    digits and time with a larger dps); callables with kinks to about 1e-24 (they do not use
    `dps`).  A callable that is too steep for the method raises ArithmeticError rather than
    returning something inaccurate.
    """
    if isinstance(activation, tuple) and callable(activation[0]):
        activation, kinks = activation
    if callable(activation) and kinks:
        return _constants_with_kinks(activation, tuple(kinks), a, h, sigma_x2)
    # v2 = c(r) - mu0^2 - ... loses up to 3 log10(1/r) < 30 digits at t = 10
    with mp.workdps(2 * dps + 40):
        linear = mpf(a) ** 2 * mpf(sigma_x2)
        gamma2 = linear + mpf(h)
        r, one_minus_r = linear / gamma2, mpf(h) / gamma2
        name = activation[0] if isinstance(activation, tuple) else activation
        if name in CLOSED_FORMS:
            values = CLOSED_FORMS[name](gamma2, r, one_minus_r)
        elif name == "leaky_relu":
            values = _leaky_relu(mpf(activation[1]), gamma2, r, one_minus_r)
        elif name == "polynomial":
            values = _polynomial([mpf(c) for c in activation[1]], gamma2, r, one_minus_r)
        else:
            if not callable(name) and name not in EVEN_AND_ODD_PARTS:
                raise ValueError(f"unknown activation {activation!r}")
            values = _from_hermite(
                _hermite_coefficients(name, mp.nstr(gamma2, dps + 5), dps),
                gamma2,
                r,
                one_minus_r,
            )
    with mp.workdps(dps):
        return Constants(*(+mpf(x) for x in values))


def _from_hermite(c, gamma2, r, one_minus_r):
    """v2 = sum_{k>=2} c_k^2 r^k, s2 = sum_{k>=2} c_k^2 (1 - r^k), mu0 = c_0, b = c_1/Gamma
    (section 3)."""
    v2 = s2 = mpf(0)
    power, deficit = r, one_minus_r  # r^k and 1 - r^k, the latter as (1 - r) + r (1 - r^(k-1))
    for ck in c[2:]:
        power, deficit = power * r, one_minus_r + r * deficit
        v2 += ck * ck * power
        s2 += ck * ck * deficit
    return c[0], c[1] / mp.sqrt(gamma2), v2, s2


def _erf(gamma2, r, one_minus_r):
    """c(r) = (2/pi) asin(2 r Gamma^2/(1 + 2 Gamma^2)) (arcsine kernel), b = E erf'."""

    def c(r):
        return 2 / mp.pi * mp.asin(2 * r * gamma2 / (1 + 2 * gamma2))

    b = 2 / mp.sqrt(mp.pi * (1 + 2 * gamma2))
    return mpf(0), b, c(r) - b**2 * r * gamma2, c(mpf(1)) - c(r) - b**2 * one_minus_r * gamma2


def _sin(gamma2, r, one_minus_r):
    """c(r) = e^-Gamma^2 sinh(r Gamma^2), b = e^-Gamma^2/2."""
    e = mp.exp(-gamma2)
    v2 = e * (mp.sinh(r * gamma2) - r * gamma2)
    s2 = e * (mp.sinh(gamma2) - mp.sinh(r * gamma2) - one_minus_r * gamma2)
    return mpf(0), mp.sqrt(e), v2, s2


def _cos(gamma2, r, one_minus_r):
    """c(r) = e^-Gamma^2 cosh(r Gamma^2), mu0 = e^-Gamma^2/2."""
    e = mp.exp(-gamma2)
    return (
        mp.sqrt(e),
        mpf(0),
        e * (mp.cosh(r * gamma2) - 1),
        e * (mp.cosh(gamma2) - mp.cosh(r * gamma2)),
    )


def _leaky_relu(slope, gamma2, r, one_minus_r):
    """x (1+slope)/2 + |x| (1-slope)/2, with E|y y'| = Gamma^2 (2/pi) (sqrt(1-r^2) + r asin r)
    (arc-cosine kernel)."""

    def absolute(r):
        return gamma2 * 2 / mp.pi * (mp.sqrt(1 - r * r) + r * mp.asin(r))

    half = (1 - slope) / 2
    v2 = half**2 * (absolute(r) - absolute(mpf(0)))
    s2 = half**2 * (gamma2 - absolute(r))
    return half * mp.sqrt(2 * gamma2 / mp.pi), (1 + slope) / 2, v2, s2


def _relu(gamma2, r, one_minus_r):
    return _leaky_relu(mpf(0), gamma2, r, one_minus_r)


def _gelu(gamma2, r, one_minus_r):
    """gelu(y) = y/2 + e(y), e(y) = y erf(y/sqrt2)/2 even.  With C = r Gamma^2, and a Gaussian
    of precision matrix [[p, g], [g, p]]: E y y' F = -(1/Z) d(Z E F)/dg, E erf erf = (2/pi)
    asin(C/(1+Gamma^2)) gives

        E e e' = [ C asin(xi) + (N + 2 g^2)/(N^2 sqrt(1 - xi^2)) ]/(2 pi),   xi = C/(1+Gamma^2),
        g = -r/(Gamma^2 (1-r^2)),  N = (1+Gamma^2)/(Gamma^4 (1-r^2)),
        so that (N + 2 g^2)/N^2 = Gamma^4 (1-r^2)/(1+Gamma^2) + 2 Gamma^4 r^2/(1+Gamma^2)^2.
    """

    def c(r):
        xi = r * gamma2 / (1 + gamma2)
        tail = gamma2**2 * (1 - r * r) / (1 + gamma2) + 2 * xi**2
        return (r * gamma2 * mp.asin(xi) + tail / mp.sqrt(1 - xi * xi)) / (2 * mp.pi)

    mu0 = gamma2 / mp.sqrt(2 * mp.pi * (1 + gamma2))
    return mu0, mpf(1) / 2, c(r) - mu0**2, c(mpf(1)) - c(r)


def _polynomial(coefficients, gamma2, r, one_minus_r):
    """c_k = sqrt(k!) sum_n p_n Gamma^n n!/(2^j j! k!), j = (n-k)/2 (x^n in Hermite
    polynomials)."""
    gamma = mp.sqrt(gamma2)
    c = [mpf(0)] * max(2, len(coefficients))
    for n, p in enumerate(coefficients):
        for k in range(n % 2, n + 1, 2):
            j = (n - k) // 2
            c[k] += (
                p
                * gamma**n
                * mp.sqrt(mp.factorial(k))
                * (math.factorial(n) // (2**j * math.factorial(j) * math.factorial(k)))
            )
    return _from_hermite(c, gamma2, r, one_minus_r)


CLOSED_FORMS = {"erf": _erf, "sin": _sin, "cos": _cos, "relu": _relu, "gelu": _gelu}

# f = even + odd; None stands for zero
EVEN_AND_ODD_PARTS = {
    "tanh": (None, mp.tanh),
    "sigmoid": (lambda x: mpf(1) / 2, lambda x: mp.tanh(x / 2) / 2),
    "silu": (lambda x: x * mp.tanh(x / 2) / 2, lambda x: x / 2),
}


def _parts(f):
    if f in EVEN_AND_ODD_PARTS:
        return EVEN_AND_ODD_PARTS[f]
    return (lambda x: (f(x) + f(-x)) / 2), (lambda x: (f(x) - f(-x)) / 2)


@lru_cache(maxsize=64)
def _hermite_coefficients(f, gamma2_digits, dps, most=10000):
    """c_k = E f(Gamma g) He_k(g)/sqrt(k!), k = 0..K, for f analytic in a strip (tanh and its
    like).

    Trapezoid rule on the half-line for the even and the odd part, in fixed-point integers.  The
    spacing 2^-e is halved until E f^2 no longer moves; K is where Parseval's sum has reached E
    f^2, which also certifies the coefficients.
    """
    digits = dps - 8  # aim for sum c_k^2
    with mp.workdps(dps + 30):
        gamma = mp.sqrt(mpf(gamma2_digits))
        reach = 2 * math.sqrt(math.log(10) * (digits + 6))  # exp(-reach^2/4) = 10^-(digits+6)
        even, odd = _parts(f)

        def on_grid(e):
            """Weights * f parts * sqrt(density) at g = j 2^-e, j >= 0, with sqrt(density)
            apart."""
            points = [mpf(j) / 2**e for j in range(int(reach * 2**e) + 1)]
            root = [mp.exp(-g * g / 4) for g in points]
            scale = 2 / mp.sqrt(2 * mp.pi) / 2**e  # both halves of the line
            weights = [scale / 2] + [scale] * (len(points) - 1)
            parts = [[p(gamma * g) if p else mpf(0) for g in points] for p in (even, odd)]
            f2 = mp.fsum(
                w * d * d * (x * x + y * y)
                for w, d, x, y in zip(weights, root, *parts, strict=False)
            )
            return root, weights, parts, f2

        e, before = 2, None
        while True:
            root, weights, parts, f2 = on_grid(e)
            if before is not None and abs(f2 - before) < mpf(10) ** -digits * f2:
                break
            e, before = e + 1, f2
            if e > 8:
                raise ArithmeticError("too steep for the trapezoid rule")
        bits = int(3.33 * (2 * digits + 25))
        unit = mpf(2) ** bits
        sources = [
            [int(w * d * x * unit) for w, d, x in zip(weights, root, part, strict=False)]
            for part in parts
        ]
        # He_{k+1} = g He_k - k He_{k-1}, times sqrt(density), rescaled by powers of two
        now, last = [int(d * unit) for d in root], [0] * len(root)
        shift, norm2, found, c = 0, mpf(1), mpf(0), []
        for k in range(most):
            total = sum(map(mul, sources[k % 2], now))
            ck = mp.ldexp(mpf(total), shift - 2 * bits) / mp.sqrt(norm2)
            c.append(ck)
            found += ck * ck
            if k >= 3 and k % 8 == 0 and f2 - found < mpf(10) ** -digits * f2:
                if f2 - found < -(mpf(10) ** -digits) * f2:
                    raise ArithmeticError("Parseval's sum overshoots: the grid is too coarse")
                return c
            now, last = (
                [
                    ((j * p) >> e) - k * q
                    for j, (p, q) in enumerate(zip(now, last, strict=False))
                ],
                now,
            )
            norm2 *= k + 1
            excess = max(map(abs, now)).bit_length() - bits
            if excess > 8:
                now, last, shift = (
                    [p >> excess for p in now],
                    [p >> excess for p in last],
                    shift + excess,
                )
        raise ArithmeticError(f"more than {most} Hermite coefficients needed")


# -- a user's function with kinks --------------------------------------------------------------

_KINK_DPS, _KINK_DIGITS = 40, 28


@cache
def _gauss_legendre(n):
    """Nodes and weights on [-1, 1]."""
    with mp.workdps(_KINK_DPS + 10):
        rule = []
        for i in range(n):
            x = mp.cos(mp.pi * (i + mpf(3) / 4) / (n + mpf(1) / 2))
            for _ in range(8):
                p0, p1 = mpf(1), x
                for k in range(2, n + 1):
                    p0, p1 = p1, ((2 * k - 1) * x * p1 - (k - 1) * p0) / k
                slope = n * (x * p1 - p0) / (x * x - 1)
                x -= p1 / slope
            rule.append((x, 2 / ((1 - x * x) * slope**2)))
        return rule


def _gaussian_rule(breaks, n, reach):
    """Nodes and weights (density of N(0,1) included) on [-reach, reach] in panels of length <=
    2, split at `breaks`."""
    edges = sorted(
        {
            mpf(-reach),
            mpf(reach),
            *map(mpf, range(-reach + 2, reach, 2)),
            *(x for x in breaks if abs(x) < reach),
        }
    )
    root = mp.sqrt(2 * mp.pi)
    out = []
    for left, right in itertools.pairwise(edges):
        if right - left < mpf(10) ** -30:
            continue
        middle, half = (left + right) / 2, (right - left) / 2
        for x, w in _gauss_legendre(n):
            g = middle + half * x
            out.append((g, half * w * mp.exp(-g * g / 2) / root))
    return out


@lru_cache(maxsize=64)
def _kinked_moments(f, kinks, gamma_digits):
    """Nodes per panel that suffice, E f^2, and c_0, c_1, ... c_69."""
    gamma, reach = mpf(gamma_digits), 12
    breaks = [mpf(k) / gamma for k in kinks]
    before = None
    for n in range(14, 60, 6):
        rule = [
            (g, w * f(gamma * g), f(gamma * g)) for g, w in _gaussian_rule(breaks, n, reach)
        ]
        f2 = mp.fsum(wf * y for _, wf, y in rule)
        if before is not None and abs(f2 - before) < mpf(10) ** -(_KINK_DIGITS - 2) * f2:
            break
        before = f2
    else:
        raise ArithmeticError("too steep between its kinks")
    c, h0, h1 = [], [mpf(0)] * len(rule), [mpf(1)] * len(rule)
    for k in range(70):
        c.append(mp.fsum(wf * y for (_, wf, _), y in zip(rule, h1, strict=False)))
        up, down = 1 / mp.sqrt(mpf(k + 1)), mp.sqrt(mpf(k) / (k + 1))
        h0, h1 = (
            h1,
            [g * y * up - z * down for (g, _, _), y, z in zip(rule, h1, h0, strict=False)],
        )
    return n, f2, c


def _constants_with_kinks(f, kinks, a, h, sigma_x2):
    """r < 0.35: Hermite series.  Else c(r) = E f(Gamma g) E[f(Gamma g') | g], Gauss-Legendre in
    panels split at the kinks of the inner and of the outer integral, the outer ones graded down
    to the width of the inner Gaussian. s2 = E f^2 - c(r) - b^2 h keeps about 24 digits at t =
    1e-4, since s2 is of order h there."""
    with mp.workdps(_KINK_DPS):
        linear = mpf(a) ** 2 * mpf(sigma_x2)
        gamma2 = linear + mpf(h)
        r = linear / gamma2
        digits = mp.nstr(mp.sqrt(gamma2), _KINK_DPS - 4)
        gamma = mpf(digits)
        n, f2, c = _kinked_moments(f, kinks, digits)
        b = c[1] / gamma
        if r < mpf("0.35"):
            v2 = mp.fsum(c[k] ** 2 * r**k for k in range(2, len(c)))
            return Constants(c[0], b, v2, f2 - c[0] ** 2 - c[1] ** 2 - v2)
        width, reach = mp.sqrt((mpf(h) / gamma2) * (1 + r)), 12
        at = [mpf(k) / gamma for k in kinks]
        outer_breaks = list(at)
        for k in at:
            outer_breaks += [
                k / r + sign * 2 * width / r * j for sign in (-1, 1) for j in range(7)
            ]
            outer_breaks += [k + sign * 2 * width / r * j for sign in (-1, 1) for j in range(7)]
        inner_whole = _gaussian_rule((), n, reach)
        panels = [inner_whole[i * n : (i + 1) * n] for i in range(reach)]
        edges = [-reach + 2 * i for i in range(reach + 1)]
        total = mpf(0)
        for g, w in _gaussian_rule(outer_breaks, n, reach):
            y = f(gamma * g)
            if y == 0:
                continue
            cuts = {}
            for k in at:
                z = (k - r * g) / width
                if abs(z) < reach:
                    cuts.setdefault(bisect.bisect(edges, z) - 1, []).append(z)
            centre, slope = gamma * r * g, gamma * width
            inner = mpf(0)
            for i, panel in enumerate(panels):
                rule = _panel_rule(edges[i], edges[i + 1], cuts[i], n) if i in cuts else panel
                inner += mp.fsum(wz * f(centre + slope * z) for z, wz in rule)
            total += w * y * inner
        return Constants(c[0], b, total - c[0] ** 2 - c[1] ** 2 * r, f2 - total - b**2 * mpf(h))


def _panel_rule(left, right, cuts, n):
    root = mp.sqrt(2 * mp.pi)
    edges = [mpf(left), *sorted(cuts), mpf(right)]
    out = []
    for lo, hi in itertools.pairwise(edges):
        middle, half = (lo + hi) / 2, (hi - lo) / 2
        for x, w in _gauss_legendre(n):
            z = middle + half * x
            out.append((z, half * w * mp.exp(-z * z / 2) / root))
    return out


# ----------------------------------------------------------------------------------------------
# section 4: the one-point equations
# ----------------------------------------------------------------------------------------------

Parameters = namedtuple(
    "Parameters", "ratio psi_n psi_p u lam a h b v2 s2 ba bh sigmas weights"
)
Deformation = namedtuple("Deformation", "e_x e_sigma e_i memory")
Deformation.__doc__ = """U + lam -> U + lam + (e_x I + e_sigma W Sigma W^T/d + e_i W W^T/d) +
memory U_inf, memory a number; e_sigma and e_i contain b^2 a^2 and b^2 h."""
NONE = Deformation(0, 0, 0, 0)


def parameters(psi_n, psi_p, m, lam, a, h, b, v2, s2, eigenvalues, weights):
    """Numbers as mpf, u = 1/m, ba = b^2 a^2, bh = b^2 h; weights are normalised to sum to 1
    exactly (with binary floats 0.1 + 0.2 + ... they would not, and errors of 1e-26 would
    notice)."""
    psi_n, psi_p, lam, a, h, b, v2, s2 = map(mpf, (psi_n, psi_p, lam, a, h, b, v2, s2))
    u = mpf(0) if mp.isinf(m) else 1 / mpf(m)
    sigmas = tuple(map(mpf, eigenvalues))
    weights = tuple(map(mpf, weights))
    total = mp.fsum(weights)
    weights = tuple(w / total for w in weights)
    if not (
        psi_n > 0
        and psi_p > 0
        and lam > 0
        and h > 0
        and 0 <= u <= 1
        and min(v2, s2, *sigmas) >= 0
    ):
        raise ValueError("outside the theory's domain")
    return Parameters(
        psi_p / psi_n,
        psi_n,
        psi_p,
        u,
        lam,
        a,
        h,
        b,
        v2,
        s2,
        b**2 * a**2,
        b**2 * h,
        sigmas,
        weights,
    )


def deformed_sweep(X, P, e):
    """Right-hand sides of the one-point equations of U + lam + deformation, and alpha, G.

    Derivation (Gaussian equivalents of section 3, W fixed).  f_ij = g_i + n_ij with g_i = b a W
    x_i/sqrt d + v omega_i of covariance S_g = b^2 a^2 W Sigma W^T/d + v^2 and n_ij of
    covariance S_s = b^2 h W W^T/d + s^2, E n z^T = T = b sqrt h W/sqrt d.  Rotated, the copies
    of point i are one mean vector sqrt m (g_i + sqrt u n_i) with noise z_i, and m - 1
    contrasts, which are n_i-like.  Hence

        U = 1/n sum_i (g_i + sqrt u n_i)(g_i + sqrt u n_i)^T + 1/(nm) sum contrasts.

    The training-data deformation is  e U_inf = e S_s + e/n sum_i g_i g_i^T.  It belongs to the
    same points, so point i enters with the p x 2 matrix P_i = [g_i + sqrt u n_i, sqrt e g_i]:
    Woodbury for the point gives, with

        Delta = (1/n) P^T Q P = [[dg + ds, sqrt e dg], [sqrt e dg, e dg]],
        dg = (1/n) tr S_g Q,  ds = (u/n) tr S_s Q,

    R = (1 + Delta)^{-1} and E P R P^T = S_g (R11 + 2 sqrt e R12 + e R22) + u S_s R11, that is

        det = 1 + dg + ds + e dg (1 + ds)
        c_g = (1 + e (1 + ds))/det       in front of S_g
        c_s = (1 + e dg)/det  (= R11)    in front of u S_s
        Q = (lam + c_g S_g + (u c_s + (1-u) i1 + e) S_s)^{-1},    i1 = 1/(1 + ds)
        (note ds = delta1, dg + ds = delta0)

    For K = (1/d) tr V^T Q V, V = 1/n sum_i P_i [sqrt u z_i, 0]^T + contrasts: equal points give
    1 - R, so u (1 - R11) + (1-u)(1 - i1) = 1 - alpha, and different points E P R [sqrt u z,
    0]^T = u R11 T, so alpha^2 G:

        alpha = u c_s + (1-u) i1,   G = (1/d) tr T^T Q T,   K = 1 - alpha + alpha^2 G.

    Finding: d/de at 0 of c_g is i0_o + (1 - i0 eta)^2 and of c_s it is i0_o + (i0 eta)^2 with
    eta = dg; these are M + g and M of section 5's training-data rule.  Section 5 is right,
    including e_x = s^2, e_sigma = 0, e_I = b^2 h.

    W is then averaged: Q = (x + W Y(Sigma) W^T/d)^{-1}, 1/q = x + int rho Y D, D = 1/(1 + psi_p
    q Y). Unknowns X = (Eg, Es, q) with dg = ratio Eg, ds = u ratio Es: no case at u = 0 or 1.
    """
    Eg, Es, q = X
    dg, ds = P.ratio * Eg, P.u * P.ratio * Es
    det = 1 + dg + ds + e.memory * dg * (1 + ds)
    c_g = (1 + e.memory * (1 + ds)) / det
    alpha = P.u * (1 + e.memory * dg) / det + (1 - P.u) / (1 + ds)
    in_front_of_s = alpha + e.memory
    x = P.lam + P.v2 * c_g + P.s2 * in_front_of_s + e.e_x
    of_sigma, of_one = P.ba * c_g + e.e_sigma, P.bh * in_front_of_s + e.e_i
    psi_q = P.psi_p * q
    sum_D = sum_sD = sum_YD = 0
    for s, w in zip(P.sigmas, P.weights, strict=False):
        Y = of_sigma * s + of_one
        wD = w / (1 + psi_q * Y)
        sum_D += wD
        sum_sD += wD * s
        sum_YD += wD * Y
    F = (q * (P.ba * sum_sD + P.v2), q * (P.bh * sum_D + P.s2), 1 / (x + sum_YD))
    return F, alpha, P.bh * psi_q * sum_D


def newton_matrix(X, P):
    """1 - d log F/d log X at no deformation."""
    Eg, Es, q = X
    dg, ds = P.ratio * Eg, P.u * P.ratio * Es
    i0, i1 = 1 / (1 + dg + ds), 1 / (1 + ds)
    alpha = P.u * i0 + (1 - P.u) * i1
    d_i0 = (-dg * i0 * i0, -ds * i0 * i0, 0)
    d_alpha = (P.u * d_i0[0], P.u * d_i0[1] - (1 - P.u) * ds * i1 * i1, 0)
    x = P.lam + P.v2 * i0 + P.s2 * alpha
    dx = [P.v2 * g + P.s2 * s for g, s in zip(d_i0, d_alpha, strict=False)]
    sum_D = sum_sD = sum_YD = 0
    dD, dsD, dYD = [0] * 3, [0] * 3, [0] * 3
    for s, w in zip(P.sigmas, P.weights, strict=False):
        Y = P.ba * i0 * s + P.bh * alpha
        D = 1 / (1 + P.psi_p * q * Y)
        sum_D, sum_sD, sum_YD = sum_D + w * D, sum_sD + w * s * D, sum_YD + w * Y * D
        for j in range(3):
            dY = P.ba * s * d_i0[j] + P.bh * d_alpha[j]
            slope = -P.psi_p * q * D * D * (dY + (Y if j == 2 else 0))
            dD[j] += w * slope
            dsD[j] += w * s * slope
            dYD[j] += w * (dY * D + Y * slope)
    Ag, As, B = P.ba * sum_sD + P.v2, P.bh * sum_D + P.s2, x + sum_YD
    rows = []
    for i in range(3):
        row = []
        for j in range(3):
            if i == 0:
                value = (P.ba * dsD[j] / Ag if Ag else 0) + (1 if j == 2 else 0)
            elif i == 1:
                value = (P.bh * dD[j] / As if As else 0) + (1 if j == 2 else 0)
            else:
                value = -(dx[j] + dYD[j]) / B
            row.append((1 if i == j else 0) - value)
        rows.append(row)
    return rows


def solve3(A, y):
    """A z = y by elimination with row pivoting (floats or mpf)."""
    A = [[*list(row), rhs] for row, rhs in zip(A, y, strict=False)]
    n = len(A)
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(A[k][i]))
        A[i], A[pivot] = A[pivot], A[i]
        for k in range(i + 1, n):
            factor = A[k][i] / A[i][i]
            for j in range(i, n + 1):
                A[k][j] -= factor * A[i][j]
    z = [0] * n
    for i in reversed(range(n)):
        z[i] = (A[i][n] - sum(A[i][j] * z[j] for j in range(i + 1, n))) / A[i][i]
    return z


def _defect(X, F):
    """X/F - 1 (zero where both vanish identically: no feature of that kind)."""
    return [x / f - 1 if f else 0 for x, f in zip(X, F, strict=False)]


def _float_start(P):
    """A solution in double precision: Newton in the logs, step clipped, from q = 1/lam; if need
    be by continuation from large lam down."""
    P = Parameters(*(tuple(map(float, x)) if isinstance(x, tuple) else float(x) for x in P))

    def newton(X, P):
        for _ in range(60):
            F, _, _ = deformed_sweep(X, P, NONE)
            logs = [math.log(x / f) if f > 0 else 0.0 for x, f in zip(X, F, strict=False)]
            step = solve3(newton_matrix(X, P), logs)
            size = max(map(abs, step))
            X = [
                x * math.exp(-max(-3.0, min(3.0, s))) if x > 0 else 0.0
                for x, s in zip(X, step, strict=False)
            ]
            if size < 1e-7:
                return X
        return None

    def sweeps(P):
        X = (
            P.ba / P.lam * sum(map(mul, P.weights, P.sigmas)) + P.v2 / P.lam,
            (P.bh + P.s2) / P.lam,
            1 / P.lam,
        )
        for _ in range(3):
            X, _, _ = deformed_sweep(X, P, NONE)
        return X

    X = newton(sweeps(P), P)
    if X is not None:
        return X
    lam = max(1e4, P.lam)
    X = sweeps(P._replace(lam=lam))
    while True:
        here = newton(X, P._replace(lam=lam))
        X = here if here is not None else X
        if lam == P.lam:
            return X
        lam = max(P.lam, lam / 2)


def polish(X, P, e=NONE, matrix=None):
    """Newton (matrix None) or chord iteration at the working precision, until the defect is at
    its rounding level."""
    X = [mpf(x) for x in X]
    goal = mpf(10) ** (8 - mp.dps)
    for _ in range(100):
        F, _alpha, _G = deformed_sweep(X, P, e)
        defect = _defect(X, F)
        step = solve3(matrix or newton_matrix(X, P), defect)
        size = max(map(abs, step))
        if size > 1:
            X = [x * mp.exp(-max(-1, min(1, s))) for x, s in zip(X, step, strict=False)]
            continue
        # the exponential to second order is enough for a Newton step
        X = [x * (1 - s + s * s / 2) for x, s in zip(X, step, strict=False)]
        if max(map(abs, defect)) < goal or size < goal:
            return X
    raise ArithmeticError("the one-point equations did not converge")


def check_section4(delta0, delta1, q, P):
    """Largest relative residual of the three equations exactly as section 4 prints them."""
    i0, i1 = 1 / (1 + delta0), 1 / (1 + delta1)
    u, b, a, h, v2, s2 = P.u, P.b, P.a, P.h, P.v2, P.s2
    x = P.lam + (v2 + u * s2) * i0 + (1 - u) * s2 * i1
    Y = [b**2 * a**2 * i0 * s + b**2 * h * (u * i0 + (1 - u) * i1) for s in P.sigmas]
    D = [1 / (1 + P.psi_p * q * y) for y in Y]
    rD = mp.fsum(map(mul, P.weights, D))
    rsD = mp.fsum(w * s * d for w, s, d in zip(P.weights, P.sigmas, D, strict=False))
    rYD = mp.fsum(w * y * d for w, y, d in zip(P.weights, Y, D, strict=False))
    right = (
        P.ratio * q * (b**2 * a**2 * rsD + u * b**2 * h * rD + v2 + u * s2),
        u * P.ratio * q * (b**2 * h * rD + s2),
        1 / (x + rYD),
    )
    residual = mpf(0)
    for ours, theirs in zip((delta0, delta1, q), right, strict=False):
        if ours < 0 or (theirs == 0) != (ours == 0):
            raise ArithmeticError("not the positive solution")
        if ours:
            residual = max(residual, abs(theirs / ours - 1))
    return residual


OnePoint = namedtuple("OnePoint", "lam delta0 delta1 q i0 i1 Y D alpha G lin K kappa")


def one_point(P, X):
    """Everything of section 4 at the solution X = (Eg, Es, q)."""
    Eg, Es, q = X
    delta1 = P.u * P.ratio * Es
    delta0 = P.ratio * Eg + delta1
    i0, i1 = 1 / (1 + delta0), 1 / (1 + delta1)
    alpha = P.u * i0 + (1 - P.u) * i1
    Y = [P.ba * i0 * s + P.bh * alpha for s in P.sigmas]
    D = [1 / (1 + P.psi_p * q * y) for y in Y]
    mean_D = mp.fsum(map(mul, P.weights, D))
    G = P.bh * P.psi_p * q * mean_D
    lin = alpha * P.b**2 * P.psi_p * q * mean_D
    K = P.u * delta0 * i0 + (1 - P.u) * delta1 * i1 + alpha**2 * G
    kappa = [alpha * P.b**2 * P.psi_p * q * d for d in D]
    return OnePoint(P.lam, delta0, delta1, q, i0, i1, Y, D, alpha, G, lin, K, kappa)


def one_point_at(P):
    """Solve section 4 at the working precision and check it against the equations as
    printed."""
    X = polish(_float_start(P), P)
    point = one_point(P, X)
    if check_section4(point.delta0, point.delta1, point.q, P) > mpf(10) ** (15 - mp.dps):
        raise ArithmeticError("residual too large")
    return point, X


# ----------------------------------------------------------------------------------------------
# the two-point numbers at coinciding points, as derivatives
# ----------------------------------------------------------------------------------------------


def unit_deformations(P):
    """Name -> (Deformation per unit of epsilon, a bound on its operator norm).

    fresh:    C = b^2 W Sigma_t W^T/d + (v^2 + s^2):
              x += e (v2+s2), Y += e (b^2 a^2 sigma + b^2 h)
    identity: C = I: x += e
    memory:   U_inf, see `deformed_sweep`
    printed:  W W^T/d in the place of W Sigma_t W^T/d: the misprint of section 9
    """
    wide = (1 + mp.sqrt(P.psi_p)) ** 2
    total = P.v2 + P.s2 + wide * (P.ba * max(P.sigmas) + P.bh)
    points = (1 + 1 / mp.sqrt(P.psi_n)) ** 2
    norm = (
        P.s2
        + P.v2 * (1 + mp.sqrt(P.ratio)) ** 2
        + wide * (P.ba * max(P.sigmas) * points + P.bh)
    )
    return {
        "fresh": (Deformation(P.v2 + P.s2, P.ba, P.bh, 0), total),
        "identity": (Deformation(1, 0, 0, 0), mpf(1)),
        "memory": (Deformation(0, 0, 0, 1), norm),
        "printed": (Deformation(P.v2 + P.s2, 0, P.b**2, 0), P.v2 + P.s2 + wide * P.b**2),
    }


def two_point(kind, P, X, digits):
    """-dK/d epsilon at epsilon = 0 by a central difference, K = 1 - alpha + alpha^2 G of the
    deformed equations.

    K is analytic for |epsilon| |C| < lam, so with epsilon = 10^-digits lam/|C| the difference
    is off by 10^(-2 digits) times (|C|/lam); the rounding takes digits + log10(|C|/lam) of the
    working digits."""
    unit, norm = unit_deformations(P)[kind]
    step = P.lam * mpf(10) ** -digits / (norm if norm else 1)
    matrix = newton_matrix(X, P)
    K = []
    for e in (step, -step):
        deformation = Deformation(*(e * x for x in unit))
        _, alpha, G = deformed_sweep(polish(X, P, deformation, matrix), P, deformation)
        K.append(1 - alpha + alpha**2 * G)
    return -(K[0] - K[1]) / (2 * step)


# ----------------------------------------------------------------------------------------------
# section 6: the errors of ridge
# ----------------------------------------------------------------------------------------------


def _errors(P, start, digits):
    X = polish(start, P)
    point = one_point(P, X)
    if check_section4(point.delta0, point.delta1, point.q, P) > mpf(10) ** (15 - mp.dps):
        raise ArithmeticError("residual too large")
    K_C, K_mem, minus_K_prime = (
        two_point(kind, P, X, digits) for kind in ("fresh", "memory", "identity")
    )
    sigma_t = [P.a**2 * s + P.h for s in P.sigmas]
    inverse = mp.fsum(w / s for w, s in zip(P.weights, sigma_t, strict=False))
    score_error = inverse - 2 * point.lin + K_C / P.h
    test_loss = 1 - P.h * inverse + P.h * score_error
    train_loss = 1 - point.K - P.lam * minus_K_prime
    memorization_loss = 1 - 2 * P.h * point.lin + K_mem
    bias2 = mp.fsum(
        w * s * (1 / s - k) ** 2
        for w, s, k in zip(P.weights, sigma_t, point.kappa, strict=False)
    )
    values = (
        point.delta0,
        point.delta1,
        point.q,
        score_error,
        test_loss,
        train_loss,
        memorization_loss,
        bias2,
        score_error - bias2,
    )
    return values, X


def solve(psi_n, psi_p, m, lam, a, h, b, v2, s2, eigenvalues, weights, dps=60):
    """delta0, delta1, q of section 4 and the six errors of section 6 for ridge.

    Computed at 2 dps digits with derivative step 10^(-dps/2), and again at 8 dps/3 digits with
    step 10^(-2 dps/3), from the same equations; `agreement` is the largest relative difference
    of the two over all fields and must be below 1e-20 (else the precision is raised twice more,
    else ArithmeticError).  m may be mp.inf.  Of the differences, only the variance can vanish
    identically (b = 0, m = inf): below 10^-dps of the score error it is returned as 0.
    """
    before = None
    for factor in (3, 4, 6, 9):
        digits = max(dps, 30) * factor // 6
        with mp.workdps(4 * digits):
            P = parameters(psi_n, psi_p, m, lam, a, h, b, v2, s2, eigenvalues, weights)
            if before is None:
                X = _float_start(P)
            values, X = _errors(P, X, digits)
            if abs(values[-1]) < mpf(10) ** -dps * values[3]:
                values = (*values[:-1], mpf(0))
            if before is not None:
                agreement = max(
                    abs(new - old) / abs(new) if new else abs(old)
                    for new, old in zip(values, before, strict=False)
                )
                if agreement < mpf(10) ** -20:
                    with mp.workdps(dps):
                        return Solution(*(+x for x in values), +agreement)
            before = values
    raise ArithmeticError(f"only {mp.nstr(agreement, 3)} agreement between precisions")


def test_loss_as_printed(P, X, digits=30):
    """1 - 2 h lin + K with the general-Sigma deformation as arXiv 2609.26392, C.12 prints it
    (section 9: wrong)."""
    return 1 - 2 * P.h * one_point(P, X).lin + two_point("printed", P, X, digits)


# not a test, whatever pytest thinks of its name
test_loss_as_printed.__test__ = False


# ----------------------------------------------------------------------------------------------
# section 5 as printed, to be compared with the above
# ----------------------------------------------------------------------------------------------


def section5_two_point(kind, P, left, right):
    """K_C ("fresh"), K_mem ("memory") or that of C = I ("identity") at (lam1, lam2) by section
    5's rule as printed.

    left, right: OnePoint at lam1 and lam2 (P.lam itself is not used).  The corner system is
    affine in (delta0_o, delta1_o, q_o): it is read off at 0 and at the unit vectors scaled by
    the solution."""
    b2a2, b2h, u, v2, s2, ratio, psi_p = P.ba, P.bh, P.u, P.v2, P.s2, P.ratio, P.psi_p
    L, R = left, right

    def integral(*factors):
        total = mpf(0)
        for terms in zip(P.weights, *factors, strict=False):
            total += mp.fprod(terms)
        return total

    eta_L, eta_R = (ratio * o.q * (b2a2 * integral(P.sigmas, o.D) + v2) for o in (L, R))

    def corner(d0, d1, q_o):
        I0, I1 = -L.i0 * d0 * R.i0, -L.i1 * d1 * R.i1
        if kind == "fresh":
            M, g, e_x, e_S, e_I = I0, 0, v2 + s2, b2a2, b2h
        elif kind == "memory":
            M = I0 + L.i0 * eta_L * eta_R * R.i0
            g, e_x, e_S, e_I = 1 - L.i0 * eta_L - eta_R * R.i0, s2, 0, b2h
        else:
            M, g, e_x, e_S, e_I = I0, 0, 1, 0, 0
        x_o = (v2 + u * s2) * M + v2 * g + (1 - u) * s2 * I1 + e_x
        Y_o = [
            (b2a2 * (M + g) + e_S) * s + b2h * (u * M + (1 - u) * I1) + e_I for s in P.sigmas
        ]
        D_o = [
            -psi_p * DL * (L.q * y + q_o * YR) * DR
            for DL, y, YR, DR in zip(L.D, Y_o, R.Y, R.D, strict=False)
        ]
        new_q = -L.q * (x_o + integral(L.Y, D_o) + integral(Y_o, R.D)) * R.q
        Dq = [DL * q_o + d * R.q for DL, d in zip(L.D, D_o, strict=False)]
        new_d0 = ratio * (
            b2a2 * integral(P.sigmas, Dq) + u * b2h * integral(Dq) + (v2 + u * s2) * q_o
        )
        new_d1 = u * ratio * (b2h * integral(Dq) + s2 * q_o)
        alpha_o, G_o = u * M + (1 - u) * I1, b2h * psi_p * integral(Dq)
        K = -(
            -alpha_o
            + L.alpha * G_o * R.alpha
            + L.alpha * L.G * alpha_o
            + alpha_o * R.G * R.alpha
        )
        return (new_d0, new_d1, new_q), K

    scale = (L.delta0, L.delta1 if L.delta1 else mpf(1), L.q)
    constant, _ = corner(mpf(0), mpf(0), mpf(0))
    columns = []
    for j in range(3):
        unit = [scale[j] if k == j else mpf(0) for k in range(3)]
        columns.append([f - c for f, c in zip(corner(*unit)[0], constant, strict=False)])
    A = [[(1 if i == j else 0) - columns[j][i] / scale[i] for j in range(3)] for i in range(3)]
    z = solve3(A, [c / s for c, s in zip(constant, scale, strict=False)])
    return corner(*(x * s for x, s in zip(z, scale, strict=False)))[1]
