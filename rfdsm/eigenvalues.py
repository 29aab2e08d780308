"""`rfdsm spectrum`: the eigenvalues of U over decades, from theory and from networks."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from . import family, plotting
from .errors import Sizes
from .model import RFDSM
from .timescales import Times, from_bulks, learning_time

POINTS = 1024  # of the density in each bulk; as `bulk_masses` takes: one program for both
DEEPEST = 1e-9  # of the largest eigenvalue: where a bulk that goes down to 0 is cut off
ZERO = 1e-12  # of the largest eigenvalue: below it an eigenvalue is rounded off 0
SAME = 1e-9  # relative distance at which an eigenvalue belongs to the atom
BINS = 20  # of the histogram, in a decade
ROOM = 0.03  # of the abscissa, beside the outermost eigenvalues


class Spectrum(NamedTuple):
    """Theory of the eigenvalues of U.

    Attributes:
        model: with gradient flow.
        ends: of each bulk, ascending, shape (bulks, 2); 0 for one that goes down to it.
        masses: shares of all eigenvalues, shape (bulks,).
        position, mass: of the atom; mass 0 for none.
        x, density: shape (bulks, points), NaN where unsolved; ascending, from end to end.
        times: when the modes of the bulks generalise and memorise.
    """

    model: RFDSM
    ends: np.ndarray
    masses: np.ndarray
    position: float
    mass: float
    x: np.ndarray
    density: np.ndarray
    times: Times

    def distribution(self, x: np.ndarray, *, atom: bool = True) -> np.ndarray:
        """The share of eigenvalues <= x; < x where x is the atom's place and `atom` is False.

        Args:
            x: eigenvalues, any shape.
            atom: whether the atom counts at its own place.
        """
        share = self.mass * (x >= self.position if atom else x > self.position)
        for bulk, density, mass in zip(self.x, self.density, self.masses, strict=True):
            # In θ, log x = middle - half cos θ, the integrand is smooth up to the edges.
            log = np.log(bulk)
            integrand = np.nan_to_num(density) * bulk * np.sin(_angles())
            cumulative = np.concatenate(
                [[0.0], np.cumsum((integrand[1:] + integrand[:-1]) / 2)]
            )
            at = np.log(np.maximum(x, 1e-300))
            share = share + mass * np.interp(at, log, cumulative / cumulative[-1])
        return share


class Sample(NamedTuple):
    """Simulated eigenvalues.

    Attributes:
        values: ascending, shape (trials·p,).
        bins: ends of the histogram's bins, shape (bins + 1,).
        histogram: share of eigenvalues per decade, shape (bins,).
        shares: of the eigenvalues, in each of the theory's bulks.
        distance: the Kolmogorov distance to the theory.
    """

    sizes: Sizes
    trials: int
    seed: int
    features: str
    values: np.ndarray
    bins: np.ndarray
    histogram: np.ndarray
    shares: np.ndarray
    distance: float


def realised(model: RFDSM, d: int, features: str) -> Sizes:
    """The sizes of networks of dimension d; computes nothing.

    Raises:
        ValueError: as `RFDSM.simulate_eigenvalues`.
    """
    key = jax.random.key(0)
    return jax.eval_shape(lambda key: model.simulate(key, d, features=features), key).sizes


def solve(model: RFDSM, advance: Callable[[str], None] = lambda step: None) -> Spectrum:
    """The theory of a model with gradient flow.

    Args:
        model: its ratios are to be those of the networks, where there are some.
        advance: called with the name of each of two finished steps.
    """
    ends = model.edges()
    masses = model.bulk_masses(ends)
    place = model.atoms()
    low = np.log(np.maximum(ends[:, :1], DEEPEST * ends[-1, 1]))
    high = np.log(ends[:, 1:])
    # Dense at both edges, where the density is like a square root.
    x = np.exp((low + high) / 2 - (high - low) / 2 * np.cos(_angles()))
    density = np.stack([model.density(bulk) for bulk in x])
    # On an edge rounding decides on which side of it a point is.
    density[:, -1] = 0.0
    density[ends[:, 0] > 0, 0] = 0.0
    position = float(place.position)
    advance("density")
    times = from_bulks(model, ends, masses)
    advance("timescales")
    return Spectrum(model, ends, masses, position, float(place.mass), x, density, times)


def simulate(
    spectrum: Spectrum, d: int, trials: int, features: str = "network", seed: int = 0
) -> Sample:
    """The eigenvalues of networks, by `RFDSM.simulate_eigenvalues`.

    The key is `family.key_of(seed, d, m, psi_n)`: networks as `rfdsm train` trains them.

    Args:
        spectrum: the theory to compare with, at the ratios that d realises.
        d, trials, features, seed: as `RFDSM.simulate_eigenvalues` takes them.
    """
    model = spectrum.model
    key = family.key_of(seed, d, float(model.m), float(model.psi_n))
    found = model.simulate_eigenvalues(key, d, trials, features=features)
    values = np.sort(np.ravel(found))
    values = np.where(values < ZERO * values[-1], 0.0, values)
    bins, histogram = _histogram(values)
    low, high = spectrum.ends.T
    inside = (values >= low[:, None]) & (values <= high[:, None])
    return Sample(
        realised(model, d, features),
        trials,
        seed,
        features,
        values,
        bins,
        histogram,
        inside.mean(axis=1),
        kolmogorov(spectrum, values),
    )


def kolmogorov(spectrum: Spectrum, values: np.ndarray) -> float:
    """The largest distance of the eigenvalues' distribution function from the theory's."""
    scale = SAME * max(spectrum.position, ZERO * values[-1])
    near = np.abs(values - spectrum.position) <= scale
    values, counts = np.unique(np.where(near, spectrum.position, values), return_counts=True)
    after = np.cumsum(counts) / np.sum(counts)
    before = after - counts / np.sum(counts)
    # Between two eigenvalues the theory's function only grows: the largest is beside one.
    above = np.abs(after - spectrum.distribution(values))
    below = np.abs(before - spectrum.distribution(values, atom=False))
    return float(max(above.max(), below.max()))


def per_decade(x: np.ndarray, density: np.ndarray) -> np.ndarray:
    """The density of log10 of the eigenvalue, where that of the eigenvalue is `density`."""
    return x * math.log(10) * density


def figure(spectrum: Spectrum, sample: Sample | None = None) -> Figure:
    """The density of log10 x: bulks of any size and place are seen side by side."""
    with plotting.style():
        drawn = Figure(figsize=(6.4, 3.4), layout="constrained")
        ax = drawn.subplots()
        title = plotting.describe(spectrum.model, without=("lam",))
        drawn.suptitle(title, fontsize=10)
        ax.set(xscale="log", yscale="log", xlabel="eigenvalue $x$ of $U$")
        ax.set_ylabel("share of eigenvalues per decade")
        if sample is not None:
            what = {"network": "networks", "gaussian": "Gaussian surrogate"}[sample.features]
            label = f"{what}, $d = {sample.sizes.d}$"
            ax.stairs(sample.histogram, sample.bins, fill=True, color="0.8", label=label)
        heights = per_decade(spectrum.x, spectrum.density)
        (colour,) = plotting.colours(1)
        for bulk, height in zip(spectrum.x, heights, strict=True):
            ax.plot(bulk, height, color=colour)
        ax.plot([], [], color=colour, label="theory")
        bottom, top = _ordinate(heights, sample)
        ax.set_ylim(bottom, top)
        ax.set_xlim(_abscissa(spectrum, spectrum.x[heights > bottom], sample))
        _draw_atom(ax, spectrum, bottom, top)
        _draw_times(ax, spectrum)
        drawn.legend(loc="outside right center")
    return drawn


def table(spectrum: Spectrum, sample: Sample | None = None) -> Table:
    """A row for each bulk, and one for the atom."""
    drawn = Table(box=None, pad_edge=False)
    titles = ["bulk", "from", "to", "share", "learned at tau", "to"]
    for title in titles + (["in networks"] if sample is not None else []):
        drawn.add_column(title, justify="right")
    for i, ((low, high), mass) in enumerate(zip(spectrum.ends, spectrum.masses, strict=True)):
        numbers = [
            low,
            high,
            mass,
            learning_time(spectrum.model, high),
            learning_time(spectrum.model, low),
        ]
        if sample is not None:
            numbers.append(sample.shares[i])
        drawn.add_row(str(i + 1), *(f"{number:.4g}" for number in numbers))
    if spectrum.mass > 0:
        when = f"{learning_time(spectrum.model, spectrum.position):.4g}"
        place = f"{spectrum.position:.4g}"
        drawn.add_row("atom", place, place, f"{spectrum.mass:.4g}", when, when)
    return drawn


def summary(spectrum: Spectrum, sample: Sample | None = None) -> list[str]:
    """Lines of text: the two times, and how far networks are from theory."""
    times = spectrum.times
    lines = [f"tau_gen = {times.tau_gen:.4g}, tau_mem = {times.tau_mem:.4g} by the bulks"]
    if math.isnan(times.tau_gen):
        lines[0] += ": no gap separates the d largest eigenvalues"
    if sample is None:
        return lines
    lines.append(
        f"{len(sample.values)} eigenvalues of {sample.trials} trials at d = {sample.sizes.d}: "
        f"Kolmogorov distance {sample.distance:.3g} from the theory"
    )
    if sample.features == "network" and spectrum.mass > 0 and spectrum.position > 0:
        lines.append(
            f"  of it up to {spectrum.mass:.3g} is the atom's, which real networks smear by "
            "O(s²/√d): --features gaussian has it in one place"
        )
    return lines


def failures(spectrum: Spectrum) -> str | None:
    """One line on densities that were not solved; None where all were."""
    failed = int(np.isnan(spectrum.density).sum())
    total = spectrum.density.size
    return f"{failed} of {total} densities were not solved: gaps." if failed else None


def dataset(spectrum: Spectrum, sample: Sample | None = None) -> Any:
    """The whole result as an `xarray.Dataset`: over x, over the bulks, and the histogram."""
    import xarray as xr

    x = spectrum.x.ravel()
    theory, bulks = {"kind": "theory"}, {"kind": "bulk"}
    slowest, fastest = (
        np.array([learning_time(spectrum.model, end) for end in ends])
        for ends in spectrum.ends.T
    )
    variables: dict[str, Any] = {
        "density": ("x", spectrum.density.ravel(), theory | {"long_name": "density of x"}),
        "per_decade": (
            "x",
            per_decade(x, spectrum.density.ravel()),
            theory | {"long_name": "density of log10 x"},
        ),
        "low": ("bulk", spectrum.ends[:, 0], bulks),
        "high": ("bulk", spectrum.ends[:, 1], bulks),
        "share": ("bulk", spectrum.masses, bulks | {"long_name": "share of eigenvalues"}),
        "tau_from": ("bulk", fastest, bulks | {"long_name": "learning time of its upper end"}),
        "tau_to": ("bulk", slowest, bulks | {"long_name": "learning time of its lower end"}),
    }
    coordinates: dict[str, Any] = {"x": x, "bulk": np.arange(1, 1 + len(spectrum.ends))}
    title = "eigenvalues of random features' second moments"
    attributes = family.about(spectrum.model, title) | {
        "atom_position": spectrum.position,
        "atom_mass": spectrum.mass,
        "tau_gen": spectrum.times.tau_gen,
        "tau_mem": spectrum.times.tau_mem,
    }
    if sample is not None:
        middles = np.sqrt(sample.bins[1:] * sample.bins[:-1])
        coordinates["simulated_x"] = ("simulated_x", middles, {"column": "x"})
        kind = {"kind": "simulation"}
        variables |= {
            "histogram": ("simulated_x", sample.histogram, kind | {"column": "per_decade"}),
            "bin_low": ("simulated_x", sample.bins[:-1], kind | {"column": "low"}),
            "bin_high": ("simulated_x", sample.bins[1:], kind | {"column": "high"}),
            "share_simulated": ("bulk", sample.shares, bulks),
        }
        attributes |= family.about_runs(sample.sizes.d, sample.trials, sample.seed)
        attributes |= {"features": sample.features, "kolmogorov": sample.distance}
    return xr.Dataset(variables, coordinates, attributes)


def _angles() -> np.ndarray:
    return np.linspace(0, np.pi, POINTS)


def _histogram(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of bins, and shares per decade of all eigenvalues; of which those at 0 have none."""
    logs = np.log10(values[values > 0])
    first, last = math.floor(logs.min() * BINS), math.floor(logs.max() * BINS) + 1
    ends = np.arange(first, last + 1) / BINS
    counts, _ = np.histogram(logs, ends)
    return 10**ends, counts * BINS / len(values)


