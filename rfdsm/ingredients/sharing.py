"""What two networks share: their features W, their training points X, the noises Z on these.

variance part         S(what is shared) of two outputs, on fresh data (docs/theory.md 15)
features              S(W) - S()
points                S(X) - S()
features × points     S(W X) - S(W) - S(X) + S()
noises                S(X Z) - S(X)
features × noises     S(W X Z) - S(X Z) - S(W X) + S(X)
"""

from collections.abc import Iterable
from typing import NamedTuple


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
    if isinstance(names, Shared):
        return names
    given = [names] if isinstance(names, str) else list(names)
    for name in given:
        if name not in Shared._fields or given.count(name) > 1:
            raise ValueError(
                f"share takes some of {', '.join(Shared._fields)}, each once, got {given}."
            )
    if "noises" in given and "points" not in given:
        raise ValueError("noises are shared with the points they are on: share points too.")
    return Shared(**dict.fromkeys(given, True))
