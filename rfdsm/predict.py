"""`rfdsm predict`: the losses on a data set's own points, from theory, before any training."""

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table

from . import curve, images, plotting, tables
from .comparison import relative_difference
from .curve import NAMES, Sweep
from .data import Samples, sample_matrix, standardise
from .errors import Errors
from .family import Grid, Simulation, line_of, range_of, text
from .measuring import measure, sampling_error
from .model import RFDSM
from .moments import Moments

AGAINST = ("n", "m", "lam")
LINES = (1.0, 4.0, math.inf)
COUNT = 24
LONG = 5.0  # seconds of work that are announced
FLOPS = 4e10  # per second, of two cores; only for the announced time
COMPILE = 3.0  # seconds for networks of a new shape
THIN = {"linestyle": (0, (4, 2)), "linewidth": 0.8}  # of the Gaussian theory


class Points(NamedTuple):
    """Data points X, shape (N, d), where they are from, and whether they were standardised."""

    name: str
    X: np.ndarray
    standardised: bool

    def about(self) -> str:
        """A line on what was read."""
        how = "centred and scaled to mean variance 1" if self.standardised else "used as given"
        return f"{self.name}, {how}"


class Plan(NamedTuple):
    """What is asked for, checked as far as it can be before any work.

    Attributes:
        points: the data.
        model: at which moments are measured: the middle of the grid and of the lines.
        grid: of n, m or lam.
        lines: values of m; none where m is swept.
        draws: of the features' weights.
        noises, classes: as `measure` takes them.
        markers: where networks are trained; empty for none.
        trials: networks at each marker.
        seed: of everything random.
    """

    points: Points
    model: RFDSM
    grid: Grid
    lines: tuple[float, ...]
    draws: int
    noises: float | None
    classes: int | None
    markers: np.ndarray
    trials: int
    seed: int


class Prediction(NamedTuple):
    """Both theories over the grid, and the networks beside both.

    Attributes:
        plan: what was asked for.
        measured: the theory of the measured moments.
        gaussian: that of Gaussian data of the same covariance.
        runs: trained networks, with the measured theory at their points; None: not asked for.
        gaussian_at_runs: the Gaussian theory at their points.
    """

    plan: Plan
    measured: Sweep
    gaussian: Sweep
    runs: Simulation | None = None
    gaussian_at_runs: Errors | None = None


def load(path: Path | None, *, as_is: bool = False) -> Points:
    """The points of a file, standardised unless told; scikit-learn's digits without one.

    Raises:
        ValueError, OSError: what `tables.read` and `standardise` refuse.
    """
    if path is None:
        return Points("scikit-learn's digits", images.digits(), True)
    X = tables.read(path)
    if as_is:
        return Points(path.name, sample_matrix(X), False)
    return Points(path.name, standardise(X), True)


