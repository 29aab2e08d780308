"""Chunks on the workers of a Dask cluster: on this machine, by hand, on Slurm, in a cloud.

Results live in the store, not in futures. What is to do is decided by what is recorded, never
by a future's state; each future is released as soon as its chunk is done, else Dask would
repeat finished work when the worker that holds it dies. Futures are waited for in waves: a loop
over `as_completed` of futures that are held can hang when workers die.
"""

import contextlib
import logging
import signal
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import resource_tracker
from typing import Any, NamedTuple

import dask
import distributed
from distributed import Client, Future, KilledWorker, LocalCluster
from distributed.deploy import Cluster as Cluster

from ...progress import stop
from .protocol import Work
from .worker import compute, hold, parcel

TICK = 1.0  # seconds between looks at the workers, and at whether a stop was asked
MEMORY = 3  # workers that may run out of memory, if their chunks are done by others
FETCH = 60.0  # seconds that one result may take to arrive


class Dask(NamedTuple):
    """Chunks on the workers of a cluster; each is one process with one thread.

    A chunk whose worker died is done by another.

    Attributes:
        client: a `distributed.Client`, not an asynchronous one.
        ahead: how many chunks the scheduler is given for each worker.
        repeats: how often a chunk is sent again after its workers died, each time by Dask's
            `allowed-failures` of them.
        patience: seconds without a chunk that was done, after which all is given up.
    """

    client: Client
    ahead: int = 2
    repeats: int = 3
    patience: float = 3600.0

    def run(self, chunks: Iterable[Any], work: Work) -> Iterator[tuple[Any, Any]]:
        """As `Engine.run`.

        Raises:
            TypeError: the client is asynchronous.
            RuntimeError: the workers of a chunk died, again and again.
            MemoryError: they died of too little memory.
            TimeoutError: nothing was done for longer than `patience`.
            ConnectionError: the scheduler is gone.
        """
        if self.client.asynchronous:
            raise TypeError("the client is asynchronous: make it with Client(address).")
        todo, again, running = iter(chunks), deque(), {}
        tasks, begun = _Tasks(self.client, work), time.time()
        workers, counted, last = 1, 0.0, time.monotonic()
        interrupted, taken_back = False, None
        try:
            while True:
                if self.client.status in ("closing", "closed"):
                    raise ConnectionError(_gone(self.client))
                if time.monotonic() > counted + TICK:
                    workers, counted = _workers(self.client), time.monotonic()
                    _require_memory(self.client, begun, MEMORY)
                stopping = interrupted or stop.asked
                while not stopping and len(running) < self.ahead * max(1, workers):
                    chunk, tries = again.popleft() if again else (next(todo, None), 0)
                    if chunk is None:
                        break
                    if work.done(chunk):
                        yield chunk, None
                        last = time.monotonic()
                    else:
                        running[tasks.submit(chunk)] = chunk, tries
                    stopping = stop.asked
                if stopping and taken_back is None:
                    taken_back = tasks.take_back(list(running))
                    for future in taken_back:
                        del running[future]
                if not running or (stopping and not workers):
                    break
                try:
                    _wait(list(running))
                except KeyboardInterrupt:
                    if interrupted:
                        raise
                    interrupted = True
                for future in [each for each in running if each.status != "pending"]:
                    chunk, tries = running.pop(future)
                    ok, result = _outcome(future, chunk, work)
                    future.release()
                    if ok:
                        yield chunk, result
                        last = time.monotonic()
                        continue
                    _require_memory(self.client, begun)
                    if tries == self.repeats:
                        raise RuntimeError(_lost(chunk, tries + 1, result))
                    again.append((chunk, tries + 1))
                if time.monotonic() > last + self.patience:
                    _require_memory(self.client, begun)
                    raise TimeoutError(_hung(self.patience, workers))
        finally:
            tasks.end(list(running))
        if interrupted:
            raise KeyboardInterrupt


class _Tasks:
    """Tasks of one work, which is the result of a task itself: what its workers lose when they
    die, Dask makes again."""

    def __init__(self, client: Client, work: Work):
        self.client, self.parcel, self.held = client, parcel(work), None
        self.run, self.count = uuid.uuid4().hex[:8], 0

    def _submit(self, function: Any, *args: Any) -> Future:
        self.count += 1
        key = f"rfdsm-{function.__name__}-{self.run}-{self.count}"
        return self.client.submit(function, *args, key=key, pure=False)

    def submit(self, chunk: Any) -> Future:
        if self.held is None or self.held.status in ("error", "cancelled", "lost"):
            with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
                self.held = self._submit(hold, self.parcel)
        return self._submit(compute, self.held, chunk)

    def take_back(self, running: list[Future]) -> list[Future]:
        """Cancel and tell which tasks no worker has started."""
        stacks = self.client.call_stack(running).values() if running else ()
        started = {key for tasks in stacks for key in tasks}
        waiting = [future for future in running if future.key not in started]
        self.client.cancel(waiting)
        return waiting

    def end(self, running: list[Future]) -> None:
        """Cancel all; what has started ends on its worker nevertheless, and is recorded."""
        with contextlib.suppress(Exception):  # a client that is closed has nothing to cancel
            self.client.cancel([*running, *([self.held] if self.held else [])])


