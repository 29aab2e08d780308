"""`rfdsm predict`: files of points, both theories on them, and networks beside."""

import json
import os

import numpy as np
import pytest
import results
import xarray as xr
from command import call

from rfdsm import plotting, standardise
from rfdsm._files import labelled as storage
from rfdsm.cli import predict as command
from rfdsm.plotting import curves
from rfdsm.sweeps import prediction as computing

MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
QUICK = "--psi-p 2 --noises 4 --classes 1".split()


@pytest.fixture
def X():
    return results.points()


@pytest.fixture
def prediction():
    return results.predicted()


@pytest.fixture
def path(X, tmp_path):
    np.save(tmp_path / "points.npy", X)
    return str(tmp_path / "points.npy")


def test_text_figure_and_dataset(prediction, tmp_path):
    text = "\n".join(command.summary(prediction))
    for part in ("m = ∞: least test loss", "memorises", "measured", "Gaussian", "uncertain"):
        assert part in text
    assert command.deviations(prediction).row_count == 2 * 2 * 3
    drawn = curves.curve_figure(prediction)
    assert len(drawn.axes) == 3 and "points.npy: 200 points" in drawn.get_suptitle()
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend[2:5] == [
        "theory, measured moments",
        "theory, Gaussian data",
        "trained networks",
    ]
    for suffix in (".nc", ".csv"):
        storage.save(prediction, tmp_path / f"data{suffix}")
    with xr.open_dataset(tmp_path / "data.nc") as stored:
        for name in ("test_loss", "test_loss_gaussian", "test_loss_mean"):
            np.testing.assert_array_equal(stored[name], prediction[name])
        assert stored.attrs["points"] == 200 and stored.attrs["data"] == "points.npy"
        described = json.loads(stored.attrs["model"])
        assert described["data"] == {"kind": "Samples", "points": 200, "d": 8}
    rows = (tmp_path / "data.csv").read_text().splitlines()
    assert len(rows) == 1 + 6 + 6 + 4


def test_the_command(path, capsys, tmp_path):
    files = {suffix: tmp_path / "new" / f"p{suffix}" for suffix in MAGIC}
    arguments = ("predict", path, *QUICK, "--against", "n=10:60:4", "--m", "1,inf")
    extra = ("--verify", "trials=2,points=1", "--data", str(tmp_path / "p.csv"))
    code, out, err = call(capsys, *arguments, "--out", str(files[".png"]), *extra)
    assert code == 0 and all(line.startswith("rfdsm: ") for line in err.splitlines())
    for part in (
        "centred and scaled", " ± ", "200 points of 8 columns (1 of them constant)",
        "effective dimension", "kurtosis", "Gaussian theory", "trained networks",
    ):  # fmt: skip
        assert part in out
    assert files[".png"].read_bytes().startswith(MAGIC[".png"])
    assert (tmp_path / "p.csv").exists()


@pytest.mark.parametrize(
    "old, told, new",
    [
        ("--verify --trials 3 --points=1", "trials=3,points=1", "--verify trials=3,points=1"),
        ("--points 1 --verify", "trials=12,points=1", "--verify points=1"),
        ("--trials 3", "trials=3,points=4", ""),  # did nothing without --verify
    ],
)
def test_old_spellings_work_and_name_the_new_one(
    path, capsys, tmp_path, monkeypatch, old, told, new
):
    def fast(model, over, lines, *, simulate, **_):
        return seen.append(simulate) or results.predicted()

    seen = []
    monkeypatch.setattr(computing, "predict", fast)
    asked = (*QUICK, "--against", "n=10:60:4", "--m", "1")
    code, out, err = call(capsys, "predict", *old.split(), path, *asked)
    warning, _, rest = err.partition("\n")
    assert code == 0 and warning.startswith("rfdsm: warning: predict --")
    assert warning.endswith(f" is an old spelling: take --verify {told}.")
    assert call(capsys, "predict", path, *asked, *new.split()) == (0, out, rest)
    assert seen[0] == seen[1]


