r"""The two matrices of the fit, U = (1/N) Σ f f^T and V = (1/N) Σ f z^T, without the pairs.

For finite m they are accumulated in a stream over blocks of pairs: memory is p² plus one
block of features. For m = ∞ the average over noise is exact (`mehler`).
"""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._numerics.linalg import product
from .blocks import BLOCK_ROWS, noised, stream

BLOCKS = 4  # of a symmetric product of more than
SMALL = 256  # rows


class Gram(eqx.Module):
    """What a fit reads: the lower triangle of U, V, and the mean of |z|²/d over the pairs."""

    U: Float[Array, "p p"]
    V: Float[Array, "p d"]
    noise: Float[Array, ""]


def lower_product(F: Float[Array, "p rows"]) -> Float[Array, "p p"]:
    """F F^T, of which only the lower triangle is to be read.

    XLA has no symmetric rank-k update: of large products the blocks above the diagonal are
    left 0, which saves a third of the time.
    """
    p = F.shape[0]
    if p <= SMALL:
        return product(F, F.T)
    edges = np.linspace(0, p, BLOCKS + 1).astype(int)
    strips = [
        jnp.pad(product(F[a:b], F[:b].T), ((0, 0), (0, int(p - b))))
        for a, b in itertools.pairwise(edges)
    ]
    return jnp.concatenate(strips)


def pairs(key, features: Any, x: Float[Array, "n d"], start, size: int, a, h):
    """(f, z) of `size` pairs from number `start` on; pair k is a noise on point k mod n."""
    points = (start + jnp.arange(size)) % x.shape[0]
    key = jax.random.fold_in(key, start)
    y, z = noised(key, x[points], a, h)
    return features.of(jax.random.fold_in(key, 0), y, points), z


def streamed(key, features: Any, x, m: int, a, h) -> Gram:
    """U and V over m noises for each of the n points x, `BLOCK_ROWS` pairs at a time."""
    n, d = x.shape
    p = features.W.shape[0]

    def add(total, start, size):
        f, z = pairs(key, features, x, start, size, a, h)
        block = Gram(lower_product(f), product(f, z), jnp.sum(z * z))
        return jax.tree.map(jnp.add, total, block)

    zero = Gram(jnp.zeros((p, p), x.dtype), jnp.zeros((p, d), x.dtype), jnp.zeros((), x.dtype))
    total = stream(add, zero, n * m, BLOCK_ROWS)
    return Gram(total.U / (n * m), total.V / (n * m), total.noise / (n * m * d))
