r"""Quadrature that turns a decaying filter into nodes and weights (docs/theory.md section 6).

A filter like φ(x) = (1 - e^{-τx})/x is entire, and by Cauchy an integral of φ(z)/(z - x) around
the spectrum. Only its decaying part needs to be integrated: with g(z) = -e^{-τz}/z the contour
that comes from +∞ above the real axis, crosses it left of 0 and returns below encloses the
poles x and 0, whose residues add up to φ(x). The integrand falls like e^{-τz}: the contour
needs no right end, hence no bound on the spectrum, and few points.

The contour is the hyperbola of Weideman (IMA J. Numer. Anal. 30 (2010) 334), whose midpoint
rule converges geometrically, at once for all decay times in a window [t, Λt]. A point comes
with its conjugate: of a pair the lower one is given, whose resolvent argument -z is above the
real axis, and a sum over the contour is twice the real part of the sum over the points.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from .promotion import mixed

ANGLES = np.linspace(math.pi / 4, math.pi / 2, 130)[1:-1]  # of which the best is taken
DIGITS = 28.0  # the error aimed at is e^{-28} = 7e-13
MOST_DIGITS = 32.0  # beyond which an error is rounding
COUNTS = (*range(24, 64, 8), *range(64, 128, 16), *range(128, 257, 32))  # so few programs
WIDEST = 1e40  # window; no count resolves wider ones


@mixed
def hyperbola(
    shortest: Float[Array, ""], longest: Float[Array, ""], count: int
) -> tuple[Complex[Array, " count"], Complex[Array, " count"]]:
    r"""Points w and steps dw/(2πi) around [0, ∞) for decays e^{-tw}, shortest <= t <= longest.

    For f(x) = (1/2πi) ∮ g(w)/(w - x) dw: f(x) ≈ 2 Re Σ_k step_k g(w_k)/(w_k - x), with an error
    in x f(x) of about e^{-rate·count}, see `rate`. Derivatives do not see the points.

    Args:
        shortest, longest: > 0, in the inverse unit of w.
        count: of points below the real axis.
    """
    shortest, longest = map(jax.lax.stop_gradient, (shortest, longest))
    # Weideman's z = μ (1 + sin(iϑ - α)) opens around the negative axis, w = -z around [0, ∞):
    #     w(ϑ) = μ (sin α cosh ϑ - 1 - i cos α sinh ϑ),      -∞ < ϑ < ∞,
    # from +∞ above the axis (ϑ < 0) by w(0) = μ (sin α - 1) < 0 to +∞ below it: once around all
    # poles, counter-clockwise. The midpoint rule of step A/N at ϑ = ±(k+½) A/N, k < N, has
    # three errors, for t in [shortest, longest]:
    #     poles on one side, π/2 - α away:               e^{-2π(π/2-α) N/A},
    #     growth of e^{-tw} on the other, α away:        e^{μ longest - 2πα N/A},
    #     the end at ϑ = A:                              e^{-μ shortest (sin α cosh A - 1)}.
    # The first two are equal for μ = π(4α-π) N/(A longest), the last too for the A of `_best`.
    # On the way e^{-tw} reaches e^{μ longest}, times which rounding counts: more points than
    # are needed refine the step and leave μ.
    angle, scale = _best(longest / shortest, jnp)
    step = scale / count
    u = (np.arange(count) + 0.5) * step
    needed = jnp.minimum(count, MOST_DIGITS / _rate(angle, scale))
    size = math.pi * (4 * angle - math.pi) * needed / (scale * longest)
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    w = size * jax.lax.complex(sine * jnp.cosh(u) - 1, -cosine * jnp.sinh(u))
    # w(-ϑ) = w(ϑ)* and w'(-ϑ) = -w'(ϑ)*: dw/(2πi), and with it each term, has its conjugate at
    # -ϑ if g(w*) = g(w)*. So the sum is 2 Re of that over ϑ > 0, below the axis.
    slope = size * jax.lax.complex(sine * jnp.sinh(u), -cosine * jnp.cosh(u))
    return w, slope * step / (2j * math.pi)


def rate(window: Any) -> Any:
    """B of the error e^{-B·count} over the window longest/shortest."""
    window = min(window, WIDEST)
    angle, scale = _best(window, np)
    return _rate(angle, scale)


def _rate(angle, scale):
    return (math.pi**2 - 2 * math.pi * angle) / scale


def enough(window: float, digits: float = DIGITS) -> int:
    """The least of `COUNTS` that resolves a window to e^{-digits}, else the largest."""
    need = digits / rate(window)
    return next((count for count in COUNTS if count >= need), COUNTS[-1])


def _best(window, xp) -> tuple[Any, Any]:
    """The hyperbola's angle α and A(α): the step is A/count, the rate (π² - 2πα)/A."""
    opening = 4 * ANGLES - math.pi
    cosh = ((math.pi - 2 * ANGLES) * window + opening) / (opening * np.sin(ANGLES))
    scale = xp.arccosh(cosh)
    best = xp.argmax(_rate(ANGLES, scale))
    return xp.asarray(ANGLES)[best], scale[best]
