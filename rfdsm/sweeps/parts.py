"""What is computed on a grid: variables that belong together, chunk by chunk.

A part states its variables once, and computes a box of the grid; the data set, the store and
the engines know no more of it. The variable called `mark` tells of every point how it ended:
in a store it is written last, and `NEVER` is what stands there before.
"""

import abc
import hashlib
from typing import Any

import jax
import numpy as np

from ..errors import FORMULAS, LABELS, STATUSES
from .grid import Box, Grid
from .layout import Variable

NEVER = -1  # a mark where nothing was computed
FLAGS = {
    "flag_values": [NEVER, *range(len(STATUSES))],
    "flag_meanings": " ".join(["never_computed", *STATUSES]),
}


def marked(grid: Grid, long_name: str) -> Variable:
    """The variable of a mark: an index into the statuses."""
    attrs = {"long_name": long_name, "kind": "status", **FLAGS}
    return Variable(tuple(grid.sizes), np.dtype(np.int8), NEVER, attrs)


def error(name: str, kind: str, long_name: str = "") -> dict[str, str]:
    """What a variable of an error is, in words."""
    return {
        "long_name": long_name or LABELS[name],
        "units": "per dimension",
        "convention": FORMULAS[name],
        "kind": kind,
    }


def floats(
    dims: tuple[str, ...], attrs: dict[str, Any], sizes: tuple[int, ...] = ()
) -> Variable:
    """A variable of numbers, NaN where they are not known; sizes: of its own dims."""
    return Variable(dims, np.dtype(np.float64), np.nan, attrs, sizes)


class Part(abc.ABC):
    """Variables that are computed together, in chunks of one shape.

    Attributes:
        grid: of the models. chunk: the shape of its chunks. mark: the name of the mark.
        name: of the part, for words. side_by_side: chunks that one process computes at once.
    """

    grid: Grid
    chunk: tuple[int, ...]
    name: str
    mark: str
    side_by_side: int = 1

    @property
    def dims(self) -> tuple[str, ...]:
        """The grid's dims."""
        return tuple(self.grid.sizes)

    @property
    @abc.abstractmethod
    def variables(self) -> dict[str, Variable]:
        """By their names; the mark is one of them."""

    @property
    def coords(self) -> dict[str, Any]:
        """(dimension, values, attributes) of coordinates beside those of the grid."""
        return {}

    @property
    def attrs(self) -> dict[str, Any]:
        """What the data set says of it."""
        return {}

    @property
    def identity(self) -> dict[str, Any]:
        """Plain JSON that says what is computed, beside the model and the axes."""
        return {}

    @abc.abstractmethod
    def compute(self, box: Box) -> dict[str, np.ndarray]:
        """All variables on a box of the grid."""

    def prepare(self) -> None:  # noqa: B027
        """What is done once in a process before its first chunk: compiling."""


def digest(tree: Any) -> str:
    """A short text that tells arrays from others."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()[:16]
