"""The network and what it is fed: random weights, features, noised pairs."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def normal(key: Array, shape: tuple[int, ...], dtype) -> Float[Array, " *shape"]:
    """Standard normals, drawn in float32 and widened.

    A resolution of 1e-7 is far below what any average here can see, and five times faster
    than float64 draws, which would take longer than the matrix products.
    """
    return jax.random.normal(key, shape, dtype=jnp.float32).astype(dtype)


def features(activation, W: Float[Array, "p d"], y: Float[Array, "rows d"]):
    """f = ϱ(W y/√d), shape (rows, p), entries O(1)."""
    return activation(y @ W.T / jnp.sqrt(jnp.asarray(W.shape[1], W.dtype)))
