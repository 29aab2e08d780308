"""Gaussian constants against the tabulated values and an independent high-precision program."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import oracle
import pytest

import rfdsm
from rfdsm import quadrature

VALUES = json.loads((Path(__file__).parent / "data" / "values.json").read_text())
NAMED = {
    "tanh": rfdsm.Tanh(),
    "erf": rfdsm.Erf(),
    "sin": rfdsm.Sin(),
    "cos": rfdsm.Cos(),
    "sigmoid": rfdsm.Sigmoid(),
    "silu": rfdsm.SiLU(),
    "gelu": rfdsm.GELU(),
    "relu": rfdsm.ReLU(),
    "leaky_relu_0_1": rfdsm.LeakyReLU(0.1),
    "polynomial": rfdsm.Polynomial((0.3, 1.0, -0.5, 0.2)),
}
ORACLE = {
    "leaky_relu_0_1": ("leaky_relu", 0.1),
    "polynomial": ("polynomial", (0.3, 1, -0.5, 0.2)),
}
# (variance shared by the copies, fresh variance): small and large times, Γ from 0.5 to 2
POINTS = ((0.8, 0.2), (1.0 - 2e-4, 2e-4), (2e-9, 1.0), (0.25, 1e-3), (3.0, 1.0), (0.05, 0.2))
FIELDS = ("mu0", "b", "v2", "s2")


@functools.cache
def exact(name, shared, fresh):
    """The oracle's constants; it takes a, h, σx² with a²σx² = shared."""
    return oracle.constants(
        ORACLE.get(name, name), mp.mpf(1), mp.mpf(fresh), mp.mpf(shared), dps=30
    )


@pytest.mark.parametrize(
    "row", VALUES["constants"], ids=lambda r: f"{r['activation']}-{r['t']}"
)
def test_tabulated_values(row):
    shared, fresh = np.exp(-2 * row["t"]) * row["sigma_x2"], -np.expm1(-2 * row["t"])
    got = NAMED[row["activation"]].constants(shared, fresh)
    for name in FIELDS:
        assert float(getattr(got, name)) == pytest.approx(row[name], abs=1.1e-11), name


@pytest.mark.parametrize("name", NAMED)
def test_constants_are_relatively_accurate(name):
    for shared, fresh in POINTS:
        got = NAMED[name].constants(shared, fresh)
        assert float(got.error) < 1e-12
        for field, value in zip(FIELDS, exact(name, shared, fresh), strict=True):
            assert float(getattr(got, field)) == pytest.approx(float(value), rel=1e-11, abs=1e-30), (
                field, shared, fresh,
            )  # fmt: skip


@pytest.mark.parametrize("name", ["tanh", "silu"])
def test_large_preactivations_are_as_good_as_reported(name):
    """Γ = 3 against the oracle; Γ = 10 within 1e-8, by a fine rule in two dimensions."""
    got = NAMED[name].constants(8.0, 1.0)
    for field, value in zip(FIELDS, exact(name, 8.0, 1.0), strict=True):
        assert abs(float(getattr(got, field)) - float(value)) < 1e-10
    shared, fresh = 70.0, 30.0
    got = NAMED[name].constants(shared, fresh)
    assert float(got.error) < 1e-8
    g = np.linspace(-9, 9, 6001)
    w = np.exp(-g * g / 2) / np.sqrt(2 * np.pi) * (g[1] - g[0])
    f = np.asarray(NAMED[name](jnp.asarray(10 * g)))
    b = w @ (f * g) / 10
    few, weight = g[::4], 4 * w[::4]
    inputs = np.sqrt(shared) * few[:, None] + np.sqrt(fresh) * few[None, :]
    inner = np.asarray(NAMED[name](jnp.asarray(inputs))) @ weight
    total, kernel = w @ f**2, weight @ inner**2
    v2 = kernel - (w @ f) ** 2 - b**2 * shared
    for field, value in (("b", b), ("v2", v2), ("s2", total - kernel - b**2 * fresh)):
        assert abs(float(getattr(got, field)) - value) < 1e-8, field


