"""The coordinates of a sweep's data set as the sides of a panel.

A number has a place on its side: itself or, where m = ∞ is among the values, 1/m. A side is
even in the position of a place, which is the place or its logarithm, of 1/m
log(1 + 1/(m x0)): logarithmic in m up to 1/x0, and from there on to infinity.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from ..parameters.numbers import text
from ..parameters.scales import INVERSE, NEVER_ZERO
from .describe import tex
from .style import plain_ticks

APART = 0.06  # labels of a side, at least, as a share of it


class Side(NamedTuple):
    """A coordinate of a data set, by ascending values.

    Attributes:
        name: of the coordinate. dim: its dimension, along which others may be zipped.
        x: the values, shape (points,). order: their indices in the data set.
        about: what the coordinate says of itself.
        beside: what changes along with it, shape (points,) each, by dotted names.
    """

    name: str
    dim: str
    x: np.ndarray
    order: np.ndarray
    about: dict[str, Any]
    beside: dict[str, np.ndarray]

    @property
    def number(self) -> str:
        """The dotted name of the number."""
        return self.about.get("number", self.name)

    @property
    def inverse(self) -> bool:
        """Whether 1/x is the place."""
        return bool(np.isinf(self.x[-1]))

    @property
    def log(self) -> bool:
        """Whether the position is the logarithm of the place."""
        return self.about.get("spacing") == "log" and not self.inverse

    def place(self, x: Any) -> Any:
        """Where numbers are drawn."""
        return 1 / np.asarray(x) if self.inverse else np.asarray(x)

    def position(self, place: Any) -> Any:
        """Where places are, on an even side."""
        place = np.asarray(place)
        if self.inverse:
            return np.log1p(place / INVERSE.zero)
        return np.log(place) if self.log else place

    def from_position(self, position: Any) -> Any:
        """The places at positions."""
        position = np.asarray(position)
        if self.inverse:
            return INVERSE.zero * np.expm1(position)
        return np.exp(position) if self.log else position

    @property
    def own(self) -> dict[str, np.ndarray]:
        """The numbers at its values, by their dotted names."""
        return {self.number: self.x / self.about.get("unit", 1.0)} | self.beside

    @property
    def places(self) -> np.ndarray:
        """Of the values, shape (points,)."""
        return self.place(self.x)

    def edges(self) -> np.ndarray:
        """The places that bound the values' cells, shape (points + 1,)."""
        at = self.position(self.places)
        middles = (at[1:] + at[:-1]) / 2 if len(at) > 1 else at[0] + np.array([-0.5, 0.5])
        ends = 2 * at[[0, -1]] - middles[[0, -1]]
        return self.from_position(np.r_[ends[0], middles, ends[1]])

    def fine(self, low: float, high: float, count: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Places evenly between two, and the numbers there.

        Returns:
            Places, and numbers by dotted names, shape (count,) each; of what is zipped between
            the values, NaN beyond.
        """
        at = np.linspace(*self.position([low, high]), count)
        places = np.r_[low, self.from_position(at[1:-1]), high]
        x = places
        if self.inverse:  # the last cell reaches beyond ∞
            x = np.where(places > 0, 1 / np.maximum(places, NEVER_ZERO), np.inf)
        known = self.position(self.places)
        ascending = np.argsort(known)
        numbers = {self.number: x / self.about.get("unit", 1.0)}
        for name, values in self.beside.items():
            with np.errstate(invalid="ignore"):  # beside m = ∞
                logs = np.interp(
                    at, known[ascending], np.log(values[ascending]), left=np.nan, right=np.nan
                )
            numbers[name] = np.exp(logs)
        return places, numbers

    def set_axis(self, ax: Axes, along: str, low: float, high: float) -> None:
        """Label, scale, limits and ticks of an axis; m grows to the right on 1/m too."""
        ax.set(**{f"{along}label": self.about.get("label", self.name)})
        axis = getattr(ax, f"{along}axis")
        if self.inverse:
            scale = {"functions": (self.position, self.from_position)}
            getattr(ax, f"set_{along}scale")("function", **scale)
            marks = self._marks(low, high)
            getattr(ax, f"set_{along}ticks")(self.place(marks), [text(x) for x in marks])
            axis.set_minor_locator(NullLocator())
        elif self.log:
            getattr(ax, f"set_{along}scale")("log")
        getattr(ax, f"set_{along}lim")(low, high)
        plain_ticks(axis)

    def _marks(self, low: float, high: float) -> list[float]:
        """Values of m that label a side, each apart from all before."""
        near, far = sorted(self.position([low, high]))
        kept: list[float] = []
        for x in INVERSE.marks:
            at = self.position(self.place(x))
            apart = (abs(at - self.position(self.place(other))) for other in kept)
            if near <= at <= far and all(gap >= APART * (far - near) for gap in apart):
                kept.append(x)
        return kept


def side_of(dataset: Any, name: str) -> Side:
    """The side of a coordinate.

    Raises:
        ValueError: no coordinate of that name with a dimension of its own, or one value twice.
    """
    if name not in dataset.coords or dataset[name].ndim != 1:
        known = ", ".join(map(str, (n for n, x in dataset.coords.items() if x.ndim == 1)))
        raise ValueError(f"{name!r} is no axis of the data set: these are {known or 'none'}.")
    (dim,) = dataset[name].dims
    values = np.asarray(dataset[name].values, float)
    x, order = np.unique(values, return_index=True)
    if len(x) < len(values):
        raise ValueError(f"{name} has a value twice along {dim}: take another number for it.")
    others = {
        each.attrs["number"]: np.asarray(each.values, float)[order]
        for each in dataset.coords.values()
        if each.dims == (dim,) and "number" in each.attrs and each.name != name
    }
    return Side(name, dim, x, order, dict(dataset[name].attrs), others)


def labels_along(dataset: Any, dim: str) -> list[str]:
    """The values of a dimension, of zipped numbers each, as labels."""
    coords = [x for x in dataset.coords.values() if x.dims == (dim,) and "symbol" in x.attrs]
    if not coords:
        return [f"{dim} {i}" for i in range(dataset.sizes[dim])]
    return [
        ", ".join(f"${x.attrs['symbol']} = {tex(x.values[i])}$" for x in coords)
        for i in range(dataset.sizes[dim])
    ]
