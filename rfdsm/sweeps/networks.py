"""Networks on lines over an axis, beside the theory at the ratios that they realise."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from ..errors import FIELDS
from ..ingredients.data import Samples
from ..ingredients.moments import Moments
from ..parameters.numbers import text
from ..progress import Steps
from ..simulation import experiment, key_of
from .axes import POINTS, markers, realisable
from .theory import Lines


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


def calls(asked: Networks | None, lines: Lines) -> int:
    """How many calls of `simulate` there will be."""
    return 0 if asked is None else len(lines.models) * (1 if lines.flow else len(asked.x))


def networks(asked: dict[str, Any], seed: int, lines: Lines) -> Networks:
    """The checked networks of {"d": 48, "trials": 8, "points": 6}, or with "at": values.

    Raises:
        ValueError, MemoryError: what d cannot realise, as `RFDSM.simulate`; computes nothing.
    """
    given, along = dict(asked), lines.along
    d = lines.models[0].data.dimension(given.pop("d", None))
    trials = given.pop("trials", 8)
    at = given.pop("at", None)
    if at is None:
        x, data = markers(along, d, given.pop("points", 6)), lines.models[0].data
        if along.name == POINTS and isinstance(data, Samples):
            x = x[: max(1, np.count_nonzero(x < len(data.X)))]  # all leave none to test on
    else:
        x = realisable(along, d, np.atleast_1d(np.asarray(at, float)))
    if given:
        raise ValueError(f"networks take d, trials, points or at, got {', '.join(given)} too.")
    for each in lines.models:
        there = each if lines.flow else along.place(each, x[0])
        jax.eval_shape(lambda key, m=there: m.simulate(key, d, trials), jax.random.key(0))
        for value in () if lines.flow else x:  # memory is asked for before the first
            experiment(d, **vars(along.place(each, value)))
    return Networks(d, trials, x, seed)


def simulated(
    asked: Networks | None,
    lines: Lines,
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
        asked: the networks; None: nothing. lines, moments: the theory to compare with.
        step: called with the name of each finished point, of a trajectory of each line.
        names: of the errors.
        gaussian: tell the Gaussian theory too, where there are moments.
    """
    if asked is None:
        return {}
    flow, along, number = lines.flow, lines.along, lines.number
    told = ["mean", "standard_error", "theory"] + ["gaussian_theory"] * gaussian
    found: dict[str, list] = {suffix: [] for suffix in told}
    for i, line in enumerate(lines.models):
        label = [] if number is None else [f"{number.name} = {text(number.x[i])}"]
        # A line's number is in the key once: m is, and so is psi_n beside training time.
        beside = [] if flow or number is None or number.about.integer else [number.x[i]]
        for x in [asked.x] if flow else asked.x:
            model = line if flow else along.place(line, x)
            own = [model.psi_n] if flow else [x, *beside]
            key = key_of(asked.seed, asked.d, float(model.m), *map(float, own))
            simulate = partial(model.simulate_trajectory, taus=x) if flow else model.simulate
            runs = simulate(key, asked.d, trials=asked.trials)
            at = model.at(runs.sizes)
            solve = partial(at.solve_trajectory, x) if flow else at.solve
            solved = [solve(moments=moments).errors, *([solve().errors] if gaussian else [])]
            draws = 0 if flow else None  # of the weights, of which theory is the mean
            if moments is not None and moments.draws is not None:
                solved[0] = jax.tree.map(partial(np.mean, axis=draws), solved[0])
            row = runs.mean(), runs.standard_error(), *solved
            for suffix, errors in zip(told, row, strict=True):
                found[suffix].append(errors)
            step(", ".join([*label, "networks" if flow else f"{along.name} = {x:.4g}"]))
    variables, shape = {}, (len(lines.models), len(asked.x))
    for name in names:
        for suffix, errors in found.items():
            values = np.reshape([getattr(each, name) for each in errors], shape)
            about = {"kind": "simulation", "column": f"{name}_{suffix}".removesuffix("_mean")}
            dims = (*lines.dims, f"simulated_{along.name}")
            variables[f"{name}_{suffix}"] = dims, lines.shaped(values), about
    return variables
