"""One eigenvalue has equations of its own; as two equal atoms it has the general ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm.asymptotics import equivalent
from rfdsm.asymptotics.solution import averaged_equations
from rfdsm.errors import FIELDS

TWICE = rfdsm.Gaussian((1.0, 1.0), (0.5, 0.5))
RULES = {"ridge": rfdsm.Ridge(0.01), "flow": rfdsm.GradientFlow(20.0, 1e-3)}


def hard_box(count):
    """(psi_n, psi_p, 1/m, lam, t), with m = 1 and m = ∞ among them."""
    rng = np.random.default_rng(0)

    def log_uniform(low, high):
        return np.exp(rng.uniform(np.log(low), np.log(high), count))

    u = 1 / log_uniform(1, 1e3)
    u[: count // 10], u[count // 10 : count // 5] = 0, 1
    return (
        log_uniform(1e-3, 1e3),
        log_uniform(1e-3, 1e3),
        u,
        log_uniform(1e-12, 1e3),
        log_uniform(1e-4, 10),
    )


def equations_of(psi_n, psi_p, u, lam, t, activation=None):
    model = rfdsm.RFDSM(psi_n, psi_p, 2.0, lam=lam, t=t, activation=activation)
    return averaged_equations(model._problem(u))[0]


@pytest.mark.parametrize("activation", [None, rfdsm.Polynomial((0.0, 1.0, 0.0, 1e-5))])
def test_its_root_is_that_of_the_general_equations(activation):
    @jax.jit
    @jax.vmap
    def both(psi_n, psi_p, u, lam, t):
        equations = equations_of(psi_n, psi_p, u, lam, t, activation)
        unknowns, steps = equations.root(lam, u)
        general, _ = equivalent._finished(equations, lam, u, equations.start(lam, u))
        mismatch = equations.mismatch(equations.state(unknowns, lam, u))
        return jnp.stack(unknowns), jnp.stack(general), mismatch, steps

    unknowns, general, mismatch, steps = both(*map(jnp.asarray, hard_box(20_000)))
    assert jnp.max(mismatch) < 1e-12  # of features that are linear but for 1e-5 too
    # Where two rows of the Jacobian are nearly one, both are good to rounding over the pivot.
    difference = np.abs(np.log(unknowns / general)).max(axis=1)
    assert np.median(difference) < 1e-15 and difference.max() < 1e-9
    assert steps.max() <= (7 if activation is None else 20)


@pytest.mark.parametrize("rule", RULES)
def test_errors_and_derivatives_are_those_of_two_equal_atoms(rule):
    def errors(numbers, data):
        psi_n, psi_p, u, t = numbers
        about = {"training": RULES[rule], "target": rfdsm.LinearTarget(0.7, -0.4)}
        model = rfdsm.RFDSM(psi_n, psi_p, 2.0, t=t, data=data, **about)
        found = model.solve(inverse_m=u).errors
        return jnp.stack([getattr(found, name) for name in FIELDS])

    @jax.jit
    def all_of(numbers, data):
        slopes = jnp.zeros(())
        if rule == "ridge":
            slopes = jax.grad(lambda x: errors(x, data) @ jnp.arange(1.0, 7.0))(numbers)
        return errors(numbers, data), slopes

    for numbers in ([4.0, 8.0, 0.25, 0.1], [2.0, 0.5, 0.0, 0.3], [0.5, 3.0, 1.0, 0.02]):
        x = jnp.asarray(numbers)
        (value, slopes), (general, general_slopes) = all_of(x, None), all_of(x, TWICE)
        np.testing.assert_allclose(value, general, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(slopes, general_slopes, rtol=1e-8, atol=1e-9)


def test_a_hopeless_row_spoils_no_other():
    rows = jnp.asarray([1e-3, jnp.nan, 1e-2])
    solve = jax.jit(jax.vmap(lambda lam: rfdsm.RFDSM(4.0, 8.0, 4.0, t=0.1, lam=lam).solve()))
    found = solve(rows)
    good = found.status == rfdsm.Status.success
    assert good.tolist() == [True, False, True]
    assert jnp.isnan(found.errors.test_loss).tolist() == [False, True, False]
