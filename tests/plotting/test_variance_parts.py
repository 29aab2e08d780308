"""The figure of the variance's parts: layers, networks at their edges, bias², thresholds."""

import json
import math

import numpy as np
import pytest
import xarray as xr

from rfdsm import RFDSM, plotting
from rfdsm.sweeps.variance import WORDS

MODEL = RFDSM(psi_n=2, psi_p=1, m=4, t=0.2, lam=1e-2)
ALONG = {"label": r"$\psi_p = p/d$", "spacing": "log", "number": "psi_p"}


def made(x=(1.0, 4.0, 16.0), *, trials=3, **about):
    """The k-th part is k x; networks are at x = 4, their trials of each part 3, 4, 5 k."""
    x = np.array(x)
    variables = {name: ("psi_p", (k + 1) * x) for k, name in enumerate(WORDS)}
    variables["bias2"] = "psi_p", 1 / x
    coords = {"psi_p": ("psi_p", x, ALONG)}
    if trials:
        runs = 4 + np.arange(trials) - (trials - 1) / 2
        for k, name in enumerate(WORDS):
            there = "simulated_psi_p", "trial"
            variables[f"simulated_{name}"] = there, (k + 1) * runs[None, :]
        coords["simulated_psi_p"] = [4.0]
    told = {"axis": "psi_p", "of": "score", "d": 20, "model": json.dumps(MODEL.to_dict())}
    return xr.Dataset(variables, coords, told | about)


def edges(ax):
    """The upper edge of each layer, from its corners."""
    return [
        [max(y for at, y in layer.get_paths()[0].vertices if at == x) for x in (1, 4, 16)]
        for layer in ax.collections
        if len(layer.get_facecolor())
    ]


def test_layers_add_up_and_networks_stand_at_their_edges(tmp_path):
    drawn = plotting.variance_figure(made())
    first, second = drawn.axes
    sums = np.array([1, 3, 6, 10, 15])
    np.testing.assert_allclose(edges(first), np.outer(sums, [1, 4, 16]))
    np.testing.assert_allclose(edges(second), np.outer(sums / 15, [1, 1, 1]))
    for ax, scale in ((first, 4.0), (second, 1 / 15)):
        shown = sums[: len(ax.containers)] * scale
        places = [bar.lines[0].get_xydata()[0] for bar in ax.containers]
        np.testing.assert_allclose(places, [[4, y] for y in shown])
        bars = [np.ptp(bar.lines[2][0].get_segments()[0][:, 1]) for bar in ax.containers]
        np.testing.assert_allclose(bars, 2 * shown / 4 / math.sqrt(3))
    assert len(first.containers) == 5 and len(second.containers) == 4, "the last share is 1"
    upright = [line.get_xdata()[0] for line in second.lines if len(line.get_xdata()) == 2]
    assert sorted(upright) == [2, 8], "p = n and p = n m"
    assert first.get_ylabel() == "" and first.get_title().startswith("variance of the score")
    assert first.get_xscale() == "log" and first.get_yscale() == "linear"
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend[:5] == [each.label for each in reversed(WORDS.values())]
    assert legend[5:] == ["bias²", "networks, $d = 20$", "$p = nm$", "$p = n$"]
    assert r"\psi_n = 2" in drawn.get_suptitle() and r"\psi_p" not in drawn.get_suptitle()
    plotting.save(drawn, tmp_path / "t.png")
    assert (tmp_path / "t.png").stat().st_size > 10_000


def test_of_outputs_without_networks_on_a_logarithmic_ordinate():
    found = made(trials=0, of="output").drop_vars("bias2")
    drawn = plotting.variance_figure(found, log_y=True, title="mine")
    assert drawn.get_suptitle() == "mine" and drawn.axes[0].get_yscale() == "log"
    assert drawn.axes[0].get_title().startswith("variance of the output")
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend[5:] == ["$p = nm$", "$p = n$"]


@pytest.mark.parametrize(
    "x, trials", [([3.0], 1), ([8.0, 1.0, math.inf], 0), ([1.0, math.nan, 3.0], 2)]
)
def test_few_unsorted_infinite_and_unknown_values_are_drawn(x, trials, tmp_path):
    found = made(x, trials=trials)
    plotting.save(plotting.variance_figure(found), tmp_path / "t.png")
