"""Questions asked of many models at once: errors on a grid, as a labelled data set."""

from .comparison import compare as compare
from .curves import curve as curve, train as train
from .grid import zipped as zipped
from .prediction import predict as predict
from .quantities import gradient as gradient
from .ranking import ranking as ranking
from .store import check as check, open_dataset as open  # noqa: F401
from .sweeping import sweep as sweep
from .tuned import tune_sweep as tune_sweep
from .variance import variance_curve as variance_curve
