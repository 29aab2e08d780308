r"""Prediction targets τ = c_x x + c_z z: what a network's output is fitted to.

From y = a x + √h z a prediction o of τ implies one of the noise, and with it a score:

    ẑ = r (o - c_x y/a),    s = -ẑ/√h,    r = a/(a c_z - √h c_x)

(docs/theory.md section 14). Where a c_z = √h c_x the target is y itself, and implies nothing.
"""

import abc
import math
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._numerics.absent import or_absent
from ..parameters.checks import (
    Condition,
    finite,
    float_array,
    is_traced,
    namespace,
    require,
    scalar,
)
from ..parameters.numbers import number
from ..parameters.scales import LINEAR
from ..parameters.words import described
from .processes import AbstractProcess, Noising, Preconditioned

# |sin| of the angle between (c_x, c_z) and (a, √h), below which a target counts as y itself.
# Of the noise it is a/√(a² + h): e^{-t} of Ornstein-Uhlenbeck noise. Of the data √h/√(a² + h).
DEGENERATE = 1e-6
LARGEST = 1e100  # of (c_x, c_z), whose squares are losses


class Denoising(eqx.Module):
    r"""A regression: the output o = w B f(y) is fitted to τ = c_x x + c_z z at y = a x + √h z.

    Attributes:
        noising: y.
        data: c_x, `ABSENT` where the target is of the noise alone. noise: c_z.
        power: w². All are O(1).
    """

    noising: Noising
    data: Any
    noise: Any
    power: Any

    @property
    def scale(self) -> Float[Array, ""]:
        """w."""
        xp = namespace(self.power, self.noising.h)
        return xp.sqrt(xp.asarray(self.power, self.noising.h.dtype))

    @property
    def gain(self) -> Any:
        """r = a/(a c_z - √h c_x): how far the implied noise moves with the output."""
        return 1 / (self.noise - self.data * (self._root / self.noising.a))

    @property
    def slope(self) -> Float[Array, ""]:
        """Of the implied score in B f: s = slope·B f + tilt·y."""
        return -self.gain * (self.scale / self._root)

    @property
    def tilt(self) -> Any:
        """Of the implied score in y, `ABSENT` where c_x is."""
        return self.data * self.gain / (self.noising.a * self._root)

    @property
    def _root(self) -> Float[Array, ""]:
        """√h."""
        return namespace(self.noising.h).sqrt(self.noising.h)

    def score(self, y: Float[Array, "*rows d"], output: Float[Array, "*rows d"]):
        """The score that an output o at noised points implies."""
        return self.slope / self.scale * output + self.tilt * y

    def output(self, y: Float[Array, "*rows d"], score: Float[Array, "*rows d"]):
        """The output that implies this score."""
        return (score - self.tilt * y) * (self.scale / self.slope)

    def target(self, x: Float[Array, "*rows d"], z: Float[Array, "*rows d"]):
        """τ of points and their noises."""
        return self.noise * z + self.data * x

    def rate(self, psi_p: Any) -> Float[Array, ""]:
        """κ = 2w²/ψ_p: gradient flow learns a mode of eigenvalue x of U at κ (x + λ)."""
        return 2 * self.power / psi_p

    def null(self, sigma_x2: Any) -> Any:
        """The loss of o = 0, c_x² σx² + c_z², where E|x|²/d = σx²."""
        return self.noise**2 + self.data**2 * sigma_x2

    def noise_loss(self, loss: Any) -> Any:
        """E|ẑ - z|²/d of the implied noise, r² times the loss: exactly, for any data."""
        return self.gain**2 * loss

    def score_loss(self, loss: Any) -> Any:
        """(1/d) E|Δs|² of a difference of implied scores, of the outputs' (1/d) E|Δo|²."""
        return self.gain**2 * loss / self.noising.h


