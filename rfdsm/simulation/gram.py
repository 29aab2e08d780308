r"""What a fit reads: the pairs themselves, or U = (1/N) Σ f f^T and V = (1/N) Σ f τ^T of them.

Either gives (U+λ)^{-1} V as one linear system, and the eigenvectors of U, in the form of the
smaller matrix. For finite m, U and V are accumulated in a stream over blocks of pairs: memory
is p² plus one block of features. For m = ∞ the average over noise is exact (`mehler`).
"""

import abc
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics import cholesky
from .._numerics.absent import Absent
from .._numerics.linalg import from_lower_tiles, lower_product, lower_tiles, product
from ..ingredients.targets import Denoising
from .blocks import BLOCK_ROWS, FEATURE_ROWS, noised, stream
from .features import AbstractFeatures


class Modes(eqx.Module):
    r"""The fit in the eigenbasis: φ(U) V = Σ_k φ(x_k) direction_k target_k^T.

    Attributes:
        eigenvalues: x_k >= 0 of U (or G), shape (k,), ascending.
        directions: shape (p, k); targets: shape (k, d).
        power: |V^T e_k|²/d of the normalised eigenvectors e_k of U, shape (k,).
        null: the loss of no output, the mean of |τ|²/d over the pairs.
    """

    eigenvalues: Float[Array, " k"]
    directions: Float[Array, "p k"]
    targets: Float[Array, "k d"]
    power: Float[Array, " k"]
    null: Float[Array, ""]

    def filtered(self, phi: Float[Array, " k"]) -> tuple[Float[Array, "p d"], Float[Array, ""]]:
        """φ(U) V and the train loss, of the filter's values φ(x_k)."""
        change = phi * (self.eigenvalues * phi - 2)
        fitted = product(self.directions, phi[:, None] * self.targets)
        return fitted, self.null + jnp.sum(change * self.power)


class AbstractEquations(eqx.Module):
    """The normal equations of the read-out w B, as one form of them."""

    @abc.abstractmethod
    def system(self, lam, weight) -> tuple[Float[Array, "p d"], Float[Array, ""]]:
        """φ(U) V and the train loss, of the filter φ(x) = weight/(x + λ)."""

    @abc.abstractmethod
    def modes(self) -> Modes:
        """The same equations in their eigenbasis, for any filter."""


class Gram(AbstractEquations):
    """The p×p form: the lower triangle of U, V, and the mean of |τ|²/d over the pairs."""

    U: Float[Array, "p p"]
    V: Float[Array, "p d"]
    null: Float[Array, ""]

    def system(self, lam, weight):
        # Of R = φ(U) V the loss is null + tr R^T (UR - 2V)/d, and UR = weight V - λR.
        R, d = weight * _solve(self.U, lam, self.V), self.V.shape[1]
        change = (weight - 2) * jnp.sum(R * self.V) - lam * jnp.sum(R * R)
        return R, self.null + change / d

    def modes(self):
        x, E = _eigh(self.U)
        targets = product(E.T, self.V)
        return Modes(x, E, targets, jnp.mean(targets**2, axis=1), self.null)


class Pairs(AbstractEquations):
    r"""The N×N form, for N < p: G = F^T F/N of the pairs' features f and targets τ."""

    f: Float[Array, "p N"]  # in single precision perhaps
    tau: Float[Array, "N d"]

    def system(self, lam, weight):
        # The residuals τ - F^T R of the pairs are exactly (1-weight) τ + weight λ (G+λ)^{-1} τ.
        count = len(self.tau)
        solved = _solve(self._gram(), lam, self.tau)
        residuals = (1 - weight) * self.tau + weight * lam * solved
        # Not to be merged with the read-out's division by w, which would round otherwise.
        fitted = jax.lax.optimization_barrier(weight * self._read(solved) / count)
        return fitted, jnp.mean(residuals**2)

    def modes(self):
        # With G = Q x Q^T the eigenvectors of U are F Q/√(N x), and V = F T/N.
        count = len(self.tau)
        x, Q = _eigh(self._gram())
        targets = product(Q.T, self.tau)
        power = x / count * jnp.mean(targets**2, axis=1)
        return Modes(x, self._read(Q) / count, targets, power, jnp.mean(self.tau**2))

    def _gram(self):
        """The lower triangle of G."""
        return lower_product(self.f.T).astype(self.tau.dtype) / len(self.tau)

    def _read(self, right):
        """F right."""
        return product(self.f, right.astype(self.f.dtype)).astype(right.dtype)


