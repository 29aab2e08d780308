"""Theory meets two networks: in overlaps, in the variance's parts and in ensembles' errors."""

import math

import jax
import numpy as np
import pytest
from meeting import SIZES, TRIALS, assert_meets, compared
from pairs_bank import PAIRS_BANK

EXACT = 1e-9  # a standard error below it is rounding: of what is the same in every trial


def extrapolated(values, bars, sizes):
    """`rfdsm.extrapolate`, of numbers that come without their sizes."""
    below, above = (d / (sizes[1] - sizes[0]) for d in sizes)
    limit = above * values[1] - below * values[0]
    return limit, math.hypot(below * bars[0], above * bars[1])


def pair_deviations(problem, number, place, sizes=SIZES, trials=TRIALS):
    """`compared` numbers of what a bank's problem asks at a place, by name."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(26), number), place)
    fields, theory, networks = problem.roads(problem.asked[place])
    runs = [networks(jax.random.fold_in(key, d), d, trials) for d in sizes]
    means, bars = [run.mean() for run in runs], [run.standard_error() for run in runs]
    found = {}
    for name in fields:
        values, errors = ([float(getattr(x, name)) for x in each] for each in (means, bars))
        value = float(getattr(theory, name))
        # Where networks have nothing in common neither road has a number.
        assert [math.isnan(x) for x in values] == [math.isnan(value)] * len(sizes), name
        if not math.isnan(value):
            found[name] = compared(*extrapolated(values, errors, sizes), value)
    return found


@pytest.mark.parametrize(
    "number, place", [(0, 0), (0, 2), (7, 1)], ids=["pairs", "parts", "ensemble"]
)
def test_some_of_the_bank(number, place):
    """Own W of other width and ridge on shared pairs; parts; one W, other noises averaged."""
    problem = PAIRS_BANK[number]
    assert_meets(problem, pair_deviations(problem, number, place, (24, 48)))


@pytest.mark.slow
def test_the_whole_bank_and_its_z_scores(capsys):
    tables = {
        f"{problem}, {asked}": pair_deviations(problem, number, place)
        for number, problem in enumerate(PAIRS_BANK)
        for place, asked in enumerate(problem.asked)
    }
    scores = {
        which: {name: off / error for name, (off, error, _) in rows.items() if error > EXACT}
        for which, rows in tables.items()
    }
    z = np.array([value for rows in scores.values() for value in rows.values()])
    with capsys.disabled():
        print(f"\nz of {z.size} numbers, mean {z.mean():+.2f}, sd {z.std():.2f}:")
        for which, rows in scores.items():
            words = "  ".join(f"{name} {value:+.1f}" for name, value in rows.items())
            print(f"  {which}: {words}")
    for which, rows in tables.items():
        assert_meets(which, rows)
    # Standard errors that were too large would hide anything: most |z| must not be tiny.
    assert 0.5 < z.std() < 2.0
