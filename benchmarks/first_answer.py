"""From process start to the answer: the command line, cold and warm, and the demo.

Held against the least that any program on JAX takes, one compiled addition. A first run has an
empty cache folder; a later one asks other numbers of the same kind. All take turns.
"""

import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from .device import processor
from .figures import Figure, at_most
from .programs import COMMANDS
from .timing import in_turns, ratio

LEAST = "import jax, jax.numpy; jax.jit(lambda x: x + 1)(1.0)"
LATER_TURNS, FIRST_TURNS = 9, 3
# How many times the least a first and a later run may take.
LIMITS = {"rfdsm point": (4, 1.6), "rfdsm tune": (8, 2.5)}
DEMO = {"avx512": 60}  # seconds on two cores; 120 with less
PACE = 0.05


def process(*words: str, cache: str | None = None) -> None:
    """A process, from start to end."""
    of_user = {} if cache is None else {"RFDSM_CACHE": cache}
    subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **of_user},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def others(words: str):
    """The command with other numbers, again and again."""
    for number in itertools.count(1):
        changed = re.sub(r"--t 0\.1\b", f"--t {0.1 + number / 1000:g}", words)
        yield ["-m", "rfdsm", *changed.split()]


def command(name: str, words: str, folder: str) -> list[Figure]:
    """First and later runs of a command."""
    first_limit, later_limit = LIMITS[name]
    asked, caches = others(words), (f"{folder}/{name}-{i}" for i in itertools.count())
    cache = f"{folder}/{name}"

    def first():
        process(*next(asked), cache=next(caches))

    def later():
        process(*next(asked), cache=cache)

    def least():
        process("-c", LEAST)

    later()  # fills the cache
    laters = in_turns(LATER_TURNS, later, least)
    firsts = in_turns(FIRST_TURNS, first, least, warm=False)
    figures = []
    for which, times, limit in (
        ("first", firsts, first_limit),
        ("later", laters, later_limit),
    ):
        value, peer = map(np.median, times)
        more = ratio(*times)
        what = f"a {which} `{name}`, from process start"
        figures.append(
            Figure(
                what, value, "s", "one compiled addition", peer, more, **at_most(limit, more)
            )
        )
    return figures


def demo(folder: str) -> list[Figure]:
    """The demo with an empty cache, and its first figure."""
    most = DEMO.get(processor()[1], 120)
    out = Path(folder) / "out"
    start, first = time.perf_counter(), None
    words = [sys.executable, "-m", "rfdsm", "demo", "--out", str(out)]
    environment = {**os.environ, "RFDSM_CACHE": f"{folder}/demo"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as running:
        while running.poll() is None:
            if first is None and any(out.glob("*.png")):
                first = time.perf_counter() - start
            time.sleep(PACE)
    total = time.perf_counter() - start
    if running.returncode or first is None:
        raise RuntimeError("the demo drew nothing: run `rfdsm demo` to see why.")
    return [
        Figure("the demo", total, "s", **at_most(most, total)),
        Figure("its first figure", first, "s", **at_most(most / 2, first)),
    ]


def run() -> list[Figure]:
    """Commands, then the demo."""
    with tempfile.TemporaryDirectory() as folder:
        commands = (command(name, words, folder) for name, words in COMMANDS.items())
        return [*itertools.chain.from_iterable(commands), *demo(folder)]
