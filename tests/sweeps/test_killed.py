"""Sweeps whose processes are killed at random moments: the same call ends them, exactly.

Its store is compared, file by file and byte by byte, with one that this process wrote and
nobody disturbed; and no chunk that was recorded at a kill is written again, which the inodes
and times of its files tell.
"""

import functools
import os
import random
import signal
import subprocess
import sys
import threading
import time

import jax
import pytest
import victim
from victim import MARKS, POINTS, files, recorded, stamps, sweep

import rfdsm
from rfdsm.sweeps.engines.dask import local_cluster

CHUNKS = {"theory": POINTS, "networks": 2 * POINTS}
AWAKE = 300.0  # seconds in which a child must have recorded what is waited for


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The files of a store that was computed at once, here."""

    @functools.cache
    def of(kind):
        path = tmp_path_factory.mktemp("undisturbed") / "a.zarr"
        found = sweep(path, kind)
        assert found.attrs["chunks_done"] == found.attrs["chunks_total"] == CHUNKS[kind]
        for mark in MARKS if kind == "networks" else MARKS[:1]:
            assert (found[mark] == 0).all()
        return files(path)

    return of


@pytest.fixture(scope="module")
def as_here():
    """The environment of processes that compile as this one does: the same bits."""
    quick = jax.config.values["jax_disable_most_optimizations"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", str(int(quick)))
        patch.setenv("JAX_ENABLE_X64", "1")
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        yield


@pytest.fixture(scope="module")
def client(as_here):
    with local_cluster(2) as client:
        yield client


def snapshot(store):
    """What is recorded now, and of which files."""
    return stamps(store, recorded(store))


def killed(store, kind, rng, scheduler):
    """Start a process that goes on with a store; kill it some chunks and a moment later."""
    until = min(len(recorded(store)) + rng.randint(1, 8), CHUNKS[kind] - 1)
    child = subprocess.Popen([sys.executable, victim.__file__, store, kind, *scheduler])
    end = time.monotonic() + AWAKE
    while child.poll() is None and len(recorded(store)) < until:
        assert time.monotonic() < end, "it does nothing"
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.05))
    child.kill()
    assert child.wait() == -signal.SIGKILL
    return snapshot(store)


def require_kept(store, kept):
    """What was recorded is as it was, and was not written again."""
    now = snapshot(store)
    assert kept and {file: now.get(file) for file in kept} == kept


def require_whole(store, files_of_whole):
    assert files(store) == files_of_whole
    assert rfdsm.check(store).damaged == ()


def processes_killed(path, kind, undisturbed, seed, kills, client=None):
    """One process after the other that goes on with a store is killed; this one ends it."""
    rng, kept = random.Random(seed), []
    scheduler = [client.scheduler_info()["address"]] if client else []
    for _ in range(kills):
        kept.append(killed(path, kind, rng, scheduler))
        assert rfdsm.check(path).damaged == ()
    sweep(path, kind, engine=client)
    for each in kept:
        require_kept(path, each)
    require_whole(path, undisturbed(kind))


def workers_killed(path, kind, undisturbed, seed, kills, client):
    """Workers are killed one after the other while they compute a store."""
    rng = random.Random(seed)
    at = sorted(rng.sample(range(1, CHUNKS[kind] - 4), kills))
    kept, timers = [], []

    def kill(pid):
        os.kill(pid, signal.SIGKILL)
        kept.append(snapshot(path))

    def report(progress):
        if at and len(recorded(path)) >= at[0]:
            del at[0]
            pids = [*client.run(os.getpid).values()]
            timers.append(threading.Timer(rng.uniform(0, 0.05), kill, [rng.choice(pids)]))
            timers[-1].start()

    sweep(path, kind, engine=client, progress=report)
    for timer in timers:
        timer.join()
    assert len(kept) == kills
    for each in kept:
        require_kept(path, each)
    require_whole(path, undisturbed(kind))


@pytest.mark.usefixtures("as_here")
def test_a_killed_process(tmp_path, undisturbed):
    processes_killed(tmp_path / "a.zarr", "networks", undisturbed, 0, 1)


def test_a_killed_worker(tmp_path, undisturbed, client):
    workers_killed(tmp_path / "a.zarr", "theory", undisturbed, 0, 1, client)


def test_a_killed_client(tmp_path, undisturbed, client):
    processes_killed(tmp_path / "a.zarr", "theory", undisturbed, 0, 1, client)


@pytest.mark.slow
@pytest.mark.usefixtures("as_here")
@pytest.mark.parametrize("seed", range(4))
def test_many_killed_processes(tmp_path, undisturbed, seed):
    processes_killed(tmp_path / "a.zarr", "networks", undisturbed, seed, 5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_many_killed_workers(tmp_path, undisturbed, client, seed):
    workers_killed(tmp_path / "a.zarr", "networks", undisturbed, seed, 2, client)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_many_killed_clients(tmp_path, undisturbed, client, seed):
    processes_killed(tmp_path / "a.zarr", "networks", undisturbed, seed, 5, client)
