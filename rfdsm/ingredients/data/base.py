"""What a law of the data gives: eigenvalues to the theory, a sampler to the simulation.

Scaling: the data are points in R^d with covariance Σ whose eigenvalues are O(1);
the eigenvalue law ρ has weights w_k at eigenvalues σ_k (docs/theory.md section 1).
"""

import abc
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...parameters.checks import WEIGHT_TOLERANCE, Condition, finite, is_traced, vector
from ...parameters.words import described
from ..processes import Noising


class AbstractSampler(eqx.Module):
    """A data law in d dimensions, as a simulation draws from it."""

    @abc.abstractmethod
    def require(self, n: int) -> None:
        """Raise where n training points cannot be drawn."""

    @abc.abstractmethod
    def tests(self, n: int, least: int) -> int:
        """How many test points to take beside n training points; `least` are enough."""

    @abc.abstractmethod
    def split(
        self, key: Array, n: int, tests: int
    ) -> tuple[Float[Array, "n d"], Float[Array, "tests d"]]:
        """n training points and `tests` points that are not among them."""

    def require_disjoint(self, sizes: Sequence[int]) -> None:
        """Raise where sets of training points of these sizes cannot be drawn."""
        for n in sizes:
            self.require(n)

    def disjoint(
        self, key: Array, sizes: Sequence[int], tests: int
    ) -> tuple[list[Float[Array, "n d"]], Float[Array, "tests d"]]:
        """Training sets, no two with a point in common, and points that are in none of them.

        The first set is that of `split`. Of a law independent draws have no point in common.
        """
        n, *more = sizes
        x, left_out = self.split(key, n, tests)
        keys = [jax.random.fold_in(key, number) for number in range(1, len(sizes))]
        others = [self.split(k, n, 0)[0] for k, n in zip(keys, more, strict=True)]
        return [x, *others], left_out

    @abc.abstractmethod
    def score(self, y: Float[Array, "rows d"], noising: Noising) -> Float[Array, "rows d"]:
        """∇log P_t(y) of the noised law; NaN where it is unknown."""

    @abc.abstractmethod
    def noised_variances(self, noising: Noising) -> Float[Array, " d"] | None:
        """σ_t of each coordinate; None where the law is unknown."""


class Law(eqx.Module):
    """An eigenvalue law ρ = Σ_k w_k δ(σ - σ_k): all that theory reads of the data.

    Attributes:
        eigenvalues: σ_k of the covariance, shape (k,), O(1), >= 0.
        weights: w_k, shape (k,), summing to 1.
    """

    eigenvalues: Float[Array, " k"]
    weights: Float[Array, " k"]

    def domain(self) -> list[Condition]:
        """The conditions under which it is one, with their messages."""
        xp = jnp if is_traced(self.eigenvalues, self.weights) else np
        sigma, weight = self.eigenvalues, self.weights
        return [
            (
                xp.all(sigma >= 0) & xp.all(finite(sigma)),
                f"eigenvalues of a covariance must be finite and not negative, got {sigma}.",
            ),
            (
                xp.all(weight >= 0) & xp.all(finite(weight)),
                f"weights must be finite and not negative, got {weight}.",
            ),
            (
                xp.abs(xp.sum(weight) - 1) <= WEIGHT_TOLERANCE,
                f"the weights of the eigenvalues must sum to 1, got {xp.sum(weight)}: "
                "give each atom's share of the d directions.",
            ),
        ]


class AbstractData(eqx.Module):
    """A law of the data points; `eigenvalues` and `weights` as of `Law`."""

    eigenvalues: eqx.AbstractVar[Float[Array, " k"]]
    weights: eqx.AbstractVar[Float[Array, " k"]]

    __repr__ = described

    @abc.abstractmethod
    def domain(self) -> list[Condition]:
        """The conditions under which the law is defined, with their messages."""

    def law(self) -> Law:
        """The eigenvalue law of the covariance."""
        return Law(vector(self.eigenvalues, "eigenvalues"), vector(self.weights, "weights"))

    @abc.abstractmethod
    def dimension(self, d: int | None) -> int:
        """The dimension of a simulation that was asked for at `d` (None: the data's own)."""

    @abc.abstractmethod
    def counts(self, d: int) -> tuple[int, ...] | None:
        """How many of d coordinates each eigenvalue gets; None where there are no atoms."""

    @abc.abstractmethod
    def at(self, d: int) -> AbstractSampler:
        """The law in d dimensions, for drawing from it inside of jit."""

    @abc.abstractmethod
    def knows_score(self) -> bool:
        """Whether the law, and with it the true score of the noised data, is known."""
