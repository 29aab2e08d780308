"""The store of a sweep: zarr, laid and read by xarray.

It is laid whole or not at all, resumed by the same sweep only, and says what it holds; nothing
else is touched. `chunks` has what is written into it.
"""

import contextlib
import errno
import json
import shutil
import tempfile
import time
from typing import Any

import numpy as np

from .._files.whole import whole_file
from .._files.zarr_keys import (
    folder_of,
    is_empty,
    memory,
    name_of,
    read,
    write,
    zarr_store,
)
from ..errors import warn
from ..model import RFDSM
from ..parameters.plain import usual
from ..progress import Report, silent
from .chunks import Checked, Store
from .layout import (
    FORMAT,
    RECORD,
    Layout,
    chunk_count,
    difference,
    digest,
    parts_of,
    record as record_of,
    seal,
    template,
)

ROOT = "zarr.json"  # of the group: what the store says of itself
ANEW = "restore it from a copy, or compute into a new store"
ABANDONED = 3600.0  # seconds after which a file that is not whole is a killed process's


def lay_or_open(location: Any, layout: Layout) -> Store:
    """The store of a sweep: laid if there is none, opened if it holds the same sweep.

    A store that stands keeps its chunks, and gets back what is lost of its metadata and
    coordinates. Nothing that is not a sweep's store is touched.

    Args:
        location: a path, a URL that fsspec knows, or a zarr store.
        layout: what it is to hold.

    Raises:
        ValueError: another sweep is there (the first difference is named), one of another
            format, or one whose own description is damaged.
        FileExistsError: something else is there.
        OSError: it cannot be written, or the disk has no room for what is to be computed.
    """
    where = zarr_store(location)
    found = _record(where)
    if found is None or "sweep" not in found:
        files = template(layout)
        _require_room(where, Store(memory(files), layout.sizes, layout.parts))
        _lay(where, files)
        found = _record(where)  # another process may have been faster
    _require_same(where, found, layout)
    layout = layout.chunked_as(found)
    store = Store(where, layout.sizes, layout.parts)
    _require_room(where, store)
    _mend(where, template(layout))
    _clear(store)
    return store


def open_store(location: Any) -> Store:
    """A store that stands, as it describes itself.

    Raises:
        FileNotFoundError: there is none.
        ValueError, FileExistsError: as `lay_or_open`.
    """
    where = zarr_store(location)
    found = _record(where)
    if found is None or "sweep" not in found:
        raise FileNotFoundError(f"there is no sweep at {name_of(where)}: has it been started?")
    return Store(where, found["sizes"], parts_of(found))


def open_dataset(location: Any, chunks: Any = None) -> Any:
    """A sweep in any state as an `xarray.Dataset`, whose variables are read when they are used.

    Args:
        location: as in `lay_or_open`.
        chunks: None, or `{}` for arrays of Dask, as in `xarray.open_dataset`.

    Returns:
        The data set, whose attributes `chunks_done` and `chunks_total` say how much is
        computed. A warning says which variables lack chunks that are marked as computed.

    Raises:
        FileNotFoundError, ValueError, FileExistsError: as `open_store`; a damaged coordinate.
    """
    import xarray as xr

    store = open_store(location)
    name, found = name_of(store.where), _record(store.where)
    try:
        altered = store.altered()
        dataset = xr.open_dataset(
            store.where,
            engine="zarr",
            consolidated=False,
            chunks=chunks,
            mask_and_scale=False,  # statuses are integers
            decode_times=False,
        )
        dataset = dataset[[*store.part_of]]  # in order, which folders do not keep
        altered += [
            each for each, is_ in found["coordinates"].items() if digest(dataset[each]) != is_
        ]
    except (ValueError, KeyError, TypeError) as error:  # as zarr and xarray meet it
        altered = [" ".join(str(error).split())[:200]]
    if altered:
        raise ValueError(
            f"{name} is damaged in its coordinates or metadata ({altered[0]}): call the same "
            "sweep again, which mends it."
        )
    done = {part: store.marked(part) for part in store.parts}
    lacking = [
        each for each, part in store.part_of.items() if done[part] - store.there(part, each)
    ]
    if lacking:
        warn(
            f"{name} has lost chunks of {', '.join(lacking)}, which read as not computed: call "
            "the same sweep again, which computes them again."
        )
    dataset.attrs = dict(found["attrs"])  # those that the record's checksum covers
    dataset.attrs["chunks_done"] = sum(map(len, done.values()))
    dataset.attrs["chunks_total"] = sum(
        chunk_count(store.sizes, part) for part in store.parts.values()
    )
    return dataset


def check(location: Any, progress: Report | None = None) -> Checked:
    """Read all that a store has recorded, and tell how much that is and what is damaged.

    `rfdsm.sweep` with the same arguments computes damaged chunks again.

    Args:
        location: as in `lay_or_open`.
        progress: called with `Progress`.

    Raises:
        FileNotFoundError, ValueError, FileExistsError: as `open_dataset`.
    """
    return open_store(location).check(progress or silent)


