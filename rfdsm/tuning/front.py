"""`pareto`: the front between two errors, by the constrained optimum at every level of one."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ..errors import Errors
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..parameters.checks import positive_integer, vector
from ..progress import Report, silent
from . import goals
from .goals import Constraint, Negative
from .minimise import problem_of
from .optima import Optimum
from .optimality import active, drift, sensitivity, worths
from .roads import stacked
from .search import joined
from .work import Infeasible, Search

LARGE_IS_BETTER = ("memorization_loss",)
NULL_LOSS = 1.0  # of no score at all: a larger memorization loss protects nobody any better
STARTS_PER_LEVEL = 32  # at most
SWEEPS = 2  # in which every level starts from its neighbours' optima too
LOOSE = 1e6  # a bound that no error reaches
SHORT_OF_END = 1e-3  # of the front's length: at the very end only one point is feasible


class Front(NamedTuple):
    """A front of `points` models, from the best objective to the best of the other error.

    Attributes:
        level: of the other error, shape (points,). value: the least objective there.
        slope: d value/d level, the price of the other error (a Lagrange multiplier).
        numbers: the free variables along it, by name. drift: their d/d level (of m that of
            1/m), NaN at a corner that leaves no way to move, and 0 where a bound holds one.
        models: all of them, stacked: an `RFDSM` whose leaves have the axis (points,).
        sensitivity: the derivative of `value` at fixed level in every number of the model that
            is kept (envelope theorem), stacked likewise.
        errors: of the models, shape (points,).
        active: by point, the names of what holds with equality.
        feasible: whether a model was found at the level; all else is NaN where not.
    """

    level: np.ndarray
    value: np.ndarray
    slope: np.ndarray
    numbers: dict[str, np.ndarray]
    drift: dict[str, np.ndarray]
    models: RFDSM
    sensitivity: RFDSM
    errors: Errors
    active: tuple[tuple[str, ...], ...]
    feasible: np.ndarray


def pareto(
    model: RFDSM,
    free: Mapping[str, Any] | Sequence[str],
    objective: str | Callable,
    against: str | Constraint,
    points: int | Sequence[float] = 20,
    *,
    subject_to: Any = (),
    budget: Any = None,
    starts: int = 256,
    moments: Moments | Sequence[Moments] | None = None,
    report: Report = silent,
) -> Front:
    """The least objective at every level of another error: what each costs of the other.

    All levels are rows of the one compiled search; then each starts from its neighbours' optima
    again, so that the front is that of the best branch everywhere.

    Args:
        model, free, objective, subject_to, budget, starts, moments, report: as of `tune`.
        against: the name of the other error: memorization_loss is to be large (not memorised;
            up to 1, the loss of no score), all others small. Or `at_least` or `at_most`, which
            say so for anything and end the front at their bound.
        points: how many levels, evenly from that of the best objective to the best that can be
            reached (a thousandth short of it); or the levels themselves.

    Raises:
        ValueError: as `tune`; `Infeasible`: no level has a feasible model.

    Example:
        >>> import rfdsm
        >>> model = rfdsm.RFDSM(psi_n=2, psi_p=16, m=4, t=0.1, lam=1e-3)
        >>> front = rfdsm.pareto(model, {"lam": (1e-6, 10)}, "score_error", "memorization_loss",
        ...     [0.5, 0.6], starts=8)
        >>> bool(front.value[1] > front.value[0])
        True
    """
    other = _against(against)
    problem = problem_of(model, free, objective, subject_to, budget, None, moments, last=other)
    work = Search(problem, report, positive_integer(starts, "starts"))
    fixed = np.array([float(c.bound) for c in problem.constraints[:-1]])
    seeds = work.points
    if np.ndim(points) == 0:
        levels, seeds = _levels(work, other, fixed, against, positive_integer(points, "points"))
    else:
        levels = np.asarray(vector(points, "points"))
    found = _trace(work, np.column_stack([np.tile(fixed, (len(levels), 1)), levels]), seeds)
    if not any(found):
        raise Infeasible(f"no level of {other.goal.label} has a feasible model.")
    return _front(work, levels, found)


def _against(against) -> Constraint:
    """The constraint whose bound is moved."""
    if isinstance(against, Constraint):
        return against
    better = goals.at_least if against in LARGE_IS_BETTER else goals.at_most
    return better(against, 1.0)


def _levels(work: Search, other, fixed, against, points) -> tuple[np.ndarray, np.ndarray]:
    """Levels from the best objective's to the best that can be reached, and all starts."""
    loose = np.append(fixed, other.sense * LOOSE)
    first = work.solve(loose)
    start = float(first[0].goals[-1])
    seeds = [o.z for o in first]
    if isinstance(against, Constraint):
        end = float(against.bound)
    else:
        goal = other.goal if other.sense > 0 else Negative(other.goal.label, None, other.goal)
        problem = dataclasses.replace(work.problem, objective=goal)
        last = Search(problem, work.report, work.starts).solve(loose)
        reached = float(last[0].goals[-1])
        if other.goal.label in LARGE_IS_BETTER:
            reached = max(start, min(reached, NULL_LOSS))
        end = start + (1 - SHORT_OF_END) * (reached - start)
        seeds += [o.z for o in last]
    return np.linspace(start, end, points), np.concatenate([seeds, work.points])


