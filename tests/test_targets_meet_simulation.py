"""Some of the bank of targets, and every target with every process, rule and form of the fit.

A target's bugs are silent, and both roads read a target in one place: so the theory is asked
with numbers written by hand, the networks with the target and the process themselves. d = 24
moves errors of the latter by some per cent, a wrong sign or factor by far more.
"""

import itertools
import math

import jax
import pytest
from bank import BANK
from meeting import FIELDS, assert_meets, deviations
from target_bank import PROCESSES, TARGET_BANK, TARGETS, Scales

import rfdsm

D, TRIALS = 24, 32
FORMS = {"primal": (2.0, 1.5, 2), "dual": (1.0, 4.0, 2), "average": (2.0, 2.0, math.inf)}
RULES = {
    "ridge": rfdsm.Ridge(0.2),
    "flow": rfdsm.GradientFlow(10.0, 0.01),
    "descent": rfdsm.GradientDescent(30, 0.2, 0.01),
}


class Regression(rfdsm.AbstractTarget):
    """Any (c_x, c_z) and w²."""

    data: float
    noise: float
    square: float

    def combination(self, process):
        return self.data, self.noise

    def power(self, process):
        return self.square


@pytest.mark.parametrize("number", [1, 10])
def test_some_of_the_bank(number):
    """At smaller sizes; the slow set has all of it (test_theory_meets_simulation)."""
    problem = TARGET_BANK[number]
    assert_meets(problem, deviations(problem, len(BANK) + number, (40, 80)))


def misses(process, target, form, rule):
    """The errors of networks that are off, in words."""
    (process, a, s, velocity), (target, coefficients) = PROCESSES[process], TARGETS[target]
    c_x, c_z, w = map(float, coefficients(a, s, velocity(a, s)))
    common = {
        "training": RULES[rule],
        "activation": rfdsm.Erf(),
        "data": rfdsm.Gaussian((1.9, 0.1)),
    }
    networks = rfdsm.RFDSM(*FORMS[form], process=process, target=target, **common)
    by_hand = Scales(a, s**2), Regression(c_x, c_z, w**2)
    theory = rfdsm.RFDSM(*FORMS[form], process=by_hand[0], target=by_hand[1], **common)
    expected, runs = theory.asymptotics(), networks.simulate(jax.random.key(5), D, TRIALS)
    mean, bars = runs.mean(), runs.standard_error()
    for name in FIELDS:
        value = float(getattr(expected, name))
        off, error = float(getattr(mean, name)) - value, float(getattr(bars, name))
        # bias2 and variance move with their sum.
        size = float(expected.score_error) if name in ("bias2", "variance") else value
        if not abs(off) <= 4 * error + 2 / D * size:
            yield f"{process}, {target}: {name} {value:.4f} is off by {off:+.4f} ({error:.4f})"


@pytest.mark.parametrize("form, rule", list(zip(FORMS, RULES, strict=True)))
def test_every_target_at_every_process(form, rule):
    """A third of the pairs each, so that every target meets all rules and all forms."""
    pairs = itertools.product(enumerate(PROCESSES), enumerate(TARGETS))
    third = list(FORMS).index(form)
    chosen = [(process, target) for (i, process), (j, target) in pairs if (i + j) % 3 == third]
    assert not list(itertools.chain(*(misses(*pair, form, rule) for pair in chosen)))


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("form", FORMS)
def test_every_target_at_every_process_with_every_rule_and_form(form, rule):
    pairs = itertools.product(PROCESSES, TARGETS)
    assert not list(itertools.chain(*(misses(*pair, form, rule) for pair in pairs)))
