"""A problem under way: rows go to the compiled search, optima come out."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ..model import RFDSM
from . import search
from .optima import Optimum, distinct, distinct_of, optimum
from .search import Ends, Problem, Rows, feasible
from .variables import Variables

MEASURED_STARTS = 4  # of a search with moments: the Gaussian theory's best optima,
GAUSSIAN_STARTS = 64  # which are found from at most so many
FIRST = 64  # evaluations of a start, before the best are followed to the end
POLISHED = 16  # optima that are searched again from where they are
SMALL_INTEGERS = 8  # values of m that are tried whatever the optimum
NEIGHBOURS = 3  # integers on both sides of the best that are tried


class Infeasible(ValueError):
    """No point within the bounds was found at which all constraints hold."""


class Progress(NamedTuple):
    """What `report` is called with.

    Attributes:
        stage: in words. done, total: starts, or models, of this stage.
    """

    stage: str
    done: int
    total: int


Report = Callable[[Progress], None]


class Search:
    """A problem under way: rows in, optima out. What `tuned`, `verify` and `pareto` ask.

    Attributes:
        problem: what is searched. scale: of the objective, once it is known.
    """

    def __init__(self, problem: Problem, report: Report, starts: int):
        self.problem, self.report, self.starts = problem, report, starts
        self.scale = 1.0
        self.points = _spread(problem.variables, problem.model, starts)

    @property
    def k(self) -> int:
        """The number of free variables."""
        return len(self.problem.variables.names)

    def rows(self, points, bounds, held: Mapping[str, float] | None = None) -> Rows:
        """Rows that start at points, shape (rows, k), some variables held at a number."""
        points = np.atleast_2d(points).astype(float)
        low, high = np.zeros_like(points), np.ones_like(points)
        for name, value in (held or {}).items():
            i = self.problem.variables.names.index(name)
            z = self.problem.variables.coordinates(self.numbers_with(name, value))[i]
            points[:, i] = low[:, i] = high[:, i] = z
        return Rows(points, low, high, np.broadcast_to(bounds, (len(points), len(bounds))))

    def numbers_with(self, name, value):
        """Any numbers of all variables, one of them given."""
        return {
            n: self.problem.variables.bounds(n)[0] for n in self.problem.variables.names
        } | {name: value}

    def run(self, rows: Rows, stage: str, **options: Any) -> Ends:
        """`search.run`, with its progress told."""
        total, done = len(rows.start), [0]

        def advance(count):
            done[0] = min(total, done[0] + count)
            self.report(Progress(stage, done[0], total))

        return search.run(self.problem, rows, self.scale, advance=advance, **options)

    def solve(self, bounds: np.ndarray) -> list[Optimum]:
        """All optima found from all starts, the best first.

        Raises:
            Infeasible: there is none.
        """
        if self.problem.road is None:
            return self.optima(self.rows(self.points, bounds))
        return self.optima(self.rows(self._gaussian_optima(bounds), bounds))

    def optima(self, rows: Rows) -> list[Optimum]:
        """The optima that rows of one problem lead to, the best first."""
        self.measure_scale(rows)
        ends = self.run(rows, "search", merge=True, limit=FIRST)
        good = feasible(ends)
        if not good.any():
            ends, rows = self._rescue(rows)
            good = feasible(ends)
        found = distinct(self, ends, rows, good)
        if self.problem.road is not None:
            return found
        # Once more from where the best are: curvature is then learnt where it matters.
        best = found[:POLISHED]
        again = self.rows(np.stack([o.z for o in best]), rows.bounds[0])
        ends = self.run(again, "polish")
        good = feasible(ends)
        for row in np.flatnonzero(good):
            better = optimum(self, ends, again, row).after(best[row])
            if better.value <= best[row].value or better.first_order < best[row].first_order:
                found[row] = better
        return distinct_of(found)

    def integer(
        self, bounds, around: Sequence[Optimum], held: Mapping[str, float] | None = None
    ) -> Optimum | None:
        """The best optimum at which m is an integer (or infinite), the others tuned again.

        Args:
            bounds: of the constraints; around: optima that suggest values of m and starts;
            held: other variables that are held.
        """
        low, high = self.problem.variables.bounds("m")
        tried: dict[float, Optimum | None] = {}

        def attempt(candidates):
            new = sorted({m for m in candidates if low <= m <= high and m not in tried})
            parts = [
                self.rows(np.stack([o.z for o in around[:3]]), bounds, {**(held or {}), "m": m})
                for m in new
            ]
            if not parts:
                return
            rows = Rows(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
            ends = self.run(rows, "integer m")
            good, each = feasible(ends), len(parts[0].start)
            for number, m in enumerate(new):
                here = np.arange(number * each, (number + 1) * each)
                here = here[good[here]]
                if here.size:
                    best = here[np.argmin(ends.value[here])]
                    tried[m] = optimum(self, ends, rows, best)._replace(m=m)
                else:
                    tried[m] = None

        dear = self.problem.road is not None  # then only around the optima
        candidates = {math.inf} | set(map(float, range(1, 1 if dear else SMALL_INTEGERS + 1)))
        for each in around[:3]:
            m = each.numbers.get("m", math.inf)
            near = (m,) if math.isinf(m) else (round(m), math.floor(m), math.ceil(m))
            candidates |= set(map(float, near))
        attempt(candidates)
        while best := min(filter(None, tried.values()), key=lambda o: o.value, default=None):
            if math.isinf(best.m) or dear:
                return best
            known = len(tried)
            attempt({best.m + step for step in range(-NEIGHBOURS, NEIGHBOURS + 1)})
            again = min(filter(None, tried.values()), key=lambda o: o.value)
            if len(tried) == known or again.m == best.m:
                return again
        return None

    def _gaussian_optima(self, bounds) -> np.ndarray:
        """Where the search with moments starts."""
        plain = dataclasses.replace(self.problem, road=None, road_arguments=(), optimizer=None)
        try:
            starts = min(self.starts, GAUSSIAN_STARTS)
            found = Search(plain, self.report, starts).solve(bounds)
        except Infeasible:  # what the Gaussian theory cannot, measured moments may
            return self.points[:MEASURED_STARTS]
        return np.stack([o.z for o in found[:MEASURED_STARTS]])

    def measure_scale(self, rows: Rows) -> None:
        """Take the objective's size at these starts for its scale."""
        ends = self.run(rows, "start", limit=1)
        sizes = np.abs(ends.value[np.isfinite(ends.value)])
        if not sizes.size:
            raise ValueError(
                f"the objective is not finite at any of the {len(rows.start)} starts: look at "
                "model.solve().status at some numbers within the bounds."
            )
        self.scale = float(np.median(sizes)) or 1.0

    def _rescue(self, rows: Rows) -> tuple[Ends, Rows]:
        """Look for feasible points alone, then search from those.

        Raises:
            Infeasible: none was found.
        """
        ends = self.run(rows, "feasible points", weight=0.0)
        good = feasible(ends)
        if not good.any():
            raise Infeasible(_in_the_way(self.problem, ends, rows.bounds))
        kept = np.flatnonzero(good)
        from_there = Rows(ends.z[kept], *(part[kept] for part in rows[1:]))
        again = self.run(from_there, "search")
        if feasible(again).any():
            return again, from_there
        return self.run(from_there, "search", limit=1), from_there


