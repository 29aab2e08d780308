"""What a sweep will take: chunks, disk, memory, and time by a timed sample. Writes nothing."""

import dataclasses
import math
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..model import RFDSM
from ..parameters.numbers import value_of
from ..progress import Progress, Report, silent
from ..simulation.experiment import POINTS_PER_DIMENSION, SHARED_AT_LEAST, matrices
from .asymptotics import cores
from .chunks import Store
from .grid import chunk_of
from .layout import Layout, box, chunk_shape, indices
from .parts import Part
from .prediction import SEVERAL
from .simulation import Networks
from .store import open_store
from .sweeping import layout_of, planned

SAMPLE = 4096  # points of theory that are timed
PATIENCE = 2.0  # seconds that the larger of two timed networks may be thought to take
GROWS = 1.5  # of operations, from which on another timing tells more
COPIES = 2  # of a chunk that is held: where it is computed, and where it is written from


class OfPart(NamedTuple):
    """What one part of a sweep takes.

    Attributes:
        name: "theory" or "networks". chunks: all of them; left: those to compute.
        points: of the left ones. networks: to train at them.
        seconds: to compute them on this machine, compiling included.
    """

    name: str
    chunks: int
    left: int
    points: int
    networks: int
    seconds: float


class Estimate(NamedTuple):
    """What a sweep takes.

    Attributes:
        sizes: points by dimension. parts: in the order in which they are computed.
        disk: bytes of what is not in the store yet. memory: bytes of this process.
    """

    sizes: dict[str, int]
    parts: tuple[OfPart, ...]
    disk: int
    memory: float

    @property
    def points(self) -> int:
        """Of the grid."""
        return math.prod(self.sizes.values())

    @property
    def seconds(self) -> float:
        """Of all parts."""
        return sum(part.seconds for part in self.parts)


def estimate(
    model: RFDSM,
    axes: Mapping[str, Any],
    *,
    store: Any = None,
    report: Report = silent,
    **asked: Any,
) -> Estimate:
    """What `sweep` would take on this machine, of its arguments.

    Theory is timed on a few thousand points; of networks the cheapest and one that takes a
    second or two, between which time is taken as linear in the operations. Both are compiled
    before, and compiling is counted once, for networks once for each of their sizes.

    Args:
        model, axes, asked: as of `sweep`, which refuses the same.
        store: what it holds already is not counted. report: called with `Progress`.

    Raises:
        ValueError, MemoryError: as `sweep`. OSError: a store that cannot be read.
    """
    from zarr.storage import MemoryStore

    grid, parts = planned(model, axes, **asked)
    layout, there = layout_of(grid, parts, ""), _there(store)
    told = []
    for number, part in enumerate(parts):
        report(Progress(f"{part.name}: timing", number, len(parts)))
        chunks, done = [*indices(layout.sizes, part)], set()
        if there is not None:
            part = dataclasses.replace(part, chunk=there.parts[part.name].chunk)
            chunks, done = [*indices(layout.sizes, part)], there.marked(part.name)
        left = [index for index in chunks if index not in done]
        boxes = [box(layout.sizes, part, index) for index in left]
        points = sum(math.prod(at.stop - at.start for at in each) for each in boxes)
        count = 0
        if isinstance(part, Networks):
            todo = np.zeros(grid.shape, bool)
            for at in boxes:
                todo[at] = True
            sizes = _Sizes.of(part, todo)
            count = int(np.sum(sizes.networks)) * part.trials
            seconds = _training(part, sizes)
        else:
            seconds = _solving(part, points)
        told.append(OfPart(part.name, len(chunks), len(left), points, count, seconds))
    disk = (there or Store(MemoryStore(), layout.sizes, layout.parts)).missing_bytes()
    return Estimate(grid.sizes, tuple(told), disk, _memory(layout, parts, store is None))


def _there(store: Any) -> Store | None:
    """A store that stands."""
    try:
        return None if store is None else open_store(store)
    except FileNotFoundError:
        return None


def _solving(part: Part, points: int) -> float:
    """Seconds to solve points, as a sample of them takes, on all cores side by side."""
    if not points:
        return 0.0
    chunk = chunk_of(part.grid, min(SAMPLE, math.prod(part.chunk)), part.grid.times)
    sample = dataclasses.replace(part, chunk=chunk)
    at = tuple(slice(0, size) for size in chunk)
    compiling = _seconds(sample.prepare)
    solving = min(_seconds(sample.compute, at) for _ in range(2))
    side_by_side = min(part.side_by_side, cores(), math.ceil(points / math.prod(part.chunk)))
    return compiling + solving * points / math.prod(chunk) / side_by_side


