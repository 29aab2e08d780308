"""Stores of sweeps: whole chunks, marks, damage, what they refuse; without any model."""

import contextlib
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore, MemoryStore

from rfdsm.sweeps import layout as layouts, store as stores
from rfdsm.sweeps.layout import Layout, Part, Variable

NUMBER = "data.eigenvalues[1]"  # a name with all that names may have
THEORY, NETWORKS = "theory", "networks"


def layout(points=10, chunk=(4, 2), last=2.0, **identity):
    """(points, 3) points of theory in chunks, networks along one dim with two trials."""
    x = np.append(np.linspace(0.5, 1.9, points - 1), last)

    def number(*dims):
        return Variable(dims, np.dtype(float), np.nan, {"units": "per dimension"})

    def mark(*dims):
        return Variable(dims, np.dtype("int8"), -1, {"flag_meanings": "success bad"})

    grid = (NUMBER, "m")
    return Layout(
        sizes={NUMBER: points, "m": 3, "trial": 2},
        coords={
            NUMBER: (
                (NUMBER,),
                x,
                {"label": "$x$"},
            ),
            "m": (("m",), np.array([1, 4, np.inf]), {"units": "seconds"}),
            "zeros": (("m",), np.zeros(3), {}),
        },
        attrs={"title": "a sweep", "seed": 0},
        parts={
            THEORY: Part(
                {"status": mark(*grid), "error": number(*grid), f"d_{NUMBER}": number(*grid)},
                "status",
                chunk,
            ),
            NETWORKS: Part(
                {"simulated": number("m", "trial"), "simulated_status": mark("m")},
                "simulated_status",
                (1,),
            ),
        },
        identity={"model": {"psi_n": 2.0, "eigenvalues": [1.0, 2.0]}} | identity,
    )


def values(store, part, index, salt=0):
    """A chunk's arrays, told by its index: numbers, and NaN alone in the last variable."""
    points = layouts.box(store.sizes, store.parts[part], index)
    shape = tuple(each.stop - each.start for each in points)
    arrays = {}
    for place, (name, v) in enumerate(store.parts[part].variables.items()):
        whole = shape + layouts.shape(store.sizes, v.dims)[len(shape) :]
        seed = [salt, place, *index]
        arrays[name] = np.random.default_rng(seed).normal(size=whole)
        if name == store.parts[part].mark:
            arrays[name] = np.zeros(whole, np.int8)
        elif name.startswith("d_"):
            arrays[name] = np.full(whole, np.nan)
    return arrays


def chunks(store):
    return [
        (name, index)
        for name, part in store.parts.items()
        for index in layouts.indices(store.sizes, part)
    ]


def fill(store):
    for part, index in chunks(store):
        store.write(part, index, values(store, part, index))
    return store


