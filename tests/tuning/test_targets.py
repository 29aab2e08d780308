"""The best target: its angle beside other numbers, the units of losses, times of processes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm.tuning import goals, verification
from rfdsm.tuning.minimise import problem_of
from rfdsm.tuning.variables import free_variables

SUBSPACE = rfdsm.Gaussian((0.0, 10.0), (0.9, 0.1))
MODEL = rfdsm.RFDSM(4.0, 1.0, 8, t=0.5, lam=1e-2, target=rfdsm.AngleTarget(0.5), data=SUBSPACE)
FREE = {"lam": (1e-6, 10.0), "target.angle": (0.0, 1.57)}


def test_the_best_angle_beats_noise_data_and_velocity():
    best = rfdsm.tune(MODEL, FREE, starts=8)
    a, h = MODEL.process.scales()
    lams = np.geomspace(1e-6, 10.0, 200)
    angles = np.array(
        [0.0, math.pi / 2, math.atan2(math.sqrt(h), a), best.numbers["target.angle"]]
    )

    @jax.jit
    def errors(angle, lam):
        return MODEL.replace(angle=angle, lam=lam).solve().errors.score_error

    table = jax.vmap(jax.vmap(errors, (None, 0)), (0, None))(angles, lams)
    noise, data, velocity, own = np.min(np.asarray(table), axis=1)
    assert best.value < 0.99 * min(noise, data, velocity)
    assert best.value == pytest.approx(own, rel=1e-3) and best.value <= own
    assert best.first_order < 1e-9 and best.second_order > 0
    standing = best.verify(jax.random.key(0), d=20, trials=4)
    moved = [each.moved.split(" = ")[0] for each in standing.neighbours]
    assert moved == ["training.lam"] * 2 + ["target.angle"] * 2 and standing.stands


def test_evenly_spaced_numbers_move_by_a_share_of_their_bounds():
    free = {"target.angle": (0.0, 1.5), "lam": (1e-6, 10.0)}
    variables = free_variables(MODEL, free)
    moves = [*verification._moves(variables, {"target.angle": 0.0, "training.lam": 1.0}, 2.0)]
    assert moves == [("target.angle", 0.375), ("training.lam", 0.5), ("training.lam", 2.0)]


@pytest.mark.parametrize(
    "changes, free, asked, name",
    [
        ({}, FREE, {"objective": "test_loss"}, "target.angle"),
        ({}, FREE, {"objective": "memorization_gap"}, "target.angle"),
        ({}, FREE, {"subject_to": rfdsm.at_most("train_loss", 1)}, "target.angle"),
        (
            {},
            FREE,
            {"objective": rfdsm.over_times((0.1, 0.2), error="test_loss")},
            "target.angle",
        ),
        (
            {"target": rfdsm.LinearTarget(0.3, 1.0)},
            {"target.data": None, "psi_p": None},
            {"objective": "train_loss"},
            "target.data",
        ),
        (
            {"target": rfdsm.VelocityTarget(), "process": rfdsm.VariancePreserving(0.5)},
            {"alpha_bar": None},
            {"objective": "test_loss"},
            "process.alpha_bar",
        ),
    ],
)
def test_losses_in_units_that_move_are_refused(changes, free, asked, name):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        problem_of(MODEL.replace(**changes), free, **{"objective": "score_error"} | asked)
    assert f"is in units that the free {name} changes: take score_error" in str(caught.value)


def test_losses_of_one_unit_are_tuned_as_ever():
    flow = {"process": rfdsm.FlowMatching(0.4), "target": rfdsm.VelocityTarget()}
    for changes, free in (
        ({}, {"lam": None, "t": None, "psi_p": None}),
        ({"target": rfdsm.ScoreTarget()}, ["t"]),
        (flow, ["t"]),
    ):
        problem_of(MODEL.replace(**changes), free, "test_loss", rfdsm.at_least("train_loss", 0))
    problem = problem_of(MODEL, FREE, "noise_loss")
    point = problem.point(jnp.array([0.3, 0.2]))
    exact = point.model.noise_loss(point.errors.test_loss)
    assert problem.goals(point)[0] == exact != point.errors.test_loss
    assert problem.objective.words == "noise loss" and problem.objective.loss == "test_loss"


@pytest.mark.parametrize(
    "process, t, rate",
    [
        (rfdsm.OrnsteinUhlenbeck(1.0), 0.3, 1.0),
        (rfdsm.FlowMatching(0.5), 0.3, 0.3 / 0.7),
        (rfdsm.VarianceExploding(1.0), 0.3, 0.3),
        (rfdsm.VariancePreserving(0.5), 0.3, 1 / 0.6),
        (rfdsm.Preconditioned(1.0, 2.0), 0.3, 0.3 / (0.3**2 + 4)),
    ],
    ids=repr,
)
def test_the_usual_weights_of_times_are_half_of_g_squared(process, t, rate):
    model = MODEL.replace(process=process)
    assert goals._diffusion(model, t) == pytest.approx(rate, rel=1e-12)


def test_times_of_another_process():
    model = MODEL.replace(process=rfdsm.FlowMatching(0.5))
    ts = np.array([0.2, 0.4, 0.8])
    usual, given = rfdsm.over_times(ts), rfdsm.over_times(ts, usual_weights := [0.1, 0.3, 0.2])
    solve = jax.jit(lambda t: model.replace(t=t).asymptotics().score_error)
    errors = np.array([solve(t) for t in ts])
    assert float(usual(model)) == pytest.approx(
        usual_weights @ (errors * ts / (1 - ts)), rel=1e-10
    )
    assert float(given(model)) == pytest.approx(usual_weights @ errors, rel=1e-10)
    with pytest.raises(ValueError, match="flow matching must lie between 0 and 1"):
        problem_of(model, ["lam"], rfdsm.over_times((0.5, 1.5)))


@pytest.mark.slow
def test_a_front_ends_at_the_null_loss_of_the_target():
    """Of data of variance 4 that is 4: a larger memorization loss protects nobody better."""
    model = rfdsm.RFDSM(
        2.0, 4.0, 4, t=0.2, lam=1e-2, target=rfdsm.DataTarget(), data=rfdsm.Gaussian((4.0,))
    )
    free = {"lam": (1e-6, 1e4)}
    front = rfdsm.pareto(model, free, "score_error", "memorization_loss", 4, starts=16)
    assert 1 < front.level[-1] <= 4 and front.feasible.all()
    assert front.level[-1] == pytest.approx(4, rel=1e-2)


@pytest.mark.slow
def test_one_measurement_serves_all_angles():
    """The least loss of the implied noise on points, and networks there."""
    X = np.random.default_rng(0).normal(size=(400, 3)) @ np.eye(3, 8) * np.sqrt(8 / 3)
    model = MODEL.replace(psi_p=2.0, psi_n=4.0, data=rfdsm.Samples(X - X.mean(axis=0)))
    moments = rfdsm.measure(model, jax.random.key(1), classes=1, halves=True, warned=False)
    free = {"lam": (1e-4, 10.0), "target.angle": (0.0, 1.57)}
    asked = {"starts": 16, "moments": moments}
    with pytest.raises(ValueError, match=r"score_error is not known.*take noise_loss"):
        rfdsm.tune(model, free, **asked)
    best = rfdsm.tune(model, free, "noise_loss", **asked)
    assert best.first_order < 1e-4 and 0 < best.error_bar < 0.2 * best.value
    at = best.numbers["target.angle"]
    for angle in (0.0, at - 0.1, at + 0.1, 1.57):
        other = best.model.replace(angle=angle)
        assert other.noise_loss(other.asymptotics(moments=moments).test_loss) > best.value
    standing = best.verify(jax.random.key(0), trials=8)
    assert standing.stands and standing.optimum.simulated == pytest.approx(best.value, rel=0.1)
