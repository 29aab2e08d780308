"""Measured moments: the ingredient, its equations against the definition, the measurement."""

import json
import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm.asymptotics.equivalent import solve_unknowns
from rfdsm.asymptotics.measured import MeasuredEquations
from rfdsm.ingredients.rotated import Parts
from rfdsm.simulation import moment_sums as stream
from rfdsm.simulation.features import FunctionFeatures, NetworkFeatures

P, D = 24, 8
LOSSES = ("test_loss", "train_loss", "memorization_loss")
PROCESS = rfdsm.OrnsteinUhlenbeck(0.2)


# Small data sets warn, rightly, that they are small.
few = pytest.mark.filterwarnings("ignore:N = ")


def quiet(text):
    pass


def random_moments(classes=None, seed=0, population=None, p=P, d=D, draws=None, **more):
    """Moments of p features that are linear in data and noise, plus something of each."""
    rng = np.random.default_rng(seed)

    def one():
        scale = rng.gamma(3.0, 1 / 3)
        W = rng.normal(size=(p, d)) / math.sqrt(d)
        V = rng.normal(size=(p, 2 * p)) / math.sqrt(2 * p)
        S_g = scale * (0.5 * W @ W.T + 0.1 * V @ V.T)
        V = rng.normal(size=(p, 2 * p)) / math.sqrt(2 * p)
        S_s = 0.3 * W @ W.T + 0.05 * V @ V.T
        X2 = np.array(0.5 + scale)
        return S_g, S_s, math.sqrt(0.3) * W, np.sqrt(0.5 * scale * X2) * W, X2

    def of_classes():
        if classes is None:
            return one()
        return tuple(
            np.stack(each) for each in zip(*(one() for _ in range(classes)), strict=True)
        )

    arrays = of_classes()
    if draws is not None:
        arrays = tuple(
            np.stack(each) for each in zip(*(of_classes() for _ in range(draws)), strict=True)
        )
    weights = None if classes is None else rng.dirichlet(np.full(classes, 5.0))
    S_g, S_s, T, T_x, X2 = arrays
    about = {"T_x": T_x, "X2": X2, "weights": weights, "population": population}
    return rfdsm.Moments(S_g, S_s, T, PROCESS, **about, **more)


def model(**changes):
    base = dict(psi_n=2.0, psi_p=P / D, m=3.0, lam=1e-2, process=PROCESS)
    return rfdsm.RFDSM(**(base | changes))


def losses(errors):
    return np.array([getattr(errors, name) for name in LOSSES])


TARGETS = {  # of two kinds, each compiled once
    "score": rfdsm.ScoreTarget(),
    "data": rfdsm.LinearTarget(1.0, 0.0),
    "velocity": rfdsm.LinearTarget(*PROCESS.velocity()),
    "mixed": rfdsm.LinearTarget(0.3, -1.2),
}


def combination(target):
    """(c_x, c_z) at the process of these tests."""
    return tuple(float(x) for x in target.combination(PROCESS))


# A reference from docs/theory.md sections 12 and 14, nothing of the package: plain iteration
# for the one-point equations, two-point functions by differences in a deformation of U.


