"""The command and its surroundings: pipes, encodings, widths, full disks, files that fail."""

import io
import os
import re
import subprocess
import sys
import time
from importlib import import_module

import jax
import pytest
import typer
from command import call

from rfdsm.cli import app, console
from rfdsm.progress import Progress

POINT = "point --psi-n 2 --psi-p 1 --m inf --t 0.2 --lam 1e-2".split()
CURVE = "curve psi_p=0.5:4:3 --psi-n 2 --m inf --t 0.2 --lam 1e-2".split()


def test_no_number_is_cut_at_any_width(capsys, monkeypatch):
    told = [call(capsys, *POINT)[1]]
    for columns in ("1", "40", "1000"):
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setenv("TERM", "dumb")
        told.append(call(capsys, *POINT)[1])
    assert len({*told}) == 1 and "…" not in told[0]
    assert len(re.findall(r"^\w+ +[-+.e\d]+$", told[0], re.M)) == 6


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "latin-1"])
def test_what_an_encoding_lacks_is_spelled_out(monkeypatch, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(console.sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    old = console.sys.stdout
    monkeypatch.setattr(console.sys, "stderr", None)  # closed by whoever started it
    console.own_streams()
    print("m = ∞ ± 2, ψ, \u4e2d.csv")
    text = raw.getvalue().decode(encoding)  # without a flush: nothing is lost by a sudden end
    exact = {
        "utf-8": "m = ∞ ± 2, ψ, \u4e2d.csv\n",
        "ascii": "m = inf +- 2, psi, \\u4e2d.csv\n",
    }
    assert text == exact.get(encoding, "m = inf ± 2, psi, \\u4e2d.csv\n")
    assert old is not console.sys.stdout


def test_a_reader_that_leaves_stops_nothing():
    receive, send = os.pipe()
    os.close(receive)
    stream = console.Stream(open(send, "wb"), "utf-8", line_buffering=True)
    print("a\nb", file=stream)
    print("c", file=stream, flush=True)
    stream.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_is_one_line_whatever_the_encoding():
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "rfdsm", "--version"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "rfdsm: No space left on device: standard output\n"


def test_the_version(capsys):
    import rfdsm as package

    assert call(capsys, "--version") == (0, f"rfdsm {package.__version__}\n", "")


@pytest.mark.parametrize(
    "words, message",
    [
        ("point --nope", "--nope"),
        ("point --psi-n abc", "--psi-n"),
        ("nope", "nope"),
        ("predict a.csv b.csv", "b.csv"),
        ("curve", "NAME=START:STOP:COUNT"),
        ("point --psi-n 8 --psi-p 2 --m 1 --t 1 --tau 1 --steps 4", "--steps and --tau do not"),
        (
            f"{' '.join(POINT)} --activation polynomial",
            "polynomial:COEFFICIENTS is missing",
        ),
        (f"{' '.join(POINT)} --simulate d", "d has no number"),
        (f"{' '.join(POINT)} --simulate d=1e300", "d must be below 2^31, got 1e+300"),
        ("predict --against psi_p --psi-p 3", "--psi-p gives it again"),
        ("predict digits --noises 1000000000000", "GiB are free: take fewer"),
        ("point --seed -1", "--seed takes an integer from 0 to 2^63 - 1"),
        ("point --seed 9223372036854775808", "--seed takes an integer from 0 to 2^63 - 1"),
        ("tune --free lam --seed -1", "--seed takes an integer from 0"),
        ("tune --free lam --seed 1.5", "--seed takes an integer from 0"),
        ("tune --free lam --header", "--header is of DATA"),
        ("tune --free lam --widths 3", "--widths is of DATA"),
        ("predict --header", "--header and --index are of DATA"),
        (f"{' '.join(POINT)} --simulate d=1000000", "GiB are free"),
        (f"{' '.join(POINT)} --simulate d=8,1000000", "GiB are free"),
        (f"{' '.join(CURVE)} --simulate d=1000000,points=2", "GiB are free"),
        (f"{' '.join(CURVE)} --out /tmp", "must end in"),
        (f"{' '.join(CURVE)} --out /dev/null/a.png", "Not a directory"),
        (f"{' '.join(CURVE)} --data a.txt", "must end in .nc or .csv"),
        ("predict nowhere.csv", "No such file"),
        ("train digits --psi-n 1,100", "is n = 6400 training points of 1797: take fewer"),
        ("predict --psi-p 1e9", "GiB are free"),
    ],
)
def test_what_cannot_be_is_one_line_before_any_work(capsys, words, message):
    code, _, err = call(capsys, *words.split())
    lines = [line for line in err.splitlines() if "about" not in line]
    assert code == 2 and len(lines) == 1 and lines[0].startswith("rfdsm: ")
    assert message in lines[0]


def test_a_figure_that_fails_costs_the_figure_only(capsys, tmp_path, monkeypatch):
    from rfdsm import plotting

    def fails(*_):
        raise RuntimeError("no\nfont")

    monkeypatch.setattr(plotting, "save", fails)
    files = tmp_path / "a.png", tmp_path / "a.csv"
    code, out, err = call(capsys, *CURVE, "--out", str(files[0]), "--data", str(files[1]))
    assert code == 1 and "least test loss" in out
    assert not files[0].exists() and files[1].read_text().startswith("kind")
    assert err == f"rfdsm: {files[0]} was not written, all else was. RuntimeError: no font\n"


def test_in_a_pipe_silence_is_broken(capsys, monkeypatch):
    monkeypatch.setattr(console, "SILENT", 0.1)
    told, late = "", time.monotonic() + 20
    with console.stages("measure") as report:
        report(Progress("moments", 1, 4))
        while told.count("\n") < 2 and time.monotonic() < late:
            time.sleep(0.05)
            told += capsys.readouterr().err
    line = r"rfdsm: measure: moments: 1 of 4, after \d+ s\n"
    assert re.fullmatch(f"({line}){{2,}}", told)
    capsys.readouterr()
    time.sleep(0.3)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", app.COMMANDS)
def test_every_help_has_an_example_ranges_and_meanings(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    code, out, _ = call(capsys, command, "--help")
    text = " ".join(out.split())
    assert code == 0 and "Usage: rfdsm " in text and "…" not in out
    line = import_module(f"rfdsm.cli.{command}").EXAMPLE  # one, to be copied
    assert f"\n    rfdsm {line}\n" in out
    example = text.partition("Example: rfdsm ")[2].split()
    parser = typer.main.get_command(app.app).get_command(None, example[0])
    parser.make_context(example[0], example[1:])
    if command not in ("demo", "doctor", "status"):
        assert "--t " in text and "a = e^{-t}, h = 1 - e^{-2t}" in text
        assert "Features per dimension, p/d, > 0." in text
        assert "Noises per data point, >= 1, inf included" in text


def test_help_is_whole_and_plain_in_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    told = call(capsys, "--help")[1] + call(capsys, "tune", "--help")[1]
    assert "…" not in told and not re.search(r"\w \w+\.\.\.\n", told)
    assert "images." in told and "landscape" in told
    assert "gradientdescent:STEPS,LEARNING_RATE[,LAM]" in told


def test_a_grid_in_a_line_is_no_emoji(capsys):
    console.note("n=1:100:2")
    assert capsys.readouterr().err == "rfdsm: n=1:100:2\n"


def test_what_the_device_refuses_is_a_line(capsys, monkeypatch):
    def fails(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: Out of memory\nallocating 1 bytes.")

    monkeypatch.setattr("rfdsm.cli.point._results", fails)
    code, _, err = call(capsys, *POINT)
    assert code == 1 and err.startswith("rfdsm: INTERNAL: Out of memory allocating 1 bytes. S")
