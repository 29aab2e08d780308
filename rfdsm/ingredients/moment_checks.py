"""What arrays have to be to be moments of features on data: shapes and values."""

from typing import Any

import numpy as np

from .._numerics.linalg import one_thread
from ..parameters.checks import WEIGHT_TOLERANCE, is_traced, require

SYMMETRY = 1e-8  # of the largest entry
POSITIVE = 1e-8  # of the trace: how far below 0 an eigenvalue may lie


def require_shapes(S_g: Any, S_s: Any, T: Any, weights: Any) -> None:
    """Refuse arrays that do not fit together."""
    if S_g.ndim < 2 or S_g.shape[-1] != S_g.shape[-2] or S_g.shape != S_s.shape:
        raise ValueError(
            f"S_g and S_s must be square and of one shape, got {S_g.shape} and {S_s.shape}."
        )
    if T.ndim != S_g.ndim or T.shape[:-1] != S_g.shape[:-1]:
        raise ValueError(
            f"T must have a row for each of the {S_g.shape[-1]} features and a column for each "
            f"dimension of the data, (..., p, d), got {T.shape} beside S_g of {S_g.shape}."
        )
    least = 2 if weights is None else 3
    if not least <= S_g.ndim <= least + 1:
        raise ValueError(
            f"S_g must have {least} axes, {'(p, p)' if least == 2 else '(classes, p, p)'}, and "
            f"one more in front for several draws, got {S_g.shape}"
            + (": give the classes' shares as weights=..." if S_g.ndim > least else ".")
        )
    if weights is not None and weights.shape not in (S_g.shape[-3:-2], S_g.shape[:-2]):
        raise ValueError(
            f"weights must be one share for each of the {S_g.shape[-3]} classes, got shape "
            f"{weights.shape}."
        )


def require_values(S_g: Any, S_s: Any, T: Any, weights: Any, population: Any) -> None:
    """Refuse what are no second moments, weights or number of points; traced, all pass."""
    for name, array in (("S_g", S_g), ("S_s", S_s), ("T", T)):
        if not is_traced(array) and not np.all(np.isfinite(array)):
            raise ValueError(f"{name} has entries that are NaN or infinite.")
    if not is_traced(S_g, S_s):
        for name, S in (("S_g", S_g), ("S_s", S_s)):
            difference = max(np.max(np.abs(one - one.T)) for one in _each(S))
            if difference > SYMMETRY * max(np.max(np.abs(one)) for one in _each(S)):
                raise ValueError(
                    f"{name} is not symmetric: its entries differ from the transposed ones by "
                    f"up to {difference:.2g}; a second moment E f f^T is."
                )
        _require_positive("S_s", S_s)
        # What K noises leave, S_s/K, was taken out of an estimated S_g: for K >= 2 this much
        # of it is positive for certain, and enough for the equations.
        _require_positive("S_g", S_g, S_s)
    if weights is not None and not is_traced(weights):
        require(
            [
                (np.all(weights > 0), f"weights must be positive, got {weights}."),
                (
                    np.all(np.abs(np.sum(weights, -1) - 1) <= WEIGHT_TOLERANCE),
                    f"the weights of the classes must sum to 1, got {np.sum(weights, -1)}.",
                ),
            ]
        )
    if population is not None:
        require([(population >= 2, f"population must be at least 2, got {population}.")])


def require_data(
    T_x: Any, X2: Any, S_g: Any, S_s: Any, T: Any, weights: Any, parts: Any
) -> None:
    """Refuse T_x and X2 that do not fit the other moments; traced, all values pass."""
    given = [T_x, X2] + ([] if parts is None else [parts.T_x, parts.X2])
    if len({x is None for x in given}) > 1:
        raise ValueError(
            "T_x = E f x^T and X2 = E|x|²/d go together, of parts too: give both or neither."
        )
    if T_x is None:
        return
    if T_x.shape != T.shape:
        raise ValueError(f"T_x must have the shape of T, {T.shape}, got {T_x.shape}.")
    if X2.shape not in (S_g.shape[:-2], () if weights is None else S_g.shape[-3:-2]):
        raise ValueError(f"X2 must be one number for each class, got shape {X2.shape}.")
    if is_traced(T_x, X2, S_g, S_s):
        return
    if not np.all(np.isfinite(T_x)):
        raise ValueError("T_x has entries that are NaN or infinite.")
    require([(np.all((X2 > 0) & np.isfinite(X2)), f"X2 must be positive, got {X2}.")])
    squares = sum(np.trace(S, axis1=-2, axis2=-1) for S in (S_g, S_s))
    most = squares * X2 * T.shape[-1]
    if np.any(np.sum(T_x**2, (-2, -1)) > (1 + SYMMETRY) * most):
        raise ValueError(
            "T_x is larger than |E f x^T|² <= E|f|² E|x|² allows: X2 must be E|x|²/d, per "
            "dimension, and T_x of the same points as S_g and S_s."
        )


def symmetric(S: Any) -> Any:
    """The symmetric part of each matrix; what is symmetric already is not copied."""
    if not is_traced(S) and all(np.array_equal(one, one.T) for one in _each(S)):
        return S
    return (S + S.swapaxes(-1, -2)) / 2


def _each(S):
    """The matrices of an array, which checks take one at a time: they may fill the memory."""
    return S.reshape(-1, *S.shape[-2:])


def _require_positive(name, S, allowed=None):
    """By Cholesky of S + allowed/2 + rounding: ten times cheaper than eigenvalues."""
    # The largest trace bounds the eigenvalues.
    size = np.max(np.sum(np.abs(np.diagonal(S, axis1=-2, axis2=-1)), axis=-1))
    if size == 0:
        return
    rounding = POSITIVE * size * np.eye(S.shape[-1])
    try:
        with one_thread():
            for at in np.ndindex(S.shape[:-2]):
                more = rounding if allowed is None else rounding + allowed[at] / 2
                np.linalg.cholesky(S[at] + more)
    except np.linalg.LinAlgError:
        least = np.min(np.linalg.eigvalsh(S))
        raise ValueError(
            f"{name} is not positive: its smallest eigenvalue is {least:.2g}; a second moment "
            "E f f^T has none below 0."
        ) from None


def require_between(left: Any, right: Any, S_g: Any, S_s: Any) -> None:
    """Refuse S_g and S_s between two networks that do not fit the shapes of each one's own."""
    shape = *left.S_g.shape[:-1], right.S_g.shape[-1]
    if not S_g.shape == S_s.shape == shape:
        raise ValueError(
            "S_g and S_s between two networks must have a row for each feature of the left and "
            f"a column for each of the right, {shape}, got {S_g.shape} and {S_s.shape}."
        )


def require_joint(left: Any, right: Any, S_g: Any, S_s: Any) -> None:
    """Refuse what with each network's own are no second moments of both; traced, all pass."""
    if not is_traced(left, right, S_g, S_s):
        both = (
            np.block([[ours, S], [np.swapaxes(S, -1, -2), theirs]])
            for ours, S, theirs in ((left.S_g, S_g, right.S_g), (left.S_s, S_s, right.S_s))
        )
        require_values(*both, left.T, None, None)
