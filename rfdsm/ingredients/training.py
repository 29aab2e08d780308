"""Training rules as spectral filters: B = V^T φ(U)/w (docs/theory.md sections 1, 6, 14).

A rule gives the theory its filter as nodes and weights, φ(U) = Σ_i c_i (U+λ_i)^{-1}, and the
simulation the filter's values φ(x) at eigenvalues x of U. Training time runs in units in which
dA/dτ = -d² ∇L: a mode of eigenvalue x is learned at the rate κ (x + λ), κ = 2w²/ψ_p, which is
2h/ψ_p for the default target.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._numerics import contour, decays
from .._numerics.promotion import mixed
from ..parameters.checks import (
    finite,
    not_negative,
    positive,
    require,
    scalar,
    vector,
)
from ..parameters.numbers import number
from .filters import (
    SINGLE,
    TOLERANCE,
    AbstractFilter,
    FilterNodes,
    filter_error,
    points_for,
)

SLACK = 10.0  # of nodes made for an error of e^{-digits}, of which up to four are usual
CHECKS = 32  # eigenvalues at which nodes are held against their filter
# Steps from which gradient descent is like flow: the two hyperbolas stay apart from 15 on.
MANY = 20.0
GROWTH = 4.0  # log of the largest |v|^{2 steps} on the ellipse for fewer; errors are e^{-35}
SOON = 1e-3  # τ, and κτ, before which φ comes from its Taylor series about this time


def _penalty() -> Any:
    """The field of λ, which all rules have."""
    return number(
        r"\lambda", "ridge", bounds=(1e-8, 10.0), allowed="> 0; of flow and descent >= 0"
    )


def largest_learning_rate(rate: Any, largest: Any, lam: Any) -> Any:
    """η = 2/(κ(λ_max + λ)), from which on gradient descent diverges."""
    return 2 / (rate * (largest + lam))


class AbstractTraining(AbstractFilter):
    """A training rule of the linear read-out, given by its spectral filter."""

    def at_times(self, taus: Any, digits: float) -> AbstractFilter:
        """The rule at many training times in place of its own, resolved to e^{-digits}.

        Raises:
            TypeError: the rule has no continuous training time.
            ValueError: a time is negative or not finite.
        """
        raise TypeError(
            f"a trajectory is of gradient flow, and training is {type(self).__name__}: take "
            "training=rfdsm.GradientFlow(tau)."
        )

    def in_units(self, unit: Any) -> "AbstractTraining":
        """The same rule where one unit of training time is `unit` times as long."""
        return self


class Ridge(AbstractTraining):
    r"""The minimiser of L(A) with its penalty (w² λ/(d p)) |A|²_F: φ(x) = 1/(x + λ).

    w² is h for the default target and 1 for others (docs/theory.md section 14).

    Args:
        lam: λ > 0, in the units of the eigenvalues of U = (1/N) Σ f f^T, O(1).

    Raises:
        ValueError: λ is not positive and finite (0 is refused: name a small λ).
        TypeError: λ is not a number.
    """

    lam: Float[Array, ""] = _penalty()

    def __init__(self, lam: Any):
        self.lam = scalar(lam, "lam")
        require(self.domain())

    def filter(self, x, rate):
        return 1 / (x + self.lam)

    def nodes(self, rate):
        one = jnp.ones_like(self.lam)[None]
        # x/(x+λ)² - 2/(x+λ) = -1/(x+λ) - λ/(x+λ)²
        return FilterNodes(self.lam[None], one, -one, self.lam, jnp.zeros(()))

    def domain(self):
        hint = ": for the ridgeless limit take a small one, such as 1e-10"
        return [positive(self.lam, "lam", hint)]


class GradientFlow(AbstractTraining):
    r"""Gradient flow from A = 0 for a time τ, on the loss with its penalty λ.

    dA/dτ = -d² ∇L(A), so that φ(x) = (1 - e^{-κτ(x+λ)})/(x + λ) with κ = 2w²/ψ_p (2h/ψ_p for
    the default target).

    Args:
        tau: the training time, >= 0 and finite: gradient descent of learning rate η on L is
            at τ = η·steps/d².
        lam: λ >= 0, as of `Ridge`, which is the limit τ → ∞.

    Raises:
        ValueError: a number is negative or not finite.
        TypeError: one is not a number.
    """

    tau: Float[Array, ""] = number(
        r"\tau",
        "training time",
        bounds=(1e-2, 1e6),
        allowed=">= 0",
        meaning="dA/dtau = -d^2 grad L",
    )
    lam: Float[Array, ""] = _penalty()

    def __init__(self, tau: Any, lam: Any = 0.0):
        self.tau = scalar(tau, "tau")
        self.lam = scalar(lam, "lam")
        require(self.domain())

    def filter(self, x, rate):
        return _flow(x, rate * self.tau, self.lam)

    @mixed
    def nodes(self, rate, taus: Any = None, count: int = SINGLE):
        """The filter's nodes; with `taus`, shape (times,), those of all these training times.

        Args:
            rate: κ.
            taus: training times in place of the rule's own; one that is negative or not
                finite has nodes that are NaN and disturbs no other.
            count: of points, see `points_for`.
        """
        tau = self.tau if taus is None else taus
        # At τ = 0 nothing decays, and no contour serves: expand about a time hardly later.
        begun = jax.lax.stop_gradient(jnp.maximum(tau, SOON * jnp.minimum(1 / rate, 1)))
        valid = jnp.isfinite(begun)
        # φ² of the train loss decays twice as fast.
        first = rate * jnp.min(begun, where=valid, initial=jnp.inf)
        last = 2 * rate * jnp.max(begun, where=valid, initial=0.0)
        # With X = x + λ and g(w) = -e^{-κτw}/w the residues of g(w)/(w - X) on the contour's
        # inside are -e^{-κτX}/X at w = X and 1/X at w = 0, which add up to φ(x). There
        # w - X = -(x + λ_k) for λ_k = λ - w_k: so c_k = step_k e^{-κτ w_k}/w_k. λ_k = -z_k does
        # not move with λ: by Cauchy nothing depends on it, and c_k holds the derivatives.
        w, step = contour.hyperbola(first, last, count)
        z = jax.lax.stop_gradient(w - self.lam)
        w = z + self.lam
        # The series is for eigenvalues that such a time has hardly moved, as all are.
        most = jnp.where(jnp.any(tau < begun), 0.1, 1e3)
        x = jnp.geomspace(0.01 / last, most / first, CHECKS)

        def at(tau, begun):
            ahead, begun = rate * (begun - tau) * w, rate * begun * w
            decay, decay2 = (jnp.exp(-k * begun) * decays.series(k * ahead) for k in (1, 2))
            weights = step * decay / w
            error = filter_error(-z, weights, x, _flow(x, rate * tau, self.lam))
            # xφ² - 2φ = -(1 - e^{-2κτ(x+λ)})/(x+λ) - λφ²
            return weights, -step * decay2 / w, error

        at = at if taus is None else jax.vmap(at)
        weights, loss_weights, error = at(tau, begun)
        return FilterNodes(-z, weights, loss_weights, self.lam, error)

    def at_times(self, taus, digits):
        taus = vector(taus, "taus")
        valid, words = not_negative(taus, "training times")
        require([(valid.all(), words)])
        tolerance = max(TOLERANCE, SLACK * math.exp(-digits))
        return Trajectory(self, taus, points_for(taus, digits), tolerance)

    def in_units(self, unit):
        return GradientFlow(self.tau / unit, self.lam)

    def domain(self):
        hint = ": for tau → ∞ take Ridge(lam)"
        return [
            not_negative(self.tau, "the training time tau", hint),
            not_negative(self.lam, "lam"),
        ]


class Trajectory(AbstractFilter):
    """A gradient flow at many training times, which share their nodes.

    Attributes:
        flow: whose λ counts. taus: the times, shape (times,). count: of points on the contour.
        tolerance: of the nodes, looser where fewer digits were asked for.
    """

    flow: GradientFlow
    taus: Float[Array, " times"]
    count: int = eqx.field(static=True)
    tolerance: float = eqx.field(static=True)

    def filter(self, x, rate):
        return jax.vmap(lambda tau: _flow(x, rate * tau, self.flow.lam))(self.taus)

    def nodes(self, rate):
        return self.flow.nodes(rate, self.taus, self.count)

    def domain(self):
        return [*self.flow.domain(), (finite(self.taus) & (self.taus >= 0), "")]


class GradientDescent(AbstractTraining):
    r"""Gradient descent from A = 0: `steps` steps A -= η d² ∇L(A), on the loss with penalty λ.

    φ(x) = (1 - v^steps)/(x + λ) with v = 1 - κη(x + λ) and κ = 2w²/ψ_p (2h/ψ_p for the default
    target); at small η that is `GradientFlow(η·steps, λ)`. It converges where all |v| < 1, for
    η below 2/(κ(λ_max + λ)): larger rates are refused, by the theory with its own λ_max and in
    simulation with that of the network. Activations with E ϱ = μ0 ≠ 0 have an eigenvalue of
    about μ0² p, which leaves no stable rate as p grows: the theory refuses them.

    Args:
        steps: at least 1, an integer.
        learning_rate: η > 0, in the flow's unit of time: η d² on L itself.
        lam: λ >= 0, as of `Ridge`.

    Raises:
        ValueError: a number outside of its domain.
        TypeError: not a number.
    """

    steps: Float[Array, ""] = number(
        r"n_\mathrm{steps}", "steps of gradient descent", allowed="a whole number > 0",
        fixed="is an integer and cannot be free: tune the tau of GradientFlow, which is "
        "steps·learning_rate",
    )  # fmt: skip
    learning_rate: Float[Array, ""] = number(r"\eta", "learning rate")
    lam: Float[Array, ""] = _penalty()

    def __init__(self, steps: Any, learning_rate: Any, lam: Any = 0.0):
        self.steps = scalar(steps, "steps")
        self.learning_rate = scalar(learning_rate, "learning_rate")
        self.lam = scalar(lam, "lam")
        require(self.domain())

    def filter(self, x, rate):
        shrunk = rate * self.learning_rate * (x + self.lam)
        return rate * self.learning_rate * self._geometric(shrunk)

    @mixed
    def nodes(self, rate):
        r"""The filter's nodes, on a contour around v in [-1, 1] on which v^steps stays O(1).

        The upper half of a curve that is its own mirror image in both axes of v:

        * few steps: an ellipse with the foci ±1, v = cosh(r + iϑ), where |v| <= cosh r. Its
          rule converges like e^{-2r·count}; r is as large as v^{2 steps} allows.
        * from `MANY` on v^steps is small but near v = ±1: a hyperbola in log v and its mirror
          image in log(-v). The branches may cross neither each other nor the real axis, beyond
          which resolvents have another sign: so |Im log v| <= π/2 on all of one. It goes like
          1/steps, from π/2 at 15 of them; where a branch ends v^steps is e^{-30}.
        """
        steps, scale = self.steps, rate * self.learning_rate
        count = 2 * SINGLE
        arc = (np.arange(count) + 0.5) * np.pi / count
        radius = jnp.arccosh(jnp.exp(GROWTH / (2 * jnp.minimum(steps, MANY))))
        ellipse, slope = jnp.cosh(radius + 1j * arc), jnp.sinh(radius + 1j * arc)
        many = jnp.maximum(steps, MANY)
        decay, step = contour.hyperbola(many, 2 * many, SINGLE)
        near, power, shrunk = jnp.exp(-decay), jnp.exp(-steps * decay), -jnp.expm1(-decay)
        sign = 1 - 2 * (steps % 2)

        def choose(few, many, mirrored):
            chosen = jnp.where(steps < MANY, few, jnp.concatenate([many, mirrored]))
            return jax.lax.stop_gradient(chosen)

        shrunk = choose(1 - ellipse, shrunk, 2 - jnp.conj(shrunk))  # 1 - v = κη(z + λ)
        power = choose(ellipse**steps, power, sign * jnp.conj(power))
        step = choose(-slope / (2 * count), step * near, -jnp.conj(step * near))
        z = shrunk / jax.lax.stop_gradient(scale) - jax.lax.stop_gradient(self.lam)
        step = step / jax.lax.stop_gradient(scale)
        w = z + self.lam
        # The points are constants, v^steps there is not: exact in value, a log in derivatives.
        growth = steps * jnp.log(1 - scale * w)
        power = power * jnp.exp(growth - jax.lax.stop_gradient(growth))
        weights = step * power / w
        share = jnp.geomspace(0.01 / steps, 1, CHECKS) / 2
        x = self.reach(rate) * jnp.concatenate([share, 1 - share])
        return FilterNodes(
            -z,
            weights,
            # xφ² - 2φ = -(1 - v^{2 steps})/(x+λ) - λφ²
            -step * power**2 / w,
            self.lam,
            filter_error(-z, weights, x, self.filter(x, rate)),
            near_axis=True,
        )

    def reach(self, rate):
        return 2 / (rate * self.learning_rate) - self.lam

    def divergence(self, rate, largest):
        stable = largest_learning_rate(rate, largest, self.lam)
        return (
            f"learning_rate = {self.learning_rate:.6g} diverges: the largest stable one is "
            f"{stable:.6g} here."
        )

    def in_units(self, unit):
        return GradientDescent(self.steps, self.learning_rate / unit, self.lam)

    def _geometric(self, shrunk):
        """(1 - v^steps)/(1 - v) with 1 - v = `shrunk`."""
        little = shrunk < 0.5
        small, large = jnp.where(little, shrunk, 0.0), jnp.where(little, 1.0, shrunk)
        # v^steps = e^{-time·shrunk}
        time = self.steps * decays.mean_logarithm(small)
        near = time * decays.mean(time * small)
        return jnp.where(little, near, (1 - (1 - large) ** self.steps) / large)

    def domain(self):
        return [
            (
                (self.steps >= 1) & finite(self.steps) & (self.steps % 1 == 0),
                f"steps must be an integer of at least 1, got {self.steps}.",
            ),
            positive(self.learning_rate, "learning_rate"),
            not_negative(self.lam, "lam"),
        ]


def _flow(x, time, lam):
    """(1 - e^{-κτ(x+λ)})/(x + λ), where `time` is κτ."""
    return time * decays.mean(time * (x + lam))
