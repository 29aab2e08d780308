"""The model that options describe, and the names of its numbers.

The options of numbers are made from the numbers themselves. All raise a ValueError of one line
that names the option.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..ingredients.data import Gaussian
from ..ingredients.processes import OrnsteinUhlenbeck
from ..ingredients.training import Ridge
from ..model import RFDSM
from ..parameters.numbers import (
    arguments,
    declared,
    ingredients,
    kinds,
    own_numbers,
    own_words,
    short_names,
)
from ..parameters.plain import (
    called,
    named,
    needed,
    read_numbers,
    readable,
    spelling,
    usage,
)

USUAL = {"process": OrnsteinUhlenbeck, "training": Ridge}  # unless a number asks for another
INGREDIENTS = ingredients(RFDSM)
KINDS = {name: name for name in INGREDIENTS} | {"data": "law"}  # --data is a file
LISTS = {
    "eigenvalues": "Eigenvalues of the data's covariance",
    "weights": "Their shares, summing to 1",
}


def spelled(name: str) -> str:
    """An option by the name of its argument: --psi-n."""
    return f"--{name.replace('_', '-')}"


def names() -> dict[str, str]:
    """The dotted names of all single numbers by the short ones."""
    single = [name for name, each in declared(RFDSM).items() if not each.many]
    return {short: name for name, short in short_names(RFDSM, single).items()}


def own() -> dict[str, str]:
    """Those of `names` that have an option: with others they make an ingredient.

    The noise of `LinearTarget` has none, which its data, no short name, must go with.
    """
    short = {name: full for name, full in names().items() if "." not in name}

    def makes(full: str) -> bool:
        owner, _, name = full.rpartition(".")
        having = (k for k in kinds(INGREDIENTS[owner]).values() if name in arguments(k))
        return any({f"{owner}.{x}" for x in needed(k)} <= {*short.values()} for k in having)

    return {name: full for name, full in short.items() if "." not in full or makes(full)}


def help_of_kind(owner: str) -> str:
    """What the option of an ingredient's kind takes: kinds, and numbers without options."""
    base, options, told = INGREDIENTS[owner], own().values(), []
    for kind in readable(base):
        if vars(kind).get("short"):
            told.append(f"{kind.short} is {kind.__name__}")
        for name, about in own_numbers(kind).items():
            if not about.many and f"{owner}.{name}" not in options:
                told.append(f"{name.upper()} is {about.help.lower()}")
        for name, words in own_words(kind).items():
            told.append(f"{name} takes some of {', '.join(words)}, joined by +, or none")
    return "; ".join([f"One of {usage(base)}", *told]) + "."


def help_of_number(name: str) -> str:
    """What a number is, by its dotted name, and what else with other kinds of ingredient."""
    owner, _, field = name.rpartition(".")
    if not owner:
        return f"{own_numbers(RFDSM)[name].help}."
    told: dict[str, list[str]] = {}
    for kind in kinds(INGREDIENTS[owner]).values():
        if about := own_numbers(kind).get(field):
            told.setdefault(about.help, []).append(called(INGREDIENTS[owner], kind)[0])
    first, *others = told
    more = (f" With {option_of(owner)} {' or '.join(told[x])}: {x}." for x in others)
    return f"{first}.{''.join(more)}"


def model(
    given: Mapping[str, Any],
    missing: Callable[[str, str], str] = lambda option, name: f"{option} is missing.",
    **usual: Any,
) -> RFDSM:
    """The model of options: of `of_model`, by their names, and numbers by dotted ones too.

    Args:
        given: what was given. usual: numbers and `data` where they were not.
        missing: the message where a number was not given and has no usual value, of the option
            that it lacks and of its short name.

    Raises:
        ValueError: a number is missing, given twice or out of its domain, or an ingredient
            lacks it.
    """
    numbers, known, options = _full(given), _full(usual), {x: n for n, x in own().items()}

    def value(name: str, text: str = "") -> Any:
        found = numbers.get(name, known.get(name))
        if found is None:
            ways = [spelled(options[name])] if name in options else []
            ways += [text] if text else []
            raise ValueError(missing(" or ".join(ways), options.get(name, name)))
        return found

    fields = {name: value(name) for name in own_numbers(RFDSM)}
    for owner, (kind, told) in chosen(given).items():
        inside, text = _inside(owner, numbers), given.get(KINDS[owner])
        for name in (x for x in told if x in inside and f"{owner}.{x}" in options):
            raise ValueError(
                f"{name} is given twice, {option_of(owner)} {text} has it: leave one out."
            )
        inside = told | inside
        for name in needed(kind) if kind else ():
            if name not in inside:
                full, way = f"{owner}.{name}", spelling(INGREDIENTS[owner], kind)
                usual_way = text is None and full in options
                inside[name] = value(full, "" if usual_way else f"{option_of(owner)} {way}")
        fields[owner] = kind and kind(**inside)
    if fields["data"] is None:
        fields["data"] = usual.get("data")
    if {*LISTS} & {*given}:
        if fields["data"] is not None:
            raise ValueError("--eigenvalues and --weights are of Gaussian data, not of --law.")
        eigenvalues, weights = (
            read_numbers(x, spelled(name)) if isinstance(x := given.get(name), str) else x
            for name in LISTS
        )
        fields["data"] = Gaussian(eigenvalues or (1.0,), weights)
    return RFDSM(**{name: x for name, x in fields.items() if x is not None})


def chosen(given: Mapping[str, Any]) -> dict[str, tuple[type | None, dict[str, Any]]]:
    """The kind of each ingredient, None where RFDSM has one, and the numbers its text told.

    It is the kind that was named, else the first that has all of its numbers.

    Args:
        given: as of `model`; of numbers the names are enough.

    Raises:
        ValueError: an unknown kind, or numbers that do not belong to it.
    """
    found: dict[str, Any] = {}
    for owner, base in INGREDIENTS.items():
        inside = {*_inside(owner, _full(given))}
        if (text := given.get(KINDS[owner])) is None:
            found[owner] = _kind(base, inside, USUAL.get(owner)), {}
            continue
        kind, _ = found[owner] = named(base, text, option_of(owner))
        for name in sorted(inside - {*arguments(kind)}):
            raise ValueError(
                f"{spelled(name)} is no number of {option_of(owner)} {text}, of which there "
                f"is {spelling(base, kind)}: leave one out."
            )
    return found


def option_of(owner: str) -> str:
    """The option of an ingredient's kind."""
    return spelled(KINDS[owner])


def _full(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given by the dotted names of numbers."""
    full = names()
    return {full.get(name, name): value for name, value in given.items()}


def _inside(owner: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of an ingredient by their own names, of those by dotted ones."""
    dotted = f"{owner}."
    return {n.removeprefix(dotted): x for n, x in numbers.items() if n.startswith(dotted)}


def _kind(base: type, names: set[str], usual: type | None) -> type | None:
    """The first kind that has numbers of these names, the usual one first and last."""
    tried = (usual, *kinds(base).values()) if names else ()
    found = next((each for each in tried if each and names <= {*arguments(each)}), None)
    if names and found is None:
        given = " and ".join(map(spelled, sorted(names)))
        raise ValueError(f"{given} do not belong together: take one of {usage(base)}.")
    return found or usual
