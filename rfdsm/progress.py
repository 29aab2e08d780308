"""One callable for everything that takes long, what counts as long, and a wish to stop."""

import contextlib
import sys
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
        pace: the rate and the time left, in words; "" where they are not known.
    """

    stage: str
    done: int
    total: int | None
    said: bool
    pace: str

    def __new__(
        cls, stage: str, done: int = 0, total: int | None = None, line: str = "", pace: str = ""
    ):
        text = line or (stage if total is None else f"{stage}: {done} of {total}")
        self = super().__new__(cls, text)
        self.stage, self.done, self.total = stage, done, total
        self.said, self.pace = bool(line) or total is None, pace
        return self


Report = Callable[[Progress], Any]


def silent(progress: Progress) -> None:
    """Report nothing."""


def to_standard_error(progress: Progress) -> None:
    """Print what is worth a line."""
    if progress.said:
        print(f"rfdsm: {progress}", file=sys.stderr, flush=True)


class Steps:
    """Reports steps of work that are counted beforehand: call it with the name of each."""

    def __init__(self, report: Report, total: int):
        self.report, self.total, self.done = report, total, 0

    def __call__(self, step: str) -> None:
        self.done += 1
        self.report(Progress(step, self.done, self.total))


def over_time(
    report: Report, stage: str, total: int, unit: str, before: int = 0
) -> Callable[[int], None]:
    """Reports work that advances by counts: how far, how fast, how long still.

    A line every few seconds; a bar at every count.

    Args:
        report, stage, total: of `Progress`. unit: what is counted, in the plural.
        before: how many were done before this work began.
    """
    start = last = time.monotonic()
    done = before

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        rate, line, pace = (done - before) / max(now - start, 1e-9), "", ""
        if rate:
            pace = f"{rate:.3g} {unit}/s, about {duration((total - done) / rate)} left"
        if now - last > LONG and done < total:
            last, line = now, f"{stage}: {done} of {total} {unit}, {pace}"
        report(Progress(stage, done, total, line, pace))

    return advance


def duration(seconds: float) -> str:
    """A time in words, as exact as a forecast is: 45 s, 12 min, 3.5 h, 2.1 days."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


class Stop:
    """The wish to end long work at the next place where nothing is lost.

    Attributes:
        asked: whether someone wishes so; work of many parts looks at it between them.
        signal: by which one, its number.
    """

    def __init__(self):
        self.asked, self.signal, self._heeded = False, 0, False

    @contextlib.contextmanager
    def graceful(self) -> Iterator[None]:
        """While inside, a first signal only asks; see `rfdsm.__main__`."""
        self.asked, self._heeded = False, True
        try:
            yield
        finally:
            self.asked, self._heeded = False, False

    def ask(self, signal: int = 0) -> bool:
        """Wish it, on a signal; False where nobody heeds it, or it was asked before."""
        if not self._heeded or self.asked:
            return False
        self.asked, self.signal = True, signal
        return True


stop = Stop()
