"""A signal at any moment ends the command within two seconds, with one line, no file torn."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

LONG = {
    "point": "point --psi-n 8 --psi-p 16 --m 4 --t .1 --lam 1e-3 --simulate d=160,320",
    "curve": "curve psi_p=.1:100:200 --psi-n 8 --m 1,4 --t .1 --lam 1e-3 --simulate d=48,"
    "trials=8 --out a.png",
    "train": "train --psi-n 8 --psi-p 64 --m inf --t .1 --simulate d=48 --out a.png",
    "spectrum": "spectrum --psi-n 8 --psi-p 64 --m inf --t .1 --simulate d=100 --out a.png",
    "predict": "predict --out a.png --data a.nc --verify trials=4",
    "tune": "tune digits --free lam --free psi-p=1:3 --psi-n 4 --m 4 --t .1 --out a.png",
    "demo": "demo --out demo",
    "map": "map psi_n=.5:50:60 psi_p=.2:200:60 --m 1,4 --t .1 --lam 1e-3 --out a.png",
}


def stopped(command: str, folder, after: float, *signals: int) -> tuple[int | None, str, float]:
    """Send signals after a time: exit code (None: it was done), standard error, seconds."""
    words = [sys.executable, "-m", "rfdsm", *command.split()]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=folder, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            for each in signals:
                process.send_signal(each)
            start = time.monotonic()
            _, err = process.communicate(timeout=60)
            return process.returncode, err, time.monotonic() - start
        process.communicate()
    return None, "", 0.0


def require_clean_end(command, folder, after, *signals):
    code, err, seconds = stopped(command, folder, after, *signals)
    if code is None:
        return
    where = f"{command} after {after:.2f} s: {err}"
    assert code == 128 + signals[0], where
    assert seconds < 2, f"{seconds:.1f} s, {where}"
    lines = [line for line in err.splitlines() if "ended by" in line]
    assert len(lines) == 1 and err.endswith(f"{lines[0]}\n"), where
    assert not [name for name in os.listdir(folder) if name.startswith(".part")], where
    for name in os.listdir(folder):
        if not (folder / name).is_dir():
            assert f"{name} was written" in lines[0] or f"{name}, " in lines[0], where


@pytest.mark.parametrize("number, after", [(signal.SIGINT, 1.0), (signal.SIGTERM, 5.0)])
def test_a_signal_ends_a_command(tmp_path, number, after):
    require_clean_end(LONG["curve"], tmp_path, after, number)


def test_a_second_one_changes_nothing(tmp_path):
    require_clean_end(LONG["curve"], tmp_path, 3.0, signal.SIGINT, signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("command", LONG)
def test_at_twenty_random_moments(tmp_path, command):
    moments = random.Random(command)
    start = time.monotonic()
    stopped(LONG[command], tmp_path, 60.0, signal.SIGINT)
    longest = time.monotonic() - start
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        after = moments.uniform(0.3, longest)
        require_clean_end(LONG[command], folder, after, signal.SIGINT)


def test_files_are_whole_or_gone_when_the_end_comes_while_they_are_written(tmp_path):
    program = f"""
import os, pathlib, signal, time
from rfdsm import __main__ as entry
from rfdsm._files import whole
entry.end_on(signal.SIGINT)
folder = pathlib.Path({str(tmp_path)!r})
with whole.whole_file(folder / "first.txt") as partial:
    partial.write_text("whole")
with whole.whole_file(folder / "second.txt") as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGINT)
    while True:  # keeps opening what is removed
        try:
            partial.write_text("half")
        except OSError:
            pass
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == f"rfdsm: ended by SIGINT; {tmp_path / 'first.txt'} was written\n"
    assert os.listdir(tmp_path) == ["first.txt"]
    assert (tmp_path / "first.txt").read_text() == "whole"


@pytest.mark.parametrize("signals", [1, 2])
def test_work_that_can_stop_is_asked_to_first(signals):
    """One signal: it ends its part and stops; a second one ends the process at once."""
    program = """
import signal, time
from rfdsm import __main__ as entry
from rfdsm.progress import stop
entry.end_on(signal.SIGTERM)
with stop.graceful():
    print("begun", flush=True)
    while not stop.asked:
        time.sleep(0.01)
    time.sleep(0.5)  # what is left of the part
    print("stopped", flush=True)
assert not stop.asked
"""
    words, pipe = [sys.executable, "-c", program], subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        asked = process.stderr.readline()
        assert asked == "rfdsm: SIGTERM: ends the chunk and stops; again stops at once\n"
        if signals == 2:
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    if signals == 1:
        assert (process.returncode, out, err) == (0, "stopped\n", "")
    else:
        kept = "chunks that were done are kept: the same command goes on"
        ended = f"rfdsm: ended by SIGTERM; {kept}\n"
        assert (process.returncode, out, err) == (143, "", ended)
