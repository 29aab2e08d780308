r"""Activation functions ϱ and their Gaussian constants (docs/theory.md section 3).

With Γ² = shared + fresh the variance of a preactivation, of which `shared` = a² σx² is common
to the noisy copies of a data point and `fresh` = h is not, r = shared/Γ² and g ~ N(0, 1),

    μ0 = E ϱ(Γg),   b = E[ϱ(Γg) g]/Γ,   c_k = E ϱ(Γg) He_k(g)/√k!
    v² = Σ_{k≥2} c_k² r^k,   s² = Σ_{k≥2} c_k² (1 - r^k)

The sums are never taken as differences of kernels: at large t v² is tiny, at small t s² is,
and both are accurate relatively, in value and in derivatives. Where a closed form exists it
is written in `shared` and `fresh` so that nothing cancels; else `quadrature` has a table.
"""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...parameters.words import described


class Constants(eqx.Module):
    """Gaussian constants of an activation at one noise level; all O(1) scalars.

    Attributes:
        mu0: μ0, the mean; it drops out of the theory.
        b: slope of the linear part.
        v2: v², variance of the nonlinear part that the copies of a point share.
        s2: s², variance of the nonlinear part that is fresh for every noise.
        error: bound on the absolute error of any of them; 0 for closed forms.
    """

    mu0: Float[Array, ""]
    b: Float[Array, ""]
    v2: Float[Array, ""]
    s2: Float[Array, ""]
    error: Float[Array, ""]


class AbstractActivation(eqx.Module):
    """An elementwise function with its Gaussian constants.

    Attributes:
        kinks: where the function or its derivative jumps, increasing.
    """

    kinks: eqx.AbstractVar[tuple[float, ...]]

    __repr__ = described

    @abc.abstractmethod
    def __call__(self, x: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
        """ϱ(x), elementwise."""

    @abc.abstractmethod
    def constants(self, shared: Any, fresh: Any) -> Constants:
        """The constants at Γ² = shared + fresh; differentiable at least twice.

        Args:
            shared: a² σx² >= 0, the variance common to the copies of a data point.
            fresh: h > 0, the variance that each noise adds.
        """


class Smooth(eqx.Module):
    """What an activation without kinks derives from too."""

    kinks: ClassVar[tuple[float, ...]] = ()


def floats(shared: Any, fresh: Any) -> tuple[Array, Array]:
    """Both as arrays of one float dtype; Python numbers are welcome."""
    dtype = jnp.result_type(float, shared, fresh)
    return jnp.asarray(shared, dtype), jnp.asarray(fresh, dtype)


@jax.custom_jvp
def split(shared, fresh):
    """(Γ², r, 1-r)."""
    gamma2 = shared + fresh
    return gamma2, shared / gamma2, fresh / gamma2


@split.defjvp
def _split_derivative(primals, tangents):
    # Differentiating the quotient shared/(shared + fresh) would cancel where fresh is small.
    gamma2, r, one_minus_r = split(*primals)
    d_shared, d_fresh = tangents
    d_r = (one_minus_r * d_shared - r * d_fresh) / gamma2
    return (gamma2, r, one_minus_r), (d_shared + d_fresh, d_r, -d_r)
