"""Processes, targets and other kinds on the command line: names, numbers, what is refused."""

import jax
import pytest
import xarray as xr
from command import call

import rfdsm
from rfdsm.cli import models, options

FIXED = {"psi_n": 2.0, "psi_p": 1.0, "m": 2.0, "lam": 1e-2}
POINT = "point --psi-n 2 --psi-p 1 --m 2 --lam 1e-2"


@pytest.mark.parametrize(
    "given, process, target",
    [
        ({"t": 0.2}, rfdsm.OrnsteinUhlenbeck(0.2), rfdsm.ScoreTarget()),
        ({"process": "ou:.2"}, rfdsm.OrnsteinUhlenbeck(0.2), rfdsm.ScoreTarget()),
        ({"process": "fm", "t": 0.4}, rfdsm.FlowMatching(0.4), rfdsm.ScoreTarget()),
        ({"process": "flowmatching:.4"}, rfdsm.FlowMatching(0.4), rfdsm.ScoreTarget()),
        ({"alpha_bar": 0.3}, rfdsm.VariancePreserving(0.3), rfdsm.ScoreTarget()),
        ({"sigma": 0.5}, rfdsm.VarianceExploding(0.5), rfdsm.ScoreTarget()),
        ({"sigma": 0.5, "sigma_data": 2.0}, rfdsm.Preconditioned(0.5, 2.0),
         rfdsm.ScoreTarget()),
        ({"process": "edm:.5", "sigma_data": 2.0}, rfdsm.Preconditioned(0.5, 2.0),
         rfdsm.ScoreTarget()),
        ({"process": "edm:.5", "target": "preconditioned"}, rfdsm.Preconditioned(0.5),
         rfdsm.PreconditionedTarget()),
        ({"t": 0.2, "target": "data"}, rfdsm.OrnsteinUhlenbeck(0.2), rfdsm.DataTarget()),
        ({"t": 0.2, "target": "1,-0.5"}, rfdsm.OrnsteinUhlenbeck(0.2),
         rfdsm.LinearTarget(1.0, -0.5)),
        ({"t": 0.2, "angle": 0.7}, rfdsm.OrnsteinUhlenbeck(0.2), rfdsm.AngleTarget(0.7)),
        ({"t": 0.2, "target": "angle", "angle": 0.7}, rfdsm.OrnsteinUhlenbeck(0.2),
         rfdsm.AngleTarget(0.7)),
        # A swept number that has no option of its own is in place of the text's.
        ({"t": 0.2, "target": "1,-0.5", "target.data": 0.3}, rfdsm.OrnsteinUhlenbeck(0.2),
         rfdsm.LinearTarget(0.3, -0.5)),
    ],
)  # fmt: skip
def test_kinds_and_their_numbers(given, process, target):
    made = options.model(FIXED | given)
    assert made == rfdsm.RFDSM(**FIXED, process=process, target=target)


def test_numbers_of_texts_may_be_options():
    made = options.model({**FIXED, "t": 0.2, "activation": "leakyrelu", "slope": 0.1})
    assert made.activation == rfdsm.LeakyReLU(0.1)
    flow = FIXED | {"t": 0.2, "training": "gradientflow:3"}
    assert options.model(flow).training == rfdsm.GradientFlow(3.0, 1e-2)


def test_names_of_numbers_and_those_with_options():
    short, own = options.names(), options.own()
    assert short["target.data"] == "target.data" and short["noise"] == "target.noise"
    assert "data" not in short, "which is the ingredient, and the option of a file"
    assert {"target.data", "noise"} <= {*short} - {*own}
    for name in ("t", "alpha_bar", "sigma", "sigma_data", "angle", "lam", "psi_n"):
        assert own[name].rpartition(".")[2] == name
    told = models.help_of_number("process.t")
    assert told.startswith("Diffusion time, > 0") and "With --process fm: Flow time" in told


def test_a_point_of_a_target(capsys):
    """Losses in its units, and how they compare with those of others."""
    model = options.model({**FIXED, "alpha_bar": 0.6, "target": "data"})
    code, out, err = call(capsys, *POINT.split(), "--process", "vp:.6", "--target", "data")
    assert (code, err) == (0, "") and f"{float(model.asymptotics().test_loss):.6g}" in out
    noise_loss = 1.5 * float(model.asymptotics().test_loss)  # a²/h
    assert f"implies has test loss {noise_loss:.6g}, which compares" in out
    assert "no output 1, isotropic 0.4, best linear 0.4;" in out
    code, out, _ = call(capsys, *POINT.split(), "--process", "vp:.6")
    assert code == 0 and "units" not in out


