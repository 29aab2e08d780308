"""The losses on a data set's own points by two theories, before any training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from .._files import points as _points
from ..analysis import in_parts, measure, sampling_error
from ..errors import LOSSES
from ..ingredients import datasets
from ..ingredients.data import sample_matrix, standardise
from ..model import RFDSM
from ..parameters.numbers import counted
from ..progress import FLOPS, LONG, Report, silent
from .error_bars import error_bars
from .lines import lines_of, solved, with_networks
from .widths import MEASURED_AT, between_widths, measured_widths

WIDTHS = 5  # that moments are measured at along psi_p, unless told
COMPILE = 3.0  # seconds for networks of a new shape
SEVERAL = 16  # noises of a pair's cost, which exact averages over infinitely many do not exceed
TITLE = "losses predicted on data points"
MEASURED, GAUSSIAN = "theory of measured moments", "Gaussian theory"


SCALES = {
    "all": "centred and scaled to mean variance 1",
    "columns": "centred, and each column scaled to one variance",
    "none": "used as given",
}


class Points(NamedTuple):
    """Data points X, shape (N, d), where they are from, and how they were scaled.

    `scale` is one of `SCALES`; `read` says what was read of a file.
    """

    name: str
    X: np.ndarray
    scale: str = "all"
    read: str = ""

    def about(self) -> str:
        """A line on what was read."""
        how = SCALES[self.scale]
        return f"{self.name}: {self.read}; {how}" if self.read else f"{self.name}, {how}"


def usual(X: np.ndarray) -> dict[str, float]:
    """A model's numbers on points of shape (N, d) where they are not given; n is psi_n d."""
    N, d = X.shape
    n = max(1, min(2 * d, N // 4))
    return {"psi_n": n / d, "psi_p": 3.0, "m": 4.0, "t": 0.1, "lam": 1e-2}


def load(
    path: Path | None,
    *,
    as_is: bool = False,
    scale: str | None = None,
    header: bool | None = None,
    index: bool | None = None,
) -> Points:
    """The points of a file, standardised unless told; scikit-learn's digits without one.

    Args:
        as_is: scale "none".
        scale: "all" columns by one factor, "columns" each by its own, or "none", not centred
            either; "all" unless told.
        header, index: whether a .csv has names in its first row, and in its first column names
            or numbers of the rows; None: as the file says.

    Raises:
        ValueError, OSError: what reading and `standardise` refuse.
    """
    if scale not in (None, *SCALES):
        raise ValueError(f"--scale takes {', '.join(SCALES)}, got {scale!r}.")
    if as_is and scale not in (None, "none"):
        raise ValueError(f"--as-is is --scale none, and --scale {scale} was given: drop one.")
    scale = "none" if as_is else scale or "all"
    if path is None or str(path) == "digits":
        if not (header is None and index is None):
            raise ValueError("--header and --index are of DATA in a .csv file.")
        return Points("scikit-learn's digits", _scaled(datasets.digits(), scale), scale)
    found = _points.table(path, header, index)
    return Points(path.name, _scaled(found.X, scale), scale, found.about)


def _scaled(X: np.ndarray, scale: str) -> np.ndarray:
    return sample_matrix(X) if scale == "none" else standardise(X, scale == "columns")


def predict(
    model: RFDSM,
    over: Mapping[str, Any],
    lines: Mapping[str, Any] | None = None,
    *,
    draws: int = 1,
    noises: float | None = None,
    classes: int | None = None,
    widths: Sequence[float] = (),
    simulate: Mapping[str, Any] | None = None,
    seed: int = 0,
    engine: Any = None,
    report: Report = silent,
) -> Any:
    """The losses on data points by the moments measured on them, and by Gaussian theory.

    Measures once, at the model's own numbers; the number that is swept must be free of the
    measurement: n, m, or one of the training rule. Along psi_p it measures at several widths.

    Args:
        model: with data `Samples(X)`.
        over, lines: as of `curve`, {"n": values} and {"m": values}, say.
        draws: of the features' weights; of several the losses are the mean.
        noises, classes: as `measure` takes them.
        widths: the psi_p to measure at, ascending, where it is psi_p that is swept; the ends of
            the axis are the narrowest and the widest.
        simulate: {"trials": 12, "points": 4} trains networks on the points.
        seed: of everything random.
        engine: where all but the measuring is computed, as of `sweep`.
        report: called with `Progress`.

    Returns:
        An `xarray.Dataset` as of `curve`; the Gaussian theory's variables end in _gaussian,
        and at the networks in _gaussian_theory. `test_loss_error_bar` and so on are the error
        bars of finitely many points, 95 % intervals; the attribute `enough` is how many would
        leave 1 % of the test loss at the model's numbers (n and m in attributes), `uncertain`
        the share that is left now.

    Raises:
        ValueError, NotConverged: as `curve` and `measure`; psi_p swept with fewer than two
            widths, or of networks with their own W; another number that moments are measured
            at, swept or of lines.
    """
    asked = lines_of(model, over, lines, simulate, seed)
    for each in asked.grid.axes:
        if each.about.measured and (each.full != "psi_p" or each is asked.number):
            raise ValueError(f"{each.name} cannot vary on data points, measured at one of it.")
    along_widths = asked.along.full == "psi_p"
    if along_widths and len(widths) < 2:
        raise ValueError("along psi_p give widths=, at least two psi_p to measure at.")
    if along_widths and not model.ensemble.shared.features:
        raise ValueError("psi_p cannot vary on data points but where networks share features.")
    about: dict[str, Any] = {
        "noises": noises,
        "classes": classes,
        "draws": draws if draws > 1 else None,
        "warned": False,  # the result says with numbers whether points are few
    }
    key, where = jax.random.key(seed), {"engine": engine, "report": report}
    if along_widths:
        several = measured_widths(model, widths, key, report, **about)
        moments = several[len(several) // 2]
    else:
        moments = measure(model, key, report=report, **about)
    gaussian = solved(asked, TITLE, kind=GAUSSIAN, **where)
    if along_widths:
        variables, factors = between_widths(asked, gaussian, several, MEASURED)
        found = gaussian[["status"]].assign(variables)
        found = with_networks(found, asked, gaussian=True, **where)
        for name in LOSSES if asked.networks else ():
            x = found[f"simulated_{asked.along.name}"].values
            scale = asked.shaped([factor(x) for factor in factors[name]])
            there = found[f"{name}_theory"]
            found[there.name] = there.copy(data=there.values * scale)
        found = found.assign_coords({MEASURED_AT: [each.psi_p for each in several]})
        found[MEASURED_AT].attrs["column"] = "psi_p"
        model = model.replace(psi_p=moments.psi_p)
    else:
        found = solved(asked, TITLE, moments, kind=MEASURED, **where)
        if in_parts(moments):
            found = found.assign(error_bars(asked, moments, found, MEASURED))
        found = with_networks(found, asked, moments, gaussian=True, **where)
    for name in ("status", *LOSSES):
        found[f"{name}_gaussian"] = gaussian[name].assign_attrs(column=name)
    points, d = model.data.X.shape
    found.attrs |= {"data": "data points", "points": points, "dimension": d, "draws": draws}
    numbers = {"n": float(model.psi_n) * d, "m": float(model.m)}
    found.attrs |= {"classes": moments.classes, **numbers}
    if in_parts(moments):
        error = sampling_error(model, moments)
        share = error.share(model.asymptotics(moments=moments))
        found.attrs |= {"uncertain": share, "enough": float(error.enough)}
    return found


def widths_along(over: Mapping[str, Any], d: int, count: int | None = None) -> list[float]:
    """The psi_p to measure at, even in its logarithm, of whole features; none unless swept."""
    if (x := over.get("psi_p")) is None:
        return []
    ratios = np.geomspace(x[0], x[-1], count or WIDTHS)
    return [float(ratio) for ratio in np.unique(np.round(ratios * d)) / d]


def estimate(
    model: RFDSM,
    over: Mapping[str, Any],
    lines: Mapping[str, Any] | None = None,
    *,
    draws: int = 1,
    classes: int | None = None,
    simulate: Mapping[str, Any] | None = None,
) -> str | None:
    """A line on the time and memory of solving and training, where they are long.

    Measuring the moments announces its own.

    Args:
        model, over, lines, draws, classes, simulate: as of `predict`.
    """
    asked = lines_of(model, over, lines, simulate)
    d, classes = model.data.X.shape[1], classes or 1
    along = asked.along
    p = counted(along.x[-1] if along.full == "psi_p" else model.psi_p, d)
    count = WIDTHS if along.full == "psi_p" else len(along.x)
    solves = 3 * len(asked.models) * count * draws
    seconds = COMPILE + solves * (0.02 + 3e-9 * p**3 * (1 + classes / 6))
    text = f"solving {solves} points of {p} features: about {seconds:.0f} s"
    training = 0.0
    if (networks := asked.networks) is not None:
        for there in networks.grid.models(networks.grid.whole(), networks.grid.times):
            pairs = float(there.psi_n) * d * min(float(there.m), SEVERAL)
            fits = networks.trials * float(there.ensemble.networks)
            training += COMPILE + fits * 2 * p**2 * (pairs + 4096 + p) / FLOPS
        count = networks.grid.points * networks.trials
        text += f"; training {count} networks: about {training:.0f} s"
    memory = 8 * p**2 * draws * (2 * classes + 3 + 4 * classes)
    return f"{text}; {memory / 2**30:.2g} GiB" if seconds + training > LONG else None
