"""Tables of numbers in text files: what their first row and column are, and the numbers.

Names and row numbers are recognised where there is one way to read them, and told; where there
are two, the file is refused and the option named.
"""

import csv
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

# Stricter than float(), which takes 1_000 and the digits of every script.
NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)", re.ASCII | re.I)
NUMERIC = re.compile(r"[+-]?[.,_ ]*\d[\d.,_ ]*")  # what somebody may write for a number
MISSING = {"", "na", "n/a", "nan", "-nan", "null", "none", "#n/a", "<na>", "?"}
UNNAMED = {"", "unnamed: 0"}  # the name of pandas' index in a file, written once or twice
COUNTED = 4  # rows from which on a first column of 0, 1, 2, ... is no chance
QUOTED = re.compile(r'"((?:[^"]|"")*)"|(\S+)')
SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", None: "blanks"}


class Table(NamedTuple):
    """A table's numbers, shape (rows, columns), and in words what was read."""

    X: np.ndarray
    about: str


def read(path: Path, header: bool | None = None, index: bool | None = None) -> Table:
    """The numbers of a text file, a row a line; lines that begin with # are comments.

    Args:
        header, index: whether the first row holds names, and the first column the names or
            numbers of rows; None: as the file says.

    Raises:
        ValueError: a cell that is no number, rows of different lengths, or a first row or
            column that may be either.
    """
    lines = _lines(path)
    separator = _separator(lines[0])
    rows = [_cells(line, separator) for line in lines[:2]]
    short = len(rows) > 1 and len(rows[1]) == len(rows[0]) + 1  # R's: no name above row names
    if header is None:
        in_quotes = lines[0].count('"') >= 2 * len(rows[0]) and '"' in lines[0]
        in_quotes = in_quotes and '"' not in lines[-1].partition(separator or " ")[2]
        header = _has_names(path, rows[0], rows[-1], in_quotes)
    body, names = lines[int(header) :], [""] * short + rows[0] if header else []
    if not body:
        raise ValueError(f"{path} has names and no row of numbers.")
    if index is None:
        column = [_cells(line, separator)[0] for line in body]
        index = _has_index(path, column, names[:1], len(rows[-1]))
    X = _numbers(path, body, separator, names, int(index))
    about = f"{_count(len(X), 'row')} of {_count(X.shape[1], 'column')}"
    about += f" between {SEPARATORS[separator]}" * (len(rows[-1]) > 1)
    about += f", names in the first row ({_ends(names[index:])})" if header else ", no header"
    return Table(X, about + ", the first column names the rows" * index)


def _lines(path: Path) -> list[str]:
    """The lines that are neither empty nor a comment."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [line.strip("\n") for line in file]
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file in UTF-8: save it as one.") from None
    if any("\0" in line for line in lines[:2]):
        raise ValueError(
            f"{path} is not a text file (it has null characters): save it as one, in UTF-8."
        )
    lines = [line for line in lines if line.strip() and line.lstrip()[0] != "#"]
    if lines and re.fullmatch("sep=.", lines[0].strip()):
        del lines[0]  # for Excel: not a row
    if not lines:
        raise ValueError(f"{path} is empty: it has no row of numbers.")
    return lines


def _separator(line: str) -> str | None:
    """What is between cells: a comma may be a decimal one beside a semicolon or a tab."""
    outside = re.sub(r'"[^"]*"', "", line.strip(" "))
    return next((mark for mark in SEPARATORS if mark and mark in outside), None)


def _cells(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return [quoted or bare for quoted, bare in QUOTED.findall(line)]
    return [
        x.strip() for x in next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    ]


def _has_names(
    path: Path, first: Sequence[str], second: Sequence[str], in_quotes: bool
) -> bool:
    """Whether the first row is names; `in_quotes`: it alone is. Refused where unclear."""
    unnamed = first[0].lower() in UNNAMED
    given = [x for x in first[unnamed:] if x.lower() not in MISSING]
    texts = [x for x in given if not NUMBER.fullmatch(x) and not NUMERIC.fullmatch(x)]
    if texts:
        if len(texts) < len(given):
            _ask(path, f"the first row has {texts[0]!r} among numbers", "header", "it is names")
        return True
    if not all(NUMBER.fullmatch(x) for x in given):
        return False  # and refused as a point
    numbers = [float(x) for x in given]
    places = range(len(first) - unnamed)
    counted = any(numbers == [start + i for i in places] for start in (0, 1) if numbers)
    if counted and unnamed:
        return True
    if counted and numbers[0] == 0 and all(map(str.isdigit, given)):  # pandas' own names
        decimal = not all(x.isdigit() for x in second[-len(first) :])
        if len(first) > 2 or decimal:
            return True
    counts = len(numbers) > 2 and _even(numbers)  # years, or wavelengths
    if in_quotes or counts or (counted and numbers[0] == 0):
        what = "is in quotes" if in_quotes else "counts"
        _ask(path, f"the first row ({_ends(first)}) {what}", "header", "it is names")
    return False


def _has_index(path: Path, column: Sequence[str], name: Sequence[str], width: int) -> bool:
    """Whether the first column, of that name if there are names, is one of the rows' names."""
    text = any(not NUMBER.fullmatch(x) and x.lower() not in MISSING for x in column)
    whole = all(x.isascii() and x.isdigit() for x in column)
    counted = whole and _even([float(x) for x in column], step=1)
    unnamed = bool(name) and name[0].lower() in UNNAMED
    if unnamed and width > 1 and (text or counted):
        return True
    if unnamed or (counted and width > 1 and len(column) >= COUNTED):
        which = repr(name[0]) if name and name[0] else "no name" if name else "no header"
        what = f"the first column ({which}: {_ends(column)})"
        _ask(path, f"{what} may number the rows", "index", "it does")
    return False


