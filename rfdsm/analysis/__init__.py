"""Questions asked of one model."""

from .advice import Advice as Advice, advise as advise
from .extrapolation import Extrapolation as Extrapolation, extrapolate as extrapolate
from .few_points import (
    SamplingError as SamplingError,
    in_parts as in_parts,
    sampling_error as sampling_error,
)
from .learning_times import Timescales as Timescales, timescales as timescales
from .measurement import measure as measure, measure_features as measure_features
from .records import model_of as model_of
from .reproducibility import (
    Agreement as Agreement,
    Reproducibility as Reproducibility,
    reproducibility as reproducibility,
)
from .valleys import Valleys as Valleys, trace_valleys as trace_valleys
