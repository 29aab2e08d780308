"""Losses of scores that need no network, on a law of the data."""

from typing import Any

import jax.numpy as jnp

from ...errors import Baselines, nan_explained
from .base import AbstractData


@nan_explained
def baselines(process: Any, data: AbstractData) -> Baselines:
    """The losses to hold errors against, for a process that noises the data."""
    noising, law = process.noising(), data.law()
    h, noised = noising.h, noising.variances(law.eigenvalues)
    isotropic = 1 - h / jnp.sum(law.weights * noised)
    linear = 1 - h * jnp.sum(law.weights / noised)
    best = linear if data.knows_score() else jnp.full_like(linear, jnp.nan)
    return Baselines(jnp.ones_like(linear), isotropic, linear, best)
