"""`rfdsm sweep`: grids in options and files, the store and its summary, what is refused."""

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import xarray as xr
from command import call

from rfdsm import RFDSM, sweeps
from rfdsm.cli import console, grids
from rfdsm.progress import stop
from rfdsm.sweeps.chunks import Store

FILE = """
store = "phase.zarr"
seed = 3
zip = ["psi_n", "m"]
[model]
t = 0.2
lam = 1e-2
activation = "relu"
eigenvalues = [1.5, 0.5]
weights = "0.5,0.5"
[axes]
psi_n = [1, 2]
m = [1, inf]
psi_p = "0.5:8:3"
training.tau = "0:1:3:linear"
[simulate]
d = 12
trials = 2
[gradient]
score_error = ["psi_p", "m"]
"""
SWEPT = "psi_n=1,2 m=1,inf psi_p=0.5:8:3 training.tau=0:1:3:linear".split()
GIVEN = {"t": ["0.2"], "lam": ["0.01"], "activation": "relu", "eigenvalues": "1.5,0.5",
         "weights": "0.5,0.5"}  # fmt: skip
SETTINGS = {
    "zip": ["psi_n,m"], "store": "phase.zarr", "seed": "3", "simulate": "d=12,trials=2",
    "gradient": ["score_error:psi_p,m"],
}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    (tmp_path / "sweep.toml").write_text(FILE)
    return str(tmp_path / "sweep.toml")


def test_a_file_says_what_a_command_line_does(file):
    assert grids.asked([file], {}, {}) == grids.asked(SWEPT, GIVEN, SETTINGS)


@pytest.mark.parametrize("text", ['["psi_n,m"]', '[["psi_n", "m"]]', '"psi_n,m"'])
def test_names_that_go_together_may_be_written_in_several_ways(tmp_path, text):
    (tmp_path / "a.toml").write_text(f"zip = {text}")
    assert grids.read(tmp_path / "a.toml").settings["zip"] == ["psi_n,m"]


def test_what_the_command_line_names_overrides_the_file(file):
    """Also an axis by a number, and a number by an axis, by whatever name."""
    nothing = {"zip": [], "store": None, "seed": "5"}
    asked = grids.asked([file, "training.lam=1e-3:1:4"], {"psi_n": ["4"]}, nothing)
    assert list(asked.along) == ["m", "psi_p", "training.tau", "training.lam"]
    assert "lam" not in asked.given and asked.given["psi_n"] == ["4"]
    assert asked.settings == SETTINGS | {"seed": "5"}


FIXED = "--psi-n 2 --t 0.2 --lam 1e-2"
SWEEP = f"sweep psi_p=0.5:8:3 {FIXED} --m 1,inf"


@pytest.fixture
def store(tmp_path):
    """Where a sweep of six points, two chunks, is to grow."""
    return str(tmp_path / "phase.zarr")


def swept(capsys, store, *more):
    return call(capsys, *SWEEP.split(), "--store", store, "--chunk", "4", *more)


def chunk_files(store, name):
    """The files of a variable's chunks."""
    folder = os.path.join(store, name, "c")
    return sorted(os.path.join(at, each) for at, _, files in os.walk(folder) for each in files)


def test_the_command(capsys, store, tmp_path):
    data = str(tmp_path / "phase.nc")
    code, out, err = swept(capsys, store, "--data", data, "--gradient", "test_loss:psi-p")
    assert code == 0 and "warning" not in err
    assert "6 points, psi_p 3 × m 2: 6 solved" in out
    found = sweeps.open(store)
    loss = found["test_loss"]
    least = loss.where(loss == loss.min(), drop=True).squeeze()
    at = f"psi_p = {float(least.psi_p):.4g}, m = {float(least.m):.4g}".replace("inf", "∞")
    assert f"least test loss {float(loss.min()):.5g} at {at}" in out
    model = RFDSM(psi_n=2, psi_p=8, m=math.inf, t=0.2, lam=1e-2)
    assert float(loss[2, 1]) == pytest.approx(float(model.asymptotics().test_loss), rel=1e-12)
    with xr.open_dataset(data) as copied:
        np.testing.assert_array_equal(copied["test_loss"], loss)
        slope = (copied["d_test_loss_psi_p"].sel(m=1).values, loss.sel(m=1).values)
        assert slope[0][0] * (slope[1][1] - slope[1][0]) > 0


