"""Learners against plain numpy: the gated recurrent unit, the stateless pair, and the layers they are made of."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracle
from helpers import jit, max_difference, noise, oracle_gru, random_prior, random_rule
from mplp_lite import losses, nodes
from mplp_lite.graph import sequential
from mplp_lite.learners import GRU, Dense, Learner, Perceptron, Stateless, Thought
from mplp_lite.protocol import Protocol
from mplp_lite.weights import named_leaves

BATCH, MESSAGE = 2, 3
OPS = {
    "weight": nodes.Weight(units=4, inputs=3),
    "bias": nodes.Bias(4),
    "activation": nodes.Activation(4, "tanh"),
    "softmax": nodes.Softmax(4),
    "loss": losses.L2(4),
}


def reads_of(op):
    """Random readings of all entries of `op`, in pieces that broadcast."""
    parameter = None if op.parameter_shape is None else noise(1, *op.parameter_shape)
    fired = op.forward(parameter, *(noise(2 + slot, BATCH, op.incoming) for slot in range(op.arity)))
    return op.read(noise(8, BATCH, op.units, MESSAGE), parameter, fired.stored)


def joined(op, reads):
    """The same, one vector per entry."""
    return np.concatenate([np.broadcast_to(piece, (BATCH, *op.shape, piece.shape[-1])) for piece in reads], axis=-1)


def shapes_of(learner, op, reads, carry):
    """Shapes of the variables of `learner`."""
    return jax.eval_shape(lambda key: learner.init(key, op, reads, carry), jax.random.key(0))


def randomised(learner, op, reads, carry):
    """Variables of `learner`, all different from zero."""
    leaves, structure = jax.tree.flatten(shapes_of(learner, op, reads, carry))
    return jax.tree.unflatten(structure, [0.4 * noise(20 + k, *leaf.shape) for k, leaf in enumerate(leaves)])


@pytest.fixture(scope="module", params=OPS.values(), ids=OPS.keys())
def op(request):
    return request.param


@pytest.mark.parametrize("activation, widths", [("tanh", (5, 4)), ("relu", (5, 4)), ("tanh", ())])
def test_gru_is_equations_6_to_8_for_every_entry(op, activation, widths):
    learner = GRU(message=MESSAGE, hidden=2, widths=widths, activation=activation)
    size, has_parameter = learner.first_carry(op, 1).shape[-1], op.parameter_shape is not None
    assert size == has_parameter + 2 + MESSAGE
    reads, carry = reads_of(op), 0.7 * noise(9, BATCH, *op.shape, size)
    variables = randomised(learner, op, reads, carry)
    thought = jit(learner.apply, static_argnums=1)(variables, op, reads, carry)
    parameters, x = oracle_gru(variables["params"])["learner"], joined(op, reads)
    expected = np.zeros(carry.shape)
    for entry in np.ndindex(carry.shape[:-1]):
        expected[entry] = oracle.gru(parameters, x[entry].astype(np.float64), np.asarray(carry[entry], np.float64), activation)
    np.testing.assert_allclose(thought.carry, expected, atol=2e-6)
    np.testing.assert_allclose(thought.message, op.collect(expected[..., -MESSAGE:]), atol=2e-6)
    if has_parameter:
        np.testing.assert_allclose(thought.update, expected[..., 0].mean(axis=0), atol=2e-6)
    else:
        assert thought.update is None


def test_stateless_is_two_perceptrons_with_a_tanh_at_their_end(op):
    learner = Stateless(message=MESSAGE, widths=(5, 4))
    reads = reads_of(op)
    variables = randomised(learner, op, reads, None)
    thought = jit(learner.apply, static_argnums=1)(variables, op, reads, None)
    x, perceptrons = joined(op, reads), {}
    for name, layers in jax.tree.map(np.asarray, variables["params"]).items():
        weights = [(layers[f"Dense_{k}"]["W"], layers[f"Dense_{k}"]["b"]) for k in range(3)]
        perceptrons[name] = oracle.mlp(weights, x, oracle.relu, np.tanh)
    assert thought.carry is None
    np.testing.assert_allclose(thought.message, op.collect(perceptrons["g"]), atol=2e-6)
    if op.parameter_shape is None:
        assert thought.update is None and set(perceptrons) == {"g"}
    else:
        assert thought.update.shape == op.parameter_shape
        np.testing.assert_allclose(thought.update, perceptrons["f"][..., 0].mean(axis=0), atol=2e-6)


def test_first_carries():
    weight = OPS["weight"]
    assert Stateless().first_carry(weight, 6) is None
    carry = GRU(message=8, hidden=15).first_carry(weight, 6)
    np.testing.assert_array_equal(carry, np.zeros((6, 3, 4, 1 + 15 + 8)))
    assert GRU(message=4, hidden=7).first_carry(OPS["loss"], 6).shape == (6, 4, 7 + 4)


@pytest.mark.parametrize("learner", [GRU(message=MESSAGE, hidden=2), Stateless(message=MESSAGE)], ids=["gru", "stateless"])
def test_before_training_matrices_are_glorot_uniform_and_biases_zero_but_gates(learner):
    op = OPS["weight"]
    variables = jit(learner.init, static_argnums=1)(jax.random.key(3), op, reads_of(op), learner.first_carry(op, BATCH))
    for name, leaf in named_leaves(variables["params"]).items():
        if name.endswith("/b"):
            np.testing.assert_array_equal(leaf, np.full(leaf.shape, -1.0 if name in ("u_c/b", "r_c/b") else 0.0))
        else:
            bound = np.sqrt(6 / sum(leaf.shape))
            assert 0.75 * bound < float(abs(leaf).max()) <= bound, name
            assert leaf.size < 100 or float(leaf.std()) == pytest.approx(bound / np.sqrt(3), rel=0.1), name


def test_gates_start_where_they_are_told():
    learner, op = GRU(message=MESSAGE, hidden=1, gate_bias=2.5), OPS["bias"]
    p = jit(learner.init, static_argnums=1)(jax.random.key(3), op, reads_of(op), learner.first_carry(op, BATCH))["params"]
    assert {float(b) for gate in ("u_c", "r_c") for b in p[gate]["b"]} == {2.5}


def test_parameters_of_the_papers_learners():
    """Widths, and which layers have a bias: one b_n for both halves of the candidate."""
    op, learner = OPS["weight"], GRU(message=8, hidden=15)
    reads = op.read(jnp.zeros((1, 4, 8)), jnp.zeros((3, 4)), (jnp.zeros((1, 3)),))
    shapes = shapes_of(learner, op, reads, learner.first_carry(op, 1))["params"]
    gates = {f"{gate}_{end}": shape for gate in "ur" for end, shape in {"x/W": (10, 24), "c/W": (24, 24), "c/b": (24,)}.items()}
    candidate = {}
    for name, width in (("MLP_x", 10), ("MLP_c", 24)):
        for k, (rows, columns) in enumerate([(width, 80), (80, 40), (40, 24)]):
            candidate |= {f"{name}/Dense_{k}/W": (rows, columns), f"{name}/Dense_{k}/b": (columns,)}
    del candidate["MLP_x/Dense_2/b"]
    assert {name: leaf.shape for name, leaf in named_leaves(shapes).items()} == gates | candidate


@pytest.mark.parametrize("bias", [True, False])
def test_dense_in_pieces_is_dense_on_all_of_them_concatenated(bias):
    pieces = noise(0, 2, 1, 4, 3), noise(1, 1, 5, 4, 1), noise(2, 2, 5, 1, 2)
    layer = Dense(7, bias=bias, first_bias=0.25)
    variables = layer.init(jax.random.key(0), *pieces)
    assert set(variables["params"]) == ({"W", "b"} if bias else {"W"})
    x = np.concatenate([np.broadcast_to(piece, (2, 5, 4, piece.shape[-1])) for piece in pieces], axis=-1)
    expected = x @ np.asarray(variables["params"]["W"]) + (0.25 if bias else 0.0)
    np.testing.assert_allclose(layer.apply(variables, *pieces), expected, atol=1e-5)


def test_perceptron_activates_all_layers_but_the_last():
    x, net = noise(0, 3, 2), Perceptron((4, 5, 1), "relu", last_bias=False)
    variables = jax.tree.map(lambda leaf: leaf + 0.3, net.init(jax.random.key(0), x))
    p = jax.tree.map(np.asarray, variables["params"])
    h = np.maximum(np.asarray(x) @ p["Dense_0"]["W"] + p["Dense_0"]["b"], 0)
    h = np.maximum(h @ p["Dense_1"]["W"] + p["Dense_1"]["b"], 0)
    np.testing.assert_allclose(net.apply(variables, x), h @ p["Dense_2"]["W"], atol=1e-6)
    assert "b" not in p["Dense_2"]


# ---- learners of one's own ----


class LSTM(Learner):
    """A learner whose carry is a pair; the first channel of what it says is the update, the last ones are the message."""

    hidden: int = 2

    def first_carry(self, op, batch):
        size = (op.parameter_shape is not None) + self.hidden + self.message
        return jnp.zeros((batch, *op.shape, size)), jnp.zeros((batch, *op.shape, size))

    @nn.compact
    def __call__(self, op, reads, carry):
        said = carry[1]
        reads = [jnp.broadcast_to(piece, (*said.shape[:-1], piece.shape[-1])) for piece in reads]
        carry, said = nn.LSTMCell(said.shape[-1], name="cell")(carry, jnp.concatenate(reads, axis=-1))
        update = None if op.parameter_shape is None else said[..., 0].mean(axis=0)
        return Thought(carry, update, self.collect(op, said[..., -self.message :]))


def test_an_lstm_fits_in():
    """One weight node of a protocol over two steps, entry by entry."""
    graph = sequential(3, 4)
    protocol = Protocol(graph, LSTM(message=MESSAGE))
    rule, state = random_rule(protocol), protocol.begin(random_prior(protocol), BATCH)
    cell = jax.tree.map(np.asarray, rule.learners["W1"]["cell"])
    (norm, mean_zeroer, out_mean), update = rule.statistics["W1"], jit(protocol.update)
    for step in range(2):
        x, y = noise([5, step], BATCH, 3), noise([6, step], BATCH, 4)
        (c, h), weight = jax.tree.map(np.array, (state.carries["W1"], state.parameters["W1"]))
        state, trail = update(rule, state, x, y)
        heard = np.asarray(trail["b1"]["message"])
        for b, i, j in np.ndindex(BATCH, 3, 4):
            reads = [heard[b, j], weight[i, j : j + 1], np.asarray(x)[b, i : i + 1]]
            reads = np.concatenate([(piece + mean_zeroer[k]) * norm[k] for k, piece in enumerate(reads)])
            gates = {g: reads @ cell[f"i{g}"]["kernel"] + h[b, i, j] @ cell[f"h{g}"]["kernel"] + cell[f"h{g}"]["bias"] for g in "ifgo"}
            kept = oracle.sigmoid(gates["f"]) * c[b, i, j] + oracle.sigmoid(gates["i"]) * np.tanh(gates["g"])
            c[b, i, j], h[b, i, j] = kept, oracle.sigmoid(gates["o"]) * np.tanh(kept)
        assert max_difference(state.carries["W1"], (c, h)) < 2e-6
        np.testing.assert_allclose(trail["W1"]["delta"], (h[..., 0].mean(axis=0) - out_mean) * rule.scales["W1"], atol=2e-6)
        np.testing.assert_allclose(trail["W1"]["message"], h[..., -MESSAGE:].mean(axis=2), atol=2e-6)


class Listening(Stateless):
    """Where many synapses answer one input unit, a recurrent network hears them out, output by output (section 3.1)."""

    def collect(self, op, messages):
        if not isinstance(op, nodes.Weight):
            return op.collect(messages)
        cell, heard = Dense(self.message, name="listen"), jnp.zeros_like(messages[:, :, 0])
        for j in range(op.units):
            heard = jnp.tanh(cell(messages[:, :, j], heard))
        return heard


def test_a_learner_may_collect_messages_by_a_recurrent_network(op):
    """Against a loop over outputs; the messages of the synapses themselves are checked above."""
    learner, plain = Listening(message=MESSAGE, widths=(4,)), Stateless(message=MESSAGE, widths=(4,))
    reads = reads_of(op)
    variables = randomised(learner, op, reads, None)
    told, p = jit(learner.apply, static_argnums=1)(variables, op, reads, None).message, jax.tree.map(np.asarray, variables["params"])
    (first, b_1), (last, b_2) = ((layer["W"], layer["b"]) for _, layer in sorted(p["g"].items()))
    said = np.tanh(np.maximum(joined(op, reads) @ first + b_1, 0) @ last + b_2)
    if isinstance(op, nodes.Weight):
        listen, expected = p["listen"], np.zeros((BATCH, 3, MESSAGE))
        for b, i in np.ndindex(BATCH, 3):
            for j in range(4):
                expected[b, i] = np.tanh(np.concatenate([said[b, i, j], expected[b, i]]) @ listen["W"] + listen["b"])
    else:
        expected = plain.apply(variables, op, reads, None).message
    np.testing.assert_allclose(told, expected, atol=2e-6)


def test_a_recurrent_collector_is_meta_trained_beside_a_memory():
    class Both(GRU):
        collect = Listening.collect

    protocol = Protocol(sequential(2, 3, 2), Both(message=2, hidden=1, widths=(4,)))
    rule, state, (x, y) = random_rule(protocol), protocol.begin(random_prior(protocol), BATCH), (noise(1, BATCH, 2), noise(2, BATCH, 2))
    gradient = jit(jax.grad(lambda rule: protocol.loss(protocol.update(rule, state, x, y)[0], x, y)))(rule)
    assert all(abs(leaf).max() > 1e-6 for leaf in jax.tree.leaves(gradient.learners["W2"]["listen"]))


def test_first_scale_is_a_fifth_of_the_deviation_of_fresh_weights():
    assert Learner().first_scale == pytest.approx(0.2 * nodes.Weight(units=1, inputs=1).deviation)


def test_a_learner_must_say_how_it_thinks():
    assert Learner().first_carry(OPS["bias"], 3) is None
    with pytest.raises(NotImplementedError, match=r"Learner must say how it thinks: define __call__\(\)"):
        Learner().apply({}, OPS["bias"], (), None)


def test_without_hidden_layers_the_gru_is_a_plain_gated_unit():
    """Equation 8 with `MLP_x` and `MLP_c` one dense layer each, in numpy."""
    learner, op = GRU(message=2, hidden=1, widths=()), nodes.Bias(3)
    reads, carry = (noise(1, 4, 3, 2), noise(2, 1, 3, 1)), noise(3, 4, 3, 4)
    parameters = learner.init(jax.random.key(0), op, reads, carry)["params"]
    thought = learner.apply({"params": parameters}, op, reads, carry)
    x, c, p = np.concatenate([reads[0], np.broadcast_to(reads[1], (4, 3, 1))], axis=-1), np.asarray(carry), jax.device_get(parameters)
    u, r = (1 / (1 + np.exp(-(x @ p[f"{gate}_x"]["W"] + c @ p[f"{gate}_c"]["W"] + p[f"{gate}_c"]["b"]))) for gate in "ur")
    mlp_x, mlp_c = p["MLP_x"]["Dense_0"], p["MLP_c"]["Dense_0"]
    new = u * c + (1 - u) * np.tanh(x @ mlp_x["W"] + (r * c) @ mlp_c["W"] + mlp_c["b"])
    np.testing.assert_allclose(thought.carry, new, atol=1e-6)
    np.testing.assert_allclose(thought.update, new[..., 0].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(thought.message, new[..., -2:], atol=1e-6)
