"""Losses on data points: both theories, networks, announcements."""

import math
import warnings

import jax
import numpy as np
import pytest
import results

from rfdsm import RFDSM, Samples, measure, model_of, standardise, sweeps
from rfdsm.cli import predict as command
from rfdsm.errors import LOSSES
from rfdsm.ingredients.data import sample_matrix
from rfdsm.plotting import curves
from rfdsm.sweeps import prediction as computing
from rfdsm.sweeps.lines import lines_of


@pytest.fixture
def X():
    return results.points()


@pytest.fixture
def asked():
    return results.asked()


@pytest.fixture
def prediction():
    return results.predicted()


def test_values_are_those_of_the_model(asked, prediction):
    model, over, _ = asked
    assert tuple(prediction.m.values) == (1, math.inf) and model.psi_p == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of 200 points
        moments = measure(model, jax.random.key(5), 4, classes=1, report=print)
    for line, m in enumerate(prediction.m.values):
        for i, n in enumerate(over["n"]):
            at = RFDSM(n / 8, 2, m, t=0.1, lam=1e-2, data=Samples(model.data.X))
            for name in LOSSES:
                assert float(prediction[name][line, i]) == pytest.approx(
                    float(getattr(at.asymptotics(moments=moments), name)), rel=1e-9
                )
                found = float(prediction[f"{name}_gaussian"][line, i])
                assert found == pytest.approx(float(getattr(at.asymptotics(), name)))


def test_networks_are_trained_on_the_points(asked, prediction):
    model, at = asked[0], prediction.simulated_n.values
    np.testing.assert_array_equal(at, np.round(at))
    assert prediction.test_loss_mean.shape == (2, 2) and prediction.attrs["trials"] == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moments = measure(model, jax.random.key(5), 4, classes=1, report=print)
    for i, n in enumerate(at):
        there = model.replace(psi_n=n / 8, m=1)
        theory = there.asymptotics(moments=moments)
        assert float(prediction.test_loss_theory[0, i]) == pytest.approx(
            float(theory.test_loss)
        )
        gaussian = float(prediction.test_loss_gaussian_theory[0, i])
        assert gaussian == pytest.approx(float(there.asymptotics().test_loss))
    np.testing.assert_allclose(prediction.test_loss_mean, prediction.test_loss_theory, rtol=0.3)


@pytest.mark.slow
def test_draws_give_a_band(X):
    asked = command.question(standardise(X), "lam=1e-3:1:2", {"m": [4], "psi_p": 1})
    found = sweeps.predict(*asked, noises=2, classes=1, draws=2)
    assert found.test_loss_spread.shape == (1, 2)
    assert np.all(found.test_loss_spread > 0) and "draws" in command.summary(found)[-2]
    curves.curve_figure(found, log_y=True)


def test_the_model_of_data_points_is_in_no_file(prediction):
    with pytest.raises(ValueError, match="no file holds"):
        model_of(prediction)


def test_what_is_measured_at_one_value_is_refused_before_the_work(X):
    def measuring(_):
        raise AssertionError("measured")

    model = RFDSM(psi_n=1, psi_p=2, m=4, t=0.1, lam=0.1, data=Samples(standardise(X)))
    for over, lines in (({"t": [0.1, 0.2]}, None), ({"m": [1, 2]}, {"psi_p": [1, 2]})):
        with pytest.raises(ValueError, match="cannot vary on data points"):
            sweeps.predict(model, over, lines, report=measuring)


def test_long_work_is_announced(X):
    X = standardise(X)
    short = command.question(X, "lam=1:2:2", {"m": [1], "psi_p": 1})
    assert computing.estimate(*short) is None
    long = command.question(X, "n", {"m": [], "psi_p": 300})
    line = computing.estimate(*long, simulate={"trials": 12, "points": 4})
    assert "2400 features" in line and "GiB" in line and "networks" in line


@pytest.mark.slow
def test_several_widths_and_theory_between(X):
    """At the measured widths the curve is the measured theory, with its own error bar."""
    model, over, lines = command.question(standardise(X), "psi_p=0.5:2:5", {"m": [2]}, n=len(X))
    widths = computing.widths_along(over, 8, 3)
    assert widths == [0.5, 1, 2] and model.psi_n == len(X) / 8
    asked = {"noises": 4, "classes": 1, "seed": 5}
    found = sweeps.predict(model, over, lines, widths=widths, **asked)
    for name in LOSSES:
        at = found[f"{name}_measured"].values[0]
        np.testing.assert_allclose(found[name].values[0, ::2], at, rtol=1e-9)
        bars = found[f"{name}_error_bar"].values[0]
        assert np.all((bars > 0) & (bars < 0.3 * found[name].values[0]))
    for i, width in enumerate(widths):
        key, there = jax.random.fold_in(jax.random.key(5), i), model.replace(psi_p=width, m=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            moments = measure(there, key, 4, classes=1, report=print)
        expected = there.asymptotics(moments=moments).test_loss
        got = found["test_loss_measured"].sel(measured_psi_p=width)[0]
        assert float(got) == pytest.approx(float(expected))
    figure = curves.curve_figure(found)
    assert "measured widths" in [text.get_text() for text in figure.legends[0].get_texts()]
    with pytest.raises(ValueError, match="at least two psi_p"):
        sweeps.predict(model, over, lines, **asked)


def test_error_bars_stand_beside_the_losses(prediction):
    for name in LOSSES:
        bars = prediction[f"{name}_error_bar"]
        assert bars.shape == (2, 3) and np.all((bars > 0) & (bars < prediction[name]))
    lines = command.summary(prediction)
    assert "±" in lines[0] and "best linear score's, 0." in lines[2]
    assert any("Gaussian theory's test loss differs by" in line for line in lines)


def test_networks_at_every_n_that_leaves_points_to_test_on(X):
    """n = N is theory's alone: the last marker falls away, and what is left alone is told."""
    X = standardise(X)
    asked = command.question(X, f"n=100:{len(X)}:4", {"m": [1]})
    lines = lines_of(*asked, {"trials": 2, "points": 4})
    assert lines.along.x[-1] == len(X) == 200
    assert lines.networks.grid.axes[-1].x.tolist() == [100, 126, 159]
    all_points = command.question(X, "lam", {"m": [1]}, len(X))
    with pytest.raises(ValueError, match="200 training points of 200 leave none to test"):
        lines_of(*all_points, {"trials": 2})


def test_points_as_they_are(tmp_path, X):
    path = tmp_path / "points.npy"
    np.save(path, X)
    given = computing.load(path, as_is=False)
    np.testing.assert_array_equal(given.X, standardise(X))
    with pytest.warns(UserWarning, match="mean of X is not small"):
        kept = computing.load(path, as_is=True)
    np.testing.assert_array_equal(kept.X, sample_matrix(X, check_mean=False))
    assert "as given" in kept.about()
