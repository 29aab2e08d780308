"""The road's entry: from a problem to its equations and their errors, with a status."""

import dataclasses
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._files.programs import kept
from .._numerics.absent import ABSENT as NO_DATA
from .._numerics.derivatives import fixed
from .._numerics.once import made_once
from ..errors import FIELDS, LOSSES, Errors, Solution, Status, nan_explained
from ..ingredients.cross_moments import CrossMoments
from ..ingredients.ensembles import Single
from ..ingredients.sharing import Shared
from ..ingredients.targets import Denoising
from ..ingredients.training import largest_learning_rate
from ..parameters.checks import holds, is_traced
from .averaged import AveragedEquations
from .equivalent import TOLERANCE, solve_unknowns
from .few_points import of_infinitely_many
from .learning_curve import Solved, learning_curve, solved
from .measured import MeasuredEquations
from .overlaps import averaged
from .problem import Problem
from .spectrum import edges, ends_under

# Added to v² and s²: features without a shared or a fresh part (constant data, say) then keep
# unknowns that have logarithms. Far below rounding of anything, with powers that are floats.
ABSENT = 1e-100
MEAN_SHOWS = 1e-6  # |μ0| relative to the rest of a feature, beyond which it counts
TINY_REACH = 1e-14  # an eigenvalue that all of no spectrum is under


@nan_explained
def solve(problem: Problem, moments: Any = None) -> Solution:
    """The errors in the limit of large dimension, with the status of the solve.

    Args:
        problem: numbers and ingredients; a training rule of many times gives their axis.
        moments: `Moments` of the features; several draws of W give their axis in front. Then
            psi_n, inverse_m and training are free; psi_p, process, activation and law belong
            to the measurement: others are a status, and derivatives in them NaN.

    Returns:
        A `Solution`. Never raises; rows that failed are NaN in value and derivative.
    """
    ensemble = problem.ensemble
    if is_traced(ensemble.networks) or ensemble.networks != 1:
        return _solution(problem, moments)
    # One network is no ensemble: its program and, to the last bit, its numbers.
    found = _solution(dataclasses.replace(problem, ensemble=Single()), moments)
    losses = {name: getattr(found.errors, name) for name in LOSSES if not ensemble.knows(name)}
    unknown = jax.tree.map(lambda loss: loss * jnp.nan, losses)
    return dataclasses.replace(found, errors=dataclasses.replace(found.errors, **unknown))


@kept
def _solution(problem: Problem, moments: Any) -> Solution:
    """`solve`, of one network or several."""
    problem = made_once(problem)
    if moments is not None and moments.draws is not None:
        return jax.vmap(_solution, (None, moments.axes_of_draws()))(problem, moments)
    if moments is not None and moments.parts is not None:
        return of_infinitely_many(partial(_solve, problem), moments)
    return _solve(problem, moments)


def _solve(problem: Problem, moments: Any) -> Solution:
    """`solve`, of moments of one draw and of the whole data."""
    ensemble = problem.ensemble
    left, right, cross = networks(problem, None, ensemble.shared, moments)
    errors = learning_curve(left.one)
    if right is not left:
        errors = jax.tree.map(lambda x, y: (x + y) / 2, errors, learning_curve(right.one))
    errors = averaged(errors, ensemble, left.one, right.one, cross)
    if moments is not None:
        errors = _as_measured(errors, problem, moments)
    known = [name for name in (FIELDS if moments is None else LOSSES) if ensemble.knows(name)]
    values = [getattr(errors, name) for name in known]
    status, ok = judged(values, left, *([] if right is left else [right]))
    errors = jax.tree.map(lambda value: value * ok, errors)
    residual, steps = jnp.maximum(left.one.residual, right.one.residual), left.one.steps
    return Solution(errors, status, residual, steps, left.constants_error, left.one.nodes.error)


class Prepared(NamedTuple):
    """A problem whose equations are solved, before it is known what for.

    Attributes:
        one: the equations, solved. constants_error: of the activation's constants.
        needs: what must hold for a success, each with the status otherwise.
    """

    one: Solved
    constants_error: Any
    needs: list[tuple[Any, Any]]


