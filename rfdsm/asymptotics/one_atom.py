r"""Newton for data of one eigenvalue at λ > 0, arranged for speed (docs/theory.md section 13).

With G = qD for the second unknown, E0 = A0 G + B0 q and E1 = A1 G + B1 q are linear in the two:
A0 = t, B0 = v² + u s², A1 = b²h, B1 = s². The equations are

    λq + E0 i0 + (1-u) E1 i1 = 1,      G (1 + ψ_p q Y) = q,      Y = t i0 + (1-u) b²h i1.

In (ln q, ln G) each entry of the Jacobian has one sign, and it and its determinant are sums of
positive terms. Over batches XLA runs a loop that carries one array, q and G as one complex
number, seven times as fast as one that carries two.

The corners between two points (`linear_system`, of one network) solve the same two, with
i0_L i0_R and i1_L i1_R in place of squares.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex

from .equivalent import MORE_STEPS, RESIDUAL, STEP_LIMIT

STEPS = (
    7  # without a look at the residual, which they leave at 2e-15; six miss 4 of 10^6 points
)


class Scalars(NamedTuple):
    """What the equations are made of, all O(1); with `u`, `ratio` and `psi_p` as ever.

    Attributes:
        weight: the atom's, 1 but in derivatives. t, H, B0, B1: t(σ), b²h, v² + u s² and s².
    """

    u: Any
    ratio: Any
    psi_p: Any
    weight: Any
    t: Any
    H: Any
    B0: Any
    B1: Any


@jax.custom_jvp
def root(lam: Any, x: Scalars) -> tuple[Any, Any, Any]:
    """(q, G, Newton steps): the fixed steps, then as many as the slowest of a batch needs."""
    z = jax.lax.complex(*start(lam, x))
    z = jax.lax.fori_loop(0, STEPS, lambda _, z: _step(z, lam, x), z)

    def unfinished(carry):
        q, G, taken = carry
        # A NaN is not larger than anything: a hopeless row ends at once.
        return (_residual(q, G, lam, x) > RESIDUAL) & (taken < STEPS + MORE_STEPS)

    def step(carry):
        z = _step(jax.lax.complex(*carry[:2]), lam, x)
        return z.real, z.imag, carry[2] + 1

    # Two arrays here: few batches come into this loop, and all that follows reads them faster.
    taken = jnp.asarray(STEPS, jnp.int8)  # small: each row of a batch carries it
    q, G, taken = jax.lax.while_loop(unfinished, step, (z.real, z.imag, taken))
    return q, G, taken.astype(q.dtype)


@root.defjvp
def _derivative(primals, tangents):
    """By the implicit function theorem, in the logs of q and G."""
    q, G, steps = root(*primals)

    def equations(lam, x):
        E0, E1, i0, i1 = resolved(q, G, x)
        Y = x.t * i0 + (1 - x.u) * x.H * i1
        return lam * q + E0 * i0 + (1 - x.u) * E1 * i1, x.psi_p * q * Y

    _, changes = jax.jvp(equations, primals, tangents)
    lam, x = primals
    _, _, i0, i1 = resolved(q, G, x)
    moves, determinant = system(lam, x, q, G, q, i0 * i0, i1 * i1)
    # Divided, not times an inverse: so XLA makes each cotangent once, which many read.
    of_q, of_G = (each / determinant for each in moves(*changes))
    return (q, G, steps), (q * of_q, G * of_G, jnp.zeros_like(steps))


def linear_system(x: Scalars, left: Any, right: Any) -> Callable[..., tuple[Any, Any, Any]]:
    """The corners' system between two states: (trace, Y) -> corners of E0, E1 and G.

    What the source adds to the trace and to Y; that of G is relative to the left's.
    """
    q, G, mean, contrast = left.q, left.q * left.D[0], left.i0 * right.i0, left.i1 * right.i1
    moves, determinant = system(left.lam, x, q, G, right.q, mean, contrast)
    scale = 1 / determinant
    tG, HG, B0q, B1q = parts(x, q, G)

    def solve(trace, Y):
        of_q, of_G = (scale * each for each in moves(trace, x.psi_p * right.q * Y))
        return tG * of_G + B0q * of_q, HG * of_G + B1q * of_q, of_G

    return solve


def system(lam, x: Scalars, q, G, other, mean, contrast) -> tuple[Callable, Any]:
    """By how much ln q and ln G move, times a determinant, which is returned as well.

    A function of what is added to the trace and to ψ_p q Y.

    Args:
        q, G, lam: of the left point; other: q of the right one; mean, contrast: i0 i0 and
            i1 i1 of the two.
    """
    tG, HG, B0q, B1q = parts(x, q, G)
    width, contrast = x.psi_p * other, (1 - x.u) * contrast
    tk, Hk = width * x.t * mean, width * x.H * contrast
    G_q = 1 + x.ratio * (tk * B0q + x.u * Hk * B1q)
    G_G = G_q + tk + Hk
    q_q, q_G = lam * q + mean * B0q + contrast * B1q, mean * tG + contrast * HG

    def moves(trace, Y):
        return q_G * Y - trace * G_G, -(q_q * Y + trace * G_q)

    return moves, q_q * G_G + q_G * G_q


def resolved(q, G, x: Scalars):
    """(E0, E1, i0, i1)."""
    tG, HG, B0q, B1q = parts(x, q, G)
    E0, E1 = tG + B0q, HG + B1q
    return E0, E1, 1 / (1 + x.ratio * E0), 1 / (1 + x.u * x.ratio * E1)


def parts(x: Scalars, q, G):
    """Of E0 = tG + B0q and E1 = HG + B1q."""
    return x.t * (x.weight * G), x.H * (x.weight * G), x.B0 * q, x.B1 * q


def start(lam, x: Scalars):
    """(q, G) from which the fixed steps converge everywhere.

    With D frozen at X/(X + ψ_p Y), X = λ + v² + s², E0 = c0 q and E1 = c1 q are linear in q.
    """
    spread = 1 - x.u
    X = lam + x.B0 + spread * x.B1
    D = X / (X + x.psi_p * (x.t + spread * x.H))
    c0, c1 = x.weight * x.t * D + x.B0, x.weight * x.H * D + x.B1
    q = larger_root(lam, x.u, x.ratio, c0, c1)
    i0, i1 = 1 / (1 + x.ratio * c0 * q), 1 / (1 + x.u * x.ratio * c1 * q)
    return q, q / (1 + x.psi_p * q * (x.t * i0 + spread * x.H * i1))


def _step(z: Complex[Array, ""], lam: Any, x: Scalars) -> Complex[Array, ""]:
    """One Newton step in the logs, taken as (1 + step/8)^8.

    Rows are times powers of 1 + δ0, 1 + δ1 and q, so that one division is left: XLA makes one
    loop of the whole.
    """
    q, G, spread = z.real, z.imag, 1 - x.u
    tG, HG, B0q, B1q = parts(x, q, G)
    E0, E1 = tG + B0q, HG + B1q
    L1, L2 = 1 + x.ratio * E0, 1 + x.u * x.ratio * E1
    both, of_lam, width = L1 * L2, lam * q, x.psi_p * q
    inverse_D = both + width * (x.t * L2 + spread * x.H * L1)
    trace = (of_lam * both + E0 * L2 + spread * E1 * L1 - both) * both
    of_G = (G * inverse_D - q * both) * inverse_D
    mean, contrast, both = L2 * L2, spread * L1 * L1, both * both
    k0, k1 = width * x.t * mean, width * x.H * contrast
    q_q, q_G = of_lam * both + mean * B0q + contrast * B1q, mean * tG + contrast * HG
    G_q = both + x.ratio * (k0 * B0q + x.u * k1 * B1q)
    G_G = G_q + k0 + k1
    scale = 0.125 / (q * (q_q * G_G + q_G * G_q))
    of_q, of_G = q_G * of_G - q * trace * G_G, -(q_q * of_G + q * trace * G_q)
    return jax.lax.complex(q * _moved(of_q * scale), G * _moved(of_G * scale))


def _residual(q, G, lam, x: Scalars):
    """The larger of the two equations' residuals, relatively."""
    spread = 1 - x.u
    tG, HG, B0q, B1q = parts(x, q, G)
    E0, E1 = tG + B0q, HG + B1q
    L1, L2 = 1 + x.ratio * E0, 1 + x.u * x.ratio * E1
    both, of_Y = L1 * L2, x.psi_p * (x.t * L2 + spread * x.H * L1)
    trace = lam * q * both + E0 * L2 + spread * E1 * L1 - both
    of_G = G * (both + q * of_Y) - q * both
    return jnp.maximum(jnp.abs(trace), jnp.abs(of_G) / q) / both


