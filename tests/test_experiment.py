"""Meta-training of one's own: any protocol, task, meta-loss, optimizer and priors, with what the command line gives its recipes."""

import json
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mplp_lite as mplp
from helpers import identical, noise, refused
from mplp_lite import meta, tasks, weights
from mplp_lite.describe import describe
from mplp_lite.nodes import Activation, Add, Bias, Input, Target, Weight
from mplp_lite.run import loop
from mplp_lite.run.trainer import Trainer

NET = mplp.mlp(2, 3, 1, activation="tanh")
PROTOCOL = mplp.Protocol(NET, mplp.Stateless(message=2, widths=(4,), first_scale=0.1))


@dataclass(frozen=True)
class Lines:
    """`y = a . x`, with an `a` of its own in every episode."""

    steps: int = 2
    batch: int = 4

    def episode(self, key):
        key, slope_key = jax.random.split(key)
        slope = jax.random.normal(slope_key, (2, 1))
        xs, x = jax.random.normal(key, (self.steps, self.batch, 2)), jax.random.normal(jax.random.fold_in(key, 1), (5, 2))
        return mplp.tasks.Episode(xs, xs @ slope, x, x @ slope)


def sgd(rate=0.05):
    return optax.chain(meta.normalize_per_tensor(), optax.sgd(rate))


def experiment(protocol=PROTOCOL, task=None, steps=30, **more):
    settings = {"outer_batch": 2, "optimizer": sgd()} | more
    return mplp.Experiment(protocol, Lines() if task is None else task, steps, **settings)


def train(experiment, out, seed=0, **more):
    return mplp.train(experiment, seed, out, quiet=True, **more)


# ---------------------------------------------------------------- a task of one's own


def test_a_run_leaves_what_a_recipes_run_leaves(tmp_path):
    trained = train(experiment(name="lines"), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "checkpoint.npz", "curve.csv", "rule.npz", "rule.json"}
    assert identical(trained.rule, mplp.load(tmp_path / "rule", PROTOCOL)) and trained.prior is None
    assert trained.card.items() <= mplp.load_card(tmp_path / "rule").items()
    assert trained.card["experiment"]["name"] == "lines" and trained.card["seed"] == 0
    assert trained.card["metric"]["name"] == "eval loss after 2 steps"
    assert [row["step"] for row in trained.curve] == [10, 20, 30] and list(trained.curve[0])[:4] == ["step", "loss", "hint", "held_out"]


def test_training_is_meta_steps_and_nothing_else(tmp_path):
    """Against a plain loop over `meta.meta_step` with the same keys."""
    mine = experiment(optimizer=optax.sgd(0.1), steps=10)
    trained = train(mine, tmp_path)
    first, _, steps = jax.random.split(jax.random.key(0), 3)
    state = jax.jit(mine.begin)(first)

    @jax.jit
    def step(state, number):
        prior_key, task_key, loss_key = jax.random.split(jax.random.fold_in(steps, number), 3)
        episodes = jax.vmap(Lines().episode)(jax.random.split(task_key, 2))
        priors = meta.prior_pool(PROTOCOL, prior_key, 2)
        return meta.meta_step(PROTOCOL, meta.MetaLoss(), optax.sgd(0.1), state, priors, episodes, loss_key)[0]

    for number in range(10):
        state = step(state, number)
    for ours, plain in zip(jax.tree.leaves(trained.rule), jax.tree.leaves(state.rule)):
        np.testing.assert_allclose(ours, plain, rtol=1e-3, atol=1e-5)


