"""What a stranger may give two networks and ensembles: one line, with cause and fix."""

import jax
import numpy as np
import pytest

import rfdsm
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


def test_only_a_ridge_implies_one():
    with pytest.raises(ValueError, match=r"trained by GradientFlow: take training=rfdsm.Ridge"):
        FLOW.implied_ridge()
