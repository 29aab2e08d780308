r"""The trained read-out B = -(1/√h) V^T φ(U), in the form of the smaller matrix.

Ridge is one linear system, by Cholesky. Any other filter is one eigendecomposition, of U or of
G = F^T F/N of the N pairs, and then serves every training time.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.linalg import product
from .gram import Gram, lower_product, pairs


class Modes(eqx.Module):
    r"""The fit in the eigenbasis: -√h B(φ) = Σ_k φ(x_k) target_k direction_k^T.

    Attributes:
        eigenvalues: x_k >= 0 of U (or G), shape (k,).
        directions: shape (p, k); targets: shape (k, d).
        power: |V^T e_k|²/d of the normalised eigenvectors e_k of U, shape (k,).
        noise: the mean of |z|²/d over the pairs.
    """

    eigenvalues: Float[Array, " k"]
    directions: Float[Array, "p k"]
    targets: Float[Array, "k d"]
    power: Float[Array, " k"]
    noise: Float[Array, ""]

    def fit(self, phi: Float[Array, " k"], h) -> tuple[Float[Array, "d p"], Float[Array, ""]]:
        """(B, train loss) of the filter with the values φ(x_k)."""
        B = -product(self.directions, phi[:, None] * self.targets).T / jnp.sqrt(h)
        change = phi * (self.eigenvalues * phi - 2)
        return B, self.noise + jnp.sum(change * self.power)


def modes_primal(gram: Gram) -> Modes:
    """From U, a p×p eigenproblem."""
    x, E = _eigh(gram.U)
    targets = product(E.T, gram.V)
    return Modes(x, E, targets, jnp.mean(targets**2, axis=1), gram.noise)


def modes_dual(key, features, x, m: int, a, h) -> Modes:
    """From G of the N = n m pairs, an N×N eigenproblem, for N < p.

    With G = Q x Q^T the eigenvectors of U are F Q/√(N x), and V = F Z/N.
    """
    count = x.shape[0] * m
    f, z = pairs(key, features, x, 0, count, a, h)
    eigenvalues, Q = _eigh(lower_product(f.T) / count)
    targets = product(Q.T, z)
    power = eigenvalues / count * jnp.mean(targets**2, axis=1)
    return Modes(eigenvalues, product(f, Q) / count, targets, power, jnp.mean(z * z))


def ridge_primal(gram: Gram, lam, h) -> tuple[Float[Array, "d p"], Float[Array, ""]]:
    r"""(B, train loss) from U and V: B (U + λ) = -V^T/√h, a p×p system.

    With that equation the loss (1/(dN)) Σ |√h B f + z|² = noise + (h tr BUB^T + 2√h tr BV)/d
    needs no U: h tr BUB^T = -√h tr BV - hλ|B|².
    """
    d = gram.V.shape[1]
    B = -_solve(gram.U, lam, gram.V).T / jnp.sqrt(h)
    loss = gram.noise + (jnp.sqrt(h) * jnp.sum(B * gram.V.T) - h * lam * jnp.sum(B * B)) / d
    return B, loss


def ridge_dual(key, features, x, m: int, a, h, lam):
    r"""(B, train loss) from the N = n m pairs themselves: an N×N system, for N < p.

    With G = F^T F/N the residuals √h B f + z of the pairs are exactly λ (G + λ)^{-1} z.
    """
    count = x.shape[0] * m
    f, z = pairs(key, features, x, 0, count, a, h)
    solved = _solve(lower_product(f.T) / count, lam, z)
    B = -product(f, solved).T / (count * jnp.sqrt(h))
    return B, lam**2 * jnp.mean(solved**2)


def _eigh(lower) -> tuple[Float[Array, " k"], Float[Array, "k k"]]:
    """(eigenvalues, eigenvectors) of a positive semidefinite matrix's lower triangle."""
    vectors, values = jax.lax.linalg.eigh(lower, lower=True, symmetrize_input=False)
    return jnp.maximum(values, 0), vectors


def _solve(lower, lam, right):
    """(A + λ)^{-1} right, for a positive definite A of which the lower triangle is read."""
    diagonal = jnp.arange(lower.shape[0])
    shifted = lower.at[diagonal, diagonal].add(lam)
    factor = jax.lax.linalg.cholesky(shifted, symmetrize_input=False)
    return jax.scipy.linalg.cho_solve((factor, True), right)
