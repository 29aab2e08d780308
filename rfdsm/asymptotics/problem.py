"""A problem of the theory: what the equations are written from."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

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
    def rate(self) -> Float[Array, ""]:
        """κ = 2h/ψ_p."""
        _, h = self.process.scales()
        return mode_rate(h, self.psi_p)

    def constants(self) -> Any:
        """The activation's Gaussian `Constants` on data of this law."""
        a, h = self.process.scales()
        return self.activation.constants(
            a**2 * jnp.sum(self.law.weights * self.law.eigenvalues), h
        )

    def ratios(self) -> list[Condition]:
        """The conditions on the ratios; their messages are those of construction."""
        return [
            ((self.psi_n > 0) & jnp.isfinite(self.psi_n), ""),
            ((self.psi_p > 0) & jnp.isfinite(self.psi_p), ""),
            ((self.inverse_m >= 0) & (self.inverse_m <= 1), ""),
        ]

    def domain(self) -> list[Condition]:
        """The conditions on the ratios and on every ingredient."""
        conditions = self.ratios()
        for ingredient in (self.process, self.training, self.law):
            conditions += ingredient.domain()
        return conditions
