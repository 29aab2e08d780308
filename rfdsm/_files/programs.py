"""Compiled programs that are kept whole between processes.

JAX's own cache saves to compile, not to trace, which takes as long here; so an executable is
kept under a key that needs no trace: the function, its arguments' tree, shapes and static
fields, and everything that it was compiled with. What has no such key (a function or a kind of
a user's own), traced arguments, and all where the cache is off, go to `jax.jit` as ever.
"""

import contextlib
import functools
import hashlib
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from . import cache
from .keys import Unkeyed, fingerprint, of_tree, settings_now, told

# Halves the time to compile; what it leaves of running time are microseconds.
QUICKLY = {"xla_cpu_use_fusion_emitters": False}
# A third of the time to compile, twice the time to run.
AT_ONCE = QUICKLY | {"xla_backend_optimization_level": 0}
# What programs call by name besides XLA's own; of others nobody knows who registers them.
CALLED, LAPACK = re.compile(r"custom_call @(\w+)"), "lapack_"
# With these a call is more than its program.
WATCHED = (
    "jax_debug_nans", "jax_debug_infs", "jax_disable_jit", "jax_check_tracer_leaks",
    "jax_default_device",
)  # fmt: skip

_hurry = False


def kept(
    function: Callable | None = None, *, jit: Callable = jax.jit, quick: bool = True
) -> Any:
    """A decorator in place of `jit`, of functions of positional arguments.

    Args:
        jit: what runs a call that is not kept. Of a kept one arrays are traced, and all other
            leaves are static, as of `eqx.filter_jit`.
        quick: whether it is compiled as `QUICKLY` as it can be, since it runs shortly.
    """
    if function is None:
        return functools.partial(kept, jit=jit, quick=quick)
    return Kept(function, jit, quick)


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """While it lasts, what is kept is compiled `AT_ONCE`: for many programs that run once."""
    global _hurry
    _hurry = True
    try:
        yield
    finally:
        _hurry = False


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

    def __init__(self, function: Callable, jit: Callable, quick: bool):
        functools.update_wrapper(self, function)
        self._jitted, self._quick, self._programs = jit(function), quick, {}

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

    @property
    def _asked(self) -> dict[str, Any] | None:
        """What is asked of the compiler."""
        return AT_ONCE if _hurry else QUICKLY if self._quick else None

    def _program(self, leaves: list, tree: Any) -> Callable | None:
        """The compiled program; None where it is not kept."""
        settings = settings_now()
        about = tuple((x.shape, x.dtype, _weak(x)) if _is_array(x) else x for x in leaves)
        same = tree, about, tuple(map(type, leaves)), settings, _hurry
        try:
            if same in self._programs:
                return self._programs[same]
            key = self._key(tree, leaves, about, settings)
        except TypeError:  # which has no hash
            return None
        except Unkeyed:
            self._programs[same] = None
            return None
        program = self._programs[same] = _loaded(key) or self._compiled(leaves, tree, key)
        return program

    def _key(self, tree: Any, leaves: list, about: Sequence, settings: tuple) -> str:
        """The key of a program.

        Raises:
            Unkeyed: it has none.
        """
        if any(getattr(jax.config, name, None) for name in WATCHED):
            raise Unkeyed
        pairs = zip(leaves, about, strict=True)
        of_leaves = [str(x) if _is_array(leaf) else told(leaf) for leaf, x in pairs]
        name = f"{self.__module__}.{self.__qualname__}", self._asked
        text = repr((name, of_tree(tree), of_leaves, settings, fingerprint()))
        return hashlib.sha256(text.encode()).hexdigest()

    def _compiled(self, leaves: list, tree: Any, key: str) -> Callable:
        """The program, compiled and kept."""
        static = [None if _is_array(leaf) else leaf for leaf in leaves]

        def flat(arrays):
            rest = iter(arrays)
            given = [next(rest) if leaf is None else leaf for leaf in static]
            return self.__wrapped__(*jax.tree.unflatten(tree, given))

        flat.__name__ = self.__name__
        lowered = jax.jit(flat).lower([leaf for leaf in leaves if _is_array(leaf)])
        with _afresh():
            try:
                program = lowered.compile(compiler_options=self._asked)
            except (ValueError, jax.errors.JaxRuntimeError):  # a version that knows them not
                program = lowered.compile()
        called = {*CALLED.findall(lowered.as_text())}
        if all(name.startswith(LAPACK) for name in called):
            _save(key, program, bool(called))
        return program


@contextlib.contextmanager
def _afresh() -> Iterator[None]:
    """Compile without JAX's own cache, from where a program comes without all of its code."""
    if jax.config.jax_compilation_cache_dir is None:
        yield
        return
    used = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", used)
        reset_cache()


def _save(key: str, program: Any, lapack: bool) -> None:
    from jax.experimental.serialize_executable import serialize

    try:
        executable, arguments, out = serialize(program)
        # Trees are no pickles, their objects are.
        shape = jax.tree.unflatten(out, range(out.num_leaves))
        content = pickle.dumps((executable, arguments.num_leaves, shape, lapack))
    except Exception:  # a backend that cannot, or an output of a kind that is no pickle
        return
    cache.save(key, content)


def _loaded(key: str) -> Callable | None:
    """The program that was kept; None where there is none, or none that can be read."""
    from jax.experimental.serialize_executable import deserialize_and_load

    if (content := cache.load(key)) is None:
        return None
    try:
        executable, count, shape, lapack = pickle.loads(content)
        if lapack:
            _find_lapack()
        arguments = jax.tree.structure((([0] * count,), {}))
        out, here = jax.tree.structure(shape), jax.devices()[:1]
        return deserialize_and_load(executable, arguments, out, execution_devices=here)
    except Exception:
        return None


@functools.cache
def _find_lapack() -> None:
    """Have JAX look for LAPACK, which it does where a program that calls it is lowered.

    One that is loaded would call nothing, and crash.
    """
    jax.jit(jnp.linalg.cholesky).lower(np.eye(1))


# Arguments.


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _weak(array: Any) -> bool:
    return getattr(array, "weak_type", False)


def _alone(leaf: Any) -> bool:
    """Whether a leaf is static, or a concrete array that lies where programs run."""
    if isinstance(leaf, jax.core.Tracer):
        return False
    if isinstance(leaf, jax.Array):
        return leaf.devices() == {jax.devices()[0]}
    return _is_array(leaf) or not isinstance(leaf, float | complex)
