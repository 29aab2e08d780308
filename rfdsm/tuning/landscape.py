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
from . import roads
from .goals import Point
from .outcome import Tuned
from .problem import Problem, residuals

SIDE = {"theory": 80, "flow": 48, "moments": 6}  # points of a map's side, by what one costs
CURVE = {"theory": 400, "flow": 200, "moments": 12}  # the same of a curve
AT_ONCE = 1600  # points between two reports
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

    A solve of measured moments is dear: these are solved at few points, and between them the
    log of what they multiply the Gaussian theory of the same covariance by, which is smooth, is
    interpolated by cubic splines; along psi_p between the measured widths, as in the search.

    Args:
        tuned: the optimum.
        shown: names of free numbers.
        report: called with `Progress`.
        side: points along each axis; None: as many as their cost allows.
    """
    problem = tuned.problem
    cost = "flow" if tuned.model.training.systems > 1 else "theory"
    sides = SIDE if len(shown) == 2 else CURVE
    axes = _axes(problem, shown, side or sides[cost])
    logs, about = None, ""
    if problem.road is not None:
        logs, counts = _added(tuned, axes, sides["moments"], report)
        points = " × ".join(map(str, counts))
        about = f"measured moments at {points} points, in between relative to Gaussian theory"
    goals = _solved(tuned, axes, logs, report)
    reached = jnp.asarray(goals[1:].reshape(-1, goals[0].size).T)
    broken = jax.vmap(lambda x: residuals(problem.constraints, x, problem.bounds))(reached)
    return Landscape(axes, goals[0], np.asarray(broken).T.reshape(goals[1:].shape), about)


def _axes(problem: Problem, shown: Sequence[str], count: int) -> tuple[Axis, ...]:
    scales = ((name, problem.variables.scale(name)) for name in shown)
    return tuple(
        Axis(name, scale, scale.grid(*problem.variables.bounds(name), count))
        for name, scale in scales
    )


def _solved(
    tuned: Tuned, axes: tuple[Axis, ...], logs: np.ndarray | None, report: Report
) -> np.ndarray:
    """The objective, and what each constraint bounds, on a grid; (1 + constraints, *shape).

    Args:
        logs: what is added to the logs of the theory's losses, shape (losses, *shape).
    """
    problem = tuned.problem
    shape, rows = _grid(tuned, axes)
    theory = dataclasses.replace(problem, road=None, road_arguments=())
    flat = None if logs is None else logs.reshape(len(logs), -1).T
    found = []
    for first in range(0, len(rows), AT_ONCE):
        report(Progress("landscape", first, len(rows)))
        some = slice(first, first + AT_ONCE)
        found.append(_goals(theory, rows[some], None if flat is None else flat[some]))
    report(Progress("landscape", len(rows), len(rows)))
    return np.concatenate(found).T.reshape(-1, *shape)


def _grid(tuned: Tuned, axes: tuple[Axis, ...]) -> tuple[tuple[int, ...], np.ndarray]:
    """The shape of a grid, and its points in the unit box, (points, k)."""
    variables = tuned.problem.variables
    shape = tuple(len(axis.x) for axis in reversed(axes))
    z = np.tile(variables.coordinates(tuned.numbers), (*shape, 1))
    for number, axis in enumerate(axes):
        along = [variables.coordinate(axis.name, axis.scale.number(x)) for x in axis.x]
        z[..., variables.names.index(axis.name)] = np.expand_dims(along, number and 1)
    return shape, z.reshape(-1, z.shape[-1])


@eqx.filter_jit
def _goals(problem, rows, logs):
    def one(row):
        z, log = row
        model = problem.variables.place(problem.model, z)
        road = None if log is None else lambda m: roads.scaled(m.solve().errors, log)
        return problem.goals(Point(model, road))

    return jax.lax.map(one, (jnp.asarray(rows), logs), batch_size=TOGETHER)


def _added(
    tuned: Tuned, axes: tuple[Axis, ...], count: int, report: Report
) -> tuple[np.ndarray, list[int]]:
    """log(measured/Gaussian theory) of each loss on the axes' grid, and at how many points."""
    problem = tuned.problem
    (moments,) = problem.road_arguments
    widths = moments.ratios if isinstance(moments, roads.Widths) else None
    along = [widths is not None and axis.name == "psi_p" for axis in axes]
    others = tuple(axis for axis, on in zip(axes, along, strict=True) if not on)
    coarse = _axes(problem, [axis.name for axis in others], count)
    shape, rows = _grid(tuned, coarse)
    found = []
    for number, z in enumerate(rows):
        report(Progress("moments of the landscape", number, len(rows)))
        model = problem.model.replace(**problem.variables.numbers(z))
        found.append(roads.log_ratios(model, moments))
    # (losses, *others, widths), the others from the last axis to the first.
    logs = np.moveaxis(np.array(found), 1, 0).reshape(found[0].shape[0], *shape, -1)
    for axis, other in enumerate(reversed(others), start=1):
        ends = np.linspace(0, 1, logs.shape[axis]), np.linspace(0, 1, len(other.x))
        logs = _between(*ends, logs, axis, "not-a-knot")
    if widths is None:
        return logs[..., 0], [count] * len(axes)
    psi_p = [axis.x for axis, on in zip(axes, along, strict=True) if on]
    here = psi_p[0] if psi_p else np.array([float(tuned.model.psi_p)])
    logs = _between(np.log(widths), np.log(here), logs, logs.ndim - 1, "natural")
    counts = [len(widths) if on else count for on in along]
    if not psi_p:
        return logs[..., 0], counts
    # Shape (losses, y, x): where psi_p is the ordinate, x comes before it.
    return np.swapaxes(logs, 1, 2) if along[-1] and len(axes) == 2 else logs, counts


def _between(knots, x, values: np.ndarray, axis: int, ends: str) -> np.ndarray:
    """Values at knots along an axis, interpolated to x; linearly where some are not known."""
    from scipy.interpolate import CubicSpline  # takes longer to import than all of the package

    if len(knots) == 1:
        return np.repeat(values, len(x), axis)
    if np.all(np.isfinite(values)) and len(knots) > 2:
        return CubicSpline(knots, values, axis, bc_type=ends)(x)
    return np.apply_along_axis(partial(np.interp, x, knots), axis, values)


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
