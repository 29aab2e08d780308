"""How many networks are trained, and averaged: one, or an ensemble that shares some of it."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from .._numerics.absent import ABSENT
from ..errors import NEED_SHARED
from ..parameters.checks import Condition, require, scalar
from ..parameters.numbers import number, some_of
from ..parameters.scales import INVERSE
from ..parameters.words import described
from .sharing import ALL, Shared, sharing


class AbstractEnsemble(eqx.Module):
    """Networks whose outputs are averaged.

    Attributes:
        networks: N_e, how many, a real number >= 1 or infinity.
        shared: what each two of them have in common.
    """

    networks: eqx.AbstractVar[Any]

    __repr__ = described

    @property
    @abc.abstractmethod
    def shared(self) -> Shared:
        """What each two of the networks have in common."""

    def drawn(self, name: str) -> Any:
        """How many features, points or noises are drawn: once where they are shared."""
        return 1 if getattr(self.shared, name) else self.networks

    @property
    @abc.abstractmethod
    def others(self) -> Any:
        """1 - 1/N_e, the weight of pairs of different networks; `ABSENT` of a single one."""

    def knows(self, error: str) -> bool:
        """Whether the networks have what an error is measured on in common."""
        need = NEED_SHARED.get(error)
        return need is None or getattr(self.shared, need)

    @abc.abstractmethod
    def domain(self) -> list[Condition]:
        """The conditions under which it is one, with their messages."""


class Single(AbstractEnsemble):
    """One network."""

    @property
    def networks(self):
        return 1

    @property
    def shared(self):
        return ALL

    @property
    def others(self):
        return ABSENT

    def domain(self):
        return []


class Ensemble(AbstractEnsemble):
    r"""The average of N_e networks, o = (1/N_e) Σ_k o_k (docs/theory.md section 15).

    With S of two networks' outputs, of fresh data or of training points,

        E|o - τ|²/d = null - 2 (1/d) E o·τ + S(all)/N_e + (1 - 1/N_e) S(shared),

    linear in 1/N_e. psi_p, m and the cost of a fit are those of each network. Without their
    points shared memorization_loss and train_loss are NaN, since the networks have no training
    points in common; without noises train_loss is (at m = ∞ share them: it is the same).

    Args:
        networks: N_e, any real number >= 1 or infinity (networks that are trained: integers).
        share: what each two of them have in common, of "features", "points" and "noises". On
            the same pairs unless told: each has its own W.

    Raises:
        ValueError: fewer than one network, an unknown name, noises without points, or all
            shared: these networks are one.
    """

    short: ClassVar[str] = ""  # on the command line its number is enough: --ensemble 4

    networks: Float[Array, ""] = number(
        "N_e",
        "averaged networks",
        bounds=(1.0, np.inf),
        scale=INVERSE,
        integer=True,
        meaning="with their own W on the same pairs unless told",
    )
    share: tuple[str, ...] = some_of(*Shared._fields)

    def __init__(self, networks: float | Array, share: Any = ("points", "noises")):
        self.networks = scalar(networks, "networks")
        self.share = sharing(share).names
        if self.shared == ALL:
            raise ValueError("networks that share features, points and noises are one.")
        require(self.domain())

    @property
    def shared(self):
        return sharing(self.share)

    @property
    def others(self):
        return 1 - 1 / self.networks

    def domain(self):
        words = f"networks must be >= 1 (jnp.inf is allowed), got {self.networks}."
        return [(self.networks >= 1, words)]
