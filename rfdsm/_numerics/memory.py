"""Memory: what a machine has left, asked before work that would need more."""

import math
import os
from pathlib import Path
from typing import Any

import jax

CGROUP = Path("/sys/fs/cgroup")  # of a container that has a limit of its own


def require_memory(needed: float, what: str, fix: str, free: float | None = None) -> None:
    """Refuse work before it begins; XLA would end the process.

    Args:
        needed: bytes at the least. what: needs them; fix: needs fewer. Words for the message.
        free: bytes; None: those that JAX's default device has left.

    Raises:
        MemoryError: more than is available.
    """
    free = available() if free is None else free
    if needed > free:
        sizes = f"{needed / 2**30:.2g} GiB of memory at least, {free / 2**30:.2g} GiB are free"
        raise MemoryError(f"{what} {sizes}: {fix}.")


def available() -> float:
    """Bytes that JAX's default device has left; infinity where that is not known."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        return stats.get("bytes_limit", math.inf) - stats.get("bytes_in_use", 0)
    return of_host()


def of_host() -> float:
    """Bytes that this machine has left; infinity where that is not known."""
    return min(_of_machine(), _of_container())


def bytes_of(budget: Any) -> float | None:
    """The bytes of "4GB", "500MB", or of a number; None of None.

    Raises:
        ValueError: neither.
    """
    if budget is None:
        return None
    units = {"GB": 1e9, "MB": 1e6, "GiB": 2**30, "MiB": 2**20}
    text = str(budget).strip()
    unit = next((unit for unit in units if text.endswith(unit)), "")
    try:
        found = float(text.removesuffix(unit)) * units.get(unit, 1)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise ValueError(f"memory is a size such as '4GB', or bytes, got {budget!r}.")
    return found


def _of_machine() -> float:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        numbers = {name: rest.split()[0] for name, _, rest in (x.partition(":") for x in lines)}
        return 1024.0 * int(numbers["MemAvailable"])
    except (OSError, KeyError, ValueError):  # not Linux: all there is
        names = getattr(os, "sysconf_names", {})
        known = {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= {*names}
        if not known:
            return math.inf
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")


def _of_container() -> float:
    try:
        limit, used = ((CGROUP / f"memory.{x}").read_text() for x in ("max", "current"))
        return float(int(limit) - int(used))
    except (OSError, ValueError):  # none, or "max"
        return math.inf
