"""The reference for any target against numbers from elsewhere, its limits, and networks."""

import numpy as np
import oracle
import pytest
import target_oracle
from mpmath import mp, mpf
from values import VALUES

LAWS = {
    "isotropic": ((1.0,), (1.0,)),
    "two atoms": ((1.5, 0.5), (0.5, 0.5)),
    "subspace": ((2.0, 0.0), (0.5, 0.5)),
}


def problem(psi_n, psi_p, m, process, law, activation="tanh"):
    """(psi_n, psi_p, m, noising, constants, eigenvalues, weights) and the process' velocity."""
    with mp.workdps(40):
        noising, velocity = target_oracle.process(*process)
        eigenvalues, weights = LAWS.get(law, law)
        sigma_x2 = mp.fsum(mpf(w) * mpf(s) for w, s in zip(weights, eigenvalues, strict=True))
        constants = oracle.constants(activation, *noising, sigma_x2)
    return (psi_n, psi_p, m, noising, constants, eigenvalues, weights), velocity


def ridge(arguments, lam, targets):
    return target_oracle.ridge(*arguments[:3], lam, *arguments[3:], targets)


def relative(x, y):
    with mp.workdps(40):
        return abs(mpf(x) / mpf(y) - 1)


@pytest.mark.parametrize("row", VALUES["targets"], ids=lambda r: f"{r['target']}-m{r['m']}")
def test_targets_of_values_json(row):
    m = mp.inf if row["m"] == "inf" else row["m"]
    law = tuple(row["eigenvalues"]), tuple(row["weights"])
    arguments, velocity = problem(row["psi_n"], row["psi_p"], m, ("ou", row["t"]), law)
    pair = target_oracle.target(row["target"], velocity)
    assert all(abs(c - row[name]) < 1e-15 for c, name in zip(pair, ("c_x", "c_z"), strict=True))
    (errors,) = ridge(arguments, row["lam"], [pair])
    for name in set(errors._fields) & set(row):
        assert relative(getattr(errors, name), row[name]) < 1e-8, name


def test_noise_is_the_other_oracle():
    """c_x = 0, c_z = -1: losses and scores of `oracle.solve`, whose K is another formula."""
    for process, law in ((("ou", 0.2), "two atoms"), (("fm", 0.7), "subspace")):
        arguments, _ = problem(2.0, 3.0, 2.5, process, law)
        (a, h), c = arguments[3:5]
        errors, mirrored, scaled = ridge(arguments, 1e-3, [(0, -1), (0, 1), (0, 3)])
        known = oracle.solve(2.0, 3.0, 2.5, 1e-3, a, h, c.b, c.v2, c.s2, *LAWS[law])
        for name in errors._fields:
            value = getattr(known, name)
            assert relative(getattr(errors, name), value) < 1e-18
            assert relative(getattr(mirrored, name), value) < 1e-18
            factor = mpf(9 if "loss" in name else 1)
            assert relative(getattr(scaled, name) / factor, value) < 1e-15


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("m", [1.0, 2.5, mp.inf])
def test_late_flow_is_ridge(law, m):
    """Section 14's corners at all pairs of nodes of a contour, against derivatives of the
    deformed equations at one real point: the order of left and right, too."""
    arguments, _ = problem(2.0, 4.0, m, ("ve", 0.6), law)
    targets = [(1, 0), (mpf("0.8"), mpf("-0.6")), (0, 1)]
    flows = target_oracle.flow(target_oracle.setting(*arguments), 0.05, (1e3,), targets)
    for late, errors in zip(flows, ridge(arguments, 0.05, targets), strict=True):
        for name in errors._fields:
            value = float(getattr(errors, name))
            assert abs(getattr(late, name)[0] - value) < 1e-13 * max(1, value), name


