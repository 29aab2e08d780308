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

from .._numerics.linalg import stacked
from ..analysis.measurement import measure
from ..errors import LOSSES, Errors
from ..ingredients.moments import Moments
from ..ingredients.rotated import Parts
from ..model import RFDSM
from ..parameters.numbers import counted
from ..progress import Progress, Report, silent

WORTH = 3e8  # p³ that are saved by solving widths in two groups, for a second program


class Widths(NamedTuple):
    """Moments of several widths, the narrowest first, and the spline between them.

    Attributes:
        moments: in one or two groups, each stacked; narrower ones are filled up to the widest
            of their group with features that are 0, which changes no error, but the unit of
            training time, κ = 2w²/ψ_p.
        ratios: psi_p of each, shape (widths,).
        bends: from values at log psi_p to the natural cubic spline's second derivatives there.
    """

    moments: tuple[Moments, ...]
    ratios: Any
    bends: Any


def widths(moments: Sequence[Moments]) -> Widths:
    """Measurements in order of their width.

    Raises:
        ValueError: fewer than two widths, one twice, or measurements of different kinds.
        TypeError: not moments.
    """
    for each in moments:
        if not isinstance(each, Moments):
            raise TypeError(f"moments takes rfdsm.Moments, or a list of them, got {each!r}.")
    ordered = sorted(moments, key=lambda m: m.psi_p)
    ratios = np.array([m.psi_p for m in ordered])
    if len(ordered) < 2 or np.any(np.diff(ratios) == 0):
        raise ValueError(
            "moments of several widths must be of at least two, and of different ones, got "
            f"psi_p = {', '.join(f'{ratio:g}' for ratio in ratios)}."
        )
    halves = all(m.parts is not None for m in ordered)
    if len({_kind(m, halves) for m in ordered}) > 1:
        raise ValueError(
            "moments of several widths must agree in all else: data, process, activation, and "
            "as many classes and draws (measure(..., classes=1))."
        )
    parts = "halves" if halves else "none"
    groups = tuple(
        stacked([_sized(m, group[-1].p, parts) for m in group]) for group in _groups(ordered)
    )
    return Widths(groups, ratios, _bends(np.log(ratios)))


def _kind(moments: Moments, halves: bool) -> tuple:
    """What moments of several widths have to agree in."""
    moments = moments if halves else moments.without_halves()
    return jax.tree.structure(moments), moments.S_g.shape[:-2], moments.d


def _groups(ordered: Sequence[Moments]) -> list[Sequence[Moments]]:
    """Two groups of widths where that saves more work than a second program costs."""
    cuts = [[ordered], *([ordered[:i], ordered[i:]] for i in range(1, len(ordered)))]
    return min(cuts, key=lambda groups: _work(groups) + WORTH * (len(groups) - 1))


def _work(groups: Sequence[Sequence[Moments]]) -> float:
    """p³ of all widths, filled up within their groups (the narrowest first)."""
    return sum(len(group) * float(np.sum(group[-1].p)) ** 3 for group in groups)


def work(moments: Sequence[Moments]) -> float:
    """p³ of all widths as they are solved."""
    return _work(_groups(sorted(moments, key=lambda m: m.psi_p)))


def measure_widths(
    model: RFDSM, ratios: Sequence[float], key: Any, report: Report = silent
) -> list[Moments]:
    """Moments at several psi_p, the widest first, in as many classes as that chooses.

    Too few points are not warned of here: `rfdsm.sampling_error` at the optimum says more.
    The rows of W are independent: the first p of them are a network of p features, whose
    moments are at hand once the widest's are. Of several classes each width is measured, since
    the points are sorted by their leverage in it.

    Args:
        model: with `Samples`. ratios: the psi_p. key, report: as of `rfdsm.measure`.
    """
    found: list[Moments] = []
    for number, ratio in enumerate(sorted(ratios, reverse=True)):
        report(Progress("moments", number, len(ratios)))
        if found and found[0].classes == 1:
            found.append(_sized(found[0], counted(ratio, found[0].d)))
            continue
        there, of_this = model.replace(psi_p=ratio), jax.random.fold_in(key, number)
        classes = found[0].classes if found else None
        found.append(measure(there, of_this, classes=classes, warned=False, report=report))
    return found


def _sized(moments: Moments, p: int, parts: str = "all") -> Moments:
    """Of the first p features, or filled up to p with features that are always 0.

    Args:
        parts: which parts of the points are kept: all, the two halves, or none.
    """

    def sized(matrix, *axes):
        matrix = matrix[(..., *(slice(p) if i in axes else slice(None) for i in (-2, -1)))]
        space = [(0, p - matrix.shape[i] if i - matrix.ndim in axes else 0)
                 for i in range(matrix.ndim)]  # fmt: skip
        return np.pad(matrix, space)

    def arrays(of):
        """Of moments or of parts of them."""
        square = {name: sized(getattr(of, name), -1, -2) for name in ("S_g", "S_s")}
        known = ["T"] if of.T_x is None else ["T", "T_x"]
        long = {name: sized(getattr(of, name), -2) for name in known}
        return square | long | {"X2": of.X2, "weights": of.weights}

    kept = None
    if moments.parts is not None and parts != "none":
        of = moments.parts
        kept = Parts(**arrays(of.halves() if parts == "halves" else of))
    about = {name: getattr(moments, name) for name in ("process", "activation", "population")}
    return Moments(**arrays(moments), **about, parts=kept)


