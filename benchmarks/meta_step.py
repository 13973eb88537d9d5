"""Speed of meta-training here: `python benchmarks/meta_step.py`, every case in a process of its own.

What is compared is called in turns within one process; times are medians after a warm-up, compilation apart. The limit is what the
dense products of one forward and one backward pass would take at the speed of a large matrix product, called in the same turns.
"""

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
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

REPEATS, CHUNK, SIDE, MIB = 7, 3, 4096, 1024**2
CASES = ("sinusoid-as-published", "mnist-as-published", "sinusoid", "mnist")
AUTHORS = {"sinusoid-as-published": 0.56, "mnist-as-published": 2.1}  # seconds per meta-step of their TensorFlow code on 2 cores, elsewhere
OUTER_BATCHES = {
    "cpu": {"sinusoid": (1, 8, 32), "mnist": (1, 4)},
    "accelerator": {"sinusoid": (1, 8, 32, 128), "mnist": (1, 8, 32, 128)},
}
RESULTS = Path(__file__).parent / "results"


def host_kind():
    """What the results of this machine are called: `cpu-2`, `gpu-1`."""
    count = os.cpu_count() if jax.default_backend() == "cpu" else jax.device_count()
    return f"{jax.default_backend()}-{count}"


def seconds(call):
    """Wall seconds of `call()`, waiting for its result; and the result."""
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - start, result


def in_turns(calls):
    """Median seconds of each call by name, called in turns after one warm-up each."""
    times = {name: [] for name in calls}
    for _ in range(REPEATS + 1):
        for name, call in calls.items():
            times[name].append(seconds(call)[0])
    return {name: statistics.median(spent[1:]) for name, spent in times.items()}


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
        jitted = trainer.compiled() if lean else jax.jit(partial(jax.lax.scan, trainer.step), donate_argnums=0)
        self.compile_s, self.chunk = seconds(lambda: jitted.lower(self.state, np.arange(CHUNK)).compile())

    def __call__(self):
        """Some meta-steps; the state is donated and goes on."""
        self.state, metrics = self.chunk(self.state, np.arange(CHUNK))
        return metrics


def peak_memory():
    """Most memory this process has had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure(name):
    """One recipe: its meta-step, in turns with its learners as they are defined and with a large matrix product."""
    recipe = find(name)
    cases = {"meta_step": Case(recipe)}
    compiled_with = peak_memory()
    jax.block_until_ready(cases["meta_step"]())
    ran_with = peak_memory()
    if jax.default_backend() == "cpu":
        cases["not_lean"] = Case(recipe, lean=False)
    if name in AUTHORS:
        cases["as_defined"] = Case(AsDefined.from_dict(recipe.as_dict()))
    ones, product = jnp.ones((SIDE, SIDE)), jax.jit(jnp.matmul)
    spent = in_turns({**cases, "product": lambda: product(ones, ones)})
    rate, flops = 2 * SIDE**3 / spent["product"], dense_flops(recipe)
    per_step = {f"{case}_s": round(spent[case] / CHUNK, 4) for case in cases}
    return {
        "outer_batch": recipe.outer_batch,
        "steps": recipe.steps,
        **per_step,
        "authors_s": AUTHORS.get(name),
        "limit_s": round(flops / rate, 4),
        "dense_gflops": round(flops / per_step["meta_step_s"] / 1e9, 1),
        "product_gflops": round(rate / 1e9, 1),
        "inner_step_ms": round(1000 * inner_step(recipe), 3),
        "compile_s": round(cases["meta_step"].compile_s, 1),
        "program_mib": memory.needed(cases["meta_step"].chunk) // MIB,
        "peak_mib_compiling": compiled_with,
        "peak_mib_running": ran_with,
    }


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
    return in_turns({"update": lambda: update(rule, state, episode.xs[0], episode.ys[0])})["update"]


def tasks_per_second(name):
    """By outer batch, and by number of devices where there are several."""
    found = []
    kind = "cpu" if jax.default_backend() == "cpu" else "accelerator"
    for outer in OUTER_BATCHES[kind][name]:
        for devices in (n for n in (1, 2, 4, 8) if n <= jax.device_count() and outer % n == 0):
            recipe = replace(find(name), outer_batch=outer)
            spent = in_turns({"case": Case(recipe, devices)})["case"] / CHUNK
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
    parser.add_argument("--case", choices=CASES, help="measure only this recipe, and print JSON")
    parser.add_argument("--width", choices=("sinusoid", "mnist"), help="measure only its tasks per second, and print JSON")
    parser.add_argument("--not-lean", choices=CASES, help="measure only the compiler as it comes on this recipe, and print JSON")
    options = parser.parse_args()
    for name, of in ((options.case, measure), (options.width, tasks_per_second), (options.not_lean, measure_not_lean)):
        if name:
            print(json.dumps(of(name)))
            return
    cores = os.cpu_count() if jax.default_backend() == "cpu" else None
    recipes = {name: in_a_process("--case", name) for name in CASES}
    if cores:
        recipes = {name: found | in_a_process("--not-lean", name) for name, found in recipes.items()}
    results = {
        "kind": host_kind(),
        "cores": os.cpu_count(),
        "versions": versions(),
        "matmul_precision": jax.config.jax_default_matmul_precision or "default",
        "recipes": recipes,
        "tasks_per_s": {name: in_a_process("--width", name, devices=cores) for name in OUTER_BATCHES["cpu"]},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{host_kind()}.json"
    weights.write_atomically(path, (json.dumps(results, indent=1) + "\n").encode())
    print(f"written to {path}")


if __name__ == "__main__":
    main()
