"""Local optima, and which of them are different."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import Errors
from ..model import RFDSM
from .descent import End, Evaluation
from .variables import Variables

STATIONARY = 1e-4  # a larger projected gradient is not an optimum, unless nothing else is found
SAME_PLACE = 1e-4  # in the unit box
SAME_VALUE = 1e-8  # relative: the floor of a flat valley, which is one optimum


class Optimum(NamedTuple):
    """A local optimum.

    Attributes:
        value: of the objective. numbers: of the free variables, by name.
        goals: what the constraints bound, in their order.
        errors: of the model, where the search has read them; else None.
        first_order: largest component of the Lagrangian's projected gradient, relative to the
            objective, in coordinates of the unit box.
        z: coordinates in the unit box, shape (k,). free: which were not held, shape (k,).
        bounds: of the constraints, shape (constraints,).
        multipliers: λ of f + Σ λ g with the g of `problem.residuals`, shape (constraints,).
        gradient, jacobian: of f and of g, shapes (k,), (constraints, k).
        hessian: of f + Σ λ g, shape (k, k), 0 in what is held.
        path, path_values, path_violations: of all evaluations on the way.
    """

    value: float
    numbers: dict[str, float]
    goals: np.ndarray
    errors: Errors | None
    first_order: float
    z: np.ndarray
    free: np.ndarray
    bounds: np.ndarray
    multipliers: np.ndarray
    gradient: np.ndarray
    jacobian: np.ndarray
    hessian: np.ndarray
    path: np.ndarray
    path_values: np.ndarray
    path_violations: np.ndarray

    def close_to(self, other: "Optimum") -> bool:
        """Whether both are one optimum, up to rounding or on the floor of a flat valley."""
        distance = np.max(np.abs(self.z - other.z), initial=0.0)
        equal = abs(self.value - other.value) <= SAME_VALUE * abs(other.value)
        return distance <= SAME_PLACE or equal

    def after(self, way: Sequence[Evaluation]) -> "Optimum":
        """This optimum at the end of a way to where its search began."""
        parts = zip(
            _path(way), (self.path, self.path_values, self.path_violations), strict=True
        )
        z, values, violations = map(np.concatenate, parts)
        return self._replace(path=z, path_values=values, path_violations=violations)

    def errors_at(self, model: RFDSM) -> Errors:
        """The errors of this optimum, whose model is given."""
        return model.asymptotics() if self.errors is None else self.errors

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={value:.6g}" for name, value in self.numbers.items())
        return f"Optimum({self.value:.9g} at {numbers})"


def _path(way: Sequence[Evaluation]) -> tuple[np.ndarray, ...]:
    return tuple(map(np.array, zip(*((at.z, at.f, at.violation) for at in way), strict=True)))


def optimum(variables: Variables, end: End, bounds: np.ndarray, free: np.ndarray) -> Optimum:
    """The optimum at an end."""
    at = end.at
    path, values, violations = _path(end.way)
    return Optimum(
        value=at.f,
        numbers=variables.numbers(at.z),
        goals=at.seen.values[1:],
        errors=at.seen.errors,
        first_order=end.stationarity / max(abs(at.f), 1e-300),
        z=at.z,
        free=free,
        bounds=bounds,
        multipliers=end.multipliers,
        gradient=at.df,
        jacobian=at.dg,
        hessian=end.hessian,
        path=path,
        path_values=values,
        path_violations=violations,
    )


def distinct(found: Sequence[Optimum]) -> list[Optimum]:
    """The different optima among some, the best first."""
    kept: list[Optimum] = []
    for each in sorted(found, key=lambda o: o.value):
        # What is on the way to an optimum, and worse than one, is none.
        on_the_way = kept and each.first_order > STATIONARY
        if not on_the_way and all(not each.close_to(other) for other in kept):
            kept.append(each)
    return kept
