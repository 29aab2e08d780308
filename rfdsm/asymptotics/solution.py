"""The road's two entries: the errors of a model's population, with the status of the solve."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ..checks import holds
from ..derivatives import fixed
from ..errors import Errors, Solution, Status
from ..training import FilterNodes
from .averaged import AveragedPopulation
from .equivalent import TOLERANCE, solve_unknowns
from .learning_curve import learning_curve
from .measured import MeasuredPopulation
from .spectrum import ends_under

# Added to v² and s²: features without a shared or a fresh part (constant data, say) then keep
# unknowns that have logarithms. Far below rounding of anything, with powers that are floats.
ABSENT = 1e-100
MEAN_SHOWS = 1e-6  # |μ0| relative to the rest of a feature, beyond which it counts
TINY_REACH = 1e-14  # an eigenvalue that all of no spectrum is under
FILTER_TOLERANCE = 1e-8  # of the filter's quadrature; 1e-12 is usual


@partial(jax.jit, static_argnames="points")
def solve(
    psi_n,
    psi_p,
    inverse_m,
    process,
    activation,
    law,
    training,
    taus=None,
    points: int | None = None,
) -> Solution:
    """The errors in the limit of large dimension, with the status of the solve.

    Args:
        psi_n, psi_p: n/d and p/d, > 0; inverse_m: u = 1/m in [0, 1].
        process, activation, training: ingredients; law: the `Gaussian` law of the data.
        taus: training times in place of the `GradientFlow`'s own, on `points` nodes; the
            `Solution` then has their axis.

    Returns:
        A `Solution`. Never raises; rows that failed are NaN in value and derivative.
    """
    domain = [*_ratios(psi_n, psi_p, inverse_m)]
    for ingredient in (process, training, law):
        domain += ingredient.domain()
    _, h = process.scales()
    population, constants = averaged_population(psi_n, psi_p, process, activation, law)
    tabulated = jnp.isfinite(constants.b + constants.v2 + constants.s2)
    nodes = _nodes(training, 2 * h / psi_p, taus, points)
    errors, residual, steps = learning_curve(population, nodes, inverse_m)
    needs = [
        (_finite(errors), Status.not_finite),
        (residual <= TOLERANCE, Status.not_converged),
        (nodes.error <= FILTER_TOLERANCE, Status.filter_not_resolved),
        (tabulated, Status.constants_out_of_range),
        (_converges(training, 2 * h / psi_p, population, inverse_m), Status.unstable_rate),
        (_outlier_free(training, constants), Status.outlier),
        (_holds(domain, taus), Status.invalid_input),
    ]
    return _judged(errors, residual, steps, needs, constants.error, nodes.error)


def averaged_population(
    psi_n, psi_p, process, activation, law
) -> tuple[AveragedPopulation, Any]:
    """The population of random features on data of a law, and the activation's constants."""
    a, h = process.scales()
    sigma_x2 = jnp.sum(law.weights * law.eigenvalues)
    constants = activation.constants(a**2 * sigma_x2, h)
    population = AveragedPopulation(
        psi_n=psi_n,
        psi_p=psi_p,
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


def solve_measured(
    psi_n,
    psi_p,
    inverse_m,
    process,
    activation,
    law,
    training,
    moments,
    taus=None,
    points: int | None = None,
) -> Solution:
    """The errors of features whose moments were measured, with the status of the solve.

    psi_n, inverse_m and training are free. psi_p, process, activation and law belong to the
    measurement: others are a status, and derivatives in them NaN.

    Args:
        moments: `Moments`; with several draws of W the `Solution` has their axis in front.
        psi_n, psi_p, inverse_m, process, activation, law, training, taus, points: as in
            `solve`.
    """
    arguments = (psi_n, psi_p, inverse_m, process, activation, law, training, taus)
    solve = partial(_solve_measured, points=points)
    if moments.draws is None:
        return solve(*arguments, moments)
    axes = (*[None] * len(arguments), moments.axes_of_draws())
    return jax.vmap(solve, in_axes=axes)(*arguments, moments)


@partial(jax.jit, static_argnames="points")
def _solve_measured(
    psi_n, psi_p, inverse_m, process, activation, law, training, taus, moments, points
):
    measured = moments.conditions(psi_n, psi_p, process, activation)
    domain = [*_ratios(psi_n, psi_p, inverse_m), *training.domain()]
    population = MeasuredPopulation(psi_n * moments.d, moments.rotated)
    _, h = process.scales()
    nodes = _nodes(training, 2 * h / psi_p, taus, points)
    errors, residual, steps = learning_curve(population, nodes, inverse_m)
    errors = _left_out(errors, population.n, moments.population)
    conditions = [psi_p, *jax.tree.leaves((process, activation, law))]
    condition = jnp.prod(jnp.stack([jnp.prod(fixed(leaf)) for leaf in conditions]))
    errors = jax.tree.map(lambda value: value * condition, errors)
    known = (errors.test_loss, errors.train_loss, errors.memorization_loss)
    needs = [
        (_finite(known), Status.not_finite),
        (residual <= TOLERANCE, Status.not_converged),
        (nodes.error <= FILTER_TOLERANCE, Status.filter_not_resolved),
        (holds(measured), Status.other_moments),
        (_holds(domain, taus), Status.invalid_input),
    ]
    return _judged(errors, residual, steps, needs, jnp.zeros_like(residual), nodes.error)


@jax.jit
def mean_resolvent(psi_n, inverse_m, lam, moments):
    """The coefficients of λ + Σ_c [x_c S_g,c + y_c S_s,c] = Q̄^{-1}: (x, y), each (C,).

    Args:
        psi_n, inverse_m, lam: numbers; moments: `Moments` of one draw.
    """
    population = MeasuredPopulation(psi_n * moments.d, moments.rotated)
    unknowns, _ = solve_unknowns(population, lam, inverse_m)
    return population.coefficients(unknowns, inverse_m)


def _left_out(errors: Errors, n, population) -> Errors:
    """With test_loss on the points that were not drawn, of N_pop from which n are drawn."""
    if population is None:
        return errors
    share = n / population
    test_loss = (errors.test_loss - share * errors.memorization_loss) / (1 - share)
    return dataclasses.replace(errors, test_loss=test_loss)


def _ratios(psi_n, psi_p, inverse_m):
    return [
        ((psi_n > 0) & jnp.isfinite(psi_n), ""),
        ((psi_p > 0) & jnp.isfinite(psi_p), ""),
        ((inverse_m >= 0) & (inverse_m <= 1), ""),
    ]


def _nodes(training, rate, taus, points) -> FilterNodes:
    return training.nodes(rate) if taus is None else training.nodes(rate, taus, points)


def _converges(training, rate, population, u) -> Any:
    """Whether all eigenvalues are within the training rule's reach."""
    reach = training.reach(rate)
    return True if reach is None else ends_under(population, u, jnp.maximum(reach, TINY_REACH))


def _outlier_free(training, constants) -> Any:
    """Whether no feature has a mean that the training rule cannot stand."""
    limited = training.reach(1.0) is not None
    size = jnp.sqrt(constants.b**2 + constants.v2 + constants.s2)
    return jnp.abs(constants.mu0) <= MEAN_SHOWS * size if limited else True


def _holds(domain, taus) -> Any:
    """Whether all conditions hold, and for each of `taus` whether it is a training time."""
    valid = True if taus is None else jnp.isfinite(taus) & (taus >= 0)
    return holds(domain) & valid


def _finite(errors):
    return jnp.all(jnp.isfinite(jnp.stack(jax.tree.leaves(errors))), axis=0)


def _judged(
    errors, residual, steps, needs: list[tuple[Any, Any]], constants_error, filter_error
) -> Solution:
    """The solution with its status: of the `needs` that do not hold, the last one's.

    A comparison with NaN does not hold: a NaN is never a success.
    """

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
