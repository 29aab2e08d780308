r"""The eigenvalues of U = (1/N) Σ f f^T over decades, from theory and from networks.

One labelled data set holds all of it: along "x" the density, bulk after bulk; along "bulk" the
ends, shares and learning times; along "simulated_x" the histogram of networks; as attributes
the atom, tau_gen and tau_mem, and κ as `rate`.
"""

import math
from typing import Any

import numpy as np

from ..model import RFDSM
from ..progress import Progress, Report, Steps, silent
from ..simulation import key_of
from .learning_times import from_bulks, learning_time
from .records import about, about_runs

POINTS = 1024  # of the density in each bulk; as `bulk_masses` takes: one program for both
ANGLES = np.linspace(0, np.pi, POINTS)
DEEPEST = 1e-9  # of the largest eigenvalue: where a bulk that goes down to 0 is cut off
ZERO = 1e-12  # of the largest eigenvalue: below it an eigenvalue is rounded off 0
SAME = 1e-9  # relative distance at which an eigenvalue belongs to the atom
BINS = 20  # of the histogram, in a decade
THEORY, BULK, NETWORKS = ({"kind": kind} for kind in ("theory", "bulk", "simulation"))


def spectrum_of(model: RFDSM, report: Report = silent) -> Any:
    """The theory: density, bulks, atom, and when gradient flow learns their modes.

    Args:
        model: with `GradientFlow` training; its ratios are to be those of the networks, where
            there are some.
        report: called with `Progress`.

    Returns:
        An `xarray.Dataset` of dims x and bulk; densities that were not solved are NaN.
    """
    import xarray as xr

    step = Steps(report, 2)
    ends, place = np.asarray(model.edges()), model.atoms()
    masses = np.asarray(model.bulk_masses(ends))
    step("bulks")
    low = np.log(np.maximum(ends[:, :1], DEEPEST * ends[-1, 1]))
    high = np.log(ends[:, 1:])
    # Dense at both edges, where the density is like a square root.
    x = np.exp((low + high) / 2 - (high - low) / 2 * np.cos(ANGLES))
    density = np.stack([model.density(bulk) for bulk in x])
    # On an edge rounding decides on which side of it a point is.
    density[:, -1] = 0.0
    density[ends[:, 0] > 0, 0] = 0.0
    step("density")
    times, position = from_bulks(model, ends, masses), float(place.position)
    slowest, fastest = ([learning_time(model, end) for end in side] for side in ends.T)
    x, density = x.ravel(), density.ravel()
    per_decade = x * math.log(10) * density
    variables = {
        "density": ("x", density, THEORY | {"long_name": "density of x"}),
        "per_decade": ("x", per_decade, THEORY | {"long_name": "density of log10 x"}),
        "low": ("bulk", ends[:, 0], BULK),
        "high": ("bulk", ends[:, 1], BULK),
        "share": ("bulk", masses, BULK | {"long_name": "share of eigenvalues"}),
        "tau_from": ("bulk", fastest, BULK | {"long_name": "learning time of its upper end"}),
        "tau_to": ("bulk", slowest, BULK | {"long_name": "learning time of its lower end"}),
    }
    attributes = about(model, "eigenvalues of random features' second moments") | {
        "atom_position": position,
        "atom_mass": float(place.mass),
        "atom_tau": learning_time(model, position),
        "rate": float(model.denoising.rate(model.psi_p)),
    }
    coordinates = {"x": x, "bulk": np.arange(1, 1 + len(ends))}
    return xr.Dataset(variables, coordinates, attributes | times._asdict())


def with_networks(
    spectrum: Any,
    model: RFDSM,
    d: int,
    trials: int,
    features: str = "network",
    seed: int = 0,
    report: Report = silent,
) -> Any:
    """The theory with networks beside it: their histogram, and how far they are from it.

    Args:
        spectrum: of `spectrum_of`; model: its model, at the ratios that d realises.
        d, trials, features, seed: as `simulated` takes them; report: called with `Progress`.

    Returns:
        The Dataset, now with dim simulated_x too: the histogram's bins. The attributes tell
        how many `eigenvalues` there are, their `kolmogorov` distance, and what `beside_atom`
        finds of them.
    """
    report(Progress("networks", 0, trials))
    values = simulated(model, d, trials, features, seed)
    bins, heights = histogram(values)
    low, high = (spectrum[name].values[:, None] for name in ("low", "high"))
    shares = np.mean((values >= low) & (values <= high), axis=1)
    middles = np.sqrt(bins[1:] * bins[:-1])
    found = spectrum.assign_coords(simulated_x=("simulated_x", middles, {"column": "x"}))
    found = found.assign(
        histogram=("simulated_x", heights, NETWORKS | {"column": "per_decade"}),
        bin_low=("simulated_x", bins[:-1], NETWORKS | {"column": "low"}),
        bin_high=("simulated_x", bins[1:], NETWORKS | {"column": "high"}),
        share_simulated=("bulk", shares, BULK),
    )
    distance = {"eigenvalues": len(values), "kolmogorov": kolmogorov(spectrum, values)}
    distance |= beside_atom(spectrum, values)
    return found.assign_attrs(about_runs(d, trials, seed), features=features, **distance)


