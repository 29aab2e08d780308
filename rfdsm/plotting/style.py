"""The look of all figures: axes, colours, ticks, and files."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from .._files.whole import whole_file
from ..errors import LABELS

ROW = 3  # panels side by side
STYLE = {
    "text.usetex": False,  # matplotlib's own mathematics looks as well, and needs no LaTeX
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.dpi": 110,
    "savefig.dpi": 200,
    "lines.linewidth": 1.4,
}


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure, in the format of the suffix: .png, .svg or .pdf."""
    with whole_file(path) as partial, style():
        figure.savefig(partial, bbox_inches="tight")


def colours(count: int) -> list:
    """`count` colours of increasing darkness, told apart in print and by the colour-blind."""
    shades = np.linspace(0.92, 0.12, count)[::-1]  # from the dark end: one colour is dark
    return [matplotlib.colormaps["viridis_r"](x) for x in shades]


def panels(
    names: Sequence[str],
    title: str,
    *,
    xlabel: str,
    xscale: str = "log",
    margin: float = 0,
) -> tuple[Figure, dict[str, Axes]]:
    """A row of axes, or two, one per error, over one number of the model.

    `margin` inches are kept on the right, for a legend that hides no line.

    The figure belongs to no display: it can be saved, or shown by a notebook.
    """
    rows = 1 if len(names) <= ROW else 2
    columns = -(-len(names) // rows)
    size = 3.4 * columns + margin, 3.1 if rows == 1 else 5.6
    with style():
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        figure.suptitle(title, fontsize=10)
        for ax in axes[len(names) :]:
            ax.remove()
        panels = dict(zip(names, axes, strict=False))
        for name, ax in panels.items():
            ax.set(xscale=xscale, title=LABELS[name], xlabel=xlabel)
    return figure, panels


def set_ordinate(ax: Axes, theory: np.ndarray, *, log: bool = False) -> None:
    """From 0 on, or logarithmic down to a little below the theory's least positive value."""
    if not log:
        ax.set_ylim(bottom=0)
        return
    ax.set_yscale("log")
    positive = theory[np.isfinite(theory) & (theory > 0)]
    if positive.size:
        ax.set_ylim(bottom=float(positive.min()) / 1.5)
    plain_ticks(ax.yaxis)


def around(low: float, high: float, room: float, *, log: bool) -> tuple[float, float]:
    """The ends of an axis with a little room, as a share of it."""
    if log:
        return low * (low / high) ** room, high * (high / low) ** room
    return low - room * (high - low), high + room * (high - low)


def plain_ticks(axis: Axis) -> None:
    """On a logarithmic axis of less than two decades, 0.5, 1, 2 in place of powers of ten."""
    low, high = axis.get_view_interval()
    if axis.get_scale() != "log" or high > 100 * low:
        return
    digits = "25" if high > 4 * low else "23456789"
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:.0e}"[0] in digits else "")


def style():
    """The context in which text is added to a figure of `panels`."""
    return matplotlib.rc_context(STYLE)
