"""`rfdsm spectrum`: bulks, atom and learning times of the features' second moments."""

import math
from functools import partial
from typing import Annotated, Any

import jax
import typer
from rich.table import Table

from ..analysis import spectrum as eigenvalues
from ..ingredients.training import GradientFlow
from ..simulation import FEATURES
from . import console, options, words
from .console import out, require_writable, stages

EXAMPLE = "spectrum --psi-n 8 --psi-p 64 --m inf --t 0.1 --simulate d=100,trials=2"
NETWORKS = options.Networks("--simulate", {"d": 100, "trials": 2})


@options.of_model(without=("tau", "lam", "steps", "learning_rate", "training"))
def spectrum(
    given: dict[str, Any],
    simulate: NETWORKS.told("Simulate too") = None,
    features: Annotated[
        str, typer.Option(help="Simulated: network, or gaussian for the surrogate.")
    ] = "network",
    seed: options.Seed = 0,
    out_file: options.FigureFile = None,
    data_file: options.DataFile = None,
) -> None:
    """The eigenvalues of the features' second moments: bulks, atom and learning times."""
    # Everything that can be refused is refused before the work.
    model = options.model(given, **{"training.lam": 1.0})  # U does not depend on training
    model = model.replace(training=GradientFlow(1.0))
    networks = NETWORKS.read(simulate)
    if features not in FEATURES:
        raise ValueError(f"--features takes {' or '.join(FEATURES)}, got {features!r}.")
    if networks:
        # Rounding to integers moves the ratios: theory is where the simulation is.
        simulate = partial(model.simulate, d=networks["d"], features=features)
        model = model.at(jax.eval_shape(simulate, jax.random.key(0)).sizes)
    require_writable(out_file, data_file)

    with stages("spectrum") as report:
        found = eigenvalues.spectrum_of(model, report)
        if networks:
            found = eigenvalues.with_networks(
                found, model, **networks, features=features, seed=seed, report=report
            )
    out.print(_table(found))
    print("\n".join(["", *_summary(found)]))
    words.keep(found, lambda draw: draw.spectrum_figure(found), out_file, data_file)


def _table(found: Any) -> Table:
    """A row for each bulk, and one for the atom."""
    titles = ["bulk", "from", "to", "share", "learned at tau", "to", "in networks"]
    columns = ["low", "high", "share", "tau_from", "tau_to", "share_simulated"]
    columns = [name for name in columns if name in found]
    drawn = console.table(*titles[: 1 + len(columns)])
    for i, bulk in enumerate(found["bulk"].values):
        drawn.add_row(str(bulk), *(f"{found[name].values[i]:.4g}" for name in columns))
    position, mass, when = (found.attrs[f"atom_{name}"] for name in ("position", "mass", "tau"))
    if mass > 0:
        numbers = position, position, mass, when, when
        drawn.add_row("atom", *(f"{number:.4g}" for number in numbers))
    return drawn


def _summary(found: Any) -> list[str]:
    """Lines of text: the two times, and how far networks are from theory."""
    about = found.attrs
    lines = [
        f"tau_gen = {about['tau_gen']:.4g}, tau_mem = {about['tau_mem']:.4g} by the bulks: the "
        "population's modes are learned, the first of single points is"
    ]
    if math.isnan(about["tau_gen"]):
        lines[0] = "no times by the bulks: no gap separates the d largest eigenvalues"
    if "histogram" not in found:
        return lines
    lines.append(
        f"{about['eigenvalues']} eigenvalues of {about['trials']} trials at d = {about['d']}: "
        f"Kolmogorov distance {about['bulks_kolmogorov']:.3g} from the theory's bulks"
    )
    mass, position = about["atom_mass"], about["atom_position"]
    if mass > 0:
        lines.append(
            f"  the atom apart: of its share {mass:.4g} nine in ten lie in "
            f"{about['atom_low']:.4g} to {about['atom_high']:.4g}, theory has all at "
            f"{position:.4g}"
        )
        if about["features"] == "network" and position > 0:
            lines[-1] += " (real networks smear it by O(s²/√d), --features gaussian does not)"
    return lines
