"""Exact averages over noise: measured moments, and simulation at m = ∞.

The peer of the solve is `scipy.optimize.root` on the same two one-class equations in logs, with
SciPy's Cholesky inverse: it finds δ0 and δ1 only, where ours gives the three losses. That of
the simulation is `numpy_infinite`. What grows with a size is held against the multiplications
counted at the same sizes, both fitted by a power over the upper half of a decade.
"""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.optimize

import rfdsm
from rfdsm import images
from rfdsm.simulation.experiment import POINTS_PER_DIMENSION
from rfdsm.simulation.mehler import mehler_orders

from . import numpy_infinite
from .figures import Figure, at_least, at_most
from .growth import DECADE, exponent
from .timing import compiled, in_turns, peak_memory, ratio

WIDTHS, POINTS, PASS_WIDTH = (1000, 2000), 100_000, 512
LAMS = np.geomspace(1e-4, 1, 10)
INFINITE, LAM, TRIALS, TURNS = (300, 4.0, 4.0), 1e-3, 2, 7  # d, psi_n, psi_p
RATES = {"float64": (0.8, {}), "mixed": (1.3, {"precision": "mixed"})}
NOISES = 16
# (n or N, p, d) as each grows.
GROWING = {
    "p": lambda x: (1000, round(200 * x), 100),
    "N": lambda x: (round(500 * x), 400, 100),
    "d": lambda x: (1000, 400, round(60 * x)),
}
LARGE, LARGE_POINTS, LARGE_NOISES, CLASSES, GB = 4000, 2000, 4, 12, 8.0
NODES = 37  # in g of the exact average; a value costs about ten multiplications


def peer(moments, n: float, u: float, lam: float) -> np.ndarray:
    """(δ0, δ1/u) at one λ."""
    S_g, S_s, p = moments.S_g, moments.S_s, moments.p

    def residual(logs):
        E0, E1 = np.exp(logs)
        i0, i1 = 1 / (1 + E0), 1 / (1 + u * E1)
        A = i0 * S_g + (u * i0 + (1 - u) * i1) * S_s
        A[np.diag_indices(p)] += lam
        factor = scipy.linalg.cho_factor(A, overwrite_a=True, check_finite=False)
        Q = scipy.linalg.cho_solve(factor, np.eye(p), overwrite_b=True, check_finite=False)
        of_g, of_s = np.sum(S_g * Q), np.sum(S_s * Q)
        return np.log([(of_g + u * of_s) / n / E0, of_s / n / E1])

    start = np.log([np.trace(S_g + u * S_s), np.trace(S_s)]) - math.log(n)
    found = scipy.optimize.root(residual, start, tol=1e-12)
    assert np.max(np.abs(found.fun)) < 1e-9
    return np.exp(found.x)


def solves(p: int) -> Figure:
    """Ten values of lam at one set of moments."""
    X = images.digits()
    d = X.shape[1]
    model = rfdsm.RFDSM(psi_n=4.0, psi_p=p / d, m=4, t=0.1, lam=1e-2, data=rfdsm.Samples(X))
    moments = rfdsm.measure(model, jax.random.key(0), NOISES, classes=1, halves=False)
    sweep = jax.jit(
        jax.vmap(
            lambda model, moments, lam: model.replace(lam=lam).solve(moments=moments),
            in_axes=(None, None, 0),
        )
    )
    arguments = model, moments, jnp.asarray(LAMS)
    sweep, seconds = compiled(sweep, *arguments)
    start = time.perf_counter()
    solution = jax.block_until_ready(sweep(*arguments))
    ours = time.perf_counter() - start
    assert np.asarray(solution.status == rfdsm.Status.success).all()
    some = LAMS[:3] if p > 1000 else LAMS
    start = time.perf_counter()
    for lam in some:
        peer(moments, 4.0 * d, 0.25, lam)
    theirs = (time.perf_counter() - start) * len(LAMS) / len(some)
    return Figure(
        f"measured moments at p = {p}: three losses at ten values of lam",
        ours,
        "s",
        "scipy.optimize.root, the equations alone",
        theirs,
        theirs / ours,
        note=f"compiled in {seconds:.1f} s",
    )


def passes(classes: int) -> Figure:
    """Measuring very many points."""
    X = images.patches(POINTS)
    psi_p = PASS_WIDTH / X.shape[1]
    model = rfdsm.RFDSM(2.0, psi_p, m=4, t=0.1, lam=1e-2, data=rfdsm.Samples(X))
    start = time.perf_counter()
    rfdsm.measure(model, jax.random.key(0), classes=classes)
    took = time.perf_counter() - start
    what = f"moments of {POINTS:,} patches at p = {PASS_WIDTH}, 16 noises each, {classes} "
    return Figure(what + f"class{'es' * (classes > 1)}", took, "s", note="with compilation")


