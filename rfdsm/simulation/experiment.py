"""What is simulated, a model's ingredients at integer sizes, and what a trial draws of it."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._numerics.memory import require_memory
from ..errors import Sizes
from ..ingredients.processes import Noising
from ..ingredients.targets import Denoising
from ..parameters.checks import is_traced, positive_integer
from .blocks import BLOCK_ROWS, noised
from .features import AbstractFeatures, GaussianFeatures, NetworkFeatures, row_keys

FEATURES = ("network", "gaussian")
# A point measures |.|²/d with a relative error √(2/d), and the errors of two trials differ by
# O(1/d): 8 d points measure to half of that, so that averages are limited by the trials.
POINTS_PER_DIMENSION = 8
SHARED_AT_LEAST = 1024  # test points shared by the trials, for bias2


class Draw(NamedTuple):
    """What a trial draws.

    Attributes:
        features: of its network. x: the training points; key: of their noises.
        y: noised points to measure on, shape (rows, d): `tests` copies of points left out,
            `memories` of training points (at m = ∞ none), then what all trials share.
        targets: τ of the first two kinds. keys: of what features draw at each y.
        points: the numbers of the training points in y, -1 of others.
    """

    features: AbstractFeatures
    x: Float[Array, "n d"]
    key: Array
    y: Float[Array, "rows d"]
    targets: Float[Array, "own d"]
    keys: Array
    points: Int[Array, " rows"]
    tests: int
    memories: int


class Experiment(eqx.Module):
    """What is simulated: the ingredients, and what is static of a run.

    Attributes:
        denoising: what the output is fitted to, at y = a x + √h z.
        activation, sampler, training: ingredients; all numbers may be traced.
        sigma_x2: the mean variance of the data.
        sizes: the integers; features: "network" or "gaussian".
    """

    denoising: Denoising
    activation: Any
    sampler: Any
    training: Any
    sigma_x2: Any
    sizes: Sizes = eqx.field(static=True)
    features: str = eqx.field(static=True)

    @property
    def noising(self) -> Noising:
        """y = a x + √h z."""
        return self.denoising.noising

    @property
    def rate(self) -> Float[Array, ""]:
        """κ = 2w²/ψ_p."""
        return self.denoising.rate(self.sizes.psi_p)

    def shared_points(self, key: Array) -> Float[Array, "points d"] | None:
        """Noised test points y for bias2, with exactly the right second moment per coordinate.

        Their own fluctuation is not averaged over trials. The mean learned score is -κ_σ y to
        leading order, diagonal in these coordinates (docs/theory.md section 4), and of such
        scores the rescaled points measure every squared difference exactly. None where the law
        of the data is unknown.
        """
        right = self.sampler.noised_variances(self.noising)
        if right is None:
            return None
        of_data, of_noise = jax.random.split(key)
        points = max(SHARED_AT_LEAST, POINTS_PER_DIMENSION * self.sizes.d)
        y, _ = self.noising(of_noise, self.sampler.split(of_data, 0, points)[1])
        return y * jnp.sqrt(right / jnp.mean(y * y, axis=0))[None, :]

    def draw(self, key: Array, shared: Float[Array, "points d"] | None = None) -> Draw:
        """What one trial draws, beside the test points that all share."""
        sizes, enough = self.sizes, POINTS_PER_DIMENSION * self.sizes.d
        of_W, of_data, of_noise, of_test, of_memory = jax.random.split(key, 5)
        W = jax.random.normal(of_W, (sizes.p, sizes.d), self.noising.h.dtype)
        x, others = self.sampler.split(of_data, sizes.n, self.sampler.tests(sizes.n, enough))
        times = 0 if math.isinf(sizes.m) else -(-enough // sizes.n)  # of each training point
        test, of_tests = noised(of_test, others, self.denoising)
        memory, of_memories = noised(of_memory, jnp.tile(x, (times, 1)), self.denoising)
        shared = test[:0] if shared is None else shared
        y = test, memory, shared
        of_y = (jax.random.fold_in(each, 0) for each in (of_test, of_memory, key))
        unseen = jnp.full(len(test), -1), jnp.full(len(shared), -1)
        points = unseen[0], jnp.tile(jnp.arange(sizes.n), times), unseen[1]
        return Draw(
            self._features(jax.random.fold_in(of_W, 0), W),
            x,
            of_noise,
            jnp.concatenate(y),
            jnp.concatenate([of_tests, of_memories]),
            jnp.concatenate([row_keys(k, len(rows)) for k, rows in zip(of_y, y, strict=True)]),
            jnp.concatenate(points),
            len(test),
            len(memory),
        )

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
    target: Any,
    activation: Any,
    data: Any,
    training: Any,
    ensemble: Any,
    features: str = "network",
) -> Experiment:
    """The experiment that networks of dimension d realise, as `RFDSM.simulate` takes them.

    Raises:
        ValueError: sizes that are traced, too small or not integers; too few samples; other
            features.
        MemoryError: sizes whose matrices would not fit.
    """
    if features not in FEATURES:
        raise ValueError(f"features must be one of {', '.join(FEATURES)}, got {features!r}.")
    sizes = _sizes(d, psi_n, psi_p, m, data)
    sampler = data.at(sizes.d)
    sampler.require(sizes.n)
    law = data.law()
    weights = law.weights if sizes.counts is None else np.asarray(sizes.counts) / sizes.d
    sigma_x2 = jnp.sum(weights * law.eigenvalues)
    denoising = target.denoising(process)
    dtype = denoising.noising.h.dtype  # of its whole numbers as well
    denoising = jax.tree.map(lambda number: jnp.asarray(number, dtype), denoising)
    return Experiment(denoising, activation, sampler, training, sigma_x2, sizes, features)


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
    _require_memory(d, n, p, m)
    return Sizes(d, n, p, m, data.counts(d))


def matrices(d: int, n: int, p: int, m: float) -> float:
    """How many numbers the matrices of a network hold, at the least."""
    width = min(p, n * m)  # of the smaller normal matrix, beside which is its factor
    points = (n + 2 * POINTS_PER_DIMENSION * d) * d
    return 2 * width**2 + p * (min(n * m, BLOCK_ROWS) + 2 * d) + points


def _require_memory(d: int, n: int, p: int, m: float) -> None:
    """Refuse a network whose matrices would not fit."""
    require_memory(
        matrices(d, n, p, m) * jnp.result_type(float).itemsize,
        f"a network of d = {d:.8g}, n = {n:.8g}, p = {p:.8g} needs",
        "take a smaller d, psi_n or psi_p",
    )
