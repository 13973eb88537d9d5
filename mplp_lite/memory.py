"""How much memory a compiled program needs, and whether there is that much, before it runs."""

from pathlib import Path
from typing import Any

import jax

from .folder import RunError

GIB = 1024**3


def needed(program: Any, devices: int = 1) -> int:
    """Bytes a `jax.stages.Compiled` uses on one device; on CPUs, whose devices share a memory, on all of them."""
    found = program.memory_analysis()
    total = found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes - found.alias_size_in_bytes
    return total * (devices if jax.default_backend() == "cpu" else 1)


def free() -> int | None:
    """Bytes that are free where programs run: on the first local accelerator, or in this machine; `None` where nobody says."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def check(program: Any, devices: int = 1) -> str:
    """What the program needs and what there is, in words.

    Raises:
        RunError: if there is too little.
    """
    wanted, there = needed(program, devices), free()
    told = f"needs {wanted / GIB:.2f} GiB" + ("" if there is None else f" of {there / GIB:.2f} GiB free")
    if there is not None and wanted > there:
        raise RunError(f"A meta-step {told}; compute fewer episodes at once (--set microbatch=1, 2, ...) or train fewer arms together.")
    return told
