r"""What a number of a model is: it describes itself where it is declared.

    lam: Float[Array, ""] = number(r"\lambda", "ridge", bounds=(1e-8, 10.0))

Nothing here or above lists numbers: a model's are found by walking its fields and those of its
ingredients, and their short names are the last parts of the dotted ones.
"""

import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import equinox as eqx

from .scales import LOG, Scale


@dataclasses.dataclass(frozen=True)
class Number:
    """What a number of a model is called, how it is drawn, and where it is searched.

    Attributes:
        symbol: in TeX; words: lower case.
        bounds: usual ones of a search; None where there are none.
        scale: how it is spaced.
        integer: whether networks need a whole number (or infinity) of it.
        count: the letter of the integer that it is per dimension, n of psi_n = n/d.
        many: whether it is a list.
        measured: whether a measurement of moments fixes it.
        fixed: why it cannot be searched; "" where it can.
        allowed: its values, in words. meaning: what it sets, in formulas; or "".
    """

    symbol: str
    words: str
    bounds: tuple[float, float] | None = None
    scale: Scale = LOG
    integer: bool = False
    count: str = ""
    many: bool = False
    measured: bool = False
    fixed: str = ""
    allowed: str = "> 0"
    meaning: str = ""

    @property
    def help(self) -> str:
        """What it is and may be, in a line of plain text."""
        allowed = ">= 1, inf included" if self.scale.inverse else self.allowed
        meaning = f"; {self.meaning}" if self.meaning else ""
        return f"{self.words.capitalize()}, {allowed}{meaning}"

    @property
    def title(self) -> str:
        """The label of an axis."""
        per_d = rf"${self.symbol} = {self.count}/d$"
        return per_d if self.count else f"{self.words} ${self.symbol}$"


def number(symbol: str, words: str, **about: Any) -> Any:
    """The field of a number, as `Number` describes it."""
    return eqx.field(metadata={"number": Number(symbol, words, **about)})


def some_of(*words: str, **about: Any) -> Any:
    """The static field of some of these words: in texts "share=points+noises", "share=none"."""
    return eqx.field(static=True, metadata={"words": words}, **about)


def ingredient(base: type, *, measured: bool = False, usual: type | None = None) -> Any:
    """The field of an ingredient derived from `base`.

    Args:
        measured: whether moments fix its numbers.
        usual: the kind that descriptions mean which do not name this ingredient, those of
            versions before it.
    """
    about = {"ingredient": base, "measured": measured, "usual": usual}
    return eqx.field(metadata=about)


def numbers(model: eqx.Module) -> dict[str, Number]:
    """The numbers of a model and of its ingredients, by their (dotted) names."""
    return _walked(type(model), lambda field: [numbers(getattr(model, field.name))])


def ingredients(kind: type) -> dict[str, type]:
    """The ingredients of a kind of model: the bases that they derive from, by name."""
    fields = dataclasses.fields(kind)
    return {f.name: f.metadata["ingredient"] for f in fields if "ingredient" in f.metadata}


def require_ingredients(model: eqx.Module) -> None:
    """Refuse what is not an ingredient in the place of one."""
    for name, base in ingredients(type(model)).items():
        given = getattr(model, name)
        if not isinstance(given, base):
            what = "the class itself: call it" if isinstance(given, type) else type(given)
            raise TypeError(f"{name} must be one of rfdsm's {name} objects, got {what}.")


def kinds(base: type) -> dict[str, type]:
    """All that derive from `base` and can be made, by name: ours, and yours once defined."""
    found = {}
    for kind in base.__subclasses__():
        if not inspect.isabstract(kind):
            found[kind.__name__] = kind
        found |= kinds(kind)
    return found


def own_numbers(kind: type) -> dict[str, Number]:
    """The numbers that are fields of a kind of model or ingredient."""
    fields = dataclasses.fields(kind)
    return {f.name: f.metadata["number"] for f in fields if "number" in f.metadata}


def own_words(kind: type) -> dict[str, tuple[str, ...]]:
    """The fields of an ingredient that are some of these words."""
    fields = dataclasses.fields(kind)
    return {f.name: f.metadata["words"] for f in fields if "words" in f.metadata}


def declared(kind: type, of: Mapping[str, type] = MappingProxyType({})) -> dict[str, Number]:
    """The numbers that a model of this kind can have, by their dotted names.

    Args:
        of: the kinds of ingredients that it has, by name; of others all kinds count, and of a
            number that several have the first one's.
    """

    def inside(field: Any) -> Iterable[dict[str, Number]]:
        one = of.get(field.name)
        return map(declared, [one] if one else kinds(field.metadata["ingredient"]).values())

    return _walked(kind, inside)


