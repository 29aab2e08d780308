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

from .._files.programs import kept
from ..errors import FIELDS, Errors, Sizes, nan_explained
from ..parameters.checks import is_traced, positive_integer
from ..progress import LONG, Progress, Report, duration, over_time, to_standard_error
from .blocks import BLOCK_ROWS
from .cost import memory as cost, require_budget, require_digits, seconds
from .ensembles import average, equations
from .evaluate import bias2, measured
from .experiment import Experiment
from .gram import Sums, added
from .network import Network

MEMORY = 2**31  # bytes that trials running side by side on an accelerator may take


@nan_explained
def simulate(
    key: Array,
    experiment: Experiment,
    trials: int,
    memory: float | None = None,
    report: Report | None = None,
) -> Errors:
    r"""What `RFDSM.simulate` returns; training times, if there are many, come first.

    Each trial draws W, n points and their noises, solves for its read-out exactly (U is p×p, or
    N×N of all N = n m pairs where that is smaller; m = ∞ by an exact average), and is measured
    on fresh draws of its own; bias2 on test points shared by all, from fold_in(key, 0). Trial i
    draws from fold_in(key, 1+i). Training times share one eigendecomposition, and all draws.

    An ensemble is measured as its average. Network k takes what it does not share from a
    trial's draws k, which do not depend on how many networks there are.

    Without a known true score score_error, bias2 and variance are NaN; so are bias2 and
    variance of one trial.

    Args:
        memory: bytes that it may take; None: what is free.
        report: called with `Progress` if it takes long, and is not traced; None: lines of it
            are printed to the standard error.

    Raises:
        ValueError: the training rule diverges on the network of a trial. Traced, that is NaN.
            Single precision would be seen, see `cost.require_digits`.
        MemoryError: more than fits, or than `memory`.
    """
    trials = positive_integer(trials, "trials")
    require_budget(experiment, trials, memory)
    require_digits(experiment)
    budget = MEMORY if memory is None else memory
    if seconds(experiment) * trials > LONG and not is_traced(key, experiment):
        errors, largest = in_steps(key, experiment, trials, budget, report or to_standard_error)
    else:
        errors, largest = _run(key, experiment, trials, budget)
    require_stable(experiment, largest)
    return errors


def fit(key: Array, experiment: Experiment, memory: float | None = None) -> Network:
    """The network of the first trial of `simulate`.

    Raises:
        ValueError, MemoryError: as `simulate`.
    """
    require_budget(experiment, 1, memory)
    require_digits(experiment)
    network, largest = _fit(key, experiment)
    require_stable(experiment, largest)
    return network


def eigenvalues(key: Array, experiment: Experiment, trials: int = 1) -> Array:
    """The eigenvalues of U, ascending, shape (trials, p); keys and draws as in `simulate`."""
    return _eigenvalues(key, experiment, positive_integer(trials, "trials"))


@kept(jit=partial(jax.jit, static_argnames=("trials", "memory")), quick=False)
def _run(key, experiment: Experiment, trials: int, memory: float) -> tuple[Errors, Any]:
    shared = _shared_points(key, experiment, trials)
    measured = partial(_measured, experiment=experiment, shared=shared)
    found = over_trials(measured, key, experiment, trials, memory=memory)
    return _errors(found, experiment)


def _shared_points(key, experiment: Experiment, trials: int):
    return experiment.shared_points(jax.random.fold_in(key, 0)) if trials > 1 else None


def _measured(key, experiment: Experiment, shared, sums: Sums | None = None):
    """The errors of the trial with this key, and the largest eigenvalue of its U."""
    drawn = experiment.draw(key, shared)
    network, train_loss, largest = average(drawn, experiment, sums)
    if train_loss.ndim == 0:
        return measured(network, train_loss, drawn, experiment.sampler), largest

    def at(B, loss):
        at_time = Network(network.features, B, network.denoising)
        found = measured(at_time, loss, drawn, experiment.sampler)
        single = found.deviation.astype(jnp.float32)  # of all times they are many
        return found._replace(deviation=single)

    return jax.lax.map(lambda time: at(*time), (network.B, train_loss)), largest


def _errors(found, experiment: Experiment) -> tuple[Errors, Any]:
    """What all trials measured, as errors."""
    (*fields, deviations), largest = found
    pairs = jnp.full_like(fields[0], jnp.nan)
    if deviations.size:
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

    return over_trials(trial, key, experiment, trials, 1)


