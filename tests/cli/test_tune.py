"""`rfdsm tune`: settings of options and files, what it says, and the landscape it draws."""

import json
import math
import os
import warnings

import jax
import matplotlib.colors
import numpy as np
import pytest
from command import call

import rfdsm
from rfdsm import RFDSM, GradientFlow, Ridge, measure, tuning
from rfdsm.cli import console
from rfdsm.cli.tune import report as words, request, settings
from rfdsm.errors import FIELDS
from rfdsm.plotting.landscape import landscape_figure
from rfdsm.sweeps.prediction import Points
from rfdsm.tuning import goals, landscape, roads

FIXED = "--psi-n 4 --psi-p 16 --t 0.2"
PROBLEM = "--free m=1:inf --free lam=1e-6:10 --at-most train_loss=0.6 --budget samples=12"
TUNE = f"tune {FIXED} {PROBLEM} --objective test-loss --starts 16"
FILE = """
objective = "test_loss"
psi_n = 4
psi_p = 16
t = 0.2
starts = 16
[free]
m = [1, "inf"]
training.lam = [1e-6, 10]
[at_most]
train_loss = 0.6
[budget]
samples = 12
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "problem.toml").write_text(FILE)
    return tmp_path / "problem.toml"


@pytest.fixture(scope="module")
def given():
    return settings.checked(
        {
            "psi_n": 4.0, "psi_p": 16.0, "t": 0.2, "starts": 16, "objective": "test-loss",
            "free": ["m=1:inf", "lam=1e-6:10"], "at_most": ["train_loss=0.6"],
            "budget": ["samples=12"], "verify": None,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def asked(given):
    return request.plan(given)


@pytest.fixture(scope="module")
def tuned(asked):
    seen = []
    result = rfdsm.tune(*asked.arguments, report=seen.append)
    assert {"search", "integer m"} <= {each.stage for each in seen}
    return result


@pytest.fixture(scope="module")
def around(asked, tuned):
    return landscape.survey(tuned, asked.shown, side=12)


def test_a_file_holds_what_options_hold(given, file):
    assert settings.read(file) == given
    assert given["free"] == {"m": (1, math.inf), "training.lam": (1e-6, 10)}


def test_options_override_a_file_name_by_name(file):
    options = {"free": ["psi_p"], "at_most": ["train-loss=0.5"], "psi_n": 2.0}
    both = settings.merged(settings.read(file), settings.checked(options))
    assert list(both["free"]) == ["m", "training.lam", "psi_p"] and both["psi_n"] == 2
    assert both["at_most"] == {"train_loss": 0.5} and both["budget"] == {"samples": 12}


def test_a_file_takes_every_setting(tmp_path):
    (tmp_path / "all.toml").write_text(
        'data = "digits"\nas_is = true\nfree = ["psi-p", "tau"]\nlandscape = ["tau"]\n'
        'over_times = [0.1, 0.2]\neigenvalues = "1.5,0.5"\nweights = [0.5, 0.5]\n'
        'm = inf\nactivation = "relu"\nseed = 3\nwidths = 4\n[verify]\nd = 8\ntrials = 4'
    )
    found = settings.read(tmp_path / "all.toml")
    assert found["free"] == {"psi_p": None, "training.tau": None} and found["m"] == math.inf
    assert found["landscape"] == ("training.tau",) and found["verify"] == {
        "d": [8],
        "trials": [4],
    }
    assert found["eigenvalues"] == [1.5, 0.5] and found["as_is"] is True


def test_free_numbers_start_in_the_middle(asked):
    assert float(asked.model.m) == 2 and float(asked.model.psi_p) == 16
    assert float(asked.model.training.lam) == pytest.approx(math.sqrt(1e-5))
    assert isinstance(asked.model.training, Ridge) and asked.shown == ("m", "training.lam")


def test_tau_makes_it_gradient_flow():
    numbers = {"psi_n": 2.0, "psi_p": 3.0, "m": 1.0, "t": 0.1}
    free = {"training.tau": None}
    flow = request.plan({**numbers, "free": free}).model.training
    assert isinstance(flow, GradientFlow) and float(flow.lam) == 0 and float(flow.tau) == 100
    free = {"training.lam": None}
    flow = request.plan({**numbers, "free": free, "tau": 7.0}).model.training
    assert isinstance(flow, GradientFlow) and float(flow.tau) == 7


NUMBERS = {"psi_n": 2.0, "psi_p": 3.0, "m": 1.0, "lam": 1e-2}


@pytest.mark.parametrize(
    "free, more, bounds, start",
    [
        ("process.t", {"process": "fm"}, (0.05, 0.95), rfdsm.FlowMatching(0.5)),
        ("process.t", {"process": "fm:.3"}, (0.05, 0.95), rfdsm.FlowMatching(0.3)),
        ("process.t", {}, (1e-2, 3.0), rfdsm.OrnsteinUhlenbeck(math.sqrt(3e-2))),
        ("process.alpha_bar", {}, (0.05, 0.95), rfdsm.VariancePreserving(0.5)),
        ("process.sigma", {"sigma_data": 2.0}, (0.05, 20.0), rfdsm.Preconditioned(1.0, 2.0)),
    ],
)
def test_free_numbers_are_of_the_kind_that_is_named(free, more, bounds, start):
    plan = request.plan({**NUMBERS, **more, "free": {free: None}})
    assert plan.free == {free: bounds}
    for name, value in vars(start).items():
        assert float(getattr(plan.model.process, name)) == pytest.approx(float(value))
    assert type(plan.model.process) is type(start)


@pytest.mark.parametrize(
    "free, text, start",
    [
        ("target.angle", None, rfdsm.AngleTarget(math.pi / 4)),
        ("target.angle", "angle:0.3", rfdsm.AngleTarget(0.3)),
        ("target.data", "1,-0.5", rfdsm.LinearTarget(1.0, -0.5)),
    ],
)
def test_a_target_is_free(free, text, start):
    given = {**NUMBERS, "t": 0.2, **({"target": text} if text else {})}
    plan = request.plan({**given, "free": {free: None}})
    assert plan.model.target == start
    assert plan.free[free] == ((0, math.pi / 2) if text != "1,-0.5" else (-1, 1))
    assert request.short("target.angle") == "angle"
    assert request.short("target.data") == "target.data", "data is another thing"


def test_over_times_needs_no_t():
    numbers = {"psi_n": 2.0, "psi_p": 3.0, "m": 1.0, "over_times": [0.1, 0.3]}
    plan = request.plan({**numbers, "free": {"training.lam": None}})
    assert float(plan.model.process.t) == 0.1
    assert goals.objective(plan.objective).words == "score error over t = 0.1, 0.3"
    np.testing.assert_allclose(plan.objective.ts, [0.1, 0.3])


def test_the_command_prints_json(capsys, tuned, tmp_path):
    code, out, err = call(capsys, *TUNE.split(), "--json", "--verify", "d=8,trials=2")
    report = json.loads(out)
    assert code == 0 and err == "" and "NaN" not in out and "Infinity" not in out
    assert report["objective"] == "test_loss"
    assert report["value"] == pytest.approx(tuned.value, rel=1e-9)
    assert report["numbers"] == pytest.approx(tuned.numbers, rel=1e-5)
    assert report["bounds"] == {"m": [1, "inf"], "training.lam": [1e-6, 10]}
    assert report["active"] == list(tuned.active)
    assert report["integer"]["numbers"]["m"] == tuned.integer.numbers["m"]
    for name in FIELDS:
        expected = float(getattr(tuned.errors, name))
        assert report["errors"][name] == pytest.approx(expected, rel=1e-5)
    samples, = (c for c in report["constraints"] if c["name"] == "samples <= 12")  # fmt: skip
    assert samples["value"] == pytest.approx(4 * report["numbers"]["m"])
    assert samples["worth"] == report["multipliers"]["samples <= 12"]
    model = RFDSM.from_dict(report["model"])
    assert float(model.m) == report["numbers"]["m"]
    assert report["verification"]["d"] == 8 and report["verification"]["neighbours"]


def test_the_command_with_a_file_prints_tables(capsys, file, tuned):
    figure = file.parent / "new" / "tune.png"
    code, out, err = call(capsys, "tune", "--file", str(file), "--out", str(figure))
    assert code == 0 and err == ""
    for text in (
        f"least test loss: {tuned.value:.6g}", "with an integer m", "train loss ≤ 0.6",
        "samples ≤ 12", "first-order optimality holds", "1e-06 to 10", "1 to ∞", "m = ",
    ):  # fmt: skip
        assert text in out, text
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert sorted(os.listdir(file.parent)) == ["new", "problem.toml"]


def test_infeasible_is_one_line(capsys):
    code, out, err = call(capsys, *TUNE.replace("=0.6", "=-1").split())
    assert code == 2 and out == "" and err.count("\n") == 1
    assert "no feasible point" in err and "train_loss" in err


def test_summary_words(tuned):
    def told(error_bar=None, **changes):
        import dataclasses

        changed = dataclasses.replace(tuned, **changes)
        vars(changed)["error_bar"] = error_bar  # as where it has been read
        return "\n".join(words.summary(changed))

    assert "nothing feasible" in told(integer=None)
    assert "± 0.02 (of finitely many points)" in told(error_bar=0.02)
    assert "roughly" in told(first_order=1e-3)
    assert "leave nothing free" in told(second_order=math.inf)
    assert "flat in some direction" in told(second_order=0.0)
    assert "a saddle" in told(second_order=-1.0)
    many = told(optima=tuned.optima * 7)
    assert "7 local optima from 16 starts" in many and many.count("  0.") == 5


def test_a_landscape_is_the_theory_on_a_grid(tuned, around):
    m, lam = around.axes
    assert m.scale.inverse and lam.scale.axis == "log" and around.value.shape == (12, 12)
    assert (m.x[0], m.x[-1]) == (0, 1)
    model = tuned.model.replace(m=1 / m.x[3], lam=lam.x[5])
    errors = model.asymptotics()
    assert around.value[5, 3] == pytest.approx(float(errors.test_loss), rel=1e-9)
    broken = np.arcsinh((float(errors.train_loss) - 0.6) / 0.6)
    assert around.residuals[0, 5, 3] == pytest.approx(broken, rel=1e-7)
    assert np.all(around.residuals[1][:, m.x < 0.33] > 0)


def test_a_path_leads_down_to_the_optimum(tuned):
    steps = landscape.path(tuned)
    assert steps["value"][-1] == tuned.value and len(steps["m"]) > 3
    for name, value in tuned.numbers.items():
        assert steps[name][-1] == value
        assert steps[name][0] == tuned.trace.numbers[name][0]


def test_a_figure_has_contours_path_and_star(tuned, around):
    drawn = landscape_figure(tuned, around)
    ax, bar = drawn.axes
    assert bar.get_ylabel() == "test loss" and r"$\psi_p = 16$" in drawn.get_suptitle()
    assert "steps that grow" in drawn.get_suptitle(), "colours are not evenly spaced"
    assert ax.get_yscale() == "log" and ax.get_xlim() == (1, 0), "m grows to the right"
    labels = [tick.get_text() for tick in ax.get_xticklabels()]
    assert labels[0] == "∞" and {"1", "2", "4", "8"} <= set(labels)
    lines = {line.get_label(): line for line in ax.lines}
    (x,), (y,) = lines["optimum"].get_data()
    assert 1 / x == pytest.approx(tuned.numbers["m"])
    assert y == tuned.numbers["training.lam"]
    assert len(lines["path"].get_xdata()) == len(landscape.path(tuned)["value"])
    assert lines["path"].get_xdata()[-1] == x
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend == [
        "optimum", "search path", "infeasible", "train loss ≤ 0.6", "samples ≤ 12",
    ]  # fmt: skip
    filled, *_, hatched, first, second = ax.collections
    assert isinstance(filled.norm, matplotlib.colors.BoundaryNorm)
    assert np.all(np.diff(filled.levels) > 0) and filled.levels[0] == around.value.min()
    assert hatched.hatches == ["///"] and list(first.levels) == list(second.levels) == [0]


def test_gaps_do_not_stop_a_figure(tuned, around):
    holes = around.value.copy()
    holes[3:5, 3:5] = math.nan
    drawn = landscape_figure(tuned, around._replace(value=holes))
    drawn.draw_without_rendering()


def test_one_number_is_a_curve(tuned):
    along = landscape.survey(tuned, ("training.lam",), side=12)
    assert along.value.shape == (12,) and along.residuals.shape == (2, 12)
    drawn = landscape_figure(tuned, along)
    (ax,) = drawn.axes
    assert ax.get_xscale() == "log" and ax.get_ylabel() == "test loss"
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["optimum"].get_xydata()[0].tolist() == [
        tuned.numbers["training.lam"], tuned.value,
    ]  # fmt: skip
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), along.value)
    assert "$m = " in drawn.get_suptitle()


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).standard_t(5, (300, 12)) * np.linspace(1, 2, 12) + 3


def test_data_are_measured_before_the_search(capsys, X, tmp_path, monkeypatch, tuned):
    def quick(model, key, **_):
        return measure(model, key, 4, classes=1, halves=False, report=print)

    def search(model, *_, moments, report):
        assert model.data.X.shape == (300, 12) and moments.p == 24
        assert float(model.data.X.mean()) == pytest.approx(0, abs=1e-12)
        return tuned

    monkeypatch.setattr(roads, "measure", quick)
    monkeypatch.setattr(tuning, "tune", search)
    np.save(tmp_path / "points.npy", X)
    data = [str(tmp_path / "points.npy"), *PROBLEM.split()]
    code, out, err = call(capsys, "tune", *data, *"--psi-n 4 --psi-p 2 --t 0.2".split())
    assert code == 0 and err == ""
    assert "300 points of 12 columns" in out and "least test loss" in out


@pytest.mark.slow
def test_the_command_on_data(capsys, X, tmp_path):
    np.save(tmp_path / "points.npy", X)
    points = str(tmp_path / "points.npy")
    code, out, err = call(
        capsys, "tune", points, *"--psi-n 4 --psi-p 2 --m inf --t 0.2 --starts 4".split(),
        "--free", "lam=1e-4:10", "--out", str(tmp_path / "curve.svg"),
    )  # fmt: skip
    assert code == 0 and "leverage" in err and err.count("\n") == 2
    assert "least test loss 0." in err, "the answer when it is there"
    for text in (
        "300 points of 12 columns",
        "least test loss",
        "leave the test loss uncertain",
    ):
        assert text in out
    assert "measured moments at 12 points" in (tmp_path / "curve.svg").read_text()


@pytest.mark.slow
def test_few_points_have_an_error_bar(X):
    points = Points("points.npy", X - X.mean(0), "none")
    given = {"psi_n": 4.0, "psi_p": 2.0, "m": 2.0, "t": 0.2, "starts": 4}
    plan = request.plan(given | {"free": {"training.lam": None}}, points)
    measured = roads.measure_widths(plan.model, plan.widths, jax.random.key(plan.seed))
    tuned = rfdsm.tune(*plan.arguments, moments=measured[0])
    sampled = words.sampling(tuned, measured)
    share = words.report(plan, tuned, None, sampled)["sampling_error"]
    assert 0 < share < 0.2
    line = f"leave the test loss uncertain by {100 * share:.2g} %"
    assert line in "\n".join(words.summary(tuned, None, sampled))


@pytest.mark.slow
def test_psi_p_is_free_between_measured_widths(capsys, X):
    points = Points("points.npy", X - X.mean(0), "none")
    given = {
        "psi_n": 4.0, "m": math.inf, "t": 0.2, "starts": 4, "widths": 3,
        "free": {"psi_p": (0.5, 2.0), "training.lam": (1e-4, 10.0)},
        "at_most": {"train_loss": 0.9},
    }  # fmt: skip
    plan = request.plan(given, points)
    assert plan.widths == (0.5, 1, 2) and plan.free["psi_p"] == (0.5, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measured = roads.measure_widths(plan.model, plan.widths, jax.random.key(plan.seed))
    assert [m.psi_p for m in measured] == [2, 1, 0.5]
    tuned = rfdsm.tune(*plan.arguments, moments=measured)
    # The widest is the best: a measured width, whose error bar is of finitely many points.
    assert tuned.numbers["psi_p"] == 2 and 0 < tuned.error_bar < 0.2 * tuned.value
    around = landscape.survey(tuned, plan.shown, side=24)
    assert around.value.shape == (24, 24) and "3 × 6" in around.about
    assert np.nanmin(around.value) == pytest.approx(tuned.value, rel=0.02)
    console.print_json(words.report(plan, tuned))
    report = json.loads(capsys.readouterr().out)
    assert report["errors"]["score_error"] is None
    assert report["model"]["data"] == {"kind": "Samples", "points": 300, "d": 12}
    json.dumps(report, allow_nan=False)


def test_bounds_of_data_unless_told(X):
    points = Points("points.npy", X - X.mean(0), "none")
    fixed = {"m": 1.0, "t": 0.1, "lam": 0.1}
    plan = request.plan({**fixed, "free": {"psi_n": None, "psi_p": None}}, points)
    assert plan.free["psi_n"] == (0.5, 12.5) and plan.free["psi_p"] == (0.5, 6)
    assert plan.error == "test_loss" and len(plan.widths) == 5


def test_data_have_usual_numbers(X):
    """As `predict` has them, and what is not given is tuned."""
    points = Points("points.npy", X - X.mean(0), False)
    plan = request.plan({}, points)
    assert [*plan.free] == ["psi_p", "training.lam", "m"]
    assert float(plan.model.process.t) == 0.1 and float(plan.model.psi_n) == 2
    assert [*request.plan({"m": 2.0}, points).free] == ["psi_p", "training.lam"]
    whole = request.plan({"psi_n": 25.0, "free": {"training.lam": None}}, points)
    assert float(whole.model.psi_n) * 12 == 300, "all points"
    assert float(whole.model.m) == 4 and whole.widths == (3,)
    asked = request.plan({"free": {"target.angle": None}}, points)
    assert asked.error == "noise_loss", "losses of targets are in units of their own"


LAM, M = "--free lam=1e-6:10", "--free m"
REST = "--psi-n 4 --psi-p 16 --m 2 --t 0.2"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (REST, "nothing is free"),
        (f"--psi-n 4 --psi-p 16 --m 2 {LAM}", "--t is missing"),
        (f"--psi-p 16 --m 2 --t 0.2 {LAM}", "--psi-n is missing"),
        (
            f"--psi-n 4 --psi-p 16 --m 2 --process vp {LAM}",
            "--alpha-bar or --process vp:ALPHA_BAR is missing: give it, or make it free",
        ),
        (f"{REST} --free target.data", "--target [linear:]DATA,NOISE is missing"),
        (f"{REST} --free data", "--free has no 'data'"),
        (f"{REST} --free sigma", "--sigma and --t do not belong together"),
        (
            f"--psi-n 4 --psi-p 16 --m 2 --process ve:1 {LAM} --over-times .1,.2",
            "--over-times are of a process with a t",
        ),
        (f"{REST} --free psi_x", "--free has no 'psi_x': the numbers are psi_n"),
        (f"{REST} --free activation.slope", "activation.slope needs bounds"),
        (f"{REST} --free psi_x=1:2 --lam 1", "psi_x"),
        (f"{REST} --free lam=1", "takes a name and bounds"),
        (f"{REST} --free lam=1:x", "takes a name and bounds"),
        (f"{REST} --free lam=10:1", "no number lies between"),
        (f"{REST} --free lam=-1:1", "lam"),
        (f"{REST} --free m=0.5:4 --lam 1", "m"),
        (f"{REST} {LAM} --free training.lam", "twice"),
        (f"{REST} {LAM} --psi-n -1", "psi_n"),
        (f"{REST} {LAM} --objective loss", "loss"),
        (f"{REST} {LAM} --at-least train_loss", "a name and a number"),
        (f"{REST} {LAM} --at-least train_loss=x", "takes a number"),
        (f"{REST} {LAM} --at-most loss=1", "there is no error 'loss'"),
        (f"{REST} {LAM} --budget cost=3", "has no cost 'cost'"),
        (f"{REST} {LAM} --budget samples=-3", "positive"),
        (f"{REST} {LAM} --over-times 0.2,0.1", "increase"),
        (f"{REST} {LAM} --over-times a,b", "--over-times takes numbers"),
        (f"{REST} {LAM} --free t --over-times 0.1,0.2", "t is free"),
        (f"{REST} {LAM} --landscape psi_p", "--landscape takes one or two"),
        (f"{REST} {LAM} --landscape lam,lam", "--landscape takes one or two"),
        (f"{REST} {LAM} --verify trials=3", "--verify takes d=64,trials=8"),
        (f"{REST} {LAM} --verify d=8,trials=1", "trials must be at least 2, got 1"),
        (f"{REST} {LAM} --verify d=-3", "d must be at least 1, got -3"),
        (f"{REST} {LAM} --verify d=8,16", "d is one, got [8, 16]"),
        (f"{REST} {LAM} --verify d=8,points=2", "'points' is none of these"),
        (f"{REST} {LAM} --verify d=8.5", "'d=8.5' is none of these"),
        (f"{REST} {LAM} --m 2.5 --verify d=8", "integer m"),
        (f"{REST} {LAM} --starts 0", "--starts"),
        (f"{REST} {LAM} --as-is", "--as-is is of DATA"),
        (f"{REST} {LAM} --activation relux", "unknown"),
        (f"{REST} {LAM} --eigenvalues 1,x", "--eigenvalues"),
        (f"{REST} {LAM} --weights .5,.5", "one weight"),
        (f"{REST} {LAM} --out a.jpg", ".png or .svg or .pdf"),
        (f"{REST} {LAM} --file none.toml", "No such file"),
        (f"{REST} {LAM} --file bad.toml", "bad.toml is not TOML"),
        (f"{REST} {LAM} --file unknown.toml", "unknown.toml has 'psi'"),
        (f"{REST} {LAM} --file wrong.toml", "--psi-n takes a number"),
        (f"none.npy {REST} {LAM}", "No such file"),
        (f"points.npy {REST} {LAM} --objective score_error", "not known on DATA"),
        (f"points.npy {REST} {LAM} --at-most bias2=1", "not known on DATA"),
        (f"points.npy {REST} {LAM} --free t", "cannot be free on DATA"),
        (f"points.npy {REST} {LAM} --over-times 0.1,0.2", "--over-times"),
        (f"points.npy {REST} {LAM} --eigenvalues 1,2", "--eigenvalues is of Gaussian"),
        (f"points.npy {REST} {LAM} --verify d=8", "--verify takes trials=8"),
        (f"points.npy {REST} {LAM} --psi-n 30", "DATA are 300 points: take fewer"),
        (f"points.npy {REST} {LAM} --psi-p 0.001", "no network"),
        (f"points.npy {REST} {LAM} --free psi_p=1:2 --widths 1", "--widths 1"),
        (f"points.npy {REST} {LAM} --free psi_p=2:1", "two measured widths"),
        (f"points.npy {REST} {LAM} --free psi_p=1:1.001", "one width"),
    ],
)
def test_bad_input_is_one_line_before_the_work(
    capsys, tmp_path, monkeypatch, X, arguments, message
):
    def works(*_, **__):
        pytest.fail("the work began")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(roads, "measure_widths", works)
    monkeypatch.setattr(tuning, "tune", works)
    np.save(tmp_path / "points.npy", X)
    (tmp_path / "bad.toml").write_text("psi_n = ")
    (tmp_path / "unknown.toml").write_text("psi = 1")
    (tmp_path / "wrong.toml").write_text('psi_n = "many"')
    before = os.listdir(tmp_path)
    code, out, err = call(capsys, "tune", *arguments.split())
    assert code == 2 and out == ""
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
    assert os.listdir(tmp_path) == before


def test_no_progress_in_a_pipe():
    with console.stages("tune") as report:
        report(tuning.Progress("search", 1, 2))
    assert not console.err.is_terminal
    assert jax.config.jax_enable_x64
