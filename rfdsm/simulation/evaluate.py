"""Errors of a trained network, measured on draws that it has not seen.

A point measures |.|²/d with a relative error √(2/d), and the errors of two trials differ by
O(1/d): 8 d points measure to half of that, so that averages are limited by the trials.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.linalg import product
from .blocks import BLOCK_ROWS, noised

POINTS_PER_DIMENSION = 8
SHARED_AT_LEAST = 1024  # test points shared by the trials, for bias2


def score(features, B, key, y: Float[Array, "rows d"], points=None) -> Float[Array, "rows d"]:
    """s_A(y) = B f(y), a block of rows at a time; arguments as of `features.of`."""

    def one(row):
        number, y, point = row
        known = None if points is None else point[None]
        f = features.of(jax.random.fold_in(key, number), y[None], known)
        return product(B, f)[:, 0]

    numbers = jnp.arange(len(y))
    rows = numbers, y, numbers if points is None else points
    return jax.lax.map(one, rows, batch_size=BLOCK_ROWS)


def losses(
    key, features, B, sampler, x, a, h, points=None
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(score_error, loss) over the points x with one fresh noise each.

    score_error = E|s - ∇log P_t(y)|²/d and the loss E|√h s + z|²/d, which is test_loss on
    points left out and memorization_loss on training points, of the numbers `points`.
    """
    y, z = noised(key, x, a, h)
    s = score(features, B, jax.random.fold_in(key, 0), y, points)
    score_error = jnp.mean((s - sampler.score(y, a, h)) ** 2)
    return score_error, jnp.mean((jnp.sqrt(h) * s + z) ** 2)


def shared_points(key, sampler, points: int, a, h) -> Float[Array, "points d"]:
    """Noised test points y for bias2, with exactly the right second moment per coordinate.

    Their own fluctuation is not averaged over trials. The mean learned score is -κ_σ y to
    leading order, diagonal in these coordinates (docs/theory.md section 4), and of such scores
    the rescaled points measure every squared difference exactly.
    """
    of_data, of_noise = jax.random.split(key)
    _, x = sampler.split(of_data, 0, points)
    y, _ = noised(of_noise, x, a, h)
    right = sampler.noised_variances(a, h)
    return y * jnp.sqrt(right / jnp.mean(y * y, axis=0))[None, :]


def bias2(deviations: Float[Array, "trials points d"]) -> Float[Array, " trials"]:
    r"""1/(T-1) Σ_{j≠i} E_y (s_i - s*)·(s_j - s*)/d for each trial i, unbiased; NaN at T = 1."""
    trials, _, d = deviations.shape
    if trials == 1:
        return jnp.full(1, jnp.nan, deviations.dtype)
    others = jnp.sum(deviations, axis=0)[None] - deviations
    return jnp.mean(jnp.sum(deviations * others, -1), -1) / (d * (trials - 1))
