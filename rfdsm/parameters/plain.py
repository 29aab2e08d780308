"""Models and ingredients as plain JSON and as text: their kinds and the numbers inside."""

import dataclasses
import inspect
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from .checks import is_traced
from .numbers import arguments, declared, ingredients, kinds, own_numbers, own_words

# JSON.


def to_plain(model: Any, *, whole: bool = True) -> dict[str, Any]:
    """The numbers and ingredients of a model.

    Args:
        model: with concrete numbers.
        whole: refuse what plain JSON cannot hold. Else of data points their number is told,
            and of a user's function its name, which cannot be read back.

    Raises:
        ValueError: traced numbers; a data set or a function, where those are refused.
    """
    if is_traced(model):
        raise ValueError("to_dict needs concrete numbers: call it outside of jit.")
    owners = ingredients(type(model))
    plain = {n: to_json(getattr(model, n)) for n in own_numbers(type(model))}
    return plain | {n: to_description(getattr(model, n), whole=whole) for n in owners}


def from_plain(kind: type, description: dict[str, Any]) -> Any:
    """The model that `to_plain` described, of today's version or an earlier one.

    Raises:
        ValueError: a missing or unknown name or kind.
    """
    owners = ingredients(kind)
    expected = {*own_numbers(kind), *owners}
    description = usual(kind) | description
    if set(description) != expected:
        raise ValueError(
            f"a model's description has the names {', '.join(sorted(expected))}; "
            f"these differ: {', '.join(sorted(set(description) ^ expected))}."
        )
    fields = {name: from_json(description[name]) for name in own_numbers(kind)}
    for name, base in owners.items():
        fields[name] = from_description(name, base, description[name])
    return kind(**fields)


def usual(kind: type) -> dict[str, dict[str, str]]:
    """What a description means by ingredients that it does not name, as of `ingredient`."""
    fields = {f.name: f.metadata.get("usual") for f in dataclasses.fields(kind)}
    return {name: {"kind": each.__name__} for name, each in fields.items() if each}


def to_description(ingredient: Any, *, whole: bool = True) -> dict[str, Any]:
    """The kind and numbers of an ingredient; `whole` as of `to_plain`."""
    kind = type(ingredient)
    description: dict[str, Any] = {"kind": kind.__name__}
    for name in arguments(kind):
        value = getattr(ingredient, name)
        plain = not callable(value) and np.ndim(value) <= 1
        if whole and not plain:
            raise ValueError(
                f"{kind.__name__} holds a {'function' if callable(value) else 'data set'}, "
                "which is not plain JSON: store it beside the model."
            )
        if plain:
            description[name] = to_json(value)
        elif callable(value):
            description[name] = getattr(value, "__name__", repr(value))
        else:
            description["points"], description["d"] = np.shape(value)
    return description


def from_description(name: str, base: type, description: dict[str, Any]) -> Any:
    """The ingredient that `to_description` described, of a kind derived from `base`.

    Raises:
        ValueError: an unknown kind or argument, or no mapping.
    """
    if not isinstance(description, Mapping):
        raise ValueError(
            f"{name} must be a mapping with its kind and numbers, as of to_dict, got "
            f"{description!r}."
        )
    known, description = kinds(base), dict(description)
    kind = known.get(description.pop("kind", None))
    if kind is None:
        raise ValueError(f"{name} needs a kind, one of {', '.join(sorted(known))}.")
    try:
        return kind(**{field: from_json(value) for field, value in description.items()})
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None


def restored(
    name: str, base: type, description: dict[str, Any], given: Any, reader: str
) -> Any:
    """The ingredient that a file describes, of which a user's own function comes from outside.

    Args:
        name, base, description: as of `from_description`.
        given: the ingredient itself, or None. reader: what reads the file, for the message.

    Raises:
        ValueError: it holds a function and is not given; as `from_description`.
    """
    if given is not None:
        return given
    if "function" in description:
        raise ValueError(
            f"the {name} is a function of your own, which no file holds: give it to {reader} "
            f"as {name}=..."
        )
    return from_description(name, base, description)


def to_json(value: Any) -> Any:
    """A number, words or a (nested) list of them; infinity as "inf", which JSON lacks."""
    values = np.asarray(value).tolist()
    if isinstance(values, str):
        return values
    if isinstance(values, list):
        return [to_json(v) for v in values]
    return "inf" if math.isinf(values) else values


def from_json(value: Any) -> Any:
    """The value that `to_json` wrote."""
    if isinstance(value, list):
        return [from_json(v) for v in value]
    return math.inf if value == "inf" else value


# Text.


def read(base: type, given: str, option: str) -> Any:
    """The ingredient of "kind" or "kind:number,number,name=words", as `named` reads it.

    Raises:
        ValueError: as `named`, or numbers are missing.
    """
    kind, numbers = named(base, given, option)
    if not {*needed(kind)} <= {*numbers}:
        raise ValueError(f"{option} {given} lacks its numbers: take {spelling(base, kind)}.")
    return kind(**numbers)


