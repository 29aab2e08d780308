r"""The losses of infinitely many points from moments of N (docs/theory.md section 12).

The equations with the moments of N points give the losses L(N) of a law that has these second
moments. Their distance from those of the points' own law is c/N + O(1/N²), whatever n is, and
the two halves of the points, of N/2 each, take its first order away,

    L = 2 L(N) - mean L(N/2) = L(N) (1 - x),    x = mean L(N/2)/L(N) - 1.

1 - tanh x is the same up to x³: it keeps small train losses from becoming negative.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..errors import Solution, Status

ROUNDING = 1e-9  # losses are accurate to it


def of_infinitely_many(solve: Callable[[Any], Solution], moments: Any) -> Solution:
    """The solution extrapolated from three, with the worst of their statuses.

    Args:
        solve: at moments without parts. moments: `Moments` of one draw with parts.
    """
    found = three(solve, moments)
    return Solution(
        jax.tree.map(of_three, found.errors),
        worst(found.status, found.filter_error[0].ndim),
        jnp.max(found.residual),
        jnp.max(found.steps),
        found.constants_error[0],
        found.filter_error[0],
    )


def three(solve: Callable[[Any], Any], moments: Any) -> Any:
    """What `solve` finds with the moments of all points and of either half, stacked.

    Args:
        solve: at moments without parts. moments: of one draw, or of one of two networks.
    """
    plain = moments.with_population(None)

    def at(rotated):
        return solve(eqx.tree_at(lambda m: m.rotated, plain, rotated))

    sets = jax.tree.map(
        lambda whole, halves: jnp.concatenate([jnp.asarray(whole)[None], halves]),
        moments.rotated,
        moments.rotated_halves,
    )
    return jax.lax.map(at, sets)  # one compiled program, and memory of one


def of_three(found: Any) -> Any:
    """A loss of infinitely many points from `three`."""
    return extrapolated(found[0], (found[1] + found[2]) / 2)


def worst(status: Status, axes: int) -> Status:
    """The first of `three` statuses that is no success, over so many axes of each."""

    def judge(*statuses):
        status = statuses[0]
        for other in statuses[1:]:
            status = Status.where(status == Status.success, other, status)
        return status

    for _ in range(axes):
        judge = jax.vmap(judge)
    return judge(*(jax.tree.map(lambda x, i=i: x[i], status) for i in range(3)))


def extrapolated(whole: Any, half: Any) -> Any:
    """A loss of infinitely many points from that of N and the mean of the halves'."""
    ratio = half * whole / (whole**2 + ROUNDING**2)
    return whole * (1 - jnp.tanh(ratio - 1))
