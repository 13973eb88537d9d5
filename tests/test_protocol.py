"""Learners on a graph: sharing, updates and their trail, calibration, symmetries, and what is refused."""

from dataclasses import replace
from functools import partial

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from helpers import identical, jit, max_difference, noise, random_episode, random_prior, random_rule, refused, wide
from mplp_lite import network, protocol
from mplp_lite.descent import Backprop
from mplp_lite.graph import Node, connect, mlp, sequential
from mplp_lite.learners import GRU, Learner, Stateless, Thought
from mplp_lite.losses import L2
from mplp_lite.nodes import Add, Bias, Input, Target, Weight
from mplp_lite.protocol import Protocol
from mplp_lite.standardize import standardize
from mplp_lite.weights import named_leaves

GRAPH = mlp(2, 4, 3, activation="sigmoid", loss="cross_entropy")
SMALL = {"gru": GRU(message=3, hidden=2, widths=(4,)), "stateless": Stateless(message=3, widths=(4,))}
BATCH = 5
X, Y = noise(1, BATCH, 2), jax.nn.one_hot(jnp.arange(BATCH) % 3, 3)


class Lesson:
    """A protocol with a random rule, prior and episode, and what it does, compiled once."""

    def __init__(self, learner, sharing="none", graph=GRAPH):
        self.protocol = Protocol(graph, learner, sharing)
        self.rule = random_rule(self.protocol, seed=3)
        self.prior = random_prior(self.protocol)
        self.episode = random_episode(2, 3, steps=3, batch=BATCH, held_out=4, one_hot=True)
        self.update = jit(self.protocol.update)
        self.run = jit(self._run)

    def start(self):
        return self.protocol.begin(self.prior, BATCH)

    def _run(self, prior, xs, ys, x_held_out):
        """The last state, the trail of all steps, and what the network predicts in the end."""
        scan = partial(jax.lax.scan, lambda state, xy: self.protocol.update(self.rule, state, *xy))
        state, trail = scan(self.protocol.begin(prior, xs.shape[1]), (xs, ys))
        return state, trail, self.protocol.predict(state, x_held_out)


@pytest.fixture(scope="module", params=SMALL.values(), ids=SMALL.keys())
def lesson(request):
    return Lesson(request.param)


@pytest.fixture(scope="module")
def gru():
    return Lesson(SMALL["gru"])


@pytest.fixture(scope="module")
def stateless():
    return Lesson(SMALL["stateless"])


# ---- rules ----

GROUPS = {
    "none": ("W1 b1 sigmoid1 W2 b2 softmax2 loss", "W1 b1 W2 b2", "W1 b1 sigmoid1 W2 b2 softmax2 loss"),
    "learners": ("weight bias sigmoid1 softmax2 loss", "W1 b1 W2 b2", "W1 b1 sigmoid1 W2 b2 softmax2 loss"),
    "all": ("weight bias sigmoid1 softmax2 loss", "weight bias", "weight bias sigmoid1 softmax2 loss"),
    "kinds": ("weight bias activation softmax crossentropy", "weight bias", "weight bias activation softmax crossentropy"),
}  # learners, scales, statistics


@pytest.mark.parametrize("learner", SMALL.values(), ids=SMALL.keys())
@pytest.mark.parametrize("sharing", GROUPS)
def test_who_shares_what(sharing, learner):
    rule = jax.eval_shape(Protocol(GRAPH, learner, sharing).new_rule, jax.random.key(0))
    for found, expected in zip(rule, GROUPS[sharing], strict=True):
        assert set(found) == set(expected.split())
    pieces = {"W": 3, "b": 3, "w": 3, "s": 2, "a": 2, "l": 4, "c": 4}  # message and what a node holds
    for group, statistics in rule.statistics.items():
        wanted = 5 if group.startswith("softmax") else pieces[group[0]]
        assert statistics.norm.shape == statistics.mean_zeroer.shape == (wanted,)
        assert (statistics.out_mean is None) == (group[0] not in "Wbw")


def test_a_new_rule_is_untrained_uncalibrated_and_drawn_anew_for_each_node():
    new_rule = Protocol(sequential(2, 2, 2), Stateless(message=2, widths=(3,), first_scale=0.25)).new_rule
    rule = new_rule(jax.random.key(0))
    assert all(float(scale) == 0.25 for scale in rule.scales.values())
    for statistics in rule.statistics.values():
        assert (statistics.norm == 1).all() and not statistics.mean_zeroer.any() and not (statistics.out_mean or 0)
    assert identical(rule, new_rule(jax.random.key(0)))
    many = jax.eval_shape(jax.vmap(new_rule), jax.random.split(jax.random.key(0), 3))
    assert all(leaf.shape[0] == 3 for leaf in jax.tree.leaves(many))
    kernels = {name: leaf for name, leaf in named_leaves(rule.learners).items() if name.endswith("/W")}
    others = named_leaves(new_rule(jax.random.key(1)).learners)
    assert all((leaf != others[name]).any() for name, leaf in kernels.items())
    twins = ("W1", "W2"), ("b1", "b2"), ("W1", "b1")
    assert all((rule.learners[a]["f"]["Dense_0"]["W"] != rule.learners[b]["f"]["Dense_0"]["W"]).any() for a, b in twins)