def whole(store):
    return {(part, index) for part in store.parts for index in store.whole(part)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.zarr"


@pytest.fixture(params=["path", "string", "local", "memory", "fsspec"])
def location(request, tmp_path):
    given = {
        "path": tmp_path / "new" / "a.zarr",
        "string": str(tmp_path / "a.zarr"),
        "local": LocalStore(tmp_path / "a.zarr"),
        "memory": MemoryStore(),
        "fsspec": f"memory://{tmp_path.name}",
    }
    return given[request.param]


def test_what_is_written_is_read(location):
    store = stores.lay_or_open(location, layout())
    before = stores.open_dataset(location)
    assert before.attrs == {"title": "a sweep", "seed": 0, "chunks_done": 0, "chunks_total": 9}
    assert np.all(before["status"] == -1) and before["status"].dtype == np.int8
    assert np.all(np.isnan(before["error"]))
    zarr_settings = zarr.config.get("array")
    fill(store)
    assert zarr.config.get("array") == zarr_settings
    assert whole(store) == set(chunks(store)) and store.missing_bytes() == 0
    dataset = stores.open_dataset(location)
    assert dataset.attrs["chunks_done"] == dataset.attrs["chunks_total"] == 9
    for part, index in chunks(store):
        box = layouts.box(store.sizes, store.parts[part], index)
        for name, array in values(store, part, index).items():
            np.testing.assert_array_equal(dataset[name][box], array, strict=True)
    for name, (dims, x, attrs) in layout().coords.items():
        np.testing.assert_array_equal(dataset.coords[name], x)
        assert dataset[name].dims == dims and dataset[name].attrs == attrs
    assert dataset["error"].attrs == {"units": "per dimension"}
    assert dataset["status"].attrs == {"flag_meanings": "success bad"}
    assert [*dataset] == [name for part in layout().parts.values() for name in part.variables]
    assert {*dataset.coords} == {NUMBER, "m", "zeros"}
    assert [*stores.open_store(location).parts] == [THEORY, NETWORKS]
    assert stores.check(location).marked == {THEORY: 6, NETWORKS: 3}
    dask = stores.open_dataset(location, chunks={})
    assert dask["error"].chunks == ((4, 4, 2), (2, 1))


def test_urls(path):
    stores.lay_or_open(path.as_uri(), layout())
    assert stores.open_dataset(path).attrs["chunks_total"] == 9
    with pytest.raises(ValueError, match=r"cannot be opened \(Protocol not known: nosuch\)"):
        stores.open_dataset("nosuch://a.zarr")
    with pytest.raises(FileNotFoundError, match="there is no sweep at /b"):
        stores.open_dataset("memory://b.zarr")


def test_a_dataset_is_read_when_it_is_used(path):
    fill(stores.lay_or_open(path, layout()))
    dataset = stores.open_dataset(path)
    (path / "error" / "c" / "0" / "0").write_bytes(b"")
    assert dataset["status"].sum() == 0
    with pytest.raises(ValueError, match="checksum"):
        dataset["error"].load()


def test_a_store_stands_by_itself(path, tmp_path):
    """It resumes where it is moved, in other chunks than its own, through a pickle."""
    store = stores.lay_or_open(path, layout())
    store.write(THEORY, (1, 1), values(store, THEORY, (1, 1)))
    moved = shutil.move(path, tmp_path / "b.zarr")
    again = stores.lay_or_open(moved, layout(chunk=(5, 3)))
    assert again.parts[THEORY].chunk == (4, 2) and whole(again) == {(THEORY, (1, 1))}
    sent = pickle.loads(pickle.dumps(again))
    fill(sent)
    assert whole(again) == set(chunks(again)) and not any(again.check().damaged)


def test_a_point_without_dims(path):
    mark = Variable((), np.dtype("int8"), -1, {})
    one = Layout({}, {}, {}, {"theory": Part({"status": mark}, "status", ())}, {})
    store = stores.lay_or_open(path, one)
    assert store.whole("theory") == set()
    store.write("theory", (), {"status": np.int8(0)})
    assert store.whole("theory") == {()} and stores.open_dataset(path)["status"] == 0


def test_arrays_that_are_no_chunk_are_refused(path):
    store = stores.lay_or_open(path, layout())
    arrays = values(store, THEORY, (2, 0))
    with pytest.raises(ValueError, match=r"chunk of error has shape \(4, 2\), got \(2, 2\)"):
        store.write(THEORY, (0, 0), arrays | {"status": np.zeros((4, 2), np.int8)})
    del arrays["error"]
    with pytest.raises(ValueError, match="theory holds"):
        store.write(THEORY, (2, 0), arrays)
    assert not store.marked(THEORY)


@pytest.mark.parametrize("variable", ["error", "status", f"d_{NUMBER}", "simulated"])
@pytest.mark.parametrize("harm", ["truncated", "emptied", "deleted", "flipped", "zeroed"])
def test_damage_is_found_and_done_again(path, variable, harm):
    """The chunk at the end of the grid, which is filled up, as any other."""
    store = fill(stores.lay_or_open(path, layout()))
    before = stores.open_dataset(path).load()
    part, index = (NETWORKS, (2,)) if variable == "simulated" else (THEORY, (2, 1))
    file = path / variable / "c" / "/".join(map(str, index))
    file = file / "0" if variable == "simulated" else file
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    if harm == "deleted":
        file.unlink()
    else:
        cut = {"truncated": content[:-5], "emptied": b"", "zeroed": bytes(len(content))}
        file.write_bytes(cut.get(harm, content))
    assert whole(store) == set(chunks(store)) - {(part, index)}
    report = store.check()
    if (variable, harm) == ("status", "deleted"):  # as if it had never been computed
        assert report.damaged == () and report.marked[THEORY] == report.chunks[THEORY] - 1
    else:
        assert [damage[:3] for damage in report.damaged] == [(part, variable, index)]
    if harm == "deleted" and variable != "status":
        with pytest.warns(UserWarning, match="has lost chunks of"):
            assert stores.open_dataset(path)[variable].isnull().any()
    stores.lay_or_open(path, layout()).write(part, index, values(store, part, index))
    assert whole(store) == set(chunks(store))
    xr.testing.assert_identical(stores.open_dataset(path), before)


def test_lost_metadata_and_coordinates_are_mended(path):
    before = stores.open_dataset(fill(stores.lay_or_open(path, layout())).where).load()
    for key, content in [
        ("zeros/c/0", None),
        ("m/c/0", b"\0" * 28),
        ("error/zarr.json", b'{"shape": [10'),
        ("status/zarr.json", None),
    ]:
        (path / key).unlink() if content is None else (path / key).write_bytes(content)
        with pytest.raises(ValueError, match="damaged in its coordinates or metadata"):
            stores.open_dataset(path)
        assert whole(stores.lay_or_open(path, layout())) == set(chunks(stores.open_store(path)))
        xr.testing.assert_identical(stores.open_dataset(path), before)
    (path / "zarr.json").write_text('{"attributes": {')
    for opened in (lambda: stores.lay_or_open(path, layout()), lambda: stores.open_store(path)):
        with pytest.raises(ValueError, match=r"a\.zarr/zarr\.json is damaged"):
            opened()


@pytest.mark.parametrize("rounds", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_any_flipped_bit_is_mended_or_told(path, rounds):
    """In chunks, coordinates and metadata: the call that made a store restores it."""
    before = stores.open_dataset(fill(stores.lay_or_open(path, layout())).where).load()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    random, told = np.random.default_rng(0), 0
    for file in rounds * files:
        content = file.read_bytes()
        place, bit = random.integers(len(content)), 1 << random.integers(8)
        flipped = bytearray(content)
        flipped[place] ^= bit
        file.write_bytes(flipped)
        try:
            store = stores.lay_or_open(path, layout())
        except (ValueError, FileExistsError) as error:
            assert file.name == "zarr.json" and file.parent == path, (file, place)
            assert str(path) in str(error) and "\n" not in str(error)
            file.write_bytes(content)
            told += 1
        else:
            for each in {*chunks(store)} - whole(store):
                store.write(*each, values(store, *each))
        xr.testing.assert_identical(stores.open_dataset(path), before)
    assert told <= rounds  # the one file that says what the store is


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"model": {"psi_n": 3.0, "eigenvalues": [1.0, 2.0]}}, r"model.psi_n is 2.0 there and"),
        (
            {"model": {"psi_n": 2.0, "eigenvalues": [1.0, 3.0]}},
            r"eigenvalues\[1\] is 2.0 there",
        ),
        ({"networks": {"d": 3}}, r'networks is absent there and \{"d": 3\} here'),
        ({"points": 11}, r"data.eigenvalues\[1\] has 10 values there and 11 here"),
        ({"last": 3.0}, r"data.eigenvalues\[1\]\[9\] is 2.0 there and 3.0 here"),
    ],
)
def test_another_sweep_is_told_apart(path, other, told):
    store = fill(stores.lay_or_open(path, layout()))
    with pytest.raises(ValueError, match=told) as caught:
        stores.lay_or_open(path, layout(**other))
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert whole(store) == set(chunks(store))


