"""What a search found: `Tuned`, its local optima, and how good they are."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import Errors
from ..ingredients.data import Samples
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..progress import Report, silent
from .error_bars import error_bar
from .optima import Optimum
from .optimality import active, second_order, sensitivity, worths
from .problem import Problem
from .search import integer
from .verification import Verification, verify


class Trace(NamedTuple):
    """The evaluations on the way to the optimum, in order, steps that were refused among them.

    Attributes:
        numbers: of each free variable, shape (evaluations,).
        value: of the objective. violation: the largest of the constraints', 0 where all hold.
    """

    numbers: dict[str, np.ndarray]
    value: np.ndarray
    violation: np.ndarray


class Integer(NamedTuple):
    """The best model whose m is an integer or infinite, the others tuned again at it."""

    model: RFDSM
    errors: Errors
    value: float
    numbers: dict[str, float]


@dataclasses.dataclass(frozen=True, repr=False)
class Tuned:
    """The result of `tune`.

    Attributes:
        model: the best model. errors: its errors. value: its objective.
        numbers: the free variables' values, by name.
        multipliers: by the name of each constraint and of each active bound, how much lower the
            objective would be per unit that it is loosened; 0 where it is inactive. Of a bound
            on m per unit of 1/m.
        active: the names of constraints and bounds that the optimum lies on.
        first_order: see `Optimum.first_order`; 0 at a perfect optimum.
        second_order: least eigenvalue of the Lagrangian's second derivatives, relative to the
            objective and in the unit box, along what active constraints and bounds leave free:
            positive at a strict optimum, infinite where nothing is left free.
        optima: all local optima that were found, the best first; see `Optimum`.
        trace: the way to the best; see `Trace`.
        integer: the best with an integer m; None where m is not free, or none is feasible.
        starts: how many starts there were.
        measured: the moments that were searched with; None: none.
        problem: what was asked: the model, its free variables, objective and constraints.

    `error_bar` is that of the objective where moments were given, a 95 % interval (see
    `tuning.error_bars`), worked out when it is first read, in seconds; None where not known.
    `theory` says in words which theory was searched: of a model of `Samples` without moments
    the Gaussian one.
    """

    model: RFDSM
    errors: Errors
    value: float
    numbers: dict[str, float]
    multipliers: dict[str, float]
    active: tuple[str, ...]
    first_order: float
    second_order: float
    optima: tuple[Optimum, ...]
    trace: Trace
    integer: Integer | None
    starts: int
    measured: Moments | Sequence[Moments] | None
    problem: Problem

    @functools.cached_property
    def error_bar(self) -> float | None:
        """Of the objective, where it is known; see `tuning.error_bars`."""
        return error_bar(self.model, self.value, self.problem, self.measured)

    @property
    def theory(self) -> str:
        """Which theory was searched, in words."""
        if self.problem.road is not None:
            return "measured moments"
        if isinstance(self.model.data, Samples):
            return "Gaussian theory of the points' covariance (moments= takes measured ones)"
        return "exact asymptotics"

    def verify(
        self,
        key: Any,
        d: int | None = None,
        trials: int = 8,
        *,
        factor: float = 1.5,
        report: Report = silent,
    ) -> Verification:
        """Simulate the chosen model and its neighbours: does the optimum stand?

        Every free variable is moved up and down by a factor, within its bounds; where that
        breaks a constraint the others are tuned again at the moved value. The chosen model is
        the one of `integer` where m is free.

        Args:
            key: a `jax.random.key`, the same for all networks.
            d: the dimension; None for `Samples`. trials: networks for each model.
            factor: by which variables move, evenly spaced ones (an angle) by (factor - 1)/4
                of the distance between their bounds; from m = ∞ m moves to 8.
            report: called with `Progress`.

        Raises:
            ValueError: as `RFDSM.simulate`; an objective that reads anything but
                `model.asymptotics()`.
        """
        whole, problem = self.integer and self.integer.numbers, self.problem
        return verify(problem, self.optima, whole, key, d, trials, factor, report)

    def sensitivity(self) -> RFDSM:
        """How the optimal objective moves with every number of the model that is kept.

        The derivative of the Lagrangian at the optimum, which by the envelope theorem is that
        of the optimal value: what one more data point (psi_n) is worth, say. 0 in free numbers.
        """
        return sensitivity(self.problem, self.optima[0])

    def __repr__(self) -> str:
        lines = [f"{self.problem.objective.label} = {self.value:.9g}"]
        lines += [f"  {name} = {value:.6g}" for name, value in self.numbers.items()]
        for name, worth in self.multipliers.items():
            note = "active, " if name in self.active else "not active, "
            lines.append(f"  {name}: {note}worth {worth:.4g} per unit")
        lines.append(
            f"  optimality {self.first_order:.1e} (first order), {self.second_order:.3g} "
            f"(second); {len(self.optima)} local optima from {self.starts} starts"
        )
        if self.integer is not None:
            told = ", ".join(f"{n} = {v:.6g}" for n, v in self.integer.numbers.items())
            names = ", ".join(self.problem.variables.integer)
            lines.append(f"  at an integer {names}: {self.integer.value:.9g} with {told}")
        if self.error_bar is not None:
            lines.append(f"  measured moments leave it uncertain: ± {self.error_bar:.2g}")
        if isinstance(self.model.data, Samples):
            lines.append(f"  by the {self.theory}")
        return "\n".join(lines)


def tuned(
    problem: Problem,
    found: list[Optimum],
    starts: int,
    report: Report,
    measured: Moments | Sequence[Moments] | None = None,
) -> Tuned:
    """The result of a search from some starts whose optima are `found`, the best first.

    Args:
        measured: the moments that it was searched with, as of `tune`.
    """
    best = found[0]
    model = problem.model.replace(**best.numbers)
    whole = None
    if problem.variables.integer and (there := integer(problem, found, report)):
        chosen = problem.model.replace(**there.numbers)
        whole = Integer(chosen, there.errors_at(chosen), there.value, there.numbers)
    names = problem.variables.names
    way = best.end.way
    path = [problem.variables.numbers(at.z) for at in way]
    return Tuned(
        model=model,
        errors=best.errors_at(model),
        value=best.value,
        numbers=best.numbers,
        multipliers=worths(problem, best),
        active=active(problem, best),
        first_order=best.first_order,
        second_order=second_order(problem, best),
        optima=tuple(found),
        trace=Trace(
            {name: np.array([step[name] for step in path]) for name in names},
            np.array([at.f for at in way]),
            np.array([at.violation for at in way]),
        ),
        integer=whole,
        starts=starts,
        measured=measured,
        problem=problem,
    )
