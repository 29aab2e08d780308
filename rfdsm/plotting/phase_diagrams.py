"""Phase diagrams: an error over two numbers as a heat map, with the lines that matter."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..analysis.records import description_of
from ..errors import LABELS
from ..parameters.numbers import split_element
from ..parameters.plain import to_json
from .boundaries import MEMORISED, RATIOS, draw_lines, panel, selected
from .describe import describe
from .sides import Side, labels_along, side_of
from .style import plain_ticks, style

COLOURS = colormaps["viridis"]  # from dark to light, evenly: the same in print, and to all eyes
DECADE = 10.0  # ratio of values from which on colours are logarithmic
NOT_COMPUTED = {"facecolor": "0.93", "edgecolor": "0.93"}
NOT_SOLVED = {"facecolor": "0.8", "edgecolor": "0.35", "hatch": "////", "linewidth": 0}
NEVER = -1  # of a status: the point was not computed


def phase_diagram(
    dataset: Any,
    x: str,
    y: str,
    error: str,
    ax: Axes | None = None,
    *,
    log: bool | None = None,
    lines: Sequence[str] | None = None,
    valleys: Sequence[str] | None = None,
) -> Axes:
    """A heat map of an error over two numbers of a sweep, with the lines that matter.

    Lines, where they cross the panel: p = n, p = n m and n m = d; where the memorization loss
    is the best score's, beyond which the network memorises; and the valleys in which the error
    is least along x, or along y, traced by its exact derivatives, not taken from the grid. A
    point that could not be solved is hatched, one not computed is pale. m = ∞ has its place.

    Args:
        dataset: of `rfdsm.sweep`, its other dimensions selected: `dataset.sel(m=4)`.
        x, y: coordinates.
        error: an error, a quantity, or `simulated_<error>`, of which the mean is drawn.
        ax: where to draw; None: a figure of its own, which is `ax.figure`.
        log: whether colours are logarithmic; None: from a decade on.
        lines: which of "p = n", "p = n m", "n m = d", "memorises", "valley"; None: all that
            the data set says enough for, which measured moments and, along a zipped
            coordinate, valleys are not.
        valleys: the coordinates along which the error is least there; None: both.

    Raises:
        ValueError: an unknown coordinate, variable or line, a dimension that is not selected,
            or nothing computed yet.
    """
    sides = _sides(dataset, x, y, error)
    values = panel(dataset, error, *sides)
    norm = colour_norm(values, error, log)
    with style():
        if ax is None:
            ax = Figure(figsize=(5.0, 4.6), layout="constrained").subplots()
        handles = _draw(ax, dataset, sides, error, values, norm, lines, valleys)
        _add_bar([ax], norm, label_of(dataset, error))
        if handles:
            below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15), "ncols": 2}
            ax.legend(handles=handles, handlelength=2.6, **below)
    return ax


def phase_figure(
    dataset: Any,
    errors: Sequence[str],
    x: str,
    y: str,
    *,
    lines: Sequence[str] | None = None,
    valleys: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Phase diagrams of several errors, a column each, and a row for each value of another dim.

    The panels of an error share its colours. One error alone may have two further dims, a row
    for each value of the first and a column for each of the second.

    Args:
        dataset: of `rfdsm.sweep`, with at most one dimension beside those of x and y, or two.
        errors: variables. x, y, lines, valleys: as of `phase_diagram`.
        title: in place of the model's description.

    Raises:
        ValueError: as `phase_diagram`; further dimensions that have no place.
    """
    errors = [errors] if isinstance(errors, str) else list(errors)
    sides = _sides(dataset, x, y, errors[0])
    further = [str(dim) for dim in dataset[errors[0]].dims if dataset.sizes[dim] > 1]
    further = [dim for dim in further if dim not in (*(s.dim for s in sides), "trial")]
    if len(further) > (1 if len(errors) > 1 else 2):
        raise ValueError(
            "a figure has rows for one dimension, of one error columns for another, and "
            f"{' and '.join(further)} are left: select one with .sel or .isel({further[0]}=0)."
        )
    count, across = (*(dataset.sizes[dim] for dim in further), 1, 1)[:2]
    parts = [
        dataset.isel(dict(zip(further, at, strict=False)))
        for at in np.ndindex(count, across)  # the second is 0 where there are no columns
    ]
    wide = across * len(errors)
    with style():
        size = 3.0 * wide + 0.7, 2.6 * count + 1.5
        drawn = Figure(figsize=size, layout="constrained")
        grid = drawn.subplots(count, wide, squeeze=False, sharex=True, sharey=True)
        drawn.suptitle(_title(dataset) if title is None else title, fontsize=10)
        handles: dict[str, Any] = {}
        for block, error in zip(np.hsplit(grid, len(errors)), errors, strict=True):
            values = [panel(part, error, *sides) for part in parts]
            norm = colour_norm(np.array(values), error)
            for ax, part, at in zip(block.ravel(), parts, values, strict=True):
                found = _draw(ax, part, sides, error, at, norm, lines, valleys)
                handles |= {handle.get_label(): handle for handle in found}
            _add_bar(block.ravel(), norm, label_of(dataset, error), location="top", wide=across)
        for ax in grid.ravel():
            ax.label_outer()
        for dim in further[1:]:
            for ax, label in zip(grid[0], labels_along(dataset, dim), strict=True):
                ax.set_title(label, fontsize=9)
        for dim in further[:1]:
            beside = {"xycoords": "axes fraction", "va": "center", "rotation": -90}
            for ax, label in zip(grid[:, -1], labels_along(dataset, dim), strict=True):
                ax.annotate(label, (1.03, 0.5), **beside)
        if handles:
            below = {"loc": "outside lower center", "ncols": min(len(handles), 1 + wide)}
            drawn.legend(
                handles=sorted(handles.values(), key=_place), handlelength=2.6, **below
            )
    return drawn


