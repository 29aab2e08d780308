"""Moments as .npz files: the arrays by their names, and in words what they are of."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from .._files.whole import whole_file
from ..parameters.checks import is_traced
from ..parameters.plain import from_description, restored, to_description
from .activations import AbstractActivation
from .processes import AbstractProcess

FORMATS = {"Moments": 2, "CrossMoments": 3}  # by kind; format 1, of Moments, has no T_x


def write(path: Path | str, kind: str, arrays: dict[str, Any], **about: Any) -> None:
    """Write the arrays of moments to one .npz file, whole or not at all.

    Args:
        kind: the name of their class. about: their process and activation.

    Raises:
        ValueError: the suffix is not .npz; traced moments.
    """
    if Path(path).suffix != ".npz":
        raise ValueError(f"moments are saved as .npz, got {path}.")
    if is_traced(arrays, about):
        raise ValueError("save needs concrete moments: call it outside of jit.")
    known = {"format": FORMATS[kind], "kind": kind}
    for name, given in about.items():
        known[name] = None if given is None else to_description(given, whole=False)
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez(file, about=json.dumps(known), **arrays)


def read(path: Path | str, kind: str, activation: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(arrays by name, process and activation by name) of moments of a kind.

    Args:
        activation: the one of the measurement, needed where it is a user's own function.

    Raises:
        ValueError: not a file of moments, one of another kind or of a later rfdsm, or its
            activation is a function and not given.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays.pop("about")))
    except (KeyError, ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a file of moments: {error}.") from None
    held = about.get("kind", "Moments")
    if held in FORMATS and held != kind:
        raise ValueError(f"{path} holds {held}: read it by rfdsm.{held}.load.")
    if about["format"] > FORMATS[kind]:
        raise ValueError(
            f"{path} is of a later rfdsm (format {about['format']}, known up to "
            f"{FORMATS[kind]}): update rfdsm."
        )
    process, described = about["process"], about["activation"]
    if process is not None:
        process = from_description("process", AbstractProcess, process)
    if described is not None:
        what = "activation", AbstractActivation, described
        activation = restored(*what, activation, f"{kind}.load({path})")
    return arrays, {"process": process, "activation": activation}