def test_formats(path):
    stores.lay_or_open(path, layout())
    text = json.loads((path / "zarr.json").read_text())
    for number, fix in [(layouts.FORMAT + 1, "update rfdsm"), (0, "compute again")]:
        text["attributes"][layouts.RECORD]["format"] = number
        (path / "zarr.json").write_text(json.dumps(text))
        with pytest.raises(ValueError, match=fix):
            stores.lay_or_open(path, layout())


def test_what_is_not_a_sweep_is_left_alone(path):
    path.mkdir()
    stores.lay_or_open(path, layout())  # an empty folder is
    other = path.with_name("other")
    other.mkdir()
    (other / "thesis.tex").write_text("dear")
    group = path.with_name("group.zarr")
    zarr.create_group(group, attributes={"title": "a"})
    file = path.with_name("file")
    file.write_text("dear")
    for place in (other, group, file):
        before = sorted(place.rglob("*"))
        with pytest.raises(FileExistsError, match="give another path"):
            stores.lay_or_open(place, layout())
        with pytest.raises(FileExistsError):
            stores.open_dataset(place)
        assert sorted(place.rglob("*")) == before
    absent = path.with_name("absent")
    with pytest.raises(FileNotFoundError, match="there is no sweep at"):
        stores.open_dataset(absent)
    assert not absent.exists()


