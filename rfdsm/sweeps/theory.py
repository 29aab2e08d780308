"""Theory on lines over an axis, as the variables of a labelled data set.

Arrays have the shape (lines, points); without lines that of (points,).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._numerics.linalg import stacked
from ..errors import FIELDS, LABELS, LOSSES, STATUSES, NotConverged, codes
from ..ingredients.moments import Moments
from ..model import RFDSM
from .axes import Axis


class Lines(NamedTuple):
    """The models of the lines, at the axis' first point, and the number in which they differ.

    Attributes:
        models: one for each line, by ascending values of the number.
        along: the axis. number: None for one line without a number of its own.
    """

    models: tuple[RFDSM, ...]
    along: Axis
    number: Axis | None = None

    @property
    def flow(self) -> bool:
        """Whether they run over training time, where one contour serves all points."""
        return self.along.full == "training.tau"

    @property
    def dims(self) -> tuple[str, ...]:
        """The dimension of the lines; none where there is one without a number."""
        return () if self.number is None else (self.number.name,)

    def shaped(self, values: Any) -> np.ndarray:
        """Values of shape (lines, ...), without the first axis where there are no lines."""
        return np.asarray(values) if self.dims else np.asarray(values)[0]


def lines_of(model: RFDSM, along: Axis, number: Axis | None) -> Lines:
    """A model for each value of a number, ascending, checked at both ends of the axis.

    Raises:
        ValueError: no value, one given twice, one outside of its domain, or the axis' own.
    """
    if number is None:
        models = (model,)
    else:
        if number.full == along.full:
            raise ValueError(f"{number.name} is swept: it takes no values of its own.")
        values = np.sort(number.x)
        if len(np.unique(values)) < len(values):
            raise ValueError(f"a value of {number.name} was given twice: one line for each.")
        number = number._replace(x=values)
        models = tuple(number.place(model, value) for value in values)
    for each in models:
        for end in (along.x[-1], along.x[0]):  # concrete numbers, whose errors are one line
            along.place(each, end)
    return Lines(tuple(along.place(each, along.x[0]) for each in models), along, number)


def theory(
    lines: Lines,
    moments: Moments | None = None,
    *,
    suffix: str = "",
    kind: str = "theory",
) -> dict[str, Any]:
    """The errors, their status, and the best linear score's loss, on the whole axis.

    One compiled call, or along training time one for each line. Of moments of several draws of
    the weights the errors are the mean, and `test_loss_spread` and so on the deviation.

    Args:
        lines: what is solved.
        moments: measured ones to solve with; the Gaussian theory of the data without.
        suffix: of the variables' names; kind: of theory, see `_files.labelled`.

    Returns:
        (dims, values, attributes) by name.

    Raises:
        NotConverged: not one point was solved.
    """
    solution, linear = (_trajectories if lines.flow else _points)(lines, moments)
    status, errors, spread = codes(solution.status), solution.errors, None
    if moments is not None and moments.draws is not None:
        status = status.max(axis=-1)
        spread = jax.tree.map(lambda x: np.std(x, axis=-1), errors)
        errors = jax.tree.map(lambda x: np.mean(x, axis=-1), errors)
    if not np.any(status == 0):
        raise NotConverged(
            f"no value of {lines.along.name} was solved ({STATUSES[int(status.flat[0])]}): "
            "check its range and the other numbers."
        )
    dims = (*lines.dims, lines.along.name)

    def variable(name, values, **attributes):
        about = {"kind": kind} | ({"column": name} if suffix else {}) | attributes
        return dims, lines.shaped(values), about

    flags = {
        "flag_values": np.arange(len(STATUSES), dtype=np.int32),
        "flag_meanings": " ".join(STATUSES),
    }
    found = {f"status{suffix}": variable("status", status.astype(np.int32), **flags)}
    known = FIELDS if moments is None and not suffix else LOSSES
    for name in known:
        values = getattr(errors, name)
        found[name + suffix] = variable(name, values, long_name=LABELS[name])
        if spread is not None:
            found[f"{name}_spread"] = dims, lines.shaped(getattr(spread, name)), {"kind": kind}
    if not suffix:
        words = {"long_name": "loss of the best linear score"}
        found["best_linear"] = variable("best_linear", linear, **words)
    return found


def _points(lines: Lines, moments):
    """The solution at every point of every line, and the best linear score's loss."""
    first, along, number = lines.models[0], lines.along, lines.number

    def solve(line, x, moments):
        model = first if number is None else number.place(first, line)
        at = along.place(model, x)
        return at.solve(moments=moments), at.baselines().linear

    def over(function, values):
        # Measured moments take memory of p² for each point: one point at a time.
        return jax.vmap(function)(values) if moments is None else jax.lax.map(function, values)

    @jax.jit
    def everywhere(line_numbers, x, moments):
        return over(lambda line: over(lambda x: solve(line, x, moments), x), line_numbers)

    line_numbers = jnp.zeros(1) if number is None else jnp.asarray(number.x)
    return everywhere(line_numbers, jnp.asarray(along.x), moments)


def _trajectories(lines: Lines, moments):
    taus = lines.along.x
    solutions = [m.solve_trajectory(taus, moments=moments) for m in lines.models]
    linear = [np.full(len(taus), float(m.baselines().linear)) for m in lines.models]
    return stacked(solutions), np.stack(linear)
