r"""Measured second moments of any features on any data (docs/theory.md section 12).

The theory knows features by a few moments alone. With the weights fixed, x a data point, z the
noises, f = f(a x + √h z) the features (p of them) and d the dimension of the data,

    S_g = E_x [E_z f (E_z f)^T],     S_s = E_x Cov_z f,     T = E f z^T,

uncentred, entries O(1); and where the data are part of the target (section 14) by

    T_x = E f x^T,     X2 = E|x|²/d

too: one measurement serves all targets. Where the leverage g(x)^T Q̄ g(x) of a point, g = E_z f,
varies much from point to point (natural images), a set of moments for each of a few classes of
points of like leverage keeps the equations exact.
"""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._numerics.absent import Absent
from ..parameters.checks import Condition, float_array, is_traced, scalar
from . import moment_files
from .activations import AbstractActivation
from .moment_checks import require_data, require_shapes, require_values, symmetric
from .processes import AbstractProcess
from .rotated import Parts, Rotated, rotate
from .targets import Denoising


class Moments(eqx.Module):
    r"""Second moments of p features on data of dimension d, for C classes of points.

    An ingredient of `RFDSM.asymptotics(moments=...)` and `solve(moments=...)`: with it psi_n,
    m and every training rule are free and differentiable, while psi_p, the process and the
    activation are the measured ones.

    Args:
        S_g: E_x[E_z f (E_z f)^T], shape (p, p), or (C, p, p) with `weights`; several draws of
            the weights W in front of that.
        S_s: E_x Cov_z f, the same shape.
        T: E f z^T, shape (p, d), (C, p, d), ...
        process: the forward noising of the measurement; None: not known, not compared.
        activation: of the measured features; None for features that are not ours.
        weights: π_c, the classes' shares of the points, shape (C,) or (draws, C); None: there
            are no classes.
        population: N_pop, how many points the moments average over, where training points are
            drawn from these; test_loss is then that of points left out. None: infinitely many.
        parts: the moments of equal parts of the points, an even number of them. All losses
            are then those of infinitely many points, to first order in 1/N_pop: that of a new
            point and of one left out are the same, and n may be N_pop and more.
        T_x: E f x^T, the shape of T. X2: E|x|²/d, shape (), with classes that of `weights`; may
            have an axis of draws in front. None, both: known are targets of the noise alone.

    Raises:
        ValueError: shapes that do not fit, a matrix that is not symmetric or not positive,
            entries that are not finite, weights that do not sum to 1, one of T_x and X2.
        TypeError: not numbers; not a process or activation of rfdsm.
    """

    S_g: Float[Array, "*draws C p p"]
    S_s: Float[Array, "*draws C p p"]
    T: Float[Array, "*draws C p d"]
    process: AbstractProcess | None
    activation: AbstractActivation | None
    weights: Float[Array, "*draws C"] | None
    population: Float[Array, ""] | None
    parts: Parts | None
    T_x: Float[Array, "*draws C p d"] | None
    X2: Float[Array, "*draws C"] | None
    rotated: Rotated
    rotated_halves: Rotated | None

    def __init__(
        self,
        S_g: Any,
        S_s: Any,
        T: Any,
        process: AbstractProcess | None = None,
        activation: AbstractActivation | None = None,
        weights: Any = None,
        population: Any = None,
        *,
        parts: Parts | None = None,
        T_x: Any = None,
        X2: Any = None,
    ):
        for name, given, kind in (
            ("process", process, AbstractProcess),
            ("activation", activation, AbstractActivation),
        ):
            if not (given is None or isinstance(given, kind)):
                raise TypeError(f"{name} must be one of rfdsm's {name} objects, got {given!r}.")
        self.process, self.activation, self.parts = process, activation, parts
        self.population = None if population is None else scalar(population, "population")
        S_g, S_s, T = (float_array(x, n) for x, n in ((S_g, "S_g"), (S_s, "S_s"), (T, "T")))
        self.weights, self.T_x, self.X2 = (
            None if x is None else float_array(x, n)
            for x, n in ((weights, "weights"), (T_x, "T_x"), (X2, "X2"))
        )
        require_shapes(S_g, S_s, T, self.weights)
        require_values(S_g, S_s, T, self.weights, self.population)
        require_data(self.T_x, self.X2, S_g, S_s, T, self.weights, parts)
        self.S_g, self.S_s = symmetric(S_g), symmetric(S_s)
        self.T = T
        self.rotated = _rotate(self.S_g, self.S_s, T, self.weights, self.T_x, self.X2)
        if parts is not None and parts.count % 2:
            raise ValueError(
                f"the parts make two halves: keep an even number, not {parts.count}."
            )
        self.rotated_halves = None if parts is None else rotate(**vars(parts.halves()))

    @property
    def p(self) -> int:
        """The number of features."""
        return self.T.shape[-2]

    @property
    def d(self) -> int:
        """The dimension of the data."""
        return self.T.shape[-1]

    @property
    def psi_p(self) -> float:
        """p/d."""
        return self.p / self.d

    @property
    def classes(self) -> int:
        """The number of classes, C."""
        return 1 if self.weights is None else self.weights.shape[-1]

    @property
    def draws(self) -> int | None:
        """The number of draws of W in front; None where there is no such axis."""
        own = self.S_g.ndim - (2 if self.weights is None else 3)
        return self.S_g.shape[0] if own else None

    @property
    def halves(self) -> "Moments | None":
        """Those of the two halves of the points, as two draws; None without parts."""
        if self.parts is None:
            return None
        halves = vars(self.parts.halves())
        if self.weights is None:
            halves = jax.tree.map(lambda x: x[:, 0], halves) | {"weights": None}
        about = {"process": self.process, "activation": self.activation}
        return Moments(**halves, **about, population=self.population / 2)

    def with_population(self, population: Any) -> "Moments":
        """The whole data's moments for points drawn from so many (None: infinitely many).

        Without parts: `with_population(None)` is the plain theory of these moments, with one
        solve where the extrapolation of `parts` takes three.
        """
        if population is not None:
            population = scalar(population, "population")
        return _changed(self, population=population, parts=None, rotated_halves=None)

    def without_halves(self) -> "Moments":
        """The same moments, of the whole data alone."""
        return _changed(self, parts=None, rotated_halves=None)

    def without_activation(self) -> "Moments":
        """The same moments, of features that are not an activation of rfdsm's."""
        return _changed(self, activation=None)

    def axes_of_draws(self) -> "Moments":
        """The axis of draws of each array, 0 or None, as `jax.vmap` takes it."""
        return _changed(jax.tree.map(lambda _: None, self), **dict.fromkeys(self._drawn, 0))

    def draw(self, i: int) -> "Moments":
        """The moments of one draw of W."""
        return _changed(
            self,
            **{name: jax.tree.map(lambda x: x[i], getattr(self, name)) for name in self._drawn},
        )

    @property
    def _drawn(self) -> list[str]:
        """The fields with an axis of draws."""
        names = ["S_g", "S_s", "T", "rotated"]
        names += [] if self.parts is None else ["parts", "rotated_halves"]
        names += [] if self.T_x is None else ["T_x"]
        axes = self.S_g.ndim - 2
        return names + [
            name
            for name in ("weights", "X2")
            if getattr(self, name) is not None and getattr(self, name).ndim == axes
        ]

    def __repr__(self) -> str:
        points = "" if self.population is None else f", population={self.population:g}"
        draws = "" if self.draws is None else f", draws={self.draws}"
        return f"Moments(p={self.p}, d={self.d}, classes={self.classes}{draws}{points})"

    def conditions(
        self, psi_n, psi_p, process, activation, denoising: Denoising | None = None
    ) -> list[Condition]:
        """When a model of these numbers and ingredients may be solved with the moments.

        Args:
            denoising: of the model; the target is no part of what was measured, but one with
                data needs T_x.

        Raises:
            ValueError: another kind of process or activation, or data in the target of which
                the moments know nothing: these are never traced.
        """
        noise_alone = denoising is None or isinstance(denoising.data, Absent)
        if self.T_x is None and not noise_alone:
            raise ValueError(
                "these moments know targets of the noise alone (no T_x): measure again."
            )
        conditions = [
            (
                abs(psi_p * self.d - self.p) <= 0.5,
                f"the moments are of p = {self.p} features at d = {self.d}, and the model has "
                f"psi_p = {psi_p}: use model.replace(psi_p=moments.psi_p).",
            )
        ]
        if self.population is not None and self.parts is None:
            conditions.append(
                (
                    psi_n * self.d < self.population,
                    f"psi_n = {psi_n} asks for more training points than the "
                    f"{self.population} that were measured leave: lower psi_n.",
                )
            )
        for name, ours, theirs in (
            ("process", self.process, process),
            ("activation", self.activation, activation),
        ):
            if ours is None:
                continue
            message = (
                f"the moments were measured with {name} {ours}, and the model has {theirs}: "
                f"use model.replace({name}=moments.{name}), or measure again."
            )
            if jax.tree.structure(ours) != jax.tree.structure(theirs):
                raise ValueError(message)
            for mine, yours in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
                if mine.shape != yours.shape:
                    raise ValueError(message)
                conditions.append(((mine == yours).all(), message))
        return conditions

    def save(self, path: Path | str) -> None:
        """Write the moments to one .npz file, whole or not at all.

        A user's own activation function cannot be written: `load` takes it back.

        Raises:
            ValueError: the suffix is not .npz; traced moments.
        """
        about = {"process": self.process, "activation": self.activation}
        moment_files.write(path, "Moments", arrays_of(self), **about)

    @classmethod
    def load(cls, path: Path | str, activation: AbstractActivation | None = None) -> "Moments":
        """Read what `save` wrote.

        Args:
            path: the .npz file.
            activation: the one of the measurement, needed where it is a user's own function.

        Returns:
            The moments; those that were saved before T_x was measured know targets of the
            noise alone.

        Raises:
            ValueError: not a file of moments, one of `CrossMoments` or of a later rfdsm, or
                its activation is a function and not given.
        """
        return from_arrays(*moment_files.read(path, "Moments", activation))


