"""Theory from measured moments against networks trained on the real images.

The network's W is that of the moments; training sets, noises and test points are drawn anew.
"""

import math
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm import images
from rfdsm.simulation.features import NetworkFeatures
from rfdsm.simulation.gram import normal_equations
from rfdsm.simulation.read_out import trained as fitted

T, SETS, FEW_POINTS_SETS = 0.1, 12, 36
LOSSES = ("test_loss", "train_loss", "memorization_loss")
DATA = {
    "digits": images.digits,
    "patches": images.patches,
    "patches without their means": partial(images.patches, remove_mean=True),
}
MULTIPLICITIES = (1, 4, 16, math.inf)
LAMS = (1e-3, 1e-2)
SCORE = rfdsm.ScoreTarget()
VELOCITY = rfdsm.LinearTarget(*rfdsm.OrnsteinUhlenbeck(T).velocity())
OTHERS = rfdsm.LinearTarget(data=1.0, noise=0.0), VELOCITY  # one kind, compiled once


def regression(target):
    """The target's `Denoising`, of numbers that are traced."""
    denoising = target.denoising(rfdsm.OrnsteinUhlenbeck(T))
    return jax.tree.map(lambda x: jnp.asarray(x, float), denoising)


@partial(jax.jit, static_argnames=("n", "m", "flow"))
def trained(key, X, W, denoising, n: int, m: float, numbers, flow: bool = False):
    """Losses of the read-outs of one training set, shape (numbers, 3).

    `numbers` are ridges, or for gradient flow training times.
    """
    features = NetworkFeatures(rfdsm.Tanh(), W)
    of_points, of_noise, of_test, of_memory = jax.random.split(key, 4)
    order = jax.random.permutation(of_points, len(X))
    x, rest = X[order[:n]], X[jnp.resize(order[n:], 8192)]
    equations = normal_equations(of_noise, features, x, m, denoising)
    rate = denoising.rate(len(W) / X.shape[1])

    def loss(key, network, x):
        y, z = denoising.noising(key, x)
        return jnp.mean((network.output(y) - denoising.target(x, z)) ** 2)

    def at(number):
        training = rfdsm.GradientFlow(number) if flow else rfdsm.Ridge(number)
        network, train, _ = fitted(equations, features, training, denoising, rate)
        again = jnp.resize(jnp.arange(n), 8192)
        memory = loss(of_memory, network, x[again])
        return jnp.stack([loss(of_test, network, rest), train, memory])

    return jax.lax.map(at, numbers)


def compare(name, ratios, widths, multiplicities=MULTIPLICITIES, count=None, targets=(SCORE,)):
    """A row per setting: names, network with standard errors, the three theories."""
    X = DATA[name]() if count is None else DATA[name](count)
    d = X.shape[1]
    points, rows = jnp.asarray(X), []
    base = rfdsm.RFDSM(psi_n=2.0, psi_p=1.0, m=4, t=T, lam=1e-2, data=rfdsm.Samples(X))
    for psi_p in widths:
        W = np.random.default_rng(round(psi_p)).normal(size=(round(psi_p * d), d))
        model = base.replace(psi_p=psi_p)
        measure = partial(
            rfdsm.measure, model, jax.random.key(1), W=W, halves=False, report=print
        )
        chosen = measure()
        measured = [chosen, chosen if chosen.classes == 1 else measure(classes=1)]
        for target, psi_n, m in product(targets, ratios, multiplicities):
            sets = SETS if psi_n > 0.5 else FEW_POINTS_SETS
            keys = jax.random.split(jax.random.key(round(10 * psi_n)), sets)
            about = regression(target), round(psi_n * d), m, jnp.asarray(LAMS)
            found = np.stack([trained(k, points, jnp.asarray(W), *about) for k in keys])
            for i, lam in enumerate(LAMS):
                here = model.replace(psi_n=psi_n, m=m, lam=lam, target=target)
                theories = [here.asymptotics(moments=each) for each in measured]
                theories.append(here.asymptotics())
                rows.append(
                    (
                        f"{target}, n = {psi_n:g} d, p = {psi_p:g} d, m = {m}, lam = {lam:g}",
                        psi_n,
                        found[:, i].mean(axis=0),
                        found[:, i].std(axis=0, ddof=1) / math.sqrt(sets),
                        [np.array([getattr(e, x) for x in LOSSES]) for e in theories],
                    )
                )
    return rows


