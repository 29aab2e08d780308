"""The search: starts are screened together, the best followed, and their ends are optima."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np

from ..model import RFDSM
from ..parameters.numbers import value_of
from ..progress import Progress, Report
from .descent import Evaluation, finish, lowest, side_by_side, slsqp
from .optima import Optimum, distinct, optimum
from .problem import Problem, evaluate, explored
from .variables import Variables

MEASURED_STARTS = 4  # of a search with moments: the Gaussian theory's best optima,
GAUSSIAN_STARTS = 64  # which are found from at most so many
FOLLOWED, TOGETHER = 16, 8  # starts that are followed, of all that are screened; at once
SAME_END = 0.01  # distance in the unit box to an end, at which a start counts as led there
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
    case = case_at(problem, points, bounds)
    ways = None
    if problem.optimizer is not None:
        ways = np.asarray(explored(problem, points, bounds, _scale(case.starts)))
        case = case_at(problem, ways[:, -1], bounds)
    case = case._replace(starts=promising(case.starts, FOLLOWED))
    (found,) = local(problem, [case], report)
    if not found:
        (found,) = local(problem, [_rescued(problem, case, report)], report)
    if not found:
        raise Infeasible("feasible points were found, but no optimum among them.")
    if ways is not None:  # the way of the best begins where its start did
        row = np.argmin(np.abs(ways[:, -1] - found[0].path[0]).max(axis=1))
        found[0] = found[0].after(case_at(problem, ways[row], bounds).starts)
    return found


def local(
    problem: Problem, cases: Sequence[Case], report: Report, stage: str = "search"
) -> list[list[Optimum]]:
    """The feasible optima that each case's starts lead to, the best first.

    All cases' starts advance side by side; who comes near a known end of its case is given up.
    """
    scale = _scale([start for case in cases for start in case.starts])
    found: list[list[Optimum]] = [[] for _ in cases]
    most = max(len(case.starts) for case in cases)
    for first in range(0, most, TOGETHER):
        report(Progress(stage, first, most))
        waves = [_starts(case, found[i], first) for i, case in enumerate(cases)]
        ways = _asking(problem, cases, waves, partial(_way, found, scale))
        ends = _asking(problem, cases, map(_apart, cases, ways), partial(_end, scale))
        for i, case in enumerate(cases):
            good = [end for end in ends[i] if end.at.violation <= FEASIBLE]
            new = [optimum(problem.variables, end, case.bounds, case.free) for end in good]
            found[i] = distinct([*found[i], *new])
    report(Progress(stage, most, most))
    return found


def _asking(problem, cases, waves, run) -> list[list]:
    """`run(ask, i, case, each)` for each of every case's wave, all side by side."""

    def asked(ask, i, case, each):
        bounds = case.bounds
        return run(lambda z: [problem.evaluation(s, bounds) for s in ask(z)], i, case, each)

    of = [(i, each) for i, wave in enumerate(waves) for each in wave]
    runs = [partial(asked, i=i, case=cases[i], each=each) for i, each in of]
    results = side_by_side(partial(evaluate, problem), runs)
    return [
        [r for (j, _), r in zip(of, results, strict=True) if i == j] for i in range(len(cases))
    ]


def _near(found: Sequence[Optimum], at: Evaluation) -> bool:
    return any(np.max(np.abs(o.z - at.z)) <= SAME_END for o in found)


def _starts(case: Case, found: Sequence[Optimum], first: int) -> list[Evaluation]:
    """The next starts, without those that are near an end, or cannot be mended.

    What no free variable moves must hold already (a budget of what is held).
    """

    def hopeless(at):
        return np.any(
            np.all(at.dg[:, case.free] == 0, axis=1) & (at.violation > FEASIBLE) & (at.g > 0)
        )

    starts = case.starts[first : first + TOGETHER]
    return [at for at in starts if at.finite and not hopeless(at) and not _near(found, at)]


def _way(found, scale, ask, i, case, start) -> list[Evaluation]:
    if not case.free.any():
        return [start]
    known = tuple(found[i])
    return slsqp(ask, start, case.free, scale, leave=lambda at: _near(known, at))


def _end(scale, ask, i, case, way):
    return finish(ask, way, case.free, scale)


def _apart(case: Case, ways: Sequence[list[Evaluation]]) -> list[list[Evaluation]]:
    """Ways to different places, and not to hopeless ones."""
    kept: list[tuple[Evaluation, list[Evaluation]]] = []
    ends = [(lowest(way, case.free), way) for way in ways]
    for at, way in sorted(ends, key=lambda end: (end[0].violation > FEASIBLE, end[0].f)):
        near = any(np.max(np.abs(at.z - other.z)) <= SAME_END for other, _ in kept)
        if not near and at.violation <= HOPELESS:
            kept.append((at, way))
    return [way for _, way in kept]


def promising(starts: Sequence[Evaluation], count: int) -> list[Evaluation]:
    """The best starts that are apart from each other."""
    scale = _scale(starts)
    good = sorted(
        (at for at in starts if at.finite), key=lambda at: at.f / scale + at.violation
    )
    kept: list[Evaluation] = []
    for at in good:
        apart = 0.5 * count ** (-1 / len(at.z))
        if len(kept) < count and all(np.max(np.abs(at.z - o.z)) > apart for o in kept):
            kept.append(at)
    return kept


def _scale(starts: Sequence[Evaluation]) -> float:
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

    def run(ask, i, case, start):
        ways = [broken(start)]
        for _ in range(3):  # what it knows of curvature may be wrong
            asked = lambda z: [broken(at) for at in ask(z)]  # noqa: E731
            ways += slsqp(asked, lowest(ways, case.free), case.free, 1.0, 1e-20)[1:]
        return min((at.seen for at in ways if at.finite), key=lambda at: at.violation)

    report(Progress("feasible points", 0, len(case.starts)))
    (reached,) = _asking(problem, [case], [_starts(case, [], 0)], run)
    report(Progress("feasible points", len(case.starts), len(case.starts)))
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
