r"""The features of a trial: those of the network, or Gaussian ones with the same moments.

A trial reads features of noised points y in three ways: of the pairs that it trains on, of
training points with other noise, and of points that it has not seen.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .blocks import preactivations
from .experiment import Experiment
from .gram import Gram, lower_product
from .mehler import noise_averages


class AbstractTrialFeatures(eqx.Module):
    """The features of one trial, p of them."""

    @abc.abstractmethod
    def of(
        self, key: Array, y: Float[Array, "rows d"], points: Int[Array, " rows"] | None
    ) -> Float[Array, "p rows"]:
        """The features of noised points.

        Args:
            key: of what the features draw themselves.
            y: noised points; points: the numbers of the training points that they are copies
                of, None where they are copies of points not seen.
        """

    @abc.abstractmethod
    def averaged(self, x: Float[Array, "n d"], a, h) -> Gram:
        """U and V of the training points x at m = ∞, with E|z|²/d = 1."""


class NetworkFeatures(AbstractTrialFeatures):
    """f = ϱ(W y/√d)."""

    activation: Any
    W: Float[Array, "p d"]

    @eqx.filter_jit
    def of(self, key, y, points):
        return self.activation(preactivations(self.W, y))

    def averaged(self, x, a, h):
        n = x.shape[0]
        shared, fresh, cross = noise_averages(self.activation, self.W, x, a, h)
        return Gram((shared + fresh) / n, cross / n, jnp.ones((), x.dtype))


class GaussianFeatures(AbstractTrialFeatures):
    r"""The Gaussian surrogate f_ij = b W y_ij/√d + v ω_i + s ω_ij (docs/theory.md section 3).

    ω_i, ω_ij ~ N(0, I_p) independent, ω_i shared by the copies of a training point. μ0 is left
    out: it drops out of every error.

    Attributes:
        W: shape (p, d).
        b, v, s: the Gaussian constants of the activation.
        shared: ω_i of the training points, shape (n, p).
    """

    W: Float[Array, "p d"]
    b: Float[Array, ""]
    v: Float[Array, ""]
    s: Float[Array, ""]
    shared: Float[Array, "n p"]

    def of(self, key, y, points):
        of_point, of_noise = jax.random.split(key)
        shape, dtype = (y.shape[0], self.W.shape[0]), y.dtype
        if points is None:
            shared = jax.random.normal(of_point, shape, dtype)
        else:
            shared = self.shared[points]
        noise = jax.random.normal(of_noise, shape, dtype)
        return self.b * preactivations(self.W, y) + self.v * shared.T + self.s * noise.T

    def averaged(self, x, a, h):
        n, (p, d) = x.shape[0], self.W.shape
        mean = self.b * a * preactivations(self.W, x) + self.v * self.shared.T
        scaled = self.b * jnp.sqrt(h / d) * self.W
        U = lower_product(mean) / n + lower_product(scaled) + self.s**2 * jnp.eye(p)
        return Gram(U, self.b * jnp.sqrt(h) * self.W / jnp.sqrt(d), jnp.ones((), x.dtype))


def draw(key, experiment: Experiment, W) -> AbstractTrialFeatures:
    """The features of a trial with weights W."""
    if experiment.features == "network":
        return NetworkFeatures(experiment.activation, W)
    a, h = experiment.process.scales()
    constants = experiment.activation.constants(a**2 * experiment.sigma_x2, h)
    shared = jax.random.normal(key, (experiment.sizes.n, W.shape[0]), W.dtype)
    return GaussianFeatures(
        W, constants.b, jnp.sqrt(constants.v2), jnp.sqrt(constants.s2), shared
    )
