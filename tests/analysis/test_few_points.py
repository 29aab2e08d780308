"""Moments of finitely many points: losses of infinitely many, n = N, error bars that cover."""

import math
from functools import cache
from itertools import product

import jax
import numpy as np
import pytest

import rfdsm
from rfdsm import images
from rfdsm.errors import LOSSES

pytestmark = pytest.mark.filterwarnings("ignore:N = ", "ignore:the mean of X")
ORDERS, T = 60, 0.1


def quiet(told):
    pass


def losses(errors):
    return np.array([getattr(errors, name) for name in LOSSES], float)


def exact(model, eigenvalues, W):
    """The moments of tanh features of Gaussian points, by Mehler's series, in NumPy alone."""
    a, h = (float(x) for x in model.process.scales())
    d = W.shape[1]
    shared = (W * a**2 * eigenvalues) @ W.T / d
    both = shared + h * W @ W.T / d
    size = np.sqrt(np.diag(both))
    x, w = np.polynomial.hermite_e.hermegauss(200)
    basis = [np.ones_like(x), x]  # normalised
    for k in range(2, ORDERS):
        basis.append((x * basis[-1] - math.sqrt(k - 1) * basis[-2]) / math.sqrt(k))
    f, w = np.tanh(size[:, None] * x), w / w.sum()
    c = (f * w) @ np.array(basis).T

    def average(covariance):
        powers = np.cumprod(
            np.stack([np.ones_like(both)] + [covariance / np.outer(size, size)] * (ORDERS - 1)),
            axis=0,
        )
        return np.einsum("ik,jk,kij->ij", c, c, powers)

    total = average(both)
    np.fill_diagonal(total, f**2 @ w)
    S_g, slope = average(shared), (c[:, 1] / size)[:, None] * W / math.sqrt(d)
    about = model.process, model.activation
    of_data = {"T_x": a * slope * eigenvalues, "X2": np.mean(eigenvalues)}
    return rfdsm.Moments(S_g, total - S_g, math.sqrt(h) * slope, *about, **of_data)


def gaussian(N, d, psi_p, seed, spread=0.0):
    """(model, its moments of N points, those of the law)."""
    rng = np.random.default_rng(seed)
    eigenvalues = np.linspace(1 - spread, 1 + spread, d)
    W = rng.normal(size=(round(psi_p * d), d))
    X = rng.normal(size=(N, d)) * np.sqrt(eigenvalues)
    model = rfdsm.RFDSM(2.0, psi_p, 4, t=T, lam=1e-2, data=rfdsm.Samples(X))
    moments = rfdsm.measure(model, jax.random.key(seed), W=W, classes=1, report=quiet)
    return model, moments, exact(model, eigenvalues, W)


@cache
def small():
    return gaussian(48, 16, 2.0, seed=3)


def test_timescales_of_moments_are_good_to_their_digits():
    """Fewer nodes than a trajectory's: both times and the loss against all of its digits."""
    model, moments, _ = small()
    flow = model.replace(training=rfdsm.GradientFlow(1.0), psi_n=1.0, m=math.inf)
    times = rfdsm.timescales(flow, moments)
    gen, mem = times.tau_gen, times.tau_mem
    assert gen < mem < math.inf and np.isnan(times.bulks).all()
    losses = flow.trajectory([gen, mem, 0.9 * gen, 1.1 * gen], moments=moments)
    assert times.test_loss == pytest.approx(float(losses.test_loss[0]), abs=1e-5)
    assert np.all(losses.test_loss[0] < losses.test_loss[2:])
    memorised = losses.memorization_loss[1] / losses.memorization_loss[0]
    assert float(memorised) == pytest.approx(0.9, abs=1e-4)


TARGETS = {"score": rfdsm.ScoreTarget(), "velocity": rfdsm.VelocityTarget()}


@pytest.mark.parametrize("target", ["score", pytest.param("velocity", marks=pytest.mark.slow)])
def test_losses_are_those_of_infinitely_many_points(target):
    """N = 3 d: three losses at n < N and n = N, several times nearer than the plain ones."""
    model, moments, law = small()
    model = model.replace(target=TARGETS[target])
    compare = jax.jit(
        lambda n, m, lam, moments: model.replace(psi_n=n, m=m, lam=lam).solve(moments=moments)
    )
    gaps = []
    for numbers in (
        (1.0, 4.0, 1e-2),
        (2.0, math.inf, 1e-1),
        (3.0, 4.0, 1e-2),
        (6.0, 1.0, 1e-1),
    ):
        truth, got, plain = (
            losses(compare(*numbers, each).errors)
            for each in (law, moments, moments.with_population(None))
        )
        gaps.append([got / truth - 1, plain / truth - 1])
    ours, plain = np.sqrt(np.mean(np.square(gaps), axis=0))
    assert np.all(ours < plain / 2) and ours[0] < 0.05, (ours, plain)


