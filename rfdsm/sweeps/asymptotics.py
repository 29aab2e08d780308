"""Theory on a grid: errors, status, residual, and further quantities of every model.

Points are solved in blocks of one size, side by side inside of a block and one block after
the other, so that a point's numbers do not depend, to the last bit, on what stands beside it.
"""

import dataclasses
import functools
import math
import os
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from .._files.programs import kept
from ..errors import FIELDS, LABELS, LOSSES, warn
from ..ingredients.moments import Moments
from ..model import RFDSM
from .grid import Box, Grid, chunk_of
from .layout import Variable
from .parts import Part, digest, error, floats, marked
from .quantities import Quantity

# Points of a chunk, unless told: what a store writes well, of a rule with many nodes fewer.
POINTS, NODES = 250_000, 25
# Points of a block: enough to fill a processor's vectors, few enough for its cache.
BLOCK, BLOCK_OF_ACCELERATOR = 1024, 65536


@dataclasses.dataclass(frozen=True, eq=False)
class Theory(Part):
    """The errors of every model of a grid from theory.

    Attributes:
        grid: of the models. chunk: the shape of its chunks, training times whole.
        moments: measured ones to solve with. quantities: further functions of the model.
        constant: whether the numbers that are not swept are constants of the program, as a
            user's kind needs it that reads them; else a new value compiles nothing.
    """

    grid: Grid
    chunk: tuple[int, ...]
    moments: Moments | None = None
    quantities: tuple[Quantity, ...] = ()
    constant: bool = False

    name = "theory"
    mark = "status"

    @property
    def errors(self) -> tuple[str, ...]:
        """The errors that are known."""
        return FIELDS if self.moments is None else LOSSES

    @property
    def variables(self) -> dict[str, Variable]:
        dims = self.dims
        found = {"status": marked(self.grid, "how the solve ended")}
        for name in self.errors:
            found[name] = floats(dims, error(name, "theory"))
            if self.several_draws:
                words = f"{LABELS[name]}, deviation over draws of W"
                found[f"{name}_spread"] = floats(dims, error(name, "theory", words))
        words = "largest |F(X)/X - 1| of the equations X = F(X)"
        found["residual"] = floats(dims, {"long_name": words, "kind": "solver"})
        for each in self.quantities:
            for name, shape in each.shapes.items():
                own = tuple(f"{name}_{i}" for i in range(len(shape)))
                found[name] = floats((*dims, *own), each.attrs(name), shape)
        return found

    @property
    def several_draws(self) -> bool:
        """Whether errors are means over draws of the weights."""
        return self.moments is not None and self.moments.draws is not None

    @property
    def one_by_one(self) -> bool:
        """Whether a point takes much memory, p² of moments, so that none is beside it."""
        return self.moments is not None

    @property
    def side_by_side(self) -> int:
        """One block runs on one core, while one more is written; else all cores take one."""
        one_core = jax.default_backend() == "cpu" and jax.local_device_count() == 1
        return cores() + 1 if one_core and not self.one_by_one else 2

    @property
    def block(self) -> int:
        """Points side by side, fewer where a training rule has many nodes for each."""
        if self.one_by_one:
            return 1
        most = BLOCK if jax.default_backend() == "cpu" else BLOCK_OF_ACCELERATOR
        most //= min(max(1, self.grid.model.training.systems), most // 16)
        points = self.grid.points // self._times
        return min(most, 2 ** math.ceil(math.log2(points)))

    @property
    def _times(self) -> int:
        return 1 if self.grid.times is None else self.grid.shape[self.grid.times]

    @property
    def static(self) -> "Static":
        """What the program depends on."""
        at = self.grid.times
        times = None if at is None else tuple(map(float, self.grid.dims[at].axes[0].x))
        return Static(times, self.errors, tuple(x for x in self.quantities if x.traced))

    @property
    def identity(self) -> dict[str, Any]:
        found = {"quantities": {each.name: each.identity() for each in self.quantities}}
        return found | ({"moments": digest(self.moments)} if self.moments is not None else {})

    def compute(self, box: Box) -> dict[str, np.ndarray]:
        values = self.grid.values(box, self.grid.times)
        shape = tuple(x.size for x in self.grid.ranges(box, self.grid.times))
        found = self._split(values, math.prod(shape), self._most)
        found |= self._on_host(box)
        return {name: self._placed(x, shape) for name, x in found.items()}

    def _placed(self, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Points, and behind them training times, in the order of the grid."""
        x = x.reshape(*shape, *x.shape[1:])
        at = self.grid.times
        return x if at is None else np.moveaxis(x, len(shape), at)

    def prepare(self) -> None:
        _blocks.lower(*self._first).compile()

    def require_solvable(self) -> None:
        """Trace a block, which raises what every point would raise."""
        model, numbers, _, *rest = self._first
        eqx.filter_eval_shape(_block, model, {n: x[0] for n, x in numbers.items()}, *rest)

    @property
    def _first(self) -> tuple:
        """What `_blocks` takes for the first point alone."""
        one = self.grid.values(tuple(slice(0, 1) for _ in self.grid.dims), self.grid.times)
        return self._arguments(one, 1, self._most)[0]

    @functools.cached_property
    def _held(self) -> "Held":
        return Held(self.grid.first)

    @property
    def _most(self) -> int:
        """Models in a chunk."""
        return math.prod(self.chunk) // self._times

    def _split(self, values: dict[str, np.ndarray], points: int, most: int) -> dict:
        """All of the points, or where memory does not suffice one half after the other."""
        try:
            return self._solved(values, points, most)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            short = isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
            if not short or most <= self.block:
                raise
            _say_once(f"memory is short for {most} points at once: chunks are cut.")
            half = self.block * -(-most // self.block // 2)
            first = self._split(
                {n: x[:half] for n, x in values.items()}, min(points, half), half
            )
            if points <= half:
                return first
            rest = {n: x[half:] for n, x in values.items()}
            second = self._split(rest, points - half, half)
            return {n: np.concatenate([first[n], second[n]]) for n in first}

    def _solved(self, values: dict[str, np.ndarray], points: int, most: int) -> dict:
        """The variables at points, shape (points, ...), by the program for so many at most."""
        arguments, (devices, per_device, count) = self._arguments(values, points, most)

        def of_points(x):
            x = np.asarray(x).reshape(devices, per_device, *x.shape[1:])[:, :count]
            return x.reshape(-1, *x.shape[3:])[:points]

        return jax.tree.map(of_points, _blocks(*arguments))

    def _arguments(self, values: dict[str, np.ndarray], points: int, most: int) -> tuple:
        """What `_blocks` takes, and how many blocks each device has and has to do."""
        devices = jax.local_device_count()
        per_device, count = (-(-x // (self.block * devices)) for x in (most, points))
        per_device = max(2, per_device)
        if not values:  # nothing but training times is swept
            values = {"psi_n": np.array([float(self.grid.model.psi_n)])}

        def filled(x):
            x = np.pad(x, (0, devices * count * self.block - len(x)), "edge")
            x = x.reshape(devices, count, self.block)
            x = np.pad(x, ((0, 0), (0, per_device - count), (0, 0)), "edge")
            return x.reshape(-1, self.block)

        full = {name: filled(x) for name, x in values.items()}
        model, moments = jax.tree.map(jnp.asarray, (self.grid.first, self.moments))
        model = self._held if self.constant else model
        arguments = model, full, jnp.asarray(count), moments, self.static
        return arguments, (devices, per_device, count)

    def _on_host(self, box: Box) -> dict[str, np.ndarray]:
        """Quantities that JAX cannot trace, point by point; NaN where one fails."""
        found: dict[str, list] = {}
        for each in (each for each in self.quantities if not each.traced):
            for model in self.grid.models(box):
                for name, x in each.on_host(model, self.moments).items():
                    found.setdefault(name, []).append(x)
        shape = tuple(x.size for x in self.grid.ranges(box))
        at = self.grid.times

        def flat(rows: list) -> np.ndarray:
            x = np.reshape(rows, (*shape, *np.shape(rows[0])))
            x = x if at is None else np.moveaxis(x, at, len(shape) - 1)
            return x.reshape(-1, *x.shape[len(shape) - (at is not None) :])

        return {name: flat(rows) for name, rows in found.items()}


def cores() -> int:
    """How many this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # of Linux
    return len(allowed(0)) if allowed else os.cpu_count() or 1


@functools.cache
def _say_once(words: str) -> None:
    warn(words)


class Held:
    """A model whose numbers are constants of a program, which is its own."""

    def __init__(self, model: RFDSM):
        self.model = model


@dataclasses.dataclass(frozen=True)
class Static:
    """What is compiled into the program."""

    times: tuple[float, ...] | None
    errors: tuple[str, ...]
    quantities: tuple[Quantity, ...]


@kept(jit=eqx.filter_jit, quick=False)
def _blocks(
    model: RFDSM | Held,
    values: dict[str, jax.Array],
    count: jax.Array,
    moments: Moments | None,
    static: Static,
) -> dict[str, jax.Array]:
    """All variables at numbers of shape (blocks, block), sharded over the local devices.

    How many blocks of each device count is a traced number: a loop of one step, or of a few,
    would be compiled into another program, whose last bits differ.
    """
    arrays, rest = eqx.partition((model, moments), eqx.is_array)

    def one_after_another(arrays, values, count):
        model, moments = eqx.combine(arrays, rest)

        def block(i):
            return _block(model, jax.tree.map(lambda x: x[i], values), moments, static)

        def step(i, found):
            return jax.tree.map(lambda x, new: x.at[i].set(new), found, block(i))

        blocks = len(next(iter(values.values())))
        shapes = jax.eval_shape(block, 0)
        empty = jax.tree.map(lambda x: jnp.zeros((blocks, *x.shape), x.dtype), shapes)
        return jax.lax.fori_loop(0, count, step, empty)

    devices = jax.local_devices()
    if len(devices) == 1:
        return one_after_another(arrays, values, count)
    spread, same = PartitionSpec("blocks"), PartitionSpec()
    return jax.shard_map(
        one_after_another,
        mesh=Mesh(np.array(devices), ("blocks",)),
        in_specs=(same, spread, same),
        out_specs=spread,
        check_vma=False,
    )(arrays, values, count)


@eqx.filter_jit
def _block(
    model: RFDSM | Held, numbers: dict[str, jax.Array], moments: Moments | None, static: Static
) -> dict[str, jax.Array]:
    """All variables at numbers of shape (block,); compiled as such, it is traced once."""
    model = model.model if isinstance(model, Held) else model
    return jax.vmap(lambda x: _point(model.replace(**x), moments, static))(numbers)


def _point(model: RFDSM, moments: Moments | None, static: Static) -> dict[str, Any]:
    """The variables of one model, with training times (times,) each."""
    if static.times is None:
        solution = model.solve(moments=moments)
    else:
        solution = model.solve_trajectory(np.array(static.times), moments=moments)
    status, residual, errors = solution.status.code, solution.residual, solution.errors
    found = {}
    for name in static.errors:
        x = getattr(errors, name)
        if moments is not None and moments.draws is not None:
            found[f"{name}_spread"] = jnp.std(x, axis=0)
            x = jnp.mean(x, axis=0)
        found[name] = x
    if moments is not None and moments.draws is not None:
        status, residual = jnp.max(status, axis=0), jnp.max(residual, axis=0)
    found["status"] = status.astype(jnp.int8)
    found["residual"] = jnp.broadcast_to(residual, status.shape)
    for each in static.quantities:
        values = partial(each, moments=moments)
        if static.times is None:
            further = values(model)
        else:
            taus = jnp.array(static.times)
            further = jax.vmap(lambda tau, f=values: f(model.replace(tau=tau)))(taus)
        found |= further
    return found


def theory(
    grid: Grid,
    *,
    moments: Moments | None = None,
    quantities: tuple[Quantity, ...] = (),
    chunk: Any = None,
) -> Theory:
    """The part of a sweep that theory solves.

    Raises:
        ValueError: numbers are swept that the moments were measured at; `chunk_of`.
        TypeError: float32 numbers.
    """
    for axis in grid.axes if moments is not None else ():
        if axis.about.measured:
            raise ValueError(f"{axis.name} belongs to the measurement: measure at each value.")
    size = POINTS // min(grid.model.training.systems, NODES) if moments is None else 1
    shape = chunk_of(grid, size if chunk is None else chunk, grid.times)
    part = Theory(grid, shape, moments, quantities)
    try:
        part.require_solvable()
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
        part = dataclasses.replace(part, constant=True)
        part.require_solvable()
    return part
