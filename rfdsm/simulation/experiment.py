"""What is simulated, a model's ingredients at integer sizes, and what a trial draws of it."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..errors import Sizes
from ..ingredients.processes import Noising
from ..ingredients.training import mode_rate
from ..parameters.checks import is_traced, positive_integer
from .features import AbstractFeatures, GaussianFeatures, NetworkFeatures

FEATURES = ("network", "gaussian")
POINTS_PER_DIMENSION = 8  # measure an error, see `evaluate`


class Draw(NamedTuple):
    """The random numbers of a trial.

    Attributes:
        features: those of its network. x, x_test: training points, and others.
        of_noise, of_test, of_memory, of_shared: keys of the noises, and of what features draw.
    """

    features: AbstractFeatures
    x: Float[Array, "n d"]
    x_test: Float[Array, "tests d"]
    of_noise: Array
    of_test: Array
    of_memory: Array
    of_shared: Array


class Experiment(eqx.Module):
    """What is simulated: the ingredients, and what is static of a run.

    Attributes:
        noising: y = a x + √h z.
        activation, sampler, training: ingredients; all numbers may be traced.
        sigma_x2: the mean variance of the data.
        sizes: the integers; features: "network" or "gaussian".
    """

    noising: Noising
    activation: Any
    sampler: Any
    training: Any
    sigma_x2: Any
    sizes: Sizes = eqx.field(static=True)
    features: str = eqx.field(static=True)

    @property
    def rate(self) -> Float[Array, ""]:
        """κ = 2h/ψ_p."""
        return mode_rate(self.noising.h, self.sizes.psi_p)

    def draw(self, key: Array) -> Draw:
        """What one trial draws."""
        sizes, sampler = self.sizes, self.sampler
        of_W, of_data, *of_rest = jax.random.split(key, 5)
        W = jax.random.normal(of_W, (sizes.p, sizes.d), self.noising.h.dtype)
        tests = sampler.tests(sizes.n, POINTS_PER_DIMENSION * sizes.d)
        x, x_test = sampler.split(of_data, sizes.n, tests)
        features = self._features(jax.random.fold_in(of_W, 0), W)
        return Draw(features, x, x_test, *of_rest, jax.random.fold_in(key, 0))

    def _features(self, key, W) -> AbstractFeatures:
        if self.features == "network":
            return NetworkFeatures(self.activation, W)
        shared = self.noising.a**2 * self.sigma_x2
        constants = self.activation.constants(shared, self.noising.h)
        v, s = jnp.sqrt(constants.v2), jnp.sqrt(constants.s2)
        of_points = jax.random.normal(key, (self.sizes.n, self.sizes.p), W.dtype)
        return GaussianFeatures(W, constants.b, v, s, of_points)


def experiment(
    d: int | None,
    *,
    psi_n: Any,
    psi_p: Any,
    m: Any,
    process: Any,
    activation: Any,
    data: Any,
    training: Any,
    features: str = "network",
) -> Experiment:
    """The experiment that networks of dimension d realise, as `RFDSM.simulate` takes them.

    Raises:
        ValueError: sizes that are traced, too small or not integers; too few samples; other
            features.
    """
    if features not in FEATURES:
        raise ValueError(f"features must be one of {', '.join(FEATURES)}, got {features!r}.")
    sizes = _sizes(d, psi_n, psi_p, m, data)
    sampler = data.at(sizes.d)
    sampler.require(sizes.n)
    law = data.law()
    weights = law.weights if sizes.counts is None else np.asarray(sizes.counts) / sizes.d
    sigma_x2 = jnp.sum(weights * law.eigenvalues)
    ingredients = process.noising(), activation, sampler, training
    return Experiment(*ingredients, sigma_x2, sizes, features)


def _sizes(d, psi_n, psi_p, m, data) -> Sizes:
    if is_traced(psi_n, psi_p, m):
        raise ValueError(
            "simulate needs concrete psi_n, psi_p and m, which set shapes: build the model "
            "outside of jit, vmap and grad (key, lam and t may be traced)."
        )
    d = positive_integer(data.dimension(d), "d")
    m = float(m)
    if not m >= 1 or (math.isfinite(m) and m != round(m)):
        raise ValueError(
            f"simulate needs an integer m of at least 1, or infinity, got {m:g}: "
            "theory alone takes any m >= 1."
        )
    n, p = round(float(psi_n) * d), round(float(psi_p) * d)
    for name, ratio, value in (("n", psi_n, n), ("p", psi_p, p)):
        if value < 1:
            raise ValueError(
                f"psi_{name} = {float(ratio):g} at d = {d} leaves no {name}: take a larger d."
            )
    return Sizes(d, n, p, m, data.counts(d))