def test_a_half_laid_store_is_laid_again():
    files = layouts.template(layout())

    class Killed(MemoryStore):
        left = 5

        async def set(self, key, value, byte_range=None):
            self.left -= 1
            if self.left < 0:
                raise ConnectionError
            await super().set(key, value)

    for left in range(len(files) + 1):
        where = Killed()
        where.left = left
        with pytest.raises(ConnectionError):
            stores.lay_or_open(where, layout())
        with pytest.raises(FileNotFoundError, match="there is no sweep"):
            stores.open_store(where)
        where.left = 1000
        assert whole(fill(stores.lay_or_open(where, layout()))) == set(
            chunks(stores.open_store(where))
        )


def test_a_standing_store_is_not_written_again(path):
    fill(stores.lay_or_open(path, layout()))
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    stores.lay_or_open(path, layout())
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_what_killed_processes_left_is_removed_and_nothing_else(path):
    store = fill(stores.lay_or_open(path, layout()))
    old, new = path / "error/c/0/1.ab.partial", path / "error/c/0/1.cd.partial"
    others = [path.parent / "film.partial", path / "film.partial"]
    for file in (old, new, *others):
        file.write_text("half")
        if file != new:
            os.utime(file, (0, 0))
    assert whole(store) == set(chunks(store))
    stores.lay_or_open(path, layout())
    assert not old.exists() and new.exists() and all(file.exists() for file in others)


def test_a_store_in_memory_stays_where_it_is():
    with pytest.raises(TypeError, match="of one process alone"):
        pickle.dumps(stores.lay_or_open(MemoryStore(), layout()))
    with pytest.raises(TypeError, match="a path, a URL or a zarr store"):
        stores.lay_or_open(3, layout())


def test_checks_report(path):
    told = []
    fill(stores.lay_or_open(path, layout())).check(told.append)
    assert [line.done for line in told] == [1, 2, 3, 4, 5, 6, 1, 2, 3]


@contextlib.contextmanager
def as_nobody():
    """Who may not write everywhere, as root may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shelf():
    """A folder that everyone may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_folder_that_cannot_be_written(shelf):
    path = shelf / "a.zarr"
    store = stores.lay_or_open(path, layout())
    store.write(THEORY, (0, 0), values(store, THEORY, (0, 0)))
    for folder in (shelf, path):
        folder.chmod(0o555)
    with as_nobody():
        for place in (path, shelf / "b.zarr", shelf / "new" / "b.zarr"):
            with pytest.raises(PermissionError, match="a store cannot be written there"):
                stores.lay_or_open(place, layout())
        assert stores.open_dataset(path).attrs["chunks_done"] == 1
    with pytest.raises(PermissionError, match="for reading only"):
        stores.lay_or_open(LocalStore(path, read_only=True), layout())
    assert sorted(shelf.iterdir()) == [path]
    fill(store)  # what is whole may lie where nothing can be written
    with as_nobody():
        assert whole(stores.lay_or_open(path, layout())) == set(chunks(store))
    for folder in (shelf, path):
        folder.chmod(0o755)


def test_sizes_that_do_not_fit(path, monkeypatch):
    def free(size):
        usage = shutil.disk_usage(path.parent)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=size))

    chunk_files = 6 * 3 + 3 * 2
    free(chunk_files * 4096 - 1)
    with pytest.raises(OSError, match=r"needs 9\.83e-05 GB and 9\.83e-05 GB are free"):
        stores.lay_or_open(path, layout())
    assert [*path.parent.iterdir()] == []
    free(chunk_files * 4096)
    store = stores.lay_or_open(path, layout())
    store.write(THEORY, (0, 0), values(store, THEORY, (0, 0)))
    free((chunk_files - 3) * 4096)  # what is there needs no room
    assert stores.lay_or_open(path, layout()).missing_bytes() == (chunk_files - 3) * 4096


