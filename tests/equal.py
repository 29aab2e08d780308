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


TAUS = {"training.tau": np.geomspace(0.1, 1e3, 5), "m": [1, np.inf]}
SLOPES = rfdsm.gradient("score_error", wrt=["psi_p", "inverse_m"])
NETWORKS = {"lam": [1e-3, 0.1], "t": [0.1, 0.5]}
LAMS = {"lam": [1e-3, 0.1], "m": [1, 4]}


def several():
    return MODEL.replace(data=rfdsm.Gaussian([0.2, 0.8, 2.0], [0.5, 0.25, 0.25])), AXES, {}, 4


def measured():
    X = rfdsm.standardise(np.random.default_rng(0).normal(size=(30, 8)))
    model = rfdsm.RFDSM(psi_n=2.0, psi_p=3.0, m=4, t=0.1, lam=1e-3, data=rfdsm.Samples(X))
    moments = rfdsm.measure(model, jax.random.key(0), classes=1, warned=False)
    return model, LAMS, {"moments": moments}, 3


CASES = {  # what gives (model, axes, further arguments, another chunk than the usual)
    "one_atom": lambda: (MODEL, WIDE, {}, 700),
    "several_atoms": several,
    "flow": lambda: (FLOW, TAUS, {}, 5),
    "gradients": lambda: (MODEL, AXES, {"quantities": SLOPES}, 2),
    "measured": measured,
    "networks": lambda: (MODEL, NETWORKS, {"simulate": {"d": 10, "trials": 2}, "seed": 1}, 2),
}


def compute(folder, how, names=None):
    """A store of each case, or of those named: "here", in other "chunks", by "dask"."""
    with local_cluster(2) if how == "dask" else nullcontext() as client:
        for name in names or CASES:
            model, axes, given, chunk = CASES[name]()
            given = given | {"chunk": chunk if how == "chunks" else None}
            rfdsm.sweep(model, axes, store=folder / f"{name}.zarr", engine=client, **given)


if __name__ == "__main__":
    path, how, *names = sys.argv[1:]
    compute(Path(path), how, names)
