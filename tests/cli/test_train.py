"""`rfdsm train`: theory and networks over training time; table, figure and data files."""

import csv
import json
import math
import os
import re
import zlib

import jax
import numpy as np
import pytest
import xarray as xr
from command import call

from rfdsm import RFDSM, GradientFlow, Timescales, sweeps
from rfdsm._files import labelled as storage
from rfdsm.analysis.learning_times import Times
from rfdsm.errors import FIELDS, LABELS
from rfdsm.plotting import curves
from rfdsm.sweeps import axes, curves as computing

FIXED = "--psi-p 4 --t 0.2"
TIMES = "--tau 0.1:1e3:4"
TRAIN = f"train --psi-n 1.3,2 --m inf {FIXED} {TIMES}"


@pytest.fixture(autouse=True, scope="module")
def _known_times():
    """Timescales of the model's own numbers: the true ones are compiled elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(computing, "timescales", known_times)
        yield


def known_times(model):
    psi_n = float(model.psi_n)
    gone = math.nan if model.m == 1 else 1e9
    return Timescales(Times(2 * psi_n, 50 * psi_n), Times(3 * psi_n, gone))


@pytest.fixture(scope="module")
def model():
    return RFDSM(psi_n=1, psi_p=4, m=math.inf, t=0.2, training=GradientFlow(1.0, 1e-3))


TAUS = axes.grid("tau", "0.1:1e3:4")


@pytest.fixture(scope="module")
def trained(model):
    """psi_n = 1.3 is 1.25 at d = 8. As many markers as times: one program for both."""
    networks = {"d": 8, "trials": 3, "points": 4}
    return sweeps.train(model, TAUS, {"psi_n": [2.0, 1.3]}, simulate=networks, seed=5)


def test_theory_is_the_trajectory_of_every_line(model, trained):
    assert tuple(trained.psi_n.values) == (1.3, 2.0), "lines are sorted"
    assert np.all(trained.status == 0)
    for line, psi_n in enumerate(trained.psi_n.values):
        of_line = model.replace(psi_n=psi_n)
        errors = of_line.trajectory(TAUS)
        for name in FIELDS:
            np.testing.assert_array_equal(trained[name][line], getattr(errors, name))
        for way, times in known_times(of_line)._asdict().items():
            for name, value in times._asdict().items():
                assert float(trained[f"{name}_by_{way}"][line]) == value


def test_networks_are_those_of_the_model(model, trained):
    assert trained.test_loss_mean.shape == (2, 4)
    of_line = model.replace(psi_n=1.3)
    key = jax.random.fold_in(jax.random.key(5), 8)
    key = jax.random.fold_in(key, zlib.crc32(np.array([np.inf, 1.3]).tobytes()))
    taus = trained.simulated_tau.values
    again = of_line.simulate_trajectory(key, 8, taus, 3)
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
    along = axes.axis(model, {"tau": TAUS})
    over_m = computing.lines_of(model, along, axes.axis(model, {"m": [math.inf, 1.0, 4.0]}))
    assert over_m.dims == ("m",) and tuple(over_m.number.x) == (1.0, 4.0, math.inf)
    assert [float(line.psi_n) for line in over_m.models] == [1.0] * 3
    one = computing.lines_of(model, along, axes.axis(model, {"m": [3.0]}))
    assert one.dims == ("m",) and tuple(one.number.x) == (3.0,)


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


def test_a_figure_has_lines_markers_and_times(trained):
    drawn = curves.curve_figure(trained, ["score_error", "test_loss"])
    score, test = drawn.axes
    assert score.get_xscale() == "log" and score.get_xlabel() == r"training time $\tau$"
    assert len(score.containers) == len(test.containers) == 2
    upright = [line.get_xdata()[0] for line in score.lines if len(line.get_xdata()) == 2]
    assert upright == [2.6, 4, 65, 100]
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend[:4] == [
        r"$\psi_n = 1.3$", r"$\psi_n = 2$", "networks, $d = 8$", "best linear score",
    ]  # fmt: skip
    assert r"$\tau_\mathrm{gen}$ (spectrum)" in legend and len(legend) == 6


def theory_of(trained):
    """Without the networks."""
    return trained.drop_dims("simulated_tau")


def test_times_off_the_axis_are_not_drawn(trained):
    far = {"tau_gen_by_bulks": 1e-9, "tau_mem_by_bulks": math.nan}
    changed = theory_of(trained).assign(
        {name: ("psi_n", np.full(2, value)) for name, value in far.items()}
    )
    drawn = curves.curve_figure(changed, ["train_loss"])
    assert len(drawn.axes[0].lines) == 2 and len(drawn.legends[0].get_texts()) == 2


def test_many_panels_take_two_rows(trained):
    drawn = curves.curve_figure(theory_of(trained), FIELDS[:5], log_y=True)
    assert [ax.get_title() for ax in drawn.axes] == [LABELS[x] for x in FIELDS[:5]]
    assert len({ax.get_subplotspec().rowspan.start for ax in drawn.axes}) == 2
    assert all(ax.get_yscale() == "log" for ax in drawn.axes)


def test_the_command(capsys, tmp_path):
    figure, data = tmp_path / "new" / "train.png", tmp_path / "new" / "train.nc"
    code, out, err = call(
        capsys, *TRAIN.split(), "--simulate", "d=8,trials=3,points=4", "--seed", "5",
        "--lam", "1e-3", "--out", str(figure), "--data", str(data),
    )  # fmt: skip
    assert code == 0 and err == ""
    for text in ("tau_gen = 4, tau_mem = 100", "by the curves", "test loss differs by"):
        assert text in out
    assert sorted(os.listdir(tmp_path / "new")) == ["train.nc", "train.png"]
    assert figure.read_bytes().startswith(b"\x89PNG")
    with xr.open_dataset(data) as stored:
        least = f"psi_n = 2: least score error {float(stored.score_error[1].min()):.5g} and"
        assert least in out


def test_lines_over_m_and_options_given_repeatedly(capsys, tmp_path):
    data = str(tmp_path / "m.nc")
    code, out, err = call(
        capsys, *f"train --psi-n 2 --m 4 --m 1,inf {FIXED} {TIMES} --data {data}".split(),
        "--errors", "test-loss,bias2",
    )  # fmt: skip
    assert code == 0 and err == "" and "bias²" in out
    assert re.findall(r"^m = (.*):", out, flags=re.M) == ["1", "4", "∞"]
    assert "tau_mem = nan by the curves" in out
    with xr.open_dataset(data) as stored:
        np.testing.assert_array_equal(stored.m, [1, 4, np.inf])
        four = RFDSM(psi_n=2, psi_p=4, m=4, t=0.2, training=GradientFlow(1.0))
        loss = four.trajectory(stored.tau.values).test_loss
        np.testing.assert_array_equal(stored.test_loss.sel(m=4), loss)


def test_nothing_solved_fails(capsys, tmp_path):
    code, out, err = call(
        capsys, *f"train --psi-n 2 --m inf {FIXED} {TIMES} --lam 1e250".split(),
        "--data", str(tmp_path / "none.csv"),
    )  # fmt: skip
    assert code == 1 and out == "" and "not_converged" in err
    assert err.count("\n") == 1 and not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (f"--psi-n 1,2 --m 1,2 {FIXED}", "both have several"),
        (f"--psi-n 1 --psi-n 2 --m 1 --m 2 {FIXED}", "both have several"),
        (f"--psi-n 2,2 --m 1 {FIXED}", "twice"),
        (f"--psi-n 2 --m inf,inf {FIXED}", "twice"),
        (f"--psi-n 2,x --m 1 {FIXED}", "--psi-n takes numbers"),
        (f"--psi-n 2 --m 1,x {FIXED}", "--m takes numbers"),
        (f"--psi-n 2,-1 --m 1 {FIXED}", "psi_n"),
        (f"--psi-n 2 --m 4,0.5 {FIXED}", "m, the number"),
        (f"--psi-n 2 --m 1 {FIXED} --lam -1", "lam"),
        (f"--psi-n 2 --m 1 {FIXED} --tau -1:10:9", "above 0"),
        (f"--psi-n 2 --m 1 {FIXED} --tau 0:10:9", "above 0"),
        (f"--psi-n 2 --m 1 {FIXED} --tau 1:10", "start:stop:count"),
        (f"--psi-n 2 --m 1 {FIXED} --tau 10:1:9", "larger"),
        (f"--psi-n 2 --m 1 {FIXED} --tau 1:inf:9", "larger"),
        (f"--psi-n 2 --m 1 {FIXED} --tau 1:10:1", "count"),
        (f"--psi-n 2 --m 1 {FIXED} --errors loss", "--errors"),
        (f"--psi-n 2 --m 1 {FIXED} --activation relux", "unknown"),
        (f"--psi-n 2 --m 1 {FIXED} --eigenvalues 1,x", "--eigenvalues"),
        (f"--psi-n 2 --m 1 {FIXED} --weights .5,.5", "one weight"),
        (f"--psi-n 2 --m 1 {FIXED} --simulate 12", "--simulate"),
        (f"--psi-n 2 --m 1 {FIXED} --simulate d=1.5", "--simulate"),
        (f"--psi-n 2 --m 1 {FIXED} --simulate d=8,trials=0", "--simulate"),
        (f"--psi-n 2 --m 1 {FIXED} --simulate trials=2", "--simulate"),
        (f"--psi-n 2 --m 1 {FIXED} --simulate d=8,points=101", "points"),
        (f"--psi-n 2 --m 1,2.5 {FIXED} --simulate d=8", "integer m"),
        (f"--psi-n 2,.01 --m 1 {FIXED} --simulate d=8", "leaves no n"),
        (f"--psi-n 2 --m 1 {FIXED} --out new/a.jpg", ".png or .svg or .pdf"),
        (f"--psi-n 2 --m 1 {FIXED} --data a.json", ".nc or .csv"),
        (f"--psi-n 2 --m 1 {FIXED} --data taken/a.nc", "taken"),
    ],
)
def test_bad_input_is_one_line_before_the_work(
    capsys, tmp_path, monkeypatch, arguments, message
):
    def works(*_, **__):
        pytest.fail("the work began")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweeps, "train", works)
    (tmp_path / "taken").write_text("")
    code, out, err = call(capsys, "train", *arguments.split())
    assert code == 2 and out == ""
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
    assert os.listdir(tmp_path) == ["taken"]