class AbstractTarget(eqx.Module):
    """What the network predicts: τ = c_x x + c_z z, from the process alone.

    A kind of one's own says its `combination`; numbers are fields, as of `AbstractProcess`.

    Example:
        >>> import rfdsm
        >>> class Displacement(rfdsm.AbstractTarget):
        ...     "x - y/a: where the data are from here."
        ...     def combination(self, process):
        ...         a, h = process.scales()
        ...         return 0, -(h**0.5) / a
        >>> model = rfdsm.RFDSM(8, 16, 4, t=0.3, lam=1e-3, target=Displacement())
        >>> print(f"{model.asymptotics().score_error:.4f}")
        1.0324
    """

    __repr__ = described

    @abc.abstractmethod
    def combination(self, process: AbstractProcess) -> tuple[Any, Any]:
        """(c_x, c_z); the integer 0 for a part that is never there."""

    def power(self, process: AbstractProcess) -> Any:
        """w², of what the read-out B f is multiplied with: o = w B f."""
        return 1

    def coefficients(self, process: AbstractProcess) -> tuple[Any, Any, Any]:
        """(c_x, c_z, w)."""
        return *self.combination(process), self.denoising(process).scale

    def denoising(self, process: AbstractProcess) -> Denoising:
        """The regression that the target makes of a process."""
        data, noise = self.combination(process)
        return Denoising(process.noising(), or_absent(data), noise, self.power(process))

    def domain(self, process: AbstractProcess) -> list[Condition]:
        """That the target is finite, and not y itself."""
        pair = self.combination(process)
        if not isinstance(pair, tuple | list) or [np.shape(each) for each in pair] != [(), ()]:
            name = f"{type(self).__name__}.combination"
            raise TypeError(f"{name} must give two numbers, (c_x, c_z), got {pair}.")
        numbers = *pair, *process.scales()
        # By NumPy where they can be read: a model is made often.
        xp = jnp if is_traced(numbers) else np
        data, noise, a, h = numbers if xp is jnp else map(np.asarray, numbers)
        root, size = xp.sqrt(xp.abs(h)), xp.hypot(data, noise)
        across = xp.abs(a * noise - root * data)
        largest = min(LARGEST, float(jnp.finfo(jnp.result_type(size)).max))
        told = f"target {self} of c_x = {_told(data)}, c_z = {_told(noise)}"
        why = (
            f"{told} is proportional to y = a x + sqrt(h) z at a = {_told(a)}, "
            f"sqrt(h) = {_told(root)} (to {DEGENERATE:g}), and predicts nothing: "
            "move the noise level, or take another target."
        )
        return [
            (h > 0, f"the process has no noise, h = {_told(h)}: move its time."),
            (size < largest, f"{told} must be finite, below {LARGEST:g}."),
            (across > DEGENERATE * size * xp.hypot(a, root), why),
            (a > 0, f"the process leaves nothing of the data, a = {_told(a)}: move its time."),
        ]


class ScoreTarget(AbstractTarget):
    """The score itself, o = √h s fitted to -z: denoising score matching, the default."""

    def combination(self, process):
        return 0, -1

    def power(self, process):
        return process.noising().h


class NoiseTarget(AbstractTarget):
    """The noise, ε-prediction: τ = z."""

    def combination(self, process):
        return 0, 1


class DataTarget(AbstractTarget):
    """The clean data, x-prediction: τ = x."""

    def combination(self, process):
        return 1, 0


class VelocityTarget(AbstractTarget):
    """The velocity dy/ds = ȧ x + (d√h/ds) z, v-prediction; s is the process' own time."""

    def combination(self, process):
        return process.velocity()


class PreconditionedTarget(AbstractTarget):
    r"""What F is fitted to in D(y) = c_skip y + c_out F(c_in y), Karras et al. (2022, table 1).

    With `Preconditioned` (`rfdsm.preconditioned` makes both) τ = (√h x)/σ_data - σ_data a z,
    of second moment 1 where the data's is σ_data²: its velocity with the other sign.
    """

    def combination(self, process):
        data, noise = process.velocity()
        return -data, -noise


