"""Two limits in which averages are closed forms: infinitely many features, or data.

The activation is erf: E_w erf(w·y/√d) erf(w·y'/√d), and for Gaussian y the average over y of
the same thing, are the arcsine of Williams (1997). All is plain NumPy, with the numbers of
processes and targets by hand.
"""

import math

import numpy as np
import pytest
from bank import LAWS
from meeting import FIELDS, assert_meets, compared
from scipy import linalg
from target_bank import PROCESSES, TARGETS

import rfdsm


def arcsine(products, squares, others):
    """E erf(u) erf(u'), of E u u' and the two variances."""
    scale = np.sqrt(np.outer(1 + 2 * squares, 1 + 2 * others))
    return 2 / np.pi * np.arcsin(2 * products / scale)


def kernel(y, others):
    """K(y, y'), shape (rows, others)."""
    d = y.shape[1]
    return arcsine(y @ others.T / d, np.mean(y**2, 1), np.mean(others**2, 1))


class Regression:
    """τ = c_x x + c_z z at y = a x + s z, in d dimensions of a law's eigenvalues."""

    def __init__(self, process, target, law, d):
        _, self.a, self.s, velocity = PROCESSES[process]
        self.c_x, self.c_z, _ = TARGETS[target][1](self.a, self.s, velocity(self.a, self.s))
        eigenvalues, weights = LAWS[law]
        self.variances = np.repeat(eigenvalues, np.rint(np.array(weights) * d).astype(int))
        self.noised = self.a**2 * self.variances + self.s**2
        # E τ y^T, and what the score's error is of the loss above the best one.
        self.cross = self.a * self.c_x * self.variances + self.s * self.c_z
        self.factor = (self.a / (self.s * (self.a * self.c_z - self.s * self.c_x))) ** 2

    def draw(self, rng, rows):
        return rng.normal(size=(rows, len(self.variances))) * np.sqrt(self.variances)

    def noise(self, rng, x):
        """(y, τ)"""
        z = rng.normal(size=x.shape)
        return self.a * x + self.s * z, self.c_x * x + self.c_z * z

    def score_error(self, output, y):
        """Of the implied score at points y."""
        score = (self.c_x * y - self.a * output) / self.s
        return np.mean((score / (self.a * self.c_z - self.s * self.c_x) + y / self.noised) ** 2)


