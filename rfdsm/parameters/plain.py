"""Models and ingredients as plain JSON and as text: their kinds and the numbers inside."""

import inspect
import math
from typing import Any

import numpy as np

from .checks import is_traced
from .numbers import arguments, declared, ingredients, kinds, own_numbers

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
    """The model that `to_plain` described.

    Raises:
        ValueError: a missing or unknown name or kind.
    """
    owners = ingredients(kind)
    expected = {*own_numbers(kind), *owners}
    if set(description) != expected:
        raise ValueError(
            f"a model's description has the names {', '.join(sorted(expected))}; "
            f"these differ: {', '.join(sorted(set(description) ^ expected))}."
        )
    fields = {name: from_json(description[name]) for name in own_numbers(kind)}
    for name, base in owners.items():
        fields[name] = from_description(name, base, description[name])
    return kind(**fields)


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
        ValueError: an unknown kind or argument.
    """
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
    """A number or (nested) list of numbers; infinity as "inf", which JSON lacks."""
    values = np.asarray(value).tolist()
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
    """The ingredient of "kind" or "kind:number,number": every kind that numbers alone make.

    Args:
        base: what kinds derive from.
        given: the kind's name in any case, and its arguments in order; of one that takes a
            list, its elements.
        option: what the text was given to, for the message.

    Raises:
        ValueError: an unknown kind, too few or too many numbers, or not numbers.
    """
    name, colon, rest = given.strip().lower().partition(":")
    kind = readable(base).get(name)
    if kind is not None:
        values = read_numbers(rest, f"{option} {name}") if colon else []
        parameters = inspect.signature(kind).parameters.values()
        if values and any(each.many for each in declared(kind).values()):
            return kind(values)  # of a list, its first argument
        needed = sum(p.default is p.empty for p in parameters)
        if needed <= len(values) <= len(parameters):
            return kind(*values)
    wrong = "is unknown" if kind is None else "is unknown with that many numbers"
    raise ValueError(f"{option} {given} {wrong}: take one of {usage(base)}.")


def readable(base: type) -> dict[str, type]:
    """The kinds that `read` can make, by their names in lower case."""
    able = (k for k in kinds(base).values() if set(arguments(k)) <= set(declared(k)))
    return {kind.__name__.lower(): kind for kind in able}


def usage(base: type) -> str:
    """What `read` takes: "tanh, relu, leakyrelu:SLOPE, gaussian[:EIGENVALUES]"."""
    told = []
    for name, kind in readable(base).items():
        parameters = inspect.signature(kind).parameters.values()
        needed = [p.name.upper() for p in parameters if p.default is p.empty]
        others = [p.name.upper() for p in parameters if p.default is not p.empty]
        text = f":{','.join(needed)}" if needed else ""
        told.append(name + text + "".join(f"[{',' if needed else ':'}{x}]" for x in others[:1]))
    return ", ".join(told)


def read_numbers(given: str, option: str) -> list[float]:
    """The numbers of "1,4,inf"."""
    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        raise ValueError(
            f"{option} takes numbers separated by commas, got {given!r}."
        ) from None
