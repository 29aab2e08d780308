"""Figures of curves: lines, markers, baselines, times."""

import math

import matplotlib
import numpy as np
import pytest
import results

from rfdsm import RFDSM, sweeps
from rfdsm.errors import FIELDS, LABELS
from rfdsm.parameters.numbers import declared
from rfdsm.plotting import curves, save


@pytest.fixture
def simulated():
    return results.simulated()


@pytest.fixture
def trained():
    return results.trained()


def test_a_figure_has_lines_markers_and_a_baseline(simulated):
    drawn = curves.curve_figure(simulated, ["test_loss", "variance"], log_y=True)
    test, variance = drawn.axes
    label = declared(RFDSM)["training.lam"].title
    assert label == r"ridge $\lambda$"
    assert test.get_xlabel() == label and test.get_yscale() == "log"
    assert len(test.containers) == 1 and len(test.lines) == 3 and len(variance.lines) == 2
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend == ["$m = 2$", "networks, $d = 12$", "best linear score"]


def test_a_figure_has_lines_markers_and_times(trained):
    drawn = curves.curve_figure(trained, ["score_error", "test_loss"])
    score, test = drawn.axes
    assert score.get_xscale() == "log" and score.get_xlabel() == r"training time $\tau$"
    assert len(score.containers) == len(test.containers) == 2
    upright = [line.get_xdata()[0] for line in score.lines if len(line.get_xdata()) == 2]
    assert upright == pytest.approx([3.9, 6])
    assert score.get_yscale() == "log" and test.get_yscale() == "linear"
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend[:4] == [
        r"$\psi_n = 1.3$", r"$\psi_n = 2$", "networks, $d = 8$", "best linear score",
    ]  # fmt: skip
    assert r"$\tau_\mathrm{gen}$, best stop" in legend and len(legend) == 5


@pytest.mark.parametrize("values", [[4.0], [4.0, 1.0, 2.0], [1.0, math.inf, 4.0], [math.inf]])
def test_few_unsorted_and_infinite_values_are_drawn(values):
    """By ascending values, between the finite ones; a single one has no ends to warn of."""
    found = sweeps.curve(results.CURVE, {"m": values})
    drawn = curves.curve_figure(found, ["test_loss"])
    low, high = drawn.axes[0].get_xlim()
    at = drawn.axes[0].lines[0].get_xdata()
    finite = at[np.isfinite(at)]
    assert list(at) == sorted(values) and np.all((low < finite) & (finite < high))
    np.testing.assert_array_equal(found.m, values)


def theory_of(trained):
    """Without the networks."""
    return trained.drop_dims("simulated_tau")


def test_times_off_the_axis_are_not_drawn(trained):
    far = {"tau_gen_by_curves": 1e-9, "tau_mem_by_curves": math.nan}
    changed = theory_of(trained).assign(
        {name: ("psi_n", np.full(2, value)) for name, value in far.items()}
    )
    drawn = curves.curve_figure(changed, ["train_loss"])
    assert len(drawn.axes[0].lines) == 2 and len(drawn.legends[0].get_texts()) == 2


def test_many_panels_take_two_rows(trained):
    drawn = curves.curve_figure(theory_of(trained), FIELDS[:5], log_y=True)
    titles = [LABELS[x] for x in FIELDS[:5]]
    titles[2:4] = [" = ".join(titles[2:4])]  # at m = ∞ train and memorization loss are the same
    assert [ax.get_title() for ax in drawn.axes] == titles
    assert len({ax.get_subplotspec().rowspan.start for ax in drawn.axes}) == 2
    assert all(ax.get_yscale() == "log" for ax in drawn.axes)


def test_a_user_s_words_and_a_taste_for_latex_cost_nothing(tmp_path, simulated):
    named = simulated.assign_attrs(data="a$b_c%^#{.csv", points=200, dimension=12, n=24)
    with matplotlib.rc_context({"text.usetex": True}):
        drawn = curves.curve_figure(named, ["test_loss"])
        save(drawn, tmp_path / "$.png")
    assert r"a\$b_c%^#{.csv: 200 points" in drawn.get_suptitle()
    assert r"\psi_n" not in curves._title(named, "n", "m"), "n is swept, which is psi_n d"
    assert (tmp_path / "$.png").stat().st_size > 10_000
