"""The simulation road: every error measured on real networks of finite size. See `trial`."""

from .experiment import FEATURES as FEATURES, Experiment as Experiment, experiment as experiment
from .keys import key_of as key_of
from .network import Network as Network
from .overlaps import overlap as overlap, variance_parts as variance_parts
from .trial import eigenvalues as eigenvalues, fit as fit, simulate as simulate
