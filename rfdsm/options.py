"""The texts of the command line's options, as what they stand for.

All raise a ValueError of one line that names the option.
"""

from typing import Any

from . import activations as _activations
from .data import Gaussian
from .errors import FIELDS

ACTIVATIONS = {
    name.lower(): getattr(_activations, name)
    for name in ("Tanh", "ReLU", "Erf", "Sin", "Cos", "Sigmoid", "SiLU", "GELU")
}


def activation(text: str) -> _activations.AbstractActivation:
    """The activation of "tanh" or "leakyrelu:0.1"."""
    name, _, argument = text.lower().partition(":")
    if name == "leakyrelu" and argument:
        return _activations.LeakyReLU(numbers(argument, "--activation leakyrelu")[0])
    if name in ACTIVATIONS and not argument:
        return ACTIVATIONS[name]()
    raise ValueError(
        f"--activation {text} is unknown: take one of {', '.join(ACTIVATIONS)}, "
        "leakyrelu:SLOPE."
    )


def data(eigenvalues: str, weights: str | None) -> Gaussian:
    """Gaussian data of "0.5,1.5" and, where given, the shares "0.5,0.5"."""
    return Gaussian(
        numbers(eigenvalues, "--eigenvalues"),
        None if weights is None else numbers(weights, "--weights"),
    )


def require_all_but(swept: str, given: dict[str, Any]) -> None:
    """Refuse a model's parameter that is missing, and one beside the sweep of itself."""
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if name == swept and value is not None:
            raise ValueError(f"{name} is swept, {option} gives it again: leave one out.")
        if name != swept and value is None:
            raise ValueError(f"{option} is missing: {swept} alone is swept.")


def error_names(text: str) -> list[str]:
    """The errors of "test_loss,bias2"; an underscore may be a dash."""
    names = [name.strip().replace("-", "_") for name in text.split(",")]
    if not set(names) <= set(FIELDS) or len(set(names)) < len(names):
        raise ValueError(f"--errors takes some of {', '.join(FIELDS)}, got {text!r}.")
    return names


def lists(texts: list[str] | None, name: str) -> list[float]:
    """The numbers of an option that was given several times, each one or more numbers."""
    return [number for text in texts or () for number in numbers(text, name)]


def numbers(text: str, name: str) -> list[float]:
    """The numbers of "1,4,inf", given to the option `name`."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{name} takes numbers separated by commas, got {text!r}.") from None


def simulation_request(text: str | None) -> tuple[list[int], int]:
    """The dimensions and trials of "d=80,160,trials=32"."""
    if text is None:
        return [], 0
    try:
        values = assignments(text)
        dimensions = values.pop("d")
        trials = values.pop("trials", [32])
        if values or len(trials) != 1 or not 1 <= len(dimensions) <= 2:
            raise ValueError
    except (KeyError, ValueError):
        raise ValueError(
            f"--simulate takes one or two dimensions, d=80 or d=80,160, and trials=32, "
            f"got {text!r}."
        ) from None
    return sorted(dimensions), trials[0]


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
        asked = {name: value for name, (value,) in assignments(text).items()}
        request = rest | asked
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
