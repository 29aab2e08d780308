"""Stores of sweeps: whole chunks, marks, damage, what they refuse; without any model."""

import json
import pickle
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore, MemoryStore

from rfdsm.sweeps import layout as layouts, store as stores
from rfdsm.sweeps.layout import Layout, Part, Variable

NUMBER = "data.eigenvalues[1]"  # a name with all that names may have
THEORY, NETWORKS = "theory", "networks"


def layout(points=10, chunk=(4, 2), **identity):
    """(points, 3) points of theory in chunks, networks along one dim with two trials."""

    def number(*dims):
        return Variable(dims, np.dtype(float), np.nan, {"units": "per dimension"})

    def mark(*dims):
        return Variable(dims, np.dtype("int8"), -1, {"flag_meanings": "success bad"})

    grid = (NUMBER, "m")
    return Layout(
        sizes={NUMBER: points, "m": 3, "trial": 2},
        coords={
            NUMBER: ((NUMBER,), np.linspace(0.5, 2, points), {"label": "$x$"}),
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
    assert before.attrs == {"title": "a sweep", "seed": 0, "chunks_done": 0, "chunks": 9}
    assert np.all(before["status"] == -1) and before["status"].dtype == np.int8
    assert np.all(np.isnan(before["error"]))
    zarr_settings = zarr.config.get("array")
    fill(store)
    assert zarr.config.get("array") == zarr_settings
    assert whole(store) == set(chunks(store)) and store.missing_bytes() == 0
    dataset = stores.open_dataset(location)
    assert dataset.attrs["chunks_done"] == dataset.attrs["chunks"] == 9
    for part, index in chunks(store):
        box = layouts.box(store.sizes, store.parts[part], index)
        for name, array in values(store, part, index).items():
            np.testing.assert_array_equal(dataset[name][box], array, strict=True)
    for name, (dims, x, attrs) in layout().coords.items():
        np.testing.assert_array_equal(dataset.coords[name], x)
        assert dataset[name].dims == dims and dataset[name].attrs == attrs
    assert dataset["error"].attrs == {"units": "per dimension"}
    assert dataset["status"].attrs == {"flag_meanings": "success bad"}
    assert [*stores.open_store(location).parts] == [THEORY, NETWORKS]
    dask = stores.open_dataset(location, chunks={})
    assert dask["error"].chunks == ((4, 4, 2), (2, 1))


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


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"model": {"psi_n": 3.0, "eigenvalues": [1.0, 2.0]}}, r"model.psi_n is 2.0 there and"),
        (
            {"model": {"psi_n": 2.0, "eigenvalues": [1.0, 3.0]}},
            r"eigenvalues\[1\] is 2.0 there",
        ),
        ({"networks": {"d": 3}}, r'networks is absent there and \{"d": 3\} here'),
        ({"points": 11}, f"{NUMBER} has other values there".replace("[", r"\[")),
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
