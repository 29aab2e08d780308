"""What `rfdsm tune` says of an optimum: tables, lines of text, and JSON."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from ...analysis import SamplingError, sampling_error
from ...errors import FIELDS, LABELS
from ...ingredients.moments import Moments
from ...parameters.numbers import text
from ...parameters.plain import to_plain
from ...tuning import Tuned, Verification
from ..console import table
from .request import Plan, short

LISTED = 5  # local optima
STATIONARY, FLAT = 1e-6, 1e-6  # first and second order that count as 0


def tables(tuned: Tuned) -> list[Table]:
    """Tables of the optimum: its numbers, the constraints, and all errors."""
    constrained = [_constraints_table(tuned)] if tuned.search.problem.constraints else []
    return [_numbers_table(tuned), *constrained, _errors_table(tuned)]


def _numbers_table(tuned: Tuned) -> Table:
    whole, variables = tuned.integer, tuned.search.problem.variables
    columns = [tuned.numbers] + ([whole.numbers] if whole else [])
    titles = ["optimum"] + ([f"integer {_integers(tuned)}"] if whole else [])
    drawn = table("free", *titles, "within", "", left=1)
    drawn.columns[-1].justify = "left"
    at = {name.split()[0]: name for name in tuned.active}
    for name in tuned.numbers:
        note = ""
        if name in at:
            unit = f"1/{short(name)}" if variables.scale(name).inverse else "unit"
            note = f"at its bound, worth {tuned.multipliers[at[name]]:.3g} per {unit}"
        cells = (_rounded(numbers[name], 6) for numbers in columns)
        drawn.add_row(short(name), *cells, " to ".join(map(text, variables.bounds(name))), note)
    return drawn


def _constraints_table(tuned: Tuned) -> Table:
    problem, best = tuned.search.problem, tuned.optima[0]
    drawn = table("constraint", "value", "", f"worth in {problem.objective.words}", left=1)
    drawn.columns[2].justify = "left"
    for constraint, value in zip(problem.constraints, best.goals, strict=True):
        active = constraint.label in tuned.active
        worth = f"{tuned.multipliers[constraint.label]:.4g} per unit" if active else "-"
        state = "active" if active else "not active"
        drawn.add_row(constraint.words, f"{float(value):.6g}", state, worth)
    return drawn


def _errors_table(tuned: Tuned) -> Table:
    columns = {"optimum": tuned.errors.to_dict()}
    if tuned.integer is not None:
        names = tuned.search.problem.variables.integer
        held = _at({name: tuned.integer.numbers[name] for name in names})
        columns[held] = tuned.integer.errors.to_dict()
    drawn = table("error per dimension", *columns, left=1)
    for name in FIELDS:
        values = (errors[name] for errors in columns.values())
        drawn.add_row(LABELS[name], *("-" if math.isnan(x) else f"{x:.6g}" for x in values))
    return drawn


def _integers(tuned: Tuned) -> str:
    """The free numbers that networks need whole; "" for none."""
    return ", ".join(map(short, tuned.search.problem.variables.integer))


def _at(numbers: Mapping[str, float]) -> str:
    """Numbers in words."""
    return ", ".join(f"{short(name)} = {_rounded(x, 5)}" for name, x in numbers.items())


def _rounded(value: float, digits: int) -> str:
    return f"{value:.{digits}g}".replace("inf", "∞")


def sampling(tuned: Tuned, measured: Sequence[Moments]) -> SamplingError | None:
    """The error bar of finitely many points at the optimum; None where it is not known."""
    known = len(measured) == 1 and measured[0].halves is not None
    return sampling_error(tuned.model, *measured) if known else None


def summary(
    tuned: Tuned,
    verification: Verification | None = None,
    sampled: SamplingError | None = None,
) -> list[str]:
    """Lines of text: the objective, how good the optimum is, others, and networks' verdict."""
    lines = [f"least {tuned.search.problem.objective.words}: {tuned.value:.8g}"]
    if tuned.error_bar is not None:
        lines[0] += f" ± {tuned.error_bar:.1g} (interpolated between the measured widths)"
    if integers := _integers(tuned):
        told = "nothing feasible was found"
        if tuned.integer is not None:
            told = f"{tuned.integer.value:.8g} at {_at(tuned.integer.numbers)}"
        lines.append(f"with an integer {integers}: {told}")
    lines += [_first_order(tuned), _second_order(tuned)]
    if len(tuned.optima) > 1:
        lines.append(f"{len(tuned.optima)} local optima from {tuned.starts} starts:")
        lines += [
            f"  {each.value:.8g} at {_at(each.numbers)}" for each in tuned.optima[:LISTED]
        ]
    else:
        lines.append(f"no other local optimum from {tuned.starts} starts")
    if sampled is not None:
        lines.append(
            "finitely many points leave the test loss uncertain by "
            f"{100 * _share(tuned, sampled):.2g} %"
        )
    return lines + ([] if verification is None else ["", repr(verification)])


