"""The contract of DESIGN.md: construction, transforms, replace, dictionaries, bad input."""

import json
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm


@pytest.fixture
def model():
    return rfdsm.RFDSM(psi_n=8.0, psi_p=16.0, m=4, t=0.1, lam=1e-3)


def test_public_names():
    expected = {
        "RFDSM", "Errors", "Solution", "Status", "NotConverged", "Baselines", "Sizes",
        "Ridge", "OrnsteinUhlenbeck", "Gaussian", "Samples", "standardise", "extrapolate",
        "Extrapolation", "Tanh", "ReLU", "LeakyReLU", "Erf", "Sin", "Cos", "Sigmoid", "SiLU",
        "GELU", "Polynomial", "Activation", "Moments", "measure", "measure_features",
        "SamplingError", "sampling_error", "GradientFlow",
        "GradientDescent", "timescales", "Timescales", "tune", "Tuned", "Verification",
        "Infeasible", "at_least", "at_most", "over_times", "pareto", "Front",
        "Network", "Atom", "AbstractProcess", "AbstractActivation", "AbstractData", "Law",
        "AbstractTraining", "AbstractSampler", "Constants", "FilterNodes", "number",
        "VariancePreserving", "VarianceExploding", "FlowMatching", "Preconditioned",
        "AbstractTarget", "ScoreTarget", "NoiseTarget", "DataTarget", "VelocityTarget",
        "LinearTarget", "AngleTarget", "PreconditionedTarget", "preconditioned",
        "implied_score", "implied_output", "AbstractEnsemble", "Ensemble", "Single", "Overlap",
        "VarianceParts", "CrossMoments", "Agreement", "Advice", "Reproducibility", "advise",
        "reproducibility",
    }  # fmt: skip
    assert {name for name in dir(rfdsm) if name[0].isupper() or name in expected} == expected
    for name in expected:
        assert getattr(rfdsm, name).__doc__, f"{name} has no docstring"


def test_shorthands_are_their_ingredients(model):
    spelled = rfdsm.RFDSM(
        psi_n=8.0, psi_p=16.0, m=4, process=rfdsm.OrnsteinUhlenbeck(0.1),
        training=rfdsm.Ridge(1e-3), activation=rfdsm.Tanh(), data=rfdsm.Gaussian(),
    )  # fmt: skip
    assert eqx.tree_equal(model, spelled)
    assert spelled.asymptotics().test_loss == model.asymptotics().test_loss


def test_numbers_are_float_arrays_from_construction_on(model):
    for leaf in jax.tree.leaves(model):
        assert isinstance(leaf, np.ndarray) and leaf.dtype == np.float64

    @jax.jit
    def inside(x):
        built = rfdsm.RFDSM(psi_n=x, psi_p=16, m=4, t=0.1, lam=1e-3)
        assert isinstance(built.psi_p, np.ndarray)  # a constant stays readable under jit
        return built.psi_n

    assert inside(2.0) == 2.0
    assert jax.grad(lambda m: model.replace(m=m).asymptotics().test_loss)(4.0) < 0
    assert jax.jit(lambda k: model.replace(m=k).asymptotics().test_loss)(4) == pytest.approx(
        float(model.asymptotics().test_loss), rel=1e-12
    )


def test_a_new_value_never_recompiles(model):
    traces = []

    @jax.jit
    def solve(m):
        traces.append(1)
        return m.solve()

    for x in (0.5, 3.0, 12.0):
        for changed in (
            model.replace(psi_p=x), model.replace(lam=x), model.replace(t=x),
            model.replace(psi_n=x), model.replace(m=1 + x), model.replace(m=jnp.inf),
        ):  # fmt: skip
            solve(changed)
    assert len(traces) == 1


def test_the_transforms_of_the_contract(model):
    grid = jnp.logspace(-1, 2, 30)
    batch = jax.jit(jax.vmap(lambda x: model.replace(psi_p=x).solve()))(grid)
    assert bool(jnp.all(batch.status == rfdsm.Status.success))
    one = model.replace(psi_p=grid[7]).solve()
    for many, single in zip(
        jax.tree.leaves(batch.errors), jax.tree.leaves(one.errors), strict=True
    ):
        assert many.shape == (30,)
        np.testing.assert_allclose(many[7], single, rtol=1e-10)
    assert jax.jit(lambda m: m.asymptotics())(model).bias2.shape == ()
    grads = eqx.filter_grad(lambda m: m.asymptotics().score_error)(model)
    assert isinstance(grads, rfdsm.RFDSM) and float(grads.training.lam) != 0


