r"""The two matrices of the fit, U = (1/N) Σ f f^T and V = (1/N) Σ f z^T, without the pairs.

For finite m they are accumulated in a stream over blocks of noises: memory is p² plus one
block of features. For m = ∞ the average over noise is exact. Given x_i the preactivations are
Gaussian, of mean a W x_i/√d and covariance h W W^T/d, so with R the correlation matrix of the
rows of W and

    C_k(α, i) = E_g[ϱ(mean_αi + √(h/d)|W_α| g) He_k(g)]/√k!,       g ~ N(0, 1),

Mehler's series gives E_z[f_α f_β | x_i] = Σ_k C_k(α,i) C_k(β,i) R_αβ^k and Stein's lemma
E_z[f_α z^T | x_i] = C_1(α,i) W_α/|W_α|. Every order is one matrix product over the points; on
the diagonal, where R = 1, E ϱ² is taken from the same one-dimensional quadrature instead.
"""

import itertools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .network import features, normal

BLOCK_ROWS = 4096  # pairs whose features are held at a time
COLUMN_BLOCKS = 4  # of the symmetric product
REACH, STEP = 9.0, 0.25  # of the quadrature in g; e^{-81/2} and e^{-2π²/0.25} are rounding
PANEL_NODES = 40  # Gauss-Legendre nodes between two kinks
TRUNCATION = 1e-8  # of the Mehler series, see `mehler_orders`


class Gram(eqx.Module):
    """What a fit reads: the lower triangle of U, V, and the mean of |z|²/d over the pairs."""

    U: Float[Array, "p p"]
    V: Float[Array, "p d"]
    noise: Float[Array, ""]


def lower_product(F: Float[Array, "rows p"]) -> Float[Array, "p p"]:
    """F^T F, of which only the lower block triangle is computed (above it: zeros).

    XLA has no symmetric rank-k update; blocks save a third of the time.
    """
    edges = np.linspace(0, F.shape[1], COLUMN_BLOCKS + 1).astype(int)
    columns = [F[:, a:b] for a, b in itertools.pairwise(edges)]
    rows = []
    for i, left in enumerate(columns):
        blocks = [_product(left, right) for right in columns[: i + 1]]
        blocks.append(jnp.zeros((left.shape[1], F.shape[1] - edges[i + 1]), F.dtype))
        rows.append(jnp.concatenate(blocks, axis=1))
    return jnp.concatenate(rows, axis=0)


def _product(left, right):
    return jnp.matmul(left.T, right, precision="highest")


