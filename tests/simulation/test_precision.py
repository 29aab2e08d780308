"""Mixed precision against double, on the same draws; where it is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm.simulation import blocks

MODEL = rfdsm.RFDSM(psi_n=2.0, psi_p=1.5, m=4, t=0.2, lam=1e-3)
KEY = jax.random.key(0)
X = rfdsm.standardise(np.random.default_rng(0).normal(size=(90, 8)))
SHARED = rfdsm.Ensemble(2, ("points", "noises"))


def test_single_normals_are_the_double_ones_rounded():
    double = jax.random.normal(KEY, (1000, 100))
    assert jnp.array_equal(blocks.normal(KEY, (1000, 100), double.dtype, double.dtype), double)
    single = blocks.normal(KEY, (1000, 100), jnp.float32, double.dtype)
    assert single.dtype == jnp.float32 and np.isfinite(single).all()
    error = np.asarray(single, float) - np.asarray(double)
    assert np.sqrt(np.mean(error**2)) < 3e-5
    assert np.max(np.abs(error[np.abs(double) < 3])) < 1e-4


@pytest.mark.parametrize(
    "changes, how",
    [
        ({}, {}),
        ({"psi_p": 12.0}, {}),  # the form of pairs
        ({"m": jnp.inf}, {}),
        ({}, {"features": "gaussian"}),
        ({"activation": rfdsm.LeakyReLU(0.1), "ensemble": SHARED}, {}),
        ({"data": rfdsm.Samples(X), "target": rfdsm.VelocityTarget()}, {}),
        ({"training": rfdsm.GradientFlow(30.0)}, {}),
        ({"training": rfdsm.GradientDescent(9, 0.2)}, {}),
    ],
    ids=["ridge", "pairs", "m=inf", "surrogate", "ensemble", "samples", "flow", "descent"],
)
def test_the_errors_are_those_of_double(changes, how):
    """Within a tenth of their spread between trials: hundreds of times closer here."""
    model, d = MODEL.replace(**changes), None if "data" in changes else 8
    double = model.simulate(KEY, d, 4, **how)
    mixed = model.simulate(KEY, d, 4, precision="mixed", **how)
    for x, y in zip(jax.tree.leaves(double), jax.tree.leaves(mixed), strict=True):
        assert y.dtype == jnp.float64
        np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
        if np.isfinite(x).all():
            assert 0 < np.max(np.abs(x - y)) < 1e-2 * np.std(x)


def test_a_network_and_an_overlap():
    y = jax.random.normal(KEY, (5, 8))
    double, mixed = (MODEL.fit(KEY, 8, precision=p)(y) for p in ("float64", "mixed"))
    assert mixed.dtype == jnp.float64
    np.testing.assert_allclose(mixed, double, atol=1e-3)
    double, mixed = (
        MODEL.simulate(KEY, 8, networks=2, precision=p) for p in ("float64", "mixed")
    )
    for x, y in zip(jax.tree.leaves(double), jax.tree.leaves(mixed), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4)


def test_the_bound_holds_where_it_is_sharp():
    """A little above the least λ, where U is nearly singular: p = N, and next to no noise."""
    for changes in {"psi_n": 4.0, "psi_p": 4.0, "m": 1}, {"t": 1e-4, "psi_p": 6.0}:
        model, lam = MODEL.replace(**changes), 1e-9
        with pytest.raises(ValueError, match="mixed' rounds U by") as no:
            model.replace(lam=lam).simulate(KEY, 16, precision="mixed")
        assert "\n" not in str(no.value)
        least = float(str(no.value).split("above ")[1].split(",")[0])
        model = model.replace(lam=1.1 * least)
        double, mixed = (model.simulate(KEY, 16, 8, precision=p) for p in ("float64", "mixed"))
        for x, y in zip(jax.tree.leaves(double), jax.tree.leaves(mixed), strict=True):
            assert np.max(np.abs(x - y)) < 0.1 * np.std(x)


@pytest.mark.parametrize("rule", [rfdsm.Ridge(1e-8), rfdsm.GradientFlow(1e9)])
def test_steep_rules_are_refused(rule):
    with pytest.raises(ValueError, match="float64"):
        MODEL.replace(training=rule).fit(KEY, 8, precision="mixed")


def test_other_precisions_are_refused():
    with pytest.raises(ValueError, match="'float64' or 'mixed', got 'half'"):
        MODEL.simulate(KEY, 8, precision="half")
    single = jax.tree.map(lambda x: x.astype(np.float32), MODEL)
    with pytest.raises(ValueError, match="jax_enable_x64"):
        single.simulate(KEY, 8, precision="mixed")
