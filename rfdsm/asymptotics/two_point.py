r"""Two-point functions of the resolvent (docs/theory.md section 5).

    K_C(λ1, λ2) = (1/d) tr V^T (U+λ1)^{-1} C (U+λ2)^{-1} V

Put [[λ1, ε], [0, λ2]] in the place of λ. Every scalar X of the one-point equations becomes
an upper triangular 2×2 matrix with the solutions at λ1 (left, X_L) and λ2 (right, X_R) on
the diagonal and a corner X_o linear in the source ε C. Corners obey the product rule in the
order written,

    (XZ)_o = X_L Z_o + X_o Z_R,          (X^{-1})_o = -X_L^{-1} X_o X_R^{-1},

so the corners of the unknowns solve a small linear system, and that of K follows (the
equations' `corners`). With the sign of a resolvent's derivative K_C = -K_o; where
K = 1 - α + α G α,

    K_C = -( -α_o + α_L G_o α_R + α_L G_L α_o + α_o G_R α_R ).

Where C is made of the training points (their fresh noise integrated), adding ε C to U
mixes a point's mean direction with its noiseless part g_i = E_z f: eliminating g_i's own
direction leaves i0 with the extra corner i0_L η_L η_R i0_R and the shared part of the
features with the cross term 1 - i0_L η_L - η_R i0_R, η = (1/n) tr S_g (U+λ)^{-1}.

K_C is linear in the few numbers that describe C; the linear system is the same for every C.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact

from ..ingredients.filters import both_halves
from .equations import OnePointEquations


class TwoPointTable(eqx.Module):
    """Two-point functions between all nodes, O(1).

    `halves` is 1 for real nodes. For complex ones, which stand for themselves and their
    conjugates, it is 2: K(λ_i, λ_j) and K(λ_i, λ_j*).

    Attributes:
        fresh, training, identity: K_C of fresh data, K_mem and K_I, shape (halves, k, k).
    """

    fresh: Inexact[Array, "halves k k"]
    training: Inexact[Array, "halves k k"]
    identity: Inexact[Array, "halves k k"]


def two_point_table(equations: OnePointEquations, states: Any) -> TwoPointTable:
    """All two-point functions between the states at the nodes, which are stacked."""
    left = right = jax.vmap(equations.response)(states)
    halves = 1
    if jnp.iscomplexobj(states.alignment):
        conjugates = jax.tree.map(jnp.conj, left)
        right, halves = jax.tree.map(lambda *x: jnp.concatenate(x), left, conjugates), 2

    def pair(left, right):
        return two_point(equations, left, right, equations.sources(left, right))

    over_right = jax.vmap(pair, in_axes=(None, 0))
    tables = jax.vmap(over_right, in_axes=(0, None))(left, right)
    return TwoPointTable(*(jnp.stack(jnp.split(table, halves, axis=1)) for table in tables))


def quadratic(
    weights: Inexact[Array, " k"],
    table: Inexact[Array, "halves k k2"],
    others: Inexact[Array, " k2"] | None = None,
):
    """Σ_ij c_i c_j K(λ_i, λ_j) over all nodes, conjugates included.

    Args:
        weights: c_i; others: c_j, where they are another filter's.
    """
    others = weights if others is None else others
    columns = [others, jnp.conj(others)][: len(table)]
    total = sum(
        jnp.sum(jnp.matmul(weights, K, precision="highest") * column)
        for column, K in zip(columns, table, strict=True)
    )
    return both_halves(total)


def two_point(
    equations: OnePointEquations, left: Any, right: Any, sources: tuple[Any, ...]
) -> tuple[Inexact[Array, ""], ...]:
    """K_C between two responses for each source C; symmetric in the two, O(1)."""
    return tuple(-corner for corner in equations.corners(left, right, sources))
