"""Spectral filters as nodes and weights: φ(U) = Σ_i c_i (U+λ_i)^{-1}."""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

from .._numerics import contour
from .._numerics.promotion import mixed
from ..parameters.checks import Condition, is_traced
from ..parameters.words import described

TOLERANCE = 1e-8  # of a filter's nodes; 1e-12 is usual
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


class AbstractFilter(eqx.Module):
    """A spectral filter, as the theory and the simulation take it.

    What it costs and needs it says by its nodes: each is one linear system. A filter of one
    node is fitted by Cholesky, another by eigenvectors, and where there is a `reach` the
    largest eigenvalue is looked at. A filter of many training times has their axis in front.
    `tolerance` is the error, see `filter_error`, from which on nodes do not resolve it.
    """

    __repr__ = described

    tolerance = TOLERANCE

    @abc.abstractmethod
    def filter(self, x: Float[Array, " k"], rate: Any) -> Float[Array, "*times k"]:
        """φ(x) at eigenvalues x >= 0 of the feature matrix U; rate is κ = 2w²/ψ_p."""

    @abc.abstractmethod
    def nodes(self, rate: Any) -> FilterNodes:
        """The same filter for the theory."""

    @property
    def systems(self) -> int:
        """How many linear systems the filter is, its nodes: what a solve costs."""
        nodes = jax.eval_shape(lambda rule: rule.nodes(jnp.ones(())), self)
        return nodes.resolvents.shape[0]

    def flops(self, size: Any) -> Any:
        """Operations of a fit once its matrix is made: of the factor, or the eigenvectors."""
        return (1 / 3 if self.systems == 1 else 9.0) * size**3

    def reach(self, rate: Any) -> Any:
        """The eigenvalue that all of U must stay under to converge; None: any."""
        return None

    def divergence(self, rate: Any, largest: Any) -> str:
        """What to say where the largest eigenvalue of U is not under the `reach`."""
        kind, reach = type(self).__name__, self.reach(rate)
        return f"{kind} diverges: U has the eigenvalue {largest:.6g}, the reach is {reach:.6g}."

    @abc.abstractmethod
    def domain(self) -> list[Condition]:
        """The conditions under which it is defined, with their messages."""


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
