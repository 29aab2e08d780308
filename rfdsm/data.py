"""Data laws: an eigenvalue law for the theory, a sampler for the simulation.

Scaling: the data are points in R^d with covariance Σ whose eigenvalues are O(1);
the eigenvalue law ρ has weights w_k at eigenvalues σ_k (THEORY.md section 1).
"""

import abc
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .checks import Condition, finite, is_traced, require, vector

WEIGHT_TOLERANCE = 1e-6  # weights of eigenvalues may miss 1 by this much
TEST_POINTS = 4096  # of the points left out, this many are enough for any measurement
MEAN_TOLERANCE = 1e-3  # |mean|² above this share of the total variance warns


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

    @abc.abstractmethod
    def score(self, y: Float[Array, "rows d"], a: Any, h: Any) -> Float[Array, "rows d"]:
        """∇log P_t(y) of the noised law; NaN where it is unknown."""

    @abc.abstractmethod
    def noised_variances(self, a: Any, h: Any) -> Float[Array, " d"] | None:
        """σ_t of each coordinate; None where the law is unknown."""


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

    def score(self, y, a, h):
        return -y / self.noised_variances(a, h)[None, :]

    def noised_variances(self, a, h):
        return a**2 * self.variances + h


class PointSampler(AbstractSampler):
    """Given points: training points without replacement, test points from the rest."""

    X: Float[Array, "N d"]

    def require(self, n):
        points, d = self.X.shape
        if points < n + 1:
            raise ValueError(
                f"{n} training points and at least one test point are needed, X has "
                f"{points}: lower psi_n below {points / d:.4g}."
            )

    def tests(self, n, least):
        left_out = self.X.shape[0] - n
        if left_out < least:
            return left_out * -(-least // left_out)  # each several times, with fresh noise
        return min(left_out, max(least, TEST_POINTS))

    def split(self, key, n, tests):
        order = jax.random.permutation(key, self.X.shape[0])
        X = jnp.asarray(self.X)
        return X[order[:n]], X[jnp.resize(order[n:], (tests,))]

    def score(self, y, a, h):
        return jnp.full_like(y, jnp.nan)

    def noised_variances(self, a, h):
        return None


class AbstractData(eqx.Module):
    """A law of the data points.

    Attributes:
        eigenvalues: σ_k of the covariance, shape (k,), O(1), >= 0.
        weights: w_k, shape (k,), summing to 1.
    """

    eigenvalues: eqx.AbstractVar[Float[Array, " k"]]
    weights: eqx.AbstractVar[Float[Array, " k"]]

    @abc.abstractmethod
    def domain(self) -> list[Condition]:
        """The conditions under which the law is defined, with their messages."""

    def law(self) -> "Gaussian":
        """The Gaussian law of the same covariance: all that theory reads of the data."""
        return Gaussian(self.eigenvalues, self.weights)

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

    eigenvalues: Float[Array, " k"]
    weights: Float[Array, " k"]

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


class Samples(AbstractData):
    r"""Real points X, used as given: simulation trains on them and tests on those left out.

    The n training points are drawn from X without replacement, the test points from the
    rest. Theory takes the Gaussian law of the same covariance XᵀX/N, which has the right
    shape and can be 2 to 20 % off in value on images (THEORY.md section 10). The true score
    is unknown: score_error, bias2 and variance are NaN in simulation.

    Args:
        X: real samples, shape (N, d). `standardise(X)` centres and scales them.

    Raises:
        ValueError: not a finite matrix of at least two rows, or all columns constant.
        TypeError: a traced X (no derivative in X exists).
    """

    X: Float[Array, "N d"]
    eigenvalues: Float[Array, " d"]
    weights: Float[Array, " d"]

    def __init__(self, X: Any):
        self.X = sample_matrix(X)
        self.eigenvalues = covariance_eigenvalues(self.X)
        d = self.X.shape[1]
        self.weights = np.full(d, 1 / d, dtype=self.eigenvalues.dtype)

    def domain(self):
        xp = jnp if is_traced(self.eigenvalues) else np
        return [(xp.all(finite(self.eigenvalues)), "the samples' covariance must be finite.")]

    def dimension(self, d):
        own = self.X.shape[1]
        if d is not None and d != own:
            raise ValueError(
                f"the samples have d = {own} columns, simulate was asked for d = {d}: "
                "leave d out."
            )
        return own

    def counts(self, d):
        return None

    def at(self, d):
        return PointSampler(self.X)

    def knows_score(self):
        return False


def standardise(X: Any) -> np.ndarray:
    """X centred, and scaled to mean variance 1 (one factor for all columns).

    Args:
        X: samples, shape (N, d). Constant columns are legal and become 0.

    Raises:
        ValueError: not a finite matrix of at least two rows, or all columns constant.
    """
    X = sample_matrix(X, check_mean=False)
    X = X - X.mean(axis=0)
    return X / np.sqrt(np.mean(X**2))


def largest_remainder(weights: np.ndarray, d: int) -> tuple[int, ...]:
    """d coordinates shared out by `weights`: floors first, then the largest remainders."""
    exact = weights / weights.sum() * d
    # The tolerance keeps 0.3 * 10 = 2.9999999999999996 from losing a whole coordinate.
    counts = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: d - counts.sum()]] += 1
    return tuple(int(c) for c in counts)


def sample_matrix(X: Any, check_mean: bool = True) -> np.ndarray:
    """X as a checked float matrix on the host; see `Samples` for what is refused."""
    if is_traced(X):
        raise TypeError("samples must be concrete: there is no derivative in X.")
    try:
        X = np.asarray(X).astype(jnp.result_type(float))
    except (TypeError, ValueError):
        raise TypeError("X must be a numeric matrix of shape (points, d).") from None
    if X.ndim != 2 or X.shape[1] < 1:
        raise ValueError(f"X must be a matrix of shape (points, d), got shape {X.shape}.")
    if X.shape[0] < 2:
        raise ValueError(f"X must have at least two rows (points), got {X.shape[0]}.")
    if not np.all(np.isfinite(X)):
        raise ValueError(
            f"X has {np.sum(~np.isfinite(X))} entries that are NaN or infinite: "
            "drop or fill those rows first."
        )
    if np.all(X == X[:1]):
        raise ValueError("all columns of X are constant: there is nothing to learn.")
    if check_mean:
        mean2 = np.sum(X.mean(axis=0) ** 2)
        if mean2 > MEAN_TOLERANCE * np.mean(np.sum(X**2, axis=1)):
            warnings.warn(
                f"the mean of X is not small (|mean|² = {mean2:.3g}), and the theory is "
                "for centred data: pass rfdsm.standardise(X).",
                stacklevel=4,
            )
    return X


def covariance_eigenvalues(X: np.ndarray) -> np.ndarray:
    """Eigenvalues of XᵀX/N, clipped at 0, in ascending order, shape (d,)."""
    return np.clip(np.linalg.eigvalsh(X.T @ X / X.shape[0]), 0, None)
