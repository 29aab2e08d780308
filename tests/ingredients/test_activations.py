"""Gaussian constants against the tabulated values and an independent high-precision program."""

import functools

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import oracle
import pytest
from values import VALUES

import rfdsm
from rfdsm._files import cache
from rfdsm.ingredients.activations import table as quadrature, tabulated

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
DIFFERENTIATED = [name for name in NAMED if name != "sigmoid"]  # its table is that of tanh
ORACLE = {
    "leaky_relu_0_1": ("leaky_relu", 0.1),
    "polynomial": ("polynomial", (0.3, 1, -0.5, 0.2)),
}
# (variance shared by the copies, fresh variance): small and large times, Γ from 0.5 to 2
POINTS = ((0.8, 0.2), (1.0 - 2e-4, 2e-4), (2e-9, 1.0), (0.25, 1e-3), (3.0, 1.0), (0.05, 0.2))
# Γ = 0.3 and 3 with almost nothing fresh, and almost nothing shared
EXTREMES = ((0.09, 9e-8), (9e-11, 0.09), (9.0, 9e-6), (9e-9, 9.0))
FIELDS = ("mu0", "b", "v2", "s2")


@functools.cache
def programs(name):
    """b, v², s² as a function of (shared, fresh), with first and second derivatives."""

    def stacked(x):
        c = NAMED[name].constants(x[0], x[1])
        return jnp.stack([c.b, c.v2, c.s2])

    second = jax.jacfwd(jax.jacrev(stacked))
    return tuple(map(jax.jit, (stacked, jax.jacfwd(stacked), jax.jacrev(stacked), second)))


def hard_tanh(x):
    return jnp.clip(x, -1, 1)


def rectify(x):
    return jnp.maximum(x, 0)


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
    for shared, fresh in POINTS + EXTREMES:
        got = NAMED[name].constants(shared, fresh)
        assert float(got.error) < 1e-12
        for field, value in zip(FIELDS, exact(name, shared, fresh), strict=True):
            expected = pytest.approx(float(value), rel=1e-11, abs=1e-30)
            assert float(getattr(got, field)) == expected, (field, shared, fresh)


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


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_derivatives(name):
    """First and second, forward and reverse, against five-point differences."""
    values, first, reverse, second = programs(name)
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


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_derivatives_at_extremes(name):
    """Almost nothing fresh, almost nothing shared: against differences of the oracle."""
    _, first, reverse, second = programs(name)
    for shared, fresh in ((1.0, 1e-6), (1e-6, 1.0)):
        x = np.array([shared, fresh])
        gradient, reverse_gradient, hessian = first(x), reverse(x), second(x)
        with mp.workdps(40):
            steps = mp.mpf(shared) / 2**17, mp.mpf(fresh) / 2**17

            def at(i, j, shared=shared, fresh=fresh, steps=steps):
                s, f = mp.mpf(shared) + i * steps[0], mp.mpf(fresh) + j * steps[1]
                return oracle.constants(ORACLE.get(name, name), 1, f, s, dps=34)[1:]

            center, sides = at(0, 0), [(at(1, 0), at(-1, 0)), (at(0, 1), at(0, -1))]
            for row, value in enumerate(center):
                scale = float(abs(value))
                for k, (after, before) in enumerate(sides):
                    slope = float((after[row] - before[row]) / (2 * steps[k]))
                    bend = float((after[row] - 2 * value + before[row]) / steps[k] ** 2)
                    for got in (gradient, reverse_gradient):
                        off = abs(float(got[row, k]) - slope)
                        assert off <= 1e-9 * max(abs(slope), scale), (row, k)
                    off = abs(float(hessian[row, k, k]) - bend)
                    assert off <= 1e-6 * max(abs(bend), scale), (row, k)


@pytest.mark.parametrize("name", NAMED)
def test_both_parts_add_up_to_the_variance(name):
    """v² + s² + b² Γ² + μ0² = E ϱ², by Gauss-Legendre panels from the kink outwards."""
    node, weight = np.polynomial.legendre.leggauss(30)
    g = (np.arange(12)[:, None] + (1 + node) / 2).ravel()
    w = np.tile(weight / 2, 12) * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)
    for shared, fresh in ((0.8, 0.2), (1.0, 1.5)):
        c, gamma = NAMED[name].constants(shared, fresh), np.sqrt(shared + fresh)
        power = w @ sum(np.asarray(NAMED[name](sign * gamma * g)) ** 2 for sign in (-1, 1))
        parts = float(c.v2 + c.s2 + c.b**2 * (shared + fresh) + c.mu0**2)
        assert parts == pytest.approx(power, rel=1e-12)


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
    ((0.0,), rectify, rfdsm.ReLU()),
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


