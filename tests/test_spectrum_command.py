"""`rfdsm spectrum`: bulks, atom and eigenvalues of networks; table, figure and data files."""

import csv
import math
import os
import warnings

import numpy as np
import pytest
import xarray as xr
from test_cli import call

from rfdsm import RFDSM, GradientFlow, eigenvalues, family, storage
from rfdsm.timescales import learning_time

MODEL = "--psi-n 2 --psi-p 8 --m inf --t 0.1"


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)


@pytest.fixture(scope="module")
def model():
    return RFDSM(psi_n=2, psi_p=8, m=math.inf, t=0.1, training=GradientFlow(1.0))


@pytest.fixture(scope="module")
def spectrum(model):
    return eigenvalues.solve(model)


@pytest.fixture(scope="module")
def surrogate(spectrum):
    """Eigenvalues of the Gaussian surrogate, whose atom is in one place."""
    return eigenvalues.simulate(spectrum, 16, 2, "gaussian", seed=3)


def test_theory_is_that_of_the_model(model, spectrum):
    np.testing.assert_array_equal(spectrum.ends, model.edges())
    np.testing.assert_array_equal(spectrum.masses, model.bulk_masses())
    assert spectrum.mass == pytest.approx(1 - 3 / 8)
    np.testing.assert_array_equal(spectrum.density[0, 1:-1], model.density(spectrum.x[0])[1:-1])
    top, below = spectrum.ends[-1, 0], spectrum.ends[-2, 1]
    times = learning_time(model, top), learning_time(model, below)
    assert spectrum.times == pytest.approx(times)
    assert eigenvalues.failures(spectrum) is None


def test_the_distribution_is_the_integral_of_the_density(spectrum):
    for i, (low, high) in enumerate(spectrum.ends):
        inside = spectrum.distribution(np.array([low, high]))
        assert inside[1] - inside[0] == pytest.approx(spectrum.masses[i], abs=1e-9)
        x, density = spectrum.x[i], spectrum.density[i]
        middle = len(x) // 2
        mass = np.trapezoid(density, x)
        assert mass == pytest.approx(spectrum.masses[i], rel=1e-4)
        half = spectrum.distribution(x[middle]) - inside[0]
        assert half == pytest.approx(
            np.trapezoid(density[: middle + 1], x[: middle + 1]), rel=1e-3
        )
    atom = np.array([spectrum.position])
    jump = spectrum.distribution(atom) - spectrum.distribution(atom, atom=False)
    assert jump == pytest.approx(spectrum.mass)
    assert spectrum.distribution(np.array([0.0, 1e9])) == pytest.approx([0, 1])


