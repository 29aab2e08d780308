"""Does an optimum stand? The chosen model and its neighbours, on trained networks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ..errors import FIELDS
from ..ingredients.data import Samples
from ..model import RFDSM
from ..parameters.checks import positive_integer
from ..parameters.scales import LINEAR
from ..progress import Progress, Report, Steps
from .goals import Goal, Point, Road
from .optima import Optimum
from .optimality import labels
from .problem import Problem
from .search import FEASIBLE, case_at, integer, local, settled, spread
from .variables import Variables

FROM_INFINITY = 8.0  # what an infinite number (of noises) moves to
SHARE = 0.25  # of the bounds' distance, times factor - 1: how far an evenly spaced number moves
STANDARD_ERRORS = 2.0  # by which a neighbour must be better to count


class Checked(NamedTuple):
    """A model on networks.

    Attributes:
        moved: the variable that was moved, and where to; None for the optimum itself.
        followed: whether the others were tuned again, the plain move breaking a constraint.
        numbers: of the free variables. theory: the objective that was predicted.
        simulated, standard_error: its mean over networks.
        better: how many standard errors it is below the optimum.
    """

    moved: str | None
    followed: bool
    numbers: dict[str, float]
    theory: float
    simulated: float
    standard_error: float
    better: float


class Kept(NamedTuple):
    """A constraint at the optimum, on networks.

    Attributes:
        theory, bound: what it bounds by theory, and the bound.
        mean, standard_error: over networks of dimension d.
        holds: on these, within 2 standard errors.
        limit, limit_error: of networks as d → ∞, from those of d and d/2, whose distance from
            it is O(1/d); looked at where it does not hold. None: not needed, or not known.
        stands: the theory's claim does: it holds, or by the limit within 2 of its errors.
    """

    theory: float
    bound: float
    mean: float
    standard_error: float
    holds: bool
    limit: float | None
    limit_error: float | None
    stands: bool


class Verification(NamedTuple):
    """The result of `Tuned.verify`.

    Attributes:
        optimum, neighbours: as simulated. stands: no neighbour is better by more than 2
            standard errors, and every constraint stands, see `Kept`: one that is broken at
            this d may by its limit, which the headline tells apart.
        left_out: moves at which no feasible model was found.
        constraints: what each constraint bounds, as (mean, standard error) at the optimum.
        d, trials: dimension and networks for each model.
        kept: more of each constraint, by the same names.
    """

    optimum: Checked
    neighbours: tuple[Checked, ...]
    stands: bool
    left_out: tuple[str, ...]
    constraints: dict[str, tuple[float, float]]
    d: int
    trials: int
    kept: dict[str, Kept]

    @property
    def broken(self) -> tuple[str, ...]:
        """The constraints that do not hold on networks of this dimension."""
        return tuple(name for name, each in self.kept.items() if not each.holds)

    def _mean(self, name: str) -> str:
        """What a constraint bounds, on networks."""
        kept = self.kept[name]
        bar = f" ± {kept.standard_error:.1g}" if kept.standard_error else ""
        return f"{kept.mean:.4g}{bar}"

    def _limit(self) -> str:
        """Of the constraints that are broken, in the limit of large d."""
        broken = [self.kept[name] for name in self.broken]
        if any(each.limit is None for each in broken):
            return "in the limit of large d that is not known"
        told = ", ".join(f"{each.limit:.4g} ± {each.limit_error:.1g}" for each in broken)
        if all(each.stands for each in broken):
            return f"in the limit of large d it holds within its error ({told})"
        return f"in the limit of large d too ({told})"

    def __repr__(self) -> str:
        told = [_line(c.moved or "optimum", c, c.simulated, c.followed)
                for c in (self.optimum, *self.neighbours)]  # fmt: skip
        for name, each in self.kept.items():
            line = _line(name, each, each.mean) + (": holds" if each.holds else ": broken")
            if each.limit is not None:
                line += f", as d → ∞ {each.limit:.5g} ± {each.limit_error:.1g}"
            told.append(line)
        told += [f"  {move}: no feasible model" for move in self.left_out]
        networks = f"{self.trials} networks each of d = {self.d}"
        if not self.broken:
            head = f"the optimum {'stands' if self.stands else 'does not stand'}: {networks}"
            return "\n".join([head, *told])
        breaks = ", ".join(f"{name} ({self._mean(name)})" for name in self.broken)
        better = any(c.better > STANDARD_ERRORS for c in self.neighbours)
        head = (
            f"breaks {breaks} at d = {self.d}; {self._limit()}, and "
            f"{'a' if better else 'no'} neighbour is better: {networks}"
        )
        return "\n".join([head, *told])


def _line(name: str, seen: Checked | Kept, mean: float, followed: bool = False) -> str:
    told = f"  {name:<28} theory {seen.theory:.5g}, networks {mean:.5g}"
    told += f" ± {seen.standard_error:.1g}" if seen.standard_error else ""
    return told + (" (others tuned again)" if followed else "")


def verify(
    problem: Problem,
    found: Sequence[Optimum],
    chosen: Mapping[str, float] | None,
    key: Any,
    d: int | None,
    trials: int,
    factor: float,
    report: Report,
) -> Verification:
    """`Tuned.verify`, of optima `found` and the `chosen` integer numbers."""
    if not factor > 1:
        raise ValueError(f"factor must be above 1, got {factor}.")
    if positive_integer(trials, "trials") < 2:
        raise ValueError("verify compares means by their spread: it needs at least 2 trials.")
    whole = problem.variables.integer
    if whole and chosen is None:
        raise ValueError(f"no integer {', '.join(whole)} is feasible, and networks need one.")
    base = {**(chosen if whole else found[0].numbers)}
    asked: list[tuple[str | None, bool, dict[str, float]]] = [(None, False, base)]
    left_out = []
    moves = list(_moves(problem.variables, base, factor))
    for number, (name, value) in enumerate(moves):
        report(Progress("neighbours", number, len(moves)))
        label, numbers = f"{name} = {value:.4g}", {**base, name: value}
        z = problem.variables.coordinates(numbers)[None]
        (at,) = case_at(problem, z, found[0].bounds).starts
        if at.finite and at.violation <= FEASIBLE:
            asked.append((label, False, numbers))
        elif followed := _follow(problem, found, {name: value}, report):
            asked.append((label, True, followed))
        else:
            left_out.append(label)
    told: list[tuple[str | None, bool, dict[str, float]]] = []
    for label, followed, numbers in asked:
        try:
            _networks(problem, numbers, key, d, trials)
            told.append((label, followed, numbers))
        except ValueError:
            if label is None:
                raise
            left_out.append(label)  # no network of this d is so small, say
    step = Steps(report, len(told))
    checked: list[Checked] = []
    constraints: dict[str, tuple[float, float]] = {}
    kept: dict[str, Kept] = {}
    for label, followed, numbers in told:
        step(f"networks, {label or 'the optimum'}")
        seen, theory, sizes = _seen(problem, numbers, key, d, trials)
        mean, bar = seen[0]
        if label is None:
            names = labels(problem, found[0].bounds)
            constraints = dict(zip(names, seen[1:], strict=True))
            kept = _kept(problem, found[0].bounds, numbers, seen, theory, key, sizes.d, trials)
            optimum = Checked(label, followed, numbers, theory[0], mean, bar, 0.0)
            continue
        spread = math.hypot(bar, optimum.standard_error)
        better = (optimum.simulated - mean) / spread if spread > 0 else 0.0
        checked.append(Checked(label, followed, numbers, theory[0], mean, bar, better))
    stands = all(c.better <= STANDARD_ERRORS for c in checked)
    stands = stands and all(each.stands for each in kept.values())
    about = tuple(checked), stands, tuple(left_out), constraints, sizes.d, trials, kept
    return Verification(optimum, *about)


def _networks(problem: Problem, numbers, key, d, trials) -> None:
    """Raise what simulating there would, before any work."""
    model = problem.model.replace(**numbers)
    jax.eval_shape(lambda key: model.simulate(key, d, trials), key)


def _seen(problem: Problem, numbers, key, d, trials) -> tuple[list, list[float], Any]:
    """Objective and what constraints bound: on networks, by theory; and the networks' sizes."""
    model = problem.model.replace(**numbers)
    runs = model.simulate(key, d, trials)

    def road(other):
        return runs if other is model else other.simulate(key, d, trials)

    goals = (problem.objective, *(c.goal for c in problem.constraints))
    theory = _theory(problem, model)
    return (
        [_simulated(goal, model, road) for goal in goals],
        [float(goal.value(theory)) for goal in goals],
        runs.sizes,
    )


