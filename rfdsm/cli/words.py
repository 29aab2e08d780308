"""Labelled data sets of curves in words and tables."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from .._files import labelled as files
from ..analysis.records import description_of
from ..errors import LABELS, STATUSES
from ..model import RFDSM
from ..parameters.numbers import text
from ..parameters.plain import from_json
from ..sweeps.lines import lines_of
from . import console, options

ROWS = 12  # of a table, for a line
NOWHERE = "not solved anywhere"
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


def failures(dataset: Any) -> list[str]:
    """A line on the points of each theory that were not solved, or the densities."""
    told = []
    for name, variable in dataset.data_vars.items():
        if "flag_meanings" in variable.attrs:
            codes = variable.values
            if (failed := codes[codes > 0]).size:
                reasons = ", ".join(STATUSES[code] for code in np.unique(failed))
                told.append(
                    f"{failed.size} of {codes.size} points were not solved ({reasons}): gaps."
                )
            if never := np.count_nonzero(codes < 0):
                told.append(f"{never} of {codes.size} points are not computed yet: gaps.")
        elif name == "density" and (gaps := int(variable.isnull().sum())):
            told.append(f"{gaps} of {variable.size} densities were not solved: gaps.")
    return told


def keep(
    dataset: Any,
    figure: Callable[[Any], Any] | None = None,
    out_file: Path | None = None,
    data_file: Path | None = None,
) -> None:
    """Warn of gaps, and write the files that were asked for, the figure last.

    Args:
        figure: as `console.save_figure` takes it.
    """
    for message in failures(dataset):
        console.show_warning(message)
    if data_file:
        files.save(dataset, data_file)
    if out_file:
        console.save_figure(figure, out_file)


def answer(
    solve: Callable[..., Any],
    model: RFDSM,
    over: Any,
    lines: Mapping[str, Any] | None,
    asked: Mapping[str, Any],
    networks: options.Networks,
    summary: Callable[[Any], list[str]],
) -> None:
    """What `curve` and `train` do with their model.

    Args:
        solve: of `sweeps`. model, over, lines: as it takes them.
        asked: by `options.of_curves`, networks by `networks`.
        summary: lines of text on the data set.
    """
    shown, seed = options.error_names(asked["errors"]), asked["seed"]
    simulate = networks.read(asked["simulate"])
    axis = over if isinstance(over, Mapping) else {"tau": over}
    lines_of(model, axis, lines, simulate, seed)
    files = asked["out_file"], asked["data_file"]
    console.require_writable(*files)
    with console.stages(solve.__name__) as report:
        found = solve(model, over, lines, simulate=simulate, seed=seed, report=report)
    console.out.print(errors_table(found, shown))
    print("\n".join(["", *summary(found), *agreement(found, shown)]))
    keep(found, lambda draw: draw.curve_figure(found, shown, log_y=asked["log_y"]), *files)


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
            cells += [value(line, name, i) for name in columns.values()]
            drawn.add_row(*cells)
    return drawn


def value(line: Any, name: str, i: int) -> str:
    """An error at a point of a line, with its error bar where it has one."""
    error = float(line[name].values[i])
    if f"{name}_error_bar" not in line:
        return f"{error:.5g}"
    return with_bar(error, float(line[f"{name}_error_bar"].values[i]))


def with_bar(error: float, bar: float) -> str:
    """An error to two digits of its error bar."""
    if not bar > 0:
        return f"{error:.5g}"
    digits = min(max(1 - math.floor(math.log10(bar)), 0), 12)
    return f"{error:.{digits}f} ± {bar:.2g}"


def least(line: Any, name: str) -> tuple[float, str] | None:
    """The least of an error on a line and where it is; None where nothing was solved."""
    along = line.attrs["axis"]
    values = np.where(line["status"].values == 0, line[name].values, np.inf)
    i = int(np.argmin(values))
    if not np.isfinite(values[i]):
        return None
    end = ", an end of the grid" if i in (0, len(values) - 1) else ""
    return float(values[i]), f"{along} = {line[along].values[i]:.4g}{end}"


def differs(name: str, gaps: np.ndarray) -> str:
    """How far theory and networks are apart in an error, in percent."""
    return (
        f"  {LABELS[name]} differs by {np.median(gaps):.2g} % in the median, "
        f"{np.max(gaps):.2g} % at most"
    )


def judge(dataset: Any) -> str | None:
    """The error by which points compare; None where there is none.

    The test loss, which however is in the units of each target: along a number of the target
    it is the score error, which data points do not know.
    """
    along = [x.attrs.get("number", "") for x in dataset.coords.values() if x.ndim]
    if not any(name.startswith("target.") for name in along):
        return "test_loss"
    return "score_error" if "score_error" in dataset else None


def least_losses(dataset: Any) -> list[str]:
    """A line of text on each line's least test loss, or by what else its points compare."""
    told = []
    for label, line in lines(dataset):
        if (name := judge(line)) is None:
            told.append(labelled(label, "losses are in each target's own units"))
            continue
        found = least(line, name)
        words = NOWHERE
        if found:
            i = int(np.flatnonzero(line[name].values == found[0])[0])
            words = f"least {LABELS[name]} {value(line, name, i)} at {found[1]}"
        told.append(labelled(label, words))
    return told


def deviation(part: Any, name: str, theory: str = "theory") -> np.ndarray:
    """Theory minus networks of one error in percent, relative to the larger of it and 0.1."""
    exact = part[f"{name}_{theory}"].values
    return 100 * (exact - part[f"{name}_mean"].values) / np.maximum(exact, SMALL)


def agreement(dataset: Any, names: Sequence[str]) -> list[str]:
    """Lines of text: how networks and theory differ; none where there are no networks."""
    if "trials" not in dataset.attrs:
        return []
    told = [
        f"networks of d = {dataset.attrs['d']}, {dataset.attrs['trials']} trials, against "
        "theory at the ratios they realise:",
        *_rounding(dataset),
    ]
    for name in names:
        gaps = np.abs(deviation(dataset, name))
        gaps = gaps[np.isfinite(gaps)]
        if gaps.size:
            told.append(differs(name, gaps))
    return told


def _rounding(dataset: Any) -> list[str]:
    """A line for each ratio that d cannot realise: the markers are at another one."""
    told, model, about = [], description_of(dataset), dataset.attrs
    for name in (each for each in model if f"simulated_{each}" in about):
        asked = [("", from_json(model[name]))]
        if name == about.get("lines"):
            asked = [(label, float(line[name])) for label, line in lines(dataset)]
        realised = np.broadcast_to(about[f"simulated_{name}"], len(asked))
        for (label, x), y in zip(asked, realised, strict=True):
            if not math.isclose(x, y, rel_tol=1e-3):
                words = f"{name} is {y:.4g} in them, and {x:.4g} in the lines"
                told.append(f"  {labelled(label, words)}")
    return told
