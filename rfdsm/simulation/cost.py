"""What a simulation takes: time, memory, digits."""

import math

import jax.numpy as jnp
import numpy as np

from .._numerics.memory import require_memory
from ..parameters.checks import is_traced
from ..progress import FLOPS
from .experiment import POINTS_PER_DIMENSION, SHARED_AT_LEAST, Experiment, matrices
from .hermite import NODES
from .mehler import mehler_orders

VALUE = 5e-9  # seconds for one random number, or one value of the activation
# φ(0) times the rounding of U in mixed precision, at most. The errors change by less than twice
# this times their spread between trials where U has eigenvalues down to 0 (p = N, small h), and
# by far less elsewhere.
CHANGE = 0.02


def seconds(experiment: Experiment) -> float:
    """Time of a trial on two cores, roughly."""
    d, n, p, m = (getattr(experiment.sizes, name) for name in "dnpm")
    pairs, width = n * m, min(p, n * m)
    if math.isinf(m):
        of_sums = n * p * (NODES * VALUE / 2 + mehler_orders(p, d) * p / FLOPS)
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
    copies = 2 * min(p, n * m) ** 2  # of the normal matrix, on its way to its factor
    numbers = matrices(d, n, p, m, experiment.networks, sets) + copies
    return item * numbers + of_points + kept


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
    r"""Refuse mixed precision where it would be seen; of traced numbers nothing is known.

    Products in single precision round every entry of U by some ε E f², independently, which is
    a symmetric matrix δU of norm ε E f² √p. A filter turns it into a relative change of B of at
    most φ(0) |δU|; φ(0) is 1/λ of ridge and κτ of flow. The rounding of the features themselves
    is independent noise on each, that is a ridge of ε² E f², which is nothing.

    Raises:
        ValueError: φ(0) |δU| is above `CHANGE`.
    """
    if not experiment.mixed or is_traced(experiment):
        return
    noising = experiment.noising
    shared = noising.a**2 * experiment.sigma_x2
    of = experiment.activation.constants(shared, noising.h)
    square = of.mu0**2 + of.b**2 * (shared + noising.h) + of.v2 + of.s2
    rounding = float(jnp.finfo(jnp.float32).eps) * float(square)
    rounding *= math.sqrt(experiment.sizes.p)
    zero = jnp.zeros(1, noising.h.dtype)
    steepness = float(np.max(experiment.training.filter(zero, experiment.rate)))
    if not steepness * rounding <= CHANGE:
        raise ValueError(
            f"precision='mixed' rounds U by {rounding:.1g}, too much for a filter of "
            f"1/φ(0) = {1 / steepness:.1g} (lam of ridge): take one above "
            f"{rounding / CHANGE:.2g}, or precision='float64'."
        )
