"""Figures of results: Axes and Figures of matplotlib, from labelled data sets and `Tuned`."""

from .curves import curve_figure as curve_figure
from .describe import describe as describe, tex as tex
from .landscape import landscape_figure as landscape_figure
from .spectrum import spectrum_figure as spectrum_figure
from .style import colours as colours, panels as panels, save as save
