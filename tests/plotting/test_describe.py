"""Models in words."""

import math

import rfdsm
from rfdsm import RFDSM
from rfdsm.plotting import describe


def test_every_activation_and_law_has_a_title():
    from rfdsm import Gaussian, ReLU

    law = Gaussian((1.9, 0.1))
    text = describe(
        RFDSM(8, 1, math.inf, t=0.1, lam=2e-3, activation=ReLU(), data=law), without=["psi_p"]
    )
    assert text == (
        r"Gaussian data, eigenvalues 1.9, 0.1, ReLU, $\psi_n = 8$, $m = \infty$, $t = 0.1$, "
        r"$\lambda = 2\times 10^{-3}$"
    )


def test_processes_and_targets_are_told_where_they_are_not_the_usual_ones():
    model = RFDSM(8, 1, 4, lam=0.5, process=rfdsm.FlowMatching(0.3), target=rfdsm.DataTarget())
    told = describe(model).partition("tanh, ")[2]
    assert told == (
        r"flow matching, data target, $\psi_n = 8$, $\psi_p = 1$, $m = 4$, $t = 0.3$, "
        r"$\lambda = 0.5$"
    )
    angle = model.replace(target=rfdsm.AngleTarget(0.5), process=rfdsm.VarianceExploding(2))
    told = describe(angle, without=["lam", "psi_n", "psi_p", "m"])
    assert told.endswith(r"variance exploding, angle target, $\sigma = 2$, $\theta = 0.5$")
    before = {n: x for n, x in model.to_dict().items() if n != "target"}
    assert "target" not in describe(before)


def test_an_ensemble_is_told_and_one_network_is_not():
    one = RFDSM(8, 1, 4, t=0.1, lam=0.5)
    many = one.replace(ensemble=rfdsm.Ensemble(math.inf))
    assert describe(many) == describe(one) + r", $N_e = \infty$, sharing points and noises"
    assert describe(many.replace(**{"ensemble.share": ()})).endswith("sharing nothing")
    before = {n: x for n, x in one.to_dict().items() if n != "ensemble"}
    assert describe(before) == describe(one)
