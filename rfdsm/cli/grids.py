"""What `sweep` and `map` are asked for: a model and a grid, in options or a file.

A file says the same as the command line does, in the same words.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from .. import sweeps
from ..model import RFDSM
from ..sweeps import axes
from . import options
from .toml import flat, load, require_known, texts

HELP = (
    "Numbers and their values: a log grid, 0.1:100:200; a linear one, 0:1:11:linear; or a "
    "list, 1,4,inf."
)
ZIP = (
    Annotated[
        list[str] | None,
        typer.Option(metavar="NAME,NAME", help="Axes of one length that run together."),
    ],
    None,
)
TABLES = "model", "axes", "simulate", "gradient"  # of a file
SETTINGS = "zip", "store", "seed", "chunk"
SHORT = {full: short for short, full in options.names().items()}
OF_MODEL = *options.names(), *options.KINDS.values(), *options.LISTS


class Words(NamedTuple):
    """What was asked for, in words.

    Attributes:
        along: the text of each axis' values, by name.
        given: of `options.of_model`. settings: of a file's other names, None where not given.
    """

    along: dict[str, str]
    given: dict[str, Any]
    settings: dict[str, Any]

    def over(self, file: "Words") -> "Words":
        """These, and of a file's what they say nothing of."""
        said = {full(name) for name in (*self.along, *self.given)}
        along, given = (
            {name: x for name, x in of_file.items() if full(name) not in said}
            for of_file in (file.along, file.given)
        )
        told = {name: x for name, x in self.settings.items() if x not in (None, [])}
        return Words(along | self.along, given | self.given, file.settings | told)


def full(name: str) -> str:
    """The dotted name of a number by its short one."""
    return options.names().get(name, name)


def asked(swept: Sequence[str], given: Mapping[str, Any], settings: Mapping[str, Any]) -> Words:
    """The words of a command line, and of the file that is named there.

    Args:
        swept: texts such as "psi_p=0.1:100:200", and at most one FILE.toml, whose names the
            others override.
        given: of `options.of_model`. settings: as of a file, None where not given.
    """
    files = [each for each in swept if each.endswith(".toml") and "=" not in each]
    if len(files) > 1:
        raise ValueError(f"one file at a time, got {' and '.join(files)}.")
    told = Words(along([x for x in swept if x not in files]), {**given}, {**settings})
    return told.over(read(Path(files[0])) if files else Words({}, {}, {}))


def along(swept: Sequence[str]) -> dict[str, str]:
    """The axes of texts such as "psi_p=0.1:100:200".

    Raises:
        ValueError: a name is there twice.
    """
    found: dict[str, str] = {}
    for each in swept:
        name, _, values = each.partition("=")
        name = name.strip().replace("-", "_")
        if full(name) in map(full, found):
            raise ValueError(f"{name} is swept twice: give all of its values in one list.")
        found[name] = values.strip()
    return found


def read(path: Path) -> Words:
    """A file with the tables [model], [axes], [simulate], [gradient], and `SETTINGS`.

    Raises:
        ValueError: not TOML, an unknown name, or a table that is none.
        OSError: the file cannot be read.
    """
    found = load(path, (*TABLES, *SETTINGS))
    tables = {}
    for name in TABLES:
        table = found.pop(name, {})
        if not isinstance(table, Mapping):
            raise ValueError(f"{name} in {path.name} is a table, [{name}], got {table!r}.")
        tables[name] = {key: ",".join(texts(value)) for key, value in flat(table)}
    numbers = {SHORT.get(name, name): text for name, text in tables["model"].items()}
    require_known(f"[model] of {path.name}", numbers, OF_MODEL)
    given = {n: [x] if n in options.names() else x for n, x in numbers.items()}
    settings: dict[str, Any] = {name: str(value) for name, value in found.items()}
    if "zip" in found:
        settings["zip"] = [",".join(texts(each)) for each in _nested(found["zip"])]
    if simulate := tables["simulate"]:
        settings["simulate"] = ",".join(f"{key}={text}" for key, text in simulate.items())
    settings["gradient"] = [f"{error}:{wrt}" for error, wrt in tables["gradient"].items()]
    swept = along([f"{name}={text}" for name, text in tables["axes"].items()])
    return Words(swept, given, settings)


