"""What to raise next: slopes by finite differences, doublings by other models, the sentence."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import RFDSM, NotConverged, advise
from rfdsm.analysis.advice import Advice, Counts
from rfdsm.errors import FIELDS, Errors

MODEL = RFDSM(psi_n=8, psi_p=16, m=4, t=0.1, lam=1e-3)
SOLVED = jax.jit(lambda model: model.solve().errors.test_loss)
BY = {"n": "psi_n", "p": "psi_p", "m": "m"}


def loss(**changes):
    return float(SOLVED(MODEL.replace(**changes)))


@pytest.fixture(scope="module")
def rows():
    """Of `MODEL`, of one that cannot be solved, and of infinitely many noises."""
    several = jax.jit(jax.vmap(lambda lam, m: advise(MODEL.replace(lam=lam, m=m))))
    found = several(jnp.array([1e-3, jnp.nan, 1e-3]), jnp.array([4.0, 4.0, jnp.inf]))
    return [jax.tree.map(lambda x, i=i: float(x[i]), found) for i in range(3)]


def test_slopes_and_doublings_are_those_of_other_models(rows):
    found = rows[0]
    assert found.errors.test_loss == pytest.approx(loss(), rel=1e-12)
    assert found.features_per_pair == 0.5
    for name, number in BY.items():
        x = getattr(MODEL, number)
        doubled = loss(**{number: 2 * x})
        assert getattr(found.doubled, name) == pytest.approx(doubled, rel=1e-9)
        assert getattr(found.gains, name) == pytest.approx(1 - doubled / loss(), rel=1e-9)
        up, down = (loss(**{number: x * math.exp(e)}) for e in (1e-4, -1e-4))
        assert getattr(found.slopes, name) == pytest.approx((up - down) / 2e-4, rel=1e-6)


def test_infinitely_many_noises_have_a_slope_in_their_inverse(rows):
    found = rows[2]
    losses = [loss(m=m) for m in (math.inf, 2e4, 1e4)]
    slope = (4 * losses[1] - losses[2] - 3 * losses[0]) / 1e-4
    assert found.slope_of_inverse_m == pytest.approx(slope, rel=1e-5)
    assert found.slopes.m == 0 and np.isnan(found.doubled.m) and np.isfinite(found.doubled.p)
    assert "noises" not in found.sentence


def test_a_row_that_is_not_solved_is_nan_and_spoils_no_other(rows):
    numbers = [jax.tree.leaves((x.errors, x.slopes, x.doubled.n)) for x in rows]
    np.testing.assert_array_equal(np.all(np.isfinite(numbers), axis=1), [True, False, True])
    assert np.all(np.isnan(numbers[1]))


def test_what_is_not_solved():
    with pytest.raises(NotConverged):
        advise(MODEL.replace(lam=1e200))
    assert made(n=math.nan, p=math.nan, m=math.nan).sentence.startswith("nothing is known")


def made(best=1.0, bias2=0.5, ratio=0.5, **doubled):
    """Advice on a test loss of 2."""
    errors = Errors(**dict.fromkeys(FIELDS, 1.0) | {"test_loss": 2.0, "bias2": bias2})
    return Advice(errors, best, Counts(0.0, 0.0, 0.0), 0.0, Counts(**doubled), ratio)


PEAK = "towards the peak at p = n m"
FIRST = "change the test loss by"


@pytest.mark.parametrize(
    "about, head, told",
    [
        (
            {"n": 1.5, "p": 2.5, "m": 1.9},
            "raise n next",
            f"training points {FIRST} -25 %, to 1.5; noises by -5 %; features by +25 %, {PEAK}",
        ),
        (
            {"n": 2.5, "p": 1.0, "m": 3.0, "ratio": 2.0},
            "raise p next",
            f"features {FIRST} -50 %, to 1; training points by +25 %, {PEAK}; noises by +50 %, "
            f"{PEAK}",
        ),
        (
            {"n": 1.0, "p": 2.5, "m": math.nan, "ratio": 0.0},
            "raise n next",
            f"training points {FIRST} -50 %, to 1; features by +25 %",
        ),
        (
            {"n": 1.99, "p": 2.0, "m": 2.1, "best": 1.95},
            "the test loss is 2.6 % above the best score's, little helps",
            f"training points {FIRST} -0.5 %, to 1.99; features by 0 %; noises by +5 %",
        ),
        (
            {"n": 2.2, "p": 2.1, "m": 2.0, "ratio": 1.0},
            "more makes it worse or no better (tune the training rule first)",
            f"noises {FIRST} 0 %, to 2; features by +5 %; training points by +10 %",
        ),
        (
            {"n": 2.0, "p": 2.0, "m": 1.99, "bias2": 0.98, "best": math.nan},
            "little helps, bias² is 98 % of the score error (tune the rule)",
            f"noises {FIRST} -0.5 %, to 1.99; training points by 0 %; features by 0 %",
        ),
    ],
)
def test_the_sentence(about, head, told):
    said, _, changes = made(**about).sentence.partition(": ")
    assert said == head and changes.replace("twice the ", "") == f"{told}."
