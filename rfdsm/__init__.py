"""Exact theory and finite-size simulation of random-features denoising score matching."""

from .activations import (
    GELU as GELU,
    Activation as Activation,
    Cos as Cos,
    Erf as Erf,
    LeakyReLU as LeakyReLU,
    Polynomial as Polynomial,
    ReLU as ReLU,
    Sigmoid as Sigmoid,
    SiLU as SiLU,
    Sin as Sin,
    Tanh as Tanh,
)
from .comparison import Extrapolation as Extrapolation, extrapolate as extrapolate
from .data import (
    Gaussian as Gaussian,
    Samples as Samples,
    standardise as standardise,
)
from .errors import (
    Baselines as Baselines,
    Errors as Errors,
    NotConverged as NotConverged,
    Sizes as Sizes,
    Solution as Solution,
    Status as Status,
)
from .measuring import (
    SamplingError as SamplingError,
    measure as measure,
    measure_features as measure_features,
    sampling_error as sampling_error,
)
from .model import RFDSM as RFDSM
from .moments import Moments as Moments
from .processes import OrnsteinUhlenbeck as OrnsteinUhlenbeck
from .timescales import Timescales as Timescales, timescales as timescales
from .training import (
    GradientDescent as GradientDescent,
    GradientFlow as GradientFlow,
    Ridge as Ridge,
)
from .tuning import (
    Front as Front,
    Infeasible as Infeasible,
    Tuned as Tuned,
    Verification as Verification,
    at_least as at_least,
    at_most as at_most,
    over_times as over_times,
    pareto as pareto,
    tune as tune,
)

__version__ = "0.1.0"