def test_errors_properties_and_statistics():
    rng = np.random.default_rng(0)
    trials, points = 7, 40
    deviation = rng.normal(size=(trials, points)) + 1.0
    gram = deviation @ deviation.T / points
    bias2 = (gram.sum(1) - np.diag(gram)) / (trials - 1)
    score = np.diag(gram)
    errors = rfdsm.Errors(score, score + 1, score + 2, score + 3, bias2, score - bias2)
    np.testing.assert_allclose(errors.generalization_gap, -1)
    np.testing.assert_allclose(errors.memorization_gap, -2)

    def left_out(values):  # the estimate without trial k, for every k
        keep = ~np.eye(trials, dtype=bool)
        return np.array([values(np.flatnonzero(row)) for row in keep])

    def pairs(kept):
        block = gram[np.ix_(kept, kept)]
        return (block.sum() - np.trace(block)) / (len(kept) * (len(kept) - 1))

    def jackknife(values):
        return np.sqrt((trials - 1) / trials * np.sum((values - values.mean()) ** 2))

    se = errors.standard_error()
    np.testing.assert_allclose(se.bias2, jackknife(left_out(pairs)), rtol=1e-12)
    np.testing.assert_allclose(
        se.variance, jackknife(left_out(lambda k: score[k].mean() - pairs(k))), rtol=1e-12
    )
    np.testing.assert_allclose(se.test_loss, score.std(ddof=1) / np.sqrt(trials), rtol=1e-12)
    np.testing.assert_allclose(
        se.bias2, 2 * (trials - 1) / (trials - 2) * bias2.std(ddof=1) / np.sqrt(trials)
    )
    assert float(errors.mean().bias2) == pytest.approx(bias2.mean())


def test_errors_show_their_numbers(model):
    errors = model.asymptotics()
    assert f"{errors.test_loss:.4f}" in repr(errors)
    assert f"{model.baselines().linear:.4f}" in repr(model.baselines())


def test_replace(model):
    assert model.replace(psi_p=3.0).psi_p == 3.0
    assert model.replace(t=0.5).process.t == 0.5
    assert model.replace(lam=0.5).training.lam == 0.5
    changed = model.replace(**{"training.lam": 0.25, "process.t": 0.75, "m": jnp.inf})
    assert (changed.training.lam, changed.process.t, changed.m) == (0.25, 0.75, np.inf)
    law = model.replace(**{"data.eigenvalues": (1.9, 0.1), "data.weights": (0.5, 0.5)}).data
    np.testing.assert_array_equal(law.eigenvalues, (1.9, 0.1))
    assert model.psi_p == 16.0  # a copy


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"psi": 1.0}, "has no 'psi'"),
        ({"training.tau": 1.0}, "Ridge, which has no 'tau'"),
        ({"activation.slope": 1.0}, "Tanh, which has no 'slope'"),
        ({"psi_n.x": 1.0}, "has no 'psi_n.x'"),
        ({"lam": 1.0, "training": rfdsm.Ridge(1.0)}, "both given"),
        ({"lam": 1.0, "training.lam": 1.0}, "given twice"),
        ({"psi_p": -1.0}, "psi_p"),
    ],
)
def test_replace_refuses(model, changes, message):
    with pytest.raises(ValueError, match=message) as raised:
        model.replace(**changes)
    assert "\n" not in str(raised.value)


def test_dictionaries_are_plain_json_and_come_back(model):
    models = (
        model,
        model.replace(m=jnp.inf, data=rfdsm.Gaussian((2.0, 0.0), (0.25, 0.75))),
        model.replace(activation=rfdsm.LeakyReLU(0.2)),
        model.replace(activation=rfdsm.Polynomial((0.0, 1.0, 0.3))),
    )
    for original in models:
        text = json.dumps(original.to_dict(), allow_nan=False)
        assert eqx.tree_equal(rfdsm.RFDSM.from_dict(json.loads(text)), original)
    assert models[1].to_dict()["m"] == "inf"


