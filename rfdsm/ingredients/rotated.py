"""Second moments as the solver takes them, and those of equal parts of the points."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._numerics.linalg import one_thread
from ..parameters.checks import is_traced


class Rotated(eqx.Module):
    r"""Moments in the eigenbasis of Σ_c π_c (S_g,c + S_s,c), as the solver takes them.

    Traces do not depend on the basis. In this one all matrices are nearly diagonal: that is
    where the solver's start comes from, and it makes inversions accurate to rounding.

    Attributes:
        shared, fresh, cross: S_g, S_s and T, always with the axis of classes.
        weights: π_c.
        cross_data, square_data: T_x and X2; None where they are not known.
        basis: the eigenvectors, columns in the basis of the features.
    """

    shared: Float[Array, "*draws C p p"]
    fresh: Float[Array, "*draws C p p"]
    cross: Float[Array, "*draws C p d"]
    weights: Float[Array, "*draws C"]
    cross_data: Float[Array, "*draws C p d"] | None = None
    square_data: Float[Array, "*draws C"] | None = None
    basis: Float[Array, "*draws p p"] | None = None


class RotatedPair(NamedTuple):
    r"""Moments of two networks on the same points, each in its own eigenbasis.

    Attributes:
        left, right: of each network.
        shared, fresh: E[E_z f_1 (E_z f_2)^T] and E Cov_z(f_1, f_2) of each class, rows in the
            eigenbasis of the left, columns in that of the right.
    """

    left: Rotated
    right: Rotated
    shared: Float[Array, "*draws C p q"]
    fresh: Float[Array, "*draws C p q"]


class Parts(eqx.Module):
    r"""The moments of K equal parts of the points, always with the axis of classes.

    Attributes:
        S_g, S_s, T, T_x, X2: as of `Moments`, in the basis of the features.
        weights: each part's points of a class, over the points of a part: π_c in the mean.
    """

    S_g: Float[Array, "*draws K C p p"]
    S_s: Float[Array, "*draws K C p p"]
    T: Float[Array, "*draws K C p d"]
    weights: Float[Array, "*draws K C"]
    T_x: Float[Array, "*draws K C p d"] | None = None
    X2: Float[Array, "*draws K C"] | None = None

    @property
    def count(self) -> int:
        """K."""
        return self.weights.shape[-2]

    def halves(self) -> "Parts":
        """The two halves of the points, as two parts."""
        if self.count == 2:
            return self
        split = self.count // 2, 2  # every other part: of sizes as equal as they can be
        weights = self.weights.reshape(*self.weights.shape[:-2], *split, -1)
        total = weights.sum(-3)

        def mean(S):
            """Over a half's parts, each class weighted by its points there."""
            S = S.reshape(*weights.shape, *S.shape[self.weights.ndim :])
            share, all_ = (x.reshape(*x.shape, *[1] * (S.ndim - weights.ndim))
                           for x in (weights, total))  # fmt: skip
            return (share * S).sum(weights.ndim - 3) / all_

        means = jax.tree.map(mean, {n: x for n, x in vars(self).items() if n != "weights"})
        return Parts(**means, weights=total / total.sum(-1, keepdims=True))


def eigenbasis(S_g: Any, S_s: Any, weights: Any) -> Any:
    """That of Σ_c π_c (S_g,c + S_s,c), shape (..., p, p); without a derivative."""
    total = sum(
        weights[..., c, None, None] * (S_g[..., c, :, :] + S_s[..., c, :, :])
        for c in range(weights.shape[-1])
    )
    with one_thread():
        if is_traced(total):
            return jnp.linalg.eigh(jax.lax.stop_gradient(total))[1]
        return np.linalg.eigh(total)[1]


def rotate(
    S_g: Any, S_s: Any, T: Any, weights: Any, T_x: Any = None, X2: Any = None
) -> Rotated:
    """Moments with the axis of classes in their own eigenbasis."""
    basis = eigenbasis(S_g, S_s, weights)
    to = basis[..., None, :, :].swapaxes(-1, -2)
    known = None if T_x is None else to @ T_x
    squares = (turned(basis, S, basis) for S in (S_g, S_s))
    return Rotated(*squares, to @ T, weights, known, X2, basis)


def between(left: Rotated, right: Rotated, S_g: Any, S_s: Any) -> tuple[Any, Any]:
    """Moments between two networks' features, classes in front, in the eigenbasis of each."""
    return tuple(turned(left.basis, S, right.basis) for S in (S_g, S_s))


def turned(left: Any, S: Any, right: Any) -> Any:
    """left^T S right of each class; a matrix at a time, for all would be held twice."""
    if is_traced(left, S, right):
        return left[..., None, :, :].swapaxes(-1, -2) @ S @ right[..., None, :, :]
    result = np.empty_like(S)
    for at in np.ndindex(S.shape[:-2]):
        np.matmul(left[at[:-1]].T @ S[at], right[at[:-1]], out=result[at])
    return result