@pytest.mark.parametrize("law", LAWS)
def test_infinitely_many_noises(law):
    """Training points with fresh noise are the training set: train = memorization loss."""
    arguments, velocity = problem(0.5, 4.0, mp.inf, ("fm", 0.4), law, "relu")
    targets = [(1, 0), velocity, (mpf("0.3"), 1)]
    for errors in ridge(arguments, 1e-4, targets):
        assert relative(errors.memorization_loss, errors.train_loss) < 1e-18
    flows = target_oracle.flow(
        target_oracle.setting(*arguments), 1e-4, (0.1, 10.0, 1e3), targets
    )
    for errors in flows:
        assert np.max(abs(errors.memorization_loss / errors.train_loss - 1)) < 1e-13


@pytest.mark.parametrize("law", LAWS)
def test_infinitely_much_data(law):
    """Both losses tend to the regression's on the population, and what is not bias goes."""
    arguments, velocity = problem(1e14, 3.0, 2.0, ("vp", 0.6), law)
    targets = [(1, 0), velocity, (mpf("0.3"), 1)]
    for pair, errors in zip(targets, ridge(arguments, 1e-2, targets), strict=True):
        known = target_oracle.population_test_loss(3.0, 1e-2, *arguments[3:], *pair)
        assert relative(errors.test_loss, known) < 1e-12
        assert relative(errors.train_loss, known) < 1e-12


@pytest.mark.parametrize("law", LAWS)
def test_nothing_is_learned(law):
    """lam = infinity, no features, no time: the loss of o = 0, c_x^2 sigma_x^2 + c_z^2."""
    for lam, psi_p in ((1e14, 3.0), (1e-2, 1e-14)):
        arguments, velocity = problem(2.0, psi_p, 2.0, ("edm", 0.5, 1.2), law)
        for pair in ((1, 0), velocity, (mpf("0.3"), 1)):
            (errors,) = ridge(arguments, lam, [pair])
            null = pair[0] ** 2 * sum(s * w for s, w in zip(*LAWS[law], strict=True))
            null += pair[1] ** 2
            for name in ("test_loss", "train_loss", "memorization_loss"):
                assert relative(getattr(errors, name), null) < 1e-11
    (start,) = target_oracle.flow(target_oracle.setting(*arguments), 0.1, (1e-15,), [pair])
    for name in ("test_loss", "train_loss", "memorization_loss"):
        assert abs(getattr(start, name)[0] / float(null) - 1) < 1e-11


def test_the_best_is_reached_by_no_network():
    """score_error is a mean square: >= bias2 >= 0, for every process and target."""
    for process in (("ou", 0.3), ("vp", 0.3), ("ve", 2.0), ("fm", 0.8), ("edm", 0.3, 1.2)):
        arguments, velocity = problem(3.0, 2.0, 1.5, process, "subspace", "erf")
        for errors in ridge(arguments, 1e-3, [(1, 0), (0, -1), velocity, (1, 1)]):
            assert errors.score_error > errors.bias2 > 0 < errors.variance


# -- networks ----------------------------------------------------------------------------------

# psi_n, psi_p, m, process, law, target, lam, kappa tau (None for ridge)
NETWORKS = {
    "data, many copies": (2, 3, 3, ("ou", 0.3), "isotropic", "data", 1e-2, None),
    "velocity, one noise": (3, 4, 1, ("fm", 0.4), "two atoms", "velocity", 3e-2, None),
    "any, subspace": (2, 5, 3, ("ve", 0.7), "subspace", (0.6, -0.8), 1e-2, None),
    "data, narrow": (4, 1, 1, ("edm", 0.5, 1.2), "subspace", "data", 1e-3, None),
    "data, flow": (2, 3, 1, ("fm", 0.5), "two atoms", "data", 0.0, 30.0),
    "velocity, flow": (2, 4, 3, ("vp", 0.6), "isotropic", "velocity", 0.0, 10.0),
    "any, flow": (3, 2, 3, ("edm", 0.5, 0.8), "subspace", (-0.5, 1.0), 1e-3, 100.0),
}


