"""Systems with a positive definite matrix, of matrix products but for small blocks."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .linalg import from_lower_tiles, lower_tiles, product

SMALL, SMALLEST = 64, 16  # rows that LAPACK factors, and solves triangles of, in one thread
LARGE = 1600  # beyond, what threads spin away is little, and a program would be long


def solve(lower: Float[Array, "p p"], right: Float[Array, "p d"]) -> Float[Array, "p d"]:
    r"""A^{-1} right, for a positive definite A of which the lower triangle is read.

    By Cholesky, in halves: A_11 = L_11 L_11^T, L_21 = A_21 L_11^{-T}, and L_22 is of
    A_22 - L_21 L_21^T. On a CPU XLA hands a whole factorisation to LAPACK. That is as fast, but
    its threads go on spinning for a tenth of a second, on cores that what follows would use: a
    trial of 800 features takes 1.5 times as long.

    Small triangles are inverted, which costs their condition number in rounding, not A's. A
    matrix that is not positive definite gives NaN. Differentiable, and in batches.
    """
    if jax.default_backend() != "cpu" or len(lower) > LARGE:
        factor = jax.lax.linalg.cholesky(lower, symmetrize_input=False)
        return jax.scipy.linalg.cho_solve((factor, True), right)
    factor = _factored(lower)
    return _backward(factor, _forward(factor, right))


def _factored(lower) -> Any:
    """(L_11, L_21, L_22) with factors as first and last; of a small matrix L^{-1}."""
    if len(lower) <= SMALL:
        return _inverse(jax.lax.linalg.cholesky(lower, symmetrize_input=False))
    half = -(-len(lower) // (2 * SMALL)) * SMALL
    first = _factored(lower[:half, :half])
    below = _forward(first, lower[half:, :half].T).T
    taken = from_lower_tiles(lower_tiles(below), len(below))
    return first, below, _factored(lower[half:, half:] - taken)


def _inverse(L):
    """L^{-1}."""
    if len(L) <= SMALLEST:
        unit = jnp.eye(len(L), dtype=L.dtype)
        return jax.lax.linalg.triangular_solve(L, unit, left_side=True, lower=True)
    half = len(L) // 2
    first, last = _inverse(L[:half, :half]), _inverse(L[half:, half:])
    below = -product(last, product(L[half:, :half], first))
    return jnp.block([[first, jnp.zeros_like(below.T)], [below, last]])


def _forward(factor, right):
    """L^{-1} right."""
    if not isinstance(factor, tuple):
        return product(factor, right)
    first, below, last = factor
    half = below.shape[1]
    top = _forward(first, right[:half])
    return jnp.concatenate([top, _forward(last, right[half:] - product(below, top))])


def _backward(factor, right):
    """L^{-T} right."""
    if not isinstance(factor, tuple):
        return product(factor.T, right)
    first, below, last = factor
    half = below.shape[1]
    bottom = _backward(last, right[half:])
    top = _backward(first, right[:half] - product(below.T, bottom))
    return jnp.concatenate([top, bottom])