def test_broken_off_and_resumed_it_ends_bit_for_bit_the_same(tmp_path, monkeypatch):
    whole, advance, calls = train(experiment(), tmp_path / "whole"), loop._advance, []

    def dying(*args):
        calls.append(advance(*args))
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_advance", dying)
    with pytest.raises(KeyboardInterrupt):
        train(experiment(), tmp_path / "broken", checkpoint_every=10)
    monkeypatch.setattr(loop, "_advance", advance)
    resumed = train(experiment(), tmp_path / "broken", checkpoint_every=10)
    assert identical(whole.rule, resumed.rule) and whole.curve == resumed.curve
    assert (tmp_path / "whole" / "rule.npz").read_bytes() == (tmp_path / "broken" / "rule.npz").read_bytes()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"optimizer": sgd(0.1)}, "step_size -0.05, not -0.1"),
        ({"task": Lines(batch=5)}, "task.batch 4, not 5"),
        ({"meta_loss": meta.MetaLoss(hint=0.5)}, "meta_loss.hint 0.7, not 0.5"),
        ({"protocol": replace(PROTOCOL, sharing="all")}, "protocol.sharing 'none', not 'all'"),
        ({"priors": 4}, "priors 'fresh', not 4"),
    ],
    ids=["optimizer", "task", "meta-loss", "protocol", "priors"],
)
def test_a_folder_of_another_experiment_is_refused(tmp_path, other, named):
    train(experiment(steps=10), tmp_path)
    with pytest.raises(mplp.RunError, match="holds a run with") as error:
        train(experiment(steps=10, **other), tmp_path)
    assert named in str(error.value)


@pytest.mark.slow
def test_seeds_side_by_side_are_the_runs_of_each(tmp_path):
    together = mplp.train_seeds(experiment(optimizer=optax.sgd(0.1)), (3, 5), tmp_path / "both", quiet=True)
    alone = train(experiment(optimizer=optax.sgd(0.1)), tmp_path / "one", seed=5)
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["seed-3", "seed-5"]
    for ours, its in zip(jax.tree.leaves(together[1].rule), jax.tree.leaves(alone.rule)):
        np.testing.assert_allclose(ours, its, rtol=1e-3, atol=1e-5)
    assert not identical(together[0].rule, together[1].rule)


def test_a_task_judges_for_itself(tmp_path):
    class Judged(Lines):
        def judge(self, network, rule, key, runs=100, prior=None):
            return {"my_figure": jnp.tile(jnp.arange(3.0), (runs, 1))}

    trained = train(experiment(task=Judged(), steps=10), tmp_path)
    assert trained.card["metric"]["name"] == "my figure after 2 steps" and trained.card["metric"]["mean"] == 2


def test_a_meta_loss_of_ones_own_has_its_parts_in_the_curve(tmp_path):
    def last_only(protocol, rule, prior, episode, key):
        total, parts = meta.MetaLoss(hint=0.0)(protocol, rule, prior, episode, key)
        return 2 * total, {"held_out": parts["held_out"], "doubled": 2 * total}

    (row, *_) = train(experiment(meta_loss=last_only, steps=10), tmp_path).curve
    assert list(row) == ["step", "loss", "doubled", "held_out", "gradient", "skipped"]
    assert row["loss"] == pytest.approx(row["doubled"]) == pytest.approx(2 * row["held_out"])


# ---------------------------------------------------------------- priors


def test_a_prior_is_learned_and_kept(tmp_path):
    trained = train(experiment(priors="learned"), tmp_path)
    start = experiment(priors="learned").begin(jax.random.split(jax.random.key(0), 3)[0]).prior
    assert max(float(abs(trained.prior[name] - start[name]).max()) for name in start) > 1e-3
    assert identical(trained.prior, mplp.load_prior(tmp_path / "rule", PROTOCOL))
    found = tasks.judge(Lines(), PROTOCOL, trained.rule, jax.random.key(0), 100, trained.prior)
    assert trained.card["metric"]["mean"] == pytest.approx(float(found["eval_loss"][:, -1].mean()), rel=1e-4)
    assert mplp.train(experiment(priors="learned"), 0, tmp_path, quiet=True).card == trained.card


