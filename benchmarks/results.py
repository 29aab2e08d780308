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

HERE = Path(__file__).parent
RESULTS, BEFORE, README = HERE / "results", HERE / "before", HERE / "README.md"
TABLE = re.compile(r"(?<=<!-- figures -->\n).*(?=<!-- end of figures -->)", flags=re.S)
EMPTY: dict[str, Any] = {"benchmarks": {}}
COLUMNS = ("figure", "rfdsm", "peer", "ratio", "limit", "machine", "note")


def measure(name: str) -> None:
    """Run a benchmark, and put its figures in the place of its earlier ones on this device."""
    from .device import circumstances, device  # here, where jax may take the accelerator

    around = circumstances()
    figures = import_module(f"benchmarks.{name}").run()
    about = device()
    path = RESULTS / f"{about['name']}.json"
    kept = {"device": about, "benchmarks": (read(path) or EMPTY)["benchmarks"]}
    kept["benchmarks"][name] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        **around,
        "figures": [asdict(figure) for figure in figures],
    }
    with whole_file(path) as part:
        part.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read(path: Path) -> dict[str, Any] | None:
    """The figures of a device, or None."""
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def before(name: str) -> dict[str, float]:
    """Values that a benchmark had on this device at an earlier state of the package."""
    from .device import device

    kept = read(BEFORE / f"{device()['name']}.json") or EMPTY
    rows = kept["benchmarks"].get(name, {"figures": []})["figures"]
    return {row["what"]: row["value"] for row in rows}


def number(value: float | None, unit: str = "") -> str:
    """Three digits, without more ado."""
    if value is None:
        return ""
    size = abs(value)
    if size and not 1e-3 <= size < 1e5:
        mantissa, exponent = (
            f"{value:.2g}".split("e") if size < 1 else f"{value:.1e}".split("e")
        )
        text = f"{mantissa}e{int(exponent)}"
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


def table() -> str:
    """The machines, and the figures of each benchmark, as README.md has them."""
    kept = {path.stem: read(path) for path in sorted(RESULTS.glob("*.json"))}
    lines = ["", "Machines:", ""]
    for machine, each in kept.items():
        about = each["device"]
        host = f"{about['processor']}, {about['cores']} cores, {about['isa']}"
        where = f"{about['accelerator']} ({host})" if about["accelerator"] else host
        dates = sorted({b["date"] for b in each["benchmarks"].values()})
        versions = sorted({f"jax {b['jax']}" for b in each["benchmarks"].values()})
        span = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
        lines.append(f"* `{machine}`: {where}; {', '.join(versions)}; {span}")
    for name in dict.fromkeys(name for each in kept.values() for name in each["benchmarks"]):
        lines += ["", f"### {name}", "", f"Again: `python -m benchmarks {name}`", ""]
        lines += [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
        measured = {
            m: e["benchmarks"][name]["figures"]
            for m, e in kept.items()
            if name in e["benchmarks"]
        }
        lines += [
            f"| {' | '.join(row(Figure(**fields), machine))} |"
            for machine, figures in measured.items()
            for fields in figures
        ]
    return "\n".join([*lines, "", ""])


def written() -> str:
    """README.md with the table of the figures that are kept."""
    text, count = TABLE.subn(lambda _: table(), README.read_text("utf-8"))
    if count != 1:
        raise ValueError(f"{README} must have the marks {TABLE.pattern} once; put them back.")
    return text
