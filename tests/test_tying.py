"""Numbers that several entries or several nodes share: gains, convolutions, unrolled networks, against plain gradients."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import Gain, jit, max_difference, meta_losses, noise, random_prior, random_rule, refused
from mplp_lite import Factored, baselines, descent, losses
from mplp_lite.descent import Backprop, Momentum
from mplp_lite.graph import Node, connect
from mplp_lite.learners import GRU, Learner, Stateless, Thought
from mplp_lite.nodes import Activation, Add, Bias, Fired, Input, Operation, Target, Weight
from mplp_lite.protocol import Protocol

RATE, BATCH, STEPS = 0.05, 4, 5
KEY = jax.random.key(0)
LEARNERS = {"gru": GRU(message=2, hidden=1, widths=(4,), blocks=False), "stateless": Stateless(message=2, widths=(4,))}


@dataclass(frozen=True)
class SharedGain(Gain):
    """`y_u = s x_u`, one `s` for all units."""

    parameter_shape: ClassVar = (1,)

    def pool(self, updates):
        return updates.sum(axis=0, keepdims=True)


@dataclass(frozen=True)
class Convolution(Operation):
    """`y_o = sum_k w_k x_(o+k)`: what enters synapse `(o, k)` is weighed by `w_k`, wherever `o` is."""

    taps: int = 3
    kind: ClassVar[str] = "weight"

    @property
    def incoming(self):
        return self.units + self.taps - 1

    @property
    def shape(self):
        return (self.units, self.taps)

    @property
    def parameter_shape(self):
        return (self.taps,)

    @property
    def window(self):
        """`(o, k)`: the input of each synapse."""
        return np.arange(self.units)[:, None] + np.arange(self.taps)[None]

    def initial(self, key):
        return jnp.ones(self.taps)

    def forward(self, parameter, x):
        return Fired(x[:, self.window] @ parameter, (x,))

    def read(self, message, parameter, stored):
        return message[:, :, None], parameter[None, None, :, None], stored[0][:, self.window, None]

    def collect(self, messages):
        return jnp.zeros((len(messages), self.incoming, messages.shape[-1])).at[:, self.window].add(messages)

    def pool(self, updates):
        return updates.sum(axis=0)


descent.derivative.register(Convolution, lambda op, m, w, x: (m * x, m * w))


def chain(*ops):
    """A layered graph of `ops`, named by class and place, between an input and a squared loss."""
    named = {"x": Input(ops[0].incoming)} | {f"{type(op).__name__.lower()}{k}": op for k, op in enumerate(ops)}
    named |= {"loss": losses.L2(ops[-1].units), "y": Target(ops[-1].units)}
    names = [name for name in named if name != "y"]
    return connect([Node(name, op, "sum") for name, op in named.items()], [*zip(names, names[1:]), ("y", "loss")])


def dense(inputs, units):
    return Weight(inputs=inputs, units=units, aggregate="sum")


def gain_prediction(p, x):
    return jnp.tanh(p["sharedgain1"][0] * (x @ p["weight0"])) @ p["weight3"]


def convolution_prediction(p, x):
    def slide(x, kernel):
        return sum(w * x[:, k : x.shape[1] - len(kernel) + 1 + k] for k, w in enumerate(kernel))

    return slide(jnp.tanh(slide(x, p["convolution0"])), p["convolution2"]) + p["bias3"][None]


TIED = {
    "a gain for all units": (chain(dense(2, 3), SharedGain(3), Activation(3, "tanh"), dense(3, 2)), gain_prediction),
    "a convolution": (chain(Convolution(5), Activation(5, "tanh"), Convolution(4, taps=2), Bias(4)), convolution_prediction),
}
shared = pytest.mark.parametrize("graph, predict", TIED.values(), ids=TIED.keys())


def lessons(graph):
    """A fresh batch for each step, by name."""
    xs = {name: noise([1, k], STEPS, BATCH, graph.node(name).op.units) for k, name in enumerate(graph.inputs)}
    return xs, noise(2, STEPS, BATCH, graph.node("y").op.units)


def learned(protocol, rule, prior, xs, ys):
    """Parameters after all steps."""
    run = jit(partial(jax.lax.scan, lambda state, xy: (protocol.update(rule, state, *xy)[0], None)))
    return run(protocol.begin(prior, BATCH), (xs, ys))[0].parameters


def descended(predict, prior, xs, ys, momentum=0.0):
    """The same by `jax.grad` of a loss written out, and a velocity."""
    gradient = jax.jit(jax.grad(lambda p, x, y: (jnp.square(y - predict(p, x)) / 2).sum(axis=1).mean()))
    velocity = jax.tree.map(jnp.zeros_like, prior)
    for k in range(STEPS):
        slope = gradient(prior, next(iter(xs.values()))[k] if len(xs) == 1 else {name: x[k] for name, x in xs.items()}, ys[k])
        velocity = jax.tree.map(lambda v, g: momentum * v - RATE * g, velocity, slope)
        prior = jax.tree.map(jnp.add, prior, velocity)
    return prior


# ---- numbers shared within a node ----


@shared
@pytest.mark.parametrize("learner, momentum", [(Backprop(first_scale=RATE), 0.0), (Momentum(first_scale=RATE), 0.9)])
def test_backprop_with_shared_numbers_is_sgd(graph, predict, learner, momentum):
    protocol = Protocol(graph, learner)
    prior, (xs, ys) = jax.tree.map(lambda values: 0.5 * values, random_prior(protocol)), lessons(graph)
    ours = learned(protocol, protocol.new_rule(KEY), prior, xs, ys)
    expected = descended(predict, prior, xs, ys, momentum)
    assert {name: values.shape for name, values in ours.items()} == protocol.parameter_shapes
    assert max_difference(ours, expected) < 1e-6
    assert all(max_difference(ours[name], prior[name]) > 1e-3 for name in prior)


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS.keys())
def test_learners_are_meta_trained_on_shared_numbers(learner):
    graph = chain(Convolution(4), SharedGain(4), Activation(4, "tanh"), Convolution(3, taps=2))
    losses = meta_losses(Protocol(graph, learner))
    assert losses[-1] < 0.6 * losses[0]


def test_each_synapse_of_a_convolution_proposes_and_their_proposals_are_pooled():
    """One node, entry by entry."""
    op, learner = Convolution(3), LEARNERS["gru"]
    protocol = Protocol(chain(op), learner)
    rule, state, (xs, ys) = random_rule(protocol), protocol.begin(random_prior(protocol), BATCH), lessons(protocol.graph)
    new, trail = jit(protocol.update)(rule, state, xs["x"][0], ys[0])
    statistics, carry = rule.statistics["convolution0"], new.carries["convolution0"]
    assert carry.shape == (BATCH, 3, 3, 1 + 1 + 2)
    delta, message = np.zeros(3), np.zeros((BATCH, 5, 2))
    for o, k in np.ndindex(3, 3):
        delta[k] += (carry[:, o, k, 0].mean() - statistics.out_mean) * rule.scales["convolution0"]
        message[:, o + k] += carry[:, o, k, -2:]
    np.testing.assert_allclose(trail["convolution0"]["delta"], delta, atol=1e-6)
    np.testing.assert_allclose(trail["convolution0"]["message"], message, atol=1e-6)
    np.testing.assert_allclose(new.parameters["convolution0"], state.parameters["convolution0"] + delta, atol=1e-6)


class Careless(Learner):
    """Proposes one update for the whole node."""

    message: int = 2

    def __call__(self, op, reads, carry):
        return Thought(None, None if op.parameter_shape is None else jnp.ones((1,)), reads[0][..., :1] * jnp.ones((1, 1, 2)))


class NoPool(SharedGain):
    pool = Operation.pool


class NoRead(Convolution):
    read = Operation.read


class WrongPool(SharedGain):
    def pool(self, updates):
        return updates


REFUSED = {
    "no pool": (NoPool(3), GRU(), NotImplementedError, r"NoPool has entries .* \(3,\) and a parameter .* \(1,\), .* define pool\(\)"),
    "no read": (NoRead(3), GRU(), NotImplementedError, r"NoRead has entries .* \(3, 3\) and a parameter .* \(3,\), .* define read\(\)"),
    "no change": (WrongPool(3), GRU(), ValueError, r"'wrongpool0' have shape \(3,\), but its parameter has \(1,\); let the learner"),
    "one for all": (Bias(3), Careless(), ValueError, r"updates of node 'bias0' have shape \(1,\), but its parameter has \(3,\)"),
}


@pytest.mark.parametrize("op, learner, exception, sentence", REFUSED.values(), ids=REFUSED.keys())
def test_what_would_be_broadcast_is_refused(op, learner, exception, sentence):
    with refused(exception, sentence):
        Protocol(chain(op), learner).new_rule(KEY)


# ---- a parameter used by several nodes ----


def unrolled(*, aggregate="sum"):
    """`h_t = tanh(W_x x_t + W_h h_(t-1) + b)` for three steps, read out at the last; `h_0` is zero."""
    ops, ties, edges = {}, {}, []
    for t in "123":
        ops |= {f"x{t}": Input(2), f"Wx{t}": Weight(inputs=2, units=3, aggregate=aggregate)}
        ties[f"Wx{t}"] = "Wx1"
        edges += [(f"x{t}", f"Wx{t}")]
        into = f"Wx{t}"
        if t > "1":
            ops |= {f"Wh{t}": Weight(inputs=3, units=3, aggregate=aggregate), f"add{t}": Add(3)}
            ties[f"Wh{t}"] = "Wh2"
            edges += [(f"h{int(t) - 1}", f"Wh{t}"), (f"Wx{t}", f"add{t}"), (f"Wh{t}", f"add{t}")]
            into = f"add{t}"
        ops |= {f"b{t}": Bias(3), f"h{t}": Activation(3, "tanh")}
        ties |= {f"b{t}": "b1", f"h{t}": "h1"}
        edges += [(into, f"b{t}"), (f"b{t}", f"h{t}")]
    ops |= {"Wo": Weight(inputs=3, units=2, aggregate=aggregate), "loss": losses.L2(2), "y": Target(2)}
    edges += [("h3", "Wo"), ("Wo", "loss"), ("y", "loss")]
    nodes = [Node(name, op, aggregate, tied_to="" if ties.get(name) == name else ties.get(name, "")) for name, op in ops.items()]
    return connect(nodes, edges)


def unrolled_prediction(p, x):
    h = jnp.zeros((BATCH, 3))
    for t in "123":
        h = jnp.tanh(x[f"x{t}"] @ p["Wx1"] + h @ p["Wh2"] + p["b1"][None])
    return h @ p["Wo"]


SHAPES = {"Wx1": (2, 3), "b1": (3,), "Wh2": (3, 3), "Wo": (3, 2)}


@pytest.mark.parametrize("learner, momentum", [(Backprop(first_scale=RATE), 0.0), (Momentum(first_scale=RATE), 0.9)])
def test_backprop_through_an_unrolled_network_is_sgd(learner, momentum):
    protocol = Protocol(unrolled(), learner)
    prior, (xs, ys) = jax.tree.map(lambda values: 0.5 * values, random_prior(protocol)), lessons(protocol.graph)
    ours = learned(protocol, protocol.new_rule(KEY), prior, xs, ys)
    assert {name: values.shape for name, values in ours.items()} == SHAPES == protocol.parameter_shapes
    assert max_difference(ours, descended(unrolled_prediction, prior, xs, ys, momentum)) < 1e-6
    assert all(max_difference(ours[name], prior[name]) > 1e-3 for name in prior)


def test_an_unrolled_network_predicts_with_the_one_parameter():
    protocol = Protocol(unrolled(), Backprop())
    prior, (xs, _) = random_prior(protocol), lessons(protocol.graph)
    x = {name: values[0] for name, values in xs.items()}
    baseline = baselines.sgd(protocol.graph)
    for network in (protocol, baseline):
        np.testing.assert_allclose(network.predict(network.begin(prior, BATCH), x), unrolled_prediction(prior, x), atol=1e-6)
    assert {name: values.shape for name, values in protocol.prior(KEY).items()} == SHAPES


@pytest.mark.parametrize("sharing", ["none", "learners", "all", "kinds"])
def test_tied_nodes_share_learners_and_scales_but_not_carries_and_their_changes_add_up(sharing):
    protocol = Protocol(unrolled(), LEARNERS["gru"], sharing)
    rule, state, (xs, ys) = random_rule(protocol), protocol.begin(random_prior(protocol), BATCH), lessons(protocol.graph)
    if sharing == "none":
        assert set(rule.learners) == {*SHAPES, "h1", "add2", "add3", "loss"} and set(rule.scales) == set(SHAPES)
    new, trail = jit(protocol.update)(rule, state, jax.tree.map(lambda values: values[0], xs), ys[0])
    assert set(state.parameters) == set(SHAPES)
    assert set(new.carries) == set(state.carries) == {node.name for node in protocol.graph.nodes if node.op.learns}
    users = {"Wx1": ["Wx1", "Wx2", "Wx3"], "b1": ["b1", "b2", "b3"], "Wh2": ["Wh2", "Wh3"], "Wo": ["Wo"]}
    for name, tied in users.items():
        added = sum(trail[user]["delta"] for user in tied)
        np.testing.assert_allclose(new.parameters[name], state.parameters[name] + added, atol=1e-6)
        assert all(max_difference(new.carries[user], new.carries[tied[0]]) > 1e-3 for user in tied[1:])


def test_updates_with_a_size_of_their_own_are_averaged_over_users():
    protocol = Protocol(unrolled(), Factored(message=2, hidden=2, widths=(4,)), "kinds", "none")
    rule, state, (xs, ys) = protocol.new_rule(KEY), protocol.begin(random_prior(protocol), BATCH), lessons(protocol.graph)
    new, trail = jit(protocol.update)(rule, state, jax.tree.map(lambda values: values[0], xs), ys[0])
    for name, tied in {"Wx1": ["Wx1", "Wx2", "Wx3"], "b1": ["b1", "b2", "b3"], "Wh2": ["Wh2", "Wh3"], "Wo": ["Wo"]}.items():
        mean = sum(trail[user]["delta"] for user in tied) / len(tied)
        assert jnp.abs(mean).max() > 1e-4
        np.testing.assert_allclose(new.parameters[name], state.parameters[name] + mean, atol=1e-6)


def test_during_a_step_every_user_reads_the_old_value():
    """Step 1's weights speak last, yet propose what they would if steps 2 and 3 had not moved theirs."""
    protocol = Protocol(unrolled(), LEARNERS["stateless"])
    rule, (xs, ys) = random_rule(protocol), lessons(protocol.graph)
    state, x = protocol.begin(random_prior(protocol), BATCH), jax.tree.map(lambda values: values[0], xs)
    _, trail = jit(protocol.update)(rule, state, x, ys[0])
    parameter, heard = state.parameters["Wx1"], trail["b1"]["message"]
    reads = Weight(inputs=2, units=3).read(heard, parameter, (x["x1"],))
    s = rule.statistics["Wx1"]
    reads = [(piece + s.mean_zeroer[k]) * s.norm[k] for k, piece in enumerate(reads)]
    thought = protocol.learner.apply({"params": rule.learners["Wx1"]}, Weight(inputs=2, units=3), tuple(reads), None)
    np.testing.assert_allclose(trail["Wx1"]["delta"], (thought.update - s.out_mean) * rule.scales["Wx1"], atol=1e-6)


