"""How large the compiled programs are, and how long they take to compile.

Instructions are counted in what JAX hands to XLA, before any optimisation, calls followed: that
number is exact and the same on every processor. `run` records it in programs.json, which
tests/test_programs.py holds every later state against; seconds are figures like any other.
"""

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rfdsm
from rfdsm._files.whole import whole_file

from .figures import Figure, at_most

RECORD = Path(__file__).parent / "programs.json"
FUNCTION = re.compile(r"^\s*func\.func .*?@([\w.$-]+)\(")
CALL = re.compile(r"= (?:func\.)?call @([\w.$-]+)\(")
HESSIAN, HESSIAN_SECONDS = "a Hessian in seven numbers", 6
TUNE = (
    "tune --psi-n 8 --t 0.1 --free psi_p=0.1:64 --free m --free lam --objective test_loss "
    "--at-most train_loss=0.6 --budget samples=32"
)
COMMANDS = {
    "rfdsm point": "point --psi-n 8 --psi-p 16 --m 4 --t 0.1 --lam 1e-3",
    "rfdsm tune": TUNE,
}


def model(**changes: Any) -> rfdsm.RFDSM:
    """An isotropic one, with seven numbers of its own."""
    numbers = {"psi_n": 8.0, "psi_p": 16.0, "m": 4, "t": 0.1, "lam": 1e-3} | changes
    return rfdsm.RFDSM(**numbers)


def loss(model: rfdsm.RFDSM) -> jax.Array:
    """One error."""
    return model.solve().errors.test_loss


def flow() -> rfdsm.RFDSM:
    """The same along gradient flow."""
    return rfdsm.RFDSM(psi_n=8.0, psi_p=16.0, m=4, t=0.1, training=rfdsm.GradientFlow(1.0))


def simulated(m: float) -> Callable[[jax.Array], Any]:
    """Networks of d = 40."""
    return lambda key: model(psi_n=2.0, psi_p=4.0, m=m).simulate(key, 40, 4)


def many() -> rfdsm.RFDSM:
    """A batch of models: every number of shape (1000,)."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (1000, *x.shape)), model())


# What is compiled and what it is called with.
PROGRAMS: dict[str, Callable[[], tuple[Callable, Any]]] = {
    "one point": lambda: (rfdsm.RFDSM.solve, model()),
    "a batch of points": lambda: (jax.vmap(rfdsm.RFDSM.solve), many()),
    "a point of 16 atoms": lambda: (
        rfdsm.RFDSM.solve,
        model(data=rfdsm.Gaussian(np.linspace(0.1, 1.9, 16))),
    ),
    "a value and its gradient": lambda: (jax.value_and_grad(loss), model()),
    "a batch of values and gradients": lambda: (jax.vmap(jax.value_and_grad(loss)), many()),
    HESSIAN: lambda: (jax.hessian(loss), model()),
    "100 training times": lambda: (
        lambda model: model.solve_trajectory(np.geomspace(0.1, 1e5, 100)),
        flow(),
    ),
    "an eigenvalue density": lambda: (lambda model: model.density(np.ones(400)), model()),
    "parts of the variance": lambda: (rfdsm.RFDSM.variance_parts, model()),
    "networks at m = 4": lambda: (simulated(4), jax.random.key(0)),
    "networks at m = inf": lambda: (simulated(float("inf")), jax.random.key(0)),
}


def traced(name: str) -> Any:
    """One of `PROGRAMS`, traced."""
    function, argument = PROGRAMS[name]()
    return jax.jit(function).trace(argument)


def lowered(name: str) -> str:
    """One of `PROGRAMS` as the processor's XLA receives it, wherever this runs."""
    return traced(name).lower(lowering_platforms=("cpu",)).as_text()


def instructions(text: str) -> int:
    """How many a StableHLO module has, those of a function as often as it is called."""
    own: Counter[str] = Counter()
    calls: dict[str, Counter[str]] = defaultdict(Counter)
    for line in text.splitlines():
        if found := FUNCTION.match(line):
            name = found[1]
        elif line.lstrip().startswith("%"):
            if found := CALL.search(line):
                calls[name][found[1]] += 1
            else:
                own[name] += 1

    @functools.cache
    def total(name: str) -> int:
        return own[name] + sum(n * total(called) for called, n in calls[name].items())

    return total("main")


def of_command(words: str) -> dict[str, int]:
    """Programs that a command compiles the first time, and their instructions together."""
    with tempfile.TemporaryDirectory() as folder:
        modules = Path(folder) / "modules"
        modules.mkdir()
        of_user = {"JAX_DUMP_IR_TO": str(modules), "RFDSM_CACHE": f"{folder}/cache"}
        of_user["JAX_PLATFORMS"] = "cpu"
        subprocess.run(
            [sys.executable, "-m", "rfdsm", *words.split()],
            env={**os.environ, **of_user},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        texts = [path.read_text("utf-8") for path in modules.glob("*.mlir")]
    return {"programs": len(texts), "instructions": sum(map(instructions, texts))}


def record() -> dict[str, Any]:
    """Counts that were recorded last."""
    return json.loads(RECORD.read_text("utf-8"))


def stages(name: str, count: int) -> Figure:
    """Seconds until a program is ready, first call of its kind in this process."""
    clock = [time.perf_counter()]
    program = name
    for stage in (traced, jax.stages.Traced.lower, jax.stages.Lowered.compile):
        program = stage(program)
        clock.append(time.perf_counter())
    trace, lower, compile = np.diff(clock)
    total = clock[-1] - clock[0]
    limit = at_most(HESSIAN_SECONDS, total) if name == HESSIAN else {}
    note = (
        f"{count:,} instructions; trace {trace:.2f}, lower {lower:.2f}, compile {compile:.2f} s"
    )
    return Figure(f"compiling {name}", total, "s", **limit, note=note)


def run() -> list[Figure]:
    """Record the counts; seconds in order, as one process would see them."""
    commands = {name: of_command(words) for name, words in COMMANDS.items()}
    counts = {name: instructions(lowered(name)) for name in PROGRAMS}
    with whole_file(RECORD) as part:
        part.write_text(json.dumps(counts | commands, indent=1) + "\n", "utf-8")
    jax.clear_caches()  # of what was traced for the counts
    return [
        *(
            Figure(
                f"size of a first `{name}`",
                found["instructions"],
                "instructions",
                note=f"in {found['programs']} programs",
            )
            for name, found in commands.items()
        ),
        *(stages(name, count) for name, count in counts.items()),
    ]