def test_a_node_that_learns_nothing_has_nothing_in_the_rule():
    class Join(Add):
        learns = False

    names = ["x", "W1", "b1", "join", "loss"]
    ops = [Input(2), Weight(inputs=2, units=2), Bias(2), Join(2), L2(2)]
    edges = [("x", "W1"), ("W1", "b1"), ("W1", "join"), ("b1", "join"), ("join", "loss"), ("y", "loss")]
    protocol = Protocol(connect([*map(Node, names, ops), Node("y", Target(2))], edges), Stateless(message=2, widths=(4,)))
    rule = protocol.new_rule(jax.random.key(0))
    assert set(rule.learners) == set(rule.statistics) == {"W1", "b1", "loss"}
    _, trail = protocol.update(rule, protocol.init(jax.random.key(0), 3), jnp.ones((3, 2)), jnp.zeros((3, 2)))
    np.testing.assert_array_equal(trail["b1"]["message"].shape, (3, 2, 2))


def test_with_trained_replaces_the_trained_part_and_nothing_else(lesson):
    doubled = jax.tree.map(lambda leaf: 2 * leaf, lesson.rule.trained)
    rule = lesson.rule.with_trained(doubled)
    assert identical(rule.trained, doubled)
    assert identical(rule.statistics, lesson.rule.statistics)


def test_a_rule_is_shown_in_one_line():
    protocol = Protocol(sequential(2, 3), GRU(message=1, hidden=1, widths=(2,)))
    rule = protocol.new_rule(jax.random.key(0))
    assert repr(rule) == "Rule(200 numbers in learners W1 b1 loss; 2 numbers in scales; 22 numbers in statistics)"
    assert sum(leaf.size for leaf in jax.tree.leaves(rule)) == 200 + 2 + 22
    assert repr(protocol.begin(random_prior(protocol), 1000)) == "State(9 numbers in parameters W1 b1; 33,000 numbers in carries)"


# ---- a learner for each kind of node, and embeddings ----


