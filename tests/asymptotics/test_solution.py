"""The solver: random points, an independent high-precision program, tabulated values."""

import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import oracle
import pytest
from values import VALUES

import rfdsm
from rfdsm._numerics.absent import ABSENT
from rfdsm.asymptotics.averaged import AveragedEquations
from rfdsm.asymptotics.equivalent import solve_unknowns
from rfdsm.ingredients.processes import Noising
from rfdsm.ingredients.targets import Denoising

FIELDS = ("score_error", "test_loss", "train_loss", "memorization_loss", "bias2", "variance")
ACTIVATIONS = {
    "tanh": rfdsm.Tanh, "erf": rfdsm.Erf, "relu": rfdsm.ReLU, "silu": rfdsm.SiLU,
    "cos": rfdsm.Cos,
}  # fmt: skip
MODERATE = dict(psi=(0.01, 100), lam=(1e-8, 10), t=(1e-3, 3))
HARD = dict(psi=(1e-3, 1e3), lam=(1e-12, 1e3), t=(1e-4, 10))


def points(box, count, atoms, seed, at_peak=False):
    """Random (psi_n, psi_p, 1/m, lam, t, eigenvalues, weights), log-uniform in the box."""
    rng = np.random.default_rng(seed)

    def log_uniform(low, high):
        return np.exp(rng.uniform(math.log(low), math.log(high), count))

    psi_n, psi_p = log_uniform(*box["psi"]), log_uniform(*box["psi"])
    lam, t = log_uniform(*box["lam"]), log_uniform(*box["t"])
    kind = rng.random(count)
    u = np.where(kind < 0.2, 1.0, np.where(kind < 0.4, 0.0, 1 / log_uniform(1, 1e4)))
    if at_peak:
        u = 1 / log_uniform(1, 30)
        psi_p, lam = psi_n / u, np.full(count, 1e-12)
    sigma = np.exp(rng.normal(size=(count, atoms))) * (rng.random((count, atoms)) > 0.2)
    weights = rng.dirichlet(np.ones(atoms), count)
    sigma = np.ones((count, 1)) if atoms == 1 else sigma
    sigma /= np.maximum(np.sum(sigma * weights, axis=1, keepdims=True), 1e-2)
    return psi_n, psi_p, u, lam, t, sigma, weights


@jax.jit
@jax.vmap
def solve(psi_n, psi_p, u, lam, t, sigma, weights):
    return rfdsm.RFDSM(
        psi_n=psi_n, psi_p=psi_p, m=2.0, lam=lam, t=t, data=rfdsm.Gaussian(sigma, weights)
    ).solve(inverse_m=u)


def successes(solution):
    return np.asarray(solution.status == rfdsm.Status.success)


@pytest.mark.parametrize("atoms", [1, 3])
def test_every_moderate_point_converges(atoms):
    solution = solve(*points(MODERATE, 50_000, atoms, seed=atoms))
    assert successes(solution).all()
    assert float(jnp.max(solution.residual)) < 1e-12
    steps = AveragedEquations.fixed_steps
    assert int(jnp.max(solution.steps)) <= (steps if atoms == 1 else steps + 2)
    for name in FIELDS:
        values = np.asarray(getattr(solution.errors, name))
        assert np.all(np.isfinite(values)) and np.all(values > -1e-8), name


@pytest.mark.parametrize("atoms", [1, 3])
def test_the_hard_box_converges_or_says_so(atoms):
    solution = solve(*points(HARD, 100_000, atoms, seed=10 + atoms))
    ok = successes(solution)
    assert ok.mean() >= 0.9999
    for leaf in jax.tree.leaves(solution.errors):
        np.testing.assert_array_equal(np.isfinite(leaf), ok)


def test_nearly_linear_features_converge():
    """v² and s² down to 1e-14, b = 0, where Newton alone would cycle."""
    count, rng = 100_000, np.random.default_rng(5)
    psi_n, psi_p, u, lam, t, sigma, weights = points(HARD, count, 2, seed=6)
    a2, h = np.exp(-2 * t), -np.expm1(-2 * t)
    b2 = np.where(rng.random(count) < 0.05, 0, np.exp(rng.uniform(-9, 0, count)))
    nonlinear = np.exp(rng.uniform(math.log(1e-14), 0, count))

    def mismatch(features, lam, u):
        unknowns, _ = solve_unknowns(features, lam, u)
        return features.mismatch(features.state(unknowns, lam, u))

    features = AveragedEquations(
        psi_n, psi_p, b2 * a2, b2 * h, nonlinear * a2**2, nonlinear * -np.expm1(-4 * t),
        sigma, weights, Denoising(Noising(np.sqrt(a2), h), ABSENT, -np.ones(count), h),
    )  # fmt: skip
    features = jax.tree.map(jnp.asarray, features)
    assert float(jnp.max(jax.jit(jax.vmap(mismatch))(features, lam, u))) < 1e-12


