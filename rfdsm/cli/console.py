"""What every command does with a terminal: progress, notes, failures in one line, files."""

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress as Bars, TextColumn, TimeElapsedColumn
from rich.table import Table

from .._files import labelled, whole
from ..progress import Progress, Report

FIGURES = (".png", ".svg", ".pdf")
out, err = Console(), Console(stderr=True)


def fail(message: Any, code: int) -> None:
    """End with one line on standard error."""
    print(f"rfdsm: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(code)


def show_warning(message: Any, *_: Any, **__: Any) -> None:
    """A warning as a line; also what `warnings.showwarning` is while a command runs."""
    print(f"rfdsm: warning: {message}", file=sys.stderr)


def note(text: str) -> None:
    """A line on the work, above a progress bar where there is one."""
    err.print(f"rfdsm: {text}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def stages(title: str) -> Iterator[Report]:
    """What long work reports to: a bar on a terminal, in a pipe only what is worth a line."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        task = bars.add_task(title, total=None)

        def report(at: Progress) -> None:
            if at.total is None or (at.said and not err.is_terminal):
                note(at)
            if at.total is not None:
                told = f"{title}: {at.stage}"
                bars.update(task, completed=at.done, total=at.total, description=told)

        yield report


def table(*titles: str, left: int = 0) -> Table:
    """An empty table, its first `left` columns set to the left."""
    drawn = Table(box=None, pad_edge=False)
    for number, title in enumerate(titles):
        drawn.add_column(title, justify="left" if number < left else "right")
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


def require_writable(figure: Path | None, data: Path | None = None) -> None:
    """Refuse files that could not be written later."""
    if figure:
        whole.require_writable(figure, FIGURES)
    if data:
        whole.require_writable(data, labelled.SUFFIXES)
