"""The compiled search: blocks of starts advance side by side, an evaluation at a time.

One program takes any rows: more starts, other bounds of the constraints, variables that are
held, one evaluation for a derivative. Its rows go on for a few evaluations at a time, so that
none waits for the slowest, and those that come to where another one has ended are not followed
to the end a second time. Where evaluations are dear (gradient flow) those that are close to a
better one after a few evaluations are given up too.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..errors import FIELDS, Errors
from ..ingredients.training import Ridge
from ..model import RFDSM
from . import lagrangian
from .goals import Constraint, Goal, Point
from .lagrangian import EVALUATIONS, Evaluation, Lagrangian, State
from .variables import Variables

BLOCK = 64  # starts of one call
TOGETHER, FLOWS_TOGETHER = 16, 4  # of these side by side: a flow's nodes fill the cache sooner
WORKERS = 2  # calls side by side: small arrays keep one core busy
STRIDE = 8  # evaluations between two looks at what has ended
SCOUT, SAME_VALLEY, SCOUTS = 8, 0.06, 64  # evaluations, distance, and how many at most go on
SAME_END = 0.01  # distance in the unit box to an end, at which a start counts as led there
STATIONARY = 1e-6  # projected gradient of such an end
FEASIBLE = 1e-10  # violation of a constraint over the larger of its bound and 1
SNAP = 1e-12  # coordinates this close to the ends of the box are there


class Problem(eqx.Module):
    """What is searched: all that is the same for every start.

    Attributes:
        model: whose numbers that are not free are kept.
        variables: the free ones.
        objective, constraints: what is small and what holds.
        road: from a model to its errors, None: theory; `road(model, *road_arguments)`.
        optimizer: an optax transformation that moves first; None: quasi-Newton alone.
    """

    model: RFDSM
    variables: Variables
    objective: Goal
    constraints: tuple[Constraint, ...]
    road: Callable | None
    road_arguments: tuple
    optimizer: Any = eqx.field(static=True)

    def point(self, z: Float[Array, " k"]) -> Point:
        """The model at z, with its errors."""
        road = None
        if self.road is not None:
            road = lambda model: self.road(model, *self.road_arguments)  # noqa: E731
        return Point(self.variables.place(self.model, z), road)


class Rows(NamedTuple):
    """Starts, each in its own part of the unit box and with its own bounds of constraints.

    Attributes:
        start, low, high: shape (rows, k); where low = high a variable is held.
        bounds: of the constraints, shape (rows, constraints).
    """

    start: np.ndarray
    low: np.ndarray
    high: np.ndarray
    bounds: np.ndarray


def joined(parts: Iterable[Rows]) -> Rows:
    """All rows of several."""
    return Rows(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


class Ends(NamedTuple):
    """Where starts ended; arrays have the axis (rows,) in front.

    Attributes:
        z: coordinates, shape (k,).
        value: the objective. goals: what the constraints bound, shape (constraints,).
        gradient, jacobian: of f/scale and of g, shapes (k,), (constraints, k).
        multipliers: of f/scale + Σ λ g.
        stationarity: the largest component of the projected gradient of the Lagrangian.
        violation: the largest of the constraints', over the larger of its bound and 1.
        evaluations: of the objective. done: whether the end was reached, or nothing can.
        errors: of the road, None for theory.
        path, path_values, path_violations: of every evaluation, NaN after the last.
    """

    z: Any
    value: Any
    goals: Any
    gradient: Any
    jacobian: Any
    multipliers: Any
    stationarity: Any
    violation: Any
    evaluations: Any
    done: Any
    errors: Any
    path: Any
    path_values: Any
    path_violations: Any


def run(
    problem: Problem,
    rows: Rows,
    scale: float = 1.0,
    *,
    weight: float = 1.0,
    limit: int = EVALUATIONS,
    merge: bool = False,
    advance: Callable[[int], None] = lambda rows: None,
) -> Ends:
    """Search from every row.

    Args:
        problem: what is searched.
        rows: the starts.
        scale: of the objective; about its value.
        weight: 0 to look for a feasible point only.
        limit: evaluations of a start; 1 evaluates the starts and moves none.
        merge: do not follow a start to an end that another one has reached.
        advance: called with the number of rows that have come to an end.
    """
    block = BLOCK if problem.road is None else 1  # measured ones fill the machine each
    dear = not isinstance(problem.model.training, Ridge)
    numbers = tuple(np.asarray(x, float) for x in (scale, weight))
    states = jax.tree.map(np.array, _begin(problem, rows))
    ends: Any = None
    active = np.arange(len(rows.start))

    def work(indices):
        full = np.resize(indices, block)
        parts = (jax.tree.map(lambda x: x[full], tree) for tree in (states, rows))
        stop = np.minimum(limit, states.evaluations[full] + STRIDE)
        stop[len(indices) :] = 0  # what fills the block does nothing
        return jax.tree.map(np.asarray, _stride(problem, *parts, *numbers, stop))

    with ThreadPoolExecutor(WORKERS) as pool:
        while len(active):
            blocks = [active[i : i + block] for i in range(0, len(active), block)]
            # The first alone: it compiles, before threads ask for the same program.
            first = [work(blocks[0])] if ends is None else []
            results = [*first, *pool.map(work, blocks[len(first) :])]
            if ends is None:
                ends = _like(results[0][1], len(active))
            for indices, (moved, there) in zip(blocks, results, strict=True):
                _put(states, indices, moved)
                _put(ends, indices, there)
            left = active[~ends.done[active] & (ends.evaluations[active] < limit)]
            if merge and len(left):
                left = left[~_led(ends, left)]
            if merge and dear and len(left) and ends.evaluations[left].max() == SCOUT:
                left = _scouts(ends, left, scale)
            advance(len(active) - len(left))
            active = left
    return ends


def _like(tree, count):
    """Arrays for `count` rows, of the shapes and types of a tree's rows."""
    return jax.tree.map(lambda x: np.empty((count, *x.shape[1:]), x.dtype), tree)


