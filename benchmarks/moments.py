"""Measured moments: ten values of lam at a large p, and the pass over many points.

The peer of the solve is `scipy.optimize.root` on the same two one-class equations in logs, with
SciPy's Cholesky inverse: it finds δ0 and δ1 only, where ours gives the three losses.
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

from .timing import compiled

WIDTHS, POINTS, PASS_WIDTH = (1000, 2000), 100_000, 512
LAMS = np.geomspace(1e-4, 1, 10)


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


def run() -> None:
    """Print seconds, compilation apart."""
    X = images.digits()
    d = X.shape[1]
    for p in WIDTHS:
        model = rfdsm.RFDSM(psi_n=4.0, psi_p=p / d, m=4, t=0.1, lam=1e-2, data=rfdsm.Samples(X))
        start = time.perf_counter()
        moments = rfdsm.measure(model, jax.random.key(0), 16, classes=1, halves=False)
        print(f"p = {p}: measured on {len(X)} points in {time.perf_counter() - start:.1f} s")
        sweep = jax.jit(
            jax.vmap(
                lambda model, moments, lam: model.replace(lam=lam).solve(moments=moments),
                in_axes=(None, None, 0),
            )
        )
        arguments = (model, moments, jnp.asarray(LAMS))
        sweep, seconds = compiled(sweep, *arguments)
        start = time.perf_counter()
        solution = jax.block_until_ready(sweep(*arguments))
        ours = time.perf_counter() - start
        assert np.asarray(solution.status == rfdsm.Status.success).all()
        start = time.perf_counter()
        for lam in LAMS[:3] if p > 1000 else LAMS:
            peer(moments, 4.0 * d, 0.25, lam)
        theirs = (time.perf_counter() - start) * (len(LAMS) / 3 if p > 1000 else 1)
        print(
            f"p = {p}: ten values of lam in {ours:.1f} s (compiled in {seconds:.1f} s); "
            f"scipy.optimize.root, the equations alone: {theirs:.1f} s, {theirs / ours:.1f} "
            "times our time"
        )
    X = images.patches(POINTS)
    model = rfdsm.RFDSM(
        psi_n=2.0, psi_p=PASS_WIDTH / d, m=4, t=0.1, lam=1e-2, data=rfdsm.Samples(X)
    )
    for classes in (1, 12):
        start = time.perf_counter()
        rfdsm.measure(model, jax.random.key(0), classes=classes)
        print(
            f"pass over {POINTS} patches at p = {PASS_WIDTH}, 16 noises each, {classes} "
            f"class(es): {time.perf_counter() - start:.1f} s with compilation"
        )
