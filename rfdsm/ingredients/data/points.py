"""Matrices of data points: checked, standardised, their covariance."""

from typing import Any

import numpy as np

from ...errors import warn
from ...parameters.checks import float_array, is_traced

SQUARES = 1e-100, 1e100  # numbers between them have squares, and sums of those
MEAN_TOLERANCE = 1e-3  # |mean|² above this share of the total variance warns


def standardise(X: Any, columns: bool = False) -> np.ndarray:
    """X centred, and scaled to mean variance 1.

    Args:
        X: samples, shape (N, d). Constant columns are legal and become 0.
        columns: scale each column to one variance, where they have different units, rather
            than all by one factor.

    Raises:
        ValueError: not a finite matrix of at least two rows, or all columns constant.
    """
    X = sample_matrix(X, check_mean=False)
    largest = np.max(np.abs(X), axis=0 if columns else None)
    X = np.ldexp(X, -np.frexp(largest)[1])  # exactly, so that no square overflows
    constant = np.all(X == X[:1], axis=0)
    X = np.where(constant, 0, X - X.mean(axis=0))
    if columns:
        X = X / np.where(constant, 1, np.std(X, axis=0))
    return X / np.sqrt(np.mean(X**2))


def sample_matrix(X: Any, check_mean: bool = True) -> np.ndarray:
    """X as a checked float matrix on the host; see `Samples` for what is refused."""
    if is_traced(X):
        raise TypeError("samples must be concrete: there is no derivative in X.")
    if isinstance(X, np.ma.MaskedArray):
        raise TypeError("X is a masked array: fill its masked entries or drop those rows.")
    try:
        X = np.asarray(X)
        X = np.array(X.tolist()) if X.dtype == object else X  # what its elements are
        X = float_array(X.astype(int) if X.dtype == bool else X, "X")
    except (TypeError, ValueError):
        what = getattr(X, "dtype", type(X).__name__)
        raise TypeError(
            f"X must be a numeric matrix of real numbers, shape (points, d), got {what}."
        ) from None
    if X.ndim != 2 or X.shape[1] < 1:
        raise ValueError(f"X must be a matrix of shape (points, d), got shape {X.shape}.")
    if X.shape[0] < 2:
        raise ValueError(f"X must have at least two rows (points), got {X.shape[0]}.")
    bad = np.argwhere(~np.isfinite(X))
    if len(bad):
        row, column = 1 + bad[0]
        raise ValueError(
            f"X has {len(bad)} entries that are NaN or infinite, the first in row {row}, "
            f"column {column}: drop or fill those rows first."
        )
    if np.all(X == X[:1]):
        raise ValueError("all columns of X are constant: there is nothing to learn.")
    if check_mean:
        if not SQUARES[0] < (largest := np.max(np.abs(X))) < SQUARES[1]:
            raise ValueError(
                f"the largest number in X is {largest:.3g}, whose square is out of a float's "
                "range: pass rfdsm.standardise(X), or other units."
            )
        mean2 = np.sum(X.mean(axis=0) ** 2)
        if mean2 > MEAN_TOLERANCE * np.mean(np.sum(X**2, axis=1)):
            warn(
                f"the mean of X is not small (|mean|² = {mean2:.3g}), and the theory is "
                "for centred data: pass rfdsm.standardise(X)."
            )
    return X


def covariance_eigenvalues(X: np.ndarray) -> np.ndarray:
    """Eigenvalues of XᵀX/N, clipped at 0, in ascending order, shape (d,)."""
    return np.clip(np.linalg.eigvalsh(X.T @ X / X.shape[0]), 0, None)