@pytest.mark.parametrize("name", NAMED)
def test_derivatives(name):
    """First and second, forward and reverse, against five-point differences."""

    def stacked(x):
        c = NAMED[name].constants(x[0], x[1])
        return jnp.stack([c.b, c.v2, c.s2])

    values, first = jax.jit(stacked), jax.jit(jax.jacfwd(stacked))
    reverse, second = jax.jit(jax.jacrev(stacked)), jax.jit(jax.jacfwd(jax.jacrev(stacked)))
    for x in np.array([(0.7, 0.3), (0.9, 2e-3), (1e-3, 1.0)]):
        np.testing.assert_allclose(first(x), reverse(x), rtol=1e-9, atol=1e-14)
        for k in range(2):
            step = 2e-3 * x[k] * np.eye(2)[k]

            def slope(function, x=x, step=step, k=k):
                stencil = function(x - 2 * step) - 8 * function(x - step)
                stencil = stencil + 8 * function(x + step) - function(x + 2 * step)
                return np.asarray(stencil) / (12 * step[k])

            np.testing.assert_allclose(first(x)[:, k], slope(values), rtol=1e-7, atol=1e-10)
            np.testing.assert_allclose(second(x)[..., k], slope(first), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [*NAMED, "user"])
def test_edges_have_derivatives(name):
    """No data (shared = 0), and almost no noise: neither value nor derivative is NaN."""
    activation = NAMED.get(name) or rfdsm.Activation(jnp.arctan)
    for shared, fresh in ((0.0, 1.0), (1.0, 1e-8)):

        def total(s, f):
            c = activation.constants(s, f)
            return c.b + c.v2 + c.s2

        for value in (total(shared, fresh), *jax.grad(total, (0, 1))(shared, fresh)):
            assert np.isfinite(float(value)), (shared, fresh)
        assert np.all(np.isfinite(jax.tree.leaves(jax.hessian(total, (0, 1))(shared, fresh))))


@pytest.mark.parametrize("kinks, function, reference", [
    ((), jnp.tanh, rfdsm.Tanh()),
    ((0.0,), lambda x: jnp.maximum(x, 0), rfdsm.ReLU()),
    ((), lambda x: 0.3 + x - 0.5 * x**2 + 0.2 * x**3, NAMED["polynomial"]),
])  # fmt: skip
def test_functions_of_ones_own(kinks, function, reference):
    own = rfdsm.Activation(function, kinks=kinks)
    assert own.kinks == kinks
    for shared, fresh in POINTS:
        got, expected = own.constants(shared, fresh), reference.constants(shared, fresh)
        assert float(got.error) < 1e-10
        for field in FIELDS:
            assert abs(float(getattr(got, field)) - float(getattr(expected, field))) < 1e-11


def test_hard_tanh_against_integrals():
    own = rfdsm.Activation(lambda x: jnp.clip(x, -1, 1), kinks=(1.0, -1.0))
    assert own.kinks == (-1.0, 1.0)
    got = own.constants(0.7, 0.3)
    clip = lambda x: max(min(x, mp.mpf(1)), mp.mpf(-1))  # noqa: E731
    value = oracle.constants(
        clip, mp.mpf(1), mp.mpf("0.3"), mp.mpf("0.7"), dps=20, kinks=(-1, 1)
    )
    for field, expected in zip(FIELDS, value, strict=True):
        assert abs(float(getattr(got, field)) - float(expected)) < 1e-11


def test_a_step_function():
    """sign: E ϱϱ' = (2/π) arcsin r, at which s² starts as √(1-r)."""
    own = rfdsm.Activation(jnp.sign, kinks=(0.0,))
    for shared, fresh in POINTS[:3]:
        got, r = own.constants(shared, fresh), shared / (shared + fresh)
        b2 = 2 / np.pi / (shared + fresh)
        assert float(got.b) ** 2 == pytest.approx(b2, rel=1e-10)
        assert abs(float(got.v2) - (2 / np.pi * np.arcsin(r) - b2 * shared)) < 1e-10
        assert abs(float(got.s2) - (2 / np.pi * np.arccos(r) - b2 * fresh)) < 1e-10


