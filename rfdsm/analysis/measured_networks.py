"""What networks can be measured together, and by which weights."""

from typing import Any

import equinox as eqx
import numpy as np

from ..model import RFDSM
from ..parameters.checks import float_array


def require_same_features(model: RFDSM, second: Any = None) -> None:
    """Refuse a second model whose features are not of the same kind, on the same data."""
    if second is None:
        return
    if not isinstance(second, RFDSM):
        raise TypeError(f"cross must be True or the model of a second network, got {second!r}.")
    for name in ("data", "process", "activation"):
        if not eqx.tree_equal(getattr(model, name), getattr(second, name)):
            raise ValueError(
                f"the second model has another {name}, and both networks are measured on the "
                "same noised points: use model.replace(...) for what else differs."
            )


def weights(W: Any, widths: list[int], d: int, draws: int | None) -> list[Any]:
    """The matrix of each network."""
    given = W if len(widths) > 1 and np.iterable(W) else [W]
    W = [float_array(each, "W") for each in given]
    shapes = [(p, d) for p in widths]
    if [each.shape for each in W] != shapes or draws is not None:
        what = "one matrix" if len(widths) == 1 else "a pair of matrices, one a network,"
        raise ValueError(
            f"W must be {what} of psi_p d = {' and '.join(map(str, widths))} rows and d = {d} "
            f"columns, without draws, got shape {' and '.join(str(x.shape) for x in W)}."
        )
    return W
