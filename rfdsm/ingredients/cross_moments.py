r"""Measured moments of two networks, each with its own W, on the same data.

Beside the moments of each (docs/theory.md section 12) what two networks that share no features
need is, with f_1 and f_2 the features of one and of the other,

    S_g = E_x [E_z f_1 (E_z f_2)^T],     S_s = E_x Cov_z(f_1, f_2).

These are blocks of the moments of both networks' features side by side, (f_1, f_2).
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from ..parameters.checks import Condition, float_array, is_traced
from . import moment_files
from .activations import AbstractActivation
from .moment_checks import require_between, require_joint
from .moments import Moments, arrays_of, from_arrays
from .processes import AbstractProcess
from .rotated import Parts, RotatedPair, between

SAME = ("d", "process", "activation", "population", "weights", "parts")  # of both networks


class CrossMoments(eqx.Module):
    r"""Moments of two networks of p and q features, and between these, on the same points.

    An ingredient of overlaps, variance parts and ensembles of networks that do not share their
    features (of those that do, `Moments`). `rotated` and `rotated_halves` are for the solver.

    Args:
        left, right: of each network; of the same points, in the same classes and parts.
        S_g: E_x[E_z f_1 (E_z f_2)^T], shape (p, q), with classes (C, p, q), draws of both W in
            front: the axes of `left.S_g`.
        S_s: E_x Cov_z(f_1, f_2), the same shape.
        parts: (S_g, S_s) of the equal parts of the points that left and right have, shape
            (K, C, p, q) each, draws in front; None where these have none.

    Raises:
        ValueError: networks that are not of the same points, shapes that do not fit, entries
            that are not finite, or larger than moments of two networks can be.
        TypeError: not numbers, not `Moments`.
    """

    left: Moments
    right: Moments
    S_g: Float[Array, "*draws C p q"]
    S_s: Float[Array, "*draws C p q"]
    parts: tuple[Float[Array, "*draws K C p q"], Float[Array, "*draws K C p q"]] | None
    turned: tuple[Float[Array, "*draws C p q"], Float[Array, "*draws C p q"]]
    turned_halves: tuple[Any, Any] | None

    def __init__(
        self, left: Moments, right: Moments, S_g: Any, S_s: Any, parts: tuple | None = None
    ):
        self.left, self.right = left, right
        self.S_g, self.S_s = float_array(S_g, "S_g"), float_array(S_s, "S_s")
        _require_same_points(left, right)
        require_between(left, right, self.S_g, self.S_s)
        require_joint(left, right, self.S_g, self.S_s)
        if (parts is None) != (left.parts is None):
            raise ValueError(
                "left and right have equal parts of the points where S_g and S_s have: give "
                "parts=(S_g, S_s) of them, or neither."
            )
        one = left.weights is None
        whole = (S[..., None, :, :] if one else S for S in (self.S_g, self.S_s))
        self.turned = between(left.rotated, right.rotated, *whole)
        self.parts, self.turned_halves = None, None
        if parts is not None:
            self.parts = tuple(float_array(S, "parts") for S in parts)
            require_between(left.parts, right.parts, *self.parts)
            S_g, S_s = self.parts
            halves = dataclasses.replace(left.parts, S_g=S_g, S_s=S_s).halves()
            bases = left.rotated_halves, right.rotated_halves
            self.turned_halves = between(*bases, halves.S_g, halves.S_s)

    @classmethod
    def split(cls, p: int, *, parts: Parts | None = None, **moments: Any) -> "CrossMoments":
        """From the moments of (f_1, f_2), all features side by side, the first p of the left.

        Args:
            parts, moments: the arguments of `Moments`, all by name.
        """
        sides = slice(None, p), slice(p, None)
        both = None if parts is None else vars(parts)
        left, right = (
            Moments(
                **_side(moments, own), parts=None if both is None else Parts(**_side(both, own))
            )
            for own in sides
        )
        between = None if both is None else _corner(both, p)
        return cls(left, right, *_corner(moments, p), between)

    @property
    def rotated(self) -> RotatedPair:
        """The moments as the solver takes them."""
        return RotatedPair(self.left.rotated, self.right.rotated, *self.turned)

    @property
    def rotated_halves(self) -> RotatedPair | None:
        """Those of the two halves of the points, with an axis in front; None without parts."""
        if self.parts is None:
            return None
        halves = self.left.rotated_halves, self.right.rotated_halves
        return RotatedPair(*halves, *self.turned_halves)

    @property
    def p(self) -> tuple[int, int]:
        """The number of features of each network."""
        return self.left.p, self.right.p

    @property
    def psi_p(self) -> tuple[float, float]:
        """p/d of each network."""
        return self.left.psi_p, self.right.psi_p

    @property
    def d(self) -> int:
        """The dimension of the data."""
        return self.left.d

    @property
    def classes(self) -> int:
        """The number of classes, C."""
        return self.left.classes

    @property
    def draws(self) -> int | None:
        """The number of draws of both W in front; None where there is no such axis."""
        return self.left.draws

    @property
    def population(self) -> Any:
        """The number of points; None: infinitely many."""
        return self.left.population

    @property
    def process(self) -> AbstractProcess | None:
        """Of the measurement."""
        return self.left.process

    @property
    def activation(self) -> AbstractActivation | None:
        """Of the measured features."""
        return self.left.activation

    def with_population(self, population: Any) -> "CrossMoments":
        """As `Moments.with_population`, of both networks."""
        return self._whole(lambda of: of.with_population(population))

    def without_halves(self) -> "CrossMoments":
        """The same moments, of the whole data alone."""
        return self._whole(Moments.without_halves)

    def axes_of_draws(self) -> "CrossMoments":
        """The axis of draws of each array, 0 or None, as `jax.vmap` takes it."""
        return self._each(Moments.axes_of_draws, lambda x: 0)

    def draw(self, i: int) -> "CrossMoments":
        """The moments of one draw of both W."""
        return self._each(lambda of: of.draw(i), lambda x: x[i])

    def _whole(self, of_network: Callable) -> "CrossMoments":
        return self._each(of_network, lambda x: x, parts=None, turned_halves=None)

    def _each(self, of_network: Callable, of_array: Callable, **fields: Any) -> "CrossMoments":
        """A copy with functions of each network's moments and of the arrays between them."""
        names = [field.name for field in dataclasses.fields(self)]
        new = {name: jax.tree.map(of_array, getattr(self, name)) for name in names[2:]}
        new |= {"left": of_network(self.left), "right": of_network(self.right)} | fields
        return eqx.tree_at(
            lambda m: [getattr(m, name) for name in new],
            self,
            [*new.values()],
            is_leaf=lambda x: x is None,
        )

    def __repr__(self) -> str:
        return f"CrossMoments(left={self.left}, right={self.right})"

    def conditions(self, *model: Any) -> list[Condition]:
        """Those of `Moments.conditions` of both networks, for one model of both."""
        return self.left.conditions(*model) + self.right.conditions(*model)

    def save(self, path: Path | str) -> None:
        """Write the moments to one .npz file, whole or not at all.

        Raises:
            ValueError: as `Moments.save`.
        """
        arrays = {"between.S_g": self.S_g, "between.S_s": self.S_s}
        if self.parts is not None:
            arrays |= zip(("between.parts.S_g", "between.parts.S_s"), self.parts, strict=True)
        for name, of in (("left", self.left), ("right", self.right)):
            arrays |= {f"{name}.{each}": x for each, x in arrays_of(of).items()}
        about = {"process": self.process, "activation": self.activation}
        moment_files.write(path, "CrossMoments", arrays, **about)

    @classmethod
    def load(
        cls, path: Path | str, activation: AbstractActivation | None = None
    ) -> "CrossMoments":
        """Read what `save` wrote.

        Args:
            path: the .npz file.
            activation: the one of the measurement, needed where it is a user's own function.

        Raises:
            ValueError: as `Moments.load`, and a file of `Moments`.
        """
        arrays, about = moment_files.read(path, "CrossMoments", activation)
        left, right, own = (
            {n.removeprefix(f"{of}."): x for n, x in arrays.items() if n.startswith(f"{of}.")}
            for of in ("left", "right", "between")
        )
        parts = (own["parts.S_g"], own["parts.S_s"]) if "parts.S_g" in own else None
        both = from_arrays(left, about), from_arrays(right, about)
        return cls(*both, own["S_g"], own["S_s"], parts)


