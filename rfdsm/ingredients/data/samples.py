"""Real points as the law of the data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...parameters.checks import finite, is_traced
from .base import AbstractData, AbstractSampler
from .points import covariance_eigenvalues, sample_matrix

TEST_POINTS = 4096  # of the points left out, this many are enough for any measurement


class PointSampler(AbstractSampler):
    """Given points: training points without replacement, test points from the rest."""

    X: Float[Array, "N d"]

    def require(self, n):
        points, d = self.X.shape
        if points < n + 1:
            raise ValueError(
                f"{n} training points of {points} leave none to test networks on: lower psi_n "
                f"below {points / d:.4g}, n below {points}; theory alone takes all."
            )

    def require_disjoint(self, sizes):
        points, d = self.X.shape
        if len(sizes) == 1:
            self.require(*sizes)
        elif points < sum(sizes) + 1:
            raise ValueError(
                f"{len(sizes)} disjoint training sets take {sum(sizes)} points of {points} and "
                f"leave none to test on: lower psi_n below {points / d / len(sizes):.4g}."
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

    def disjoint(self, key, sizes, tests):
        x, left_out = self.split(key, sum(sizes), tests)
        return jnp.split(x, np.cumsum(sizes)[:-1]), left_out

    def score(self, y, noising):
        return jnp.full_like(y, jnp.nan)

    def noised_variances(self, noising):
        return None


class Samples(AbstractData):
    r"""Real points X, used as given: simulation trains on them and tests on those left out.

    The n training points are drawn from X without replacement, the test points from the
    rest. Theory takes the Gaussian law of the same covariance XᵀX/N, which has the right
    shape and can be 2 to 20 % off in value on images (docs/theory.md section 10). The true
    score is unknown: score_error, bias2 and variance are NaN in simulation.

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