class Reference:
    """Deterministic equivalents by plain iteration, deformed by `epsilon` times a matrix."""

    def __init__(self, moments, psi_n, u, c_x=0.0, c_z=-1.0):
        one = moments.weights is None
        self.S_g, self.S_s, T, T_x, X2 = (
            np.asarray(x)[None] if one else np.asarray(x)
            for x in (moments.S_g, moments.S_s, moments.T, moments.T_x, moments.X2)
        )
        self.of_data, self.of_noise = c_x * T_x, c_z * T
        self.square_data, self.square_noise = c_x**2 * X2, c_z**2
        self.w = np.ones(1) if one else np.asarray(moments.weights)
        self.null = self.w @ self.square_data + self.square_noise
        self.n, self.u, self.d = psi_n * moments.d, u, moments.d

    def solve(self, lam, deformation=0.0):
        """(Q̄, i0, α, η) of (U + λ + deformation)^{-1}."""
        C, p, _ = self.S_g.shape
        d0, d1 = np.zeros(C), np.zeros(C)
        for _ in range(100_000):
            i0, i1 = 1 / (1 + d0), 1 / (1 + d1)
            alpha = self.u * i0 + (1 - self.u) * i1
            Q = np.linalg.inv(
                lam * np.eye(p) + deformation + np.tensordot(self.w * i0, self.S_g, 1)
                + np.tensordot(self.w * alpha, self.S_s, 1)
            )  # fmt: skip
            of_g, of_s = (np.einsum("cij,ji->c", S, Q) / self.n for S in (self.S_g, self.S_s))
            new0, new1 = of_g + self.u * of_s, self.u * of_s
            change = max(np.max(np.abs(new0 - d0)), np.max(np.abs(new1 - d1)))
            d0, d1 = new0, new1
            if change < 1e-15 * (1 + d0.max()):
                break
        return Q, i0, alpha, of_g

    def T(self, i0, alpha):
        """Of E f τ^T what the training points and their noises leave."""
        of_data = np.tensordot(self.w * i0, self.of_data, 1)
        return of_data + np.tensordot(self.w * alpha, self.of_noise, 1)

    def K(self, lam, deformation=0.0):
        Q, i0, alpha, _ = self.solve(lam, deformation)
        T = self.T(i0, alpha)
        left = self.w @ (self.square_data * i0 + self.square_noise * alpha)
        return self.null - left + np.sum(T * (Q @ T)) / self.d

    def losses(self, lam, step=1e-5):
        """The test and train loss of a ridge fit, without the left-out correction."""
        Q, i0, alpha, _ = self.solve(lam)
        aligned = np.sum(self.T(1, 1) * (Q @ self.T(i0, alpha))) / self.d
        C = np.tensordot(self.w, self.S_g + self.S_s, 1)
        fresh = -(self.K(lam, step * C) - self.K(lam, -step * C)) / (2 * step)
        slope = (self.K(lam + step) - self.K(lam - step)) / (2 * step)
        train = self.null - self.K(lam) + lam * slope
        return self.null - 2 * aligned + fresh, train


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("classes", [None, 3])
@pytest.mark.parametrize(
    "m, psi_n, lam", [(3.0, 2.0, 1e-2), (1.0, 4.0, 1e-1), (jnp.inf, 1.0, 1e-2)]
)
def test_losses_are_those_of_the_definition(classes, m, psi_n, lam, target):
    moments, target = random_moments(classes, seed=3), TARGETS[target]
    errors = model(m=m, psi_n=psi_n, lam=lam, target=target).asymptotics(moments=moments)
    reference = Reference(moments, psi_n, float(1 / m), *combination(target))
    test, train = reference.losses(lam)
    assert float(errors.test_loss) == pytest.approx(test, rel=1e-7)
    assert float(errors.train_loss) == pytest.approx(train, rel=1e-7)
    assert np.isnan([errors.score_error, errors.bias2, errors.variance]).all()
    if math.isinf(m):
        assert float(errors.memorization_loss) == pytest.approx(float(errors.train_loss))


@pytest.mark.parametrize(
    "classes, target", [(None, "score"), (2, "score"), (None, "data"), (2, "velocity")]
)
def test_one_noise_per_point_obeys_leave_one_out(classes, target):
    """At m = 1 memorization comes by averaging over fresh noises: K_mem by a finite network.

    A direct check of K_mem: networks with Gaussian features of exactly these moments.
    """
    p, d, n, m, lam, trials = 60, 20, 80, 2, 0.05, 60
    moments, target = random_moments(classes, seed=5, p=p, d=d), TARGETS[target]
    c_x, c_z = combination(target)
    rng = np.random.default_rng(1)
    w = np.ones(1) if classes is None else np.asarray(moments.weights)
    S_g, S_s, T = moments.rotated.shared, moments.rotated.fresh, moments.rotated.cross
    T_x, X2 = moments.rotated.cross_data, moments.rotated.square_data
    # f = (T_x x/X2 + more) + (T z + rest): Cov_z f = S_s = T T^T + rest needs S_s - T T^T
    # positive, and S_g the same of x.
    more = [
        np.linalg.cholesky(S - t @ t.T / size + 1e-12 * np.eye(p))
        for S, t, size in zip(S_g, T_x, X2, strict=True)
    ]
    rest = [
        np.linalg.cholesky(S - t @ t.T + 1e-12 * np.eye(p)) for S, t in zip(S_s, T, strict=True)
    ]
    found = []
    for _ in range(trials):
        c = rng.choice(len(w), size=n, p=w)
        z, e = rng.normal(size=(n, m, d)), rng.normal(size=(n, m, p))
        x = np.sqrt(X2[c])[:, None] * rng.normal(size=(n, d))
        g = np.stack(
            [T_x[k] @ x[i] / X2[k] + more[k] @ rng.normal(size=p) for i, k in enumerate(c)]
        )
        f = g[:, None] + np.stack([z[i] @ T[k].T + e[i] @ rest[k].T for i, k in enumerate(c)])
        F, tau = f.reshape(-1, p), (c_x * x[:, None] + c_z * z).reshape(-1, d)
        B = np.linalg.solve(F.T @ F / len(F) + lam * np.eye(p), F.T @ tau / len(F)).T
        train = np.mean((F @ B.T - tau) ** 2)
        of_noise = [
            (np.sum((B @ t - c_z * np.eye(d)) ** 2) + np.sum((B @ r) ** 2)) / d
            for t, r in zip(T, rest, strict=True)
        ]
        again = np.mean((g @ B.T - c_x * x) ** 2) + np.mean([of_noise[k] for k in c])
        test = sum(
            q * (np.trace(B @ S @ B.T - 2 * c_x * B @ t) / d + c_x**2 * size + each)
            for q, S, t, size, each in zip(w, S_g, T_x, X2, of_noise, strict=True)
        )
        found.append([test, train, again])
    found = np.array(found)
    there = model(psi_n=n / d, psi_p=p / d, m=m, lam=lam, target=target)
    theory = losses(there.asymptotics(moments=moments))
    bars = found.std(axis=0, ddof=1) / math.sqrt(trials)
    # The shift of a finite size is of order 1/d² for such features, about 1 % here.
    assert np.all(np.abs(found.mean(axis=0) - theory) < 3 * bars + 0.015 * theory), (
        found.mean(axis=0), bars, theory,
    )  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("m, psi_n", [(2.0, 1.5), (1.0, 3.0), (jnp.inf, 2.0)])
