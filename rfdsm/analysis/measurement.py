"""Measuring the moments of features on data (docs/theory.md section 12)."""

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .. import asymptotics as _theory
from .._numerics.linalg import stacked
from .._numerics.memory import require_memory
from ..ingredients.cross_moments import CrossMoments
from ..ingredients.data import Samples, sample_matrix
from ..ingredients.ensembles import Single
from ..ingredients.moments import Moments
from ..ingredients.processes import AbstractProcess
from ..ingredients.rotated import Parts
from ..ingredients.training import AbstractTraining, Ridge
from ..model import RFDSM
from ..parameters.checks import is_traced, positive_integer
from ..parameters.numbers import counted
from ..progress import Progress, Report, over_time
from ..simulation import moment_sums as _stream
from ..simulation.features import AbstractFeatures, FunctionFeatures, NetworkFeatures
from .few_points import warn_of_few_points
from .measured_networks import require_same_features, weights
from .measurement_cost import LEVERAGE_NOISES, Cost, parts_kept

EXACT_BELOW = 4_000_000  # points times features: the average over noise is exact below
NOISES = 16  # for each point above that
CLASSES = 12  # where leverage varies
SPREAD = 0.5  # standard deviation over mean of the leverage, from which on it does
LEAST_IN_CLASS = 50  # points of a class, of those chosen by default
PILOT = 8192  # points that leverage is first estimated from, or four for each feature
LEAST_POINTS = 4  # that an error bar can be told from


def measure(
    model: RFDSM,
    key: Array,
    noises: float | None = None,
    *,
    classes: int | None = None,
    draws: int | None = None,
    W: Any = None,
    cross: bool | RFDSM | None = None,
    halves: bool | None = None,
    warned: bool = True,
    report: Report | None = None,
) -> Moments | CrossMoments:
    r"""The second moments of a model's features on its data, for `asymptotics(moments=...)`.

    Draws W (p = round(psi_p d) rows) and streams once over the points. S_g and S_s are without
    bias at any number of noises. With classes, the points are first sorted by their leverage
    g(x)^T Q̄ g(x) in the one-class solution at the model's own psi_n, m and training. One
    measurement serves all targets.

    Args:
        model: a model whose data is `Samples(X)`.
        key: a `jax.random.key`.
        noises: per point, an integer of at least 2; infinity: averaged exactly (by Mehler's
            series). None: infinity where points times features are at most 4·10^6, else 16.
        classes: of points of like leverage. None: 12 where the leverage's standard deviation
            exceeds half its mean, else 1; which is reported.
        draws: of W; the moments then have an axis of that length in front, and so have the
            `Errors`. None: one, without the axis.
        W: the weights of a network at hand, shape (p, d), instead of a draw; with `cross` a
            pair of such.
        cross: measure two networks with their own W, and the moments between them, for
            overlaps of networks that do not share their features: True, or the model of the
            second one, which may have another psi_p (psi_n, m, rule) than the first. It costs
            as much as one network of both their features. Classes are by the sum of each
            point's leverages in the two networks, each in its own solution. None: where the
            model is an ensemble of such networks.
        halves: keep the moments of eight equal parts of the data too (of fewer where they
            would take more than 1/2 GiB): the losses are then those of infinitely many points
            to first order, and `sampling_error` knows their error bar. None: yes.
        warned: whether to look, by two solves, if a warning is due.
        report: called with `Progress`, lines of text: an estimate of time and memory before
            work that takes long, progress, and the choice of classes. None: to standard error.

    Returns:
        `Moments` with `population` the number of points; with `cross` `CrossMoments`, whose
        left network has the W of the same key without. Warns where the points' finite number
        moves the test loss by more than 1 % at the model's own numbers.

    Raises:
        ValueError: other data, without halves no more points than the model trains on,
            numbers out of range, a second model with other data, process or activation.
        TypeError: float32 numbers.
    """
    if not isinstance(model.data, Samples):
        raise ValueError("measure needs data points: give the model data=rfdsm.Samples(X).")
    if is_traced(model):
        raise ValueError("measure needs a concrete model: call it outside of jit.")
    X = model.data.X
    if cross is None:
        cross = not model.ensemble.shared.features
    models = [model, *([] if cross is False else [model if cross is True else cross])]
    require_same_features(*models)
    d, widths = X.shape[1], [counted(each.psi_p, X.shape[1]) for each in models]
    p = sum(widths)
    for each, width in zip(models, widths, strict=True):
        if width < 1:
            raise ValueError(f"psi_p = {each.psi_p} at d = {d} leaves no features.")
    require_memory(
        8 * p * (3 * p * (draws or 1) + 2 * d),
        f"the moments of p = {p} features need",
        "take a smaller psi_p",
    )
    if noises is None:
        noises = math.inf if len(X) * p <= EXACT_BELOW else NOISES
    if W is not None:
        W = weights(W, widths, d, draws)

    def one(key, halves, W=None, classes=classes):
        of_W, of_noise = jax.random.split(key)
        if W is None:
            keys = [of_W, jax.random.fold_in(of_W, 1)][: len(widths)]
            W = [
                jax.random.normal(k, (p, d), X.dtype) for k, p in zip(keys, widths, strict=True)
            ]
        features = NetworkFeatures(model.activation, jnp.concatenate(W))
        seen = _Seen(features, X, model, report or _to_standard_error, *models[1:])
        return _measure(seen, of_noise, noises, classes, halves, warned)

    if draws is None:
        return one(key, halves, W)
    positive_integer(draws, "draws", 1)
    keys = [jax.random.fold_in(key, i) for i in range(draws)]
    first = one(keys[0], halves)  # whose choice of classes holds for all
    return _stack([first, *(one(each, halves, classes=first.classes) for each in keys[1:])])


