"""What `rfdsm tune` is asked for: from options, and from a TOML file by the same names.

Each name has one reader, which takes the text of an option and the value of a file alike.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...model import RFDSM
from ...parameters.numbers import declared
from ...parameters.plain import read_numbers
from .. import options

WITHOUT = ("law",)  # of a model's options: the data are DATA, or Gaussian
FREE = tuple(x for x, name in options.names().items() if not declared(RFDSM)[name].fixed)
TABLES = ("free", "at_least", "at_most", "budget", "verify")


def read(path: Path) -> dict[str, Any]:
    """The settings of a TOML file.

    Raises:
        ValueError: not TOML, an unknown name, or a value that its reader refuses.
        OSError: the file cannot be read.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not TOML: {error}.") from None
    for name in found:
        if name not in READERS:
            raise ValueError(f"{path.name} has {name!r}: the names are {', '.join(READERS)}.")
    return checked(found)


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given (are not None), each by its reader.

    Raises:
        ValueError: what a reader refuses, in a line that names the option.
    """
    return {
        name: READERS[name](value, options.spelled(name))
        for name, value in given.items()
        if value is not None
    }


def merged(file: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of both, those given on the command line first; tables name by name."""
    both = {**file, **given}
    return both | {
        name: file[name] | given[name] for name in TABLES if name in file and name in given
    }


def full(name: str) -> str:
    """A number's name as a search has it: training.lam of lam, psi_p of psi-p."""
    name = name.strip().replace("-", "_")
    return options.names().get(name, name)


def _text(value: Any, option: str) -> str:
    if not isinstance(value, str | Path):
        raise ValueError(f"{option} takes a text, got {value!r}.")
    return str(value)


def _flag(value: Any, option: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{option} takes true or false, got {value!r}.")
    return value


def _number(value: Any, option: str) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{option} takes a number, got {value!r}.") from None


def _integer(value: Any, option: str) -> int:
    number = _number(value, option)
    if not number.is_integer():
        raise ValueError(f"{option} takes an integer, got {value!r}.")
    return int(number)


def _numbers(value: Any, option: str) -> list[float]:
    if isinstance(value, str):
        return read_numbers(value, option)
    return [_number(x, option) for x in (value if isinstance(value, list) else [value])]


def _table(value: Any, option: str) -> dict[str, Any]:
    """Values by name, of ["psi_p=0.1:100", "m"] or of a table (in tables: dotted names)."""
    if isinstance(value, Mapping):
        items = list(_flat(value))
    else:
        parts = [_text(x, option) for x in (value if isinstance(value, list) else [value])]
        split = (part.partition("=") for part in parts)
        items = [(name, x if sign else None) for name, sign, x in split]
    table = {full(name): x for name, x in items}
    if len(table) < len(items):
        raise ValueError(f"{option} was given twice for one name.")
    return table


def _flat(table: Mapping[str, Any], above: str = ""):
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def _free(value: Any, option: str) -> dict[str, tuple[float, float] | None]:
    return {name: _bounds(x, name, option) for name, x in _table(value, option).items()}


def _bounds(value: Any, name: str, option: str) -> tuple[float, float] | None:
    if value in (None, "", []):
        return None
    try:
        low, high = map(float, value.split(":") if isinstance(value, str) else value)
        return low, high
    except (TypeError, ValueError):
        raise ValueError(
            f"{option} takes a name and bounds, as in {option} {name}=0.1:100, got {value!r}."
        ) from None


def _limits(value: Any, option: str) -> dict[str, float]:
    limits = {}
    for name, x in _table(value, option).items():
        if x is None:
            raise ValueError(f"{option} takes a name and a number, as in {name}=0.5.")
        limits[name] = _number(x, f"{option} {name}")
    return limits


def _counts(value: Any, option: str) -> dict[str, int]:
    """Of "d=64,trials=8" or a table."""
    value = value.split(",") if isinstance(value, str) else value
    return {name: _integer(x, f"{option} {name}") for name, x in _table(value, option).items()}


def _names(value: Any, option: str) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list):
        raise ValueError(f"{option} takes names, got {value!r}.")
    return tuple(full(_text(name, option)) for name in names)


READERS: dict[str, Callable[[Any, str], Any]] = {
    "data": _text,
    "as_is": _flag,
    "free": _free,
    "objective": lambda value, option: _text(value, option).replace("-", "_"),
    "at_least": _limits,
    "at_most": _limits,
    "budget": _limits,
    "over_times": _numbers,
    **dict.fromkeys(options.names(), _number),
    **{name: _text for name in options.INGREDIENTS if name not in WITHOUT},
    **dict.fromkeys(options.LISTS, _numbers),
    "starts": _integer,
    "widths": _integer,
    "verify": _counts,
    "landscape": _names,
    "seed": _integer,
}