def simulated(
    model: RFDSM, d: int, trials: int, features: str = "network", seed: int = 0
) -> np.ndarray:
    """The eigenvalues of networks, by `RFDSM.simulate_eigenvalues`.

    The key is `key_of(seed, d, m, psi_n)`: networks as `rfdsm train` trains them.

    Returns:
        Ascending, shape (trials·p,); 0 where they are 0 but for rounding.
    """
    key = key_of(seed, d, float(model.m), float(model.psi_n))
    values = np.sort(np.ravel(model.simulate_eigenvalues(key, d, trials, features=features)))
    return np.where(values < ZERO * values[-1], 0.0, values)


def by_bulk(spectrum: Any, name: str) -> np.ndarray:
    """What lies along x, taken apart: shape (bulks, points), ascending from end to end."""
    return spectrum[name].values.reshape(spectrum.sizes["bulk"], -1)


def distribution(spectrum: Any, x: np.ndarray, *, atom: bool = True) -> np.ndarray:
    """The theory's share of eigenvalues <= x, any shape; without `atom` < x at its place."""
    position, mass = (spectrum.attrs[f"atom_{name}"] for name in ("position", "mass"))
    share = mass * (x >= position if atom else x > position)
    at = np.log(np.maximum(x, 1e-300))
    bulks, densities = by_bulk(spectrum, "x"), by_bulk(spectrum, "density")
    for bulk, density, whole in zip(bulks, densities, spectrum["share"].values, strict=True):
        # In θ, log x = middle - half cos θ, the integrand is smooth up to the edges.
        integrand = np.nan_to_num(density) * bulk * np.sin(ANGLES)
        cumulative = np.concatenate([[0.0], np.cumsum((integrand[1:] + integrand[:-1]) / 2)])
        share = share + whole * np.interp(at, np.log(bulk), cumulative / cumulative[-1])
    return share


def kolmogorov(spectrum: Any, values: np.ndarray) -> float:
    """The largest distance of ascending eigenvalues' distribution from the theory's."""
    position = spectrum.attrs["atom_position"]
    near = np.abs(values - position) <= SAME * max(position, ZERO * values[-1])
    values, counts = np.unique(np.where(near, position, values), return_counts=True)
    after = np.cumsum(counts) / np.sum(counts)
    before = after - counts / np.sum(counts)
    # Between two eigenvalues the theory's function only grows: the largest is beside one.
    above = np.abs(after - distribution(spectrum, values))
    below = np.abs(before - distribution(spectrum, values, atom=False))
    return float(max(above.max(), below.max()))


def beside_atom(spectrum: Any, values: np.ndarray) -> dict[str, float]:
    """Bulks and atom compared each with its own, of ascending eigenvalues.

    Real networks smear an atom at s² by O(s²/√d), possibly over a bulk beside it: its share of
    all eigenvalues is counted off around its place in the order, where the theory has it.

    Returns:
        `bulks_kolmogorov`: the distance of the others' distribution from the bulks'; `atom_low`
        and `atom_high`: 5 % and 95 % of those that were counted off, NaN where there are none.
    """
    position, mass = (spectrum.attrs[f"atom_{name}"] for name in ("position", "mass"))
    below = float(distribution(spectrum, np.array([position]), atom=False)[0])
    first, last = (round(len(values) * share) for share in (below, below + mass))
    smeared, rest = values[first:last], np.delete(values, np.s_[first:last])
    low, high = np.quantile(smeared, (0.05, 0.95)) if len(smeared) else (math.nan, math.nan)
    if mass >= 1 or not len(rest):
        return {"bulks_kolmogorov": math.nan, "atom_low": low, "atom_high": high}
    alone = spectrum.assign_attrs(atom_mass=0.0).assign(share=spectrum["share"] / (1 - mass))
    return {"bulks_kolmogorov": kolmogorov(alone, rest), "atom_low": low, "atom_high": high}


def histogram(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of bins, and shares per decade of all eigenvalues; of which those at 0 have none."""
    logs = np.log10(values[values > 0])
    first, last = math.floor(logs.min() * BINS), math.floor(logs.max() * BINS) + 1
    ends = np.arange(first, last + 1) / BINS
    counts, _ = np.histogram(logs, ends)
    return 10**ends, counts * BINS / len(values)
