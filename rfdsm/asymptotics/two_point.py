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

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact

from ..ingredients.filters import both_halves
from .equations import OnePointEquations


class TwoPointTable(eqx.Module):
    """Two-point functions `between` all nodes, O(1).

    Attributes:
        fresh, training, identity: K_C of fresh data, K_mem and K_I.
    """

    fresh: Inexact[Array, "halves k k"]
    training: Inexact[Array, "halves k k"]
    identity: Inexact[Array, "halves k k"]


def two_point_table(equations: OnePointEquations, states: Any) -> TwoPointTable:
    """All two-point functions between the states at the nodes, which are stacked."""

    def pair(left, right):
        return two_point(equations, left, right, equations.sources(left, right))

    if states.alignment.shape == (1,) and not jnp.iscomplexobj(states.alignment):
        # Of one point with itself there is less to make, and no axis of one entry.
        one = equations.response(jax.tree.map(lambda x: x[0], states))
        return TwoPointTable(*(value[None, None, None] for value in pair(one, one)))
    responses = jax.vmap(equations.response)(states)
    return TwoPointTable(*between(responses, responses, pair))


def between(left: Any, right: Any, pair: Callable[..., Any]) -> Any:
    """What `pair` gives of each two of stacked responses, arrays (halves, k, l).

    `halves` is 2 where the nodes of both sides are complex and stand for themselves and their
    conjugates, for K(λ_i, λ_j) and K(λ_i, λ_j*); else 1.
    """
    halves = 1
    if all(any(map(jnp.iscomplexobj, jax.tree.leaves(each))) for each in (left, right)):
        conjugates = jax.tree.map(jnp.conj, right)
        right, halves = jax.tree.map(lambda *x: jnp.concatenate(x), right, conjugates), 2
    tables = jax.vmap(jax.vmap(pair, (None, 0)), (0, None))(left, right)
    return jax.tree.map(lambda K: jnp.stack(jnp.split(K, halves, axis=1)), tables)


def quadratic(
    weights: Inexact[Array, " k"],
    table: Inexact[Array, "halves k l"],
    others: Inexact[Array, " l"] | None = None,
) -> Float[Array, ""]:
    """Σ_ij c_i c_j K(λ_i, λ_j) over all nodes, conjugates included.

    Args:
        weights: c_i; others: c_j, where they are another filter's. table: of `between`.
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
