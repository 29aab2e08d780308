r"""Activations whose Gaussian constants have a closed form.

Each is written in `shared` = a² σx² and `fresh` = h so that nothing cancels: v² is accurate
relatively at large t, s² at small t, in value and in derivatives (docs/theory.md section 3).
"""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...parameters.checks import finite, is_traced, require, scalar, vector
from ...parameters.numbers import number
from ...parameters.scales import LINEAR
from .base import AbstractActivation, Constants, Smooth, floats, split


class ReLU(AbstractActivation):
    """max(x, 0); the arc-cosine kernel (Cho and Saul, 2009), as in `LeakyReLU` with slope 0."""

    kinks: ClassVar[tuple[float, ...]] = (0.0,)

    def __call__(self, x):
        return jnp.maximum(x, 0)

    def constants(self, shared, fresh):
        return _leaky_relu(0.0, *floats(shared, fresh))


class LeakyReLU(AbstractActivation):
    r"""x for x > 0, slope·x else: (1+slope)/2 x + (1-slope)/2 |x|; the arc-cosine kernel.

    With θ = arccos r and β = (1-slope)/2, μ0 = βΓ√(2/π), b = (1+slope)/2,

        v² = (2/π) β² Γ² (r arcsin r - r²/(1 + √(1-r²)))
        s² = (2/π) β² Γ² ((π/2)(1-r) - (sin θ - θ cos θ))

    Args:
        slope: of the left half; traced, differentiable.

    Raises:
        ValueError: slope is not finite, or not one number.
        TypeError: slope is not a number.
    """

    slope: Float[Array, ""] = number(r"a_-", "left half's slope", scale=LINEAR, allowed="any")
    kinks: ClassVar[tuple[float, ...]] = (0.0,)

    def __init__(self, slope: Any):
        self.slope = scalar(slope, "slope")
        require([(finite(self.slope), f"slope must be finite, got {self.slope}.")])

    def __call__(self, x):
        return jnp.where(x > 0, x, self.slope.astype(x.dtype) * x)

    def constants(self, shared, fresh):
        return _leaky_relu(self.slope, *floats(shared, fresh))


class Erf(Smooth, AbstractActivation):
    r"""erf x = (2/√π) ∫_0^x e^{-u²} du; the arcsine kernel (Williams, 1997).

    With w = 1 + 2Γ², sin B = 2 shared/w and sin(B + D) = 2Γ²/w, b = 2/√(πw),

        v² = (2/π)(B - sin B),   s² = (2/π)(D - sin(B+D) + sin B)
    """

    def __call__(self, x):
        return jax.lax.erf(x)

    def constants(self, shared, fresh):
        shared, fresh = floats(shared, fresh)
        gamma2 = shared + fresh
        w = 1 + 2 * gamma2
        sin_B, step = 2 * shared / w, 2 * fresh / w
        cos_B = jnp.sqrt((1 + 2 * fresh) * (w + 2 * shared)) / w
        cos_A = jnp.sqrt(1 + 4 * gamma2) / w  # A = B + D
        sin_A = sin_B + step
        sin_D = step * (cos_B + sin_B * (sin_A + sin_B) / (cos_A + cos_B))
        B = jnp.arctan2(sin_B, cos_B)
        D = jnp.arctan2(sin_D, cos_A * cos_B + sin_A * sin_B)

        def excess(start, width):  # width - (sin(start + width) - sin(start)), term by term
            half = width / 2
            bend = jnp.sin(half) * jnp.sin((start + half) / 2) ** 2
            return 2 * _cubic_remainder(half, -(half**2)) + 4 * bend

        b = 2 / jnp.sqrt(math.pi * w)
        v2, s2 = 2 / math.pi * excess(0.0, B), 2 / math.pi * excess(B, D)
        return _closed_form(jnp.zeros_like(b), b, v2, s2)


