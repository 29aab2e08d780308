"""A process, an activation, a data law and a command from outside: they work everywhere.

A new kind is a class, a new number a field that describes itself; nothing else is touched.
"""

import dataclasses
import doctest
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import typer
from command import call
from jaxtyping import Array, Float

import rfdsm
from rfdsm.cli import app, options
from rfdsm.ingredients import processes
from rfdsm.ingredients.activations import AbstractActivation, Constants
from rfdsm.ingredients.data import AbstractData, Law
from rfdsm.ingredients.data.gaussian import GaussianSampler, largest_remainder
from rfdsm.ingredients.processes import AbstractProcess
from rfdsm.parameters.checks import positive, require, scalar
from rfdsm.parameters.numbers import number
from rfdsm.parameters.scales import FROM_ZERO
from rfdsm.plotting import curve_figure, describe


class Blurred(AbstractProcess):
    """y = x + √blur z."""

    blur: Float[Array, ""] = number(r"\beta", "blur", bounds=(0.05, 2.0))

    def __init__(self, blur: Any):
        self.blur = scalar(blur, "blur")
        require(self.domain())

    def scales(self):
        return jnp.ones_like(self.blur), self.blur

    def domain(self):
        return [positive(self.blur, "blur")]


class Line(AbstractActivation):
    """ϱ(x) = tilt·x: only a linear part."""

    tilt: Float[Array, ""] = number("c", "tilt of the line", scale=FROM_ZERO)
    kinks: ClassVar[tuple[float, ...]] = ()

    def __init__(self, tilt: Any = 1.0):
        self.tilt = scalar(tilt, "tilt")

    def __call__(self, x):
        return self.tilt.astype(x.dtype) * x

    def constants(self, shared, fresh):
        zero = jnp.zeros_like(shared + fresh)
        return Constants(zero, zero + self.tilt, zero, zero, zero)


class Spiked(AbstractData):
    """A share of the directions carries a variance of its own, the others 1."""

    spike: Float[Array, ""] = number(r"\sigma_1", "spike", bounds=(1.0, 10.0))
    share: Float[Array, ""] = number("s", "share of the spiked directions")
    eigenvalues: Float[Array, " k"]
    weights: Float[Array, " k"]

    def __init__(self, spike: Any, share: Any = 0.25):
        self.spike, self.share = scalar(spike, "spike"), scalar(share, "share")
        stack = jnp.stack if isinstance(self.spike, jax.core.Tracer) else np.stack
        self.eigenvalues = stack([self.spike, np.ones_like(self.share)])
        self.weights = np.stack([self.share, 1 - self.share])

    def domain(self):
        return self.law().domain()

    def dimension(self, d):
        return d

    def counts(self, d):
        return largest_remainder(np.asarray(self.weights), d)

    def at(self, d):
        atoms = np.repeat(np.arange(2), self.counts(d))
        return GaussianSampler(jnp.asarray(self.eigenvalues)[atoms])

    def knows_score(self):
        return True


@pytest.fixture
def model():
    return rfdsm.RFDSM(
        psi_n=4, psi_p=3, m=2, lam=1e-2,
        process=Blurred(0.3), activation=Line(0.7), data=Spiked(3.0),
    )  # fmt: skip


def test_they_solve_and_simulate(model):
    errors = model.asymptotics()
    runs = model.simulate(jax.random.key(0), 24, 8)
    assert float(runs.mean().test_loss) == pytest.approx(float(errors.test_loss), rel=0.1)
    plain = model.replace(data=rfdsm.Gaussian((3.0, 1.0), (0.25, 0.75)))
    assert float(plain.asymptotics().test_loss) == pytest.approx(float(errors.test_loss))
    slope = jax.grad(lambda x: model.replace(blur=x).asymptotics().test_loss)(0.3)
    step = (model.replace(blur=0.301), model.replace(blur=0.299))
    up, down = (float(each.asymptotics().test_loss) for each in step)
    assert float(slope) == pytest.approx((up - down) / 2e-3, rel=1e-4)


def test_replace_and_dictionaries(model):
    changed = model.replace(blur=0.5, tilt=0.2, spike=2.0)
    assert (changed.process.blur, changed.activation.tilt, changed.data.spike) == (0.5, 0.2, 2)
    assert changed == model.replace(
        **{"process.blur": 0.5, "activation.tilt": 0.2, "data.spike": 2.0}
    )
    assert rfdsm.RFDSM.from_dict(changed.to_dict()) == changed
    with pytest.raises(ValueError, match="OrnsteinUhlenbeck, which has no 'blur'"):
        model.replace(process=rfdsm.OrnsteinUhlenbeck(0.1)).replace(blur=1.0)


def test_figures(model):
    found = rfdsm.sweeps.curve(model, {"blur": [0.1, 0.3, 0.9]}, {"spike": [1.0, 4.0]})
    assert found.test_loss.dims == ("spike", "blur") and np.all(found.status == 0)
    assert rfdsm.model_of(found) == model.replace(blur=0.1, spike=1.0)
    drawn = curve_figure(found, ["test_loss"])
    assert drawn.axes[0].get_xlabel() == r"blur $\beta$"
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend[:2] == [r"$\sigma_1 = 1$", r"$\sigma_1 = 4$"]
    assert r"$\beta = 0.3$" in describe(model) and "Spiked data, line" in describe(model)


