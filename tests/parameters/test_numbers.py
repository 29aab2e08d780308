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
    number_called,
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
    names = {"m": "m", "a.x": "a.x", "b.x": "b.x", "c.y": "y", "c.data": "c.data", "c.m": "c.m"}
    assert short_names(rfdsm.RFDSM, names) == names


class Reach(rfdsm.AbstractProcess):
    """Its numbers are called as ingredients and a method of the model are."""

    data: float = rfdsm.number("r", "reach")
    training: float = rfdsm.number("s", "start")
    density: float = rfdsm.number("u", "density")

    def scales(self):
        return self.data, self.training + self.density

    def domain(self):
        return []


def test_an_ingredient_keeps_its_name():
    """A number that is called as an ingredient is too has its dotted name everywhere."""
    model = MODEL.replace(process=Reach(0.5, 0.25, 0.125))
    short = short_names(rfdsm.RFDSM, numbers(model))
    assert short["process.data"] == "process.data" and short["process.density"] == "density"
    assert full_name(model, "data") == "data", "the ingredient, not the number"
    assert full_name(model, "density") == "process.density", "a method has no say"
    changed = model.replace(**{"process.data": 0.75, "density": 1.0})
    assert (changed.process.data, changed.process.density) == (0.75, 1.0)
    assert isinstance(model.replace(data=rfdsm.Gaussian((2.0,))).data, rfdsm.Gaussian)
    with pytest.raises(ValueError, match=r"'no' is no number .* process.data, process.train"):
        number_called(model, "no")
    with pytest.raises(ValueError, match="'data' is no number"):
        number_called(model, "data")


def test_the_numbers_of_chosen_kinds():
    """A name that several kinds have is of the first, or of the kind that is named."""
    assert declared(rfdsm.RFDSM)["process.t"].words == "diffusion time"
    of = declared(rfdsm.RFDSM, {"process": rfdsm.FlowMatching})
    assert of["process.t"].words == "flow time" and of["process.t"].measured
    assert "process.sigma" not in of and "training.tau" in of


def test_replace_takes_every_short_name():
    changed = MODEL.replace(tau=5.0, slope=0.5, t=0.2, eigenvalues=(2.0,), weights=(1.0,))
    assert (changed.training.tau, changed.activation.slope, changed.process.t) == (5, 0.5, 0.2)
    assert changed.data.eigenvalues == 2
    with pytest.raises(ValueError, match="GradientFlow, which has no 'learning_rate'"):
        MODEL.replace(learning_rate=0.1)
    with pytest.raises(ValueError, match=r"training.tau was given twice"):
        MODEL.replace(**{"tau": 1.0, "training.tau": 2.0})


PROCESSES = (
    rfdsm.OrnsteinUhlenbeck,
    rfdsm.VarianceExploding,
    rfdsm.Preconditioned,
)


@pytest.mark.parametrize("kind", [*kinds(AbstractTraining).values(), *PROCESSES])
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
