"""Blocks of noised points: what a network is fed."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.linalg import product
from ..ingredients.targets import Denoising

BLOCK_ROWS = 4096  # points whose features are held at a time


def noised(key: Array, x: Float[Array, "rows d"], denoising: Denoising):
    """(y, τ) with one fresh noise for each row of x."""
    y, z = denoising.noising(key, x)
    return y, denoising.target(x, z)


def preactivations(W: Float[Array, "p d"], y: Float[Array, "rows d"]) -> Float[Array, "p rows"]:
    """W y/√d, a column for each point, entries O(1).

    Columns, because XLA on CPU multiplies twice as fast by matrices that it need not
    transpose on the left, and F F^T is where the time goes.
    """
    return product(W, y.T) / jnp.sqrt(jnp.asarray(W.shape[1], W.dtype))


def stream(add: Callable[[Any, Any, int], Any], total: Any, count: int, block: int) -> Any:
    """`total = add(total, start, size)` over blocks of range(count), the last one smaller."""
    whole, rest = divmod(count, block)
    if whole:
        starts = block * jnp.arange(whole)
        total, _ = jax.lax.scan(lambda t, s: (add(t, s, block), None), total, starts)
    return add(total, whole * block, rest) if rest else total