def _kept(problem, bounds, numbers, seen, theory, key, d, trials) -> dict[str, Kept]:
    """What is known of each constraint, from networks as `_seen` has them."""
    senses, names = [c.sense for c in problem.constraints], labels(problem, bounds)
    half = None

    def within(sense, mean, error, bound):
        rounding = 1e-9 * max(abs(bound), 1.0)
        return bool(sense * (mean - bound) <= STANDARD_ERRORS * error + rounding)

    kept = {}
    for i, (name, sense) in enumerate(zip(names, senses, strict=True)):
        (mean, bar), bound = seen[i + 1], float(bounds[i])
        holds, limit, error = within(sense, mean, bar, bound), None, None
        stands = holds
        if not holds and half is None:
            half = _half(problem, numbers, key, d, trials)
        if not holds and half:
            # c/d is that at d/2 less that at d: the limit is 2 L(d) - L(d/2).
            limit = 2 * mean - half[i + 1][0]
            error = math.hypot(2 * bar, half[i + 1][1])
            stands = within(sense, limit, error, bound)
        kept[name] = Kept(theory[i + 1], bound, mean, bar, holds, limit, error, stands)
    return kept


def _half(problem: Problem, numbers, key, d, trials) -> list:
    """`_seen` on networks of half the dimension; empty where there are none."""
    if isinstance(problem.model.data, Samples) or d % 2:
        return []
    try:
        return _seen(problem, numbers, jax.random.fold_in(key, 2), d // 2, trials)[0]
    except ValueError:  # no network is so small
        return []


def _moves(
    variables: Variables, base: Mapping[str, float], factor: float
) -> Iterator[tuple[str, float]]:
    """Each variable up and down by the factor, within its bounds.

    One that is spaced evenly, and may be 0, by a share of what lies between them.
    """
    for name in variables.names:
        value, (low, high) = base[name], variables.bounds(name)
        ends: tuple[float, ...] = (value / factor, value * factor)
        if variables.scale(name) == LINEAR:
            step = SHARE * (factor - 1) * (high - low)
            ends = (max(low, value - step), min(high, value + step))
        elif math.isinf(value):
            ends = (max(low, FROM_INFINITY),)
        elif name in variables.integer:
            down, up = map(round, ends)
            ends = (min(value - 1, down), max(value + 1, up))
        else:
            ends = (max(low, min(ends)), min(high, max(ends)))
        for end in ends:
            if low <= end <= high and not math.isclose(end, value, rel_tol=1e-3, abs_tol=1e-9):
                yield name, float(end)


def _follow(
    problem: Problem, found: Sequence[Optimum], held: Mapping[str, float], report: Report
) -> dict[str, float] | None:
    """The other variables tuned again where one is held; None where nothing is feasible."""
    if {*problem.variables.integer} - {*held}:
        best = integer(problem, found, report, held)
    else:
        points = spread(problem.variables, problem.model, 5)
        starts = np.concatenate([np.stack([o.z for o in found[:3]]), points])
        cheap = problem if problem.road is None else problem.cheap(found[0].added)
        case = case_at(cheap, starts, found[0].bounds, held)
        best = next(iter(local([case], report, "neighbours")[0]), None)
        if best and problem.road is not None:
            best = settled(problem, best._replace(added=found[0].added), report, held)
    return best and {**best.numbers, **held}


def _simulated(goal: Goal, model: RFDSM, road: Road) -> tuple[float, float]:
    """Mean and standard error of a goal over networks."""
    values = np.asarray(goal.value(Point(model, road)))
    if values.ndim == 0:  # a cost, which networks do not change
        return float(values), 0.0
    bar = np.std(values, ddof=1) / math.sqrt(len(values))
    if goal.function is None and goal.what in FIELDS:  # trials of bias2 are not independent
        bar = getattr(road(model).standard_error(), goal.what)
    return float(np.mean(values)), float(bar)


def _theory(problem: Problem, model: RFDSM) -> Point:
    if problem.road is None:
        return Point(model)
    return Point(model, lambda m: jax.jit(problem.road)(m, *problem.road_arguments))
