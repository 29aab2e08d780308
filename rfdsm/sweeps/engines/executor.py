"""Chunks on any executor of `concurrent.futures`, a bounded number of them at a time."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from functools import cache, partial
from typing import Any, NamedTuple

import jax

from ...progress import stop
from .protocol import Work
from .worker import compute, parcel

TICK = 0.2  # seconds between looks at whether a stop was asked


class OnExecutor(NamedTuple):
    """Chunks on a pool of threads or of processes, which is left open.

    Work is pickled into every task of a pool of processes: a large one travels often, for which
    a Dask cluster is the better place. As everywhere with spawned processes, a script
    needs `if __name__ == "__main__":`.

    Attributes:
        executor: any `concurrent.futures.Executor`.
        window: the most chunks that are handed to it at a time; None: twice the cores.
    """

    executor: Executor
    window: int | None = None

    def run(self, chunks: Iterable[Any], work: Work) -> Iterator[tuple[Any, Any]]:
        """As `Engine.run`.

        Raises:
            ValueError: its processes are forked.
            RuntimeError: one of its processes died.
        """
        window = self.window or 2 * (os.cpu_count() or 1)
        if isinstance(self.executor, ThreadPoolExecutor):
            submit = by_threads(self.executor, work)
        else:
            require_not_forked(self.executor)
            submit = partial(self.executor.submit, compute, parcel(work))
        try:
            yield from in_window(submit, chunks, work, window)
        except BrokenExecutor as error:
            raise RuntimeError(
                "a process of the executor died, perhaps of too little memory: take fewer "
                "processes or smaller chunks, and call again with a new executor; what is in a "
                f"store is not done again. ({error})"
            ) from error


def require_not_forked(executor: Executor) -> None:
    """Refuse a pool in which JAX hangs.

    Raises:
        ValueError: its processes are forked.
    """
    context = getattr(executor, "_mp_context", None)
    if isinstance(executor, ProcessPoolExecutor) and context.get_start_method() == "fork":
        raise ValueError(
            "JAX hangs in forked processes: make the pool with "
            'ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")).'
        )


def by_threads(executor: Executor, work: Work) -> Callable[[Any], Future]:
    """Hand chunks to threads, under this thread's flag of jax; compiled before the first."""
    x64, prepare = jax.config.jax_enable_x64, cache(work.prepare)

    def one(chunk: Any) -> Any:
        with jax.enable_x64(x64):
            return work(chunk)

    def submit(chunk: Any) -> Future:
        prepare()
        return executor.submit(one, chunk)

    return submit


def in_window(
    submit: Callable[[Any], Future], chunks: Iterable[Any], work: Work, window: int
) -> Iterator[tuple[Any, Any]]:
    """As `Engine.run`, with at most `window` chunks in flight.

    A Ctrl-C lets those that have started end, and is raised then; a second one at once.
    """
    todo, running, interrupted, at_once = iter(chunks), {}, False, False
    try:
        while True:
            stopping = interrupted or stop.asked
            while not stopping and len(running) < window:
                if (chunk := next(todo, None)) is None:
                    break
                if work.done(chunk):
                    yield chunk, None
                else:
                    running[submit(chunk)] = chunk
                stopping = stop.asked
            if stopping:
                for future in [each for each in running if each.cancel()]:
                    del running[future]
            if not running:
                break
            try:
                finished, _ = wait(running, TICK, FIRST_COMPLETED)
            except KeyboardInterrupt:
                if interrupted:
                    at_once = True
                    raise
                interrupted = True
                continue
            for future in finished:
                yield running.pop(future), future.result()
    finally:
        started = [future for future in running if not future.cancel()]
        if not at_once:
            wait(started)
    if interrupted:
        raise KeyboardInterrupt
