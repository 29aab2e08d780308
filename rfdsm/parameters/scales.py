"""How a number is spaced: for searching it, and along the axis of a figure."""

import dataclasses
import math
from typing import Any

import numpy as np

from .._numerics.derivatives import clipped
from .checks import is_traced, namespace

NEVER_ZERO = 1e-60  # in place of 1/m = 0, whose m is no number; equal to it in float64


@dataclasses.dataclass(frozen=True)
class Scale:
    """How a number is spaced, in a search and along an axis.

    A number x has a place, itself or 1/x, and a place a coordinate z in the unit interval:
    logarithmic, linear, or for what may be 0 log(1 + place/x0).

    Attributes:
        axis: matplotlib's name of the scale on which places are drawn.
        zero: x0 over the largest place; 0 where places are positive.
        inverse: whether 1/x is the place, so that x = ∞ is a point like any other.
        marks: numbers that label an axis, the most wanted first.
    """

    axis: str
    zero: float = 0.0
    inverse: bool = False
    marks: tuple[float, ...] = ()

    def between(self, low: float, high: float) -> "Scale":
        """The scale for numbers between bounds, which may reach 0 or below."""
        if self.inverse:
            return self if math.isinf(high) else dataclasses.replace(self, zero=0.0)
        if self.axis == "linear" or low > 0:
            return self
        return FROM_ZERO if low == 0 else LINEAR

    def place(self, x: Any) -> Any:
        """Where a number lies (1/0 is not asked for)."""
        return 1 / x if self.inverse else x

    def number(self, place: Any) -> Any:
        """The number at a place, differentiable at 1/x = 0 too."""
        if not self.inverse:
            return place
        if is_traced(place):
            return 1 / clipped(place, NEVER_ZERO, math.inf)
        return 1 / place if place > 0 else math.inf

    def places(self, low: float, high: float) -> tuple[float, float]:
        """The least and the largest place between two numbers."""
        return (1 / high, 1 / low) if self.inverse else (low, high)

    def numbers(self, low: float, high: float) -> tuple[float, float]:
        """The least and the largest number between two places."""
        return (self.number(high), self.number(low)) if self.inverse else (low, high)

    def from_unit(self, z: Any, low: Any, high: Any) -> Any:
        """The place at a coordinate between places."""
        if self.axis == "linear" and not self.inverse:
            return low + z * (high - low)
        if not self.zero:
            xp = namespace(z, low, high)
            return xp.exp(xp.log(low) + z * xp.log(high / low))
        return self.zero * high * namespace(z, high).expm1(z * math.log1p(1 / self.zero))

    def to_unit(self, place: float, low: float, high: float) -> float:
        """The coordinate of a place."""
        if self.axis == "linear" and not self.inverse:
            return (place - low) / (high - low)
        if not self.zero:
            return math.log(place / low) / math.log(high / low)
        return math.log1p(place / (self.zero * high)) / math.log1p(1 / self.zero)

    def grid(self, low: float, high: float, count: int) -> np.ndarray:
        """Places between two numbers, evenly along an axis."""
        low, high = self.places(low, high)
        if self.axis == "linear":
            return np.linspace(low, high, count)
        if not self.zero:
            return np.geomspace(low, high, count)
        return self.zero * high * np.expm1(np.linspace(0, np.log1p(1 / self.zero), count))


LOG, LINEAR, FROM_ZERO = Scale("log"), Scale("linear"), Scale("symlog", zero=1e-6)
# Of m and networks: up to 100 in the logarithm, and on to infinity.
INVERSE = Scale(
    "linear", zero=1e-2, inverse=True, marks=(math.inf, 1, 2, 4, 8, 16, 32, 64, 3, 5, 6, 7, 10)
)
