"""Files that are written whole or not at all, and refused before the work."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

WRITTEN: list[Path] = []  # by this process, whole
UNFINISHED = ".part-"  # how the folders of what is being written begin
_unfinished: set[Path] = set()


@contextlib.contextmanager
def whole_file(path: Path | str, told: bool = True) -> Iterator[Path]:
    """A path to write to, renamed to `path` only when the block ends without an error.

    It is in a folder of its own, so that nothing can be written once that is gone.

    Args:
        path: of the file. told: whether it is one of `WRITTEN`, which a user asked for.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=path.parent))
    _unfinished.add(folder)
    try:
        yield folder / path.name
        (folder / path.name).replace(path)
        if told and path not in WRITTEN:
            WRITTEN.append(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _unfinished.discard(folder)


def discard_unfinished() -> None:
    """Remove what is being written, for a process that ends now."""
    for folder in [*_unfinished]:
        for _ in range(10):  # a writer may be in between
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break


def require_writable(path: Path | str, suffixes: Sequence[str]) -> None:
    """Refuse a file that could not be written later; touches nothing.

    Raises:
        ValueError: a suffix that is not one of `suffixes`.
        OSError: `path` is a folder, or its folder cannot be written or made.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{path} must end in {' or '.join(suffixes)}, which says its format.")
    if path.is_dir():
        raise _refused(errno.EISDIR, path)
    folder = path.absolute().parent
    while not folder.exists():  # a missing folder is made when the file is written
        folder = folder.parent
    if not folder.is_dir():
        raise _refused(errno.ENOTDIR, folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refused(errno.EACCES, folder)


def _refused(code: int, path: Path) -> OSError:
    return OSError(code, os.strerror(code), str(path))
