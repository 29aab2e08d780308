"""`rfdsm curve`: theory and simulation over one parameter; table, figure and data files."""

import csv
import json
import math
import os
import re

import jax
import numpy as np
import pytest
import xarray as xr
from command import call, rfdsm

from rfdsm import RFDSM, Status, model_of, sweeps
from rfdsm._files import labelled as storage, whole as files
from rfdsm.analysis.records import about_runs
from rfdsm.errors import FIELDS, STATUSES
from rfdsm.parameters import declared
from rfdsm.plotting import curves, describe
from rfdsm.sweeps import axes

FIXED = "--psi-n 2 --t 0.2 --lam 1e-2"
SWEEP = f"curve psi_p=0.5:8:5 {FIXED} --m 1,inf"
MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.fixture(scope="module")
def model():
    return RFDSM(psi_n=2, psi_p=4, m=2, t=0.2, lam=1e-2)


@pytest.fixture(scope="module")
def simulated(model):
    """A sweep of lam, whose markers share one compilation, simulated at two points."""
    networks = {"d": 12, "trials": 2, "points": 2}
    grid = axes.grid("lam", "1e-3:1:4")
    return sweeps.curve(model, {"lam": grid}, {"m": [2]}, simulate=networks, seed=3)


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


def test_a_figure_has_lines_markers_and_a_baseline(simulated):
    drawn = curves.curve_figure(simulated, ["test_loss", "variance"], log_y=True)
    test, variance = drawn.axes
    label = declared(RFDSM)["training.lam"].title
    assert label == r"ridge $\lambda$"
    assert test.get_xlabel() == label and test.get_yscale() == "log"
    assert len(test.containers) == 1 and len(test.lines) == 3 and len(variance.lines) == 2
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend == ["$m = 2$", "networks, $d = 12$", "best linear score"]


def test_every_activation_and_law_has_a_title():
    from rfdsm import Gaussian, ReLU

    law = Gaussian((1.9, 0.1))
    text = describe(
        RFDSM(8, 1, math.inf, t=0.1, lam=2e-3, activation=ReLU(), data=law), without=["psi_p"]
    )
    assert text == (
        r"Gaussian data, eigenvalues 1.9, 0.1, ReLU, $\psi_n = 8$, $m = \infty$, $t = 0.1$, "
        r"$\lambda = 2\times 10^{-3}$"
    )


def test_statuses_are_all_named():
    assert len(STATUSES) == len(Status) and len(set(STATUSES)) == len(Status)
    assert all(hasattr(Status, name) for name in STATUSES)


