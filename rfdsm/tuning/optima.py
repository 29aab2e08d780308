"""Local optima, and which of them are different."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import Errors
from ..model import RFDSM
from .descent import End, Evaluation
from .surrogate import Added

STATIONARY = 1e-4  # a larger projected gradient is not an optimum, unless nothing else is found
SAME_PLACE = 1e-4  # in the unit box
SAME_VALUE = 1e-8  # relative: the floor of a flat valley, which is one optimum


class Optimum(NamedTuple):
    """A local optimum.

    Attributes:
        value: of the objective. numbers: of the free variables, by name.
        goals: what the constraints bound, in their order.
        first_order: largest component of the Lagrangian's projected gradient, relative to the
            objective, in coordinates of the unit box.
        bounds: of the constraints, shape (constraints,).
        free: which variables were not held, shape (k,).
        end: of the search, in the unit box, with the way there; see `descent.End`.
        added: of a search with moments: what they add there; see `surrogate.Added`.
    """

    value: float
    numbers: dict[str, float]
    goals: np.ndarray
    first_order: float
    bounds: np.ndarray
    free: np.ndarray
    end: End
    added: Added | None = None

    @property
    def z(self) -> np.ndarray:
        """Coordinates in the unit box, shape (k,)."""
        return self.end.at.z

    @property
    def slopes(self) -> np.ndarray:
        """The Lagrangian's gradient in the unit box, shape (k,)."""
        return self.end.at.df + self.end.multipliers @ self.end.at.dg

    def close_to(self, other: "Optimum") -> bool:
        """Whether both are one optimum, up to rounding or on the floor of a flat valley."""
        equal = abs(self.value - other.value) <= SAME_VALUE * abs(other.value)
        return equal or np.max(np.abs(self.z - other.z)) <= SAME_PLACE

    def after(self, way: Sequence[Evaluation]) -> "Optimum":
        """This optimum at the end of a way to where its search began."""
        return self._replace(end=self.end._replace(way=(*way, *self.end.way)))

    def errors_at(self, model: RFDSM) -> Errors:
        """The errors of this optimum, whose model is given."""
        errors = self.end.at.errors
        return model.asymptotics() if errors is None else errors

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={value:.6g}" for name, value in self.numbers.items())
        return f"Optimum({self.value:.9g} at {numbers})"


def distinct(found: Sequence[Optimum]) -> list[Optimum]:
    """The different optima among some, the best first."""
    kept: list[Optimum] = []
    for each in sorted(found, key=lambda o: o.value):
        # What is on the way to an optimum, and worse than one, is none.
        on_the_way = kept and each.first_order > STATIONARY
        if not on_the_way and all(not each.close_to(other) for other in kept):
            kept.append(each)
    return kept
