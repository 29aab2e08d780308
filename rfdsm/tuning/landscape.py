"""The landscape around an optimum: the objective over one or two numbers, and the way there."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..parameters.scales import Scale
from ..progress import Progress, Report, silent
from .outcome import Tuned
from .problem import Problem, residuals

SIDE = {"theory": 80, "flow": 48, "moments": 12}  # points of a map's side, by what one costs
CURVE = {"theory": 400, "flow": 200, "moments": 40}  # the same of a curve
TOGETHER = 64  # points solved side by side: memory stays small whatever the data's law


class Axis(NamedTuple):
    """A free number along an axis: its scale, and the places on it that were solved."""

    name: str
    scale: Scale
    x: np.ndarray


class Landscape(NamedTuple):
    """The objective over one or two free numbers, the others at the optimum.

    Attributes:
        axes: one or two.
        value: of the objective, NaN where it was not solved; shape (x,) or (y, x).
        residuals: of each constraint, positive where it is broken; (constraints, *shape).
        about: how it was solved, where that is not by the theory at each point.
    """

    axes: tuple[Axis, ...]
    value: np.ndarray
    residuals: np.ndarray
    about: str = ""


def survey(
    tuned: Tuned, shown: Sequence[str], report: Report = silent, side: int | None = None
) -> Landscape:
    """The objective and constraints over one or two free numbers, around the optimum.

    A solve of measured moments is dear: these are solved at few points, and between them what
    they add to the Gaussian theory of the same covariance, which is smooth, is interpolated.

    Args:
        tuned: the optimum.
        shown: names of free numbers.
        report: called with `Progress`.
        side: points along each axis; None: as many as their cost allows.
    """
    problem = tuned.problem
    cost = "flow" if tuned.model.training.systems > 1 else "theory"
    sides = SIDE if len(shown) == 2 else CURVE

    def axes(count):
        scales = ((name, problem.variables.scale(name)) for name in shown)
        return tuple(
            Axis(name, scale, scale.grid(*problem.variables.bounds(name), count))
            for name, scale in scales
        )

    fine, coarse = axes(side or sides[cost]), axes(sides["moments"])
    theory = dataclasses.replace(problem, road=None, road_arguments=())
    goals, about = _solved(theory, tuned, fine, report), ""
    if problem.road is not None:
        measured = _solved(problem, tuned, coarse, report)
        goals = _corrected(goals, measured, _solved(theory, tuned, coarse, report))
        points = " × ".join([str(sides["moments"])] * len(shown))
        about = f"measured moments at {points} points, in between relative to Gaussian theory"
    reached = jnp.asarray(goals[1:].reshape(-1, goals[0].size).T)
    broken = jax.vmap(lambda x: residuals(problem.constraints, x, problem.bounds))(reached)
    return Landscape(fine, goals[0], np.asarray(broken).T.reshape(goals[1:].shape), about)


def _solved(
    problem: Problem, tuned: Tuned, axes: tuple[Axis, ...], report: Report
) -> np.ndarray:
    """The objective, and what each constraint bounds, on a grid; (1 + constraints, *shape)."""
    variables = problem.variables
    shape = tuple(len(axis.x) for axis in reversed(axes))
    z = np.tile(variables.coordinates(tuned.numbers), (*shape, 1))
    for number, axis in enumerate(axes):
        along = [variables.coordinate(axis.name, axis.scale.number(x)) for x in axis.x]
        z[..., variables.names.index(axis.name)] = np.expand_dims(along, number and 1)
    rows = z.reshape(-1, z.shape[-1])
    report(Progress("landscape", 0, len(rows)))
    together = TOGETHER if problem.road is None else None
    goals = np.asarray(_goals(problem, rows, together))
    report(Progress("landscape", len(rows), len(rows)))
    return goals.T.reshape(-1, *shape)


@eqx.filter_jit
def _goals(problem, rows, together):
    def one(z):
        return problem.goals(problem.point(z))

    return jax.lax.map(one, jnp.asarray(rows), batch_size=together)


def _corrected(fine: np.ndarray, measured: np.ndarray, gaussian: np.ndarray) -> np.ndarray:
    """Goals on a fine grid, times measured over Gaussian ones on a coarse one.

    Where a goal is not positive everywhere, plus their difference.
    """
    goals = []
    for values, exact, theory in zip(fine, measured, gaussian, strict=True):
        if min(np.nanmin(exact), np.nanmin(theory), np.nanmin(values)) > 0:
            goals.append(values * _refined(exact / theory, values.shape))
        else:
            goals.append(values + _refined(exact - theory, values.shape))
    return np.stack(goals)


def _refined(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Values on a grid, interpolated linearly along each axis to a grid of another shape."""
    for axis, count in enumerate(shape):
        old, new = np.linspace(0, 1, values.shape[axis]), np.linspace(0, 1, count)
        values = np.apply_along_axis(partial(np.interp, new, old), axis, values)
    return values


def path(tuned: Tuned) -> dict[str, np.ndarray]:
    """The way to the optimum: its evaluations that lowered the exact penalty, and their values.

    That is the objective plus the constraints' largest violation times more than the sum of
    their multipliers, which is least at the optimum; what did not lower it was a step refused,
    or one that went too far out.
    """
    trace, best = tuned.trace, tuned.optima[0]
    weight = abs(best.value) + 2 * float(np.sum(best.end.multipliers))
    merit = trace.value + weight * trace.violation
    merit = np.where(np.isfinite(merit), merit, np.inf)
    before = np.minimum.accumulate(np.concatenate([[np.inf], merit[:-1]]))
    kept = merit < before
    steps = {name: np.append(x[kept], tuned.numbers[name]) for name, x in trace.numbers.items()}
    return steps | {"value": np.append(trace.value[kept], tuned.value)}
