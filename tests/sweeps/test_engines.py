"""Each engine does every chunk once, whatever dies; and says in a line why it cannot."""

import _thread
import contextlib
import inspect
import multiprocessing
import os
import re
import signal
import socket
import sys
import threading
import time
import types
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from chores import Chore, chunks, prepared, recorded, starters, starts
from distributed import LocalCluster

import rfdsm
from rfdsm.progress import stop
from rfdsm.sweeps.engines import Here, dask as engines_dask, engine_of
from rfdsm.sweeps.engines.dask import Dask, connect, local_cluster

BALLAST = bytes(20_000_000)
SQUARES = {number: float(number**2) for number in range(12)}


@pytest.fixture(scope="module")
def started():
    with local_cluster(2) as client:
        yield client


@pytest.fixture
def client(started):
    started.wait_for_workers(2)  # of which tests before may have killed some
    return started


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def results(engine, work, count=12):
    return {chunk.number: result for chunk, result in engine.run(chunks(count), work)}


def require_all_recorded(folder):
    """Few chunks, and soon all that have started: a worker ends what it is no longer asked."""
    end = time.monotonic() + 10
    while (begun := starts(folder)) != set(recorded(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    assert begun == set(recorded(folder)) and 1 <= len(begun) < 15


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
    require_all_recorded(tmp_path)


@pytest.mark.parametrize("where", ["here", "threads", "dask"])
def test_ctrl_c_ends_what_has_started(where, tmp_path, threads, client):
    engine = engine_of({"here": None, "threads": threads, "dask": client}[where])

    def interrupt():
        while not any(tmp_path.glob("done-*")):  # which may be written to yet
            time.sleep(0.01)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        results(engine, Chore(tmp_path, seconds=0.1), 1000)
    thread.join()
    require_all_recorded(tmp_path)


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    """For a chunk of two seconds, whose thread ends later."""

    def interrupt():
        for _ in range(2):
            while not starts(tmp_path):
                time.sleep(0.01)
            _thread.interrupt_main()
            time.sleep(0.3)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        results(Here(), Chore(tmp_path, seconds=2.0))
    assert starts(tmp_path) == {0} and not recorded(tmp_path)
    thread.join()


def test_a_worker_is_killed(tmp_path, client):
    """Its chunks are done by another; none twice, and none that was recorded is lost."""
    killed = []
    for _ in engine_of(client).run(chunks(40), Chore(tmp_path, 0.05, ballast=BALLAST)):
        if not killed and len(starters(tmp_path)) == 2:
            killed = [min(starters(tmp_path))]
            os.kill(killed[0], signal.SIGKILL)
    assert recorded(tmp_path) == {number: float(number**2) for number in range(40)}
    assert killed


@pytest.mark.slow
def test_all_workers_are_killed(tmp_path, client):
    killed = set()
    for _ in engine_of(client).run(chunks(40), Chore(tmp_path, 0.05, ballast=BALLAST)):
        if not killed and len(starters(tmp_path)) == 2:
            killed = starters(tmp_path)
            for each in killed:
                os.kill(each, signal.SIGKILL)
    assert recorded(tmp_path) == {number: float(number**2) for number in range(40)}
    assert killed


@pytest.mark.slow
def test_a_chunk_kills_each_worker(tmp_path, client, monkeypatch):
    """It is sent again as often as stated; then a line says so."""
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 1)
    with pytest.raises(RuntimeError, match=r"chunk Chunk\(number=3\) was lost 2 times"):
        results(Dask(client, ahead=1, repeats=1), Chore(tmp_path, deadly=3))
    deaths = (tmp_path / "started-3").read_text().split()
    assert len(set(deaths)) == 2 * 2


def test_nothing_happens_for_long(tmp_path, client):
    with pytest.raises(TimeoutError, match=r"no chunk was done for 0.5 s \([12] workers"):
        results(Dask(client, patience=0.5), Chore(tmp_path, seconds=2.0))


def test_no_worker_comes():
    """A scheduler whose workers are still to start."""
    with (
        LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=":0") as cluster,
        cluster.get_client() as client,
    ):
        with pytest.raises(TimeoutError, match="no worker is there"):
            results(Dask(client, patience=1.0), Chore())
        cluster.scale(1)
        assert results(Dask(client), Chore()) == SQUARES


