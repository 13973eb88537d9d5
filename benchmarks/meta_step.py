"""Speed of meta-training here: `python benchmarks/meta_step.py`, every case in a process of its own.

Cases are compared in turns within one process; times are medians of runs after a warm-up, compilation apart. The limit is what
the dense products of one forward and one backward pass would take at the speed of a large matrix product, measured beside them.
"""

import argparse
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mplp_lite.folder import versions
from mplp_lite.recipes import find
from mplp_lite.trainer import Trainer

REPEATS, CHUNK, SIDE = 7, 3, 2048
CASES = ("sinusoid-as-published", "sinusoid", "mnist")
AUTHORS = {"sinusoid-as-published": 0.56, "mnist": 2.1}  # seconds per meta-step of their TensorFlow code on 2 cores, measured elsewhere
OUTER_BATCHES = (1, 8, 32)
RESULT = Path(__file__).parent / "results" / f"{jax.default_backend()}-{os.cpu_count()}.json"


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


def without_blocks(recipe):
    """The recipe with its learners computed as they are defined."""
    plain = replace(recipe)
    protocol = replace(recipe.protocol, learner=recipe.protocol.learner.clone(blocks=False))
    vars(plain)["protocol"] = protocol
    return plain


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
    """Compiled meta-steps of one recipe."""

    def __init__(self, recipe, devices=1):
        trainer = Trainer(recipe, 0, devices)
        self.state = trainer.begin()
        self.compile_s, self.chunk = seconds(lambda: trainer.compiled().lower(self.state, np.arange(CHUNK)).compile())

    def __call__(self):
        """Some meta-steps; the state is donated and goes on."""
        self.state, metrics = self.chunk(self.state, np.arange(CHUNK))
        return metrics


def measure(name):
    """Everything about one recipe."""
    recipe = find(name)
    ones = jnp.ones((SIDE, SIDE))
    product = jax.jit(jnp.matmul)
    cases = {"blocks": Case(recipe)}
    jax.block_until_ready(cases["blocks"]())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    cases["as defined"] = Case(without_blocks(recipe))
    spent = in_turns({**cases, "product": lambda: product(ones, ones)})
    rate = 2 * SIDE**3 / spent["product"]
    return {
        "outer_batch": recipe.outer_batch,
        "compile_s": round(cases["blocks"].compile_s, 1),
        "meta_step_s": round(spent["blocks"] / CHUNK, 4),
        "as_defined_s": round(spent["as defined"] / CHUNK, 4),
        "inner_step_ms": round(1000 * inner_step(recipe), 3),
        "limit_s": round(dense_flops(recipe) / rate, 4),
        "product_gflops": round(rate / 1e9),
        "peak_memory_mib": memory,
        "authors_s": AUTHORS.get(name),
        "tasks_per_s": tasks_per_second(recipe) if name == "sinusoid" else None,
    }


def inner_step(recipe):
    """Median seconds of one inner step without a meta-gradient."""
    protocol = recipe.protocol
    rule, state = protocol.new_rule(jax.random.key(0)), protocol.init(jax.random.key(1), recipe.inner_batch)
    episode = recipe.task.episode(jax.random.key(2))
    update = jax.jit(protocol.update)
    return in_turns({"update": lambda: update(rule, state, episode.xs[0], episode.ys[0])})["update"]


def tasks_per_second(recipe):
    """By outer batch, and by number of devices where there are several."""
    found = {}
    for outer in OUTER_BATCHES:
        for devices in (n for n in (1, 2, 4, 8) if n <= len(jax.devices()) and outer % n == 0):
            case = Case(replace(recipe, outer_batch=outer), devices)
            spent = in_turns({"case": case})["case"] / CHUNK
            found[f"outer batch {outer}, {devices} device{'s' * (devices > 1)}"] = round(outer / spent, 1)
    return found


def main():
    """Measures all cases one after the other, prints a line each and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, help="measure only this one, and print JSON")
    case = parser.parse_args().case
    if case:
        print(json.dumps(measure(case)))
        return
    results = {"versions": versions(), "processor": platform.machine(), "cores": os.cpu_count(), "recipes": {}}
    for name in CASES:
        output = subprocess.run([sys.executable, __file__, "--case", name], check=True, capture_output=True, text=True).stdout
        results["recipes"][name] = found = json.loads(output.splitlines()[-1])
        print(name, *(f"{key}={value}" for key, value in found.items() if value is not None), flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written to {RESULT}")


if __name__ == "__main__":
    main()
