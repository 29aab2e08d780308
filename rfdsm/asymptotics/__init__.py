"""The asymptotic road: exact errors for d, n, p → ∞ together. See `solution`."""

from .pairs import (
    implied_ridge as implied_ridge,
    overlap as overlap,
    told as told,
    variance_parts as variance_parts,
)
from .problem import Problem as Problem
from .single import is_float32 as is_float32, solve_float32 as solve_float32
from .solution import (
    averaged_equations as averaged_equations,
    mean_resolvent as mean_resolvent,
    require_stable as require_stable,
    solve as solve,
    stable_rate as stable_rate,
)
from .spectrum import (
    Atom as Atom,
    atom as atom,
    bulk_masses as bulk_masses,
    density as density,
    edges as edges,
)
from .uncertainty import errors_of as errors_of
