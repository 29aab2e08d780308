"""Lines over an axis: the grid of one number or two, its theory, networks at some points."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import FIELDS, STATUSES, Errors, NotConverged
from ..ingredients.data import Samples
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..parameters.numbers import numbers
from ..progress import Report, silent
from .asymptotics import theory
from .axes import POINTS, Axis, axis, markers, realisable
from .grid import TIMES, Dim, Grid, checked
from .quantities import Quantity
from .simulation import Networks, networks
from .sweeping import computed

MARKERS = 6  # points of the axis with networks, unless told


class Lines(NamedTuple):
    """Models over an axis, a line for each value of another number, and networks on them.

    Attributes:
        grid: of dims (lines' number, axis); of the axis alone for one line without a number.
        networks: on a grid of the lines and some points of the axis; None: none are trained.
    """

    grid: Grid
    networks: Networks | None

    @property
    def along(self) -> Axis:
        """The axis."""
        return self.grid.axes[-1]

    @property
    def number(self) -> Axis | None:
        """The number in which the lines differ, its values ascending."""
        return self.grid.axes[0] if len(self.grid.dims) > 1 else None

    @property
    def models(self) -> list[RFDSM]:
        """One for each line, at the axis' first point."""
        *of_lines, _ = self.grid.whole()
        return list(self.grid.models((*of_lines, slice(0, 1))))

    @property
    def dims(self) -> tuple[str, ...]:
        """The dimension of the lines; none where there is one without a number."""
        return tuple(self.grid.sizes)[:-1]

    def shaped(self, values: Any) -> np.ndarray:
        """Values of shape (lines, ...), without the first axis where there are no lines."""
        return np.asarray(values) if self.dims else np.asarray(values)[0]


def lines_of(
    model: RFDSM,
    over: Mapping[str, Any],
    lines: Mapping[str, Any] | None,
    simulate: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Lines:
    """What a curve is asked for, see `curves.curve`; all that can be refused is refused here.

    Raises:
        ValueError: a number or value that is none, given twice or out of its domain; networks
            that d cannot realise.
        MemoryError: networks too large for this machine.
    """
    swept = along = axis(model, over)
    if along.full == TIMES:
        along = along._replace(name="tau")  # however it was called
    dims = (Dim(along.name, (along,)),)
    if lines:
        number = axis(model, lines)
        if number.full == along.full:
            raise ValueError(f"{swept.name} is swept: it takes no values of its own.")
        number = number._replace(x=np.sort(number.x))
        if len(np.unique(number.x)) < len(number.x):
            raise ValueError(f"a value of {number.name} was given twice: one line for each.")
        dims = Dim(number.name, (number,)), *dims
    grid = checked(Grid(model, dims))
    return Lines(grid, None if simulate is None else _networks(grid, dict(simulate), seed))


def _networks(grid: Grid, asked: dict[str, Any], seed: int) -> Networks:
    """The networks of {"d": 48, "trials": 8, "points": 6}, or with "at": values."""
    *of_lines, dim = grid.dims
    (along,), data = dim.axes, grid.model.data
    d = data.dimension(asked.get("d"))
    points, at = asked.pop("points", MARKERS), asked.pop("at", None)
    if at is not None:
        x = realisable(along, d, np.atleast_1d(np.asarray(at, float)))
    else:
        x = markers(along, d, points)
        if along.name == POINTS and isinstance(data, Samples):
            x = x[: max(1, np.count_nonzero(x < len(data.X)))]  # all leave none to test on
    there = dim._replace(axes=(along._replace(x=x),))
    return networks(grid._replace(dims=(*of_lines, there)), asked, seed=seed)


def best_linear(model: RFDSM) -> Any:
    """loss of the best linear score"""
    return model.baselines().linear


LINEAR = Quantity(best_linear.__name__, best_linear, {best_linear.__name__: ()}, traced=True)


def solved(
    lines: Lines,
    title: str,
    moments: Moments | None = None,
    *,
    kind: str = "theory",
    quantities: tuple[Quantity, ...] = (LINEAR,),
    engine: Any = None,
    report: Report = silent,
) -> Any:
    """Theory on the whole axis, as the data set of `sweep`, with the best linear score's loss.

    Args:
        lines: what is solved. title: of the data set.
        moments: measured ones to solve with; the Gaussian theory of the data without.
        kind: of theory, see `_files.labelled`.
        quantities: what is computed beside the errors.
        engine, report: as of `sweep`.

    Raises:
        NotConverged: not one point was solved.
    """
    along = lines.along
    chunk = None if moments is None else len(along.x)  # a dear line each
    part = theory(lines.grid, moments=moments, quantities=quantities, chunk=chunk)
    found = computed(lines.grid, [part], title, None, engine, report)
    status = found["status"].values
    if not np.any(status == 0):
        raise NotConverged(
            f"no value of {along.name} was solved ({STATUSES[status.flat[0]]}): "
            "check its range and the other numbers."
        )
    for variable in found.data_vars.values():
        variable.attrs["kind"] = kind
    flags = {"flag_values": [*range(len(STATUSES))], "flag_meanings": " ".join(STATUSES)}
    found["status"].attrs |= flags  # all are computed
    found.attrs |= {"axis": along.name} | ({"lines": lines.dims[0]} if lines.dims else {})
    found.attrs["model_is"] = "the model of the first line at the first point of the axis"
    return found


def with_networks(
    found: Any,
    lines: Lines,
    moments: Moments | None = None,
    *,
    gaussian: bool = False,
    engine: Any = None,
    report: Report = silent,
) -> Any:
    """The data set with networks' means and standard errors, and theory at their ratios.

    Named `test_loss_mean`, `test_loss_standard_error`, `test_loss_theory` and so on, over
    `simulated_psi_p` (or whatever is swept).

    Args:
        found: as of `solved`. lines: with networks, else nothing is done.
        moments: of the theory to compare with.
        gaussian: tell the Gaussian theory too, `test_loss_gaussian_theory`.
        engine, report: as of `sweep`.
    """
    if lines.networks is None:
        return found
    part = dataclasses.replace(lines.networks, moments=moments, gaussian=gaussian)
    runs = computed(part.grid, [part], "networks", None, engine, report)
    errors = Errors(**{name: runs[f"simulated_{name}"].values for name in FIELDS})
    mean, deviation = errors.mean(), errors.standard_error()
    own = f"realised_{lines.along.full}"
    there, variables = f"simulated_{lines.along.name}", {}
    for name in (name for name in part.expected if name in found):
        told = {
            f"{name}_mean": getattr(mean, name),
            f"{name}_standard_error": getattr(deviation, name),
            f"{name}_theory": runs[f"expected_{name}"],
        }
        if gaussian:
            told[f"{name}_gaussian_theory"] = runs[f"expected_gaussian_{name}"]
        for variable, values in told.items():
            about = {"kind": "simulation", "column": variable.removesuffix("_mean")}
            variables[variable] = (*lines.dims, there), np.asarray(values), about
    for name in (f"realised_{full}" for full in numbers(lines.grid.model)):
        if (ratio := runs.get(name, runs.attrs.get(name))) is not None and name != own:
            # One number where all lines have it: of netCDF's attributes a list is another.
            values = np.atleast_1d(ratio)
            same = np.ptp(values) == 0
            found.attrs[name.replace("realised", "simulated")] = values[0] if same else values
    found.attrs |= {name: runs.attrs[name] for name in ("d", "trials", "seed")}
    markers = {there: (there, part.grid.axes[-1].x, {"column": lines.along.name})}
    return found.assign(variables).assign_coords(markers)
