"""`RFDSM`: one object that describes a problem, and the two roads that lead from it."""

from .rfdsm import RFDSM as RFDSM
