"""Gradients beside messages: against `jax.grad`, and against gradient descent."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from helpers import jit, max_difference, noise, random_prior
from mplp_lite import GRU, Factored, Protocol, losses, mlp, weights
from mplp_lite.baselines import sgd
from mplp_lite.descent import Backprop
from mplp_lite.graph import Node, connect
from mplp_lite.learners import Learner, Stateless, Thought
from mplp_lite.nodes import Activation, Add, Bias, Convolution, Fired, Input, Operation, Softmax, Target, Weight

KEY, BATCH = jax.random.key(0), 4
SMALL = GRU(message=2, hidden=1, widths=(4,))


def labels(classes):
    return jax.nn.one_hot(jnp.arange(BATCH) % classes, classes)


def with_a_way_around():
    """A convolution whose features are heard twice, and a skip connection."""
    op = Convolution(side=4, window=2, stride=2, features=2)
    nodes = [
        Node("x", Input(16)),
        Node("y", Target(3)),
        Node("C", op),
        Node("d", Bias(8, 4)),
        Node("a", Activation(8, "tanh"), aggregate="sum"),
        Node("W", Weight(inputs=8, units=8)),
        Node("join", Add(8)),
        Node("V", Weight(inputs=8, units=3)),
        Node("softmax", Softmax(3)),
        Node("loss", losses.CrossEntropy(3)),
    ]
    chain = [
        ("x", "C"),
        ("C", "d"),
        ("d", "a"),
        ("a", "W"),
        ("a", "join"),
        ("W", "join"),
        ("join", "V"),
        ("V", "softmax"),
        ("softmax", "loss"),
    ]
    return connect(nodes, [*chain, ("y", "loss")])


GRAPHS = {
    "digits": mlp(6, 5, 3, activation="sigmoid", loss="cross_entropy"),
    "sinusoids": mlp(6, 5, 4, 3, activation="relu", loss="l2"),
    "absolute": mlp(6, 5, 3, activation="tanh", loss="l1"),
    "a way around": with_a_way_around(),
}
LEARNERS = {
    "gru": (SMALL, "frozen"),
    "stateless": (Stateless(message=2, widths=(4,)), "batch"),
    "factored": (Factored(message=2, hidden=1, widths=(4,)), "none"),
}


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("name", GRAPHS)
def test_what_goes_back_to_the_input_is_the_gradient(name, learner):
    speaks, normalizer = LEARNERS[learner]
    protocol = Protocol(GRAPHS[name], speaks, normalizer=normalizer, gradients=True)
    first = protocol.graph.node("x").op.units
    x, y = noise(1, BATCH, first), labels(3)
    state = protocol.begin(random_prior(protocol), BATCH)
    _, seen = jit(protocol.update)(protocol.new_rule(KEY), state, x, y)
    entry = "C" if "C" in seen else "W1"

    def loss(x):
        return sum(values.sum() for values in protocol.unit_losses(state, x, y).values())

    assert max_difference(seen[entry]["gradient"][..., 0], jax.grad(loss)(x)) < 1e-5
    assert seen[entry]["message"].shape == (BATCH, first, 2)


class Scaling(Learner):
    """Takes the gradient by its own parameter times a rate, and says nothing."""

    @nn.compact
    def __call__(self, op, reads, carry):
        message = jnp.zeros((*reads[0].shape[:1], op.incoming, self.message))
        if op.parameter_shape is None:
            return Thought(None, None, message)
        return Thought(None, -reads[-1][..., 0].mean(axis=0), message)


@pytest.mark.parametrize("name", ["digits", "sinusoids", "absolute"])
def test_who_only_scales_what_it_reads_descends(name):
    protocol = Protocol(GRAPHS[name], Scaling(first_scale=0.1), normalizer="none", gradients=True)
    descent = sgd(protocol.graph, 0.1)
    prior, rule = random_prior(protocol), protocol.new_rule(KEY)
    found, wanted = protocol.begin(prior, BATCH), descent.begin(prior, BATCH)
    for k in range(3):
        x, y = noise(k, BATCH, 6), labels(3)
        found, wanted = jit(protocol.update)(rule, found, x, y)[0], jit(descent.update)(None, wanted, x, y)[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found.parameters, wanted.parameters)
    assert isinstance(descent.optimizer, optax.GradientTransformation)


def test_message_and_derivative_are_standardized_apart():
    protocol = Protocol(GRAPHS["digits"], SMALL, gradients=True)
    plain = replace(protocol, gradients=False)
    pieces, without = ({name: len(s.norm) for name, s in p.new_rule(KEY).statistics.items()} for p in (protocol, plain))
    more = {name: 2 if name[0] in "Wb" else 1 for name in without} | {"loss": 0}
    assert pieces == {name: count + more[name] for name, count in without.items()}
    xs, ys = noise(2, 3, BATCH, 6), jnp.stack([labels(3)] * 3)
    rule = protocol.new_rule(KEY)
    measured = protocol.calibrate(rule, protocol.begin(random_prior(protocol), BATCH), xs, ys).statistics["W1"].norm
    assert measured[1] > 2 * measured[0], "derivatives are smaller than messages here"


def test_a_rule_knows_whether_it_reads_gradients(tmp_path):
    protocol = Protocol(GRAPHS["digits"], SMALL, gradients=True)
    rule = protocol.new_rule(KEY)
    weights.save(tmp_path / "rule.npz", rule, {}, protocol)
    jax.tree.map(np.testing.assert_array_equal, weights.load(tmp_path / "rule.npz", protocol), rule)
    plain = replace(protocol, gradients=False)
    with pytest.raises(weights.WeightsError, match="gradients True, not nothing"):
        weights.load(tmp_path / "rule.npz", plain)
    with pytest.raises(ValueError, match="made with gradients=True, but this protocol has False"):
        plain.adopt(rule, protocol)


class Product(Operation):
    """Two inputs, with derivatives that differ."""

    arity = 2

    def forward(self, parameter, x, other):
        return Fired(x * other, (x, other))


def test_what_cannot_be_is_refused():
    heard_twice = with_a_way_around()
    averaging = replace(heard_twice, nodes=tuple(replace(node, aggregate="mean") for node in heard_twice.nodes))
    with pytest.raises(ValueError, match="Node 'a' averages what its consumers say, but gradients add up"):
        Protocol(averaging, SMALL, gradients=True)
    with pytest.raises(ValueError, match="its messages are gradients already"):
        Protocol(mlp(2, 1, aggregate="sum"), Backprop(), normalizer="none", gradients=True)
    with pytest.raises(TypeError, match="gradients=1 was given"):
        Protocol(mlp(2, 1), SMALL, gradients=1)
    nodes = [Node("x", Input(3)), Node("y", Target(3)), Node("b", Bias(3)), Node("times", Product(3)), Node("loss", losses.L2(3))]
    product = connect(nodes, [("x", "b"), ("b", "times"), ("x", "times"), ("times", "loss"), ("y", "loss")])
    with pytest.raises(ValueError, match="Product has 2 inputs; register its descent.derivative"):
        Protocol(product, SMALL, gradients=True).new_rule(KEY)
