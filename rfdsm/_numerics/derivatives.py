"""Derivatives that a guard must not change, and those that do not exist: NaN, never 0.

What does not exist must spoil nothing beside it. A zero tangent (or cotangent) must stay 0:
else the NaN of one number would spread to all others that are carried along, as in `jacfwd` of
a whole model. NaN times 0 is NaN; so the tangent goes through products with huge numbers, which
leave 0 at 0 and overflow else, and with 0, which turns the infinity into NaN. That is linear,
and reads the same from both ends: forward and reverse mode agree.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def clipped(x: Float[Array, " *shape"], low: Any, high: Any) -> Float[Array, " *shape"]:
    """x within [low, high] with the derivative of x itself, which a clip loses at its ends."""
    return x + jax.lax.stop_gradient(jnp.clip(x, low, high) - x)


def fixed(x: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
    """1, whose derivative in x is NaN: x is a condition under which something was measured."""
    return _constant(1.0, x)


def unknown(x: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
    """NaN, of which the derivative in x (and all that x depends on) is NaN."""
    return _constant(jnp.nan, x)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _constant(value, x):
    return jnp.full_like(x, value)


@_constant.defjvp
def _derivative(value, primals, tangents):
    (x,), (tangent,) = primals, tangents
    huge = jnp.where(x == x, 1e300, 1e301)  # depends on x, so that no compiler folds it
    return _constant(value, x), tangent * huge * huge * 0.0 * huge * huge
