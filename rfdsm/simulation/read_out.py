r"""Training: the read-out B = V^T φ(U)/w of a rule's filter φ (docs/theory.md section 6).

A filter of one node is one linear system, by Cholesky. Any other is one eigendecomposition,
which then serves every training time, and says whether the rule converges.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..ingredients.filters import AbstractFilter
from ..ingredients.targets import Denoising
from .features import AbstractFeatures
from .gram import AbstractEquations
from .network import Network


class Trained(NamedTuple):
    """A network as training leaves it; with many training times B and the loss have their axis.

    Attributes:
        network: NaN where the rule diverges. train_loss: without the penalty.
        largest: the largest eigenvalue of U, of a rule that has a reach; else None.
    """

    network: Network
    train_loss: Float[Array, " *times"]
    largest: Float[Array, ""] | None


def trained(
    equations: AbstractEquations,
    features: AbstractFeatures,
    training: AbstractFilter,
    denoising: Denoising,
    rate: Float[Array, ""],
) -> Trained:
    """The network that a training rule makes of the normal equations; rate is κ = 2w²/ψ_p."""

    def network_of(fitted, loss, largest=None):
        B = jnp.swapaxes(fitted, -1, -2) / denoising.scale
        return Trained(Network(features, B, denoising), loss, largest)

    reach = training.reach(rate)
    if training.systems == 1 and reach is None:
        node = training.nodes(rate)
        return network_of(*equations.system(node.resolvents[0], node.weights[0]))
    modes = equations.modes()
    phi, largest = training.filter(modes.eigenvalues, rate), None
    if reach is not None:
        largest = modes.eigenvalues[-1]
        phi = phi * jnp.where(largest < reach, 1.0, jnp.nan)
    filtered = modes.filtered if phi.ndim == 1 else lambda phi: jax.lax.map(modes.filtered, phi)
    return network_of(*filtered(phi), largest)
