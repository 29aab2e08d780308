"""Blocks of noised points: what a network is fed."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._numerics.linalg import product
from .._numerics.promotion import cast
from ..ingredients.targets import Denoising

BLOCK_ROWS = 4096  # points whose noises are drawn at a time
FEATURE_ROWS = 1024  # points whose features are held at a time: they stay in the cache


def normal(key: Array, shape: Sequence[int], dtype: Any, drawn: Any) -> Array:
    """Standard normal numbers of precision `dtype`: those of precision `drawn`, rounded.

    Rounded before they are made normal, where that is cheap: uniform ones are rounded and kept
    off the ends, which moves a number by 2e-5 in root mean square.
    """
    if dtype == drawn:
        return jax.random.normal(key, shape, dtype)
    lowest = float(np.nextafter(np.asarray(-1, drawn), 0))  # as jax.random.normal has it
    uniform = jax.random.uniform(key, shape, drawn, lowest, 1.0)
    end = 1 - jnp.finfo(dtype).epsneg
    return np.sqrt(np.asarray(2, dtype)) * jax.lax.erf_inv(
        jnp.clip(uniform.astype(dtype), -end, end)
    )


def noised(key: Array, x: Float[Array, "rows d"], denoising: Denoising):
    """(y, τ) with one fresh noise for each row of x; both in its precision."""
    z = normal(key, x.shape, x.dtype, denoising.noising.h.dtype)
    denoising = cast(denoising, x.dtype)
    return denoising.noising.of(x, z), denoising.target(x, z)


def preactivations(W: Float[Array, "p d"], y: Float[Array, "rows d"]) -> Float[Array, "p rows"]:
    """W y/√d, a column for each point, entries O(1).

    Columns, because XLA on CPU multiplies twice as fast by matrices that it need not
    transpose on the left, and F F^T is where the time goes.
    """
    return product(W, y.T) / jnp.sqrt(jnp.asarray(W.shape[1], W.dtype))


def stream(add: Callable[[Any, Any, int], Any], total: Any, count: int, block: int) -> Any:
    """`total = add(total, start, size)` over blocks of range(count), the last one smaller."""
    whole, rest = divmod(count, block)
    if whole == 1:
        total = add(total, 0, block)
    elif whole:
        starts = block * jnp.arange(whole)
        total, _ = jax.lax.scan(lambda t, s: (add(t, s, block), None), total, starts)
    return add(total, whole * block, rest) if rest else total
