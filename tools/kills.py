"""Kill a meta-training again and again, resume it each time, and compare its end with that of an unbroken run.

    python tools/kills.py [--kills 50] [--seed 0]

Each kill is a real SIGKILL at a random moment of a real process: while it starts, compiles, trains or writes. At the end the
rule and the learning curve must be those of the run that nobody disturbed, byte by byte.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TINY = ["widths=1,4,1", "message=2", "hidden=1", "inner_steps=2", "inner_batch=3", "held_out=4", "outer_batch=2"]
STEPS = 20_000
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def command(out, steps):
    """A short run that saves at every chance."""
    changes = [word for assignment in TINY for word in ("--set", assignment)]
    options = ["--steps", str(steps), "--checkpoint-every", "10", "--out", str(out)]
    return [sys.executable, "-m", "mplp_lite", "train", "sinusoid", *options, *changes]


def start(out, steps, environment):
    """The run as a process of its own, its output thrown away."""
    return subprocess.Popen(command(out, steps), env=environment, **QUIET)


def saved_step(out):
    """The step of the last row of the curve; 0 before there is one."""
    curve = out / "curve.csv"
    return int(curve.read_text().splitlines()[-1].partition(",")[0]) if curve.exists() else 0


def kill_at_random(out, steps, environment, longest, moments):
    """Starts the run, kills it after a random time of at most `longest` seconds; gives that time, or `None` if it ended before."""
    process, moment = start(out, steps, environment), moments.uniform(0, longest)
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return moment
    return None


def results(out):
    """What a finished run leaves, but for its card, which is written from these."""
    return [(out / name).read_bytes() for name in ("rule.npz", "curve.csv")]


def main():
    """Runs, kills, resumes, compares; 0 if all is equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="draws the moments")
    options = parser.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        environment = os.environ | cache
        began = time.monotonic()
        subprocess.run(command(folder / "unbroken", STEPS), env=environment, check=True, **QUIET)
        unbroken = time.monotonic() - began
        broken, done = folder / "broken", 0
        while done < options.kills:
            moment = kill_at_random(broken, STEPS, environment, max(8.0, unbroken / options.kills), moments)
            if moment is None:
                sys.exit(f"The run ended after {done} kills; give it more steps.")
            done += 1
            print(f"kill {done:3} after {moment:5.2f} s, step {saved_step(broken):6} is safe", flush=True)
        subprocess.run(command(broken, STEPS), env=environment, check=True, **QUIET)
        equal = results(broken) == results(folder / "unbroken")
    print(f"{done} kills, {STEPS} steps: the results are {'equal, byte by byte' if equal else 'DIFFERENT'}")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
