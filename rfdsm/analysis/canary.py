"""Does this JAX backend compute right numbers? Asked first by the tests and `rfdsm doctor`.

jax 0.10.2 is silently wrong on CPU (jax issue 39103): a jitted, vmapped sum of squares of a
matrix-vector product goes wrong from 16,385 rows in float64. The second check is the form in
which this package would meet that, the loss of a score network over many points.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

ROWS = 40_000  # past every threshold seen: 16,385 rows in float64, 32,769 in float32


class Check(NamedTuple):
    """One check: its name, the largest relative deviation from NumPy, and the verdict."""

    name: str
    deviation: float
    ok: bool


def checks() -> list[Check]:
    """Compare the backend with NumPy on large batches, in the default float dtype."""
    dtype = np.dtype(jnp.result_type(float))
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(3, 3)).astype(dtype)
    rows = rng.normal(size=(ROWS, 3)).astype(dtype)
    got = jax.jit(jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2)))(rows)
    sums = _compare("sum of squares (jax issue 39103)", got, np.sum((rows @ matrix.T) ** 2, 1))

    weights = rng.normal(size=(5, 4)).astype(dtype)
    readout = rng.normal(size=(4, 5)).astype(dtype)
    y, z = (rng.normal(size=(ROWS, 4)).astype(dtype) for _ in range(2))
    got = jax.jit(jax.vmap(lambda y, z: jnp.mean((readout @ jnp.tanh(weights @ y) + z) ** 2)))(
        y, z
    )
    expected = np.mean((np.tanh(y @ weights.T) @ readout.T + z) ** 2, 1)
    return [sums, _compare("losses of a score network", got, expected)]


def _compare(name: str, got, expected: np.ndarray) -> Check:
    deviation = float(np.max(np.abs(np.asarray(got) - expected) / (1 + np.abs(expected))))
    return Check(name, deviation, deviation < 100 * np.finfo(expected.dtype).eps)
