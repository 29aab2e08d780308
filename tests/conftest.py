"""Settings every test runs under: float64, strict promotion of types and ranks."""

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


# The canary first: with a wrong backend nothing else means anything. Then the files of long
# tests, so that two workers end together.
FIRST = (
    "test_canary",
    "test_theory_meets_simulation",
    "test_moments_meet_the_network",
    "test_docs",
    "test_trajectory",
    "test_tuning",
    "test_derivatives",
    "test_spectrum",
)


def pytest_collection_modifyitems(items):
    """`FIRST` first."""
    place = {name: index for index, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(FIRST)))


# Most programs of these files run once: to compile them well takes longer than to run them.
COMPILED_FAST = {
    "test_asymptotics",
    "test_cli",
    "test_curve",
    "test_derivatives",
    "test_flow_oracle",
    "test_landscape",
    "test_limits",
    "test_model",
    "test_moments",
    "test_predict",
    "test_spectrum",
    "test_spectrum_command",
    "test_train",
    "test_training",
    "test_trajectory",
    "test_tuning",
}


@pytest.fixture(autouse=True, scope="module")
def _compilation(request):
    """Compiled programs of one file are of no use to the next."""
    fast = request.module.__name__ in COMPILED_FAST
    jax.config.update("jax_disable_most_optimizations", fast)
    yield
    jax.clear_caches()