def _even(numbers: Sequence[float], step: float = 0) -> bool:
    """Whether integers, more than one, rise by equal steps: by `step`, or else by any."""
    step = step or numbers[-1] - numbers[-2] if len(numbers) > 1 else 0
    steps = {y - x for x, y in pairwise(numbers)}
    return step > 0 and steps == {step} and float(numbers[0]).is_integer()


def _ask(path: Path, what: str, option: str, yes: str) -> NoReturn:
    raise ValueError(f"{path}: {what}: say --{option} if {yes}, --no-{option} if not.")


def _numbers(
    path: Path, lines: Sequence[str], separator: str | None, names: Sequence[str], index: int
) -> np.ndarray:
    """The numbers, the first `index` columns left out."""
    width = len(names) or len(_cells(lines[0], separator))
    if width <= index:
        raise ValueError(f"{path} has one column: without it no number is left.")
    X = np.empty((len(lines), width - index))
    for row, line in enumerate(lines):
        cells = _cells(line, separator)
        if len(cells) != width:
            of = "names" if names else "cells in the first"
            raise ValueError(
                f"{path} has {len(cells)} cells in row {row + 1}, and {width} {of}: every row "
                "needs as many."
            )
        try:
            if not line.isascii() or "_" in line:
                raise ValueError  # float() might take it
            X[row] = [float(cell) for cell in cells[index:]]
        except ValueError:
            for column, cell in enumerate(cells):
                if column >= index and not NUMBER.fullmatch(cell):
                    _refuse(path, cell, row, column, names)
            X[row] = [float(cell) for cell in cells[index:]]  # only names are not ASCII
    bad = np.argwhere(~np.isfinite(X))
    if len(bad):
        row, column = bad[0]
        _refuse(path, str(X[row, column]), row, column + index, names)
    return X


def _refuse(path: Path, cell: str, row: int, column: int, names: Sequence[str]) -> NoReturn:
    """Say which cell is no finite number, and what may help."""
    if cell.lower() in MISSING:
        fix = "fill it in or leave the row out"
    elif NUMBER.fullmatch(cell):
        fix = "only finite numbers can be learned from"
    elif NUMERIC.fullmatch(cell):
        fix = "write numbers as 1234.5, with a point and nothing between thousands"
    elif len(names) == 1:
        fix = f"between cells may be {', '.join(SEPARATORS.values())}"
    elif column == 0:
        fix = "say --index if the first column names the rows"
    else:
        fix = "leave that column out"
    what = repr(_short(cell)) if cell else "nothing"
    of = f" ({_short(names[column])})" if names and names[column] else ""
    raise ValueError(
        f"{path} has {what} in row {row + 1}, column {column + 1}{of}, where a number belongs: "
        f"{fix}."
    )


def _ends(values: Sequence[str]) -> str:
    """The first and the last of a list."""
    first, last = _short(values[0]), _short(values[-1])
    return f"{first} to {last}" if len(values) > 1 else first


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _short(text: str) -> str:
    return text if len(text) < 20 else f"{text[:17]}..."
