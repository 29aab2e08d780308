"""What a model says of the spectrum of its features (docs/theory.md section 7)."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import asymptotics as _theory
from ..parameters.checks import float_array


class Spectral(eqx.Module):
    """The spectrum of U = (1/N) Σ f f^T of a problem; it does not depend on the target."""

    @abc.abstractmethod
    def _problem(self, inverse_m=None, moments=None) -> _theory.Problem:
        """The model as the theory takes it."""

    def density(self, x: Any) -> Float[Array, " *shape"]:
        """The density of eigenvalues of U = (1/N) Σ f f^T at x (docs/theory.md section 7).

        Without broadening, and without the atom (`atoms`): with it the density integrates to
        1 over x. 0 outside of the bulks (`edges`), NaN where it could not be solved.

        Args:
            x: eigenvalues, real, any shape; O(1), up to ψ_p for the largest at p >> d.

        Raises:
            TypeError: x is not real, or float32 numbers.
        """
        x = float_array(x, "x")
        return _theory.density(*self._spectrum(), x.ravel()).reshape(x.shape)

    def atoms(self) -> _theory.Atom:
        """The position and the mass of the eigenvalues that are all the same; mass 0 for none.

        At 0 where there are more features than pairs, of mass 1 - mψ_n/ψ_p; at m = ∞ at s²,
        of mass 1 - (1 + ψ_n)/ψ_p. In a real network the one at s² is smeared by O(s²/√d).
        """
        return _theory.atom(*self._spectrum())

    def edges(self) -> Float[Array, "bulks 2"]:
        """The ends of each bulk of the spectrum of U, ascending, shape (bulks, 2).

        For concrete numbers only: their count is not known before.

        Warns:
            UserWarning: a bulk is too narrow to be found.
        """
        return jnp.asarray(_theory.edges(*self._spectrum()))

    def bulk_masses(self, edges: Any = None) -> Float[Array, " bulks"]:
        """The share of all eigenvalues in each bulk of `edges` (`edges()`), shape (bulks,)."""
        edges = np.asarray(self.edges() if edges is None else edges)
        return jnp.asarray(_theory.bulk_masses(*self._spectrum(), edges))

    def largest_learning_rate(self) -> float:
        """η = 2/(κ(λ_max + λ)), from which on `GradientDescent` diverges."""
        return _theory.stable_rate(self._problem())

    def _spectrum(self):
        """(equations, u) of the averaged theory."""
        problem = self._problem()
        return _theory.averaged_equations(problem)[0], problem.inverse_m
