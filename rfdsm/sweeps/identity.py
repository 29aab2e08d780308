"""What tells a user's function from others: a store of one is not gone on with by another."""

import functools
import hashlib
import inspect
import json
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .parts import digest

PLAIN = (bool, int, float, complex, str, type(None))


def told(function: Any) -> list[str]:
    """A function's name, and a short text that its source and the values it holds give.

    Values are its defaults, what it encloses, the numbers and functions of its module that it
    reads, the arguments of a `functools.partial`, the fields of an object; of an object of
    this package or of JAX, whose source may change with the version, its kind and fields.
    """
    whole = json.dumps(_told(function, ()))
    kind = getattr(function, "__qualname__", type(function).__qualname__)
    return [kind, hashlib.sha256(whole.encode()).hexdigest()[:16]]


def _told(given: Any, above: tuple[int, ...]) -> Any:
    if isinstance(given, PLAIN):
        return repr(given)
    if isinstance(given, np.ndarray | np.generic | jax.Array):
        return [str(given.dtype), [*np.shape(given)], digest(given)]
    if id(given) in above:  # a function that calls itself
        return "itself"
    inner = functools.partial(_told, above=(*above, id(given)))
    if isinstance(given, dict):
        return [[str(key), inner(value)] for key, value in given.items()]
    if isinstance(given, list | tuple):
        return [type(given).__name__, *map(inner, given)]
    if isinstance(given, functools.partial):
        return ["partial", *map(inner, (given.func, given.args, given.keywords))]
    if inspect.ismethod(given):
        return ["method", inner(given.__func__), inner(given.__self__)]
    if inspect.isfunction(given):
        read = inspect.getclosurevars(given)
        near = {n: x for n, x in read.globals.items() if _near(x, given.__module__)}
        values = (given.__defaults__, given.__kwdefaults__, read.nonlocals, near)
        return [_source(given), *map(inner, values)]
    if (wrapped := getattr(given, "__wrapped__", None)) is not None:  # of jax.jit
        return inner(wrapped)
    if isinstance(given, type) or not hasattr(given, "__dict__"):
        return getattr(given, "__qualname__", repr(type(given)))
    return [_source(type(given)), inner(vars(given))]


def _near(value: Any, module: str) -> bool:
    """Whether what a function reads is a value, or a function of its own module."""
    function = inspect.isfunction(value) and value.__module__ == module
    return function or isinstance(value, PLAIN) or eqx.is_array(value)


def _source(given: Any) -> str:
    """The text of a function or class; of a lambda, or one from a prompt, what it compiles to.

    A lambda's text would be that of its lines, on which others may be.
    """
    if given.__module__.partition(".")[0] in (__name__.partition(".")[0], "jax", "jaxlib"):
        return f"{given.__module__}.{given.__qualname__}"
    code = getattr(given, "__code__", None)
    try:
        if given.__name__ != "<lambda>":
            return inspect.getsource(given)
    except (OSError, TypeError):
        pass
    return given.__qualname__ if code is None else _compiled(code)


def _compiled(code: Any) -> str:
    inner = (_compiled(x) if inspect.iscode(x) else _constant(x) for x in code.co_consts)
    return " ".join([code.co_code.hex(), *code.co_names, *inner])


def _constant(value: Any) -> str:
    sets = isinstance(value, frozenset)  # whose order each session has of its own
    return str(sorted(map(repr, value))) if sets else repr(value)
