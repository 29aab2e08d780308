"""`rfdsm demo`: theory and simulation meet, on the paper's setting and on real images."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from . import plotting, predict
from .activations import Tanh
from .comparison import relative_gap
from .data import Gaussian
from .errors import Errors, Status
from .files import whole_file
from .model import RFDSM

NAMES = ("test_loss", "train_loss", "memorization_loss")
GRID = np.geomspace(0.2, 200, 241)


class Setting(NamedTuple):
    """A model, the dimension and trials of its simulation, its points."""

    title: str
    file: str
    model: RFDSM
    d: int
    trials: int
    points: dict[float, tuple[float, ...]]  # psi_p of the simulated points, for each m


class Curve(NamedTuple):
    """Theory on `GRID`, and simulation with the theory at its points, for one m."""

    m: float
    theory: Errors
    x: np.ndarray
    means: Errors
    bars: Errors
    theory_at_x: Errors


def gaussian() -> Setting:
    """The paper's isotropic Gaussian setting."""
    return Setting(
        r"isotropic Gaussian data, tanh, $t = 0.1$, $\lambda = 10^{-3}$, $\psi_n = 8$",
        "gaussian.png",
        RFDSM(psi_n=8, psi_p=1, m=1, t=0.1, lam=1e-3, activation=Tanh(), data=Gaussian()),
        48,
        6,
        {
            1: (0.5, 2.0, 8.0, 32.0),
            4: (2.0, 8.0, 32.0),
            16: (8.0, 32.0),
            math.inf: (2.0, 8.0, 32.0),
        },
    )


def digits() -> predict.Plan:
    """Scikit-learn's handwritten digits, over the number of training points."""
    return predict.plan(
        predict.load(None),
        "n=32:512:21",
        m=(1, 4, math.inf),
        psi_p=3,
        t=0.1,
        lam=1e-2,
        classes=1,  # what the spread of leverage says too
        verify=(8, 3),
    )


def run(out: Path, advance: Callable[[str], None] = lambda step: None) -> str:
    """Write both figures and a summary into the folder `out`; return the summary.

    Args:
        out: the folder, made where it is missing.
        advance: called with the name of each finished step, `steps()` in all.
    """
    out.mkdir(parents=True, exist_ok=True)  # a bad place is refused before the work, not after
    setting, plan = gaussian(), digits()
    curves = [_curve(setting, m, points, advance) for m, points in setting.points.items()]
    plotting.save(_figure(setting, curves), out / setting.file)
    advance(setting.file)
    prediction, trust = predict.run(plan, lambda line: None, advance)
    plotting.save(predict.figure(prediction), out / "digits.png")
    paragraphs = (
        _describe(setting, curves, out / setting.file),
        _describe_digits(prediction, trust, out / "digits.png"),
    )
    summary = "\n\n".join(paragraphs) + "\n"
    with whole_file(out / "summary.txt") as partial:
        partial.write_text(summary, encoding="utf-8")
    return summary


def steps() -> int:
    """How often `run` calls `advance`."""
    return 1 + sum(map(len, gaussian().points.values())) + predict.steps(digits())


def _curve(setting: Setting, m: float, points, advance) -> Curve:
    model = setting.model.replace(m=m)
    solve = jax.jit(jax.vmap(lambda x: model.replace(psi_p=x).solve()))
    solution = solve(jnp.asarray(GRID))
    assert bool(jnp.all(solution.status == Status.success)), "the demo's theory converges"
    means, bars, theory = [], [], []
    for psi_p in points:
        at_point = model.replace(psi_p=psi_p)
        key = jax.random.fold_in(jax.random.key(2502), round(1000 * psi_p))
        runs = at_point.simulate(key, setting.d, setting.trials)
        means.append(runs.mean())
        bars.append(runs.standard_error())
        theory.append(at_point.at(runs.sizes).asymptotics())
        advance(f"m = {_name(m)}, psi_p = {psi_p:g}")
    return Curve(m, solution.errors, np.asarray(points), *map(_stack, (means, bars, theory)))


