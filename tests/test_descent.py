"""Gradient descent, momentum and feedback alignment as protocols, against jax.grad with optax and against plain loops."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import Gain, identical, jit, max_difference, noise, random_prior, refused, wide
from mplp_lite import baselines, losses
from mplp_lite.descent import Backprop, FeedbackAlignment, Momentum, derivative
from mplp_lite.graph import Node, connect, mlp, sequential
from mplp_lite.nodes import Activation, Add, Bias, Fired, Input, Loss, Operation, Target, Weight
from mplp_lite.protocol import Protocol

BATCH, STEPS, RATE = 4, 40, 0.1
KEY = jax.random.key(0)


def centred(x):
    """An activation that looks at its whole layer."""
    return x - jnp.tanh(x).mean(axis=-1, keepdims=True)


ACTIVATIONS = {
    "relu": lambda x: jnp.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + jnp.exp(-x)),
    "tanh": jnp.tanh,
    "step": lambda x: jnp.where(x > 0, 1.0, 0.0),
    jnp.sin: jnp.sin,
    centred: centred,
}
LOSSES = {
    "l2": lambda p, y: jnp.square(p - y) / 2,
    "l1": lambda p, y: jnp.abs(p - y),
    "cross_entropy": lambda p, y: -y * jnp.log(jnp.clip(p, 1e-7, 1 - 1e-7)),
}
TOLERANCES = {"float32": (False, 1e-6), "float64": (True, 1e-10)}
precisions = pytest.mark.parametrize("double, tolerance", TOLERANCES.values(), ids=TOLERANCES.keys())


def lessons(inputs, outputs, one_hot=False, steps=STEPS):
    """A fresh batch for each step."""
    xs, ys = noise(1, steps, BATCH, inputs), noise(2, steps, BATCH, outputs)
    return xs, jax.nn.one_hot(ys.argmax(-1), outputs, dtype=ys.dtype) if one_hot else ys


def learned(network, rule, prior, xs, ys):
    """The state after a whole run."""
    run = jit(partial(jax.lax.scan, lambda state, xy: (network.update(rule, state, *xy)[0], None)))
    return run(network.begin(prior, BATCH), (xs, ys))[0]


def descended(objective, optimizer, prior, xs, ys):
    """Parameters and the optimizer's state after the same run, by `jax.grad` and optax."""

    def step(state, xy):
        updates, memory = optimizer.update(jax.grad(objective)(state[0], *xy), state[1])
        return (optax.apply_updates(state[0], updates), memory), None

    return jit(partial(jax.lax.scan, step))((prior, optimizer.init(prior)), (xs, ys))[0]


def objective_of(activation, loss, depth=3):
    """The loss of a layered network, written out, summed over units and averaged over the batch."""

    def objective(p, x, y):
        for layer in range(1, depth + 1):
            x = x @ p[f"W{layer}"] + p[f"b{layer}"][None]
            x = ACTIVATIONS[activation](x) if layer < depth else x
        if loss == "cross_entropy":
            x = jnp.exp(x) / jnp.exp(x).sum(axis=-1, keepdims=True)
        return LOSSES[loss](x, y).sum(axis=-1).mean()

    return objective


def relative(ours, theirs):
    """The largest difference of any parameter, in units of its largest entry."""
    return max(max_difference(ours[name], theirs[name]) / np.abs(np.asarray(theirs[name])).max() for name in theirs)


# ---- gradient descent ----


@precisions
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: getattr(a, "__name__", a))
def test_backprop_is_sgd(activation, loss, double, tolerance):
    with wide(double):
        protocol = Protocol(mlp(3, 5, 4, 3, activation=activation, loss=loss, aggregate="sum"), Backprop(first_scale=RATE))
        prior = jax.tree.map(lambda values: 0.7 * values, random_prior(protocol))
        data = lessons(3, 3, one_hot=loss == "cross_entropy")
        expected, _ = descended(objective_of(activation, loss), optax.sgd(RATE), prior, *data)
        ours = learned(protocol, protocol.new_rule(KEY), prior, *data)
    assert ours.carries == {}
    assert relative(ours.parameters, expected) < tolerance
    still = {"W1", "b1", "W2", "b2"} if activation == "step" else set()
    assert {name for name in prior if identical(ours.parameters[name], prior[name])} == still
    assert all(max_difference(ours.parameters[name], prior[name]) > 3e-3 for name in prior if name not in still)


