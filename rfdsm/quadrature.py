r"""Gaussian constants of a function without closed form: quadrature once, then a table.

At preactivation scale Γ, for two noisy copies of one point with correlation r = cos θ and
c_k = E ϱ(Γg) He_k(g)/√k! (THEORY.md section 3),

    μ0 = c_0,   b = c_1/Γ,   T = Σ_{k≥2} c_k²,   v² = Σ_{k≥2} c_k² r^k,   s² = T - v²

`build` runs on the host in NumPy; `evaluate` reads the table in JAX. The table has uniform
cells in x = log1p(4Γ) and y = asinh(16θ), which stretch small Γ and small θ, and in each a
polynomial of total degree 9. One plane is stored: s²/(1-r) in the cells of small θ, v²/r^q
in the others (q = 2, or 3 for an odd ϱ); the one that is not stored is the difference from
T, which loses nothing there. Both, and T, are divided by the power of Γ with which they
vanish at small Γ, so that small constants are relatively accurate too.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import chebyshev
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss

HostFunction = Callable[[np.ndarray], np.ndarray]  # elementwise, float64 to float64

# The table: 40 x 24 cells of degree 9 leave 1e-14 of tanh's constants from Γ = 0.1 up.
GAMMA_MAX = 16.0
STRETCH_GAMMA, STRETCH_ANGLE = 4.0, 16.0
X_MAX = math.log1p(STRETCH_GAMMA * GAMMA_MAX)
Y_MAX = math.asinh(STRETCH_ANGLE * math.pi / 2)
X_CELLS, Y_CELLS = 40, 24
FRESH_CELLS = 19  # cells in y that hold s² (θ < 0.70, r > 0.77); the others hold v²
DEGREE = 9
TERMS = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]

# Quadrature happens at Chebyshev nodes of larger panels, and is resampled to the cells.
X_PANELS, X_NODES = 20, 14
DOUBLE_CELLS = 6  # cells in y (θ < 0.072) where kinked functions need a double integral
DOUBLE_PANELS, DOUBLE_NODES = 2, 10

HALF_LINE = 12.0  # where the root of the Gaussian density is 1e-16
REACH = 9.0  # and the density itself 1e-18
ORDERS, BLOCK = 8192, 256  # of the Hermite series, and how many at a time
NODES = 16  # of each Gauss-Legendre panel; 64 panels resolve order 8192
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
        plane: s² or v², scaled: cells (x, y), in each the monomials `TERMS`; flat.
        lines: μ0, b, T, scaled: cells x, in each three polynomials in x; flat.
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
    theta = jnp.arctan2(jnp.sqrt(one_minus_r * (1 + r)), r)
    i, u = _locate(jnp.log1p(STRETCH_GAMMA * gamma), X_MAX, X_CELLS)
    j, v = _locate(jnp.arcsinh(STRETCH_ANGLE * theta), Y_MAX, Y_CELLS)

    # Coefficients one by one: XLA fuses such gathers into one loop without temporaries.
    plane = jnp.asarray(table.plane, gamma.dtype)
    lines = jnp.asarray(table.lines, gamma.dtype)
    error = jnp.asarray(table.error, gamma.dtype)
    cell = (i * Y_CELLS + j) * len(TERMS)
    term = {key: _take(plane, cell + k) for k, key in enumerate(TERMS)}
    by_x = [[term[m, n] for n in range(DEGREE + 1 - m)] for m in range(DEGREE + 1)]
    stored = _horner([_horner(coefficients, v) for coefficients in by_x], u)

    def line(number):
        start = (3 * i + number) * (DEGREE + 1)
        return _horner([_take(lines, start + k) for k in range(DEGREE + 1)], u)

    # Every polynomial ends in a division: XLA duplicates cheap operations into each of their
    # users, divisions not, and then runs each polynomial as one loop. (Ten times faster.)
    powers = table.powers
    growth = gamma**powers.gamma
    total = growth * (line(2) / (1 + gamma) ** (powers.gamma + 1))
    stored = growth * (stored / (1 + gamma) ** (powers.gamma + 1))
    fresh = stored * (jnp.sqrt(one_minus_r) if powers.jumps else one_minus_r)
    shared = stored * r**powers.shared
    slope = line(1) / (gamma if powers.jumps else 1 + gamma)
    holds_fresh = j < FRESH_CELLS

    inside = gamma <= GAMMA_MAX
    poison = jnp.where(inside, 1.0, jnp.nan)  # a factor: NaN derivatives in both modes
    return (
        poison * line(0),
        poison * slope,
        poison * jnp.where(holds_fresh, total - fresh, shared),
        poison * jnp.where(holds_fresh, fresh, total - shared),
        jnp.where(inside, _take(error, i), jnp.inf),
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


def _locate(coordinate, end, cells):
    """The cell of a coordinate in [0, end], and the place in it, in [-1, 1]."""
    position = coordinate * (cells / end)
    cell = jnp.clip(jnp.floor(position), 0, cells - 1)
    return cell.astype(jnp.int32), 2 * (position - cell) - 1


def _take(values, index):
    return values.at[index].get(mode="promise_in_bounds")


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
    with np.errstate(all="ignore"):
        gamma = _gamma(_nodes(X_PANELS, X_NODES) * X_MAX)
        small = _nodes(DOUBLE_PANELS, DOUBLE_NODES) * DOUBLE_CELLS / Y_CELLS
        large = _nodes(Y_CELLS, DEGREE + 1)[DOUBLE_CELLS * (DEGREE + 1) :]
        theta = _theta(np.concatenate([small, large]) * Y_MAX)
        spectrum = _spectrum(function, kinks, gamma, COARSE)
        powers = Powers(
            _vanishing_power(spectrum), _lowest_order(spectrum), _jumps(function, kinks)
        )
        plane = _plane(function, kinks, spectrum, theta, COARSE)
        plane /= _plane_scale(powers, gamma, theta)
        lines = _lines(spectrum) / _line_scale(powers, gamma)
        split = len(small)
        plane = np.concatenate(
            [
                _resample(plane[:, :split].T, DOUBLE_PANELS, DOUBLE_NODES, DOUBLE_CELLS),
                plane[:, split:].T,
            ]
        ).T
        plane = _fit_plane(_resample(plane, X_PANELS, X_NODES, X_CELLS))
        lines = _fit_lines(_resample(lines, X_PANELS, X_NODES, X_CELLS))
        error = _error_bound(function, kinks, plane, lines, powers)
        return Table(plane.ravel(), lines.ravel(), error, powers)


# Coordinates, and polynomials through values at Chebyshev nodes.


def _gamma(x):
    return np.expm1(x) / STRETCH_GAMMA


def _theta(y):
    return np.sinh(y) / STRETCH_ANGLE


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
    matrix = np.zeros((DEGREE + 1, DEGREE + 1))
    for k in range(DEGREE + 1):
        matrix[: k + 1, k] = chebyshev.cheb2poly(np.eye(DEGREE + 1)[k, : k + 1])
    return matrix


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


def _lines(spectrum):
    return np.stack([spectrum.mean, spectrum.slope / spectrum.gamma, spectrum.total], axis=1)


def _line_scale(powers, gamma):
    slope = 1 / (gamma if powers.jumps else 1 + gamma)
    return np.stack([np.ones_like(gamma), slope, _gamma_scale(powers, gamma)], axis=1)


def _plane(function, kinks, spectrum, theta, rule):
    """s² where θ < `FRESH_THETA` and v² elsewhere, shape (Γ, θ)."""
    fresh, double = theta < FRESH_THETA, theta < DOUBLE_THETA
    log_r = np.log1p(-2 * np.sin(theta / 2) ** 2)
    squares = spectrum.coefficients**2
    k = np.arange(squares.shape[1])
    plane = np.empty((len(squares), len(theta)))
    plane[:, fresh] = _product(squares, -np.expm1(np.outer(k, log_r[fresh])))
    plane[:, fresh] += np.outer(spectrum.tail, -np.expm1(len(k) * log_r[fresh]))
    low = k[:BLOCK]  # r^256 < 1e-28
    plane[:, ~fresh] = _product(squares[:, low], np.exp(np.outer(low, log_r[~fresh])))
    plane[~np.isfinite(spectrum.total)] = np.nan
    if kinks:
        plane[:, double] = _double_integral(function, kinks, spectrum, theta[double], rule)
    return plane


def _plane_scale(powers, gamma, theta):
    omega = 2 * np.sin(theta / 2) ** 2  # 1 - r
    fresh = np.sqrt(omega) if powers.jumps else omega
    in_theta = np.where(theta < FRESH_THETA, fresh, np.cos(theta) ** powers.shared)
    return np.outer(_gamma_scale(powers, gamma), in_theta)


def _gamma_scale(powers, gamma):
    return gamma**powers.gamma / (1 + gamma) ** (powers.gamma + 1)


def _vanishing_power(spectrum):
    """The power of Γ with which T vanishes at small Γ, between 0 and 6."""
    low, high = np.searchsorted(spectrum.gamma, (0.02, 0.04))
    ratio = spectrum.total[high] / spectrum.total[low]
    slope = np.log(ratio) / np.log(spectrum.gamma[high] / spectrum.gamma[low])
    # T of 1e-24 E ϱ² is rounding, as for a function that is linear near 0.
    if not spectrum.total[low] > 1e-24 * spectrum.slope[low] ** 2 or not np.isfinite(slope):
        return 0
    return int(np.clip(np.rint(slope), 0, 6))


def _lowest_order(spectrum):
    """2, or 3 where c_2 vanishes, as it does for an odd function."""
    rows = (spectrum.gamma > 0.5) & np.isfinite(spectrum.total)
    second = spectrum.coefficients[rows, 2] ** 2
    return 3 if np.all(second <= 1e-24 * spectrum.total[rows]) else 2


def _jumps(function, kinks):
    """Whether the function is discontinuous at one of its kinks."""
    places = np.array(kinks)
    near = 1e-9 * np.maximum(np.abs(places), 1)
    return bool(np.any(np.abs(function(places + near) - function(places - near)) > JUMP))


# Quadrature.


class _Rule(NamedTuple):
    """Numbers of points.

    Attributes:
        panels: Gauss-Legendre panels of the half-line.
        step: of the trapezoid rule over g, of its usual one.
        inner: Gauss-Legendre nodes of a panel over z.
        gauss: Gauss-Hermite nodes over z where no kink is near.
    """

    panels: int
    step: float
    inner: int
    gauss: int


COARSE, FINE = _Rule(64, 1.0, 12, 16), _Rule(83, 0.8, 16, 24)


class _Spectrum(NamedTuple):
    """Hermite coefficients of ϱ(Γg), one row for each Γ.

    Attributes:
        gamma: Γ; mean: c_0; slope: c_1; total: T, by quadrature of its own.
        coefficients: c_k, shape (Γ, k), with zeros for k = 0 and 1.
        tail: T less the sum of the c_k², 0 where that is rounding.
        outermost: what the last panel of the half-line added to T.
    """

    gamma: np.ndarray
    mean: np.ndarray
    slope: np.ndarray
    total: np.ndarray
    coefficients: np.ndarray
    tail: np.ndarray
    outermost: np.ndarray


def _spectrum(function, kinks, gamma, rule) -> _Spectrum:
    """The series, on the half-line g > 0 for the even and the odd part of the function."""
    common, place, weight = _half_line(gamma, kinks, rule.panels)
    g = np.concatenate([np.broadcast_to(common, (len(gamma), len(common))), place], axis=1)
    right, left = function(gamma[:, None] * g), function(-gamma[:, None] * g)
    even, odd = (right + left) / 2, (right - left) / 2
    root = _root_density(g)
    density = 2 * weight * root**2
    mean, slope = np.sum(density * even, axis=1), np.sum(density * odd * g, axis=1)
    even, odd = even - mean[:, None], odd - slope[:, None] * g
    parts = density * (even**2 + odd**2)
    total = np.sum(parts, axis=1)
    outermost = np.sum(np.where(g > HALF_LINE * (1 - 1 / rule.panels), parts, 0), axis=1)

    coefficients = np.zeros((len(gamma), ORDERS))
    even, odd = 2 * weight * root * even, 2 * weight * root * odd
    active, found = np.isfinite(total), np.zeros_like(total)
    size = len(common)
    blocks = zip(_hermite_functions(common), _hermite_functions(place), strict=True)
    for number, (shared, own) in enumerate(blocks):
        own = own[:, active]
        for parity, part in enumerate((even[active], odd[active])):
            block = _product(part[:, :size], shared[parity::2].T)
            block += np.einsum("gx,kgx->gk", part[:, size:], own[parity::2])
            start = number * BLOCK + parity
            coefficients[active, start : start + BLOCK : 2] = block
        coefficients[:, :2] = 0
        added = np.sum(coefficients[:, number * BLOCK : (number + 1) * BLOCK] ** 2, axis=1)
        found = found + added
        active &= (added > 1e-19 * total) | (np.abs(total - found) > 1e-12 * total)
        if not active.any():
            break
    coefficients = coefficients[:, : (number + 1) * BLOCK]
    tail = np.where(total - found > 1e-14 * total, total - found, 0)
    return _Spectrum(gamma, mean, slope, total, coefficients, tail, outermost)


def _product(a, b, rows=32, inner=256):
    """a @ b in pieces of 32 x 256 x 32, for which BLAS keeps to one thread.

    Its threads wait for each other by spinning: ten times slower where other programs run.
    """
    product = np.zeros((a.shape[0], b.shape[1]))
    for k in range(0, a.shape[1], inner):
        for i in range(0, a.shape[0], rows):
            left = a[i : i + rows, k : k + inner]
            for j in range(0, b.shape[1], rows):
                product[i : i + rows, j : j + rows] += left @ b[k : k + inner, j : j + rows]
    return product


def _half_line(gamma, kinks, panels):
    """Nodes and weights of Gauss-Legendre panels on [0, `HALF_LINE`], split at the kinks.

    A panel in which a kink lies at some Γ is replaced there by its pieces.

    Returns:
        Nodes (n,) common to all Γ, further nodes (Γ, e), weights (Γ, n + e).
    """
    edges = np.linspace(0, HALF_LINE, panels + 1)
    common, weight = _gauss_panels(edges[:-1], edges[1:])
    weight = np.tile(weight, (len(gamma), 1, 1))
    place = np.unique(np.abs(kinks)) / gamma[:, None]
    place = np.minimum(place, HALF_LINE)
    panel = np.minimum((place * panels / HALF_LINE).astype(int), panels - 1)
    left, right = edges[panel], edges[panel + 1]
    if place.shape[1]:
        rows = np.arange(len(gamma))[:, None]
        weight[rows, panel] = 0
        # From the panel's edge or the kink before to the kink, and on to the panel's edge
        # if no other kink comes before that.
        before = np.maximum(left, np.pad(place, ((0, 0), (1, 0)))[:, :-1])
        after = np.pad(place, ((0, 0), (0, 1)), constant_values=np.inf)[:, 1:]
        left = np.concatenate([before, place], axis=1)
        right = np.concatenate([place, np.where(after < right, place, right)], axis=1)
    nodes, own_weight = _gauss_panels(left, right)
    count = len(gamma)
    return (
        common.ravel(),
        nodes.reshape(count, -1),
        np.concatenate([weight.reshape(count, -1), own_weight.reshape(count, -1)], axis=1),
    )


def _gauss_panels(left, right, count=NODES):
    """Gauss-Legendre nodes and weights of each interval, on a new last axis."""
    node, weight = leggauss(count)
    half = (right - left)[..., None] / 2
    return (right + left)[..., None] / 2 + half * node, half * weight


def _root_density(g):
    return np.exp(-(g**2) / 4) / (2 * np.pi) ** 0.25


def _hermite_functions(g) -> Iterator[np.ndarray]:
    """He_k(g)/√k! times the root of the Gaussian density, `BLOCK` orders k at a time."""
    now = _root_density(g)
    after = g * now
    for start in range(0, ORDERS, BLOCK):
        block = np.empty((BLOCK, *g.shape))
        for row, k in enumerate(range(start, start + BLOCK)):
            block[row] = now
            now, after = after, (g * after - math.sqrt(k + 1) * now) / math.sqrt(k + 2)
        yield block


def _double_integral(function, kinks, spectrum, theta, rule):
    """s² = E_g Var_z ϱ̃(√r g + √(1-r) z), shape (Γ, θ): each Γ by itself."""
    rows = zip(spectrum.gamma, spectrum.slope, strict=True)
    kinks = np.array(kinks)
    return np.stack(
        [_double_row(function, kinks, gamma, slope, theta, rule) for gamma, slope in rows]
    )


def _double_row(function, kinks, gamma, slope, theta, rule):
    sigma = math.sqrt(2) * np.sin(theta / 2)[:, None]  # √(1-r)
    root_r = np.sqrt(1 - sigma**2)
    places = kinks / gamma
    g, weight = _outer_rule(places / root_r, sigma, gamma, rule.step)
    weight = weight * _root_density(g) ** 2
    center = root_r * g
    near = np.any(np.abs(center[..., None] - places) < 8 * sigma[..., None], axis=-1)
    sigma = np.broadcast_to(sigma, g.shape)

    def residual(x):
        return function(gamma * x) - slope * x

    variance = np.empty_like(g)
    z, w = hermegauss(rule.gauss)
    w = w / math.sqrt(2 * math.pi)
    values = residual(center[~near][:, None] + sigma[~near][:, None] * z)
    variance[~near] = (values - (values @ w)[:, None]) ** 2 @ w
    variance[near] = _variance_over_kinks(
        residual, places, center[near][:, None], sigma[near][:, None], rule.inner
    )
    return np.sum(weight * variance, axis=1)


def _outer_rule(places, sigma, gamma, step):
    """Nodes and weights over g: the trapezoid rule in τ(g) = A Σ_i asinh((g-g_i)/2σ) + B g.

    Its points are 2σ/5 apart at the kinks g_i, where the variance over z changes on the
    scale σ, and at most 1/B elsewhere, the scale of the function itself being 1/Γ.
    """
    at_kinks, elsewhere = 5 / step, max(2.0, 2 * gamma) / step

    def tau(g):
        t = (g[..., None] - places[:, None, :]) / (2 * sigma[..., None])
        value = at_kinks * np.sum(np.arcsinh(t), axis=-1) + elsewhere * g
        slope = at_kinks * np.sum(1 / np.sqrt(1 + t**2), axis=-1) / (2 * sigma) + elsewhere
        return value, slope

    # Guesses from places that lie ever closer together at the kinks, then Newton.
    closer = np.sinh(np.linspace(-1, 1, 101) * np.arcsinh(2 * REACH / sigma))
    grid = places[:, :, None] + sigma[:, :, None] * closer[:, None, :]
    grid = np.concatenate(
        [grid.reshape(len(sigma), -1), np.tile([[-REACH, REACH]], sigma.shape)], axis=1
    )
    grid = np.sort(np.clip(grid, -2 * REACH, 2 * REACH), axis=1)
    on_grid = tau(grid)[0]
    first, last = (tau(np.full_like(sigma, end))[0] for end in (-REACH, REACH))
    goal = first + np.arange(np.ceil(np.max(last - first)) + 1)
    g = np.stack([np.interp(*row) for row in zip(goal, on_grid, grid, strict=True)])
    for _ in range(4):
        value, slope = tau(g)
        g = g - (value - goal) / slope
    return g, 1 / tau(g)[1]


def _variance_over_kinks(residual, places, center, sigma, count):
    """Var_z of the residual at center + σz, by panels over z split at the kinks."""
    edges = np.broadcast_to(np.linspace(-8, 8, 6), (len(center), 6))
    edges = np.concatenate([edges, np.clip((places - center) / sigma, -8, 8)], axis=1)
    edges = np.sort(edges, axis=1)
    owner, panel = np.nonzero(np.diff(edges, axis=1) > 1e-15)
    z, weight = _gauss_panels(edges[owner, panel], edges[owner, panel + 1], count)
    weight = weight * _root_density(z) ** 2
    values = residual(center[owner] + sigma[owner] * z)
    starts = np.flatnonzero(np.diff(owner, prepend=-1))

    def average(f):
        return np.add.reduceat(np.sum(weight * f, axis=1), starts)

    values = values - average(values)[owner][:, None]
    return average(values**2)


# The error.


def _error_bound(function, kinks, plane, lines, powers):
    """Bound on the absolute error in each cell of x, from two scales Γ in each."""
    places = np.array([-0.95, 0.95])  # near the ends of a cell, where a fit is worst
    x = (np.arange(X_CELLS)[:, None] + (1 + places) / 2).ravel() / X_CELLS * X_MAX
    y = (np.arange(Y_CELLS) + (1 + places[1]) / 2) / Y_CELLS * Y_MAX
    gamma, theta = _gamma(x), _theta(y)
    spectrum = _spectrum(function, kinks, gamma, FINE)

    u = places[:, None] ** np.arange(DEGREE + 1)
    v = places[1] ** np.arange(DEGREE + 1)
    terms = np.array([u[:, m] * v[n] for m, n in TERMS])
    plane = np.swapaxes(plane @ terms, 1, 2).reshape(len(gamma), len(theta))
    lines = np.swapaxes(lines @ u.T, 1, 2).reshape(len(gamma), 3)
    plane = plane * _plane_scale(powers, gamma, theta)
    lines = lines * _line_scale(powers, gamma)

    off_plane = np.abs(plane - _plane(function, kinks, spectrum, theta, FINE))
    off_lines = np.abs(lines - _lines(spectrum))
    off_total = off_lines[:, 2]  # v² or s² is the difference from T
    error = np.maximum(np.max(off_plane, axis=1) + off_total, np.max(off_lines, axis=1))
    rounding = 8 * np.finfo(float).eps * np.max(np.abs(_lines(spectrum)), axis=1)
    error = SAFETY * error + spectrum.outermost + rounding
    if not kinks:
        error = error + spectrum.tail
    error = np.max(error.reshape(X_CELLS, 2), axis=1)
    # A lucky cell is as bad as its neighbours.
    error = np.maximum(error, np.maximum(np.append(error[1:], 0), np.append(0, error[:-1])))
    return np.where(np.isfinite(error), error, np.inf)
