"""`rfdsm.sweep` in memory: its numbers, its names, what it refuses."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import rfdsm
from rfdsm.errors import FIELDS
from rfdsm.sweeps.asymptotics import Theory, theory
from rfdsm.sweeps.grid import grid_of
from rfdsm.sweeps.quantities import quantities_of
from rfdsm.sweeps.simulation import DIVERGED, networks, point_key

MODEL = rfdsm.RFDSM(psi_n=2.0, psi_p=3.0, m=4.0, t=0.1, lam=1e-3)
TWO_ATOMS = MODEL.replace(data=rfdsm.Gaussian([0.2, 1.8], [0.5, 0.5]))
FLOW = MODEL.replace(training=rfdsm.GradientFlow(1.0, 1e-3))
WIDTHS, NOISES = np.geomspace(0.2, 50.0, 7), [1.0, 2.5, np.inf]


@pytest.fixture(scope="module")
def found():
    slopes = rfdsm.gradient("score_error", wrt=["psi_p", "inverse_m"])
    return rfdsm.sweep(MODEL, {"psi_p": WIDTHS, "m": NOISES}, quantities=slopes)


def same(one, other):
    """Bit for bit, NaN where NaN is."""
    assert [*one.variables] == [*other.variables] and one.attrs == other.attrs
    for name in one.variables:
        np.testing.assert_array_equal(one[name].values, other[name].values, name, strict=True)


def test_points_are_those_of_the_model(found):
    assert dict(found.sizes) == {"psi_p": 7, "m": 3} and (found.status == 0).all()

    @jax.jit
    def exact(model, inverse_m):
        def score_error(model, inverse_m):
            errors = model.asymptotics(inverse_m=inverse_m)
            return errors.score_error, errors

        return jax.grad(score_error, (0, 1), has_aux=True)(model, inverse_m)

    for i, j in (0, 0), (3, 1), (6, 2):
        model = MODEL.replace(psi_p=WIDTHS[i], m=NOISES[j])
        (slopes, in_inverse_m), errors = exact(model, 1 / NOISES[j])
        for name in FIELDS:
            there = float(getattr(errors, name))
            assert float(found[name][i, j]) == pytest.approx(there, rel=1e-12)
        slope = float(slopes.psi_p)
        assert float(found.d_score_error_psi_p[i, j]) == pytest.approx(slope, rel=1e-8)
        slope = float(in_inverse_m)
        assert float(found.d_score_error_inverse_m[i, j]) == pytest.approx(slope, rel=1e-8)


def test_a_data_set_explains_itself(found):
    model = rfdsm.model_of(found)
    assert float(model.psi_p) == WIDTHS[0] and float(model.m) == 1.0
    assert found.psi_p.attrs["number"] == "psi_p" and found.psi_p.attrs["spacing"] == "log"
    for name in (*FIELDS, "status", "residual", "d_score_error_psi_p"):
        assert found[name].attrs["long_name"]
    assert found.status.attrs["flag_meanings"].split()[:2] == ["never_computed", "success"]
    assert {"rfdsm", "jax", "device", "precision"} <= {*found.attrs}


@pytest.mark.parametrize("chunk", [1, 4, {"m": 2}, 1000])
def test_chunks_change_no_bit(found, chunk):
    slopes = rfdsm.gradient("score_error", wrt=["psi_p", "inverse_m"])
    axes = {"psi_p": WIDTHS, "m": NOISES}
    same(rfdsm.sweep(MODEL, axes, quantities=slopes, chunk=chunk), found)


@pytest.mark.parametrize(
    "model, points",
    [
        pytest.param(MODEL, 450, id="one"),
        pytest.param(TWO_ATOMS, 450, id="two"),
        pytest.param(FLOW, 20, id="flow", marks=pytest.mark.slow),
    ],
)
def test_chunks_of_many_blocks_change_no_bit(model, points):
    """Neither the programs nor their loops differ for one block or several, in any place."""
    axes = {"lam": np.geomspace(1e-4, 1, 5), "psi_n": np.geomspace(0.2, 20, points)}
    part = theory(grid_of(model, axes))
    assert 1 < part.grid.points / part.block
    whole = rfdsm.sweep(model, axes)
    for chunk in points // 4, 2 * points + points // 4:
        same(rfdsm.sweep(model, axes, chunk=chunk), whole)


def test_training_times_are_a_trajectory():
    """Between other dims, in any order, and with quantities at each time."""
    taus = [10.0, 0.1, 1e3, 10.0]
    axes = {"pair": rfdsm.zipped(psi_p=[1.0, 8.0], lam=[1e-3, 1e-2]), "tau": taus, "m": NOISES}

    def traced(model):
        return [model.training.tau, model.psi_p, model.m]

    quantities = {"traced": traced, "called": lambda model: [float(x) for x in traced(model)]}
    found = rfdsm.sweep(FLOW, axes, chunk=6, quantities=quantities)
    assert {**found.sizes} == {"pair": 2, "tau": 4, "m": 3, "traced_0": 3, "called_0": 3}
    for i, j in (0, 1), (1, 2):
        errors = FLOW.replace(psi_p=found.psi_p[i], lam=found.lam[i], m=NOISES[j])
        errors = errors.trajectory(taus)
        assert np.allclose(found.test_loss[i, :, j], errors.test_loss, rtol=1e-12, atol=0)
    there = np.stack([*xr.broadcast(found.psi_p, found.tau, found.m)], axis=-1)
    for name in quantities:
        np.testing.assert_array_equal(found[name], there[..., [1, 0, 2]])


def test_zipped_axes_and_elements_of_lists():
    budget = rfdsm.zipped({"data.eigenvalues[1]": [1.8, 1.0]}, psi_n=[16.0, 4.0])
    found = rfdsm.sweep(TWO_ATOMS, {"budget": budget, "m": [1, 4]})
    assert dict(found.sizes) == {"budget": 2, "m": 2}
    assert found["data.eigenvalues[1]"].dims == found.psi_n.dims == ("budget",)
    there = TWO_ATOMS.replace(eigenvalues=[0.2, 1.0], psi_n=4.0, m=1)
    exact = float(there.asymptotics().test_loss)
    assert float(found.test_loss[1, 0]) == pytest.approx(exact, rel=1e-12)
    alone = grid_of(TWO_ATOMS, rfdsm.zipped(psi_n=[1.0, 2.0], m=[1, 2]))
    assert alone.sizes == {"point": 2}


def test_networks_have_trials_and_their_theory():
    axes = {"psi_p": [2.0, 2.02], "lam": [1e-3, 0.1]}  # of one size
    simulate = {"d": 12, "trials": 3}
    found = rfdsm.sweep(MODEL, axes, simulate=simulate, seed=3)
    assert found.simulated_test_loss.dims == ("psi_p", "lam", "trial")
    assert (found.simulated_status == 0).all()
    assert np.allclose(found.realised_psi_p, 2.0) and found.attrs["realised_psi_n"] == 2
    at = MODEL.replace(psi_p=2.0, lam=0.1).asymptotics()
    assert float(found.expected_test_loss[1, 1]) == pytest.approx(float(at.test_loss))
    # A point's networks do not depend on what stands beside it.
    alone = rfdsm.sweep(MODEL, {"lam": [0.1], "psi_p": [2.02]}, simulate=simulate, seed=3)
    one, other = found.simulated_bias2[1, 1], alone.simulated_bias2[0, 0]
    np.testing.assert_array_equal(one.values, other.values)
    theirs = found.simulated_test_loss.mean("trial")
    assert np.all(abs(theirs / found.expected_test_loss - 1) < 0.3)


def test_networks_that_diverge_are_marked(monkeypatch):
    at = MODEL.simulate(jax.random.key(0), 12, 2)
    torn = dataclasses.replace(at, test_loss=at.test_loss.at[1].set(jnp.nan))
    monkeypatch.setattr(rfdsm.RFDSM, "simulate", lambda *_, **__: torn)
    part = networks(grid_of(MODEL, {"lam": [1e-3]}), {"d": 12, "trials": 2})
    assert part.compute(part.grid.whole())["simulated_status"].tolist() == [DIVERGED]


def test_networks_over_training_times():
    found = rfdsm.sweep(
        FLOW, {"tau": [1.0, 3.0, 10.0], "lam": [0.1, 1e-3]}, simulate={"d": 10, "trials": 2}
    )
    assert found.simulated_train_loss.dims == ("tau", "lam", "trial")
    assert np.all(np.diff(found.simulated_train_loss, axis=0) < 0)


def test_keys_depend_on_every_number():
    """But, where all times are of the same networks, on the time."""

    def words(model, *more):
        return tuple(jax.random.key_data(point_key(model, *more)).tolist())

    others = ({name: 0.5} for name in ("psi_n", "psi_p", "t", "lam", "tau", "eigenvalues[0]"))
    models = [FLOW, FLOW.replace(m=1), *(FLOW.replace(**each) for each in others)]
    keys = {words(model, 0, 12) for model in models} | {words(FLOW, 1, 12), words(FLOW, 0, 8)}
    assert len(keys) == len(models) + 2
    assert words(FLOW, 0, 12, True) == words(FLOW.replace(tau=0.5), 0, 12, True)


def test_one_point_that_fails_stays_one_point(found):
    slopes = rfdsm.gradient("test_loss", wrt=["psi_p"])
    axes = {"lam": [1e-3, 1e200, 1e-2, 0.1]}
    one = rfdsm.sweep(MODEL.replace(psi_n=3.0, m=1.0), axes, quantities=slopes)
    failed = one.status != 0
    assert failed.values.tolist() == [False, True, False, False]
    for name in ("test_loss", "d_test_loss_psi_p"):
        np.testing.assert_array_equal(np.isnan(one[name]), failed)
    alone = rfdsm.sweep(
        MODEL.replace(psi_n=3.0, m=1.0), {"lam": [1e-3, 1e-2, 0.1]}, quantities=slopes
    )
    np.testing.assert_array_equal(alone.test_loss, one.test_loss[[0, 2, 3]])


def test_quantities_of_any_kind():
    def noises(model):
        """How many there are."""
        return {1.0: 1, 4.0: np.float32(4)}[float(model.m)]

    found = rfdsm.sweep(
        MODEL,
        {"m": [1, 2, 4]},
        quantities={
            "errors": lambda model: model.asymptotics(),
            "loss": lambda model: model.baselines(),
            "pair": lambda model: {"one": (model.m, [2, model.psi_p][1]), "large": model.m > 1},
            "noises": noises,
            "ragged": lambda model: np.ones(1 + int(model.m == 4)),
            "scaled": functools.partial(lambda factor, model: factor * model.m, 3),
        },
    )
    for name in FIELDS:
        np.testing.assert_allclose(found[f"errors_{name}"], found[name], rtol=1e-12)
    assert np.allclose(found.loss_linear, float(MODEL.baselines().linear))
    assert found.pair_one.values.tolist() == [[1, 3], [2, 3], [4, 3]]
    assert found.pair_large.values.tolist() == [0, 1, 1]
    assert found.scaled.values.tolist() == [3, 6, 12]
    np.testing.assert_array_equal(found.noises, [1, np.nan, 4])
    np.testing.assert_array_equal(found.ragged[:, 0], [1, 1, np.nan])
    assert found.noises.attrs["long_name"] == "How many there are."


def test_what_can_be_traced_is():
    """Else a sweep is as slow as a loop."""
    asked = {
        "list": lambda model: [model.m, 2],
        "errors": lambda model: model.asymptotics(),
        "slope": rfdsm.gradient("test_loss", ["psi_p"]),
        "called": lambda model: float(model.m),
    }
    found = quantities_of(asked, MODEL, None, ())
    assert [each.traced for each in found] == [True, True, True, False]


def test_memory_that_is_short_cuts_the_chunk(monkeypatch):
    axes = {"psi_p": np.geomspace(0.5, 5, 6), "psi_n": np.geomspace(0.5, 5, 700)}
    whole, solved = rfdsm.sweep(MODEL, axes), Theory._solved

    def short(part, values, points, most):
        if most > 1024:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return solved(part, values, points, most)

    monkeypatch.setattr(Theory, "_solved", short)
    with pytest.warns(UserWarning, match="memory is short") as told:
        same(rfdsm.sweep(MODEL, axes, chunk=3000), whole)
    assert len(told) == 2  # of 2800 points, and of 2048


@pytest.mark.parametrize(
    "axes, more, words",
    [
        ({"psi_q": [1.0]}, {}, "'psi_q' is no number of this model"),
        ({"psi_p": []}, {}, "psi_p must be a list of at least one number"),
        ({}, {}, "axes are numbers and their values"),
        ({"psi_p": [1.0, -1.0, 2.0]}, {}, r"psi_p\[1\] = -1: psi_p = p/d must be positive"),
        ({"m": [1.0, np.nan]}, {}, r"m\[1\] = nan"),
        ({"m": [1.0], "a": rfdsm.zipped(m=[1.0], lam=[1.0])}, {}, "m is swept twice"),
        ({"t": [0.1], "process.t": [1.0]}, {}, "process.t is swept twice"),
        ({"status": rfdsm.zipped(m=[1.0])}, {}, "cannot be called status"),
        ({"data.eigenvalues[3]": [1.0]}, {}, "has 1 elements"),
        ({"n": [10]}, {}, "sweep psi_n = n/d"),
        ({"m": [1.0, 2.5]}, {"simulate": {"d": 20}}, "m = 2.5: simulate needs an integer m"),
        ({"psi_p": [0.01]}, {"simulate": {"d": 20}}, "psi_p = 0.01"),
        ({"m": [1.0]}, {"simulate": {"d": 20, "points": 3}}, "got points too"),
        ({"m": [1.0]}, {"simulate": 20}, "simulate takes {'d': 48"),
        ({"m": [1.0]}, {"simulate": {"d": 20}, "seed": 1.5}, "seed must be an integer"),
        ({"m": [1.0]}, {"chunk": 0}, "chunk must be an integer"),
        ({"m": [1.0]}, {"chunk": {"t": 1}}, "names 't'"),
        ({"m": [1.0]}, {"quantities": {"m": lambda m: m.m}}, "that name is taken"),
        ({"m": [1.0]}, {"quantities": {"a": lambda m: m.foo}}, "fails at the first point"),
        ({"m": [1.0]}, {"quantities": {"a": lambda m: 1j * m.m}}, "no real numbers"),
        ({"m": [1.0]}, {"quantities": {"a": lambda m: {"b": {"c": m.m}}}}, "no real numbers"),
        ({"m": [1.0]}, {"quantities": {"a": lambda m: {}}}, "gives nothing"),
        ({"m": [1.0]}, {"quantities": {"a/b": lambda m: m.m}}, "cannot be called 'a/b'"),
        ({"m": [1.0]}, {"quantities": [lambda m: m.m, lambda m: m.lam]}, "two quantities"),
        ({"m": [1.0]}, {"quantities": {"a": lambda m: None}}, "no real numbers"),
        ({"m": [1.0]}, {"quantities": {"a": lambda m: "x"}}, "no real numbers"),
        ({"m": [1.0]}, {"simulate": 20}, "simulate takes {'d': 48, 'trials': 8}, got 20"),
    ],
)
def test_bad_sweeps_say_so_in_one_line(axes, more, words):
    with pytest.raises(ValueError, match=words) as told:
        rfdsm.sweep(MODEL, axes, **more)
    assert "\n" not in str(told.value)


def test_a_grid_that_does_not_fit_in_memory_is_told_before_the_work():
    x = np.geomspace(1, 2, 10**6)
    with pytest.raises(MemoryError, match="GiB are free: give a store"):
        rfdsm.sweep(MODEL, {"psi_n": x, "psi_p": x})


def test_zipped_lengths_differ():
    with pytest.raises(ValueError, match="2 of psi_n, 1 of m"):
        rfdsm.zipped(psi_n=[1.0, 2.0], m=[1])


def test_gradients_are_of_errors():
    for error, wrt in ("loss", ["m"]), ("test_loss", []), ("test_loss", ["m", "inverse_m"]):
        with pytest.raises(ValueError):
            rfdsm.gradient(error, wrt)
    gap = rfdsm.gradient("memorization_gap", "psi_p")(MODEL)
    exact = jax.grad(lambda m: m.asymptotics().memorization_gap)(MODEL).psi_p
    assert float(gap["psi_p"]) == pytest.approx(float(exact)) and jnp.isfinite(exact)