def test_where_the_clip_holds_a_prediction_no_gradient_passes():
    protocol = Protocol(sequential(1, 3, lambda x: x, loss="cross_entropy", aggregate="sum"), Backprop())
    prior = {"W1": jnp.array([[-1.0, 0.5, 2.0]]), "b1": jnp.zeros(3)}
    _, trail = protocol.update(protocol.new_rule(KEY), protocol.begin(prior, 1), jnp.ones((1, 1)), jnp.array([[2.0, 3.0, 4.0]]))
    np.testing.assert_allclose(trail["loss"]["message"][0, :, 0], [0, -6, 0], rtol=1e-6)
    np.testing.assert_allclose(trail["b1"]["delta"], [0, 0.6, 0], rtol=1e-6)


def test_learning_rates_can_be_meta_trained():
    """The slope of the loss after a step by a node's learning rate is minus the product of gradients after and before."""
    with wide(True):
        protocol = Protocol(mlp(2, 3, 1, activation="tanh", aggregate="sum"), Backprop())
        start, rule = protocol.begin(random_prior(protocol), BATCH), protocol.new_rule(KEY)
        x, y = noise(1, BATCH, 2), noise(2, BATCH, 1)
        slopes = jit(jax.grad(lambda rule: protocol.loss(protocol.update(rule, start, x, y)[0], x, y)))(rule).scales
        gradient = jit(jax.grad(objective_of("tanh", "l2", depth=2)))
        before = gradient(start.parameters, x, y)
        after = gradient(jit(protocol.update)(rule, start, x, y)[0].parameters, x, y)
    for name, slope in slopes.items():
        assert float(slope) == pytest.approx(-np.vdot(before[name], after[name]), rel=1e-9)


# ---- momentum ----


@precisions
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_momentum_is_optax_momentum_and_its_trace_is_the_mean_carry(momentum, double, tolerance):
    with wide(double):
        protocol = Protocol(mlp(3, 5, 4, 3, activation="tanh", aggregate="sum"), Momentum(first_scale=0.01, momentum=momentum))
        prior = jax.tree.map(lambda values: 0.5 * values, random_prior(protocol))
        data = lessons(3, 3)
        expected, memory = descended(objective_of("tanh", "l2"), optax.sgd(0.01, momentum), prior, *data)
        ours = learned(protocol, protocol.new_rule(KEY), prior, *data)
    assert relative(ours.parameters, expected) < tolerance
    assert {name: carry.shape for name, carry in ours.carries.items()} == {name: (BATCH, *v.shape, 1) for name, v in prior.items()}
    traces = jax.tree.map(lambda carry: -np.asarray(carry)[..., 0].mean(axis=0), ours.carries)
    assert relative(traces, memory[0].trace) < 30 * tolerance


# ---- feedback alignment ----


def feedback_loop(p, ways_back, x, y, rate):
    """One step of a tanh network with squared error, one example and one synapse at a time."""
    depth = len(p) // 2
    new = {name: value.copy() for name, value in p.items()}
    for example, target in zip(x, y, strict=True):
        layers = [example]
        for k in range(1, depth + 1):
            z = layers[-1] @ p[f"W{k}"] + p[f"b{k}"]
            layers.append(z if k == depth else np.tanh(z))
        message = layers[-1] - target
        for k in range(depth, 0, -1):
            below, sent = layers[k - 1], np.zeros(len(layers[k - 1]))
            for i, j in np.ndindex(p[f"W{k}"].shape):
                new[f"W{k}"][i, j] -= rate * message[j] * below[i] / len(x)
                sent[i] += message[j] * ways_back[k][i, j]
            new[f"b{k}"] -= rate * message / len(x)
            message = sent * (1 - below**2)
    return new


