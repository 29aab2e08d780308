"""Options that several commands share, those of a model among them.

All raise a ValueError of one line that names the option.
"""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer

from ..errors import FIELDS
from ..parameters.plain import read_numbers
from .models import (
    KINDS as KINDS,
    LISTS as LISTS,
    chosen as chosen,
    help_of_kind,
    help_of_number,
    model as model,
    names as names,
    own as own,
    spelled as spelled,
)

FigureFile = Annotated[Path | None, typer.Option("--out", help="Figure: .png, .svg or .pdf.")]
DataFile = Annotated[Path | None, typer.Option("--data", help="The whole result: .nc or .csv.")]
LogY = Annotated[bool, typer.Option("--log-y", help="A logarithmic ordinate.")]
Header = Annotated[
    bool | None,
    typer.Option("--header/--no-header", help="Whether DATA's first row is names."),
]
Index = Annotated[
    bool | None,
    typer.Option(
        "--index/--no-index", help="Whether DATA's first column names or numbers the rows."
    ),
]
Scale = Annotated[
    str | None,
    typer.Option(
        help="Of DATA: all (centred, one factor), columns (each its own factor), or none.",
        metavar="all|columns|none",
    ),
]
OF_FILE = {"header": (Header, None), "index": (Index, None)}  # beside DATA, for `load`


def seed(value: Any, option: str = "--seed") -> int:
    """A seed, or what is refused as one."""
    try:
        number = int(str(value))
    except ValueError:
        number = -1
    if not 0 <= number < 2**63:
        raise ValueError(f"{option} takes an integer from 0 to 2^63 - 1, got {value}.")
    return number


Seed = Annotated[
    int, typer.Option(callback=lambda value: seed(value), help="Seed of everything random.")
]

MOST = 2**31  # an array's length


class Networks(NamedTuple):
    """The option that asks for networks, by one text in every command: d=48,trials=8,points=6.

    Attributes:
        option: --simulate or --verify.
        usual: the keys that have a meaning for the command, and their numbers where they are
            left out; d never is, its number is an example. Without d it is the data's own.
        least: of trials. dimensions: how many may be given, as in d=80,160.
    """

    option: str
    usual: Mapping[str, int]
    least: int = 1
    dimensions: int = 1

    @property
    def example(self) -> str:
        """The text with all keys."""
        return ",".join(f"{name}={value}" for name, value in self.usual.items())

    def told(self, help: str) -> Any:
        """The option as typer takes it: its text, which `read` reads."""
        return Annotated[str | None, typer.Option(self.option, help=f"{help}: {self.example}.")]

    def read(self, given: str | Mapping[str, list[int]] | None) -> dict[str, Any] | None:
        """The numbers by key, of d a list where it may be several; None: not asked for.

        Args:
            given: the text, or what `assigned` made of it.

        Raises:
            ValueError: another key, not an integer, too small a one, too many, or no d.
        """
        if given is None:
            return None
        found = assigned(given) if isinstance(given, str) else given
        for name, values in found.items():
            least = self.least if name == "trials" else 1
            most = self.dimensions if name == "d" else 1
            if name not in self.usual:
                self._refuse(f"{name!r} is none of these")
            if not values:
                self._refuse(f"{name} has no number")
            if not len(values) == len({*values}) <= most:
                self._refuse(f"{name} is one{' or two' if most > 1 else ''}, got {values}")
            if min(values) < least:
                self._refuse(f"{name} must be at least {least}, got {min(values)}")
            if max(values) >= MOST:
                self._refuse(f"{name} must be below 2^31, got {max(values):.3g}")
        if "d" in self.usual and "d" not in found:
            self._refuse("d is missing")
        numbers = {name: values[0] for name, values in found.items()}
        if self.dimensions > 1:
            numbers["d"] = sorted(found["d"])
        return {**self.usual, **numbers}

    def _refuse(self, why: str) -> NoReturn:
        own = "" if "d" in self.usual else " (d is the data's own)"
        raise ValueError(f"{self.option} takes {self.example}{own}: {why}.")


