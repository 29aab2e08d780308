"""`rfdsm curve`: theory and simulation over one parameter; table, figure and data files."""

import csv
import math
import os
import re

import jax
import pytest
import xarray as xr
from command import call, rfdsm

from rfdsm import RFDSM

FIXED = "--psi-n 2 --t 0.2 --lam 1e-2"
SWEEP = f"curve psi_p=0.5:8:5 {FIXED} --m 1,inf"
MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


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


@pytest.mark.parametrize("number, told", [("psi-p .5,8", "psi_p"), ("psi-n 3,1", "psi_n")])
def test_a_line_for_each_value_of_any_one_number(capsys, number, told):
    given = {"psi-n": "2", "psi-p": "1"} | dict([number.split()])
    options = [word for name, x in given.items() for word in (f"--{name}", x)]
    code, out, err = call(capsys, *"curve lam=1:8:2 --t 1 --m 4".split(), *options)
    values = sorted(number.split()[1].split(","), key=float)
    assert code == 0 and err == ""
    lines = re.findall(rf"^{told} = (.*): least", out, flags=re.M)
    assert [float(x) for x in lines] == [float(x) for x in values]


def test_lines_over_lam(capsys, tmp_path):
    data = str(tmp_path / "lam.nc")
    code, out, err = call(
        capsys, *"curve psi_p=0.5:8:5 --psi-n 2 --t 0.2 --m 1 --lam 1e-1,1e-2".split(),
        "--data", data, "--out", str(tmp_path / "lam.png"),
    )  # fmt: skip
    assert code == 0 and err == ""
    assert re.findall(r"^lam = (.*): least", out, flags=re.M) == ["0.01", "0.1"]
    with xr.open_dataset(data) as stored:
        assert stored.test_loss.dims == ("lam", "psi_p")
        model = RFDSM(psi_n=2, psi_p=8, m=1, t=0.2, lam=0.1)
        loss = float(model.asymptotics().test_loss)
        assert float(stored.test_loss[1, -1]) == pytest.approx(loss, rel=1e-10)


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
        (f"psi_p=1:2:3 {FIXED} --m 1 --simulate d=12,trials=0", "trials must be at least 1"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --simulate d=-3", "d must be at least 1, got -3"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --simulate d=12,size=2", "'size' is none of these"),
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
