"""Runs first: is the backend right at all?"""

import pytest

from rfdsm.analysis import canary


def test_backend_computes_right_numbers():
    for check in canary.checks():
        assert check.ok, f"{check.name}: relative deviation {check.deviation:.1e}"


@pytest.mark.parametrize("factor", [1 + 1e-6, float("nan")])
def test_a_wrong_backend_is_noticed(monkeypatch, factor):
    real = canary.jax.vmap
    monkeypatch.setattr(canary.jax, "vmap", lambda f: lambda *x: factor * real(f)(*x))
    assert not any(check.ok for check in canary.checks())
