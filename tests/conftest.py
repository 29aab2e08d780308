"""Settings every test runs under: float64, strict promotion of types and ranks."""

from pathlib import Path

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

TESTS = Path(__file__).parent

# The canary first: with a wrong backend nothing else means anything. Then the files of long
# tests, so that two workers end together.
FIRST = (
    "analysis/test_canary",
    "test_theory_meets_simulation",
    "analysis/test_measurement",
    "test_docs",
    "asymptotics/test_learning_curve",
    "tuning/test_minimise",
    "asymptotics/test_equivalent",
    "asymptotics/test_spectrum",
)

# Most programs of these files run once: to compile them well takes longer than to run them.
COMPILED_FAST = {
    "asymptotics/test_equivalent",
    "asymptotics/test_learning_curve",
    "asymptotics/test_limits",
    "asymptotics/test_solution",
    "asymptotics/test_spectrum",
    "analysis/test_few_points",
    "cli/test_app",
    "cli/test_curve",
    "cli/test_predict",
    "cli/test_spectrum",
    "cli/test_train",
    "cli/test_tune",
    "ingredients/test_moments",
    "ingredients/test_training",
    "test_extensions",
    "test_flow_oracle",
    "test_model",
    "tuning/test_minimise",
}


def name_of(path: Path) -> str:
    """A test file by its folder and name."""
    return path.relative_to(TESTS).with_suffix("").as_posix()


def pytest_collection_modifyitems(items):
    """`FIRST` first."""
    place = {name: index for index, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(name_of(item.path), len(FIRST)))


@pytest.fixture(autouse=True, scope="module")
def _compilation(request):
    """Compiled programs of one file are of no use to the next."""
    fast = name_of(request.path) in COMPILED_FAST
    jax.config.update("jax_disable_most_optimizations", fast)
    yield
    jax.clear_caches()
