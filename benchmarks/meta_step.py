"""Speed of meta-training here: `python benchmarks/meta_step.py [--authors FOLDER]`, every recipe in a process of its own.

What is compared is called in turns; times are medians after a warm-up, compilation apart. The limit is what the dense products
of one forward and one backward pass would take at the speed of a large matrix product, called in the same turns. The authors' code
(`authors.py`) takes its turns from a process of its own, in an environment that is made for it.
"""

import argparse
import atexit
import json
import math
import os
import re
import resource
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several processes share an accelerator

import jax
import jax.numpy as jnp
import numpy as np

from mplp_lite import weights
from mplp_lite.run import memory
from mplp_lite.run.folder import versions
from mplp_lite.run.recipes import Recipe, find
from mplp_lite.run.trainer import Trainer

REPEATS, CHUNK, SIDE, MIB = 5, 3, 2048, 1024**2
CASES = ("sinusoid-as-published", "mnist-as-published", "sinusoid", "mnist")
PUBLISHED = CASES[:2]
OUTER_BATCHES = {
    "cpu": {"sinusoid": (1, 8), "mnist": (1, 2)},
    "accelerator": {"sinusoid": (1, 8, 32, 128), "mnist": (1, 8, 32, 128)},
}
HERE = Path(__file__).parent
RESULTS = HERE / "results"
ENVIRONMENT = HERE.parent / ".cache" / "authors-venv"


def host_kind():
    """What the results of this machine are called: `cpu-2`, `cpu-2-avx2` where it is held to narrower vectors, `gpu-1`."""
    count = os.cpu_count() if jax.default_backend() == "cpu" else jax.device_count()
    held = re.search(r"--xla_cpu_max_isa=(\w+)", os.environ.get("XLA_FLAGS", ""))
    return f"{jax.default_backend()}-{count}" + (f"-{held[1].lower()}" if held else "")


def machine():
    """The processor, its widest vectors, what both sides are held to, and how busy it is."""
    try:
        about = Path("/proc/cpuinfo").read_text()
    except OSError:
        about = ""
    vectors = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in about.split()), None)
    model = re.search(r"model name\s*: (.+)", about)
    held = {name: os.environ[name] for name in ("XLA_FLAGS", "ONEDNN_MAX_CPU_ISA") if name in os.environ}
    return {"processor": model and model[1], "vectors": vectors, "held_to": held, "load": round(os.getloadavg()[0], 1)}


def seconds(call):
    """Wall seconds of `call()`, waiting for its result; and the result."""
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - start, result


def in_turns(calls):
    """Seconds of each call by name, `REPEATS` each, called in turns after one warm-up each."""
    times = {name: [] for name in calls}
    for _ in range(REPEATS + 1):
        for name, call in calls.items():
            times[name].append(seconds(call)[0])
    return {name: np.array(spent[1:]) for name, spent in times.items()}


def quartiles(values, digits=4):
    """The lower quartile, the median and the upper one."""
    return [round(float(value), digits) for value in np.quantile(values, (0.25, 0.5, 0.75))]


def authors_python():
    """The interpreter of an environment with tensorflow and tf-keras, made where it is missing."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    if subprocess.run([python, "-c", "import tensorflow, tf_keras"], capture_output=True).returncode:
        subprocess.run([python, "-m", "pip", "install", "--quiet", "tensorflow", "tf-keras"], check=True)
    return python


class Authors:
    """The authors' meta-steps with the sizes of a recipe, in a process of their own that waits between the turns."""

    def __init__(self, folder, recipe):
        for self.onednn in ("1", "0"):  # with it on, TensorFlow 2.21 crashes on the sinusoids
            self.process = self._started(folder, recipe)
            line = self.process.stdout.readline()
            if line:
                break
        else:
            raise SystemExit(f"The authors' code in {folder} did not run (see above); name the folder that holds their package mplp.")
        self.about = json.loads(line) | {"onednn": self.onednn == "1"}

    def _started(self, folder, recipe):
        told = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": self.onednn}
        command = [authors_python(), HERE / "authors.py", folder, json.dumps(recipe.as_dict())]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=os.environ | told)
        atexit.register(process.kill)
        return process

    def __call__(self):
        """Some meta-steps."""
        print(CHUNK, file=self.process.stdin)
        return float(self.process.stdout.readline())


