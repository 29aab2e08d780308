"""Exponential decays that have not begun, with all their derivatives at 0.

Quotients such as (1 - e^{-x})/x, guarded at 0, lose their derivatives there and their digits
nearby; as integrals they are as smooth as they are.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

TERMS = 8  # of the series


def mean(x: Any) -> Any:
    """∫_0^1 e^{-xs} ds = (1 - e^{-x})/x for x >= 0."""
    small, large = jnp.where(x < 1, x, 0.0), jnp.where(x < 1, 1.0, x)
    near = _integral(lambda s: jnp.exp(-small * s))
    return jnp.where(x < 1, near, -jnp.expm1(-large) / large)


def mean_logarithm(x: Any) -> Any:
    """∫_0^1 ds/(1 - xs) = -log(1 - x)/x for 0 <= x <= 1/2."""
    return _integral(lambda s: 1 / (1 - x * s))


def series(x: Any) -> Any:
    """e^x for small x by its series: a polynomial, so that it may stand on a contour."""
    total = jnp.ones_like(x)
    for n in range(TERMS - 1, 0, -1):
        total = 1 + x / n * total
    return total


def _integral(f: Callable) -> Any:
    return sum(weight * f(node) for node, weight in _rule())


@functools.cache
def _rule() -> list[tuple[float, float]]:
    """(node, weight) of the integral over (0, 1); Python's floats keep float32."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    return list(zip(((1 + nodes) / 2).tolist(), (weights / 2).tolist(), strict=True))
