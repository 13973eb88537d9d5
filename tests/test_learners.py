"""Learners against plain numpy: the gated recurrent unit, the stateless pair, and the layers they are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracle
from helpers import jit, noise, oracle_gru
from mplp_lite import losses, nodes
from mplp_lite.learners import GRU, Dense, Learner, Perceptron, Stateless
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


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_gru_is_equations_6_to_8_for_every_entry(op, activation):
    learner = GRU(message=MESSAGE, hidden=2, widths=(5, 4), activation=activation)
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


def test_first_scale_is_a_fifth_of_the_deviation_of_fresh_weights():
    assert Learner().first_scale == pytest.approx(0.2 * nodes.Weight(units=1, inputs=1).deviation)


def test_a_learner_must_say_how_it_thinks():
    assert Learner().first_carry(OPS["bias"], 3) is None
    with pytest.raises(NotImplementedError, match=r"Learner must say how it thinks: define __call__\(\)"):
        Learner().apply({}, OPS["bias"], (), None)
