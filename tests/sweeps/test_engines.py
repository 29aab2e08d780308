"""Each engine does every chunk once, whatever dies; and says in a line why it cannot."""

import _thread
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from chores import Chore, chunks, prepared, recorded, starters

from rfdsm.progress import stop
from rfdsm.sweeps.engines import Here, engine_of
from rfdsm.sweeps.engines.dask import local_cluster

BALLAST = bytes(20_000_000)
SQUARES = {number: float(number**2) for number in range(12)}


@pytest.fixture(scope="module")
def client():
    with local_cluster(2) as client:
        yield client


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def results(engine, work, count=12):
    return {chunk.number: result for chunk, result in engine.run(chunks(count), work)}


def test_here():
    assert results(Here(), Chore(side_by_side=2)) == SQUARES


def test_threads(threads):
    assert results(engine_of(threads), Chore()) == SQUARES


def test_processes(tmp_path):
    """Spawned ones, which compile once each and are sent float64."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert results(engine_of(pool), Chore()) == SQUARES
        assert set(results(engine_of(pool), Chore(tmp_path)).values()) == {None}
    assert recorded(tmp_path) == SQUARES
    assert os.getpid() not in starters(tmp_path)
    assert prepared(tmp_path) == sorted(starters(tmp_path))


def test_dask(client, tmp_path):
    assert results(engine_of(client), Chore()) == SQUARES
    assert set(results(engine_of(client), Chore(tmp_path, ballast=BALLAST)).values()) == {None}
    assert recorded(tmp_path) == SQUARES
    assert prepared(tmp_path) == sorted(starters(tmp_path))


@pytest.mark.parametrize("where", ["here", "threads", "dask"])
def test_what_is_recorded_is_not_done_again(where, tmp_path, threads, client):
    engine = engine_of({"here": None, "threads": threads, "dask": client}[where])
    for chunk in chunks(5):
        Chore(tmp_path)(chunk)
    assert set(results(engine, Chore(tmp_path)).values()) == {None}
    assert recorded(tmp_path) == SQUARES  # a second time would fail
    before = sorted(tmp_path.iterdir())
    assert len(results(engine, Chore(tmp_path))) == 12
    assert sorted(tmp_path.iterdir()) == before  # nor is anything compiled


@pytest.mark.parametrize("where", ["here", "threads", "dask"])
def test_an_exception_is_raised_as_itself(where, tmp_path, threads, client):
    engine = engine_of({"here": None, "threads": threads, "dask": client}[where])
    with pytest.raises(ValueError, match="no square of 3"):
        results(engine, Chore(tmp_path, seconds=0.01, fails=3))
    assert len(recorded(tmp_path)) < 12
    assert len(results(engine, Chore(tmp_path))) == 12 and recorded(tmp_path) == SQUARES


@pytest.mark.parametrize("where", ["here", "threads", "dask"])
def test_a_stop_ends_what_has_started(where, tmp_path, threads, client):
    engine = engine_of({"here": None, "threads": threads, "dask": client}[where])
    with stop.graceful():
        for _ in engine.run(chunks(100), Chore(tmp_path, seconds=0.02)):
            stop.ask()
        assert stop.asked
    done = set(recorded(tmp_path))
    assert 1 <= len(done) < 10
    assert done == {int(each.name.split("-")[1]) for each in tmp_path.glob("started-*")}


@pytest.mark.parametrize("where", ["here", "threads", "dask"])
def test_ctrl_c_ends_what_has_started(where, tmp_path, threads, client):
    engine = engine_of({"here": None, "threads": threads, "dask": client}[where])
    timer = threading.Timer(0.5, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        results(engine, Chore(tmp_path, seconds=0.1), 1000)
    timer.join()
    done = set(recorded(tmp_path))
    assert 1 <= len(done) < 50
    assert done == {int(each.name.split("-")[1]) for each in tmp_path.glob("started-*")}


def test_a_worker_is_killed(tmp_path, client):
    """Its chunks are done by another; none twice, and none that was recorded is lost."""
    killed = []
    for _ in engine_of(client).run(chunks(40), Chore(tmp_path, 0.05, ballast=BALLAST)):
        if not killed and len(starters(tmp_path)) == 2:
            killed = [min(starters(tmp_path))]
            os.kill(killed[0], signal.SIGKILL)
    assert recorded(tmp_path) == {number: float(number**2) for number in range(40)}
    assert killed


def test_all_workers_are_killed(tmp_path, client):
    killed = set()
    for _ in engine_of(client).run(chunks(40), Chore(tmp_path, 0.05, ballast=BALLAST)):
        if not killed and len(starters(tmp_path)) == 2:
            killed = starters(tmp_path)
            for each in killed:
                os.kill(each, signal.SIGKILL)
    assert recorded(tmp_path) == {number: float(number**2) for number in range(40)}
    assert killed
