"""`RFDSM`: one object that describes a problem, and the two roads that lead from it.

Each method is a line or two that calls a road with numbers and ingredients; the roads do
not know this class.
"""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from .. import asymptotics as _theory
from .._numerics import contour
from ..errors import Baselines, Errors, Sizes, Solution
from ..ingredients.activations import AbstractActivation, Tanh
from ..ingredients.cross_moments import CrossMoments
from ..ingredients.data import AbstractData, Gaussian, baselines
from ..ingredients.ensembles import AbstractEnsemble, Single
from ..ingredients.moments import Moments
from ..ingredients.processes import AbstractProcess, OrnsteinUhlenbeck
from ..ingredients.targets import AbstractTarget, Denoising, ScoreTarget
from ..ingredients.training import AbstractTraining, Ridge
from ..parameters.checks import (
    float_leaves,
    positive,
    require,
    require_float64,
    scalar,
)
from ..parameters.copies import replaced
from ..parameters.numbers import ingredient, number, one_of, require_ingredients
from ..parameters.plain import from_plain, to_plain
from ..parameters.scales import INVERSE
from ..parameters.words import described
from .pairs import Pairs
from .simulated import Simulated
from .spectral import Spectral

AnyMoments = Moments | CrossMoments

MEASURED_DIGITS = 21.0  # e^{-21} = 1e-9 of a trajectory from moments, whose nodes are dear


