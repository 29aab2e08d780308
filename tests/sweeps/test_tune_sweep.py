"""`rfdsm.tune_sweep`: the optimum at every point, in any chunks and in a store."""

import pickle

import numpy as np
import pytest

import rfdsm
from rfdsm.errors import FIELDS
from rfdsm.sweeps import optima
from rfdsm.sweeps.grid import grid_of
from rfdsm.tuning.many import OUTCOMES
from rfdsm.tuning.minimise import problem_of

MODEL = rfdsm.RFDSM(psi_n=4.0, psi_p=4.0, m=2, t=0.1, lam=0.03)
AXES = {"psi_n": [0.5, 2.0, 8.0], "t": [0.02, 0.1, 0.3]}
FREE = {"m": (1.0, np.inf), "lam": (1e-8, 10.0)}
BOUND = rfdsm.at_most("test_loss", 0.95)
ASKED = {"free": FREE, "subject_to": BOUND, "budget": {"samples": 32.0}}


@pytest.fixture(scope="module")
def found():
    return rfdsm.tune_sweep(MODEL, AXES, **ASKED)


def same(one, other):
    """Bit for bit, NaN where NaN is."""
    assert {*one.variables} == {*other.variables}
    for name in one.variables:
        np.testing.assert_array_equal(one[name].values, other[name].values, name, strict=True)


def test_points_are_tuned(found):
    assert dict(found.sizes) == {"psi_n": 3, "t": 3}
    names = found.status.attrs["flag_meanings"].split()
    assert names == ["never_computed", *OUTCOMES]
    infeasible = names.index("infeasible") - 1
    assert found.status.values[0].tolist() == [infeasible, 0, 0]
    floats = [name for name in found.data_vars if name != "status"]
    assert all(np.isnan(found[name][0, 0]) for name in floats)
    for i, j in (0, 1), (2, 2):
        model = MODEL.replace(psi_n=AXES["psi_n"][i], t=AXES["t"][j])
        best = rfdsm.tune(model, **ASKED, starts=32)
        assert float(found.value[i, j]) == pytest.approx(best.value, rel=1e-9)
        for name, full in (("optimal_m", "m"), ("optimal_lam", "training.lam")):
            assert float(found[name][i, j]) == pytest.approx(best.numbers[full], rel=1e-5)
        errors = model.replace(**best.numbers).asymptotics()
        for name in FIELDS:
            exact = float(getattr(errors, name))
            assert float(found[name][i, j]) == pytest.approx(exact, rel=1e-5)
        worth = best.multipliers["samples <= 32"]
        assert float(found.worth_samples[i, j]) == pytest.approx(worth, rel=1e-4)
        assert float(found.worth_samples[i, j]) > 0


def test_it_explains_itself(found):
    attrs = found.attrs
    assert attrs["free"] == "m in 1 to inf; training.lam in 1e-08 to 10"
    assert attrs["objective"] == "score error"
    assert attrs["constraints"] == "test loss ≤ 0.95; samples ≤ 32"
    assert all(found[name].attrs["long_name"] for name in found.data_vars)
    about = found.optimal_lam.attrs
    assert about["label"] == r"optimal ridge $\lambda$" and about["number"] == "training.lam"
    assert float(rfdsm.model_of(found).psi_n) == 0.5


@pytest.mark.parametrize("chunk", [1, {"psi_n": 2}])
def test_chunks_change_no_bit(found, chunk):
    same(found, rfdsm.tune_sweep(MODEL, AXES, **ASKED, chunk=chunk))


def test_a_store_is_resumed(found, tmp_path, monkeypatch):
    store, computed = tmp_path / "best.zarr", []
    compute = optima.BestNumbers.compute

    def stopping(part, box):
        computed.append(box)
        if len(computed) == 5:
            raise RuntimeError("stopped")
        return compute(part, box)

    monkeypatch.setattr(optima.BestNumbers, "compute", stopping)
    with pytest.raises(RuntimeError, match="stopped"):
        rfdsm.tune_sweep(MODEL, AXES, **ASKED, store=store, chunk=1)
    done = int(rfdsm.open(store).attrs["chunks_done"])
    assert 0 < done < 9
    computed[:] = range(5)
    same(found, rfdsm.tune_sweep(MODEL, AXES, **ASKED, store=store).load())
    assert len(computed) == 5 + 9 - done
    with pytest.raises(ValueError, match="another sweep") as error:
        rfdsm.tune_sweep(MODEL, AXES, **ASKED | {"budget": {"samples": 31.0}}, store=store)
    assert "samples" in str(error.value) and "\n" not in str(error.value)


