"""Gaussian data of any covariance."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...parameters.checks import is_traced, require, vector
from ...parameters.numbers import number
from .base import AbstractData, AbstractSampler
from .points import covariance_eigenvalues, sample_matrix


class GaussianSampler(AbstractSampler):
    """Independent Gaussian coordinates of the given variances, shape (d,)."""

    variances: Float[Array, " d"]

    def require(self, n):
        pass

    def tests(self, n, least):
        return least

    def split(self, key, n, tests):
        scale = jnp.sqrt(self.variances)
        x = jax.random.normal(key, (n + tests, scale.shape[0]), scale.dtype) * scale[None, :]
        return x[:n], x[n:]

    def score(self, y, noising):
        return -y / self.noised_variances(noising)[None, :]

    def noised_variances(self, noising):
        return noising.variances(self.variances)


class Gaussian(AbstractData):
    r"""x ~ N(0, Σ), Σ with eigenvalue σ_k in a share w_k of the directions.

    The isotropic law is one atom at 1; a linear subspace has an atom at 0. Rotating Σ
    changes nothing (the network's weights are isotropic), so simulation takes it diagonal,
    with the atoms' shares of the d coordinates by largest remainder.

    Args:
        eigenvalues: σ_k >= 0, a list of k numbers.
        weights: w_k >= 0 with |Σ w - 1| <= 1e-6 (not renormalised); None: all equal.

    Derivatives in a weight are partial ones: σx² = Σ w_k σ_k follows, Σ w leaves 1.

    Raises:
        ValueError: a negative or non-finite eigenvalue or weight, weights that do not
            sum to 1, lengths that differ.
        TypeError: not numbers.
    """

    eigenvalues: Float[Array, " k"] = number(
        r"\sigma_k", "eigenvalues of the covariance", many=True
    )
    weights: Float[Array, " k"] = number("w_k", "weights of the eigenvalues", many=True)

    def __init__(self, eigenvalues: Any = (1.0,), weights: Any = None):
        self.eigenvalues = vector(eigenvalues, "eigenvalues")
        count = self.eigenvalues.shape[0]
        self.weights = vector(
            np.full(count, 1 / count) if weights is None else weights, "weights"
        )
        if self.weights.shape != self.eigenvalues.shape:
            raise ValueError(
                f"one weight per eigenvalue: got {self.weights.shape[0]} weights "
                f"for {count} eigenvalues."
            )
        require(self.domain())

    @classmethod
    def from_samples(cls, X: Any) -> "Gaussian":
        """The centred Gaussian law with the samples' covariance XᵀX/N.

        Args:
            X: real samples, shape (N, d), used as given. A mean that is not small warns.

        Raises:
            ValueError: not a finite matrix of at least two rows, or all columns constant.
        """
        return cls(covariance_eigenvalues(sample_matrix(X)))

    def domain(self):
        return self.law().domain()

    def dimension(self, d):
        if d is None:
            raise ValueError("simulate needs the dimension d, for example d=128.")
        return d

    def counts(self, d):
        if is_traced(self.weights):
            raise ValueError(
                "simulate needs concrete weights (they are numbers of coordinates): "
                "build the model outside of jit, vmap and grad."
            )
        return largest_remainder(np.asarray(self.weights), d)

    def at(self, d):
        atoms = np.repeat(np.arange(self.weights.shape[0]), self.counts(d))
        return GaussianSampler(self.eigenvalues[atoms])

    def knows_score(self):
        return True


def largest_remainder(weights: np.ndarray, d: int) -> tuple[int, ...]:
    """d coordinates shared out by `weights`: floors first, then the largest remainders."""
    exact = weights / weights.sum() * d
    # The tolerance keeps 0.3 * 10 = 2.9999999999999996 from losing a whole coordinate.
    counts = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: d - counts.sum()]] += 1
    return tuple(int(c) for c in counts)
