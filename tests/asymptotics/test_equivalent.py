"""Derivatives of all six errors in every number, first and second, forward and reverse.

Held against central differences of five points (one-sided at the edge of a domain) of the
values, over the bank. Each group of the bank with the same kinds is one vmapped program.
"""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bank import BANK, LAWS

import rfdsm

FIRST, SECOND = 1e-6, 1e-4
STEP = 1e-3  # relative; the five-point rule then errs by about 1e-12 of the fifth derivative


def groups():
    """Problems of the same activation and number of atoms, m finite and infinite apart."""

    def kind(problem):
        return problem.activation, len(LAWS[problem.law][0]), math.isinf(problem.m)

    return [
        pytest.param(*key, list(members), id=f"{key[0]}-{key[1]}-{'u' if key[2] else 'm'}")
        for key, members in itertools.groupby(sorted(BANK, key=kind), key=kind)
    ]


class Coordinates(NamedTuple):
    """The numbers of a problem as one vector; weights move along e_j - e_0."""

    activation: str
    atoms: int
    inverse: bool  # whether the third number is u = 1/m

    def names(self):
        middle = [f"sigma_{k}" for k in range(self.atoms)]
        return (
            ["psi_n", "psi_p", "1/m" if self.inverse else "m", "lam", "t"]
            + middle
            + [f"w_{k}-w_0" for k in range(1, self.atoms)]
        )

    def vector(self, problem):
        sigma, w = LAWS[problem.law]
        third = 1 / problem.m if self.inverse else problem.m
        head = [problem.psi_n, problem.psi_p, third, problem.lam, problem.t]
        return np.array([*head, *sigma, *w[1:]], dtype=float)

    def errors(self, x):
        sigma, rest = x[5 : 5 + self.atoms], x[5 + self.atoms :]
        weights = jnp.concatenate([1 - jnp.sum(rest, keepdims=True), rest])
        built = rfdsm.RFDSM(
            psi_n=x[0],
            psi_p=x[1],
            m=jnp.inf if self.inverse else x[2],
            lam=x[3],
            t=x[4],
            activation=getattr(rfdsm, self.activation)(),
            data=rfdsm.Gaussian(sigma, weights),
        )
        errors = built.asymptotics(inverse_m=x[2] if self.inverse else None)
        return jnp.stack(jax.tree.leaves(errors))

    def lowest(self):
        """Left end of each coordinate's domain, where differences become one-sided."""
        low = np.full(len(self.names()), -np.inf)
        low[2] = 0.0 if self.inverse else 1.0
        low[5 : 5 + self.atoms] = 0.0
        return low


def differences(function, x, k, low, step=STEP):
    """d function / d x_k at a batch of points: five points, one-sided at an edge."""
    size = step * np.where(x[:, k] == 0, 0.1, np.abs(x[:, k]))

    def at(shift):
        moved = x.copy()
        moved[:, k] += shift * size
        return np.asarray(function(moved))

    edge = x[:, k] - 2 * size < low
    central = (at(-2) - 8 * at(-1) + 8 * at(1) - at(2)) if not edge.all() else np.nan
    values = [at(j) for j in range(5)] if edge.any() else [np.nan] * 5
    sided = np.tensordot([-25, 48, -36, 16, -3], values, 1) if edge.any() else np.nan
    shape = (-1,) + (1,) * (np.ndim(central if not edge.all() else sided) - 1)
    return np.where(edge.reshape(shape), sided, central) / (12 * size.reshape(shape))


def assert_close(got, expected, scale, tolerance, label):
    bound = tolerance * np.maximum(np.abs(expected), scale)
    worst = np.max(np.abs(got - expected) / bound)
    assert worst <= 1, f"{label}: {worst:.2g} times the allowed deviation"


def check_first(activation, atoms, inverse, problems):
    kind = Coordinates(activation, atoms, inverse)
    x = np.stack([kind.vector(problem) for problem in problems])
    values = jax.jit(jax.vmap(kind.errors))
    forward = np.asarray(jax.jit(jax.vmap(jax.jacfwd(kind.errors)))(x))
    reverse = np.asarray(jax.jit(jax.vmap(jax.jacrev(kind.errors)))(x))
    size = np.maximum(np.abs(np.asarray(values(x))), 1)
    for k, name in enumerate(kind.names()):
        expected = differences(values, x, k, kind.lowest()[k])
        scale = 1e-3 * size / np.maximum(np.abs(x[:, k : k + 1]), 1e-3)
        for mode, jacobian in (("forward", forward), ("reverse", reverse)):
            assert_close(jacobian[:, :, k], expected, scale, FIRST, f"{mode} {name}")


FIRST_QUICK = [p for p in groups() if p.id in ("Erf-1-m", "ReLU-2-u")]


@pytest.mark.parametrize("activation, atoms, inverse, problems", FIRST_QUICK)
def test_first_derivatives(activation, atoms, inverse, problems):
    check_first(activation, atoms, inverse, problems)


@pytest.mark.slow
@pytest.mark.parametrize("activation, atoms, inverse, problems", groups())
def test_first_derivatives_of_the_whole_bank(activation, atoms, inverse, problems):
    check_first(activation, atoms, inverse, problems)


