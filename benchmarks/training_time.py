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

from .equations import coefficients, one_atom
from .figures import Figure, at_least
from .results import before
from .timing import compiled, median_seconds

TAUS = np.geomspace(0.1, 1e5, 100)
PSI_N, PSI_P, M, T, D = 4.0, 8.0, 4, 0.1, 100
STEPS = 2000  # of those that are timed
X = np.geomspace(1e-3, 12, 400)
IMAGINARY = np.geomspace(10, 1e-8, 28)
PEER_POINTS, REPEATS = 40, 31
EARLIER = "the earlier state of this package, on this machine"


def model_of(data=None) -> rfdsm.RFDSM:
    """The benchmark's model."""
    flow = rfdsm.GradientFlow(1.0)
    return rfdsm.RFDSM(psi_n=PSI_N, psi_p=PSI_P, m=M, t=T, training=flow, data=data)


def stepping() -> tuple[float, int]:
    """(seconds per step, steps to the longest time) of gradient descent on a network."""
    rate = 0.9 * model_of().largest_learning_rate()
    p = round(PSI_P * D)
    rng = np.random.default_rng(0)
    F = rng.normal(size=(p, 2 * p)) / math.sqrt(2 * p)
    U, V = jnp.asarray(F @ F.T), jnp.asarray(rng.normal(size=(p, D)))

    @jax.jit
    def descend(B):
        return jax.lax.fori_loop(0, STEPS, lambda _, B: B - 1e-3 * (U @ B + V), B)

    seconds = median_seconds(lambda: descend(jnp.zeros((p, D))), 3)
    return seconds / STEPS, math.ceil(TAUS[-1] / rate)


def peer_density(x: np.ndarray, row: list[float]) -> np.ndarray:
    """-Im q/π at each x, by continuation in the imaginary part.

    Args:
        row: of `Coefficients`, without lam.
    """

    def equations(parts, lam):
        first, second = one_atom(parts.view(complex), lam, *row, exp=complex)  # not in logs
        return first.real, first.imag, second.real, second.imag

    values = []
    for position in x:
        start = 1 / (-position + 1j * IMAGINARY[0])
        parts = np.array([start, start]).view(float)
        for imaginary in IMAGINARY:
            parts = root(equations, parts, args=(-position + 1j * imaginary,)).x
        values.append(-parts[1] / math.pi)
    return np.array(values)


def since(what: str, value: float, seconds: float, limit: float | None = None) -> Figure:
    """A figure whose peer is its earlier value, where one is kept."""
    earlier, note = before("training_time").get(what), f"compiles in {seconds:.1f} s"
    if earlier is None:
        return Figure(what, value, "ms", note=note)
    times = earlier / value
    must = at_least(limit, times) if limit else {}
    return Figure(what, value, "ms", EARLIER, earlier, times, **must, note=note)


def run() -> list[Figure]:
    """The comparison."""
    figures = []
    laws = {"one atom": (None, 2), "64 atoms": (rfdsm.Gaussian(np.linspace(0.1, 1.9, 64)), 3)}
    for name, (data, limit) in laws.items():
        model = model_of(data)
        curve, seconds = compiled(lambda model: model.solve_trajectory(TAUS), model)
        assert bool(jnp.all(curve(model).status == rfdsm.Status.success))
        ours = 1e3 * median_seconds(lambda: curve(model), REPEATS)  # noqa: B023
        what = f"six errors at {len(TAUS)} training times, {name}"
        figures.append(since(what, ours, seconds, limit))

    each, steps = stepping()
    simulated = model_of()
    simulated.simulate_trajectory(jax.random.key(0), D, taus=TAUS)
    start = time.perf_counter()
    jax.block_until_ready(simulated.simulate_trajectory(jax.random.key(1), D, taus=TAUS))
    once = time.perf_counter() - start
    what = f"one network of d = {D} at all these times"
    stepped = f"gradient descent, {steps:,} steps of {1e3 * each:.2f} ms"
    figures.append(Figure(what, once, "s", stepped, each * steps, each * steps / once))

    model = model_of()
    density, seconds = compiled(lambda model, x: model.density(x), model, jnp.asarray(X))
    ours = 1e3 * median_seconds(lambda: density(model, X), REPEATS)
    what = f"eigenvalue density at {len(X)} points"
    figures.append(since(what, ours, seconds))
    some = X[:: len(X) // PEER_POINTS]
    numbers = (np.array([number]) for number in (PSI_N, PSI_P, 1 / M, 1.0, T))
    _, *row = (float(each[0]) for each in coefficients(*numbers))
    start = time.perf_counter()
    peer = peer_density(some, row)
    theirs = 1e3 * (time.perf_counter() - start) * len(X) / len(some)
    wrong = np.mean(np.abs(peer - np.asarray(model.density(some))) > 1e-4)
    followed = "scipy.optimize.root, followed from large imaginary part"
    note = f"{wrong:.0%} of the peer's are off by more than 1e-4"
    figures.append(
        Figure(f"{what}, against SciPy", ours, "ms", followed, theirs, theirs / ours, note=note)
    )
    return figures
