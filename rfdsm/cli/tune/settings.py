"""What `rfdsm tune` is asked for: from options, and from a TOML file by the same names.

Each name has one reader, of its option's text; the value of a file is written as that first.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from ...model import RFDSM
from ...parameters.numbers import declared
from ...parameters.plain import read_numbers
from .. import options
from ..toml import flat, load, texts

WITHOUT = ("law",)  # of a model's options: the data are DATA, or Gaussian
SHORT = {full: short for short, full in options.names().items()}
FREE = tuple(x for name, x in SHORT.items() if not declared(RFDSM)[name].fixed)
NETWORKS = options.Networks("--verify", {"d": 64, "trials": 8}, least=2)
TABLES = ("free", "at_least", "at_most", "budget", "verify")


def read(path: Path) -> dict[str, Any]:
    """The settings of a TOML file.

    Raises:
        ValueError: not TOML, an unknown name, or a value that its reader refuses.
        OSError: the file cannot be read.
    """
    found = load(path, READERS)
    return checked({name: _written(value) for name, value in found.items()})


def _written(value: Any) -> str | list[str]:
    """A value of a file as on the command line: of a list, or a table, a text for each."""
    if isinstance(value, Mapping):
        return [f"{name}={':'.join(texts(x))}" for name, x in flat(value)]
    return texts(value) if isinstance(value, list) else str(value)


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among what was given (is not None), each by its reader.

    Raises:
        ValueError: what a reader refuses, in a line that names the option.
    """
    return {
        name: READERS[name](value, options.spelled(name))
        for name, value in given.items()
        if value is not None and name in READERS
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
    if str(value) not in ("True", "False"):
        raise ValueError(f"{option} takes true or false, got {value!r}.")
    return str(value) == "True"


def _number(value: Any, option: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{option} takes a number, got {value!r}.") from None


def _integer(value: Any, option: str) -> int:
    number = _number(value, option)
    if not number.is_integer():
        raise ValueError(f"{option} takes an integer, got {value!r}.")
    return int(number)


def _numbers(value: Any, option: str) -> list[float]:
    return read_numbers(",".join(texts(value)), option)


def _table(value: Any, option: str) -> dict[str, str]:
    """The texts of ["psi_p=0.1:100", "m"] by name; "" where there is none."""
    items = [each.partition("=")[::2] for each in texts(value)]
    table = {full(name): text for name, text in items}
    if len(table) < len(items):
        raise ValueError(f"{option} was given twice for one name.")
    return table


def _free(value: Any, option: str) -> dict[str, tuple[float, float] | None]:
    """Bounds by name; None: the usual ones."""
    table = _table(value, option)
    found: dict[str, tuple[float, float] | None] = dict.fromkeys(table)
    for name, text in table.items():
        try:
            if text:
                low, high = map(float, text.split(":"))
                found[name] = low, high
        except ValueError:
            raise ValueError(
                f"{option} takes a name and bounds, as in {option} {name}=0.1:100, "
                f"got {text!r}."
            ) from None
    return found


def _limits(value: Any, option: str) -> dict[str, float]:
    table = _table(value, option)
    if not all(table.values()):
        raise ValueError(f"{option} takes a name and a number, as in train_loss=0.5.")
    return {name: _number(text, f"{option} {name}") for name, text in table.items()}


def _networks(value: Any, option: str) -> dict[str, list[int]]:
    return options.assigned(",".join(texts(value)))


def _names(value: Any, option: str) -> tuple[str, ...]:
    return tuple(full(name) for name in ",".join(texts(value)).split(","))


class Setting(NamedTuple):
    """A setting of `tune` itself: its reader (None: not of a file), and its option."""

    read: Callable[[Any, str], Any] | None
    help: str
    metavar: str | None = None

    def option(self, name: str) -> Any:
        """As typer takes it."""
        if name == "data":
            return Annotated[str | None, typer.Argument(metavar=self.metavar, help=self.help)]
        kinds = {None: Path, _flag: bool, _integer: int, _free: list[str], _limits: list[str]}
        told = typer.Option(options.spelled(name), metavar=self.metavar, help=self.help)
        return Annotated[kinds.get(self.read, str) | None, told]


NUMBER = "NAME=NUMBER"
SETTINGS = {
    "data": Setting(
        _text,
        ".npy, .npz or .csv, a row per point, or digits (scikit-learn's); without: Gaussian "
        "data.",
        "[DATA]",
    ),
    "free": Setting(
        _free,
        f"A number to tune and its bounds (may be left out): {', '.join(FREE)}. Repeatable. "
        "With DATA: what is not given of psi_p, lam and m.",
        "NAME=LOW:HIGH",
    ),
    "objective": Setting(
        lambda value, option: _text(value, option).replace("-", "_"),
        "The error to make small: score_error; with DATA test_loss, or where numbers of the "
        "target are free noise_loss, of the noise that the output implies.",
    ),
    "at_least": Setting(_limits, "An error that must not be below. Repeatable.", NUMBER),
    "at_most": Setting(_limits, "An error that must not be above. Repeatable.", NUMBER),
    "budget": Setting(
        _limits,
        "samples (psi_n m), parameters (psi_p) or flops (over d³), of all networks of an "
        "ensemble. Repeatable.",
        NUMBER,
    ),
    "over_times": Setting(_numbers, "Sum the objective over diffusion times, a,b,..."),
    "starts": Setting(_integer, "Starts of the search; 256."),
    "widths": Setting(_integer, "Values of a free psi_p that DATA are measured at; 5."),
    "verify": Setting(
        _networks,
        f"Train networks there and beside: {NETWORKS.example}; on DATA, whose d is its own: "
        "trials=8.",
    ),
    "landscape": Setting(_names, "One or two free numbers for the figure: psi_p,lam."),
    "file": Setting(None, "A TOML file of options by their names; options override."),
    "seed": Setting(options.seed, "Seed of everything random."),
    "scale": Setting(
        _text, "Of DATA: all (centred, one factor), columns (each its own), or none."
    ),
    "as_is": Setting(_flag, "--scale none."),
}
OPTIONS = {name: (each.option(name), None) for name, each in SETTINGS.items()} | {
    **options.OF_FILE,
    "out_file": (options.FigureFile, None),
    "as_json": (Annotated[bool, typer.Option("--json", help="Print JSON.")], False),
}
READERS: dict[str, Callable[[Any, str], Any]] = {
    **{name: each.read for name, each in SETTINGS.items() if each.read},
    **dict.fromkeys(options.OF_FILE, _flag),
    **dict.fromkeys(options.names(), _number),
    **{name: _text for name in options.KINDS.values() if name not in WITHOUT},
    **dict.fromkeys(options.LISTS, _numbers),
}
