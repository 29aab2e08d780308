"""`rfdsm compare targets`: tables, words, files, and what is refused."""

import csv
import os

import numpy as np
import pytest
import results
import xarray as xr
from command import call

from rfdsm import NotConverged, plotting
from rfdsm.cli import compare as command
from rfdsm.ingredients.processes import FlowMatching
from rfdsm.ingredients.training import GradientFlow
from rfdsm.sweeps import comparison, contest

FIXED = "compare targets --psi-n 4 --m 8 --t 0.5 --subspace 0.1"
MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.fixture
def path(tmp_path):
    np.save(tmp_path / "points.npy", results.points())
    return str(tmp_path / "points.npy")


def test_a_table_words_a_figure_and_the_data(capsys, tmp_path):
    """At psi_p = 0.3 the velocity is better, at 1 and 3 the data: they cross in between."""
    figure, data = tmp_path / "new" / "targets.png", tmp_path / "new" / "targets.nc"
    code, out, err = call(
        capsys, *FIXED.split(), "--psi-p", "0.3:3:3", "--out", str(figure), "--data", str(data)
    )
    assert code == 0 and err == ""
    table, told = out.split("\n\n")
    rows = [line.split() for line in table.splitlines()]
    assert rows[0][:5] == ["psi_p", "noise", "data", "velocity", "best"] and len(rows) == 4
    assert [row[4] for row in rows[1:]] == ["velocity", "data", "data"]
    assert "by their noise error, each at its best lam" in told
    assert "velocity is best, data second at" in told and "velocity and data cross, at" in told
    assert figure.read_bytes().startswith(MAGIC[".png"])
    with xr.open_dataset(data) as stored:
        assert stored.noise_error.dims == ("target", "psi_p")
        assert stored["target"].values.tolist() == ["noise", "data", "velocity"]
        assert f"{float(stored.noise_error[1, 0]):.5g}" == rows[1][2]
        assert f"{float(stored.optimal_lam[1, 2]):.3g}" == rows[3][6]


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_the_model_s_own_ridge(capsys, tmp_path, suffix):
    target, data = tmp_path / f"t{suffix}", tmp_path / "t.csv"
    asked = "--psi-p 0.3:3:3 --best none --lam 1e-2 --targets noise,1,0 --log-y"
    code, out, err = call(
        capsys, *FIXED.split(), *asked.split(), "--out", str(target), "--data", str(data)
    )
    assert code == 0 and err == "" and "its lam" not in out and "best lam" not in out
    assert target.read_bytes().startswith(MAGIC[suffix])
    with open(data, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["target"] for row in rows] == ["noise"] * 3 + ["1,0"] * 3
    assert [float(row["c_x"]) for row in rows] == [0.0] * 3 + [1.0] * 3


def of(*arguments, best=("lam", None), **beside):
    """What a command line asks, its numbers as options give them."""
    given = {}
    for text in arguments:
        name, _, value = text.partition("=")
        given[name] = [value] if name in command.options.names() else value
    nothing = {name: None for name in ("n", "subspace")}
    return command.question(given, dict([best]), None, nothing | beside)


def test_what_is_given_as_a_range_is_the_abscissa():
    model, over = of("psi_n=2", "psi_p=1", "process=fm", "t=0.2:0.8:4:linear")
    assert isinstance(model.process, FlowMatching) and model.m == 4
    np.testing.assert_allclose(over["t"], [0.2, 0.4, 0.6, 0.8])
    model, over = of("psi_n=2", "psi_p=1,3", "t=0.1", best=("tau", None))
    assert isinstance(model.training, GradientFlow) and over["psi_p"].tolist() == [1, 3]
    model, over = of("psi_n=2", "psi_p=1", "t=0.1", "lam=1", subspace="0.1:1:3", best=("x", 1))
    together = over["subspace"]
    assert next(iter(together)) == "data.weights[1]"
    np.testing.assert_allclose(together["data.weights[1]"], [0.1, 0.1**0.5, 1])
    np.testing.assert_allclose(model.data.eigenvalues, [0, 10])


def test_numbers_of_a_list_of_targets_belong_together():
    read = command._targets
    assert read(["noise,1,-1,data", "angle:0.7"]) == ["noise", "1,-1", "data", "angle:0.7"]
    assert read(["linear:1,2,3,4"]) == ["linear:1,2", "3,4"]