class _Sizes(NamedTuple):
    """Networks to train at points of a grid.

    Attributes:
        at: places in the grid without training times, flat, shape (points,).
        d: the dimension. n, p, m, networks (that are averaged): shape (points,).
    """

    at: np.ndarray
    d: int
    n: np.ndarray
    p: np.ndarray
    m: np.ndarray
    networks: np.ndarray

    @classmethod
    def of(cls, part: Networks, todo: np.ndarray) -> "_Sizes":
        grid = part.grid
        at = np.flatnonzero(todo if grid.times is None else todo.any(axis=grid.times))
        swept = grid.values(grid.whole(), grid.times)

        def column(name: str) -> np.ndarray:
            one = np.full(at.max(initial=0) + 1, value_of(grid.model, name))
            return np.asarray(swept.get(name, one), float)[at]

        n, p = (np.round(column(name) * part.d) for name in ("psi_n", "psi_p"))
        return cls(at, part.d, n, p, column("m"), column("ensemble.networks"))

    @property
    def costs(self) -> np.ndarray:
        """Operations of each, up to a factor."""
        pairs, width = self.n * np.minimum(self.m, SEVERAL), np.minimum(self.p, self.n * self.m)
        measuring = self.p * self.d * (SHARED_AT_LEAST + 2 * POINTS_PER_DIMENSION * self.d)
        return self.networks * (self.p * pairs * (self.d + width) + width**3 + measuring)

    @property
    def different(self) -> np.ndarray:
        """Rows (n, p, m, networks) that occur, each a program of its own."""
        return np.unique(np.stack([self.n, self.p, self.m, self.networks], axis=-1), axis=0)


def _training(part: Networks, sizes: _Sizes) -> float:
    """Seconds to train networks: linear in the operations, by the cheapest and a dearer one."""
    if not len(sizes.at):
        return 0.0
    costs = sizes.costs
    ascending = np.argsort(costs)
    compiling, cheapest = _compiled(part, sizes.at[ascending[0]])
    least, seconds, slope = costs[ascending[0]], cheapest, cheapest / costs[ascending[0]]
    tried = least
    while True:  # as far up as patience reaches, which each timing knows better
        within = ascending[costs[ascending] * slope <= PATIENCE]
        if not len(within) or costs[within[-1]] <= GROWS * tried:
            break
        tried = costs[within[-1]]
        compiling, seconds = _compiled(part, sizes.at[within[-1]])
        slope = max(seconds - cheapest, 0.0) / (tried - least)
    running = cheapest + slope * (costs - least)
    return compiling * len(sizes.different) + float(np.sum(running))


def _compiled(part: Networks, at: int) -> tuple[float, float]:
    """Seconds to compile and to train the networks of one point."""
    grid = part.grid
    kept = [i for i in range(len(grid.dims)) if i != grid.times]
    places = np.unravel_index(at, [grid.shape[i] for i in kept]) if kept else ()
    point = [slice(None)] * len(grid.dims)
    for i, place in zip(kept, places, strict=True):
        point[i] = slice(int(place), int(place) + 1)
    first, then = (_seconds(part.compute, tuple(point)) for _ in range(2))
    return max(first - then, 0.0), then


def _seconds(work: Any, *arguments: Any) -> float:
    start = time.monotonic()
    work(*arguments)
    return time.monotonic() - start


def _memory(layout: Layout, parts: Sequence[Part], whole: bool) -> float:
    """Bytes of this process: as it is after the sample, and what is held at once.

    Args:
        whole: whether the data set is in memory, not in a store.
    """
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total = float(used if sys.platform == "darwin" else 1024 * used)
    for part in parts:
        numbers = {
            name: math.prod(chunk_shape(layout.sizes, part, name)) * each.dtype.itemsize
            for name, each in part.variables.items()
        }
        held = COPIES * (part.side_by_side + 1)
        if whole:
            held += len([*indices(layout.sizes, part)])
        total += held * sum(numbers.values())
        if isinstance(part, Networks):
            sizes = _Sizes.of(part, np.ones(part.grid.shape, bool)).different
            shared = part.grid.model.ensemble.shared.points
            total += 8 * max(matrices(part.d, *x, 1 if shared else x[-1]) for x in sizes)
    return total
