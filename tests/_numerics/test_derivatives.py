"""Derivatives at the edges of guards, and those that do not exist."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm._numerics.derivatives import clipped, fixed, unknown


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
