r"""The search: an augmented Lagrangian from many starts at once.

Minimise f(z) subject to g_j(z) <= 0 in a box, z in the unit cube. With multipliers λ_j >= 0 and
a penalty ρ each start minimises

    L_A = f + (1/2ρ) Σ_j [max(0, λ_j + ρ g_j)² - λ_j²]

in the box by quasi-Newton steps in a trust region, and when the gradient is small sets λ_j to
max(0, λ_j + ρ g_j): λ converges at finite ρ, and the constraints hold as exactly as asked
(Bertsekas, "Constrained Optimization and Lagrange Multiplier Methods", 1982). BFGS learns the
curvature of f + Σ λ_j g_j; that of the penalty, ρ ∇g_j ∇g_j^T, is known. f and g come with
their exact first derivatives, forward, in one pass of the theory (second derivatives cost ten
times as much). What is not finite is a step that was not taken.

One compiled program runs a block of starts side by side, and every further question (more
starts, other bounds, variables that are held, a derivative) is more rows for the same program.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..errors import FIELDS, Errors
from ..model import RFDSM
from ..training import Ridge
from .goals import Constraint, Goal, Point
from .variables import Variables

EVALUATIONS = 150  # of one start, at most; 15 to 40 are usual
BLOCK, BLOCK_OF_FLOWS = 16, 4  # starts side by side; a flow's nodes fill the cache sooner
WORKERS = 2  # blocks side by side: small arrays keep one core busy
TOLERANCE = 1e-8  # on the gradient relative to f, in the unit box
FEASIBLE = 1e-10  # violation of a constraint over the larger of its bound and 1
EXACT = 1e-11  # the same, that the search asks of itself
PENALTY, LARGEST_PENALTY = 10.0, 1e8  # ρ at first and at most
PENALTY_GROWTH, PROGRESS = 10.0, 0.25  # ρ grows unless the violation shrank to this share
LOOSE = 1e-2  # first tolerance on the gradient, before the multipliers are known
RADIUS, LARGEST_RADIUS = 0.1, 0.5  # of the trust region, in the unit box
NOISE = 1e-13  # relative changes of L_A that say nothing
SNAP = 1e-12  # coordinates this close to the ends of the box are there
STUCK = 1e-13  # a trust region in which nothing moves
EXPLORE = 100  # steps of a user's optimiser before the quasi-Newton ones
MULTIPLIERS_EVERY = 10  # of these


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


class Ends(NamedTuple):
    """Where starts ended; arrays have the axis (rows,) in front.

    Attributes:
        z: coordinates, shape (k,).
        value: the objective. goals: what the constraints bound, shape (constraints,).
        gradient, jacobian: of f/scale and of g, shapes (k,), (constraints, k).
        multipliers: of f/scale + Σ λ g.
        stationarity: the largest component of the projected gradient of the Lagrangian.
        violation: the largest of the constraints', over the larger of its bound and 1.
        evaluations: of the objective.
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
    errors: Any
    path: Any
    path_values: Any
    path_violations: Any


class _State(NamedTuple):
    z: Any
    now: Any  # an _Evaluation
    multipliers: Any
    penalty: Any
    curvature: Any
    fresh: Any  # whether the curvature is still a guess
    radius: Any
    tolerance: Any
    violation: Any
    evaluations: Any
    done: Any
    inner: Any  # the optimizer's state
    path: Any
    path_values: Any
    path_violations: Any


class _Evaluation(NamedTuple):
    f: Any
    g: Any
    df: Any
    dg: Any
    value: Any
    goals: Any
    errors: Any  # the road's, where they are not those of theory


