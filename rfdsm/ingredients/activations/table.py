r"""Gaussian constants of a function without closed form: quadrature once, then a table.

At preactivation scale Γ, for two noisy copies of one point with correlation r = cos θ and
c_k = E ϱ(Γg) He_k(g)/√k! (docs/theory.md section 3),

    μ0 = c_0,   b = c_1/Γ,   T = Σ_{k≥2} c_k²,   v² = Σ_{k≥2} c_k² r^k,   s² = T - v²

`build` runs on the host in NumPy; `evaluate` reads the table in JAX. The table has uniform
cells in x = (Γ + 1/4)^{1/8} and y = (chord + 1/16)^{1/8}, chord = 2 sin(θ/2) = √(2(1-r)),
which stretch small Γ and small θ and cost square roots only, and in each a polynomial of
total degree 9. One plane is stored: s²/(1-r) in the cells of small θ, v²/r^q in the others
(q = 2, or 3 for an odd ϱ); the one that is not stored is the difference from T, which loses
nothing there. Both, and T, are divided by the power of Γ with which they vanish at small Γ,
so that small constants are relatively accurate too.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import chebyshev

from ..._numerics.linalg import one_thread
from .quadrature import (
    BLOCK,
    COARSE,
    FINE,
    HostFunction,
    double_integral,
    hermite_spectrum,
)

# The table: 44 x 26 cells of degree 9 leave 1e-14 of tanh's constants from Γ = 0.1 up.
GAMMA_MAX = 16.0
FROM_GAMMA, FROM_CHORD, ROOT = 1 / 4, 1 / 16, 1 / 8
X_MAX = (GAMMA_MAX + FROM_GAMMA) ** ROOT - FROM_GAMMA**ROOT
Y_MAX = (math.sqrt(2) + FROM_CHORD) ** ROOT - FROM_CHORD**ROOT
X_CELLS, Y_CELLS = 44, 26
FRESH_CELLS = 20  # cells in y that hold s² (θ < 0.74, r > 0.74); the others hold v²
DEGREE = 9
TERMS = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]

# Quadrature happens at Chebyshev nodes of larger panels, and is resampled to the cells.
X_PANELS, X_NODES = 22, 14
DOUBLE_CELLS = 6  # cells in y (θ < 0.084) where kinked functions need a double integral
DOUBLE_PANELS, DOUBLE_NODES = 2, 10

JUMP = 1e-5  # a larger step across a kink is a discontinuity
SAFETY = 4.0  # of the error bound over the error measured at some points
CHUNK = 16_384  # points per call of a JAX function: one shape, so one compilation


class Powers(NamedTuple):
    """What the stored numbers are divided by.

    Attributes:
        gamma: power of Γ at small Γ in v², s² and T.
        shared: q, the power of r in v².
        jumps: whether ϱ is discontinuous: s² is then O(√(1-r)) and b is O(1/Γ).
    """

    gamma: int
    shared: int
    jumps: bool


class Table(NamedTuple):
    """One function's constants, as host arrays.

    Attributes:
        plane: s² or v², scaled: cells (x, y) in one axis, in each the monomials `TERMS`.
        lines: μ0, b, T, scaled: cells x, in each three polynomials in x in one axis.
        error: bound on the absolute error of μ0, b, v² and s² in each cell of x.
        powers: the scaling.
    """

    plane: np.ndarray
    lines: np.ndarray
    error: np.ndarray
    powers: Powers


# In JAX.


def evaluate(table: Table, gamma2: Any, r: Any, one_minus_r: Any) -> tuple[Any, ...]:
    """(μ0, b, v², s², error) in JAX; NaN with an infinite error beyond `GAMMA_MAX`.

    Args:
        gamma2: Γ² > 0; r: shared/Γ² in [0, 1); one_minus_r: fresh/Γ²; all of one shape.
    """
    gamma = jnp.sqrt(gamma2)
    chord = jnp.sqrt(2 * one_minus_r)
    i, u = _locate(gamma, FROM_GAMMA, X_MAX, X_CELLS)
    j, v = _locate(chord, FROM_CHORD, Y_MAX, Y_CELLS)

    (stored,) = _polynomials(table.plane[None], TERMS)(i * Y_CELLS + j, u, v)
    lines = np.split(table.lines[None], 3, axis=-1)
    of_lines = (_polynomials(line, TERMS[: DEGREE + 1])(i, 0.0, u) for line in lines)
    mean, slope, total = (value for (value,) in of_lines)

    # Every polynomial ends in a division: XLA duplicates cheap operations into each of their
    # users, divisions not, and then runs each polynomial as one loop. (Ten times faster.)
    powers = table.powers
    growth = gamma**powers.gamma
    total = growth * (total / (1 + gamma) ** (powers.gamma + 1))
    stored = growth * (stored / (1 + gamma) ** (powers.gamma + 1))
    fresh = stored * (jnp.sqrt(one_minus_r) if powers.jumps else one_minus_r)
    shared = stored * r**powers.shared
    holds_fresh = j < FRESH_CELLS

    inside = gamma <= GAMMA_MAX
    one = jnp.where(inside, 1.0, jnp.nan)  # not in a where: NaN derivatives in both modes
    return (
        mean / one,
        slope / ((gamma if powers.jumps else 1 + gamma) * one),
        jnp.where(holds_fresh, total - fresh, shared) / one,
        jnp.where(holds_fresh, fresh, total - shared) / one,
        jnp.where(inside, _take_alone(table.error[:, None], i, 0, gamma.dtype), jnp.inf),
    )


def on_host(function: Callable) -> HostFunction:
    """An elementwise JAX function for NumPy arrays, also while JAX traces something else."""
    compiled = jax.jit(function)

    def evaluate_on_host(x):
        chunks = np.zeros((-(-x.size // CHUNK), CHUNK))
        chunks.flat[: x.size] = x.flat
        with jax.ensure_compile_time_eval():
            for chunk in chunks:
                chunk[:] = compiled(chunk)
        return chunks.ravel()[: x.size].reshape(x.shape)

    return evaluate_on_host


def _locate(scale, start, end, cells):
    """The cell of a coordinate in [0, end], and the place in it, in [-1, 1]."""
    coordinate = jnp.sqrt(jnp.sqrt(jnp.sqrt(scale + start))) - start**ROOT
    position = coordinate * (cells / end)
    cell = jnp.clip(jnp.floor(position), 0, cells - 1)
    return cell.astype(jnp.int32), 2 * (position - cell) - 1


def _polynomials(tables: np.ndarray, terms: list[tuple[int, int]]) -> Callable:
    """The cells' polynomials of some tables, as a function (cell, u, v) -> (tables,).

    Their derivatives are polynomials too, of tables of their own: transforming the sums would
    store all that is on their way.

    Args:
        tables: (tables, cells, terms). terms: the powers (m, n) of u and v, sorted.
    """
    count, cells, _ = tables.shape
    rows = tables.reshape(-1, len(terms))
    column = {term: k for k, term in enumerate(terms)}

    @jax.custom_jvp
    def values(cell, u, v):
        def of_one(cell):
            # Coefficients one by one: XLA fuses such gathers into one loop.
            take = _take if terms[-1][0] else _take_alone
            term = {key: take(rows, cell, k, v.dtype) for key, k in column.items()}
            by_u = itertools.groupby(terms, key=lambda key: key[0])
            return _horner([_horner([term[key] for key in keys], v) for _, keys in by_u], u)

        if count == 1:
            return of_one(cell)[None]
        # One after another: XLA would make one loop of all of them and of what follows, too
        # large to be fused.
        return jax.lax.map(
            lambda k: of_one(cell + cells * k), jnp.arange(count, dtype=cell.dtype)
        )

    @values.defjvp
    def derivative(primals, tangents):
        by_u, by_v = np.zeros_like(tables), np.zeros_like(tables)
        for (m, n), k in column.items():
            if m:
                by_u[..., column[m - 1, n]] = m * tables[..., k]
            if n:
                by_v[..., column[m, n - 1]] = n * tables[..., k]
        slopes = [by_u, by_v][terms[-1] == (0, len(terms) - 1) :]  # none in u of a line
        of_all = _polynomials(np.concatenate([tables, *slopes]), terms)(*primals)
        found, *slopes = jnp.split(of_all, 1 + len(slopes))
        changes = zip(slopes, tangents[-len(slopes) :], strict=True)
        return found, sum(slope * tangent for slope, tangent in changes)

    return values


def _take(rows: np.ndarray, row, column: int, dtype):
    """rows[row, column], with one address for all columns of a row: half the time."""
    where = jnp.stack([row, jnp.full_like(row, column)])
    scalar = jax.lax.GatherDimensionNumbers((), (0, 1), (0, 1))
    rows = jnp.asarray(rows, dtype)
    return jax.lax.gather(rows, where, scalar, (1, 1), mode="promise_in_bounds")


def _take_alone(rows: np.ndarray, row, column: int, dtype):
    """The same from an array of that column, which is faster where few rows are read."""
    values = jnp.asarray(np.ascontiguousarray(rows[:, column]), dtype)
    return values.at[row].get(mode="promise_in_bounds")


def _horner(coefficients, t):
    total = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * t + coefficient
    return total


# On the host.


def build(function: HostFunction, kinks: tuple[float, ...] = ()) -> Table:
    r"""The table of an elementwise function, and its measured error.

    Hermite coefficients come from Gauss-Legendre panels split at the kinks. With kinks
    c_k² decays so slowly that at small θ another formula takes the place of the series,

        s² = E_g Var_z ϱ̃(√r g + √(1-r) z),   ϱ̃(g) = ϱ(Γg) - b Γ g

    The error bound holds the table against a finer quadrature between its nodes, and adds
    what the series and the range of integration leave out: a kink that was not declared
    shows. Where the function overflows, the constants are NaN and the bound is infinite.

    Args:
        function: ϱ, elementwise on NumPy arrays.
        kinks: where ϱ or its derivative jumps, increasing.
    """
    with np.errstate(all="ignore"), one_thread():
        gamma = _gamma(_nodes(X_PANELS, X_NODES) * X_MAX)
        small = _nodes(DOUBLE_PANELS, DOUBLE_NODES) * DOUBLE_CELLS / Y_CELLS
        large = _nodes(Y_CELLS, DEGREE + 1)[DOUBLE_CELLS * (DEGREE + 1) :]
        theta = _theta(np.concatenate([small, large]) * Y_MAX)
        spectrum = hermite_spectrum(function, kinks, gamma, COARSE)
        powers = _powers(function, kinks, spectrum)
        values = _values(function, kinks, spectrum, theta, COARSE)
        plane, lines = map(np.divide, values, _scales(powers, gamma, theta))
        small, large = np.split(plane.T, [len(small)])
        small = _resample(small, DOUBLE_PANELS, DOUBLE_NODES, DOUBLE_CELLS)
        plane = np.concatenate([small, large]).T
        plane = _fit_plane(_resample(plane, X_PANELS, X_NODES, X_CELLS))
        lines = _fit_lines(_resample(lines, X_PANELS, X_NODES, X_CELLS))
        error = _error_bound(function, kinks, plane, lines, powers)
        return Table(plane.reshape(-1, len(TERMS)), lines.reshape(X_CELLS, -1), error, powers)


# Coordinates, and polynomials through values at Chebyshev nodes.


def _gamma(x):
    return (x + FROM_GAMMA**ROOT) ** (1 / ROOT) - FROM_GAMMA


def _theta(y):
    return 2 * np.arcsin(((y + FROM_CHORD**ROOT) ** (1 / ROOT) - FROM_CHORD) / 2)


FRESH_THETA = _theta(FRESH_CELLS / Y_CELLS * Y_MAX)
DOUBLE_THETA = _theta(DOUBLE_CELLS / Y_CELLS * Y_MAX)


def _chebyshev_nodes(count):
    return -np.cos(np.pi * (np.arange(count) + 0.5) / count)


def _chebyshev_transform(count):
    """Matrix from values at Chebyshev nodes to coefficients of Chebyshev polynomials."""
    return np.linalg.inv(chebyshev.chebvander(_chebyshev_nodes(count), count - 1))


def _nodes(panels, count):
    """Chebyshev nodes of each of the equal panels of [0, 1], in order."""
    return ((np.arange(panels)[:, None] + (1 + _chebyshev_nodes(count)) / 2) / panels).ravel()


def _resample(values, panels, count, cells):
    """Values along axis 0 at the nodes of panels, taken to the nodes of the cells."""
    inside = 2 * _nodes(cells // panels, DEGREE + 1) - 1
    matrix = chebyshev.chebvander(inside, count - 1) @ _chebyshev_transform(count)
    # Panel by panel: NaN in one must not spread to the others.
    return (matrix @ values.reshape(panels, count, -1)).reshape(cells * (DEGREE + 1), -1)


def _monomials():
    """Matrix whose column k holds the monomials of the Chebyshev polynomial T_k."""
    columns = (chebyshev.cheb2poly(row[: k + 1]) for k, row in enumerate(np.eye(DEGREE + 1)))
    return np.stack([np.pad(c, (0, DEGREE + 1 - len(c))) for c in columns], axis=1)


def _fit_lines(values):
    """Monomials (cells, lines, powers of x) from values (nodes of the cells, lines)."""
    values = values.reshape(X_CELLS, DEGREE + 1, -1)
    fit = _monomials() @ _chebyshev_transform(DEGREE + 1)
    return np.swapaxes(fit @ values, 1, 2)


def _fit_plane(values):
    """Monomials (x cells, y cells, `TERMS`) from values at the nodes of the cells."""
    values = values.reshape(X_CELLS, DEGREE + 1, Y_CELLS, DEGREE + 1).swapaxes(1, 2)
    transform, monomials = _chebyshev_transform(DEGREE + 1), _monomials()
    fitted = transform @ values @ transform.T
    # Cut off as Chebyshev polynomials, which is nearly the best fit of that total degree.
    fitted *= np.add.outer(np.arange(DEGREE + 1), np.arange(DEGREE + 1)) <= DEGREE
    fitted = monomials @ fitted @ monomials.T
    return fitted[:, :, *np.transpose(TERMS)]


# What is stored, and how it is scaled.


def _values(function, kinks, spectrum, theta, rule):
    """s² where θ < `FRESH_THETA` and v² elsewhere, shape (Γ, θ); and (μ0, b, T), (Γ, 3)."""
    fresh, double = theta < FRESH_THETA, theta < DOUBLE_THETA
    log_r = np.log1p(-2 * np.sin(theta / 2) ** 2)
    squares = spectrum.coefficients**2
    k = np.arange(squares.shape[1])
    plane = np.empty((len(squares), len(theta)))
    plane[:, fresh] = squares @ -np.expm1(np.outer(k, log_r[fresh]))
    plane[:, fresh] += np.outer(spectrum.tail, -np.expm1(len(k) * log_r[fresh]))
    low = k[:BLOCK]  # r^256 < 1e-28
    plane[:, ~fresh] = squares[:, low] @ np.exp(np.outer(low, log_r[~fresh]))
    plane[~np.isfinite(spectrum.total)] = np.nan
    if kinks:
        plane[:, double] = double_integral(function, kinks, spectrum, theta[double], rule)
    slope = spectrum.slope / spectrum.gamma
    return plane, np.stack([spectrum.mean, slope, spectrum.total], axis=1)


def _scales(powers, gamma, theta):
    """What `_values` are divided by."""
    omega = 2 * np.sin(theta / 2) ** 2  # 1 - r
    fresh = np.sqrt(omega) if powers.jumps else omega
    in_theta = np.where(theta < FRESH_THETA, fresh, np.cos(theta) ** powers.shared)
    in_gamma = gamma**powers.gamma / (1 + gamma) ** (powers.gamma + 1)
    slope = 1 / (gamma if powers.jumps else 1 + gamma)
    return np.outer(in_gamma, in_theta), np.stack(
        [np.ones_like(gamma), slope, in_gamma], axis=1
    )


def _powers(function, kinks, spectrum) -> Powers:
    # The power of Γ with which T vanishes at small Γ, between 0 and 6.
    low, high = np.searchsorted(spectrum.gamma, (0.02, 0.04))
    ratio = spectrum.total[high] / spectrum.total[low]
    slope = np.log(ratio) / np.log(spectrum.gamma[high] / spectrum.gamma[low])
    # T of 1e-24 E ϱ² is rounding, as for a function that is linear near 0.
    seen = spectrum.total[low] > 1e-24 * spectrum.slope[low] ** 2 and np.isfinite(slope)
    vanishing = int(np.clip(np.rint(slope), 0, 6)) if seen else 0
    # 2, or 3 where c_2 vanishes, as it does for an odd function.
    rows = (spectrum.gamma > 0.5) & np.isfinite(spectrum.total)
    second = spectrum.coefficients[rows, 2] ** 2
    lowest = 3 if np.all(second <= 1e-24 * spectrum.total[rows]) else 2
    places = np.array(kinks)
    near = 1e-9 * np.maximum(np.abs(places), 1)
    jumps = np.any(np.abs(function(places + near) - function(places - near)) > JUMP)
    return Powers(vanishing, lowest, bool(jumps))


# The error.


def _error_bound(function, kinks, plane, lines, powers):
    """Bound on the absolute error in each cell of x, from two scales Γ in each."""
    places = np.array([-0.95, 0.95])  # near the ends of a cell, where a fit is worst
    x = (np.arange(X_CELLS)[:, None] + (1 + places) / 2).ravel() / X_CELLS * X_MAX
    y = (np.arange(Y_CELLS) + (1 + places[1]) / 2) / Y_CELLS * Y_MAX
    gamma, theta = _gamma(x), _theta(y)
    spectrum = hermite_spectrum(function, kinks, gamma, FINE)

    u = places[:, None] ** np.arange(DEGREE + 1)
    v = places[1] ** np.arange(DEGREE + 1)
    terms = np.array([u[:, m] * v[n] for m, n in TERMS])
    plane = np.swapaxes(plane @ terms, 1, 2).reshape(len(gamma), len(theta))
    lines = np.swapaxes(lines @ u.T, 1, 2).reshape(len(gamma), 3)
    exact_plane, exact_lines = _values(function, kinks, spectrum, theta, FINE)
    plane_scale, line_scale = _scales(powers, gamma, theta)

    off_plane = np.abs(plane * plane_scale - exact_plane)
    off_lines = np.abs(lines * line_scale - exact_lines)
    off_total = off_lines[:, 2]  # v² or s² is the difference from T
    error = np.maximum(np.max(off_plane, axis=1) + off_total, np.max(off_lines, axis=1))
    rounding = 8 * np.finfo(float).eps * np.max(np.abs(exact_lines), axis=1)
    error = SAFETY * error + spectrum.outermost + rounding
    if not kinks:
        error = error + spectrum.tail
    error = np.max(error.reshape(X_CELLS, 2), axis=1)
    # A lucky cell is as bad as its neighbours.
    error = np.maximum(error, np.maximum(np.append(error[1:], 0), np.append(0, error[:-1])))
    return np.where(np.isfinite(error), error, np.inf)