def test_dictionaries_refuse(model):
    with pytest.raises(ValueError, match="function"):
        model.replace(activation=rfdsm.Activation(jnp.arctan)).to_dict()
    X = np.random.default_rng(0).normal(size=(30, 4))
    with pytest.raises(ValueError, match="data set"):
        model.replace(data=rfdsm.Samples(rfdsm.standardise(X))).to_dict()
    with pytest.raises(ValueError, match="concrete"):
        jax.jit(lambda m: m.to_dict())(model)
    description = model.to_dict()
    with pytest.raises(ValueError, match="psi_q"):
        rfdsm.RFDSM.from_dict(description | {"psi_q": 1.0})
    with pytest.raises(ValueError, match="kind"):
        rfdsm.RFDSM.from_dict(description | {"training": {"kind": "Lasso"}})
    with pytest.raises(ValueError, match="training"):
        rfdsm.RFDSM.from_dict(description | {"training": {"kind": "Ridge", "tau": 1.0}})
    with pytest.raises(ValueError, match="target must be a mapping with its kind"):
        rfdsm.RFDSM.from_dict(description | {"target": "noise"})


GOOD = dict(psi_n=8.0, psi_p=16.0, m=4, t=0.1, lam=1e-3)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"psi_n": 0.0}, "psi_n"),
        ({"psi_n": math.nan}, "psi_n"),
        ({"psi_n": math.inf}, "psi_n"),
        ({"psi_p": -2.0}, "psi_p"),
        ({"psi_p": np.array([1.0, 2.0])}, "jax.vmap"),
        ({"m": 0.5}, "m, the number"),
        ({"m": math.nan}, "m, the number"),
        ({"lam": 0.0}, "lam"),
        ({"lam": -1.0}, "lam"),
        ({"lam": [1e-3, 1e-2]}, "jax.vmap"),
        ({"t": 0.0}, "time t"),
        ({"t": math.inf}, "time t"),
        ({"t": None}, "give t="),
        ({"lam": None}, "give lam="),
        ({"process": rfdsm.OrnsteinUhlenbeck(0.1)}, "both given"),
        ({"psi_n": "8"}, "real number"),
        ({"psi_n": 1 + 1j}, "real number"),
        ({"m": None}, "real number"),
        ({"activation": jnp.tanh}, "activation must be"),
        ({"activation": rfdsm.Tanh}, "call it"),
        ({"data": np.ones((3, 2))}, "data"),
    ],
)
def test_bad_input_is_one_line(changes, message):
    with pytest.raises((ValueError, TypeError), match=message) as raised:
        rfdsm.RFDSM(**(GOOD | changes))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "eigenvalues, weights, message",
    [
        ((1.0, -0.1), None, "not negative"),
        ((1.0, math.nan), None, "finite"),
        ((1.0, 2.0), (0.5, 0.6), "sum to 1"),
        ((1.0, 2.0), (1.5, -0.5), "weights"),
        ((1.0, 2.0), (1.0,), "one weight per eigenvalue"),
        ((), None, "at least one"),
        (2.0, None, "list"),
    ],
)
def test_bad_laws(eigenvalues, weights, message):
    with pytest.raises(ValueError, match=message):
        rfdsm.Gaussian(eigenvalues, weights)


def test_weights_are_not_renormalised():
    assert rfdsm.Gaussian((1.0, 2.0), (0.5, 0.5 + 5e-7)).weights.sum() > 1 + 4e-7


@pytest.mark.parametrize(
    "make", [rfdsm.Samples, rfdsm.Gaussian.from_samples, rfdsm.standardise]
)
@pytest.mark.parametrize(
    "X, message",
    [
        (np.array([[1.0, np.nan], [0.0, 1.0]]), "NaN"),
        (np.ones((1, 3)), "two rows"),
        (np.ones((5, 3)), "constant"),
        (np.ones(5), "matrix"),
        (np.array([["a", "b"], ["c", "d"]]), "numeric"),
    ],
)
def test_bad_samples(make, X, message):
    with pytest.raises((ValueError, TypeError), match=message) as raised:
        make(X)
    assert "\n" not in str(raised.value)