def prepared(problem: Problem, moments: Any = None) -> Prepared:
    """The equations of a problem, solved at the nodes of its rule; moments are of one draw."""
    if moments is None:
        equations, constants = averaged_equations(problem)
        constants_error = constants.error
        needs = [*_averaged_needs(problem, equations, constants)]
    else:
        equations = measured_equations(problem.psi_n, moments, problem.denoising)
        constants_error = jnp.zeros(())
        needs = [*_measured_needs(problem, moments)]
    nodes = problem.training.nodes(problem.rate)
    one = solved(equations, nodes, problem.inverse_m)
    return Prepared(
        one,
        constants_error,
        [
            # A comparison with NaN does not hold: a NaN is never a success.
            (one.residual <= TOLERANCE, Status.not_converged),
            (nodes.error <= problem.training.tolerance, Status.filter_not_resolved),
            *needs,
            (holds(problem.domain(measured=moments is not None)), Status.invalid_input),
        ],
    )


def networks(
    ours: Problem, theirs: Problem | None, shared: Shared, moments: Any
) -> tuple[Prepared, Prepared, Any]:
    """Two networks, one and the same where nothing tells them apart, and their cross moments.

    Args:
        theirs: None: the problem of the first. moments: of one draw.

    Raises:
        ValueError: features apart with moments of one network.
    """
    if isinstance(moments, CrossMoments) and not shared.features:
        cross = moments.rotated.shared, moments.rotated.fresh
        both = prepared(ours, moments.left), prepared(theirs or ours, moments.right)
        return *both, cross
    if moments is not None and not shared.features:
        raise ValueError(
            "networks with features of their own need moments of two networks: "
            "measure(..., cross=True)."
        )
    if isinstance(moments, CrossMoments):
        moments = moments.left
    left = prepared(ours, moments)
    return left, left if theirs is None else prepared(theirs, moments), None


def judged(values: list[Any], *sides: Prepared, domain: Any = ()) -> tuple[Any, Any]:
    """The status of values, one for each training time, and a factor: 1, NaN where failed.

    Args:
        sides: what the values are of. domain: conditions beside theirs.
    """
    finite = reduce(jnp.logical_and, map(jnp.isfinite, values))
    needs = [need for side in sides for need in side.needs]
    met = (finite, Status.not_finite), *needs, (holds(domain), Status.invalid_input)
    status = _status(*met, shape=finite.shape)
    # A product, not a where: its derivative is NaN in both directions. The root of 1 is there
    # for XLA, which would make all conditions again for each value they are a factor of.
    return status, jnp.sqrt(jnp.where(status == Status.success, 1.0, jnp.nan))


def averaged_equations(problem: Problem) -> tuple[AveragedEquations, Any]:
    """The equations of features averaged over W, and the activation's constants."""
    denoising, law, constants = problem.denoising, problem.law, problem.constants()
    noising = denoising.noising
    equations = AveragedEquations(
        psi_n=problem.psi_n,
        psi_p=problem.psi_p,
        linear_data=(constants.b * noising.a) ** 2,
        linear_noise=constants.b**2 * noising.h,
        shared=constants.v2 + ABSENT,
        fresh=constants.s2 + ABSENT,
        eigenvalues=law.eigenvalues,
        weights=law.weights,
        denoising=denoising,
    )
    return made_once(equations), constants


def measured_equations(psi_n: Any, moments: Any, denoising: Any) -> MeasuredEquations:
    """The equations of features whose moments, of one draw, are given."""
    return MeasuredEquations(psi_n * moments.d, moments.rotated, denoising)


def _averaged_needs(problem: Problem, equations: AveragedEquations, constants: Any):
    """What must hold for averaged features beside all else, with the status otherwise."""
    tabulated = jnp.isfinite(constants.b + constants.v2 + constants.s2)
    yield tabulated, Status.constants_out_of_range
    if (reach := problem.training.reach(problem.rate)) is not None:
        stable = ends_under(equations, problem.inverse_m, jnp.maximum(reach, TINY_REACH))
        size = jnp.sqrt(constants.b**2 + constants.v2 + constants.s2)
        mean_free = jnp.abs(constants.mu0) <= MEAN_SHOWS * size
        yield stable, Status.unstable_rate
        yield mean_free, Status.outlier


