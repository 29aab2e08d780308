"""The search: starts are screened together, the best followed, and their ends are optima."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..model import RFDSM
from ..parameters.numbers import value_of
from ..progress import Progress, Report
from .descent import TOUCHING, Evaluation, finish, lowest, side_by_side, slsqp
from .optima import Optimum, distinct, optimum
from .problem import Problem, evaluate, explored, scales
from .variables import Variables

MEASURED_STARTS = 4  # of a search with moments: the Gaussian theory's best optima,
GAUSSIAN_STARTS = 64  # which are found from at most so many
FOLLOWED = 16  # starts that are followed, of all that are screened
# Of ends this close in the unit box, or in their values (relative: the floor of a flat valley),
SAME_PLACE, SAME_FLOOR = 1e-2, 1e-5  # Newton's steps follow the best only.
HOPELESS = 1e-2  # a violation that Newton's steps do not mend
FEASIBLE = 1e-10  # violation of a constraint over the larger of its bound and 1
SMALL_INTEGERS = 8  # whole numbers that are tried whatever the optimum
NEIGHBOURS = 3  # integers on both sides of the best that are tried


class Infeasible(ValueError):
    """No point within the bounds was found at which all constraints hold."""


class Case(NamedTuple):
    """A problem at some bounds of its constraints, and where to start.

    Attributes:
        bounds: of the constraints, shape (constraints,).
        free: which variables are not held, shape (k,).
        starts: evaluated, the best first.
    """

    bounds: np.ndarray
    free: np.ndarray
    starts: Sequence[Evaluation]

    def hopeful(self, at: Evaluation) -> bool:
        """Whether a start is solved, and all that its free variables do not move holds."""
        fixed = np.all(at.dg[:, self.free] == 0, axis=1)
        return at.finite and not np.any(fixed & (at.g > TOUCHING))

    def apart(self, ways: Iterable[list[Evaluation]]) -> list[list[Evaluation]]:
        """The best of the ways that lead to one place or floor, and none far out."""
        ends = [(lowest(way, self.free), way) for way in ways]
        ends.sort(key=lambda end: (end[0].violation > FEASIBLE, end[0].f))
        kept: list[tuple[Evaluation, list[Evaluation]]] = []

        def known(at):
            near = (np.max(np.abs(at.z - other.z)) <= SAME_PLACE for other, _ in kept)
            level = (abs(at.f - other.f) <= SAME_FLOOR * abs(at.f) for other, _ in kept)
            return any(near) or any(level)

        for at, way in ends:
            if at.violation <= HOPELESS and not known(at):
                kept.append((at, way))
        return [way for _, way in kept]


def case_at(
    problem: Problem, z: np.ndarray, bounds: np.ndarray, held: Mapping[str, float] = {}
) -> Case:
    """The case that starts at points, shape (rows, k), some variables held at a number."""
    z, free = np.array(z, float), np.ones(len(problem.variables.names), bool)
    for name, value in held.items():
        i = problem.variables.names.index(name)
        z[:, i] = problem.variables.coordinate(name, value)
        free[i] = False
    return Case(bounds, free, [problem.evaluation(s, bounds) for s in evaluate(problem, z)])


def solve(
    problem: Problem, bounds: np.ndarray, points: np.ndarray, report: Report
) -> list[Optimum]:
    """All optima found from all points, shape (starts, k), the best first.

    Raises:
        Infeasible: there is none.
    """
    if problem.road is not None:
        points = _gaussian_optima(problem, bounds, points, report)
    report(Progress("start", 0, len(points)))
    case, ways = case_at(problem, points, bounds), None
    if problem.optimizer is not None:
        ways = np.asarray(
            explored(problem, points, bounds, scales(bounds), scale_of(case.starts))
        )
        case = case_at(problem, ways[:, -1], bounds)
    case = case._replace(starts=promising(case.starts, FOLLOWED))
    (found,) = local(problem, [case], report)
    if not found:
        (found,) = local(problem, [_rescued(problem, case, report)], report)
    if not found:
        raise Infeasible("feasible points were found, but no optimum among them.")
    if ways is not None:  # the way of the best begins where its start did
        begun = found[0].end.way[0].z
        row = np.argmin(np.abs(ways[:, -1] - begun).max(axis=1))
        found[0] = found[0].after(case_at(problem, ways[row], bounds).starts)
    return found


def local(
    problem: Problem, cases: Sequence[Case], report: Report, stage: str = "search"
) -> list[list[Optimum]]:
    """The feasible optima that each case's starts lead to, the best first.

    All starts of all cases advance side by side.
    """
    scale = scale_of([start for case in cases for start in case.starts])
    starts = [(i, at) for i, case in enumerate(cases) for at in case.starts if case.hopeful(at)]

    def down(ask, case, start):
        return slsqp(ask, start, case.free, scale)

    def final(ask, case, way):
        return finish(ask, way, case.free, scale)

    ways = _ask(problem, cases, starts, down, report, stage)
    apart = [
        (i, way)
        for i, case in enumerate(cases)
        for way in case.apart(w for j, w in ways if j == i)
    ]
    found: list[list[Optimum]] = [[] for _ in cases]
    for i, end in _ask(problem, cases, apart, final, report, stage):
        if end.at.violation <= FEASIBLE:
            found[i].append(optimum(problem.variables, end, cases[i].bounds, cases[i].free))
    return [distinct(optima) for optima in found]


def _ask(problem, cases, items, run, report, stage) -> list[tuple[int, Any]]:
    """`run(ask, case, item)` of numbered cases' items, all side by side; numbered likewise."""

    def asked(ask, i, item):
        case = cases[i]
        return run(lambda z: [problem.evaluation(s, case.bounds) for s in ask(z)], case, item)

    results = side_by_side(
        partial(evaluate, problem),
        [partial(asked, i=i, item=item) for i, item in items],
        lambda done: report(Progress(stage, done, len(items))),
    )
    return [(i, result) for (i, _), result in zip(items, results, strict=True)]


