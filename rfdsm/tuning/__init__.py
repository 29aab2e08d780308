"""Gradient search for a model's best numbers, under constraints."""

from ..progress import Progress as Progress
from .front import Front as Front, pareto as pareto
from .goals import at_least as at_least, at_most as at_most, over_times as over_times
from .minimise import tune as tune
from .outcome import Tuned as Tuned
from .search import Infeasible as Infeasible
from .verification import Verification as Verification
