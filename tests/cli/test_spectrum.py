"""`rfdsm spectrum`: bulks, atom and eigenvalues of networks; table, figure and data files."""

import csv
import math
import os

import numpy as np
import pytest
import xarray as xr
from command import call

from rfdsm import RFDSM, GradientFlow
from rfdsm._files import labelled
from rfdsm.analysis import spectrum as eigenvalues
from rfdsm.analysis.learning_times import learning_time
from rfdsm.cli import spectrum as command
from rfdsm.plotting.spectrum import spectrum_figure
from rfdsm.simulation import key_of

MODEL = "--psi-n 2 --psi-p 8 --m inf --t 0.1"


@pytest.fixture(scope="module")
def model():
    return RFDSM(psi_n=2, psi_p=8, m=math.inf, t=0.1, training=GradientFlow(1.0))


@pytest.fixture(scope="module")
def spectrum(model):
    return eigenvalues.spectrum_of(model)


@pytest.fixture(scope="module")
def surrogate(spectrum, model):
    """With eigenvalues of the Gaussian surrogate, whose atom is in one place."""
    return eigenvalues.with_networks(spectrum, model, 16, 2, "gaussian", seed=3)


@pytest.fixture(scope="module")
def x(spectrum):
    return eigenvalues.by_bulk(spectrum, "x")


@pytest.fixture(scope="module")
def density(spectrum):
    return eigenvalues.by_bulk(spectrum, "density")


@pytest.fixture(scope="module")
def ends(spectrum):
    return np.stack([spectrum.low, spectrum.high], axis=1)


def bins(surrogate):
    return np.append(surrogate.bin_low, surrogate.bin_high[-1])


def test_theory_is_that_of_the_model(model, spectrum, x, density, ends):
    np.testing.assert_array_equal(ends, model.edges())
    np.testing.assert_array_equal(spectrum.share, model.bulk_masses())
    assert spectrum.attrs["atom_mass"] == pytest.approx(1 - 3 / 8)
    np.testing.assert_array_equal(density[0, 1:-1], model.density(x[0])[1:-1])
    times = learning_time(model, ends[-1, 0]), learning_time(model, ends[-2, 1])
    assert (spectrum.attrs["tau_gen"], spectrum.attrs["tau_mem"]) == pytest.approx(times)
    assert command._failures(spectrum) is None


def test_the_distribution_is_the_integral_of_the_density(spectrum, x, density, ends):
    for i, (low, high) in enumerate(ends):
        share = float(spectrum.share[i])
        inside = eigenvalues.distribution(spectrum, np.array([low, high]))
        assert inside[1] - inside[0] == pytest.approx(share, abs=1e-9)
        middle = x.shape[1] // 2
        mass = np.trapezoid(density[i], x[i])
        assert mass == pytest.approx(share, rel=1e-4)
        half = eigenvalues.distribution(spectrum, x[i, middle]) - inside[0]
        assert half == pytest.approx(
            np.trapezoid(density[i, : middle + 1], x[i, : middle + 1]), rel=1e-3
        )
    atom = np.array([spectrum.attrs["atom_position"]])
    below = eigenvalues.distribution(spectrum, atom, atom=False)
    jump = eigenvalues.distribution(spectrum, atom) - below
    assert jump == pytest.approx(spectrum.attrs["atom_mass"])
    all_of_it = eigenvalues.distribution(spectrum, np.array([0.0, 1e9]))
    assert all_of_it == pytest.approx([0, 1])


