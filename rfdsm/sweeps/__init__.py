"""Questions asked of many models at once: errors over one number, with several lines."""

from .curves import curve as curve, train as train
from .prediction import predict as predict
