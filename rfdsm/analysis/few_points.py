"""How far to trust moments of finitely many points (docs/theory.md section 12)."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..errors import LOSSES, Errors, FewPoints, warn
from ..ingredients.moments import Moments
from ..ingredients.rotated import eigenbasis
from ..model import RFDSM

ENOUGH = 0.01  # a relative error that is good enough
CONFIDENCE = 0.95  # of the error bar
LEFT = 0.5  # share of the bias that the extrapolation may leave; a third is much at N = 3 d
SMALL = 0.01  # N²/d² times the error of train losses near interpolation, in null losses


class SamplingError(NamedTuple):
    """How the number N of measured points moves the losses, at one model and its W.

    Attributes:
        bias: what may be left of the bias, of order 1/N, that the extrapolation takes away:
            half of it, in relative terms that of the test or memorization loss at least.
        spread: the losses' standard error over data sets of N points.
        total: the error bar, of a 95 % interval that the losses of N other points lie in too:
            that of the difference of two such, sqrt(2) spread, by Student's law with as many
            degrees of freedom as there are parts, less one, and added the bias, no chance.
        enough: N at which the error bar of the test loss would be 1 %.
    """

    bias: Errors
    spread: Errors
    total: Errors
    enough: int

    def share(self, errors: Errors) -> float:
        """The share of these errors' test loss that is uncertain."""
        return float(np.mean(self.total.test_loss) / np.mean(errors.test_loss))


def in_parts(moments: Any) -> bool:
    """Whether moments are those of one network's features, and of equal parts of the points."""
    return isinstance(moments, Moments) and moments.parts is not None


def sampling_error(model: RFDSM, moments: Moments) -> SamplingError:
    r"""The error bar of `asymptotics(moments=...)` that comes from finitely many points.

    To first order the losses are linear in the moments, and these are means over the points:
    with g the gradient of a loss L(N) in the moments M, and M_k those of the k-th of K parts,

        spread² = Σ_k (g·(M_k - M))² / (K (K - 1)),    bias = |L - L(N)|/2

    with L the extrapolated loss. One solve more, and a derivative of it. The draw of the
    features' weights is no part of the error bar: W is fixed.

    Args:
        model: at which to solve; moments: measured with `halves`.

    Returns:
        A `SamplingError` of scalars, or of shape (draws,).

    Raises:
        ValueError: the moments have no parts, or are those of two networks.
    """
    if not in_parts(moments):
        raise ValueError(
            "the moments have no parts: measure(..., halves=True) keeps them, of networks that "
            "share their features."
        )
    if moments.draws is not None:
        each = [sampling_error(model, moments.draw(i)) for i in range(moments.draws)]
        *errors, enough = zip(*each, strict=True)
        stack = (jax.tree.map(lambda *x: jnp.stack(x), *of) for of in errors)
        return SamplingError(*stack, max(enough))
    from scipy.stats import t  # takes longer to import than all of the package

    K = moments.parts.count
    whole = model.asymptotics(moments=moments)
    plain, gradient = _plain(model, moments.rotated, moments.with_population(None))
    moved = _influences(moments, jax.tree.map(np.asarray, gradient))
    spread = np.sqrt(np.sum(moved**2, axis=1) / (K * (K - 1)))
    losses = np.array([getattr(whole, name) for name in LOSSES])
    corrected = np.abs(losses - plain)
    # A small train loss hardly moves from halves to the whole, and is off all the same.
    shares = (corrected / losses)[[name != "train_loss" for name in LOSSES]]
    bias = LEFT * np.maximum(corrected, losses * np.nanmax(shares))  # NaN: of an ensemble
    d, N = moments.d, float(moments.population)
    small = SMALL * _null(model, moments) * (d / N) ** 2
    bias += np.where([name == "train_loss" for name in LOSSES], small, 0.0)
    by_spread = t.ppf((1 + CONFIDENCE) / 2, K - 1) * math.sqrt(2) * spread
    total = bias + by_spread
    # Of N' points the bar is bias N/N' + by_spread sqrt(N/N'): solved for sqrt(N'/N).
    b, s = (float(x[0] / whole.test_loss) / ENOUGH for x in (bias, by_spread))
    enough = math.ceil(N * ((s + math.sqrt(s**2 + 4 * b)) / 2) ** 2)
    return SamplingError(*map(_errors, (bias, spread, total)), enough)


@jax.jit
def _plain(model, rotated, moments):
    """(losses of the plain theory, shape (losses,), their gradient in the rotated moments)."""

    def losses(rotated):
        errors = model.solve(moments=eqx.tree_at(lambda m: m.rotated, moments, rotated)).errors
        values = jnp.stack([getattr(errors, name) for name in LOSSES])
        return values, values

    gradient, values = jax.jacrev(losses, has_aux=True)(rotated)
    return values, gradient


def _influences(moments: Moments, gradient) -> np.ndarray:
    """g·(M_k - M) of each part and loss, to first order in the shares of the classes."""
    parts, one = moments.parts, moments.weights is None
    whole = [np.asarray(x)[None] if one else x for x in (moments.S_g, moments.S_s)]
    basis = eigenbasis(*whole, np.asarray(moments.rotated.weights))
    # The parts are in the basis of the features.
    of_shared, of_fresh = (basis @ g @ basis.T for g in (gradient.shared, gradient.fresh))
    pairs = [(of_shared, parts.S_g), (of_fresh, parts.S_s), (basis @ gradient.cross, parts.T)]
    if parts.T_x is not None:
        pairs.append((basis @ gradient.cross_data, parts.T_x))
        pairs.append(tuple(x[..., None, None] for x in (gradient.square_data, parts.X2)))
    along = sum(np.einsum("lcxy,kcxy->lkc", g, S) for g, S in pairs)
    shares, mean = parts.weights, parts.weights.mean(0)
    along = (along - (shares * along).mean(1, keepdims=True) / mean) * shares / mean
    return along.sum(-1) + np.asarray(gradient.weights) @ (shares - mean).T


def _null(model: RFDSM, moments: Moments) -> float:
    """The loss of o = 0 on the measured points."""
    of = moments.rotated
    known = of.square_data is not None
    return float(model.denoising.null(np.sum(of.weights * of.square_data) if known else None))


def _errors(losses: np.ndarray) -> Errors:
    named = dict(zip(LOSSES, losses, strict=True))
    return Errors(**{"score_error": np.nan, "bias2": np.nan, "variance": np.nan} | named)


def warn_of_few_points(model: RFDSM, moments: Moments) -> None:
    """Warn where the extrapolation may leave more than 1 % of the model's test loss."""
    whole, plain = (
        model.asymptotics(moments=each).test_loss
        for each in (moments, moments.with_population(None))
    )
    share = LEFT * abs(float(whole - plain)) / float(whole)
    if share > ENOUGH:
        warn(
            f"N = {moments.population:g} points give the test loss of this model to "
            f"{100 * share:.2g} % only (see rfdsm.sampling_error): about N = "
            f"{share / ENOUGH * float(moments.population):.1g} would be enough for "
            f"{100 * ENOUGH:g} %.",
            FewPoints,
        )
