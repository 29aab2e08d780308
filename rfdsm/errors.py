"""The result both roads give, with what a solve adds to it."""

import collections
import dataclasses
import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .parameters.words import described

OURS = (__name__.partition(".")[0], "equinox", "jax")  # packages whose frames are not a user's

LOSSES = ("test_loss", "train_loss", "memorization_loss")
FIELDS = ("score_error", *LOSSES, "bias2", "variance")
NEED_TRUE_SCORE = ("score_error", "bias2", "variance")  # NaN where that is unknown
NEED_SHARED = {  # NaN of an ensemble's average unless its networks have these in common
    "train_loss": "noises",
    "memorization_loss": "points",
    "generalization_gap": "noises",
    "memorization_gap": "points",
}
INDEPENDENT = FIELDS[:4]  # between trials: bias2 is made of pairs of them
LABELS = {
    "score_error": "score error",
    "test_loss": "test loss",
    "train_loss": "train loss",
    "memorization_loss": "memorization loss",
    "bias2": "bias²",
    "variance": "variance",
}
FORMULAS = {
    "score_error": "E_y |s(y) - grad log P_t(y)|^2 / d",
    "test_loss": "E |o - tau|^2 / d of output and target, on fresh data and noises",
    "train_loss": "E |o - tau|^2 / d over the n m training pairs, without the penalty",
    "memorization_loss": "E |o - tau|^2 / d on training points with fresh noises",
    "bias2": "E_y |E s(y) - grad log P_t(y)|^2 / d, inner mean over data, noises and W",
    "variance": "E_y E |s(y) - E s(y)|^2 / d over data, noises and W",
}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The integers behind a simulation, and the ratios they realise.

    Theory is compared with a simulation at these ratios, not at the ones asked for.

    Attributes:
        d, n, p: dimension, training points, features.
        m: noises per point, an integer or infinity.
        counts: coordinates of each eigenvalue's atom; None for `Samples`.
    """

    d: int
    n: int
    p: int
    m: float
    counts: tuple[int, ...] | None = None

    @property
    def psi_n(self) -> float:
        """n/d as realised."""
        return self.n / self.d

    @property
    def psi_p(self) -> float:
        """p/d as realised."""
        return self.p / self.d


class Errors(eqx.Module):
    r"""The errors of a trained score, all per dimension (docs/theory.md section 2).

    Every field has the same shape: () from theory, (trials,) from simulation, and
    whatever vmap puts in front. P_t is the law of y = a x + √h z. Losses are those of the
    output o and its target τ = c_x x + c_z z, in the target's units; by default o = √h s and
    τ = -z. The others are of the score s that o implies, and compare across targets.

    Attributes:
        score_error: (1/d) E_y |s(y) - ∇log P_t(y)|².
        test_loss: (1/d) E |o(y) - τ|² on fresh x and z, the least possible one (`Baselines`)
            and (h/r²)·score_error, r = a/(a c_z - √h c_x); r² = 1 of the noise.
        train_loss: the same over the n·m training pairs, without the penalty.
        memorization_loss: training points, fresh noise; = train_loss at m = ∞.
        bias2, variance: of s around ∇log P_t over data, noise and W;
            score_error = bias2 + variance.
        sizes: the integers of a simulation (static); None from theory and after `mean()`.

    A field that a road cannot know is NaN: score_error, bias2, variance in simulation on
    `Samples` and from `Moments` (their true score is unknown), bias2 and variance of a single
    trial; memorization_loss of an `Ensemble` whose networks do not share their points, and
    train_loss of one that does not share its noises. From moments of N points that the training
    points are drawn from, test_loss is that of the points left out.
    """

    score_error: Float[Array, " *shape"]
    test_loss: Float[Array, " *shape"]
    train_loss: Float[Array, " *shape"]
    memorization_loss: Float[Array, " *shape"]
    bias2: Float[Array, " *shape"]
    variance: Float[Array, " *shape"]
    sizes: Sizes | None = eqx.field(static=True, default=None)

    @property
    def generalization_gap(self) -> Float[Array, " *shape"]:
        """test_loss - train_loss."""
        return self.test_loss - self.train_loss

    @property
    def memorization_gap(self) -> Float[Array, " *shape"]:
        """test_loss - memorization_loss: what fresh noise on the training points hides."""
        return self.test_loss - self.memorization_loss

    __repr__ = described

    def mean(self, axis: int = -1) -> "Errors":
        """The mean over trials (the last axis unless told), without `sizes`.

        Of scalars, as theory gives them, these themselves.
        """
        if jnp.ndim(self.score_error) == 0:
            return self.without_sizes()
        return jax.tree.map(lambda x: jnp.mean(x, axis), self.without_sizes())

    def standard_error(self, axis: int = -1) -> "Errors":
        r"""The standard error of `mean()` over T trials; NaN for T < 2 (bias2: T < 3), scalars.

        Fields independent between trials have sd/√T. The values of bias2 are coupled,
        bias2_i = 1/(T-1) Σ_{j≠i} G_ij: leaving trial k out of the mean over pairs gives
        (T·mean - 2·bias2_k)/(T-2), and the jackknife of that is 2(T-1)/(T-2)·sd/√T;
        variance = score_error - bias2 goes by the same jackknife.
        """
        if jnp.ndim(self.score_error) == 0:
            return jax.tree.map(
                lambda x: jnp.asarray(x)[None], self.without_sizes()
            ).standard_error()
        trials = self.score_error.shape[axis]

        def jackknife(deviation):
            # deviation: of each leave-one-out value, times (T-1)
            total = jnp.sum(jnp.square(deviation), axis)
            return jnp.sqrt(total / (trials * (trials - 1)) if trials > 1 else total * jnp.nan)

        def centred(x):
            return x - jnp.mean(x, axis, keepdims=True)

        coupling = 2 * (trials - 1) / (trials - 2) if trials > 2 else jnp.nan
        pairs = coupling * centred(self.bias2)
        fields = {name: jackknife(centred(getattr(self, name))) for name in INDEPENDENT}
        return Errors(
            **fields,
            bias2=jackknife(pairs),
            variance=jackknife(centred(self.score_error) - pairs),
        )

    def to_dict(self) -> dict[str, float]:
        """The six numbers by name, of errors that are scalars."""
        return {name: float(getattr(self, name)) for name in FIELDS}

    def without_sizes(self) -> "Errors":
        """The same numbers without `sizes`, so that trees of both roads match."""
        return dataclasses.replace(self, sizes=None)


class Baselines(eqx.Module):
    """Losses of outputs that need no network, per dimension and in the target's units.

    With τ*(σ) = a c_x σ + √h c_z, and in brackets those of the noise:

    Attributes:
        null: of o = 0, c_x² σx² + c_z² (1).
        isotropic: of the best o = c y, null - (∫ρτ*)²/Γ² with Γ² = a²σx² + h (1 - h/Γ²).
        linear: of the best o that is linear in y, null - ∫ρ τ*²/σ_t (C_t = 1 - h∫ρ/σ_t).
        best: of the true score: `linear` for Gaussian laws, NaN for `Samples` (unknown).
    """

    null: Float[Array, ""]
    isotropic: Float[Array, ""]
    linear: Float[Array, ""]
    best: Float[Array, ""]

    __repr__ = described

    def memorises(self, errors: Errors) -> Bool[Array, " *shape"]:
        """Whether a network beats on its training points what a generalising one can do.

        That is memorization_loss < linear, both of one target. On real data that is what the
        best *linear* one can do: a network may also beat it by structure that is not Gaussian.
        """
        return errors.memorization_loss < self.linear


WORDS = {
    "success": "the equations are solved.",
    "invalid_input": (
        "a number of the model is outside of its domain (psi > 0, m and networks >= 1, t > 0, "
        "sigma > 0, alpha_bar and flow's t in (0, 1), a target that is not y itself, lam, tau "
        "and eigenvalues >= 0, weights summing to 1): look for a NaN or a bad bound."
    ),
    "other_moments": (
        "psi_p, the process or the activation is not the one that the moments were measured "
        "with, or psi_n asks for more points than were measured: measure again."
    ),
    "constants_out_of_range": (
        "the activation's Gaussian constants are not tabulated at this preactivation "
        "variance a²σx² + h: rescale the data or the activation."
    ),
    "unstable_rate": (
        "the learning rate is above the largest stable one, 2/(κ(λ_max + λ)) with κ = 2w²/ψ_p, "
        "w² = h of the score and 1 of other targets: lower it."
    ),
    "outlier": (
        "the activation has a mean μ0 ≠ 0, hence an eigenvalue of about μ0² p that leaves "
        "gradient descent no stable rate as p grows: take GradientFlow, or an odd activation."
    ),
    "filter_not_resolved": (
        "the training rule's quadrature is not accurate here: training times that span more "
        "than about fifteen decades want several calls of trajectory; for more than 10^7 steps "
        "of gradient descent take GradientFlow(steps·learning_rate)."
    ),
    "not_converged": (
        "Newton did not reach the residual that counts as a solution: a parameter is "
        "extreme (lam below 1e-12?); move it and solve again."
    ),
    "not_finite": "the equations were solved and an error is not finite: please report it.",
    "needs_float64": (
        "precision='float32' cannot solve this, or not hold every error to 1e-3 of "
        "max(value, 1): solve in float64."
    ),
}
STATUSES = tuple(WORDS)  # data sets hold a status as an index into them


class _Statuses(type):
    """`Status[status]` is a status in words, `len(Status)` how many there are."""

    def __getitem__(cls, status: "Status") -> str:
        return status.told(lambda name: WORDS[name])

    def __len__(cls) -> int:
        return len(STATUSES)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Status(metaclass=_Statuses):
    """How a solve ended, per row under vmap; NaN is never a success.

    Compared with ``==`` to `Status.success` and the others, or to their names; printed, it is
    its name and the cause, of a batch how many there are of each. ``status[3]`` is a row's, and
    iteration goes over the rows.

    Attributes:
        code: index into the names, an integer array of the batch's shape.
    """

    code: Int[Array, " *shape"]

    def __eq__(self, other: Any) -> Bool[Array, " *shape"]:
        return self.code == _status(other).code

    def __ne__(self, other: Any) -> Bool[Array, " *shape"]:
        return self.code != _status(other).code

    __hash__ = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the batch; () for one solve."""
        return np.shape(self.code)

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, rows: Any) -> "Status":
        return Status(self.code[rows])

    def __iter__(self) -> Iterator["Status"]:
        return map(Status, self.code)

    def told(self, words: Callable[[str], str]) -> str:
        """One status in words of its name; of a batch how many have which name."""
        if isinstance(self.code, jax.core.Tracer) or not hasattr(self.code, "dtype"):
            return "traced"
        names = [STATUSES[code] for code in np.ravel(self.code)]
        if np.ndim(self.code) == 0:
            return words(names[0])
        counts = collections.Counter(names)
        return ", ".join(f"{counts[name]} {name}" for name in STATUSES if counts[name])

    def __repr__(self) -> str:
        return self.told(lambda n: n if n == "success" else f"{n}: {WORDS[n]}")

    @classmethod
    def where(cls, condition: Any, one: "Status", other: "Status") -> "Status":
        """`one` where the condition holds, `other` elsewhere."""
        return cls(jnp.where(condition, one.code, other.code))