def require_stable(experiment: Experiment, largest: Float[Array, " *trials"] | None) -> None:
    """Raise where a trial's largest eigenvalue is not under the rule's reach; not if traced."""
    if largest is None or is_traced(largest, experiment):
        return
    training, rate, worst = experiment.training, experiment.rate, jnp.max(largest)
    if not worst < training.reach(rate):
        raise ValueError(training.divergence(rate, worst))


def over_trials(
    trial: Callable[[Array], Any],
    key: Array,
    experiment: Experiment,
    trials: int,
    networks: int | None = None,
    memory: float = MEMORY,
) -> Any:
    """`trial` of each trial's key; so many networks of a trial are held at once."""
    keys = jax.vmap(partial(_key_of_trial, key))(jnp.arange(trials))
    return _each(trial, keys, experiment, networks or experiment.networks, memory)


def _each(trial, keys, experiment: Experiment, networks: int, memory: float) -> Any:
    at_once = _side_by_side(experiment.sizes, len(keys), networks, memory)
    return jax.lax.map(trial, keys, batch_size=at_once)


def _key_of_trial(key, number):
    return jax.random.fold_in(key, 1 + number)


def _side_by_side(sizes: Sizes, trials: int, networks: int, memory: float) -> int | None:
    """Trials to run at once: on CPU one after the other, where each fills the machine."""
    if jax.default_backend() == "cpu":
        return None
    more = networks * (BLOCK_ROWS + 4 * sizes.d)
    each = 8 * sizes.p * (3 * sizes.p + 2 * BLOCK_ROWS + more)
    return max(1, min(trials, int(memory // each)))


def in_steps(
    key, experiment: Experiment, trials: int, memory: float, report: Report
) -> tuple[Errors, Any]:
    """`_run` by programs of a few seconds at most, between which Python is in charge.

    So progress is told, and Ctrl-C heard. The draws are the same.
    """
    each, d, p = seconds(experiment), experiment.sizes.d, experiment.sizes.p
    m, n = experiment.sizes.m, experiment.sizes.n
    need = cost(experiment, trials)
    what = f"simulating {trials} trial{'s' * (trials > 1)} of d = {d}, p = {p}"
    about = f"about {duration(each * trials)} and {need / 1e9:.2g} GB"
    report(Progress(f"{what}: {about}"))
    shared = _shared_points(key, experiment, trials)
    keys = jax.vmap(partial(_key_of_trial, key))(jnp.arange(trials))
    by_blocks = each > LONG and experiment.networks == 1 and math.isfinite(m)
    found = []
    if by_blocks and not experiment.dual:
        advance = over_time(report, "simulating", trials * n * int(m), "pairs")
        for each_key in keys:
            sums = _summed(each_key, experiment, advance)
            found.append(jax.block_until_ready(_finished(each_key, experiment, shared, sums)))
        found = jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)
    else:
        advance = over_time(report, "simulating", trials, "trials")
        at_once = max(1, min(trials, int(1 / each)))
        for start in range(0, trials, at_once):
            part = keys[start : start + at_once]
            found.append(jax.block_until_ready(_trials(part, experiment, shared, memory)))
            advance(len(part))
        found = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *found)
    return _all_errors(found, experiment)


def _summed(key, experiment: Experiment, advance: Callable[[int], None]) -> Sums:
    """The sums over a trial's pairs, block by block."""
    sizes = experiment.sizes
    pairs, (features, x, of_noise) = sizes.n * int(sizes.m), _begun(key, experiment)
    total = Sums.none(sizes.p, sizes.d, experiment.noising.h.dtype)
    for start in range(0, pairs, BLOCK_ROWS):
        size = min(BLOCK_ROWS, pairs - start)
        about = of_noise, features, x, start, size, experiment.denoising
        total = jax.block_until_ready(_added(total, *about))
        advance(size)
    return total


@jax.jit
def _begun(key, experiment: Experiment):
    return experiment.network(experiment.draw(key))


_added = jax.jit(added, static_argnames="size", donate_argnames="total")
_finished = jax.jit(_measured)
_all_errors = jax.jit(_errors)


@partial(jax.jit, static_argnames="memory")
def _trials(keys, experiment: Experiment, shared, memory: float):
    measured = partial(_measured, experiment=experiment, shared=shared)
    return _each(measured, keys, experiment, experiment.networks, memory)
