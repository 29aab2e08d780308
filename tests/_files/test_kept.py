"""Programs that are kept: loaded without a trace, under a key that says all they depend on."""

import os
import pickle
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

import rfdsm
from rfdsm._files import cache, keys, programs
from rfdsm._files.programs import QUICKLY, Kept, kept
from rfdsm.ingredients.processes import Noising
from rfdsm.parameters.scales import LOG, Scale

POINT = "point --psi-n 8 --m 4 --t 0.1 --lam 1e-3"
TUNE = "tune --psi-n 8 --t 0.1 --free m --free lam --objective test_loss --budget samples=32"
NOISING = Noising(np.array(0.8), np.array(0.36))
traced = []


def spread(noising, x, more=None):
    """Something of a tree and an array, with a tree of its own."""
    traced.append(x)
    total = jnp.sum(jnp.tanh(noising.a * x) / jnp.sqrt(noising.h))
    return Noising(total, total + (0 if more is None else more(total)))


def fresh(jit=eqx.filter_jit) -> Kept:
    """The function as another process has it."""
    traced.clear()
    return kept(spread, jit=jit)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_folder", tmp_path)
    return tmp_path


X = np.linspace(-1, 1, 1001)


def same(one, other) -> bool:
    """To the last bit."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def test_a_second_process_loads_and_traces_nothing(folder):
    expected = jax.jit(spread, compiler_options=QUICKLY)(NOISING, X)
    first = fresh()(NOISING, X)
    assert len(traced) == 1 and len(list(folder.iterdir())) == 1
    again = fresh()
    second = again(NOISING, X)
    other = again(Noising(np.array(0.6), np.array(0.64)), -2 * X)
    assert not traced and isinstance(second, Noising)
    assert same(first, expected) and same(second, expected) and not same(other, expected)


def test_where_the_cache_is_off_it_is_jit(monkeypatch):
    monkeypatch.setattr(cache, "_folder", None)
    assert same(fresh(jax.jit)(NOISING, X), jax.jit(spread)(NOISING, X))


def test_traced_arguments_go_to_jit(folder):
    program = fresh(jax.jit)
    rows = jax.vmap(program, (None, 0))(NOISING, np.stack([X, 2 * X]))
    slope = jax.grad(lambda a: program(Noising(a, NOISING.h), X[:500]).a)(0.8)
    with jax.disable_jit():
        assert same(fresh(jax.jit)(NOISING, X), spread(NOISING, X))
    assert rows.a.shape == (2,) and np.isfinite(slope) and not list(folder.iterdir())


@pytest.mark.parametrize(
    "changed",
    [
        lambda: jax.default_matmul_precision("float32"),
        lambda: jax.numpy_rank_promotion("allow"),
        lambda: jax.enable_x64(False),
    ],
)
def test_settings_are_in_the_key(folder, changed):
    fresh()(NOISING, X)
    with changed():
        fresh()(NOISING, X)
    assert len(list(folder.iterdir())) == 2


def test_shapes_types_and_static_leaves_are_in_the_key(folder):
    calls = [(X,), (X[:10],), (X.astype(np.float32),), (jnp.asarray(X),), (X, jnp.tanh)]
    with jax.numpy_dtype_promotion("standard"):
        for each in calls:
            fresh()(NOISING, *each)
    # NumPy's arrays and JAX's have one program; jnp.tanh is not of this package.
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize(
    "name, value",
    [("processor", lambda: "another"), ("_sources", lambda folder: "edited"),
     ("platform", type("", (), {"platform": lambda: "another"}))],
)  # fmt: skip
def test_processor_sources_and_system_are_in_the_key(monkeypatch, name, value):
    before = keys.surroundings.__wrapped__()
    monkeypatch.setattr(keys, name, value)
    assert keys.surroundings.__wrapped__() != before


@pytest.mark.parametrize("module", [rfdsm, jax])
def test_versions_and_flags_are_in_the_key(monkeypatch, module):
    before = keys.surroundings.__wrapped__()
    monkeypatch.setattr(module, "__version__", "0.0.0")
    changed = keys.surroundings.__wrapped__()
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX2")
    assert len({before, changed, keys.surroundings.__wrapped__()}) == 3


def test_the_processor_is_told():
    told = keys.processor()
    assert len(told) > 10 and told == keys.processor() and "0x" not in told


@pytest.mark.parametrize("cut", [lambda x: x[:-1000], lambda x: x[:1000], lambda x: b""])
def test_a_damaged_program_is_compiled_again_and_replaced(folder, cut):
    expected = fresh()(NOISING, X)
    (path,) = folder.iterdir()
    path.write_bytes(cut(path.read_bytes()))
    assert same(fresh()(NOISING, X), expected) and len(traced) == 1
    assert same(fresh()(NOISING, X), expected) and not traced


def test_what_is_no_program_is_compiled_again(folder):
    expected = fresh()(NOISING, X)
    (path,) = folder.iterdir()
    for content in (b"no pickle", pickle.dumps("no program")):
        cache.save(path.stem, content)
        assert same(fresh()(NOISING, X), expected) and len(traced) == 1


def test_a_program_from_jax_s_own_cache_is_not_kept(folder, tmp_path_factory):
    """It comes without its code: what is kept of it would fail when it runs."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("jax")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        reset_cache()
        expected = fresh()(NOISING, X)
        (path,) = folder.iterdir()
        path.unlink()
        assert same(fresh()(NOISING, X), expected) and len(traced) == 1
        assert same(fresh()(NOISING, X), expected) and not traced
        assert jax.config.jax_enable_compilation_cache
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        reset_cache()


