"""Where a grid of models memorises: it denoises training points better than fresh ones."""

from typing import Any

import jax
import numpy as np

from ..analysis.records import model_of

OF_BEST = "process.", "target.", "data."  # numbers that the best score's loss depends on


def memorises(dataset: Any) -> Any:
    """Whether the memorization loss is below the best linear score's test loss, at each point.

    Args:
        dataset: of `sweep`, or a part of it; a selected number counts at its value.

    Returns:
        An `xarray.DataArray` of booleans; False where nothing was solved.

    Raises:
        ValueError: the model is of data points or a user's function, which no file holds, or
            an ensemble of networks that share no points.
    """
    import xarray as xr

    model = model_of(dataset)
    if not model.ensemble.knows("memorization_loss"):
        raise ValueError("networks on points of their own have none to memorise together.")
    numbers = {
        x.attrs["number"]: x
        for x in dataset.coords.values()
        if x.attrs.get("number", "").startswith(OF_BEST)
    }

    def linear(*values: np.ndarray) -> np.ndarray:
        def at(*x):
            changes = dict(zip(numbers, x, strict=True))
            return model.replace(**changes).baselines().linear

        values = np.broadcast_arrays(*values)
        flat = (np.ravel(x) for x in values)
        return np.reshape(jax.jit(jax.vmap(at))(*flat), values[0].shape)

    best = float(model.baselines().linear)
    if numbers:
        best = xr.apply_ufunc(linear, *numbers.values())
    return dataset["memorization_loss"] < best
