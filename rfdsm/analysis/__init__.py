"""Questions asked of one model."""

from .extrapolation import Extrapolation as Extrapolation, extrapolate as extrapolate
from .few_points import (
    SamplingError as SamplingError,
    in_parts as in_parts,
    sampling_error as sampling_error,
)
from .learning_times import Timescales as Timescales, timescales as timescales
from .measurement import measure as measure, measure_features as measure_features
from .records import model_of as model_of
from .valleys import Valleys as Valleys, trace_valleys as trace_valleys
