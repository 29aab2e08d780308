"""Errors over one number of a model, a line for each value of another, as a labelled data set.

Dims are named by the numbers; variables are the errors and their status, networks' means and
standard errors beside them on `simulated_<number>`. Attributes hold the model, see
`analysis.model_of`, and name the axis and the lines.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..analysis import in_parts, sampling_error, timescales
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..progress import Report, Steps, silent
from .lines import lines_of, solved, with_networks

TIMES = {
    "tau_gen_by_curves": "the best time to stop, of the least test loss",
    "tau_mem_by_curves": "when the memorization loss is a tenth below that at tau_gen",
    "tau_gen_by_bulks": "when the population's slowest mode is learned",
    "tau_mem_by_bulks": "when the fastest mode of single points is learned",
    "tau_below_best": "when the memorization loss falls under that of the best score",
    "test_loss_at_gen": "the least test loss",
    "test_loss_at_gen_error": "its error bar by the number of measured points, 95 %",
}


def curve(
    model: RFDSM,
    over: Mapping[str, Any],
    lines: Mapping[str, Any] | None = None,
    *,
    simulate: Mapping[str, Any] | None = None,
    seed: int = 0,
    moments: Moments | None = None,
    engine: Any = None,
    report: Report = silent,
) -> Any:
    """The errors over one number of a model, from theory and, at some points, networks.

    Args:
        model: whose other numbers are kept.
        over: a number by its name and its values, {"psi_p": values}; along "tau" one contour
            serves all. "n": training points, of data that has its own dimension.
        lines: another number and its values, {"m": [1, 4, inf]}: a line each. None: one.
        simulate: {"d": 48, "trials": 8, "points": 6} trains networks at points spread over the
            axis, or "at": values; ratios and m are rounded to what d can realise.
        seed: of the networks, whose keys depend on seed, d and their own numbers only.
        moments: measured ones to solve with, in place of the Gaussian theory.
        engine: where it is computed, as of `sweep`.
        report: called with `Progress`.

    Returns:
        An `xarray.Dataset` of dims (lines' number, number).

    Raises:
        ValueError: an unknown number, one out of its domain, networks that d cannot realise.
        NotConverged: not one point was solved.

    Example:
        >>> import jax.numpy as jnp, rfdsm
        >>> model = rfdsm.RFDSM(psi_n=8, psi_p=16, m=4, t=0.1, lam=1e-3)
        >>> found = rfdsm.sweeps.curve(model, {"psi_p": [1, 8, 64]}, {"m": [1, jnp.inf]})
        >>> dict(found.sizes)
        {'m': 2, 'psi_p': 3}
    """
    asked = lines_of(model, over, lines, simulate, seed)
    title = f"random-features denoising score matching over {asked.along.name}"
    where: Any = {"engine": engine, "report": report}
    found = solved(asked, title, moments, **where)
    return with_networks(found, asked, moments, **where)


def train(
    model: RFDSM,
    taus: Any,
    lines: Mapping[str, Any] | None = None,
    *,
    simulate: Mapping[str, Any] | None = None,
    seed: int = 0,
    moments: Moments | None = None,
    engine: Any = None,
    report: Report = silent,
) -> Any:
    """The errors over training time, and when each line generalises and memorises.

    Args:
        model: with `GradientFlow` training, whose own tau does not count.
        taus: training times, shape (times,).
        lines, simulate, seed, moments, engine, report: as of `curve`.

    Returns:
        As `curve`, with the `timescales` of every line: tau_gen_by_curves, the best time to
        stop, and test_loss_at_gen there, with its error bar where the moments tell it;
        tau_mem_by_curves; tau_below_best; and both times by the spectrum's bulks.

    Raises:
        TypeError: another training rule. ValueError, NotConverged: as `curve`.
    """
    asked = lines_of(model, {"training.tau": taus}, lines, simulate, seed)
    title = "random-features denoising score matching over training time"
    where: Any = {"engine": engine, "report": report}
    found = solved(asked, title, moments, **where)
    any_solved = np.atleast_1d((found["status"] == 0).any("tau"))
    step, times = Steps(report, len(asked.models)), []
    for each, solvable in zip(asked.models, any_solved, strict=True):
        times.append(_times(each, moments) if solvable else {})
        step("timescales")
    for name, words in TIMES.items():
        if any(name in each for each in times):
            values = asked.shaped([each.get(name, np.nan) for each in times])
            found[name] = asked.dims, values, {"kind": "timescales", "long_name": words}
    return with_networks(found, asked, moments, **where)


def _times(model: RFDSM, moments: Moments | None) -> dict[str, float]:
    """What `train` tells of a line, by its names in `TIMES`."""
    times = timescales(model, moments)
    ways = {"curves": times.curves, "bulks": times.bulks}
    found = {f"{name}_by_{way}": value for way, both in ways.items()
             for name, value in both._asdict().items()}  # fmt: skip
    found |= {"tau_below_best": times.below_best, "test_loss_at_gen": times.test_loss}
    if in_parts(moments) and np.isfinite(times.tau_gen):
        error = sampling_error(model.replace(tau=times.tau_gen), moments).total.test_loss
        found["test_loss_at_gen_error"] = float(np.mean(error))
    return found
