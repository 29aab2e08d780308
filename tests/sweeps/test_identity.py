"""What tells a user's function from others: which stores are of the same sweep."""

import functools
import importlib
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm.sweeps.grid import grid_of
from rfdsm.sweeps.identity import told
from rfdsm.sweeps.layout import record
from rfdsm.sweeps.sweeping import TITLE, layout_of, planned

MODEL = rfdsm.RFDSM(psi_n=2.0, psi_p=3.0, m=4.0, t=0.1, lam=1e-3)
SCALE = 2.0


def enclosing(factor):
    def scaled(model):
        return factor * model.psi_p

    return scaled


def by_default(factor):
    def scaled(model, factor=factor):
        return factor * model.psi_p

    return scaled


def through_another(factor):
    inner = enclosing(factor)
    return lambda model: inner(model)


def partial(factor):
    return functools.partial(lambda x, model: x * model.psi_p, factor)


class Scaled(eqx.Module):
    factor: jax.Array

    def __call__(self, model):
        return self.factor * model.psi_p


class Plain:
    def __init__(self, factor):
        self.factor = factor

    def of(self, model):
        return self.factor * model.psi_p


KINDS = {
    "closure": enclosing,
    "default": by_default,
    "function of a function": through_another,
    "partial": partial,
    "module": lambda x: Scaled(jnp.array(x)),
    "method": lambda x: Plain(x).of,
    "compiled": lambda x: jax.jit(enclosing(x)),
    "array": lambda x: enclosing(np.full(3, x)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_values_that_a_function_holds_tell_it_apart(kind):
    make = KINDS[kind]
    assert told(make(2.0)) == told(make(2.0)) != told(make(3.0))


def test_source_and_globals_tell_functions_apart(monkeypatch):
    one, other = (lambda model: model.m), (lambda model: 2 * model.m)  # on one line
    assert told(one) != told(other) and told(one) == told(lambda model: model.m)

    def scaled(model):
        return SCALE * model.psi_p

    before = told(scaled)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert told(scaled) != before


def test_another_session_tells_the_same(tmp_path, monkeypatch):
    (tmp_path / "of_user.py").write_text(
        "k = {'a', 'b', 'c'}\ndef f(model, x=2):\n    return x * model.psi_p + g(model)\n"
        "g = lambda model: 3.0 * model.m if 'a' in {'a', 'b', 'c'} else len(k)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    here = told(importlib.import_module("of_user").f)
    script = f"from {told.__module__} import told; from of_user import f; print(told(f))"
    run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {script}"]
    assert subprocess.check_output(run, text=True).strip() == str(here)


def identity(axes, model=MODEL, **asked):
    """All that a store compares."""
    layout = layout_of(*planned(model, axes, **asked), TITLE)
    found = record(layout)
    return {key: found[key] for key in ("sweep", "sizes", "coordinates", "parts")}


def test_what_makes_another_sweep():
    axes = {"psi_p": [1, 2], "m": [1, np.inf]}
    here = identity(axes)
    as_arrays = {"psi_p": np.array([1, 2], np.float32), "m": jnp.array([1, jnp.inf])}
    assert identity(as_arrays, MODEL.replace(psi_n=2, psi_p=9.0)) == here
    assert identity({"m": [1, np.inf], "psi_p": [1, 2]}) != here
    assert identity(axes, MODEL.replace(lam=2e-3)) != here
    zipped = rfdsm.zipped
    pairs = {"x": zipped(psi_n=[1, 2], m=[1, 2]), "y": zipped(lam=[1, 2], t=[1, 2])}
    other = {"x": zipped(psi_n=[1, 2], lam=[1, 2]), "y": zipped(m=[1, 2], t=[1, 2])}
    assert identity(pairs) != identity(other)
    networks = {"d": 12, "trials": 2}
    trained = identity({"lam": [1.0]}, simulate=networks)
    assert trained != identity({"lam": [1.0]}, simulate=networks, seed=1)
    assert trained != identity({"lam": [1.0]}, simulate=networks | {"d": 24})


def test_activations_and_data_points_of_the_users_own():
    def activation(factor):
        return rfdsm.Activation(lambda x: jnp.tanh(factor * x))

    def data(seed):
        points = np.random.default_rng(seed).standard_normal((20, 4))
        return rfdsm.Samples(rfdsm.standardise(points))

    for name, make in (("activation", activation), ("data", data)):
        grids = (grid_of(MODEL.replace(**{name: make(x)}), {"lam": [1.0]}) for x in (1, 1, 2))
        first, again, other = (layout_of(grid, [], TITLE).identity for grid in grids)
        assert first == again != other


@pytest.mark.parametrize(
    "axes, more, name",
    [
        ({"test_loss": rfdsm.zipped(m=[1.0])}, {}, "test_loss"),
        ({"residual": rfdsm.zipped(m=[1.0])}, {}, "residual"),
        ({"simulated_bias2": rfdsm.zipped(m=[1.0])}, {"simulate": {"d": 8}}, "simulated_bias2"),
        ({"m": [1.0]}, {"quantities": {"a": jnp.atleast_1d, "a_0": float}}, "a_0"),
        ({"m": [1.0]}, {"quantities": {"trial": float}, "simulate": {"d": 8}}, "trial"),
        ({"m": [1.0]}, {"quantities": {"expected_test_loss": float}}, None),
    ],
)
def test_no_name_is_of_two_things(axes, more, name):
    of_m = {n: lambda model, f=f: f(model.m) for n, f in more.pop("quantities", {}).items()}
    planned_ = planned(MODEL, axes, quantities=of_m or None, **more)
    if name is None:
        assert layout_of(*planned_, TITLE)
    else:
        with pytest.raises(ValueError, match=f"^{name} would be the name of two things"):
            layout_of(*planned_, TITLE)
