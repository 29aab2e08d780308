"""`pareto`: the front between two errors, by the constrained optimum at every level of one."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import jax
import numpy as np

from .._numerics.linalg import stacked
from ..errors import Errors
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..parameters.checks import positive_integer, vector
from ..progress import Report, silent
from . import goals
from .descent import Evaluation
from .goals import Constraint, Negative
from .minimise import problem_of
from .optima import Optimum
from .optimality import active, drift, sensitivity, worths
from .problem import Problem
from .search import Infeasible, case_at, expansion, local, promising, settled, solve, spread

LARGE_IS_BETTER = ("memorization_loss",)
SCREENED, FOLLOWED = 32, 4  # starts of a level, at most
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
    again, so that the front is that of the best branch everywhere. With moments all of that is
    done by the Gaussian theory and what they add to it, and every level ends on the moments.

    Args:
        model, free, objective, subject_to, budget, starts, moments, report: as of `tune`.
        against: the name of the other error: memorization_loss is to be large (not memorised;
            up to the loss of no score, 1 of the noise), all others small. Or `at_least` or
            `at_most`, which say so for anything and end the front at their bound.
        points: how many levels, evenly from that of the best objective to the best that can be
            reached (a thousandth short of it); or the levels themselves.

    Raises:
        ValueError: as `tune`; `Infeasible`: no level has a feasible model.

    Example:
        >>> import rfdsm
        >>> model = rfdsm.RFDSM(psi_n=2, psi_p=16, m=4, t=0.1, lam=1e-3)
        >>> front = rfdsm.pareto(model, {"lam": (1e-6, 10)}, "score_error", "memorization_loss",
        ...     [0.87, 0.9], starts=8)
        >>> bool(front.value[1] > front.value[0])
        True
    """
    other = _against(against)
    problem = problem_of(model, free, objective, subject_to, budget, None, moments, last=other)
    seeds = spread(problem.variables, model, positive_integer(starts, "starts"))
    end = None
    if np.ndim(points) == 0:
        count = positive_integer(points, "points")
        levels, seeds, end = _levels(problem, seeds, against, count, report)
    else:
        levels = np.asarray(vector(points, "points"))
    if problem.road is None:
        found = _trace(problem, levels, seeds, report)
    else:
        found = _settled(problem, levels, seeds, report, end)
    if not any(found):
        raise Infeasible(f"no level of {other.goal.label} has a feasible model.")
    known = next(filter(None, found))
    told = [
        _level(problem, known if each is None else each, math.nan if each is None else 1.0)
        for each in found
    ]
    return Front(
        level=levels,
        **stacked(told),
        active=tuple(() if each is None else active(problem, each) for each in found),
        feasible=np.array([each is not None for each in found]),
    )


def _against(against) -> Constraint:
    """The constraint whose bound is moved."""
    if isinstance(against, Constraint):
        return against
    better = goals.at_least if against in LARGE_IS_BETTER else goals.at_most
    return better(against, 1.0)


def _levels(
    problem: Problem, points, against, count, report
) -> tuple[np.ndarray, np.ndarray, Optimum | None]:
    """Levels from the best objective's to the best that is reached; all starts; that end."""
    other = problem.constraints[-1]
    loose = problem.bounds
    loose[-1] = other.sense * LOOSE
    first = solve(problem, loose, points, report)
    start = float(first[0].goals[-1])
    seeds, far = [o.z for o in first], None
    if isinstance(against, Constraint):
        end = float(against.bound)
    else:
        goal = other.goal if other.sense > 0 else Negative(other.goal.label, None, other.goal)
        reversed_ = dataclasses.replace(problem, objective=goal)
        last = solve(reversed_, loose, points, report)
        reached = float(last[0].goals[-1])
        if other.goal.label in LARGE_IS_BETTER:
            # That of no network at all: a larger one protects nobody any better.
            reached = max(start, min(reached, float(problem.model.baselines().null)))
        end = start + (1 - SHORT_OF_END) * (reached - start)
        seeds += [o.z for o in last]
        far = last[0]._replace(added=None)
    return np.linspace(start, end, count), np.concatenate([seeds, points]), far


def _settled(
    problem: Problem,
    levels: np.ndarray,
    seeds: np.ndarray,
    report: Report,
    end: Optimum | None = None,
) -> list[Optimum | None]:
    """`_trace` of measured moments: of what is cheap, and each level settled on them.

    From its neighbour's expansion a level is at its optimum after a solve or two.
    """
    added = expansion(problem, seeds[:1], problem.bounds)
    starts = _trace(problem.cheap(added), levels, seeds, report)
    found: list[Optimum | None] = []
    last = None
    for level, start in zip(levels, starts, strict=True):
        bounds = np.append(problem.bounds[:-1], level)
        best = None
        # What the expansion does not reach from where it is cheap, the neighbour leads to, or
        # the other end, about which little is feasible.
        for each in (start and start._replace(added=added), last, end):
            with suppress(Infeasible):
                best = best or (each and settled(problem, each._replace(bounds=bounds), report))
        if best:
            last, added = best, best.added
        found.append(best)
    return found


def _trace(
    problem: Problem, levels: np.ndarray, seeds: np.ndarray, report: Report
) -> list[Optimum | None]:
    """The best optimum at each level; None where none is feasible."""
    best: list[Optimum | None] = [None] * len(levels)
    bounds = [np.append(problem.bounds[:-1], level) for level in levels]
    cases = [case_at(problem, seeds[:SCREENED], each) for each in bounds]
    cases = [case._replace(starts=_followed(case.starts)) for case in cases]
    at = [*range(len(levels))]
    for _ in range(1 + SWEEPS):
        better = set()
        for i, new in zip(at, local(cases, report, "front"), strict=True):
            old = best[i]
            if new and (old is None or new[0].value < old.value):
                best[i] = new[0]
                if old is None or not new[0].close_to(old):
                    better.add(i)
        # A neighbour that became better may be in the better place.
        beside = [
            [best[j].z for j in (i - 1, i + 1) if j in better] for i in range(len(levels))
        ]
        if not better:
            break
        at = [i for i, starts in enumerate(beside) if starts]
        cases = [case_at(problem, np.array(beside[i]), bounds[i]) for i in at]
    return best


def _followed(starts: Sequence[Evaluation]) -> list[Evaluation]:
    """The promising starts, and the one that is closest to feasible (at a corner, alone)."""
    known = [at for at in starts if at.finite]
    return promising(known, FOLLOWED) + sorted(known, key=lambda at: at.violation)[:1]


def _level(problem: Problem, best: Optimum, blank: float) -> dict[str, Any]:
    """What is told of a level, times `blank`."""
    model, last = problem.model.replace(**best.numbers), len(problem.constraints) - 1
    price = list(worths(problem, best).values())[last]
    told = {
        "value": best.value,
        "slope": -problem.constraints[last].sense * price,
        "numbers": best.numbers,
        "drift": drift(problem, best, last),
        "models": model,
        "sensitivity": sensitivity(problem, best),
        "errors": best.errors_at(model),
    }
    return jax.tree.map(lambda x: np.asarray(x) * blank, told)
