"""Two networks on real images: theory from measured moments against trained networks.

The moments are of one draw of each W; the networks draw theirs anew, as they do points and
noises. Points that are not shared are disjoint parts of the images.
"""

import jax
import numpy as np
import pytest

import rfdsm
from rfdsm import images

TRIALS, CLOSE = 6, 0.02  # of correlations; of overlaps relative to all shared
SHARES = (
    ("features",),
    ("features", "points"),
    (),
    ("points",),
    ("points", "noises"),
)


def model(**changes):
    data = rfdsm.Samples(images.digits())
    base = dict(psi_n=2.0, psi_p=2.0, m=4, t=0.1, lam=1e-2, data=data)
    return rfdsm.RFDSM(**base | changes)


def measured(problem):
    """Both networks' moments and those between them."""
    about = dict(cross=True, warned=False, report=lambda _: None)
    return rfdsm.measure(problem, jax.random.key(1), 8, **about)


def distances(problem, share, moments):
    """How far theory is from networks, of all that they know of the pair; printed."""
    shared = "features" in share
    theory = problem.overlap(share=share, moments=moments.left if shared else moments)
    runs = problem.simulate(jax.random.key(5), trials=TRIALS, networks=2, share=share)
    scale = float(theory.fresh / theory.correlation)
    apart, texts = [], []
    for name in ("correlation", "fresh", "training", "pairs"):
        ours, theirs = float(getattr(theory, name)), np.asarray(getattr(runs, name))
        assert np.isnan(ours) == np.isnan(theirs).all(), name
        if not np.isnan(ours):
            bar = theirs.std(ddof=1) / np.sqrt(TRIALS)
            apart.append((ours - theirs.mean()) / (1 if name == "correlation" else scale))
            texts.append(f"{name} {ours:.4f} / {theirs.mean():.4f}({bar:.4f})")
    print(f"psi_n = {problem.psi_n:g}, {' '.join(share) or 'nothing'}: {', '.join(texts)}")
    return np.abs(apart)


def test_two_networks_on_digits():
    """p = d/2 and n = d: features shared on disjoint parts, and own features on one part."""
    problem = model(psi_n=1.0, psi_p=0.5)
    moments = measured(problem)
    for share in (("features",), ("points", "noises")):
        assert max(distances(problem, share, moments)) <= CLOSE


@pytest.mark.slow
def test_two_networks_on_digits_at_every_number_of_points():
    """n = d/2 to 4 d, all that two networks can share, p = 2 d."""
    moments = measured(model())
    assert moments.left.population == 1797
    for psi_n in (0.5, 1.0, 2.0, 4.0):
        for share in SHARES:
            assert max(distances(model(psi_n=psi_n), share, moments)) <= CLOSE


@pytest.mark.slow
def test_unequal_networks_on_digits():
    """Of another width and ridge, on the same pairs and on others."""
    problem, other = model(), model(psi_p=1.0, lam=1e-3)
    moments = rfdsm.measure(
        problem, jax.random.key(1), 8, cross=other, warned=False, report=lambda _: None
    )
    for share in ((), ("points", "noises")):
        theory = problem.overlap(other, share, moments=moments)
        runs = problem.simulate(
            jax.random.key(5), trials=TRIALS, networks=2, share=share, other=other
        )
        print(share, theory, runs.mean(), runs.standard_error())
        assert theory.correlation == pytest.approx(float(runs.mean().correlation), abs=CLOSE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "share", [("points", "noises"), ("points",), ("features", "points"), ()]
)
def test_ensembles_on_digits(share):
    """The average of four networks: 3 % of each loss that it has."""
    problem = model(ensemble=rfdsm.Ensemble(4, share))
    moments = measured(model())
    theory = problem.asymptotics(moments=moments.left if "features" in share else moments)
    runs = problem.simulate(jax.random.key(5), trials=TRIALS).mean()
    for name in ("test_loss", "memorization_loss", "train_loss"):
        ours, theirs = (float(getattr(of, name)) for of in (theory, runs))
        print(share, name, f"{ours:.4f} / {theirs:.4f}")
        assert theirs == pytest.approx(ours, rel=0.03, nan_ok=True)
