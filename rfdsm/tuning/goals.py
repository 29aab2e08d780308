"""What is made small, and what must hold: errors by name, functions of the model, costs."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..errors import FIELDS, LABELS, LOSSES, Errors
from ..model import RFDSM
from ..parameters.checks import finite, require, scalar, vector
from ..parameters.numbers import own_numbers

GAPS = ("generalization_gap", "memorization_gap")
NOISE_LOSS = "noise_loss"  # the test loss of the noise that the output implies
NAMES = (*FIELDS, *GAPS, NOISE_LOSS)

Road = Callable[[RFDSM], Errors]


class Seen:
    """A model whose errors come from elsewhere: from moments, or from trained networks.

    For functions of a model that were written for its theory: `asymptotics` and `solve`'s
    errors are the road's, all else is the model's own.
    """

    def __init__(self, model: RFDSM, road: Road):
        self._model, self._road = model, road

    def asymptotics(self) -> Errors:
        return self._road(self._model)

    def replace(self, **changes: Any) -> "Seen":
        return Seen(self._model.replace(**changes), self._road)

    def __getattr__(self, name: str) -> Any:
        if name in ("solve", "trajectory", "solve_trajectory"):
            raise ValueError(
                f"a function to tune reads model.asymptotics(), not {name}, where the errors "
                "are those of moments or of networks."
            )
        return getattr(self._model, name)


class Point:
    """A model and its errors, solved once for all that read them.

    Args:
        model: the model.
        road: from a model to its `Errors`; None: its theory.
    """

    def __init__(self, model: RFDSM, road: Road | None = None):
        self._bare = model
        self._road = (lambda model: model.solve().errors) if road is None else road
        seen = lambda other: self.errors if other is model else self._road(other)  # noqa: E731
        self.model = model if road is None else Seen(model, seen)

    @cached_property
    def errors(self) -> Errors:
        """The road's errors at the model."""
        return self._road(self._bare)

    @property
    def read(self) -> Errors | None:
        """The errors, if anything has read them."""
        return vars(self).get("errors")


def read(name: str, model: Any, errors: Errors) -> Float[Array, ""]:
    """An error by its name."""
    if name == NOISE_LOSS:
        return model.noise_loss(errors.test_loss)
    return getattr(errors, name)


class Goal(eqx.Module):
    """A number to read off a point: an error or cost by name, or a function of the model."""

    what: Any = eqx.field(static=True)
    function: Any = None

    @property
    def error(self) -> str | None:
        """The error that is read, by its name; None of a function's own and of costs."""
        over = isinstance(self.function, OverTimes)
        name = self.function.error if over else self.function is None and self.what
        return name if name in NAMES else None

    @property
    def loss(self) -> str | None:
        """The loss that is read, itself or times what the model makes of it."""
        name = "test_loss" if self.error == NOISE_LOSS else self.error
        return name if self.function is None and name in LOSSES else None

    @property
    def in_units(self) -> bool:
        """Whether the error is in the target's units, which others do not share."""
        return self.error in (*LOSSES, *GAPS)

    def value(self, point: Point) -> Float[Array, ""]:
        """The number, a scalar."""
        if self.function is not None:
            return self.function(point.model)
        if self.what in COSTS:
            return COSTS[self.what](point.model)
        return read(self.what, point.model, point.errors)

    @property
    def label(self) -> str:
        """Its name."""
        return self.what

    @property
    def words(self) -> str:
        """Its name in words."""
        return getattr(self.function, "words", _words(self.what))


class Negative(Goal):
    """A goal with its sign turned: what is wanted large."""

    goal: Goal | None = None

    def value(self, point):
        return -self.goal.value(point)


