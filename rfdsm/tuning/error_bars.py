"""The error bar of an optimum that was found with measured moments."""

import math
from collections.abc import Sequence

import numpy as np

from ..analysis import in_parts, sampling_error
from ..ingredients.cross_moments import CrossMoments
from ..ingredients.moments import Moments
from ..model import RFDSM
from . import roads
from .problem import Problem


def error_bar(
    model: RFDSM,
    value: float,
    problem: Problem,
    measured: Moments | CrossMoments | Sequence[Moments] | None,
) -> float | None:
    """Of the objective at the model, a 95 % interval; None where it is not known.

    At a measured width that of finitely many points, `sampling_error`; between two the larger
    of theirs, and in quadrature that of the interpolation.

    Args:
        model, value: the optimum of the problem, and its objective.
        measured: what it was searched with.
    """
    name = problem.objective.loss
    if measured is None or name is None:
        return None
    if isinstance(measured, CrossMoments):
        return None
    several = [measured] if isinstance(measured, Moments) else [*measured]
    beside = _beside(several, float(model.psi_p))
    known = [_share(model, each, name) for each in beside if in_parts(each)]
    sampled, between = max(known, default=None), None
    if problem.road is roads.interpolated:
        between = roads.interpolation_error(model, *problem.road_arguments, name)
    told = [share for share in (sampled, between) if share is not None]
    if not told or (between is None and len(beside) > 1):
        return None
    return math.hypot(*told) * value


def _beside(measured: list[Moments], psi_p: float) -> list[Moments]:
    """The moments of the width psi_p, or of the two around it."""
    ordered = sorted(measured, key=lambda each: each.psi_p)
    ratios = np.array([each.psi_p for each in ordered])
    nearest = int(np.argmin(abs(ratios - psi_p)))
    if len(ordered) == 1 or math.isclose(ratios[nearest], psi_p, rel_tol=1e-6):
        return [ordered[nearest]]
    right = int(np.clip(np.searchsorted(ratios, psi_p), 1, len(ratios) - 1))
    return ordered[right - 1 : right + 1]


def _share(model: RFDSM, moments: Moments, name: str) -> float:
    """The error bar over the loss, at the width of the moments."""
    there = model.replace(psi_p=moments.psi_p)
    bar = np.mean(getattr(sampling_error(there, moments).total, name))
    return float(bar / np.mean(getattr(there.asymptotics(moments=moments), name)))
