"""The engine on arbitrary graphs, orders and arrows, and the builders.

Most checks use a learner that writes exact gradients as messages: whatever the graph, the outcome is known.
"""

from dataclasses import dataclass, fields
from functools import partial
from typing import ClassVar

import flax.linen as nn
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from helpers import Gain, identical, jit, max_difference, noise, random_prior, random_rule, wide
from mplp_lite import baselines, descent, losses
from mplp_lite.descent import Backprop
from mplp_lite.graph import Arrow, Backward, Forward, Graph, Node, NodeState, Seed, connect, mlp, sequential, walk
from mplp_lite.learners import GRU, Dense, Learner, Thought
from mplp_lite.nodes import Activation, Add, Bias, Fired, Input, Operation, Target, Weight
from mplp_lite.protocol import Protocol
from mplp_lite.standardize import standardize

RATE = Backprop().first_scale
BATCH = 4


@dataclass(frozen=True)
class Times(Operation):
    """`y_u = x_u x'_u`; each input gets a message of its own."""

    kind: ClassVar[str] = "times"
    arity: ClassVar[int] = 2

    def forward(self, parameter, x, other):
        return Fired(x * other, (x, other))

    def answer(self, message, slot):
        return message[..., slot : slot + 1]


@dataclass(frozen=True)
class Join(Operation):
    """Two inputs of half the width, side by side."""

    kind: ClassVar[str] = "join"
    arity: ClassVar[int] = 2

    @property
    def incoming(self):
        return self.units // 2

    def forward(self, parameter, x, other):
        joined = jnp.concatenate([x, other], axis=1)
        return Fired(joined, (joined,))

    def answer(self, message, slot):
        return jnp.split(message, 2, axis=1)[slot]


descent.derivative.register(Join, lambda op, message, _, joined: (None, message))


def dense(inputs, units):
    return Weight(units=units, inputs=inputs, aggregate="sum")


def build(ops, edges, aggregate="sum"):
    """A graph of `ops` by name, from edges written as `x-W1 W1-loss y-loss`."""
    return connect([Node(name, op, aggregate) for name, op in ops.items()], [tuple(edge.split("-")) for edge in edges.split()])


def plain_chain():
    """Two dense layers without biases, a tanh between them."""
    ops = {"x": Input(2), "W1": dense(2, 3), "tanh": Activation(3, "tanh"), "W2": dense(3, 2), "loss": losses.L2(2), "y": Target(2)}
    return build(ops, "x-W1 W1-tanh tanh-W2 W2-loss y-loss")


def skip_connection(aggregate="sum"):
    ops = {
        "x": Input(2), "W1": dense(2, 3), "tanh": Activation(3, "tanh"), "W2": dense(3, 3), "add": Add(3), "W3": dense(3, 2),
        "loss": losses.L2(2), "y": Target(2),
    }
    return build(ops, "x-W1 W1-tanh tanh-W2 W2-add tanh-add add-W3 W3-loss y-loss", aggregate)


def two_losses(aggregate="sum"):
    ops = {
        "x": Input(2), "W1": dense(2, 3), "tanh": Activation(3, "tanh"), "Wa": dense(3, 2), "Wb": dense(3, 1),
        "loss_a": losses.L2(2), "loss_b": losses.L2(1), "ya": Target(2), "yb": Target(1),
    }
    return build(ops, "x-W1 W1-tanh tanh-Wa tanh-Wb Wa-loss_a Wb-loss_b ya-loss_a yb-loss_b", aggregate)


def own_operations():
    ops = {
        "xa": Input(2), "xb": Input(3), "Wa": dense(2, 2), "Wb": dense(3, 2), "times": Times(2), "gain": Gain(2), "join": Join(4),
        "W3": dense(4, 2), "loss": losses.L2(2), "y": Target(2),
    }
    return build(ops, "xa-Wa xb-Wb Wa-times Wb-times times-gain Wb-join gain-join join-W3 W3-loss y-loss")


def parallel_arrows():
    ops = {"x": Input(2), "W1": dense(2, 2), "add": Add(2), "times": Times(2), "loss": losses.L2(2), "y": Target(2)}
    return build(ops, "x-W1 W1-add W1-add add-times add-times times-loss y-loss")


def skip_prediction(p, x):
    h = np.tanh(x @ p["W1"])
    return (h @ p["W2"] + h) @ p["W3"]


def two_predictions(p, x):
    h = np.tanh(x @ p["W1"])
    return {"Wa": h @ p["Wa"], "Wb": h @ p["Wb"]}


