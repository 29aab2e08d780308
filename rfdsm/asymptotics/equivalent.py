r"""The deterministic equivalent of (U+λ)^{-1}: Newton on the one-point equations.

The unknowns are positive; the equations are monotone and sub-homogeneous in them, so the
root is unique and the Jacobian in their logs is nonsingular (THEORY.md section 11). From an
averaged population's start eight Newton steps reach rounding error everywhere in psi 1e-3..1e3,
lam 1e-12..1e3, t 1e-4..10, m in [1, ∞] for features like those of tanh: their number does
not depend on the data, and a batch does not wait for its slowest row. Features that are
linear but for 1e-6 and less take up to sixteen; only a batch that holds such a row goes on.

At complex λ steps are held on the physical branch (`branch`). Up to an argument of 0.9 π no one
of 10^5 points of the box above needed more than 32 steps; ten to fourteen are usual.

Derivatives of every order come from one rule, the implicit function theorem on the
converged equations; the iterations are never differentiated.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from . import branch
from .population import AbstractPopulation

MORE_STEPS = 32  # at most, after the population's fixed ones; nothing seen needs more than 8
STEP_LIMIT = 4.0  # in the logs
COMPLEX_STEP_LIMIT = 1.0  # in their modulus
RESIDUAL = 1e-13  # of the equations as Newton has them: rounding, at which steps end
TOLERANCE = 1e-12  # on |ℓ - log F(ℓ)|, to count as solved; converged rows have 1e-15


@jax.custom_jvp
def solve_unknowns(
    population: AbstractPopulation, lam: Float[Array, ""], u: Float[Array, ""]
) -> tuple[Float[Array, " k"], Float[Array, ""]]:
    r"""The physical solution of the population's one-point equations at λ and u = 1/m.

    Derivative: with residual r(log X, θ) = 0, d log X = -(∂r/∂log X)^{-1} (∂r/∂θ) dθ, which
    is itself differentiated for higher orders.

    Args:
        population: what the equations know of the features.
        lam: λ > 0, or complex above the real axis; u: 1/m in [0, 1].

    Returns:
        The k unknowns, and the number of Newton steps. Whether the unknowns solve the
        equations is for `mismatch` to say.
    """

    def step(unknowns):
        state = population.state(unknowns, lam, u)
        return move(unknowns, population.newton_step(state, population.residual(state)), lam)

    def unfinished(carry):
        unknowns, count = carry
        residual = population.residual(population.state(unknowns, lam, u))
        largest = jnp.max(jnp.abs(jnp.asarray(residual)))
        # A NaN is not larger than anything: a hopeless row ends at once.
        return (largest > RESIDUAL) & (count < population.fixed_steps + MORE_STEPS)

    # The carry is one array: XLA runs a loop over several seven times slower.
    start = population.start(lam, u)
    unknowns = jax.lax.fori_loop(
        0, population.fixed_steps, lambda _, unknowns: step(unknowns), start
    )
    return jax.lax.while_loop(
        unfinished,
        lambda carry: (step(carry[0]), carry[1] + 1),
        (unknowns, jnp.full_like(start[0], population.fixed_steps)),
    )


@solve_unknowns.defjvp
def _implicit_derivative(primals, tangents):
    unknowns, count = solve_unknowns(*primals)

    def residual(population, lam, u):
        return population.residual(population.state(unknowns, lam, u))

    population, lam, u = primals
    _, change = jax.jvp(residual, primals, tangents)
    step = population.newton_step(population.state(unknowns, lam, u), change)
    return (unknowns, count), (unknowns * step, jnp.zeros_like(count))


def move(unknowns, step, lam):
    """exp(step)·unknowns to second order in the step, limited and kept on the physical branch.

    Without exponentials; positive where the unknowns are.
    """
    if not jnp.iscomplexobj(lam):
        return unknowns * _eighth_power(1 + jnp.clip(step, -STEP_LIMIT, STEP_LIMIT) / 8)
    size = jnp.abs(step)
    step = step * (COMPLEX_STEP_LIMIT / jnp.maximum(size, COMPLEX_STEP_LIMIT))
    moved = unknowns * _eighth_power(1 + step / 8)
    return branch.held(unknowns, moved, lam)


def _eighth_power(x):
    return jnp.square(jnp.square(jnp.square(x)))
