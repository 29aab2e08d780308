"""`tune`: the best free numbers of a model under constraints, by gradients of the theory."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..errors import NEED_SHARED, NEED_TRUE_SCORE
from ..ingredients.cross_moments import CrossMoments
from ..ingredients.moments import Moments
from ..model import RFDSM
from ..parameters.checks import is_traced, positive_integer
from ..progress import Progress, Report, silent
from . import goals, roads
from .goals import Constraint, Goal
from .outcome import Tuned, tuned
from .problem import Problem
from .search import solve, spread
from .variables import free_variables


def tune(
    model: RFDSM,
    free: Mapping[str, Any] | Sequence[str],
    objective: str | Callable = "score_error",
    subject_to: Any = (),
    budget: Any = None,
    starts: int = 256,
    optimizer: Any = None,
    moments: Moments | CrossMoments | Sequence[Moments] | None = None,
    *,
    report: Report = silent,
) -> Tuned:
    r"""The free numbers at which the objective is least and the constraints hold.

    Of `starts` points spread over the bounds (the model's own is one of them) the best that are
    apart from each other are followed by SciPy's SLSQP on exact gradients of the theory, and
    Newton's steps end it; see `tuning.descent`. One compiled program serves all evaluations;
    a start that cannot be solved drops out.

    Args:
        model: the problem; numbers that are not free stay as they are.
        free: names (psi_n, psi_p, m, process.t or t, training.lam or lam, training.tau or tau,
            target.angle or angle, ...) with bounds (low, high), or None for the usual ones; m,
            and networks of an `Ensemble`, may reach to infinity. Positive numbers are searched
            in their logarithm, m and networks in their inverse.
        objective: the name of an error, or a function of the model that returns one number
            (`over_times`, or your own). Between targets score_error compares, and noise_loss,
            the test loss of the noise that the output implies.
        subject_to: `at_least`, `at_most`, or functions of the model that must not be negative.
        budget: costs that must not be exceeded: {"samples": 32.0} (psi_n m), "parameters"
            (psi_p), "flops" (of the fit, over d³), each of all networks of an `Ensemble`: what
            they share counts once; or (function, bound).
        starts: how many.
        optimizer: an optax transformation whose steps, in coordinates of the unit box, move
            first; None: SLSQP alone.
        moments: measured moments in place of the Gaussian theory: psi_n, m and the training
            rule may then be free. Moments of several widths, a list, make psi_p free between
            them (`tuning.roads` says how it is interpolated); of an `Ensemble` without its
            features shared `CrossMoments`, of one width. Starts are then the best optima
            of the Gaussian theory, since a solve is dear.
        report: called with `Progress`.

    Raises:
        ValueError: bad input, in one line; `Infeasible`, no feasible point was found: which
            constraint stands in the way, and the closest value reached.

    Example:
        >>> import rfdsm
        >>> model = rfdsm.RFDSM(psi_n=8, psi_p=16, m=4, t=0.1, lam=1e-3)
        >>> best = rfdsm.tune(model, {"lam": (1e-8, 10)}, "test_loss", starts=16)
        >>> print(f"{best.model.training.lam:.3f} {best.value:.4f}")
        1.398 0.8469
    """
    problem = problem_of(model, free, objective, subject_to, budget, optimizer, moments)
    starts = positive_integer(starts, "starts")
    points = spread(problem.variables, model, starts)
    found = solve(problem, problem.bounds, points, report)
    if problem.road is not None:  # what follows takes long
        at = ", ".join(f"{name} = {x:.4g}" for name, x in found[0].numbers.items())
        report(Progress(f"least {problem.objective.words} {found[0].value:.6g} at {at}"))
    return tuned(problem, found, starts, report, moments)


def problem_of(
    model: RFDSM,
    free: Mapping[str, Any] | Sequence[str],
    objective: str | Callable,
    subject_to: Any = (),
    budget: Any = None,
    optimizer: Any = None,
    moments: Moments | CrossMoments | Sequence[Moments] | None = None,
    last: Constraint | None = None,
) -> Problem:
    """The checked problem of a request.

    Args:
        model, free, objective, subject_to, budget, optimizer, moments: as of `tune`.
        last: one more constraint, after all others.

    Raises:
        ValueError, TypeError: as `tune`.
    """
    if is_traced(model):
        raise ValueError("tune needs a concrete model: call it outside of jit, vmap and grad.")
    road, arguments, of_one = None, (), moments
    if isinstance(moments, Moments | CrossMoments):
        road, arguments = roads.measured, (moments,)
    elif moments is not None:
        of_one = tuple(moments)
        road, arguments = roads.interpolated, (roads.widths(of_one),)
    variables = free_variables(model, free, of_one)
    if isinstance(moments, Moments | CrossMoments):
        model.solve(moments=moments)  # refuses what does not fit the measurement
    goal, constraints = goals.objective(objective), goals.constraints(subject_to, budget)
    constraints += () if last is None else (last,)
    for each in (goal, *(c.goal for c in constraints)):
        _require_shared(model, each)
    if moments is not None:
        for each in (goal, *(c.goal for c in constraints)):
            _require_known(each)
    if optimizer is not None and not hasattr(optimizer, "update"):
        raise TypeError(f"optimizer must be an optax transformation, got {optimizer!r}.")
    problem = Problem(model, variables, goal, constraints, road, arguments, optimizer)
    for what, each in (("objective", goal), *(("constraint", c.goal) for c in constraints)):
        if isinstance(each.function, goals.OverTimes):
            each.function.require(model)
        if each.function is not None:
            _require_number(problem, what, each)
        if each.in_units:
            _require_one_unit(problem, each)
    return problem


def _require_known(goal: Goal) -> None:
    if goal.function is None and goal.what in NEED_TRUE_SCORE:
        raise ValueError(
            f"{goal.what} is not known with measured moments (the true score of the data is "
            "not): take noise_loss, of which h score_error is the part above a constant."
        )
    if isinstance(goal.function, goals.OverTimes):
        raise ValueError("over_times needs other times than the moments were measured at.")


def _require_shared(model: RFDSM, goal: Goal) -> None:
    if not model.ensemble.knows(goal.error):
        raise ValueError(
            f"{goal.error} is not known of networks that share {model.ensemble.shared}: take "
            f"test_loss, or share their {NEED_SHARED[goal.error]} in Ensemble(..., share=...)."
        )


def _require_one_unit(problem: Problem, goal: Goal) -> None:
    """Refuse a loss of τ = c_x x + c_z z where c_x and c_z move with what is free."""

    def combination(z):
        model = problem.variables.place(problem.model, z)
        parts = model.target.combination(model.process)
        return jnp.stack([jnp.asarray(part, z.dtype) for part in parts])

    names = problem.variables.names
    if not any(name.startswith(("process.", "target.")) for name in names):
        return  # of which alone c_x and c_z are made
    slopes = jax.jit(jax.jacfwd(combination))(jnp.full(len(names), 0.5))
    for name, column in zip(names, slopes.T, strict=True):
        if jnp.any(column != 0):
            raise ValueError(
                f"{goal.error} is in units that the free {name} changes: take score_error or "
                "noise_loss, or of another loss a function with model.noise_loss(loss)."
            )


def _require_number(problem: Problem, what: str, goal: Goal) -> None:
    z = jnp.full(len(problem.variables.names), 0.5)
    try:
        result = jax.eval_shape(lambda z: goal.value(problem.point(z)), z)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
        raise ValueError(
            f"the {what} {goal.label} needs concrete numbers, and is traced: write it with "
            "jax.numpy, without if, float() or simulate."
        ) from None
    shape = getattr(result, "shape", None)
    if shape != () or not jnp.issubdtype(result.dtype, jnp.floating):
        told = f"shape {shape}" if shape is not None else type(result).__name__
        if shape == ():
            told = str(result.dtype)
        raise ValueError(f"the {what} {goal.label} must return one real number, got {told}.")
