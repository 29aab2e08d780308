"""What every test of the command line wants: warnings shown as before it ran."""

import warnings

import pytest


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
