"""The chunks of a sweep's store: written whole by zarr, the mark last, and checked.

A chunk of every variable is a file of its own, whole or not there, with a checksum (crc32c) at
its end. Any number of threads and processes may write, and may be killed at any time: what
counts is what is marked and passes its checksum.
"""

import functools
import math
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from .._files.zarr_keys import erase, exists, keys, name_of, read
from ..progress import Report, Steps, silent
from .layout import Index, Part, box, chunk_bytes, chunk_count, chunk_shape, shape

BLOCK = 4096  # bytes that file systems deal out
THREADS = 8  # that check chunks


class Damage(NamedTuple):
    """A chunk of a variable that is marked as computed and is not as it was written."""

    part: str
    variable: str
    index: Index
    cause: str


class Checked(NamedTuple):
    """What `check` finds: marked chunks and all chunks by part, and what is damaged."""

    marked: dict[str, int]
    chunks: dict[str, int]
    damaged: tuple[Damage, ...]


class Store:
    """A store that stands; pickled, it is opened anew where it arrives.

    Attributes:
        where: a `zarr.abc.store.Store`.
        sizes: points along each dim.
        parts: by name; their chunks are those that the store was laid with.
    """

    def __init__(self, where: Any, sizes: dict[str, int], parts: dict[str, Part]):
        self.where, self.sizes, self.parts = where, sizes, parts
        self.part_of = {name: each for each, part in parts.items() for name in part.variables}

    def __reduce__(self) -> tuple:
        from zarr.storage import MemoryStore

        if isinstance(self.where, MemoryStore):  # a copy's chunks would be lost
            raise TypeError("a store in memory is of one process alone: give a path or a URL.")
        return Store, (self.where, self.sizes, self.parts)

    @functools.cached_property
    def _arrays(self) -> dict[str, Any]:
        import zarr

        mode = "r" if self.where.read_only else "r+"
        group = zarr.open_group(self.where, mode=mode, use_consolidated=False)
        # else chunks of NaN alone (failed rows, what cannot be known) would not be written
        config = {"write_empty_chunks": True}
        return {name: group[name].with_config(config) for name in self.part_of}

    def altered(self) -> list[str]:
        """Variables whose metadata are not as they were laid, but for their attributes.

        Raises:
            KeyError, ValueError, TypeError: what zarr cannot read.
        """
        found = []
        for name, array in self._arrays.items():
            part = self.parts[self.part_of[name]]
            v = part.variables[name]
            laid = v.dims, shape(self.sizes, v.dims), chunk_shape(self.sizes, part, name)
            named = array.metadata.dimension_names or ()  # None without dims
            there = tuple(named), array.shape, array.chunks
            fills = np.asarray([array.fill_value, v.fill], float)
            if (
                laid != there
                or array.dtype != v.dtype
                or not np.array_equal(*fills, equal_nan=True)
            ):
                found.append(name)
        return found

    def write(self, part: str, index: Index, arrays: dict[str, np.ndarray]) -> None:
        """Write a chunk of every variable of a part, the mark last.

        Args:
            part: its name.
            index: of the chunk, along the grid's dims.
            arrays: by variable, of the shape that the grid leaves the chunk.

        Raises:
            ValueError: arrays of other variables or shapes.
            OSError: what the file system says, a full disk; then the chunk is not marked.
        """
        variables, mark = self.parts[part].variables, self.parts[part].mark
        points = box(self.sizes, self.parts[part], index)
        inner = tuple(each.stop - each.start for each in points)
        if arrays.keys() != variables.keys():
            raise ValueError(f"{part} holds {[*variables]}, got arrays of {[*arrays]}.")
        for name, v in variables.items():
            expected = inner + shape(self.sizes, v.dims)[len(inner) :]
            if np.shape(arrays[name]) != expected:
                got = np.shape(arrays[name])
                raise ValueError(f"a chunk of {name} has shape {expected}, got {got}.")
        for name in sorted(variables, key=lambda name: name == mark):
            self._arrays[name][points] = np.asarray(arrays[name], variables[name].dtype)

    def marked(self, part: str) -> set[Index]:
        """The chunks of a part that are recorded as computed, by their keys alone."""
        return self.there(part, self.parts[part].mark)

    def has(self, part: str, index: Index) -> bool:
        """Whether a chunk is recorded as computed, by its key alone."""
        return exists(self.where, self._key(part, index))

    def there(self, part: str, name: str) -> set[Index]:
        """The chunks of one variable that are there, damaged or not."""
        found = keys(self.where, f"{name}/")
        ours = (re.fullmatch(r"c((?:/\d+)*)", key.removeprefix(f"{name}/")) for key in found)
        grid = len(self.parts[part].dims)  # further dims are whole: 0
        return {tuple(map(int, each[1].split("/")[1:][:grid])) for each in ours if each}

    def whole(self, part: str, report: Report = silent) -> set[Index]:
        """The chunks that are marked and of which every variable passes its checksum."""
        return self.marked(part) - {damage.index for damage in self.damaged(part, report)}

    def resumed(self, part: str, report: Report = silent) -> set[Index]:
        """As `whole`; the marks of damaged chunks are erased, as engines go by marks.

        Raises:
            PermissionError: some are damaged, and the store is opened for reading only.
        """
        damaged = {damage.index for damage in self.damaged(part, report)}
        if damaged and self.where.read_only:
            told = "is opened for reading only, and chunks of it are damaged"
            raise PermissionError(f"{name_of(self.where)} {told}.")
        for index in damaged:
            erase(self.where, self._key(part, index))
        return self.marked(part) - damaged

    def _key(self, part: str, index: Index) -> str:
        """Of the mark of a chunk."""
        return "/".join([self.parts[part].mark, "c", *map(str, index)])

    def damaged(self, part: str, report: Report = silent) -> list[Damage]:
        """What is marked as computed and absent, torn or altered; reads every chunk."""

        def of_chunk(index: Index) -> list[Damage]:
            causes = {name: self._cause(part, name, index) for name in variables}
            return [Damage(part, each, index, cause) for each, cause in causes.items() if cause]

        variables, marked, found = self.parts[part].variables, sorted(self.marked(part)), []
        advance = Steps(report, len(marked))
        with ThreadPoolExecutor(THREADS) as threads:
            for damages in threads.map(of_chunk, marked):
                found += damages
                advance(f"chunks of {part} checked")
        return found

    def _cause(self, part: str, name: str, index: Index) -> str | None:
        """What is wrong with a variable's chunk, by the bytes that zarr stores."""
        from google_crc32c import value as crc32c  # zarr's own

        further = len(self.parts[part].variables[name].dims) - len(index)
        content = read(self.where, "/".join([name, "c", *map(str, index), *"0" * further]))
        if content is None:
            return "it is absent"
        size = chunk_bytes(self.sizes, self.parts[part], name)
        if content.size != size:
            return f"it has {content.size} bytes of {size}"
        intact = crc32c(content[:-4]) == int.from_bytes(content[-4:].tobytes(), "little")
        return None if intact else "its checksum does not match"

    def check(self, report: Report = silent) -> Checked:
        """Read everything that is marked and tell what is damaged."""
        return Checked(
            {name: len(self.marked(name)) for name in self.parts},
            {name: chunk_count(self.sizes, part) for name, part in self.parts.items()},
            tuple(damage for name in self.parts for damage in self.damaged(name, report)),
        )

    def missing_bytes(self) -> int:
        """What the chunks take that are not there yet."""
        total = 0
        for name, each in self.part_of.items():
            blocks = math.ceil(chunk_bytes(self.sizes, self.parts[each], name) / BLOCK)
            chunks = chunk_count(self.sizes, self.parts[each])
            total += (chunks - len(self.there(each, name))) * blocks * BLOCK
        return total