for _code, _name in enumerate(STATUSES):
    setattr(Status, _name, Status(np.array(_code, np.int32)))


def _status(given: Any) -> Status:
    if isinstance(given, str) and given in WORDS:
        return getattr(Status, given)
    if not isinstance(given, Status):
        raise ValueError(f"a status is compared with one of {', '.join(STATUSES)}: {given!r}.")
    return given


def codes(status: Status) -> np.ndarray:
    """Statuses as indices into `STATUSES`."""
    return np.asarray(status.code)


class Solution(eqx.Module):
    """What `solve()` gives: it never raises.

    Attributes:
        errors: the `Errors`; NaN in value and derivative where status is not success.
        status: a `Status`, per row under vmap; compare with ``== Status.success``.
        residual: the largest |F(X)/X - 1| of docs/theory.md section 4's equations X = F(X).
        steps: Newton steps taken.
        constants_error: bound on the absolute error of the activation's constants.
        filter_error: the error of the training rule's quadrature, in φ(x)·x (O(1)); about
            what the losses lose. 0 for `Ridge`.
        rounding: of precision="float32" a bound on what rounding costs any error of a success,
            in units of max(value, 1), of score errors max(value, ∫ρ/σ_t); None of float64.
    """

    errors: Errors
    status: Any
    residual: Float[Array, ""]
    steps: Int[Array, ""]
    constants_error: Float[Array, ""]
    filter_error: Float[Array, " *shape"]
    rounding: Float[Array, ""] | None = None

    __repr__ = described


