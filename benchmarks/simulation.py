"""One simulation against the same one in plain NumPy and SciPy, in the same run.

The two take turns, so that a machine whose speed drifts treats them alike; the ratio is the
median over the turns.
"""

import statistics
import time

import jax
import numpy as np

import rfdsm

from . import numpy_simulation

D, PSI_N, PSI_P, M, T, LAM = 200, 4.0, 4.0, 4, 0.1, 1e-3
TRIALS, TURNS = 4, 7


def run() -> None:
    """Print the comparison."""
    model = rfdsm.RFDSM(PSI_N, PSI_P, M, t=T, lam=LAM)
    start = time.perf_counter()
    jax.block_until_ready(model.simulate(jax.random.key(0), D, TRIALS))
    print(f"first call, with compilation: {time.perf_counter() - start:.1f} s")
    ours, peer = [], []
    rng = np.random.default_rng(0)
    for turn in range(TURNS + 1):
        start = time.perf_counter()
        runs = jax.block_until_ready(model.simulate(jax.random.key(turn), D, TRIALS))
        middle = time.perf_counter()
        reference = numpy_simulation.simulate(rng, D, PSI_N, PSI_P, M, T, LAM, TRIALS)
        if turn:  # the first warms SciPy up
            ours.append((middle - start) / TRIALS)
            peer.append((time.perf_counter() - middle) / TRIALS)
    ratio = statistics.median(a / b for a, b in zip(ours, peer, strict=True))
    print(
        f"(d, psi_n, psi_p, m) = ({D}, {PSI_N:g}, {PSI_P:g}, {M}), {TRIALS} trials, per trial:"
    )
    print(f"rfdsm {statistics.median(ours):.3f} s, NumPy/SciPy {statistics.median(peer):.3f} s")
    print(f"ratio {ratio:.2f}")
    names = ("score_error", "test_loss", "train_loss", "memorization_loss", "bias2")
    for name, values in zip(names, reference, strict=True):
        print(f"  {name}: {float(getattr(runs.mean(), name)):.4f} and {np.mean(values):.4f}")
