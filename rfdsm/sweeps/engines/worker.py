"""What a process that computes for another one runs. It keeps the work that it was sent last,
so that it unpickles and compiles once."""

import hashlib
import pickle
import threading
from typing import Any, NamedTuple

import jax

from .protocol import Work


class Parcel(NamedTuple):
    """Work as it travels, under a name; x64 is jax's flag where it comes from."""

    token: str
    x64: bool
    pickled: bytes


_ONE = threading.Lock()  # a process computes one chunk at a time, however many threads it has
_kept: dict[str, Work] = {}


def parcel(work: Work) -> Parcel:
    """Pack work, functions of a notebook included."""
    import cloudpickle

    pickled = cloudpickle.dumps(work)
    return Parcel(hashlib.sha256(pickled).hexdigest(), jax.config.jax_enable_x64, pickled)


def hold(sent: Parcel) -> Parcel:
    """The same: a task whose result tasks of other workers fetch."""
    return sent


def compute(sent: Parcel, chunk: Any) -> Any:
    """The result of a chunk; None if it is recorded, by a worker that died after that."""
    with _ONE, jax.enable_x64(sent.x64):
        if sent.token not in _kept:
            work = pickle.loads(sent.pickled)
            work.prepare()
            _kept.clear()
            _kept[sent.token] = work
        work = _kept[sent.token]
        return None if work.done(chunk) else work(chunk)
