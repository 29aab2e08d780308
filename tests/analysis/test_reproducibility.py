"""Two networks on other data: what their agreement says, its limits and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import RFDSM, NotConverged, Samples, measure, reproducibility, standardise

MODEL = RFDSM(psi_n=2, psi_p=3, m=2, t=0.2, lam=0.03)


@jax.jit
@jax.vmap
def solved(psi_n, psi_p, u, lam):
    """With the output's variance and E|o|² that it is relative to, and the test loss."""
    model = MODEL.replace(psi_n=psi_n, psi_p=psi_p, lam=lam)
    parts = model.variance_parts(output=True, inverse_m=u)
    loss = model.solve(inverse_m=u).errors.test_loss
    return reproducibility(model, inverse_m=u), parts, model.overlap(inverse_m=u).fresh, loss


@pytest.fixture(scope="module")
def rows():
    """`MODEL`, many points, many features, hardly trained, and one that is not solved."""
    numbers = [
        (2.0, 3.0, 0.5, 0.03),
        (1e7, 3.0, 0.5, 0.03),
        (2.0, 1e7, 0.5, 1e5),
        (2.0, 1e3, 0.0, 1e6),
        (2.0, 3.0, 0.5, np.nan),
    ]
    return jax.tree.map(np.asarray, solved(*jnp.array(numbers).T))


def test_it_is_the_variance_relative_to_the_square(rows):
    found, parts, square, _ = rows
    own = 1 - parts.total / square
    shared = own + parts.features / square  # S(W) - S() is what sharing W adds
    np.testing.assert_allclose(found.own_features.correlation, own, atol=1e-11)
    np.testing.assert_allclose(found.shared_features.correlation, shared, atol=1e-11)
    for each in found:
        np.testing.assert_allclose(each.distance**2, 2 * (1 - each.correlation), atol=1e-12)
    # the first setting of docs/theory.md section 15, to its four digits
    np.testing.assert_allclose(
        [own[0], shared[0]], np.array([0.3619, 0.3760]) / 0.6899, atol=2e-4
    )


def test_limits(rows):
    """Infinitely many points leave W alone, and many features at lam/psi_p fixed nothing of it.

    Networks that a large ridge keeps from learning agree, which says nothing for them.
    """
    found, _, _, losses = rows
    shared, own = (each.correlation for each in found)
    assert shared[1] > 1 - 1e-5 and own[1] < 0.99
    np.testing.assert_allclose(shared[2], own[2], atol=1e-5)
    assert np.all(own[:-1] <= shared[:-1] + 1e-12)
    assert own[3] > 0.9 and own[3] > 1.5 * own[0]
    assert losses[3] > 0.9 * float(MODEL.baselines().null)


def test_a_row_that_is_not_solved_is_nan(rows):
    for each in jax.tree.leaves(rows[0]):
        np.testing.assert_array_equal(np.isnan(each), [False] * 4 + [True])


@pytest.mark.slow
def test_one_model_that_is_not_solved_raises():
    with pytest.raises(NotConverged):
        reproducibility(MODEL.replace(lam=1e200))


@pytest.mark.slow
def test_derivatives():
    """Forward and reverse, in psi_n, psi_p, 1/m (at m = ∞ too) and lam."""

    @jax.jit
    def distances(numbers):
        model = MODEL.replace(psi_n=numbers[0], psi_p=numbers[1], lam=numbers[3])
        found = reproducibility(model, inverse_m=numbers[2])
        return jnp.stack([each.distance for each in found])

    for u in (0.5, 0.0):
        here = jnp.array([2.0, 3.0, u, 0.03])
        forward, reverse = jax.jacfwd(distances)(here), jax.jacrev(distances)(here)
        np.testing.assert_allclose(forward, reverse, rtol=1e-9)
        for i, step in enumerate(np.diag([1e-4, 1e-4, 1e-4, 1e-5])):
            up, far = distances(here + step), distances(here + 2 * step)
            if i == 2 and u == 0.0:  # 1/m has one side
                slope = (4 * up - far - 3 * distances(here)) / 2e-4
            else:
                slope = (up - distances(here - step)) / (2 * step[i])
            np.testing.assert_allclose(forward[:, i], slope, rtol=1e-5)


@pytest.mark.slow
def test_measured_moments_of_two_networks_tell_of_both():
    """Those of one W, of networks that share it; Gaussian points obey the Gaussian theory."""
    X = standardise(np.random.default_rng(0).normal(size=(4000, 24)))
    model = MODEL.replace(data=Samples(X))
    cross = measure(model, jax.random.key(1), cross=True, warned=False, report=lambda at: None)
    both = reproducibility(model, moments=cross)
    one = reproducibility(model, moments=cross.left)
    np.testing.assert_allclose(one.shared_features, both.shared_features, rtol=1e-9)
    assert np.all(np.isnan(one.own_features))
    own = model.overlap(share=(), moments=cross).correlation
    assert float(both.own_features.correlation) == pytest.approx(float(own), rel=1e-9)
    np.testing.assert_allclose(both, reproducibility(model), atol=0.05)
