"""Statuses by name."""

from rfdsm import Status
from rfdsm.errors import STATUSES


def test_statuses_are_all_named():
    assert len(STATUSES) == len(Status) and len(set(STATUSES)) == len(Status)
    assert all(hasattr(Status, name) for name in STATUSES)
