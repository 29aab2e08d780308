r"""The errors for any one-point equations and spectral filter (docs/theory.md sections 6, 12).

With the filter's nodes λ_i and weights c_i, states i at λ_i,

    test_loss         = null - 2 Σ_i c_i (1/d) tr T^T Q̄_i T̃_i + Σ_ij c_i c_j K_C(λ_i, λ_j)
    memorization_loss = the same with T and K of training points
    train_loss        = null + Σ_i c'_i K(λ_i) - λ Σ_ij c_i c_j K_I(λ_i, λ_j)

where null is E|τ|²/d, 1 for the noise, (1/d) tr T^T Q̄ T̃ = α G in section 4's symbols, λ is
the rule's penalty and K_I the two-point function of the identity; a double pole of xφ² - 2φ
would cost digits. All are per dimension and O(1). Losses and K are accurate to about 1e-9 of
max(value, 1), score errors to 1e-9 of max(value, ∫ρ/σ_t); at ψ_p = m ψ_n with λ = 1e-12 to
1e-7.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._numerics.once import made_once
from .._numerics.promotion import mixed
from ..errors import Errors
from ..ingredients.filters import FilterNodes, both_halves
from . import branch
from .equations import OnePointEquations
from .equivalent import solve_turning, solve_unknowns
from .two_point import TwoPointTable, quadratic, two_point_table


class Solved(NamedTuple):
    """One-point equations solved at the nodes of a filter, or of many filters on one set.

    Attributes:
        equations: of the features; nodes: of the filter.
        states: at the nodes, stacked.
        residual: the largest `mismatch`; steps: the most Newton steps.
    """

    equations: OnePointEquations
    nodes: FilterNodes
    states: Any
    residual: Float[Array, ""]
    steps: Int[Array, ""]


@mixed
def solved(equations: OnePointEquations, nodes: FilterNodes, u: Float[Array, ""]) -> Solved:
    """The equations' solutions at the nodes, with u = 1/m."""
    solve = solve_turning if nodes.near_axis else solve_unknowns

    def solution(lam):
        unknowns, steps = solve(equations, lam, u)
        state = equations.state(unknowns, lam, u)
        physical = branch.holds(unknowns, lam)
        return state, jnp.where(physical, equations.mismatch(state), jnp.inf), steps

    if nodes.resolvents.shape == (1,):
        state, *rest = solution(nodes.resolvents[0])
        states, residuals, steps = jax.tree.map(lambda x: x[None], (made_once(state), *rest))
    else:
        over_nodes = jax.lax.map if equations.one_by_one else lambda f, x: jax.vmap(f)(x)
        states, residuals, steps = over_nodes(solution, nodes.resolvents)
    most = jnp.max(residuals), jnp.max(steps).astype(jnp.int32)
    return Solved(equations, nodes, states, *most)


@mixed
def learning_curve(one: Solved) -> Errors:
    """The errors of each filter; two-point functions are computed once for all of them."""
    equations, nodes, states, *_ = one
    functions = two_point_table(equations, states)

    def errors(weights, loss_weights):
        at = dataclasses.replace(nodes, weights=weights, loss_weights=loss_weights)
        return _errors(equations, at, states, functions)

    for _ in nodes.weights.shape[:-1]:
        errors = jax.vmap(errors)
    return errors(nodes.weights, nodes.loss_weights)


def _errors(equations, nodes: FilterNodes, states, functions: TwoPointTable) -> Errors:
    """The errors of one filter from the functions at its nodes."""
    null = equations.null

    def gain(table, alignment):
        linear = 2 * both_halves(jnp.sum(nodes.weights * alignment))
        return quadratic(nodes.weights, table) - linear

    # Σ c' K with K = null - (null - K): these cancel in exact arithmetic, 1 + Σ c' = 0.
    loss = states.penalised_loss
    rest = null * jnp.sum(nodes.loss_weights) - jnp.sum(nodes.loss_weights * loss)
    penalised = nodes.penalty * quadratic(nodes.weights, functions.identity)
    test_gain = gain(functions.fresh, states.alignment)
    score_error, bias2 = equations.score(nodes, states, test_gain)
    return Errors(
        score_error=score_error,
        test_loss=null + test_gain,
        train_loss=null + both_halves(rest) - penalised,
        memorization_loss=null + gain(functions.training, states.training_alignment),
        bias2=bias2,
        variance=score_error - bias2,
    )
