"""Which target is best where, and by how much, of data sets of `compare`."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

SAME = 1e-6  # relative: targets that differ by less everywhere are one


class Range(NamedTuple):
    """A range of the axis in which one target is best.

    Attributes:
        best: its name. low, high: the ends of the range, where it crosses the next best or the
            first and the last value of the axis.
        seconds: the targets that come second there, each once. least, most: how many times as
            large the second's error is; infinite where there is no other.
        certain: whether all of the range is outside of the error bars, where there are any.
    """

    best: str
    low: float
    high: float
    seconds: tuple[str, ...]
    least: float
    most: float
    certain: bool


class Crossing(NamedTuple):
    """Where the best target changes.

    Attributes:
        before, after: the targets. at: the value of the axis, interpolated; NaN on the way to
            m = ∞. error: of both.
    """

    before: str
    after: str
    at: float
    error: float


class Ranking(NamedTuple):
    """Which target is best where.

    Attributes:
        names: of the targets; those that are the same everywhere share one, "noise = score".
        order: of these by their error at each value of the axis, the best first, shape (values,
            names); errors: sorted likewise, infinite where not solved.
        ranges: ascending. crossings: between those that touch.
    """

    names: tuple[str, ...]
    order: np.ndarray
    errors: np.ndarray
    ranges: tuple[Range, ...]
    crossings: tuple[Crossing, ...]


def ranking(dataset: Any) -> Ranking:
    """Which target is best where, by what they are compared by.

    Args:
        dataset: of `rfdsm.compare`.

    Example:
        >>> import rfdsm
        >>> model = rfdsm.RFDSM(psi_n=4, psi_p=1, m=8, t=0.5, lam=1e-2)
        >>> found = rfdsm.compare(model, ["noise", "data"], {"psi_p": [0.3, 3, 30]})
        >>> [each.best for each in rfdsm.sweeps.ranking(found).ranges]
        ['data', 'noise']
    """
    along, compared = dataset.attrs["axis"], dataset.attrs["compared"]
    x = dataset[along].values
    names, errors, bars = _distinct(dataset, compared)
    order = np.argsort(errors, axis=0, kind="stable").T
    ranked = np.take_along_axis(errors.T, order, axis=1)
    known = np.isfinite(ranked[:, 0])
    best = np.where(known, order[:, 0], -1)
    ends = np.flatnonzero(np.diff(best)) + 1
    parts = [part for part in np.split(np.arange(len(x)), ends) if best[part[0]] >= 0]
    ranges = [_range(names, x, order, ranked, bars, part) for part in parts]
    crossings = []
    for i, (first, second) in enumerate(pairwise(parts)):
        if first[-1] + 1 == second[0]:
            found = _crossing(dataset, names, errors, order, first[-1])
            crossings.append(found)
            if np.isfinite(found.at):
                ranges[i] = ranges[i]._replace(high=found.at)
                ranges[i + 1] = ranges[i + 1]._replace(low=found.at)
    return Ranking(names, order, ranked, tuple(ranges), tuple(crossings))


def _distinct(dataset: Any, compared: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names, errors and error bars of the targets that differ, each of shape (targets, x)."""
    values = dataset[compared].values
    bars = dataset.get(f"{compared}_error_bar", dataset[compared] * np.nan).values
    groups: list[list[int]] = []
    for i, row in enumerate(values):
        same = [g for g in groups if np.allclose(values[g[0]], row, SAME, 0.0, equal_nan=True)]
        groups += [] if same else [[]]
        (same or groups[-1:])[0].append(i)
    names = dataset["target"].values
    joined = tuple(" = ".join(str(names[i]) for i in group) for group in groups)
    first = [group[0] for group in groups]
    errors = np.where(np.isfinite(values[first]), values[first], np.inf)
    return joined, errors, bars[first]


def _range(names, x, order, ranked, bars, part) -> Range:
    """The range of the axis of some places, of one best target."""
    best = order[part[0], 0]
    low, high, nothing = float(x[part[0]]), float(x[part[-1]]), np.full(len(part), np.inf)
    if len(names) == 1:
        return Range(names[best], low, high, (), np.inf, np.inf, True)
    second, lead = order[part, 1], ranked[part, 1] - ranked[part, 0]
    ratio = np.divide(ranked[part, 1], ranked[part, 0], out=nothing, where=ranked[part, 0] > 0)
    within = lead <= np.hypot(bars[best, part], bars[second, part])  # False without bars
    seconds = tuple(names[i] for i in dict.fromkeys(second))
    return Range(names[best], low, high, seconds, ratio.min(), ratio.max(), not within.any())


def _crossing(dataset, names, errors, order, i: int) -> Crossing:
    """Where the best at a place is overtaken by that of the next.

    By straight lines through the logarithms of their errors, over that of the axis where it is
    logarithmic.
    """
    coordinate = dataset[dataset.attrs["axis"]]
    log = coordinate.attrs["spacing"] == "log"
    before, after = order[i, 0], order[i + 1, 0]
    with np.errstate(all="ignore"):  # an infinite m has no place
        place = np.log(coordinate.values) if log else coordinate.values
        left, right = np.log(errors[[before, after], i]), np.log(errors[[before, after], i + 1])
        gaps = left[1] - left[0], right[0] - right[1]
        share = gaps[0] / (gaps[0] + gaps[1])
        at = place[i] + share * (place[i + 1] - place[i])
        error = np.exp(left[0] + share * (right[0] - left[0]))
        at = float(np.exp(at) if log else at)
    return Crossing(
        names[before], names[after], at if np.isfinite(at) else np.nan, float(error)
    )
