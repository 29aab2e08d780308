"""The simulation road: every error measured on real networks of finite size.

A trial draws, fits a network and measures it. One key per trial by `fold_in`: results depend on
neither the number of trials beside a trial nor the order or device they run on.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.memory import require_memory
from ..errors import FIELDS, Errors, Sizes, nan_explained
from ..parameters.checks import is_traced, positive_integer
from .blocks import BLOCK_ROWS
from .ensembles import average, equations
from .evaluate import bias2, measured
from .experiment import POINTS_PER_DIMENSION, SHARED_AT_LEAST, Experiment
from .network import Network

MEMORY = 2**31  # bytes that trials running side by side on an accelerator may take


@nan_explained
def simulate(key: Array, experiment: Experiment, trials: int) -> Errors:
    r"""What `RFDSM.simulate` returns; training times, if there are many, come first.

    Each trial draws W, n points and their noises, solves for its read-out exactly (U is p×p, or
    N×N of all N = n m pairs where that is smaller; m = ∞ by an exact average), and is measured
    on fresh draws of its own; bias2 on test points shared by all, from fold_in(key, 0). Trial i
    draws from fold_in(key, 1+i). Training times share one eigendecomposition, and all draws.

    An ensemble is measured as its average. Network k takes what it does not share from a
    trial's draws k, which do not depend on how many networks there are.

    Without a known true score score_error, bias2 and variance are NaN; so are bias2 and
    variance of one trial.

    Raises:
        ValueError: the training rule diverges on the network of a trial. Traced, that is NaN.
        MemoryError: more trials than fit.
    """
    trials = positive_integer(trials, "trials")
    _require_memory(experiment, trials)
    errors, largest = _run(key, experiment, trials)
    require_stable(experiment, largest)
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
    require_stable(experiment, largest)
    return network


def eigenvalues(key: Array, experiment: Experiment, trials: int = 1) -> Array:
    """The eigenvalues of U, ascending, shape (trials, p); keys and draws as in `simulate`."""
    return _eigenvalues(key, experiment, positive_integer(trials, "trials"))


@partial(jax.jit, static_argnames="trials")
def _run(key, experiment: Experiment, trials: int) -> tuple[Errors, Any]:
    shared = experiment.shared_points(jax.random.fold_in(key, 0)) if trials > 1 else None

    def trial(key):
        drawn = experiment.draw(key, shared)
        network, train_loss, largest = average(drawn, experiment)
        if train_loss.ndim == 0:
            return measured(network, train_loss, drawn, experiment.sampler), largest

        def at(B, loss):
            at_time = Network(network.features, B, network.denoising)
            found = measured(at_time, loss, drawn, experiment.sampler)
            single = found.deviation.astype(jnp.float32)  # of all times they are many
            return found._replace(deviation=single)

        return jax.lax.map(lambda time: at(*time), (network.B, train_loss)), largest

    about = experiment.sizes, trials, experiment.networks
    (*fields, deviations), largest = over_trials(trial, key, *about)
    pairs = jnp.full_like(fields[0], jnp.nan)
    if shared is not None:
        of_time = bias2 if deviations.ndim == 3 else jax.vmap(bias2, 1, 1)
        pairs = of_time(deviations).astype(fields[0].dtype)
    # Trials come last.
    values = [jnp.moveaxis(value, 0, -1) for value in (*fields, pairs, fields[0] - pairs)]
    known = _known(dict(zip(FIELDS, values, strict=True)), experiment)
    return Errors(**known, sizes=experiment.sizes), largest


def _known(errors: dict[str, Array], experiment: Experiment) -> dict[str, Array]:
    """Errors of an ensemble, NaN where its networks have not in common what they are over."""
    if experiment.networks > 1 and math.isinf(experiment.sizes.m):
        errors["train_loss"] = errors["memorization_loss"]
    return {
        name: value if experiment.ensemble.knows(name) else jnp.full_like(value, jnp.nan)
        for name, value in errors.items()
    }


@jax.jit
def _fit(key, experiment: Experiment) -> tuple[Network, Any]:
    fitted = average(experiment.draw(_key_of_trial(key, 0)), experiment)
    return fitted.network, fitted.largest


@partial(jax.jit, static_argnames="trials")
def _eigenvalues(key, experiment: Experiment, trials: int) -> Array:
    def trial(key):
        found = equations(experiment.draw(key), experiment)[1].modes().eigenvalues
        return jnp.sort(jnp.pad(found, (experiment.sizes.p - len(found), 0)))

    return over_trials(trial, key, experiment.sizes, trials)


def require_stable(experiment: Experiment, largest: Float[Array, " *trials"] | None) -> None:
    """Raise where a trial's largest eigenvalue is not under the rule's reach; not if traced."""
    if largest is None or is_traced(largest, experiment):
        return
    training, rate, worst = experiment.training, experiment.rate, jnp.max(largest)
    if not worst < training.reach(rate):
        raise ValueError(training.divergence(rate, worst))


def over_trials(
    trial: Callable[[Array], Any], key: Array, sizes: Sizes, trials: int, networks: int = 1
) -> Any:
    """`trial` of each trial's key; so many networks of a trial are held at once."""
    keys = jax.vmap(partial(_key_of_trial, key))(jnp.arange(trials))
    return jax.lax.map(trial, keys, batch_size=_side_by_side(sizes, trials, networks))


def _key_of_trial(key, number):
    return jax.random.fold_in(key, 1 + number)


def _side_by_side(sizes: Sizes, trials: int, networks: int) -> int | None:
    """Trials to run at once: one after the other on CPU, where each fills the machine."""
    if jax.default_backend() == "cpu":
        return None
    more = networks * (BLOCK_ROWS + 4 * sizes.d)
    each = 8 * sizes.p * (3 * sizes.p + 2 * BLOCK_ROWS + more)
    return max(1, min(trials, MEMORY // each))
