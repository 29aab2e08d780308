"""The simulation road: every error measured on real networks of finite size.

A trial draws, fits a network and measures it. One key per trial by `fold_in`: results depend on
neither the number of trials beside a trial nor the order or device they run on.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.memory import require_memory
from ..errors import FIELDS, Errors, Sizes, nan_explained
from ..parameters.checks import is_traced, positive_integer
from .blocks import BLOCK_ROWS
from .evaluate import bias2, measured
from .experiment import POINTS_PER_DIMENSION, SHARED_AT_LEAST, Draw, Experiment
from .gram import AbstractEquations, normal_equations
from .network import Network
from .read_out import Trained, trained

MEMORY = 2**31  # bytes that trials running side by side on an accelerator may take


@nan_explained
def simulate(key: Array, experiment: Experiment, trials: int) -> Errors:
    r"""What `RFDSM.simulate` returns; training times, if there are many, come first.

    Each trial draws W, n points and their noises, solves for its read-out exactly (U is p×p, or
    N×N of all N = n m pairs where that is smaller; m = ∞ by an exact average), and is measured
    on fresh draws of its own; bias2 on test points shared by all, from fold_in(key, 0). Trial i
    draws from fold_in(key, 1+i). Training times share one eigendecomposition, and all draws.

    Without a known true score score_error, bias2 and variance are NaN; so are bias2 and
    variance of one trial.

    Raises:
        ValueError: the training rule diverges on the network of a trial. Traced, that is NaN.
        MemoryError: more trials than fit.
    """
    trials = positive_integer(trials, "trials")
    _require_memory(experiment, trials)
    errors, largest = _run(key, experiment, trials)
    _require_stable(experiment, largest)
    return errors


def _require_memory(experiment: Experiment, trials: int) -> None:
    """Refuse trials whose deviations, which `bias2` compares, would not fit."""
    d = experiment.sizes.d
    if trials > 1 and experiment.sampler.noised_variances(experiment.noising) is not None:
        needed = 4 * trials * max(SHARED_AT_LEAST, POINTS_PER_DIMENSION * d) * d
        require_memory(needed, f"{trials:.8g} trials of d = {d} need", "take fewer of them")


def fit(key: Array, experiment: Experiment) -> Network:
    """The network of the first trial of `simulate`.

    Raises:
        ValueError: as `simulate`.
    """
    network, largest = _fit(key, experiment)
    _require_stable(experiment, largest)
    return network


def eigenvalues(key: Array, experiment: Experiment, trials: int = 1) -> Array:
    """The eigenvalues of U, ascending, shape (trials, p); keys and draws as in `simulate`."""
    return _eigenvalues(key, experiment, positive_integer(trials, "trials"))


@partial(jax.jit, static_argnames="trials")
def _run(key, experiment: Experiment, trials: int) -> tuple[Errors, Any]:
    shared = experiment.shared_points(jax.random.fold_in(key, 0)) if trials > 1 else None

    def trial(key):
        drawn = experiment.draw(key, shared)
        network, train_loss, largest = _trained(drawn, experiment)
        if train_loss.ndim == 0:
            return measured(network, train_loss, drawn, experiment.sampler), largest

        def at(B, loss):
            at_time = Network(network.features, B, network.denoising)
            found = measured(at_time, loss, drawn, experiment.sampler)
            single = found.deviation.astype(jnp.float32)  # of all times they are many
            return found._replace(deviation=single)

        return jax.lax.map(lambda time: at(*time), (network.B, train_loss)), largest

    (*fields, deviations), largest = _over_trials(trial, key, experiment.sizes, trials)
    pairs = jnp.full_like(fields[0], jnp.nan)
    if shared is not None:
        of_time = bias2 if deviations.ndim == 3 else jax.vmap(bias2, 1, 1)
        pairs = of_time(deviations).astype(fields[0].dtype)
    # Trials come last.
    values = [jnp.moveaxis(value, 0, -1) for value in (*fields, pairs, fields[0] - pairs)]
    errors = Errors(**dict(zip(FIELDS, values, strict=True)), sizes=experiment.sizes)
    return errors, largest


@jax.jit
def _fit(key, experiment: Experiment) -> tuple[Network, Any]:
    fitted = _trained(experiment.draw(_key_of_trial(key, 0)), experiment)
    return fitted.network, fitted.largest


@partial(jax.jit, static_argnames="trials")
def _eigenvalues(key, experiment: Experiment, trials: int) -> Array:
    def trial(key):
        found = _equations(experiment.draw(key), experiment).modes().eigenvalues
        return jnp.sort(jnp.pad(found, (experiment.sizes.p - len(found), 0)))

    return _over_trials(trial, key, experiment.sizes, trials)


def _trained(drawn: Draw, experiment: Experiment) -> Trained:
    equations = _equations(drawn, experiment)
    arguments = experiment.training, experiment.denoising, experiment.rate
    return trained(equations, drawn.features, *arguments)


def _equations(drawn: Draw, experiment: Experiment) -> AbstractEquations:
    arguments = drawn.features, drawn.x, experiment.sizes.m, experiment.denoising
    return normal_equations(drawn.key, *arguments)


def _require_stable(experiment: Experiment, largest: Float[Array, " *trials"] | None) -> None:
    """Raise where a trial's largest eigenvalue is not under the rule's reach; not if traced."""
    if largest is None or is_traced(largest, experiment):
        return
    training, rate, worst = experiment.training, experiment.rate, jnp.max(largest)
    if not worst < training.reach(rate):
        raise ValueError(training.divergence(rate, worst))


def _over_trials(trial, key, sizes: Sizes, trials: int):
    keys = jax.vmap(partial(_key_of_trial, key))(jnp.arange(trials))
    return jax.lax.map(trial, keys, batch_size=_side_by_side(sizes, trials))


def _key_of_trial(key, number):
    return jax.random.fold_in(key, 1 + number)


def _side_by_side(sizes: Sizes, trials: int) -> int | None:
    """Trials to run at once: one after the other on CPU, where each fills the machine."""
    if jax.default_backend() == "cpu":
        return None
    each = 8 * sizes.p * (3 * sizes.p + 3 * BLOCK_ROWS + 4 * sizes.d)
    return max(1, min(trials, MEMORY // each))
