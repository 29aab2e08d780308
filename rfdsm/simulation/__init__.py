"""The simulation road: every error measured on real networks of finite size.

Numbers and ingredients come in, `Errors` go out. One key per trial by `fold_in`: results depend
on neither the number of trials beside a trial nor the order or device they run on.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..checks import is_traced
from ..errors import Errors, Sizes
from . import evaluate, fit, gram
from .network import BLOCK_ROWS

MEMORY = 2**31  # bytes that trials running side by side on an accelerator may take


def simulate(
    key: Array,
    d: int | None,
    trials: int,
    *,
    psi_n: Any,
    psi_p: Any,
    m: Any,
    process: Any,
    activation: Any,
    data: Any,
    training: Any,
) -> Errors:
    r"""Train and measure `trials` independent networks.

    Each draws W, n = round(psi_n d) points and their noises, solves for its read-out exactly
    (U is p×p, or N×N of all N = n m pairs where that is smaller; m = ∞ by an exact average),
    and is measured on fresh draws of its own; bias2 on test points shared by all.

    Args:
        key: a `jax.random.key`; test points from fold_in(key, 0), trial i from
            fold_in(key, 1+i).
        d: the dimension; None for data that has its own.
        psi_n, psi_p, m: concrete ratios, and an integer or infinite number of noises.
        process, activation, data, training: ingredients; their numbers may be traced.

    Returns:
        `Errors` of shape (trials,) with the realised `sizes`. Without a known true score
        score_error, bias2 and variance are NaN; so are bias2 and variance of one trial.

    Raises:
        ValueError: sizes that are traced, too small or not integers; too few samples.
    """
    sizes = _sizes(d, trials, psi_n, psi_p, m, data)
    sampler = data.at(sizes.d)
    sampler.require(sizes.n)
    return _run(key, process, activation, sampler, training, sizes, int(trials))


def _sizes(d, trials, psi_n, psi_p, m, data) -> Sizes:
    if is_traced(psi_n, psi_p, m):
        raise ValueError(
            "simulate needs concrete psi_n, psi_p and m, which set shapes: build the model "
            "outside of jit, vmap and grad (key, lam and t may be traced)."
        )
    d = data.dimension(d)
    for name, value in (("d", d), ("trials", trials)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")
    m = float(m)
    if not m >= 1 or (math.isfinite(m) and m != round(m)):
        raise ValueError(
            f"simulate needs an integer m of at least 1, or infinity, got {m:g}: "
            "theory alone takes any m >= 1."
        )
    n, p = round(float(psi_n) * d), round(float(psi_p) * d)
    for name, ratio, value in (("n", psi_n, n), ("p", psi_p, p)):
        if value < 1:
            raise ValueError(
                f"psi_{name} = {float(ratio):g} at d = {d} leaves no {name}: take a larger d."
            )
    return Sizes(int(d), n, p, m, data.counts(int(d)))


@partial(jax.jit, static_argnames=("sizes", "trials"))
def _run(key, process, activation, sampler, training, sizes: Sizes, trials: int) -> Errors:
    a, h = process.scales()
    d = sizes.d
    shared = None
    if trials > 1 and sampler.noised_variances(a, h) is not None:
        points = max(evaluate.SHARED_AT_LEAST, evaluate.POINTS_PER_DIMENSION * d)
        shared = evaluate.shared_points(jax.random.fold_in(key, 0), sampler, points, a, h)

    def trial(key):
        return _trial(key, a, h, activation, sampler, training, sizes, shared)

    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(1 + jnp.arange(trials))
    *fields, deviations = jax.lax.map(trial, keys, batch_size=_side_by_side(sizes, trials))
    score_error, test_loss, train_loss, memorization_loss = fields
    unknown = jnp.full_like(score_error, jnp.nan)
    bias2 = unknown if shared is None else evaluate.bias2(deviations)
    return Errors(
        score_error=score_error,
        test_loss=test_loss,
        train_loss=train_loss,
        memorization_loss=memorization_loss,
        bias2=bias2,
        variance=score_error - bias2,
        sizes=sizes,
    )


def _trial(key, a, h, activation, sampler, training, sizes, shared):
    d, n, p = sizes.d, sizes.n, sizes.p
    of_W, of_data, of_noise, of_test, of_memory = jax.random.split(key, 5)
    enough = evaluate.POINTS_PER_DIMENSION * d
    W = jax.random.normal(of_W, (p, d), h.dtype)
    x, x_test = sampler.split(of_data, n, sampler.tests(n, enough))
    if math.isinf(sizes.m):
        B, train_loss = fit.ridge_primal(gram.exact(activation, W, x, a, h), training.lam, h)
    elif n * sizes.m < p:
        B, train_loss = fit.ridge_dual(
            of_noise, activation, W, x, int(sizes.m), a, h, training.lam
        )
    else:
        streamed = gram.streamed(of_noise, activation, W, x, int(sizes.m), a, h)
        B, train_loss = fit.ridge_primal(streamed, training.lam, h)
    network = activation, W, B
    score_error, test_loss = evaluate.losses(of_test, network, sampler, x_test, a, h)
    memory = train_loss
    if not math.isinf(sizes.m):
        again = jnp.tile(x, (-(-enough // n), 1))
        _, memory = evaluate.losses(of_memory, network, sampler, again, a, h)
    deviation = jnp.zeros((0, d), h.dtype)
    if shared is not None:
        deviation = evaluate.score(*network, shared) - sampler.score(shared, a, h)
    return score_error, test_loss, train_loss, memory, deviation


def _side_by_side(sizes: Sizes, trials: int) -> int | None:
    """Trials to run at once: one after the other on CPU, where each fills the machine."""
    if jax.default_backend() == "cpu":
        return None
    each = 8 * sizes.p * (3 * sizes.p + 3 * BLOCK_ROWS + 4 * sizes.d)
    return max(1, min(trials, MEMORY // each))
