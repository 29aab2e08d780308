"""`dataset.rfdsm`: what a sweep's data set can be asked, as methods of it."""

from collections.abc import Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.records import model_of
from ..model import RFDSM
from .error_lines import error_curves
from .phase_diagrams import phase_diagram, phase_figure


@xr.register_dataset_accessor("rfdsm")
class Accessor:
    """Figures of a data set of `rfdsm.sweep`, and its model.

    Example:
        >>> import jax.numpy as jnp, rfdsm
        >>> model = rfdsm.RFDSM(psi_n=8, psi_p=16, m=4, t=0.1, lam=1e-3)
        >>> found = rfdsm.sweep(model, {"psi_n": [1, 4, 16], "psi_p": [1, 4, 16]})
        >>> ax = found.rfdsm.phase_diagram("psi_n", "psi_p", "test_loss")
        >>> ax.get_xlabel()
        '$\\\\psi_n = n/d$'
    """

    def __init__(self, dataset: xr.Dataset):
        self._dataset = dataset

    @property
    def model(self) -> RFDSM:
        """The model at the first point, see `rfdsm.model_of`."""
        return model_of(self._dataset)

    def phase_diagram(
        self, x: str, y: str, error: str, ax: Axes | None = None, **how: Any
    ) -> Axes:
        """A heat map with the lines that matter, see `plotting.phase_diagram`."""
        return phase_diagram(self._dataset, x, y, error, ax, **how)

    def phase_figure(self, errors: Sequence[str], x: str, y: str, **how: Any) -> Figure:
        """Phase diagrams of several errors, see `plotting.phase_figure`."""
        return phase_figure(self._dataset, errors, x, y, **how)

    def curves(self, x: str, error: str, ax: Axes | None = None, **how: Any) -> Axes:
        """Lines of theory and markers of networks, see `plotting.error_curves`."""
        return error_curves(self._dataset, x, error, ax, **how)
