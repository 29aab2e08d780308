"""Networks of every target against plain NumPy, written from docs/theory.md section 14 alone.

V, U, the outputs and the losses are explicit sums over the same pairs. At m = ∞ the sum over
all noises is exact as well: the activation is a polynomial of degree 2, the average of f f^T
one of degree 4 in z, and three nodes of Gauss and Hermite for each coordinate are enough.
"""

import io
import itertools
import math
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg
from target_bank import PROCESSES, SIGMA, SIGMA_DATA, TARGETS

import rfdsm
from rfdsm.simulation.features import GaussianFeatures, NetworkFeatures
from rfdsm.simulation.gram import Gram, Pairs, normal_equations
from rfdsm.simulation.read_out import trained

N, D = 5, 4
COEFFICIENTS = 0.3, 1.0, 0.5
ACTIVATION = rfdsm.Polynomial(COEFFICIENTS)

fitted = jax.jit(normal_equations, static_argnames="m")
train = jax.jit(trained)


def settings():
    """(denoising, a, √h, c_x, c_z, w) of every target at every process."""
    every = itertools.product(PROCESSES.values(), TARGETS.values())
    for (process, a, s, velocity), (target, coefficients) in every:
        yield regression(target, process), a, s, *coefficients(a, s, velocity(a, s))
    # Karras et al. 2022: F is fitted to (x - c_skip (x + σ z))/c_out.
    process, a, s, _ = PROCESSES["edm"]
    total = SIGMA**2 + SIGMA_DATA**2
    skip, out = SIGMA_DATA**2 / total, SIGMA * SIGMA_DATA / math.sqrt(total)
    target = rfdsm.PreconditionedTarget()
    yield regression(target, process), a, s, (1 - skip) / out, -skip * SIGMA / out, 1


def regression(target, process):
    """The denoising with arrays for all numbers, so that all share two programs."""
    return jax.tree.map(lambda number: jnp.asarray(number, float), target.denoising(process))


def draws(p, key=4):
    keys = jax.random.split(jax.random.key(key), 3)
    features = NetworkFeatures(ACTIVATION, jax.random.normal(keys[0], (p, D)))
    return features, 0.9 * jax.random.normal(keys[1], (N, D)), keys[2]


def phi(W, y):
    """f, shape (p, rows)."""
    u = W @ y.T / math.sqrt(D)
    return sum(c * u**k for k, c in enumerate(COEFFICIENTS))


def all_pairs(key, x, m):
    """(x, z, weights) of m noises for each point, or of the nodes that stand for all."""
    if m < math.inf:
        z = np.asarray(jax.random.normal(jax.random.fold_in(key, 0), (m * N, D)))
        return np.tile(x, (m, 1)), z, np.full(m * N, 1 / (m * N))
    node, weight = np.polynomial.hermite_e.hermegauss(3)
    z = np.array(list(itertools.product(node, repeat=D)))
    weights = np.prod(list(itertools.product(weight / weight.sum(), repeat=D)), axis=1)
    return np.repeat(x, len(z), 0), np.tile(z, (N, 1)), np.tile(weights, N) / N


def stepped(U, V, w, kappa, rule):
    """B by what the rule says: equations solved, the flow's exponential, or single steps."""
    A, b = U + float(rule.lam) * np.eye(len(U)), V.T / w
    if isinstance(rule, rfdsm.Ridge):
        return b @ np.linalg.inv(A)
    if isinstance(rule, rfdsm.GradientFlow):
        grown = np.eye(len(U)) - linalg.expm(-kappa * float(rule.tau) * A)
        return b @ np.linalg.inv(A) @ grown
    B = np.zeros_like(b)
    for _ in range(int(rule.steps)):
        B = B - float(rule.learning_rate) * kappa * (B @ A - b)
    return B


