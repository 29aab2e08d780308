"""Data sets do not depend on where and in which chunks they are computed.

On one kind of device not in a bit; one device and several, to 1e-12, as XLA compiles other
programs for them; networks in no bit on any.
"""

import functools
import os
import subprocess
import sys

import equal
import jax
import numpy as np
import pytest

import rfdsm

TOLERANCE = 1e-12
AVX2 = "--xla_cpu_max_isa=AVX2"
EIGHT = "--xla_force_host_platform_device_count=8"


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """The folder of stores that a process of its own made: how, under which flags of XLA."""

    @functools.cache
    def of(how, *flags, names=()):
        folder = tmp_path_factory.mktemp("stores")
        quick = int(jax.config.values["jax_disable_most_optimizations"])
        environment = os.environ | {
            "XLA_FLAGS": " ".join([os.environ.get("XLA_FLAGS", ""), *flags]),
            "JAX_DISABLE_MOST_OPTIMIZATIONS": str(quick),
            "JAX_ENABLE_X64": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        command = [sys.executable, equal.__file__, folder, how, *names]
        subprocess.run(command, env=environment, check=True)
        return folder

    return of


def require_same(one, other, name, exact):
    """All variables, bit for bit or to `TOLERANCE`; networks bit for bit, their theory not."""
    one, other = (rfdsm.open(folder / f"{name}.zarr").load() for folder in (one, other))
    for each in one, other:
        del each.attrs["chunks_total"], each.attrs["chunks_done"]
    assert {*one.variables} == {*other.variables} and one.attrs == other.attrs
    for each in one.variables:
        a, b = one[each].values, other[each].values
        if exact or each.startswith("simulated") or a.dtype.kind != "f":
            np.testing.assert_array_equal(a, b, each, strict=True)
        elif each != "residual":  # of rounding errors alone
            # bias2 is the square of a difference of numbers of O(1), of rounding eps.
            atol = 4 * np.finfo(float).eps * np.sqrt(b.max()) if each == "bias2" else 0
            np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=atol, err_msg=each)
    statuses = one[[n for n in one if n.endswith("status")]]
    assert all((statuses[n] == 0).all() for n in statuses)


def test_eight_devices(computed, tmp_path):
    """In one process, against one here; the grid is of several blocks for each."""
    names = ("one_atom", "networks")
    equal.compute(tmp_path, "here", names)
    for name in names:
        require_same(tmp_path, computed("here", EIGHT, names=names), name, exact=False)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), (AVX2,)], ids=["", "avx2"])
@pytest.mark.parametrize(
    "how, more, exact",
    [
        ("chunks", (), True),
        ("dask", (), True),
        ("here", (EIGHT,), False),
        ("chunks", (EIGHT,), False),
    ],
    ids=["chunks", "two workers", "eight devices", "eight devices, chunks"],
)
def test_everywhere(computed, flags, how, more, exact):
    for name in equal.CASES:
        require_same(computed("here", *flags), computed(how, *flags, *more), name, exact)
        if more:  # of eight devices, other chunks are exactly the same
            chunks = computed("here", *flags, *more)
            require_same(computed(how, *flags, *more), chunks, name, exact=True)


@pytest.mark.slow
def test_another_instruction_set(computed):
    """Theory is the same to rounding errors, which differ."""
    for name in equal.CASES:
        if name != "networks":
            require_same(computed("here"), computed("here", AVX2), name, exact=False)
