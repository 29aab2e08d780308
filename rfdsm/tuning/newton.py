r"""Newton's steps of many starts at once: arrays of runs, one call for all of their questions.

Minimise f(z) subject to g_j(z) <= 0, z in the unit box, as `descent` does for one start. A step
minimises the quadratic model of the Lagrangian, and the exact penalty of the linearised
constraints, within the box and a radius (Fletcher, "Practical methods of optimization", 1987,
section 14.4). The exact penalty judges it, or near the end how well the conditions of
optimality hold. Runs that have ended ask for nothing. Knows functions, nothing of models.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from .descent import EXACT, STATIONARY, Evaluation, snapped

STEPS = 60  # at most
SHARES = np.array([1.0, 0.3, 0.05])  # of a step, that are tried
RADIUS, SMALLEST = 0.3, 1e-7  # of the first step in the unit box, and below which a run ends
DIFFERENCE = 1e-6  # of exact gradients, for second derivatives
NEARER, CLOSE = 0.3, 1e-2  # what a step has to leave of what is missed, where little is
FLAT, SOFT = 1e-10, 1e-11  # least curvature; how much constraints give
STRONG = 1e5  # the largest multiplier, of f over its size: what is out of reach pulls so much
BLOCK_TURNS, SINGLE_TURNS, TINY = 10, 40, 1e-14  # of guesses at what holds with equality

Ask = Callable[[np.ndarray, np.ndarray], Evaluation]


class Ends(NamedTuple):
    """Where runs ended, arrays of shape (runs, ...).

    Attributes:
        at: the points. multipliers: of the constraints, in f's unit.
        first_order: the largest component of the Lagrangian's projected gradient over f.
    """

    at: Evaluation
    multipliers: np.ndarray
    first_order: np.ndarray


def take(tree: Any, rows: Any) -> Any:
    """Some rows of all arrays."""
    return jax.tree.map(lambda x: x[rows], tree)


def put(tree: Any, rows: Any, other: Any) -> Any:
    """All arrays with some rows replaced by another's."""

    def set_(x, y):
        x = x.copy()
        x[rows] = y
        return x

    return jax.tree.map(set_, tree, other)


def descend(ask: Ask, start: Evaluation, free: np.ndarray, scale: np.ndarray) -> Ends:
    """Where Newton's steps lead from some starts.

    Args:
        ask: from points, shape (rows, k), and the number of each one's run to evaluations.
        start: finite, arrays of shape (runs, ...). free: which coordinates move, (runs, k).
        scale: the size of each run's objective, shape (runs,).
    """
    at, every = start, np.arange(len(start.f))
    multipliers = np.zeros_like(start.g)
    radius, weight = np.full(len(every), RADIUS), np.ones(len(every))
    live = every
    for _ in range(STEPS):
        if not len(live):
            break
        here, size, moving = take(at, live), scale[live], free[live]
        hessian = _hessian(ask, live, here, multipliers[live], size)
        d, known = _step(here, hessian, multipliers[live], moving, radius[live], size)
        weight[live] = np.maximum(weight[live] / 2, 1 + 2 * known.sum(axis=1))
        z = snapped(here.z[:, None] + SHARES[:, None] * d[:, None])
        trials = _asked(ask, z, live)
        some = np.arange(len(live))
        missed, merit = _judged(here, known, moving, size, weight[live])
        each = [x[:, None] for x in (known, moving, size, weight[live])]
        missing, lower = _judged(trials, *each)
        curved = known.any(axis=1) & ~(lower[:, 0] < merit)
        if curved.any():  # a long step leaves such a constraint: it is judged back on it
            back = _onto(take(trials, curved), known[curved], moving[curved])
            trials = put(trials, curved, _asked(ask, back, live[curved]))
            missing, lower = _judged(trials, *each)
        nearest, lowest = missing.argmin(axis=1), lower.argmin(axis=1)
        close = (missed < CLOSE) & (missing[some, nearest] <= NEARER * missed)
        close &= lower[some, nearest] <= merit + missed
        down = lower[some, lowest] < merit - 1e-14 * np.maximum(1, abs(merit))
        chosen, moved = np.where(close, nearest, lowest), close | down
        at = put(at, live[moved], take(trials, (some[moved], chosen[moved])))
        multipliers[live] = known
        whole = moved & (chosen == 0)
        radius[live] *= np.where(whole, 2.0, np.where(moved, 1.0, 0.1))
        radius[live] = np.minimum(radius[live], 1.0)
        left = _missed(take(at, live), known, moving, size)
        value = np.maximum(abs(at.f[live]), 1e-6 * size) / size
        done = (left <= STATIONARY * value) & (at.violation[live] <= EXACT)
        live = live[~done & (radius[live] > SMALLEST)]
    first_order = _projected(at, multipliers, free, scale).max(axis=-1)
    first_order *= scale / np.maximum(abs(at.f), 1e-300)
    return Ends(at, multipliers * scale[:, None], first_order)


