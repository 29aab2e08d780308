"""Files that are written whole or not at all, and refused before the work."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """A path to write to, renamed to `path` only when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=".part-", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
