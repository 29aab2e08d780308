"""Data sets in files."""

import csv

import pytest
import results
import xarray as xr

from rfdsm._files import labelled as storage
from rfdsm.analysis.records import about_runs


@pytest.fixture
def simulated():
    return results.simulated()


def test_a_seed_of_any_size_is_stored(simulated, tmp_path):
    result = simulated.assign_attrs(about_runs(12, 2, 2**40))
    storage.save(result, tmp_path / "curve.nc")
    with xr.open_dataset(tmp_path / "curve.nc") as stored:
        assert int(stored.attrs["seed"]) == 2**40


def test_a_csv_table_has_a_row_for_each_point(simulated, tmp_path):
    storage.save(simulated, tmp_path / "curve.csv")
    with open(tmp_path / "curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    theory = [row for row in rows if row["kind"] == "theory"]
    networks = [row for row in rows if row["kind"] == "simulation"]
    assert len(theory) == 4 and len(networks) == 2 and len(rows) == 6
    assert [float(row["lam"]) for row in theory] == list(simulated.lam.values)
    assert [float(row["lam"]) for row in networks] == list(simulated.simulated_lam.values)
    assert {float(row["m"]) for row in rows} == {2} and theory[0]["status"] == "success"
    means, bars = (simulated[f"test_loss_{x}"].values[0] for x in ("mean", "standard_error"))
    for row, value, bar in zip(networks, means, bars, strict=True):
        assert float(row["test_loss"]) == value
        assert float(row["test_loss_standard_error"]) == bar
    assert theory[0]["test_loss_standard_error"] == ""


def test_a_dataset_of_single_numbers_is_one_row():
    frame = storage.table(xr.Dataset({"a": 1.0, "b": 2.0}))
    assert frame.to_dict("records") == [{"a": 1.0, "b": 2.0}]
