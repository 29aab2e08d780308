"""What a benchmark measures: a figure beside its peer and its limit."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured number; `run()` of a benchmark returns a list of them.

    Attributes:
        what: the question in words, its sizes included; unique but for its peer.
        value, unit: ours, such as 2.9e7 and "points/s".
        peer: what it is held against: a program that does the same, or a measured limit.
        peer_value: the peer's, in `unit`, from the same run.
        ratio: ours against the peer's, counted as `limit` counts it.
        limit: what must hold, in words; of `at_least` or `at_most`.
        limit_holds: whether it did, in this run.
        note: what a reader of the table needs besides.
    """

    what: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    limit: str = ""
    limit_holds: bool | None = None
    note: str = ""


def at_least(limit: float, number: float) -> dict[str, Any]:
    """The fields of a limit from below: ``Figure(..., ratio=r, **at_least(500, r))``."""
    return {"limit": f"at least {limit:g}", "limit_holds": bool(number >= limit)}


def at_most(limit: float, number: float) -> dict[str, Any]:
    """The fields of a limit from above."""
    return {"limit": f"at most {limit:g}", "limit_holds": bool(number <= limit)}
