"""What a simulation takes: time, memory, digits."""

import math

import jax.numpy as jnp
import numpy as np

from .._numerics.memory import require_memory
from ..parameters.checks import is_traced
from ..progress import FLOPS
from .experiment import POINTS_PER_DIMENSION, SHARED_AT_LEAST, Experiment, matrices
from .mehler import mehler_orders

VALUE = 5e-9  # seconds for one random number, or one value of the activation
# What single precision's products change: see `require_digits`.
ROUNDING, CHANGE = 0.05, 0.02


def seconds(experiment: Experiment) -> float:
    """Time of a trial on two cores, roughly."""
    d, n, p, m = (getattr(experiment.sizes, name) for name in "dnpm")
    pairs, width = n * m, min(p, n * m)
    if math.isinf(m):
        of_sums = n * p * (145 * VALUE / 2 + mehler_orders(p, d) * p / FLOPS)
    else:
        of_sums = pairs * (VALUE * (d + p) + (4 * p * d + p * width) / FLOPS)
    of_fit = (experiment.training.flops(width) + 2 * width**2 * d) / FLOPS
    of_measuring = _measured_on(experiment) * (VALUE * (d + p) + 4 * p * d / FLOPS)
    return experiment.networks * (of_sums + of_fit + of_measuring)


def memory(experiment: Experiment, trials: int = 1) -> float:
    """Bytes of one trial at a time, and of the deviations of all that `bias2` compares."""
    d, n, p, m = (getattr(experiment.sizes, name) for name in "dnpm")
    sets = 1 if experiment.ensemble.shared.points else experiment.networks
    item = experiment.noising.h.dtype.itemsize
    of_points = 4 * _measured_on(experiment) * d * experiment.dtype.itemsize
    kept = _deviations(experiment, trials) * experiment.dtype.itemsize
    return item * matrices(d, n, p, m, experiment.networks, sets) + of_points + kept


def require_budget(experiment: Experiment, trials: int, budget: float | None) -> None:
    """Refuse a simulation that would not fit into so many bytes; None: into the machine.

    Raises:
        MemoryError: it would not.
    """
    needed = memory(experiment, trials)
    if budget is not None and needed > budget:
        raise MemoryError(
            f"this simulation needs about {needed / 1e9:.2g} GB, memory allows "
            f"{budget / 1e9:.2g} GB: allow more, or take a smaller d, psi_n, psi_p or trials."
        )
    kept = 4 * _deviations(experiment, trials)
    what = f"{trials:.8g} trials of d = {experiment.sizes.d} need"
    require_memory(kept, what, "take fewer of them")


def _measured_on(experiment: Experiment) -> int:
    """How many points a trial is measured on, those of `bias2` included."""
    return 2 * POINTS_PER_DIMENSION * experiment.sizes.d + _shared(experiment)


def _shared(experiment: Experiment) -> int:
    d = experiment.sizes.d
    return max(SHARED_AT_LEAST, POINTS_PER_DIMENSION * d)


def _deviations(experiment: Experiment, trials: int) -> float:
    """Numbers of all trials' deviations at the points that they share."""
    known = experiment.sampler.noised_variances(experiment.noising) is not None
    return trials * _shared(experiment) * experiment.sizes.d if trials > 1 and known else 0


def require_digits(experiment: Experiment) -> None:
    r"""Refuse what single precision's products would change; nothing of traced numbers.

    A product of blocks of k pairs is rounded by about ε f² √(k/N) per entry of U (ε = 6e-8, k
    as far as one accumulator goes), a symmetric matrix of independent entries, whose norm is
    2√p times that. The filter turns a change δU into at most φ(0) |δU| of B, relatively: φ(0)
    is 1/λ of ridge, κτ of flow. The features' own rounding is noise of variance (ε f)²/12,
    a ridge of 1e-16, and does not matter.

    Raises:
        ValueError: φ(0) |δU| is above `CHANGE`.
    """
    if not experiment.mixed or is_traced(experiment):
        return
    noising = experiment.noising
    constants = experiment.activation.constants(noising.a**2 * experiment.sigma_x2, noising.h)
    gamma2 = noising.a**2 * experiment.sigma_x2 + noising.h
    square = constants.mu0**2 + constants.b**2 * gamma2 + constants.v2 + constants.s2
    rounding = ROUNDING * float(jnp.finfo(jnp.float32).eps) * float(square)
    rounding *= math.sqrt(experiment.sizes.p)
    x = jnp.zeros(1, noising.h.dtype)
    steepness = float(np.max(experiment.training.filter(x, experiment.rate)))
    if not steepness * rounding <= CHANGE:
        raise ValueError(
            f"precision='mixed' rounds U by {rounding:.1g}, too much for a filter as steep as "
            f"1/(x + {1 / steepness:.1g}): it needs {rounding / CHANGE:.1g} there, or "
            "precision='float64'."
        )
