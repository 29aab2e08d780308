"""Networks that share draws: their overlaps, the variance's parts and ensembles, by NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm.errors import FIELDS
from rfdsm.ingredients.ensembles import Ensemble
from rfdsm.ingredients.sharing import ALL, NOTHING, SHARINGS, Shared
from rfdsm.simulation import gram
from rfdsm.simulation.experiment import Copy

KEY = jax.random.key(5)
A, H = math.exp(-0.2), -math.expm1(-0.4)
D, N = 3, 6
MODEL = rfdsm.RFDSM(psi_n=N / D, psi_p=5 / 3, m=2, t=0.2, lam=1e-2)
DUAL = MODEL.replace(psi_p=5.0)  # 15 features of 12 pairs
PAIRS = Shared(points=True, noises=True)


def sources(key, number):
    """Keys of W, data, noises, test noises, those at training points, of a trial's copy."""
    return jax.random.split(jax.random.fold_in(key, 4 + number) if number else key, 5)


class ByHand:
    """One network of a trial by NumPy: the draws of its copy, its read-out by a solve."""

    def __init__(self, model, trial, copy=(0, 0, 0), block=4096, n=N):
        key = jax.random.fold_in(KEY, 1 + trial)
        W, points, noises = copy
        p, m = round(float(model.psi_p) * D), int(model.m)
        sampler, of_data = model.data.at(D), sources(key, 0)[1]
        of_data = jax.random.fold_in(of_data, points) if points else of_data
        self.W = np.asarray(jax.random.normal(sources(key, W)[0], (p, D)))
        self.x = np.asarray(sampler.split(of_data, n, 8 * D)[0])
        of_noise = sources(key, noises)[2]
        starts = range(0, n * m, block)
        of_block = (jax.random.fold_in(of_noise, start) for start in starts)
        sizes = (min(block, n * m - start) for start in starts)
        z = [jax.random.normal(k, (size, D)) for k, size in zip(of_block, sizes, strict=True)]
        self.z = np.concatenate(z)
        self.y = A * np.tile(self.x, (m, 1)) + math.sqrt(H) * self.z
        f, lam = self.features(self.y), float(model.training.lam)
        V = -f.T @ self.z / len(f)
        self.B = np.linalg.solve(f.T @ f / len(f) + lam * np.eye(p), V).T / math.sqrt(H)

    def features(self, y):
        return np.tanh(y @ self.W.T / math.sqrt(D))

    def output(self, y):
        return math.sqrt(H) * self.features(y) @ self.B.T


