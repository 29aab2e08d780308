"""Work that would not fit is refused before it begins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm._numerics import memory

MODEL = rfdsm.RFDSM(psi_n=2, psi_p=1e9, m=2, t=0.1, lam=1e-2)


def test_a_network_too_large_is_refused_in_a_line():
    key = jax.random.key(0)
    for work in (MODEL.simulate, MODEL.fit, MODEL.simulate_eigenvalues):
        with pytest.raises(MemoryError, match=r"at least, .* GiB are free") as no:
            work(key, 8)
        assert "\n" not in str(no.value)
    small = MODEL.replace(psi_p=2)
    with pytest.raises(MemoryError, match="trials of d = 8 need"):
        small.simulate(key, 8, 10**9)
    with pytest.raises(MemoryError, match=r"n = 1\.6e"):
        small.replace(psi_n=2e12).simulate(key, 8)
    points = rfdsm.Samples(np.concatenate([np.eye(8), -np.eye(8)]))
    with pytest.raises(MemoryError, match="moments of p = 8000000000"):
        rfdsm.measure(MODEL.replace(data=points), key)


def test_inside_a_jit_too():
    simulate = jax.jit(lambda lam: MODEL.replace(lam=lam).simulate(jax.random.key(0), 8))
    with pytest.raises(MemoryError, match="a network of d = 8"):
        simulate(jnp.asarray(0.1))


def test_a_container_has_its_own_limit(tmp_path, monkeypatch):
    assert 2**20 < memory.available() < 2**50
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert memory.available() == 2000
    with pytest.raises(MemoryError, match="a needs"):
        memory.require_memory(2001, "a needs", "fewer")
    memory.require_memory(2000, "a needs", "fewer")


@pytest.mark.parametrize(
    "budget, expected",
    [(None, None), ("4GB", 4e9), ("500 MB", 5e8), ("1.5GiB", 1.5 * 2**30), (1000, 1000)],
)
def test_a_budget_in_words_or_bytes(budget, expected):
    assert memory.bytes_of(budget) == expected


@pytest.mark.parametrize("budget", ["4 parsec", "-1GB", 0, "", "nan"])
def test_what_is_no_budget(budget):
    with pytest.raises(ValueError, match="'4GB'") as no:
        memory.bytes_of(budget)
    assert "\n" not in str(no.value)


def test_a_budget_is_kept_or_refused():
    small, key = MODEL.replace(psi_p=2), jax.random.key(0)
    for work in (small.simulate, small.fit, small.simulate_parts):
        with pytest.raises(MemoryError, match=r"memory allows 1e-06 GB") as no:
            work(key, 8, memory=1000)
        assert "\n" not in str(no.value)
    assert np.isfinite(small.simulate(key, 8, memory="1GB").test_loss).all()
