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
    """`value` as a float array of the default dtype, which traced numbers become too.

    A copy, unless nobody can write to it.
    """
    try:
        array = (jnp if is_traced(value) else np).asarray(value)
        real = any(jnp.issubdtype(array.dtype, kind) for kind in (jnp.integer, jnp.floating))
        # Spans of time are integers to NumPy.
        if not real or array.dtype.kind == "m" or isinstance(value, np.ma.MaskedArray):
            raise TypeError
        kept = is_traced(array) or not array.flags.writeable
        return array.astype(jnp.result_type(float), copy=not kept)
    except (TypeError, ValueError):
        given = " ".join(repr(value).split())
        raise TypeError(
            f"{name} must be a real number or an array of them, got {given}."
        ) from None


def float_leaves(tree: Any) -> Any:
    """`tree` with float arrays for its Python numbers and integers.

    Those come from `eqx.tree_at`, and from fields of a kind of one's own without `scalar`.
    """

    def as_float(leaf):
        integer = jnp.issubdtype(getattr(leaf, "dtype", bool), jnp.integer)
        python = isinstance(leaf, int | float | np.floating) and not isinstance(leaf, bool)
        return float_array(leaf, "a number of the model") if integer or python else leaf

    return jax.tree.map(as_float, tree)


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
        if not hasattr(leaf, "dtype"):
            raise TypeError(
                f"the model holds {leaf!r}, which is no number: declare the field static, "
                "eqx.field(static=True)."
            )
        if leaf.dtype != jnp.float64:
            raise TypeError(
                f"theory needs float64, this model holds {leaf.dtype}: run "
                'jax.config.update("jax_enable_x64", True) before building it and its numbers, '
                'or ask for solve(precision="float32").'
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


def namespace(*values: Any) -> Any:
    """NumPy, where all of these are its numbers or Python's; `jax.numpy` otherwise.

    The first compiles nothing, and keeps a model's constants readable inside a jit.
    """
    on_host = all(isinstance(each, np.ndarray | np.generic | int | float) for each in values)
    return np if on_host else jnp
