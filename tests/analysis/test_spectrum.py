"""Bulks, atom and eigenvalues of networks."""

import csv
import math

import numpy as np
import pytest
import results
import xarray as xr

from rfdsm._files import labelled
from rfdsm.analysis import spectrum as eigenvalues
from rfdsm.analysis.learning_times import learning_time
from rfdsm.cli import words
from rfdsm.simulation import key_of


@pytest.fixture
def spectrum():
    return results.spectrum()


@pytest.fixture
def surrogate():
    return results.surrogate()


@pytest.fixture
def x(spectrum):
    return eigenvalues.by_bulk(spectrum, "x")


@pytest.fixture
def model():
    return results.BULKS


@pytest.fixture
def density(spectrum):
    return eigenvalues.by_bulk(spectrum, "density")


@pytest.fixture
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
    assert words.failures(spectrum) == []


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
