"""The free numbers of a model, searched in coordinates of the unit box.

Each number's `Scale` says how: positive ones in their logarithm, those that may be 0 in
log(1 + x/x0), others as they are; m through its place u = 1/m, in which ∞ is a point like any
other.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._files.programs import kept
from .._numerics.derivatives import clipped
from ..ingredients.cross_moments import CrossMoments
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..parameters.checks import namespace
from ..parameters.numbers import full_name, hint, numbers, value_of
from ..parameters.scales import Scale


class Variables(eqx.Module):
    """k free numbers and the box they are searched in.

    Attributes:
        names: as `RFDSM.replace` takes them (static).
        scales: how each is spaced. integer: names of those that networks need whole (static).
        low, high: the bounds of each place, shape (k,); of m the bounds of u = 1/m.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    scales: tuple[Scale, ...] = eqx.field(static=True)
    integer: tuple[str, ...] = eqx.field(static=True)
    low: Float[Array, " k"]
    high: Float[Array, " k"]

    def searched(self, z: Float[Array, " k"]) -> Float[Array, " k"]:
        """The places of the numbers (of m its inverse) at coordinates z in [0, 1]."""
        columns = zip(self.scales, z, self.low, self.high, strict=True)
        x = [scale.from_unit(*column) for scale, *column in columns]
        # Rounding must not leave the domain (m = 1 - 1e-16).
        if namespace(*x) is np:
            return np.clip(x, self.low, self.high)
        return clipped(jnp.stack(x), self.low, self.high)

    def place(self, model: RFDSM, z: Float[Array, " k"]) -> RFDSM:
        """The model with its free numbers at coordinates z."""
        columns = zip(self.names, self.scales, self.searched(z), strict=True)
        return model.replace(**{name: scale.number(x) for name, scale, x in columns})

    def numbers(self, z: np.ndarray) -> dict[str, float]:
        """The numbers themselves, bounds exactly, on the host."""
        values = {}
        inside = self.searched(z)
        for i, name in enumerate(self.names):
            ends = {0.0: float(self.low[i]), 1.0: float(self.high[i])}
            values[name] = self.scales[i].number(ends.get(float(z[i]), float(inside[i])))
        return values

    def coordinates(self, numbers: Mapping[str, float]) -> np.ndarray:
        """The z of numbers, cut off at the box."""
        return np.array([self.coordinate(name, numbers[name]) for name in self.names])

    def coordinate(self, name: str, number: float) -> float:
        """The z of one number, cut off at the box."""
        i = self.names.index(name)
        low, high = float(self.low[i]), float(self.high[i])
        place = min(max(self.scales[i].place(float(number)), low), high)
        return min(max(self.scales[i].to_unit(place, low, high), 0.0), 1.0)

    def bounds(self, name: str) -> tuple[float, float]:
        """The bounds of one number, of m those of m."""
        i = self.names.index(name)
        return self.scales[i].numbers(float(self.low[i]), float(self.high[i]))

    def scale(self, name: str) -> Scale:
        """How one number is spaced."""
        return self.scales[self.names.index(name)]

    def slopes(self, z: np.ndarray) -> np.ndarray:
        """d(place)/dz, shape (k,)."""
        return np.asarray(_slopes(self, z))


@kept(jit=eqx.filter_jit)
def _slopes(variables: Variables, z):
    return jax.jvp(variables.searched, (z,), (jnp.ones(len(z)),))[1]


def free_variables(
    model: RFDSM,
    free: Mapping[str, Any] | Iterable[str],
    moments: Moments | CrossMoments | Sequence[Moments] | None = None,
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
    names, scales, lows, highs = [], [], [], []
    about = numbers(model)
    for given, bounds in requested.items():
        name = full_name(model, given)
        _require_free(model, about, name, moments)
        if name in names:
            raise ValueError(f"{name} is free twice.")
        low, high = _bounds(model, about[name], name, bounds, moments)
        scale = about[name].scale.between(low, high)
        low, high = scale.places(low, high)
        names.append(name)
        scales.append(scale)
        lows.append(low)
        highs.append(high)
    integer = tuple(name for name in names if about[name].integer)
    return Variables(tuple(names), tuple(scales), integer, np.array(lows), np.array(highs))


def _require_free(model, about, name, moments):
    if name not in about:
        single = ", ".join(n for n, each in about.items() if not each.many)
        raise ValueError(
            f"free has no {name!r}: this model's numbers are {single}{hint(model, name)}."
        )
    if about[name].fixed:
        raise ValueError(f"{name} {about[name].fixed}.")
    if np.ndim(value_of(model, name)) != 0:
        raise ValueError(f"{name} is a list, and only single numbers can be free.")
    if moments is None or not about[name].measured:
        return
    between_widths = about[name].count == "p"
    if isinstance(moments, Moments | CrossMoments):
        fix = ": give moments of several widths, [moments_1, moments_2, ...]"
        raise ValueError(
            f"{name} belongs to the measurement and cannot be free with its moments"
            f"{fix if between_widths else ''}."
        )
    if not between_widths:
        raise ValueError(f"{name} belongs to the measurement and cannot be free with moments.")


def _bounds(model, number, name, bounds, moments) -> tuple[float, float]:
    measured = () if moments is None or not number.measured else [m.psi_p for m in moments]
    if bounds is None:
        bounds = (min(measured), max(measured)) if measured else number.bounds
    if bounds is None:
        raise ValueError(f"{name} needs bounds, as in {{{name!r}: (0.1, 1.0)}}.")
    try:
        low, high = map(float, bounds)
    except (TypeError, ValueError):
        raise ValueError(
            f"the bounds of {name} must be two numbers, (low, high), got {bounds!r}."
        ) from None
    if not low < high:
        fix = "the lower one comes first"
        if low == high:
            fix = "set it in the model, and leave it out of free"
        raise ValueError(
            f"no number lies between the bounds of {name}, {low:g} and {high:g}: {fix}."
        )
    if math.isinf(low) or (math.isinf(high) and not number.scale.inverse):
        raise ValueError(f"the bounds of {name} must be finite, got {low:g} and {high:g}.")
    for end in (low, high):
        try:
            changed = model.replace(**{name: end})
            if isinstance(moments, Moments | CrossMoments):
                changed.solve(moments=moments)
        except ValueError as error:
            raise ValueError(f"the bound {end:g} of {name} is refused: {error}") from None
    if measured and (low < min(measured) * (1 - 1e-9) or high > max(measured) * (1 + 1e-9)):
        raise ValueError(
            f"psi_p between {low:g} and {high:g} leaves the measured widths, "
            f"{min(measured):g} to {max(measured):g}: measure there, or tighten the bounds."
        )
    return low, high
