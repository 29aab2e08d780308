"""Two networks on other data: what their agreement says, its limits and derivatives."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import RFDSM, NotConverged, reproducibility

MODEL = RFDSM(psi_n=2, psi_p=3, m=2, t=0.2, lam=0.03)


@jax.jit
@jax.vmap
def at(psi_n, psi_p, u, lam):
    model = MODEL.replace(psi_n=psi_n, psi_p=psi_p, lam=lam)
    return reproducibility(model, inverse_m=u)


def rows(*numbers):
    return jax.tree.map(np.asarray, at(*jnp.array(numbers).T))


def test_it_is_the_variance_relative_to_the_square():
    found = reproducibility(MODEL)
    square = MODEL.overlap().fresh
    parts = MODEL.variance_parts(output=True)
    own = 1 - float(parts.total / square)
    assert float(found.own_features.correlation) == pytest.approx(own, rel=1e-11)
    shared = own + float(parts.features / square)  # S(W) - S() is what sharing W adds
    assert float(found.shared_features.correlation) == pytest.approx(shared, rel=1e-11)
    for each in found:
        squared = 2 * (1 - float(each.correlation))
        assert float(each.distance) == pytest.approx(math.sqrt(squared), rel=1e-12)
    # docs/theory.md section 15, to its four digits
    np.testing.assert_allclose(own, 0.3619 / 0.6899, atol=2e-4)
    np.testing.assert_allclose(shared, 0.3760 / 0.6899, atol=2e-4)


def test_limits():
    """Infinitely many points leave W alone, many features at lam/psi_p fixed leave nothing of
    it; and networks that a huge ridge keeps from learning agree, which says nothing of them."""
    found = rows((1e7, 3.0, 0.5, 0.03), (2.0, 1e7, 0.5, 1e5), (2.0, 3.0, 0.5, 1e-3))
    shared, own = (each.correlation for each in found)
    assert shared[0] > 1 - 1e-5 and own[0] < 0.99
    np.testing.assert_allclose(shared[1], own[1], atol=1e-5)
    assert np.all(own <= shared + 1e-12)
    hardly = rows((2.0, 1e3, 0.0, 1e6))
    model = MODEL.replace(psi_p=1e3, m=math.inf, lam=1e6)
    null = float(model.baselines().null)
    assert hardly.shared_features.correlation[0] > 0.5
    assert model.asymptotics().test_loss > 0.9 * null


def test_a_row_that_is_not_solved_is_nan_and_one_model_raises():
    found = rows((2.0, 3.0, 0.5, 0.03), (2.0, 3.0, 0.5, np.nan))
    for each in jax.tree.leaves(found):
        np.testing.assert_array_equal(np.isnan(each), [False, True])
    with pytest.raises(NotConverged):
        reproducibility(MODEL.replace(lam=1e200))


def test_derivatives():
    """Forward and reverse, in psi_n, psi_p, 1/m (at m = ∞ too) and lam."""

    def distances(numbers):
        found = at(*(x[None] for x in numbers))
        return jnp.stack([each.distance[0] for each in found])

    for u in (0.5, 0.0):
        here = jnp.array([2.0, 3.0, u, 0.03])
        forward, reverse = jax.jacfwd(distances)(here), jax.jacrev(distances)(here)
        np.testing.assert_allclose(forward, reverse, rtol=1e-9)
        for i in range(4):
            step = (
                jnp.zeros(4).at[i].set(1e-4 * max(float(here[i]), 1.0) * (1 if i < 3 else 0.1))
            )
            up = distances(here + step)
            if i == 2 and u == 0.0:
                slope = (4 * up - distances(here + 2 * step) - 3 * distances(here)) / 2e-4
            else:
                slope = (up - distances(here - step)) / (2 * step[i])
            np.testing.assert_allclose(forward[:, i], slope, rtol=1e-5)
