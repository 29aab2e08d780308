"""The optima of many models that differ in some numbers, searched side by side.

One compiled program evaluates them all, its rows carry the numbers in which the models differ,
and Newton's steps of every start are arrays. A model's search never looks at another's, but
where it is told its neighbours' optima: what is found does not depend on what it was searched
with.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .descent import Evaluation
from .newton import Ends, descend, put, take
from .problem import ROWS_OF_MODELS, Problem, evaluated, scales
from .search import FEASIBLE, HOPELESS, NEIGHBOURS, SMALL_INTEGERS, spread
from .variables import Variables

SCREENED, FOLLOWED = 64, 8  # starts of a model, and how many of them are followed
STATIONARY = 1e-6  # a larger projected gradient over f is no optimum
ELSEWHERE = 0.02  # in the unit box: a neighbour's optimum further away may be on another branch
SAME_VALUE = 1e-10  # relative: an optimum that is not better by more is no other
OUTCOMES = {
    "success": "the optimum was found",
    "infeasible": "no point within the bounds was found at which all constraints hold",
    "no_optimum": "feasible points were found, but no optimum among them",
    "not_solved": "the objective is finite at no start: a number out of its domain, say",
}
SUCCESS, INFEASIBLE, NO_OPTIMUM, NOT_SOLVED = range(len(OUTCOMES))


class Optima(NamedTuple):
    """The best optimum of each model, arrays of shape (models, ...).

    Attributes:
        outcome: index into `OUTCOMES`. Where it is not 0 the rest means nothing.
        ends: the optima, see `newton.Ends`.
        sizes: of the objective among the starts.
    """

    outcome: np.ndarray
    ends: Ends
    sizes: np.ndarray

    def of(self, rows: np.ndarray) -> "Optima":
        """Those of some models."""
        return take(self, rows)

    def worths(self, problem: Problem) -> np.ndarray:
        """What loosening each constraint by a unit is worth, shape (models, constraints)."""
        return self.ends.multipliers / np.asarray(scales(problem.bounds))


class Models(NamedTuple):
    """Models that differ in the problem's swept numbers, which are x, (models, swept)."""

    problem: Problem
    x: np.ndarray

    def of(self, rows: np.ndarray) -> "Models":
        """Some of them."""
        return self._replace(x=self.x[rows])

    def evaluated(self, z: np.ndarray, which: np.ndarray) -> Evaluation:
        """What is known at points, shape (rows, k), of the models of these numbers."""
        bounds = np.tile(self.problem.bounds, (len(z), 1))
        return evaluated(self.problem, np.column_stack([z, bounds, self.x[which]]))

    def improved(self, found: Optima, z, which, held: Sequence[str] = ()) -> Optima:
        """The optima and better ones to which points of the models of some numbers lead.

        Args:
            found: so far. z: points, shape (rows, k). which: the model of each.
            held: names of variables that stay.
        """
        start = self.evaluated(z, which)
        known = _finite(start)
        if not known.any():
            return found
        start, which = take(start, known), which[known]
        free = np.array([name not in held for name in self.problem.variables.names])
        ask = lambda z, run: self.evaluated(z, which[run])  # noqa: E731
        ends = descend(ask, start, np.tile(free, (len(which), 1)), found.sizes[which])
        return _better(found, ends, which)


def searched(models: Models, starts: int = SCREENED, followed: int = FOLLOWED) -> Optima:
    """The best optimum of each model on its own.

    Args:
        models: what is searched.
        starts: points spread over the box; the best that are apart are `followed`.
    """
    points = spread(models.problem.variables, models.problem.model, starts)
    count = len(models.x)
    seen = models.evaluated(np.tile(points, (count, 1)), np.repeat(np.arange(count), starts))
    f = np.where(_finite(seen), seen.f, np.nan).reshape(count, starts)
    known = np.isfinite(f).any(axis=1)
    sizes = np.ones(count)
    sizes[known] = np.nanmedian(abs(f[known]), axis=1)
    sizes[sizes == 0] = 1.0
    violation = np.where(np.isfinite(f), seen.violation.reshape(f.shape), np.inf)
    which, rows = _promising(f / sizes[:, None], violation, points, followed)
    blank = take(seen, np.arange(count) * starts)
    blank = Ends(blank, np.zeros_like(blank.g), np.full(count, np.inf))
    found = Optima(np.where(known, NO_OPTIMUM, NOT_SOLVED), blank, sizes)
    found = models.improved(found, points[rows], which)
    lost = (found.outcome == NO_OPTIMUM)[which]
    return _rescued(models, found, points[rows[lost]], which[lost]) if lost.any() else found


def beside(models: Models, found: Optima, z: np.ndarray, which: np.ndarray) -> Optima:
    """The optima, of the models of some numbers from further points too.

    Args:
        models, found: what was searched, and found.
        z: neighbours' optima, shape (rows, k). which: the model of each row.
    """
    apart = abs(z - found.ends.at.z[which]).max(axis=1, initial=0) > ELSEWHERE
    apart |= found.outcome[which] != SUCCESS
    apart &= found.outcome[which] != NOT_SOLVED
    z, which = z[apart], which[apart]
    return models.improved(found, z, which) if len(z) else found


