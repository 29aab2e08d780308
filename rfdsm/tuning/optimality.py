"""What holds an optimum, how good it is, and how it moves."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._files.programs import kept
from ..model import RFDSM
from .descent import TOUCHING, tangent
from .optima import Optimum
from .problem import Problem, scales

LIFTING = 1e-6  # a gradient this small (relative) does not lift a variable off its bound


def labels(problem: Problem, bounds: np.ndarray) -> list[str]:
    """The names of constraints at these bounds."""
    pairs = zip(problem.constraints, bounds, strict=True)
    return [dataclasses.replace(c, bound=np.asarray(b)).label for c, b in pairs]


def active(problem: Problem, best: Optimum) -> tuple[str, ...]:
    """The names of the constraints and bounds that an optimum lies on."""
    named = zip(labels(problem, best.bounds), _touching(best), strict=True)
    return (*(name for name, on in named if on), *_active_bounds(problem, best))


def worths(problem: Problem, best: Optimum) -> dict[str, float]:
    """What loosening each constraint and active bound by a unit is worth."""
    worth = best.end.multipliers / np.asarray(scales(best.bounds))
    told = dict(zip(labels(problem, best.bounds), worth.tolist(), strict=True))
    slopes = np.abs(best.slopes / problem.variables.slopes(best.z))
    bounds = _active_bounds(problem, best).items()
    return told | {name: float(slopes[i]) for name, i in bounds}


def second_order(problem: Problem, best: Optimum) -> float:
    """Least eigenvalue of the Lagrangian's second derivatives along what is left free."""
    free, normals = _left_free(problem, best)
    along = tangent(normals)
    if not along.size:
        return math.inf
    H = along @ best.end.hessian[np.ix_(free, free)] @ along.T
    if not np.all(np.isfinite(H)):
        return math.nan
    return float(np.linalg.eigvalsh(H)[0] / max(abs(best.value), 1e-300))


def drift(problem: Problem, best: Optimum, which: int) -> dict[str, float]:
    """d(number)/d(bound) of every free variable (of m that of 1/m), for one constraint's bound.

    By the implicit function theorem on the conditions of optimality: with H the second
    derivatives of the Lagrangian and A the normals of what is active, H dz + A^T dλ = 0 and
    A dz = dg/d(bound). 0 where the constraint is not active, NaN where there is no solution.
    """
    names = problem.variables.names
    touching = _touching(best)
    if not touching[which]:
        return dict.fromkeys(names, 0.0)
    free, normals = _left_free(problem, best)
    count = len(normals)
    H = best.end.hessian[np.ix_(free, free)]
    K = np.block([[H, normals.T], [normals, np.zeros((count, count))]])
    right = np.zeros(len(K))
    row = len(free) + int(np.sum(touching[:which]))
    right[row] = problem.constraints[which].sense / scales(best.bounds)[which]
    moved = np.zeros(len(names))
    if np.all(np.isfinite(K)) and np.linalg.matrix_rank(K) == len(K):
        moved[free] = np.linalg.solve(K, right)[: len(free)]
    else:
        moved[:] = math.nan
    moved *= problem.variables.slopes(best.z)
    return dict(zip(names, moved.tolist(), strict=True))


def sensitivity(problem: Problem, best: Optimum) -> RFDSM:
    """The derivative of the optimal value in the numbers of the model."""
    return _sensitivity(problem, best.z, best.end.multipliers / np.asarray(scales(best.bounds)))


@kept(jit=eqx.filter_jit)
def _sensitivity(problem, z, worth):
    def lagrangian(model):
        point = eqx.tree_at(lambda p: p.model, problem, model).point(jnp.asarray(z))
        value, *goals = problem.goals(point)
        senses = [c.sense for c in problem.constraints]
        return value + sum(w * s * g for w, s, g in zip(worth, senses, goals, strict=True))

    return jax.grad(lagrangian)(problem.model)


def _left_free(problem: Problem, best: Optimum) -> tuple[np.ndarray, np.ndarray]:
    """The variables that no bound holds, and the active constraints' normals in them."""
    held = list(_active_bounds(problem, best).values())
    free = np.setdiff1d(np.flatnonzero(best.free), held)
    return free, best.end.at.dg[_touching(best)][:, free]


def _touching(best: Optimum) -> np.ndarray:
    """Which constraints hold with equality."""
    return np.abs(best.end.at.g) <= TOUCHING


def _active_bounds(problem: Problem, best: Optimum) -> dict[str, int]:
    """The bounds of variables that the optimum is pushed against, by name."""
    lifting = LIFTING * max(abs(best.value), 1e-300)
    slopes, variables = best.slopes, problem.variables
    told = {}
    for i in np.flatnonzero(best.free):
        low, high = variables.bounds(name := variables.names[i])
        inverse = variables.scale(name).inverse
        if best.z[i] == 0 and slopes[i] > -lifting:
            told[f"{name} <= {high:g}" if inverse else f"{name} >= {low:g}"] = i
        elif best.z[i] == 1 and slopes[i] < lifting:
            told[f"{name} >= {low:g}" if inverse else f"{name} <= {high:g}"] = i
    return told
