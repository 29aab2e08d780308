"""The asymptotic road: exact errors for d, n, p → ∞ together. See `solution`."""

from .problem import Problem as Problem
from .solution import (
    averaged_population as averaged_population,
    largest_learning_rate as largest_learning_rate,
    mean_resolvent as mean_resolvent,
    require_stable_rate as require_stable_rate,
    solve as solve,
    solve_measured as solve_measured,
)
from .spectrum import (
    Atom as Atom,
    atom as atom,
    bulk_masses as bulk_masses,
    density as density,
    edges as edges,
)
from .uncertainty import errors_of as errors_of
