"""What is searched, and the one compiled program that evaluates it with first derivatives."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._files import programs
from .._files.programs import kept
from .._numerics.promotion import mixed
from ..model import RFDSM
from ..parameters.checks import namespace
from .descent import Evaluation
from .goals import Constraint, Goal, Point
from .surrogate import Added, nothing
from .variables import Variables

ROWS = 64  # points of one call, at most
ROWS_OF_MODELS = 1024  # the same of several models,
LANES, LANES_OF_ACCELERATOR = 16, 1024  # of which so many are solved side by side
EXPLORE = 100  # steps of a user's optimiser
PENALTY = 10.0  # of g² in what it descends
STEP = 0.1  # the longest of these, in the unit box


class Problem(eqx.Module):
    """What is searched: all that is the same for every start.

    Attributes:
        model: whose numbers that are not free are kept.
        variables: the free ones.
        objective, constraints: what is small and what holds.
        road: from a model to its errors, None: theory; `road(model, *road_arguments)`.
        optimizer: an optax transformation that moves first; None: SLSQP alone.
        added: by a dearer road, to the objective and the constraints' residuals.
        swept: names of further numbers of the model, which every row of points gives too.
    """

    model: RFDSM
    variables: Variables
    objective: Goal
    constraints: tuple[Constraint, ...]
    road: Callable | None
    road_arguments: tuple
    optimizer: Any = eqx.field(static=True)
    added: Added | None = None
    swept: tuple[str, ...] = eqx.field(static=True, default=())

    def cheap(self, added: Added | None = None) -> "Problem":
        """The same of the Gaussian theory, with what the road was found to add to it."""
        blank = nothing(len(self.variables.names), len(self.constraints))
        return dataclasses.replace(self, road=None, road_arguments=(), added=added or blank)

    @property
    def bounds(self) -> np.ndarray:
        """Those of the constraints, shape (constraints,)."""
        return np.array([float(c.bound) for c in self.constraints])

    def point(self, z: Float[Array, " k"], others: Sequence = ()) -> Point:
        """The model at z and at other numbers that are swept, with its errors."""
        road = None
        if self.road is not None:
            road = lambda model: self.road(model, *self.road_arguments)  # noqa: E731
        model = self.model.replace(**dict(zip(self.swept, others, strict=True)))
        return Point(self.variables.place(model, z), road)

    def goals(self, point: Point) -> Float[Array, " goals"]:
        """The objective, and what the constraints bound."""
        goals = (self.objective, *(c.goal for c in self.constraints))
        return jnp.stack([goal.value(point) for goal in goals]).astype(float)


def evaluate(problem: Problem, rows: np.ndarray) -> list[Evaluation]:
    """What is known at rows of a point and of the constraints' bounds, (rows, k + bounds).

    And of the swept numbers, where there are any, (rows, k + bounds + swept).
    """
    leaves, tree = jax.tree.flatten(evaluated(problem, rows))
    return [jax.tree.unflatten(tree, parts) for parts in zip(*leaves, strict=True)]


def evaluated(problem: Problem, rows: np.ndarray) -> Evaluation:
    """`evaluate` as one `Evaluation` whose leaves are arrays of shape (rows, ...)."""
    found, most = [], ROWS_OF_MODELS if problem.swept else ROWS
    for first in range(0, len(rows), most):
        some = rows[first : first + most]
        # One shape, so one program, whether a point is asked for or many.
        block = np.concatenate([some, np.ones((most - len(some), rows.shape[1]))])
        answers = _evaluate(problem, block, np.asarray(len(some)))
        found.append(jax.tree.map(lambda x: np.asarray(x)[: len(some)], answers))  # noqa: B023
    every = jax.tree.map(lambda *x: np.concatenate(x), *found)
    return Evaluation(rows[:, : len(problem.variables.names)], *every)


def prepare(problem: Problem) -> None:
    """Compile what evaluates the problem, and evaluate nothing."""
    k, bounds = len(problem.variables.names), problem.bounds
    _evaluate(problem, np.ones((ROWS, k + len(bounds))), np.asarray(0))


@kept(jit=programs.quickly)
def _evaluate(problem: Problem, rows, count):
    """All of an `Evaluation` but its point at the first `count` rows, one after another.

    Of several models many side by side.
    """
    k, b = len(problem.variables.names), len(problem.constraints)

    def numbers(z, bounds, others):
        point = problem.point(z, others)
        f, *goals = problem.goals(point)
        g = residuals(problem.constraints, jnp.array(goals), bounds)
        if problem.added is not None:
            f, g = problem.added.to(f, g, z)
            goals = bounds + senses(problem.constraints) * scales(bounds) * jnp.sinh(g)
        # Of the theory they can be had at the end; of a road and of many models they are told.
        told = problem.road is not None or problem.swept
        errors = point.errors if told else point.read
        return (f, g), (f, g, jnp.array(goals), errors)

    @jax.jit  # traced once, for its shapes and in the loop
    def one(row):
        z, bounds, others = jnp.split(row, [k, k + b])
        (df, dg), (f, g, goals, errors) = jax.jacfwd(numbers, has_aux=True)(z, bounds, others)
        violation = jnp.max(g / jnp.maximum(1.0, 1 / scales(bounds)), initial=0.0)
        return f, df, g, dg, violation, goals, errors

    lanes = LANES if jax.default_backend() == "cpu" else LANES_OF_ACCELERATOR
    lanes = lanes if problem.swept else 1
    blocks = jnp.reshape(rows, (-1, lanes, rows.shape[1]))

    def together(block):
        if problem.swept:
            return jax.vmap(one)(block)
        return jax.tree.map(lambda x: x[None], one(block[0]))

    def step(i, seen):
        found = together(blocks[i])
        return jax.tree.map(lambda every, some: every.at[i].set(some), seen, found)

    blank = jax.tree.map(
        lambda x: jnp.zeros((len(blocks), *x.shape), x.dtype),
        jax.eval_shape(together, blocks[0]),
    )
    found = jax.lax.fori_loop(0, -(-count // lanes), step, blank)
    return jax.tree.map(lambda x: jnp.reshape(x, (len(rows), *x.shape[2:])), found)


def residuals(constraints: tuple[Constraint, ...], goals, bounds):
    """g_j: sense·(goal - bound) over the bound, asinh of it so that decades stay tame.

    Args:
        constraints: as of the problem. goals: what they bound, shape (..., constraints).
        bounds: theirs, shape (constraints,).
    """
    return jnp.arcsinh(senses(constraints) * (goals - bounds) / scales(bounds))


def senses(constraints: tuple[Constraint, ...]):
    """1 where the goal is not to be above the bound, -1 where not below."""
    return jnp.array([float(c.sense) for c in constraints])


def scales(bounds):
    """What a constraint's distance is measured in: its bound, or 1 where that is 0."""
    xp = namespace(bounds)
    return xp.where(bounds == 0, 1.0, xp.abs(bounds))


@eqx.filter_jit
def explored(problem: Problem, z, bounds, scale):
    """Where the user's optimiser leads starts z, shape (rows, k), and its way there.

    It descends the objective over `scale` with a quadratic penalty on the constraints.

    Returns:
        The points gone to, shape (rows, steps, k).
    """

    def merit(z):
        value, *goals = problem.goals(problem.point(z))
        g = residuals(problem.constraints, jnp.array(goals), bounds)
        return value / scale + PENALTY * jnp.sum(jnp.maximum(0.0, g) ** 2)

    def step(carry, _):
        z, state = carry
        updates, state = mixed(problem.optimizer.update)(jax.jacfwd(merit)(z), state, z)
        moved = jnp.clip(z + jnp.clip(updates, -STEP, STEP), 0.0, 1.0)
        z = jnp.where(jnp.all(jnp.isfinite(moved)), moved, z)
        return (z, state), z

    def way(z):
        return jax.lax.scan(step, (z, problem.optimizer.init(z)), None, EXPLORE)[1]

    return jax.vmap(way)(jnp.asarray(z))