def _side(arrays: dict[str, Any], own: slice) -> dict[str, Any]:
    """One network's, of the arrays of both networks' features side by side."""
    rows = {
        name: arrays[name][..., own, :]
        for name in ("S_g", "S_s", "T", "T_x")
        if arrays.get(name) is not None
    }
    return arrays | rows | {name: rows[name][..., own] for name in ("S_g", "S_s")}


def _corner(arrays: dict[str, Any], p: int) -> tuple[Any, Any]:
    """S_g and S_s between the first p features and the others."""
    return arrays["S_g"][..., :p, p:], arrays["S_s"][..., :p, p:]


def _require_same_points(left: Any, right: Any) -> None:
    """Refuse networks that were not measured on the same points, in the same classes."""
    for name, of in (("left", left), ("right", right)):
        if not isinstance(of, Moments):
            raise TypeError(f"{name} must be rfdsm.Moments, got {of!r}.")
    for name in SAME:
        ours, theirs = getattr(left, name), getattr(right, name)
        if name == "parts" and None not in (ours, theirs):
            ours, theirs = ours.weights, theirs.weights
        alike = jax.tree.structure(ours) == jax.tree.structure(theirs) and (
            is_traced(ours, theirs) or all(jax.tree.leaves(jax.tree.map(_equal, ours, theirs)))
        )
        if not alike:
            raise ValueError(
                f"left and right must be measured on the same points: their {name} differ; "
                "measure(..., cross=True) measures both."
            )


def _equal(x: Any, y: Any) -> bool:
    return np.array_equal(x, y)
