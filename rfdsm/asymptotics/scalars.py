"""What the averaged equations are made of: scalars, and functions of the data's directions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Float

from .._numerics.absent import ABSENT


class Linear(NamedTuple):
    """A function of the data's directions, constant + slope·σ; either may be `ABSENT`."""

    constant: Any
    slope: Any = ABSENT

    def __add__(self, other: "Linear") -> "Linear":
        return Linear(self.constant + other.constant, self.slope + other.slope)

    def __call__(self, eigenvalues: Float[Array, " k"]) -> Float[Array, " k"]:
        """Its values at the eigenvalues σ."""
        return self.constant + self.slope * eigenvalues

    def times(self, factor: Any) -> "Linear":
        """The function times a number."""
        return Linear(factor * self.constant, factor * self.slope)


def average(powers: Sequence[Any], *factors: Linear) -> Any:
    """∫ρ P of a product of such functions, by the `powers` ∫ρ σ^k P of P(σ)."""
    coefficients = [1]
    for factor in factors:
        constant = [*(each * factor.constant for each in coefficients), ABSENT]
        slope = [ABSENT, *(each * factor.slope for each in coefficients)]
        coefficients = [x + y for x, y in zip(constant, slope, strict=True)]
    terms = zip(coefficients, powers, strict=False)  # powers may be more
    return sum((each * power for each, power in terms), start=ABSENT)


class Image(eqx.Module):
    """A target in the directions of the data, τ(σ)/√h = data·σ + noise; O(1).

    `data` is `ABSENT` where the target is of the noise alone.
    """

    data: Any
    noise: Any

    def overlap(self, powers: tuple[Any, Any, Any], other: "Image") -> Any:
        """∫ρ G τ τ'/h of a function G(σ), by its `powers` ∫ρG, ∫ρσG and ∫ρσ²G."""
        constant, linear, square = powers
        return (
            self.noise * constant * other.noise
            + (self.data * other.noise + self.noise * other.data) * linear
            + self.data * square * other.data
        )


class Source(eqx.Module):
    r"""A matrix C whose ε-multiple is added to U, as section 5's corner sees it.

    Per unit ε it adds `features` (e_x) to x, `data`·σ + `noise` (e_Σ σ + e_I) to Y, and,
    where C is made of the training points themselves, `mean` to the corner M of i0 and
    `cross` (g) to the shared part of the features; `left` and `right` are what it takes off
    τ_o of the two points, c_x (a/√h) i0 η of the data's part. Where C is (1/N) Σ f_L f_R^T of
    the very pairs, it adds `contrast` to the corner of i1, and `own` to those of i0 and α in
    c_x²σ (1 - i0) + c_z² (1 - α).
    """

    features: Any = ABSENT
    data: Any = ABSENT
    noise: Any = ABSENT
    mean: Any = ABSENT
    cross: Any = ABSENT
    left: Image = Image(ABSENT, ABSENT)
    right: Image = Image(ABSENT, ABSENT)
    contrast: Any = ABSENT
    own: Image = Image(ABSENT, ABSENT)


class State(eqx.Module):
    """The one-point equations at given unknowns: every scalar that a formula reads.

    Attributes:
        E0, E1, q: the unknowns, O(1); i0, i1 and D(σ), shape (k,), follow from them.
        powers: ∫ρ σ^k D for k = 0, 1, 2; squares: ∫ρ σ^k D² for k = 0..3.
        lam, u: the resolvent argument λ and 1/m they belong to.
        E0_map, E1_map: the right-hand sides of the unknowns' equations.
        eta: (1/n) tr of (U+λ)^{-1} with the part of the features shared by the copies.
        alpha: α = u i0 + (1-u) i1. image: τ.
        coupling: `Image.overlap`'s powers of b²h ψ_p q D; of the first, (1/d) tr T^T Q T, T the
            noise's.
        alignment, training_alignment: (1/d) tr T^T Q̄ T̃ with T of fresh data and of training
            points; the same for a target of the noise alone.
        penalised_loss: of training with its penalty, without cancellation.
    """

    E0: Float[Array, ""]
    E1: Float[Array, ""]
    q: Float[Array, ""]
    i0: Float[Array, ""]
    i1: Float[Array, ""]
    D: Float[Array, " k"]
    powers: tuple[Any, Any, Any]
    squares: tuple[Any, Any, Any, Any]
    lam: Float[Array, ""]
    u: Float[Array, ""]
    E0_map: Float[Array, ""]
    E1_map: Float[Array, ""]
    eta: Float[Array, ""]
    alpha: Float[Array, ""]
    image: Image
    coupling: tuple[Any, Any, Any]
    alignment: Float[Array, ""]
    training_alignment: Float[Array, ""]
    penalised_loss: Float[Array, ""]
