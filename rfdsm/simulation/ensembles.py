"""A trial's networks: one, or several that share some of their draws, and their average."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.linalg import product
from .experiment import FIRST, Copy, Draw, Experiment
from .features import AbstractFeatures, first
from .gram import AbstractEquations, Sums, normal_equations, over_pairs, pairs
from .network import Network
from .read_out import Trained, trained


def equations(
    drawn: Draw, experiment: Experiment, copy: Copy = FIRST, sums: Sums | None = None
) -> tuple[AbstractFeatures, AbstractEquations]:
    """The features of one of a trial's networks, and what its read-out solves.

    Args:
        sums: over its pairs, where they are known.
    """
    features, x, key = experiment.network(drawn, copy)
    if sums is not None:
        return features, sums.gram(len(x) * int(experiment.sizes.m))
    about = key, features, x, experiment.sizes.m, experiment.denoising
    return features, normal_equations(*about, dual=experiment.dual, copy=copy.features)


def one(
    drawn: Draw, experiment: Experiment, copy: Copy = FIRST, sums: Sums | None = None
) -> Trained:
    """One of a trial's networks."""
    features, system = equations(drawn, experiment, copy, sums)
    about = experiment.training, experiment.denoising, experiment.rate
    return trained(system, features, *about)


def each(found: Callable[[Draw, Copy], Any], drawn: Draw, copies: Sequence[Copy]) -> Any:
    """`found` of each copy, one after the other, stacked."""
    drawn = drawn._replace(x=jnp.stack(drawn.x))
    return jax.lax.map(lambda copy: found(drawn, Copy(*copy)), jnp.array(copies))


def average(drawn: Draw, experiment: Experiment, sums: Sums | None = None) -> Trained:
    """The average of the ensemble's networks, as one network.

    With one W it has the mean read-out; with their own ones, their features side by side. The
    train loss is NaN where they have no pairs in common, and where it is not read from these:
    at m = ∞, where it is that of training points with fresh noise.
    """
    count, shared = experiment.networks, experiment.ensemble.shared
    if count == 1:
        return one(drawn, experiment, sums=sums)
    copies = [Copy.of(shared, k) for k in range(count)]
    networks, losses, largest = each(
        lambda drawn, copy: one(drawn, experiment, copy), drawn, copies
    )
    features, B = networks.features, networks.B  # (networks, *times, d, p)
    loss = jnp.full_like(losses[0], jnp.nan)
    if shared.noises and math.isfinite(experiment.sizes.m):
        loss = _train_loss(features, jnp.moveaxis(B, 0, -3), drawn, experiment)
    if shared.features:
        features, B = first(features), jnp.mean(B, axis=0)
    else:
        features, B = features.side_by_side(), jnp.concatenate(B / count, axis=-1)
    return Trained(Network(features, B, experiment.denoising), loss, largest)


def _train_loss(
    features, B: Float[Array, "*times networks d p"], drawn: Draw, experiment: Experiment
) -> Float[Array, " *times"]:
    """The loss of the average over the pairs that all networks were trained on."""
    if B.ndim == 4:
        return jax.lax.map(lambda B: _train_loss(features, B, drawn, experiment), B)
    x, key, denoising = drawn.x[0], drawn.sources[0, 2], experiment.denoising

    def squares(start, size):
        def read(network):
            features, B, copy = network
            f, tau = pairs(key, features, x, start, size, denoising, copy)
            return product((denoising.scale * B).astype(f.dtype), f).T, tau

        outputs, tau = jax.lax.map(read, (features, B, jnp.arange(len(B))))
        return jnp.sum((jnp.mean(outputs, axis=0) - tau[0]) ** 2)

    return over_pairs(squares, x, int(experiment.sizes.m), experiment.dual, B.dtype)
