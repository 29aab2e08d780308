"""`python -m benchmarks [NAME ...]`: each benchmark in a process of its own.

Without names those of speed; `agreement` (ten minutes) says how far finite networks are.
"""

import os
import subprocess
import sys

NAMES = ("theory", "simulation", "moments", "training_time", "tuning", "sweep")
# A fair NumPy/SciPy: these choose an old kernel on some machines.
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def main() -> None:
    """Run all, or those named on the command line."""
    environment = {k: v for k, v in os.environ.items() if k not in UNSET}
    environment["JAX_ENABLE_X64"] = "1"
    environment["PYTHONPATH"] = os.pathsep.join((".", "tests"))  # the bank of problems
    for name in sys.argv[1:] or NAMES:
        print(f"== {name}", flush=True)
        command = f"from benchmarks import {name}; {name}.run()"
        subprocess.run([sys.executable, "-c", command], env=environment, check=True)


if __name__ == "__main__":
    main()
