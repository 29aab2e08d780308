"""`rfdsm predict`: the losses on your own data points, by two theories and networks."""

import math
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from ..analysis.points import describe
from ..errors import LABELS, LOSSES
from ..ingredients.data import Samples
from ..model import RFDSM
from ..parameters.checks import positive_integer
from ..parameters.numbers import counted, declared, text
from ..parameters.scales import LINEAR
from ..sweeps import axes, prediction
from . import options, words
from .console import note, out, require_writable, stages, table

EXAMPLE = "predict points.csv --against n=32:512:24 --m 1,4,inf --psi-p 3 --out losses.png"
LINES = (1.0, 4.0, math.inf)
COUNT = 24  # points of a grid, unless told
WIDTH, PSI_P = "psi_p", (0.5, 6.0)  # what several widths are measured for, and its usual ends
NETWORKS = options.Networks("--verify", {"trials": 12, "points": 4}, least=2)


@options.of_model(several=("m",), without=("psi_n", "law", "eigenvalues", "weights"))
def predict(
    points: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help=".npy, .npz or .csv, a row per point; without: scikit-learn's digits.",
        ),
    ] = None,
    *,
    given: dict[str, Any],
    against: Annotated[
        str,
        typer.Option(
            help="n, m, lam, psi_p or a target's angle, with a grid if asked: n=32:512:24."
        ),
    ] = "n",
    widths: Annotated[
        int | None, typer.Option(help="Widths to measure at along psi_p; 5 unless told.")
    ] = None,
    n: Annotated[
        int | None, typer.Option(help="Training points, where not swept; 2 d unless told.")
    ] = None,
    noises: Annotated[
        int | None, typer.Option(help="Noises per point to measure with; exact where cheap.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="Classes of points; as many as needed unless told.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws of the features' weights: a band.")] = 1,
    verify: NETWORKS.told("Train networks on the data too, at points of each line") = None,
    seed: options.Seed = 0,
    header: options.Header = None,
    index: options.Index = None,
    scale: options.Scale = None,
    as_is: Annotated[bool, typer.Option("--as-is", help="--scale none.")] = False,
    out_file: options.FigureFile = None,
    data_file: options.DataFile = None,
    log_y: options.LogY = False,
) -> None:
    """The losses on your own data, from theory, and if asked from trained networks."""
    # Everything that can be refused is refused before the work.
    require_writable(out_file, data_file)
    data = prediction.load(points, as_is=as_is, scale=scale, header=header, index=index)
    given["m"] = options.lists(given.pop("m", None), "--m")
    model, over, lines = question(data.X, against, given, n)
    if widths is not None and WIDTH not in over:
        raise ValueError("--widths are of --against psi_p.")
    positive_integer(prediction.WIDTHS if widths is None else widths, "--widths", 2)
    measured = {"draws": draws, "noises": noises, "classes": classes}
    for (name, count), least in zip(measured.items(), (1, 2, 1), strict=True):
        if count is not None:
            positive_integer(count, f"--{name}", least)
    if classes is not None and 2 * classes > len(data.X):
        raise ValueError(f"--classes {classes} are too many for {len(data.X)} points.")
    networks = NETWORKS.read(verify)
    asked, costs = (model, over, lines), {"draws": draws, "classes": classes}
    estimate = prediction.estimate(*asked, **costs, simulate=networks)

    print("\n".join([data.about(), *describe(data.X).lines(), ""]), flush=True)
    if estimate:
        note(estimate)
    measured["widths"] = prediction.widths_along(over, data.X.shape[1], widths)
    with stages("predict") as report:
        found = prediction.predict(
            *asked, **measured, simulate=networks, seed=seed, report=report
        )
    found.attrs |= {
        "data": data.name,
        "standardised": int(data.scale != "none"),
        "scale": data.scale,
    }
    found.attrs["title"] = f"losses predicted for {data.name}"
    beside = {"test loss, Gaussian theory": "test_loss_gaussian"}
    out.print(words.errors_table(found, LOSSES, beside))
    if networks:
        out.print("\ntheory against trained networks:", deviations(found))
    print("\n".join(["", *summary(found)]))
    words.keep(found, lambda draw: draw.curve_figure(found, log_y=log_y), out_file, data_file)


def question(
    X: np.ndarray, against: str, given: dict[str, Any], n: float | None = None
) -> tuple[RFDSM, dict[str, np.ndarray], dict[str, list[float]] | None]:
    """The model at which moments are measured, what is swept, and the lines.

    Args:
        X: the points. against: what is swept, as in "n" or "n=32:512:24".
        given: numbers of the model by their options, m as a list. n: training points.

    Raises:
        ValueError: numbers out of their domain, more than all points, a number given twice.
    """
    (N, d), usual = X.shape, prediction.usual(X)
    name, grid = _swept(against, N, d)
    if ({axes.POINTS: n} | given).get(name) not in (None, []):
        option = options.spelled(name)
        raise ValueError(f"{name} is swept, {option} gives it again: leave one out.")
    several = sorted(given["m"] or LINES)
    lines = None if name == "m" else {"m": several}
    numbers = given | {"m": several[len(several) // 2]} | {name: grid[len(grid) // 2]}
    if name == axes.POINTS:
        n, largest = numbers.pop(name), grid[-1]
    else:
        n = largest = round(usual["psi_n"] * d) if n is None else n
    if not largest <= N:
        raise ValueError(f"n = {largest:g} training points of {N}: take fewer.")
    psi_p = numbers.get("psi_p", usual["psi_p"])
    if not 0.5 < psi_p * d < math.inf:
        raise ValueError(
            f"psi_p = {psi_p} at d = {d} gives no network: take a number above 1/d."
        )
    numbers |= {"psi_n": n / d, "psi_p": counted(psi_p, d) / d}
    return options.model(numbers, **usual, data=Samples(X)), {name: grid}, lines


def _swept(against: str, N: int, d: int) -> tuple[str, np.ndarray]:
    """The number that is swept, and its values: the usual ones where none are given."""
    name, equals, text = against.partition("=")
    about = declared(RFDSM)
    free = {  # of the measurement, and no ratio: psi_n is swept as n
        short: about[full]
        for short, full in options.names().items()
        if not (about[full].measured or about[full].count or about[full].fixed)
    }
    known = axes.POINTS, WIDTH, *free
    if name not in known:
        raise ValueError(
            f"--against takes {', '.join(known)}, alone or as in n=32:512:24, got {against!r}."
        )
    spacing = ""
    if name == axes.POINTS:
        low, high = max(1.0, min(d / 2, N / 8)), min(8.0 * d, N)
    elif name == WIDTH:
        low, high = max(PSI_P[0], 1 / d), max(PSI_P[1], 2 / d)
    else:
        low, high = free[name].bounds or (1e-3, 1.0)
        if free[name].scale == LINEAR:
            spacing = axes.LINEAR
        else:
            low, high = (low, 32 * low) if math.isinf(high) else (max(low, 1e-6 * high), high)
    x = axes.grid(name, text if equals else f"{low}:{high}:{COUNT}{spacing}")
    if name != WIDTH:
        return name, x
    ends = np.maximum(np.round(x[[0, -1]] * d), 1) / d  # whole features
    if not ends[0] < ends[1] < math.inf:
        raise ValueError(f"psi_p from {x[0]:g} to {x[-1]:g} is one width at d = {d}.")
    return name, np.geomspace(*ends, len(x))


def deviations(found: Any) -> Table:
    """The networks' losses, and how far each theory is from them."""
    along, of_lines = found.attrs["axis"], found.attrs.get("lines")
    titles = (along, "loss", "networks", "±", "measured", "Gaussian theory")
    drawn = table(*([of_lines] if of_lines else []), *titles)
    theories = "theory", "gaussian_theory"
    for _, line in words.lines(found):
        first = [text(float(line[of_lines]))] if of_lines else []
        for i, name in product(range(found.sizes[f"simulated_{along}"]), LOSSES):
            drawn.add_row(
                *first,
                f"{line[f'simulated_{along}'].values[i]:.4g}",
                LABELS[name].removesuffix(" loss"),
                f"{line[f'{name}_mean'].values[i]:.4g}",
                f"{line[f'{name}_standard_error'].values[i]:.1g}",
                *(f"{words.deviation(line, name, each)[i]:+.1f} %" for each in theories),
            )
    return drawn


def summary(found: Any) -> list[str]:
    """Lines of text: least test loss, memorisation, how networks agree, how far to trust it."""
    told = words.least_losses(found) + _memorisation(found)
    if "trials" in found.attrs:
        told.append(
            f"distance of {found.attrs['trials']} networks' mean from theory, relative to the "
            "larger of the loss and 0.1, in the median and at most:"
        )
        for name in LOSSES:
            parts = []
            for label, theory in (("measured", "theory"), ("Gaussian", "gaussian_theory")):
                gap = np.abs(words.deviation(found, name, theory))
                parts.append(f"{label} {np.nanmedian(gap):.2g} and {np.nanmax(gap):.2g} %")
            told.append(f"  {LABELS[name]}: {', '.join(parts)}")
    return told + _trust(found)


def _memorisation(found: Any) -> list[str]:
    """Where training points are denoised better than the best linear score can."""
    along, told = found.attrs["axis"], []
    for label, line in words.lines(found):
        if line["memorization_loss"].isnull().all():
            continue
        x = line[along].values
        memorises = line["memorization_loss"].values < line["best_linear"].values
        if memorises.all() or not memorises.any():
            where = "everywhere" if memorises.all() else "nowhere"
        elif np.sum(np.diff(memorises.astype(int)) != 0) > 1:
            where = f"in parts of {along} = {x[0]:.4g} to {x[-1]:.4g}"
        elif memorises[0]:
            where = f"up to {along} = {x[memorises][-1]:.4g}"
        else:
            where = f"from {along} = {x[memorises][0]:.4g} on"
        linear = np.unique([f"{x:.4g}" for x in line["best_linear"].values])
        value = f", {linear[0]}" if len(linear) == 1 else ""
        what = f"memorises (memorization loss below the best linear score's{value})"
        told.append(words.labelled(label, f"{what} {where}"))
    return told


def _trust(found: Any) -> list[str]:
    """How far the measured theory depends on the law, the points, the draw of the weights."""
    about, test = found.attrs, found["test_loss"]
    told = []
    if "test_loss_error_bar" in found:
        gap, bar = (
            100 * np.nanmedian(x / test)
            for x in (abs(found["test_loss_gaussian"] - test), found["test_loss_error_bar"])
        )
        close = "less" if gap <= bar else "more"
        told.append(
            f"the Gaussian theory's test loss differs by {gap:.2g} % in the median, {close} "
            f"than the error bar's {bar:.2g} %: to these networks the points are "
            f"{'close to' if gap <= bar else 'not'} Gaussian"
        )
    if "test_loss_spread" in found:
        share = 100 * float((found["test_loss_spread"] / test).max())
        told.append(f"the test loss varies by up to {share:.2g} % between draws of the weights")
    if "uncertain" in about:
        line = (
            f"± is a 95 % interval for the finite number of points: test loss at n = "
            f"{about['n']:.4g}, m = {text(about['m'])} uncertain by "
            f"{100 * about['uncertain']:.2g} %"
        )
        if about["enough"] > about["points"]:
            line += f" (about {about['enough']:.1g} points: 1 %)"
        told.append(line)
    return told