class LinearTarget(AbstractTarget):
    """Any combination τ = c_x x + c_z z.

    Args:
        data: c_x. noise: c_z. Finite; scores depend on their ratio alone.

    Raises:
        ValueError: a number is not finite.
        TypeError: one is not a number.
    """

    short: ClassVar[str] = ""  # on the command line its numbers are enough: --target 1,-1
    data: Float[Array, ""] = number(
        "c_x",
        "data in the target",
        bounds=(-1.0, 1.0),
        scale=LINEAR,
        allowed="any number",
        meaning="the network predicts c_x x + c_z z",
    )
    noise: Float[Array, ""] = number(
        "c_z", "noise in the target", bounds=(-1.0, 1.0), scale=LINEAR, allowed="any number"
    )

    def __init__(self, data: Any, noise: Any):
        self.data, self.noise = scalar(data, "c_x"), scalar(noise, "c_z")
        require(_finite(self.data, "c_x") + _finite(self.noise, "c_z"))

    def combination(self, process):
        return self.data, self.noise

    @staticmethod
    def at_angle(angle: Any) -> "AngleTarget":
        """The target at this angle from noise to data, at fixed norm; see `AngleTarget`."""
        return AngleTarget(angle)


class AngleTarget(AbstractTarget):
    r"""τ = cos θ z - sin θ x, from noise (θ = 0) over velocities to the data (θ = π/2).

    On a² + h = 1 the velocity is at tan θ = √h/a, in between for every noise level, and y
    itself at tan θ = -a/√h, out of the way. τ and -τ are one target.

    Args:
        angle: θ in radians, finite.

    Raises:
        ValueError: θ is not finite.
        TypeError: θ is not a number.
    """

    angle: Float[Array, ""] = number(
        r"\theta",
        "angle of the target",
        bounds=(0.0, math.pi / 2),
        scale=LINEAR,
        allowed="any number",
        meaning="the network predicts cos(angle) z - sin(angle) x, noise at 0, data at pi/2",
    )

    def __init__(self, angle: Any):
        self.angle = scalar(angle, "angle")
        require(_finite(self.angle, "angle"))

    def combination(self, process):
        xp = namespace(self.angle)
        return -xp.sin(self.angle), xp.cos(self.angle)


def preconditioned(sigma: Any, sigma_data: Any = 1.0) -> dict[str, Any]:
    r"""Process and target of Karras et al. (2022), as keywords for `RFDSM`.

    D(y) = c_skip y + c_out F(c_in y) at y = x + σ z, with c_in = 1/√(σ² + σ_data²),
    c_skip = σ_data² c_in², c_out = σ σ_data c_in: the network is F, which sees c_in y and is
    fitted to (x - c_skip y)/c_out.

    Args:
        sigma: σ, > 0. sigma_data: σ_data, > 0. Both may be traced.

    Raises:
        ValueError: a number is not positive and finite.

    Example:
        >>> import rfdsm
        >>> model = rfdsm.RFDSM(8, 16, 4, lam=1e-3, **rfdsm.preconditioned(0.5, 1.0))
        >>> print(f"{model.asymptotics().score_error:.4f}")
        4.6832
    """
    return {"process": Preconditioned(sigma, sigma_data), "target": PreconditionedTarget()}


def implied_score(model: Any, y: Any, output: Any) -> Float[Array, "*rows d"]:
    r"""The score s = (c_x y - a o)/(√h (a c_z - √h c_x)) that an output implies.

    Args:
        model: an `RFDSM`, or anything with a `denoising`: its process and target.
        y: noised points, shape (d,) or (rows, d).
        output: what a network predicts of the target there, of the same shape: a denoiser's
            x, a noise, a velocity.

    Raises:
        ValueError: shapes that differ.
        TypeError: not real numbers.
    """
    return model.denoising.score(*_alike(y, output, "output"))


def implied_output(model: Any, y: Any, score: Any) -> Float[Array, "*rows d"]:
    """What a network of this target would predict if its score were this one.

    Args:
        model, y: as of `implied_score`. score: shape (d,) or (rows, d).

    Raises:
        ValueError: shapes that differ.
        TypeError: not real numbers.
    """
    return model.denoising.output(*_alike(y, score, "score"))


def _alike(y: Any, other: Any, name: str) -> tuple[Any, Any]:
    """Two float arrays of one shape."""
    y, other = float_array(y, "y"), float_array(other, name)
    if y.shape != other.shape:
        raise ValueError(f"{name} and y must have one shape, got {other.shape} and {y.shape}.")
    return y, other


def _finite(value: Any, name: str) -> list[Condition]:
    return [(finite(value), f"{name} must be finite, got {value}.")]


def _told(value: Any) -> str:
    return str(value) if is_traced(value) else f"{float(value):.6g}"
