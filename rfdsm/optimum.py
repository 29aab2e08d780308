"""What `rfdsm tune` says of an optimum: tables, lines of text, and JSON."""

import math
from typing import Any

from rich.table import Table

from . import family, plotting
from .errors import FIELDS, Errors
from .measuring import SamplingError, sampling_error
from .moments import Moments
from .point import plain
from .request import Plan, bounded, pair, short
from .serialise import to_json

LISTED = 5  # local optima
STATIONARY, FLAT = 1e-6, 1e-6  # first and second order that count as 0


def tables(asked: Plan, tuned: Any) -> list[Table]:
    """Tables of the optimum: its numbers, the constraints, and all errors."""
    return [
        _numbers_table(tuned),
        *([_constraints_table(asked, tuned)] if tuned.search.problem.constraints else []),
        _errors_table(tuned),
    ]


def _table(*titles: str) -> Table:
    drawn = Table(box=None, pad_edge=False)
    for number, title in enumerate(titles):
        drawn.add_column(title, justify="left" if number == 0 or not title else "right")
    return drawn


def _numbers_table(tuned) -> Table:
    whole = tuned.integer
    titles = ("free", "optimum", *(["integer m"] if whole else []), "within", "")
    drawn = _table(*titles)
    at = {name.split()[0]: name for name in tuned.active}
    for name, value in tuned.numbers.items():
        low, high = tuned.search.problem.variables.bounds(name)
        note = ""
        if name in at:
            unit = "1/m" if name == "m" else "unit"
            note = f"at its bound, worth {tuned.multipliers[at[name]]:.3g} per {unit}"
        cells = [f"{value:.6g}"] + ([f"{whole.numbers[name]:.6g}"] if whole else [])
        cells = [cell.replace("inf", "∞") for cell in cells]
        drawn.add_row(short(name), *cells, f"{family.text(low)} to {family.text(high)}", note)
    return drawn


def _constraints_table(asked, tuned) -> Table:
    drawn = _table("constraint", "value", "", f"worth in {asked.label}")
    problem, best = tuned.search.problem, tuned.optima[0]
    for constraint, value in zip(problem.constraints, best.goals, strict=True):
        active = constraint.label in tuned.active
        worth = f"{tuned.multipliers[constraint.label]:.4g} per unit" if active else "-"
        state = "active" if active else "not active"
        drawn.add_row(bounded(constraint), f"{float(value):.6g}", state, worth)
    return drawn


def _errors_table(tuned) -> Table:
    columns = [("optimum", tuned.errors)]
    if tuned.integer is not None:
        columns.append((f"m = {family.text(tuned.integer.numbers['m'])}", tuned.integer.errors))
    drawn = _table("error per dimension", *(title for title, _ in columns))
    for name in FIELDS:
        values = (float(getattr(errors, name)) for _, errors in columns)
        cells = ("-" if math.isnan(x) else f"{x:.6g}" for x in values)
        drawn.add_row(plotting.LABELS[name], *cells)
    return drawn


def sampling(tuned: Any, measured: Any) -> SamplingError | None:
    """The error bar of finitely many points at the optimum; None where it is not known."""
    if not isinstance(measured, Moments) or measured.halves is None:
        return None
    return sampling_error(tuned.model, measured)


def summary(
    asked: Plan, tuned: Any, verification: Any = None, sampled: SamplingError | None = None
) -> list[str]:
    """Lines of text: the objective, how good the optimum is, others, and networks' verdict.

    Args:
        asked, tuned: the plan and its result.
        verification: of `request.verify`; sampled: of `sampling`.
    """
    lines = [f"least {asked.label}: {tuned.value:.8g}"]
    if tuned.error_bar is not None:
        lines[0] += f" ± {tuned.error_bar:.1g} (interpolated between the measured widths)"
    if tuned.integer is not None:
        told = ", ".join(pair(*item) for item in tuned.integer.numbers.items())
        lines.append(f"with an integer m: {tuned.integer.value:.8g} at {told}")
    elif "m" in asked.free:
        lines.append("with an integer m: nothing feasible was found")
    lines += [_first_order(tuned), _second_order(tuned)]
    if len(tuned.optima) > 1:
        lines.append(f"{len(tuned.optima)} local optima from {tuned.starts} starts:")
        for each in tuned.optima[:LISTED]:
            told = ", ".join(pair(*item) for item in each.numbers.items())
            lines.append(f"  {each.value:.8g} at {told}")
    else:
        lines.append(f"no other local optimum from {tuned.starts} starts")
    if sampled is not None:
        lines.append(
            "finitely many points leave the test loss uncertain by "
            f"{100 * _share(tuned, sampled):.2g} %"
        )
    return lines + ([] if verification is None else ["", repr(verification)])


def _share(tuned, sampled: SamplingError) -> float:
    return float(sampled.total.test_loss / tuned.errors.test_loss)


def _first_order(tuned) -> str:
    size = tuned.first_order
    verdict = "holds" if size <= STATIONARY else "holds roughly"
    return (
        f"first-order optimality {verdict}: the largest slope left is {size:.1g} of the value"
    )


def _second_order(tuned) -> str:
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
    asked: Plan, tuned: Any, verification: Any = None, sampled: SamplingError | None = None
) -> dict[str, Any]:
    """Everything in plain JSON: infinity as "inf", what is not known as null.

    Args:
        asked, tuned, verification, sampled: as of `summary`.
    """
    problem, best = tuned.search.problem, tuned.optima[0]
    bounds = {name: problem.variables.bounds(name) for name in tuned.numbers}
    told = {
        "objective": asked.error,
        "over_times": list(asked.times),
        "value": tuned.value,
        "numbers": tuned.numbers,
        "bounds": {name: list(ends) for name, ends in bounds.items()},
        "errors": _fields(tuned.errors),
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
            "errors": _fields(tuned.integer.errors),
        },
        "error_bar": tuned.error_bar,
        "sampling_error": None if sampled is None else _share(tuned, sampled),
        "verification": verification and _verified(verification),
        "model": family.description(tuned.model),
    }
    return plain(_finite(told))


def _verified(verification) -> dict[str, Any]:
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


def _finite(value: Any) -> Any:
    """Numbers as plain JSON, infinity as "inf"."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value if value is None or isinstance(value, str) else to_json(value)


def _fields(errors: Errors) -> dict[str, float]:
    return {name: float(getattr(errors, name)) for name in FIELDS}