def test_nobody_answers():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ConnectionError, match="no Dask scheduler answers at tcp"):
            connect(address, timeout=0.5)


def test_forked_processes_are_refused():
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=fork) as pool:
        with pytest.raises(ValueError, match="JAX hangs in forked processes"):
            results(engine_of(pool), Chore())


def test_a_process_of_an_executor_dies(tmp_path):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        with pytest.raises(RuntimeError, match="a process of the executor died"):
            results(engine_of(pool), Chore(tmp_path, deadly=3))


@pytest.mark.slow
def test_workers_are_deaf_to_ctrl_c(tmp_path, client):
    """Which a terminal sends to them too; so is one that was restarted."""
    for again in range(2):
        folder = tmp_path / str(again)
        folder.mkdir()
        for _ in engine_of(client).run(chunks(20), Chore(folder, 0.05)):
            for each in starters(folder):
                os.kill(each, signal.SIGINT)
        assert all(len(each.read_text().split()) == 1 for each in folder.glob("started-*"))
        for each in starters(folder):
            os.kill(each, signal.SIGKILL)
        client.wait_for_workers(2)


@pytest.mark.slow
def test_a_worker_that_is_gone_is_replaced(client):
    """Also where Dask gave it up, as it does when one dies while it starts."""
    cluster = client.cluster
    for worker in list(cluster.workers.values()):
        cluster.sync(worker.close)
    assert results(engine_of(client), Chore()) == SQUARES


@pytest.mark.slow
def test_workers_run_out_of_memory(tmp_path):
    """Dask ends them, and the line says so at once."""
    with local_cluster(1, memory_limit="600MB") as client:
        with pytest.raises(MemoryError, match=r"workers ran out of memory, [2-5] times"):
            results(engine_of(client), Chore(tmp_path, seconds=5.0, swells=10**9), 1)


@pytest.mark.slow
def test_the_scheduler_dies(tmp_path):
    """What was recorded stays, and a line tells what to do."""
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0")
    client = cluster.get_client()
    with pytest.raises(ConnectionError, match=r"the scheduler of .* is gone"):
        for _ in engine_of(client).run(chunks(1000), Chore(tmp_path, 0.01)):
            if len(recorded(tmp_path)) > 3:
                cluster.close()
    assert 3 < len(recorded(tmp_path)) < 1000


def test_what_is_an_engine(client):
    mine = Here()
    assert engine_of(mine) is mine
    assert engine_of(client.cluster).client.scheduler.address == client.scheduler.address
    for other in (Here, "dask", 4):
        with pytest.raises(TypeError, match=r"engine takes a distributed\.Client"):
            engine_of(other)
    with pytest.raises(ValueError, match="at least one worker"):
        with local_cluster(0):
            pass


def test_the_page_is_copyable(client, monkeypatch):
    """Its Python runs, on this cluster for others', up to the sweep, which gets an engine."""
    page = Path(__file__).parents[2] / "docs" / "clusters.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), flags=re.S | re.M)
    signature, engines_given = inspect.signature(rfdsm.sweep), []

    def sweep(*args, **options):
        engines_given.append(engine_of(signature.bind(*args, **options).arguments["engine"]))

    adapted = []
    monkeypatch.setattr(type(client.cluster), "adapt", lambda _, **jobs: adapted.append(jobs))
    monkeypatch.setattr(rfdsm, "sweep", sweep, raising=False)
    monkeypatch.setattr(engines_dask, "local_cluster", lambda _: contextlib.nullcontext(client))
    monkeypatch.setattr(engines_dask, "connect", lambda _: client)
    for module, name, given in (
        ("dask_jobqueue", "SLURMCluster", client.cluster),
        ("dask_cuda", "LocalCUDACluster", contextlib.nullcontext(client.cluster)),
    ):
        stand_in = types.ModuleType(module)
        setattr(stand_in, name, lambda given=given, **_: given)
        monkeypatch.setitem(sys.modules, module, stand_in)
    namespace = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(block, page.name, "exec"), namespace)
    assert len(blocks) == len(engines_given) == 4 and len(adapted) == 1
    assert all(isinstance(engine, Dask) for engine in engines_given)
