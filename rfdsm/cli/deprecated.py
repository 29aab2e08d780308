"""Old spellings of the command line, which one more release understands."""

from pathlib import Path

from .console import show_warning


def renewed(arguments: list[str]) -> list[str]:
    """The arguments in today's spelling, with a line on standard error where that is another.

    `predict --verify --trials 3 --points 2` is `predict --verify trials=3,points=2`.
    """
    if arguments[:1] != ["predict"]:
        return arguments
    from .predict import NETWORKS  # which takes long

    kept, old, numbers = [], [], dict(NETWORKS.usual)
    rest = arguments[::-1]
    while rest:
        name, equals, value = (word := rest.pop()).partition("=")
        if name in ("--trials", "--points"):
            value = value if equals or not rest else rest.pop()
            numbers[name.removeprefix("--")] = value
            old += name, value
        elif word == "--verify" and _ends(rest):
            old.append(word)
        else:
            kept.append(word)
    mixed = any(word.partition("=")[0] == "--verify" for word in kept)
    if not old or mixed:
        return arguments
    new = "--verify", ",".join(f"{name}={value}" for name, value in numbers.items())
    show_warning(f"predict {' '.join(old)} is an old spelling: take {' '.join(new)}.")
    return [*kept, *new] if "--verify" in old else kept


def _ends(rest: list[str]) -> bool:
    """Whether an option stands without a text: an option, the data or nothing comes next."""
    from .._files.points import SUFFIXES

    return not rest or rest[-1].startswith("-") or Path(rest[-1]).suffix.lower() in SUFFIXES
