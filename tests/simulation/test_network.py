"""`RFDSM.fit`: a trained network, its score, its file; rules that diverge on it."""

import io
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfdsm

KEY = jax.random.key(3)


@pytest.fixture
def model():
    return rfdsm.RFDSM(psi_n=2.0, psi_p=1.5, m=2, t=0.2, lam=1e-2)


@pytest.fixture
def network(model):
    return model.fit(KEY, 8)


def test_the_network_is_that_of_the_simulation(model):
    """Its loss on many fresh points is the simulation's test loss, measured on few."""
    network = model.fit(KEY, 40)
    (loss,) = model.simulate(KEY, 40).test_loss
    x = jax.random.normal(jax.random.key(9), (4000, 40))
    y, z = network.noising(jax.random.key(10), x)
    own = jnp.mean((jnp.sqrt(network.noising.h) * network(y) + z) ** 2)
    assert float(own) == pytest.approx(float(loss), rel=0.03)
    other = model.fit(jax.random.key(4), 40)
    assert not np.allclose(other.B, network.B)


def test_the_score_is_the_formula(network):
    y = np.random.default_rng(0).normal(size=(5, 8))
    f = np.tanh(y @ np.asarray(network.features.W).T / math.sqrt(8))
    expected = f @ np.asarray(network.B).T
    np.testing.assert_allclose(network(y), expected, rtol=1e-12)
    np.testing.assert_allclose(network(y[2]), expected[2], rtol=1e-12)
    np.testing.assert_allclose(jax.jit(lambda n, y: n(y))(network, y), expected, rtol=1e-12)
    slopes = jax.jacobian(network)(jnp.asarray(y[0]))
    step = 1e-6 * np.eye(8)
    by_steps = (network(y[0] + step) - network(y[0] - step)).T / 2e-6
    np.testing.assert_allclose(slopes, by_steps, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(), (7,), (3, 9), (2, 3, 8)])
def test_other_points_are_refused(network, shape):
    with pytest.raises(ValueError, match=r"y must have shape \(8,\) or \(rows, 8\)"):
        network(np.ones(shape))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"m": math.inf, "activation": rfdsm.LeakyReLU(0.3)},
        {"training": rfdsm.GradientFlow(3.0), "data": rfdsm.Gaussian((1.9, 0.1))},
        {"training": rfdsm.GradientDescent(5, 0.1)},
    ],
)
@pytest.mark.parametrize("features", ["network", "gaussian"])
def test_a_file_holds_all_of_it(model, changes, features, tmp_path):
    network = model.replace(**changes).fit(KEY, 8, features=features)
    network.save(tmp_path / "network")
    again = rfdsm.Network.load(tmp_path / "network")
    assert eqx.tree_equal(network, again)
    y = np.ones((3, 8))
    np.testing.assert_array_equal(network(y), again(y))


def test_a_function_of_your_own_is_given_back(model, tmp_path):
    own = rfdsm.Activation(lambda x: jnp.tanh(2 * x))
    network = model.replace(activation=own).fit(KEY, 8)
    network.save(tmp_path / "network")
    with pytest.raises(ValueError, match="function of your own"):
        rfdsm.Network.load(tmp_path / "network")
    again = rfdsm.Network.load(tmp_path / "network", activation=own)
    np.testing.assert_array_equal(again(np.ones(8)), network(np.ones(8)))


def test_damaged_and_foreign_files_say_so(network, tmp_path):
    path = tmp_path / "network"
    network.save(path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    for damaged in (whole[:-1], whole[: len(whole) // 2], bytes(flipped), whole + b"\0"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged") as raised:
            rfdsm.Network.load(path)
        assert "\n" not in str(raised.value)
    arrays = io.BytesIO()
    np.savez(arrays, x=np.ones(3))
    foreign = (b"", b"{}\n", b'{"format": "x"}', b"[1]\n", b"\xff\xfe", arrays.getvalue())
    for other in (*foreign, whole[:20]):
        path.write_bytes(other)
        with pytest.raises(ValueError, match="is not a file of a network") as raised:
            rfdsm.Network.load(path)
        assert "\n" not in str(raised.value)
    with pytest.raises(FileNotFoundError):
        rfdsm.Network.load(tmp_path / "none")


def test_traced_networks_are_not_saved(network, tmp_path):
    with pytest.raises(ValueError, match="concrete"):
        jax.jit(lambda n: n.save(tmp_path / "network"))(network)
    assert not list(tmp_path.iterdir())


def test_a_network_says_itself_whether_its_rule_diverges(model):
    """From its own largest eigenvalue: eagerly an error, traced NaN; never by the theory."""
    largest = float(model.simulate_eigenvalues(KEY, 8)[0, -1])
    kappa = 2 * float(model.process.noising().h) / 1.5
    stable = 2 / (kappa * largest)

    def at(share):
        return model.replace(training=rfdsm.GradientDescent(30, share * stable))

    assert np.isfinite(at(0.99).simulate(KEY, 8).test_loss).all()
    for call in (lambda m: m.simulate(KEY, 8), lambda m: m.fit(KEY, 8)):
        with pytest.raises(ValueError, match="the largest stable one is") as raised:
            call(at(1.01))
        assert f"{stable:.6g}" in str(raised.value)
    for traced in (
        jax.jit(lambda key: at(1.01).simulate(key, 8))(KEY),
        jax.jit(lambda key: at(1.01).fit(key, 8).B)(KEY),
        jax.jit(lambda rate: at(rate).simulate(KEY, 8))(1.01),
    ):
        assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(traced))
    one_of_two = jax.jit(jax.vmap(lambda share: at(share).simulate(KEY, 8).test_loss))
    np.testing.assert_array_equal(
        np.isnan(one_of_two(jnp.array([0.99, 1.01]))), [[False], [True]]
    )
    at(1.01).simulate_eigenvalues(KEY, 8)  # which trains nothing


def test_an_activation_with_a_mean_is_stepped_on_a_network(model):
    """The theory has no stable rate there as p grows; a network has its own."""
    model = model.replace(activation=rfdsm.ReLU(), training=rfdsm.GradientDescent(20, 0.05))
    with pytest.raises(ValueError, match="μ0² p"):
        model.asymptotics()
    assert np.isfinite(model.simulate(KEY, 8).test_loss).all()
