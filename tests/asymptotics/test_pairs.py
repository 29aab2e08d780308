"""docs/theory.md section 15: two networks, ensembles and the parts of the variance, against an
independent reference."""

import math
import warnings
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pairs_oracle
import pytest
from pairs_oracle import PLACES, SHARED
from values import VALUES

import rfdsm
from rfdsm import Status
from rfdsm.errors import FIELDS
from rfdsm.overlaps import PARTS

INF = math.inf
ISOTROPIC, TWO_ATOMS = ((1.0,), (1.0,)), ((1.5, 0.5), (0.5, 0.5))
PROCESSES = {
    "ou": rfdsm.OrnsteinUhlenbeck,
    "fm": rfdsm.FlowMatching,
    "ve": rfdsm.VarianceExploding,
}
AVERAGED = SHARED[1:]  # what ensembles share
NAMES = {"W": "features", "X": "points", "Z": "noises"}


def named(share):
    """The names of what values.json calls "WXZ" and the like."""
    return tuple(NAMES[letter] for letter in share if letter in NAMES)


class Case(NamedTuple):
    """A problem for both: the package and the reference."""

    psi_n: float = 2.0
    psi_p: float = 3.0
    m: float = 2.5
    process: tuple = ("ou", 0.3)
    target: tuple = (0.8, -0.6)
    law: tuple = TWO_ATOMS
    lam: float = 0.03
    tau: float | None = None

    def model(self, **changes):
        """`tau` makes it gradient flow."""
        kind, number = self.process
        flow = self.tau is not None
        rule = rfdsm.GradientFlow(self.tau, self.lam) if flow else rfdsm.Ridge(self.lam)
        return rfdsm.RFDSM(
            self.psi_n,
            self.psi_p,
            self.m,
            process=PROCESSES[kind](number),
            target=rfdsm.LinearTarget(*self.target),
            activation=rfdsm.Erf(),
            data=rfdsm.Gaussian(*self.law),
            training=rule,
            **changes,
        )

    def setting(self):
        numbers = self.psi_n, self.psi_p, self.m, self.process
        return setting(*numbers, self.law)

    def network(self, model=None):
        """The reference at the nodes and weights of the model's own training rule."""
        model = self.model() if model is None else model
        nodes = model.training.nodes(model.denoising.rate(model.psi_p))
        at = [np.asarray(x) for x in (nodes.resolvents, nodes.weights)]
        if np.iscomplexobj(at[0]):
            at = [np.concatenate([x, x.conj()]) for x in at]
        S = self.setting()
        return pairs_oracle.network(S, pairs_oracle.resolvents(S, *at))


@cache
def setting(psi_n, psi_p, m, process, law):
    return pairs_oracle.problem(psi_n, psi_p, m, process, *law, "erf")


CASES = {
    "ridge": Case(),
    "one noise": Case(2.0, 4.0, 1.0, target=(0.0, 1.0)),
    "many noises": Case(4.0, 8.0, INF, lam=1e-3, target=(1.0, 0.0)),
    "few points": Case(0.5, 6.0, 4.0, lam=1e-4),
    "subspace": Case(3.0, 1.0, 2.0, target=(-1.0, 1.0), law=((2.0, 0.0), (0.5, 0.5))),
    "flow": Case(tau=5.0),
    "flow, many noises": Case(1.0, 4.0, INF, target=(1.0, 0.0), tau=30.0),
    "late flow": Case(0.5, 6.0, 4.0, lam=1e-3, tau=300.0),
}
RIDGE, FLOW = CASES["ridge"], CASES["flow"]
slow = pytest.mark.slow
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
of_each_case = pytest.mark.parametrize(  # whose flows are slow
    "case",
    [pytest.param(x, marks=slow if x.tau else (), id=name) for name, x in CASES.items()],
)
by_ridge_or_flow = pytest.mark.parametrize("tau", [None, pytest.param(5.0, marks=slow)])


@jax.jit
def overlaps(model):
    """By what is shared."""
    return {share: model.overlap(share=named(share)) for share in SHARED}


@jax.jit
def both_parts(model):
    """Of the score and of the output, and the errors."""
    return model.variance_parts(), model.variance_parts(output=True), model.solve().errors


@jax.jit
def averages(model, networks):
    """The errors of ensembles, by what they share."""
    ensembles = {share: rfdsm.Ensemble(networks, named(share)) for share in AVERAGED}
    return {share: model.replace(ensemble=x).solve() for share, x in ensembles.items()}


