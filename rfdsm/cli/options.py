"""Options that several commands share, and the model that they describe.

The options of a model's numbers are made from the numbers themselves. All raise a ValueError of
one line that names the option.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import FIELDS
from ..ingredients.activations import AbstractActivation
from ..ingredients.data import AbstractData, Gaussian
from ..ingredients.processes import AbstractProcess, OrnsteinUhlenbeck
from ..ingredients.training import AbstractTraining, Ridge
from ..model import RFDSM
from ..parameters.numbers import arguments, declared, ingredients, kinds, own_numbers
from ..parameters.plain import read, read_numbers, usage

FigureFile = Annotated[Path | None, typer.Option("--out", help="Figure: .png, .svg or .pdf.")]
DataFile = Annotated[Path | None, typer.Option("--data", help="The whole result: .nc or .csv.")]
LogY = Annotated[bool, typer.Option("--log-y", help="A logarithmic ordinate.")]
Seed = Annotated[int, typer.Option(help="Seed of the simulation.")]

USUAL = {"process": OrnsteinUhlenbeck, "training": Ridge}  # unless a number asks for another
INGREDIENTS = {
    "process": AbstractProcess,
    "training": AbstractTraining,
    "activation": AbstractActivation,
    "law": AbstractData,
}
LISTS = ("eigenvalues", "weights")


def spelled(name: str) -> str:
    """An option by the name of its argument: --psi-n."""
    return f"--{name.replace('_', '-')}"


def names() -> dict[str, str]:
    """The dotted names of all single numbers by the short ones, which options have."""
    single = (name for name, each in declared(RFDSM).items() if not each.many)
    return {name.rpartition(".")[2]: name for name in single}


def of_model(*, several: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> Callable:
    """Give a command the options of a model; it takes what was given as `given`, by name.

    Args:
        several: numbers that take several values, given repeatedly or with commas.
        without: options that the command has no use for, or has as its own.
    """
    options: dict[str, Any] = {}
    for short, name in names().items():
        help = declared(RFDSM)[name].words.capitalize()
        if short in several:
            told = typer.Option(help=f"{help}; 1,2,4 or given repeatedly: a line each.")
            options[short] = Annotated[list[str] | None, told]
        else:
            options[short] = Annotated[float | None, typer.Option(help=f"{help}.")]
    for name, base in INGREDIENTS.items():
        told = typer.Option(metavar="KIND[:NUMBERS]", help=f"One of {usage(base)}.")
        options[name] = Annotated[str | None, told]
    for name, words in (("eigenvalues", "Eigenvalues of the data's covariance"),
                        ("weights", "Their shares, summing to 1")):  # fmt: skip
        options[name] = Annotated[str | None, typer.Option(help=f"{words}: a,b,...")]
    options = {name: kind for name, kind in options.items() if name not in without}

    def decorate(command: Callable) -> Callable:
        own = inspect.signature(command).parameters.values()
        own = [each for each in own if each.name != "given"]
        keyword = inspect.Parameter.KEYWORD_ONLY
        more = [
            inspect.Parameter(name, keyword, default=None, annotation=kind)
            for name, kind in options.items()
        ]

        @functools.wraps(command)
        def with_options(**values: Any) -> Any:
            given = {n: v for n in options if (v := values.pop(n)) not in (None, [])}
            return command(given=given, **values)

        plain = [each.replace(kind=keyword) for each in own]
        with_options.__signature__ = inspect.Signature([*plain, *more])
        with_options.__annotations__ = {p.name: p.annotation for p in (*plain, *more)}
        return with_options

    return decorate


def model(
    given: Mapping[str, Any],
    missing: Callable[[str], str] = lambda option: f"{option} is missing.",
    **usual: Any,
) -> RFDSM:
    """The model of options: of `of_model`, by their names, and numbers by dotted ones too.

    An ingredient is of the kind that was named, else of the first that has all of its numbers.

    Args:
        given: what was given. usual: numbers and `data` where they were not.
        missing: the message where a number was not given and has no usual value.

    Raises:
        ValueError: a number is missing or out of its domain, or an ingredient lacks it.
    """
    short = names()
    numbers = {short.get(name, name): value for name, value in given.items()}
    known = {short.get(name, name): value for name, value in usual.items()}

    def value(name: str) -> Any:
        found = numbers.get(name, known.get(name))
        if found is None:
            raise ValueError(missing(spelled(name.rpartition(".")[2])))
        return found

    fields = {name: value(name) for name in own_numbers(RFDSM)}
    for owner, base in ingredients(RFDSM).items():
        inside = {
            name.partition(".")[2]: value
            for name, value in numbers.items()
            if name.startswith(f"{owner}.")
        }
        option = "law" if base is AbstractData else owner
        fields[owner] = _ingredient(owner, base, given.get(option), inside, value)
    if fields["data"] is None:
        fields["data"] = usual.get("data")
    if {*LISTS} & {*given}:
        if fields["data"] is not None:
            raise ValueError("--eigenvalues and --weights are of Gaussian data, not of --law.")
        eigenvalues, weights = (listed(given.get(name), spelled(name)) for name in LISTS)
        fields["data"] = Gaussian(eigenvalues or (1.0,), weights)
    return RFDSM(**{n: v for n, v in fields.items() if v is not None})


def _ingredient(owner, base, text, inside, value) -> Any:
    """An ingredient by its option's text and its own numbers; None for the usual one."""
    if text is not None:
        made = read(base, text, spelled("law" if base is AbstractData else owner))
        fields = {name: getattr(made, name) for name in arguments(type(made))}
        return type(made)(**(fields | inside)) if inside else made
    kind = USUAL.get(owner)
    if not {*inside} <= {*(arguments(kind) if kind else ())}:
        able = (each for each in kinds(base).values() if {*inside} <= {*arguments(each)})
        kind = next(able, kind)
    if kind is None:
        return None
    for name, parameter in inspect.signature(kind).parameters.items():
        if name not in inside and parameter.default is parameter.empty:
            inside[name] = value(f"{owner}.{name}")
    return kind(**inside)


