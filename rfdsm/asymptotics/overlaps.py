r"""Overlaps of two networks' outputs (docs/theory.md section 15).

With the filters' nodes λ_i, λ_j and weights c_i, c_j of the two,

    S = (1/d) E o_L·o_R = Σ_ij c_i c_j K_C(λ_i, λ_j)

by the corners of sections 5 and 14 in which nothing couples what the networks do not share.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact

from .._numerics.absent import Absent
from .._numerics.promotion import mixed
from ..errors import Errors
from ..ingredients.sharing import ALL, SHARINGS, Shared
from .learning_curve import Solved
from .two_point import between, quadratic


@mixed
def overlaps(
    left: Solved, right: Solved, shared: Shared, cross: Any = None
) -> dict[str, Array]:
    """S on "fresh" data, "training" points with fresh noise, and the "pairs", as far as known.

    Of filters of many training times, the same on both sides, each has their axis.

    Args:
        cross: E f_L f_R^T of measured features, parts g and s, (C, p, p') each.
    """
    if cross is not None and not shared.features:
        back = tuple(jnp.swapaxes(S, -1, -2) for S in cross)
        left, right = _toward(left, back), _toward(right, cross)
    tables = _tables(left, right, shared)
    weights = [each.nodes.weights for each in (left, right)]
    filters = max((each.shape[:-1] for each in weights), key=len)
    weights = [jnp.broadcast_to(x, (*filters, x.shape[-1])) for x in weights]

    def sums(left, right):
        return {name: quadratic(left, table, right) for name, table in tables.items()}

    for _ in filters:
        sums = jax.vmap(sums)
    return sums(*weights)


def _toward(one: Solved, cross: Any) -> Solved:
    """A network beside another, with the cross moments of that one's features and its own."""
    return one._replace(equations=dataclasses.replace(one.equations, toward=cross))


def _tables(left: Solved, right: Solved, shared) -> dict[str, Inexact[Array, "halves k l"]]:
    """K_C between all nodes of the two."""
    ours, theirs = left.equations, right.equations

    def pair(left, right):
        fresh, training, _ = ours.sources(left, right)
        sources = {"fresh": fresh}
        if shared.points:
            sources["training"] = training
        if shared.noises:
            sources["pairs"] = ours.pairs(left, right)
        corners = ours.corners(left, right, [*sources.values()], shared, theirs)
        return {name: -corner for name, corner in zip(sources, corners, strict=True)}

    responses = (jax.vmap(each.equations.response)(each.states) for each in (left, right))
    return between(*responses, pair)


def of_sharings(left: Solved, right: Solved, cross: Any = None) -> dict[Shared, Array]:
    """S on fresh data for all that two networks may share; of measured ones both W's mean."""

    def fresh(shared):
        if cross is None or not shared.features:
            return overlaps(left, right, shared, cross)["fresh"]
        each = (overlaps(one, one, shared)["fresh"] for one in (left, right))
        return sum(each) / 2

    return {shared: fresh(shared) for shared in SHARINGS}


def averaged(
    errors: Errors, ensemble: Any, left: Solved, right: Solved, cross: Any = None
) -> Errors:
    """The errors of an ensemble's average, from those of a single network.

    Each loss has S(all) of two networks that are one, and takes 1 - 1/N_e of what others share:
    S(shared) - S(all). Of one network that is the loss itself.

    Args:
        left, right: two of the ensemble's networks; cross: as of `overlaps`.
    """
    if isinstance(ensemble.others, Absent):
        return errors
    same = overlaps(left, left, ALL)
    if right is not left:
        same = jax.tree.map(lambda x, y: (x + y) / 2, same, overlaps(right, right, ALL))
    apart, unknown = overlaps(left, right, ensemble.shared, cross), same["fresh"] * jnp.nan
    change = {
        name: ensemble.others * (apart[name] - same[name]) if name in apart else unknown
        for name in same
    }
    score_error = errors.score_error + left.equations.denoising.score_loss(change["fresh"])
    return Errors(
        score_error=score_error,
        test_loss=errors.test_loss + change["fresh"],
        train_loss=errors.train_loss + change["pairs"],
        memorization_loss=errors.memorization_loss + change["training"],
        bias2=errors.bias2,
        variance=score_error - errors.bias2,
    )
