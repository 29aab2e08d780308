"""docs/theory.md section 14: any process and any prediction target, against an independent
reference."""

from functools import partial
from random import Random

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import target_oracle
from mpmath import mp, mpf
from target_bank import Scales
from values import VALUES

import rfdsm
from rfdsm import Status

FIELDS = target_oracle.Errors._fields
LOSSES = ("test_loss", "train_loss", "memorization_loss")
INF = float("inf")
RIDGES, FLOWS = 40, 12  # rows of a batch: as many in each test, for one program


PROCESSES = {  # the kind of the reference, and what draws its numbers
    "ou": (rfdsm.OrnsteinUhlenbeck, lambda r: (10 ** r.uniform(-2, 0.4),)),
    "vp": (rfdsm.VariancePreserving, lambda r: (r.uniform(0.02, 0.98),)),
    "ve": (rfdsm.VarianceExploding, lambda r: (10 ** r.uniform(-1.3, 0.7),)),
    "fm": (rfdsm.FlowMatching, lambda r: (r.uniform(0.05, 0.95),)),
    "edm": (rfdsm.Preconditioned, lambda r: (10 ** r.uniform(-1, 0.5), r.uniform(0.5, 1.5))),
}
TARGETS = {
    "score": rfdsm.ScoreTarget,
    "noise": rfdsm.NoiseTarget,
    "data": rfdsm.DataTarget,
    "velocity": rfdsm.VelocityTarget,
    "preconditioned": rfdsm.PreconditionedTarget,
}


