r"""What the equations know of features averaged over W (docs/theory.md sections 3-5, 13).

Rotating the m noisy copies of one data point into their mean direction and m-1 contrasts
makes two independent populations of features with jointly diagonal covariances. For each
direction of the data with eigenvalue σ, per feature,

    mean direction:  t(σ) = b²(a²σ + u h) in W's direction,   v² + u s² isotropic
    contrasts:       b² h                                     s²

and the deterministic equivalent of (U+λ)^{-1} has three positive unknowns,

    E0 = q [∫ρ t D + v² + u s²],     E1 = q [b²h ∫ρ D + s²],     q = (1/p) tr (U+λ)^{-1}

(δ0 = ratio·E0 and δ1 = u·ratio·E1 in the paper's symbols, ratio = ψ_p/ψ_n) with

    i0 = 1/(1 + ratio E0),   i1 = 1/(1 + u ratio E1),   Y = t i0 + (1-u) b²h i1,
    D = 1/(1 + ψ_p q Y),     λ q + E0 i0 + (1-u) E1 i1 = 1.

The last line is the trace of (U+λ)^{-1}(U+λ) = 1 and replaces 1/q = x + ∫ρ Y D. Nothing is
singular at u = 0 (m = ∞) or u = 1 (m = 1), so no case is made of them.

The target τ = c_x x + c_z z enters beside these (section 14): E f τ^T = b W τ*/√d, and what the
points leave of it to the read-out is b W τ/√d, with, for each direction of the data,

    τ*(σ)/√h = c_x (a/√h) σ + c_z,    τ(σ)/√h = c_x (a/√h) i0 σ + c_z α,    α = u i0 + (1-u) i1.

Besides, the law of the data is known here, and with it the true score and the mean learned
one: score_error, bias2 and variance follow.
"""

from functools import reduce
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.absent import ABSENT
from .._numerics.linalg import product
from .._numerics.once import sums
from ..ingredients.filters import both_halves
from ..ingredients.sharing import ALL
from ..ingredients.targets import Denoising
from . import branch, corners, one_atom
from .equations import OnePointEquations
from .scalars import Image, Linear, Source, State


