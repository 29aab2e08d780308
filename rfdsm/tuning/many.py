"""The optima of many models that differ in some numbers, searched side by side.

One compiled program evaluates them all, its rows carry the numbers in which the models differ,
and Newton's steps of every start are arrays. A model's search never looks at another's: an
optimum does not depend on what it was searched with.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from .descent import Evaluation
from .newton import Ends, descend, put, take
from .problem import Problem, evaluated
from .search import FEASIBLE, HOPELESS, spread

SCREENED, FOLLOWED = 64, 8  # starts of a model, and how many of them are followed
STATIONARY = 1e-6  # a larger projected gradient over f is no optimum
ELSEWHERE = 0.02  # in the unit box: a neighbour's optimum further away may be another branch
SAME_VALUE = 1e-12  # relative: optima that differ less are one, the first that was found
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
        outcome: index into `OUTCOMES`. ends: see `newton.Ends`; only where it is 0 an optimum.
    """

    outcome: np.ndarray
    ends: Ends


class Models(NamedTuple):
    """Models that differ in numbers: those swept of the problem are x, shape (models, swept)."""

    problem: Problem
    x: np.ndarray

    def evaluated(self, z: np.ndarray, which: np.ndarray) -> Evaluation:
        """What is known at points, shape (rows, k), of the models of these numbers."""
        bounds = np.tile(self.problem.bounds, (len(z), 1))
        return evaluated(self.problem, np.column_stack([z, bounds, self.x[which]]))

    def followed(self, start: Evaluation, which: np.ndarray) -> Ends:
        """Where starts of these models lead."""
        ask = lambda z, run: self.evaluated(z, which[run])  # noqa: E731
        return descend(ask, start, np.ones(start.z.shape, bool), _sizes(start, which))


def searched(models: Models, starts: int = SCREENED, followed: int = FOLLOWED) -> Optima:
    """The best optimum of each model on its own.

    Args:
        models: what is searched. starts: points spread over the box, of which the best that
            are apart are `followed`.
    """
    points = spread(models.problem.variables, models.problem.model, starts)
    count = len(models.x)
    which = np.repeat(np.arange(count), starts)
    seen = models.evaluated(np.tile(points, (count, 1)), which)
    rows = _promising(seen, points, count, followed)
    rows = rows[np.isfinite(seen.f[rows])]
    outcome = np.full(count, NO_OPTIMUM)
    outcome[np.setdiff1d(np.arange(count), which[rows])] = NOT_SOLVED
    ends = models.followed(take(seen, rows), which[rows])
    return _best(outcome, ends, which[rows])
