"""Where theory and networks meet: in every error, to three standard errors and a little."""

import math

import jax

import rfdsm
from rfdsm.errors import FIELDS

SIZES = (80, 160)
TRIALS = 64


def compared(found, error, value):
    """(difference, standard error, allowance) of one error; the allowance is for O(1/d²)."""
    found, error, value = float(found), float(error), float(value)
    return found - value, error, max(0.005 * abs(value), 0.002)


def deviations(problem, number, sizes=SIZES):
    """`compared` errors of a bank's problem, extrapolated in 1/d; the number is of its key."""
    model = problem.model()
    key = jax.random.fold_in(jax.random.key(20250200336), number)
    runs = [model.simulate(jax.random.fold_in(key, d), d, TRIALS) for d in sizes]
    theory = model.asymptotics()
    for run in runs:
        assert math.isclose(run.sizes.psi_n, problem.psi_n)
        assert math.isclose(run.sizes.psi_p, problem.psi_p)
    limit = rfdsm.extrapolate(*runs)
    errors = limit.errors, limit.standard_error, theory
    return {name: compared(*(getattr(each, name) for each in errors)) for name in FIELDS}


def assert_meets(problem, rows):
    """All of a problem's `compared` errors, by name, are near."""
    misses = [
        f"{name}: off by {difference:+.4f}, standard error {error:.4f}, allowance {allowed:.4f}"
        for name, (difference, error, allowed) in rows.items()
        if not abs(difference) <= 3 * error + allowed
    ]
    assert not misses, f"{problem}\n" + "\n".join(misses)
