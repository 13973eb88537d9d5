"""Numbers that several entries or several nodes share: gains, convolutions, unrolled networks, against plain gradients."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import Gain, jit, max_difference, meta_losses, noise, random_prior, random_rule, refused
from mplp_lite import descent, losses
from mplp_lite.descent import Backprop, Momentum
from mplp_lite.graph import Node, connect
from mplp_lite.learners import GRU, Learner, Stateless, Thought
from mplp_lite.nodes import Activation, Bias, Fired, Input, Operation, Target, Weight
from mplp_lite.protocol import Protocol

RATE, BATCH, STEPS = 0.05, 4, 5
KEY = jax.random.key(0)
LEARNERS = {"gru": GRU(message=2, hidden=1, widths=(4,)), "stateless": Stateless(message=2, widths=(4,))}


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
tied = pytest.mark.parametrize("graph, predict", TIED.values(), ids=TIED.keys())


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


@tied
@pytest.mark.parametrize("learner, momentum", [(Backprop(first_scale=RATE), 0.0), (Momentum(first_scale=RATE), 0.9)])
def test_backprop_with_shared_numbers_is_sgd(graph, predict, learner, momentum):
    protocol = Protocol(graph, learner)
    prior, (xs, ys) = jax.tree.map(lambda values: 0.5 * values, random_prior(protocol)), lessons(graph)
    ours = learned(protocol, protocol.new_rule(KEY), prior, xs, ys)
    expected = descended(predict, prior, xs, ys, momentum)
    assert {name: values.shape for name, values in ours.items()} == protocol.parameter_shapes
    assert max_difference(ours, expected) < 1e-6
    assert all(max_difference(ours[name], prior[name]) > 1e-3 for name in prior)


@tied
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS.keys())
def test_learners_are_meta_trained_on_shared_numbers(graph, predict, learner):
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