def normal_equations(
    key: Array,
    features: AbstractFeatures,
    x: Float[Array, "n d"],
    m: float,
    denoising: Denoising,
    *,
    dual: bool | None = None,
    copy: Any = 0,
) -> AbstractEquations:
    """The equations of m noises (∞: all of them) for each of the n points x.

    Args:
        dual: of finite m, whether in the N×N form, which draws all pairs at once; None: where
            it is the smaller one.
        copy: of W, whose surrogate draws its own at each pair.
    """
    n, dtype = x.shape[0], denoising.noising.h.dtype
    if math.isinf(m):
        wanted = not isinstance(denoising.data, Absent)
        sums = features.averages(x, denoising.noising, data=wanted)
        V = denoising.target(sums.data, sums.noise) / n  # τ is linear in x and z
        null = jnp.asarray(denoising.null(jnp.mean(x * x, dtype=dtype)), dtype)
        return Gram((sums.shared + sums.fresh) / n, V, null)
    if n * m < features.p if dual is None else dual:
        f, tau = pairs(key, features, x, 0, n * int(m), denoising, copy)
        return Pairs(f, tau.astype(dtype))
    return streamed(key, features, x, int(m), denoising, copy)


def pairs(key, features: AbstractFeatures, x, start, size: int, denoising, copy: Any = 0):
    """(f, τ) of `size` pairs from number `start` on; pair k is a noise on point k mod n."""
    key, y, tau, points = _noised_pairs(key, x, start, size, denoising, copy)
    return features.of(key, y, points), tau


def _noised_pairs(key, x, start, size: int, denoising, copy: Any):
    """(key of their features, y, τ, numbers of the points) of those pairs."""
    points = (start + jnp.arange(size)) % x.shape[0]
    key = jax.random.fold_in(key, start)
    return jax.random.fold_in(key, copy), *noised(key, x[points], denoising), points


class Sums(NamedTuple):
    """Sums over pairs, of any of which there may be more.

    Attributes:
        tiles: of Σ f f^T, as `lower_tiles`. cross: Σ f τ^T. square: Σ |τ|².
    """

    tiles: list[Float[Array, "a b"]]
    cross: Float[Array, "p d"]
    square: Float[Array, ""]

    @classmethod
    def of(cls, f: Float[Array, "p rows"], tau: Float[Array, "rows d"]) -> "Sums":
        """Those over some pairs."""
        return cls(lower_tiles(f), product(f, tau), jnp.sum(tau * tau))

    @classmethod
    def none(cls, p: int, d: int, dtype: Any) -> "Sums":
        """Those over no pairs."""
        shapes = jax.eval_shape(cls.of, jnp.zeros((p, 0), dtype), jnp.zeros((0, d), dtype))
        return jax.tree.map(lambda each: jnp.zeros(each.shape, dtype), shapes)

    def gram(self, count: int) -> Gram:
        """The means of so many pairs."""
        p, d = self.cross.shape
        U = from_lower_tiles([tile / count for tile in self.tiles], p)
        return Gram(U, self.cross / count, self.square / (count * d))


def streamed(key, features: AbstractFeatures, x, m: int, denoising, copy: Any = 0) -> Gram:
    """U and V over m noises for each of the n points x, `BLOCK_ROWS` pairs at a time."""
    (n, d), dtype = x.shape, denoising.noising.h.dtype

    def add(total, start, size):
        return added(total, key, features, x, start, size, denoising, copy)

    none = Sums.none(features.p, d, dtype)
    return stream(add, none, n * m, BLOCK_ROWS).gram(n * m)


def added(total: Sums, key, features, x, start, size: int, denoising, copy: Any = 0) -> Sums:
    """The sums with `size` pairs more, from number `start` on.

    Features that draw numbers do so for all of these at once.
    """
    key, *drawn = _noised_pairs(key, x, start, size, denoising, copy)

    def add(total, start, size):
        y, tau, points = (jax.lax.dynamic_slice_in_dim(a, start, size) for a in drawn)
        block = Sums.of(features.of(key, y, points), tau)
        return jax.tree.map(lambda sum, part: sum + part.astype(sum.dtype), total, block)

    return stream(add, total, size, size if features.draws else FEATURE_ROWS)


def over_pairs(
    of: Callable[[Any, int], Float[Array, ""]],
    x: Float[Array, "n d"],
    m: int,
    dual: bool,
    dtype: Any,
) -> Float[Array, ""]:
    """(1/dN) Σ of(start, size), over the blocks in which a fit draws its pairs."""
    (n, d), block = x.shape, BLOCK_ROWS

    def add(total, start, size):
        return total + of(start, size).astype(dtype)

    total = stream(add, jnp.zeros((), dtype), n * m, n * m if dual else block)
    return total / (n * m * d)


def _eigh(lower) -> tuple[Float[Array, " k"], Float[Array, "k k"]]:
    """(eigenvalues, eigenvectors) of a positive semidefinite matrix's lower triangle."""
    vectors, values = jax.lax.linalg.eigh(lower, lower=True, symmetrize_input=False)
    return jnp.maximum(values, 0), vectors


def _solve(lower, lam, right):
    """(A + λ)^{-1} right, for a positive definite A of which the lower triangle is read."""
    diagonal = jnp.arange(lower.shape[0])
    return cholesky.solve(lower.at[diagonal, diagonal].add(lam), right)
