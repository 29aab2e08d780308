"""How good an optimum is, what holds it, and how it moves."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..model import RFDSM
from . import search
from .optima import Optimum
from .search import Problem, Rows
from .work import Search

TOUCHING = 1e-7  # a constraint this close to its bound (relative) is active
DIFFERENCE = 1e-4  # of exact gradients, for second derivatives
LIFTING = 1e-6  # a gradient this small does not lift a variable off its bound
RANK = 1e-10  # relative singular values below are 0


def labels(problem: Problem, bounds: np.ndarray) -> list[str]:
    """The names of constraints at these bounds."""
    pairs = zip(problem.constraints, bounds, strict=True)
    return [dataclasses.replace(c, bound=np.asarray(b)).label for c, b in pairs]


def active(work: Search, best: Optimum) -> tuple[str, ...]:
    """The names of the constraints and bounds that an optimum lies on."""
    touching = _touching(work.problem, best)
    names = [n for n, on in zip(labels(work.problem, best.bounds), touching, strict=True) if on]
    return (*names, *_active_bounds(work, best))


def worths(work: Search, best: Optimum) -> dict[str, float]:
    """What loosening each constraint and active bound by a unit is worth."""
    scale = work.scale / np.asarray(search.scales(best.bounds))
    named = zip(labels(work.problem, best.bounds), best.multipliers * scale, strict=True)
    told = {name: float(worth) for name, worth in named}
    slopes = work.problem.variables.slopes(best.z)
    lagrangian = best.gradient + best.multipliers @ best.jacobian
    for name, i in _active_bounds(work, best).items():
        told[name] = float(abs(lagrangian[i]) * work.scale / slopes[i])
    return told


def second_order(work: Search, best: Optimum) -> float:
    """Least eigenvalue of the Lagrangian's second derivatives along what is left free."""
    free, normals = _left_free(work, best)
    if len(free) == 0:
        return math.inf
    _, sizes, directions = np.linalg.svd(np.vstack([normals, np.zeros((1, len(free)))]))
    rank = int(np.sum(sizes > RANK * max(1.0, sizes.max(initial=0.0))))
    tangent = directions[rank:]
    if len(tangent) == 0:
        return math.inf
    H = tangent @ hessian(work, best)[np.ix_(free, free)] @ tangent.T
    if not np.all(np.isfinite(H)):
        return math.nan
    return float(np.linalg.eigvalsh(H)[0] * work.scale / max(abs(best.value), 1e-300))


def drift(work: Search, best: Optimum, which: int) -> dict[str, float]:
    """d(number)/d(bound) of every free variable (of m that of 1/m), for one constraint's bound.

    By the implicit function theorem on the conditions of optimality: with H the second
    derivatives of the Lagrangian and A the normals of what is active, H dz + A^T dλ = 0 and
    A dz = dg/d(bound). 0 where the constraint is not active, NaN where there is no solution.
    """
    names = work.problem.variables.names
    touching = _touching(work.problem, best)
    if not touching[which]:
        return dict.fromkeys(names, 0.0)
    free, normals = _left_free(work, best)
    count = len(normals)
    H = hessian(work, best)[np.ix_(free, free)]
    K = np.block([[H, normals.T], [normals, np.zeros((count, count))]])
    sense = work.problem.constraints[which].sense
    right = np.zeros(len(K))
    right[len(free) + np.flatnonzero(touching).tolist().index(which)] = sense / float(
        search.scales(best.bounds)[which]
    )
    moved = np.zeros(work.k)
    if np.all(np.isfinite(K)) and np.linalg.matrix_rank(K) == len(K):
        moved[free] = np.linalg.solve(K, right)[: len(free)]
    else:
        moved[:] = math.nan
    moved *= work.problem.variables.slopes(best.z)
    return dict(zip(names, moved.tolist(), strict=True))


def hessian(work: Search, best: Optimum) -> np.ndarray:
    """Second derivatives of the Lagrangian by differences of its exact gradient, (k, k)."""
    step = DIFFERENCE * np.eye(work.k)
    ends = np.clip(np.concatenate([best.z + step, best.z - step]), 0, 1)
    rows = Rows(
        ends, np.zeros_like(ends), np.ones_like(ends), np.tile(best.bounds, (len(ends), 1))
    )
    there = work.run(rows, "curvature", limit=1)
    slopes = there.gradient + np.einsum("j,rjk->rk", best.multipliers, there.jacobian)
    up, down = np.split(slopes, 2)
    distance = np.diag(ends[: work.k] - ends[work.k :])
    H = (up - down) / distance[:, None]
    return (H + H.T) / 2


def sensitivity(problem: Problem, best: Optimum, scale: float) -> RFDSM:
    """The derivative of the optimal value in the numbers of the model."""
    worth = best.multipliers * scale / np.asarray(search.scales(best.bounds))
    return _sensitivity(problem, best.z, worth)


@eqx.filter_jit
def _sensitivity(problem, z, worth):
    def lagrangian(model):
        point = eqx.tree_at(lambda p: p.model, problem, model).point(jnp.asarray(z))
        total = problem.objective.value(point)
        for weight, constraint in zip(worth, problem.constraints, strict=True):
            total = total + weight * constraint.sense * constraint.goal.value(point)
        return total

    return jax.grad(lagrangian)(problem.model)


def _left_free(work: Search, best: Optimum) -> tuple[np.ndarray, np.ndarray]:
    """The variables that no bound holds, and the active constraints' normals in them."""
    free = np.delete(np.arange(work.k), list(_active_bounds(work, best).values()))
    free = free[best.low[free] < best.high[free]]
    return free, best.jacobian[_touching(work.problem, best)][:, free]


def _touching(problem: Problem, best: Optimum) -> np.ndarray:
    """Which constraints hold with equality."""
    bounds = jnp.asarray(best.bounds)
    g = search.residuals(problem.constraints, jnp.asarray(best.goals), bounds)
    return np.asarray(jnp.abs(g)) <= TOUCHING


def _active_bounds(work: Search, best: Optimum) -> dict[str, int]:
    """The bounds of variables that the optimum is pushed against, by name."""
    lagrangian = best.gradient + best.multipliers @ best.jacobian
    told = {}
    for i, name in enumerate(work.problem.variables.names):
        low, high = work.problem.variables.bounds(name)
        if best.low[i] == best.high[i]:
            continue
        inverse = work.problem.variables.scale(name).inverse
        if best.z[i] == 0 and lagrangian[i] > -LIFTING:
            told[f"{name} <= {high:g}" if inverse else f"{name} >= {low:g}"] = i
        elif best.z[i] == 1 and lagrangian[i] < LIFTING:
            told[f"{name} >= {low:g}" if inverse else f"{name} <= {high:g}"] = i
    return told
