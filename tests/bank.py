"""One bank of problems, shared by the tests and the benchmarks.

Every combination of m and data law, each under- and overparameterised (p below and above
the number N = n m of pairs; at m = ∞ below and above n), with the activations in turn.
The ratios give integers at d = 80 and 160.
"""

import math
from typing import NamedTuple

import rfdsm

LAWS = {
    "isotropic": ((1.0,), (1.0,)),
    "two atoms": ((1.9, 0.1), (0.5, 0.5)),
    "subspace": ((2.0, 0.0), (0.25, 0.75)),
}


class Problem(NamedTuple):
    """A model in words, so that a failing test can be read."""

    law: str
    activation: str
    psi_n: float
    psi_p: float
    m: float
    t: float
    lam: float

    def model(self) -> rfdsm.RFDSM:
        """The model of this problem."""
        return rfdsm.RFDSM(
            psi_n=self.psi_n,
            psi_p=self.psi_p,
            m=self.m,
            t=self.t,
            lam=self.lam,
            activation=getattr(rfdsm, self.activation)(),
            data=rfdsm.Gaussian(*LAWS[self.law]),
        )

    def __str__(self) -> str:
        return (
            f"{self.law}-{self.activation}-n{self.psi_n:g}-p{self.psi_p:g}-m{self.m:g}"
            f"-t{self.t:g}-lam{self.lam:g}"
        )


BANK = (
    Problem("isotropic", "Tanh", 2.0, 1.0, 1, 0.1, 1e-2),
    Problem("isotropic", "ReLU", 2.0, 6.0, 1, 0.3, 1e-2),
    Problem("isotropic", "Erf", 2.0, 1.5, 2, 0.2, 1e-3),
    Problem("isotropic", "Tanh", 1.0, 6.0, 2, 0.2, 1e-2),
    Problem("isotropic", "ReLU", 2.0, 3.0, 5, 0.1, 1e-3),
    Problem("isotropic", "Erf", 0.5, 6.0, 5, 0.4, 1e-2),
    Problem("isotropic", "Tanh", 4.0, 2.0, math.inf, 0.1, 1e-3),
    Problem("isotropic", "ReLU", 2.0, 6.0, math.inf, 0.2, 1e-3),
    Problem("two atoms", "ReLU", 3.0, 1.5, 1, 0.2, 1e-2),
    Problem("two atoms", "Erf", 1.5, 6.0, 1, 0.1, 1e-2),
    Problem("two atoms", "Tanh", 2.0, 2.0, 2, 0.3, 1e-3),
    Problem("two atoms", "ReLU", 1.0, 6.0, 2, 0.1, 1e-2),
    Problem("two atoms", "Erf", 2.0, 4.0, 5, 0.2, 1e-3),
    Problem("two atoms", "Tanh", 0.5, 6.0, 5, 0.2, 1e-2),
    Problem("two atoms", "ReLU", 3.0, 2.0, math.inf, 0.1, 1e-3),
    Problem("two atoms", "Erf", 2.0, 8.0, math.inf, 0.3, 1e-3),
    Problem("subspace", "Erf", 2.0, 1.0, 1, 0.3, 1e-2),
    Problem("subspace", "Tanh", 2.0, 6.0, 1, 0.1, 1e-1),
    Problem("subspace", "ReLU", 2.0, 1.5, 2, 0.1, 1e-2),
    Problem("subspace", "Erf", 1.0, 6.0, 2, 0.2, 1e-2),
    Problem("subspace", "Tanh", 2.0, 3.0, 5, 0.1, 1e-3),
    Problem("subspace", "ReLU", 0.5, 6.0, 5, 0.3, 1e-2),
    Problem("subspace", "Erf", 3.0, 2.0, math.inf, 0.1, 1e-3),
    Problem("subspace", "Tanh", 1.0, 6.0, math.inf, 0.2, 1e-2),
)
