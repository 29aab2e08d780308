"""Settings every test runs under: float64, strict promotion of types and ranks.

Most programs of the tests run once, and to compile them well takes longer than to run them. So
XLA compiles them quickly: another emitter of loops, and in all files but `COMPILED_WELL` hardly
an optimisation. With RFDSM_AS_USERS=1 nothing is switched, and the programs are those that
users run; `make test-all` has one pass of the default set in this way.
"""

import os
from importlib.metadata import version
from pathlib import Path

AS_USERS = os.environ.get("RFDSM_AS_USERS") == "1"
if not AS_USERS and version("jaxlib").startswith("0.10."):  # others may not know the flag
    # Read when jax starts; processes and notebooks that tests start inherit it.
    quick = "--xla_cpu_use_fusion_emitters=false"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {quick}".strip()

os.environ.setdefault("RFDSM_CACHE", "off")  # nothing of a user's, and nothing of tests in it

import jax  # noqa: E402
import pytest  # noqa: E402

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

# Programs of these files run for longer than they compile.
COMPILED_WELL = {
    "analysis/test_canary",
    "analysis/test_measurement",
    "test_theory_meets_simulation",
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
    fast = not AS_USERS and name_of(request.path) not in COMPILED_WELL
    jax.config.update("jax_disable_most_optimizations", fast)
    yield
    jax.clear_caches()
