"""The losses over psi_p on data points: moments of several widths, and theory between them.

Between widths the ratio of the measured theory to the Gaussian one of the same covariance is
interpolated, a natural cubic spline of logarithms in log psi_p: it varies slowly, while the
losses themselves have a peak at p = n m that the Gaussian theory knows.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ..analysis import measure, sampling_error
from ..analysis.few_points import SamplingError
from ..errors import LABELS, LOSSES, NotConverged
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..progress import Progress, Report
from .lines import Lines

MEASURED_AT = "measured_psi_p"  # the dimension of the widths
AT_KNOT = 1e-9


def measured_widths(
    model: RFDSM, ratios: Sequence[float], key: Any, report: Report, **about: Any
) -> list[Moments]:
    """Moments at several psi_p, the narrowest first; about: as `measure` takes it."""
    found: list[Moments] = []
    for number, ratio in enumerate(ratios):
        report(Progress("moments", number, len(ratios)))
        there, of_this = model.replace(psi_p=ratio), jax.random.fold_in(key, number)
        if found:
            about = about | {"classes": found[0].classes}
        found.append(measure(there, of_this, report=report, **about))
    return found


def between_widths(
    lines: Lines, known: Any, moments: Sequence[Moments], kind: str
) -> tuple[dict[str, Any], dict[str, list[Callable]]]:
    """The losses along psi_p as variables, and of each loss and line its factor.

    Beside them the losses at the measured widths, `test_loss_measured` and so on, and error
    bars: at a measured width that of `sampling_error`, between two that of the interpolation
    added in quadrature, which is how far it misses a width that it leaves out.

    Args:
        lines: along psi_p. known: their Gaussian theory.
        moments: at the axis' ends and between, the narrowest first.
        kind: of theory.

    Returns:
        The variables, and functions of psi_p: measured over Gaussian theory.
    """
    found = {n: known[n].assign_attrs(kind=kind) for n in ("status", "best_linear")}
    ratios, x = np.array([each.psi_p for each in moments]), lines.along.x
    exact, gaussian, shares = (np.moveaxis(each, 0, -1) for each in _at_widths(lines, moments))
    factors: dict[str, list[Callable]] = {}
    dims = (*lines.dims, MEASURED_AT)
    for i, name in enumerate(LOSSES):
        of_lines = np.reshape(known[name].values, (-1, len(x)))
        factors[name] = [_factor(ratios, row) for row in np.log(exact[:, i] / gaussian[:, i])]
        values = np.array([f(x) * y for f, y in zip(factors[name], of_lines, strict=True)])
        between = np.array(
            [_misses(ratios, row, x) for row in np.log(exact[:, i] / gaussian[:, i])]
        )
        sampled = np.array([np.interp(np.log(x), np.log(ratios), row) for row in shares[:, i]])
        bars = values * np.hypot(sampled, between)
        about = {"kind": kind, "long_name": LABELS[name]}
        found[name] = known[name].dims, lines.shaped(values), about
        words = {"kind": kind, "long_name": "95 % interval, ±"}
        found[f"{name}_error_bar"] = known[name].dims, lines.shaped(bars), words
        at = about | {"kind": f"{kind}, measured there", "column": name}
        found[f"{name}_measured"] = dims, lines.shaped(exact[:, i]), at
    return found, factors


def _at_widths(lines: Lines, moments: Sequence[Moments]) -> tuple[np.ndarray, ...]:
    """Measured and Gaussian losses and the error bars' shares, each (widths, lines, losses)."""

    def losses(errors: Any) -> list[float]:
        return [float(np.mean(getattr(errors, name))) for name in LOSSES]

    exact, gaussian, shares = [], [], []
    for each in moments:
        models = [model.replace(psi_p=each.psi_p) for model in lines.models]
        exact.append([losses(model.solve(moments=each).errors) for model in models])
        gaussian.append([losses(model.solve().errors) for model in models])
        bars = [_bars(model, each) for model in models]
        share = [[np.nan] * len(LOSSES) if b is None else losses(b.total) for b in bars]
        shares.append(np.array(share) / exact[-1])
    return np.array(exact), np.array(gaussian), np.array(shares)


def _bars(model: RFDSM, moments: Moments) -> SamplingError | None:
    try:
        return sampling_error(model, moments)
    except NotConverged:
        return None


def _factor(ratios: np.ndarray, logs: np.ndarray) -> Callable:
    """exp of the spline through logarithms at the widths, as a function of psi_p."""
    from scipy.interpolate import CubicSpline  # takes longer to import than all of the package

    good = np.isfinite(logs)
    if len(ratios) < 2 or not good.all():
        return lambda x: np.full(np.shape(x), np.nan)
    spline = CubicSpline(np.log(ratios), logs, bc_type="natural")
    return lambda x: np.exp(spline(np.log(x)))


def _misses(ratios: np.ndarray, logs: np.ndarray, x: np.ndarray) -> np.ndarray:
    """How far off the interpolation may be at x: 0 at a width, halfway what it misses near."""
    if len(ratios) < 3:
        return np.where(np.min(abs(np.subtract.outer(x, ratios)), axis=1) < AT_KNOT, 0, np.nan)
    inner = range(1, len(ratios) - 1)
    guesses = [_factor(np.delete(ratios, i), np.delete(logs, i))(ratios[i]) for i in inner]
    missed = np.abs(np.array(guesses) / np.exp(logs[1:-1]) - 1)
    right = np.clip(np.searchsorted(ratios, x), 1, len(ratios) - 1)
    knots = np.log(ratios)
    share = np.clip((np.log(x) - knots[right - 1]) / (knots[right] - knots[right - 1]), 0, 1)
    near = np.clip([right - 1, right], 1, len(ratios) - 2) - 1
    return 4 * share * (1 - share) * missed[near].max(axis=0)
