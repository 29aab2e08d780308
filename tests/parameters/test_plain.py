"""Kinds and numbers as text."""

import json

import pytest

import rfdsm
from rfdsm import Gaussian, GradientFlow, LeakyReLU, Polynomial, ReLU
from rfdsm.ingredients.activations import AbstractActivation
from rfdsm.ingredients.data import AbstractData
from rfdsm.ingredients.processes import AbstractProcess
from rfdsm.ingredients.targets import AbstractTarget
from rfdsm.ingredients.training import AbstractTraining
from rfdsm.parameters.plain import read, usage


@pytest.mark.parametrize(
    "base, text, expected",
    [
        (AbstractActivation, "relu", ReLU()),
        (AbstractActivation, "LeakyReLU:0.1", LeakyReLU(0.1)),
        (AbstractActivation, "polynomial:0,1,0.5", Polynomial((0.0, 1.0, 0.5))),
        (AbstractTraining, "gradientflow:10", GradientFlow(10.0)),
        (AbstractTraining, "gradientflow:10,1e-3", GradientFlow(10.0, 1e-3)),
        (AbstractData, "gaussian:1.9,0.1", Gaussian((1.9, 0.1))),
        (AbstractData, "gaussian", Gaussian()),
        (AbstractProcess, "vp:0.3", rfdsm.VariancePreserving(0.3)),
        (AbstractProcess, "VP:.3", rfdsm.VariancePreserving(0.3)),
        (AbstractProcess, "variancepreserving:0.3", rfdsm.VariancePreserving(0.3)),
        (AbstractProcess, "ve:2", rfdsm.VarianceExploding(2.0)),
        (AbstractProcess, "fm:0.4", rfdsm.FlowMatching(0.4)),
        (AbstractProcess, "ou:0.1", rfdsm.OrnsteinUhlenbeck(0.1)),
        (AbstractProcess, "edm:0.5", rfdsm.Preconditioned(0.5)),
        (AbstractProcess, "edm:0.5,2", rfdsm.Preconditioned(0.5, 2.0)),
        (AbstractTarget, "score", rfdsm.ScoreTarget()),
        (AbstractTarget, "noise", rfdsm.NoiseTarget()),
        (AbstractTarget, "datatarget", rfdsm.DataTarget()),
        (AbstractTarget, "data", rfdsm.DataTarget()),
        (AbstractTarget, "velocity", rfdsm.VelocityTarget()),
        (AbstractTarget, "preconditioned", rfdsm.PreconditionedTarget()),
        (AbstractTarget, "angle:0.7", rfdsm.AngleTarget(0.7)),
        (AbstractTarget, "1,-0.5", rfdsm.LinearTarget(1.0, -0.5)),
        (AbstractTarget, " -1, .5 ", rfdsm.LinearTarget(-1.0, 0.5)),
        (AbstractTarget, "linear:1,-0.5", rfdsm.LinearTarget(1.0, -0.5)),
    ],
)
def test_reading(base, text, expected):
    assert read(base, text, "--kind") == expected


class Bridge(rfdsm.AbstractProcess):
    """A kind of one's own, which no short name is declared for."""

    t: float = rfdsm.number("t", "time")

    def scales(self):
        return 1 - self.t, self.t

    def domain(self):
        return []


class BridgeTarget(rfdsm.NoiseTarget):
    short = "arch"


def test_kinds_of_ones_own_are_read_by_their_names():
    assert read(AbstractProcess, "bridge:0.5", "--process") == Bridge(0.5)
    for name in ("arch", "bridge", "BridgeTarget"):
        assert read(AbstractTarget, name, "--target") == BridgeTarget()
    assert read(AbstractTarget, "noise", "--target") == rfdsm.NoiseTarget()
    assert "bridge:T" in usage(AbstractProcess) and "arch" in usage(AbstractTarget)


def test_what_can_be_given():
    told = usage(AbstractProcess)
    assert told.startswith("ou:T, vp:ALPHA_BAR, ve:SIGMA, fm:T, edm:SIGMA[,SIGMA_DATA]")
    told = usage(AbstractTarget)
    for each in ("score, noise, ", ", data, velocity, ", "[linear:]DATA,NOISE, angle:ANGLE"):
        assert each in told