def tailed(N: int, d: int) -> np.ndarray:
    """Points whose norms vary: Student's t with four degrees of freedom."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, d)) / np.sqrt(rng.chisquare(4, (N, 1)) / 4)


def large(p: int = LARGE) -> None:
    """Moments in classes as a user measures them."""
    X = rfdsm.standardise(tailed(LARGE_POINTS, 300))
    model = rfdsm.RFDSM(4.0, p / 300, m=4, t=0.1, lam=1e-2, data=rfdsm.Samples(X))
    key = jax.random.key(0)
    rfdsm.measure(model, key, LARGE_NOISES, classes=CLASSES, halves=False)


def memory() -> Figure:
    """Of a process that measures many features in classes."""
    start = time.perf_counter()
    found = peak_memory("from benchmarks.moments import large; large()")
    took = time.perf_counter() - start
    what = f"peak memory of moments at p = {LARGE} in {CLASSES} classes, halves=False"
    note = f"{took:.0f} s for {LARGE_POINTS} points, {LARGE_NOISES} noises each"
    return Figure(what, found, "GB", note=note, **at_most(GB, found))


def infinite(precision: str) -> Figure:
    """Simulation at m = ∞ against NumPy and SciPy."""
    (d, psi_n, psi_p), (least, keywords) = INFINITE, RATES[precision]
    model = rfdsm.RFDSM(psi_n, psi_p, jnp.inf, t=0.1, lam=LAM)
    rng, key = np.random.Generator(np.random.SFC64(0)), jax.random.key(0)
    ours, theirs = in_turns(
        TURNS,
        lambda: model.simulate(key, d, TRIALS, **keywords),
        lambda: numpy_infinite.simulate(rng, d, psi_n, psi_p, 0.1, LAM, TRIALS),
    )
    faster = ratio(theirs, ours)
    return Figure(
        f"simulation at (d, psi_n, psi_p, m) = ({d}, {psi_n:g}, {psi_p:g}, inf), {precision}, "
        "per trial",
        float(np.median(ours)) / TRIALS,
        "s",
        "NumPy/SciPy, dsyrk for each order",
        float(np.median(theirs)) / TRIALS,
        faster,
        **at_least(least, faster),
    )


def simulate(n: int, p: int, d: int):
    """A call that fits a network at m = ∞: U is what its time goes into."""
    model = rfdsm.RFDSM(n / d, p / d, jnp.inf, t=0.1, lam=1e-3)
    return lambda: model.fit(jax.random.key(0), d).B


def counted_simulation(n: int, p: int, d: int) -> float:
    """A symmetric product for each order and E f, the nodes of their coefficients, the fit."""
    K = mehler_orders(p, d)
    each = p * p * (K + 1) / 2 + NODES * (K + 12) * p
    drawn = (n + p + 2 * POINTS_PER_DIMENSION * d) * d  # a number costs like twenty
    return n * (each + p * d) + p**3 / 6 + 2 * p * p * d + 20 * drawn


def measure(N: int, p: int, d: int):
    """A call that measures moments in one class."""
    data = rfdsm.Samples(rfdsm.standardise(tailed(N, d)))
    model = rfdsm.RFDSM(0.5 * N / d, p / d, m=4, t=0.1, lam=1e-2, data=data)
    about = {"classes": 1, "halves": False, "report": lambda _: None}
    return lambda: rfdsm.measure(model, jax.random.key(0), NOISES, **about)


def counted_moments(N: int, p: int, d: int) -> float:
    """Products over the pairs, then eigenvectors and the turn into their basis."""
    return N * NOISES * (p * p / 2 + 2 * p * d + 10 * p) + 14 * p**3


def run() -> list[Figure]:
    """Solves, passes, rates at m = ∞, exponents, and memory."""
    calls = {
        "a fit at m = inf": (simulate, counted_simulation),
        f"moments, {NOISES} noises,": (measure, counted_moments),
    }
    sizes = {name: [of(factor) for factor in DECADE] for name, of in GROWING.items()}
    return [
        memory(),
        *(infinite(precision) for precision in RATES),
        *(
            exponent(f"{what} against {name}", each, *of)
            for what, of in calls.items()
            for name, each in sizes.items()
        ),
        *map(solves, WIDTHS),
        *map(passes, (1, CLASSES)),
    ]
