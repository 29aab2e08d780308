"""The number that is swept, its values, and where along them networks are trained."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..model import RFDSM
from ..parameters.checks import vector
from ..parameters.numbers import Number, counted, number_called
from ..parameters.plain import read_numbers

LINEAR = ":linear"  # what a grid ends in that is not logarithmic
MOST_POINTS = 1_000_000
LARGEST = 1e200  # beyond it a figure's logarithmic axis overflows
TRAINING_POINTS = Number("n", "training points", integer=True)
POINTS = "n"  # the number of training points of data that has its own dimension: psi_n d


class Axis(NamedTuple):
    """The values x, shape (points,), of a number along which theory is solved.

    Attributes:
        name: as it is called, a short name or a dotted one, or `POINTS`.
        full: the number of the model that is set, to x/unit.
        about: what it is.
    """

    name: str
    full: str
    x: np.ndarray
    about: Number
    unit: float = 1.0

    @property
    def log(self) -> bool:
        """Whether they belong on a logarithmic axis: evenly spaced there, or over a decade."""
        of_axis = np.sort(self.x[np.isfinite(self.x)])  # where m = ∞ has no place
        if not (of_axis.size and of_axis[0] > 0):
            return False

        def even(x: np.ndarray) -> bool:
            return np.allclose(np.diff(x, 2), 0, atol=1e-9 * (x[-1] - x[0]))

        return even(np.log(of_axis)) or (of_axis[-1] > 10 * of_axis[0] and not even(of_axis))

    def value(self, i: Any) -> Any:
        """The number of the model at an index, or at several."""
        return self.x[i] / self.unit

    def place(self, model: RFDSM, x: Any) -> RFDSM:
        """The model at a value of the swept number."""
        return model.replace(**{self.full: x / self.unit})


def axis(model: RFDSM, values: Mapping[str, Any]) -> Axis:
    """The checked axis of {name: values}; an infinite one, of m, is a value like any other.

    Raises:
        ValueError: not one name, an unknown one, or values that are not single numbers.
    """
    if len(values) != 1:
        given = " and ".join(values) or "none"
        raise ValueError(f"one number is swept at a time, got {given}.")
    ((name, x),) = values.items()
    return axis_of(model, name, x)


def axis_of(model: RFDSM, name: str, values: Any) -> Axis:
    """The checked axis of a number's values.

    Raises:
        ValueError: an unknown name, or values that are not single numbers.
    """
    x = np.asarray(vector(values, name))
    if name == POINTS:
        return Axis(name, "psi_n", x, TRAINING_POINTS, model.data.dimension(None))
    full, about = number_called(model, name)
    return Axis(name, full, x, about)


def values(name: str, text: str) -> np.ndarray:
    """The values of a `grid`, or of a list "1,4,inf".

    Raises:
        ValueError: neither.
    """
    if ":" in text or not text:
        return grid(name, text)
    return np.asarray(read_numbers(text, name))


def grid(name: str, text: str, *, log: bool = True) -> np.ndarray:
    """The values of "start:stop:count", or of "start:stop:count:linear".

    Raises:
        ValueError: what gives no grid.
    """
    text, log = text.removesuffix(LINEAR), log and not text.endswith(LINEAR)
    try:
        start, stop, count = text.split(":")
        ends, points = (float(start), float(stop)), int(count)
    except ValueError:
        raise ValueError(
            f"{name} takes start:stop:count, as in {name}=0.1:100:200, got {text!r}."
        ) from None
    if not 2 <= points <= MOST_POINTS:
        raise ValueError(f"the grid's count must lie in 2 to {MOST_POINTS}, got {points}.")
    if not (np.all(np.isfinite(ends)) and ends[0] < ends[1]):
        raise ValueError(f"the grid must run from a number to a larger one, got {text!r}.")
    if max(map(abs, ends)) > LARGEST or (log and 0 < ends[0] < 1 / LARGEST):
        raise ValueError(f"the grid's ends must be of moderate size, got {text!r}.")
    if log and ends[0] <= 0:
        raise ValueError(
            f"a logarithmic grid starts above 0, got {start}: start higher, or make it linear, "
            f"{name}={text}{LINEAR}."
        )
    return (np.geomspace if log else np.linspace)(*ends, points)


def markers(along: Axis, d: int, points: int) -> np.ndarray:
    """Where to simulate: spread evenly over the axis, at values that d can realise.

    Ratios are multiples of 1/d and m is an integer, so close points may fall together.

    Raises:
        ValueError: d or points is not positive, or d is too small for the grid.
    """
    x = along.x
    if d < 1 or not 1 <= points <= len(x):
        raise ValueError(
            f"networks take d of at least 1 and points from 1 to the grid's {len(x)}, got "
            f"d = {d}, points = {points}."
        )
    # The middles of equal parts: the far end, the dearest to simulate, adds the least.
    middles = (np.arange(points) + 0.5) / points * (len(x) - 1)
    chosen = x[np.round(middles).astype(int)]
    if along.about.integer:
        low, high = np.ceil(x[0]), np.floor(x[-1])  # of infinity itself
        if low > high:
            raise ValueError(f"no integer {along.name} lies in {x[0]:g} to {x[-1]:g}.")
        chosen = np.clip(np.round(chosen), low, high)
    return realisable(along, d, chosen)


def realisable(along: Axis, d: int, x: np.ndarray) -> np.ndarray:
    """The nearest values that networks of dimension d have, ascending.

    Raises:
        ValueError: d is too small for one.
    """
    if along.about.integer:
        x = np.round(x)
    elif along.about.count:
        whole = np.array([counted(value, d) for value in x])
        if not whole.all():
            raise ValueError(
                f"{along.name} = {x[whole == 0][0]:g} at d = {d} leaves no "
                f"{along.about.count}: take a larger d."
            )
        x = whole / d
    return np.unique(x)
