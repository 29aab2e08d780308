"""One callable for everything that takes long, what counts as long, and a wish to stop."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

LONG = 5.0  # seconds of work that are announced, and between lines of progress
FLOPS = 4e10  # per second, of two cores; only for times that are announced


class Progress(str):
    """A line on long work: what `report` is called with.

    Attributes:
        stage: in words.
        done, total: of this stage's steps; total None: a remark, which measures nothing.
        said: whether the line is worth printing where no bar can be drawn.
    """

    stage: str
    done: int
    total: int | None
    said: bool

    def __new__(cls, stage: str, done: int = 0, total: int | None = None, line: str = ""):
        text = line or (stage if total is None else f"{stage}: {done} of {total}")
        self = super().__new__(cls, text)
        self.stage, self.done, self.total = stage, done, total
        self.said = bool(line) or total is None
        return self


Report = Callable[[Progress], Any]


def silent(progress: Progress) -> None:
    """Report nothing."""


class Steps:
    """Reports steps of work that are counted beforehand: call it with the name of each."""

    def __init__(self, report: Report, total: int):
        self.report, self.total, self.done = report, total, 0

    def __call__(self, step: str) -> None:
        self.done += 1
        self.report(Progress(step, self.done, self.total))


def over_time(report: Report, stage: str, total: int, unit: str) -> Callable[[int], None]:
    """A line every few seconds on work that advances by counts: how far, how long still."""
    start = last = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last > LONG and done < total:
            last, left = now, (now - start) / done * (total - done)
            line = f"{stage}: {done} of {total} {unit}, about {left:.0f} s left"
            report(Progress(stage, done, total, line))

    return advance


class Stop:
    """The wish to end long work at the next place where nothing is lost.

    Attributes:
        asked: whether someone wishes so; work of many parts looks at it between them.
    """

    def __init__(self):
        self.asked, self._heeded = False, False

    @contextlib.contextmanager
    def graceful(self) -> Iterator[None]:
        """While inside, a first signal only asks; see `rfdsm.__main__`."""
        self.asked, self._heeded = False, True
        try:
            yield
        finally:
            self.asked, self._heeded = False, False

    def ask(self) -> bool:
        """Wish it; False where nobody heeds it, or it was asked before."""
        if not self._heeded or self.asked:
            return False
        self.asked = True
        return True


stop = Stop()
