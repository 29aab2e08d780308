"""Does an optimum stand? The chosen model and its neighbours, on trained networks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ..errors import FIELDS
from ..model import RFDSM
from ..parameters.checks import positive_integer
from ..progress import Report, Steps
from .goals import Goal, Point, Road
from .optima import Optimum
from .problem import Problem
from .search import FEASIBLE, case_at, integer, local, spread
from .variables import Variables

FROM_INFINITY = 8.0  # what an infinite number (of noises) moves to
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


class Verification(NamedTuple):
    """The result of `Tuned.verify`.

    Attributes:
        optimum, neighbours: as simulated. stands: no neighbour is better by more than 2
            standard errors. left_out: moves at which no feasible model was found.
        constraints: what each constraint bounds, as (mean, standard error) at the optimum.
        d, trials: dimension and networks for each model.
    """

    optimum: Checked
    neighbours: tuple[Checked, ...]
    stands: bool
    left_out: tuple[str, ...]
    constraints: dict[str, tuple[float, float]]
    d: int
    trials: int

    def __repr__(self) -> str:
        def line(c):
            return (
                f"  {c.moved or 'optimum':<28} theory {c.theory:.5g}, networks "
                f"{c.simulated:.5g} ± {c.standard_error:.1g}"
                + (" (others tuned again)" if c.followed else "")
            )

        told = [line(c) for c in (self.optimum, *self.neighbours)]
        told += [
            f"  {name}: networks {mean:.5g} ± {bar:.1g}"
            for name, (mean, bar) in self.constraints.items()
        ]
        told += [f"  {move}: no feasible model" for move in self.left_out]
        verdict = "stands" if self.stands else "does not stand"
        head = f"the optimum {verdict}: {self.trials} networks each of d = {self.d}"
        return "\n".join([head, *told])


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
    for name, value in _moves(problem.variables, base, factor):
        label, numbers = f"{name} = {value:.4g}", {**base, name: value}
        z = problem.variables.coordinates(numbers)[None]
        (at,) = case_at(problem, z, found[0].bounds).starts
        if at.finite and at.violation <= FEASIBLE:
            asked.append((label, False, numbers))
        elif followed := _follow(problem, found, {name: value}, report):
            asked.append((label, True, followed))
        else:
            left_out.append(label)
    step = Steps(report, len(asked))
    checked: list[Checked] = []
    constraints: dict[str, tuple[float, float]] = {}
    for label, followed, numbers in asked:
        model = problem.model.replace(**numbers)
        runs = model.simulate(key, d, trials)
        step("networks")

        def road(other, model=model, runs=runs):
            return runs if other is model else other.simulate(key, d, trials)

        mean, bar = _simulated(problem.objective, model, road)
        better = 0.0
        if not checked:
            constraints = {
                c.label: _simulated(c.goal, model, road) for c in problem.constraints
            }
        elif (spread := math.hypot(bar, checked[0].standard_error)) > 0:
            better = (checked[0].simulated - mean) / spread
        theory = float(problem.objective.value(_theory(problem, model)))
        checked.append(Checked(label, followed, numbers, theory, mean, bar, better))
    optimum, *neighbours = checked
    stands = all(c.better <= STANDARD_ERRORS for c in neighbours)
    return Verification(
        optimum, tuple(neighbours), stands, tuple(left_out), constraints, runs.sizes.d, trials
    )


def _moves(
    variables: Variables, base: Mapping[str, float], factor: float
) -> Iterator[tuple[str, float]]:
    """Each variable up and down by the factor, within its bounds."""
    for name in variables.names:
        value, (low, high) = base[name], variables.bounds(name)
        ends: tuple[float, ...] = (value / factor, value * factor)
        if math.isinf(value):
            ends = (max(low, FROM_INFINITY),)
        elif name in variables.integer:
            down, up = map(round, ends)
            ends = (min(value - 1, down), max(value + 1, up))
        else:
            ends = (max(low, min(ends)), min(high, max(ends)))
        for end in ends:
            if low <= end <= high and not math.isclose(end, value, rel_tol=1e-3):
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
        case = case_at(problem, starts, found[0].bounds, held)
        best = next(iter(local([case], report, "neighbours")[0]), None)
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
