"""What an engine does with a chunk: compute it, and write it where there is a store."""

from typing import Any

import numpy as np

from .layout import Index, box
from .parts import Part


class Work:
    """Computes chunks of a part, here or in another process.

    Called with a chunk's index it gives the arrays, or with a store writes them and gives None.

    Attributes:
        part: what is computed. store: where it is written, or None.
        side_by_side: chunks that one process may compute at once.
    """

    def __init__(self, part: Part, store: Any):
        self.part, self.store = part, store
        self.side_by_side = part.side_by_side

    def prepare(self) -> None:
        """Compile, once in a process, before any chunk."""
        self.part.prepare()

    def done(self, index: Index) -> bool:
        """Whether a chunk is in the store, by its mark alone."""
        return self.store is not None and self.store.has(self.part.name, index)

    def __call__(self, index: Index) -> dict[str, np.ndarray] | None:
        arrays = self.part.compute(box(self.part.grid.sizes, self.part, index))
        if self.store is None:
            return arrays
        self.store.write(self.part.name, index, arrays)
        return None
