"""Constraints on networks: whether they hold there, and whether the theory's claim stands."""

import jax
import numpy as np
import pytest

import rfdsm
from rfdsm.tuning import verification
from rfdsm.tuning.minimise import problem_of

MODEL = rfdsm.RFDSM(psi_n=4.0, psi_p=8.0, m=1.0, t=0.2, lam=1e-2)


@pytest.mark.parametrize(
    "mean, half, holds, stands",
    [
        (0.6185, 0.637, False, True),  # c/d, as twice as much at half the dimension shows
        (0.6185, 0.6185, False, False),  # no matter of the dimension
        (0.603, None, True, True),
        (0.59, None, True, True),
    ],
)
def test_a_constraint_is_judged_by_its_bound_and_its_limit(
    monkeypatch, mean, half, holds, stands
):
    limit = rfdsm.at_most("train_loss", 0.6)
    problem = problem_of(MODEL, {"lam": (1e-4, 1.0)}, "test_loss", limit)
    monkeypatch.setattr(verification, "_half", lambda *_: [(0.0, 0.0), (half, 0.002)])
    seen, theory = [(0.7, 0.002), (mean, 0.002)], [0.7, 0.6]
    about = {}, seen, theory, jax.random.key(0), 32, 8
    (kept,) = verification._kept(problem, np.array([0.6]), *about).values()
    assert (kept.holds, kept.stands) == (holds, stands)
    assert (kept.limit is None) == holds and kept.theory == kept.bound == 0.6
    if not holds:
        seen = verification.Checked(None, False, {}, 0.7, 0.7, 0.002, 0.0)
        about = (), stands, (), {}, 32, 8, {"train_loss <= 0.6": kept}
        head = repr(verification.Verification(seen, *about)).splitlines()[0]
        assert head.startswith("breaks train_loss <= 0.6 (0.6185 ± 0.002) at d = 32")
        assert "stands" not in head and ("it holds within its error" in head) == stands


def test_a_function_may_return_float32():
    def loss(model):
        return model.asymptotics().test_loss.astype("float32")

    model = MODEL.replace(psi_n=2.0, psi_p=4.0)
    tuned = rfdsm.tune(model, {"lam": (1e-4, 10.0)}, loss, starts=2)
    assert 0.5 < tuned.value < 1