def _measured_needs(problem: Problem, moments: Any):
    """The same of measured features."""
    if problem.training.reach(problem.rate) is not None:
        raise ValueError(
            f"{type(problem.training).__name__} from moments is not supported: their largest "
            "eigenvalue, which bounds its rate, is not known; take GradientFlow."
        )
    conditions = moments.conditions(
        problem.psi_n, problem.psi_p, problem.process, problem.activation, problem.denoising
    )
    yield holds(conditions), Status.other_moments


def _as_measured(errors: Errors, problem: Problem, moments: Any) -> Errors:
    """Of finitely many points that of those not drawn; no derivative in what was measured."""
    if moments.population is not None:
        if not problem.ensemble.knows("memorization_loss"):
            raise ValueError(
                "an ensemble whose networks train on other points needs moments of infinitely "
                "many: keep their halves, measure(..., halves=True), or "
                "moments.with_population(None)."
            )
        share = problem.psi_n * moments.d / moments.population
        test_loss = (errors.test_loss - share * errors.memorization_loss) / (1 - share)
        errors = dataclasses.replace(errors, test_loss=test_loss)
    condition = measured_as(problem)
    return jax.tree.map(lambda value: value * condition, errors)


def measured_as(problem: Problem) -> Any:
    """1, without a derivative in what was measured."""
    measured = problem.process, problem.activation, problem.law
    conditions = [problem.psi_p, *jax.tree.leaves(measured)]
    return jnp.prod(jnp.stack([jnp.prod(fixed(leaf)) for leaf in conditions]))


def _status(*needs: tuple[Any, Any], shape: tuple[int, ...]) -> Any:
    """The status of each row: of the needs that do not hold, the last one's."""

    def judge(*holding):
        status = Status.success
        for met, (_, otherwise) in zip(holding, needs, strict=True):
            status = Status.where(met, status, otherwise)
        return status

    for _ in shape:  # one status for each training time
        judge = jax.vmap(judge)
    return judge(*(jnp.broadcast_to(holding, shape) for holding, _ in needs))


def require_stable(solution: Any, *problems: Problem) -> None:
    """Raise where a training rule diverges, and say how it would not; not if traced.

    Args:
        solution: what has a status. problems: what it is of, one or two networks.

    Raises:
        ValueError: the largest eigenvalue of U is beyond the rule's reach.
    """
    bounded = [each for each in problems if each.training.reach(each.rate) is not None]
    if not bounded or is_traced(solution.status, problems):
        return
    if solution.status == Status.outlier:
        raise ValueError(Status[solution.status])

    def beyond(problem):
        return largest_eigenvalue(problem) - float(problem.training.reach(problem.rate))

    if solution.status == Status.unstable_rate:
        problem = max(bounded, key=beyond)  # of two rules it may be one alone
        raise ValueError(problem.training.divergence(problem.rate, largest_eigenvalue(problem)))


def largest_eigenvalue(problem: Problem) -> float:
    """λ_max of U, the upper end of its spectrum."""
    return float(edges(averaged_equations(problem)[0], problem.inverse_m)[-1, 1])


def stable_rate(problem: Problem) -> float:
    """η = 2/(κ(λ_max + λ)), from which on gradient descent diverges."""
    lam = getattr(problem.training, "lam", 0.0)
    return float(largest_learning_rate(problem.rate, largest_eigenvalue(problem), lam))


@jax.jit
def mean_resolvent(psi_n, inverse_m, lam, moments):
    """The coefficients of λ + Σ_c [x_c S_g,c + y_c S_s,c] = Q̄^{-1}: (x, y), each (C,).

    Args:
        psi_n, inverse_m, lam: numbers; moments: `Moments` of one draw.
    """
    of_any = Denoising(None, NO_DATA, 1, 1)  # it does not depend on the target
    equations = measured_equations(psi_n, moments, of_any)
    unknowns, _ = solve_unknowns(equations, lam, inverse_m)
    return equations.coefficients(unknowns, inverse_m)
