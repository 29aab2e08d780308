"""The asymptotic road: exact errors for d, n, p → ∞ together. See `solution`."""

from .solution import (
    mean_resolvent as mean_resolvent,
    solve as solve,
    solve_measured as solve_measured,
)
from .uncertainty import constants_uncertainty as constants_uncertainty
