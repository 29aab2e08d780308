"""Gradient flow and the spectrum: the oracle against itself and against numbers from elsewhere,
and rfdsm against the oracle."""

from functools import lru_cache

import flow_oracle
import numpy as np
import oracle
import pytest
from mpmath import mp
from values import VALUES

import rfdsm

INF = float("inf")
ERRORS = flow_oracle.ERRORS
FLOW = VALUES["flow"]

TAUS = (1e-3, 1.0, 30.0, 1e3, 1e5, 1e8)
# psi_n, psi_p, m, t, eigenvalues, weights, lam, times.  Two atoms and the same times, so that
# one compiled program serves all: the isotropic law is two equal atoms.
SETTINGS = {
    "m = 1, below the peak": (8.0, 4.0, 1.0, 0.1, (1.9, 0.1), (0.5, 0.5), 0.0),
    "m = 1, at the peak": (1.0, 1.0, 1.0, 0.2, (1.0, 1.0), (0.5, 0.5), 0.0),
    "m = 1, with ridge, above": (2.0, 3.0, 1.0, 0.2, (1.9, 0.1), (0.5, 0.5), 1e-3),
    "below the peak, subspace": (8.0, 4.0, 2.5, 0.1, (2.0, 0.0), (0.25, 0.75), 0.0),
    "at the peak, little noise": (2.0, 5.0, 2.5, 0.01, (1.9, 0.1), (0.5, 0.5), 0.0),
    "above the peak": (2.0, 12.0, 2.5, 0.2, (1.9, 0.1), (0.5, 0.5), 0.0),
    "with ridge, above": (2.0, 12.0, 2.5, 0.2, (1.9, 0.1), (0.5, 0.5), 1e-3),
    "five bulks": (2.0, 64.0, 16.0, 0.01, (3.0, 0.5), (0.25, 0.75), 0.0),
    "little data, subspace": (0.5, 20.0, 4.0, 0.3, (2.0, 0.0), (0.5, 0.5), 1e-3),
    "much noise": (20.0, 2.0, 2.5, 2.0, (1.0, 1.0), (0.5, 0.5), 0.0),
    "m = inf": (2.0, 8.0, INF, 0.05, (1.0, 1.0), (0.5, 0.5), 0.0),
    "m = inf, with ridge": (3.0, 5.0, INF, 0.1, (1.5, 0.5), (0.5, 0.5), 1e-3),
}
# other shapes: each compiles its own program
SLOW_SETTINGS = {
    "isotropic": (2.0, 3.0, 4.0, 0.2, (1.0,), (1.0,), 0.0, (1.0, 10.0, 100.0, 1000.0)),
    "short": (2.0, 3.0, 2.5, 0.2, (1.9, 0.1), (0.5, 0.5), 0.0, (1e-3, 1e-2)),
    "small": (0.1, 0.1, 1.0, 0.1, (1.0,), (1.0,), 0.0, (1.0, 1e3, 1e8)),
    "wide": (50.0, 200.0, INF, 0.1, (1.0,), (1.0,), 1e-3, (1.0, 1e2, 1e4, 1e8)),
    "three atoms": (
        0.5,
        20.0,
        4.0,
        0.3,
        (4.0, 1.0, 0.0),
        (0.125, 0.375, 0.5),
        1e-3,
        (1.0, 1e3, 1e7),
    ),
}


def by_name(settings):
    return pytest.mark.parametrize("case", settings.values(), ids=list(settings))


@lru_cache(maxsize=64)
def expected(psi_n, psi_p, m, t, eigenvalues, weights, lam, taus=TAUS):
    S = flow_oracle.setting(psi_n, psi_p, m, t, eigenvalues, weights)
    flow = flow_oracle.flow(S, lam, taus)
    assert flow.estimate.max() < 1e-11
    return flow


def model_of(psi_n, psi_p, m, t, eigenvalues, weights, lam, taus=TAUS):
    return rfdsm.RFDSM(
        psi_n=psi_n,
        psi_p=psi_p,
        m=m,
        t=t,
        data=rfdsm.Gaussian(eigenvalues, weights),
        activation=rfdsm.Tanh(),
        training=rfdsm.GradientFlow(taus[-1], lam),
    )


def worst(ours, theirs):
    """The largest deviation of the six errors relative to max(value, 1)."""
    return max(
        np.max(
            abs(np.asarray(getattr(ours, e)) - getattr(theirs, e))
            / np.maximum(abs(getattr(theirs, e)), 1)
        )
        for e in ERRORS
    )


# -- the oracle --------------------------------------------------------------------------------


@pytest.mark.parametrize("row", FLOW, ids=lambda r: f"m={r['m']}-tau={r['tau']}")
def test_flow_of_values_json(row):
    """Its rows are good to 1e-9 of the larger of the value and 1."""
    names = ("psi_n", "psi_p", "m", "t")
    numbers = (float(row[x]) for x in names)
    law = (tuple(row["eigenvalues"]), tuple(row["weights"]))
    flow = expected(*numbers, *law, 0.0, (1.0, 10.0, 100.0, 1000.0))
    at = (1.0, 10.0, 100.0, 1000.0).index(row["tau"])
    for name in set(ERRORS) & set(row):
        value = getattr(flow, name)[at]
        assert abs(row[name] - value) < 1e-9 * max(value, 1), name


