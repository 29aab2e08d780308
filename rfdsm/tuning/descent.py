r"""One start's way down: SciPy's SLSQP in the unit box, and a finish with second derivatives.

Minimise f(z) subject to g_j(z) <= 0, z in the unit box. SLSQP (Kraft, "A software package for
sequential quadratic programming", 1988) finds the valley from exact first derivatives. Along a
curved constraint it creeps, so Newton's steps on the conditions of optimality end it: with H
the second derivatives of the Lagrangian, A the normals of what holds with equality, d minimises
∇f·d + d·H·d/2 subject to A d = -g. Knows functions, nothing of models.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np

TOLERANCE, EVALUATIONS = 1e-7, 30  # of SLSQP, on f and g; at most; 5 to 15 are usual
STEPS, SHARES = 60, (1.0, 0.5, 0.2, 0.05)  # of Newton's at most; of each that are tried
NEARER = 0.3  # what a step has to leave of what is missed, or else lower the exact penalty
LONGEST = 0.2  # of them, in the unit box
DIFFERENCE = 1e-4  # of exact gradients, for second derivatives
STATIONARY, EXACT = 1e-9, 1e-11  # projected gradient over f, and violation: an optimum
TOUCHING, NEAR = 1e-7, 1e-4  # relative: a constraint this close to 0 is active, or may be
SNAP = 1e-12  # coordinates this close to the ends of the box are there
RANK = 1e-10  # relative singular values below are 0
FAR = 1e10  # the objective where it is not finite: no step goes there


class Evaluation(NamedTuple):
    """What is known at a point.

    Attributes:
        z: coordinates, shape (k,). f, df: the objective and its gradient.
        g, dg: the constraints, shape (constraints,), and their derivatives.
        violation: the largest of the constraints', in the caller's unit; 0 where all hold.
        goals, errors: what the constraints bound, and of the model where they were read.
    """

    z: np.ndarray
    f: float
    df: np.ndarray
    g: np.ndarray
    dg: np.ndarray
    violation: float
    goals: np.ndarray | None = None
    errors: Any = None

    @property
    def finite(self) -> bool:
        """Whether f, g and their derivatives are."""
        return math.isfinite(self.f + self.df.sum() + self.g.sum() + self.dg.sum())

    def walls(self) -> tuple[np.ndarray, np.ndarray]:
        """All that is not to be positive, g and then -z and z - 1, and the derivatives."""
        box = np.eye(len(self.z))
        values = np.concatenate([self.g, -self.z, self.z - 1])
        return values, np.concatenate([self.dg, -box, box])


class End(NamedTuple):
    """Where a start ended.

    Attributes:
        at: the point. multipliers: of the constraints, shape (constraints,).
        stationarity: the largest component of the Lagrangian's projected gradient.
        hessian: the Lagrangian's second derivatives, 0 in what is held.
        way: every evaluation, in order.
    """

    at: Evaluation
    multipliers: np.ndarray
    stationarity: float
    hessian: np.ndarray
    way: tuple[Evaluation, ...]


Ask = Callable[[np.ndarray], Sequence[Evaluation]]


class _Stopped(Exception):
    """A run that cannot go on, or should not."""


class _Abandoned(Exception):
    """A run whose question found no answer."""


def side_by_side(
    evaluate: Callable[[np.ndarray], Sequence],
    runs: Sequence[Callable[[Callable], Any]],
    advance: Callable[[int], Any],
) -> list:
    """The results of runs whose questions are answered together, a round at a time.

    Args:
        evaluate: from points, shape (rows, k), to a sequence of answers.
        runs: functions of `ask`, which is `evaluate` to each; every one in its own thread.
        advance: called each round with the number of runs that have ended.
    """
    asked: SimpleQueue = SimpleQueue()
    answers: list[SimpleQueue] = [SimpleQueue() for _ in runs]

    def go(i):
        def ask(z):
            asked.put((i, z))
            if (answer := answers[i].get()) is None:
                raise _Abandoned
            return answer

        try:
            return runs[i](ask)
        finally:
            asked.put((i, None))

    with ThreadPoolExecutor(max(1, len(runs))) as pool:
        results = [pool.submit(go, i) for i in range(len(runs))]
        waiting = len(runs)
        try:
            while waiting:
                heard = dict(asked.get() for _ in range(waiting))
                questions = {i: z for i, z in sorted(heard.items()) if z is not None}
                waiting = len(questions)
                advance(len(runs) - waiting)
                found = evaluate(np.concatenate([*questions.values()])) if waiting else []
                for i, z in questions.items():
                    answers[i].put(found[: len(z)])
                    found = found[len(z) :]
        except BaseException:  # an interrupt too: no thread may wait for ever
            for answer in answers:
                answer.put(None)
            raise
    return [result.result() for result in results]


def slsqp(
    ask: Ask,
    start: Evaluation,
    free: np.ndarray,
    scale: float,
    tolerance: float = TOLERANCE,
) -> list[Evaluation]:
    """All evaluations of one run, its start the first.

    Args:
        ask: from points, shape (rows, k), to their evaluations.
        start: where all is finite. free: which coordinates move, shape (k,).
        scale: the size of the objective. tolerance: on f over that and on g.
    """
    from scipy import optimize  # takes longer to import than all of the package

    way = [start]
    if not free.any():
        return way

    def at(x):
        # The objective, the constraints and both their derivatives are asked for one by one.
        z = start.z.copy()
        z[free] = snapped(x)
        if not np.array_equal(z, way[-1].z):
            way.extend(ask(z[None]))
        return way[-1]

    def slope(x):  # asked for only where a step was taken
        here = at(x)
        if not here.finite or len(way) > EVALUATIONS:
            raise _Stopped
        return here.df[free] / scale

    def value(x):
        return at(x).f / scale if at(x).finite else FAR

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
            options={"maxiter": EVALUATIONS, "ftol": tolerance},
        )
    return way


def lowest(way: Sequence[Evaluation], free: np.ndarray) -> Evaluation:
    """The best point of a way, by the exact penalty at the largest multipliers on it."""
    finite = [at for at in way if at.finite]
    return min(finite, key=_merit(finite[-1].f, finite, free))


def finish(ask: Ask, way: Sequence[Evaluation], free: np.ndarray, scale: float) -> End:
    """Newton's steps from the best point of a way, as long as they lead on.

    Args:
        ask, free, scale: as of `slsqp`. way: its evaluations.
    """
    at, way = lowest(way, free), list(way)
    for step in range(STEPS + 1):
        size = max(abs(at.f), 1e-6 * scale)

        def missing(t):
            return kkt(t, free, NEAR, size)[1]  # noqa: B023

        multipliers, missed = kkt(at, free, NEAR, size)
        hessian = _hessian(ask, at, free, multipliers[: len(at.g)])
        optimal = missed <= STATIONARY and at.violation <= EXACT
        if optimal or step == STEPS or not np.all(np.isfinite(hessian)):
            break
        d, held = _newton(at, hessian, multipliers, free)
        trials = [t for t in ask(snapped(at.z + np.outer(SHARES, d))) if t.finite]
        if min(map(missing, trials), default=0.0) > NEARER * missed:
            # A long step leaves a curved constraint, and is judged where it is back on it.
            back = [snapped(t.z + _onto(t, held, free)) for t in trials]
            trials += [t for t in ask(np.array(back)) if t.finite]
        way += trials
        merit = _merit(size, [at, *trials], free)
        nearer, lower = min(trials, key=missing, default=at), min(trials, key=merit, default=at)
        if missing(nearer) <= NEARER * missed:
            at = nearer
        elif merit(lower) < merit(at) - 1e-13 * size:
            at = lower
        else:
            break
    multipliers, stationarity = kkt(at, free)
    return End(at, multipliers[: len(at.g)], stationarity, hessian, tuple(way))


def kkt(
    at: Evaluation, free: np.ndarray, touching: float = TOUCHING, size: float | None = None
) -> tuple[np.ndarray, float]:
    """The multipliers of all walls, and how far the conditions of optimality are from holding.

    They are those λ >= 0 of what touches that bring ∇f + Σ λ ∇g closest to 0; how close is the
    second result, or with the objective's `size` the largest of that over it, of λ g and of g.
    """
    from scipy.optimize import nnls

    values, normals = at.walls()
    multipliers = np.zeros(len(values))
    active = np.flatnonzero(values >= -touching)
    if len(active) and free.any():
        multipliers[active] = nnls(normals[active][:, free].T, -at.df[free])[0]
    left = np.max(np.abs(at.df + multipliers @ normals)[free], initial=0.0)
    if size is None:
        return multipliers, float(left)
    unmet = np.max(np.abs(multipliers * values))
    return multipliers, float(max(left / size, unmet / size, at.violation))


def tangent(normals: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what is at right angles to all rows."""
    _, sizes, directions = np.linalg.svd(np.vstack([normals, np.zeros(normals.shape[1])]))
    return directions[int(np.sum(sizes > RANK * max(1.0, sizes.max(initial=0.0)))) :]


