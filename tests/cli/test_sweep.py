"""`rfdsm sweep`: grids in options and files, the store and its summary, what is refused."""

import math

import numpy as np
import pytest

from rfdsm.cli import grids

FILE = """
store = "phase.zarr"
seed = 3
zip = ["psi_n", "m"]
[model]
t = 0.2
lam = 1e-2
activation = "relu"
eigenvalues = [1.5, 0.5]
weights = "0.5,0.5"
[axes]
psi_n = [1, 2]
m = [1, inf]
psi_p = "0.5:8:3"
training.tau = "0:1:3:linear"
[simulate]
d = 12
trials = 2
[gradient]
score_error = ["psi_p", "m"]
"""
SWEPT = "psi_n=1,2 m=1,inf psi_p=0.5:8:3 training.tau=0:1:3:linear".split()
GIVEN = {"t": ["0.2"], "lam": ["0.01"], "activation": "relu", "eigenvalues": "1.5,0.5",
         "weights": "0.5,0.5"}  # fmt: skip
SETTINGS = {
    "zip": ["psi_n,m"], "store": "phase.zarr", "seed": "3", "simulate": "d=12,trials=2",
    "gradient": ["score_error:psi_p,m"],
}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    (tmp_path / "sweep.toml").write_text(FILE)
    return str(tmp_path / "sweep.toml")


def test_a_file_says_what_a_command_line_does(file):
    assert grids.asked([file], {}, {}) == grids.asked(SWEPT, GIVEN, SETTINGS)


@pytest.mark.parametrize("text", ['["psi_n,m"]', '[["psi_n", "m"]]', '"psi_n,m"'])
def test_names_that_go_together_may_be_written_in_several_ways(tmp_path, text):
    (tmp_path / "a.toml").write_text(f"zip = {text}")
    assert grids.read(tmp_path / "a.toml").settings["zip"] == ["psi_n,m"]


def test_what_the_command_line_names_overrides_the_file(file):
    """Also an axis by a number, and a number by an axis, by whatever name."""
    nothing = {"zip": [], "store": None, "seed": "5"}
    asked = grids.asked([file, "training.lam=1e-3:1:4"], {"psi_n": ["4"]}, nothing)
    assert list(asked.along) == ["m", "psi_p", "training.tau", "training.lam"]
    assert "lam" not in asked.given and asked.given["psi_n"] == ["4"]
    assert asked.settings == SETTINGS | {"seed": "5"}
