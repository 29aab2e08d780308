"""The reference for two networks against numbers from elsewhere and what must hold exactly."""

import math

import numpy as np
import pairs_oracle
import pytest
import target_oracle
from pairs_oracle import PLACES, SHARED, contour, flow, network, overlap, ridge
from values import VALUES

LAWS = {
    "isotropic": ((1.0,), (1.0,)),
    "two atoms": ((1.5, 0.5), (0.5, 0.5)),
    "subspace": ((2.0, 0.0), (0.5, 0.5)),
}
TARGETS = (0.0, -1.0), (1.0, 0.0), (0.8, -0.6)
INF = math.inf
LAM, SPAN = 0.03, 5.0


def setting(psi_n=2.0, psi_p=3.0, m=2.5, law="two atoms", process=("ou", 0.3)):
    return pairs_oracle.problem(psi_n, psi_p, m, process, *LAWS[law])


def networks(S):
    """One trained by ridge, one by gradient flow."""
    return network(S, ridge(S, LAM)), network(S, flow(contour(S, LAM, SPAN), LAM, SPAN))


def of_row(row, psi_p, lam):
    m = INF if row["m"] == "inf" else row["m"]
    law = row["eigenvalues"], row["weights"]
    S = pairs_oracle.problem(row["psi_n"], psi_p, m, ("ou", row["t"]), *law, row["activation"])
    return network(S, ridge(S, lam))


@pytest.mark.parametrize("row", VALUES["overlaps"], ids=lambda r: f"m{r['m']}")
def test_overlaps_of_values_json(row):
    """To the ten digits printed."""
    one = of_row(row, row["psi_p"], row["lam"])
    for place, among in PLACES.items():
        assert set(row[place]) == set(among)
        for share, value in row[place].items():
            found = overlap(one, one, share, place, *row["target"])
            assert abs(found / value - 1) < 3e-10, (place, share)


@pytest.mark.parametrize("row", VALUES["overlaps_unequal"], ids=lambda r: f"m{r['m']}")
def test_unequal_overlaps_of_values_json(row):
    one, other = map(of_row, [row, row], row["psi_p"], row["lam"])
    for share, value in row["fresh"].items():
        for pair in ((one, other), (other, one)):
            assert abs(overlap(*pair, share, "fresh", *row["target"]) / value - 1) < 3e-10


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("m", [1.0, 2.5, INF])
def test_pairs_of_one_network_obey_the_resolvent_identity(law, m):
    """Q_L U Q_R = (λ_R Q_R - λ_L Q_L)/(λ_R - λ_L): at nodes of two contours with any weights,
    and K + λ K' where they coincide."""
    S, rng = setting(m=m, law=law), np.random.default_rng(0)
    sides = []
    for digits in (6, 7):
        around = contour(S, LAM, SPAN, digits)
        c = rng.normal(size=(2, len(around.nodes)))
        sides.append(around._replace(weights=c[0] + 1j * c[1]))
    one, other = (network(S, side) for side in sides)
    nodes = [side.nodes for side in sides]
    for pair in TARGETS:

        def K(N, pair=pair):
            """At each node."""
            return pairs_oracle.gains(N._replace(c=np.eye(len(N.c))), *pair)[2]

        left, right = nodes[0] * K(one), nodes[1] * K(other)
        known = (right - left[:, None]) / (nodes[1] - nodes[0][:, None])
        found = overlap(one, other, "WXZ", "pairs", *pair)
        scale = abs(one.c) @ abs(known) @ abs(other.c)
        assert abs(found - one.c @ known @ other.c) < 1e-13 * scale
        at, near = (network(S, ridge(S, LAM + e)) for e in (0, 1e-30j))
        known = K(at) + LAM * K(near).imag / 1e-30
        assert abs(overlap(at, at, "WXZ", "pairs", *pair) - known[0]) < 1e-13


@pytest.mark.parametrize("law", LAWS)
def test_nothing_shared_is_the_product_of_the_gains(law):
    S, T = setting(law=law), setting(5.0, 1.0, 1.0, law)
    for one in networks(S):
        for other in (*networks(S), *networks(T)):
            for pair in TARGETS:
                slopes = zip(
                    pairs_oracle.gains(one, *pair)[3],
                    pairs_oracle.gains(other, *pair)[3],
                    target_oracle.moments(S, *pair).sigma_t,
                    S.weights,
                    strict=True,
                )
                known = sum(w * sigma_t * left * right for left, right, sigma_t, w in slopes)
                found = overlap(one, other, "none", "fresh", *pair)
                assert abs(found - known) < 1e-14


@pytest.mark.parametrize(
    "law, m", [("isotropic", 1.0), ("two atoms", 2.5), ("subspace", INF), ("two atoms", 1.0)]
)
def test_one_network_is_the_other_oracle(law, m):
    """All shared: the six errors of any target, trained by ridge or gradient flow."""
    S = setting(m=m, law=law)
    exact = target_oracle.setting(S.psi_n, S.psi_p, m, (S.a, S.h), S, S.sigmas, S.weights)
    by_ridge = target_oracle.ridge(2, 3, m, LAM, (S.a, S.h), S, *LAWS[law], TARGETS)
    by_flow = target_oracle.flow(exact, LAM, (SPAN,), TARGETS)
    one, late = networks(S)
    for pair, first, second in zip(TARGETS, by_ridge, by_flow, strict=True):
        for N, known in ((one, first), (late, second)):
            found = pairs_oracle.ensemble(N, 1.0, "XZ", *pair)
            np.testing.assert_allclose(
                np.array(found), np.array(known, float).reshape(6), rtol=1e-9, atol=1e-10
            )