def _trace(work: Search, bounds: np.ndarray, seeds: np.ndarray) -> list[Optimum | None]:
    """The best optimum at each row of constraints' bounds; None where none is feasible."""
    best: list[Optimum | None] = [None] * len(bounds)
    seeds = seeds[:STARTS_PER_LEVEL]
    starts = [seeds for _ in bounds]
    work.measure_scale(work.rows(seeds, bounds[0]))
    for _ in range(1 + SWEEPS):
        parts = [work.rows(z, b) for z, b in zip(starts, bounds, strict=True)]
        ends = work.run(rows := joined(parts), "front")
        level = np.repeat(np.arange(len(bounds)), [len(z) for z in starts])
        for i, old in enumerate(best):
            new = work.best(ends, rows, level == i)
            if new is not None and (old is None or new.value < old.value):
                best[i] = new
        around = [filter(None, best[max(0, i - 1) : i + 2]) for i in range(len(bounds))]
        starts = [np.array([o.z for o in each]).reshape(-1, work.k) for each in around]
        starts = [z if len(z) else seeds[:1] for z in starts]
    return best


def _front(work: Search, levels: np.ndarray, found: list[Optimum | None]) -> Front:
    """What is told of each level; NaN where there is nothing to tell."""
    problem, last = work.problem, len(work.problem.constraints) - 1
    known = next(o for o in found if o is not None)
    sense = problem.constraints[last].sense
    columns: dict[str, list] = {"value": [], "slope": []}
    numbers, drifts, models, sensitivities, errors, names = [], [], [], [], [], []
    for each in found:
        best = known if each is None else each
        blank = 1.0 if each is not None else math.nan
        model = problem.model.replace(**best.numbers)
        price = list(worths(work, best).values())[last]
        columns["value"].append(best.value * blank)
        columns["slope"].append(-sense * price * blank)
        numbers.append({n: v * blank for n, v in best.numbers.items()})
        drifts.append({n: v * blank for n, v in drift(work, best, last).items()})
        parts = (model, sensitivity(problem, best, work.scale), best.errors_at(model))
        for part, kept in zip(parts, (models, sensitivities, errors), strict=True):
            kept.append(jax.tree.map(lambda x: np.asarray(x) * blank, part))  # noqa: B023
        names.append(() if each is None else active(work, best))

    return Front(
        level=levels,
        **{name: np.array(values) for name, values in columns.items()},
        numbers=stacked(numbers),
        drift=stacked(drifts),
        models=stacked(models),
        sensitivity=stacked(sensitivities),
        errors=stacked(errors),
        active=tuple(names),
        feasible=np.array([each is not None for each in found]),
    )
