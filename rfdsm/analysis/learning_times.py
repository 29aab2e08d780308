"""When gradient flow generalises and when it memorises: by the losses and by the spectrum."""

import math
from typing import NamedTuple

import equinox as eqx
import numpy as np

from .._numerics import contour
from ..errors import codes
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..parameters.checks import is_traced

FALLEN = 0.1  # of the memorization loss: what counts as memorising
FLAT = 1e-7  # of what training gains: losses so near to each other are the same
POINTS = 241  # training times, between which the losses are interpolated
EARLY, LATE = 0.1, 10.0  # these go beyond the fastest and the slowest mode
LONGEST = 1e7  # the slowest mode looked at, relative to the fastest
# e^{-12} = 6e-6 of losses from moments, whose nodes are dear: both times are good to 3e-4, and
# the data's own error bar is a thousand times as large.
DIGITS = 12.0
SAME_MASS = 1e-3  # of the top bulks against d eigenvalues, relatively


class Times(NamedTuple):
    """Training times, in units in which dA/dτ = -d² ∇L; NaN where there is none.

    Attributes:
        tau_gen: when the network generalises.
        tau_mem: when it begins to memorise.
    """

    tau_gen: float
    tau_mem: float


UNKNOWN = Times(math.nan, math.nan)


class Timescales(NamedTuple):
    """The training times of `timescales`.

    Attributes:
        bulks: by the spectrum of U, when modes are learned.
        curves: by the losses, which `tau_gen` and `tau_mem` are too: the best time to stop,
            and when training points' loss has left it by a tenth.
        below_best: when memorization_loss falls under the loss of the best possible score on
            fresh data. A low bar: fitting the sample covariance is enough, before tau_gen.
        test_loss: at `tau_gen`, the least.
    """

    bulks: Times
    curves: Times
    below_best: float = math.nan
    test_loss: float = math.nan

    @property
    def tau_gen(self) -> float:
        """The best time to stop: of the least test loss (and score error)."""
        return self.curves.tau_gen

    @property
    def tau_mem(self) -> float:
        """When it begins to memorise: memorization_loss is a tenth below that at tau_gen."""
        return self.curves.tau_mem


def timescales(model: RFDSM, moments: Moments | None = None) -> Timescales:
    r"""The training times at which a model generalises and memorises.

    tau_gen is the best time to stop, where test_loss (and with it score_error) is least; NaN
    where training never lowers it. tau_mem >= tau_gen is where memorization_loss, which both
    follow up to there, has fallen a tenth below its value at tau_gen; NaN where it never does.
    With moments both are those of the data that these were measured on.

    Beside them, as `bulks`, the times by the spectrum of U (arXiv 2505.17638), whose modes are
    learned at the rates κ(x + λ), κ = 2w²/ψ_p: tau_gen = 1/(κ(x + λ)) at the lower end x of the
    population's bulks, which hold the d largest eigenvalues (its slowest mode), and tau_mem at
    the upper end of what lies below (the fastest mode that fits single points). NaN where no
    gap separates them, and with moments. For p >> n >> d at m = ∞ their ratio grows like psi_n.

    Args:
        model: with `GradientFlow` training, of which λ counts and tau does not.
        moments: measured ones, which replace the Gaussian theory of the data.

    Raises:
        TypeError: another training rule.
        ValueError: traced numbers; moments of another width, process or activation.

    Example:
        >>> import jax.numpy as jnp, rfdsm
        >>> flow = rfdsm.GradientFlow(tau=1.0)
        >>> model = rfdsm.RFDSM(psi_n=8, psi_p=64, m=jnp.inf, t=0.1, training=flow)
        >>> times = rfdsm.timescales(model)
        >>> print(f"{times.tau_gen:.1f} {times.tau_mem:.0f} {times.bulks.tau_mem:.0f}")
        16.0 452 850
    """
    if is_traced(model):
        raise ValueError("timescales needs concrete numbers: call it outside of jit and grad.")
    model.training.at_times([1.0], contour.DIGITS)  # refuses what has no training time
    if moments is not None:
        # Of either network, in the basis of Σ_c π_c (S_g,c + S_s,c): eigenvalues.
        of = getattr(moments, "left", moments).rotated
        x = np.einsum("...c,...cii->...i", of.weights, of.shared + of.fresh)
        return Timescales(UNKNOWN, *_from_curves(model, x.min(), x.max(), moments))
    ends = np.asarray(model.edges())
    bulks = from_bulks(model, ends, np.asarray(model.bulk_masses(ends)))
    return Timescales(bulks, *_from_curves(model, ends[0, 0], ends[-1, 1]))