def allowed(name, psi_n, value):
    """The tolerance on each loss, beside two standard errors.

    Patches without their means, n = d/2: the equations are for many training points, and of 32
    points a few heavy ones decide. Over 100 training sets train and memorization loss are 9 %
    high at p = 6 d, m = ∞; averaging the theory over the classes that 32 random points fall
    into removes 7 of these. That is of order 1/n, which section 12 does not have.
    """
    test, memory, train = (0.03, 0.03, 0.03) if name == "digits" else (0.02, 0.04, 0.04)
    if name == "digits" and psi_n <= 0.5:
        test = memory = 0.05
    if name == "patches without their means" and psi_n <= 0.5:
        train = memory = 0.1
    return np.array([test * value[0], max(train * value[1], 0.004), memory * value[2]])


def judge(name, rows):
    """Print deviations in percent of every theory; return the settings that miss."""
    print(
        f"\n{name}: test, train, memorization; network | classes | one class | Gaussian, in %"
    )
    misses = []
    for setting, psi_n, value, bar, theories in rows:
        percent = [" ".join(f"{x:+6.1f}" for x in 100 * (e / value - 1)) for e in theories]
        network = " ".join(f"{x:.4f}" for x in value)
        good = np.all(np.abs(theories[0] - value) <= allowed(name, psi_n, value) + 2 * bar)
        print(f"{setting}: {network} | {' | '.join(percent)}{'' if good else '  MISS'}")
        if not good:
            misses.append(setting)
    gaps = np.array([[np.abs(e / r[2] - 1) for e in r[4]] for r in rows])
    for i, theory in enumerate(("classes as chosen", "one class", "Gaussian")):
        print(f"  {theory}: median, largest of test {_summary(gaps[:, i, 0])}, "
              f"memorization {_summary(gaps[:, i, 2])}")  # fmt: skip
    return misses


def _summary(x):
    return f"{100 * np.median(x):.1f} %, {100 * np.max(x):.1f} %"


def test_digits():
    """One measurement for all targets."""
    multiplicities, targets = (1, math.inf), (SCORE, *OTHERS)
    rows = compare("digits", (2.0,), (1.0,), multiplicities, targets=targets)
    assert not judge("digits", rows)


@pytest.mark.slow
def test_patches():
    """Where one set of moments is off by a tenth and more."""
    rows = compare("patches", (2.0,), (3.0,), (4,), 20_000, (SCORE, *OTHERS))
    assert not judge("patches", rows)
    one_class = np.array([r[4][1] / r[2] - 1 for r in rows])
    assert np.max(np.abs(one_class)) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "patches"])
def test_data_and_velocity(name):
    ratios, widths, multiplicities = (1.0, 2.0, 4.0), (1.0, 3.0), (1, 4, math.inf)
    assert not judge(name, compare(name, ratios, widths, multiplicities, targets=OTHERS))


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA)
def test_whole_grid(name):
    """Half an hour in all."""
    ratios = (0.5, 2.0, 4.0) if name == "digits" else (0.5, 2.0, 8.0)
    assert not judge(name, compare(name, ratios, (1.0, 3.0, 6.0)))


FLOWS = [(1.0, 4, SCORE), (2.5, 10, SCORE), (6.25, 10, SCORE), (2.5, 10, VELOCITY)]


