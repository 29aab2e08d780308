"""Phase diagrams and curves of a sweep: cells, lines, what is not solved, and who is asked."""

import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import results
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.contour import QuadContourSet

import rfdsm
from rfdsm.analysis import trace_valleys
from rfdsm.errors import FIELDS, STATUSES, Errors
from rfdsm.plotting import error_curves, phase_diagram, phase_figure
from rfdsm.plotting.boundaries import LINES, LOOKED_AT, ROWS
from rfdsm.plotting.phase_diagrams import COLOURS
from rfdsm.plotting.sides import side_of

MODEL = rfdsm.RFDSM(psi_n=8, psi_p=16, m=4, t=0.1, lam=1e-3)
SAMPLES, WIDTHS = np.geomspace(0.1, 50, 17), np.geomspace(0.2, 100, 15)
NOISES = np.array([1, 2, 4, 16, math.inf])
RATIOS = ("p = n", "p = n m", "n m = d")


@results.once
def swept():
    """Over psi_n, psi_p and m."""
    return rfdsm.sweep(MODEL, {"psi_n": SAMPLES, "psi_p": WIDTHS, "m": NOISES})


@pytest.fixture
def plane():
    return swept().sel(m=4)


@pytest.fixture
def over_m():
    return swept().isel(psi_n=12)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()] if ax.get_legend() else []


def contours(ax):
    """The vertices of each line that is drawn as a contour."""
    found = [each for each in ax.collections if isinstance(each, QuadContourSet)]
    return [np.concatenate([path.vertices for path in each.get_paths()]) for each in found]


def test_cells_hold_the_values(plane):
    ax = phase_diagram(plane, "psi_n", "psi_p", "test_loss", lines=())
    (mesh,) = (each for each in ax.collections if isinstance(each, QuadMesh))
    np.testing.assert_array_equal(mesh.get_array(), plane.test_loss.transpose().values)
    edges = mesh.get_coordinates()
    for at, x in ((edges[0, :, 0], SAMPLES), (edges[:, 0, 1], WIDTHS)):
        np.testing.assert_allclose(np.sqrt(at[1:] * at[:-1]), x)
    assert ax.get_xscale() == ax.get_yscale() == "log" and not legend(ax)
    assert ax.get_xlim() == pytest.approx(edges[0, [0, -1], 0])
    assert ax.get_xlabel() == plane.psi_n.attrs["label"]
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "test loss" and bar.get_yscale() == "log"
    flipped = plane.isel(psi_n=slice(None, None, -1)).transpose("psi_p", "psi_n")
    again = phase_diagram(flipped, "psi_n", "psi_p", "test_loss", lines=())
    np.testing.assert_array_equal(again.collections[0].get_array(), mesh.get_array())


def test_ratios_are_where_they_are(plane):
    ax = phase_diagram(plane, "psi_n", "psi_p", "variance", lines=RATIOS)
    assert legend(ax) == ["$p = n$", "$p = nm$", "$nm = d$"]
    n, nm, d = contours(ax)
    np.testing.assert_allclose(n[:, 1], n[:, 0], rtol=1e-3)
    np.testing.assert_allclose(nm[:, 1], 4 * nm[:, 0], rtol=1e-3)
    np.testing.assert_allclose(d[:, 0], 0.25, rtol=1e-3)
    assert np.ptp(np.log(d[:, 1])) > np.log(WIDTHS[-1] / WIDTHS[0])  # from edge to edge


def test_lines_that_do_not_cross_are_not_told(plane):
    corner = plane.isel(psi_n=slice(12, None), psi_p=slice(0, 6))
    assert legend(phase_diagram(corner, "psi_n", "psi_p", "variance", lines=RATIOS)) == []
    infinite = swept().sel(m=math.inf)
    ax = phase_diagram(infinite, "psi_n", "psi_p", "variance", lines=RATIOS)
    assert legend(ax) == ["$p = n$"]


