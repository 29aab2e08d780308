"""The heart: both roads, which share nothing but the ingredients, give the same errors."""

import itertools
import math

import jax
import numpy as np
import pytest
from bank import BANK
from meeting import FIELDS, assert_meets, row
from target_bank import TARGET_BANK

import rfdsm

SIZES = (80, 160)
TRIALS = 64
EVERY = BANK + TARGET_BANK
# One of each law, of m = 1, 2 and ∞, in the default set, and of targets one of each kind and
# rule; all of it in the slow one.
QUICK = tuple(BANK[k] for k in (0, 10, 23)) + tuple(TARGET_BANK[k] for k in (1, 9, 12))


def deviations(problem):
    """(difference, standard error, allowance) of each error, extrapolated in 1/d."""
    model = problem.model()
    key = jax.random.fold_in(jax.random.key(20250200336), EVERY.index(problem))
    runs = [model.simulate(jax.random.fold_in(key, d), d, TRIALS) for d in SIZES]
    theory = model.asymptotics()
    for run in runs:
        assert math.isclose(run.sizes.psi_n, problem.psi_n)
        assert math.isclose(run.sizes.psi_p, problem.psi_p)
    limit = rfdsm.extrapolate(*runs)
    errors = limit.errors, limit.standard_error, theory
    return {name: row(*(getattr(each, name) for each in errors)) for name in FIELDS}


@pytest.mark.parametrize("problem", QUICK, ids=str)
def test_theory_meets_simulation(problem):
    assert_meets(problem, deviations(problem))


@pytest.mark.slow
@pytest.mark.parametrize("bank", [BANK, TARGET_BANK], ids=["defaults", "targets"])
def test_the_whole_bank_and_its_z_scores(bank, capsys):
    tables = {str(problem): deviations(problem) for problem in bank}
    z = np.array([[row[0] / row[1] for row in rows.values()] for rows in tables.values()])
    counts, edges = np.histogram(z, bins=[-np.inf, -3, -2, -1, 0, 1, 2, 3, np.inf])
    with capsys.disabled():
        print(f"\nz of {z.size} errors, mean {z.mean():+.2f}, sd {z.std():.2f}:")
        for (low, high), count in zip(itertools.pairwise(edges), counts, strict=True):
            print(f"  {low:+5.0f} .. {high:+4.0f}: {count:3d} {'#' * count}")
        for problem, row in zip(tables, z, strict=True):
            print("  " + " ".join(f"{value:+5.1f}" for value in row), problem)
    for problem, rows in tables.items():
        assert_meets(problem, rows)
    # Standard errors that were too large would hide anything: most |z| must not be tiny.
    assert 0.5 < z.std() < 2.0
