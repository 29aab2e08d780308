"""What `engine=` takes."""

import sys
from concurrent.futures import Executor
from typing import Any

from .executor import OnExecutor
from .here import Here
from .protocol import Engine


def engine_of(given: Any) -> Engine:
    """The engine of None (this process), a client, a cluster, an executor, or an engine.

    Raises:
        TypeError: for anything else.
    """
    if given is None:
        return Here()
    if isinstance(given, Executor):
        return OnExecutor(given)
    if "distributed" in sys.modules:  # else it is no client, and need not be loaded
        from .dask import Client, Cluster, Dask

        if isinstance(given, Cluster):
            given = given.get_client()
        if isinstance(given, Client):
            return Dask(given)
    if callable(getattr(given, "run", None)) and not isinstance(given, type):
        return given
    raise TypeError(
        "engine takes a distributed.Client, a concurrent.futures.Executor or an object with "
        f"run(chunks, work), got {given!r}."
    )
