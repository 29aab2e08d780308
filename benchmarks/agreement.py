"""How far networks of dimension d are from the theory, over the bank of the tests.

For each d the mean of many networks is compared with theory, error by error, relative to
max(theory, 0.1), and the table says how much of the difference two dimensions extrapolate away.
"""

import jax
import numpy as np
from bank import BANK  # tests/bank.py

import rfdsm

from .figures import Figure

DIMENSIONS, TRIALS = (40, 80, 160), 16
QUANTILES = {"median": 0.5, "90 % of all errors": 0.9, "largest": 1.0}
FIELDS = ("score_error", "test_loss", "train_loss", "memorization_loss", "bias2", "variance")


def run() -> list[Figure]:
    """A figure per quantile and dimension, and those of the extrapolation."""
    rows: dict[str, list[float]] = {}
    for index, problem in enumerate(BANK):
        model = problem.model()
        theory = model.asymptotics()
        key = jax.random.fold_in(jax.random.key(7), index)
        runs = {d: model.simulate(jax.random.fold_in(key, d), d, TRIALS) for d in DIMENSIONS}
        means = {f"d = {d}": run.mean() for d, run in runs.items()}
        means["80, 160 → ∞"] = rfdsm.extrapolate(runs[80], runs[160]).errors
        for label, mean in means.items():
            for name in FIELDS:
                value = float(getattr(theory, name))
                gap = abs(float(getattr(mean, name)) - value) / max(value, 0.1)
                rows.setdefault(label, []).append(100 * gap)
        print(f"{index + 1}/{len(BANK)} {problem}", flush=True)
    return [
        Figure(
            f"networks of {label} from theory, {words}", float(np.quantile(gaps, share)), "%"
        )
        for label, gaps in rows.items()
        for words, share in QUANTILES.items()
    ]
