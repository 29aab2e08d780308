"""What `rfdsm tune` is asked for, checked as far as it can be before any work."""

import math
from collections.abc import Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from ...errors import NEED_TRUE_SCORE
from ...ingredients.data import Samples
from ...ingredients.moments import Moments
from ...model import RFDSM
from ...parameters.checks import positive_integer
from ...parameters.numbers import Number, declared, escaped, numbers
from ...parameters.scales import LINEAR
from ...progress import LONG
from ...tuning import at_least, at_most, over_times, roads
from ...tuning.goals import COSTS
from ...tuning.minimise import problem_of
from .. import options
from .settings import FREE, NETWORKS, SHORT

if TYPE_CHECKING:  # a room that takes long to import
    from ...sweeps.prediction import Points

STARTS, WIDTHS = 256, 5  # unless told
MEASURED_PSI_P = (0.5, 6.0)  # bounds of psi_p on data, unless told
# What of these is not given is free on data, where nothing is named.
FREE_ON_DATA = "psi_p", "training.lam", "m"
PROGRAMS, SOLVES = 20.0, 4  # seconds to compile a search with moments; its solves, usually


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
    def key(self) -> jax.Array:
        """Of everything random."""
        return jax.random.key(self.seed)

    @property
    def objective(self) -> Any:
        """As `tune` takes it."""
        return over_times(self.times, error=self.error) if self.times else self.error

    @property
    def arguments(self) -> tuple:
        """Those of `tune`, up to its starts."""
        return self.model, self.free, self.objective, self.subject_to, self.budget, self.starts

    def estimate(self, moments: Sequence[Moments]) -> str | None:
        """A line on the time of a search with these moments, where it is long."""
        p = max((np.sum(each.p) for each in moments), default=0)  # of both, where two
        solves = 1 if any(each.parts is None for each in moments) else 3
        derivatives = 5e-10 * roads.work(moments) * (1 + len(self.free)) if moments else 0.0
        each = solves * (0.02 * len(moments) + derivatives)
        if SOLVES * each < LONG:
            return None
        return (
            f"searching with moments of up to {p} features: about {SOLVES} solves of "
            f"{each:.2g} s, and {PROGRAMS:.0f} s to compile"
        )


def points(settings: Mapping[str, Any]) -> "Points | None":
    """The points that are asked about; None for Gaussian data."""
    name, of_data = settings.get("data"), ("as_is", "scale", *options.OF_FILE)
    told = {each: settings[each] for each in of_data if each in settings}
    if name is None:
        for each in (each for each, value in told.items() if value):
            raise ValueError(f"{options.spelled(each)} is of DATA, and none was given.")
        if "widths" in settings:
            raise ValueError("--widths is of DATA, and none was given.")
        return None
    from ...sweeps.prediction import load

    return load(None if name == "digits" else Path(name), **told)


