"""The optimum of a `TuningProblem` by brute force, with nothing of a tuner in it.

A grid over the whole box, then finer and finer grids around its best separated points
(`zoom`), then SLSQP from each of them: zooming alone comes slowly to the end of a curved
constraint. The grids and SLSQP check each other. Of rfdsm only `RFDSM.solve` is read.

Coordinates are logarithms of the numbers, and u = 1/m where m may be infinite. A constraint
is a relative excess that must not be positive.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from tuning_bank import TuningProblem

import rfdsm

RIDGE_POINTS, FLOW_POINTS = 1_000_000, 120_000  # of the grid, at least; flow is dear
STARTS = 8  # of each kind: best local minima of the grid, best points of the grid
APART = 0.07  # between starts, as a share of the box
ZOOMS, FLOW_ZOOMS = 100, 30
ZOOM_NODES = {1: 41, 2: 15, 3: 9, 4: 7}  # of a zoom's grid, on each axis
FEASIBLE = 1e-10  # the largest relative excess of a result
AGREE = 1e-2  # zoom and SLSQP, relative; in a curved corner zoom is far from the end
SCALES = np.geomspace(0.3, 1e-6, 12)  # of grids around the result, shares of the box


class Axis(NamedTuple):
    """A free number's coordinate: log, or u = 1/m itself."""

    name: str
    low: float
    high: float
    inverse: bool

    def nodes(self, count: int) -> np.ndarray:
        """Nodes of the grid with both ends; of u denser near u = 0."""
        s = np.linspace(0, 1, count)
        return self.low + (self.high - self.low) * (s**2 if self.inverse else s)


class Optimum(NamedTuple):
    """What the search found, and how its parts agree."""

    value: float
    numbers: dict[str, float]
    grid_size: int
    grid: float  # the best value on the grid
    zoomed: float  # and after zooming
    stationarity: float  # |∇ log objective + Σ multiplier ∇ constraint|, 0 at an optimum
    active: tuple[str, ...]  # bounds and constraints that hold with equality
    local: tuple[tuple[float, dict[str, float]], ...]  # all that SLSQP ended in, best first


def axes(problem: TuningProblem) -> tuple[Axis, ...]:
    """The free numbers' coordinates; a budget of samples makes m finite."""
    result = []
    for name, (low, high) in problem.free.items():
        if name == "m" and "samples" in problem.budget:
            psi_n = problem.free.get("psi_n", (float(problem.model().psi_n),))[0]
            high = min(high, problem.budget["samples"] / psi_n)
        if math.isinf(high):
            result.append(Axis(name, 0.0, 1 / low, True))
        else:
            result.append(Axis(name, math.log(low), math.log(high), False))
    return tuple(result)


def numbers_at(problem: TuningProblem, x: Any) -> dict[str, float]:
    """The free numbers of a point in coordinates."""

    def number(axis, value):
        if axis.inverse:
            return 1 / value if value > 0 else math.inf
        low, high = problem.free[axis.name]
        return min(max(math.exp(value), low), high)

    return {axis.name: number(axis, float(v)) for axis, v in zip(axes(problem), x, strict=True)}


def evaluator(problem: TuningProblem) -> Callable:
    """x -> [log objective, *constraints], NaN where the solve failed."""
    model, places = problem.model(), axes(problem)

    def values(x):
        changes = {
            axis.name: x[i] if axis.inverse else jnp.exp(x[i]) for i, axis in enumerate(places)
        }
        inverse = {axis.name: axis.inverse for axis in places}
        u = 1 / model.m
        if "m" in changes:
            m = changes.pop("m")
            u = m if inverse["m"] else 1 / m
        changed = model.replace(**changes)
        errors = changed.solve(inverse_m=u).errors
        costs = {"parameters": lambda: changed.psi_p, "samples": lambda: changed.psi_n / u}
        return jnp.stack(
            [
                jnp.log(getattr(errors, problem.objective)),
                *(1 - getattr(errors, name) / y for name, y in problem.at_least.items()),
                *(getattr(errors, name) / y - 1 for name, y in problem.at_most.items()),
                *(costs[name]() / y - 1 for name, y in problem.budget.items()),
            ]
        )

    return values


def constraint_names(problem: TuningProblem) -> list[str]:
    """Names of the constraints, in `evaluator`'s order."""
    return [*problem.at_least, *problem.at_most, *problem.budget]


