"""`rfdsm map`: heat maps of errors over two numbers, from a store or solved on the spot."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from .. import sweeps
from ..errors import FIELDS, NotConverged
from ..parameters.plain import read_numbers
from ..sweeps.memorisation import memorises
from . import console, grid_words, grids, options, words

EXAMPLE = "map psi_n=.5:50:60 psi_p=.2:200:60 --m 4 --t .1 --lam 1e-3 --out map.png"
ERRORS = "test_loss,memorization_loss"


def _option(help: str, metavar: str) -> tuple[Any, Any]:
    """Of an option that may be left out, for `options.of_model`."""
    return Annotated[str | None, typer.Option(metavar=metavar, help=help)], None


OPTIONS = {
    "x": _option("The number along x, with --y; else the two longest axes.", "NAME"),
    "y": _option("The number along y.", "NAME"),
    "at": _option("Values of other axes of STORE, the nearest of each: m=4.", "NAME=VALUE,..."),
    "zip": grids.ZIP,
    "errors": (
        Annotated[str, typer.Option(help=f"Of {', '.join(FIELDS)}; of STORE any variable.")],
        ERRORS,
    ),
    "lines": (
        Annotated[
            bool,
            typer.Option(
                "--lines/--no-lines",
                help="Lines at p = n, p = n m, n m = d, where the network begins to memorise, "
                "and in the valleys of each error.",
            ),
        ],
        True,
    ),
    "out_file": (options.FigureFile, None),
    "data_file": (options.DataFile, None),
}


@options.of_model(several=None, means="an axis", beside=OPTIONS)
def map(
    swept: Annotated[
        list[str] | None,
        typer.Argument(metavar="STORE | NAME=VALUES", help=f"Of rfdsm sweep; or: {grids.HELP}"),
    ] = None,
    *,
    given: dict[str, Any],
    beside: dict[str, Any],
) -> None:
    """Errors over two numbers: where each is least, how much memorises, and the figure."""
    # Everything that can be refused is refused before the work.
    files = beside["out_file"], beside["data_file"]
    console.require_writable(*files)
    if stores := [each for each in swept or () if "=" not in each]:
        if len(swept) > 1 or given or beside["zip"]:
            raise ValueError(
                f"{stores[0]} has numbers and values of its own: leave others out, and choose "
                "among them by --at m=4."
            )
        found = _selected(_opened(stores[0]), beside["at"])
        shown = _variables(beside["errors"], found)
        of_store = {name: (x.dims[0], x.size) for name, x in grid_words.axes(found).items()}
        sides = _sides(of_store, beside)
    else:
        if beside["at"]:
            raise ValueError("--at is of a STORE: without one give the number, as in --m 4.")
        shown = options.error_names(beside["errors"])
        asked = grids.Words(grids.along(swept or ()), given, {"zip": beside["zip"]})
        model, axes = grids.question(asked)
        sides = _sides(grids.lengths(axes), beside)
        with console.stages("map") as report:
            found = sweeps.sweep(model, axes, progress=report)
    if not (found["status"] == 0).any():
        raise NotConverged(f"no point was solved: {' '.join(words.failures(found))}")
    console.out.print(_table(found, shown, sides))
    print("\n".join(["", *_units(found, shown), *_memorising(found, sides)]))
    lines = None if beside["lines"] else ()
    with console.stages("map: drawing"):  # valleys are searched for, along tau in minutes
        words.keep(
            found, lambda draw: draw.phase_figure(found, shown, *sides, lines=lines), *files
        )


def _opened(store: str) -> Any:
    """The data set of a store, of which a damaged chunk could not be read.

    Raises:
        ValueError: one is damaged.
    """
    if damaged := sweeps.check(store).damaged:
        raise ValueError(
            f"{store} has damaged chunks, {len(damaged)} of them: the sweep's own command "
            f"computes them again, and rfdsm status {store} names them."
        )
    return sweeps.open(store)


def _selected(dataset: Any, text: str | None) -> Any:
    """The data set at the nearest values to those of "m=4,lam=1e-3"."""
    for each in (text or "").split(",") if text else ():
        name, _, value = (part.strip() for part in each.partition("="))
        name = name.replace("-", "_")
        if name not in dataset.coords or dataset[name].ndim != 1:
            known = ", ".join(grid_words.axes(dataset))
            raise ValueError(f"--at takes values of {known}, as in m=4, got {each!r}.")
        (wanted,), x = read_numbers(value, f"--at {name}"), dataset[name].values
        places = np.log(x) if dataset[name].attrs.get("spacing") == "log" and wanted > 0 else x
        at = np.log(wanted) if places is not x else wanted
        with np.errstate(invalid="ignore"):  # of ∞ from itself
            distance = np.where(places == at, 0.0, np.abs(places - at))
        dataset = dataset.isel({dataset[name].dims[0]: int(np.argmin(distance))})
    return dataset


def _variables(text: str, dataset: Any) -> list[str]:
    """The variables of "test_loss,simulated_test_loss"; an underscore may be a dash."""
    found = [name.strip().replace("-", "_") for name in text.split(",")]
    grid = dataset["status"].dims
    known = [name for name, x in dataset.data_vars.items() if {*grid} <= {*x.dims}]
    if not {*found} <= {*known} or len({*found}) < len(found):
        raise ValueError(f"--errors takes some of {', '.join(known)}, got {text!r}.")
    return found


def _sides(axes: Mapping[str, tuple[str, int]], asked: Mapping[str, Any]) -> tuple[str, str]:
    """The names along x and y: those that were asked for, else of the two longest dimensions.

    Args:
        axes: the dimension of each, and its length.
    """
    x, y = (name and name.strip().replace("-", "_") for name in (asked["x"], asked["y"]))
    if (x is None) != (y is None):
        raise ValueError("--x and --y go together: give both, or none.")
    first: dict[str, str] = {}
    for name, (dim, count) in axes.items():
        if count > 1:
            first.setdefault(dim, name)
    if len(first) < 2:
        raise ValueError(f"a map has two axes of several values, got {', '.join(axes)}.")
    if x is None:
        longest = sorted(first, key=lambda dim: -axes[first[dim]][1])[:2]
        x, y = (name for dim, name in first.items() if dim in longest)
    for name in (x, y):
        if name not in axes:
            raise ValueError(f"{name!r} is no axis here: these are {', '.join(axes)}.")
    if axes[x][0] == axes[y][0]:
        raise ValueError(f"{x} and {y} are no two sides of a map: take another axis.")
    left = [name for dim, name in first.items() if dim not in (axes[x][0], axes[y][0])]
    if len(left) > 1:
        raise ValueError(
            f"{' and '.join(left)} are left beside {x} and {y}, and one makes rows: choose "
            "values of the others, of a store by --at m=4."
        )
    return x, y


def _rows(dataset: Any, sides: Sequence[str]) -> list[tuple[str, Any]]:
    """(label, its map) for each value of a further axis; "" where there is none."""
    within = {dataset[name].dims[0] for name in sides}
    further = [dim for dim in dataset["status"].dims if dim not in within]
    if not further:
        return [("", dataset)]
    (dim,) = further
    rows = [dataset.isel({dim: i}) for i in range(dataset.sizes[dim])]
    beside = [n for n, x in grid_words.axes(dataset).items() if x.dims == (dim,)]
    return [(grid_words.place(row, beside), row) for row in rows]


def _table(dataset: Any, names: Sequence[str], sides: Sequence[str]) -> Table:
    """Where each variable is least, on each map."""
    rows = _rows(dataset, sides)
    drawn = console.table("error", *["of"] * (len(rows) > 1), "least", "at", left=1)
    drawn.columns[-1].justify = "left"
    for name in names:
        for label, row in rows:
            value, where = grid_words.lowest(row, name) or (math.nan, words.NOWHERE)
            about = dataset[name].attrs.get("long_name", name)
            drawn.add_row(about, *[label] * (len(rows) > 1), f"{value:.5g}", where)
    return drawn


def _units(dataset: Any, names: Sequence[str]) -> list[str]:
    """That losses do not compare along a number of the target, where they are shown."""
    compared = words.judge(dataset)
    if compared == "test_loss" or not any("loss" in name for name in names):
        return []
    told = "losses are in each target's own units"
    return [f"{told}: --errors {compared} compares them" if compared else told]


def _memorising(dataset: Any, sides: Sequence[str]) -> list[str]:
    """Lines of text: what share of each map memorises; none where that is not known."""
    try:
        where = memorises(dataset)
    except ValueError:  # of data points
        return []
    told = []
    for label, row in _rows(dataset.assign(memorises=where), sides):
        solved = row["status"] == 0
        share = 100 * float((row["memorises"] & solved).sum() / solved.sum())
        told.append(
            words.labelled(
                label,
                f"{share:.3g} % of the points memorise (memorization loss below the best "
                "score's test loss)",
            )
        )
    return told
