"""Theory against simulation: the limit of large dimension from two finite ones."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..errors import Errors, warn

RATIO_TOLERANCE = 1e-9


class Extrapolation(NamedTuple):
    """Simulated errors extrapolated to d = ∞.

    Attributes:
        errors: the extrapolated `Errors`, of scalars.
        standard_error: their statistical standard errors.
    """

    errors: Errors
    standard_error: Errors

    def z_score(self, theory: Errors) -> Errors:
        """(simulation - theory) / standard error, for each error."""
        return jax.tree.map(
            lambda x, se, y: (x - y) / se, self.errors, self.standard_error, theory
        )


def extrapolate(runs_small: Errors, runs_large: Errors) -> Extrapolation:
    r"""Extrapolate two simulations, linearly in 1/d, to d = ∞.

    Finite sizes shift every error by c/d + O(1/d²). From means e_1 at d_1 and e_2 at d_2,
    e = (d_2 e_2 - d_1 e_1)/(d_2 - d_1), with the standard errors combined accordingly.

    Args:
        runs_small: `simulate` at the smaller d, shape (trials,).
        runs_large: the same model at a larger d.

    Raises:
        ValueError: results that are not of simulations at two different dimensions.

    Warns:
        UserWarning: rounding gave the two runs different ratios n/d or p/d.
    """
    small, large = runs_small.sizes, runs_large.sizes
    if small is None or large is None:
        raise ValueError(
            "extrapolate takes what simulate returned (with sizes), not means or theory."
        )
    if small.d == large.d:
        raise ValueError(f"extrapolate needs two different dimensions, both are {small.d}.")
    ratios = ((getattr(x, name) for x in (small, large)) for name in ("psi_n", "psi_p", "m"))
    if not all(math.isclose(a, b, rel_tol=RATIO_TOLERANCE) for a, b in ratios):
        warn(
            f"rounding gave different ratios, n/d = {small.psi_n:.6g} and "
            f"{large.psi_n:.6g}, p/d = {small.psi_p:.6g} and {large.psi_p:.6g}: choose d "
            "so that psi_n d and psi_p d are integers."
        )
    span = large.d - small.d
    of_small, of_large = -small.d / span, large.d / span
    means = runs_small.mean(), runs_large.mean()
    bars = runs_small.standard_error(), runs_large.standard_error()
    return Extrapolation(
        jax.tree.map(lambda x, y: of_small * x + of_large * y, *means),
        jax.tree.map(lambda x, y: jnp.hypot(of_small * x, of_large * y), *bars),
    )