def _in_the_way(problem: Problem, ends: Ends, bounds: np.ndarray) -> str:
    """A line on the constraint that stands in the way, and the closest value reached."""
    solved = np.isfinite(ends.value) & np.isfinite(ends.violation)
    if not solved.any():
        return "no start could be solved while looking for a feasible point."
    row = np.flatnonzero(solved)[np.argmin(ends.violation[solved])]
    g = np.asarray(
        search.residuals(
            problem.constraints, jnp.asarray(ends.goals[row]), jnp.asarray(bounds[row])
        )
    )
    worst = int(np.argmax(g))
    constraint = problem.constraints[worst]
    numbers = ", ".join(
        f"{n} = {v:.4g}" for n, v in problem.variables.numbers(ends.z[row]).items()
    )
    others = ";" if len(problem.constraints) == 1 else ", beside the other constraints;"
    return (
        f"no feasible point within the bounds: {constraint.label} cannot be reached{others} "
        f"closest was {ends.goals[row][worst]:.6g} at {numbers}: loosen it or the bounds."
    )


def _spread(variables: Variables, model: RFDSM, starts: int) -> np.ndarray:
    """Points spread evenly over the unit box (Roberts' sequence), after the model's own."""
    k = len(variables.names)
    base = 2.0
    for _ in range(64):
        base = (1 + base) ** (1 / (k + 1))
    steps = base ** -np.arange(1.0, k + 1)
    points = (0.5 + np.arange(starts)[:, None] * steps) % 1
    points[0] = variables.coordinates(_numbers_of(variables, model))
    return points


def _numbers_of(variables: Variables, model: RFDSM) -> dict[str, float]:
    numbers = {}
    for name in variables.names:
        owner, _, field = name.partition(".")
        value = getattr(model, owner)
        numbers[name] = float(getattr(value, field) if field else value)
    return numbers
