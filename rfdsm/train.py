"""`rfdsm train`: the errors over training time, from theory and, at some times, networks."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import family, plotting
from .errors import Errors, NotConverged
from .family import STATUSES, Family, Grid, Simulation
from .model import RFDSM
from .timescales import Times, Timescales, timescales

NAMES = ("score_error", "test_loss", "train_loss", "memorization_loss")
UNKNOWN = Timescales(Times(math.nan, math.nan), Times(math.nan, math.nan))
MARKS = {  # of the times by the spectrum's bulks: the dash and the legend
    "tau_gen": {"linestyle": (0, (1, 1.5)), "label": r"$\tau_\mathrm{gen}$ (spectrum)"},
    "tau_mem": {"linestyle": (0, (5, 2)), "label": r"$\tau_\mathrm{mem}$ (spectrum)"},
}


class Request(NamedTuple):
    """The models of the lines, and the parameter in which they differ: "psi_n" or "m"."""

    name: str
    models: tuple[RFDSM, ...]

    def values(self) -> tuple[float, ...]:
        """Of the parameter, one for each line."""
        return tuple(float(getattr(model, self.name)) for model in self.models)


class Training(NamedTuple):
    """Theory over training time.

    Attributes:
        request: the models.
        theory: their errors, a line for each.
        times: when each generalises and memorises.
    """

    request: Request
    theory: Family
    times: tuple[Timescales, ...]


def lines(model: RFDSM, psi_n: Sequence[float], m: Sequence[float]) -> Request:
    """A model for each value of psi_n or of m, ascending.

    Raises:
        ValueError: several of both, none of one, one given twice or out of its domain.
    """
    for name, values in {"psi_n": psi_n, "m": m}.items():
        if not values:
            raise ValueError(f"--{name.replace('_', '-')} is missing.")
        if len(set(values)) < len(values):
            raise ValueError(f"a value of {name} was given twice: one line for each.")
    if len(psi_n) > 1 and len(m) > 1:
        raise ValueError(
            "--psi-n and --m both have several values: the lines differ in one of the two."
        )
    name = "psi_n" if len(psi_n) > 1 else "m"
    return Request(
        name,
        tuple(model.replace(psi_n=x, m=y) for x in sorted(psi_n) for y in sorted(m)),
    )


def require_networks(request: Request, d: int) -> None:
    """Refuse what networks of dimension d cannot realise; computes nothing.

    Raises:
        ValueError: as `RFDSM.simulate`.
    """
    for model in request.models:
        jax.eval_shape(lambda key, model=model: model.simulate(key, d), jax.random.key(0))


def solve(
    request: Request, grid: Grid, advance: Callable[[str], None] = lambda step: None
) -> Training:
    """The theory of every line at all training times of the grid.

    Args:
        request: of `lines`.
        grid: of training times.
        advance: called with the name of each finished line.

    Raises:
        NotConverged: not one time was solved.
    """
    solutions = []
    for model, value in zip(request.models, request.values(), strict=True):
        solutions.append(model.solve_trajectory(grid.x))
        advance(f"{request.name} = {family.text(value)}, theory")
    status = np.stack([family.codes(solution.status) for solution in solutions])
    if not np.any(status == 0):
        raise NotConverged(
            f"no training time was solved ({STATUSES[int(status.flat[0])]}): check the "
            "range of tau and the other parameters."
        )
    theory = Family(
        grid,
        request.name,
        request.values(),
        stack([solution.errors for solution in solutions]),
        status,
    )
    times = []
    for label, model, codes in zip(theory.labels(), request.models, status, strict=True):
        times.append(timescales(model) if np.any(codes == 0) else UNKNOWN)
        advance(f"{label}, timescales")
    return Training(request, theory, tuple(times))


def simulate(
    training: Training,
    taus: np.ndarray,
    d: int,
    trials: int,
    seed: int = 0,
    advance: Callable[[str], None] = lambda step: None,
) -> Simulation:
    """Train networks on every line, and theory at the ratios that they realise.

    One call of `RFDSM.simulate_trajectory` per line, with the key
    `family.key_of(seed, d, m, psi_n)`: a line is the same whatever stands beside it.

    Args:
        training: the theory to compare with.
        taus: training times.
        d, trials, seed: as `RFDSM.simulate_trajectory` takes them.
        advance: called with the name of each finished line.
    """
    means, bars, theory = [], [], []
    for label, model in zip(training.theory.labels(), training.request.models, strict=True):
        key = family.key_of(seed, d, float(model.m), float(model.psi_n))
        runs = model.simulate_trajectory(key, d, taus, trials)
        means.append(runs.mean())
        bars.append(runs.standard_error())
        theory.append(model.at(runs.sizes).solve_trajectory(taus).errors)
        advance(f"{label}, networks")
    return Simulation(d, trials, seed, taus, *map(stack, (means, bars, theory)))


def stack(errors: Sequence[Errors]) -> Errors:
    """Errors of shape (points,) as lines, shape (lines, points)."""
    return jax.tree.map(lambda *values: np.stack(values), *errors)


def figure(
    training: Training,
    simulation: Simulation | None = None,
    names: Sequence[str] = NAMES,
    *,
    log_y: bool = False,
) -> Figure:
    """A panel per error: a line per model, markers with one standard error where simulated."""
    theory, model = training.theory, training.request.models[0]
    title = plotting.describe(model, without=(theory.name,))
    drawn, axes = plotting.panels(
        names,
        title if len(names) > 1 else title.replace(", $", ",\n$", 1),
        parameter="tau",
        margin=1.5,
    )
    colours = plotting.colours(len(theory.values))
    handles = family.draw(axes, theory, colours, simulation)
    linear = np.full_like(theory.grid.x, float(model.baselines().linear))
    handles += family.draw_linear(axes, theory.grid.x, linear)
    handles += _draw_times(training, axes, colours)
    family.finish(drawn, axes, theory, handles, log_y=log_y)
    return drawn


def summary(
    training: Training, simulation: Simulation | None = None, names: Sequence[str] = NAMES
) -> list[str]:
    """Lines of text: each line's least errors, its two times, and how networks agree."""
    told, theory = [], training.theory
    for line, (label, times) in enumerate(zip(theory.labels(), training.times, strict=True)):
        least = theory.least(line, "score_error"), theory.least(line, "test_loss")
        if None in least:
            told.append(f"{label}: not solved anywhere")
            continue
        (score, where), (test, where_test) = least
        # The losses differ by a constant, so that this is almost always the same time.
        at = "" if where == where_test else f"at {where} "
        told.append(
            f"{label}: least score error {score:.5g} {at}and test loss {test:.5g} "
            f"at {where_test}"
        )
        told += [
            f"  tau_gen = {x.tau_gen:.4g}, tau_mem = {x.tau_mem:.4g} by the {way}"
            for way, x in (("spectrum's bulks", times.bulks), ("curves", times.curves))
        ]
    if simulation is not None:
        rounded = []
        for label, model in zip(theory.labels(), training.request.models, strict=True):
            asked, realised = _ratios(model), _realised(model, simulation.d)
            rounded += [
                f"  {label}:{text}" for text in family.rounding(asked, realised)
            ]  # fmt: skip
        told += family.agreement(simulation, names, rounded)
    return told


