"""The protocol in code: compile apart, ready arrays, blocked results, turns, medians."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax


def in_turns(repeats: int, *calls: Callable[[], Any], warm: bool = True) -> list[list[float]]:
    """Seconds of each call, their results waited for, each called once before the clock.

    They take turns, so that a machine whose speed drifts treats all alike: what to quote is
    `ratio`.
    """
    if warm:
        for call in calls:
            jax.block_until_ready(call())
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, each in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(call())
            each.append(time.perf_counter() - start)
    return seconds


def ratio(times: list[float], others: list[float]) -> float:
    """Median over the turns of one time over the other."""
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median time of `call`, once warm, with its result waited for."""
    return statistics.median(in_turns(repeats, call)[0])


def compiled(function: Callable, *arguments: Any) -> tuple[Callable, float]:
    """`function` compiled for the arguments, and the seconds that it took."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    return program, time.perf_counter() - start


def peak_memory(code: str, *arguments: Any) -> float:
    """The most memory, in GB, of a process that runs this code and nothing else."""
    words = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(words)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 1e9
