"""What can befall a sweep's store: a line that says so, or the same numbers; never others."""

import concurrent.futures
import json
import os
import shutil
import subprocess
import warnings

import numpy as np
import pytest
from victim import MODEL, files
from zarr.storage import LocalStore

import rfdsm
from rfdsm.sweeps.layout import FORMAT, RECORD

AXES = {"lam": np.geomspace(1e-3, 1.0, 5), "t": [0.1, 0.3]}
ROOT = "zarr.json"


def sweep(store, **given):
    """Six chunks of theory and ten of networks."""
    asked = {"simulate": {"d": 8, "trials": 2}, "chunk": {"lam": 2, "t": 1}}
    return rfdsm.sweep(MODEL, AXES, store=store, **(asked | given))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a.zarr"
    sweep(path)
    return path


@pytest.fixture
def path(whole, tmp_path):
    """A copy of the whole store."""
    return shutil.copytree(whole, tmp_path / "a.zarr")


def chunk_files(path):
    """Those of variables, by variable."""
    names = [each.name for each in path.iterdir() if each.is_dir() and each.name not in AXES]
    found = {name: (path / name / "c").rglob("*") for name in sorted(names)}
    return {name: sorted(filter(os.path.isfile, each)) for name, each in found.items()}


def flip(file, place):
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 1
    file.write_bytes(content)


def told(call, *errors):
    """The one line that it raises."""
    with pytest.raises(errors or ValueError) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


def written(path):
    return {file: (path / file).stat().st_mtime_ns for file in files(path)}


@pytest.mark.parametrize("harm", ["flipped", "truncated", "deleted"])
def test_a_harmed_chunk_of_every_variable(path, whole, harm):
    """Each variable in another place: these chunks alone are computed again."""
    harmed = {}
    for i, (name, each) in enumerate(chunk_files(path).items()):
        file = each[-1 if name.endswith("status") else i % (len(each) - 1)]
        harmed[name] = file
        if harm == "deleted":
            file.unlink()
        elif harm == "truncated":
            file.write_bytes(file.read_bytes()[: -1 - 7 * i])
        else:
            flip(file, 5 * i)
    found = {damage.variable for damage in rfdsm.check(path).damaged}
    marks = {"status", "simulated_status"} if harm == "deleted" else set()
    assert found == {*harmed} - marks
    if harm == "deleted":
        with pytest.warns(UserWarning, match="has lost chunks of") as lines:
            lost = rfdsm.open(path)
        assert len(lines) == 1 and lost.attrs["chunks_done"] == lost.attrs["chunks_total"] - 2
        for name in harmed:  # absent, not other numbers
            known = lost[name] != (-1 if name.endswith("status") else lost[name])
            assert not known.all()
    else:
        for name in harmed:  # each variable tells when it is read
            with pytest.raises(ValueError):
                rfdsm.open(path)[name].load()
    before = written(path)
    sweep(path)
    assert files(path) == files(whole)
    after = written(path)
    where = {(name.startswith(("simulated", "expected")), place(path, name, file))
             for name, file in harmed.items()}  # fmt: skip
    for name, each in chunk_files(path).items():
        networks = name.startswith(("simulated", "expected"))
        for file in each:
            again = before.get(file.relative_to(path)) != after[file.relative_to(path)]
            assert again == ((networks, place(path, name, file)) in where)


def place(path, name, file):
    """Of a chunk along the grid."""
    return file.relative_to(path / name / "c").parts[:2]


def test_harmed_coordinates_and_metadata(path, whole):
    """Any other file than a chunk of a variable: it is told, and the same call mends it."""
    others = {file for file in files(path) if file.parts[0] in AXES or file.name == ROOT}
    for i, file in enumerate(sorted(others - {path.relative_to(path) / ROOT})):
        flip(path / file, 11 * i)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                same(rfdsm.open(path), rfdsm.open(whole))
            except ValueError as error:
                assert "damaged" in str(error) and "\n" not in str(error)
    before = written(path)
    sweep(path)
    assert files(path) == files(whole)
    after = written(path)
    assert {file for file in after if after[file] != before[file]} <= others
    flip(path / ROOT, 900)
    assert "zarr.json is damaged" in told(lambda: rfdsm.open(path))
    assert "zarr.json is damaged" in told(lambda: sweep(path))


def same(one, other):
    """Bit for bit."""
    assert [*one.variables] == [*other.variables]
    for name in one.variables:
        np.testing.assert_array_equal(one[name].values, other[name].values, name, strict=True)


