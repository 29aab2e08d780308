r"""The spectrum of U = (1/N) Σ f f^T for d, n, p → ∞ (docs/theory.md section 7).

With q(λ) = (1/p) tr (U+λ)^{-1}, the density of eigenvalues at x is -(1/π) Im q(-x + i0), from
the equations on the axis itself: nothing is broadened. Eigenvalues are O(1), up to ψ_p for the
largest where p >> d.
"""

from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._numerics.derivatives import clipped
from .._numerics.promotion import mixed
from ..errors import warn
from ..parameters.checks import is_traced
from . import branch
from .averaged import AveragedEquations
from .equivalent import solve_turning

LEAST = 1e-14  # x at which the density at 0 is taken
SOLVED = 1e-8  # mismatch; at an edge, a double root, convergence is slow
REAL = 1e-6  # |Im q|/|q| below which q counts as real
GRID = 2000  # points on which bulks are looked for
FINEST = 32 * GRID
DECADES = 12  # below the largest eigenvalue
HALVINGS = 48  # of an interval with an edge
NODES = 1024  # of the quadrature over a bulk
NOTABLE = 1e-6  # missing mass that is worth a warning
MISSING = 1e-9  # mass that may be missing before bulks are looked for on a finer grid


class Atom(NamedTuple):
    """Eigenvalues in one place: a share `mass` of all p at `position`; mass 0 for none."""

    position: Float[Array, ""]
    mass: Float[Array, ""]


@jax.jit
@mixed
def density(equations: AveragedEquations, u, x: Float[Array, " points"]):
    """The density of eigenvalues at x, without the atom, shape (points,); NaN if unsolved."""

    def solved(carefully):
        def at(x):
            state, _, ok = _on_axis(equations, u, clipped(x, LEAST, jnp.inf), carefully)
            inside = -state.q.imag > REAL * jnp.abs(state.q)
            value = jnp.where(inside, -state.q.imag / jnp.pi, 0.0)
            return jnp.where(x < 0, 0.0, value * jnp.where(ok, 1.0, jnp.nan))

        return jax.vmap(at)(x)

    values = solved(carefully=False)
    return jax.lax.cond(
        jnp.any(jnp.isnan(values)), lambda: solved(carefully=True), lambda: values
    )


@mixed
def ends_under(equations: AveragedEquations, u, x: Float[Array, ""]) -> Bool[Array, ""]:
    """Whether every eigenvalue is under x.

    There, and not in a gap between bulks, all unknowns are negative and i0, i1 and D positive:
    so it was at 610 points beside and between the bulks of 60 random spectra.
    """
    state, unknowns, ok = _on_axis(equations, u, x)
    outside = reduce(
        jnp.logical_and, ((X.real < 0) & (jnp.abs(X.imag) < REAL * -X.real) for X in unknowns)
    )
    positive = (state.i0.real > 0) & (state.i1.real > 0) & jnp.all(state.D.real > 0)
    return ok & outside & positive


def atom(equations: AveragedEquations, u) -> Atom:
    """The eigenvalues that are all the same.

    A space on which nothing was measured: at m < ∞ beyond the n m pairs, at 0; at m = ∞ beyond
    the span of W (d dimensions) and the n points' own features, at s².
    """
    tiny = 1e-30 * (equations.linear_noise + equations.shared + equations.fresh)
    linear = jnp.where(equations.linear_noise > tiny, 1.0, 0.0)
    shared = jnp.where(equations.shared > tiny, equations.psi_n, 0.0)
    pairs = equations.psi_n / jnp.where(u > 0, u, 1.0)
    nonlinear = equations.shared + equations.fresh > tiny
    rank = jnp.where(
        u > 0, jnp.where(nonlinear, pairs, jnp.minimum(pairs, linear)), linear + shared
    )
    mass = jnp.maximum(1 - rank / equations.psi_p, 0.0)
    fresh = jnp.where(equations.fresh > tiny, equations.fresh, 0.0)
    return Atom(jnp.where(u > 0, 0.0, fresh), mass)


