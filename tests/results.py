"""Data sets that several files of tests look at, computed once in each way of compiling."""

import functools
import math

import jax
import numpy as np

from rfdsm import RFDSM, GradientFlow, Timescales, standardise, sweeps
from rfdsm.analysis import spectrum as eigenvalues
from rfdsm.analysis.learning_times import Times
from rfdsm.cli.predict import question
from rfdsm.sweeps import axes, curves

CURVE = RFDSM(psi_n=2, psi_p=4, m=2, t=0.2, lam=1e-2)
FLOW = RFDSM(psi_n=1, psi_p=4, m=math.inf, t=0.2, training=GradientFlow(1.0, 1e-3))
BULKS = RFDSM(psi_n=2, psi_p=8, m=math.inf, t=0.1, training=GradientFlow(1.0))
TAUS = axes.grid("tau", "0.1:1e3:4")


def once(compute):
    """Cached by how XLA compiles: files are compiled in two ways, an ulp apart."""
    kept = functools.cache(lambda _fast: compute())
    return functools.wraps(compute)(
        lambda: kept(jax.config.read("jax_disable_most_optimizations"))
    )


@once
def simulated():
    """A sweep of lam, whose markers share one compilation, simulated at two points."""
    networks = {"d": 12, "trials": 2, "points": 2}
    grid = axes.grid("lam", "1e-3:1:4")
    return sweeps.curve(CURVE, {"lam": grid}, {"m": [2]}, simulate=networks, seed=3)


def known_times(model, moments=None):
    """Timescales of the model's own numbers: the true ones are compiled elsewhere."""
    psi_n = float(model.psi_n)
    gone = math.nan if model.m == 1 else 1e9
    return Timescales(Times(2 * psi_n, 50 * psi_n), Times(3 * psi_n, gone), 2.5 * psi_n, 0.5)


@once
def trained():
    """psi_n = 1.3 is 1.25 at d = 8. As many markers as times: one program for both."""
    networks = {"d": 8, "trials": 3, "points": 4}
    true, curves.timescales = curves.timescales, known_times
    try:
        return sweeps.train(FLOW, TAUS, {"psi_n": [2.0, 1.3]}, simulate=networks, seed=5)
    finally:
        curves.timescales = true


@once
def points():
    """Points of heavy tails: 200 of dimension 8, the last column constant."""
    X = np.random.default_rng(0).standard_t(5, (200, 8)) * np.linspace(1, 2, 8) + 3
    X[:, 7] = 4
    return X


@once
def asked():
    """Losses on the points, over n at m = 1 and ∞."""
    return question(standardise(points()), "n=8:40:3", {"m": [math.inf, 1], "psi_p": 2})


@once
def predicted():
    """With networks."""
    done = []
    found = sweeps.predict(
        *asked(), noises=4, classes=1, simulate={"trials": 3, "points": 2}, seed=5,
        report=done.append,
    )  # fmt: skip
    last = [at for at in done if at.total][-1]
    assert last.stage.startswith("networks") and last.done == last.total == 2 * 2
    found.attrs["data"] = "points.npy"
    return found


@once
def spectrum():
    """Of `BULKS`, theory alone."""
    return eigenvalues.spectrum_of(BULKS)


@once
def surrogate():
    """With eigenvalues of the Gaussian surrogate, whose atom is in one place."""
    return eigenvalues.with_networks(spectrum(), BULKS, 16, 2, "gaussian", seed=3)
