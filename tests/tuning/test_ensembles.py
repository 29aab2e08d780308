"""One wide network or several narrow ones: their number is free, and costs count them all."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm import Ensemble
from rfdsm.tuning.goals import COSTS
from rfdsm.tuning.minimise import problem_of

ONE = rfdsm.RFDSM(2.0, 3.0, 2, t=0.2, lam=0.03)
MANY = ONE.replace(ensemble=Ensemble(4))
FREE = {"networks": (1, math.inf), "lam": (1e-6, 10.0)}


def test_costs_of_one_network_are_those_of_before():
    for p in (3.0, 5.0):
        model = ONE.replace(psi_p=p)
        k = min(p, 4.0)
        flops = 4 * p * (k + 2) + model.training.flops(k) + 2 * k**2
        found = {name: float(cost(model)) for name, cost in COSTS.items()}
        assert found == {"parameters": p, "samples": 4.0, "flops": float(flops)}


@pytest.mark.parametrize(
    "share, parameters, samples",
    [
        (("points", "noises"), 4, 1),
        (("points",), 4, 4),
        ((), 4, 4),
        (("features",), 1, 4),
        (("features", "points"), 1, 4),
    ],
)
def test_costs_count_what_is_not_shared(share, parameters, samples):
    """Every fit is one of its own; read-outs of the same features average to one."""
    times = {"parameters": parameters, "samples": samples, "flops": 4}
    for name, cost in COSTS.items():
        many = ONE.replace(ensemble=Ensemble(4, share))
        assert float(cost(many)) == times[name] * float(cost(ONE))
        endless = cost(many.replace(networks=jnp.inf))
        assert math.isinf(endless) == (times[name] > 1)


def test_the_best_number_of_networks_is_that_of_a_grid():
    """Of each width as many as the budget pays for, at every ridge."""
    budget, free = 400.0, FREE | {"psi_p": (0.1, 100.0)}
    best = rfdsm.tune(MANY, free, "test_loss", budget={"flops": budget}, starts=16)
    assert best.active == ("flops <= 400",) and best.multipliers["flops <= 400"] > 0
    assert best.first_order < 1e-9 and best.second_order > 0

    @jax.jit
    def test_loss(psi_p, lam):
        one = MANY.replace(networks=1, psi_p=psi_p, lam=lam)
        networks = budget / COSTS["flops"](one)
        loss = one.replace(networks=networks).solve().errors.test_loss
        return jnp.where(networks >= 1, loss, jnp.inf)

    widths, ridges = np.geomspace(0.2, 8.0, 60), np.geomspace(1e-3, 10.0, 60)
    table = np.asarray(jax.vmap(jax.vmap(test_loss, (None, 0)), (0, None))(widths, ridges))
    i, j = np.unravel_index(np.argmin(table), table.shape)
    assert 0 < i < 59 and 0 < j < 59, "the grid holds the optimum"
    assert best.value <= table[i, j] and best.value == pytest.approx(table[i, j], rel=1e-3)
    assert best.model.psi_p == pytest.approx(widths[i], rel=0.15)
    networks = best.numbers["ensemble.networks"]
    assert networks == pytest.approx(budget / COSTS["flops"](best.model.replace(networks=1)))
    whole = best.integer.numbers["ensemble.networks"]
    assert whole in (math.floor(networks), math.ceil(networks))
    assert best.value <= best.integer.value < 1.01 * best.value


def test_without_a_budget_they_are_infinitely_many():
    """An error is linear in 1/N_e, and what that is worth is its slope."""
    best = rfdsm.tune(MANY, {"networks": (1, math.inf)}, "test_loss", starts=4)
    assert best.numbers == {"ensemble.networks": math.inf} == best.integer.numbers
    ends = [float(MANY.replace(networks=x).asymptotics().test_loss) for x in (1, math.inf)]
    assert best.value == pytest.approx(ends[1], rel=1e-12)
    worth = {"ensemble.networks <= inf": pytest.approx(ends[0] - ends[1], rel=1e-9)}
    assert best.multipliers == worth and best.active == ("ensemble.networks <= inf",)


SHARE = {"ensemble.share": ("points",)}


@pytest.mark.parametrize(
    "model, free, asked, message",
    [
        (ONE, "networks", {}, r"free has no .*: give ensemble=rfdsm\.Ensemble\(\.\.\.\)\."),
        (MANY, {"networks": (0.5, 4)}, {}, "the bound 0.5 of ensemble.networks is refused: n"),
        (MANY.replace(**SHARE), "networks", {"objective": "train_loss"},
         "train_loss is not known of networks that share points: take test_loss, or share"),
        (MANY.replace(**SHARE), "networks", {"objective": "generalization_gap"},
         "generalization_gap is not known"),
        (ONE.replace(ensemble=Ensemble(4, "features")), "networks",
         {"subject_to": rfdsm.at_least("memorization_loss", 0.5)},
         "memorization_loss is not .* features: take test_loss, or share their points in"),
        (ONE.replace(ensemble=Ensemble(4, ())), "networks",
         {"objective": rfdsm.over_times((0.1, 0.2), error="memorization_loss")},
         "memorization_loss is not known of networks that share nothing"),
    ],
)  # fmt: skip
def test_what_is_refused(model, free, asked, message):
    with pytest.raises(ValueError, match=rf"^{message}[^\n]*$"):
        problem_of(model, free, **{"objective": "score_error"} | asked)
    problem_of(MANY, FREE, "train_loss", rfdsm.at_least("memorization_loss", 0.5))


@pytest.mark.slow
def test_several_models_with_their_best_number_of_networks():
    asked = {"objective": "test_loss", "budget": {"flops": 300.0}}
    found = rfdsm.tune_sweep(MANY, {"psi_p": [0.5, 3.0]}, FREE, **asked, integer=True)
    assert (found.status == 0).all()
    for i, psi_p in enumerate((0.5, 3.0)):
        best = rfdsm.tune(MANY.replace(psi_p=psi_p), FREE, **asked, starts=16).integer
        assert float(found.optimal_networks[i]) == best.numbers["ensemble.networks"]
        assert float(found.value[i]) == pytest.approx(best.value, rel=1e-9)


@pytest.mark.slow
def test_the_best_ridge_of_networks_on_data():
    """Their own W want moments of two networks, which are measured at one width."""
    X = jax.random.normal(jax.random.key(0), (300, 8))
    model = MANY.replace(data=rfdsm.Samples(X))
    moments = rfdsm.measure(model, jax.random.key(1), classes=1, warned=False)
    best = rfdsm.tune(model, FREE, "test_loss", budget={"parameters": 9.0}, moments=moments)
    assert best.numbers["ensemble.networks"] == pytest.approx(3) and best.error_bar is None
    lam = best.numbers["training.lam"]
    ridges = [lam / 1.3, lam, 1.3 * lam]
    losses = [best.model.replace(lam=x).asymptotics(moments=moments).test_loss for x in ridges]
    assert best.value == pytest.approx(losses[1]) and min(losses) == losses[1]
    with pytest.raises(ValueError, match="psi_p belongs to the measurement"):
        rfdsm.tune(model, "psi_p", "test_loss", moments=moments)


@pytest.mark.slow
def test_the_front_of_networks():
    """Along it fewer networks are paid for, and what they are worth is its slope."""
    cost = rfdsm.at_most("parameters", 6.0)
    front = rfdsm.pareto(MANY, FREE, "test_loss", cost, [6.0, 12.0, 24.0], starts=16)
    np.testing.assert_allclose(front.numbers["ensemble.networks"], [2, 4, 8], rtol=1e-9)
    assert np.all(np.diff(front.value) < 0) and np.all(front.slope < 0)


@pytest.mark.slow
def test_the_best_number_of_networks_stands():
    asked = {"budget": {"parameters": 9.0}, "starts": 16}
    best = rfdsm.tune(MANY, FREE, "test_loss", **asked)
    assert best.integer.numbers["ensemble.networks"] == 3
    standing = best.verify(jax.random.key(0), d=40, trials=8)
    assert standing.stands, repr(standing)
    assert standing.optimum.numbers["ensemble.networks"] == 3
    gap = standing.optimum.simulated - standing.optimum.theory
    assert abs(gap) < 0.05
