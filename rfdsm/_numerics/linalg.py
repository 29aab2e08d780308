"""Linear algebra as a CPU does it best: symmetric products, a positive definite inverse.

XLA hands Cholesky to LAPACK, whose threads wait for each other: beside any other running
program that takes twenty times its time. Here all is matrix products and elementwise.
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact
from threadpoolctl import threadpool_limits

BLOCK = 32  # pivots swept at once; the best of 16 to 128 at p = 160, 400 and 1000
TILE, STRIPS = 256, 8  # rows of a symmetric product's tiles, if these are not more than 8 by 8


@jax.custom_jvp
def inverse(A: Inexact[Array, "p p"]) -> Inexact[Array, "p p"]:
    r"""A^{-1} of a symmetric positive definite A, by block sweeps; 2p³ operations.

    Complex symmetric matrices that a factor e^{iφ} makes positive definite in their real part
    are as good: their Schur complements are of that kind too.

    A sweep of the block k turns [[A_kk, A_kr], [A_rk, A_rr]] into
    [[-A_kk^{-1}, A_kk^{-1} A_kr], [., A_rr - A_rk A_kk^{-1} A_kr]]; all of them leave -A^{-1}.
    The pivots are Schur complements, positive definite: no pivoting is needed. The error is
    rounding times the condition number of A scaled to a diagonal of ones, so give A in a
    basis in which it is nearly diagonal.

    Derivative: -A^{-1} dA A^{-1}.
    """
    scale = jax.lax.rsqrt(jnp.diagonal(A))
    scale = scale[:, None] * scale[None, :]
    return scale * _swept(scale * A, BLOCK)


@inverse.defjvp
def _derivative(primals, tangents):
    Q = inverse(*primals)
    return Q, -product(Q, product(tangents[0], Q))


def product(left: Array, right: Array) -> Array:
    """The matrix product in full precision on every device."""
    return jnp.matmul(left, right, precision="highest")


def lower_product(F: Float[Array, "p rows"]) -> Float[Array, "p p"]:
    """F F^T, of which only the lower triangle is to be read."""
    return from_lower_tiles(lower_tiles(F), len(F))


def lower_tiles(F: Float[Array, "p rows"]) -> list[Float[Array, "a b"]]:
    """F F^T in tiles on and below the diagonal, row by row of them: to be added up as such.

    XLA has a symmetric rank-k update on CUDA only, of which the lower triangle is to be read.
    On CPU each tile is a product, and those above the diagonal, almost half, are not made.
    """
    if jax.default_backend() != "cpu":
        zero = jnp.zeros((len(F), len(F)), F.dtype)
        with jax.default_matmul_precision("highest"):
            return [jax.lax.linalg.symmetric_product(F, zero)]
    strips = jnp.split(F, _edges(len(F))[1:-1])
    return [product(a, b.T) for i, a in enumerate(strips) for b in strips[: i + 1]]


def from_lower_tiles(tiles: Iterable[Float[Array, "a b"]], p: int) -> Float[Array, "p p"]:
    """The matrix of `lower_tiles`, 0 in the tiles above the diagonal."""
    edges, tiles = _edges(p), list(tiles)
    if len(tiles) == 1:
        return tiles[0]
    A = jnp.zeros((p, p), tiles[0].dtype)
    corners = ((a, b) for i, a in enumerate(edges[:-1]) for b in edges[: i + 1])
    for tile, corner in zip(tiles, corners, strict=True):
        A = jax.lax.dynamic_update_slice(A, tile, corner)
    return A


def _edges(p: int) -> list[int]:
    strips = min(STRIPS, -(-p // TILE))
    return [p * k // strips for k in range(strips + 1)]


def one_thread():
    """A context in which NumPy's BLAS and LAPACK keep to one thread.

    Their threads wait for each other by spinning: ten times slower where other programs run.
    """
    return threadpool_limits(1)


def stacked(trees: Iterable[Any]) -> Any:
    """Trees of arrays as one of NumPy arrays, with the axis (trees,) in front."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _swept(A, block):
    size = len(A)
    block = min(block, size)
    blocks = -(-size // block)
    pad = blocks * block - size
    A = jnp.pad(A, ((0, pad), (0, pad)))
    A += jnp.diag(jnp.pad(jnp.zeros(size, A.dtype), (0, pad), constant_values=1))

    def sweep(k, A):
        start = k * block
        rows = jax.lax.dynamic_slice(A, (start, 0), (block, len(A)))
        pivot = jax.lax.dynamic_slice(rows, (0, start), (block, block))
        inverted = 1 / pivot if block == 1 else _swept(pivot, 1)
        scaled = product(inverted, rows)
        # With a 0 for the pivot the product leaves the block's own rows and columns alone.
        rest = jax.lax.dynamic_update_slice(rows, jnp.zeros_like(pivot), (0, start))
        A = A - product(rest.T, scaled)
        scaled = jax.lax.dynamic_update_slice(scaled, -inverted, (0, start))
        A = jax.lax.dynamic_update_slice(A, scaled, (start, 0))
        return jax.lax.dynamic_update_slice(A, scaled.T, (0, start))

    return -jax.lax.fori_loop(0, blocks, sweep, A)[:size, :size]
