"""How long one meta-step and one inner step of each recipe take here: `python benchmarks/meta_step.py`."""

import json
import os
import resource
import statistics
import time
from pathlib import Path

import jax
import numpy as np

from mplp_lite.folder import versions
from mplp_lite.recipes import RECIPES
from mplp_lite.train import CHUNK, Trainer

REPEATS = 5
RESULT = Path(__file__).parent / "results" / f"{jax.default_backend()}-{os.cpu_count()}.json"


def seconds(call):
    """Wall seconds of `call()`, waiting for its result; and the result."""
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - start, result


def measure(recipe):
    """Compile and run times of a chunk of meta-steps and of one inner step, after a warm-up."""
    trainer = Trainer(recipe)
    state = trainer.begin()
    numbers = np.arange(CHUNK)
    compile_s, chunk = seconds(lambda: trainer.compiled().lower(state, numbers).compile())
    times = []
    for _ in range(REPEATS + 1):
        spent, (state, _) = seconds(lambda state=state: chunk(state, numbers))
        times.append(spent / CHUNK)
    learner = recipe.protocol.init(jax.random.key(0), recipe.inner_batch)
    episode = recipe.task.episode(jax.random.key(1))
    inner = jax.jit(recipe.protocol.update).lower(state.rule, learner, episode.xs[0], episode.ys[0]).compile()
    inner_times = [seconds(lambda: inner(state.rule, learner, episode.xs[0], episode.ys[0]))[0] for _ in range(20)]
    return {
        "outer_batch": recipe.outer_batch,
        "compile_s": round(compile_s, 2),
        "meta_step_s": round(statistics.median(times[1:]), 4),
        "inner_step_ms": round(1000 * statistics.median(inner_times[1:]), 3),
    }


def main():
    """Measures all recipes, prints a line each and writes the results."""
    results = {"versions": versions(), "cores": os.cpu_count(), "recipes": {}}
    for name, recipe in RECIPES.items():
        results["recipes"][name] = found = measure(recipe)
        print(name, *(f"{key}={value}" for key, value in found.items()))
    results["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written to {RESULT}")


if __name__ == "__main__":
    main()