def test_the_kolmogorov_distance(spectrum, surrogate):
    assert 1e-4 < surrogate.attrs["kolmogorov"] < 0.02
    # Quantiles of the theory itself, and then shifted by a hundredth of all.
    count = 2000
    levels = (np.arange(count) + 0.5) / count
    order = np.sort(np.append(spectrum.x, spectrum.attrs["atom_position"]))
    shares = eigenvalues.distribution(spectrum, order)
    quantiles = order[np.searchsorted(shares, levels - 1e-12)]
    assert eigenvalues.kolmogorov(spectrum, np.sort(quantiles)) < 0.01
    lost = np.sort(quantiles)[: -count // 100]
    assert eigenvalues.kolmogorov(spectrum, lost) == pytest.approx(0.01, abs=0.005)
    assert eigenvalues.kolmogorov(spectrum, np.full(10, 1e3)) == pytest.approx(1)


def test_networks_are_those_of_the_model(model, surrogate):
    key = key_of(3, 16, math.inf, 2.0)
    values = np.ravel(model.simulate_eigenvalues(key, 16, 2, features="gaussian"))
    found = eigenvalues.simulated(model, 16, 2, "gaussian", seed=3)
    np.testing.assert_array_equal(found, np.sort(values))
    assert surrogate.attrs["eigenvalues"] == 2 * 128 and surrogate.attrs["trials"] == 2
    widths = np.diff(np.log10(bins(surrogate)))
    assert np.sum(surrogate.histogram * widths) == pytest.approx(1)
    counts, _ = np.histogram(values, bins(surrogate))
    np.testing.assert_allclose(surrogate.histogram * widths * len(values), counts)


def test_eigenvalues_at_zero_are_the_atom():
    """At m = 1 and p > n there are p - n of them, which no logarithmic bin holds."""
    x = np.geomspace(1, 10, eigenvalues.POINTS)
    half = xr.Dataset(
        {"density": ("x", 1 / x), "share": ("bulk", [0.5])},
        {"x": x, "bulk": [1]},
        {"atom_position": 0.0, "atom_mass": 0.5},
    )
    values = np.concatenate([np.zeros(1024), x])
    assert eigenvalues.kolmogorov(half, values) < 0.1
    assert eigenvalues.kolmogorov(half, values[1024:]) == pytest.approx(0.5)
    ends, shares = eigenvalues.histogram(values)
    assert np.sum(shares * np.diff(np.log10(ends))) == pytest.approx(0.5)


def test_a_dataset_holds_the_whole_result(spectrum, surrogate, tmp_path):
    labelled.save(surrogate, tmp_path / "spectrum.nc")
    with xr.open_dataset(tmp_path / "spectrum.nc") as stored:
        np.testing.assert_array_equal(stored.x, spectrum.x)
        np.testing.assert_array_equal(stored.density, spectrum.density)
        np.testing.assert_allclose(stored.per_decade, stored.x * np.log(10) * stored.density)
        np.testing.assert_array_equal(stored.high, spectrum.high)
        np.testing.assert_array_equal(stored.histogram, surrogate.histogram)
        np.testing.assert_array_equal(stored.bin_low, surrogate.bin_low)
        for name in ("kolmogorov", "atom_mass", "rate"):
            assert stored.attrs[name] == surrogate.attrs[name]
        assert stored.attrs["features"] == "gaussian"
    labelled.save(spectrum, tmp_path / "spectrum.csv")
    with open(tmp_path / "spectrum.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    bulks = len(spectrum.bulk)
    assert [row["kind"] for row in rows] == ["theory"] * len(spectrum.x) + ["bulk"] * bulks


def test_a_figure_has_bulks_an_atom_and_a_histogram(spectrum, surrogate, x):
    drawn = spectrum_figure(surrogate)
    (ax,) = drawn.axes
    assert ax.get_xscale() == ax.get_yscale() == "log"
    for line, bulk in zip(ax.lines, x, strict=False):
        np.testing.assert_array_equal(line.get_xdata(), bulk)
    low, high = ax.get_xlim()
    assert low < spectrum.attrs["atom_position"] and spectrum.high[-1] < high
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend == ["Gaussian surrogate, $d = 16$", "theory", "atom of mass 0.625"]
    at_zero = spectrum_figure(spectrum.assign_attrs(atom_position=0.0))
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
    assert f"tau_gen = {spectrum.attrs['tau_gen']:.4g}" in out
    assert figure.read_bytes().startswith(b"%PDF")
    with xr.open_dataset(data) as stored:
        np.testing.assert_array_equal(stored.low, spectrum.low)
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
    monkeypatch.setattr(eigenvalues, "spectrum_of", works)
    (tmp_path / "taken").write_text("")
    code, out, err = call(capsys, "spectrum", *arguments.split())
    assert code == 2 and out == ""
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
    assert os.listdir(tmp_path) == ["taken"]
