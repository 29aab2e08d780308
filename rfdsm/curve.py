"""`rfdsm curve`: the errors over one parameter, from theory and, at some points, simulation."""

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table

from . import plotting
from .comparison import relative_gap
from .data import Gaussian, Samples
from .errors import FIELDS, Errors, NotConverged, Status
from .model import RFDSM
from .moments import Moments

PARAMETERS = ("psi_n", "psi_p", "m", "t", "lam")
NAMES = ("test_loss", "train_loss", "memorization_loss")
STATUSES = (
    "success",
    "invalid_input",
    "other_moments",
    "constants_out_of_range",
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


class Sweep(NamedTuple):
    """Theory over a grid, a line for each m; arrays have the shape (lines, points).

    Attributes:
        model: the model at the first m and the grid's first point.
        m: the lines' multiplicities; empty where m itself is swept (one line).
        errors: the six errors, NaN where the solve failed.
        status: how each solve ended, an index into `STATUSES`.
        linear: the loss of the best linear score, shape (points,).
        moments: measured ones, where the theory is theirs; of several draws of W the errors
            are the mean, and `spread` is the standard deviation.
    """

    model: RFDSM
    grid: Grid
    m: tuple[float, ...]
    errors: Errors
    status: np.ndarray
    linear: np.ndarray
    moments: Moments | None = None
    spread: Errors | None = None

    def at(self, line: int, x: float) -> RFDSM:
        """The model of a line at the swept parameter's value x."""
        return _at(self.model, self.grid.parameter, self.m[line] if self.m else x, x)

    def labels(self) -> list[str]:
        """A name for each line."""
        return [f"m = {text(m)}" for m in self.m] or [""]


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


def parse(text: str, *, log: bool = True) -> Grid:
    """The grid of "psi_p=0.1:100:200"; the name's underscore may be a dash.

    Raises:
        ValueError: an unknown parameter, or numbers that give no grid.
    """
    name, _, numbers = text.partition("=")
    parameter = name.strip().replace("-", "_")
    if parameter not in PARAMETERS:
        raise ValueError(
            f"{name!r} cannot be swept: the parameters are {', '.join(PARAMETERS)}, "
            "as in psi_p=0.1:100:200."
        )
    return range_of(parameter, numbers, log=log)


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


def markers(grid: Grid, d: int, points: int, m: Sequence[float] = ()) -> np.ndarray:
    """Where to simulate: spread evenly over the grid, at values that d can realise.

    Ratios are multiples of 1/d and m is an integer, so close points may fall together.

    Raises:
        ValueError: d or points is not positive, d is too small for the grid, or one of the
            lines' m is neither an integer nor infinite.
    """
    for value in m:
        if math.isfinite(value) and value != round(value):
            raise ValueError(f"a simulation needs an integer m, or infinity, got {value:g}.")
    if d < 1 or not 1 <= points <= len(grid.x):
        raise ValueError(
            f"--simulate takes d of at least 1 and points from 1 to the grid's "
            f"{len(grid.x)}, got d = {d}, points = {points}."
        )
    # The middles of equal parts: the far end, the dearest to simulate, adds the least.
    middles = (np.arange(points) + 0.5) / points * (len(grid.x) - 1)
    x = grid.x[np.round(middles).astype(int)]
    if grid.parameter in ("m", "n"):
        low, high = math.ceil(grid.x[0]), math.floor(grid.x[-1])
        if low > high:
            raise ValueError(
                f"no integer {grid.parameter} lies in {grid.x[0]:g} to {grid.x[-1]:g}."
            )
        x = np.clip(np.round(x), low, high)
    elif grid.parameter in ("psi_n", "psi_p"):
        realised = np.round(x * d) / d
        if realised[0] == 0:
            letter = grid.parameter[-1]
            raise ValueError(
                f"{grid.parameter} = {x[0]:g} at d = {d} leaves no {letter}: take a larger d."
            )
        x = realised
    return np.unique(x)


def sweep(
    model: RFDSM, grid: Grid, m: Sequence[float] = (), moments: Moments | None = None
) -> Sweep:
    """Solve the theory on the whole grid, for every m, in one compiled call.

    Args:
        model: its swept parameter and its m are replaced.
        grid: of `parse`.
        m: one line each; left out where m is swept.
        moments: measured ones to solve with; the Gaussian theory of the data without.

    Raises:
        ValueError: a number outside of its domain, or an m given twice.
        NotConverged: not one point was solved.
    """
    lines = _lines(grid, m)
    for value in lines or (float(model.m),):
        for end in (grid.x[-1], grid.x[0]):  # concrete numbers, whose errors are one line
            first = _at(model, grid.parameter, value, end)
    if lines:
        first = first.replace(m=lines[0])

    def solve(m, x, moments):
        at = _at(model, grid.parameter, m, x)
        return at.solve(moments=moments), at.baselines().linear

    def over(function, values):
        # Measured moments take memory of p² for each point: one point at a time.
        return jax.vmap(function)(values) if moments is None else jax.lax.map(function, values)

    @jax.jit
    def over_lines(m, x, moments):
        return over(lambda m: over(lambda x: solve(m, x, moments), x), m)

    solution, linear = over_lines(jnp.asarray(lines or (1.0,)), jnp.asarray(grid.x), moments)
    status = sum(
        code * np.asarray(solution.status == getattr(Status, name))
        for code, name in enumerate(STATUSES)
    )
    errors, spread = jax.tree.map(np.asarray, solution.errors), None
    if moments is not None and moments.draws is not None:
        status = status.max(axis=-1)
        spread = jax.tree.map(lambda x: np.std(x, axis=-1), errors)
        errors = jax.tree.map(lambda x: np.mean(x, axis=-1), errors)
    if not np.any(status == 0):
        raise NotConverged(
            f"no point of the curve was solved ({STATUSES[int(status.flat[0])]}): check "
            "the range and the other parameters."
        )
    return Sweep(first, grid, lines, errors, status, np.asarray(linear[0]), moments, spread)


def failures(swept: Sweep) -> str | None:
    """One line on the points that were not solved; None where all were."""
    failed = swept.status[swept.status != 0]
    if not failed.size:
        return None
    reasons = ", ".join(STATUSES[code] for code in np.unique(failed))
    return f"{failed.size} of {swept.status.size} points were not solved ({reasons}): gaps."


def simulate(
    swept: Sweep,
    x: np.ndarray,
    d: int,
    trials: int,
    seed: int = 0,
    advance: Callable[[str], None] = lambda step: None,
) -> Simulation:
    """Train networks at the values x of the swept parameter, on every line.

    A marker's random numbers depend on the seed, d and its own m and x only: it is the same
    whatever stands beside it.

    Args:
        swept: the theory to compare with.
        x: values that d can realise, from `markers`.
        d, trials, seed: as `RFDSM.simulate` takes them.
        advance: called with the name of each finished marker.
    """
    means, bars, theory = [], [], []
    for line, label in enumerate(swept.labels()):
        for value in x:
            model = swept.at(line, value)
            key = _key(seed, d, float(model.m), value)
            runs = model.simulate(key, d, trials)
            means.append(runs.mean())
            bars.append(runs.standard_error())
            solution = model.at(runs.sizes).solve(moments=swept.moments)
            theory.append(jax.tree.map(jnp.mean, solution.errors))  # over draws of W
            where = f"{swept.grid.parameter} = {value:.4g}"
            advance(f"{label}, {where}" if label else where)
    shape = (len(swept.labels()), len(x))

    def stack(errors: list[Errors]) -> Errors:
        return jax.tree.map(lambda *values: np.reshape(values, shape), *errors)

    return Simulation(d, trials, seed, x, *map(stack, (means, bars, theory)))


def figure(
    swept: Sweep,
    simulation: Simulation | None = None,
    names: Sequence[str] = NAMES,
    *,
    log_y: bool = False,
) -> Figure:
    """A panel per error: a line per m, markers with one standard error where simulated."""
    grid = swept.grid
    title = plotting.describe(swept.model, without=(grid.parameter, "m"))
    drawn, axes = plotting.panels(
        names,
        title if len(names) > 1 else title.replace(", $", ",\n$", 1),
        parameter=grid.parameter,
        xscale="log" if grid.log else "linear",
        margin=1.4,
    )
    handles = []
    colours = plotting.colours(len(swept.labels()))
    for line, colour in enumerate(colours):
        plotting.draw_theory(axes, grid.x, line_of(swept.errors, line), color=colour)
        if swept.m:
            name = f"$m = {plotting.tex(swept.m[line])}$"
            handles.append(Line2D([], [], color=colour, label=name))
        if simulation is not None:
            means, bars = line_of(simulation.means, line), line_of(simulation.bars, line)
            plotting.draw_runs(axes, simulation.x, means, bars, color=colour)
    if simulation is not None:
        dots = {"color": "0.3", "marker": "o", "markersize": 3.5, "linestyle": "none"}
        handles.append(Line2D([], [], **dots, label=f"networks, $d = {simulation.d}$"))
    finish(drawn, axes, swept, colours, handles, log_y=log_y)
    return drawn


def finish(
    drawn: Figure,
    axes: dict[str, Axes],
    swept: Sweep,
    colours: list,
    handles: list,
    *,
    log_y: bool,
) -> None:
    """Guide lines, ends of the axes and a legend of `handles` beside them."""
    handles = [*handles, *_guides(swept, axes, colours)]
    for name, ax in axes.items():
        plotting.set_ordinate(ax, getattr(swept.errors, name), log=log_y)
        ax.set_xlim(_around(swept.grid))
        plotting.plain_ticks(ax.xaxis)
    if handles:
        with plotting.style():
            drawn.legend(handles=handles, loc="outside right center")


def table(
    swept: Sweep,
    names: Sequence[str] = NAMES,
    rows: int = TABLE_ROWS,
    beside: Mapping[str, np.ndarray] | None = None,
) -> Table:
    """The chosen errors of every line, at some of the grid's points.

    Args:
        swept: the theory.
        names: of its errors.
        rows: at most, for a line.
        beside: further columns by their titles, of shape (lines, points).
    """
    columns = {plotting.LABELS[name]: getattr(swept.errors, name) for name in names}
    columns |= beside or {}
    drawn = Table(box=None, pad_edge=False)
    for title in (["m"] if swept.m else []) + [swept.grid.parameter]:
        drawn.add_column(title, justify="right")
    for title in columns:
        drawn.add_column(title, justify="right")
    points = len(swept.grid.x)
    chosen = np.unique(np.round(np.linspace(0, points - 1, min(rows, points))).astype(int))
    for line in range(len(swept.labels())):
        if line:
            drawn.add_row()
        for i in chosen:
            cells = [text(swept.m[line])] if swept.m else []
            cells.append(f"{swept.grid.x[i]:.4g}")
            cells += [f"{values[line, i]:.5g}" for values in columns.values()]
            drawn.add_row(*cells)
    return drawn


def summary(
    swept: Sweep, simulation: Simulation | None = None, names: Sequence[str] = NAMES
) -> list[str]:
    """Lines of text: each line's least test loss, and how networks and theory differ."""
    lines = []
    for line, label in enumerate(swept.labels()):
        test = np.where(swept.status[line] == 0, swept.errors.test_loss[line], np.inf)
        i = int(np.argmin(test))
        if not np.isfinite(test[i]):
            lines.append(f"{label}: not solved anywhere")
            continue
        where = f"{swept.grid.parameter} = {swept.grid.x[i]:.4g}"
        end = ", an end of the grid" if i in (0, len(test) - 1) else ""
        least = f"least test loss {test[i]:.5g} at {where}{end}"
        lines.append(f"{label}: {least}" if label else least)
    if simulation is not None:
        lines.append(
            f"networks of d = {simulation.d}, {simulation.trials} trials, against theory at "
            "the ratios they realise:"
        )
        lines += _rounding(swept, simulation.d)
        for name in names:
            gaps = 100 * relative_gap(simulation.means, simulation.theory, name)
            gaps = gaps[np.isfinite(gaps)]
            if gaps.size:
                lines.append(
                    f"  {plotting.LABELS[name]} differs by {np.median(gaps):.2g} % in the "
                    f"median, {np.max(gaps):.2g} % at most"
                )
    return lines


def dataset(swept: Sweep, simulation: Simulation | None = None) -> Any:
    """The whole result as an `xarray.Dataset` with the dimensions m and the parameter.

    The simulated means, standard errors and the theory at the realised ratios are named
    `test_loss_mean`, `test_loss_standard_error`, `test_loss_theory` and so on, on the
    coordinate `simulated_psi_p` (or whichever parameter is swept).
    """
    import xarray as xr

    parameter = swept.grid.parameter
    leading = ("m",) if swept.m else ()

    def variable(values: np.ndarray, along: str, **attributes: Any):
        values = values if swept.m else values[0]
        return xr.Variable((*leading, along), values, attributes)

    coordinates: dict[str, Any] = {parameter: swept.grid.x}
    if swept.m:
        coordinates["m"] = np.asarray(swept.m)
    variables = {
        "status": variable(
            swept.status.astype(np.int32),
            parameter,
            kind="theory",
            flag_values=np.arange(len(STATUSES), dtype=np.int32),
            flag_meanings=" ".join(STATUSES),
        )
    }
    for name in FIELDS:
        label = plotting.LABELS[name]
        values = getattr(swept.errors, name)
        variables[name] = variable(values, parameter, kind="theory", long_name=label)
    attributes = {
        "title": f"random-features denoising score matching over {parameter}",
        "model": json.dumps(_describe(swept.model)),
        "model_is": "the model at the first point of the grid (and the first m)",
        "rfdsm": metadata.version("rfdsm"),
        "jax": jax.__version__,
    }
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
        seed = simulation.seed  # netCDF 3 has integers of 32 bits only
        seed = seed if abs(seed) < 2**31 else str(seed)
        attributes |= {"d": simulation.d, "trials": simulation.trials, "seed": seed}
        for name, ratio in _realised(swept, simulation.d).items():
            attributes[f"simulated_{name}"] = ratio
    return xr.Dataset(variables, coordinates, attributes)


def _describe(model: RFDSM) -> dict[str, Any]:
    """The model as plain JSON; of data points, which have no place in it, their number."""
    if not isinstance(model.data, Samples):
        return model.to_dict()
    points, d = model.data.X.shape
    data = {"kind": "Samples", "points": points, "d": d}
    return model.replace(data=Gaussian()).to_dict() | {"data": data}


def _at(model: RFDSM, parameter: str, m: Any, x: Any) -> RFDSM:
    """The model at one point; n counts the training points of data that has its own d."""
    if parameter == "n":
        parameter, x = "psi_n", x / model.data.dimension(None)
    return model.replace(**({"m": m} | {parameter: x}))


def _lines(grid: Grid, m: Sequence[float]) -> tuple[float, ...]:
    if grid.parameter == "m":
        if len(m):
            raise ValueError("m is swept: it takes no values of its own.")
        return ()
    lines = tuple(sorted(float(value) for value in m))
    if not lines:
        raise ValueError("a curve needs at least one m.")
    if len(set(lines)) < len(lines):
        raise ValueError("an m was given twice: one line per m.")
    return lines


def line_of(errors: Errors, line: int) -> Errors:
    """One line of arrays of shape (lines, points)."""
    return jax.tree.map(lambda values: values[line], errors)


def _rounding(swept: Sweep, d: int) -> list[str]:
    """A line for each fixed ratio that d cannot realise: the markers are at another one."""
    lines = []
    for name, realised in _realised(swept, d).items():
        asked = float(getattr(swept.model, name))
        if not math.isclose(asked, realised, rel_tol=1e-3):
            lines.append(f"  {name} is {realised:.4g} in them, and {asked:.4g} in the lines")
    return lines


def _realised(swept: Sweep, d: int) -> dict[str, float]:
    """The ratios that are not swept, as networks of dimension d have them."""
    varied = {"n": "psi_n"}.get(swept.grid.parameter, swept.grid.parameter)
    fixed = [name for name in ("psi_n", "psi_p") if name != varied]
    return {name: round(float(getattr(swept.model, name)) * d) / d for name in fixed}


def _key(seed: int, d: int, m: float, x: float):
    marker = zlib.crc32(np.asarray([m, x], "<f8").tobytes())
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), d), marker)


