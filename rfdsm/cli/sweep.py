"""`rfdsm sweep`: theory and networks over a grid of any numbers, kept in a store."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from rich.table import Table

from .. import sweeps
from ..errors import NotConverged
from ..parameters.checks import positive_integer
from ..progress import Report, duration, stop
from ..sweeps.estimate import Estimate, estimate
from . import console, grid_words, grids, options, words

EXAMPLE = (
    "sweep psi_n=.5:50:200 psi_p=.2:200:200 --m 1,4,inf --t .1 --lam 1e-3 --store phase.zarr"
)
EXIT_CODES = """\
  0         done
  1         no point was solved
  2         bad input
  75        unfinished (a full disk, lost workers): the same command goes on
  130, 143  stopped by Ctrl-C, SIGTERM: the same command goes on"""
NETWORKS = options.Networks("--simulate", {"d": 48, "trials": 8})


def _option(kind: Any, help: str, metavar: str | None = None, **more: Any) -> tuple[Any, Any]:
    """Of an option that may be left out, for `options.of_model`."""
    return Annotated[kind | None, typer.Option(metavar=metavar, help=help, **more)], None


def _flag(name: str, help: str) -> tuple[Any, Any]:
    return Annotated[bool, typer.Option(name, help=help)], False


SETTINGS = {
    "zip": grids.ZIP,
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
    "dry_run": _flag("--dry-run", "Tell points, chunks, disk, memory and time; write nothing."),
    "check": _flag("--check", "Verify what is in the store first and name what is damaged."),
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
        console.out.print(_table(found))
        print("\n".join(["", *_summary(found)]))
        return
    if not (store or data):
        raise ValueError("nothing would be kept: give --store phase.zarr or --data phase.nc.")
    if beside["check"]:
        _check(store)
    with _engine(beside["workers"], beside["scheduler"]) as engine, _kept(store) as watched:
        with console.stages("sweep") as report:
            found = sweeps.sweep(
                model, axes, store=store, engine=engine, progress=watched(report), **work
            )
    if not (found["status"] == 0).any():
        raise NotConverged(f"no point was solved: {'; '.join(words.failures(found))}")
    print("\n".join(grid_words.summary(found)))
    words.keep(found, None, None, data)


def _chunk(text: str | None) -> int | None:
    """Points of a chunk."""
    if text is None:
        return None
    return positive_integer(int(text) if text.isdecimal() else text, "--chunk")


@contextlib.contextmanager
def _engine(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """Where chunks are computed; None: in this process."""
    if workers is not None and scheduler is not None:
        raise ValueError("--scheduler has workers of its own: leave --workers out.")
    if workers is None and scheduler is None:
        yield None
        return
    from ..sweeps.engines import dask  # which takes a second to load

    made = dask.connect(scheduler) if workers is None else dask.local_cluster(workers)
    with made as engine:
        yield engine


@contextlib.contextmanager
def _kept(store: str | None) -> Iterator[Callable[[Report], Report]]:
    """Ends what a signal or the machine ends with a line: what is done, how to go on.

    Gives what watches the reports of the work: what fails before the first was bad input.

    Raises:
        console.Unfinished: on a signal between two chunks, or what a machine does to long work.
    """
    begun = []

    def watched(report: Report) -> Report:
        return lambda at: (begun.append(True), report(at))

    def ended(why: str, code: int) -> console.Unfinished:
        about = sweeps.open(store).attrs
        done = f"{about['chunks_done']} of {about['chunks_total']} chunks are in {store}"
        return console.Unfinished(f"{why.rstrip('.')}; {done}: the same command goes on.", code)

    # Without a store nothing is lost by a sudden end.
    with stop.graceful() if store else contextlib.nullcontext():
        try:
            yield watched
        except (OSError, MemoryError, RuntimeError) as error:
            if not begun or isinstance(error, NotConverged):
                raise
            why = console.told(error, store or "this machine")
            if store is None:
                told = f"{why.rstrip('.')}: with --store the same command would go on."
                raise console.Unfinished(told, 1) from None
            raise ended(why, console.UNFINISHED) from None
        if stop.asked:
            raise ended(f"ended by {signal.Signals(stop.signal).name}", 128 + stop.signal)


def _check(store: str | None) -> None:
    """Name what is damaged in a store; what is not whole is computed again by the sweep."""
    if store is None:
        raise ValueError("--check is of a store: give it, --store phase.zarr.")
    found = sweeps.check(store)
    whole, chunks = (sum(x.values()) for x in (grid_words.whole_chunks(found), found.chunks))
    told = [*grid_words.damage(found), f"{whole} of {chunks} chunks are whole in {store}"]
    print("\n".join(told), flush=True)


def _table(found: Estimate) -> Table:
    """What the parts of a sweep will take."""
    drawn = console.table("to do", "points", "chunks", "of", "networks", "time", left=1)
    for part in found.parts:
        counts = part.points, part.left, part.chunks, part.networks or "-"
        drawn.add_row(part.name, *map(str, counts), duration(part.seconds))
    return drawn


def _summary(found: Estimate) -> list[str]:
    """Lines of text on what a sweep will take in all."""
    return [
        f"{found.points} points, {grid_words.product(found.sizes)}",
        f"about {duration(found.seconds)} on this machine, by a timed sample; about "
        f"{grid_words.size(found.memory)} of memory; {grid_words.size(found.disk)} on disk",
    ]
