r"""Corners of the averaged equations between two points: sections 5, 14 and 15.

A scalar X is the matrix [[X_L, ε X_o], [0, X_R]]: products have the corner
(XZ)_o = X_L Z_o + X_o Z_R, and inverses (1/X)_o = -X_o/(X_L X_R). The two points, left and
right, may be of one network or of two that share some of features, points and noises: what
they do not share couples nothing, and its corners are absent,

    features apart   q_o = 0: only the products ψ_p q enter, and widths may differ
    points apart     no corner of i0
    noises apart     no corner of i1, and u = 0 in what couples: b²a²σ and v² of t and v² + u s²
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from .._numerics.absent import ABSENT
from ..ingredients.sharing import ALL, Shared
from . import one_atom
from .scalars import Image, Linear, Source, State, average


def linear_system(
    equations: Any, left: State, right: State, shared: Shared = ALL, width: Any = None
) -> Callable[..., tuple[Any, Any, Any]]:
    r"""The linear system of section 5's corners, as its solver: rhs -> (E0, E1, q)_o.

    The solution is in units of `left`.

    With P = D_L D_R, Q = q_L q_R and the corners of i0 and i1
    I0 = -ratio i0_L E0_o i0_R, I1 = -u ratio i1_L E1_o i1_R:

        E0_o - ∫ρ t P (q_o - ψ_p Q Y_o) - (v²+us²) q_o = rhs_0
        E1_o - b²h ∫ρ P (q_o - ψ_p Q Y_o) - s² q_o     = rhs_1
        i0_L i0_R E0_o + (1-u) i1_L i1_R E1_o + λ_L q_o = rhs_2
        Y_o = t I0 + (1-u) b²h I1

    At coinciding points of one network this is exactly the Jacobian of `residual` in the logs
    of the unknowns, solution or not, with the first two rows times -E0 and -E1: those of the
    maps, which are the unknowns at a solution. The rows of two networks that share less, with
    as little cancellation, are in docs/theory.md section 15.

    Args:
        equations: of the left network, `AveragedEquations`. shared: what the networks share.
        width: ψ_p of the right network; None: the same.
    """
    # Of D = 1/(1 + ψ_p q Y) the corner is D_o = -ψ_p P (q_L Y_o + q_o Y_R), and with
    # 1 - ψ_p q_R Y_R D_R = D_R
    #     (Dq)_o = D_L q_o + D_o q_R = P (q_o - ψ_p Q Y_o).
    # In E0 = ∫ρ t Dq + (v²+us²) q and E1 = b²h∫ρDq + s² q it makes the first two rows. The
    # third is the corner of λq + i0 [∫ρ t Dq + (v²+us²) q] + (1-u) i1 [..] = 1, in which
    # i0_L E0_o + I0 E0_R = i0_L E0_o (1 - ratio i0_R E0_R) = i0_L i0_R E0_o; so for i1.
    # Columns are times E0_L, E1_L, q_L (the units).
    ratio, psi_p, u, H = equations.ratio, equations.psi_p, left.u, equations.linear_noise
    spread, P = 1 - u, equations.moments(left, right)
    t, isotropic = equations.linear_mean(u), equations.isotropic_mean(u)
    t_o, isotropic_o = _coupling(equations, u, shared)
    tP, mass = average(P, t_o), average(P)
    coupling = (psi_p if width is None else width) * left.q * right.q * H
    width_L = psi_p * left.q  # of Y_L = i0 t + (1-u) b²h i1
    m00, m01, m10, m11 = left.E0_map, ABSENT, ABSENT, left.E1_map
    of_mean, of_contrast = left.i0, left.alpha
    if shared.points:
        of_left = 1.0, 1.0
        if left is not right:
            of_left = left.E0_map / right.E0_map, left.E1_map / right.E1_map
        t_R, isotropic_R, apart, i1_R = t, isotropic, ABSENT, right.i1
        of_mean = left.i0 * right.i0
        if not shared.noises:  # m may differ; what t_L t_R has and t_o² lacks is left whole
            t_R, isotropic_R = equations.linear_mean(right.u), equations.isotropic_mean(right.u)
            apart = (average(P, t_o) * (u + right.u) + u * right.u * H * mass) * H
            i1_R = 1.0
            of_mean = of_mean * (1 + ratio * right.u * right.E1)
        # The diagonal, 1 - ψ_p Q ratio i0_L i0_R ∫ρ t²P, cancels at p > N, λ → 0. But by
        # D_R = P (1 + ψ_p q_L Y_L) 1 is q_R [v²+us² + ∫ρ t P (1 + ψ_p q_L Y_L)]/E0_R, and by
        # ratio i0_R = (1 - i0_R)/E0_R the rest takes 1 - i0_R of the mean part of that Y_L:
        # i0_R of it is left. So in the second row, of the other part, with u ratio i1_R.
        contrast = width_L * spread * H * left.i1
        own = average(P, t_R) * (1 + contrast)
        own += width_L * left.i0 * (right.i0 * average(P, t, t_R) + (1 - right.i0) * apart)
        m00 = right.q * (isotropic_R + own) * of_left[0]
        own = mass * (1 + contrast * i1_R) + width_L * left.i0 * average(P, t)
        m11 = right.q * (equations.fresh + H * own) * of_left[1]
        # Beside the diagonal -ψ_p Q ∫ρ (t or b²h) P times what of -Y_o the other unknown makes.
        m10 = -coupling * ratio * left.i0 * right.i0 * tP * left.E0
    if shared.noises:
        m01 = -coupling * spread * u * ratio * left.i1 * right.i1 * tP * left.E1
        of_contrast = spread * left.i1 * right.i1
    if not shared.features:
        of_two = eliminated([[m00, m01], [m10, m11]])
        return lambda *rhs: (*of_two(*rhs[:2]), ABSENT)
    m0q = -(tP + isotropic_o) * left.q
    m1q = -(H * mass + equations.fresh) * left.q
    matrix = [
        [m00, m01, m0q],
        [m10, m11, m1q],
        [of_mean * left.E0, of_contrast * left.E1, left.lam * left.q],
    ]
    return eliminated(matrix)


def corners(
    equations: Any,
    left: State,
    right: State,
    sources: Sequence[Source],
    shared: Shared = ALL,
    width: Any = None,
) -> list[Array]:
    """K_o of `OnePointEquations.corners`; arguments as of `linear_system`."""
    if equations.of_one_atom and shared == ALL and width is None:
        changes = _of_one_atom(equations, left, right)
    else:
        changes = _of_several(equations, left, right, shared, width)
    spread, H, ratio = 1 - left.u, equations.linear_noise, equations.ratio
    t_o, _ = _coupling(equations, left.u, shared)

    def corner(source):
        # What the source itself adds to corners is known, and goes to the right-hand sides. In
        # the first two rows that is `added` in Y_o, through (Dq)_o = P (q_o - ψ_p Q Y_o). In
        # x q + ∫ρ Y D q = 1 it is x_o q_R + ∫ρ Y_o D_R q_R, with x_o and Y_o of section 5:
        # M E0_R of the part along f̄f̄^T, `cross` q_R [v² + b²a² ∫ρ σ D_R] = `cross` η_R/ratio,
        # and what e_x, e_Σ and e_I add as they stand.
        added = t_o.times(source.mean) + Linear(
            source.noise + spread * H * source.contrast,
            source.data + equations.linear_data * source.cross,
        )  # to Y_o, beside the unknowns' own part
        trace = (
            source.mean * (right.E0 if shared.noises else right.eta / ratio)
            + source.cross * right.eta / ratio
            + right.q
            * (source.features + source.data * right.powers[1] + source.noise * right.powers[0])
            + spread * source.contrast * right.E1
        )
        I0, I1, G = changes(added, trace)
        M, alpha = source.mean + I0, ABSENT
        if shared.noises:
            alpha = left.u * M + spread * (I1 + source.contrast)
        return _through(equations, left, right, source, M, alpha, G)

    return [corner(source) for source in sources]


def _of_one_atom(equations, left, right) -> Callable:
    """`_of_several` of data with one eigenvalue, in the system of q and qD."""
    solve = one_atom.linear_system(equations.scalars(left.u), left, right)

    def changes(added, trace):
        e0, e1, eG = solve(trace, added(equations.eigenvalues[0]))
        I0 = -equations.ratio * left.i0 * right.i0 * e0
        I1 = -left.u * equations.ratio * left.i1 * right.i1 * e1
        return I0, I1, tuple(power * eG for power in left.coupling)

    return changes


def _of_several(equations, left, right, shared, width) -> Callable:
    """What a source makes of i0, i1 and G, from what it adds to Y_o and takes off the trace."""
    psi_p, u, H, ratio = equations.psi_p, left.u, equations.linear_noise, equations.ratio
    t_o, _ = _coupling(equations, u, shared)
    P = equations.moments(left, right)
    loss_of = (psi_p if width is None else width) * left.q * right.q
    solve = linear_system(equations, left, right, shared, width)

    def changes(added, trace):
        mean, contrast = loss_of * average(P, t_o, added), loss_of * H * average(P, added)
        e0, e1, eq = solve(-mean, -contrast, -trace)
        I0 = I1 = ABSENT
        if shared.points:
            I0 = -ratio * left.i0 * right.i0 * left.E0 * e0
        if shared.noises:
            I1 = -u * ratio * left.i1 * right.i1 * left.E1 * e1
        Y = added + t_o.times(I0) + Linear((1 - u) * H * I1)
        change, scale = Linear(left.q * eq) + Y.times(-loss_of), H * psi_p
        return I0, I1, tuple(scale * average(P[k:], change) for k in range(3))

    return changes


def _through(equations, left, right, source, M, alpha, G: tuple[Any, Any, Any]) -> Array:
    """K_o from the corners of i0, α and G = b²h ψ_p Dq (its `Image.overlap`'s powers).

    By the product rule in K = ∫ρ [c_x²σ (1 - i0) + c_z² (1 - α) + G τ²/h].
    """
    target = equations.denoising
    image = equations.image(M, alpha)
    of_left, of_right = (
        Image(image.data - taken.data, image.noise - taken.noise)
        for taken in (source.left, source.right)
    )
    sigma_x2 = equations.average(equations.eigenvalues)
    return (
        -(
            target.noise**2 * (alpha + source.own.noise)
            + target.data**2 * sigma_x2 * (M + source.own.data)
        )
        + left.image.overlap(G, right.image)
        + left.image.overlap(left.coupling, of_right)
        + of_left.overlap(right.coupling, right.image)
    )


def _coupling(equations, u, shared: Shared):
    """t(σ) and v² + u s² in what couples the points; of u = 0 without common noises."""
    u = u if shared.noises else jnp.zeros_like(u)
    return equations.linear_mean(u), equations.isotropic_mean(u)


def eliminated(matrix: list[list[Any]]) -> Callable[..., tuple[Any, ...]]:
    """A solver by Gaussian elimination on scalars, unrolled; entries may be `ABSENT`.

    Without pivoting. The systems above have the signs [+ - -], [- + -], [+ + +] and a leading
    block that is an M-matrix, so that its two pivots are positive. What is subtracted on the
    way from the last row, and from -'s of the second, has the other sign: the last pivot is a
    sum of positive terms.
    """
    size, factors, inverses = len(matrix), {}, []
    rows = [[*row] for row in matrix]
    for k in range(size):
        inverses.append(1 / rows[k][k])
        for i in range(k + 1, size):
            factors[i, k] = rows[i][k] * inverses[k]
            for j in range(k + 1, size):
                rows[i][j] = rows[i][j] - factors[i, k] * rows[k][j]

    def solve(*rhs):
        values = [*rhs]
        for (i, k), factor in sorted(factors.items(), key=lambda each: each[0][::-1]):
            values[i] = values[i] - factor * values[k]
        for k in reversed(range(size)):
            known = sum(rows[k][j] * values[j] for j in range(k + 1, size))
            values[k] = (values[k] - known) * inverses[k]
        return tuple(values)

    return solve
