"""A zero that is known while tracing: no operation is made of it.

A formula with a term that most models lack is written once, with that term; where its factor is
`ABSENT` the term is not in the program at all, and the others are computed as if it had never
been written, bit for bit.
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx


class Absent(eqx.Module):
    """0: products with it are itself, and in sums it leaves the other as it is."""

    __array_ufunc__: ClassVar[None] = None  # NumPy's arrays leave operations to it, as JAX's do

    def __mul__(self, other: Any) -> "Absent":
        return self

    __rmul__ = __truediv__ = __getitem__ = __mul__

    def __pow__(self, exponent: Any) -> "Absent":
        return self

    def __neg__(self) -> "Absent":
        return self

    __abs__ = __neg__

    def __add__(self, other: Any) -> Any:
        return other

    __radd__ = __rsub__ = __add__

    def __sub__(self, other: Any) -> Any:
        return -other


ABSENT = Absent()


def or_absent(value: Any) -> Any:
    """The value, `ABSENT` for the integer 0 of Python."""
    return ABSENT if type(value) is int and value == 0 else value


def multilinear(function: Callable) -> Callable:
    """`function`, linear in each of its arguments, giving `ABSENT` where one of them is."""

    @functools.wraps(function)
    def applied(*arguments: Any) -> Any:
        absent = any(isinstance(each, Absent) for each in arguments)
        return ABSENT if absent else function(*arguments)

    return applied
