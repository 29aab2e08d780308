"""The number of averaged networks on a grid: an axis like m, in stores and curves too."""

import json
from functools import partial

import jax
import numpy as np
import pytest

import rfdsm
from rfdsm.errors import FIELDS
from rfdsm.sweeps import layout as layouts
from rfdsm.sweeps.asymptotics import Theory
from rfdsm.sweeps.estimate import estimate
from rfdsm.sweeps.memorisation import memorises
from rfdsm.sweeps.simulation import point_key

ONE = rfdsm.RFDSM(2.0, 3.0, 2, t=0.2, lam=0.03)
MANY = ONE.replace(ensemble=rfdsm.Ensemble(3))
POINTS = ONE.replace(ensemble=rfdsm.Ensemble(3, "points"))
AXES = {"networks": [1, 2.5, np.inf], "psi_p": [0.5, 3.0]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("ensembles") / "networks.zarr"


@pytest.fixture(scope="module")
def found(store):
    gradient = rfdsm.gradient("test_loss", ["networks", "psi_p"])
    rfdsm.sweep(MANY, AXES, quantities=gradient, store=store)
    return rfdsm.open(store).load()


def test_points_are_those_of_the_model(found):
    assert dict(found.sizes) == {"networks": 3, "psi_p": 2} and (found.status == 0).all()
    assert found.networks.attrs["label"] == "averaged networks $N_e$"
    solve = jax.jit(lambda model: model.solve().errors)
    for i, j in np.ndindex(3, 2):
        there = {name: x[k] for (name, x), k in zip(AXES.items(), (i, j), strict=True)}
        errors = solve(MANY.replace(**there))
        for name in FIELDS:
            assert float(found[name][i, j]) == pytest.approx(
                float(getattr(errors, name)), rel=1e-10, abs=1e-13
            )


def test_errors_are_linear_in_their_inverse(found):
    one, some, all_ = found.test_loss.values
    np.testing.assert_allclose(some, all_ + (one - all_) / 2.5, rtol=1e-12)
    assert np.all(one - all_ > 0.01)
    slopes = -(one - all_) * np.array([1, 1 / 2.5**2, 0])[:, None]
    np.testing.assert_allclose(found.d_test_loss_networks, slopes, rtol=1e-9)


def test_the_store_tells_the_ensemble_and_goes_on_with_it_alone(found, store, monkeypatch):
    assert rfdsm.model_of(found).ensemble == rfdsm.Ensemble(1)
    gradient = rfdsm.gradient("test_loss", ["networks", "psi_p"])
    asked = {"quantities": gradient, "store": store}
    monkeypatch.setattr(Theory, "compute", None)  # nothing is left to do
    again = rfdsm.sweep(MANY, AXES, **asked)
    np.testing.assert_array_equal(again.test_loss, found.test_loss)
    told = r'model\.ensemble\.share is \["points", "noises"\] there and \["points"\] here'
    with pytest.raises(ValueError, match=told):
        rfdsm.sweep(POINTS, AXES, **asked)


def test_a_store_of_before_there_were_ensembles_is_of_one_network(tmp_path, monkeypatch):
    path, axes = tmp_path / "old.zarr", {"psi_n": [1.0, 2.0]}
    whole = rfdsm.sweep(ONE, axes, store=path).load()
    text = json.loads((path / "zarr.json").read_text())
    record = text["attributes"][layouts.RECORD]
    for attrs in (text["attributes"], record["attrs"]):
        model = json.loads(attrs["model"])
        assert model.pop("ensemble") == {"kind": "Single"}
        attrs["model"] = json.dumps(model)
    assert record["sweep"]["model"].pop("ensemble") == {"kind": "Single"}
    record["sha256"] = layouts.seal(record)
    (path / "zarr.json").write_text(json.dumps(text))
    assert rfdsm.model_of(rfdsm.open(path)) == rfdsm.model_of(whole)
    monkeypatch.setattr(Theory, "compute", None)
    again = rfdsm.sweep(ONE, axes, store=path)
    np.testing.assert_array_equal(again.test_loss, whole.test_loss)
    with pytest.raises(ValueError, match=r"model\.ensemble\.kind is \"Single\" there"):
        rfdsm.sweep(MANY, axes, store=path)


def test_one_network_has_no_number_of_them():
    for ask in (rfdsm.sweep, rfdsm.sweeps.curve):
        with pytest.raises(ValueError, match=r": give ensemble=rfdsm\.Ensemble\(\.\.\.\)\.$"):
            ask(ONE, {"networks": [1, 2]})


def test_what_is_not_shared_is_not_known(found):
    own = rfdsm.sweep(POINTS, {"networks": [1, 4]})
    assert own.train_loss.isnull().all() and own.memorization_loss.notnull().all()
    assert (own.status == 0).all() and found.train_loss.notnull().all()
    assert not memorises(found).all()  # which is known
    with pytest.raises(ValueError, match="none to memorise together"):
        memorises(rfdsm.sweep(ONE.replace(ensemble=rfdsm.Ensemble(3, ())), {"lam": [0.1]}))


def test_a_curve_has_networks_at_whole_numbers_of_them():
    asked = {"d": 12, "trials": 3, "points": 3}
    found = rfdsm.sweeps.curve(MANY, {"networks": np.geomspace(1, 8, 9)}, simulate=asked)
    assert found.simulated_networks.values.tolist() == [1, 3, 6]
    model = MANY.replace(networks=3)
    runs = model.simulate(point_key(model, 0, 12), 12, 3)
    at = {"simulated_networks": 3}
    assert float(found.test_loss_mean.sel(at)) == pytest.approx(float(runs.mean().test_loss))
    expected = model.at(runs.sizes).asymptotics().test_loss
    assert float(found.test_loss_theory.sel(at)) == pytest.approx(float(expected), rel=1e-10)
    refused = partial(rfdsm.sweep, MANY, simulate={"d": 12, "trials": 3})
    for networks, words in ((2.5, "2.5"), (np.inf, "inf")):
        with pytest.raises(ValueError, match=rf"networks at .*networks = {words}: .*integer"):
            refused({"networks": [1, networks]})


@pytest.mark.slow
def test_training_of_networks_on_points_of_their_own():
    """They have none in common that they could memorise; the best time to stop is known."""
    flow = ONE.replace(training=rfdsm.GradientFlow(1.0), m=np.inf)
    times = [rfdsm.timescales(flow.replace(ensemble=rfdsm.Ensemble(3, s)))
             for s in ("points", ())]  # fmt: skip
    assert np.isfinite([times[0].tau_gen, times[0].tau_mem, times[1].tau_gen]).all()
    assert np.isnan([times[1].tau_mem, times[1].below_best]).all()


@pytest.mark.slow
def test_an_estimate_counts_all_networks():
    asked = {"simulate": {"d": 12, "trials": 3}}
    *_, one = estimate(ONE, {"lam": [0.1, 1.0]}, **asked).parts
    *_, many = estimate(MANY, {"networks": [1, 8], "lam": [0.1, 1.0]}, **asked).parts
    assert (one.networks, many.networks) == (2 * 3, 2 * 9 * 3)
