"""`python -m benchmarks [NAME ...]`: each benchmark in a process of its own.

Figures go to results/<device>.json and README.md's table; those of benchmarks that are not run
stay as they are. Without names those of speed; `agreement` (ten minutes) says how far finite
networks are. `--check` runs nothing and fails where the table is not what the files say.
"""

import os
import subprocess
import sys

from rfdsm._files.whole import whole_file

from . import results

# A fair NumPy/SciPy: these choose an old kernel on some machines.
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def main(names: list[str]) -> str | None:
    """Run all, or those named; what failed, in words."""
    if names == ["--check"]:
        stale = results.written() != results.README.read_text("utf-8")
        return (
            "README.md's table is not that of results/: run any benchmark." if stale else None
        )
    environment = {k: v for k, v in os.environ.items() if k not in UNSET}
    environment["JAX_ENABLE_X64"] = "1"
    paths = (".", "tests", environment.get("PYTHONPATH", ""))  # the bank of problems
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    unknown = set(names) - set(results.BENCHMARKS)
    if unknown:
        return f"no benchmark {', '.join(unknown)}; there are {', '.join(results.BENCHMARKS)}."
    failed = []
    for name in names or results.OF_SPEED:
        print(f"== {name}", flush=True)
        command = f"from benchmarks import results; results.measure({name!r})"
        if subprocess.run([sys.executable, "-c", command], env=environment).returncode:
            failed.append(name)
            continue
        text = results.written()
        with whole_file(results.README) as part:
            part.write_text(text, "utf-8")
    return f"failed: {', '.join(failed)}" if failed else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
