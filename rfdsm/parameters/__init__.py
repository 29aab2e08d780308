"""What a number of a model is; a model's numbers by name, changed copies, JSON, and checks."""

from .checks import (
    WEIGHT_TOLERANCE as WEIGHT_TOLERANCE,
    Condition as Condition,
    finite as finite,
    float_array as float_array,
    holds as holds,
    is_traced as is_traced,
    not_negative as not_negative,
    positive as positive,
    positive_integer as positive_integer,
    require as require,
    require_float64 as require_float64,
    scalar as scalar,
    vector as vector,
)
from .copies import replaced as replaced
from .numbers import (
    Number as Number,
    arguments as arguments,
    counted as counted,
    declared as declared,
    full_name as full_name,
    ingredient as ingredient,
    ingredients as ingredients,
    kinds as kinds,
    number as number,
    numbers as numbers,
    own_numbers as own_numbers,
    require_ingredients as require_ingredients,
    short_names as short_names,
    text as text,
    value_of as value_of,
)
from .plain import (
    from_description as from_description,
    from_json as from_json,
    from_plain as from_plain,
    read as read,
    read_numbers as read_numbers,
    to_description as to_description,
    to_json as to_json,
    to_plain as to_plain,
    usage as usage,
)
from .scales import (
    FROM_ZERO as FROM_ZERO,
    INVERSE as INVERSE,
    LINEAR as LINEAR,
    LOG as LOG,
    Scale as Scale,
)
