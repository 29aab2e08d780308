"""What a model says of two of its networks (docs/theory.md section 15)."""

import abc
from collections.abc import Iterable
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from .. import asymptotics as _theory
from ..ingredients.cross_moments import CrossMoments
from ..ingredients.sharing import ALL, alike, require_another, sharing
from ..overlaps import Overlap, VarianceParts
from ..parameters.checks import require


class Pairs(eqx.Module):
    """Two networks that share some of features W, training points X and their noises Z."""

    @abc.abstractmethod
    def _problem(self, inverse_m=None, moments=None) -> _theory.Problem:
        """The model as the theory takes it."""

    @abc.abstractmethod
    def _at_times(self, taus, moments=None) -> Any:
        """The model with all these training times for its rule's."""

    def overlap(
        self,
        other: Any = None,
        share: Iterable[str] | str = ALL.names,
        *,
        taus: Any = None,
        inverse_m: Any = None,
        moments: Any = None,
    ) -> Overlap:
        r"""S = (1/d) E o_1·o_2 of the outputs of two networks that share some of their draws.

        Args:
            other: the model of the second network; None: of the same one. Another training
                rule is allowed always, another m where noises, another psi_n where points,
                another psi_p where features are not shared; all else is the same.
            share: of "features", "points" and "noises" what the networks have in common;
                noises go with their points. () for nothing.
            taus: training times of gradient flow, both networks', in the place of its own;
                then results have shape (times,).
            inverse_m: as in `solve`, of both networks.
            moments: measured moments, as in `solve`; networks that do not share their features
                need `CrossMoments`. Of N points without halves S is that of all N, those
                trained on among them.

        Raises:
            NotConverged: a solve was not a success. Traced calls never raise: there the
                `Overlap`'s `status` says so, and the rows that failed are NaN.
            ValueError: an unknown name, noises shared without points, a number that differs
                where it may not; a learning rate, of either, at which its network diverges.
            TypeError: as `solve`, and another that is no model.

        Example:
            >>> import rfdsm
            >>> model = rfdsm.RFDSM(psi_n=2, psi_p=3, m=2, t=0.2, lam=0.03)
            >>> print(f"{model.overlap(share='points').correlation:.4f}")
            0.6187
        """
        shared = sharing(share)
        ours, theirs = self._both(other, shared, taus, inverse_m, moments)
        return _theory.told(_theory.overlap(ours, theirs, shared, moments), ours, theirs)

    def variance_parts(
        self,
        other: Any = None,
        *,
        output: bool = False,
        taus: Any = None,
        inverse_m: Any = None,
        moments: Any = None,
    ) -> VarianceParts:
        r"""What the variance of the score is made of; of two models, their covariance.

        Args:
            other: a model that differs in its training rule alone: then the parts of the
                covariance of the two networks' scores, which may be negative.
            output: the parts of the output's variance, in the units of the squared target: of
                a score they are those times the square of its slope in the output, and NaN
                where the true score is unknown.
            taus, inverse_m, moments: as of `overlap`.

        Raises:
            NotConverged, ValueError, TypeError: as of `overlap`.

        Example:
            >>> import rfdsm
            >>> model = rfdsm.RFDSM(psi_n=2, psi_p=3, m=2, t=0.2, lam=0.03)
            >>> shares = model.variance_parts().share()
            >>> print(f"{shares.noises:.3f} {shares.features:.3f}")
            0.450 0.043
        """
        ours, theirs = self._both(other, ALL, taus, inverse_m, moments)
        found = _theory.variance_parts(ours, theirs, moments, output=output)
        return _theory.told(found, ours, theirs)

    def implied_ridge(self, *, inverse_m: Any = None) -> Float[Array, ""]:
        r"""1/(ψ_p q), the λ/ψ_p of the kernel machine that infinitely many networks average to.

        Of networks with their own W, trained by ridge on the same pairs: finite width acts as
        a larger ridge (docs/theory.md section 15). NaN where it is not solved.

        Args:
            inverse_m: as in `solve`.

        Raises:
            ValueError: a training rule that is no ridge, and as `solve`.
        """
        return _theory.implied_ridge(self._problem(inverse_m))

    def _both(self, other, shared, taus, inverse_m, moments):
        """Both problems; None for the second where it is that of the first."""
        models = [self] if other is None else [self, other]
        require_another(models[-1], self)
        problems = [
            (model if taus is None else model._at_times(taus, moments))._problem(
                inverse_m, moments
            )
            for model in models
        ]
        if moments is not None:
            apart = isinstance(moments, CrossMoments) and not shared.features
            of = (moments.left, moments.right) if apart else (moments, moments)
            for model, each in zip((self, models[-1]), of, strict=True):
                require(each.conditions(*model._measured_with))
        if other is None:
            return problems[0], None
        require(alike(*problems, shared))
        return tuple(problems)
