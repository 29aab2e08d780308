"""Errors over training time, a line for each psi_n or m."""

import csv
import json
import math

import numpy as np
import pytest
import results
import xarray as xr
from results import TAUS, known_times

from rfdsm import RFDSM
from rfdsm._files import labelled as storage
from rfdsm.errors import FIELDS
from rfdsm.sweeps.lines import lines_of
from rfdsm.sweeps.simulation import point_key


@pytest.fixture
def model():
    return results.FLOW


@pytest.fixture
def trained():
    return results.trained()


def test_theory_is_the_trajectory_of_every_line(model, trained):
    assert tuple(trained.psi_n.values) == (1.3, 2.0), "lines are sorted"
    assert np.all(trained.status == 0)
    for line, psi_n in enumerate(trained.psi_n.values):
        of_line = model.replace(psi_n=psi_n)
        errors = of_line.trajectory(TAUS)
        for name in FIELDS:
            exact = getattr(errors, name)
            np.testing.assert_allclose(trained[name][line], exact, rtol=1e-12, atol=1e-14)
        known = known_times(of_line)
        for way in ("bulks", "curves"):
            for name, value in getattr(known, way)._asdict().items():
                assert float(trained[f"{name}_by_{way}"][line]) == value
        assert float(trained.tau_below_best[line]) == known.below_best
        assert float(trained.test_loss_at_gen[line]) == known.test_loss


def test_networks_are_those_of_the_model(model, trained):
    assert trained.test_loss_mean.shape == (2, 4)
    of_line = model.replace(psi_n=1.3)
    key = point_key(of_line, 5, 8, all_times=True)
    taus = trained.simulated_tau.values
    again = of_line.simulate_trajectory(key, 8, 3, taus)
    realised = of_line.at(again.sizes)
    assert float(realised.psi_n) == 1.25
    parts = {
        "mean": again.mean(),
        "standard_error": again.standard_error(),
        "theory": realised.trajectory(taus),
    }
    for name in FIELDS:
        for suffix, errors in parts.items():
            found = trained[f"{name}_{suffix}"][0]
            np.testing.assert_array_equal(found, getattr(errors, name))


def test_lines_differ_in_psi_n_or_in_m(model):
    over_m = lines_of(model, {"tau": TAUS}, {"m": [math.inf, 1.0, 4.0]})
    assert over_m.dims == ("m",) and tuple(over_m.number.x) == (1.0, 4.0, math.inf)
    assert [float(line.psi_n) for line in over_m.models] == [1.0] * 3
    one = lines_of(model, {"training.tau": TAUS}, {"m": [3.0]})
    assert one.dims == ("m",) and one.along.name == "tau" and tuple(one.number.x) == (3.0,)


def test_a_dataset_holds_the_whole_result(model, trained, tmp_path):
    storage.save(trained, tmp_path / "train.nc")
    with xr.open_dataset(tmp_path / "train.nc") as stored:
        assert stored.sizes == {"psi_n": 2, "tau": 4, "simulated_tau": 4}
        assert stored.test_loss.dims == ("psi_n", "tau")
        np.testing.assert_array_equal(stored.tau, TAUS)
        np.testing.assert_array_equal(stored.simulated_tau, trained.simulated_tau)
        np.testing.assert_array_equal(stored.tau_mem_by_bulks, [65, 100])
        np.testing.assert_array_equal(stored.tau_gen_by_curves, [3 * 1.3, 6])
        first = model.replace(psi_n=1.3, tau=TAUS[0])
        assert RFDSM.from_dict(json.loads(stored.attrs["model"])) == first
        assert stored.attrs["seed"] == 5 and stored.attrs["trials"] == 3
        np.testing.assert_array_equal(stored.attrs["simulated_psi_n"], [1.25, 2])
        for name in FIELDS:
            for suffix in ("", "_mean", "_standard_error", "_theory"):
                np.testing.assert_array_equal(stored[name + suffix], trained[name + suffix])


def test_a_csv_table_has_a_row_for_each_time(trained, tmp_path):
    storage.save(trained, tmp_path / "train.csv")
    with open(tmp_path / "train.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = [row["kind"] for row in rows]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "theory": 8, "simulation": 8, "timescales": 2,
    }  # fmt: skip
    assert [float(row["tau"]) for row in rows[:4]] == list(TAUS)
