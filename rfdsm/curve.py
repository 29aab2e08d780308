"""`rfdsm curve`: the errors over one parameter, from theory and, at some points, simulation."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table

from . import family, plotting
from .errors import Errors, NotConverged
from .family import STATUSES, Family, Grid, Simulation, range_of
from .model import RFDSM
from .moments import Moments

PARAMETERS = ("psi_n", "psi_p", "m", "t", "lam")
NAMES = ("test_loss", "train_loss", "memorization_loss")


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
        return self.family().labels()

    def family(self) -> Family:
        """The theory alone, for tables and files."""
        return Family(self.grid, "m", self.m, self.errors, self.status)


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
    status = family.codes(solution.status)
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
            key = family.key_of(seed, d, float(model.m), value)
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
    colours = plotting.colours(len(swept.labels()))
    handles = family.draw(axes, swept.family(), colours, simulation)
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
    handles = [*handles, *family.draw_linear(axes, swept.grid.x, swept.linear)]
    handles += _draw_interpolation(swept, axes, colours)
    family.finish(drawn, axes, swept.family(), handles, log_y=log_y)


def table(
    swept: Sweep,
    names: Sequence[str] = NAMES,
    beside: Mapping[str, np.ndarray] | None = None,
) -> Table:
    """The chosen errors of every line at some points; `beside` as of `family.table`."""
    return family.table(swept.family(), names, beside=beside)


def summary(
    swept: Sweep, simulation: Simulation | None = None, names: Sequence[str] = NAMES
) -> list[str]:
    """Lines of text: each line's least test loss, and how networks and theory differ."""
    lines, theory = [], swept.family()
    for line, label in enumerate(swept.labels()):
        match theory.least(line):
            case None:
                lines.append(f"{label}: not solved anywhere")
            case value, where:
                least = f"least test loss {value:.5g} at {where}"
                lines.append(f"{label}: {least}" if label else least)
    if simulation is not None:
        realised = _realised(swept, simulation.d)
        asked = {name: float(getattr(swept.model, name)) for name in realised}
        lines += family.agreement(simulation, names, family.rounding(asked, realised))
    return lines


def dataset(swept: Sweep, simulation: Simulation | None = None) -> Any:
    """The whole result as the `xarray.Dataset` of `family.dataset`."""
    title = f"random-features denoising score matching over {swept.grid.parameter}"
    result = family.dataset(swept.family(), swept.model, title, simulation)
    result.attrs["model_is"] = "the model at the first point of the grid (and the first m)"
    if simulation is not None:
        for name, ratio in _realised(swept, simulation.d).items():
            result.attrs[f"simulated_{name}"] = ratio
    return result


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


def _realised(swept: Sweep, d: int) -> dict[str, float]:
    """The ratios that are not swept, as networks of dimension d have them."""
    varied = {"n": "psi_n"}.get(swept.grid.parameter, swept.grid.parameter)
    fixed = [name for name in ("psi_n", "psi_p") if name != varied]
    return {name: round(float(getattr(swept.model, name)) * d) / d for name in fixed}


def _draw_interpolation(swept: Sweep, axes: dict[str, Axes], colours: list) -> list[Line2D]:
    """Where the network can interpolate; handles for a legend."""
    dotted = {"linewidth": 0.8, "linestyle": ":"}
    seen = [
        (x, colour)
        for x, colour in zip(_interpolation(swept), colours, strict=True)
        if swept.grid.x[0] <= x <= swept.grid.x[-1]
    ]
    for x, colour in seen:
        for ax in axes.values():
            ax.axvline(x, color=colour, zorder=0, **dotted)
    return [Line2D([], [], color="0.3", **dotted, label="$p = nm$")] if seen else []


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