class Points:
    """The noised points that a trial's networks are measured on."""

    def __init__(self, model, trial, n=N):
        key = jax.random.fold_in(KEY, 1 + trial)
        _, of_data, _, of_test, of_memory = sources(key, 0)
        x, left_out = map(np.asarray, model.data.at(D).split(of_data, n, 8 * D))
        self.z_fresh = np.asarray(jax.random.normal(of_test, (8 * D, D)))
        self.fresh = A * left_out + math.sqrt(H) * self.z_fresh
        again = np.tile(x, (-(-8 * D // n), 1))
        self.z_training = np.asarray(jax.random.normal(of_memory, again.shape))
        self.training = A * again + math.sqrt(H) * self.z_training


def expected(ours, theirs, shared, trial, block=4096):
    """The overlap of two networks of a trial."""
    copy = tuple(0 if held else 1 for held in shared)
    n = round(float(theirs.psi_n) * D)
    one, other = ByHand(ours, trial, block=block), ByHand(theirs, trial, copy, block, n)
    at = Points(ours, trial)

    def overlap(y, one=one, other=other):
        return np.mean(one.output(y) * other.output(y))

    fresh = overlap(at.fresh)
    own = overlap(at.fresh, one, one) * overlap(at.fresh, other, other)
    return {
        "fresh": fresh,
        "training": overlap(at.training) if shared.points else np.nan,
        "pairs": overlap(one.y) if shared.noises else np.nan,
        "correlation": fresh / math.sqrt(own),
    }


@pytest.mark.parametrize(
    "ours, theirs, shared",
    [
        (MODEL, MODEL.replace(lam=0.3), ALL),
        (DUAL, DUAL, PAIRS),
        (MODEL, MODEL.replace(m=3), Shared(features=True, points=True)),
        (DUAL, MODEL.replace(psi_n=4 / 3), NOTHING),
        pytest.param(
            *(MODEL, MODEL.replace(psi_n=4 / 3), Shared(features=True)), marks=pytest.mark.slow
        ),
    ],
    ids=str,
)
def test_overlaps_by_numpy(ours, theirs, shared):
    got = ours.simulate(KEY, D, 2, networks=2, share=shared.names, other=theirs)
    for trial in range(2):
        for name, value in expected(ours, theirs, shared, trial).items():
            np.testing.assert_allclose(getattr(got, name)[trial], value, rtol=1e-8)


def test_noises_are_shared_by_networks_of_either_form(monkeypatch):
    """One network narrower and one wider than its pairs, of more pairs than a block has."""
    monkeypatch.setattr(gram, "BLOCK_ROWS", 5)
    ours = MODEL.replace(psi_p=4 / 3)
    got = ours.simulate(KEY, D, networks=2, share=PAIRS.names, other=DUAL)
    for name, value in expected(ours, DUAL, PAIRS, 0, block=12).items():
        np.testing.assert_allclose(getattr(got, name)[0], value, rtol=1e-8)


@pytest.mark.parametrize("shared", SHARINGS, ids=str)
def test_what_is_shared_is_the_same_numbers(shared):
    """And does not depend on how many copies there are."""
    experiment = MODEL._experiment(D, "network")
    sets = (N,) if shared.points else (N, N)

    def second(copies):
        drawn = experiment.draw(KEY, sets=sets, copies=copies)
        of = [experiment.network(drawn, copy) for copy in (Copy(), Copy.of(shared, 1))]
        return [
            (features.W, x, gram.pairs(key, features, x, 0, 2 * N, experiment.denoising)[1])
            for features, x, key in of
        ]

    one, other = second(2)
    for held, x, y in zip(shared, one, other, strict=True):
        assert np.array_equal(x, y) if held else not np.any(np.asarray(x) == y)
    for x, y in zip(other, second(5)[1], strict=True):
        np.testing.assert_array_equal(x, y)


def test_infinitely_many_noises():
    """The pairs are all noises: their overlap is that at training points; Z is no draw."""
    model = DUAL.replace(m=jnp.inf)
    same, apart = (
        model.simulate(KEY, D, networks=2, share=share)
        for share in (ALL.names, ("features", "points"))
    )
    np.testing.assert_array_equal(same.pairs, same.training)
    for name in ("fresh", "training"):
        np.testing.assert_allclose(getattr(same, name), getattr(apart, name), rtol=1e-9)
    assert np.isnan(apart.pairs).all()
    network = model.fit(KEY, D)
    o = math.sqrt(H) * np.tanh(Points(model, 0).training @ np.asarray(network.features.W).T /
                               math.sqrt(D)) @ np.asarray(network.B).T  # fmt: skip
    np.testing.assert_allclose(same.training, np.mean(o * o), rtol=1e-8)


def test_parts_by_numpy():
    """They add up to the variance, S(all) - S(), with the six networks' own mean of S(all)."""
    scores, outputs = (MODEL.simulate_parts(KEY, D, 2, output=each) for each in (False, True))
    copies = [(W, *data) for W in (0, 1) for data in ((0, 0), (0, 1), (1, 2))]
    for trial in range(2):
        y = Points(MODEL, trial).fresh
        o = [ByHand(MODEL, trial, copy).output(y) for copy in copies]
        S = {shared: [] for shared in SHARINGS}
        for i, one in enumerate(copies):
            for j, other in enumerate(copies[: i + 1]):
                held = Shared(*(a == b for a, b in zip(one, other, strict=True)))
                S[held].append(np.mean(o[i] * o[j]))
        assert [len(S[shared]) for shared in SHARINGS] == [6, 2, 4, 3, 2, 4]
        all_, WX, W, XZ, X, none = (np.mean(S[shared]) for shared in SHARINGS)
        by_hand = {
            "features": W - none,
            "points": X - none,
            "features_points": WX - W - X + none,
            "noises": XZ - X,
            "features_noises": all_ - XZ - WX + X,
        }
        for name, value in by_hand.items():
            got = getattr(outputs, name)[trial]
            np.testing.assert_allclose(got, value, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(outputs.total[trial], all_ - none, rtol=1e-9)
    np.testing.assert_allclose(scores.total, outputs.total / H, rtol=1e-12)  # s = o/√h


@pytest.mark.parametrize("model", [MODEL, DUAL])
def test_an_ensemble_is_the_mean_by_numpy(model):
    """All six errors of three networks with their own W on the same pairs."""
    ensemble = model.replace(ensemble=Ensemble(3, PAIRS.names))
    got = ensemble.simulate(KEY, D, 2)
    shared = model._experiment(D, "network").shared_points(jax.random.fold_in(KEY, 0))
    deviations = []
    for trial in range(2):
        networks = [ByHand(model, trial, (k, 0, 0)) for k in range(3)]
        at, first = Points(model, trial), networks[0]

        def loss(y, z, networks=networks):
            return np.mean((np.mean([each.output(y) for each in networks], 0) + z) ** 2)

        def score(y, networks=networks):
            return np.mean([each.output(y) for each in networks], 0) / math.sqrt(H)

        by_hand = {
            "score_error": np.mean((score(at.fresh) + at.fresh) ** 2),
            "test_loss": loss(at.fresh, at.z_fresh),
            "train_loss": loss(first.y, first.z),
            "memorization_loss": loss(at.training, at.z_training),
        }
        for name, value in by_hand.items():
            np.testing.assert_allclose(getattr(got, name)[trial], value, rtol=1e-8)
        deviations.append(score(np.asarray(shared)) + np.asarray(shared))
    np.testing.assert_allclose(got.bias2, np.mean(np.prod(deviations, axis=0)), rtol=1e-7)
    np.testing.assert_allclose(got.variance, got.score_error - got.bias2, rtol=1e-12)


@pytest.mark.parametrize(
    "share", [(), pytest.param(("features", "points"), marks=pytest.mark.slow)]
)
def test_an_ensemble_on_other_points_or_noises(share):
    """Its network is the average, and what the networks have not in common is NaN."""
    model = MODEL.replace(ensemble=Ensemble(2, share))
    runs, network = model.simulate(KEY, D), model.fit(KEY, D)
    copy = tuple(0 if name in share else 1 for name in Shared._fields)
    at, both = Points(MODEL, 0), (ByHand(MODEL, 0), ByHand(MODEL, 0, copy))
    o = np.mean([each.output(at.fresh) for each in both], 0)
    np.testing.assert_allclose(network.output(at.fresh), o, rtol=1e-8)
    assert network.B.shape == (D, 5 if "features" in share else 10)
    np.testing.assert_allclose(runs.test_loss[0], np.mean((o + at.z_fresh) ** 2), rtol=1e-8)
    assert np.isnan(runs.train_loss).all()
    assert np.isnan(runs.memorization_loss).all() == ("points" not in share)


def test_an_ensemble_of_one_is_the_network():
    model = MODEL.replace(m=jnp.inf)
    one = model.replace(ensemble=Ensemble(1)).simulate(KEY, D, 2)
    for x, y in zip(*map(jax.tree.leaves, (one, model.simulate(KEY, D, 2))), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("features", ["network", "gaussian"])
def test_networks_that_interpolate_do_so_on_average(features):
    """The surrogate's own draws at the pairs are those that each network was trained on."""
    model = DUAL.replace(lam=1e-9, ensemble=Ensemble(3))
    runs = model.simulate(KEY, D, features=features)
    assert runs.train_loss[0] < 1e-5 < 1e-2 < runs.memorization_loss[0]
    pair = model.simulate(KEY, D, networks=2, share=PAIRS.names, features=features)
    np.testing.assert_allclose(pair.pairs, np.mean(ByHand(DUAL, 0).z ** 2), rtol=1e-3)


def test_many_training_times():
    """Of an ensemble and of two networks, one eigendecomposition: as at each time alone."""
    taus = jnp.array([0.5, 8.0])
    model = MODEL.replace(training=rfdsm.GradientFlow(1.0), ensemble=Ensemble(2))
    errors = model.simulate_trajectory(KEY, D, 2, taus)
    pairs = model.simulate_trajectory(KEY, D, 2, taus, networks=2, share=PAIRS.names)
    assert errors.test_loss.shape == pairs.fresh.shape == (2, 2)
    for i, tau in enumerate(taus):
        at = model.replace(tau=tau)
        one = at.simulate(KEY, D, 2)
        for name in FIELDS:
            x, y = getattr(errors, name)[i], getattr(one, name)
            np.testing.assert_allclose(x, y, rtol=1e-5)  # deviations are kept in float32
        two = at.simulate(KEY, D, 2, networks=2, share=PAIRS.names)
        for name in ("fresh", "training", "pairs", "correlation"):
            np.testing.assert_allclose(getattr(pairs, name)[i], getattr(two, name), rtol=1e-9)


def test_overlaps_are_of_single_networks():
    """An ensemble is left out, as by the theory: here one that could not be trained."""
    model = MODEL.replace(ensemble=Ensemble(jnp.inf))
    for got, expected in (
        (
            model.simulate(KEY, D, 2, networks=2, share=()),
            MODEL.simulate(KEY, D, 2, networks=2, share=()),
        ),
        (model.simulate_parts(KEY, D, 2), MODEL.simulate_parts(KEY, D, 2)),
    ):
        np.testing.assert_array_equal(*(jax.tree.leaves(x)[0] for x in (got, expected)))


@pytest.mark.slow
def test_two_networks_under_jit_and_vmap():
    def run(key, lam):
        return MODEL.replace(lam=lam).simulate(key, D, 2, networks=2, share=PAIRS.names)

    keys, lams = jax.random.split(KEY, 2), jnp.array([1e-2, 1e-1])
    batch = jax.jit(jax.vmap(run))(keys, lams)
    for x, y in zip(*map(jax.tree.leaves, (batch, run(keys[1], lams[1]))), strict=True):
        np.testing.assert_allclose(x[1], y, rtol=1e-9)


def samples(count):
    return rfdsm.Samples(rfdsm.standardise(np.random.default_rng(0).normal(size=(count, D))))


def test_samples_that_are_not_shared_are_disjoint():
    data = samples(20)
    x, left_out = data.at(D).disjoint(KEY, (6, 4, 5), 5)
    rows = [row.tobytes() for part in (*x, left_out) for row in np.asarray(part)]
    assert [len(part) for part in x] == [6, 4, 5] and len({*rows}) == 20
    np.testing.assert_array_equal(x[0], data.at(D).split(KEY, 6, 5)[0])
    model = MODEL.replace(data=data)
    halves = model.simulate(KEY, networks=2, share="features")
    assert np.isfinite(halves.fresh).all() and np.isnan(halves.training).all()
    parts = [model.simulate_parts(KEY, output=output) for output in (True, False)]
    assert np.isfinite(parts[0].total).all() and np.isnan(parts[1].total).all()


SMALL = MODEL.replace(data=samples(12))  # of which 2 times 6 leave no test point


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: MODEL.simulate(KEY, D, networks=3), "Ensemble"),
        (lambda: MODEL.simulate(KEY, D, share="points"), "pass networks=2"),
        (lambda: MODEL.simulate(KEY, D, other=MODEL), "pass networks=2"),
        (lambda: MODEL.simulate(KEY, D, networks=2, share="noises"), "share points too"),
        (lambda: MODEL.simulate(KEY, D, networks=2, other=DUAL), "psi_p"),
        (lambda: MODEL.simulate(KEY, D, networks=2, other=MODEL.replace(t=0.3)), "process"),
        (lambda: MODEL.simulate(KEY, D, 0, networks=2), "trials"),
        (lambda: SMALL.simulate(KEY, networks=2, share=()), "lower psi_n below 2"),
        (lambda: SMALL.simulate_parts(KEY), "lower psi_n below 2"),
        (lambda: SMALL.replace(ensemble=Ensemble(3, ())).simulate(KEY), "below 1.333"),
        (lambda: MODEL.replace(ensemble=Ensemble(2.5)).simulate(KEY, D), "integer number"),
        (lambda: MODEL.replace(ensemble=Ensemble(jnp.inf)).simulate(KEY, D), "theory alone"),
        (
            lambda: jax.jit(lambda k: MODEL.replace(ensemble=Ensemble(k)).simulate(KEY, D))(
                2.0
            ),
            "concrete networks",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_memory_counts_the_networks():
    model = MODEL.replace(psi_p=1e3, ensemble=Ensemble(1e8))
    with pytest.raises(MemoryError, match="100000000 networks of d = 100"):
        model.simulate(KEY, 100)
