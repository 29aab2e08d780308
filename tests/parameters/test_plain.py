"""Kinds and numbers as text."""

import pytest

from rfdsm import Gaussian, GradientFlow, LeakyReLU, Polynomial, ReLU
from rfdsm.ingredients.activations import AbstractActivation
from rfdsm.ingredients.data import AbstractData
from rfdsm.ingredients.training import AbstractTraining
from rfdsm.parameters.plain import read


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
    ],
)
def test_reading(base, text, expected):
    assert read(base, text, "--kind") == expected


@pytest.mark.parametrize(
    "text, message",
    [
        ("bent", r"--activation bent is unknown: take one of relu, leakyrelu:SLOPE"),
        ("leakyrelu", "unknown"),
        ("leakyrelu:1,2", "unknown"),
        ("relu:1", "unknown"),
        ("leakyrelu:x", "--activation leakyrelu takes numbers separated by commas, got 'x'"),
        ("leakyrelu:inf", "slope must be finite"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read(AbstractActivation, text, "--activation")