@pytest.mark.parametrize("m", [2.5, INF])
def test_late_flow_is_ridge(m):
    """Whatever is shared, everywhere, of equal and of unequal networks."""
    S, T = setting(m=m), setting(psi_p=1.5, m=m)
    for there in (S, T):
        late = [network(X, flow(contour(X, LAM, 2e3, 10), LAM, 2e3)) for X in (S, there)]
        known = [network(X, ridge(X, LAM)) for X in (S, there)]
        for place, among in PLACES.items():
            for share in among:
                if there is S or "W" not in share:
                    one, other = (overlap(*x, share, place, 0.8, -0.6) for x in (late, known))
                    assert abs(one - other) < 1e-8


def test_infinitely_many_noises():
    """The pairs are the training points, and there is nothing in sharing noises."""
    for N in networks(setting(m=INF)):
        for other in networks(setting(m=INF)):
            for share in ("WXZ", "XZ"):
                values = [overlap(N, other, share, x, 0.8, -0.6) for x in ("training", "pairs")]
                values.append(overlap(N, other, share[:-1], "training", 0.8, -0.6))
                assert np.ptp(np.real(values)) < 1e-10


def test_infinitely_many_networks_are_the_kernel_machine():
    """At m = 2, λ = 0.03 of values.json: S(XZ) is of 10^7 features at the implied ridge."""
    row = VALUES["overlaps"][0]
    one = of_row(row, row["psi_p"], row["lam"])
    wide = of_row(row, 1e7, 1e7 * pairs_oracle.implied_ridge(one).real)
    for place in PLACES:
        for share in ("XZ", "WXZ"):
            known = overlap(one, one, "XZ", place, *row["target"])
            assert abs(overlap(wide, wide, share, place, *row["target"]) / known - 1) < 1e-6


def test_parts_of_the_variance_are_not_negative():
    for N in networks(setting()):
        for pair in TARGETS:
            parts = pairs_oracle.parts(N, N, *pair)
            assert min(np.real(parts)) > 0
            variance = pairs_oracle.ensemble(N, 1.0, "X", *pair).variance
            assert abs(sum(parts) / variance - 1) < 1e-12


NUMBERS = {"psi_n": 2.0, "psi_p": 3.0, "u": 0.4, "lam": LAM, "span": SPAN, "networks": 3.0}


@pytest.mark.parametrize("number, rule", [(x, "flow") for x in NUMBERS] + [("lam", "ridge")])
def test_slopes_are_central_differences(number, rule):
    S = setting()
    around = contour(S, LAM, SPAN, 4)  # a coarse rule is as smooth

    def errors(value):
        x = NUMBERS | {number: value}
        there = S._replace(**{k: x[k] for k in ("psi_n", "psi_p", "u")})
        by = ridge(S, x["lam"]) if rule == "ridge" else flow(around, x["lam"], x["span"])
        return np.array(pairs_oracle.ensemble(network(there, by), x["networks"], "XZ", 1, 0.5))

    at = NUMBERS[number]
    nearby = [errors(at * (1 + step)).real for step in (-2e-3, -1e-3, 1e-3, 2e-3)]
    for order, weights in ((1, (1, -8, 8, -1)), (2, (1, -1, -1, 1))):
        known = np.array(weights) @ nearby / (12e-3 if order == 1 else 3e-6) / at**order
        found = pairs_oracle.slope(errors, at, order)
        np.testing.assert_allclose(found, known, rtol=1e-4, atol=1e-8 / at**order)


def test_what_is_known_of_ensembles():
    """Every sharing there is, each with its places."""
    assert {x for among in PLACES.values() for x in among} == set(SHARED)
    N = networks(setting())[0]
    errors = pairs_oracle.ensemble(N, 2.0, "W", 1.0, 0.0)
    assert np.isnan([errors.train_loss, errors.memorization_loss]).all()
    assert np.isfinite(errors.test_loss)


def test_given_moments_average_to_the_law():
    """Section 12's matrices of one draw of Gaussian features, or of two and their cross
    moments, against W averaged out: within 1 % at d = 40."""
    S, rng, d, p = setting(), np.random.default_rng(0), 40, 120
    N = network(S, ridge(S, LAM))
    sigma = np.repeat(S.sigmas, d // 2)
    W, other = rng.normal(size=(2, p, d)) / math.sqrt(d)

    def given(W, V, own):
        return pairs_oracle.Given(
            S.b**2 * S.a**2 * (W * sigma) @ V.T + S.v2 * own,
            S.b**2 * S.h * W @ V.T + S.s2 * own,
            S.b * math.sqrt(S.h) * W,
            S.b * S.a * W * sigma,
            np.mean(sigma),
        )

    one, two = (given(x, x, np.eye(p)) for x in (W, other))
    first, second = (pairs_oracle.measured_network(x, 2.0, S.u, LAM) for x in (one, two))
    for place, among in PLACES.items():
        for share in among:
            pair = (first, first, one) if "W" in share else (first, second, given(W, other, 0))
            for target in TARGETS:
                found = pairs_oracle.measured_overlap(*pair, share, place, *target)
                assert abs(found / overlap(N, N, share, place, *target) - 1) < 1e-2
