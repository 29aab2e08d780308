"""Exact theory and finite-size simulation of random-features denoising score matching."""

import importlib

from .analysis import (
    Extrapolation as Extrapolation,
    SamplingError as SamplingError,
    Timescales as Timescales,
    extrapolate as extrapolate,
    measure as measure,
    measure_features as measure_features,
    model_of as model_of,
    sampling_error as sampling_error,
    timescales as timescales,
)
from .asymptotics import Atom as Atom
from .errors import (
    Baselines as Baselines,
    Errors as Errors,
    NotConverged as NotConverged,
    Sizes as Sizes,
    Solution as Solution,
    Status as Status,
)
from .ingredients import datasets as datasets
from .ingredients.activations import (
    GELU as GELU,
    AbstractActivation as AbstractActivation,
    Activation as Activation,
    Constants as Constants,
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
from .ingredients.data import (
    AbstractData as AbstractData,
    AbstractSampler as AbstractSampler,
    Gaussian as Gaussian,
    Law as Law,
    Samples as Samples,
    standardise as standardise,
)
from .ingredients.filters import FilterNodes as FilterNodes
from .ingredients.moments import Moments as Moments
from .ingredients.processes import (
    AbstractProcess as AbstractProcess,
    OrnsteinUhlenbeck as OrnsteinUhlenbeck,
)
from .ingredients.training import (
    AbstractTraining as AbstractTraining,
    GradientDescent as GradientDescent,
    GradientFlow as GradientFlow,
    Ridge as Ridge,
)
from .model import RFDSM as RFDSM
from .parameters import number as number
from .simulation import Network as Network
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
images = datasets  # the name it had


def __getattr__(name: str):
    """`rfdsm.sweeps` and `rfdsm.plotting`, which want the libraries of the extra `all`."""
    if name in ("sweeps", "plotting"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
