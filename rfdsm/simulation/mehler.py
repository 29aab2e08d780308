r"""Averages of network features over infinitely many noises, exactly.

Given x_i the preactivations are Gaussian, of mean a W x_i/√d and covariance h W W^T/d, so with
R the correlation matrix of the rows of W and

    C_k(α, i) = E_g[ϱ(mean_αi + √(h/d)|W_α| g) He_k(g)]/√k!,       g ~ N(0, 1),

Mehler's series gives E_z[f_α f_β | x_i] = Σ_k C_k(α,i) C_k(β,i) R_αβ^k and Stein's lemma
E_z[f_α z^T | x_i] = C_1(α,i) W_α/|W_α|; E_z[f_α | x_i] is C_0(α,i). Every order is one matrix
product over the points; on the diagonal, where R = 1, E ϱ² is taken from the same
one-dimensional quadrature instead.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._numerics.linalg import lower_product, product
from ..ingredients.processes import Noising
from .blocks import preactivations, stream

TRUNCATION = 1e-4  # of the Mehler series, see `mehler_orders`
MOST_ORDERS = 24
REACH = 9.0  # of the quadrature in g: e^{-81/2} is rounding
STEP = 1 / 8  # of its trapezoid rule, see `_rule`
PANELS, PANEL_NODES = 9, 14  # of its Gauss-Legendre rule for functions with kinks


class Averages(NamedTuple):
    """Averages over the noise of each of some points, summed over the points.

    Attributes:
        shared: Σ_i E_z f (E_z f)^T. fresh: Σ_i Cov_z f. Shape (p, p), lower triangles.
        noise: Σ_i E_z f z^T. data: Σ_i E_z f x_i^T, None where it was not asked for. Shape
            (p, d).
    """

    shared: Float[Array, "p p"]
    fresh: Float[Array, "p p"]
    noise: Float[Array, "p d"]
    data: Float[Array, "p d"] | None


def mehler_orders(p: int, d: int) -> int:
    r"""The order K at which the Mehler series is cut.

    An entry of what is left out of U is at most |R_αβ|^{K+1} τ, with τ the largest over the
    rows of W of the mass Σ_{k>K} C_k² (averaged over the points). Two rows are independent
    directions, E R^{2q} = Γ(q+½) Γ(d/2) / (Γ(½) Γ(q+d/2)), so its Frobenius norm is at most
    p √(E R^{2K+2}) τ in root mean square over W. K is the least order (from 4 on) that makes
    that `TRUNCATION`·τ. Below d of about 40 K stops at `MOST_ORDERS`: what is left out is then
    small by τ alone: under 4e-4 h for ReLU, 1e-12 for tanh at h = 0.1 and 4e-7 at h = 0.9.
    """

    def log_bound(q):
        moment = math.lgamma(q + 0.5) - math.lgamma(0.5)
        moment += math.lgamma(d / 2) - math.lgamma(q + d / 2)
        return math.log(p) + moment / 2

    enough = (k for k in range(4, MOST_ORDERS) if log_bound(k + 1) <= math.log(TRUNCATION))
    return next(enough, MOST_ORDERS)


def noise_averages(
    activation,
    W: Float[Array, "p d"],
    x: Float[Array, "n d"],
    noising: Noising,
    weight: Float[Array, " n"] | None = None,
    data: bool = False,
) -> Averages:
    """`AbstractFeatures.averages` of the features ϱ(W y/√d)."""
    (n, d), p = x.shape, W.shape[0]
    orders = mehler_orders(p, d)
    length = jnp.sqrt(jnp.sum(W * W, axis=1))
    unit = W / length[:, None]
    R = product(unit, unit.T)
    scale = jnp.sqrt(noising.h / d) * length

    def add(total, start, size):
        shared, fresh, first, square, cross = total
        points = jax.lax.dynamic_slice_in_dim(x, start, size)
        mean = noising.a * preactivations(W, points)
        C, second = hermite_coefficients(activation, mean, scale, orders)
        if weight is not None:
            w = jax.lax.dynamic_slice_in_dim(weight, start, size)
            C, second = C * w[None, None], second * w[None]

        def add_order(total, C_k):
            fresh, power = total
            return (fresh + power * lower_product(C_k), power * R), None

        (fresh, _), _ = jax.lax.scan(add_order, (fresh, R), C[1:])
        shared = shared + lower_product(C[0])
        cross = cross + product(C[0], points) if data else None
        return shared, fresh, first + jnp.sum(C[1], 1), square + jnp.sum(second, 1), cross

    none, zero = jnp.zeros((p, p), x.dtype), jnp.zeros(p, x.dtype)
    cross = jnp.zeros((p, d), x.dtype) if data else None
    block = max(256, 2**22 // (p * orders))
    total = stream(add, (none, none, zero, zero, cross), n, block)
    shared, fresh, first, square, cross = total
    diagonal = jnp.arange(p)
    fresh = fresh.at[diagonal, diagonal].set(square - jnp.diagonal(shared))
    return Averages(shared, fresh, first[:, None] * unit, cross)


def hermite_coefficients(
    activation, mean: Float[Array, "p rows"], scale: Float[Array, " p"], orders: int
) -> tuple[Float[Array, "k p rows"], Float[Array, "p rows"]]:
    """C_k for k = 0..orders, and E ϱ².

    The nodes in g are the same for all, which makes C a matrix product; a panel that a kink
    of the function falls into, at g = (kink - mean)/scale, is replaced there by its pieces.
    One feature at a time: the nodes of all would not fit in memory.
    """
    kinks = np.sort(np.asarray(activation.kinks, float))
    nodes, weights = _rule(kinked=kinks.size > 0)
    table = np.stack([w.ravel() for w in _hermite(nodes, weights, orders)])
    panels = jnp.arange(len(nodes), dtype=mean.dtype)
    kinks, nodes, weights, table = (
        jnp.asarray(array, mean.dtype) for array in (kinks, nodes, weights.ravel(), table)
    )

    def of_one(mean, scale):
        f = activation(mean[None, None] + scale * nodes[:, :, None])
        if kinks.size:
            panel, g, w = _pieces((kinks[:, None] - mean[None]) / scale)
            free = jnp.all(panel[None] != panels[:, None, None], axis=1)
            f = jnp.where(free[:, None], f, jnp.zeros_like(f))
        f = f.reshape(-1, mean.shape[0])
        C, square = product(table, f), product(weights[None], f * f)[0]
        if kinks.size:
            f = activation(mean[None, None] + scale * g)
            C = C + jnp.sum(jnp.stack(list(_hermite(g, w * f, orders))), (1, 2))
            square = square + jnp.sum(w * f * f, (0, 1))
        return C, square

    C, square = jax.lax.map(lambda each: of_one(*each), (mean, scale))
    return jnp.moveaxis(C, 0, 1), square


def _rule(kinked: bool) -> tuple[np.ndarray, np.ndarray]:
    """Nodes in g and weights with the Gaussian density, shape (panels, nodes of a panel).

    Without kinks one panel with the trapezoid rule, whose error at preactivation scale Γ is
    e^{-2πy/(Γ STEP)} for a function analytic within y of the real axis (tanh(cx): y = π/2c):
    rounding for tanh, 1e-7 for tanh(5x) at Γ = 1.
    """
    if kinked:
        edges = np.linspace(-REACH, REACH, PANELS + 1)[:, None]
        node, weight = np.polynomial.legendre.leggauss(PANEL_NODES)
        half = REACH / PANELS
        nodes, weights = edges[:-1] + half * (1 + node), half * weight
    else:
        nodes, weights = np.arange(-REACH, REACH + STEP / 2, STEP)[None], STEP
    return nodes, weights * np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)


def _pieces(kinks: Float[Array, "kinks rows"]):
    """The panel of each kink (kinks, rows), and nodes and weights of the panels' pieces.

    A piece goes from a panel's edge, or the kink before in that panel, to a kink, and one
    more from the last kink to the panel's edge: shape (2 kinks, nodes, rows), some of width 0.
    """
    width = 2 * REACH / PANELS
    kinks = jnp.clip(kinks, -REACH, REACH)
    panel = jnp.clip(jnp.floor((kinks + REACH) / width), 0, PANELS - 1)
    low = panel * width - REACH
    before = jnp.concatenate([low[:1], jnp.maximum(low[1:], kinks[:-1])])
    last = jnp.concatenate([panel[1:] != panel[:-1], jnp.full_like(panel[:1], True, bool)])
    left = jnp.concatenate([before, kinks])[:, None]
    right = jnp.concatenate([kinks, jnp.where(last, low + width, kinks)])[:, None]
    node, weight = (
        jnp.asarray(array, kinks.dtype)[None, :, None]
        for array in np.polynomial.legendre.leggauss(PANEL_NODES)
    )
    half = (right - left) / 2
    g = left + half * (1 + node)
    return panel, g, half * weight * jnp.exp(-g * g / 2) / math.sqrt(2 * math.pi)


def _hermite(g: Any, weight: Any, orders: int) -> Iterator[Any]:
    """`weight`·He_k(g)/√k! for k = 0..orders."""
    now, after = weight, g * weight
    for k in range(orders + 1):
        yield now
        now, after = after, (g * after - math.sqrt(k + 1) * now) / math.sqrt(k + 2)
