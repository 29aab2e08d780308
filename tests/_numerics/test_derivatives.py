"""Derivatives at the edges of guards, and those that do not exist."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm._numerics.derivatives import clipped, fixed, made_once, unknown


@pytest.mark.parametrize("x", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_a_clip_keeps_the_derivative(x):
    """At its ends, where a plain one has half of it, and beyond."""
    for derivative in (jax.jacfwd, jax.jacrev):
        assert float(derivative(lambda x: clipped(x, 0.0, 1.0))(x)) == 1
    assert float(clipped(jnp.asarray(x), 0.0, 1.0)) == np.clip(x, 0, 1)


def test_a_condition_has_no_derivative_and_spoils_none():
    for derivative in (jax.jacfwd, jax.jacrev):
        slopes = derivative(lambda v: v[0] * fixed(v[1]))(jnp.ones(2))
        assert slopes[0] == 1 and np.isnan(slopes[1])
        assert np.isnan(derivative(unknown)(1.0))


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
    """XLA does not look into the condition: if it did, Hessians would compile slowly again."""

    def entries(v):
        slopes = jax.jacfwd(jax.grad(lambda v: jnp.sum(jnp.sin(made_once(v)) ** 2)))(v)
        return [slopes[i, j] for i in range(3) for j in range(3)]

    program = jax.jit(entries).lower(jnp.ones(3)).compile().as_text()
    assert " conditional(" in program