def test_it_is_moved(path, whole, tmp_path, monkeypatch):
    moved = shutil.move(path, tmp_path / "elsewhere.zarr")
    flip(chunk_files(moved)["variance"][0], 3)
    before = written(moved)
    sweep(moved)
    assert files(moved) == files(whole) and not path.exists()
    after = written(moved)
    again = {file.parts[0] for file in after if after[file] != before[file]}
    assert "variance" in again and "simulated_variance" not in again
    monkeypatch.chdir(tmp_path)
    same(rfdsm.open("elsewhere.zarr"), rfdsm.open(whole))


@pytest.mark.parametrize(
    "number, fix", [(FORMAT + 1, "update rfdsm"), (FORMAT - 1, "new store")]
)
def test_another_format(path, number, fix):
    root = json.loads((path / ROOT).read_text())
    root["attributes"][RECORD]["format"] = number
    (path / ROOT).write_text(json.dumps(root))
    before = files(path)
    for call in (sweep, rfdsm.open, rfdsm.check):
        line = told(lambda call=call: call(path))
        assert f"has format {number}, this rfdsm has format {FORMAT}" in line and fix in line
    assert files(path) == before


@pytest.mark.parametrize(
    "change, words",
    [
        ({"seed": 1}, "networks.seed is 0 there and 1 here"),
        ({"simulate": {"d": 9, "trials": 2}}, "networks.d is 8 there and 9 here"),
        ({"simulate": None}, "networks is"),
        ({"quantities": {"gap": lambda m: m.asymptotics().test_loss}}, "quantities"),
    ],
)
def test_another_sweep(path, change, words):
    before = files(path)
    assert words in told(lambda: sweep(path, **change))
    assert files(path) == before


def test_another_model_or_axis(path):
    before = files(path)
    asked = {"store": path, "simulate": {"d": 8, "trials": 2}}
    line = told(lambda: rfdsm.sweep(MODEL.replace(psi_n=2.5), AXES, **asked))
    assert "psi_n is 2.0 there and 2.5 here" in line
    line = told(lambda: rfdsm.sweep(MODEL, AXES | {"t": [0.1, 0.4]}, **asked))
    assert "t has other values there" in line or "t[1]" in line
    assert files(path) == before


def test_a_full_disk(whole, tmp_path):
    """A real one: what was recorded stays, and with room the same call ends it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        fill = disk / "fill"
        line = told(lambda: rfdsm.sweep(MODEL, {"t": np.linspace(0.1, 1, 10**5)},
                                        store=disk / "large.zarr"), OSError)  # fmt: skip
        assert "the sweep needs" in line and os.listdir(disk) == []
        disk_filled = []

        def report(progress):  # somebody else fills it meanwhile
            if progress.done == 2 and not disk_filled:
                disk_filled.append(fill_up(fill))

        line = told(lambda: sweep(disk / "a.zarr", progress=report), OSError)
        assert "No space left on device" in line
        done = rfdsm.check(disk / "a.zarr")
        assert done.damaged == () and 1 <= sum(done.marked.values()) < 16
        line = told(lambda: sweep(disk / "a.zarr"), OSError)
        assert "GB are free" in line
        fill.unlink()
        sweep(disk / "a.zarr")
        assert files(disk / "a.zarr") == files(whole)
    finally:
        subprocess.run(["umount", disk], check=True)


def fill_up(path):
    """A file that leaves no room."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return True


def test_a_folder_that_cannot_be_written(path, tmp_path, monkeypatch):
    """A whole store may be read there; nothing is computed that could not be stored."""
    only_read = LocalStore(path, read_only=True)
    same(sweep(only_read), rfdsm.open(path))
    lost = chunk_files(path)["test_loss"][0]
    flip(lost, 0)
    assert "for reading only" in told(lambda: sweep(only_read), OSError)
    lost.unlink()
    assert "for reading only" in told(lambda: sweep(only_read), OSError)

    def refused(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)  # root may write anywhere
    before = files(path)
    for store in path, tmp_path / "new.zarr":
        line = told(lambda store=store: sweep(store), OSError)
        assert "Permission denied" in line and "cannot be written" in line
    assert files(path) == before and not (tmp_path / "new.zarr").exists()


def test_two_at_once(whole, tmp_path):
    """Both end, and the store is the same as one's."""
    path = tmp_path / "a.zarr"
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        both = [threads.submit(sweep, path) for _ in range(2)]
        found = [each.result() for each in both]
    assert files(path) == files(whole)
    same(*found)