def close(found, known, tolerance=1e-10):
    """Relative to the larger of the value and 1e-3: all are O(1)."""
    found, known = np.asarray(found), np.asarray(known)
    assert found.shape == known.shape
    worst = np.max(abs(found - known) / np.maximum(abs(known), 1e-3))
    assert worst < tolerance, (worst, found, known)


# -- against numbers from elsewhere ------------------------------------------------------------


def of_row(row, psi_p, lam):
    m = INF if row["m"] == "inf" else row["m"]
    data = rfdsm.Gaussian(row["eigenvalues"], row["weights"])
    numbers = {"psi_n": row["psi_n"], "psi_p": psi_p, "m": m, "t": row["t"], "lam": lam}
    if row["target"] != [0, -1]:  # that of the default, the score
        numbers["target"] = rfdsm.LinearTarget(*row["target"])
    return rfdsm.RFDSM(**numbers, data=data)


@pytest.mark.parametrize("row", VALUES["overlaps"], ids=lambda r: f"m{r['m']}")
def test_overlaps_of_values_json(row):
    """To the digits printed; what is not there is NaN."""
    found = overlaps(of_row(row, row["psi_p"], row["lam"]))
    own = row["fresh"]["WXZ"]
    for share, overlap in found.items():
        assert overlap.status == Status.success
        for place in PLACES:
            value = float(getattr(overlap, place))
            if share in PLACES[place]:
                assert value == pytest.approx(row[place][share], rel=3e-10), (place, share)
            else:
                assert math.isnan(value), (place, share)
        correlation = row["fresh"][share] / own
        assert float(overlap.correlation) == pytest.approx(correlation, rel=1e-9)


@pytest.mark.parametrize("row", VALUES["overlaps_unequal"], ids=lambda r: f"m{r['m']}")
def test_unequal_overlaps_of_values_json(row):
    one, other = map(of_row, [row, row], row["psi_p"], row["lam"])
    for share, value in row["fresh"].items():
        forth, back = one.overlap(other, named(share)), other.overlap(one, named(share))
        assert float(forth.fresh) == pytest.approx(value, rel=3e-10)
        assert float(back.fresh) == pytest.approx(value, rel=3e-10)
        own = [float(x.overlap().fresh) for x in (one, other)]
        known = value / math.sqrt(own[0] * own[1])
        assert float(forth.correlation) == pytest.approx(known, rel=1e-9)


# -- against the reference ---------------------------------------------------------------------


@each_case
def test_overlaps(case):
    N = case.network()
    for share, overlap in overlaps(case.model()).items():
        assert overlap.status == Status.success
        for place, among in PLACES.items():
            value = float(getattr(overlap, place))
            if share in among:
                known = pairs_oracle.overlap(N, N, share, place, *case.target)
                close(value, known.real, 1e-9)
            else:
                assert math.isnan(value)


@of_each_case
def test_parts(case):
    N = case.network()
    score, output, errors = both_parts(case.model())
    for found, known in (
        (score, pairs_oracle.parts(N, N, *case.target)),
        (output, pairs_oracle.output_parts(N, N, *case.target)),
    ):
        assert found.status == Status.success
        values = [float(getattr(found, name)) for name in PARTS]
        close(values, [np.real(getattr(known, name)) for name in PARTS], 1e-9)
        assert found.to_dict() == dict(zip(PARTS, values, strict=True))
        close([*found.share().to_dict().values()], values / np.sum(values), 1e-14)
    assert float(score.total) == pytest.approx(float(errors.variance), rel=1e-12)


@of_each_case
def test_ensembles(case):
    """All six errors, of any number of networks; NaN without training points in common."""
    N, many = case.network(), case.tau is None
    for networks in (1.0, 2.5, INF) if many else (2.5,):
        for share, solution in averages(case.model(), networks).items():
            assert solution.status == Status.success
            known = pairs_oracle.ensemble(N, networks, share, *case.target)
            for name in FIELDS:
                value, reference = getattr(solution.errors, name), getattr(known, name)
                if np.isnan(reference):
                    assert math.isnan(value), (share, name)
                else:
                    close(value, np.real(reference), 1e-9)


def test_implied_ridge():
    for case in (RIDGE, CASES["one noise"], CASES["many noises"]):
        known = pairs_oracle.implied_ridge(case.network()).real
        assert float(case.model().implied_ridge()) == pytest.approx(known, rel=1e-11)
        u = 1 / case.m
        found = case.model().replace(m=7.0).implied_ridge(inverse_m=u)
        assert float(found) == pytest.approx(known, rel=1e-11)


