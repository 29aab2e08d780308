"""What the variance is made of, of data sets of `sweeps.variance_curve`."""

from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..analysis.records import description_of
from ..sweeps.variance import WORDS
from .curves import DOTS, draw_upright
from .describe import describe
from .style import colours, plain_ticks, set_ordinate, style

EDGE = {"linewidth": 0.4, "edgecolor": "white", "zorder": -1}  # below the upright lines
OUTLINED = [patheffects.withStroke(linewidth=2, foreground="white")]  # seen on every layer
BIAS = {"color": "black", "linestyle": (0, (4, 2)), "path_effects": OUTLINED}
SEEN = DOTS | {"color": "black", "markerfacecolor": "white", "markeredgewidth": 0.8}


def variance_figure(dataset: Any, *, log_y: bool = False, title: str = "") -> Figure:
    """The parts of the variance over one number, one on another, and each as a share of it.

    Beside them bias², where it is known, p = n and p = n m. Networks as dots at the upper edge
    of each part: the mean of the parts' sum up to there, with one standard error.

    Args:
        dataset: of `sweeps.variance_curve`.
        log_y: a logarithmic ordinate, on which the layers' heights do not compare.
        title: in place of the model's description.
    """
    along = dataset.attrs["axis"]
    dataset = dataset.sortby(along)
    x, spacing = dataset[along].values, dataset[along].attrs["spacing"]
    shades = dict(zip(WORDS, colours(len(WORDS)), strict=True))
    with style():
        figure = Figure(figsize=(8.6, 3.2), layout="constrained")
        first, second = axes = figure.subplots(1, 2)
        figure.suptitle(title or describe(description_of(dataset), [along]), fontsize=10)
        for ax in axes:
            ax.set(xlabel=dataset[along].attrs["label"], xscale=spacing)
        upright = draw_upright(dict(enumerate(axes)), dataset, x, ["0.3"])
        for line in (*first.lines, *second.lines):
            line.set_path_effects(OUTLINED)
        first.set_title(f"variance of the {dataset.attrs['of']}, per dimension")
        second.set_title("shares of the variance")
        _draw_stack(first, dataset, x, shades)
        _draw_stack(second, dataset, x, shades, shares=True)
        handles = [Patch(color=shades[n], label=WORDS[n].label) for n in reversed(WORDS)]
        if "bias2" in dataset:
            first.plot(x, dataset["bias2"].values, **BIAS)
            handles.append(Line2D([], [], **BIAS, label="bias²"))
        if f"simulated_{along}" in dataset:
            label = f"networks, $d = {dataset.attrs['d']}$"
            handles.append(Line2D([], [], **SEEN, label=label))
        set_ordinate(first, dataset[next(iter(WORDS))].values, log=log_y)
        second.set_ylim(0, 1)
        for ax in axes:
            if len(finite := x[np.isfinite(x)]) > 1:  # m = ∞ has no place on an axis
                ax.set_xlim(finite[0], finite[-1])
            plain_ticks(ax.xaxis)
        figure.legend(handles=handles + upright, loc="outside right center")
    return figure


def _draw_stack(
    ax: Axes, dataset: Any, x: np.ndarray, shades: dict[str, Any], shares: bool = False
) -> None:
    """Theory as layers, networks at their upper edges; of shares the last edge is 1."""
    along = dataset.attrs["axis"]
    edges = np.cumsum([dataset[name].values for name in WORDS], axis=0)
    edges = _shares(edges, edges[-1]) if shares else edges
    below = np.zeros_like(x)
    for edge, colour in zip(edges, shades.values(), strict=True):
        ax.fill_between(x, below, edge, facecolor=colour, **EDGE)
        below = edge
    if f"simulated_{along}" in dataset:
        there = dataset[f"simulated_{along}"].values
        runs = np.cumsum([dataset[f"simulated_{name}"].values for name in WORDS], axis=0)
        total = runs[-1].mean(axis=-1, keepdims=True)
        runs = _shares(runs, total)[:-1] if shares else runs
        trials = runs.shape[-1]
        for sums in runs:  # of the parts up to here, trial by trial
            bars = np.std(sums, axis=-1, ddof=1) / trials**0.5 if trials > 1 else None
            ax.errorbar(there, sums.mean(axis=-1), yerr=bars, elinewidth=0.8, **SEEN)


def _shares(sums: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Shares of the total, unknown where there is no variance, as before any training."""
    with np.errstate(invalid="ignore"):
        return sums / total
