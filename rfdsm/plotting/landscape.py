"""The landscape around an optimum: a map of two free numbers, or a curve over one."""

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..parameters.numbers import Number, numbers, text
from ..parameters.scales import Scale
from ..tuning import Tuned
from ..tuning.landscape import Axis, Landscape, path
from .describe import describe
from .style import colours, plain_ticks, style

LEVELS, BELOW = 12, 4  # contours above and below the least feasible value
DECADE = 10.0  # ratio of values from which on a curve has a logarithmic ordinate
DECADES = 2.0  # of the objective above that value, that levels are spread over
HIGH = 0.9  # the share of feasible points under the last level
APART = 0.06  # labels of an axis, at least, as a share of it
OUTLINE = [patheffects.withStroke(linewidth=2.4, foreground="0.15")]
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
STAR = {
    "color": "#ff5533", "marker": "*", "markeredgecolor": "white", "markersize": 15,
    "linestyle": "none", "label": "optimum", "clip_on": False, "zorder": 6,
}  # fmt: skip
DOTS = {"marker": "o", "markersize": 2.6}
WHITE = DOTS | {"color": "white", "linewidth": 1.0, "path_effects": OUTLINE}
GREY = DOTS | {"color": "0.45", "linewidth": 0.7}


def landscape_figure(
    tuned: Tuned, landscape: Landscape, label: str | None = None, about: str | None = None
) -> Figure:
    """A map of two numbers, or a curve over one: objective, constraints, path and optimum.

    Args:
        tuned, landscape: an optimum, and what `survey` found around it.
        label: the objective in words; None: as it has them.
        about: the data in words; None: as their law has them.
    """
    label = label or tuned.problem.objective.words
    shown = [axis.name for axis in landscape.axes]
    lines = [describe(tuned.model, shown, data=about or None), landscape.about]
    two = len(shown) == 2
    lines += ["colours: steps that grow with the distance from the optimum"] * two
    with style():
        drawn = Figure(figsize=(6.2, 5.2) if two else (5.6, 4.4), layout="constrained")
        ax = drawn.subplots()
        drawn.suptitle("\n".join(filter(None, lines)), fontsize=9.5)
        (_draw_map if two else _draw_curve)(landscape, label, ax)
        infeasible = _draw_infeasible(landscape, ax)
        constraints = _draw_constraints(tuned, landscape, ax)
        steps = path(tuned)
        ways = [axis.scale.place(steps[axis.name]) for axis in landscape.axes]
        ways += [] if two else [steps["value"]]
        look = WHITE if two else GREY
        ax.plot(*ways, **look, label="path", **({"zorder": 5, "clip_on": False} if two else {}))
        ax.plot(*(way[-1:] for way in ways), **STAR)
        for axis, along in zip(landscape.axes, "xy", strict=False):
            _set_axis(ax, axis, numbers(tuned.model)[axis.name], along)
        handles = [Line2D([], [], **STAR), Line2D([], [], **look, label="search path")]
        handles += [*infeasible, *constraints]
        drawn.legend(handles=handles, loc="outside lower center", ncols=3)
    return drawn


def _draw_map(landscape: Landscape, label: str, ax: Axes) -> None:
    x, y = landscape.axes
    levels = _levels(landscape)
    shades = colormaps["viridis"].resampled(len(levels))
    filled = ax.contourf(
        x.x, y.x, np.ma.masked_invalid(landscape.value), levels,
        cmap=shades, norm=BoundaryNorm(levels, len(levels), extend="max"), extend="max",
    )  # fmt: skip
    bar = ax.figure.colorbar(filled, ax=ax, label=label, ticks=levels[::2])
    for digits in range(3, 10):  # as many as tell the levels apart
        if len(texts := [f"{x:.{digits}g}" for x in levels[::2]]) == len({*texts}):
            break
    bar.ax.set_yticklabels(texts)
    bar.ax.minorticks_off()


