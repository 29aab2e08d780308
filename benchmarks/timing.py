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


def compiled(function: Callable, *arguments: Any) -> tuple[Callable, float]:
    """`function` compiled for the arguments, and the seconds that it took."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    return program, time.perf_counter() - start