def test_memorisation_begins_where_the_loss_says(plane):
    """At the line the memorization loss is the best score's, a little beside it is not."""
    ax = phase_diagram(plane, "psi_n", "psi_p", "test_loss", lines=["memorises"])
    assert legend(ax) == ["memorization loss = best score's"]
    (at,) = contours(ax)
    at = at[np.linspace(0, len(at) - 1, 8).astype(int)]

    def loss(n, p):
        return MODEL.replace(psi_n=n, psi_p=p).solve().errors.memorization_loss

    here, beyond = (
        np.asarray(jax.vmap(loss)(jnp.asarray(at[:, 0]), jnp.asarray(at[:, 1] * factor)))
        for factor in (1, 1.5)
    )
    best = float(MODEL.baselines().best)
    np.testing.assert_allclose(here, best, rtol=0.03)  # between the values of a coarse grid
    assert np.all(beyond < here)


def test_valleys_are_those_of_the_analysis(plane):
    ax = phase_diagram(
        plane, "psi_n", "psi_p", "test_loss", lines=["valley"], valleys=["psi_p"]
    )
    assert legend(ax) == [r"least error along $\psi_p$"]
    over, along = (
        np.geomspace(x[0], x[-1], k) for x, k in ((SAMPLES, ROWS), (WIDTHS, LOOKED_AT))
    )
    found = trace_valleys(MODEL, {"psi_p": along}, {"psi_n": over})
    (line,) = ax.lines
    np.testing.assert_allclose(line.get_xdata(), over)
    np.testing.assert_allclose(line.get_ydata(), found.x[0], rtol=1e-8)


def test_infinite_m_has_its_place(over_m):
    ax = phase_diagram(over_m, "m", "psi_p", "test_loss", lines=RATIOS)
    low, high = ax.get_xlim()
    assert low > 1 and high < 0  # in 1/m, to beyond infinity
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    at = ax.get_xticks()
    assert ticks[0] == "∞" and at[0] == 0 and {"1", "4", "16"} <= {*ticks}
    (mesh,) = (each for each in ax.collections if isinstance(each, QuadMesh))
    np.testing.assert_array_equal(mesh.get_array()[:, -1], over_m.test_loss.sel(m=math.inf))
    psi_n = float(over_m.psi_n)
    n, nm = contours(ax)
    np.testing.assert_allclose(n[:, 1], psi_n, rtol=1e-3)
    np.testing.assert_allclose(nm[:, 1] * nm[:, 0], psi_n, rtol=1e-3)


def test_what_is_not_solved_is_no_colour(plane):
    """Hatched where it failed, pale where it was not computed, each told in the legend."""
    broken = plane.copy(deep=True)
    for rows, status in ((slice(0, 2), -1), (slice(4, 5), STATUSES.index("not_converged"))):
        broken.status.values[rows, 3] = status
        for name in ("test_loss", "memorization_loss"):
            broken[name].values[rows, 3] = math.nan
    ax = phase_diagram(broken, "psi_n", "psi_p", "test_loss", lines=["p = n", "memorises"])
    assert legend(ax)[-2:] == ["not computed", "not solved"]
    (mesh,) = (each for each in ax.collections if isinstance(each, QuadMesh))
    assert np.ma.count_masked(mesh.get_array()) == 3
    pale, hatched = ax.get_legend().get_patches()
    assert not pale.get_hatch() and hatched.get_hatch()
    shades = [to_rgb(each.get_facecolor()) for each in (pale, hatched)]
    assert all(len({*shade}) == 1 for shade in shades)  # grey, which no value has
    later = broken.assign(expected_test_loss=broken.test_loss, simulated_status=broken.status)
    later["status"] = plane.status  # theory is there, networks and theirs are not yet
    ax = phase_diagram(later, "psi_n", "psi_p", "expected_test_loss", lines=())
    assert legend(ax) == ["not computed", "not solved"]
    nothing = broken.assign(test_loss=broken.test_loss * math.nan)
    with pytest.raises(ValueError, match="test_loss is NaN everywhere"):
        phase_diagram(nothing, "psi_n", "psi_p", "test_loss")


