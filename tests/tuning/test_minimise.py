"""`tune` and `pareto`: against brute force, their derivatives, moments, and networks."""

import dataclasses
import doctest
import math
from functools import partial

import chex
import grid_oracle
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tuning_bank import REFERENCE, TUNING_BANK

import rfdsm
from rfdsm.errors import LOSSES
from rfdsm.tuning import descent, goals, roads, search
from rfdsm.tuning.minimise import problem_of
from rfdsm.tuning.problem import EXPLORE
from rfdsm.tuning.variables import free_variables

MODEL = rfdsm.RFDSM(psi_n=2.0, psi_p=4.0, m=4, t=0.2, lam=1e-2)
RIDGE = {"training.lam": (1e-8, 10.0)}
BOUNDS = {"psi_p": (0.1, 16.0), "m": (1.0, math.inf), "training.lam": (1e-6, 10.0)}
DEFAULT = ("all but the time", "when to stop")


def constraints(problem):
    return [
        *(rfdsm.at_least(name, bound) for name, bound in problem.at_least.items()),
        *(rfdsm.at_most(name, bound) for name, bound in problem.at_most.items()),
    ]


def tuned_of(problem, **options):
    arguments = (problem.model(), problem.free, problem.objective, constraints(problem))
    return rfdsm.tune(*arguments, problem.budget or None, **options)


def violation(problem, tuned):
    """By how much the constraints do not hold, at the model that was returned."""
    model, errors = tuned.model, tuned.model.asymptotics()
    cost = {"samples": model.psi_n * model.m, "parameters": model.psi_p}
    broken = [bound - getattr(errors, name) for name, bound in problem.at_least.items()]
    broken += [getattr(errors, name) - bound for name, bound in problem.at_most.items()]
    broken += [cost[name] - bound for name, bound in problem.budget.items()]
    return max(0.0, *map(float, broken)) if broken else 0.0


SET = [
    pytest.param(p, id=p.name, marks=() if p.name in DEFAULT else pytest.mark.slow)
    for p in TUNING_BANK
]


@pytest.mark.parametrize("problem", SET)
def test_no_worse_than_brute_force(problem):
    tuned = tuned_of(problem, starts=64 if "tau" in problem.settings else 256)
    best = REFERENCE[problem.name]
    assert tuned.value <= best * (1 + 1e-6)
    assert tuned.value >= best * (1 - 1e-6)  # or the reference is wrong
    assert violation(problem, tuned) <= 1e-8
    assert tuned.first_order <= 1e-6
    assert tuned.second_order > 0
    for name, value in tuned.numbers.items():
        low, high = problem.free[name]
        assert low <= value <= high


@pytest.mark.slow
@pytest.mark.parametrize("problem", TUNING_BANK, ids=lambda p: p.name)
def test_the_references_are_what_brute_force_finds(problem):
    value, _, size = grid_oracle.optimum(problem)
    assert size >= 100_000
    np.testing.assert_allclose(value, REFERENCE[problem.name], rtol=1e-9)


@pytest.fixture(scope="module")
def private():
    """Three free numbers, one constraint, and the sensitivity of the optimum."""
    constraint = rfdsm.at_least("memorization_loss", 0.85)
    seen = []
    tuned = rfdsm.tune(MODEL, BOUNDS, "score_error", constraint, starts=32, report=seen.append)
    assert seen[0].total == 32 and all(p.done <= p.total for p in seen)
    return tuned


def again(tuned, bound=0.85, **changes):
    """The optimal value of a changed problem."""
    constraint = rfdsm.at_least("memorization_loss", bound)
    return rfdsm.tune(
        MODEL.replace(**changes), BOUNDS, "score_error", constraint, starts=8
    ).value


def test_the_result_is_consistent(private):
    errors = private.model.asymptotics()
    chex.assert_trees_all_close(errors, private.errors)
    assert float(errors.score_error) == pytest.approx(private.value, rel=1e-12)
    assert private.optima[0].numbers == private.numbers
    assert "memorization_loss >= 0.85" in private.active
    assert float(private.model.psi_p) == private.numbers["psi_p"]
    trace = private.trace
    assert trace.value[-1] == pytest.approx(private.value, rel=1e-6)
    assert len(trace.value) == len(trace.violation) == len(trace.numbers["m"])
    assert "score_error" in repr(private) and "memorization_loss >= 0.85" in repr(private)