class RFDSM(Simulated, Spectral, Pairs):
    r"""Denoising score matching with a random-features network, at fixed ratios.

    s_A(y) = (A/√p) ϱ(W y/√d), W (p×d) iid N(0, 1) and frozen, A trained on n points with m
    noises each; d, n, p → ∞ at psi_n = n/d and psi_p = p/d (docs/theory.md section 1).

    A pytree whose numbers are traced float arrays: a new value never recompiles, and
    `jax.grad` of a function of the model is an RFDSM of derivatives.

    Args:
        psi_n: data points per dimension, n/d > 0.
        psi_p: features per dimension, p/d > 0.
        m: noises per data point, any real number >= 1 or infinity.
        t: shorthand for process=OrnsteinUhlenbeck(t).
        lam: shorthand for training=Ridge(lam).
        process: the forward noising, y = a x + √h z.
        target: what the output is fitted to; the score unless told. Losses are in its units,
            score_error, bias2 and variance those of the score that it implies.
        training: the training rule.
        activation: ϱ; tanh unless told.
        data: the law of the data; isotropic Gaussian unless told.
        ensemble: how many networks are averaged; one unless told.

    Raises:
        ValueError: a number outside of its domain, an array where one number belongs, a
            shorthand beside its ingredient, or neither of the two.
        TypeError: something that is not a number or not an ingredient.

    Example:
        >>> import rfdsm
        >>> model = rfdsm.RFDSM(psi_n=8, psi_p=16, m=4, t=0.1, lam=1e-3)
        >>> print(f"{model.asymptotics().test_loss:.4f}")
        1.8322
    """

    psi_n: Float[Array, ""] = number(
        r"\psi_n", "data points per dimension, n/d", bounds=(0.1, 100.0), count="n"
    )
    psi_p: Float[Array, ""] = number(
        r"\psi_p", "features per dimension, p/d", bounds=(0.1, 100.0), count="p", measured=True
    )
    m: Float[Array, ""] = number(
        "m", "noises per data point", bounds=(1.0, np.inf), scale=INVERSE, integer=True
    )
    process: AbstractProcess = ingredient(AbstractProcess, measured=True)
    target: AbstractTarget = ingredient(AbstractTarget, usual=ScoreTarget)
    activation: AbstractActivation = ingredient(AbstractActivation, measured=True)
    data: AbstractData = ingredient(AbstractData, measured=True)
    training: AbstractTraining = ingredient(AbstractTraining)
    ensemble: AbstractEnsemble = ingredient(AbstractEnsemble, usual=Single)

    def __init__(
        self,
        psi_n: Any,
        psi_p: Any,
        m: Any,
        *,
        t: Any = None,
        lam: Any = None,
        process: AbstractProcess | None = None,
        target: AbstractTarget | None = None,
        training: AbstractTraining | None = None,
        activation: AbstractActivation | None = None,
        data: AbstractData | None = None,
        ensemble: AbstractEnsemble | None = None,
    ):
        self.psi_n = scalar(psi_n, "psi_n")
        self.psi_p = scalar(psi_p, "psi_p")
        self.m = scalar(m, "m")
        self.process = one_of("t", t, "process", process, OrnsteinUhlenbeck)
        self.training = one_of("lam", lam, "training", training, Ridge)
        self.target = ScoreTarget() if target is None else target
        self.activation = Tanh() if activation is None else activation
        self.data = Gaussian() if data is None else data
        self.ensemble = Single() if ensemble is None else ensemble
        require_ingredients(self)
        for name, each in vars(self).items():
            setattr(self, name, float_leaves(each))
        many = "m, the number of noises per data point, must be >= 1 (jnp.inf is allowed)"
        require(
            [
                positive(self.psi_n, "psi_n = n/d"),
                positive(self.psi_p, "psi_p = p/d"),
                (self.m >= 1, f"{many}, got {self.m}."),
                *self.target.domain(self.process),
            ]
        )

    __repr__ = described

    @property
    def denoising(self) -> Denoising:
        """The regression: y = a x + √h z, the target's coefficients, w."""
        return self.target.denoising(self.process)

    def noise_loss(self, loss: Any) -> Any:
        """E|ẑ - z|²/d of the noise that the output implies, of a loss in the target's units.

        It is a²/(a c_z - √h c_x)² times the loss, exactly and for any data, so that losses on
        images compare across targets; of the default it is the loss itself.
        """
        return self.denoising.noise_loss(loss)

    def solve(
        self,
        *,
        inverse_m: Any = None,
        moments: AnyMoments | None = None,
        precision: str = "float64",
    ) -> Solution:
        """The asymptotic errors with the status of the solve.

        A failure to solve is a status; what is raised is concrete input that is invalid.

        Args:
            inverse_m: u = 1/m in [0, 1], overriding m; differentiable at 0 (m = ∞), where
                the derivative in m itself is 0.
            moments: measured moments of the features, which replace the Gaussian theory of
                the data (docs/theory.md section 12). psi_p, process and activation must be the
                measured ones, derivatives in them (and in the data) are NaN; score_error,
                bias2 and variance are NaN. Inside of a jit pass them as an argument.
            precision: "float32" for accelerators, with or without jax_enable_x64: numbers of
                any precision are rounded, the errors are float32, and `Solution.rounding` is a
                bound on what that costs them. Of one network of ridge on data of one
                eigenvalue; a row whose bound is above 1e-3 of max(value, 1) is NaN, its
                status needs_float64. No derivatives.

        Returns:
            A `Solution` of scalars, or of shape (draws,) where the moments have several;
            under vmap every row has its own status, and a row that failed is NaN in value
            and derivative.

        Raises:
            TypeError: float32 numbers, which cannot carry the answer of float64; what is no
                moments; a derivative of precision="float32".
            ValueError: concrete input that is invalid: inverse_m outside of [0, 1]; a learning
                rate at which gradient descent diverges, or any with moments; moments of another
                width, process or activation, or of fewer points than the model asks for.
                (Traced, that is a status.) A precision of another name, or of a problem that
                float32 does not cover.
        """
        if _theory.is_float32(precision, moments):
            return _theory.solve_float32(self._numbers(inverse_m))
        problem = self._problem(inverse_m, moments)
        if moments is not None:
            require(moments.conditions(*self._measured_with))
        solution = _theory.solve(problem, moments)
        _theory.require_stable(solution, problem)
        return solution

    def asymptotics(
        self, *, inverse_m: Any = None, moments: AnyMoments | None = None
    ) -> Errors:
        """The asymptotic errors (docs/theory.md sections 6, 12), differentiable in all numbers.

        Args:
            inverse_m, moments: as in `solve`.

        Raises:
            NotConverged: the solve was not a success. Traced calls (under jit, vmap or
                grad) never raise: there the failed rows are NaN.
            TypeError, ValueError: as `solve`.

        Warns:
            UserWarning: the activation's constants are so inaccurate that it shows in an
                error (`Solution.constants_error`).
        """
        solution = self.solve(inverse_m=inverse_m, moments=moments)
        return _theory.errors_of(solution, self._problem(inverse_m), moments)

    def solve_trajectory(
        self, taus: Any, *, inverse_m: Any = None, moments: AnyMoments | None = None
    ) -> Solution:
        """The errors at many training times, from one- and two-point functions computed once.

        Args:
            taus: training times τ >= 0, shape (times,), in place of the `GradientFlow`'s own
                and in its unit, dA/dτ = -d² ∇L. Differentiable. Concrete ones cost as many
                quadrature nodes as their range needs, traced ones the most.
            inverse_m, moments: as in `solve`.

        Returns:
            A `Solution` whose errors and status have shape (times,), with several draws of
            the moments (draws, times).

        Raises:
            TypeError, ValueError: as `solve`; the training rule is not a `GradientFlow`, or a
                training time is negative or not finite.
        """
        return self._at_times(taus, moments).solve(inverse_m=inverse_m, moments=moments)

    def trajectory(
        self, taus: Any, *, inverse_m: Any = None, moments: AnyMoments | None = None
    ) -> Errors:
        """The asymptotic errors along gradient flow, shape (times,).

        Args:
            taus, inverse_m, moments: as in `solve_trajectory`.

        Raises:
            NotConverged, TypeError, ValueError: as `asymptotics` and `solve_trajectory`.

        Example:
            >>> import jax.numpy as jnp, rfdsm
            >>> flow = rfdsm.GradientFlow(tau=1.0)
            >>> model = rfdsm.RFDSM(psi_n=8, psi_p=64, m=jnp.inf, t=0.1, training=flow)
            >>> errors = model.trajectory(jnp.geomspace(0.1, 1e5, 100))
            >>> print(f"{errors.score_error.min():.4f}")
            0.0436
        """
        return self._at_times(taus, moments).asymptotics(inverse_m=inverse_m, moments=moments)

    def _at_times(self, taus, moments=None) -> "RFDSM":
        """The model with all these training times for its rule's."""
        digits = contour.DIGITS if moments is None else MEASURED_DIGITS
        return eqx.tree_at(lambda m: m.training, self, self.training.at_times(taus, digits))

    def at(self, sizes: Sizes) -> "RFDSM":
        """The model at the ratios (and shares of the atoms) that a simulation realised."""
        changes: dict[str, Any] = {"psi_n": sizes.psi_n, "psi_p": sizes.psi_p}
        if sizes.counts is not None:
            changes["data.weights"] = np.asarray(sizes.counts) / sizes.d
        return self.replace(**changes)

    def baselines(self) -> Baselines:
        """The losses of scores that need no network, to hold the errors against."""
        return baselines(self.denoising, self.data)

    def replace(self, **changes: Any) -> "RFDSM":
        """A changed copy: ``model.replace(psi_p=3.0, lam=1e-4)``.

        Names are fields (``psi_p``, ``data``), dotted paths, given as a dictionary,
        ``model.replace(**{"training.lam": 1e-4, "data.eigenvalues": (1.9, 0.1)})``, and their
        last parts where these are unique: ``t``, ``lam``, ``tau``, ``slope``, ``eigenvalues``.

        Raises:
            ValueError: an unknown name, one that the current ingredient lacks, or one
                given twice.
        """
        return replaced(self, changes)

    def to_dict(self) -> dict[str, Any]:
        """The model as plain JSON (infinity as "inf"); `from_dict` reads it back.

        Raises:
            ValueError: traced numbers, a user's own function, or `Samples`.
        """
        return to_plain(self)

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> "RFDSM":
        """The model that `to_dict` described.

        Raises:
            ValueError: a missing or unknown name or kind.
        """
        return from_plain(cls, description)

    @property
    def _measured_with(self):
        """What moments are held against."""
        return self.psi_n, self.psi_p, self.process, self.activation, self.denoising

    def _problem(self, inverse_m=None, moments=None) -> _theory.Problem:
        if not isinstance(moments, AnyMoments | None):
            raise TypeError(
                f"moments must be those of rfdsm.measure(...), got {type(moments)}."
            )
        problem = self._numbers(inverse_m)
        require_float64((problem, moments))
        return problem

    def _numbers(self, inverse_m) -> _theory.Problem:
        """The problem in the precision of its numbers."""
        if inverse_m is None:
            u = 1 / scalar(self.m, "m")
        else:
            u = scalar(inverse_m, "inverse_m")
            require([((u >= 0) & (u <= 1), f"inverse_m = 1/m must lie in [0, 1], got {u}.")])
        kinds = self.process, self.target, self.activation, self.data.law(), self.training
        numbers = self.psi_n, self.psi_p, u
        return float_leaves(_theory.Problem(*numbers, *kinds, self.ensemble))