def measured(model: RFDSM, moments: Moments) -> Errors:
    """The errors from one measurement, averaged over its draws of the weights."""
    errors = model.solve(moments=moments).errors
    if moments.draws is None:
        return errors
    return jax.tree.map(lambda values: jnp.mean(values, -1), errors)


def interpolated(model: RFDSM, widths: Widths) -> Errors:
    """The errors at any psi_p between the measured widths: Gaussian theory times a ratio."""
    logs, gaussian = _log_ratios(model, widths)
    position = jnp.log(model.psi_p)
    knots = jnp.log(jnp.asarray(widths.ratios))
    added = jax.vmap(lambda each: _spline(knots, widths.bends, each, position))(logs)
    return scaled(gaussian, added)


def scaled(gaussian: Errors, logs: Any) -> Errors:
    """The Gaussian theory's losses times exp of what is added to their logs, (losses, ...)."""
    values = {
        name: getattr(gaussian, name) * jnp.exp(log)
        for name, log in zip(LOSSES, logs, strict=True)
    }
    unknown = jnp.full_like(gaussian.test_loss, jnp.nan)
    return Errors(score_error=unknown, bias2=unknown, variance=unknown, **values)


def log_ratios(model: RFDSM, moments: Moments | Widths) -> np.ndarray:
    """log(measured/Gaussian theory) of each loss at each width, shape (losses, widths)."""
    if isinstance(moments, Widths):
        return np.asarray(_jitted(model, moments)[0])
    found = _of_one(model, moments), _of_theory(model)
    exact, gaussian = (np.array([getattr(e, name) for name in LOSSES]) for e in found)
    return np.log(exact / gaussian)[:, None]


def interpolation_error(model: RFDSM, widths: Widths, name: str) -> float | None:
    """The error bar of one error at the model, relative: the larger miss of its neighbours.

    A miss is how far the interpolation is from a measured width that it leaves out; that
    doubles the distance between knots: an upper bound rather than an estimate. Halfway between
    two widths it counts in full, at a measured one not at all. None where there is no inner
    width, or the error is not a loss.
    """
    if len(widths.ratios) < 3 or name not in LOSSES:
        return None
    knots, misses = np.log(widths.ratios), []
    position = np.log(float(model.psi_p))
    place = int(np.clip(np.searchsorted(knots, position), 1, len(knots) - 1))
    share = np.clip((position - knots[place - 1]) / (knots[place] - knots[place - 1]), 0, 1)
    if share * (1 - share) < 1e-9:
        return 0.0
    logs = log_ratios(model, widths)[LOSSES.index(name)]
    for i in range(1, len(logs) - 1):
        rest = np.delete(knots, i)
        values = jnp.asarray(np.delete(logs, i))
        guess = _spline(jnp.asarray(rest), _bends(rest), values, jnp.asarray(knots[i]))
        misses.append(abs(np.expm1(float(guess) - logs[i])))
    near = np.clip([place - 1, place], 1, len(logs) - 2) - 1
    return float(4 * share * (1 - share) * np.max(np.array(misses)[near]))


def _log_ratios(model, widths):
    """log(measured/Gaussian theory) of each loss at each width, shape (losses, widths).

    And the Gaussian theory's errors at the model's own psi_p.
    """
    ratios = jnp.asarray(widths.ratios)

    def at(width):
        ratio, moments = width
        filled = model.replace(psi_p=moments.psi_p)
        # κ = 2w²/ψ_p is its group's widest one's: time runs slower than at this width.
        filled = filled.replace(training=model.training.in_units(ratio / moments.psi_p))
        errors = measured(filled, moments)
        return jnp.stack([getattr(errors, name) for name in LOSSES])

    groups = jax.tree.map(jnp.asarray, widths.moments)
    ends = np.cumsum([len(group.S_g) for group in groups])[:-1]
    exact = jnp.concatenate(
        [jax.lax.map(at, each) for each in zip(jnp.split(ratios, ends), groups, strict=True)]
    )
    psi_p = jnp.append(ratios, model.psi_p)
    gaussian = jax.vmap(lambda ratio: model.replace(psi_p=ratio).solve().errors)(psi_p)
    here = jax.tree.map(lambda values: values[-1], gaussian)
    gaussian = jnp.stack([getattr(gaussian, name)[:-1] for name in LOSSES], axis=1)
    return jnp.log(exact / gaussian).T, here


def _spline(knots, bends, values, x):
    """The natural cubic spline of values at the knots, at x between them."""
    curvatures = jnp.asarray(bends) @ values
    i = jnp.clip(jnp.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    step = knots[i + 1] - knots[i]
    right = (x - knots[i]) / step
    left = 1 - right
    bent = (left**3 - left) * curvatures[i] + (right**3 - right) * curvatures[i + 1]
    return left * values[i] + right * values[i + 1] + step**2 / 6 * bent


def _bends(knots) -> np.ndarray:
    """Second derivatives of the natural cubic spline, as a matrix on the knots' values."""
    from scipy.interpolate import CubicSpline  # takes longer to import than all of the package

    return CubicSpline(knots, np.eye(len(knots)), bc_type="natural")(knots, 2)


_jitted, _of_one = jax.jit(_log_ratios), jax.jit(measured)
_of_theory = jax.jit(lambda model: model.solve().errors)
