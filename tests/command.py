"""The command as tests run it: as a process, or in theirs."""

import re
import subprocess
import sys

from rfdsm import cli

STILL_THERE = re.compile(r"rfdsm: .*, after \d+ s\n")  # said on a machine that is slow today


def rfdsm(*arguments: str, **options):
    """Run the command as a process; its output is piped, so no progress bar may appear."""
    command = [sys.executable, "-m", "rfdsm", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    done.stderr = STILL_THERE.sub("", done.stderr)
    return done


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    """Run the command in this process; (exit code, standard output, standard error)."""
    old = sys.argv
    sys.argv = ["rfdsm", *arguments]
    try:
        cli.run()
        code = 0
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv = old
    out, err = capsys.readouterr()
    return code, out, STILL_THERE.sub("", err)
