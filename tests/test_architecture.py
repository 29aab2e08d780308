"""The house (docs/design.md): what may import what, how large things are, what is cited.

`python tests/test_architecture.py` prints the picture: rooms, arrows, arrows up, circles.
"""

import ast
import re
import statistics
from pathlib import Path

from conftest import COMPILED_WELL, FIRST

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rfdsm"
# A room may import from the floors below its own: entry, commands, figures, questions asked of
# many models, the best one, questions asked of one, the model, its roads, what a problem is
# made of, results, numbers.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"__init__", "plotting"},
    {"sweeps"},
    {"tuning"},
    {"analysis"},
    {"model"},
    {"asymptotics", "simulation"},
    {"ingredients"},
    {"errors", "overlaps"},
    {"parameters"},
    {"progress"},
    {"_numerics", "_files"},
)
FLOOR = {room: len(FLOORS) - level for level, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """The room that a file is in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[Path]:
    """The files of the package that a file imports from, inside of functions too.

    A name that a package's `__init__` re-exports counts as the `__init__`'s file.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1]
            base = base.joinpath(*(node.module or "").split(".")) if node.module else base
            for name in (alias.name for alias in node.names):
                target = next(filter(Path.exists, candidates(base, name)), None)
                assert target is not None, f"{path}: cannot place {name} of {base}"
                found.add(target)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
            )
            assert not any(name.split(".")[0] == "rfdsm" for name in names), path
    return found - {path}


def candidates(base: Path, name: str):
    """Where `from base import name` may find it: a module, a package, the base itself."""
    yield base / f"{name}.py"
    yield base / name / "__init__.py"
    yield base.with_suffix(".py")
    yield base / "__init__.py"


ARROWS = {path: imported(path) for path in FILES}
ROOM_ARROWS = {
    (room_of(path), room_of(target))
    for path, targets in ARROWS.items()
    for target in targets
    if room_of(path) != room_of(target)
}


def circles() -> list[list[Path]]:
    """Files that import each other in a circle."""
    found, done = [], set()

    def visit(path, way):
        if path in way:
            found.append(way[way.index(path) :])
        elif path not in done:
            for target in ARROWS[path]:
                visit(target, [*way, path])
            done.add(path)

    for path in FILES:
        visit(path, [])
    return found


def test_rooms():
    rooms = {
        path.name.removesuffix(".py") for path in PACKAGE.iterdir() if "__pyc" not in path.name
    }
    assert rooms == set(FLOOR) and len(rooms) <= 20


def test_imports_run_down_only():
    up = [f"{a} -> {b}" for a, b in ROOM_ARROWS if FLOOR[a] <= FLOOR[b]]
    assert not up and len(ROOM_ARROWS) <= 80


def test_files_import_in_no_circle():
    assert not circles()


def test_packages_only_re_export():
    """Their code is in modules, so that an import of a name says where it is from."""
    for path in PACKAGE.rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        kinds = {type(node) for node in body}
        if path.parent in (PACKAGE, PACKAGE / "cli" / "tune"):  # version; the command itself
            continue
        assert kinds <= {ast.Expr, ast.Import, ast.ImportFrom, ast.Assign}, path  # __all__


def test_the_roads_do_not_meet():
    """asymptotics and simulation share only what is below both, and neither knows RFDSM."""
    for road, other in (("asymptotics", "simulation"), ("simulation", "asymptotics")):
        targets = {b for a, b in ROOM_ARROWS if a == road}
        assert other not in targets and "model" not in targets


def test_no_module_is_shadowed_by_its_function():
    for path in PACKAGE.rglob("__init__.py"):
        modules = {p.stem for p in path.parent.glob("*.py")} | {
            p.parent.name for p in path.parent.glob("*/__init__.py")
        }
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    name = alias.asname or alias.name
                    is_module = node.module is None or path.parent / f"{name}.py" in {
                        *candidates(path.parent.joinpath(*node.module.split(".")), name)
                    }
                    assert name not in modules or is_module, f"{path}: {name}"


def test_files_are_small():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert max(lengths.values()) <= 400, max(lengths, key=lengths.get)
    assert statistics.median(lengths.values()) < 180


def test_no_annotation_hides_an_import_of_a_module_above():
    """A parameter named after a class of a file above, annotated Any or not at all."""
    classes = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name.lower(), []).append(path)
    hidden = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef) or abstract(node):
                continue
            for argument in node.args.args + node.args.kwonlyargs:
                note = argument.annotation
                if isinstance(note, ast.Name) and note.id == "Any":
                    for owner in classes.get(argument.arg, ()):
                        if reaches(owner, path):
                            hidden.append(f"{path}: {argument.arg} of {owner.name}")
    assert not hidden


def abstract(node: ast.FunctionDef) -> bool:
    """Whether a method is an interface, whose types are its implementations' own."""
    return any("abstractmethod" in ast.unparse(each) for each in node.decorator_list)


def reaches(path: Path, target: Path) -> bool:
    """Whether one file imports another, at any distance."""
    seen, todo = set(), [path]
    while todo:
        here = todo.pop()
        if here == target and here != path:
            return True
        todo += ARROWS[here] - seen
        seen |= ARROWS[here]
    return False


def test_no_private_jax():
    for path in FILES:
        assert "jax._src" not in path.read_text(encoding="utf-8"), path


def test_cited_sections_exist():
    """Docstrings cite docs/theory.md by section."""
    page = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^## (\d+)\. ", page, flags=re.M))
    cited = 0
    for path in [*FILES, *sorted((ROOT / "tests").rglob("*.py"))]:
        text = " ".join(path.read_text(encoding="utf-8").split())
        assert "THEORY" + ".md" not in text, f"{path} cites a page that is not here"
        for found in re.findall(r"theory\.md,? sections? ([\d, and-]*\d)", text):
            for first, last in re.findall(r"(\d+)(?:-(\d+))?", found):
                numbers = map(str, range(int(first), int(last or first) + 1))
                assert sections.issuperset(numbers), f"{path}: section {found}"
                cited += 1
        bare = re.sub(r"theory\.md,? sections? [\d, and-]*\d", "", text)
        assert not re.search(r"theory\.md,? \d", bare), f"{path}: say 'section'"
    assert cited > 20


def test_names_of_tests_exist():
    """Files that conftest orders, and those that it compiles well."""
    for name in (*FIRST, *COMPILED_WELL):
        assert (ROOT / "tests" / f"{name}.py").exists(), name


def test_tests_mirror_the_package():
    rooms = {
        path.name for path in PACKAGE.iterdir() if path.is_dir() and "__pyc" not in path.name
    }
    folders = {
        p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and any(p.glob("test_*"))
    }
    assert folders == rooms


if __name__ == "__main__":
    up = sum(FLOOR[a] <= FLOOR[b] for a, b in ROOM_ARROWS)
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES)
    print(f"{len(FLOOR)} rooms, {len(ROOM_ARROWS)} arrows, {up} up, {len(circles())} circles")
    print(f"{len(FILES)} files, {lines} lines")
