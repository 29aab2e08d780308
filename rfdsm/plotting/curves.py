"""Errors over one number, of data sets as `rfdsm.sweeps` gives them."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..analysis.records import description_of
from ..errors import LABELS, LOSSES
from ..parameters.numbers import escaped
from ..parameters.plain import from_json
from .describe import describe, tex
from .style import around, colours, panels, plain_ticks, set_ordinate, style

LINEAR_COMPARES_WITH = ("test_loss", "memorization_loss")  # losses on noise that is fresh
DOTS = {"color": "0.3", "marker": "o", "markersize": 3.5, "linestyle": "none"}
KNOTS = DOTS | {"marker": "s", "markerfacecolor": "none"}  # measured widths
BROKEN = {"color": "0.5", "linewidth": 0.8, "linestyle": "-."}
DOTTED = {"linewidth": 0.8, "linestyle": ":"}
THIN = {"linestyle": (0, (4, 2)), "linewidth": 0.8}  # of the Gaussian theory
SOLID = {"linewidth": 0.7, "linestyle": "-", "alpha": 0.4}
TIMES = {  # the dash and the legend
    "tau_gen": ((0, (1, 1.5)), r"$\tau_\mathrm{gen}$, best stop"),
    "tau_mem": ((0, (5, 2)), r"$\tau_\mathrm{mem}$, memorises"),
}
DECADES = ("score_error", "bias2", "variance")  # which along training time fall by decades


def curve_figure(
    dataset: Any, names: Sequence[str] = LOSSES, *, log_y: bool = False, title: str = ""
) -> Figure:
    """A panel per error: theory as lines, networks as dots with one standard error.

    Beside them, where the data set has them: the Gaussian theory as thin lines, the band of
    several draws of the weights, tau_gen and tau_mem by the losses, the best linear score,
    p = n and p = n m. At m = ∞ train and memorization loss are the same: they share a panel.

    Args:
        dataset: of `sweeps.curve`, `train` or `predict`.
        names: of the errors; log_y: a logarithmic ordinate.
        title: in place of the model's description.
    """
    along, lines = dataset.attrs["axis"], dataset.attrs.get("lines", "")
    dataset = dataset.sortby(along)
    title = title or _title(dataset, along, lines)
    names, same = _different(dataset, names)
    gaussian = f"{names[0]}_gaussian" in dataset
    drawn, axes = panels(
        names,
        title if len(names) > 1 else title.replace(", $", ",\n$", 1),
        xlabel=dataset[along].attrs["label"],
        xscale=dataset[along].attrs["spacing"],
        margin=2.0 if gaussian else 1.5,
    )
    x, shades = dataset[along].values, colours(dataset.sizes[lines] if lines else 1)
    handles = []
    for i, colour in enumerate(shades):
        line = dataset.isel({lines: i}) if lines else dataset
        _draw_line(axes, line, x, along, colour)
        if lines:
            number = dataset[lines]
            label = f"${number.attrs['symbol']} = {tex(number.values[i])}$"
            handles.append(Line2D([], [], color=colour, label=label))
    if gaussian:
        handles.append(Line2D([], [], color="0.3", label="theory, measured moments"))
        handles.append(Line2D([], [], color="0.3", **THIN, label="theory, Gaussian data"))
    if f"{names[0]}_measured" in dataset:
        handles.append(Line2D([], [], **KNOTS, label="measured widths"))
    if f"simulated_{along}" in dataset:
        own = "points" in dataset.attrs  # data points have no other dimension
        label = "trained networks" if own else f"networks, $d = {dataset.attrs['d']}$"
        handles.append(Line2D([], [], **DOTS, label=label))
    compared = [
        ax for name, ax in axes.items() if {name, same.get(name)} & {*LINEAR_COMPARES_WITH}
    ]
    best = np.unique(np.atleast_2d(dataset["best_linear"].values), axis=0)  # for each t one
    for ax, losses in product(compared, best):
        ax.plot(x, losses, **BROKEN)
    if compared:
        handles.append(Line2D([], [], **BROKEN, label="best linear score"))
    handles += draw_upright(axes, dataset, x, shades)
    for name, ax in axes.items():
        falls = along == "tau" and name in DECADES
        set_ordinate(ax, dataset[name].values, log=log_y or falls)
        if name in same:
            ax.set_title(f"{LABELS[name]} = {LABELS[same[name]]}", fontsize=9)
        if len(finite := np.unique(x[np.isfinite(x)])) > 1:  # m = ∞ has no place on an axis
            log = dataset[along].attrs["spacing"] == "log"
            ax.set_xlim(*around(finite[0], finite[-1], 0.02, log=log))
        plain_ticks(ax.xaxis)
    if handles:
        with style():
            drawn.legend(handles=handles, loc="outside right center")
    return drawn


def _different(dataset: Any, names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The names without those whose values another has, and {kept: left out} of these."""
    kept, same = list(names), {}
    pair = "train_loss", "memorization_loss"
    if {*pair} <= {*names}:
        first, second = (dataset[name].values for name in pair)
        if np.allclose(first, second, rtol=1e-6, atol=1e-9, equal_nan=True):
            kept.remove(pair[1])
            same = {pair[0]: pair[1]}
    return kept, same


