"""The best free numbers at every point of a grid, and the errors there."""

import dataclasses
from typing import Any

import numpy as np

from ..errors import FIELDS, LABELS
from ..parameters.numbers import Number, number_called
from ..tuning.many import OUTCOMES, SUCCESS, Models, Optima, beside, numbers, searched, whole
from ..tuning.problem import Problem
from .grid import Box, Grid, chunk_of
from .identity import told
from .layout import Variable
from .parts import NEVER, Part, error, floats

POINTS = 400  # of a chunk, unless told: a second or so


@dataclasses.dataclass(frozen=True, eq=False)
class BestNumbers(Part):
    """The optimum of every model of a grid.

    Each model is searched on its own, and then from the optima that its neighbours along the
    grid's dims found on their own, those in other chunks too: they are searched here again. So
    the numbers do not depend on how the grid is cut, but for rounding: 1e-16 in the value.

    Attributes:
        grid: of the models. chunk: the shape of its chunks.
        problem: what is searched, the grid's numbers swept.
        free: the free numbers by their names as they were given, and their dotted ones.
        integer: whether what networks need whole is.
        starts: of each model.
    """

    grid: Grid
    chunk: tuple[int, ...]
    problem: Problem
    free: dict[str, str]
    integer: bool
    starts: int

    name = "optima"
    mark = "status"

    @property
    def variables(self) -> dict[str, Variable]:
        flags = {
            "flag_values": [NEVER, *range(len(OUTCOMES))],
            "flag_meanings": " ".join(["never_computed", *OUTCOMES]),
            "comment": "; ".join(f"{name}: {words}" for name, words in OUTCOMES.items()),
        }
        attrs = {"long_name": "how the search ended", "kind": "status", **flags}
        found = {self.mark: Variable(self.dims, np.dtype(np.int8), NEVER, attrs)}
        for name, full in self.free.items():
            found[f"optimal_{name}"] = floats(self.dims, self._about(full))
        words = {"long_name": f"least {self.problem.objective.words}", "kind": "optimum"}
        found["value"] = floats(self.dims, words)
        for name in FIELDS:
            about = error(name, "theory", f"{LABELS[name]} at the optimum")
            found[name] = floats(self.dims, about)
        for name, constraint in zip(self.worths, self.problem.constraints, strict=True):
            words = f"what loosening {constraint.words} by a unit is worth; 0 where it is loose"
            found[name] = floats(self.dims, {"long_name": words, "kind": "multiplier"})
        words = "projected gradient of the Lagrangian over the value, in the unit box"
        found["first_order"] = floats(self.dims, {"long_name": words, "kind": "solver"})
        return found

    def _about(self, full: str) -> dict[str, Any]:
        """What the optimum of a free number is, as attributes of its variable."""
        about, low, high = self._number(full), *self.problem.variables.bounds(full)
        bounds = {"searched": f"{low:g} to {high:g}"}
        words = {"long_name": f"optimal {about.words}", "label": f"optimal {about.title}"}
        scale = about.scale
        spacing = "linear" if scale.axis == "linear" and not scale.inverse else "log"
        return {**words, "symbol": about.symbol, "spacing": spacing, "number": full,
                "kind": "optimum", **bounds}  # fmt: skip

    def _number(self, full: str) -> Number:
        return number_called(self.grid.model, full)[1]

    @property
    def worths(self) -> tuple[str, ...]:
        """The variables of the constraints' multipliers."""
        labels = [c.goal.label.replace(" ", "_") for c in self.problem.constraints]
        several = (labels.count(label) > 1 for label in labels)
        pairs = enumerate(zip(labels, several, strict=True))
        return tuple(f"worth_{label}_{i}" if more else f"worth_{label}"
                     for i, (label, more) in pairs)  # fmt: skip

    @property
    def attrs(self) -> dict[str, Any]:
        bounds = self.problem.variables.bounds
        free = (f"{n} in {low:g} to {high:g}" for n in self.free.values()
                for low, high in [bounds(n)])  # fmt: skip
        constraints = (constraint.words for constraint in self.problem.constraints)
        return {
            "free": "; ".join(free),
            "objective": self.problem.objective.words,
            "constraints": "; ".join(constraints) or "none",
            "integer": ", ".join(self.problem.variables.integer) if self.integer else "none",
            "starts": self.starts,
        }

    @property
    def identity(self) -> dict[str, Any]:
        goals = (self.problem.objective, *(c.goal for c in self.problem.constraints))
        bounds = [float(bound) for bound in self.problem.bounds]
        return {**self.attrs, "bounds": bounds, "goals": [told(goal) for goal in goals]}

    def prepare(self) -> None:
        searched(self._models(tuple(slice(0, 1) for _ in self.grid.dims)), 1, 1)

    def compute(self, box: Box) -> dict[str, np.ndarray]:
        wider = tuple(
            slice(max(0, side.start - 1), min(size, side.stop + 1))
            for side, size in zip(box, self.grid.shape, strict=True)
        )
        outside = _outside(box, wider)
        kept, inner = outside <= 1, outside == 0  # those at its corners are no neighbours
        row = np.where(kept, np.cumsum(kept).reshape(kept.shape) - 1, -1)
        models = self._models(wider).of(kept.ravel())
        own = searched(models, self.starts)
        point, other = _neighbours(row)
        asked = np.isin(point, row[inner]) & (own.outcome[other] == SUCCESS)
        best = beside(models, own, own.ends.at.z[other[asked]], point[asked]).of(row[inner])
        if self.integer:
            best = whole(models.of(row[inner]), best)
        shape = tuple(x.size for x in self.grid.ranges(box))
        return {name: x.reshape(shape) for name, x in self._told(best).items()}

    def _models(self, box: Box) -> Models:
        values = self.grid.values(box)
        return Models(self.problem, np.column_stack([values[n] for n in self.problem.swept]))

    def _told(self, best: Optima) -> dict[str, np.ndarray]:
        """The variables at models, NaN where there is no optimum."""
        found, at = {}, best.ends.at
        free = numbers(self.problem, at.z)
        for name, full in self.free.items():
            exact = self.integer and full in self.problem.variables.integer
            found[f"optimal_{name}"] = np.round(free[full]) if exact else free[full]
        found["value"] = at.f
        found |= {name: getattr(at.errors, name) for name in FIELDS}
        found |= dict(zip(self.worths, best.worths(self.problem).T, strict=True))
        found["first_order"] = best.ends.first_order
        good = best.outcome == SUCCESS
        found = {name: np.where(good, x, np.nan) for name, x in found.items()}
        return found | {self.mark: best.outcome.astype(np.int8)}


