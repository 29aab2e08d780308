"""The lines of a phase diagram: interpolation, memorisation, and valleys of an error."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..analysis.records import description_of, model_of
from ..analysis.valleys import trace_valleys
from ..errors import FIELDS
from ..model import RFDSM
from ..parameters.plain import from_json
from .sides import Side

POINTS = 201  # along each side, between which a line is straight
LOOKED_AT, ROWS = 81, 81  # of a valley: the grid that it is looked for on, and its points

RATIOS = {  # products of powers that are 1 on a line
    "p = n": ("$p = n$", {"psi_p": 1, "psi_n": -1}),
    "p = n m": ("$p = nm$", {"psi_p": 1, "psi_n": -1, "m": -1}),
    "n m = d": ("$nm = d$", {"psi_n": 1, "m": 1}),
}
MEMORISES, VALLEY = "memorises", "valley"
LINES = (*RATIOS, MEMORISES, VALLEY)
MEMORISED = "memorization loss = best score's"
DASHES = "-", (0, (2.5, 1))  # of valleys along x and along y


def _outlined(**look: Any) -> dict[str, Any]:
    """A look of lines that is seen on every colour."""
    inner, outer = look["color"], "white" if look["color"] == "black" else "0.1"
    width = look["linewidth"] + 1.4
    return look | {
        "color": inner,
        "path_effects": [patheffects.withStroke(linewidth=width, foreground=outer)],
    }


LOOKS = {
    "p = n": _outlined(color="black", linewidth=1.1, linestyle=(0, (1, 1.8))),
    "p = n m": _outlined(color="black", linewidth=1.1, linestyle=(0, (5, 2))),
    "n m = d": _outlined(color="black", linewidth=1.1, linestyle=(0, (5, 1.5, 1, 1.5))),
    MEMORISES: _outlined(color="#ff5533", linewidth=1.7, linestyle="-"),
    VALLEY: _outlined(color="white", linewidth=1.7, linestyle="-"),
}


class Unknown(ValueError):
    """A line that a data set does not say enough for."""


def draw_lines(
    ax: Axes,
    dataset: Any,
    sides: Sequence[Side],
    error: str,
    lines: Sequence[str] | None = None,
    valleys: Sequence[str] | None = None,
) -> list[Line2D]:
    """The lines that cross a panel; handles for a legend.

    Args:
        ax: whose limits are set. sides: its x and y; all else in the data set is selected.
        error: of which valleys are. lines: of `LINES`; None: those that can be known.
        valleys: the sides along which the error is least there; None: both.

    Raises:
        ValueError: an unknown line or side, or a line that is asked for and cannot be known.
    """
    if unknown := [name for name in lines or () if name not in LINES]:
        raise ValueError(f"{unknown[0]!r} is no line: these are {', '.join(LINES)}.")
    along = [valleys] if isinstance(valleys, str) else valleys or [side.name for side in sides]
    found = []
    for name in LINES if lines is None else lines:
        if name in RATIOS:
            ways = [lambda name=name: _draw_ratio(ax, dataset, sides, name)]
        elif name == MEMORISES:
            ways = [lambda: _draw_memorisation(ax, dataset, sides)]
        else:
            ways = [lambda x=x: _draw_valley(ax, dataset, sides, error, x) for x in along]
        for draw in ways:
            try:
                found.append(draw())
            except Unknown:
                if lines is not None:
                    raise
    return [handle for handle in found if handle is not None]


def numbers_of(dataset: Any) -> dict[str, float]:
    """psi_n, psi_p and m of a data set's model, those that were selected at their values."""
    described = description_of(dataset)
    found = {name: float(from_json(described[name])) for name in ("psi_n", "psi_p", "m")}
    known = selected(dataset) | dict.fromkeys(tuned(dataset), math.nan)
    return found | {name: x for name, x in known.items() if name in found}


def selected(dataset: Any) -> dict[str, float]:
    """The swept numbers that have one value in a data set, by their dotted names."""
    return {
        each.attrs["number"]: float(each.item()) / each.attrs.get("unit", 1.0)
        for each in dataset.coords.values()
        if "number" in each.attrs and each.size == 1
    }


def tuned(dataset: Any) -> dict[str, str]:
    """Of the numbers that `tune_sweep` found, by their dotted names, the variables."""
    kinds = {str(name): each.attrs for name, each in dataset.data_vars.items()}
    return {about["number"]: name for name, about in kinds.items() if "number" in about}


def theory_of(dataset: Any) -> RFDSM:
    """The model of a data set, with the values that were selected.

    Raises:
        Unknown: its errors are not those of its model's own theory.
    """
    if "score_error" not in dataset:  # which theory knows, and measured moments do not
        raise Unknown("no score_error: the errors are of measured moments, or it was dropped.")
    try:
        return model_of(dataset).replace(**selected(dataset))
    except ValueError as error:
        raise Unknown(str(error)) from None


def log_ratio(name: str, numbers: Mapping[str, Any]) -> Any:
    """What is 0 on a line of `RATIOS`, at numbers of one shape."""
    with np.errstate(invalid="ignore"):  # n m where m = ∞
        return sum(power * np.log(numbers[x]) for x, power in RATIOS[name][1].items())


