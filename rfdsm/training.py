"""Training rules as spectral filters: B = -(1/√h) V^T φ(U) (THEORY.md sections 1, 6).

A rule gives the theory its filter as nodes and weights, φ(U) = Σ_i c_i (U+λ_i)^{-1},
and the simulation the filter's values φ(x) at eigenvalues x of U.
"""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .checks import Condition, finite, require, scalar


class FilterNodes(eqx.Module):
    r"""A spectral filter by resolvents, for k nodes.

    φ(x) = Σ_i c_i / (x + λ_i). The train loss needs ψ(x) = x φ(x)² - 2 φ(x), which has
    poles of second order where φ has simple ones:
    ψ(x) = Σ_i c'_i / (x + λ_i) - c''_i / (x + λ_i)².

    Attributes:
        resolvents: λ_i, shape (k,), in the units of U's eigenvalues, O(1).
        weights: c_i, shape (k,).
        loss_weights: c'_i, shape (k,).
        loss_slope_weights: c''_i, shape (k,); the factor of dK/dλ in the train loss.
    """

    resolvents: Float[Array, " k"]
    weights: Float[Array, " k"]
    loss_weights: Float[Array, " k"]
    loss_slope_weights: Float[Array, " k"]


class AbstractTraining(eqx.Module):
    """A training rule of the linear read-out, given by its spectral filter."""

    @abc.abstractmethod
    def filter(self, x: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
        """φ(x) at eigenvalues x >= 0 of the feature matrix U."""

    @abc.abstractmethod
    def nodes(self) -> FilterNodes:
        """The same filter for the theory."""

    @abc.abstractmethod
    def domain(self) -> list[Condition]:
        """The conditions under which the rule is defined, with their messages."""


class Ridge(AbstractTraining):
    r"""The minimiser of L(A) with its penalty (h λ/(d p)) |A|²_F: φ(x) = 1/(x + λ).

    Args:
        lam: λ > 0, in the units of the eigenvalues of U = (1/N) Σ f f^T, O(1).

    Raises:
        ValueError: λ is not positive and finite (0 is refused: name a small λ).
        TypeError: λ is not a number.
    """

    lam: Float[Array, ""]

    def __init__(self, lam: Any):
        self.lam = scalar(lam, "lam")
        require(self.domain())

    def filter(self, x):
        return 1 / (x + self.lam)

    def nodes(self):
        lam, one = self.lam[None], jnp.ones_like(self.lam)[None]
        # x/(x+λ)² - 2/(x+λ) = -1/(x+λ) - λ/(x+λ)²
        return FilterNodes(lam, one, -one, lam)

    def domain(self):
        return [
            (
                (self.lam > 0) & finite(self.lam),
                f"lam must be positive and finite, got {self.lam}: "
                "for the ridgeless limit take a small one, such as 1e-10.",
            )
        ]
