"""`rfdsm sweep`: theory and networks over a grid of any numbers, kept in a store."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import sweeps
from ..errors import NotConverged
from ..parameters.checks import positive_integer
from ..progress import Progress, duration, stop
from ..sweeps.estimate import estimate
from . import console, grids, options, words

EXAMPLE = (
    "sweep psi_n=.5:50:200 psi_p=.2:200:200 --m 1,4,inf --t .1 --lam 1e-3 --store phase.zarr"
)
EPILOG = """\b
Exit codes:
  0         done
  1         no point was solved
  2         bad input
  75        unfinished (a full disk, lost workers): the same command goes on
  130, 143  stopped by Ctrl-C, SIGTERM: the same command goes on"""
NETWORKS = options.Networks("--simulate", {"d": 48, "trials": 8})


def _option(kind: Any, help: str, metavar: str | None = None, **more: Any) -> tuple[Any, Any]:
    """Of an option that may be left out, for `options.of_model`."""
    return Annotated[kind | None, typer.Option(metavar=metavar, help=help, **more)], None


def _flag(help: str) -> tuple[Any, Any]:
    return Annotated[bool, typer.Option(help=help)], False


SETTINGS = {
    "zip": _option(list[str], "Axes of one length that run together. Repeatable.", "NAME,NAME"),
    "simulate": (NETWORKS.told("Train networks at every point too"), None),
    "gradient": _option(
        list[str],
        "Derivatives of an error too: score_error:psi_p,m; inverse_m has one at m = inf. "
        "Repeatable.",
        "ERROR:NAME,...",
    ),
    "seed": _option(str, "Seed of the networks; 0."),
    "store": _option(str, "Folder (zarr) that the result grows in; a URL of fsspec's."),
    "chunk": _option(str, "Points that are computed and stored at once."),
}
OPTIONS = SETTINGS | {
    "data_file": (options.DataFile, None),
    "workers": _option(int, "Processes of this machine to compute on (Dask)."),
    "scheduler": _option(str, "Dask scheduler on whose workers to compute.", "ADDRESS"),
    "dry_run": _flag("Tell points, chunks, disk, memory and time; write nothing."),
    "check": _flag("Verify what is in the store first and name what is damaged."),
}


@options.of_model(several=None, means="an axis", beside=OPTIONS)
def sweep(
    swept: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE.toml] NAME=VALUES", help=grids.HELP)
    ] = None,
    *,
    given: dict[str, Any],
    beside: dict[str, Any],
) -> None:
    """The errors over a grid of any numbers, which grow in a store and survive being killed.

    The same command goes on where it was stopped; what is damaged is computed again. FILE.toml
    says the same as options do, in tables [model], [axes], [simulate] and [gradient]; options
    override it.
    """
    # Everything that can be refused is refused before the work.
    asked = grids.asked(swept or [], given, {name: beside[name] for name in SETTINGS})
    model, axes = grids.question(asked)
    said = asked.settings
    store, data = said.get("store"), beside["data_file"]
    work = {
        "quantities": grids.gradients(said.get("gradient") or ()),
        "simulate": NETWORKS.read(said.get("simulate")),
        "chunk": _chunk(said.get("chunk")),
        "seed": options.seed(said.get("seed") or 0),
    }
    console.require_writable(None, data)
    if beside["dry_run"]:
        with console.stages("sweep") as report:
            found = estimate(model, axes, store=store, report=report, **work)
        print("\n".join(_forecast(found)))
        return
    if not (store or data):
        raise ValueError("nothing would be kept: give --store phase.zarr or --data phase.nc.")
    if beside["check"]:
        _check(store)
    with _engine(beside["workers"], beside["scheduler"]) as engine, _ending_well(store) as seen:
        with console.stages("sweep") as report:
            found = sweeps.sweep(
                model, axes, store=store, engine=engine, progress=seen(report), **work
            )
    words.keep(found, None, None, data)
    print("\n".join(words.summary(found, store)))
