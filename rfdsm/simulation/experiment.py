"""What is simulated, a model's ingredients at integer sizes, and what a trial draws of it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._numerics.memory import require_memory
from .._numerics.promotion import cast
from ..errors import Sizes
from ..ingredients.processes import Noising
from ..ingredients.sharing import Shared
from ..ingredients.targets import Denoising
from ..parameters.checks import is_traced, positive_integer
from .blocks import BLOCK_ROWS, noised, normal
from .features import AbstractFeatures, GaussianFeatures, NetworkFeatures, row_keys

FEATURES = ("network", "gaussian")
PRECISIONS = ("float64", "mixed")
# A point measures |.|²/d with a relative error √(2/d), and the errors of two trials differ by
# O(1/d): 8 d points measure to half of that, so that averages are limited by the trials.
POINTS_PER_DIMENSION = 8
SHARED_AT_LEAST = 1024  # test points shared by the trials, for bias2


class Copy(NamedTuple):
    """Which of a trial's draws of W, training points and noises a network takes.

    The numbers 0 are those of a single network; they may be traced.
    """

    features: Any = 0
    points: Any = 0
    noises: Any = 0

    @classmethod
    def of(cls, shared: Shared, number: int) -> "Copy":
        """That of network `number`, which shares this with all others."""
        return cls(*(0 if held else number for held in shared))


FIRST = Copy()


class Draw(NamedTuple):
    """What a trial draws.

    Attributes:
        sources: keys of W, data, noises, noises of tests and at training points, of each copy,
            shape (copies, 5). key: of the trial.
        x: the sets of training points, of which no two have one in common.
        y: noised points to measure on, shape (rows, d): `tests` copies of points left out,
            `memories` of the first set's training points, then what all trials share.
        targets: τ of the first two kinds.
        points: the numbers of the training points in y, -1 of others.
    """

    sources: Array
    key: Array
    x: Sequence[Float[Array, "n d"]]
    y: Float[Array, "rows d"]
    targets: Float[Array, "own d"]
    points: Int[Array, " rows"]
    tests: int
    memories: int

    def keys(self, copy: Any = 0) -> Array:
        """Of what the features of this copy of W draw at each y."""
        own = self.tests + self.memories
        rows = self.tests, self.memories, len(self.y) - own
        of_y = self.sources[0, 3], self.sources[0, 4], self.key
        of_y = (jax.random.fold_in(each, copy) for each in of_y)
        return jnp.concatenate([row_keys(*each) for each in zip(of_y, rows, strict=True)])


class Experiment(eqx.Module):
    """What is simulated: the ingredients, and what is static of a run.

    Attributes:
        denoising: what the output is fitted to, at y = a x + √h z.
        activation, sampler, training: ingredients; all numbers may be traced.
        sigma_x2: the mean variance of the data.
        sizes: the integers; features: "network" or "gaussian".
        dual: whether networks are fitted in the form of their pairs; it draws all at once.
        mixed: whether points and features are in single precision; draws are the same.
        ensemble: of networks that are averaged; networks: how many.
    """

    denoising: Denoising
    activation: Any
    sampler: Any
    training: Any
    sigma_x2: Any
    ensemble: Any
    sizes: Sizes = eqx.field(static=True)
    features: str = eqx.field(static=True)
    dual: bool = eqx.field(static=True)
    networks: int = eqx.field(static=True)
    mixed: bool = eqx.field(static=True, default=False)

    @property
    def dtype(self) -> Any:
        """Of points and features."""
        return jnp.dtype(jnp.float32) if self.mixed else self.noising.h.dtype

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
        return (y * jnp.sqrt(right / jnp.mean(y * y, axis=0))[None, :]).astype(self.dtype)

    def draw(
        self,
        key: Array,
        shared: Float[Array, "points d"] | None = None,
        *,
        sets: Sequence[int] | None = None,
        copies: int | None = None,
        memories: bool | None = None,
    ) -> Draw:
        """What one trial draws, beside the test points that all share; for the ensemble.

        Args:
            sets: sizes of the sets of training points. copies: of the draws of W and noises.
            memories: whether to measure at training points. None: as the ensemble needs; a
                single network's loss there is known exactly at m = ∞.
        """
        sizes, enough = self.sizes, POINTS_PER_DIMENSION * self.sizes.d
        one_set = self.ensemble.shared.points
        if sets is None:
            sets = (sizes.n,) * (1 if one_set else self.networks)
        if memories is None:
            memories = one_set and (self.networks > 1 or math.isfinite(sizes.m))
        sources = _sources(key, self.networks if copies is None else copies)
        _, of_data, _, of_test, of_memory = sources[0]
        tests = self.sampler.tests(sum(sets), enough)
        x, others = cast(self.sampler.disjoint(of_data, sets, tests), self.dtype)
        times = -(-enough // sizes.n) if memories else 0  # of each training point
        test, of_tests = noised(of_test, others, self.denoising)
        memory, of_memories = noised(of_memory, jnp.tile(x[0], (times, 1)), self.denoising)
        shared = test[:0] if shared is None else shared
        unseen = jnp.full(len(test), -1), jnp.full(len(shared), -1)
        points = unseen[0], jnp.tile(jnp.arange(sizes.n), times), unseen[1]
        return Draw(
            sources,
            key,
            x,
            jnp.concatenate([test, memory, shared]),
            jnp.concatenate([of_tests, of_memories]),
            jnp.concatenate(points),
            len(test),
            len(memory),
        )

    def network(
        self, drawn: Draw, copy: Copy = FIRST
    ) -> tuple[AbstractFeatures, Float[Array, "n d"], Array]:
        """(features, training points, key of their noises) of one of a trial's networks."""
        of_W, of_noise = drawn.sources[copy.features, 0], drawn.sources[copy.noises, 2]
        W = self._normal(of_W, (self.sizes.p, self.sizes.d))
        features = self._features(jax.random.fold_in(of_W, copy.points), W)
        return features, drawn.x[copy.points], of_noise

    def _features(self, key, W) -> AbstractFeatures:
        if self.features == "network":
            return NetworkFeatures(self.activation, W)
        shared = self.noising.a**2 * self.sigma_x2
        constants = self.activation.constants(shared, self.noising.h)
        v, s = jnp.sqrt(constants.v2), jnp.sqrt(constants.s2)
        of_points = self._normal(key, (self.sizes.n, self.sizes.p))
        return GaussianFeatures(W, constants.b, v, s, of_points)

    def _normal(self, key, shape):
        return normal(key, shape, self.dtype, self.noising.h.dtype)


