r"""The augmented Lagrangian: one start's way to a constrained optimum in a box.

Minimise f(z) subject to g_j(z) <= 0, z in a box of the unit cube. With multipliers λ_j >= 0 and
a penalty ρ each round minimises

    L_A = f + (1/2ρ) Σ_j [max(0, λ_j + ρ g_j)² - λ_j²]

in the box by quasi-Newton steps in a trust region, and when the gradient is small sets λ_j to
max(0, λ_j + ρ g_j): λ converges at finite ρ, and the constraints hold as exactly as asked
(Bertsekas, "Constrained Optimization and Lagrange Multiplier Methods", 1982). BFGS learns the
curvature of f + Σ λ_j g_j; that of the penalty, ρ ∇g_j ∇g_j^T, is known. Only exact first
derivatives are asked for. What is not finite is a step that was not taken.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.promotion import mixed

EVALUATIONS = 150  # of one start, at most; 15 to 40 are usual
TOLERANCE = 1e-8  # on the gradient relative to f, in the unit box
EXACT = 1e-11  # violation of a constraint over the larger of its bound and 1, at the end
PENALTY, LARGEST_PENALTY = 10.0, 1e6  # ρ at first and at most
PENALTY_GROWTH, PROGRESS = 10.0, 0.25  # ρ grows unless the violation shrank to this share
LOOSE = 1e-2  # first tolerance on the gradient, before the multipliers are known
RADIUS, LARGEST_RADIUS = 0.1, 0.5  # of the trust region, in the unit box
NOISE = 1e-13  # relative changes of L_A that say nothing
STUCK = 1e-13  # a trust region in which nothing moves
EXPLORE = 100  # steps of a user's optimiser before the quasi-Newton ones
MULTIPLIERS_EVERY = 10  # of these


class Evaluation(NamedTuple):
    """f, g and their first derivatives at a point; `extra` is carried along."""

    f: Float[Array, ""]
    g: Float[Array, " constraints"]
    df: Float[Array, " k"]
    dg: Float[Array, "constraints k"]
    extra: Any

    def finite(self):
        """Whether f, g and the derivatives are."""
        parts = (self.f, self.g, self.df, self.dg)
        return jnp.all(jnp.isfinite(jnp.concatenate([jnp.ravel(x) for x in parts])))


class State(NamedTuple):
    """Where a start is; `path` and its like hold every evaluation, NaN after the last."""

    z: Any
    now: Evaluation
    multipliers: Any
    penalty: Any
    curvature: Any
    fresh: Any  # whether the curvature is still a guess
    radius: Any
    tolerance: Any
    violation: Any  # at the last update of the multipliers
    evaluations: Any
    done: Any
    optimizer: Any  # the state of a user's optimiser
    path: Any
    path_values: Any
    path_violations: Any


def start(z, now: Evaluation, optimizer: Any) -> State:
    """The state before the first evaluation.

    Args:
        z: the start. now: of any numbers, in the shapes of an evaluation.
        optimizer: an optax transformation, or None.
    """
    k, count = len(z), len(now.g)
    nothing = jnp.full(EVALUATIONS, jnp.nan)
    return State(
        z=z,
        now=now,
        multipliers=jnp.zeros(count),
        penalty=jnp.asarray(PENALTY),
        curvature=jnp.eye(k),
        fresh=jnp.asarray(True),
        radius=jnp.asarray(RADIUS),
        tolerance=jnp.asarray(LOOSE if count else TOLERANCE),
        violation=jnp.asarray(jnp.inf),
        evaluations=jnp.asarray(0),
        done=jnp.asarray(False),
        optimizer=None if optimizer is None else optimizer.init(z),
        path=jnp.full((EVALUATIONS, k), jnp.nan),
        path_values=nothing,
        path_violations=nothing,
    )


class Lagrangian(NamedTuple):
    """The problem of one start.

    Attributes:
        weight: of f; 0 to look for a feasible point only.
        low, high: the box, shape (k,).
        unit: the g_j of a violation that counts as 1, shape (constraints,).
        evaluate: from z to its `Evaluation`, `extra[0]` being the value for the path.
        optimizer: an optax transformation whose steps come first, or None.
    """

    weight: Any
    low: Any
    high: Any
    unit: Any
    evaluate: Callable[[Any], Evaluation]
    optimizer: Any

    def estimate(self, s: State, at: Evaluation):
        """The multipliers that an update at `at` would leave."""
        return jnp.maximum(0.0, s.multipliers + s.penalty * at.g)

    def stationarity(self, s: State):
        """The largest component of the projected gradient."""
        moved = jnp.clip(s.z - self._slope(s.now, self.estimate(s, s.now)), self.low, self.high)
        return jnp.max(jnp.abs(moved - s.z), initial=0.0)

    def advance(self, s: State) -> State:
        """One evaluation, and what follows from it."""
        first = s.evaluations == 0
        exploring = jnp.asarray(False)
        trial, judge = self._quasi_newton(s)
        if self.optimizer is not None:
            exploring = s.evaluations < EXPLORE
            other, judge_other = self._explore(s)
            trial = jnp.where(exploring, other, trial)
        trial = jnp.where(first, s.z, trial)
        after = self.evaluate(trial)
        moved = judge(after)
        if self.optimizer is not None:
            moved = _choose(exploring, judge_other(after), moved)
        s, taken = _choose(first, (self._begin(s, after), jnp.asarray(True)), moved)
        i, worst = s.evaluations, jnp.max(after.g / self.unit, initial=0.0)
        s = s._replace(
            z=jnp.where(taken, trial, s.z),
            now=_choose(taken, after, s.now),
            evaluations=i + 1,
            path=s.path.at[i].set(trial),
            path_values=s.path_values.at[i].set(after.extra[0]),
            path_violations=s.path_violations.at[i].set(worst),
        )
        return _choose(s.done, s, self._multiply(s, exploring))

    def _merit(self, s, at):
        grown = self.estimate(s, at)
        return self.weight * at.f + jnp.sum(grown**2 - s.multipliers**2) / (2 * s.penalty)

    def _slope(self, at, multipliers):
        return self.weight * at.df + multipliers @ at.dg

    def _begin(self, s, after):
        """The state at the start, once it is evaluated."""
        steepest = jnp.max(jnp.abs(after.df), initial=0.0)
        curvature = jnp.eye(len(s.z)) * jnp.maximum(steepest / RADIUS, 1e-8)
        return s._replace(curvature=curvature, done=~after.finite())

    def _quasi_newton(self, s):
        """A step, and what to make of the numbers found there."""
        grown = self.estimate(s, s.now)
        lower = jnp.maximum(self.low - s.z, -s.radius)
        upper = jnp.minimum(self.high - s.z, s.radius)
        step, expected = box_step(
            s.curvature,
            self.weight * s.now.df,
            s.multipliers + s.penalty * s.now.g,
            s.now.dg,
            s.penalty,
            lower,
            upper,
        )
        trial = jnp.clip(s.z + step, self.low, self.high)
        step = trial - s.z

        def judge(after):
            finite = after.finite()
            before = self._merit(s, s.now)
            gained = before - self._merit(s, after) + NOISE * (1 + jnp.abs(before))
            taken = finite & (gained >= 1e-4 * expected)
            length = jnp.max(jnp.abs(step), initial=0.0)
            longer = jnp.maximum(s.radius, 2.5 * length)
            radius = jnp.where(gained > 0.75 * expected, longer, s.radius)
            radius = jnp.where(taken, radius, length / 4)
            bend = self._slope(after, grown) - self._slope(s.now, grown)
            curvature, fresh = _learn(s.curvature, s.fresh, step, bend, finite)
            radius = jnp.minimum(radius, LARGEST_RADIUS)
            return s._replace(radius=radius, curvature=curvature, fresh=fresh), taken

        return trial, judge

    def _explore(self, s):
        """The same by the user's optimiser, whose every finite step is taken."""
        gradient = self._slope(s.now, self.estimate(s, s.now))
        updates, inner = mixed(self.optimizer.update)(gradient, s.optimizer, s.z)
        trial = s.z + jnp.clip(updates, -s.radius, s.radius)

        def judge(after):
            taken = after.finite()
            longer = jnp.minimum(2 * s.radius, LARGEST_RADIUS)
            radius = jnp.where(taken, longer, s.radius / 4)
            return s._replace(radius=radius, optimizer=inner), taken

        return jnp.clip(trial, self.low, self.high), judge

    def _multiply(self, s, exploring):
        """Update multipliers and penalty where the inner problem is solved well enough."""
        size = jnp.maximum(jnp.maximum(1.0, jnp.abs(s.now.f)) * self.weight, 1e-2)
        stuck = s.radius < STUCK
        solved = (self.stationarity(s) <= s.tolerance * size) | stuck
        solved = jnp.where(exploring, s.evaluations % MULTIPLIERS_EVERY == 0, solved)
        # How far g <= 0, λ >= 0 and λ g = 0 are from holding.
        unmet = jnp.maximum(s.now.g, -s.multipliers / s.penalty) / self.unit
        violation = jnp.max(jnp.abs(unmet), initial=0.0)
        worse = solved & (violation > jnp.maximum(PROGRESS * s.violation, EXACT))
        tight = s.tolerance <= TOLERANCE
        done = solved & ~worse & (violation <= EXACT) & tight & ~exploring
        hopeless = solved & (s.penalty >= LARGEST_PENALTY) & (violation > EXACT) & tight
        grown = self.estimate(s, s.now)
        penalty = jnp.where(worse, s.penalty * PENALTY_GROWTH, s.penalty)
        return s._replace(
            multipliers=jnp.where(solved, grown, s.multipliers),
            penalty=jnp.minimum(penalty, LARGEST_PENALTY),
            tolerance=jnp.where(solved, jnp.maximum(TOLERANCE, s.tolerance / 10), s.tolerance),
            violation=jnp.where(solved, violation, s.violation),
            radius=jnp.where(solved, jnp.maximum(s.radius, RADIUS / 10), s.radius),
            done=done | hopeless | (stuck & ~exploring),
        )