def test_linear_features_are_the_averaged_theory(target, m, psi_n):
    """Without a ridge any p > d linear features fit the same linear map of y, whatever W is."""
    lam, p = 1e-7, 3 * D
    process, activation = rfdsm.FlowMatching(0.4), rfdsm.Polynomial((0.0, 1.0))
    a, h = (float(x) for x in process.scales())
    W = np.random.default_rng(0).normal(size=(p, D)) / math.sqrt(D)
    moments = rfdsm.Moments(
        a**2 * W @ W.T, h * W @ W.T, math.sqrt(h) * W, process, activation, T_x=a * W, X2=1.0
    )
    about = {"process": process, "activation": activation, "target": TARGETS[target]}
    there = model(psi_n=psi_n, m=m, lam=lam, **about)
    found, exact = there.asymptotics(moments=moments), there.asymptotics()
    np.testing.assert_allclose(losses(found), losses(exact), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["score", "velocity"])
def test_averaged_theory_is_the_limit_of_its_own_moments(target):
    """Exact moments of the Gaussian surrogate approach the W-averaged theory as p grows."""
    sizes, gaps = (32, 64, 128, 256), []
    problem = rfdsm.RFDSM(psi_n=2.0, psi_p=2.0, m=3.0, t=0.2, lam=1e-2, target=TARGETS[target])
    c = problem.activation.constants(*_scales(problem))
    exact = losses(problem.asymptotics())
    for d in sizes:
        found = []
        for seed in range(max(2, 1024 // d)):
            W = np.random.default_rng(seed).normal(size=(2 * d, d)) / math.sqrt(d)
            found.append(losses(problem.asymptotics(moments=surrogate(problem, c, W))))
        gaps.append(np.sqrt(np.mean((np.array(found) / exact - 1) ** 2, axis=0)))
    exponents = np.polyfit(np.log(sizes), np.log(gaps), 1)[0]
    print("exponents of the deviation in p:", exponents, "at p = 512:", gaps[-1])
    assert np.all(exponents < -0.8) and np.all(gaps[-1] < 0.01)


def _scales(problem):
    a, h = problem.process.scales()
    return a**2, h


def surrogate(problem, c, W):
    """Moments of b W y/√d + v ω + s ω' with W given (already divided by √d), Σ = 1."""
    a, h = problem.process.scales()
    one, linear = np.eye(len(W)), W @ W.T
    return rfdsm.Moments(
        c.b**2 * a**2 * linear + c.v2 * one, c.b**2 * h * linear + c.s2 * one,
        c.b * np.sqrt(h) * W, problem.process, problem.activation, T_x=c.b * a * W, X2=1.0,
    )  # fmt: skip


@pytest.mark.slow
def test_equal_classes_change_nothing():
    one = random_moments(seed=1)
    three = rfdsm.Moments(
        *(np.stack([x] * 3) for x in (one.S_g, one.S_s, one.T)), PROCESS,
        weights=[0.5, 0.3, 0.2], T_x=np.stack([one.T_x] * 3), X2=np.full(3, one.X2),
    )  # fmt: skip
    for target in TARGETS.values():
        there = model(target=target)
        np.testing.assert_allclose(
            losses(there.asymptotics(moments=three)), losses(there.asymptotics(moments=one)),
            rtol=1e-11,
        )  # fmt: skip


def test_the_basis_of_the_features_is_of_no_consequence():
    one = random_moments(2, seed=2)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(P, P)))[0]
    turned = rfdsm.Moments(
        rotation @ one.S_g @ rotation.T, rotation @ one.S_s @ rotation.T, rotation @ one.T,
        PROCESS, weights=one.weights, T_x=rotation @ one.T_x, X2=one.X2,
    )  # fmt: skip
    for target in (rfdsm.ScoreTarget(), rfdsm.VelocityTarget()):
        there = model(target=target)
        np.testing.assert_allclose(
            losses(there.asymptotics(moments=turned)), losses(there.asymptotics(moments=one)),
            rtol=1e-11,
        )  # fmt: skip


def test_the_left_out_are_the_population_without_the_training_points():
    all_, left = (
        model().asymptotics(moments=random_moments(seed=4, population=N)) for N in (None, 50)
    )
    share = 16 / 50
    expected = (all_.test_loss - share * all_.memorization_loss) / (1 - share)
    assert float(left.test_loss) == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(losses(left)[1:], losses(all_)[1:], rtol=1e-12)
    fewer = random_moments(seed=4).with_population(50)
    np.testing.assert_allclose(losses(model().asymptotics(moments=fewer)), losses(left))