UNEQUAL = {  # what the other network has of its own, and what both may share
    "lam": (RIDGE, {"lam": 1e-3}, ("WXZ", "X")),
    "rule": (RIDGE, {"tau": 3.0, "lam": 0.0}, SHARED),
    "m": (RIDGE, {"m": INF}, ("WX", "W", "X", "none")),
    "psi_n": (RIDGE, {"psi_n": 0.7}, ("W", "none")),
    "psi_p": (RIDGE, {"psi_p": 1.2}, ("XZ", "X", "none")),
    "psi_p, m and lam": (RIDGE, {"psi_p": 1.2, "m": 1.0, "lam": 1.0}, ("X", "none")),
    "all": (RIDGE, {"psi_n": 1.0, "psi_p": 5.0, "m": 4.0, "tau": 2.0}, ("none",)),
    "any lam": (RIDGE, {"lam": 1.0}, SHARED),
    "tau": (FLOW, {"tau": 1e3}, SHARED),
}


@pytest.mark.parametrize(
    "case, changes, among",
    [
        pytest.param(*each, id=name, marks=() if name in ("lam", "psi_p, m and lam") else slow)
        for name, each in UNEQUAL.items()
    ],
)
def test_unequal_networks(case, changes, among):
    theirs = case._replace(**changes)
    pair = case.network(), theirs.network()
    own = [pairs_oracle.overlap(x, x, "WXZ", "fresh", *case.target).real for x in pair]
    for share in among:
        found = case.model().overlap(theirs.model(), named(share))
        for place in PLACES:
            if share in PLACES[place]:
                known = pairs_oracle.overlap(*pair, share, place, *case.target)
                close(getattr(found, place), known.real, 1e-9)
        known = pairs_oracle.overlap(*pair, share, "fresh", *case.target).real
        close(found.correlation, known / np.sqrt(np.prod(own)), 1e-9)


def test_parts_of_a_covariance():
    """Of two training rules; with themselves they are those of the variance."""
    model, theirs = RIDGE.model(), RIDGE._replace(lam=3.0)
    known = pairs_oracle.parts(RIDGE.network(), theirs.network(), *RIDGE.target)
    found = model.variance_parts(theirs.model())
    close([*found.to_dict().values()], np.real(known), 1e-9)
    own, same = model.variance_parts(), model.variance_parts(RIDGE.model())
    close([*same.to_dict().values()], [*own.to_dict().values()], 1e-12)


# -- what holds exactly ------------------------------------------------------------------------


