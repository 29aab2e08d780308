"""`rfdsm parts`: the parts at a point, what to raise next, a figure and the data over one."""

import csv
import os
import re

import pytest
import xarray as xr
from command import call

from rfdsm import RFDSM, advise
from rfdsm.cli import parts as command
from rfdsm.overlaps import PARTS
from rfdsm.sweeps import variance_curve
from rfdsm.sweeps.variance import WORDS

FIXED = "parts --psi-n 2 --psi-p 1 --t 0.2 --lam 1e-2"
MODEL = RFDSM(psi_n=2, psi_p=1, m=2, t=0.2, lam=1e-2)


def rows_of(table):
    """Cells, which two blanks or more part."""
    return [re.split(r"\s{2,}", line.strip()) for line in table.splitlines() if line.strip()]


def test_the_parts_at_a_point_and_what_to_raise(capsys):
    code, out, err = call(capsys, *FIXED.split(), "--m", "2")
    assert code == 0 and err == ""
    *first, second, told = out.split("\n\n")
    rows = rows_of("\n".join(first))
    assert rows[0] == ["variance by", "value", "share", "vanishes at infinite"]
    shown, found = {x[0]: x[1:] for x in rows}, variance_curve(MODEL, {"m": [2.0]})
    for name in PARTS:
        value, share, at = shown[WORDS[name].made_by]
        assert value == f"{float(found[name][0]):.4g}"
        assert share == f"{100 * float(found[name][0] / found.variance[0]):.3g} %"
        assert at == WORDS[name].vanishes_at
    values = [float(row[1]) for row in rows[1:6]]
    assert values == sorted(values, reverse=True)
    assert shown["variance"] == [f"{float(found.variance[0]):.4g}", "100 %"]
    assert shown["bias²"] == [f"{float(found.bias2[0]):.4g}"]
    rows, advice = rows_of(second), advise(MODEL)
    assert rows[0] == ["test loss by more", "d/d log", "doubled", "change"]
    assert [row[0] for row in rows[1:]] == ["n = 2 d", "p = 1 d", "m = 2"]
    assert rows[1][1:3] == [f"{float(advice.slopes.n):+.4g}", f"{float(advice.doubled.n):.4g}"]
    assert told.strip() == advice.sentence


def test_networks_at_a_point_of_infinitely_many_noises(capsys):
    code, out, err = call(
        capsys, *FIXED.split(), "--m", "inf", "--simulate", "d=8,trials=3", "--seed", "2"
    )
    assert code == 0 and err == ""
    assert "d = 8" in out and "±" in out and "variance differs by" in out
    (row,) = re.findall(r"^m = ∞ +(\S+) in 1/m +- +-$", out, flags=re.M)
    assert float(row) == pytest.approx(
        float(advise(MODEL.replace(m=float("inf"))).slope_of_inverse_m), rel=1e-3
    )


def test_over_a_number(capsys, tmp_path):
    figure, data, table = (tmp_path / "new" / f"parts.{x}" for x in ("pdf", "nc", "csv"))
    asked = [*FIXED.split(), "--m", "2", "--over", "psi-p=0.5:8:4"]
    networks = "--simulate", "d=8,trials=2,points=1"
    code, out, err = call(
        capsys, *asked, *networks, "--out", str(figure), "--data", str(data), "--log-y"
    )
    assert code == 0 and err == "" and "networks of d = 8, 2 trials" in out
    title = next(line for line in out.splitlines() if line.strip().startswith("psi_p"))
    assert title.split("  ")[0].strip() == "psi_p" and "features × points" in title
    assert figure.read_bytes().startswith(b"%PDF")
    with xr.open_dataset(data) as stored:
        assert stored.sizes == {"psi_p": 4, "simulated_psi_p": 1, "trial": 2}
        assert f"{float(stored.noises[0]):.5g}" in out
    code, out, err = call(capsys, *asked, "--data", str(table))
    assert code == 0 and err == ""
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and float(rows[0]["psi_p"]) == pytest.approx(0.5)


def test_a_grid_without_a_count_has_one():
    assert {name: len(x) for name, x in command._over("psi-p=.5:64").items()} == {"psi_p": 60}
    assert command._over("m=1,4,inf")["m"].tolist() == [1, 4, float("inf")]
    assert len(command._over("t=.1:1:5:linear")["t"]) == 5


@pytest.mark.parametrize(
    "extra, message",
    [
        ("", "--m is missing"),
        ("--m 0.5", "m, the number"),
        ("--m 2 --over q=1:2", "'q' is no number of this model"),
        ("--m 2 --over psi_p", "psi_p takes start:stop:count"),
        ("--m 2 --over psi_p=1:x", "start:stop:count"),
        ("--m 2 --over psi_p=-1:2", "logarithmic"),
        ("--m 2 --over m=0.5:2", "m, the number"),
        ("--m 2 --out a.png", "--out and --data are of --over"),
        ("--m 2 --data a.nc", "--out and --data are of --over"),
        ("--m 2 --over psi_p=1:2 --out a.jpg", ".png or .svg or .pdf"),
        ("--m 2 --over psi_p=1:2 --data a.json", ".nc or .csv"),
        ("--m 2 --simulate trials=2", "d is missing"),
        ("--m 2 --simulate d=8,trials=1", "trials must be at least 2"),
        ("--m 2 --simulate d=8,points=2", "'points' is none of these"),
        ("--m 2 --over psi_p=1:2:3 --simulate d=8,points=4", "points from 1 to the grid's 3"),
        ("--m 2 --psi-p 0.01 --simulate d=8", "leaves no p"),
        ("--m 2.5 --simulate d=8", "no integer m"),
        ("--m 2 --networks 4", "No such option"),
        ("--m 2 --seed -1", "--seed takes an integer"),
    ],
)
def test_bad_input_is_one_line_before_the_work(capsys, tmp_path, monkeypatch, extra, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "variance_curve", None)
    words = FIXED.split()
    if "--psi-p" in extra:
        words = FIXED.replace("--psi-p 1 ", "").split()
    code, out, err = call(capsys, *words, *extra.split())
    assert code == 2 and out == ""
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
    assert os.listdir(tmp_path) == []


def test_a_model_that_is_not_solved_fails_in_one_line(capsys):
    words = FIXED.replace("1e-2", "1e200").split()
    code, out, err = call(capsys, *words, "--m", "2")
    assert code == 1 and out == "" and err.count("\n") == 1 and "not_converged" in err
