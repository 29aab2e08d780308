"""How the cost of a simulation grows: time with p, N = n m and d, memory with m.

A trial's products cost, in multiplications,

    N p² / 2            F F^T, one triangle of it
    (N + R) p d         features of the N pairs and of the R points it is measured on
    (N + R) p d         F^T z, and the read-out
    p³ / 6 + p² d       the fit

and what grows is held against that sum at the same sizes: both are fitted by a power over the
upper half of a decade, where the leading term rules.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import rfdsm
from rfdsm.simulation.experiment import POINTS_PER_DIMENSION, SHARED_AT_LEAST

from .figures import Figure, at_most
from .timing import in_turns, peak_memory

DECADE = np.geomspace(1, 10, 7)
UPPER = 3  # the sizes from here on are fitted
TURNS = 5
M = 4
SLACK = 1.1  # of memory; and a tenth of a power
# (n, p, d) as each grows.
GROWING = {
    "p": lambda x: (1000, round(200 * x), 100),
    "N": lambda x: (round(500 * x), 400, 100),
    "d": lambda x: (1000, 400, round(100 * x)),
}
NOISES, MEMORY_SIZES = (10, 32, 100), (800, 800, 100)


def simulate(n: int, p: int, d: int, m: float = M) -> rfdsm.Errors:
    """One trial."""
    model = rfdsm.RFDSM(psi_n=n / d, psi_p=p / d, m=m, t=0.1, lam=1e-3)
    return model.simulate(jax.random.key(0), d)


def trial(*sizes: int) -> Callable[[], rfdsm.Errors]:
    """The call of it."""
    return lambda: simulate(*sizes)


def products(n: int, p: int, d: int) -> float:
    """Multiplications of a trial."""
    pairs, fresh = n * M, POINTS_PER_DIMENSION * d
    rows = pairs + 2 * fresh + max(SHARED_AT_LEAST, fresh)
    return pairs * p * p / 2 + 2 * rows * p * d + p**3 / 6 + p * p * d


def power(x: np.ndarray, y: np.ndarray) -> float:
    """The exponent of y over x, by least squares in logs."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def exponent(
    what: str,
    sizes: list[tuple[int, int, int]],
    of: Callable[..., Callable[[], Any]],
    counted: Callable[..., float],
) -> Figure:
    """The power by which time grows over a decade, beside that of the multiplications.

    Args:
        what: grows against what.
        sizes: at each of `DECADE`. of, counted: a call at such sizes, and the multiplications
            in it.
    """
    # The least of a few: work that others did beside it only adds.
    took = [min(in_turns(TURNS, of(*each))[0]) for each in sizes]
    print(what, [f"{s} {t:.3f} s" for s, t in zip(sizes, took, strict=True)], flush=True)
    upper = DECADE[UPPER:]
    predicted = power(upper, np.array([counted(*each) for each in sizes[UPPER:]]))
    found = power(upper, np.array(took[UPPER:]))
    return Figure(
        f"time of {what}: exponent",
        found,
        "",
        "multiplications, counted",
        predicted,
        found / predicted,
        **at_most(SLACK, found / predicted),
        note=f"(n, p, d) from {sizes[0]} to {sizes[-1]}, {took[-1]:.2f} s at the end",
    )


def memory() -> Figure:
    """Of processes at m over a decade."""
    code = (
        "import sys, jax; from benchmarks.growth import MEMORY_SIZES, simulate;"
        "jax.block_until_ready(simulate(*MEMORY_SIZES, m=int(sys.argv[1])))"
    )
    found = [peak_memory(code, m) for m in NOISES]
    more = max(found) / found[0]
    n, p, d = MEMORY_SIZES
    what = f"peak memory of a simulation at m = {NOISES[-1]} (n = {n}, p = {p}, d = {d})"
    pairs = n * NOISES[-1]
    note = f"all features at once would be {pairs * p * 8 / 1e9:.2f} GB"
    peer = f"at m = {NOISES[0]}"
    return Figure(
        what, found[-1], "GB", peer, found[0], more, **at_most(SLACK, more), note=note
    )


def run() -> list[Figure]:
    """Exponents beside the counted ones, and memory, whose processes want the device first."""
    sizes = {name: [of(factor) for factor in DECADE] for name, of in GROWING.items()}
    return [
        memory(),
        *(
            exponent(f"a simulation at m = {M} against {name}", each, trial, products)
            for name, each in sizes.items()
        ),
    ]