def test_a_write_that_fails_records_nothing(path):
    store = stores.lay_or_open(path, layout(points=2000, chunk=(1000, 3)))
    store.write(THEORY, (0, 0), values(store, THEORY, (0, 0)))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        for index in [(0, 0), (1, 0)]:
            with pytest.raises(OSError, match="too large"):
                store.write(THEORY, index, values(store, THEORY, index))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.marked(THEORY) == store.whole(THEORY) == {(0, 0)}
    assert not [*path.rglob("*.partial")]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(mount, capture_output=True).returncode == 0:
            yield disk
            subprocess.run(["umount", str(disk)], check=True)
            return
    pytest.skip("a file system can be mounted by root alone")


def test_a_full_disk(small_disk):
    sizes = {"points": 2000, "chunk": (200, 3)}
    store = stores.lay_or_open(small_disk / "a.zarr", layout(**sizes))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - 60_000))
    with pytest.raises(OSError, match="No space left on device"):
        fill(store)
    there = store.whole(THEORY)
    assert there == store.marked(THEORY) and 0 < len(there) < 10
    with pytest.raises(OSError, match="are free, sweep fewer points"):
        stores.lay_or_open(small_disk / "a.zarr", layout(**sizes))
    ballast.unlink()
    again = fill(stores.lay_or_open(small_disk / "a.zarr", layout(**sizes)))
    assert whole(again) == set(chunks(again))


MANY = {"points": 300, "chunk": (4, 2)}  # 150 chunks of theory


def resume(path, log):
    """A process that does what is not done, in two threads, and logs what it has recorded."""
    store = stores.lay_or_open(path, layout(**MANY))
    done = whole(store)
    todo = iter([each for each in chunks(store) if each not in done])
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                each = next(todo, None)
            if each is None:
                return
            store.write(*each, values(store, *each))
            line = json.dumps(each) + "\n"
            os.write(recorded, line.encode())

    recorded = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextlib.contextmanager
def process(path, log):
    """`resume` in a process that is ready and begins at a line."""
    code = "import sys, test_store as t; print(flush=True); input(); t.resume(*sys.argv[1:])"
    command = [sys.executable, "-W", "error", "-c", code, str(path), str(log)]
    folders = [str(Path(__file__).parent), *sys.path]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
    ) as child:
        child.stdout.readline()
        yield child


def start(child):
    child.stdin.write(b"\n")
    child.stdin.flush()


def uninterrupted(path):
    return stores.open_dataset(fill(stores.lay_or_open(path, layout(**MANY))).where).load()


def lines(log):
    return [tuple(json.loads(line)) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("kills", [1, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_any_moment(path, kills):
    """Nothing that was recorded is lost or done twice, and what is left is done."""
    log, killed, random = path.with_name("log"), 0, np.random.default_rng(kills)
    log.touch()
    while killed < kills:
        with process(path, log) as child:
            start(child)
            if killed % 5 == 1:
                time.sleep(0.05 * random.random())  # while it is laid or checked
            else:
                before = log.stat().st_size
                while log.stat().st_size == before and child.poll() is None:
                    time.sleep(0.001)
                time.sleep(0.01 * random.random())  # while it writes
            child.send_signal(signal.SIGKILL)
            killed += 1
            assert child.wait() == -signal.SIGKILL
        if path.exists():
            there = whole(stores.open_store(path))
            assert there >= {(part, tuple(index)) for part, index in lines(log)}
    with process(path, log) as child:
        start(child)
        assert child.wait() == 0
    assert len({str(line) for line in lines(log)}) == len(lines(log))
    expected = uninterrupted(path.with_name("b.zarr"))
    xr.testing.assert_identical(stores.open_dataset(path).load(), expected)


@pytest.mark.slow
def test_two_processes_on_one_store(path):
    """They lay it at the same moment and write the same chunks."""
    log = path.with_name("log")
    with process(path, log) as one, process(path, log) as other:
        start(one), start(other)
        assert one.wait() == other.wait() == 0
    assert [*path.parent.glob(".part*")] == [] and len(lines(log)) >= 153
    expected = uninterrupted(path.with_name("b.zarr"))
    xr.testing.assert_identical(stores.open_dataset(path).load(), expected)
