"""`rfdsm train`: the errors over training time, and when to stop."""

import math
import warnings
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer

from .. import sweeps
from ..analysis import measure
from ..analysis.points import describe
from ..errors import FewPoints
from ..ingredients.data import Samples
from ..model import RFDSM
from ..parameters.numbers import counted, declared
from ..sweeps import axes, prediction
from . import options, words

EXAMPLE = "train --psi-n 4,16 --psi-p 16 --m inf --t 0.1 --tau 0.1:1e4:80 --out train.png"
ERRORS = "score_error,test_loss,train_loss,memorization_loss"
OF_DATA = "test_loss,train_loss,memorization_loss"
NETWORKS = options.Networks("--simulate", {"d": 48, "trials": 8, "points": 10})
ON_DATA = options.Networks("--simulate", {"trials": 8, "points": 10})
OF_A_LAW = ("law", "eigenvalues", "weights")


@options.of_model(
    several=None,
    without=("tau", "steps", "learning_rate", "training"),
    beside=options.of_curves(NETWORKS, ERRORS) | options.OF_FILE,
)
def train(
    points: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help=".npy, .npz or .csv, a row per point: by moments measured on them. t is 0.1, "
            "psi_p 3, m infinite and n 2 d unless told, d the data's own. Without: "
            "Gaussian data.",
        ),
    ] = None,
    tau: Annotated[
        str, typer.Option(metavar="START:STOP:COUNT", help="Training times, a log grid.")
    ] = "0.1:1e5:100",
    scale: options.Scale = None,
    as_is: Annotated[bool, typer.Option("--as-is", help="--scale none.")] = False,
    *,
    given: dict[str, Any],
    beside: dict[str, Any],
) -> None:
    """The errors over training time, by gradient flow: when it generalises and memorises.

    tau_gen is the best time to stop, that of the least test loss; at tau_mem the memorization
    loss, of the training points with fresh noise, is a tenth lower than there.
    """
    # Everything that can be refused is refused before the work.
    of_file = {name: beside.pop(name) for name in options.OF_FILE}
    given, lines = options.lines(given)
    taus = axes.grid("tau", tau)
    if points is None:
        if as_is or {scale, *of_file.values()} != {None}:
            raise ValueError("--scale, --as-is, --header and --index are of DATA.")
        model = options.model(given | {"tau": taus[0]})
        words.answer(sweeps.train, model, taus, lines, beside, NETWORKS, _summary)
        return
    data = prediction.load(points, as_is=as_is, scale=scale, **of_file)
    model = _model(data.X, given, lines)
    if beside["errors"] == ERRORS:
        beside["errors"] = OF_DATA
    found_on = {"data": data.name, "points": len(data.X), "dimension": data.X.shape[1]}

    def train(model, taus, lines, *, simulate, seed, report):
        """`sweeps.train`, by moments that are measured first."""
        print("\n".join([data.about(), *describe(data.X).lines(), ""]), flush=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FewPoints)  # the result has the error bar
            moments = measure(model, jax.random.key(seed), report=report)
        more = {"simulate": simulate, "seed": seed, "report": report}
        found = sweeps.train(model, taus, lines, moments=moments, **more)
        return found.assign_attrs(found_on, title=f"training time for {data.name}")

    words.answer(train, model, taus, lines, beside, ON_DATA, _summary)


def _model(X: np.ndarray, given: dict[str, Any], lines: dict[str, Any] | None) -> RFDSM:
    """The model on data points, of which one measurement serves all lines."""
    N, d = X.shape
    for name in {*OF_A_LAW} & {*given}:
        raise ValueError(f"{options.spelled(name)} is of a law, not of DATA.")
    for name, values in (lines or {}).items():
        about = declared(RFDSM)[options.names()[name]]
        if about.measured and len(values) > 1:
            raise ValueError(
                f"{options.spelled(name)} has several values: moments of DATA are measured at "
                "one; let psi_n, m or lam differ."
            )
    n = d * max((lines or {}).get("psi_n", [given.get("psi_n", 0.0)]))
    if round(n) > N:
        raise ValueError(f"psi_n = {n / d:g} is n = {n:g} training points of {N}: take fewer.")
    psi_p = given.get("psi_p", 3.0)
    if not 0.5 < psi_p * d < math.inf:
        raise ValueError(f"psi_p = {psi_p} at d = {d} gives no network: take more than 1/d.")
    usual = {"psi_n": max(1, min(2 * d, N // 4)) / d, "m": math.inf, "t": 0.1}
    own = {"psi_p": counted(psi_p, d) / d, "tau": 1.0}  # of which a flow is made
    return options.model(given | own, data=Samples(X), **usual)


def _summary(found: Any) -> list[str]:
    """Lines of text: each line's best time to stop, when it memorises, and by the spectrum."""
    told = []
    for label, line in words.lines(found):
        if words.least(line, "test_loss") is None:
            told.append(words.labelled(label, words.NOWHERE))
            continue
        told.append(words.labelled(label, _times(line)))
        gen, mem = (float(line[f"tau_{x}_by_bulks"]) for x in ("gen", "mem"))
        if not math.isnan(gen):
            told.append(
                f"  by the spectrum's bulks: the population's modes are learned by tau = "
                f"{gen:.4g}, those of single points from {mem:.4g} on"
            )
    return told


def _times(line: Any) -> str:
    gen, mem = (float(line[f"tau_{x}_by_curves"]) for x in ("gen", "mem"))
    if math.isnan(gen):
        return "training never lowers the test loss: no tau_gen"
    at = f"test loss {float(line['test_loss_at_gen']):.5g}"
    if "test_loss_at_gen_error" in line:
        at += f" ± {float(line['test_loss_at_gen_error']):.1g}"
    stop = f"stop at tau_gen = {gen:.4g} ({at})"
    if line["memorization_loss"].isnull().all():
        return stop
    memorises = (
        "it does not memorise" if math.isnan(mem) else f"memorises from tau_mem = {mem:.4g}"
    )
    return f"{stop}; {memorises}"
