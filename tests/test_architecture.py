"""Imports run down DESIGN.md's picture only; the roads share no code but the ingredients."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "rfdsm"
# Each floor may import from the floors above it in this list, never from one below.
FLOORS = (
    {"checks", "derivatives", "files", "linalg", "promotion", "serialise", "tables"},
    {"quadrature", "contour"},
    {"activations", "processes", "data", "training"},
    {"moments", "images"},
    {"errors"},
    {"asymptotics", "simulation"},
    {"model", "comparison", "canary"},
    {"measuring", "timescales", "tuning"},
    {"plotting", "storage", "options"},
    {"family", "settings"},
    {"curve", "point", "eigenvalues", "request"},
    {"predict", "train", "landscape", "optimum"},
    {"demo"},
    {"cli"},
    {"__init__", "__main__"},
)


def imports(path: Path) -> set[str]:
    """The rooms of rfdsm that a module imports from."""
    inside = len(path.relative_to(PACKAGE).parts) - 1
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == inside + 1:
            rooms |= (
                {node.module.split(".")[0]} if node.module else {a.name for a in node.names}
            )
    return rooms


def test_imports_run_down_only():
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for other in imports(path) - {room}:
            assert floor[other] < floor[room], f"{path.name} must not import {other}"


def test_no_private_jax():
    for path in PACKAGE.rglob("*.py"):
        assert "jax._src" not in path.read_text(encoding="utf-8"), path
