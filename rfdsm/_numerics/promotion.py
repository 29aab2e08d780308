"""Real numbers beside complex ones, whatever rule of promotion the caller has set."""

import functools
from collections.abc import Callable
from typing import TypeVar

import jax

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
