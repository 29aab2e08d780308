"""Families of curves: errors over one parameter, a line for each value of another.

What the commands `curve`, `predict` and `train` draw, say and write of them.
"""

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table

from . import plotting
from .comparison import relative_gap
from .data import Gaussian, Samples
from .errors import FIELDS, Errors, Status
from .model import RFDSM

STATUSES = (
    "success",
    "invalid_input",
    "other_moments",
    "constants_out_of_range",
    "unstable_rate",
    "outlier",
    "filter_not_resolved",
    "not_converged",
    "not_finite",
)
MOST_POINTS = 1_000_000
LARGEST = 1e200  # beyond it a figure's logarithmic axis overflows
TABLE_ROWS = 12
LINEAR_COMPARES_WITH = ("test_loss", "memorization_loss")  # losses on noise that is fresh


class Grid(NamedTuple):
    """The values x, shape (points,), increasing, of the parameter that is swept."""

    parameter: str
    x: np.ndarray
    log: bool


class Family(NamedTuple):
    """Theory on lines over a grid; arrays have the shape (lines, points).

    Attributes:
        grid: the values of the parameter that runs along the lines.
        name: of the parameter in which the lines differ, such as "m".
        values: of that parameter, one for each line; empty: one line, of the model itself.
        errors: the six errors, NaN where the solve failed.
        status: how each solve ended, an index into `STATUSES`.
    """

    grid: Grid
    name: str
    values: tuple[float, ...]
    errors: Errors
    status: np.ndarray

    def labels(self) -> list[str]:
        """A name for each line."""
        return [f"{self.name} = {text(value)}" for value in self.values] or [""]

    def least(self, line: int, name: str = "test_loss") -> tuple[float, str] | None:
        """The least of an error and where it is, in words; None where nothing was solved."""
        errors = getattr(self.errors, name)[line]
        values = np.where(self.status[line] == 0, errors, np.inf)
        i = int(np.argmin(values))
        if not np.isfinite(values[i]):
            return None
        end = ", an end of the grid" if i in (0, len(values) - 1) else ""
        return float(values[i]), f"{self.grid.parameter} = {self.grid.x[i]:.4g}{end}"


class Simulation(NamedTuple):
    """Means and standard errors over trials, and theory at the realised ratios.

    Attributes:
        x: the realised values of the swept parameter, shape (markers,).
        means, bars, theory: shape (lines, markers).
    """

    d: int
    trials: int
    seed: int
    x: np.ndarray
    means: Errors
    bars: Errors
    theory: Errors


def range_of(parameter: str, numbers: str, *, log: bool = True) -> Grid:
    """The grid of a parameter over "start:stop:count".

    Raises:
        ValueError: numbers that give no grid.
    """
    try:
        start, stop, count = numbers.split(":")
        ends, points = (float(start), float(stop)), int(count)
    except ValueError:
        raise ValueError(
            f"{parameter} takes start:stop:count, as in {parameter}=0.1:100:200, "
            f"got {numbers!r}."
        ) from None
    if not 2 <= points <= MOST_POINTS:
        raise ValueError(f"the grid's count must lie in 2 to {MOST_POINTS}, got {points}.")
    if not (np.all(np.isfinite(ends)) and ends[0] < ends[1]):
        raise ValueError(f"the grid must run from a number to a larger one, got {numbers!r}.")
    if max(map(abs, ends)) > LARGEST or (log and 0 < ends[0] < 1 / LARGEST):
        raise ValueError(f"the grid's ends must be of moderate size, got {numbers!r}.")
    if log and ends[0] <= 0:
        raise ValueError(
            f"a logarithmic grid starts above 0, got {start}: start higher or, where the "
            "command has it, take --linear."
        )
    return Grid(parameter, (np.geomspace if log else np.linspace)(*ends, points), log)


def codes(status: Any) -> np.ndarray:
    """Statuses as indices into `STATUSES`."""
    return sum(
        code * np.asarray(status == getattr(Status, name)) for code, name in enumerate(STATUSES)
    )