@pytest.mark.parametrize(
    ("x", "y", "error", "how", "words"),
    [
        ("psi_n", "psi_p", "test_loss", {}, r"depends on m \(5 values\): select .*isel\(m=0\)"),
        ("psi_n", "psi_q", "test_loss", {}, "'psi_q' is no axis .* psi_n, psi_p, m"),
        ("psi_n", "psi_p", "loss", {}, "no 'loss': it has"),
        ("psi_n", "psi_n", "test_loss", {}, "along one dimension"),
        ("psi_n", "psi_p", "test_loss", {"lines": ["p = d"]}, "'p = d' is no line"),
        ("psi_n", "psi_p", "test_loss", {"valleys": ["m"]}, "along psi_n or psi_p, got 'm'"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(x, y, error, how, words):
    dataset = swept().sel(m=4) if how else swept()
    with pytest.raises(ValueError, match=words) as caught:
        phase_diagram(dataset, x, y, error, **how)
    assert "\n" not in str(caught.value)


def test_lines_that_cannot_be_known_are_left_out_or_refused(plane):
    """Of measured moments, and a valley of what is no error; asked for, they are errors."""
    measured = plane[["test_loss", "train_loss", "memorization_loss", "status"]]
    ax = phase_diagram(measured, "psi_n", "psi_p", "test_loss")
    assert legend(ax) == ["$p = n$", "$p = nm$", "$nm = d$"]
    for line in LINES[3:]:
        with pytest.raises(ValueError, match="measured moments"):
            phase_diagram(measured, "psi_n", "psi_p", "test_loss", lines=[line])
    gap = plane.assign(gap=plane.test_loss - plane.train_loss)
    with pytest.raises(ValueError, match="gap is no error"):
        phase_diagram(gap, "psi_n", "psi_p", "gap", lines=["valley"])


def test_a_zipped_axis_carries_its_other_number():
    """At a fixed budget n m: the line p = n falls along m, and p = n m lies flat."""
    noises = [1.0, 2.0, 4.0, 8.0, 16.0]
    budget = rfdsm.zipped(m=noises, psi_n=[16 / m for m in noises])
    found = rfdsm.sweep(MODEL, {"budget": budget, "psi_p": [1.0, 4.0, 16.0, 64.0]})
    ax = phase_diagram(found, "m", "psi_p", "test_loss", lines=RATIOS)
    n, nm = contours(ax)
    inside = (n[:, 0] > 1) & (n[:, 0] < 16)
    np.testing.assert_allclose((n[:, 1] * n[:, 0])[inside], 16, rtol=1e-3)
    np.testing.assert_allclose(nm[:, 1], 16, rtol=1e-3)
    assert 1 <= nm[:, 0].min() < nm[:, 0].max() <= 16  # between its values
    with pytest.raises(ValueError, match="m is zipped"):
        phase_diagram(found, "m", "psi_p", "test_loss", lines=["valley"], valleys=["m"])


def test_a_figure_has_a_column_an_error_and_a_row_a_value(plane):
    drawn = phase_figure(swept(), ["test_loss", "variance"], "psi_n", "psi_p", lines=RATIOS)
    maps = drawn.axes[: 5 * 2]
    norms = [ax.collections[0].norm for ax in maps]
    for column in (0, 1):  # one scale of colours
        values = swept()[("test_loss", "variance")[column]]
        assert len({id(norm) for norm in norms[column::2]}) == 1
        assert isinstance(norms[column], LogNorm)
        assert (norms[column].vmin, norms[column].vmax) == (values.min(), values.max())
    beside = [ax.texts[0].get_text() for ax in maps[1::2]]
    assert beside == ["$m = 1$", "$m = 2$", "$m = 4$", "$m = 16$", r"$m = \infty$"]
    assert [ax.get_xlabel() for ax in drawn.axes[10:]] == ["test loss", "variance"]
    told = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert told == ["$p = n$", "$p = nm$", "$nm = d$"]
    title = drawn.get_suptitle()
    assert r"\lambda" in title and r"\psi" not in title and "m =" not in title
    assert "$m = 4$" in phase_figure(plane, "bias2", "psi_n", "psi_p", lines=()).get_suptitle()
    four = swept().expand_dims(t=[0.1, 0.2])
    with pytest.raises(ValueError, match=r"t and m are left|m and t are left"):
        phase_figure(four, ["test_loss", "variance"], "psi_n", "psi_p")


def test_one_error_has_rows_and_columns():
    """Over two further dims; the panels share their colours, and their values are theirs."""
    whole = swept().isel(m=[0, 2]).expand_dims(t=[0.1, 0.2]).assign_coords(t=[0.1, 0.2])
    whole = whole.assign(test_loss=whole.test_loss * whole.t).transpose("t", "m", ...)
    drawn = phase_figure(whole, ["test_loss"], "psi_n", "psi_p", lines=())
    meshes = [ax.collections[0] for ax in drawn.axes[:4]]
    for mesh, (t, m) in zip(meshes, np.ndindex(2, 2), strict=True):
        expected = whole.test_loss.isel(t=t, m=m).transpose("psi_p", "psi_n").values
        np.testing.assert_array_equal(mesh.get_array(), expected)
        assert mesh.norm.vmax == float(whole.test_loss.max())
    assert [ax.get_title() for ax in drawn.axes[:4]] == ["$m = 1$", "$m = 4$", "", ""]


def test_what_was_tuned_has_no_line_of_the_model():
    """psi_p is another at each point, and so are p = n and p = n m; n m = d is not."""
    best = swept().isel(psi_p=3).drop_vars("psi_p")
    about = {"kind": "optimum", "number": "psi_p"}
    best["optimal_psi_p"] = best.test_loss.copy(data=best.test_loss * 0 + 3).assign_attrs(about)
    ax = phase_diagram(best, "psi_n", "m", "test_loss")
    assert legend(ax) == ["$nm = d$", "memorization loss = best score's"]
    with pytest.raises(ValueError, match="psi_p is another at each point"):
        phase_diagram(best, "psi_n", "m", "test_loss", lines=["valley"])


def test_curves_have_networks_at_their_ratios():
    axes = {"lam": [1e-3, 1e-1], "psi_p": [1.3, 2.0]}
    found = rfdsm.sweep(MODEL, axes, simulate={"d": 12, "trials": 3}, seed=1)
    ax = error_curves(found, "psi_p", "variance")
    for lam, line, bars in zip(axes["lam"], ax.lines[::2], ax.containers, strict=True):
        here = found.sel(lam=lam)
        np.testing.assert_array_equal(line.get_ydata(), here.variance)
        runs = Errors(**{name: here[f"simulated_{name}"].values for name in FIELDS})
        x, y = bars.lines[0].get_data()
        np.testing.assert_allclose(x, [16 / 12, 2.0])
        np.testing.assert_allclose(y, runs.mean().variance)
        lengths = [np.ptp(each[:, 1]) / 2 for each in bars.lines[2][0].get_segments()]
        np.testing.assert_allclose(lengths, runs.standard_error().variance)
    assert legend(ax) == [r"$\lambda = 10^{-3}$", r"$\lambda = 0.1$", "networks, $d = 12$"]
    test = error_curves(found.isel(lam=0), "psi_p", "test_loss")
    assert legend(test) == ["networks, $d = 12$", "best score"]


def test_curves_mark_interpolation_and_infinity(over_m):
    ax = error_curves(over_m, "m", "test_loss")
    assert ax.get_xlim()[0] > ax.get_xlim()[1] and len(ax.lines) > len(WIDTHS)
    assert legend(ax)[-2:] == ["best score", "$p = nm$"]
    upright = {line.get_xdata()[0] for line in ax.lines if len({*line.get_xdata()}) == 1}
    crossed = float(over_m.psi_n) / WIDTHS  # 1/m
    crossed = crossed[(crossed >= 0) & (crossed <= 1)]
    np.testing.assert_allclose(sorted(upright), sorted(crossed), rtol=1e-2)
    with pytest.raises(ValueError, match="are left"):
        error_curves(swept(), "m", "test_loss")


def test_every_data_set_of_a_sweep_has_its_figures(plane):
    assert plane.rfdsm.model.to_dict() == rfdsm.model_of(plane).to_dict()
    ax = plane.rfdsm.phase_diagram("psi_n", "psi_p", "test_loss", lines=RATIOS)
    same = plane.rfdsm.phase_diagram("psi_n", "psi_p", "test_loss", ax.figure.axes[0], lines=())
    assert same is ax
    assert plane.isel(psi_n=3).rfdsm.curves("psi_p", "bias2").get_ylabel() == "bias²"
    drawn = plane.rfdsm.phase_figure(["bias2"], "psi_n", "psi_p", lines=())
    assert len(drawn.axes) == 2


def test_figures_come_with_the_sweep_and_not_before():
    code = """
import sys, rfdsm
assert not {"xarray", "matplotlib"} & {*sys.modules}
rfdsm.sweep
import xarray
xarray.Dataset.rfdsm.phase_diagram
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_colours_grow_lighter_evenly():
    """So that a print in grey, and whoever tells few colours apart, sees the same map."""
    linear = np.array([to_rgb(COLOURS(x)) for x in np.linspace(0, 1, 32)]) ** 2.2
    lightness = (linear @ [0.2126, 0.7152, 0.0722]) ** (1 / 2.2)
    steps = np.diff(lightness)
    assert steps.min() > 0.3 * steps.mean() > 0


def test_positions_and_places_are_inverse(over_m):
    side = side_of(over_m, "m")
    np.testing.assert_allclose(side.from_position(side.position(side.places)), 1 / NOISES)
    places, numbers = side.fine(1, 0, 50)
    assert numbers["m"][0] == 1 and np.isinf(numbers["m"][-1]) and places[-1] == 0


def test_data_points_are_counted():
    """Over n: the line p = n is at n = psi_p d; the model itself is in no file."""
    data = rfdsm.Samples(rfdsm.standardise(results.points()))
    found = rfdsm.sweep(
        MODEL.replace(data=data), {"n": [10, 20, 40, 80], "psi_p": [1, 2, 4, 8]}
    )
    ax = phase_diagram(found, "n", "psi_p", "test_loss")
    assert legend(ax) == ["$p = n$", "$p = nm$"] and ax.get_xlabel() == found.n.attrs["label"]
    n, _ = contours(ax)
    np.testing.assert_allclose(n[:, 0], 8 * n[:, 1], rtol=1e-3)
    with pytest.raises(ValueError, match="data points, which no file holds"):
        phase_diagram(found, "n", "psi_p", "test_loss", lines=["valley"])


def test_a_store_is_drawn_as_far_as_it_is(tmp_path):
    """Lazily read, with what is missing pale."""
    axes = {"psi_n": SAMPLES[:4], "psi_p": WIDTHS[:3]}
    store = tmp_path / "phase.zarr"
    rfdsm.sweep(MODEL, axes, store=store, chunk=3)
    (chunk,) = sorted(store.glob("status/c/2/*"))
    chunk.unlink()
    ax = phase_diagram(rfdsm.open(store), "psi_n", "psi_p", "test_loss", lines=())
    assert legend(ax) == ["not computed"]