def test_a_process_that_loads_lapack_s_callers_finds_it(tmp_path):
    """JAX looks for LAPACK when a program is lowered; one that is loaded would call nothing."""
    script = """
import jax, jax.numpy as jnp, numpy as np, rfdsm
from rfdsm._files.programs import kept

@kept
def spectrum(matrix):
    print("traced", flush=True)
    return jnp.linalg.eigvalsh(matrix), jnp.linalg.solve(matrix, matrix)

rfdsm.enable_cache()
print(spectrum(np.diag([1.0, 2.0]))[0].tolist())
"""
    about = {**os.environ, cache.VARIABLE: str(tmp_path), "JAX_ENABLE_X64": "1"}
    command = [sys.executable, "-c", script]
    said = [subprocess.run(command, env=about, capture_output=True).stdout for _ in range(2)]
    assert said == [b"traced\n[1.0, 2.0]\n", b"[1.0, 2.0]\n"]


def test_what_calls_into_this_process_is_not_kept(folder):
    def called(x):
        return jax.pure_callback(np.sin, x, x)

    for _ in range(2):
        assert np.array_equal(kept(called)(X), np.sin(X))
    assert not list(folder.iterdir())


# What has no key.


class Own(rfdsm.AbstractProcess):
    def scales(self):
        return 0.6, 0.64

    def domain(self):
        return []


@pytest.mark.parametrize(
    "value",
    [lambda x: x, jnp.tanh, Own, object(), np.zeros(3), LOG.place, {1: 2}, Scale("log").number],
)
def test_what_is_a_user_s_own_has_no_key(value):
    with pytest.raises(keys.Unkeyed):
        keys.told(value)


def test_texts_say_all():
    values = [LOG, Scale("linear"), Scale("log", zero=1e-6), (1, "a"), ["a"], (1.0, "a"), True,
              rfdsm.Tanh, keys.told, None]  # fmt: skip
    told = [keys.told(each) for each in values]
    assert len({*told}) == len(values) and not any("0x" in each for each in told)


def test_a_user_s_function_is_not_kept(folder):
    model = rfdsm.RFDSM(8, 2, 2, t=0.1, lam=1e-2, activation=rfdsm.Activation(jnp.tanh))
    own = rfdsm.RFDSM(8, 2, 2, process=Own(), lam=1e-2)
    for each in (model, own):
        with pytest.raises(keys.Unkeyed):
            keys.of_tree(jax.tree.structure(each))
    fresh()(NOISING, X, lambda x: x)
    assert not list(folder.iterdir())


def test_a_program_is_pickled_by_its_name():
    from rfdsm.asymptotics.solution import _solution

    assert isinstance(_solution, Kept) and pickle.loads(pickle.dumps(_solution)) is _solution


# The command.


def run(words: str, folder):
    """The command in a process of its own; its lines, and what it compiled."""
    about = {**os.environ, cache.VARIABLE: str(folder), "JAX_LOG_COMPILES": "1"}
    command = [sys.executable, "-m", "rfdsm", *words.split()]
    done = subprocess.run(command, env=about, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    return done.stdout, [line for line in lines if "Finished XLA" in line or "racing" in line]


def test_a_second_point_compiles_nothing(tmp_path):
    first, compiled = run(f"{POINT} --psi-p 16", tmp_path)
    assert len(compiled) > 0
    again, compiled = run(f"{POINT} --psi-p 16", tmp_path)
    assert again == first and compiled == []
    other, compiled = run(f"{POINT} --psi-p 2", tmp_path)
    assert other != first and compiled == []
    without, compiled = run(f"{POINT} --psi-p 16", "off")
    assert without == first and len(compiled) > 0


@pytest.mark.slow
def test_a_later_tune_of_other_numbers_compiles_nothing(tmp_path):
    run(f"{TUNE} --psi-p 16 --at-most train_loss=0.6", tmp_path)
    _, compiled = run(f"{TUNE} --psi-p 8 --at-most train_loss=0.5", tmp_path)
    assert compiled == []


@pytest.mark.slow
def test_two_processes_at_once(tmp_path):
    about = {**os.environ, cache.VARIABLE: str(tmp_path)}
    command = [sys.executable, "-m", "rfdsm", *POINT.split(), "--psi-p", "16"]
    both = [subprocess.Popen(command, env=about, stdout=subprocess.PIPE) for _ in range(2)]
    said = [each.communicate(timeout=300)[0] for each in both]
    assert said[0] == said[1] and [each.returncode for each in both] == [0, 0]
    assert run(f"{POINT} --psi-p 16", tmp_path)[1] == []


def test_options_of_another_version_are_left_out(folder, monkeypatch):
    monkeypatch.setattr(programs, "QUICKLY", {"xla_no_such_option": True})
    assert same(fresh()(NOISING, X), jax.jit(spread)(NOISING, X))
    programs._options.cache_clear()
    assert programs._options() == {}
    programs._options.cache_clear()
