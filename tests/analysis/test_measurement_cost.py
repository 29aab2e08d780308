"""What measuring takes is told, and what cannot fit is refused, before it begins."""

import jax
import numpy as np
import pytest

import rfdsm
from rfdsm._numerics import memory
from rfdsm.analysis.measurement_cost import Cost

LARGE = Cost(N=2000, d=300, p=4000, noises=16, classes=12, halves=False)


def test_four_thousand_features_in_twelve_classes_take_eight_gigabytes():
    """As measured: 7.7e9 bytes, of which 0.3e9 are Python's and JAX's own."""
    assert 7.4e9 < LARGE.memory < 8.4e9
    assert LARGE._replace(classes=4).memory < LARGE.memory / 2
    assert LARGE._replace(halves=True).memory > 5 * LARGE.memory


def test_time_grows_with_what_is_asked():
    more = {"N": 20000, "noises": 64, "classes": 24, "halves": True, "p": 8000}
    for name, value in more.items():
        assert LARGE._replace(**{name: value}).seconds > LARGE.seconds
    assert LARGE._replace(p=100, classes=1).seconds < 1


def test_what_cannot_fit_is_refused_in_one_line(monkeypatch):
    X = np.random.default_rng(0).standard_normal((64, 8))
    model = rfdsm.RFDSM(2.0, 2.0, 4, t=0.1, lam=1e-2, data=rfdsm.Samples(rfdsm.standardise(X)))
    monkeypatch.setattr(memory, "available", lambda: 1e6)
    with pytest.raises(MemoryError, match=r"halves=True, need .*: pass"):
        rfdsm.measure(model, jax.random.key(0), 4, classes=2)
    with pytest.raises(MemoryError, match="free: take fewer classes or a smaller psi_p") as no:
        rfdsm.measure(model, jax.random.key(0), 4, classes=2, halves=False)
    assert "\n" not in str(no.value)
