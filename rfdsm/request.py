"""What `rfdsm tune` is asked for, checked, and carried out."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import starmap
from typing import Any, NamedTuple

import jax
import numpy as np

from . import options, plotting
from .data import Gaussian, Samples
from .measuring import measure
from .model import RFDSM
from .moments import Moments
from .processes import OrnsteinUhlenbeck
from .settings import FULL
from .training import GradientFlow, Ridge
from .tuning import Progress, at_least, at_most, over_times, tune
from .tuning.goals import COSTS, NEED_TRUE_SCORE
from .tuning.tune import request as problem_of
from .tuning.variables import DEFAULT_BOUNDS

NUMBERS = ("psi_n", "psi_p", "m", "process.t", "training.lam", "training.tau")
STARTS, WIDTHS, TRIALS = 256, 5, 8  # unless told
MEASURED_PSI_P = (0.5, 6.0)  # bounds of psi_p on data, unless told

Report = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Report nothing."""


class Plan(NamedTuple):
    """What is asked for, checked as far as it can be before any work.

    Attributes:
        model: its fixed numbers, and the start of those that are free.
        free: bounds by name. error: the objective's error. times: it is summed over; or none.
        subject_to, budget, starts: as `tune` takes them.
        shown: one or two free names, for the figure.
        verify: dimension (None: the data's) and trials of networks; None: not asked for.
        widths: values of psi_p at which moments are measured; empty without data.
        about: the data in words; "" for a Gaussian law.
        seed: of everything random.
    """

    model: RFDSM
    free: dict[str, tuple[float, float]]
    error: str
    times: tuple[float, ...]
    subject_to: tuple
    budget: dict[str, float] | None
    starts: int
    shown: tuple[str, ...]
    verify: tuple[int | None, int] | None
    widths: tuple[float, ...]
    about: str
    seed: int

    @property
    def objective(self) -> Any:
        """As `tune` takes it."""
        return over_times(self.times, error=self.error) if self.times else self.error

    @property
    def label(self) -> str:
        """The objective in words."""
        over = f" over t = {', '.join(f'{t:g}' for t in self.times)}" if self.times else ""
        return words(self.error) + over