@pytest.mark.parametrize("classes", [None, 3])
def test_solver_in_extreme_places(classes):
    moments = random_moments(classes, seed=6)
    rng = np.random.default_rng(0)
    count = 300
    psi_n, lam = 10 ** rng.uniform(-2, 2, count), 10 ** rng.uniform(-8, 2, count)
    u = np.where(rng.random(count) < 0.3, 0, rng.random(count))
    u[:20], psi_n[:20] = 1 / 3, P / D / 3 * 3 / 3  # near the peak, p = n m
    solve = jax.jit(
        jax.vmap(
            lambda moments, n, u, lam: model(psi_n=n, lam=lam).solve(
                inverse_m=u, moments=moments
            ),
            in_axes=(None, 0, 0, 0),
        )
    )
    solution = solve(moments, psi_n, u, lam)
    assert np.asarray(solution.status == rfdsm.Status.success).all()
    assert float(jnp.max(solution.residual)) < 1e-12
    values = np.stack([getattr(solution.errors, name) for name in LOSSES])
    assert np.isfinite(values).all() and np.all(values > -1e-9)


@pytest.mark.slow
def test_start_and_newton_agree():
    """From far away Newton alone reaches the root that the quick steps find."""
    moments = random_moments(2, seed=7)
    population = MeasuredEquations(jnp.asarray(16.0), moments.rotated)
    lam, u = jnp.asarray(1e-3), jnp.asarray(0.25)
    root, steps = solve_unknowns(population, lam, u)
    assert steps == 0
    unknowns = 100 * root
    for _ in range(12):
        state = population.state(unknowns, lam, u)
        step = population.newton_step(state, population.residual(state))
        unknowns = unknowns * jnp.exp(jnp.clip(step, -3, 3))
    np.testing.assert_allclose(unknowns, root, rtol=1e-11)


# Derivatives.


@pytest.mark.slow
@pytest.mark.parametrize("classes", [None, 3])
def test_derivatives_against_central_differences(classes):
    moments = random_moments(classes, seed=8, population=100)
    at = jnp.array([2.0, 3.0, 1e-2])

    def f(v):
        problem = model(psi_n=v[0], m=v[1], lam=v[2])
        errors = problem.asymptotics(moments=moments)
        return jnp.stack([getattr(errors, name) for name in LOSSES])

    backward, forward = jax.jit(jax.jacrev(f))(at), jax.jit(jax.jacfwd(f))(at)
    np.testing.assert_allclose(backward, forward, rtol=1e-9)
    differences = np.stack(
        [(f(at + e) - f(at - e)) / (2 * e.sum()) for e in np.diag(1e-5 * np.asarray(at))], 1
    )
    np.testing.assert_allclose(backward, differences, rtol=1e-6)
    hessian = jax.jit(jax.hessian(lambda v: f(v)[0]))(at)
    slope = jax.jit(jax.grad(lambda v: f(v)[0]))
    differences = np.stack(
        [
            (slope(at + e) - slope(at - e)) / (2 * e.sum())
            for e in np.diag(1e-4 * np.asarray(at))
        ]
    )
    np.testing.assert_allclose(hessian, differences, rtol=1e-4)


def test_what_was_measured_has_no_derivative():
    """NaN, never 0, in psi_p, process, activation and data; right ones beside it."""
    activation = rfdsm.LeakyReLU(0.1)
    one = random_moments(seed=9)
    moments = rfdsm.Moments(one.S_g, one.S_s, one.T, PROCESS, activation)
    problem = model(activation=activation)

    def loss(m):
        return m.asymptotics(moments=moments).test_loss

    right = jax.grad(lambda lam: loss(problem.replace(lam=lam)))(1e-2)
    for grads in (jax.grad(loss)(problem), jax.jacfwd(loss)(problem)):
        measured = (grads.psi_p, grads.process.t, grads.activation.slope)
        assert np.isnan(measured).all() and np.isnan(grads.data.eigenvalues).all()
        assert float(grads.training.lam) == pytest.approx(float(right), rel=1e-10)
        assert np.isfinite([grads.psi_n, grads.m]).all()


def test_what_is_unknown_has_no_derivative_and_spoils_none():
    moments = random_moments(seed=9)
    for jacobian in (jax.jacrev, jax.jacfwd):
        grads = jacobian(lambda n: model(psi_n=n).asymptotics(moments=moments))(2.0)
        assert np.isnan([grads.score_error, grads.bias2, grads.variance]).all()
        assert np.isfinite(losses(grads)).all() and np.all(losses(grads) != 0)


def test_bad_rows_are_nan_and_spoil_none():
    moments = random_moments(seed=9, population=40)
    solve = jax.jit(jax.vmap(lambda n: model(psi_n=n).solve(moments=moments)))
    rows = jnp.array([2.0, 5.0, -1.0, jnp.nan])
    status = solve(rows).status
    assert list(np.asarray(status == rfdsm.Status.success)) == [True, False, False, False]
    assert list(np.asarray(status == rfdsm.Status.other_moments)) == [False, True, False, False]
    for transform in (jax.grad, jax.jacfwd):
        slopes = jax.vmap(
            transform(lambda n: model(psi_n=n).asymptotics(moments=moments).test_loss)
        )(rows)
        assert np.isfinite(slopes[0]) and np.isnan(slopes[1:]).all()
    widths = jax.vmap(lambda x: model(psi_p=x).solve(moments=moments))(jnp.array([3.0, 2.0]))
    assert list(np.asarray(widths.status == rfdsm.Status.other_moments)) == [False, True]
    assert np.isnan(widths.errors.test_loss[1])


