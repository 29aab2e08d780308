"""Models and numbers in words, for titles and legends."""

import math
import re
from collections.abc import Sequence
from typing import Any

from ..model import RFDSM
from ..parameters.numbers import declared
from ..parameters.plain import from_json, to_plain

USUAL = "OrnsteinUhlenbeck", "ScoreTarget"


def describe(
    model: RFDSM | dict[str, Any], without: Sequence[str] = (), data: str | None = None
) -> str:
    """A model in a line for a title.

    Args:
        model: its numbers and ingredients are named; or its description as plain JSON.
        without: names of numbers to leave out, dotted or their last parts.
        data: what the data are, in place of their law's description.
    """
    plain = to_plain(model, whole=False) if isinstance(model, RFDSM) else model
    kind = plain["activation"]["kind"]
    if kind == kind.capitalize():  # Tanh is a function's name, ReLU an acronym
        kind = kind.lower()
    told = []
    for name, number in declared(RFDSM).items():
        owner, _, field = name.partition(".")
        value = plain.get(owner, {}).get(field) if field else plain[owner]
        if value is None or number.many or {name, field or name} & {*without}:
            continue
        told.append(f"${number.symbol} = {tex(from_json(value))}$")
    told += _shared(plain.get("ensemble", {}))
    return ", ".join((data or _data(plain["data"]), kind, *_unusual(plain), *told))


def _unusual(plain: dict[str, Any]) -> list[str]:
    """The kinds of process and target that are not the usual ones: "flow matching"."""
    kinds = (plain[name]["kind"] for name in ("process", "target") if name in plain)
    return [
        re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower() for kind in kinds if kind not in USUAL
    ]


def _shared(ensemble: dict[str, Any]) -> list[str]:
    """What the networks of an ensemble have in common; nothing of a single one."""
    names = ensemble.get("share")
    return [] if names is None else [f"sharing {' and '.join(names) or 'nothing'}"]


def _data(law: dict[str, Any]) -> str:
    if "points" in law:
        return f"{law['points']} data points, $d = {law['d']}$"
    eigenvalues = law.get("eigenvalues")
    if eigenvalues is None:
        return f"{law['kind']} data"
    if len(eigenvalues) == 1:
        scale = "" if eigenvalues[0] == 1 else f" of variance ${tex(eigenvalues[0])}$"
        return f"isotropic Gaussian data{scale}"
    if len(eigenvalues) > 4:
        return f"Gaussian data of {len(eigenvalues)} eigenvalues"
    return f"Gaussian data, eigenvalues {', '.join(f'{x:.4g}' for x in eigenvalues)}"


def tex(value: float) -> str:
    r"""A number for math mode: 0.5, 10^{-3}, 2\times 10^{6}, \infty."""
    value = float(value)
    if math.isinf(value):
        return r"\infty"
    if value == 0 or 1e-2 <= abs(value) < 1e4:
        return f"{value:.4g}"
    mantissa, exponent = f"{value:.3e}".split("e")
    power = f"10^{{{int(exponent)}}}"
    mantissa = f"{float(mantissa):g}"
    return power if mantissa == "1" else rf"{mantissa}\times {power}"
