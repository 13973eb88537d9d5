"""How much memory a compiled program needs, whether there is that much before it runs, and a compiler that needs little itself."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax

from .errors import RunError

GIB = 1024**3
LEAN = {"xla_cpu_use_fusion_emitters": False}


@cache
def _options():
    """What XLA on CPUs is told; nothing where it does not know the option, which may go as it came, and nothing elsewhere."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=LEAN)()
    except jax.errors.JaxRuntimeError:
        return {}
    return LEAN


def lean_jit(function: Callable, **arguments: Any) -> Callable:
    """`jax.jit`, asking on CPUs for a compiler that takes far less memory, and makes programs some percent slower (page "Speed")."""
    return jax.jit(function, compiler_options=_options(), **arguments)


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