class AveragedEquations(OnePointEquations):
    """Features of random weights, averaged over W, on data of any eigenvalue law.

    Attributes:
        psi_n, psi_p: n/d and p/d.
        linear_data, linear_noise: A = b²a² and H = b²h.
        shared, fresh: v² and s², the nonlinear part per data point and per noise.
        eigenvalues, weights: the law ρ, shape (k,).
        denoising: y = a x + √h z, and the target.
    """

    # One more than the worst of 4·10^5 points of `equivalent`'s box needed.
    fixed_steps: ClassVar[int] = 8
    one_by_one: ClassVar[bool] = False

    psi_n: Float[Array, ""]
    psi_p: Float[Array, ""]
    linear_data: Float[Array, ""]
    linear_noise: Float[Array, ""]
    shared: Float[Array, ""]
    fresh: Float[Array, ""]
    eigenvalues: Float[Array, " k"]
    weights: Float[Array, " k"]
    denoising: Denoising

    @property
    def ratio(self) -> Float[Array, ""]:
        """ψ_p/ψ_n = p/n."""
        return self.psi_p / self.psi_n

    def average(self, values: Float[Array, " k"]) -> Float[Array, ""]:
        """∫ρ f = Σ_k w_k f(σ_k)."""
        return jnp.sum(self.weights * values)

    def moments(self, left: State, right: State) -> tuple[Any, Any, Any, Any]:
        """∫ρ σ^k D_L D_R for k = 0..3: all that a pair of points needs of the directions."""
        if left is right:
            return left.squares
        values = self._times_powers(self.weights * left.D, 4)
        if jnp.iscomplexobj(left.D):  # of many nodes: a matrix product for all pairs
            return tuple(product(value, right.D) for value in values)
        return sums(*(value * right.D for value in values))

    def _times_powers(self, values: Array, count: int) -> list[Array]:
        """The values times σ^k, for each k below `count`."""
        products = [values]
        for _ in range(count - 1):
            products.append(products[-1] * self.eigenvalues)
        return products

    def image(self, data: Any, noise: Any) -> Image:
        """τ of c_x times `data` and c_z times `noise`."""
        a, h = self.denoising.noising.a, self.denoising.noising.h
        target = self.denoising
        return Image(target.data * (a / jnp.sqrt(h)) * data, target.noise * noise)

    @property
    def null(self) -> Any:
        return self.denoising.null(self.average(self.eigenvalues))

    def linear_mean(self, u: Float[Array, ""]) -> Linear:
        """t(σ) = b²(a²σ + u h)."""
        return Linear(u * self.linear_noise, self.linear_data)

    def isotropic_mean(self, u: Float[Array, ""]) -> Float[Array, ""]:
        """v² + u s²."""
        return self.shared + u * self.fresh

    def root(self, lam, u) -> tuple[tuple[Array, Array, Array], Array] | None:
        if not self.of_one_atom or jnp.iscomplexobj(lam):
            return None
        x = self.scalars(u)
        q, G, steps = one_atom.root(lam, x)
        E0, E1 = x.weight * x.t * G + x.B0 * q, x.weight * x.H * G + x.B1 * q
        return (E0, E1, q), steps

    @property
    def of_one_atom(self) -> bool:
        """Whether the data have one eigenvalue."""
        return self.eigenvalues.shape == (1,)

    def scalars(self, u: Float[Array, ""]) -> one_atom.Scalars:
        """What the equations of one atom are made of."""
        t, isotropic = self.linear_mean(u)(self.eigenvalues[0]), self.isotropic_mean(u)
        ratios = self.ratio, self.psi_p, self.weights[0]
        return one_atom.Scalars(u, *ratios, t, self.linear_noise, isotropic, self.fresh)

    def start(self, lam, u) -> tuple[Array, Array, Array]:
        """Unknowns from which Newton converges everywhere (docs/theory.md section 13).

        E0 = c0 q and E1 = c1 q with D frozen, and q from `one_atom.larger_root`. At complex λ
        what they are at |λ|, turned.
        """
        if jnp.iscomplexobj(lam):
            return branch.turned(self.start(jnp.abs(lam), u), lam)
        t, noise = self.linear_mean(u)(self.eigenvalues), (1 - u) * self.linear_noise
        x = lam + self.shared + self.fresh
        D = x / (x + self.psi_p * (t + noise))
        c0 = self.average(t * D) + self.isotropic_mean(u)
        c1 = self.linear_noise * self.average(D) + self.fresh
        q = one_atom.larger_root(lam, u, self.ratio, c0, c1)
        state = self.state((c0 * q, c1 * q, q), lam, u)
        return state.E0_map, state.E1_map, q

    def state(self, unknowns, lam, u) -> State:
        """Every scalar of section 4 at the unknowns (E0, E1, q)."""
        E0, E1, q = unknowns
        i0 = 1 / (1 + self.ratio * E0)
        i1 = 1 / (1 + u * self.ratio * E1)
        t, spread = self.linear_mean(u), 1 - u
        Y = t.times(i0) + Linear(spread * self.linear_noise * i1)
        D = 1 / (1 + self.psi_p * q * Y(self.eigenvalues))
        powers = self._times_powers(self.weights * D, 4)
        every = sums(*powers[:3], *(power * D for power in powers))
        powers, squares = every[:3], every[3:]
        mass, of_data, _ = powers
        data, noise = self.linear_data * of_data, self.linear_noise * mass
        alpha, eta = u * i0 + spread * i1, self.ratio * q * (data + self.shared)
        coupling = tuple(self.psi_p * q * (self.linear_noise * power) for power in powers)
        image, target = self.image(i0, alpha), self.denoising
        sigma_x2 = self.average(self.eigenvalues)
        across = self.linear_data / target.gain**2 * of_data
        return State(
            E0=E0,
            E1=E1,
            q=q,
            i0=i0,
            i1=i1,
            D=D,
            powers=powers,
            squares=squares,
            lam=lam,
            u=u,
            E0_map=q * (data + u * noise + self.isotropic_mean(u)),
            E1_map=q * (noise + self.fresh),
            eta=eta,
            alpha=alpha,
            image=image,
            coupling=coupling,
            alignment=image.overlap(coupling, self.image(1, 1)),
            training_alignment=image.overlap(coupling, self.image(1 - i0 * eta, 1))
            + target.data**2 * sigma_x2 * i0 * eta,
            # ∫ρ [c_x² σ i0 + c_z² α - b²ψ_p q D τ²], with 1 = D + ψ_p q Y D in it.
            penalised_loss=alpha * (target.noise**2 * mass + self.psi_p * q * i0 * across)
            + target.data**2 * i0 * of_data,
        )

    def residual(self, state: State) -> tuple[Array, Array, Array]:
        trace = state.lam * state.q + state.E0 * state.i0 + (1 - state.u) * state.E1 * state.i1
        return (
            _log_ratio(state.E0_map, state.E0),
            _log_ratio(state.E1_map, state.E1),
            trace - 1,
        )

    def mismatch(self, state: State) -> Float[Array, ""]:
        # Section 4's own equations, with q (x + ∫ρYD) in terms of the maps.
        mean, contrast = state.i0 * state.E0_map, (1 - state.u) * state.i1 * state.E1_map
        ratios = (
            state.E0_map / state.E0,
            state.E1_map / state.E1,
            state.lam * state.q + mean + contrast,
        )
        return reduce(jnp.maximum, (jnp.abs(ratio - 1) for ratio in ratios))

    def newton_step(self, state: State, residual) -> tuple[Array, Array, Array]:
        mean, contrast, trace = residual
        rhs = mean * state.E0_map, contrast * state.E1_map, -trace
        return corners.linear_system(self, state, state)(*rhs)

    def response(self, state: State) -> State:
        return state

    def sources(self, left: State, right: State) -> tuple[Source, Source, Source]:
        shares = left.i0 * left.eta, right.i0 * right.eta
        left, right = (Image(self.image(share, 1).data, ABSENT) for share in shares)
        fresh = Source(
            features=self.shared + self.fresh, data=self.linear_data, noise=self.linear_noise
        )
        training = Source(
            features=self.fresh,
            noise=self.linear_noise,
            mean=shares[0] * shares[1],
            cross=1 - shares[0] - shares[1],
            left=left,
            right=right,
        )
        return fresh, training, Source(features=1.0)

    def pairs(self, left: State, right: State) -> Source:
        mean, contrast = left.i0 * right.i0, left.i1 * right.i1
        own = Image(1 - left.i0 - right.i0, 1 - left.alpha - right.alpha)
        taken = {"left": right.image, "right": left.image}
        return Source(mean=mean, **taken, contrast=contrast, own=own)

    def corners(self, left, right, sources, shared=ALL, other=None) -> list[Array]:
        width = None if other is None else other.psi_p
        return corners.corners(self, left, right, sources, shared, width)

    def score(self, nodes: Any, states: State, test_gain: Array) -> tuple[Array, Array]:
        """Of the score that the output implies: s = -κ_σ y in the mean, -y/σ_t in truth."""
        noising, gain, exact = self.denoising.noising, self.denoising.gain, self.image(1, 1)
        noised = noising.variances(self.eigenvalues)
        truth = 1 / noised
        best_gain = self.average((exact.noise + exact.data * self.eigenvalues) ** 2 * truth)
        score_error = gain**2 * (best_gain + test_gain / noising.h)
        data, noise = (
            (nodes.weights * part * states.q * self.psi_p)[:, None]
            for part in (states.image.data, states.image.noise)
        )
        each = noise * states.D + data * (self.eigenvalues[None, :] * states.D)
        total = both_halves(jnp.sum(each, axis=0))
        mean_score = self.linear_noise / noising.h * gain * total - self.denoising.tilt
        bias2 = self.average(noised * (truth - mean_score) ** 2)
        return score_error, bias2


def _log_ratio(x, y):
    """log(x/y) to third order at x = y, and never beyond ±2, where a ratio would run away."""
    return 2 * (x - y) / (x + y)