def test_tuning(model):
    tuned = rfdsm.tune(model, {"blur": None, "lam": (1e-4, 10)}, "test_loss", starts=4)
    assert tuned.numbers["process.blur"] == 2.0  # the usual bound: more noise is easier
    assert "process.blur <= 2" in tuned.active
    tuned = rfdsm.tune(model, {"tilt": (0.0, 2.0)}, "test_loss", starts=4)
    scan = [float(model.replace(tilt=x).asymptotics().test_loss) for x in (0.1, 0.5, 1.0, 2.0)]
    assert tuned.value <= min(scan) + 1e-12


def test_the_command_line(model, capsys, tmp_path):
    data = tmp_path / "curve.nc"
    code, out, err = call(
        capsys, "curve", "blur=0.1:0.9:3", *"--psi-n 4 --psi-p 3 --m 2 --lam 1e-2".split(),
        "--activation", "line:0.7", "--law", "spiked:3", "--data", str(data),
        "--out", str(tmp_path / "curve.png"),
    )  # fmt: skip
    assert code == 0 and err == "" and "m = 2: least test loss" in out
    code, out, err = call(
        capsys, "point", *"--psi-n 4 --psi-p 3 --m 2 --lam 1e-2 --process blurred:0.3".split(),
        "--activation", "line:0.7", "--law", "spiked:3,0.25",
    )  # fmt: skip
    assert code == 0 and f"{float(model.asymptotics().test_loss):.6g}" in out
    code, _, err = call(capsys, "point", *"--psi-n 4 --psi-p 3 --m 2 --lam 1 --t 1".split(),
                        "--activation", "bent")  # fmt: skip
    assert code == 2 and "line[:TILT]." in err and err.count("\n") == 1


def test_a_command(capsys):
    @app.app.command()
    @options.of_model()
    def gap(
        given: dict[str, Any],
        digits: Annotated[int, typer.Option(help="Digits to print.")] = 3,
    ) -> None:
        """The generalization gap of a model."""
        print(f"{float(options.model(given).asymptotics().generalization_gap):.{digits}f}")

    numbers = {"psi-n": 4, "psi-p": 3, "m": 2, "t": 0.2, "lam": 0.01}
    arguments = [f"--{name}={value}" for name, value in numbers.items()]
    code, out, _ = call(capsys, "gap", *arguments, "--digits", "6")
    model = rfdsm.RFDSM(4, 3, 2, t=0.2, lam=0.01)
    assert code == 0
    assert float(out) == pytest.approx(float(model.asymptotics().generalization_gap), abs=1e-6)


class Ramp(rfdsm.AbstractActivation):
    """ϱ(x) = tilt·x with a plain float for a field."""

    kinks: ClassVar[tuple[float, ...]] = ()
    tilt: float = 0.7

    def __call__(self, x):
        return self.tilt * x

    def constants(self, shared, fresh):
        zero = 0.0 * (shared + fresh)
        return rfdsm.Constants(zero, zero + self.tilt, zero, zero, zero)


class Penalised(rfdsm.AbstractTraining):
    """`Ridge`, with a plain float."""

    lam: float

    def filter(self, x, rate):
        return 1 / (x + self.lam)

    def nodes(self, rate):
        return rfdsm.Ridge(self.lam).nodes(rate)

    def domain(self):
        return [(self.lam > 0, "lam")]


class Pair(rfdsm.AbstractData):
    """`Gaussian`, with tuples of plain floats."""

    eigenvalues: tuple[float, ...] = (1.5, 0.5)
    weights: tuple[float, ...] = (0.25, 0.75)

    def _gaussian(self):
        return rfdsm.Gaussian(self.eigenvalues, self.weights)

    def domain(self):
        return self.law().domain()

    def dimension(self, d):
        return d

    def counts(self, d):
        return self._gaussian().counts(d)

    def at(self, d):
        return self._gaussian().at(d)

    def knows_score(self):
        return True


def test_fields_may_be_plain_floats():
    ours = dict(lam=1e-2, activation=Line(), data=rfdsm.Gaussian((1.5, 0.5), (0.25, 0.75)))
    yours = dict(training=Penalised(1e-2), activation=Ramp(), data=Pair())
    ours, yours = (rfdsm.RFDSM(4, 3, 2, t=0.3, **each) for each in (ours, yours))
    ours = ours.replace(tilt=0.7)
    assert yours.asymptotics().test_loss == ours.asymptotics().test_loss
    key = jax.random.key(0)
    found, expected = yours.simulate(key, 8).test_loss, ours.simulate(key, 8).test_loss
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    slope = jax.grad(lambda model: model.asymptotics().test_loss)(yours)
    again = jax.grad(lambda model: model.asymptotics().test_loss)(ours)
    assert float(slope.training.lam) == pytest.approx(float(again.training.lam))
    np.testing.assert_allclose(slope.data.eigenvalues, again.data.eigenvalues)
    assert "Ramp(tilt=0.7)" in repr(yours) and "Penalised(lam=0.01)" in repr(yours)


def test_the_example_of_ones_own():
    assert doctest.testmod(processes) == (0, 4)


def test_a_law_is_all_that_theory_reads():
    law = Spiked(3.0).law()
    assert isinstance(law, Law) and [f.name for f in dataclasses.fields(law)] == [
        "eigenvalues", "weights",
    ]  # fmt: skip
