r"""Averages of network features over infinitely many noises, exactly.

Given x_i the preactivations are Gaussian, of mean a W x_i/√d and covariance h W W^T/d, so with
R the correlation matrix of the rows of W and

    C_k(α, i) = E_g[ϱ(mean_αi + √(h/d)|W_α| g) He_k(g)]/√k!,       g ~ N(0, 1),

Mehler's series gives E_z[f_α f_β | x_i] = Σ_k C_k(α,i) C_k(β,i) R_αβ^k and Stein's lemma
E_z[f_α z^T | x_i] = C_1(α,i) W_α/|W_α|; E_z[f_α | x_i] is C_0(α,i). Every order is one matrix
product over the points; on the diagonal, where R = 1, E ϱ² is taken from the same
one-dimensional quadrature instead.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.linalg import lower_product, product
from ..ingredients.processes import Noising
from .blocks import preactivations, stream
from .hermite import hermite_coefficients

TRUNCATION = 1e-4  # of the Mehler series, see `mehler_orders`
MOST_ORDERS = 24
ROUNDING = 1 / 16  # see `orders_that_count`
BLOCK = 2**24  # coefficients C_k that are held at a time


class Averages(NamedTuple):
    """Averages over the noise of each of some points, summed over the points.

    Attributes:
        shared: Σ_i E_z f (E_z f)^T. fresh: Σ_i Cov_z f. Shape (p, p), lower triangles.
        noise: Σ_i E_z f z^T. data: Σ_i E_z f x_i^T, None where it was not asked for. Shape
            (p, d).
    """

    shared: Float[Array, "p p"]
    fresh: Float[Array, "p p"]
    noise: Float[Array, "p d"]
    data: Float[Array, "p d"] | None


def mehler_orders(p: int, d: int) -> int:
    r"""The order K at which the Mehler series is cut.

    An entry of what is left out of U is at most |R_αβ|^{K+1} τ, with τ the largest over the
    rows of W of the mass Σ_{k>K} C_k² (averaged over the points). Two rows are independent
    directions, so its Frobenius norm is at most `size_of_power`(K+1) τ in root mean square
    over W. K is the least order (from 4 on) that makes that `TRUNCATION`·τ. Below d of about
    40 K stops at `MOST_ORDERS`: what is left out is then small by τ alone: under 4e-4 h for
    ReLU, 1e-12 for tanh at h = 0.1 and 4e-7 at h = 0.9.
    """
    enough = (k for k in range(4, MOST_ORDERS) if size_of_power(k + 1, p, d) <= TRUNCATION)
    return next(enough, MOST_ORDERS)


def size_of_power(k: int, p: int, d: int) -> float:
    r"""The Frobenius norm of R^k, entry by entry: p √(E R^{2k}), with E R^{2k} over W

    Γ(k+½) Γ(d/2) / (Γ(½) Γ(k+d/2)).
    """
    of_R = math.lgamma(k + 0.5) - math.lgamma(0.5) + math.lgamma(d / 2) - math.lgamma(k + d / 2)
    return p * math.exp(of_R / 2)


def noise_averages(
    activation,
    W: Float[Array, "p d"],
    x: Float[Array, "n d"],
    noising: Noising,
    weight: Float[Array, " n"] | None = None,
    data: bool = False,
) -> Averages:
    """`AbstractFeatures.averages` of the features ϱ(W y/√d).

    It costs n p² operations for E f and for each order of the series. Of single precision W
    and x the products are in single precision, and their sums over blocks in JAX's own.
    """
    (n, d), p = x.shape, W.shape[0]
    orders, wide = mehler_orders(p, d), jnp.result_type(float)
    length = jnp.sqrt(jnp.sum(W * W, axis=1))
    unit = W / length[:, None]
    R = product(unit, unit.T)
    scale = jnp.sqrt(noising.h / d).astype(W.dtype) * length

    def add(total, start, size):
        points = jax.lax.dynamic_slice_in_dim(x, start, size)
        mean = noising.a.astype(W.dtype) * preactivations(W, points)
        C, square = hermite_coefficients(activation, mean, scale, orders)
        if weight is not None:
            w = jax.lax.dynamic_slice_in_dim(weight, start, size)
            C, square = C * w[None, None], square * w[None]
        square = jnp.sum(square, axis=1)
        block = Averages(
            lower_product(C[0]),
            _series(C, jnp.max(square), R, d),
            jnp.sum(C[1], axis=1),
            product(C[0], points) if data else None,
        )
        return jax.tree.map(lambda all, one: all + one.astype(wide), total, (block, square))

    none, zero = jnp.zeros((p, p), wide), jnp.zeros(p, wide)
    total = Averages(none, none, zero, jnp.zeros((p, d), wide) if data else None)
    total, square = stream(add, (total, zero), n, max(256, BLOCK // (p * orders)))
    diagonal = jnp.arange(p)
    fresh = total.fresh.at[diagonal, diagonal].set(square - jnp.diagonal(total.shared))
    return total._replace(fresh=fresh, noise=total.noise[:, None] * unit.astype(wide))


def _series(C, largest, R, d: int) -> Float[Array, "p p"]:
    """Σ_{k≥1} Σ_i C_k C_k^T R^k off the diagonal, by Horner's scheme."""
    last = orders_that_count(C, largest, d)

    def add_order(below, total):
        return R * (total + lower_product(C[last - below]))

    return jax.lax.fori_loop(0, last, add_order, jnp.zeros_like(R))


def orders_that_count(C: Float[Array, "k p rows"], largest: Any, d: int) -> Any:
    """The order above which all that is left is less than the rounding of a product.

    That of U changes its spectrum by `ROUNDING`·ε √p times its entries, which are as large as
    the `largest` Σ_i E ϱ²; what is left is held against it by its Frobenius norm, in root mean
    square over W. So the orders that an activation has not, or the noise is too small for,
    cost nothing, and single precision takes fewer of them.
    """
    orders, p, _ = C.shape
    sizes = jnp.asarray([size_of_power(k, p, d) for k in range(1, orders)], C.dtype)
    mass = jnp.max(jnp.sum(C[1:] ** 2, axis=2), axis=1)
    left = jnp.cumsum((sizes * mass)[::-1])[::-1]
    rounding = ROUNDING * jnp.finfo(C.dtype).eps * math.sqrt(p)
    return jnp.sum(left > rounding * largest)
