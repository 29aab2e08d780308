"""`sweep`: one call from a grid of any numbers of a model to a labelled data set."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..analysis.records import about
from ..ingredients.activations import Activation
from ..ingredients.data import Samples
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..parameters.plain import to_plain
from ..progress import LONG, Progress, Report, duration, silent, stop
from .asymptotics import Theory, theory
from .engines import engine_of
from .grid import Grid, grid_of
from .identity import told
from .layout import Layout, Part as Stored, indices
from .memory import Memory
from .parts import Part, digest
from .quantities import quantities_of
from .simulation import networks
from .store import lay_or_open, open_dataset
from .work import Work

TITLE = "random-features denoising score matching on a grid"


def sweep(
    model: RFDSM,
    axes: Mapping[str, Any],
    *,
    quantities: Mapping[str, Callable] | Iterable[Callable] | Callable | None = None,
    simulate: Mapping[str, int] | None = None,
    store: Any = None,
    engine: Any = None,
    chunk: Any = None,
    progress: Report | None = None,
    moments: Moments | None = None,
    seed: int = 0,
) -> Any:
    """The errors of a model over a grid of its numbers, from theory and networks.

    Args:
        model: whose other numbers are kept.
        axes: numbers by name and their values, {"psi_p": values, "m": [1, 4, inf]}, of which
            all combinations are solved; `rfdsm.zipped(psi_n=..., m=...)` runs several along
            one dimension. Also "tau", where one contour serves all, and
            "data.eigenvalues[1]".
        quantities: further functions of the model, by name, such as
            `rfdsm.gradient("score_error", wrt=["psi_p"])`; of results with keys a variable
            each. Compiled, or called point by point where JAX cannot trace them; NaN where one
            fails.
        simulate: {"d": 48, "trials": 8} trains networks at every point.
        store: a path, or what zarr takes for a store. The same call goes on with what it holds.
        engine: where chunks are computed: None for here, a `distributed.Client`, any
            `concurrent.futures.Executor`, or an object with `run`, see `sweeps.engines`.
        chunk: points computed and stored at once; 2.5 10^5 unless told, of networks 1.
        progress: called with `Progress`.
        moments: measured ones to solve with, in place of the Gaussian theory.
        seed: of the networks; their keys depend on it, d and the numbers of a point only.

    Returns:
        An `xarray.Dataset` whose dims and coordinates are the names of the axes. Variables are
        the errors, `status` and `residual`, the quantities, and of networks
        `simulated_<error>` with a dimension `trial` beside `expected_<error>`, the theory at
        the ratios that they realise. A point that is not solved is NaN and has its status.
        Of a store it is read lazily.

    Raises:
        ValueError: an axis that is unknown, empty, or has a value outside of its domain;
            networks that d cannot realise; a store of another sweep.
        OSError: a store that cannot be written.
        MemoryError: networks, or without a store a data set, too large for this machine.

    Example:
        >>> import jax.numpy as jnp, rfdsm
        >>> model = rfdsm.RFDSM(psi_n=8, psi_p=16, m=4, t=0.1, lam=1e-3)
        >>> found = rfdsm.sweep(model, {"psi_p": [1, 8, 64], "m": [1, jnp.inf]})
        >>> dict(found.sizes)
        {'psi_p': 3, 'm': 2}
    """
    asked = {"quantities": quantities, "simulate": simulate, "chunk": chunk}
    grid, parts = planned(model, axes, **asked, moments=moments, seed=seed)
    return computed(grid, parts, TITLE, store, engine, progress or silent)


def planned(
    model: RFDSM,
    axes: Mapping[str, Any],
    *,
    quantities: Any = None,
    simulate: Mapping[str, int] | None = None,
    chunk: Any = None,
    moments: Moments | None = None,
    seed: int = 0,
) -> tuple[Grid, list[Part]]:
    """The checked grid and parts of a sweep, of its arguments; computes nothing."""
    grid = grid_of(model, axes)
    taken = {*grid.sizes, *(axis.name for axis in grid.axes)}
    taken |= {*Theory(grid, grid.shape, moments).variables}
    asked = quantities_of(quantities, grid.first, moments, taken)
    parts: list[Part] = [theory(grid, moments=moments, quantities=asked, chunk=chunk)]
    if simulate is not None:
        parts.append(networks(grid, simulate, seed=seed, moments=moments))
    return grid, parts


def computed(
    grid: Grid, parts: Sequence[Part], title: str, store: Any, engine: Any, report: Report
) -> Any:
    """The data set of parts on a grid, in memory or in a store.

    Args:
        grid, parts: what is computed. title: of the data set.
        store, engine: as of `sweep`. report: called with `Progress`.
    """
    engine, layout = engine_of(engine), layout_of(grid, parts, title)
    kept = Memory(layout) if store is None else lay_or_open(store, layout)
    for part in parts:
        part = dataclasses.replace(part, chunk=kept.parts[part.name].chunk)
        whole = kept.resumed(part.name)
        chunks = [index for index in indices(layout.sizes, part) if index not in whole]
        advance = Advance(report, part, len(whole), len(chunks))
        work = Work(part, None if store is None else kept)
        with contextlib.closing(_each(engine.run(chunks, work))) as done:
            for index, arrays in done:
                if arrays is not None:
                    kept.write(part.name, index, arrays)
                advance()
        if stop.asked:  # what is recorded counts, and the same call goes on
            break
    return kept.dataset() if store is None else open_dataset(store)


def _each(done: Iterable[Any]) -> Iterator[Any]:
    """An engine's iterator, which is ended with this one where it can be."""
    yield from done


