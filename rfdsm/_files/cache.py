"""What is computed once and kept between processes: a folder of entries, by key.

An entry is bytes after their digest, written whole; what is damaged counts as missing. Some
entries are code (`programs`), so a folder that others can write to is not read. It is bounded:
what was not used for longest goes first. Nothing here fails: without a folder, nothing is kept.
"""

import contextlib
import hashlib
import os
import sys
import time
import warnings
from pathlib import Path

from .whole import UNFINISHED, whole_file

VARIABLE = "RFDSM_CACHE"  # a folder, or what turns the cache off:
OFF = ("off", "0")
MOST = 256 * 2**20  # bytes of all entries; a program has one or two million
SUFFIX = ".kept"
DIGEST = hashlib.sha256().digest_size
DAY = 86_400.0  # seconds after which what was being written is not any more

_folder: Path | None = None


def enable_cache(folder: Path | str | None = None) -> None:
    """Keep compiled programs between processes, from now on; the command line does it itself.

    What was compiled for a point or a search is then loaded, in a tenth of a second, wherever
    the same program is asked for with other numbers, by this version on this processor. It is
    kept in 256 MB at most. The environment's RFDSM_CACHE=folder moves it, RFDSM_CACHE=off
    disables it.

    Args:
        folder: where; None: what RFDSM_CACHE says, else `rfdsm` in the user's cache folder.

    Warns:
        UserWarning: others can write to the folder: nothing is kept there or read from it.
    """
    global _folder
    asked = os.environ.get(VARIABLE, "")
    _folder = None
    if asked.lower() in OFF:
        return
    with contextlib.suppress(OSError, RuntimeError):  # no home, or a place that is not ours
        place = Path(folder or asked or _usual()).expanduser().absolute()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _only_ours(place):
            _folder = place
        else:
            warnings.warn(
                f"others can write to {place}, and what is kept is code: nothing is kept. "
                f"chmod 700 it, or name another folder in {VARIABLE}.",
                stacklevel=2,
            )


def enabled() -> bool:
    """Whether there is a folder."""
    return _folder is not None


def load(key: str) -> bytes | None:
    """What was kept by this key; None where nothing was, or it is damaged."""
    if _folder is None:
        return None
    path = _folder / f"{key}{SUFFIX}"
    with contextlib.suppress(OSError):
        found = path.read_bytes()
        if hashlib.sha256(found[DIGEST:]).digest() == found[:DIGEST]:
            os.utime(path)  # its last use
            return found[DIGEST:]
    return None


def save(key: str, content: bytes) -> None:
    """Keep this by its key, if the folder takes it."""
    if _folder is None:
        return
    with contextlib.suppress(OSError):
        with whole_file(_folder / f"{key}{SUFFIX}", told=False) as partial:
            partial.write_bytes(hashlib.sha256(content).digest() + content)
        _bound(_folder)


def _bound(folder: Path) -> None:
    """Remove what was not used for longest, and what nobody is writing any more."""
    entries = [(each.stat(), each) for each in folder.glob(f"*{SUFFIX}")]
    size = sum(about.st_size for about, _ in entries)
    for about, path in sorted(entries, key=lambda entry: entry[0].st_mtime):
        if size <= MOST:
            break
        path.unlink(missing_ok=True)
        size -= about.st_size
    for left in folder.glob(f"{UNFINISHED}*"):
        if time.time() - left.stat().st_mtime > DAY:
            for path in left.iterdir():
                path.unlink(missing_ok=True)
            left.rmdir()


def _usual() -> Path:
    """The folder of the platform's convention."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rfdsm"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "rfdsm"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rfdsm"


def _only_ours(folder: Path) -> bool:
    """Whether nobody else can write to it."""
    if not hasattr(os, "getuid"):  # Windows: a user's folders are
        return True
    about = folder.stat()
    return about.st_uid == os.getuid() and not about.st_mode & 0o022
