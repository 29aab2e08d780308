"""The landscape around an optimum: the objective over one or two numbers, and the way there."""

import dataclasses
import math
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from . import family, plotting
from .request import Plan, Report, bounded, silent
from .training import GradientFlow
from .tuning import Progress
from .tuning.search import residuals

SIDE = {"theory": 80, "flow": 48, "moments": 12}  # points of a map's side, by what one costs
CURVE = {"theory": 400, "flow": 200, "moments": 40}  # the same of a curve
TOGETHER = 64  # points solved side by side: memory stays small whatever the data's law
LEVELS, BELOW = 12, 4  # contours above and below the least feasible value
DECADE = 10.0  # ratio of values from which on a curve has a logarithmic ordinate
DECADES = 2.0  # of the objective above that value, that levels are spread over
HIGH = 0.9  # the share of feasible points under the last level
NOISES = (math.inf, 1, 2, 4, 8, 16, 32, 64, 3, 5, 6, 7, 10)  # labels of an axis of m,
APART = 0.06  # where they are this share of the axis apart
OUTLINE = [patheffects.withStroke(linewidth=2.4, foreground="0.15")]
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))


class Axis(NamedTuple):
    """A free number along an axis: its values x as drawn (of m: 1/m), bounds and scale."""

    name: str
    x: np.ndarray
    scale: str  # "log", "linear", "inverse", or "symlog" of what starts at 0


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
    asked: Plan, tuned: Any, report: Report = silent, side: int | None = None
) -> Landscape:
    """The objective and constraints over the plan's one or two numbers, around the optimum.

    A solve of measured moments is dear: these are solved at few points, and between them what
    they add to the Gaussian theory of the same covariance, which is smooth, is interpolated.

    Args:
        asked: the plan.
        tuned: its result.
        report: called with `Progress`.
        side: points along each axis; None: as many as their cost allows.
    """
    problem, names = tuned.search.problem, asked.shown
    cost = "flow" if isinstance(asked.model.training, GradientFlow) else "theory"
    sides = SIDE if len(names) == 2 else CURVE
    fine, coarse = (
        tuple(_axis(problem.variables, name, count) for name in names)
        for count in (side or sides[cost], sides["moments"])
    )
    theory = dataclasses.replace(problem, road=None, road_arguments=())
    goals, about = _solved(theory, tuned, fine, report), ""
    if problem.road is not None:
        measured = _solved(problem, tuned, coarse, report)
        goals = _corrected(goals, measured, _solved(theory, tuned, coarse, report))
        points = " × ".join([str(sides["moments"])] * len(names))
        about = f"measured moments at {points} points, in between relative to Gaussian theory"
    bounds = np.array([float(c.bound) for c in problem.constraints])
    broken = jax.vmap(partial(residuals, problem.constraints, bounds=jnp.asarray(bounds)))(
        jnp.asarray(goals[1:].reshape(len(bounds), goals[0].size).T)
    )
    return Landscape(fine, goals[0], np.asarray(broken).T.reshape(goals[1:].shape), about)


def _solved(problem, tuned, axes: tuple[Axis, ...], report: Report) -> np.ndarray:
    """The objective, and what each constraint bounds, on a grid; (1 + constraints, *shape)."""
    variables = problem.variables
    shape = tuple(len(axis.x) for axis in reversed(axes))
    z = np.tile(variables.coordinates(tuned.numbers), (*shape, 1))
    for number, axis in enumerate(axes):
        along = [_coordinate(variables, tuned, axis.name, x) for x in axis.x]
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
        point = problem.point(z)
        goals = (problem.objective, *(c.goal for c in problem.constraints))
        return jnp.stack([goal.value(point) for goal in goals])

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


def path(tuned: Any) -> dict[str, np.ndarray]:
    """The way to the optimum: its evaluations that lowered the exact penalty, and their values.

    That is the objective plus the constraints' largest violation times more than the sum of
    their multipliers, which is least at the optimum; what did not lower it was a step refused,
    or one that went too far out.
    """
    trace, best = tuned.trace, tuned.optima[0]
    weight = 2 * tuned.search.scale * float(np.sum(best.multipliers))
    merit = trace.value + (weight + tuned.search.scale) * trace.violation
    merit = np.where(np.isfinite(merit), merit, np.inf)
    before = np.minimum.accumulate(np.concatenate([[np.inf], merit[:-1]]))
    kept = merit < before
    steps = {name: np.append(x[kept], tuned.numbers[name]) for name, x in trace.numbers.items()}
    return steps | {"value": np.append(trace.value[kept], tuned.value)}


