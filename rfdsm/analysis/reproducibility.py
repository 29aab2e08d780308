"""Whether networks that are trained on other data agree (docs/theory.md section 15)."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..ingredients.moments import Moments
from ..model import RFDSM


class Agreement(NamedTuple):
    """How far the outputs o_1, o_2 of two networks agree on fresh noised points.

    Attributes:
        correlation: E o_1·o_2/E|o|², at most 1.
        distance: √(E|o_1 - o_2|²/E|o|²) = √(2 (1 - correlation)), relative; 0 of one output.
    """

    correlation: Float[Array, " *shape"]
    distance: Float[Array, " *shape"]


class Reproducibility(NamedTuple):
    """The agreement of two networks of one model with own training points and noises.

    Attributes:
        shared_features: of networks with the same W. own_features: each with its own.
    """

    shared_features: Agreement
    own_features: Agreement


def reproducibility(
    model: RFDSM, *, moments: Any = None, inverse_m: Any = None
) -> Reproducibility:
    r"""How far two networks agree that are trained on data of their own.

    That two denoisers trained on disjoint halves of the data give the same output is taken for
    generalisation (Kadkhodaie et al., arXiv 2310.05264; of linear networks 2602.02908). What
    it says exactly: with own features

        1 - correlation = var(o)/E|o|²,    distance² = 2 var(o)/E|o|²,

    the output's variance over data, noises and W, relative to its square; with shared features
    what of the variance comes from the data. So agreement says that variance is small. It says
    nothing of the bias: networks that are hardly trained, or narrow, agree perfectly on a poor
    score, and `bias2` and `test_loss` tell that apart. Networks that memorise disagree on the
    data; of the noise they agree at few points, where both say y/√h (of a target with noise).

    Args:
        model: of both networks; also of an ensemble's each.
        moments: measured ones, as in `overlap`: `CrossMoments` tell of both; of plain
            `Moments`, one W, networks with own features are not known, NaN.
        inverse_m: as in `solve`.

    Returns:
        A `Reproducibility` of scalars, differentiable in every number of the model.

    Raises:
        NotConverged, TypeError, ValueError: as `RFDSM.overlap`.

    Example:
        >>> import rfdsm
        >>> model = rfdsm.RFDSM(psi_n=2, psi_p=3, m=2, t=0.2, lam=0.03)
        >>> found = rfdsm.reproducibility(model)
        >>> print(f"{found.shared_features.correlation:.3f} {found.own_features.distance:.3f}")
        0.545 0.975
    """

    def agreement(share):
        how = {"inverse_m": inverse_m, "moments": moments}
        correlation = model.overlap(share=share, **how).correlation
        return Agreement(correlation, jnp.sqrt(jnp.maximum(2 * (1 - correlation), 0.0)))

    shared = agreement(("features",))
    if isinstance(moments, Moments):
        unknown = jnp.full_like(shared.correlation, jnp.nan)
        return Reproducibility(shared, Agreement(unknown, unknown))
    return Reproducibility(shared, agreement(()))
