"""Filters as nodes and weights against the filters themselves; their domains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm._numerics import contour
from rfdsm._numerics.promotion import mixed
from rfdsm.ingredients.filters import points_for

RATE = 0.3  # κ
X = np.concatenate([[0.0], np.geomspace(1e-9, 3.0, 60)])  # eigenvalues, within any reach below


def both_halves(total):
    return 2 * total.real if np.iscomplexobj(total) else total


def at(nodes, weights, x):
    return both_halves(np.asarray(weights) @ (1 / (x + np.asarray(nodes.resolvents)[:, None])))


def assert_nodes_are_the_filter(rule, nodes, phi, tolerance):
    """φ, and xφ² - 2φ of the train loss, in units in which xφ is O(1)."""
    np.testing.assert_allclose(X * at(nodes, nodes.weights, X), X * phi, atol=tolerance)
    loss = X * phi**2 - 2 * phi + rule.lam * phi**2
    np.testing.assert_allclose(X * at(nodes, nodes.loss_weights, X), X * loss, atol=tolerance)
    np.testing.assert_allclose(both_halves(np.sum(nodes.loss_weights)), -1, atol=tolerance)
    assert float(nodes.error) < tolerance


@pytest.mark.parametrize("lam", [0.0, 1e-4, 1.0])
@pytest.mark.parametrize("tau", [1e-3, 1.0, 1e3, 1e8])
def test_nodes_of_gradient_flow(tau, lam):
    rule = rfdsm.GradientFlow(tau, lam)
    phi = np.asarray(rule.filter(X, RATE))
    exponent = RATE * tau * (X + lam)
    expected = np.where(exponent > 0, -np.expm1(-exponent) / np.maximum(X + lam, 1e-300), 0)
    expected[exponent == 0] = RATE * tau
    np.testing.assert_allclose(phi, expected, rtol=1e-12)
    assert_nodes_are_the_filter(rule, rule.nodes(RATE), phi, 3e-11)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
@pytest.mark.parametrize("steps", [1, 2, 7, 8, 9, 19, 20, 31, 1000, 100_000])
def test_nodes_of_gradient_descent(steps, share):
    """From the smallest rates to the largest stable one at λ_max = 3.05, λ = 0.01."""
    rule = rfdsm.GradientDescent(steps, share * 2 / (RATE * 3.06), 0.01)
    phi = np.asarray(rule.filter(X, RATE))
    v = 1 - RATE * float(rule.learning_rate) * (X + 0.01)
    np.testing.assert_allclose((1 - v**steps) / (X + 0.01), phi, rtol=1e-9)
    # λ is subtracted and added again: z + λ carries its rounding, which steps repeat.
    assert_nodes_are_the_filter(rule, rule.nodes(RATE), phi, 1e-11 + 1e-15 * steps)


@pytest.mark.parametrize("lam", [0.0, 0.5])
def test_the_contour_of_gradient_descent_at_any_number_of_steps(lam):
    """All above the axis, each branch on its own side of v = 0."""

    @mixed
    def at(steps):
        rule = rfdsm.GradientDescent(steps, 0.9 * 2 / (RATE * 3.5), lam)
        nodes = rule.nodes(RATE)
        v = 1 - RATE * rule.learning_rate * (lam - nodes.resolvents)
        return nodes.resolvents, v, nodes.error

    steps = np.array([*range(1, 201), 500, 1000, 10_000, 10**6], float)
    resolvents, v, error = jax.jit(jax.vmap(at))(jnp.asarray(steps))
    assert (resolvents.imag > 0).all()
    assert (error < 3e-14 * np.maximum(1, steps / 20)).all()
    assert (v.real[:, :20] > 0).all() and (v.real[:, 20:] < 0).all()


def test_derivatives_of_filters_where_nothing_has_started():
    """In λ at an eigenvalue of 0 and λ = 0, from the series in κη λ and κτ λ."""
    scale, zero = RATE * 0.2, jnp.zeros(())
    for differentiate in (jax.jacfwd, jax.jacrev):
        slope = differentiate(lambda lam: rfdsm.GradientDescent(5, 0.2, lam).filter(zero, RATE))
        assert float(slope(0.0)) == pytest.approx(-10 * scale**2)
        slope = differentiate(lambda lam: rfdsm.GradientFlow(2.0, lam).filter(zero, RATE))
        assert float(slope(0.0)) == pytest.approx(-((2 * RATE) ** 2) / 2)


@pytest.mark.parametrize("lam", [0.0, 1e-9, 1e-6])
def test_second_derivatives_of_filters_where_nothing_has_started(lam):
    """Guarded quotients lost them at 0 (it was 0 there) and their digits nearby."""
    scale, zero = RATE * 0.2, jnp.zeros(())

    def bend(rule):
        return float(jax.jit(jax.hessian(lambda lam: rule(lam).filter(zero, RATE)))(lam))

    # (1 - v^5)/(1 - v) = 5 - 10 s + 10 s² - ..., s = κη λ
    descent = bend(lambda lam: rfdsm.GradientDescent(5, 0.2, lam))
    assert descent == pytest.approx(20 * scale**3, rel=1e-5)
    flow = bend(lambda lam: rfdsm.GradientFlow(2.0, lam))
    assert flow == pytest.approx((2 * RATE) ** 3 / 3, rel=1e-5)


def test_derivatives_of_the_nodes_before_anything_has_decayed():
    """Their contour goes out to 1/κτ, which took all digits of the second derivative."""
    x, times = jnp.array([0.0, 0.3, 1.0, 7.0]), jnp.array([0.0, 1e-9, 1e-4, 3e-3])

    @mixed
    def by_nodes(tau, rate):
        nodes = rfdsm.GradientFlow(tau, 0.01).nodes(rate)
        resolvents = 1 / (x[:, None] + nodes.resolvents[None])
        return jnp.stack(
            [2 * (resolvents @ c).real for c in (nodes.weights, nodes.loss_weights)]
        )

    def exactly(tau, rate):  # xφ² - 2φ + λφ² is minus φ at twice the time
        return jnp.stack(
            [
                s * rfdsm.GradientFlow(k * tau, 0.01).filter(x, rate)
                for k, s in ((1, 1), (2, -1))
            ]
        )

    def derivatives(f):
        both = [f, jax.jacfwd(f), jax.jacrev(f), jax.hessian(f)]
        return jax.jit(jax.vmap(lambda *at: [g(*at) for g in both]))(*grid)

    grid = [jnp.concatenate([times, times]), jnp.repeat(jnp.array([0.02, 2.0]), 4)]
    pairs = zip(
        (1e-10, 1e-7, 1e-7, 1e-3), derivatives(by_nodes), derivatives(exactly), strict=True
    )
    for close, found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=close)


def test_gradient_descent_at_small_rates_is_flow():
    flow, descent = rfdsm.GradientFlow(30.0, 0.1), rfdsm.GradientDescent(10**6, 3e-5, 0.1)
    np.testing.assert_allclose(descent.filter(X, RATE), flow.filter(X, RATE), rtol=1e-4)


@pytest.mark.parametrize("decades", [1, 3, 6, 11])
def test_one_contour_serves_all_times_of_a_window(decades):
    taus = np.geomspace(1e-3, 10.0 ** (decades - 3), 7)
    count = points_for(taus, contour.DIGITS)
    nodes = rfdsm.GradientFlow(1.0, 1e-3).nodes(RATE, jnp.asarray(taus), count)
    expected = np.stack([rfdsm.GradientFlow(tau, 1e-3).filter(X, RATE) for tau in taus])
    np.testing.assert_allclose(X * at(nodes, nodes.weights, X), X * expected, atol=2e-10)
    assert nodes.error.shape == (7,) and float(nodes.error.max()) < 2e-10
    # and its rate is what it says
    few = rfdsm.GradientFlow(1.0).nodes(RATE, jnp.asarray(taus), count // 2)
    assert float(few.error.max()) > 1e-9 or decades == 1


@pytest.mark.parametrize("later", [1.0, 2.0, 30.0, 1e6])
def test_more_points_than_a_window_needs_do_no_harm(later):
    """As traced times take: a contour that grew with them lost all to rounding."""
    nodes = rfdsm.GradientFlow(1.0, 1e-3).nodes(RATE, jnp.asarray([1.0, later]), 256)
    assert float(nodes.error.max()) < 1e-12


def test_the_count_of_points_follows_the_window():
    assert points_for(np.array([3.0]), 24) == 20
    assert points_for(np.array([3.0, 3.0]), 24) == 20
    few, many = (points_for(np.array([1.0, last]), 24) for last in (10.0, 1e8))
    assert few < many < contour.COUNTS[-1]
    assert points_for(np.array([0.0, 1.0]), 24) == contour.COUNTS[-1]  # from no time on
    assert points_for(np.array([1e-190, 1e190]), 24) == contour.COUNTS[-1]


@pytest.mark.parametrize(
    "build, words",
    [
        (lambda: rfdsm.GradientFlow(-1.0), "tau must be finite and not negative"),
        (lambda: rfdsm.GradientFlow(np.inf), "take Ridge"),
        (lambda: rfdsm.GradientFlow(np.nan), "tau"),
        (lambda: rfdsm.GradientFlow(1.0, -1e-3), "lam must be finite and not negative"),
        (lambda: rfdsm.GradientDescent(0, 0.1), "integer of at least 1, got 0"),
        (lambda: rfdsm.GradientDescent(2.5, 0.1), "integer of at least 1, got 2.5"),
        (lambda: rfdsm.GradientDescent(3, 0.0), "learning_rate must be positive"),
        (lambda: rfdsm.GradientDescent(3, 0.1, np.nan), "lam"),
    ],
)
def test_bad_numbers_are_one_line(build, words):
    with pytest.raises(ValueError, match=words) as raised:
        build()
    assert "\n" not in str(raised.value)


def test_rules_as_json():
    for rule in (rfdsm.GradientFlow(3.0, 0.1), rfdsm.GradientDescent(7, 0.2)):
        model = rfdsm.RFDSM(psi_n=2, psi_p=3, m=4, t=0.2, training=rule)
        again = rfdsm.RFDSM.from_dict(model.to_dict())
        assert type(again.training) is type(rule)
        assert again.replace(lam=0.5).training.lam == 0.5
    assert again.training.steps == 7


@pytest.mark.parametrize(
    "rule", [rfdsm.GradientFlow(3.0, 1e-2), rfdsm.GradientDescent(9, 0.3, 1e-2)]
)
def test_another_unit_of_time_is_another_rate(rule):
    """In units twice as long the same training takes half the number; a ridge knows no time."""
    np.testing.assert_allclose(rule.in_units(2.0).filter(X, 2 * RATE), rule.filter(X, RATE))
    assert not np.allclose(rule.in_units(2.0).filter(X, RATE), rule.filter(X, RATE))
    assert rfdsm.Ridge(0.1).in_units(2.0) == rfdsm.Ridge(0.1)


def test_a_rule_says_what_it_costs_by_its_nodes():
    rules = rfdsm.Ridge(0.1), rfdsm.GradientFlow(3.0), rfdsm.GradientDescent(9, 0.3)
    assert [rule.systems for rule in rules] == [len(r.nodes(RATE).resolvents) for r in rules]
    assert rules[0].systems == 1 and rules[1].systems > 1
    assert [rule.flops(3.0) for rule in rules] == pytest.approx([9, 243, 243])
