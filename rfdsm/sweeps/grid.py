"""A grid of models: numbers and their values, their product, or several that run together."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..model import RFDSM
from ..parameters.checks import positive_integer
from .axes import Axis, axis_of

Box = tuple[slice, ...]  # a part of a grid, a range of every dimension
TAKEN = ("trial", "status")  # names of a data set that no dimension can have
TIMES = "training.tau"
ZIPPED = "point"  # the dimension of zipped axes that were given no name


class Zipped(dict[str, Any]):
    """Numbers whose values run together, see `zipped`."""


def zipped(values: Mapping[str, Any] | None = None, /, **named: Any) -> Zipped:
    """Axes of a sweep whose values run together, along one dimension.

    Args:
        values, named: numbers and their values, equally many of each.

    Raises:
        ValueError: their lengths differ, or there are none.

    Example:
        >>> import rfdsm
        >>> budget = rfdsm.zipped(psi_n=[16.0, 4.0, 1.0], m=[1, 4, 16])
        >>> sorted(budget)
        ['m', 'psi_n']
    """
    found = Zipped(values or {}, **named)
    lengths = {name: np.shape(x)[0] if np.ndim(x) else 1 for name, x in found.items()}
    if not found:
        raise ValueError("zipped axes are numbers and their values, none were given.")
    if len({*lengths.values()}) > 1:
        told = ", ".join(f"{length} of {name}" for name, length in lengths.items())
        raise ValueError(f"zipped axes have equally many values, got {told}.")
    return found


class Dim(NamedTuple):
    """One dimension of a grid: a number's axis, or several that run together."""

    name: str
    axes: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.axes[0].x)


