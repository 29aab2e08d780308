r"""The deterministic equivalent of (U+λ)^{-1}: Newton on the one-point equations.

The unknowns are positive; the equations are monotone and sub-homogeneous in them, so the root
is unique and the Jacobian in their logs is nonsingular (docs/theory.md section 11). From the
start of the averaged equations eight Newton steps reach rounding error everywhere in psi
1e-3..1e3, lam 1e-12..1e3, t 1e-4..10, m in [1, ∞] for features like those of tanh: their
number does not depend on the data, and a batch does not wait for its slowest row. Features that
are linear but for 1e-6 and less take up to sixteen; only a batch with such a row goes on.

At complex λ steps are held on the physical branch (`branch`). Up to an argument of 0.9 π no one
of 10^5 points of the box above needed more than 32 steps; ten to fourteen are usual.

Derivatives of every order come from one rule, the implicit function theorem on the
converged equations (`one_atom` has a form of its own); iterations are never differentiated.
"""

from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from .._numerics.promotion import mixed
from . import branch
from .equations import OnePointEquations

MORE_STEPS = 32  # at most, after the fixed ones; nothing seen needs more than 8
STEP_LIMIT = 4.0  # in the logs
RESIDUAL = 1e-13  # of the equations as Newton has them: rounding, at which steps end
FIRST_STEPS = 12  # at the first of these
TURNS = np.array(
    [0.5, 0.41, 0.32, 0.24, 0.16, 0.1, 0.06, 0.035, 0.02, 0.01, 0.004, 1e-3, 1e-4, 1e-6, 1e-9]
)
CAREFUL_TURNS = np.geomspace(0.5, 1e-9, 60)
TOLERANCE = 1e-12  # on |F(X)/X - 1|, to count as solved; converged rows have 1e-15


def _implicit(solve):
    r"""`solve`(equations, lam, u) -> (unknowns, steps) with the derivative of a root.

    With residual r(log X, θ) = 0, d log X = -(∂r/∂log X)^{-1} (∂r/∂θ) dθ, which is itself
    differentiated for higher orders.
    """
    solve = jax.custom_jvp(mixed(solve))

    @solve.defjvp
    @mixed
    def derivative(primals, tangents):
        unknowns, count = solve(*primals)

        def residual(equations, lam, u):
            return equations.residual(equations.state(unknowns, lam, u))

        equations, lam, u = primals
        _, change = jax.jvp(residual, primals, tangents)
        step = equations.newton_step(equations.state(unknowns, lam, u), change)
        tangent = jax.tree.map(jnp.multiply, unknowns, step)
        return (unknowns, count), (tangent, jnp.zeros_like(count))

    return solve


def solve_unknowns(
    equations: OnePointEquations, lam: Float[Array, ""], u: Float[Array, ""]
) -> tuple[Any, Float[Array, ""]]:
    r"""The physical solution of the one-point equations, and the Newton steps.

    At λ > 0, or complex above the real axis, and u = 1/m in [0, 1]. Whether the unknowns solve
    the equations is for `mismatch` to say.
    """
    return equations.root(lam, u) or _solve(equations, lam, u)


@_implicit
def _solve(equations, lam, u):
    return _finished(equations, lam, u, equations.start(lam, u))


def solve_turning(
    equations: OnePointEquations,
    lam: Complex[Array, ""],
    u: Float[Array, ""],
    *,
    carefully: bool = False,
) -> tuple[Any, Float[Array, ""]]:
    r"""As `solve_unknowns`, for λ close to the negative axis or, as -x + i0, on it.

    On the axis the solution is the limit from above, real outside of the spectrum's bulks. The
    argument is turned to that of λ in steps that shrink with the distance from the axis. Of
    20,000 random points on it a few miss; `carefully`, in five times the steps, one did.
    The equations are of `averaged` kind; λ is not 0, its imaginary part not negative.
    """
    return (_turned_carefully if carefully else _turned)(equations, lam, u)


def _turning(gaps: np.ndarray, steps: int):
    """Solve by way of the distances `gaps` from the axis, in the argument over π."""

    def solve(equations, lam, u):
        gap = 1 - jnp.angle(lam) / jnp.pi
        arguments = jnp.abs(lam) * jnp.exp(1j * jnp.pi * (1 - jnp.maximum(gaps, gap)))

        def turn(unknowns, turned):
            return _steps(equations, turned, u, unknowns, steps), None

        first = arguments[0]
        start = _steps(equations, first, u, equations.start(first, u), FIRST_STEPS)
        near, _ = jax.lax.scan(turn, start, arguments)
        return _finished(equations, lam, u, near)

    return _implicit(solve)


_turned, _turned_carefully = _turning(TURNS, 3), _turning(CAREFUL_TURNS, 6)


def _steps(equations, lam, u, unknowns, count: int):
    """The unknowns after `count` Newton steps, without a look at the residual."""
    return jax.lax.fori_loop(0, count, lambda _, X: _step(equations, lam, u, X), unknowns)


def _finished(equations, lam, u, unknowns):
    """(unknowns, steps) after the fixed steps, and `MORE_STEPS` at most as needed."""
    count = equations.fixed_steps
    unknowns = _steps(equations, lam, u, unknowns, count)

    def unfinished(carry):
        unknowns, taken = carry
        residual = equations.residual(equations.state(unknowns, lam, u))
        largest = reduce(jnp.maximum, (jnp.max(jnp.abs(r)) for r in jax.tree.leaves(residual)))
        # A NaN is not larger than anything: a hopeless row ends at once.
        return (largest > RESIDUAL) & (taken < count + MORE_STEPS)

    def step(carry):
        return _step(equations, lam, u, carry[0]), carry[1] + 1

    taken = jnp.full_like(jnp.abs(lam), count)
    return jax.lax.while_loop(unfinished, step, (unknowns, taken))


def _step(equations, lam, u, unknowns):
    state = equations.state(unknowns, lam, u)
    step = equations.newton_step(state, equations.residual(state))
    return jax.tree.map(lambda X, by: move(X, by, lam), unknowns, step)


def move(unknowns, step, lam):
    """exp(step)·unknowns to second order in the step, limited and kept on the physical branch.

    Without exponentials; positive where the unknowns are.
    """
    factor = 1 + branch.limited(step, STEP_LIMIT) / 8
    return branch.held(unknowns, unknowns * jnp.square(jnp.square(jnp.square(factor))), lam)
