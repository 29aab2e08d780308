"""The folder of what is kept: whole, bounded, ours alone; and it never fails."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import rfdsm
from rfdsm._files import cache, whole

KEY = "0" * 64


@pytest.fixture(autouse=True)
def _off(monkeypatch):
    monkeypatch.setattr(cache, "_folder", None)
    monkeypatch.setenv(cache.VARIABLE, "off")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "kept"))
    rfdsm.enable_cache()
    return tmp_path / "kept"


def test_what_is_saved_is_loaded(folder):
    assert cache.load(KEY) is None
    cache.save(KEY, b"content")
    assert cache.load(KEY) == b"content"
    cache.save(KEY, b"other")
    assert cache.load(KEY) == b"other" and cache.load("1" * 64) is None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not whole.WRITTEN or folder not in {path.parent for path in whole.WRITTEN}


@pytest.mark.parametrize("where", [0, 40, -1])
def test_a_damaged_entry_is_missing_and_replaced(folder, where):
    cache.save(KEY, b"content" * 9)
    (path,) = folder.iterdir()
    damaged = bytearray(path.read_bytes())
    damaged[where] ^= 1
    path.write_bytes(damaged)
    assert cache.load(KEY) is None
    path.write_bytes(damaged[:20])
    assert cache.load(KEY) is None
    cache.save(KEY, b"content")
    assert cache.load(KEY) == b"content"


def test_the_folder_is_bounded_and_the_oldest_use_goes_first(folder, monkeypatch):
    monkeypatch.setattr(cache, "MOST", 3 * (100 + cache.DIGEST))
    for number in range(3):
        cache.save(str(number), bytes(100))
        os.utime(folder / f"{number}{cache.SUFFIX}", (number, number))
    assert cache.load("0")  # its use is the last now
    cache.save("3", bytes(100))
    assert {path.stem for path in folder.iterdir()} == {"0", "2", "3"}


def test_what_a_killed_process_left_is_removed_a_day_later(folder):
    for name, age in (("old", 2 * cache.DAY), ("new", 0)):
        left = folder / f"{whole.UNFINISHED}{name}"
        left.mkdir()
        (left / "half").write_bytes(b"half")
        os.utime(left, (left.stat().st_mtime - age,) * 2)
    cache.save(KEY, b"content")
    assert {path.name for path in folder.glob(f"{whole.UNFINISHED}*")} == {
        f"{whole.UNFINISHED}new"
    }


def test_threads_that_write_at_once_leave_one_whole_entry(folder):
    contents = [bytes([number]) * 200_000 for number in range(8)]
    seen = []

    def write(content):
        for _ in range(5):
            cache.save(KEY, content)
            seen.append(cache.load(KEY))

    threads = [threading.Thread(target=write, args=(each,)) for each in contents]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert set(seen) <= {*contents} and len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("word", ["off", "OFF", "0"])
def test_it_is_disabled_by_a_word(monkeypatch, word, tmp_path):
    monkeypatch.setenv(cache.VARIABLE, word)
    rfdsm.enable_cache(tmp_path / "kept")
    cache.save(KEY, b"content")
    assert not cache.enabled() and cache.load(KEY) is None and not list(tmp_path.iterdir())


def test_a_folder_that_is_none_or_cannot_be_written_keeps_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.delenv(cache.VARIABLE)
    rfdsm.enable_cache(tmp_path / "file" / "below")
    assert not cache.enabled()
    rfdsm.enable_cache(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    (tmp_path / "gone").write_text("")
    cache.save(KEY, b"content")
    assert cache.load(KEY) is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="modes are of POSIX")
def test_a_folder_that_others_can_write_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv(cache.VARIABLE)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.warns(UserWarning, match="others can write to .*open.*chmod 700"):
        rfdsm.enable_cache(tmp_path / "open")
    assert not cache.enabled()


@pytest.mark.parametrize(
    "platform, variable, where",
    [
        ("linux", "XDG_CACHE_HOME", "place/rfdsm"),
        ("linux", "", "home/.cache/rfdsm"),
        ("darwin", "", "home/Library/Caches/rfdsm"),
    ],
)
def test_the_usual_folder_is_the_platform_s(tmp_path, monkeypatch, platform, variable, where):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "place"))
    monkeypatch.setattr(cache.sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert cache._usual() == tmp_path / where


def test_the_package_alone_keeps_nothing(tmp_path):
    """Only the command and `enable_cache` do."""
    program = "import rfdsm._files.cache as cache; print(cache.enabled())"
    about = {**os.environ, cache.VARIABLE: str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=about, capture_output=True)
    assert done.stdout == b"False\n" and not list(tmp_path.iterdir())
