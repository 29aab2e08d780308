"""When gradient flow generalises and when it memorises: by the spectrum and by the curves."""

import math
from typing import NamedTuple

import numpy as np

from .._numerics import contour
from ..ingredients.training import mode_rate
from ..model import RFDSM
from ..parameters.checks import is_traced

POINTS = 241  # training times at a look
LOOKS = 3  # that follow, each at the two intervals around the last one's find
EARLY, LATE = 1e-2, 1e2  # the first look goes beyond the fastest and the slowest mode
LONGEST = 1e7  # the slowest mode looked at, relative to the fastest
SAME_MASS = 1e-3  # of the top bulks against d eigenvalues, relatively


class Times(NamedTuple):
    """Training times, in units in which dA/dτ = -d² ∇L; NaN where there is none.

    Attributes:
        tau_gen: when the network generalises.
        tau_mem: when it begins to memorise.
    """

    tau_gen: float
    tau_mem: float


class Timescales(NamedTuple):
    """Both times by the two ways of `timescales`."""

    bulks: Times
    curves: Times


def timescales(model: RFDSM) -> Timescales:
    r"""The training times at which a model generalises and memorises.

    From the bulks of the spectrum of U, whose modes are learned at the rates κ(x + λ),
    κ = 2h/ψ_p: tau_gen = 1/(κ(x + λ)) at the lower end x of the population's bulks, which hold
    the d largest eigenvalues (its slowest mode), and tau_mem at the upper end of what lies
    below (the fastest mode that fits single points). NaN where no gap separates them. For
    p >> n >> d at m = ∞ their ratio grows like psi_n (arXiv 2505.17638).

    From the curves: tau_gen where score_error is least, tau_mem where memorization_loss falls
    under C_t, the loss of the best possible score on fresh data; NaN where it never does. That
    is a low bar: fitting the sample covariance is enough, at about tau_gen.

    Args:
        model: with `GradientFlow` training, of which λ counts and tau does not.

    Raises:
        TypeError: another training rule.
        ValueError: traced numbers.

    Example:
        >>> import jax.numpy as jnp, rfdsm
        >>> flow = rfdsm.GradientFlow(tau=1.0)
        >>> model = rfdsm.RFDSM(psi_n=8, psi_p=64, m=jnp.inf, t=0.1, training=flow)
        >>> times = rfdsm.timescales(model)
        >>> print(f"{times.bulks.tau_mem / times.bulks.tau_gen:.1f}")
        56.2
    """
    if is_traced(model):
        raise ValueError("timescales needs concrete numbers: call it outside of jit and grad.")
    model.training.at_times([1.0], contour.DIGITS)  # refuses what has no training time
    ends = np.asarray(model.edges())
    masses = np.asarray(model.bulk_masses(ends))
    return Timescales(from_bulks(model, ends, masses), _from_curves(model, ends))


def from_bulks(model: RFDSM, ends: np.ndarray, masses: np.ndarray) -> Times:
    """The times by the spectrum, of bulks as `RFDSM.edges` and `bulk_masses` give them."""
    population = 1 / float(model.psi_p)
    for first in range(1, len(ends)):
        if math.isclose(sum(masses[first:]), population, rel_tol=SAME_MASS):
            slowest, fastest = ends[first, 0], ends[first - 1, 1]
            return Times(learning_time(model, slowest), learning_time(model, fastest))
    return Times(math.nan, math.nan)


def _from_curves(model: RFDSM, ends: np.ndarray) -> Times:
    fastest = EARLY * learning_time(model, ends[-1, 1])
    slowest = LATE * learning_time(model, max(ends[0, 0], ends[-1, 1] / LONGEST))
    taus = np.geomspace(fastest, slowest, POINTS)
    best = float(model.baselines().best)
    errors = model.solve_trajectory(taus).errors

    def least(errors):
        return int(np.nanargmin(errors.score_error))

    def under(errors):
        crossed = np.flatnonzero(np.asarray(errors.memorization_loss) < best)
        return int(crossed[0]) if crossed.size else None

    def refined(find) -> float:
        """The time that `find` points at, on ever finer grids around it; NaN for None."""
        x, found = taus, find(errors)
        for _ in range(LOOKS):
            if found is None:
                break
            x = np.geomspace(x[max(found - 1, 0)], x[min(found + 1, len(x) - 1)], POINTS)
            found = find(model.solve_trajectory(x).errors)
        return math.nan if found is None else float(x[found])

    return Times(refined(least), refined(under))


def learning_time(model: RFDSM, x: float) -> float:
    """1/(κ(x + λ)), when gradient flow learns the modes of eigenvalue x; ∞ at x + λ = 0."""
    kappa = float(mode_rate(model.process.noising().h, model.psi_p))
    rate = kappa * (x + float(model.training.lam))
    return 1 / rate if rate > 0 else math.inf
