"""`rfdsm doctor`: what runs here, and whether it computes right numbers."""

import platform
from importlib import metadata

import jax

from ..analysis import canary
from .console import fail, out

EXAMPLE = "doctor"


def doctor() -> None:
    """Versions, devices, precision, and whether the backend computes right numbers."""
    out.print(f"python    {platform.python_version()} on {platform.machine()}")
    for package in ("rfdsm", "jax", "jaxlib", "equinox", "numpy"):
        out.print(f"{package:<9} {metadata.version(package)}")
    for device in jax.devices():
        out.print(f"device    {device.platform}:{device.id} {device.device_kind}")
    out.print(f"x64       {'on' if jax.config.jax_enable_x64 else 'off'}")
    results = canary.checks()
    for result in results:
        verdict = "right" if result.ok else "WRONG"
        out.print(f"canary    {verdict}: {result.name}, deviation {result.deviation:.1e}")
    if not all(result.ok for result in results):
        fail(
            f"jax {jax.__version__} computes wrong numbers on this machine: install "
            "another version, such as 0.10.1.",
            1,
        )
