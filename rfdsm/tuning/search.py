"""The search: starts are screened together, the best followed, and their ends are optima."""

import dataclasses
import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from itertools import islice, product
from typing import NamedTuple

import numpy as np

from ..model import RFDSM
from ..parameters.numbers import value_of
from ..progress import Progress, Report
from .descent import SNAP, End, Evaluation, finish, kkt, lowest, side_by_side, slsqp
from .optima import Optimum, distinct
from .problem import Problem, evaluate, explored, prepare
from .surrogate import Added, expanded
from .variables import Variables

MEASURED_STARTS = 4  # of a search with moments: the Gaussian theory's best optima,
GAUSSIAN_STARTS = 64  # which are found from at most so many
DEAR, BACK = 12, 0.3  # solves of moments from each, at most; what is left of a step too far
SETTLED, MET = 1e-6, 1e-8  # slope over f, and violation, at which these have an optimum
FOLLOWED = 16  # starts that are followed, of all that are screened
# Of ends this close in the unit box Newton's steps follow the best only, and of those that are
# so in their values (relative: the floor of a flat valley, or optima all but equal) a few.
SAME_PLACE, SAME_FLOOR, OF_FLOOR = 1e-2, 1e-5, 2
HOPELESS = 1e-2  # a violation that Newton's steps do not mend
FEASIBLE = 1e-10  # violation of a constraint over the larger of its bound and 1
SMALL_INTEGERS = 8  # whole numbers that are tried whatever the optimum
NEIGHBOURS = 3  # integers on both sides of the best that are tried


class Infeasible(ValueError):
    """No point within the bounds was found at which all constraints hold."""


class Case(NamedTuple):
    """A problem at some bounds of its constraints, and where to start.

    Attributes:
        problem: what is searched.
        bounds: of the constraints, shape (constraints,).
        free: which variables are not held, shape (k,).
        starts: evaluated.
    """

    problem: Problem
    bounds: np.ndarray
    free: np.ndarray
    starts: Sequence[Evaluation]

    def rows(self, z: np.ndarray) -> np.ndarray:
        """What `evaluate` takes, of points."""
        return np.column_stack([z, np.tile(self.bounds, (len(z), 1))])

    def optimum(self, end: End) -> Optimum:
        """The optimum at an end."""
        at, numbers = end.at, self.problem.variables.numbers(end.at.z)
        first_order = end.stationarity / max(abs(at.f), 1e-300)
        return Optimum(float(at.f), numbers, at.goals, first_order, self.bounds, self.free, end)


def case_at(
    problem: Problem, z: np.ndarray, bounds: np.ndarray, held: Mapping[str, float] = {}
) -> Case:
    """The case that starts at points, shape (rows, k), some variables held at a number."""
    z, free = np.array(z, float), np.ones(len(problem.variables.names), bool)
    for name, value in held.items():
        i = problem.variables.names.index(name)
        z[:, i] = problem.variables.coordinate(name, value)
        free[i] = False
    case = Case(problem, bounds, free, ())
    return case._replace(starts=evaluate(problem, case.rows(z)))


def solve(
    problem: Problem, bounds: np.ndarray, points: np.ndarray, report: Report
) -> list[Optimum]:
    """All optima found from all points, shape (starts, k), the best first.

    Raises:
        Infeasible: there is none.
    """
    if problem.road is not None:
        return _measured(problem, bounds, points, report)
    report(Progress("start", 0, len(points)))
    # While a program is compiled or loaded: it takes longer than all of the package.
    threading.Thread(target=import_module, args=("scipy.optimize",)).start()
    case, ways = case_at(problem, points, bounds), None
    if problem.optimizer is not None:
        ways = np.asarray(explored(problem, points, bounds, scale_of(case.starts)))
        case = case_at(problem, ways[:, -1], bounds)
    case = case._replace(starts=promising(case.starts, FOLLOWED))
    (found,) = local([case], report)
    if not found:
        (found,) = local([_rescued(case, report)], report)
    if not found:
        raise Infeasible("feasible points were found, but no optimum among them.")
    if ways is not None:  # the way of the best begins where its start did
        begun = found[0].end.way[0].z
        row = np.argmin(np.abs(ways[:, -1] - begun).max(axis=1))
        found[0] = found[0].after(case_at(problem, ways[row], bounds).starts)
    return found


