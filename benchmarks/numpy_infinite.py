"""The peer at m = ∞: the same simulation in plain NumPy and SciPy, with the best BLAS calls.

Isotropic Gaussian data, tanh, ridge. Mehler's series with the number of orders of
`rfdsm.simulation`, cut where they are rounding as there: a rank-k update of one triangle for
each, multiplied by the correlations in place (Horner). The coefficients by the trapezoid rule
of the widest step that is exact to rounding (for tanh up to t of about 0.1), a few points at a
time so that its nodes stay in the cache. All else as in `numpy_simulation`.
"""

import math

import numpy as np
from scipy.linalg.blas import dgemm, dgemv, dsyrk
from scipy.linalg.lapack import dposv

from rfdsm.simulation.experiment import POINTS_PER_DIMENSION, SHARED_AT_LEAST
from rfdsm.simulation.mehler import ROUNDING, mehler_orders, size_of_power

from .numpy_simulation import dot

STEP, REACH = 0.5, 9.0
ELEMENTS = 4096  # of 37 nodes each: 1.2 MB


def hermite_table(orders):
    """Nodes g and weights, shape (g,), and He_k(g)/√k! with weights, shape (g, orders + 1)."""
    g = np.arange(-REACH, REACH + STEP / 2, STEP)
    weights = STEP * np.exp(-g * g / 2) / math.sqrt(2 * math.pi)
    table = np.empty((len(g), orders + 1), order="F")
    now, after = weights, g * weights
    for k in range(orders + 1):
        table[:, k] = now
        now, after = after, (g * after - math.sqrt(k + 1) * now) / math.sqrt(k + 2)
    return g, weights, table


class Arrays:
    """Reused arrays in Fortran order, by name."""

    def __init__(self):
        self.held = {}

    def __call__(self, name, *shape):
        """An array of this shape, whatever it holds."""
        if name not in self.held:
            self.held[name] = np.empty(shape, order="F")
        return self.held[name]


def coefficients(mean, scale, orders, held):
    """C_k, shape (p, n, orders + 1), and Σ_i E ϱ² of each feature; mean (p, n), scale (p,)."""
    p, n = mean.shape
    g, weights, table = hermite_table(orders)
    C, square = held("C", p * n, orders + 1), np.zeros(p)
    points = max(1, ELEMENTS // p)
    for start in range(0, n, points):
        some = mean[:, start : start + points]
        f = held(f"f{some.shape[1]}", some.size, len(g))
        of_g = f.reshape(p, some.shape[1], len(g), order="F")
        np.multiply(scale[:, None, None], g, out=of_g)
        of_g += some[:, :, None]
        np.tanh(f, out=f)
        C[start * p : (start + some.shape[1]) * p] = dgemm(1.0, f, table)
        np.multiply(f, f, out=f)
        square += dgemv(1.0, f, weights).reshape(-1, p).sum(0)
    return C.reshape(p, n, orders + 1, order="F"), square


def normal_equations(W, x, a, h, held):
    """U (its lower triangle) and V at m = ∞, of the points a x in columns."""
    (p, d), n = W.shape, x.shape[1]
    orders, length = mehler_orders(p, d), np.sqrt(np.sum(W * W, axis=1))
    unit = np.divide(W, length[:, None], out=held("unit", p, d))
    mean = dgemm(1 / math.sqrt(d), W, x, c=held("mean", p, n), overwrite_c=1)
    C, square = coefficients(mean, math.sqrt(h / d) * length, orders, held)
    R = dsyrk(1.0, unit, c=held("R", p, p), lower=1, overwrite_c=1)
    mass = [np.max(np.einsum("pi,pi->p", C[:, :, k], C[:, :, k])) for k in range(orders + 1)]
    left = np.cumsum([size_of_power(k, p, d) * mass[k] for k in range(orders, 0, -1)])[::-1]
    last = np.sum(left > ROUNDING * np.finfo(float).eps * math.sqrt(p) * np.max(square))
    U, beta = held("U", p, p), 0.0
    for k in range(last, 0, -1):
        U = dsyrk(1 / n, C[:, :, k], beta=beta, c=U, lower=1, overwrite_c=1)
        U *= R
        beta = 1.0
    U = dsyrk(1 / n, C[:, :, 0], beta=1.0, c=U, lower=1, overwrite_c=1)
    U[np.diag_indices(p)] = square / n
    return U, unit * (np.sum(C[:, :, 1], axis=1) / n)[:, None]


def simulate(rng, d, psi_n, psi_p, t, lam, trials):
    """Arrays of shape (trials,): score_error, test, train (= memorization) loss, bias2."""
    n, p = round(psi_n * d), round(psi_p * d)
    a, h = math.exp(-t), -math.expm1(-2 * t)
    root_h, fresh, held = math.sqrt(h), POINTS_PER_DIMENSION * d, Arrays()

    def normal(name, rows):
        z = held(name, d, rows)
        rng.standard_normal(out=z.T)
        return z

    def features(W, y):
        f = dgemm(1 / math.sqrt(d), W, y, c=held("f", p, y.shape[1]), overwrite_c=1)
        return np.tanh(f, out=f)

    points = max(SHARED_AT_LEAST, fresh)
    shared = a * normal("test", points)
    shared = shared + root_h * normal("test", points)
    shared *= np.sqrt((a * a + h) / np.mean(shared**2, axis=1, keepdims=True))
    held.held.clear()
    rows, deviations = [], []
    for _ in range(trials):
        W = np.asfortranarray(normal("W", p).T)
        x = normal("x", n)
        x *= a
        U, V = normal_equations(W, x, a, h, held)
        U[np.diag_indices(p)] += lam
        _, solved, info = dposv(U, V, lower=1, overwrite_a=1)
        assert info == 0
        B = np.asfortranarray(-solved.T / root_h)
        train = 1 - (dot(solved, V) + h * lam * dot(B, B)) / d
        z, y = normal("z", fresh), normal("test", fresh)
        y *= a
        y += root_h * z
        s = dgemm(1.0, B, features(W, y))
        e, r = s + y / (a * a + h), root_h * s + z
        rows.append((dot(e, e) / e.size, dot(r, r) / r.size, train))
        deviations.append(dgemm(1.0, B, features(W, shared)) + shared / (a * a + h))
    total = sum(deviations)
    bias2 = [dot(e, total - e) / (e.size * (trials - 1)) for e in deviations]
    return *np.array(rows).T, np.array(bias2)
