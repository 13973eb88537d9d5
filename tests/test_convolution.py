"""Weights that are shared over places of an image: against JAX's own convolution, plain loops, and layers of single places."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import jit, max_difference, noise, random_prior, refused
from mplp_lite import Factored, losses
from mplp_lite.baselines import started
from mplp_lite.descent import Backprop, FeedbackAlignment, Momentum
from mplp_lite.graph import Node, connect
from mplp_lite.learners import GRU, Stateless
from mplp_lite.nodes import Activation, Bias, Convolution, Input, Softmax, Target, Weight
from mplp_lite.protocol import Protocol

RATE, BATCH, STEPS = 0.05, 4, 5
KEY = jax.random.key(0)


def chain(*ops):
    """A layered graph of `ops` between an input and a cross-entropy, nodes named by kind and place."""
    names = ["x", *(f"{op.kind}{k}" for k, op in enumerate(ops)), "loss"]
    parts = [Input(ops[0].incoming), *ops, losses.CrossEntropy(ops[-1].units)]
    nodes = [*map(Node, names, parts), Node("y", Target(ops[-1].units))]
    return connect(nodes, [*zip(names, names[1:]), ("y", "loss")])


def two_layers(aggregate="sum"):
    """6 by 6 pixels, 3 features at 3 by 3 places that overlap, 4 at 2 by 2, and 5 classes."""
    first = Convolution(side=6, window=2, stride=2, features=3, aggregate=aggregate)
    second = Convolution(side=3, channels=3, window=2, features=4, aggregate=aggregate)
    convolved = (layer for op in (first, second) for layer in (op, Bias(op.units, op.places), Activation(op.units, "tanh")))
    return chain(*convolved, Weight(inputs=16, units=5, aggregate=aggregate), Bias(5), Softmax(5))


def convolved(x, kernel, side, channels, window, stride):
    """`(b, units)` by `jax.lax`."""
    images = x.reshape(-1, side, side, channels)
    kernel = kernel.reshape(window, window, channels, -1)
    out = jax.lax.conv_general_dilated(images, kernel, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return out


def predicted(p, x):
    """What `two_layers` says."""
    hidden = jnp.tanh(convolved(x, p["weight0"], 6, 1, 2, 2) + p["bias1"][None, None, None])
    hidden = jnp.tanh(convolved(hidden, p["weight3"], 3, 3, 2, 1) + p["bias4"][None, None, None])
    return jax.nn.softmax(hidden.reshape(len(x), -1) @ p["weight6"] + p["bias7"][None])


def lessons(inputs=36, classes=5):
    """A fresh batch for each step."""
    labels = jax.random.randint(jax.random.key(3), (STEPS, BATCH), 0, classes)
    return noise(2, STEPS, BATCH, inputs), jax.nn.one_hot(labels, classes)


def learned(protocol, rule, prior, xs, ys):
    """The state after all steps."""
    run = jit(partial(jax.lax.scan, lambda state, xy: (protocol.update(rule, state, *xy)[0], None)))
    return run(protocol.begin(prior, BATCH), (xs, ys))[0]


@pytest.mark.parametrize("sizes", [(6, 1, 2, 2), (5, 2, 3, 1), (7, 1, 3, 3), (4, 3, 4, 1), (6, 2, 1, 1)])
def test_it_convolves(sizes):
    side, channels, window, stride = sizes
    op = Convolution(side=side, channels=channels, window=window, stride=stride, features=3)
    x, w = noise(0, BATCH, op.incoming), noise(1, *op.shape)
    expected = convolved(x, w, *sizes)
    assert expected.shape == (BATCH, op.places_a_side, op.places_a_side, 3) and op.units == op.places * 3
    np.testing.assert_allclose(op.forward(w, x).output, expected.reshape(BATCH, -1), atol=1e-5)


@pytest.mark.parametrize("learner, momentum", [(Backprop(first_scale=RATE), 0.0), (Momentum(first_scale=RATE), 0.9)])
def test_backprop_through_it_is_gradient_descent(learner, momentum):
    protocol = Protocol(two_layers(), learner)
    prior, (xs, ys) = random_prior(protocol), lessons()
    ours = learned(protocol, protocol.new_rule(KEY), prior, xs, ys).parameters
    gradient = jax.jit(jax.grad(lambda p, x, y: -(y * jnp.log(predicted(p, x))).sum(axis=1).mean()))
    velocity = jax.tree.map(jnp.zeros_like, prior)
    for x, y in zip(xs, ys):
        velocity = jax.tree.map(lambda v, g: momentum * v - RATE * g, velocity, gradient(prior, x, y))
        prior = jax.tree.map(jnp.add, prior, velocity)
    assert max_difference(ours, prior) < 2e-5


def test_feedback_alignment_has_its_own_way_back_through_it():
    protocol = Protocol(two_layers(), FeedbackAlignment(first_scale=RATE))
    rule = protocol.new_rule(KEY)
    assert rule.learners["weight3"]["B"].shape == (12, 4)
    prior, (xs, ys) = random_prior(protocol), lessons()
    other = Protocol(two_layers(), Backprop(first_scale=RATE))
    found = [learned(p, p.new_rule(KEY), prior, xs[:1], ys[:1]).parameters for p in (protocol, other)]
    np.testing.assert_allclose(found[0]["weight6"], found[1]["weight6"], atol=1e-6)
    assert max_difference(found[0]["weight3"], found[1]["weight3"]) > 1e-5


@pytest.mark.parametrize("aggregate", ["mean", "sum"])
def test_messages_are_collected_from_all_synapses_of_an_input(aggregate):
    apart = Convolution(side=4, channels=2, window=2, stride=2, features=3, aggregate=aggregate)
    overlapping = Convolution(side=4, channels=1, window=3, features=2, aggregate=aggregate)
    leaving_out = Convolution(side=5, window=2, stride=2, features=1, aggregate=aggregate)
    for op in (apart, overlapping, leaving_out):
        messages = np.asarray(noise(0, BATCH * op.places, *op.shape, 2))
        heard = [[[] for _ in range(op.incoming)] for _ in range(BATCH)]
        for slot, window in enumerate(messages):
            b, place = divmod(slot, op.places)
            row, column = (op.stride * at for at in divmod(place, op.places_a_side))
            for i in range(op.shape[0]):
                pixel, channel = divmod(i, op.channels)
                down, right = divmod(pixel, op.window)
                unit = ((row + down) * op.side + column + right) * op.channels + channel
                heard[b][unit] += list(window[i])
        pooled = {"mean": np.mean, "sum": np.sum}[aggregate]
        expected = [[pooled(said, axis=0) if said else np.zeros(2) for said in units] for units in heard]
        np.testing.assert_allclose(op.collect(jnp.asarray(messages)), expected, atol=1e-5)


LEARNERS = {
    "gru": (GRU(message=2, hidden=1, widths=(4,)), "frozen"),
    "stateless": (Stateless(message=2, widths=(4,)), "frozen"),
    "factored": (Factored(message=2, hidden=2, widths=(4,)), "none"),
}


@pytest.mark.parametrize("learner, normalizer", LEARNERS.values(), ids=LEARNERS)
def test_with_a_single_place_it_is_a_layer_of_weights(learner, normalizer):
    """The window sees all: nothing is left of the convolution."""
    above = Bias(3), Activation(3, "tanh"), Weight(inputs=3, units=5), Bias(5), Softmax(5)
    alike = [chain(op, *above) for op in (Convolution(side=4, window=4, features=3), Weight(inputs=16, units=3))]
    protocols = [Protocol(graph, learner, normalizer=normalizer) for graph in alike]
    prior, (xs, ys), rule = random_prior(protocols[0]), lessons(16), protocols[0].new_rule(KEY)
    ends = [learned(protocol, rule, prior, xs, ys) for protocol in protocols]
    assert max_difference(*ends) < 1e-6


@pytest.mark.parametrize("learner, normalizer", LEARNERS.values(), ids=LEARNERS)
def test_places_count_as_examples(learner, normalizer):
    """A layer that is asked at four places of two images learns as one that is asked for eight images of one place each."""
    apart = chain(Convolution(side=2, window=1, features=5), Bias(20, 4), Softmax(20))
    together = chain(Weight(inputs=1, units=5), Bias(5), Softmax(5))
    x, message = noise(0, 2, 4), noise(1, 2, 20, 2)
    protocols = [Protocol(graph, learner, normalizer=normalizer) for graph in (apart, together)]
    rule, prior = protocols[1].new_rule(KEY), random_prior(protocols[1])
    for name in ("weight0", "bias1"):
        thoughts = []
        for protocol, slots in zip(protocols, (2, 8)):
            op = protocol.graph.node(name).op
            inputs = x.reshape(slots, -1) if name == "weight0" else noise(2, 40).reshape(slots, -1)
            stored = op.forward(prior[name], inputs).stored
            reads = op.read(message.reshape(slots, op.units, 2), prior[name], stored)
            carry = learner.first_carry(op, slots)
            thoughts.append(learner.apply({"params": rule.learners[name]}, op, reads, carry))
        assert max_difference(thoughts[0].update, thoughts[1].update) < 1e-6
        assert max_difference(thoughts[0].message.reshape(-1), thoughts[1].message.reshape(-1)) < 1e-6
        if thoughts[0].carry is not None:
            assert max_difference(thoughts[0].carry, thoughts[1].carry) < 1e-6


def test_a_rule_for_dense_layers_serves_it():
    dense = chain(Weight(inputs=16, units=3), Bias(3), Activation(3, "tanh"), Weight(inputs=3, units=5), Bias(5), Softmax(5))
    home = Protocol(dense, Factored(message=2, hidden=2, widths=(4,)), "kinds", "none")
    away = Protocol(two_layers("mean"), home.learner, "kinds", "none")
    rule = away.adopt(home.new_rule(KEY), home)
    state = learned(away, rule, random_prior(away), *lessons())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    assert state.carries["weight0"]["memory"].shape == (4, 3, 2) and state.carries["bias1"]["memory"].shape == (3, 2)


def test_carries_have_a_slot_for_each_place_of_each_example():
    protocol = Protocol(two_layers("mean"), GRU(message=2, hidden=1, widths=(4,)))
    carries = protocol.init(KEY, BATCH).carries
    assert carries["weight0"].shape == (BATCH * 9, 4, 3, 4) and carries["bias4"].shape == (BATCH * 4, 4, 4)
    assert carries["activation2"].shape == (BATCH, 27, 3)


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"side": 4, "window": 5}, "A window of 5 pixels was given for images of 4 a side; make it smaller"),
        ({"side": 0}, "side=0 was given"),
        ({"side": 4, "stride": 0}, "stride=0 was given"),
        ({"side": 4, "features": 2.0}, "features=2.0 was given"),
        ({"side": 4, "aggregate": "max"}, "aggregate='max' is unknown"),
        ({"side": 4, "deviation": -1.0}, "deviation=-1.0 was given"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(given, sentence):
    with refused(ValueError, sentence):
        Convolution(**given)


def test_places_must_divide_the_units_of_biases():
    with refused(ValueError, "Bias was given units=10 at places=4; let the places divide the units"):
        Bias(10, 4)


@pytest.mark.parametrize(("start", "gain"), [("lecun", 1.0), ("he", 2.0)])
def test_usual_starts_count_the_pixels_of_the_window(start, gain):
    graph = chain(Convolution(side=8, window=5, features=400), Softmax(16 * 400))
    kernel = started(graph, start).node("weight0").op.initial(KEY)
    assert float(kernel.std()) == pytest.approx((gain / 25) ** 0.5, rel=0.03)