def kernel_ridge(rng, problem, n, m, lam):
    """Errors of kernel ridge trained on n points with m noises, but bias2 and variance."""
    d = len(problem.variances)
    x = problem.draw(rng, n)
    seen, targets = problem.noise(rng, np.tile(x, (m, 1)))
    penalty = len(seen) * lam / d * np.eye(len(seen))
    trained = linalg.solve(kernel(seen, seen) + penalty, targets, assume_a="pos")

    def loss(y, target):
        return np.mean((kernel(y, seen) @ trained - target) ** 2)

    test = problem.noise(rng, problem.draw(rng, 8 * d))
    error = problem.score_error(kernel(test[0], seen) @ trained, test[0])
    again = problem.noise(rng, np.tile(x, (8 * d // n, 1)))
    return error, loss(*test), loss(seen, targets), loss(*again)


def population(rng, problem, p, lam):
    """Errors of two networks with their own W, fitted to the whole population."""
    d = len(problem.variances)
    W, fits = rng.normal(size=(2, p, d)) / math.sqrt(d), []
    squares = [np.sum(w**2 * problem.noised, 1) for w in W]
    for w, square in zip(W, squares, strict=True):
        U = arcsine((w * problem.noised) @ w.T, square, square)
        V = (2 / math.sqrt(math.pi) / np.sqrt(1 + 2 * square))[:, None] * w * problem.cross
        B = linalg.solve(U + lam * np.eye(p), V, assume_a="pos").T
        fits.append((B, np.sum(B * V.T) / d, np.sum((B @ U) * B) / d))
    between = arcsine((W[0] * problem.noised) @ W[1].T, *squares)
    (B, lin, _), (B_other, lin_other, _) = fits
    overlap = np.sum((B @ between) * B_other) / d
    null = problem.c_x**2 * np.mean(problem.variances) + problem.c_z**2
    explained = np.mean(problem.cross**2 / problem.noised)
    test_loss = null + np.mean([K - 2 * lin for _, lin, K in fits])
    error = problem.factor * (test_loss - null + explained)
    bias2 = problem.factor * (explained - lin - lin_other + overlap)
    return error, test_loss, test_loss, test_loss, bias2, error - bias2


def rows_of(samples, theory):
    """`samples` of trials at (d, 2d), extrapolated, against the theory."""
    (small, large), rows = map(np.array, samples), {}
    found = 2 * large.mean(0) - small.mean(0)
    bars = np.hypot(2 * large.std(0, ddof=1), small.std(0, ddof=1)) / math.sqrt(len(small))
    for name, value, bar in zip(FIELDS, found, bars, strict=False):
        rows[name] = compared(value, bar, getattr(theory, name))
    return rows


def theory_of(process, target, law, **numbers):
    return rfdsm.RFDSM(
        process=PROCESSES[process][0],
        target=TARGETS[target][0],
        data=rfdsm.Gaussian(*LAWS[law]),
        activation=rfdsm.Erf(),
        **numbers,
    ).asymptotics()


@pytest.mark.parametrize(
    "process, target, law, m, d, trials",
    [
        ("fm", "velocity", "two atoms", 1, 40, 32),
        pytest.param("vp", "data", "subspace", 1, 80, 64, marks=pytest.mark.slow),
        pytest.param("ve", "data", "two atoms", 3, 80, 48, marks=pytest.mark.slow),
        pytest.param("fm", "velocity", "isotropic", 1, 80, 64, marks=pytest.mark.slow),
        pytest.param("edm", "velocity", "two atoms", 3, 80, 48, marks=pytest.mark.slow),
    ],
)
def test_infinitely_many_features_are_a_kernel(process, target, law, m, d, trials):
    """At λ/ψ_p fixed: (A/√p) f with the penalty (λ/(dp)) |A|² is kernel ridge at λ/ψ_p."""
    psi_n, lam, psi_p = 2, 1e-2, 1e6
    rng = np.random.default_rng(0)
    samples = []
    for size in (d, 2 * d):
        problem = Regression(process, target, law, size)
        fits = (kernel_ridge(rng, problem, psi_n * size, m, lam) for _ in range(trials))
        samples.append(list(fits))
    theory = theory_of(process, target, law, psi_n=psi_n, psi_p=psi_p, m=m, lam=lam * psi_p)
    assert_meets((process, target, law, m), rows_of(samples, theory))


@pytest.mark.parametrize(
    "process, target, law, psi_p, m",
    [
        ("vp", "data", "subspace", 1, 1),
        ("fm", "velocity", "two atoms", 0.5, math.inf),
        pytest.param("ve", "x,z", "isotropic", 3, 3, marks=pytest.mark.slow),
        pytest.param("edm", "preconditioned", "two atoms", 2, 1, marks=pytest.mark.slow),
    ],
)
def test_infinitely_many_points_are_the_population(process, target, law, psi_p, m):
    """The losses are one, and what is left of the variance is that over W."""
    lam, trials, rng = 1e-2, 24, np.random.default_rng(1)
    samples = []
    for d in (40, 80):
        problem = Regression(process, target, law, d)
        samples.append([population(rng, problem, int(psi_p * d), lam) for _ in range(trials)])
    theory = theory_of(process, target, law, psi_n=1e7, psi_p=psi_p, m=m, lam=lam)
    gaps = theory.generalization_gap, theory.memorization_gap
    assert np.abs(gaps).max() < 1e-5 * theory.test_loss
    assert_meets((process, target, law, m), rows_of(samples, theory))