def test_the_contour_of_section_6():
    """The rays of section 6 give the numbers of the ellipse, at many nodes to all digits."""
    S = flow_oracle.setting(2.0, 3.0, 4.0, 0.2, (1.0,), (1.0,))
    taus = (1.0, 10.0, 100.0, 1000.0)
    flow = expected(2.0, 3.0, 4.0, 0.2, (1.0,), (1.0,), 0.0, taus)
    for per_panel, tolerance in ((8, 1e-7), (16, 1e-13)):
        contour = flow_oracle.rays(S, 0.0, taus[-1], per_panel)
        errors, defect = flow_oracle.errors_on(contour, S, 0.0, taus)
        assert defect < tolerance
        assert np.max(abs(errors - np.array(flow[:6])) / np.maximum(errors, 1)) < tolerance


@by_name({k: v for k, v in SETTINGS.items() if v[6]})
def test_late_times_are_the_ridge_of_the_other_oracle(case):
    """kappa tau lam > 1e3: the filter is 1/(x + lam), whose errors `oracle` has by numerical
    derivatives instead of section 5."""
    psi_n, psi_p, m, t, eigenvalues, weights, lam = case
    flow = expected(*case)
    S = flow_oracle.setting(psi_n, psi_p, m, t, eigenvalues, weights)
    numbers = (lam, S.a, S.h, S.b, S.v2, S.s2, S.sigmas, S.weights)
    ridge = oracle.solve(S.psi_n, S.psi_p, 1 / S.u if S.u else mp.inf, *numbers)
    for name in ERRORS:
        value = float(getattr(ridge, name))
        assert abs(getattr(flow, name)[-1] - value) < 1e-13 * max(value, 1), name


def test_no_time_and_infinitely_many_noises():
    """Section 8: nothing is learned in no time; without fresh noise in the training set
    memorization_loss is train_loss."""
    a, h = np.exp(-0.05), -np.expm1(-0.1)
    S = flow_oracle.setting(2.0, 8.0, INF, 0.05, (1.5, 0.5), (0.5, 0.5))
    start = flow_oracle.flow(S, 0.0, (0.0,))
    inverse = sum(0.5 / (a**2 * s + h) for s in (1.5, 0.5))
    assert abs(start.score_error[0] - inverse) < 1e-14
    assert abs(start.bias2[0] - inverse) < 1e-14
    for name in ("test_loss", "train_loss", "memorization_loss"):
        assert abs(getattr(start, name)[0] - 1) < 1e-14
    flow = expected(*SETTINGS["m = inf"])
    assert np.max(abs(flow.memorization_loss - flow.train_loss)) < 1e-13


def test_two_points_obey_the_resolvent_identity():
    """(U+l1)^-1 (U+l2)^-1 = ((U+l1)^-1 - (U+l2)^-1)/(l2 - l1) at complex arguments."""
    S = flow_oracle.setting(2.0, 12.0, 2.5, 0.2, (1.9, 0.1), (0.5, 0.5))
    points = flow_oracle.one_point(S, flow_oracle.ellipse(S, 0.0, 1e8, 8))
    count = len(points.q)
    left, right = np.arange(count), np.roll(np.arange(count), 7)
    S = flow_oracle._convert(S, flow_oracle.REAL)
    for conjugate in (False, True):
        L = flow_oracle._take(points, left)
        R = flow_oracle._take(points, right, conjugate)
        (K,) = flow_oracle.two_point(S, L, R, (flow_oracle.identity,))
        assert np.max(abs(K * (R.lam - L.lam) / (L.K - R.K) - 1)) < 1e-9


# -- rfdsm against the oracle ------------------------------------------------------------------


@by_name(SETTINGS)
def test_trajectory(case):
    assert worst(model_of(*case).trajectory(np.array(TAUS)), expected(*case)) < 1e-8


@pytest.mark.slow
@by_name(SLOW_SETTINGS)
def test_trajectory_of_other_shapes(case):
    assert worst(model_of(*case).trajectory(np.array(case[7])), expected(*case)) < 1e-8


@pytest.mark.slow
@by_name({**SETTINGS, **SLOW_SETTINGS})
def test_one_time(case):
    """`asymptotics` at the last time, of the model that holds it."""
    flow = expected(*case)
    last = flow_oracle.Flow(*(x[-1] for x in flow))
    assert worst(model_of(*case).asymptotics(), last) < 1e-8


@pytest.mark.parametrize(
    "name", ["above the peak", "five bulks", "m = inf", "m = 1, at the peak"]
)
def test_density(name):
    """In all bulks, between them and beyond the last."""
    case = SETTINGS[name]
    S = flow_oracle.setting(*case[:6])
    x = np.geomspace(1e-3, flow_oracle.largest_eigenvalue(S), 24)
    density, estimate = np.array([flow_oracle.density(S, y) for y in x]).T
    assert estimate.max() < 1e-8
    assert np.max(abs(np.asarray(model_of(*case).density(x)) - density)) < 1e-8
