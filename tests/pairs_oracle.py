"""Independent reference for two networks, from docs/theory.md's section 15 alone.

Plain NumPy, and literal: the one-point solutions are `flow_oracle`'s, the corners of section 5
a 3x3 linear system for each pair of nodes, with ψ_p q for q throughout (only that enters where
widths differ). What networks share is written as in values.json: "WXZ", "WX", "W", "XZ", "X",
"none".

Everything is analytic in psi_n, psi_p, u = 1/m, λ, κτ and the number of networks, which may be
complex: `slope` gives derivatives.
"""

import math
from collections import namedtuple

import flow_oracle
import numpy as np
import oracle
import target_oracle
from mpmath import mp, mpf

SHARED = ("WXZ", "WX", "W", "XZ", "X", "none")
PLACES = {"fresh": SHARED, "training": ("WXZ", "WX", "XZ", "X"), "pairs": ("WXZ", "XZ")}

Filter = namedtuple("Filter", "nodes weights start")
Filter.__doc__ = """φ(U) = Σ_i weights_i (U + nodes_i)^{-1}; `start` is near section 4's
(δ0, δ1/u, q) at the nodes."""
Network = namedtuple("Network", "S c delta0 delta1 i0 i1 Q Y D eta")
Network.__doc__ = """A setting, a filter's weights and section 4 at its nodes, Q = ψ_p q; Y and
D lists over the eigenvalues; eta of section 5."""
Parts = namedtuple("Parts", "features points features_points noises features_noises")


def problem(psi_n, psi_p, m, process, eigenvalues, weights, activation="tanh"):
    """A `flow_oracle.Setting` of floats; process as `target_oracle.process` takes it."""
    with mp.workdps(40):
        law = tuple(map(mpf, eigenvalues)), tuple(map(mpf, weights))
        noising, _ = target_oracle.process(*process)
        constants = oracle.constants(activation, *noising, mp.fdot(*law))
        S = target_oracle.setting(psi_n, psi_p, m, noising, constants, *law)
        return flow_oracle._convert(S, float)


# -- filters -----------------------------------------------------------------------------------


def start(S, nodes):
    """Section 4's solution near each node: followed from one to the next, along straight lines
    of log λ, from the first one's size on the real axis."""
    here, found = complex(math.log(abs(nodes[0]))), []
    X = flow_oracle._real_start(S, abs(nodes[0]))
    for there in np.log(nodes):
        X = flow_oracle._follow(S, _line(here, there), 0.0, 1.0, X)
        found.append(X)
        here = there
    return np.array(found).T


def _line(here, there):
    return lambda s: complex(np.exp((1 - s) * here + s * there))


def resolvents(S, nodes, weights):
    """Any filter."""
    nodes, weights = np.asarray(nodes, complex), np.asarray(weights, complex)
    return Filter(nodes, weights, start(S, nodes))


def ridge(S, lam):
    """One node, weight 1."""
    return resolvents(S, [lam], [1])


def contour(S, lam, span, digits=14):
    """A filter of nodes all around the spectrum and dz/2πi, for spans κτ up to this one."""
    longest = span * float(S.psi_p / (2 * S.h))  # `ellipse` thinks of κ = 2h/ψ_p
    upper = flow_oracle.ellipse(S, lam, longest, digits)
    half = np.array([-upper.z, upper.weights], complex)
    return resolvents(S, *np.concatenate([half, half.conj()], axis=1))


def flow(around, lam, span):
    """φ(x) = (1 - e^{-κτ(x+λ)})/(x+λ), span = κτ, on a `contour`."""
    shifted = lam - around.nodes
    phi = -np.expm1(-span * shifted) / shifted
    return around._replace(weights=-around.weights * phi)


def network(S, rule):
    """Section 4 at the nodes of a filter."""
    S = S._replace(ratio=S.psi_p / S.psi_n)
    X = tuple(rule.start)
    for _ in range(8):
        step, residual = flow_oracle._newton_step(S, rule.nodes, X)
        X = tuple(x * (1 - s) for x, s in zip(X, step, strict=True))
    if not np.max(np.abs(residual)) < 1e-11:
        raise ArithmeticError("section 4 is not solved")
    delta0, delta1, q = X[0], S.u * X[1], X[2]
    i0, i1, Q = 1 / (1 + delta0), 1 / (1 + delta1), S.psi_p * q
    alpha = S.u * i0 + (1 - S.u) * i1
    Y = [S.b**2 * (S.a**2 * i0 * s + S.h * alpha) for s in S.sigmas]
    D = [1 / (1 + Q * y) for y in Y]
    eta = Q / S.psi_n * (S.b**2 * S.a**2 * flow_oracle._integral(S, S.sigmas, D) + S.v2)
    return Network(S, rule.weights, delta0, delta1, i0, i1, Q, Y, D, eta)


