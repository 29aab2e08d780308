"""A dear theory descended by a cheap one: measured moments by the Gaussian theory.

A solve of moments takes seconds, one of the Gaussian theory of the same covariance
milliseconds, and what lies between both varies slowly. So the search descends the cheap theory
times what the dear one adds, expanded at one point, solves the dear one where that leads, and
expands there again (approximation and model management: Alexandrov and Lewis, "An overview of
first-order model management for engineering optimization", 2001). Value and first derivatives
agree at the point of expansion, so that where this stays is an optimum of the dear theory. The
second derivatives of what it adds are learnt from its slopes (Powell's symmetric form of
Broyden's update).
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

REACH = 0.3  # in the unit box: further away the expansion is held


class Added(eqx.Module):
    """What the dear theory adds to log f (to f, where that is not positive) and to g.

    Attributes:
        at: the point of expansion, shape (k,).
        value, slope, bend: shapes (1 + constraints,), (..., k) and (..., k, k).
        factor: whether it multiplies f.
    """

    at: np.ndarray
    value: np.ndarray
    slope: np.ndarray
    bend: np.ndarray
    factor: np.ndarray

    def to(self, f, g, z):
        """f and g of the cheap theory at z, with it."""
        step = REACH * jnp.tanh((z - self.at) / REACH)
        added = self.value + self.slope @ step + (self.bend @ step) @ step / 2
        # exp of what is added alone would overflow beside what is not taken.
        times = jnp.exp(jnp.where(self.factor, added[0], 0.0))
        return jnp.where(self.factor, f * times, f + added[0]), g + added[1:]


def nothing(k: int, constraints: int) -> Added:
    """Adds nothing: the cheap theory itself, in the one program that takes what is added."""
    count = 1 + constraints
    zeros = np.zeros(count), np.zeros((count, k)), np.zeros((count, k, k))
    return Added(np.zeros(k), *zeros, np.asarray(False))


def expanded(dear, cheap, before: Added | None = None) -> Added:
    """What a dear evaluation adds to the cheap one at its point.

    Args:
        dear, cheap: `descent.Evaluation`s at one point.
        before: the expansion at another, whose second derivatives are brought up to date.
    """
    k, count = len(dear.z), 1 + len(dear.g)
    factor = bool(dear.f > 0 and cheap.f > 0 and (before is None or before.factor))
    slopes = [at.df / at.f if factor else at.df for at in (dear, cheap)]
    first = np.log(dear.f / cheap.f) if factor else dear.f - cheap.f
    value = np.append(first, dear.g - cheap.g)
    slope = np.vstack([slopes[0] - slopes[1], dear.dg - cheap.dg])
    bend = np.zeros((count, k, k))
    if before is not None and bool(before.factor) == factor:
        s = dear.z - before.at
        if 0 < (size := s @ s) < REACH**2:
            missed = slope - before.slope - before.bend @ s
            one = missed[:, :, None] * s
            along = (missed @ s)[:, None, None] * np.outer(s, s) / size
            bend = before.bend + (one + one.swapaxes(1, 2) - along) / size
    return Added(dear.z, value, slope, bend, np.asarray(factor))