RULES = rfdsm.Ridge(1e-2), rfdsm.GradientFlow(3.0, 1e-3), rfdsm.GradientDescent(9, 0.1, 1e-2)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("form, m, p", [(Gram, 2, 6), (Pairs, 2, 13), (Gram, math.inf, 6)])
def test_every_target_at_every_process(rule, form, m, p):
    features, x, key = draws(p)
    W, y_new = np.asarray(features.W), np.random.default_rng(0).normal(size=(3, D))
    points, z, weights = all_pairs(key, np.asarray(x), m)
    for denoising, a, s, c_x, c_z, w in settings():
        f, tau = phi(W, a * points + s * z), c_x * points + c_z * z
        U, V = (f * weights) @ f.T, (f * weights) @ tau
        B = stepped(U, V, w, 2 * w**2 * D / p, rule)
        loss = np.sum(weights[:, None] * (w * f.T @ B.T - tau) ** 2) / D

        equations = fitted(key, features, x, m=m, denoising=denoising)
        assert isinstance(equations, form)
        network, train_loss, _ = train(
            equations, features, rule, denoising, denoising.rate(p / D)
        )
        np.testing.assert_allclose(network.B, B, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(train_loss, loss, rtol=1e-9)

        output = w * phi(W, y_new).T @ B.T
        score = (c_x * y_new - a * output) / (s * (a * c_z - s * c_x))
        np.testing.assert_allclose(network.output(y_new), output, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(network(y_new), score, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("c_x, c_z", [(1.0, 0.0), (-0.5, 0.8)])
def test_the_surrogate_at_infinitely_many_noises(c_x, c_z):
    """E_z f x^T has the linear part of f and what the point's features share."""
    p, b, v, s, a, h = 6, 0.7, 0.4, 0.3, 0.8, 0.36
    _, x, key = draws(p)
    W, shared = (
        np.random.default_rng(k).normal(size=shape) for k, shape in enumerate([(p, D), (N, p)])
    )
    features = GaussianFeatures(*map(jnp.asarray, (W, b, v, s, shared)))
    denoising = regression(rfdsm.LinearTarget(c_x, c_z), rfdsm.VariancePreserving(a**2))
    got = fitted(key, features, x, m=math.inf, denoising=denoising)
    mean = b * a * W @ x.T / math.sqrt(D) + v * shared.T
    V = c_x * mean @ x / N + c_z * b * math.sqrt(h / D) * W
    np.testing.assert_allclose(got.V, V, rtol=1e-12)
    fresh = b**2 * h * W @ W.T / D + s**2 * np.eye(p)
    np.testing.assert_allclose(np.tril(got.U), np.tril(mean @ mean.T / N + fresh), rtol=1e-12)
    np.testing.assert_allclose(got.null, c_x**2 * np.mean(x**2) + c_z**2, rtol=1e-12)


SAMPLES = rfdsm.Samples(rfdsm.standardise(np.random.default_rng(0).normal(size=(40, D))))


@pytest.mark.parametrize(
    "process, target, data, psi_p",
    [
        ("fm", "data", rfdsm.Gaussian((1.5, 0.5)), 1.5),
        ("ve", "x,z", SAMPLES, 4.0),
    ],
)
def test_a_trial_by_naive_numpy(process, target, data, psi_p):
    """Every error of two trials, primal and dual, in the target's units or the score's."""
    process, a, s, velocity = PROCESSES[process]
    target, coefficients = TARGETS[target]
    c_x, c_z, w = coefficients(a, s, velocity(a, s))
    m, n, lam = 2, N, 1e-2
    own = rfdsm.RFDSM(
        n / D,
        psi_p,
        m,
        lam=lam,
        process=process,
        target=target,
        data=data,
        activation=ACTIVATION,
    )
    known, d = not isinstance(data, rfdsm.Samples), None if data is SAMPLES else D
    key, sampler = jax.random.key(9), data.at(D)
    got = own.simulate(key, d, trials=2)
    tests = sampler.tests(n, 8 * D)
    rows, deviations = [], []
    for trial in range(2):
        of = jax.random.split(jax.random.fold_in(key, 1 + trial), 5)
        W = np.asarray(jax.random.normal(of[0], (got.sizes.p, D)))
        x, x_test = map(np.asarray, sampler.split(of[1], n, tests))
        points, z, _ = all_pairs(of[2], x, m)
        f = phi(W, a * points + s * z)
        U, V = f @ f.T / len(z), f @ (c_x * points + c_z * z) / len(z)
        B = np.linalg.solve(U + lam * np.eye(len(U)), V).T / w

        def loss(x, z, W=W, B=B):
            output = w * phi(W, a * x + s * z).T @ B.T
            return np.mean((output - c_x * x - c_z * z) ** 2)

        def error(y, W=W, B=B):
            output = w * phi(W, y).T @ B.T
            score = (c_x * y - a * output) / (s * (a * c_z - s * c_x))
            return score + y / (a**2 * np.asarray(sampler.variances) + s**2)

        z_test = np.asarray(jax.random.normal(of[3], (tests, D)))
        again = np.tile(x, (-(-8 * D // n), 1))
        z_again = np.asarray(jax.random.normal(of[4], again.shape))
        losses = loss(x_test, z_test), loss(points, z), loss(again, z_again)
        squares = np.mean(error(a * x_test + s * z_test) ** 2) if known else np.nan
        rows.append((squares, *losses))
        if known:
            experiment, of_shared = own._experiment(D, "network"), jax.random.fold_in(key, 0)
            deviations.append(error(np.asarray(experiment.shared_points(of_shared))))
    names = "score_error", "test_loss", "train_loss", "memorization_loss"
    for name, expected in zip(names, np.transpose(rows), strict=True):
        np.testing.assert_allclose(getattr(got, name), expected, rtol=1e-8, err_msg=name)
    bias2 = np.mean(np.prod(deviations, axis=0)) if known else np.nan
    np.testing.assert_allclose(got.bias2, bias2, rtol=1e-8)


@pytest.mark.parametrize("target", TARGETS)
def test_a_file_holds_the_target(target, tmp_path):
    features, _, key = draws(p=6)
    denoising = regression(TARGETS[target][0], PROCESSES["fm"][0])
    network = rfdsm.Network(features, jax.random.normal(key, (D, 6)), denoising)
    network.save(tmp_path / "network")
    again = rfdsm.Network.load(tmp_path / "network")
    assert eqx.tree_equal(network, again)
    np.testing.assert_array_equal(network(np.ones((3, D))), again(np.ones((3, D))))


def test_files_from_before_there_were_targets_are_read():
    """One that was written then, of OrnsteinUhlenbeck(0.2) at d = 2."""
    path = Path(__file__).parents[1] / "data" / "network_format_1"
    network = rfdsm.Network.load(path)
    file = io.BytesIO(path.read_bytes())
    file.readline()
    W, B, a, h = (np.load(file) for _ in range(4))
    assert a == pytest.approx(math.exp(-0.2)) and h == pytest.approx(1 - math.exp(-0.4))
    y = np.random.default_rng(0).normal(size=(5, 2))
    score = np.tanh(y @ W.T / math.sqrt(2)) @ B.T
    np.testing.assert_allclose(network(y), score, rtol=1e-12)
    np.testing.assert_allclose(network.output(y), math.sqrt(h) * score, rtol=1e-12)
    expected = regression(rfdsm.ScoreTarget(), rfdsm.OrnsteinUhlenbeck(0.2))
    assert eqx.tree_equal(network.denoising, expected, rtol=1e-12)
