"""README's code and the notebooks run."""

import itertools
import re
import tomllib
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import rfdsm

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_code_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(blocks) == 2
    assert (
        len(blocks[0].strip().splitlines()) <= 12 and len(blocks[1].strip().splitlines()) <= 3
    )
    namespace: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    assert capsys.readouterr().out.count("\n") == 2


def test_readme_names_what_exists():
    for name in re.findall(r"rfdsm\.([A-Za-z_]+)\(", README):
        assert hasattr(rfdsm, name), name
    for target in re.findall(
        r"^make ([a-z-]+)", README + (ROOT / "CONTRIBUTING.md").read_text()
    ):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.M)
    for path in re.findall(
        r"`((?:notebooks|benchmarks)/[\w./]+)`|\]\((docs/[\w./]+)\)", README
    ):
        assert (ROOT / "".join(path)).exists(), path


def test_readme_example_of_the_docstring_runs():
    import doctest

    from rfdsm import model

    assert doctest.testmod(model).failed == 0


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


def test_constraints_pin_what_the_project_needs_by_name_only():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    needed = [*project["dependencies"], *itertools.chain.from_iterable(extras)]
    names = {re.match(r"[A-Za-z0-9_-]+", need).group().lower() for need in needed} - {"rfdsm"}
    assert names <= pinned
    assert "jax==0.10.1" in lines and "jaxlib==0.10.1" in lines
