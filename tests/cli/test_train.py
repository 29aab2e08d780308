"""`rfdsm train`: theory and networks over training time; table, figure and data files."""

import functools
import os
import re

import numpy as np
import pytest
import results
import xarray as xr
from command import call

from rfdsm import RFDSM, GradientFlow, sweeps
from rfdsm.cli import train as command
from rfdsm.sweeps import curves as computing

FIXED = "--psi-p 4 --t 0.2"
TIMES = "--tau 0.1:1e3:4"
TRAIN = f"train --psi-n 1.3,2 --m inf {FIXED} {TIMES}"


@pytest.fixture(autouse=True, scope="module")
def _known_times():
    """Timescales of the model's own numbers: the true ones are compiled elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(computing, "timescales", results.known_times)
        yield


def test_the_command(capsys, tmp_path):
    figure, data = tmp_path / "new" / "train.png", tmp_path / "new" / "train.nc"
    code, out, err = call(
        capsys, *TRAIN.split(), "--simulate", "d=8,trials=3,points=4", "--seed", "5",
        "--lam", "1e-3", "--out", str(figure), "--data", str(data),
    )  # fmt: skip
    assert code == 0 and err == ""
    for text in (
        "stop at tau_gen = 6 (test loss 0.5)",
        "tau = 4, those of single points from 100",
        "test loss differs by",
    ):
        assert text in out
    assert sorted(os.listdir(tmp_path / "new")) == ["train.nc", "train.png"]
    assert figure.read_bytes().startswith(b"\x89PNG")
    with xr.open_dataset(data) as stored:
        assert float(stored.tau_mem_by_curves[1]) == 1e9
    assert (
        "psi_n = 2: stop at tau_gen = 6 (test loss 0.5); memorises from tau_mem = 1e+09" in out
    )


def test_lines_over_m_and_options_given_repeatedly(capsys, tmp_path):
    data = str(tmp_path / "m.nc")
    code, out, err = call(
        capsys, *f"train --psi-n 2 --m 4 --m 1,inf {FIXED} {TIMES} --data {data}".split(),
        "--errors", "test-loss,bias2",
    )  # fmt: skip
    assert code == 0 and err == "" and "bias²" in out
    assert re.findall(r"^m = (.*):", out, flags=re.M) == ["1", "4", "∞"]
    assert "m = 1: stop at tau_gen = 6 (test loss 0.5); it does not memorise" in out
    with xr.open_dataset(data) as stored:
        np.testing.assert_array_equal(stored.m, [1, 4, np.inf])
        four = RFDSM(psi_n=2, psi_p=4, m=4, t=0.2, training=GradientFlow(1.0))
        loss = four.trajectory(stored.tau.values).test_loss
        np.testing.assert_allclose(stored.test_loss.sel(m=4), loss, rtol=1e-12)


def test_lines_over_psi_p(capsys):
    code, out, err = call(
        capsys, *f"train --psi-n 2 --m inf --psi-p 4,2 --t 0.2 {TIMES}".split(),
        "--errors", "test-loss",
    )  # fmt: skip
    assert code == 0 and err == ""
    assert re.findall(r"^psi_p = (.*): stop", out, flags=re.M) == ["2", "4"]


def test_of_data_the_best_stop_has_an_error_bar(capsys, tmp_path, monkeypatch):
    """Measured as `results.predicted` is: the same programs."""
    fast = functools.partial(command.measure, noises=4, classes=1)
    monkeypatch.setattr(command, "measure", fast)
    np.savetxt(tmp_path / "points.csv", results.points(), delimiter=",")
    data = tmp_path / "train.nc"
    code, out, _ = call(
        capsys, "train", str(tmp_path / "points.csv"), *f"--psi-p 2 {TIMES}".split(),
        "--out", str(tmp_path / "train.png"), "--data", str(data),
    )  # fmt: skip
    assert code == 0 and "200 points of 8 columns" in out
    with xr.open_dataset(data) as stored:
        assert stored.sizes == {"tau": 4}
        assert "score_error" not in stored and stored.attrs["points"] == 200
        error = float(stored.test_loss_at_gen_error)
        assert 1e-3 < error < 0.5
        # n = 2 d: 3 psi_n.
        assert f"stop at tau_gen = 6 (test loss 0.5 ± {error:.1g}); memorises from" in out


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--psi-p 2,4", "moments of DATA are measured at one"),
        ("--t .1,.2", "moments of DATA are measured at one"),
        ("--psi-p .01", "no network"),
        ("--psi-n 0", "psi_n"),
        ("--simulate d=8", "--simulate"),
        ("--eigenvalues 1,2", "of a law"),
    ],
)
def test_bad_input_beside_data_is_one_line(capsys, tmp_path, arguments, message):
    np.savetxt(tmp_path / "points.csv", results.points(), delimiter=",")
    code, _, err = call(capsys, "train", str(tmp_path / "points.csv"), *arguments.split())
    assert code == 2 and message in err
    assert err.startswith("rfdsm: ") and err.count("\n") == 1


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
        ("--psi-n 2 --m 1 --psi-p 4,8 --t .1,.2", "both have several"),
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
