"""What the measured equations are made of; vectors are of shape (C,), one number per class."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from .._numerics.absent import ABSENT
from .scalars import Image


class Source(eqx.Module):
    r"""A matrix C = Σ_c [shared_c S_g,c + fresh_c S_s,c] + identity·I whose ε-multiple joins U.

    Where C is made of the training points themselves, `mean` is the extra corner M_c of i0_c,
    and `cross` g_c that of S_g,c; `left` and `right` are what it takes off T̃'s corner on
    either side, of T_x,c (c_x i0_c η_c) and of T_c. Of the very pairs `contrast` is the extra
    corner of i1_c, and `own` those of i0_c and α_c in c_x² X_c (1 - i0_c) + c_z² (1 - α_c). All
    are of shape (C,).
    """

    shared: Float[Array, " C"]
    fresh: Float[Array, " C"]
    identity: Float[Array, ""]
    mean: Float[Array, " C"]
    cross: Float[Array, " C"]
    left: Image = Image(ABSENT, ABSENT)
    right: Image = Image(ABSENT, ABSENT)
    contrast: Any = ABSENT
    own: Image = Image(ABSENT, ABSENT)


class State(eqx.Module):
    """The one-point equations at given unknowns; vectors are of shape (C,), one per class.

    Attributes:
        E0, E1: the unknowns; E0_map, E1_map: their equations' right-hand sides.
        i0, i1, alpha: as above; lam, u: λ and 1/m.
        resolvent: Q̄, shape (p, p).
        read_out: Q̄ T̃, shape (p, d).
        eta: η_c = (1/n) tr S_g,c Q̄.
        of_noise, of_data: (1/d) tr T_c^T Q̄ T̃, and of T_x,c; the second is `ABSENT` where the
            target is of the noise alone.
        alignment: (1/d) tr T^T Q̄ T̃ = Σ_c π_c (c_z of_noise + c_x of_data).
        training_alignment: the same with T of the training points.
        penalised_loss: of training with its penalty, null - K.
    """

    E0: Float[Array, " C"]
    E1: Float[Array, " C"]
    E0_map: Float[Array, " C"]
    E1_map: Float[Array, " C"]
    i0: Float[Array, " C"]
    i1: Float[Array, " C"]
    alpha: Float[Array, " C"]
    lam: Float[Array, ""]
    u: Float[Array, ""]
    resolvent: Float[Array, "p p"]
    read_out: Float[Array, "p d"]
    eta: Float[Array, " C"]
    of_noise: Float[Array, " C"]
    of_data: Any
    alignment: Float[Array, ""]
    training_alignment: Float[Array, ""]
    penalised_loss: Float[Array, ""]


class Response(eqx.Module):
    """A state with the products that pairs of states are made of, S_g's before S_s's.

    Attributes:
        products: S_a Q̄, shape (2C, p, p); with the cross moments S_a of another network of p'
            features (2C, p', p).
        images: S_a Q̄ T̃, shape (2C, p', d).
    """

    state: State
    products: Float[Array, "2C p2 p"]
    images: Float[Array, "2C p2 d"]