@contextmanager
def a_busy_core():
    """Keeps one core busy meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()


class AsDefined(Recipe):
    """A recipe whose learners are computed as they are defined."""

    def _learner(self):
        return super()._learner().clone(blocks=False)


def dense_flops(recipe):
    """Floating point operations of the learners' dense products in one meta-step: once forward, twice backward."""
    protocol = recipe.protocol
    rule = jax.eval_shape(protocol.new_rule, jax.random.key(0))
    total = 0
    for node in protocol.graph.nodes:
        if node.op.learns:
            kernels = sum(leaf.size for leaf in jax.tree.leaves(rule.learners[protocol.learner_group(node)]) if leaf.ndim == 2)
            total += 2 * kernels * math.prod(node.op.shape)
    return 3 * total * recipe.inner_batch * recipe.inner_steps * recipe.outer_batch


class Case:
    """Compiled meta-steps of one recipe; `lean=False`: by the compiler as it comes, which on CPUs takes more memory."""

    def __init__(self, recipe, devices=1, lean=True):
        trainer = Trainer(recipe, 0, devices)
        self.state = trainer.placed(trainer.begin())
        scan = partial(jax.lax.scan, trainer.step)
        jitted = memory.lean_jit(scan, donate_argnums=0) if lean else jax.jit(scan, donate_argnums=0)
        self.compile_s, self.chunk = seconds(lambda: jitted.lower(self.state, np.arange(CHUNK)).compile())

    def __call__(self):
        """Some meta-steps; the state is donated and goes on."""
        self.state, metrics = self.chunk(self.state, np.arange(CHUNK))
        return metrics


def peak_memory():
    """Most memory this process has had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure(name, folder=None):
    """One recipe: its meta-step, in turns with the authors', with its learners as they are defined and with a large matrix product."""
    recipe = find(name)
    cases = {"meta_step": Case(recipe)}
    compiled_with = peak_memory()
    jax.block_until_ready(cases["meta_step"]())
    ran_with = peak_memory()
    if jax.default_backend() == "cpu":
        cases["not_lean"] = Case(recipe, lean=False)
    if name in PUBLISHED:
        cases["as_defined"] = Case(AsDefined.from_dict(recipe.as_dict()))
    if name in PUBLISHED and folder:
        cases["authors"] = Authors(folder, recipe)
    ones, product = jnp.ones((SIDE, SIDE)), jax.jit(jnp.matmul)
    load = os.getloadavg()[0]
    spent = in_turns({**cases, "product": lambda: product(ones, ones)})
    rate, flops = 2 * SIDE**3 / np.median(spent["product"]), dense_flops(recipe)
    per_step = {f"{case}_s": quartiles(spent[case] / CHUNK) for case in cases}
    return {
        "outer_batch": recipe.outer_batch,
        "steps": recipe.steps,
        "load": round(load, 1),
        **per_step,
        **against_the_authors(cases, spent),
        "limit_s": round(flops / rate, 4),
        "dense_gflops": round(flops / per_step["meta_step_s"][1] / 1e9, 1),
        "product_gflops": round(rate / 1e9, 1),
        "inner_step_ms": round(1000 * inner_step(recipe), 3),
        "compile_s": round(cases["meta_step"].compile_s, 1),
        "program_mib": memory.needed(cases["meta_step"].chunk) // MIB,
        "peak_mib_compiling": compiled_with,
        "peak_mib_running": ran_with,
    }


