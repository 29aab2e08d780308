"""Entry of the `rfdsm` command: what it does as a process, with signals and a missing library.

Python's own handler of Ctrl-C waits for the main thread, which may be minutes inside of a
compiler, and unwinding from there can crash. So a thread waits for signals, removes unfinished
files and ends the process, whatever the others do. Work that can stop between two parts
(`progress.stop`) is asked to by a first signal, and ended by a second.
"""

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading

from ._files import whole
from .progress import stop

SHOW_CURSOR = b"\r\x1b[K\x1b[?25h"  # which a progress bar hides


def main() -> None:
    """Run the command line."""
    end_on(signal.SIGINT, signal.SIGTERM)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # of programs loaded, harmless (38445)
    # What is imported and traced stays to the end: a tenth of a second to look through it.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    try:
        from .cli.app import run
        from .cli.console import own_streams
    except ModuleNotFoundError as error:
        print(
            f"rfdsm: the command line needs {error.name}: pip install 'rfdsm[all]'",
            file=sys.stderr,
        )
        sys.exit(2)
    own_streams()
    run()


def end_on(*signals: signal.Signals) -> None:
    """End the process on these signals, with exit code 128 + their number."""
    receive, send = os.pipe()
    os.set_blocking(send, False)
    for each in signals:
        signal.signal(each, lambda *_: None)  # the number is sent before this is called
    signal.set_wakeup_fd(send, warn_on_full_buffer=False)
    threading.Thread(target=_wait, args=(receive, signals), daemon=True).start()


def _wait(receive: int, signals: tuple[signal.Signals, ...]) -> None:
    while True:
        number = os.read(receive, 1)[0]
        if number in signals:
            if not stop.ask(number):
                break
            _say(
                f"{signal.Signals(number).name}: ends the chunk and stops; again stops at once"
            )
    whole.discard_unfinished()
    written = ", ".join(map(str, whole.WRITTEN)) or "nothing"
    kept = "chunks that were done are kept: the same command goes on"
    _say(
        f"ended by {signal.Signals(number).name}; "
        + (kept if stop.asked else f"{written} was written")
    )
    os._exit(128 + number)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it
        os.write(2, (SHOW_CURSOR if os.isatty(2) else b"") + f"rfdsm: {line}\n".encode())


if __name__ == "__main__":
    main()