def _outside(box: Box, wider: Box) -> np.ndarray:
    """In how many dims each point of a wider box lies outside of a box."""
    sides = [
        (np.arange(w.start, w.stop) < b.start) | (np.arange(w.start, w.stop) >= b.stop)
        for b, w in zip(box, wider, strict=True)
    ]
    return sum(np.ix_(*(side.astype(int) for side in sides)), start=0)


def _neighbours(row: np.ndarray) -> np.ndarray:
    """All pairs of neighbours along the dims, both ways round, (2, pairs); < 0 is none."""
    pairs = [np.zeros((2, 0), int)]
    for axis, size in enumerate(row.shape):
        below, above = (row.take(np.arange(size - 1) + i, axis).ravel() for i in (0, 1))
        pairs += [np.stack([below, above]), np.stack([above, below])]
    both = np.concatenate(pairs, axis=1)
    return both[:, np.all(both >= 0, axis=0)]


def best_numbers(
    grid: Grid, problem: Problem, free: dict[str, str], integer: bool, starts: int, chunk: Any
) -> BestNumbers:
    """The part of a sweep that tunes every model.

    Args:
        grid, free, integer, starts: as of the part. problem: nothing of it swept.
        chunk: as of `chunk_of`; None: blocks as long as wide, which have few neighbours.

    Raises:
        ValueError: a number that is both swept and free; `chunk_of`.
    """
    swept = tuple(axis.full for axis in grid.axes)
    if both := [name for name in problem.variables.names if name in swept]:
        raise ValueError(f"{both[0]} is both swept and free: leave it out of one of them.")
    if integer and not problem.variables.integer:
        raise ValueError("integer asks for whole m or networks, and neither is free.")
    problem = dataclasses.replace(problem, swept=swept)
    shape = chunk_of(grid, _sides(grid) if chunk is None else chunk)
    return BestNumbers(grid, shape, problem, free, integer, starts)


def _sides(grid: Grid) -> dict[str, int]:
    """Blocks of at most `POINTS` points, as long as wide."""
    sides, left = {}, POINTS
    for count, (name, size) in enumerate(sorted(grid.sizes.items(), key=lambda x: x[1])):
        sides[name] = min(size, max(1, int(left ** (1 / (len(grid.dims) - count)) + 1e-9)))
        left //= sides[name]
    return sides
