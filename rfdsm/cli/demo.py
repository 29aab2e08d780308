"""`rfdsm demo`: theory and simulation meet, on the paper's setting and on real images."""

import math
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from .. import sweeps
from .._files.programs import hurried
from .._files.whole import whole_file
from ..errors import LOSSES
from ..model import RFDSM
from ..progress import Progress, Report
from ..sweeps import prediction
from . import words
from .console import stages
from .predict import question, summary

EXAMPLE = "demo --out rfdsm-demo"
GAUSSIAN, DIGITS = "gaussian.png", "digits.png"


class Setting(NamedTuple):
    """What a figure shows: a model, the number that is swept, the lines, and the networks."""

    model: RFDSM
    over: dict[str, Any]
    lines: dict[str, Any]
    networks: dict[str, Any]


def gaussian() -> Setting:
    """The paper's isotropic Gaussian setting."""
    return Setting(
        RFDSM(psi_n=8, psi_p=1, m=1, t=0.1, lam=1e-3),
        {"psi_p": np.geomspace(0.2, 200, 241)},
        {"m": (1, 4, 16, math.inf)},
        {"d": 48, "trials": 6, "at": (2.0, 8.0, 32.0)},
    )


def digits() -> Setting:
    """Scikit-learn's handwritten digits, over the number of training points."""
    points = prediction.load(None).X
    given = {"m": [1, 4, math.inf], "psi_p": 3.0, "t": 0.1, "lam": 1e-2}
    return Setting(*question(points, "n=32:512:21", given), {"trials": 8, "points": 3})


def demo(
    directory: Annotated[
        Path, typer.Option("--out", help="Folder for the figures and the summary.")
    ] = Path("rfdsm-demo"),
) -> None:
    """Theory and simulation side by side, on Gaussian data and on real images."""
    # Some twenty programs of networks, each for a second's work.
    with stages("demo") as report, hurried():
        told = _results(directory, lambda at: at.total and report(at))
    print(told)


def _results(folder: Path, report: Report) -> str:
    """Write both figures and a summary into the folder; return the summary."""
    from .. import plotting

    folder.mkdir(parents=True, exist_ok=True)  # a bad place is refused before the work
    of_gaussian, of_digits = gaussian(), digits()
    for networks in (None, of_gaussian.networks):  # lines at once, dots when they are trained
        found = sweeps.curve(*of_gaussian[:3], simulate=networks, report=report)
        plotting.save(plotting.curve_figure(found), folder / GAUSSIAN)
        report(Progress(GAUSSIAN, 0, 1))
    images = sweeps.predict(
        *of_digits[:3],
        classes=1,  # what the spread of leverage says too
        simulate=of_digits.networks,
        report=report,
    )
    images.attrs["data"] = "scikit-learn's digits"
    plotting.save(plotting.curve_figure(images), folder / DIGITS)
    text = "\n".join(
        [
            *_of_gaussian(found, of_gaussian.model, folder),
            "",
            f"{folder / DIGITS}: dots are networks trained on the real images; full lines are "
            "the theory of their measured moments, dashed ones that of Gaussian data of their "
            "covariance.",
            *(f"  {line}" for line in summary(images)),
            "",
        ]
    )
    with whole_file(folder / "summary.txt") as partial:
        partial.write_text(text, encoding="utf-8")
    return text


def _of_gaussian(found: Any, model: RFDSM, folder: Path) -> list[str]:
    psi_n, x = float(model.psi_n), found["psi_p"].values
    linear = float(model.baselines().linear)
    told = [
        f"{folder / GAUSSIAN}: lines are theory, dots the trained network "
        f"(d = {found.attrs['d']})."
    ]
    for label, line in words.lines(found):
        test = line["test_loss"].values
        peaks = 1 + np.flatnonzero((np.diff(test[:-1]) > 0) & (np.diff(test[1:]) <= 0))
        if peaks.size:
            peak = peaks[np.argmax(test[peaks])]
            told.append(
                f"  {label}: the test loss peaks at psi_p = {x[peak]:.3g}, at "
                f"{test[peak]:.3g}; p = n m, interpolation, is at {float(line['m']) * psi_n:g}."
            )
        else:
            told.append(f"  {label}: the test loss has no interpolation peak.")
    memory = line["memorization_loss"].values
    places = np.log(psi_n * np.array([1 / 8, 1, 8]))
    gap = np.interp(places, np.log(x), test - memory)
    told.append(
        f"  m = ∞: the crossover at p = n (psi_p = {psi_n:g}) is smooth: test loss minus "
        f"memorization loss is {gap[0]:.2f} at p = n/8, {gap[1]:.2f} at p = n, {gap[2]:.2f} at "
        f"p = 8 n. From psi_p = {x[np.argmax(memory < linear)]:.3g} on, training points are "
        f"denoised better than the best linear score can ({linear:.3g}): memorisation."
    )
    return told + words.agreement(found, LOSSES)
