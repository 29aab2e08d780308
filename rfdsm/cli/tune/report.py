"""What `rfdsm tune` says of an optimum: tables, lines of text, and JSON."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from ...analysis import SamplingError, in_parts, sampling_error
from ...errors import LABELS
from ...ingredients.moments import Moments
from ...parameters.numbers import text
from ...parameters.plain import to_plain
from ...tuning import Tuned, Verification
from ..console import of_errors, table
from .request import Plan, short

LISTED = 5  # local optima
PLAIN = ("value", "numbers", "multipliers", "active", "first_order", "second_order", "starts",
         "error_bar")  # of `Tuned`, that are plain JSON  # fmt: skip
STATIONARY, FLAT = 1e-6, 1e-6  # first and second order that count as 0


def tables(tuned: Tuned) -> list[Table]:
    """Tables of the optimum: its numbers, the constraints, and all errors."""
    constrained = [_constraints_table(tuned)] if tuned.problem.constraints else []
    errors = [("optimum", tuned.errors.to_dict(), ".6g")]
    if tuned.integer is not None:
        names = tuned.problem.variables.integer
        held = _at({name: tuned.integer.numbers[name] for name in names})
        errors.append((held, tuned.integer.errors.to_dict(), ".6g"))
    return [_numbers_table(tuned), *constrained, of_errors(errors, LABELS)]


def _numbers_table(tuned: Tuned) -> Table:
    variables, columns = tuned.problem.variables, {"optimum": tuned.numbers}
    if tuned.integer is not None:
        columns[f"integer {_integers(tuned)}"] = tuned.integer.numbers
    drawn = table("free", *columns, "within", "", left=1)
    drawn.columns[-1].justify = "left"
    at = {name.split()[0]: name for name in tuned.active}
    for name in tuned.numbers:
        note = ""
        if name in at:
            unit = f"1/{short(name)}" if variables.scale(name).inverse else "unit"
            note = f"at its bound, worth {tuned.multipliers[at[name]]:.3g} per {unit}"
        cells = (f"{x[name]:.6g}".replace("inf", "∞") for x in columns.values())
        drawn.add_row(short(name), *cells, " to ".join(map(text, variables.bounds(name))), note)
    return drawn


def _constraints_table(tuned: Tuned) -> Table:
    objective = tuned.problem.objective.words
    drawn = table("constraint", "value", "", f"worth in {objective}", left=1)
    drawn.columns[2].justify = "left"
    for words, each in _constraints(tuned).items():
        worth = f"{each['worth']:.4g} per unit" if each["active"] else "-"
        state = "active" if each["active"] else "not active"
        drawn.add_row(words, f"{each['value']:.6g}", state, worth)
    return drawn


def _constraints(tuned: Tuned) -> dict[str, dict[str, Any]]:
    """What is known of each constraint at the optimum, by its words."""
    asked = zip(tuned.problem.constraints, tuned.optima[0].goals, strict=True)
    return {
        each.words: {
            "name": each.label,
            "value": float(value),
            "bound": float(each.bound),
            "active": each.label in tuned.active,
            "worth": tuned.multipliers[each.label],
        }
        for each, value in asked
    }


def _integers(tuned: Tuned) -> str:
    """The free numbers that networks need whole; "" for none."""
    return ", ".join(map(short, tuned.problem.variables.integer))


def _at(numbers: Mapping[str, float]) -> str:
    """Numbers in words."""
    told = ", ".join(f"{short(name)} = {x:.5g}" for name, x in numbers.items())
    return told.replace("= inf", "= ∞")


def sampling(tuned: Tuned, measured: Sequence[Moments]) -> SamplingError | None:
    """The error bar of finitely many points at the optimum; None where it is not known."""
    known = len(measured) == 1 and in_parts(measured[0])
    return sampling_error(tuned.model, *measured) if known else None


def summary(
    tuned: Tuned,
    verification: Verification | None = None,
    sampled: SamplingError | None = None,
) -> list[str]:
    """Lines of text: the objective, how good the optimum is, others, and networks' verdict."""
    lines = [f"least {tuned.problem.objective.words}: {tuned.value:.8g}"]
    if tuned.error_bar is not None:
        between = " and widths" * ("psi_p" in tuned.numbers)
        lines[0] += f" ± {tuned.error_bar:.2g} (of finitely many points{between})"
    if integers := _integers(tuned):
        told = "nothing feasible was found"
        if tuned.integer is not None:
            told = f"{tuned.integer.value:.8g} at {_at(tuned.integer.numbers)}"
        lines.append(f"with an integer {integers}: {told}")
    holds = "holds" if tuned.first_order <= STATIONARY else "holds roughly"
    lines.append(
        f"first-order optimality {holds}: the largest slope left is {tuned.first_order:.1g} of "
        "the value"
    )
    lines.append(_second_order(tuned.second_order))
    if len(tuned.optima) > 1:
        lines.append(f"{len(tuned.optima)} local optima from {tuned.starts} starts:")
        lines += [
            f"  {each.value:.8g} at {_at(each.numbers)}" for each in tuned.optima[:LISTED]
        ]
    else:
        lines.append(f"no other local optimum from {tuned.starts} starts")
    if sampled is not None:
        share = 100 * sampled.share(tuned.errors)
        lines.append(f"finitely many points leave the test loss uncertain by {share:.2g} %")
    return lines + ([] if verification is None else ["", repr(verification)])


def _second_order(least: float) -> str:
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
    whole, networks = tuned.integer, None
    variables = tuned.problem.variables
    if verification is not None:
        networks = verification._asdict()
        networks["constraints"] = {
            name: each._asdict() for name, each in networks.pop("kept").items()
        }
    return {
        "objective": asked.error,
        "over_times": asked.times,
        **{name: getattr(tuned, name) for name in PLAIN},
        "bounds": {name: variables.bounds(name) for name in tuned.numbers},
        "errors": tuned.errors.to_dict(),
        "constraints": list(_constraints(tuned).values()),
        "optima": [{"value": o.value, "numbers": o.numbers} for o in tuned.optima],
        "integer": whole
        and {"value": whole.value, "numbers": whole.numbers, "errors": whole.errors.to_dict()},
        "sampling_error": None if sampled is None else sampled.share(tuned.errors),
        "verification": networks,
        "theory": tuned.theory,
        "model": to_plain(tuned.model, whole=False),
    }