def test_a_learned_rule_is_meta_trained_on_an_unrolled_network():
    losses = meta_losses(Protocol(unrolled(aggregate="mean"), LEARNERS["gru"], "learners"))
    assert losses[-1] < 0.6 * losses[0]


def tied(name, op, to):
    """A chain in which a second node is tied to some other."""
    ops = {"x": Input(3), "W1": dense(3, 3), name: op, "W3": dense(3, 3), "loss": losses.L2(3), "y": Target(3)}
    nodes = [Node(n, op, tied_to=to if n == name else "W2" if n == "W3" and name == "W2" and to == "W1" else "") for n, op in ops.items()]
    return connect(nodes, [("x", "W1"), ("W1", name), (name, "W3"), ("W3", "loss"), ("y", "loss")])


UNTIED = {
    "nobody": (lambda: tied("b", Bias(3), "a"), r"Node 'b' is tied to 'a', which is no node that has its own; use one of \['W1', "),
    "tied itself": (lambda: tied("W2", dense(3, 3), "W1"), "Node 'W3' is tied to 'W2', which is no node that has its own; use one of"),
    "another shape": (
        lambda: tied("W2", Convolution(3, taps=1), "W1"),
        r"Node 'W2' is \('weight', \(3, 1\), \(1,\)\), but 'W1', which it is tied to, is \('weight', \(3, 3\), \(3, 3\)\); make kind and",
    ),
    "another kind": (lambda: tied("b", Bias(3), "W1"), r"Node 'b' is \('bias', \(3,\), \(3,\)\), but 'W1', .* is \('weight'"),
}


@pytest.mark.parametrize("make, sentence", UNTIED.values(), ids=UNTIED.keys())
def test_ties_that_cannot_be(make, sentence):
    with refused(ValueError, sentence):
        make()
