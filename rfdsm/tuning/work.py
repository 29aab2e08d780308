"""A problem under way: starts go to the local search, optima come out."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np

from ..model import RFDSM
from ..parameters.numbers import value_of
from ..progress import Progress, Report
from . import search
from .descent import End, Evaluation, descend, kkt, least_violation
from .optima import Optimum, distinct, optimum
from .search import Problem, residuals, scales
from .variables import Variables

MEASURED_STARTS = 4  # of a search with moments: the Gaussian theory's best optima,
GAUSSIAN_STARTS = 64  # which are found from at most so many
FOLLOWED = 32  # starts that are followed, of all that are evaluated
FEASIBLE = 1e-10  # violation of a constraint over the larger of its bound and 1
SAME_END, STATIONARY = 0.01, 1e-6  # a start this close to such an end leads there
SMALL_INTEGERS = 8  # whole numbers that are tried whatever the optimum
NEIGHBOURS = 3  # integers on both sides of the best that are tried


class Infeasible(ValueError):
    """No point within the bounds was found at which all constraints hold."""


class Search:
    """A problem under way: starts in, optima out. What `tuned`, `verify` and `pareto` ask.

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

    def evaluate(self, z: np.ndarray, bounds: np.ndarray) -> list[Evaluation]:
        """The scaled problem at points, shape (rows, k), with these bounds of constraints."""
        constraints = self.problem.constraints
        senses = np.array([float(c.sense) for c in constraints])
        unit = np.maximum(1.0, 1 / scales(bounds))
        found = []
        for point, seen in zip(z, search.evaluate(self.problem, z), strict=True):
            g = residuals(constraints, seen.values[1:], bounds)
            # d asinh(x) = dx / √(1 + x²) = dx / cosh(asinh x)
            outer = senses / (scales(bounds) * np.cosh(g))
            found.append(
                Evaluation(
                    z=point,
                    f=float(seen.values[0]) / self.scale,
                    df=seen.slopes[0] / self.scale,
                    g=g,
                    dg=outer[:, None] * seen.slopes[1:],
                    violation=float(np.max(g / unit, initial=0.0)),
                    seen=seen,
                )
            )
        return found

    def solve(self, bounds: np.ndarray) -> list[Optimum]:
        """All optima found from all starts, the best first.

        Raises:
            Infeasible: there is none.
        """
        points = self.points
        if self.problem.road is not None:
            points = self._gaussian_optima(bounds)
        self.measure_scale(points)
        ways = None
        if self.problem.optimizer is not None:
            ways = np.asarray(search.explored(self.problem, points, bounds, self.scale))
            points = ways[-1]
        starts = self._promising(self.evaluate(points, bounds))
        ends = self.ends(starts, bounds) or self._rescued(starts, bounds)
        if ways is not None:  # the way of each begins where its start did
            for i, end in enumerate(ends):
                row = np.argmin(np.abs(points - end.way[0].z).max(axis=1))
                before = self.evaluate(ways[:, row], bounds)
                ends[i] = end._replace(way=(*before, *end.way))
        return self._optima(ends, bounds)

    def local(
        self, points: np.ndarray, bounds: np.ndarray, held: Mapping[str, float] | None = None
    ) -> list[Optimum]:
        """The feasible optima that points lead to, some variables held at a number."""
        points, free = np.array(points, float), np.ones(self.k, bool)
        for name, value in (held or {}).items():
            i = self.problem.variables.names.index(name)
            points[:, i] = self.problem.variables.coordinate(name, value)
            free[i] = False
        return self._optima(self.ends(self.evaluate(points, bounds), bounds, free), bounds)

    def ends(
        self,
        starts: Sequence[Evaluation],
        bounds: np.ndarray,
        free: np.ndarray | None = None,
    ) -> list[End]:
        """The feasible ends that starts lead to, each once."""
        free = np.ones(self.k, bool) if free is None else free
        found: list[End] = []
        known = np.zeros((0, self.k))

        def leave(at):
            return bool(np.any(np.abs(known - at.z).max(axis=1, initial=0.0) <= SAME_END))

        for number, start in enumerate(starts):
            # What no free variable moves must hold already (a budget of what is held).
            fixed = np.all(start.dg[:, free] == 0, axis=1) & (start.g > 0)
            if start.finite and not fixed.any() and not leave(start):
                end = descend(lambda z: self.evaluate(z[None], bounds)[0], start, free, leave)
                if end is not None and end.at.violation <= FEASIBLE:
                    found.append(end)
                    if end.stationarity <= STATIONARY:
                        known = np.vstack([known, end.at.z])
            self.report(Progress("search", number + 1, len(starts)))
        return found

    def _optima(self, ends: Sequence[End], bounds: np.ndarray) -> list[Optimum]:
        return distinct([optimum(self.problem.variables, self.scale, bounds, e) for e in ends])

    def _promising(self, screened: Sequence[Evaluation]) -> list[Evaluation]:
        """The starts that are followed: good ones, apart from each other."""
        good = [at for at in screened if at.finite]
        good.sort(key=lambda at: at.f + at.violation)
        apart = 0.5 * FOLLOWED ** (-1 / self.k)
        kept: list[Evaluation] = []
        for at in good:
            if len(kept) < FOLLOWED and all(
                np.max(np.abs(at.z - other.z)) > apart for other in kept
            ):
                kept.append(at)
        return kept

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
                for choice, whole in zip(new, wholes, strict=True):
                    best = next(iter(self.local(starts, bounds, held | whole)), None)
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

    def measure_scale(self, points: np.ndarray) -> None:
        """Take the objective's size at these points for its scale."""
        values = np.array([seen.values[0] for seen in search.evaluate(self.problem, points)])
        sizes = np.abs(values[np.isfinite(values)])
        if not sizes.size:
            raise ValueError(
                f"the objective is not finite at any of the {len(points)} starts: look at "
                "model.solve().status at some numbers within the bounds."
            )
        self.scale = float(np.median(sizes)) or 1.0

    def _rescued(self, starts: Sequence[Evaluation], bounds: np.ndarray) -> list[End]:
        """Ends from feasible points, which are looked for alone.

        Raises:
            Infeasible: none was found.
        """
        free, unit = np.ones(self.k, bool), np.maximum(1.0, 1 / scales(bounds))
        reached = []
        for number, start in enumerate(starts):
            reached.append(
                least_violation(lambda z: self.evaluate(z[None], bounds)[0], start, free, unit)
            )
            self.report(Progress("feasible points", number + 1, len(starts)))
        there = [at for at in reached if at.violation <= FEASIBLE]
        if not there:
            raise Infeasible(_in_the_way(self.problem, reached, bounds))
        return self.ends(there, bounds) or [End(at, *kkt(at, free), (at,)) for at in there]


def _in_the_way(problem: Problem, reached: Sequence[Evaluation], bounds: np.ndarray) -> str:
    """A line on the constraint that stands in the way, and the closest value reached."""
    if not reached:
        return "no start could be solved while looking for a feasible point."
    closest = min(reached, key=lambda at: at.violation)
    worst = int(np.argmax(closest.g))
    constraint = dataclasses.replace(problem.constraints[worst], bound=bounds[worst])
    numbers = ", ".join(
        f"{n} = {v:.4g}" for n, v in problem.variables.numbers(closest.z).items()
    )
    others = ";" if len(problem.constraints) == 1 else ", beside the other constraints;"
    return (
        f"no feasible point within the bounds: {constraint.label} cannot be reached{others} "
        f"closest was {closest.seen.values[1 + worst]:.6g} at {numbers}: loosen it or the "
        "bounds."
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
