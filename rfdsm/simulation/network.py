"""A trained network: the output and the score that evaluation and users take of it."""

import io
import json
import zlib
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._files.whole import whole_file
from .._numerics.absent import ABSENT, Absent
from .._numerics.linalg import product
from .._numerics.promotion import cast
from ..ingredients.activations import AbstractActivation
from ..ingredients.processes import Noising
from ..ingredients.targets import Denoising
from ..parameters.checks import float_array, is_traced
from ..parameters.plain import restored, to_description
from .blocks import BLOCK_ROWS, FEATURE_ROWS, stream
from .features import AbstractFeatures, GaussianFeatures, NetworkFeatures, row_keys

FORMATS = "rfdsm network 1", "rfdsm network 2"  # the first are of the default target


class Network(eqx.Module):
    r"""A trained network of output o(y) = w B f(y); a pytree, and the score as a function of y.

    Attributes:
        features: f; of a random-features network ϱ(W y/√d), with its W.
        B: the read-out, A/√p, shape (d, p); entries O(1/√p).
        denoising: what it was trained on, τ = c_x x + c_z z at y = a x + √h z, and w.

    Example:
        >>> import jax, rfdsm
        >>> model = rfdsm.RFDSM(psi_n=8, psi_p=4, m=4, t=0.1, lam=1e-2)
        >>> network = model.fit(jax.random.key(0), d=20)
        >>> y = network.noising.a * jax.random.normal(jax.random.key(1), (1000, 20))
        >>> network(y).shape
        (1000, 20)
    """

    features: AbstractFeatures
    B: Float[Array, "d p"]
    denoising: Denoising

    @property
    def noising(self) -> Noising:
        """y = a x + √h z, at which it was trained."""
        return self.denoising.noising

    def __call__(self, y: Any, key: Array | None = None) -> Float[Array, "*rows d"]:
        """The score that the output implies at noised points, shape (d,) or (rows, d).

        Args:
            y: the points.
            key: of what the Gaussian surrogate draws at y; a network draws nothing.

        Raises:
            ValueError: points of another dimension.
        """
        return self._at(y, key, self.implied)

    def output(self, y: Any, key: Array | None = None) -> Float[Array, "*rows d"]:
        """o = w B f, in the target's units: it predicts τ. Arguments as of the score."""
        return self._at(y, key, lambda read, y: self.denoising.scale * read)

    def _at(self, y, key, result):
        y, d = float_array(y, "y"), self.B.shape[0]
        if y.ndim not in (1, 2) or y.shape[-1] != d:
            raise ValueError(f"y must have shape ({d},) or (rows, {d}), got {y.shape}.")
        rows = jnp.asarray(y, self.B.dtype).reshape(-1, d)
        keys = row_keys(jax.random.key(0) if key is None else key, len(rows))
        read = self.read(keys, rows, jnp.full(len(rows), -1))
        return result(read, rows).reshape(y.shape)

    def implied(
        self, read: Float[Array, "rows d"], y: Float[Array, "rows d"]
    ) -> Float[Array, "rows d"]:
        """The score that the read-out B f implies at y."""
        denoising = cast(self.denoising, y.dtype)
        return denoising.slope * read + denoising.tilt * y

    @eqx.filter_jit
    def read(
        self, keys: Array, y: Float[Array, "rows d"], points: Int[Array, " rows"]
    ) -> Float[Array, "rows d"]:
        """B f(y), a block of rows at a time, each with its key; see `AbstractFeatures.of`."""
        B = self.B.astype(y.dtype)

        def one(row):
            key, y, point = row
            return product(B, self.features.of(key, y[None], point[None]))[:, 0]

        if self.features.draws:
            return jax.lax.map(one, (keys, y, points), batch_size=BLOCK_ROWS)

        def add(read, start, size):
            f = self.features.of(keys, jax.lax.dynamic_slice_in_dim(y, start, size))
            return jax.lax.dynamic_update_slice(read, product(f.T, B.T), (start, 0))

        return stream(add, jnp.zeros((len(y), len(B)), y.dtype), len(y), FEATURE_ROWS)

    def save(self, path: Path | str) -> None:
        """Write the network to a file, whole or not at all; `load` reads it back.

        A line of JSON, then the arrays as Equinox serialises them. A user's own activation
        function cannot be written: `load` takes it back.

        Raises:
            ValueError: a traced network.
        """
        if is_traced(self):
            raise ValueError("save needs a concrete network: call it outside of jit.")
        network = jax.tree.map(jnp.asarray, self)  # numbers of one made by hand are Python's
        arrays = io.BytesIO()
        eqx.tree_serialise_leaves(arrays, network)
        activation = getattr(self.features, "activation", None)
        about = {
            "format": FORMATS[-1],
            "data": not isinstance(self.denoising.data, Absent),
            "activation": activation and to_description(activation, whole=False),
            "leaves": [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(network)],
            "crc32": zlib.crc32(arrays.getbuffer()),
        }
        with whole_file(path) as partial, partial.open("wb") as file:
            file.write(json.dumps(about).encode() + b"\n")
            file.write(arrays.getbuffer())

    @classmethod
    def load(cls, path: Path | str, activation: AbstractActivation | None = None) -> "Network":
        """Read what `save` wrote.

        Args:
            path: the file. activation: of the network, needed where it is a user's function.

        Raises:
            ValueError: not a file of a network, one that is damaged, its activation is a
                function and not given, or float64 arrays without JAX's x64.
        """
        with Path(path).open("rb") as file:
            head, arrays = file.readline(), file.read()
        try:
            about = json.loads(head)
            known = isinstance(about, dict) and about.get("format") in FORMATS
        except ValueError:
            known = False
        if not known:
            raise ValueError(f"{path} is not a file of a network: Network.save writes them.")
        if zlib.crc32(arrays) != about["crc32"]:
            raise ValueError(f"{path} is damaged, cut off perhaps: save the network again.")
        leaves = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in about["leaves"]]
        if any(leaf.dtype == np.float64 for leaf in leaves) and not jax.config.jax_enable_x64:
            switch = "jax.config.update('jax_enable_x64', True)"
            raise ValueError(f"{path} holds float64 numbers: {switch} before it is read.")
        features: AbstractFeatures = GaussianFeatures(0, 0, 0, 0, 0)
        if about["activation"] is not None:
            what = "activation", AbstractActivation, about["activation"]
            features = NetworkFeatures(restored(*what, activation, f"Network.load({path})"), 0)
        noising, first = Noising(0, 0), about["format"] == FORMATS[0]
        of_second = Denoising(noising, 0 if about.get("data") else ABSENT, 0, 0)
        blank = jax.tree.structure((features, 0, noising if first else of_second))
        shapes = jax.tree.unflatten(blank, leaves)
        features, B, last = eqx.tree_deserialise_leaves(io.BytesIO(arrays), shapes)
        last = Denoising(last, ABSENT, -jnp.ones_like(last.h), last.h) if first else last
        return cls(features, B, last)
