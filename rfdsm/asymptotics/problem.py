"""A problem of the theory: what the equations are written from."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..ingredients.processes import Noising
from ..ingredients.targets import Denoising
from ..parameters.checks import Condition


class Problem(eqx.Module):
    """The numbers and ingredients of a model, as the theory takes them.

    Attributes:
        psi_n, psi_p: n/d and p/d, > 0; inverse_m: u = 1/m in [0, 1].
        process, target, activation, training: ingredients; law: the data's eigenvalue `Law`.
        ensemble: the networks that are averaged.
    """

    psi_n: Float[Array, ""]
    psi_p: Float[Array, ""]
    inverse_m: Float[Array, ""]
    process: Any
    target: Any
    activation: Any
    law: Any
    training: Any
    ensemble: Any

    @property
    def noising(self) -> Noising:
        """y = a x + √h z."""
        return self.process.noising()

    @property
    def denoising(self) -> Denoising:
        """What the network's output is fitted to, at noised points."""
        return self.target.denoising(self.process)

    @property
    def rate(self) -> Float[Array, ""]:
        """κ = 2w²/ψ_p, 2h/ψ_p where the network is the score."""
        return self.denoising.rate(self.psi_p)

    def constants(self) -> Any:
        """The activation's Gaussian `Constants` on data of this law."""
        noising, sigma_x2 = self.noising, jnp.sum(self.law.weights * self.law.eigenvalues)
        return self.activation.constants(noising.a**2 * sigma_x2, noising.h)

    def domain(self, *, measured: bool = False) -> list[Condition]:
        """The conditions on the ratios (whose messages are construction's) and ingredients.

        Args:
            measured: of features whose moments are given: on psi_n, m, training and target.
        """
        free = () if measured else (self.process, self.law)
        ingredients = (self.training, self.ensemble, *free)
        ratios = [
            ((self.psi_n > 0) & jnp.isfinite(self.psi_n), ""),
            ((self.psi_p > 0) & jnp.isfinite(self.psi_p), ""),
            ((self.inverse_m >= 0) & (self.inverse_m <= 1), ""),
        ]
        domains = [each.domain() for each in ingredients]
        return sum([*domains, self.target.domain(self.process)], ratios)
