"""README's table of conventions: other people's losses and steps, against our numbers."""

import math

import numpy as np
import pytest

import rfdsm

D, N, P, C, GAMMA, ETA, STEPS, H = 4, 60, 6, 1.7, 0.03, 0.2, 9, 0.3


@pytest.mark.parametrize(
    "output, read_out, lam, rate",
    [
        ("score", math.sqrt(P), GAMMA * D * P / (C * H), C * ETA / D**2),
        ("score", 1.0, GAMMA * D / (C * H), C * ETA * P / D**2),
        ("noise", math.sqrt(P), GAMMA * D * P / C, C * ETA / (H * D**2)),
    ],
    ids=["A", "B", "epsilon"],
)
def test_gradient_descent_of_other_conventions(output, read_out, lam, rate):
    """Stepped by NumPy: o = (A/read_out) f, loss C mean |o - target|²/D + GAMMA |A|²."""
    rng = np.random.default_rng(0)
    f, z = rng.normal(size=(N, P)), rng.normal(size=(N, D))
    factor, sign = (math.sqrt(H), 1) if output == "score" else (1.0, -1)
    A = np.zeros((D, P))
    for _ in range(STEPS):
        residual = factor * f @ A.T / read_out + sign * z
        A -= ETA * (2 * C * factor / (N * D * read_out) * residual.T @ f + 2 * GAMMA * A)
    B = A / read_out if output == "score" else -A / read_out / math.sqrt(H)
    x, E = np.linalg.eigh(f.T @ f / N)
    for ridge, equal in ((lam, True), (0.0, False)):  # without its ridge it must differ
        phi = np.asarray(rfdsm.GradientDescent(STEPS, rate, ridge).filter(x, 2 * H * D / P))
        ours = -((E * phi) @ E.T @ (f.T @ z / N)).T / math.sqrt(H)
        assert np.allclose(ours, B, rtol=1e-10, atol=1e-12) == equal
