"""A bank of tuning problems with their optima, shared by the tests and the benchmarks.

`REFERENCE` is what `grid_oracle` finds by brute force.
"""

import functools
import math
from typing import NamedTuple

import rfdsm
from rfdsm import images

LAWS = {
    "isotropic": ((1.0,), (1.0,)),
    "two atoms": ((1.9, 0.1), (0.5, 0.5)),
    "few strong": ((4.0, 0.25), (0.2, 0.8)),
}

NOTHING: dict[str, float] = {}  # no constraint


@functools.cache
def law(name: str) -> rfdsm.Gaussian | rfdsm.Samples:
    """A data law by its name: of `LAWS`, or "digits", 64 eigenvalues to the theory."""
    return rfdsm.Samples(images.digits()) if name == "digits" else rfdsm.Gaussian(*LAWS[name])


class TuningProblem(NamedTuple):
    """Minimise an error over a box of some of the model's numbers, under constraints.

    Attributes:
        data: a name that `law` knows.
        settings: the model's fixed numbers, psi_n, psi_p, m, t, lam and tau. With tau the
            training is gradient flow, else ridge. Those of the free ones are a start.
        free: bounds by name; the names are psi_n, psi_p, m (up to infinity), process.t,
            training.lam and training.tau.
        objective: the field of `Errors` to be made small.
        at_least, at_most: constraints on fields of `Errors`.
        budget: the most that is spent, "parameters" psi_p and "samples" psi_n·m.
    """

    name: str
    data: str
    settings: dict[str, float]
    free: dict[str, tuple[float, float]]
    objective: str = "test_loss"
    at_least: dict[str, float] = NOTHING
    at_most: dict[str, float] = NOTHING
    budget: dict[str, float] = NOTHING

    def model(self) -> rfdsm.RFDSM:
        """The model, its free numbers inside of their bounds."""
        numbers = dict(self.settings)
        lam, tau = numbers.pop("lam"), numbers.pop("tau", None)
        training = rfdsm.Ridge(lam) if tau is None else rfdsm.GradientFlow(tau, lam)
        return rfdsm.RFDSM(**numbers, training=training, data=law(self.data))

    def __str__(self) -> str:
        return self.name


INF = math.inf
LAM = (1e-8, 10.0)
WIDTH = (0.1, 100.0)