def _walked(kind: type, inside: Callable[[Any], Iterable[dict[str, Number]]]):
    """The numbers of a kind, and by dotted names those `inside` of its ingredients' fields."""
    found = own_numbers(kind)
    for field in dataclasses.fields(kind):
        for each in inside(field) if "ingredient" in field.metadata else ():
            for name, number in each.items():
                measured = number.measured or field.metadata["measured"]
                # Of a name that several kinds have, the first kind's: the usual one.
                as_fixed = dataclasses.replace(number, measured=measured)
                found.setdefault(f"{field.name}.{name}", as_fixed)
    return found


def arguments(kind: type) -> list[str]:
    """The names of a kind's arguments, which are its fields' names."""
    return list(inspect.signature(kind).parameters)


def full_name(model: eqx.Module, name: str) -> str:
    """The dotted name of a number by its last part, where that is unique.

    A name that another kind of ingredient has is given to that ingredient, and others back.

    Raises:
        ValueError: several numbers of the model end in it.
    """
    if "." in name or name in _fields(type(model)):
        return name
    for names in (numbers(model), declared(type(model))):
        found = [full for full in names if full.rpartition(".")[2] == name]
        if len(found) > 1:
            raise ValueError(f"{name} may be {' or '.join(found)}: give one of these names.")
        if found:
            return found[0]
    return name


def short_names(kind: type, names: Iterable[str]) -> dict[str, str]:
    """The last part of each dotted name, or all of it where that is not unique.

    Nor is it where a field of the kind of model has it: `data` is the data, "target.data" not.
    """
    last = {name: name.rpartition(".")[2] for name in names}
    taken = [*last.values(), *(_fields(kind) - {*last})]
    return {name: x if taken.count(x) == 1 else name for name, x in last.items()}


def _fields(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def split_element(name: str) -> tuple[str, int | None]:
    """("data.eigenvalues", 1) of "data.eigenvalues[1]", an element of a list; (name, None)."""
    found = re.fullmatch(r"(.+)\[(\d+)\]", name)
    return (found[1], int(found[2])) if found else (name, None)


def hint(model: eqx.Module, name: str) -> str:
    """Which ingredient to give for a number that the model's own lacks; "" for none."""
    full = full_name(model, name)
    owner, _, field = full.partition(".")
    base = None if full in numbers(model) else ingredients(type(model)).get(owner)
    for kind in kinds(base).values() if base else ():
        if field in own_numbers(kind):
            return f": give {owner}={kind.__module__.partition('.')[0]}.{kind.__name__}(...)"
    return ""


def value_of(model: eqx.Module, name: str) -> Any:
    """A number by its dotted name, or one of a list by "data.eigenvalues[1]"."""
    name, index = split_element(name)
    for part in name.split("."):
        model = getattr(model, part)
    return model if index is None else model[index]


def number_called(model: eqx.Module, name: str) -> tuple[str, Number]:
    """The dotted name of a single number, and what it is; of a list's an element of it.

    Raises:
        ValueError: the model has no single number of that name.
    """
    given, index = split_element(name)
    full, about = full_name(model, given), numbers(model)
    if full in about and about[full].many and index is not None:
        if index < (length := len(value_of(model, full))):
            letter = about[full].symbol.removesuffix("_k")  # of the k-th
            symbol = f"{letter}_{{{index + 1}}}"
            one = dataclasses.replace(about[full], symbol=symbol, many=False)
            return f"{full}[{index}]", one
        raise ValueError(f"{name}: {full} has {length} elements, from {full}[0] on.")
    if full not in about or about[full].many or index is not None:
        short = short_names(type(model), about)
        known = ", ".join(f"{n}[0]" if x.many else short[n] for n, x in about.items())
        raise ValueError(
            f"{name!r} is no number of this model: these are {known}{hint(model, name)}."
        )
    return full, about[full]


def text(value: Any) -> str:
    """A number in words, ∞ included."""
    return "∞" if math.isinf(value) else f"{float(value):g}"


def escaped(words: str) -> str:
    """A user's words, a file's name say, for a figure: there a $ would begin mathematics."""
    return words.replace("$", r"\$")


def counted(ratio: Any, d: int) -> int:
    """n = round(psi_n d), and likewise p: the integer that a ratio has in d dimensions."""
    return round(float(ratio) * d)


def one_of(shorthand: str, number: Any, name: str, ingredient: Any, kind: type) -> Any:
    """The ingredient, given as itself or by its one number.

    Raises:
        ValueError: both were given, or neither.
    """
    if number is not None and ingredient is not None:
        raise ValueError(f"{shorthand} and {name} were both given: {name} holds {shorthand}.")
    if number is None and ingredient is None:
        raise ValueError(f"give {shorthand}=... or {name}=rfdsm.{kind.__name__}({shorthand}).")
    return kind(number) if ingredient is None else ingredient