def slope(function, x, order=1, points=8):
    """The derivative at x, by Cauchy's formula: exact to about 1e-12/|x|^order, no
    differences. Analytic in a disk of radius |x|, of 1 at x = 0."""
    turns = np.exp(2j * np.pi * np.arange(points) / points)
    radius = 0.03 * (abs(x) or 1)
    values = np.array([function(x + radius * turn) for turn in turns])
    return math.factorial(order) * np.real(turns**-order @ values) / points / radius**order


# -- section 15 --------------------------------------------------------------------------------


def overlap(one, other, share, place, c_x, c_z):
    """S = (1/d) E o_L·o_R at "fresh" points, "training" points with fresh noise, or "pairs"."""
    S, points, noises = one.S, "X" in share, "Z" in share
    L, R = _column(one), other
    ba, bh, u = S.b**2 * S.a**2, S.b**2 * S.h, S.u
    e_x, e_sigma, e_i, g = 0, 0, 0, 0
    M_source = tau_L = tau_R = own = (0, 0)  # what is added to (I0, I1), by place
    if place == "fresh":
        e_x, e_sigma, e_i = S.v2 + S.s2, ba, bh
    elif place == "training":
        e_x, e_i, g = S.s2, bh, 1 - L.i0 * L.eta - R.eta * R.i0
        M_source = tau_L = tau_R = own = (L.i0 * L.eta * R.eta * R.i0, 0)
    else:
        i0, i1 = L.i0 * R.i0, L.i1 * R.i1
        M_source = (i0, i1)
        tau_L, tau_R = (-i0 * L.delta0, -i1 * L.delta1), (-i0 * R.delta0, -i1 * R.delta1)
        own = (i0 * L.delta0 * R.delta0, i1 * L.delta1 * R.delta1)

    def corner(unknowns, source, scale=1):
        """(M, I1, α) of a place from (δ0, δ1, ψ_p q)_o; the source's part is `scale`d."""
        M = points * (-L.i0 * unknowns[0] * R.i0 + scale * source[0])
        I1 = noises * (-L.i1 * unknowns[1] * R.i1 + scale * source[1])
        return M, I1, noises * (u * M + (1 - u) * I1)

    def DQ_o(unknowns, scale=1):
        """x_o, Y_o, D_o and (Dψ_p q)_o."""
        M, I1, alpha = corner(unknowns, M_source, scale)
        hidden = points * g * scale
        x = (S.v2 + noises * u * S.s2) * M + S.v2 * hidden + (1 - u) * S.s2 * I1 + e_x * scale
        Y = [(ba * (M + hidden) + e_sigma * scale) * s + bh * alpha + e_i * scale
             for s in S.sigmas]  # fmt: skip
        D = [-DL * (L.Q * y + unknowns[2] * YR) * DR
             for DL, y, YR, DR in zip(L.D, Y, R.Y, R.D, strict=True)]  # fmt: skip
        return x, Y, D, [DL * unknowns[2] + Do * R.Q for DL, Do in zip(L.D, D, strict=True)]

    def sweep(unknowns, scale=1):
        x, Y, D, DQ = DQ_o(unknowns, scale)
        Q = np.zeros_like(x + L.Q * R.Q)
        if "W" in share:
            bent = x + flow_oracle._integral(S, L.Y, D) + flow_oracle._integral(S, Y, R.D)
            Q = -L.Q * bent * R.Q / S.psi_p
        of_D, of_sD = flow_oracle._integral(S, DQ), flow_oracle._integral(S, S.sigmas, DQ)
        Z = noises * u
        delta0 = (ba * of_sD + Z * bh * of_D + (S.v2 + Z * S.s2) * unknowns[2]) / S.psi_n
        delta1 = u * (bh * of_D + S.s2 * unknowns[2]) / S.psi_n
        return np.stack([delta0, delta1, Q])

    unit = np.array([L.delta0 + 0 * R.Q, L.delta1 + 0 * R.Q, L.Q + 0 * R.Q])
    unit[unit == 0] = 1
    zero = np.zeros_like(unit)
    columns = [sweep(np.where(np.arange(3)[:, None, None] == j, unit, 0), 0) for j in range(3)]
    matrix = np.moveaxis(np.array(columns) / unit, (0, 1), (-1, -2))
    right = np.moveaxis(sweep(zero) / unit, 0, -1)[..., None]
    unknowns = unit * np.moveaxis(np.linalg.solve(np.eye(3) - matrix, right)[..., 0], -1, 0)

    X2, root = c_x**2 * flow_oracle._integral(S, S.sigmas), np.sqrt(S.h)
    M, _, alpha = corner(unknowns, own)
    K = X2 * M + c_z**2 * alpha
    M_L, _, alpha_L = corner(unknowns, tau_L)
    M_R, _, alpha_R = corner(unknowns, tau_R)
    if place == "training":
        M_L, M_R = points * (M_L - L.i0 * L.eta), points * (M_R - R.i0 * R.eta)
    for i, (s, w, DQ) in enumerate(zip(S.sigmas, S.weights, DQ_o(unknowns)[3], strict=True)):
        data, noise = S.a * c_x * s, root * c_z
        of_L, of_R = (data * N.i0 + noise * _alpha(N) for N in (L, R))
        bent = of_L * DQ * of_R + (data * M_L + noise * alpha_L) * R.D[i] * R.Q * of_R
        bent = bent + of_L * L.D[i] * L.Q * (data * M_R + noise * alpha_R)
        K = K - S.b**2 * w * bent
    return one.c @ K @ other.c


