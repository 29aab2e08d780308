"""The command line as a person meets it: output, exit codes, one line for bad input."""

import json
from pathlib import Path

import pytest
from command import call, rfdsm

from rfdsm.errors import FIELDS

POINT = "point --psi-n 2 --psi-p 1 --m 2 --t 0.2 --lam 1e-2"


def test_point_as_a_process():
    done = rfdsm(*POINT.split(), "--simulate", "d=20,trials=4")
    assert done.returncode == 0 and done.stderr == ""
    for name in FIELDS:
        assert name in done.stdout
    assert "d = 20" in done.stdout and " z" not in done.stdout


def test_point_in_json_with_two_dimensions(capsys):
    code, out, _ = call(capsys, *POINT.split(), "--simulate", "d=20,40,trials=8", "--json")
    report = json.loads(out)
    assert code == 0
    assert [run["d"] for run in report["simulation"]] == [20, 40]
    for name in FIELDS:
        theory, limit = report["theory"][name], report["extrapolated"][name]
        assert report["z"][name] == pytest.approx(
            (limit - theory) / report["standard_error"][name]
        )


def test_point_with_one_dimension_gives_no_z(capsys):
    code, out, _ = call(capsys, *POINT.split(), "--simulate", "d=20,trials=4", "--json")
    report = json.loads(out)
    assert code == 0 and "z" not in report
    assert report["expected_order"] == pytest.approx(1 / 20)
    for name, value in report["difference"].items():
        mean = report["simulation"][0]["mean"][name]
        assert value == pytest.approx(mean - report["theory"][name])


def test_point_takes_every_ingredient(capsys):
    code, out, _ = call(
        capsys, *POINT.split(), "--json", "--activation", "leakyrelu:0.1",
        "--eigenvalues", "1.9,0.1", "--weights", ".5,.5", "--m", "inf",
    )  # fmt: skip
    report = json.loads(out)
    assert code == 0
    assert report["model"]["activation"] == {"kind": "LeakyReLU", "slope": 0.1}
    assert report["model"]["data"]["eigenvalues"] == [1.9, 0.1]
    assert report["theory"]["train_loss"] == pytest.approx(
        report["theory"]["memorization_loss"]
    )


@pytest.mark.parametrize(
    "extra, message",
    [
        ("--lam 0", "lam"),
        ("--lam nan", "lam"),
        ("--psi-n -1", "psi_n"),
        ("--m 0.5", "m, the number"),
        ("--t 0", "time t"),
        ("--activation relux", "unknown"),
        ("--activation leakyrelu:x", "numbers"),
        ("--eigenvalues 1,-1", "not negative"),
        ("--eigenvalues 1,x", "--eigenvalues"),
        ("--weights .5,.5", "one weight"),
        ("--simulate 80", "d=80"),
        ("--simulate d=10,20,40", "one or two"),
        ("--simulate d=20,20", "one or two, got [20, 20]"),
        ("--simulate d=20,trials=0", "trials must be at least 1, got 0"),
        ("--simulate d=20,trials=2,4", "trials is one, got [2, 4]"),
        ("--simulate d=0", "d must be at least 1, got 0"),
        ("--simulate d=-3", "d must be at least 1, got -3"),
        ("--simulate d=20,-3", "d must be at least 1, got -3"),
        ("--simulate d=20,trials=1.5", "'trials=1.5' is none of these"),
        ("--simulate d=inf", "'d=inf' is none of these"),
        ("--simulate d=20,points=2", "--simulate takes d=80,trials=32: 'points' is none"),
        ("--simulate trials=2", "d is missing"),
        ("--m 2.5 --simulate d=20", "integer"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(capsys, extra, message):
    code, out, err = call(capsys, *POINT.split(), *extra.split())
    assert code == 2 and out == ""
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err


def test_unknown_options_exit_with_two(capsys):
    assert call(capsys, "point", "--nope")[0] == 2
    assert call(capsys, "nope")[0] == 2


def test_doctor(capsys):
    code, out, _ = call(capsys, "doctor")
    assert code == 0
    for word in ("jax ", "jaxlib", "equinox", "device", "x64       on", "canary    right"):
        assert word in out


def test_doctor_reports_a_wrong_backend(capsys, monkeypatch):
    from rfdsm.analysis import canary

    monkeypatch.setattr(canary, "checks", lambda: [canary.Check("sum", 0.1, False)])
    code, out, err = call(capsys, "doctor")
    assert code == 1 and "WRONG" in out and "wrong numbers" in err


def test_demo_into_a_place_that_is_a_file(tmp_path, capsys, monkeypatch):
    (tmp_path / "taken").write_text("")
    code, _, err = call(capsys, "demo", "--out", str(tmp_path / "taken"))
    assert code == 2 and err.startswith("rfdsm: ") and err.count("\n") == 1


@pytest.mark.slow
def test_demo_writes_two_figures_and_a_summary(tmp_path, capsys, monkeypatch):
    """The whole demo at a smaller size."""
    from rfdsm.cli import demo, predict

    gaussian, digits = demo.gaussian(), demo.digits()
    few = gaussian._replace(networks={"d": 12, "trials": 2, "at": (0.5,)})
    monkeypatch.setattr(demo, "gaussian", lambda: few)
    small = predict.question(digits.model.data.X, "n=32:64:3", {"m": [4], "psi_p": 0.25})
    of_digits = demo.Setting(*small, {"trials": 2, "points": 1})
    monkeypatch.setattr(demo, "digits", lambda: of_digits)
    code, out, err = call(capsys, "demo", "--out", str(tmp_path / "new" / "place"))
    assert code == 0, err
    files = {path.name for path in Path(tmp_path / "new" / "place").iterdir()}
    assert files == {"gaussian.png", "digits.png", "summary.txt"}
    for word in ("peaks at psi_p", "p = n", "differs by", "Gaussian", "measured"):
        assert word in out
