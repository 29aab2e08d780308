r"""One start's way down: SciPy's SLSQP in the unit box, and the multipliers at its end.

Minimise f(z) subject to g_j(z) <= 0, z in the unit box: sequential quadratic programs on exact
first derivatives (Kraft, "A software package for sequential quadratic programming", 1988). The
multipliers are those λ_j >= 0, of the constraints and of the box, that bring ∇f + Σ λ_j ∇g_j
closest to 0. Knows functions, nothing of models.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

ROUGH, FINE = 1e-7, 1e-16  # SLSQP's tolerance on f and g: on the way, and at an optimum
EVALUATIONS = {ROUGH: 60, FINE: 60}  # of one run, at most; 5 to 15 are usual
HOPELESS = 1e-2  # a violation that another run does not mend
FINISHES = 12  # runs from where the last one ended: what it knows of curvature may be wrong
STATIONARY, EXACT = 1e-8, 1e-11  # projected gradient over f, and violation: no other run
TOUCHING = 1e-7  # a constraint this close to its bound (relative) is active
SNAP = 1e-12  # coordinates this close to the ends of the box are there
SMALLEST = 1e-6  # size of an objective that is not 0
FAR = 1e10  # the objective where it is not finite: no step goes there


class Evaluation(NamedTuple):
    """What is known at a point.

    Attributes:
        z: coordinates, shape (k,). f, df: the objective, about 1 in size, and its gradient.
        g, dg: the constraints, shape (constraints,), and their derivatives.
        violation: the largest of the constraints', in the caller's unit; 0 where all hold.
        seen: what else the caller wants to know there.
    """

    z: np.ndarray
    f: float
    df: np.ndarray
    g: np.ndarray
    dg: np.ndarray
    violation: float
    seen: Any = None

    @property
    def finite(self) -> bool:
        """Whether f, g and their derivatives are."""
        return all(np.all(np.isfinite(x)) for x in (self.f, self.df, self.g, self.dg))


class End(NamedTuple):
    """Where a start ended.

    Attributes:
        at: the point. multipliers: of the constraints, shape (constraints,).
        stationarity: the largest component of the Lagrangian's projected gradient.
        way: every evaluation, in order.
    """

    at: Evaluation
    multipliers: np.ndarray
    stationarity: float
    way: tuple[Evaluation, ...]


class _Stopped(Exception):
    """A run that cannot go on."""


class _Left(Exception):
    """A start that is given up."""


def descend(
    evaluate: Callable[[np.ndarray], Evaluation],
    start: Evaluation,
    free: np.ndarray,
    leave: Callable[[Evaluation], bool] = lambda at: False,
) -> End | None:
    """Go down from a start to a local optimum.

    Args:
        evaluate: from z to its `Evaluation`.
        start: where all is finite. free: which coordinates move, shape (k,).
        leave: told each point that was gone to, whether to give up there.

    Returns:
        The end; None where it was given up.
    """
    end = _end((start,), free)
    for tolerance in (ROUGH, *[FINE] * FINISHES):
        size = 1.0 if tolerance == ROUGH else max(abs(end.at.f), SMALLEST)
        optimal = end.stationarity <= STATIONARY * size and end.at.violation <= EXACT
        far_out = tolerance == FINE and end.at.violation > HOPELESS
        if optimal or far_out or not free.any():
            break
        try:
            run = _slsqp(evaluate, end.at, free, tolerance, size, leave)
        except _Left:
            return None
        last, end = end, _end((*end.way, *run), free)
        if tolerance == FINE and end.at is last.at:
            break
    return end


def _slsqp(evaluate, start, free, tolerance, size, leave) -> list[Evaluation]:
    """All evaluations of one run after its start, of an objective of this size."""
    from scipy import optimize  # takes as long to import as half of the rest

    way = [start]

    def at(x):
        # The objective, the constraints and both their derivatives are asked for one by one.
        z = start.z.copy()
        z[free] = x
        z = np.where(z < SNAP, 0.0, np.where(z > 1 - SNAP, 1.0, z))
        if not np.array_equal(z, way[-1].z):
            way.append(evaluate(z))
        return way[-1]

    def slope(x):  # asked for only where a step was taken
        here = at(x)
        if not here.finite or len(way) > EVALUATIONS[tolerance]:
            raise _Stopped
        if leave(here):
            raise _Left
        return here.df[free] / size

    def value(x):
        return at(x).f / size if at(x).finite else FAR

    constraints = {
        "type": "ineq",
        "fun": lambda x: -np.nan_to_num(at(x).g),
        "jac": lambda x: -np.nan_to_num(at(x).dg[:, free]),
    }
    with suppress(_Stopped):
        optimize.minimize(
            value,
            start.z[free],
            jac=slope,
            bounds=[(0.0, 1.0)] * int(free.sum()),
            constraints=constraints if len(start.g) else (),
            method="SLSQP",
            options={"maxiter": EVALUATIONS[tolerance], "ftol": tolerance},
        )
    return way[1:]


def _end(way: tuple[Evaluation, ...], free: np.ndarray) -> End:
    """The best point of a way, by the exact penalty at the multipliers of its last ones."""
    finite = [at for at in way if at.finite]
    weight = 1 + 2 * float(np.sum(kkt(finite[-1], free)[0]))
    best = min(finite, key=lambda at: at.f + weight * float(np.sum(np.maximum(0.0, at.g))))
    return End(best, *kkt(best, free), way)


def kkt(at: Evaluation, free: np.ndarray) -> tuple[np.ndarray, float]:
    """The multipliers of the constraints, and how far the Lagrangian is from stationary."""
    from scipy import optimize

    multipliers = np.zeros(len(at.g))
    active = np.flatnonzero(at.g >= -TOUCHING)
    normals = np.eye(len(at.z)) * (1.0 * (at.z == 1) - (at.z == 0))
    normals = np.concatenate([at.dg[active], normals[at.z == np.round(at.z)]])[:, free]
    if len(active) and free.any():
        multipliers[active] = optimize.nnls(normals.T, -at.df[free])[0][: len(active)]
    moved = np.clip(at.z - at.df - multipliers @ at.dg, 0.0, 1.0) - at.z
    return multipliers, float(np.max(np.abs(moved[free]), initial=0.0))


def least_violation(
    evaluate: Callable[[np.ndarray], Evaluation],
    start: Evaluation,
    free: np.ndarray,
    unit: np.ndarray,
) -> Evaluation:
    """Go to where the largest constraint is least: the least s with g_j <= s in their unit.

    Args:
        evaluate, start, free: as of `descend`.
        unit: the g_j of a violation that counts as 1, shape (constraints,).
    """
    largest = float(np.max(start.g / unit))

    def relaxed(at):
        return at._replace(
            z=np.append(at.z, 1.0),
            f=1.0,
            df=np.append(np.zeros(len(at.z)), 1.0),
            g=at.g / unit - largest,
            dg=np.column_stack([at.dg / unit[:, None], np.full(len(unit), -largest)]),
            violation=0.0,
            seen=at,
        )

    def evaluate_relaxed(z):
        at = relaxed(evaluate(z[:-1]))
        return at._replace(z=z, f=z[-1], g=at.g + largest * (1 - z[-1]))

    end = descend(evaluate_relaxed, relaxed(start), np.append(free, True))
    assert end is not None  # nothing gives it up
    return min((at.seen for at in end.way if at.finite), key=lambda at: at.violation)
