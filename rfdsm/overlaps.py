r"""What both roads say of two networks: overlaps, and what the variance is made of.

S = (1/d) E o_1·o_2 of the outputs of two networks that share some of features W, points X and
noises Z (docs/theory.md section 15). All are O(1), in the units of the squared target.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .parameters.words import described

PARTS = ("features", "points", "features_points", "noises", "features_noises")


class OverTrials(eqx.Module):
    """Numbers of trials, whose axis is the last one."""

    __repr__ = described

    def without_status(self) -> Any:
        """The same numbers without `status`, so that trees of both roads match."""
        return dataclasses.replace(self, status=None)

    def mean(self, axis: int = -1) -> Any:
        """The mean over trials."""
        return jax.tree.map(lambda x: jnp.mean(x, axis), self)

    def standard_error(self, axis: int = -1) -> Any:
        """sd/√T over T trials; NaN of one."""

        def error(x):
            trials = x.shape[axis]
            spread = jnp.std(x, axis, ddof=1) if trials > 1 else jnp.mean(x, axis) * jnp.nan
            return spread / jnp.sqrt(trials)

        return jax.tree.map(error, self)


class Overlap(OverTrials):
    r"""The overlap of two networks' outputs; shape () from theory, (trials,) from simulation.

    Attributes:
        fresh: S = (1/d) E o_1·o_2 at fresh noised points.
        training: at training points with fresh noise, the same for both; NaN where the points
            are not shared.
        pairs: at the pairs that both were trained on; NaN where noises are not shared.
        correlation: fresh over the root of both networks' own, in [-1, 1]; NaN where one has no
            output, as gradient flow at τ = 0, whose correlation is a limit.
        status: of the solve, as of `Solution`; None from simulation.
    """

    fresh: Float[Array, " *shape"]
    training: Float[Array, " *shape"]
    pairs: Float[Array, " *shape"]
    correlation: Float[Array, " *shape"]
    status: Any = None


class VarianceParts(OverTrials):
    r"""The variance of the score, per dimension, by what it comes from; they add up to it.

    The law of total variance over features W, points X and the noises Z on these, as of an
    analysis of variance: of one alone what remains when the others are averaged over, of two
    what only both together make. None is negative. Noises belong to points, so that theirs and
    "features × noises" hold what noises make with points too. With S(what two networks share),

        features            S(W) - S()
        points              S(X) - S()
        features × points   S(WX) - S(W) - S(X) + S()
        noises              S(XZ) - S(X)
        features × noises   S(WXZ) - S(XZ) - S(WX) + S(X)

    Attributes:
        features, points, noises: of W, X, Z.
        features_points, features_noises: of both together.
        status: of the solve, as of `Solution`; None from simulation.
    """

    features: Float[Array, " *shape"]
    points: Float[Array, " *shape"]
    features_points: Float[Array, " *shape"]
    noises: Float[Array, " *shape"]
    features_noises: Float[Array, " *shape"]
    status: Any = None

    @classmethod
    def of(cls, S: Mapping[tuple, Any], scale: Callable, status: Any = None) -> "VarianceParts":
        """From overlaps on fresh data by what is shared, (features, points, noises) as 0 or 1.

        Args:
            scale: what is made of each, from outputs to scores.
        """
        apart, W, X = S[0, 0, 0], S[1, 0, 0], S[0, 1, 0]
        WX, XZ, all_ = S[1, 1, 0], S[0, 1, 1], S[1, 1, 1]
        points, noises = X - apart, XZ - X
        parts = W - apart, points, (WX - W) - points, noises, (all_ - WX) - noises
        return cls(*map(scale, parts), status=status)

    @property
    def total(self) -> Float[Array, " *shape"]:
        """Their sum, the variance."""
        return sum(getattr(self, name) for name in PARTS)

    def share(self) -> "VarianceParts":
        """Each as a share of the variance."""
        total = self.total
        shares = {name: getattr(self, name) / total for name in PARTS}
        return VarianceParts(**shares, status=self.status)

    def to_dict(self) -> dict[str, float]:
        """The five numbers by name, of parts that are scalars."""
        return {name: float(getattr(self, name)) for name in PARTS}
