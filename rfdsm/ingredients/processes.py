"""Forward noising y = a x + √h z: what a process gives to both roads is (a, h)."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..parameters.checks import Condition, positive, require, scalar
from ..parameters.numbers import number


class AbstractProcess(eqx.Module):
    """A forward process: y = a x + √h z with z ~ N(0, I) (docs/theory.md section 1).

    Both numbers are O(1) and may depend on the process' own, traced parameters.
    """

    @abc.abstractmethod
    def scales(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """(a, h): the factor on the data and the variance of the noise."""

    @abc.abstractmethod
    def domain(self) -> list[Condition]:
        """The conditions under which the process is defined, with their messages."""


class OrnsteinUhlenbeck(AbstractProcess):
    r"""The variance-preserving process at time t: a = e^{-t}, h = 1 - e^{-2t}.

    Args:
        t: diffusion time, > 0 and finite.

    Raises:
        ValueError: t is not positive and finite.
        TypeError: t is not a number.
    """

    t: Float[Array, ""] = number("t", "diffusion time", bounds=(1e-2, 3.0))

    def __init__(self, t: Any):
        self.t = scalar(t, "t")
        require(self.domain())

    def scales(self):
        # expm1: at t = 1e-4 the difference 1 - a² would lose four digits.
        return jnp.exp(-self.t), -jnp.expm1(-2 * self.t)

    def domain(self):
        return [positive(self.t, "the diffusion time t", ": at t = 0 there is no noise")]