def test_each_kind_of_node_has_its_own_learner():
    """Weights with a memory, the others without: what each node does is what it does under that learner alone."""
    both = Protocol(GRAPH, {"weight": SMALL["gru"], "*": SMALL["stateless"]})
    assert hash(both) == hash(Protocol(GRAPH, {"*": SMALL["stateless"], "weight": SMALL["gru"]}))
    rule, state = random_rule(both), both.begin(random_prior(both), BATCH)
    assert set(state.carries) == {"W1", "W2"}
    assert [type(both.learner_for(GRAPH.node(name))) for name in ("W1", "b1", "loss")] == [GRU, Stateless, Stateless]
    for name, known in (("W2", "u_x"), ("b2", "f"), ("loss", "g")):
        assert known in rule.learners[name]
    new, trail = jit(both.update)(rule, state, X, Y)
    for name, learner, carry in (("W1", "gru", state.carries["W1"]), ("b1", "stateless", None)):
        op, heard = GRAPH.node(name).op, trail["b1" if name == "W1" else "sigmoid1"]["message"]
        stored = (X,) if name == "W1" else (X @ state.parameters["W1"],)
        reads = standardize(rule.statistics[name], op.read(heard, state.parameters[name], stored))
        thought = SMALL[learner].apply({"params": rule.learners[name]}, op, reads, carry)
        expected = (thought.update - rule.statistics[name].out_mean) * rule.scales[name]
        np.testing.assert_allclose(trail[name]["delta"], expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(trail[name]["message"], thought.message, rtol=1e-4, atol=1e-6)


def test_scales_start_where_each_nodes_learner_says():
    learners = {"weight": SMALL["gru"].clone(first_scale=0.25), "*": SMALL["gru"].clone(first_scale=0.5)}
    scales = Protocol(GRAPH, learners, "learners").new_rule(jax.random.key(0)).scales
    assert {name: float(scale) for name, scale in scales.items()} == {"W1": 0.25, "W2": 0.25, "b1": 0.5, "b2": 0.5}


BAD_LEARNERS = {
    "widths": (
        {"weight": GRU(message=3), "*": Stateless(message=4)},
        ValueError,
        r"Learners with messages of \{'weight': 3, '\*': 4\} channels were given; learners that speak to each other need one width",
    ),
    "missing": (
        {"weight": GRU(), "bias": GRU()},
        ValueError,
        r"Nodes of kinds \['activation', 'crossentropy', 'softmax'\] have no learner; name one for each, or one for all others under '\*'",
    ),
    "none": ({}, ValueError, r"Nodes of kinds \[.*\] have no learner"),
    "a class": ({"*": GRU}, TypeError, r"learner=<class .*GRU'> was given; pass a learner that was called into being, such as GRU\(\)"),
}


@pytest.mark.parametrize("learners, exception, sentence", BAD_LEARNERS.values(), ids=BAD_LEARNERS.keys())
def test_bad_learners(learners, exception, sentence):
    with refused(exception, sentence):
        Protocol(GRAPH, learners)


def embedding(graph, **embeddings):
    """The graph, some of its nodes with an embedding."""
    return replace(graph, nodes=tuple(replace(node, embedding=embeddings.get(node.name, ())) for node in graph.nodes))


@pytest.mark.parametrize("normalizer", ["frozen", "batch", "rms", "none"])
def test_nodes_that_share_a_learner_are_told_apart_by_their_embeddings(normalizer):
    """Two biases that hear the same, hold the same and share all: one says to itself what the other does not."""
    ops = {"x": Input(2), "b1": Bias(2), "b2": Bias(2), "add": Add(2), "loss": L2(2), "y": Target(2)}
    edges = [("x", "b1"), ("x", "b2"), ("b1", "add"), ("b2", "add"), ("add", "loss"), ("y", "loss")]
    graph = connect([Node(name, op) for name, op in ops.items()], edges)
    for second, differs in (((0.0, 1.0), True), ((1.0, 0.0), False), ((1.0, 0.5), True)):
        protocol = Protocol(embedding(graph, b1=(1.0, 0.0), b2=second), SMALL["stateless"], "all", normalizer)
        rule, state = random_rule(protocol), protocol.begin({name: jnp.ones(2) for name in ("b1", "b2")}, BATCH)
        rule = jit(protocol.calibrate)(rule, state, X[None], Y[None, :, :2])
        assert len(rule.statistics["bias"].norm) == 3  # message, parameter, input: the embedding is read as it is
        _, trail = jit(protocol.update)(rule, state, X, Y[:, :2])
        assert (max_difference(trail["b1"], trail["b2"]) > 1e-4) == differs


def test_an_embedding_is_one_more_piece_the_same_for_all_entries_and_slots():
    protocol = Protocol(embedding(GRAPH, W1=(0.5, -2.0)), SMALL["stateless"])
    rule, state, op = random_rule(protocol), protocol.begin(random_prior(protocol), BATCH), GRAPH.node("W1").op
    _, trail = jit(protocol.update)(rule, state, X, Y)
    reads = standardize(rule.statistics["W1"], op.read(trail["b1"]["message"], state.parameters["W1"], (X,)))
    reads = (*reads, jnp.broadcast_to(jnp.array([0.5, -2.0])[None, None, None], (BATCH, *op.shape, 2)))
    thought = protocol.learner.apply({"params": rule.learners["W1"]}, op, reads, None)
    expected = (thought.update - rule.statistics["W1"].out_mean) * rule.scales["W1"]
    np.testing.assert_allclose(trail["W1"]["delta"], expected, rtol=1e-4, atol=1e-6)
    assert {name: rule.learners[name]["f"]["Dense_0"]["W"].shape[0] for name in ("W1", "W2")} == {"W1": 3 + 2 + 2, "W2": 3 + 2}


def test_gradient_descent_needs_no_embedding():
    graph = sequential(2, 3, aggregate="sum")
    plain, embedded = Protocol(graph, Backprop()), Protocol(embedding(graph, W1=(1.0,), b1=(2.0,)), Backprop())
    state = plain.begin(random_prior(plain), BATCH)
    rule = plain.new_rule(jax.random.key(0))
    assert identical(plain.update(rule, state, X, Y), embedded.update(embedded.new_rule(jax.random.key(0)), state, X, Y))


def test_embeddings_of_nodes_that_share_a_learner_are_equally_long():
    with refused(ValueError, "Node 'W2' has an embedding of 1 numbers, but others of 'weight', whose learner it shares, have 0; make"):
        Protocol(embedding(GRAPH, W2=(1.0,)), SMALL["gru"], "learners")


# ---- updates ----


def test_trail_holds_messages_and_what_changed(lesson):
    start = lesson.start()
    x, y = lesson.episode.xs[0], lesson.episode.ys[0]
    state, trail = lesson.update(lesson.rule, start, x, y)
    units = {"W1": 2, "b1": 4, "sigmoid1": 4, "W2": 4, "b2": 3, "softmax2": 3, "loss": 3}
    assert {name: told["message"].shape for name, told in trail.items()} == {name: (BATCH, n, 3) for name, n in units.items()}
    assert {name: set(told) - {"message"} for name, told in trail.items()} == {
        name: {"delta"} if name in start.parameters else set() for name in units
    }
    for name, before in start.parameters.items():
        assert trail[name]["delta"].shape == before.shape
        np.testing.assert_allclose(state.parameters[name] - before, trail[name]["delta"], atol=1e-6)
        assert (abs(trail[name]["delta"]) > 1e-4).any()


def test_carries(lesson):
    state, _ = lesson.update(lesson.rule, lesson.start(), lesson.episode.xs[0], lesson.episode.ys[0])
    if isinstance(lesson.protocol.learner, Stateless):
        assert state.carries == {}
    else:
        shapes = {"W1": (2, 4, 6), "b1": (4, 6), "sigmoid1": (4, 5), "W2": (4, 3, 6), "b2": (3, 6), "softmax2": (3, 5), "loss": (3, 5)}
        assert {name: carry.shape for name, carry in state.carries.items()} == {name: (BATCH, *s) for name, s in shapes.items()}
        assert not any(carry.any() for carry in lesson.start().carries.values())
        assert all((carry != 0).all() for carry in state.carries.values())


def test_update_changes_no_argument(lesson):
    start, x, y = lesson.start(), lesson.episode.xs[0], lesson.episode.ys[0]
    before = jax.tree.map(np.array, (lesson.rule, start, x, y))
    jax.eval_shape(lambda: lesson.protocol.update(lesson.rule, start, x, y))
    assert identical(before, (lesson.rule, start, x, y))


def test_update_scans_as_it_loops(lesson):
    state, trails = lesson.start(), []
    for x, y in zip(lesson.episode.xs, lesson.episode.ys, strict=True):
        state, trail = lesson.update(lesson.rule, state, x, y)
        trails.append(trail)
    scanned, stacked, prediction = lesson.run(lesson.prior, *lesson.episode[:3])
    assert max_difference(scanned, state) < 1e-5
    assert max_difference(stacked, jax.tree.map(lambda *leaves: jnp.stack(leaves), *trails)) < 1e-5
    assert max_difference(prediction, lesson.protocol.predict(state, lesson.episode.x_held_out)) < 1e-5


def test_update_maps_over_runs(lesson):
    priors = jax.tree.map(lambda values: jnp.stack([values, -values]), lesson.prior)
    mapped = jit(jax.vmap(lambda prior, x, y: lesson.protocol.update(lesson.rule, lesson.protocol.begin(prior, BATCH), x, y)))
    many = mapped(priors, lesson.episode.xs[:2], lesson.episode.ys[:2])
    for run in range(2):
        prior = jax.tree.map(lambda values, run=run: values[run], priors)
        one = lesson.update(lesson.rule, lesson.protocol.begin(prior, BATCH), lesson.episode.xs[run], lesson.episode.ys[run])
        assert max_difference(jax.tree.map(lambda values, run=run: values[run], many), one) < 1e-5


def test_update_is_differentiable_by_rule_prior_and_data():
    """One entry of each, against central differences; the whole meta-gradient is checked in test_meta.py."""
    with wide(True):
        lesson = Lesson(Stateless(message=2, widths=(3,), activation="tanh"), graph=sequential(2, 3, loss="l2"))
        x, y = lesson.episode.xs[0], lesson.episode.ys[0]

        def loss(rule, prior, x):
            state, _ = lesson.protocol.update(rule, lesson.protocol.begin(prior, BATCH), x, y)
            return lesson.protocol.loss(state, lesson.episode.x_held_out, lesson.episode.y_held_out)

        point = lesson.rule, lesson.prior, x
        direction = random_rule(lesson.protocol, 8), random_prior(lesson.protocol, 8), noise(8, *x.shape)
        gradients, loss = jit(jax.grad(loss, argnums=(0, 1, 2)))(*point), jit(loss)
        for number in range(3):
            ends = []
            for h in (1e-5, -1e-5):
                moved = jax.tree.map(lambda a, d, h=h: a + h * d, point[number], direction[number])
                ends.append(loss(*point[:number], moved, *point[number + 1 :]))
            expected = (ends[0] - ends[1]) / 2e-5
            ours = sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradients[number], direction[number])))
            assert float(ours) == pytest.approx(float(expected), rel=1e-6, abs=1e-9)
            assert abs(expected) > 1e-4