@precisions
def test_feedback_alignment_is_a_plain_loop(double, tolerance):
    with wide(double):
        protocol = Protocol(mlp(3, 5, 4, 2, activation="tanh", aggregate="sum"), FeedbackAlignment(first_scale=RATE))
        rule, prior = protocol.new_rule(KEY), random_prior(protocol)
        xs, ys = lessons(3, 2, steps=15)
        ours = learned(protocol, rule, prior, xs, ys)
        exact = Protocol(protocol.graph, Backprop(first_scale=RATE))
        exact = learned(exact, exact.new_rule(KEY), prior, xs, ys)
    ways_back = {k: np.asarray(rule.learners[f"W{k}"]["B"], np.float64) for k in (1, 2, 3)}
    expected = jax.tree.map(lambda value: np.asarray(value, np.float64), prior)
    for x, y in zip(np.asarray(xs, np.float64), np.asarray(ys, np.float64), strict=True):
        expected = feedback_loop(expected, ways_back, x, y, RATE)
    assert relative(ours.parameters, expected) < 10 * tolerance
    assert max_difference(ours.parameters["W1"], exact.parameters["W1"]) > 0.1


def test_its_ways_back_are_drawn_for_each_weight_node_and_key():
    protocol = Protocol(sequential(30, 30, 30, aggregate="sum"), FeedbackAlignment(deviation=0.3))
    drawn, other = protocol.new_rule(KEY).learners, protocol.new_rule(jax.random.key(1)).learners
    assert {name for name, parameters in drawn.items() if parameters} == {"W1", "W2"}
    assert all(float(drawn[name]["B"].std()) == pytest.approx(0.3, rel=0.1) for name in ("W1", "W2"))
    assert (drawn["W1"]["B"] != drawn["W2"]["B"]).all() and (drawn["W1"]["B"] != other["W1"]["B"]).all()


def test_with_its_weights_as_the_way_back_it_is_backprop():
    graph = mlp(3, 4, 2, aggregate="sum")
    backprop, feedback = Protocol(graph, Backprop()), Protocol(graph, FeedbackAlignment())
    start, (xs, ys) = backprop.begin(random_prior(backprop), BATCH), lessons(3, 2, steps=1)
    rule = feedback.new_rule(KEY)
    rule = rule._replace(learners=rule.learners | {name: {"B": start.parameters[name]} for name in ("W1", "W2")})
    ours = jit(feedback.update)(rule, start, xs[0], ys[0])
    assert max_difference(ours, jit(backprop.update)(backprop.new_rule(KEY), start, xs[0], ys[0])) < 1e-7


def test_without_a_way_back_only_the_last_layer_learns():
    protocol = Protocol(mlp(3, 4, 2, aggregate="sum"), FeedbackAlignment(deviation=0.0))
    prior = random_prior(protocol)
    ours = learned(protocol, protocol.new_rule(KEY), prior, *lessons(3, 2)).parameters
    assert {name for name in prior if identical(ours[name], prior[name])} == {"W1", "b1"}


# ---- other graphs and operations ----


def skip_connection():
    """Layer 1 speaks to layer 2 and, past it, to the sum."""
    ops = {
        "x": Input(2), "W1": Weight(units=3, inputs=2, aggregate="sum"), "tanh": Activation(3, "tanh"),
        "W2": Weight(units=3, inputs=3, aggregate="sum"), "b2": Bias(3), "add": Add(3), "W3": Weight(units=2, inputs=3, aggregate="sum"),
        "loss": losses.L2(2), "y": Target(2),
    }
    edges = "x-W1 W1-tanh tanh-W2 W2-b2 b2-add tanh-add add-W3 W3-loss y-loss"
    return connect([Node(name, op, "sum") for name, op in ops.items()], [edge.split("-") for edge in edges.split()])


