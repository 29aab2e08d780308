"""Two networks on real images: theory from measured moments against trained networks.

Both draw the weights, theory a few times, as the networks do points and noises. Points that
are not shared are disjoint parts of the images.
"""

import jax
import numpy as np
import pytest

import rfdsm
from rfdsm import images

TRIALS = 6
CLOSE = 0.02  # of correlations
ON_DATA = 0.03  # of the squared output: of overlaps, beside two standard errors
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


def measured(problem, draws=4, cross=True):
    """Both networks' moments and those between them."""
    about = dict(cross=cross, draws=draws, warned=False, report=lambda _: None)
    return rfdsm.measure(problem, jax.random.key(1), 8, classes=1, **about)


def require_close(problem, share, moments, other=None):
    """All that theory and networks know of a pair, printed and compared."""
    if "features" in share:
        moments = moments.left
    theory = problem.overlap(other, share, moments=moments)
    about = {"trials": TRIALS, "networks": 2, "share": share, "other": other}
    runs = problem.simulate(jax.random.key(5), **about)
    error = runs.standard_error()
    own = float(np.mean(theory.fresh / theory.correlation))  # of a network with itself
    misses, texts = [], []
    for name in ("correlation", "fresh", "training", "pairs"):
        ours, theirs = (float(np.mean(getattr(of, name))) for of in (theory, runs))
        bar = float(getattr(error, name))
        texts.append(f"{name} {ours:.4f} / {theirs:.4f}({bar:.4f})")
        allowed = CLOSE if name == "correlation" else ON_DATA * own + 2 * bar
        if not (np.isnan([ours, theirs]).all() or abs(ours - theirs) <= allowed):
            misses.append(name)
    print(f"psi_n = {problem.psi_n:g}, {' '.join(share) or 'nothing'}: {', '.join(texts)}")
    assert not misses


def test_two_networks_on_digits():
    """p = n = d: features shared on disjoint parts, and own features on one part."""
    problem = model(psi_n=1.0, psi_p=1.0)
    moments = measured(problem, draws=2)
    for share in (("features",), ("points", "noises")):
        require_close(problem, share, moments)


@pytest.mark.slow
def test_two_networks_on_digits_at_every_number_of_points():
    """n = d/2 to 4 d, all that two networks can share, p = 2 d."""
    moments = measured(model())
    assert moments.left.population == 1797
    for psi_n in (0.5, 1.0, 2.0, 4.0):
        for share in SHARES:
            require_close(model(psi_n=psi_n), share, moments)


@pytest.mark.slow
def test_unequal_networks_on_digits():
    """Of another width and ridge, on the same pairs and on others."""
    problem, other = model(), model(psi_p=1.0, lam=1e-3)
    moments = measured(problem, cross=other)
    for share in ((), ("points", "noises")):
        require_close(problem, share, moments, other)


@pytest.mark.slow
def test_what_the_variance_is_made_of_on_digits():
    """Each part of the output's variance: 3 % of the variance and two standard errors."""
    problem = model()
    theory = problem.variance_parts(output=True, moments=measured(problem))
    runs = problem.simulate_parts(jax.random.key(5), trials=TRIALS, output=True)
    total = float(np.mean(theory.total))
    for name, value in runs.mean().to_dict().items():
        ours, bar = float(np.mean(getattr(theory, name))), getattr(runs.standard_error(), name)
        print(f"{name} {ours:.4f} / {value:.4f}({bar:.4f}), of {total:.4f}")
        assert abs(ours - value) <= ON_DATA * total + 2 * bar, name


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
        ours, theirs = (float(np.mean(getattr(of, name))) for of in (theory, runs))
        print(share, name, f"{ours:.4f} / {theirs:.4f}")
        assert theirs == pytest.approx(ours, rel=0.03, nan_ok=True)
