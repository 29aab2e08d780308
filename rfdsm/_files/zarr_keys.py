"""The keys of a zarr store, read and written as they are; paths and URLs as stores."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np


def zarr_store(location: Any) -> Any:
    """The `zarr.abc.store.Store` of what a user calls one: a path, a URL or itself.

    Raises:
        ValueError: a URL that nothing here can open. TypeError: anything else.
    """
    from zarr.abc.store import Store
    from zarr.storage import FsspecStore, LocalStore

    if isinstance(location, Store):
        return location
    if isinstance(location, str) and location.startswith("file://"):
        location = location.removeprefix("file://")  # fsspec would make no folder there
    if isinstance(location, str) and "://" in location:
        try:
            return FsspecStore.from_url(location)
        except (ValueError, ImportError) as error:
            raise ValueError(
                f"{location} cannot be opened ({error}): give a path, or install what fsspec "
                "needs for such URLs."
            ) from None
    if isinstance(location, str | os.PathLike):
        return LocalStore(Path(location).absolute())
    raise TypeError(f"a store is a path, a URL or a zarr store, got {location!r}.")


def memory(files: dict[str, Any]) -> Any:
    """A store of what is in memory."""
    from zarr.storage import MemoryStore

    return MemoryStore(files)


def folder_of(where: Any) -> Path | None:
    """The folder of a store that is one on this machine."""
    from zarr.storage import LocalStore

    return where.root if isinstance(where, LocalStore) else None


def name_of(where: Any) -> str:
    """What a message calls it."""
    return str(folder_of(where) or getattr(where, "path", where))


def is_empty(where: Any) -> bool:
    """Whether it has no key."""
    return _sync(where.is_empty(""))


def keys(where: Any, prefix: str) -> list[str]:
    """All that start so."""

    async def listed() -> list[str]:
        return [key async for key in where.list_prefix(prefix)]

    return _sync(listed())


def exists(where: Any, key: str) -> bool:
    """Whether a key is there."""
    return _sync(where.exists(key))


def read(where: Any, key: str) -> np.ndarray | None:
    """The bytes of a key, None where it is absent."""
    from zarr.core.buffer import default_buffer_prototype

    found = _sync(where.get(key, default_buffer_prototype()))
    return None if found is None else found.as_numpy_array()


def write(where: Any, files: Iterable[tuple[str, Any]]) -> None:
    """Set keys to buffers, one after the other."""
    for key, value in files:
        _sync(where.set(key, value))


def erase(where: Any, key: str) -> None:
    """Remove a key."""
    _sync(where.delete(key))


def _sync(coroutine: Any) -> Any:
    from zarr.core.sync import sync  # where zarr's own synchronous functions run

    return sync(coroutine)
