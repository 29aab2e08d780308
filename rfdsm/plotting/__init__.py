"""Figures of results: Axes and Figures of matplotlib, from labelled data sets and `Tuned`.

With it every `xarray.Dataset` has the figures of a sweep as `dataset.rfdsm`.
"""

from .accessor import Accessor as Accessor
from .comparison import comparison_figure as comparison_figure
from .curves import curve_figure as curve_figure
from .describe import describe as describe, tex as tex
from .error_lines import error_curves as error_curves
from .landscape import landscape_figure as landscape_figure
from .phase_diagrams import phase_diagram as phase_diagram, phase_figure as phase_figure
from .spectrum import spectrum_figure as spectrum_figure
from .style import colours as colours, panels as panels, save as save
from .variance_parts import variance_figure as variance_figure
