"""`rfdsm train`: the errors over training time."""

from typing import Annotated, Any

import typer

from .. import sweeps
from ..sweeps import axes
from . import options, words

EXAMPLE = "train --psi-n 8 --psi-p 64 --m inf --t 0.1 --tau 0.1:1e5:100 --out train.png"
ERRORS = "score_error,test_loss,train_loss,memorization_loss"
NETWORKS = options.Networks("--simulate", {"d": 48, "trials": 8, "points": 10})


@options.of_model(
    several=("psi_n", "m"),
    without=("tau", "steps", "learning_rate", "training"),
    beside=options.of_curves(NETWORKS, ERRORS),
)
def train(
    tau: Annotated[
        str, typer.Option(metavar="START:STOP:COUNT", help="Training times, a log grid.")
    ] = "0.1:1e5:100",
    *,
    given: dict[str, Any],
    beside: dict[str, Any],
) -> None:
    """The errors over training time, by gradient flow: when it generalises and memorises."""
    # Everything that can be refused is refused before the work.
    values = {name: options.lists(given.pop(name, None), options.spelled(name))
              for name in ("psi_n", "m")}  # fmt: skip
    for name, several in values.items():
        if not several:
            raise ValueError(f"{options.spelled(name)} is missing.")
    name = "psi_n" if len(values["psi_n"]) > 1 else "m"
    if name == "psi_n" and len(values["m"]) > 1:
        raise ValueError(
            "--psi-n and --m both have several values: the lines differ in one of the two."
        )
    taus = axes.grid("tau", tau)
    first = {name: several[0] for name, several in (values | {"tau": taus}).items()}
    model, lines = options.model(given | first), {name: values[name]}
    words.answer(sweeps.train, model, taus, lines, beside, NETWORKS, _summary)


def _summary(found: Any) -> list[str]:
    """Lines of text: each line's least errors and its two times, by both ways."""
    told = []
    for label, line in words.lines(found):
        least = words.least(line, "score_error"), words.least(line, "test_loss")
        if None in least:
            told.append(words.labelled(label, words.NOWHERE))
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
