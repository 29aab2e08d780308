"""A small sweep with a store, for tests that kill it.

python victim.py STORE theory|networks [SCHEDULER]
"""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import rfdsm

POINTS = 24  # each a chunk of theory, and one of networks
MARKS = ("status", "simulated_status")
MODEL = rfdsm.RFDSM(psi_n=2.0, psi_p=3.0, m=2, t=0.1, lam=1e-3)
AXES = {"lam": np.geomspace(1e-3, 1, POINTS)}


def ballast(model):
    """Many numbers, so that a chunk takes a while to be written."""
    return model.training.lam * jnp.arange(50_000.0)


def sweep(store, kind, **given):
    """The sweep, of theory alone or with networks; the same call goes on with a store."""
    simulate = {"d": 10, "trials": 2} if kind == "networks" else None
    asked = {"quantities": {"ballast": ballast}, "simulate": simulate, "chunk": 1}
    return rfdsm.sweep(MODEL, AXES, store=store, **asked, **given)


def recorded(store):
    """The chunks that are marked, as (mark, index)."""
    found = ((mark, each.name) for mark in MARKS for each in (store / mark / "c").glob("*"))
    return {(mark, name) for mark, name in found if name.isdigit()}


def stamps(store, chunks):
    """What of the files of chunks changes when one is written again, by file."""
    found = {}
    for folder in store.glob("*/c"):
        name = folder.parent.name
        mark = MARKS[name.startswith(("simulated", "expected"))]
        for file in files(folder):
            if (mark, file.parts[0]) in chunks and name not in AXES:
                at = (folder / file).stat()
                found[name, file] = at.st_ino, at.st_mtime_ns
    return found


def files(store):
    """All that a store holds, by path, but for what a killed process did not end."""
    found = (path for path in store.rglob("*") if path.suffix != ".partial" and path.is_file())
    return {path.relative_to(store): path.read_bytes() for path in found}


if __name__ == "__main__":
    from rfdsm.sweeps.engines.dask import connect

    path, kind, *scheduler = sys.argv[1:]
    sweep(Path(path), kind, engine=connect(*scheduler) if scheduler else None)
