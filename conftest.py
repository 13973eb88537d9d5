"""How every process of a test run compiles: the tests themselves, what they start, and the kernels of notebooks.

Settings that are in the environment already stay.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile

QUICKLY = "--xla_cpu_use_fusion_emitters=false"  # compiles in half the time and memory


def known(flag):
    """Whether this XLA knows a flag; it ends a process that is given another one."""
    probe = [sys.executable, "-c", "import jax; jax.devices('cpu')"]
    return subprocess.run(probe, env=os.environ | {"XLA_FLAGS": flag}, capture_output=True).returncode == 0


os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # networks here are tiny: compiling them is what takes time
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
if "XLA_FLAGS" not in os.environ and known(QUICKLY):
    os.environ["XLA_FLAGS"] = QUICKLY
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # equal programs are compiled once, whichever process needs them first
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="compiled-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