def plan(settings: Mapping[str, Any], points: "Points | None" = None) -> Plan:
    """Check a request and fill in what it leaves open.

    Args:
        settings: of `settings.checked`.
        points: of `prediction.load`; None: the Gaussian law of the eigenvalues.

    Raises:
        ValueError: what is missing, contradictory, out of its domain, or not known of data.
    """
    free = settings.get("free")
    if not free and points is not None:
        free = _usual_free(settings)
    if not free:
        raise ValueError("nothing is free: name what to tune, as in --free psi_p=0.1:100.")
    kinds, told = _kinds(settings, free)
    about = declared(RFDSM, kinds)
    free = {name: _bounds(name, about, bounds, points) for name, bounds in free.items()}
    least, most = (settings.get(name, {}) for name in ("at_least", "at_most"))
    error = settings.get("objective", _usual_error(free, points))
    times = tuple(settings.get("over_times", ()))
    if times and "process.t" in free:
        raise ValueError("t is free, and --over-times sets it: leave one out.")
    if times and "process.t" not in about:
        raise ValueError("--over-times are of a process with a t: take --process ou or fm.")
    if points is not None:
        _require_known(settings, {error, *least, *most})
    elif times and {*least, *most} <= {*COSTS} and "process.t" not in told:
        settings = {"t": times[0], **settings}  # else constraints hold at the t given
    middles = {
        name: _middle(about[name], *bounds)
        for name, bounds in free.items()
        if not about[name].many and name not in told
    }
    model = _model({**middles, **settings}, points)
    widths: tuple[float, ...] = ()
    if points is not None:
        free, widths = _measured(free, model, settings.get("widths", WIDTHS), points)
        model = model.replace(psi_p=widths[len(widths) // 2])
    asked = Plan(
        model=model,
        free=free,
        error=error,
        times=times,
        subject_to=(*starmap(at_least, least.items()), *starmap(at_most, most.items())),
        budget=settings.get("budget"),
        starts=settings.get("starts", STARTS),
        shown=_shown(settings.get("landscape"), free),
        verify=_networks(settings.get("verify"), points),
        widths=widths,
        about=_about(points) if points else "",
        seed=settings.get("seed", 0),
    )
    # What `tune`, or networks to verify with, would refuse later.
    positive_integer(asked.starts, "--starts")
    problem_of(*asked.arguments[:-1])
    if asked.verify:
        about = numbers(model)
        whole = {name: math.ceil(free[name][0]) for name in free if about[name].integer}
        if points is not None:  # some must be left to test on, wherever the optimum is
            whole |= {name: free[name][1] for name in free if about[name].count == "n"}
        simulate = model.replace(**whole).simulate
        jax.eval_shape(lambda key: simulate(key, *asked.verify), jax.random.key(0))
    return asked


def _about(points: "Points") -> str:
    """The points in a figure's words."""
    return "{}: {} points, $d = {}$".format(escaped(points.name), *points.X.shape)


def _usual_free(settings: Mapping[str, Any]) -> dict[str, None]:
    """What is tuned on data where nothing is named: what is not given."""
    given = {*settings}
    left = [name for name in FREE_ON_DATA if not {name, short(name)} & given]
    if "training" in given:  # of which lam may be no number
        left = [name for name in left if not name.startswith("training.")]
    return dict.fromkeys(left)


def _usual_error(free: Mapping[str, Any], points: "Points | None") -> str:
    """The error to make small, on data a loss in one unit for all targets that are tried."""
    if points is None:
        return "score_error"
    targets = any(name.startswith("target.") for name in free)
    return "noise_loss" if targets else "test_loss"


def short(name: str) -> str:
    """A number's name on the command line: lam of training.lam."""
    return SHORT.get(name, name)


def _kinds(
    settings: Mapping[str, Any], free: Mapping[str, Any]
) -> tuple[dict[str, type], set[str]]:
    """The kinds of ingredients that are asked for, and the numbers that their texts told.

    Raises:
        ValueError: what is free is no number, or numbers that belong to no kind together.
    """
    for name in free:
        number = declared(RFDSM).get(name)
        if number is None or number.fixed:
            raise ValueError(f"--free has no {name!r}: the numbers are {', '.join(FREE)}.")
    chosen = options.chosen({**free, **settings})
    told = {f"{owner}.{name}" for owner, (_, numbers) in chosen.items() for name in numbers}
    return {owner: kind for owner, (kind, _) in chosen.items() if kind}, told


def _bounds(
    name: str, about: Mapping[str, Number], given: Any, points: "Points | None"
) -> tuple[float, float]:
    """Bounds as given, or the usual ones."""
    number = about[name]
    if given is not None:
        return given
    if points is not None and number.count == "n":
        N, d = points.X.shape
        return max(1.0, min(d / 2, N / 8)) / d, N / 2 / d
    if points is not None and number.count == "p":
        return MEASURED_PSI_P
    if number.bounds is None:
        raise ValueError(f"{name} needs bounds, as in --free {short(name)}=0.1:1.")
    return number.bounds


def _model(settings: Mapping[str, Any], points: "Points | None") -> RFDSM:
    """The model of the numbers that are given, or where free ones start."""

    def missing(option: str, name: str) -> str:
        return f"{option} is missing: give it, or make it free, --free {name}."

    known: dict[str, Any] = {}
    if points is not None:
        from ...sweeps.prediction import usual

        known = {"data": Samples(points.X), **usual(points.X)}
    return options.model({**settings}, missing, **known)


def _middle(number: Number, low: float, high: float) -> float:
    """The middle, as the number is spaced; of the usual bounds where these are none."""
    finite = math.isfinite(low) and (math.isfinite(high) or number.scale.inverse)
    allowed = low > 0 or number.scale == LINEAR or number.bounds is None
    if not (low < high and finite and allowed):
        low, high = number.bounds or (1.0, 1.0)
    scale = number.scale.between(low, high)
    return float(scale.number(scale.grid(low, high, 3)[1]))


def _measured(
    free: dict[str, Any], model: RFDSM, count: int, points: "Points"
) -> tuple[dict[str, Any], tuple[float, ...]]:
    """Bounds of psi_p at whole features, and the widths to measure at.

    Raises:
        ValueError: what a measurement fixes is free, no network is so narrow, too few
            widths, or no points left to test on.
    """
    about = numbers(model)
    for name in free:
        if name in about and about[name].measured and about[name].count != "p":
            raise ValueError(f"{short(name)} cannot be free on DATA, which is measured at one.")
    N, d = points.X.shape
    psi_n, psi_p = float(model.psi_n), float(model.psi_p)
    n = free.get("psi_n", (psi_n, psi_n))[1] * d
    if n > N * (1 + 1e-9):
        raise ValueError(
            f"psi_n = {n / d:g} is n = {n:g}, and DATA are {N} points: take fewer."
        )
    low, high = free.get("psi_p", (psi_p, psi_p))
    if not (0.5 < low * d and high < math.inf):
        raise ValueError(f"psi_p = {low:g} at d = {d} gives no network: take more than 1/d.")
    if "psi_p" not in free:
        return free, (round(psi_p * d) / d,)
    if not model.ensemble.shared.features:
        raise ValueError(
            "psi_p cannot be free on DATA for networks with their own W, measured at one: give "
            "--psi-p, or --ensemble N,share=features."
        )
    if not (low < high and count >= 2):
        raise ValueError(
            f"psi_p is free between at least two measured widths, got {low:g} to {high:g} in "
            f"--widths {count}."
        )
    widths = tuple(np.unique(np.round(np.geomspace(low, high, count) * d)) / d)
    if len(widths) < 2:
        raise ValueError(f"psi_p from {low:g} to {high:g} is one width at d = {d}.")
    return free | {"psi_p": (widths[0], widths[-1])}, widths


def _require_known(settings: Mapping[str, Any], errors: set[str]) -> None:
    """Refuse what DATA do not know."""
    if settings.get("over_times"):
        raise ValueError(
            "--over-times needs other times than the one that DATA is measured at."
        )
    for name in errors & {*NEED_TRUE_SCORE}:
        raise ValueError(f"{name} is not known on DATA, whose true score is not: test_loss is.")
    for name in options.LISTS:
        if name in settings:
            raise ValueError(
                f"--{name} is of Gaussian data, and DATA has its own: leave it out."
            )


def _shown(names: Sequence[str] | None, free: Mapping[str, Any]) -> tuple[str, ...]:
    """The numbers that the figure shows."""
    if names is None:
        return tuple(free)[:2]
    if not 1 <= len(names) <= 2 or len(set(names)) < len(names) or not set(names) <= set(free):
        raise ValueError(
            f"--landscape takes one or two of the free {', '.join(map(short, free))}, got "
            f"{','.join(map(short, names))}."
        )
    return tuple(names)


def _networks(asked: Any, points: "Points | None") -> tuple[int | None, int] | None:
    """Dimension and trials to verify with."""
    usual = {"trials": NETWORKS.usual["trials"]} if points is not None else NETWORKS.usual
    found = NETWORKS._replace(usual=usual).read(asked)
    return found and (found.get("d"), found["trials"])
