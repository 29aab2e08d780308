"""One error over one number of a sweep: theory as lines, networks as markers on them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..errors import FIELDS, Errors
from .boundaries import RATIOS, Unknown, numbers_of, selected, theory_of
from .describe import tex
from .phase_diagrams import DECADE, label_of
from .sides import Side, side_of
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
    rows = [dataset]
    if further:
        order = np.argsort(dataset[further[0]].values, kind="stable")
        rows = [dataset.isel({further[0]: int(i)}) for i in order]
    with style():
        if ax is None:
            ax = Figure(figsize=(5.4, 3.4), layout="constrained").subplots()
        handles = []
        for row, colour in zip(rows, colours(len(rows)), strict=True):
            values = row[error].squeeze().values[side.order]
            ax.plot(side.places, values, color=colour)
            _draw_networks(ax, row, side, error, colour)
            if further:
                handles.append(Line2D([], [], color=colour, label=row_label(row, further[0])))
    return ax