def test_several_draws_are_solved_one_by_one():
    moments = random_moments(2, seed=10, draws=3)
    assert moments.draws == 3
    errors = model().asymptotics(moments=moments)
    assert errors.test_loss.shape == (3,)
    second = rfdsm.Moments(
        moments.S_g[1], moments.S_s[1], moments.T[1], PROCESS, weights=moments.weights
    )
    expected = losses(model().asymptotics(moments=second))
    np.testing.assert_allclose(losses(errors)[:, 1], expected, rtol=1e-10)


def test_points_are_of_one_size_in_every_draw():
    """X2 with and without the axis of draws, with and without classes."""
    for classes in (None, 2):
        each = random_moments(classes, seed=10, draws=3)
        arrays = each.S_g, each.S_s, each.T, PROCESS
        one = rfdsm.Moments(*arrays, weights=each.weights, T_x=each.T_x, X2=each.X2[0])
        assert each.rotated.square_data.shape == one.rotated.square_data.shape
        assert each.axes_of_draws().X2 == 0 and one.axes_of_draws().X2 is None
        np.testing.assert_array_equal(each.draw(1).T_x, each.T_x[1])
        np.testing.assert_array_equal(each.draw(1).X2, each.X2[1])
        np.testing.assert_array_equal(one.draw(1).X2, each.X2[0])
        np.testing.assert_array_equal(
            one.draw(1).rotated.square_data, np.atleast_1d(each.X2[0])
        )


def test_moments_are_arguments_of_compiled_functions():
    moments = random_moments(2, seed=11)
    compiled = jax.jit(lambda m, moments: m.solve(moments=moments).errors.test_loss)
    value = compiled(model(), moments)
    assert float(value) == pytest.approx(float(model().asymptotics(moments=moments).test_loss))
    compiled(model(lam=0.3), moments)
    assert compiled._cache_size() == 1


# What is refused.


