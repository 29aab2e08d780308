"""One prediction target at several models: its best number at each, errors, networks there.

Targets compare by the noise ẑ that they imply (docs/theory.md section 14): noise_loss is
E |ẑ - z|²/d, and noise_error = E |ẑ - E[z|y]|²/d leaves out what no score can know.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..analysis import in_parts, sampling_error
from ..errors import FIELDS, Errors, NotConverged
from ..ingredients.moments import Moments
from ..ingredients.targets import AbstractTarget, LinearTarget
from ..model import RFDSM
from ..parameters.numbers import numbers, value_of
from ..progress import Report
from ..tuning import Infeasible, tune
from .grid import Grid, zipped
from .sweeping import sweep
from .tuned import tune_sweep

STARTS = 16  # of the search for one number
POINT = "point"  # the dimension of models that are solved together
BAR = "noise_loss_error_bar"
Arrays = dict[str, np.ndarray]  # by name, of shape (models,)


def models_of(grid: Grid, target: AbstractTarget) -> list[RFDSM]:
    """The models of a grid with a target, of one kind for all targets where that can be.

    Its c_x and c_z are numbers of `LinearTarget` then, and one program serves every target; one
    that weighs the output otherwise, as the score's, has a program of its own.

    Raises:
        ValueError: it is y itself at a model, or knows no velocity.
    """
    found = []
    for model in Grid(grid.model.replace(target=target), grid.dims).models(grid.whole()):
        data, noise, scale = target.coefficients(model.process)
        plain = float(scale) == 1.0
        found.append(model.replace(target=LinearTarget(data, noise)) if plain else model)
    return found


def solved(
    models: Sequence[RFDSM],
    swept: Sequence[str],
    free: Mapping[str, Any],
    moments: Moments | None,
    report: Report,
) -> tuple[list[RFDSM], Arrays]:
    """A target's models at their best number, by theory or by measured moments.

    Args:
        models: of one target. swept: the numbers in which they differ, beside the target's.
        free: the number to tune and its bounds; empty: none.
        moments: that serve all models; None: the Gaussian theory.

    Returns:
        The models at it, and `optimal_<name>`, the errors, what targets compare by, with
        moments `noise_loss_error_bar`, and the target's c_x and c_z; NaN where not solved.
    """
    if moments is None:
        found = _by_theory(models, swept, free, report)
    else:
        found = _by_row([_measured(model, free, moments) for model in models])
    best = []
    for i, model in enumerate(models):
        at = {name: found[f"optimal_{name}"][i] for name in free}
        best.append(model.replace(**{n: x for n, x in at.items() if np.isfinite(x)}))
    pairs = [model.target.coefficients(model.process)[:2] for model in models]
    c_x, c_z = np.array([[float(data), float(noise)] for data, noise in pairs]).T
    return best, found | compared(models, found) | {"c_x": c_x, "c_z": c_z}


def compared(models: Sequence[RFDSM], errors: Arrays, part: str = "") -> Arrays:
    """What targets compare by, which is linear in their errors.

    Args:
        part: what the names of the errors end in, and those of the result.
    """
    each = [model.target.denoising(model.process) for model in models]
    h, gain = np.array([[float(x.noising.h), float(x.noise_loss(1.0))] for x in each]).T
    return {
        f"noise_error{part}": h * errors[f"score_error{part}"],
        f"noise_loss{part}": gain * errors[f"test_loss{part}"],
    }


def _by_theory(models, swept, free, report) -> Arrays:
    """All models at once, in one program."""
    own = [name for name in numbers(models[0]) if name.startswith("target.")]
    values = {name: [float(value_of(x, name)) for x in models] for name in (*swept, *own)}
    asked: Any = models[0], {POINT: zipped(values)}
    if free:
        told = tune_sweep(*asked, free, starts=STARTS, progress=report)
    else:
        told = sweep(*asked, progress=report)
    return {name: told[name].values for name in (*(f"optimal_{x}" for x in free), *FIELDS)}


def _measured(model: RFDSM, free: Mapping[str, Any], moments: Moments) -> dict[str, float]:
    """What `_by_theory` gives, of one model with moments, and its error bar."""
    names = *(f"optimal_{name}" for name in free), *FIELDS, BAR
    found = dict.fromkeys(names, np.nan)
    try:
        if free:
            best = tune(model, free, "test_loss", moments=moments, starts=STARTS)
            model, errors = best.model, best.errors
            found |= dict(zip(names, best.numbers.values(), strict=False))
        else:
            errors = model.asymptotics(moments=moments)
        found |= errors.to_dict()
        if in_parts(moments):
            bar = sampling_error(model, moments).total.test_loss
            found[BAR] = float(model.noise_loss(bar))
    except (Infeasible, NotConverged):
        return dict.fromkeys(names, np.nan)
    return found


def trained(
    models: Sequence[RFDSM],
    moments: Moments | None,
    asked: Mapping[str, int],
    seed: int,
    advance: Callable[[], Any],
) -> Arrays:
    """What networks of a target are compared by.

    Args:
        models: at their best number. moments: of the theory. asked: d and trials.
        seed: of the networks. advance: called after each model.

    Returns:
        `noise_error_mean`, `noise_error_standard_error`, `noise_error_theory` at the ratios
        that the networks realise, and the same of noise_loss.
    """
    rows = []
    for model in models:  # one by one: what moments were measured at is no axis
        runs = sweep(model, {"m": [model.m]}, simulate=asked, moments=moments, seed=seed)
        runs = {name: x.values[0] for name, x in runs.data_vars.items()}
        errors = Errors(**{name: runs[f"simulated_{name}"] for name in FIELDS})
        rows.append(
            {f"{name}_mean": float(x) for name, x in errors.mean().to_dict().items()}
            | {f"{n}_standard_error": x for n, x in errors.standard_error().to_dict().items()}
            | {f"{name}_theory": runs.get(f"expected_{name}", np.nan) for name in FIELDS}
        )
        advance()
    found, told = _by_row(rows), {}
    for part in ("_mean", "_standard_error", "_theory"):
        told |= compared(models, found, part)
    return told


def _by_row(rows: Sequence[Mapping[str, float]]) -> Arrays:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