def test_a_recipe_learns_its_prior_too(tmp_path):
    tiny = "widths=1,1 learner=stateless message=1 inner_steps=2 inner_batch=3 held_out=3 outer_batch=1 pool=2 steps=10 learn_prior=True"
    recipe = mplp.recipes.find("sinusoid").changed(tiny.split())
    trained = train(recipe, tmp_path)
    assert identical(trained.prior, mplp.load_prior(tmp_path / "rule", recipe.protocol))


def test_a_pool_is_as_large_as_it_is_asked_to_be():
    trainer = Trainer(experiment(priors=3), seed=1)
    drawn = [trainer.starts(jax.random.key(number))["W1"] for number in range(8)]
    assert len(np.unique(np.concatenate(drawn)[:, 0, 0])) == 3


# ---------------------------------------------------------------- data


def classes(seed, count):
    x = noise(seed, count, 2)
    return x, jax.nn.one_hot((x[:, 0] > x[:, 1]).astype(int), 2, dtype=x.dtype)


CLASSIFIER = mplp.Protocol(mplp.mlp(2, 3, 2, activation="tanh", loss="cross_entropy"), PROTOCOL.learner)


def test_arrays_are_a_task_and_no_constants(tmp_path):
    small, large = (experiment(CLASSIFIER, tasks.Images(*classes(0, count), 2, 4, 6), steps=10) for count in (40, 4000))
    trainer = Trainer(large)
    assert [values.shape for values in trainer.data] == [(4000, 2), (4000, 2)]
    lowered = [
        loop.side_by_side((Trainer(one),)).lower([Trainer(one).template()], np.arange(10), Trainer(one).data).as_text()
        for one in (small, large)
    ]
    assert len(lowered[1]) < 1.02 * len(lowered[0])
    assert train(large, tmp_path).card["metric"]["name"] == "eval loss after 2 steps"


def test_images_with_a_test_part_are_judged_by_accuracy(tmp_path):
    task = tasks.Images(*classes(0, 60), 2, 4, 6, test=classes(1, 50))
    metric = train(experiment(CLASSIFIER, task, steps=10), tmp_path).card["metric"]
    assert metric["name"] == "accuracy after 2 steps" and 0 <= metric["mean"] <= 1


def test_examples_with_a_test_part_are_judged_on_it():
    x, x_test = noise(0, 60, 2), noise(1, 30, 2)
    task = tasks.Examples(x, x[:, :1], 2, 4, 6, test=(x_test, x_test[:, :1]))
    rule = PROTOCOL.new_rule(jax.random.key(0))
    found = task.judge(PROTOCOL, rule, jax.random.key(0), 3)["test_loss"]
    prior_key = jax.random.split(jax.random.split(jax.random.key(0), 3)[1])[1]
    state = PROTOCOL.init(prior_key, 4)
    assert float(found[1, 0]) == pytest.approx(float(PROTOCOL.loss(state, x_test, x_test[:, :1])), rel=1e-5)


@pytest.mark.slow
def test_a_generator_of_ones_own_draws_episodes(tmp_path):
    def episodes(rng):
        while True:
            slope, xs, x = rng.normal(size=(2, 1)), rng.normal(size=(2, 4, 2)), rng.normal(size=(5, 2))
            yield tasks.Episode(xs, xs @ slope, x, x @ slope)

    task = tasks.Drawn(episodes)
    one, same, other = (task.episode(jax.random.key(seed)) for seed in (0, 0, 1))
    assert identical(one, same) and not identical(one, other) and one.xs.dtype == jnp.result_type(float)
    assert identical(task, jax.tree.map(lambda leaf: leaf, task))
    plain = tasks.Drawn(lambda rng: next(episodes(rng)))
    assert identical(plain.episode(jax.random.key(0)), one)
    first, again = (train(experiment(task=task, steps=20), tmp_path / name) for name in ("a", "b"))
    assert identical(first.rule, again.rule)


