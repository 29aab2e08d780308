"""Compiled programs that are kept whole between processes.

JAX's own cache saves to compile, not to trace, which takes as long here; so an executable is
kept under a key that needs no trace: the function, its arguments' tree, shapes and static
fields, and everything that it was compiled with. What has no such key (a function or a kind of
a user's own), traced arguments, and all where the cache is off, go to `jax.jit` as ever.
"""

import dataclasses
import functools
import hashlib
import os
import pickle
import platform
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jaxlib
import numpy as np

from . import cache

PACKAGE = __name__.partition(".")[0]
# Halves the time to compile; what it leaves of running time are microseconds.
QUICKLY = {"xla_cpu_use_fusion_emitters": False}
# Of JAX's settings those that say where, how much is told, and what is looked for.
NO_MATTER = ("cache", "log", "traceback", "dump", "pprint", "guard", "source", "pgle")
# With these a call is more than its program.
WATCHED = (
    "jax_debug_nans", "jax_debug_infs", "jax_disable_jit", "jax_check_tracer_leaks",
    "jax_default_device",
)  # fmt: skip


class _Unkeyed(Exception):
    """A value that has no text which is the same in another process."""


def kept(function: Callable | None = None, *, jit: Callable = jax.jit) -> Any:
    """A decorator in place of `jit`, of functions of positional arguments.

    Args:
        jit: what runs a call that is not kept. Of a kept one arrays are traced, and all other
            leaves are static, as of `eqx.filter_jit`.
    """
    return functools.partial(kept, jit=jit) if function is None else Kept(function, jit)


def quickly(function: Callable) -> Callable:
    """`eqx.filter_jit` that compiles as programs that are kept are compiled."""
    compiled = functools.cache(lambda: eqx.filter_jit(function, **_options()))
    return lambda *arguments: compiled()(*arguments)


@functools.cache
def _options() -> dict[str, Any]:
    """How to ask for `QUICKLY`, where this version of JAX knows it."""
    try:
        jax.jit(lambda x: x, compiler_options=QUICKLY).lower(0.0).compile()
    except (ValueError, jax.errors.JaxRuntimeError):
        return {}
    return {"compiler_options": QUICKLY}


class Kept:
    """A function whose programs are kept; see `kept`."""

    def __init__(self, function: Callable, jit: Callable):
        functools.update_wrapper(self, function)
        self._jitted, self._programs = jit(function), {}

    def __call__(self, *arguments: Any) -> Any:
        if cache.enabled():
            leaves, tree = jax.tree.flatten(arguments)
            if all(map(_alone, leaves)) and (program := self._program(leaves, tree)):
                return program([leaf for leaf in leaves if _is_array(leaf)])
        return self._jitted(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jitted, name)

    def __reduce__(self) -> str:
        return self.__qualname__

    def _program(self, leaves: list, tree: Any) -> Callable | None:
        """The compiled program; None where it is not kept."""
        settings = tuple(_settings())
        about = tuple((x.shape, x.dtype, _weak(x)) if _is_array(x) else x for x in leaves)
        same = tree, about, settings
        if same not in self._programs:
            try:
                key = _key(self, tree, about, settings)
            except _Unkeyed:
                self._programs[same] = None
            else:
                self._programs[same] = _loaded(key) or self._compiled(leaves, tree, key)
        return self._programs[same]

    def _compiled(self, leaves: list, tree: Any, key: str) -> Callable:
        """The program, compiled and kept."""
        static = [None if _is_array(leaf) else leaf for leaf in leaves]

        def flat(arrays):
            rest = iter(arrays)
            given = [next(rest) if leaf is None else leaf for leaf in static]
            return self.__wrapped__(*jax.tree.unflatten(tree, given))

        flat.__name__ = self.__name__
        lowered = jax.jit(flat).lower([leaf for leaf in leaves if _is_array(leaf)])
        try:
            program = lowered.compile(compiler_options=QUICKLY)
        except (ValueError, jax.errors.JaxRuntimeError):  # another version may not know them
            program = lowered.compile()
        _save(key, program)
        return program


def _save(key: str, program: Any) -> None:
    from jax.experimental.serialize_executable import serialize

    try:
        executable, arguments, out = serialize(program)
        # Trees are no pickles, their objects are.
        shape = jax.tree.unflatten(out, range(out.num_leaves))
        content = pickle.dumps((executable, arguments.num_leaves, shape))
    except Exception:  # a backend that cannot, or an output of a kind that is no pickle
        return
    cache.save(key, content)


def _loaded(key: str) -> Callable | None:
    """The program that was kept; None where there is none, or none that can be read."""
    from jax.experimental.serialize_executable import deserialize_and_load

    if (content := cache.load(key)) is None:
        return None
    try:
        executable, count, shape = pickle.loads(content)
        arguments = jax.tree.structure((([0] * count,), {}))
        out, here = jax.tree.structure(shape), jax.devices()[:1]
        return deserialize_and_load(executable, arguments, out, execution_devices=here)
    except Exception:
        return None


# Arguments.


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _weak(array: Any) -> bool:
    return getattr(array, "weak_type", False)


def _alone(leaf: Any) -> bool:
    """Whether a leaf is a function, or a concrete array that lies where programs run."""
    if isinstance(leaf, jax.core.Tracer):
        return False
    if isinstance(leaf, jax.Array):
        return leaf.devices() == {jax.devices()[0]}
    return isinstance(leaf, np.ndarray | np.generic) or callable(leaf)


# Keys.


def _key(program: Kept, tree: Any, about: Sequence, settings: tuple) -> str:
    """The key of a program.

    Raises:
        _Unkeyed: it has none.
    """
    if any(getattr(jax.config, name, None) for name in WATCHED):
        raise _Unkeyed
    leaves = [told(x) if callable(x) else str(x) for x in about]
    text = repr((told(program), _of_tree(tree), leaves, settings, fingerprint()))
    return hashlib.sha256(text.encode()).hexdigest()


def _of_tree(tree: Any) -> str:
    node = tree.node_data()
    if node is None:
        return "leaf"
    return f"{told(node)}[{', '.join(map(_of_tree, tree.children()))}]"


def told(value: Any) -> str:
    """A static value as a text that says all of it, and the same in every process.

    Raises:
        _Unkeyed: it holds what is not of this package, a user's own function or kind.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    kind = type(value)
    if kind in (tuple, list):
        return f"{kind.__name__}({', '.join(map(told, value))})"
    if isinstance(value, type | types.FunctionType | Kept):
        name = f"{value.__module__}.{value.__qualname__}"
        if _ours(value) and "<" not in name:
            return name
    elif kind.__module__.partition(".")[0] == "equinox" and "0x" not in repr(value):
        return repr(value)  # its marks of what is missing
    elif dataclasses.is_dataclass(value) and _ours(kind):
        fields = dataclasses.fields(value)
        return told((kind, *(getattr(value, field.name) for field in fields)))
    raise _Unkeyed


def _ours(value: Any) -> bool:
    return value.__module__.partition(".")[0] in (PACKAGE, "builtins")


def _settings() -> Iterator[Any]:
    """JAX's settings that may change a program, of this thread now."""
    return (getattr(jax.config, name) for name in _names())


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
