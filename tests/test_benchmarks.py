"""What benchmarks keep, and the table that is made of it."""

import json
from types import SimpleNamespace

import pytest

from benchmarks import results
from benchmarks.figures import Figure, at_least, at_most


def test_the_table_is_that_of_the_files():
    assert results.written() == results.README.read_text("utf-8"), "run: python -m benchmarks"


def test_limits_say_whether_they_hold():
    assert at_least(3, 3.0) == {"limit": "at least 3", "limit_holds": True}
    assert at_most(1.6, 1.7) == {"limit": "at most 1.6", "limit_holds": False}


def test_figures_of_other_benchmarks_stay(tmp_path, monkeypatch):
    """Those of a benchmark that runs again are replaced, and one that fails leaves all."""

    def figures(value):
        return SimpleNamespace(run=lambda: [Figure("speed", value, "points/s")])

    def fails():
        raise RuntimeError

    monkeypatch.setattr(results, "RESULTS", tmp_path)
    for name, module in (
        ("theory", figures(1.0)),
        ("tuning", figures(2.0)),
        ("theory", figures(3.0)),
    ):
        monkeypatch.setattr(results, "import_module", lambda _, module=module: module)
        results.measure(name)
    monkeypatch.setattr(results, "import_module", lambda _: SimpleNamespace(run=fails))
    with pytest.raises(RuntimeError):
        results.measure("tuning")
    (path,) = tmp_path.iterdir()
    kept = json.loads(path.read_text("utf-8"))
    values = {k: v["figures"][0]["value"] for k, v in kept["benchmarks"].items()}
    assert values == {"theory": 3.0, "tuning": 2.0} and kept["device"]["name"] == path.stem
    assert "3 points/s" in results.table()


def test_numbers_have_three_digits():
    shown = map(results.number, (2.94e7, 1234.4, 0.0123, 3.04e-5, 0.0, 152.3))
    assert [*shown] == ["2.9e7", "1,234", "0.0123", "3e-5", "0", "152"]
    assert results.number(0.5, "s") == "0.5 s" and results.number(None) == ""