def _wait(running: list[Future]) -> None:
    """Until one is no longer pending, or for a while."""
    with contextlib.suppress(TimeoutError, distributed.client.FuturesCancelledError):
        distributed.wait(running, timeout=TICK, return_when="FIRST_COMPLETED")


def _outcome(future: Future, chunk: Any, work: Work) -> tuple[bool, Any]:
    """(True, the result), or (False, why it is lost); an exception of the work is raised."""
    if future.status == "error":
        error = future.exception(timeout=FETCH)
        if isinstance(error, KilledWorker):
            return False, error
        if isinstance(error, ImportError):
            raise RuntimeError(
                f"a worker cannot run this ({error}): the scheduler and its workers need the "
                "same Python and packages as here, rfdsm among them."
            ) from error
        raise error
    if future.status != "finished":
        return False, future.status
    if work.done(chunk):  # nothing to fetch, from a worker that may die before
        return True, None
    try:
        return True, future.result(timeout=FETCH)
    except Exception as error:  # the task was done: what fails is its way here
        return False, error


def _workers(client: Client) -> int:
    """How many workers there are now; 0 while the scheduler does not answer."""
    try:
        return len(client.nthreads())
    except OSError:
        return 0


def _require_memory(client: Client, begun: float, most: int = 0) -> None:
    """Refuse to go on where Dask ended, since then, more workers that used too much memory."""
    try:
        ended = sum(at >= begun for at, _ in client.get_events("worker-restart-memory"))
    except OSError:  # the scheduler does not answer
        return
    if ended > most:
        raise MemoryError(
            f"workers ran out of memory, {ended} times: give them more, start fewer on a "
            "machine or take smaller chunks; the same call does not repeat what is in a store."
        )


def _lost(chunk: Any, times: int, why: Any) -> str:
    return (
        f"chunk {chunk} was lost {times} times with the workers that had it ({why}): their "
        "logs say of what they died; the same call does not repeat what is in a store."
    )


def _hung(patience: float, workers: int) -> str:
    what = f"{workers} workers have it" if workers else "no worker is there"
    return (
        f"no chunk was done for {patience:g} s ({what}): start workers, or restart those that "
        "hang, and call again, which does nothing twice that is in a store; if a chunk takes "
        "longer, engine=Dask(client, patience=...)."
    )


def _gone(client: Client) -> str:
    return (
        f"the scheduler of {client} is gone: start it and its workers and call again, which "
        "does nothing twice that is in a store."
    )


@contextlib.contextmanager
def local_cluster(
    workers: int, dashboard: str | None = None, **options: Any
) -> Iterator[Client]:
    """A cluster of processes on this machine, each with one thread, for `engine=`.

    They are spawned, never forked (JAX hangs in forked processes), so a script that calls this
    needs `if __name__ == "__main__":`.

    Args:
        workers: how many.
        dashboard: where Dask shows what it does, as ":8787"; needs bokeh.
        options: further ones of `distributed.LocalCluster`, as memory_limit="4GB" of a worker.
    """
    if workers < 1:
        raise ValueError(f"a cluster has at least one worker, got {workers}.")
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}),
        _deaf_to_ctrl_c(
            LocalCluster,
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=dashboard or "127.0.0.1:0",  # any free port, of no dashboard
            scheduler_kwargs={"dashboard": dashboard is not None},
            silence_logs=logging.CRITICAL,
            **options,
        ) as cluster,
        Client(cluster) as client,
    ):
        cluster.adapt(minimum=workers, maximum=workers)  # one that did not restart is replaced
        yield client


def _deaf_to_ctrl_c(make: Callable[..., Any], **options: Any) -> Any:
    """What is made, whose threads and processes do not get SIGINT, now and when restarted.

    A terminal sends it to all of its processes: the workers would die of it.
    """
    # It unblocks SIGINT where it starts, and complains when this process is ended at once.
    sys.warnoptions.append(complaint := "ignore:resource_tracker:UserWarning")
    resource_tracker.ensure_running()
    sys.warnoptions.remove(complaint)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return make(**options)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def connect(address: str, timeout: float = 10.0) -> Client:
    """The client of a scheduler that runs, as "tcp://10.0.0.1:8786"; `timeout` in seconds.

    Raises:
        ConnectionError: nothing answers there.
    """
    try:
        return Client(address, timeout=timeout)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no Dask scheduler answers at {address} within {timeout:g} s: start one with "
            f"`dask scheduler`, which prints its address. ({type(error).__name__})"
        ) from None
