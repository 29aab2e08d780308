"""Figures of errors: theory as lines, simulation as markers."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from .errors import Errors
from .files import whole_file
from .model import RFDSM

SUFFIXES = (".png", ".svg", ".pdf")

LABELS = {
    "score_error": "score error",
    "test_loss": "test loss",
    "train_loss": "train loss",
    "memorization_loss": "memorization loss",
    "bias2": "bias²",
    "variance": "variance",
}
PARAMETERS = {
    "n": "training points $n$",
    "psi_n": r"$\psi_n = n/d$",
    "psi_p": r"$\psi_p = p/d$",
    "m": "noises per data point $m$",
    "t": "diffusion time $t$",
    "lam": r"ridge $\lambda$",
    "tau": r"training time $\tau$",
}
SYMBOLS = {"psi_n": r"\psi_n", "psi_p": r"\psi_p", "m": "m", "t": "t", "lam": r"\lambda"}
ROW = 3  # panels side by side
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
    shades = np.linspace(0.92, 0.12, count)[::-1]  # from the dark end: one colour is dark
    return [matplotlib.colormaps["viridis_r"](x) for x in shades]


def panels(
    names: Sequence[str],
    title: str,
    *,
    parameter: str = "psi_p",
    xscale: str = "log",
    margin: float = 0,
) -> tuple[Figure, dict[str, Axes]]:
    """A row of axes, or two, one per error, over one parameter of the model.

    `margin` inches are kept on the right, for a legend that hides no line.

    The figure belongs to no display: it can be saved, or shown by a notebook.
    """
    rows = 1 if len(names) <= ROW else 2
    columns = -(-len(names) // rows)
    size = 3.4 * columns + margin, 3.1 if rows == 1 else 5.6
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        figure.suptitle(title, fontsize=10)
        for ax in axes[len(names) :]:
            ax.remove()
        panels = dict(zip(names, axes, strict=False))
        for name, ax in panels.items():
            ax.set(xscale=xscale, title=LABELS[name], xlabel=PARAMETERS[parameter])
    return figure, panels


def draw_theory(axes: dict[str, Axes], x, errors: Errors, **style) -> None:
    """A line per error."""
    for name, ax in axes.items():
        ax.plot(x, getattr(errors, name), **style)


def draw_band(axes: dict[str, Axes], x, errors: Errors, spread: Errors, **style) -> None:
    """A band of one standard deviation around a line."""
    for name, ax in axes.items():
        middle, width = getattr(errors, name), getattr(spread, name)
        ax.fill_between(x, middle - width, middle + width, alpha=0.25, linewidth=0, **style)


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


def plain_ticks(axis: Axis) -> None:
    """On a logarithmic axis of less than two decades, 0.5, 1, 2 in place of powers of ten."""
    low, high = axis.get_view_interval()
    if axis.get_scale() != "log" or high > 100 * low:
        return
    digits = "25" if high > 4 * low else "23456789"
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:.0e}"[0] in digits else "")


def describe(model: RFDSM, without: Sequence[str] = (), data: str | None = None) -> str:
    """A model in a line for a title.

    Args:
        model: its numbers and ingredients are named.
        without: parameters to leave out.
        data: what the data are, in place of their law's description.
    """
    values = {
        "psi_n": model.psi_n,
        "psi_p": model.psi_p,
        "m": model.m,
        "t": getattr(model.process, "t", None),
        "lam": getattr(model.training, "lam", None),
    }
    activation = type(model.activation).__name__
    if activation == activation.capitalize():  # Tanh is a function's name, ReLU an acronym
        activation = activation.lower()
    numbers = (
        f"${SYMBOLS[name]} = {tex(value)}$"
        for name, value in values.items()
        if value is not None and name not in without
    )
    return ", ".join((data or _describe_data(model), activation, *numbers))


def _describe_data(model: RFDSM) -> str:
    eigenvalues = np.asarray(model.data.eigenvalues)
    if len(eigenvalues) == 1:
        scale = "" if eigenvalues[0] == 1 else f" of variance ${tex(eigenvalues[0])}$"
        return f"isotropic Gaussian data{scale}"
    if len(eigenvalues) > 4:
        return f"Gaussian data of {len(eigenvalues)} eigenvalues"
    return f"Gaussian data, eigenvalues {', '.join(f'{x:.4g}' for x in eigenvalues)}"


def tex(value: float) -> str:
    r"""A number for math mode: 0.5, 10^{-3}, 2\times 10^{6}, \infty."""
    value = float(value)
    if math.isinf(value):
        return r"\infty"
    if value == 0 or 1e-2 <= abs(value) < 1e4:
        return f"{value:.4g}"
    mantissa, exponent = f"{value:.3e}".split("e")
    power = f"10^{{{int(exponent)}}}"
    mantissa = f"{float(mantissa):g}"
    return power if mantissa == "1" else rf"{mantissa}\times {power}"


def style():
    """The context in which text is added to a figure of `panels`."""
    return matplotlib.rc_context(STYLE)