def plan(
    points: Points,
    against: str = "n",
    *,
    m: Sequence[float] = (),
    n: float | None = None,
    psi_p: float = 3.0,
    t: float = 0.1,
    lam: float | None = None,
    activation: Any = None,
    draws: int = 1,
    noises: float | None = None,
    classes: int | None = None,
    verify: tuple[int, int] | None = None,
    seed: int = 0,
) -> Plan:
    """Check a request and fill in what it leaves open.

    Args:
        points: of `load`.
        against: "n", "m" or "lam", or one of these with a grid, "n=32:512:24".
        m: a line each; None: 1, 4, ∞.
        n: training points where they are not swept; None: min(2 d, N/4).
        psi_p, t, lam, activation: of the model; lam None: 1e-2.
        draws, noises, classes: of the measurement.
        verify: trials and points of trained networks; None: none.
        seed: of everything random.

    Raises:
        ValueError: numbers out of their domain, no more points than are trained on, a
            parameter that is swept and given.
    """
    N, d = points.X.shape
    parameter, equals, numbers = against.partition("=")
    if parameter not in AGAINST:
        raise ValueError(
            f"--against takes {', '.join(AGAINST)}, alone or as in n=32:512:24, "
            f"got {against!r}."
        )
    for name, value in {"n": n, "m": m, "lam": lam}.items():
        if parameter == name and value not in (None, ()) and value != []:
            raise ValueError(f"{name} is swept, --{name} gives it again: leave one out.")
    grid = range_of(parameter, numbers) if equals else _default_grid(parameter, N, d)
    lines = () if parameter == "m" else tuple(sorted(map(float, m or LINES)))
    if len(set(lines)) < len(lines):
        raise ValueError("an m was given twice: one line per m.")
    middle = grid.x[len(grid.x) // 2]
    n = middle if parameter == "n" else max(1, min(2 * d, N // 4)) if n is None else n
    largest = grid.x[-1] if parameter == "n" else n
    if not largest < N:
        raise ValueError(
            f"n = {largest:g} training points of {N}: one at least must be left out."
        )
    if parameter != "n" and n != round(n):
        raise ValueError(f"--n takes a whole number of training points, got {n}.")
    if not 0.5 < psi_p * d < math.inf:
        raise ValueError(
            f"psi_p = {psi_p} at d = {d} gives no network: take a number above 1/d."
        )
    model = RFDSM(
        psi_n=n / d,
        psi_p=round(psi_p * d) / d,
        m=lines[len(lines) // 2] if lines else middle,
        t=t,
        lam=middle if parameter == "lam" else 1e-2 if lam is None else lam,
        activation=activation,
        data=Samples(points.X),
    )
    for value in (*lines, *(grid.x[[0, -1]] if parameter == "m" else ())):
        model.replace(m=value)
    for name, count, least in (
        ("draws", draws, 1), ("noises", noises, 2), ("classes", classes, 1)
    ):  # fmt: skip
        if count is not None and count < least:
            raise ValueError(f"--{name} must be at least {least}, got {count}.")
    if classes is not None and 2 * classes > N:
        raise ValueError(f"--classes {classes} are too many for {N} points.")
    markers, trials = np.empty(0), 0
    if verify is not None:
        trials, count = verify
        if trials < 2 or not 1 <= count <= len(grid.x):
            raise ValueError(
                f"--trials takes at least 2 and --points 1 to the grid's {len(grid.x)}, got "
                f"{trials} and {count}."
            )
        markers = curve.markers(grid, d, count, lines)
    return Plan(
        points, model, grid, lines, draws, noises, classes, markers, trials, seed
    )  # fmt: skip


def steps(plan: Plan) -> int:
    """How often `run` calls `advance`."""
    return 2 + max(1, len(plan.lines)) * len(plan.markers)


def estimate(plan: Plan) -> str | None:
    """A line on the time and memory of solving and training, where they are long.

    Measuring the moments announces its own.
    """
    p = round(float(plan.model.psi_p) * plan.points.X.shape[1])
    lines, classes = max(1, len(plan.lines)), plan.classes or 1
    solves = lines * len(plan.grid.x) * plan.draws
    seconds = COMPILE + solves * (0.02 + 3e-9 * p**3 * (1 + classes / 6))
    text = f"solving {solves} points of {p} features: about {seconds:.0f} s"
    training = 0.0
    for m in plan.lines or (math.nan,):
        for x in plan.markers:
            values = {"n": float(plan.model.psi_n) * plan.points.X.shape[1], "m": m}
            values |= {plan.grid.parameter: x}
            pairs = values["n"] * min(values["m"], 16)  # exact averages cost no more
            training += COMPILE + plan.trials * 2 * p**2 * (pairs + 4096 + p) / FLOPS
    if training:
        text += f"; training {lines * len(plan.markers) * plan.trials} networks: about "
        text += f"{training:.0f} s"
    memory = 8 * p**2 * plan.draws * (2 * classes + 3 + 4 * classes)
    return f"{text}; {memory / 2**30:.2g} GiB" if seconds + training > LONG else None


def run(
    plan: Plan,
    report: Callable[[str], None],
    advance: Callable[[str], None] = lambda step: None,
) -> tuple[Prediction, list[str]]:
    """Measure once, solve both theories on the grid, and train where asked.

    Args:
        plan: of `plan`.
        report: called with lines of text on the measurement.
        advance: called with the name of each finished step, `steps(plan)` in all.

    Returns:
        The prediction, and lines on how far to trust it.
    """
    moments = _measure(plan, report)
    advance("moments")
    measured = curve.sweep(plan.model, plan.grid, plan.lines, moments)
    gaussian = curve.sweep(plan.model, plan.grid, plan.lines)
    advance("theory")
    trust = _error_bar(plan, moments, measured)
    if not len(plan.markers):
        return Prediction(plan, measured, gaussian), trust
    d = plan.points.X.shape[1]
    runs = curve.simulate(measured, plan.markers, d, plan.trials, plan.seed, advance)
    at_runs = curve.sweep(plan.model, plan.grid._replace(x=plan.markers), plan.lines).errors
    return Prediction(plan, measured, gaussian, runs, at_runs), trust


def figure(prediction: Prediction, *, log_y: bool = False) -> Figure:
    """A panel per loss: both theories, networks with one standard error where trained."""
    plan, measured, runs = prediction.plan, prediction.measured, prediction.runs
    drawn, axes = plotting.panels(
        NAMES, title(plan), parameter=plan.grid.parameter, margin=2.0
    )  # fmt: skip
    colours = plotting.colours(len(measured.labels()))
    handles = []
    for line, colour in enumerate(colours):
        theory = line_of(measured.errors, line)
        plotting.draw_theory(axes, plan.grid.x, theory, color=colour)
        gaussian = line_of(prediction.gaussian.errors, line)
        plotting.draw_theory(axes, plan.grid.x, gaussian, color=colour, **THIN)
        if measured.spread is not None:
            spread = line_of(measured.spread, line)
            plotting.draw_band(axes, plan.grid.x, theory, spread, color=colour)
        if plan.lines:
            label = f"$m = {plotting.tex(plan.lines[line])}$"
            handles.append(Line2D([], [], color=colour, label=label))
        if runs is not None:
            means, bars = line_of(runs.means, line), line_of(runs.bars, line)
            plotting.draw_runs(axes, runs.x, means, bars, color=colour)
    handles.append(Line2D([], [], color="0.3", label="theory, measured moments"))
    handles.append(Line2D([], [], color="0.3", **THIN, label="theory, Gaussian data"))
    if runs is not None:
        dots = {"color": "0.3", "marker": "o", "markersize": 3.5, "linestyle": "none"}
        handles.append(Line2D([], [], **dots, label="trained networks"))
    curve.finish(drawn, axes, measured, colours, handles, log_y=log_y)
    return drawn


def title(plan: Plan) -> str:
    """The data and the model in a line."""
    N, d = plan.points.X.shape
    data = f"{plan.points.name}: {N} points, $d = {d}$"
    if plan.grid.parameter != "n":
        data += f", $n = {float(plan.model.psi_n) * d:g}$"
    return plotting.describe(
        plan.model, without=("psi_n", "m", plan.grid.parameter), data=data
    )  # fmt: skip


def table(prediction: Prediction) -> Table:
    """The measured theory's losses and the Gaussian test loss, at some of the grid."""
    beside = {"test loss, Gaussian theory": prediction.gaussian.errors.test_loss}
    return curve.table(prediction.measured, NAMES, beside=beside)


def deviations(prediction: Prediction) -> Table:
    """The networks' losses, and how far each theory is from them."""
    runs, parameter = prediction.runs, prediction.plan.grid.parameter
    gaps = {
        name: (
            100 * relative_difference(runs.means, runs.theory, name),
            100 * relative_difference(runs.means, prediction.gaussian_at_runs, name),
        )
        for name in NAMES
    }
    drawn = Table(box=None, pad_edge=False)
    lines = prediction.plan.lines
    titles = (parameter, "loss", "networks", "±", "measured", "Gaussian theory")
    for heading in (("m",) if lines else ()) + titles:
        drawn.add_column(heading, justify="right")
    for line in range(len(prediction.measured.labels())):
        for i, x in enumerate(runs.x):
            for name in NAMES:
                mean, bar = (getattr(e, name)[line, i] for e in (runs.means, runs.bars))
                drawn.add_row(
                    *([text(lines[line])] if lines else []),
                    f"{x:.4g}",
                    plotting.LABELS[name].removesuffix(" loss"),
                    f"{mean:.4g}",
                    f"{bar:.1g}",
                    *(f"{gap[line, i]:+.1f} %" for gap in gaps[name]),
                )
    return drawn


def summary(prediction: Prediction) -> list[str]:
    """Lines of text: least test loss, memorisation, and how the networks agree."""
    lines = curve.summary(prediction.measured, names=NAMES)
    lines += _memorisation(prediction.measured)
    if prediction.runs is None:
        return lines
    lines.append(
        f"distance of {prediction.plan.trials} networks' mean from theory, relative to the "
        "larger of the loss and 0.1, in the median and at most:"
    )
    theories = {
        "measured": prediction.runs.theory,
        "Gaussian": prediction.gaussian_at_runs,
    }
    for name in NAMES:
        gaps = {
            label: 100 * np.abs(relative_difference(prediction.runs.means, theory, name))
            for label, theory in theories.items()
        }
        parts = (
            f"{label} {np.nanmedian(gap):.2g} and {np.nanmax(gap):.2g} %"
            for label, gap in gaps.items()
        )
        lines.append(f"  {plotting.LABELS[name]}: {', '.join(parts)}")
    return lines


def dataset(prediction: Prediction) -> Any:
    """The whole result as an `xarray.Dataset`; the Gaussian theory's names end in _gaussian."""
    measured = curve.dataset(prediction.measured, prediction.runs)
    gaussian = curve.dataset(prediction.gaussian)
    result = measured.drop_vars([*_UNKNOWN & set(measured.data_vars)])
    for name in NAMES:
        values = gaussian[name]
        values.attrs |= {"kind": "Gaussian theory", "column": name}
        result[f"{name}_gaussian"] = values
        result[name].attrs["kind"] = "theory of measured moments"
    result["status"].attrs["kind"] = "theory of measured moments"
    points = prediction.plan.points
    result.attrs |= {
        "title": f"losses predicted for {points.name}",
        "data": points.name,
        "points": len(points.X),
        "dimension": points.X.shape[1],
        "standardised": int(points.standardised),
        "draws": prediction.plan.draws,
        "classes": prediction.measured.moments.classes,
    }
    if prediction.measured.spread is not None:
        for name in NAMES:
            values = np.reshape(getattr(prediction.measured.spread, name), result[name].shape)
            about = {"kind": "theory of measured moments"}
            result[f"{name}_spread"] = (result[name].dims, values, about)
    return result


# Errors that neither moments nor networks on real data can know.
_UNKNOWN = {
    f"{name}{suffix}"
    for name in ("score_error", "bias2", "variance")
    for suffix in ("", "_mean", "_standard_error", "_theory")
}


def _default_grid(parameter: str, N: int, d: int) -> Grid:
    ends = {
        "n": (max(1.0, min(d / 2, N / 8)), min(8.0 * d, N / 2)),
        "m": (1.0, 32.0),
        "lam": (1e-5, 10.0),
    }[parameter]
    return range_of(parameter, f"{ends[0]}:{ends[1]}:{COUNT}")


def _measure(plan: Plan, report: Callable[[str], None]) -> Moments:
    key = jax.random.key(plan.seed)
    draws = plan.draws if plan.draws > 1 else None
    noises = {} if plan.noises is None else {"noises": plan.noises}
    with warnings.catch_warnings():
        # Said with its numbers by `_error_bar`.
        warnings.filterwarnings("ignore", message="N = .* points give the test loss")
        return measure(
            plan.model, key, **noises, classes=plan.classes, draws=draws, report=report
        )


def _error_bar(plan: Plan, moments: Moments, measured: Sweep) -> list[str]:
    """How far the measured theory depends on the points, and on the draw of the weights."""
    if measured.spread is not None:
        share = 100 * np.nanmax(measured.spread.test_loss / measured.errors.test_loss)
        return [f"the test loss varies by up to {share:.2g} % between draws of the weights"]
    if moments.halves is None:
        return []
    error = sampling_error(plan.model, moments)
    value = plan.model.asymptotics(moments=moments).test_loss
    n = float(plan.model.psi_n) * moments.d
    line = (
        f"finitely many points leave the test loss at n = {n:.4g}, m = "
        f"{text(float(plan.model.m))} uncertain by "
        f"{100 * float(error.total.test_loss / value):.2g} %"
    )
    if error.enough > len(plan.points.X):
        line += f" (about {error.enough:.1g} points: 1 %)"
    return [line]


def _memorisation(measured: Sweep) -> list[str]:
    """Where training points are denoised better than the best linear score can."""
    x, parameter, lines = measured.grid.x, measured.grid.parameter, []
    below = measured.errors.memorization_loss < measured.linear
    for label, memorises in zip(measured.labels(), below, strict=True):
        if memorises.all() or not memorises.any():
            where = "everywhere" if memorises.all() else "nowhere"
        elif np.sum(np.diff(memorises.astype(int)) != 0) > 1:
            where = f"in parts of {parameter} = {x[0]:.4g} to {x[-1]:.4g}"
        elif memorises[0]:
            where = f"up to {parameter} = {x[memorises][-1]:.4g}"
        else:
            where = f"from {parameter} = {x[memorises][0]:.4g} on"
        lines.append(
            (f"{label}: " if label else "")
            + f"memorises (memorization loss below the best linear score's) {where}"
        )
    return lines
