"""Simulations at finite m against the same ones in plain NumPy and SciPy, in the same run.

Ours in double, ours in mixed precision and the peer take turns, so that a machine whose speed
drifts treats them alike; a ratio is the median over the turns. Then the split of a trial: what
its parts take as programs of their own, and how far mixed precision moves the errors. For m = ∞
see `moments`.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

import rfdsm
from rfdsm.progress import silent
from rfdsm.simulation.ensembles import equations, one
from rfdsm.simulation.evaluate import measured

from . import numpy_simulation
from .figures import Figure, at_least, at_most
from .timing import in_turns

T, LAM = 0.1, 1e-3
# (d, psi_n, psi_p, m), trials, turns, the least rate of double precision against the peer's
SETTINGS = (
    ((200, 4.0, 4.0, 4), 4, 7, 0.65),
    ((400, 2.0, 8.0, 4), 2, 5, 0.8),
    ((100, 4.0, 2.0, 64), 4, 9, 0.65),
)
MIXED = 1.3  # times the peer's rate
SPLIT_TURNS = 9
NAMES = ("score_error", "test_loss", "train_loss", "memorization_loss", "bias2")
PEER = "NumPy/SciPy, float64, BLAS alone"


def run() -> list[Figure]:
    """The comparison in all settings."""
    return [figure for setting in SETTINGS for figure in compare(*setting)]


def compare(numbers: tuple, trials: int, turns: int, least: float) -> list[Figure]:
    """Rates, split and errors at one setting."""
    d, psi_n, psi_p, m = numbers
    model, rng = rfdsm.RFDSM(psi_n, psi_p, m, t=T, lam=LAM), numpy_simulation.generator(0)

    def ours(precision, turn):
        runs = model.simulate(
            jax.random.key(turn), d, trials, precision=precision, report=silent
        )
        return jax.block_until_ready(runs)

    sides: dict[str, Callable[[int], Any]] = {
        precision: partial(ours, precision) for precision in ("float64", "mixed")
    }
    split = numpy_simulation.Split()

    def peer(turn):
        split.last = time.perf_counter()
        return numpy_simulation.simulate(rng, *numbers, T, LAM, trials, split)

    sides["peer"] = peer
    found = {name: [side(0)] for name, side in sides.items()}  # warms all up
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    split.seconds.clear()
    for turn in range(1, turns + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            found[name].append(side(turn))
            seconds[name].append((time.perf_counter() - start) / trials)
    where = f"(d, psi_n, psi_p, m) = ({d}, {psi_n:g}, {psi_p:g}, {m})"
    figures = []
    for name, limit in (("float64", least), ("mixed", MIXED)):
        pairs = zip(seconds["peer"], seconds[name], strict=True)
        ratio = statistics.median(b / a for b, a in pairs)
        rates = (1 / statistics.median(seconds[side]) for side in (name, "peer"))
        rate, other = rates
        what = f"simulation at {where}, {name}: trials a second"
        figures.append(
            Figure(what, rate, "trials/s", PEER, other, ratio, **at_least(limit, ratio))
        )
    figures += [*split_of(model, d, where), moved(found, where)]
    print(where)
    for figure in figures:
        print(f"  {figure.what.split(': ')[-1]}: {figure.value:.4g} {figure.unit}", end="")
        print(f", ratio {figure.ratio:.3g}, {figure.limit}" if figure.ratio else "")
    for part, spent in split.seconds.items():
        print(f"  of the peer, {part}: {1e3 * spent / trials / turns:.1f} ms")
    for name, values in zip(NAMES, found["peer"][-1], strict=True):
        ours_mean = float(getattr(found["float64"][-1].mean(), name))
        print(f"  {name}: {ours_mean:.4f}, of the peer {np.mean(values):.4f}")
    return figures


def split_of(model: rfdsm.RFDSM, d: int, where: str) -> list[Figure]:
    """Drawing and fitting a network, and measuring it, which may not cost more."""
    experiment = model._experiment(d, "network")
    shared, key = experiment.shared_points(jax.random.key(0)), jax.random.key(1)

    def sums(key):
        return equations(experiment.draw(key), experiment)[1]

    def fitted(key):
        trained = one(experiment.draw(key), experiment)
        return trained.network.B, trained.train_loss

    def whole(key):
        drawn = experiment.draw(key, shared)
        trained = one(drawn, experiment)
        return measured(trained.network, trained.train_loss, drawn, experiment.sampler)

    timed = (partial(jax.jit(part), key) for part in (sums, fitted, whole))
    of_sums, of_fit, of_all = map(statistics.median, in_turns(SPLIT_TURNS, *timed))
    ratio = (of_all - of_fit) / of_fit
    parts = f"sums {1e3 * of_sums:.0f} ms, solve {1e3 * (of_fit - of_sums):.0f} ms"
    what = f"simulation at {where}: measuring a network's errors"
    mine = 1e3 * (of_all - of_fit)
    limit = at_most(1, ratio)
    about = "drawing and fitting it", 1e3 * of_fit, ratio
    return [Figure(what, mine, "ms", *about, **limit, note=parts)]


def moved(found: dict[str, list[Any]], where: str) -> Figure:
    """How far mixed precision moves an error, against the spread between trials."""
    worst = 0.0
    for name in NAMES:
        sides = (found["float64"], found["mixed"])
        x, y = (
            np.concatenate([np.asarray(getattr(run, name)) for run in runs]) for runs in sides
        )
        worst = max(worst, float(np.max(np.abs(x - y)) / np.std(x, ddof=1)))
    what = f"simulation at {where}: errors of mixed precision, moved by"
    of = "their spread between trials", 1.0, worst
    return Figure(what, worst, "of the spread", *of, **at_most(0.1, worst))


if __name__ == "__main__":
    run()
