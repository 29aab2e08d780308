"""Data points in files."""

import csv
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from .tables import Table, read as _read_text

SUFFIXES = (".npy", ".npz", ".csv")


def read(path: Path | str) -> np.ndarray:
    """The data points of a file, shape (points, d), as `table` reads it."""
    return table(path).X


def table(path: Path | str, header: bool | None = None, index: bool | None = None) -> Table:
    """The data points of a file, a row each; images (N, h, w, ...) are flattened.

    Args:
        path: .npy; .npz with one array, or one named X; .csv, of numbers between commas,
            semicolons, tabs or blanks.
        header, index: of a .csv, whether the first row is names, and whether the first column
            names or numbers the rows; None: as the file says, refused where it may be either.

    Raises:
        ValueError: another suffix, or what is not a numeric matrix; the line says where.
        OSError: no such file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path} must end in {' or '.join(SUFFIXES)}, which says its format.")
    if suffix == ".csv":
        try:
            return _read_text(path, header, index)
        except csv.Error as error:
            raise ValueError(f"{path} is not a table of numbers: {error}.") from None
    if not (header is None and index is None):
        raise ValueError(f"--header and --index are of .csv files, which {path} is not.")
    X, name = _read_npy(path) if suffix == ".npy" else _read_npz(path)
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds {X.dtype} where real numbers are needed.")
    if X.ndim < 2 or X.size == 0:
        raise ValueError(
            f"{path} has shape {X.shape}: points are rows, (points, d), or images, "
            "(points, height, width)."
        )
    shape = " × ".join(map(str, X.shape[1:]))
    return Table(
        X.reshape(len(X), -1).astype(float), f"{name}{len(X)} points of {shape} numbers"
    )


def _read_npy(path: Path) -> tuple[np.ndarray, str]:
    return _load(path), ""


def _read_npz(path: Path) -> tuple[np.ndarray, str]:
    with _load(path) as archive:
        members = {*archive.zip.namelist()}
        names = [name for name in archive.files if f"{name}.npy" in members]
        if "X" not in names and len(names) != 1:
            raise ValueError(
                f"{path} holds {', '.join(names) or 'no array'}: one array, or one named X, "
                "says which are the points."
            )
        name = "X" if "X" in names else names[0]
        return _numbers(path, lambda: archive[name]), f"array {name}, "


def _load(path: Path) -> Any:
    """What NumPy reads."""
    loaded = _numbers(path, lambda: np.load(path, allow_pickle=False))
    if isinstance(loaded, np.ndarray) != (path.suffix.lower() == ".npy"):
        raise ValueError(f"{path} is not what its suffix {path.suffix} says.")
    return loaded


def _numbers(path: Path, load: Any) -> Any:
    """What `load` gives, which never unpickles: that may run code."""
    try:
        return load()
    except (EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        raise ValueError(f"{path} is damaged, or not a {path.suffix} file.") from None
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise ValueError(
                f"{path} is not a {path.suffix} file of numbers: it holds Python objects."
            ) from None
        raise ValueError(f"{path} is damaged, or not a {path.suffix} file.") from None
