"""Forward noising y = a x + √h z: what a process gives to both roads is a `Noising`."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..parameters.checks import Condition, namespace, positive, require, scalar
from ..parameters.numbers import number
from ..parameters.scales import LINEAR
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
    fields; `number` lets them be tuned, swept, and given on the command line as well, where
    the class' name or its class variable `short` names the kind.

    Example:
        >>> import jax, jax.numpy as jnp, rfdsm
        >>> class Cosine(rfdsm.AbstractProcess):
        ...     "a = cos(π s/2), √h = sin(π s/2)."
        ...     s: float = rfdsm.number("s", "time", bounds=(0.01, 0.99))
        ...
        ...     def scales(self):
        ...         return jnp.cos(jnp.pi * self.s / 2), jnp.sin(jnp.pi * self.s / 2) ** 2
        ...
        ...     def domain(self):
        ...         return [((self.s > 0) & (self.s < 1), f"0 < s < 1, got {self.s}.")]
        >>> model = rfdsm.RFDSM(8, 16, 4, lam=1e-3, process=Cosine(0.3))
        >>> print(f"{model.asymptotics().test_loss:.4f}")
        1.7095
    """

    __repr__ = described

    @abc.abstractmethod
    def scales(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """(a, h): the factor on the data and the variance of the noise."""

    def noising(self) -> Noising:
        """`scales` as one object."""
        return Noising(*self.scales())

    def velocity(self) -> tuple[Any, Any]:
        """(ȧ, d√h/ds) in the process' own time s, of which `VelocityTarget` is made.

        Another time rescales both, which changes losses by a factor and scores not at all.

        Raises:
            ValueError: the kind does not say.
        """
        kind = type(self).__name__
        raise ValueError(
            f"{kind} does not say its velocity: define {kind}.velocity(), giving the "
            "derivatives of a and sqrt(h) in its time, or take LinearTarget."
        )

    @property
    def log_snr(self) -> Float[Array, ""]:
        """log(a²/h), the logarithm of the ratio of signal to noise."""
        a, h = self.scales()
        return 2 * jnp.log(a) - jnp.log(h)

    @classmethod
    def from_log_snr(cls, log_snr: Any) -> "AbstractProcess":
        """The process at this `log_snr`, to compare two at the same level of noise.

        Raises:
            ValueError: the kind does not say how.
        """
        raise ValueError(f"{cls.__name__} does not say which of its numbers has a log_snr.")

    @abc.abstractmethod
    def domain(self) -> list[Condition]:
        """The conditions under which the process is defined, with their messages."""


class OrnsteinUhlenbeck(AbstractProcess):
    r"""The variance-preserving process at time t: a = e^{-t}, h = 1 - e^{-2t}.

    Its velocity is that of the angle φ with a = cos φ and √h = sin φ: (-√h, a).

    Args:
        t: diffusion time, > 0 and finite.

    Raises:
        ValueError: t is not positive and finite.
        TypeError: t is not a number.
    """

    short: ClassVar[str] = "ou"
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
        xp = namespace(self.t)
        return xp.exp(-self.t), -xp.expm1(-2 * self.t)

    def velocity(self):
        return _turning(self)

    @classmethod
    def from_log_snr(cls, log_snr):
        return cls(jax.nn.softplus(-scalar(log_snr, "log_snr")) / 2)

    def domain(self):
        return [positive(self.t, "the diffusion time t", ": at t = 0 there is no noise")]


class VariancePreserving(AbstractProcess):
    r"""The variance-preserving process by its signal: a = √ᾱ, h = 1 - ᾱ.

    ᾱ = e^{-2t} is `OrnsteinUhlenbeck` at time t, and ᾱ_t the product of a schedule's 1 - β.
    Its velocity is that of the angle φ with a = cos φ and √h = sin φ: (-√h, a).

    Args:
        alpha_bar: ᾱ, in (0, 1).

    Raises:
        ValueError: ᾱ is not in (0, 1).
        TypeError: ᾱ is not a number.
    """

    short: ClassVar[str] = "vp"
    alpha_bar: Float[Array, ""] = number(
        r"\bar\alpha",
        "signal",
        bounds=(0.05, 0.95),
        scale=LINEAR,
        allowed="in (0, 1)",
        meaning="y = a x + sqrt(h) z with a = sqrt(alpha_bar), h = 1 - alpha_bar",
    )

    def __init__(self, alpha_bar: Any):
        self.alpha_bar = scalar(alpha_bar, "alpha_bar")
        require(self.domain())

    def scales(self):
        return namespace(self.alpha_bar).sqrt(self.alpha_bar), 1 - self.alpha_bar

    def velocity(self):
        return _turning(self)

    @classmethod
    def from_log_snr(cls, log_snr):
        return cls(jax.nn.sigmoid(scalar(log_snr, "log_snr")))

    def domain(self):
        hint = ": at 1 there is no noise, at 0 no data"
        return [_between(self.alpha_bar, "alpha_bar", hint)]


class VarianceExploding(AbstractProcess):
    r"""Noise of any size on data as they are: a = 1, √h = σ.

    Its velocity in σ is (0, 1): to predict it is to predict the noise. `preconditioned` is the
    same process seen by a network with scaled input.

    Args:
        sigma: σ, > 0 and finite.

    Raises:
        ValueError: σ is not positive and finite.
        TypeError: σ is not a number.
    """

    short: ClassVar[str] = "ve"
    sigma: Float[Array, ""] = number(
        r"\sigma",
        "noise level",
        bounds=(0.05, 10.0),  # whose variance every activation has a table for
        meaning="y = x + sigma z",
    )

    def __init__(self, sigma: Any):
        self.sigma = scalar(sigma, "sigma")
        require(self.domain())

    def scales(self):
        return namespace(self.sigma).ones_like(self.sigma), self.sigma**2

    def velocity(self):
        return 0, 1

    @classmethod
    def from_log_snr(cls, log_snr):
        return cls(jnp.exp(-scalar(log_snr, "log_snr") / 2))

    def domain(self):
        return [positive(self.sigma, "sigma", ": at sigma = 0 there is no noise")]


class FlowMatching(AbstractProcess):
    r"""The straight line from data to noise: a = 1 - t, √h = t, of velocity (-1, 1).

    It is a multiple of `OrnsteinUhlenbeck` at the same log_snr, y = c y_OU with
    c = √((1-t)² + t²), and W y/√d is c times as large. With a positively homogeneous activation
    (ReLU, LeakyReLU) so are the features, hence U is c² and V = (1/N) Σ f τ^T c times as
    large, and for ridge at c² λ the output B f = V^T (U + c² λ)^{-1} f is the same for every
    target that is the same combination of x and z: h·score_error and all losses agree. Under
    gradient flow so do they at τ/c², of the score, whose rate κ has an h, at τ/c⁴. With any
    other activation the errors differ.

    Args:
        t: in (0, 1), 0 at the data.

    Raises:
        ValueError: t is not in (0, 1).
        TypeError: t is not a number.
    """

    short: ClassVar[str] = "fm"
    t: Float[Array, ""] = number(
        "t",
        "flow time",
        bounds=(0.05, 0.95),
        scale=LINEAR,
        allowed="in (0, 1)",
        meaning="y = (1 - t) x + t z",
    )

    def __init__(self, t: Any):
        self.t = scalar(t, "t")
        require(self.domain())

    def scales(self):
        return 1 - self.t, self.t**2

    def velocity(self):
        return -1, 1

    @classmethod
    def from_log_snr(cls, log_snr):
        return cls(jax.nn.sigmoid(-scalar(log_snr, "log_snr") / 2))

    def domain(self):
        hint = ": at 0 there is no noise, at 1 no data"
        return [_between(self.t, "the time t of flow matching", hint)]


class Preconditioned(AbstractProcess):
    r"""`VarianceExploding` seen through the scaled input of Karras et al. (2022, table 1).

    The network sees c_in (x + σ z) with c_in = 1/√(σ² + σ_data²): a = c_in, √h = c_in σ. Its
    velocity in the angle arctan(σ/σ_data) is (-√h/σ_data, σ_data a).

    Args:
        sigma: σ, > 0 and finite.
        sigma_data: σ_data, the standard deviation that the data are taken to have, > 0.

    Raises:
        ValueError: a number is not positive and finite.
        TypeError: one is not a number.
    """

    short: ClassVar[str] = "edm"
    sigma: Float[Array, ""] = number(
        r"\sigma", "noise level", bounds=(0.05, 20.0), meaning="y = c_in (x + sigma z)"
    )
    sigma_data: Float[Array, ""] = number(
        r"\sigma_\mathrm{data}",
        "standard deviation of the data",
        bounds=(0.1, 10.0),
        meaning="c_in = 1/sqrt(sigma^2 + sigma_data^2)",
    )

    def __init__(self, sigma: Any, sigma_data: Any = 1.0):
        self.sigma = scalar(sigma, "sigma")
        self.sigma_data = scalar(sigma_data, "sigma_data")
        require(self.domain())

    def scales(self):
        total = self.sigma**2 + self.sigma_data**2
        return 1 / namespace(total).sqrt(total), self.sigma**2 / total

    def velocity(self):
        noising = self.noising()
        root = namespace(noising.h).sqrt(noising.h)
        return -root / self.sigma_data, self.sigma_data * noising.a

    @classmethod
    def from_log_snr(cls, log_snr, sigma_data: Any = 1.0):
        return cls(jnp.exp(-scalar(log_snr, "log_snr") / 2), sigma_data)

    def domain(self):
        return [
            positive(self.sigma, "sigma", ": at sigma = 0 there is no noise"),
            positive(self.sigma_data, "sigma_data"),
        ]


def _turning(process: AbstractProcess) -> tuple[Any, Any]:
    """(-√h, a), the velocity of the angle on a² + h = 1."""
    noising = process.noising()
    return -namespace(noising.h).sqrt(noising.h), noising.a


def _between(value: Any, name: str, hint: str) -> Condition:
    """The condition that a number is in (0, 1)."""
    return (value > 0) & (value < 1), f"{name} must lie between 0 and 1, got {value}{hint}."
