"""Batched theory against `scipy.optimize.root`, point by point on the same equations.

The peer solves the bare one-point equations only (isotropic, Gaussian constants given), in
plain Python floats, which is what SciPy is fastest with; it computes no errors. Ours starts
from the model's numbers: constants of tanh, equations, and all six errors.
"""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import root

import rfdsm

from .timing import compiled, median_seconds

POINTS, PEER_POINTS, REPEATS = 100_000, 3_000, 21


def points(count: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """(psi_n, psi_p, 1/m, lam, t), log-uniform in the moderate box."""
    rng = np.random.default_rng(seed)

    def log_uniform(low, high):
        return np.exp(rng.uniform(math.log(low), math.log(high), count))

    psi_n, psi_p = log_uniform(0.01, 100), log_uniform(0.01, 100)
    return psi_n, psi_p, 1 / log_uniform(1, 1e3), log_uniform(1e-8, 10), log_uniform(1e-3, 3)


def solve(psi_n, psi_p, u, lam, t) -> rfdsm.Solution:
    """One point of the batch."""
    return rfdsm.RFDSM(psi_n=psi_n, psi_p=psi_p, m=2.0, lam=lam, t=t).solve(inverse_m=u)


def peer_equations(x, ratio, psi_p, u, lam, data, noise, shared, fresh):
    """The one-point equations in the logs of (q, q D): two unknowns, as few as there can be."""
    q, G = math.exp(x[0]), math.exp(x[1])
    E0 = (data + u * noise) * G + (shared + u * fresh) * q
    E1 = noise * G + fresh * q
    i0, i1 = 1 / (1 + ratio * E0), 1 / (1 + u * ratio * E1)
    Y = (data + u * noise) * i0 + (1 - u) * noise * i1
    return lam * q + E0 * i0 + (1 - u) * E1 * i1 - 1, G * (1 + psi_p * q * Y) / q - 1


def peer_rate() -> tuple[float, float]:
    """(points per second, share solved) of scipy.optimize.root."""
    constants = jax.jit(jax.vmap(rfdsm.Tanh().constants))
    psi_n, psi_p, u, lam, t = points(PEER_POINTS)
    a2, h = np.exp(-2 * t), -np.expm1(-2 * t)
    c = constants(a2, h)
    b2, v2, s2 = np.asarray(c.b) ** 2, np.asarray(c.v2), np.asarray(c.s2)
    rows = np.stack([psi_p / psi_n, psi_p, u, lam, b2 * a2, b2 * h, v2, s2], 1).tolist()
    solved = 0
    start = time.perf_counter()
    for row in rows:
        first = -math.log(row[3] + row[6] + row[7])
        solved += root(peer_equations, (first, first), args=tuple(row)).success
    return len(rows) / (time.perf_counter() - start), solved / len(rows)


def run() -> None:
    """Print the comparison."""
    arguments = tuple(map(jnp.asarray, points(POINTS)))
    one = tuple(x[0] for x in arguments)
    _, seconds = compiled(solve, *one)
    print(f"one model compiles in {seconds:.2f} s")
    batch, seconds = compiled(jax.vmap(solve), *arguments)
    print(f"a batch compiles in {seconds:.2f} s")
    status = batch(*arguments).status
    assert bool(jnp.all(status == rfdsm.Status.success))
    ours = POINTS / median_seconds(lambda: batch(*arguments), REPEATS)
    peer, share = peer_rate()
    print(f"six errors of {POINTS:,} points in one warm call: {ours:.3g} points/s")
    print(f"scipy.optimize.root, bare equations: {peer:.3g} points/s ({share:.1%} solved)")
    print(f"ratio {ours / peer:.0f}")

    def test_loss(*x):
        return solve(*x).errors.test_loss

    gradient, seconds = compiled(jax.vmap(jax.grad(test_loss, argnums=range(5))), *arguments)
    ours_gradient = POINTS / median_seconds(lambda: gradient(*arguments), REPEATS)
    print(
        f"test loss with five derivatives: {ours_gradient:.3g} points/s, "
        f"compiles in {seconds:.1f} s"
    )