def write(folder):
    rng = np.random.default_rng(3)
    np.save(folder / "good.npy", rng.normal(size=(40, 5)))
    (folder / "taken").write_text("")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("processes --psi-p 1:2:3", "compare takes targets"),
        ("--psi-n 2 --psi-p 1 --t 0.1", "one number is given as a range"),
        ("--psi-n 2,3 --psi-p 1:2:3 --t 0.1", "got --psi-n and --psi-p"),
        ("--psi-n 2 --psi-p 1:2 --t 0.1", "start:stop:count"),
        ("--psi-n 2 --psi-p 1:x:3 --t 0.1", "start:stop:count"),
        ("--psi-n 2 --psi-p 0:2:3 --t 0.1", "logarithmic"),
        ("--psi-p 1:2:3 --t 0.1", "--psi-n is missing"),
        ("--psi-n 2 --psi-p 1:2:3", "--t"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --lam 1", "--lam is tuned"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --best width", "--best takes lam, tau or none"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --best lam=1", "--best takes lam, tau or none"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --best lam=2:1", "no number lies between"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --targets noise,image", "image is unknown"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --targets noise,noise", "noise was given twice"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --targets 1", "too few numbers"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --subspace 2", "shares above 0"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --subspace 0.1 --eigenvalues 1,2", "law of the data"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --n 20", "--n is of DATA"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --noises 4", "--noises is of DATA"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --simulate trials=2", "d is missing"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --simulate d=9,points=8", "points"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --seed -1", "--seed takes an integer"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --out a.jpg", ".png or .svg or .pdf"),
        ("--psi-n 2 --psi-p 1:2:3 --t 0.1 --data taken/a.nc", "taken"),
        ("absent.npy", "absent.npy"),
        ("good.npy --subspace 0.1", "--subspace is of Gaussian data"),
        ("good.npy --eigenvalues 1,2", "a law of their own"),
        ("good.npy --n 4:80:3", "--n 80 of 40 points"),
        ("good.npy --n 4:8:3 --psi-n 1", "--n and --psi-n say the same"),
        ("good.npy --simulate d=5", "(d is the data's own)"),
        ("good.npy --n 4:39:4 --simulate trials=1", "trials must be at least 2"),
    ],
)
def test_bad_input_is_one_line_before_the_work(
    capsys, tmp_path, monkeypatch, arguments, message
):
    for where, name in ((contest, "solved"), (contest, "trained"), (comparison, "measure")):
        monkeypatch.setattr(where, name, None)
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    before = sorted(os.listdir(tmp_path))
    words = arguments.split()
    what = [] if words[0] == "processes" else ["targets"]
    code, out, err = call(capsys, "compare", *what, *words)
    assert code == 2 and out == ""
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
    assert sorted(os.listdir(tmp_path)) == before


def test_nothing_solved_is_one_line(capsys, monkeypatch):
    def fails(*_, **__):
        raise NotConverged("no value of psi_p was solved for any target: check its range.")

    monkeypatch.setattr(command.sweeps, "compare", fails)
    code, out, err = call(capsys, *FIXED.split(), "--psi-p", "1:2:3")
    assert (code, out) == (1, "") and err.count("\n") == 1 and "not one" not in err


def test_a_failing_figure_costs_nothing_else(capsys, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise ValueError("no figure")

    monkeypatch.setattr(plotting, "comparison_figure", fails)
    files = "--out", str(tmp_path / "p.png"), "--data", str(tmp_path / "p.nc")
    code, out, err = call(capsys, *FIXED.split(), "--psi-p", "0.3:3:3", *files)
    assert code == 1 and "is best" in out and err.endswith("ValueError: no figure\n")
    assert os.listdir(tmp_path) == ["p.nc"]


@pytest.mark.slow
def test_data_points_and_networks(path, capsys, tmp_path):
    figure = tmp_path / "t.png"
    asked = "--n 10:60:3 --psi-p 2 --m 2 --targets noise,data --classes 1 --simulate"
    code, out, err = call(
        capsys, "compare", "targets", path, *asked.split(), "trials=2,points=1",
        "--out", str(figure),
    )  # fmt: skip
    assert code == 0 and all(line.startswith("rfdsm: ") for line in err.splitlines())
    for part in (
        "200 points of 8 columns",
        "centred",
        " ± ",
        "noise loss",
        "networks of d = 8",
    ):
        assert part in out
    assert figure.read_bytes().startswith(MAGIC[".png"])


@pytest.mark.slow
def test_the_time_to_stop(capsys):
    asked = "--psi-p 1,3 --best tau=1:1e4 --targets noise,data"
    code, out, err = call(capsys, *FIXED.split(), *asked.split())
    assert code == 0 and err == "" and "each at its best tau" in out and "its tau" in out