def test_samples_with_a_mean_warn_and_constant_columns_are_legal():
    X = np.random.default_rng(0).normal(size=(50, 3)) + 1.0
    X[:, 1] = 4.0
    with pytest.warns(UserWarning, match="standardise"):
        rfdsm.Samples(X)
    Z = rfdsm.standardise(X)
    assert np.abs(Z.mean(0)).max() < 1e-12 and np.mean(Z**2) == pytest.approx(1)
    law = rfdsm.Gaussian.from_samples(Z)
    np.testing.assert_allclose(law.eigenvalues, np.linalg.eigvalsh(Z.T @ Z / 50), atol=1e-12)
    assert law.eigenvalues[0] == 0


def test_theory_of_samples_is_that_of_their_covariance(model):
    X = rfdsm.standardise(np.random.default_rng(0).normal(size=(50, 4)))
    one = model.replace(data=rfdsm.Samples(X)).asymptotics()
    two = model.replace(data=rfdsm.Gaussian.from_samples(X)).asymptotics()
    assert one.test_loss == two.test_loss


def test_float32_is_refused_by_theory(model):
    single = jax.tree.map(lambda x: x.astype(np.float32), model)
    with pytest.raises(TypeError, match="jax_enable_x64"):
        single.asymptotics()
    with pytest.raises(TypeError, match="jax_enable_x64"):
        jax.jit(lambda m: m.solve())(single)


@pytest.mark.parametrize("kind", [np.float32, np.int32, jnp.bfloat16])
def test_traced_numbers_of_other_types_are_promoted(model, kind):
    @jax.jit
    def loss(psi_p):
        return model.replace(psi_p=psi_p).solve().errors.test_loss

    expected = model.replace(psi_p=3.0).solve().errors.test_loss
    assert loss(kind(3)) == pytest.approx(float(expected), rel=1e-12)
    assert loss(kind(3)).dtype == jnp.float64
    with pytest.raises(TypeError, match="psi_p must be a real number"):
        loss(True)


@pytest.mark.parametrize("three", [3.0, 3, np.float32(3), np.array(3), np.float64(3)])
def test_leaves_may_be_python_numbers(model, three):
    changed = eqx.tree_at(lambda m: (m.psi_p, m.m), model, (three, three))
    expected = model.replace(psi_p=3.0, m=3.0)
    assert changed.asymptotics().test_loss == expected.asymptotics().test_loss
    assert repr(changed) == repr(expected)
    key = jax.random.key(0)
    assert changed.simulate(key, 8).test_loss == expected.simulate(key, 8).test_loss


def test_a_model_is_shown_by_its_numbers(model):
    assert repr(model).startswith("RFDSM(psi_n=8, psi_p=16, m=4, process=OrnsteinUhlenbeck(t=")
    assert repr(model.replace(m=math.inf, eigenvalues=[1.9, 0.1], weights=[0.5, 0.5])) == (
        "RFDSM(psi_n=8, psi_p=16, m=inf, process=OrnsteinUhlenbeck(t=0.1), "
        "target=ScoreTarget(), activation=Tanh(), "
        "data=Gaussian(eigenvalues=[1.9, 0.1], weights=[0.5, 0.5]), training=Ridge(lam=0.001), "
        "ensemble=Single())"
    )
    X = rfdsm.standardise(np.random.default_rng(0).normal(size=(50, 9)))
    assert "X=float64[50, 9]" in repr(rfdsm.Samples(X))
    shown = []
    jax.jit(lambda x: shown.append(repr(model.replace(psi_n=x))))(1.0)
    assert "psi_n=traced float64[]" in shown[0]


def test_traced_bad_input_is_a_status(model):
    status = jax.jit(lambda x: model.replace(t=x).solve().status)(-1.0)
    assert status == rfdsm.Status.invalid_input
    errors = jax.jit(lambda x: model.replace(t=x).asymptotics())(-1.0)  # does not raise
    assert np.isnan(float(errors.test_loss))


def test_inverse_m_overrides(model):
    half = model.replace(m=2.0).asymptotics()
    assert model.asymptotics(inverse_m=0.5).test_loss == half.test_loss
    infinite = model.replace(m=jnp.inf).asymptotics()
    assert model.asymptotics(inverse_m=0).test_loss == infinite.test_loss
    with pytest.raises(ValueError, match="inverse_m"):
        model.solve(inverse_m=1.5)


