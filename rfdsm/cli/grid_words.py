"""Sweeps' data sets and stores in words and tables."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from rich.table import Table

from ..analysis.records import description_of
from ..errors import LABELS
from ..parameters.numbers import text
from ..parameters.plain import from_json
from . import console, words

LISTED, DAMAGED = 5, 20  # values of an axis, and chunks, that are named


def lowest(dataset: Any, name: str) -> tuple[float, str] | None:
    """The least of an error on a grid and where it is; None where nothing was solved."""
    of_networks = name.startswith(("simulated_", "expected_"))
    status = dataset["simulated_status" if of_networks else "status"]
    variable = dataset[name]
    variable = variable.mean([dim for dim in variable.dims if dim not in status.dims])
    solved = (status.values == 0) & np.isfinite(variable.values)  # a quantity may fail alone
    values = np.where(solved, variable.values, np.inf)
    index = np.unravel_index(np.argmin(values), values.shape)
    if not np.isfinite(values[index]):
        return None
    at = dataset.isel(dict(zip(status.dims, map(int, index), strict=True)))
    ends = [
        name
        for name, x in axes(dataset).items()
        if x.size > 2 and np.isfinite(at[name]) and float(at[name]) in (x.min(), x.max())
    ]
    end = f", an end of {' and '.join(ends)}" if ends else ""
    return float(values[index]), f"{place(at, axes(dataset))}{end}"


def axes(dataset: Any) -> dict[str, Any]:
    """The coordinates of a sweep's grid, in its order; not those of which one was selected."""
    swept = {n: x for n, x in dataset.coords.items() if "number" in x.attrs and x.ndim}
    order = dataset["status"].dims.index
    return dict(sorted(swept.items(), key=lambda each: order(each[1].dims[0])))


def place(point: Any, names: Iterable[str]) -> str:
    """The swept numbers of a point of a grid: "psi_n = 8, m = ∞"."""
    return ", ".join(f"{name} = {point[name].item():.4g}".replace("inf", "∞") for name in names)


def model(dataset: Any) -> str:
    """The model of a sweep in a line, without the numbers that were swept."""
    swept = {x.attrs["number"] for x in dataset.coords.values() if "number" in x.attrs}
    told = []
    for name, value in description_of(dataset).items():
        inside = value if isinstance(value, dict) else {}
        if kind := inside.get("kind"):
            numbers = (
                f"{n} = {_plain(x)}"
                for n, x in inside.items()
                if n != "kind" and f"{name}.{n}" not in swept
            )
            told.append(
                " ".join([kind, *[f"({each})" for each in [", ".join(numbers)] if each]])
            )
        elif name not in swept:
            told.append(f"{name} = {_plain(value)}")
    return ", ".join(told)


def _plain(value: Any) -> str:
    """A number or a list of plain JSON."""
    value = from_json(value)
    if isinstance(value, list):
        shown = ", ".join(_plain(x) for x in value[:4])
        return f"[{shown}{', ...' if len(value) > 4 else ''}]"
    return text(value) if isinstance(value, int | float) else str(value)


def axes_table(dataset: Any) -> Table:
    """The axes of a sweep's grid."""
    drawn = console.table("axis", "values", "", left=1)
    drawn.columns[-1].justify = "left"
    for name, x in axes(dataset).items():
        values = x.values
        told = ", ".join(map(text, values))
        if len(values) > LISTED:
            told = f"{text(values[0])} to {text(values[-1])}, {x.attrs['spacing']}"
        along = "" if name == x.dims[0] else f", along {x.dims[0]}"
        drawn.add_row(name, str(len(values)), told + along)
    return drawn


def whole_chunks(found: Any) -> dict[str, int]:
    """How many chunks of each part are computed and as they were written, of `sweeps.check`."""
    bad = {(each.part, each.index) for each in found.damaged}
    return {n: done - sum(part == n for part, _ in bad) for n, done in found.marked.items()}


def damage(found: Any) -> list[str]:
    """A line on each damaged chunk, of `sweeps.check`."""
    told = [
        f"damaged: chunk {'.'.join(map(str, each.index)) or '0'} of {each.variable} "
        f"({each.part}), {each.cause.rstrip('.')}"
        for each in found.damaged[:DAMAGED]
    ]
    left = len(found.damaged) - len(told)
    return told + [f"and {left} more"] * (left > 0)


def product(sizes: Mapping[str, int]) -> str:
    """A grid's dimensions: "psi_n 200 × psi_p 200"."""
    return " × ".join(f"{name} {size}" for name, size in sizes.items())


def size(count: float) -> str:
    """So many bytes."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def summary(dataset: Any) -> list[str]:
    """Lines of text on a grid: how much is solved, the least test loss, how networks agree."""
    status = dataset["status"]
    solved, grid = int((status == 0).sum()), dict(zip(status.dims, status.shape, strict=True))
    told = [f"{status.size} points, {product(grid)}: {solved} solved"]
    if (name := words.judge(dataset)) and (found := lowest(dataset, name)):
        told.append(f"least {LABELS[name]} {found[0]:.5g} at {found[1]}")
    if "simulated_test_loss" not in dataset:
        return told
    about = dataset.attrs
    told.append(
        f"networks of d = {about['d']}, {about['trials']} trials, against theory at the ratios "
        "they realise:"
    )
    for name in LABELS:
        if f"expected_{name}" in dataset:
            expected = dataset[f"expected_{name}"].values
            mean = dataset[f"simulated_{name}"].values.mean(axis=-1)
            gaps = 100 * np.abs(expected - mean) / np.maximum(expected, words.SMALL)
            if (gaps := gaps[np.isfinite(gaps)]).size:
                told.append(words.differs(name, gaps))
    return told