# ---------------------------------------------------------------- graphs with several inputs


def two_inputs():
    ops = {"a": Input(2), "b": Input(1), "W": Weight(units=1, inputs=2), "bias": Bias(1), "add": Add(1), "tanh": Activation(1, "tanh")}
    ops |= {"l": mplp.losses.L2(1), "y": Target(1), "k": mplp.losses.L1(1), "z": Target(1)}
    edges = "a W, W bias, bias add, b add, add tanh, add l, y l, tanh k, z k"
    return mplp.connect([mplp.Node(*item) for item in ops.items()], [edge.split() for edge in edges.split(", ")])


@dataclass(frozen=True)
class Named:
    """Dictionaries of inputs and targets, by node."""

    def episode(self, key):
        a, b = jax.random.normal(key, (2, 4, 2)), jax.random.normal(jax.random.fold_in(key, 1), (2, 4, 1))
        y = {"y": a[..., :1] + b, "z": jnp.tanh(a[..., :1] + b)}
        return tasks.Episode({"a": a, "b": b}, y, {"a": a[0], "b": b[0]}, jax.tree.map(lambda values: values[0], y))


@pytest.mark.parametrize("meta_loss", [meta.MetaLoss(), meta.MetaLoss(remember=0.5, delta_penalty=0.1)], ids=["hints", "memories"])
def test_episodes_may_hold_dictionaries(tmp_path, meta_loss):
    protocol = mplp.Protocol(two_inputs(), PROTOCOL.learner)
    trained = train(experiment(protocol, Named(), meta_loss=meta_loss, optimizer=optax.adam(0.02), steps=60, outer_batch=4), tmp_path)
    assert trained.curve[-1]["loss"] < 0.9 * trained.curve[0]["loss"]
    run = mplp.evaluate.episode_runs(protocol, trained.rule, Named().episode, jax.random.key(0), 3)
    assert {name: values.shape for name, values in run.predictions.items()} == {"add": (3, 3, 4, 1), "tanh": (3, 3, 4, 1)}


# ---------------------------------------------------------------- several networks, one rule


def members(*nets, sharing="kinds"):
    return [mplp.Protocol(net, PROTOCOL.learner, sharing) for net in nets]


@pytest.mark.slow
def test_networks_take_turns_under_one_rule(tmp_path):
    nets = mplp.mlp(2, 3, 1, activation="tanh"), mplp.mlp(2, 5, 4, 1, activation="relu")
    mine = experiment(members(*nets), [Lines(), Lines(batch=3)], steps=40)
    trainer, numbers = Trainer(mine), []
    state = trainer.begin()
    for number in (0, 1):
        alone = experiment(mine.protocols[number], mine.tasks[number])
        ours, theirs = (jax.jit(Trainer(one).step)(state, number)[1]["loss"] for one in (mine, alone))
        numbers.append((float(ours), float(theirs)))
    assert numbers[0][0] == pytest.approx(numbers[0][1], rel=1e-5) and numbers[1][0] == pytest.approx(numbers[1][1], rel=1e-5)
    trained = train(mine, tmp_path / "once")
    assert identical(trained.rule, train(mine, tmp_path / "again").rule)
    deeper = members(mplp.mlp(2, 4, 4, 4, 1, activation="sigmoid"))[0]
    assert np.isfinite(tasks.judge(Lines(), deeper, trained.rule, jax.random.key(0), 2)["eval_loss"]).all()


