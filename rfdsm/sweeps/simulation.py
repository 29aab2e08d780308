"""Networks on a grid: their errors, trial by trial, beside the theory at their ratios."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from ..analysis.records import about_runs
from ..errors import FIELDS, LABELS, LOSSES, STATUSES
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..parameters.checks import positive_integer
from ..parameters.numbers import counted, numbers, value_of
from ..simulation import experiment, key_of
from .grid import TIMES, Box, Grid, chunk_of
from .layout import Variable
from .parts import Part, error, floats, marked

TRIAL = "trial"
TRIALS = 8  # unless told
SUCCESS, DIVERGED = STATUSES.index("success"), STATUSES.index("not_finite")


@dataclasses.dataclass(frozen=True, eq=False)
class Networks(Part):
    """The errors of trained networks, `simulated_<error>`, and what theory expects of them.

    Attributes:
        grid: of the models. chunk: the shape of its chunks, training times whole.
        d: the dimension. trials: networks at each point, with own data. seed: of all draws.
        moments: measured ones for the theory.
        gaussian: whether the Gaussian theory is told too, `expected_gaussian_<error>`.
    """

    grid: Grid
    chunk: tuple[int, ...]
    d: int
    trials: int
    seed: int = 0
    moments: Moments | None = None
    gaussian: bool = False

    name = "networks"
    mark = "simulated_status"

    @property
    def variables(self) -> dict[str, Variable]:
        dims = self.dims
        found = {self.mark: marked(self.grid, "whether all networks are finite")}
        for name in FIELDS:
            about = error(name, "simulation", f"{LABELS[name]} of networks")
            attrs = about | {"column": name}
            found[f"simulated_{name}"] = floats((*dims, TRIAL), attrs, (self.trials,))
            for which in self.theories if name in self.expected else ():
                there = "theory at the networks' ratios"
                about = error(name, there, f"{LABELS[name]} by {there}")
                found[f"{which}_{name}"] = floats(dims, about | {"column": name})
        return found

    @property
    def theories(self) -> dict[str, Moments | None]:
        """What networks are compared with, by what its variables' names begin with."""
        gaussian = {"expected_gaussian": None} if self.gaussian else {}
        return {"expected": self.moments, **gaussian}

    @property
    def expected(self) -> tuple[str, ...]:
        """The errors that theory knows."""
        return FIELDS if self.moments is None else LOSSES

    @property
    def identity(self) -> dict[str, Any]:
        return {"d": self.d, "trials": self.trials, "seed": self.seed}

    def compute(self, box: Box) -> dict[str, np.ndarray]:
        times = self.grid.times
        rows = [self._point(model) for model in self.grid.models(box, times)]
        shape = tuple(x.size for x in self.grid.ranges(box, times))
        found = {}
        for name in rows[0]:
            x = np.array([row[name] for row in rows])
            x = x.reshape(*shape, *x.shape[1:])
            found[name] = x if times is None else np.moveaxis(x, len(shape), times)
        return found

    def _point(self, model: RFDSM) -> dict[str, Any]:
        key = point_key(model, self.seed, self.d, self.grid.times is not None)
        if self.grid.times is None:
            runs = model.simulate(key, self.d, self.trials)
            solve = model.at(runs.sizes).solve
        else:
            taus = self.grid.dims[self.grid.times].axes[0].x
            runs = model.simulate_trajectory(key, self.d, self.trials, taus)
            solve = partial(model.at(runs.sizes).solve_trajectory, taus)
        found: dict[str, Any] = {f"simulated_{n}": np.asarray(getattr(runs, n)) for n in FIELDS}
        finite = np.all(np.isfinite(found["simulated_test_loss"]), axis=-1)
        found[self.mark] = np.where(finite, SUCCESS, DIVERGED).astype(np.int8)
        for which, moments in self.theories.items():
            errors = solve(moments=moments).errors
            several = moments is not None and moments.draws is not None
            for name in self.expected:
                x = np.asarray(getattr(errors, name))
                found[f"{which}_{name}"] = np.mean(x, axis=0) if several else x
        return found

    @property
    def coords(self) -> dict[str, Any]:
        about = {"long_name": "as the networks realise it"}
        ratios = (
            (dim, axis) for dim in self.grid.dims for axis in dim.axes if axis.about.count
        )
        return {
            f"realised_{axis.full}": (
                dim.name,
                np.array([counted(x, self.d) / self.d for x in axis.value(slice(None))]),
                about | {"symbol": axis.about.symbol},
            )
            for dim, axis in ratios
        }

    @property
    def attrs(self) -> dict[str, Any]:
        swept = {axis.full for axis in self.grid.axes}
        fixed = (n for n, x in numbers(self.grid.model).items() if x.count and n not in swept)
        ratios = {n: counted(value_of(self.grid.model, n), self.d) / self.d for n in fixed}
        realised = {f"realised_{name}": ratio for name, ratio in ratios.items()}
        return about_runs(self.d, self.trials, self.seed) | realised


def point_key(model: RFDSM, seed: int, d: int, all_times: bool = False) -> jax.Array:
    """The key of a point's networks: of the seed, d and the numbers of its model.

    So it is the same in any grid, whatever stands beside the point; along training times the
    networks are the same ones.
    """
    about = numbers(model)
    names = sorted(n for n in about if not (all_times and n == TIMES))
    values = [np.ravel(value_of(model, name)) for name in names]
    return key_of(seed, d, *map(float, np.concatenate(values)))


def networks(
    grid: Grid,
    asked: Mapping[str, Any],
    *,
    seed: int = 0,
    moments: Moments | None = None,
    chunk: Any = None,
) -> Networks:
    """The part of a sweep that trains networks, of {"d": 48, "trials": 8}.

    Raises:
        ValueError: unknown keys, or sizes that d cannot realise, m that is no integer among
            them, named with the point; as `RFDSM.simulate`.
        MemoryError: networks too large for this machine.
    """
    if not isinstance(asked, Mapping):
        raise ValueError(f"simulate takes {{'d': 48, 'trials': 8}}, got {asked!r}.")
    given = dict(asked)
    d, trials = given.pop("d", None), given.pop("trials", TRIALS)
    if given:
        raise ValueError(f"simulate takes d and trials, got {', '.join(map(str, given))} too.")
    d = grid.model.data.dimension(d)
    trials = positive_integer(trials, "trials")
    shape = chunk_of(grid, 1 if chunk is None else chunk, grid.times)
    part = Networks(grid, shape, d, trials, seed, moments)
    sizes = [axis.full for axis in grid.axes if axis.about.count or axis.about.integer]
    checked = set()
    for model in grid.models(grid.whole(), grid.times):
        if (at := tuple(float(value_of(model, name)) for name in sizes)) in checked:
            continue
        checked.add(at)
        try:
            experiment(d, **vars(model))
        except ValueError as error:
            where = ", ".join(f"{n} = {x:g}" for n, x in zip(sizes, at, strict=True))
            raise ValueError(f"networks at {where}: {error}" if where else error) from None
    model = next(iter(grid.models(grid.whole(), grid.times)))
    jax.eval_shape(lambda key: model.simulate(key, d, trials), jax.random.key(0))
    return part