def test_the_part_travels(found):
    """To other processes, where it gives the same."""
    grid = grid_of(MODEL, AXES)
    problem = problem_of(grid.first, FREE, "score_error", BOUND, ASKED["budget"])
    names = {"m": "m", "lam": "training.lam"}
    part = optima.best_numbers(grid, problem, names, False, 64, None)
    arrays = pickle.loads(pickle.dumps(part)).compute(grid.whole())
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, found[name].values)


def test_integers(found):
    whole = rfdsm.tune_sweep(MODEL, AXES, **ASKED, integer=True)
    m, good = whole.optimal_m.values, whole.status.values == 0
    assert np.all(m[good] == np.round(m[good])) and np.any(found.optimal_m != whole.optimal_m)
    assert np.all(whole.value.values[good] >= found.value.values[good] - 1e-9)
    assert whole.attrs["integer"] == "m"


def test_jumps_are_found_from_either_side():
    """Two minima of double descent: the widest network is best at some psi_n in between."""
    data = rfdsm.Gaussian([1.9, 0.1], [0.5, 0.5])
    model = rfdsm.RFDSM(psi_n=4, psi_p=4, m=2, t=0.1, lam=1e-5, data=data)
    axes, free = {"psi_n": np.geomspace(1.0, 16.0, 9)}, {"psi_p": (0.1, 100.0)}
    best = rfdsm.tune_sweep(model, axes, free, "test_loss")
    assert (best.optimal_psi_p == 100).values.tolist() == [False] * 2 + [True] * 4 + [False] * 3
    few = rfdsm.tune_sweep(model, axes, free, "test_loss", starts=4)
    for name in ("value", "optimal_psi_p"):
        np.testing.assert_allclose(few[name], best[name], rtol=1e-6)


@pytest.mark.slow
def test_zipped_axes_and_elements():
    model = MODEL.replace(data=rfdsm.Gaussian([0.2, 1.8], [0.5, 0.5]))
    axes = {
        "budget": rfdsm.zipped(psi_n=[16.0, 4.0], m=[1, np.inf]),
        "data.eigenvalues[1]": [1.0, 1.8],
    }
    found = rfdsm.tune_sweep(model, axes, {"lam": (1e-6, 10.0)}, "test_loss")
    assert found.value.dims == ("budget", "data.eigenvalues[1]")
    here = model.replace(psi_n=4.0, m=np.inf, data=rfdsm.Gaussian([0.2, 1.0], [0.5, 0.5]))
    best = rfdsm.tune(here, {"lam": (1e-6, 10.0)}, "test_loss", starts=16)
    assert float(found.value[1, 0]) == pytest.approx(best.value, rel=1e-9)


@pytest.mark.parametrize(
    ("axes", "free", "options", "words"),
    [
        ({"psi_n": [1.0]}, {"psi_n": (1, 2)}, {}, "psi_n is both swept and free"),
        ({"t": [0.1]}, {"process.t": (0.1, 0.2)}, {}, "process.t is both swept and free"),
        ({"width": [1.0]}, "lam", {}, "'width' is no number"),
        ({"t": [0.1]}, "width", {}, "free has no 'width'"),
        ({"t": [0.1]}, {"lam": (2, 1)}, {}, "no number lies between the bounds"),
        ({"t": [0.1, -0.1]}, "lam", {}, r"t\[1\] = -0.1"),
        ({"t": []}, "lam", {}, "at least one number"),
        ({"t": [0.1]}, "lam", {"objective": "loss"}, "no error 'loss'"),
        ({"t": [0.1]}, "lam", {"starts": 0}, "starts must be"),
        ({"t": [0.1]}, "lam", {"chunk": 0}, "chunk must be"),
        ({"t": [0.1]}, "lam", {"integer": True}, "integer asks for"),
    ],
)
def test_bad_requests_in_one_line(axes, free, options, words, monkeypatch):
    monkeypatch.setattr(optima, "searched", None)  # before any work
    with pytest.raises(ValueError, match=words) as error:
        rfdsm.tune_sweep(MODEL, axes, free, **options)
    assert "\n" not in str(error.value)