def test_multipliers_and_sensitivities_are_derivatives_of_the_optimum(private):
    step = 1e-4
    slope = (again(private, 0.85 + step) - again(private, 0.85 - step)) / (2 * step)
    worth = private.multipliers["memorization_loss >= 0.85"]
    assert worth == pytest.approx(slope, rel=1e-4)
    sensitivity = private.sensitivity()
    assert sensitivity.psi_p == 0 and sensitivity.training.lam == 0  # they were free
    up, down = (again(private, psi_n=2.0 + s) for s in (step, -step))
    assert float(sensitivity.psi_n) == pytest.approx((up - down) / (2 * step), rel=1e-4)


def sum_of_inverses(model):
    """A function of the model that is smooth at m = ∞."""
    return model.asymptotics().test_loss / model.m + model.psi_n / (model.m + 1)


@pytest.mark.parametrize("what", ["score_error", sum_of_inverses, "moments"])
def test_the_derivative_at_infinitely_many_noises_is_that_in_their_inverse(what):
    """At u = 1/m = 0 itself, where a guard against 1/0 must not change it; both modes."""
    model, options = MODEL, {}
    if what == "moments":
        model, what = points_model(), "test_loss"
        options["moments"] = moments_of(model, 2.0)
    problem = problem_of(model, {"m": (1, math.inf)}, what, **options)

    def value(z):
        return problem.objective.value(problem.point(z))

    def exact(u):
        if callable(what):
            loss = model.asymptotics(inverse_m=u).test_loss
            return loss * u + model.psi_n * u / (1 + u)
        return getattr(model.solve(inverse_m=u, **options).errors, what)

    z = jnp.zeros(1)
    (slope,) = problem.variables.slopes(np.zeros(1))
    expected = float(jax.grad(exact)(0.0)) * slope
    assert abs(expected) > 1e-6
    for derivative in (jax.jacfwd(value), jax.jacrev(value)):
        assert float(derivative(z)[0]) == pytest.approx(expected, rel=1e-9)


def test_what_a_bound_at_infinity_is_worth():
    """The multiplier of m <= inf is the objective's derivative in 1/m."""
    infinite = MODEL.replace(m=math.inf)
    tuned = rfdsm.tune(MODEL, {"m": (1, math.inf)}, "score_error", starts=2)
    assert tuned.numbers["m"] == math.inf and tuned.active == ("m <= inf",)
    slope = jax.grad(lambda u: infinite.asymptotics(inverse_m=u).score_error)(0.0)
    assert tuned.multipliers["m <= inf"] == pytest.approx(float(slope), rel=1e-9)


def test_a_start_at_infinity_leaves_it():
    """Downhill of m = ∞ there is a better model at m = 2.4."""
    start = MODEL.replace(psi_p=9.684, m=math.inf, lam=10.0)
    constraint = rfdsm.at_least("memorization_loss", 0.85)
    alone = rfdsm.tune(start, BOUNDS, "score_error", constraint, starts=1)
    assert alone.numbers["m"] < 3 and alone.value == pytest.approx(again(alone), rel=1e-7)


def test_few_starts_do_not_creep_along_a_curved_constraint(private):
    """Where first derivatives alone stopped at .55214."""
    assert again(private) == pytest.approx(private.value, rel=1e-8)
    assert private.value == pytest.approx(0.55197, abs=5e-6)


@pytest.mark.slow
def test_the_best_integer_m(private):
    """By trying every one."""
    m = float(private.integer.model.m)
    assert m.is_integer() or math.isinf(m)
    constraint = rfdsm.at_least("memorization_loss", 0.85)
    bounds = {name: ends for name, ends in BOUNDS.items() if name != "m"}
    values = []
    for other in (*range(1, 9), math.inf):
        there = rfdsm.tune(MODEL.replace(m=other), bounds, "score_error", constraint, starts=8)
        values.append(there.value)
    assert private.integer.value == pytest.approx(min(values), rel=1e-7)
    assert float(private.integer.errors.memorization_loss) >= 0.85 - 1e-8


