"""How the book's notebooks start, and the switch that shortens them: `MPLP_QUICK=1` in the environment."""

import os
import sys
from importlib.metadata import version

import jax


def set_up() -> None:
    """Says what this notebook runs on, and has products computed in full precision and figures drawn for dense screens.

    In less than full precision a GPU rounds the factors of a product to TensorFloat-32 and a TPU to bfloat16, which keep about three
    digits: what is equal on a CPU would not be equal there.

    Raises:
        ValueError: if `MPLP_QUICK` is set to anything but 0 or 1.
    """
    jax.config.update("jax_default_matmul_precision", "highest")
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()):
        shell.run_line_magic("config", "InlineBackend.figure_formats = ['retina']")
    devices, length = jax.devices(), ", quick mode" if is_quick() else ""
    kind = f"{devices[0].platform} ({devices[0].device_kind})" if devices[0].platform != "cpu" else f"cpu, {os.cpu_count()} cores"
    print(f"mplp_lite {version('mplp-lite')}, jax {jax.__version__}, on {kind}{length}")


def is_quick() -> bool:
    """Whether `MPLP_QUICK` asks for a quick pass.

    Raises:
        ValueError: if `MPLP_QUICK` is set to anything but 0 or 1.
    """
    switch = os.environ.get("MPLP_QUICK", "0")
    if switch not in ("0", "1", ""):
        raise ValueError(f"MPLP_QUICK={switch!r} is set; use 1 for short loops or 0 for full ones.")
    return switch == "1"


def steps(full: int, quick: int) -> int:
    """`full`, or `quick` where `MPLP_QUICK=1` asks for a quick pass; both still train.

    Raises:
        ValueError: if `MPLP_QUICK` is set to anything but 0 or 1.
    """
    return quick if is_quick() else full