def test_bad_moments_are_one_line(capsys):
    good = random_moments(seed=0)
    S_g, S_s, T = good.S_g, good.S_s, good.T
    skew = np.triu(np.ones((P, P)))
    negative = S_g - 2 * np.eye(P)
    small = S_s - 0.2 * np.eye(P)
    for arguments, message in (
        ((S_g + skew, S_s, T), "not symmetric"),
        ((S_g, S_s + skew, T), "not symmetric"),
        ((negative, S_s, T), "S_g is not positive"),
        ((S_g, small, T), "S_s is not positive"),
        ((S_g[:-1], S_s, T), "square"),
        ((S_g, S_s[:-1, :-1], T), "one shape"),
        ((S_g, S_s, T[:-1]), "row for each"),
        ((*[np.stack([[S_g] * 2] * 2)] * 2, np.stack([[T] * 2] * 2)), "weights="),
        ((S_g * np.nan, S_s, T), "NaN"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message) as info:
            rfdsm.Moments(*arguments)
        assert "\n" not in str(info.value)
    T_x, X2 = good.T_x, good.X2
    for known, message in (
        (dict(T_x=T_x), "both or neither"),
        (dict(X2=X2), "both or neither"),
        (dict(T_x=T_x[:-1], X2=X2), "shape of T"),
        (dict(T_x=T_x, X2=[X2, X2]), "each class"),
        (dict(T_x=T_x * np.nan, X2=X2), "NaN"),
        (dict(T_x=T_x, X2=-X2), "X2 must be positive"),
        (dict(T_x=T_x, X2=0.01 * X2 / D), "per dimension"),
        (
            dict(
                T_x=T_x,
                X2=X2,
                parts=Parts(*(x[None, None] for x in (S_g, S_s, T)), np.ones((1, 1))),
            ),
            "both or neither",
        ),
    ):
        with pytest.raises(ValueError, match=message) as info:
            rfdsm.Moments(S_g, S_s, T, **known)
        assert "\n" not in str(info.value)
    stacked = [np.stack([x] * 2) for x in (S_g, S_s, T)]
    for weights, message in (
        ([0.5, 0.4], "sum to 1"),
        ([1.0, 0.0], "positive"),
        ([1.0], "one share"),
    ):
        with pytest.raises(ValueError, match=message):
            rfdsm.Moments(*stacked, weights=weights)
    with pytest.raises(TypeError, match="process"):
        rfdsm.Moments(S_g, S_s, T, process="ou")
    with pytest.raises(ValueError, match="population"):
        rfdsm.Moments(S_g, S_s, T, population=1)
    with pytest.raises(TypeError, match="S_g"):
        rfdsm.Moments("x", S_s, T)


def test_other_models_are_refused():
    one = random_moments(seed=0)
    moments = rfdsm.Moments(one.S_g, one.S_s, one.T, PROCESS, rfdsm.Tanh(), population=40)
    for changes, message in (
        (dict(psi_p=2.0), "psi_p"),
        (dict(process=rfdsm.OrnsteinUhlenbeck(0.3)), "process"),
        (dict(activation=rfdsm.ReLU()), "activation"),
        (dict(psi_n=5.0), "more training points"),
    ):
        for method in ("solve", "asymptotics"):
            with pytest.raises(ValueError, match=message) as info:
                getattr(model(**changes), method)(moments=moments)
            assert "\n" not in str(info.value)


def test_moments_without_the_data_know_targets_of_the_noise_alone():
    one = random_moments(seed=0)
    moments = rfdsm.Moments(one.S_g, one.S_s, one.T, PROCESS)
    found, expected = (losses(model().asymptotics(moments=each)) for each in (moments, one))
    np.testing.assert_array_equal(found, expected)
    message = "^these moments know targets of the noise alone .no T_x.: measure again."
    for target in (rfdsm.DataTarget(), rfdsm.LinearTarget(0.0, 1.0)):
        with pytest.raises(ValueError, match=f"{message}$"):
            model(target=target).solve(moments=moments)
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(lambda m: m.solve(moments=moments).errors, model(target=target))


# The measurement.


def weights(problem, seed):
    d = problem.data.X.shape[1]
    return np.random.default_rng(seed).normal(size=(round(float(problem.psi_p) * d), d))


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    X = rng.standard_t(5, size=(300, 6)) * np.array([1.5, 1.2, 1.0, 0.8, 0.4, 0.1])
    return rfdsm.Samples(rfdsm.standardise(X))


@pytest.fixture(scope="module")
def problem(samples):
    return rfdsm.RFDSM(psi_n=4.0, psi_p=3.0, m=2, t=0.2, lam=1e-2, data=samples)


def exact_by_quadrature(problem, W):
    """The moments by Gauss-Hermite in the two directions that a pair of rows of W sees."""
    X = problem.data.X
    a, h = (float(x) for x in problem.process.scales())
    g, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    d, p = X.shape[1], len(W)
    length = np.linalg.norm(W, axis=1)
    mean = a * X @ W.T / math.sqrt(d)
    step = math.sqrt(h / d)
    first = np.tanh(mean[:, :, None] + step * length[:, None] * g)
    G, slope = first @ w, first @ (w * g)
    S_g = G.T @ G / len(X)
    T = np.mean(slope, 0)[:, None] * W / length[:, None]
    T_x, X2 = G.T @ X / len(X), np.mean(X**2)
    total = np.empty((p, p))
    for i in range(p):
        for j in range(p):
            r = W[i] @ W[j] / (length[i] * length[j])
            other = mean[:, j, None, None] + step * length[j] * (
                r * g[:, None] + math.sqrt(max(0, 1 - r * r)) * g
            )
            total[i, j] = np.mean(np.einsum("nx,nxy,x,y->n", first[:, i], np.tanh(other), w, w))
    return {"S_g": S_g, "S_s": total - S_g, "T": T, "T_x": T_x, "X2": X2}


def test_exact_averages_are_the_integrals(samples):
    problem = rfdsm.RFDSM(
        psi_n=4.0,
        psi_p=1.0,
        m=2,
        t=0.2,
        lam=1e-2,
        data=rfdsm.Samples(rfdsm.standardise(samples.X[:40])),
    )
    key, W = jax.random.key(1), weights(problem, 1)
    got = rfdsm.measure(problem, key, math.inf, classes=1, W=W, halves=False, report=quiet)
    for name, exact in exact_by_quadrature(problem, W).items():
        np.testing.assert_allclose(getattr(got, name), exact, atol=1e-9)
    assert got.population == 40 and got.classes == 1 and got.draws is None


@pytest.mark.parametrize("noises", [2, 8, 32])
def test_finitely_many_noises_leave_no_bias(problem, noises):
    """The mean over many measurements is the exact one, within four standard errors."""
    features = NetworkFeatures(problem.activation, jnp.asarray(weights(problem, 2)))
    X, noising = problem.data.X, problem.process.noising()
    points = np.arange(len(X))
    exact = stream.sums(jax.random.key(0), features, X, points, noising, math.inf).moments(
        math.inf
    )
    found = [
        stream.sums(jax.random.key(i), features, X, points, noising, noises).moments(noises)
        for i in range(40)
    ]
    for name in ("S_g", "S_s", "T", "T_x"):
        each = np.stack([one[name] for one in found])
        bars = each.std(axis=0, ddof=1) / math.sqrt(len(each))
        z = (each.mean(axis=0) - exact[name]) / bars
        assert np.max(np.abs(z)) < 4.5 and abs(np.mean(z)) < 0.5, (name, np.max(np.abs(z)))
    # Without the correction it would show: S_s/noises is many standard errors.
    each = np.stack([one["S_g"] for one in found])
    bars = each.std(axis=0, ddof=1) / math.sqrt(len(each))
    assert np.mean(np.diagonal(exact["S_s"] / noises / bars)) > 5
    for one in found:
        assert one["X2"] == pytest.approx(np.mean(X**2), rel=1e-13)


def test_blocks_and_classes_only_order_the_sums(problem, monkeypatch):
    key = jax.random.key(3)
    whole = rfdsm.measure(problem, key, 4, classes=1, halves=False, report=quiet)
    parts = rfdsm.measure(problem, key, 4, classes=5, halves=False, report=quiet)
    np.testing.assert_allclose(parts.weights.sum(), 1)
    for name in ("S_g", "S_s", "T", "T_x", "X2"):
        mean = np.tensordot(parts.weights, getattr(parts, name), 1)
        np.testing.assert_allclose(
            mean, getattr(whole, name), atol=2e-2 if name == "S_g" else 1e-12
        )
    monkeypatch.setattr(stream, "BLOCK_ROWS", 64)
    blocks = rfdsm.measure(problem, key, 4, classes=1, halves=False, report=quiet)
    for name in ("S_g", "S_s", "T_x", "X2"):
        np.testing.assert_allclose(getattr(blocks, name), getattr(whole, name), atol=1e-13)


@few
def test_halves_are_halves(problem):
    key = jax.random.key(4)
    both = rfdsm.measure(problem, key, 8, classes=3, halves=True, report=quiet)
    assert both.halves.draws == 2 and both.halves.population == 150
    for name in ("S_s", "T", "T_x", "X2"):
        mean = np.mean(getattr(both.halves, name), axis=0)
        np.testing.assert_allclose(mean, getattr(both, name), atol=1e-12)


@few
def test_saved_and_loaded_whole(problem, tmp_path):
    for classes in (1, 3):
        moments = rfdsm.measure(problem, jax.random.key(5), 4, classes=classes, report=quiet)
        moments.save(tmp_path / "m.npz")
        loaded = rfdsm.Moments.load(tmp_path / "m.npz")
        assert jax.tree.structure(loaded) == jax.tree.structure(moments)
        for x, y in zip(jax.tree.leaves(loaded), jax.tree.leaves(moments), strict=True):
            np.testing.assert_array_equal(x, y)
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]
    with pytest.raises(ValueError, match=r"\.npz"):
        moments.save(tmp_path / "m.txt")
    (tmp_path / "bad.npz").write_text("nothing")
    with pytest.raises(ValueError, match="not a file of moments"):
        rfdsm.Moments.load(tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match="not a file of moments"):
        rfdsm.Moments.load(tmp_path / "other.npz")


