r"""Complex resolvent arguments: which root of the one-point equations is the resolvent's.

At λ = |λ| e^{iθ}, 0 <= θ <= π, the traces of (U+λ)^{-1} with positive matrices are sums of
1/(x + λ), x >= 0, whose argument lies in [-θ, 0]. So do the unknowns on the physical branch,
and a root of the equations in that sector was never seen to be another one (docs/theory.md
section 11).
"""

from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Inexact

STEP_LIMIT = 1.0  # of a step in the logs at complex λ, in its modulus
ROUNDING = 1e-9  # unknowns may leave the sector by, relatively


def turned(unknowns: Any, lam: Complex[Array, ""]) -> Any:
    """A guess at complex λ from positive unknowns at |λ|: in the middle of the sector."""
    middle = jnp.sqrt(jnp.conj(unit(lam)))
    return jax.tree.map(lambda X: X * middle, unknowns)


def limited(step: Inexact[Array, " k"], most: float) -> Inexact[Array, " k"]:
    """A step in the logs of the unknowns: real ones within `most`, complex ones within 1."""
    if not jnp.iscomplexobj(step):
        return jnp.clip(step, -most, most)
    return step * (STEP_LIMIT / jnp.maximum(jnp.abs(step), STEP_LIMIT))


def held(unknowns, moved, lam) -> Inexact[Array, " k"]:
    """`moved`, or where it left the sector, half the way to the edge that it crossed."""
    if not jnp.iscomplexobj(lam):
        return moved
    end = jnp.conj(unit(lam))
    from_end = moved * jnp.conj(end)
    edge = jnp.where(moved.real > from_end.real, 1, end)  # the nearer one
    halfway = unit(unit(unknowns) + edge) * jnp.abs(moved)
    return jnp.where((moved.imag > 0) | (from_end.imag < 0), halfway, moved)


def holds(unknowns: Any, lam) -> Bool[Array, ""]:
    """Whether the unknowns are on the physical branch; real ones at λ > 0 always are."""
    if not jnp.iscomplexobj(lam):
        return jnp.asarray(True)

    def within(X):
        room = ROUNDING * jnp.abs(X)
        return jnp.all((X.imag <= room) & ((X * unit(lam)).imag >= -room))

    return reduce(jnp.logical_and, map(within, jax.tree.leaves(unknowns)))


def unit(x: Complex[Array, " *shape"]) -> Complex[Array, " *shape"]:
    """x/|x|."""
    return x / jnp.abs(x)
