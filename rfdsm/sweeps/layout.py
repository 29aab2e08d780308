"""What the store of a sweep holds: variables in chunks, coordinates, and whose sweep it is."""

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

FORMAT = 1  # of the store; another number, another meaning of what is in it
RECORD = "rfdsm_sweep"  # the attribute that makes a zarr group a sweep's store
Index = tuple[int, ...]


class Variable(NamedTuple):
    """An array of the data set.

    Attributes:
        dims: of the grid, in its order, and own ones after them. sizes: of the own ones.
        dtype; fill: what it holds where nothing was computed. attrs: what it is, in words.
    """

    dims: tuple[str, ...]
    dtype: np.dtype
    fill: float | int
    attrs: dict[str, Any]
    sizes: tuple[int, ...] = ()


class Part(NamedTuple):
    """Variables that are computed together, in chunks along the dims of the grid.

    Attributes:
        variables: by name; all start with the grid's dims, those of `mark`, and a chunk holds
            further ones (trials) whole.
        mark: the variable that is written last: its chunk says that those of all are there.
        chunk: points along each of the grid's dims.
    """

    variables: dict[str, Variable]
    mark: str
    chunk: tuple[int, ...]

    @property
    def dims(self) -> tuple[str, ...]:
        """The grid's dims."""
        return self.variables[self.mark].dims


class Layout(NamedTuple):
    """A store before anything is computed.

    Attributes:
        sizes: points along each dim.
        coords: (dims, values, attrs) by name.
        attrs: of the data set.
        parts: by name.
        identity: plain JSON that says which sweep it is; another one is not resumed.
    """

    sizes: dict[str, int]
    coords: dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, Any]]]
    attrs: dict[str, Any]
    parts: dict[str, Part]
    identity: dict[str, Any]

    def chunked_as(self, record: dict[str, Any]) -> "Layout":
        """The same in the chunks of a store that stands: results do not depend on them."""
        chunks = {name: tuple(part["chunk"]) for name, part in record["parts"].items()}
        parts = {
            name: part._replace(chunk=chunks.get(name, part.chunk))
            for name, part in self.parts.items()
        }
        return self._replace(parts=parts)


def shape(sizes: dict[str, int], dims: tuple[str, ...]) -> tuple[int, ...]:
    """Points along these dims."""
    return tuple(sizes[dim] for dim in dims)


def chunk_shape(sizes: dict[str, int], part: Part, name: str) -> tuple[int, ...]:
    """Of a variable's chunks, those at the ends of the grid too: they are filled up."""
    whole = shape(sizes, part.variables[name].dims)
    along = zip(part.chunk, whole, strict=False)
    return tuple(min(pair) for pair in along) + whole[len(part.chunk) :]


def chunk_bytes(sizes: dict[str, int], part: Part, name: str) -> int:
    """Of a variable's chunk as it is stored: the numbers and four bytes of a checksum."""
    points = math.prod(chunk_shape(sizes, part, name))
    return points * np.dtype(part.variables[name].dtype).itemsize + 4


def chunk_counts(sizes: dict[str, int], part: Part) -> tuple[int, ...]:
    """Chunks along each of the grid's dims."""
    along = zip(shape(sizes, part.dims), part.chunk, strict=True)
    return tuple(math.ceil(size / chunk) for size, chunk in along)


def chunk_count(sizes: dict[str, int], part: Part) -> int:
    """Of a part."""
    return math.prod(chunk_counts(sizes, part))


def indices(sizes: dict[str, int], part: Part) -> Iterator[Index]:
    """Of all chunks, in the order of the grid."""
    return itertools.product(*map(range, chunk_counts(sizes, part)))


def box(sizes: dict[str, int], part: Part, index: Index) -> tuple[slice, ...]:
    """The points of a chunk, along the grid's dims."""
    along = zip(index, part.chunk, shape(sizes, part.dims), strict=True)
    return tuple(slice(i * chunk, min((i + 1) * chunk, size)) for i, chunk, size in along)