def figure(asked: Plan, tuned: Any, landscape: Landscape) -> Figure:
    """A map of two numbers, or a curve over one: objective, constraints, path and optimum."""
    with plotting.style():
        two = len(landscape.axes) == 2
        drawn = Figure(figsize=(6.2, 5.2) if two else (5.6, 4.4), layout="constrained")
        ax = drawn.subplots()
        drawn.suptitle(_title(asked, tuned, landscape), fontsize=9.5)
        handles = (_draw_map if two else _draw_curve)(asked, tuned, landscape, ax)
        drawn.legend(handles=handles, loc="outside lower center", ncols=3)
    return drawn


def _draw_map(asked, tuned, landscape, ax: Axes) -> list:
    x, y = landscape.axes
    levels = _levels(landscape)
    shades = colormaps["viridis"].resampled(len(levels))
    filled = ax.contourf(
        x.x, y.x, np.ma.masked_invalid(landscape.value), levels,
        cmap=shades, norm=BoundaryNorm(levels, len(levels), extend="max"), extend="max",
    )  # fmt: skip
    bar = ax.figure.colorbar(filled, ax=ax, label=asked.label, ticks=levels[::2])
    bar.ax.set_yticklabels(_level_texts(levels[::2]))
    bar.ax.minorticks_off()
    handles = _draw_constraints(tuned, landscape, ax)
    steps = path(tuned)
    ways = [_drawn_at(axis.name, steps[axis.name]) for axis in landscape.axes]
    white = {"color": "white", "linewidth": 1.0, "marker": "o", "markersize": 2.6}
    ax.plot(*ways, **white, path_effects=OUTLINE, zorder=5, label="path", clip_on=False)
    star = {"color": "#ff5533", "marker": "*", "markeredgecolor": "white", "markersize": 15}
    best = [_drawn_at(axis.name, tuned.numbers[axis.name]) for axis in landscape.axes]
    ax.plot(*best, **star, linestyle="none", zorder=6, label="optimum", clip_on=False)
    for axis, along in zip(landscape.axes, "xy", strict=True):
        _set_axis(ax, axis, along)
    return [
        Line2D([], [], **star, linestyle="none", label="optimum"),
        Line2D([], [], **white, path_effects=OUTLINE, label="search path"),
        *handles,
    ]


def _draw_constraints(tuned, landscape, ax: Axes) -> list:
    """The region where a constraint is broken, and each constraint's own line."""
    x, y = (axis.x for axis in landscape.axes)
    handles = []
    solved = np.isfinite(landscape.value)
    worst = np.max(landscape.residuals, axis=0, initial=-np.inf)
    worst = np.where(solved & np.isfinite(worst), worst, -1.0)
    if np.any(worst > 0):
        shade = {"colors": ["white"], "alpha": 0.55}
        ax.contourf(x, y, worst, [0, np.inf], **shade)
        hatch = ax.contourf(x, y, worst, [0, np.inf], colors="none", hatches=["///"])
        hatch.set_edgecolor("0.6")
        hatch.set_linewidth(0)
        handles.append(
            Patch(facecolor="white", edgecolor="0.6", hatch="///", label="infeasible")
        )
    for number, constraint in enumerate(tuned.search.problem.constraints):
        g = np.ma.masked_invalid(landscape.residuals[number])
        if not (g.min() < 0 < g.max()):
            continue
        line = _line(number)
        ax.contour(x, y, g, [0], **{f"{what}s": [value] for what, value in line.items()})
        handles.append(Line2D([], [], **line, label=bounded(constraint)))
    return handles


def _draw_curve(asked, tuned, landscape, ax: Axes) -> list:
    (axis,) = landscape.axes
    value = landscape.value
    ax.plot(axis.x, value, color=plotting.colours(1)[0])
    steps = path(tuned)
    dots = {"color": "0.45", "marker": "o", "markersize": 2.6, "linewidth": 0.7}
    ax.plot(_drawn_at(axis.name, steps[axis.name]), steps["value"], **dots, label="path")
    star = {"color": "#ff5533", "marker": "*", "markersize": 15, "markeredgecolor": "white"}
    best = _drawn_at(axis.name, tuned.numbers[axis.name])
    ax.plot(best, tuned.value, **star, linestyle="none", zorder=6, label="optimum")
    handles = [
        Line2D([], [], **star, linestyle="none", label="optimum"),
        Line2D([], [], **dots, label="search path"),
    ]
    worst = np.max(landscape.residuals, axis=0, initial=-np.inf)
    if np.any(worst > 0):
        hatch = {"facecolor": "0.93", "edgecolor": "0.7", "hatch": "////", "linewidth": 0}
        ax.fill_between(
            axis.x, 0, 1, where=worst > 0, transform=ax.get_xaxis_transform(), zorder=0, **hatch
        )
        handles.append(Patch(**hatch, label="infeasible"))
    for number, constraint in enumerate(tuned.search.problem.constraints):
        line = _line(number)
        ends = _crossings(axis, landscape.residuals[number])
        for end in ends:
            ax.axvline(end, **line)
        if len(ends):
            handles.append(Line2D([], [], **line, label=bounded(constraint)))
    seen = value[np.isfinite(value)]
    if seen.min() > 0 and seen.max() > DECADE * seen.min():
        ax.set_yscale("log")
        plotting.plain_ticks(ax.yaxis)
    ax.set_ylabel(asked.label)
    _set_axis(ax, axis, "x")
    return handles