def _alpha(N):
    return N.S.u * N.i0 + (1 - N.S.u) * N.i1


def _column(N):
    """The network's numbers as columns, for pairs of nodes."""
    columns = {x: getattr(N, x)[:, None] for x in ("delta0", "delta1", "i0", "i1", "Q", "eta")}
    return N._replace(Y=[y[:, None] for y in N.Y], D=[x[:, None] for x in N.D], **columns)


def gains(N, c_x, c_z):
    """(Σ c lin, Σ c lin_mem, Σ c K, k_σ) of section 14."""
    S = N.S
    known, X2 = target_oracle.moments(S, c_x, c_z), c_x**2 * sum(np.multiply(*S[-2:]))
    slopes, taus, others = [], [], []
    for s, D in zip(S.sigmas, N.D, strict=True):
        data, noise = S.a * c_x * s, np.sqrt(S.h) * c_z
        taus.append(data * N.i0 + noise * _alpha(N))
        others.append(data * (1 - N.i0 * N.eta) + noise)
        slopes.append(S.b**2 * N.Q * D * taus[-1])
    K = (X2 + S.u * c_z**2) * (1 - N.i0) + (1 - S.u) * c_z**2 * (1 - N.i1)
    K = K + flow_oracle._integral(S, slopes, taus)
    lin = flow_oracle._integral(S, slopes, known.star)
    lin_mem = X2 * N.i0 * N.eta + flow_oracle._integral(S, slopes, others)
    return N.c @ lin, N.c @ lin_mem, N.c @ K, [N.c @ k for k in slopes]


def output_parts(one, other, c_x, c_z):
    """What the covariance of two outputs is made of."""
    S = {share: overlap(one, other, share, "fresh", c_x, c_z) for share in SHARED}
    return Parts(
        features=S["W"] - S["none"],
        points=S["X"] - S["none"],
        features_points=S["WX"] - S["W"] - S["X"] + S["none"],
        noises=S["XZ"] - S["X"],
        features_noises=S["WXZ"] - S["XZ"] - S["WX"] + S["X"],
    )


def parts(one, other, c_x, c_z):
    """Of the implied scores."""
    gain = target_oracle.moments(one.S, c_x, c_z).gain
    return Parts(*(gain * x for x in output_parts(one, other, c_x, c_z)))


def ensemble(N, networks, share, c_x, c_z):
    """The six errors of an average of networks; NaN what has no training points in common.

    `networks` may be infinite or complex.
    """
    known, (lin, lin_mem, K, slopes) = target_oracle.moments(N.S, c_x, c_z), gains(N, c_x, c_z)

    def power(place):
        if share not in PLACES[place]:
            return np.nan
        alone, both = (overlap(N, N, x, place, c_x, c_z) for x in ("WXZ", share))
        return alone / networks + (1 - 1 / networks) * both

    test_loss = known.null - 2 * lin + power("fresh")
    score_error = known.gain * (test_loss - known.best)
    miss = [(t / s - k) ** 2 for s, t, k in zip(known.sigma_t, known.star, slopes, strict=True)]
    bias2 = known.gain * flow_oracle._integral(N.S, known.sigma_t, miss)
    return target_oracle.Errors(
        score_error,
        test_loss,
        known.null - 2 * K + power("pairs"),
        known.null - 2 * lin_mem + power("training"),
        bias2,
        score_error - bias2,
    )


