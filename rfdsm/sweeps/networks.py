"""Networks on lines over an axis, beside the theory at the ratios that they realise."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._numerics.linalg import stacked
from ..errors import FIELDS
from ..ingredients.moments import Moments
from ..parameters.numbers import text
from ..progress import Steps
from ..simulation import key_of
from .axes import Axis, markers
from .theory import TRAINING_TIME, Lines


class Networks(NamedTuple):
    """Which networks are trained.

    Attributes:
        d: the dimension. trials: networks at each point, with own data.
        x: values of the swept number that d can realise, see `axes.markers`.
        seed: of everything random.
    """

    d: int
    trials: int
    x: np.ndarray
    seed: int = 0

    def steps(self, lines: Lines, along: Axis) -> int:
        """How many calls of `simulate` there will be."""
        return len(lines.models) * (1 if along.full == TRAINING_TIME else len(self.x))


def networks(asked: dict[str, Any], seed: int, lines: Lines, along: Axis) -> Networks:
    """The checked networks of {"d": 48, "trials": 8, "points": 6}, or with "at": values.

    Raises:
        ValueError: what d cannot realise, as `RFDSM.simulate`; computes nothing.
    """
    given = dict(asked)
    model = lines.models[0]
    d = model.data.dimension(given.pop("d", None))
    trials = given.pop("trials", 8)
    at = given.pop("at", None)
    x = markers(along, d, given.pop("points", 6)) if at is None else np.asarray(at, float)
    if given:
        raise ValueError(f"networks take d, trials, points or at, got {', '.join(given)} too.")
    for each in lines.models:
        there = each if along.full == TRAINING_TIME else along.place(each, x[0])
        jax.eval_shape(lambda key, m=there: m.simulate(key, d, trials), jax.random.key(0))
    return Networks(d, trials, x, seed)


def simulated(
    asked: Networks,
    lines: Lines,
    along: Axis,
    moments: Moments | None,
    step: Steps,
    names: tuple[str, ...] = FIELDS,
    gaussian: bool = False,
) -> dict[str, Any]:
    """Means and standard errors of networks, and theory there, as (dims, values, attributes).

    Named `test_loss_mean`, `test_loss_standard_error`, `test_loss_theory` and so on, over
    `simulated_psi_p` (or whatever is swept). The keys depend on the seed, d and the numbers of
    a point only: it is the same whatever stands beside it.

    Args:
        asked: the networks. lines, along, moments: the theory to compare with.
        step: called with the name of each finished point, of a trajectory of each line.
        names: of the errors.
        gaussian: tell the Gaussian theory too, where there are moments.
    """
    over = _trajectories if along.full == TRAINING_TIME else _points
    found = dict(over(asked, lines, along, moments, step))
    if not gaussian:
        found.pop("gaussian_theory", None)
    dims = (*lines.dims, f"simulated_{along.name}")
    variables = {}
    for name in names:
        for suffix, errors in found.items():
            column = name if suffix == "mean" else f"{name}_{suffix}"
            values = lines.shaped(getattr(errors, name))
            about = {"kind": "simulation", "column": column}
            variables[f"{name}_{suffix}"] = dims, values, about
    return variables


def _points(asked: Networks, lines: Lines, along: Axis, moments, step):
    means, bars, theory, gaussian = [], [], [], []
    for i, line in enumerate(lines.models):
        for x in asked.x:
            model = along.place(line, x)
            key = key_of(asked.seed, asked.d, float(model.m), float(x), *_beside(lines, i))
            runs = model.simulate(key, asked.d, asked.trials)
            realised = model.at(runs.sizes)
            means.append(runs.mean())
            bars.append(runs.standard_error())
            solved = realised.solve(moments=moments).errors
            theory.append(jax.tree.map(jnp.mean, solved))  # over draws of W
            gaussian.append(solved if moments is None else realised.solve().errors)
            step(", ".join([*_label(lines, i), f"{along.name} = {x:.4g}"]))
    shape = (len(lines.models), len(asked.x))
    parts = {"mean": means, "standard_error": bars, "theory": theory}
    if moments is not None:
        parts["gaussian_theory"] = gaussian
    return {
        suffix: jax.tree.map(lambda x: np.reshape(x, shape), stacked(errors))
        for suffix, errors in parts.items()
    }


def _trajectories(asked: Networks, lines: Lines, along: Axis, moments, step):
    means, bars, theory = [], [], []
    for i, model in enumerate(lines.models):
        key = key_of(asked.seed, asked.d, float(model.m), float(model.psi_n))
        runs = model.simulate_trajectory(key, asked.d, asked.x, asked.trials)
        means.append(runs.mean())
        bars.append(runs.standard_error())
        realised = model.at(runs.sizes)
        theory.append(realised.solve_trajectory(asked.x, moments=moments).errors)
        step(", ".join([*_label(lines, i), "networks"]))
    parts = {"mean": means, "standard_error": bars, "theory": theory}
    return {suffix: stacked(errors) for suffix, errors in parts.items()}


def _label(lines: Lines, i: int) -> list[str]:
    number = lines.number
    return [] if number is None else [f"{number.name} = {text(number.x[i])}"]


def _beside(lines: Lines, i: int) -> list[float]:
    """A line's number for its key, where that has not it already."""
    number = lines.number
    return [] if number is None or number.about.integer else [float(number.x[i])]
