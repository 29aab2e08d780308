"""What data points look like."""

import numpy as np
import pytest

from rfdsm.analysis import points as looks


def test_descriptions_tell_gaussian_points_from_others():
    rng = np.random.default_rng(2)
    gaussian = looks.describe(rng.normal(size=(4000, 6)) * [1, 1, 1, 1, 1, 3])
    assert gaussian.effective_dimension == pytest.approx(14**2 / 86, rel=0.1)
    assert gaussian.norms == pytest.approx(1, abs=0.1)
    assert gaussian.kurtosis == pytest.approx(3, abs=0.3)
    assert "close to Gaussian" in gaussian.lines()[1]
    mixture = looks.describe(rng.normal(size=(4000, 6)) * rng.choice([0.2, 2], (4000, 1)))
    assert mixture.norms > 1.5 and mixture.kurtosis > 4
    assert mixture.lines()[1].startswith("not Gaussian")
