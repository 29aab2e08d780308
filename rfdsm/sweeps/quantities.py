"""Further variables of a sweep: any functions of the model, derivatives of errors too."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import FIELDS, LABELS, Errors
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..parameters.checks import is_traced
from ..parameters.numbers import number_called, value_of
from .identity import told

INVERSE_M = "inverse_m"


class Gradient(NamedTuple):
    """The derivatives of an error, see `gradient`."""

    error: str
    wrt: tuple[str, ...]

    @property
    def name(self) -> str:
        """What its variables' names begin with."""
        return f"d_{self.error}"

    def __call__(self, model: RFDSM, moments: Moments | None = None) -> dict[str, Any]:
        """The derivative by the name of each number."""
        full = [n if n == INVERSE_M else number_called(model, n)[0] for n in self.wrt]
        at = [1 / model.m if n == INVERSE_M else value_of(model, n) for n in full]

        def error(x):
            numbers = dict(zip(full, x, strict=True))
            u = numbers.pop(INVERSE_M, None)
            found = model.replace(**numbers).solve(inverse_m=u, moments=moments)
            return getattr(found.errors, self.error)

        return dict(zip(self.wrt, jax.jacfwd(error)(at), strict=True))


def gradient(error: str, wrt: Iterable[str] | str) -> Gradient:
    """A quantity of `rfdsm.sweep`: derivatives of an error in some numbers, d error/d number.

    Args:
        error: one of the errors, or a gap of `Errors`.
        wrt: names of numbers, "inverse_m" for 1/m among them, which has a slope at m = ∞ too.
            Their variables are called `d_<error>_<name>`.

    Raises:
        ValueError: no such error, or no number.

    Example:
        >>> import rfdsm
        >>> rfdsm.gradient("score_error", wrt=["psi_p", "inverse_m"]).wrt
        ('psi_p', 'inverse_m')
    """
    gaps = [n for n, each in vars(Errors).items() if isinstance(each, property)]
    if error not in (known := (*FIELDS, *gaps)):
        raise ValueError(f"{error!r} is no error: these are {', '.join(known)}.")
    wrt = (wrt,) if isinstance(wrt, str) else tuple(wrt)
    if not wrt or len({*wrt}) < len(wrt):
        raise ValueError(f"wrt names different numbers, as in ['psi_p'], got {[*wrt]}.")
    if {"m", INVERSE_M} <= {*wrt}:
        raise ValueError("m and inverse_m are one number: take the derivative in one of them.")
    return Gradient(error, wrt)


class Quantity(NamedTuple):
    """A checked function of the model.

    Attributes:
        name: of its variable, or with its keys of several.
        function: of a model, and of moments where it takes an argument of that name.
        shapes: of what it gives, by the variables' names.
        traced: whether JAX can trace it; else it is called point by point.
    """

    name: str
    function: Callable
    shapes: dict[str, tuple[int, ...]]
    traced: bool

    def __call__(self, model: RFDSM, moments: Moments | None) -> dict[str, Any]:
        """Its values by the variables' names."""
        found = _named(self.name, _called(self.function, model, moments))
        return {name: _floats(x) for name, x in found.items()}

    def on_host(self, model: RFDSM, moments: Moments | None) -> dict[str, Any]:
        """As called, where it cannot be traced; NaN where it fails or gives another shape."""
        try:
            found = self(model, moments)
        except (MemoryError, jax.errors.JaxRuntimeError):  # the machine's failure
            raise
        except Exception:  # whatever a user's function raises is of this point alone
            found = {}
        if {name: np.shape(x) for name, x in found.items()} == self.shapes:
            return found
        return {name: np.full(shape, np.nan) for name, shape in self.shapes.items()}

    def __hash__(self) -> int:
        return hash((self.name, self.traced))

    def attrs(self, variable: str) -> dict[str, str]:
        """What a variable of it is, in words."""
        words = (inspect.getdoc(self.function) or self.name).partition("\n")[0]
        if isinstance(self.function, Gradient):
            number = variable.removeprefix(f"{self.name}_")
            words = f"derivative of {LABELS.get(self.function.error, self.function.error)}"
            return {"long_name": f"{words} in {number}", "kind": "derivative"}
        return {"long_name": words, "kind": "quantity"}

    def identity(self) -> str | list[str]:
        """What tells it from another of its name."""
        if isinstance(self.function, Gradient):
            return repr(tuple(self.function))
        return told(self.function)


def quantities_of(
    given: Mapping[str, Callable] | Iterable[Callable] | Callable | None,
    model: RFDSM,
    moments: Moments | None,
    taken: Iterable[str],
) -> tuple[Quantity, ...]:
    """The checked quantities, by name or by the functions' own names.

    Args:
        model: to try them on. taken: names that variables have already.

    Raises:
        ValueError: a name that is taken or is none of a file, what a function raises, or gives
            that is no number.
    """
    if given is None:
        return ()
    if callable(given):
        given = [given]
    if not isinstance(given, Mapping):
        given = [*given]
        names = [_name(each) for each in given]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two quantities are called {twice[0]}: give a dict with names.")
        given = dict(zip(names, given, strict=True))
    found, names = [], {*taken}
    for name, function in given.items():
        if not callable(function):
            raise ValueError(f"quantity {name!r} is no function of the model: {function!r}.")
        each = _checked(name, function, model, moments)
        if clash := names & {*each.shapes}:
            raise ValueError(f"a quantity cannot be called {min(clash)}: that name is taken.")
        if odd := [n for n in each.shapes if n in ("", ".", "..") or "/" in n]:
            raise ValueError(
                f"a quantity cannot be called {odd[0]!r}: in a store its name is a folder's."
            )
        names |= {*each.shapes}
        found.append(each)
    return tuple(found)


def _name(function: Callable) -> str:
    kind = type(function).__name__
    return getattr(function, "name", getattr(function, "__name__", kind))


def _checked(name: str, function: Callable, model: RFDSM, moments: Moments | None) -> Quantity:
    each, traced = Quantity(name, function, {}, True), True
    try:
        found = jax.eval_shape(each.__call__, model, moments)
    except Exception:  # what needs concrete numbers says so in many ways
        traced = False
        try:
            found = each(model, moments)
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(f"quantity {name!r} fails at the first point: {reason}") from None
    if not found:
        raise ValueError(f"quantity {name!r} gives nothing: return numbers, or a dict of them.")
    return each._replace(shapes={n: x.shape for n, x in found.items()}, traced=traced)


def _called(function: Callable, model: RFDSM, moments: Moments | None) -> Any:
    if moments is not None and "moments" in inspect.signature(function).parameters:
        return function(model, moments=moments)
    return function(model)


def _named(name: str, value: Any) -> dict[str, Any]:
    """One variable, or of a mapping one for each key, of a result's fields likewise."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    elif isinstance(value, Errors):
        value = {field: getattr(value, field) for field in FIELDS}
    elif dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {f"{name}_{key}": x for key, x in value.items()}
    return {name: value}


def _floats(value: Any) -> Any:
    """A number or (nested) list of numbers as floats, in which NaN can say: not known.

    Raises:
        TypeError: it is neither.
    """
    found = (jnp if is_traced(value) else np).asarray(value)
    if found.dtype.kind not in "biuf":
        raise TypeError(f"it gives no real numbers but {value!r}")
    return found.astype(jnp.result_type(float))
