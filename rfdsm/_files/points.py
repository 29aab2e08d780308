"""Data points in files."""

import zipfile
from itertools import dropwhile
from pathlib import Path
from typing import Any

import numpy as np

SUFFIXES = (".npy", ".npz", ".csv")


def read(path: Path | str) -> np.ndarray:
    """The data points of a file, a row each; images (N, h, w, ...) are flattened.

    Args:
        path: .npy; .npz with one array, or one named X; .csv, of numbers between commas,
            semicolons or blanks, with or without a first line of names.

    Raises:
        ValueError: another suffix, or what is not a numeric matrix; the line says where.
        OSError: no such file.
    """
    path = Path(path)
    readers = {".npy": _read_npy, ".npz": _read_npz, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path} must end in {' or '.join(SUFFIXES)}, which says its format.")
    X = readers[path.suffix.lower()](path)
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds {X.dtype} where real numbers are needed.")
    if X.ndim < 2 or X.size == 0:
        raise ValueError(
            f"{path} has shape {X.shape}: points are rows, (points, d), or images, "
            "(points, height, width)."
        )
    return X.reshape(len(X), -1).astype(float)


def _read_npy(path: Path) -> np.ndarray:
    return _load(path)


def _read_npz(path: Path) -> np.ndarray:
    archive = _load(path)
    with archive:
        names = archive.files
        if "X" not in names and len(names) != 1:
            raise ValueError(
                f"{path} holds {', '.join(names) or 'no array'}: one array, or one named X, "
                "says which are the points."
            )
        name = "X" if "X" in names else names[0]
        try:
            return archive[name]
        except ValueError:  # an array of objects
            raise ValueError(f"{path} holds objects where numbers are needed.") from None


def _load(path: Path) -> Any:
    """What NumPy reads; never pickles, which may run code."""
    try:
        loaded = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile):
        raise ValueError(f"{path} is not a {path.suffix} file of numbers.") from None
    if isinstance(loaded, np.ndarray) != (path.suffix.lower() == ".npy"):
        raise ValueError(f"{path} is not what its suffix {path.suffix} says.")
    return loaded


def _read_csv(path: Path) -> np.ndarray:
    import pandas as pd

    try:
        first = _first_line(path)
        separator = next((mark for mark in ";," if mark in first), None)
        has_names = not any(map(_is_number, first.split(separator)))
        layout = {
            "header": 0 if has_names else None,
            "index_col": False,
            "sep": separator or r"\s+",
            "comment": "#",
            "encoding": "utf-8-sig",
        }
        try:
            return pd.read_csv(path, dtype=float, **layout).to_numpy()
        except ValueError:  # some cell is text: read it as such, to find it
            cells = pd.read_csv(path, dtype=str, keep_default_na=False, **layout).to_numpy()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file.") from None
    except ValueError as error:  # pandas' errors of parsing, "no columns" included
        raise ValueError(f"{path} is not a table of numbers: {error}") from None
    numeric = np.vectorize(_is_number, otypes=[bool])(cells)
    row, column = np.argwhere(~numeric)[0]
    raise ValueError(
        f"{path} has {cells[row, column]!r} in row {row + 1}, column {column + 1}, where a "
        "number belongs."
    )


def _first_line(path: Path) -> str:
    """The first line that is neither empty nor a comment."""
    with path.open(encoding="utf-8-sig") as file:
        lines = dropwhile(lambda line: not line.partition("#")[0].strip(), file)
        return next(lines, "").partition("#")[0].strip()


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True