def larger_root(lam, u, ratio, c0, c1):
    r"""A guess at q > 0 where E0 = c0 q and E1 = c1 q; of any number of atoms.

    The trace identity is then bounded by two quadratics in q, and the larger root is taken:

        λ q + c0 q/(1 + ratio c0 q) + (1-u) c1 q = 1                      (δ1 dropped)
        λ q + (1-u) c1 q/(1 + u ratio c1 q) = 1 - 1/ratio                 (δ0 = ∞, p > n)
    """
    spread = 1 - u
    rest = lam + spread * c1
    of_mean = _positive_root(rest * ratio * c0, rest + c0 - ratio * c0, 1.0)
    room = jnp.maximum(1 - 1 / ratio, 0)
    steep = u * ratio * c1
    of_contrast = _positive_root(lam * steep, rest - room * steep, room)
    tiny = jnp.finfo(jnp.result_type(lam)).tiny
    return jnp.maximum(jnp.maximum(of_mean, of_contrast), tiny)


def _positive_root(A, B, C):
    """The positive root of A x² + B x = C (A, C >= 0), by the branch that does not cancel."""
    root = jnp.sqrt(B * B + 4 * A * C)
    falling = B < 0
    safe_A = jnp.where(falling, A, 1)  # A = 0 occurs with B > 0 only
    return jnp.where(
        falling, (root - B) / (2 * safe_A), 2 * C / jnp.where(falling, 1, B + root)
    )


def _moved(eighth):
    """(1 + step/8)^8 of an eighth of a step, limited."""
    most = STEP_LIMIT / 8
    return jnp.square(jnp.square(jnp.square(1 + jnp.clip(eighth, -most, most))))
