"""`--ensemble N[,share=...]`: averages of networks on the command line."""

import json
import math

import pytest
import xarray as xr
from command import call

import rfdsm
from rfdsm.cli import models, options

FIXED = {"psi_n": 2.0, "psi_p": 3.0, "m": 2.0, "t": 0.2, "lam": 0.03}
WORDS = "--psi-n 2 --m 2 --t .2 --lam .03"
POINT = f"point {WORDS} --psi-p 3"
TUNE = f"tune {WORDS} --psi-p 3 --free networks"


@pytest.mark.parametrize(
    "given, ensemble",
    [
        ({}, rfdsm.Single()),
        ({"ensemble": "single"}, rfdsm.Single()),
        ({"ensemble": "4"}, rfdsm.Ensemble(4)),
        ({"networks": 4.0}, rfdsm.Ensemble(4)),
        ({"ensemble": "inf,share=features+points"},
         rfdsm.Ensemble(math.inf, ("features", "points"))),
        ({"ensemble": "share=none", "networks": 4.0}, rfdsm.Ensemble(4, ())),
    ],
)  # fmt: skip
def test_ensembles_and_their_numbers(given, ensemble):
    assert options.model(FIXED | given) == rfdsm.RFDSM(**FIXED, ensemble=ensemble)


def test_what_the_options_take():
    told = models.help_of_kind("ensemble")
    assert told.startswith("One of single, [ensemble:]NETWORKS[,share=WORDS]")
    assert "share takes some of features, points, noises, joined by +, or none" in told
    assert options.own()["networks"] == "ensemble.networks"


def test_a_point_of_an_ensemble(capsys):
    code, out, err = call(capsys, *POINT.split(), "--ensemble", "4,share=points")
    errors = rfdsm.RFDSM(**FIXED, ensemble=rfdsm.Ensemble(4, "points")).asymptotics()
    assert (code, err) == (0, "") and f"{float(errors.test_loss):.6g}" in out
    lines = {line.split()[0]: line.split()[-1] for line in out.splitlines()}
    assert lines["train_loss"] == "-" and lines["memorization_loss"] != "-"
    assert "memorises" in out or "does not memorise" in out
    code, out, err = call(capsys, *POINT.split(), "--ensemble", "4,share=none", "--json")
    told = json.loads(out)
    assert (code, told["memorises"]) == (0, None)
    assert told["model"]["ensemble"] == {"kind": "Ensemble", "networks": 4.0, "share": []}
    code, out, _ = call(capsys, *POINT.split(), "--ensemble", "4,share=none")
    assert code == 0 and "memorise" not in out.partition("losses to hold")[2]


@pytest.mark.slow
def test_a_point_beside_networks(capsys):
    words = f"{POINT} --ensemble 3 --simulate d=12,trials=4 --json"
    code, out, err = call(capsys, *words.split())
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert abs(told["difference"]["test_loss"]) < 0.2 * told["theory"]["test_loss"]


def test_one_network_is_not_mentioned(capsys):
    code, out, _ = call(capsys, *POINT.split())
    assert code == 0 and "ensemble" not in out.lower() and "single" not in out.lower()


@pytest.mark.parametrize(
    "more",
    ["--psi-p 3 --ensemble share=points", pytest.param("--psi-p 1,3", marks=pytest.mark.slow)],
)
def test_curves_over_networks(capsys, tmp_path, more):
    data, figure = tmp_path / "networks.nc", tmp_path / "networks.png"
    words = f"curve networks=1:16:5 {WORDS} {more} --data {data} --out {figure}"
    code, _, err = call(capsys, *words.split())
    assert (code, err) == (0, "") and figure.stat().st_size > 1000
    share = "points" if "share" in more else ("points", "noises")
    model = rfdsm.RFDSM(**FIXED, ensemble=rfdsm.Ensemble(16, share))
    with xr.open_dataset(data) as found:
        last = float(found.test_loss.values.ravel()[-1])
        assert last == pytest.approx(float(model.asymptotics().test_loss), rel=1e-10)


@pytest.mark.slow
def test_curves_with_a_line_for_each_number_of_networks(capsys):
    words = f"curve psi_p=1:4:3 {WORDS} --networks 1,inf --errors test_loss"
    code, out, err = call(capsys, *words.split())
    assert (code, err) == (0, "") and "networks = ∞: least test loss" in out


@pytest.mark.slow
def test_a_sweep_of_a_file(capsys, tmp_path):
    file, data = tmp_path / "grid.toml", tmp_path / "grid.nc"
    file.write_text(
        '[model]\npsi_n = 2\npsi_p = 3\nm = 2\nt = 0.2\nensemble = "share=points"\n'
        "[axes]\nnetworks = [1, 4, inf]\nlam = [0.01, 0.03]\n"
    )
    code, out, _ = call(capsys, "sweep", str(file), "--data", str(data))
    assert code == 0 and "6 points, networks 3 × lam 2: 6 solved" in out
    model = rfdsm.RFDSM(**FIXED, ensemble=rfdsm.Ensemble(math.inf, "points"))
    with xr.open_dataset(data) as found:
        there = float(found.score_error[2, 1])
    assert there == pytest.approx(float(model.asymptotics().score_error), rel=1e-10)


@pytest.mark.slow
def test_the_best_number_of_networks(capsys, tmp_path):
    figure = tmp_path / "best.png"
    words = (
        "tune --psi-n 2 --psi-p 3 --m 2 --t .2 --free networks --free lam "
        "--budget parameters=9 --objective test_loss --starts 8 --json"
    )
    code, out, _ = call(capsys, *words.split(), "--out", str(figure))
    told = json.loads(out)
    assert code == 0 and figure.stat().st_size > 1000
    assert told["numbers"]["ensemble.networks"] == pytest.approx(3)
    assert told["integer"]["numbers"]["ensemble.networks"] == 3
    assert told["model"]["ensemble"]["share"] == ["points", "noises"]
    assert told["active"] == ["parameters <= 9"]


@pytest.mark.parametrize(
    "words, message",
    [
        (f"{POINT} --ensemble x", "--ensemble x is unknown: take one of single, [ensemble:]"),
        (f"{POINT} --ensemble 0.5", "networks must be >= 1 (jnp.inf is allowed), got 0.5"),
        (f"{POINT} --ensemble 4,share=widths", "share takes some of features, points, noises"),
        (f"{POINT} --ensemble 4,share=noises", "noises are shared with the points they are on"),
        (f"{POINT} --ensemble 4 --networks 3", "networks is given twice, --ensemble 4 has it"),
        (f"{POINT} --ensemble single --networks 3", "--networks is no number of --ensemble si"),
        (f"{POINT} --ensemble share=points",
         "--networks or --ensemble [ensemble:]NETWORKS[,share=WORDS] is missing."),
        (f"{POINT} --ensemble 2.5 --simulate d=12", "integer"),
        (f"curve networks=1:4:3 {WORDS} --psi-p 3 --networks 2",
         "networks is swept, --networks gives it again"),
        (f"{TUNE} --ensemble 4,share=none --objective train_loss",
         "train_loss is not known of networks that share nothing"),
        (f"{TUNE} --ensemble single",
         "--networks is no number of --ensemble single"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(capsys, words, message):
    code, out, err = call(capsys, *words.split())
    assert (code, out) == (2, "")
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
