"""The simulation road: every error measured on real networks of finite size.

Numbers and ingredients come in, `Errors` go out. One key per trial by `fold_in`: results depend
on neither the number of trials beside a trial nor the order or device they run on.
"""

import dataclasses
import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..errors import FIELDS, Errors, Sizes
from ..ingredients.training import Ridge, mode_rate
from ..parameters.checks import positive_integer
from . import evaluate, features, fit, gram
from .blocks import BLOCK_ROWS
from .experiment import Experiment

MEMORY = 2**31  # bytes that trials running side by side on an accelerator may take


def simulate(
    key: Array, experiment: Experiment, trials: int, taus: Array | None = None
) -> Errors:
    r"""What `RFDSM.simulate` (with `taus` `RFDSM.simulate_trajectory`) returns.

    Each trial draws W, n points and their noises, solves for its read-out exactly (U is p×p, or
    N×N of all N = n m pairs where that is smaller; m = ∞ by an exact average), and is measured
    on fresh draws of its own; bias2 on test points shared by all, from fold_in(key, 0). Trial i
    draws from fold_in(key, 1+i). Training times share one eigendecomposition, and all draws.

    Without a known true score score_error, bias2 and variance are NaN; so are bias2 and
    variance of one trial.
    """
    return _run(key, experiment, positive_integer(trials, "trials"), taus)


def eigenvalues(key: Array, experiment: Experiment, trials: int = 1) -> Array:
    """The eigenvalues of U, ascending, shape (trials, p); keys and draws as in `simulate`."""
    return _eigenvalues(key, experiment, positive_integer(trials, "trials"))


@partial(jax.jit, static_argnames="trials")
def _run(key, experiment: Experiment, trials: int, taus) -> Errors:
    a, h = experiment.process.scales()
    sampler, sizes, shared = experiment.sampler, experiment.sizes, None
    if trials > 1 and sampler.noised_variances(a, h) is not None:
        points = max(evaluate.SHARED_AT_LEAST, evaluate.POINTS_PER_DIMENSION * sizes.d)
        shared = evaluate.shared_points(jax.random.fold_in(key, 0), sampler, points, a, h)

    def trial(key):
        return _trial(key, experiment, taus, shared)

    *fields, deviations = _over_trials(trial, key, sizes, trials)
    bias2 = jnp.full_like(fields[0], jnp.nan)
    if shared is not None:
        of_time = evaluate.bias2 if taus is None else jax.vmap(evaluate.bias2, 1, 1)
        bias2 = of_time(deviations).astype(fields[0].dtype)
    # Trials come last.
    values = [jnp.moveaxis(value, 0, -1) for value in (*fields, bias2, fields[0] - bias2)]
    return Errors(**dict(zip(FIELDS, values, strict=True)), sizes=sizes)


@partial(jax.jit, static_argnames="trials")
def _eigenvalues(key, experiment: Experiment, trials: int) -> Array:
    def trial(key):
        drawn = _draw(key, experiment)
        modes = _fitted(drawn, experiment, fit.modes_primal, fit.modes_dual)
        missing = experiment.sizes.p - len(modes.eigenvalues)
        return jnp.sort(jnp.pad(modes.eigenvalues, (missing, 0)))

    return _over_trials(trial, key, experiment.sizes, trials)


def _over_trials(trial, key, sizes: Sizes, trials: int):
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(1 + jnp.arange(trials))
    return jax.lax.map(trial, keys, batch_size=_side_by_side(sizes, trials))


class Draw(NamedTuple):
    """The random numbers of a trial; `enough` points measure an error."""

    features: Any
    x: Array
    x_test: Array
    of_noise: Array
    of_test: Array
    of_memory: Array
    enough: int


def _draw(key, experiment: Experiment) -> Draw:
    _, h = experiment.process.scales()
    sizes, sampler = experiment.sizes, experiment.sampler
    of_W, of_data, *of_rest = jax.random.split(key, 5)
    enough = evaluate.POINTS_PER_DIMENSION * sizes.d
    W = jax.random.normal(of_W, (sizes.p, sizes.d), h.dtype)
    x, x_test = sampler.split(of_data, sizes.n, sampler.tests(sizes.n, enough))
    drawn = features.draw(jax.random.fold_in(of_W, 0), experiment, W)
    return Draw(drawn, x, x_test, *of_rest, enough)


def _fitted(drawn: Draw, experiment: Experiment, primal, dual) -> Any:
    """`dual` of the pairs where they are fewer than the features, else `primal` of U and V."""
    (a, h), sizes = experiment.process.scales(), experiment.sizes
    if math.isinf(sizes.m):
        return primal(drawn.features.averaged(drawn.x, a, h))
    pairs = drawn.of_noise, drawn.features, drawn.x, int(sizes.m), a, h
    return dual(*pairs) if sizes.n * sizes.m < sizes.p else primal(gram.streamed(*pairs))


def _trial(key, experiment: Experiment, taus, shared):
    a, h = experiment.process.scales()
    sizes, sampler, training = experiment.sizes, experiment.sampler, experiment.training
    drawn = _draw(key, experiment)

    def measured(B, train_loss):
        score_error, test_loss = evaluate.losses(
            drawn.of_test, drawn.features, B, sampler, drawn.x_test, a, h
        )
        memory = train_loss
        if not math.isinf(sizes.m):
            again = jnp.resize(jnp.arange(sizes.n), -(-drawn.enough // sizes.n) * sizes.n)
            _, memory = evaluate.losses(
                drawn.of_memory, drawn.features, B, sampler, drawn.x[again], a, h, again
            )
        deviation = jnp.zeros((0, sizes.d), h.dtype)
        if shared is not None:
            s = evaluate.score(drawn.features, B, jax.random.fold_in(key, 0), shared)
            deviation = s - sampler.score(shared, a, h)
        return score_error, test_loss, train_loss, memory, deviation

    if isinstance(training, Ridge):
        primal = partial(fit.ridge_primal, lam=training.lam, h=h)
        dual = partial(fit.ridge_dual, lam=training.lam)
        return measured(*_fitted(drawn, experiment, primal, dual))
    modes = _fitted(drawn, experiment, fit.modes_primal, fit.modes_dual)
    rate = mode_rate(h, sizes.psi_p)
    if taus is None:
        return measured(*modes.fit(training.filter(modes.eigenvalues, rate), h))

    def at(tau):
        phi = dataclasses.replace(training, tau=tau).filter(modes.eigenvalues, rate)
        *errors, deviation = measured(*modes.fit(phi, h))
        return *errors, deviation.astype(jnp.float32)  # of all times they are many

    return jax.lax.map(at, taus)


def _side_by_side(sizes: Sizes, trials: int) -> int | None:
    """Trials to run at once: one after the other on CPU, where each fills the machine."""
    if jax.default_backend() == "cpu":
        return None
    each = 8 * sizes.p * (3 * sizes.p + 3 * BLOCK_ROWS + 4 * sizes.d)
    return max(1, min(trials, MEMORY // each))
