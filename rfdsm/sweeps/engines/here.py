"""Chunks in this process, on all of its devices: the default."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .executor import by_threads, in_window
from .protocol import Work


class Here:
    """Chunks on a few threads, so that one is written while another is computed."""

    def run(self, chunks: Iterable[Any], work: Work) -> Iterator[tuple[Any, Any]]:
        """As `Engine.run`."""
        pool = ThreadPoolExecutor(work.side_by_side, thread_name_prefix="rfdsm")
        try:  # one chunk more than threads, so that none waits for whoever takes the results
            yield from in_window(by_threads(pool, work), chunks, work, work.side_by_side + 1)
        finally:
            pool.shutdown(wait=False)
