r"""A bound on what rounding costs the errors of one atom, from the solution itself.

With ε the rounding of one operation, the first equation is moved by about ε and the second, as
the Jacobian J has it, by ε/D; where u is rounded 1 - u is moved by ε, which is ε i1 E1 and
ε ψ_p q b²h i1 more, and in α = u i0 + (1-u) i1 a relative ε i1/α. Each error is a sum of terms
of known size, moved relatively by ε times

    OWN + |J^{-1}| |moved equations| + i1/α:

losses are null - 2 lin + K, score errors gain²/h times that and the true score's share, bias²
is σ_t (1/σ_t - κ)², where κ, the mean score's slope, is what the network learns less `tilt`.
"""

from functools import reduce
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..errors import FIELDS, NEED_TRUE_SCORE, Errors
from . import one_atom
from .averaged import AveragedEquations
from .scalars import Image, State

OWN = 16.0  # roundings of the formulas themselves
# The worst of 2.5·10^6 points had a sixth of the bound in psi 0.01..100, λ 1e-8..10, t 1e-3..3;
# a quarter in psi 1e-3..1e3, λ 1e-12..1e3, t 1e-4..10, where linear features, which converge
# slowly, had two thirds. All on a CPU: for what rounds a division otherwise there is this room.
SAFETY = 5.0


def bound(
    equations: AveragedEquations, state: State, errors: Errors, rounded_u: Any
) -> Float[Array, ""]:
    """The bound on the rounding of any error, relative to max(value, 1).

    Of score errors to max(value, ∫ρ/σ_t). The rounding of the model's numbers is in it.

    Args:
        rounded_u: 1 where u = 1/m may be rounded, 0 where it is exact.
    """
    truth = 1 / equations.denoising.noising.variances(equations.eigenvalues[0])
    of_all = terms(equations, state, errors, rounded_u)

    def relative(name):
        least = truth if name in NEED_TRUE_SCORE else 1
        return getattr(of_all, name) / jnp.maximum(getattr(errors, name), least)

    return SAFETY * _eps(errors) * reduce(jnp.maximum, map(relative, FIELDS))


def terms(equations: AveragedEquations, state: State, errors: Errors, rounded_u: Any) -> Errors:
    """How far a rounding moves each error, in ε."""
    moved, exact = _moved(equations, state, rounded_u), equations.image(1, 1)
    denoising, sigma = equations.denoising, equations.eigenvalues[0]
    noised, null = denoising.noising.variances(sigma), equations.null
    least = _size(state.image, sigma) * _size(exact, sigma) * state.coupling[0]
    test = moved * (jnp.abs(errors.test_loss - null + 2 * state.alignment) + least)
    gain = errors.memorization_loss - null + 2 * state.training_alignment
    best = OWN * _size(exact, sigma) ** 2 / noised
    score = denoising.gain**2 * (best + test / denoising.noising.h)
    off = jnp.sqrt(jnp.maximum(errors.bias2, 0) / noised)
    slope = OWN / noised + moved * (off + 1 / noised + abs(denoising.tilt))
    # Of off², whose root may have lost its digits.
    bias2 = noised * slope * (2 * off + SAFETY * _eps(errors) * slope)
    return Errors(
        score_error=score,
        test_loss=OWN * null + test,
        train_loss=OWN * null,
        memorization_loss=OWN * null + moved * (jnp.abs(gain) + least),
        bias2=bias2,
        variance=score + bias2,
    )


def _moved(equations: AveragedEquations, state: State, rounded_u: Any) -> Any:
    """How far, relatively and in ε, the terms of an error are moved."""
    x, q = equations.scalars(state.u), state.q
    first = 1 + rounded_u * state.E1 * state.i1
    second = 1 / state.D[0] + rounded_u * x.psi_p * q * x.H * state.i1
    squares = state.i0 * state.i0, state.i1 * state.i1
    moves, determinant = one_atom.system(state.lam, x, q, q * state.D[0], q, *squares)
    unknowns = (moves(-first, second)[0] - moves(first, second)[1]) / determinant  # at most
    return OWN + unknowns + rounded_u * state.i1 / state.alpha


def _size(image: Image, sigma: Any) -> Any:
    """What a target's two parts come to where they do not cancel."""
    return abs(image.noise) + abs(image.data) * sigma


def _eps(errors: Errors) -> float:
    """ε of the errors' precision."""
    return float(jnp.finfo(errors.test_loss.dtype).eps)