# ---- calibration ----


def test_momentum_blends_old_and_measured_and_leaves_the_trained_part_alone(stateless):
    start, rule = stateless.start(), stateless.rule
    measured = jit(stateless.protocol.calibrate)(rule, start, *stateless.episode[:2])
    blended = jit(partial(stateless.protocol.calibrate, momentum=0.3))(rule, start, *stateless.episode[:2])
    expected = jax.tree.map(lambda old, new: 0.7 * old + 0.3 * new, rule.statistics, measured.statistics)
    assert max_difference(blended.statistics, expected) < 1e-5
    assert max_difference(measured.statistics, rule.statistics) > 0.1
    assert identical(measured.trained, rule.trained) and identical(blended.trained, rule.trained)


def test_after_calibration_on_a_batch_its_updates_have_mean_0(lesson):
    first = slice(0, 1)
    xs, ys = lesson.episode.xs[first], lesson.episode.ys[first]
    rule = jit(lesson.protocol.calibrate)(lesson.rule, lesson.start(), xs, ys)
    _, trail = lesson.update(rule, lesson.start(), xs[0], ys[0])
    for name in lesson.prior:
        assert float(trail[name]["delta"].mean()) == pytest.approx(0, abs=1e-6)
        assert float(abs(trail[name]["delta"]).max()) > 1e-4