def promising(starts: Sequence[Evaluation], count: int) -> list[Evaluation]:
    """The best starts that are apart from each other."""
    scale = scale_of(starts)
    good = sorted(
        (at for at in starts if at.finite), key=lambda at: at.f / scale + at.violation
    )
    kept: list[Evaluation] = []
    for at in good:
        apart = 0.5 * count ** (-1 / len(at.z))
        if len(kept) < count and all(np.max(np.abs(at.z - o.z)) > apart for o in kept):
            kept.append(at)
    return kept


def scale_of(starts: Sequence[Evaluation]) -> float:
    """The objective's size at some starts."""
    sizes = [abs(at.f) for at in starts if math.isfinite(at.f)]
    if not sizes:
        raise ValueError(
            f"the objective is not finite at any of the {len(starts)} starts: look at "
            "model.solve().status at some numbers within the bounds."
        )
    return float(np.median(sizes)) or 1.0


def integer(
    problem: Problem,
    around: Sequence[Optimum],
    report: Report,
    held: Mapping[str, float] = {},
) -> Optimum | None:
    """The best optimum at which m is an integer (or infinite), the others tuned again.

    And likewise any other number that networks need whole.

    Args:
        problem: what is searched. report: called with `Progress`.
        around: optima that suggest integers and starts. held: other variables that are held.
    """
    variables, bounds = problem.variables, around[0].bounds
    names = [name for name in variables.integer if name not in held]
    limits = [variables.bounds(name) for name in names]
    starts = np.stack([o.z for o in around[:3]])
    tried: dict[tuple[float, ...], Optimum | None] = {}

    def attempt(*choices: set[float]) -> Optimum | None:
        """The best of all that were tried, these choices of each number among them."""
        within = [
            {x for x in c if a <= x <= b} for c, (a, b) in zip(choices, limits, strict=True)
        ]
        new = [dict(zip(names, c, strict=True)) for c in sorted({*product(*within)} - {*tried})]
        cases = [case_at(problem, starts, bounds, {**held, **whole}) for whole in new]
        found = local(problem, cases, report, f"integer {', '.join(names)}") if cases else []
        for whole, optima in zip(new, found, strict=True):
            best = optima[0] if optima else None
            exact = best and best._replace(numbers={**best.numbers, **held, **whole})
            tried[tuple(whole.values())] = exact
        return min(filter(None, tried.values()), key=lambda o: o.value, default=None)

    near = [{w for o in around[:3] for w in _whole(o.numbers[name])} for name in names]
    if problem.road is not None:  # dear: only around the optima
        return attempt(*({math.inf, *each} for each in near))
    best = attempt(*({math.inf, *range(1, SMALL_INTEGERS + 1), *each} for each in near))
    last = None
    while best is not last:
        steps = range(-NEIGHBOURS, NEIGHBOURS + 1)
        last, best = best, attempt(*({best.numbers[name] + s for s in steps} for name in names))
    return best


