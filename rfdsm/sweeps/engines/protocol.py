"""What an engine is and what it is given: all that an engine of one's own needs to know."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol


class Work(Protocol):
    """What is done with a chunk; it can be pickled, once, and may hold much.

    It computes a chunk and records it, or returns its arrays where there is nowhere to record.
    Chunks are small tuples that can be pickled; an engine does not look into them.

    Attributes:
        side_by_side: how many chunks one process may usefully compute at once.
    """

    side_by_side: int

    def __call__(self, chunk: Any) -> Any:
        """The result of a chunk, None where it was recorded; from any thread."""

    def prepare(self) -> None:
        """Compile; called once in each process, before its first chunk."""

    def done(self, chunk: Any) -> bool:
        """Whether a chunk is recorded, by whichever process; cheap."""


class Engine(Protocol):
    """Where chunks are computed: any object with this `run` is one (`engine=`).

    An engine of one's own is a class with this method. It asks `work.done(chunk)` before it
    starts a chunk, calls `work(chunk)` in any thread, process or machine, and may do so again
    for a chunk whose process died. It keeps few chunks in flight, and looks at
    `rfdsm.progress.stop.asked` between them: then it ends those in flight and returns.
    """

    def run(self, chunks: Iterable[Any], work: Work) -> Iterator[tuple[Any, Any]]:
        """Each chunk with its result as it is done, in any order; None for a recorded one.

        Raises:
            Exception: the first that `work` raised, as itself, when what was in flight ended.
        """
