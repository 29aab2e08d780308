"""`rfdsm train`: the errors over training time."""

from typing import Annotated, Any

import typer

from .. import sweeps
from .._files import labelled
from ..errors import FIELDS
from ..sweeps import axes
from . import options, words
from .console import out, require_writable, show_warning, stages


@options.of_model(several=("psi_n", "m"), without=("tau", "steps", "learning_rate", "training"))
def train(
    given: dict[str, Any],
    tau: Annotated[
        str, typer.Option(metavar="START:STOP:COUNT", help="Training times, a log grid.")
    ] = "0.1:1e5:100",
    simulate: Annotated[
        str | None, typer.Option(help="Simulate too: d=48,trials=8,points=10.")
    ] = None,
    seed: options.Seed = 0,
    errors: Annotated[
        str, typer.Option(help=f"Errors to show, of {', '.join(FIELDS)}.")
    ] = "score_error,test_loss,train_loss,memorization_loss",
    out_file: options.FigureFile = None,
    data_file: options.DataFile = None,
    log_y: options.LogY = False,
) -> None:
    """The errors over training time, by gradient flow: when it generalises and memorises."""
    # Everything that can be refused is refused here, before the work.
    values = {name: options.lists(given.pop(name, None), options.spelled(name))
              for name in ("psi_n", "m")}  # fmt: skip
    for name, several in values.items():
        if not several:
            raise ValueError(f"{options.spelled(name)} is missing.")
    if len(values["psi_n"]) > 1 and len(values["m"]) > 1:
        raise ValueError(
            "--psi-n and --m both have several values: the lines differ in one of the two."
        )
    taus = axes.grid("tau", tau)
    first = {name: several[0] for name, several in values.items()} | {"tau": taus[0]}
    model = options.model(given | first)
    name = "psi_n" if len(values["psi_n"]) > 1 else "m"
    lines = {name: values[name]}
    shown = options.error_names(errors)
    networks = options.networks(simulate, d=48, trials=8, points=10) or None
    sweeps.curves.checked(model, {"tau": taus}, lines, networks, seed)
    require_writable(out_file, data_file)

    with stages("train") as report:
        found = sweeps.train(model, taus, lines, simulate=networks, seed=seed, report=report)
    if message := words.failures(found):
        show_warning(message)
    if out_file:
        from ..plotting import curves, style

        style.save(curves.curve_figure(found, shown, log_y=log_y), out_file)
    if data_file:
        labelled.save(found, data_file)
    out.print(words.errors_table(found, shown))
    asked = {n: getattr(model, n) for n in ("psi_n", "psi_p")} | {name: found[name].values}
    print("\n".join(["", *_summary(found), *words.agreement(found, shown, asked)]))


def _summary(found: Any) -> list[str]:
    """Lines of text: each line's least errors and its two times, by both ways."""
    told = []
    for label, line in words.lines(found):
        least = words.least(line, "score_error"), words.least(line, "test_loss")
        if None in least:
            told.append(words.labelled(label, "not solved anywhere"))
            continue
        (score, where), (test, where_test) = least
        # The losses differ by a constant, so that this is almost always the same time.
        at = "" if where == where_test else f"at {where} "
        told.append(
            f"{label}: least score error {score:.5g} {at}and test loss {test:.5g} "
            f"at {where_test}"
        )
        for way, name in (("spectrum's bulks", "bulks"), ("curves", "curves")):
            gen, mem = (float(line[f"tau_{x}_by_{name}"]) for x in ("gen", "mem"))
            told.append(f"  tau_gen = {gen:.4g}, tau_mem = {mem:.4g} by the {way}")
    return told
