"""A problem of the theory: what the equations are written from."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..ingredients.processes import Noising
from ..ingredients.training import mode_rate
from ..parameters.checks import Condition


class Problem(eqx.Module):
    """The numbers and ingredients of a model, as the theory takes them.

    Attributes:
        psi_n, psi_p: n/d and p/d, > 0; inverse_m: u = 1/m in [0, 1].
        process, activation, training: ingredients; law: the eigenvalue `Law` of the data.
    """

    psi_n: Float[Array, ""]
    psi_p: Float[Array, ""]
    inverse_m: Float[Array, ""]
    process: Any
    activation: Any
    law: Any
    training: Any

    @property
    def noising(self) -> Noising:
        """y = a x + √h z."""
        return self.process.noising()

    @property
    def rate(self) -> Float[Array, ""]:
        """κ = 2h/ψ_p."""
        return mode_rate(self.noising.h, self.psi_p)

    def constants(self) -> Any:
        """The activation's Gaussian `Constants` on data of this law."""
        noising, sigma_x2 = self.noising, jnp.sum(self.law.weights * self.law.eigenvalues)
        return self.activation.constants(noising.a**2 * sigma_x2, noising.h)

    def domain(self, *, measured: bool = False) -> list[Condition]:
        """The conditions on the ratios (whose messages are construction's) and ingredients.

        Args:
            measured: of features whose moments are given: on psi_n, m and training alone.
        """
        ingredients = (self.training, *(() if measured else (self.process, self.law)))
        ratios = [
            ((self.psi_n > 0) & jnp.isfinite(self.psi_n), ""),
            ((self.psi_p > 0) & jnp.isfinite(self.psi_p), ""),
            ((self.inverse_m >= 0) & (self.inverse_m <= 1), ""),
        ]
        return sum((ingredient.domain() for ingredient in ingredients), ratios)