def run(
    problem: Problem,
    rows: Rows,
    scale: float = 1.0,
    *,
    weight: float = 1.0,
    limit: int = EVALUATIONS,
    advance: Callable[[int], None] = lambda rows: None,
) -> Ends:
    """Search from every row.

    Args:
        problem: what is searched.
        rows: the starts.
        scale: of the objective; about its value.
        weight: 0 to look for a feasible point only.
        limit: evaluations of a start; 1 evaluates the starts and moves none.
        advance: called with the number of rows of each block when it is done.
    """
    count = len(rows.start)
    block = BLOCK if isinstance(problem.model.training, Ridge) else BLOCK_OF_FLOWS
    if problem.road is not None:
        block = 1
    numbers = tuple(np.asarray(x, float) for x in (scale, weight))
    filled = -(-count // block) * block
    order = np.resize(np.arange(count), filled).reshape(-1, block)

    def one(indices):
        part = Rows(*(array[indices] for array in rows))
        ends = _search(problem, part, *numbers, np.asarray(limit))
        ends = jax.tree.map(np.asarray, ends)
        advance(block)
        return ends

    if len(order) == 1:
        parts = [one(order[0])]
    else:
        parts = [one(order[0])]  # compiles, before threads ask for the same program
        with ThreadPoolExecutor(WORKERS) as pool:
            parts += pool.map(one, order[1:])
    return jax.tree.map(lambda *arrays: np.concatenate(arrays)[:count], *parts)


@eqx.filter_jit
def _search(problem: Problem, rows: Rows, scale, weight, limit) -> Ends:
    def one(start, low, high, bounds):
        return _from(problem, start, low, high, bounds, scale, weight, limit)

    return jax.vmap(one)(*map(jnp.asarray, rows))


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


def _evaluate(problem: Problem, z, bounds, scale) -> _Evaluation:
    def numbers(z):
        point = problem.point(z)
        value = problem.objective.value(point)
        goals = [c.goal.value(point) for c in problem.constraints]
        goals = jnp.stack(goals) if goals else jnp.zeros(0)
        g = residuals(problem.constraints, goals, bounds)
        errors = None if problem.road is None else point.errors
        return jnp.concatenate([(value / scale)[None], g]), (value, goals, g, errors)

    slopes, (value, goals, g, errors) = jax.jacfwd(numbers, has_aux=True)(z)
    return _Evaluation(value / scale, g, slopes[0], slopes[1:], value, goals, errors)


def _finite(evaluation: _Evaluation):
    leaves = jax.tree.leaves(evaluation._replace(errors=None))
    return jnp.all(jnp.isfinite(jnp.concatenate([jnp.ravel(x) for x in leaves])))


def _from(problem, start, low, high, bounds, scale, weight, limit) -> Ends:
    k, optimizer = len(start), problem.optimizer
    one = jnp.maximum(1.0, 1 / scales(bounds))  # g of a violation that counts as 1

    def evaluate(z):
        return _evaluate(problem, z, bounds, scale)

    def estimate(s, at):
        """The multipliers that a step at `at` would leave."""
        return jnp.maximum(0.0, s.multipliers + s.penalty * at.g)

    def merit(s, at):
        grown = estimate(s, at)
        return weight * at.f + jnp.sum(grown**2 - s.multipliers**2) / (2 * s.penalty)

    def slope(at, multipliers):
        return weight * at.df + multipliers @ at.dg

    def stationarity(z, gradient):
        return jnp.max(jnp.abs(jnp.clip(z - gradient, low, high) - z), initial=0.0)

    def violations(s):
        """How far g <= 0, λ >= 0 and λ g = 0 are from holding, in the users' units."""
        return jnp.maximum(s.now.g, -s.multipliers / s.penalty) / one

    def quasi_newton(s):
        """A step, and what to make of the numbers found there."""
        grown = estimate(s, s.now)
        gradient = slope(s.now, grown)
        bent = s.now.dg * jnp.sqrt(jnp.where(grown > 0, s.penalty, 0.0))[:, None]
        H = s.curvature + bent.T @ bent
        lower, upper = jnp.maximum(low - s.z, -s.radius), jnp.minimum(high - s.z, s.radius)
        trial = jnp.clip(s.z + box_step(H, gradient, lower, upper), low, high)
        step = trial - s.z

        def judge(after):
            finite = _finite(after)
            expected = -(gradient @ step + step @ H @ step / 2)
            before = merit(s, s.now)
            gained = before - merit(s, after) + NOISE * (1 + jnp.abs(before))
            taken = finite & (gained >= 1e-4 * expected)
            length = jnp.max(jnp.abs(step), initial=0.0)
            longer = jnp.maximum(s.radius, 2.5 * length)
            radius = jnp.where(gained > 0.75 * expected, longer, s.radius)
            radius = jnp.where(taken, radius, length / 4)
            bend = slope(after, grown) - slope(s.now, grown)
            curvature, fresh = _learn(s.curvature, s.fresh, step, bend, finite)
            radius = jnp.minimum(radius, LARGEST_RADIUS)
            return s._replace(radius=radius, curvature=curvature, fresh=fresh), taken

        return trial, judge

    def explore(s):
        """The same by the user's optimiser, whose every finite step is taken."""
        gradient = slope(s.now, estimate(s, s.now))
        updates, inner = optimizer.update(gradient, s.inner, s.z)
        trial = jnp.clip(s.z + jnp.clip(updates, -s.radius, s.radius), low, high)

        def judge(after):
            taken = _finite(after)
            longer = jnp.minimum(2 * s.radius, LARGEST_RADIUS)
            radius = jnp.where(taken, longer, s.radius / 4)
            return s._replace(radius=radius, inner=inner), taken

        return trial, judge

    def begin(after):
        """The state at the start, where the first evaluation is."""
        steepest = jnp.max(jnp.abs(after.df), initial=0.0)
        curvature = jnp.eye(k) * jnp.maximum(steepest / RADIUS, 1e-8)
        return initial._replace(curvature=curvature, done=~_finite(after))

    def choose(which, one, other):
        return jax.tree.map(lambda x, y: jnp.where(which, x, y), one, other)

    def advance(s):
        first = s.evaluations == 0
        exploring = jnp.asarray(False)
        trial, judge = quasi_newton(s)
        if optimizer is not None:
            exploring = s.evaluations < EXPLORE
            other, judge_other = explore(s)
            trial = jnp.where(exploring, other, trial)
        trial = jnp.where(first, start, trial)
        after = evaluate(trial)
        moved = judge(after)
        if optimizer is not None:
            moved = choose(exploring, judge_other(after), moved)
        s, taken = choose(first, (begin(after), jnp.asarray(True)), moved)
        i = s.evaluations
        s = s._replace(
            z=jnp.where(taken, trial, s.z),
            now=choose(taken, after, s.now),
            evaluations=i + 1,
            path=s.path.at[i].set(trial),
            path_values=s.path_values.at[i].set(after.value),
            path_violations=s.path_violations.at[i].set(jnp.max(after.g / one, initial=0.0)),
        )
        return choose(s.done, s, multiply(s, exploring))

    def multiply(s, exploring):
        """Update multipliers and penalty where the inner problem is solved well enough."""
        grown = estimate(s, s.now)
        still = stationarity(s.z, slope(s.now, grown))
        stuck = s.radius < STUCK
        size = jnp.maximum(1.0, jnp.abs(s.now.f)) * jnp.where(weight > 0, 1.0, 1e-300)
        solved = (still <= s.tolerance * jnp.maximum(size, 1e-2)) | stuck
        regular = s.evaluations % MULTIPLIERS_EVERY == 0
        solved = jnp.where(exploring, regular, solved)
        violation = jnp.max(jnp.abs(violations(s)), initial=0.0)
        worse = solved & (violation > jnp.maximum(PROGRESS * s.violation, EXACT))
        tight = s.tolerance <= TOLERANCE
        done = solved & ~worse & (violation <= EXACT) & (tight | stuck) & ~exploring
        hopeless = solved & (s.penalty >= LARGEST_PENALTY) & (violation > EXACT) & tight
        penalty = jnp.where(worse, s.penalty * PENALTY_GROWTH, s.penalty)
        return s._replace(
            multipliers=jnp.where(solved, grown, s.multipliers),
            penalty=jnp.minimum(penalty, LARGEST_PENALTY),
            tolerance=jnp.where(solved, jnp.maximum(TOLERANCE, s.tolerance / 10), s.tolerance),
            violation=jnp.where(solved, violation, s.violation),
            radius=jnp.where(solved, jnp.maximum(s.radius, RADIUS / 10), s.radius),
            done=done | hopeless | (stuck & ~exploring),
        )

    start = jnp.clip(start, low, high)
    count = len(problem.constraints)
    nothing = jnp.full(EVALUATIONS, jnp.nan)
    unknown = jnp.zeros(())
    initial = _State(
        z=start,
        now=_Evaluation(
            unknown,
            jnp.zeros(count),
            jnp.zeros(k),
            jnp.zeros((count, k)),
            unknown,
            jnp.zeros(count),
            None if problem.road is None else Errors(*[unknown] * len(FIELDS)),
        ),
        multipliers=jnp.zeros(count),
        penalty=jnp.asarray(PENALTY),
        curvature=jnp.eye(k),
        fresh=jnp.asarray(True),
        radius=jnp.asarray(RADIUS),
        tolerance=jnp.asarray(LOOSE if count else TOLERANCE),
        violation=jnp.asarray(jnp.inf),
        evaluations=jnp.asarray(0),
        done=jnp.asarray(False),
        inner=None if optimizer is None else optimizer.init(start),
        path=jnp.full((EVALUATIONS, k), jnp.nan),
        path_values=nothing,
        path_violations=nothing,
    )
    s = jax.lax.while_loop(lambda s: ~s.done & (s.evaluations < limit), advance, initial)
    multipliers = jnp.maximum(0.0, s.multipliers + s.penalty * s.now.g)
    return Ends(
        z=_snapped(s.z),
        value=s.now.value,
        goals=s.now.goals,
        gradient=s.now.df,
        jacobian=s.now.dg,
        multipliers=multipliers,
        stationarity=stationarity(s.z, slope(s.now, multipliers)),
        violation=jnp.max(s.now.g / one, initial=0.0),
        evaluations=s.evaluations,
        errors=s.now.errors,
        path=s.path,
        path_values=s.path_values,
        path_violations=s.path_violations,
    )


def _snapped(z):
    """Ends of the box exactly, where rounding alone keeps from them."""
    z = jnp.where(z < SNAP, 0.0, z)
    return jnp.where(z > 1 - SNAP, 1.0, z)


def box_step(H, gradient, low, high):
    """The d in a box that makes gradient·d + d·H·d/2 least, H positive definite.

    Primal-dual active sets: a component is held where it, or the force on it, points out. They
    may cycle (rarely); a projected gradient step then takes the place.
    """
    k = len(gradient)
    stiff = jnp.max(jnp.sum(jnp.abs(H), axis=1))

    def sets(_, d_and_force):
        d, force = d_and_force  # force: -(gradient + H d), 0 on what is free
        at_high = force + stiff * (d - high) > 0
        at_low = force + stiff * (d - low) < 0
        held = at_high | at_low
        there = jnp.where(at_high, high, jnp.where(at_low, low, 0.0))
        mixed = held[:, None] | held[None, :]
        M = jnp.where(mixed, jnp.diag(jnp.where(held, stiff, 0.0)), H)
        right = jnp.where(held, stiff * there, -(gradient + H @ there))
        d = jnp.where(held, there, jnp.linalg.solve(M, right))
        return d, jnp.where(held, -(gradient + H @ d), 0.0)

    d, _ = jax.lax.fori_loop(0, k + 3, sets, (jnp.zeros(k), -gradient))
    short = jnp.clip(-gradient / stiff, low, high)
    d = jnp.clip(jnp.where(jnp.isfinite(d), d, short), low, high)

    def model(d):
        return gradient @ d + d @ H @ d / 2

    return jnp.where(model(d) <= model(short), d, short)


def _learn(B, fresh, step, bend, valid):
    """Powell's damped BFGS: B stays positive definite and learns B·step = bend."""
    along = step @ bend
    length2 = step @ step
    first = jnp.maximum(bend @ bend / jnp.where(along > 0, along, 1.0), 1e-8)
    rescale = fresh & valid & (along > 1e-12 * jnp.sqrt(length2 * (bend @ bend)))
    B = jnp.where(rescale, jnp.eye(len(step)) * first, B)
    Bs = B @ step
    sBs = step @ Bs
    damp = jnp.where(along >= 0.2 * sBs, 1.0, 0.8 * sBs / (sBs - along))
    y = damp * bend + (1 - damp) * Bs
    sy = step @ y
    updated = B - jnp.outer(Bs, Bs) / sBs + jnp.outer(y, y) / sy
    usable = valid & (sBs > 0) & (sy > 0) & jnp.all(jnp.isfinite(updated))
    return jnp.where(usable, updated, B), fresh & ~usable
