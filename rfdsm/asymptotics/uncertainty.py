"""How much the error of the activation's Gaussian constants moves the results."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..errors import Errors
from .solution import solve


class _Shifted(eqx.Module):
    """An activation whose constants b, v² and s² are off by `shift`."""

    activation: Any
    shift: Float[Array, "3"]

    def constants(self, shared, fresh):
        exact = self.activation.constants(shared, fresh)
        values = (exact.b, exact.v2, exact.s2)
        shifted = tuple(v + s for v, s in zip(values, self.shift, strict=True))
        return eqx.tree_at(lambda c: (c.b, c.v2, c.s2), exact, shifted)


@jax.jit
def constants_uncertainty(
    errors: Errors, psi_n, psi_p, inverse_m, process, activation, law, training
) -> Errors:
    """How far each error moves when each constant moves by its own error bound, summed.

    Args:
        errors: the result of `solve` on the same, following arguments.
    """
    a, h = process.scales()
    bound = activation.constants(a**2 * jnp.sum(law.weights * law.eigenvalues), h).error
    total = jax.tree.map(jnp.zeros_like, errors)
    for shift in jnp.eye(3) * bound:
        moved = solve(
            psi_n, psi_p, inverse_m, process, _Shifted(activation, shift), law, training
        ).errors
        total = jax.tree.map(lambda t, x, y: t + jnp.abs(x - y), total, moved, errors)
    return total
