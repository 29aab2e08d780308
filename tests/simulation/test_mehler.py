"""Hermite coefficients and Mehler's series: parity, as many nodes and orders as it takes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm.ingredients.processes import Noising
from rfdsm.simulation import hermite, mehler

STEEP = rfdsm.Activation(lambda x: jnp.tanh(5 * x))
CUBIC = rfdsm.Polynomial([0.0, 1.0, 0.0, 0.3])


def means(scales, columns=5):
    """Preactivations, symmetric about 0, and a scale for each row."""
    return jnp.tile(jnp.linspace(-2, 2, columns), (len(scales), 1)), jnp.asarray(scales)


@pytest.mark.parametrize(
    "activation, sign",
    [(rfdsm.Tanh(), -1), (STEEP, -1), (CUBIC, -1), (rfdsm.Cos(), 1),
     (rfdsm.Activation(jnp.abs, (0.0,)), 1)],
)  # fmt: skip
def test_coefficients_have_the_parity_of_the_function(activation, sign):
    """C_k(-mean) = ±(-1)^k C_k(mean): half of them vanish at 0, all are needed elsewhere."""
    C, square = hermite.hermite_coefficients(activation, *means([0.3, 1.0]), 6)
    signs = sign * (-1.0) ** np.arange(7)
    np.testing.assert_allclose(C[..., ::-1], signs[:, None, None] * C, atol=1e-13)
    np.testing.assert_allclose(square[..., ::-1], square, rtol=1e-13)
    absent = C[signs < 0]
    assert jnp.max(jnp.abs(absent[..., 2])) < 1e-13 < 1e-3 < jnp.max(jnp.abs(absent[:2]))


@pytest.mark.parametrize(
    "function, scale", [(jnp.tanh, 0.4), (jnp.tanh, 3.0), (STEEP, 1.0), (jnp.sin, 2.0)]
)
def test_the_trapezoid_rule_is_as_fine_as_the_function_needs(function, scale):
    """To rounding also where the preactivations are large or the function is steep."""
    mean, scales = means([scale])
    C, square = hermite.hermite_coefficients(rfdsm.Activation(function), mean, scales, 4)
    g = np.linspace(-12, 12, 24001)
    f = np.asarray(function(np.asarray(mean[0])[:, None] + scale * g))
    density = (g[1] - g[0]) * np.exp(-g * g / 2) / math.sqrt(2 * math.pi)
    basis = [1 + 0 * g, g, (g**2 - 1) / math.sqrt(2), (g**3 - 3 * g) / math.sqrt(6)]
    np.testing.assert_allclose(C[:4, 0], [f @ (density * he) for he in basis], atol=3e-14)
    np.testing.assert_allclose(square[0], f**2 @ density, atol=3e-14)


def test_gentle_functions_take_one_grid_and_steep_ones_more():
    """Counted by the values of the function that a program computes."""

    def values(function, scale):
        counted = []

        def watched(x):
            jax.debug.callback(lambda shape: counted.append(math.prod(shape)), x.shape)
            return function(x)

        mean, scales = means([scale])
        hermite.hermite_coefficients(rfdsm.Activation(watched), mean, scales, 4)
        jax.effects_barrier()
        return sum(counted)

    once, more = values(jnp.tanh, 0.2), values(lambda x: jnp.tanh(5 * x), 1.0)
    assert more > once


def of_points(activation, p=48, d=60, n=80, h=0.3, dtype=float):
    """(C, R, Σ_i E ϱ²) of random features and points."""
    of_W, of_x = jax.random.split(jax.random.key(0))
    W = jax.random.normal(of_W, (p, d), dtype)
    length = jnp.linalg.norm(W, axis=1)
    unit = W / length[:, None]
    mean = math.sqrt(1 - h) * W @ jax.random.normal(of_x, (d, n), dtype) / math.sqrt(d)
    K = mehler.mehler_orders(p, d)
    C, square = hermite.hermite_coefficients(activation, mean, length * math.sqrt(h / d), K)
    return C, unit @ unit.T, jnp.max(jnp.sum(square, 1))


@pytest.mark.parametrize(
    "activation, h, dtype, orders",
    [
        (CUBIC, 0.3, float, 3),  # it has no more
        (rfdsm.Tanh(), 0.3, float, None),
        (rfdsm.ReLU(), 0.3, float, None),
        (rfdsm.Tanh(), 1e-4, float, (1, 5)),
        (rfdsm.Tanh(), 0.3, np.float32, (3, 9)),
        (rfdsm.ReLU(), 0.3, np.float32, (3, 11)),
    ],
)
def test_the_series_stops_where_what_is_left_is_rounding(activation, h, dtype, orders):
    C, R, largest = of_points(activation, h=h, dtype=dtype)
    last = int(mehler.orders_that_count(C, largest, 60))
    low, high = (orders,) * 2 if isinstance(orders, int) else orders or (len(C) - 1,) * 2
    assert low <= last <= high
    cut = np.asarray(mehler._series(C, largest, R, 60))
    C, R = np.asarray(C, float), np.asarray(R, float)
    every = sum(R**k * (C[k] @ C[k].T) for k in range(1, len(C)))
    unit = np.finfo(dtype).eps * float(largest)  # of an entry, in the last place
    off = np.tril(cut - every, -1)
    assert math.sqrt(2) * np.linalg.norm(off) <= unit * (len(R) / 4 + math.sqrt(len(R)) / 16)
    assert np.linalg.norm(np.tril(every, -1)) > 20 * unit


def test_single_precision_changes_u_by_its_rounding_only():
    """What `precision="mixed"` reads: sums in double precision of products in single."""
    keys = jax.random.split(jax.random.key(1))
    W, x = (jax.random.normal(key, (60, 40)) for key in keys)
    noising = Noising(jnp.asarray(math.sqrt(0.8)), jnp.asarray(0.2))
    double = mehler.noise_averages(rfdsm.Tanh(), W, x, noising, data=True)
    single = (each.astype(jnp.float32) for each in (W, x))
    single = mehler.noise_averages(rfdsm.Tanh(), *single, noising, data=True)
    for ours, theirs in zip(single, double, strict=True):
        assert ours.dtype == theirs.dtype == float
        ours, theirs = (np.tril(z) if z.shape == (60, 60) else z for z in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, atol=2e-6 * np.max(np.abs(theirs)))
    U = single.shared + single.fresh
    exact = double.shared + double.fresh
    np.testing.assert_allclose(jnp.diagonal(U), jnp.diagonal(exact), rtol=1e-6)


@pytest.mark.parametrize("features", ["network", "gaussian"])
def test_mixed_precision_at_infinite_m_is_that_of_the_products(features):
    model = rfdsm.RFDSM(2.0, 1.5, jnp.inf, t=0.2, lam=1e-2, activation=rfdsm.LeakyReLU(0.2))
    key = jax.random.key(0)
    double = model.simulate(key, d=16, features=features)
    single = model.simulate(key, d=16, features=features, precision="mixed")
    for name in ("score_error", "test_loss", "train_loss"):
        ours, theirs = getattr(single, name), getattr(double, name)
        assert ours.dtype == theirs.dtype and 0 < abs(ours[0] / theirs[0] - 1) < 1e-3
