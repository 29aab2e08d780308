"""Settings every test runs under: float64, strict promotion of types and ranks."""

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_collection_modifyitems(items):
    """The canary first (of each worker): with a wrong backend nothing else means anything."""
    items.sort(key=lambda item: item.path.name != "test_canary.py")


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory():
    """Compiled programs of one file are of no use to the next."""
    yield
    jax.clear_caches()
