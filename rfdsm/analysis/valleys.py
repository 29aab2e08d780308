"""Where an error is least along a number of a model, traced over others by its derivatives.

Between two values of a grid at which the exact derivative turns from falling to rising lies a
minimum; root-finding on the derivative refines it. The grid says where valleys are looked for,
not where they are.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..errors import FIELDS, Errors
from ..model import RFDSM
from ..parameters.checks import vector
from ..parameters.numbers import number_called
from ..parameters.scales import Scale

BLOCK = 256  # models that are solved at once: memory, and one compiled program for all counts
FLAT = 1e-9  # slopes relative to the error, over the whole axis, that rounding makes as well
NEAR = 0.1  # of the axis, that a valley may move from a row to the next


class Valleys(NamedTuple):
    """The minima of an error along one number, for each row of others.

    Attributes:
        x: where they are, shape (valleys, rows); NaN where a row has none. A valley keeps its
            place in the first axis from row to row.
        error: the error there, of the same shape.
    """

    x: np.ndarray
    error: np.ndarray


class _Path(NamedTuple):
    """The places of a number between two, by a coordinate z in [0, 1]."""

    name: str
    scale: Scale
    low: float
    high: float

    def places(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places at coordinates, and their derivatives in z."""
        if not len(z):
            return z, z
        full = jnp.asarray(_filled(z).ravel())
        both = jax.jvp(
            lambda z: self.scale.from_unit(z, self.low, self.high), (full,), (1 + 0 * full,)
        )
        place, slope = (np.asarray(x)[: len(z)] for x in both)
        return np.clip(place, self.low, self.high), slope

    def numbers(self, z: np.ndarray) -> np.ndarray:
        """The numbers at coordinates."""
        return np.array([self.scale.number(float(place)) for place in self.places(z)[0]])