def test_curves_over_a_target_are_judged_by_the_score(capsys, tmp_path):
    data = tmp_path / "angle.nc"
    words = f"{POINT.replace('point', 'curve angle=0.1:1.4:7')} --t .3 --linear --data {data}"
    code, out, err = call(capsys, *words.split())
    assert (code, err) == (0, "")
    with xr.open_dataset(data) as found:
        least = found.score_error.values.min()
    assert f"least score error {least:.5g} at angle = " in out and "least test loss" not in out


@pytest.mark.slow
def test_a_sweep_over_numbers_of_processes_and_targets(capsys, tmp_path):
    data = tmp_path / "grid.nc"
    words = POINT.replace("point", "sweep alpha_bar=.2,.8 target.data=-1,.5 --target -1,.7")
    words += f" --gradient score_error:alpha_bar,target.data,noise --data {data}"
    code, out, _ = call(capsys, *words.split())
    assert code == 0 and "4 points, alpha_bar 2 × target.data 2: 4 solved" in out
    model = options.model({**FIXED, "process": "vp:.8", "target": "-1,.7"})
    errors = model.asymptotics()
    with xr.open_dataset(data) as found:
        at = found.isel({"alpha_bar": 1, "target.data": 0})
        assert float(at.score_error) == pytest.approx(float(errors.score_error), rel=1e-10)
        slope = jax.grad(lambda x: model.replace(noise=x).asymptotics().score_error)(0.7)
        assert float(at.d_score_error_noise) == pytest.approx(float(slope), rel=1e-8)
        assert {"d_score_error_alpha_bar", "d_score_error_target.data"} <= {*found.data_vars}


@pytest.mark.parametrize(
    "extra, message",
    [
        ("--process ou:.2 --t .1", "t is given twice, --process ou:.2 has it: leave one out."),
        ("--t .2 --target angle:.7 --angle .3", "angle is given twice, --target angle:.7 has"),
        ("--t .3 --sigma .2", "--sigma and --t do not belong together: take one of ou:T, vp:"),
        ("--process fm --sigma .2", "--sigma is no number of --process fm, of which there is"),
        ("--process vp", "--alpha-bar or --process vp:ALPHA_BAR is missing."),
        ("--process vp:0.3,0.2", "--process vp:0.3,0.2 has too many numbers: take vp:ALPHA_"),
        ("--process vp:1", "alpha_bar must lie between 0 and 1, got 1.0"),
        ("--alpha-bar 0", "alpha_bar must lie between 0 and 1, got 0.0"),
        ("--sigma 0", "sigma must be positive and finite, got 0.0"),
        ("--process fm:0", "t of flow matching must lie between 0 and 1, got 0.0"),
        ("--process fm --t 1", "t of flow matching must lie between 0 and 1, got 1.0"),
        ("--process bent:1", "--process bent:1 is unknown: take one of ou:T, vp:ALPHA_BAR, ve"),
        ("--t .2 --target 1", "--target 1 has too few numbers: take [linear:]DATA,NOISE."),
        ("--t .2 --target x", "--target x is unknown: take one of score, noise, "),
        ("--t .2 --target linear", "--target [linear:]DATA,NOISE is missing."),
        ("--t .2 --target angle", "--angle or --target angle:ANGLE is missing."),
        ("--t .2 --target nan,1", "c_x must be finite, got nan"),
        ("--t .2 --target 0,0", "is proportional to y"),
        ("--process vp:.5 --target 1,1", "is proportional to y"),
        ("--process fm:.5 --angle -0.7853981633974483", "is proportional to y"),
        ("--t 20 --target noise", "NoiseTarget() of c_x = 0, c_z = 1 is proportional to y"),
        ("--t 1e-13 --target data", "DataTarget() of c_x = 1, c_z = 0 is proportional to y"),
    ],
)
def test_bad_input_is_one_line(capsys, extra, message):
    code, out, err = call(capsys, *POINT.split(), *extra.split())
    assert (code, out) == (2, "")
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
