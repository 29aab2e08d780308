"""`rfdsm compare targets`: what a network should predict, side by side over one number."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from .. import sweeps
from ..analysis.points import describe
from ..ingredients.data import Gaussian, Samples
from ..ingredients.targets import AbstractTarget
from ..model import RFDSM
from ..parameters.numbers import text
from ..parameters.plain import read, read_numbers
from ..sweeps import axes, prediction
from ..sweeps.comparison import COMPARED, TARGETS, comparison
from ..sweeps.ranking import Range, Ranking, ranking
from . import console, options, words

EXAMPLE = "compare targets --psi-n 4 --psi-p 0.3:30:40 --t 0.1 --subspace 0.1 --out targets.png"
KEYS = {"d": 48, "trials": 8, "points": 6}
NETWORKS = options.Networks("--simulate", KEYS, least=2)
ON_DATA = options.Networks("--simulate", {n: KEYS[n] for n in ("trials", "points")}, least=2)
USUAL = {"m": 4.0, "lam": 1e-2}
WIDTHS = "0.5:6:5"  # of psi_p on data points, where nothing is given as a range
SUBSPACE = "subspace"
FINITE = 0.1  # of the theory: networks that are further away are told to be small


def _option(kind: Any, help: str, metavar: str | None = None) -> tuple[Any, Any]:
    """Of an option that may be left out, for `options.of_model`."""
    return Annotated[kind | None, typer.Option(metavar=metavar, help=help)], None


OPTIONS = {
    "targets": _option(
        list[str],
        f"What networks predict: {','.join(TARGETS)} unless told; also score, c_x,c_z as in "
        "1,-1, angle:0.7. Repeatable.",
        "A,B,...",
    ),
    "best": (
        Annotated[
            str,
            typer.Option(
                help="What is tuned for each target and value: lam, tau (the time to stop "
                "gradient flow), none; bounds as in lam=1e-6:100."
            ),
        ],
        "lam",
    ),
    SUBSPACE: _option(
        str,
        "The data fill this share of the dimensions, evenly, with mean variance 1: 0.1; or a "
        "range of shares.",
    ),
    "n": _option(str, "Training points of DATA, in place of --psi-n."),
    "simulate": (NETWORKS.told("Train networks too (on DATA without d)"), None),
    "seed": (options.Seed, 0),
    "noises": _option(int, "Of DATA: noises per point to measure with; exact where cheap."),
    "classes": _option(int, "Of DATA: classes of points; as many as needed unless told."),
    **options.OF_FILE,
    "scale": (options.Scale, None),
    "out_file": (options.FigureFile, None),
    "data_file": (options.DataFile, None),
    "log_y": (options.LogY, False),
}


@options.of_model(
    several=None,
    means="the abscissa, a list or a grid, 0.3:30:40",
    without=("target", "angle"),
    beside=OPTIONS,
)
def compare(
    what: Annotated[str, typer.Argument(metavar="targets", help="What is compared.")],
    points: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help=".npy, .npz or .csv, a row per point, or digits (scikit-learn's); without: "
            "Gaussian data.",
        ),
    ] = None,
    *,
    given: dict[str, Any],
    beside: dict[str, Any],
) -> None:
    """Prediction targets side by side: which is best where, and by how much.

    Noise, data and velocity prediction are compared by the noise that each implies, over the
    one number that is given as a range, each target at its own best ridge. Of DATA by moments
    that are measured on it once for all targets.
    """
    # Everything that can be refused is refused before the work.
    if what != "targets":
        raise ValueError(f"compare takes targets, got {what!r}: rfdsm {EXAMPLE}")
    files = beside["out_file"], beside["data_file"]
    console.require_writable(*files)
    data = _points(points, beside)
    best, targets = _best(beside["best"]), _targets(beside["targets"] or TARGETS)
    model, over = question(given, best, data, beside)
    simulate = (NETWORKS if data is None else ON_DATA).read(beside["simulate"])
    asked: Any = model, targets, over, best, simulate, beside["seed"]
    plan = comparison(*asked)

    if data is not None:
        print("\n".join([data.about(), *describe(data.X).lines(), ""]), flush=True)
        if plan.measurements > 1:
            console.note(f"{plan.measurements} measurements, one for each {next(iter(over))}")
    with console.stages("compare") as report:
        measured = {name: beside[name] for name in ("noises", "classes")}
        how = {"simulate": simulate, "seed": beside["seed"], "report": report}
        found = sweeps.compare(*asked[:4], **how, **measured)
    if data is not None:
        found.attrs |= {"data": data.name, "scale": data.scale}
    if (share := beside[SUBSPACE]) is not None:
        found.attrs["data"] = f"Gaussian data on {share} of the dimensions"
    if SUBSPACE in over:
        found.attrs["data"] = "Gaussian data on a subspace"
        found[SUBSPACE].attrs["label"] = "share of the dimensions that the data fill"
    ranks = ranking(found)
    console.out.print(_table(found, ranks))
    print("\n".join(["", *summary(found, ranks)]))
    gaps = found[found.attrs["compared"]].isnull()
    if gaps.any():
        console.show_warning(f"{int(gaps.sum())} of {gaps.size} points were not solved: gaps.")
    log_y = beside["log_y"] or None
    words.keep(found, lambda draw: draw.comparison_figure(found, log_y=log_y), *files)


# What is asked for.


def _points(path: Path | None, beside: Mapping[str, Any]) -> prediction.Points | None:
    """The points of DATA."""
    of_data = ("n", "noises", "classes", *options.OF_FILE, "scale")
    if path is not None:
        how = {name: beside[name] for name in (*options.OF_FILE, "scale")}
        return prediction.load(path, **how)
    for name in of_data:
        if beside[name] is not None:
            raise ValueError(
                f"{options.spelled(name)} is of DATA: name a file, or leave it out."
            )
    return None


def _targets(texts: Sequence[str]) -> list[str]:
    """The targets of "noise,data,1,-1": of numbers two belong together."""
    found: list[str] = []
    for part in ",".join(texts).split(","):
        part = part.strip()
        if found and _is_number(part) and not _is_target(found[-1]):
            found[-1] += f",{part}"
        else:
            found.append(part)
    for each in found:
        read(AbstractTarget, each, "--targets")
    return found


def _is_number(part: str) -> bool:
    try:
        return bool(read_numbers(part, ""))
    except ValueError:
        return False


def _is_target(part: str) -> bool:
    try:
        return bool(read(AbstractTarget, part, ""))
    except ValueError:
        return False


def _best(given: str) -> dict[str, Any] | None:
    """The number of "lam" or "lam=1e-6:100", and its bounds."""
    name, equals, bounds = given.strip().partition("=")
    if name in ("lam", "tau") and not equals:
        return {name: None}
    try:
        low, high = map(float, bounds.split(":"))
    except ValueError:
        if given == "none":
            return None
        raise ValueError(
            f"--best takes lam, tau or none, or bounds as in lam=1e-6:100, got {given!r}."
        ) from None
    return {name: (low, high)}


def question(
    given: dict[str, Any],
    best: Mapping[str, Any] | None,
    data: prediction.Points | None,
    beside: Mapping[str, Any],
) -> tuple[RFDSM, dict[str, Any]]:
    """The model, and what it is compared over, the one number that has several values.

    Raises:
        ValueError: none or two of them, a number missing, or one that DATA does not have.
    """
    numbers = {name: x for name, x in given.items() if name in options.names()}
    others = {name: x for name, x in given.items() if name not in numbers}
    texts = {name: ",".join(x) for name, x in numbers.items()}
    texts |= {
        name: beside[name] for name in (axes.POINTS, SUBSPACE) if beside[name] is not None
    }
    if data is not None and SUBSPACE in texts:
        raise ValueError("--subspace is of Gaussian data: leave it or DATA out.")
    if data is not None and not any(map(_several, texts.values())):
        texts.setdefault("psi_p", WIDTHS)
    values = {name: axes.values(options.spelled(name), x) for name, x in texts.items()}
    swept = [name for name, x in values.items() if len(x) > 1]
    if len(swept) != 1:
        both = " and ".join(map(options.spelled, swept)) or "none"
        raise ValueError(
            f"one number is given as a range, as in --psi-p 0.3:30:40, got {both}: targets are "
            "compared over it."
        )
    if tuned := [name for name in best or () if name in values]:
        option = options.spelled(tuned[0])
        raise ValueError(
            f"{option} is tuned for each target: leave it out, or say --best none."
        )
    (name,) = swept
    at = {n: float(x[0]) for n, x in values.items() if n not in (axes.POINTS, SUBSPACE)}
    if best and "tau" in best and "training" not in others:
        at["tau"] = 1.0  # which says that the rule is gradient flow
    if data is not None:
        return _on_points(data.X, {**others, **at}, values, name)
    if SUBSPACE in values:
        if {"law", *options.LISTS} & {*others}:
            raise ValueError("--subspace is the law of the data: leave out what says another.")
        shares = values[SUBSPACE]
        if not (np.all(shares > 0) and np.all(shares <= 1)):
            raise ValueError(
                f"--subspace takes shares above 0, up to 1, got {texts[SUBSPACE]}."
            )
        law = Gaussian((0.0, 1 / shares[0]), (1 - shares[0], shares[0]))
        model = options.model({**others, **at}, **USUAL, data=law)
        if name == SUBSPACE:
            of_shares = {
                "data.weights[1]": shares,
                "data.weights[0]": 1 - shares,
                "data.eigenvalues[1]": 1 / shares,
            }
            return model, {SUBSPACE: sweeps.zipped(of_shares)}
        return model, {name: values[name]}
    return options.model({**others, **at}, **USUAL), {name: values[name]}


def _several(text: str) -> bool:
    return ":" in text or "," in text


def _on_points(
    X: np.ndarray, given: dict[str, Any], values: Mapping[str, np.ndarray], name: str
) -> tuple[RFDSM, dict[str, Any]]:
    """The model on data points, and what targets are compared over."""
    if {"law", *options.LISTS} & {*given}:
        raise ValueError(
            "DATA have a law of their own: leave out --law, --eigenvalues, --weights."
        )
    (N, d), usual = X.shape, prediction.usual(X)
    if axes.POINTS in values:
        if "psi_n" in given:
            raise ValueError("--n and --psi-n say the same: leave one out.")
        if np.max(values[axes.POINTS]) > N:
            raise ValueError(f"--n {np.max(values[axes.POINTS]):g} of {N} points: take fewer.")
        given["psi_n"] = values[axes.POINTS][0] / d
    return options.model(given, **usual, data=Samples(X)), {name: values[name]}


# What was found.


def _table(found: Any, ranks: Ranking) -> Table:
    """The errors at some of the axis' points, the best target and its lead."""
    along, compared, tuned = (found.attrs[name] for name in ("axis", "compared", "tuned"))
    names = [str(name) for name in found["target"].values]
    several = len(ranks.names) > 1
    lead = ["best", "second over best"] * several
    drawn = console.table(along, *names, *lead, *[f"its {tuned}"] * (tuned != "none"))
    points = found.sizes[along]
    chosen = np.round(np.linspace(0, points - 1, min(words.ROWS, points))).astype(int)
    for i in np.unique(chosen):
        cells = [words.value(found.sel(target=name), compared, i) for name in names]
        best = ranks.names[ranks.order[i, 0]]
        if not np.isfinite(ranks.errors[i, 0]):
            best = "-"
        if several:
            cells += [best, _rounded(ranks.errors[i, 1] / ranks.errors[i, 0])]
        if tuned != "none":
            at = found[f"optimal_{tuned}"].sel(target=best.partition(" = ")[0])
            cells.append(f"{float(at[i]):.3g}")
        drawn.add_row(f"{found[along].values[i]:.4g}", *cells)
    return drawn