# ---- standardized by each batch ----


@pytest.fixture(scope="module")
def unfrozen(lesson):
    """The same protocol, measuring at every call, and its update, compiled once."""
    protocol = replace(lesson.protocol, normalizer="batch")
    return protocol, jit(protocol.update)


def test_an_unfrozen_step_is_a_step_calibrated_on_its_own_batch(lesson, unfrozen):
    state, (_, update), calibrate = lesson.start(), unfrozen, jit(lesson.protocol.calibrate)
    for x, y in zip(lesson.episode.xs, lesson.episode.ys, strict=True):
        rule = calibrate(lesson.rule, state, x[None], y[None])
        expected, found = lesson.update(rule, state, x, y), update(lesson.rule, state, x, y)
        assert max_difference(found, expected) < 1e-5
        assert max_difference(found[0].parameters, lesson.update(lesson.rule, state, x, y)[0].parameters) > 1e-3
        state = found[0]


def test_unfrozen_updates_and_calibration_ignore_what_was_calibrated(lesson, unfrozen):
    shifted = lesson.rule._replace(statistics=jax.tree.map(lambda value: 2 * value + 1, lesson.rule.statistics))
    x, y = lesson.episode.xs[0], lesson.episode.ys[0]
    unfrozen, update = unfrozen
    assert identical(*(update(rule, lesson.start(), x, y) for rule in (lesson.rule, shifted)))
    rules = [jit(one.calibrate)(lesson.rule, lesson.start(), x[None], y[None]) for one in (lesson.protocol, unfrozen)]
    assert identical(*rules)


def test_only_unfrozen_examples_hear_of_their_neighbours(lesson, unfrozen):
    """In the first step, before parameters have moved: the message of example 0, with one and with another example 1."""
    x, y = lesson.episode.xs[0], lesson.episode.ys[0]
    for update, depends in ((lesson.update, False), (unfrozen[1], True)):
        trails = [update(lesson.rule, lesson.start(), values, y)[1] for values in (x, x.at[1].add(1.0))]
        said, said_now = ([told["message"][0] for told in trail.values()] for trail in trails)
        assert (max_difference(said, said_now) > 1e-3) == depends


# ---- standardized by size only, or not at all ----


def spied(protocol):
    """The protocol with learners that report what they read to `told`, by operation."""
    told = {}

    class Spy(type(protocol.learner)):
        def __call__(self, op, reads, carry):
            told[op] = reads
            return super().__call__(op, reads, carry)

    fields = {name: getattr(protocol.learner, name) for name in ("message", "widths")}
    return replace(protocol, learner=Spy(**fields)), told


