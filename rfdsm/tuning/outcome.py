"""What a search found: `Tuned`, its local optima, and how good they are."""

import dataclasses
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..errors import Errors
from ..model import RFDSM
from . import roads, search
from .optima import Optimum
from .search import Rows
from .verification import Verification, verify

TOUCHING = 1e-7  # a constraint this close to its bound (relative) is active
DIFFERENCE = 1e-4  # of exact gradients, for second derivatives


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
        optima: all local optima that were found, the best first.
        trace: the way to the best.
        integer: the best with an integer m; None where m is not free, or none is feasible.
        starts, solved: how many starts there were, and how many led to a local optimum.
        error_bar: of the objective, from interpolating between measured widths; else None.
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
    error_bar: float | None
    search: Any

    def verify(
        self,
        key: Any,
        d: int | None = None,
        trials: int = 8,
        *,
        factor: float = 1.5,
        report=None,
    ) -> Verification:
        """Simulate the chosen model and its neighbours: does the optimum stand?

        Every free variable is moved up and down by a factor, within its bounds; where that
        breaks a constraint the others are tuned again at the moved value. The chosen model is
        the one of `integer` where m is free.

        Args:
            key: a `jax.random.key`, the same for all networks.
            d: the dimension; None for `Samples`. trials: networks for each model.
            factor: by which variables move; from m = ∞ m moves to 8.
            report: called with `Progress`.

        Raises:
            ValueError: as `RFDSM.simulate`; an objective that reads anything but
                `model.asymptotics()`.
        """
        return verify(self, key, d, trials, factor, report)

    def sensitivity(self) -> RFDSM:
        """How the optimal objective moves with every number of the model that is kept.

        The derivative of the Lagrangian at the optimum, which by the envelope theorem is that
        of the optimal value: what one more data point (psi_n) is worth, say. 0 in free numbers.
        """
        best = self.optima[0]
        return sensitivity(self.search.problem, best, self.search.scale)

    def __repr__(self) -> str:
        lines = [f"{self.search.problem.objective.label} = {self.value:.9g}"]
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
            lines.append(f"  at an integer m: {self.integer.value:.9g} with {told}")
        if self.error_bar is not None:
            lines.append(f"  interpolated between measured widths: ± {self.error_bar:.2g}")
        return "\n".join(lines)


def tuned(work: Any, found: list[Optimum]) -> Tuned:
    """The result of a search whose optima are `found`, the best first."""
    problem, best = work.problem, found[0]
    model = problem.model.replace(**best.numbers)
    integer = None
    if "m" in problem.variables.names:
        whole = work.integer(best.bounds, found)
        if whole is not None:
            numbers = whole.numbers | {"m": whole.m}
            chosen = problem.model.replace(**numbers)
            integer = Integer(
                chosen,
                chosen.asymptotics() if whole.errors is None else whole.errors,
                whole.value,
                numbers,
            )
    error_bar = None
    if problem.road is roads.interpolated:
        share = roads.interpolation_error(
            model, *problem.road_arguments, problem.objective.what
        )
        error_bar = None if share is None else share * best.value
    names = problem.variables.names
    path = [problem.variables.numbers(z) for z in best.path]
    return Tuned(
        model=model,
        errors=model.asymptotics() if best.errors is None else best.errors,
        value=best.value,
        numbers=best.numbers,
        multipliers=worths(work, best),
        active=active(work, best),
        first_order=best.first_order,
        second_order=second_order(work, best),
        optima=tuple(found),
        trace=Trace(
            {name: np.array([step[name] for step in path]) for name in names},
            best.path_values,
            best.path_violations,
        ),
        integer=integer,
        starts=work.starts,
        error_bar=error_bar,
        search=work,
    )


def labels(problem: Any, bounds: np.ndarray) -> list[str]:
    """The names of constraints at these bounds."""
    pairs = zip(problem.constraints, bounds, strict=True)
    return [dataclasses.replace(c, bound=np.asarray(b)).label for c, b in pairs]


def active(work: Any, best: Optimum) -> tuple[str, ...]:
    """The names of the constraints and bounds that an optimum lies on."""
    touching = _touching(work.problem, best)
    names = [n for n, on in zip(labels(work.problem, best.bounds), touching, strict=True) if on]
    return (*names, *_active_bounds(work, best))


def worths(work: Any, best: Optimum) -> dict[str, float]:
    """What loosening each constraint and active bound by a unit is worth."""
    scale = work.scale / np.asarray(search.scales(best.bounds))
    named = zip(labels(work.problem, best.bounds), best.multipliers * scale, strict=True)
    told = {name: float(worth) for name, worth in named}
    slopes = work.problem.variables.slopes(best.z)
    lagrangian = best.gradient + best.multipliers @ best.jacobian
    for name, i in _active_bounds(work, best).items():
        told[name] = float(abs(lagrangian[i]) * work.scale / slopes[i])
    return told


def second_order(work: Any, best: Optimum) -> float:
    """Least eigenvalue of the Lagrangian's second derivatives along what is left free."""
    free = np.delete(np.arange(work.k), list(_active_bounds(work, best).values()))
    free = free[best.low[free] < best.high[free]]
    touching = _touching(work.problem, best)
    normals = best.jacobian[touching][:, free]
    if len(free) == 0:
        return math.inf
    _, sizes, directions = np.linalg.svd(np.vstack([normals, np.zeros((1, len(free)))]))
    rank = int(np.sum(sizes > 1e-10 * max(1.0, sizes.max(initial=0.0))))
    tangent = directions[rank:]
    if len(tangent) == 0:
        return math.inf
    H = hessian(work, best)[np.ix_(free, free)]
    relative = work.scale / max(abs(best.value), 1e-300)
    return float(np.linalg.eigvalsh(tangent @ H @ tangent.T)[0] * relative)


def hessian(work: Any, best: Optimum) -> np.ndarray:
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


def sensitivity(problem: Any, best: Optimum, scale: float) -> RFDSM:
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


def _touching(problem, best) -> np.ndarray:
    """Which constraints hold with equality."""
    bounds = jnp.asarray(best.bounds)
    g = search.residuals(problem.constraints, jnp.asarray(best.goals), bounds)
    return np.asarray(jnp.abs(g)) <= TOUCHING


def _active_bounds(work, best) -> dict[str, int]:
    """The bounds of variables that the optimum is pushed against, by name."""
    lagrangian = best.gradient + best.multipliers @ best.jacobian
    told = {}
    for i, name in enumerate(work.problem.variables.names):
        low, high = work.problem.variables.bounds(name)
        if best.low[i] == best.high[i]:
            continue
        inverse = name == "m"
        if best.z[i] == 0 and lagrangian[i] > 0:
            told[f"{name} <= {high:g}" if inverse else f"{name} >= {low:g}"] = i
        elif best.z[i] == 1 and lagrangian[i] < 0:
            told[f"{name} >= {low:g}" if inverse else f"{name} <= {high:g}"] = i
    return told