@few
def test_files_of_earlier_moments_know_targets_of_the_noise_alone(problem, tmp_path):
    """Format 1 has no T_x; what a later rfdsm wrote is refused."""
    moments = rfdsm.measure(
        problem, jax.random.key(5), 4, classes=2, warned=False, report=quiet
    )
    moments.save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        arrays = dict(file)

    def written(format_, names):
        about = json.loads(str(arrays["about"])) | {"format": format_}
        kept = {name: x for name, x in arrays.items() if name.split(".")[-1] in names}
        np.savez(tmp_path / "other.npz", **kept | {"about": json.dumps(about)})
        return tmp_path / "other.npz"

    earlier = rfdsm.Moments.load(written(1, ("S_g", "S_s", "T", "weights", "population")))
    assert earlier.T_x is None and earlier.parts.T_x is None and earlier.population == 300
    for name in ("S_g", "S_s", "T", "weights"):
        np.testing.assert_array_equal(getattr(earlier, name), getattr(moments, name))
    with pytest.raises(ValueError, match="no T_x"):
        problem.replace(target=rfdsm.DataTarget()).solve(moments=earlier)
    with pytest.raises(ValueError, match="later rfdsm"):
        rfdsm.Moments.load(written(3, arrays))


@few
def test_a_function_of_ones_own_is_given_again(problem, tmp_path):
    own = rfdsm.Activation(jnp.arctan)
    moments = rfdsm.measure(
        problem.replace(activation=own), jax.random.key(5), 4, classes=1, report=quiet
    )
    moments.save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match="activation="):
        rfdsm.Moments.load(tmp_path / "m.npz")
    assert rfdsm.Moments.load(tmp_path / "m.npz", activation=own).activation == own


@few
def test_the_choice_of_classes_and_long_work_are_said(problem, monkeypatch):
    from rfdsm import progress

    lines = []
    rfdsm.measure(problem, jax.random.key(6), 4, report=lines.append)
    (line,) = (line for line in lines if line.said)
    assert "leverage varies" in line and "class" in line
    monkeypatch.setattr(progress, "LONG", 0.0)
    monkeypatch.setattr(stream, "BLOCK_ROWS", 256)
    lines.clear()
    rfdsm.measure(problem, jax.random.key(6), 4, classes=1, report=lines.append)
    assert "about" in lines[0] and "GiB" in lines[0] and "300 points" in lines[0]
    assert any("points/s, about" in line and "s left" in line for line in lines[1:])


