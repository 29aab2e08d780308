"""The documents' code runs, and what they name exists; what is declared is what is imported."""

import ast
import doctest
import importlib
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import rfdsm
from rfdsm.cli.tune import settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
README = DOCUMENTS[0].read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def blocks(text, language):
    """Code of a language, fenced."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.S | re.M)


def indented(text):
    """Blocks indented by four columns, outside of fences and lists."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    return re.findall(r"(?<=\n\n)((?:    .*\n)+)", text)


PYTHON = blocks(README, "python")


def run(code, namespace):
    exec(compile(code, "README.md", "exec"), namespace)


def test_readme_code_runs(capsys):
    """The model and its gradient; all of it in the slow set."""
    first, gradient = PYTHON[:2]
    assert len(first.strip().splitlines()) <= 12 and len(gradient.strip().splitlines()) <= 3
    namespace: dict = {}
    run(first, namespace)
    run(gradient, namespace)
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.slow
def test_readme_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # it saves a network
    namespace: dict = {}
    assert len(PYTHON) >= 6
    for code in PYTHON:
        run(code, namespace)


def test_readme_defines_every_name_it_uses():
    """In the order of the text, and no name for two things."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", "-"]
    found = subprocess.run(command, input="".join(PYTHON), capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    models = re.findall(r"^(\w+) = .*RFDSM\(", "".join(PYTHON), flags=re.M)
    assert len(set(models)) == len(models) >= 3


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_is_fenced(document):
    """Indented blocks are shell commands or equations: Python there would not be run."""
    text = document.read_text(encoding="utf-8")
    if document.name not in ("README.md", "clusters.md"):  # whose blocks are run
        assert not blocks(text, "python")
    for block in indented(text):
        assert not re.search(r"rfdsm\.|jax\.|model\.\w+\(|^    import ", block, flags=re.M)


def test_readme_shows_a_problem_that_tune_reads(tmp_path):
    (shown,) = blocks(README, "toml")
    (tmp_path / "problem.toml").write_text(shown)
    found = settings.read(tmp_path / "problem.toml")
    assert found["free"] == {"psi_p": (0.1, 64.0), "m": None, "training.lam": None}
    assert found["at_most"] == {"train_loss": 0.6} and found["budget"] == {"samples": 32.0}


def test_documents_name_what_exists():
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    names = re.findall(r"rfdsm\.([A-Za-z_]+)\(", text)
    targets = re.findall(r"(?:^ +|`)make ([a-z-]+)", text, flags=re.M)
    targets += re.findall(r"^make ([a-z-]+)", (ROOT / ".ci/run").read_text(), flags=re.M)
    paths = re.findall(
        r"`((?:notebooks|benchmarks|tests|docs)/[\w./]+)`|\]\((docs/[\w./]+)\)", text
    )
    assert len(names) > 10 and {"demo", "test", "lint"} <= set(targets) and len(paths) > 5
    for name in names:
        assert hasattr(rfdsm, name) or hasattr(rfdsm.plotting.Accessor, name), name
    for target in targets:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.M), target
    for path in paths:
        assert (ROOT / "".join(path)).exists(), path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_whole(document):
    """Every row of a table stands under its head: no blank line within."""
    lines = document.read_text(encoding="utf-8").splitlines()
    starts = [k for k, line in enumerate(lines) if "|" in line[:3] and "|" not in lines[k - 1]]
    for k in starts:
        assert re.fullmatch(r" *\|[-|]+\|", lines[k + 1]), f"{document.name}:{k + 1}"


def with_doctests():
    """All modules that have some, cheap ones; those that compile much in the slow set."""
    slow = ("analysis.learning_times", "sweeps.curves", "tuning.front")
    for path in sorted((ROOT / "rfdsm").rglob("*.py")):
        if ">>>" in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            marks = pytest.mark.slow if name.endswith(slow) else ()
            yield pytest.param(name, id=name, marks=marks)


@pytest.mark.parametrize("name", list(with_doctests()))
def test_examples_of_docstrings(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted and not found.failed


def notebooks():
    """All of them; those beside the quickstart in the slow set."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        marks = () if path.stem == "01_quickstart" else pytest.mark.slow
        yield pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.parametrize("path", list(notebooks()))
def test_notebook_runs(path, monkeypatch):
    monkeypatch.setenv("RFDSM_FAST", "1")
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiles in half the time
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()


def declared(*requirements):
    """Names of requirements."""
    names = {re.match(r"[A-Za-z0-9_-]+", need).group().lower() for need in requirements}
    return names - {"rfdsm"}


def imported(*folders):
    """Distributions (as their names are written here) that files of these folders import."""
    found = set()
    for path in itertools.chain.from_iterable((ROOT / each).rglob("*.py") for each in folders):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    own = {"rfdsm", "benchmarks", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
    called = {"sklearn": "scikit-learn", "google_crc32c": "google-crc32c"}
    return {called.get(x, x) for x in found - sys.stdlib_module_names - own}


def test_what_is_imported_is_declared_and_what_is_declared_is_used():
    extras = PROJECT["optional-dependencies"]
    product = declared(*PROJECT["dependencies"], *extras["cli"], *extras["sweep"])
    assert imported("rfdsm") <= product
    assert imported("rfdsm", "tests", "benchmarks") <= product | declared(
        *extras["test"], *extras["bench"]
    )
    # jax's other half; the notebooks' kernel; named by the Makefile.
    elsewhere = {"jaxlib", "ipykernel", "pytest-xdist", "ruff"}
    assert product - elsewhere <= imported("rfdsm")
    assert declared(*extras["test"], *extras["bench"]) - elsewhere <= imported(
        "tests", "benchmarks"
    )


def test_constraints_pin_what_the_project_needs_by_name_only():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    extras = PROJECT["optional-dependencies"].values()
    assert declared(*PROJECT["dependencies"], *itertools.chain.from_iterable(extras)) <= pinned
    assert "jax==0.10.1" in lines and "jaxlib==0.10.1" in lines
