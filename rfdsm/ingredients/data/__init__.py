"""Laws of the data, a file each."""

from .base import AbstractData as AbstractData, AbstractSampler as AbstractSampler, Law as Law
from .baselines import baselines as baselines
from .gaussian import Gaussian as Gaussian
from .points import sample_matrix as sample_matrix, standardise as standardise
from .samples import Samples as Samples
