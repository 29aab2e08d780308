"""Keys of what is kept between processes: texts that are the same in all of them."""

import dataclasses
import functools
import hashlib
import os
import platform
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jaxlib
import numpy as np

PACKAGE = __name__.partition(".")[0]
PLAIN = tuple, list, dict, type(None)  # kinds of nodes that are nobody's
# Of JAX's settings those that say where, how much is told, and what is looked for.
NO_MATTER = ("cache", "log", "traceback", "dump", "pprint", "guard", "source", "pgle")


class Unkeyed(Exception):
    """A value that has no such text."""


def of_tree(tree: Any) -> str:
    """A tree's kinds and static fields, as `told`."""
    node = tree.node_data()
    if node is None:
        return "leaf"
    return f"{told(node)}[{', '.join(map(of_tree, tree.children()))}]"


def told(value: Any) -> str:
    """A static value as a text that says all of it, and the same in every process.

    Raises:
        Unkeyed: it holds what is not of this package, a user's own function or kind.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    kind = type(value)
    if any(value is plain for plain in PLAIN) or _is_ours(value):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, type):
        raise Unkeyed
    if kind in PLAIN[:2]:
        return f"{kind.__name__}({', '.join(map(told, value))})"
    if dataclasses.is_dataclass(value) and _is_ours(kind):
        fields = dataclasses.fields(value)
        return told((kind, *(getattr(value, field.name) for field in fields)))
    if kind.__module__.partition(".")[0] == "equinox" and "0x" not in repr(value):
        return repr(value)  # its marks of what is missing
    raise Unkeyed


def _is_ours(value: Any) -> bool:
    """Whether a function or class is what this package has under its name."""
    module, name = (getattr(value, word, "") for word in ("__module__", "__qualname__"))
    if not name or not module or module.partition(".")[0] != PACKAGE or "<" in name:
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def settings_now() -> tuple:
    """JAX's settings that may change a program, of this thread now."""
    return tuple(getattr(jax.config, name) for name in _names())


@functools.cache
def _names() -> tuple[str, ...]:
    known = (name for name in sorted(jax.config.values) if hasattr(jax.config, name))
    return tuple(name for name in known if not any(word in name for word in NO_MATTER))


@functools.cache
def surroundings() -> str:
    """What a program is made by and for: versions, sources, the processor and the devices."""
    package = sys.modules[PACKAGE]
    versions = [each.__version__ for each in (package, jax, jaxlib, eqx, np)]
    devices = jax.devices()
    client = devices[0].client
    return repr((
        versions, sys.version, _sources(Path(package.__file__).parent), platform.platform(),
        processor(), client.platform, client.platform_version,
        [each.device_kind for each in devices], os.environ.get("XLA_FLAGS"),
    ))  # fmt: skip


@functools.cache
def fingerprint() -> str:
    """`surroundings`, as a part of a key."""
    return hashlib.sha256(surroundings().encode()).hexdigest()


def _sources(folder: Path) -> list[tuple[str, int, int]]:
    """The files of a package, by path, size and time of the last change."""
    found = ((path, path.stat()) for path in sorted(folder.rglob("*.py")))
    return [(str(path), about.st_size, about.st_mtime_ns) for path, about in found]


def processor() -> str:
    """What this processor is and can do: a home folder may be shared by several."""
    told: dict[str, str] = {}
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if not name.strip():
                    break  # the first one
                told[name.strip()] = value.strip()
    except OSError:
        return platform.processor()
    words = "model name", "flags", "Features", "CPU implementer", "CPU part", "isa"
    return repr([told.get(word) for word in words])
