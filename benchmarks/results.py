"""Figures are kept in results/, a file a device; README.md's table is made of them."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from rfdsm._files.whole import whole_file

from .figures import Figure

OF_SPEED = (
    "first_answer",
    "programs",
    "theory",
    "training_time",
    "tuning",
    "simulation",
    "moments",
    "growth",
    "sweep",
)
BENCHMARKS = (*OF_SPEED, "agreement")
HERE = Path(__file__).parent
RESULTS, BEFORE, README = HERE / "results", HERE / "before", HERE / "README.md"
TABLE = re.compile(r"(?<=<!-- figures -->\n).*(?=<!-- end of figures -->)", flags=re.S)
COLUMNS = ("figure", "rfdsm", "peer", "ratio", "limit", "machine", "note")


def measure(name: str) -> None:
    """Run a benchmark, and put its figures in the place of its earlier ones on this device."""
    from .device import circumstances, device  # here, where jax may take the accelerator

    around = circumstances()
    figures = import_module(f"benchmarks.{name}").run()
    about = device()
    path = RESULTS / f"{about['name']}.json"
    kept = read(path) | {"device": about}
    rows = [asdict(figure) for figure in figures]
    kept["benchmarks"][name] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        **around,
        "figures": rows,
    }
    with whole_file(path) as part:
        part.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read(path: Path) -> dict[str, Any]:
    """What is kept of a device."""
    return json.loads(path.read_text("utf-8")) if path.exists() else {"benchmarks": {}}


def figures_of(kept: dict[str, Any], name: str) -> list[Figure]:
    """Those of a benchmark."""
    run = kept["benchmarks"].get(name, {"figures": ()})
    return [Figure(**fields) for fields in run["figures"]]


def before(name: str) -> dict[str, float]:
    """Values that a benchmark had on this device at an earlier state of the package."""
    from .device import device

    kept = read(BEFORE / f"{device()['name']}.json")
    return {figure.what: figure.value for figure in figures_of(kept, name)}


def number(value: float | None, unit: str = "") -> str:
    """Two or three digits."""
    if value is None:
        return ""
    size = abs(value)
    if size and not 1e-3 <= size < 1e5:
        mantissa, exponent = f"{value:.1e}".split("e")
        text = f"{float(mantissa):g}e{int(exponent)}"
    else:
        text = f"{value:,.0f}" if size >= 1000 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def row(figure: Figure, machine: str) -> Iterator[str]:
    """The cells of a figure."""
    holds = {True: "holds", False: "**missed**", None: ""}[figure.limit_holds]
    peer = f"{figure.peer}: {number(figure.peer_value, figure.unit)}" if figure.peer else ""
    yield figure.what
    yield number(figure.value, figure.unit)
    yield peer.rstrip(": ")
    yield number(figure.ratio)
    yield ", ".join(filter(None, (figure.limit, holds)))
    yield machine
    yield figure.note


def described(machine: str, kept: dict[str, Any]) -> str:
    """A machine in a line."""
    about, runs = kept["device"], kept["benchmarks"].values()
    host = f"{about['processor']}, {about['cores']} cores, {about['isa']}"
    where = f"{about['accelerator']} ({host})" if about["accelerator"] else host
    versions = ", ".join(sorted({f"jax {run['jax']}" for run in runs}))
    dates = sorted({run["date"] for run in runs})
    span = " to ".join(dates[:: max(1, len(dates) - 1)])  # the first and the last
    busy = max(run["load"] for run in runs)
    return f"* `{machine}`: {where}; {versions}; {span}; load {busy:.1f} at most"


def table() -> str:
    """The machines, and the figures of each benchmark, as README.md has them."""
    kept = {path.stem: read(path) for path in sorted(RESULTS.glob("*.json"))}
    lines = ["Machines:", "", *(described(*each) for each in kept.items())]
    for name in BENCHMARKS:
        rows = [
            f"| {' | '.join(row(figure, machine))} |"
            for machine, each in kept.items()
            for figure in figures_of(each, name)
        ]
        if rows:
            lines += ["", f"### {name}", "", f"Again: `python -m benchmarks {name}`", ""]
            lines += [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|", *rows]
    return "\n".join(["", *lines, "", ""])


def written() -> str:
    """README.md with the table of the figures that are kept."""
    text, count = TABLE.subn(lambda _: table(), README.read_text("utf-8"))
    if count != 1:
        raise ValueError(f"{README} must have the marks {TABLE.pattern} once; put them back.")
    return text