class OverTimes(eqx.Module):
    """Σ_k w_k e(t_k), an error at several noise levels; see `over_times`."""

    ts: Float[Array, " times"]
    weights: Float[Array, " times"]
    error: str = eqx.field(static=True)
    steps: bool = eqx.field(static=True, default=False)  # whether weights are those of ∫ dt

    @property
    def words(self) -> str:
        """In words, such as "score error over t = 0.1, 0.2"."""
        return f"{_words(self.error)} over t = {', '.join(f'{t:g}' for t in self.ts)}"

    def require(self, model: RFDSM) -> None:
        """Refuse times that the model's process does not have."""
        for t in self.ts:
            _at_time(model, t)

    def __call__(self, model: Any) -> Float[Array, ""]:
        weights = self.weights
        if self.steps:
            weights = weights * jax.vmap(lambda t: _diffusion(model, t))(jnp.asarray(self.ts))
        if isinstance(model, RFDSM):

            def one(t):
                at = _at_time(model, t)
                return read(self.error, at, at.solve().errors)

            return jnp.sum(weights * jax.vmap(one)(jnp.asarray(self.ts)))
        seen = [_at_time(model, t) for t in self.ts]
        values = [
            weight * read(self.error, at, at.asymptotics())
            for at, weight in zip(seen, weights, strict=True)
        ]
        return sum(values[1:], values[0])


def _at_time(model: Any, t: Any) -> Any:
    """The model at another time, its process' own number (of several the first)."""
    names = own_numbers(type(model.process))
    if not names:
        raise ValueError(f"over_times: {type(model.process).__name__} has no number as time.")
    return model.replace(**{f"process.{next(iter(names))}": t})


def _diffusion(model: Any, t: Any) -> Float[Array, ""]:
    """½g² of the process dy = (ȧ/a) y dt + g dw in its own time: ½h |d log_snr/dt|."""
    h = _at_time(model, t).process.noising().h
    return h * jnp.abs(jax.grad(lambda t: _at_time(model, t).process.log_snr)(t)) / 2


def over_times(ts: Any, weights: Any = None, error: str = "score_error") -> OverTimes:
    r"""An error at several noise levels, weighted: an objective or a constraint for `tune`.

    Networks of the same psi_p, m and training rule, one for each time. With the score error and
    the usual weights the value is the trapezoid rule of ∫ ½g² score_error dt, which bounds the
    Kullback-Leibler divergence per dimension of the law that the reverse process of dy =
    (ȧ/a) y dt + g dw generates from the right start (Girsanov). ½g² = ½h |d log_snr/dt| is 1
    for Ornstein-Uhlenbeck noising, whose reverse is dx = (x + 2s) dt + √2 dw, and t/(1 - t) for
    flow matching.

    Args:
        ts: times, shape (times,), of the process' own number: t, alpha_bar or sigma;
            increasing where there are no weights.
        weights: of each time; None: those of the trapezoid rule over `ts` times ½g².
        error: the name of an error.

    Raises:
        ValueError: lengths that differ, times that are not positive, an unknown error.

    Example:
        >>> import rfdsm
        >>> rfdsm.over_times((0.1, 0.2, 0.4)).weights.tolist()
        [0.05, 0.15000000000000002, 0.1]
    """
    ts = vector(ts, "ts")
    require([(np.all((ts > 0) & finite(ts)), f"ts must be positive and finite, got {ts}.")])
    if steps := weights is None:
        require([(np.all(np.diff(ts) > 0), "ts must increase where no weights are given.")])
        sides = np.diff(ts)
        weights = (np.append(sides, 0) + np.append(0, sides)) / 2 if len(ts) > 1 else [1.0]
    weights = vector(weights, "weights")
    if weights.shape != ts.shape:
        raise ValueError(f"one weight per time: {len(weights)} weights for {len(ts)} times.")
    require([(np.all(finite(weights)), f"weights must be finite, got {weights}.")])
    return OverTimes(ts, weights, _error_name(error), steps)


class Constraint(eqx.Module):
    """sense·(goal - bound) <= 0; of `at_least` and `at_most`."""

    goal: Goal
    bound: Float[Array, ""]
    sense: int = eqx.field(static=True)

    @property
    def label(self) -> str:
        """Its name, such as "memorization_loss >= 0.6"."""
        sign = "<=" if self.sense > 0 else ">="
        return f"{self.goal.label} {sign} {float(self.bound):g}"

    @property
    def words(self) -> str:
        """In words, such as "memorization loss ≥ 0.6"."""
        sign = "≤" if self.sense > 0 else "≥"
        return f"{self.goal.words} {sign} {float(self.bound):g}"


