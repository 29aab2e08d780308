"""What data points look like, beside a Gaussian law of the same covariance."""

import math
from typing import NamedTuple

import numpy as np

LEADING = 10  # principal directions that kurtosis is averaged over
UNLIKE = 100.0  # times the median column's variance: columns of different units


class Description(NamedTuple):
    """What data points look like, beside a Gaussian law of the same covariance Σ.

    Attributes:
        points, d: the number of points, and of columns.
        constant: columns that are constant.
        effective_dimension: (tr Σ)²/tr Σ².
        norms: the standard deviation of |x|² over that of the Gaussian, √(2 tr Σ²).
        kurtosis: E u⁴/(E u²)², averaged over the leading principal directions; Gaussian: 3.
        directions: how many these are.
        largest: the largest variance of a column, over the median of those not constant.
    """

    points: int
    d: int
    constant: int
    effective_dimension: float
    norms: float
    kurtosis: float
    directions: int
    largest: float = 1.0

    def lines(self) -> list[str]:
        """Two lines of text, and one more where the columns seem to have different units."""
        constant = f" ({self.constant} of them constant)" if self.constant else ""
        told = [
            f"{self.points} points of {self.d} columns{constant}, effective dimension "
            f"{self.effective_dimension:.3g}",
            f"squared norms vary {self.norms:.2g} times as much as a Gaussian's; kurtosis of "
            f"the {self.directions} leading directions {self.kurtosis:.2g} (Gaussian 3)",
        ]
        if self.largest > UNLIKE:
            told.append(
                f"one column varies {self.largest**0.5:.2g} times as much as the median one, "
                "and outweighs the others: --scale columns, if their units differ"
            )
        return told


def describe(X: np.ndarray) -> Description:
    """How many points and directions the data have, and how Gaussian they look.

    Args:
        X: points, shape (N, d), not all alike.
    """
    centred = X - X.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(X))
    variances = np.clip(variances[::-1], 0, None)
    trace, trace2 = variances.sum(), np.sum(variances**2)
    norms2 = np.sum(centred**2, axis=1)
    count = min(LEADING, int(np.sum(variances > 1e-12 * trace)))
    along = centred @ directions[:, ::-1][:, :count]
    kurtosis = np.mean(along**4, axis=0) / np.mean(along**2, axis=0) ** 2
    of_columns = np.mean(centred**2, axis=0)
    return Description(
        points=len(X),
        d=X.shape[1],
        constant=int(np.sum(np.all(X == X[:1], axis=0))),
        effective_dimension=float(trace**2 / trace2),
        norms=float(np.std(norms2) / math.sqrt(2 * trace2)),
        kurtosis=float(np.mean(kurtosis)),
        directions=count,
        largest=float(of_columns.max() / np.median(of_columns[of_columns > 0])),
    )