@pytest.mark.parametrize("gamma2", [0.3, 1.0, 9.0])
def test_hard_tanh_against_integrals(gamma2):
    """Price: (d/dr)² E ϱϱ' is Γ⁴ times the density of the pair at the kinks, with signs."""
    own = rfdsm.Activation(hard_tanh, kinks=(1.0, -1.0))
    assert own.kinks == (-1.0, 1.0)

    def second(r):
        same, opposite = (mp.exp(-1 / (gamma2 * (1 + sign * r))) for sign in (1, -1))
        return (same - opposite) * gamma2 / (mp.pi * mp.sqrt(1 - r**2))

    def grown(r):  # v² at r, and T at 1
        return float(mp.quad(lambda x: (r - x) * second(x), mp.linspace(0, r, 5)))

    for r in (0.05, 0.7, 0.999):
        got = own.constants(gamma2 * r, gamma2 * (1 - r))
        slope = float(mp.erf(1 / mp.sqrt(2 * gamma2)))
        expected = (0.0, slope, grown(r), grown(1) - grown(r))
        assert float(got.error) < 1e-10
        for field, value in zip(FIELDS, expected, strict=True):
            assert abs(float(getattr(got, field)) - value) < 1e-12, field


def test_a_step_function():
    """sign: E ϱϱ' = (2/π) arcsin r, at which s² starts as √(1-r)."""
    own = rfdsm.Activation(jnp.sign, kinks=(0.0,))
    for shared, fresh in POINTS[:3]:
        got, r = own.constants(shared, fresh), shared / (shared + fresh)
        b2 = 2 / np.pi / (shared + fresh)
        assert float(got.b) ** 2 == pytest.approx(b2, rel=1e-10)
        assert abs(float(got.v2) - (2 / np.pi * np.arcsin(r) - b2 * shared)) < 1e-10
        assert abs(float(got.s2) - (2 / np.pi * np.arccos(r) - b2 * fresh)) < 1e-10


@pytest.mark.parametrize(
    "function, declared, all_kinks",
    [
        (lambda x: jnp.abs(x - 0.5), (), (0.5,)),
        (hard_tanh, (-1.0,), (-1.0, 1.0)),
        (lambda x: jnp.sign(x - 0.3), (), (0.3,)),
        (rectify, (), (0.0,)),
    ],
    ids=["slope", "one of two", "step", "at zero"],
)
def test_an_undeclared_kink_is_reported(function, declared, all_kinks):
    careless = rfdsm.Activation(function, kinks=declared)
    careful = rfdsm.Activation(function, kinks=all_kinks)
    for shared, fresh in ((0.7, 0.3), (1.0, 1e-4)):
        got, right = careless.constants(shared, fresh), careful.constants(shared, fresh)
        actual = max(abs(float(getattr(got, f)) - float(getattr(right, f))) for f in FIELDS)
        assert float(right.error) < 1e-11 and actual <= float(got.error)
    assert float(got.error) > 1e-8 * float(got.s2 + got.v2)


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

    assert float(jax.grad(jax.grad(of_slope))(0.1)) == pytest.approx(
        2 * float(NAMED["relu"].constants(0.7, 0.3).v2), rel=1e-12
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
        lambda: rfdsm.Activation(jax.nn.softmax),
        lambda: rfdsm.Activation(np.tanh),
        lambda: rfdsm.Activation(lambda x: x.astype(jnp.float32)),
        lambda: jax.jit(lambda k: rfdsm.Activation(lambda x: k * x).constants(0.5, 0.5))(2.0),
        lambda: rfdsm.Activation(jnp.abs, kinks=("a",)),
        lambda: rfdsm.Activation(jnp.abs, kinks=(float("nan"),)),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(make):
    with pytest.raises((ValueError, TypeError)) as raised:
        make()
    assert str(raised.value) and "\n" not in str(raised.value)


def test_a_table_is_kept_between_processes(tmp_path, monkeypatch):
    """The same bits, and the same types; the function is not looked at again."""
    monkeypatch.setattr(cache, "_folder", tmp_path)
    built = tabulated._kept("tanh", np.tanh)
    again = tabulated._kept("tanh", None)
    assert again.powers == built.powers and isinstance(again.powers.jumps, bool)
    for name in ("plane", "lines", "error"):
        assert np.array_equal(getattr(again, name), getattr(built, name))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert tabulated._kept("tanh", np.tanh).powers == built.powers