def test_error_bars_cover_and_are_not_vast():
    model, moments, law = small()
    for n in (1.0, 3.0):
        there = model.replace(psi_n=n)
        truth, got = (losses(there.asymptotics(moments=each)) for each in (law, moments))
        bar = losses(rfdsm.sampling_error(there, moments).total)
        assert np.all(np.abs(got - truth) < bar) and np.all(bar < 0.25 * truth)


@pytest.mark.parametrize("target", TARGETS)
def test_the_spread_is_that_of_a_jackknife(target):
    """The gradient along the parts against solves without one part each."""
    model, moments, _ = small()
    model, parts = model.replace(target=TARGETS[target]), moments.parts
    K = parts.count

    def without(k):
        rest = np.delete(np.arange(K), k)
        names = ("S_g", "S_s", "T", "T_x", "X2")
        means = {name: getattr(parts, name)[rest, 0].mean(0) for name in names}
        return rfdsm.Moments(**means, process=moments.process, activation=moments.activation)

    each = np.array([losses(model.asymptotics(moments=without(k))) for k in range(K)])
    jackknife = np.sqrt((K - 1) / K * np.sum((each - each.mean(0)) ** 2, axis=0))
    spread = losses(rfdsm.sampling_error(model, moments).spread)
    np.testing.assert_allclose(spread, jackknife, rtol=0.4)


def test_small_train_losses_stay_positive():
    """Interpolation: 2 L(N) - mean L(N/2) alone could be anything."""
    model, moments, _ = small()
    for lam in (1e-6, 1e-4):
        there = model.replace(psi_n=1.0, m=1, lam=lam)
        plain = there.asymptotics(moments=moments.with_population(None)).train_loss
        assert 0 < there.asymptotics(moments=moments).train_loss < 2 * plain


def test_whole_data_without_parts_give_what_they_gave():
    """`population` alone: the loss on points left out; and with None the plain loss."""
    model, moments, _ = small()
    plain, left = (
        losses(model.asymptotics(moments=each))
        for each in (moments.with_population(None), moments.without_halves())
    )
    share = 32 / 48
    assert left[0] == pytest.approx((plain[0] - share * plain[2]) / (1 - share))
    np.testing.assert_allclose(left[1:], plain[1:])
    with pytest.raises(ValueError, match="more training points"):
        model.replace(psi_n=3.0).solve(moments=moments.without_halves())


@pytest.mark.slow
def test_derivatives_pass_through_the_extrapolation():
    model, moments, _ = small()

    def f(n):
        return model.replace(psi_n=n).asymptotics(moments=moments).test_loss

    for n in (2.0, 3.0, 5.0):
        step = 1e-4
        expected = (f(n + step) - f(n - step)) / (2 * step)
        assert float(jax.grad(f)(n)) == pytest.approx(float(expected), rel=1e-5)


MODELS = (
    dict(psi_n=1.0, m=4, lam=1e-2),
    dict(psi_n=2.0, m=1, lam=1e-1),
    dict(psi_n=2.0, m=math.inf, lam=1e-2),
    dict(psi_n=0.5, m=4, lam=1e-1),
    dict(psi_n=1.5, m=8, lam=1e-3),
)


def judged(cases, samples):
    """Covered in 90 %, with at most half the old bias; a row (truth, got, bar, old)."""
    truth, got, bar, old = np.moveaxis(np.array(cases), 1, 0)
    covered = np.abs(got - truth) <= bar
    both = np.isfinite(old[:, 0])  # where there was an answer
    bias, before = (np.mean((x / truth - 1)[both], axis=0) for x in (got, old))
    of_samples = (got / truth - 1).reshape(samples, -1, 3).mean(axis=1)
    noise = 2 * of_samples.std(axis=0, ddof=1) / math.sqrt(samples)
    print(f"\n{len(cases)} cases: covered {covered.mean(0)}, bias {bias} ± {noise}, before "
          f"{before}, median bar {np.median(bar / truth, axis=0)}")  # fmt: skip
    assert np.all(covered.mean(axis=0) >= 0.9)
    assert np.all(np.abs(bias) <= np.maximum(np.abs(before) / 2, noise))