class Sin(Smooth, AbstractActivation):
    r"""sin x; E ϱϱ' = e^{-Γ²} sinh(shared), b = e^{-Γ²/2}, and with m = shared + fresh/2

    v² = e^{-Γ²}(sinh(shared) - shared)
    s² = e^{-Γ²}(2 sinh(fresh/2) - fresh) + (1 - e^{-fresh})(1 - e^{-m})²/2
    """

    def __call__(self, x):
        return jnp.sin(x)

    def constants(self, shared, fresh):
        shared, fresh = floats(shared, fresh)
        b = jnp.exp(-(shared + fresh) / 2)
        middle = shared + fresh / 2
        v2 = jnp.exp(-fresh) * _damped_sinh_remainder(shared)
        s2 = (
            2 * jnp.exp(-middle) * _damped_sinh_remainder(fresh / 2)
            - jnp.expm1(-fresh) * jnp.expm1(-middle) ** 2 / 2
        )
        return _closed_form(jnp.zeros_like(b), b, v2, s2)


class Cos(Smooth, AbstractActivation):
    r"""cos x; E ϱϱ' = e^{-Γ²} cosh(shared), μ0 = e^{-Γ²/2}, b = 0, and

    v² = e^{-fresh}(1 - e^{-shared})²/2
    s² = (1 - e^{-fresh})(1 - e^{-2 shared - fresh})/2
    """

    def __call__(self, x):
        return jnp.cos(x)

    def constants(self, shared, fresh):
        shared, fresh = floats(shared, fresh)
        mu0 = jnp.exp(-(shared + fresh) / 2)
        v2 = jnp.exp(-fresh) * jnp.expm1(-shared) ** 2 / 2
        s2 = jnp.expm1(-fresh) * jnp.expm1(-2 * shared - fresh) / 2
        return _closed_form(mu0, jnp.zeros_like(mu0), v2, s2)


class GELU(Smooth, AbstractActivation):
    r"""xΦ(x) = x/2 + x erf(x/√2)/2, exactly; b = 1/2.

    Differentiating the arcsine kernel of erf(x/√2) gives, with W = 1 + Γ², t = shared and
    R(t) = √(W² - t²),

        2π E[even part · even part'] = t arcsin(t/W) + R + 1/R - 2R/W + const

    v² is its growth from 0 to shared and s² from there to Γ²; μ0 = Γ²/√(2πW).
    """

    def __call__(self, x):
        return jax.nn.gelu(x, approximate=False)

    def constants(self, shared, fresh):
        shared, fresh = floats(shared, fresh)
        gamma2 = shared + fresh
        W = 1 + gamma2
        R = jnp.sqrt((1 + fresh) * (W + shared))
        R_end = jnp.sqrt(1 + 2 * gamma2)  # at t = Γ²
        fall = fresh * (gamma2 + shared) / (R + R_end)  # R - R_end
        angle, angle_end = jnp.arctan2(shared, R), jnp.arctan2(gamma2, R_end)
        turn = jnp.arctan2(
            (fresh * R + shared * fall) / W**2, (R * R_end + shared * gamma2) / W**2
        )  # angle_end - angle
        v2 = shared * angle + (shared / W) ** 2 * (1 / R - gamma2**2 / (W + R))
        s2 = fresh * angle_end + shared * turn + fall * (1 / (R * R_end) + 2 / W - 1)
        mu0 = gamma2 / jnp.sqrt(2 * math.pi * W)
        return _closed_form(
            mu0, jnp.full_like(mu0, 0.5), v2 / (2 * math.pi), s2 / (2 * math.pi)
        )