def _nested(value: Any) -> list:
    """A list of lists, of which one alone may be without the outer brackets."""
    one = isinstance(value, list) and not any(isinstance(x, list) or "," in x for x in value)
    return [value] if one or not isinstance(value, list) else value


def question(asked: Words) -> tuple[RFDSM, dict[str, Any]]:
    """The model, and its axes as `rfdsm.sweep` takes them; several values of an option are one.

    Raises:
        ValueError: what can be no axis, a number given twice or not at all, or out of its
            domain.
    """
    known = options.names()
    numbers = {n: options.lists(x, options.spelled(n)) for n, x in asked.given.items()
               if n in known}  # fmt: skip
    found = {name: axes.values(name, text) for name, text in asked.along.items()}
    for name in found:
        if full(name) not in known.values() and "[" not in name:
            raise ValueError(
                f"{name!r} cannot be swept: the numbers are {', '.join(known)}, as in "
                "psi_p=0.1:100:200."
            )
        if full(name) in map(full, numbers):
            option = options.spelled(SHORT[full(name)])
            raise ValueError(f"{name} is swept, {option} gives it again: leave one out.")
    found |= {name: values for name, values in numbers.items() if len(values) > 1}
    if not found:
        raise ValueError("nothing is swept: name numbers and their values, psi_p=0.1:100:200.")
    middle = {
        name: values[len(values) // 2]
        for name, values in (numbers | found).items()
        if "[" not in name
    }
    model = options.model(
        {**asked.given, **middle},
        lambda option, _: f"{option} is missing: give it, or sweep it.",
    )
    together = _zipped(found, asked.settings.get("zip") or ())
    for name, values in together.items():
        if not isinstance(values, dict) and len({*map(float, values)}) < len(values):
            raise ValueError(
                f"{name} has a value twice: leave one out, or --zip it with others."
            )
    return model, together


def lengths(axes: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """The dimension of each axis and its length, of what `question` gives."""
    together = {dim: x if isinstance(x, dict) else {dim: x} for dim, x in axes.items()}
    return {name: (dim, len(x)) for dim, each in together.items() for name, x in each.items()}


def gradients(texts: Sequence[str]) -> list[Any]:
    """The quantities of "score_error:psi_p,m" and the like, see `rfdsm.gradient`."""
    found = []
    for text in texts:
        error, _, names = text.replace("-", "_").partition(":")
        wrt = [name.strip() for name in names.split(",") if name.strip()]
        if not wrt:
            raise ValueError(f"--gradient takes score_error:psi_p,m, got {text!r}.")
        found.append(sweeps.gradient(error.strip(), wrt))
    return found


def _zipped(found: Mapping[str, Any], together: Sequence[str]) -> dict[str, Any]:
    """The axes, of which those of "psi_n,m" are one dimension, called as the first of them."""
    leaders: dict[str, list[str]] = {}
    for text in together:
        names = [name.strip().replace("-", "_") for name in text.split(",")]
        others = [name for group in leaders.values() for name in group]
        for name in names:
            if name not in found or len(names) < 2 or [*names, *others].count(name) > 1:
                raise ValueError(
                    f"--zip takes two or more axes, each once, of {', '.join(found)}, as in "
                    f"psi_n,m, got {text!r}."
                )
        leaders[names[0]] = names
    inside = {name for names in leaders.values() for name in names[1:]}
    return {
        name: sweeps.zipped({n: found[n] for n in leaders[name]}) if name in leaders else values
        for name, values in found.items()
        if name not in inside
    }
