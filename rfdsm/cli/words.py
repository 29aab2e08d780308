"""Labelled data sets of curves in words and tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from ..errors import LABELS, STATUSES
from ..parameters.numbers import text
from . import console

ROWS = 12  # of a table, for a line
SMALL = 0.1  # an error below this is compared with it: its own size would exaggerate


def lines(dataset: Any) -> list[tuple[str, Any]]:
    """(label, its part of the data set) of each line; "" where there is but one, unnamed."""
    name = dataset.attrs.get("lines")
    if name is None:
        return [("", dataset)]
    values = dataset[name].values
    return [(f"{name} = {text(x)}", dataset.isel({name: i})) for i, x in enumerate(values)]


def labelled(label: str, words: str) -> str:
    """Words on a line of the data set."""
    return f"{label}: {words}" if label else words


def failures(dataset: Any, status: str = "status") -> str | None:
    """One line on the points that were not solved; None where all were."""
    codes = dataset[status].values
    failed = codes[codes != 0]
    if not failed.size:
        return None
    reasons = ", ".join(STATUSES[code] for code in np.unique(failed))
    return f"{failed.size} of {codes.size} points were not solved ({reasons}): gaps."


def errors_table(dataset: Any, names: Sequence[str], beside: Mapping[str, str] = {}) -> Table:
    """The chosen errors of every line, at some of the axis' points.

    Args:
        dataset: of `sweeps`. names: of its errors.
        beside: further columns, variables by their titles.
    """
    along, of_lines = dataset.attrs["axis"], dataset.attrs.get("lines")
    columns = {LABELS[name]: name for name in names} | dict(beside)
    drawn = console.table(*([of_lines] if of_lines else []), along, *columns)
    points = dataset.sizes[along]
    chosen = np.unique(np.round(np.linspace(0, points - 1, min(ROWS, points))).astype(int))
    for number, (_, line) in enumerate(lines(dataset)):
        if number:
            drawn.add_row()
        for i in chosen:
            cells = [text(float(line[of_lines]))] if of_lines else []
            cells.append(f"{line[along].values[i]:.4g}")
            cells += [f"{line[name].values[i]:.5g}" for name in columns.values()]
            drawn.add_row(*cells)
    return drawn


def least(line: Any, name: str) -> tuple[float, str] | None:
    """The least of an error on a line and where it is; None where nothing was solved."""
    along = line.attrs["axis"]
    values = np.where(line["status"].values == 0, line[name].values, np.inf)
    i = int(np.argmin(values))
    if not np.isfinite(values[i]):
        return None
    end = ", an end of the grid" if i in (0, len(values) - 1) else ""
    return float(values[i]), f"{along} = {line[along].values[i]:.4g}{end}"


def least_losses(dataset: Any) -> list[str]:
    """A line of text on each line's least test loss."""
    told = []
    for label, line in lines(dataset):
        found = least(line, "test_loss")
        if found is None:
            told.append(labelled(label, "not solved anywhere"))
        else:
            told.append(labelled(label, f"least test loss {found[0]:.5g} at {found[1]}"))
    return told


def deviation(part: Any, name: str, theory: str = "theory") -> np.ndarray:
    """Theory minus networks of one error in percent, relative to the larger of it and 0.1."""
    exact = part[f"{name}_{theory}"].values
    return 100 * (exact - part[f"{name}_mean"].values) / np.maximum(exact, SMALL)


def agreement(dataset: Any, names: Sequence[str], asked: Mapping[str, Any]) -> list[str]:
    """Lines of text: how networks and theory differ; none where there are no networks.

    Args:
        dataset: of `sweeps`. names: of its errors.
        asked: the ratios of the lines, by name, a number or one for each line.
    """
    if "trials" not in dataset.attrs:
        return []
    told = [
        f"networks of d = {dataset.attrs['d']}, {dataset.attrs['trials']} trials, against "
        "theory at the ratios they realise:",
        *_rounding(dataset, asked),
    ]
    for name in names:
        gaps = np.abs(deviation(dataset, name))
        gaps = gaps[np.isfinite(gaps)]
        if gaps.size:
            told.append(
                f"  {LABELS[name]} differs by {np.median(gaps):.2g} % in the "
                f"median, {np.max(gaps):.2g} % at most"
            )
    return told


def _rounding(dataset: Any, asked: Mapping[str, Any]) -> list[str]:
    """A line for each ratio that d cannot realise: the markers are at another one."""
    told, of_lines = [], dataset.attrs.get("lines")
    for name, values in asked.items():
        realised = np.atleast_1d(dataset.attrs.get(f"simulated_{name}", np.nan))
        values = np.atleast_1d(values)
        labels = [label for label, _ in lines(dataset)] if name == of_lines else [""]
        for label, x, y in zip(labels, values, realised, strict=True):
            if np.isfinite(y) and not math.isclose(x, y, rel_tol=1e-3):
                words = f"{name} is {y:.4g} in them, and {x:.4g} in the lines"
                told.append(f"  {labelled(label, words)}")
    return told
