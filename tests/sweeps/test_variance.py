"""The variance's parts over one number: those of the model at every point, and of networks."""

import re

import jax
import numpy as np
import pytest
import xarray as xr

from rfdsm import RFDSM, Ensemble, Gaussian, Samples, standardise
from rfdsm._files import labelled
from rfdsm.overlaps import PARTS
from rfdsm.sweeps import variance, variance_curve
from rfdsm.sweeps.simulation import point_key

MODEL = RFDSM(psi_n=2.0, psi_p=1.3, m=2, t=0.2, lam=1e-2)
SOLVED = jax.jit(lambda model: (model.variance_parts(), model.solve().errors))


@pytest.fixture(scope="module")
def found():
    """The last value is out of reach; networks, of psi_p = 1.25 at d = 8, are at the second."""
    networks = {"d": 8, "trials": 3, "points": 1}
    return variance_curve(MODEL, {"lam": [1e-3, 1e-2, 1e200]}, simulate=networks, seed=5)


def test_parts_are_those_of_the_model_and_add_up(found):
    np.testing.assert_array_equal(found.status == 0, [True, True, False])
    for name in (*PARTS, "variance", *variance.ERRORS):
        np.testing.assert_array_equal(np.isnan(found[name]), [False, False, True])
    total = sum(found[name] for name in PARTS)
    np.testing.assert_allclose(total, found.variance, rtol=1e-12)
    np.testing.assert_allclose(found.variance + found.bias2, found.score_error, rtol=1e-11)
    for i in (0, 1):
        parts, errors = SOLVED(MODEL.replace(lam=found.lam.values[i]))
        for name in PARTS:
            one = float(getattr(parts, name))
            assert float(found[name][i]) == pytest.approx(one, rel=1e-9, abs=1e-12)
        assert float(found.test_loss[i]) == pytest.approx(float(errors.test_loss), rel=1e-9)


def test_words_on_where_parts_vanish():
    """More features at the same lam/psi_p."""
    many = {"n": {"psi_n": 1e7}, "p": {"psi_p": 1e7, "lam": 1e5}, "m": {"m": np.inf}}
    for letter, numbers in many.items():
        parts = SOLVED(MODEL.replace(**numbers))[0].to_dict()
        gone = {name for name in PARTS if abs(parts[name]) < 1e-4}
        assert gone == {
            n for n, x in variance.WORDS.items() if letter in re.findall(r"\w+", x.vanishes_at)
        }


def test_networks_are_those_of_the_model(found):
    assert found.simulated_lam.values == [1e-2] and found.attrs["simulated_psi_p"] == 1.25
    runs = MODEL.simulate_parts(point_key(MODEL, 5, 8), 8, 3)
    theory, _ = SOLVED(MODEL.replace(psi_p=1.25))
    for name in (*PARTS, "variance"):
        of = "total" if name == "variance" else name
        every, exact = np.asarray(getattr(runs, of)), float(getattr(theory, of))
        np.testing.assert_allclose(found[f"simulated_{name}"][0], every, rtol=1e-12)
        mean, bar = float(every.mean()), float(every.std(ddof=1)) / 3**0.5
        assert float(found[f"{name}_mean"][0]) == pytest.approx(mean, rel=1e-12)
        assert float(found[f"{name}_standard_error"][0]) == pytest.approx(bar, rel=1e-12)
        assert float(found[f"{name}_theory"][0]) == pytest.approx(exact, rel=1e-9)


def test_it_is_kept_in_files(found, tmp_path):
    labelled.save(found, tmp_path / "v.nc")
    labelled.save(found, tmp_path / "v.csv")
    with xr.open_dataset(tmp_path / "v.nc") as stored:
        for name in found.data_vars:
            np.testing.assert_array_equal(stored[name], found[name])
        assert stored.attrs["of"] == "score" and stored.attrs["axis"] == "lam"
    text = (tmp_path / "v.csv").read_text()
    assert text.startswith("kind,lam,") and text.count("\n") == 1 + 3 + 1 + 3


def test_of_data_points_it_is_the_output_s():
    """Whose score is unknown: no bias, and the Gaussian theory of the same covariance."""
    X = standardise(np.random.default_rng(0).normal(size=(40, 6)))
    model = MODEL.replace(data=Samples(X))
    found = variance_curve(model, {"psi_p": [0.5]})
    assert "bias2" not in found and "score_error" not in found and found.attrs["of"] == "output"
    same = model.replace(psi_p=0.5, data=Gaussian.from_samples(X))
    h = float(same.process.noising().h)  # o = √h s
    of_score = float(same.solve().errors.variance)
    assert float(found.variance[0]) == pytest.approx(h * of_score, rel=1e-9)
    total = sum(float(found[name][0]) for name in PARTS)
    assert total == pytest.approx(h * of_score, rel=1e-9)


@pytest.mark.parametrize(
    "over, simulate, message",
    [
        ({"psi_p": [1.0], "m": [1.0]}, None, "one number is swept at a time"),
        ({"width": [1.0]}, None, "no number of this model"),
        ({"psi_p": [-1.0]}, None, "must be positive"),
        ({"psi_p": [1.0]}, {"d": 8, "points": 1, "size": 2}, "size"),
        ({"psi_p": [0.01]}, {"d": 8, "points": 1}, "leaves no p"),
    ],
)
def test_bad_input_is_refused_before_the_work(over, simulate, message, monkeypatch):
    monkeypatch.setattr(variance, "solved", None)
    with pytest.raises(ValueError, match=message) as refused:
        variance_curve(MODEL, over, simulate=simulate)
    assert "\n" not in str(refused.value)


def test_an_ensemble_is_refused():
    with pytest.raises(ValueError, match="parts are of one network's variance"):
        variance_curve(MODEL.replace(ensemble=Ensemble(4)), {"psi_p": [1.0]})
