"""Mutants: the package with one line made wrong, each against the tests of its own modules. A mutant that passes them shows a hole.

`python tools/mutants.py` runs all, `python tools/mutants.py NAME ...` some; each in the same copy of this checkout, stopped at the
first test that fails.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".cache", "_build", "runs", "__pycache__", ".pytest_cache")


class Mutant(NamedTuple):
    """One line made wrong.

    Attributes:
        name: what is wrong.
        file: in `mplp_lite`, without `.py`.
        old: text that stands there once.
        new: what stands there instead.
        tests: the test modules that ought to notice, without `test_` and `.py`, the likeliest first.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = [
    Mutant("aggregators swapped", "checks", '"mean": jnp.mean, "sum": jnp.sum', '"mean": jnp.sum, "sum": jnp.mean', "nodes graph"),
    Mutant(
        "nodes sum by default",
        "arrows",
        '    op: Operation\n    aggregate: str = "mean"',
        '    op: Operation\n    aggregate: str = "sum"',
        "graph",
    ),
    Mutant("operations fire once for ever", "arrows", "stored=fired.stored, inputs={})", "stored=fired.stored)", "graph"),
    Mutant("messages pile up", "arrows", "state._replace(messages=())", "state", "graph"),
    Mutant("seed of ones", "arrows", "return state, loss[..., None]", "return state, 0 * loss[..., None] + 1", "graph protocol"),
    Mutant("synapses collect over inputs", "nodes", "(messages, axis=2)", "(messages, axis=1)", "nodes"),
    Mutant("bias taken off", "nodes", "(at_places + parameter[None])", "(at_places - parameter[None])", "nodes network"),
    Mutant("wide priors", "nodes", "deviation: float = 0.05\n    incidental", "deviation: float = 0.5\n    incidental", "nodes"),
    Mutant(
        "softmax of the wrong axis",
        "nodes",
        "exponential.sum(axis=-1, keepdims=True)",
        "exponential.sum(axis=0, keepdims=True)",
        "nodes",
    ),
    Mutant(
        "losses summed over the batch",
        "network",
        "losses.mean() for losses",
        "losses.mean(axis=1).sum() for losses",
        "network protocol",
    ),
    Mutant("one key for all weights", "network", "op.initial(k) for name, k", "op.initial(keys[0]) for name, k", "network"),
    Mutant("updates not averaged", "learners", "else carry[..., 0].mean(axis=0)", "else carry[..., 0].sum(axis=0)", "learners protocol"),
    Mutant("update from the last channel", "learners", "else carry[..., 0].mean", "else carry[..., -1].mean", "learners protocol"),
    Mutant("message not squashed", "learners", 'name="g")(*reads))', 'name="g")(*reads)) * 1.001', "learners protocol agreement"),
    Mutant("gates open at first", "learners", "gate_bias: float = -1.0", "gate_bias: float = 1.0", "learners"),
    Mutant("mean put on", "standardize", "-jnp.stack([piece.mean()", "jnp.stack([piece.mean()", "standardize"),
    Mutant("scale before centring", "standardize", "(update - out_mean) * scale", "update * scale - out_mean", "standardize protocol"),
    Mutant("flat pieces blown up", "standardize", "variance < SMALLEST_DEVIATION**2", "variance < 0", "standardize"),
    Mutant("calibration forgets its momentum", "protocol", "(1 - momentum) * old + momentum * new", "new + 0 * old", "protocol"),
    Mutant("hints weigh nothing", "meta", "self.hint * hints + (1 - self.hint)", "0.0 * hints + (1 - self.hint)", "meta"),
    Mutant("remat ignored", "meta", "jax.checkpoint(inner) if self.remat else inner", "inner", "meta"),
    Mutant("microbatch ignored", "meta", "all_at_once = microbatch >= len(keys)", "all_at_once = True", "width"),
    Mutant("nothing clipped", "meta", "jnp.minimum(1.0, clip / norms)", "jnp.ones_like(norms)", "meta"),
    Mutant("priors drawn with replacement", "meta", "jax.random.permutation(key, size)[:count], count)", "jax.random.randint(key, (count,), 0, size), count)", "meta"),
    Mutant("every step draws the same", "run/trainer", "jax.random.fold_in(keys[2], number)", "jax.random.fold_in(keys[2], 0)", "train"),
    Mutant("stateless learners stored", "run/recipe", 'remat=self.learner == "stateless"', "remat=False", "recipes"),
    Mutant("Ctrl-C does not save", "run/loop", "or run.step == recipe.steps or stop:", "or run.step == recipe.steps:", "train"),
    Mutant("curve not cut at the checkpoint", "run/folder", '_curve(self.curve) if row["step"] <= step]', "_curve(self.curve)]", "train"),
    Mutant("aliased bytes counted twice", "run/memory", " - found.alias_size_in_bytes", "", "memory"),
    Mutant("checksum not looked at", "weights", '!= card["sha256"]:', '== "":', "weights"),
    Mutant("any protocol may load", "weights", "    if difference:", "    if False:", "meaning"),
    Mutant("edited checkpoints resumed", "run/folder", "!= _digest(arrays, about)", "== 0", "train"),
    Mutant("nan let in", "checks", "wrong = ~np.isfinite(np.asarray(value))", "wrong = np.zeros(1, bool)", "meaning network"),
    Mutant("the last break is found", "watch", "map(int, broken[0])", "map(int, broken[-1])", "meaning"),
]


def mutate(root: Path, mutant: Mutant) -> str:
    """Makes the line wrong; gives the file's text as it was.

    Raises:
        ValueError: if the old text does not stand there exactly once.
    """
    path = root / "mplp_lite" / f"{mutant.file}.py"
    text = path.read_text()
    if text.count(mutant.old) != 1:
        stands = f"{mutant.old!r} stands {text.count(mutant.old)} times in {mutant.file}.py"
        raise ValueError(f"The mutant {mutant.name!r} does not fit: {stands}, not once; edit tools/mutants.py.")
    path.write_text(text.replace(mutant.old, mutant.new))
    return text


def caught(root: Path, mutant: Mutant) -> bool:
    """Whether the mutant's tests fail."""
    before = mutate(root, mutant)
    modules = [f"tests/test_{name}.py" for name in mutant.tests.split()]
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *modules]
    ended = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    (root / "mplp_lite" / f"{mutant.file}.py").write_text(before)
    if ended.returncode not in (0, 1):
        raise RuntimeError(f"{mutant.name!r}: pytest could not run ({ended.stdout[-300:]}{ended.stderr[-300:]}).")
    return ended.returncode == 1


def main(arguments: list[str] | None = None) -> int:
    """Runs mutants; gives 1 if one survives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of mutants (default: all)")
    names = parser.parse_args(arguments).names
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(shutil.copytree(HERE, Path(folder) / "copy", ignore=LEFT_OUT))
        for mutant in MUTANTS:
            if not names or mutant.name in names:
                began = time.monotonic()
                found = caught(root, mutant)
                survivors += [] if found else [mutant.name]
                print(f"{'caught' if found else 'SURVIVED':9}{time.monotonic() - began:5.0f} s  {mutant.name}", flush=True)
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main())
