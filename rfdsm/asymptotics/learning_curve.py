r"""The six errors of a trained network, for any spectral filter (THEORY.md section 6).

With the filter's nodes λ_i and weights c_i, states i at λ_i, σ_t = a²σ + h,

    score_error       = ∫ρ/σ_t - (2/h) Σ_i c_i α_i G_i + (1/h) Σ_ij c_i c_j K_C(λ_i, λ_j)
    memorization_loss = 1 - 2 Σ_i c_i α_i G_i + Σ_ij c_i c_j K_mem(λ_i, λ_j)
    train_loss        = 1 + Σ_i c'_i K(λ_i) + c''_i K'(λ_i)
    bias2             = ∫ρ σ_t (1/σ_t - Σ_i c_i α_i b² ψ_p q_i D_i(σ))²

All are per dimension and O(1). Losses and K are accurate to about 1e-9 of max(value, 1),
score errors to 1e-9 of max(value, ∫ρ/σ_t); at ψ_p = m ψ_n with λ = 1e-12 to 1e-7.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..checks import holds
from ..errors import Errors, Solution, Status
from .equivalent import TOLERANCE, solve_unknowns
from .population import AveragedPopulation
from .two_point import two_point

# Added to v² and s²: features without a shared or a fresh part (constant data, say) then keep
# unknowns that have logarithms. Far below rounding of anything, with powers that are floats.
ABSENT = 1e-100


@jax.jit
def solve(psi_n, psi_p, inverse_m, process, activation, law, training) -> Solution:
    """The errors in the limit of large dimension, with the status of the solve.

    Args:
        psi_n, psi_p: n/d and p/d, > 0; inverse_m: u = 1/m in [0, 1].
        process, activation, training: ingredients; law: the `Gaussian` law of the data.

    Returns:
        A `Solution`. Never raises; rows that failed are NaN in value and derivative.
    """
    domain = [
        ((psi_n > 0) & jnp.isfinite(psi_n), ""),
        ((psi_p > 0) & jnp.isfinite(psi_p), ""),
        ((inverse_m >= 0) & (inverse_m <= 1), ""),
    ]
    for ingredient in (process, training, law):
        domain += ingredient.domain()
    valid = holds(domain)

    a, h = process.scales()
    sigma_x2 = jnp.sum(law.weights * law.eigenvalues)
    constants = activation.constants(a**2 * sigma_x2, h)
    tabulated = jnp.isfinite(constants.b + constants.v2 + constants.s2)
    population = AveragedPopulation(
        psi_n=psi_n,
        psi_p=psi_p,
        linear_data=(constants.b * a) ** 2,
        linear_noise=constants.b**2 * h,
        shared=constants.v2 + ABSENT,
        fresh=constants.s2 + ABSENT,
        eigenvalues=law.eigenvalues,
        weights=law.weights,
    )
    errors, residual, steps = learning_curve(
        population, training.nodes(), inverse_m, h, a**2 * law.eigenvalues + h
    )
    finite = jnp.all(jnp.isfinite(jnp.stack(jax.tree.leaves(errors))))
    status = Status.where(finite, Status.success, Status.not_finite)
    # NaN <= TOLERANCE is false: a NaN is never a success.
    status = Status.where(residual <= TOLERANCE, status, Status.not_converged)
    status = Status.where(tabulated, status, Status.constants_out_of_range)
    status = Status.where(valid, status, Status.invalid_input)
    # A product, not a where: its derivative is NaN in both directions.
    poison = jnp.where(status == Status.success, 1.0, jnp.nan)
    errors = jax.tree.map(lambda value: value * poison, errors)
    return Solution(errors, status, residual, steps, constants.error)


def learning_curve(
    population: AveragedPopulation,
    nodes: Any,
    u: Float[Array, ""],
    h: Float[Array, ""],
    noised: Float[Array, " k"],
) -> tuple[Errors, Float[Array, ""], Int[Array, ""]]:
    """(errors, residual, Newton steps) of a population under the filter `nodes`.

    Args:
        population: the features; nodes: `FilterNodes`; u: 1/m; h: variance of the noise.
        noised: σ_t of each eigenvalue of the population's law.
    """

    def state(lam):
        unknowns, steps = solve_unknowns(population, lam, u)
        return population.state(unknowns, lam, u), steps

    states, steps = jax.vmap(state)(nodes.resolvents)
    residual = jnp.max(jax.vmap(population.mismatch)(states))

    def pair(left, right):
        return two_point(population, left, right, population.sources(left, right))

    over_right = jax.vmap(pair, in_axes=(None, 0))
    K_fresh, K_training, K_identity = jax.vmap(over_right, in_axes=(0, None))(states, states)
    slope = -jnp.diagonal(K_identity)  # K'(λ)

    def double_sum(table):
        return jnp.sum(nodes.weights[:, None] * nodes.weights[None, :] * table)

    aligned = jnp.sum(nodes.weights * states.alpha * states.mean_coupling)
    score_error = population.average(1 / noised) - 2 * aligned / h + double_sum(K_fresh) / h
    # Σ c' K with K = 1 - (1-K): the ones cancel in exact arithmetic for ridge.
    train_loss = (
        1
        + jnp.sum(nodes.loss_weights)
        - jnp.sum(nodes.loss_weights * states.one_minus_K)
        + jnp.sum(nodes.loss_slope_weights * slope)
    )
    gain = nodes.weights * states.alpha * states.q * population.psi_p
    mean_score = population.linear_noise / h * jnp.sum(gain[:, None] * states.D, axis=0)
    bias2 = population.average(noised * (1 / noised - mean_score) ** 2)
    errors = Errors(
        score_error=score_error,
        test_loss=1 - h * population.average(1 / noised) + h * score_error,
        train_loss=train_loss,
        memorization_loss=1 - 2 * aligned + double_sum(K_training),
        bias2=bias2,
        variance=score_error - bias2,
    )
    return errors, residual, jnp.max(steps).astype(jnp.int32)
