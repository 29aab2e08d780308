"""Statuses by name, and where warnings point."""

import copy
import pickle
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm import Status
from rfdsm.errors import STATUSES, FewPoints


def test_statuses_are_all_named():
    assert len(STATUSES) == len(Status) and len(set(STATUSES)) == len(Status)
    assert all(hasattr(Status, name) for name in STATUSES)


def test_a_status_in_words_and_by_rows():
    model = rfdsm.RFDSM(2.0, 3.0, 4, t=0.1, lam=1e-2)
    status = jax.jit(jax.vmap(lambda x: model.replace(psi_p=x).solve().status))(
        jnp.array([3.0, 1.0, -1.0])
    )
    assert str(status) == "2 success, 1 invalid_input" and len(status) == 3
    assert str(status[0]) == "success" and str(status[:2]) == "2 success"
    assert str(status[2]).startswith("invalid_input: a number of the model is outside")
    assert [str(row)[:7] for row in status] == ["success", "success", "invalid"]
    assert [bool(row == Status.success) for row in status] == [True, True, False]
    assert list(status == "success") == [True, True, False] and status[2] != "success"
    assert Status[status[2]].startswith("a number") and isinstance(status[2], Status)
    assert pickle.loads(pickle.dumps(status[2])) == copy.deepcopy(status)[2] == "invalid_input"
    with pytest.raises(ValueError, match="one of success, invalid_input"):
        _ = status == "converged"


def test_nan_is_explained_to_who_debugs_it():
    model = rfdsm.RFDSM(2.0, 3.0, 4, t=0.1, lam=1e-2)
    X = rfdsm.standardise(np.random.default_rng(0).normal(size=(60, 6)))
    with jax.debug_nans(True):
        assert model.baselines().best == model.baselines().linear
        assert model.asymptotics().test_loss > 0
        assert model.simulate(jax.random.key(0), 8, 2).test_loss.shape == (2,)
        for asked in (
            lambda: model.replace(data=rfdsm.Samples(X)).baselines(),
            lambda: model.simulate(jax.random.key(0), 8),
        ):
            with pytest.raises(FloatingPointError, match="NaN is an answer here") as raised:
                asked()
            assert "\n" not in str(raised.value)


def test_errors_of_theory_are_their_own_mean():
    errors = rfdsm.RFDSM(2.0, 3.0, 4, t=0.1, lam=1e-2).asymptotics()
    assert errors.mean().to_dict() == errors.to_dict()
    assert all(np.isnan(list(errors.standard_error().to_dict().values())))


def test_warnings_point_at_the_users_line():
    """Through Equinox's wrapped methods, and from functions that call functions."""
    X = np.random.default_rng(0).normal(size=(60, 6)) + 1
    undeclared = rfdsm.Activation(lambda x: jnp.abs(x) + jnp.tanh(x))
    model = rfdsm.RFDSM(2.0, 3.0, 4, t=0.1, lam=1e-2)
    samples = rfdsm.Samples(rfdsm.standardise(X))
    for warns in (
        lambda: rfdsm.Samples(X),
        lambda: model.replace(activation=undeclared).asymptotics(),
        lambda: rfdsm.measure(
            model.replace(data=samples), jax.random.key(0), classes=1, report=print
        ),
    ):
        with pytest.warns(UserWarning) as caught:
            warns()
        assert {warning.filename for warning in caught} == {__file__}


def test_few_points_can_be_silenced_by_class():
    X = np.random.default_rng(0).normal(size=(60, 6))
    model = rfdsm.RFDSM(2.0, 3.0, 4, t=0.1, lam=1e-2, data=rfdsm.Samples(rfdsm.standardise(X)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewPoints)
        rfdsm.measure(model, jax.random.key(0), classes=1, report=print)


TARGETS = (
    rfdsm.ScoreTarget(),
    rfdsm.NoiseTarget(),
    rfdsm.DataTarget(),
    rfdsm.VelocityTarget(),
    rfdsm.LinearTarget(0.7, -1.3),
    rfdsm.AngleTarget(0.4),
)


@pytest.mark.parametrize("target", TARGETS, ids=repr)
@pytest.mark.parametrize(
    "process", [rfdsm.OrnsteinUhlenbeck(0.3), rfdsm.FlowMatching(0.6)], ids=repr
)
def test_baselines_are_regressions_on_the_noised_points(target, process):
    """By least squares in NumPy: what y explains of τ, both as maps of white (x, z)."""
    counts, eigenvalues = (1, 2, 5), (4.0, 0.5, 0.0)
    law = rfdsm.Gaussian(eigenvalues, np.array(counts) / 8)
    model = rfdsm.RFDSM(2.0, 3.0, 4, lam=1e-2, process=process, target=target, data=law)
    (a, h), root = process.scales(), np.diag(np.sqrt(np.repeat(eigenvalues, counts)))
    of_data, of_noise = map(float, target.combination(process))
    y = np.hstack([float(a) * root, np.sqrt(float(h)) * np.eye(8)])
    tau = np.hstack([of_data * root, of_noise * np.eye(8)])
    scale = np.sum(tau * y) / np.sum(y * y)
    linear = np.linalg.lstsq(y.T, tau.T)[0].T
    found = model.baselines()
    for name, output in (("null", 0 * y), ("isotropic", scale * y), ("linear", linear @ y)):
        assert getattr(found, name) == pytest.approx(np.sum((tau - output) ** 2) / 8, rel=1e-12)
    assert found.best == found.linear


def test_losses_are_the_least_and_the_score_error_in_the_targets_units():
    model = rfdsm.RFDSM(
        2.0, 1.0, np.inf, lam=1e-3, process=rfdsm.FlowMatching(0.5), target=TARGETS[4]
    )
    a, h = model.process.scales()
    several = jax.vmap(lambda x, z: model.replace(target=rfdsm.LinearTarget(x, z)))(
        of_data := np.array([0.0, 1.0, -1.0, 0.7]), of_noise := np.array([1.0, 0.0, 1.0, -1.3])
    )
    errors, known = jax.jit(jax.vmap(lambda m: (m.asymptotics(), m.baselines())))(several)
    factor = (a * of_noise - np.sqrt(h) * of_data) ** 2 / a**2
    least = of_noise**2 + of_data**2 - (a * of_data + np.sqrt(h) * of_noise) ** 2 / (a**2 + h)
    np.testing.assert_allclose(errors.test_loss, least + factor * h * errors.score_error, 1e-11)
    # Scores memorise or not, in whatever units: below what the best linear output leaves.
    memorises = jax.vmap(lambda k, e: k.memorises(e))(known, errors)
    np.testing.assert_array_equal(memorises, errors.memorization_loss < least)
    assert 0 < np.sum(memorises) < 4


@pytest.mark.slow
def test_the_largest_stable_rate_goes_with_the_targets_own():
    """κ = 2w²/ψ_p with w² = h for the score: networks of the noise are 1/h as fast."""

    def stable(target):
        training = rfdsm.GradientDescent(10, 1e6, 1e-3)
        model = rfdsm.RFDSM(2.0, 3.0, 4, t=0.1, training=training, target=target)
        with pytest.raises(ValueError, match="diverges: the largest stable one is") as raised:
            model.solve()
        assert jax.jit(lambda m: m.solve().status)(model) == Status.unstable_rate
        return float(re.search(r"stable one is ([\d.]+)", str(raised.value))[1])

    h, score = -np.expm1(-0.2), stable(rfdsm.ScoreTarget())
    for target in (rfdsm.NoiseTarget(), rfdsm.LinearTarget(0.3, 1.0)):
        assert stable(target) == pytest.approx(h * score, rel=1e-5)
