r"""Hermite coefficients of an activation about given preactivations, by quadrature.

    C_k = E_g[ϱ(mean + scale g) He_k(g)]/√k!,       g ~ N(0, 1)

The nodes in g are the same for all, which makes C a matrix product: of a trapezoid rule, as
fine as a smooth function needs, or of Gauss-Legendre panels for one with kinks.
"""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._numerics.linalg import product
from .blocks import stream

REACH = 9.0  # of the quadrature in g: e^{-81/2} is rounding
STEP, FINEST = 1 / 2, 4  # of the trapezoid rule: the widest, and how often it may be halved
NODES = 40  # about as many values of a function as C_k take, for estimates of time
SAMPLE, ROUNDING = 64, 64  # preactivations that choose the step; of errors, machine epsilons
PANELS, PANEL_NODES = 9, 14  # for functions with kinks
ELEMENTS = 2**13  # preactivations whose nodes are held at a time


def hermite_coefficients(
    activation, mean: Float[Array, "p rows"], scale: Float[Array, " p"], orders: int
) -> tuple[Float[Array, "k p rows"], Float[Array, "p rows"]]:
    """C_k for k = 0..orders, and E ϱ².

    A panel that a kink of the function falls into, at g = (kink - mean)/scale, is replaced
    there by its pieces.
    """
    (p, rows), kinks = mean.shape, np.sort(np.asarray(activation.kinks, float))
    nodes, weights = _panels() if kinks.size else _grids()
    table = np.stack([*_hermite(nodes, weights, orders)], axis=1)  # (parts, k, nodes)
    kinks, nodes, weights, table = (
        jnp.asarray(array, mean.dtype) for array in (kinks, nodes, weights, table)
    )

    def of_part(number, mean, scale, panel=None):
        """What a grid or panel adds."""
        f = activation(mean[None] + scale[None] * nodes[number][:, None])
        if panel is not None:
            f = jnp.where(jnp.all(panel != number, axis=0)[None], f, jnp.zeros_like(f))
        return product(table[number], f), product(weights[number], f * f)

    def of(mean, scale):
        if not kinks.size:
            total = jax.eval_shape(of_part, 0, mean, scale)
            total, panel = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), total), None
        else:
            panel, g, w = _pieces((kinks[:, None] - mean[None]) / scale[None])
            f = activation(mean[None, None] + scale[None, None] * g)
            total = _projected(g, w * f, orders), jnp.sum(w * f * f, axis=(0, 1))

        def add(number, total):
            return jax.tree.map(jnp.add, total, of_part(number, mean, scale, panel))

        C, square = jax.lax.fori_loop(0, parts, add, total)
        return share * C, share * square

    def of_features(total, start, size):
        some = (jax.lax.dynamic_slice_in_dim(each, start, size) for each in (mean, scale))
        flat, wide = next(some).reshape(-1), jnp.repeat(next(some), rows)
        C, square = of(flat, wide)
        return (
            jax.lax.dynamic_update_slice_in_dim(total[0], C.reshape(-1, size, rows), start, 1),
            jax.lax.dynamic_update_slice_in_dim(total[1], square.reshape(size, rows), start, 0),
        )

    parts, share = PANELS, jnp.ones((), mean.dtype)
    if not kinks.size:
        parts = _enough(of_part, mean, scale)
        share = 1 / parts.astype(mean.dtype)
    total = jnp.zeros((orders + 1, p, rows), mean.dtype), jnp.zeros((p, rows), mean.dtype)
    return stream(of_features, total, p, min(p, max(1, ELEMENTS // rows)))


def _grids() -> tuple[np.ndarray, np.ndarray]:
    """Trapezoid rules over g with the Gaussian density, shifted by fractions of their step.

    The mean of the first 2^l is the rule of step STEP/2^l; shape (2^FINEST, nodes). At scale Γ
    its error is e^{-2πy 2^l/(Γ STEP)} for a function analytic within y of the real axis.
    """
    shifts = np.zeros(1)
    for level in range(1, FINEST + 1):
        shifts = np.concatenate([shifts, shifts + 0.5**level])
    whole = math.ceil(REACH / STEP)
    nodes = STEP * (np.arange(-whole, whole + 1)[None] + shifts[:, None])
    return nodes, STEP * np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)


def _enough(of_part, mean, scale) -> Any:
    """How many of the grids reach rounding, from all of them at a few preactivations.

    C_k counts with 2^{-k}: it enters by R^k.
    """
    some = np.linspace(0, mean.size - 1, SAMPLE).astype(int)
    at = mean.reshape(-1)[some], scale[some // mean.shape[1]]
    C, square = jax.vmap(lambda number: of_part(number, *at))(jnp.arange(2**FINEST))
    C = C * 0.5 ** jnp.arange(C.shape[1], dtype=C.dtype)[None, :, None]
    each = jnp.concatenate([C, square[:, None]], axis=1)
    rules = jnp.stack([jnp.mean(each[: 2**level], axis=0) for level in range(FINEST + 1)])
    error = jnp.max(jnp.abs(rules - rules[-1:]), axis=(1, 2))
    rounding = ROUNDING * jnp.finfo(C.dtype).eps * jnp.max(jnp.abs(rules[-1]))
    return 2 ** jnp.argmax(error <= rounding)


def _panels() -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre panels over g, weights with the Gaussian density: (PANELS, nodes)."""
    edges = np.linspace(-REACH, REACH, PANELS + 1)[:, None]
    node, weight = np.polynomial.legendre.leggauss(PANEL_NODES)
    half = REACH / PANELS
    nodes = edges[:-1] + half * (1 + node)
    return nodes, half * weight * np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)


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


def _projected(g: Float[Array, "pieces nodes rows"], weight, orders: int):
    """Σ `weight`·He_k(g)/√k! over pieces and nodes for k = 0..orders, shape (k, rows)."""

    def step(polynomials, k):
        now, after = polynomials
        return (after, _next(jnp, g, k, now, after)), jnp.sum(now, axis=(0, 1))

    k = jnp.arange(orders + 1, dtype=g.dtype)
    return jax.lax.scan(step, (weight, g * weight), k)[1]


def _hermite(g: np.ndarray, weight: np.ndarray, orders: int) -> Iterator[np.ndarray]:
    """`weight`·He_k(g)/√k! for k = 0..orders."""
    now, after = weight, g * weight
    for k in range(orders + 1):
        yield now
        now, after = after, _next(np, g, k, now, after)


def _next(xp, g, k, now, after):
    """The polynomial after two, of which `now` is that of order k."""
    return (g * after - xp.sqrt(k + 1) * now) / xp.sqrt(k + 2)