def _title(dataset: Any, along: str, lines: str) -> str:
    """The data and the model in a line."""
    about, without, data = dataset.attrs, [along, lines], None
    if "points" in about:
        data = f"{escaped(about['data'])}: {about['points']} points, $d = {about['dimension']}$"
        if along != "n" and "n" in about:
            data += f", $n = {about['n']:g}$"
        if along == "n" or "n" in about:  # which says it
            without.append("psi_n")
    return describe(description_of(dataset), without, data)


def _draw_line(axes: dict[str, Axes], line: Any, x: np.ndarray, along: str, colour) -> None:
    """One line's theories and networks in every panel."""
    for name, ax in axes.items():
        theory = line[name].values
        ax.plot(x, theory, color=colour)
        if f"{name}_gaussian" in line:
            ax.plot(x, line[f"{name}_gaussian"].values, color=colour, **THIN)
        if f"{name}_spread" in line:
            width = line[f"{name}_spread"].values
            band = {"color": colour, "alpha": 0.25, "linewidth": 0}
            ax.fill_between(x, theory - width, theory + width, **band)
        if f"{name}_measured" in line:
            ax.plot(line["measured_psi_p"].values, line[f"{name}_measured"].values,
                    **KNOTS | {"color": colour})  # fmt: skip
        if f"{name}_mean" in line:
            points = line[f"simulated_{along}"].values, line[f"{name}_mean"].values
            bars = line[f"{name}_standard_error"].values
            ax.errorbar(*points, yerr=bars, elinewidth=0.8, **DOTS | {"color": colour})


def draw_upright(axes: dict[str, Axes], dataset: Any, x, shades: list) -> list[Line2D]:
    """tau_gen and tau_mem, p = n and p = n m, where the axis has them; handles for a legend."""
    marks = [(_interpolation(dataset), DOTTED, "$p = nm$")]
    if dataset.attrs["axis"] != "m":
        marks.append((_interpolation(dataset, noises=1.0), SOLID, "$p = n$"))
    for name, (dash, label) in reversed(TIMES.items()):
        if f"{name}_by_curves" in dataset:
            times = np.atleast_1d(dataset[f"{name}_by_curves"].values)
            marks.insert(0, (times, {"linewidth": 0.9, "linestyle": dash}, label))
    handles = []
    for places, look, label in marks:
        pairs = zip(places, shades, strict=True)
        seen = [(place, colour) for place, colour in pairs if x[0] <= place <= x[-1]]
        common = len({place for place, _ in seen}) == 1 < len(seen)
        for (place, colour), ax in product(seen[:1] if common else seen, axes.values()):
            ax.axvline(place, color="0.3" if common else colour, zorder=0, **look)
        if seen:
            handles.append(Line2D([], [], color="0.3", **look, label=label))
    return handles


def _interpolation(dataset: Any, noises: float | None = None) -> list[float]:
    """The axis' value at which p = n m, for every line, or n `noises`; NaN where nowhere."""
    along, lines = dataset.attrs["axis"], dataset.attrs.get("lines", "")
    model = description_of(dataset)
    numbers = {name: from_json(model[name]) for name in ("psi_n", "psi_p", "m")}
    found = []
    for value in dataset[lines].values if lines else [None]:
        here = numbers | ({lines: float(value)} if lines else {})
        psi_n, psi_p, m = (here[name] for name in numbers)
        m = noises or m
        d = dataset.attrs.get("dimension", math.nan)
        places = {"psi_p": psi_n * m, "psi_n": psi_p / m, "m": psi_p / psi_n}
        found.append((places | {"n": psi_p * d / m}).get(along, math.nan))
    return found
