"""Forward noising y = a x + √h z: what a process gives to both roads is a `Noising`."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..parameters.checks import Condition, positive, require, scalar
from ..parameters.numbers import number
from ..parameters.words import described


class Noising(eqx.Module):
    """y = a x + √h z with z ~ N(0, I): what a process does to the data.

    Attributes:
        a: the factor on the data. h: the variance of the noise. Both are O(1).
    """

    a: Float[Array, ""]
    h: Float[Array, ""]

    def __call__(self, key: Array, x: Float[Array, "rows d"]):
        """(y, z) with one fresh noise for each row of x."""
        z = jax.random.normal(key, x.shape, x.dtype)
        return self.of(x, z), z

    def of(self, x: Float[Array, "*rows d"], z: Float[Array, "*rows d"]):
        """y of points and their noises."""
        return self.a * x + jnp.sqrt(self.h) * z

    def variances(self, eigenvalues: Float[Array, " k"]) -> Float[Array, " k"]:
        """σ_t = a²σ + h, the eigenvalues of the noised data."""
        return self.a**2 * eigenvalues + self.h


class AbstractProcess(eqx.Module):
    """A forward process: y = a x + √h z with z ~ N(0, I) (docs/theory.md section 1).

    Both numbers are O(1) and may depend on the process' own, traced parameters. Those are
    fields; `number` lets them be tuned, swept, and given on the command line as well.

    Example:
        >>> import jax, jax.numpy as jnp, rfdsm
        >>> class Interpolant(rfdsm.AbstractProcess):
        ...     "y = (1 - t) x + t z."
        ...     t: float = rfdsm.number("t", "time", bounds=(0.01, 0.99))
        ...
        ...     def scales(self):
        ...         return 1 - self.t, self.t**2
        ...
        ...     def domain(self):
        ...         return [((self.t > 0) & (self.t < 1), f"0 < t < 1, got {self.t}.")]
        >>> model = rfdsm.RFDSM(8, 16, 4, lam=1e-3, process=Interpolant(0.3))
        >>> print(f"{model.asymptotics().test_loss:.4f}")
        1.7592
    """

    __repr__ = described

    @abc.abstractmethod
    def scales(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """(a, h): the factor on the data and the variance of the noise."""

    def noising(self) -> Noising:
        """`scales` as one object."""
        return Noising(*self.scales())

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

    t: Float[Array, ""] = number(
        "t",
        "diffusion time",
        bounds=(1e-2, 3.0),
        meaning="y = a x + sqrt(h) z with a = e^{-t}, h = 1 - e^{-2t}",
    )

    def __init__(self, t: Any):
        self.t = scalar(t, "t")
        require(self.domain())

    def scales(self):
        # expm1: at t = 1e-4 the difference 1 - a² would lose four digits.
        return jnp.exp(-self.t), -jnp.expm1(-2 * self.t)

    def domain(self):
        return [positive(self.t, "the diffusion time t", ": at t = 0 there is no noise")]
