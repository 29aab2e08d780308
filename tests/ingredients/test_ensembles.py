"""Ensembles as an ingredient: made, refused, changed by name, told in JSON and in words."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm
from rfdsm import Ensemble, Single
from rfdsm.ingredients.ensembles import AbstractEnsemble
from rfdsm.parameters.numbers import numbers, short_names
from rfdsm.parameters.plain import read, usage
from rfdsm.parameters.scales import INVERSE

MODEL = rfdsm.RFDSM(2.0, 3.0, 2, t=0.2, lam=0.03)
MANY = MODEL.replace(ensemble=Ensemble(4, ("points",)))
TAKES = r"take one of single, \[ensemble:\]NETWORKS\[,share=WORDS\]"


def test_what_networks_share_and_how_often_it_is_drawn():
    names = ("features", "points", "noises")
    for share in ((), ("features",), ("points",), ("features", "points"), names[1:]):
        many = Ensemble(4.5, share)
        assert many.share == share == many.shared.names
        assert [many.drawn(name) for name in names] == [
            1 if name in share else 4.5 for name in names
        ]
        known = [many.knows(f"{name}_loss") for name in ("test", "memorization", "train")]
        assert known == [True, "points" in share, "noises" in share]
    assert Ensemble(4).share == names[1:] and Ensemble(4, "features").share == names[:1]
    assert Single().shared.names == names and {Single().drawn(name) for name in names} == {1}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0.5,), r"networks must be >= 1 \(jnp.inf is allowed\), got 0.5"),
        ((np.nan,), "networks must be >= 1"),
        ((4, "widths"), r"share takes some of features, points, noises, each once, got \['wid"),
        ((4, ("points", "points")), "each once"),
        ((4, "noises"), "noises are shared with the points they are on: share points too"),
        ((4, ("features", "points", "noises")), "share features, points and noises are one"),
    ],
)
def test_what_is_no_ensemble(arguments, message):
    with pytest.raises(ValueError, match=rf"^[^\n]*{message}[^\n]*$"):
        Ensemble(*arguments)
    with pytest.raises(TypeError, match=r"networks must be a real number"):
        Ensemble("four")


def test_networks_are_a_number_like_m():
    about = numbers(MANY)["ensemble.networks"]
    assert about.scale == INVERSE and about.integer and about.bounds == (1.0, np.inf)
    assert about.help.startswith("Averaged networks, >= 1, inf included;")
    assert short_names(rfdsm.RFDSM, numbers(MANY))["ensemble.networks"] == "networks"
    assert "ensemble.networks" not in numbers(MODEL)


def test_networks_are_replaced_by_name():
    for name in ("networks", "ensemble.networks"):
        many = MANY.replace(**{name: np.inf}).ensemble
        assert many == Ensemble(np.inf, ("points",)) and float(many.others) == 1.0
    slopes = jax.grad(lambda x: MANY.replace(networks=x).ensemble.others)
    assert slopes(4.0) == 1 / 16 and slopes(jnp.inf) == 0
    assert MANY.replace(**{"ensemble.share": "features"}).ensemble == Ensemble(4, "features")
    with pytest.raises(ValueError, match="networks must be >= 1"):
        MANY.replace(networks=0)


def test_a_single_network_says_what_to_give():
    told = r"^ensemble is Single, which has no 'networks' nor any other number: "
    with pytest.raises(ValueError, match=told + r"give ensemble=rfdsm\.Ensemble\(\.\.\.\)\.$"):
        MODEL.replace(networks=4)
    told = r"^training is Ridge, which has no 'tau' but lam: give training=rfdsm\.GradientFlow"
    with pytest.raises(ValueError, match=told):
        MODEL.replace(tau=1.0)


@pytest.mark.parametrize("share", [(), ("features",), ("points", "noises")])
def test_there_and_back(share):
    for networks in (3, 2.5, np.inf):
        model = MODEL.replace(ensemble=Ensemble(networks, share))
        plain = json.loads(json.dumps(model.to_dict()))
        assert plain["ensemble"]["share"] == [*share]
        assert rfdsm.RFDSM.from_dict(plain) == model


def test_a_description_without_an_ensemble_is_of_one_network():
    """As versions wrote it that had no other."""
    plain = MODEL.to_dict()
    assert plain.pop("ensemble") == {"kind": "Single"}
    assert rfdsm.RFDSM.from_dict(plain) == MODEL


def test_in_words():
    assert repr(Ensemble(4)) == "Ensemble(networks=4, share=('points', 'noises'))"
    assert "ensemble=Single()" in repr(MODEL)
    assert repr(MANY).endswith("ensemble=Ensemble(networks=4, share=('points',)))")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("single", Single()),
        ("4", Ensemble(4)),
        ("inf", Ensemble(np.inf)),
        ("4,share=points", Ensemble(4, "points")),
        ("4,share=points+noises", Ensemble(4)),
        ("4, share=features, points", Ensemble(4, ("features", "points"))),
        ("4,share=none", Ensemble(4, ())),
        ("Ensemble:2.5,share=features", Ensemble(2.5, "features")),
    ],
)
def test_reading(text, expected):
    assert read(AbstractEnsemble, text, "--ensemble") == expected


@pytest.mark.parametrize(
    "text, message",
    [
        ("x", f"--ensemble x is unknown: {TAKES}"),
        ("x,share=points", f"--ensemble x,share=points is unknown: {TAKES}"),
        ("4,5", r"--ensemble 4,5 has too many numbers: take \[ensemble:\]NETWORKS"),
        ("4,size=3", r"--ensemble 4,size=3 has no size: take \[ensemble:\]NETWORKS"),
        ("single,share=points", "--ensemble single,share=points has no share: take single"),
        ("share=points", "--ensemble share=points lacks its numbers"),
        ("0", "networks must be >= 1"),
        ("4,share=", r"share takes some of features, points, noises, each once, got \[''\]"),
        ("4,share=noises", "noises are shared with the points they are on"),
    ],
)
def test_what_is_no_ensemble_in_text(text, message):
    with pytest.raises(ValueError, match=rf"^{message}"):
        read(AbstractEnsemble, text, "--ensemble")


def test_what_can_be_given():
    assert usage(AbstractEnsemble).startswith("single, [ensemble:]NETWORKS[,share=WORDS]")
