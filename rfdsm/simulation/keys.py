"""Random keys that depend on what is simulated, not on what is simulated beside it."""

import zlib

import jax
import numpy as np
from jaxtyping import Array


def key_of(seed: int, d: int, *numbers: float) -> Array:
    """A key that depends on the seed, d and the numbers only."""
    marker = zlib.crc32(np.asarray(numbers, "<f8").tobytes())
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), d), marker)
