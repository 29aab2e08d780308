"""The oracle against numbers from elsewhere, against section 5's rule, and against itself at
other precisions."""

import random

import oracle
import pytest
from mpmath import mp, mpf
from values import VALUES

ERRORS = ("score_error", "test_loss", "train_loss", "memorization_loss", "bias2", "variance")


def name_of(activation):
    return ("leaky_relu", mpf("0.1")) if activation == "leaky_relu_0_1" else activation


def relative(x, y):
    return abs(x - y) / abs(y) if y else abs(x)


def atoms(row):
    return (
        row["eigenvalues"],
        row["weights"],
        mp.fsum(
            mpf(e) * mpf(w) for e, w in zip(row["eigenvalues"], row["weights"], strict=False)
        ),
    )


def inputs(row):
    """What `solve` and `parameters` take, from a row of values.json."""
    eigenvalues, weights, sigma_x2 = atoms(row)
    a, h = oracle.ornstein_uhlenbeck(row["t"])
    c = oracle.constants(name_of(row["activation"]), a, h, sigma_x2)
    m = mp.inf if row["m"] == "inf" else row["m"]
    return (
        row["psi_n"],
        row["psi_p"],
        m,
        row["lam"],
        a,
        h,
        c.b,
        c.v2,
        c.s2,
        eigenvalues,
        weights,
    )


def random_points(count, seed, activations=("tanh", "erf", "relu", "sin", "silu")):
    """The whole box; every fourth on the interpolation peak at lam = 1e-12, every third with a
    zero eigenvalue."""
    rng = random.Random(seed)

    def log(low, high):
        return 10 ** rng.uniform(low, high)

    for i in range(count):
        psi_n, psi_p, lam, t = log(-3, 3), log(-3, 3), log(-12, 3), log(-4, 1)
        m = rng.choice([1, mp.inf, 1 + log(-8, 0), log(0, 4)])
        if i % 4 == 0:
            psi_n, m, lam = log(-3, 1), log(0, 2), 1e-12
            psi_p = m * psi_n
        eigenvalues = [log(-2, 1) for _ in range(rng.choice([1, 2, 4]))]
        weights = [rng.random() + 0.05 for _ in eigenvalues]
        scale = sum(w * e for w, e in zip(weights, eigenvalues, strict=False)) / sum(weights)
        eigenvalues = [e / scale for e in eigenvalues]
        if i % 3 == 0:
            eigenvalues, weights = [*eigenvalues, 0.0], [*weights, 0.3]
        weights = [w / sum(weights) for w in weights]
        yield inputs(
            dict(
                psi_n=psi_n,
                psi_p=psi_p,
                m=m,
                lam=lam,
                t=t,
                eigenvalues=eigenvalues,
                weights=weights,
                activation=rng.choice(activations),
            )
        )


# -- constants ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row", VALUES["constants"], ids=lambda r: f"{r['activation']}-{r['t']}"
)
def test_constants_of_values_json(row):
    a, h = oracle.ornstein_uhlenbeck(row["t"])
    c = oracle.constants(name_of(row["activation"]), a, h, row["sigma_x2"])
    for field in c._fields:
        assert abs(getattr(c, field) - mpf(row[field])) < 1e-11


@pytest.mark.parametrize("t", [1e-4, 0.3, 10])
@pytest.mark.parametrize(
    "name, f",
    [
        ("erf", mp.erf),
        ("sin", mp.sin),
        ("cos", mp.cos),
        ("gelu", lambda x: x * mp.ncdf(x)),
        ("silu", lambda x: x / (1 + mp.exp(-x))),
        ("sigmoid", lambda x: 1 / (1 + mp.exp(-x))),
        ("tanh", lambda x: 1 - 2 / (1 + mp.exp(2 * x))),
        (("polynomial", [1, -2, 0.5, 3]), lambda x: 1 - 2 * x + x**2 / 2 + 3 * x**3),
    ],
    ids=lambda x: str(x)[:12] if isinstance(x, str | tuple) else "",
)
def test_hermite_route_agrees_with_named_activations_relatively(name, f, t):
    a, h = oracle.ornstein_uhlenbeck(t)
    by_name, by_callable = oracle.constants(name, a, h, 1.25), oracle.constants(f, a, h, 1.25)
    for x, y in zip(by_callable, by_name, strict=False):
        assert relative(x, y) < 1e-23