def error_names(text: str) -> list[str]:
    """The errors of "test_loss,bias2"; an underscore may be a dash."""
    found = [name.strip().replace("-", "_") for name in text.split(",")]
    if not set(found) <= set(FIELDS) or len(set(found)) < len(found):
        raise ValueError(f"--errors takes some of {', '.join(FIELDS)}, got {text!r}.")
    return found


def listed(given: Any, option: str) -> list[float] | None:
    """The numbers of "1,2", or a list of them as it is; None for None."""
    return read_numbers(given, option) if isinstance(given, str) else given


def lists(texts: list[str] | None, option: str) -> list[float]:
    """The numbers of an option that was given several times, each one or more numbers."""
    return [number for text in texts or () for number in read_numbers(text, option)]


def networks(text: str | None, d: int, **rest: int) -> dict[str, int]:
    """The numbers of "d=48,trials=8,points=6"; empty where none was asked for.

    Args:
        text: given to --simulate.
        d: an example.
        rest: the other numbers, as they are where the text leaves them out.
    """
    if text is None:
        return {}
    try:
        request = rest | {name: value for name, (value,) in assignments(text).items()}
        if set(request) != {"d", *rest} or min(request.values()) < 1:
            raise ValueError
    except ValueError:
        example = ",".join(f"{name}={value}" for name, value in {"d": d, **rest}.items())
        raise ValueError(
            f"--simulate takes positive integers {example} (all but d may be left out), "
            f"got {text!r}."
        ) from None
    return request


def assignments(text: str) -> dict[str, list[int]]:
    """The integers of "d=80,160,trials=32" by name."""
    values: dict[str, list[int]] = {}
    name = ""
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if equals:
            name = key.strip()
        values.setdefault(name, []).append(int(value if equals else key))
    return values
