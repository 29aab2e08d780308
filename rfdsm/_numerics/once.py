"""What XLA on a CPU would make again for each that reads it, made once.

It makes one loop of each result, and cheap operations anew in each loop that reads them.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact


@jax.custom_jvp
def sums(*arrays: Inexact[Array, " k"]) -> tuple[Inexact[Array, ""], ...]:
    """The sum of each, in one pass over all: what they have in common is computed once."""
    if arrays[0].shape == (1,):
        return tuple(array[0] for array in arrays)
    zeros = tuple(jnp.zeros((), array.dtype) for array in arrays)

    def add(totals, values):
        return tuple(total + value for total, value in zip(totals, values, strict=True))

    return tuple(jax.lax.reduce(arrays, zeros, add, (0,)))


@sums.defjvp
def _derivative(primals, tangents):
    # Sums again, but in a form that has a transpose.
    return sums(*primals), tuple(jnp.sum(tangent) for tangent in tangents)


def made_once(tree: Any) -> Any:
    """The same numbers, which XLA makes once each, and their derivatives, whatever reads them.

    On CPU it makes cheap operations again for all their users; of a model's Hessian, whose 49
    entries are taken one by one from seven sums of a thousand terms, each would be such a sum,
    and compiling that takes most of a minute. XLA looks into no branch of a condition that is
    not known, so all numbers go through one, either way as they are. In a batch it is known,
    and nothing is left of it: a batch runs fastest in few large loops.
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
    """Whether the first leaf is one: True, and no compiler knows it."""
    first = jax.tree.leaves(tree)[0]
    return jnp.all(first == first)


@_is_number.def_vmap
def _of_batch(size, batched, tree):
    return jnp.array(True), False
