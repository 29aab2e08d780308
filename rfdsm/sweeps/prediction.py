"""The losses on a data set's own points by two theories, before any training."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from .._files import points as _points
from ..analysis import measure, sampling_error
from ..errors import LOSSES
from ..ingredients import datasets
from ..ingredients.data import sample_matrix, standardise
from ..model import RFDSM
from ..parameters.numbers import counted
from ..progress import FLOPS, LONG, Report, Steps, silent
from .curves import checked, labelled
from .networks import calls, simulated
from .theory import theory

COMPILE = 3.0  # seconds for networks of a new shape
SEVERAL = 16  # noises of a pair's cost, which exact averages over infinitely many do not exceed
MEASURED, GAUSSIAN = "theory of measured moments", "Gaussian theory"


class Points(NamedTuple):
    """Data points X, shape (N, d), where they are from, and whether they were standardised.

    `read` says what was read of a file.
    """

    name: str
    X: np.ndarray
    standardised: bool
    read: str = ""

    def about(self) -> str:
        """A line on what was read."""
        how = "centred and scaled to mean variance 1" if self.standardised else "used as given"
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
    header: bool | None = None,
    index: bool | None = None,
) -> Points:
    """The points of a file, standardised unless told; scikit-learn's digits without one.

    Args:
        header, index: whether a .csv has names in its first row, and in its first column names
            or numbers of the rows; None: as the file says.

    Raises:
        ValueError, OSError: what reading and `standardise` refuse.
    """
    if path is None:
        if not (header is None and index is None):
            raise ValueError("--header and --index are of DATA in a .csv file.")
        return Points("scikit-learn's digits", datasets.digits(), True)
    prepared = sample_matrix if as_is else standardise
    found = _points.table(path, header, index)
    return Points(path.name, prepared(found.X), not as_is, found.about)


def predict(
    model: RFDSM,
    over: Mapping[str, Any],
    lines: Mapping[str, Any] | None = None,
    *,
    draws: int = 1,
    noises: float | None = None,
    classes: int | None = None,
    simulate: Mapping[str, Any] | None = None,
    seed: int = 0,
    report: Report = silent,
) -> Any:
    """The losses on data points by the moments measured on them, and by Gaussian theory.

    Measures once, at the model's own numbers; the number that is swept must be free of the
    measurement: n, m, or one of the training rule.

    Args:
        model: with data `Samples(X)`.
        over, lines: as of `curve`, {"n": values} and {"m": values}, say.
        draws: of the features' weights; of several the losses are the mean.
        noises, classes: as `measure` takes them.
        simulate: {"trials": 12, "points": 4} trains networks on the points.
        seed: of everything random.
        report: called with `Progress`.

    Returns:
        An `xarray.Dataset` as of `curve`; the Gaussian theory's variables end in _gaussian,
        and at the networks in _gaussian_theory. The attribute `uncertain` is the share of the
        test loss that finitely many points leave uncertain at the model's numbers (n and m in
        attributes), `enough` how many would leave 1 %.

    Raises:
        ValueError, NotConverged: as `curve` and `measure`.
    """
    of_lines, asked = checked(model, over, lines, simulate, seed)
    step = Steps(report, 2 + calls(asked, of_lines))
    measured = {"classes": classes, "draws": draws if draws > 1 else None, "report": report}
    # The result says with numbers whether points are few.
    moments = measure(model, jax.random.key(seed), noises, warned=False, **measured)
    step("moments")
    variables = theory(of_lines, moments, kind=MEASURED)
    variables |= theory(of_lines, suffix="_gaussian", kind=GAUSSIAN)
    step("theory")
    variables |= simulated(asked, of_lines, moments, step, LOSSES, gaussian=True)
    found = labelled(of_lines, variables, "losses predicted on data points", asked)
    points, d = model.data.X.shape
    found.attrs |= {"data": "data points", "points": points, "dimension": d, "draws": draws}
    numbers = {"n": float(model.psi_n) * d, "m": float(model.m)}
    found.attrs |= {"classes": moments.classes, **numbers}
    if moments.parts is not None:
        error = sampling_error(model, moments)
        share = error.share(model.asymptotics(moments=moments))
        found.attrs |= {"uncertain": share, "enough": float(error.enough)}
    return found


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
    of_lines, asked = checked(model, over, lines, simulate, 0)
    d, classes = model.data.X.shape[1], classes or 1
    p = counted(model.psi_p, d)
    solves = len(of_lines.models) * len(of_lines.along.x) * draws
    seconds = COMPILE + solves * (0.02 + 3e-9 * p**3 * (1 + classes / 6))
    text = f"solving {solves} points of {p} features: about {seconds:.0f} s"
    training = 0.0
    if asked is not None:
        for line, x in product(of_lines.models, asked.x):
            there = of_lines.along.place(line, x)
            pairs = float(there.psi_n) * d * min(float(there.m), SEVERAL)
            training += COMPILE + asked.trials * 2 * p**2 * (pairs + 4096 + p) / FLOPS
        count = calls(asked, of_lines) * asked.trials
        text += f"; training {count} networks: about {training:.0f} s"
    memory = 8 * p**2 * draws * (2 * classes + 3 + 4 * classes)
    return f"{text}; {memory / 2**30:.2g} GiB" if seconds + training > LONG else None
