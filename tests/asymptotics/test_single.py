"""The theory in float32: its bound holds, and what it cannot hold is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm._numerics.promotion import cast
from rfdsm.asymptotics import single
from rfdsm.asymptotics.learning_curve import learning_curve, solved
from rfdsm.asymptotics.solution import averaged_equations
from rfdsm.asymptotics.two_point import two_point
from rfdsm.errors import FIELDS, NEED_TRUE_SCORE, codes

WIDE = dict(psi=(0.01, 100), lam=(1e-8, 10), t=(1e-3, 3))
HARD = dict(psi=(1e-3, 1e3), lam=(1e-12, 1e3), t=(1e-4, 10))
MODEL = rfdsm.RFDSM(8.0, 16.0, 4.0, t=0.1, lam=1e-3)
LINEAR = rfdsm.Polynomial((0.0, 1.0))


def points(box, count, seed):
    """(psi_n, psi_p, 1/m, lam, t), a third near p = n or p = n m, some near m = 1 and m = ∞."""
    rng = np.random.default_rng(seed)

    def log_uniform(low, high):
        return np.exp(rng.uniform(np.log(low), np.log(high), count))

    psi_n, psi_p, lam, t = (log_uniform(*box[name]) for name in ("psi", "psi", "lam", "t"))
    kinds = np.stack(
        [
            np.zeros(count),
            np.ones(count),
            log_uniform(1e-3, 1),
            1 - log_uniform(1e-9, 1),
            rng.random(count),
        ]
    )
    u = kinds[rng.integers(5, size=count), np.arange(count)]
    near = np.exp(rng.normal(size=count) * log_uniform(1e-7, 1))
    kind = rng.integers(6, size=count)
    psi_p = np.where(kind == 0, psi_n * near, psi_p)
    psi_p = np.where((kind == 1) & (u > 0.01), psi_n / np.maximum(u, 0.01) * near, psi_p)
    return psi_n, psi_p, u, lam, t


def both(box, count, seed, **kinds):
    """(float64, float32) solutions at points, the least scale of score errors."""

    @jax.jit
    @jax.vmap
    def solve(psi_n, psi_p, u, lam, t):
        model = rfdsm.RFDSM(psi_n, psi_p, 2.0, lam=lam, t=t, **kinds)
        noised = model.process.noising().variances(model.data.law().eigenvalues[0])
        exact = model.solve(inverse_m=u)
        return exact, model.solve(inverse_m=u, precision="float32"), 1 / noised

    return solve(*map(jnp.asarray, points(box, count, seed)))


def off(exact, errors, truth):
    """The largest error of any of the six, in the units of `Solution.rounding`."""
    worst = 0.0
    for name in FIELDS:
        value = getattr(exact, name)
        least = truth if name in NEED_TRUE_SCORE else 1.0
        found = getattr(errors, name).astype(float)
        worst = jnp.maximum(worst, jnp.abs(found - value) / jnp.maximum(value, least))
    return worst


@pytest.mark.parametrize(
    ("box", "kinds", "share"),
    [
        (WIDE, {}, 0.96),
        (HARD, {}, 0.9),
        (HARD, {"activation": rfdsm.ReLU(), "target": rfdsm.VelocityTarget()}, 0.9),
        (HARD, {"activation": rfdsm.Erf(), "target": rfdsm.DataTarget()}, 0.5),
        (HARD, {"activation": LINEAR}, 0.9),
        (WIDE, {"data": rfdsm.Gaussian([10.0])}, 0.95),
        (WIDE, {"data": rfdsm.Gaussian([0.01]), "target": rfdsm.AngleTarget(0.5)}, 0.8),
    ],
)
def test_the_bound_holds(box, kinds, share):
    exact, found, truth = both(box, 30_000, seed=1, **kinds)
    success = (exact.status == rfdsm.Status.success) & (found.status == rfdsm.Status.success)
    assert np.mean(success) > share
    assert np.all(success | (found.status == rfdsm.Status.needs_float64))
    bound = np.asarray(found.rounding, float)
    ratio = np.asarray(off(exact.errors, found.errors, truth) / bound)[success]
    assert ratio.max() < 1  # and is no more than some ten times too large where it is sharp
    assert ratio.max() > 0.02
    assert bound[success].max() <= np.float32(single.TOLERANCE)
    assert np.all(np.isnan(found.errors.test_loss) == ~success)


def test_what_float32_cannot_hold_is_refused():
    """At p = n m with next to no ridge the errors would be wrong by up to a hundredth."""
    psi_n, _, _, _, t = points(WIDE, 3000, seed=2)
    u, lam = np.where(np.arange(3000) % 3, 1.0, 0.5), np.geomspace(1e-14, 1e-6, 3000)

    @jax.jit
    @jax.vmap
    def solve(psi_n, psi_p, u, lam, t):
        model = rfdsm.RFDSM(psi_n, psi_p, 2.0, lam=lam, t=t)
        problem = cast(model._numbers(u), jnp.float32)
        equations = single.SingleEquations(**vars(averaged_equations(problem)[0]))
        nodes = problem.training.nodes(problem.rate)
        found = learning_curve(solved(equations, nodes, problem.inverse_m))
        exact, checked = (
            model.solve(inverse_m=u, precision=name) for name in ("float64", "float32")
        )
        return off(exact.errors, found, 1.0), checked.status

    wrong, status = solve(*map(jnp.asarray, (psi_n, psi_n / u, u, lam, t)))
    assert np.sum(wrong > 1e-3) > 30 and wrong.max() > 0.01
    assert np.all(status[wrong > 1e-3] == rfdsm.Status.needs_float64)
    assert np.sum(status == rfdsm.Status.success) > 300
    assert "float64" in rfdsm.Status[rfdsm.Status.needs_float64]


@pytest.mark.parametrize("target", [rfdsm.ScoreTarget(), rfdsm.VelocityTarget()])
def test_its_source_of_training_points_is_the_usual_one(target):
    """In float64, between two different points too."""
    model = rfdsm.RFDSM(2.0, 5.0, 3.0, t=0.3, lam=1e-2, target=target)
    equations, _ = averaged_equations(model._problem())
    rearranged = single.SingleEquations(**vars(equations))
    u = jnp.asarray(1 / 3)

    def state(lam):
        return equations.state(equations.root(jnp.asarray(lam), u)[0], jnp.asarray(lam), u)

    left, right = state(1e-2), state(0.3)
    for points in ((left, left), (left, right), (right, left)):
        found, expected = (
            two_point(each, *points, each.sources(*points)) for each in (rearranged, equations)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_float64_is_untouched():
    usual, named = MODEL.solve(), MODEL.solve(precision="float64")
    assert usual.rounding is None
    assert jax.tree.leaves(usual) == jax.tree.leaves(named)
    programs = (
        str(jax.make_jaxpr(lambda x, k=kind: MODEL.replace(psi_p=x).solve(**k))(3.0))
        for kind in ({}, {"precision": "float64"})
    )
    assert len(set(programs)) == 1


def test_numbers_of_any_precision_give_float32():
    found = MODEL.solve(precision="float32")
    assert {leaf.dtype for leaf in jax.tree.leaves(found.errors)} == {np.dtype(np.float32)}
    assert found.rounding.dtype == np.float32 and found.status == rfdsm.Status.success
    rounded = jax.tree.map(lambda x: x.astype(np.float32), MODEL)
    inside = jax.jit(lambda model: model.solve(precision="float32"))
    for other in (rounded.solve(precision="float32"), inside(MODEL), inside(rounded)):
        for name in FIELDS:
            x, y = getattr(found.errors, name), getattr(other.errors, name)
            assert y.dtype == np.float32 and abs(x - y) < found.rounding * max(x, 1)
    with jax.enable_x64(False):  # as users of accelerators have it
        model = rfdsm.RFDSM(8, 16, 4, t=0.1, lam=1e-3)
        assert model.psi_n.dtype == np.float32
        loss = model.solve(precision="float32").errors.test_loss
        assert loss.dtype == np.float32
        with pytest.raises(TypeError, match='precision="float32"'):
            model.solve()
    assert float(loss) == pytest.approx(float(MODEL.asymptotics().test_loss), rel=1e-5)


def test_rows_have_their_own_status():
    def solve(lam, t):
        return MODEL.replace(psi_n=16.0, m=1.0, lam=lam, t=t).solve(precision="float32")

    lams, ts = jnp.array([1e-3, 1e-11, -1.0, 1e-3]), jnp.array([0.1, 0.1, 0.1, jnp.nan])
    found = jax.jit(jax.vmap(solve))(lams, ts)
    names = "success", "needs_float64", "invalid_input", "invalid_input"
    expected = [int(codes(getattr(rfdsm.Status, name))) for name in names]
    np.testing.assert_array_equal(codes(found.status), expected)
    assert found.errors.variance.shape == found.rounding.shape == (4,)
    np.testing.assert_array_equal(np.isnan(found.errors.variance), [False, True, True, True])
    wide = MODEL.replace(data=rfdsm.Gaussian([1e4])).solve(precision="float32")
    assert wide.status == rfdsm.Status.constants_out_of_range


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"training": rfdsm.GradientFlow(1.0)}, "GradientFlow"),
        ({"training": rfdsm.GradientDescent(10, 0.1)}, "GradientDescent"),
        ({"ensemble": rfdsm.Ensemble(2)}, "networks"),
        ({"data": rfdsm.Gaussian([1.9, 0.1])}, "2 eigenvalues"),
    ],
)
def test_what_has_no_bound_is_refused(changes, what):
    model = MODEL.replace(**changes)
    with pytest.raises(ValueError, match=f"no bound on its rounding for .*{what}") as no:
        model.solve(precision="float32")
    assert "\n" not in str(no.value) and "float64" in str(no.value)


def test_other_precisions_moments_and_derivatives_are_refused():
    with pytest.raises(ValueError, match="'float64' or 'float32', got 'mixed'"):
        MODEL.solve(precision="mixed")
    X = rfdsm.standardise(np.random.default_rng(0).normal(size=(16, 4)))
    samples = MODEL.replace(data=rfdsm.Samples(X), psi_n=2.0, psi_p=2.0)
    moments = rfdsm.measure(samples, jax.random.key(0), warned=False)
    with pytest.raises(ValueError, match="for measured moments"):
        samples.solve(moments=moments, precision="float32")

    def loss(psi_p):
        return MODEL.replace(psi_p=psi_p).solve(precision="float32").errors.test_loss

    for derivative in (jax.grad(loss), jax.jit(jax.jacfwd(loss))):
        with pytest.raises(TypeError, match="none for derivatives"):
            derivative(3.0)
    with pytest.raises(ValueError, match="inverse_m"):
        MODEL.solve(inverse_m=2.0, precision="float32")
