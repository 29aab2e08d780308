r"""The deterministic equivalent of (U+λ)^{-1}: Newton on the one-point equations.

The unknowns are positive; the equations are monotone and sub-homogeneous in them, so the
root is unique and the Jacobian in their logs is nonsingular (THEORY.md section 11). From a
population's own start a fixed number of Newton steps reaches rounding error everywhere in
psi 1e-3..1e3, lam 1e-12..1e3, t 1e-4..10, m in [1, ∞]: six at worst for moderate
parameters, seven over the whole box (2·10^5 random points each), so that no step count
depends on the data and a batch never waits for its slowest row.

Derivatives of every order come from one rule, the implicit function theorem on the
converged equations; the iterations are never differentiated.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

STEPS = 9  # two more than the worst of 4·10^5 points needed
TOLERANCE = 1e-12  # on |ℓ - log F(ℓ)|; converged rows have 1e-15


@jax.custom_jvp
def solve_unknowns(
    population: Any, lam: Float[Array, ""], u: Float[Array, ""]
) -> Float[Array, " k"]:
    r"""The positive solution of the population's one-point equations at λ and u = 1/m.

    Derivative: with residual r(log X, θ) = 0, d log X = -(∂r/∂log X)^{-1} (∂r/∂θ) dθ, which
    is itself differentiated for higher orders.

    Args:
        population: what the equations know of the features, for example
            `AveragedPopulation`.
        lam: λ > 0; u: 1/m in [0, 1].

    Returns:
        The k unknowns. Whether they solve the equations is for `mismatch` to say.
    """

    def step(_, unknowns):
        state = population.state(unknowns, lam, u)
        return _move(unknowns, population.newton_step(state, population.residual(state)))

    # The carry is one array: XLA runs a loop over several seven times slower.
    return jax.lax.fori_loop(0, STEPS, step, population.start(lam, u))


@solve_unknowns.defjvp
def _implicit_derivative(primals, tangents):
    unknowns = solve_unknowns(*primals)

    def residual(population, lam, u):
        return population.residual(population.state(unknowns, lam, u))

    population, lam, u = primals
    _, change = jax.jvp(residual, primals, tangents)
    step = population.newton_step(population.state(unknowns, lam, u), change)
    return unknowns, unknowns * step


def _move(unknowns, step):
    """exp(step)·unknowns to second order in the step, positive and without exponentials."""
    factor = 1 + jnp.maximum(step, -6.0) / 8
    return unknowns * jnp.square(jnp.square(jnp.square(factor)))
