r"""What the equations know of features that were measured (docs/theory.md section 12).

With the features' weights fixed and classes c of points, shares π_c, the moments are

    S_g,c = E[E_z f (E_z f)^T],    S_s,c = E Cov_z f,    T_c = E f z^T          (p×p, p×p, p×d)

and the one-point equations have 2C positive unknowns, E0_c = δ0_c and E1_c = δ1_c/u,

    E0_c = (1/n) tr (S_g,c + u S_s,c) Q̄,      E1_c = (1/n) tr S_s,c Q̄,
    Q̄ = (λ + Σ_c π_c [i0_c S_g,c + α_c S_s,c])^{-1},
    i0_c = 1/(1 + E0_c),   i1_c = 1/(1 + u E1_c),   α_c = u i0_c + (1-u) i1_c.

The target τ = c_x x + c_z z enters beside these (section 14): with T_x,c = E f x^T and
X_c = E|x|²/d of each class, T̃ = Σ_c π_c (c_x i0_c T_x,c + c_z α_c T_c).

In the eigenbasis of Σ_c π_c (S_g,c + S_s,c) all these matrices are diagonal but for a few
percent. So the equations with the diagonals alone, vectors of length p, give a start within
percents of the root, and their Jacobian serves Broyden's method for the true ones: it costs
one inversion a step, and replaces nearly all of Newton's steps, which cost 2C products of p×p
matrices each.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._numerics.absent import ABSENT, Absent, multilinear
from .._numerics.derivatives import unknown
from .._numerics.linalg import inverse, product
from ..ingredients.sharing import ALL
from ..ingredients.targets import Denoising
from . import branch
from .equations import OnePointEquations
from .measured_scalars import Response, Source, State
from .scalars import Image

FLOOR = 1e-100  # of diagonals, far below rounding of any
DIAGONAL_STEPS = 60  # at most; five are usual
DIAGONAL_RESIDUAL = 1e-10
QUICK_STEPS = 40  # inversions at most; four to seven are usual
QUICK_RESIDUAL = 3e-14
SLOW = 0.5  # a step that leaves more of the residual than this is Newton's business
STEP_LIMIT = 3.0  # in the logs


class MeasuredEquations(OnePointEquations):
    """Features of which the second moments are given, in classes of points.

    Attributes:
        n: the number of training points.
        moments: S_g, S_s, T and π_c in their eigenbasis, with `shared` and `fresh` of shape
            (C, p, p), `cross` (C, p, d) and `weights` (C,); for targets with data `cross_data`
            (C, p, d) and `square_data` (C,).
        denoising: y = a x + √h z, and the target.
        toward: beside another network the cross moments, E f' f^T of its features f' and of
            these, parts g and s, (C, p', p) each; None: beside itself.
    """

    fixed_steps: ClassVar[int] = 0  # a look at the residual is an inversion, a step is more
    one_by_one: ClassVar[bool] = True

    n: Float[Array, ""]
    moments: Any
    denoising: Denoising
    toward: Any = None

    @property
    def weights(self) -> Float[Array, " C"]:
        """π_c."""
        return self.moments.weights

    @property
    def data(self) -> tuple[Any, Any]:
        """T_x,c and c_x² X_c; `ABSENT` for targets of the noise alone."""
        c_x, of = self.denoising.data, self.moments
        if isinstance(c_x, Absent):
            return ABSENT, ABSENT
        return of.cross_data, c_x**2 * of.square_data

    @property
    def null(self) -> Any:
        return self.denoising.noise**2 + _total(self.weights * self.data[1])

    def diagonals(self) -> Float[Array, "2C p"]:
        """The diagonals of S_g,c and S_s,c; positive, for what has noise has logarithms."""
        both = jnp.concatenate([self.moments.shared, self.moments.fresh])
        return jnp.maximum(jnp.diagonal(both, axis1=1, axis2=2), FLOOR)

    def start(self, lam, u):
        """The root up to rounding where the diagonals are a good guide, else a guess."""

        def residual(unknowns):
            return self.residual(self.state(unknowns, lam, u))

        def quick_step(carry):
            unknowns, before, matrix, _, count = carry
            step = branch.limited(jnp.linalg.solve(matrix, before), STEP_LIMIT)
            moved = branch.held(unknowns, unknowns * jnp.exp(step), lam)
            after = residual(moved)
            # Broyden: the least change of the matrix that explains this step.
            unexplained = before - after - product(matrix, step)
            size = jnp.sum(jnp.abs(step) ** 2)
            matrix += unexplained[:, None] * (jnp.conj(step) / size)[None, :]
            gain = _largest(after) / _largest(before)
            better = gain < 1
            kept = jnp.where(better, moved, unknowns), jnp.where(better, after, before)
            return *kept, matrix, gain, count + 1

        def gaining(carry):
            _, residual, _, gain, count = carry
            return (_largest(residual) > QUICK_RESIDUAL) & (gain < SLOW) & (count < QUICK_STEPS)

        unknowns = self._diagonal_root(lam, u)
        _, matrix = self._on_diagonals(self.diagonals(), unknowns, lam, u)
        never, none = jnp.zeros_like(jnp.abs(lam)), jnp.zeros((), int)
        first = (unknowns, residual(unknowns), matrix, never, none)
        return jax.lax.while_loop(gaining, quick_step, first)[0]

    def _diagonal_root(self, lam, u):
        """The unknowns of the equations with the diagonals alone."""
        diagonals = self.diagonals()

        def step(carry):
            unknowns, _, count = carry
            maps, matrix = self._on_diagonals(diagonals, unknowns, lam, u)
            residual = jnp.log(maps / unknowns)
            step = branch.limited(jnp.linalg.solve(matrix, residual), STEP_LIMIT)
            moved = branch.held(unknowns, unknowns * jnp.exp(step), lam)
            return moved, _largest(residual), count + 1

        def rough(carry):
            return (carry[1] > DIAGONAL_RESIDUAL) & (carry[2] < DIAGONAL_STEPS)

        if jnp.iscomplexobj(lam):
            guess = branch.turned(self._diagonal_root(jnp.abs(lam), u), lam)
        else:
            guess = jnp.concatenate(self._maps(*jnp.split(jnp.sum(diagonals, 1) / lam, 2), u))
        never = jnp.full_like(jnp.abs(lam), jnp.inf)
        return jax.lax.while_loop(rough, step, (guess, never, jnp.zeros((), int)))[0]

    def state(self, unknowns, lam, u) -> State:
        E0, E1, i0, i1, alpha = self._scalars(unknowns, u)
        p, d = self.moments.cross.shape[1:]
        total = _times(self.weights * i0, self.moments.shared)
        total += _times(self.weights * alpha, self.moments.fresh)
        resolvent = inverse(total + lam * jnp.eye(p, dtype=total.dtype))
        of_shared, of_fresh = (
            _pair("cxy,xy->c", S, resolvent) for S in (self.moments.shared, self.moments.fresh)
        )
        E0_map, E1_map = self._maps(of_shared, of_fresh, u)
        c_z, c_x, w = self.denoising.noise, self.denoising.data, self.weights
        cross_data, power = self.data
        target = _times(w * (c_z * alpha), self.moments.cross)
        target += _times(w * (c_x * i0), cross_data)
        read_out = product(resolvent, target)
        of_noise, of_data = (
            _overlap(T, read_out) / d for T in (self.moments.cross, cross_data)
        )
        eta = of_shared / self.n
        seen = i0 * eta
        return State(
            E0=E0,
            E1=E1,
            E0_map=E0_map,
            E1_map=E1_map,
            i0=i0,
            i1=i1,
            alpha=alpha,
            lam=lam,
            u=u,
            resolvent=resolvent,
            read_out=read_out,
            eta=eta,
            of_noise=of_noise,
            of_data=of_data,
            alignment=jnp.sum(w * (c_z * of_noise + c_x * of_data)),
            training_alignment=jnp.sum(
                w * (c_z * of_noise + c_x * (1 - seen) * of_data + power * seen)
            ),
            # The trace of T̃^T Q̄ T̃ is Σ_c π_c (c_z α_c of_noise + c_x i0_c of_data).
            penalised_loss=jnp.sum(
                w * alpha * (c_z**2 - c_z * of_noise) + w * i0 * (power - c_x * of_data)
            ),
        )

    def residual(self, state: State) -> Array:
        return jnp.log(jnp.concatenate([state.E0_map / state.E0, state.E1_map / state.E1]))

    def mismatch(self, state: State) -> Float[Array, ""]:
        return _largest(self.residual(state))

    def newton_step(self, state: State, residual) -> Array:
        unknowns = jnp.concatenate([state.E0, state.E1])
        maps = jnp.concatenate([state.E0_map, state.E1_map])
        products = self._products(state.resolvent, self._own)
        overlaps = _pair("axy,byx->ab", products, products)
        return jnp.linalg.solve(self._jacobian(unknowns, maps, overlaps, state.u), residual)

    def response(self, state: State) -> Response:
        moments = self._own if self.toward is None else self.toward
        of_state = state.resolvent, state.read_out
        return Response(state, *(self._products(right, moments) for right in of_state))

    def sources(self, left: Response, right: Response) -> tuple[Source, Source, Source]:
        w, zero = self.weights, jnp.zeros_like(self.weights)
        none, one = jnp.zeros_like(self.n), jnp.ones_like(self.n)
        shares = left.state.i0 * left.state.eta, right.state.i0 * right.state.eta
        taken = [Image(self.denoising.data * share, ABSENT) for share in shares]
        nothing = Image(self.denoising.data * zero, ABSENT)
        mean, cross = shares[0] * shares[1], 1 - shares[0] - shares[1]
        return (
            Source(w, w, none, zero, zero, nothing, nothing),
            Source(zero, w, none, mean, cross, *taken),
            Source(zero, zero, one, zero, zero, nothing, nothing),
        )

    def pairs(self, left: Response, right: Response) -> Source:
        L, R, zero, none = left.state, right.state, jnp.zeros_like(self.weights), 0 * self.n
        c_z, c_x = self.denoising.noise, self.denoising.data
        own = Image(1 - L.i0 - R.i0, 1 - L.alpha - R.alpha)
        taken = (Image(c_x * of.i0, c_z * of.alpha) for of in (R, L))
        return Source(zero, zero, none, L.i0 * R.i0, zero, *taken, L.i1 * R.i1, own)

    def corners(self, left, right, sources, shared=ALL, other=None) -> list[Array]:
        r"""K_o, from Q_o = -Q̄_L X_o Q̄_R with

            X_o = Σ_c [π_c (M_c + g_c) + shared_c] S_g,c
                  + Σ_c [π_c (u M_c + (1-u) I1_c) + fresh_c] S_s,c + identity·I,
            M_c = mean_c - i0_L δ0_o i0_R,    I1_c = contrast_c - i1_L δ1_o i1_R,

        where δ0_o and δ1_o are the traces of Q_o: a linear system of 2C equations. Between
        networks with noises apart u = 0 in it, with points apart i0 has no corner either; with
        features apart the S_a are the cross moments.
        """
        L, R, w = left.state, right.state, self.weights
        u = L.u if shared.noises else jnp.zeros_like(L.u)
        overlaps = _pair("axy,byx->ab", left.products, right.products)
        zero = jnp.zeros_like(w)

        def coefficients(mean, contrast, source):
            """(x, spread): x of X_o in all S_a, and the corners of α."""
            spread = u * mean + (1 - u) * contrast
            shared = w * (mean + source.cross) + source.shared
            return jnp.concatenate([shared, w * spread + source.fresh]), spread

        mean, contrast = L.i0 * R.i0 if shared.points else zero, u * L.i1 * R.i1
        system = jnp.eye(2 * w.shape[0], dtype=overlaps.dtype)
        system -= self._feedback(overlaps, mean, contrast, u)
        of_each = _pair("axi,xi->a", left.images, R.read_out)
        if shared.features:  # features apart have no identity between them
            of_identity = _pair("axy,yx->a", left.products, R.resolvent)
            of_both = jnp.sum(L.read_out * R.read_out)

        def corner(source):
            own, _ = coefficients(source.mean, zero + source.contrast, source)
            traces = product(overlaps, own)
            if shared.features:
                traces += source.identity * of_identity
            maps = jnp.concatenate(self._maps(*jnp.split(traces, 2), u))
            E0_o, E1_o = jnp.split(-jnp.linalg.solve(system, maps), 2)
            M = source.mean - mean * E0_o
            x, spread = coefficients(M, source.contrast - contrast * E1_o, source)
            deformed = jnp.sum(x * of_each)
            if shared.features:
                deformed += source.identity * of_both
            # T̃'s corner is Σ_c π_c [(c_x M_c - left_c) T_x,c + c_z α_o,c T_c], so on the right.
            c_z, of_data = self.denoising.noise, self.denoising.data * M
            through = w * spread * (c_z * L.of_noise + c_z * R.of_noise - c_z**2)
            through += w * (
                (of_data - source.left.data) * R.of_data
                + (of_data - source.right.data) * L.of_data
                - self.data[1] * (M + source.own.data)
            )
            through -= w * (
                source.left.noise * R.of_noise
                + source.right.noise * L.of_noise
                + c_z**2 * source.own.noise
            )
            return jnp.sum(through) - deformed / self.moments.cross.shape[2]

        return [corner(source) for source in sources]

    def score(self, nodes, states, test_gain):
        return unknown(test_gain), unknown(test_gain)

    def coefficients(self, unknowns, u) -> tuple[Array, Array]:
        """Of S_g,c and S_s,c in Q̄^{-1}: π_c i0_c and π_c α_c."""
        _, _, i0, _, alpha = self._scalars(unknowns, u)
        return self.weights * i0, self.weights * alpha

    def _scalars(self, unknowns, u):
        """(E0, E1, i0, i1, α) per class."""
        E0, E1 = jnp.split(unknowns, 2)
        i0, i1 = 1 / (1 + E0), 1 / (1 + u * E1)
        return E0, E1, i0, i1, u * i0 + (1 - u) * i1

    def _maps(self, of_shared, of_fresh, u):
        """The unknowns' right-hand sides from tr S_g,c Q̄ and tr S_s,c Q̄."""
        return (of_shared + u * of_fresh) / self.n, of_fresh / self.n

    def _feedback(self, overlaps, mean, contrast, u):
        r"""∂(E0, E1)_map/∂(E0, E1), where i0 and i1 fall by `mean` and `contrast` per unit.

        `overlaps` are tr S_a Q̄ S_b Q̄ = -∂(tr S_a Q̄)/∂(coefficient of S_b), shape (2C, 2C).
        """
        w, nothing = self.weights, jnp.zeros_like(overlaps[: len(mean), : len(mean)])
        falls = jnp.block(
            [
                [jnp.diag(w * mean), nothing],
                [jnp.diag(u * w * mean), jnp.diag(w * contrast * (1 - u))],
            ]
        )
        of_shared, of_fresh = jnp.split(product(overlaps, falls), 2)
        return jnp.concatenate(self._maps(of_shared, of_fresh, u))

    def _jacobian(self, unknowns, maps, overlaps, u):
        """I - ∂log map/∂log E: minus the Jacobian of `residual` in the logs."""
        _, _, i0, i1, _ = self._scalars(unknowns, u)
        feedback = self._feedback(overlaps, i0 * i0, u * i1 * i1, u)
        scale = unknowns[None, :] / maps[:, None]
        return jnp.eye(len(maps), dtype=maps.dtype) - feedback * scale

    @property
    def _own(self):
        """S_g and S_s."""
        return self.moments.shared, self.moments.fresh

    def _products(self, right, moments):
        """S_a right, S_g's before S_s's."""
        return jnp.concatenate([_times(S, right) for S in moments])

    def _on_diagonals(self, diagonals, unknowns, lam, u):
        """(maps, `_jacobian`) of the equations with the diagonals alone."""
        coefficients = jnp.concatenate(self.coefficients(unknowns, u))
        products = diagonals / (lam + coefficients @ diagonals)[None, :]
        maps = jnp.concatenate(self._maps(*jnp.split(jnp.sum(products, 1), 2), u))
        overlaps = product(products, products.T)
        return maps, self._jacobian(unknowns, maps, overlaps, u)


def _pair(subscripts: str, left, right):
    return jnp.einsum(subscripts, left, right, precision="highest")


@multilinear
def _overlap(T, read_out):
    """tr T_c^T read_out for each class."""
    return _pair("cxi,xi->c", T, read_out)


_total = multilinear(jnp.sum)


@multilinear
def _times(left, right):
    """Σ_c coefficient_c matrix_c; or S_c right for each c, as one product."""
    return jnp.tensordot(left, right, 1, precision="highest")


def _largest(residual):
    return jnp.max(jnp.abs(residual))
