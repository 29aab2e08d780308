"""`rfdsm point`: every error at one point, from theory and, if asked, from simulation."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

import jax
import numpy as np
import typer
from rich.table import Table

from ..errors import FIELDS, Errors
from ..model import RFDSM
from ..progress import Steps
from . import console, options
from .console import of_errors, out, stages

EXAMPLE = "point --psi-n 8 --psi-p 16 --m 4 --t 0.1 --lam 1e-3 --simulate d=80,trials=32"
NETWORKS = options.Networks("--simulate", {"d": 80, "trials": 32}, dimensions=2)


@options.of_model()
def point(
    given: dict[str, Any],
    simulate: NETWORKS.told("Simulate too, at one d or two (d=80,160: extrapolated)") = None,
    seed: options.Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Every error at one point, from theory and, if asked, from simulation."""
    model = options.model(given)
    asked = NETWORKS.read(simulate)
    runs = _simulated(model, seed, **asked) if asked else []
    # Rounding to integers moves the ratios: theory is compared where the simulation was.
    told = _results(model.at(runs[-1].sizes) if runs else model, runs)
    if as_json:
        console.print_json(told)
        return
    out.print(_table(told))
    print("\n".join(_summary(told)))


def _simulated(model: RFDSM, seed: int, d: Sequence[int], trials: int) -> list[Errors]:
    """Networks of each dimension, the smaller first."""
    from ..simulation import experiment  # the room takes long to import

    for each in d:
        experiment(each, **vars(model))  # refuses both before the first is trained
    runs = []
    with stages("simulate") as report:
        step = Steps(report, len(d))
        for each in d:
            key = jax.random.fold_in(jax.random.key(seed), each)
            runs.append(model.simulate(key, each, trials))
            step(f"d = {each}")
    return runs


def _results(compared: RFDSM, runs: Sequence[Errors]) -> dict[str, Any]:
    """Theory, baselines and simulations, as plain numbers by name.

    Args:
        compared: the model, at the ratios that the largest simulation realised.
        runs: of `RFDSM.simulate`, the smaller dimension first.
    """
    theory = jax.tree.map(np.asarray, compared.asymptotics())  # what follows compiles nothing
    baselines = compared.baselines()
    loss = float(theory.memorization_loss)  # unknown of networks on points of their own
    told: dict[str, Any] = {
        "model": compared.to_dict(),
        "theory": theory.to_dict(),
        "noise_loss": float(compared.noise_loss(theory.test_loss)),
        "memorises": None if math.isnan(loss) else bool(baselines.memorises(theory)),
        "baselines": {name: float(value) for name, value in vars(baselines).items()},
        "simulation": [
            {
                **{name: getattr(each.sizes, name) for name in ("d", "n", "p")},
                "trials": each.score_error.shape[0],
                "mean": each.mean().to_dict(),
                "standard_error": each.standard_error().to_dict(),
            }
            for each in runs
        ],
    }
    if len(runs) == 1:
        # A finite size shifts every error by O(1/d): a z-score would test that, not theory.
        difference = jax.tree.map(lambda x, y: x - y, runs[0].mean(), theory)
        told["difference"] = difference.to_dict()
        told["expected_order"] = 1 / runs[0].sizes.d
    if len(runs) == 2:
        from ..analysis import extrapolate  # whose room takes long to import

        limit = extrapolate(*runs)
        told["extrapolated"] = limit.errors.to_dict()
        told["standard_error"] = limit.standard_error.to_dict()
        told["z"] = limit.z_score(theory).to_dict()
    return told


def _table(told: dict[str, Any]) -> Table:
    """Every error, a column each for theory and simulations and how they differ."""
    columns = [("theory", told["theory"], ".6g")]
    for run in told["simulation"]:
        columns.append((f"d = {run['d']}", run["mean"], ".4g"))
        columns.append(("±", run["standard_error"], ".1g"))
    if "difference" in told:
        columns.append(("difference", told["difference"], "+.2g"))
    if "z" in told:
        limit = "d → ∞", told["extrapolated"], ".4g"
        columns += [limit, ("±", told["standard_error"], ".1g"), ("z", told["z"], "+.1f")]
    return of_errors(columns, {name: name for name in FIELDS})


def _summary(told: dict[str, Any]) -> list[str]:
    """Lines of text: what to make of differences, and the baselines."""
    lines = []
    if "difference" in told:
        lines.append(
            f"differences are finite-size shifts of order 1/d = {told['expected_order']:.2g} "
            "plus ±; give two dimensions (d=80,160) to extrapolate and test."
        )
    baselines, noise_loss = told["baselines"], told["noise_loss"]
    if not math.isclose(noise_loss, told["theory"]["test_loss"]):
        lines.append(
            "losses are in the target's units: the noise that the output implies has test loss "
            f"{noise_loss:.6g}, which compares across targets."
        )
    verb = "memorises" if told["memorises"] else "does not memorise"
    against = f"; the model {verb} (memorization_loss against the last)"
    lines.append(
        f"losses to hold these against: no output {baselines['null']:.4g}, isotropic "
        f"{baselines['isotropic']:.4g}, best linear {baselines['linear']:.4g}"
        f"{'' if told['memorises'] is None else against}."
    )
    return lines
