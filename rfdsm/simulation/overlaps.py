r"""Overlaps of a trial's networks, (1/d) E o_1·o_2 of their outputs.

What networks share is the same numbers, of the same keys. Fresh test points are the same for
all. At training points both see one draw of fresh noise, of 8 d points at least as on fresh
data. At m = ∞ too, where these are the pairs: there the exact average would take Mehler's
series of every feature of the one network with every feature of the other.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._numerics.derivatives import unknown
from .._numerics.linalg import product
from ..errors import nan_explained
from ..ingredients.sharing import Shared
from ..overlaps import Overlap, VarianceParts
from ..parameters.checks import positive_integer
from .cost import require_budget, require_digits
from .ensembles import each, one
from .experiment import (
    FIRST,
    POINTS_PER_DIMENSION,
    Copy,
    Draw,
    Experiment,
    require_memory_of,
)
from .gram import over_pairs, pairs
from .network import Network
from .trial import over_trials, require_stable

# Two draws of W, each on three training sets: the first points, these with other noises, other
# points. Every two of the six networks share something, and those that share the same measure
# the same overlap.
SIX = tuple(Copy(W, *data) for W in (0, 1) for data in ((0, 0), (0, 1), (1, 2)))


@nan_explained
def overlap(
    key: Array,
    ours: Experiment,
    theirs: Experiment,
    shared: Shared,
    trials: int,
    memory: float | None = None,
) -> Overlap:
    """What `RFDSM.simulate` returns of two networks; training times, if many, come first.

    Raises:
        ValueError: as `simulate`; samples too few for two disjoint training sets.
    """
    trials = positive_integer(trials, "trials")
    sets = _sets(ours, theirs, shared)
    ours.sampler.require_disjoint(sets)
    wider = max(ours.sizes, theirs.sizes, key=lambda sizes: sizes.p)
    require_memory_of(wider, 2, len(sets))
    for network in ours, theirs:
        require_budget(network, 1, memory)
        require_digits(network)
    if shared.noises:  # drawn by blocks of pairs, which then both must have in common
        dual = ours.dual or theirs.dual
        ours, theirs = (dataclasses.replace(each, dual=dual) for each in (ours, theirs))
    found, largest = _overlap(key, ours, theirs, shared, trials)
    require_stable(ours, largest[0])
    require_stable(theirs, largest[1])
    return found


@nan_explained
def variance_parts(
    key: Array,
    experiment: Experiment,
    trials: int,
    memory: float | None = None,
    *,
    output: bool = False,
) -> VarianceParts:
    """What `RFDSM.simulate_parts` returns; training times, if many, come first.

    Raises:
        ValueError: as `simulate`; samples too few for two disjoint training sets.
    """
    trials = positive_integer(trials, "trials")
    sizes = experiment.sizes
    experiment.sampler.require_disjoint((sizes.n,) * 2)
    require_memory_of(sizes, 1, 2, more=len(SIX) * POINTS_PER_DIMENSION * sizes.d**2)
    require_budget(experiment, 1, memory)
    require_digits(experiment)
    found, largest = _parts(key, experiment, trials, output)
    require_stable(experiment, largest)
    return found


def _sets(ours: Experiment, theirs: Experiment, shared: Shared) -> tuple[int, ...]:
    """The sizes of the training sets of two networks."""
    sizes = ours.sizes.n, theirs.sizes.n
    return sizes[:1] if shared.points else sizes


@partial(jax.jit, static_argnames=("shared", "trials"))
def _overlap(key, ours, theirs, shared, trials) -> tuple[Overlap, Any]:
    copies = FIRST, Copy.of(shared, 1)

    def trial(key):
        sets = _sets(ours, theirs, shared)
        drawn = ours.draw(key, sets=sets, copies=2, memories=shared.points)
        both = [one(drawn, *of) for of in zip((ours, theirs), copies, strict=True)]
        features = [trained.network.features for trained in both]

        def at(read_outs):
            networks = [
                Network(f, B, ours.denoising) for f, B in zip(features, read_outs, strict=True)
            ]
            return _compared(networks, copies[1].features, drawn, ours, shared)

        B = [trained.network.B for trained in both]
        found = at(B) if B[0].ndim == 2 else jax.lax.map(at, B)
        return found, [trained.largest for trained in both]

    found, largest = over_trials(trial, key, ours, trials, 2)
    return _trials_last(found), largest


def _compared(
    networks: Sequence[Network], copy: int, drawn: Draw, experiment: Experiment, shared: Shared
) -> Overlap:
    """The overlap of two networks, the second with this copy of W, on what was drawn."""
    tests, denoising, m = drawn.tests, experiment.denoising, experiment.sizes.m
    dtype = networks[0].B.dtype
    both = tuple(zip(networks, (0, copy), strict=True))
    left, right = (
        denoising.scale * network.read(drawn.keys(copy), drawn.y, drawn.points).astype(dtype)
        for network, copy in both
    )

    def of_pairs(start, size):
        about = drawn.x[0], start, size, denoising
        key = drawn.sources[0, 2]
        fs = (pairs(key, network.features, *about, copy)[0] for network, copy in both)
        left, right = (
            product(network.B.astype(f.dtype), f)
            for network, f in zip(networks, fs, strict=True)
        )
        return denoising.power * jnp.sum(left * right, dtype=dtype)

    fresh = jnp.mean(left[:tests] * right[:tests])
    own = jnp.mean(left[:tests] ** 2) * jnp.mean(right[:tests] ** 2)
    training = jnp.mean(left[tests:] * right[tests:]) if shared.points else unknown(fresh)
    at_pairs = training if shared.noises else unknown(fresh)
    if shared.noises and math.isfinite(m):
        at_pairs = over_pairs(of_pairs, drawn.x[0], int(m), experiment.dual, dtype)
    return Overlap(fresh, training, at_pairs, fresh / jnp.sqrt(own))


@partial(jax.jit, static_argnames=("trials", "output"))
def _parts(key, experiment, trials, output) -> tuple[VarianceParts, Any]:
    denoising, n = experiment.denoising, experiment.sizes.n
    scale = (lambda part: part) if output else denoising.score_loss
    if not output and experiment.sampler.noised_variances(experiment.noising) is None:
        scale = unknown  # the true score, as all errors of it

    def trial(key):
        drawn = experiment.draw(key, sets=(n, n), copies=3, memories=False)

        def outputs(drawn, copy):
            network, _, largest = one(drawn, experiment, copy)
            keys = drawn.keys(copy.features)

            def at(B):
                network_at = Network(network.features, B, denoising)
                read = network_at.read(keys, drawn.y, drawn.points)
                return denoising.scale * read.astype(B.dtype)

            B = network.B
            return (at(B) if B.ndim == 2 else jax.lax.map(at, B)), largest

        o, largest = each(outputs, drawn, SIX)
        alike: dict[Shared, list[Array]] = {}
        for (first, o_1), (second, o_2) in itertools.combinations_with_replacement(
            zip(SIX, o, strict=True), 2
        ):
            shared = Shared(*(a == b for a, b in zip(first, second, strict=True)))
            alike.setdefault(shared, []).append(jnp.mean(o_1 * o_2, axis=(-2, -1)))
        S = {shared: sum(found) / len(found) for shared, found in alike.items()}
        return VarianceParts.of(S, scale), largest

    found, largest = over_trials(trial, key, experiment, trials, len(SIX))
    return _trials_last(found), largest


def _trials_last(found: Any) -> Any:
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), found)
