"""Moments of two networks with their own W: blocks of one network's, and what solvers take."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm.errors import FewPoints
from rfdsm.ingredients.rotated import Parts
from rfdsm.simulation import moment_sums as stream
from rfdsm.simulation.features import NetworkFeatures

NAMES = ("S_g", "S_s", "T", "T_x", "X2")
KEY = jax.random.key(3)


def quiet(text):
    pass


@pytest.fixture(scope="module")
def problem():
    """d = 6, p = 12; classes of unlike leverage."""
    X = np.random.default_rng(0).standard_t(5, size=(240, 6)) * np.linspace(1.5, 0.2, 6)
    data = rfdsm.Samples(rfdsm.standardise(X))
    return rfdsm.RFDSM(psi_n=4.0, psi_p=2.0, m=2, t=0.2, lam=1e-2, data=data)


def measure(problem, *more, **about):
    return rfdsm.measure(problem, KEY, *more, warned=False, report=quiet, **about)


@pytest.fixture(scope="module")
def narrow(problem):
    """Of another width, 9, and rule."""
    return problem.replace(psi_p=1.5, lam=0.1)


@pytest.fixture(scope="module")
def unequal(problem, narrow):
    """Two networks of 12 and of 9 features, three classes."""
    return measure(problem, 4, classes=3, cross=narrow)


def same(x, y):
    assert jax.tree.structure(x) == jax.tree.structure(y)
    for ours, theirs in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_moments_between_are_the_integrals():
    """By Gauss-Hermite in the two preactivations, correlated through the noise alone."""
    rng = np.random.default_rng(1)
    X = rfdsm.standardise(rng.normal(size=(6, 4)))
    W = [rng.normal(size=(3, 4)), rng.normal(size=(2, 4))]
    base = rfdsm.RFDSM(psi_n=1.0, psi_p=0.75, m=2, t=0.2, lam=0.1, data=rfdsm.Samples(X))
    found = measure(base, math.inf, classes=1, W=W, cross=base.replace(psi_p=0.5))
    a, h = (float(x) for x in base.process.scales())
    g, w = np.polynomial.hermite_e.hermegauss(80)
    w = w / w.sum()
    S_g, S_s = np.zeros((2, 3, 2))
    for i, ours in enumerate(W[0]):
        for j, theirs in enumerate(W[1]):
            # h W W^T/d is the covariance of two preactivations at a given point.
            root = np.linalg.cholesky(
                h / 4 * np.stack([ours, theirs]) @ np.stack([ours, theirs]).T
            )
            for x in X:
                u, v = a / 2 * ours @ x, a / 2 * theirs @ x
                left = np.tanh(u + root[0, 0] * g)
                right = np.tanh(v + root[1, 0] * g[:, None] + root[1, 1] * g)
                mean = (w @ left) * (w @ right @ w)
                S_g[i, j] += mean / 6
                S_s[i, j] += (w * left @ right @ w - mean) / 6
    np.testing.assert_allclose(found.S_g, S_g, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.S_s, S_s, rtol=0, atol=1e-9)


def test_each_network_is_the_one_measured_alone(problem):
    """Of the same points and noises; the left one has the W of the same key."""
    W = np.random.default_rng(2).normal(size=(2, 12, 6))
    pair = measure(problem, 4, classes=1, W=W, cross=True)
    for of, own in ((pair.left, W[0]), (pair.right, W[1])):
        alone = measure(problem, 4, classes=1, W=own)
        for name in NAMES:
            for ours, theirs in ((of, alone), (of.parts, alone.parts)):
                ours, theirs = getattr(ours, name), getattr(theirs, name)
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13)
    drawn = measure(problem, 4, classes=1, cross=True, halves=False)
    alone = measure(problem, 4, classes=1, halves=False)
    np.testing.assert_allclose(drawn.left.S_g, alone.S_g, rtol=0, atol=1e-13)
    assert np.abs(drawn.right.S_g - drawn.left.S_g).max() > 0.01


def test_side_by_side_they_are_one_network(problem):
    W = np.random.default_rng(2).normal(size=(2, 12, 6))
    pair = measure(problem, 4, classes=1, W=W, cross=True)
    wide = problem.replace(psi_p=4.0)
    of_one = measure(wide, 4, classes=1, W=W.reshape(24, 6))

    def joined(left, right, S_g, S_s):
        square = ((left.S_g, S_g, right.S_g), (left.S_s, S_s, right.S_s))
        tall = {
            n: np.concatenate([getattr(left, n), getattr(right, n)], -2) for n in ("T", "T_x")
        }
        blocks = (np.block([[a, b], [b.swapaxes(-1, -2), c]]) for a, b, c in square)
        return dict(zip(("S_g", "S_s"), blocks, strict=True), X2=left.X2, **tall)

    left, right = pair.left, pair.right
    parts = joined(left.parts, right.parts, *pair.parts) | {"weights": left.parts.weights}
    about = pair.process, pair.activation, None, pair.population
    whole = rfdsm.Moments(
        **joined(left, right, pair.S_g, pair.S_s),
        **dict(zip(("process", "activation", "weights", "population"), about, strict=True)),
        parts=Parts(**parts),
    )
    ours, theirs = (wide.asymptotics(moments=each) for each in (whole, of_one))
    assert ours.test_loss == pytest.approx(float(theirs.test_loss), abs=1e-10)
    assert ours.train_loss == pytest.approx(float(theirs.train_loss), abs=1e-10)


def test_noises_leave_no_bias():
    """Of one point 4,000 times, two noises each: S_s within 4 standard errors of the exact."""
    rng = np.random.default_rng(5)
    X, W = np.tile(rng.normal(size=4), (4000, 1)), jnp.asarray(rng.normal(size=(5, 4)))
    features, noising = NetworkFeatures(rfdsm.Tanh(), W), rfdsm.OrnsteinUhlenbeck(0.5).noising()
    order = np.arange(4000)
    exact = stream.sums(KEY, features, X, order[:1], noising, math.inf).moments(math.inf)
    groups = [
        stream.sums(KEY, features, X, each, noising, 2).moments(2)
        for each in np.split(order, 20)
    ]
    for name in ("S_g", "S_s"):
        between = np.stack([each[name][:3, 3:] for each in groups])
        bar = between.std(0, ddof=1) / math.sqrt(20)
        assert np.all(np.abs(between.mean(0) - exact[name][:3, 3:]) <= 4 * bar), name
        assert np.all(bar < 0.2 * np.abs(exact["S_s"][:3, 3:]).max())


def functional(left, right, S_g, S_s, weights):
    """Of the classes' traces what does not depend on the bases."""
    ours, theirs = (
        np.linalg.inv(0.1 * np.eye(of[0].shape[-1]) + np.tensordot(weights, of[0] + of[1], 1))
        for of in (left, right)
    )
    return [
        np.einsum("cij,jk,clk,li->c", A, theirs, B, ours)
        for A in (S_g, S_s)
        for B in (S_g, S_s)
    ]


