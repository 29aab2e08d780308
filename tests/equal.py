"""Small sweeps of every kind whose data sets must not depend on where they are computed.

python equal.py FOLDER [WORKERS]    # a store of each, by a local cluster or this process
"""

import sys
from contextlib import nullcontext
from pathlib import Path

import jax
import numpy as np

import rfdsm
from rfdsm.sweeps.engines.dask import local_cluster

MODEL = rfdsm.RFDSM(psi_n=2.0, psi_p=3.0, m=4, t=0.1, lam=1e-3)
FLOW = rfdsm.RFDSM(psi_n=2.0, psi_p=3.0, m=4, t=0.1, training=rfdsm.GradientFlow(1.0, 1e-3))
WIDE = {"psi_p": np.geomspace(0.2, 50, 40), "psi_n": np.geomspace(0.2, 20, 60)}
AXES = {"psi_p": np.geomspace(0.2, 50, 6), "m": [1, 4, np.inf]}


def cases():
    """(model, axes, further arguments, chunk) by name; "chunk" is another than the usual."""
    slopes = rfdsm.gradient("score_error", wrt=["psi_p", "inverse_m"])
    several = MODEL.replace(data=rfdsm.Gaussian([0.2, 0.8, 2.0], [0.5, 0.25, 0.25]))
    points = rfdsm.Samples(np.random.default_rng(0).normal(size=(30, 8)))
    measured = rfdsm.RFDSM(psi_n=2.0, psi_p=3.0, m=4, t=0.1, lam=1e-3, data=points)
    moments = rfdsm.measure(measured, jax.random.key(0))
    taus = {"training.tau": np.geomspace(0.1, 1e3, 5), "m": [1, np.inf]}
    return {
        "one_atom": (MODEL, WIDE, {}, 700),
        "several_atoms": (several, AXES, {}, 4),
        "flow": (FLOW, taus, {}, 5),
        "gradients": (MODEL, AXES, {"quantities": slopes}, 2),
        "measured": (measured, {"lam": [1e-3, 0.1], "m": [1, 4]}, {"moments": moments}, 3),
        "networks": (MODEL, {"lam": [1e-3, 0.1], "t": [0.1, 0.5]},
                     {"simulate": {"d": 10, "trials": 2}, "seed": 1}, 2),
    }  # fmt: skip


def compute(folder, engine=None, other_chunks=False, only=None):
    """A store of each case."""
    for name, (model, axes, given, chunk) in cases().items():
        if only is None or name in only:
            given = given | {"chunk": chunk if other_chunks else None}
            rfdsm.sweep(model, axes, store=folder / f"{name}.zarr", engine=engine, **given)


if __name__ == "__main__":
    path, *workers = sys.argv[1:]
    with local_cluster(int(*workers)) if workers else nullcontext() as client:
        compute(Path(path), client)
