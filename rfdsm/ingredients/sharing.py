"""What two networks share: their features W, their training points X, the noises Z on these.

And by it, in what their models may differ (docs/theory.md section 15).
"""

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..parameters.checks import Condition, is_traced


class Shared(NamedTuple):
    """Which of the three two networks have in common; noises only with their points."""

    features: bool = False
    points: bool = False
    noises: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what is shared."""
        return tuple(name for name, held in zip(self._fields, self, strict=True) if held)

    def __str__(self) -> str:
        return " and ".join(self.names) or "nothing"


NOTHING, ALL = Shared(), Shared(True, True, True)
SHARINGS = (  # all that there are
    ALL,
    Shared(features=True, points=True),
    Shared(features=True),
    Shared(points=True, noises=True),
    Shared(points=True),
    NOTHING,
)


def sharing(names: Iterable[str] | str) -> Shared:
    """What is shared, by the names "features", "points" and "noises".

    Raises:
        ValueError: another name, one given twice, or noises without the points they are on.
    """
    names = names.names if isinstance(names, Shared) else names
    several = isinstance(names, Iterable) and not isinstance(names, str)
    given = list(names) if several else [names]
    for name in given:
        if not isinstance(name, str) or name not in Shared._fields or given.count(name) > 1:
            told = " ".join(repr(given).split())
            raise ValueError(
                f"share takes some of {', '.join(Shared._fields)}, each once, got {told}."
            )
    if "noises" in given and "points" not in given:
        raise ValueError("noises are shared with the points they are on: share points too.")
    return Shared(**dict.fromkeys(given, True))


def require_another(other: Any, model: Any) -> None:
    """Refuse what is no model of a second network.

    Raises:
        TypeError: another type than that of the first one's model.
    """
    if not isinstance(other, type(model)):
        kind = type(model).__name__
        raise TypeError(
            f"other must be the {kind} of the second network, got {type(other)}: what the two "
            "have in common is share=(...)."
        )


# What must be the same of both networks only where they share something.
BOUND_TO = {"psi_p": "features", "psi_n": "points", "m": "noises", "inverse_m": "noises"}
FREE = ("training", "ensemble")


def alike(ours: Any, theirs: Any, shared: Shared) -> list[Condition]:
    """The conditions under which two networks may be held beside each other, with messages.

    Args:
        ours, theirs: both models, or both problems.

    Raises:
        ValueError: another kind of ingredient, or numbers of another shape.
    """
    conditions = []
    for name in (field.name for field in dataclasses.fields(ours)):
        bound = BOUND_TO.get(name)
        if name in FREE or (bound and not getattr(shared, bound)):
            continue
        why = f"that share {bound}" if bound else "that are held beside each other"
        message = f"two networks {why} must have the same {name.removeprefix('inverse_')}."
        one, other = getattr(ours, name), getattr(theirs, name)
        if jax.tree.structure(one) != jax.tree.structure(other):
            raise ValueError(message)
        for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            if np.shape(x) != np.shape(y):
                raise ValueError(message)
            xp = jnp if is_traced(x, y) else np
            conditions.append((x is y or xp.all(x == y), message))
    return conditions
