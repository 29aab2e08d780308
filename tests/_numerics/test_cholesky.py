"""Systems with a positive definite matrix against NumPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm._numerics import cholesky


def system(size, lam, seed=0):
    rng = np.random.default_rng(seed)
    F = rng.normal(size=(size, size))
    return F @ F.T / size + lam * np.eye(size), rng.normal(size=(size, 3))


def lower_of(A):
    """What is read; nothing else is."""
    return jnp.asarray(np.tril(A) + np.triu(np.full_like(A, np.nan), 1))


@pytest.mark.parametrize("size", [1, 7, 64, 65, 129, 300])
@pytest.mark.parametrize("large", [0, cholesky.LARGE])
def test_the_system_is_solved(size, large, monkeypatch):
    monkeypatch.setattr(cholesky, "LARGE", large)
    A, right = system(size, 0.1)
    found = jax.jit(cholesky.solve)(lower_of(A), jnp.asarray(right))
    np.testing.assert_allclose(found, np.linalg.solve(A, right), rtol=1e-10, atol=1e-12)


def test_an_ill_conditioned_one_is_solved_as_well_as_by_lapack():
    A, right = system(200, 1e-12)
    found = cholesky.solve(lower_of(A), jnp.asarray(right))
    factor = np.linalg.cholesky(A)
    peer = np.linalg.solve(factor.T, np.linalg.solve(factor, right))
    residual, of_peer = (np.abs(A @ x - right).max() for x in (found, peer))
    assert residual < 4 * of_peer


def test_a_batch_and_its_derivatives():
    both = [system(70, 0.1, seed) for seed in range(2)]
    A, right = (np.stack(each) for each in zip(*both, strict=True))
    lower = jnp.stack([lower_of(each) for each in A])
    found = jax.vmap(cholesky.solve)(lower, jnp.asarray(right))
    np.testing.assert_allclose(found, np.linalg.solve(A, right), rtol=1e-10, atol=1e-12)

    def trace(lam):
        return jnp.sum(right[0] * cholesky.solve(A[0] + lam * jnp.eye(70), right[0]))

    twice = np.linalg.solve(A[0], right[0])
    for derivative in (jax.jacfwd, jax.jacrev):
        np.testing.assert_allclose(derivative(trace)(0.0), -np.sum(twice**2), rtol=1e-10)