def failures(status: np.ndarray) -> str | None:
    """One line on the points that were not solved; None where all were."""
    failed = status[status != 0]
    if not failed.size:
        return None
    reasons = ", ".join(STATUSES[code] for code in np.unique(failed))
    return f"{failed.size} of {status.size} points were not solved ({reasons}): gaps."


def key_of(seed: int, d: int, *numbers: float):
    """A key that depends on the seed, d and the numbers only."""
    marker = zlib.crc32(np.asarray(numbers, "<f8").tobytes())
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), d), marker)


def line_of(errors: Errors, line: int) -> Errors:
    """One line of arrays of shape (lines, points)."""
    return jax.tree.map(lambda values: values[line], errors)


def text(value: float) -> str:
    """A number such as m in words, ∞ included."""
    return "∞" if math.isinf(value) else f"{value:g}"


def draw(
    axes: dict[str, Axes], family: Family, colours: list, simulation: Simulation | None = None
) -> list[Line2D]:
    """Lines, and markers with one standard error where simulated; handles for a legend."""
    handles = []
    for line, colour in enumerate(colours):
        plotting.draw_theory(axes, family.grid.x, line_of(family.errors, line), color=colour)
        if family.values:
            symbol = plotting.SYMBOLS[family.name]
            label = f"${symbol} = {plotting.tex(family.values[line])}$"
            handles.append(Line2D([], [], color=colour, label=label))
        if simulation is not None:
            means, bars = line_of(simulation.means, line), line_of(simulation.bars, line)
            plotting.draw_runs(axes, simulation.x, means, bars, color=colour)
    if simulation is not None:
        dots = {"color": "0.3", "marker": "o", "markersize": 3.5, "linestyle": "none"}
        handles.append(Line2D([], [], **dots, label=f"networks, $d = {simulation.d}$"))
    return handles


def draw_linear(axes: dict[str, Axes], x: np.ndarray, linear: np.ndarray) -> list[Line2D]:
    """The loss of the best linear score, where it compares; handles for a legend."""
    compared = [axes[name] for name in LINEAR_COMPARES_WITH if name in axes]
    broken = {"color": "0.5", "linewidth": 0.8, "linestyle": "-."}
    for ax in compared:
        ax.plot(x, linear, **broken)
    return [Line2D([], [], **broken, label="best linear score")] if compared else []


def finish(
    drawn: Figure, axes: dict[str, Axes], family: Family, handles: list, *, log_y: bool
) -> None:
    """The ends of the axes, and a legend of `handles` beside them."""
    for name, ax in axes.items():
        plotting.set_ordinate(ax, getattr(family.errors, name), log=log_y)
        ax.set_xlim(_around(family.grid))
        plotting.plain_ticks(ax.xaxis)
    if handles:
        with plotting.style():
            drawn.legend(handles=handles, loc="outside right center")


def table(
    family: Family,
    names: Sequence[str],
    rows: int = TABLE_ROWS,
    beside: Mapping[str, np.ndarray] | None = None,
) -> Table:
    """The chosen errors of every line, at some of the grid's points.

    Args:
        family: the theory.
        names: of its errors.
        rows: at most, for a line.
        beside: further columns by their titles, of shape (lines, points).
    """
    columns = {plotting.LABELS[name]: getattr(family.errors, name) for name in names}
    columns |= beside or {}
    drawn = Table(box=None, pad_edge=False)
    for title in ([family.name] if family.values else []) + [family.grid.parameter]:
        drawn.add_column(title, justify="right")
    for title in columns:
        drawn.add_column(title, justify="right")
    points = len(family.grid.x)
    chosen = np.unique(np.round(np.linspace(0, points - 1, min(rows, points))).astype(int))
    for line in range(len(family.labels())):
        if line:
            drawn.add_row()
        for i in chosen:
            cells = [text(family.values[line])] if family.values else []
            cells.append(f"{family.grid.x[i]:.4g}")
            cells += [f"{values[line, i]:.5g}" for values in columns.values()]
            drawn.add_row(*cells)
    return drawn