def _asked(ask: Ask, z: np.ndarray, live: np.ndarray) -> Evaluation:
    """What is known at several points of each run, shape (runs, points, k)."""
    runs, points, k = z.shape
    found = ask(z.reshape(-1, k), np.repeat(live, points))
    return jax.tree.map(lambda x: x.reshape(runs, points, *x.shape[1:]), found)


def _slope(at: Evaluation, multipliers, size) -> np.ndarray:
    """The Lagrangian's gradient, of f over its size."""
    return at.df / size[..., None] + (multipliers[..., None] * at.dg).sum(axis=-2)


def _projected(at: Evaluation, multipliers, free, size) -> np.ndarray:
    """What is left of it where coordinates can move."""
    slope = _slope(at, multipliers, size)
    return abs(at.z - np.clip(at.z - slope, 0, 1)) * free


def _missed(at: Evaluation, multipliers, free, size) -> np.ndarray:
    """How far the conditions of optimality are from holding, shape (runs,)."""
    left = _projected(at, multipliers, free, size).max(axis=-1)
    unmet = abs(multipliers * at.g).max(axis=-1, initial=0.0)
    return np.maximum(np.maximum(left, unmet), at.violation)


def _judged(at: Evaluation, multipliers, free, size, weight) -> tuple[np.ndarray, np.ndarray]:
    """What `_missed` says, and the exact penalty; infinite where not known."""
    missed = _missed(at, multipliers, free, size)
    merit = at.f / size + weight * np.maximum(at.g, 0).sum(axis=-1)
    known = np.isfinite(merit + missed)
    return np.where(known, missed, np.inf), np.where(known, merit, np.inf)


def _hessian(ask, live, at: Evaluation, multipliers, size) -> np.ndarray:
    """Second derivatives of the Lagrangian by differences of its exact gradient."""
    k = at.z.shape[1]
    inward = np.where(at.z < 0.5, DIFFERENCE, -DIFFERENCE)
    z = at.z[:, None] + np.eye(k) * inward[:, None]
    beside = _asked(ask, z, live)
    slopes = _slope(beside, multipliers[:, None], size[:, None])
    rows = (slopes - _slope(at, multipliers, size)[:, None]) / inward[..., None]
    return np.nan_to_num(rows + rows.swapaxes(1, 2), posinf=0, neginf=0) / 2


