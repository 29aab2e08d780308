"""What to raise next, the training points, the features or the noises: slopes and doublings."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..errors import Errors, nan_explained
from ..model import RFDSM
from ..parameters.checks import is_traced

WORDS = {"n": "training points", "p": "features", "m": "noises"}
HELPS = 0.01  # of the test loss: what is worth saying
GOOD = 0.05  # a test loss that much above the best score's has little to gain


class Counts(NamedTuple):
    """A number each for the training points n, the features p and the noises per point m."""

    n: Float[Array, ""]
    p: Float[Array, ""]
    m: Float[Array, ""]


class Advice(NamedTuple):
    """What a change of n, p or m alone does to the test loss; all else stays, the ridge too.

    Attributes:
        errors: of the model. best_loss: of the true score; NaN where that is unknown.
        slopes: d test_loss/d log n, d log p and d log m, which at m = ∞ is 0.
        slope_of_inverse_m: d test_loss/d(1/m), which tells more there.
        doubled: the test loss with twice as many; NaN of m = ∞.
        features_per_pair: p/(n m); interpolation, where the test loss peaks, is at 1.
    """

    errors: Errors
    best_loss: Float[Array, ""]
    slopes: Counts
    slope_of_inverse_m: Float[Array, ""]
    doubled: Counts
    features_per_pair: Float[Array, ""]

    @property
    def gains(self) -> Counts:
        """The share of the test loss that twice as many take away, below 0 where they add."""
        return Counts(*(1 - loss / self.errors.test_loss for loss in self.doubled))

    @property
    def sentence(self) -> str:
        """Which of the three to raise next, and by how much it helps; of concrete numbers."""
        gains = {name: float(gain) for name, gain in self.gains._asdict().items()}
        known = [name for name in gains if math.isfinite(gains[name])]
        if not known:
            return "nothing is known of more points, features or noises: no solution there."
        first, *others = sorted(known, key=gains.get, reverse=True)
        to = f", to {float(getattr(self.doubled, first)):.4g}"
        told = [f"twice the {WORDS[first]} change the test loss by {self._change(first)}{to}"]
        told += [f"twice the {WORDS[name]} by {self._change(name)}" for name in others]
        above = float(self.errors.test_loss / self.best_loss) - 1
        if gains[first] > HELPS:
            head = f"raise {first} next"
        elif above < GOOD:
            head = f"the test loss is {100 * above:.2g} % above the best score's, little helps"
        elif min(gains[name] for name in known) < -HELPS:
            head = "more makes it worse or no better (tune the training rule first)"
        else:
            share = 100 * float(self.errors.bias2 / self.errors.score_error)
            head = f"little helps, bias² is {share:.2g} % of the score error (tune the rule)"
        return f"{head}: {'; '.join(told)}."

    def _change(self, name: str) -> str:
        """What doubling does to the test loss, in percent, and why where it is no help."""
        gain, of_peak = float(getattr(self.gains, name)), float(self.features_per_pair)
        nearer = 0 < of_peak < 1 if name == "p" else of_peak > 1
        why = ", towards the peak at p = n m" if gain < -HELPS and nearer else ""
        return f"{-100 * gain:+.2g} %{why}" if abs(gain) > 1e-4 else "0 %"


def advise(model: RFDSM) -> Advice:
    """Which of n, p and m to raise next, by the slopes of the test loss and by doubling each.

    Slopes are exact derivatives. Close to interpolation raising one may make it worse, at the
    same training rule; where nothing helps bias² is left, or the best score's own loss.

    Returns:
        An `Advice` of scalars, traceable but for its sentence; what is not solved is NaN.

    Raises:
        NotConverged, TypeError, ValueError: as `RFDSM.asymptotics`.

    Example:
        >>> import rfdsm
        >>> model = rfdsm.RFDSM(psi_n=8, psi_p=16, m=4, t=0.1, lam=1e-3)
        >>> advice = rfdsm.advise(model)
        >>> print(f"{advice.slopes.n:.3f} {advice.doubled.n:.3f}")
        -1.432 1.200
    """
    found = _advise(model)
    if not is_traced(model) and jnp.isnan(found.errors.test_loss):
        model.asymptotics()  # which says why
    return found


@nan_explained
@jax.jit
def _advise(model: RFDSM) -> Advice:
    at = jnp.stack([model.psi_n, model.psi_p, 1 / model.m])

    def loss(at):
        there = model.replace(psi_n=at[0], psi_p=at[1])
        errors = there.solve(inverse_m=at[2]).errors
        return errors.test_loss, errors

    slope, errors = jax.grad(loss, has_aux=True)(at)
    (n, p, m), _ = jax.vmap(loss)(at[None] * jnp.array([[2.0, 1, 1], [1, 2, 1], [1, 1, 0.5]]))
    return Advice(
        errors,
        model.baselines().best,
        Counts(*(slope * at * jnp.array([1.0, 1, -1]))),
        slope[2],
        Counts(n, p, jnp.where(at[2] > 0, m, jnp.nan)),
        at[1] / at[0] * at[2],
    )