def check_second(activation, atoms, inverse, problems):
    kind = Coordinates(activation, atoms, inverse)
    x = np.stack([kind.vector(problem) for problem in problems])
    jacobian = jax.jit(jax.vmap(jax.jacfwd(kind.errors)))
    over_reverse = np.asarray(jax.jit(jax.vmap(jax.jacfwd(jax.jacrev(kind.errors))))(x))
    size = np.maximum(np.abs(np.asarray(jax.jit(jax.vmap(kind.errors))(x))), 1)
    unit = np.maximum(np.abs(x), 1e-1)
    for k, name in enumerate(kind.names()):
        expected = differences(jacobian, x, k, kind.lowest()[k])
        scale = 1e-3 * size[:, :, None] / (unit[:, None, :] * unit[:, k, None, None])
        assert_close(over_reverse[..., k], expected, scale, SECOND, f"second {name}")


@pytest.mark.slow
def test_second_derivatives_in_a_direction():
    """Of one error in all numbers at once; the slow set has all errors in each number."""
    problem = BANK[2]
    kind = Coordinates(problem.activation, len(LAWS[problem.law][0]), inverse=False)
    x, direction = kind.vector(problem), np.array([1, -1, 0.5, 1e-3, 0.1, 0.2])
    gradient = jax.jit(jax.grad(lambda x: kind.errors(x)[1]))
    _, along = jax.jit(lambda x: jax.jvp(gradient, (x,), (jnp.asarray(direction),)))(x)
    at = [np.asarray(gradient(x + j * 1e-4 * direction)) for j in (-2, -1, 1, 2)]
    expected = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / 12e-4
    np.testing.assert_allclose(along, expected, rtol=1e-6, atol=1e-6 * np.abs(along).max())


@pytest.mark.slow
@pytest.mark.parametrize("activation, atoms, inverse, problems", groups())
def test_second_derivatives_of_the_whole_bank(activation, atoms, inverse, problems):
    check_second(activation, atoms, inverse, problems)


@pytest.mark.slow
def test_derivative_in_the_slope_of_leaky_relu():
    def errors(slope):
        built = rfdsm.RFDSM(2.0, 3.0, 2.0, t=0.2, lam=1e-2, activation=rfdsm.LeakyReLU(slope))
        return jnp.stack(jax.tree.leaves(built.asymptotics()))

    x = np.array([[0.1], [0.3]])
    values = jax.jit(jax.vmap(lambda s: errors(s[0])))
    expected = differences(values, x, 0, -np.inf)
    first = jax.jit(jax.vmap(lambda s: jax.jacfwd(errors)(s[0])))
    second = differences(first, x, 0, -np.inf)
    slopes = x[:, 0]
    reverse = jax.jit(jax.vmap(jax.jacrev(errors)))(slopes)
    np.testing.assert_allclose(first(x), expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(reverse, expected, rtol=1e-6, atol=1e-9)
    curvature = jax.jit(jax.vmap(jax.hessian(errors)))(slopes)
    np.testing.assert_allclose(curvature, second, rtol=1e-4, atol=1e-7)


def test_gradient_is_a_model_of_derivatives():
    model = rfdsm.RFDSM(8.0, 16.0, 4, t=0.1, lam=1e-3, data=rfdsm.Gaussian((1.9, 0.1)))
    grads = jax.grad(lambda m: m.asymptotics().score_error)(model)
    assert isinstance(grads, rfdsm.RFDSM)
    for leaf in jax.tree.leaves(grads):
        assert np.all(np.isfinite(leaf)) and np.all(leaf != 0)
    step = 1e-5

    def at(x):
        return float(model.replace(lam=x).asymptotics().score_error)

    expected = (at(1e-3 + step) - at(1e-3 - step)) / (2 * step)
    assert float(grads.training.lam) == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_derivative_in_m_vanishes_at_infinity_and_in_its_inverse_does_not():
    model = rfdsm.RFDSM(8.0, 16.0, jnp.inf, t=0.1, lam=1e-3)
    loss = lambda m: model.replace(m=m).asymptotics().test_loss  # noqa: E731
    assert float(jax.grad(loss)(jnp.inf)) == 0
    assert float(jax.grad(jax.grad(loss))(jnp.inf)) == 0
    in_u = jax.grad(lambda u: model.asymptotics(inverse_m=u).test_loss)
    assert float(in_u(0.0)) > 0.1
    assert np.isfinite(float(jax.grad(in_u)(0.0)))


@pytest.mark.parametrize("mode", [jax.grad, jax.jacfwd])
def test_failed_rows_are_nan_and_spoil_no_other(mode):
    model = rfdsm.RFDSM(3.0, 2.0, 2.0, t=0.2, lam=1e-2)
    lam = np.array([1e-3, -1.0, np.nan, 1e-1, 0.0])
    bad = np.array([False, True, True, False, True])

    def loss(x):
        return model.replace(lam=x).asymptotics().test_loss

    slope = jax.jit(mode(loss))
    slopes = np.asarray(jax.jit(jax.vmap(mode(loss)))(lam))
    np.testing.assert_array_equal(np.isnan(slopes), bad)
    for k in np.flatnonzero(~bad):
        np.testing.assert_allclose(slopes[k], slope(lam[k]), rtol=1e-12)

    # In reverse through the sum over rows too, where `where(ok, tangent, nan)` would give 0.
    total = np.asarray(jax.jit(jax.grad(lambda x: jnp.sum(jax.vmap(loss)(x))))(lam))
    np.testing.assert_array_equal(np.isnan(total), bad)
    np.testing.assert_allclose(total[~bad], slopes[~bad], rtol=1e-12)
    if mode is jax.grad:
        curvature = np.asarray(jax.jit(jax.vmap(jax.hessian(loss)))(lam))
        np.testing.assert_array_equal(np.isnan(curvature), bad)