def summary(found: Any, ranks: Ranking) -> list[str]:
    """Lines of text: which target is best where, by how much, and what networks say."""
    about = found.attrs
    words = f"by their {COMPARED[about['compared']][0]}"
    if about["tuned"] != "none":
        words += f", each at its best {about['tuned']}"
    told = [f"targets {words}:"] if len(ranks.names) > 1 else []
    crossings = {each.at: each for each in ranks.crossings}
    for each in ranks.ranges:
        told.append(f"  {_of_range(each, about['axis'])}")
        if (at := crossings.get(each.high)) is not None:
            told.append(
                f"  {about['axis']} = {at.at:.3g}: {at.before} and {at.after} cross, at "
                f"{at.error:.3g}"
            )
    return told + _at_bounds(found) + _networks(found)


def _rounded(x: float, digits: int = 3) -> str:
    """A number to some digits, without powers of ten where it is large."""
    return f"{x:.0f}" if x >= 10**digits else f"{x:.{digits}g}"


def _of_range(each: Range, along: str) -> str:
    """Who is best in a range, and by how much."""
    where = f"{along} = {text(each.low)}"
    if each.high > each.low:
        where = f"{along} = {each.low:.3g} to {each.high:.3g}".replace("inf", "∞")
    if not each.seconds:
        return f"{where}: {each.best}"
    ratio = _rounded(each.least)
    if _rounded(each.most) != ratio:
        ratio += f" to {_rounded(each.most)}"
    doubt = "" if each.certain else ", in parts within the error bars"
    second = " or ".join(each.seconds)
    return f"{where}: {each.best} is best, {second} second at {ratio} times its error{doubt}"


