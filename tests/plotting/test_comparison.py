"""The figure of prediction targets side by side."""

import json
import math

import numpy as np
import pytest
import xarray as xr

from rfdsm import RFDSM, plotting
from rfdsm.plotting.comparison import LABELS
from rfdsm.sweeps.comparison import COMPARED

MODEL = RFDSM(psi_n=2, psi_p=1, m=2, t=0.2, lam=1e-2)


def made(x=(1.0, 2.0, 8.0, 32.0), *, tuned="lam", compared="noise_error", **attrs):
    """Two targets that cross at psi_p = 4, with networks at 2."""
    x, dims = np.array(x), ("target", "psi_p")
    variables = {
        compared: (dims, np.array([4 / x, x**0])),
        f"{compared}_mean": (("target", "simulated_psi_p"), np.array([[2.1], [0.9]])),
        f"{compared}_standard_error": (("target", "simulated_psi_p"), np.full((2, 1), 0.1)),
    }
    if tuned != "none":
        about = {"label": r"best ridge $\lambda$", "spacing": "log"}
        variables["optimal_lam"] = dims, np.array([0.01 * x, 0.02 * x]), about
    axis = {"label": r"$\psi_p = p/d$", "spacing": "log", "number": "psi_p"}
    coords = {"target": ["a$", "b"], "psi_p": ("psi_p", x, axis), "simulated_psi_p": [2.0]}
    told = {"axis": "psi_p", "compared": compared, "tuned": tuned, "d": 20}
    told["model"] = json.dumps(MODEL.to_dict())
    return xr.Dataset(variables, coords, told | attrs)


def test_lines_networks_the_best_and_what_was_tuned(tmp_path):
    drawn = plotting.comparison_figure(made())
    first, second = drawn.axes
    assert first.get_ylabel() == LABELS["noise_error"] and first.get_xscale() == "log"
    assert second.get_ylabel() == r"best ridge $\lambda$" and second.get_yscale() == "log"
    assert len(first.containers) == 2 and len(second.lines) == 2
    upright = [line.get_xdata()[0] for line in first.lines if line.get_linestyle() == ":"]
    assert upright == pytest.approx([4])
    strips = [(p.get_x(), p.get_x() + p.get_width()) for p in first.patches]
    np.testing.assert_allclose(strips, [(1, 4), (4, 32)])
    first_best, then_best = (patch.get_facecolor() for patch in first.patches)
    by_name = {line.get_label(): line.get_color() for line in drawn.legends[0].get_lines()}
    assert np.allclose(first_best, by_name["b"]) and np.allclose(then_best, by_name[r"a\$"])
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend == [r"a\$", "b", "networks, $d = 20$", "the best target"]
    title = drawn.get_suptitle()
    assert r"\psi_n = 2" in title and r"\psi_p" not in title and r"\lambda" not in title
    plotting.save(drawn, tmp_path / "t.png")
    assert (tmp_path / "t.png").stat().st_size > 10_000


def test_without_a_tuned_number_there_is_one_panel():
    drawn = plotting.comparison_figure(made(tuned="none"), log_y=True, title="mine")
    (ax,) = drawn.axes
    assert drawn.get_suptitle() == "mine" and ax.get_yscale() == "log"


def test_data_points_have_error_bars():
    compared = "noise_loss"
    found = made(compared=compared, data="a$b.npy", points=200, dimension=8)
    found[f"{compared}_error_bar"] = 0.1 * found[compared]
    drawn = plotting.comparison_figure(found)
    assert len(drawn.axes[0].collections) >= 2, "a band each"
    assert r"a\$b.npy: 200 points, $d = 8$" in drawn.get_suptitle()
    assert "trained networks" in [text.get_text() for text in drawn.legends[0].get_texts()]
    assert {*LABELS} == {*COMPARED}


@pytest.mark.parametrize("x", [[3.0], [1.0, 8.0, math.inf], [math.inf]])
def test_single_and_infinite_values_are_drawn(x, tmp_path):
    plotting.save(plotting.comparison_figure(made(x)), tmp_path / "t.png")
