"""`rfdsm predict`: files of points, both theories on them, and networks beside."""

import json
import math
import os
import warnings

import jax
import numpy as np
import pytest
import xarray as xr
from command import call

from rfdsm import RFDSM, Samples, measure, standardise, sweeps
from rfdsm._files import labelled as storage, points as tables
from rfdsm.analysis import points as looks
from rfdsm.cli import predict as command
from rfdsm.errors import LOSSES
from rfdsm.ingredients.data import sample_matrix
from rfdsm.plotting import curves
from rfdsm.sweeps import prediction as computing

MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
QUICK = "--psi-p 2 --noises 4 --classes 1".split()


@pytest.fixture(scope="module")
def X():
    """Points of heavy tails: 200 of dimension 8, the last column constant."""
    points = np.random.default_rng(0).standard_t(5, (200, 8)) * np.linspace(1, 2, 8) + 3
    points[:, 7] = 4
    return points


@pytest.fixture
def path(X, tmp_path):
    np.save(tmp_path / "points.npy", X)
    return str(tmp_path / "points.npy")


@pytest.fixture(scope="module")
def asked(X):
    """Over n at m = 1 and ∞."""
    return command.question(standardise(X), "n=8:40:3", {"m": [math.inf, 1], "psi_p": 2})


@pytest.fixture(scope="module")
def prediction(asked):
    """With networks."""
    done = []
    found = sweeps.predict(
        *asked, noises=4, classes=1, simulate={"trials": 3, "points": 2}, seed=5,
        report=done.append,
    )  # fmt: skip
    last = [at for at in done if at.total][-1]
    assert last.done == last.total == 2 + 2 * 2
    found.attrs["data"] = "points.npy"
    return found


def test_values_are_those_of_the_model(asked, prediction):
    model, over, _ = asked
    assert tuple(prediction.m.values) == (1, math.inf) and model.psi_p == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of 200 points
        moments = measure(model, jax.random.key(5), 4, classes=1, report=print)
    for line, m in enumerate(prediction.m.values):
        for i, n in enumerate(over["n"]):
            at = RFDSM(n / 8, 2, m, t=0.1, lam=1e-2, data=Samples(model.data.X))
            for name in LOSSES:
                assert float(prediction[name][line, i]) == pytest.approx(
                    float(getattr(at.asymptotics(moments=moments), name)), rel=1e-9
                )
                found = float(prediction[f"{name}_gaussian"][line, i])
                assert found == pytest.approx(float(getattr(at.asymptotics(), name)))


def test_networks_are_trained_on_the_points(asked, prediction):
    model, at = asked[0], prediction.simulated_n.values
    np.testing.assert_array_equal(at, np.round(at))
    assert prediction.test_loss_mean.shape == (2, 2) and prediction.attrs["trials"] == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moments = measure(model, jax.random.key(5), 4, classes=1, report=print)
    for i, n in enumerate(at):
        there = model.replace(psi_n=n / 8, m=1)
        theory = there.asymptotics(moments=moments)
        assert float(prediction.test_loss_theory[0, i]) == pytest.approx(
            float(theory.test_loss)
        )
        gaussian = float(prediction.test_loss_gaussian_theory[0, i])
        assert gaussian == pytest.approx(float(there.asymptotics().test_loss))
    np.testing.assert_allclose(prediction.test_loss_mean, prediction.test_loss_theory, rtol=0.3)


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


@pytest.mark.slow
def test_draws_give_a_band(X):
    asked = command.question(standardise(X), "lam=1e-3:1:2", {"m": [4], "psi_p": 1})
    found = sweeps.predict(*asked, noises=2, classes=1, draws=2)
    assert found.test_loss_spread.shape == (1, 2)
    assert np.all(found.test_loss_spread > 0) and "draws" in command.summary(found)[-1]
    curves.curve_figure(found, log_y=True)


