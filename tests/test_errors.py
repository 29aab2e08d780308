"""Statuses by name, and where warnings point."""

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