def test_the_same_command_goes_on_and_another_is_refused(capsys, store):
    assert swept(capsys, store)[0] == 0
    before = {name: os.stat(name).st_mtime_ns for name in chunk_files(store, "status")}
    assert len(before) == 2 and swept(capsys, store)[0] == 0
    assert before == {name: os.stat(name).st_mtime_ns for name in before}
    code, _, err = swept(capsys, store, "--activation", "relu")
    assert code == 2 and err.count("\n") == 1 and "another sweep" in err


def test_status_tells_what_is_there(capsys, store):
    swept(capsys, store)
    code, out, err = call(capsys, "status", store)
    assert code == 0 and "warning" not in err and out.endswith("complete\n")
    for text in ("psi_n = 2", "Ridge (lam = 0.01)", "Tanh", "1, ∞", "2 (100%)"):
        assert text in out
    os.remove(chunk_files(store, "status")[0])
    code, out, _ = call(capsys, "status", store, "--json")
    told = json.loads(out)
    assert code == 75 and told["whole"] == {"theory": 1} and told["chunks"] == {"theory": 2}
    assert told["axes"]["m"] == [1, "inf"] and not told["complete"] and not told["damaged"]
    code, _, err = call(capsys, "status", f"{store}.not")
    assert code == 2 and err.count("\n") == 1 and "no sweep" in err


def test_damage_is_named_and_done_again(capsys, store):
    swept(capsys, store)
    whole = sweeps.open(store).load()
    victim = chunk_files(store, "test_loss")[1]
    with open(victim, "r+b") as file:
        file.write(b"x")
    code, out, _ = call(capsys, "status", store)
    assert code == 75 and "test_loss" in out and "1 (50%)" in out
    code, out, _ = swept(capsys, store, "--check")
    assert code == 0 and "1 of 2 chunks are whole" in out and "of test_loss" in out
    xr.testing.assert_identical(sweeps.open(store).load(), whole)
    code, out, _ = swept(capsys, store, "--check")
    assert code == 0 and "2 of 2 chunks are whole" in out


def test_a_stop_ends_between_chunks_and_says_how_to_go_on(capsys, store, monkeypatch):
    stages = console.stages

    def asking(title):
        class Asking:
            def __enter__(self):
                self.inner = stages(title)
                self.inner.__enter__()
                return lambda at: stop.ask(signal.SIGTERM)

            def __exit__(self, *error):
                return self.inner.__exit__(*error)

        return Asking()

    monkeypatch.setattr(console, "stages", asking)
    code, out, err = swept(capsys, store, "--chunk", "1")
    assert code == 128 + signal.SIGTERM and out == ""
    assert "ended by SIGTERM; " in err and f" of 6 chunks are in {store}: the same" in err
    assert not stop.asked
    monkeypatch.setattr(console, "stages", stages)
    assert call(capsys, "status", store)[0] == 75
    assert swept(capsys, store)[0] == 0 and call(capsys, "status", store)[0] == 0


def test_a_full_disk_leaves_work_unfinished(capsys, store, monkeypatch):
    write = Store.write

    def full(self, part, index, arrays):
        if index[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, part, index, arrays)

    monkeypatch.setattr(Store, "write", full)
    code, _, err = swept(capsys, store)
    assert code == 75 and "Traceback" not in err
    assert f"No space left on device: {store}; 1 of 2 chunks are in {store}" in err


def test_nothing_solved_fails(capsys, store):
    words = "sweep lam=1e190:1e200:4 --psi-n 2 --psi-p 1 --t 1 --m 2 --store"
    code, out, err = call(capsys, *words.split(), store)
    assert code == 1 and out == "" and "no point was solved" in err