def test_the_command(path, capsys, tmp_path):
    files = {suffix: tmp_path / "new" / f"p{suffix}" for suffix in MAGIC}
    arguments = ("predict", path, *QUICK, "--against", "n=10:60:4", "--m", "1,inf")
    extra = ("--verify", "--trials", "2", "--points", "1", "--data", str(tmp_path / "p.csv"))
    code, out, err = call(capsys, *arguments, "--out", str(files[".png"]), *extra)
    assert code == 0 and all(line.startswith("rfdsm: ") for line in err.splitlines())
    for part in (
        "points.npy, centred", "200 points of 8 columns (1 of them constant)",
        "effective dimension", "kurtosis", "Gaussian theory", "trained networks",
    ):  # fmt: skip
        assert part in out
    assert files[".png"].read_bytes().startswith(MAGIC[".png"])
    assert (tmp_path / "p.csv").exists()


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
    assert over["n"][0] >= 1 and over["n"][-1] == 15 and tuple(lines["m"]) == command.LINES
    model, over, _ = command.question(X, "lam", {"m": []})
    assert model.psi_n * 12 == pytest.approx(7)
    assert over["lam"][0] == pytest.approx(1e-5) and over["lam"][-1] == pytest.approx(10)


def test_long_work_is_announced(X):
    X = standardise(X)
    short = command.question(X, "lam=1:2:2", {"m": [1], "psi_p": 1})
    assert computing.estimate(*short) is None
    long = command.question(X, "n", {"m": [], "psi_p": 300})
    line = computing.estimate(*long, simulate={"trials": 12, "points": 4})
    assert "2400 features" in line and "GiB" in line and "networks" in line


def test_descriptions_tell_gaussian_points_from_others():
    rng = np.random.default_rng(2)
    gaussian = looks.describe(rng.normal(size=(4000, 6)) * [1, 1, 1, 1, 1, 3])
    assert gaussian.effective_dimension == pytest.approx(14**2 / 86, rel=0.1)
    assert gaussian.norms == pytest.approx(1, abs=0.1)
    assert gaussian.kurtosis == pytest.approx(3, abs=0.3)
    assert "close to Gaussian" in gaussian.lines()[1]
    mixture = looks.describe(rng.normal(size=(4000, 6)) * rng.choice([0.2, 2], (4000, 1)))
    assert mixture.norms > 1.5 and mixture.kurtosis > 4
    assert mixture.lines()[1].startswith("not Gaussian")


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n5,7\n",
        "a,b\n1,2\n3,4\n5,7\n",
        "# x\n\n1;2\n3; 4\n5;7",
        "1 2\n 3  4\n5 7",
    ],
)
def test_csv_variants(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    np.testing.assert_array_equal(tables.read(tmp_path / "x.csv"), [[1, 2], [3, 4], [5, 7]])


def test_arrays_of_every_kind(tmp_path):
    images = np.arange(24).reshape(4, 2, 3).astype(np.uint8)
    np.savez(tmp_path / "one.npz", anything=images)
    np.savez(tmp_path / "named.npz", X=images, y=np.zeros(4))
    np.save(tmp_path / "images.npy", images)
    for name in ("one.npz", "named.npz", "images.npy"):
        np.testing.assert_array_equal(tables.read(tmp_path / name), images.reshape(4, 6))


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
        ("first.csv", "'two' in row 1, column 2"),
        ("gap.csv", "row 2, column 2"),
        ("ragged.csv", "line 3"),
        ("empty.csv", "not a table of numbers"),
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
        ("good.npy --against lam --n 40", "n = 40 training points of 40"),
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
        ("good.npy --verify --trials 1", "--trials"),
        ("good.npy --verify --points 99", "--points"),
        ("good.npy --verify --m 2.5", "integer m"),
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

    monkeypatch.setattr(curves, "curve_figure", fails)
    before = sorted(os.listdir(tmp_path))
    code, _, err = call(
        capsys, "predict", path, *QUICK, "--against", "n=10:60:2", "--m", "2",
        "--out", str(tmp_path / "p.png"), "--data", str(tmp_path / "p.nc"),
    )  # fmt: skip
    assert code == 2 and err.endswith("rfdsm: no figure\n")
    assert sorted(os.listdir(tmp_path)) == before


def test_points_as_they_are(path, X):
    given = computing.load(tables.Path(path), as_is=False)
    np.testing.assert_array_equal(given.X, standardise(X))
    with pytest.warns(UserWarning, match="mean of X is not small"):
        kept = computing.load(tables.Path(path), as_is=True)
    np.testing.assert_array_equal(kept.X, sample_matrix(X, check_mean=False))
    assert "as given" in kept.about()
