"""What measuring moments costs, in time and memory, told before it begins."""

import math
from typing import NamedTuple

from .. import progress
from .._numerics.memory import require_memory
from ..progress import Progress, Report
from ..simulation.blocks import BLOCK_ROWS
from ..simulation.hermite import NODES
from ..simulation.mehler import mehler_orders

LEVERAGE_NOISES = 16  # enough to sort the points
PARTS = (8, 4, 2)  # of the points, whose sums are kept apart: the most that memory allows
MEMORY = 2**29  # bytes of the parts' moments
FEATURE = 5e-9  # seconds for one value of the activation
WORK = 8  # matrices beside those that are kept
SOLVES = 27  # matrices of a class that look if a warning is due: of the whole and the halves


def parts_kept(p: int, classes: int, points: int) -> int:
    """How many parts of each class's points are kept apart."""
    fits = (K for K in PARTS if 16 * K * classes * p**2 <= MEMORY and K <= points)
    return next(fits, PARTS[-1])


class Cost(NamedTuple):
    """That of the moments of p features on N points of dimension d.

    Attributes:
        classes: at the most. noises, halves: as of `measure`.
    """

    N: int
    d: int
    p: int
    noises: float
    classes: int
    halves: bool

    @property
    def memory(self) -> float:
        """Bytes, at the most."""
        kept = 4  # S_g and S_s of a class, and these as the solver takes them
        if self.halves:
            parts = parts_kept(self.p, self.classes, self.N)
            kept += 2 * parts + (4 if parts == 2 else 8) + SOLVES
        matrices = self.classes * kept
        blocks = 4 * BLOCK_ROWS * (self.p + self.d)
        return 8.0 * (self.p**2 * (matrices + WORK) + self.p * self.d * matrices + blocks)

    @property
    def seconds(self) -> float:
        """Of two cores."""
        N, d, p = self.N, self.d, self.p
        if math.isinf(self.noises):
            operations, values = N * 2 * mehler_orders(p, d) * p * p, N * p * NODES
        else:
            operations = N * self.noises * 2 * p * (p + 2 * d)
            values = N * self.noises * p
        if self.classes > 1:
            operations += N * LEVERAGE_NOISES * 2 * p * d
            values += N * LEVERAGE_NOISES * p
        # Into their eigenbasis; one itself, found on one core, is worth twenty products.
        operations += (8 * self.classes + 20) * p**3 * (3 if self.halves else 1)
        return values * FEATURE + operations / progress.FLOPS

    def require_memory(self) -> None:
        """Refuse moments that would not fit, before any is measured.

        Raises:
            MemoryError: more than is free.
        """
        fewer = "take fewer classes or a smaller psi_p"
        about = f"p = {self.p} features, classes={self.classes}, halves={self.halves},"
        fix = f"pass halves=False, {fewer}" if self.halves else fewer
        require_memory(self.memory, f"moments of {about} need", fix)

    def announce(self, report: Report) -> None:
        """Say what the work takes, where it is long."""
        if self.seconds <= progress.LONG:
            return
        exact = math.isinf(self.noises)
        how = "exact averages over noise" if exact else f"{self.noises:g} noises each"
        needs = f"about {progress.duration(self.seconds)} and {self.memory / 2**30:.2g} GiB"
        what = f"measuring {self.p} features on {self.N} points, {how}"
        report(Progress(f"{what}: {needs}"))