def _whole(x: float) -> set[float]:
    """Whole numbers beside one, or itself where it is infinite."""
    return {x} if math.isinf(x) else {round(x), math.floor(x), math.ceil(x)}


def _gaussian_optima(problem: Problem, bounds, points, report) -> np.ndarray:
    """Where the search with moments starts."""
    plain = dataclasses.replace(problem, road=None, road_arguments=(), optimizer=None)
    try:
        found = solve(plain, bounds, points[:GAUSSIAN_STARTS], report)
    except Infeasible:  # what the Gaussian theory cannot, measured moments may
        return points[:MEASURED_STARTS]
    return np.stack([o.z for o in found[:MEASURED_STARTS]])


def _rescued(problem: Problem, case: Case, report: Report) -> Case:
    """The case from feasible points, which are looked for alone: Σ max(0, g)² is made small.

    Raises:
        Infeasible: none was found.
    """

    def broken(at):
        over = np.maximum(0.0, at.g)
        nothing = at._replace(g=at.g[:0], dg=at.dg[:0], seen=at)
        return nothing._replace(f=float(over @ over), df=2 * over @ at.dg)

    def run(ask, case, start):
        ways = [broken(start)]
        for _ in range(3):  # what it knows of curvature may be wrong
            asked = lambda z: [broken(at) for at in ask(z)]  # noqa: E731
            ways += slsqp(asked, lowest(ways, case.free), case.free, 1.0, 1e-20)[1:]
        return min((at.seen for at in ways if at.finite), key=lambda at: at.violation)

    starts = [(0, at) for at in case.starts if case.hopeful(at)]
    reached = [at for _, at in _ask(problem, [case], starts, run, report, "feasible points")]
    if not any(at.violation <= HOPELESS for at in reached):
        raise Infeasible(_in_the_way(problem, reached, case.bounds))
    return case._replace(starts=sorted(reached, key=lambda at: at.violation))


def _in_the_way(problem: Problem, reached: Sequence[Evaluation], bounds: np.ndarray) -> str:
    """A line on the constraint that stands in the way, and the closest value reached."""
    if not reached:
        return "no start could be solved while looking for a feasible point."
    closest = min(reached, key=lambda at: at.violation)
    worst = int(np.argmax(closest.g))
    constraint = dataclasses.replace(problem.constraints[worst], bound=bounds[worst])
    numbers = problem.variables.numbers(closest.z).items()
    others = ";" if len(problem.constraints) == 1 else ", beside the other constraints;"
    return (
        f"no feasible point within the bounds: {constraint.label} cannot be reached{others} "
        f"closest was {closest.seen.values[1 + worst]:.6g} at "
        f"{', '.join(f'{n} = {v:.4g}' for n, v in numbers)}: loosen it or the bounds."
    )


def spread(variables: Variables, model: RFDSM, starts: int) -> np.ndarray:
    """Points spread evenly over the unit box (Roberts' sequence), after the model's own."""
    k = len(variables.names)
    base = 2.0
    for _ in range(64):
        base = (1 + base) ** (1 / (k + 1))
    steps = base ** -np.arange(1.0, k + 1)
    points = (0.5 + np.arange(starts)[:, None] * steps) % 1
    points[0] = variables.coordinates({n: value_of(model, n) for n in variables.names})
    return points