def snapped(z: np.ndarray) -> np.ndarray:
    """Coordinates in the box, its ends exactly where rounding alone keeps from them."""
    return np.where(z < SNAP, 0.0, np.where(z > 1 - SNAP, 1.0, z))


def _merit(size, seen, free) -> Callable[[Evaluation], float]:
    """The exact penalty, whose weight is more than the constraints' multipliers where seen."""
    sums = [np.sum(kkt(at, free, NEAR)[0][: len(at.g)]) for at in seen]
    weight = abs(size) + 2 * float(max(sums))
    return lambda other: other.f + weight * float(np.sum(np.maximum(0.0, other.g)))


def _hessian(ask, at, free, multipliers) -> np.ndarray:
    """Second derivatives of the Lagrangian by differences of its exact gradient."""
    step = DIFFERENCE * np.eye(len(at.z))[free]
    ends = np.clip(np.concatenate([at.z + step, at.z - step]), 0, 1)
    slopes = (
        np.array([end.df + multipliers @ end.dg for end in ask(ends)]) if len(ends) else ends
    )
    distance = np.sum(ends[: len(step)] - ends[len(step) :], axis=1)
    hessian = np.zeros((len(at.z), len(at.z)))
    hessian[free] = (slopes[: len(step)] - slopes[len(step) :]) / distance[:, None]
    hessian[:, ~free] = 0.0
    return (hessian + hessian.T) / 2


