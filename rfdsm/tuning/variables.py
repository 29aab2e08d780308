"""The free numbers of a model, searched in coordinates of the unit box.

Positive numbers are searched in their logarithm, those that may be 0 in log(1 + x/x0), others
as they are; m through u = 1/m, in which m = ∞ is a point like any other.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..derivatives import clipped
from ..model import INGREDIENTS, RFDSM, SHORTHANDS
from ..moments import Moments
from ..serialise import parameters

DEFAULT_BOUNDS = {
    "psi_n": (0.1, 100.0),
    "psi_p": (0.1, 100.0),
    "m": (1.0, math.inf),
    "process.t": (1e-2, 3.0),
    "training.lam": (1e-8, 10.0),
    "training.tau": (1e-2, 1e6),
}
MEASURED = ("psi_p", "process", "activation", "data")  # what one measurement has fixed
ALIASES = {**SHORTHANDS, "tau": "training"}
NEAR_ZERO = 1e-6  # x0 over the upper bound
NEAR_INFINITY = 1e-2  # the same of u: m up to 100 is searched in its logarithm
NEVER_ZERO = 1e-60  # in place of u = 0, whose m = 1/u is no number; equal to it in float64


class Variables(eqx.Module):
    """k free numbers and the box they are searched in.

    Attributes:
        names: as `RFDSM.replace` takes them (static).
        low, high: the bounds of each number, shape (k,); of m the bounds of u = 1/m.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    kinds: tuple[str, ...] = eqx.field(static=True)
    low: Float[Array, " k"]
    high: Float[Array, " k"]

    def searched(self, z: Float[Array, " k"]) -> Float[Array, " k"]:
        """The numbers (of m its inverse) at coordinates z in [0, 1]."""
        columns = zip(self.kinds, self.low, self.high, z, strict=True)
        x = jnp.stack([_forward(*column) for column in columns])
        # Rounding must not leave the domain (m = 1 - 1e-16).
        return clipped(x, self.low, self.high)

    def place(self, model: RFDSM, z: Float[Array, " k"]) -> RFDSM:
        """The model with its free numbers at coordinates z."""
        values = dict(zip(self.names, self.searched(z), strict=True))
        if "m" in values:
            values["m"] = 1 / clipped(values["m"], NEVER_ZERO, math.inf)
        return model.replace(**values)

    def numbers(self, z: np.ndarray) -> dict[str, float]:
        """The numbers themselves, bounds exactly, on the host."""
        values = {}
        inside = self.searched(jnp.asarray(z))
        for i, name in enumerate(self.names):
            ends = {0.0: float(self.low[i]), 1.0: float(self.high[i])}
            value = ends.get(float(z[i]), float(inside[i]))
            if name == "m":
                value = 1 / value if value > 0 else math.inf
            values[name] = value
        return values

    def coordinates(self, numbers: Mapping[str, float]) -> np.ndarray:
        """The z of numbers, cut off at the box."""
        z = []
        for i, name in enumerate(self.names):
            x = float(numbers[name])
            x = 1 / x if name == "m" else x
            low, high = float(self.low[i]), float(self.high[i])
            z.append(_backward(self.kinds[i], low, high, min(max(x, low), high)))
        return np.clip(np.array(z), 0, 1)

    def bounds(self, name: str) -> tuple[float, float]:
        """The bounds of one number, of m those of m."""
        i = self.names.index(name)
        low, high = float(self.low[i]), float(self.high[i])
        return (1 / high, 1 / low if low > 0 else math.inf) if name == "m" else (low, high)

    def slopes(self, z: np.ndarray) -> np.ndarray:
        """d(number)/dz, shape (k,); of m that of 1/m."""
        return np.asarray(jax.jvp(self.searched, (jnp.asarray(z),), (jnp.ones(len(z)),))[1])