def from_bulks(model: RFDSM, ends: np.ndarray, masses: np.ndarray) -> Times:
    """The times by the spectrum, of bulks as `RFDSM.edges` and `bulk_masses` give them."""
    population = 1 / float(model.psi_p)
    for first in range(1, len(ends)):
        if math.isclose(sum(masses[first:]), population, rel_tol=SAME_MASS):
            slowest, fastest = ends[first, 0], ends[first - 1, 1]
            return Times(learning_time(model, slowest), learning_time(model, fastest))
    return UNKNOWN


def learning_time(model: RFDSM, x: float) -> float:
    """1/(κ(x + λ)), when gradient flow learns the modes of eigenvalue x; ∞ at x + λ = 0."""
    kappa = float(model.denoising.rate(model.psi_p))
    rate = kappa * (x + float(model.training.lam))
    return 1 / rate if rate > 0 else math.inf


def _from_curves(model: RFDSM, low: float, top: float, moments=None) -> tuple:
    """`Timescales` but for the bulks, for eigenvalues of U from low to top."""
    fastest, slowest = (learning_time(model, x) for x in (top, max(low, top / LONGEST)))
    taus = np.geomspace(EARLY * fastest, LATE * slowest, POINTS)
    flow = model.training.at_times(taus, contour.DIGITS if moments is None else DIGITS)
    solution = eqx.tree_at(lambda m: m.training, model, flow).solve(moments=moments)
    solved = codes(solution.status) == 0
    losses = solution.errors.test_loss, solution.errors.memorization_loss
    if moments is not None and moments.draws is not None:
        solved, losses = solved.all(axis=0), [np.mean(x, axis=0) for x in losses]
    without = model.baselines()
    bars = float(without.null), float(without.best)
    return _of_losses(taus[solved], *(np.asarray(x)[solved] for x in losses), *bars)


def _of_losses(taus, test, memorization, null, best) -> tuple[Times, float, float]:
    """`_from_curves`, of the losses at these times, shape (times,).

    Args:
        null: the loss before training. best: the least possible one.
    """
    from scipy.interpolate import CubicSpline  # takes longer to import than all of the package

    if len(taus) < 4:
        return UNKNOWN, math.nan, math.nan
    x = np.log(taus)
    known, test = np.all(np.isfinite(memorization)), CubicSpline(x, test)

    def first(curve, level: float, after: float = x[0]) -> float:
        """The log time from which on a curve is at the level; NaN for never."""
        if math.isnan(level) or curve(after) <= level:
            return level if math.isnan(level) else after
        places = curve.solve(level, extrapolate=False)
        return min(places[places >= after], default=math.nan)

    least = min(test([*test.derivative().roots(extrapolate=False), x[0], x[-1]]))
    gain = null - least
    gen = first(test, least + FLAT * gain) if gain > FLAT * null else math.nan
    stop = x[0] if math.isnan(gen) else gen
    if not known:  # of networks on points of their own, which have none to memorise together
        return Times(math.exp(gen), math.nan), math.nan, float(test(stop))
    memorization = CubicSpline(x, memorization)
    mem = first(memorization, (1 - FALLEN) * memorization(stop), stop)
    below = first(memorization, best)
    return Times(math.exp(gen), math.exp(mem)), math.exp(below), float(test(stop))
