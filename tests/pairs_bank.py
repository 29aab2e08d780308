"""A bank of two networks: overlaps of every sharing, the variance's parts, ensembles.

Models like those of `target_bank`, each with what the other network has otherwise, and with
what is asked of them. Overlaps are of the model and the other; parts and ensembles of the model
alone. The ratios give integers at d = 40, 80 and 160.
"""

import math
from functools import partial
from typing import Any, NamedTuple

from target_bank import TargetProblem

from rfdsm import (
    DataTarget,
    Ensemble,
    FlowMatching,
    GradientFlow,
    NoiseTarget,
    OrnsteinUhlenbeck,
    Ridge,
    VarianceExploding,
    VariancePreserving,
    VelocityTarget,
)
from rfdsm.errors import FIELDS
from rfdsm.ingredients.sharing import SHARINGS, Shared
from rfdsm.overlaps import PARTS

OVERLAPS = "fresh", "training", "pairs", "correlation"
WXZ, WX, W, XZ, X, NONE = SHARINGS


class Parts(NamedTuple):
    """The variance's parts, of the score or of the output."""

    output: bool = False


class PairProblem(NamedTuple):
    """A model, what the other network has otherwise, and what is asked."""

    one: TargetProblem
    otherwise: dict[str, Any]
    asked: tuple[Shared | Parts | Ensemble, ...]

    def roads(self, asked):
        """(fields, what theory says, networks as a function of key, d and trials)."""
        model = self.one.model()
        if isinstance(asked, Shared):
            other, share = model.replace(**self.otherwise), asked.names
            networks = partial(model.simulate, networks=2, share=share, other=other)
            return OVERLAPS, model.overlap(other, share), networks
        if isinstance(asked, Parts):
            networks = partial(model.simulate_parts, output=asked.output)
            return PARTS, model.variance_parts(output=asked.output), networks
        many = model.replace(ensemble=asked)
        return FIELDS, many.asymptotics(), many.simulate

    def __str__(self) -> str:
        other = ",".join(f"{name}={value}" for name, value in self.otherwise.items())
        return f"{self.one}-{other or 'same'}".replace(" ", "")


INF = math.inf
NOISE, DATA, VELOCITY = NoiseTarget(), DataTarget(), VelocityTarget()
OTHER_FLOW = {"psi_n": 1, "psi_p": 2, "m": INF, "training": GradientFlow(20, 1e-3)}
FLOW, SLOW = GradientFlow(30, 1e-3), GradientFlow(10, 1e-2)

# fmt: off
PAIRS_BANK = tuple(PairProblem(TargetProblem(*one), *pair) for one, *pair in (
    (("isotropic", "Tanh", 2, 3, 3, OrnsteinUhlenbeck(0.2), NOISE, Ridge(3e-2)),
     {"psi_p": 1.5, "lam": 0.1}, (XZ, X, Parts())),
    (("isotropic", "ReLU", 2, 4, 1, VariancePreserving(0.6), NOISE, Ridge(1e-2)),
     {"psi_p": 1.5, "lam": 0.1}, (XZ, X, Ensemble(3))),
    (("two atoms", "Erf", 1, 2, 3, FlowMatching(0.4), VELOCITY, FLOW),
     {}, (W, XZ, Parts(output=True))),
    (("subspace", "Tanh", 1, 2, INF, OrnsteinUhlenbeck(0.2), DATA, Ridge(1e-2)),
     {"m": 1, "lam": 0.1}, (WX, NONE, Parts())),
    (("two atoms", "ReLU", 2, 1, INF, VariancePreserving(0.5), VELOCITY, FLOW),
     {"training": Ridge(1e-2)}, (WXZ, XZ, Ensemble(3, "features"))),
    (("subspace", "Erf", 2, 1.5, 1, VarianceExploding(0.7), DATA, Ridge(1e-2)),
     {"psi_n": 1, "lam": 0.1}, (W, Ensemble(3))),
    (("isotropic", "Erf", 1, 4, 3, FlowMatching(0.5), VELOCITY, Ridge(1e-2)),
     {"training": SLOW}, (WXZ, WX, Ensemble(3))),
    (("two atoms", "Tanh", 2, 3, 3, OrnsteinUhlenbeck(0.3), NOISE, Ridge(1e-2)),
     {"m": 1, "psi_p": 1.5}, (X, Ensemble(3, ("features", "points")))),
    (("subspace", "ReLU", 1, 4, 3, VariancePreserving(0.7), DATA, FLOW),
     {"lam": 0.1}, (WXZ, Parts(output=True), Ensemble(3, "points"))),
    (("two atoms", "Tanh", 2, 4, 1, FlowMatching(0.4), VELOCITY, Ridge(1e-2)),
     OTHER_FLOW, (NONE, Ensemble(3, ()))),
))
# fmt: on