def _ordinate(heights: np.ndarray, sample: Sample | None) -> tuple[float, float]:
    """From under the lowest bulk, and a single eigenvalue, to over the highest."""
    peaks = np.nanmax(heights, axis=1)
    bottom, top = peaks.min() / 30, peaks.max()
    if sample is not None:
        bottom = min(bottom, 0.7 * BINS / len(sample.values))
        top = max(top, sample.histogram.max())
    return bottom, 3 * top


def _abscissa(
    spectrum: Spectrum, seen: np.ndarray, sample: Sample | None
) -> tuple[float, float]:
    """Around all eigenvalues, where theory's are `seen`."""
    low, high = seen.min(), seen.max()
    if spectrum.mass > 0 and spectrum.position > 0:
        low, high = min(low, spectrum.position), max(high, spectrum.position)
    if sample is not None:
        low, high = min(low, sample.bins[0]), max(high, sample.bins[-1])
    room = (high / low) ** ROOM
    return low / room, high * room


def _draw_atom(ax: Axes, spectrum: Spectrum, bottom: float, top: float) -> None:
    """An arrow: its place is the atom's, its height says nothing."""
    if not spectrum.mass > 0:
        return
    style = {"color": "tab:red", "markersize": 5}
    label = f"atom of mass {spectrum.mass:.3g}"
    if spectrum.position > 0:
        ax.plot([spectrum.position] * 2, [bottom, top / 1.3], linewidth=1.1, color="tab:red")
        ax.plot(spectrum.position, top / 1.3, "^", **style, label=label)
    else:  # beyond a logarithmic axis
        left = ax.get_xlim()[0]
        ax.plot(left, bottom * (top / bottom) ** 0.5, "<", **style, clip_on=False,
                label=f"{label} at 0")  # fmt: skip


def _draw_times(ax: Axes, spectrum: Spectrum) -> None:
    """A second abscissa: when gradient flow learns the modes of an eigenvalue."""
    scale = learning_time(spectrum.model, 1.0)

    def inverse(x):
        return scale / np.maximum(x, 1e-300)

    above = ax.secondary_xaxis("top", functions=(inverse, inverse))
    above.set_xlabel(r"training time $1/(\kappa x)$ at which it is learned")
    ax.spines["top"].set_visible(True)
