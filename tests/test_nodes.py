"""Operations and losses, each against plain numpy: what it sends forward, what it stores, what its learner reads."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import noise, refused
from mplp_lite import losses, nodes

X = np.array([[-1.5, 0.0, 2.0], [0.3, -0.2, 1e-6]], np.float32)
OTHER = np.array([[0.5, 1.0, -2.0], [3.0, 0.0, 1.0]], np.float32)
P = np.array([[0.2, 0.5, 0.3], [0.0, 1.0, 0.7]], np.float32)
T = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.5]], np.float32)
W = np.asarray(noise(1, 3, 4))
B = np.asarray(noise(2, 3))

SHIFTED = X - X.max(axis=1, keepdims=True)
EXP = np.exp(SHIFTED)
TOTAL = np.repeat(EXP.sum(axis=1, keepdims=True), 3, axis=1)
CLIPPED = np.clip(P, 1e-7, 1 - 1e-7)

# operation, parameter, inputs, output, stored
FIRINGS = {
    "input": (nodes.Input(3), None, (X,), X, ()),
    "target": (nodes.Target(3), None, (X,), X, ()),
    "weight": (nodes.Weight(units=4, inputs=3), W, (X,), X @ W, (X,)),
    "bias": (nodes.Bias(3), B, (X,), X + B[None], (X,)),
    "relu": (nodes.Activation(3, "relu"), None, (X,), np.maximum(X, 0), (X,)),
    "sigmoid": (nodes.Activation(3, "sigmoid"), None, (X,), 1 / (1 + np.exp(-X)), (X,)),
    "tanh": (nodes.Activation(3, "tanh"), None, (X,), np.tanh(X), (X,)),
    "step": (nodes.Activation(3, "step"), None, (X,), np.array([[0, 0, 1], [1, 0, 1]]), (X,)),
    "own function": (nodes.Activation(3, jnp.cos), None, (X,), np.cos(X), (X,)),
    "softmax": (nodes.Softmax(3), None, (X,), EXP / TOTAL, (X, SHIFTED, EXP, TOTAL)),
    "add": (nodes.Add(3), None, (X, OTHER), X + OTHER, (X, OTHER)),
    "l2": (losses.L2(3), None, (P, T), (T - P) ** 2 / 2, (P, T, T - P)),
    "l1": (losses.L1(3), None, (P, T), abs(T - P), (P, T)),
    "cross entropy": (losses.CrossEntropy(3), None, (P, T), -T * np.log(CLIPPED), (CLIPPED, T, np.log(CLIPPED))),
}


@pytest.fixture(params=FIRINGS.values(), ids=FIRINGS.keys())
def firing(request):
    op, parameter, inputs, output, stored = request.param
    parameter = None if parameter is None else jnp.asarray(parameter)
    return op, parameter, op.forward(parameter, *map(jnp.asarray, inputs)), output, stored


def test_forward(firing):
    op, _, fired, output, stored = firing
    assert fired.output.dtype == jnp.float32
    assert fired.output.shape == (2, op.units)
    np.testing.assert_allclose(fired.output, output, rtol=1e-6, atol=1e-7)
    assert len(fired.stored) == len(stored)
    for ours, theirs in zip(fired.stored, stored, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


def test_a_learner_reads_message_then_parameter_then_all_that_was_stored(firing):
    op, parameter, fired, _, stored = firing
    message = noise(3, 2, op.units, 5)
    reads = op.read(message, parameter, fired.stored)
    assert len(reads) == 1 + (parameter is not None) + len(stored)
    assert [piece.shape[-1] for piece in reads] == [5] + [1] * (len(reads) - 1)
    assert jnp.broadcast_shapes(*(piece.shape[:-1] for piece in reads)) == (2, *op.shape)
    full = [np.broadcast_to(piece, (2, *op.shape, piece.shape[-1])) for piece in reads]
    for entry in np.ndindex(2, *op.shape):
        example, unit, first = entry[0], entry[-1], entry[1]
        expected = [] if parameter is None else [parameter[entry[1:]]]
        expected += [value[example, first] for value in stored]
        np.testing.assert_array_equal(full[0][entry], message[example, unit])
        np.testing.assert_allclose([piece[entry][0] for piece in full[1:]], expected, rtol=1e-6, atol=1e-7)


def test_nothing_is_replicated_before_a_learner_reads_it():
    op = nodes.Weight(units=4, inputs=3)
    shapes = [piece.shape for piece in op.read(jnp.zeros((2, 4, 5)), jnp.zeros((3, 4)), (jnp.zeros((2, 3)),))]
    assert shapes == [(2, 1, 4, 5), (1, 3, 4, 1), (2, 3, 1, 1)]


@pytest.mark.parametrize("aggregate, pool", [("mean", np.mean), ("sum", np.sum)])
def test_synapses_of_one_input_send_one_message(aggregate, pool):
    messages = noise(4, 2, 3, 4, 5)
    collected = nodes.Weight(units=4, inputs=3, aggregate=aggregate).collect(messages)
    np.testing.assert_allclose(collected, pool(np.asarray(messages), axis=2), rtol=1e-6, atol=1e-6)


def test_other_operations_send_messages_on_as_they_are(firing):
    op = firing[0]
    if not isinstance(op, nodes.Weight):
        messages = noise(5, 2, op.units, 4)
        assert op.collect(messages) is messages
        assert all(op.answer(messages, slot) is messages for slot in range(op.arity))


def test_softmax_of_large_inputs_is_finite():
    fired = nodes.Softmax(3).forward(None, jnp.array([[1e4, -1e4, 1e4], [-300.0, -300.0, -300.0]]))
    np.testing.assert_allclose(fired.output, [[0.5, 0, 0.5], [1 / 3] * 3], rtol=1e-6)
    assert all(np.isfinite(value).all() for value in fired.stored)


def test_cross_entropy_of_impossible_predictions_is_finite():
    loss, (clipped, _, log) = losses.CrossEntropy(2).forward(None, jnp.array([[0.0, 1.0]]), jnp.array([[1.0, 1.0]]))
    np.testing.assert_allclose(loss, [[-np.log(1e-7), -np.log1p(-1e-7)]], rtol=1e-6, atol=3e-8)
    assert float(clipped[0, 0]) == np.float32(1e-7)
    assert float(clipped[0, 1]) < 1
    assert np.isfinite(log).all()


def test_fresh_weights_and_biases():
    weight = nodes.Weight(units=100, inputs=200)
    drawn = weight.initial(jax.random.key(0))
    assert drawn.shape == weight.parameter_shape == weight.shape == (200, 100)
    assert float(drawn.std()) == pytest.approx(0.05, rel=0.02)
    assert abs(float(drawn.mean())) < 0.05 * 4 / np.sqrt(drawn.size)
    assert float(abs(drawn).max()) > 0.05 * 3.5  # not truncated
    wider = nodes.Weight(units=100, inputs=200, deviation=0.5).initial(jax.random.key(0))
    np.testing.assert_allclose(wider, 10 * drawn, rtol=1e-6)
    np.testing.assert_array_equal(nodes.Bias(7).initial(jax.random.key(0)), np.zeros(7))
    assert nodes.Bias(7).parameter_shape == (7,)


def test_widths():
    weight = nodes.Weight(units=4, inputs=3)
    assert (weight.incoming, weight.units) == (3, 4)
    assert all(op.incoming == op.units == 3 for name, (op, *_) in FIRINGS.items() if name != "weight")


@pytest.mark.parametrize("name", ["input", "relu", "softmax", "add", "l2"])
def test_what_learns_nothing_has_no_parameter(name):
    op = FIRINGS[name][0]
    assert op.parameter_shape is None
    with pytest.raises(NotImplementedError, match=f"{type(op).__name__} has no parameter to draw"):
        op.initial(jax.random.key(0))


def test_an_operation_with_a_parameter_must_say_how_it_is_drawn():
    with refused(NotImplementedError, r"Undrawn must say how a fresh parameter is drawn: define initial\(\)"):
        type("Undrawn", (nodes.Operation,), {"parameter_shape": (3,)})(3).initial(jax.random.key(0))


def test_an_operation_must_say_what_it_computes():
    with pytest.raises(NotImplementedError, match=r"Operation must say what it computes: define forward\(\)"):
        nodes.Operation(3).forward(None, jnp.zeros((1, 3)))


@pytest.mark.parametrize(
    "make, sizes",
    [
        (lambda: nodes.Input(0), r"Input was given sizes \[0\]"),
        (lambda: nodes.Bias(-2), r"Bias was given sizes \[-2\]"),
        (lambda: nodes.Weight(units=0, inputs=3), r"Weight was given sizes \[3, 0\]"),
        (lambda: nodes.Weight(units=3, inputs=2.0), r"Weight was given sizes \[2\.0, 3\]"),
        (lambda: nodes.Activation(True, "relu"), r"Activation was given sizes \[True\]"),
        (lambda: losses.L2("3"), r"L2 was given sizes \['3'\]"),
    ],
)
def test_sizes_are_whole_numbers_of_at_least_1(make, sizes):
    with pytest.raises(ValueError, match=sizes + "; each must be a whole number of at least 1"):
        make()


def test_an_unknown_activation():
    sentence = r"Activation 'selu' is unknown; use one of \['relu', 'sigmoid', 'step', 'tanh'\] or pass a function"
    with pytest.raises(ValueError, match=sentence):
        nodes.Activation(3, "selu")


def test_an_unknown_aggregator():
    with pytest.raises(ValueError, match="'median'.*unknown.*mean.*sum"):
        nodes.Weight(units=2, inputs=2, aggregate="median")


def test_the_sizes_of_a_weight_node_go_by_name():
    """Nobody can mistake inputs for outputs."""
    with pytest.raises(TypeError, match="positional"):
        nodes.Weight(2, 3)


def test_operations_are_values():
    """Equal operations are equal and hash alike, so that equal graphs share what was compiled."""
    for op, *_ in FIRINGS.values():
        twin = replace(op)
        assert twin == op and hash(twin) == hash(op)
    assert nodes.Input(3) != nodes.Target(3)
    assert nodes.Activation(3, "relu") != nodes.Activation(3, "tanh")
