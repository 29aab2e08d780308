"""`compare`: prediction targets side by side over one number, each at its own best number."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from ..analysis import measure
from ..analysis.records import about, about_runs
from ..errors import FIELDS, LABELS, NotConverged
from ..ingredients.data import Samples
from ..ingredients.moments import Moments
from ..ingredients.targets import AbstractTarget
from ..model import RFDSM
from ..parameters.numbers import counted, number_called
from ..parameters.plain import read, to_description
from ..progress import Report, Steps, silent
from ..tuning.minimise import problem_of
from . import contest
from .axes import markers, realisable
from .grid import Dim, Grid, described, grid_of
from .lines import MARKERS
from .simulation import TRIALS, networks

TARGETS = ("noise", "data", "velocity")
TITLE = "random-features denoising score matching, prediction targets compared"
COMPARED = {  # what targets compare by; of data points the loss alone is known
    "noise_error": (
        "noise error",
        "E |z_hat - E[z | y]|^2 / d = h score_error, of the noise z_hat that a target implies",
    ),
    "noise_loss": (
        "noise loss",
        "E |z_hat - z|^2 / d = a^2 / (a c_z - sqrt(h) c_x)^2 test_loss, of the noise z_hat "
        "that a target implies",
    ),
}


def compare(
    model: RFDSM,
    targets: Mapping[str, AbstractTarget] | Sequence[str] = TARGETS,
    over: Mapping[str, Any] | None = None,
    best: str | Mapping[str, Any] | None = "lam",
    *,
    simulate: Mapping[str, Any] | None = None,
    seed: int = 0,
    noises: float | None = None,
    classes: int | None = None,
    report: Report = silent,
) -> Any:
    r"""How well networks of different prediction targets denoise, over one number of the model.

    A network that predicts c_x x + c_z z implies a prediction ẑ of the noise, and by that
    targets compare (docs/theory.md section 14):

        noise_error = E |ẑ - E[z|y]|²/d = h·score_error,
        noise_loss  = E |ẑ - z|²/d = (a/(a c_z - √h c_x))² test_loss,

    which differ by what no score can know, the same for all targets. Of data points, `Samples`,
    the second alone is known, from moments measured on them: one measurement serves all
    targets. Over a number that they are measured at (psi_p, the process') there is one at each
    of its values.

    Args:
        model: whose other numbers are kept; its own target does not count.
        targets: by names of your own; or in words, "noise", "data", "velocity", "score",
            "1,-1" (c_x, c_z), "angle:0.7".
        over: a number by its name and its values, {"psi_p": values}; or several that run
            together, {"subspace": rfdsm.zipped(...)}, of which the first is the abscissa. Of
            `Samples` at the nearest values that they have.
        best: the number that is tuned for each target at each value, "lam" or "tau" (of a
            model with that training rule) within the usual bounds, or {"lam": (1e-6, 100)};
            None: the model's own numbers.
        simulate: {"d": 48, "trials": 8, "points": 6} trains networks of every target at points
            spread over the axis, at the best number there; of `Samples` without d.
        seed: of the networks and the measurement.
        noises, classes: of the measurement, as `measure` takes them.
        report: called with `Progress`.

    Returns:
        An `xarray.Dataset` of dims (target, number): noise_error and noise_loss;
        `optimal_<best>`; the errors in the units of each target, which do not compare; its c_x
        and c_z; NaN where not solved. Of data points noise_loss alone, and its 95 % interval
        for their finite number, `noise_loss_error_bar`. Of networks
        `noise_error_mean`, `_standard_error` and `_theory` at their ratios, over
        `simulated_<number>`. The attribute `compared` names the variable to compare by;
        `rfdsm.sweeps.ranking` says which target is best where.

    Raises:
        ValueError: bad input, as `curve`, `tune` and `measure`; no target, one given twice, or
            one that is y itself somewhere.
        NotConverged: not one point was solved.

    Example:
        >>> import rfdsm
        >>> data = rfdsm.Gaussian([0, 10], [0.9, 0.1])  # a tenth of the dimensions
        >>> model = rfdsm.RFDSM(psi_n=4, psi_p=1, m=8, t=0.5, lam=1e-2, data=data)
        >>> found = rfdsm.compare(model, ["noise", "data"], {"psi_p": [0.3, 3]})
        >>> print(found.noise_error.values.round(3))
        [[0.712 0.058]
         [0.172 0.008]]
    """
    asked = comparison(model, targets, over, best, simulate, seed)
    rows: dict[str, list] = {name: [] for name in asked.targets}
    runs: dict[str, list] = {name: [] for name in asked.targets}
    about: dict[str, Any] = {}
    for stage in asked.stages(noises, classes, report):
        how: Any = asked.swept, asked.free, stage.moments, report
        for name, target in asked.targets.items():
            rows[name].append(contest.solved(contest.models_of(stage.grid, target), *how)[1])
            stage.step(f"{name}: theory")
            if stage.marked is not None:
                models, _ = contest.solved(contest.models_of(stage.marked, target), *how)
                step = partial(stage.step, f"{name}: networks")
                there = contest.trained(models, stage.moments, asked.simulate, seed, step)
                runs[name].append(there)
        if stage.moments is not None:
            about["classes"] = stage.moments.classes
    return _dataset(asked, rows, runs).assign_attrs(about)


class Stage(NamedTuple):
    """A part of the axis that one theory serves.

    Attributes:
        grid: of its models. marked: of those with networks; None: there are none.
        moments: measured ones. step: reports progress.
    """

    grid: Grid
    marked: Grid | None
    moments: Moments | None
    step: Callable[[str], None]


class Comparison(NamedTuple):
    """A checked request.

    Attributes:
        grid: of one dimension, the abscissa. marked: of the points with networks, or None.
        targets: by name. free: the number to tune and its bounds; empty: none.
        simulate: d and trials. seed: of everything random.
    """

    grid: Grid
    marked: Grid | None
    targets: dict[str, AbstractTarget]
    free: dict[str, tuple[float, float]]
    simulate: dict[str, Any]
    seed: int

    @property
    def swept(self) -> list[str]:
        """The numbers in which models of a target differ."""
        return [axis.full for axis in self.grid.axes]

    @property
    def measured(self) -> bool:
        """Whether theory is that of moments measured on data points."""
        return isinstance(self.grid.model.data, Samples)

    @property
    def measurements(self) -> int:
        """How many there are: one for each value where they depend on it."""
        several = any(axis.about.measured for axis in self.grid.axes)
        return (self.grid.points if several else 1) if self.measured else 0

    def stages(self, noises: Any, classes: int | None, report: Report) -> Iterator[Stage]:
        """The parts of the axis, one after the other."""
        marks = 0 if self.marked is None else self.marked.points
        count = self.measurements
        step = Steps(report, len(self.targets) * (max(1, count) + marks) + count)
        if not count:
            yield Stage(self.grid, self.marked, None, step)
        key = jax.random.key(self.seed)
        for i in range(count):
            here, marked = self.grid, self.marked
            if count > 1:
                here = _at(self.grid, [i])
                same = np.isin(marked.axes[0].x, here.axes[0].x) if marked else [False]
                marked = _at(marked, same) if any(same) else None
            how: Any = {"classes": classes, "warned": False, "report": report}
            moments = measure(here.first, jax.random.fold_in(key, i), noises, **how)
            classes = moments.classes  # what is chosen first holds for all
            step("moments")
            yield Stage(here, marked, moments, step)


def comparison(
    model: RFDSM,
    targets: Mapping[str, AbstractTarget] | Sequence[str],
    over: Mapping[str, Any] | None,
    best: str | Mapping[str, Any] | None,
    simulate: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Comparison:
    """What `compare` is asked for; all that can be refused is refused here."""
    if not over or len(over) > 1:
        given = " and ".join(over or ()) or "none"
        raise ValueError(f"targets are compared over one number, {{'psi_p': x}}, got {given}.")
    if points := isinstance(model.data, Samples):
        d = model.data.dimension(None)
        model = model.replace(psi_p=max(1, counted(model.psi_p, d)) / d)  # as it is measured
    named, grid = _named(targets), grid_of(model, over)
    first, *others = grid.axes
    if any(axis.full.startswith("target.") for axis in grid.axes):
        raise ValueError(f"{first.name} is of one target: compare over another number.")
    if points and not others:
        x = realisable(first, d, first.x)
        grid = Grid(model, (Dim(grid.dims[0].name, (first._replace(x=x),)),))
    x, order = np.unique(grid.axes[0].x, return_index=True)
    if len(x) < grid.points:
        raise ValueError(f"a value of {first.name} was given twice: leave one out.")
    grid = _at(grid, order)
    free = _free(grid, best)
    models = [contest.models_of(grid, target) for target in named.values()]
    if free:
        problem_of(models[0][0], free, "score_error")  # which refuses bounds
    if simulate is None:
        return Comparison(grid, None, named, free, {}, seed)
    asked = dict(simulate)
    marked = _marked(grid, asked.get("d"), asked.pop("points", min(MARKERS, grid.points)))
    networks(marked, asked, seed=seed)  # which refuses sizes
    return Comparison(grid, marked, named, free, asked, seed)


def _named(targets: Mapping[str, AbstractTarget] | Sequence[str]) -> dict[str, AbstractTarget]:
    """The targets by name."""
    found = targets
    if not isinstance(targets, Mapping):
        texts = [targets] if isinstance(targets, str) else [*targets]
        if twice := [text for text in texts if texts.count(text) > 1]:
            raise ValueError(f"the target {twice[0]} was given twice: leave one out.")
        found = {text: read(AbstractTarget, text, "targets") for text in texts}
    if not found:
        raise ValueError(f"there are no targets: name some, as in {', '.join(TARGETS)}.")
    for name, target in found.items():
        if not isinstance(target, AbstractTarget):
            raise TypeError(f"{name} must be one of rfdsm's target objects, got {target!r}.")
    return dict(found)


def _free(grid: Grid, best: str | Mapping[str, Any] | None) -> dict[str, tuple[float, float]]:
    """The number to tune and its bounds."""
    asked = {} if best is None else {best: None} if isinstance(best, str) else best
    if len(asked) > 1:
        raise ValueError(f"one number is tuned, got {' and '.join(asked)}.")
    found = {}
    for name, bounds in asked.items():
        full, number = number_called(grid.first, name)
        if full in [axis.full for axis in grid.axes]:
            raise ValueError(f"{name} is swept and cannot be tuned too: say best=None.")
        if number.measured or full.startswith("target."):
            raise ValueError(f"best is a number of the training, lam or tau, got {name!r}.")
        found[name] = number.bounds if bounds is None else bounds
    return found


def _at(grid: Grid, places: Any) -> Grid:
    """Some points of a grid of one dimension."""
    (dim,) = grid.dims
    axes = tuple(axis._replace(x=axis.x[np.asarray(places)]) for axis in dim.axes)
    return grid._replace(dims=(dim._replace(axes=axes),))


def _marked(grid: Grid, d: int | None, points: int) -> Grid:
    """The points with networks: at values that d has, or the nearest where others go along."""
    first, *others = grid.axes
    x = markers(first, grid.model.data.dimension(d), points)
    if others:
        return _at(grid, np.unique([np.argmin(abs(first.x - each)) for each in x]))
    return Grid(grid.model, (Dim(grid.dims[0].name, (first._replace(x=x),)),))


def _dataset(asked: Comparison, rows: Mapping[str, list], runs: Mapping[str, list]) -> Any:
    """The labelled data set, of arrays by name for each target and stage.

    Raises:
        NotConverged: not one point was solved.
    """
    import xarray as xr

    first, dim = asked.grid.axes[0], asked.grid.dims[0].name
    there = f"simulated_{dim}"
    found = {}
    for parts, along in (rows, dim), (runs, there):
        stages = [*zip(*parts.values(), strict=True)]  # of each the targets' arrays
        for name in stages[0][0] if stages else ():
            x = np.concatenate([[row[name] for row in rows] for rows in stages], axis=1)
            if not np.all(np.isnan(x)):  # of data points the score error is not known
                found[name] = ("target", along), x, _about(asked, name)
    if "noise_loss" not in found:
        raise NotConverged(
            f"no value of {first.name} was solved for any target: check its range and the "
            "other numbers."
        )
    coords: dict[str, Any] = {"target": [*asked.targets], dim: (dim, first.x, described(first))}
    coords |= {n: x for n, x in asked.grid.coords().items() if n not in (first.name, dim)}
    if asked.marked is not None:
        coords[there] = there, asked.marked.axes[0].x, {"column": dim}
    return xr.Dataset(found, coords, _attributes(asked, found))


def _about(asked: Comparison, name: str) -> dict[str, Any]:
    """What a variable is, as attributes."""
    kind = "theory of measured moments" if asked.measured else "theory"
    if name in ("c_x", "c_z"):
        of = {"c_x": "data x", "c_z": "noise z"}[name]
        return {"kind": kind, "long_name": f"factor of the {of} in the target"}
    if name == contest.BAR:
        words = "95 % interval for the number of measured points, ±"
        return {"kind": kind, "long_name": words}
    if name.startswith("optimal_"):
        short = name.removeprefix("optimal_")
        (low, high), (_, number) = asked.free[short], number_called(asked.grid.first, short)
        linear = number.scale.axis == "linear" and not number.scale.inverse
        return {
            "kind": kind,
            "long_name": f"best {number.words}",
            "label": f"best {number.title}",
            "spacing": "linear" if linear else "log",
            "lowest": low,
            "highest": high,
        }
    if name in FIELDS:
        words = f"{LABELS[name]}, losses in the target's own units"
        return {"kind": kind, "long_name": words}
    if name in COMPARED:
        words, convention = COMPARED[name]
        return {"kind": kind, "long_name": words, "convention": convention}
    return {"kind": "simulation", "column": name.removesuffix("_mean")}


def _attributes(asked: Comparison, found: Mapping[str, Any]) -> dict[str, Any]:
    """What the data set says of itself."""
    model = asked.grid.first
    described = {name: to_description(x, whole=False) for name, x in asked.targets.items()}
    attrs: dict[str, Any] = about(model, TITLE) | {
        "axis": asked.grid.dims[0].name,
        "targets": json.dumps(described),
        "compared": next(name for name in COMPARED if name in found),
        "tuned": next(iter(asked.free), "none"),
        "model_is": "the model at the first point of the axis, whose target is none of these",
    }
    if asked.measured:
        points, d = model.data.X.shape
        attrs |= {"data": "data points", "points": points, "dimension": d}
        attrs |= {"n": float(model.psi_n) * d}
    if asked.marked is not None:
        d = model.data.dimension(asked.simulate.get("d"))
        attrs |= about_runs(d, asked.simulate.get("trials", TRIALS), asked.seed)
    return attrs