def against_the_authors(cases, spent):
    """How many times as long the authors' meta-step takes, turn by turn: as it was, and with one core kept busy."""
    if "authors" not in cases:
        return {}
    with a_busy_core():
        busy = in_turns({name: cases[name] for name in ("meta_step", "authors")})
    ratios = {"ratio": spent, "ratio_with_a_busy_core": busy}
    return {name: quartiles(of["authors"] / of["meta_step"], 2) for name, of in ratios.items()} | {"authors": cases["authors"].about}


def measure_not_lean(name):
    """What compiling that recipe takes with the compiler as it comes."""
    compile_s = Case(find(name), lean=False).compile_s
    return {"not_lean_compile_s": round(compile_s, 1), "not_lean_peak_mib_compiling": peak_memory()}


def inner_step(recipe):
    """Median seconds of one inner step without a meta-gradient."""
    protocol = recipe.protocol
    rule, state = protocol.new_rule(jax.random.key(0)), protocol.init(jax.random.key(1), recipe.inner_batch)
    episode = recipe.task.episode(jax.random.key(2))
    update = jax.jit(protocol.update)
    return np.median(in_turns({"update": lambda: update(rule, state, episode.xs[0], episode.ys[0])})["update"])


def tasks_per_second(name):
    """By outer batch, and by number of devices where there are several."""
    found = []
    kind = "cpu" if jax.default_backend() == "cpu" else "accelerator"
    for outer in OUTER_BATCHES[kind][name]:
        for devices in (n for n in (1, 2, 4, 8) if n <= jax.device_count() and outer % n == 0):
            recipe = replace(find(name), outer_batch=outer)
            spent = np.median(in_turns({"case": Case(recipe, devices)})["case"]) / CHUNK
            rates = {"tasks_per_s": round(outer / spent, 2), "dense_gflops": round(dense_flops(recipe) / spent / 1e9, 1)}
            found.append({"outer_batch": outer, "devices": devices, **rates})
    return found


def in_a_process(*arguments, devices=None):
    """What this script prints when it measures one thing in a fresh process, on so many host devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}" if devices else None
    environment = os.environ | ({"XLA_FLAGS": flags.strip()} if flags else {})
    command = [sys.executable, __file__, *arguments]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    print(*arguments, output.splitlines()[-1], flush=True)
    return json.loads(output.splitlines()[-1])


def main():
    """Measures one case after the other, prints a line each, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--authors", metavar="FOLDER", help="holds the authors' package mplp, timed in turns with ours")
    parser.add_argument("--case", choices=CASES, help="measure only this recipe, and print JSON")
    parser.add_argument("--width", choices=("sinusoid", "mnist"), help="measure only its tasks per second, and print JSON")
    parser.add_argument("--not-lean", choices=CASES, help="measure only the compiler as it comes on this recipe, and print JSON")
    options = parser.parse_args()
    case = partial(measure, folder=options.authors)
    for name, of in ((options.case, case), (options.width, tasks_per_second), (options.not_lean, measure_not_lean)):
        if name:
            print(json.dumps(of(name)))
            return
    cores = os.cpu_count() if jax.default_backend() == "cpu" else None
    theirs = ("--authors", options.authors) if options.authors else ()
    held = "max_isa" in os.environ.get("XLA_FLAGS", "")  # to narrower vectors than there are: only the comparison is asked for
    recipes = {name: in_a_process("--case", name, *theirs) for name in (PUBLISHED if held else CASES)}
    if cores:
        recipes = {name: found | in_a_process("--not-lean", name) for name, found in recipes.items()}
    results = {
        "kind": host_kind(),
        "cores": os.cpu_count(),
        "machine": machine(),
        "versions": versions(),
        "matmul_precision": jax.config.jax_default_matmul_precision or "default",
        "recipes": recipes,
        "tasks_per_s": {name: in_a_process("--width", name, devices=cores) for name in (() if held else OUTER_BATCHES["cpu"])},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{host_kind()}.json"
    weights.write_atomically(path, (json.dumps(results, indent=1) + "\n").encode())
    print(f"written to {path}")


if __name__ == "__main__":
    main()
