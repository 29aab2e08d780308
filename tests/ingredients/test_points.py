"""Data points that are none."""

import datetime

import jax
import numpy as np
import pytest

import rfdsm

X = np.concatenate([np.eye(3), -np.eye(3)])
ENTRIES = {
    "samples": rfdsm.Samples,
    "law": rfdsm.Gaussian.from_samples,
    "standardise": rfdsm.standardise,
    "features": lambda X: rfdsm.measure_features(
        np.tanh, X, rfdsm.OrnsteinUhlenbeck(0.1), jax.random.key(0)
    ),
}
NO_POINTS = {
    "masked": np.ma.array(X, mask=X > 0),
    "complex": X + 1j,
    "complex, as objects": (X + 1j).astype(object),
    "dates": X.astype(int).astype("M8[D]"),
    "spans": X.astype(int).astype("m8[s]"),
    "dates in lists": [[datetime.date(2020, 1, day)] for day in (1, 2, 3)],
    "texts": X.astype(str),
    "texts in lists": [["1", "2"], ["3", "5"]],
    "ragged": [[1, 2], [3]],
    "missing": [[1, None], [2, 3]],
    "a dictionary": {"a": 1},
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("what", NO_POINTS)
def test_what_is_no_matrix_of_numbers_is_refused_in_a_line(what, entry):
    with pytest.raises(TypeError, match="masked" if what == "masked" else "real") as refused:
        ENTRIES[entry](NO_POINTS[what])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [int, object, np.float16, np.longdouble, ">f8"])
def test_numbers_of_any_kind_are_points(kind):
    np.testing.assert_array_equal(rfdsm.Samples(X.astype(kind)).X, X)
    np.testing.assert_array_equal(rfdsm.Samples(np.asfortranarray(X).astype(kind)).X, X)


def test_truth_values_are_points():
    centred = rfdsm.standardise(X > 0)
    assert centred.dtype == float and np.allclose(centred.mean(axis=0), 0)


@pytest.mark.parametrize("value", [np.timedelta64(3, "s"), np.ma.array(1.0, mask=True)])
def test_what_is_no_number_is_none_of_a_model(value):
    with pytest.raises(TypeError, match="psi_n must be a real number") as refused:
        rfdsm.RFDSM(value, 1, 1, t=0.1, lam=0.1)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("unit", [1e200, 1e-200, 1e307, 5e-324])
def test_any_unit_is_standardised(unit, columns):
    whole = np.random.default_rng(0).integers(-5, 5, (12, 3)).astype(float)
    with np.errstate(all="raise"):
        scaled = rfdsm.standardise(unit * whole, columns)
    np.testing.assert_allclose(scaled, rfdsm.standardise(whole, columns), rtol=1e-12)


@pytest.mark.parametrize("unit", [1e200, 1e-200])
def test_numbers_without_a_square_are_refused_as_they_are(unit):
    with pytest.raises(ValueError, match="whose square is out of a float's range") as refused:
        rfdsm.Samples(unit * np.eye(4))
    assert "\n" not in str(refused.value)


def test_an_error_bar_needs_more_than_two_points():
    two = rfdsm.standardise(np.array([[1.0, 2.0], [3.0, 1.0]]))
    model = rfdsm.RFDSM(0.5, 1, 1, t=0.1, lam=0.1, data=rfdsm.Samples(two))
    with pytest.raises(ValueError, match="2 points are too few"):
        rfdsm.measure(model, jax.random.key(0), halves=True)