def _share(tuned: Tuned, sampled: SamplingError) -> float:
    return float(sampled.total.test_loss / tuned.errors.test_loss)


def _first_order(tuned: Tuned) -> str:
    size = tuned.first_order
    verdict = "holds" if size <= STATIONARY else "holds roughly"
    return (
        f"first-order optimality {verdict}: the largest slope left is {size:.1g} of the value"
    )


def _second_order(tuned: Tuned) -> str:
    least = tuned.second_order
    if math.isinf(least):
        return "second-order optimality holds: bounds and constraints leave nothing free"
    curvature = f"the least curvature is {least:.3g} of the value"
    if least > FLAT:
        return f"second-order optimality holds, a strict minimum: {curvature}"
    if least >= -FLAT:
        return f"flat in some direction: {curvature}"
    return f"second-order optimality does not hold, a saddle: {curvature}"


def report(
    asked: Plan,
    tuned: Tuned,
    verification: Verification | None = None,
    sampled: SamplingError | None = None,
) -> dict[str, Any]:
    """Everything, in what `console.print_json` prints."""
    problem, best = tuned.search.problem, tuned.optima[0]
    return {
        "objective": asked.error,
        "over_times": list(asked.times),
        "value": tuned.value,
        "numbers": tuned.numbers,
        "bounds": {name: problem.variables.bounds(name) for name in tuned.numbers},
        "errors": tuned.errors.to_dict(),
        "constraints": [
            {
                "name": c.label,
                "value": float(value),
                "bound": float(c.bound),
                "active": c.label in tuned.active,
                "worth": tuned.multipliers[c.label],
            }
            for c, value in zip(problem.constraints, best.goals, strict=True)
        ],
        "multipliers": tuned.multipliers,
        "active": list(tuned.active),
        "first_order": tuned.first_order,
        "second_order": tuned.second_order,
        "optima": [{"value": o.value, "numbers": o.numbers} for o in tuned.optima],
        "starts": tuned.starts,
        "integer": tuned.integer
        and {
            "value": tuned.integer.value,
            "numbers": tuned.integer.numbers,
            "errors": tuned.integer.errors.to_dict(),
        },
        "error_bar": tuned.error_bar,
        "sampling_error": None if sampled is None else _share(tuned, sampled),
        "verification": verification and _verified(verification),
        "model": to_plain(tuned.model, whole=False),
    }


def _verified(verification: Verification) -> dict[str, Any]:
    return {
        "stands": bool(verification.stands),
        "d": verification.d,
        "trials": verification.trials,
        "optimum": verification.optimum._asdict(),
        "neighbours": [each._asdict() for each in verification.neighbours],
        "left_out": list(verification.left_out),
        "constraints": {
            name: {"mean": mean, "standard_error": bar}
            for name, (mean, bar) in verification.constraints.items()
        },
    }
