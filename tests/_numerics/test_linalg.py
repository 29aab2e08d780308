"""The inverse by block sweeps, and its derivative; symmetric products."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm._numerics.linalg import (
    from_lower_tiles,
    inverse,
    lower_product,
    lower_tiles,
    stacked,
)


@pytest.mark.parametrize("size", [1, 5, 32, 70])
@pytest.mark.parametrize("turn", [0.0, 1.0])
def test_the_inverse(size, turn):
    rng = np.random.default_rng(size)
    F = rng.normal(size=(size, 2 * size))
    A = jnp.asarray((F @ F.T / size + np.eye(size)) * (np.exp(1j * turn) if turn else 1.0))
    np.testing.assert_allclose(inverse(A) @ A, np.eye(size), atol=1e-11)
    change = jnp.asarray(rng.normal(size=(size, size))).astype(A.dtype)
    change = change + change.T
    _, slope = jax.jvp(inverse, (A,), (change,))
    np.testing.assert_allclose(slope, -np.linalg.inv(A) @ change @ np.linalg.inv(A), atol=1e-9)


def test_stacked_trees():
    found = stacked([{"x": 1.0}, {"x": 2.0}])
    np.testing.assert_array_equal(found["x"], [1, 2])


@pytest.mark.parametrize("p", [1, 37, 257, 300])
def test_lower_product(p):
    F = np.random.default_rng(0).normal(size=(p, 20))
    np.testing.assert_allclose(
        np.tril(lower_product(jnp.asarray(F))), np.tril(F @ F.T), atol=1e-13
    )


@pytest.mark.parametrize("p", [1, 257, 1000])
def test_lower_tiles_add_up(p):
    """Tiles of blocks, added up and put together, are the product of all."""
    F = np.random.default_rng(1).normal(size=(p, 30))
    blocks = (lower_tiles(jnp.asarray(F[:, k : k + 10])) for k in (0, 10, 20))
    total = [sum(each) for each in zip(*blocks, strict=True)]
    np.testing.assert_allclose(
        np.tril(from_lower_tiles(total, p)), np.tril(F @ F.T), atol=1e-12
    )


def test_an_accelerator_has_one_tile(monkeypatch):
    """The rank-k update that CUDA has, which is a plain product elsewhere."""
    monkeypatch.setattr(jax, "default_backend", lambda: "cuda")
    F = np.random.default_rng(2).normal(size=(300, 7))
    (tile,) = lower_tiles(jnp.asarray(F))
    np.testing.assert_allclose(np.tril(tile), np.tril(F @ F.T), atol=1e-13)