def dataset(training: Training, simulation: Simulation | None = None) -> Any:
    """The `xarray.Dataset` of `family.dataset`, with both times of every line by both ways."""
    theory, models = training.theory, training.request.models
    title = "random-features denoising score matching over training time"
    result = family.dataset(theory, models[0], title, simulation)
    result.attrs["model_is"] = f"the model of the first {theory.name}; its tau counts not"
    for way in Timescales._fields:
        for time in Times._fields:
            values = np.array([getattr(getattr(x, way), time) for x in training.times])
            about = {"kind": "timescales", "long_name": f"{time} by the {way}"}
            result[f"{time}_by_{way}"] = ((theory.name,), values, about)
    if simulation is not None:
        realised = [_realised(model, simulation.d) for model in models]
        for name in ("psi_n", "psi_p"):
            result.attrs[f"simulated_{name}"] = np.array([ratios[name] for ratios in realised])
    return result


def _draw_times(training: Training, axes: dict[str, Axes], colours: list) -> list[Line2D]:
    """tau_gen and tau_mem by the spectrum, where the axis has them; handles for a legend."""
    handles, x = [], training.theory.grid.x
    for name, mark in MARKS.items():
        style = {"linewidth": 0.9, "linestyle": mark["linestyle"]}
        times = [getattr(times.bulks, name) for times in training.times]
        seen = [pair for pair in zip(times, colours, strict=True) if x[0] <= pair[0] <= x[-1]]
        for time, colour in seen:
            for ax in axes.values():
                ax.axvline(time, color=colour, zorder=0, **style)
        if seen:
            handles.append(Line2D([], [], color="0.3", label=mark["label"], **style))
    return handles


def _ratios(model: RFDSM) -> dict[str, float]:
    return {name: float(getattr(model, name)) for name in ("psi_n", "psi_p")}


def _realised(model: RFDSM, d: int) -> dict[str, float]:
    return {name: round(ratio * d) / d for name, ratio in _ratios(model).items()}