TUNING_BANK = (
    TuningProblem(
        "ridge alone",
        "isotropic",
        {"psi_n": 8, "psi_p": 16, "m": 4, "t": 0.1, "lam": 1e-3},
        {"training.lam": LAM},
    ),
    TuningProblem(
        "double descent, narrow wins",
        "isotropic",
        {"psi_n": 4, "psi_p": 20, "m": 2, "t": 0.1, "lam": 1e-5},
        {"psi_p": WIDTH},
    ),
    TuningProblem(
        "double descent, widest wins",
        "two atoms",
        {"psi_n": 4, "psi_p": 3, "m": 2, "t": 0.1, "lam": 1e-5},
        {"psi_p": WIDTH},
    ),
    TuningProblem(
        "double descent on a budget",
        "digits",
        {"psi_n": 4, "psi_p": 2, "m": 2, "t": 0.1, "lam": 1e-5},
        {"psi_p": WIDTH},
        budget={"parameters": 40.0},
    ),
    TuningProblem(
        "memorise and generalise",
        "two atoms",
        {"psi_n": 8, "psi_p": 16, "m": INF, "t": 0.1, "lam": 1e-2},
        {"psi_p": WIDTH, "training.lam": LAM},
        "memorization_loss",
        at_most={"test_loss": 0.7},
    ),
    TuningProblem(
        "private and cheap",
        "isotropic",
        {"psi_n": 8, "psi_p": 4, "m": 2, "t": 0.1, "lam": 0.1},
        {"psi_p": WIDTH, "m": (1.0, INF), "training.lam": LAM},
        at_least={"memorization_loss": 0.83},
        budget={"samples": 32.0, "parameters": 20.0},
    ),
    TuningProblem(
        "private",
        "few strong",
        {"psi_n": 4, "psi_p": 4, "m": 2, "t": 0.1, "lam": 0.1},
        {"psi_p": (0.1, 20.0), "training.lam": LAM},
        at_least={"memorization_loss": 0.7},
    ),
    TuningProblem(
        "bias at a variance",
        "two atoms",
        {"psi_n": 8, "psi_p": 4, "m": 4, "t": 0.1, "lam": 0.03},
        {"psi_n": (0.1, 16.0), "psi_p": WIDTH},
        "bias2",
        at_most={"variance": 0.3},
    ),
    TuningProblem(
        "variance at a bias",
        "few strong",
        {"psi_n": 8, "psi_p": 4, "m": 4, "t": 0.1, "lam": 1e-2},
        {"psi_p": WIDTH, "m": (1.0, 100.0), "training.lam": LAM},
        "variance",
        at_most={"bias2": 0.1},
        budget={"parameters": 6.0, "samples": 64.0},
    ),
    TuningProblem(
        "points or noises",
        "isotropic",
        {"psi_n": 2, "psi_p": 16, "m": 2, "t": 0.1, "lam": 0.1},
        {"psi_n": (0.5, 8.0), "m": (1.0, INF), "training.lam": LAM},
        budget={"samples": 64.0},
    ),
    TuningProblem(
        "all but the time",
        "two atoms",
        {"psi_n": 2, "psi_p": 4, "m": 2, "t": 0.1, "lam": 0.1},
        {"psi_n": WIDTH, "psi_p": WIDTH, "m": (1.0, 100.0), "training.lam": LAM},
        "memorization_loss",
        at_most={"test_loss": 0.68},
        budget={"samples": 100.0, "parameters": 20.0},
    ),
    TuningProblem(
        "all but the points",
        "two atoms",
        {"psi_n": 8, "psi_p": 4, "m": 2, "t": 0.1, "lam": 0.1},
        {
            "psi_p": WIDTH,
            "m": (1.0, INF),
            "process.t": (0.02, 2.0),
            "training.lam": LAM,
        },
        "score_error",
        at_least={"memorization_loss": 0.5},
    ),
    TuningProblem(
        "all noises",
        "digits",
        {"psi_n": 2, "psi_p": 8, "m": 2, "t": 0.1, "lam": 0.1},
        {"m": (1.0, INF), "training.lam": LAM},
    ),
    TuningProblem(
        "memorise little, vary little",
        "digits",
        {"psi_n": 4, "psi_p": 4, "m": 2, "t": 0.1, "lam": 0.03},
        {"psi_p": WIDTH, "m": (1.0, 50.0), "process.t": (0.02, 2.0)},
        "score_error",
        at_least={"memorization_loss": 0.5},
        at_most={"variance": 0.25},
    ),
    TuningProblem(
        "digits on two budgets",
        "digits",
        {"psi_n": 2, "psi_p": 2, "m": 2, "t": 0.1, "lam": 0.1},
        {"psi_n": (0.1, 8.0), "psi_p": WIDTH, "m": (1.0, INF), "training.lam": LAM},
        budget={"samples": 40.0, "parameters": 10.0},
    ),
    TuningProblem(
        "loose constraints",
        "few strong",
        {"psi_n": 4, "psi_p": 8, "m": 4, "t": 0.1, "lam": 0.03},
        {"psi_p": WIDTH, "m": (1.0, INF)},
        at_least={"train_loss": 0.1},
        at_most={"variance": 5.0},
        budget={"parameters": 50.0},
    ),
    TuningProblem(
        "when to stop",
        "isotropic",
        {"psi_n": 8, "psi_p": 32, "m": INF, "t": 0.1, "tau": 10.0, "lam": 1e-6},
        {"training.tau": (1e-2, 1e6)},
    ),
    TuningProblem(
        "stop before it memorises",
        "two atoms",
        {"psi_n": 4, "psi_p": 8, "m": 4, "t": 0.1, "tau": 10.0, "lam": 1e-4},
        {"process.t": (0.02, 2.0), "training.tau": (1e-2, 1e6)},
        "score_error",
        at_least={"memorization_loss": 0.5},
    ),
    TuningProblem(
        "stop or shrink",
        "isotropic",
        {"psi_n": 4, "psi_p": 16, "m": 2, "t": 0.2, "tau": 5.0, "lam": 1e-3},
        {"training.tau": (1e-2, 10.0), "training.lam": LAM},
    ),
    TuningProblem(
        "stop on a budget",
        "few strong",
        {"psi_n": 4, "psi_p": 16, "m": 4, "t": 0.1, "tau": 10.0, "lam": 1e-4},
        {"psi_n": (0.1, 20.0), "m": (1.0, 100.0), "training.tau": (1e-2, 1e6)},
        "memorization_loss",
        at_most={"test_loss": 0.75},
        budget={"samples": 40.0},
    ),
)

# Feasible to a relative 1e-10, and good to about as much.
REFERENCE: dict[str, float] = {
    "ridge alone": 0.84694175112,
    "double descent, narrow wins": 0.987555934459,
    "double descent, widest wins": 0.815047435452,
    "double descent on a budget": 0.735206580484,
    "memorise and generalise": 0.411097105767,
    "private and cheap": 0.847057659001,
    "private": 0.722246302808,
    "bias at a variance": 0.00480034296996,
    "variance at a bias": 0.13820840963,
    "points or noises": 0.838676165002,
    "all but the time": 0.489292472624,
    "all but the points": 0.0491286459324,
    "all noises": 0.557773620393,
    "memorise little, vary little": 0.457064021628,
    "digits on two budgets": 0.530063841148,
    "loose constraints": 0.682415834033,
    "when to stop": 0.827099263732,
    "stop before it memorises": 0.184667992564,
    "stop or shrink": 0.748512434246,
    "stop on a budget": 0.445289425741,
}