def _at_bounds(found: Any) -> list[str]:
    """A line for each target whose best number is at an end of its range."""
    if (tuned := found.attrs["tuned"]) == "none":
        return []
    best, told = found[f"optimal_{tuned}"], []
    for name, x in zip(best["target"].values, best.values, strict=True):
        for end in (best.attrs["lowest"], best.attrs["highest"]):
            if count := np.count_nonzero(np.isclose(x, end, rtol=1e-4, atol=0.0)):
                points = f"{count} of {x.size} points"
                told.append(
                    f"the best {tuned} of {name} is {end:g}, an end of its range, at {points}"
                )
    return told


def _networks(found: Any) -> list[str]:
    """Lines on how networks and theory differ; none where there are no networks."""
    compared = found.attrs["compared"]
    if f"{compared}_mean" not in found:
        return []
    mean, bar, theory = (
        found[f"{compared}_{part}"] for part in ("mean", "standard_error", "theory")
    )
    told = [
        f"networks of d = {found.attrs['d']}, {found.attrs['trials']} trials, against theory "
        "at the ratios they realise:"
    ]
    for name in found["target"].values:
        gaps = 100 * np.abs(mean / theory - 1).sel(target=name).values
        away = np.abs((mean - theory) / bar).sel(target=name).values
        told.append(
            f"  {name} differs by {_rounded(np.nanmedian(gaps), 2)} % in the median, "
            f"{_rounded(np.nanmax(gaps), 2)} % and {_rounded(np.nanmax(away), 2)} standard "
            "errors at most"
        )
    far = np.nanmax(np.abs(mean / theory - 1).values)
    if far > FINITE and "points" not in found.attrs:
        told.append(
            "  theory is the limit of many dimensions that data fill: a larger d is closer"
        )
    if len(mean["target"]) > 1:
        same = mean.values.argmin(axis=0) == theory.values.argmin(axis=0)
        told.append(f"  the best target is theory's at {same.sum()} of {same.size} points")
    return told