def measure_features(
    function: Callable[[np.ndarray], Any],
    X: Any,
    process: AbstractProcess,
    key: Array,
    noises: int = NOISES,
    *,
    classes: int | None = 1,
    psi_n: float = 2.0,
    m: float = 4.0,
    training: AbstractTraining | None = None,
    halves: bool | None = None,
    report: Report | None = None,
) -> Moments:
    r"""The second moments of any fixed features: a network's last hidden layer, say.

    The theory is then that of a linear read-out o = w B f(y) of these features, fitted to any
    target τ = c_x x + c_z z (w = √h, τ = -z for the score; else w = 1),

        L(B) = 1/(d N) Σ_ij |w B f(y_ij) - τ_ij|² + (w² λ/d) |B|²_F,

    for every number n of training points, m of noises and training rule. (With B = A/√p the
    penalty is that of `RFDSM`.) Solve it by a model with the same process and ratio p/d:

        model = RFDSM(psi_n=4, psi_p=moments.psi_p, m=4, process=process, lam=1e-2)
        model.asymptotics(moments=moments)

    Args:
        function: y -> f(y), from NumPy (rows, d) to a real matrix (rows, p): NumPy, JAX, or
            PyTorch through NumPy arrays.
        X: points, shape (N, d), used as given.
        process: the forward noising y = a x + √h z.
        key: a `jax.random.key` for the noises.
        noises: per point, an integer of at least 2.
        classes: as in `measure`; psi_n, m and training say where leverage is measured, at
            Ridge(1e-2) unless told.
        halves, report: as in `measure`.

    Raises:
        ValueError: features that are no finite real matrix with a row for each point, numbers
            out of range.
    """
    X = sample_matrix(X)
    if not isinstance(process, AbstractProcess):
        raise TypeError(f"process must be one of rfdsm's process objects, got {process!r}.")
    if not callable(function):
        raise TypeError(f"function must be callable, got {function!r}.")
    if not math.isfinite(noises):
        raise ValueError(
            "noises must be a number: features of a function have no exact average."
        )
    p = len(FunctionFeatures(function, 0).of(key, X[:2]))
    training = Ridge(1e-2) if training is None else training
    model = RFDSM(psi_n, p / X.shape[1], m, process=process, training=training)
    seen = _Seen(FunctionFeatures(function, p), X, model, report or _to_standard_error)
    return _measure(seen, key, noises, classes, halves).without_activation()


