"""`rfdsm.compare`: targets side by side, and which of them is best where."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import results
import xarray as xr

import rfdsm
from rfdsm import sweeps
from rfdsm.errors import FIELDS
from rfdsm.sweeps import comparison, contest

SUBSPACE = rfdsm.Gaussian([0.0, 10.0], [0.9, 0.1])
MODEL = rfdsm.RFDSM(psi_n=4, psi_p=1, m=8, t=0.5, lam=0.01, data=SUBSPACE)
OVER = {"psi_p": [0.3, 1.0, 3.0]}
TARGETS = {
    "noise": rfdsm.NoiseTarget(),
    "data": rfdsm.DataTarget(),
    "velocity": rfdsm.VelocityTarget(),
}
# docs/theory.md section 14: noise, data, velocity at psi_p = 0.3, 1, 3, to three digits, at the
# best lam of a grid: up to 1.5 % above the best of all.
KNOWN = {
    0.1: [[0.772, 0.457, 0.170], [0.487, 0.096, 0.024], [0.531, 0.310, 0.117]],
    0.5: [[0.713, 0.283, 0.059], [0.172, 0.033, 0.008], [0.152, 0.051, 0.013]],
    1.0: [[0.703, 0.249, 0.044], [0.053, 0.014, 0.004], [0.045, 0.014, 0.004]],
}


@pytest.fixture(scope="module")
def found():
    return rfdsm.compare(MODEL, over=OVER)


@pytest.mark.parametrize("t", KNOWN)
def test_on_a_subspace(t):
    error = rfdsm.compare(MODEL.replace(t=t), over=OVER).noise_error.values
    assert np.all(error < np.array(KNOWN[t]) + 5e-4)
    assert np.all(error > 0.985 * np.array(KNOWN[t]) - 5e-4)


def test_each_target_is_at_its_own_best(found):
    """By the model of the velocity itself, which the comparison computes as a linear one."""
    at = found.sel(target="velocity", psi_p=1.0)
    h, lam = float(MODEL.process.noising().h), float(at.optimal_lam)
    model = MODEL.replace(target=TARGETS["velocity"], lam=lam)
    lams = jnp.array([1.0, 0.8, 1.25]) * lam
    errors = jax.vmap(lambda lam: model.replace(lam=lam).solve().errors)(lams)
    for error in FIELDS:
        assert float(at[error]) == pytest.approx(float(getattr(errors, error)[0]), rel=1e-8)
    best, *others = errors.score_error
    assert best < min(others)
    assert float(at.noise_error) == pytest.approx(h * float(best), rel=1e-8)
    loss = float(model.noise_loss(errors.test_loss[0]))
    assert float(at.noise_loss) == pytest.approx(loss, rel=1e-8)


def test_what_no_score_can_know_is_the_same_for_all(found):
    unknown = (found.noise_loss - found.noise_error).values
    best = float(MODEL.replace(target=TARGETS["noise"]).baselines().best)
    np.testing.assert_allclose(unknown, best, rtol=1e-9)


def test_it_explains_itself(found):
    assert found.noise_error.dims == ("target", "psi_p")
    attrs = found.attrs
    assert (attrs["axis"], attrs["compared"], attrs["tuned"]) == ("psi_p", "noise_error", "lam")
    kinds = {name: x["kind"] for name, x in json.loads(attrs["targets"]).items()}
    assert kinds == {name: type(x).__name__ for name, x in TARGETS.items()}
    assert all(found[name].attrs["long_name"] for name in found.data_vars)
    assert found.c_x.values[:, 0].round(3).tolist() == [0, 1, -0.795]  # -sqrt(h), a
    assert float(rfdsm.model_of(found).psi_p) == 0.3


@pytest.mark.slow
def test_the_score_is_the_noise_and_other_targets_are_told_in_words():
    over = {"psi_p": [1.0, 3.0]}
    found = rfdsm.compare(MODEL, ["score", "noise", "1,0", "data"], over, best=None)
    error = found.noise_error.values
    np.testing.assert_allclose(error[0], error[1], rtol=1e-9)
    np.testing.assert_array_equal(error[2], error[3])
    exact = MODEL.replace(psi_p=3.0).asymptotics()
    assert float(found.score_error[0, 1]) == pytest.approx(float(exact.score_error), rel=1e-9)
    names = sweeps.ranking(found).names
    assert names == ("score = noise", "1,0 = data")


@pytest.mark.slow
def test_over_the_noise_level_of_a_process():
    """The velocity of flow matching is always z - x, that of others changes along the axis."""
    process = rfdsm.FlowMatching(0.3)
    times = {"t": [0.5, 0.2]}
    found = rfdsm.compare(MODEL.replace(process=process), ["velocity"], times, best=None)
    assert found.t.values.tolist() == [0.2, 0.5], "ascending"
    assert found.c_x.values.tolist() == [[-1, -1]] and found.c_z.values.tolist() == [[1, 1]]
    model = MODEL.replace(process=rfdsm.FlowMatching(0.2), target=rfdsm.VelocityTarget())
    exact = model.asymptotics()
    error = 0.2**2 * float(exact.score_error)
    assert float(found.noise_error[0, 0]) == pytest.approx(error, rel=1e-9)
    turning = rfdsm.compare(MODEL, ["velocity"], {"t": [0.2, 0.5]}, best=None)
    np.testing.assert_allclose(turning.c_z[0], np.exp([-0.2, -0.5]))


@pytest.mark.slow
def test_over_the_dimension_of_the_subspace():
    shares = np.array([0.1, 1.0])
    together = {
        "data.weights[1]": shares,
        "data.weights[0]": 1 - shares,
        "data.eigenvalues[1]": 1 / shares,
    }
    over = {"subspace": rfdsm.zipped(together)}
    found = rfdsm.compare(MODEL, ["noise", "data"], over, best=None)
    assert found.noise_error.dims == ("target", "subspace")
    np.testing.assert_array_equal(found["subspace"], shares)
    isotropic = MODEL.replace(data=rfdsm.Gaussian(), target=rfdsm.DataTarget()).asymptotics()
    exact = float(isotropic.score_error) * float(MODEL.process.noising().h)
    assert float(found.noise_error[1, 1]) == pytest.approx(exact, rel=1e-8)


@pytest.mark.slow
def test_the_best_time_to_stop():
    model = MODEL.replace(training=rfdsm.GradientFlow(1.0))
    found = rfdsm.compare(model, ["data"], {"psi_p": [1.0, 3.0]}, "tau")
    tau = float(found.optimal_tau[0, 1])
    model = model.replace(psi_p=3.0, target=rfdsm.DataTarget())
    errors = model.trajectory(tau * np.array([0.8, 1.0, 1.25])).score_error
    assert errors[1] < min(errors[0], errors[2])
    error = float(errors[1] * model.process.noising().h)
    assert float(found.noise_error[0, 1]) == pytest.approx(error, rel=1e-8)


def test_networks_beside(found):
    asked = {"d": 60, "trials": 4, "points": 1}
    done = []
    both = rfdsm.compare(
        MODEL, ["noise", "data"], OVER, simulate=asked, seed=3, report=done.append
    )
    np.testing.assert_array_equal(both.noise_error, found.noise_error[:2])
    assert both.sizes["simulated_psi_p"] == 1 and float(both["simulated_psi_p"][0]) == 1.0
    # psi_p = 1 is realised, hence theory there is that of the line.
    np.testing.assert_allclose(both.noise_error_theory[:, 0], both.noise_error[:, 1], 1e-8)
    gap = np.abs(both.noise_error_mean - both.noise_error_theory)
    assert np.all(gap < 0.15 * both.noise_error_theory), "of 6 dimensions that data fill"
    steps = [at for at in done if "networks" in at.stage and at.total == 4]
    assert [at.done for at in steps] == [2, 4]


POINTS = rfdsm.RFDSM(
    psi_n=2,
    psi_p=0.52,  # of 8 dimensions: 4 features
    m=2,
    t=0.2,
    lam=0.03,
    data=rfdsm.Samples(rfdsm.standardise(results.points())),
)


@pytest.fixture(scope="module")
def on_points():
    """Two targets over n, networks at one of them."""
    simulate = {"trials": 3, "points": 1}
    over = {"n": [10.4, 40]}
    return rfdsm.compare(
        POINTS, ["noise", "data"], over, None, simulate=simulate, classes=1, seed=2
    )


def measured(model, number, seed):
    """The moments that a comparison measures at a value of its axis."""
    key = jax.random.fold_in(jax.random.key(seed), number)
    return rfdsm.measure(model, key, classes=1, warned=False)


@pytest.mark.slow
def test_data_points_are_measured_once_for_all_targets(on_points):
    assert on_points.n.values.tolist() == [10, 40], "whole ones"
    assert on_points.attrs["compared"] == "noise_loss" and "noise_error" not in on_points
    assert (on_points.attrs["points"], on_points.attrs["dimension"]) == (200, 8)
    moments = measured(POINTS.replace(psi_p=0.5, psi_n=1.25), 0, 2)
    for name in ("noise", "data"):
        target = rfdsm.LinearTarget(*TARGETS[name].combination(POINTS.process))
        model = POINTS.replace(psi_p=0.5, psi_n=5.0, target=target)
        loss = model.noise_loss(model.asymptotics(moments=moments).test_loss)
        at = on_points.sel(target=name, n=40)
        assert float(at.noise_loss) == pytest.approx(float(loss), rel=1e-9)
        bar = model.noise_loss(rfdsm.sampling_error(model, moments).total.test_loss)
        assert float(at.noise_loss_error_bar) == pytest.approx(float(bar), rel=1e-9)
    assert float(on_points.noise_loss[0, 1]) == pytest.approx(
        float(on_points.test_loss[0, 1]), rel=1e-12
    ), "of the noise itself"
    assert float(on_points.noise_loss[1, 1]) != pytest.approx(
        float(on_points.test_loss[1, 1]), rel=0.1
    )


@pytest.mark.slow
def test_networks_on_data_points(on_points):
    mean, theory = on_points.noise_loss_mean, on_points.noise_loss_theory
    (there,) = on_points["simulated_n"].values
    at = on_points.noise_loss.sel(n=there).values
    np.testing.assert_allclose(theory[:, 0], at, rtol=1e-9)
    assert np.all(np.abs(mean - theory) < 0.25 * theory)


@pytest.mark.slow
def test_the_best_ridge_on_data_points_at_every_width():
    """Each width is measured, once for all targets."""
    found = rfdsm.compare(POINTS, ["data", "noise"], {"psi_p": [2.0, 0.52]}, classes=1)
    assert found.psi_p.values.tolist() == [0.5, 2.0], "of whole features"
    moments = measured(POINTS.replace(psi_p=2.0), 1, 0)
    lam = float(found.optimal_lam[0, 1])
    there = POINTS.replace(psi_p=2.0, target=rfdsm.DataTarget())
    losses = [
        float(there.replace(lam=factor * lam).asymptotics(moments=moments).test_loss)
        for factor in (0.8, 1.0, 1.25)
    ]
    assert losses[1] < min(losses[0], losses[2])
    assert float(found.test_loss[0, 1]) == pytest.approx(losses[1], rel=1e-9)


def made(values, x, *, bars=None, spacing="log"):
    """A data set of three targets with some errors."""
    dims = ("target", "psi_p")
    variables = {"noise_error": (dims, np.array(values, float))}
    if bars is not None:
        variables["noise_error_error_bar"] = dims, np.array(bars, float)
    coords = {"target": ["a", "b", "c"], "psi_p": ("psi_p", x, {"spacing": spacing})}
    return xr.Dataset(variables, coords, {"axis": "psi_p", "compared": "noise_error"})


def test_ranges_and_crossings_of_power_laws():
    """a = 4/x and b = 1 cross at 4, in between of values; c = 100 never counts."""
    x = np.array([1.0, 2.0, 8.0, 32.0])
    found = sweeps.ranking(made([4 / x, x**0, 100 * x**0], x))
    first, second = found.ranges
    assert (first.best, first.seconds, second.best, second.seconds) == (
        "b",
        ("a",),
        "a",
        ("b",),
    )
    assert (first.low, second.high) == (1, 32)
    assert first.high == second.low == pytest.approx(4)
    assert (first.least, first.most) == pytest.approx((2, 4))
    assert (second.least, second.most) == pytest.approx((2, 8))
    (crossing,) = found.crossings
    assert (crossing.before, crossing.after) == ("b", "a")
    assert (crossing.at, crossing.error) == pytest.approx((4, 1))


def test_gaps_ties_error_bars_and_infinity():
    x, nan = np.array([1.0, 2.0, 4.0, np.inf]), np.nan
    found = sweeps.ranking(made([[1, nan, 3, 3], [2, nan, 2, 2], [1, nan, 3, 3]], x))
    assert found.names == ("a = c", "b")
    assert [each.best for each in found.ranges] == ["a = c", "b"] and not found.crossings
    assert (found.ranges[1].low, found.ranges[1].high) == (4, np.inf)
    bars = [[0.1] * 4, [0.3] * 4, [0.1] * 4]
    values = [[1, 1, 1, 5], [1.2, 2, 2, 2], [9, 9, 9, 9]]
    found = sweeps.ranking(made(values, x, bars=bars))
    assert [each.certain for each in found.ranges] == [False, True]
    assert np.isnan(found.crossings[0].at), "on the way to infinity"
    assert found.ranges[0].high == 4


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"over": {}}, "compared over one number"),
        ({"over": {"psi_p": [1], "t": [0.1]}}, "got psi_p and t"),
        ({"over": {"width": [1]}}, "'width' is no number"),
        ({"over": {"psi_p": [1, 1]}}, "was given twice"),
        ({"over": {"psi_p": [1, -1]}}, "must be positive"),
        ({"targets": []}, "no targets"),
        ({"targets": ["noise", "noise"]}, "noise was given twice"),
        ({"targets": ["image"]}, "targets image is unknown"),
        ({"targets": {"mine": rfdsm.DataTarget}}, "mine must be one of"),
        ({"targets": ["1,1"], "over": {"process.t": [0.34657359]}}, "proportional to y"),
        ({"best": "psi_p"}, "psi_p is swept"),
        ({"best": "t"}, "a number of the training"),
        ({"best": "tau"}, "no number of this model"),
        ({"best": {"lam": (2, 1)}}, "no number lies between"),
        ({"best": {"lam": None, "tau": None}}, "one number is tuned"),
        ({"simulate": {"d": 0}}, "d of at least 1"),
        ({"simulate": {"d": 12, "points": 9}}, "points from 1 to"),
        ({"simulate": {"d": 12, "trials": 0}}, "trials must"),
        ({"simulate": {"d": 12, "size": 0}}, "size"),
    ],
)
def test_bad_requests_in_one_line(asked, words, monkeypatch):
    for name in ("solved", "trained"):
        monkeypatch.setattr(contest, name, None)  # before any work
    with pytest.raises((ValueError, TypeError), match=words) as error:
        rfdsm.compare(MODEL, **{"over": OVER} | asked)
    assert "\n" not in str(error.value)


def test_a_target_of_one_s_own_needs_no_name_in_words(found):
    """By any name, and the same as ours where it is the same."""

    class Clean(rfdsm.AbstractTarget):
        def combination(self, process):
            return 2.0, 0

    mine = rfdsm.compare(MODEL, {"mine": Clean()}, OVER)
    np.testing.assert_allclose(mine.noise_error[0], found.noise_error[1], rtol=1e-9)
    assert comparison.COMPARED.keys() >= {mine.attrs["compared"]}
