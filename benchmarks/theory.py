"""Batched theory against `scipy.optimize.root`, and against arithmetic that nobody can avoid.

Ours starts from the model's numbers: constants of tanh, equations, all six errors, a status.
SciPy's peer and the loop of Newton steps are given the constants and solve the equations alone.
"""

import jax
import jax.numpy as jnp
import numpy as np

import rfdsm

from .equations import coefficients, newton, one_atom, solve_with_root, starts, wide_box
from .figures import Figure, at_least, at_most
from .timing import compiled, in_turns, ratio

POINTS, PEER_POINTS, TURNS = 100_000, 2_000, 15
PIECE = 25_000  # points whose intermediate arrays malloc keeps; larger ones it hands back
ATOMS = np.linspace(0.1, 1.9, 16)
NUMBERS = "psi_n, psi_p, 1/m, lam, t"
SCIPY = "scipy.optimize.root, equations alone"


def solve(numbers, data=None, **how) -> rfdsm.Solution:
    """One point of the batch."""
    psi_n, psi_p, u, lam, t = numbers
    model = rfdsm.RFDSM(psi_n=psi_n, psi_p=psi_p, m=2.0, lam=lam, t=t, data=data)
    return model.solve(inverse_m=u, **how)


def test_loss(numbers):
    """One error of a point."""
    return solve(numbers).errors.test_loss


def whole_model(model):
    """One error of a model, all of whose numbers may be traced."""
    return model.solve().errors.test_loss


def model_of(numbers) -> rfdsm.RFDSM:
    """The model of a point."""
    psi_n, psi_p, u, lam, t = numbers
    return rfdsm.RFDSM(psi_n=psi_n, psi_p=psi_p, m=1 / u, lam=lam, t=t)


def against_scipy(what, program, numbers, rows, atoms, limit) -> Figure:
    """A batch and `scipy.optimize.root` in turns."""
    status = program(numbers).status
    assert bool(jnp.all(status == rfdsm.Status.success))
    solved = solve_with_root(rows, atoms) / len(rows)
    ours, theirs = in_turns(
        TURNS, lambda: program(numbers), lambda: solve_with_root(rows, atoms)
    )
    scale = POINTS / len(rows)
    times = scale * ratio(theirs, ours)
    value, peer = POINTS / np.median(ours), len(rows) / np.median(theirs)
    note = f"SciPy solves {solved:.1%}"
    return Figure(
        what, value, "points/s", SCIPY, peer, times, **at_least(limit, times), note=note
    )


def in_pieces(function):
    """A batch of so many rows that it is faster in pieces."""
    return lambda batch: jax.lax.map(function, batch, batch_size=PIECE)


def in_float32(what, program, numbers) -> Figure:
    """A batch with the bound on its rounding, and the same in float64, in turns."""
    short = tuple(each.astype(jnp.float32) for each in numbers)
    single, _ = compiled(jax.vmap(lambda x: solve(x, precision="float32")), short)
    refused = jnp.mean(single(short).status == rfdsm.Status.needs_float64)
    ours, theirs = in_turns(TURNS, lambda: single(short), lambda: program(numbers))
    value, peer = (POINTS / np.median(each) for each in (ours, theirs))
    note = f"refuses {refused:.1%}"
    return Figure(what, value, "points/s", "in float64", peer, ratio(theirs, ours), note=note)


def derivatives(name, function, batch) -> list[Figure]:
    """The value with its gradient against the value alone."""
    value, _ = compiled(jax.vmap(function), batch)
    both, seconds = compiled(in_pieces(jax.value_and_grad(function)), batch)
    times = in_turns(TURNS, lambda: both(batch), lambda: value(batch))
    more = ratio(*times)
    with_gradient, alone = map(np.median, times)
    what = f"test loss and its derivatives in {name}, {POINTS:,} points in pieces of {PIECE:,}"
    rate = POINTS / with_gradient
    return [
        Figure(
            f"{what}: time",
            with_gradient,
            "s",
            "the loss alone",
            alone,
            more,
            **at_most(4, more),
        ),
        Figure(f"{what}: rows", rate, "rows/s", note=f"compiles in {seconds:.1f} s"),
    ]


def run() -> list[Figure]:
    """The comparison."""
    box = wide_box(POINTS)
    numbers = tuple(map(jnp.asarray, box))
    known = coefficients(*box)
    rows = np.stack(known, 1)[:PEER_POINTS].tolist()

    batch, seconds = compiled(jax.vmap(solve), numbers)
    what = f"six errors at {POINTS:,} random points"
    isotropic = against_scipy(f"{what}, isotropic", batch, numbers, rows, (), 500)

    data = rfdsm.Gaussian(ATOMS)
    several, more_seconds = compiled(in_pieces(lambda x: solve(x, data)), numbers)
    atoms = [(sigma, 1 / len(ATOMS)) for sigma in ATOMS.tolist()]
    sixteen = against_scipy(f"{what}, {len(ATOMS)} atoms", several, numbers, rows, atoms, 250)

    loop = type(known)(*map(jnp.asarray, known)), jnp.asarray(starts(known))
    arithmetic, _ = compiled(newton, *loop)
    found = np.asarray(arithmetic(*loop))
    logs = np.log([found.real, found.imag])
    wrong = max(max(map(abs, one_atom(logs[:, i], *rows[i]))) for i in range(PEER_POINTS))
    assert wrong < 1e-12
    times = in_turns(TURNS, lambda: batch(numbers), lambda: arithmetic(*loop))
    share = ratio(*times)
    limit = Figure(
        f"{what}, isotropic: time",
        np.median(times[0]),
        "s",
        "seven Newton steps alone, constants given",
        np.median(times[1]),
        share,
        **at_most(3, share),
    )
    models = jax.vmap(model_of)(numbers)
    return [
        isotropic,
        limit,
        in_float32(f"{what}, isotropic, in float32", batch, numbers),
        sixteen,
        Figure(f"{what}, isotropic: compiling", seconds, "s"),
        Figure(f"{what}, {len(ATOMS)} atoms: compiling", more_seconds, "s"),
        *derivatives(NUMBERS, test_loss, numbers),
        *derivatives("all numbers of the model", whole_model, models),
    ]
