"""Curves over training time and densities, against the obvious ways to get them.

Training time: gradient descent stepped on the read-out of one network (a product of p×p by
p×d a step, jitted, at 0.9 of the largest stable rate), timed for some steps and scaled to the
number that the longest time needs. Density: `scipy.optimize.root` on the same two complex
equations for each x, followed from a large imaginary part down to 1e-8.
"""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import root

import rfdsm

from .timing import compiled, median_seconds

TAUS = np.geomspace(0.1, 1e5, 100)
PSI_N, PSI_P, M, T, D = 4.0, 8.0, 4, 0.1, 100
STEPS = 2000  # of those that are timed
X = np.geomspace(1e-3, 12, 400)
IMAGINARY = np.geomspace(10, 1e-8, 28)
PEER_POINTS = 40


def model_of(data=None) -> rfdsm.RFDSM:
    """The benchmark's model."""
    flow = rfdsm.GradientFlow(1.0)
    return rfdsm.RFDSM(psi_n=PSI_N, psi_p=PSI_P, m=M, t=T, training=flow, data=data)


def stepping() -> tuple[float, int]:
    """(seconds per step, steps to the longest time) of gradient descent on a network."""
    model = model_of()
    rate = 0.9 * model.largest_learning_rate()
    p = round(PSI_P * D)
    rng = np.random.default_rng(0)
    F = rng.normal(size=(p, 2 * p)) / math.sqrt(2 * p)
    U, V = jnp.asarray(F @ F.T), jnp.asarray(rng.normal(size=(p, D)))

    @jax.jit
    def descend(B):
        return jax.lax.fori_loop(0, STEPS, lambda _, B: B - 1e-3 * (U @ B + V), B)

    seconds = median_seconds(lambda: descend(jnp.zeros((p, D))), 3)
    return seconds / STEPS, math.ceil(TAUS[-1] / rate)


def peer_density(x: np.ndarray) -> np.ndarray:
    """-Im q/π at each x, by continuation in the imaginary part."""
    model = model_of()
    a, h = (float(value) for value in model.process.scales())
    c = model.activation.constants(a**2, h)
    b2, v2, s2, u, ratio = float(c.b) ** 2, float(c.v2), float(c.s2), 1 / M, PSI_P / PSI_N
    A0, B0, A1, B1 = b2 * (a**2 + u * h), v2 + u * s2, b2 * h, s2

    def equations(parts, lam):
        q, G = parts[0] + 1j * parts[1], parts[2] + 1j * parts[3]
        E0, E1 = A0 * G + B0 * q, A1 * G + B1 * q
        i0, i1 = 1 / (1 + ratio * E0), 1 / (1 + u * ratio * E1)
        first = lam * q + E0 * i0 + (1 - u) * E1 * i1 - 1
        second = G * (1 + PSI_P * q * (A0 * i0 + (1 - u) * A1 * i1)) - q
        return first.real, first.imag, second.real, second.imag

    values = []
    for position in x:
        start = 1 / (-position + 1j * IMAGINARY[0])
        parts = [start.real, start.imag, start.real, start.imag]
        for imaginary in IMAGINARY:
            parts = root(equations, parts, args=(-position + 1j * imaginary,)).x
        values.append(-parts[1] / math.pi)
    return np.array(values)


def run() -> None:
    """Print the comparison."""
    for name, data in {"one atom": None, "64 atoms": np.linspace(0.1, 1.9, 64)}.items():
        model = model_of(None if data is None else rfdsm.Gaussian(data))
        curve, seconds = compiled(lambda model: model.solve_trajectory(TAUS), model)
        assert bool(jnp.all(curve(model).status == rfdsm.Status.success))
        ours = median_seconds(lambda: curve(model), 21)  # noqa: B023
        print(f"six errors at {len(TAUS)} times, {name}: {1e3 * ours:.1f} ms", end="")
        print(f" (compiled in {seconds:.1f} s)")
    each, steps = stepping()
    print(
        f"one network of d = {D} stepped to tau = {TAUS[-1]:g}: {steps} steps of "
        f"{1e3 * each:.2f} ms, {each * steps:.0f} s"
    )
    start = time.perf_counter()
    jax.block_until_ready(model_of().simulate_trajectory(jax.random.key(0), D, taus=TAUS))
    print(f"the same by one eigendecomposition: {time.perf_counter() - start:.1f} s, compiled")
    model = model_of()
    density, seconds = compiled(lambda model, x: model.density(x), model, jnp.asarray(X))
    ours = median_seconds(lambda: density(model, X), 21)
    print(f"density at {len(X)} points: {1e3 * ours:.1f} ms (compiled in {seconds:.1f} s)")
    some = X[:: len(X) // PEER_POINTS]
    start = time.perf_counter()
    peer = peer_density(some)
    theirs = (time.perf_counter() - start) * len(X) / len(some)
    wrong = np.mean(np.abs(peer - np.asarray(model.density(some))) > 1e-4)
    print(
        f"scipy.optimize.root, followed from large imaginary part: {1e3 * theirs:.0f} ms "
        f"(scaled from {len(some)} points; {wrong:.0%} of them are off by more than 1e-4)"
    )
    print(f"ratio {theirs / ours:.0f}")