def test_a_forecast_writes_nothing(capsys, store):
    more = "--simulate", "d=8,trials=2", "--dry-run"
    code, out, _ = swept(capsys, store, *more)
    assert code == 0 and not os.path.exists(store)
    rows = {line.split()[0]: line.split()[1:5] for line in out.splitlines() if line}
    assert rows["theory"] == ["6", "2", "2", "-"] and rows["networks"] == ["6", "6", "6", "12"]
    assert re.search("[MG]B of memory", out) and "on this machine" in out
    swept(capsys, store)
    code, out, _ = swept(capsys, store, "--dry-run")
    rows = map(str.split, out.splitlines())
    assert code == 0 and ["theory", "0", "0", "2", "-", "0", "s"] in rows
    assert "0 bytes on disk" in out
    most = (*"psi_n=1:2:1000000 psi_p=1:2:1000000 --m 1 --t .2 --lam 1".split(),)
    code, out, _ = call(capsys, "sweep", *most, "--chunk", "100000000", "--dry-run")
    assert code == 0 and out.startswith("to do") and "1000000000000 points" in out


def test_axes_that_run_together(capsys, store):
    words = "sweep psi_n=4,2 m=1,inf --psi-p .5,1,2 --t 0.2 --lam 1e-2 --zip psi_n,m --store"
    code, out, _ = call(capsys, *words.split(), store)
    found = sweeps.open(store)
    assert code == 0 and found["test_loss"].sizes == {"psi_n": 2, "psi_p": 3}
    np.testing.assert_array_equal(found["m"], [1, np.inf])
    model = RFDSM(psi_n=2, psi_p=0.5, m=math.inf, t=0.2, lam=1e-2)
    loss = float(model.asymptotics().test_loss)
    assert float(found["test_loss"][1, 0]) == pytest.approx(loss, rel=1e-12)
    assert "m = " in out.partition("least test loss")[2]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (f"{FIXED} --m 1 --psi-p 1", "nothing is swept"),
        (f"psi_q=1:2:3 {FIXED} --m 1 --psi-p 1", "'psi_q' cannot be swept"),
        (f"psi_p= {FIXED} --m 1", "start:stop:count"),
        (f"psi_p=1:2 {FIXED} --m 1", "start:stop:count"),
        (f"psi_p=1,x {FIXED} --m 1", "psi_p takes numbers"),
        (f"psi_p=1,2,1 {FIXED} --m 1", "psi_p has a value twice"),
        (f"psi_p=0:2:3 {FIXED} --m 1", "make it linear, psi_p=0:2:3:linear"),
        (f"psi_p=0:2:3:linear {FIXED} --m 1", "psi_p[0] = 0: "),
        (f"psi_p=1,2,-1 {FIXED} --m 1", "psi_p[2] = -1: "),
        (f"psi_p=1:2:3 psi-p=1,2 {FIXED} --m 1", "psi_p is swept twice"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --psi-p 3", "leave one out"),
        (f"psi_p=1:2:3 training.lam=1,2 {FIXED} --m 1", "--lam gives it again"),
        (f"psi_p=1:2:3 {FIXED}", "--m is missing"),
        (f"psi_p=1:2:3 data.eigenvalues[1]=1,2 {FIXED} --m 1", "data.eigenvalues"),
        (f"psi_p=1:2:3 {FIXED} --m 1,2 --zip psi_p,m", "equally many"),
        (f"psi_p=1:2:3 {FIXED} --m 1,2 --zip psi_p,t", "--zip takes two or more axes"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --zip psi_p", "--zip takes two or more axes"),
        (f"psi_p=1:2:3 {FIXED} --m 1.5 --simulate d=8", "integer m"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --simulate d=8,points=2", "'points' is none of these"),
        (f"psi_p=.01:2:3 {FIXED} --m 1 --simulate d=8", "leaves no p"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --gradient loss:psi_p", "'loss' is no error"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --gradient test_loss", "--gradient takes"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --gradient test_loss:tau", "tau"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --seed x", "--seed"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --chunk 0", "--chunk must be an integer"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --chunk 1.5", "--chunk must be an integer"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --workers 2 --scheduler a", "leave --workers out"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --workers 0", "at least one worker"),
        (f"psi_p=1:2:3 {FIXED} --m 1 --data a.txt", ".nc or .csv"),
        ("a.toml b.toml", "one file at a time"),
        ("none.toml", "No such file"),
        ("bad.toml", "[model] of bad.toml has 'psi_q'"),
    ],
)
def test_bad_input_is_one_line_before_the_work(
    capsys, tmp_path, monkeypatch, arguments, message
):
    def works(*_, **__):
        pytest.fail("the work began")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text("[model]\npsi_q = 1")
    monkeypatch.setattr(jax, "jit", works)
    code, out, err = call(capsys, "sweep", *arguments.split(), "--store", "a.zarr")
    assert code == 2 and out == ""
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
    assert os.listdir(tmp_path) == ["bad.toml"]


@pytest.mark.parametrize("text, message", [
    ("psi_n = 1", "the names are model, axes, simulate, gradient, zip, store, seed, chunk"),
    ("model = 1", "model in a.toml is a table"),
    ("= 1", "is not TOML"),
    ("[model]\npsi_n = 2\nt = 1\nlam = 1\nm = 1\n[axes]\npsi_p = []", "psi_p takes"),
])  # fmt: skip
def test_a_bad_file_is_one_line(capsys, tmp_path, text, message):
    (tmp_path / "a.toml").write_text(text)
    code, out, err = call(capsys, "sweep", str(tmp_path / "a.toml"))
    assert code == 2 and out == "" and err.count("\n") == 1 and message in err


def test_what_would_not_be_kept_is_refused(capsys):
    code, _, err = call(capsys, *SWEEP.split())
    assert code == 2 and "--store" in err
    code, _, err = call(capsys, *SWEEP.split(), "--data", "a.nc", "--check")
    assert code == 2 and "--check is of a store" in err


def test_help_tells_exit_codes(capsys):
    for command in ("sweep", "status"):
        _, out, _ = call(capsys, command, "--help")
        assert "Exit codes:" in out and "75 " in out


NETWORKS = (
    "sweep psi_p=1,2,3,4,5,6,7,8 psi_n=1,2,3,4,5,6,7,8 --t 0.2 --lam 1e-2 --m 1 --store a.zarr "
    "--simulate d=8,trials=2"
)


@pytest.mark.slow
def test_ctrl_c_ends_the_chunk_and_twice_at_once(tmp_path):
    """As a process, after the first networks are stored."""
    words = [sys.executable, "-m", "rfdsm", *NETWORKS.split()]
    for twice in (False, True):
        pipe = subprocess.PIPE
        marks = tmp_path / "a.zarr" / "simulated_status" / "c"
        with subprocess.Popen(words, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as done:
            before, late = len(list(marks.rglob("[0-9]"))), time.monotonic() + 120
            while len(list(marks.rglob("[0-9]"))) < before + 3:
                assert time.monotonic() < late and done.poll() is None, done.communicate()
                time.sleep(0.1)
            done.send_signal(signal.SIGINT)
            if twice:
                time.sleep(0.05)
                done.send_signal(signal.SIGINT)
            _, err = done.communicate(timeout=60)
        assert done.returncode == 130
        assert "the same command goes on" in err
        assert ("chunks are in a.zarr" in err) or twice
    assert call_status(tmp_path) == 75


def call_status(folder):
    words = [sys.executable, "-m", "rfdsm", "status", "a.zarr"]
    return subprocess.run(words, cwd=folder, capture_output=True).returncode


@pytest.mark.slow
def test_workers_of_this_machine(tmp_path, capsys, store):
    swept(capsys, store)
    words = [sys.executable, "-m", "rfdsm", *SWEEP.split(), "--store", "b.zarr", "--chunk", "2"]
    done = subprocess.run(
        [*words, "--workers", "2"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    here, there = sweeps.open(store).load(), sweeps.open(str(tmp_path / "b.zarr")).load()
    np.testing.assert_allclose(there["test_loss"], here["test_loss"], rtol=1e-12)
