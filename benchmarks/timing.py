"""The protocol in code: compile apart, ready arrays, blocked results, medians."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median time of `call`, once warm, with its result waited for."""
    jax.block_until_ready(call())
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def in_turns(repeats: int, *calls: Callable[[], Any]) -> list[list[float]]:
    """Times of each call, once warm, taking turns, so that a drifting machine treats all alike.

    The median of the ratios turn by turn is what to quote (`ratio`).
    """
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


def compiled(function: Callable, *arguments: Any) -> tuple[Callable, float]:
    """`function` compiled for the arguments, and the seconds that it took."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    return program, time.perf_counter() - start
