"""Numbers by name: short and dotted, of the model at hand and of all kinds."""

import pytest

import rfdsm
from rfdsm.ingredients.training import AbstractTraining
from rfdsm.parameters.checks import positive_integer
from rfdsm.parameters.numbers import (
    arguments,
    declared,
    full_name,
    kinds,
    numbers,
    own_numbers,
    short_names,
)

MODEL = rfdsm.RFDSM(8, 16, 4, t=0.1, training=rfdsm.GradientFlow(3.0, 1e-3),
                    activation=rfdsm.LeakyReLU(0.2))  # fmt: skip


def test_a_model_knows_its_numbers():
    names = ["psi_n", "psi_p", "m", "process.t", "activation.slope", "data.eigenvalues",
             "data.weights", "training.tau", "training.lam"]  # fmt: skip
    assert list(numbers(MODEL)) == names
    assert [n for n, each in numbers(MODEL).items() if not each.measured] == [
        "psi_n", "m", "training.tau", "training.lam",
    ]  # fmt: skip
    assert numbers(MODEL)["psi_p"].title == r"$\psi_p = p/d$"
    assert numbers(MODEL)["m"].title == "noises per data point $m$"


def test_short_names_are_last_parts():
    for short, full in (
        ("tau", "training.tau"),
        ("slope", "activation.slope"),
        ("t", "process.t"),
    ):
        assert full_name(MODEL, short) == full
    assert full_name(MODEL, "learning_rate") == "training.learning_rate", "of another kind"
    assert full_name(MODEL, "nothing") == "nothing"
    assert short_names(["a.x", "b.x", "c.y"]) == {"a.x": "a.x", "b.x": "b.x", "c.y": "y"}


def test_replace_takes_every_short_name():
    changed = MODEL.replace(tau=5.0, slope=0.5, t=0.2, eigenvalues=(2.0,), weights=(1.0,))
    assert (changed.training.tau, changed.activation.slope, changed.process.t) == (5, 0.5, 0.2)
    assert changed.data.eigenvalues == 2
    with pytest.raises(ValueError, match="GradientFlow, which has no 'learning_rate'"):
        MODEL.replace(learning_rate=0.1)
    with pytest.raises(ValueError, match=r"training.tau was given twice"):
        MODEL.replace(**{"tau": 1.0, "training.tau": 2.0})


@pytest.mark.parametrize("kind", [*kinds(AbstractTraining).values(), rfdsm.OrnsteinUhlenbeck])
def test_what_is_allowed_is_what_is_taken(kind):
    usual = dict.fromkeys(arguments(kind), 1.0)
    for name, each in own_numbers(kind).items():
        least, zero = each.allowed.partition(";")[0], kind.__name__ != "Ridge"
        takes_zero = least == ">= 0" or (name == "lam" and zero)
        for value in (-1.0, float("nan"), *([] if takes_zero else [0.0])):
            with pytest.raises(ValueError, match=r"must be|negative|whole"):
                kind(**usual | {name: value})
        if takes_zero:
            kind(**usual | {name: 0.0})


def test_every_number_has_words_and_a_symbol():
    for name, each in declared(rfdsm.RFDSM).items():
        assert each.symbol and each.words and each.title, name


@pytest.mark.parametrize("value", [0, -1, 2.5, True, float("inf"), float("nan"), "2", None])
def test_whole_numbers(value):
    with pytest.raises(ValueError, match="trials must be an integer of at least 1, got"):
        positive_integer(value, "trials")
    assert positive_integer(3.0, "trials") == 3
