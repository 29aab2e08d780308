"""Data points in files, and what they look like."""

import math
import zipfile
from itertools import dropwhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SUFFIXES = (".npy", ".npz", ".csv")
LEADING = 10  # principal directions that kurtosis is averaged over
ALIKE = (0.8, 1.25)  # ratios to a Gaussian's that count as close to it


def read(path: Path | str) -> np.ndarray:
    """The data points of a file, a row each; images (N, h, w, ...) are flattened.

    Args:
        path: .npy; .npz with one array, or one named X; .csv, of numbers between commas,
            semicolons or blanks, with or without a first line of names.

    Raises:
        ValueError: another suffix, or what is not a finite numeric matrix; the line says where.
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
    X = X.reshape(len(X), -1).astype(float)
    _require_finite(path, X)
    return X


class Description(NamedTuple):
    """What data points look like, beside a Gaussian law of the same covariance Σ.

    Attributes:
        points, d: the number of points, and of columns.
        constant: columns that are constant.
        effective_dimension: (tr Σ)²/tr Σ².
        norms: the standard deviation of |x|² over that of the Gaussian, √(2 tr Σ²).
        kurtosis: E u⁴/(E u²)², averaged over the leading principal directions; Gaussian: 3.
        directions: how many these are.
    """

    points: int
    d: int
    constant: int
    effective_dimension: float
    norms: float
    kurtosis: float
    directions: int

    def lines(self) -> list[str]:
        """Two lines of text."""
        constant = f" ({self.constant} of them constant)" if self.constant else ""
        close = ALIKE[0] <= self.norms <= ALIKE[1] and (
            ALIKE[0] <= self.kurtosis / 3 <= ALIKE[1]
        )
        return [
            f"{self.points} points of {self.d} columns{constant}, effective dimension "
            f"{self.effective_dimension:.3g}",
            f"{'close to' if close else 'not'} Gaussian: squared norms vary {self.norms:.2g} "
            f"times as much as a Gaussian's; kurtosis of the {self.directions} leading "
            f"directions {self.kurtosis:.2g} (Gaussian 3)",
        ]


def describe(X: np.ndarray) -> Description:
    """How many points and directions the data have, and how Gaussian they look.

    Args:
        X: points, shape (N, d), not all alike.
    """
    centred = X - X.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(X))
    variances = np.clip(variances[::-1], 0, None)
    trace, trace2 = variances.sum(), np.sum(variances**2)
    norms2 = np.sum(centred**2, axis=1)
    count = min(LEADING, int(np.sum(variances > 1e-12 * trace)))
    along = centred @ directions[:, ::-1][:, :count]
    kurtosis = np.mean(along**4, axis=0) / np.mean(along**2, axis=0) ** 2
    return Description(
        points=len(X),
        d=X.shape[1],
        constant=int(np.sum(np.all(X == X[:1], axis=0))),
        effective_dimension=float(trace**2 / trace2),
        norms=float(np.std(norms2) / math.sqrt(2 * trace2)),
        kurtosis=float(np.mean(kurtosis)),
        directions=count,
    )


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


def _require_finite(path: Path, X: np.ndarray) -> None:
    bad = np.argwhere(~np.isfinite(X))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f"{path} has {len(bad)} entries that are NaN or infinite, the first in row "
            f"{row + 1}, column {column + 1}: drop or fill those rows."
        )