def free_variables(
    model: RFDSM, free: Mapping[str, Any] | Iterable[str], moments: Any = None
) -> Variables:
    """The checked variables of a request.

    Args:
        model: whose numbers they are.
        free: names with bounds, (low, high) or None for the usual ones; or names alone.
        moments: at which the model will be solved.

    Raises:
        ValueError: no name, an unknown one, no numbers between the bounds, bounds outside of
            the number's domain, or what a measurement has fixed.
    """
    if isinstance(free, str):
        free = [free]
    requested = dict(free) if isinstance(free, Mapping) else dict.fromkeys(free)
    if not requested:
        raise ValueError(
            "free names no number to tune: give some, as in {'psi_p': (0.1, 100)}."
        )
    names, kinds, lows, highs = [], [], [], []
    for given, bounds in requested.items():
        name = f"{ALIASES[given]}.{given}" if given in ALIASES else given
        _require_free(model, name, moments)
        if name in names:
            raise ValueError(f"{name} is free twice.")
        low, high = _bounds(model, name, bounds, moments)
        if name == "m":
            low, high = 1 / high, 1 / low
        names.append(name)
        kinds.append("log" if low > 0 else "from zero" if low == 0 else "linear")
        if kinds[-1] == "from zero" and name == "m":
            kinds[-1] = "from infinity"
        lows.append(low)
        highs.append(high)
    return Variables(tuple(names), tuple(kinds), np.array(lows), np.array(highs))


def _require_free(model, name, moments):
    owner, _, field = name.partition(".")
    numbers = [n for n in ("psi_n", "psi_p", "m") if not field]
    if owner in INGREDIENTS:
        ingredient = getattr(model, owner)
        numbers = [
            f"{owner}.{n}"
            for n in parameters(type(ingredient))
            if not callable(getattr(ingredient, n))
        ]
    if name not in numbers:
        known = ["psi_n", "psi_p", "m"] + [
            f"{owner}.{n}"
            for owner in ("process", "training")
            for n in parameters(type(getattr(model, owner)))
        ]
        raise ValueError(f"free has no {name!r}: this model's numbers are {', '.join(known)}.")
    if name == "training.steps":
        raise ValueError(
            "training.steps is an integer and cannot be free: tune the tau of GradientFlow, "
            "which is steps·learning_rate."
        )
    if field and np.ndim(getattr(getattr(model, owner), field)) != 0:
        raise ValueError(f"{name} is a list, and only single numbers can be free.")
    if isinstance(moments, Moments) and owner in MEASURED:
        hint = ": give moments of several widths, [moments_1, moments_2, ...]"
        raise ValueError(
            f"{name} belongs to the measurement and cannot be free with its moments"
            f"{hint if name == 'psi_p' else ''}."
        )
    if moments is not None and owner in MEASURED and name != "psi_p":
        raise ValueError(f"{name} belongs to the measurement and cannot be free with moments.")


def _bounds(model, name, bounds, moments) -> tuple[float, float]:
    if bounds is None:
        if name == "psi_p" and moments is not None:
            bounds = min(m.psi_p for m in moments), max(m.psi_p for m in moments)
        elif name not in DEFAULT_BOUNDS:
            raise ValueError(f"{name} needs bounds, as in {{{name!r}: (0.1, 1.0)}}.")
        else:
            bounds = DEFAULT_BOUNDS[name]
    try:
        low, high = map(float, bounds)
    except (TypeError, ValueError):
        raise ValueError(
            f"the bounds of {name} must be two numbers, (low, high), got {bounds!r}."
        ) from None
    if not low < high:
        raise ValueError(
            f"no number lies between the bounds of {name}, {low:g} and {high:g}: the lower one "
            "comes first."
        )
    if math.isinf(low) or (math.isinf(high) and name != "m"):
        raise ValueError(f"the bounds of {name} must be finite, got {low:g} and {high:g}.")
    for end in (low, high):
        try:
            changed = model.replace(**{name: end})
            if isinstance(moments, Moments):
                changed.solve(moments=moments)
        except ValueError as error:
            raise ValueError(f"the bound {end:g} of {name} is refused: {error}") from None
    if name == "psi_p" and moments is not None:
        widths = sorted(m.psi_p for m in moments)
        if low < widths[0] * (1 - 1e-9) or high > widths[-1] * (1 + 1e-9):
            raise ValueError(
                f"psi_p between {low:g} and {high:g} leaves the measured widths, "
                f"{widths[0]:g} to {widths[-1]:g}: measure there, or tighten the bounds."
            )
    return low, high


def _forward(kind, low, high, z):
    if kind == "log":
        return jnp.exp(jnp.log(low) + z * jnp.log(high / low))
    if kind == "linear":
        return low + z * (high - low)
    zero = _zero(kind) * high
    return zero * jnp.expm1(z * jnp.log1p(high / zero))


def _backward(kind, low, high, x):
    if kind == "log":
        return math.log(x / low) / math.log(high / low)
    if kind == "linear":
        return (x - low) / (high - low)
    zero = _zero(kind) * high
    return math.log1p(x / zero) / math.log1p(high / zero)


def _zero(kind):
    return NEAR_INFINITY if kind == "from infinity" else NEAR_ZERO
