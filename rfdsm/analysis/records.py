"""What a data set says of the model that it was computed from."""

import json
from importlib import metadata
from typing import Any

import jax

from ..model import RFDSM
from ..parameters.plain import to_plain


def about(model: RFDSM, title: str) -> dict[str, str]:
    """Attributes of a Dataset: the model in JSON and what computed it.

    Of data points, which have no place in it, their number; of a user's function its name.
    """
    return {
        "title": title,
        "model": json.dumps(to_plain(model, whole=False)),
        "rfdsm": metadata.version("rfdsm"),
        "jax": jax.__version__,
    }


def about_runs(d: int, trials: int, seed: int) -> dict[str, Any]:
    """Attributes of a Dataset with simulated networks."""
    # netCDF 3 has integers of 32 bits only.
    return {"d": d, "trials": trials, "seed": seed if abs(seed) < 2**31 else str(seed)}


def description_of(dataset: Any) -> dict[str, Any]:
    """The model of a Dataset as plain JSON, see `about`."""
    return json.loads(dataset.attrs["model"])


def model_of(dataset: Any) -> RFDSM:
    """The model that a Dataset was computed from.

    Raises:
        ValueError: it was of data points or of a user's own function, which no file holds.
    """
    described = description_of(dataset)
    if "points" in described["data"]:
        raise ValueError(
            "the model is of data points, which no file holds: build it with "
            "data=rfdsm.Samples(X) and the numbers in dataset.attrs['model']."
        )
    return RFDSM.from_dict(described)
