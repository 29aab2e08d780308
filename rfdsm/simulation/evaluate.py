"""Errors of a trained network, measured on draws that it has not seen."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.promotion import cast
from .experiment import Draw
from .network import Network


class Measured(NamedTuple):
    """The errors of one network; the first four as of `Errors`.

    Attributes:
        deviation: s - s* at the test points that trials share, shape (points, d), of the
            score that the output implies.
    """

    score_error: Float[Array, ""]
    test_loss: Float[Array, ""]
    train_loss: Float[Array, ""]
    memorization_loss: Float[Array, ""]
    deviation: Float[Array, "points d"]


def measured(
    network: Network, train_loss: Float[Array, ""], drawn: Draw, sampler: Any
) -> Measured:
    """The errors of a network, trained to this loss, on what was drawn for it."""
    dtype = drawn.y.dtype  # of all that is measured on; their means are those of the losses
    read = network.read(drawn.keys(), drawn.y, drawn.points)
    scores = network.implied(read, drawn.y)
    sampler, denoising = cast((sampler, network.denoising), dtype)
    deviations = scores - sampler.score(drawn.y, denoising.noising)
    tests, own = drawn.tests, drawn.tests + drawn.memories
    residuals = denoising.scale * read[:own] - drawn.targets

    def mean_square(errors):
        return jnp.mean(errors**2, dtype=train_loss.dtype)

    return Measured(
        score_error=mean_square(deviations[:tests]),
        test_loss=mean_square(residuals[:tests]),
        train_loss=train_loss,
        memorization_loss=mean_square(residuals[tests:]) if drawn.memories else train_loss,
        deviation=deviations[own:],
    )


def bias2(deviations: Float[Array, "trials points d"]) -> Float[Array, " trials"]:
    r"""1/(T-1) Σ_{j≠i} E_y (s_i - s*)·(s_j - s*)/d for each trial i, unbiased; NaN at T = 1."""
    trials, _, d = deviations.shape
    if trials == 1:
        return jnp.full(1, jnp.nan, deviations.dtype)
    others = jnp.sum(deviations, axis=0)[None] - deviations
    return jnp.mean(jnp.sum(deviations * others, -1), -1) / (d * (trials - 1))
