"""What a number of a model is; a model's numbers by name, changed copies, JSON, and checks.

Here is what a kind of ingredient of your own needs; the modules have the rest.
"""

from .checks import finite, not_negative, positive, require, scalar, vector
from .numbers import Number, declared, full_name, ingredient, number, numbers
from .plain import read
from .scales import FROM_ZERO, INVERSE, LINEAR, LOG, Scale

__all__ = [  # noqa: RUF022
    "number", "Number", "Scale", "LOG", "LINEAR", "FROM_ZERO", "INVERSE", "ingredient",
    "scalar", "vector", "finite", "positive", "not_negative", "require",
    "numbers", "declared", "full_name", "read",
]  # fmt: skip
