r"""Features of noised points: those of a network, Gaussian ones with the same moments, any.

A network's features are read in three ways: of the pairs that it trains on, of training points
with other noise, and of points that it has not seen.
"""

import abc
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._numerics.linalg import lower_product, product
from .._numerics.promotion import cast
from ..ingredients.processes import Noising
from .blocks import normal, preactivations
from .mehler import Averages, noise_averages


@partial(jax.jit, static_argnames="rows")
def row_keys(key: Array, rows: int) -> Array:
    """A key for each of so many rows."""
    return jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(rows))


def first(stacked: Any) -> Any:
    """The first of trees that are stacked."""
    return jax.tree.map(lambda leaf: leaf[0], stacked)


class AbstractFeatures(eqx.Module):
    """f(y), p features of a noised point y.

    Attributes:
        draws: whether they draw numbers of their own at a point.
    """

    p: eqx.AbstractVar[int]
    draws: ClassVar[bool] = False

    @abc.abstractmethod
    def of(
        self, key: Array, y: Float[Array, "rows d"], points: Int[Array, " rows"] | None = None
    ) -> Float[Array, "p rows"]:
        """The features of noised points, in their precision.

        Args:
            key: of what the features draw themselves.
            y: noised points; points: the numbers of the training points that they are copies
                of, negative where a point was not seen; None: none was.
        """

    def averages(
        self,
        x: Float[Array, "n d"],
        noising: Noising,
        weight: Float[Array, " n"] | None = None,
        data: bool = False,
    ) -> Averages:
        """The averages over infinitely many noises, exactly.

        Args:
            x: training points; weight: of each in the sums, 0 or 1 (None: all 1).
            data: whether Σ_i E_z f x^T is wanted, for targets that the data are part of.

        Raises:
            NotImplementedError: features that are not averaged over noise but by draws of it.
        """
        raise NotImplementedError(f"{type(self).__name__} have no exact average over noise.")

    def side_by_side(self) -> "AbstractFeatures":
        """Those of several networks, whose arrays are stacked here, as the features of one."""
        raise NotImplementedError(f"{type(self).__name__} are of one network.")


class NetworkFeatures(AbstractFeatures):
    """f = ϱ(W y/√d)."""

    activation: Any
    W: Float[Array, "p d"]

    @property
    def p(self):
        return self.W.shape[0]

    @eqx.filter_jit
    def of(self, key, y, points=None):
        activation, W = cast((self.activation, self.W), y.dtype)
        return activation(preactivations(W, y))

    def averages(self, x, noising, weight=None, data=False):
        activation = cast(self.activation, x.dtype)
        return noise_averages(activation, self.W, x, noising, weight, data)

    def side_by_side(self):
        activation = first(self.activation)
        return NetworkFeatures(activation, jnp.concatenate(self.W))


class GaussianFeatures(AbstractFeatures):
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

    draws = True

    @property
    def p(self):
        return self.W.shape[0]

    def of(self, key, y, points=None):
        of_point, of_noise = jax.random.split(key)
        about = (y.shape[0], self.p), y.dtype, self.b.dtype
        W, of_points, b, v, s = cast((self.W, self.shared, self.b, self.v, self.s), y.dtype)
        shared = normal(of_point, *about)
        if points is not None:
            shared = jnp.where(points[:, None] < 0, shared, of_points[points])
        noise = normal(of_noise, *about)
        return b * preactivations(W, y) + v * shared.T + s * noise.T

    def averages(self, x, noising, weight=None, data=False):
        self, x = cast((self, x), self.b.dtype)
        n, d = x.shape
        mean = self.b * noising.a * preactivations(self.W, x) + self.v * self.shared.T
        if weight is not None:
            n, mean = jnp.sum(weight), mean * weight[None]
        slope = self.b * jnp.sqrt(noising.h / d) * self.W  # of f in z
        fresh = lower_product(slope) + self.s**2 * jnp.eye(self.p)
        cross = product(mean, x) if data else None
        return Averages(lower_product(mean), n * fresh, n * slope, cross)

    def side_by_side(self):
        constants = first((self.b, self.v, self.s))
        shared = jnp.concatenate(self.shared, axis=1)
        return GaussianFeatures(jnp.concatenate(self.W), *constants, shared)


class FunctionFeatures(AbstractFeatures):
    """Features of any function y -> f(y), (rows, d) -> (rows, p), called with NumPy arrays."""

    function: Callable[[np.ndarray], Any] = eqx.field(static=True)
    p: int = eqx.field(static=True)

    def of(self, key, y, points=None):
        """f(y), shape (p, rows), checked.

        Raises:
            ValueError: what comes back is no finite real matrix with a row for each point.
        """
        y = np.asarray(y)
        f = np.asarray(self.function(y))
        if f.ndim != 2 or len(f) != len(y) or not np.issubdtype(f.dtype, np.floating):
            raise ValueError(
                f"the features must be a real matrix (rows, p) for noised points (rows, d): "
                f"{y.shape} became {f.shape} of {f.dtype}."
            )
        if not np.all(np.isfinite(f)):
            raise ValueError("the features of some noised points are NaN or infinite.")
        return np.ascontiguousarray(f.T, y.dtype)