def rounding(asked: Mapping[str, float], realised: Mapping[str, float]) -> list[str]:
    """A line for each ratio that d cannot realise: the markers are at another one."""
    return [
        f"  {name} is {realised[name]:.4g} in them, and {value:.4g} in the lines"
        for name, value in asked.items()
        if not math.isclose(value, realised[name], rel_tol=1e-3)
    ]


def agreement(
    simulation: Simulation, names: Sequence[str], rounded: Sequence[str] = ()
) -> list[str]:
    """Lines of text: how networks and theory differ; `rounded` of `rounding`."""
    lines = [
        f"networks of d = {simulation.d}, {simulation.trials} trials, against theory at "
        "the ratios they realise:",
        *rounded,
    ]
    for name in names:
        gaps = 100 * relative_gap(simulation.means, simulation.theory, name)
        gaps = gaps[np.isfinite(gaps)]
        if gaps.size:
            lines.append(
                f"  {plotting.LABELS[name]} differs by {np.median(gaps):.2g} % in the "
                f"median, {np.max(gaps):.2g} % at most"
            )
    return lines


def dataset(
    family: Family, model: RFDSM, title: str, simulation: Simulation | None = None
) -> Any:
    """The whole result as an `xarray.Dataset`, of dimensions (lines' parameter, parameter).

    The simulated means, standard errors and the theory at the realised ratios are named
    `test_loss_mean`, `test_loss_standard_error`, `test_loss_theory` and so on, on the
    coordinate `simulated_psi_p` (or whichever parameter runs along the lines).
    """
    import xarray as xr

    parameter = family.grid.parameter
    leading = (family.name,) if family.values else ()

    def variable(values: np.ndarray, along: str, **attributes: Any):
        values = values if family.values else values[0]
        return xr.Variable((*leading, along), values, attributes)

    coordinates: dict[str, Any] = {parameter: family.grid.x}
    if family.values:
        coordinates[family.name] = np.asarray(family.values)
    variables = {
        "status": variable(
            family.status.astype(np.int32),
            parameter,
            kind="theory",
            flag_values=np.arange(len(STATUSES), dtype=np.int32),
            flag_meanings=" ".join(STATUSES),
        )
    }
    for name in FIELDS:
        label = plotting.LABELS[name]
        values = getattr(family.errors, name)
        variables[name] = variable(values, parameter, kind="theory", long_name=label)
    attributes = about(model, title)
    if simulation is not None:
        along = f"simulated_{parameter}"
        coordinates[along] = (along, simulation.x, {"column": parameter})
        for name in FIELDS:
            for suffix, errors, column in (
                ("mean", simulation.means, name),
                ("standard_error", simulation.bars, f"{name}_standard_error"),
                ("theory", simulation.theory, f"{name}_theory"),
            ):
                variables[f"{name}_{suffix}"] = variable(
                    getattr(errors, name), along, kind="simulation", column=column
                )
        attributes |= about_runs(simulation.d, simulation.trials, simulation.seed)
    return xr.Dataset(variables, coordinates, attributes)


def about(model: RFDSM, title: str) -> dict[str, str]:
    """Attributes of a Dataset: the model in JSON and what computed it."""
    return {
        "title": title,
        "model": json.dumps(description(model)),
        "rfdsm": metadata.version("rfdsm"),
        "jax": jax.__version__,
    }


def about_runs(d: int, trials: int, seed: int) -> dict[str, Any]:
    """Attributes of a Dataset with simulated networks."""
    # netCDF 3 has integers of 32 bits only.
    return {"d": d, "trials": trials, "seed": seed if abs(seed) < 2**31 else str(seed)}


def description(model: RFDSM) -> dict[str, Any]:
    """The model as plain JSON; of data points, which have no place in it, their number."""
    if not isinstance(model.data, Samples):
        return model.to_dict()
    points, d = model.data.X.shape
    data = {"kind": "Samples", "points": points, "d": d}
    return model.replace(data=Gaussian()).to_dict() | {"data": data}


def _around(grid: Grid) -> tuple[float, float]:
    """The grid's ends with a little room, for the axis."""
    low, high = grid.x[0], grid.x[-1]
    if grid.log:
        room = (high / low) ** 0.02
        return low / room, high * room
    room = 0.02 * (high - low)
    return low - room, high + room