@pytest.mark.parametrize("normalizer", ["rms", "none"])
def test_what_learners_read_and_how_far_they_go_is_not_centred(stateless, normalizer):
    """Each piece by hand at every node; and each change is what was proposed times the scale, whatever the rule's statistics."""
    protocol, told = spied(replace(stateless.protocol, normalizer=normalizer))
    state, x, y = stateless.start(), stateless.episode.xs[0], stateless.episode.ys[0]
    new, trail = protocol.update(stateless.rule, state, x, y)
    p = jax.tree.map(np.asarray, state.parameters)
    before = {"W1": x, "b1": np.asarray(x) @ p["W1"]}
    heard = {"W1": trail["b1"]["message"], "b1": trail["sigmoid1"]["message"], "W2": trail["b2"]["message"]}
    for name, message in heard.items():
        op = GRAPH.node(name).op
        pieces = {0: np.asarray(message), 1: p[name]} | ({2: np.asarray(before[name])} if name in before else {})
        for k, piece in pieces.items():
            size = np.sqrt(np.mean(piece.astype(np.float64) ** 2)) if normalizer == "rms" else 1.0
            np.testing.assert_allclose(np.ravel(told[op][k]), np.ravel(piece) / size, rtol=1e-4, atol=1e-5)
        learner = {"params": stateless.rule.learners[name]}
        update = stateless.protocol.learner.apply(learner, op, told[op], None).update
        np.testing.assert_allclose(trail[name]["delta"], stateless.rule.scales[name] * update, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("normalizer", ["batch", "rms", "none"])
def test_only_a_frozen_normaliser_goes_by_what_was_calibrated(stateless, normalizer):
    protocol = replace(stateless.protocol, normalizer=normalizer)
    xs, ys = stateless.episode[:2]
    rule = jit(protocol.calibrate)(stateless.rule, stateless.start(), xs, ys)
    update = jit(protocol.update)
    assert identical(*(update(one, stateless.start(), xs[0], ys[0]) for one in (rule, stateless.rule)))
    norm, mean_zeroer, out_mean = rule.statistics["W1"]
    if normalizer != "batch":
        np.testing.assert_array_equal(mean_zeroer, np.zeros(3))
        assert out_mean == 0
    if normalizer == "none":
        np.testing.assert_array_equal(norm, np.ones(3))
    else:
        spread = np.std(xs, axis=(1, 2)) if normalizer == "batch" else np.sqrt(np.square(xs).mean(axis=(1, 2)))
        assert float(norm[2]) == pytest.approx(float((1 / spread).mean()), rel=1e-5)


@pytest.mark.parametrize("normalizer", [False, None, "layer", "Frozen"])
def test_unknown_normalizer(normalizer):
    with refused(ValueError, rf"normalizer={normalizer!r} is unknown; use one of \['frozen', 'batch', 'rms', 'none'\]"):
        Protocol(GRAPH, SMALL["gru"], normalizer=normalizer)


# ---- symmetries, in float64 ----

SYMMETRIC = {
    "gru-none": (SMALL["gru"], "none"),
    "gru-all": (SMALL["gru"], "all"),
    "stateless-learners": (SMALL["stateless"], "learners"),
}
HIDDEN = {"W1": 1, "b1": 0, "sigmoid1": 0, "W2": 0}  # the axis of each node's shape that counts hidden units
INPUTS = {"W1": 0}
CLASSES = {"W2": 1, "b2": 0, "softmax2": 0, "loss": 0}


def shuffled(values, order, axis):
    return jnp.take(values, jnp.asarray(order), axis=axis)


def shuffled_by_node(values, order, axes, leading=0):
    return {name: shuffled(value, order, axes[name] + leading) if name in axes else value for name, value in values.items()}


def shuffled_state(state, order, axes):
    return state._replace(
        parameters=shuffled_by_node(state.parameters, order, axes), carries=shuffled_by_node(state.carries, order, axes, leading=1)
    )


@pytest.fixture(scope="module", params=SYMMETRIC.values(), ids=SYMMETRIC.keys())
def plain(request):
    """A lesson and its outcome: shuffling units of prior and data shuffles the outcome in the same way, and nothing else."""
    with wide(True):
        lesson = Lesson(*request.param)
        return lesson, lesson.run(lesson.prior, *lesson.episode[:3])


@given(order=st.permutations(range(4)))
def test_shuffled_hidden_units(plain, order):
    lesson, (state, _, prediction) = plain
    with wide(True):
        new, _, new_prediction = lesson.run(shuffled_by_node(lesson.prior, order, HIDDEN), *lesson.episode[:3])
        assert max_difference(new, shuffled_state(state, order, HIDDEN)) < 1e-12
    assert max_difference(new_prediction, prediction) < 1e-12


@given(order=st.permutations(range(2)))
def test_shuffled_inputs(plain, order):
    lesson, (state, _, prediction) = plain
    with wide(True):
        xs, ys, x, _ = lesson.episode
        prior = shuffled_by_node(lesson.prior, order, INPUTS)
        new, _, new_prediction = lesson.run(prior, shuffled(xs, order, 2), ys, shuffled(x, order, 1))
        assert max_difference(new, shuffled_state(state, order, INPUTS)) < 1e-12
    assert max_difference(new_prediction, prediction) < 1e-12


@given(order=st.permutations(range(3)))
def test_shuffled_classes(plain, order):
    lesson, (state, _, prediction) = plain
    with wide(True):
        xs, ys, x, _ = lesson.episode
        new, _, new_prediction = lesson.run(shuffled_by_node(lesson.prior, order, CLASSES), xs, shuffled(ys, order, 2), x)
        assert max_difference(new, shuffled_state(state, order, CLASSES)) < 1e-12
        assert max_difference(new_prediction, shuffled(prediction, order, 1)) < 1e-12


@given(order=st.permutations(range(BATCH)))
def test_shuffled_examples_of_a_batch(plain, order):
    lesson, (state, _, prediction) = plain
    with wide(True):
        xs, ys, x, _ = lesson.episode
        new, _, new_prediction = lesson.run(lesson.prior, shuffled(xs, order, 1), shuffled(ys, order, 1), x)
        carries = {name: shuffled(carry, order, 0) for name, carry in state.carries.items()}
        assert max_difference(new, state._replace(carries=carries)) < 1e-12
    assert max_difference(new_prediction, prediction) < 1e-12


def test_each_slot_of_the_batch_remembers_its_own_examples(plain):
    """Shuffled differently at each step, examples meet other slots' memories: that matters to learners that have one."""
    lesson, (state, *_) = plain
    with wide(True):
        xs, ys = (jnp.stack([values[0], jnp.flip(values[1], 0), values[2]]) for values in lesson.episode[:2])
        new, *_ = lesson.run(lesson.prior, xs, ys, lesson.episode.x_held_out)
    difference = max_difference(new.parameters, state.parameters)
    assert difference > 1e-5 if state.carries else difference < 1e-12


# ---- what is refused, before anything is computed ----


@pytest.fixture
def no_computation(monkeypatch):
    def never(*_):
        raise AssertionError("the graph was walked")

    monkeypatch.setattr(network, "walk", never)
    monkeypatch.setattr(protocol, "walk", never)


BAD_DATA = {
    "width of x": (noise(1, BATCH, 3), Y, ValueError, r"x has shape \(5, 3\), but this graph takes \(examples, 2\); reshape it"),
    "width of y": (X, Y[:, :2], ValueError, r"y has shape \(5, 2\), but this graph takes \(examples, 3\); reshape it"),
    "rank of x": (X[0], Y, ValueError, r"x has shape \(2,\), but this graph takes \(examples, 2\)"),
    "rank of y": (X, Y[None], ValueError, r"y has shape \(1, 5, 3\), but this graph takes \(examples, 3\)"),
    "x in float64": (np.ones((BATCH, 2)), Y, TypeError, "x is float64, but this network computes in float32; convert it"),
    "y in whole numbers": (X, Y.astype(int), TypeError, r"y is int32, but this network computes in float32"),
    "fewer targets": (X, Y[:3], ValueError, r"Inputs and targets hold \{'x': 5, 'y': 3\} examples; give each the same number"),
    "names": ({"a": X}, Y, ValueError, r"Data for \['a'\] was given, but this graph takes \['x'\]; pass a dictionary by name"),
}


@pytest.mark.parametrize("x, y, exception, sentence", BAD_DATA.values(), ids=BAD_DATA.keys())
def test_bad_data(lesson, no_computation, x, y, exception, sentence):
    with refused(exception, sentence):
        lesson.protocol.update(lesson.rule, lesson.start(), x, y)
    with refused(exception, sentence):
        lesson.protocol.unit_losses(lesson.start(), x, y)


@pytest.mark.parametrize("momentum", [-0.1, 1.1, float("nan"), float("inf")])
def test_momentum_out_of_range(lesson, no_computation, momentum):
    with refused(ValueError, rf"momentum={momentum} was given; it must lie in \[0, 1\]"):
        lesson.protocol.calibrate(lesson.rule, lesson.start(), X[None], Y[None], momentum)


def test_bad_data_for_calibration(lesson, no_computation):
    with refused(ValueError, r"x has shape \(5, 3\), but this graph takes \(examples, 2\)"):
        lesson.protocol.calibrate(lesson.rule, lesson.start(), noise(1, 2, 5, 3), noise(1, 2, 5, 3))
    with refused(ValueError, r"Inputs and targets hold \{'x': 5, 'y': 4\} examples"):
        lesson.protocol.calibrate(lesson.rule, lesson.start(), noise(1, 2, 5, 2), noise(1, 2, 4, 3))


def test_calibration_needs_a_step(lesson, no_computation):
    with refused(ValueError, "step"):
        lesson.protocol.calibrate(lesson.rule, lesson.start(), jnp.zeros((0, BATCH, 2)), jnp.zeros((0, BATCH, 3)))


def test_a_batch_unlike_the_carry(gru, no_computation):
    sentence = r"A batch of 3 was given, but the learners' carry holds 5 slots; make the state with init\(key, batch=3\)"
    with refused(ValueError, sentence):
        gru.protocol.update(gru.rule, gru.start(), X[:3], Y[:3])
    with refused(ValueError, sentence):
        gru.protocol.calibrate(gru.rule, gru.start(), X[None, :3], Y[None, :3])


def changed(carries, **changes):
    """Carries with some replaced, or left out where `None`."""
    return {name: value for name, value in {**carries, **changes}.items() if value is not None}


FOREIGN_CARRIES = {
    "missing": ({"b1": None}, r"The state has carries of nodes \['W1', 'W2', 'b2', .*\], but .* for \['W1', 'W2', 'b1', .*; make"),
    "extra": ({"W9": jnp.zeros((BATCH, 1))}, r"The state has carries of nodes \['W1', 'W2', 'W9', .*; make the state with init or begin"),
    "an axis of 1": ({"b1": jnp.zeros((BATCH, 1, 6))}, r"carry of node 'b1' has shape \(5, 1, 6\), but a batch of 5 needs \(5, 4, 6\)"),
    "no axis": ({"b1": jnp.zeros(())}, r"carry of node 'b1' has shape \(\), but a batch of 5 needs \(5, 4, 6\); make the state with init"),
    "one slot": ({"b1": jnp.zeros((1, 4, 6))}, r"carry of node 'b1' has shape \(1, 4, 6\), but a batch of 5 needs \(5, 4, 6\)"),
    "a pair": ({"b1": (jnp.zeros(3), jnp.zeros(()))}, r"carry of node 'b1' has shape \(\(3,\), \(\)\), but a batch of 5 needs \(5, 4, 6\)"),
}


@pytest.mark.parametrize("changes, sentence", FOREIGN_CARRIES.values(), ids=FOREIGN_CARRIES.keys())
def test_foreign_carries(gru, no_computation, changes, sentence):
    state = gru.start()
    with refused(ValueError, sentence):
        gru.protocol.update(gru.rule, state._replace(carries=changed(state.carries, **changes)), X, Y)


def test_a_stateless_learner_keeps_no_carries(stateless, gru, no_computation):
    with refused(ValueError, r"The state has carries of nodes \['W1', .*\], but the learners keep them for \[\]"):
        stateless.protocol.update(stateless.rule, gru.start(), X, Y)


@pytest.mark.parametrize("shape", [(1,), (3, 4), ()])
def test_a_parameter_of_another_shape_is_not_broadcast(lesson, no_computation, shape):
    state = lesson.start()
    state = state._replace(parameters=state.parameters | {"b1": jnp.zeros(shape)})
    sentence = r"The state has shapes .*, but the graph needs .*'b1': \(4,\).*; pass one array for each"
    calls = lesson.protocol.predict, lesson.protocol.loss, partial(lesson.protocol.update, lesson.rule)
    for call, data in zip(calls, ((X,), (X, Y), (X, Y)), strict=True):
        with refused(ValueError, sentence):
            call(state, *data)


class Pool(Learner):
    """Its carries are pairs: a mean over the batch, one per entry, and how many batches it has seen, one for the whole node."""

    message: int = 2

    def first_carry(self, op, batch):
        return jnp.zeros((*op.shape, 2)), {"seen": jnp.zeros(())}

    def __call__(self, op, reads, carry):
        mean, seen = carry
        spread = jnp.broadcast_to(reads[0][..., :1], (len(reads[0]), *op.shape, 1))
        mean = mean + jnp.concatenate([spread, 2 * spread], axis=-1).mean(axis=0)
        message = jnp.broadcast_to(mean[None], (len(spread), *mean.shape))
        update = None if op.parameter_shape is None else mean[..., 0]
        return Thought((mean, {"seen": seen["seen"] + 1}), update, op.collect(message))


def test_carries_are_any_tree_and_need_no_batch_slots():
    pooling = Protocol(GRAPH, Pool(first_scale=0.5))
    state = pooling.begin(random_prior(pooling), BATCH)
    assert state.carries["W1"][0].shape == (2, 4, 2)
    rule, new = pooling.new_rule(jax.random.key(0)), state
    for batch in (BATCH, 3):
        new, trail = pooling.update(rule, new, X[:batch], Y[:batch])
    seen = {name: carry[1]["seen"] for name, carry in new.carries.items()}
    assert seen == {name: 2.0 for name in "W1 b1 sigmoid1 W2 b2 softmax2 loss".split()}
    np.testing.assert_allclose(trail["b2"]["delta"], 0.5 * new.carries["b2"][0][:, 0], rtol=1e-6)
    short = state._replace(carries=changed(state.carries, b1=(jnp.zeros((1, 2)), {"seen": jnp.zeros(())})))
    with refused(ValueError, r"The carry of node 'b1' has shape \(\(1, 2\), \{'seen': \(\)\}\), but a batch of 5 needs \(\(4, 2\), "):
        pooling.update(rule, short, X, Y)


def test_stateless_learners_take_batches_of_any_size(stateless):
    new, _ = stateless.update(stateless.rule, stateless.start(), X[:3], Y[:3])
    assert all(np.isfinite(value).all() for value in new.parameters.values())


def test_an_empty_batch(lesson, no_computation):
    with refused(ValueError, "(batch of 0|at least 1 example)"):
        lesson.protocol.update(lesson.rule, lesson.start(), X[:0], Y[:0])


@pytest.mark.parametrize("sharing", ["both", "All", None])
def test_unknown_sharing(sharing):
    with refused(ValueError, rf"sharing={sharing!r} is unknown; use one of \['none', 'learners', 'all', 'kinds'\]"):
        Protocol(GRAPH, SMALL["gru"], sharing)


def test_foreign_prior(lesson):
    prior = random_prior(Protocol(mlp(2, 4, 4, 3), SMALL["gru"]))
    with refused(ValueError, r"The prior has shapes .*'W3': \(4, 3\).*, but the graph needs .*'W2': \(4, 3\).*; pass one array for each"):
        lesson.protocol.begin(prior, BATCH)


@pytest.mark.parametrize(
    "other",
    [("gru", "learners", GRAPH), ("stateless", "none", GRAPH), ("gru", "none", mlp(2, 3))],
    ids=["another sharing", "other learners", "another graph"],
)
def test_foreign_rule(gru, other):
    learner, sharing, graph = other
    foreign = random_rule(Protocol(graph, SMALL[learner], sharing))
    with refused(ValueError, "rule"):
        gru.protocol.update(foreign, gru.start(), X, Y)
