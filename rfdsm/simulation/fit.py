r"""The trained read-out B = -(1/√h) V^T φ(U), by Cholesky in the form of the smaller matrix."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .gram import Gram, lower_product, pairs
from .network import features, product


def ridge_primal(gram: Gram, lam, h) -> tuple[Float[Array, "d p"], Float[Array, ""]]:
    r"""(B, train loss) from U and V: B (U + λ) = -V^T/√h, a p×p system.

    With that equation the loss (1/(dN)) Σ |√h B f + z|² = noise + (h tr BUB^T + 2√h tr BV)/d
    needs no U: h tr BUB^T = -√h tr BV - hλ|B|².
    """
    d = gram.V.shape[1]
    B = -_solve(gram.U, lam, gram.V).T / jnp.sqrt(h)
    loss = gram.noise + (jnp.sqrt(h) * jnp.sum(B * gram.V.T) - h * lam * jnp.sum(B * B)) / d
    return B, loss


def ridge_dual(key, activation, W, x, m: int, a, h, lam):
    r"""(B, train loss) from the N = n m pairs themselves: an N×N system, for N < p.

    With G = F F^T/N the residuals √h B f + z of the pairs are exactly λ (G + λ)^{-1} z.
    """
    count = x.shape[0] * m
    y, z = pairs(key, x, 0, count, a, h)
    f = features(activation, W, y)
    solved = _solve(lower_product(f.T) / count, lam, z)
    B = -product(f, solved).T / (count * jnp.sqrt(h))
    return B, lam**2 * jnp.mean(solved**2)


def _solve(lower, lam, right):
    """(A + λ)^{-1} right, for a positive definite A of which the lower triangle is read."""
    diagonal = jnp.arange(lower.shape[0])
    shifted = lower.at[diagonal, diagonal].add(lam)
    factor = jax.lax.linalg.cholesky(shifted, symmetrize_input=False)
    return jax.scipy.linalg.cho_solve((factor, True), right)