def test_bad_measurements_are_one_line(problem, samples):
    key = jax.random.key(0)
    for changes, arguments, message in (
        (dict(data=rfdsm.Gaussian()), {}, "Samples"),
        (dict(psi_n=50.0), dict(halves=False), "lower psi_n"),
        (dict(psi_p=0.01), {}, "no features"),
        ({}, dict(noises=1), "noises"),
        ({}, dict(noises=2.5), "noises"),
        ({}, dict(classes=0), "classes"),
        ({}, dict(classes=200), "too many"),
        ({}, dict(draws=0), "draws"),
        ({}, dict(W=np.ones((3, 6))), "W must be"),
        ({}, dict(W=np.ones((18, 6)), draws=2), "without draws"),
    ):
        with pytest.raises(ValueError, match=message) as info:
            rfdsm.measure(problem.replace(**changes), key, report=quiet, **arguments)
        assert "\n" not in str(info.value)
    X = samples.X
    for function, message in (
        (lambda y: y[0], "matrix"),
        (lambda y: y[:-1], "matrix"),
        (lambda y: y * np.nan, "NaN"),
        (lambda y: y.astype(int), "matrix"),
    ):
        with pytest.raises(ValueError, match=message):
            rfdsm.measure_features(function, X, PROCESS, key, report=quiet)
    with pytest.raises(TypeError, match="callable"):
        rfdsm.measure_features(3, X, PROCESS, key)
    with pytest.raises(TypeError, match="process"):
        rfdsm.measure_features(np.tanh, X, 0.2, key)
    with pytest.raises(ValueError, match="noises"):
        rfdsm.measure_features(np.tanh, X, PROCESS, key, noises=math.inf)


def test_features_of_a_function_are_those_of_the_network(problem):
    """The same W as a plain function gives the same moments: the noises are the points' own."""
    W = weights(problem, 7)
    X = problem.data.X
    ours = NetworkFeatures(problem.activation, jnp.asarray(W))
    of_points = lambda y: np.tanh(y @ W.T / math.sqrt(X.shape[1]))  # noqa: E731
    theirs, noising = FunctionFeatures(of_points, len(W)), problem.process.noising()
    for features in (ours, theirs):
        key, points = jax.random.key(8), np.arange(100)
        found = stream.sums(key, features, X, points, noising, 4).moments(4)
        if features is ours:
            expected = found
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-12)


def test_few_points_warn_with_a_number(problem):
    few = problem.replace(
        data=rfdsm.Samples(rfdsm.standardise(problem.data.X[:60])), psi_n=2.0, psi_p=8.0
    )
    with pytest.warns(UserWarning, match=r"N = 60 points .* % only .* would be enough"):
        rfdsm.measure(few, jax.random.key(9), classes=1, report=quiet)
    with pytest.raises(ValueError, match="halves"):
        rfdsm.sampling_error(model(), random_moments())


@pytest.mark.slow
def test_the_sampling_error_covers_what_more_points_change():
    """Against moments of 20 times as many points: within three error bars."""
    rng = np.random.default_rng(3)
    X = rng.standard_t(6, size=(12_000, 8))
    X = rfdsm.standardise(X)
    base = rfdsm.RFDSM(psi_n=4.0, psi_p=2.0, m=2, t=0.2, lam=1e-2, data=rfdsm.Samples(X))
    key = jax.random.key(10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        many = rfdsm.measure(base, key, classes=1, halves=False, report=quiet)
        truth = base.asymptotics(moments=many)
        scores = []
        for start in range(0, 12_000, 600):
            few = base.replace(data=rfdsm.Samples(X[start : start + 600]))  # the mean may warn
            moments = rfdsm.measure(few, key, classes=1, halves=True, report=quiet)
            bar = float(rfdsm.sampling_error(few, moments).total.test_loss)
            value = float(few.asymptotics(moments=moments).test_loss)
            scores.append((value - float(truth.test_loss)) / bar)
    scores = np.array(scores)
    print("deviations in error bars:", np.round(scores, 1))
    assert np.median(np.abs(scores)) < 2 and np.mean(np.abs(scores) < 3) >= 0.7


@pytest.mark.slow
def test_moments_of_gaussian_samples_meet_the_averaged_theory():
    """50,000 Gaussian points: the mean over draws of W is the theory, within three error bars.

    Finite d shifts both the moments' result and a network's by c/d: two dimensions remove it.
    """
    results = {}
    for d in (32, 64):
        X = np.random.default_rng(d).normal(size=(50_000, d))
        problem = rfdsm.RFDSM(
            psi_n=2.0, psi_p=2.0, m=4, t=0.2, lam=1e-2, data=rfdsm.Samples(rfdsm.standardise(X))
        )
        moments = rfdsm.measure(
            problem, jax.random.key(d), 8, classes=1, draws=16, halves=False, report=quiet
        )
        found = losses(problem.asymptotics(moments=moments))
        results[d] = found.mean(axis=1), found.std(axis=1, ddof=1) / 4
    exact = losses(problem.replace(data=rfdsm.Gaussian()).asymptotics())
    limit = 2 * results[64][0] - results[32][0]
    bar = np.hypot(2 * results[64][1], results[32][1])
    print("relative to theory: d = 32, 64, extrapolated, error bar:")
    for each in (results[32][0] / exact - 1, results[64][0] / exact - 1, limit / exact - 1):
        print("  ", np.round(each, 5))
    print("  ", np.round(bar / exact, 5))
    assert np.all(np.abs(limit - exact) < 3 * bar)