@pytest.mark.parametrize("t", [1e-4, 0.2, 10])
@pytest.mark.parametrize(
    "name, f",
    [
        ("relu", lambda x: x if x > 0 else mpf(0)),
        (("leaky_relu", 0.25), lambda x: x if x > 0 else x / 4),
    ],
    ids=["relu", "leaky_relu"],
)
def test_quadrature_route_agrees_with_arc_cosine_kernels_relatively(name, f, t):
    a, h = oracle.ornstein_uhlenbeck(t)
    for x, y in zip(
        oracle.constants((f, (0,)), a, h, 1), oracle.constants(name, a, h, 1), strict=False
    ):
        assert relative(x, y) < 1e-23


def test_tanh_agrees_with_two_dimensional_quadrature():
    a, h = oracle.ornstein_uhlenbeck(0.3)
    for x, y in zip(
        oracle.constants((mp.tanh, (0,)), a, h, 1),
        oracle.constants("tanh", a, h, 1),
        strict=False,
    ):
        assert relative(x, y) < 1e-23


def test_constants_of_any_process():
    """tanh at 30 and at 44 digits; a = 1 (variance exploding), flow matching, and no data left
    at all (a = 0)."""
    for a, h, sigma_x2 in ((1, 1e-3, 1), (0.25, 0.5625, 1), (0, 1, 1), (1, 2, 0)):
        low, high = (
            oracle.constants("tanh", a, h, sigma_x2, dps=30),
            oracle.constants("tanh", a, h, sigma_x2, dps=44),
        )
        assert all(relative(x, y) < 1e-18 for x, y in zip(low, high, strict=False))
    assert oracle.constants("tanh", 0, 1, 1).v2 == 0
    with pytest.raises(ArithmeticError):
        oracle.constants(mp.tanh, *oracle.ornstein_uhlenbeck(0.1), 1e7)


# -- ridge -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row", VALUES["ridge"], ids=lambda r: f"{r['activation']}-m{r['m']}-p{r['psi_p']}"
)
def test_ridge_of_values_json(row):
    solution = oracle.solve(*inputs(row))
    for field in ("delta0", "delta1", "q", *ERRORS):
        assert relative(getattr(solution, field), mpf(row[field])) < 1e-9, field
    assert solution.agreement < 1e-50


def test_section_9_numbers():
    """tanh, eigenvalues 1.9 and 0.1: test_loss 0.74998, and 1.3367 with the deformation as
    arXiv 2609.26392 prints it; and the same paper's "train loss" 1 - K is the penalised one, 1
    - K = train_loss + h lam |A|^2/(d p)."""
    row = next(
        r for r in VALUES["ridge"] if r["psi_n"] == 3 and r["psi_p"] == 6 and r["t"] == 0.2
    )
    args = inputs(row)
    solution = oracle.solve(*args)
    assert abs(solution.test_loss - mpf("0.74998")) < 5e-6
    with mp.workdps(100):
        P = oracle.parameters(*args)
        point, X = oracle.one_point_at(P)
        assert abs(oracle.test_loss_as_printed(P, X) - mpf("1.3367")) < 5e-5
        # |A|^2 h/(d p) = (1/d) tr V^T (U+lam)^-2 V = -K'
        penalty = P.lam * oracle.two_point("identity", P, X, 25)
        assert penalty > 0.01
        assert relative(1 - point.K, solution.train_loss + penalty) < 1e-40


def test_section_5_rules_agree_with_the_derivatives():
    """K_C, K_mem and -K' by section 5's corners, and as derivatives of the deformed one-point
    equations."""
    for args in random_points(40, seed=1):
        with mp.workdps(120):
            P = oracle.parameters(*args)
            point, X = oracle.one_point_at(P)
            for kind in ("fresh", "memory", "identity"):
                rule = oracle.section5_two_point(kind, P, point, point)
                assert relative(oracle.two_point(kind, P, X, 30), rule) < 1e-40, (kind, args)


def test_section_5_at_two_points():
    """(U+l1)^-1 (U+l2)^-1 = ((U+l1)^-1 - (U+l2)^-1)/(l2 - l1) fixes the rule of C = I at
    different points; the other two are symmetric under exchange of the points."""
    for args in random_points(8, seed=2):
        with mp.workdps(80):
            P = oracle.parameters(*args)
            left = oracle.one_point_at(P)[0]
            right = oracle.one_point_at(P._replace(lam=3 * P.lam))[0]
            expected = (left.K - right.K) / (right.lam - left.lam)
            assert (
                relative(oracle.section5_two_point("identity", P, left, right), expected)
                < 1e-30
            )
            for kind in ("fresh", "memory"):
                there, back = (
                    oracle.section5_two_point(kind, P, *o)
                    for o in ((left, right), (right, left))
                )
                assert relative(there, back) < 1e-40