def network(rng, d, psi_n, psi_p, m, a, h, law, c_x, c_z, lam, span, fresh):
    """The output's matrix on features, and test, train and memorization loss, score error and
    score - true score at the points `fresh` = (x, z)."""
    root = np.sqrt(h)
    sigma = np.repeat(law[0], np.round(np.multiply(law[1], d)).astype(int))
    n, p = round(psi_n * d), round(psi_p * d)
    W = rng.normal(size=(p, d))

    def points(x, z):
        y = a * x + root * z
        return y, np.tanh(y @ W.T / np.sqrt(d)), c_x * x + c_z * z

    x = np.repeat(np.sqrt(sigma) * rng.normal(size=(n, d)), m, axis=0)
    _, f, tau = points(x, rng.normal(size=x.shape))
    U, V = f.T @ f / len(f), f.T @ tau / len(f)
    if span is None:
        B = np.linalg.solve(U + lam * np.eye(p), V)
    else:
        e, Q = np.linalg.eigh(U)
        e = np.maximum(e, 1e-12) + lam
        B = Q @ ((-np.expm1(-span * e) / e)[:, None] * (Q.T @ V))

    def loss(f, tau):
        return np.mean((f @ B - tau) ** 2)

    train = loss(f, tau)
    memory = np.mean([loss(*points(x, rng.normal(size=x.shape))[1:]) for _ in range(8 // m)])
    y, f, tau = points(*fresh)
    score = (c_x * y - a * (f @ B)) / (root * (a * c_z - root * c_x))
    miss = score + y / (a**2 * sigma + h)
    return np.mean(miss**2), loss(f, tau), train, memory, miss


def simulated(key, d, pairs, *arguments):
    """The five errors of `pairs` pairs of networks, (5, pairs); bias2 is a product over a
    pair."""
    law, out = arguments[5], []
    sigma = np.repeat(law[0], np.round(np.multiply(law[1], d)).astype(int))
    for rng in np.random.default_rng([key, d]).spawn(pairs):
        x = np.sqrt(sigma) * rng.normal(size=(2000, d))
        fresh = x, rng.normal(size=x.shape)
        *one, miss1 = network(rng, d, *arguments, fresh)
        *two, miss2 = network(rng, d, *arguments, fresh)
        out.append([*np.add(one, two) / 2, np.mean(miss1 * miss2)])
    return np.array(out).T


def deviations(name, sizes=((60, 60), (120, 24))):
    """(theory, extrapolated, standard error, z) of the five errors."""
    psi_n, psi_p, m, process, law, kind, lam, span = NETWORKS[name]
    arguments, velocity = problem(psi_n, psi_p, m, process, law)
    pair = target_oracle.target(kind, velocity)
    if span is None:
        (errors,) = ridge(arguments, lam, [pair])
    else:
        (errors,) = target_oracle.flow(target_oracle.setting(*arguments), lam, (span,), [pair])
        errors = target_oracle.Errors(*(x[0] for x in errors))
    theory = np.array([float(x) for x in errors[:5]])
    (a, h), pair = map(float, arguments[3]), map(float, pair)
    numbers = (psi_n, psi_p, m, a, h, LAWS[law], *pair, lam, span)
    runs = [simulated(list(NETWORKS).index(name), *size, *numbers) for size in sizes]
    means = [r.mean(1) for r in runs]
    variances = [r.var(1, ddof=1) / r.shape[1] for r in runs]
    extrapolated = 2 * means[1] - means[0]
    error = np.sqrt(4 * variances[1] + variances[0])
    return theory, extrapolated, error, (extrapolated - theory) / error


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    """d = 60 and 120, extrapolated in 1/d."""
    assert np.max(abs(deviations(name)[3])) < 4


if __name__ == "__main__":
    for name in NETWORKS:
        print(name)
        for numbers in zip(target_oracle.Errors._fields, *deviations(name), strict=False):
            print("    {:18s} {:9.5f} {:9.5f} ({:.5f})  z = {:5.2f}".format(*numbers))