def case(model, moments, law):
    """(truth, got, bar, what moments without parts give)."""
    left = moments.without_halves() if model.psi_n * moments.d < moments.population else None
    old = np.full(3, np.nan) if left is None else losses(model.asymptotics(moments=left))
    return (
        losses(model.asymptotics(moments=law)),
        losses(model.asymptotics(moments=moments)),
        losses(rfdsm.sampling_error(model, moments).total),
        old,
    )


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_gaussian_samples_are_covered(target):
    """N/d = 2 to 50, every loss, n = N among the models."""
    cases = []
    for ratio in (2, 3, 5, 10, 20, 50):
        for seed in range(2):
            base, moments, law = gaussian(24 * ratio, 24, 3.0, 10 * ratio + seed, 0.8 * seed)
            base = base.replace(target=TARGETS[target])
            all_points = dict(psi_n=float(ratio), m=4, lam=1e-2)
            cases += [case(base.replace(**c), moments, law) for c in (*MODELS, all_points)]
    judged(cases, 12)


@pytest.mark.slow
@pytest.mark.parametrize("name, classes", [("digits", 1), ("patches", 12)])
def test_halves_of_images_are_covered(name, classes):
    """1,797 images are the law; of it samples of half as many, each drawn anew."""
    X = images.digits() if name == "digits" else images.patches(1800)
    d, cases = X.shape[1], []
    W = np.random.default_rng(0).normal(size=(2 * d, d))
    base = rfdsm.RFDSM(2.0, 2.0, 4, t=T, lam=1e-2, data=rfdsm.Samples(X))
    key, about = jax.random.key(0), {"W": W, "classes": classes, "report": quiet}
    law = rfdsm.measure(base, key, halves=False, **about).with_population(None)
    for seed in range(8):
        half = np.random.default_rng(seed).integers(len(X), size=len(X) // 2)
        moments = rfdsm.measure(base.replace(data=rfdsm.Samples(X[half])), key, **about)
        cases += [case(base.replace(**c), moments, law) for c in MODELS]
    judged(cases, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "patches"])
def test_one_half_of_the_images_tells_of_all_and_of_the_other(name):
    """Halves without replacement: three things that could be called their truth."""
    X = images.digits() if name == "digits" else images.patches(1800)
    d, covered, bars = X.shape[1], [], []
    base = rfdsm.RFDSM(2.0, 1.0, 4, t=T, lam=1e-2, data=rfdsm.Samples(X))
    W = np.random.default_rng(0).normal(size=(d, d))

    def measured(points):
        of = base.replace(data=rfdsm.Samples(X[points]))
        return rfdsm.measure(of, jax.random.key(0), W=W, classes=1, report=quiet, warned=False)

    models = [base.replace(**c) for c in MODELS]
    both = measured(np.arange(len(X)))
    for seed in range(4):
        halves = np.array_split(np.random.default_rng(seed).permutation(len(X)), 2)
        one, other = (measured(half) for half in halves)
        for model, (mine, yours) in product(models, ((one, other), (other, one))):
            got, *truths = (
                losses(model.asymptotics(moments=each))
                for each in (mine, both, both.with_population(None), yours)
            )
            bar = losses(rfdsm.sampling_error(model, mine).total)
            covered.append(np.abs(got - truths) <= bar)
            bars.append(bar / got)
    share, median = np.mean(covered, axis=0), np.median(bars, axis=0)
    print(f"\n{len(bars)} cases of {name}: covered\n{share}, median bar {median}")
    assert np.all(share >= 0.9) and np.all(median < 0.04)


@pytest.mark.slow
def test_all_points_are_networks_trained_on_all_of_them():
    """n = N = 4 d, tested on new points of the same law, within the error bar."""
    N, d, m, lam = 240, 60, 4, 1e-2
    model, moments, _ = gaussian(N, d, 2.0, seed=5)
    rng = np.random.default_rng(5)
    W = rng.normal(size=(2 * d, d))  # as `gaussian` draws them
    X = rng.normal(size=(N, d))
    np.testing.assert_array_equal(X, model.data.X)
    a, h = (float(x) for x in model.process.scales())

    def noised(x):
        z = rng.normal(size=x.shape)
        return np.tanh((a * x + math.sqrt(h) * z) @ W.T / math.sqrt(d)), z

    found = []
    for _ in range(12):
        F, Z = noised(np.tile(X, (m, 1)))
        B = -np.linalg.solve(F.T @ F / len(F) + lam * np.eye(2 * d), F.T @ Z / len(F)).T
        new, z = noised(rng.normal(size=(20_000, d)))
        found.append(np.mean((new @ B.T + z) ** 2))
    there = model.replace(psi_n=N / d)
    got = float(there.asymptotics(moments=moments).test_loss)
    bar = float(rfdsm.sampling_error(there, moments).total.test_loss)
    print(f"n = N: {got:.4f} ± {bar:.4f}, networks {np.mean(found):.4f}")
    assert abs(got - np.mean(found)) < bar < 0.1 * got