def arrays_of(moments: Moments) -> dict[str, Any]:
    """The arrays that moments are made of, by name; those of the parts as "parts.S_g"..."""
    names = ("S_g", "S_s", "T", "T_x", "X2", "weights", "population")
    arrays = {name: getattr(moments, name) for name in names}
    of_parts = {} if moments.parts is None else vars(moments.parts)
    arrays |= {f"parts.{name}": x for name, x in of_parts.items()}
    return {name: x for name, x in arrays.items() if x is not None}


def from_arrays(arrays: dict[str, Any], about: dict[str, Any]) -> Moments:
    """Moments of `arrays_of`, and of process and activation."""
    of_parts = {n.removeprefix("parts."): x for n, x in arrays.items() if "parts." in n}
    plain = {name: x for name, x in arrays.items() if "." not in name}
    return Moments(**plain, **about, parts=Parts(**of_parts) if of_parts else None)


def _changed(moments: Moments, **fields: Any) -> Moments:
    """A copy with other fields, of which the matrices need not be checked again."""
    return eqx.tree_at(
        lambda m: [getattr(m, name) for name in fields],
        moments,
        list(fields.values()),
        is_leaf=lambda x: x is None or isinstance(x, AbstractActivation),
    )


def _rotate(S_g, S_s, T, weights, T_x, X2) -> Rotated:
    if weights is None:
        S_g, S_s, T, T_x = jax.tree.map(lambda S: S[..., None, :, :], (S_g, S_s, T, T_x))
        X2 = None if X2 is None else X2[..., None]
        weights = np.ones(1, T.dtype)
    xp = jnp if is_traced(weights, T, X2) else np
    weights, X2 = jax.tree.map(lambda x: xp.broadcast_to(x, T.shape[:-2]), (weights, X2))
    return rotate(S_g, S_s, T, weights, T_x, X2)
