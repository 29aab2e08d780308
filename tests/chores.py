"""Work for engines that counts through files what was started, and what was recorded."""

import os
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Chunk(NamedTuple):
    number: int


class Chore(NamedTuple):
    """Squares numbers, slowly, and records them in a folder; without one returns them.

    Attributes:
        ballast: bytes that travel with it.
        fails: number of the chunk that fails.
        deadly: number of the chunk whose process dies.
        swells: bytes of memory that each chunk takes.
    """

    folder: Path | None = None
    seconds: float = 0.0
    side_by_side: int = 1
    ballast: bytes = b""
    fails: int | None = None
    deadly: int | None = None
    swells: int = 0

    def prepare(self):
        if self.folder:
            (self.folder / f"prepared-{os.getpid()}-{time.time_ns()}").touch()

    def done(self, chunk):
        return self.folder is not None and (self.folder / f"done-{chunk.number}").exists()

    def __call__(self, chunk):
        if self.folder:
            with open(self.folder / f"started-{chunk.number}", "a") as file:
                file.write(f"{os.getpid()}\n")
        taken = b"1" * self.swells
        time.sleep(self.seconds)
        del taken
        if chunk.number == self.fails:
            raise ValueError(f"no square of {chunk.number}")
        if chunk.number == self.deadly:
            os._exit(1)
        assert jax.config.jax_enable_x64
        square = jnp.square(jnp.asarray(float(chunk.number)))
        assert square.dtype == "float64"
        if self.folder is None:
            return float(square)
        with open(self.folder / f"done-{chunk.number}", "x") as file:  # never twice
            file.write(str(float(square)))
        return None


def chunks(count):
    return [Chunk(number) for number in range(count)]


def recorded(folder):
    """The squares that are in a folder, by number."""
    files = folder.glob("done-*")
    return {int(file.name.removeprefix("done-")): float(file.read_text()) for file in files}


def starts(folder):
    """The numbers that were started."""
    return {int(file.name.removeprefix("started-")) for file in folder.glob("started-*")}


def starters(folder):
    """The processes that started something."""
    lines = [file.read_text().split() for file in folder.glob("started-*")]
    return {int(pid) for each in lines for pid in each}


def prepared(folder):
    """The processes that compiled, sorted, each as often as it did."""
    return sorted(int(file.name.split("-")[1]) for file in folder.glob("prepared-*"))
