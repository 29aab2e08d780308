"""Errors of a trained network, measured on draws that it has not seen.

A point measures |.|²/d with a relative error √(2/d), and the errors of two trials differ by
O(1/d): 8 d points measure to half of that, so that averages are limited by the trials.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..ingredients.processes import Noising
from .experiment import POINTS_PER_DIMENSION, Draw, Experiment
from .network import Network

SHARED_AT_LEAST = 1024  # test points shared by the trials, for bias2


class Measured(NamedTuple):
    """The errors of one network.

    Attributes:
        score_error, test_loss, train_loss, memorization_loss: as of `Errors`.
        deviation: s - s* at the shared test points, shape (points, d).
    """

    score_error: Float[Array, ""]
    test_loss: Float[Array, ""]
    train_loss: Float[Array, ""]
    memorization_loss: Float[Array, ""]
    deviation: Float[Array, "points d"]


def measured(
    network: Network, train_loss: Any, drawn: Draw, experiment: Experiment, shared: Any
) -> Measured:
    """The errors of a network on what was drawn for it.

    Args:
        network, train_loss: as trained. drawn: the trial's draws. experiment: of which it is.
        shared: the points of `shared_points`; None: no deviation is asked for.
    """
    sizes, sampler = experiment.sizes, experiment.sampler
    score_error, test_loss = losses(drawn.of_test, network, sampler, drawn.x_test)
    memory = train_loss
    if not math.isinf(sizes.m):
        times = -(-POINTS_PER_DIMENSION * sizes.d // sizes.n)
        again = jnp.resize(jnp.arange(sizes.n), times * sizes.n)
        _, memory = losses(drawn.of_memory, network, sampler, drawn.x[again], again)
    deviation = jnp.zeros((0, sizes.d), test_loss.dtype)
    if shared is not None:
        s = network.score(drawn.of_shared, shared)
        deviation = s - sampler.score(shared, network.noising)
    return Measured(score_error, test_loss, train_loss, memory, deviation)


def losses(
    key: Array, network: Network, sampler: Any, x: Float[Array, "rows d"], points: Any = None
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(score_error, loss) over the points x with one fresh noise each.

    score_error = E|s - ∇log P_t(y)|²/d and the loss E|√h s + z|²/d, which is test_loss on
    points left out and memorization_loss on training points, of the numbers `points`.
    """
    noising = network.noising
    y, z = noising(key, x)
    s = network.score(jax.random.fold_in(key, 0), y, points)
    score_error = jnp.mean((s - sampler.score(y, noising)) ** 2)
    return score_error, jnp.mean((jnp.sqrt(noising.h) * s + z) ** 2)


def shared_points(key: Array, sampler: Any, d: int, noising: Noising) -> Any:
    """Noised test points y for bias2, with exactly the right second moment per coordinate.

    Their own fluctuation is not averaged over trials. The mean learned score is -κ_σ y to
    leading order, diagonal in these coordinates (docs/theory.md section 4), and of such scores
    the rescaled points measure every squared difference exactly. None where the law of the
    data is unknown.
    """
    right = sampler.noised_variances(noising)
    if right is None:
        return None
    of_data, of_noise = jax.random.split(key)
    _, x = sampler.split(of_data, 0, max(SHARED_AT_LEAST, POINTS_PER_DIMENSION * d))
    y, _ = noising(of_noise, x)
    return y * jnp.sqrt(right / jnp.mean(y * y, axis=0))[None, :]


def bias2(deviations: Float[Array, "trials points d"]) -> Float[Array, " trials"]:
    r"""1/(T-1) Σ_{j≠i} E_y (s_i - s*)·(s_j - s*)/d for each trial i, unbiased; NaN at T = 1."""
    trials, _, d = deviations.shape
    if trials == 1:
        return jnp.full(1, jnp.nan, deviations.dtype)
    others = jnp.sum(deviations, axis=0)[None] - deviations
    return jnp.mean(jnp.sum(deviations * others, -1), -1) / (d * (trials - 1))
