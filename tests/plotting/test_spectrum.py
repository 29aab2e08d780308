"""The figure of a spectrum."""

import numpy as np
import pytest
import results

from rfdsm.analysis import spectrum as eigenvalues
from rfdsm.plotting.spectrum import spectrum_figure


@pytest.fixture
def spectrum():
    return results.spectrum()


@pytest.fixture
def surrogate():
    return results.surrogate()


@pytest.fixture
def x(spectrum):
    return eigenvalues.by_bulk(spectrum, "x")


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