def test_old_spellings_fail_as_the_new_ones_do(path, capsys):
    for old, told in (("--trials 1", "at least 2, got 1"), ("--points x", "'points=x' is")):
        code, out, err = call(capsys, "predict", path, "--verify", *old.split())
        warning, error = err.splitlines()
        assert (code, out) == (2, "") and "old spelling" in warning and told in error
    assert call(capsys, "predict", path, "--verify", "trials=2", "--points", "1")[0] == 2


@pytest.mark.parametrize("against", ["m=1:4:3", "lam"])
@pytest.mark.slow
def test_every_parameter_on_the_command_line(path, capsys, tmp_path, against):
    lines = [] if against.startswith("m") else ["--m", "2"]
    target = tmp_path / "p.svg"
    code, out, _ = call(
        capsys, "predict", path, "--against", against, *lines, *QUICK, "--out", str(target)
    )
    assert code == 0 and "least test loss" in out
    assert target.read_bytes().startswith(MAGIC[".svg"])


@pytest.mark.slow
def test_digits_without_a_file(capsys):
    code, out, _ = call(
        capsys, "predict", "--psi-p", "0.1", "--m", "2", "--noises", "2", "--classes", "1"
    )
    assert code == 0 and "1797 points of 64 columns (3 of them constant)" in out


def test_defaults_suit_the_number_of_points():
    X = standardise(np.random.default_rng(1).normal(size=(30, 12)))
    _, over, lines = command.question(X, "n", {"m": []})
    assert over["n"][0] >= 1 and over["n"][-1] == 30 and tuple(lines["m"]) == command.LINES
    model, over, _ = command.question(X, "lam", {"m": []})
    assert model.psi_n * 12 == pytest.approx(7)
    assert over["lam"][0] == pytest.approx(1e-5) and over["lam"][-1] == pytest.approx(10)