class NotConverged(RuntimeError):
    """`asymptotics()` on concrete numbers whose solve was not a success."""


class FewPoints(UserWarning):
    """Moments of too few data points for a result that is good to 1 %."""


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's that led here: the first outside of rfdsm and Equinox."""
    level, frame = 1, sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def nan_explained(function: Callable) -> Callable:
    """`function`, some of whose answers are NaN, explained to who has JAX look for NaN."""

    @functools.wraps(function)
    def explained(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except FloatingPointError:
            raise FloatingPointError(
                "NaN is an answer here, of a row that is not solved or of what cannot be known "
                "(score_error of data points and moments, bias2 of one trial), and "
                'jax_debug_nans forbids it: jax.config.update("jax_debug_nans", False).'
            ) from None

    return explained


def times_came_third(method: Callable) -> Callable:
    """`method`(self, key, d, trials, taus) that also takes (key, d, taus, trials), and warns.

    For one release.
    """

    @functools.wraps(method)
    def either(self, key, d=None, *rest, **named):
        if rest and np.ndim(rest[0]) > 0:
            order = f"{method.__name__}(key, d, taus, trials) is (key, d, trials, taus) now."
            warn(order, DeprecationWarning)
            named["taus"], *rest = rest
        return method(self, key, d, *rest, **named)

    return either