def test_the_optimal_test_loss_decreases_with_the_width():
    """With lam tuned there is no peak at p = n m, where it is high at small lam."""
    widths = np.geomspace(0.25, 64, 17)  # p = n m is 8 of these

    @jax.jit
    def value_of(psi_p, lam):
        return MODEL.replace(psi_p=psi_p, lam=lam).solve().errors.test_loss

    best = [
        rfdsm.tune(MODEL.replace(psi_p=p), RIDGE, "test_loss", starts=8).value for p in widths
    ]
    assert np.all(np.diff(best) < 0)
    fixed = [float(value_of(p, 1e-6)) for p in widths]
    peak = np.argmax(fixed)
    assert widths[peak] == pytest.approx(8, rel=0.2) and fixed[peak] > 2 * fixed[-1]


def test_the_optimum_at_a_fixed_budget_comes_with_its_derivative():
    def tuned_at(samples):
        free = {"psi_n": (0.5, 4.0), "m": (1.0, math.inf), "training.lam": (1e-6, 10.0)}
        return rfdsm.tune(MODEL, free, "test_loss", budget={"samples": samples}, starts=32)

    tuned, step = tuned_at(16.0), 1e-2
    assert float(tuned.model.psi_n * tuned.model.m) == pytest.approx(16, abs=1e-8)
    slope = (tuned_at(16 - step).value - tuned_at(16 + step).value) / (2 * step)
    assert tuned.multipliers["samples <= 16"] == pytest.approx(slope, rel=1e-4)
    assert slope > 0


@pytest.mark.slow
def test_functions_serve_as_objective_constraint_and_budget():
    """The same numbers by functions as by names."""
    bounds = {"psi_p": (0.1, 16.0), "lam": (1e-6, 10.0)}
    named = rfdsm.tune(
        MODEL, bounds, "test_loss", rfdsm.at_most("train_loss", 0.5), {"flops": 400.0}, 16
    )
    by_function = rfdsm.tune(
        MODEL,
        bounds,
        lambda model: model.asymptotics().test_loss,
        lambda model: 0.5 - model.asymptotics().train_loss,
        (goals.COSTS["flops"], 400.0),
        16,
    )
    assert by_function.value == pytest.approx(named.value, rel=1e-8)
    assert len(by_function.active) == len(named.active) > 0


def test_a_function_and_an_optimiser_of_optax():
    named = rfdsm.tune(MODEL, RIDGE, "test_loss", starts=8)
    by_function = rfdsm.tune(
        MODEL,
        RIDGE,
        lambda model: model.asymptotics().test_loss,
        starts=8,
        optimizer=optax.adam(0.02),
    )
    assert by_function.value == pytest.approx(named.value, rel=1e-10)
    assert len(by_function.trace.value) > EXPLORE


def test_over_times_is_the_weighted_sum():
    ts, weights = (0.1, 0.3), (0.25, 0.75)
    objective = rfdsm.over_times(ts, weights)
    total = sum(
        w * MODEL.replace(t=t).asymptotics().score_error
        for t, w in zip(ts, weights, strict=True)
    )
    assert float(objective(MODEL)) == pytest.approx(float(total), rel=1e-12)
    trapezoid = rfdsm.over_times((0.1, 0.2, 0.4))
    np.testing.assert_allclose(trapezoid.weights, [0.05, 0.15, 0.1])


def test_the_front_and_its_slopes(private):
    levels = np.array([0.82, 0.85, 0.8501, 0.99, 1e9])
    front = rfdsm.pareto(MODEL, BOUNDS, "score_error", "memorization_loss", levels, starts=16)
    np.testing.assert_array_equal(front.feasible, [True, True, True, True, False])
    assert math.isnan(front.value[-1]) and np.isnan(front.models.psi_p[-1])
    assert np.all(np.diff(front.value[:-1]) > 0)
    assert front.value[1] == pytest.approx(private.value, rel=1e-8)
    step = levels[2] - levels[1]
    slope = (front.value[2] - front.value[1]) / step
    assert front.slope[1:3].mean() == pytest.approx(slope, rel=1e-5)
    for name, values in front.numbers.items():
        moved = 1 / values if name == "m" else values
        drift = (moved[2] - moved[1]) / step
        assert front.drift[name][1:3].mean() == pytest.approx(drift, rel=1e-3, abs=1e-4)
    np.testing.assert_allclose(
        front.sensitivity.psi_n[1], private.sensitivity().psi_n, rtol=1e-5
    )
    np.testing.assert_allclose(front.errors.memorization_loss[:-1], levels[:-1], rtol=1e-8)


