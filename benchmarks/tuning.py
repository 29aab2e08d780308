"""The whole search of `rfdsm.tune` against Optuna's TPE, on theory and on networks.

Problem: least score error over psi_p, m and lam with memorization_loss >= 0.8. TPE (with its
constraints, otherwise as it comes) evaluates the compiled theory, or, what one would do without
theory, the mean of two networks of d = 64 in plain NumPy and SciPy. It has reached the optimum
when its incumbent (the best feasible trial so far) is, by theory, within 1 % of it and feasible
to 1 %.
"""

import statistics
import time
from types import SimpleNamespace

import jax
import numpy as np
import optuna

import rfdsm

from . import numpy_simulation
from .figures import Figure
from .timing import median_seconds

FREE = {"psi_p": (0.1, 16.0), "m": (1.0, 16.0), "training.lam": (1e-6, 100.0)}
LEAST = 0.8  # of the memorization loss
WITHIN = 0.01
D = 64
SEEDS, MOST, MOST_NETWORKS = 5, 1500, 150


def model_of() -> rfdsm.RFDSM:
    """The benchmark's model."""
    return rfdsm.RFDSM(psi_n=4, psi_p=4, m=4, t=0.1, lam=1e-2)


def search() -> rfdsm.tuning.Tuned:
    """Ours."""
    constraint = rfdsm.at_least("memorization_loss", LEAST)
    return rfdsm.tune(model_of(), FREE, "score_error", constraint)


def tpe(errors_of, theory_of, optimum: float, seed: int, most: int) -> tuple[int, float]:
    """(evaluations, seconds) of TPE until it is as good; most + 1 evaluations where never."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    best = float("inf")
    start, judged = time.perf_counter(), 0.0
    for number in range(1, most + 1):
        trial = study.ask()
        low, high = FREE["m"]
        numbers = {
            name: trial.suggest_float(name, *FREE[name], log=True)
            for name in ("psi_p", "training.lam")
        }
        numbers["m"] = trial.suggest_int("m", int(low), int(high), log=True)
        errors = errors_of(numbers, number)
        broken = LEAST - errors.memorization_loss
        trial.set_constraint("memorization", float(broken))
        value = float(errors.score_error)
        study.tell(trial, value)
        if broken <= 0 and value < best:
            best, before = value, time.perf_counter()
            true = theory_of(numbers)
            judged += time.perf_counter() - before
            good = true.score_error <= optimum * (1 + WITHIN)
            if good and true.memorization_loss >= LEAST * (1 - WITHIN):
                return number, time.perf_counter() - start - judged
    return most + 1, time.perf_counter() - start - judged


def run() -> list[Figure]:
    """The comparison."""
    model = model_of()
    start = time.perf_counter()
    tuned = search()
    cold = time.perf_counter() - start
    warm = median_seconds(search, 5)
    print(f"tune: {tuned.value:.6g} at {tuned.numbers}")
    print(f"  integer m: {tuned.integer.value:.6g} at {tuned.integer.numbers}")
    what = "tune, 256 starts, three free numbers, one constraint, the best integer m"
    note = f"a first one {cold:.1f} s, with compiling"

    solve = jax.jit(lambda model: model.solve().errors)

    def theory(numbers, number=0):
        return solve(model.replace(**numbers))

    def network(numbers, number):
        arguments = (4.0, numbers["psi_p"], numbers["m"], 0.1, numbers["training.lam"], 2)
        score_error, _, _, memory, _ = numpy_simulation.simulate(rng, D, *arguments)
        return SimpleNamespace(score_error=score_error.mean(), memorization_loss=memory.mean())

    theory(tuned.integer.numbers)
    rng = np.random.default_rng(0)
    figures = [Figure(what, warm, "s", note=note)]
    for name, errors_of, most, seeds in (
        ("theory", theory, MOST, SEEDS),
        (f"networks of d = {D}", network, MOST_NETWORKS, 3),
    ):
        results = [
            tpe(errors_of, theory, tuned.integer.value, seed, most) for seed in range(seeds)
        ]
        evaluations, seconds = (statistics.median(each) for each in zip(*results, strict=True))
        missed = sum(number > most for number, _ in results)
        note = (
            f"{evaluations:.0f} evaluations; {missed} of {seeds} seeds not there after {most}"
        )
        peer = f"Optuna's TPE on {name}, until within 1 %"
        figures.append(
            Figure(f"{what}: against TPE", warm, "s", peer, seconds, seconds / warm, note=note)
        )
    return figures