def colour_norm(values: np.ndarray, error: str, log: bool | None = None) -> Normalize:
    """From the least to the largest value, logarithmic where they span a decade.

    Raises:
        ValueError: there is no value.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        raise ValueError(
            f"{error} is NaN everywhere: nothing is computed yet, no point was solved, or it "
            "cannot be known here; the status says."
        )
    low, high = known.min(), known.max()
    if log is None:
        log = low > 0 and high > DECADE * low
    if log and np.any(known > 0):
        low = known[known > 0].min()
        return LogNorm(low, max(high, low * (1 + 1e-6)))
    return Normalize(low, high if high > low else low + (abs(low) or 1))


def label_of(dataset: Any, name: str) -> str:
    """A variable in words."""
    return dataset[name].attrs.get("long_name", LABELS.get(name, name))


def _sides(dataset: Any, x: str, y: str, error: str) -> tuple[Side, Side]:
    if error not in dataset:
        known = ", ".join(map(str, dataset.data_vars))
        raise ValueError(f"the data set has no {error!r}: it has {known}.")
    of_x, of_y = side_of(dataset, x), side_of(dataset, y)
    if of_x.dim == of_y.dim:
        raise ValueError(f"{x} and {y} run along one dimension, {of_x.dim}: take another axis.")
    return of_x, of_y


def _draw(
    ax: Axes,
    dataset: Any,
    sides: tuple[Side, Side],
    error: str,
    values: np.ndarray,
    norm: Normalize,
    lines: Sequence[str] | None,
    valleys: Sequence[str] | None,
) -> list[Any]:
    """The map and its lines; handles for a legend."""
    ends = [side.edges() for side in sides]
    for side, along, at in zip(sides, "xy", ends, strict=True):
        side.set_axis(ax, along, *at[[0, -1]])
    cells = {"rasterized": True, "linewidth": 0, "antialiased": False}
    ax.pcolormesh(*ends, np.ma.masked_invalid(values), cmap=COLOURS, norm=norm, **cells)
    of_networks = error.startswith(("simulated_", "expected_"))
    status = "simulated_status" if of_networks else "status"
    never = np.zeros(values.shape, bool)
    if status in dataset:
        never = panel(dataset, status, *sides) == NEVER
    patches = []
    for look, label, where in (
        (NOT_COMPUTED, "not computed", never),
        (NOT_SOLVED, "not solved", ~np.isfinite(values) & ~never),
    ):
        if where.any():
            shown = {"cmap": ListedColormap([look["facecolor"]]), "linewidth": 0}
            kept = {name: look[name] for name in ("hatch", "edgecolor") if name in look}
            ax.pcolor(*ends, np.ma.masked_where(~where, where * 1.0), **shown, **kept)
            patches.append(Patch(**look, label=label))
    return draw_lines(ax, dataset, sides, error, lines, valleys) + patches


def _place(handle: Any) -> tuple[int, bool]:
    """Of a legend's entry: as lines are listed, valleys along x first, then patches."""
    labels = [*(label for label, _ in RATIOS.values()), MEMORISED]
    label = handle.get_label()
    place = labels.index(label) if label in labels else len(labels) + isinstance(handle, Patch)
    return place, handle.get_linestyle() not in ("-", "solid")


def _add_bar(
    axes: Any, norm: Normalize, label: str, location: str = "right", wide: int = 1
) -> None:
    mappable = ScalarMappable(norm, COLOURS)
    figure = axes[0].figure
    bar = figure.colorbar(
        mappable, ax=list(axes), label=label, location=location, aspect=25 * wide, pad=0.02
    )
    plain_ticks(bar.ax.yaxis if location == "right" else bar.ax.xaxis)


def _title(dataset: Any) -> str:
    """The model in a line, at what was selected and without what is swept."""
    about = description_of(dataset)
    for name, value in selected(dataset).items():
        (name, index), place = split_element(name), about
        *owners, last = name.split(".")
        for owner in owners:
            place = place[owner]
        if index is not None:
            place, last = place[last], index
        place[last] = to_json(value)
    swept = [x.attrs.get("number", "") for x in dataset.coords.values() if x.size > 1]
    of_data = any(name.startswith("data.") for name in swept)
    return describe(about, swept, f"{about['data']['kind']} data" if of_data else None)
