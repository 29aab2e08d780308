"""Files that are written whole or not at all."""

import os

import pytest

from rfdsm._files import whole as files


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "figure.png"
    target.write_text("old")
    with pytest.raises(RuntimeError), files.whole_file(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["figure.png"]
    with files.whole_file(target) as partial:
        partial.write_text("new")
    assert target.read_text() == "new" and os.listdir(tmp_path) == ["figure.png"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match="Permission denied"):
        files.require_writable(tmp_path / "new" / "a.nc", (".nc",))
