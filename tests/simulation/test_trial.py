"""The simulator against naive sums over the same draws, and against exact integrals."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import rfdsm
from rfdsm import simulation
from rfdsm.simulation import (
    blocks,
    evaluate,
    gram,
    mehler,
    network as networks,
    trial as road,
)
from rfdsm.simulation.features import NetworkFeatures
from rfdsm.simulation.read_out import trained

A, H = math.exp(-0.2), -math.expm1(-0.4)
a, h = jnp.asarray(A), jnp.asarray(H)
SCORE = rfdsm.ScoreTarget().denoising(rfdsm.OrnsteinUhlenbeck(0.2))  # fitted to τ = -z


@pytest.fixture
def model():
    return rfdsm.RFDSM(psi_n=2.0, psi_p=1.5, m=2, t=0.2, lam=1e-2)


def draws(n, p, d, seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    W = jax.random.normal(keys[0], (p, d))
    return keys[2], W, jax.random.normal(keys[1], (n, d))


def averaged(activation, W, x):
    """U and V of infinitely many noises."""
    key, features = jax.random.key(0), NetworkFeatures(activation, W)
    return gram.normal_equations(key, features, x, math.inf, SCORE)


def lower(matrix):
    return np.tril(np.asarray(matrix))


def blocked_pairs(key, x, m, block):
    """All pairs (y, z) by NumPy from the noises that the stream draws block by block."""
    pairs, d = len(x) * m, x.shape[1]
    starts = range(0, pairs, block)
    z = np.concatenate(
        [
            jax.random.normal(jax.random.fold_in(key, start), (min(block, pairs - start), d))
            for start in starts
        ]
    )
    return A * np.tile(x, (m, 1)) + math.sqrt(H) * z, z


@pytest.mark.parametrize("m, block", [(1, 4096), (6, 4096), (6, 25), (5, 10), (1, 3), (2, 7)])
def test_stream_is_the_sum_over_all_pairs(m, block, monkeypatch):
    """Blocks of several noises, of one, and of some of the points, with and without a rest."""
    monkeypatch.setattr(gram, "BLOCK_ROWS", block)
    key, W, x = draws(n=10, p=7, d=5)
    got = gram.streamed(key, NetworkFeatures(jnp.tanh, W), x, m, SCORE)
    y, z = blocked_pairs(key, x, m, block)
    f = np.tanh(y @ np.asarray(W).T / math.sqrt(5))
    np.testing.assert_allclose(lower(got.U), lower(f.T @ f / len(f)), rtol=1e-12)
    np.testing.assert_allclose(got.V, -f.T @ z / len(f), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(got.null, np.mean(z * z))


def test_scores_do_not_depend_on_blocks(monkeypatch):
    key, W, y = draws(n=10, p=7, d=5)
    B = jax.random.normal(key, (5, 7))
    expected = np.tanh(np.asarray(y @ W.T) / math.sqrt(5)) @ np.asarray(B).T
    for block in (4, 5, 100):
        monkeypatch.setattr(networks, "BLOCK_ROWS", block)
        network = rfdsm.Network(NetworkFeatures(jnp.tanh, W), B, SCORE)
        np.testing.assert_allclose(network(y), expected, rtol=1e-12)
        np.testing.assert_allclose(network(y[0]), expected[0], rtol=1e-12)


@pytest.mark.parametrize("lam", [1e-6, 1e-2, 1.0])
def test_both_forms_of_the_fit_minimise_the_loss(lam):
    """Primal and dual against NumPy's solve and brute-force losses, on the same pairs."""
    n, m, p, d = 6, 2, 9, 4
    key, W, x = draws(n, p, d)
    y, z = blocked_pairs(key, x, m, n * m)
    f = np.asarray(NetworkFeatures(jnp.tanh, W).of(key, jnp.asarray(y))).T
    U, V = f.T @ f / len(f), -f.T @ z / len(f)
    B = np.linalg.solve(U + lam * np.eye(p), V).T / math.sqrt(H)

    of_gram = gram.Gram(jnp.asarray(lower(U)), jnp.asarray(V), jnp.asarray(np.mean(z**2)))
    features = NetworkFeatures(jnp.tanh, W)
    of_pairs = gram.Pairs(*gram.pairs(key, features, x, 0, n * m, SCORE))
    for form in of_gram, of_pairs:
        for weight in 1.0, 0.7:  # φ(x) = weight/(x + λ)
            fitted, got = form.system(lam, weight)
            np.testing.assert_allclose(
                fitted.T / math.sqrt(H), weight * B, rtol=1e-7, atol=1e-9
            )
            residuals = math.sqrt(H) * f @ (weight * B).T + z
            np.testing.assert_allclose(got, np.mean(residuals**2), rtol=1e-8)
        training = rfdsm.Ridge(lam)
        by_system = trained(form, features, training, SCORE, 1.0)
        by_modes = form.modes().filtered(training.filter(form.modes().eigenvalues, 1.0))
        np.testing.assert_allclose(by_system.network.B, B, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(by_modes[0].T / math.sqrt(H), B, rtol=1e-6, atol=1e-8)

    # and the penalised loss of docs/theory.md section 1 is stationary there
    def penalised(B):
        plain = jnp.mean(jnp.sum((jnp.sqrt(h) * f @ B.T + z) ** 2, 1)) / d
        return plain + h * lam / d * jnp.sum(B**2)  # |A|² = p |B|²

    np.testing.assert_allclose(jax.grad(penalised)(jnp.asarray(B)), 0, atol=1e-11)


@pytest.mark.parametrize("psi_p", [1.5, 5.0])
def test_a_trial_by_naive_numpy(psi_p):
    """Every error of two trials from loops over pairs, with the same draws (n, d = 6, 4)."""
    m, lam, n, d = 2, 1e-2, 6, 4
    problem = rfdsm.RFDSM(psi_n=n / d, psi_p=psi_p, m=m, t=0.2, lam=lam)
    key = jax.random.key(9)
    got = problem.simulate(key, d=d, trials=2)
    p, tests = got.sizes.p, 8 * d
    sampler = problem.data.at(d)
    y0 = np.asarray(problem._experiment(d, "network").shared_points(jax.random.fold_in(key, 0)))
    errors, deviations = [], []
    for trial in range(2):
        of = jax.random.split(jax.random.fold_in(key, 1 + trial), 5)
        W = np.asarray(jax.random.normal(of[0], (p, d)))
        x, x_test = map(np.asarray, sampler.split(of[1], n, tests))
        y, z = blocked_pairs(of[2], x, m, n * m)

        def f(y, W=W):
            return np.tanh(W @ y / math.sqrt(d))

        U = sum(np.outer(f(v), f(v)) for v in y) / len(y)
        V = sum(np.outer(f(v), w) for v, w in zip(y, z, strict=True)) / len(y)
        B = -(np.linalg.inv(U + lam * np.eye(p)) @ V).T / math.sqrt(H)

        def loss(x, z, B=B, f=f):
            terms = (
                np.sum((math.sqrt(H) * B @ f(A * u + math.sqrt(H) * w) + w) ** 2) / d
                for u, w in zip(x, z, strict=True)
            )
            return sum(terms) / len(x)

        z_test = np.asarray(jax.random.normal(of[3], (tests, d)))
        again = np.tile(x, (6, 1))  # at least 8 d fresh pairs: 6 noises for each of 6 points
        z_again = np.asarray(jax.random.normal(of[4], (36, d)))
        e = [B @ f(v) + v for v in A * x_test + math.sqrt(H) * z_test]
        deviations.append([B @ f(v) + v for v in y0])  # the true score is -y
        errors.append(
            (
                np.mean(np.square(e)),
                loss(x_test, z_test),
                loss(np.tile(x, (m, 1)), z),
                loss(again, z_again),
            )
        )
    names = ("score_error", "test_loss", "train_loss", "memorization_loss")
    for name, expected in zip(names, np.transpose(errors), strict=True):
        np.testing.assert_allclose(getattr(got, name), expected, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(got.bias2, np.mean(np.prod(deviations, axis=0)), rtol=1e-9)


def two_dimensional(function, means, deviations, correlation):
    """E f(u) f(v) for correlated Gaussians, by a fine rule in two dimensions."""
    g = np.linspace(-9, 9, 1201)
    w = np.exp(-g * g / 2) / math.sqrt(2 * math.pi) * (g[1] - g[0])
    u = means[0] + deviations[0] * g
    v = means[1] + deviations[1] * (
        correlation * g[:, None] + math.sqrt(1 - correlation**2) * g[None, :]
    )
    return (w * function(u)) @ (function(v) @ w)


@pytest.mark.parametrize(
    "activation, tolerance",
    [
        (rfdsm.Tanh(), 1e-9),
        (rfdsm.Polynomial((0.3, 1.0, 0.5)), 1e-9),
        (rfdsm.ReLU(), 1e-5),  # the reference's rule does not see the kink
        (rfdsm.Activation(lambda x: jnp.clip(x, -0.5, 1.0), kinks=(-0.5, 1.0)), 1e-5),
    ],
)
def test_infinitely_many_noises_are_averaged_exactly(activation, tolerance):
    n, p, d = 3, 6, 40
    _, W, x = draws(n, p, d)
    got = averaged(activation, W, x)
    assert float(got.null) == 1
    means = A * np.asarray(x @ W.T) / math.sqrt(d)
    lengths = np.linalg.norm(W, axis=1)
    deviations = math.sqrt(H / d) * lengths
    R = np.asarray(W @ W.T) / np.outer(lengths, lengths)

    def function(values):
        return np.asarray(activation(jnp.asarray(values)))

    for i in range(p):
        for j in range(i):
            exact = np.mean(
                [
                    two_dimensional(function, mean[[i, j]], deviations[[i, j]], R[i, j])
                    for mean in means
                ]
            )
            assert float(got.U[i, j]) == pytest.approx(exact, abs=tolerance)
    g = np.linspace(-9, 9, 20001)
    w = np.exp(-g * g / 2) / math.sqrt(2 * math.pi) * (g[1] - g[0])
    f = function(means[..., None] + deviations[:, None] * g)
    np.testing.assert_allclose(np.diag(got.U), np.mean(f**2 @ w, 0), rtol=1e-6)
    stein = np.mean(f @ (w * g), 0)[:, None] * np.asarray(W) / lengths[:, None]
    np.testing.assert_allclose(got.V, -stein, rtol=1e-5, atol=1e-9)


def test_points_of_weight_0_are_left_out_of_the_averages(model):
    """Of the network's features and of the surrogate's: as if they were not there."""
    for features in ("network", "gaussian"):
        experiment = model._experiment(8, features)
        of, x, _ = experiment.network(experiment.draw(jax.random.key(0)))
        weight = jnp.array([1.0, 0.0] * 8)
        fewer = of
        if features == "gaussian":
            fewer = dataclasses.replace(fewer, shared=fewer.shared[::2])
        got = of.averages(x, experiment.noising, weight, data=True)
        expected = fewer.averages(x[::2], experiment.noising, data=True)
        for x, y in zip(got[:2], expected[:2], strict=True):
            np.testing.assert_allclose(lower(x), lower(y), rtol=1e-10, atol=1e-12)
        for x, y in zip(got[2:], expected[2:], strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)


def test_hermite_coefficients_of_relu_are_exact():
    mean, scale = jnp.array([[-0.7], [0.0], [2.0]]), jnp.array([0.3, 1.0, 0.8])
    C, square = mehler.hermite_coefficients(rfdsm.ReLU(), mean, scale, 3)
    x = np.asarray(mean[:, 0] / scale)
    Phi, phi = special.ndtr(x), np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    s = np.asarray(scale)
    np.testing.assert_allclose(C[0, :, 0], s * (x * Phi + phi), rtol=1e-12)
    np.testing.assert_allclose(C[1, :, 0], s * Phi, rtol=1e-9)
    np.testing.assert_allclose(C[2, :, 0], s * phi / math.sqrt(2), rtol=1e-8)
    np.testing.assert_allclose(C[3, :, 0], -s * x * phi / math.sqrt(6), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(square[:, 0], s**2 * ((1 + x * x) * Phi + x * phi), rtol=1e-9)


def test_kinks_that_share_a_panel_or_are_out_of_reach():
    kinks = (0.31, 0.3, -1.5, 80.0)

    def function(x):
        slopes = jnp.array([1.0, -2.0, 1.5, 1.0])
        bends = jnp.maximum(x[None] - jnp.array(kinks).reshape(-1, *[1] * x.ndim), 0)
        return jnp.tanh(2 * x) + jnp.tensordot(slopes, bends, 1)

    activation = rfdsm.Activation(function, kinks)
    mean, scale = jnp.linspace(-3, 3, 24).reshape(6, 4).T, jnp.array([0.2, 0.5, 0.9, 1.2])
    C, square = mehler.hermite_coefficients(activation, mean, scale, 3)
    for row, column in itertools.product(range(4), range(6)):
        mu, s = float(mean[row, column]), float(scale[row])
        at = sorted({(k - mu) / s for k in kinks if abs(k - mu) < 9 * s} | {-9, -3, 0, 3, 9})
        node, weight = np.polynomial.legendre.leggauss(60)
        low, high = np.array(at[:-1])[:, None], np.array(at[1:])[:, None]
        g = ((high + low) / 2 + (high - low) / 2 * node).ravel()
        w = ((high - low) / 2 * weight).ravel() * np.exp(-g * g / 2) / math.sqrt(2 * math.pi)
        f = np.asarray(function(jnp.asarray(mu + s * g)))
        basis = [1 + 0 * g, g, (g**2 - 1) / math.sqrt(2), (g**3 - 3 * g) / math.sqrt(6)]
        expected = [np.sum(w * f * he) for he in basis]
        np.testing.assert_allclose(C[:, row, column], expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(square[row, column], np.sum(w * f * f), rtol=1e-8)


def test_points_of_infinitely_many_noises_may_come_in_blocks(monkeypatch):
    _, W, x = draws(n=8, p=6, d=40)
    whole = averaged(rfdsm.Tanh(), W, x)
    monkeypatch.setattr(mehler, "stream", lambda *of: blocks.stream(*of[:3], 3))
    parts = averaged(rfdsm.Tanh(), W, x)
    np.testing.assert_allclose(lower(parts.U), lower(whole.U), rtol=1e-12)
    np.testing.assert_allclose(parts.V, whole.V, rtol=1e-12)


@pytest.mark.parametrize("d, p", [(16, 64), (60, 120)])
@pytest.mark.parametrize("activation", [rfdsm.Tanh(), rfdsm.ReLU()])
def test_truncation_of_the_mehler_series(d, p, activation, monkeypatch):
    """What is left out of U is within the bound of `mehler_orders`, and small."""
    K = mehler.mehler_orders(p, d)
    q = K + 1
    moment = special.beta(q + 0.5, (d - 1) / 2) / special.beta(0.5, (d - 1) / 2)  # E R^{2q}
    bound = p * math.sqrt(moment)
    assert K == mehler.MOST_ORDERS if d == 16 else bound <= mehler.TRUNCATION

    @jax.jit
    def left_out(W, x):
        mean, scale = A * W @ x.T / math.sqrt(d), jnp.linalg.norm(W, axis=1) * math.sqrt(H / d)
        C, square = mehler.hermite_coefficients(activation, mean, scale, K)
        tau = jnp.max(jnp.mean(square - jnp.sum(C**2, 0), 1))
        short = averaged(activation, W, x)
        with monkeypatch.context() as patch:
            patch.setattr(mehler, "mehler_orders", lambda *_: 60)
            long = averaged(activation, W, x)
        return tau, math.sqrt(2) * jnp.linalg.norm(jnp.tril(short.U - long.U))

    draw = [draws(5, p, d, seed)[1:] for seed in range(4)]
    tau, norm = np.array([left_out(*each) for each in draw]).T
    assert np.sqrt(np.mean(norm**2)) <= bound * max(tau) + 1e-13
    assert max(norm) < 1e-6 and max(tau) < 5e-4


@pytest.mark.parametrize("changes", [{}, {"psi_p": 5.0}, {"m": jnp.inf}])
def test_every_form_gives_errors(model, changes):
    runs = model.replace(**changes).simulate(jax.random.key(0), d=10, trials=3)
    for leaf in jax.tree.leaves(runs):
        assert leaf.shape == (3,) and np.isfinite(leaf).all()
    np.testing.assert_allclose(runs.variance, runs.score_error - runs.bias2)
    assert (runs.sizes.n, runs.sizes.p) == (
        20,
        round(float(model.replace(**changes).psi_p) * 10),
    )
    if changes.get("m") == jnp.inf:
        np.testing.assert_array_equal(runs.memorization_loss, runs.train_loss)


@pytest.mark.slow
def test_forms_agree_on_average():
    """Primal and dual around p = N, and many noises against infinitely many.

    The shifts allow for a feature more and for m = 64 not being infinite.
    """
    problem = rfdsm.RFDSM(psi_n=1.0, psi_p=2.0, m=2, t=0.3, lam=0.1)
    key = jax.random.key(3)
    primal = problem.simulate(key, d=24, trials=60)
    dual = problem.replace(psi_p=2.05).simulate(key, d=24, trials=60)
    assert (primal.sizes.p, dual.sizes.p) == (48, 49)
    many = problem.replace(m=64).simulate(key, d=24, trials=60)
    infinite = problem.replace(m=jnp.inf).simulate(key, d=24, trials=60)
    for one, two, shift in ((primal, dual, 0.02), (many, infinite, 0.03)):
        mean, spread = (one.mean(), two.mean()), (one.standard_error(), two.standard_error())
        for x, y, s, t in zip(*map(jax.tree.leaves, (*mean, *spread)), strict=True):
            assert abs(x - y) < 4 * math.hypot(s, t) + shift * abs(x)


def test_bias2_is_the_mean_over_pairs_of_different_trials():
    e = np.random.default_rng(0).normal(size=(4, 10, 3))
    pairs = np.einsum("isd,jsd->ij", e, e) / (10 * 3)
    np.fill_diagonal(pairs, 0)
    np.testing.assert_allclose(evaluate.bias2(jnp.asarray(e)), pairs.sum(1) / 3, rtol=1e-12)
    assert np.isnan(evaluate.bias2(jnp.asarray(e[:1]))).all()


def test_shared_points_measure_linear_scores_exactly():
    two = rfdsm.RFDSM(2, 1, 1, t=0.2, lam=1, data=rfdsm.Gaussian((1.9, 0.1)))
    y = two._experiment(6, "network").shared_points(jax.random.key(0))
    np.testing.assert_allclose(
        np.mean(y**2, 0), A**2 * np.repeat([1.9, 0.1], 3) + H, rtol=1e-12
    )


def test_a_single_trial_knows_neither_bias_nor_variance(model):
    runs = model.simulate(jax.random.key(0), d=10)
    assert runs.score_error.shape == (1,) and np.isfinite(runs.score_error).all()
    assert np.isnan(runs.bias2).all() and np.isnan(runs.variance).all()
    assert np.isnan(float(runs.standard_error().test_loss))


def test_a_trial_does_not_depend_on_the_others(model):
    three = model.simulate(jax.random.key(5), d=10, trials=3)
    two = model.simulate(jax.random.key(5), d=10, trials=2)
    for name in ("score_error", "test_loss", "train_loss", "memorization_loss"):
        np.testing.assert_allclose(getattr(three, name)[:2], getattr(two, name), rtol=1e-12)
    assert len(np.unique(np.asarray(three.test_loss))) == 3
    other = model.simulate(jax.random.key(6), d=10, trials=2)
    assert not np.any(np.asarray(other.test_loss) == np.asarray(two.test_loss))


def test_jit_and_vmap_over_key_lam_and_t(model):
    def run(key, lam, t):
        return model.replace(lam=lam, t=t).simulate(key, d=10, trials=2)

    keys = jax.random.split(jax.random.key(0), 3)
    lams, times = jnp.array([1e-3, 1e-2, 1e-1]), jnp.array([0.1, 0.2, 0.3])
    batch = jax.jit(jax.vmap(run))(keys, lams, times)
    assert batch.test_loss.shape == (3, 2)
    one = run(keys[1], lams[1], times[1])
    np.testing.assert_allclose(batch.test_loss[1], one.test_loss, rtol=1e-9)
    assert batch.mean().test_loss.shape == (3,)


def test_new_numbers_do_not_recompile(model):
    model.simulate(jax.random.key(0), d=10, trials=2)
    before = road._run._cache_size()
    for k in range(3):
        changed = model.replace(lam=10.0**-k, t=0.1 + k)
        changed.simulate(jax.random.key(k), d=10, trials=2)
    assert road._run._cache_size() == before


def test_results_do_not_depend_on_how_many_trials_run_at_once(model, monkeypatch):
    alone = model.simulate(jax.random.key(5), d=10, trials=3)
    asked = []
    monkeypatch.setattr(road, "_side_by_side", lambda *_: asked.append(2) or 2)
    road._run.clear_cache()
    batched = model.simulate(jax.random.key(5), d=10, trials=3)  # two, and one that is left
    road._run.clear_cache()
    assert asked
    for x, y in zip(jax.tree.leaves(alone), jax.tree.leaves(batched), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9)


@pytest.mark.parametrize(
    "training",
    [rfdsm.Ridge(1e-2), rfdsm.GradientFlow(3.0, 1e-3), rfdsm.GradientDescent(9, 0.2)],
    ids=lambda rule: type(rule).__name__,
)
def test_single_precision_where_asked(model, training):
    """Other draws, the same errors on average, whatever the rule."""
    model = model.replace(training=training)
    single = jax.tree.map(lambda x: x.astype(np.float32), model)
    single = single.simulate(jax.random.key(0), d=16, trials=40)
    double = model.simulate(jax.random.key(0), d=16, trials=40)
    for x, y, s, t in zip(
        *map(jax.tree.leaves, (single.mean(), double.mean())),
        *map(jax.tree.leaves, (single.standard_error(), double.standard_error())),
        strict=True,
    ):
        assert x.dtype == jnp.float32
        assert abs(float(x) - float(y)) < 4 * math.hypot(s, t)


def points(count=60, d=4, seed=0):
    return rfdsm.standardise(np.random.default_rng(seed).normal(size=(count, d)))


def test_samples_train_and_test_on_different_points():
    X = points()
    sampler = rfdsm.Samples(X).at(4)
    for tests in (sampler.tests(50, 8), sampler.tests(50, 100), sampler.tests(10, 8)):
        x, left = sampler.split(jax.random.key(tests), 50 if tests != 50 else 10, tests)
        rows = {row.tobytes() for row in np.asarray(x)}
        assert len(rows) == len(x)  # without replacement
        assert left.shape == (tests, 4)
        assert not rows & {row.tobytes() for row in np.asarray(left)}
    assert sampler.tests(50, 100) == 100 and sampler.tests(50, 8) == 10


def test_samples_know_no_score(model):
    data = model.replace(data=rfdsm.Samples(points()), psi_n=5.0)
    runs = data.simulate(jax.random.key(0), trials=3)  # d is the data's own
    assert runs.sizes.d == 4 and runs.sizes.counts is None
    assert np.isfinite(runs.test_loss).all() and np.isfinite(runs.memorization_loss).all()
    for name in ("score_error", "bias2", "variance"):
        assert np.isnan(getattr(runs, name)).all()


def test_atoms_share_the_coordinates_by_largest_remainder():
    law = rfdsm.Gaussian((3.0, 2.0, 1.0), (0.5, 0.3, 0.2))
    assert law.counts(10) == (5, 3, 2)
    assert law.counts(11) == (6, 3, 2)
    assert sum(law.counts(7)) == 7
    np.testing.assert_array_equal(law.at(10).variances, [3] * 5 + [2] * 3 + [1] * 2)


@pytest.mark.parametrize(
    "changes, arguments, message",
    [
        ({}, dict(d=0), "d must be"),
        ({}, dict(d=10.5), "d must be"),
        ({}, dict(), "dimension d"),
        ({}, dict(d=10, trials=0), "trials must be"),
        ({"m": 2.5}, dict(d=10), "integer m"),
        ({"psi_n": 0.01}, dict(d=10), "leaves no n"),
        ({"psi_p": 0.01}, dict(d=10), "leaves no p"),
        ({"data": rfdsm.Samples(points())}, dict(d=5), "leave d out"),
        ({"data": rfdsm.Samples(points()), "psi_n": 15.0}, dict(), "lower psi_n"),
    ],
)
def test_bad_input(model, changes, arguments, message):
    with pytest.raises(ValueError, match=message) as raised:
        model.replace(**changes).simulate(jax.random.key(0), **arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("m", [0, -1.0, math.nan, 2.5])
def test_number_of_noises_is_checked_for_callers_without_a_model(model, m):
    rest = {name: value for name, value in vars(model).items() if name != "m"}
    with pytest.raises(ValueError, match="integer m of at least 1"):
        simulation.experiment(10, m=m, **rest)


@pytest.mark.parametrize("name", ["psi_n", "psi_p", "m"])
def test_traced_sizes_are_refused_in_one_line(model, name):
    def run(x):
        return model.replace(**{name: x}).simulate(jax.random.key(0), d=10).test_loss

    with pytest.raises(ValueError, match="concrete") as raised:
        jax.jit(run)(2.0)
    assert "\n" not in str(raised.value)
