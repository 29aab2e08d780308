r"""The averaged theory in float32, for accelerators (docs/theory.md section 13).

For ridge on data of one eigenvalue. Newton's step has no powers of 1 + δ0, which leave the
range of float32, and training points are a source without the difference 1 - i0 η. Beside the
errors stands a bound on what rounding costs them, made of the solution itself (`rounding`): a
row whose bound is beyond `TOLERANCE` is refused.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex

from .._files.programs import kept
from .._numerics.promotion import cast
from ..errors import Solution, Status, nan_explained
from ..ingredients.ensembles import Single
from ..ingredients.training import Ridge
from ..parameters.checks import holds
from . import one_atom, rounding
from .averaged import AveragedEquations
from .equivalent import STEP_LIMIT
from .learning_curve import learning_curve, solved
from .problem import Problem
from .scalars import Image, Source, State
from .solution import Prepared, averaged_equations, judged

TOLERANCE = 1e-3  # of max(value, 1): a row whose bound is beyond it is refused
STEPS = 6  # one less than in float64, and more as the slowest of a batch needs
MORE_STEPS = 12
RESIDUAL = 3.6e-7  # of the equations as Newton has them, 3 ε, at which its steps end
MISMATCH = 2e-6  # of the equations as they stand, to count as solved; 9 ε were seen

PRECISIONS = ("float64", "float32")
_NO_BOUND = (
    "precision='float32' has no bound on its rounding for {}, only for one network of Ridge on "
    "data of one eigenvalue: take precision='float64'."
)


class SingleEquations(AveragedEquations):
    """`AveragedEquations` of one atom at λ > 0, arranged for float32."""

    def root(self, lam, u):
        x = self.scalars(u)
        z = jax.lax.complex(*one_atom.start(lam, x))
        z = jax.lax.fori_loop(0, STEPS, lambda _, z: _moved(z, _newton(z, lam, x)), z)

        def unfinished(carry):
            z, taken = carry
            step = _newton(z, lam, x)
            size = jnp.maximum(jnp.abs(step.q), jnp.abs(step.G))
            return (size > RESIDUAL * step.condition) & (taken < STEPS + MORE_STEPS)

        def more(carry):
            z, taken = carry
            return _moved(z, _newton(z, lam, x)), taken + 1

        z, taken = jax.lax.while_loop(unfinished, more, (z, jnp.asarray(STEPS, jnp.int8)))
        q, G = z.real, z.imag
        E0, E1, _, _ = one_atom.resolved(q, G, x)
        return (E0, E1, q), taken.astype(q.dtype)

    def sources(self, left: State, right: State) -> tuple[Source, Source, Source]:
        """Of training points with Y's and x's parts of M = i0_L η_L i0_R η_R and g in one.

        These are b²a² (M + g) = b²a² (1 - i0_L η_L)(1 - i0_R η_R), and so for v², where the
        factors are i0 (1 + ratio q u (b²h ∫ρD + s²)). M itself then is no corner of i0's, and
        stands beside it in `own` and `left`, `right`.
        """
        fresh, _, identity = super().sources(left, right)
        (share_L, rest_L), (share_R, rest_R) = self._shares(left), self._shares(right)
        mean, rest, u = share_L * share_R, rest_L * rest_R, left.u
        training = Source(
            self.fresh * (1 + u * mean) + self.shared * rest,
            self.linear_data * rest,
            self.linear_noise * (1 + u * mean),
            left=self.image(share_L * rest_R, -u * mean),
            right=self.image(share_R * rest_L, -u * mean),
            own=Image(mean, u * mean),
        )
        return fresh, training, identity

    def _shares(self, state: State) -> tuple[Any, Any]:
        """i0 η, and what is left of 1."""
        apart = state.u * (self.linear_noise * state.powers[0] + self.fresh)
        return state.i0 * state.eta, state.i0 * (1 + self.ratio * state.q * apart)


def is_float32(precision: str, moments: Any) -> bool:
    """Whether a solve is this one.

    Raises:
        ValueError: another precision, or float32 of moments.
    """
    if precision not in PRECISIONS:
        names = " or ".join(map(repr, PRECISIONS))
        raise ValueError(f"precision must be {names}, got {precision!r}.")
    if precision == "float32" and moments is not None:
        raise ValueError(_NO_BOUND.format("measured moments"))
    return precision == "float32"


def require_covered(problem: Problem) -> None:
    """Refuse what has no bound.

    Raises:
        ValueError: another rule than ridge, several networks or eigenvalues.
    """
    count = problem.law.eigenvalues.shape[0]
    for covered, what in (
        (type(problem.training) is Ridge, type(problem.training).__name__),
        (isinstance(problem.ensemble, Single), "an average of networks"),
        (count == 1, f"data of {count} eigenvalues"),
    ):
        if not covered:
            raise ValueError(_NO_BOUND.format(what))


@nan_explained
def solve_float32(problem: Problem) -> Solution:
    """`solution.solve` in float32, with a bound on its `rounding`.

    Args:
        problem: of ridge, one network and one eigenvalue; its numbers are rounded.

    Raises:
        ValueError: another problem.
        TypeError: it is differentiated.
    """
    require_covered(problem)
    rounded_u = problem.inverse_m != 1  # before it is: of m = 1 nothing is rounded
    return _solve(_without_derivatives(cast(problem, jnp.float32)), rounded_u)


@kept
def _solve(problem: Problem, rounded_u: Bool[Array, ""]) -> Solution:
    averaged, constants = averaged_equations(problem)
    equations = SingleEquations(**vars(averaged))
    one = solved(equations, problem.training.nodes(problem.rate), problem.inverse_m)
    errors = learning_curve(one)
    state = jax.tree.map(lambda x: x[0], one.states)
    bound = rounding.bound(equations, state, errors, rounded_u.astype(jnp.float32))
    needs = [
        ((bound <= TOLERANCE) & (one.residual <= MISMATCH), Status.needs_float64),
        (
            jnp.isfinite(constants.b + constants.v2 + constants.s2),
            Status.constants_out_of_range,
        ),
        (holds(problem.domain()), Status.invalid_input),
    ]
    status, _ = judged(jax.tree.leaves(errors), Prepared(one, constants.error, needs))
    success = status == Status.success
    errors = jax.tree.map(lambda value: jnp.where(success, value, jnp.nan), errors)
    filter_error = jnp.zeros_like(bound)
    return Solution(
        errors, status, one.residual, one.steps, constants.error, filter_error, bound
    )


@jax.custom_jvp
def _without_derivatives(problem: Problem) -> Problem:
    return problem


@_without_derivatives.defjvp
def _refused(primals, tangents):
    raise TypeError(
        "precision='float32' has a bound for values and none for derivatives: differentiate "
        "precision='float64'."
    )


class _Step(NamedTuple):
    """A Newton step in (ln q, ln G).

    Attributes:
        q, G: its parts. condition: how far they move with the two residuals, at most.
    """

    q: Any
    G: Any
    condition: Any


def _newton(z: Complex[Array, ""], lam: Any, x: one_atom.Scalars) -> _Step:
    """`one_atom`'s Newton step, its rows times powers of the mantissas of 1 + δ0 and 1 + δ1.

    With 1 + δ = L/s, L in [1, 2) and s a power of 2, i0 and i1 are s/L: all stays within the
    range of float32, and again one division is left.
    """
    q, G, spread = z.real, z.imag, 1 - x.u
    tG, HG, B0q, B1q = one_atom.parts(x, q, G)
    E0, E1 = tG + B0q, HG + B1q
    (L1, s1), (L2, s2) = _split(1 + x.ratio * E0), _split(1 + x.u * x.ratio * E1)
    both, of_mean, of_contrast, width = L1 * L2, s1 * L2, s2 * L1, x.psi_p * q
    inverse_D = both + width * (x.t * of_mean + spread * x.H * of_contrast)
    trace = (lam * q * both + E0 * of_mean + spread * E1 * of_contrast - both) * both
    of_G = (G * inverse_D - q * both) * inverse_D
    mean, contrast, square = of_mean**2, spread * of_contrast**2, both * both
    k0, k1 = width * x.t * mean, width * x.H * contrast
    q_q, q_G = lam * q * square + mean * B0q + contrast * B1q, mean * tG + contrast * HG
    G_q = square + x.ratio * (k0 * B0q + x.u * k1 * B1q)
    G_G = G_q + k0 + k1
    scale = 1 / (q * (q_q * G_G + q_G * G_q))
    largest = jnp.maximum(G_G * both + q_G * inverse_D, G_q * both + q_q * inverse_D)
    return _Step(
        (q_G * of_G - q * trace * G_G) * scale,
        -(q_q * of_G + q * trace * G_q) * scale,
        q * both * largest * scale,
    )


def _split(number: Any) -> tuple[Any, Any]:
    """(number times a power of 2, in [1, 2); that power) of numbers of float32 from 1 on."""
    exponent = jax.lax.bitcast_convert_type(number, jnp.int32) & 0x7F800000
    power = jax.lax.bitcast_convert_type(0x7F000000 - exponent, number.dtype)
    return number * power, power


def _moved(z: Complex[Array, ""], step: _Step) -> Complex[Array, ""]:
    """The unknowns after a step."""
    return jax.lax.complex(_grown(z.real, step.q), _grown(z.imag, step.G))


def _grown(x, step):
    """x (1 + step/8)^8 of a limited step, of a small one without rounding 1 + step/8."""
    growth = jnp.clip(step, -STEP_LIMIT, STEP_LIMIT) / 8
    for _ in range(3):
        growth = growth * (2 + growth)
    return x + x * growth
