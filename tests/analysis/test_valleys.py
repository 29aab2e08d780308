"""Valleys of errors: against brute force, and by the sign of other derivatives."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import RFDSM
from rfdsm.analysis import trace_valleys
from rfdsm.analysis.valleys import BLOCK, _branches

MODEL = RFDSM(psi_n=8, psi_p=16, m=4, t=0.1, lam=1e-3)
SAMPLES = np.geomspace(1.0, 60.0, 5)
WIDTHS = np.geomspace(0.05, 200, 31)


@jax.jit
def losses(psi_n, psi_p, u):
    """(test loss, memorization loss) at arrays of ratios and 1/m."""

    def at(psi_n, psi_p, u):
        errors = MODEL.replace(psi_n=psi_n, psi_p=psi_p).solve(inverse_m=u).errors
        return errors.test_loss, errors.memorization_loss

    return jax.vmap(at)(*jnp.broadcast_arrays(psi_n, psi_p, u))


def brute(function, low, high):
    """The place of the least value between two ends, by ever finer grids."""
    for _ in range(4):
        x = np.geomspace(low, high, BLOCK)
        i = int(np.argmin(np.asarray(function(jnp.asarray(x)))))
        low, high = x[max(i - 1, 0)], x[min(i + 1, BLOCK - 1)]
    return x[i]


@pytest.mark.slow
def test_a_valley_is_where_brute_force_finds_it():
    """And far nearer: the slope turns within 1e-8 of it."""
    found = trace_valleys(MODEL, {"psi_p": WIDTHS}, {"psi_n": SAMPLES})
    assert found.x.shape == found.error.shape == (1, len(SAMPLES))
    assert np.isnan(found.x[0, 0]) and np.all(np.isfinite(found.x[0, 1:]))
    slope = jax.jit(
        jax.vmap(
            jax.grad(lambda x, n: MODEL.replace(psi_p=x, psi_n=n).solve().errors.test_loss)
        )
    )
    for psi_n, x, error in zip(SAMPLES[1:], found.x[0, 1:], found.error[0, 1:], strict=True):
        full = jnp.full(BLOCK, psi_n), jnp.full(BLOCK, 0.25)
        # the valley before the peak: the largest width is past it
        near = brute(lambda y, full=full: losses(full[0], y, full[1])[0], 0.05, psi_n)
        assert x == pytest.approx(near, rel=1e-5)
        assert error == pytest.approx(
            float(losses(psi_n, jnp.array([x]), 0.25)[0][0]), rel=1e-12
        )
    around = np.concatenate([found.x[0, 1:] * (1 - 1e-8), found.x[0, 1:] * (1 + 1e-8)])
    before, after = np.split(np.asarray(slope(around, np.tile(SAMPLES[1:], 2))), 2)
    assert np.all(before < 0) and np.all(after > 0)


def test_several_valleys_keep_their_places():
    """On both sides of n m = d; the grid does not decide where they are."""
    model, rows = MODEL.replace(m=1), np.geomspace(2.0, 100, 9)
    grids = np.geomspace(0.05, 60, 31), np.geomspace(0.04, 70, 42)
    coarse, fine = (
        trace_valleys(model, {"psi_n": x}, {"psi_p": rows}, "memorization_loss") for x in grids
    )
    left, right = coarse.x
    assert np.all(np.diff(left) > 0) and np.all(left < 1) and np.isfinite(left).all()
    kept = np.isfinite(right)
    assert kept.sum() > 5 and np.all(np.diff(right[kept]) > 0) and np.all(right[kept] > 1)
    same = np.isfinite(coarse.x)
    np.testing.assert_allclose(coarse.x[same], fine.x[same], rtol=1e-8)


def test_m_is_searched_in_its_inverse():
    """Up to infinity, which is an end: falling up to there is no valley."""
    noises = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, math.inf]
    u, counts = np.linspace(0, 1, 4 * BLOCK + 1), []
    for psi_p in (2.0, 8.0, 40.0):
        model = MODEL.replace(psi_p=psi_p)
        found = trace_valleys(model, {"m": noises}, error="memorization_loss")
        loss = np.asarray(losses(8.0, psi_p, jnp.asarray(u))[1])
        inner = np.flatnonzero((loss[1:-1] < loss[:-2]) & (loss[1:-1] < loss[2:])) + 1
        assert found.x.shape == (len(inner), 1)
        np.testing.assert_allclose(1 / found.x[:, 0], u[inner], atol=u[1])
        counts.append(len(inner))
    assert counts[0] == 0 < counts[-1]


def test_rows_that_cannot_be_solved_have_no_valley():
    """Nor spoil their neighbours."""
    rows = np.array([8.0, math.nan, 9.0])
    found = trace_valleys(MODEL, {"psi_p": WIDTHS}, {"psi_n": rows})
    np.testing.assert_array_equal(np.isfinite(found.x).sum(axis=0), [1, 0, 1])
    none = trace_valleys(MODEL, {"psi_p": WIDTHS[-5:]}, {"psi_n": rows})
    assert none.x.shape == none.error.shape == (0, 3)


def test_branches_go_to_the_nearest_both_ways():
    row = np.array([0, 0, 1, 2, 2, 3])
    z = np.array([0.1, 0.5, 0.52, 0.12, 0.55, 0.9])
    np.testing.assert_array_equal(_branches(row, z, 0.1), [0, 1, 1, 2, 1, 3])


@pytest.mark.parametrize(
    ("along", "over", "error", "words"),
    [
        ({"psi_p": WIDTHS}, None, "loss", "'loss' is no error"),
        ({"psi_p": WIDTHS, "psi_n": SAMPLES}, None, "test_loss", "along one number"),
        ({"psi_q": WIDTHS}, None, "test_loss", "psi_q"),
        ({"psi_p": [2.0, 2.0]}, None, "test_loss", "two or more"),
        ({"psi_p": WIDTHS}, {"psi_n": [1, 2], "m": [1.0]}, "test_loss", "equally many"),
    ],
)
def test_what_has_no_valleys_is_one_line(along, over, error, words):
    with pytest.raises(ValueError, match=words) as caught:
        trace_valleys(MODEL, along, over, error)
    assert "\n" not in str(caught.value)
