"""Activations without a closed form: their constants come from a table, built at first use."""

import functools
import io
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._files import cache, keys
from ...parameters.checks import float_array, is_traced, require
from .base import AbstractActivation, Constants, Smooth, floats, split


class Tanh(Smooth, AbstractActivation):
    """tanh x; constants from a table, good to 1e-13 up to Γ = 10, out of range beyond 16."""

    def __call__(self, x):
        return jnp.tanh(x)

    def constants(self, shared, fresh):
        return _from_table(_tanh_table(), *floats(shared, fresh))


class Sigmoid(Smooth, AbstractActivation):
    """1/(1 + e^{-x}) = (1 + tanh(x/2))/2; constants from the table of tanh, up to Γ = 32."""

    def __call__(self, x):
        return jax.nn.sigmoid(x)

    def constants(self, shared, fresh):
        shared, fresh = floats(shared, fresh)
        tanh = _from_table(_tanh_table(), shared / 4, fresh / 4)
        mu0 = (1 + tanh.mu0) / 2
        return Constants(mu0, tanh.b / 4, tanh.v2 / 4, tanh.s2 / 4, tanh.error / 4)


class SiLU(Smooth, AbstractActivation):
    """x/(1 + e^{-x}) = x/2 + x tanh(x/2)/2; the even part from a table, up to Γ = 16."""

    def __call__(self, x):
        return jax.nn.silu(x)

    def constants(self, shared, fresh):
        even = _from_table(_silu_table(), *floats(shared, fresh))
        return Constants(even.mu0, even.b + 0.5, even.v2, even.s2, even.error)


class Activation(AbstractActivation):
    r"""A function of your own, with constants from a table built at its first use.

    The table takes 0.2 s, with kinks about one second for each, is kept for the function,
    and covers Γ <= 16. Its error is measured: `Constants.error`.

    Args:
        function: elementwise JAX function; a static field, so that two different lambdas
            are two activations, each with its own table and compiled programs.
        kinks: where it or its derivative jumps; without them the constants of such a
            function are inaccurate, and say so.

    Raises:
        TypeError: function is not callable, fails on an array or depends on traced values;
            kinks are not numbers.
        ValueError: function is not elementwise, or NaN or infinite on [-8, 8]; a kink is
            not finite.
    """

    function: Callable[[Array], Array] = eqx.field(static=True)
    kinks: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, function: Callable[[Array], Array], kinks: Any = ()):
        _check_function(function)
        self.function = function
        self.kinks = _checked_kinks(kinks)

    def __call__(self, x):
        return self.function(x)

    def constants(self, shared, fresh):
        table = _function_table(self.function, self.kinks)
        return _from_table(table, *floats(shared, fresh))


# Checks of a user's function.


def _check_function(function):
    if not callable(function):
        raise TypeError(f"function must be an elementwise JAX function, got {function!r}.")
    try:
        hash(function)
    except TypeError:
        raise TypeError(
            "function must be hashable, as a plain function or lambda is."
        ) from None
    grid = np.linspace(-8, 8, 65).astype(jnp.result_type(float)).reshape(5, 13)
    with jax.ensure_compile_time_eval():
        try:
            compiled = jax.jit(function)
            values = np.asarray(compiled(grid))
            if values.shape == grid.shape:
                alone = np.asarray(compiled(grid[::-1, 4]))
        except Exception as error:
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            raise TypeError(
                f"function must be an elementwise JAX function of concrete parameters; "
                f"on an array it failed: {reason}"
            ) from error
    if values.shape != grid.shape or values.dtype != grid.dtype:
        raise ValueError(
            f"function must return the shape and dtype it was given: {grid.shape} "
            f"{grid.dtype} became {values.shape} {values.dtype}."
        )
    if not np.all(np.isfinite(values)):
        bad = grid[~np.isfinite(values)][0]
        raise ValueError(f"function must be finite on [-8, 8], but is not at {bad}.")
    if not np.allclose(alone, values[::-1, 4], rtol=1e-5, atol=1e-5):
        raise ValueError("function must be elementwise: its values depend on other entries.")


def _checked_kinks(kinks):
    if is_traced(kinks):
        raise TypeError("kinks must be concrete numbers: they shape the table.")
    kinks = float_array(kinks, "kinks") if np.size(kinks) else np.zeros(0)
    require([(np.all(np.isfinite(kinks)), f"kinks must be finite, got {kinks}.")])
    return tuple(sorted({float(kink) for kink in kinks.ravel()}))


# Tables, one for each function, built at first use.


@functools.cache
def _tanh_table():
    return _kept("tanh", np.tanh)


@functools.cache
def _silu_table():
    return _kept("silu", lambda x: x * np.tanh(x / 2) / 2)


@functools.lru_cache(maxsize=64)
def _function_table(function, kinks):
    from . import table

    return table.build(table.on_host(function), kinks)


def _kept(name, function):
    """A table of ours, which is kept between processes. Of a user's function nobody knows."""
    from . import table

    key = f"{name}-{keys.fingerprint()}"
    if content := cache.load(key):
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            arrays = [found[each] for each in table.Table._fields]
        gamma, shared, jumps = arrays.pop().tolist()
        return table.Table(*arrays, table.Powers(gamma, shared, bool(jumps)))
    built = table.build(function)
    with io.BytesIO() as file:
        np.savez(file, allow_pickle=False, **built._asdict())
        cache.save(key, file.getvalue())
    return built


def _from_table(built, shared, fresh):
    from . import table  # not where a program that was kept has the numbers

    return Constants(*table.evaluate(built, *split(shared, fresh)))
