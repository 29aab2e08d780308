"""The road's two entries: the errors of a model's population, with the status of the solve."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .._numerics.derivatives import fixed
from ..errors import FIELDS, LOSSES, Solution, Status
from ..parameters.checks import holds, is_traced
from .averaged import AveragedPopulation
from .equivalent import TOLERANCE, solve_unknowns
from .learning_curve import learning_curve
from .measured import MeasuredPopulation
from .problem import Problem
from .spectrum import edges, ends_under

# Added to v² and s²: features without a shared or a fresh part (constant data, say) then keep
# unknowns that have logarithms. Far below rounding of anything, with powers that are floats.
ABSENT = 1e-100
MEAN_SHOWS = 1e-6  # |μ0| relative to the rest of a feature, beyond which it counts
TINY_REACH = 1e-14  # an eigenvalue that all of no spectrum is under
FILTER_TOLERANCE = 1e-8  # of the filter's quadrature; 1e-12 is usual


@partial(jax.jit, static_argnames="points")
def solve(problem: Problem, taus=None, points: int | None = None) -> Solution:
    """The errors in the limit of large dimension, with the status of the solve.

    Args:
        problem: numbers and ingredients.
        taus: training times in place of the `GradientFlow`'s own, on `points` nodes; the
            `Solution` then has their axis.

    Returns:
        A `Solution`. Never raises; rows that failed are NaN in value and derivative.
    """
    population, constants = averaged_population(problem)
    tabulated = jnp.isfinite(constants.b + constants.v2 + constants.s2)
    needs = [(tabulated, Status.constants_out_of_range)]
    if problem.training.reach(1.0) is not None:
        reach = jnp.maximum(problem.training.reach(problem.rate), TINY_REACH)
        stable = ends_under(population, problem.inverse_m, reach)
        size = jnp.sqrt(constants.b**2 + constants.v2 + constants.s2)
        mean_free = jnp.abs(constants.mu0) <= MEAN_SHOWS * size
        needs += [(stable, Status.unstable_rate), (mean_free, Status.outlier)]
    solved = _curve(problem, population, taus, points)
    return _judged(*solved, FIELDS, constants.error, needs, problem.domain(), taus)


def averaged_population(problem: Problem) -> tuple[AveragedPopulation, Any]:
    """The population of random features on data of a law, and the activation's constants."""
    a, h = problem.process.scales()
    law, constants = problem.law, problem.constants()
    population = AveragedPopulation(
        psi_n=problem.psi_n,
        psi_p=problem.psi_p,
        linear_data=(constants.b * a) ** 2,
        linear_noise=constants.b**2 * h,
        shared=constants.v2 + ABSENT,
        fresh=constants.s2 + ABSENT,
        eigenvalues=law.eigenvalues,
        weights=law.weights,
        noise=h,
        noised=a**2 * law.eigenvalues + h,
    )
    return population, constants


@partial(jax.jit, static_argnames="points")
def solve_measured(
    problem: Problem, moments: Any, taus=None, points: int | None = None
) -> Solution:
    """The errors of features whose moments were measured, with the status of the solve.

    psi_n, inverse_m and training are free. psi_p, process, activation and law belong to the
    measurement: others are a status, and derivatives in them NaN.

    Args:
        moments: `Moments`; with several draws of W the `Solution` has their axis in front.
        problem, taus, points: as in `solve`.
    """
    if problem.training.reach(1.0) is not None:
        raise ValueError(
            f"{type(problem.training).__name__} from moments is not supported: their largest "
            "eigenvalue, which bounds its rate, is not known; take GradientFlow."
        )
    if moments.draws is not None:
        one = partial(solve_measured, points=points)
        axes = None, moments.axes_of_draws(), None
        return jax.vmap(one, axes)(problem, moments, taus)
    process, activation = problem.process, problem.activation
    measured = moments.conditions(problem.psi_n, problem.psi_p, process, activation)
    population = MeasuredPopulation(problem.psi_n * moments.d, moments.rotated)
    errors, *solved = _curve(problem, population, taus, points)
    if moments.population is not None:  # test_loss on those of them that were not drawn
        share = population.n / moments.population
        test_loss = (errors.test_loss - share * errors.memorization_loss) / (1 - share)
        errors = dataclasses.replace(errors, test_loss=test_loss)
    conditions = [problem.psi_p, *jax.tree.leaves((process, activation, problem.law))]
    condition = jnp.prod(jnp.stack([jnp.prod(fixed(leaf)) for leaf in conditions]))
    errors = jax.tree.map(lambda value: value * condition, errors)
    needs = [(holds(measured), Status.other_moments)]
    domain = problem.ratios() + problem.training.domain()
    return _judged(errors, *solved, LOSSES, jnp.zeros(()), needs, domain, taus)