DEEPER, WIDER = mplp.mlp(2, 3, 3, 1), mplp.mlp(2, 4, 1)
REFUSED = {
    "rules that differ": (lambda: experiment(members(NET, DEEPER, sharing="none")), ValueError, "build them with sharing='kinds'"),
    "tasks that do not match": (lambda: experiment(members(NET, NET), [Lines()] * 3), ValueError, "3 tasks were given for 2 protocols"),
    "no protocol": (lambda: experiment([]), ValueError, "1 tasks were given for 0 protocols"),
    "one prior for two networks": (lambda: experiment(members(NET, WIDER), priors="learned"), ValueError, "networks of one shape"),
    "an empty pool": (lambda: experiment(priors=0), ValueError, "priors=0 was given"),
    "a true pool": (lambda: experiment(priors=True), ValueError, "priors=True was given"),
    "strange priors": (lambda: experiment(priors="old"), ValueError, "priors='old' was given"),
    "no steps": (lambda: experiment(steps=0), ValueError, "steps=0 was given"),
    "half a step": (lambda: experiment(steps=2.5), ValueError, "steps=2.5 was given"),
    "no task": (lambda: experiment(task=3), TypeError, "task=3 was given"),
    "labels for fewer": (lambda: tasks.Images(noise(0, 50, 2), noise(0, 40, 2), 2, 4, 6), ValueError, r"hold \[40, 50\] examples"),
    "labels as numbers": (lambda: tasks.Images(noise(0, 50, 2), jnp.arange(50), 2, 4, 6), TypeError, "hold int32, but examples are arrays"),
    "lists": (lambda: tasks.Examples([1.0] * 50, noise(0, 50, 2), 2, 4, 6), TypeError, "hold float, but examples are arrays"),
    "a test part that does not fit": (
        lambda: tasks.Examples(noise(0, 50, 2), noise(0, 50, 1), 2, 4, 6, test=(noise(0, 5, 2), noise(0, 4, 1))),
        ValueError,
        r"The test part hold \[4, 5\] examples",
    ),
}


@pytest.mark.parametrize(("call", "kind", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_computed(call, kind, sentence):
    with refused(kind, sentence):
        call()


# ---------------------------------------------------------------- what a thing is


def test_what_is_made_alike_is_told_alike():
    def made(rate=1e-3, factor=2.0):
        return optax.adam(rate), partial(jnp.multiply, factor), Lines(), PROTOCOL, {"x": jnp.arange(3.0)}, lambda x: factor * x

    assert describe(made()) == describe(made()) != describe(made(1e-4))
    assert describe(made(factor=3.0)) != describe(made())
    assert json.loads(json.dumps(describe(made()))) == describe(made())
    assert describe(lambda x: 2 * x) != describe(lambda x: 3 * x)
    assert describe(jnp.arange(3.0)) != describe(jnp.arange(1.0, 4.0)) != describe(jnp.arange(3))
    loop_ = []
    loop_.append(loop_)
    assert describe(loop_) == ["itself"] and describe(object()) == {"type": "object"}


def test_what_hosts_send_each_other_is_data(monkeypatch):
    """Arrays and JSON: what would be unpickled is refused."""
    from mplp_lite.run import hosts

    sent = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(hosts, "leads", lambda: True)
    monkeypatch.setattr(hosts, "_broadcast", lambda content: sent.append(content) or content)
    tree = {"a": jnp.arange(3.0), "b": (jnp.ones(2, int),)}
    hosts.from_first(lambda: (tree, [3, {"loss": 0.5}]), tree)
    hosts.from_first(lambda: (None, None), tree)
    with pytest.raises(mplp.RunError, match="no room"):
        hosts.from_first(lambda: (_ for _ in ()).throw(mplp.RunError("no room.")), tree)
    assert all(b"pickle" not in content and weights.unpack(content, "sent") for content in sent)
    monkeypatch.setattr(hosts, "leads", lambda: False)
    monkeypatch.setattr(hosts, "_broadcast", lambda content: sent.pop(0))
    found, about = hosts.from_first(lambda: pytest.fail("only the first host reads files"), tree)
    assert identical(found, tree) and about == [3, {"loss": 0.5}]
    assert hosts.from_first(lambda: None, tree) == (None, None)
    with pytest.raises(mplp.RunError, match="no room"):
        hosts.from_first(lambda: None, tree)
