"""Errors over one number of a model, a line for each value of another, as a labelled data set.

Dims are named by the numbers; variables are the errors and their status, networks' means and
standard errors beside them on `simulated_<number>`. Attributes hold the model, see
`analysis.model_of`, and name the axis and the lines.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..analysis import sampling_error, timescales
from ..analysis.records import about, about_runs
from ..errors import FIELDS, LOSSES
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..progress import Report, Steps, silent
from .axes import axis, realised
from .networks import Networks, calls, networks, simulated
from .theory import Lines, lines_of, theory

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
    of_lines, asked = checked(model, over, lines, simulate, seed)
    step = Steps(report, 1 + calls(asked, of_lines))
    variables = theory(of_lines, moments)
    step("theory")
    variables |= simulated(asked, of_lines, moments, step)
    title = f"random-features denoising score matching over {of_lines.along.name}"
    return labelled(of_lines, variables, title, asked)


def train(
    model: RFDSM,
    taus: Any,
    lines: Mapping[str, Any] | None = None,
    *,
    simulate: Mapping[str, Any] | None = None,
    seed: int = 0,
    moments: Moments | None = None,
    report: Report = silent,
) -> Any:
    """The errors over training time, and when each line generalises and memorises.

    Args:
        model: with `GradientFlow` training, whose own tau does not count.
        taus: training times, shape (times,).
        lines, simulate, seed, moments, report: as of `curve`.

    Returns:
        As `curve`, with the `timescales` of every line: tau_gen_by_curves, the best time to
        stop, and test_loss_at_gen there, with its error bar where the moments tell it;
        tau_mem_by_curves; tau_below_best; and both times by the spectrum's bulks.

    Raises:
        TypeError: another training rule. ValueError, NotConverged: as `curve`.
    """
    of_lines, asked = checked(model, {"training.tau": taus}, lines, simulate, seed)
    of_lines = of_lines._replace(along=of_lines.along._replace(name="tau"))
    step = Steps(report, 1 + len(of_lines.models) + calls(asked, of_lines))
    variables = theory(of_lines, moments)
    step("theory")
    solved = np.any(variables["status"][1] == 0, axis=-1)
    times = []
    for each, any_solved in zip(of_lines.models, np.atleast_1d(solved), strict=True):
        times.append(_times(each, moments) if any_solved else {})
        step("timescales")
    for name, words in TIMES.items():
        if any(name in each for each in times):
            values = of_lines.shaped([each.get(name, np.nan) for each in times])
            variables[name] = of_lines.dims, values, {"kind": "timescales", "long_name": words}
    names = FIELDS if moments is None else LOSSES
    variables |= simulated(asked, of_lines, moments, step, names)
    title = "random-features denoising score matching over training time"
    return labelled(of_lines, variables, title, asked)


def _times(model: RFDSM, moments: Moments | None) -> dict[str, float]:
    """What `train` tells of a line, by its names in `TIMES`."""
    times = timescales(model, moments)
    ways = {"curves": times.curves, "bulks": times.bulks}
    found = {f"{name}_by_{way}": value for way, both in ways.items()
             for name, value in both._asdict().items()}  # fmt: skip
    found |= {"tau_below_best": times.below_best, "test_loss_at_gen": times.test_loss}
    if moments is not None and moments.parts is not None and np.isfinite(times.tau_gen):
        error = sampling_error(model.replace(tau=times.tau_gen), moments).total.test_loss
        found["test_loss_at_gen_error"] = float(np.mean(error))
    return found


def checked(
    model: RFDSM,
    over: Mapping[str, Any],
    lines: Mapping[str, Any] | None,
    simulate: Mapping[str, Any] | None,
    seed: int,
) -> tuple[Lines, Networks | None]:
    """What a curve is asked for; everything that can be refused is refused here."""
    along = axis(model, over)
    of_lines = lines_of(model, along, axis(model, lines) if lines else None)
    return of_lines, None if simulate is None else networks(simulate, seed, of_lines)


def labelled(
    lines: Lines, variables: dict[str, Any], title: str, asked: Networks | None
) -> Any:
    """Variables as an `xarray.Dataset`, of which every coordinate describes itself."""
    import xarray as xr

    model, along = lines.models[0], lines.along
    words = {"label": along.about.title, "spacing": "log" if along.log else "linear"}
    coordinates = {along.name: (along.name, along.x, words)}
    attributes = about(model, title) | {"axis": along.name}
    if lines.number is not None:
        number = lines.number
        words = {"label": number.about.title, "symbol": number.about.symbol}
        coordinates[number.name] = number.name, number.x, words
        attributes["lines"] = number.name
    attributes["model_is"] = "the model of the first line at the first point of the axis"
    if asked is not None:
        there = f"simulated_{along.name}"
        coordinates[there] = there, asked.x, {"column": along.name}
        attributes |= about_runs(asked.d, asked.trials, asked.seed)
        ratios = [realised(m, asked.d, without=along.full) for m in lines.models]
        for name in ratios[0]:
            values = np.array([each[name] for each in ratios])
            # One number where all lines have it: of netCDF's attributes a list is another.
            attributes[f"simulated_{name}"] = values if np.ptp(values) else float(values[0])
    variables = {name: xr.Variable(*each) for name, each in variables.items()}
    return xr.Dataset(variables, coordinates, attributes)
