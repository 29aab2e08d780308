"""The asymptotic road: exact errors for d, n, p → ∞ together. See `learning_curve`."""

from .learning_curve import solve as solve
from .uncertainty import constants_uncertainty as constants_uncertainty
