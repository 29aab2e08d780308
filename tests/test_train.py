"""`rfdsm train`: theory and networks over training time; table, figure and data files."""

import csv
import json
import math
import os
import re
import warnings
import zlib

import jax
import numpy as np
import pytest
import xarray as xr
from test_cli import call

from rfdsm import RFDSM, GradientFlow, curve, family, plotting, storage, train
from rfdsm.errors import FIELDS
from rfdsm.timescales import Times, Timescales

FIXED = "--psi-p 4 --t 0.2"
TIMES = "--tau 0.1:1e3:4"
TRAIN = f"train --psi-n 1.3,2 --m inf {FIXED} {TIMES}"


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)


@pytest.fixture(autouse=True, scope="module")
def _known_times():
    """Timescales of the model's own numbers: the true ones are compiled elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "timescales", known_times)
        yield


def known_times(model):
    psi_n = float(model.psi_n)
    gone = math.nan if model.m == 1 else 1e9
    return Timescales(Times(2 * psi_n, 50 * psi_n), Times(3 * psi_n, gone))


@pytest.fixture(scope="module")
def model():
    return RFDSM(psi_n=1, psi_p=4, m=math.inf, t=0.2, training=GradientFlow(1.0, 1e-3))


@pytest.fixture(scope="module")
def trained(model):
    """psi_n = 1.3 is 1.25 at d = 8. As many markers as times: one program for both."""
    request = train.lines(model, [2.0, 1.3], [math.inf])
    result = train.solve(request, family.range_of("tau", "0.1:1e3:4"))
    taus = curve.markers(result.theory.grid, 8, 4)
    return result, train.simulate(result, taus, 8, 3, seed=5)


def test_theory_is_the_trajectory_of_every_line(model, trained):
    result, _ = trained
    assert result.theory.values == (1.3, 2.0), "lines are sorted"
    assert np.all(result.theory.status == 0)
    for line, psi_n in enumerate(result.theory.values):
        of_line = model.replace(psi_n=psi_n)
        errors = of_line.trajectory(result.theory.grid.x)
        for name in FIELDS:
            found = getattr(result.theory.errors, name)[line]
            np.testing.assert_array_equal(found, getattr(errors, name))
        assert result.times[line] == known_times(of_line)


def test_networks_are_those_of_the_model(model, trained):
    _, runs = trained
    assert runs.means.test_loss.shape == (2, 4)
    of_line = model.replace(psi_n=1.3)
    key = jax.random.fold_in(jax.random.key(5), 8)
    key = jax.random.fold_in(key, zlib.crc32(np.array([np.inf, 1.3]).tobytes()))
    again = of_line.simulate_trajectory(key, 8, runs.x, 3)
    realised = of_line.at(again.sizes)
    assert float(realised.psi_n) == 1.25
    theory = realised.trajectory(runs.x)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(runs.means, name)[0], getattr(again.mean(), name))
        np.testing.assert_array_equal(
            getattr(runs.bars, name)[0], getattr(again.standard_error(), name)
        )
        np.testing.assert_array_equal(getattr(runs.theory, name)[0], getattr(theory, name))


def test_lines_differ_in_psi_n_or_in_m(model):
    over_m = train.lines(model, [2.0], [math.inf, 1.0, 4.0])
    assert over_m.name == "m" and over_m.values() == (1.0, 4.0, math.inf)
    assert [float(line.psi_n) for line in over_m.models] == [2.0] * 3
    one = train.lines(model, [2.0], [3.0])
    assert one.name == "m" and one.values() == (3.0,)


def test_a_dataset_holds_the_whole_result(trained, tmp_path):
    result, runs = trained
    storage.save(train.dataset(result, runs), tmp_path / "train.nc")
    with xr.open_dataset(tmp_path / "train.nc") as stored:
        assert stored.sizes == {"psi_n": 2, "tau": 4, "simulated_tau": 4}
        assert stored.test_loss.dims == ("psi_n", "tau")
        np.testing.assert_array_equal(stored.tau, result.theory.grid.x)
        np.testing.assert_array_equal(stored.simulated_tau, runs.x)
        np.testing.assert_array_equal(stored.tau_mem_by_bulks, [65, 100])
        np.testing.assert_array_equal(stored.tau_gen_by_curves, [3 * 1.3, 6])
        assert RFDSM.from_dict(json.loads(stored.attrs["model"])) == result.request.models[0]
        assert stored.attrs["seed"] == 5 and stored.attrs["trials"] == 3
        np.testing.assert_array_equal(stored.attrs["simulated_psi_n"], [1.25, 2])
        for name in FIELDS:
            for suffix, errors in (
                ("", result.theory.errors),
                ("_mean", runs.means),
                ("_standard_error", runs.bars),
                ("_theory", runs.theory),
            ):
                np.testing.assert_array_equal(stored[name + suffix], getattr(errors, name))


def test_a_csv_table_has_a_row_for_each_time(trained, tmp_path):
    result, runs = trained
    storage.save(train.dataset(result, runs), tmp_path / "train.csv")
    with open(tmp_path / "train.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = [row["kind"] for row in rows]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "theory": 8, "simulation": 8, "timescales": 2,
    }  # fmt: skip
    assert [float(row["tau"]) for row in rows[:4]] == list(result.theory.grid.x)


def test_a_figure_has_lines_markers_and_times(trained):
    drawn = train.figure(*trained, ["score_error", "test_loss"])
    score, test = drawn.axes
    assert score.get_xscale() == "log" and score.get_xlabel() == plotting.PARAMETERS["tau"]
    assert len(score.containers) == len(test.containers) == 2
    upright = [line.get_xdata()[0] for line in score.lines if len(line.get_xdata()) == 2]
    assert upright == [2.6, 4, 65, 100]
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend[:4] == [
        r"$\psi_n = 1.3$", r"$\psi_n = 2$", "networks, $d = 8$", "best linear score",
    ]  # fmt: skip
    assert r"$\tau_\mathrm{gen}$ (spectrum)" in legend and len(legend) == 6


def test_times_off_the_axis_are_not_drawn(trained):
    result, _ = trained
    far = Timescales(Times(1e-9, math.nan), Times(1.0, 1.0))
    drawn = train.figure(result._replace(times=(far, far)), None, ["train_loss"])
    assert len(drawn.axes[0].lines) == 2 and len(drawn.legends[0].get_texts()) == 2


def test_many_panels_take_two_rows(trained):
    drawn = train.figure(trained[0], None, FIELDS[:5], log_y=True)
    assert [ax.get_title() for ax in drawn.axes] == [plotting.LABELS[x] for x in FIELDS[:5]]
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
    monkeypatch.setattr(train, "solve", works)
    (tmp_path / "taken").write_text("")
    code, out, err = call(capsys, "train", *arguments.split())
    assert code == 2 and out == ""
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
    assert os.listdir(tmp_path) == ["taken"]