def at_least(what: str | Callable, bound: Any) -> Constraint:
    """The constraint that an error, or any function of the model, is not below `bound`.

    Args:
        what: the name of an error, of a cost (`COSTS`), or a function of the model.
        bound: a finite number.
    """
    return Constraint(_goal(what, COSTS), _bound(what, bound), -1)


def at_most(what: str | Callable, bound: Any) -> Constraint:
    """The constraint that an error, or any function of the model, is not above `bound`.

    Args:
        what, bound: as of `at_least`.
    """
    return Constraint(_goal(what, COSTS), _bound(what, bound), 1)


def objective(what: Any) -> Goal:
    """The checked objective: the name of an error, or a function of the model."""
    return _goal(what)


def constraints(subject_to: Any, budget: Any) -> tuple[Constraint, ...]:
    """The checked constraints of a request, those of the budget last.

    Args:
        subject_to: constraints, or functions that must not be negative; one or a sequence.
        budget: costs by name, (function, bound), or None.
    """
    single = isinstance(subject_to, Constraint) or callable(subject_to)
    given = [subject_to] if single else list(subject_to)
    result = []
    for constraint in given:
        if isinstance(constraint, Constraint):
            result.append(constraint)
        elif callable(constraint):
            result.append(at_least(constraint, 0.0))
        else:
            raise ValueError(
                "subject_to takes rfdsm.at_least, rfdsm.at_most, or functions of the model "
                f"that must not be negative, got {constraint!r}."
            )
    if budget is None:
        return tuple(result)
    if isinstance(budget, Mapping):
        items: Sequence = list(budget.items())
    elif isinstance(budget, tuple) and len(budget) == 2:
        items = [budget]
    else:
        raise ValueError(
            f"budget takes {{'samples': 32.0}} or (function, bound), got {budget!r}."
        )
    for what, bound in items:
        if not callable(what) and what not in COSTS:
            raise ValueError(
                f"the budget has no cost {what!r}: the named ones are {', '.join(COSTS)}; give "
                "(function, bound) for your own."
            )
        constraint = at_most(what, bound)
        if not constraint.bound > 0:
            raise ValueError(f"the budget of {constraint.goal.label} must be positive.")
        result.append(constraint)
    return tuple(result)


def _flops(model: Any) -> Float[Array, ""]:
    """Floating-point operations of the fit over d³, by the normal equations.

    Of p features and N = n m pairs, k the fewer of both: the matrix N p k, its factor k³/3
    (9 k³ for the eigenvectors that other rules than ridge need), d right sides 2 N p + 2 k².
    Of an ensemble as many fits as networks: no two have the same features of the same pairs.
    """
    pairs = model.psi_n * model.m
    fewer = jnp.minimum(model.psi_p, pairs)
    fit = pairs * model.psi_p * (fewer + 2) + model.training.flops(fewer) + 2 * fewer**2
    return model.ensemble.networks * fit


def _parameters(model: Any) -> Float[Array, ""]:
    """Features over d; read-outs of the same features average to one."""
    return model.psi_p * model.ensemble.drawn("features")


def _samples(model: Any) -> Float[Array, ""]:
    """Training pairs over d."""
    return model.psi_n * model.m * model.ensemble.drawn("noises")


COSTS: dict[str, Callable] = {
    "parameters": _parameters,
    "samples": _samples,
    "flops": _flops,
}


def _words(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))


def _goal(what: Any, costs: Mapping = {}) -> Goal:
    if isinstance(what, str):
        return Goal(what if what in costs else _error_name(what, costs))
    if not callable(what):
        raise ValueError(f"give the name of an error or a function of the model, got {what!r}.")
    name = getattr(what, "__name__", type(what).__name__)
    return Goal("a function" if name == "<lambda>" else name, what)


def _error_name(name: Any, costs: Mapping = {}) -> str:
    if name not in NAMES:
        raise ValueError(
            f"there is no error {name!r}: take one of {', '.join((*NAMES, *costs))}."
        )
    return name


def _bound(what: Any, bound: Any) -> Float[Array, ""]:
    name = what if isinstance(what, str) else "a function"
    bound = scalar(bound, f"the bound of {name}")
    require([(math.isfinite(bound), f"the bound of {name} must be finite, got {bound}.")])
    return bound