def own_prediction(p, x):
    a, b = x["xa"] @ p["Wa"], x["xb"] @ p["Wb"]
    return np.concatenate([b, a * b * p["gain"]], axis=1) @ p["W3"]


GRAPHS = {
    "skip connection": (skip_connection(), skip_prediction),
    "branch with two losses": (two_losses(), two_predictions),
    "own operations, two inputs": (own_operations(), own_prediction),
    "several arrows between the same nodes": (parallel_arrows(), lambda p, x: (2 * x @ p["W1"]) ** 2),
}


def data_for(graph, batch=BATCH):
    """Random inputs and targets, dictionaries where there are several."""

    def draw(seed, names):
        values = {name: noise([seed, number], batch, graph.node(name).op.units) for number, name in enumerate(names)}
        return values if len(values) > 1 else values[names[0]]

    return draw(1, graph.inputs), draw(2, graph.targets)


def start(graph, learner=None):
    """A protocol that descends gradients, its rule, and a state with a random prior."""
    protocol = Protocol(graph, learner or Backprop())
    prior = jax.tree.map(lambda values: 0.5 * values, random_prior(protocol))
    return protocol, protocol.new_rule(jax.random.key(0)), protocol.begin(prior, BATCH)


def after(network, rule, state, x, y, steps=1):
    """Parameters after some steps on the same batch."""
    return jit(partial(jax.lax.scan, lambda s, _: (network.update(rule, s, x, y)[0], None), length=steps))(state)[0].parameters


# ---- exact gradient descent is a protocol on any graph ----


def test_backprop_on_a_plain_network_is_sgd():
    """The loss is written out here, and its gradient is jax's."""
    protocol, rule, state = start(mlp(2, 4, 3, 2, activation="tanh", aggregate="sum"))
    xs, ys = noise(1, 5, BATCH, 2), noise(2, 5, BATCH, 2)

    def loss(p, x, y):
        h = jnp.tanh(x @ p["W1"] + p["b1"][None])
        h = jnp.tanh(h @ p["W2"] + p["b2"][None])
        return (jnp.square(y - h @ p["W3"] - p["b3"][None]) / 2).sum(axis=1).mean()

    expected = state.parameters
    for x, y in zip(xs, ys, strict=True):
        expected = jax.tree.map(lambda p, g: p - RATE * g, expected, jax.grad(loss)(expected, x, y))
    ours, _ = jit(partial(jax.lax.scan, lambda s, xy: protocol.update(rule, s, *xy)))(state, (xs, ys))
    assert max_difference(ours.parameters, expected) < 1e-6
    assert max_difference(state.parameters, expected) > 1e-2


@pytest.mark.parametrize("graph, predict", GRAPHS.values(), ids=GRAPHS.keys())
def test_graphs_predict_and_learn(graph, predict):
    protocol, rule, state = start(graph)
    x, y = data_for(graph)
    plain = jax.tree.map(np.asarray, (state.parameters, x, y))
    prediction = protocol.predict(state, x)
    expected = predict(*plain[:2])
    assert max_difference(prediction, expected) < 1e-6
    judged = expected if isinstance(expected, dict) else {"": expected}
    targets = plain[2] if isinstance(plain[2], dict) else {"": plain[2]}
    means = [((t - p) ** 2 / 2).mean() for p, t in zip(judged.values(), targets.values(), strict=True)]
    assert float(protocol.loss(state, x, y)) == pytest.approx(sum(means), rel=1e-5)
    ours = after(protocol, rule, state, x, y, steps=3)
    baseline = baselines.sgd(graph, RATE)
    theirs = after(baseline, None, baseline.begin(state.parameters, BATCH), x, y, steps=3)
    assert max_difference(ours, theirs) < 1e-6
    assert all(not np.allclose(ours[name], state.parameters[name], atol=1e-4) for name in ours)


@pytest.mark.parametrize("make, weight, source", [(two_losses, "W1", None), (own_operations, "Wb", "xb")])
def test_several_inputs_or_targets_scan_and_calibrate_by_name(make, weight, source):
    (protocol, rule, state), (x, y) = start(make()), data_for(make())
    runs = jax.tree.map(lambda values: jnp.stack([values, values]), (x, y))
    scanned, _ = jax.lax.scan(lambda s, xy: protocol.update(rule, s, *xy), state, runs)
    assert max_difference(scanned.parameters, after(protocol, rule, state, x, y, steps=2)) < 1e-6
    statistics = protocol.calibrate(rule, state, *runs).statistics[weight]
    assert float(statistics.norm[2]) == pytest.approx(1 / np.std(np.asarray(x[source] if source else x)), rel=1e-5)


