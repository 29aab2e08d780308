"""`rfdsm map`: heat maps from a store and solved on the spot, and what is said of them."""

import math
import os
import shutil

import jax
import numpy as np
import pytest
from command import call

import rfdsm
from rfdsm import RFDSM, sweeps
from rfdsm.cli import grid_words
from rfdsm.sweeps.memorisation import memorises

FIXED = "--t 0.2 --lam 1e-2"
PLANE = f"map psi_n=1:16:3 psi_p=1:64:4 {FIXED}"
MODEL = RFDSM(psi_n=1, psi_p=1, m=4, t=0.2, lam=1e-2)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A sweep of three axes."""
    where = str(tmp_path_factory.mktemp("map") / "phase.zarr")
    axes = {"psi_n": [1, 4, 16], "psi_p": [1, 4, 16, 64], "m": [1, math.inf], "t": [0.2, 0.4]}
    sweeps.sweep(MODEL, axes, store=where)
    return where


def test_solved_on_the_spot(capsys, tmp_path):
    figure, data = tmp_path / "map.png", tmp_path / "map.nc"
    files = "--out", str(figure), "--data", str(data)
    code, out, err = call(capsys, *PLANE.split(), "--m", "4", "--errors", "test_loss", *files)
    assert code == 0 and "warning" not in err
    assert figure.read_bytes().startswith(b"\x89PNG") and data.exists()
    found = sweeps.sweep(MODEL, {"psi_n": [1, 4, 16], "psi_p": [1, 4, 16, 64]})
    least = found["test_loss"].min()
    at = found.where(found["test_loss"] == least, drop=True)
    told = next(line for line in out.splitlines() if line.startswith("test loss"))
    assert f"{float(least):.5g}" in told
    assert f"psi_n = {float(at.psi_n[0]):.4g}, psi_p = {float(at.psi_p[0]):.4g}" in told
    share = 100 * float(memorises(found).mean())
    assert 0 < share < 100 and f"{share:.3g} % of the points memorise" in out


def test_of_a_store_with_a_row_for_each_value(capsys, store, tmp_path):
    figure = str(tmp_path / "map.svg")
    drawn = "--errors", "score-error", "--no-lines", "--out", figure
    code, out, err = call(capsys, "map", store, "--at", "t=.35", *drawn)
    assert code == 0 and "warning" not in err and os.path.exists(figure)
    found = sweeps.open(store).sel(t=0.4)
    for m, told in ((1, "m = 1"), (math.inf, "m = ∞")):
        least = float(found["score_error"].sel(m=m).min())
        assert any(told in line and f"{least:.5g}" in line for line in out.splitlines())
        assert f"{told}: " in out and "of the points memorise" in out


def test_losses_of_several_targets_are_told_not_to_compare(capsys):
    plane = f"map target.angle=0:1:2:linear psi_p=1:4:2 --psi-n 4 --m 4 {FIXED}".split()
    told = "own units: --errors score_error compares them"
    assert told in call(capsys, *plane)[1]
    assert "own units" not in call(capsys, *plane, "--errors", "score_error")[1]


def test_sides_are_the_longest_or_chosen(capsys, store):
    code, out, _ = call(
        capsys, "map", store, "--x", "m", "--y", "psi-p", "--at", "t=.2,psi_n=4"
    )
    assert code == 0 and "psi_p = " in out and "m = " in out and "psi_n" not in out
    code, out, _ = call(capsys, *PLANE.split(), "--m", "1,inf", "--no-lines")
    assert code == 0 and out.count("% of the points memorise") == 2


def test_a_damaged_store_is_told(capsys, store, tmp_path):
    damaged = shutil.copytree(store, tmp_path / "damaged.zarr")
    chunk = next(each for each in (damaged / "bias2" / "c").rglob("*") if each.is_file())
    chunk.write_bytes(chunk.read_bytes()[::-1])
    code, out, err = call(capsys, "map", str(damaged), "--at", "t=.2")
    assert code == 2 and out == "" and err.count("\n") == 1
    assert "damaged chunks, 1 of them: the sweep's own command computes them again" in err


def test_what_is_not_known_somewhere_is_least_elsewhere():
    """A quantity fails alone, and the theory of networks is there when they are."""
    found = sweeps.sweep(MODEL, {"psi_p": [1, 2]}, quantities={"a": lambda model: model.psi_p})
    found = found.assign(simulated_status=found.status, expected_a=found.a).copy(deep=True)
    found.a.values[0], found.expected_a.values[1] = math.nan, math.nan
    found.simulated_status.values[1] = -1
    assert grid_words.lowest(found, "a") == (2.0, "psi_p = 2")
    assert grid_words.lowest(found, "expected_a") == (1.0, "psi_p = 1")


def test_memorises_at_the_numbers_of_each_point():
    """Also where the best score's loss changes over the grid."""
    axes = {"t": [0.1, 1.0], "psi_p": [1, 64], "data.eigenvalues[0]": [0.5, 1.0]}
    model = MODEL.replace(data=rfdsm.Gaussian((1.0, 0.5), (0.5, 0.5)), psi_n=4.0)
    found = sweeps.sweep(model, axes)
    where = memorises(found)
    assert where.sizes == found["status"].sizes
    for t, psi_p, s in np.ndindex(2, 2, 2):
        numbers = {n: x[i] for (n, x), i in zip(axes.items(), (t, psi_p, s), strict=True)}
        best = float(model.replace(**numbers).baselines().linear)
        assert bool(where[t, psi_p, s]) == (
            float(found["memorization_loss"][t, psi_p, s]) < best
        )
    assert where.values.any() and not where.values.all()
    part = memorises(found.isel(t=0))
    np.testing.assert_array_equal(part, where.isel(t=0))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (f"psi_n=1:16:3 --psi-p 4 --m 4 {FIXED}", "two axes"),
        (
            "psi_n=1:16:3 psi_p=1:2:3 --m 1,2 --t .1,.2 --lam 1",
            "are left beside psi_n and psi_p",
        ),
        (f"psi_n=1:16:3 psi_p=1:2:3 --m 1 {FIXED} --x psi_n", "go together"),
        (f"psi_n=1:16:3 psi_p=1:2:3 --m 1 {FIXED} --x psi_n --y t", "'t' is no axis here"),
        (f"psi_n=1:16:3 psi_p=1:2:3 --m 1 {FIXED} --x psi_n --y psi_n", "no two sides"),
        (f"psi_n=1,2 psi_p=1,2 m=1,2 {FIXED} --zip psi_n,m --x psi_n --y m", "no two sides"),
        (f"psi_n=1:16:3 psi_p=1:2:3 --m 1 {FIXED} --at m=1", "--at is of a STORE"),
        (f"psi_n=1:16:3 psi_p=1:2:3 --m 1 {FIXED} --errors loss", "--errors"),
        (f"psi_n=1:16:3 psi_p=1:2:3 --m 1 {FIXED} --out a.txt", ".png"),
        ("STORE psi_n=1,2", "numbers and values of its own"),
        ("STORE --m 4", "numbers and values of its own"),
        ("STORE --zip psi_n,m", "numbers and values of its own"),
        ("STORE", "are left beside psi_n and psi_p"),
        ("STORE --at lam=1", "--at takes values of psi_n, psi_p, m, t"),
        ("STORE --at t=x", "--at t takes numbers"),
        ("STORE --at t=.2 --errors loss", "--errors takes some of"),
        ("nowhere.zarr", "no sweep"),
    ],
)
def test_bad_input_is_one_line(capsys, store, tmp_path, monkeypatch, arguments, message):
    def works(*_, **__):
        pytest.fail("the work began")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jax, "jit", works)
    code, out, err = call(capsys, "map", *arguments.replace("STORE", store).split())
    assert code == 2 and out == "" and err.count("\n") == 1 and message in err


def test_no_point_solved_fails(capsys):
    words = "map lam=1e190:1e200:3 psi_p=1,2 --psi-n 2 --t 1 --m 2"
    code, out, err = call(capsys, *words.split())
    assert code == 1 and out == "" and "no point was solved" in err
