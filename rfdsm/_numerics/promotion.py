"""Real numbers beside complex ones, whatever rule of promotion the caller has set."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Function = TypeVar("Function", bound=Callable)


def mixed(function: Function) -> Function:
    """`function` under JAX's standard promotion, which strict callers switch off.

    Where λ is complex all of the theory's real numbers meet complex ones.
    """

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        with jax.numpy_dtype_promotion("standard"):
            return function(*args, **kwargs)

    return wrapped


def cast(tree: Any, dtype: Any) -> Any:
    """The tree with its real numbers in this precision."""

    def each(leaf):
        number = isinstance(leaf, float | np.generic | np.ndarray | jax.Array)
        real = number and jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
        return jnp.asarray(leaf, dtype) if real else leaf

    return jax.tree.map(each, tree)
