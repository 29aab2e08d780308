"""Optima of many models side by side: those of `tune`, whatever stands beside them."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from tuning_bank import REFERENCE, TUNING_BANK

import rfdsm
from rfdsm.parameters.numbers import value_of
from rfdsm.tuning import descent, many, newton
from rfdsm.tuning.many import INFEASIBLE, NOT_SOLVED, SUCCESS, Models
from rfdsm.tuning.minimise import problem_of

MODEL = rfdsm.RFDSM(psi_n=4.0, psi_p=4.0, m=2, t=0.1, lam=0.03)
FREE = {"psi_p": (0.1, 20.0), "m": (1.0, math.inf), "lam": (1e-8, 10.0)}
KEPT = [rfdsm.at_least("memorization_loss", 0.83), rfdsm.at_most("test_loss", 0.9)]
BUDGET = {"samples": 32.0}


@pytest.fixture(scope="module")
def models():
    """Over psi_n and t, three constraints; where t is small what they ask for is too much."""
    problem = problem_of(MODEL, FREE, "test_loss", KEPT, BUDGET)
    x = np.array([[0.5, 0.1], [4.0, 0.1], [4.0, 0.3], [16.0, 0.02], [4.0, 0.2], [30.0, 0.1]])
    return Models(dataclasses.replace(problem, swept=("psi_n", "process.t")), x)


@pytest.fixture(scope="module")
def found(models):
    return many.searched(models)


def equal(one, other):
    """Bit for bit."""
    for x, y in zip(*map(jax.tree.leaves, (one, other)), strict=True):
        np.testing.assert_array_equal(x, y)


def test_optima_are_those_of_tune(models, found):
    """Value, numbers and worths; where tune finds nothing feasible this says so."""
    free = many.numbers(models.problem, found.ends.at.z)
    solved = []
    for i, (psi_n, t) in enumerate(models.x):
        model = MODEL.replace(psi_n=psi_n, t=t)
        try:
            tuned = rfdsm.tune(model, FREE, "test_loss", KEPT, BUDGET, starts=64)
        except rfdsm.Infeasible:
            assert found.outcome[i] == INFEASIBLE
            continue
        solved.append(i)
        assert found.outcome[i] == SUCCESS and found.ends.first_order[i] < 1e-8
        assert found.ends.at.f[i] == pytest.approx(tuned.value, rel=1e-9)
        for name, value in tuned.numbers.items():
            assert free[name][i] == pytest.approx(value, rel=1e-4, abs=1e-7)
        worths = [tuned.multipliers[name] for name in list(tuned.multipliers)[:3]]
        np.testing.assert_allclose(
            found.worths(models.problem)[i], worths, rtol=1e-5, atol=1e-9
        )
        np.testing.assert_allclose(found.ends.at.errors.bias2[i], tuned.errors.bias2, rtol=1e-6)
    assert 1 < len(solved) < len(models.x)
    assert np.all(np.any(found.worths(models.problem)[solved] > 1e-6, axis=0)[[0, 2]])


def test_what_stands_beside_changes_no_bit(models, found):
    for rows in ([2], [5, 0], [1, 4, 3]):
        equal(many.searched(models.of(np.array(rows))), found.of(np.array(rows)))


def test_integers_are_those_of_tune(models, found):
    solved = np.flatnonzero(found.outcome == SUCCESS)[-2:]
    best = many.whole(models.of(solved), found.of(solved))
    m = many.numbers(models.problem, best.ends.at.z)["m"]
    for i, (psi_n, t) in enumerate(models.x[solved]):
        model = MODEL.replace(psi_n=psi_n, t=t)
        tuned = rfdsm.tune(model, FREE, "test_loss", KEPT, BUDGET, starts=64)
        assert m[i] == pytest.approx(tuned.integer.numbers["m"], rel=1e-9)
        assert best.ends.at.f[i] == pytest.approx(tuned.integer.value, rel=1e-9)


def test_a_neighbour_leads_to_another_branch():
    """Double descent: a narrow network or the widest, whichever is better is taken."""
    model = rfdsm.RFDSM(psi_n=4, psi_p=20, m=2, t=0.1, lam=1e-5)
    problem = problem_of(model, {"psi_p": (0.1, 100.0)}, "test_loss")
    models = Models(dataclasses.replace(problem, swept=("psi_n",)), np.array([[4.0]]))
    best = many.searched(models)
    wide = many.searched(models, starts=1)  # from psi_p = 20 alone
    assert wide.ends.at.z == 1 and wide.ends.at.f > best.ends.at.f * 1.001
    mended = many.beside(models, wide, best.ends.at.z, np.array([0]))
    assert mended.ends.at.f == pytest.approx(best.ends.at.f, rel=1e-12)
    equal(many.beside(models, best, wide.ends.at.z, np.array([0])), best)


def test_a_model_that_is_not_solved_spoils_no_other():
    problem = problem_of(MODEL, {"lam": (1e-6, 1.0)}, "test_loss")
    models = Models(dataclasses.replace(problem, swept=("psi_n",)), np.array([[4.0], [-1.0]]))
    found = many.searched(models)
    assert found.outcome.tolist() == [SUCCESS, NOT_SOLVED]
    mended = many.beside(models, found, found.ends.at.z[[0]], np.array([1]))
    assert mended.outcome.tolist() == [SUCCESS, NOT_SOLVED]
    equal(many.searched(models.of(np.array([0]))), found.of(np.array([0])))


def test_newton_solves_quadratic_programs():
    """KKT conditions of programs in a box, convex or not, a constraint twice among theirs."""
    rng = np.random.default_rng(0)
    runs, k = 200, 3
    A = rng.normal(size=(runs, k, k))
    least = np.where(np.arange(runs) % 2, 0.1, -0.4)
    H = A @ A.swapaxes(1, 2) + least[:, None, None] * np.eye(k)
    c, normal = rng.normal(size=(runs, k)), rng.normal(size=(runs, 1, k))
    normal = np.concatenate([normal, normal], axis=1)
    offset = np.einsum("rck,rk->rc", normal, rng.uniform(size=(runs, k)))  # cuts the box

    def ask(z, run):
        g = np.einsum("rck,rk->rc", normal[run], z) - offset[run]
        slope = np.einsum("rkl,rl->rk", H[run], z)
        f = np.einsum("rk,rk->r", z, slope / 2 + c[run])
        return descent.Evaluation(z, f, slope + c[run], g, normal[run], np.maximum(0, g.max(1)))

    start = ask(rng.uniform(size=(runs, k)), np.arange(runs))
    ends = newton.descend(ask, start, np.ones((runs, k), bool), np.ones(runs))
    at, multipliers = ends.at, ends.multipliers
    assert np.all(at.violation <= 1e-10) and np.all(multipliers >= 0)
    assert np.all(abs(at.g * multipliers) <= 1e-8)
    slope = at.df + np.einsum("rc,rck->rk", multipliers, normal)
    np.testing.assert_allclose(np.clip(at.z - slope, 0, 1), at.z, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("problem", TUNING_BANK, ids=str)
def test_the_bank(problem):
    """As good as brute force, at the bank's own numbers."""
    constraints = [
        *(rfdsm.at_least(name, bound) for name, bound in problem.at_least.items()),
        *(rfdsm.at_most(name, bound) for name, bound in problem.at_most.items()),
    ]
    asked = problem.free, problem.objective, constraints, problem.budget or None
    model = problem.model()
    found = problem_of(model, *asked)
    swept = next(n for n in ("process.t", "psi_n", "psi_p") if n not in found.variables.names)
    x = np.array([[float(value_of(model, swept))]])
    best = many.searched(Models(dataclasses.replace(found, swept=(swept,)), x))
    assert best.outcome == SUCCESS and best.ends.at.violation <= 1e-10
    assert best.ends.at.f == pytest.approx(REFERENCE[problem.name], rel=1e-9)
