"""The heart: both roads, which share nothing but the ingredients, give the same errors."""

import itertools

import numpy as np
import pytest
from bank import BANK
from meeting import assert_meets, deviations
from target_bank import TARGET_BANK

EVERY = BANK + TARGET_BANK
# One of each law, of m = 1, 2 and ∞, in the default set; all of it in the slow one.
QUICK = tuple(BANK[k] for k in (0, 10, 23))


@pytest.mark.parametrize("problem", QUICK, ids=str)
def test_theory_meets_simulation(problem):
    assert_meets(problem, deviations(problem, BANK.index(problem)))


@pytest.mark.slow
@pytest.mark.parametrize("bank", [BANK, TARGET_BANK], ids=["defaults", "targets"])
def test_the_whole_bank_and_its_z_scores(bank, capsys):
    tables = {str(problem): deviations(problem, EVERY.index(problem)) for problem in bank}
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
