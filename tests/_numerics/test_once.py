"""What is made once: the same numbers, with derivatives of every order in both modes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from rfdsm._numerics.once import made_once, sums


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


def test_what_is_made_once_has_its_derivatives():
    def of_many(v, once):
        x = once({"x": v, "count": jnp.arange(3)})["x"]
        return jnp.sum(x[0] * x**3) + jnp.sin(x[1])

    v = jnp.array([0.4, -1.2, 2.0])
    for first in (jax.jacfwd, jax.jacrev):
        for second in (jax.jacfwd, jax.jacrev):
            found = second(first(lambda v: of_many(v, made_once)))(v)
            np.testing.assert_allclose(found, jax.hessian(lambda v: of_many(v, dict))(v))
    rows = jax.vmap(jax.grad(lambda v: of_many(v, made_once)))(jnp.stack([v, v * jnp.nan]))
    assert np.isfinite(rows[0]).all() and np.isnan(rows[1]).all()


def test_what_is_made_once_is_fused_into_nothing():
    """XLA does not look into the condition: if it did, Hessians would compile slowly again.

    Of a batch, which would run more slowly through one, nothing is left of it.
    """

    def entries(v):
        slopes = jax.jacfwd(jax.grad(lambda v: jnp.sum(jnp.sin(made_once(v)) ** 2)))(v)
        return [slopes[i, j] for i in range(3) for j in range(3)]

    def compiled(function, v):
        return jax.jit(function).lower(v).compile().as_text()

    assert " conditional(" in compiled(entries, jnp.ones(3))
    assert " conditional(" not in compiled(jax.vmap(entries), jnp.ones((4, 3)))
