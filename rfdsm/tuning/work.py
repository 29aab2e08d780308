"""A problem under way: rows go to the compiled search, optima come out."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..model import RFDSM
from ..parameters.numbers import value_of
from ..progress import Progress, Report
from . import search
from .optima import Optimum, distinct, distinct_of, optimum
from .search import Ends, Problem, Rows, feasible, joined
from .variables import Variables

MEASURED_STARTS = 4  # of a search with moments: the Gaussian theory's best optima,
GAUSSIAN_STARTS = 64  # which are found from at most so many
FIRST = 64  # evaluations of a start, before the best are followed to the end
POLISHED = 16  # optima that are searched again from where they are
SMALL_INTEGERS = 8  # whole numbers that are tried whatever the optimum
NEIGHBOURS = 3  # integers on both sides of the best that are tried


class Infeasible(ValueError):
    """No point within the bounds was found at which all constraints hold."""


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
            points[:, i] = low[:, i] = high[:, i] = self.problem.variables.coordinate(
                name, value
            )
        return Rows(points, low, high, np.broadcast_to(bounds, (len(points), len(bounds))))

    def run(self, rows: Rows, stage: str, **options: Any) -> Ends:
        """`search.run`, with its progress told."""
        total, done = len(rows.start), 0

        def advance(count):
            nonlocal done
            done = min(total, done + count)
            self.report(Progress(stage, done, total))

        return search.run(self.problem, rows, self.scale, advance=advance, **options)

    def optimum(self, ends: Ends, rows: Rows, row: int) -> Optimum:
        """One row's end."""
        return optimum(self.problem.variables, self.scale, ends, rows, row)

    def best(self, ends: Ends, rows: Rows, among: Any = True) -> Optimum | None:
        """The best feasible end of the rows that a mask names; None where there is none."""
        good = np.flatnonzero(feasible(ends) & among)
        return (
            self.optimum(ends, rows, good[np.argmin(ends.value[good])]) if good.size else None
        )

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
        found = distinct(self.problem.variables, self.scale, ends, rows, good)
        if self.problem.road is not None:
            return found
        # Once more from where the best are: curvature is then learnt where it matters.
        best = found[:POLISHED]
        again = self.rows(np.stack([o.z for o in best]), rows.bounds[0])
        ends = self.run(again, "polish")
        good = feasible(ends)
        for row in np.flatnonzero(good):
            better = self.optimum(ends, again, row).after(best[row])
            if better.value <= best[row].value or better.first_order < best[row].first_order:
                found[row] = better
        return distinct_of(found)

    def integer(
        self, bounds, around: Sequence[Optimum], held: Mapping[str, float] | None = None
    ) -> Optimum | None:
        """The best optimum at which m is an integer (or infinite), the others tuned again.

        And likewise any other number that networks need whole.

        Args:
            bounds: of the constraints; around: optima that suggest integers and starts;
            held: other variables that are held.
        """
        variables, held = self.problem.variables, dict(held or {})
        names = [name for name in variables.integer if name not in held]
        ends_of = [variables.bounds(name) for name in names]
        starts = np.stack([o.z for o in around[:3]])
        dear = self.problem.road is not None  # then only around the optima
        tried: dict[tuple[float, ...], Optimum | None] = {}

        def attempt(choices: Iterable[tuple[float, ...]]) -> Optimum | None:
            """The best of all that were tried."""
            inside = (
                choice
                for choice in choices
                if all(low <= x <= high for x, (low, high) in zip(choice, ends_of, strict=True))
            )
            if new := sorted({*inside} - {*tried}):
                wholes = [dict(zip(names, choice, strict=True)) for choice in new]
                rows = joined(self.rows(starts, bounds, held | whole) for whole in wholes)
                ends = self.run(rows, f"integer {', '.join(names)}")
                of = np.repeat(np.arange(len(new)), len(starts))
                for number, (choice, whole) in enumerate(zip(new, wholes, strict=True)):
                    best = self.best(ends, rows, of == number)
                    tried[choice] = best and best._replace(numbers=best.numbers | held | whole)
            return min(filter(None, tried.values()), key=lambda o: o.value, default=None)

        small = {math.inf, *range(1, 1 if dear else SMALL_INTEGERS + 1)}
        near = [{w for o in around[:3] for w in _whole(o.numbers[name])} for name in names]
        best = attempt(product(*(map(float, small | each) for each in near)))
        while best is not None:
            here = [best.numbers[name] for name in names]
            if dear or all(map(math.isinf, here)):
                break
            steps = range(-NEIGHBOURS, NEIGHBOURS + 1)
            last, best = best, attempt(product(*([x + step for step in steps] for x in here)))
            if best is last:
                break
        return best

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


def _whole(x: float) -> set[float]:
    """Whole numbers beside one, or itself where it is infinite."""
    return {x} if math.isinf(x) else {round(x), math.floor(x), math.ceil(x)}


def _spread(variables: Variables, model: RFDSM, starts: int) -> np.ndarray:
    """Points spread evenly over the unit box (Roberts' sequence), after the model's own."""
    k = len(variables.names)
    base = 2.0
    for _ in range(64):
        base = (1 + base) ** (1 / (k + 1))
    steps = base ** -np.arange(1.0, k + 1)
    points = (0.5 + np.arange(starts)[:, None] * steps) % 1
    points[0] = variables.coordinates({n: value_of(model, n) for n in variables.names})
    return points