def test_unsuccessful_concrete_solve_raises_one_line(model, monkeypatch):
    failed = eqx.tree_at(lambda s: s.status, model.solve(), rfdsm.Status.not_converged)
    monkeypatch.setattr("rfdsm.model.rfdsm._theory.solve", lambda *_: failed)
    with pytest.raises(rfdsm.NotConverged, match=r"Newton .* \(psi_n = 8") as raised:
        model.asymptotics()
    assert isinstance(raised.value, RuntimeError) and "\n" not in str(raised.value)


def test_inaccurate_constants_warn_where_they_show(model):
    undeclared = rfdsm.Activation(lambda x: jnp.abs(x) + jnp.tanh(x))
    with pytest.warns(UserWarning, match="kinks"):
        model.replace(activation=undeclared).asymptotics()
    solution = model.replace(activation=undeclared).solve()
    assert float(solution.constants_error) > 1e-9
    declared = rfdsm.Activation(lambda x: jnp.abs(x) + jnp.tanh(x), kinks=(0.0,))
    model.replace(activation=declared).asymptotics()  # silent: warnings are errors


def test_baselines(model):
    law = rfdsm.Gaussian((1.9, 0.1), (0.3, 0.7))
    baselines = model.replace(data=law).baselines()
    a2, h = np.exp(-0.2), -np.expm1(-0.2)
    noised = a2 * np.array([1.9, 0.1]) + h
    mean, inverse = noised @ [0.3, 0.7], (1 / noised) @ [0.3, 0.7]
    assert baselines.null == 1
    assert float(baselines.isotropic) == pytest.approx(1 - h / mean)
    assert float(baselines.linear) == pytest.approx(1 - h * inverse)
    assert baselines.best == baselines.linear
    X = rfdsm.standardise(np.random.default_rng(0).normal(size=(50, 4)))
    assert np.isnan(model.replace(data=rfdsm.Samples(X)).baselines().best)
    # nothing learns better than the true score
    assert model.replace(psi_n=1e6, lam=1e-6).asymptotics().test_loss > model.baselines().best


def test_memorisation_is_beating_the_best_generalising_score(model):
    memory = model.replace(m=jnp.inf, psi_p=200.0)
    assert bool(memory.baselines().memorises(memory.asymptotics()))
    few = model.replace(psi_p=1.0)
    assert not bool(few.baselines().memorises(few.asymptotics()))


def test_extrapolation_is_linear_in_one_over_d(model):
    def run(d, shift):
        values = 1.0 + 3.0 / d + np.array([-1.0, 1.0, 0.0]) * shift
        fields = dict.fromkeys(
            (
                "score_error",
                "test_loss",
                "train_loss",
                "memorization_loss",
                "bias2",
                "variance",
            ),
            jnp.asarray(values),
        )
        return rfdsm.Errors(**fields, sizes=rfdsm.Sizes(d, 8 * d, 16 * d, 4.0, (d,)))

    small, large = run(80, 0.01), run(160, 0.02)
    limit = rfdsm.extrapolate(small, large)
    assert float(limit.errors.test_loss) == pytest.approx(1.0)
    se = 0.01 / math.sqrt(3), 0.02 / math.sqrt(3)
    assert float(limit.standard_error.test_loss) == pytest.approx(math.hypot(se[0], 2 * se[1]))
    assert limit.errors.sizes is None
    with pytest.raises(ValueError, match="two different"):
        rfdsm.extrapolate(small, small)
    with pytest.raises(ValueError, match="simulate returned"):
        rfdsm.extrapolate(small.mean(), large.mean())
    other = rfdsm.Errors(*jax.tree.leaves(large), sizes=rfdsm.Sizes(160, 1281, 2560, 4.0))
    with pytest.warns(UserWarning, match="different ratios"):
        rfdsm.extrapolate(small, other)


def test_theory_is_compared_at_the_realised_ratios(model):
    runs = model.replace(psi_n=1.03, psi_p=0.77, data=rfdsm.Gaussian((2.0, 0.5), (0.33, 0.67)))
    sizes = runs.simulate(jax.random.key(0), d=10).sizes
    assert (sizes.n, sizes.p, sizes.counts) == (10, 8, (3, 7))
    realised = runs.at(sizes)
    assert (realised.psi_n, realised.psi_p) == (1.0, 0.8)
    np.testing.assert_allclose(realised.data.weights, (0.3, 0.7))