def test_rotated_are_the_same_in_each_own_basis(unequal):
    """Of the whole and of the halves, which are means over every other part."""
    left, right = unequal.left, unequal.right
    wanted = functional(
        (left.S_g, left.S_s), (right.S_g, right.S_s), unequal.S_g, unequal.S_s, left.weights
    )

    def of(pair):
        both = ((each.shared, each.fresh) for each in (pair.left, pair.right))
        return functional(*both, pair.shared, pair.fresh, pair.left.weights)

    np.testing.assert_allclose(of(unequal.rotated), wanted, rtol=1e-10)
    for i in range(2):
        weights = left.parts.weights[i::2]

        def half(S, weights=weights, i=i):
            return np.einsum("kc,kcij->cij", weights, S[i::2]) / weights.sum(0)[:, None, None]

        both = ((half(each.parts.S_g), half(each.parts.S_s)) for each in (left, right))
        wanted = functional(*both, *map(half, unequal.parts), weights.sum(0) / weights.sum())
        one = jax.tree.map(lambda x, i=i: x[i], unequal.rotated_halves)
        np.testing.assert_allclose(of(one), wanted, rtol=1e-10)


def test_a_pair_is_mapped_over_like_moments(unequal):
    """Whole and halves have one structure, and the pair of a tree can be put into its place."""
    three = jax.tree.map(
        lambda whole, halves: np.concatenate([whole[None], halves]),
        unequal.rotated,
        unequal.rotated_halves,
    )
    plain = unequal.with_population(None)
    assert plain.parts is plain.rotated_halves is plain.population is None
    second = jax.tree.map(lambda x: x[1], three)
    put = eqx.tree_at(lambda m: m.rotated, plain, second)
    same(put.rotated, second)
    assert not np.allclose(put.rotated.shared, plain.rotated.shared)
    same(plain.S_g, unequal.S_g)
    assert unequal.without_halves().population == 240


def test_classes_are_sorted_once_for_both(problem, unequal):
    """Both have their own points' shares, and the classes differ in both leverages."""
    same(unequal.left.weights, unequal.right.weights)
    for of in (unequal.left, unequal.right):
        trace = np.trace(of.S_g, axis1=1, axis2=2)
        assert np.all(np.diff(trace) > 0) and trace[-1] > 1.3 * trace[0]