def _choose(which, one, other):
    return jax.tree.map(lambda x, y: jnp.where(which, x, y), one, other)


def box_step(B, slope, pull, normals, penalty, low, high):
    """The step d in a box that makes the model of L_A least, and by how much it is lower.

    The model, slope·d + d·B·d/2 + Σ_j max(0, pull_j + ρ normals_j·d)²/2ρ with B positive
    definite and pull_j = λ_j + ρ g_j, is convex and piecewise quadratic: a constraint may come
    in or leave along the step. Primal-dual active sets, of the box and of the constraints at
    once; they may cycle (rarely), so the best step on the way is kept, a projected gradient one
    among them, and of equal ones the last.
    """
    k, count = normals.shape[1], normals.shape[0]
    stiff = jnp.max(jnp.sum(jnp.abs(B + penalty * normals.T @ normals), axis=1))

    def model(d):
        grown = jnp.maximum(0.0, pull + penalty * (normals @ d))
        return slope @ d + d @ B @ d / 2 + jnp.sum(grown**2) / (2 * penalty)

    nothing = jnp.zeros(k)
    before = model(nothing)

    def better(d, best):
        d = jnp.clip(jnp.where(jnp.isfinite(d), d, 0.0), low, high)
        value = model(d)
        return _choose(value <= best[1] + NOISE * (1 + jnp.abs(before)), (d, value), best)

    def sets(_, carry):
        d, force, best = carry  # force: minus the slope of the model, 0 on what is free
        on = jnp.where(pull + penalty * (normals @ d) > 0, 1.0, 0.0)
        gradient = slope + (on * pull) @ normals
        H = B + penalty * (normals.T * on[None, :]) @ normals
        at_high = force + stiff * (d - high) > 0
        at_low = force + stiff * (d - low) < 0
        held = at_high | at_low
        there = jnp.where(at_high, high, jnp.where(at_low, low, 0.0))
        either = held[:, None] | held[None, :]
        M = jnp.where(either, jnp.diag(jnp.where(held, stiff, 0.0)), H)
        right = jnp.where(held, stiff * there, -(gradient + H @ there))
        d = jnp.where(held, there, jnp.linalg.solve(M, right))
        return d, jnp.where(held, -(gradient + H @ d), 0.0), better(d, best)

    steepest = -(slope + jnp.maximum(0.0, pull) @ normals)
    best = better(jnp.clip(steepest / stiff, low, high), (nothing, before))
    carry = (nothing, steepest, best)
    _, _, (d, value) = jax.lax.fori_loop(0, k + count + 4, sets, carry)
    return d, before - value


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