def streamed(key, activation, W, x, m: int, a, h) -> Gram:
    """U and V over m noises for each of the n points x, in blocks of whole noises."""
    (n, d), p = x.shape, W.shape[0]
    together = max(k for k in range(1, m + 1) if m % k == 0 and (k == 1 or k * n <= BLOCK_ROWS))

    def add(total, key):
        z = normal(key, (together, n, d), x.dtype)
        y = (a * x[None] + jnp.sqrt(h) * z).reshape(-1, d)
        z = z.reshape(-1, d)
        f = features(activation, W, y)
        block = Gram(lower_product(f), _product(f, z), jnp.sum(z * z))
        return jax.tree.map(jnp.add, total, block), None

    zero = Gram(jnp.zeros((p, p), x.dtype), jnp.zeros((p, d), x.dtype), jnp.zeros((), x.dtype))
    total, _ = jax.lax.scan(add, zero, jax.random.split(key, m // together))
    pairs = n * m
    return Gram(total.U / pairs, total.V / pairs, total.noise / (pairs * d))


def mehler_orders(p: int, d: int) -> int:
    r"""The order at which the Mehler series is cut.

    R off the diagonal has entries of size 1/√d: what is left out, entries of size R^{K+1},
    has an operator norm of about √p d^{-(K+1)/2}, times the mass Σ_{k>K} C_k² < E ϱ². The
    order makes that `TRUNCATION`. In small dimensions rare pairs of nearly parallel rows, R
    far above 1/√d, add to it: measured in operator norm and relative to E ϱ², all that is left
    out is under 1e-5 at d = 16 and 1e-7 from d = 40 on for ReLU, and far less for smooth ϱ.
    """
    return max(4, math.ceil(2 * math.log(math.sqrt(p) / TRUNCATION) / math.log(max(d, 4))) - 1)


def exact(activation, W, x, a, h) -> Gram:
    """U and V at m = ∞, with E|z|²/d = 1."""
    (n, d), p = x.shape, W.shape[0]
    orders = mehler_orders(p, d)
    length = jnp.sqrt(jnp.sum(W * W, axis=1))
    unit = W / length[:, None]
    R = _product(unit.T, unit.T)
    scale = jnp.sqrt(h / d) * length
    block = max(1, min(n, 2**22 // p))  # points at a time
    padded = -(-n // block) * block
    points = jnp.zeros((padded, d), x.dtype).at[:n].set(x).reshape(-1, block, d)
    real = (jnp.arange(padded) < n).astype(x.dtype).reshape(-1, block)

    def add(total, chunk):
        U, first, square = total
        points, real = chunk
        mean = a * (points @ W.T) / jnp.sqrt(jnp.asarray(d, x.dtype))
        C, second = hermite_coefficients(activation, mean, scale, orders)
        C = C * real[None, :, None]
        power = jnp.ones_like(R)
        for k in range(orders + 1):
            U = U + power * lower_product(C[k])
            power = power * R
        return (U, first + jnp.sum(C[1], 0), square + real @ second), None

    zero = (jnp.zeros((p, p), x.dtype), jnp.zeros(p, x.dtype), jnp.zeros(p, x.dtype))
    (U, first, square), _ = jax.lax.scan(add, zero, (points, real))
    diagonal = jnp.arange(p)
    U = (U / n).at[diagonal, diagonal].set(square / n)
    return Gram(U, first[:, None] / n * unit, jnp.ones((), x.dtype))


def hermite_coefficients(activation, mean, scale, orders: int) -> tuple[Any, Any]:
    """C_k for k = 0..orders, shape (orders+1, points, p), and E ϱ², shape (points, p).

    Without kinks by a uniform trapezoid rule in g; with kinks by Gauss-Legendre panels between
    the places where the preactivation meets them. Points go in small groups: the nodes of all
    would not fit in memory.
    """
    kinks = tuple(activation.kinks)
    nodes, weights = _rule(kinks, mean.dtype)

    def of_one_point(mean):
        if kinks:
            meets = (jnp.asarray(kinks, mean.dtype)[:, None] - mean[None]) / scale[None]
            ends = jnp.full((1, mean.shape[0]), REACH, mean.dtype)
            edges = jnp.concatenate([-ends, jnp.clip(meets, -REACH, REACH), ends])
            half = (edges[1:] - edges[:-1]) / 2
            middle = (edges[1:] + edges[:-1]) / 2
            shape = (-1, mean.shape[0])
            g = (middle[:, None] + half[:, None] * nodes[None, :, None]).reshape(shape)
            w = (half[:, None] * weights[None, :, None]).reshape(shape)
            w = w * jnp.exp(-g * g / 2) / math.sqrt(2 * math.pi)
        else:
            g, w = nodes[:, None], weights[:, None]
        f = activation(mean[None] + scale[None] * g)
        weighted = w * f
        below, current = jnp.zeros_like(g), jnp.ones_like(g)  # He_{k-1}, He_k over √k!
        coefficients = []
        for k in range(orders + 1):
            coefficients.append(jnp.sum(weighted * current, 0))
            above = (g * current - math.sqrt(k) * below) / math.sqrt(k + 1)
            below, current = current, above
        return jnp.stack(coefficients), jnp.sum(weighted * f, 0)

    C, square = jax.lax.map(of_one_point, mean)
    return jnp.moveaxis(C, 0, 1), square


def _rule(kinks, dtype):
    if kinks:
        nodes, weights = np.polynomial.legendre.leggauss(PANEL_NODES)
    else:
        nodes = np.arange(-REACH, REACH + STEP / 2, STEP)
        weights = STEP * np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)
    return jnp.asarray(nodes, dtype), jnp.asarray(weights, dtype)
