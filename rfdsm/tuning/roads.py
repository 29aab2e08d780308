"""Errors of measured moments, at one width or interpolated between many.

Between widths that were measured, the ratio of the measured theory to the Gaussian one of the
same covariance is interpolated: it is within some 20 % of 1 and varies slowly, while the errors
themselves have a peak at p = n m that the Gaussian theory knows.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import Errors
from ..model import RFDSM
from ..moments import Moments

KNOWN = ("test_loss", "train_loss", "memorization_loss")


class Widths(NamedTuple):
    """Moments of several widths, the narrowest first, and the spline between them.

    Attributes:
        moments: one measurement for each width.
        knots: log psi_p of each, shape (widths,).
        bends: from values at the knots to the natural cubic spline's second derivatives there.
    """

    moments: tuple[Moments, ...]
    knots: Any
    bends: Any


def widths(moments: Sequence[Moments]) -> Widths:
    """Measurements in order of their width.

    Raises:
        ValueError: fewer than two widths, or one twice.
        TypeError: not moments.
    """
    for each in moments:
        if not isinstance(each, Moments):
            raise TypeError(f"moments takes rfdsm.Moments, or a list of them, got {each!r}.")
    ordered = tuple(sorted(moments, key=lambda m: m.psi_p))
    ratios = np.array([m.psi_p for m in ordered])
    if len(ordered) < 2 or np.any(np.diff(ratios) == 0):
        raise ValueError(
            "moments of several widths must be of at least two, and of different ones, got "
            f"psi_p = {', '.join(f'{ratio:g}' for ratio in ratios)}."
        )
    knots = np.log(ratios)
    return Widths(ordered, knots, _bends(knots))


def measured(model: RFDSM, moments: Moments) -> Errors:
    """The errors from one measurement, averaged over its draws of the weights."""
    errors = model.solve(moments=moments).errors
    if moments.draws is None:
        return errors
    return jax.tree.map(lambda values: jnp.mean(values, -1), errors)


def interpolated(model: RFDSM, widths: Widths) -> Errors:
    """The errors at any psi_p between the measured widths, to the Gaussian theory's ratio."""
    logs = _log_ratios(model, widths)
    position = jnp.log(model.psi_p)
    gaussian = model.solve().errors
    values = {
        name: getattr(gaussian, name) * jnp.exp(_spline(widths, logs[i], position))
        for i, name in enumerate(KNOWN)
    }
    unknown = jnp.full_like(position, jnp.nan)
    return Errors(score_error=unknown, bias2=unknown, variance=unknown, **values)


def interpolation_error(model: RFDSM, widths: Widths, name: str) -> float | None:
    """The error bar of one error at the model, relative: the larger miss of its neighbours.

    A knot that is left out doubles the distance between its neighbours: an upper bound rather
    than an estimate. None where there is no inner width, or the error is not a loss.
    """
    if len(widths.knots) < 3 or name not in KNOWN:
        return None
    logs = np.asarray(jax.jit(_log_ratios)(model, widths))[KNOWN.index(name)]
    misses = []
    for i in range(1, len(logs) - 1):
        kept = np.delete(np.arange(len(logs)), i)
        rest = Widths((), widths.knots[kept], _bends(widths.knots[kept]))
        guess = float(_spline(rest, jnp.asarray(logs[kept]), jnp.asarray(widths.knots[i])))
        misses.append(abs(np.expm1(guess - logs[i])))
    place = np.searchsorted(widths.knots, np.log(float(model.psi_p)))
    near = np.clip([place - 1, place], 1, len(logs) - 2) - 1
    return float(np.max(np.array(misses)[near]))


def _log_ratios(model, widths):
    """log(measured/Gaussian theory) of each loss at each width, shape (losses, widths)."""
    rows = []
    for moments in widths.moments:
        at = model.replace(psi_p=moments.psi_p)
        exact, gaussian = measured(at, moments), at.solve().errors
        rows.append(
            jnp.stack(
                [jnp.log(getattr(exact, n)) - jnp.log(getattr(gaussian, n)) for n in KNOWN]
            )
        )
    return jnp.stack(rows, axis=1)


def _spline(widths, values, x):
    """The natural cubic spline of values at the knots, at x between them."""
    knots = jnp.asarray(widths.knots)
    curvatures = jnp.asarray(widths.bends) @ values
    i = jnp.clip(jnp.searchsorted(knots, x, side="right") - 1, 0, len(widths.knots) - 2)
    step = knots[i + 1] - knots[i]
    right = (x - knots[i]) / step
    left = 1 - right
    bent = (left**3 - left) * curvatures[i] + (right**3 - right) * curvatures[i + 1]
    return left * values[i] + right * values[i + 1] + step**2 / 6 * bent


def _bends(knots) -> np.ndarray:
    """Second derivatives of the natural cubic spline, as a matrix on the knots' values."""
    count, steps = len(knots), np.diff(knots)
    A, right = np.eye(count), np.zeros((count, count))
    for i in range(1, count - 1):
        before, after = steps[i - 1], steps[i]
        A[i, i - 1 : i + 2] = before / 6, (before + after) / 3, after / 6
        right[i, i - 1 : i + 2] = 1 / before, -1 / before - 1 / after, 1 / after
    return np.linalg.solve(A, right)
