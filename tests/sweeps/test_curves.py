"""Errors over one number: theory of the model at every point, networks, the data set."""

import json
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
import results
import xarray as xr

from rfdsm import RFDSM, model_of, sweep, sweeps
from rfdsm._files import labelled as storage
from rfdsm.errors import FIELDS
from rfdsm.sweeps import axes
from rfdsm.sweeps.lines import best_linear, lines_of


@pytest.fixture
def model():
    return results.CURVE


@pytest.fixture
def simulated():
    return results.simulated()


def test_infinitely_many_noises_are_a_place_for_networks_too(model):
    for m in ([1.0, 2.0, np.inf], [np.inf]):
        along = axes.axis(model, {"m": m})
        assert axes.markers(along, 8, len(m)).tolist() == m


def test_networks_that_are_asked_for_stand_where_d_puts_them(model):
    def markers(at):
        asked = {"d": 8, "trials": 2, "at": at}
        return lines_of(model, {"psi_p": [1.0, 2.0, 3.0]}, None, asked).networks.grid

    assert markers([2.49, 1.04]).axes[0].x.tolist() == [1.0, 2.5]
    with pytest.raises(ValueError, match="at d = 8 leaves no p"):
        markers([1.0, 0.01])


@pytest.mark.parametrize("text", ["psi_n=1:4:3", "psi_p=1:4:3", "m=1:4:3", "t=0.1:1:3"])
def test_theory_is_that_of_the_model_at_every_point(model, text):
    name, _, numbers = text.partition("=")
    grid = axes.grid(name, numbers)
    swept = sweeps.curve(model, {name: grid}, None if name == "m" else {"m": [3, 1.5]})
    m = () if name == "m" else tuple(swept.m.values)
    assert m == (() if name == "m" else (1.5, 3.0)), "lines are sorted"
    assert np.all(swept.status == 0)
    for line in range(len(m) or 1):
        part = swept.isel(m=line) if m else swept
        for i in (0, 2):
            point = model.replace(**({name: grid[i]} | ({"m": m[line]} if m else {})))
            errors = point.asymptotics()
            for field in FIELDS:
                assert float(part[field][i]) == pytest.approx(
                    float(getattr(errors, field)), rel=1e-9
                )
            assert float(part.best_linear[i]) == pytest.approx(float(point.baselines().linear))


def test_a_curve_is_a_sweep_on_any_engine(model):
    grid = axes.grid("psi_p", "1:4:3")
    with ThreadPoolExecutor(2) as pool:
        found = sweeps.curve(model, {"psi_p": grid}, {"m": [3, 1.5]}, engine=pool)
    swept = sweep(model, {"m": [1.5, 3], "psi_p": grid}, quantities=best_linear)
    for name in swept.variables:
        np.testing.assert_array_equal(found[name], swept[name], name)


def test_progress_has_a_pace_once_a_chunk_was_computed(model):
    told = []
    grid = {"lam": [1e-3, 1e-2], "m": [1, 2, 4]}
    sweep(model, grid, chunk=2, progress=told.append)
    assert [(at.done, bool(at.pace)) for at in told] == [
        (0, False), (1, False), (2, True), (3, True), (4, True)
    ]  # fmt: skip


def test_grids():
    np.testing.assert_allclose(axes.grid("t", "0.1:10:3"), [0.1, 1, 10])
    np.testing.assert_allclose(axes.grid("t", "1:3:3", log=False), [1, 2, 3])


def test_markers_are_values_that_a_network_can_have(model):
    def markers(text, d, points):
        name, _, numbers = text.partition("=")
        return axes.markers(axes.axis(model, {name: axes.grid(name, numbers)}), d, points)

    psi = markers("psi_p=0.5:20:100", 12, 6)
    np.testing.assert_allclose(psi * 12, np.round(psi * 12), atol=1e-9)
    assert len(psi) == 6 and 0.5 < psi[0] and psi[-1] < 20
    spread = np.diff(np.log(markers("t=0.01:1:100", 12, 4)))
    np.testing.assert_allclose(spread, spread[0], rtol=0.05)
    np.testing.assert_array_equal(markers("m=1.2:3.4:9", 12, 6), [2, 3])


def test_simulation_is_that_of_the_model(model, simulated):
    assert simulated.test_loss_mean.shape == (1, 2) and simulated.attrs["trials"] == 2
    for i, x in enumerate(simulated.simulated_lam.values):
        point = model.replace(lam=x, m=2)
        assert float(simulated.test_loss_theory[0, i]) == pytest.approx(
            float(point.asymptotics().test_loss), rel=1e-9
        )

    def again(seed):  # without the first marker
        networks = {"d": 12, "trials": 2, "at": simulated.simulated_lam.values[1:]}
        axis = {"lam": simulated.lam.values}
        found = sweeps.curve(model, axis, {"m": [2]}, simulate=networks, seed=seed)
        return float(found.test_loss_mean[0, 0])

    assert again(3) == float(simulated.test_loss_mean[0, 1]) != again(4)


def test_a_dataset_holds_the_whole_result(model, simulated, tmp_path):
    storage.save(simulated, tmp_path / "curve.nc")
    with xr.open_dataset(tmp_path / "curve.nc") as stored:
        assert stored.test_loss.dims == ("m", "lam")
        np.testing.assert_array_equal(stored.lam, simulated.lam)
        first = model.replace(m=2, lam=simulated.lam.values[0])
        assert RFDSM.from_dict(json.loads(stored.attrs["model"])) == first
        assert model_of(stored) == first
        assert stored.attrs["jax"] == jax.__version__ and stored.attrs["seed"] == 3
        assert stored.status.attrs["flag_meanings"].split()[0] == "success"
        assert stored.test_loss_mean.dims == ("m", "simulated_lam")
        np.testing.assert_array_equal(stored.simulated_lam, simulated.simulated_lam)
        for name in FIELDS:
            for suffix in ("", "_mean", "_standard_error"):
                np.testing.assert_array_equal(stored[name + suffix], simulated[name + suffix])