def _step(at: Evaluation, H, multipliers, free, radius, size) -> tuple[np.ndarray, np.ndarray]:
    """The step to the least of the quadratic model, and the multipliers there."""
    k = at.z.shape[1]
    slope = _slope(at, multipliers, size)
    pushed = np.where(at.z <= 0, slope > 0, (at.z >= 1) & (slope < 0)) | ~free
    # Along the constraints' normals curvature is free to choose: they fix the step there.
    held = (multipliers > 0) | (at.g > 0)
    normals = np.where(held[..., None], at.dg, 0.0)
    bend = np.sqrt((H**2).sum(axis=(1, 2)))
    steep = (normals**2).sum(axis=(1, 2))
    stiff = np.where(steep > 0, 2 * bend / np.maximum(steep, 1e-8 * bend + 1e-300), 0.0)
    stiff = stiff[:, None, None]
    H = H + stiff * (normals.swapaxes(1, 2) @ normals)
    q = at.df / size[:, None] + stiff[:, 0] * (at.g[:, None] @ normals)[:, 0]
    H = np.where(pushed[:, None] | pushed[:, :, None], np.eye(k), H)
    # Downhill where the model is bent the wrong way, and not far where it is flat.
    bends, axes = np.linalg.eigh(H)
    bends = np.maximum(abs(bends), FLAT)
    H = (axes * bends[:, None]) @ axes.swapaxes(1, 2)
    # Constraints may repeat each other: they give, and less and less as the multipliers settle.
    give = ((at.dg @ axes) ** 2 / bends[:, None]).sum(axis=-1).max(axis=1, initial=0.0)
    give = SOFT * (give + SOFT)[:, None]
    M = np.block([[H, at.dg.swapaxes(1, 2)], [-at.dg, give[..., None] * np.eye(at.g.shape[1])]])
    low = np.maximum(-at.z, -radius[:, None]) * free
    high = np.minimum(1 - at.z, radius[:, None]) * free
    none = np.zeros_like(at.g)
    r = np.concatenate([q, -at.g - give * multipliers], axis=1)
    ends = np.concatenate([low, none], axis=1), np.concatenate([high, none + STRONG], axis=1)
    first = np.where(pushed, np.where(at.z >= 1, 1, -1), 0)
    first = np.concatenate([first, np.where(held, 0, -1)], axis=1)
    stays = np.concatenate([~free, np.zeros(at.g.shape, bool)], axis=1)
    y = _pivoted(M, r, *ends, first, stays)
    return y[:, :k], y[:, k:]


def _onto(at: Evaluation, multipliers, free) -> np.ndarray:
    """The nearest points at which, to first order, what has a multiplier is 0."""
    inside = free[:, None] & (at.z > 0) & (at.z < 1)
    held = (multipliers > 0)[:, None]
    normals = np.where(held[..., None] & inside[..., None, :], np.nan_to_num(at.dg), 0.0)
    square = normals @ normals.swapaxes(-1, -2)
    steep = np.trace(square, axis1=-2, axis2=-1)[..., None, None]
    square = square + (SOFT * steep + 1e-300) * np.eye(square.shape[-1])
    pull = np.linalg.solve(square, np.where(held, np.nan_to_num(-at.g), 0.0)[..., None])
    step = (normals.swapaxes(-1, -2) @ pull)[..., 0]
    return snapped(at.z + np.clip(step, -RADIUS, RADIUS))


def _pivoted(M, r, low, high, side, stays) -> np.ndarray:
    """y between low and high with M y + r = 0, or > 0 where y is low and < 0 where it is high.

    Which are at an end is guessed for all of them at once, and where that runs in a circle one
    after the other, which ends with M + M^T > 0 (Júdice and Pires, "A block principal pivoting
    algorithm for large-scale strictly monotone linear complementarity problems", 1994).

    Args:
        M: shape (runs, n, n). r, low, high: shape (runs, n).
        side: a guess, -1, 0 or 1. stays: what is at its guess whatever happens.
    """
    y, n, left = np.zeros_like(r), r.shape[1], np.arange(len(r))
    size = abs(r).max(axis=1, keepdims=True)
    for turn in range(BLOCK_TURNS + SINGLE_TURNS):
        at, m, most = side[left], M[left], size[left]
        ends = np.where(at < 0, low[left], high[left])
        K = np.where((at == 0)[..., None], m, np.eye(n))
        right = np.where(at == 0, -r[left], ends)
        x = np.linalg.solve(K, right[..., None])[..., 0]
        w = (m @ x[..., None])[..., 0] + r[left]
        inside = np.where(x < low[left] - TINY, -1, np.where(x > high[left] + TINY, 1, 0))
        kept = stays[left] | (at * w <= TINY * most)
        new = np.where(at == 0, inside, np.where(kept, at, 0))
        y[left] = np.clip(x, low[left], high[left])
        changed = new != at
        if turn >= BLOCK_TURNS:
            changed &= np.cumsum(changed, axis=1) == 1
        side[left] = np.where(changed, new, at)
        left = left[changed.any(axis=1)]
        if not len(left):
            break
    return y
