"""What data points look like."""

import numpy as np
import pytest

from rfdsm import standardise
from rfdsm.analysis import points as looks


def test_descriptions_tell_gaussian_points_from_others():
    rng = np.random.default_rng(2)
    gaussian = looks.describe(rng.normal(size=(4000, 6)) * [1, 1, 1, 1, 1, 3])
    assert gaussian.effective_dimension == pytest.approx(14**2 / 86, rel=0.1)
    assert gaussian.norms == pytest.approx(1, abs=0.1)
    assert gaussian.kurtosis == pytest.approx(3, abs=0.3)
    assert gaussian.lines()[1].startswith("squared norms vary")
    mixture = looks.describe(rng.normal(size=(4000, 6)) * rng.choice([0.2, 2], (4000, 1)))
    assert mixture.norms > 1.5 and mixture.kurtosis > 4
    assert len(mixture.lines()) == 2


def test_columns_of_different_units_get_a_hint():
    """As of wine's 13 columns one is 400 times as wide as the median."""
    X = np.random.default_rng(3).normal(size=(200, 5))
    assert len(looks.describe(X * [1, 2, 3, 4, 5]).lines()) == 2
    told = looks.describe(X * [1, 1, 1, 1, 300]).lines()
    assert len(told) == 3 and "--scale columns" in told[2] and "dimension 1" in told[0]
    scaled = looks.describe(standardise(X * [1, 1, 1, 1, 300], columns=True))
    assert len(scaled.lines()) == 2 and scaled.effective_dimension > 4


def test_columns_are_scaled_each_and_may_be_constant():
    X = np.random.default_rng(4).normal(size=(50, 3)) * [1, 1e3, 1] + [0, 5, 0.1]
    X[:, 2] = 0.1
    scaled = standardise(X, columns=True)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-12)
    assert np.all(scaled[:, 2] == 0) and np.std(scaled[:, 0]) == pytest.approx(1.5**0.5)
    np.testing.assert_allclose(np.std(scaled[:, 0]), np.std(scaled[:, 1]))