def _put(tree, indices, rows) -> None:
    for whole, part in zip(jax.tree.leaves(tree), jax.tree.leaves(rows), strict=True):
        whole[indices] = part[: len(indices)]


def _begin(problem: Problem, rows: Rows) -> State:
    """The states before any evaluation."""
    count, unknown = len(problem.constraints), jnp.zeros(())
    errors = None if problem.road is None else Errors(*[unknown] * len(FIELDS))
    k = rows.start.shape[1]
    blank = Evaluation(
        unknown,
        jnp.zeros(count),
        jnp.zeros(k),
        jnp.zeros((count, k)),
        (unknown, jnp.zeros(count), errors),
    )
    start = jnp.clip(jnp.asarray(rows.start), jnp.asarray(rows.low), jnp.asarray(rows.high))
    return jax.vmap(lambda z: lagrangian.start(z, blank, problem.optimizer))(start)


def _led(ends: Ends, rows: np.ndarray) -> np.ndarray:
    """Which rows are where others have ended well."""
    there = ends.done & feasible(ends) & (ends.stationarity <= STATIONARY)
    if not there.any():
        return np.zeros(len(rows), bool)
    distances = np.abs(ends.z[rows][:, None, :] - ends.z[there][None, :, :]).max(axis=-1)
    return distances.min(axis=1) <= SAME_END


def _scouts(ends: Ends, rows: np.ndarray, scale: float) -> np.ndarray:
    """Rows that go on: the best, by value and violation, of those that are close together."""
    kept: list[int] = []
    for row in rows[np.argsort(ends.value[rows] / scale + ends.violation[rows])]:
        near = np.abs(ends.z[kept] - ends.z[row]).max(axis=1, initial=0.0) <= SAME_VALLEY
        if not near.any() and len(kept) < SCOUTS:
            kept.append(row)
    return np.array(kept)


@eqx.filter_jit
def _stride(problem: Problem, states: State, rows: Rows, scale, weight, stop):
    """States after some more evaluations, and their `Ends`."""

    def one(s, row, stop):
        bounds = row.bounds
        unit = jnp.maximum(1.0, 1 / scales(bounds))
        way = Lagrangian(
            weight,
            row.low,
            row.high,
            unit,
            lambda z: _evaluate(problem, z, bounds, scale),
            problem.optimizer,
        )
        s = jax.lax.while_loop(lambda s: ~s.done & (s.evaluations < stop), way.advance, s)
        value, goals, errors = s.now.extra
        return s, Ends(
            z=_snapped(s.z),
            value=value,
            goals=goals,
            gradient=s.now.df,
            jacobian=s.now.dg,
            multipliers=way.estimate(s, s.now),
            stationarity=way.stationarity(s),
            violation=jnp.max(s.now.g / unit, initial=0.0),
            evaluations=s.evaluations,
            done=s.done,
            errors=errors,
            path=s.path,
            path_values=s.path_values,
            path_violations=s.path_violations,
        )

    together = TOGETHER if isinstance(problem.model.training, Ridge) else FLOWS_TOGETHER
    count = len(stop)
    groups = max(1, count // together)
    grouped = jax.tree.map(
        lambda x: jnp.asarray(x).reshape(groups, count // groups, *x.shape[1:]),
        (states, rows, stop),
    )
    results = jax.lax.map(lambda group: jax.vmap(one)(*group), grouped)
    return jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), results)


def feasible(ends: Ends) -> np.ndarray:
    """Which rows end where all constraints hold."""
    return np.isfinite(ends.value) & (ends.violation <= FEASIBLE)


def residuals(constraints, goals, bounds):
    """g_j: sense·(goal - bound) over the bound, asinh of it so that decades stay tame."""
    if not constraints:
        return jnp.zeros(0)
    senses = jnp.array([float(c.sense) for c in constraints])
    return jnp.arcsinh(senses * (goals - bounds) / scales(bounds))


def scales(bounds):
    """What a constraint's distance is measured in: its bound, or 1 where that is 0."""
    return jnp.where(bounds == 0, 1.0, jnp.abs(bounds))


def _evaluate(problem: Problem, z, bounds, scale) -> Evaluation:
    def numbers(z):
        point = problem.point(z)
        value = problem.objective.value(point)
        goals = [c.goal.value(point) for c in problem.constraints]
        goals = jnp.stack(goals) if goals else jnp.zeros(0)
        g = residuals(problem.constraints, goals, bounds)
        errors = None if problem.road is None else point.errors
        return jnp.concatenate([(value / scale)[None], g]), (value, goals, g, errors)

    slopes, (value, goals, g, errors) = jax.jacfwd(numbers, has_aux=True)(z)
    return Evaluation(value / scale, g, slopes[0], slopes[1:], (value, goals, errors))


def _snapped(z):
    """Ends of the box exactly, where rounding alone keeps from them."""
    z = jnp.where(z < SNAP, 0.0, z)
    return jnp.where(z > 1 - SNAP, 1.0, z)