def implied_ridge(N):
    """λ/ψ_p of the kernel machine that networks with their own W average to, 1/(ψ_p q)."""
    (Q,) = N.Q
    return 1 / Q


# -- section 12: given moments, one class ------------------------------------------------------

Given = namedtuple("Given", "S_g S_s T_z T_x X2", defaults=(0, 0))
Given.__doc__ = """Moments of p features on data of dimension d: (p, p), (p, p), (p, d), (p, d)
and E|x|²/d; of two networks' features E g_L g_R^T and E Cov(f_L, f_R), (p_L, p_R)."""


Measured = namedtuple("Measured", "moments n u Q eta deltas")


def measured_network(moments, psi_n, u, lam):
    """Trained by ridge: section 12 by plain iteration."""
    n, deltas = psi_n * moments.T_z.shape[1], np.zeros(2)
    for _ in range(5000):
        i0, i1 = 1 / (1 + deltas)
        x = i0 * moments.S_g + (u * i0 + (1 - u) * i1) * moments.S_s
        Q = np.linalg.inv(lam * np.eye(len(x)) + x)
        eta, of_s = np.sum(moments.S_g * Q) / n, u * np.sum(moments.S_s * Q) / n
        before, deltas = deltas, np.array([eta + of_s, of_s])
        if np.max(abs(deltas - before)) < 1e-14 * np.max(deltas):
            return Measured(moments, n, u, Q, eta, deltas)
    raise ArithmeticError("section 12 is not solved")


def measured_overlap(one, other, cross, share, place, c_x, c_z):
    """As `overlap`, of two `Measured`.

    cross: the `Given` of both features, the moments themselves where features are shared.
    Matrices stand for section 4's integrals: Q/d for b²ψ_p q D, (1/n) tr S Q for δ.
    """
    moments, n, u = (one.moments, other.moments), one.n, one.u
    (Q_L, eta_L, d_L), (Q_R, eta_R, d_R) = one[3:], other[3:]
    d, points, noises = moments[0].T_z.shape[1], "X" in share, "Z" in share
    i_L, i_R = 1 / (1 + d_L), 1 / (1 + d_R)  # of the mean and of the contrasts
    hidden_L, hidden_R = i_L[0] * eta_L, i_R[0] * eta_R
    none, g, source = np.zeros(2), 0, 0
    in_X = tau_L = tau_R = own = none  # what is added to (I0, I1), by place
    if place == "fresh":
        source = cross.S_g + cross.S_s
    elif place == "training":
        g, source = 1 - hidden_L - hidden_R, cross.S_s
        in_X = tau_L = tau_R = own = np.array([hidden_L * hidden_R, 0])
    else:
        in_X, tau_L, tau_R, own = (i_L * i_R * x for x in (1, -d_L, -d_R, d_L * d_R))

    def corner(deltas, added):
        """(M, α)."""
        M, I1 = np.array([points, noises]) * (added - i_L * deltas * i_R)
        return M, noises * (u * M + (1 - u) * I1)

    def corner_of_Q(deltas, scale=1):
        M, alpha = corner(deltas, scale * in_X)
        X = (M + points * g * scale) * cross.S_g + alpha * cross.S_s + scale * source
        return -Q_L @ X @ Q_R

    def sweep(deltas, scale=1):
        Q = corner_of_Q(deltas, scale)
        of_g, of_s = np.sum(cross.S_g * Q), np.sum(cross.S_s * Q)
        return np.array([of_g + noises * u * of_s, u * of_s]) / n

    def tilted(given, of_x, of_z):
        return c_x * of_x * given.T_x + c_z * of_z * given.T_z

    matrix = np.eye(2) - np.array([sweep(x, 0) for x in np.eye(2)]).T
    deltas = np.linalg.solve(matrix, sweep(none))
    memory = place == "training"
    tilts = [tilted(x, i[0], u * i[0] + (1 - u) * i[1])
             for x, i in zip(moments, (i_L, i_R), strict=True)]  # fmt: skip
    (M, alpha), (M_L, alpha_L), (M_R, alpha_R) = (
        corner(deltas, x) for x in (own, tau_L, tau_R)
    )
    # The corner of the left's tilt is in the right's features.
    in_right = tilted(moments[1], points * (M_L - memory * hidden_L), alpha_L)
    in_left = tilted(moments[0], points * (M_R - memory * hidden_R), alpha_R)
    bent = np.sum(tilts[0] * (corner_of_Q(deltas) @ tilts[1]))
    bent += np.sum(in_right * (Q_R @ tilts[1])) + np.sum(tilts[0] * (Q_L @ in_left))
    return c_x**2 * moments[0].X2 * M + c_z**2 * alpha - bent / d