class Polynomial(Smooth, AbstractActivation):
    r"""Σ_n p_n x^n; c_k = Γ^k e_k with e_k = Σ_j p_{k+2j} (k+2j)!/(2^j j! √k!) Γ^{2j}.

    μ0 = e_0, b = e_1, and by c_k² r^k = e_k² shared^k

        v² = Σ_{k≥2} e_k² shared^k,   s² = Σ_{k≥2} e_k² (Γ^{2k} - shared^k)

    Args:
        coefficients: p_n, low order first, shape (n,); traced, differentiable.

    Raises:
        ValueError: no coefficients, or one that is not finite.
        TypeError: not numbers.
    """

    coefficients: Float[Array, " n"] = number("p_n", "coefficients", many=True)

    def __init__(self, coefficients: Any):
        self.coefficients = vector(coefficients, "coefficients")
        xp = jnp if is_traced(self.coefficients) else np
        message = f"coefficients must be finite, got {self.coefficients}."
        require([(xp.all(finite(self.coefficients)), message)])

    def __call__(self, x):
        coefficients = self.coefficients.astype(x.dtype)
        value = jnp.full_like(x, coefficients[-1])
        for n in range(len(coefficients) - 2, -1, -1):
            value = value * x + coefficients[n]
        return value

    def constants(self, shared, fresh):
        shared, fresh = floats(shared, fresh)
        gamma2 = shared + fresh
        zero = jnp.zeros_like(gamma2)
        mu0, b = (self._reduced(k, gamma2) for k in (0, 1))
        # Γ^{2k} - shared^k = fresh Σ_i Γ^{2(k-1-i)} shared^i, by its recurrence in k.
        v2, s2, power, quotient = zero, zero, shared, zero + 1
        for k in range(2, len(self.coefficients)):
            power, quotient = power * shared, gamma2 * quotient + power
            square = self._reduced(k, gamma2) ** 2
            v2, s2 = v2 + square * power, s2 + square * fresh * quotient
        return _closed_form(mu0, b, v2, s2)

    def _reduced(self, k, gamma2):
        """e_k, a polynomial in Γ²."""
        value = jnp.zeros_like(gamma2)
        for j in reversed(range((len(self.coefficients) - k + 1) // 2)):
            n = k + 2 * j
            count = math.factorial(n) // (2**j * math.factorial(j))  # an integer
            factor = count / math.sqrt(math.factorial(k))
            value = value * gamma2 + factor * self.coefficients[n]
        return value


# Parts of the closed forms.


def _closed_form(mu0, b, v2, s2):
    return Constants(mu0, b, v2, s2, jnp.zeros_like(s2))


def _leaky_relu(slope, shared, fresh):
    gamma2, r, one_minus_r = split(shared, fresh)
    half = (1 - slope) / 2
    scale = 2 / math.pi * half**2 * gamma2
    grown, left = _arc_cosine(r, one_minus_r)
    b = jnp.broadcast_to((1 + slope) / 2, gamma2.shape).astype(gamma2.dtype)
    return _closed_form(half * jnp.sqrt(2 / math.pi * gamma2), b, scale * grown, scale * left)


@jax.custom_jvp
def _arc_cosine(r, one_minus_r):
    """∫ arcsin from 0 to r, and from r to 1: r arcsin r + √(1-r²) - 1, and the rest."""
    sine = jnp.sqrt(one_minus_r * (1 + r))
    angle = jnp.arctan2(sine, r)
    grown = r * jnp.arctan2(r, sine) - r**2 / (1 + sine)
    # sin θ - θ cos θ = Σ (-1)^{n+1} θ^{2n+1} 2n/(2n+1)!
    series = 0.0
    for n in range(9, 0, -1):
        series = (-1) ** (n + 1) * 2 * n / math.factorial(2 * n + 1) + angle**2 * series
    lens = jnp.where(angle < 1, angle**3 * series, sine - angle * r)
    return grown, math.pi / 2 * one_minus_r - lens


@_arc_cosine.defjvp
def _arc_cosine_jvp(primals, tangents):
    r, one_minus_r = primals
    slope = jnp.arctan2(r, jnp.sqrt(one_minus_r * (1 + r)))
    return _arc_cosine(r, one_minus_r), (slope * tangents[0], slope * tangents[1])


def _cubic_remainder(x, y):
    """x - sin x with y = -x², sinh x - x with y = x²; for |x| <= 1."""
    series = 1.0
    for n in range(8, 1, -1):
        series = 1 + y / (2 * n * (2 * n + 1)) * series
    return x**3 / 6 * series


def _damped_sinh_remainder(x):
    """e^{-x} (sinh x - x) for x >= 0."""
    small = jnp.minimum(x, 1)
    series = jnp.exp(-small) * _cubic_remainder(small, small**2)
    return jnp.where(x < 1, series, -jnp.expm1(-2 * x) / 2 - x * jnp.exp(-x))
