"""What a model says when its networks are drawn and trained."""

import abc
from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from .. import simulation as _simulation
from .._numerics.memory import bytes_of
from ..errors import Errors, times_came_third
from ..ingredients.ensembles import Single
from ..ingredients.sharing import ALL, alike, require_another, sharing
from ..overlaps import Overlap, VarianceParts
from ..parameters.checks import float_leaves, require


class Simulated(eqx.Module):
    """Networks of finite size."""

    @abc.abstractmethod
    def _at_times(self, taus, moments=None) -> Any:
        """The model with all these training times for its rule's."""

    def simulate(
        self,
        key: Array,
        d: int | None = None,
        trials: int = 1,
        *,
        features: str = "network",
        networks: int = 1,
        share: Iterable[str] | str = ALL.names,
        other: Any = None,
        precision: str = "float64",
        memory: Any = None,
        report: Callable[[Any], Any] | None = None,
    ) -> Errors | Overlap:
        """The same errors, measured on real networks of finite size; or two networks' overlap.

        Draws W, data and noises, trains the read-out exactly, and measures every error on
        fresh draws; see `rfdsm.simulation.simulate`. The sizes are n = round(psi_n d) and
        p = round(psi_p d); `runs.sizes` holds them and `model.at(runs.sizes)` is the model
        to compare with.

        Args:
            key: a `jax.random.key`.
            d: the dimension; left out for `Samples`, which have their own.
            trials: independent networks and data sets, T.
            features: "network", or "gaussian" for the Gaussian surrogate
                b W y/√d + v ω_i + s ω_ij that theory replaces the network's features by.
            networks: 2 for the overlap of two networks, as in `overlap`; an `Ensemble` is for
                the errors of the average of several.
            share, other: of two networks, as in `overlap`. What is shared is the same numbers;
                of `Samples`, points that are not shared are two disjoint sets.
            precision: "mixed" for points and features in single precision, with sums and
                solves in double: faster, with the same draws, and errors that differ
                by less than a tenth of their spread between trials. At m = ∞ the averages'
                coefficients and products are single. "float64" for all in the precision of
                the model's numbers.
            memory: what it may take, such as "4GB", or bytes; None: what is free. On an
                accelerator more of it runs more trials side by side.
            report: called with `Progress` where it takes more than a few seconds: time and
                memory before, then what is done and the time left. None: lines of it are
                printed to the standard error.

        Returns:
            `Errors` of shape (trials,), of an ensemble those of its average; of two networks
            their `Overlap`.

        Raises:
            ValueError: traced or non-integer sizes, d < 1, trials < 1, too few `Samples`; a
                learning rate at which the network of a trial diverges. (Traced, that is NaN.)
                A rule so steep that mixed precision would be seen.
                Of two networks as `overlap` too.
            MemoryError: more than `memory`, or than is free; before any work.
        """
        how, budget = {"features": features, "precision": precision}, bytes_of(memory)
        if networks == 1 and other is None and sharing(share) == ALL:
            experiment = self._experiment(d, **how)
            return _simulation.simulate(key, experiment, trials, budget, report)
        return self._simulated_pair(key, d, trials, how, networks, share, other, budget)

    @times_came_third
    def simulate_trajectory(
        self,
        key: Array,
        d: int | None = None,
        trials: int = 1,
        taus: Any = None,
        *,
        features: str = "network",
        networks: int = 1,
        share: Iterable[str] | str = ALL.names,
        other: Any = None,
        precision: str = "float64",
        memory: Any = None,
        report: Callable[[Any], Any] | None = None,
    ) -> Errors | Overlap:
        """The errors along gradient flow, measured on networks at many training times.

        One eigendecomposition of U per trial serves all times, exactly: nothing is stepped.
        A time's errors are those of `simulate` at that time with the same key.

        Args:
            key, d, trials, features, networks, share, other, precision, memory, report: as in
                `simulate`.
            taus: training times, shape (times,), in place of the `GradientFlow`'s own.

        Returns:
            `Errors` of shape (times, trials); `runs.mean()` has that of `trajectory(taus)`. Or
            an `Overlap` of that shape.

        Raises:
            TypeError: the training rule, of either network, is not a `GradientFlow`.
            ValueError: as `simulate`, or a training time is negative or not finite.
        """
        if other is not None:
            require_another(other, self)
            other = other._at_times(taus)
        pair = {"networks": networks, "share": share, "other": other}
        how = {"features": features, "precision": precision, "memory": memory, "report": report}
        return self._at_times(taus).simulate(key, d, trials, **how, **pair)

    def simulate_parts(
        self,
        key: Array,
        d: int | None = None,
        trials: int = 1,
        *,
        features: str = "network",
        output: bool = False,
        precision: str = "float64",
        memory: Any = None,
    ) -> VarianceParts:
        r"""What the variance is made of, measured on six networks in each trial.

        Two draws of W, each trained on three sets of pairs: two of noises on the same points,
        and one of other points. An overlap is the mean over all pairs of networks that have it.

        Args:
            key, d, trials, features, precision, memory: as in `simulate`.
            output: as in `variance_parts`.

        Returns:
            `VarianceParts` of shape (trials,), without bias: one trial's may be negative. NaN
            of `Samples`, whose true score is unknown, unless of the output.

        Raises:
            ValueError: as `simulate`; `Samples` too few for two disjoint training sets.
        """
        experiment = self._experiment(d, features, Single(), precision)
        budget = bytes_of(memory)
        return _simulation.variance_parts(key, experiment, trials, budget, output=output)

    def simulate_eigenvalues(
        self, key: Array, d: int | None = None, trials: int = 1, *, features: str = "network"
    ) -> Float[Array, "trials p"]:
        """The eigenvalues of U = (1/N) Σ f f^T of simulated features, ascending.

        Args:
            key, d, trials, features: as in `simulate`, of which these are the same draws.
        """
        experiment = self._experiment(d, features, Single())
        return _simulation.eigenvalues(key, experiment, trials)

    def fit(
        self,
        key: Array,
        d: int | None = None,
        *,
        features: str = "network",
        precision: str = "float64",
        memory: Any = None,
    ) -> _simulation.Network:
        """One trained network: that of the only trial of `simulate` with the same arguments.

        Of an ensemble the average, as one network: with the mean read-out of networks that
        share W, else with N_e p features.

        Args:
            key, d, features, precision, memory: as in `simulate`.

        Returns:
            A `Network`; `network(y)` is its score at noised points y.

        Raises:
            ValueError: as `simulate`.
        """
        experiment = self._experiment(d, features, precision=precision)
        return _simulation.fit(key, experiment, bytes_of(memory))

    def _simulated_pair(self, key, d, trials, how, networks, share, other, memory) -> Overlap:
        """What `simulate` gives of two networks."""
        if networks == 1:
            raise ValueError("share and other are of two networks: pass networks=2.")
        if networks != 2:
            raise ValueError(
                f"simulate takes networks=1, or 2 for their overlap, got {networks!r}: the "
                "average of several is that of a model with ensemble=rfdsm.Ensemble(networks)."
            )
        shared, other = sharing(share), self if other is None else other
        require_another(other, self)
        require(alike(self, other, shared))
        ours, theirs = (each._experiment(d, ensemble=Single(), **how) for each in (self, other))
        return _simulation.overlap(key, ours, theirs, shared, trials, memory)

    def _experiment(
        self, d, features, ensemble=None, precision="float64"
    ) -> _simulation.Experiment:
        """What is simulated, with another ensemble if told."""
        about = vars(float_leaves(self))
        if ensemble is not None:
            about = about | {"ensemble": ensemble}
        return _simulation.experiment(d, features=features, precision=precision, **about)