def test_draws_are_an_axis_in_front(problem):
    pair = measure(problem, 2, classes=2, cross=True, draws=2)
    assert pair.draws == 2 and pair.S_g.shape == (2, 2, 12, 12)
    assert pair.rotated.fresh.shape == (2, 2, 12, 12)
    assert [x.shape[:2] for x in pair.parts] == [(2, 8), (2, 8)]
    first, axes = pair.draw(0), pair.axes_of_draws()
    assert first.draws is None and axes.left.S_g == axes.S_s == axes.turned[0] == 0
    again = measure(problem, 2, classes=2, cross=True, draws=1).draw(0)
    np.testing.assert_array_equal(first.S_g, again.S_g)
    traces = jax.vmap(lambda m: jnp.trace(m.rotated.left.shared[0]), (axes,))(pair)
    np.testing.assert_allclose(traces, np.trace(pair.left.S_g[:, 0], axis1=1, axis2=2))


def test_ensembles_of_own_features_are_measured_so(problem):
    pair = rfdsm.Ensemble(2)
    for ensemble, kind in (
        (pair, rfdsm.CrossMoments),
        (rfdsm.Ensemble(2, "features"), rfdsm.Moments),
    ):
        found = measure(problem.replace(ensemble=ensemble), 2, classes=1, halves=False)
        assert isinstance(found, kind)
    few = rfdsm.Samples(rfdsm.standardise(problem.data.X[:30]))
    with pytest.warns(FewPoints, match="N = 30 points"):  # of one network
        few_points = problem.replace(ensemble=pair, data=few)
        rfdsm.measure(few_points, KEY, 4, classes=1, report=quiet)


def test_about(problem, unequal):
    assert unequal.p == (12, 9) and unequal.psi_p == (2.0, 1.5) and unequal.d == 6
    assert unequal.process == problem.process and unequal.activation == problem.activation
    assert "p=12" in repr(unequal) and "p=9" in repr(unequal) and "\n" not in repr(unequal)
    about = problem.psi_n, problem.psi_p, problem.process, problem.activation
    assert all(met for met, _ in unequal.left.conditions(*about))
    (words,) = (words for met, words in unequal.conditions(*about) if not met)
    assert "p = 9 features" in words


def test_saved_and_loaded_whole(problem, unequal, tmp_path):
    plain = measure(problem, 2, classes=1, cross=True, halves=False)
    for pair in (unequal, plain):
        pair.save(tmp_path / "pair.npz")
        same(rfdsm.CrossMoments.load(tmp_path / "pair.npz"), pair)
    with pytest.raises(ValueError, match=r"holds CrossMoments: read it by rfdsm.CrossMoments"):
        rfdsm.Moments.load(tmp_path / "pair.npz")
    plain.left.save(tmp_path / "one.npz")
    with pytest.raises(ValueError, match="holds Moments"):
        rfdsm.CrossMoments.load(tmp_path / "one.npz")


def test_bad_input_is_one_line(problem, narrow, unequal):
    left, right, S_g, S_s, parts = (
        getattr(unequal.without_halves(), name)
        for name in ("left", "right", "S_g", "S_s", "parts")
    )
    other = eqx.tree_at(lambda m: m.population, right, jnp.asarray(100.0))
    for arguments, message in (
        ((left, right, S_g[:, :-1], S_s), r"\(3, 12, 9\), got \(3, 11, 9\)"),
        ((left, right, S_g * np.nan, S_s), "NaN"),
        ((left, right, S_g, 9 * S_s), "S_s is not positive"),
        ((left, other, S_g, S_s), "their population differ"),
        ((left, unequal.right, S_g, S_s), "their parts differ"),
        ((left, right, S_g, S_s, unequal.parts), "or neither"),
    ):
        with pytest.raises(ValueError, match=message) as info:
            rfdsm.CrossMoments(*arguments)
        assert "\n" not in str(info.value) and parts is None
    with pytest.raises(TypeError, match=r"right must be rfdsm.Moments"):
        rfdsm.CrossMoments(left, S_g, S_g, S_s)
    half = rfdsm.Samples(rfdsm.standardise(problem.data.X[:100]))
    for arguments, message in (
        (dict(cross=problem.replace(t=0.3)), "another process"),
        (dict(cross=problem.replace(data=half)), "another data"),
        (dict(cross=problem.replace(psi_p=0.01)), "no features"),
        (dict(cross=narrow, W=np.ones((2, 12, 6))), "12 and 9 rows"),
        (dict(cross=True, W=np.ones((12, 6))), "a pair of matrices"),
        (dict(cross=True, W=1.0), "a pair of matrices"),
    ):
        with pytest.raises(ValueError, match=message) as info:
            measure(problem, **arguments)
        assert "\n" not in str(info.value)
    with pytest.raises(TypeError, match="cross must be True or the model"):
        measure(problem, cross=3)