def _draw_curve(landscape: Landscape, label: str, ax: Axes) -> None:
    ax.plot(landscape.axes[0].x, landscape.value, color=colours(1)[0])
    seen = landscape.value[np.isfinite(landscape.value)]
    if seen.min() > 0 and seen.max() > DECADE * seen.min():
        ax.set_yscale("log")
        plain_ticks(ax.yaxis)
    ax.set_ylabel(label)


def _draw_infeasible(landscape: Landscape, ax: Axes) -> list[Patch]:
    """The region where a constraint is broken; handles for a legend."""
    x, *y = (axis.x for axis in landscape.axes)
    worst = np.max(landscape.residuals, axis=0, initial=-np.inf)
    if y:
        known = np.isfinite(landscape.value) & np.isfinite(worst)
        worst = np.where(known, worst, -1.0)
    if not np.any(worst > 0):
        return []
    if y:
        ax.contourf(x, *y, worst, [0, np.inf], colors=["white"], alpha=0.55)
        hatch = ax.contourf(x, *y, worst, [0, np.inf], colors="none", hatches=["///"])
        hatch.set(edgecolor="0.6", linewidth=0)
        look = {"facecolor": "white", "edgecolor": "0.6", "hatch": "///"}
    else:
        look = {"facecolor": "0.93", "edgecolor": "0.7", "hatch": "////", "linewidth": 0}
        whole = {"transform": ax.get_xaxis_transform(), "zorder": 0}
        ax.fill_between(x, 0, 1, where=worst > 0, **whole, **look)
    return [Patch(**look, label="infeasible")]


def _draw_constraints(tuned: Tuned, landscape: Landscape, ax: Axes) -> list[Line2D]:
    """Where each constraint is met exactly; handles for a legend."""
    x, *y = (axis.x for axis in landscape.axes)
    handles = []
    for number, constraint in enumerate(tuned.problem.constraints):
        g, dash = landscape.residuals[number], DASHES[number % len(DASHES)]
        line = {"linestyle": dash, "linewidth": 1.3, "color": "black"}
        ends = [] if y else _crossings(landscape.axes[0], g)
        for end in ends:
            ax.axvline(end, **line)
        g = np.ma.masked_invalid(g)
        if met := y and g.min() < 0 < g.max():
            ax.contour(x, *y, g, [0], **{f"{what}s": [value] for what, value in line.items()})
        if met or len(ends):
            handles.append(Line2D([], [], **line, label=constraint.words))
    return handles


def _crossings(axis: Axis, g: np.ndarray) -> np.ndarray:
    """Where g changes its sign along an axis."""
    i = np.flatnonzero(np.sign(g[:-1]) * np.sign(g[1:]) < 0)
    share = g[i] / (g[i] - g[i + 1])
    if axis.scale.axis == "log":
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


def _set_axis(ax: Axes, axis: Axis, number: Number, along: str) -> None:
    """Label, scale and ticks; places 1/x turned, so that x grows to the right."""
    low, high = axis.x[0], axis.x[-1]
    symlog = {"linthresh": axis.scale.zero * high} if axis.scale.axis == "symlog" else {}
    limits = (high, low) if axis.scale.inverse else (low, high)
    getattr(ax, f"set_{along}scale")(axis.scale.axis, **symlog)
    ax.set(**{f"{along}label": number.title, f"{along}lim": limits})
    if marks := _apart(axis.scale, low, high):
        places = [axis.scale.place(x) for x in marks]
        getattr(ax, f"set_{along}ticks")(places, [text(x) for x in marks])
    plain_ticks(getattr(ax, f"{along}axis"))


def _apart(scale: Scale, low: float, high: float) -> list[float]:
    """Those marks of a scale that lie between places, apart from all before."""
    kept: list[float] = []
    for x in scale.marks:
        place = scale.place(x)
        far = (abs(place - scale.place(other)) >= APART * (high - low) for other in kept)
        if low <= place <= high and all(far):
            kept.append(x)
    return kept
