"""One error over one number of a sweep: theory as lines, networks as markers on them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..errors import FIELDS, Errors
from .boundaries import (
    POINTS,
    RATIOS,
    Unknown,
    best_loss,
    log_ratio,
    numbers_of,
    theory_of,
)
from .phase_diagrams import DECADE, label_of
from .sides import Side, labels_along, side_of
from .style import colours, set_ordinate, style

DOTS = {"marker": "o", "markersize": 3.5, "linestyle": "none", "elinewidth": 0.8}
UPRIGHT = {  # p = n and p = n m
    "p = n": {"linewidth": 0.7, "linestyle": "-", "alpha": 0.4},
    "p = n m": {"linewidth": 0.8, "linestyle": ":"},
}
BROKEN = {"color": "0.5", "linewidth": 0.8, "linestyle": "-."}
BEST_COMPARES_WITH = ("test_loss", "memorization_loss")  # losses on noise that is fresh


def error_curves(
    dataset: Any,
    x: str,
    error: str,
    ax: Axes | None = None,
    *,
    log: bool | None = None,
) -> Axes:
    """An error over one number of a sweep, a line for each value of another.

    Lines are theory; markers are networks, where the data set has them: means over trials with
    one standard error, at the ratios that the networks realise. Beside them the best score's
    loss, and where p = n and p = n m.

    Args:
        dataset: of `rfdsm.sweep`, with at most one dimension beside that of x.
        x: a coordinate. error: an error, or a quantity.
        ax: where to draw; None: a figure of its own, which is `ax.figure`.
        log: whether the ordinate is logarithmic; None: over a decade or more.

    Raises:
        ValueError: an unknown coordinate or variable, or several further dimensions.
    """
    if error not in dataset:
        known = ", ".join(map(str, dataset.data_vars))
        raise ValueError(f"the data set has no {error!r}: it has {known}.")
    side = side_of(dataset, x)
    theory = dataset[error].squeeze()
    further = [str(dim) for dim in theory.dims if dim != side.dim]
    if len(further) > 1:
        raise ValueError(
            f"curves have lines for one dimension, and {' and '.join(further)} are left: "
            f"select one with .sel or .isel({further[0]}=0)."
        )
    if side.dim not in theory.dims:
        raise ValueError(f"{error} does not depend on {x}.")
    rows, labels = [dataset], [""]
    for dim in further:
        order = np.argsort(dataset[dim].values, kind="stable")
        rows = [dataset.isel({dim: int(i)}) for i in order]
        labels = [labels_along(dataset, dim)[i] for i in order]
    values = np.array([row[error].squeeze().values[side.order] for row in rows], float)
    with style():
        if ax is None:
            ax = Figure(figsize=(5.4, 3.4), layout="constrained").subplots()
        side.set_axis(ax, "x", *side.edges()[[0, -1]])
        shades, handles = colours(len(rows)), []
        for row, line, colour, label in zip(rows, values, shades, labels, strict=True):
            ax.plot(side.places, line, color=colour)
            handles += [Line2D([], [], color=colour, label=label)] if label else []
            if f"simulated_{error}" in dataset:
                _draw_networks(ax, row, side, error, colour)
        if f"simulated_{error}" in dataset:
            dots = {name: look for name, look in DOTS.items() if name != "elinewidth"}
            label = f"networks, $d = {dataset.attrs['d']}$"
            handles.append(Line2D([], [], color="0.3", **dots, label=label))
        if error in BEST_COMPARES_WITH:
            handles += _draw_best(ax, rows, side)
        handles += _draw_upright(ax, rows, side, shades)
        known = values[np.isfinite(values)]
        if log is None:
            log = known.size > 0 and known.min() > 0 and known.max() > DECADE * known.min()
        set_ordinate(ax, values, log=log)
        ax.set_ylabel(label_of(dataset, error))
        if handles:
            ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax


def _draw_networks(ax: Axes, row: Any, side: Side, error: str, colour: Any) -> None:
    """Means over trials, and their standard errors."""
    runs = {}
    for name in FIELDS:  # bias2 and variance are of several fields
        found = row.get(f"simulated_{name}", row[f"simulated_{error}"] * np.nan)
        runs[name] = found.squeeze(drop=True).transpose(side.dim, ...).values[side.order]
    runs = Errors(**{name: x.reshape(len(side.x), -1) for name, x in runs.items()})
    mean, bars = (np.asarray(getattr(x, error)) for x in (runs.mean(), runs.standard_error()))
    realised = f"realised_{side.number}"
    x = side.places
    if realised in row.coords:
        x = row[realised].values[side.order] * side.about.get("unit", 1.0)
    known = np.isfinite(mean)  # not computed, or no networks there
    ax.errorbar(x[known], mean[known], yerr=bars[known], color=colour, **DOTS)


def _draw_best(ax: Axes, rows: Sequence[Any], side: Side) -> list[Line2D]:
    """The best score's loss, of all lines where it is the same."""
    try:
        found = np.array([best_loss(theory_of(row), side.own) for row in rows])
    except Unknown:
        return []
    for line in np.unique(found, axis=0):
        ax.plot(side.places, line, **BROKEN)
    return [Line2D([], [], **BROKEN, label="best score")]


def _draw_upright(ax: Axes, rows: Sequence[Any], side: Side, shades: list) -> list[Line2D]:
    """Where p = n and p = n m: one line, or one of each colour."""
    handles = []
    for name, look in UPRIGHT.items():
        label, powers = RATIOS[name]
        if not powers.keys() & side.own.keys():
            continue
        at = [_crossing(row, side, name) for row in rows]
        common = len(rows) > 1 and len({*at}) == 1
        for place, colour in list(zip(at, shades, strict=True))[: 1 if common else None]:
            if np.isfinite(place):
                ax.axvline(place, color="0.3" if common else colour, zorder=0, **look)
        if np.any(np.isfinite(at)):
            handles.append(Line2D([], [], color="0.3", **look, label=label))
    return handles


def _crossing(row: Any, side: Side, name: str) -> float:
    """The place where a product of powers is 1; NaN for none."""
    places, numbers = side.fine(*side.places[[0, -1]], POINTS)
    fixed = {n: np.full(POINTS, x) for n, x in numbers_of(row).items()}
    values = log_ratio(name, fixed | numbers)
    (at,) = np.nonzero(values[:-1] * values[1:] <= 0)
    if not at.size:
        return np.nan
    i, position = at[0], side.position(places)
    share = values[i] / (values[i] - values[i + 1]) if values[i] else 0.0
    return float(side.from_position(position[i] + share * (position[i + 1] - position[i])))
