"""`rfdsm curve`: the errors over one number of a model."""

from typing import Annotated, Any

import typer

from .. import sweeps
from .._files import labelled
from ..errors import FIELDS
from ..sweeps import axes
from . import options, words
from .console import out, require_writable, show_warning, stages


@options.of_model(several=("m",))
def curve(
    swept: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=START:STOP:COUNT",
            help=f"The number to sweep ({', '.join(options.names())}, ...) and its grid.",
        ),
    ],
    given: dict[str, Any],
    linear: Annotated[bool, typer.Option("--linear", help="A linear, not a log grid.")] = False,
    simulate: Annotated[
        str | None, typer.Option(help="Simulate too: d=48,trials=8,points=6.")
    ] = None,
    seed: options.Seed = 0,
    errors: Annotated[
        str, typer.Option(help=f"Errors to show, of {', '.join(FIELDS)}.")
    ] = "test_loss,train_loss,memorization_loss",
    out_file: options.FigureFile = None,
    data_file: options.DataFile = None,
    log_y: options.LogY = False,
) -> None:
    """The errors over one number: a table, and if asked a figure and the data."""
    # Everything that can be refused is refused here, before the work.
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
    if name in given:
        option = options.spelled(name)
        raise ValueError(f"{name} is swept, {option} gives it again: leave one out.")
    lines = {"m": options.lists(given.pop("m"), "--m")} if "m" in given else None
    first = {name: grid[0]} | ({"m": lines["m"][0]} if lines else {})
    model = options.model(
        given | first, lambda option: f"{option} is missing: {name} alone is swept."
    )
    shown = options.error_names(errors)
    networks = options.networks(simulate, d=48, trials=8, points=6) or None
    sweeps.curves.checked(model, {name: grid}, lines, networks, seed)
    require_writable(out_file, data_file)

    with stages("curve") as report:
        found = sweeps.curve(
            model, {name: grid}, lines, simulate=networks, seed=seed, report=report
        )
    if message := words.failures(found):
        show_warning(message)
    if out_file:
        from ..plotting import curves, style

        style.save(curves.curve_figure(found, shown, log_y=log_y), out_file)
    if data_file:
        labelled.save(found, data_file)
    out.print(words.errors_table(found, shown))
    asked = {n: getattr(model, n) for n in ("psi_n", "psi_p")}
    print("\n".join(["", *words.least_losses(found), *words.agreement(found, shown, asked)]))
