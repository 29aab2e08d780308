"""`rfdsm parts`: what the variance is made of, and which of n, p and m to raise next."""

import math
from typing import Annotated, Any

import typer
from rich.table import Table

from ..analysis.advice import Advice, advise
from ..errors import LABELS
from ..model import RFDSM
from ..parameters.numbers import text
from ..sweeps import axes, variance_curve
from ..sweeps.lines import lines_of
from ..sweeps.variance import ERRORS, WORDS
from . import console, options, words

EXAMPLE = "parts --psi-n 8 --psi-p 16 --m 4 --t .1 --lam 1e-3 --over psi_p=.5:64 --out p.pdf"
COUNT = 60  # points of a grid, unless told
SIZES = {"d": 48, "trials": 8}
AT_POINT = options.Networks("--simulate", SIZES, least=2)
NETWORKS = options.Networks("--simulate", SIZES | {"points": 6}, least=2)
OVER = typer.Option(
    metavar="NAME=START:STOP[:COUNT]",
    help="Over one number too: a table, and if asked a figure and the data.",
)
OPTIONS = {
    "over": (Annotated[str | None, OVER], None),
    "simulate": (NETWORKS.told("Networks too, six a trial (points of --over)"), None),
    "seed": (options.Seed, 0),
    "out_file": (options.FigureFile, None),
    "data_file": (options.DataFile, None),
    "log_y": (options.LogY, False),
}


@options.of_model(without=("ensemble", "networks"), beside=OPTIONS)
def parts(*, given: dict[str, Any], beside: dict[str, Any]) -> None:
    """What the variance is made of, and which of n, p and m to raise next.

    Each part by what draws it, and at which infinite numbers it vanishes (p at lam/p fixed);
    then the slopes of the test loss in log n, log p and log m, and what doubling each does.
    """
    # Everything that can be refused is refused before the work.
    files = beside["out_file"], beside["data_file"]
    console.require_writable(*files)
    model, over, seed = options.model(given), _over(beside["over"]), beside["seed"]
    if over is None and any(files):
        raise ValueError("--out and --data are of --over: say over which number.")
    simulate = (NETWORKS if over else AT_POINT).read(beside["simulate"])
    point = {"m": [float(model.m)]}  # an axis of one value
    if simulate and not over:
        simulate |= {"points": 1}
    lines_of(model, over or point, None, simulate, seed)

    def solved(over, simulate):
        with console.stages("parts") as report:
            return variance_curve(model, over, simulate=simulate, seed=seed, report=report)

    here = solved(point, None if over else simulate)
    advice = advise(model)
    console.out.print(_table(here))
    print()
    console.out.print(_of_advice(model, advice))
    print("\n".join(["", advice.sentence, *words.agreement(here, ["variance"])]))
    if not over:
        return
    found = solved(over, simulate)
    titles = {each.label: name for name, each in WORDS.items()}
    print()
    console.out.print(words.errors_table(found, ("variance", "test_loss"), titles))
    print("\n".join(["", *words.agreement(found, ["variance"])]))
    words.keep(found, lambda draw: draw.variance_figure(found, log_y=beside["log_y"]), *files)


def _over(given: str | None) -> dict[str, Any] | None:
    """The number of "psi_p=0.5:64" and its values."""
    if given is None:
        return None
    name, _, numbers = given.partition("=")
    name = name.strip().replace("-", "_")
    return {name: axes.values(name, numbers + f":{COUNT}" * (numbers.count(":") == 1))}


def _table(found: Any) -> Table:
    """The parts of the variance, the largest first, with networks where there are some."""
    networks = "trials" in found.attrs
    titles = [f"d = {found.attrs['d']}", "±"] if networks else []
    drawn = console.table(
        "variance by", "value", "share", *titles, "vanishes at infinite", left=1
    )
    drawn.columns[-1].justify = "left"
    total = float(found["variance"][0])

    def row(title: str, name: str, share: bool = True, at: str = "") -> None:
        value = float(found[name][0])
        cells = [f"{value:.4g}", f"{100 * value / total:.3g} %" if share else ""]
        if f"{name}_mean" in found:
            cells.append(f"{float(found[f'{name}_mean'][0]):.4g}")
            cells.append(f"{float(found[f'{name}_standard_error'][0]):.1g}")
        drawn.add_row(title, *cells, *[""] * (2 * networks + 2 - len(cells)), at)

    for name in sorted(WORDS, key=lambda name: -float(found[name][0])):
        row(WORDS[name].made_by, name, at=WORDS[name].vanishes_at)
    drawn.add_row()
    row("variance", "variance")
    for name in ERRORS:
        row(LABELS[name], name, share=False)
    return drawn


def _of_advice(model: RFDSM, advice: Advice) -> Table:
    """The slopes of the test loss, and what doubling each number does."""
    drawn = console.table("test loss by more", "d/d log", "doubled", "change", left=1)
    at = {"n": f"{text(model.psi_n)} d", "p": f"{text(model.psi_p)} d", "m": text(model.m)}
    for name, x in at.items():
        slope, loss, gain = (
            float(getattr(each, name)) for each in (advice.slopes, advice.doubled, advice.gains)
        )
        if math.isinf(model.m) and name == "m":
            slope = float(advice.slope_of_inverse_m)
            drawn.add_row("m = ∞", f"{slope:+.4g} in 1/m", "-", "-")
        else:
            drawn.add_row(
                f"{name} = {x}", f"{slope:+.4g}", f"{loss:.4g}", f"{-100 * gain:+.2g} %"
            )
    return drawn
