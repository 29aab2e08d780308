"""The spectrum: mass, closed laws, simulated eigenvalues, derivatives, and the timescales."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm


def model_of(psi_n=2.0, psi_p=3.0, m=4.0, t=0.2, **options):
    flow = rfdsm.GradientFlow(1.0)
    return rfdsm.RFDSM(psi_n=psi_n, psi_p=psi_p, m=m, t=t, training=flow, **options)


LAWS = (((1.0,), (1.0,)), ((1.9, 0.1), (0.5, 0.5)), ((2.0, 0.0), (0.5, 0.5)))


def test_bulks_and_atom_hold_all_eigenvalues():
    """Random ratios, times, laws and m, with gaps and bulks that are narrow."""
    rng = np.random.default_rng(3)
    for index in range(8):
        m = (1.0, 2.5, 4.0, math.inf)[index % 4]
        psi_n, psi_p = 10 ** rng.uniform(-1, 1.5), 10 ** rng.uniform(-1, 2)
        if index % 6 == 1:
            psi_p = psi_n * min(m, 4)  # at the peak a bulk reaches 0
        eigenvalues, weights = LAWS[index % 3]
        data = rfdsm.Gaussian(eigenvalues * (2 // len(eigenvalues)), None)  # of one shape
        if len(weights) > 1:
            data = rfdsm.Gaussian(eigenvalues, weights)
        model = model_of(psi_n, psi_p, m, 10 ** rng.uniform(-2, 0.5), data=data)
        ends = model.edges()
        assert (np.diff(ends.ravel()) > 0).all()
        total = model.bulk_masses(ends).sum() + model.atoms().mass
        assert float(total) == pytest.approx(1, abs=1e-7), model


@pytest.mark.parametrize(
    "psi_n, psi_p, m", [(2.0, 1.0, 1), (1.0, 3.0, 1), (2.0, 5.0, math.inf)]
)
def test_marchenko_pastur(psi_n, psi_p, m):
    """An even activation learns nothing linear: U = s² + v² (or v² + s²) times a Wishart."""
    model = model_of(psi_n, psi_p, m, activation=rfdsm.Cos())
    a, h = model.process.scales()
    c = model.activation.constants(a**2, h)
    shift, scale = (0.0, c.v2 + c.s2) if m == 1 else (c.s2, c.v2)
    ratio = psi_p / psi_n
    ends = float(shift) + float(scale) * (1 + np.array([-1, 1]) * math.sqrt(ratio)) ** 2
    np.testing.assert_allclose(model.edges(), ends[None], rtol=1e-8)
    x = np.linspace(*ends, 41)[1:-1]
    root = np.sqrt((ends[1] - x) * (x - ends[0]))
    closed = root / (2 * np.pi * ratio * float(scale) * (x - float(shift)))
    np.testing.assert_allclose(model.density(x), closed, rtol=1e-8)
    atom = model.atoms()
    assert float(atom.mass) == pytest.approx(max(0.0, 1 - 1 / ratio), abs=1e-12)
    assert atom.mass == 0 or float(atom.position) == pytest.approx(float(shift))


@pytest.mark.parametrize(
    "kwargs, position, mass",
    [
        (dict(psi_n=2.0, psi_p=12.0, m=4.0), 0.0, 1 - 8 / 12),
        (dict(psi_n=2.0, psi_p=6.0, m=4.0), 0.0, 0.0),
        (dict(psi_n=8.0, psi_p=64.0, m=math.inf, t=0.01), 0.0018735496, 1 - 9 / 64),
        (dict(psi_n=2.0, psi_p=2.5, m=math.inf), None, 0.0),
        (dict(m=math.inf, activation=rfdsm.Polynomial((0.0, 1.0))), 0.0, 1 - 1 / 3),
        (dict(psi_n=0.2, m=3.0, activation=rfdsm.Polynomial((0.0, 1.0))), 0.0, 1 - 0.6 / 3),
    ],
)
def test_atoms(kwargs, position, mass):
    atom = model_of(**kwargs).atoms()
    assert float(atom.mass) == pytest.approx(mass, abs=1e-12)
    assert position is None or float(atom.position) == pytest.approx(position, abs=1e-9)


def kolmogorov(model, values):
    """The largest distance between the distributions, atom included."""
    ends, atom = model.edges(), model.atoms()
    theta = np.linspace(0, np.pi, 2000)
    grids, parts = [], []
    for (low, high), mass in zip(np.maximum(ends, 1e-9), model.bulk_masses(ends), strict=True):
        x = np.exp(np.log(low * high) / 2 - np.log(high / low) / 2 * np.cos(theta))
        density = np.nan_to_num(np.asarray(model.density(x)))
        part = np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(x))
        grids.append(x)
        parts.append(np.concatenate([[0], part * mass / part[-1]]))
    x = np.concatenate(grids)
    theory = np.concatenate(
        [part + sum(p[-1] for p in parts[:index]) for index, part in enumerate(parts)]
    )
    theory += float(atom.mass) * (x > float(atom.position))
    found = np.searchsorted(values, x, side="right") / len(values)
    return np.max(np.abs(found - theory))


@pytest.mark.parametrize(
    "psi_n, psi_p, m, features",
    [(2.0, 3.0, 2, "network"), (1.0, 3.0, 2, "network"), (1.5, 4.0, math.inf, "gaussian")],
)
def test_simulated_eigenvalues(psi_n, psi_p, m, features):
    """One draw at d = 400, with bulks, an atom at 0 and one at s²."""
    d = 200 if features == "network" else 400
    model = model_of(psi_n, psi_p, m, t=0.1, data=rfdsm.Gaussian((1.5, 0.5)))
    values = model.simulate_eigenvalues(jax.random.key(7), d, features=features)[0]
    assert kolmogorov(model, np.asarray(values)) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    "m, features", [(1, "network"), (4, "network"), (math.inf, "gaussian")]
)
@pytest.mark.parametrize("psi_p", [1.0, 6.0])
def test_simulated_eigenvalues_at_full_size(psi_p, m, features):
    model = model_of(1.0, psi_p, m, t=0.1, data=rfdsm.Gaussian((1.5, 0.5)))
    values = model.simulate_eigenvalues(jax.random.key(7), 400, features=features)[0]
    assert kolmogorov(model, np.asarray(values)) < 0.02


def test_density_under_transforms():
    model, x = model_of(), 0.7
    value = model.density(x)
    assert value.shape == () and float(value) > 0
    assert float(jax.jit(lambda m: m.density(x))(model)) == pytest.approx(
        float(value), rel=1e-12
    )
    slope = jax.grad(lambda psi_p: model.replace(psi_p=psi_p).density(x))(3.0)
    near = jax.vmap(lambda psi_p: model.replace(psi_p=psi_p).density(x))(
        jnp.array([3 - 1e-4, 3 + 1e-4])
    )
    assert float(slope) == pytest.approx(float(near[1] - near[0]) / 2e-4, rel=1e-6)
    assert (np.asarray(model.density([[-1.0, 50.0], [0.1, -0.0]]))[0] == 0).all()


def test_bad_calls_are_one_line():
    model = model_of()
    with pytest.raises(TypeError, match="real number"):
        model.density([1j])
    with pytest.raises(ValueError, match="concrete"):
        jax.jit(lambda m: m.edges())(model)
    with pytest.raises(ValueError, match="concrete"):
        jax.jit(lambda m: rfdsm.timescales(m).bulks.tau_gen)(model)
    with pytest.raises(TypeError, match="GradientFlow"):
        rfdsm.timescales(model.replace(training=rfdsm.Ridge(1.0)))


def test_timescales_follow_their_laws():
    """At p >> n >> d, m = ∞, memorisation waits in proportion to n; the best score does not."""
    times = [rfdsm.timescales(model_of(psi_n, 2000.0, math.inf, 0.1)) for psi_n in (16.0, 64.0)]
    ratios = [time.bulks.tau_mem / time.bulks.tau_gen for time in times]
    assert ratios[1] / ratios[0] == pytest.approx(4, rel=0.1)
    assert times[0].bulks.tau_gen == pytest.approx(times[1].bulks.tau_gen, rel=0.3)
    # By the curves, against a plain grid.
    model = model_of(16.0, 2000.0, math.inf, 0.1)
    taus = np.geomspace(1, 1e3, 2001)
    errors = model.trajectory(taus)
    best = taus[np.argmin(errors.score_error)]
    assert times[0].curves.tau_gen == pytest.approx(best, rel=0.01)
    under = np.flatnonzero(np.asarray(errors.memorization_loss < model.baselines().best))
    assert times[0].below_best == pytest.approx(taus[under[0]], rel=0.01)
    assert times[0].test_loss == pytest.approx(float(errors.test_loss.min()), rel=1e-6)
    # It memorises after that, when its training points' loss is a tenth lower.
    memorised = np.asarray(errors.memorization_loss) < 0.9 * float(
        errors.memorization_loss[np.argmin(errors.test_loss)]
    )
    assert times[0].tau_mem == pytest.approx(taus[np.argmax(memorised)], rel=0.01)
    assert times[0].below_best < times[0].tau_gen < times[0].tau_mem
    # Fewer features than dimensions: no gap, and no memorisation.
    few = rfdsm.timescales(model_of(8.0, 0.5, 4.0))
    assert all(math.isnan(time) for time in (*few.bulks, few.curves.tau_mem))