def digest(values: np.ndarray) -> str:
    """Of a coordinate's values, the same on every machine."""
    return hashlib.sha256(np.asarray(values, "<f8").tobytes()).hexdigest()


def record(layout: Layout) -> dict[str, Any]:
    """What the store says of itself: plain JSON.

    Raises:
        ValueError: an identity that is not plain JSON (infinity is "inf" there).
    """
    parts = {
        name: {
            "variables": {
                each: {"dims": v.dims, "dtype": np.dtype(v.dtype).name, "fill": str(v.fill)}
                for each, v in part.variables.items()
            },
            "mark": part.mark,
            "chunk": part.chunk,
        }
        for name, part in layout.parts.items()
    }
    coordinates = {name: digest(values) for name, (_, values, _) in layout.coords.items()}
    whole = {
        "format": FORMAT,
        "sweep": layout.identity,
        "attrs": layout.attrs,
        "sizes": layout.sizes,
        "coordinates": coordinates,
        "parts": parts,
    }
    text = json.dumps(whole, allow_nan=False, default=lambda x: np.asarray(x).tolist())
    plain = json.loads(text)
    return plain | {"sha256": seal(plain)}


def seal(record: dict[str, Any]) -> str:
    """What a record's own `sha256` must be."""
    unsealed = {key: value for key, value in record.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(unsealed, sort_keys=True).encode()).hexdigest()


def parts_of(record: dict[str, Any]) -> dict[str, Part]:
    """The parts of a record, whose variables have no attributes."""
    return {
        name: Part(
            {
                each: Variable(tuple(v["dims"]), np.dtype(v["dtype"]), float(v["fill"]), {})
                for each, v in part["variables"].items()
            },
            part["mark"],
            tuple(part["chunk"]),
        )
        for name, part in record["parts"].items()
    }


def difference(there: Any, here: Any, at: str = "") -> str | None:
    """The first place where two JSON documents differ, in words, with both values."""
    if isinstance(there, dict) and isinstance(here, dict):
        pairs = [
            (f"{at}.{key}".lstrip("."), there.get(key, ...), here.get(key, ...))
            for key in {**there, **here}
        ]
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        pairs = [(f"{at}[{i}]", *pair) for i, pair in enumerate(zip(there, here, strict=True))]
    else:
        same = there == here
        return None if same else f"{at} is {_short(there)} there and {_short(here)} here"
    return next(filter(None, (difference(a, b, place) for place, a, b in pairs)), None)


def _short(value: Any) -> str:
    text = "absent" if value is ... else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def template(layout: Layout) -> dict[str, Any]:
    """The files of the store by their keys, as xarray lays them: all but the chunks."""
    import dask.array
    import xarray as xr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import MemoryStore

    codecs = {"compressors": [Crc32cCodec()], "filters": [], "_FillValue": None}
    arrays, encoding = {}, {name: codecs for name in layout.coords}
    for part in layout.parts.values():
        for name, v in part.variables.items():
            # arrays of dask, which need no memory, in one piece, which needs no graph
            whole = dask.array.full(
                shape(layout.sizes, v.dims), v.fill, dtype=v.dtype, chunks=-1
            )
            arrays[name] = (v.dims, whole, v.attrs)
            chunks = chunk_shape(layout.sizes, part, name)
            encoding[name] = codecs | {"chunks": chunks, "fill_value": v.fill}
    dataset = xr.Dataset(arrays, layout.coords, layout.attrs | {RECORD: record(layout)})
    files: dict[str, Any] = {}
    dataset.to_zarr(
        MemoryStore(files),
        compute=False,
        consolidated=False,
        zarr_format=3,
        encoding=encoding,
        write_empty_chunks=True,  # a coordinate that is 0 is not a coordinate that was lost
    )
    return files
