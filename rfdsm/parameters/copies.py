"""Changed copies of a model, by the names of its numbers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from .checks import is_traced
from .numbers import (
    arguments,
    full_name,
    hint,
    ingredients,
    number_called,
    numbers,
    short_names,
    split_element,
    value_of,
)


def replaced(model: Any, changes: Mapping[str, Any]) -> Any:
    """A copy with other numbers or ingredients, by names as of `RFDSM.replace`.

    Raises:
        ValueError: an unknown name, one that the current ingredient lacks, or one given twice.
    """
    kind, owners = type(model), ingredients(type(model))
    fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    inside: dict[str, dict[str, Any]] = {}
    for name, value in with_lists(model, changes).items():
        owner, _, field = full_name(model, name).partition(".")
        if owner not in fields or (field and owner not in owners):
            short = (x for n, x in short_names(kind, numbers(model)).items() if "." in n)
            known = ", ".join((*fields, *short))
            raise ValueError(
                f"{kind.__name__} has no {name!r}: the names are {known}, and dotted ones such "
                "as training.lam."
            )
        if not field:
            fields[owner] = value
        elif owner in changes:
            raise ValueError(f"{name} and {owner} were both given: {owner} holds it.")
        elif field in inside.setdefault(owner, {}):
            raise ValueError(f"{owner}.{field} was given twice.")
        else:
            inside[owner][field] = value
    for owner, values in inside.items():
        own = type(fields[owner])
        names = arguments(own)
        for field in values:
            if field not in names:
                raise ValueError(
                    f"{owner} is {own.__name__}, which has no {field!r}"
                    + (f" but {', '.join(names)}" if names else " nor any other number")
                    + f"{hint(model, f'{owner}.{field}')}."
                )
        kept = {name: getattr(fields[owner], name) for name in names}
        fields[owner] = own(**(kept | values))
    return kind(**fields)


def with_lists(model: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes in which new elements of a list, "data.eigenvalues[1]", are the list changed.

    Raises:
        ValueError: the list is given too, is none, or is shorter.
    """
    whole: dict[str, Any] = {}
    for name, value in changes.items():
        given, index = split_element(name)
        if index is None:
            whole[name] = value
            continue
        full, _ = number_called(model, name)
        full, _ = split_element(full)
        if given in changes or full in changes:
            raise ValueError(f"{given} and an element of it were both given.")
        before = whole.get(full, value_of(model, full))
        if is_traced((before, value)):
            whole[full] = jnp.asarray(before).at[index].set(value)
        else:
            whole[full] = np.array(before)
            whole[full][index] = value
    return whole
