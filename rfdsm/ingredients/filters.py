"""Spectral filters as nodes and weights: φ(U) = Σ_i c_i (U+λ_i)^{-1}."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

from .._numerics import contour
from .._numerics.promotion import mixed
from ..parameters.checks import is_traced

SINGLE = 20  # points for one training time: an error of 1e-14


class FilterNodes(eqx.Module):
    r"""A spectral filter by resolvents, for k nodes, or for many filters on the same nodes.

    φ(x) = Σ_i c_i / (x + λ_i), and for the train loss, of a rule with penalty λ,
    x φ(x)² - 2 φ(x) = Σ_i c'_i / (x + λ_i) - λ φ(x)².

    Complex nodes stand for themselves and their conjugates: every sum over them is twice the
    real part of the sum over those that are given.

    Attributes:
        resolvents: λ_i, shape (k,), in the units of U's eigenvalues, O(1).
        weights: c_i, shape (*filters, k).
        loss_weights: c'_i, shape (*filters, k).
        penalty: λ.
        error: the largest x |Σ_i c_i/(x + λ_i) - φ(x)| seen, shape (*filters,); x φ(x) is
            O(1), and what is lost of it is lost of the losses.
        near_axis: whether some nodes are close to the negative axis, beyond 0.9 π in argument.
    """

    resolvents: Inexact[Array, " k"]
    weights: Inexact[Array, "*filters k"]
    loss_weights: Inexact[Array, "*filters k"]
    penalty: Float[Array, ""]
    error: Float[Array, " *filters"]
    near_axis: bool = eqx.field(static=True, default=False)


def both_halves(total: Inexact[Array, " *shape"]) -> Float[Array, " *shape"]:
    """A sum over nodes together with the conjugates of complex ones."""
    return 2 * total.real if jnp.iscomplexobj(total) else total


@mixed
def filter_error(resolvents, weights, x: Float[Array, " points"], exact) -> Float[Array, ""]:
    """`FilterNodes.error` at eigenvalues x where φ is `exact`; it is not differentiated."""
    found = both_halves(weights @ (1 / (x[None, :] + resolvents[:, None])))
    return jax.lax.stop_gradient(jnp.max(jnp.abs(x * (found - exact))))


def points_for(taus: Any, digits: float) -> int:
    """How many nodes resolve all these training times to e^{-digits}, as `contour.enough`.

    Where the times are traced, as many as there can be.
    """
    if is_traced(taus):
        return contour.COUNTS[-1]
    later = taus[np.isfinite(taus) & (taus > 0)]
    if later.size == 0 or np.any(taus == 0):
        return contour.COUNTS[-1]
    if later.min() == later.max():
        return SINGLE
    window = 2 * math.exp(min(math.log(later.max()) - math.log(later.min()), 700))
    return contour.enough(window, digits)
