"""Quadrature of an activation's Hermite coefficients, and where their series is too slow.

On the half-line g > 0, for the even and the odd part of ϱ(Γg) apart, by Gauss-Legendre panels
split at the kinks; with kinks, at small θ, a double integral over both copies of a point. Host
functions in NumPy; a row for each preactivation scale Γ.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss

HostFunction = Callable[[np.ndarray], np.ndarray]  # elementwise, float64 to float64

HALF_LINE = 12.0  # where the root of the Gaussian density is 1e-16
REACH = 9.0  # and the density itself 1e-18
ORDERS, BLOCK = 8192, 256  # of the Hermite series, and how many at a time
NODES = 16  # of each Gauss-Legendre panel; 64 panels resolve order 8192


class Rule(NamedTuple):
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


COARSE, FINE = Rule(64, 1.0, 12, 16), Rule(83, 0.8, 16, 24)


class Spectrum(NamedTuple):
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


def hermite_spectrum(function, kinks, gamma, rule) -> Spectrum:
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
            block = part[:, :size] @ shared[parity::2].T
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
    return Spectrum(gamma, mean, slope, total, coefficients, tail, outermost)


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


def double_integral(function, kinks, spectrum, theta, rule):
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
