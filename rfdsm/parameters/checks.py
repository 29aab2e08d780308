"""How a number enters rfdsm: one float array, checked while it can be read.

Concrete numbers are checked at construction and raise one line; traced ones cannot be read, so
the same conditions become a `Status` when theory solves. Both use the list of conditions that
each ingredient states once, in `domain()`.
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

WEIGHT_TOLERANCE = 1e-6  # weights may miss a sum of 1 by this much

Condition = tuple[Any, str]  # (a boolean scalar, the message when it is false)


def is_traced(*leaves: Any) -> bool:
    """Whether any leaf of the arguments is a tracer, so that its value is unknown."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(leaves))


def scalar(value: Any, name: str) -> Any:
    """`value` as a float scalar of JAX's default dtype; tracers pass through.

    Made by NumPy, not by jax.numpy, which would make a tracer inside a jit:
    then `simulate` could not read a constant of its own model.

    Raises:
        TypeError: not a real number.
        ValueError: an array, where one model holds one number.
    """
    array = float_array(value, name)
    if array.ndim != 0:
        raise ValueError(
            f"{name} must be one number, got shape {array.shape}: for many values use "
            f"jax.vmap(lambda x: model.replace({name.split('.')[-1]}=x).solve())(values)."
        )
    return array


def vector(value: Any, name: str) -> Any:
    """`value` as a one-dimensional float array of the default dtype, not empty."""
    array = float_array(value, name)
    if array.ndim != 1 or array.shape[0] == 0:
        raise ValueError(
            f"{name} must be a list of at least one number, got shape {array.shape}."
        )
    return array


def float_array(value: Any, name: str) -> Any:
    """`value` as a float array of the default dtype; traced integers become floats."""
    if isinstance(value, jax.core.Tracer):
        if jnp.issubdtype(value.dtype, jnp.floating):
            return value
        return value.astype(jnp.result_type(float))
    try:
        array = np.asarray(value)
        real = jnp.issubdtype(array.dtype, np.number) and array.dtype.kind not in "cm"
        if not real or isinstance(
            value, np.ma.MaskedArray
        ):  # m: spans of time, to NumPy integers
            raise TypeError
        return array.astype(jnp.result_type(float))
    except (TypeError, ValueError):
        given = " ".join(repr(value).split())
        raise TypeError(
            f"{name} must be a real number or an array of them, got {given}."
        ) from None


def positive_integer(value: Any, name: str, least: int = 1) -> int:
    """The value as an int, if it is a whole number of at least `least`."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or value < least or value != value // 1:  # which infinity is not
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")
    return int(value)


def positive(value: Any, name: str, hint: str = "") -> Condition:
    """The condition that a number is positive and finite; `hint` ends its message."""
    words = f"{name} must be positive and finite, got {value}{hint}."
    return (value > 0) & finite(value), words


def not_negative(value: Any, name: str, hint: str = "") -> Condition:
    """The condition that a number is finite and not negative."""
    words = f"{name} must be finite and not negative, got {value}{hint}."
    return (value >= 0) & finite(value), words


def require_float64(tree: Any) -> None:
    """Refuse numbers that cannot carry the theory's answer.

    Raises:
        TypeError: a leaf of another type.
    """
    for leaf in jax.tree.leaves(tree):
        if leaf.dtype != jnp.float64:
            raise TypeError(
                f"theory needs float64, this model holds {leaf.dtype}: run "
                'jax.config.update("jax_enable_x64", True) before building it.'
            )


def require(domain: Iterable[Condition]) -> None:
    """Raise the message of the first condition that is known to be false."""
    for condition, message in domain:
        if not is_traced(condition) and not bool(condition):
            raise ValueError(message)


def holds(domain: Iterable[Condition]) -> Any:
    """Whether all conditions hold, as one traced boolean."""
    result = jnp.asarray(True)
    for condition, _ in domain:
        result = result & condition
    return result


def finite(value: Any) -> Any:
    """`jnp.isfinite`, or NumPy's where that keeps a constant readable inside a jit."""
    return jnp.isfinite(value) if is_traced(value) else np.isfinite(value)