@pytest.mark.slow
@pytest.mark.parametrize("psi_p, times, target", FLOWS)
def test_gradient_flow_on_digits(psi_p, times, target):
    """Every loss at several training times: 3 % and two standard errors of six sets."""
    X, m, n = images.digits(), 4, 128
    d, taus = X.shape[1], np.geomspace(1, 1e4, times)
    W = np.random.default_rng(2).normal(size=(round(psi_p * d), d))
    model = rfdsm.RFDSM(
        psi_n=n / d,
        psi_p=psi_p,
        m=m,
        t=T,
        target=target,
        training=rfdsm.GradientFlow(100.0),
        data=rfdsm.Samples(X),
    )
    moments = rfdsm.measure(model, jax.random.key(1), W=W, halves=False, report=print)
    theory = model.trajectory(taus, moments=moments)
    keys = jax.random.split(jax.random.key(7), 6)
    found = np.stack(
        [
            trained(
                k,
                jnp.asarray(X),
                jnp.asarray(W),
                regression(target),
                n,
                m,
                jnp.asarray(taus),
                True,
            )
            for k in keys
        ]
    )
    value, bar = found.mean(axis=0), found.std(axis=0, ddof=1) / math.sqrt(len(keys))
    expected = np.stack([getattr(theory, name) for name in LOSSES], axis=1)
    for tau, *rows in zip(taus, expected, value, bar, strict=True):
        texts = (" ".join(f"{x:.4f}" for x in row) for row in rows)
        print(f"tau = {tau:8.1f}: {' | '.join(texts)}")
    tolerance = 0.03 * value
    tolerance[:, 1] = np.maximum(tolerance[:, 1], 0.004)
    assert np.all(np.abs(expected - value) <= tolerance + 2 * bar)


def convolution(filters: int, seed: int = 0):
    """A random convolutional map of 8×8 patches, in NumPy: 3×3 filters, tanh, pooling."""
    weights = np.random.default_rng(seed).normal(size=(9, filters)) / 3

    def features(y):
        windows = np.lib.stride_tricks.sliding_window_view(y.reshape(-1, 8, 8), (3, 3), (1, 2))
        f = np.tanh(windows.reshape(-1, 36, 9) @ weights)
        return f.reshape(-1, 3, 2, 3, 2, filters).mean(axis=(2, 4)).reshape(len(y), -1)

    return features


def read_out(features, X, n, m, lam, rng, target):
    """The three losses of B f(y) fitted to τ on n points, by the normal equations."""
    process = rfdsm.OrnsteinUhlenbeck(T)
    a, h = (float(x) for x in process.scales())
    c_x, c_z = (float(c) for c in target.combination(process))
    order = rng.permutation(len(X))

    def noised(x):
        z = rng.normal(size=x.shape)
        return features(a * x + math.sqrt(h) * z), c_x * x + c_z * z

    F, tau = noised(np.tile(X[order[:n]], (m, 1)))
    B = np.linalg.solve(F.T @ F / len(F) + lam * np.eye(F.shape[1]), F.T @ tau / len(F)).T

    def loss(f, tau):
        return np.mean((f @ B.T - tau) ** 2)

    again = np.resize(order[:n], 8000)
    return loss(*noised(X[order[n : n + 8000]])), loss(F, tau), loss(*noised(X[again]))


@pytest.mark.slow
def test_convolutional_features():
    """Any features: the read-out of a convolutional map, from moments of the function."""
    X, features, m, lam = images.patches(20_000), convolution(16), 4, 1e-3
    n, d = 128, X.shape[1]
    process = rfdsm.OrnsteinUhlenbeck(T)
    moments = rfdsm.measure_features(
        features, X, process, jax.random.key(0), noises=8, classes=12, psi_n=n / d, report=print
    )
    assert moments.p == 144 and moments.activation is None
    model = rfdsm.RFDSM(
        psi_n=n / d, psi_p=moments.psi_p, m=m, process=process, lam=lam, data=rfdsm.Samples(X)
    )
    for target in (SCORE, *OTHERS):
        theory = model.replace(target=target).asymptotics(moments=moments)
        rng = np.random.default_rng(1)
        found = np.array([read_out(features, X, n, m, lam, rng, target) for _ in range(24)])
        value, bar = found.mean(axis=0), found.std(axis=0, ddof=1) / math.sqrt(len(found))
        expected = np.array([getattr(theory, x) for x in LOSSES])
        print(f"convolution, {target}:", value, "±", bar, "theory", expected)
        assert np.all(np.abs(expected - value) <= allowed("patches", 2, value) + 2 * bar)