def require_stable_rate(solution: Solution, problem: Problem) -> None:
    """Raise where gradient descent diverges, with the largest stable rate; not if traced."""
    if problem.training.reach(1.0) is None or is_traced(solution.status, problem):
        return
    if solution.status == Status.outlier:
        raise ValueError(Status[solution.status])
    if solution.status == Status.unstable_rate:
        raise ValueError(
            f"learning_rate = {problem.training.learning_rate:.6g} diverges: the largest "
            f"stable one is {largest_learning_rate(problem):.6g} here."
        )


def largest_learning_rate(problem: Problem) -> float:
    """η = 2/(κ(λ_max + λ)), from which on gradient descent diverges."""
    largest = edges(averaged_population(problem)[0], problem.inverse_m)[-1, 1]
    return float(2 / (problem.rate * (largest + getattr(problem.training, "lam", 0.0))))


@jax.jit
def mean_resolvent(psi_n, inverse_m, lam, moments):
    """The coefficients of λ + Σ_c [x_c S_g,c + y_c S_s,c] = Q̄^{-1}: (x, y), each (C,).

    Args:
        psi_n, inverse_m, lam: numbers; moments: `Moments` of one draw.
    """
    population = MeasuredPopulation(psi_n * moments.d, moments.rotated)
    unknowns, _ = solve_unknowns(population, lam, inverse_m)
    return population.coefficients(unknowns, inverse_m)


def _curve(problem: Problem, population, taus, points):
    """(errors, residual, Newton steps, the filter's error)."""
    times = () if taus is None else (taus, points)
    nodes = problem.training.nodes(problem.rate, *times)
    return *learning_curve(population, nodes, problem.inverse_m), nodes.error


def _judged(
    errors, residual, steps, filter_error, known, constants_error, needs, domain, taus
) -> Solution:
    """The solution with its status: of the needs that do not hold, the last one's.

    Args:
        known: the names of the errors that must be finite.
        needs: (condition, its status), beside those that every solution has.
        domain: of the problem; taus: the training times, if any.
    """
    finite = jnp.isfinite(jnp.stack([getattr(errors, name) for name in known]))
    valid = True if taus is None else jnp.isfinite(taus) & (taus >= 0)
    needs = [  # A comparison with NaN does not hold: a NaN is never a success.
        (jnp.all(finite, axis=0), Status.not_finite),
        (residual <= TOLERANCE, Status.not_converged),
        (filter_error <= FILTER_TOLERANCE, Status.filter_not_resolved),
        *needs,
        (holds(domain) & valid, Status.invalid_input),
    ]

    def judge(*holding):
        status = Status.success
        for met, (_, otherwise) in zip(holding, needs, strict=True):
            status = Status.where(met, status, otherwise)
        return status

    for _ in filter_error.shape:  # one status for each training time
        judge = jax.vmap(judge)
    status = judge(*(jnp.broadcast_to(holding, filter_error.shape) for holding, _ in needs))
    # A product, not a where: its derivative is NaN in both directions.
    poison = jnp.where(status == Status.success, 1.0, jnp.nan)
    errors = jax.tree.map(lambda value: value * poison, errors)
    return Solution(errors, status, residual, steps, constants_error, filter_error)
