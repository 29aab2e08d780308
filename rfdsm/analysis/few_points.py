"""How far to trust moments of finitely many points (docs/theory.md section 12)."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..errors import Errors, FewPoints, warn
from ..ingredients.moments import Moments
from ..model import RFDSM

ENOUGH = 0.01  # a relative error that is good enough


class SamplingError(NamedTuple):
    """How the number N of measured points moves the errors, at one model.

    Attributes:
        bias: expected distance of the result from that of infinitely many points.
        spread: its standard error over data sets of N points.
        enough: N at which the test loss would be good to 1 %.
    """

    bias: Errors
    spread: Errors
    enough: int

    @property
    def total(self) -> Errors:
        """√(bias² + spread²): the error bar."""
        return jax.tree.map(jnp.hypot, self.bias, self.spread)

    def share(self, errors: Errors) -> float:
        """The share of these errors' test loss that is uncertain."""
        return float(self.total.test_loss / errors.test_loss)


def sampling_error(model: RFDSM, moments: Moments) -> SamplingError:
    r"""The error bar of `asymptotics(moments=...)` that comes from finitely many points.

    With e(N) = e + b/N + noise of order N^{-1/2}, the results e_1 and e_2 of the two halves of
    N/2 points each give the bias e(N) - e ≈ (e_1 + e_2)/2 - e(N) and the noise |e_1 - e_2|/2.

    Args:
        model: at which to solve; moments: measured with `halves`.

    Raises:
        ValueError: the moments have no halves.
    """
    if moments.halves is None:
        raise ValueError("the moments have no halves: measure(..., halves=True) keeps them.")
    N = 2 * float(moments.halves.population or 0)
    # Too few are left out of a half where it hardly holds the training points.
    if 2 * model.psi_n * moments.d >= moments.halves.population:
        moments = moments.with_population(None)
    whole = model.asymptotics(moments=moments)
    halves = model.asymptotics(moments=moments.halves)
    bias = jax.tree.map(lambda e, both: jnp.mean(both, 0) - e, whole, halves)
    spread = jax.tree.map(lambda both: jnp.abs(both[0] - both[1]) / 2, halves)
    by_bias, by_spread = (
        float(jnp.abs(x.test_loss) / whole.test_loss) / ENOUGH for x in (bias, spread)
    )
    return SamplingError(bias, spread, math.ceil(N * max(by_bias, by_spread**2)))


def warn_of_few_points(model: RFDSM, moments: Moments) -> None:
    """Warn where their number moves the test loss of the model by more than 1 %."""
    error = sampling_error(model, moments)
    share = error.share(model.asymptotics(moments=moments))
    if share > ENOUGH:
        warn(
            f"N = {moments.population:g} points give the test loss of this model to "
            f"{100 * share:.2g} % only (see rfdsm.sampling_error): about "
            f"N = {error.enough:.1g} would be enough for {100 * ENOUGH:g} %.",
            FewPoints,
        )