def test_a_description_without_a_target_is_of_the_score():
    """As versions wrote it that had no other."""
    model = rfdsm.RFDSM(8, 16, 4, t=0.1, lam=1e-3)
    description = model.to_dict()
    assert description.pop("target") == {"kind": "ScoreTarget"}
    assert rfdsm.RFDSM.from_dict(description) == model
    del description["process"]
    with pytest.raises(ValueError, match="these differ: process"):
        rfdsm.RFDSM.from_dict(description)


@pytest.mark.parametrize(
    "target",
    [rfdsm.DataTarget(), rfdsm.LinearTarget(1.0, -0.5), rfdsm.AngleTarget(0.7)],
)
@pytest.mark.parametrize("process", [rfdsm.FlowMatching(0.4), rfdsm.Preconditioned(0.5, 2.0)])
def test_there_and_back(process, target):
    model = rfdsm.RFDSM(8, 16, 4, lam=1e-3, process=process, target=target)
    again = rfdsm.RFDSM.from_dict(json.loads(json.dumps(model.to_dict())))
    assert again == model


@pytest.mark.parametrize(
    "text, message",
    [
        ("bent", r"--activation bent is unknown: take one of relu, leakyrelu:SLOPE"),
        ("leakyrelu", "--activation leakyrelu lacks its numbers: take leakyrelu:SLOPE."),
        ("leakyrelu:1,2", "leakyrelu:1,2 has too many numbers: take leakyrelu:SLOPE."),
        ("relu:1", "--activation relu:1 has too many numbers: take relu."),
        ("1,2", "--activation 1,2 is unknown"),
        ("leakyrelu:x", "--activation leakyrelu takes numbers separated by commas, got 'x'"),
        ("leakyrelu:inf", "slope must be finite"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read(AbstractActivation, text, "--activation")


@pytest.mark.parametrize(
    "base, text, message",
    [
        (AbstractProcess, "vp", "--x vp lacks its numbers: take vp:ALPHA_BAR."),
        (AbstractProcess, "vp:0.3,0.2", "--x vp:0.3,0.2 has too many numbers: take vp:ALPHA"),
        (AbstractProcess, "vp:0", "alpha_bar must lie between 0 and 1, got 0.0"),
        (AbstractProcess, "vp:1", "alpha_bar must lie between 0 and 1, got 1.0"),
        (AbstractProcess, "vp:nan", "alpha_bar must lie between 0 and 1, got nan"),
        (AbstractProcess, "ve:0", "sigma must be positive and finite, got 0.0"),
        (AbstractProcess, "ve:inf", "sigma must be positive and finite, got inf"),
        (AbstractProcess, "fm:0", "the time t of flow matching must lie between 0 and 1"),
        (AbstractProcess, "fm:1", "the time t of flow matching must lie between 0 and 1"),
        (AbstractProcess, "edm:1,0", "sigma_data must be positive"),
        (AbstractProcess, "0.3", r"--x 0.3 is unknown: take one of ou:T, vp:ALPHA_BAR"),
        (AbstractTarget, "1", r"--x 1 has too few numbers: take \[linear:\]DATA,NOISE."),
        (AbstractTarget, "1,2,3", "--x 1,2,3 has too many numbers"),
        (AbstractTarget, "x", "--x x is unknown: take one of score, noise, "),
        (AbstractTarget, "x,z", "--x x,z is unknown"),
        (AbstractTarget, "", "--x  is unknown"),
        (AbstractTarget, "nan,1", "c_x must be finite, got nan"),
        (AbstractTarget, "1,inf", "c_z must be finite, got inf"),
        (AbstractTarget, "angle:inf", "angle must be finite, got inf"),
        (AbstractTarget, "data:1", "--x data:1 has too many numbers: take data."),
    ],
)
def test_what_is_refused_of_processes_and_targets(base, text, message):
    with pytest.raises(ValueError, match=message):
        read(base, text, "--x")
