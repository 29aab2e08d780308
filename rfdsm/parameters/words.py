"""Models, ingredients and results as text to read: their numbers, not their arrays' shapes."""

import dataclasses
from typing import Any

import jax
import numpy as np

LONG = 8  # numbers of an array, beyond which its shape is told


def described(value: Any) -> str:
    """`Kind(field=number, ...)` of a dataclass, as whose `__repr__` it serves."""
    fields = (field.name for field in dataclasses.fields(value) if field.repr)
    told = ", ".join(f"{name}={_text(getattr(value, name))}" for name in fields)
    return f"{type(value).__name__}({told})"


def _text(value: Any) -> str:
    if isinstance(value, jax.core.Tracer):
        return f"traced {value.aval.str_short()}"
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        if not np.issubdtype(value.dtype, np.number) or value.size > LONG:
            return f"{value.dtype}{list(value.shape)}"
        return _numbers(np.asarray(value).tolist())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _numbers(value)
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    return repr(value)


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_numbers, value))}]"
    return f"{value:.12g}"