def plan(settings: Mapping[str, Any], points: Any = None) -> Plan:
    """Check a request and fill in what it leaves open.

    Args:
        settings: of `settings.checked`.
        points: of `predict.load`; None: the Gaussian law of the eigenvalues.

    Raises:
        ValueError: what is missing, contradictory, out of its domain, or not known of data.
    """
    free = settings.get("free")
    if not free:
        raise ValueError("nothing is free: name what to tune, as in --free psi_p=0.1:100.")
    free = {name: bounds or _usual(name, points) for name, bounds in free.items()}
    least, most = (settings.get(name, {}) for name in ("at_least", "at_most"))
    error = settings.get("objective", "score_error" if points is None else "test_loss")
    times = tuple(settings.get("over_times", ()))
    _require_known(error, times, free, {*least, *most}, points)
    if times and {*least, *most} <= set(COSTS):  # else constraints hold at the t that is given
        settings = {"t": times[0], **settings}
    model = _model(settings, free, _data(settings, points))
    widths: tuple[float, ...] = ()
    if points is not None:
        free, widths = _measured(free, model, settings.get("widths", WIDTHS), points)
        model = model.replace(psi_p=widths[len(widths) // 2])
    asked = Plan(
        model,
        free,
        error,
        times,
        (*starmap(at_least, least.items()), *starmap(at_most, most.items())),
        settings.get("budget"),
        settings.get("starts", STARTS),
        _shown(settings.get("landscape"), free),
        _networks(settings.get("verify"), points),
        widths,
        ""
        if points is None
        else "{}: {} points, $d = {}$".format(points.name, *points.X.shape),
        settings.get("seed", 0),
    )
    _require_sound(asked)
    return asked


def moments(
    asked: Plan, note: Callable[[str], None], report: Report = silent
) -> Moments | list[Moments] | None:
    """The moments at each width of the plan, one where psi_p is not free; None without data.

    In as many classes as the widest chooses: widths must agree to be interpolated.
    """
    if not asked.widths:
        return None
    key, several = jax.random.key(asked.seed), len(asked.widths) > 1
    halves = False if several else None  # not kept between widths
    measured: list[Moments] = []
    with warnings.catch_warnings():
        # Said at the optimum by `optimum.sampling`.
        warnings.filterwarnings("ignore", message="N = .* points give the test loss")
        for number, width in enumerate(reversed(asked.widths)):
            report(Progress("moments", number, len(asked.widths)))
            measured.append(
                measure(
                    asked.model.replace(psi_p=width),
                    jax.random.fold_in(key, number),
                    classes=measured[0].classes if measured else None,
                    halves=halves,
                    report=note,
                )
            )
    return measured if several else measured[0]


def run(asked: Plan, measured: Any = None, report: Report = silent) -> Any:
    """The `Tuned` of a plan; `measured` of `moments`.

    Raises:
        ValueError: as `tune`.
    """
    return tune(
        asked.model,
        asked.free,
        asked.objective,
        asked.subject_to,
        asked.budget,
        asked.starts,
        moments=measured,
        report=report,
    )


def verify(asked: Plan, tuned: Any, report: Report = silent) -> Any:
    """The `Verification` of a plan; None where it was not asked for."""
    if asked.verify is None:
        return None
    d, trials = asked.verify
    return tuned.verify(jax.random.key(asked.seed), d, trials, report=report)


def short(name: str) -> str:
    """A number's name on the command line: lam of training.lam."""
    return {long: short for short, long in FULL.items()}.get(name, name)


def pair(name: str, value: float) -> str:
    """A number and its value."""
    return f"{short(name)} = {value:.5g}".replace("inf", "∞")


def words(name: str) -> str:
    """An error or cost in words."""
    return plotting.LABELS.get(name, name.replace("_", " "))


def bounded(constraint) -> str:
    """A constraint in words."""
    sign = "≤" if constraint.sense > 0 else "≥"
    return f"{words(constraint.goal.label)} {sign} {float(constraint.bound):g}"


def _data(settings, points):
    if points is None:
        return Gaussian(settings.get("eigenvalues", [1.0]), settings.get("weights"))
    for name in ("eigenvalues", "weights"):
        if name in settings:
            raise ValueError(
                f"--{name} is of Gaussian data, and DATA has its own: leave it out."
            )
    return Samples(points.X)


def _usual(name: str, points) -> tuple[float, float]:
    """Bounds where none were given."""
    if name not in DEFAULT_BOUNDS and "." not in name:
        raise ValueError(
            f"--free has no {name!r}: the numbers are {', '.join(map(short, DEFAULT_BOUNDS))}, "
            "and dotted ones such as activation.slope."
        )
    if name not in DEFAULT_BOUNDS:
        raise ValueError(f"{name} needs bounds, as in --free {name}=0.1:1.")
    if points is not None and name == "psi_n":
        N, d = points.X.shape
        return max(1.0, min(d / 2, N / 8)) / d, N / 2 / d
    if points is not None and name == "psi_p":
        return MEASURED_PSI_P
    return DEFAULT_BOUNDS[name]


def _model(settings, free, data) -> RFDSM:
    """The model of the fixed numbers; a free one that is not given starts in the middle."""
    flow = "tau" in settings or "training.tau" in free
    values = {}
    for name in NUMBERS:
        word = short(name)
        if word in settings:
            values[word] = settings[word]
        elif name in free:
            values[word] = _middle(name, *free[name])
        elif name == "training.lam" and flow:
            values[word] = 0.0
        elif name != "training.tau":
            option = word.replace("_", "-")
            raise ValueError(f"--{option} is missing: give it, or make it free, --free {word}.")
    lam = values["lam"]
    return RFDSM(
        values["psi_n"],
        values["psi_p"],
        values["m"],
        process=OrnsteinUhlenbeck(values["t"]),
        training=GradientFlow(values["tau"], lam) if flow else Ridge(lam),
        activation=options.activation(settings.get("activation", "tanh")),
        data=data,
    )


def _middle(name: str, low: float, high: float) -> float:
    """A number between bounds, on the scale it is searched on; any where they are no bounds."""
    if not (0 < low < high and (math.isfinite(high) or name == "m")):
        return math.sqrt(math.prod(DEFAULT_BOUNDS[name])) if name != "m" else 2.0
    return 2 / (1 / low + 1 / high) if name == "m" else math.sqrt(low * high)


def _measured(free, model: RFDSM, count: int, points):
    """Bounds of psi_p at whole features, and the widths to measure at.

    Raises:
        ValueError: no network is so narrow, too few widths, or no points left to test on.
    """
    N, d = points.X.shape
    psi_n, psi_p = float(model.psi_n), float(model.psi_p)
    n = free.get("psi_n", (psi_n, psi_n))[1] * d
    if not n < N:
        raise ValueError(
            f"psi_n = {n / d:g} is n = {n:g} of {N} points: leave one out at least."
        )
    low, high = free.get("psi_p", (psi_p, psi_p))
    if not (0.5 < low * d and high < math.inf):
        raise ValueError(f"psi_p = {low:g} at d = {d} gives no network: take more than 1/d.")
    if "psi_p" not in free:
        return free, (round(psi_p * d) / d,)
    if not (low < high and count >= 2):
        raise ValueError(
            f"psi_p is free between at least two measured widths, got {low:g} to {high:g} in "
            f"--widths {count}."
        )
    widths = tuple(np.unique(np.round(np.geomspace(low, high, count) * d)) / d)
    if len(widths) < 2:
        raise ValueError(f"psi_p from {low:g} to {high:g} is one width at d = {d}.")
    return free | {"psi_p": (widths[0], widths[-1])}, widths


def _require_known(error, times, free, constrained, points) -> None:
    """Refuse what --over-times or DATA do not know."""
    if times and "process.t" in free:
        raise ValueError("t is free, and --over-times sets it: leave one out.")
    if points is None:
        return
    if times:
        raise ValueError(
            "--over-times needs other times than the one that DATA is measured at."
        )
    for name in free:
        if name.partition(".")[0] in ("process", "activation", "data"):
            raise ValueError(f"{short(name)} cannot be free on DATA, which is measured at one.")
    for name in {error, *constrained} & {*NEED_TRUE_SCORE}:
        raise ValueError(f"{name} is not known on DATA, whose true score is not: test_loss is.")


def _require_sound(asked: Plan) -> None:
    """Refuse what `tune`, or networks to verify with, would refuse later."""
    if asked.starts < 1:
        raise ValueError(f"--starts must be at least 1, got {asked.starts}.")
    model, free = asked.model, asked.free
    problem_of(model, free, asked.objective, asked.subject_to, asked.budget)
    if asked.verify:
        whole = model.replace(m=math.ceil(free["m"][0])) if "m" in free else model
        jax.eval_shape(lambda key: whole.simulate(key, *asked.verify), jax.random.key(0))


def _shown(names: Sequence[str] | None, free) -> tuple[str, ...]:
    """The numbers that the figure shows."""
    if names is None:
        return tuple(free)[:2]
    if not 1 <= len(names) <= 2 or len(set(names)) < len(names) or not set(names) <= set(free):
        raise ValueError(
            f"--landscape takes one or two of the free {', '.join(map(short, free))}, got "
            f"{','.join(map(short, names))}."
        )
    return tuple(names)


def _networks(asked, points) -> tuple[int | None, int] | None:
    """Dimension and trials to verify with."""
    if asked is None:
        return None
    known = {"d", "trials"} if points is None else {"trials"}
    trials = asked.get("trials", TRIALS)
    if set(asked) - known or (points is None and "d" not in asked) or trials < 2:
        example = "d=64,trials=8" if points is None else "trials=8 (d is the data's)"
        got = ",".join(f"{name}={value}" for name, value in asked.items())
        raise ValueError(f"--verify takes {example}, at least 2 trials, got {got}.")
    return asked.get("d"), trials
