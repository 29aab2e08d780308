"""Targets and processes on grids: their numbers are axes like any other."""

import json

import jax
import numpy as np
import pytest

import rfdsm
from rfdsm.errors import FIELDS
from rfdsm.sweeps import layout as layouts
from rfdsm.sweeps.asymptotics import Theory
from rfdsm.sweeps.memorisation import memorises
from rfdsm.sweeps.simulation import point_key

LAW = rfdsm.Gaussian((2.5, 0.0), (0.4, 0.6))
MODEL = rfdsm.RFDSM(
    2.0,
    3.0,
    np.inf,
    lam=1e-3,
    process=rfdsm.VariancePreserving(0.5),
    target=rfdsm.AngleTarget(0.3),
    data=LAW,
)
AXES = {"target.angle": [0.0, 0.7, 1.57], "alpha_bar": [0.2, 0.8], "psi_p": [1.0, 8.0]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("targets") / "angles.zarr"


@pytest.fixture(scope="module")
def found(store):
    asked = {"quantities": rfdsm.gradient("score_error", ["target.angle", "alpha_bar"])}
    rfdsm.sweep(MODEL, AXES, **asked, simulate={"d": 10, "trials": 2}, store=store)
    return rfdsm.open(store).load()


def test_points_are_those_of_the_model(found):
    assert dict(found.sizes) == {"target.angle": 3, "alpha_bar": 2, "psi_p": 2, "trial": 2}
    assert (found.status == 0).all()

    @jax.jit
    def exact(model):
        def score_error(model):
            errors = model.asymptotics()
            return errors.score_error, errors

        return jax.grad(score_error, has_aux=True)(model)

    for i, j, k in np.ndindex(3, 2, 2):
        at = (i, j, k)
        numbers = {name: x[n] for (name, x), n in zip(AXES.items(), at, strict=True)}
        model = MODEL.replace(**numbers)
        slopes, errors = exact(model)
        for name in FIELDS:
            there = float(getattr(errors, name))
            assert float(found[name][at]) == pytest.approx(there, rel=1e-10, abs=1e-13)
        for name, slope in (
            ("target.angle", slopes.target.angle),
            ("alpha_bar", slopes.process.alpha_bar),
        ):
            assert float(found[f"d_score_error_{name}"][at]) == pytest.approx(
                float(slope), rel=1e-7, abs=1e-10
            )
        best = model.baselines().memorises(errors)
        assert bool(memorises(found)[at]) == bool(best)
    assert 0 < float(memorises(found).mean()) < 1


def test_networks_stand_beside(found):
    mean = found.simulated_score_error.mean("trial")
    assert np.all(np.abs(np.log(mean / found.expected_score_error)) < 1)
    model = MODEL.replace(psi_p=1.0, angle=1.57, alpha_bar=0.8)
    runs = model.simulate(point_key(model, 0, 10), 10, 2)
    at = {"target.angle": 1.57, "alpha_bar": 0.8, "psi_p": 1.0}
    np.testing.assert_allclose(found.simulated_test_loss.sel(at), runs.test_loss, rtol=1e-10)


def test_the_store_tells_the_target(found):
    assert found["target.angle"].attrs["symbol"] == r"\theta"
    assert found["target.angle"].attrs["spacing"] == "linear"
    assert rfdsm.model_of(found).target == rfdsm.AngleTarget(0.0)


def test_a_store_of_before_there_were_targets_is_of_the_score(tmp_path, monkeypatch):
    model, path = rfdsm.RFDSM(2.0, 3.0, 4, t=0.1, lam=1e-3), tmp_path / "old.zarr"
    whole = rfdsm.sweep(model, {"psi_n": [1.0, 2.0]}, store=path).load()
    text = json.loads((path / "zarr.json").read_text())
    record = text["attributes"][layouts.RECORD]
    for attrs in (text["attributes"], record["attrs"]):
        attrs["model"] = json.dumps(
            {k: v for k, v in json.loads(attrs["model"]).items() if k != "target"}
        )
    assert record["sweep"]["model"].pop("target") == {"kind": "ScoreTarget"}
    record["sha256"] = layouts.seal(record)
    (path / "zarr.json").write_text(json.dumps(text))
    assert rfdsm.model_of(rfdsm.open(path)) == rfdsm.model_of(whole)
    monkeypatch.setattr(Theory, "compute", None)  # nothing is left to do
    again = rfdsm.sweep(model, {"psi_n": [1.0, 2.0]}, store=path)
    np.testing.assert_array_equal(again.test_loss, whole.test_loss)
    with pytest.raises(ValueError, match=r"model\.target\.kind is \"ScoreTarget\" there"):
        rfdsm.sweep(
            model.replace(target=rfdsm.NoiseTarget()), {"psi_n": [1.0, 2.0]}, store=path
        )


def test_a_curve_along_targets_has_the_best_linear_loss_of_each():
    angles = np.linspace(0.0, 1.5, 4)
    found = rfdsm.sweeps.curve(MODEL, {"angle": angles}, {"alpha_bar": [0.2, 0.8]})
    assert dict(found.sizes) == {"alpha_bar": 2, "angle": 4}
    for i, j in np.ndindex(2, 4):
        model = MODEL.replace(angle=angles[j], alpha_bar=(0.2, 0.8)[i])
        best = float(model.baselines().linear)
        assert float(found.best_linear[i, j]) == pytest.approx(best, rel=1e-12)


@pytest.mark.slow
def test_several_models_are_tuned_over_their_targets():
    free = {"lam": (1e-6, 10.0), "angle": (0.0, 1.57)}
    found = rfdsm.tune_sweep(MODEL, {"alpha_bar": [0.3, 0.7], "psi_p": [0.5, 2.0]}, free)
    assert (found.status == 0).all() and np.ptp(found.optimal_angle.values) > 0.01
    model = MODEL.replace(alpha_bar=0.7, psi_p=0.5)
    best = rfdsm.tune(model, free, starts=16)
    assert float(found.value[1, 0]) == pytest.approx(best.value, rel=1e-9)
    with pytest.raises(ValueError, match=r"units that the free target\.angle changes"):
        rfdsm.tune_sweep(MODEL, {"psi_p": [1.0, 2.0]}, free, "test_loss")


@pytest.mark.slow
def test_training_along_targets():
    """Each line in its target's units: times are of its own losses, whose scale cancels."""
    flow = MODEL.replace(
        training=rfdsm.GradientFlow(1.0, 1e-3), target=rfdsm.LinearTarget(1, 0)
    )
    taus = np.geomspace(0.1, 1e4, 30)
    found = rfdsm.sweeps.train(flow, taus, {"target.data": [0.01, 1.0]})
    errors = flow.trajectory(taus)
    np.testing.assert_allclose(found.test_loss[1], errors.test_loss, rtol=1e-11)
    np.testing.assert_allclose(found.test_loss[0], 1e-4 * errors.test_loss, rtol=1e-9)
    for name in ("tau_gen_by_curves", "tau_mem_by_curves", "tau_below_best"):
        np.testing.assert_allclose(found[name][0], found[name][1], rtol=1e-6)
    assert float(found.tau_gen_by_curves[1]) == pytest.approx(
        taus[np.argmin(errors.test_loss)], rel=0.4
    )
