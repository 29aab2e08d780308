"""The peer: the same simulation in plain NumPy and SciPy, with the best BLAS calls.

Isotropic Gaussian data, tanh, ridge, finite m, p <= n m. The numbers of training, test,
memorization and shared test points are those of `rfdsm.simulation`. Dense algebra goes through
SciPy's BLAS and LAPACK alone: beside a second OpenBLAS, NumPy's own, the idle threads of one
spin while the other works (`np.vdot` is enough: with it all took 2.4 times as long). Arrays
are in Fortran order and reused, the symmetric product is a rank-k update of one triangle, the
fit one LAPACK call.
"""

import math

import numpy as np
from scipy.linalg.blas import ddot, dgemm, dsyrk
from scipy.linalg.lapack import dposv

from rfdsm.simulation.experiment import POINTS_PER_DIMENSION, SHARED_AT_LEAST


def features(W, y):
    """tanh(W y/√d), shape (p, rows); columns are points."""
    f = dgemm(1 / math.sqrt(W.shape[1]), W, y)
    return np.tanh(f, out=f)


def dot(x, y):
    """The sum of x * y over arrays of one shape and memory order."""
    return ddot(x.ravel(order="K"), y.ravel(order="K"))


def simulate(rng, d, psi_n, psi_p, m, t, lam, trials):
    """Arrays of shape (trials,): score_error, test, train, memorization loss, bias2."""
    n, p = round(psi_n * d), round(psi_p * d)
    a, h = math.exp(-t), -math.expm1(-2 * t)
    root_h = math.sqrt(h)
    fresh = POINTS_PER_DIMENSION * d

    def normal(rows):
        return rng.standard_normal((rows, d)).T

    shared = a * normal(max(SHARED_AT_LEAST, fresh)) + root_h * normal(
        max(SHARED_AT_LEAST, fresh)
    )
    shared *= np.sqrt((a * a + h) / np.mean(shared**2, axis=1, keepdims=True))
    rows, deviations = [], []
    for _ in range(trials):
        W = np.asfortranarray(rng.standard_normal((p, d)))
        x = normal(n)
        U = np.zeros((p, p), order="F")
        V = np.zeros((p, d), order="F")
        noise = 0.0
        for _ in range(m):
            z = normal(n)
            f = features(W, a * x + root_h * z)
            U = dsyrk(1 / (n * m), f, beta=1.0, c=U, lower=1, overwrite_c=1)
            V = dgemm(1 / (n * m), f, z, beta=1.0, c=V, trans_b=1, overwrite_c=1)
            noise += dot(z, z) / (n * m * d)
        U[np.diag_indices(p)] += lam
        _, solved, info = dposv(U, V, lower=1, overwrite_a=1)
        assert info == 0
        B = np.asfortranarray(-solved.T / root_h)
        train = noise - (dot(solved, V) + h * lam * dot(B, B)) / d

        def loss(x, z, W=W, B=B):
            y = a * x + root_h * z
            s = dgemm(1.0, B, features(W, y))
            return np.mean((s + y / (a * a + h)) ** 2), np.mean((root_h * s + z) ** 2)

        score_error, test = loss(normal(fresh), normal(fresh))
        repeats = -(-fresh // n)
        memory = np.mean([loss(x, normal(n))[1] for _ in range(repeats)])
        deviations.append(dgemm(1.0, B, features(W, shared)) + shared / (a * a + h))
        rows.append((score_error, test, train, memory))
    total = sum(deviations)
    bias2 = [dot(e, total - e) / (e.size * (trials - 1)) for e in deviations]
    return *np.array(rows).T, np.array(bias2)