@pytest.mark.parametrize("law", [ISOTROPIC, TWO_ATOMS])
@pytest.mark.parametrize("m", [1.0, 2.5, INF])
def test_the_resolvent_identity(law, m):
    """On the pairs Q_1 U Q_2 = (λ2 Q_2 - λ1 Q_1)/(λ2 - λ1), with K from the train losses."""
    case = Case(m=m, law=law)
    lams, null = (0.01, 0.5), 0.64 + 0.36
    models = [case._replace(lam=lam).model() for lam in lams]
    own = [x.overlap().pairs for x in models]
    train = [x.asymptotics().train_loss for x in models]
    left, right = (lam * (S - t + null) / 2 for lam, S, t in zip(lams, own, train, strict=True))
    known = (right - left) / (lams[1] - lams[0])
    close(models[0].overlap(models[1]).pairs, known, 1e-12)
    close(models[1].overlap(models[0]).pairs, known, 1e-12)

    def both(lam):
        """(K, S), with S = K + λ K'."""
        model = models[0].replace(lam=lam)
        S, t = model.overlap().pairs, model.asymptotics().train_loss
        return (S - t + null) / 2, S

    (K, S), (slope, _) = jax.jvp(both, (0.01,), (1.0,))
    close(S, K + 0.01 * slope, 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("case", [FLOW, CASES["late flow"]])
def test_the_resolvent_identity_of_a_flow(case):
    """train_loss = null - 2 Σ c K + S, with K by the reference."""
    model, gains = case.model(), pairs_oracle.gains(case.network(), *case.target)
    known = model.asymptotics().train_loss - 1.0 + 2 * gains[2].real
    close(model.overlap().pairs, known, 1e-11)


@pytest.mark.parametrize("tau", [None, 30.0])
@pytest.mark.parametrize("law", [TWO_ATOMS, pytest.param(ISOTROPIC, marks=slow)])
def test_infinitely_many_noises_are_the_training_points(law, tau):
    found = overlaps(Case(m=INF, law=law, tau=tau).model())
    for share in ("WXZ", "XZ"):
        close(found[share].pairs, found[share].training, 1e-12)
        close(found[share].fresh, found[share[:-1]].fresh, 1e-12)
        close(found[share].training, found[share[:-1]].training, 1e-12)


@by_ridge_or_flow
def test_nothing_shared_is_the_square_of_the_mean(tau):
    """Of isotropic data S() = σ_t k², with k from the losses; of any, by the reference."""
    case = Case(law=ISOTROPIC, tau=tau)
    model = case.model()
    a, h = map(float, model.process.scales())
    star, sigma_t = 0.8 * a - 0.6 * math.sqrt(h), a**2 + h
    aligned = (1 + model.overlap().fresh - model.asymptotics().test_loss) / 2
    close(model.overlap(share=()).fresh, sigma_t * (aligned / star) ** 2, 1e-12)
    case = case._replace(law=TWO_ATOMS)
    slopes = np.real(pairs_oracle.gains(case.network(), *case.target)[3])
    sigma_t = a**2 * np.array(TWO_ATOMS[0]) + h
    close(case.model().overlap(share=()).fresh, np.mean(sigma_t * slopes**2), 1e-12)


def wide_box(count, atoms, seed):
    """(psi_n, psi_p, 1/m, lam, t, eigenvalues, weights), log-uniform."""
    rng = np.random.default_rng(seed)

    def drawn(low, high):
        return np.exp(rng.uniform(math.log(low), math.log(high), count))

    psi_n, psi_p, lam, t = (
        drawn(*x) for x in ((0.01, 100), (0.01, 100), (1e-8, 10), (1e-3, 3))
    )
    kind = rng.random(count)
    u = np.where(kind < 0.2, 1.0, np.where(kind < 0.4, 0.0, 1 / drawn(1, 1e4)))
    eigenvalues = rng.gamma(1.0, size=(count, atoms)) if atoms > 1 else np.ones((count, 1))
    eigenvalues /= np.mean(eigenvalues, 1, keepdims=True)
    return psi_n, psi_p, u, lam, t, eigenvalues, np.full((count, atoms), 1 / atoms)


@jax.jit
@jax.vmap
def parts_of(psi_n, psi_p, u, lam, t, eigenvalues, weights):
    data = rfdsm.Gaussian(eigenvalues, weights)
    model = rfdsm.RFDSM(psi_n, psi_p, 2.0, t=t, lam=lam, data=data)
    return model.variance_parts(inverse_m=u), model.solve(inverse_m=u)


@pytest.mark.parametrize("atoms", [1, 2])
@pytest.mark.parametrize("count", [2000, pytest.param(10**5, marks=pytest.mark.slow)])
def test_parts_add_up_and_are_not_negative(count, atoms):
    """To 1e-12 of the score error, of which the variance is a difference."""
    parts, solution = parts_of(*wide_box(count, atoms, seed=atoms))
    ok = np.asarray(solution.status == Status.success)
    assert ok.all() and np.asarray(parts.status == Status.success).all()
    values = np.array([getattr(parts, name) for name in PARTS])
    variance, error = solution.errors.variance, solution.errors.score_error
    assert np.max(abs(values.sum(0) - variance) / np.maximum(error, variance)) < 1e-12
    assert np.min(values / np.maximum(error, 1)) > -1e-12


@by_ridge_or_flow
def test_one_of_an_ensemble_is_the_network_bit_for_bit(tau):
    model = Case(tau=tau).model()
    known = model.solve().errors.to_dict()
    needed = {"train_loss": "Z", "memorization_loss": "X"}
    for share in ("XZ", "W"):
        one = model.replace(ensemble=rfdsm.Ensemble(1, named(share))).solve().errors
        for name, value in one.to_dict().items():
            there = needed.get(name, "") in share
            assert value == known[name] if there else math.isnan(value), (share, name)


# -- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [RIDGE, CASES["one noise"], CASES["many noises"]])
def test_infinitely_many_networks_are_the_kernel_machine(case):
    """On the same pairs, to 1e-5 of the loss of o = 0 (1): an error of order 1/psi_p."""
    model = case.model()
    wide = model.replace(psi_p=1e6, lam=1e6 * model.implied_ridge())
    narrow = model.overlap(share=("points", "noises"))
    for share in ((), ("features",)):
        known = wide.overlap(share=("points", "noises", *share))
        for place in PLACES:
            assert abs(getattr(narrow, place) - getattr(known, place)) < 1e-5
    known = wide.asymptotics().to_dict()
    found = model.replace(ensemble=rfdsm.Ensemble(INF)).asymptotics().to_dict()
    assert max(abs(found[name] - known[name]) for name in FIELDS) < 1e-5


def shares_of(model, *names):
    shares = model.variance_parts().share().to_dict()
    return np.array([shares[name] for name in names])


@by_ridge_or_flow
def test_infinitely_many_features(tau):
    """At λ/ψ_p fixed only W's parts vanish, as 1/ψ_p; flow's κ τ U does not grow either."""
    gone = "features", "features_points", "features_noises"
    cases = [Case(psi_p=x, lam=0.01 * x, tau=tau) for x in (1e4, 1e5)]
    near, far = (shares_of(case.model(), *gone) for case in cases)
    assert np.max(far) < 1e-3
    np.testing.assert_allclose(near / far, 10, rtol=1e-2)


@by_ridge_or_flow
def test_infinitely_many_points(tau):
    """All but the features' part vanish, as 1/ψ_n."""
    gone = [name for name in PARTS if name != "features"]
    near, far = (shares_of(Case(psi_n=x, tau=tau).model(), *gone) for x in (1e5, 1e6))
    assert np.max(far) < 1e-4
    np.testing.assert_allclose(near / far, 10, rtol=1e-2)


@by_ridge_or_flow
def test_infinitely_many_noises(tau):
    gone = "noises", "features_noises"
    near, at = (shares_of(Case(m=m, tau=tau).model(), *gone) for m in (1e6, INF))
    assert np.max(abs(at)) < 1e-12
    assert 0 < np.min(near) and np.max(near) < 1e-5


# -- derivatives -------------------------------------------------------------------------------

NUMBERS = ("psi_n", "psi_p", "u", "lam", "inverse_networks", "tau")


def numbers_of(case):
    u = 0.0 if case.m == INF else 1 / case.m
    x = [case.psi_n, case.psi_p, u, case.lam, 0.4]
    return jnp.array(x if case.tau is None else [*x, case.tau])


def quantities(case, x):
    """Ten numbers in which all overlaps are: six errors of an ensemble and five parts."""
    x = dict(zip(NUMBERS, x, strict=False))
    model = case.model(ensemble=rfdsm.Ensemble(1 / x["inverse_networks"]))
    changes = {"psi_n": x["psi_n"], "psi_p": x["psi_p"], "training.lam": x["lam"]}
    if "tau" in x:
        changes["training.tau"] = x["tau"]
    model = model.replace(**changes)
    errors = model.asymptotics(inverse_m=x["u"])
    parts = model.variance_parts(inverse_m=x["u"])
    values = [getattr(errors, name) for name in FIELDS]
    return jnp.stack([*values, *(getattr(parts, name) for name in PARTS)])


def reference(case, x, around):
    x = dict(zip(NUMBERS, x, strict=False))
    S = case.setting()._replace(**{name: x[name] for name in ("psi_n", "psi_p", "u")})
    if "tau" in x:
        rule = pairs_oracle.flow(around, x["lam"], 2 * x["tau"] / x["psi_p"])
    else:
        rule = pairs_oracle.ridge(case.setting(), x["lam"])
    N = pairs_oracle.network(S, rule)
    errors = pairs_oracle.ensemble(N, 1 / x["inverse_networks"], "XZ", *case.target)
    return np.array([*errors, *pairs_oracle.parts(N, N, *case.target)])


def slopes_of(case, order=1):
    """The reference's derivative of each quantity in each number, (quantities, numbers)."""
    x, around = np.asarray(numbers_of(case)), None
    if case.tau is not None:
        span = 2 * case.tau / case.psi_p
        around = pairs_oracle.contour(case.setting(), case.lam, span, 11)
    columns = []
    for i in range(len(x)):

        def along(value, i=i):
            moved = x.astype(complex)
            moved[i] = value
            return reference(case, moved, around)

        columns.append(pairs_oracle.slope(along, x[i], order, 6))
    return np.array(columns).T


DIFFERENTIATED = ("ridge", "many noises", "flow", "flow, many noises")
differentiated = pytest.mark.parametrize(
    "case", [CASES[x] for x in DIFFERENTIATED], ids=DIFFERENTIATED
)


@pytest.mark.slow
@differentiated
def test_first_derivatives(case):
    x, known = numbers_of(case), slopes_of(case)
    scale = 1e-3 / np.maximum(np.asarray(x), 1e-3)  # all quantities are O(1)
    for jacobian in (jax.jacfwd, jax.jacrev):
        found = jax.jit(jacobian(lambda x: quantities(case, x)))(x)
        assert np.max(abs(found - known) / np.maximum(abs(known), scale)) < 1e-6


@pytest.mark.slow
@differentiated
def test_second_derivatives(case):
    """Finite, symmetric, and on the diagonal those of the reference."""
    x, known = numbers_of(case), slopes_of(case, order=2)
    found = np.asarray(jax.jit(jax.hessian(lambda x: quantities(case, x)))(x))
    assert np.isfinite(found).all()
    size = np.maximum(abs(found), 1e-3)
    assert np.max(abs(found - found.swapaxes(1, 2)) / size) < 1e-6
    scale = 1e-2 / np.maximum(np.asarray(x), 1e-3) ** 2
    diagonal = np.einsum("kii->ki", found)
    assert np.max(abs(diagonal - known) / np.maximum(abs(known), scale)) < 1e-4


def test_derivatives_in_two_models():
    """In numbers that only one of them has."""
    other = RIDGE._replace(psi_p=1.2, lam=0.3)

    def overlap(lam, psi_p):
        theirs = other.model().replace(lam=lam, psi_p=psi_p)
        return RIDGE.model().overlap(theirs, named("XZ")).fresh

    def known(lam, psi_p):
        S = other.setting()
        N = pairs_oracle.network(S._replace(psi_p=psi_p), pairs_oracle.ridge(S, lam))
        return pairs_oracle.overlap(RIDGE.network(), N, "XZ", "fresh", *RIDGE.target)

    expected = (
        pairs_oracle.slope(lambda x: known(x, 1.2), 0.3),
        pairs_oracle.slope(lambda x: known(0.3, x), 1.2),
    )
    for mode in (jax.jacfwd, jax.jacrev):
        close(mode(overlap, (0, 1))(0.3, 1.2), expected, 1e-9)


# -- rows, times, statuses ---------------------------------------------------------------------

BAD = {
    "lam": ([1e-2, -1.0, math.nan, 0.1, 0.0], [0, 1, 1, 0, 1]),
    "psi_p": ([2.0, 0.0, math.nan, -3.0, 5.0], [0, 1, 1, 1, 0]),
    "networks": ([2.0, 0.5, math.nan, INF, 1.0], [0, 1, 1, 0, 0]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("tau", [None, 5.0])
def test_bad_rows_are_nan_and_spoil_no_other(name, tau):
    rows, bad = jnp.array(BAD[name][0]), np.array(BAD[name][1], bool)
    if name == "lam" and tau is not None:
        bad[-1] = False  # flow needs no ridge
    model = Case(tau=tau).model(ensemble=rfdsm.Ensemble(2.0))

    def all_of(x):
        changed = model.replace(**{name: x})
        if name == "networks":
            solution = changed.solve()
            return solution.errors.test_loss[None], [solution.status]
        overlap, parts = changed.overlap(share=named("XZ")), changed.variance_parts()
        values = [getattr(overlap, place) for place in PLACES]
        values += [getattr(parts, part) for part in PARTS]
        return jnp.stack([*values, overlap.correlation]), [overlap.status, parts.status]

    values, statuses = jax.jit(jax.vmap(all_of))(rows)
    for status in statuses:
        np.testing.assert_array_equal(status == Status.invalid_input, bad)
        np.testing.assert_array_equal(status == Status.success, ~bad)
    np.testing.assert_array_equal(np.isnan(values), np.tile(bad, (values.shape[1], 1)).T)
    good, _ = jax.jit(jax.vmap(all_of))(rows[np.flatnonzero(~bad)])
    np.testing.assert_allclose(values[~bad], good, rtol=1e-12)  # a batch of another size
    finite = ~bad & np.isfinite(rows)
    for mode in (jax.jacfwd, jax.jacrev):
        slopes = jax.jit(jax.vmap(mode(lambda x: all_of(x)[0])))(rows)
        assert np.isnan(slopes[bad]).all() and np.isfinite(slopes[finite]).all()
    total = jax.jit(jax.grad(lambda x: jnp.sum(jax.vmap(all_of)(x)[0])))(rows)
    assert np.isnan(total[bad]).all() and np.isfinite(total[finite]).all()


def test_what_is_unknown_has_no_derivative():
    """NaN, not 0, in both directions; right ones beside it."""
    for mode in (jax.jacfwd, jax.jacrev):

        def overlap(lam):
            found = RIDGE.model().replace(lam=lam).overlap(share="features")
            return jnp.stack([found.fresh, found.training, found.pairs])

        np.testing.assert_array_equal(np.isnan(mode(overlap)(0.03)), [False, True, True])


def test_failures_are_told():
    model = Case(lam=1e-300, psi_p=5.0).model()
    for ask in (
        lambda: model.overlap(share="points"),
        lambda: model.variance_parts(),
    ):
        try:
            found = ask()
        except rfdsm.NotConverged as error:
            assert "\n" not in str(error)
        else:
            assert found.status == Status.success
    status = jax.jit(lambda x: RIDGE.model().replace(lam=x).overlap().status)(-1.0)
    assert status == Status.invalid_input


@pytest.mark.slow
def test_trajectories_are_their_single_times():
    taus = jnp.array([0.3, 30.0, 1e3])
    model = FLOW.model()
    together = model.overlap(share=("points", "noises"), taus=taus)
    parts = model.variance_parts(taus=taus)
    ensemble = model.replace(ensemble=rfdsm.Ensemble(3.0))
    errors = ensemble.trajectory(taus)
    assert together.status.shape == parts.status.shape == (3,)

    @jax.jit
    def single(tau):
        at = model.replace(tau=tau)
        return (
            at.overlap(share=("points", "noises")),
            at.variance_parts(),
            ensemble.replace(tau=tau).asymptotics(),
        )

    for i, tau in enumerate(taus):
        overlap, part, error = single(tau)
        for place in (*PLACES, "correlation"):
            close(getattr(together, place)[i], getattr(overlap, place), 1e-9)
        for name in PARTS:
            close(getattr(parts, name)[i], getattr(part, name), 1e-8)
        for name in FIELDS:
            close(getattr(errors, name)[i], getattr(error, name), 1e-8)


@pytest.mark.slow
def test_descent_of_small_steps_is_flow():
    """Any rule that has nodes."""
    flow = Case(tau=5.0, lam=0.01)
    descent = flow.model().replace(training=rfdsm.GradientDescent(5000, 1e-3, 0.01))
    N = flow.network(descent)
    for share in ("WXZ", "XZ", "W"):
        found = descent.overlap(share=named(share))
        known = pairs_oracle.overlap(N, N, share, "fresh", *flow.target)
        close(found.fresh, known.real, 1e-9)
        close(found.fresh, flow.model().overlap(share=named(share)).fresh, 1e-3)


# -- bad input ---------------------------------------------------------------------------------

MODEL = rfdsm.RFDSM(2.0, 3.0, 2.0, t=0.2, lam=0.03)
REFUSED = {
    "an unknown name": lambda: MODEL.overlap(share=("features", "weights")),
    "a name twice": lambda: MODEL.overlap(share=("points", "points")),
    "noises without points": lambda: MODEL.overlap(share=("features", "noises")),
    "noises alone": lambda: MODEL.overlap(share="noises"),
    "psi_p of shared features": lambda: MODEL.overlap(MODEL.replace(psi_p=4.0), "features"),
    "psi_n of shared points": lambda: MODEL.overlap(MODEL.replace(psi_n=4.0), "points"),
    "m of shared noises": lambda: MODEL.overlap(MODEL.replace(m=4.0), named("XZ")),
    "the time": lambda: MODEL.overlap(MODEL.replace(t=0.3), ()),
    "the process": lambda: MODEL.overlap(MODEL.replace(process=rfdsm.FlowMatching(0.2)), ()),
    "the target": lambda: MODEL.overlap(MODEL.replace(target=rfdsm.DataTarget()), ()),
    "the activation": lambda: MODEL.overlap(MODEL.replace(activation=rfdsm.Erf()), ()),
    "eigenvalues": lambda: MODEL.overlap(MODEL.replace(data=rfdsm.Gaussian((2.0,))), ()),
    "atoms": lambda: MODEL.overlap(MODEL.replace(data=rfdsm.Gaussian((1.5, 0.5))), ()),
    "parts of two widths": lambda: MODEL.variance_parts(MODEL.replace(psi_p=4.0)),
    "parts of two data sets": lambda: MODEL.variance_parts(MODEL.replace(psi_n=4.0)),
    "parts of two m": lambda: MODEL.variance_parts(MODEL.replace(m=4.0)),
    "half a network": lambda: rfdsm.Ensemble(0.5),
    "no network": lambda: MODEL.replace(ensemble=rfdsm.Ensemble(2.0)).replace(networks=0),
    "an ensemble of one": lambda: rfdsm.Ensemble(2.0, ("features", "points", "noises")),
    "an ensemble's names": lambda: rfdsm.Ensemble(2.0, ("data",)),
    "an ensemble's noises": lambda: rfdsm.Ensemble(2.0, ("noises",)),
    "the ridge of a flow": lambda: FLOW.model().implied_ridge(),
    "inverse_m": lambda: MODEL.overlap(inverse_m=1.5),
}


@pytest.mark.parametrize("ask", REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_in_one_line(ask):
    with pytest.raises(ValueError) as caught:
        ask()
    words = str(caught.value)
    assert words and "\n" not in words and len(words) < 300


def test_what_differs_is_named():
    for name, value in {"psi_p": 4.0, "psi_n": 4.0, "m": 4.0}.items():
        with pytest.raises(ValueError, match=name):
            MODEL.overlap(MODEL.replace(**{name: value}))
    for name, kind in {"process": rfdsm.FlowMatching(0.2), "activation": rfdsm.Erf()}.items():
        with pytest.raises(ValueError, match=name):
            MODEL.overlap(MODEL.replace(**{name: kind}), ())


def test_what_differs_is_a_status_where_it_is_traced():
    @jax.jit
    def found(psi_p):
        return MODEL.overlap(MODEL.replace(psi_p=psi_p))

    assert found(3.0).status == Status.success
    bad = found(4.0)
    assert bad.status == Status.invalid_input and math.isnan(bad.fresh)


# -- measured moments --------------------------------------------------------------------------

P, D, PROCESS = 24, 8, rfdsm.OrnsteinUhlenbeck(0.2)


def given(seed):
    """Moments of features that are linear in data and noises, plus something of each."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(P, D)) / math.sqrt(D)
    V, U = rng.normal(size=(2, P, 2 * P)) / math.sqrt(2 * P)
    S_g, S_s = 0.5 * W @ W.T + 0.1 * V @ V.T, 0.3 * W @ W.T + 0.05 * U @ U.T
    return pairs_oracle.Given(S_g, S_s, math.sqrt(0.3) * W, math.sqrt(0.5 * 1.3) * W, 1.3)


def moments_of(x, **more):
    return rfdsm.Moments(x.S_g, x.S_s, x.T_z, PROCESS, T_x=x.T_x, X2=np.asarray(x.X2), **more)


def measured(lam, target, m=3.0):
    numbers = {"process": PROCESS, "target": rfdsm.LinearTarget(*target), "lam": lam}
    return rfdsm.RFDSM(2.0, P / D, m, **numbers)


@pytest.mark.parametrize(
    "target, m",
    [
        ((0.8, -0.6), 3.0),
        *(pytest.param(*x, marks=pytest.mark.slow)
          for x in [((0.8, -0.6), INF), ((1.0, 0.0), 3.0), ((1.0, 0.0), INF)]),
    ],
)  # fmt: skip
def test_given_moments(target, m):
    """One W: whatever shares it, of equal and unequal networks."""
    x, u = given(0), 0.0 if m == INF else 1 / m
    moments, lams = moments_of(x), (0.01, 0.3)
    one, other = (pairs_oracle.measured_network(x, 2.0, u, lam) for lam in lams)
    ours, theirs = (measured(lam, target, m) for lam in lams)
    for share in ("WXZ", "WX", "W"):
        same = ours.overlap(share=named(share), moments=moments)
        mixed = ours.overlap(theirs, named(share), moments=moments)
        for found, right in ((same, one), (mixed, other)):
            for place, among in PLACES.items():
                if share in among:
                    known = pairs_oracle.measured_overlap(one, right, x, share, place, *target)
                    close(getattr(found, place), known, 1e-9)
        if share != "WXZ":
            ensemble = ours.replace(ensemble=rfdsm.Ensemble(INF, named(share)))
            found = ensemble.asymptotics(moments=moments)
            alone = ours.asymptotics(moments=moments)
            less = ours.overlap(moments=moments).fresh - same.fresh
            close(alone.test_loss - found.test_loss, less, 1e-10)
            assert math.isnan(found.train_loss) and math.isnan(found.score_error)


@pytest.mark.slow
def test_classes_of_equal_points_are_one():
    x, target = given(1), (0.8, -0.6)
    arrays = [np.stack([y, y]) for y in (x.S_g, x.S_s, x.T_z, x.T_x)]
    two = rfdsm.Moments(
        *arrays[:3], PROCESS, weights=[0.3, 0.7], T_x=arrays[3], X2=np.array([x.X2, x.X2])
    )
    model = measured(0.01, target)
    for share in ("WXZ", "WX", "W"):
        one, split = (
            model.overlap(share=named(share), moments=y) for y in (moments_of(x), two)
        )
        for place, among in PLACES.items():
            if share in among:
                close(getattr(split, place), getattr(one, place), 1e-9)


def test_moments_of_one_draw_do_not_know_other_features():
    moments, model = moments_of(given(0)), measured(0.01, (0.0, 1.0))
    with warnings.catch_warnings(), pytest.raises(ValueError) as caught:
        warnings.simplefilter("error")
        model.overlap(share="points", moments=moments)
    words = str(caught.value)
    assert "\n" not in words and "moments of two networks" in words
