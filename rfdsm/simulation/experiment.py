"""What is simulated: a model's ingredients at integer sizes."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..errors import Sizes
from ..parameters.checks import is_traced, positive_integer

FEATURES = ("network", "gaussian")


class Experiment(eqx.Module):
    """What is simulated: the ingredients, and what is static of a run.

    Attributes:
        process, activation, sampler, training: ingredients; their numbers may be traced.
        sigma_x2: the mean variance of the data.
        sizes: the integers; features: "network" or "gaussian".
    """

    process: Any
    activation: Any
    sampler: Any
    training: Any
    sigma_x2: Any
    sizes: Sizes = eqx.field(static=True)
    features: str = eqx.field(static=True)


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
    return Experiment(process, activation, sampler, training, sigma_x2, sizes, features)


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
