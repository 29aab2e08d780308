"""`rfdsm curve`: the errors over one number of a model."""

from typing import Annotated, Any

import typer

from .. import sweeps
from ..sweeps import axes
from . import options, words

EXAMPLE = "curve psi_p=0.1:100:200 --psi-n 8 --m 1,4,inf --t 0.1 --lam 1e-3 --out curve.png"
ERRORS = "test_loss,train_loss,memorization_loss"
NETWORKS = options.Networks("--simulate", {"d": 48, "trials": 8, "points": 6})


@options.of_model(several=None, beside=options.of_curves(NETWORKS, ERRORS))
def curve(
    swept: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=START:STOP:COUNT",
            help=f"The number to sweep ({', '.join(options.names())}, ...) and its grid.",
        ),
    ],
    linear: Annotated[bool, typer.Option("--linear", help="A linear, not a log grid.")] = False,
    *,
    given: dict[str, Any],
    beside: dict[str, Any],
) -> None:
    """The errors over one number: a table, and if asked a figure and the data."""
    # Everything that can be refused is refused before the work.
    if len(swept) > 1:
        raise ValueError(f"one parameter is swept at a time, got {' and '.join(swept)}.")
    name, _, numbers = swept[0].partition("=")
    name = name.strip().replace("-", "_")
    if options.names().get(name, name) not in options.names().values():
        raise ValueError(
            f"{name!r} cannot be swept: the numbers are {', '.join(options.names())}, as in "
            "psi_p=0.1:100:200."
        )
    grid = axes.grid(name, numbers, log=not linear)
    full = options.names()
    if again := [each for each in given if full.get(each) == full.get(name, name)]:
        option = options.spelled(again[0])
        raise ValueError(f"{name} is swept, {option} gives it again: leave one out.")
    given, lines = options.lines(given)
    model = options.model(
        given | {name: grid[0]},
        lambda option, _: f"{option} is missing: {name} alone is swept.",
    )
    words.answer(sweeps.curve, model, {name: grid}, lines, beside, NETWORKS, words.least_losses)
