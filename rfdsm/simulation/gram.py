r"""What a fit reads: the pairs themselves, or U = (1/N) Σ f f^T and V = (1/N) Σ f τ^T of them.

Either gives (U+λ)^{-1} V as one linear system, and the eigenvectors of U, in the form of the
smaller matrix. For finite m, U and V are accumulated in a stream over blocks of pairs: memory
is p² plus one block of features. For m = ∞ the average over noise is exact (`mehler`).
"""

import abc
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.absent import Absent
from .._numerics.linalg import lower_product, product
from ..ingredients.targets import Denoising
from .blocks import BLOCK_ROWS, noised, stream
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

    f: Float[Array, "p N"]
    tau: Float[Array, "N d"]

    def system(self, lam, weight):
        # The residuals τ - F^T R of the pairs are exactly (1-weight) τ + weight λ (G+λ)^{-1} τ.
        count = len(self.tau)
        solved = _solve(lower_product(self.f.T) / count, lam, self.tau)
        residuals = (1 - weight) * self.tau + weight * lam * solved
        # Not to be merged with the read-out's division by w, which would round otherwise.
        fitted = jax.lax.optimization_barrier(weight * product(self.f, solved) / count)
        return fitted, jnp.mean(residuals**2)

    def modes(self):
        # With G = Q x Q^T the eigenvectors of U are F Q/√(N x), and V = F T/N.
        count = len(self.tau)
        x, Q = _eigh(lower_product(self.f.T) / count)
        targets = product(Q.T, self.tau)
        power = x / count * jnp.mean(targets**2, axis=1)
        return Modes(x, product(self.f, Q) / count, targets, power, jnp.mean(self.tau**2))


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
    n = x.shape[0]
    if math.isinf(m):
        wanted = not isinstance(denoising.data, Absent)
        sums = features.averages(x, denoising.noising, data=wanted)
        V = denoising.target(sums.data, sums.noise) / n  # τ is linear in x and z
        null = jnp.asarray(denoising.null(jnp.mean(x * x)), x.dtype)
        return Gram((sums.shared + sums.fresh) / n, V, null)
    if n * m < features.p if dual is None else dual:
        return Pairs(*pairs(key, features, x, 0, n * int(m), denoising, copy))
    return streamed(key, features, x, int(m), denoising, copy)


def pairs(key, features: AbstractFeatures, x, start, size: int, denoising, copy: Any = 0):
    """(f, τ) of `size` pairs from number `start` on; pair k is a noise on point k mod n."""
    points = (start + jnp.arange(size)) % x.shape[0]
    key = jax.random.fold_in(key, start)
    y, tau = noised(key, x[points], denoising)
    return features.of(jax.random.fold_in(key, copy), y, points), tau


def streamed(key, features: AbstractFeatures, x, m: int, denoising, copy: Any = 0) -> Gram:
    """U and V over m noises for each of the n points x, `BLOCK_ROWS` pairs at a time."""
    (n, d), p = x.shape, features.p

    def add(total: Any, start, size):
        f, tau = pairs(key, features, x, start, size, denoising, copy)
        block = Gram(lower_product(f), product(f, tau), jnp.sum(tau * tau))
        return jax.tree.map(jnp.add, total, block)

    zero = Gram(jnp.zeros((p, p), x.dtype), jnp.zeros((p, d), x.dtype), jnp.zeros((), x.dtype))
    total = stream(add, zero, n * m, BLOCK_ROWS)
    return Gram(total.U / (n * m), total.V / (n * m), total.null / (n * m * d))


def over_pairs(
    of: Callable[[Any, int], Float[Array, ""]], x: Float[Array, "n d"], m: int, dual: bool
) -> Float[Array, ""]:
    """(1/dN) Σ of(start, size), over the blocks in which a fit draws its pairs."""
    (n, d), block = x.shape, BLOCK_ROWS

    def add(total, start, size):
        return total + of(start, size)

    total = stream(add, jnp.zeros((), x.dtype), n * m, n * m if dual else block)
    return total / (n * m * d)


def _eigh(lower) -> tuple[Float[Array, " k"], Float[Array, "k k"]]:
    """(eigenvalues, eigenvectors) of a positive semidefinite matrix's lower triangle."""
    vectors, values = jax.lax.linalg.eigh(lower, lower=True, symmetrize_input=False)
    return jnp.maximum(values, 0), vectors


def _solve(lower, lam, right):
    """(A + λ)^{-1} right, for a positive definite A of which the lower triangle is read."""
    diagonal = jnp.arange(lower.shape[0])
    shifted = lower.at[diagonal, diagonal].add(lam)
    factor = jax.lax.linalg.cholesky(shifted, symmetrize_input=False)
    return jax.scipy.linalg.cho_solve((factor, True), right)