def _guides(swept: Sweep, axes: dict[str, Axes], colours: list) -> list[Line2D]:
    """The best linear score, and where the network can interpolate; handles for a legend."""
    handles = []
    compared = [axes[name] for name in LINEAR_COMPARES_WITH if name in axes]
    broken = {"color": "0.5", "linewidth": 0.8, "linestyle": "-."}
    for ax in compared:
        ax.plot(swept.grid.x, swept.linear, **broken)
    if compared:
        handles.append(Line2D([], [], **broken, label="best linear score"))
    dotted = {"linewidth": 0.8, "linestyle": ":"}
    seen = [
        (x, colour)
        for x, colour in zip(_interpolation(swept), colours, strict=True)
        if swept.grid.x[0] <= x <= swept.grid.x[-1]
    ]
    for x, colour in seen:
        for ax in axes.values():
            ax.axvline(x, color=colour, zorder=0, **dotted)
    if seen:
        handles.append(Line2D([], [], color="0.3", **dotted, label="$p = nm$"))
    return handles


def _interpolation(swept: Sweep) -> list[float]:
    """The grid's value of p = n m on every line; NaN where it does not depend on the grid."""
    psi_n, psi_p = float(swept.model.psi_n), float(swept.model.psi_p)
    if swept.grid.parameter == "m":
        return [psi_p / psi_n]
    if swept.grid.parameter == "n":
        psi_p = psi_p * swept.model.data.dimension(None)
    return [
        {"psi_p": psi_n * m, "psi_n": psi_p / m, "n": psi_p / m}.get(
            swept.grid.parameter, math.nan
        )
        for m in swept.m
    ]


def _around(grid: Grid) -> tuple[float, float]:
    """The grid's ends with a little room, for the axis."""
    low, high = grid.x[0], grid.x[-1]
    if grid.log:
        room = (high / low) ** 0.02
        return low / room, high * room
    room = 0.02 * (high - low)
    return low - room, high + room


def text(m: float) -> str:
    """A number of noises, ∞ included."""
    return "∞" if math.isinf(m) else f"{m:g}"