def best_loss(model: RFDSM, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
    """The best score's loss at numbers of one shape, by their dotted names."""
    shape = next(iter(numbers.values())).shape
    flat = {name: jnp.asarray(x.ravel()) for name, x in numbers.items()}
    best = jax.jit(jax.vmap(lambda at: model.replace(**at).baselines().best))(flat)
    return np.reshape(best, shape)


def _over(of_x: Mapping[str, np.ndarray], of_y: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The numbers of a panel, shape (y, x) each, of those of its sides."""
    counts = [len(next(iter(each.values()))) for each in (of_y, of_x)]
    found = {name: np.broadcast_to(values, counts) for name, values in of_x.items()}
    return found | {n: np.broadcast_to(values[:, None], counts) for n, values in of_y.items()}


def _draw_ratio(ax: Axes, dataset: Any, sides: Sequence[Side], name: str) -> Line2D | None:
    label, powers = RATIOS[name]
    at_x, of_x = sides[0].fine(*ax.get_xlim(), POINTS)
    at_y, of_y = sides[1].fine(*ax.get_ylim(), POINTS)
    if not powers.keys() & (of_x.keys() | of_y.keys()):
        return None
    values = log_ratio(name, numbers_of(dataset) | _over(of_x, of_y))
    return _draw_zeros(ax, at_x, at_y, values, name, label)


def _draw_memorisation(ax: Axes, dataset: Any, sides: Sequence[Side]) -> Line2D | None:
    """Where the memorization loss is what the best score has on fresh data."""
    model, (x, y) = theory_of(dataset), sides
    if "memorization_loss" not in dataset:
        raise Unknown("the data set has no memorization_loss, by which memorisation is seen.")
    loss = panel(dataset, "memorization_loss", x, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        numbers = {name: panel(dataset, each, x, y) for name, each in tuned(dataset).items()}
        values = np.log(loss / best_loss(model, _over(x.own, y.own) | numbers))
    return _draw_zeros(ax, x.places, y.places, values, MEMORISES, MEMORISED)


def _draw_valley(
    ax: Axes, dataset: Any, sides: Sequence[Side], error: str, along: str
) -> Line2D | None:
    names = [side.name for side in sides]
    if along not in names:
        raise ValueError(f"a valley lies along {' or '.join(names)}, got {along!r}.")
    at = names.index(along)
    side, other = sides[at], sides[1 - at]
    if error not in FIELDS:
        raise Unknown(f"{error} is no error of the theory, whose derivatives a valley takes.")
    if found := tuned(dataset):
        raise Unknown(f"{min(found)} is another at each point: a valley is of one model.")
    if side.beside:
        raise Unknown(f"{along} is zipped: between its values there is no model to look at.")
    model = theory_of(dataset)
    _, grid = side.fine(*side.places[[0, -1]], LOOKED_AT)
    rows, over = other.places, other.own
    if not other.beside:
        rows, over = other.fine(*other.places[[0, -1]], ROWS)
    found = side.place(trace_valleys(model, grid, over, error).x)
    found = found[np.sum(np.isfinite(found), axis=1) > 1]
    look = LOOKS[VALLEY] | {"linestyle": DASHES[at]}
    for each in found:
        ax.plot(*((each, rows) if at == 0 else (rows, each)), **look)
    symbol = side.about.get("symbol", side.name)
    return Line2D([], [], **look, label=f"least error along ${symbol}$") if len(found) else None


def _draw_zeros(
    ax: Axes, x: Any, y: Any, values: np.ndarray, name: str, label: str
) -> Line2D | None:
    """The lines on which values, shape (y, x), are 0."""
    values = np.ma.masked_invalid(values)
    if min(values.shape) < 2 or not values.min() < 0 < values.max():
        return None
    look = dict(LOOKS[name])
    effects = look.pop("path_effects")
    drawn = ax.contour(
        x, y, values, [0], **{f"{what}s": [value] for what, value in look.items()}
    )
    drawn.set_path_effects(effects)
    return Line2D([], [], **LOOKS[name], label=label)


def panel(dataset: Any, name: str, x: Side, y: Side) -> np.ndarray:
    """A variable on the values of two sides, shape (y, x); of networks the mean.

    Raises:
        ValueError: it lacks one of the dimensions, or has others.
    """
    variable = dataset[name].squeeze()
    if "trial" in variable.dims:
        variable = variable.mean("trial")
    others = [str(dim) for dim in variable.dims if dim not in (x.dim, y.dim)]
    if others:
        told = " and ".join(f"{dim} ({variable.sizes[dim]} values)" for dim in others)
        given = ", ".join(f"{dim}=0" for dim in others)
        raise ValueError(f"{name} also depends on {told}: select with .sel or .isel({given}).")
    if missing := [dim for dim in (y.dim, x.dim) if dim not in variable.dims]:
        raise ValueError(f"{name} does not depend on {missing[0]}: it has no map over it.")
    return np.asarray(variable.transpose(y.dim, x.dim).values)[np.ix_(y.order, x.order)]