def bound(equations: AveragedEquations, u) -> Float[Array, ""]:
    """Above every eigenvalue (docs/theory.md section 6)."""
    per_point = 1 / jnp.sqrt(equations.psi_n)
    per_pair = jnp.sqrt(u / equations.psi_n)
    largest = jnp.max(equations.eigenvalues)
    p = jnp.sqrt(equations.psi_p)
    data = jnp.sqrt(equations.linear_data * largest) * (1 + per_point)
    noise = jnp.sqrt(equations.linear_noise) * (1 + per_pair)
    shared = jnp.sqrt(equations.shared) * (1 + p * per_point)
    fresh = jnp.sqrt(equations.fresh) * (1 + p * per_pair)
    return ((1 + p) * (data + noise) + shared + fresh) ** 2


def edges(equations: AveragedEquations, u) -> np.ndarray:
    """The ends of each bulk, ascending, shape (bulks, 2), to about 1e-10 relatively.

    Bulks are looked for on a logarithmic grid over 12 decades above `floor`, which is refined
    until their mass and the atom's are 1. A bulk that goes on below it begins at the floor.

    Warns:
        UserWarning: some mass was not found: a bulk is too narrow.
    """
    if is_traced(equations, u):
        raise ValueError("edges needs concrete numbers: call it outside of jit and grad.")
    points = GRID
    while True:
        above = np.geomspace(_least(equations, u), 1.01 * float(bound(equations, u)), points)
        ends = _ends(equations, u, above)
        mass = sum(bulk_masses(equations, u, ends)) + float(atom(equations, u).mass)
        if abs(mass - 1) <= MISSING or points >= FINEST:
            break
        points *= 4
    if abs(mass - 1) > NOTABLE:
        warn(f"the bulks found hold {mass:.6f} of all eigenvalues: others are too narrow.")
    return ends


def bulk_masses(equations: AveragedEquations, u, ends: np.ndarray) -> np.ndarray:
    """The share of all eigenvalues in each bulk."""
    # In θ, log(x - floor) = middle - half cos θ, the edges' square roots are smooth.
    theta = (np.arange(NODES) + 0.5) * np.pi / NODES
    least, masses = _least(equations, u), []
    for low, high in ends - floor(equations, u):
        low, rest = max(low, least), low < least
        middle, half = np.log(low * high) / 2, np.log(high / low) / 2
        above = np.exp(middle - half * np.cos(theta))
        values = np.nan_to_num(_density_above(equations, u, above))
        mass = np.sum(values * above * half * np.sin(theta)) * np.pi / NODES
        # Down to the floor the density is like 1/√(x - floor).
        masses.append(mass + (2 * above[0] * values[0] if rest else 0.0))
    return np.asarray(masses)


def floor(equations: AveragedEquations, u) -> float:
    """Under every eigenvalue: 0, at m = ∞ s², where narrow bulks may sit."""
    return float(atom(equations, u).position)


def _on_axis(equations, u, x, carefully=True):
    """(state, unknowns, whether they are a solution) at λ = -x + i0."""
    lam = jax.lax.complex(-x, jnp.zeros_like(x))
    unknowns, _ = solve_turning(equations, lam, u, carefully=carefully)
    state = equations.state(unknowns, lam, u)
    ok = (equations.mismatch(state) <= SOLVED) & branch.holds(unknowns, lam)
    return state, unknowns, ok


def _ends(equations, u, above: np.ndarray) -> np.ndarray:
    """The ends of the bulks that a grid sees, given by its distances from the floor."""
    inside = _density_above(equations, u, above) > 0  # what is not solved is on an edge
    change = np.flatnonzero(inside[1:] != inside[:-1])
    low, high = np.log(above[change]), np.log(above[change + 1])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        same = (_density_above(equations, u, np.exp(middle)) > 0) == inside[change]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    found = np.exp((low + high) / 2)
    if inside[0]:
        found = np.concatenate([[0.0], found])
    return floor(equations, u) + found.reshape(-1, 2)


def _density_above(equations, u, above: np.ndarray) -> np.ndarray:
    return np.asarray(density(equations, u, jnp.asarray(floor(equations, u) + above)))


def _least(equations, u) -> float:
    """Where the grid begins, above the floor."""
    return float(bound(equations, u)) * 10.0**-DECADES