def trace_valleys(
    model: RFDSM,
    along: Mapping[str, Any],
    over: Mapping[str, Any] | None = None,
    error: str = "test_loss",
) -> Valleys:
    """The minima of an error along a number, for each row of values of others.

    The grid's ends are no minima: the error may fall on beyond them. m is searched in 1/m, of
    which ∞ is such an end.

    Args:
        model: whose other numbers are kept.
        along: a number by its name and the grid to look on, {"psi_p": values}; a valley that
            is narrower than the grid is missed.
        over: other numbers and their values, equally many of each, {"psi_n": values}, in an
            order in which they change little from row to row. None: one row.
        error: a field of `Errors`.

    Returns:
        `Valleys`, x to about 1e-8 relatively. A row that cannot be solved has none.

    Raises:
        ValueError: not one number along, an unknown one, fewer than two values, rows of
            different lengths, an unknown error.

    Example:
        >>> import numpy as np, rfdsm
        >>> from rfdsm.analysis import trace_valleys
        >>> model = rfdsm.RFDSM(psi_n=8, psi_p=16, m=4, t=0.1, lam=1e-3)
        >>> widths = {"psi_p": np.geomspace(0.1, 1000, 40)}
        >>> found = trace_valleys(model, widths, {"psi_n": [4.0, 8.0]})
        >>> found.x.round(3).tolist(), found.error.round(3).tolist()
        ([[0.878, 1.281]], [[0.945, 0.895]])
    """
    if error not in FIELDS:
        raise ValueError(f"{error!r} is no error: they are {', '.join(FIELDS)}.")
    path, grid = _path(model, along)
    rows = {
        number_called(model, name)[0]: np.asarray(vector(x, name))
        for name, x in (over or {}).items()
    }
    counts = {len(x) for x in rows.values()} or {1}
    if len(counts) > 1:
        raise ValueError(
            f"over takes equally many values of each number, got {sorted(counts)}."
        )
    count = counts.pop()

    def at(z: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        both = _at(model, path, z, {name: x[row] for name, x in rows.items()})
        return tuple(getattr(each, error) for each in both)

    row, i = (x.ravel() for x in np.indices((count, len(grid))))
    errors, slopes = (x.reshape(count, len(grid)) for x in at(grid[i], row))
    steep = np.abs(slopes) > FLAT * np.abs(errors)
    turns = (slopes[:, :-1] < 0) & (slopes[:, 1:] >= 0) & (steep[:, :-1] | steep[:, 1:])
    row, i = np.nonzero(turns)
    z = _roots(lambda z, row: at(z, row)[1], grid[i], grid[i + 1], row)
    least, _ = at(z, row)
    good = np.isfinite(z) & np.isfinite(least)
    row, z, least = row[good], z[good], least[good]
    branch = _branches(row, z, max(NEAR, 1.5 * np.diff(grid).max()))
    found = Valleys(*np.full((2, max(branch, default=-1) + 1, count), np.nan))
    found.x[branch, row] = path.numbers(z)
    found.error[branch, row] = least
    return found


def _path(model: RFDSM, along: Mapping[str, Any]) -> tuple[_Path, np.ndarray]:
    """The number along which valleys are looked for, and the grid's coordinates, ascending."""
    if len(along) != 1:
        raise ValueError(f"valleys lie along one number, got {' and '.join(along) or 'none'}.")
    ((name, x),) = along.items()
    x, (full, about) = np.unique(vector(x, name)), number_called(model, name)
    if len(x) < 2:
        raise ValueError(f"a valley lies between values of {name}: give two or more, not one.")
    scale = about.scale.between(x[0], x[-1])
    path = _Path(full, scale, *map(float, scale.places(x[0], x[-1])))
    return path, np.sort([scale.to_unit(scale.place(v), path.low, path.high) for v in x])


def _at(
    model: RFDSM, path: _Path, z: np.ndarray, rows: Mapping[str, np.ndarray]
) -> tuple[Errors, Errors]:
    """The errors at coordinates and their derivatives there, shape (points,) each."""
    if not len(z):
        return (Errors(*[np.empty(0)] * len(FIELDS)),) * 2
    scales = {name: number_called(model, name)[1].scale for name in (path.name, *rows)}
    places = {name: np.asarray(scales[name].place(x)) for name, x in rows.items()}
    slopes = {name: np.zeros(len(z)) for name in rows}
    places[path.name], slopes[path.name] = path.places(z)
    found = []
    for part in _filled(np.arange(len(z))):
        at = jax.tree.map(lambda x, part=part: jnp.asarray(x[part]), (places, slopes))
        found.append(_solved(model, scales, *at))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[: len(z)], *found)


def _filled(x: np.ndarray) -> np.ndarray:
    """Values in whole blocks, shape (blocks, BLOCK): few shapes are few programs."""
    return np.resize(x, (-(-len(x) // BLOCK), BLOCK))


@eqx.filter_jit
def _solved(model, scales, places, slopes) -> tuple[Errors, Errors]:
    """Of a block of points, forward; one program for a set of numbers, whichever moves."""

    def errors(places):
        numbers = {name: scales[name].number(place) for name, place in places.items()}
        return model.replace(**numbers).solve().errors

    return jax.vmap(lambda *at: jax.jvp(errors, at[:1], at[1:]))(places, slopes)


def _roots(f: Any, low: np.ndarray, high: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The roots of f(z, row) between low and high, where it changes its sign."""
    from scipy.optimize.elementwise import find_root  # takes longer to import than the package

    return np.asarray(find_root(f, (low, high), args=(row,)).x)


def _branches(row: np.ndarray, z: np.ndarray, near: float) -> np.ndarray:
    """Which valley each root belongs to: that of the nearest in the row before, both ways."""
    branch = np.full(len(z), -1)
    for at in range(len(z)):
        if branch[at] < 0:
            branch[at] = max(branch, default=-1) + 1
        here, there = np.flatnonzero(row == row[at]), np.flatnonzero(row == row[at] + 1)
        if there.size:
            next_ = there[np.argmin(np.abs(z[there] - z[at]))]
            back = here[np.argmin(np.abs(z[here] - z[next_]))]
            if back == at and abs(z[next_] - z[at]) < near:
                branch[next_] = branch[at]
    return branch