def drawn(r, i):
    """One problem in the wide box: numbers for `model_of`, by name."""
    kind = list(PROCESSES)[i % 5]
    with mp.workdps(30):
        noising, velocity = target_oracle.process(kind, *PROCESSES[kind][1](r))
        any_pair = (r.uniform(-1, 1), r.uniform(-1, 1))
        targets = ("noise", "data", "velocity", any_pair, any_pair)
        pair = target_oracle.target(targets[i // 5 % 5], velocity)
    row = dict(zip(("a", "h", "c_x", "c_z"), map(float, (*noising, *pair)), strict=True))
    row |= {name: 10 ** r.uniform(-1, 1.5) for name in ("psi_n", "psi_p")}
    row |= {"u": r.choice([0.0, 1.0, r.random(), 1 / 8]), "lam": 10 ** r.uniform(-8, 0)}
    return row | {"span": 10 ** r.uniform(-1, 3)}


def rows_of(count, seed, atoms):
    """Random rows in the wide box; of several atoms every other one has an eigenvalue 0."""
    r, rows = Random(seed), []
    for i in range(count):
        row, share = drawn(r, i), r.randint(4, 60) / 64
        sigmas, weights = [1.0], [1.0]
        if atoms == 2:
            sigmas = [r.uniform(0.5, 2) / share, 0.0 if i % 2 else r.uniform(0.1, 1)]
            weights = [share, 1 - share]
        rows.append(row | {"eigenvalues": sigmas, "weights": weights})
    return rows


def stacked(rows):
    return {name: jnp.array([row[name] for row in rows]) for name in rows[0]}


def model_of(x, activation="Erf", flow=False, **changes):
    """The model of a row; `span` is κτ, and κ = 2/ψ_p where w = 1."""
    rule = rfdsm.GradientFlow(x["span"] * x["psi_p"] / 2, x["lam"])
    ingredients = {
        "process": Scales(x["a"], x["h"]),
        "target": rfdsm.LinearTarget(x["c_x"], x["c_z"]),
        "activation": getattr(rfdsm, activation)(),
        "data": rfdsm.Gaussian(x["eigenvalues"], x["weights"]),
        "training": rule if flow else rfdsm.Ridge(x["lam"]),
    }
    return rfdsm.RFDSM(x["psi_n"], x["psi_p"], 2.0, **(ingredients | changes))


@partial(jax.jit, static_argnames=("activation", "flow"))
def solved(rows, activation="Erf", flow=False):
    """Solutions of rows: one program for each activation, rule and number of atoms."""
    return jax.vmap(lambda x: model_of(x, activation, flow).solve(inverse_m=x["u"]))(rows)


def expected(row, activation="erf", flow=False, pairs=None):
    """The reference's `Errors` at a row, of its own target or of each of `pairs`."""
    with mp.workdps(40):
        law = [tuple(map(mpf, row[x])) for x in ("eigenvalues", "weights")]
        noising = mpf(row["a"]), mpf(row["h"])
        constants = oracle.constants(activation, *noising, mp.fdot(*law))
        m = 1 / mpf(row["u"]) if row["u"] else mp.inf
    problem = (row["psi_n"], row["psi_p"], m)
    targets = pairs or [(row["c_x"], row["c_z"])]
    if flow:
        S = target_oracle.setting(*problem, noising, constants, *law)
        found = target_oracle.flow(S, row["lam"], (row["span"],), targets)
        found = [target_oracle.Errors(*(x[0] for x in each)) for each in found]
    else:
        found = target_oracle.ridge(*problem, row["lam"], noising, constants, *law, targets)
    return found if pairs else found[0]


def scales_of(row):
    """What each error is O(1) of: the loss of o = 0, in its units and in the score's."""
    nothing = oracle.Constants(0, 0, 0, 0)
    law = row["eigenvalues"], row["weights"]
    S = target_oracle.setting(1, 1, 1, (row["a"], row["h"]), nothing, *law)
    known = target_oracle.moments(S, mpf(row["c_x"]), mpf(row["c_z"]))
    return [float(known.null * (1 if x in LOSSES else known.gain)) for x in FIELDS]


def table(errors):
    """(rows, errors) of a batch, or of a list of the reference's."""
    if isinstance(errors, list):
        return np.array(errors, float)
    return np.array([getattr(errors, x) for x in FIELDS]).T


def deviation(rows, ours, theirs):
    """The largest difference relative to the larger of the value and its scale: a small
    train_loss is a difference of larger numbers."""
    scale = np.maximum(abs(theirs), np.array([scales_of(row) for row in rows]))
    assert ours.shape == scale.shape
    return np.max(abs(ours - theirs) / scale)


# -- the numbers of each kind ------------------------------------------------------------------


@pytest.mark.parametrize("kind", PROCESSES)
def test_the_regression_of_every_process_and_target(kind):
    make, draw = PROCESSES[kind]
    r = Random(1)
    for numbers in (draw(r), draw(r)):
        with mp.workdps(30):
            (a, h), velocity = target_oracle.process(kind, *numbers)
            S = target_oracle.setting(
                1, 1, 1, (a, h), oracle.Constants(0, 0, 0, 0), (1.5,), (1,)
            )
        for name, target in [
            *TARGETS.items(),
            ((0.3, -0.8), partial(rfdsm.LinearTarget, 0.3, -0.8)),
            ((-np.sin(0.7), np.cos(0.7)), partial(rfdsm.AngleTarget, 0.7)),
        ]:
            model = rfdsm.RFDSM(2.0, 3.0, 4.0, lam=0.1, process=make(*numbers), target=target())
            model = model.replace(data=rfdsm.Gaussian((1.5,), (1.0,)))
            c_x, c_z = target_oracle.target(name, velocity)
            found, known = model.denoising, target_oracle.moments(S, c_x, c_z)
            power = float(h) if name == "score" else 1.0
            rate = 2 * power / 3.0
            gain = float(known.gain * h)  # of E|ẑ - z|² in the loss
            baselines = model.baselines()
            for ours, value in (
                (found.noising.a, a),
                (found.noising.h, h),
                (found.noise, c_z),
                (found.power, power),
                (found.rate(3.0), rate),
                (found.null(1.5), known.null),
                (model.noise_loss(2.0), 2 * gain),
                (baselines.null, known.null),
                (baselines.isotropic, known.best),
                (baselines.linear, known.best),
                (baselines.best, known.best),
            ):
                np.testing.assert_allclose(float(ours), float(value), rtol=1e-13)
            assert float(jnp.zeros(()) + found.data) == pytest.approx(float(c_x), rel=1e-13)


# -- against the reference ---------------------------------------------------------------------


def hold_against_the_reference(rows, activation, flow, tolerance):
    solution = solved(stacked(rows), activation, flow)
    assert np.all(solution.status == Status.success)
    references = [expected(row, activation.lower(), flow) for row in rows]
    assert deviation(rows, table(solution.errors), table(references)) < tolerance
    endless = np.array([row["u"] == 0 for row in rows])
    assert endless.any()
    train, memory = solution.errors.train_loss, solution.errors.memorization_loss
    np.testing.assert_allclose(train[endless], memory[endless], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("atoms, activation", [(1, "ReLU"), (2, "Erf")])
def test_random_settings(atoms, activation):
    hold_against_the_reference(rows_of(RIDGES, 10 + atoms, atoms), activation, False, 1e-11)


def test_random_flows():
    rows = rows_of(FLOWS, 20, 2)
    for row in rows[::2]:
        row["lam"] = 0.0
    hold_against_the_reference(rows, "ReLU", True, 1e-9)


@pytest.mark.parametrize("name", ["data", "velocity"])
def test_targets_of_values_json(name):
    """As users write them; the isotropic law as two equal atoms, for one program."""
    solve = jax.jit(lambda model: model.solve())
    for row in (row for row in VALUES["targets"] if row["target"] == name):
        two = len(row["weights"]) == 2
        law = (row["eigenvalues"], row["weights"]) if two else ((1.0, 1.0), (0.5, 0.5))
        model = rfdsm.RFDSM(
            row["psi_n"],
            row["psi_p"],
            INF if row["m"] == "inf" else row["m"],
            t=row["t"],
            lam=row["lam"],
            data=rfdsm.Gaussian(*law),
            target=TARGETS[name](),
        )
        errors = solve(model).errors
        for field in set(FIELDS) & set(row):
            assert float(getattr(errors, field)) == pytest.approx(row[field], rel=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("kind", PROCESSES)
def test_every_process_and_target(kind, flow):
    """Each pair as users write it, through its own program."""
    make, draw = PROCESSES[kind]
    r = Random(f"{kind}{flow}")
    for name, target in [
        *TARGETS.items(),
        ((0.6, -0.5), partial(rfdsm.LinearTarget, 0.6, -0.5)),
    ]:
        numbers = draw(r)
        with mp.workdps(30):
            (a, h), velocity = target_oracle.process(kind, *numbers)
            c_x, c_z = target_oracle.target(name, velocity)
        row = rows_of(2, r.random(), 2)[1]
        row |= {"a": float(a), "h": float(h), "c_x": float(c_x), "c_z": float(c_z)}
        power = float(h) if name == "score" else 1.0
        rule = rfdsm.GradientFlow(row["span"] * row["psi_p"] / 2 / power, row["lam"])
        changes = {"process": make(*numbers), "target": target()}
        changes |= {"training": rule} if flow else {}
        errors = model_of(row, **changes).asymptotics(inverse_m=row["u"])
        errors, reference = table([list(errors.to_dict().values())]), expected(row, flow=flow)
        assert deviation([row], errors, table([reference])) < 1e-9, name


@pytest.mark.slow
def test_trajectories():
    """All training times at once."""
    taus = jnp.geomspace(0.1, 1e3, 4)
    for row in rows_of(4, 31, 2):
        errors = model_of(row, flow=True).trajectory(taus, inverse_m=row["u"])
        spans = 2 / row["psi_p"] * np.asarray(taus)
        rows = [row | {"span": span} for span in spans]
        references = [expected(x, flow=True) for x in rows]
        assert deviation(rows, table(errors), table(references)) < 1e-9


# -- the same thing said twice -----------------------------------------------------------------


@pytest.mark.parametrize(
    "name, flow",
    [
        ("score", False),
        ("noise", False),
        ("score", True),
        pytest.param("noise", True, marks=pytest.mark.slow),
    ],
)
def test_score_and_noise_are_one_target(name, flow):
    """Both are LinearTarget(0, 1) with its zero known: at equal λ, and the score, whose w² is
    h, at τ/h for τ."""
    rows = [row | {"c_x": 0.0, "c_z": 1.0} for row in rows_of(FLOWS if flow else RIDGES, 40, 2)]

    @jax.jit
    @jax.vmap
    def errors(x):
        power = x["h"] if name == "score" else 1.0
        slower = x | {"span": x["span"] / power}
        model = model_of(slower, "ReLU" if flow else "Erf", flow, target=TARGETS[name]())
        return model.asymptotics(inverse_m=x["u"])

    linear = solved(stacked(rows), "ReLU" if flow else "Erf", flow).errors
    assert deviation(rows, table(errors(stacked(rows))), table(linear)) < 1e-12


def test_preconditioning_by_hand():
    """D(y) = c_skip y + c_out F(c_in y) of Karras et al. (2022), table 1."""
    rows = rows_of(RIDGES, 50, 2)
    sigma, sigma_data = np.geomspace(0.1, 5, RIDGES), np.linspace(1.5, 0.5, RIDGES)
    total = sigma**2 + sigma_data**2
    c_in, c_skip = 1 / np.sqrt(total), sigma_data**2 / total
    c_out = sigma * sigma_data / np.sqrt(total)
    pairs = (1 - c_skip) / c_out, -c_skip * sigma / c_out
    for row, *numbers in zip(rows, c_in, (c_in * sigma) ** 2, *pairs, strict=True):
        row |= dict(zip(("a", "h", "c_x", "c_z"), map(float, numbers), strict=True))

    @jax.jit
    @jax.vmap
    def preconditioned(x, sigma, sigma_data):
        changes = rfdsm.preconditioned(sigma, sigma_data)
        return model_of(x, **changes).asymptotics(inverse_m=x["u"])

    errors = preconditioned(stacked(rows), sigma, sigma_data)
    by_hand = solved(stacked(rows)).errors
    assert deviation(rows, table(errors), table(by_hand)) < 1e-12


@pytest.mark.parametrize("flow", [False, True])
def test_relu_sees_the_same_at_every_scale(flow):
    """Flow matching against Ornstein-Uhlenbeck at one log_snr: y = c y_OU, and so are the
    features, so that λ c² and τ/c² give the same losses and h·score_error."""
    straight, turning, units = [], [], []
    rows = rows_of(FLOWS, 60, 2) if flow else rows_of(RIDGES, 60, 1)
    for row, log_snr in zip(rows, np.linspace(-4, 5, len(rows)), strict=True):
        fm = rfdsm.FlowMatching.from_log_snr(log_snr)
        ou = rfdsm.OrnsteinUhlenbeck.from_log_snr(log_snr)
        assert float(fm.log_snr) == pytest.approx(log_snr, rel=1e-13)
        (a, h), (a_ou, h_ou) = (map(float, x.scales()) for x in (fm, ou))
        square = h / h_ou
        assert a**2 / a_ou**2 == pytest.approx(square, rel=1e-12)
        turning.append(row | {"a": a_ou, "h": h_ou})
        changed = {"lam": row["lam"] * square, "span": row["span"] / square}
        straight.append(row | {"a": a, "h": h} | changed)
        units.append([1 if x in LOSSES else square for x in FIELDS])
    one, other = (table(solved(stacked(x), "ReLU", flow).errors) for x in (straight, turning))
    assert deviation(turning, one * np.array(units), other) < 1e-9


# -- limits ------------------------------------------------------------------------------------


def test_infinitely_much_data():
    """The regression on the population, for every m, with an error of order 1/psi_n."""
    rows = [
        row | {"psi_n": 1e9, "lam": max(row["lam"], 1e-3)} for row in rows_of(RIDGES, 70, 2)
    ]
    errors = solved(stacked(rows)).errors
    for i, row in enumerate(rows):
        with mp.workdps(40):
            law = [tuple(map(mpf, row[x])) for x in ("eigenvalues", "weights")]
            noising = mpf(row["a"]), mpf(row["h"])
            constants = oracle.constants("erf", *noising, mp.fdot(*law))
            numbers = (row["psi_p"], row["lam"], noising, constants, *law)
            known = target_oracle.population_test_loss(
                *numbers, mpf(row["c_x"]), mpf(row["c_z"])
            )
        for name in LOSSES:
            assert float(getattr(errors, name)[i]) == pytest.approx(float(known), rel=1e-6)


def test_nothing_is_learned():
    """λ → ∞: the loss of o = 0, c_x² σx² + c_z²."""
    rows = stacked(rows_of(RIDGES, 71, 2))
    rows["lam"] = jnp.full(RIDGES, 1e12)
    null = rows["c_z"] ** 2
    null += rows["c_x"] ** 2 * jnp.sum(rows["eigenvalues"] * rows["weights"], axis=1)
    errors = solved(rows).errors
    for name in LOSSES:
        np.testing.assert_allclose(getattr(errors, name), null, rtol=1e-9)


# -- derivatives -------------------------------------------------------------------------------


def slopes_of(value, numbers):
    """Central differences of the reference in each number, (errors, numbers)."""
    out = []
    with mp.workdps(50):
        step = mpf("1e-10")
        for i in range(len(numbers)):
            moved = [[mpf(x) for x in numbers] for _ in range(2)]
            moved[0][i] += step
            moved[1][i] -= step
            plus, minus = (value(*x) for x in moved)
            out.append([float((p - q) / (2 * step)) for p, q in zip(plus, minus, strict=True)])
    return np.array(out).T


def said(kind, numbers, target):
    """(a, h) and (c_x, c_z) of the reference."""
    noising, velocity = target_oracle.process(kind, *numbers)
    return noising, target_oracle.target(target, velocity)


def at(row, regression):
    """The reference's errors at a row, as a function of the numbers that `regression` takes."""
    law = [tuple(map(mpf, row[x])) for x in ("eigenvalues", "weights")]
    m = 1 / mpf(row["u"]) if row["u"] else mp.inf

    def value(*numbers):
        noising, pair = regression(*numbers)
        constants = oracle.constants("erf", *noising, mp.fdot(*law), dps=50)
        arguments = (row["psi_n"], row["psi_p"], m, row["lam"], noising, constants, *law)
        return target_oracle.ridge(*arguments, [pair], dps=45)[0]

    return value


SLOPES = {  # in these numbers: their values, the reference's regression, the model's
    "t, angle": (
        (0.4, 0.7),
        lambda t, angle: said("fm", (t,), (-mp.sin(angle), mp.cos(angle))),
        lambda t, angle: (rfdsm.FlowMatching(t), rfdsm.AngleTarget(angle)),
    ),
    "alpha_bar": (
        (0.6,),
        lambda alpha_bar: said("vp", (alpha_bar,), "velocity"),
        lambda alpha_bar: (rfdsm.VariancePreserving(alpha_bar), rfdsm.VelocityTarget()),
    ),
    "sigma, c_x, c_z": (
        (0.8, 0.6, -0.9),
        lambda sigma, *pair: said("ve", (sigma,), pair),
        lambda sigma, *pair: (rfdsm.VarianceExploding(sigma), rfdsm.LinearTarget(*pair)),
    ),
    "t": (
        (0.3,),
        lambda t: said("ou", (t,), "velocity"),
        lambda t: (rfdsm.OrnsteinUhlenbeck(t), rfdsm.VelocityTarget()),
    ),
    "t, of the data": (
        (0.3,),
        lambda t: said("ou", (t,), "data"),
        lambda t: (rfdsm.OrnsteinUhlenbeck(t), rfdsm.DataTarget()),
    ),
    "sigma, sigma_data": (
        (0.5, 1.2),
        lambda *numbers: said("edm", numbers, "preconditioned"),
        lambda *numbers: rfdsm.preconditioned(*numbers).values(),
    ),
}


def both_ways(errors):
    """Jacobians of the errors (x, numbers) -> (errors,), forward and reverse, of a batch."""

    def slopes(x, numbers):
        return [d(partial(errors, x))(numbers) for d in (jax.jacfwd, jax.jacrev)]

    return jax.jit(jax.vmap(slopes))


def hold_against_differences(forward, reverse, truth):
    scale = np.maximum(abs(truth), 1e-3 * abs(truth).max(axis=0))
    for slopes in (forward, reverse):
        assert np.max(abs(slopes - truth) / scale) < 1e-6


def rows_for_slopes():
    rows = rows_of(4, 80, 2)
    for row, u in zip(rows, (0.0, 1.0, 0.4, 0.1), strict=True):
        row |= {"lam": max(row["lam"], 1e-4), "u": u}
    return rows


def as_array(errors):
    return jnp.stack([getattr(errors, x) for x in FIELDS])


def test_derivatives():
    """In a, h, c_x and c_z; a row whose target is y itself is NaN, and spoils no other."""
    names, rows = ("a", "h", "c_x", "c_z"), rows_for_slopes()
    rows.append(rows[0] | {"c_x": -2 * rows[0]["a"], "c_z": -2 * rows[0]["h"] ** 0.5})

    @both_ways
    def slopes(x, numbers):
        model = model_of(x | dict(zip(names, numbers, strict=True)))
        return as_array(model.asymptotics(inverse_m=x["u"]))

    numbers = jnp.array([[row[x] for x in names] for row in rows])
    forward, reverse = map(np.asarray, slopes(stacked(rows), numbers))
    for i, row in enumerate(rows[:-1]):
        regression = at(row, lambda a, h, *pair: ((a, h), pair))
        truth = slopes_of(regression, [row[x] for x in names])
        hold_against_differences(forward[i], reverse[i], truth)
    assert np.all(np.isnan(forward[-1])) and np.all(np.isnan(reverse[-1]))


@pytest.mark.parametrize("name", SLOPES)
def test_derivatives_of_the_regression(name):
    """(a, h, c_x, c_z) in a process' and a target's own numbers."""
    numbers, regression, ingredients = SLOPES[name]

    def coefficients(numbers):
        process, target = ingredients(*numbers)
        found = target.denoising(process)
        pair = jnp.zeros(()) + found.data, jnp.asarray(found.noise, float)
        return jnp.stack([found.noising.a, found.noising.h, *pair])

    truth = slopes_of(lambda *numbers: sum(map(tuple, regression(*numbers)), ()), numbers)
    for derivative in (jax.jacfwd, jax.jacrev):
        found = derivative(coefficients)(jnp.array(numbers))
        np.testing.assert_allclose(found, truth, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOPES)
def test_derivatives_as_users_take_them(name):
    numbers, regression, ingredients = SLOPES[name]

    @both_ways
    def slopes(x, numbers):
        process, target = ingredients(*numbers)
        model = model_of(x, process=process, target=target)
        return as_array(model.asymptotics(inverse_m=x["u"]))

    rows = rows_for_slopes()
    found = slopes(stacked(rows), jnp.array([numbers] * len(rows)))
    for row, *ours in zip(rows, *map(np.asarray, found), strict=True):
        hold_against_differences(*ours, slopes_of(at(row, regression), numbers))


@pytest.mark.slow
def test_second_derivatives():
    """In the time of flow matching and the target's angle: finite, symmetric, and of forward
    over reverse the differences of the first."""

    def error(x, numbers):
        changes = {"process": rfdsm.FlowMatching(numbers[0])}
        changes |= {"target": rfdsm.AngleTarget(numbers[1])}
        return model_of(x, **changes).asymptotics(inverse_m=x["u"]).score_error

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    def slopes(x, numbers):
        gradient = jax.grad(partial(error, x))
        return gradient(numbers), jax.jacfwd(gradient)(numbers)

    rows, numbers, step = stacked(rows_for_slopes()), jnp.array([0.4, 0.7]), 1e-5
    _, bends = slopes(rows, numbers)
    assert np.all(np.isfinite(bends))
    np.testing.assert_allclose(bends, jnp.swapaxes(bends, 1, 2), rtol=1e-6, atol=1e-8)
    for i in range(2):
        move = step * jnp.eye(2)[i]
        plus, minus = (slopes(rows, numbers + sign * move)[0] for sign in (1, -1))
        close = {"rtol": 1e-5, "atol": 1e-6}
        np.testing.assert_allclose(bends[:, :, i], (plus - minus) / (2 * step), **close)


# -- what is refused ---------------------------------------------------------------------------


def test_a_target_that_is_y_is_invalid_and_spoils_no_other():
    """Traced: a status and NaN, of its row alone; so is a coefficient that is not finite."""
    rows = stacked(rows_of(RIDGES, 90, 2))
    fine = solved(rows)
    for c_x, c_z in (
        (-2 * rows["a"][1], -2 * jnp.sqrt(rows["h"][1])),
        (jnp.nan, 1.0),
        (1.0, jnp.inf),
    ):
        pairs = {"c_x": rows["c_x"].at[1].set(c_x), "c_z": rows["c_z"].at[1].set(c_z)}
        solution = solved(rows | pairs)
        invalid = np.asarray(solution.status == Status.invalid_input)
        assert invalid[1] and invalid.sum() == 1
        assert np.all(np.isnan(table(solution.errors)[1]))
        for one, other in zip(table(solution.errors), table(fine.errors), strict=True):
            assert np.all(one == other) or np.all(np.isnan(one))
        assert np.isnan(table(solution.errors)).sum() == len(FIELDS)


@pytest.mark.parametrize(
    "process, target",
    [
        (rfdsm.FlowMatching(0.4), rfdsm.LinearTarget(0.6, 0.4)),
        (rfdsm.OrnsteinUhlenbeck(30.0), rfdsm.NoiseTarget()),
        (rfdsm.OrnsteinUhlenbeck(30.0), rfdsm.ScoreTarget()),
        (rfdsm.VarianceExploding(1e-7), rfdsm.DataTarget()),
    ],
)
def test_a_target_that_is_y_is_refused(process, target):
    with pytest.raises(ValueError, match=r"^[^\n]*proportional to y[^\n]*$"):
        rfdsm.RFDSM(2.0, 3.0, 4.0, lam=0.1, process=process, target=target).asymptotics()


class Given(rfdsm.AbstractTarget):
    """Whatever is given, without a check."""

    pair: tuple = eqx.field(static=True)

    def combination(self, process):
        return self.pair


class Unchecked(Scales):
    def domain(self):
        return []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "kind, process, target, message",
    [
        (TypeError, Scales(1.0, 0.5), Given(1.0), "Given.combination must give two numbers"),
        (TypeError, Scales(1.0, 0.5), Given((1.0, 2.0, 3.0)), "must give two numbers"),
        (TypeError, Scales(1.0, 0.5), Given((1.0, (2.0, 3.0))), "must give two numbers"),
        (ValueError, Scales(1.0, 0.5), rfdsm.LinearTarget(1e200, 1.0), "be finite, below 1e"),
        (ValueError, Unchecked(1.0, -0.5), rfdsm.DataTarget(), "has no noise, h = -0.5"),
    ],
)
def test_mistakes_in_ones_own_kinds_are_told(kind, process, target, message):
    with pytest.raises(kind, match=rf"^[^\n]*{message}[^\n]*$"):
        rfdsm.RFDSM(2.0, 3.0, 4.0, lam=0.1, process=process, target=target)