def of_curves(networks: Networks, errors: str) -> dict[str, tuple[Any, Any]]:
    """Options of commands on curves, for `of_model`; their networks, and usual errors."""
    shown = typer.Option(help=f"Errors to show, of {', '.join(FIELDS)}.")
    return {
        "simulate": (networks.told("Simulate too"), None),
        "seed": (Seed, 0),
        "errors": (Annotated[str, shown], errors),
        "out_file": (FigureFile, None),
        "data_file": (DataFile, None),
        "log_y": (LogY, False),
    }


def of_model(
    *,
    several: tuple[str, ...] | None = (),
    means: str = "a line each",
    without: tuple[str, ...] = (),
    beside: Mapping[str, tuple[Any, Any]] | None = None,
) -> Callable:
    """Give a command the options of a model; it takes what was given as `given`, by name.

    Args:
        several: numbers that take several values, given repeatedly or with commas, of which
            `lines` makes lines; None: all. means: what several values are, for the help.
        without: options that the command has no use for, or has as its own.
        beside: (annotation, default) of options that are not its parameters but that it takes
            by name, as `beside`.
    """
    made: dict[str, Any] = {}
    for short, name in own().items():
        help = help_of_number(name)
        made[short] = Annotated[float | None, typer.Option(help=help)]
        if several is None or short in several:
            told = typer.Option(help=f"{help} Several: {means}.", metavar="A,B,...")
            made[short] = Annotated[list[str] | None, told]
    for owner, name in KINDS.items():
        option = typer.Option(metavar="KIND[:NUMBERS]", help=help_of_kind(owner))
        made[name] = Annotated[str | None, option]
    for name, words in LISTS.items():
        made[name] = Annotated[str | None, typer.Option(help=f"{words}: a,b,...")]
    of_model = {name: (kind, None) for name, kind in made.items() if name not in without}

    def decorate(command: Callable) -> Callable:
        own = inspect.signature(command).parameters
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            each.replace(kind=keyword)
            for name, each in own.items()
            if name not in ("given", "beside")
        ]
        parameters += [
            inspect.Parameter(name, keyword, default=default, annotation=kind)
            for name, (kind, default) in ((beside or {}) | of_model).items()
        ]

        @functools.wraps(command)
        def with_options(**values: Any) -> Any:
            given = {n: v for n in of_model if (v := values.pop(n)) not in (None, [])}
            more = {} if beside is None else {"beside": {n: values.pop(n) for n in beside}}
            return command(given=given, **more, **values)

        with_options.__signature__ = inspect.Signature(parameters)
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        return with_options

    return decorate


def error_names(text: str) -> list[str]:
    """The errors of "test_loss,bias2"; an underscore may be a dash."""
    found = [name.strip().replace("-", "_") for name in text.split(",")]
    if not set(found) <= set(FIELDS) or len(set(found)) < len(found):
        raise ValueError(f"--errors takes some of {', '.join(FIELDS)}, got {text!r}.")
    return found


def lists(texts: list[str] | None, option: str) -> list[float]:
    """The numbers of an option that was given several times, each one or more numbers."""
    return [number for text in texts or () for number in read_numbers(text, option)]


def lines(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[float]] | None]:
    """What was given with one value each, the first, and the lines of a curve.

    Lines are over the number that has several values, else over m where that was given.

    Raises:
        ValueError: two numbers have several values.
    """
    known = names()
    values = {name: lists(x, spelled(name)) for name, x in given.items() if name in known}
    several = [name for name, x in values.items() if len(x) > 1]
    if len(several) > 1:
        both = " and ".join(map(spelled, several[:2]))
        raise ValueError(f"{both} both have several values: the lines differ in one number.")
    of = several or ["m"] * ("m" in values)
    single = {name: x[0] for name, x in values.items()}
    return {**given, **single}, {name: values[name] for name in of} or None


def assigned(text: str) -> dict[str, list[int]]:
    """The integers of "d=80,160,trials=32" by key; what is none of these is a key itself."""
    found: dict[str, list[int]] = {}
    name = ""
    for part in text.split(","):
        key, equals, value = part.rpartition("=")
        name = key.strip() if equals else name
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if name and number.is_integer():
            found.setdefault(name, []).append(int(number))
        else:
            found[part] = []
    return found
