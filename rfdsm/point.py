"""`rfdsm point`: every error at one point, from theory and simulation."""

import math
from collections.abc import Sequence
from typing import Any

import jax
from rich.table import Table

from .comparison import extrapolate
from .errors import FIELDS, Errors
from .model import RFDSM


def report(compared: RFDSM, runs: Sequence[Errors]) -> dict[str, Any]:
    """Theory, baselines and simulations, as plain numbers by name.

    Args:
        compared: the model, at the ratios that the largest simulation realised.
        runs: of `RFDSM.simulate`, the smaller dimension first.
    """
    theory = compared.asymptotics()
    baselines = compared.baselines()
    told: dict[str, Any] = {
        "model": compared.to_dict(),
        "theory": _fields(theory),
        "memorises": bool(baselines.memorises(theory)),
        "baselines": {
            name: float(getattr(baselines, name))
            for name in ("null", "isotropic", "linear", "best")
        },
        "simulation": [
            {
                "d": r.sizes.d,
                "n": r.sizes.n,
                "p": r.sizes.p,
                "trials": r.score_error.shape[0],
                "mean": _fields(r.mean()),
                "standard_error": _fields(r.standard_error()),
            }
            for r in runs
        ],
    }
    if len(runs) == 1:
        # A finite size shifts every error by O(1/d): a z-score would test that, not theory.
        difference = jax.tree.map(lambda x, y: x - y, runs[0].mean(), theory)
        told["difference"] = _fields(difference)
        told["expected_order"] = 1 / runs[0].sizes.d
    if len(runs) == 2:
        limit = extrapolate(*runs)
        told["extrapolated"] = _fields(limit.errors)
        told["standard_error"] = _fields(limit.standard_error)
        told["z"] = _fields(limit.z_score(theory))
    return told


def table(told: dict[str, Any]) -> Table:
    """Every error, a column each for theory and simulations and how they differ."""
    columns: list[tuple[str, dict[str, float], str]] = [("theory", told["theory"], ".6g")]
    for run_ in told["simulation"]:
        columns.append((f"d = {run_['d']}", run_["mean"], ".4g"))
        columns.append(("±", run_["standard_error"], ".1g"))
    if "difference" in told:
        columns.append(("difference", told["difference"], "+.2g"))
    if "z" in told:
        columns.append(("d → ∞", told["extrapolated"], ".4g"))
        columns.append(("±", told["standard_error"], ".1g"))
        columns.append(("z", told["z"], "+.1f"))
    drawn = Table("error per dimension", box=None, pad_edge=False)
    for title, _, _ in columns:
        drawn.add_column(title, justify="right")
    for name in FIELDS:
        cells = (
            "-" if math.isnan(values[name]) else format(values[name], style)
            for _, values, style in columns
        )
        drawn.add_row(name, *cells)
    return drawn


def summary(told: dict[str, Any]) -> list[str]:
    """Lines of text: what to make of differences, and the baselines."""
    lines = []
    if "difference" in told:
        lines.append(
            f"differences are finite-size shifts of order 1/d = {told['expected_order']:.2g} "
            "plus ±; give two dimensions (d=80,160) to extrapolate and test."
        )
    baselines = told["baselines"]
    verb = "memorises" if told["memorises"] else "does not memorise"
    lines.append(
        f"losses to hold these against: no score 1, isotropic {baselines['isotropic']:.4g}, "
        f"best linear {baselines['linear']:.4g}; the model {verb} (memorization_loss against "
        "the last)."
    )
    return lines


def plain(value: Any) -> Any:
    """For JSON, which has no NaN: null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _fields(errors: Errors) -> dict[str, float]:
    return {name: float(getattr(errors, name)) for name in FIELDS}