def compare_with_oracle(box, count, atoms, seed, tolerance, at_peak=False):
    """Worst deviation of the six errors in units of tolerance·max(|value|, scale)."""
    data = points(box, count, atoms, seed, at_peak)
    solution = solve(*data)
    assert successes(solution).all()
    worst = {name: 0.0 for name in FIELDS}
    for k, (psi_n, psi_p, u, lam, t, sigma, weights) in enumerate(zip(*data, strict=True)):
        weights = weights / weights.sum()
        a, h = oracle.ornstein_uhlenbeck(t)
        sigma_x2 = mp.fdot(map(mp.mpf, sigma), map(mp.mpf, weights))
        c = oracle.constants("tanh", a, h, sigma_x2, dps=30)
        m = mp.inf if u == 0 else 1 / mp.mpf(u)
        exact = oracle.solve(psi_n, psi_p, m, lam, a, h, *c[1:], sigma, weights)
        power = float(mp.fsum(w / (a**2 * s + h) for s, w in zip(sigma, weights, strict=True)))
        for name in FIELDS:
            value = float(getattr(exact, name))
            scale = 1.0 if name.endswith("loss") else power
            got = float(getattr(solution.errors, name)[k])
            deviation = abs(got - value) / (tolerance * max(abs(value), scale))
            worst[name] = max(worst[name], deviation)
    return worst


def test_high_precision_at_hard_points():
    # One atom: Γ = 1 at every t. Three atoms: Γ moves, so fewer (the oracle takes its time).
    for count, atoms in ((260, 1), (40, 3)):
        worst = compare_with_oracle(HARD, count, atoms, seed=20 + atoms, tolerance=1e-8)
        assert max(worst.values()) <= 1, worst


def test_high_precision_at_the_interpolation_peak():
    worst = compare_with_oracle(HARD, 50, 1, seed=30, tolerance=1e-7, at_peak=True)
    assert max(worst.values()) <= 1, worst


@pytest.mark.parametrize("row", VALUES["ridge"], ids=lambda r: f"{r['activation']}-m{r['m']}")
def test_tabulated_values(row):
    model = rfdsm.RFDSM(
        psi_n=row["psi_n"], psi_p=row["psi_p"], m=float(row["m"]), t=row["t"], lam=row["lam"],
        activation=ACTIVATIONS[row["activation"]](),
        data=rfdsm.Gaussian(row["eigenvalues"], row["weights"]),
    )  # fmt: skip
    errors = model.asymptotics()
    for name in FIELDS:
        assert float(getattr(errors, name)) == pytest.approx(row[name], rel=1e-9), name


def test_a_failed_row_is_no_success_and_spoils_no_other():
    data = list(points(MODERATE, 8, 1, seed=40))
    good = solve(*data)
    bad_lam, bad_psi = data[3].copy(), data[0].copy()
    bad_lam[[1, 2]] = -1e-3, np.nan
    bad_psi[5] = 0.0
    mixed = solve(bad_psi, *data[1:3], bad_lam, *data[4:])
    bad = np.isin(np.arange(8), (1, 2, 5))
    np.testing.assert_array_equal(successes(mixed), ~bad)
    assert bool(jnp.all((mixed.status == rfdsm.Status.invalid_input) == bad))
    for one, two in zip(
        jax.tree.leaves(mixed.errors), jax.tree.leaves(good.errors), strict=True
    ):
        assert np.isnan(one[bad]).all()
        np.testing.assert_array_equal(one[~bad], two[~bad])


def test_out_of_reach_is_not_converged():
    """lam = 1e-300 at the peak: whatever comes out is not called a solution."""
    model = rfdsm.RFDSM(2.0, 4.0, 2.0, t=0.1, lam=1e-300)
    solution = model.solve()
    if solution.status == rfdsm.Status.success:
        assert float(solution.residual) < 1e-12 and np.isfinite(float(solution.errors.bias2))
    else:
        with pytest.raises(rfdsm.NotConverged, match="lam"):
            model.asymptotics()


@pytest.mark.slow
def test_resolvent_of_two_points_by_divided_differences():
    """K_I(λ1, λ2) = (K(λ1) - K(λ2))/(λ2 - λ1), and all K_C are symmetric in the points."""
    from rfdsm.asymptotics.two_point import two_point

    @jax.jit
    def of_pair(psi_n, psi_p, b2a2, b2h, v2, s2, u, lam1, lam2):
        features = AveragedEquations(
            psi_n,
            psi_p,
            b2a2,
            b2h,
            v2,
            s2,
            jnp.array([0.0, 0.5, 2.0]),
            jnp.array([0.2, 0.5, 0.3]),
            rfdsm.ScoreTarget().denoising(rfdsm.OrnsteinUhlenbeck(1.0)),
        )
        one, two = (
            features.state(solve_unknowns(features, lam, u)[0], lam, u) for lam in (lam1, lam2)
        )
        forth = two_point(features, one, two, features.sources(one, two))
        back = two_point(features, two, one, features.sources(two, one))
        return forth, back, (two.penalised_loss - one.penalised_loss) / (lam2 - lam1)

    rng = np.random.default_rng(7)
    for _ in range(20):
        numbers = np.exp(rng.uniform(-2, 2, 6))
        u, lams = rng.random(), np.exp(rng.uniform(-6, 1, 2))
        forth, back, divided = of_pair(*numbers, u, *lams)
        np.testing.assert_allclose(forth, back, rtol=1e-10)
        np.testing.assert_allclose(forth[2], divided, rtol=1e-8)
