"""Figures."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .errors import Errors
from .files import whole_file

LABELS = {
    "score_error": "score error",
    "test_loss": "test loss",
    "train_loss": "train loss",
    "memorization_loss": "memorization loss",
    "bias2": "bias²",
    "variance": "variance",
}
STYLE = {
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
    with whole_file(path) as partial, matplotlib.rc_context(STYLE):
        figure.savefig(partial, bbox_inches="tight")


def colours(count: int) -> list:
    """`count` colours of increasing darkness, told apart in print and by the colour-blind."""
    return [matplotlib.colormaps["viridis_r"](x) for x in np.linspace(0.12, 0.92, count)]


def panels(names: Sequence[str], title: str) -> tuple[Figure, dict[str, Axes]]:
    """A row of axes, one per error, with a logarithmic abscissa.

    The figure belongs to no display: it can be saved, or shown by a notebook.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.4 * len(names), 3.1), layout="constrained")
        axes = figure.subplots(1, len(names), squeeze=False)
    figure.suptitle(title, fontsize=10)
    for ax, name in zip(axes[0], names, strict=True):
        ax.set(xscale="log", title=LABELS[name], xlabel=r"$\psi_p = p/d$")
    return figure, dict(zip(names, axes[0], strict=True))


def draw_theory(axes: dict[str, Axes], x, errors: Errors, **style) -> None:
    """A line per error."""
    for name, ax in axes.items():
        ax.plot(x, getattr(errors, name), **style)


def draw_runs(axes: dict[str, Axes], x, means: Errors, bars: Errors, **style) -> None:
    """Markers with one standard error."""
    for name, ax in axes.items():
        ax.errorbar(
            x,
            getattr(means, name),
            yerr=getattr(bars, name),
            linestyle="none",
            marker="o",
            markersize=3.5,
            elinewidth=0.8,
            **style,
        )
