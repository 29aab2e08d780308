"""`tune_sweep`: the best free numbers of a model at every point of a grid of others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..model import RFDSM
from ..parameters.checks import positive_integer
from ..parameters.numbers import full_name
from ..progress import Report, silent
from ..tuning.many import SCREENED
from ..tuning.minimise import problem_of
from .grid import grid_of
from .optima import best_numbers
from .sweeping import computed

TITLE = "random-features denoising score matching, tuned on a grid"


def tune_sweep(
    model: RFDSM,
    axes: Mapping[str, Any],
    free: Mapping[str, Any] | Sequence[str],
    objective: str | Callable = "score_error",
    subject_to: Any = (),
    budget: Any = None,
    *,
    integer: bool = False,
    starts: int = SCREENED,
    store: Any = None,
    engine: Any = None,
    chunk: Any = None,
    progress: Report | None = None,
) -> Any:
    """`tune` at every point of a grid: the optimal width over points and noise level, say.

    Every point is searched on its own, from starts spread over the bounds, and again from the
    optima of its neighbours on the grid, so that a jump to another branch is found. One
    compiled program serves all points; where the grid is cut changes rounding alone.

    Args:
        model: whose other numbers are kept.
        axes: numbers by name and their values, as of `sweep`.
        free, objective, subject_to, budget: as of `tune`.
        integer: whether m and networks, where free, are integers or infinite, as training
            needs them.
        starts: how many, at every point.
        store, engine, progress: as of `sweep`.
        chunk: points searched and stored at once, as of `sweep`; some 400, in blocks as long
            as wide, unless told: beyond its edges the next points are searched again.

    Returns:
        An `xarray.Dataset` whose dims and coordinates are the names of the axes: the free
        numbers at the optimum, `optimal_<name>`; its `value`; the errors there; `worth_<what>`
        of each constraint, how much lower the value would be per unit that it is loosened;
        `first_order`, 0 at a perfect optimum; and `status`, an index into its attribute
        flag_meanings: where it is not success (infeasible, say) all else is NaN.

    Raises:
        ValueError: bad input, as `sweep` and `tune`; a number that is both swept and free.
        OSError: a store that cannot be written.

    Example:
        >>> import rfdsm
        >>> model = rfdsm.RFDSM(psi_n=8, psi_p=16, m=4, t=0.1, lam=1e-3)
        >>> best = rfdsm.tune_sweep(model, {"psi_n": [2, 8]}, {"lam": (1e-8, 10)}, "test_loss")
        >>> print(best.optimal_lam.values.round(3), best.value.values.round(4))
        [3.73  1.398] [0.8851 0.8469]
    """
    grid = grid_of(model, axes)
    problem = problem_of(grid.first, free, objective, subject_to, budget)
    given = [free] if isinstance(free, str) else [*free]
    names = {name: full_name(grid.first, name) for name in given}
    starts = positive_integer(starts, "starts")
    part = best_numbers(grid, problem, names, integer, starts, chunk)
    return computed(grid, [part], TITLE, store, engine, progress or silent)
