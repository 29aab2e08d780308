r"""Second moments of features on data (docs/theory.md section 12), in one stream.

With K noises z_j for a point, f̄ the mean of its features over them, the sums over points

    A = E f̄ f̄^T,    B = E (1/K) Σ_j f_j f_j^T        have    A = S_g + S_s/K in expectation,

because the noises leave S_s/K in f̄. Without that bias, and exactly for K = ∞,

    S_s = (B - A) K/(K-1),    S_g = A - S_s/K,    T = E (1/K) Σ_j f_j z_j^T,    T_x = E f̄ x^T.

A point's noises come from its own key, by its number among the points: results depend neither
on blocks nor on classes. Memory is a few p² and one block of features.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._numerics.linalg import lower_product, product
from ..ingredients.processes import Noising
from .blocks import BLOCK_ROWS
from .features import AbstractFeatures

MIRRORED = 256  # rows at a time


class Sums(eqx.Module):
    """Sums over points; of the square matrices the lower triangles.

    Attributes:
        count: of the points.
        mean_square: Σ f̄ f̄^T, shape (p, p).
        square: Σ (1/K) Σ_j f_j f_j^T, shape (p, p).
        cross: Σ (1/K) Σ_j f_j z_j^T, shape (p, d).
        cross_data: Σ f̄ x^T, shape (p, d).
        square_data: Σ |x|²/d.
    """

    count: Any
    mean_square: Float[Array, "p p"]
    square: Float[Array, "p p"]
    cross: Float[Array, "p d"]
    cross_data: Float[Array, "p d"]
    square_data: Float[Array, ""]

    def moments(self, noises: float) -> dict[str, np.ndarray]:
        """S_g, S_s, T, T_x and X2 by these names, without bias."""
        A, B = (_whole(x, self.count) for x in (self.mean_square, self.square))
        B -= A
        B *= 1 if math.isinf(noises) else noises / (noises - 1)
        if not math.isinf(noises):
            A -= B / noises
        plain = {"T": self.cross, "T_x": self.cross_data, "X2": self.square_data}
        means = {name: np.asarray(x) / float(self.count) for name, x in plain.items()}
        return {"S_g": A, "S_s": B} | means


def _whole(lower: Array, count: float) -> np.ndarray:
    """A sum over points by its lower triangle as the mean over them, with one copy made."""
    S = np.array(lower)
    S /= float(count)
    for start in range(0, len(S), MIRRORED):
        own = slice(start, start + MIRRORED)
        S[own, start:] = np.tril(S[start:, own]).T
        S[own, own] += np.tril(S[own, own].T, -1)
    return S


def sums(
    key: Array,
    features: AbstractFeatures,
    X: np.ndarray,
    points: np.ndarray,
    noising: Noising,
    noises: float,
    advance: Callable[[int], None] = lambda count: None,
    largest: int = 1,
) -> Sums:
    """The sums over some of the points X, in blocks.

    Args:
        key: for all the points together.
        X: all points, shape (N, d); points: the numbers of those to sum over.
        noises: K >= 2 per point, or infinity.
        advance: called with the number of points of each finished block.
        largest: of several calls' numbers of points, whose blocks are then of one shape.
    """
    p, d, dtype = features.p, X.shape[1], X.dtype
    shapes = (p, p), (p, p), (p, d), (p, d), ()
    total = Sums(len(points), *(jnp.zeros(shape, dtype) for shape in shapes))
    for index, weight in _blocks(points, noises, largest):
        x, weight = jnp.asarray(X[index]), weight.astype(dtype)
        if math.isinf(noises):
            total = _add_exactly(total, features, x, weight, noising)
        else:
            y, z = _noised(key, x, index, noising, int(noises))
            total = _add(total, features.of(key, y), x, z, weight)
        jax.block_until_ready(total.cross)
        advance(int(weight.sum()))
    return total


def leverage(
    key: Array,
    features: AbstractFeatures,
    X: np.ndarray,
    resolvent: Any,
    noising: Noising,
    noises: float,
    advance: Callable[[int], None] = lambda count: None,
) -> np.ndarray:
    """f̄^T Q̄ f̄ of every point, shape (N,)."""
    values, resolvent = [], jnp.asarray(resolvent)
    for index, weight in _blocks(np.arange(len(X)), noises):
        y, _ = _noised(key, jnp.asarray(X[index]), index, noising, int(noises))
        each = _leverage(features.of(key, y), resolvent, int(noises))
        values.append(np.asarray(each)[weight > 0])
        advance(int(weight.sum()))
    return np.concatenate(values)


def _blocks(points: np.ndarray, noises: float, largest: int = 1):
    """(numbers, weights) of whole blocks; the last is filled up with points of weight 0."""
    rows = BLOCK_ROWS if math.isinf(noises) else max(1, BLOCK_ROWS // int(noises))
    rows = min(rows, max(largest, len(points)))
    for start in range(0, len(points), rows):
        index = points[start : start + rows]
        weight = np.arange(rows) < len(index)
        yield np.resize(index, rows), weight


@partial(jax.jit, static_argnames="noises")
def _noised(key, x, index, noising, noises):
    """(y, z) of so many noises for each point, (rows noises, d); a point's are in a row."""

    def of_point(i):
        return jax.random.normal(jax.random.fold_in(key, i), (noises, x.shape[1]), x.dtype)

    z = jax.vmap(of_point)(index)
    y = noising.of(x[:, None], z)
    return y.reshape(-1, x.shape[1]), z.reshape(-1, x.shape[1])


@partial(jax.jit, donate_argnums=0)
def _add(sums, f, x, z, weight):
    """Add features f (p, rows K) of the points x (rows, d) and their noises z (rows K, d)."""
    noises = f.shape[1] // len(weight)
    f = (f.reshape(-1, len(weight), noises) * weight[None, :, None]).reshape(f.shape)
    mean = jnp.mean(f.reshape(-1, len(weight), noises), axis=2)
    return Sums(
        sums.count,
        sums.mean_square + lower_product(mean),
        sums.square + lower_product(f) / noises,
        sums.cross + product(f, z) / noises,
        sums.cross_data + product(mean, x),
        sums.square_data + _square(x, weight),
    )


@partial(jax.jit, donate_argnums=0)
def _add_exactly(sums, features, x, weight, noising):
    new = features.averages(x, noising, weight, data=True)
    return Sums(
        sums.count,
        sums.mean_square + new.shared,
        sums.square + new.shared + new.fresh,
        sums.cross + new.noise,
        sums.cross_data + new.data,
        sums.square_data + _square(x, weight),
    )


def _square(x, weight):
    """Σ |x|²/d."""
    return jnp.sum(weight * jnp.mean(x**2, axis=1))


@partial(jax.jit, static_argnames="noises")
def _leverage(f, resolvent, noises):
    mean = jnp.mean(f.reshape(len(f), -1, noises), axis=2)
    return jnp.sum(mean * product(resolvent, mean), axis=0)