def test_random_points_are_consistent():
    """Signs, test_loss = 1 - 2 h lin + K_C, memorization = train at m = inf, 1 - K without
    cancellation, the trace identity of section 13, Marchenko-Pastur for one atom, and another
    precision."""
    for i, args in enumerate(random_points(60, seed=3)):
        s = oracle.solve(*args)
        assert s.agreement < 1e-35, args
        assert all(x >= 0 for x in s), args
        with mp.workdps(60):
            P = oracle.parameters(*args)
            inverse = mp.fsum(
                w / (P.a**2 * e + P.h) for w, e in zip(P.weights, P.sigmas, strict=False)
            )
            assert relative(s.test_loss, 1 - P.h * inverse + P.h * s.score_error) < 1e-40
            point, (Eg, Es, q) = oracle.one_point_at(P)
            assert relative(point.q, s.q) < 1e-30
            mean = mp.fsum(
                w * D * (1 + P.psi_p * q * P.ba * point.i0 * e)
                for w, D, e in zip(P.weights, point.D, P.sigmas, strict=False)
            )
            assert relative(1 - point.K, point.alpha * mean) < 1e-25
            assert (
                relative(
                    P.lam * q + (Eg + P.u * Es) * point.i0 + (1 - P.u) * Es * point.i1, mpf(1)
                )
                < 1e-40
            )
            if len(P.sigmas) == 1:
                Y, x = (
                    point.Y[0],
                    P.lam + (P.v2 + P.u * P.s2) * point.i0 + (1 - P.u) * P.s2 * point.i1,
                )
                terms = (P.psi_p * Y * x * q**2, (x + Y - P.psi_p * Y) * q)
                assert abs(sum(terms) - 1) < mpf(10) ** -40 * max(1, *map(abs, terms))
            if P.u == 0:
                assert s.delta1 == 0 and relative(s.memorization_loss, s.train_loss) < 1e-30
        if i % 6 == 0:
            other = oracle.solve(*args, dps=90)
            assert all(
                relative(x, y) < 1e-35 for x, y in zip(other[:9], s[:9], strict=False)
            ), args


def test_corners():
    """The twelve-decade corners, the peak, m next to 1, one and infinity; no linear part; no
    features at all."""
    a, h = oracle.ornstein_uhlenbeck(0.1)
    c = oracle.constants("tanh", a, h, 1)
    for psi_n in (1e-3, 1, 1e3):
        for psi_p in (1e-3, 1, 1e3):
            for m in (1, 1 + 1e-12, max(1, psi_p / psi_n), 1e9, mp.inf):
                for lam in (1e-12, 1e3):
                    s = oracle.solve(psi_n, psi_p, m, lam, a, h, c.b, c.v2, c.s2, [1], [1])
                    assert s.agreement < 1e-35 and all(x >= 0 for x in s)
    even = oracle.solve(2, 3, mp.inf, 0.1, a, h, 0, c.v2, c.s2, [1.5, 0.5], [0.5, 0.5])
    assert even.train_loss == 1 and even.variance == 0
    none = oracle.solve(2, 3, 4, 0.1, a, h, 0, 0, 0, [1], [1])
    assert (
        none.train_loss == none.memorization_loss == 1
        and relative(none.q * mpf(0.1), 1) < 1e-14
    )


def test_limits():
    """Section 8: psi_n -> infinity forgets m and has train = test; psi_p -> 0 learns nothing;
    lam -> infinity likewise."""
    a, h = oracle.ornstein_uhlenbeck(0.2)
    c = oracle.constants("tanh", a, h, 1)
    law = ([1.5, 0.5], [0.5, 0.5])
    one, many = (
        oracle.solve(1e12, 2, m, 0.01, a, h, c.b, c.v2, c.s2, *law) for m in (1, mp.inf)
    )
    for field in ERRORS:
        assert relative(getattr(one, field), getattr(many, field)) < 1e-8
    assert relative(one.train_loss, one.test_loss) < 1e-8
    inverse = mp.fsum(w / (a**2 * e + h) for e, w in zip(*law, strict=False))
    for psi_p, lam in ((1e-12, 0.01), (2, 1e12)):
        s = oracle.solve(3, psi_p, 4, lam, a, h, c.b, c.v2, c.s2, *law)
        assert relative(s.score_error, inverse) < 1e-8 and relative(s.train_loss, 1) < 1e-8