@st.composite
def random_graphs(draw):
    """Any acyclic graph of nodes 2 units wide, with a loss at every node that nobody else consumes."""
    ops, edges = {"x": Input(2)}, []
    for number in range(draw(st.integers(1, 7))):
        op = draw(st.sampled_from([dense(2, 2), Bias(2), Activation(2, "tanh"), Add(2), Times(2), Gain(2)]))
        sources = draw(st.lists(st.sampled_from(sorted(ops)), min_size=op.arity, max_size=op.arity))
        ops[f"n{number}"] = op
        edges += [(source, f"n{number}") for source in sources]
    ops["y"] = Target(2)
    for name in sorted(set(ops) - {source for source, _ in edges} - {"x", "y"}):
        ops[f"loss {name}"] = losses.L2(2)
        edges += [(name, f"loss {name}"), ("y", f"loss {name}")]
    return connect([Node(name, op, "sum") for name, op in ops.items()], edges)


@given(random_graphs())
def test_backprop_on_any_graph_is_sgd(graph):
    with wide(True):
        protocol = Protocol(graph, Backprop())
        (x, y), prior = data_for(graph), jax.tree.map(lambda values: 0.5 * values, random_prior(protocol))
        rule = protocol.new_rule(jax.random.key(0))
        ours, _ = protocol.update(rule, protocol.begin(prior, BATCH), x, y)
        theirs, _ = (baseline := baselines.sgd(graph, RATE)).update(None, baseline.begin(prior, BATCH), x, y)
    for name, values in theirs.parameters.items():
        np.testing.assert_allclose(ours.parameters[name], values, rtol=1e-10, atol=1e-10)


# ---- fan-out ----


