"""Local optima: the ends of starts, and which of them are different."""

from typing import NamedTuple

import numpy as np

from ..errors import Errors
from ..model import RFDSM
from .descent import End
from .search import Seen
from .variables import Variables

STATIONARY = 1e-4  # a larger projected gradient is not an optimum, unless nothing else is found
SAME_PLACE = 1e-4  # in the unit box
SAME_VALUE = 1e-8  # relative: the floor of a flat valley, which is one optimum


class Optimum(NamedTuple):
    """A local optimum.

    Attributes:
        value: of the objective. numbers: of the free variables, by name.
        goals: what the constraints bound, in their order.
        errors: of the road, or of the theory; None where the search had no use for them.
        first_order: largest component of the Lagrangian's projected gradient, relative to the
            objective, in coordinates of the unit box.
        z: coordinates. bounds: of the constraints.
        multipliers, gradient, jacobian: of f/scale + Σ λ g and its parts; see `descent`.
        path, path_values, path_violations: of all evaluations on the way.
    """

    value: float
    numbers: dict[str, float]
    goals: np.ndarray
    errors: Errors | None
    first_order: float
    z: np.ndarray
    bounds: np.ndarray
    multipliers: np.ndarray
    gradient: np.ndarray
    jacobian: np.ndarray
    path: np.ndarray
    path_values: np.ndarray
    path_violations: np.ndarray

    def close_to(self, other: "Optimum") -> bool:
        """Whether both are one optimum, up to rounding or on the floor of a flat valley."""
        distance = np.max(np.abs(self.z - other.z), initial=0.0)
        equal = abs(self.value - other.value) <= SAME_VALUE * abs(other.value)
        return distance <= SAME_PLACE or equal

    def errors_at(self, model: RFDSM) -> Errors:
        """The errors of this optimum, whose model is given."""
        return model.asymptotics() if self.errors is None else self.errors

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={value:.6g}" for name, value in self.numbers.items())
        return f"Optimum({self.value:.9g} at {numbers})"


def optimum(variables: Variables, scale: float, bounds: np.ndarray, end: End) -> Optimum:
    """The end of a start, of an objective of this scale."""
    seen: Seen = end.at.seen
    value = float(seen.values[0])
    return Optimum(
        value=value,
        numbers=variables.numbers(end.at.z),
        goals=seen.values[1:],
        errors=seen.errors,
        first_order=end.stationarity * scale / max(abs(value), 1e-300),
        z=end.at.z,
        bounds=bounds,
        multipliers=end.multipliers,
        gradient=end.at.df,
        jacobian=end.at.dg,
        path=np.stack([at.z for at in end.way]),
        path_values=np.array([at.seen.values[0] for at in end.way]),
        path_violations=np.array([at.violation for at in end.way]),
    )


def distinct(found: list[Optimum]) -> list[Optimum]:
    """The different ones, the best first, without those on the way to one, and worse."""
    kept: list[Optimum] = []
    for each in sorted(found, key=lambda o: o.value):
        if kept and each.first_order > STATIONARY:
            continue
        if all(not each.close_to(other) for other in kept):
            kept.append(each)
    return kept
