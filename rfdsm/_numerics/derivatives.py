"""Derivatives that a guard must not change, and those that do not exist: NaN, never 0.

What does not exist must spoil nothing beside it. A zero tangent (or cotangent) must stay 0:
else the NaN of one number would spread to all others that are carried along, as in `jacfwd` of
a whole model. NaN times 0 is NaN; so the tangent goes through products with huge numbers, which
leave 0 at 0 and overflow else, and with 0, which turns the infinity into NaN. That is linear,
and reads the same from both ends: forward and reverse mode agree.
"""

from functools import partial
from typing import Any

import equinox as eqx
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


def made_once(tree: Any) -> Any:
    """The same numbers, which XLA makes once each, and their derivatives, whatever reads them.

    On CPU it makes cheap operations again for all their users; of a model's Hessian, whose 49
    entries are taken one by one from seven sums of a thousand terms, each would be such a sum,
    and compiling that takes most of a minute. XLA looks into no branch of a condition that is
    not known, so all numbers go through one, either way as they are. In a batch it
    is known and nothing is left of it: a batch runs fastest in few large loops.
    """
    numbers, rest = eqx.partition(tree, eqx.is_inexact_array)
    if not jax.tree.leaves(numbers):
        return tree
    either = _is_number(jax.lax.stop_gradient(numbers))
    numbers = jax.lax.cond(either, lambda tree: tree, _as_well, numbers)
    return eqx.combine(numbers, rest)


def _as_well(tree):
    # JAX leaves out what every branch returns as it came.
    return jax.tree.map(lambda x: 1 * x, tree)


@jax.custom_batching.custom_vmap
def _is_number(tree):
    """Of the first leaf."""
    first = jax.tree.leaves(tree)[0]
    return jnp.all(first == first)


@_is_number.def_vmap
def _of_batch(size, batched, tree):
    return jnp.array(True), False
