"""Processes and targets with their numbers by hand, and a bank of problems of them.

The bank is like `bank`'s: four processes, each with four problems in which target, data law,
rule and m change in turn; p is below and above the number N = n m of pairs (at m = ∞ n). The
ratios give integers at d = 80 and 160.
"""

import math
from typing import NamedTuple

from bank import LAWS

import rfdsm
from rfdsm import (
    DataTarget,
    FlowMatching,
    GradientFlow,
    LinearTarget,
    OrnsteinUhlenbeck,
    Preconditioned,
    PreconditionedTarget,
    Ridge,
    VarianceExploding,
    VariancePreserving,
    VelocityTarget,
)

SIGMA, SIGMA_DATA = 0.6, 1.2


class Scales(rfdsm.AbstractProcess):
    """Any (a, h), so that one compiled program serves all processes."""

    a: float
    h: float

    def scales(self):
        return self.a, self.h

    def domain(self):
        return [(self.h > 0, f"h must be positive, got {self.h}.")]


def turning(a, s):
    return -s, a


PROCESSES = {  # with a, √h, and the velocity
    "ou": (OrnsteinUhlenbeck(0.3), math.exp(-0.3), math.sqrt(1 - math.exp(-0.6)), turning),
    "vp": (VariancePreserving(0.6), math.sqrt(0.6), math.sqrt(0.4), turning),
    "ve": (VarianceExploding(0.8), 1.0, 0.8, lambda a, s: (0, 1)),
    "fm": (FlowMatching(0.4), 0.6, 0.4, lambda a, s: (-1, 1)),
    "edm": (
        Preconditioned(SIGMA, SIGMA_DATA),
        1 / math.hypot(SIGMA, SIGMA_DATA),
        SIGMA / math.hypot(SIGMA, SIGMA_DATA),
        lambda a, s: (-s / SIGMA_DATA, a * SIGMA_DATA),
    ),
}
TARGETS = {  # with (c_x, c_z, w)
    "score": (rfdsm.ScoreTarget(), lambda a, s, velocity: (0, -1, s)),
    "noise": (rfdsm.NoiseTarget(), lambda a, s, velocity: (0, 1, 1)),
    "data": (DataTarget(), lambda a, s, velocity: (1, 0, 1)),
    "velocity": (VelocityTarget(), lambda a, s, velocity: (*velocity, 1)),
    "x,z": (LinearTarget(0.7, -0.4), lambda a, s, velocity: (0.7, -0.4, 1)),
    "angle": (
        LinearTarget.at_angle(0.6),
        lambda a, s, velocity: (-math.sin(0.6), math.cos(0.6), 1),
    ),
    "preconditioned": (
        PreconditionedTarget(),
        lambda a, s, velocity: (-velocity[0], -velocity[1], 1),
    ),
}


class TargetProblem(NamedTuple):
    """A model in words and ingredients."""

    law: str
    activation: str
    psi_n: float
    psi_p: float
    m: float
    process: rfdsm.AbstractProcess
    target: rfdsm.AbstractTarget
    training: rfdsm.AbstractTraining

    def model(self) -> rfdsm.RFDSM:
        """The model of this problem."""
        return rfdsm.RFDSM(
            psi_n=self.psi_n,
            psi_p=self.psi_p,
            m=self.m,
            process=self.process,
            target=self.target,
            training=self.training,
            activation=getattr(rfdsm, self.activation)(),
            data=rfdsm.Gaussian(*LAWS[self.law]),
        )

    def __str__(self) -> str:
        kinds = "-".join(str(each).replace(" ", "") for each in self[5:])
        return (
            f"{self.law}-{self.activation}-n{self.psi_n:g}-p{self.psi_p:g}-m{self.m:g}-{kinds}"
        )


INF = math.inf
BOTH, AGAINST = LinearTarget(0.3, 0.9), LinearTarget(0.8, -0.5)
PRECONDITIONED = PreconditionedTarget()

# fmt: off
TARGET_BANK = tuple(TargetProblem(*problem) for problem in (
    ("isotropic", "Tanh", 2, 3, 3, VariancePreserving(0.6), DataTarget(), Ridge(1e-2)),
    ("subspace", "ReLU", 2, 1, 1, VariancePreserving(0.3), VelocityTarget(), Ridge(1e-2)),
    ("two atoms", "Erf", 1, 2, INF, VariancePreserving(0.8), AGAINST, GradientFlow(20, 1e-3)),
    ("two atoms", "ReLU", 2, 4, 1, OrnsteinUhlenbeck(0.3), DataTarget(), GradientFlow(30)),
    ("subspace", "Erf", 1, 4, 3, VarianceExploding(0.7), DataTarget(), Ridge(1e-2)),
    ("isotropic", "ReLU", 2, 1.5, INF, VarianceExploding(0.5), VelocityTarget(), Ridge(1e-2)),
    ("two atoms", "Tanh", 2, 4, 1, VarianceExploding(1.5), AGAINST, GradientFlow(10)),
    ("subspace", "Tanh", 2, 1, 3, VarianceExploding(0.4), BOTH, GradientFlow(50, 1e-3)),
    ("isotropic", "ReLU", 2, 3, 3, FlowMatching(0.4), VelocityTarget(), Ridge(1e-2)),
    ("subspace", "Tanh", 2, 1, INF, FlowMatching(0.6), DataTarget(), Ridge(1e-3)),
    ("two atoms", "Erf", 1, 3, 1, FlowMatching(0.3), VelocityTarget(), GradientFlow(20)),
    ("isotropic", "Tanh", 1, 4, 3, FlowMatching(0.5), BOTH, GradientFlow(30, 1e-2)),
    ("two atoms", "Erf", 1, 3, 1, Preconditioned(0.5), PRECONDITIONED, Ridge(3e-2)),
    ("subspace", "ReLU", 1, 2, INF, Preconditioned(1.0), PRECONDITIONED, GradientFlow(20)),
    ("isotropic", "Tanh", 2, 1, 3, Preconditioned(0.4, 1.3), PRECONDITIONED, Ridge(1e-3)),
    ("two atoms", "Erf", 2, 1.5, INF, Preconditioned(0.6), DataTarget(), Ridge(1e-3)),
))
# fmt: on
