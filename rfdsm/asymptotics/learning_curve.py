r"""The errors of a trained network, for any population and spectral filter (THEORY.md 6, 12).

With the filter's nodes λ_i and weights c_i, states i at λ_i,

    test_loss         = 1 - 2 Σ_i c_i (1/d) tr T^T Q̄_i T̃_i + Σ_ij c_i c_j K_C(λ_i, λ_j)
    memorization_loss = the same with K_mem
    train_loss        = 1 + Σ_i c'_i K(λ_i) + c''_i K'(λ_i)

where (1/d) tr T^T Q̄ T̃ = α G in section 4's symbols. All are per dimension and O(1). Losses and
K are accurate to about 1e-9 of max(value, 1), score errors to 1e-9 of max(value, ∫ρ/σ_t); at
ψ_p = m ψ_n with λ = 1e-12 to 1e-7.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..errors import Errors
from .equivalent import solve_unknowns
from .population import AbstractPopulation
from .two_point import two_point


def learning_curve(
    population: AbstractPopulation, nodes: Any, u: Float[Array, ""]
) -> tuple[Errors, Float[Array, ""], Int[Array, ""]]:
    """(errors, residual, Newton steps) of a population under the filter `nodes`.

    Args:
        population: the features; nodes: `FilterNodes`; u: 1/m.
    """

    def state(lam):
        unknowns, steps = solve_unknowns(population, lam, u)
        return population.state(unknowns, lam, u), steps

    states, steps = jax.vmap(state)(nodes.resolvents)
    residual = jnp.max(jax.vmap(population.mismatch)(states))
    responses = jax.vmap(population.response)(states)

    def pair(left, right):
        return two_point(population, left, right, population.sources(left, right))

    over_right = jax.vmap(pair, in_axes=(None, 0))
    tables = jax.vmap(over_right, in_axes=(0, None))(responses, responses)
    K_fresh, K_training, K_identity = tables
    slope = -jnp.diagonal(K_identity)  # K'(λ)

    def gain(table):
        products = nodes.weights[:, None] * nodes.weights[None, :] * table
        return jnp.sum(products) - 2 * jnp.sum(nodes.weights * states.alignment)

    # Σ c' K with K = 1 - (1-K): the ones cancel in exact arithmetic for ridge.
    train_loss = (
        1
        + jnp.sum(nodes.loss_weights)
        - jnp.sum(nodes.loss_weights * states.one_minus_K)
        + jnp.sum(nodes.loss_slope_weights * slope)
    )
    test_gain = gain(K_fresh)
    score_error, bias2 = population.score(nodes, states, test_gain)
    errors = Errors(
        score_error=score_error,
        test_loss=1 + test_gain,
        train_loss=train_loss,
        memorization_loss=1 + gain(K_training),
        bias2=bias2,
        variance=score_error - bias2,
    )
    return errors, residual, jnp.max(steps).astype(jnp.int32)
