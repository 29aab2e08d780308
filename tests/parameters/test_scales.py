"""Scales: there and back, spacing, and the derivative at 1/m = 0."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm.parameters.scales import FROM_ZERO, INVERSE, LINEAR, LOG

CASES = [
    (LOG, 1e-3, 10.0, 0.2),
    (LINEAR, -1.0, 3.0, 0.2),
    (FROM_ZERO, 0.0, 5.0, 1e-4),
    (INVERSE, 1.0, math.inf, 7.0),
    (INVERSE, 2.0, 64.0, 7.0),
]


@pytest.mark.parametrize("declared, low, high, x", CASES)
def test_there_and_back(declared, low, high, x):
    scale = declared.between(low, high)
    ends = scale.places(low, high)
    z = scale.to_unit(scale.place(x), *ends)
    assert 0 < z < 1
    assert float(scale.number(scale.from_unit(z, *ends))) == pytest.approx(x, rel=1e-12)
    for z, end in ((0.0, ends[0]), (1.0, ends[1])):
        assert float(scale.from_unit(z, *ends)) == pytest.approx(end, rel=1e-14, abs=1e-15)
    assert scale.numbers(*ends) == pytest.approx((low, high))
    grid = scale.grid(low, high, 9)
    assert np.all(np.diff(grid) > 0) and (grid[0], grid[-1]) == pytest.approx(ends)


def test_a_scale_follows_its_bounds():
    assert LOG.between(0.0, 1.0) is FROM_ZERO and LOG.between(-1.0, 1.0) is LINEAR
    assert LINEAR.between(1.0, 2.0) is LINEAR and LOG.between(1.0, 2.0) is LOG


def test_the_derivative_at_infinity():
    """d(1/m)/du = 1 at u = 0 too, in both modes."""

    def back(u):
        return INVERSE.place(INVERSE.number(u))

    for derivative in (jax.jacfwd(back), jax.jacrev(back)):
        assert float(derivative(jnp.zeros(()))) == pytest.approx(1, rel=1e-15)
    assert INVERSE.number(0.0) == math.inf
