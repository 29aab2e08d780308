"""The peer: the same simulation in plain NumPy and SciPy, with the best BLAS calls.

Isotropic Gaussian data, tanh, ridge, finite m, p <= n m. The numbers of training, test,
memorization and shared test points are those of `rfdsm.simulation`. Dense algebra goes through
SciPy's BLAS and LAPACK alone: beside a second OpenBLAS, NumPy's own, the idle threads of one
spin while the other works (`np.vdot` is enough: with it all took 2.4 times as long). Arrays
are in Fortran order and reused, random numbers come from SFC64, NumPy's fastest generator, into
reused arrays, the symmetric product is a rank-k update of one triangle over blocks of several
noises, the fit one LAPACK call.
"""

import math
import time
from collections import defaultdict

import numpy as np
from scipy.linalg.blas import ddot, dgemm, dsyrk
from scipy.linalg.lapack import dposv

from rfdsm.simulation.experiment import POINTS_PER_DIMENSION, SHARED_AT_LEAST

ROWS = 2048  # of pairs whose features are held at a time; of 1024 to 8192 the best


def generator(seed):
    """NumPy's fastest."""
    return np.random.Generator(np.random.SFC64(seed))


def dot(x, y):
    """The sum of x * y over arrays of one shape and memory order."""
    return ddot(x.ravel(order="K"), y.ravel(order="K"))


class Arrays:
    """Reused arrays in Fortran order, by name."""

    def __init__(self):
        self.held = {}

    def __call__(self, name, rows, columns):
        """An array of this shape, whatever it holds."""
        if self.held.get(name, np.empty((0, 0))).shape != (rows, columns):
            self.held[name] = np.empty((rows, columns), order="F")
        return self.held[name]


class Split:
    """Seconds by part."""

    def __init__(self):
        self.seconds, self.last = defaultdict(float), time.perf_counter()

    def __call__(self, part):
        """What ran since the last call was this."""
        now = time.perf_counter()
        self.seconds[part] += now - self.last
        self.last = now


def simulate(rng, d, psi_n, psi_p, m, t, lam, trials, split=None):
    """Arrays of shape (trials,): score_error, test, train, memorization loss, bias2."""
    n, p = round(psi_n * d), round(psi_p * d)
    a, h = math.exp(-t), -math.expm1(-2 * t)
    root_h = math.sqrt(h)
    fresh, held, split = POINTS_PER_DIMENSION * d, Arrays(), split or Split()

    def normal(name, rows):
        z = held(name, d, rows)
        rng.standard_normal(out=z.T)
        split("random numbers")
        return z

    def noised(x, z, name):
        y = np.multiply(z, root_h, out=held(name, *z.shape))
        for start in range(0, z.shape[1], x.shape[1]):
            y[:, start : start + x.shape[1]] += x
        split("noised points")
        return y

    def features(W, y):
        f = held(f"f{y.shape[1]}", len(W), y.shape[1])
        f = dgemm(1 / math.sqrt(d), W, y, c=f, overwrite_c=1)
        split("preactivations")
        np.tanh(f, out=f)
        split("tanh")
        return f

    shared = a * normal("x", max(SHARED_AT_LEAST, fresh))
    shared = shared + root_h * normal("z", max(SHARED_AT_LEAST, fresh))
    shared *= np.sqrt((a * a + h) / np.mean(shared**2, axis=1, keepdims=True))
    rows, deviations = [], []
    noises = max(1, ROWS // n)  # in a block
    for _ in range(trials):
        W = np.asfortranarray(normal("W", p).T)
        x = normal("x", n)
        x *= a
        U, V = held("U", p, p), held("V", p, d)
        beta, noise = 0.0, 0.0
        for start in range(0, m, noises):
            size = min(noises, m - start) * n
            z = normal(f"z{size}", size)
            f = features(W, noised(x, z, f"y{size}"))
            U = dsyrk(1 / (n * m), f, beta=beta, c=U, lower=1, overwrite_c=1)
            split("F F^T")
            V = dgemm(1 / (n * m), f, z, beta=beta, c=V, trans_b=1, overwrite_c=1)
            split("F z^T")
            noise += dot(z, z) / (n * m * d)
            beta = 1.0
        U[np.diag_indices(p)] += lam
        _, solved, info = dposv(U, V, lower=1, overwrite_a=1)
        assert info == 0
        B = np.asfortranarray(-solved.T / root_h)
        train = noise - (dot(solved, V) + h * lam * dot(B, B)) / d
        split("solve")

        def loss(x, rows, W=W, B=B):
            z = normal(f"z{rows}", rows)
            y = noised(x, z, f"y{rows}")
            f = features(W, y)
            s = dgemm(1.0, B, f, c=held(f"s{rows}", d, rows), overwrite_c=1)
            e, r = s + y / (a * a + h), root_h * s + z
            found = dot(e, e) / e.size, dot(r, r) / r.size
            split("outputs and losses")
            return found

        test_x = normal("test", fresh)
        test_x *= a
        score_error, test = loss(test_x, fresh)
        memory = loss(x, -(-fresh // n) * n)[1]
        f = features(W, shared)
        deviations.append(dgemm(1.0, B, f) + shared / (a * a + h))
        split("outputs and losses")
        rows.append((score_error, test, train, memory))
    total = sum(deviations)
    bias2 = [dot(e, total - e) / (e.size * (trials - 1)) for e in deviations]
    split("outputs and losses")
    return *np.array(rows).T, np.array(bias2)