class Grid(NamedTuple):
    """Models that differ in some numbers, in the order of the dimensions, the last fastest.

    Attributes:
        model: whose other numbers are kept. dims: what is swept.
    """

    model: RFDSM
    dims: tuple[Dim, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """The number of values by dimension."""
        return {dim.name: dim.size for dim in self.dims}

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of values of each dimension."""
        return tuple(dim.size for dim in self.dims)

    @property
    def points(self) -> int:
        """How many models there are."""
        return math.prod(self.shape)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All axes, those that run together one after the other."""
        return tuple(axis for dim in self.dims for axis in dim.axes)

    @property
    def times(self) -> int | None:
        """The dimension of training times alone, where one contour serves all of them."""
        full = [[axis.full for axis in dim.axes] for dim in self.dims]
        return full.index([TIMES]) if [TIMES] in full else None

    @property
    def first(self) -> RFDSM:
        """The model at the first point."""
        return self.place({axis.full: axis.value(0) for axis in self.axes})

    def place(self, numbers: Mapping[str, Any]) -> RFDSM:
        """The model with some numbers, by their dotted names, changed."""
        return self.model.replace(**numbers)

    def values(self, box: Box, without: int | None = None) -> dict[str, np.ndarray]:
        """Each swept number at the points of a box, shape (points,), by its dotted name.

        Args:
            without: a dimension that does not count.
        """
        kept = [i for i in range(len(self.dims)) if i != without]
        ranges = [np.arange(self.dims[i].size)[box[i]] for i in kept]
        places = np.meshgrid(*ranges, indexing="ij") if ranges else []
        return {
            axis.full: axis.value(at.ravel())
            for i, at in zip(kept, places, strict=True)
            for axis in self.dims[i].axes
        }

    def models(self, box: Box, without: int | None = None) -> Iterator[RFDSM]:
        """The models of a box, with concrete numbers, one after the other."""
        values = self.values(box, without)
        count = math.prod(x.size for x in self.ranges(box, without))
        for i in range(count):
            yield self.place({name: x[i] for name, x in values.items()})

    def ranges(self, box: Box, without: int | None = None) -> list[np.ndarray]:
        """The indices along every dimension that a box covers."""
        kept = (i for i in range(len(self.dims)) if i != without)
        return [np.arange(self.dims[i].size)[box[i]] for i in kept]

    def coords(self) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
        """(dimension, values, attributes) of each axis, by its name as it was given."""
        return {
            axis.name: (dim.name, axis.x, described(axis))
            for dim in self.dims
            for axis in dim.axes
        }

    def whole(self) -> Box:
        """The box of all points."""
        return tuple(slice(0, size) for size in self.shape)


def described(axis: Axis) -> dict[str, Any]:
    """What an axis is, as attributes of its coordinate."""
    about = axis.about
    return {
        "label": about.title,
        "long_name": about.words,
        "symbol": about.symbol,
        "spacing": "log" if axis.log else "linear",
        "number": axis.full,
        "unit": axis.unit,  # of the values, over which they are the number
    }


def grid_of(model: RFDSM, axes: Mapping[str, Any]) -> Grid:
    """The checked grid of {name: values}, a value may be `zipped`; or of `zipped` alone.

    Raises:
        ValueError: an unknown number, no values, or as `checked`.
    """
    if isinstance(axes, Zipped):
        axes = {ZIPPED: axes}
    if not isinstance(axes, Mapping) or not axes:
        raise ValueError("axes are numbers and their values, as in {'psi_p': [1, 2, 4]}.")
    dims = []
    for name, given in axes.items():
        together = given if isinstance(given, Zipped) else {name: given}
        dims.append(Dim(name, tuple(axis_of(model, n, x) for n, x in together.items())))
    return checked(Grid(model, tuple(dims)))


def checked(grid: Grid) -> Grid:
    """The grid itself.

    Raises:
        ValueError: a number is swept twice, or has a value outside of its domain, which is
            named with its place.
    """
    for what in ([axis.full for axis in grid.axes], [axis.name for axis in grid.axes]):
        if twice := [name for name in what if what.count(name) > 1]:
            raise ValueError(f"{twice[0]} is swept twice.")
    for dim in grid.dims:
        names = [axis.name for axis in dim.axes]
        others = {axis.name for axis in grid.axes} - {*names}
        if dim.name in TAKEN or dim.name in others:
            raise ValueError(f"a dimension cannot be called {dim.name}: take another name.")
        _require_domain(grid, dim)
    _ = grid.first  # which refuses numbers that do not go together
    return grid


def _require_domain(grid: Grid, dim: Dim) -> None:
    """Refuse values outside of the domain: domains are intervals, so their ends tell."""
    for axis in dim.axes:
        x = axis.x
        odd = np.flatnonzero(~np.isfinite(x))[:2]
        known = np.flatnonzero(np.isfinite(x))
        ends = known[np.argsort(x[known])][[0, -1]] if known.size else ()
        for i in sorted({*map(int, odd), *map(int, ends)}):
            together = {other.full: other.value(i) for other in dim.axes}
            try:
                grid.place(together)
            except ValueError as error:
                raise ValueError(f"{axis.name}[{i}] = {x[i]:g}: {error}") from None


def chunk_of(grid: Grid, size: Any, whole: int | None = None) -> tuple[int, ...]:
    """The shape of chunks of about `size` points: whole in the last dimensions.

    Args:
        size: how many points; or by dimension, {"psi_p": 50}, the others whole.
        whole: a dimension that is not cut.

    Raises:
        ValueError: what is no positive size, or no dimension.
    """
    if isinstance(size, Mapping):
        if unknown := {*size} - {*grid.sizes}:
            raise ValueError(f"chunk names {min(unknown)!r}, which is no dimension.")
        sizes = [positive_integer(size.get(d.name, d.size), "chunk") for d in grid.dims]
        chunk = [min(pair) for pair in zip(sizes, grid.shape, strict=True)]
    else:
        chunk, left = [*grid.shape], positive_integer(size, "chunk")
        left //= 1 if whole is None else grid.shape[whole]
        for i in reversed(range(len(chunk))):
            if i != whole:
                chunk[i] = min(chunk[i], max(1, left))
                left //= chunk[i]
    if whole is not None:
        chunk[whole] = grid.shape[whole]
    return tuple(chunk)