def test_the_command_as_a_process(tmp_path):
    """Output is piped: no progress bar. Everything is asked for at once."""
    figure, data = tmp_path / "new" / "curve.png", tmp_path / "new" / "curve.nc"
    done = rfdsm(
        *SWEEP.split(), "--simulate", "d=12,trials=2,points=1",
        "--out", str(figure), "--data", str(data),
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == ""
    for text in ("m = 1: least test loss", "m = ∞: least test loss", "memorization loss"):
        assert text in done.stdout
    assert "test loss differs by" in done.stdout
    assert sorted(os.listdir(tmp_path / "new")) == ["curve.nc", "curve.png"]
    with xr.open_dataset(data) as stored:
        assert stored.sizes == {"m": 2, "psi_p": 5, "simulated_psi_p": 1}
        i = int(stored.test_loss.sel(m=math.inf).argmin("psi_p"))
        least = f"m = ∞: least test loss {stored.test_loss[1, i]:.5g} at psi_p = "
        assert least in done.stdout
        assert stored.attrs["simulated_psi_n"] == 2


@pytest.mark.parametrize("suffix", MAGIC)
def test_figures_of_every_format(capsys, tmp_path, suffix):
    target = tmp_path / f"curve{suffix}"
    extra = ["--out", str(target), "--log-y", "--linear", "--errors", "score-error,bias2"]
    code, out, err = call(capsys, *SWEEP.split(), *extra)
    assert code == 0 and err == "" and "bias²" in out
    assert target.read_bytes().startswith(MAGIC[suffix])


def test_m_may_be_swept_and_given_repeatedly(capsys, tmp_path):
    data = str(tmp_path / "m.csv")
    code, out, _ = call(
        capsys, *f"curve m=1:8:30 --psi-n 2 --psi-p 1 --t 1 --lam 1 --data {data}".split()
    )
    assert code == 0 and "m = " in out
    table = out.split("\n\n")[0].splitlines()
    assert 2 < len(table) <= 13, "at most twelve rows and a title"
    with open(data, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30 and float(rows[-1]["m"]) == pytest.approx(8)
    code, out, _ = call(
        capsys, *"curve lam=1:8:2 --psi-n 2 --psi-p 1 --t 1 --m 4 --m 1,inf".split()
    )
    assert code == 0 and re.findall(r"^m = (.*):", out, flags=re.M) == ["1", "4", "∞"]


def test_failed_points_are_gaps_and_counted(capsys, tmp_path):
    data, figure = tmp_path / "gaps.csv", tmp_path / "gaps.png"
    code, out, err = call(
        capsys, *"curve lam=1e-3:1e200:4 --psi-n 2 --psi-p 1 --t 1 --m 2".split(),
        "--data", str(data), "--out", str(figure),
    )  # fmt: skip
    assert code == 0 and err.count("\n") == 1 and "1 of 4 points were not solved" in err
    assert "nan" in out and figure.exists()
    with open(data, newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert last["status"] == "not_converged" and last["test_loss"] == ""


def test_a_curve_without_a_solved_point_fails(capsys, tmp_path):
    code, out, err = call(
        capsys, *"curve lam=1e190:1e200:4 --psi-n 2 --psi-p 1 --t 1 --m 2".split(),
        "--data", str(tmp_path / "none.csv"),
    )  # fmt: skip
    assert code == 1 and out == "" and err.count("\n") == 1 and not os.listdir(tmp_path)


def test_nothing_is_written_when_a_run_fails(capsys, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise ValueError("no figure")

    monkeypatch.setattr(curves, "curve_figure", fails)
    figure, data = tmp_path / "curve.png", tmp_path / "curve.nc"
    code, out, err = call(capsys, *SWEEP.split(), "--out", str(figure), "--data", str(data))
    assert (code, out, err) == (2, "", "rfdsm: no figure\n") and not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (f"psi_q=1:2:3 {FIXED} --m 1", "cannot be swept"),
        (f"psi_p {FIXED} --m 1", "start:stop:count"),
        (f"psi_p=1:2 {FIXED} --m 1", "start:stop:count"),
        (f"psi_p=1:x:3 {FIXED} --m 1", "start:stop:count"),
        (f"psi_p=0:2:3 {FIXED} --m 1", "logarithmic"),
        (f"psi_p=-1:2:3 {FIXED} --m 1", "logarithmic"),
        (f"psi_p=0:2:3 {FIXED} --m 1 --linear", "psi_p = p/d must be positive"),
        (f"psi_p=1:2:1 {FIXED} --m 1", "count"),
        (f"psi_p=1:2:99999999 {FIXED} --m 1", "count"),
        (f"psi_p=2:1:3 {FIXED} --m 1", "larger"),
        (f"psi_p=1:inf:3 {FIXED} --m 1", "larger"),
        (f"psi_p=1:1e300:3 {FIXED} --m 1", "moderate"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --psi-p 3", "leave one out"),
        (f"psi_p=1:2:3 t=1:2:3 {FIXED} --m 1", "one parameter"),
        ("psi_p=1:2:3 --psi-n 2 --t 0.2 --m 1", "--lam is missing"),
        ("lam=1:2:3 --psi-n 2 --t 0.2 --m 1", "--psi-p is missing"),
        (f"psi_p=1:2:3 {FIXED}", "--m is missing"),
        (f"psi_p=1:2:3 {FIXED} --m 1,1", "twice"),
        (f"psi_p=1:2:3 {FIXED} --m 1,x", "--m takes numbers"),
        (f"psi_p=1:2:3 {FIXED} --m 1,0.5", "m, the number"),
        (f"m=1:2:3 {FIXED} --psi-p 1 --m 1", "leave one out"),
        (f"m=0.5:2:3 {FIXED} --psi-p 1", "m, the number"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --errors loss", "--errors"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --errors bias2,bias2", "--errors"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --simulate 12", "--simulate"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --simulate d=12,24", "--simulate"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --simulate trials=2", "--simulate"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --simulate d=12,trials=0", "--simulate"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --simulate d=12,size=2", "--simulate"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --simulate d=12,points=4", "points"),
        (f"psi_p=.01:2:3 {FIXED} --m 1 --simulate d=3", "points"),
        (f"psi_p=.01:2:9 {FIXED} --m 1 --simulate d=3", "leaves no p"),
        (f"psi_p=1:2:9 {FIXED} --m 1,2.5 --simulate d=3", "integer m"),
        (f"m=1.1:1.9:9 {FIXED} --psi-p 1 --simulate d=3", "no integer m"),
        (f"psi_p=1:2:9 {FIXED} --m 1 --activation relux", "unknown"),
        (f"psi_p=1:2:9 {FIXED} --m 1 --weights .5,.5", "one weight"),
        (f"psi_p=1:2:9 {FIXED} --m 1 --out new/a.jpg", ".png or .svg or .pdf"),
        (f"psi_p=1:2:9 {FIXED} --m 1 --out a", ".png or .svg or .pdf"),
        (f"psi_p=1:2:9 {FIXED} --m 1 --data new/a.json", ".nc or .csv"),
        (f"psi_p=1:2:9 {FIXED} --m 1 --data taken/a.nc", "taken"),
        (f"psi_p=1:2:9 {FIXED} --m 1 --out taken/new/a.png", "taken"),
        (f"psi_p=1:2:9 {FIXED} --m 1 --out folder.png", "folder.png"),
    ],
)
def test_bad_input_is_one_line_before_the_work(
    capsys, tmp_path, monkeypatch, arguments, message
):
    def works(*_, **__):
        pytest.fail("the work began")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jax, "jit", works)
    (tmp_path / "taken").write_text("")
    (tmp_path / "folder.png").mkdir()
    code, out, err = call(capsys, "curve", *arguments.split())
    assert code == 2 and out == ""
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
    assert sorted(os.listdir(tmp_path)) == ["folder.png", "taken"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match="Permission denied"):
        files.require_writable(tmp_path / "new" / "a.nc", (".nc",))