def _record(where: Any) -> dict[str, Any] | None:
    """What a store says of itself; None where nothing is, without a sweep if half laid."""
    folder, name = folder_of(where), name_of(where)
    if folder is not None and not folder.exists():  # zarr would make it
        return None
    if folder is not None and not folder.is_dir():
        raise FileExistsError(f"{name} is a file: a store is a folder, give another path.")
    text = read(where, ROOT)
    if text is None and is_empty(where):
        return None
    try:
        found = json.loads("{}" if text is None else text.tobytes())["attributes"][RECORD]
        theirs, ours = found["format"], found.get("sha256") == seal(found)
    except ValueError as error:
        raise ValueError(f"{name}/{ROOT} is damaged ({error}): {ANEW}.") from None
    except (KeyError, TypeError, AttributeError):
        raise FileExistsError(
            f"{name} is not empty and is no sweep's store: give another path."
        ) from None
    if theirs != FORMAT:
        fix = "update rfdsm" if theirs > FORMAT else "compute again into a new store"
        raise ValueError(f"{name} has format {theirs}, this rfdsm has format {FORMAT}: {fix}.")
    if not ours:
        raise ValueError(f"{name}/{ROOT} is damaged (its checksum does not match): {ANEW}.")
    return found


def _lay(where: Any, files: dict[str, Any]) -> None:
    """Write the template: on a file system whole or not at all, else its description last."""
    from zarr.storage import LocalStore

    folder = folder_of(where)
    if folder is None:
        root = json.loads(files[ROOT].to_bytes())
        laying = {"format": FORMAT}
        root["attributes"][RECORD] = laying | {"sha256": seal(laying)}
        write(
            where,
            [(ROOT, _buffer(root)), *sorted(files.items(), key=lambda each: each[0] == ROOT)],
        )
        return
    try:
        with whole_file(folder) as partial:
            write(LocalStore(partial), files.items())
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another process's is there
            raise


def _mend(where: Any, files: dict[str, Any]) -> None:
    """Write metadata and coordinates again that are not as they were laid."""
    root, there = (
        json.loads(each) for each in (files[ROOT].to_bytes(), read(where, ROOT).tobytes())
    )
    whole = root | {"attributes": there["attributes"]}
    if whole != there:
        write(where, [(ROOT, _buffer(whole))])
    lost = {
        key: value
        for key, value in files.items()
        if key != ROOT and _differs(read(where, key), value)
    }
    write(where, lost.items())


def _buffer(plain: dict[str, Any]) -> Any:
    from zarr.core.buffer import default_buffer_prototype

    return default_buffer_prototype().buffer.from_bytes(json.dumps(plain, indent=2).encode())


def _differs(there: np.ndarray | None, here: Any) -> bool:
    return there is None or there.tobytes() != here.to_bytes()


def _require_same(where: Any, found: dict[str, Any], layout: Layout) -> None:
    here = record_of(layout.chunked_as(found))
    told = difference(_in_full(found["sweep"]), _in_full(here["sweep"]))
    for name, (_, values, _) in layout.coords.items():
        if not told and found["coordinates"].get(name) != here["coordinates"][name]:
            told = _of_values(where, name, values)
    for key in ("sizes", "coordinates", "parts"):
        told = told or difference(found[key], here[key], key)
    if told:
        raise ValueError(
            f"{name_of(where)} holds another sweep, {told}: give another store, or the same "
            "numbers."
        )


def _in_full(sweep: dict[str, Any]) -> dict[str, Any]:
    """The identity with the ingredients that an earlier version's models did not name."""
    return sweep | {"model": usual(RFDSM) | sweep.get("model", {})}


def _of_values(where: Any, name: str, here: np.ndarray) -> str:
    """Where a coordinate differs that is known to differ, in words."""
    import zarr

    try:
        there = zarr.open_array(where, path=name, mode="r")[...]
        if there.shape != here.shape:
            return f"{name} has {there.size} values there and {here.size} here"
        place = np.flatnonzero(there != here)[0]
        return f"{name}[{place}] is {there[place]} there and {here[place]} here"
    except (ValueError, KeyError, FileNotFoundError, IndexError):  # it is damaged, too
        return f"{name} has other values there"


def _require_room(where: Any, store: Store) -> None:
    """Refuse what could not be written later; a store with nothing to do may be read-only."""
    need = store.missing_bytes()
    folder = folder_of(where)
    if need and where.read_only:
        raise PermissionError(f"{name_of(where)} is opened for reading only.")
    if not need or folder is None:
        return
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        told = f"{error.strerror}, a store cannot be written there"
        raise OSError(error.errno, told, str(folder)) from None
    free = shutil.disk_usage(folder).free
    if need > free:
        told = (
            f"the sweep needs {need / 1e9:.3g} GB and {free / 1e9:.3g} GB are free, sweep "
            "fewer points or give a store elsewhere"
        )
        raise OSError(errno.ENOSPC, told, str(folder))


def _clear(store: Store) -> None:
    """Remove the chunks that killed processes left unfinished, of our variables alone."""
    folder = folder_of(store.where)
    for name in store.part_of if folder else ():
        for path in (folder / name / "c").rglob("*.partial"):
            with contextlib.suppress(OSError):  # another process ends it, or it is not ours
                if time.time() - path.stat().st_mtime > ABANDONED:
                    path.unlink()
