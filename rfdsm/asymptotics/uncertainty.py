"""How much the error of the activation's Gaussian constants moves the results."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..errors import INDEPENDENT, Errors, NotConverged, Solution, Status, codes, warn
from ..parameters.checks import is_traced
from .problem import Problem
from .solution import solve

NEGLIGIBLE = 1e-12  # an error of the constants that is rounding
CONSTANTS_SHOW = 1e-6  # share of an error that the constants' error may move unmentioned


class _Shifted(eqx.Module):
    """An activation whose constants b, v² and s² are off by `shift`."""

    activation: Any
    shift: Float[Array, "3"]

    def constants(self, shared, fresh):
        exact = self.activation.constants(shared, fresh)
        b, v2, s2 = self.shift
        return dataclasses.replace(exact, b=exact.b + b, v2=exact.v2 + v2, s2=exact.s2 + s2)


def errors_of(solution: Solution, problem: Problem, moments: Any) -> Errors:
    """The errors of a solution, if it is a success or traced.

    Raises:
        NotConverged: it is not.

    Warns:
        UserWarning: the constants of the activation are so inaccurate that it shows.
    """
    require_success(solution, problem)
    if moments is None and not is_traced(solution):
        _warn_if_constants_show(solution, problem)
    return solution.errors


def require_success(found: Any, problem: Problem) -> None:
    """Raise where a concrete `status` is not success.

    Raises:
        NotConverged: it is not.
    """
    if is_traced(found):
        return
    failed = np.ravel(codes(found.status) != codes(Status.success))
    if failed.any():
        first = Status(np.ravel(codes(found.status))[np.argmax(failed)])
        u = float(problem.inverse_m)
        m = 1 / u if u > 0 else math.inf
        ratios = f"psi_n = {problem.psi_n:.6g}, psi_p = {problem.psi_p:.6g}, m = {m:.6g}"
        raise NotConverged(f"{Status[first]} ({ratios})")


def _warn_if_constants_show(solution: Solution, problem: Problem) -> None:
    if np.all(np.asarray(solution.constants_error) < NEGLIGIBLE):
        return
    moved = constants_uncertainty(solution.errors, problem)

    def share(name):
        size = jnp.maximum(jnp.abs(getattr(solution.errors, name)), 1)
        return float(jnp.max(getattr(moved, name) / size))

    name = max(INDEPENDENT, key=share)
    if not share(name) <= CONSTANTS_SHOW:
        warn(
            f"the activation's constants are good to {solution.constants_error:.1e} only, "
            f"which moves {name} by about {jnp.max(getattr(moved, name)):.1e}: declare where "
            "the function or its slope jumps (kinks=...), or rescale the preactivations."
        )


@jax.jit
def constants_uncertainty(errors: Errors, problem: Problem) -> Errors:
    """How far each of `solve`'s errors moves with each constant's own error bound, summed."""
    bound = problem.constants().error
    total = jax.tree.map(jnp.zeros_like, errors)
    for shift in jnp.eye(3) * bound:
        shifted = _Shifted(problem.activation, shift)
        moved = solve(dataclasses.replace(problem, activation=shifted)).errors
        total = jax.tree.map(lambda t, x, y: t + jnp.abs(x - y), total, moved, errors)
    return total
