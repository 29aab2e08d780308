"""TOML files of options by their names, each value written as on the command line."""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any


def load(path: Path, names: Collection[str]) -> dict[str, Any]:
    """The values of a file, whose names are some of `names`.

    Raises:
        ValueError: not TOML, or an unknown name.
        OSError: the file cannot be read.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not TOML: {error}.") from None
    require_known(path.name, found, names)
    return found


def require_known(where: str, found: Collection[str], names: Collection[str]) -> None:
    """Refuse the first name that is none of `names`."""
    for name in found:
        if name not in names:
            raise ValueError(f"{where} has {name!r}: the names are {', '.join(names)}.")


def texts(value: Any) -> list[str]:
    """The texts of a value's elements, or of the value itself."""
    return [str(each) for each in (value if isinstance(value, list) else [value])]


def flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a table, and by dotted names those of the tables in it."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        else:
            yield above + name, value
