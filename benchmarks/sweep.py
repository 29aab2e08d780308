"""A sweep of 10^7 points into a zarr store, against computing alone and writing alone.

All take turns over the same chunks: the sweep, its computations whose results are dropped, the
bytes of its store written as plain files, and the store written with ready numbers.
"""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import rfdsm
from rfdsm.progress import Progress
from rfdsm.sweeps.asymptotics import Theory, theory
from rfdsm.sweeps.engines import Here
from rfdsm.sweeps.grid import grid_of
from rfdsm.sweeps.layout import box, indices
from rfdsm.sweeps.store import lay_or_open
from rfdsm.sweeps.sweeping import layout_of
from rfdsm.sweeps.work import Work

from .figures import Figure
from .timing import peak_memory

SIDE, REPEATS = 3163, 3  # 10^7 points
THREADS = 2


def axes() -> dict[str, np.ndarray]:
    """The grid: ratios over four decades each."""
    return {"psi_n": np.geomspace(0.01, 100, SIDE), "psi_p": np.geomspace(0.01, 100, SIDE)}


def model() -> rfdsm.RFDSM:
    """Isotropic, tanh."""
    return rfdsm.RFDSM(psi_n=8.0, psi_p=16.0, m=4, t=0.1, lam=1e-3)


def whole(path: Path | str) -> None:
    """The sweep."""
    rfdsm.sweep(model(), axes(), store=path, progress=tell)


def tell(progress: Progress) -> None:
    """The lines that a command prints."""
    if progress.said:
        print(f"    {progress}", flush=True)


def compute(part: Theory, chunks: list) -> None:
    """The sweep's chunks, whose numbers are dropped."""
    for _ in Here().run(chunks, Work(part, None)):
        pass


def write_files(path: Path, files: dict[Path, bytes]) -> None:
    """The bytes of a store as files of their own."""
    for folder in {file.parent for file in files}:
        (path / folder).mkdir(parents=True)

    def write(item: tuple[Path, bytes]) -> None:
        with open(path / item[0], "wb", buffering=0) as file:
            file.write(item[1])

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(write, files.items()))


def write_store(path: Path, layout: Any, arrays: dict[tuple[int, ...], dict]) -> None:
    """The store, of ready numbers."""
    store = lay_or_open(path, layout)
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda index: store.write("theory", index, arrays[index]), arrays))


def seconds(call: Callable[[], None]) -> float:
    """How long it takes, once what was written before it is on the disk."""
    os.sync()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def run() -> list[Figure]:
    """The comparison."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(Path(folder))


def _run(folder: Path) -> list[Figure]:
    alone = "import sys; from benchmarks.sweep import whole; whole(sys.argv[1])"
    memory = peak_memory(alone, folder / "alone")
    grid = grid_of(model(), axes())
    part = theory(grid)
    layout = layout_of(grid, [part], "benchmark")
    chunks = list(indices(layout.sizes, layout.parts["theory"]))
    compiling = seconds(part.prepare)
    compute(part, chunks[:4])
    stored = rfdsm.open(folder / "alone").load()
    files = {
        path.relative_to(folder / "alone"): path.read_bytes()
        for path in (folder / "alone").glob("*/c/**/*")
        if path.is_file()
    }
    boxes = {index: box(layout.sizes, layout.parts["theory"], index) for index in chunks}
    ready = {i: {n: stored[n].values[at] for n in part.variables} for i, at in boxes.items()}
    variants = {
        "whole": whole,
        "compute": lambda path: compute(part, chunks),
        "files": lambda path: write_files(path, files),
        "zarr": lambda path: write_store(path, layout, ready),
    }
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(REPEATS):
        for name, call in variants.items():
            found[name].append(seconds(lambda c=call, n=name: c(folder / n)))
            shutil.rmtree(folder / name, ignore_errors=True)
    took = {name: statistics.median(each) for name, each in found.items()}
    size = sum(map(len, files.values())) / 1e9
    what = (
        f"sweep of {grid.points:,} points into a store, {size:.2f} GB in {len(chunks)} chunks"
    )
    peers = {
        "computing alone": "compute",
        "its bytes as plain files": "files",
        "the store of ready numbers": "zarr",
    }
    return [
        *(
            Figure(what, took["whole"], "s", peer, took[name], took["whole"] / took[name])
            for peer, name in peers.items()
        ),
        Figure(f"{what}: compiling", compiling, "s"),
        Figure(f"{what}: peak memory", memory, "GB"),
    ]