def _newton(at, hessian, multipliers, free) -> tuple[np.ndarray, np.ndarray]:
    """A step onto what is active, and to the least of the quadratic model along it.

    And which walls it holds: those with multipliers, and what it would otherwise run into.
    """
    values, normals = at.walls()
    H, held = hessian[np.ix_(free, free)], (multipliers > 0) | (values > 0)
    while True:
        onto, d = _onto(at, held, free), np.zeros(len(at.z))
        along = tangent(normals[held][:, free])
        bends, axes = np.linalg.eigh(along @ H @ along.T)
        slopes = axes.T @ along @ (at.df[free] + H @ onto[free])
        # Downhill where the model is bent the wrong way, and not far where it is flat.
        d[free] = -(slopes / np.maximum(np.abs(bends), 1e-12)) @ axes.T @ along
        d = onto + d * min(1.0, LONGEST / max(np.max(np.abs(d), initial=0.0), 1e-300))
        beyond = np.where(held, 0.0, values + normals @ d)
        if beyond.max() <= EXACT:
            return d, held
        held[np.argmax(beyond)] = True


def _onto(at, held, free) -> np.ndarray:
    """The least step at whose end what is held has, to first order, the value 0."""
    values, normals = at.walls()
    step = np.zeros(len(at.z))
    step[free] = np.linalg.lstsq(normals[held][:, free], -values[held])[0]
    return step
