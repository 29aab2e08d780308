"""Losses of scores that need no network, on a law of the data."""

import jax
import jax.numpy as jnp

from ...errors import Baselines, nan_explained
from ...parameters.checks import namespace
from ..targets import Denoising
from .base import AbstractData


@nan_explained
def baselines(denoising: Denoising, data: AbstractData) -> Baselines:
    """The losses to hold errors against, of a target at noised points."""
    noising, law = denoising.noising, data.law()
    xp = namespace(*jax.tree.leaves((denoising, law)))
    noised = noising.variances(law.eigenvalues)
    sigma_x2 = xp.sum(law.weights * law.eigenvalues)
    null = denoising.null(sigma_x2)
    # E τ y in each direction is √h (c_z + c_x (a/√h) σ), and y explains its square over σ_t.
    of_data = denoising.data * (noising.a / xp.sqrt(noising.h))
    along = denoising.noise + of_data * law.eigenvalues
    mean = denoising.noise + of_data * sigma_x2
    isotropic = null - noising.h * mean**2 / xp.sum(law.weights * noised)
    linear = null - noising.h * xp.sum(along**2 * law.weights / noised)
    best = linear if data.knows_score() else jnp.full_like(linear, jnp.nan)
    return Baselines(xp.full_like(linear, null), isotropic, linear, best)