def _sources(key: Array, copies: int) -> Array:
    """Five keys for each copy, whose own do not depend on how many there are."""
    first = jax.random.split(key, 5)[None]
    if copies == 1:
        return first
    # fold_in's first five are those of the split.
    others = jax.vmap(lambda k: jax.random.split(jax.random.fold_in(key, 4 + k), 5))
    return jnp.concatenate([first, others(jnp.arange(1, copies))])


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
    precision: str = "float64",
) -> Experiment:
    """The experiment that networks of dimension d realise, as `RFDSM.simulate` takes them.

    Raises:
        ValueError: sizes or networks that are traced, too small or not integers; too few
            samples; other features; another precision, or mixed of float32 numbers.
        MemoryError: sizes whose matrices would not fit.
    """
    if features not in FEATURES:
        raise ValueError(f"features must be one of {', '.join(FEATURES)}, got {features!r}.")
    if precision not in PRECISIONS:
        names = " or ".join(map(repr, PRECISIONS))
        raise ValueError(f"precision must be {names}, got {precision!r}.")
    networks = _networks(ensemble)
    sets = 1 if ensemble.shared.points else networks
    sizes = _sizes(d, psi_n, psi_p, m, data)
    require_memory_of(sizes, networks, sets)
    sampler = data.at(sizes.d)
    sampler.require_disjoint((sizes.n,) * sets)
    law = data.law()
    weights = law.weights if sizes.counts is None else np.asarray(sizes.counts) / sizes.d
    sigma_x2 = jnp.sum(weights * law.eigenvalues)
    denoising = target.denoising(process)
    dtype = denoising.noising.h.dtype  # of its whole numbers as well
    denoising = jax.tree.map(lambda number: jnp.asarray(number, dtype), denoising)
    mixed = precision == "mixed"
    if mixed and dtype != jnp.float64:
        raise ValueError(
            f"precision='mixed' adds up in float64, and the model's numbers are {dtype}: "
            "jax.config.update('jax_enable_x64', True) before it is made."
        )
    dual = sizes.n * sizes.m < sizes.p
    kinds = denoising, activation, sampler, training, sigma_x2, ensemble
    return Experiment(*kinds, sizes, features, dual, networks, mixed)


def _networks(ensemble) -> int:
    """How many networks an ensemble trains."""
    if is_traced(ensemble.networks):
        raise ValueError("simulate needs concrete networks: build the model outside of jit.")
    networks = float(ensemble.networks)
    if not math.isfinite(networks) or networks != round(networks):
        raise ValueError(
            f"simulate trains an integer number of networks, got {networks:g}: "
            "theory alone averages any number >= 1."
        )
    return int(networks)


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


def matrices(d: int, n: int, p: int, m: float, networks: int = 1, sets: int = 1) -> float:
    """How many numbers the matrices of networks that are averaged hold, at the least.

    They are trained one after the other, on so many sets of points.
    """
    width = min(p, n * m)  # of the smaller normal matrix, beside which is its factor
    points = (sets * n + 2 * POINTS_PER_DIMENSION * d) * d
    return 2 * width**2 + networks * p * (min(n * m, BLOCK_ROWS) + 2 * d) + points


def require_memory_of(sizes: Sizes, networks: int = 1, sets: int = 1, more: float = 0) -> None:
    """Refuse networks whose matrices, and so many numbers more, would not fit."""
    d, n, p = sizes.d, sizes.n, sizes.p
    numbers = matrices(d, n, p, sizes.m, networks, sets) + more
    who, fewer = ("a network", "") if networks == 1 else (f"{networks} networks", ", or fewer")
    require_memory(
        numbers * jnp.result_type(float).itemsize,
        f"{who} of d = {d:.8g}, n = {n:.8g}, p = {p:.8g} need{'s' * (networks == 1)}",
        f"take a smaller d, psi_n or psi_p{fewer}",
    )
