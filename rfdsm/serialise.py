"""Ingredients as plain JSON: their kind and the arguments that make them."""

import inspect
import math
from typing import Any

import numpy as np


def parameters(kind: type) -> list[str]:
    """The names of a kind's arguments, which are its fields' names."""
    return list(inspect.signature(kind).parameters)


def to_description(ingredient: Any, functions: bool = False) -> dict[str, Any]:
    """The kind and numbers of an ingredient.

    Args:
        ingredient: with concrete numbers.
        functions: name a user's function instead of refusing it; it cannot be read back.

    Raises:
        ValueError: a data set, or a function where those are refused.
    """
    kind = type(ingredient)
    description: dict[str, Any] = {"kind": kind.__name__}
    for name in parameters(kind):
        value = getattr(ingredient, name)
        if callable(value) and functions:
            value = getattr(value, "__name__", repr(value))
            description[name] = value
            continue
        if callable(value) or np.ndim(value) > 1:
            raise ValueError(
                f"{kind.__name__} holds a {'function' if callable(value) else 'data set'}, "
                "which is not plain JSON: store it beside the model."
            )
        description[name] = to_json(value)
    return description


def from_description(name: str, base: type, description: dict[str, Any]) -> Any:
    """The ingredient that `to_description` described, of a kind derived from `base`.

    Raises:
        ValueError: an unknown kind or argument.
    """
    kinds = {kind.__name__: kind for kind in base.__subclasses__()}
    description = dict(description)
    kind = kinds.get(description.pop("kind", None))
    if kind is None:
        raise ValueError(f"{name} needs a kind, one of {', '.join(sorted(kinds))}.")
    try:
        return kind(**{field: from_json(value) for field, value in description.items()})
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None


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