def local(cases: Sequence[Case], report: Report, stage: str = "search") -> list[list[Optimum]]:
    """The feasible optima that each case's starts lead to, the best first.

    All starts of all cases advance side by side.
    """
    scale = scale_of([start for case in cases for start in case.starts])
    starts = [[at for at in case.starts if at.finite] for case in cases]
    ways = _ask(cases, starts, slsqp, scale, report, stage)
    apart = [_apart(each, case.free) for case, each in zip(cases, ways, strict=True)]
    ends = _ask(cases, apart, finish, scale, report, stage)
    return [
        distinct([case.optimum(end) for end in each if end.at.violation <= FEASIBLE])
        for case, each in zip(cases, ends, strict=True)
    ]


def _ask(cases: Sequence[Case], items: Sequence[Sequence], run, scale, report, stage) -> list:
    """`run(ask, item, free, scale)` for all items of every case, side by side."""

    def asked(ask, case, item):
        return run(lambda z: ask(case.rows(z)), item, case.free, scale)

    pairs = [(c, item) for c, each in zip(cases, items, strict=True) for item in each]
    results = side_by_side(
        partial(evaluate, cases[0].problem),
        [partial(asked, case=case, item=item) for case, item in pairs],
        lambda done: report(Progress(stage, done, len(pairs))),
    )
    left = iter(results)
    return [list(islice(left, len(each))) for each in items]


def _apart(ways: Sequence[list[Evaluation]], free: np.ndarray) -> list[list[Evaluation]]:
    """The best of the ways that lead to one place, a few to one floor, and none far out."""
    kept: list[tuple[Evaluation, list[Evaluation]]] = []

    def known(at):
        near = (np.max(np.abs(at.z - other.z)) <= SAME_PLACE for other, _ in kept)
        level = (abs(at.f - other.f) <= SAME_FLOOR * abs(at.f) for other, _ in kept)
        return any(near) or sum(level) >= OF_FLOOR

    ends = [(lowest(way, free), way) for way in ways]
    for at, way in sorted(ends, key=lambda end: (end[0].violation > FEASIBLE, end[0].f)):
        if at.violation <= HOPELESS and not known(at):
            kept.append((at, way))
    return [way for _, way in kept]


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
        cases = [case_at(cheap, starts, bounds, {**held, **whole}) for whole in new]
        found = local(cases, report, f"integer {', '.join(names)}") if cases else []
        for whole, optima in zip(new, found, strict=True):
            best = optima[0] if optima else None
            exact = best and best._replace(numbers={**best.numbers, **held, **whole})
            tried[tuple(whole.values())] = exact
        return min(filter(None, tried.values()), key=lambda o: o.value, default=None)

    cheap = problem.cheap(around[0].added) if problem.road is not None else problem
    near = [{w for o in around[:3] for w in _whole(o.numbers[name])} for name in names]
    best = attempt(*({math.inf, *range(1, SMALL_INTEGERS + 1), *each} for each in near))
    last = None
    while best is not last:
        steps = range(-NEIGHBOURS, NEIGHBOURS + 1)
        last, best = best, attempt(*({best.numbers[name] + s for s in steps} for name in names))
    return best and _as_measured(problem, best, around[0], report, held, names)


def _as_measured(problem, best, found, report, held, names) -> Optimum | None:
    """The best integer optimum with its moments solved; that of the search where it is this."""
    if problem.road is None:
        return best
    exact = {**held, **{name: best.numbers[name] for name in names}}
    if np.max(np.abs(best.z - found.z)) <= SETTLED:
        return found._replace(numbers={**found.numbers, **exact})
    settle = settled(problem, best._replace(added=found.added), report, exact)
    return settle and settle._replace(numbers={**settle.numbers, **exact})


def _whole(x: float) -> set[float]:
    """Whole numbers beside one, or itself where it is infinite."""
    return {x} if math.isinf(x) else {round(x), math.floor(x), math.ceil(x)}


def expansion(problem: Problem, z: np.ndarray, bounds: np.ndarray) -> Added | None:
    """What moments add to the Gaussian theory at a point (1, k); None where not solved."""
    at, below = (case_at(each, z, bounds).starts[0] for each in (problem, problem.cheap()))
    return expanded(at, below) if at.finite and below.finite else None


