"""The one-point equations alone (docs/theory.md sections 4 and 13), as a user would solve them.

Constants are given, nothing but the unknowns is computed. In plain Python floats for
`scipy.optimize.root`, which is what SciPy is fastest with; and as a loop of Newton steps on
whole arrays, which is the least that a batched solver must do.
"""

from math import exp, log
from typing import NamedTuple

import jax
import numpy as np
from scipy.optimize import root

import rfdsm

STEPS = 7  # of `newton`; enough for float64 in the wide box


class Coefficients(NamedTuple):
    """E0 = (A σ + U) G + B0 q and E1 = H G + B1 q, and what else the equations read."""

    lam: np.ndarray
    psi_p: np.ndarray
    ratio: np.ndarray  # ψ_p/ψ_n
    u_ratio: np.ndarray
    A: np.ndarray  # b²a²
    U: np.ndarray  # u b²h
    H: np.ndarray  # b²h
    B0: np.ndarray  # v² + u s²
    B1: np.ndarray  # s²
    contrasts: np.ndarray  # 1 - u


def wide_box(count: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """(psi_n, psi_p, 1/m, lam, t), log-uniform over the wide box."""
    rng = np.random.default_rng(seed)
    box = ((0.01, 100), (0.01, 100), (1e-3, 1), (1e-8, 10), (1e-3, 3))
    return tuple(np.exp(rng.uniform(log(low), log(high), count)) for low, high in box)


def coefficients(psi_n, psi_p, u, lam, t) -> Coefficients:
    """Of tanh at σx² = 1."""
    a2, h = np.exp(-2 * t), -np.expm1(-2 * t)
    c = jax.jit(jax.vmap(rfdsm.Tanh().constants))(a2, h)
    b2, v2, s2 = np.asarray(c.b) ** 2, np.asarray(c.v2), np.asarray(c.s2)
    ratio = psi_p / psi_n
    linear = (b2 * a2, u * b2 * h, b2 * h)
    return Coefficients(lam, psi_p, ratio, u * ratio, *linear, v2 + u * s2, s2, 1 - u)


def one_atom(x, lam, psi_p, ratio, u_ratio, A, U, H, B0, B1, contrasts, exp=exp):
    """The equations at σ = 1 in (ln q, ln qD), zero at the solution: two unknowns suffice."""
    q, G = x.tolist()
    q, G = exp(q), exp(G)
    E0, E1 = (A + U) * G + B0 * q, H * G + B1 * q
    i0, i1 = 1 / (1 + ratio * E0), contrasts / (1 + u_ratio * E1)
    return (
        lam * q + E0 * i0 + E1 * i1 - 1,
        G / q + psi_p * G * ((A + U) * i0 + H * i1) - 1,
    )


def several_atoms(x, atoms, lam, psi_p, ratio, u_ratio, A, U, H, B0, B1, contrasts):
    """Several atoms (σ, weight), in (ln E0, ln E1, ln q)."""
    E0, E1, q = map(exp, x.tolist())
    i0, i1 = 1 / (1 + ratio * E0), contrasts / (1 + u_ratio * E1)
    slope, rest = psi_p * q * A * i0, 1 + psi_p * q * (U * i0 + H * i1)
    mass = linear = 0.0
    for sigma, weight in atoms:
        D = weight / (rest + slope * sigma)
        mass += D
        linear += sigma * D
    return (
        log(q * (A * linear + U * mass + B0) / E0),
        log(q * (H * mass + B1) / E1),
        lam * q + E0 * i0 + E1 * i1 - 1,
    )


def solve_with_root(rows: list[list[float]], atoms: list[tuple[float, float]] = ()) -> int:
    """How many rows of `Coefficients` `scipy.optimize.root` solves, one after another.

    Its default method without a Jacobian is the fastest: with one it takes 1.1 times as long,
    `lm` 1.9 times, and the others overflow from these starts.
    """
    solved = 0
    for row in rows:
        lam, _, _, _, A, U, H, B0, B1, _ = row
        q = -log(lam + B0 + B1)
        if atoms:
            start = q + log(A + U + B0), q + log(H + B1), q
            solved += root(several_atoms, start, args=(atoms, *row)).success
        else:
            solved += root(one_atom, (q, q), args=tuple(row)).success
    return solved


def newton(c: Coefficients, start: jax.Array) -> jax.Array:
    """`STEPS` Newton steps in (ln q, ln G), held as q + iG in one array (section 13).

    Entries of the Jacobian and its determinant are written without subtraction.
    """
    A = c.A + c.U

    def step(_, carry):
        q, G = carry.real, carry.imag
        E0, E1 = A * G + c.B0 * q, c.H * G + c.B1 * q
        i0, i1 = 1 / (1 + c.ratio * E0), 1 / (1 + c.u_ratio * E1)
        Y = A * i0 + c.contrasts * c.H * i1
        y = 1 + c.psi_p * q * Y
        first, second = c.lam * q + E0 * i0 + c.contrasts * E1 * i1 - 1, G * y / q - 1
        j0, j1 = i0 * i0, c.contrasts * i1 * i1
        first_q = q * (c.lam + c.B0 * j0 + c.B1 * j1)
        first_G = G * (A * j0 + c.H * j1)
        second_q = -1 - c.psi_p * q * q * (
            c.ratio * A * c.B0 * j0 + c.u_ratio * c.H * c.B1 * j1
        )
        second_G = 1 + c.psi_p * q * (
            A * j0 * (1 + c.ratio * c.B0 * q) + c.H * j1 * (1 + c.u_ratio * c.B1 * q)
        )
        down = -1 / (first_q * second_G - first_G * second_q)
        by_q = down * (second_G * first - first_G * y * second)
        by_G = down * (first_q * y * second - second_q * first)
        return jax.lax.complex(q * (1 + by_q / 8) ** 8, G * (1 + by_G / 8) ** 8)

    return jax.lax.fori_loop(0, STEPS, step, start)


def starts(c: Coefficients) -> np.ndarray:
    """q + iG from which `newton` converges everywhere (section 13)."""
    A, X = c.A + c.U, c.lam + c.B0 + c.contrasts * c.B1
    D = X / (X + c.psi_p * (A + c.contrasts * c.H))
    c0, c1 = A * D + c.B0, c.H * D + c.B1

    def root_of(a, b, constant):
        """The positive root of a x² + b x - constant, by the branch that does not cancel."""
        w = np.sqrt(b * b + 4 * a * constant)
        return np.where(b > 0, 2 * constant / (np.abs(b) + w), (w - b) / (2 * a))

    rest, room = c.lam + c.contrasts * c1, np.maximum(1 - 1 / c.ratio, 0)
    steep = c.u_ratio * c1
    q = np.maximum(
        root_of(rest * c.ratio * c0, rest + c0 - c.ratio * c0, 1.0),
        root_of(c.lam * steep, rest - room * steep, room),
    )
    i0, i1 = 1 / (1 + c.ratio * c0 * q), c.contrasts / (1 + c.u_ratio * c1 * q)
    return q + 1j * q / (1 + c.psi_p * q * (A * i0 + c.H * i1))
