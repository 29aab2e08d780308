"""Local optima: the rows of a search that ended at one, and which of them are different."""

from typing import NamedTuple

import jax
import numpy as np

from ..errors import Errors
from ..model import RFDSM
from .search import Ends, Rows
from .variables import Variables

STATIONARY = 1e-4  # a larger projected gradient is not an optimum, unless nothing else is found
SAME_PLACE = 1e-4  # in the unit box
SAME_VALUE = 1e-8  # relative: the floor of a flat valley, which is one optimum


class Optimum(NamedTuple):
    """A local optimum.

    Attributes:
        value: of the objective. numbers: of the free variables, by name.
        goals: what the constraints bound, in their order.
        errors: of the road; None where it is theory.
        first_order: largest component of the Lagrangian's projected gradient, relative to the
            objective, in coordinates of the unit box.
        z, low, high, bounds: coordinates, and the row that led there.
        multipliers, gradient, jacobian: of the scaled problem of `tuning.search`.
        path, path_values, path_violations: of all evaluations on the way.
    """

    value: float
    numbers: dict[str, float]
    goals: np.ndarray
    errors: Errors | None
    first_order: float
    z: np.ndarray
    low: np.ndarray
    high: np.ndarray
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

    def after(self, other: "Optimum") -> "Optimum":
        """This optimum at the end of the way of another, from where its search began."""
        names = ("path", "path_values", "path_violations")
        return self._replace(
            **{n: np.concatenate([getattr(other, n), getattr(self, n)]) for n in names}
        )

    def errors_at(self, model: RFDSM) -> Errors:
        """The errors of this optimum, whose model is given."""
        return model.asymptotics() if self.errors is None else self.errors

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={value:.6g}" for name, value in self.numbers.items())
        return f"Optimum({self.value:.9g} at {numbers})"


def optimum(variables: Variables, scale: float, ends: Ends, rows: Rows, row: int) -> Optimum:
    """One row's end, of an objective of this scale."""
    steps = int(ends.evaluations[row])
    value = float(ends.value[row])
    relative = scale / max(abs(value), 1e-300)
    return Optimum(
        value=value,
        numbers=variables.numbers(ends.z[row]),
        goals=ends.goals[row],
        errors=jax.tree.map(lambda values: values[row], ends.errors),
        first_order=float(ends.stationarity[row]) * relative,
        z=ends.z[row],
        low=rows.low[row],
        high=rows.high[row],
        bounds=rows.bounds[row],
        multipliers=ends.multipliers[row],
        gradient=ends.gradient[row],
        jacobian=ends.jacobian[row],
        path=ends.path[row, :steps],
        path_values=ends.path_values[row, :steps],
        path_violations=ends.path_violations[row, :steps],
    )


def distinct(
    variables: Variables, scale: float, ends: Ends, rows: Rows, good: np.ndarray
) -> list[Optimum]:
    """The different optima of feasible rows, the best first."""
    order = np.flatnonzero(good)[np.argsort(ends.value[good], kind="stable")]
    kept: list[Optimum] = []
    for row in order:
        here = optimum(variables, scale, ends, rows, row)
        if kept and not (ends.done[row] and here.first_order <= STATIONARY):
            continue  # on the way to an optimum, and worse than one
        if all(not here.close_to(other) for other in kept):
            kept.append(here)
    return kept


def distinct_of(found: list[Optimum]) -> list[Optimum]:
    """Optima without those that an earlier, better one is close to."""
    kept: list[Optimum] = []
    for each in sorted(found, key=lambda o: o.value):
        if all(not each.close_to(other) for other in kept):
            kept.append(each)
    return kept