def named(base: type, given: str, option: str) -> tuple[type, dict[str, Any]]:
    """The kind of "kind" or "kind:number,number", and its numbers and words by argument.

    Args:
        base: what kinds derive from.
        given: what the kind is `called` in any case, and its arguments in order; of one that
            takes a list, its elements. Behind them its words, "share=points+noises".
        option: what the text was given to, for the message.

    Raises:
        ValueError: an unknown kind, too few or too many numbers, not numbers, or words that
            it does not take.
    """
    text, words = _apart(given.strip().lower())
    name, colon, rest = text.partition(":")
    kind = _by_name(base).get(name)
    if kind is None and (_are_numbers(text) or (words and not text)):
        kind, colon, rest = _of_numbers_alone(base), ":", text
    if kind is None:
        raise ValueError(f"{option} {given} is unknown: take one of {usage(base)}.")
    for other in words.keys() - own_words(kind).keys():
        raise ValueError(f"{option} {given} has no {other}: take {spelling(base, kind)}.")
    numbers = [each for each in arguments(kind) if each not in own_words(kind)]
    values = read_numbers(rest, f"{option} {name}") if rest or (colon and not words) else []
    if values and any(each.many for each in declared(kind).values()):
        return kind, {numbers[0]: values}  # a list is the first argument
    if values and not len(needed(kind)) <= len(values) <= len(numbers):
        many = "many" if len(values) > len(needed(kind)) else "few"
        raise ValueError(
            f"{option} {given} has too {many} numbers: take {spelling(base, kind)}."
        )
    return kind, dict(zip(numbers, values, strict=False)) | words


def _apart(text: str) -> tuple[str, dict[str, list[str]]]:
    """("4", {"share": ["points", "noises"]}) of "4,share=points+noises"."""
    before, *told = re.split(r"[\s,]*\b([a-z_]+)\s*=\s*", text)
    words: dict[str, list[str]] = {}
    for name, each in zip(told[::2], told[1::2], strict=True):
        some = [] if each == "none" else re.split(r"\s*[+,]\s*", each)
        words.setdefault(name, []).extend(some)
    return before, words


def called(base: type, kind: type) -> list[str]:
    """What a kind is called in a text: its class variable `short`, and its class.

    "vp" and "variancepreserving"; of `DataTarget`, which has no `short`, "data" and
    "datatarget". One whose `short` is "" may be left unnamed: its numbers are enough.
    """
    whole = kind.__name__.lower()
    plain = whole.removesuffix(base.__name__.removeprefix("Abstract").lower())
    told = vars(kind).get("short"), plain, whole
    return list(dict.fromkeys(name for name in told if name))


def readable(base: type) -> list[type]:
    """The kinds that numbers, and words, make."""

    def made_of(kind: type) -> set[str]:
        return {*declared(kind), *own_words(kind)}

    return [kind for kind in kinds(base).values() if {*arguments(kind)} <= made_of(kind)]


def needed(kind: type) -> list[str]:
    """The arguments of a kind that have no usual value."""
    parameters = inspect.signature(kind).parameters.values()
    return [each.name for each in parameters if each.default is each.empty]


def usage(base: type) -> str:
    """What `named` takes: "tanh, relu, leakyrelu:SLOPE, gaussian[:EIGENVALUES]"."""
    return ", ".join(spelling(base, kind) for kind in readable(base))


def spelling(base: type, kind: type) -> str:
    """How a kind is given, "leakyrelu:SLOPE"; where it may be unnamed, "[linear:]A,B"."""
    least = [each.upper() for each in needed(kind)]
    more = [
        f"{each}=WORDS" if each in own_words(kind) else each.upper()
        for each in arguments(kind)[len(least) :]
    ]
    name = called(base, kind)[0] + (":" if least else "")
    if kind is _of_numbers_alone(base):
        name = f"[{name}]"
    others = "".join(f"[{',' if least else ':'}{each}]" for each in more[:1])
    return name + ",".join(least) + others


def _of_numbers_alone(base: type) -> type | None:
    return next((kind for kind in readable(base) if vars(kind).get("short") == ""), None)


def _by_name(base: type) -> dict[str, type]:
    """The readable kinds by all their names: first that of the class, then the older kind."""
    able = readable(base)
    whole = {kind.__name__.lower(): kind for kind in able}
    return {name: kind for kind in reversed(able) for name in called(base, kind)} | whole


def _are_numbers(given: str) -> bool:
    try:
        return bool(read_numbers(given, ""))
    except ValueError:
        return False


def read_numbers(given: str, option: str) -> list[float]:
    """The numbers of "1,4,inf"."""
    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        raise ValueError(
            f"{option} takes numbers separated by commas, got {given!r}."
        ) from None