def skip_objective(p, x, y):
    h = jnp.tanh(x @ p["W1"])
    return (jnp.square(y - (h @ p["W2"] + p["b2"][None] + h) @ p["W3"]) / 2).sum(axis=-1).mean()


@precisions
@pytest.mark.parametrize("learner, momentum", [(Backprop, None), (Momentum, 0.9)], ids=["sgd", "momentum"])
def test_a_skip_connection(learner, momentum, double, tolerance):
    with wide(double):
        protocol = Protocol(skip_connection(), learner(first_scale=0.01))
        prior = jax.tree.map(lambda values: 0.5 * values, random_prior(protocol))
        data = lessons(2, 2)
        expected, _ = descended(skip_objective, optax.sgd(0.01, momentum), prior, *data)
        ours = learned(protocol, protocol.new_rule(KEY), prior, *data)
    assert relative(ours.parameters, expected) < tolerance


@dataclass(frozen=True)
class Huber(Loss):
    """Squared near the target, absolute far from it."""

    def forward(self, parameter, prediction, target):
        far = jnp.abs(target - prediction)
        return Fired(jnp.where(far < 1, far**2 / 2, far - 0.5), (prediction, target))


@pytest.mark.parametrize("learner, optimizer", [(Backprop(), optax.sgd(0.1)), (Momentum(), optax.sgd(0.1, 0.9))], ids=["sgd", "momentum"])
def test_operations_of_ones_own(learner, optimizer):
    ops = {"x": Input(2), "W": Weight(units=2, inputs=2, aggregate="sum"), "gain": Gain(2), "loss": Huber(2), "y": Target(2)}
    edges = [("x", "W"), ("W", "gain"), ("gain", "loss"), ("y", "loss")]
    graph = connect([Node(name, op, "sum") for name, op in ops.items()], edges)
    protocol, baseline = Protocol(graph, learner), baselines.GradientDescent(graph, optimizer)
    prior, data = random_prior(protocol), lessons(2, 2, steps=6)
    ours = learned(protocol, protocol.new_rule(KEY), prior, *data).parameters
    assert relative(ours, learned(baseline, None, prior, *data).parameters) < 1e-6
    assert all(max_difference(ours[name], prior[name]) > 1e-2 for name in prior)


@dataclass(frozen=True)
class Secretive(Operation):
    """Stores nothing."""

    def forward(self, parameter, x):
        return Fired(-x, ())


# ---- what is refused ----


def test_messages_of_another_size():
    with refused(ValueError, "message=8 was given; a derivative is one number, so message is 1 here"):
        Momentum(message=8)


@pytest.mark.parametrize("learner", [Backprop(), Momentum(), FeedbackAlignment()])
def test_messages_that_are_averaged(learner):
    with refused(ValueError, "A weight node has aggregate='mean', but derivatives add up; build it with aggregate='sum'"):
        Protocol(mlp(2, 3, 1), learner).new_rule(KEY)


def test_one_way_back_for_different_weight_nodes():
    protocol = Protocol(mlp(2, 3, 1, aggregate="sum"), FeedbackAlignment(), sharing="learners")
    with refused(ValueError, "Weight nodes of different shapes cannot share one way back; use sharing='none'"):
        protocol.new_rule(KEY)


def test_an_operation_that_does_not_store_its_inputs():
    ops = {"x": Input(2), "secret": Secretive(2), "loss": losses.L2(2), "y": Target(2)}
    graph = connect([Node(name, op) for name, op in ops.items()], [("x", "secret"), ("secret", "loss"), ("y", "loss")])
    with refused(ValueError, "Secretive does not store its 1 inputs; let it, or register its descent.derivative"):
        Protocol(graph, Backprop()).new_rule(KEY)
    derivative.register(Secretive, lambda op, message, _: (None, -message))
    Protocol(graph, Backprop()).new_rule(KEY)
