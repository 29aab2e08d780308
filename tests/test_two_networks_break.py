"""What a stranger may give two networks and ensembles: one line, with cause and fix."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

import rfdsm
from rfdsm.asymptotics import require_stable
from rfdsm.ingredients.sharing import Shared

MODEL = rfdsm.RFDSM(psi_n=2, psi_p=3, m=2, t=0.2, lam=0.03)
FLOW = MODEL.replace(training=rfdsm.GradientFlow(2.0))
KEY = jax.random.key(0)


@pytest.mark.parametrize("share", [3, None, [3], np.ones((3, 3)), "", "points,noises"])
def test_what_is_shared_are_names(share):
    refused = "share takes some of features, points, noises, each once, got "
    for of in (
        lambda: MODEL.overlap(share=share),
        lambda: rfdsm.Ensemble(2, share),
        lambda: MODEL.simulate(KEY, 12, networks=2, share=share),
    ):
        with pytest.raises(ValueError, match=refused) as error:
            of()
        assert "\n" not in str(error.value)


def test_noises_go_with_their_points_however_told():
    with pytest.raises(ValueError, match="share points too"):
        MODEL.overlap(share=Shared(noises=True))


@pytest.mark.parametrize("other", ["points", 0, ("points",), rfdsm.Ridge(0.1)])
def test_the_second_network_is_a_model(other):
    for of in (
        lambda: MODEL.overlap(other),
        lambda: FLOW.overlap(other, taus=[1.0]),
        lambda: MODEL.variance_parts(other),
        lambda: MODEL.simulate(KEY, 12, networks=2, other=other),
        lambda: FLOW.simulate_trajectory(KEY, 12, 1, [1.0], networks=2, other=other),
    ):
        with pytest.raises(TypeError, match=r"other must be the RFDSM .* got <class .*share="):
            of()


@pytest.mark.parametrize("moments", ["x", 3, np.eye(3)])
def test_moments_are_measured(moments):
    for of in (
        MODEL.solve,
        MODEL.overlap,
        MODEL.variance_parts,
        lambda moments: rfdsm.reproducibility(MODEL, moments=moments),
    ):
        with pytest.raises(TypeError, match=r"moments must be those of rfdsm.measure\(...\)"):
            of(moments=moments)


@pytest.mark.slow
def test_of_two_rules_the_one_that_diverges_is_told():
    stable, diverging = (
        MODEL.replace(training=rfdsm.GradientDescent(3, rate)) for rate in (0.1, 1e3)
    )
    found = SimpleNamespace(status=rfdsm.Status.unstable_rate)
    for models in ((stable, diverging), (diverging, stable), (MODEL, diverging)):
        with pytest.raises(ValueError, match=r"learning_rate = 1000 diverges: the largest"):
            require_stable(found, *(model._problem() for model in models))


def test_only_a_ridge_implies_one():
    with pytest.raises(ValueError, match=r"trained by GradientFlow: take training=rfdsm.Ridge"):
        FLOW.implied_ridge()


def test_a_second_width_that_leaves_no_features():
    X = np.random.default_rng(0).normal(size=(400, 12))
    model = MODEL.replace(data=rfdsm.Samples(rfdsm.standardise(X)))
    with pytest.raises(ValueError, match=r"psi_p = 0\.01 at d = 12 leaves no features"):
        rfdsm.measure(model, KEY, cross=model.replace(psi_p=0.01))


def test_training_sets_that_are_too_large_together():
    data = rfdsm.Samples(rfdsm.standardise(np.random.default_rng(0).normal(size=(400, 12))))
    refused = "2 disjoint training sets take 480 points of 400 .*: lower psi_n below 16.67"
    with pytest.raises(ValueError, match=refused):
        MODEL.replace(data=data, psi_n=20).simulate(KEY, networks=2, share=())


def test_outputs_that_are_none_have_no_correlation():
    flow = MODEL.replace(training=rfdsm.GradientFlow(0.0))
    assert np.isnan(flow.overlap(share=()).correlation)
    early = flow.replace(tau=1e-6).overlap(share=())
    assert 0 < early.correlation < 1 and early.status == "success"


def test_trees_of_both_roads_match():
    theory = MODEL.overlap(share="points").without_status()
    runs = MODEL.simulate(KEY, 8, 2, networks=2, share="points").mean()
    assert jax.tree.structure(theory) == jax.tree.structure(runs)
    parts = jax.jacrev(lambda p: MODEL.replace(psi_p=p).variance_parts().without_status())(3.0)
    assert np.isfinite(parts.noises)


def test_points_left_out_by_networks_with_points_of_their_own():
    X = rfdsm.standardise(np.random.default_rng(1).normal(size=(60, 4)))
    given = MODEL.replace(data=rfdsm.Samples(X), ensemble=rfdsm.Ensemble(3, "features"))
    moments = rfdsm.measure(given, KEY, halves=False, classes=1, warned=False)
    with pytest.raises(ValueError, match=r"keep their halves, measure.*or moments.with_pop"):
        given.asymptotics(moments=moments)
    found = given.asymptotics(moments=moments.with_population(None))
    assert np.isfinite(found.test_loss)