def _line(number: int) -> dict[str, Any]:
    """The style of a constraint's line."""
    return {"linestyle": DASHES[number % len(DASHES)], "linewidth": 1.3, "color": "black"}


def _crossings(axis: Axis, g: np.ndarray) -> np.ndarray:
    """Where g changes its sign along an axis."""
    i = np.flatnonzero(np.sign(g[:-1]) * np.sign(g[1:]) < 0)
    share = g[i] / (g[i] - g[i + 1])
    if axis.scale == "log":
        return axis.x[i] * (axis.x[i + 1] / axis.x[i]) ** share
    return axis.x[i] + share * (axis.x[i + 1] - axis.x[i])


def _levels(landscape: Landscape) -> np.ndarray:
    """Levels of the objective: geometric above the least feasible value, even below it."""
    solved = np.isfinite(landscape.value)
    allowed = solved & ~np.any(landscape.residuals > 0, axis=0)
    seen = landscape.value[allowed if allowed.any() else solved]
    low, high = seen.min(), np.quantile(seen, HIGH)
    if not high > low:
        high = low + max(abs(low), 1.0) * 1e-6
    above = low + (high - low) * np.concatenate([[0.0], np.geomspace(10**-DECADES, 1, LEVELS)])
    least = landscape.value[solved].min()
    if low - least < above[1] - low:
        return np.append(least, above[1:])
    return np.concatenate([np.linspace(least, low, BELOW, endpoint=False), above])


def _level_texts(levels: np.ndarray) -> list[str]:
    """Levels with as many digits as tell them apart."""
    digits = 3
    while digits < 9 and len({f"{x:.{digits}g}" for x in levels}) < len(levels):
        digits += 1
    return [f"{x:.{digits}g}" for x in levels]


def _axis(variables, name: str, side: int) -> Axis:
    low, high = variables.bounds(name)
    if name == "m":
        return Axis(name, np.linspace(1 / high, 1 / low, side), "inverse")
    if low > 0:
        return Axis(name, np.geomspace(low, high, side), "log")
    if low == 0:
        zero = 1e-6 * high
        return Axis(name, zero * np.expm1(np.linspace(0, np.log1p(1e6), side)), "symlog")
    return Axis(name, np.linspace(low, high, side), "linear")


def _coordinate(variables, tuned, name: str, x: float) -> float:
    """The coordinate in the unit box of a number as drawn."""
    number = (1 / x if x > 0 else math.inf) if name == "m" else x
    return variables.coordinates(tuned.numbers | {name: number})[variables.names.index(name)]


def _drawn_at(name: str, values: Any) -> Any:
    """Numbers as they are drawn: of m its inverse."""
    return 1 / np.asarray(values) if name == "m" else values


def _set_axis(ax: Axes, axis: Axis, along: str) -> None:
    low, high = axis.x[0], axis.x[-1]
    set_limits, set_scale, set_label = (
        getattr(ax, f"set_{along}{what}") for what in ("lim", "scale", "label")
    )
    short = axis.name.rpartition(".")[2]
    set_label(plotting.PARAMETERS.get(short, axis.name))
    if axis.scale == "inverse":
        shown = _apart([m for m in NOISES if low <= 1 / m <= high], APART * (high - low))
        getattr(ax, f"set_{along}ticks")(
            [1 / m for m in shown], [family.text(m) for m in shown]
        )
        set_limits(high, low)
        return
    if axis.scale == "symlog":
        set_scale("symlog", linthresh=axis.x[-1] * 1e-6)
    else:
        set_scale(axis.scale)
    set_limits(low, high)
    plotting.plain_ticks(getattr(ax, f"{along}axis"))


def _apart(ms: list[float], distance: float) -> list[float]:
    """Those values of m that are drawn apart from all before."""
    kept: list[float] = []
    for m in ms:
        if all(abs(1 / m - 1 / other) >= distance for other in kept):
            kept.append(m)
    return kept


def _title(asked: Plan, tuned: Any, landscape: Landscape) -> str:
    model = tuned.model
    hidden = [name.rpartition(".")[2] for name in asked.shown]
    if asked.about:
        text = plotting.describe(model, hidden, data=asked.about)
    else:
        text = plotting.describe(model, hidden)
    if isinstance(model.training, GradientFlow) and "training.tau" not in asked.shown:
        text += rf", $\tau = {plotting.tex(model.training.tau)}$"
    return f"{text}\n{landscape.about}" if landscape.about else text