def in_chunks(batched: Callable, points: np.ndarray, size: int) -> np.ndarray:
    """`batched` on many points, always the same shape."""
    count = -(-len(points) // size)
    padded = np.concatenate([points, np.repeat(points[-1:], count * size - len(points), 0)])
    return np.concatenate([batched(part) for part in np.split(padded, count)])[: len(points)]


def feasible_objective(values: np.ndarray) -> np.ndarray:
    """The log objective, infinite where a constraint is broken or the solve failed."""
    feasible = np.isfinite(values).all(axis=1) & (values[:, 1:] <= 0).all(axis=1)
    return np.where(feasible, values[:, 0], np.inf)


def separated(order: np.ndarray, unit: np.ndarray) -> list[int]:
    """The first `STARTS` of `order` that are `APART` from each other."""
    chosen: list[int] = []
    while len(order) and len(chosen) < STARTS:
        chosen.append(int(order[0]))
        order = order[np.abs(unit[order] - unit[order[0]]).max(axis=1) > APART]
    return chosen


def starts(objective: np.ndarray, shape: tuple[int, ...]) -> list[int]:
    """Indices of the best separated local minima of the grid, and of the best points."""
    unit = np.stack(np.unravel_index(np.arange(len(objective)), shape), axis=1)
    unit = unit / (np.array(shape) - 1)
    table = np.pad(objective.reshape(shape), 1, constant_values=np.inf)
    lowest = np.ones(shape, bool)
    for offset in itertools.product((0, 1, 2), repeat=len(shape)):
        window = tuple(slice(o, o + n) for o, n in zip(offset, shape, strict=True))
        lowest &= objective.reshape(shape) <= table[window]
    order = np.argsort(objective)
    order = order[np.isfinite(objective[order])]
    minima = order[lowest.ravel()[order]]
    return list(dict.fromkeys(separated(minima, unit) + separated(order, unit)))


def ends(places: tuple[Axis, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The box's lower and upper ends."""
    return np.array([axis.low for axis in places]), np.array([axis.high for axis in places])


def local_grid(dimensions: int) -> np.ndarray:
    """The grid of a zoom on [-1, 1]^dimensions."""
    ticks = np.linspace(-1, 1, ZOOM_NODES[dimensions])
    return np.stack(np.meshgrid(*[ticks] * dimensions, indexing="ij"), -1).reshape(
        -1, dimensions
    )


def around(batched: Callable, places: tuple[Axis, ...], x: np.ndarray) -> float:
    """The best feasible log objective on grids around x, of all sizes."""
    (low, high), cube = ends(places), local_grid(len(places))
    boxes = [np.clip(x + scale * (high - low) * cube, low, high) for scale in SCALES]
    return min(float(feasible_objective(np.asarray(batched(box))).min()) for box in boxes)


def zoom(
    batched: Callable, places: tuple[Axis, ...], x: np.ndarray, width: np.ndarray, rounds: int
):
    """(log objective, x) by ever finer grids around the best feasible point."""
    (low, high), cube = ends(places), local_grid(len(places))
    best = np.inf
    for _ in range(rounds):
        points = np.clip(x + width * cube, low, high)
        objective = feasible_objective(np.asarray(batched(points)))
        least = int(np.argmin(objective))
        if not objective[least] < best:
            width = width / 2
            continue
        inside = np.abs(cube[least]).max() < 0.6
        best, x = objective[least], points[least]
        width = width / 2 if inside else width
    return best, x


class Smooth:
    """`evaluator` with derivatives, remembering the last point, for SLSQP."""

    def __init__(self, values: Callable):
        self.both = jax.jit(lambda x: (values(x), jax.jacfwd(values)(x)))
        self.last: tuple[Any, Any] = (None, None)

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        key = x.tobytes()
        if self.last[0] != key:
            self.last = (key, tuple(np.asarray(part) for part in self.both(jnp.asarray(x))))
        return self.last[1]


def slsqp(smooth: Smooth, places: tuple[Axis, ...], x: np.ndarray):
    """(log objective, x) of SLSQP from x; infinite where its end is not feasible."""
    box = [(axis.low, axis.high) for axis in places]
    constraint = {
        "type": "ineq",
        "fun": lambda x: -smooth(x)[0][1:] - FEASIBLE / 10,
        "jac": lambda x: -smooth(x)[1][1:],
    }
    best = (np.inf, x)
    for _ in range(4):  # again from its end: a fresh Hessian
        x = scipy.optimize.minimize(
            lambda x: (smooth(x)[0][0], smooth(x)[1][0]),
            x,
            jac=True,
            bounds=box,
            constraints=[constraint] if len(smooth(x)[0]) > 1 else [],
            method="SLSQP",
            options={"ftol": 1e-16, "maxiter": 300},
        ).x
        x = np.clip(x, *np.array(box).T)
        values = smooth(x)[0]
        if not np.isfinite(values).all():
            break
        if (values[1:] <= FEASIBLE).all() and values[0] < best[0]:
            best = (float(values[0]), x)
    return best


def multipliers(smooth: Smooth, places: tuple[Axis, ...], x: np.ndarray, names: list[str]):
    """(stationarity, active): whether no feasible direction goes down, at first order."""
    values, slopes = smooth(x)
    columns, active = [], []
    for i, name in enumerate(names, start=1):
        if values[i] > -1e-7:
            columns.append(slopes[i])
            active.append(name)
    for i, axis in enumerate(places):
        for end, sign in ((axis.low, -1.0), (axis.high, 1.0)):
            if abs(x[i] - end) < 1e-9:
                columns.append(sign * np.eye(len(places))[i])
                at = {(-1.0, True): "inf", (-1.0, False): "low", (1.0, False): "high"}
                active.append(f"{axis.name} {at.get((sign, axis.inverse), 'low')}")
    if not columns:
        return float(np.linalg.norm(slopes[0])), ()
    return float(scipy.optimize.nnls(np.stack(columns, 1), -slopes[0])[1]), tuple(active)


def search(problem: TuningProblem) -> Optimum:
    """The optimum with everything that speaks for it.

    Raises:
        AssertionError: no feasible point, zoom and SLSQP disagree, or a point near the result
            is better.
    """
    model, places, values = problem.model(), axes(problem), evaluator(problem)
    ridge = isinstance(model.training, rfdsm.Ridge)
    atoms = model.data.law().eigenvalues.shape[0]
    chunk = 20_000 if ridge and atoms <= 2 else 4_000
    batched = jax.jit(jax.vmap(values))
    count = math.ceil((RIDGE_POINTS if ridge else FLOW_POINTS) ** (1 / len(places)) - 1e-9)
    nodes = [axis.nodes(count) for axis in places]
    points = np.stack(np.meshgrid(*nodes, indexing="ij"), -1).reshape(-1, len(places))
    objective = feasible_objective(in_chunks(batched, points, chunk))
    assert np.isfinite(objective).any(), f"{problem.name}: no feasible point on the grid"

    smooth, zoomed, found = Smooth(values), (np.inf, points[0]), []
    for start in starts(objective, (count,) * len(places)):
        index = np.unravel_index(start, (count,) * len(places))
        width = np.array(
            [np.diff(n)[max(0, i - 1) : i + 1].max() for n, i in zip(nodes, index, strict=True)]
        )
        near = zoom(batched, places, points[start], 1.5 * width, ZOOMS if ridge else FLOW_ZOOMS)
        zoomed = min(zoomed, near, key=lambda pair: pair[0])
        found += [slsqp(smooth, places, x) for x in (near[1], points[start])]
    found = sorted((end for end in found if np.isfinite(end[0])), key=lambda pair: pair[0])
    best, x = found[0]
    gap = zoomed[0] - best
    assert -1e-8 < gap < AGREE, f"{problem.name}: zoom is {gap:.1e} from SLSQP"
    beaten = best - around(batched, places, x)
    assert beaten < 1e-9, f"{problem.name}: a neighbour of the result is {beaten:.1e} better"
    stationarity, active = multipliers(smooth, places, x, constraint_names(problem))
    return Optimum(
        value=math.exp(best),
        numbers=numbers_at(problem, x),
        grid_size=len(points),
        grid=math.exp(objective.min()),
        zoomed=math.exp(zoomed[0]),
        stationarity=stationarity,
        active=active,
        local=tuple((math.exp(end), numbers_at(problem, at)) for end, at in found),
    )


def optimum(problem: TuningProblem) -> tuple[float, dict[str, float], int]:
    """(optimal objective, free numbers there, points of the grid)."""
    found = search(problem)
    return found.value, found.numbers, found.grid_size
