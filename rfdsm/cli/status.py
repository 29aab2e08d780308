"""`rfdsm status`: what a sweep's store holds, and whether it is whole."""

from typing import Annotated

import typer

from .. import sweeps
from ..analysis.records import description_of
from . import console, grid_words

EXAMPLE = "status phase.zarr"
EXIT_CODES = """\
  0   all is computed and whole
  2   there is no such store
  75  unfinished or damaged: the sweep's own command goes on"""


def status(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Of rfdsm sweep.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What a sweep's store holds: model, axes, how much is computed, what is damaged."""
    dataset, found = sweeps.open(store), sweeps.check(store)
    whole = grid_words.whole_chunks(found)
    complete = whole == found.chunks
    if as_json:
        console.print_json(
            {
                "model": description_of(dataset),
                "axes": {
                    name: x.values.tolist() for name, x in grid_words.axes(dataset).items()
                },
                "chunks": found.chunks,
                "whole": whole,
                "damaged": [each._asdict() for each in found.damaged],
                "complete": complete,
            }
        )
    else:
        print(f"{store}: {grid_words.model(dataset)}\n")
        console.out.print(grid_words.axes_table(dataset), "")
        drawn = console.table("part", "chunks", "done", left=1)
        for part, chunks in found.chunks.items():
            drawn.add_row(part, str(chunks), f"{whole[part]} ({whole[part] / chunks:.0%})")
        console.out.print(drawn, "")
        state = "complete" if complete else "unfinished: the sweep's own command goes on"
        print("\n".join([*grid_words.damage(found), state]))
    raise typer.Exit(0 if complete else console.UNFINISHED)
