"""The entry to section 15: from the problems of two networks to what they have in common."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.derivatives import unknown
from ..errors import Status, nan_explained
from ..ingredients.sharing import ALL, NOTHING, Shared, alike
from ..overlaps import Overlap, VarianceParts
from .few_points import of_three, three, worst
from .overlaps import of_sharings, overlaps
from .problem import Problem
from .solution import judged, measured_as, networks, prepared, require_stable
from .uncertainty import require_success

FAINT = 1e-24  # of the null loss: outputs that are rounding, as of flow at τ = 0


@nan_explained
@partial(jax.jit, static_argnames="shared")
def overlap(
    ours: Problem, theirs: Problem | None, shared: Shared, moments: Any = None
) -> Overlap:
    """S of two networks, with the status of the solves; never raises for traced numbers.

    Args:
        ours, theirs: the problems; None: the same one. shared: what the networks share.
        moments: `Moments`, or `CrossMoments` where features are apart.
    """

    def found(moments):
        left, right, cross = networks(ours, theirs, shared, moments)
        values = overlaps(left.one, right.one, shared, cross)
        own = [overlaps(each.one, each.one, ALL)["fresh"] for each in (left, right)]
        values |= dict(zip(("left", "right"), own, strict=True))
        return _judged(values, ours, theirs, shared, left, right, moments)

    values, status = _of_moments(found, moments)
    fresh, own = values["fresh"], values["left"] * values["right"]
    null = ours.denoising.null(jnp.sum(ours.law.weights * ours.law.eigenvalues))
    seen = own > (FAINT * null) ** 2
    return Overlap(
        fresh=fresh,
        training=values.get("training", unknown(fresh)),
        pairs=values.get("pairs", unknown(fresh)),
        correlation=fresh / jnp.sqrt(own) * jnp.where(seen, 1.0, jnp.nan),
        status=status,
    )


@nan_explained
@partial(jax.jit, static_argnames="output")
def variance_parts(
    ours: Problem, theirs: Problem | None, moments: Any = None, *, output: bool = False
) -> VarianceParts:
    """What the variance is made of; of two problems their covariance. As of `overlap`."""

    def found(moments):
        left, right, cross = networks(ours, theirs, NOTHING, moments)
        values = of_sharings(left.one, right.one, cross)
        return _judged(values, ours, theirs, ALL, left, right, moments)

    values, status = _of_moments(found, moments)
    known = ours.denoising.score_loss if moments is None else unknown
    parts = VarianceParts.of(values, (lambda part: part) if output else known, status)
    return _without_noises(parts, ours.inverse_m)


def _without_noises(parts: VarianceParts, u: Any) -> VarianceParts:
    """At m = ∞ noises are averaged over, common or not: their parts are 0 to the last bit.

    Else rounding would make some of them negative.
    """

    def exactly(part):
        return part - jax.lax.stop_gradient(jnp.where(u == 0, part, 0))

    noises, both = exactly(parts.noises), exactly(parts.features_noises)
    return dataclasses.replace(parts, noises=noises, features_noises=both)


def _judged(values, ours, theirs, shared, left, right, moments):
    """(values, status), NaN where not a success."""
    sides = [left] if right is left else [left, right]
    domain = [] if theirs is None else alike(ours, theirs, shared)
    status, ok = judged([*values.values()], *sides, domain=domain)
    if moments is not None:
        ok = ok * measured_as(ours)
    return {name: value * ok for name, value in values.items()}, status


def _of_moments(found: Callable, moments: Any) -> tuple[dict, Status]:
    """`found` of moments, over their draws and extrapolated to infinitely many points."""
    if moments is not None and moments.draws is not None:
        over_draws = jax.vmap(partial(_of_moments, found), (moments.axes_of_draws(),))
        return over_draws(moments)
    if moments is not None and moments.parts is not None:
        values, status = three(found, moments)
        return jax.tree.map(of_three, values), worst(status, status.code.ndim - 1)
    return found(moments)


def told(found: Any, ours: Problem, theirs: Problem | None = None) -> Any:
    """What was found of two problems, one where the second is None, if a success or traced.

    Raises:
        NotConverged: it is not. ValueError: a training rule diverges.
    """
    require_stable(found, *([ours] if theirs is None else [ours, theirs]))
    require_success(found, ours)
    return found


@jax.jit
def implied_ridge(problem: Problem) -> Float[Array, ""]:
    """1/(ψ_p q) of a problem whose rule is a ridge; NaN where it is not solved.

    Raises:
        ValueError: the rule is no ridge.
    """
    if problem.training.systems != 1 or problem.training.reach(problem.rate) is not None:
        kind = type(problem.training).__name__
        raise ValueError(
            f"implied_ridge is that of Ridge, and the model is trained by {kind}: take "
            "training=rfdsm.Ridge(lam)."
        )
    side = prepared(problem)
    ridge = 1 / (problem.psi_p * side.one.states.q[0])
    return ridge * judged([ridge], side)[1]
