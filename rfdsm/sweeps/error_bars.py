"""Error bars along lines, of finitely many measured points."""

from typing import Any

import numpy as np

from ..analysis import sampling_error
from ..errors import LOSSES, NotConverged
from ..ingredients.moments import Moments
from ..model import RFDSM
from .lines import Lines

PLACES = 4  # of a line, at which they are computed; their share of the loss varies slowly


def error_bars(lines: Lines, moments: Moments, found: Any, kind: str) -> dict:
    """Of each loss on the whole axis, a 95 % interval: see `rfdsm.sampling_error`.

    Computed at a few places of each line; between them the share of the loss is interpolated.

    Args:
        lines: what was solved. found: by `solved`. moments: with parts.

    Returns:
        (dims, values, attributes) by name, `test_loss_error_bar` and so on.
    """
    x = lines.along.x
    at = np.unique(np.round(np.linspace(0, len(x) - 1, _places(lines.models[0]))).astype(int))
    losses = {name: np.reshape(found[name].values, (-1, len(x))) for name in LOSSES}
    shares: dict[str, list] = {name: [] for name in LOSSES}
    for row, model in enumerate(lines.models):
        bars = [_bars(lines.along.place(model, x[i]), moments) for i in at]
        for name in LOSSES:
            of_line = np.array([bar[name] for bar in bars]) / losses[name][row, at]
            good = np.isfinite(of_line)
            whole = (
                np.interp(np.arange(len(x)), at[good], of_line[good]) if any(good) else np.nan
            )
            shares[name].append(whole * losses[name][row])
    return {
        f"{name}_error_bar": (
            found[name].dims,
            lines.shaped(np.array(values)),
            {"kind": kind, "long_name": "95 % interval for the number of measured points, ±"},
        )
        for name, values in shares.items()
    }


def _places(model: RFDSM) -> int:
    """Fewer where the training rule is dear: many nodes."""
    rate = model.denoising.rate(model.psi_p)
    return PLACES if np.size(model.training.nodes(rate).resolvents) == 1 else 1


def _bars(model: RFDSM, moments: Moments) -> dict[str, float]:
    try:
        bars = sampling_error(model, moments).total
    except NotConverged:
        return dict.fromkeys(LOSSES, np.nan)
    return {name: float(np.mean(getattr(bars, name))) for name in LOSSES}
