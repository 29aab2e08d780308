"""Statuses by name, and where warnings point."""

import copy
import pickle
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm import Status
from rfdsm.errors import STATUSES, FewPoints


def test_statuses_are_all_named():
    assert len(STATUSES) == len(Status) and len(set(STATUSES)) == len(Status)
    assert all(hasattr(Status, name) for name in STATUSES)


def test_a_status_in_words_and_by_rows():
    model = rfdsm.RFDSM(2.0, 3.0, 4, t=0.1, lam=1e-2)
    status = jax.jit(jax.vmap(lambda x: model.replace(psi_p=x).solve().status))(
        jnp.array([3.0, 1.0, -1.0])
    )
    assert str(status) == "2 success, 1 invalid_input" and len(status) == 3
    assert str(status[0]) == "success" and str(status[:2]) == "2 success"
    assert str(status[2]).startswith("invalid_input: a number of the model is outside")
    assert [str(row)[:7] for row in status] == ["success", "success", "invalid"]
    assert [bool(row == Status.success) for row in status] == [True, True, False]
    assert list(status == "success") == [True, True, False] and status[2] != "success"
    assert Status[status[2]].startswith("a number") and isinstance(status[2], Status)
    assert pickle.loads(pickle.dumps(status[2])) == copy.deepcopy(status)[2] == "invalid_input"
    with pytest.raises(ValueError, match="one of success, invalid_input"):
        _ = status == "converged"


def test_nan_is_explained_to_who_debugs_it():
    model = rfdsm.RFDSM(2.0, 3.0, 4, t=0.1, lam=1e-2)
    X = rfdsm.standardise(np.random.default_rng(0).normal(size=(60, 6)))
    with jax.debug_nans(True):
        assert model.baselines().best == model.baselines().linear
        assert model.asymptotics().test_loss > 0
        assert model.simulate(jax.random.key(0), 8, 2).test_loss.shape == (2,)
        for asked in (
            lambda: model.replace(data=rfdsm.Samples(X)).baselines(),
            lambda: model.simulate(jax.random.key(0), 8),
        ):
            with pytest.raises(FloatingPointError, match="NaN is an answer here") as raised:
                asked()
            assert "\n" not in str(raised.value)


def test_errors_of_theory_are_their_own_mean():
    errors = rfdsm.RFDSM(2.0, 3.0, 4, t=0.1, lam=1e-2).asymptotics()
    assert errors.mean().to_dict() == errors.to_dict()
    assert all(np.isnan(list(errors.standard_error().to_dict().values())))


def test_warnings_point_at_the_users_line():
    """Through Equinox's wrapped methods, and from functions that call functions."""
    X = np.random.default_rng(0).normal(size=(60, 6)) + 1
    undeclared = rfdsm.Activation(lambda x: jnp.abs(x) + jnp.tanh(x))
    model = rfdsm.RFDSM(2.0, 3.0, 4, t=0.1, lam=1e-2)
    samples = rfdsm.Samples(rfdsm.standardise(X))
    for warns in (
        lambda: rfdsm.Samples(X),
        lambda: model.replace(activation=undeclared).asymptotics(),
        lambda: rfdsm.measure(
            model.replace(data=samples), jax.random.key(0), classes=1, report=print
        ),
    ):
        with pytest.warns(UserWarning) as caught:
            warns()
        assert {warning.filename for warning in caught} == {__file__}


def test_few_points_can_be_silenced_by_class():
    X = np.random.default_rng(0).normal(size=(60, 6))
    model = rfdsm.RFDSM(2.0, 3.0, 4, t=0.1, lam=1e-2, data=rfdsm.Samples(rfdsm.standardise(X)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewPoints)
        rfdsm.measure(model, jax.random.key(0), classes=1, report=print)
