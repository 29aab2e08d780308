"""What the variance is made of, over one number of a model, as a labelled data set."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from ..ingredients.data import Samples
from ..ingredients.ensembles import Single
from ..model import RFDSM
from ..overlaps import PARTS, VarianceParts
from ..progress import Report, Steps, silent
from ..simulation import experiment
from .grid import TIMES
from .lines import Lines, lines_of, solved
from .quantities import Quantity
from .simulation import TRIAL, point_key

TITLE = "what the variance of a random-features score is made of"


class Words(NamedTuple):
    """Of a part: its label, what makes it, which of n, p (at lam/p fixed) and m end it at ∞."""

    label: str
    made_by: str
    vanishes_at: str


WORDS = {  # from what the data alone make to what features add
    "points": Words("points", "draw of the training points", "n"),
    "noises": Words("noises", "draw of the points' noises", "n or m"),
    "features": Words("features", "draw of the features", "p"),
    "features_points": Words("features × points", "features and points together", "n or p"),
    "features_noises": Words("features × noises", "features and noises together", "n, p or m"),
}
ERRORS = ("bias2", "score_error", "test_loss")
OF_OUTPUT = ("test_loss",)  # what is known of data points


def variance_curve(
    model: RFDSM,
    over: Mapping[str, Any],
    *,
    simulate: Mapping[str, Any] | None = None,
    seed: int = 0,
    engine: Any = None,
    report: Report = silent,
) -> Any:
    """The parts of the variance over one number, from theory and, at some points, networks.

    Of the score's variance; with data `Samples`, whose score is unknown, of the output's, and
    the theory is the Gaussian one of their covariance (docs/theory.md section 15).

    Args:
        model: whose other numbers are kept.
        over, simulate, seed, engine, report: as of `curve`; a trial trains six networks.

    Returns:
        An `xarray.Dataset` over the number: features, points, features_points, noises,
        features_noises, which add up to variance; bias2 and score_error, not of `Samples`;
        test_loss and status. NaN where not solved. With networks, of each part and their sum
        `features_mean`, `features_standard_error` and `features_theory`, at the ratios that
        they realise, over `simulated_<number>`; `simulated_features` has the trials.

    Raises:
        ValueError, NotConverged: as `curve`; an ensemble.

    Example:
        >>> import rfdsm
        >>> model = rfdsm.RFDSM(psi_n=2, psi_p=3, m=2, t=0.2, lam=0.03)
        >>> found = rfdsm.sweeps.variance_curve(model, {"m": [1, 2, float("inf")]})
        >>> print((found.noises / found.variance).values.round(3))
        [0.608 0.45  0.   ]
    """
    if not isinstance(model.ensemble, Single):
        raise ValueError(
            "parts are of one network's variance, and the model is an ensemble: take "
            "model.replace(ensemble=rfdsm.Single())."
        )
    asked, output = lines_of(model, over, None, simulate, seed), isinstance(model.data, Samples)
    names = (*PARTS, "variance")
    shapes = {f"part_{name}": () for name in names}
    quantity = Quantity("part", _of_output if output else _of_score, shapes, traced=True)
    found = solved(asked, TITLE, quantities=(quantity,), engine=engine, report=report)
    found = found.drop_vars("variance").rename({f"part_{name}": name for name in names})
    found = found[[*names, *(OF_OUTPUT if output else ERRORS), "status"]]
    for name in names:
        words = f"variance by {WORDS[name].made_by}" if name in WORDS else "variance, their sum"
        found[name].attrs = {"long_name": words, "units": "per dimension", "kind": "theory"}
    found.attrs["of"] = "output" if output else "score"
    return found if asked.networks is None else _with_networks(found, asked, quantity, report)


def _of_score(model: RFDSM) -> dict[str, Any]:
    return _named(model.variance_parts())


def _of_output(model: RFDSM) -> dict[str, Any]:
    return _named(model.variance_parts(output=True))


def _named(parts: VarianceParts) -> dict[str, Any]:
    return {name: getattr(parts, name) for name in PARTS} | {"variance": parts.total}


def _with_networks(found: Any, asked: Lines, quantity: Quantity, report: Report) -> Any:
    """The data set with what six networks a trial say of each part, and theory there."""
    networks, along = asked.networks, asked.along
    d, trials, grid = networks.d, networks.trials, networks.grid
    step, theory, runs, there = Steps(report, grid.points), jax.jit(quantity.function), [], []
    for model in grid.models(grid.whole()):
        key = point_key(model, networks.seed, d, along.full == TIMES)
        of_output = found.attrs["of"] == "output"
        runs.append(_named(model.simulate_parts(key, d, trials, output=of_output)))
        there.append(theory(model.at(experiment(d, **vars(model)).sizes)))
        step("networks")
    place = f"simulated_{along.name}"
    found = found.assign_coords({place: (place, grid.axes[-1].x, {"column": along.name})})
    for name in runs[0]:
        x, exact = (np.array([row[name] for row in rows]) for rows in (runs, there))
        bar = np.std(x, axis=-1, ddof=1) / trials**0.5 if trials > 1 else np.nan * exact
        told = {"mean": x.mean(axis=-1), "standard_error": bar, "theory": exact}
        for what, values in told.items():
            attrs = {"kind": "simulation", "column": f"{name}_{what}".removesuffix("_mean")}
            found[f"{name}_{what}"] = place, values, attrs
        found[f"simulated_{name}"] = (place, TRIAL), x, {"kind": "networks", "column": name}
    ratios = {n.replace("realised", "simulated"): x for n, x in networks.attrs.items()}
    return found.assign_attrs(ratios)
