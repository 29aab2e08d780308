"""What the solver knows of the features: the one interface that it and the formulas read.

The features enter by their second moments alone, and each way of knowing those gives one-point
equations: averaged over the weights W (`averaged`), or measured (`measured`).
"""

import abc
from collections.abc import Sequence
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from ..ingredients.sharing import ALL, Shared


class OnePointEquations(eqx.Module):
    """The one-point equations of a kind of features, for some positive unknowns.

    Unknowns are an array, or a tuple of scalars where they are few: XLA then keeps each in a
    loop of its own kind. Residuals and steps come in the same form.

    Attributes:
        fixed_steps: Newton steps from `start` taken without a look at the residual. For
            equations that cost less than the look.
        one_by_one: whether a filter's nodes are solved one after another, for equations that
            fill the machine, and its memory, one at a time.
    """

    fixed_steps: eqx.AbstractClassVar[int]
    one_by_one: eqx.AbstractClassVar[bool]

    @property
    @abc.abstractmethod
    def null(self) -> Any:
        """The loss of no read-out, c_x² E|x|²/d + c_z²."""

    @abc.abstractmethod
    def start(self, lam: Float[Array, ""], u: Float[Array, ""]) -> Any:
        """Unknowns from which Newton converges, at λ > 0 and u = 1/m in [0, 1]."""

    def root(self, lam: Float[Array, ""], u: Float[Array, ""]) -> tuple[Any, Any] | None:
        """(unknowns, Newton steps) of equations with a way of their own; None: no such.

        With derivatives, which are not the solver's then.
        """
        return None

    @abc.abstractmethod
    def state(self, unknowns: Any, lam, u) -> Any:
        """Every quantity that a formula reads at given unknowns, solution or not.

        Of its fields `learning_curve` reads `alignment`, (1/d) tr T^T Q̄ T̃ (lin, αG in section
        4's symbols), `training_alignment` (lin_mem), and `penalised_loss`, null - K.
        """

    @abc.abstractmethod
    def residual(self, state: Any) -> Any:
        """The equations in the form Newton solves, numbers that are zero at the solution."""

    @abc.abstractmethod
    def newton_step(self, state: Any, residual: Any) -> Any:
        """-J^{-1} residual, J the Jacobian of `residual` in the logs of the unknowns."""

    @abc.abstractmethod
    def mismatch(self, state: Any) -> Float[Array, ""]:
        """The largest |F(X)/X - 1| of docs/theory.md's own equations X = F(X)."""

    @abc.abstractmethod
    def response(self, state: Any) -> Any:
        """What `sources` and `corners` read of a state, made once for all its pairs."""

    @abc.abstractmethod
    def sources(self, left: Any, right: Any) -> tuple[Any, Any, Any]:
        """The matrices C that the errors need: fresh data, training points, identity.

        C = E_y f f^T; C = (1/n) Σ_i E_z[f f^T | x_i], the training points with fresh noise;
        and C = I, whose two-point function at coinciding points is -dK/dλ.
        """

    @abc.abstractmethod
    def pairs(self, left: Any, right: Any) -> Any:
        """The matrix C = (1/N) Σ f_L f_R^T of the pairs that two networks were trained on."""

    @abc.abstractmethod
    def corners(
        self,
        left: Any,
        right: Any,
        sources: Sequence[Any],
        shared: Shared = ALL,
        other: Any = None,
    ) -> list[Float[Array, ""]]:
        """The corner K_o that each source puts between two responses; linear in the source.

        Args:
            left, right: responses of two points, of one network or of two.
            shared: what the two networks share; `other`: the right one's equations, where
                they are not these.
        """

    @abc.abstractmethod
    def score(self, nodes: Any, states: Any, test_gain: Any) -> tuple[Any, Any]:
        """(score_error, bias2), NaN where the true score is unknown.

        Args:
            nodes: the filter's `FilterNodes`; states: at its nodes, stacked.
            test_gain: test_loss - null.
        """
