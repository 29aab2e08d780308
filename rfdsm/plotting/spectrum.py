"""The eigenvalues of U over decades, of data sets as `analysis.spectrum` gives them."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.records import description_of
from ..analysis.spectrum import BINS, by_bulk
from .describe import describe
from .style import around, colours, style

ROOM = 0.03  # of the abscissa, beside the outermost eigenvalues
FEATURES = {"network": "networks", "gaussian": "Gaussian surrogate"}
RED = {"color": "tab:red", "markersize": 5}


def spectrum_figure(dataset: Any) -> Figure:
    """The density of log10 x: bulks of any size and place are seen side by side."""
    with style():
        drawn = Figure(figsize=(6.4, 3.4), layout="constrained")
        ax = drawn.subplots()
        drawn.suptitle(describe(description_of(dataset), ("lam", "tau")), fontsize=10)
        ax.set(xscale="log", yscale="log", xlabel="eigenvalue $x$ of $U$")
        ax.set_ylabel("share of eigenvalues per decade")
        if "histogram" in dataset:
            bins = np.append(dataset["bin_low"].values, dataset["bin_high"].values[-1])
            label = f"{FEATURES[dataset.attrs['features']]}, $d = {dataset.attrs['d']}$"
            shares = dataset["histogram"].values
            ax.stairs(shares, bins, fill=True, color="0.8", label=label)
        (colour,) = colours(1)
        x, heights = by_bulk(dataset, "x"), by_bulk(dataset, "per_decade")
        for bulk, height in zip(x, heights, strict=True):
            ax.plot(bulk, height, color=colour)
        ax.plot([], [], color=colour, label="theory")
        bottom, top = _ordinate(dataset, heights)
        ax.set_ylim(bottom, top)
        ax.set_xlim(_abscissa(dataset, x[heights > bottom]))
        _draw_atom(ax, dataset, bottom, top)
        _draw_times(ax, dataset)
        drawn.legend(loc="outside right center")
    return drawn


def _ordinate(dataset: Any, heights: np.ndarray) -> tuple[float, float]:
    """From under the lowest bulk, and a single eigenvalue, to over the highest."""
    peaks = np.nanmax(heights, axis=1)
    bottom, top = peaks.min() / 30, peaks.max()
    if "histogram" in dataset:
        bottom = min(bottom, 0.7 * BINS / dataset.attrs["eigenvalues"])
        top = max(top, dataset["histogram"].values.max())
    return bottom, 3 * top


def _abscissa(dataset: Any, seen: np.ndarray) -> tuple[float, float]:
    """Around all eigenvalues, where theory's are `seen`."""
    shown = [seen.min(), seen.max()]
    if dataset.attrs["atom_mass"] > 0 and dataset.attrs["atom_position"] > 0:
        shown.append(dataset.attrs["atom_position"])
    if "histogram" in dataset:
        shown += [dataset["bin_low"].values[0], dataset["bin_high"].values[-1]]
    return around(min(shown), max(shown), ROOM, log=True)


def _draw_atom(ax: Axes, dataset: Any, bottom: float, top: float) -> None:
    """An arrow: its place is the atom's, its height says nothing."""
    position, mass = (dataset.attrs[f"atom_{name}"] for name in ("position", "mass"))
    if not mass > 0:
        return
    label = f"atom of mass {mass:.3g}"
    if position > 0:
        ax.plot([position] * 2, [bottom, top / 1.3], linewidth=1.1, color="tab:red")
        ax.plot(position, top / 1.3, "^", **RED, label=label)
    else:  # beyond a logarithmic axis
        left, middle = ax.get_xlim()[0], bottom * (top / bottom) ** 0.5
        ax.plot(left, middle, "<", **RED, clip_on=False, label=f"{label} at 0")


def _draw_times(ax: Axes, dataset: Any) -> None:
    """A second abscissa: when gradient flow learns the modes of an eigenvalue."""
    rate, lam = dataset.attrs["rate"], description_of(dataset)["training"]["lam"]

    def time(x):
        return 1 / (rate * np.maximum(x + lam, 1e-300))

    def eigenvalue(tau):
        return 1 / (rate * np.maximum(tau, 1e-300)) - lam

    above = ax.secondary_xaxis("top", functions=(time, eigenvalue))
    mode = r"(x + \lambda)" if lam else " x"
    above.set_xlabel(rf"training time $1/(\kappa{mode})$ at which it is learned")
    ax.spines["top"].set_visible(True)
