"""Prediction targets side by side, of data sets of `rfdsm.compare`."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..analysis.records import description_of
from ..parameters.numbers import escaped
from ..sweeps.ranking import ranking
from .describe import describe
from .style import around, colours, plain_ticks, set_ordinate, style

LABELS = {
    "noise_error": r"noise error, $E|\hat z - E[z|y]|^2/d$",
    "noise_loss": r"noise loss, $E|\hat z - z|^2/d$",
}
DASHES = "-", (0, (6, 2)), (0, (6, 2, 1, 2)), (0, (2, 1.2))  # of targets, in this order
MARKERS = "osD^"
DOTS = {"markersize": 4, "linestyle": "none", "elinewidth": 0.8, "markeredgewidth": 0}
DOTTED = {"color": "0.3", "linewidth": 0.8, "linestyle": ":"}
DECADE = 10.0  # from which on an ordinate is logarithmic, unless told
STRIP = 0.025  # of the panel's height: the colour of the best target


def comparison_figure(dataset: Any, *, log_y: bool | None = None, title: str = "") -> Figure:
    """The error of each target over one number, and beside it the number that was tuned.

    Theory as lines, of data points with a band of their error bars; networks as markers with
    one standard error. The strip at the bottom has the colour of the best target, which
    changes at dotted lines.

    Args:
        dataset: of `rfdsm.compare`.
        log_y: a logarithmic ordinate; None: over a decade or more.
        title: in place of the model's description.
    """
    along, compared = dataset.attrs["axis"], dataset.attrs["compared"]
    tuned = f"optimal_{dataset.attrs['tuned']}"
    count = 2 if tuned in dataset else 1
    names, x = [str(name) for name in dataset["target"].values], dataset[along].values
    looks = _looks(names)
    with style():
        figure = Figure(figsize=(3.6 * count + 1.4, 3.2), layout="constrained")
        first, *others = figure.subplots(1, count, squeeze=False)[0]
        figure.suptitle(title or _title(dataset), fontsize=10)
        for ax in (first, *others):
            about = dataset[along].attrs
            ax.set(xlabel=about["label"], xscale=about["spacing"])
        handles = _draw_errors(first, dataset, looks)
        values = dataset[compared].values
        known = values[np.isfinite(values) & (values > 0)]
        log = known.size > 0 and known.max() > DECADE * known.min() if log_y is None else log_y
        set_ordinate(first, values, log=log)
        first.set_ylabel(LABELS[compared])
        for ax in others:
            _draw_tuned(ax, dataset[tuned], x, looks)
        handles += _draw_best(first, dataset, looks)
        for ax in (first, *others):
            if len(finite := x[np.isfinite(x)]) > 1:  # m = ∞ has no place on an axis
                log = dataset[along].attrs["spacing"] == "log"
                ax.set_xlim(*around(finite[0], finite[-1], 0.02, log=log))
            plain_ticks(ax.xaxis)
        figure.legend(handles=handles, loc="outside right center")
    return figure


def _looks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The colour and the dash of each target, told apart in print too."""
    pairs = zip(names, colours(len(names)), cycle(DASHES), strict=False)
    return {name: {"color": colour, "linestyle": dash} for name, colour, dash in pairs}


def _draw_errors(ax: Axes, dataset: Any, looks: dict[str, dict[str, Any]]) -> list[Line2D]:
    """The error of each target, theory and networks; handles for a legend."""
    along, compared = dataset.attrs["axis"], dataset.attrs["compared"]
    x, handles, networks = dataset[along].values, [], f"{compared}_mean" in dataset
    for marker, (name, look) in zip(cycle(MARKERS), looks.items(), strict=False):
        of_target, colour = dataset.sel(target=name), look["color"]
        y = of_target[compared].values
        ax.plot(x, y, **look)
        if f"{compared}_error_bar" in dataset:
            bar = of_target[f"{compared}_error_bar"].values
            ax.fill_between(x, y - bar, y + bar, color=colour, alpha=0.2, linewidth=0)
        if networks:
            there = of_target[f"simulated_{along}"].values, of_target[f"{compared}_mean"].values
            bars = of_target[f"{compared}_standard_error"].values
            ax.errorbar(*there, yerr=bars, color=colour, marker=marker, **DOTS)
        dots = {"marker": marker, "markersize": 4} if networks else {}
        handles.append(Line2D([], [], label=escaped(name), **look, **dots))
    if networks:
        own = "points" in dataset.attrs  # data points have no other dimension
        label = "trained networks" if own else f"networks, $d = {dataset.attrs['d']}$"
        dots = {"marker": "o", "linestyle": "none", "markersize": 4}
        handles.append(Line2D([], [], color="0.3", label=label, **dots))
    return handles


def _draw_tuned(ax: Axes, tuned: Any, x: np.ndarray, looks: dict[str, dict[str, Any]]) -> None:
    """The best number of each target."""
    for name, look in looks.items():
        ax.plot(x, tuned.sel(target=name).values, **look)
    ax.set(ylabel=tuned.attrs["label"], yscale=tuned.attrs["spacing"])
    plain_ticks(ax.yaxis)


def _draw_best(ax: Axes, dataset: Any, looks: dict[str, dict[str, Any]]) -> list[Line2D]:
    """A strip in the colour of the best target, and lines where it changes."""
    found, x = ranking(dataset), dataset[dataset.attrs["axis"]].values
    finite = x[np.isfinite(x)]
    for each in found.ranges if finite.size else ():
        ends = np.clip([each.low, each.high], finite[0], finite[-1])
        colour = looks[each.best.partition(" = ")[0]]["color"]
        ax.axvspan(*ends, 0, STRIP, color=colour, linewidth=0)
    for each in found.crossings:
        if np.isfinite(each.at):
            ax.axvline(each.at, zorder=0, **DOTTED)
    return [Line2D([], [], color="0.5", linewidth=4, label="the best target")]


def _title(dataset: Any) -> str:
    """The data and the model in a line."""
    about, data, along = dataset.attrs, None, dataset.attrs["axis"]
    without = [along, dataset[along].attrs["number"], about["tuned"]]  # n is psi_n d
    if "data" in about:
        data = escaped(about["data"])
    if "points" in about:
        data += f": {about['points']} points, $d = {about['dimension']}$"
    return describe(description_of(dataset), without, data)
