"""Sums in one pass: the sums, with derivatives of every order in both modes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from rfdsm._numerics.sums import sums


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("dtype", [float, complex])
def test_they_are_the_sums(size, dtype):
    rng = np.random.default_rng(0)
    arrays = [jnp.asarray(rng.normal(size=(3, size)), dtype) for _ in range(4)]
    if dtype is complex:
        arrays = [array * np.exp(0.3j) for array in arrays]
    found = jax.jit(jax.vmap(sums))(*arrays)
    for total, array in zip(found, arrays, strict=True):
        assert total.dtype == array.dtype
        np.testing.assert_allclose(total, np.sum(array, axis=1), rtol=1e-15, atol=1e-15)


def test_their_derivatives_are_those_of_sums():
    def of_sums(x):
        first, second = sums(x, x**3)
        return first * jnp.sin(second)

    x = jnp.array([0.3, -0.7, 1.1])
    check_grads(of_sums, (x,), order=2, modes=("fwd", "rev"), rtol=1e-4)
    expected = jax.hessian(lambda x: jnp.sum(x) * jnp.sin(jnp.sum(x**3)))(x)
    np.testing.assert_allclose(jax.hessian(of_sums)(x), expected, rtol=1e-13)
