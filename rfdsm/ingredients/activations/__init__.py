"""Activation functions ϱ, and the constants by which the theory knows them."""

from .base import AbstractActivation as AbstractActivation, Constants as Constants
from .closed_forms import (
    GELU as GELU,
    Cos as Cos,
    Erf as Erf,
    LeakyReLU as LeakyReLU,
    Polynomial as Polynomial,
    ReLU as ReLU,
    Sin as Sin,
)
from .tabulated import (
    Activation as Activation,
    Sigmoid as Sigmoid,
    SiLU as SiLU,
    Tanh as Tanh,
)
