"""docs/theory.md section 8: what must come out exactly, held against formulas of its own."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm.asymptotics.averaged import AveragedEquations
from rfdsm.asymptotics.equivalent import solve_unknowns
from rfdsm.asymptotics.two_point import two_point

TWO_ATOMS = rfdsm.Gaussian((1.9, 0.1))


def model(**changes):
    base = dict(psi_n=3.0, psi_p=2.0, m=2.0, t=0.2, lam=1e-2)
    return rfdsm.RFDSM(**(base | changes))


def population(problem):
    a, h = problem.process.scales()
    law = problem.data.law()
    sigma_x2 = jnp.sum(law.weights * law.eigenvalues)
    c = problem.activation.constants(a**2 * sigma_x2, h)
    return AveragedEquations(
        problem.psi_n, problem.psi_p, c.b**2 * a**2, c.b**2 * h, c.v2, c.s2,
        law.eigenvalues, law.weights, problem.denoising,
    )  # fmt: skip


def state(problem):
    features = population(problem)
    lam, u = problem.training.lam, 1 / problem.m
    return features, features.state(solve_unknowns(features, lam, u)[0], lam, u)


@pytest.mark.parametrize("psi_p", [1.0, 6.0])
@pytest.mark.parametrize("data", [rfdsm.Gaussian(), TWO_ATOMS])
def test_one_noise_per_point_obeys_leave_one_out(psi_p, data):
    """At m = 1 all N = n pairs are independent: residuals in training are i0 of fresh ones."""
    problem = model(m=1, psi_p=psi_p, data=data)
    _, solved = state(problem)
    errors = problem.asymptotics()
    np.testing.assert_allclose(errors.train_loss, errors.test_loss * solved.i0**2, rtol=1e-10)


@pytest.mark.parametrize("psi_p", [1.0, 6.0])
def test_infinitely_many_noises_leave_no_fresh_ones(psi_p):
    problem = model(m=jnp.inf, psi_p=psi_p, data=TWO_ATOMS)
    errors = problem.asymptotics()
    np.testing.assert_allclose(errors.train_loss, errors.memorization_loss, rtol=1e-10)
    near = model(m=1e7, psi_p=psi_p, data=TWO_ATOMS).asymptotics()
    for exact, close in zip(jax.tree.leaves(errors), jax.tree.leaves(near), strict=True):
        np.testing.assert_allclose(exact, close, rtol=1e-5)


@pytest.mark.parametrize("m", [1.0, 3.0, jnp.inf])
def test_infinitely_much_data_is_the_population_risk(m):
    """U becomes its mean over data: Marchenko-Pastur in W alone, whatever m is."""
    problem = model(psi_n=1e10, m=m)
    errors = problem.asymptotics()
    a, h = problem.process.scales()
    c = problem.activation.constants(a**2, h)
    psi_p = 2.0

    def G(lam):  # K = G; (x + Y D) q = 1 with D = 1/(1 + ψ_p q Y), a quadratic
        x, Y = lam + c.v2 + c.s2, c.b**2
        middle = x + Y - psi_p * Y
        q = (-middle + jnp.sqrt(middle**2 + 4 * psi_p * Y * x)) / (2 * psi_p * Y * x)
        return c.b**2 * h * psi_p * q / (1 + psi_p * q * Y)

    lam = 1e-2
    plain = 1 - G(lam) + lam * jax.grad(G)(lam)
    for name in ("test_loss", "train_loss", "memorization_loss"):
        np.testing.assert_allclose(getattr(errors, name), plain, rtol=1e-7)


@pytest.mark.parametrize("lam_per_psi_p", [0.0, 0.3])
def test_infinitely_many_features_are_kernel_regression(lam_per_psi_p):
    """At m = 1 that is linear ridge regression of z on y with a ridge μ in closed form."""
    psi_n, psi_p, t = 3.0, 1e9, 0.2
    lam = lam_per_psi_p * psi_p if lam_per_psi_p else 1.0
    problem = model(psi_n=psi_n, psi_p=psi_p, m=1, t=t, lam=lam)
    a, h = problem.process.scales()
    c = problem.activation.constants(a**2, h)
    mu = float((c.v2 + c.s2 + lam_per_psi_p * psi_n) / (c.b**2 * psi_n))
    gamma = 1 / psi_n
    # κ (1 - γ/(1+κ)) = μ
    half = (mu + gamma - 1) / 2
    kappa = half + math.sqrt(half**2 + mu)
    shrink = kappa / (1 + kappa)
    expected = (1 - h + h * shrink**2) / (1 - gamma / (1 + kappa) ** 2)
    np.testing.assert_allclose(problem.asymptotics().test_loss, expected, rtol=1e-6)


@pytest.mark.parametrize("psi_p", [3.0, 12.0])  # both sides of p = N
def test_ridgeless_limit_exists_off_the_peak(psi_p):
    errors = [model(psi_p=psi_p, lam=lam).asymptotics() for lam in (1e-9, 1e-11)]
    for one, two in zip(*map(jax.tree.leaves, errors), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    if psi_p > 6:  # more features than pairs: they are fitted exactly
        assert float(errors[1].train_loss) < 1e-12


def test_interpolation_peak_diverges_as_one_over_the_root_of_the_ridge():
    peak = [float(model(psi_p=6.0, lam=lam).asymptotics().test_loss) for lam in (1e-8, 1e-10)]
    assert peak[1] / peak[0] == pytest.approx(10, rel=0.02)
    grid = jnp.geomspace(0.5, 60, 400)
    at = jax.jit(jax.vmap(lambda x: model(psi_p=x, lam=1e-6).solve().errors.test_loss))(grid)
    assert float(grid[jnp.argmax(at)]) == pytest.approx(6.0, rel=0.03)


def test_no_peak_at_infinite_m_and_a_smooth_crossover():
    grid = jnp.geomspace(0.3, 300, 400)
    curve = jax.jit(jax.vmap(lambda x: model(psi_p=x, m=jnp.inf, lam=1e-8).solve().errors))(
        grid
    )
    # falls to its best width, then rises to the memorising network's loss: no peak between
    turns = np.diff(np.sign(np.diff(np.asarray(curve.test_loss))))
    assert np.count_nonzero(turns) == 1 and float(jnp.max(curve.test_loss)) < 2
    # memorisation sets in for p of order n, without a kink in the second difference
    assert float(curve.memorization_loss[0]) > 0.9
    assert float(curve.memorization_loss[-1]) < 0.1
    bend = jnp.diff(curve.memorization_loss, 2)
    assert float(jnp.max(jnp.abs(jnp.diff(bend)))) < 0.2 * float(jnp.max(jnp.abs(bend)))


def test_bounded_bump_at_as_many_pairs_as_dimensions():
    """Nearly linear features interpolate at N = d; what is not linear bounds the bump."""
    nearly_linear = rfdsm.Polynomial((0.0, 1.0, 1e-2))
    grid = jnp.geomspace(0.05, 4, 300)
    losses = jax.jit(
        jax.vmap(
            lambda x: (
                model(psi_n=x, psi_p=50.0, lam=1e-6, activation=nearly_linear)
                .solve()
                .errors.test_loss
            )
        )
    )(grid)
    top = int(jnp.argmax(losses))
    assert 0 < top < 299
    assert 2 * float(grid[top]) == pytest.approx(1.0, rel=0.1)  # m = 2
    assert 2 < float(losses[top]) < 1e3


def test_zero_eigenvalues_are_the_limit_of_small_ones():
    law = ((2.0, 0.0), (0.25, 0.75))
    near = ((2.0, 1e-9), (0.25, 0.75))
    exact, close = (model(data=rfdsm.Gaussian(*x)).asymptotics() for x in (law, near))
    for one, two in zip(jax.tree.leaves(exact), jax.tree.leaves(close), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


@pytest.mark.parametrize("m", [1.0, 4.0, jnp.inf])
def test_even_features_learn_nothing_linear(m):
    problem = model(m=m, activation=rfdsm.Cos(), data=TWO_ATOMS)
    a, h = problem.process.scales()
    power = np.mean(1 / (a**2 * np.array([1.9, 0.1]) + h))
    np.testing.assert_allclose(problem.asymptotics().bias2, power, rtol=1e-12)


def test_strong_ridge_learns_nothing():
    errors = model(lam=1e9).asymptotics()
    for name in ("test_loss", "train_loss", "memorization_loss", "score_error"):
        assert float(getattr(errors, name)) == pytest.approx(1, abs=1e-7)


# Section 9: published formulas that are wrong or easily misread.


def test_penalised_loss_is_the_penalised_loss_and_not_the_train_loss():
    problem = model(psi_n=3.0, psi_p=6.0, m=3.0, data=TWO_ATOMS)
    features, _ = state(problem)
    lam = problem.training.lam

    def penalised_loss(lam):
        u = 1 / problem.m
        return features.state(solve_unknowns(features, lam, u)[0], lam, u).penalised_loss

    train_loss = problem.asymptotics().train_loss
    # The penalty is λ times the slope of the minimum in λ: an envelope, no two-point function.
    np.testing.assert_allclose(
        train_loss, penalised_loss(lam) - lam * jax.grad(penalised_loss)(lam), rtol=1e-9
    )
    assert float(train_loss) < 0.8 * float(penalised_loss(lam))


def test_fresh_data_deform_by_the_noised_covariance_and_not_by_the_identity():
    problem = model(psi_n=3.0, psi_p=6.0, m=3.0, t=0.2, lam=0.01, data=TWO_ATOMS)
    features, solved = state(problem)
    right, _, _ = features.sources(solved, solved)
    b2 = right.noise / problem.process.scales()[1]
    printed = rfdsm.asymptotics.averaged.Source(
        right.features, jnp.zeros_like(b2), b2, right.mean, right.cross
    )
    aligned = 1 - 2 * solved.alignment
    losses = [float(aligned + K) for K in two_point(features, solved, solved, (printed, right))]
    assert losses[0] == pytest.approx(1.3367, abs=5e-5)
    assert losses[1] == pytest.approx(0.74998, abs=5e-6)
    assert losses[1] == pytest.approx(float(problem.asymptotics().test_loss), rel=1e-12)