def write(folder):
    """Files that cannot be predicted on."""
    rng = np.random.default_rng(3)
    (folder / "text.csv").write_text("a,b\n1,2\n3,four\n5,6\n")
    (folder / "first.csv").write_text("1,two\n1,2\n3,4\n")
    (folder / "gap.csv").write_text("1,2\n3,\n")
    (folder / "ragged.csv").write_text("1,2\n3,4\n1,2,3\n")
    (folder / "empty.csv").write_text("")
    (folder / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (folder / "pickle.npy").write_bytes(b"not numbers")
    (folder / "broken.npz").write_bytes(b"not numbers")
    (folder / "x.txt").write_text("1 2")
    np.save(folder / "nan.npy", np.where(np.eye(9) > 0, np.nan, rng.normal(size=(9, 9))))
    np.save(folder / "row.npy", np.ones((1, 3)))
    np.save(folder / "constant.npy", np.ones((5, 3)))
    np.save(folder / "vector.npy", np.ones(5))
    np.save(folder / "words.npy", np.array([["a", "b"], ["c", "d"]]))
    np.save(folder / "objects.npy", np.array([[1, "b"], [2, None]]), allow_pickle=True)
    np.savez(folder / "two.npz", a=np.ones((5, 3)), b=np.ones((5, 3)))
    np.save(folder / "good.npy", rng.normal(size=(40, 4)))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("text.csv", "'four' in row 2, column 2"),
        ("first.csv", "'two' among numbers"),
        ("gap.csv", "row 2, column 2"),
        ("ragged.csv", "3 cells in row 3"),
        ("empty.csv", "is empty"),
        ("binary.csv", "not a text file"),
        ("pickle.npy", "not a .npy file"),
        ("broken.npz", "not a .npz file"),
        ("x.txt", ".npy or .npz or .csv"),
        ("nan.npy", "NaN or infinite, the first in row 1, column 1"),
        ("row.npy", "two rows"),
        ("constant.npy", "constant"),
        ("vector.npy", "points are rows"),
        ("words.npy", "real numbers"),
        ("objects.npy", "not a .npy file"),
        ("two.npz", "a, b: one array, or one named X"),
        ("missing.npy", "No such file"),
        (".", "must end in"),
        ("good.npy --against p", "--against takes"),
        ("good.npy --against n=8:64:4", "n = 64 training points of 40"),
        ("good.npy --against n=0:8:4", "logarithmic"),
        ("good.npy --against n=8:16", "start:stop:count"),
        ("good.npy --against lam --n 41", "n = 41 training points of 40"),
        ("good.npy --against psi_p --psi-p 2", "swept"),
        ("good.npy --against psi_p=1:1.01:3", "one width at d = 4"),
        ("good.npy --against psi_p --widths 1", "--widths"),
        ("good.npy --widths 3", "--widths are of --against psi_p"),
        ("good.npy --scale rows", "--scale takes all, columns, none, got 'rows'"),
        ("good.npy --scale all --as-is", "drop one"),
        ("good.npy --against lam --lam 1", "swept"),
        ("good.npy --n 4", "swept"),
        ("good.npy --against m --m 4", "swept"),
        ("good.npy --against m=0.5:4:4", "m, the number"),
        ("good.npy --against lam --n 0", "psi_n"),
        ("good.npy --m 1,1", "twice"),
        ("good.npy --m 0.5", "m, the number"),
        ("good.npy --m x", "--m takes numbers"),
        ("good.npy --psi-p 0", "gives no network"),
        ("good.npy --psi-p nan", "gives no network"),
        ("good.npy --psi-p inf", "gives no network"),
        ("good.npy --t 0", "time t"),
        ("good.npy --lam 0", "lam"),
        ("good.npy --activation relux", "unknown"),
        ("good.npy --draws 0", "--draws"),
        ("good.npy --noises 1", "--noises"),
        ("good.npy --classes 0", "--classes"),
        ("good.npy --classes 30", "--classes"),
        ("good.npy --verify trials=1", "trials must be at least 2, got 1"),
        ("good.npy --verify trials=-3", "trials must be at least 2, got -3"),
        ("good.npy --verify points=0", "points must be at least 1"),
        ("good.npy --verify points=99", "points from 1 to the grid's 24"),
        (
            "good.npy --verify d=8",
            "takes trials=12,points=4 (d is the data's own): 'd' is none",
        ),
        ("good.npy --verify size=2", "'size' is none of these"),
        ("good.npy --verify trials=many", "'trials=many' is none of these"),
        ("good.npy --verify trials=2,4", "trials is one, got [2, 4]"),
        ("good.npy --verify 3", "'3' is none of these"),
        ("good.npy --verify trials=2 --m 2.5", "integer m"),
        ("good.npy --out a.jpg", ".png or .svg or .pdf"),
        ("good.npy --data a.json", ".nc or .csv"),
    ],
)
def test_bad_input_is_one_line_before_the_work(
    capsys, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    before = sorted(os.listdir(tmp_path))

    def works(*_, **__):
        pytest.fail("the work began")

    monkeypatch.setattr(computing, "measure", works)
    code, out, err = call(capsys, "predict", *arguments.split())
    assert code == 2 and out == ""
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
    assert sorted(os.listdir(tmp_path)) == before


def test_nothing_is_written_when_a_run_fails(path, capsys, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise ValueError("no figure")

    monkeypatch.setattr(plotting, "curve_figure", fails)
    before = sorted(os.listdir(tmp_path))
    code, _, err = call(
        capsys, "predict", path, *QUICK, "--against", "n=10:60:2", "--m", "2",
        "--out", str(tmp_path / "p.png"), "--data", str(tmp_path / "p.nc"),
    )  # fmt: skip
    assert code == 2 and err.endswith("rfdsm: no figure\n")
    assert sorted(os.listdir(tmp_path)) == before