@pytest.mark.parametrize("make, below", [(skip_connection, {"W1"}), (two_losses, {"W1"})])
def test_messages_of_two_consumers_become_their_mean_or_their_sum(make, below):
    graph = make("sum")
    (protocol, rule, state), (x, y) = start(graph), data_for(graph)
    _, summed = protocol.update(rule, state, x, y)
    _, averaged = Protocol(make("mean"), Backprop()).update(rule, state, x, y)
    for name in state.parameters:
        share = 0.5 if name in below else 1.0
        np.testing.assert_allclose(averaged[name]["delta"], share * summed[name]["delta"], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("aggregate, pool", [("mean", np.mean), ("sum", np.sum)])
def test_gather(aggregate, pool):
    messages = tuple(noise(seed, 2, 3, 4) for seed in range(3))
    np.testing.assert_allclose(Node("n", Input(3), aggregate).gather(messages), pool(np.stack(messages), axis=0), rtol=1e-5, atol=1e-6)


def test_consumers_are_averaged_unless_one_says_otherwise():
    messages = jnp.ones((1, 3, 2)), jnp.zeros((1, 3, 2))
    np.testing.assert_array_equal(Node("n", Input(3)).gather(messages), np.full((1, 3, 2), 0.5))


def test_a_seed_is_the_loss_of_each_unit():
    prediction, target = noise(0, 4, 3), noise(1, 4, 3)
    _, message = Seed("loss", "loss").send(Node("loss", losses.L2(3)), NodeState(inputs={0: prediction, 1: target}), None)
    np.testing.assert_allclose(message[..., 0], np.square(np.asarray(target) - np.asarray(prediction)) / 2, rtol=1e-6)


def doubled():
    """Two arrows between the same nodes."""
    ops = {"x": Input(2), "W1": dense(2, 2), "add": Add(2), "loss": losses.L2(2), "y": Target(2)}
    return build(ops, "x-W1 W1-add W1-add add-loss y-loss")


def recording_learn(spoken):
    """A learner that writes down who spoke."""

    def learn(node, state, message):
        spoken.append(node.name)
        return state._replace(reply=jnp.ones((1, node.op.incoming, 1)))

    return learn


@pytest.mark.parametrize("make", [skip_connection, two_losses, doubled])
def test_operation_and_learner_act_once_for_all_arrows_that_leave_them(make):
    fired, spoken, graph = [], [], make()

    def recording(name, op):
        class Recording(type(op)):
            def forward(self, parameter, *inputs):
                fired.append(name)
                return op.forward(parameter, *inputs)

        return Recording(**{field.name: getattr(op, field.name) for field in fields(op)})

    graph = Graph(tuple(Node(node.name, recording(node.name, node.op)) for node in graph.nodes), graph.order)
    parameters = {node.name: jnp.ones(node.op.parameter_shape) for node in graph.nodes if node.op.parameter_shape}
    states = {node.name: NodeState(parameters.get(node.name)) for node in graph.nodes}
    states |= {node.name: NodeState(inputs={0: jnp.ones((1, node.op.units))}) for node in graph.nodes if isinstance(node.op, Input)}
    before = dict(states)
    walk(graph, graph.order, states, recording_learn(spoken))
    names = [node.name for node in graph.nodes]
    assert sorted(fired) == sorted(names)
    assert sorted(spoken) == sorted(set(names) - set(graph.inputs) - set(graph.targets))
    assert all(states[name] is before[name] for name in names)


# ---- orders ----


def linear_chain():
    ops = {"x": Input(2), "W1": dense(2, 3), "W2": dense(3, 2), "loss": losses.L2(2), "y": Target(2)}
    return build(ops, "x-W1 W1-W2 W2-loss y-loss")


def two_backward_rounds(graph):
    """Backwards twice on the stale activations of one forward pass."""
    split = len(graph.forward)
    return Graph(graph.nodes, graph.order + graph.order[split:])


def test_slots_may_be_filled_in_any_order():
    graph = own_operations()
    order = list(graph.order)
    first, second = order.index(Forward("Wb", "join", 0)), order.index(Forward("gain", "join", 1))
    order[first], order[second] = order[second], order[first]
    (protocol, rule, state), (x, y) = start(graph), data_for(graph)
    other = Protocol(Graph(graph.nodes, tuple(order)), Backprop())
    assert identical(other.predict(state, x), protocol.predict(state, x))
    assert max_difference(other.update(rule, state, x, y), protocol.update(rule, state, x, y)) < 1e-6


def test_two_backward_rounds_in_one_step():
    graph = linear_chain()
    (protocol, rule, state), (x, y) = start(two_backward_rounds(graph)), data_for(graph)
    w1, w2 = np.asarray(state.parameters["W1"]), np.asarray(state.parameters["W2"])
    h = np.asarray(x) @ w1
    error = (h @ w2 - y) / BATCH
    by_w2 = RATE * h.T @ error
    by_w1 = RATE * np.asarray(x).T @ error @ (w2 + (w2 - by_w2)).T  # the second round sends through the new W2
    new, _ = protocol.update(rule, state, x, y)
    np.testing.assert_allclose(new.parameters["W2"], w2 - 2 * by_w2, atol=1e-6)
    np.testing.assert_allclose(new.parameters["W1"], w1 - by_w1, atol=1e-6)


def test_the_whole_order_twice_is_two_updates():
    """Also for learners with a memory: carries walk on within the step."""
    graph, learner = mlp(2, 2, activation="tanh"), GRU(message=2, hidden=1, widths=(4,))
    once, twice = Protocol(graph, learner), Protocol(Graph(graph.nodes, 2 * graph.order), learner)
    rule, state, (x, y) = random_rule(once), once.begin(random_prior(once), BATCH), data_for(graph)
    expected = jit(once.update)(rule, jit(once.update)(rule, state, x, y)[0], x, y)[0]
    ours = jit(twice.update)(rule, state, x, y)[0]
    assert max_difference(ours, expected) < 1e-6
    assert max_difference(ours, state) > 1e-2
    assert identical(twice.predict(state, x), once.predict(state, x))


def test_trail_holds_the_whole_change_of_a_step_with_two_rounds():
    graph = linear_chain()
    (protocol, rule, state), (x, y) = start(two_backward_rounds(graph)), data_for(graph)
    new, trail = protocol.update(rule, state, x, y)
    for name, old in state.parameters.items():
        np.testing.assert_allclose(trail[name]["delta"], new.parameters[name] - old, atol=1e-6)


def back(*path):
    """Backward arrows along a path."""
    return tuple(Backward(source, target) for source, target in zip(path, path[1:]))


def judged_twice(graph):
    """Appendix A, two consumers: how the node between takes their messages."""
    heads = (Backward("loss_a", "Wa"), Backward("loss_b", "Wb"))
    (a, b), down, end = (back("Wa", "tanh"), back("Wb", "tanh")), back("tanh", "W1"), back("W1", "x")
    orders = {
        "stored until both are there": (*heads, *a, *b, *down, *end),
        "processed at once": (*heads, *a, *down, *end, *b, *down, *end),
        "at once, but stored below": (*heads, *a, *down, *b, *down, *end),
    }
    return {name: Graph(graph.nodes, (*graph.forward, *graph.seeds, *order)) for name, order in orders.items()}


SPOKEN = {"stored until both are there": (1, 1), "processed at once": (2, 2), "at once, but stored below": (2, 1)}


@pytest.mark.parametrize("how", SPOKEN)
def test_messages_are_processed_at_once_or_stored(how):
    """Derivatives add up whenever they are processed, so gradient descent is the same; how often learners speak is not."""
    graph, spoken = judged_twice(two_losses())[how], []
    states = {n.name: NodeState(inputs={0: jnp.ones((1, n.op.units))}) if isinstance(n.op, Input) else NodeState() for n in graph.nodes}
    states |= {n.name: NodeState(jnp.ones(n.op.parameter_shape)) for n in graph.nodes if n.op.parameter_shape}
    walk(graph, graph.order, states, recording_learn(spoken))
    assert (spoken.count("tanh"), spoken.count("W1")) == SPOKEN[how]
    (protocol, rule, state), (x, y) = start(graph), data_for(graph)
    baseline = baselines.sgd(graph, RATE)
    ours = after(protocol, rule, state, x, y, steps=20)
    assert max_difference(ours, after(baseline, None, baseline.begin(state.parameters, BATCH), x, y, steps=20)) < 1e-5
    assert float(protocol.loss(state._replace(parameters=ours), x, y)) < 0.7 * float(protocol.loss(state, x, y))


def test_a_learner_with_a_memory_tells_at_once_from_stored():
    """At once, a node's carry walks on with each message; stored, once, with their mean."""
    graphs, learner = judged_twice(two_losses("mean")), GRU(message=2, hidden=1, widths=(4,))
    (x, y), results = data_for(two_losses()), {}
    for how, graph in graphs.items():
        protocol = Protocol(graph, learner)
        rule, state = random_rule(protocol), protocol.begin(random_prior(protocol), BATCH)
        results[how] = jit(protocol.update)(rule, state, x, y)
    stored, at_once, below = (results[how] for how in SPOKEN)
    op, heard = graphs["processed at once"].node("tanh").op, [at_once[1][name]["message"] for name in ("Wa", "Wb")]
    carry, variables = state.carries["tanh"], {"params": rule.learners["tanh"]}
    for message in heard:
        reads = standardize(rule.statistics["tanh"], op.read(message, None, (x @ state.parameters["W1"],)))
        carry = learner.apply(variables, op, reads, carry).carry
    np.testing.assert_allclose(at_once[0].carries["tanh"], carry, atol=1e-5)
    np.testing.assert_allclose(below[0].carries["tanh"], carry, atol=1e-5)
    assert max_difference(stored[0].carries["tanh"], carry) > 1e-3
    assert max_difference(at_once[0].parameters["W1"], below[0].parameters["W1"]) > 1e-3


def test_layers_may_learn_one_after_the_other():
    """The upper layer learns, fires again and learns again; the lower one hears both times before it learns."""
    graph = plain_chain()
    again = (Forward("tanh", "W2"), Forward("W2", "loss"), Forward("y", "loss", 1), Seed("loss", "loss"), *back("loss", "W2", "tanh"))
    order = (*graph.forward, *graph.seeds, *back("loss", "W2", "tanh"), *again, *back("tanh", "W1", "x"))
    (protocol, rule, state), (x, y) = start(Graph(graph.nodes, order)), data_for(graph)
    w1, w2 = (np.asarray(state.parameters[name]) for name in ("W1", "W2"))
    h, heard, top = np.tanh(np.asarray(x) @ w1), 0.0, w2
    for _ in range(2):
        error = h @ top - np.asarray(y)
        heard = heard + error @ top.T
        top = top - RATE * h.T @ error / BATCH
    bottom = w1 - RATE * np.asarray(x).T @ (heard * (1 - h**2)) / BATCH
    new, _ = protocol.update(rule, state, x, y)
    np.testing.assert_allclose(new.parameters["W2"], top, atol=1e-6)
    np.testing.assert_allclose(new.parameters["W1"], bottom, atol=1e-6)
    later = state._replace(parameters=after(protocol, rule, state, x, y, steps=20))
    assert float(protocol.loss(later, x, y)) < 0.6 * float(protocol.loss(state, x, y))


def test_a_backward_arrow_may_be_reflexive():
    """The tanh hears itself before it tells the layer below."""
    graph = plain_chain()
    order = list(graph.order)
    order.insert(order.index(Backward("tanh", "W1")), Backward("tanh", "tanh"))
    (protocol, rule, state), (x, y) = start(Graph(graph.nodes, tuple(order))), data_for(graph)
    p = jax.tree.map(np.asarray, state.parameters)
    h = np.tanh(np.asarray(x) @ p["W1"])
    message = (h @ p["W2"] - np.asarray(y)) @ p["W2"].T * (1 - h**2) ** 2
    _, trail = protocol.update(rule, state, x, y)
    np.testing.assert_allclose(trail["W1"]["delta"], -RATE * np.asarray(x).T @ message / BATCH, atol=1e-6)
    np.testing.assert_allclose(trail["tanh"]["message"][..., 0], message, atol=1e-6)


# ---- arrows of one's own ----


@dataclass(frozen=True)
class Louder(Backward):
    """Multiplies what is said on the way."""

    factor: float = 3.0

    def send(self, node, state, learn):
        state, message = super().send(node, state, learn)
        return state, self.factor * message


@dataclass(frozen=True)
class Silent(Backward):
    """Lets the learner speak, and tells nobody."""

    def deliver(self, state, message):
        return state


@dataclass(frozen=True)
class Shortcut(Arrow):
    """Carries what `source` said, through fixed random weights, straight to `target`."""

    seed: int = 0
    width: int = 1

    @property
    def matrix(self):
        return noise([77, self.seed], self.width, self.width + 1)

    def send(self, node, state, learn):
        return state, jnp.einsum("bum,uv->bvm", state.reply, self.matrix)


@dataclass(frozen=True)
class Decay(Arrow):
    """A reflexive arrow that shrinks its node's parameter."""

    def send(self, node, state, learn):
        return state._replace(parameter=0.9 * state.parameter), None

    def deliver(self, state, message):
        return state


def rewired(graph, changes):
    """The graph with some of its arrows replaced by others."""
    return Graph(graph.nodes, tuple(new for arrow in graph.order for new in changes.get(arrow, (arrow,))))


def test_an_arrow_that_changes_what_it_carries():
    graph = plain_chain()
    (protocol, rule, state), (x, y) = start(graph), data_for(graph)
    _, plain = protocol.update(rule, state, x, y)
    loud = Protocol(rewired(graph, {Backward("W2", "tanh"): (Louder("W2", "tanh"),)}), Backprop())
    _, trail = loud.update(rule, state, x, y)
    np.testing.assert_allclose(trail["W1"]["delta"], 3 * plain["W1"]["delta"], rtol=1e-5)
    assert identical(trail["W2"], plain["W2"])


def test_direct_feedback_alignment_is_two_arrows():
    graph, shortcut = plain_chain(), Shortcut("loss", "tanh", width=2)
    graph = rewired(graph, {Backward("W2", "tanh"): (Silent("W2", "tanh"), shortcut)})
    (protocol, rule, state), (x, y) = start(graph), data_for(graph)
    p, x_, y_ = jax.tree.map(np.asarray, (state.parameters, x, y))
    h = np.tanh(x_ @ p["W1"])
    error = (h @ p["W2"] - y_) / BATCH
    _, trail = protocol.update(rule, state, x, y)
    np.testing.assert_allclose(trail["W2"]["delta"], -RATE * h.T @ error, atol=1e-6)
    np.testing.assert_allclose(trail["W1"]["delta"], -RATE * x_.T @ (error @ shortcut.matrix * (1 - h**2)), atol=1e-6)


def test_a_reflexive_arrow_of_ones_own():
    graph = plain_chain()
    (protocol, rule, state), (x, y) = start(graph), data_for(graph)
    plain, _ = protocol.update(rule, state, x, y)
    decaying = Protocol(Graph(graph.nodes, (*graph.order, Decay("W1", "W1"))), Backprop())
    new, _ = decaying.update(rule, state, x, y)
    np.testing.assert_allclose(new.parameters["W1"], 0.9 * plain.parameters["W1"], rtol=1e-6)
    assert identical(new.parameters["W2"], plain.parameters["W2"])


def test_an_arrow_must_say_what_it_sends():
    with pytest.raises(NotImplementedError, match=r"Arrow must say what it sends: define send\(\)"):
        Arrow("a", "b").send(None, NodeState(), None)


# ---- learners of one's own ----


class Pooled(Learner):
    """Its synapses read `S_ij = mean_b x_bi m_bj`, a statistic of the whole batch."""

    message: int = 2
    first_scale: float = 1.0

    @nn.compact
    def __call__(self, op, reads, carry):
        message, *own = reads
        if isinstance(op, Weight):
            weight, x = own
            statistic = (x * message).mean(axis=0)
            return Thought(None, jnp.tanh(Dense(1, name="f")(statistic))[..., 0], op.collect(message * weight))
        return Thought(None, None, Dense(self.message, name="g")(*reads))


def test_a_learner_that_pools_local_statistics_over_the_batch():
    graph = plain_chain()
    protocol, rule, state = start(graph, Pooled())
    rule = jax.tree.map(lambda leaf, other: leaf + other, rule._replace(statistics={}), random_rule(protocol)._replace(statistics={}))
    rule = rule._replace(statistics=protocol.new_rule(jax.random.key(0)).statistics)
    x, y = data_for(graph)
    new, trail = jit(protocol.update)(rule, state, x, y)
    heard = {"W2": trail["loss"]["message"], "W1": trail["tanh"]["message"]}
    inputs = {"W1": np.asarray(x), "W2": np.tanh(np.asarray(x) @ np.asarray(state.parameters["W1"]))}
    for name, message in heard.items():
        f = jax.tree.map(np.asarray, rule.learners[name]["f"])
        for i, j in np.ndindex(state.parameters[name].shape):
            statistic = sum(inputs[name][b, i] * np.asarray(message[b, j]) for b in range(BATCH)) / BATCH
            update = np.tanh(statistic @ f["W"] + f["b"])[0]
            assert float(trail[name]["delta"][i, j]) == pytest.approx(update * float(rule.scales[name]), abs=1e-6)

    def loss(rule):
        return protocol.loss(protocol.update(rule, state, x, y)[0], x, y)

    gradient = jit(jax.grad(loss))(rule).learners
    assert all(np.any(leaf != 0) for name in ("W1", "W2") for leaf in jax.tree.leaves(gradient[name]))


def test_an_operation_of_ones_own_shares_under_its_kind():
    ops = {"x": Input(2), "W1": dense(2, 2), "gain1": Gain(2), "W2": dense(2, 2), "gain2": Gain(2), "loss": losses.L2(2), "y": Target(2)}
    graph = build(ops, "x-W1 W1-gain1 gain1-W2 W2-gain2 gain2-loss y-loss")
    protocols = {sharing: Protocol(graph, GRU(), sharing) for sharing in ("none", "learners", "all")}
    rules = {sharing: jax.eval_shape(protocol.new_rule, jax.random.key(0)) for sharing, protocol in protocols.items()}
    assert set(rules["none"].learners) == {"W1", "gain1", "W2", "gain2", "loss"}
    assert set(rules["learners"].learners) == {"weight", "gain", "loss"}
    assert set(rules["learners"].scales) == {"W1", "gain1", "W2", "gain2"}
    assert set(rules["all"].scales) == {"weight", "gain"}


# ---- builders ----


def test_connect_fires_forward_then_seeds_then_backward_in_reverse():
    graph = build({"x": Input(1), "W": dense(1, 1), "add": Add(1), "loss": losses.L2(1), "y": Target(1)}, "x-W W-add x-add add-loss y-loss")
    assert graph.order == (
        *(Forward("x", "W"), Forward("W", "add", 0), Forward("x", "add", 1), Forward("add", "loss", 0), Forward("y", "loss", 1)),
        Seed("loss", "loss"),
        *(Backward("loss", "y", 1), Backward("loss", "add", 0), Backward("add", "x", 1), Backward("add", "W", 0), Backward("W", "x")),
    )
    assert graph.forward == graph.order[:5] and graph.seeds == graph.order[5:6]
    assert (graph.inputs, graph.targets, graph.losses, graph.outputs) == (("x",), ("y",), ("loss",), ("add",))
    assert graph.prediction == graph.order[:4]


def test_mlp_is_sequential():
    assert mlp(2, 3, 4, 1) == sequential(2, 3, "relu", 4, "relu", 1)
    assert mlp(2, 1) == sequential(2, 1)
    assert mlp(5, 3, 2, activation="sigmoid", loss="cross_entropy") == sequential(5, 3, "sigmoid", 2, "softmax", loss="cross_entropy")
    assert mlp(2, 3, 1, activation=jnp.sin, loss="l1", aggregate="sum") == sequential(2, 3, jnp.sin, 1, loss="l1", aggregate="sum")
    assert hash(mlp(2, 3, 1)) == hash(sequential(2, 3, "relu", 1))
    assert mlp(2, 3, 1) != mlp(2, 3, 1, aggregate="sum")


def test_sequential_names_its_nodes():
    graph = sequential(144, 50, "sigmoid", 10, "softmax", loss="cross_entropy")
    assert {node.name for node in graph.nodes} == set("x W1 b1 sigmoid1 W2 b2 softmax2 y loss".split())
    assert isinstance(graph.node("loss").op, losses.CrossEntropy) and graph.node("W1").op.shape == (144, 50)
    assert {node.aggregate for node in graph.nodes} == {"mean"} == {graph.node(name).op.aggregate for name in ("W1", "W2")}
    assert {node.aggregate for node in mlp(2, 3, 1, aggregate="sum").nodes} == {"sum"}


# ---- what cannot be ----

X, Y, LOSS = Node("x", Input(2)), Node("y", Target(2)), Node("loss", losses.L2(2))
W1, ADD = Node("W1", dense(2, 2)), Node("add", Add(2))

IMPOSSIBLE = {
    "widths differ": (
        lambda: connect([X, Node("W1", dense(3, 2)), LOSS, Y], [("x", "W1"), ("W1", "loss"), ("y", "loss")]),
        "Node 'W1' takes 3 units, but 'x' sends 2; make the widths equal",
    ),
    "names repeat": (
        lambda: connect([X, X, LOSS, Y], [("x", "loss"), ("y", "loss")]),
        r"Node names \['x', 'x', 'loss', 'y'\] repeat; give every node a name of its own",
    ),
    "unknown arrow end": (
        lambda: connect([X, LOSS, Y], [("x", "loss"), ("y", "loss"), ("z", "loss")]),
        r"Arrows name \['z'\], which are no nodes of this graph; its nodes are \['x', 'loss', 'y'\]",
    ),
    "unknown end of an arrow of one's own": (lambda: Graph((X,), (Decay("x", "W9"),)), r"Arrows name \['W9'\]"),
    "slot filled twice": (
        lambda: Graph((X, W1, ADD), (Forward("x", "W1"), Forward("x", "add", 0), Forward("W1", "add", 0))),
        r"Node 'add' has input slots \[0, 1\], but forward arrows fill \[0, 0\]; fill each slot once",
    ),
    "slot left empty": (
        lambda: connect([X, ADD, LOSS, Y], [("x", "add"), ("add", "loss"), ("y", "loss")]),
        r"Node 'add' has input slots \[0, 1\], but forward arrows fill \[0\]; fill each slot once",
    ),
    "one edge too many": (
        lambda: connect([X, W1, LOSS, Y], [("x", "W1"), ("x", "W1"), ("W1", "loss"), ("y", "loss")]),
        r"Node 'W1' has input slots \[0\], but forward arrows fill \[0, 1\]; fill each slot once",
    ),
    "nothing reaches a node": (lambda: connect([X, W1, LOSS, Y], [("x", "loss"), ("y", "loss")]), r"'W1' has input slots \[0\]"),
    "an input is a consumer": (lambda: Graph((X, Y), (Forward("x", "y"),)), r"Node 'y' has input slots \[\]"),
    "edges that cannot fire": (lambda: connect([X, W1, LOSS, Y], [("W1", "loss"), ("y", "loss"), ("x", "W1")]), "'W1'.*order"),
    "a loss that fires again without its target": (
        lambda: Graph(plain_chain().nodes, (*plain_chain().order, Forward("W2", "loss"), Seed("loss", "loss"))),
        "Node 'loss' fires before its inputs are there; change the order of arrows",
    ),
    "a node that nobody consumes": (
        lambda: connect([X, W1, LOSS, Y], [("x", "W1"), ("x", "loss"), ("y", "loss")]),
        "'W1'.*(nobody|nothing|no consumer)",
    ),
    "unknown node": (lambda: connect([X, LOSS, Y], [("x", "loss"), ("y", "loss")]).node("z"), "'z'"),
    "unknown aggregator of a node": (lambda: Node("x", Input(2), "median"), "'median' is unknown.*mean.*sum"),
    "an embedding that is a list": (
        lambda: Node("x", Input(2), embedding=[1.0]),
        r"embedding=\[1\.0\] was given; it must be a tuple of plain numbers, such as \(0\.0, 1\.0\)",
    ),
    "an embedding of words": (lambda: Node("x", Input(2), embedding=("a",)), r"embedding=\('a',\) was given; it must be a tuple"),
    "unknown aggregator": (lambda: mlp(1, 2, aggregate="max"), r"aggregate='max' is unknown; use one of \['mean', 'sum'\]"),
    "unknown loss": (lambda: mlp(1, 2, loss="huber"), r"loss='huber' is unknown; use one of \['l1', 'l2', 'cross_entropy'\]"),
    "unknown activation": (lambda: mlp(1, 2, 1, activation="selu"), "Activation 'selu' is unknown; use one of .*or pass a function"),
    "one width": (lambda: mlp(3), r"mlp was given widths \(3,\); it needs at least an input and an output width"),
    "no width": (lambda: mlp(), r"mlp was given widths \(\)"),
    "a width below 1": (lambda: mlp(2, 0, 1), "must be a whole number of at least 1"),
    "a width that is not whole": (lambda: mlp(2, 2.5, 1), r"2\.5 is unknown"),
}


@pytest.mark.parametrize("make, sentence", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_impossible_graphs(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
