"""Settings every test runs under: float64, strict promotion of types and ranks."""

import os
from pathlib import Path

# Programs compiled by one worker, file, process or notebook serve the others. Before jax starts.
CACHE = Path(__file__).parent.parent / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import jax  # noqa: E402
import pytest  # noqa: E402

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
