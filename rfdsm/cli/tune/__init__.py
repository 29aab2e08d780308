"""`rfdsm tune`: the best numbers under constraints, of a law or of your own data."""

from pathlib import Path
from typing import Annotated, Any

import jax
import typer

from ... import tuning
from ...analysis.points import describe
from ...sweeps import prediction
from ...tuning import roads
from ...tuning.landscape import survey
from .. import options
from ..console import out, print_json, require_writable, stages
from . import report as words, request, settings


@options.of_model(without=settings.WITHOUT)
def tune(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help=".npy, .npz or .csv, a row per point, or digits (scikit-learn's); without: "
            "Gaussian data.",
        ),
    ] = None,
    *,
    given: dict[str, Any],
    free: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW:HIGH",
            help="A number to tune and its bounds (may be left out): "
            f"{', '.join(settings.FREE)}. Repeatable.",
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="The error to make small: score_error; with DATA test_loss."),
    ] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER", help="An error that must not be below. Repeatable."
        ),
    ] = None,
    at_most: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER", help="An error that must not be above. Repeatable."
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="samples (psi_n m), parameters (psi_p) or flops (over d³). Repeatable.",
        ),
    ] = None,
    over_times: Annotated[
        str | None, typer.Option(help="Sum the objective over diffusion times, a,b,...")
    ] = None,
    starts: Annotated[int | None, typer.Option(help="Starts of the search; 256.")] = None,
    widths: Annotated[
        int | None, typer.Option(help="Values of a free psi_p that DATA are measured at; 5.")
    ] = None,
    verify: Annotated[
        str | None,
        typer.Option(help="Train networks there and beside: d=64,trials=8; DATA: trials=8."),
    ] = None,
    landscape: Annotated[
        str | None, typer.Option(help="One or two free numbers for the figure: psi_p,lam.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="A TOML file of options by their names; options override."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    as_is: Annotated[
        bool | None, typer.Option("--as-is", help="Neither centre nor scale the data.")
    ] = None,
    out_file: options.FigureFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The best numbers under constraints: a table, and if asked the landscape around them."""
    given |= {name: value for name, value in locals().items() if name in settings.READERS}
    asked = settings.merged(settings.read(file) if file else {}, settings.checked(given))
    require_writable(out_file)
    points = _points(asked)
    plan = request.plan(asked, points)
    key = jax.random.key(plan.seed)

    if points is not None and not as_json:
        print("\n".join([points.about(), *describe(points.X).lines(), ""]), flush=True)
    with stages("tune") as report:
        moments = roads.measure_widths(plan.model, plan.widths, key, report)
        several = moments if len(moments) > 1 else moments[0] if moments else None
        best = tuning.tune(*plan.arguments, moments=several, report=report)
        d, trials = plan.verify or (None, 0)
        networks = best.verify(key, d, trials, report=report) if plan.verify else None
        results = networks, words.sampling(best, moments)
        around = survey(best, plan.shown, report) if out_file else None
    if out_file:
        from ...plotting import landscape as figures, style

        style.save(figures.landscape_figure(best, around, about=plan.about), out_file)
    if as_json:
        print_json(words.report(plan, best, *results))
        return
    for drawn in words.tables(best):
        out.print(drawn, "")
    print("\n".join(words.summary(best, *results)))


def _points(asked: dict[str, Any]) -> prediction.Points | None:
    """The points that are asked about; None for Gaussian data."""
    name = asked.get("data")
    if name is None:
        if asked.get("as_is"):
            raise ValueError("--as-is is of DATA, and none was given.")
        return None
    path = None if name == "digits" else Path(name)
    return prediction.load(path, as_is=asked.get("as_is", False))