def _stack(errors: list[Errors]) -> Errors:
    return jax.tree.map(lambda *values: jnp.stack(values), *errors)


def _name(m: float) -> str:
    return "∞" if math.isinf(m) else f"{m:g}"


def _figure(setting: Setting, curves: list[Curve]):
    figure, axes = plotting.panels(NAMES, setting.title)
    psi_n = float(setting.model.psi_n)
    for curve, colour in zip(curves, plotting.colours(len(curves)), strict=True):
        label = f"$m$ = {_name(curve.m)}"
        plotting.draw_theory(axes, GRID, curve.theory, color=colour, label=label)
        plotting.draw_runs(axes, curve.x, curve.means, curve.bars, color=colour)
        peak = curve.m * psi_n
        if peak <= GRID[-1]:
            axes["test_loss"].axvline(peak, color=colour, linewidth=0.7, linestyle=":")
    baseline = float(setting.model.baselines().linear)
    for name, ax in axes.items():
        if name != "train_loss":
            ax.axhline(baseline, color="0.5", linewidth=0.8, linestyle="--")
        ax.axvline(psi_n, color="0.8", linewidth=0.7, zorder=0)
        ax.set_ylim(bottom=0)
    axes["train_loss"].legend(loc="lower left", frameon=False, fontsize=8)
    ax = axes["memorization_loss"]
    note = {"fontsize": 7, "color": "0.35"}
    ax.text(GRID[0], 0.97 * baseline, "best linear score", va="top", **note)
    ax.text(psi_n, 0, " $p = n$", va="bottom", **note)
    return figure


def _describe(setting: Setting, curves: list[Curve], path: Path) -> str:
    psi_n = float(setting.model.psi_n)
    linear = float(setting.model.baselines().linear)
    lines = [f"{path}: lines are theory, dots the trained network (d = {setting.d})."]
    for curve in curves:
        test = np.asarray(curve.theory.test_loss)
        peaks = 1 + np.flatnonzero((np.diff(test[:-1]) > 0) & (np.diff(test[1:]) <= 0))
        if peaks.size:
            peak = peaks[np.argmax(test[peaks])]
            lines.append(
                f"  m = {_name(curve.m)}: the test loss peaks at psi_p = {GRID[peak]:.3g}, at "
                f"{test[peak]:.3g}; p = n m, interpolation, is at {curve.m * psi_n:g}."
            )
        else:
            lines.append(f"  m = {_name(curve.m)}: the test loss has no interpolation peak.")
    infinite = curves[-1].theory
    gap = np.interp(
        np.log(psi_n * np.array([1 / 8, 1, 8])),
        np.log(GRID),
        np.asarray(infinite.memorization_gap),
    )
    memorises = np.asarray(infinite.memorization_loss) < linear
    lines.append(
        f"  m = ∞: the crossover at p = n (psi_p = {psi_n:g}) is smooth: test loss minus "
        f"memorization loss is {gap[0]:.2f} at p = n/8, {gap[1]:.2f} at p = n, {gap[2]:.2f} at "
        f"p = 8 n. From psi_p = {GRID[np.argmax(memorises)]:.3g} on, training points are "
        f"denoised better than the best linear score can ({linear:.3g}): memorisation."
    )
    for name in NAMES:
        gaps = np.concatenate([relative_gap(c.means, c.theory_at_x, name) for c in curves])
        lines.append(
            f"  {plotting.LABELS[name]}: network and theory differ by "
            f"{100 * np.median(gaps):.1f} % in the median, {100 * np.max(gaps):.0f} % at most."
        )
    return "\n".join(lines)


def _describe_digits(prediction: predict.Prediction, trust: list[str], path: Path) -> str:
    lines = [
        f"{path}: dots are networks trained on the real images; full lines are the theory "
        "of their measured moments, dashed ones that of Gaussian data of their covariance.",
        *(f"  {line}" for line in predict.summary(prediction)),
        *(f"  {line}" for line in trust),
    ]
    return "\n".join(lines)