def _gaussian_optima(problem: Problem, bounds, points, report) -> list[Optimum]:
    """The optima of the Gaussian theory, or where it has none with what moments add to it."""
    try:
        return solve(problem.cheap(), bounds, points, report)
    except Infeasible:  # what the Gaussian theory cannot, measured moments may
        if (added := expansion(problem, points[:1], bounds)) is None:
            raise
        starts = solve(problem.cheap(added), bounds, points, report)
        return [each._replace(added=added) for each in starts]


def _measured(problem: Problem, bounds, points, report) -> list[Optimum]:
    """`solve` where solves are dear: from the optima of the Gaussian theory."""
    points = points[:GAUSSIAN_STARTS]
    with ThreadPoolExecutor(1) as beside:  # its program, which takes as long to compile
        beside.submit(prepare, problem)
        starts = _gaussian_optima(problem, bounds, points, report)
    found = [settled(problem, each, report) for each in starts[:MEASURED_STARTS]]
    if not any(found):
        raise Infeasible("feasible points were found, but no optimum among them.")
    return distinct(list(filter(None, found)))


def settled(
    problem: Problem, start: Optimum, report: Report, held: Mapping[str, float] = {}
) -> Optimum | None:
    """The optimum of a problem with moments, from one of what is cheap; see `surrogate`.

    None where the moments are not solved, or nothing feasible is reached.

    Raises:
        Infeasible: no feasible point was found near it.
    """
    if problem.road is None:
        return start
    z, added, best = start.z, start.added, None
    way: list[Evaluation] = []
    for number in range(DEAR):
        report(Progress("solves of measured moments", number, DEAR))
        case = case_at(problem, z[None], start.bounds, held)
        (at,) = case.starts
        (below,) = case_at(problem.cheap(), z[None], start.bounds, held).starts
        known = at.finite and below.finite
        if best is None and not known:
            return None
        way += [at] if known else []
        if best is None or (known and lowest([best.end.at, at], case.free) is at):
            added = expanded(at, below, added)
            case = case._replace(problem=problem.cheap(added), starts=[at])
            best, z = _settling(case, way, report)
            best = best._replace(added=added)
        else:
            z = best.z + BACK * (z - best.z)
        done = best.first_order <= SETTLED and best.end.at.violation <= MET
        if done or np.max(np.abs(z - best.z)) <= SNAP:
            break
    return best if best.end.at.violation <= SETTLED else None


def _settling(case: Case, way: Sequence[Evaluation], report) -> tuple[Optimum, np.ndarray]:
    """The one start of a case as an optimum, and where what is cheap would move it."""
    (at,) = case.starts
    (found,) = local([case], report)
    if not found:
        (found,) = local([_rescued(case, report)], report)
    if not found:
        raise Infeasible("feasible points were found, but no optimum among them.")
    multipliers, stationarity = kkt(at, case.free)
    end = End(at, multipliers[: len(at.g)], stationarity, found[0].end.hessian, tuple(way))
    return case.optimum(end), found[0].z


def _rescued(case: Case, report: Report) -> Case:
    """The case from feasible points, which are looked for alone: Σ max(0, g)² is made small.

    Raises:
        Infeasible: none was found.
    """

    def broken(at):
        over = np.maximum(0.0, at.g)
        f, df = float(over @ over), 2 * over @ at.dg
        return at._replace(f=f, df=df, g=at.g[:0], dg=at.dg[:0], errors=at)

    def run(ask, start, free, scale):
        way = [broken(start)]
        for _ in range(3):  # what it knows of curvature may be wrong
            asked = lambda z: [broken(at) for at in ask(z)]  # noqa: E731
            way += slsqp(asked, lowest(way, free), free, scale, 1e-20)[1:]
        return min((at.errors for at in way if at.finite), key=lambda at: at.violation)

    starts = [at for at in case.starts if at.finite]
    (reached,) = _ask([case], [starts], run, 1.0, report, "feasible points")
    if not reached:
        raise Infeasible("no start could be solved while looking for a feasible point.")
    closest = min(reached, key=lambda at: at.violation)
    if closest.violation <= HOPELESS:
        return case._replace(starts=reached)
    worst, constraints = int(np.argmax(closest.g)), case.problem.constraints
    label = dataclasses.replace(constraints[worst], bound=case.bounds[worst]).label
    numbers = case.problem.variables.numbers(closest.z).items()
    others = ";" if len(constraints) == 1 else ", beside the other constraints;"
    raise Infeasible(
        f"no feasible point within the bounds: {label} cannot be reached{others} "
        f"closest was {closest.goals[worst]:.6g} at "
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