def whole(models: Models, found: Optima) -> Optima:
    """The optima at which what networks need whole is, or infinite, the others tuned again.

    As `search.integer`: small integers, those beside the optimum, and on from the best.

    Args:
        models, found: what was searched, and found.
    """
    variables = models.problem.variables
    columns = [variables.names.index(name) for name in variables.integer]
    limits = [variables.bounds(name) for name in variables.integer]
    good = np.flatnonzero(found.outcome == SUCCESS)
    best = found._replace(outcome=np.where(found.outcome == SUCCESS, INFEASIBLE, found.outcome))
    tried: dict[int, set[tuple[float, ...]]] = {int(i): set() for i in good}
    at = numbers(models.problem, found.ends.at.z)
    near = {i: [_small(at[name][i]) for name in variables.integer] for i in tried}
    while near:
        asked = []
        for i, choices in near.items():
            within = [
                {x for x in c if a <= x <= b} for c, (a, b) in zip(choices, limits, strict=True)
            ]
            new = sorted({*itertools.product(*within)} - tried[i])
            tried[i].update(new)
            asked += [(i, each) for each in new]
        if not asked:
            break
        which = np.array([i for i, _ in asked])
        z = found.ends.at.z[which]
        for c, name in enumerate(variables.integer):
            z[:, columns[c]] = [variables.coordinate(name, each[c]) for _, each in asked]
        last, best = best, models.improved(best, z, which, held=variables.integer)
        moved = np.any(last.ends.at.z[:, columns] != best.ends.at.z[:, columns], axis=1)
        moved |= last.outcome != best.outcome
        at = numbers(models.problem, best.ends.at.z)
        near = {
            i: [{float(np.round(at[name][i])) + s for s in range(-NEIGHBOURS, NEIGHBOURS + 1)}
                for name in variables.integer]
            for i in near if moved[i]
        }  # fmt: skip
    return best


def numbers(problem: Problem, z: np.ndarray) -> dict[str, np.ndarray]:
    """The free numbers at points, shape (rows, k), by name; bounds exactly."""
    variables, found = problem.variables, {}
    # One shape, so one program.
    blocks = np.pad(z, ((0, -len(z) % ROWS_OF_MODELS), (0, 0)))
    blocks = blocks.reshape(-1, ROWS_OF_MODELS, z.shape[1])
    places = np.concatenate([_places(variables, block) for block in blocks])[: len(z)]
    for i, name in enumerate(variables.names):
        low, high = float(variables.low[i]), float(variables.high[i])
        column = np.where(z[:, i] == 0, low, np.where(z[:, i] == 1, high, places[:, i]))
        found[name] = np.array([variables.scales[i].number(place) for place in column])
    return found


@eqx.filter_jit
def _places(variables: Variables, z: np.ndarray) -> jax.Array:
    return jax.vmap(variables.searched)(jnp.asarray(z))


def _finite(at: Evaluation) -> np.ndarray:
    """Whether f, g and their derivatives are, shape (rows,)."""
    return np.isfinite(at.f + at.df.sum(-1) + at.g.sum(-1) + at.dg.sum((-2, -1)))


def _promising(f, violation, points, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The best starts of each model that are apart, and what is closest to feasible.

    Args:
        f, violation: at starts, NaN and infinite where not known, shape (models, starts).
        points: the starts, shape (starts, k).

    Returns:
        Which model, and which start, of each.
    """
    far = abs(points[:, None] - points).max(axis=-1) > 0.5 * count ** (-1 / points.shape[1])
    merit = np.where(np.isfinite(f), f + violation, np.inf)
    every, kept = np.arange(len(f)), np.zeros(f.shape, bool)
    rows = violation.argmin(axis=1)
    for _ in range(count + 1):
        kept[every, rows] |= np.isfinite(f[every, rows])
        merit = np.where(far[rows], merit, np.inf)
        rows = merit.argmin(axis=1)
        rows = np.where(np.isfinite(merit[every, rows]), rows, kept.argmax(axis=1))
    return np.nonzero(kept)


def _better(found: Optima, ends: Ends, which: np.ndarray) -> Optima:
    """The optima with those ends of the models of some numbers that are better."""
    good = (ends.at.violation <= FEASIBLE) & (ends.first_order <= STATIONARY)
    rows = np.flatnonzero(good & np.isfinite(ends.at.f))
    rows = rows[np.lexsort((ends.at.f[rows], which[rows]))]
    models, first = np.unique(which[rows], return_index=True)
    rows = rows[first]
    old, new = found.ends.at.f[models], ends.at.f[rows]
    better = (found.outcome[models] != SUCCESS) | (new < old - SAME_VALUE * abs(old))
    outcome = found.outcome.copy()
    outcome[models] = SUCCESS
    return found._replace(
        outcome=outcome, ends=put(found.ends, models[better], take(ends, rows[better]))
    )


def _rescued(models: Models, found: Optima, z: np.ndarray, which: np.ndarray) -> Optima:
    """The optima with those that are found from feasible points, which are looked for alone.

    Σ max(0, g)² is made small; where that leaves something, the model is infeasible.
    """
    if not models.problem.constraints:
        return found

    def broken(at):
        over = np.maximum(0.0, at.g)
        f, df = (over**2).sum(axis=1), 2 * (over[:, None] @ at.dg)[:, 0]
        return at._replace(f=f, df=df, g=at.g[:, :0], dg=at.dg[:, :0])

    ask = lambda z, run: broken(models.evaluated(z, which[run]))  # noqa: E731
    start = broken(models.evaluated(z, which))
    reached = descend(ask, start, np.ones(z.shape, bool), np.ones(len(z))).at
    hopeless = np.ones(len(found.outcome), bool)
    hopeless[which[reached.violation <= HOPELESS]] = False
    outcome = np.where(hopeless & (found.outcome == NO_OPTIMUM), INFEASIBLE, found.outcome)
    found, near = found._replace(outcome=outcome), ~hopeless[which]
    return models.improved(found, reached.z[near], which[near]) if near.any() else found


def _small(x: float) -> set[float]:
    """Whole numbers that are tried about one: small ones, infinity, and those beside it."""
    beside = {x} if np.isinf(x) else {float(np.floor(x)), float(np.ceil(x))}
    return {np.inf, *map(float, range(1, SMALL_INTEGERS + 1)), *beside}