def test_the_kolmogorov_distance(spectrum, surrogate):
    assert 1e-4 < surrogate.distance < 0.02
    # Quantiles of the theory itself, and then shifted by a hundredth of all.
    count = 2000
    levels = (np.arange(count) + 0.5) / count
    x = np.concatenate([[spectrum.position], spectrum.x.ravel()])
    order = np.sort(x)
    quantiles = order[np.searchsorted(spectrum.distribution(order), levels - 1e-12)]
    assert eigenvalues.kolmogorov(spectrum, np.sort(quantiles)) < 0.01
    lost = np.sort(quantiles)[: -count // 100]
    assert eigenvalues.kolmogorov(spectrum, lost) == pytest.approx(0.01, abs=0.005)
    assert eigenvalues.kolmogorov(spectrum, np.full(10, 1e3)) == pytest.approx(1)


def test_networks_are_those_of_the_model(model, surrogate):
    key = family.key_of(3, 16, math.inf, 2.0)
    values = np.ravel(model.simulate_eigenvalues(key, 16, 2, features="gaussian"))
    np.testing.assert_array_equal(surrogate.values, np.sort(values))
    assert surrogate.sizes.p == 128 and surrogate.trials == 2
    widths = np.diff(np.log10(surrogate.bins))
    assert np.sum(surrogate.histogram * widths) == pytest.approx(1)
    counts, _ = np.histogram(values, surrogate.bins)
    np.testing.assert_allclose(surrogate.histogram * widths * len(values), counts)


def test_eigenvalues_at_zero_are_the_atom():
    """At m = 1 and p > n there are p - n of them, which no logarithmic bin holds."""
    x = np.geomspace(1, 10, eigenvalues.POINTS)[None]
    half = eigenvalues.Spectrum(
        None, np.array([[1.0, 10.0]]), np.array([0.5]), 0.0, 0.5, x, 1 / x, None
    )
    values = np.concatenate([np.zeros(1024), half.x[0]])
    assert eigenvalues.kolmogorov(half, values) < 0.1
    assert eigenvalues.kolmogorov(half, values[1024:]) == pytest.approx(0.5)
    bins, histogram = eigenvalues._histogram(values)
    assert np.sum(histogram * np.diff(np.log10(bins))) == pytest.approx(0.5)


def test_a_dataset_holds_the_whole_result(spectrum, surrogate, tmp_path):
    storage.save(eigenvalues.dataset(spectrum, surrogate), tmp_path / "spectrum.nc")
    with xr.open_dataset(tmp_path / "spectrum.nc") as stored:
        np.testing.assert_array_equal(stored.x, spectrum.x.ravel())
        np.testing.assert_array_equal(stored.density, spectrum.density.ravel())
        np.testing.assert_allclose(stored.per_decade, stored.x * np.log(10) * stored.density)
        np.testing.assert_array_equal(stored.high, spectrum.ends[:, 1])
        np.testing.assert_array_equal(stored.histogram, surrogate.histogram)
        np.testing.assert_array_equal(stored.bin_low, surrogate.bins[:-1])
        assert stored.attrs["kolmogorov"] == surrogate.distance
        assert stored.attrs["atom_mass"] == spectrum.mass
        assert stored.attrs["features"] == "gaussian"
    storage.save(eigenvalues.dataset(spectrum), tmp_path / "spectrum.csv")
    with open(tmp_path / "spectrum.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == ["theory"] * spectrum.x.size + ["bulk"] * len(
        spectrum.ends
    )


def test_a_figure_has_bulks_an_atom_and_a_histogram(spectrum, surrogate):
    drawn = eigenvalues.figure(spectrum, surrogate)
    (ax,) = drawn.axes
    assert ax.get_xscale() == ax.get_yscale() == "log"
    for line, bulk in zip(ax.lines, spectrum.x, strict=False):
        np.testing.assert_array_equal(line.get_xdata(), bulk)
    low, high = ax.get_xlim()
    assert low < spectrum.position and spectrum.ends[-1, 1] < high
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend == ["Gaussian surrogate, $d = 16$", "theory", "atom of mass 0.625"]
    at_zero = eigenvalues.figure(spectrum._replace(position=0.0))
    assert at_zero.legends[0].get_texts()[-1].get_text() == "atom of mass 0.625 at 0"


def test_the_command(capsys, tmp_path, spectrum):
    figure, data = tmp_path / "new" / "spectrum.pdf", tmp_path / "new" / "spectrum.nc"
    code, out, err = call(
        capsys, *f"spectrum {MODEL} --simulate d=16,trials=2 --seed 3".split(),
        "--out", str(figure), "--data", str(data),
    )  # fmt: skip
    assert code == 0 and err == ""
    for text in ("atom", "in networks", "Kolmogorov distance", "real networks smear"):
        assert text in out
    assert f"tau_gen = {spectrum.times.tau_gen:.4g}" in out
    assert figure.read_bytes().startswith(b"%PDF")
    with xr.open_dataset(data) as stored:
        np.testing.assert_array_equal(stored.low, spectrum.ends[:, 0])
        assert f"distance {stored.attrs['kolmogorov']:.3g}" in out


def test_theory_is_where_the_networks_are(capsys):
    code, out, err = call(
        capsys, *"spectrum --psi-n 2.03 --psi-p 8 --m inf --t 0.1".split(),
        *"--simulate d=16 --features gaussian".split(),
    )  # fmt: skip
    assert code == 0 and err == "" and "real networks" not in out
    bulk = next(line.split() for line in out.splitlines() if line.split()[:1] == ["1"])
    assert float(bulk[3]) == pytest.approx(0.25)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--psi-n -1 --psi-p 8 --m inf --t 0.1", "psi_n"),
        ("--psi-n 2 --psi-p 8 --m 0.5 --t 0.1", "m, the number"),
        (f"{MODEL} --activation relux", "unknown"),
        (f"{MODEL} --eigenvalues 1,x", "--eigenvalues"),
        (f"{MODEL} --weights .5,.5", "one weight"),
        (f"{MODEL} --features images", "--features"),
        (f"{MODEL} --simulate 16", "--simulate"),
        (f"{MODEL} --simulate d=16.5", "--simulate"),
        (f"{MODEL} --simulate d=0", "--simulate"),
        (f"{MODEL} --simulate d=16,points=2", "--simulate"),
        ("--psi-n .01 --psi-p 8 --m inf --t 0.1 --simulate d=16", "leaves no n"),
        ("--psi-n 2 --psi-p 8 --m 2.5 --t 0.1 --simulate d=16", "integer m"),
        (f"{MODEL} --out a.jpg", ".png or .svg or .pdf"),
        (f"{MODEL} --data a.json", ".nc or .csv"),
        (f"{MODEL} --data taken/a.nc", "taken"),
    ],
)
def test_bad_input_is_one_line_before_the_work(
    capsys, tmp_path, monkeypatch, arguments, message
):
    def works(*_, **__):
        pytest.fail("the work began")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eigenvalues, "solve", works)
    (tmp_path / "taken").write_text("")
    code, out, err = call(capsys, "spectrum", *arguments.split())
    assert code == 2 and out == ""
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
    assert os.listdir(tmp_path) == ["taken"]
