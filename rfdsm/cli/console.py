"""What every command does with a terminal: progress, notes, failures in one line, files."""

import codecs
import io
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as Bars,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from .._files import labelled, whole
from ..progress import Progress, Report

FIGURES = (".png", ".svg", ".pdf")
UNFINISHED = 75  # exit code: try again (EX_TEMPFAIL of sysexits.h)
SILENT = 30.0  # seconds without a line where no bar can be drawn
LACKING = {"∞": "inf", "±": "+-", "→": "->", "×": "x", "·": "*", "²": "^2", "³": "^3",
           "√": "sqrt", "≤": "<=", "≥": ">=", "≈": "~", "λ": "lambda", "τ": "tau",
           "ψ": "psi", "κ": "kappa", "Σ": "sum"}  # fmt: skip
# As wide as any table: what is narrower would cut numbers. A terminal folds long lines.
# No emoji: they are what rich makes of the :100: in a grid or a name.
out, err = Console(width=10_000, height=25, emoji=False), Console(stderr=True, emoji=False)


class Stream(io.TextIOWrapper):
    """A text stream that loses nothing: it spells out what its encoding lacks.

    What follows when its reader has left (`rfdsm ... | head -1`) goes nowhere: work goes on.
    """

    def write(self, text: str) -> int:
        with self._going_on():
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with self._going_on():
            super().flush()

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if not isinstance(error, BrokenPipeError):
                raise


def own_streams() -> None:
    """Make standard output and error of this process a `Stream`."""
    codecs.register_error("spelled", _spelled)
    for name in ("stdout", "stderr"):
        if (old := getattr(sys, name)) is not None:
            arguments = old.buffer, old.encoding, "spelled"
            setattr(sys, name, Stream(*arguments, line_buffering=True))


def _spelled(error: UnicodeError) -> tuple[str | bytes, int]:
    """Words for characters that an encoding lacks; those of a user by their numbers."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    spelled = (
        LACKING.get(x) or x.encode("ascii", "backslashreplace").decode() for x in lacking
    )
    return "".join(spelled), error.end


def fail(message: Any, code: int) -> None:
    """End with one line on standard error."""
    print(f"rfdsm: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(code)


def told(error: Exception, where: str = "standard output") -> str:
    """What an exception says; of a file that is not named, where it is."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename or where}"
    return str(error)


def show_warning(message: Any, *_: Any, **__: Any) -> None:
    """A warning as a line; also what `warnings.showwarning` is while a command runs."""
    print(f"rfdsm: warning: {message}", file=sys.stderr)


def note(text: str) -> None:
    """A line on the work, above a progress bar where there is one."""
    err.print(f"rfdsm: {text}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def stages(title: str) -> Iterator[Report]:
    """What long work reports to: a bar on a terminal, in a pipe a line now and then."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeElapsedColumn(),
    )
    terminal, last = err.is_terminal, _Last(title)
    with Bars(*columns, console=err, transient=True, disable=not terminal) as bars, last:
        task = bars.add_task(title, total=None, pace="")

        def report(at: Progress) -> None:
            if at.total is None or (at.said and not terminal):
                last.said(at)
            if at.total is not None:
                shown = {"description": f"{title}: {at.stage}", "pace": at.pace}
                bars.update(task, completed=at.done, total=at.total, **shown)
                last.at = f"{title}: {at}"

        yield report


class _Last:
    """The last line on long work, repeated with the time where nothing else is said."""

    def __init__(self, title: str):
        self.at, self.start = title, time.monotonic()
        self.time, self.ended = self.start, threading.Event()

    def said(self, line: str) -> None:
        self.time = time.monotonic()
        note(line)

    def _repeat(self) -> None:
        while not self.ended.wait(SILENT / 20):
            now = time.monotonic()
            if now - self.time > SILENT:
                self.said(f"{self.at}, after {now - self.start:.0f} s")

    def __enter__(self) -> None:
        if not err.is_terminal:
            threading.Thread(target=self._repeat, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.ended.set()


def table(*titles: str, left: int = 0) -> Table:
    """An empty table, its first `left` columns set to the left."""
    drawn = Table(box=None, pad_edge=False)
    for number, title in enumerate(titles):
        drawn.add_column(title, justify="left" if number < left else "right")
    return drawn


def of_errors(columns: Iterable[tuple[str, Mapping[str, float], str]], names: Any) -> Table:
    """Every error by the name that `names` has for it; (title, errors, format) a column."""
    columns = list(columns)
    drawn = table("error per dimension", *(title for title, _, _ in columns), left=1)
    for name, words in names.items():
        cells = ("-" if math.isnan(x[name]) else format(x[name], f) for _, x, f in columns)
        drawn.add_row(words, *cells)
    return drawn


def print_json(value: Any) -> None:
    """Print plain JSON, which has neither: infinity as "inf", NaN as null."""

    def plain(value: Any) -> Any:
        if hasattr(value, "_asdict"):
            value = value._asdict()
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        if not isinstance(value, float) or math.isfinite(value):
            return value
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"

    print(json.dumps(plain(value), indent=2))


class Unfinished(Exception):
    """Work that the same command goes on with; an exit code beside the message."""


class FigureFailed(Exception):
    """A figure could not be drawn or written, after all the rest was."""


def save_figure(draw: Callable[[Any], Any], path: Path) -> None:
    """Draw and write a figure, last of all: what fails there costs nothing else.

    Args:
        draw: of `rfdsm.plotting`, which is not loaded before.

    Raises:
        FigureFailed: for any reason.
    """
    try:
        from .. import plotting

        plotting.save(draw(plotting), path)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise FigureFailed(f"{path} was not written, all else was. {reason}") from None


def require_writable(figure: Path | None, data: Path | None = None) -> None:
    """Refuse files that could not be written later."""
    if figure:
        whole.require_writable(figure, FIGURES)
    if data:
        whole.require_writable(data, labelled.SUFFIXES)
