"""Does an optimum stand? The chosen model and its neighbours, on trained networks."""

import math
from typing import Any, NamedTuple

import jax
import numpy as np

from ..checks import positive_integer
from ..errors import Errors
from ..model import RFDSM
from .goals import Goal, Point
from .search import feasible
from .work import Progress

FROM_INFINITY = 8.0  # the m that m = ∞ moves to
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


def verify(tuned: Any, key, d, trials, factor, report=None) -> Verification:
    """`Tuned.verify`."""
    work, problem = tuned.search, tuned.search.problem
    if not factor > 1:
        raise ValueError(f"factor must be above 1, got {factor}.")
    if positive_integer("trials", trials) < 2:
        raise ValueError("verify compares means by their spread: it needs at least 2 trials.")
    best = tuned.optima[0]
    base = dict(best.numbers)
    if "m" in base:
        if tuned.integer is None:
            raise ValueError("no integer m is feasible, and networks need one.")
        base = dict(tuned.integer.numbers)
    moves, left_out = [], []
    for name, value in _moves(problem.variables, base, factor):
        numbers, followed = base | {name: value}, False
        if not _holds(work, numbers, best.bounds):
            numbers, followed = _follow(work, tuned, name, value), True
        label = f"{name} = {value:.4g}"
        if numbers is None:
            left_out.append(label)
        else:
            moves.append((label, followed, numbers))
    models = [(None, False, base), *moves]
    results = []
    for number, (label, followed, numbers) in enumerate(models):
        model = problem.model.replace(**numbers)
        runs = model.simulate(key, d, trials)
        results.append((label, followed, numbers, model, runs))
        if report is not None:
            report(Progress("networks", number + 1, len(models)))
    objective = problem.objective
    checked = []
    for label, followed, numbers, model, runs in results:
        mean, bar = _simulated(objective, model, runs, (key, d, trials))
        if checked:
            spread = math.hypot(bar, checked[0].standard_error)
            better = (checked[0].simulated - mean) / spread if spread > 0 else 0.0
        else:
            better = 0.0
        theory = float(objective.value(_theory(problem, model)))
        checked.append(Checked(label, followed, numbers, theory, mean, bar, better))
    _, _, _, model, runs = results[0]
    constraints = {
        c.label: _simulated(c.goal, model, runs, (key, d, trials)) for c in problem.constraints
    }
    stands = all(c.better <= STANDARD_ERRORS for c in checked[1:])
    return Verification(
        checked[0],
        tuple(checked[1:]),
        stands,
        tuple(left_out),
        constraints,
        runs.sizes.d,
        trials,
    )


def _moves(variables, base, factor):
    """Each variable up and down by the factor, within its bounds."""
    for name in variables.names:
        value, (low, high) = base[name], variables.bounds(name)
        if name == "m" and math.isinf(value):
            ends: tuple = (max(low, FROM_INFINITY),)
        elif name == "m":
            ends = (
                min(value - 1, round(value / factor)),
                max(value + 1, round(value * factor)),
            )
        else:
            ends = (value / factor, value * factor)
            ends = (max(low, min(ends)), min(high, max(ends)))
        for end in ends:
            if low <= end <= high and not math.isclose(end, value, rel_tol=1e-3):
                yield name, float(end)


def _holds(work, numbers, bounds) -> bool:
    z = work.problem.variables.coordinates(numbers)
    rows = work.rows(z, bounds)
    return bool(feasible(work.run(rows, "neighbours", limit=1))[0])


def _follow(work, tuned, name, value) -> dict[str, float] | None:
    """The other variables tuned again where one is held."""
    best, held = tuned.optima[0], {name: value}
    if "m" in work.problem.variables.names and name != "m":
        whole = work.integer(best.bounds, tuned.optima, held)
        return None if whole is None else whole.numbers | held | {"m": whole.m}
    points = np.concatenate([np.stack([o.z for o in tuned.optima[:3]]), work.points[:5]])
    rows = work.rows(points, best.bounds, held)
    ends = work.run(rows, "neighbours")
    good = feasible(ends)
    if not good.any():
        return None
    row = np.flatnonzero(good)[np.argmin(ends.value[good])]
    return work.problem.variables.numbers(ends.z[row]) | held


def _simulated(goal: Goal, model: RFDSM, runs: Errors, arguments) -> tuple[float, float]:
    """Mean and standard error of a goal over networks."""
    key, d, trials = arguments

    def road(other: RFDSM) -> Errors:
        return runs if other is model else other.simulate(key, d, trials)

    values = np.asarray(goal.value(Point(model, road)))
    if values.ndim == 0:  # a cost, which networks do not change
        return float(values), 0.0
    if goal.function is None:
        name = goal.what
        if name in ("bias2", "variance"):
            bar = getattr(runs.standard_error(), name)
            return float(np.mean(values)), float(bar)
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


def _theory(problem, model) -> Point:
    if problem.road is None:
        return Point(model)
    return Point(model, lambda m: jax.jit(problem.road)(m, *problem.road_arguments))