class _Seen(NamedTuple):
    """Features of the points X, shape (N, d), noised as the model says.

    With a second model the features are those of two networks, one's before the other's.
    """

    features: AbstractFeatures
    X: np.ndarray
    model: RFDSM
    report: Report
    second: RFDSM | None = None

    def means(self, key, parts, noises, title) -> Iterator[dict[str, np.ndarray]]:
        """The moments of each part of the points, by name; the sums of one are held at once."""
        advance = over_time(self.report, title, sum(map(len, parts)), "points")
        about = self.model.process.noising(), noises, advance, max(map(len, parts))
        for part in parts:
            yield _stream.sums(key, self.features, self.X, part, *about).moments(noises)

    def of(self, arrays, **about) -> Moments | CrossMoments:
        """Moments of arrays by name."""
        if self.second is None:
            return Moments(**arrays, **about)
        return CrossMoments.split(counted(self.model.psi_p, self.X.shape[1]), **arrays, **about)

    def networks(self, moments) -> list[tuple[Moments, RFDSM]]:
        """Each network's moments, and its model."""
        if self.second is None:
            return [(moments, self.model)]
        return [(moments.left, self.model), (moments.right, self.second)]

    def leverage(self, key_sums, key, order) -> np.ndarray:
        """Of every point, in the one-class solution of the first points of an order.

        Of two networks the sum: each is solved by itself, so that in a class both of its own
        leverages should be alike. (In a network of all features none of the two would be.)
        """
        from scipy.linalg import block_diag  # takes longer to import than all of the package

        pilot = [order[: max(PILOT, 4 * self.features.p)]]
        (found,) = self.means(key_sums, pilot, LEVERAGE_NOISES, "first estimate")
        each = self.networks(self.of(found))
        resolvent = block_diag(*(_resolvent(*network) for network in each))
        advance = over_time(self.report, "leverage", len(self.X), "points")
        about = self.model.process.noising(), LEVERAGE_NOISES, advance
        return _stream.leverage(key, self.features, self.X, resolvent, *about)

    def moments(self, key, parts, noises) -> Moments | CrossMoments:
        """The moments of classes of points, of parts of each: shape (C, K)."""
        counts = np.array([[len(part) for part in of_class] for of_class in parts], float).T
        arrays = {}
        flat = [part for of_class in parts for part in of_class]
        for number, found in enumerate(self.means(key, flat, noises, "moments")):
            for name, x in found.items():
                held = arrays.setdefault(name, np.empty((*counts.shape, *x.shape)))
                held[number % len(counts), number // len(counts)] = x
        weights, population = counts.sum(0) / counts.sum(), counts.sum()
        if len(counts) == 1:
            whole, kept = {name: x[0] for name, x in arrays.items()}, None
        else:
            whole = {name: _mean(x, counts) for name, x in arrays.items()}
            kept = Parts(**arrays, weights=counts / (population / len(counts)))
        for x in whole.values():
            x.flags.writeable = False  # so that it need not be copied
        whole["weights"] = weights
        if len(weights) == 1:
            whole = {name: x[0] for name, x in whole.items()} | {"weights": None}
        about = {"process": self.model.process, "activation": self.model.activation}
        return self.of(whole, **about, population=population, parts=kept)


def _mean(of_parts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Over the parts of each class, shape (K, C, ...), by their numbers of points."""
    shares = counts / counts.sum(0)
    mean = np.zeros(of_parts.shape[1:])
    for part, c in np.ndindex(shares.shape):
        mean[c] += shares[part, c] * of_parts[part, c]
    return mean


def _measure(seen: _Seen, key, noises, classes, halves, warned=True) -> Moments | CrossMoments:
    N, halves = len(seen.X), halves is None or halves
    _require_measurable(seen, noises, classes, halves)
    cost = Cost(*seen.X.shape, seen.features.p, noises, classes or CLASSES, halves)
    cost._replace(classes=classes or 1).require_memory()
    cost.announce(seen.report)
    of_pilot, of_leverage, of_moments = jax.random.split(key, 3)
    order = np.random.default_rng(np.asarray(jax.random.key_data(key))).permutation(N)
    of_class = [order]
    if classes != 1:
        leverage = seen.leverage(of_pilot, of_leverage, order)
        of_class = _by_leverage(order, leverage[order], classes, seen.report)
        cost._replace(classes=len(of_class)).require_memory()  # classes that were chosen
    # Random order within each class, of which the parts are then random parts.
    count = parts_kept(seen.features.p, len(of_class), min(map(len, of_class))) if halves else 1
    parts = [np.array_split(points, count) for points in of_class]
    moments = seen.moments(of_moments, parts, noises)
    if warned and halves:
        own, model = seen.networks(moments)[0]
        warn_of_few_points(model.replace(psi_p=own.psi_p, ensemble=Single()), own)
    return moments


def _require_measurable(seen: _Seen, noises, classes, halves) -> None:
    """Refuse what cannot be measured."""
    N, d = seen.X.shape
    n = float(seen.model.psi_n) * d
    if not (halves or n < N):
        raise ValueError(
            f"psi_n = {n / d:g} asks for {n:g} training points of {N}, and one at least "
            f"must be left out without halves: lower psi_n below {N / d:.4g}."
        )
    if not math.isinf(noises):
        positive_integer(noises, "noises", 2)
        needed = 8.0 * noises * (d + seen.features.p)
        require_memory(needed, f"{noises:g} noises of a point need", "take fewer")
    if halves and N < LEAST_POINTS:
        raise ValueError(
            f"{N} points are too few to say how far to trust them: take {LEAST_POINTS}."
        )
    if classes is not None and 2 * positive_integer(classes, "classes") > N:
        raise ValueError(f"{classes} classes are too many for {N} points.")


def _by_leverage(order, leverage, classes: int | None, report: Report) -> list[np.ndarray]:
    """Classes of points of like leverage, each in their order; None: how many is chosen."""
    if classes is None:
        spread = float(np.std(leverage) / np.mean(leverage))
        classes = max(1, min(CLASSES, len(order) // LEAST_IN_CLASS)) if spread > SPREAD else 1
        told = f"{classes} class{'es' if classes > 1 else ''}"
        varies = f"the points' leverage varies by {100 * spread:.0f} % of its mean"
        report(Progress(f"{varies}: {told}"))
    ranked = np.argsort(leverage, kind="stable")
    return [order[np.sort(places)] for places in np.array_split(ranked, classes)]


def _resolvent(moments: Moments, model: RFDSM) -> np.ndarray:
    """Q̄ of the one-class solution at the model's numbers, in the basis of the features."""
    # The filter's node nearest to the spectrum is the scale at which the rule smooths.
    resolvents = model.training.nodes(model.denoising.rate(model.psi_p)).resolvents
    lam = float(np.min(np.abs(np.asarray(resolvents))))
    numbers = (jnp.asarray(x, moments.T.dtype) for x in (model.psi_n, 1 / model.m, lam))
    x, y = _theory.mean_resolvent(*numbers, moments)
    total = float(x[0]) * moments.S_g + float(y[0]) * moments.S_s
    return np.linalg.inv(lam * np.eye(moments.p) + total)


def _stack(each: list[Any]) -> Any:
    """Moments with an axis in front."""
    if isinstance(each[0], CrossMoments):
        left, right = (_stack([getattr(m, of) for m in each]) for of in ("left", "right"))
        return CrossMoments(left, right, *stacked((m.S_g, m.S_s, m.parts) for m in each))
    first, names = each[0], ("S_g", "S_s", "T", "weights", "T_x", "X2")
    arrays = {name: np.stack([getattr(m, name) for m in each])
               for name in names if getattr(first, name) is not None}  # fmt: skip
    if first.parts is not None:
        arrays["parts"] = stacked([m.parts for m in each])
    kept = {name: getattr(first, name) for name in ("process", "activation", "population")}
    return Moments(**arrays, **kept)


def _to_standard_error(at: Progress) -> None:
    if at.said:
        print(f"rfdsm: {at}", file=sys.stderr, flush=True)
