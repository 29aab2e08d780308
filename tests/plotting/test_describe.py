"""Models in words."""

import math

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
