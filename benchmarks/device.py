"""The device that is measured, in words; its name is that of its file of figures."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

CPU_INFO = Path("/proc/cpuinfo")
WIDEST = ("avx512f", "avx2", "avx", "neon", "asimd")  # instruction sets, best first
FLAG = re.compile(r"--xla_cpu_max_isa=(\w+)")
PACKAGES = ("jax", "numpy", "scipy")


def processor() -> tuple[str, str]:
    """(name, instruction set), the latter no wider than XLA_FLAGS allows."""
    text = CPU_INFO.read_text() if CPU_INFO.exists() else ""
    lines = dict(re.findall(r"^([\w ]+?)\s*: (.*)$", text, flags=re.M))
    flags = lines.get("flags", lines.get("Features", "")).split()
    widest = next((each for each in WIDEST if each in flags), platform.machine())
    asked = FLAG.search(os.environ.get("XLA_FLAGS", ""))
    isa = asked[1].lower() if asked else widest.removesuffix("f")
    return lines.get("model name", platform.processor() or platform.machine()), isa


def device() -> dict[str, Any]:
    """What is measured: `name`, `processor`, `cores`, `isa`, and `accelerator` or None."""
    name, isa = processor()
    first = jax.devices()[0]
    host = {"processor": name, "cores": os.cpu_count(), "isa": isa}
    accelerator = None if first.platform == "cpu" else first.device_kind
    words = accelerator or f"{name} {os.cpu_count()} cores {isa}"
    slug = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    return {"name": slug, **host, "accelerator": accelerator}


def circumstances() -> dict[str, Any]:
    """Versions, and how busy the machine was."""
    versions = {name: version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **versions, "load": os.getloadavg()[0]}