@pytest.mark.parametrize("function", [rfdsm.tune, rfdsm.pareto, rfdsm.over_times])
def test_examples_print_what_they_say(function):
    (example,) = doctest.DocTestFinder(recurse=False).find(function, globs={})
    failed, attempted = doctest.DocTestRunner().run(example)
    assert attempted and not failed


@pytest.mark.slow
def test_the_levels_of_a_front_run_between_its_ends():
    front = rfdsm.pareto(MODEL, BOUNDS, "score_error", "memorization_loss", 6, starts=32)
    free = rfdsm.tune(MODEL, BOUNDS, "score_error", starts=32)
    assert front.value[0] == pytest.approx(free.value, rel=1e-8)
    assert front.level[-1] == pytest.approx(1, abs=1e-2)
    assert front.feasible.all() and np.all(np.diff(front.value) > 0)


# Moments


def points_model():
    """A model of correlated points of unequal norm."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 8)) * np.linspace(0.4, 1.5, 8) * rng.uniform(0.7, 1.3, (600, 1))
    data = rfdsm.Samples(rfdsm.standardise(X))
    return rfdsm.RFDSM(psi_n=4, psi_p=2, m=4, t=0.2, lam=1e-2, data=data)


def moments_of(model, width, halves=False):
    there = model.replace(psi_p=width)
    return rfdsm.measure(there, jax.random.key(round(8 * width)), classes=1, halves=halves)


@pytest.fixture(scope="module")
def measured():
    model = points_model()
    return model, [moments_of(model, width) for width in (1.0, 1.5, 2.0, 3.0, 4.0)]


@pytest.mark.slow
def test_moments_at_one_width():
    model = points_model()
    moments = moments_of(model, 2.0)
    free = {"m": (1.0, math.inf), "lam": (1e-4, 10.0)}
    tuned = rfdsm.tune(
        model, free, "test_loss", budget={"samples": 12.0}, starts=8, moments=moments
    )
    assert tuned.numbers["m"] == pytest.approx(3, rel=1e-8)
    assert float(tuned.integer.model.m) == 3
    grid = tuned.numbers["training.lam"] * np.array([0.8, 1.0, 1.25])
    there = [tuned.model.replace(lam=lam).asymptotics(moments=moments) for lam in grid]
    low, best, high = (float(errors.test_loss) for errors in there)
    assert best == pytest.approx(tuned.value, rel=1e-10) and best < min(low, high)
    assert math.isnan(tuned.errors.score_error)


@pytest.mark.slow
def test_a_front_of_moments_takes_few_dear_solves(monkeypatch):
    dear, model = [], points_model()
    moments, evaluate = moments_of(model, 2.0), search.evaluate

    def counted(problem, rows):
        dear.extend(rows if problem.road is not None else [])
        return evaluate(problem, rows)

    monkeypatch.setattr(search, "evaluate", counted)
    free, other = {"m": (1.0, 16.0), "lam": (1e-3, 10.0)}, "memorization_loss"
    front = rfdsm.pareto(model, free, "test_loss", other, 5, starts=8, moments=moments)
    assert front.feasible.all() and np.all(np.diff(front.value) > 0)
    assert len(dear) < 60  # 12 a level; the two ends' searches among them
    limit = rfdsm.at_least(other, float(front.level[2]))
    alone = rfdsm.tune(model, free, "test_loss", limit, starts=8, moments=moments)
    assert front.value[2] == pytest.approx(alone.value, rel=1e-7)
    assert front.slope[2] == pytest.approx(alone.multipliers[limit.label], rel=1e-3)


@pytest.mark.slow
def test_interpolation_between_widths_is_exact_at_them_and_knows_its_error(measured):
    model, moments = measured
    some = roads.widths([moments[0], moments[1], moments[3], moments[4]])
    for training in (rfdsm.Ridge(1e-2), rfdsm.GradientFlow(20.0, 1e-3)):
        there = model.replace(training=training, psi_p=3.0)
        errors = jax.jit(roads.interpolated)(there, some)
        exact = there.asymptotics(moments=moments[3])
        for name in LOSSES:
            assert float(getattr(errors, name)) == pytest.approx(
                float(getattr(exact, name)), rel=1e-9
            )
    between = model.replace(psi_p=2.0)
    guess = jax.jit(roads.interpolated)(between, some).test_loss
    exact = between.asymptotics(moments=moments[2]).test_loss
    bar = roads.interpolation_error(between, some, "test_loss")
    assert abs(float(guess / exact) - 1) < 2 * bar < 0.1


@pytest.mark.slow
def test_a_measured_width_is_tuned_and_verified_on_the_points(measured):
    model, moments = measured
    free = {"psi_p": None, "lam": (1e-4, 10.0)}
    tuned = rfdsm.tune(model, free, "test_loss", starts=16, moments=moments)
    assert 1 <= tuned.numbers["psi_p"] <= 4 and tuned.error_bar < 0.1 * tuned.value
    verification = tuned.verify(jax.random.key(0), trials=16)
    assert verification.stands and verification.d == 8
    seen = verification.optimum
    assert seen.simulated == pytest.approx(
        seen.theory, abs=3 * seen.standard_error + 0.02 * seen.theory
    )


def test_between_widths_losses_are_those_of_infinitely_many_points_too():
    model = points_model()
    some = [moments_of(model, width, halves=True) for width in (1.0, 2.0)]
    everything = model.replace(psi_n=model.data.X.shape[0] / 8, psi_p=2.0)
    found = jax.jit(roads.interpolated)(everything, roads.widths(some))
    exact = everything.asymptotics(moments=some[1])
    for name in LOSSES:
        assert float(getattr(found, name)) == pytest.approx(float(getattr(exact, name)), 1e-9)


# Networks


def test_an_optimum_is_verified_on_networks():
    """The true optimum stands, and a wrong one does not."""
    right = rfdsm.tune(MODEL, RIDGE, "test_loss", starts=8)
    verification = right.verify(jax.random.key(0), d=24, trials=12, factor=10.0)
    assert verification.stands and "stands" in repr(verification)
    assert len(verification.neighbours) == 2 and verification.d == 24
    moved = right.optima[0]._replace(numbers={"training.lam": 1e-4})
    wrong = dataclasses.replace(right, optima=(moved,))
    assert not wrong.verify(jax.random.key(0), d=24, trials=12, factor=500.0).stands
    with pytest.raises(ValueError, match="at least 2 trials"):
        right.verify(jax.random.key(0), d=24, trials=1)
    with pytest.raises(ValueError, match="factor must be above 1"):
        right.verify(jax.random.key(0), d=24, factor=1.0)


@pytest.mark.slow
def test_neighbours_keep_to_the_constraints():
    free = {"m": (1.0, 16.0), "lam": (1e-3, 10.0)}
    tuned = rfdsm.tune(MODEL, free, "test_loss", budget={"samples": 8.0}, starts=8)
    verification = tuned.verify(jax.random.key(0), d=24, trials=12, factor=4.0)
    assert verification.stands
    assert {c.moved for c in verification.neighbours} >= {"m = 1"}
    assert verification.left_out == ("m = 16",)
    assert verification.constraints["samples <= 8"] == (8.0, 0.0)


FIVE = (
    "ridge alone",
    "private and cheap",
    "points or noises",
    "when to stop",
    "private",
)


@pytest.mark.slow
@pytest.mark.parametrize("problem", [p for p in TUNING_BANK if p.name in FIVE], ids=str)
def test_five_problems_stand_on_networks(problem):
    tuned = tuned_of(problem)
    d = None if isinstance(tuned.model.data, rfdsm.Samples) else 32
    assert tuned.verify(jax.random.key(0), d, 16, factor=2.0).stands


# The search itself


def quadratic(H, c, normal, offset):
    """From rows of points to Evaluations of z·H·z/2 + c·z subject to normal·z <= offset."""

    def at(z):
        g = (normal @ z - offset)[None]
        f = z @ H @ z / 2 + c @ z
        return descent.Evaluation(z, f, H @ z + c, g, normal[None, :], max(0.0, g[0]))

    return lambda rows: [at(z) for z in rows]


def test_the_search_solves_quadratic_programs():
    """KKT conditions of a convex program in a box, by random cases."""
    rng = np.random.default_rng(0)
    everything = np.ones(3, bool)
    for _ in range(20):
        A = rng.normal(size=(3, 3))
        H, c, normal = A @ A.T + 0.1 * np.eye(3), rng.normal(size=3), rng.normal(size=3)
        offset = normal @ rng.uniform(size=3) - 0.1  # cuts the box
        ask = quadratic(H, c, normal, offset)
        (start,) = ask(rng.uniform(size=(1, 3)))
        way = descent.slsqp(ask, start, everything, 1.0)
        end = descent.finish(ask, way, everything, 1.0)
        (g,), (multiplier,) = end.at.g, end.multipliers
        assert g <= 1e-10 and multiplier >= 0
        assert abs(g * multiplier) <= 1e-9
        slope = H @ end.at.z + c + multiplier * normal
        np.testing.assert_allclose(np.clip(end.at.z - slope, 0, 1), end.at.z, atol=1e-7)
        np.testing.assert_allclose(end.hessian, H, atol=1e-8)


def test_newton_ends_a_creep_along_a_curved_constraint():
    """On a circle, f = -z0: from a point of it far from the best, where SLSQP has stopped."""

    def ask(rows):
        found = []
        for z in rows:
            out = z - 0.5
            g, dg = np.array([out @ out - 0.16]), 2 * out[None]
            df = np.array([-1.0, 0.0])
            found.append(descent.Evaluation(z, -z[0], df, g, dg, max(0.0, float(g[0]))))
        return found

    (start,) = ask(0.5 + 0.4 * np.array([[np.cos(1.2), np.sin(1.2)]]))
    end = descent.finish(ask, [start], np.ones(2, bool), 1.0)
    np.testing.assert_allclose(end.at.z, [0.9, 0.5], atol=1e-10)
    assert end.at.violation <= 1e-11
    np.testing.assert_allclose(end.hessian, 2.5 * np.eye(2), atol=1e-8)  # λ = 1/0.8, times 2


def test_runs_that_ask_together_are_answered_together():
    """Each gets its own answers, and an error in the middle reaches the caller."""
    rounds = []

    def double(z):
        rounds.append(len(z))
        return [2 * x for x in z]

    def run(ask, count):
        return sum(float(ask(np.full((1, 1), i))[0][0]) for i in range(count))

    runs = [partial(run, count=count) for count in (1, 3, 2)]
    assert descent.side_by_side(double, runs, lambda done: None) == [0.0, 6.0, 2.0]
    assert rounds == [3, 2, 1]

    def broken(z):
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="no answer"):
        descent.side_by_side(broken, runs, lambda done: None)


@pytest.mark.slow
def test_a_start_that_fails_spoils_no_other():
    def objective(model):
        loss = model.asymptotics().test_loss
        return jnp.where(model.psi_p > 4.0, jnp.nan, loss)

    tuned = rfdsm.tune(MODEL, {"psi_p": (0.1, 16.0)}, objective, starts=16)
    solve = jax.jit(jax.vmap(lambda p: MODEL.replace(psi_p=p).solve().errors.test_loss))
    assert tuned.value <= solve(np.geomspace(0.1, 4, 1001)).min() * (1 + 1e-9)
    assert tuned.numbers["psi_p"] <= 4


def test_coordinates_return():
    free = {"psi_n": None, "m": (2.0, 32.0), "process.t": (0.1, 1.0), "lam": None}
    variables = free_variables(MODEL, free)
    numbers = {"psi_n": 3.0, "m": 5.0, "process.t": 0.3, "training.lam": 1e-3}
    z = variables.coordinates(numbers)
    assert variables.numbers(z) == pytest.approx(numbers, rel=1e-12)
    placed = variables.place(MODEL, jnp.asarray(z))
    assert float(placed.m) == pytest.approx(5, rel=1e-12)
    flow = MODEL.replace(training=rfdsm.GradientFlow(1.0, 0.0))
    from_zero = free_variables(flow, {"training.lam": (0.0, 1.0), "m": None})
    assert from_zero.numbers(np.zeros(2)) == {"training.lam": 0.0, "m": math.inf}
    assert from_zero.numbers(np.ones(2)) == {"training.lam": 1.0, "m": 1.0}


# Bad input: one line each


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"free": {}}, "free names no number"),
        ({"free": {"psi_q": None}}, "free has no 'psi_q': this model's numbers are psi_n"),
        ({"free": {"training.tau": None}}, "free has no 'training.tau'"),
        ({"free": {"data.eigenvalues": (0.1, 1)}}, "data.eigenvalues is a list"),
        ({"free": {"lam": None, "training.lam": None}}, "training.lam is free twice"),
        ({"free": {"psi_p": (3, 1)}}, "no number lies between the bounds of psi_p, 3 and 1"),
        ({"free": {"psi_p": (3, 3)}}, "no number lies between"),
        ({"free": {"psi_p": (0.1, math.inf)}}, "the bounds of psi_p must be finite"),
        ({"free": {"psi_p": (math.nan, 1)}}, "no number lies between"),
        ({"free": {"psi_p": 3}}, "must be two numbers"),
        ({"free": {"m": (0.5, 4)}}, "the bound 0.5 of m is refused: m, the number of noises"),
        ({"free": {"lam": (0, 1)}}, "the bound 0 of training.lam is refused"),
        ({"objective": "loss"}, "there is no error 'loss': take one of score_error"),
        ({"objective": 3}, "give the name of an error or a function"),
        ({"objective": lambda model: model.data.weights}, "must return one real number, got"),
        ({"objective": lambda model: 1}, "must return one real number, got"),
        ({"objective": lambda model: float(model.psi_p)}, "is traced: write it with jax.numpy"),
        ({"subject_to": "train_loss"}, "subject_to takes"),
        ({"budget": {"money": 3}}, "the budget has no cost 'money': the named ones are"),
        ({"budget": {"samples": -1}}, "the budget of samples must be positive"),
        ({"budget": 3}, "budget takes"),
        ({"starts": 0}, "starts must be an integer of at least 1"),
        ({"starts": 2.5}, "starts must be an integer of at least 1"),
    ],
)
def test_bad_input(changes, message):
    arguments = {"free": {"psi_p": (0.1, 10)}, "objective": "test_loss"} | changes
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        rfdsm.tune(MODEL, **arguments)
    assert message in str(caught.value)


def test_more_bad_input():
    model = points_model()
    moments = [moments_of(model, width) for width in (1.0, 4.0)]
    one = moments[0]
    with pytest.raises(ValueError, match="the bound of train_loss must be finite"):
        rfdsm.at_most("train_loss", math.nan)
    with pytest.raises(TypeError, match="optimizer must be an optax transformation"):
        rfdsm.tune(MODEL, ["psi_p"], optimizer=3)
    with pytest.raises(ValueError, match=r"training\.steps is an integer"):
        descent = rfdsm.GradientDescent(10, 0.01)
        rfdsm.tune(MODEL.replace(training=descent), {"training.steps": (1, 10)})
    with pytest.raises(ValueError, match="tune needs a concrete model"):
        jax.jit(lambda model: rfdsm.tune(model, ["psi_p"]).value)(MODEL)
    for free, objective, chosen, message in (
        (["lam"], "score_error", one, "score_error is not known with measured moments"),
        (
            ["psi_p"],
            "test_loss",
            one,
            "psi_p belongs.*several widths",
        ),
        (["t"], "test_loss", moments, "process.t belongs to the measurement"),
        ({"psi_p": (0.1, 3)}, "test_loss", moments, "leaves the measured widths, 1 to 4"),
        ({"psi_n": (1, 1e4)}, "test_loss", one, "the bound 10000 of psi_n is refused"),
        (["lam"], "test_loss", moments[:1], "at least two"),
        (["lam"], rfdsm.over_times((0.1, 0.2)), one, "over_times needs other times"),
    ):
        with pytest.raises(ValueError, match=message):
            rfdsm.tune(model.replace(psi_p=1.0), free, objective, moments=chosen)
    for arguments, message in (
        (([0.2, 0.1],), "must increase"),
        (([0.1, -0.2],), "must be positive"),
        (([0.1, 0.2], [1.0]), "one weight per time"),
        (([0.1, 0.2], None, "loss"), "there is no error"),
    ):
        with pytest.raises(ValueError, match=message):
            rfdsm.over_times(*arguments)


def test_no_feasible_point():
    constraint = rfdsm.at_most("test_loss", 0.1)
    with pytest.raises(rfdsm.Infeasible) as caught:
        rfdsm.tune(MODEL, RIDGE, "train_loss", constraint, starts=4)
    best = rfdsm.tune(MODEL, RIDGE, "test_loss", starts=8)
    message = str(caught.value)
    assert "test_loss <= 0.1 cannot be reached" in message and "\n" not in message
    assert f"closest was {best.value:.5g}" in message


@pytest.mark.slow
def test_no_point_that_can_be_solved():
    with pytest.raises(ValueError, match="not finite at any of the 4 starts"):
        rfdsm.tune(MODEL, ["lam"], lambda model: model.psi_p * jnp.nan, starts=4)