def test_an_undeclared_kink_is_reported():
    got = rfdsm.Activation(lambda x: jnp.abs(x - 0.5)).constants(0.7, 0.3)
    right = rfdsm.Activation(lambda x: jnp.abs(x - 0.5), kinks=(0.5,)).constants(0.7, 0.3)
    actual = max(abs(float(getattr(got, f)) - float(getattr(right, f))) for f in FIELDS)
    assert float(right.error) < 1e-11 < actual <= float(got.error)


def test_beyond_the_table_nothing_is_claimed():
    got = rfdsm.Tanh().constants(300.0, 1.0)
    assert np.isinf(float(got.error)) and np.isnan(float(got.v2)) and np.isnan(float(got.b))
    model = rfdsm.RFDSM(2.0, 2.0, 2.0, t=0.1, lam=1e-2, data=rfdsm.Gaussian((400.0,)))
    assert model.solve().status == rfdsm.Status.constants_out_of_range
    with pytest.raises(rfdsm.NotConverged, match="rescale"):
        model.asymptotics()


def test_a_large_batch_needs_no_large_tables():
    """10^5 times in one call: temporaries of a few numbers a row, not of a table a row."""
    t = jnp.geomspace(1e-3, 3, 100_000)
    batch = jax.jit(
        jax.vmap(lambda t: rfdsm.Tanh().constants(jnp.exp(-2 * t), -jnp.expm1(-2 * t)))
    )
    memory = batch.lower(t).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 100 * 8 * t.size
    one = rfdsm.Tanh().constants(jnp.exp(-2 * t[7]), -jnp.expm1(-2 * t[7]))
    assert float(batch(t).s2[7]) == pytest.approx(float(one.s2), rel=1e-12)


def test_tables_are_built_once(monkeypatch):
    calls = []
    real = quadrature.build
    monkeypatch.setattr(quadrature, "build", lambda *a: calls.append(1) or real(*a))
    own = rfdsm.Activation(lambda x: jnp.arctan(2 * x))
    jax.jit(lambda s: own.constants(s, 0.5).v2)(0.3)
    jax.jit(lambda s: own.constants(s, 0.4).v2)(0.2)
    own.constants(0.1, 0.2)
    assert len(calls) == 1


def test_traced_slopes_and_coefficients():
    def of_slope(slope):
        return rfdsm.LeakyReLU(slope).constants(0.7, 0.3).v2

    assert float(jax.grad(of_slope)(0.1)) == pytest.approx(
        -2 * 0.9 * float(NAMED["relu"].constants(0.7, 0.3).v2), rel=1e-12
    )

    def of_coefficients(c):
        return rfdsm.Polynomial(c).constants(0.7, 0.3).s2

    gradient = jax.grad(of_coefficients)(jnp.array([0.3, 1.0, -0.5, 0.2]))
    assert np.all(np.asarray(gradient[:2]) == 0) and np.all(np.asarray(gradient[2:]) != 0)


@pytest.mark.parametrize("activation", [*NAMED.values(), rfdsm.Activation(jnp.arctan)])
def test_activations_keep_shape_and_dtype(activation):
    for dtype in (jnp.float32, jnp.float64):
        x = jnp.linspace(-3, 3, 12, dtype=dtype).reshape(3, 4)
        assert activation(x).shape == (3, 4) and activation(x).dtype == dtype


@pytest.mark.parametrize(
    "make",
    [
        lambda: rfdsm.LeakyReLU(float("nan")),
        lambda: rfdsm.LeakyReLU((0.1, 0.2)),
        lambda: rfdsm.Polynomial(()),
        lambda: rfdsm.Polynomial((1.0, float("inf"))),
        lambda: rfdsm.Activation(3),
        lambda: rfdsm.Activation(lambda x: jnp.log(x)),
        lambda: rfdsm.Activation(lambda x: jnp.sum(x)),
        lambda: rfdsm.Activation(jnp.abs, kinks=("a",)),
        lambda: rfdsm.Activation(jnp.abs, kinks=(float("nan"),)),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(make):
    with pytest.raises((ValueError, TypeError)) as raised:
        make()
    assert str(raised.value) and "\n" not in str(raised.value)