def layout_of(grid: Grid, parts: Sequence[Part], title: str) -> Layout:
    """The data set before anything is computed."""
    sizes, coords, attrs = grid.sizes, grid.coords(), about(grid.first, title)
    attrs |= {"device": jax.devices()[0].device_kind, "precision": str(jnp.result_type(float))}
    identity = {"model": to_plain(grid.first, whole=False)}
    identity["along"] = {axis.full: dim.name for dim in grid.dims for axis in dim.axes}
    for part in parts:
        for variable in part.variables.values():
            own = variable.dims[len(grid.dims) :]
            sizes |= dict(zip(own, variable.sizes, strict=True))
        coords |= part.coords
        attrs |= part.attrs
        identity |= {part.name: part.identity}
    if isinstance(grid.model.data, Samples):
        identity["points"] = digest(grid.model.data.X)
    if isinstance(grid.model.activation, Activation):
        identity["function"] = told(grid.model.activation.function)
    _require_names(sizes, coords, parts)
    of_parts = {x.name: Stored(x.variables, x.mark, x.chunk) for x in parts}
    return Layout(sizes, coords, attrs, of_parts, identity)


def _require_names(
    sizes: Mapping[str, int], coords: Mapping[str, Any], parts: Sequence[Part]
) -> None:
    """Refuse a name of two things: xarray does too, but in words of its own, or silently."""
    variables = [name for part in parts for name in part.variables]
    taken = [*{*sizes, *coords}, *variables]
    odd = [n for n in taken if not isinstance(n, str) or not n.strip(".") or "/" in n]
    if odd:
        raise ValueError(f"{odd[0]!r} cannot be a name: take some letters, and no slash.")
    if twice := [name for name in taken if taken.count(name) > 1]:
        raise ValueError(
            f"{twice[0]} would be the name of two things in the data set: give the dimension "
            "or the quantity another name."
        )


class Advance:
    """Progress of a part by its chunks, a line every few seconds: how fast, how long still."""

    def __init__(self, report: Report, part: Part, before: int, left: int):
        self.report, self.name, self.before, self.left = report, part.name, before, left
        self.points, self.done = math.prod(part.chunk), 0
        self.start = self.last = time.monotonic()
        if left:
            self._tell(f"{part.name}: compiling")

    def __call__(self) -> None:
        """One more chunk is done; the clock starts with the first, which has compiled."""
        self.done += 1
        now, pace, line = time.monotonic(), "", ""
        total, done = self.before + self.left, self.before + self.done
        if self.done == 1:
            self.start = self.last = now
        else:
            rate = (self.done - 1) / max(now - self.start, 1e-9)
            left = duration((self.left - self.done) / rate)
            pace = f"{rate * self.points:.3g} points/s, about {left} left"
            if now - self.last > LONG and self.done < self.left:
                self.last, line = now, f"{self.name}: {done} of {total} chunks, {pace}"
        self.report(Progress(self.name, done, total, line, pace))

    def _tell(self, words: str) -> None:
        self.report(Progress(words, self.before, self.before + self.left))
